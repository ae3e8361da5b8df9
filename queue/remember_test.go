package queue

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"testing"

	badger "github.com/dgraph-io/badger/v4"
)

// dieAfter begins an attempt of an item that delivers to the recipients that marks say, and ends the queue as if the
// process had died before any of it was recorded.
func dieAfter(t *testing.T, q *Queue, id string, marks ...byte) {
	t.Helper()
	e := begin(t, q, id)
	b, err := q.openBody(e)
	if err != nil {
		t.Fatal(err)
	}
	b.mark(marks)
	b.Close()
}

// TestDeliveriesAreRemembered dies between deliveries and their record: what was delivered is not delivered again, what
// was not is, and an attempt that brought everything it could is none in which the process died.
func TestDeliveriesAreRemembered(t *testing.T) {
	dir, clk := t.TempDir(), newClock()
	q := open(t, Config{Dir: dir, Now: clk.Now})
	two := func(id string) Draft {
		d := draft(id)
		d.Recipients = []string{"one@example.com", "two@example.net"}
		return d
	}
	put(t, q, two("none"), two("one"), two("both"), two("idle"))
	dieAfter(t, q, "none", 0, 0)
	dieAfter(t, q, "one", 0, markDelivered)
	dieAfter(t, q, "both", markDelivered, markDelivered)
	q.Close()

	var tried []string
	q = open(t, Config{Dir: dir, Now: clk.Now, Workers: 1, Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
		for _, n := range it.Pending() {
			tried = append(tried, it.ID+" "+n.Address)
		}
		return all(it, Delivered, "250 ok")
	})})
	if _, err := q.Get("both"); !errors.Is(err, ErrNotFound) {
		t.Errorf("delivered, but still there: %v", err)
	}
	for id, want := range map[string]struct {
		first, second State
		crashes       int
	}{"none": {Pending, Pending, 1}, "one": {Pending, Delivered, 1}, "idle": {Pending, Pending, 0}} {
		it, err := q.Get(id)
		if err != nil {
			t.Fatal(err)
		}
		if it.Recipients[0].State != want.first || it.Recipients[1].State != want.second || it.Crashes != want.crashes {
			t.Errorf("%s: %+v", id, it)
		}
	}
	if left := tries(t, q); left != 0 {
		t.Errorf("%d marks of attempts are left", left)
	}
	stop := run(t, q)
	wait(t, "the rest delivered", func() bool { return len(list(t, q, Filter{})) == 0 })
	stop()
	if len(tried) != 5 {
		t.Errorf("tried %v, want both of none and idle, and the first of one", tried)
	}
	for _, x := range tried {
		if x == "one two@example.net" {
			t.Errorf("delivered a second time: %s", x)
		}
	}
	q.Close()
	open(t, Config{Dir: dir, Now: clk.Now})
}

// TestMarkedBeforeTheIndex: a delivery is marked in the spool before the index has it, a failure and a deferral are not.
func TestMarkedBeforeTheIndex(t *testing.T) {
	it := &Item{Recipients: []Recipient{{Address: "a"}, {Address: "b", State: Delivered}, {Address: "c"}, {Address: "d", State: Failed}, {Address: "e"}}}
	got := marksOf(it, []Result{{State: Delivered}, {State: Failed}, {State: Deferred}})
	if want := []byte{markDelivered, markDelivered, 0, markFailed, 0}; !bytes.Equal(got, want) {
		t.Errorf("marks %x, want %x", got, want)
	}
}

// tries counts the attempts that the index thinks are under way.
func tries(t *testing.T, q *Queue) (n int) {
	t.Helper()
	err := q.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte(tryPrefix)})
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			n++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestAttemptBeginsWithPut: while a worker is free, the commit of a Put notes the attempts that it begins, and only those.
func TestAttemptBeginsWithPut(t *testing.T) {
	began, release := make(chan string, 10), make(chan bool)
	q := open(t, Config{Dir: t.TempDir(), Workers: 4, Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
		began <- it.ID
		<-release
		return all(it, Delivered, "250 ok")
	})})
	run(t, q)
	wait(t, "running", func() bool { q.sched.mu.Lock(); defer q.sched.mu.Unlock(); return q.sched.begin != nil })
	held, later := draft("held"), draft("d")
	held.Hold = "why"
	put(t, q, draft("first"))
	<-began
	if n := tries(t, q); n != 1 {
		t.Errorf("%d attempts are noted, want 1: one of four workers finds out about a lane", n)
	}
	release <- true
	wait(t, "the first one delivered", func() bool { return len(list(t, q, Filter{})) == 0 })
	put(t, q, held, draft("a"), draft("b"), draft("c"), later) // three of four workers are for one lane
	for range 3 {
		if id := <-began; id == "held" {
			t.Error("a held item was tried")
		}
	}
	if n := tries(t, q); n != 3 {
		t.Errorf("%d attempts are noted, want 3", n)
	}
	q.sched.mu.Lock()
	if q.sched.running != 3 || len(q.sched.active) < 3 {
		t.Errorf("%d running, %d active", q.sched.running, len(q.sched.active))
	}
	q.sched.mu.Unlock()
	close(release)
	wait(t, "all delivered", func() bool { return len(list(t, q, Filter{Active: true})) == 0 })
	if n := tries(t, q); n != 0 {
		t.Errorf("%d attempts are noted after all ended", n)
	}
	wait(t, "workers free", func() bool {
		q.sched.mu.Lock()
		defer q.sched.mu.Unlock()
		return q.sched.running == 0 && len(q.sched.active) == 0 && q.sched.trials == 0 && q.sched.lanes[""].known == 0 && q.sched.lanes[""].running == 0
	})
}

// TestTornFirstRecord dies while the very first record of a queue is written: it was never acknowledged, and nobody is
// to be bothered with it, as little as with a later one.
func TestTornFirstRecord(t *testing.T) {
	dir := t.TempDir()
	q := open(t, Config{Dir: dir})
	r, err := q.prepare(draft("torn"))
	if err != nil {
		t.Fatal(err)
	}
	if err := q.spool.append([]*record{r}); err != nil {
		t.Fatal(err)
	}
	flip(t, q.spool.path(r.place.seg), r.place.off+headerSize+int64(len(r.marks)+len(r.env)))
	name := q.spool.path(r.place.seg)
	if err := os.Link(name, name+".kept"); err != nil {
		t.Fatal(err)
	}
	q.Close() // removes the segment, which a process that dies does not
	if err := os.Rename(name+".kept", name); err != nil {
		t.Fatal(err)
	}
	q = open(t, Config{Dir: dir})
	if got := list(t, q, Filter{}); len(got) != 0 {
		t.Errorf("taken in: %q", got)
	}
}
