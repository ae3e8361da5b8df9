package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	badger "github.com/dgraph-io/badger/v4"
)

// to makes a draft for one recipient.
func to(id, address string) Draft {
	return Draft{ID: id, Sender: "s@sender.example", Recipients: []string{address}, Body: [][]byte{[]byte("Subject: x\r\n\r\n" + id)}}
}

// TestLaneDownAndUp: while a lane is down one item at a time probes, each time another one, after growing pauses; then
// the lane opens at full width at once; a line is logged when it goes down and when it is up.
func TestLaneDownAndUp(t *testing.T) {
	clk, log := newClock(), &logbook{}
	var mu sync.Mutex
	var at []time.Time
	var who []string
	var up atomic.Bool
	together, release := make(chan bool, 100), make(chan bool)
	q := open(t, Config{Dir: t.TempDir(), Now: clk.Now, Lane: byDomain, Workers: 8, Log: log.logger(), Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
		mu.Lock()
		at, who = append(at, clk.Now()), append(who, it.ID)
		mu.Unlock()
		if up.Load() {
			together <- true
			<-release
			return all(it, Delivered, "250 ok")
		}
		return downAll(it, "421 going down")
	})})
	for i := range 20 {
		put(t, q, to(fmt.Sprintf("m%02d", i), "a@c.example"))
		clk.set(clk.Now().Add(time.Millisecond))
	}
	run(t, q)
	for range 8 {
		clk.set(settle(t, q))
	}
	settle(t, q)
	if ls := q.Lanes(); len(ls) != 1 || ls[0].Name != "c.example" || ls[0].Failures < 9 || !ls[0].Since.Equal(at[0]) || !ls[0].Until.After(clk.Now()) || ls[0].Reply != "421 going down" || ls[0].Server != "mx.example.net" {
		t.Errorf("lanes %+v", ls)
	}
	seen := map[string]bool{}
	for i, id := range who {
		if seen[id] {
			t.Errorf("%s probed again before all others had", id)
		}
		seen[id] = true
		if first := len(who) - 8; i >= max(first, 1) {
			want := min(time.Minute<<(i-first), 30*time.Minute)
			if pause := at[i].Sub(at[i-1]); pause < want*79/100 || pause > want*121/100 {
				t.Errorf("pause %d is %v, want about %v", i, pause, want)
			}
		}
	}
	if it, _ := q.Get("m00"); it.Recipients[0].Attempts != 0 || it.Attempts != 1 || len(it.History) != 1 || !it.History[0].Down || it.History[0].Reply != "421 going down" || it.History[0].Deferred != 1 {
		t.Errorf("%+v", it)
	}
	put(t, q, to("new", "a@c.example")) // waits like the others
	n := len(who)
	settle(t, q)
	if len(who) != n {
		t.Error("new mail was attempted in a lane that is down")
	}
	up.Store(true)
	clk.set(q.Lanes()[0].Until)
	q.sched.kick()
	<-together
	time.Sleep(20 * time.Millisecond)
	if len(together) != 0 {
		t.Error("more than one item probes")
	}
	release <- true
	for range 6 {
		<-together // three quarters of 8 workers at once
	}
	close(release)
	wait(t, "all delivered", func() bool { return len(list(t, q, Filter{})) == 0 })
	for what, want := range map[string]int{"destination is down": 1, "destination is up again": 1, "probes=9": 1} {
		if n := strings.Count(log.String(), what); n != want {
			t.Errorf("%q is logged %d times\n%s", what, n, log)
		}
	}
}

