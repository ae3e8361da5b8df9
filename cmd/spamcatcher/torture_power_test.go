package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// A lossyDisk is a mounted testdata/lossyfs.
type lossyDisk struct {
	mount   string
	cmd     *exec.Cmd
	orders  io.WriteCloser
	answers *bufio.Scanner
}

// buildLossy builds lossyfs, or skips the test aloud where there is no FUSE.
func buildLossy(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat("/dev/fuse"); err != nil || os.Getuid() != 0 {
		t.Skip("SKIPPED: only root can mount a FUSE file system, and /dev/fuse must be there; the loss of power was not tested")
	}
	tool := filepath.Join(t.TempDir(), "lossyfs")
	build := exec.Command("go", "build", "-o", tool, ".")
	build.Dir = filepath.Join("testdata", "lossyfs")
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: lossyfs cannot be built here, so the loss of power was not tested: %v\n%s", err, out)
	}
	return tool
}

func mountLossy(t *testing.T, tool string, args ...string) *lossyDisk {
	t.Helper()
	d := &lossyDisk{mount: t.TempDir()}
	d.cmd = exec.Command(tool, append([]string{d.mount}, args...)...)
	var err error
	if d.orders, err = d.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.answers = bufio.NewScanner(out)
	if !d.answers.Scan() || d.answers.Text() != "ready" {
		d.close()
		t.Skipf("SKIPPED: no FUSE here (%s); the loss of power was not tested", d.answers.Text())
	}
	t.Cleanup(d.close)
	return d
}

func (d *lossyDisk) close() {
	d.orders.Close()
	if d.cmd.ProcessState == nil {
		d.cmd.Wait()
	}
	exec.Command("umount", "-l", d.mount).Run() // if it did not do so itself
}

// cut writes to dir what is on the disk now, and returns when now was at the latest.
func (d *lossyDisk) cut(t *testing.T, dir string, seed int) time.Time {
	t.Helper()
	fmt.Fprintf(d.orders, "cut %s %d\n", dir, seed)
	var at time.Time
	for _, want := range []string{"cut", "done"} {
		if !d.answers.Scan() || d.answers.Text() != want {
			t.Fatalf("lossyfs: %s", d.answers.Text())
		}
		if want == "cut" {
			at = time.Now()
		}
	}
	return at
}

// A powerCut is one instant and what the disk must hold after it.
type powerCut struct {
	at       time.Time
	dump     string
	seed     int
	promised map[delivery]bool // by 250, before the cut
}

