package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestFullDisk fills a small file system with mail until Put says ErrFull, fills the rest behind its back, and gives
// the space back: the process lives, nothing acknowledged is lost, and the queue goes on by itself.
func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root can mount a small tmpfs; the full disk was not tested")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=160m,mode=0700"); err != nil {
		t.Skipf("SKIPPED: no tmpfs could be mounted (%v); the full disk was not tested", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	cfg := Config{Dir: filepath.Join(dir, "q"), MinFree: 48 << 20}
	q := open(t, cfg)
	body := [][]byte{make([]byte, 100_000)}
	var acked []string
	fill := func() error {
		for len(acked) < 5000 {
			ids, err := q.Put(context.Background(), Draft{Sender: "a@example.org", Recipients: []string{"b@example.com"}, Body: body})
			if err != nil {
				return err
			}
			acked = append(acked, ids...)
		}
		return nil
	}
	if err := fill(); !errors.Is(err, ErrFull) {
		t.Fatalf("after %d messages: %v", len(acked), err)
	}
	if len(acked) < 500 {
		t.Fatalf("only %d messages fitted", len(acked))
	}
	ballast := filepath.Join(dir, "ballast")
	hoard := func(leave int64) {
		t.Helper()
		os.Remove(ballast)
		free, _, err := freeSpace(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(ballast, make([]byte, free-leave), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hoard(11 << 20) // less than a commit needs
	if err := q.Hold("x", acked[0]); !errors.Is(err, ErrFull) {
		t.Errorf("Hold on a full disk: %v", err)
	}
	if err := q.Close(); err != nil {
		t.Fatalf("Close on a full disk: %v", err)
	}
	hoard(11 << 20) // Close has given back what was allocated ahead
	if _, err := Open(cfg); !errors.Is(err, ErrFull) {
		t.Fatalf("Open on a full disk: %v", err)
	}
	os.Remove(ballast)
	var delivered atomic.Int64
	cfg.Deliverer = deliverFunc(func(_ context.Context, it *Item, b io.ReadSeeker) []Result {
		if n, _ := io.Copy(io.Discard, b); n == 100_000 {
			delivered.Add(1)
		}
		return all(it, Delivered, "250 ok")
	})
	q = open(t, cfg)
	if got := list(t, q, Filter{}); len(got) != len(acked) {
		t.Fatalf("%d items, %d acknowledged", len(got), len(acked))
	}
	hoard(20 << 20) // enough to record, not enough to attempt
	run(t, q)
	time.Sleep(50 * time.Millisecond)
	if n := delivered.Load(); n != 0 {
		t.Errorf("%d attempts begun without room", n)
	}
	if err := fill(); !errors.Is(err, ErrFull) {
		t.Errorf("Put: %v", err)
	}
	os.Remove(ballast)
	start := time.Now()
	wait(t, "all delivered", func() bool { return len(list(t, q, Filter{})) == 0 })
	if n := int(delivered.Load()); n != len(acked) || time.Since(start) > 10*time.Second {
		t.Errorf("%d delivered of %d in %v", n, len(acked), time.Since(start))
	}
	put(t, q, draft("after"))
	if segs := files(t, cfg.Dir, "spool/*.seg"); len(segs) > 2 {
		t.Errorf("finished segments are still there: %q", segs)
	}
}

// TestResultsWaitForRoom has the disk full up when a result is to be recorded: it is recorded when there is room, and
// the message is not delivered twice.
func TestResultsWaitForRoom(t *testing.T) {
	var full, inodes atomic.Bool
	var tries atomic.Int64
	q := open(t, Config{Dir: t.TempDir(), Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
		tries.Add(1)
		full.Store(true)
		return all(it, Delivered, "250 ok")
	})})
	q.free = func(string) (int64, int64, error) {
		if full.Load() {
			return 1000, 1 << 20, nil
		}
		if inodes.Load() {
			return 1 << 40, 3, nil
		}
		return 1 << 40, 1 << 20, nil
	}
	put(t, q, draft("m"))
	run(t, q)
	wait(t, "an attempt", func() bool { return tries.Load() == 1 })
	if _, err := q.Put(context.Background(), draft("n")); !errors.Is(err, ErrFull) {
		t.Errorf("Put: %v", err)
	}
	if _, err := q.Get("m"); err != nil {
		t.Errorf("recorded without room: %v", err)
	}
	full.Store(false)
	wait(t, "result recorded", func() bool { return len(list(t, q, Filter{})) == 0 })
	if tries.Load() != 1 {
		t.Errorf("%d attempts", tries.Load())
	}
	inodes.Store(true)
	if _, err := q.Put(context.Background(), draft("n")); !errors.Is(err, ErrFull) || !strings.Contains(err.Error(), "inodes") {
		t.Errorf("Put without inodes: %v", err)
	}
	inodes.Store(false)
}

// TestBrokenDisk lets one sync fail: nothing is taken or attempted any more, until the queue is opened again and has all that was acknowledged.
func TestBrokenDisk(t *testing.T) {
	dir, log := t.TempDir(), &logbook{}
	q := open(t, Config{Dir: dir, Log: log.logger(), Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
		if it.ID == "n" {
			t.Error("attempted on a broken disk")
		}
		return all(it, Deferred, "450 later")
	})})
	put(t, q, draft("m"))
	stop := run(t, q)
	wait(t, "an attempt", func() bool { it, _ := q.Get("m"); return it.Attempts == 1 })
	var good *os.File
	swap := &op{apply: func(*tx) error { // in the committer, whose file it is
		good = q.spool.file
		q.spool.file, _ = os.Open(os.DevNull) // cannot be written
		return errStale
	}}
	if err := q.do(context.Background(), swap); err != errStale {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := q.Put(context.Background(), draft("n")); !errors.Is(err, ErrBroken) {
			t.Fatalf("Put: %v", err)
		}
		q.spool.file = good
	}
	if _, err := q.Flush(Filter{}); !errors.Is(err, ErrBroken) {
		t.Errorf("Flush: %v", err)
	}
	if n := strings.Count(log.String(), "nothing more is taken"); n != 1 {
		t.Errorf("told %d times:\n%s", n, log)
	}
	stop()
	q.Close()
	q = open(t, Config{Dir: dir})
	if got := fmt.Sprint(list(t, q, Filter{ID: "m"})); got != "[m]" {
		t.Errorf("after reopening: %s", got)
	}
	put(t, q, draft("o"))
}
