package queue

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestMain runs the victim of the crash tests when it is asked to.
func TestMain(m *testing.M) {
	if dir := os.Getenv("QUEUE_VICTIM"); dir != "" {
		victim(dir)
		os.Exit(3)
	}
	os.Exit(m.Run())
}

// victimBody is a message that says by itself whether it is whole; its size depends on the id.
func victimBody(id string) []byte {
	var b bytes.Buffer
	size := 200 + int(crc32.ChecksumIEEE([]byte(id))%9000)
	for b.Len() < size {
		fmt.Fprintf(&b, "%s line %d\r\n", id, b.Len())
	}
	return b.Bytes()
}

// victim puts and delivers as fast as it can until it is killed, and says on standard output what it did: "put ID" after
// Put has returned, "got ID" before a delivery is reported to the queue.
func victim(dir string) {
	var mu sync.Mutex
	say := func(verb, id string) {
		mu.Lock()
		defer mu.Unlock()
		os.Stdout.WriteString(verb + " " + id + "\n")
	}
	q, err := Open(Config{Dir: dir, MinFree: 1 << 20, Workers: 8, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})), Retry: func(int) time.Duration { return 20 * time.Millisecond },
		Deliverer: deliverFunc(func(_ context.Context, it *Item, body io.ReadSeeker) []Result {
			b, err := io.ReadAll(body)
			if err != nil || !bytes.Equal(b, victimBody(it.ID)) {
				say("bad", it.ID)
				return nil
			}
			if rand.IntN(3) == 0 {
				return all(it, Deferred, "450 4.2.0 later")
			}
			say("got", it.ID)
			return all(it, Delivered, "250 2.0.0 ok")
		})})
	if err != nil {
		say("err", strings.ReplaceAll(err.Error(), "\n", " "))
		return
	}
	say("open", "")
	go q.Run(context.Background())
	for range 8 {
		go func() {
			for {
				ds := make([]Draft, 1+rand.IntN(3))
				for i := range ds {
					id := NewID()
					ds[i] = Draft{ID: id, Sender: "a@example.org", Recipients: []string{"b@example.com"}, Body: [][]byte{victimBody(id)}}
				}
				ids, err := q.Put(context.Background(), ds...)
				if err != nil {
					say("err", err.Error())
					return
				}
				for _, id := range ids {
					say("put", id)
				}
			}
		}()
	}
	select {}
}

// ledger is what victims said and what a queue must therefore hold.
type ledger struct {
	put map[string]bool
	got map[string]int
}

func newLedger() *ledger { return &ledger{map[string]bool{}, map[string]int{}} }

// run starts a victim on dir (under the given command, if any) and kills it at a random moment at most limit after it
// has opened the queue.
func (l *ledger) run(t *testing.T, dir string, limit time.Duration, under ...string) {
	t.Helper()
	args := append(under, os.Args[0])
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "QUEUE_VICTIM="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	late := time.AfterFunc(30*time.Second, kill)
	defer late.Stop()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		verb, id, _ := strings.Cut(lines.Text(), " ")
		switch verb {
		case "open": // from now on at any moment
			timer := time.AfterFunc(rand.N(limit), kill)
			defer timer.Stop()
		case "put":
			l.put[id] = true
		case "got":
			l.got[id]++
		default:
			kill()
			t.Fatalf("victim: %s", lines.Text())
		}
	}
	cmd.Wait()
	if strings.Contains(log.String(), "set aside") || strings.Contains(log.String(), "missing") {
		t.Errorf("a crash damaged something:\n%s", log.String())
	}
}

// check opens the queue and compares.
func (l *ledger) check(t *testing.T, dir string, kills int) {
	t.Helper()
	q := open(t, Config{Dir: dir})
	defer q.Close()
	there := map[string]bool{}
	for _, id := range list(t, q, Filter{}) {
		there[id] = true
		if b := readBody(t, q, id); b != string(victimBody(id)) {
			t.Errorf("%s is not whole", id)
		}
	}
	held := list(t, q, Filter{Held: true})
	lost, twice := 0, 0
	for id := range l.put {
		if l.got[id] == 0 && !there[id] {
			lost++
		}
	}
	for _, n := range l.got {
		twice += n - 1
	}
	t.Logf("%d kills: %d messages acknowledged, %d delivered, %d still queued (%d held), %d lost, %d delivered twice", kills, len(l.put), len(l.got), len(there), len(held), lost, twice)
	if lost > 0 {
		t.Errorf("%d acknowledged messages are lost", lost)
	}
	if twice > 8*kills {
		t.Errorf("%d deliveries were repeated: more than were under way", twice)
	}
	if len(held) > 0 {
		t.Errorf("innocent items were held as poison: %q", held)
	}
}

// TestKill kills a process that puts and delivers under load with SIGKILL at random moments, again and again on the
// same directory, and finds every message whose Put had returned delivered or in the queue, whole. QUEUE_KILLS says how often.
func TestKill(t *testing.T) {
	kills := 25
	if testing.Short() {
		kills = 5
	}
	if n, err := strconv.Atoi(os.Getenv("QUEUE_KILLS")); err == nil {
		kills = n
	}
	dir, l := t.TempDir(), newLedger()
	for range kills {
		l.run(t, dir, 150*time.Millisecond)
	}
	l.check(t, dir, kills)
	if len(l.put) < 20*kills {
		t.Errorf("only %d messages were put: the test tests nothing", len(l.put))
	}
}

// TestKillAtSyscall kills the process in the k'th call of each system call by which something becomes durable or
// disappears, so that every step between two of them has been the last.
func TestKillAtSyscall(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("SKIPPED: strace is not installed; kills at chosen system calls were not tested")
	}
	most := 4
	if testing.Short() {
		most = 1
	}
	if n, err := strconv.Atoi(os.Getenv("QUEUE_KILLS")); err == nil {
		most = n
	}
	for _, call := range []string{"pwritev", "fdatasync", "msync", "pwrite64", "fsync", "fallocate", "unlinkat", "ftruncate"} {
		t.Run(call, func(t *testing.T) {
			dir, l := t.TempDir(), newLedger()
			l.run(t, dir, 50*time.Millisecond) // so that there is something to recover
			for k := range most {
				l.run(t, dir, 300*time.Millisecond, "strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace="+call,
					"-e", fmt.Sprintf("inject=%s:signal=SIGKILL:when=%d", call, 1+k*k))
			}
			l.check(t, dir, 1+most)
		})
	}
}
