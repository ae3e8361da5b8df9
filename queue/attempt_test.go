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
)

// step moves the clock to the next due time and waits until that attempt is recorded.
func step(t *testing.T, q *Queue, clk *clock, id string) {
	t.Helper()
	it, err := q.Get(id)
	if err != nil {
		t.Fatal(err)
	}
	if it.Next.After(clk.Now()) {
		clk.set(it.Next)
	}
	q.sched.kick()
	wait(t, "an attempt of "+id, func() bool {
		now, err := q.Get(id)
		return errors.Is(err, ErrNotFound) || err == nil && (now.Attempts > it.Attempts || now.Hold != "")
	})
}

// TestRetryScheduleAndExpiry has a destination that is down for ever: pauses grow from a minute to an hour with their
// jitter, the last attempt is at the end of the 192 hours and not before, and then exactly one notification names both recipients.
func TestRetryScheduleAndExpiry(t *testing.T) {
	clk := newClock()
	start := clk.Now()
	var at []time.Time
	var bounces int
	q := open(t, Config{Dir: t.TempDir(), Now: clk.Now,
		Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
			if it.Sender == "" {
				return all(it, Delivered, "250 ok")
			}
			at = append(at, clk.Now())
			if it.Attempts != len(at) {
				t.Errorf("attempt %d calls itself %d", len(at), it.Attempts)
			}
			return all(it, Deferred, "450 4.3.2 down")
		}),
		Notify: func(n Notice) (Draft, bool) {
			it, failed := n.Item, n.About
			bounces++
			if len(failed) != 2 || failed[0].State != Failed || !strings.Contains(failed[0].Reply, "4.4.7") && !strings.Contains(failed[0].Reply, "450 4.3.2 down") {
				t.Errorf("failed %+v", failed)
			}
			return Draft{ID: "dsn", Recipients: []string{it.Sender}, Body: [][]byte{[]byte("dsn")}}, true
		}})
	put(t, q, draft("m"))
	run(t, q)
	for n := 0; ; n++ {
		if _, err := q.Get("m"); errors.Is(err, ErrNotFound) {
			break
		}
		if n > 400 {
			t.Fatal("no end")
		}
		step(t, q, clk, "m")
	}
	wait(t, "notification delivered", func() bool { return len(list(t, q, Filter{})) == 0 })
	if bounces != 1 {
		t.Errorf("%d notifications", bounces)
	}
	for i := 1; i < len(at)-1; i++ {
		pause := at[i].Sub(at[i-1])
		want := min(time.Minute<<min(i-1, 20), time.Hour)
		if pause < want*79/100 || pause > want*121/100 {
			t.Errorf("pause %d is %v, want %v ± 20%%", i, pause, want)
		}
	}
	if last := at[len(at)-1].Sub(start); last != 192*time.Hour {
		t.Errorf("last attempt after %v", last)
	}
	if len(at) < 150 || len(at) > 250 {
		t.Errorf("%d attempts", len(at))
	}
}

// TestClockJumpsForward past the lifetime of an item that was never tried: it gets its attempt.
func TestClockJumpsForward(t *testing.T) {
	clk := newClock()
	q := open(t, Config{Dir: t.TempDir(), Now: clk.Now, Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
		return all(it, Delivered, "250 ok")
	}), Notify: func(Notice) (Draft, bool) { t.Error("expired"); return Draft{}, false }})
	put(t, q, draft("m"))
	clk.set(clk.Now().Add(240 * time.Hour))
	run(t, q)
	wait(t, "delivered", func() bool { return len(list(t, q, Filter{})) == 0 })
}

// TestPerRecipientResults has one recipient delivered, one refused, one deferred, one without a result; only the open ones are tried again.
func TestPerRecipientResults(t *testing.T) {
	clk, tried := newClock(), make(chan string, 10)
	q := open(t, Config{Dir: t.TempDir(), Now: clk.Now,
		Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
			var to []string
			for _, r := range it.Pending() {
				to = append(to, r.Address)
			}
			tried <- strings.Join(to, " ")
			if it.ID != "m" || it.Attempts > 1 {
				return all(it, Delivered, "250 ok")
			}
			return []Result{{State: Delivered, Reply: "250 ok", Server: "mx"}, {State: Failed, Reply: "550 5.1.1 unknown"}, {State: Deferred, Reply: "450 busy"}}
		}),
		Notify: func(n Notice) (Draft, bool) {
			return Draft{ID: "dsn", Recipients: []string{n.Item.Sender}, Body: [][]byte{[]byte(n.About[0].Address + " " + n.About[0].Reply)}}, len(n.About) == 1 && n.Kind == NoticeFailed
		}})
	put(t, q, Draft{ID: "m", Sender: "s@example.org", Recipients: []string{"a@example.com", "b@example.com", "c@example.com", "d@example.com"}})
	run(t, q)
	if got := <-tried; got != "a@example.com b@example.com c@example.com d@example.com" {
		t.Errorf("first %q", got)
	}
	if got := <-tried; got != "s@example.org" {
		t.Errorf("notification to %q", got)
	}
	it, err := q.Get("m")
	if err != nil {
		t.Fatal(err)
	}
	var states []string
	for _, r := range it.Recipients {
		states = append(states, r.State.String()+" "+r.Reply)
	}
	if got := strings.Join(states, "|"); got != "delivered 250 ok|failed 550 5.1.1 unknown|deferred 450 busy|deferred 451 4.3.0 no result" {
		t.Errorf("states %s", got)
	}
	step(t, q, clk, "m")
	if got := <-tried; got != "c@example.com d@example.com" {
		t.Errorf("second %q", got)
	}
	wait(t, "queue empty", func() bool { return len(list(t, q, Filter{})) == 0 })
}