// TestDownButHeardOf: of attempts that run at the same time one says 421, the others deliver: the lane stays up, the
// item waits for its own pause.
func TestDownButHeardOf(t *testing.T) {
	clk := newClock()
	gate, first := make(chan bool), make(chan bool)
	q := open(t, Config{Dir: t.TempDir(), Now: clk.Now, Workers: 8, Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
		if it.ID == "busy" && it.Attempts == 1 {
			first <- true
			<-gate
			return downAll(it, "421 too many connections")
		}
		return all(it, Delivered, "250 ok")
	})})
	run(t, q)
	put(t, q, to("busy", "a@c.example"))
	<-first
	put(t, q, to("other", "a@c.example"))
	wait(t, "the other delivered", func() bool { return len(list(t, q, Filter{})) == 1 })
	close(gate)
	wait(t, "recorded", func() bool { it, _ := q.Get("busy"); return it.Attempts == 1 })
	settle(t, q)
	it, _ := q.Get("busy")
	if pause := it.Next.Sub(clk.Now()); len(q.Lanes()) != 0 || pause < 40*time.Second || pause > 2*time.Minute {
		t.Errorf("lanes %+v, next in %v", q.Lanes(), pause)
	}
}

// TestPresumedDown: a lane whose last attempt before a restart found it down is probed by one item, and nothing of it
// is given up before that, whatever the clock says.
func TestPresumedDown(t *testing.T) {
	dir, clk := t.TempDir(), newClock()
	var tries, told, late atomic.Int64
	var slow atomic.Bool
	gate := make(chan bool)
	cfg := Config{Dir: dir, Now: clk.Now, Workers: 20, Grace: time.Millisecond, Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
		tries.Add(1)
		if slow.Load() {
			<-gate
		}
		return downAll(it, "connection refused")
	}), Notify: func(n Notice) (Draft, bool) { told.Add(1); return Draft{}, false }}
	q := open(t, cfg)
	for i := range 50 {
		put(t, q, to(fmt.Sprint("m", i), "a@a.example"))
	}
	stop := run(t, q)
	settle(t, q)
	stop()
	q.Close()
	before := tries.Load()
	slow.Store(true)
	clk.set(clk.Now().Add(time.Hour))
	q = open(t, cfg)
	stop = run(t, q)
	wait(t, "a probe", func() bool { return tries.Load() == before+1 })
	time.Sleep(20 * time.Millisecond)
	if n := tries.Load() - before; n != 1 || told.Load() != 0 || q.Lanes()[0].Failures != 1 {
		t.Errorf("%d attempts, %d notifications, %+v", n, told.Load(), q.Lanes())
	}
	close(gate)
	settle(t, q)
	stop()
	q.Close()
	clk.set(clk.Now().Add(240 * time.Hour))
	cfg.Deliverer = deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
		if late.Add(1) == 1 && told.Load() != 0 {
			t.Error("given up before anything was tried")
		}
		return downAll(it, "still refused")
	})
	q = open(t, cfg)
	if told.Load() != 0 || len(list(t, q, Filter{})) != 50 {
		t.Error("given up at Open")
	}
	run(t, q)
	wait(t, "all given up", func() bool { return told.Load() == 50 && len(list(t, q, Filter{})) == 0 })
}

