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

// TestHoldsSurviveRebuild: what the queue itself held is held after the index was lost, and what was released lives anew.
func TestHoldsSurviveRebuild(t *testing.T) {
	dir, clk := t.TempDir(), newClock()
	cfg := Config{Dir: dir, Now: clk.Now, HoldDoubleBounce: true, Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
		return all(it, Failed, "550 5.1.1 unknown")
	})}
	q := open(t, cfg)
	h := draft("released")
	h.Hold = "spam"
	put(t, q, Draft{ID: "double", Recipients: []string{"a@example.com"}}, h)
	stop := run(t, q)
	wait(t, "held", func() bool { it, _ := q.Get("double"); return it.Hold != "" })
	stop()
	clk.set(clk.Now().Add(240 * time.Hour))
	if err := q.Release("released"); err != nil {
		t.Fatal(err)
	}
	q.Close()
	for range 2 { // names are unique also at the same time
		if n, err := Rebuild(Config{Dir: dir, Now: clk.Now, MinFree: 1 << 20}); n != 2 || err != nil {
			t.Fatal(n, err)
		}
	}
	q = open(t, cfg)
	if it, _ := q.Get("double"); it.Hold == "" {
		t.Errorf("%+v", it)
	}
	if it, _ := q.Get("released"); it.Hold != "" || !it.Expires.Equal(clk.Now().Add(192*time.Hour)) {
		t.Errorf("%+v", it)
	}
}

// TestNotificationIsNotAdopted dies between the spool's record of a notification and the index: what it is about is
// tried again and makes another, so that it is not taken in.
func TestNotificationIsNotAdopted(t *testing.T) {
	dir := t.TempDir()
	q := open(t, Config{Dir: dir})
	put(t, q, draft("m"))
	e, err := q.get("m")
	if err != nil {
		t.Fatal(err)
	}
	o := q.concluding(&conclusion{e: e, after: e.clone(), notices: []Draft{{ID: "notice", Recipients: []string{"alice@example.org"}}}})
	r, err := q.prepare(draft("other"))
	if err != nil {
		t.Fatal(err)
	}
	if err := q.spool.append(append(o.records, r)); err != nil {
		t.Fatal(err)
	}
	q.Close()
	q = open(t, Config{Dir: dir})
	if got := fmt.Sprint(list(t, q, Filter{})); got != "[m other]" {
		t.Errorf("list %s", got)
	}
	if sum, err := q.Check(context.Background(), func(f Finding) { t.Error(f) }); err != nil || sum.Items != 2 {
		t.Error(sum, err)
	}
}

// TestOldCopiesAreDead moves records, finishes the items, and finds the segment of the old copies again.
func TestOldCopiesAreDead(t *testing.T) {
	dir := t.TempDir()
	q := open(t, Config{Dir: dir})
	put(t, q, draft("a"), draft("b"))
	if err := q.do(context.Background(), &op{apply: func(*tx) error { return errors.Join(q.spool.seal(), errStale) }}); !errors.Is(err, errStale) {
		t.Fatal(err)
	}
	seg := files(t, dir, "spool/*.seg")[0]
	if err := os.Link(seg, seg+".kept"); err != nil {
		t.Fatal(err)
	}
	if err := q.empty(context.Background(), 1); err != nil {
		t.Fatal(err)
	}
	if err := q.Delete("a", "b"); err != nil {
		t.Fatal(err)
	}
	q.Close()
	if err := os.Rename(seg+".kept", seg); err != nil {
		t.Fatal(err)
	}
	if n, err := Rebuild(Config{Dir: dir, MinFree: 1 << 20}); n != 0 || err != nil {
		t.Errorf("%d finished messages came back, %v", n, err)
	}
}

// TestTornTableOfNobody leaves a half-written table in the index, as after a crash: it is no damage.
func TestTornTableOfNobody(t *testing.T) {
	dir := filled(t, 10)
	if err := os.WriteFile(filepath.Join(dir, "index", "000077.sst"), []byte("half a table"), 0o600); err != nil {
		t.Fatal(err)
	}
	log := &logbook{}
	q := open(t, Config{Dir: dir, Log: log.logger()})
	if got := len(list(t, q, Filter{})); got != 9 || strings.Contains(log.String(), "damaged") {
		t.Errorf("%d items\n%s", got, log)
	}
}

// TestScarceFiles has no file descriptor left for a new segment, and then for reading a message: both are put off, and
// nothing is broken or held.
func TestScarceFiles(t *testing.T) {
	clk := newClock()
	var tried atomic.Int64
	q := open(t, Config{Dir: t.TempDir(), Now: clk.Now, Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
		tried.Add(1)
		return all(it, Delivered, "250 ok")
	})})
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	few := limit
	few.Cur = 4 // those that are open stay so
	starve := func(yes bool) {
		t.Helper()
		l := limit
		if yes {
			l = few
		}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
			t.Fatal(err)
		}
	}
	defer starve(false)
	starve(true)
	_, err := q.Put(context.Background(), draft("none"))
	starve(false)
	if err == nil || errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), "too many open files") {
		t.Fatalf("Put: %v", err)
	}
	put(t, q, draft("m"))
	run(t, q)
	wait(t, "delivered", func() bool { return len(list(t, q, Filter{})) == 0 && tried.Load() == 1 })
	starve(true)
	put(t, q, draft("n"))
	wait(t, "put off", func() bool { it, err := q.Get("n"); return err == nil && it.Attempts == 1 })
	starve(false)
	if it, err := q.Get("n"); err != nil || it.Hold != "" || !it.Next.After(clk.Now()) || tried.Load() != 1 {
		t.Errorf("%+v, %v, %d attempts", it, err, tried.Load())
	}
	clk.set(clk.Now().Add(time.Hour))
	q.sched.kick()
	wait(t, "delivered", func() bool { return len(list(t, q, Filter{})) == 0 && tried.Load() == 2 })
}