func TestDoubleBounceIsDroppedAloud(t *testing.T) {
	log := &logbook{}
	q := open(t, Config{Dir: t.TempDir(), Log: log.logger(), Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
		return all(it, Failed, "550 5.1.1 unknown")
	}), Notify: func(n Notice) (Draft, bool) {
		return Draft{Recipients: []string{n.Item.Sender}}, n.Item.Sender != ""
	}})
	put(t, q, draft("m"))
	run(t, q)
	wait(t, "queue empty", func() bool { return len(list(t, q, Filter{})) == 0 })
	wait(t, "double bounce logged", func() bool { return strings.Count(log.String(), "double bounce, dropped") == 1 })
}

// TestBounceThatCannotBeMade holds the item: a failure without a notification would be a silent loss.
func TestBounceThatCannotBeMade(t *testing.T) {
	for name, bounce := range map[string]func(Notice) (Draft, bool){
		"panic":   func(Notice) (Draft, bool) { panic("no") },
		"invalid": func(Notice) (Draft, bool) { return Draft{}, true },
	} {
		q := open(t, Config{Dir: t.TempDir(), Notify: bounce, Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
			return all(it, Failed, "550 5.1.1 unknown")
		})})
		put(t, q, draft("m"))
		run(t, q)
		wait(t, name+": held", func() bool { return len(list(t, q, Filter{Held: true})) == 1 })
		if it, _ := q.Get("m"); len(it.Pending()) != 2 {
			t.Errorf("%s: %+v", name, it)
		}
	}
}

func TestHoldReleaseDelete(t *testing.T) {
	clk := newClock()
	var tries atomic.Int64
	q := open(t, Config{Dir: t.TempDir(), Now: clk.Now, Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
		tries.Add(1)
		return all(it, Deferred, "450 later")
	})})
	held := draft("q")
	held.Hold = "spam 99"
	put(t, q, held, draft("m"), draft("n"))
	run(t, q)
	wait(t, "two tried", func() bool { return tries.Load() == 2 })
	wait(t, "two recorded", func() bool { a, _ := q.Get("m"); b, _ := q.Get("n"); return a.Attempts+b.Attempts == 2 })
	if err := q.Hold("look at it", "m"); err != nil {
		t.Fatal(err)
	}
	clk.set(clk.Now().Add(24 * time.Hour))
	q.sched.kick()
	wait(t, "n tried again", func() bool { n, _ := q.Get("n"); return n.Attempts == 2 })
	if m, _ := q.Get("m"); m.Attempts != 1 || m.Hold != "look at it" || !m.Next.IsZero() {
		t.Fatalf("held item %+v", m)
	}
	clk.set(clk.Now().Add(30 * 24 * time.Hour)) // far beyond its lifetime, which then begins anew
	if err := q.Release("m", "q"); err != nil {
		t.Fatal(err)
	}
	wait(t, "released ones tried", func() bool { m, _ := q.Get("m"); a, _ := q.Get("q"); return m.Attempts == 2 && a.Attempts == 1 })
	if m, _ := q.Get("m"); m.Hold != "" || m.Recipients[0].State != Deferred {
		t.Fatalf("released item %+v", m)
	}
	if err := q.Delete("m", "q"); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{"hold": q.Hold("x", "m"), "release": q.Release("m"), "delete": q.Delete("m")} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("%s of nobody: %v", name, err)
		}
	}
	wait(t, "n, which was not held, expired", func() bool { return len(list(t, q, Filter{})) == 0 })
}

