package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A trouble is a gateway with mail in its queue that a fault is about to hit.
type trouble struct {
	t        *testing.T
	l        launch
	p        *process
	sink     *mailSink // the destination; down until the end
	promised *promises
	refused  map[int]int // replies to new mail since the fault, by code; 0 = no reply
}

// newTrouble starts a gateway on a state directory and lets it accept n messages for a server that is down.
func newTrouble(t *testing.T, state, extra string, n int, under ...string) *trouble {
	t.Helper()
	tr := &trouble{t: t, sink: newSink(t, false), promised: newPromises("trouble"), refused: map[int]int{}}
	tr.l = launch{state: state, under: under, config: tortureConfig(t, extra, map[string]*mailSink{"example.net": tr.sink})}
	tr.p = tr.l.must(t)
	for range n {
		if code := tr.offer(5000); code != 250 {
			t.Fatalf("new mail is answered %d before there is any trouble\n%s", code, tr.p.log())
		}
	}
	clear(tr.refused)
	return tr
}

// offer sends one message, and returns the code of the reply that decided.
func (tr *trouble) offer(size int) int {
	id, to := tr.promised.next(), []string{"b@example.net"}
	err := sendOnce(tr.p.address, id, to, size)
	code := replyCode(err)
	if err == nil {
		tr.promised.add(id, to)
		code = 250
	}
	tr.promised.mu.Lock()
	tr.refused[code]++
	tr.promised.mu.Unlock()
	return code
}

// wantTemporary offers mail and wants it answered 4xx.
func (tr *trouble) wantTemporary(n int) {
	tr.t.Helper()
	for range n {
		if code := tr.offer(5000); code/100 != 4 {
			tr.t.Errorf("new mail is answered %d\n%.3000s", code, tr.p.log())
		}
	}
}

// wantLog wants the process to have said something.
func (tr *trouble) wantLog(pattern string) {
	tr.t.Helper()
	if logCount(tr.p.log(), pattern) == 0 {
		tr.t.Errorf("the log does not say %q:\n%.3000s", pattern, tr.p.log())
	}
}

// wantAlive wants the process to be there.
func (tr *trouble) wantAlive() {
	tr.t.Helper()
	select {
	case err := <-tr.p.waited:
		tr.p.waited <- err
		tr.t.Fatalf("the process ended: %v\n%.5000s", err, tr.p.log())
	default:
	}
}

// recover wants new mail to be accepted again, and returns how soon.
func (tr *trouble) recover() time.Duration {
	tr.t.Helper()
	begin := time.Now()
	for time.Since(begin) < 30*time.Second {
		if tr.offer(5000) == 250 {
			return time.Since(begin)
		}
		time.Sleep(100 * time.Millisecond)
	}
	tr.t.Errorf("new mail is not accepted again: %v\n%.3000s", tr.refused, tr.p.log())
	return time.Since(begin)
}

// restart kills the process and starts it anew.
func (tr *trouble) restart() {
	tr.t.Helper()
	tr.p.kill()
	tr.p = tr.l.must(tr.t)
}

// finish brings the destination back and wants everything that was answered 250 to arrive.
func (tr *trouble) finish(what string, soon time.Duration) {
	tr.t.Helper()
	tr.wantAlive()
	tr.sink.up(tr.t)
	drain(tr.t, tr.l, time.Minute)
	came, lost := arrived(tr.sink), 0
	for d := range tr.promised.copied() {
		if len(came[d]) == 0 {
			if lost++; lost < 10 {
				tr.t.Errorf("%s was answered 250 and is lost", d.id)
			}
		}
	}
	tr.sink.check(tr.t)
	if err := tr.p.stop(); err != nil {
		tr.t.Errorf("ended with %v", err)
	}
	tr.t.Logf("FIGURES %s: replies to new mail since the fault %v, %d messages promised by 250, %d lost, accepted again after %v", what, tr.refused, tr.promised.count(), lost, soon.Round(time.Millisecond))
}