// TestOldIndex opens a queue whose index is from before there were lanes.
func TestOldIndex(t *testing.T) {
	for _, half := range []bool{false, true} {
		dir, clk := t.TempDir(), newClock()
		q := open(t, Config{Dir: dir, Now: clk.Now, Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
			return all(it, Deferred, "450 4.2.0 later")
		})})
		h := to("held", "a@a.example")
		h.Hold = "x"
		put(t, q, to("m", "a@a.example"), to("n", "b@b.example"), h)
		stop := run(t, q)
		settle(t, q)
		stop()
		next := map[string]time.Time{}
		err := q.db.Update(func(txn *badger.Txn) error { // as the version before wrote it
			for _, id := range []string{"m", "n", "held"} {
				e, err := getEntry(txn, id)
				if err != nil {
					return err
				}
				if next[id] = e.Next; e.Hold == "" {
					if err := txn.Delete(dueKey(e.Item)); err != nil {
						return err
					}
					k := append([]byte(oldDuePrefix), dueKey(&Item{ID: id, Next: e.Next})[len(lanePrefix)+1:]...)
					if err := txn.Set(k, append([]byte{0}, "a.example"...)); err != nil {
						return err
					}
				}
				e.Lane, e.History = "", nil
				if half && id == "m" { // converted already when the process died
					e.Lane = "a.example"
					if err := txn.Set(dueKey(e.Item), dueOf(e.Item).encode()); err != nil {
						return err
					}
				} else if b := appendItem(nil, e.Item); b[0] != codecVersion1 {
					t.Errorf("version %d", b[0])
				}
				if err := txn.Set(itemKey(id), e.encode()); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		q.Close()
		log := &logbook{}
		for range 2 {
			q = open(t, Config{Dir: dir, Now: clk.Now, Lane: byDomain, Log: log.logger()})
			for _, id := range []string{"m", "n", "held"} {
				it, err := q.Get(id)
				if err != nil {
					t.Fatal(err)
				}
				if !it.Next.Equal(next[id]) || it.Hold == "" && (it.Attempts != 1 || it.Recipients[0].Reply != "450 4.2.0 later" || it.Lane != byDomain(it.Recipients[0].Address)) {
					t.Errorf("%+v", it)
				}
			}
			if sum, err := q.Check(context.Background(), func(f Finding) { t.Error(f) }); err != nil || sum.Items != 3 {
				t.Errorf("%v, %v", sum, err)
			}
			q.Close()
		}
		if strings.Contains(log.String(), "damaged") || strings.Count(log.String(), "converted") != 1 {
			t.Errorf("log\n%s", log)
		}
	}
}

// TestLaneNames: what Config.Lane may not return, or panics over, is the lane "".
func TestLaneNames(t *testing.T) {
	q := open(t, Config{Dir: t.TempDir(), Lane: func(a string) string {
		switch a[0] {
		case 'p':
			panic("no")
		case 'n':
			return "a\x00b"
		case 'l':
			return strings.Repeat("x", 256)
		}
		return "ok"
	}})
	for a, want := range map[string]string{"p@a": "", "n@a": "", "l@a": "", "o@a": "ok"} {
		put(t, q, to(a[:1], a))
		if it, _ := q.Get(a[:1]); it.Lane != want {
			t.Errorf("%s waits in %q", a, it.Lane)
		}
	}
	if q.panics.Load() == 0 {
		t.Error("no panic")
	}
}

// TestWarning: one warning for an item that its own destination defers, one for an item in a lane that is down, none
// for the null sender, none before its time.
func TestWarning(t *testing.T) {
	clk := newClock()
	var mu sync.Mutex
	var warned []string
	q := open(t, Config{Dir: t.TempDir(), Now: clk.Now, Lane: byDomain, Warn: 4 * time.Hour, Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
		switch byDomain(it.Recipients[0].Address) {
		case "sender.example":
			return all(it, Delivered, "250 ok")
		case "busy.example":
			return all(it, Deferred, "450 busy")
		}
		return downAll(it, "connection refused")
	}), Notify: func(n Notice) (Draft, bool) {
		mu.Lock()
		defer mu.Unlock()
		warned = append(warned, fmt.Sprint(n.Item.ID, n.Kind, n.About[0].Address, clk.Now().Sub(n.Item.Received) >= 4*time.Hour))
		return Draft{Recipients: []string{n.Item.Sender}, Body: [][]byte{[]byte("w")}}, true
	}})
	null := to("null", "a@dead.example")
	null.Sender = ""
	short := to("short", "a@dead.example")
	short.Lifetime = 6 * time.Hour
	put(t, q, to("busy", "a@busy.example"), to("dead", "a@dead.example"), to("dead2", "a@dead.example"), null, short)
	run(t, q)
	start := clk.Now()
	until(t, q, clk, start.Add(4*time.Hour-time.Second))
	if len(warned) != 0 {
		t.Errorf("warned before the time: %q", warned)
	}
	until(t, q, clk, start.Add(12*time.Hour))
	got := map[string]int{}
	for _, w := range warned {
		got[w]++
	}
	for _, want := range []string{"busy1a@busy.exampletrue", "dead1a@dead.exampletrue", "dead21a@dead.exampletrue", "short1a@dead.exampletrue", "short0a@dead.exampletrue"} {
		if got[want] != 1 {
			t.Errorf("%s: %d times", want, got[want])
		}
	}
	if len(warned) != 5 {
		t.Errorf("told %q", warned)
	}
	if it, err := q.Get("dead2"); err != nil || it.Warned.IsZero() {
		t.Errorf("%+v, %v", it, err)
	}
	if _, err := q.Get("short"); !errors.Is(err, ErrNotFound) {
		t.Errorf("short: %v", err)
	}
}