// TestPowerCut runs the whole process on a disk that keeps only what was synced, cuts its power at random moments of its
// start, of its work, and of the start after such a cut, and starts a process on what is left: every message that was
// answered 250 before the cut is delivered by it, or was before; and what had been delivered is not delivered again, unless it
// was under way. Every second cut leaves a random half of what was not
// synced, torn at pages and sectors.
//
// SPAMCATCHER_CUTS sets the number of cuts (4).
func TestPowerCut(t *testing.T) {
	tool := buildLossy(t)
	cuts := tortured("SPAMCATCHER_CUTS", 4)
	const perLife = 5
	one, two, dead := newSink(t, true), newSink(t, true), newSink(t, false)
	live := launch{config: tortureConfig(t, "", map[string]*mailSink{"one.example.net": one, "two.example.net": two, "dead.example.net": dead})}
	recipients := func() []string {
		return [][]string{{"a@one.example.net"}, {"b@two.example.net"}, {"c@dead.example.net"}, {"a@one.example.net", "b@two.example.net", "c@dead.example.net"}}[rand.IntN(4)]
	}
	// What is left is looked at by processes whose destinations are other servers.
	all := newSink(t, true)
	after := launch{config: tortureConfig(t, "", map[string]*mailSink{"one.example.net": all, "two.example.net": all, "dead.example.net": all})}

	promised := newPromises("power")
	image := "" // what the next life begins with
	done, lost, torn, rebuilt, checked, again := 0, 0, 0, 0, 0, 0
	var worst, widest time.Duration
	for done < cuts {
		var args []string
		if image != "" {
			args = append(args, image)
		}
		disk := mountLossy(t, tool, args...)
		live.state = filepath.Join(disk.mount, "state")
		begun := time.Now()
		var list []powerCut
		cut := func() {
			c := powerCut{dump: filepath.Join(t.TempDir(), "dump"), promised: promised.copied(), seed: (done % 2) * (done + 1)}
			c.at = disk.cut(t, c.dump, c.seed)
			list = append(list, c)
			done++
		}
		early := make(chan bool)
		live.began = func(*os.Process) {
			go func() {
				defer close(early)
				time.Sleep(time.Duration(rand.IntN(400)) * time.Millisecond)
				cut()
			}()
		}
		p, _, err := live.start(t)
		if err != nil {
			t.Fatal(err)
		}
		<-early
		stop := make(chan struct{})
		clients := promised.load(4, p.address, recipients, anySize, stop)
		for len(list) < perLife && done < cuts {
			time.Sleep(time.Duration(20+rand.IntN(400)) * time.Millisecond)
			cut()
		}
		p.kill()
		close(stop)
		clients.Wait()
		disk.close()
		came := arrived(one, two, dead)
		image = ""
		for i, c := range list {
			if c.seed > 0 {
				torn++
			}
			// The next life begins with what this one's last cut left, half of the time.
			if i == len(list)-1 && rand.IntN(2) == 0 {
				image = filepath.Join(t.TempDir(), "image")
				if out, err := exec.Command("cp", "-a", "--sparse=always", c.dump, image).CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
			}
			after.state = filepath.Join(c.dump, "state")
			q, took, err := after.start(t)
			if err != nil {
				keepState(t, c.dump)
				t.Fatalf("cut %d, seed %d: %v", i, c.seed, err)
			}
			worst = max(worst, took)
			drain(t, after, 20*time.Second)
			rest := arrived(all)
			for d := range c.promised {
				checked++
				delivered := len(came[d]) > 0 && !came[d][0].After(c.at)
				if delivered && len(rest[d]) > 0 {
					again++
					for _, at := range came[d] {
						// What an earlier life delivered, its image did not know of: that was counted then.
						if at.After(begun) && !at.After(c.at) {
							widest = max(widest, c.at.Sub(at))
						}
					}
				}
				if !delivered && len(rest[d]) == 0 {
					if lost++; lost < 20 {
						t.Errorf("cut with seed %d: %s was answered 250 and is lost for %s", c.seed, d.id, d.to)
					}
				}
			}
			if t.Failed() {
				keepState(t, c.dump)
				t.Fatalf("cut with seed %d, the log of the start after it:\n%.5000s", c.seed, q.log())
			}
			rebuilt += logCount(q.log(), "set aside")
			all.forget(time.Time{})
			if err := q.stop(); err != nil {
				t.Errorf("cut with seed %d: ended with %v", c.seed, err)
			}
			os.RemoveAll(filepath.Dir(c.dump))
		}
		// What came after the instant of the image has not happened in the life that begins with it.
		last := list[len(list)-1]
		if image == "" {
			last = powerCut{}
		}
		promised.reset(last.promised)
		for _, s := range []*mailSink{one, two, dead} {
			s.forget(last.at)
		}
	}
	for _, s := range []*mailSink{one, two, all} {
		s.check(t)
	}
	t.Logf("FIGURES power: %d cuts (%d torn), %d recipients promised by 250 looked for after them, %d lost, %d delivered although they had been (at most %v before the cut), %d starts without repair by hand, of which %d built the index anew; slowest start %v",
		done, torn, checked, lost, again, widest.Round(time.Millisecond), done, rebuilt, worst.Round(time.Millisecond))
	// 20 attempts at a time, of 3 recipients at most.
	if again > 60*done {
		t.Errorf("%d deliveries were made again after %d cuts: more than were under way", again, done)
	}
	if checked < 10*done {
		t.Errorf("only %d recipients: the test did not test much", checked)
	}
}