// smallDisk mounts a file system of its own, or skips the test aloud.
func smallDisk(t *testing.T, kind, options string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root can mount a small disk; the fault was not tested")
	}
	dir := t.TempDir()
	if kind == "tmpfs" {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
			t.Skipf("SKIPPED: no tmpfs could be mounted (%v); the fault was not tested", err)
		}
	} else {
		image := filepath.Join(t.TempDir(), "disk")
		f, err := os.Create(image)
		if err == nil {
			err = f.Truncate(200 << 20)
			f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("mkfs.ext4", "-q", "-F", "-m", "0", image).CombinedOutput(); err != nil {
			t.Skipf("SKIPPED: no ext4 could be made (%v, %s); the fault was not tested", err, out)
		}
		if out, err := exec.Command("mount", "-o", "loop,"+options, image, dir).CombinedOutput(); err != nil {
			t.Skipf("SKIPPED: no loop device could be mounted (%v, %s); the fault was not tested", err, out)
		}
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// hoard writes a file that leaves nothing free.
func hoard(t *testing.T, dir string) string {
	t.Helper()
	name := filepath.Join(dir, "hoard")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 1<<20); len(block) > 0; {
		if _, err := f.Write(block); err != nil {
			block = block[:len(block)/2]
		}
	}
	f.Sync()
	return name
}

const smallReserve = "[queue]\nmin_free = 67108864\n"

// TestFullDisk fills the disk behind the gateway's back to the last byte: new mail is answered 452, nothing dies, also not when
// it is killed and started again meanwhile, and when there is room again it goes on by itself.
func TestFullDisk(t *testing.T) {
	inFull(t)
	for _, kind := range []string{"tmpfs", "ext4"} {
		t.Run(kind, func(t *testing.T) {
			options := "noatime"
			if kind == "tmpfs" {
				options = "size=200m"
			}
			disk := smallDisk(t, kind, options)
			tr := newTrouble(t, filepath.Join(disk, "state"), smallReserve, 50)
			file := hoard(t, disk)
			tr.wantTemporary(10)
			if tr.refused[452] != 10 {
				t.Errorf("replies %v, all should be 452", tr.refused)
			}
			tr.sink.up(t) // an attempt on a full disk
			cli(t, "", "queue", "flush", "--state", tr.l.state, "--config", tr.l.config)
			time.Sleep(time.Second)
			tr.sink.down()
			tr.wantAlive()
			tr.wantLog("(?i)free space|full|no space")
			os.Remove(file)
			soon := tr.recover()
			// Killed on a full disk: it says why it does not start, and touches nothing.
			tr.p.kill()
			file = hoard(t, disk)
			if p, _, err := tr.l.start(t); err == nil {
				tr.p = p
				tr.wantTemporary(1)
				tr.p.kill()
			} else if !strings.Contains(err.Error(), "free space") && !strings.Contains(err.Error(), "no space left") || strings.Contains(err.Error(), "goroutine ") {
				t.Errorf("a start on a full disk says: %v", err)
			}
			os.Remove(file)
			tr.p = tr.l.must(t)
			tr.finish("full "+kind, soon)
		})
	}
}

// TestNoInodes takes all inodes of the disk.
func TestNoInodes(t *testing.T) {
	inFull(t)
	disk := smallDisk(t, "tmpfs", "size=400m,nr_inodes=1000")
	tr := newTrouble(t, filepath.Join(disk, "state"), smallReserve, 50)
	many := filepath.Join(disk, "many")
	if err := os.Mkdir(many, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		f, err := os.Create(filepath.Join(many, fmt.Sprint(i)))
		if err != nil {
			break
		}
		f.Close()
	}
	tr.wantTemporary(10)
	tr.wantAlive()
	tr.wantLog("inodes")
	os.RemoveAll(many)
	tr.finish("no inodes", tr.recover())
}

// TestReadOnlyDisk lets an ext4 find an error of its own, whereupon it allows no more writing: new mail is answered 4xx
// until the disk was repaired and the process started again.
func TestReadOnlyDisk(t *testing.T) {
	inFull(t)
	disk := smallDisk(t, "ext4", "errors=remount-ro")
	var st unix.Stat_t
	if err := unix.Stat(disk, &st); err != nil {
		t.Fatal(err)
	}
	image, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/loop/backing_file", unix.Major(st.Dev), unix.Minor(st.Dev)))
	if err != nil {
		t.Skipf("SKIPPED: the loop device is not in /sys: %v", err)
	}
	device, err := os.Readlink(fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)))
	if err != nil {
		t.Skipf("SKIPPED: the loop device is not in /sys: %v", err)
	}
	tr := newTrouble(t, filepath.Join(disk, "state"), smallReserve, 50)
	if err := os.WriteFile("/sys/fs/ext4/"+filepath.Base(device)+"/trigger_fs_error", []byte("a test\n"), 0); err != nil {
		t.Skipf("SKIPPED: this kernel cannot be told of a damaged ext4: %v", err)
	}
	tr.wantTemporary(10)
	tr.wantAlive()
	tr.wantLog("level=ERROR.*storage failed")
	// A restart does not help as long as the disk is as it is, and says so.
	tr.p.kill()
	if p, _, err := tr.l.start(t); err == nil {
		t.Error("it starts on a read-only disk")
		p.kill()
	} else if !strings.Contains(err.Error(), "read-only") {
		t.Errorf("a start on a read-only disk says: %v", err)
	}
	// What an administrator does: unmount, check, mount.
	if err := unix.Unmount(disk, 0); err != nil {
		t.Fatal(err)
	}
	exec.Command("fsck.ext4", "-p", "-f", strings.TrimSpace(string(image))).Run()
	if out, err := exec.Command("mount", "-o", "loop", strings.TrimSpace(string(image)), disk).CombinedOutput(); err != nil {
		t.Fatalf("mounting again: %v\n%s", err, out)
	}
	tr.p = tr.l.must(t)
	tr.finish("read-only", tr.recover())
}