func TestFlushAndFilter(t *testing.T) {
	clk := newClock()
	var mu sync.Mutex
	tried := map[string]int{}
	q := open(t, Config{Dir: t.TempDir(), Now: clk.Now, Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
		mu.Lock()
		defer mu.Unlock()
		tried[it.ID]++
		return all(it, Deferred, "450 later")
	})})
	put(t, q, Draft{ID: "a", Sender: "s@example.org", Recipients: []string{"x@Example.com"}},
		Draft{ID: "b", Sender: "", Recipients: []string{"y@example.net", "x@example.com"}},
		Draft{ID: "c", Sender: "S@example.org", Recipients: []string{"y@example.net"}},
		Draft{ID: "h", Sender: "s@example.org", Recipients: []string{"x@example.com"}, Hold: "held"})
	for want, f := range map[string]Filter{
		"[a b c h]": {}, "[a c h]": {Sender: "s@EXAMPLE.org"}, "[b]": {Sender: "<>"}, "[a b h]": {Domain: "EXAMPLE.COM"}, "[h]": {Held: true},
		"[a b c]": {Active: true}, "[c]": {ID: "c"}, "[]": {ID: "c", Held: true}, "[a b]": {Domain: "example.com", Active: true},
	} {
		if got := fmt.Sprint(list(t, q, f)); got != want {
			t.Errorf("%+v: %s, want %s", f, got, want)
		}
	}
	run(t, q)
	wait(t, "all tried", func() bool {
		n := 0
		for _, id := range []string{"a", "b", "c"} {
			it, _ := q.Get(id)
			n += it.Attempts
		}
		return n == 3
	})
	if n, err := q.Flush(Filter{Domain: "example.com"}); n != 2 || err != nil {
		t.Fatalf("flushed %d, %v", n, err)
	}
	wait(t, "flushed ones tried", func() bool { mu.Lock(); defer mu.Unlock(); return tried["a"] == 2 && tried["b"] == 2 })
	if tried["c"] != 1 || tried["h"] != 0 {
		t.Errorf("tried %v", tried)
	}
	stopped := 0
	if err := q.List(context.Background(), Filter{}, func(*Item) bool { stopped++; return false }); err != nil || stopped != 1 {
		t.Errorf("List went on: %d, %v", stopped, err)
	}
}

// TestResultsInAnotherOrder names the recipients: each gets its own result, and one that is not named gets none.
func TestResultsInAnotherOrder(t *testing.T) {
	q := open(t, Config{Dir: t.TempDir(), Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
		return []Result{{Recipient: "b@example.com", State: Deferred, Reply: "450 b"}, {Recipient: "a@example.com", State: Delivered, Reply: "250 a"}, {Recipient: "x@example.com", State: Delivered, Reply: "250 x"}}
	})})
	put(t, q, Draft{ID: "m", Recipients: []string{"a@example.com", "b@example.com", "c@example.com"}})
	run(t, q)
	wait(t, "an attempt", func() bool { it, _ := q.Get("m"); return it.Attempts == 1 })
	it, _ := q.Get("m")
	if r := it.Recipients; r[0].Reply != "250 a" || r[1].Reply != "450 b" || r[2].State != Deferred || r[2].Reply != "451 4.3.0 no result" {
		t.Errorf("%+v", r)
	}
}

// TestDueAgainWhileActive has no pause at all and a clock that stands: the item is due again before its job has ended.
func TestDueAgainWhileActive(t *testing.T) {
	clk := newClock()
	q := open(t, Config{Dir: t.TempDir(), Now: clk.Now, Retry: func(int) time.Duration { return 0 },
		Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
			if it.Attempts < 20 {
				return all(it, Deferred, "450 later")
			}
			return all(it, Delivered, "250 ok")
		})})
	put(t, q, draft("m"))
	run(t, q)
	wait(t, "twenty attempts", func() bool { return len(list(t, q, Filter{})) == 0 })
}

// TestManyRecipientsLongReplies has as many recipients and as long replies as there can be: they are recorded all the same.
func TestManyRecipientsLongReplies(t *testing.T) {
	q := open(t, Config{Dir: t.TempDir(), Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) (rs []Result) {
		for range it.Pending() {
			rs = append(rs, Result{State: Deferred, Reply: "450 " + strings.Repeat("x", 5000), Server: strings.Repeat("s", 5000)})
		}
		return rs
	})})
	d := Draft{ID: "m"}
	for i := range maxAddress {
		d.Recipients = append(d.Recipients, fmt.Sprintf("some.body.with.a.name.of.30%d@example.com", i)[:40])
	}
	put(t, q, d)
	run(t, q)
	wait(t, "an attempt", func() bool { it, _ := q.Get("m"); return it.Attempts == 1 })
	it, _ := q.Get("m")
	if r := it.Recipients[maxAddress-1]; !strings.HasPrefix(r.Reply, "450 xxx") || r.State != Deferred || q.broken() != nil {
		t.Errorf("%+v, %v", r, q.broken())
	}
}

