package main

import (
	"fmt"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestFewDescriptors lets a thousand clients come to a process that may open 64 or 256 files: whoever is not served is
// told so or waits, nothing that was answered 250 is lost or held, and when the clients have gone it works as before.
func TestFewDescriptors(t *testing.T) {
	inFull(t)
	for _, most := range []int{64, 256} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			tr := newTrouble(t, t.TempDir(), "", 50, "sh", "-c", fmt.Sprintf("ulimit -n %d && exec \"$@\"", most), "sh")
			var mu sync.Mutex
			var waiting []net.Conn // not greeted
			var crowd []*sender
			var dialling sync.WaitGroup
			for range 20 {
				dialling.Go(func() {
					for range 50 {
						c, err := net.DialTimeout("tcp", tr.p.address, 2*time.Second)
						if err != nil {
							continue
						}
						c.SetDeadline(time.Now().Add(200 * time.Millisecond))
						s := &sender{c, textproto.NewConn(c)}
						_, _, err = s.text.ReadResponse(220)
						mu.Lock()
						if err == nil {
							crowd = append(crowd, s)
						} else {
							waiting = append(waiting, c)
						}
						mu.Unlock()
					}
				})
			}
			dialling.Wait()
			// Those that were greeted send, all at once; so each needs a descriptor, and so does the queue.
			var sending sync.WaitGroup
			for _, s := range crowd {
				sending.Go(func() {
					id, to := tr.promised.next(), []string{"b@example.net"}
					err := s.ask(250, "EHLO client.example.org")
					if err == nil {
						err = s.send(id, to, tortureBody(id, 5000))
					}
					code := replyCode(err)
					if err == nil {
						tr.promised.add(id, to)
						code = 250
					}
					tr.promised.mu.Lock()
					tr.refused[code]++
					tr.promised.mu.Unlock()
				})
			}
			sending.Wait()
			tr.wantAlive()
			// It limits its sessions in time, or says what it has run out of.
			if log := tr.p.log(); !strings.Contains(log, "too many open files") && !strings.Contains(log, "too many connections") {
				t.Errorf("the log says nothing of what is wrong\n%.3000s", log)
			}
			for _, s := range crowd {
				s.close()
			}
			for _, c := range waiting {
				c.Close()
			}
			for code := range tr.refused {
				if code/100 == 5 {
					t.Errorf("a reply %d", code)
				}
			}
			during := fmt.Sprint(tr.refused)
			clear(tr.refused)
			soon := tr.recover()
			if n := held(t, tr.l); n > 0 {
				t.Errorf("%d messages are held although nothing is wrong with them\n%.3000s", n, tr.p.log())
			}
			tr.finish(fmt.Sprintf("%d descriptors, %d of %d connections greeted, %s", most, len(crowd), len(crowd)+len(waiting), during), soon)
		})
	}
}

// held returns how many items are held.
func held(t *testing.T, l launch) (n int) {
	t.Helper()
	list, err := listQueue(t, l)
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range list {
		if it.Hold != "" {
			n++
		}
	}
	return n
}

// memoryGroup makes a control group with a limit on memory and returns the command that runs a program in it, or
// skips the test aloud. killed returns how many processes the kernel has killed in it for want of memory.
func memoryGroup(t *testing.T, limit int64) (under []string, killed func() int) {
	t.Helper()
	for _, g := range []struct{ root, limit, events string }{
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.oom_control"},
		{"/sys/fs/cgroup", "memory.max", "memory.events"},
	} {
		dir := filepath.Join(g.root, fmt.Sprintf("spamcatcher-torture-%d", os.Getpid()))
		if os.Mkdir(dir, 0o755) != nil {
			continue
		}
		t.Cleanup(func() {
			for range 50 { // until its last process has gone
				if os.Remove(dir) == nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
		if os.WriteFile(filepath.Join(dir, g.limit), fmt.Appendf(nil, "%d", limit), 0o644) != nil {
			continue
		}
		killed = func() int {
			b, _ := os.ReadFile(filepath.Join(dir, g.events))
			m := regexp.MustCompile(`(?m)^oom_kill (\d+)`).FindSubmatch(b)
			if m == nil {
				return 0
			}
			n, _ := strconv.Atoi(string(m[1]))
			return n
		}
		return []string{"sh", "-c", "echo $$ > " + filepath.Join(dir, "cgroup.procs") + " && exec \"$@\"", "sh"}, killed
	}
	t.Skip("SKIPPED: no control group with a limit on memory can be made here; 512 MB of memory were not tested")
	return nil, nil
}

// TestLittleMemory sends many messages of 25 MB from twenty clients at once to a process that has 512 MB, while it delivers them:
// it lives, and what it has no memory for is answered 4xx.
//
// SPAMCATCHER_LARGE sets the number of messages (40).
func TestLittleMemory(t *testing.T) {
	inFull(t)
	under, killed := memoryGroup(t, 512<<20)
	sink := newSink(t, true)
	l := launch{state: t.TempDir(), under: under, config: tortureConfig(t, "", map[string]*mailSink{"example.net": sink})}
	p := l.must(t)
	promised := newPromises("large")
	var mu sync.Mutex
	replies := map[int]int{}
	work := make(chan bool, 1000)
	for range tortured("SPAMCATCHER_LARGE", 40) {
		work <- true
	}
	close(work)
	begin := time.Now()
	var clients sync.WaitGroup
	for range 20 {
		clients.Go(func() {
			for range work {
				id, to := promised.next(), []string{"b@example.net"}
				err := sendOnce(p.address, id, to, 25_000_000)
				code := replyCode(err)
				if err == nil {
					promised.add(id, to)
					code = 250
				}
				mu.Lock()
				replies[code]++
				mu.Unlock()
				if code != 250 {
					time.Sleep(200 * time.Millisecond)
				}
			}
		})
	}
	clients.Wait()
	took := time.Since(begin)
	select {
	case err := <-p.waited:
		p.waited <- err
		t.Fatalf("the process ended: %v, %d kills for want of memory\n%.5000s", err, killed(), p.log())
	default:
	}
	for code := range replies {
		if code != 250 && code/100 != 4 {
			t.Errorf("replies %v", replies)
		}
	}
	if replies[250] == 0 {
		t.Error("nothing was accepted")
	}
	drain(t, l, time.Minute)
	lost, came := 0, arrived(sink)
	for d := range promised.copied() {
		if len(came[d]) == 0 {
			lost++
			t.Errorf("%s was answered 250 and is lost", d.id)
		}
	}
	sink.check(t)
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	peak := regexp.MustCompile(`VmHWM:\s*(\d+) kB`).FindSubmatch(status)
	if peak == nil {
		peak = [][]byte{nil, []byte("?")}
	}
	t.Logf("FIGURES 512 MB: replies %v to messages of 25 MB from 20 clients in %v, %d lost, peak %s kB, %d kills for want of memory", replies, took.Round(time.Millisecond), lost, peak[1], killed())
	if err := p.stop(); err != nil {
		t.Errorf("ended with %v", err)
	}
}