// TestDoubleBounceIsHeld keeps a message from the null sender that fails for good, when that is wanted, and can be tried again.
func TestDoubleBounceIsHeld(t *testing.T) {
	var good atomic.Bool
	q := open(t, Config{Dir: t.TempDir(), HoldDoubleBounce: true, Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
		if good.Load() {
			return all(it, Delivered, "250 ok")
		}
		rs := all(it, Failed, "550 5.1.1 unknown")
		if it.Attempts == 1 && len(rs) == 3 {
			rs[0] = Result{State: Delivered, Reply: "250 ok"}
			rs[1] = Result{State: Deferred, Reply: "450 later"}
		}
		return rs
	}), Retry: func(int) time.Duration { return 0 }, Notify: func(n Notice) (Draft, bool) { return Draft{}, false }})
	put(t, q, Draft{ID: "d", Recipients: []string{"a@a.example", "b@a.example", "c@a.example"}})
	run(t, q)
	wait(t, "held", func() bool { it, err := q.Get("d"); return err == nil && it.Hold != "" })
	it, _ := q.Get("d")
	if it.Hold != "double bounce: 550 5.1.1 unknown" || len(it.Pending()) != 2 || it.Recipients[0].State != Delivered || it.Recipients[2].Reply != "550 5.1.1 unknown" {
		t.Errorf("%+v", it)
	}
	good.Store(true)
	if err := q.Release("d"); err != nil {
		t.Fatal(err)
	}
	wait(t, "delivered", func() bool { return len(list(t, q, Filter{})) == 0 })
}

// TestWidth gives a lane two attempts at the same time.
func TestWidth(t *testing.T) {
	var running, most atomic.Int64
	q := open(t, Config{Dir: t.TempDir(), Workers: 12, Lane: byDomain, Width: func(lane string) int { return map[string]int{"two.example": 2}[lane] }, Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
		if byDomain(it.Recipients[0].Address) == "two.example" {
			n := running.Add(1)
			for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
			}
			time.Sleep(time.Millisecond)
			running.Add(-1)
		}
		return all(it, Delivered, "250 ok")
	})})
	run(t, q)
	for i := range 100 {
		put(t, q, to(fmt.Sprint("m", i), "a@two.example"))
	}
	wait(t, "all delivered", func() bool { return len(list(t, q, Filter{})) == 0 })
	if most.Load() != 2 {
		t.Errorf("%d at once", most.Load())
	}
}

// TestHistoryIsBounded keeps the last ten attempts.
func TestHistoryIsBounded(t *testing.T) {
	clk := newClock()
	q := open(t, Config{Dir: t.TempDir(), Now: clk.Now, Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
		rs := all(it, Deferred, fmt.Sprint("450 ", it.Attempts))
		if it.Attempts == 1 {
			rs[0].State, rs[0].Reply = Delivered, "250 ok"
		}
		return rs
	})})
	put(t, q, draft("m"))
	run(t, q)
	for range 15 {
		step(t, q, clk, "m")
	}
	it, _ := q.Get("m")
	if len(it.History) != 10 || it.History[9].Reply != "450 15" || it.History[0].Reply != "450 6" || it.History[0].Deferred != 1 || it.History[9].Server != "mx.example.net" || !it.History[9].Time.Equal(it.Tried) {
		t.Errorf("%+v", it.History)
	}
}