// TestCloseWhileListing closes the queue from elsewhere while List's callback uses it.
func TestCloseWhileListing(t *testing.T) {
	q := open(t, Config{Dir: t.TempDir()})
	put(t, q, draft("a"), draft("b"))
	closed := make(chan error, 1)
	err := q.List(context.Background(), Filter{}, func(it *Item) bool {
		go func() { closed <- q.Close() }()
		wait(t, "Close has begun", q.users.over)
		if err := q.Delete(it.ID); !errors.Is(err, ErrClosed) {
			t.Errorf("Delete: %v", err)
		}
		return true
	})
	if !errors.Is(err, ErrClosed) {
		t.Errorf("List: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestPanicIsDeferred(t *testing.T) {
	log := &logbook{}
	q := open(t, Config{Dir: t.TempDir(), Log: log.logger(), Deliverer: deliverFunc(func(context.Context, *Item, io.ReadSeeker) []Result { panic("kaput") })})
	put(t, q, draft("m"))
	run(t, q)
	wait(t, "attempt recorded", func() bool { it, _ := q.Get("m"); return it.Attempts == 1 })
	if it, _ := q.Get("m"); it.Recipients[1].State != Deferred || it.Crashes != 0 || !strings.Contains(log.String(), "kaput") {
		t.Errorf("%+v\n%s", it, log)
	}
}

// TestGrace ends Run while an attempt is under way: it is waited for, then cancelled, and its result counts.
func TestGrace(t *testing.T) {
	for _, grace := range []time.Duration{time.Hour, 10 * time.Millisecond} {
		began, release := make(chan bool), make(chan bool)
		q := open(t, Config{Dir: t.TempDir(), Grace: grace, Deliverer: deliverFunc(func(ctx context.Context, it *Item, _ io.ReadSeeker) []Result {
			began <- true
			select {
			case <-release:
				return all(it, Delivered, "250 ok")
			case <-ctx.Done():
				return all(it, Deferred, "450 cancelled")
			}
		})})
		put(t, q, draft("m"))
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- q.Run(ctx) }()
		<-began
		cancel()
		put(t, q, draft("not begun any more"[:3]))
		if grace == time.Hour {
			close(release)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		it, err := q.Get("m")
		if grace == time.Hour && !errors.Is(err, ErrNotFound) || grace != time.Hour && (err != nil || it.Recipients[0].Reply != "450 cancelled") {
			t.Errorf("grace %v: %+v, %v", grace, it, err)
		}
		if it, err := q.Get("not"); err != nil || it.Attempts != 0 {
			t.Errorf("begun after the end: %+v, %v", it, err)
		}
	}
}

// TestSlowDomainLeavesWorkers has a domain whose 3000 messages all hang, in front of ten of another domain.
func TestSlowDomainLeavesWorkers(t *testing.T) {
	clk := newClock()
	var slow, fast atomic.Int64
	q := open(t, Config{Dir: t.TempDir(), Workers: 8, Now: clk.Now, Lane: byDomain, Deliverer: deliverFunc(func(ctx context.Context, it *Item, _ io.ReadSeeker) []Result {
		if strings.HasSuffix(it.Recipients[0].Address, "slow.example") {
			slow.Add(1)
			<-ctx.Done()
			return nil
		}
		fast.Add(1)
		return all(it, Delivered, "250 ok")
	}), Grace: time.Millisecond})
	var ds []Draft
	for range 3000 {
		ds = append(ds, Draft{Recipients: []string{"a@slow.example"}, Body: [][]byte{[]byte("x")}})
	}
	for i := 0; i < len(ds); i += 500 {
		put(t, q, ds[i:i+500]...)
	}
	clk.set(clk.Now().Add(time.Second))
	for range 10 {
		put(t, q, Draft{Recipients: []string{"a@fast.example"}, Body: [][]byte{[]byte("x")}})
	}
	stop := run(t, q)
	wait(t, "fast ones delivered", func() bool { return fast.Load() == 10 })
	put(t, q, Draft{Recipients: []string{"a@fast.example"}, Body: [][]byte{[]byte("x")}})
	wait(t, "a new one delivered at once", func() bool { return fast.Load() == 11 })
	q.sched.mu.Lock()
	if len(q.sched.active) > 4*8 {
		t.Errorf("%d active", len(q.sched.active))
	}
	q.sched.mu.Unlock()
	stop()
	if slow.Load() != 2 {
		t.Errorf("%d attempts of the slow domain under way, want 2 of 8 workers, since nothing is known of it", slow.Load())
	}
}