// TestFailingDisk lets system calls fail by which something becomes durable: with EIO nothing is accepted any more until
// the process is started again, since what the disk holds is unknown; with ENOSPC until there is room.
func TestFailingDisk(t *testing.T) {
	inFull(t)
	need(t, "strace")
	for _, c := range []struct {
		call, fails string
		again       bool // works again without a restart
	}{
		{"fdatasync", "EIO", false}, {"pwritev", "EIO", false}, {"msync", "EIO", false}, {"fsync", "EIO", false}, {"pwrite64", "EIO", false},
		{"pwritev", "ENOSPC", true}, {"fallocate", "ENOSPC", true}, {"fallocate", "EIO", false}, {"openat", "EMFILE", true},
	} {
		t.Run(c.call+" "+c.fails, func(t *testing.T) {
			tr := newTrouble(t, t.TempDir(), "", 20)
			stop := inject(t, tr.p, fmt.Sprintf("%s:error=%s", c.call, c.fails))
			for i := range 10 { // large ones, so that a segment ends
				size := 5000
				if i > 4 {
					size = 4 << 20
				}
				if code := tr.offer(size); code/100 != 4 && code != 250 {
					t.Errorf("new mail is answered %d\n%.3000s", code, tr.p.log())
				}
			}
			tr.wantAlive()
			stop()
			during := fmt.Sprint(tr.refused)
			if tr.refused[250] == 10 {
				t.Logf("the fault had no effect")
			} else if !c.again {
				tr.wantLog("level=ERROR.*storage failed")
				tr.wantTemporary(1)
				tr.restart()
			}
			clear(tr.refused)
			tr.finish(c.call+" "+c.fails+", "+during, tr.recover())
		})
	}
}

// inject lets system calls of a process fail until stop is called.
func inject(t *testing.T, p *process, what string) (stop func()) {
	t.Helper()
	call, _, _ := strings.Cut(what, ":")
	log := filepath.Join(t.TempDir(), "strace")
	cmd := exec.Command("strace", "-f", "-p", fmt.Sprint(p.cmd.Process.Pid), "-o", log, "-e", "trace="+call, "-e", "inject="+what)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	attached := make(chan bool, 1)
	go func() {
		var said strings.Builder
		b := make([]byte, 4096)
		for {
			n, err := stderr.Read(b)
			if said.Write(b[:n]); strings.Contains(said.String(), "attached") {
				select {
				case attached <- true:
				default:
				}
			}
			if err != nil {
				return
			}
		}
	}()
	select {
	case <-attached:
	case <-time.After(10 * time.Second):
		cmd.Process.Kill()
		t.Skip("SKIPPED: strace cannot attach here; failing system calls were not tested")
	}
	time.Sleep(100 * time.Millisecond) // all its threads
	return func() {
		cmd.Process.Signal(syscall.SIGINT) // strace detaches
		cmd.Wait()
	}
}
