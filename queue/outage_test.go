package queue

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// downAll answers every pending recipient as a destination that cannot be reached.
func downAll(it *Item, reply string) []Result {
	rs := all(it, Deferred, reply)
	for i := range rs {
		rs[i].Down = true
	}
	return rs
}

// settled reports whether there is nothing to do at the time that it is, and when there is next.
func settled(q *Queue) (bool, time.Time) {
	s, now := q.sched, q.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running > 0 || len(s.active) > 0 || len(s.expiring) > 0 || s.looking != nil || !s.on || !q.clock.steady() {
		return false, now
	}
	for _, l := range s.lanes {
		if l.expiring || l.more && !l.until.After(now) {
			return false, now
		}
	}
	next := s.alarms.next()
	return next.IsZero() || next.After(now), next
}

// settle waits until there is nothing to do, and returns when there is next.
func settle(t testing.TB, q *Queue) (next time.Time) {
	t.Helper()
	q.sched.kick()
	var ok bool
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(100 * time.Microsecond) {
		if ok, next = settled(q); ok {
			return next
		}
		if time.Now().After(end) {
			t.Fatal("the queue does not come to rest")
		}
	}
}

// until lets the time pass up to end, from one thing to do to the next.
func until(t testing.TB, q *Queue, clk *clock, end time.Time) {
	t.Helper()
	for {
		next := settle(t, q)
		if next.IsZero() || next.After(end) {
			clk.set(end)
			settle(t, q)
			return
		}
		clk.set(next)
	}
}

// TestEightDayOutage has 10,000 messages wait for ten dead destinations, in virtual time: none is lost, none is given up
// before 192 hours have passed, then every recipient is told of exactly once, the null sender never, every sender was
// warned exactly once, and no message was attempted more than 250 times, nor a destination.
func TestEightDayOutage(t *testing.T) {
	const lanes = 10
	messages := 10_000
	if testing.Short() {
		messages = 1000
	}
	clk := newClock()
	start := clk.Now()
	var mu sync.Mutex
	tries, failed, warned := map[string]int{}, map[string]int{}, map[string]int{}
	probes := map[string]int{}
	var notices atomic.Int64
	q := open(t, Config{Dir: t.TempDir(), Now: clk.Now, Lane: byDomain, Warn: 4 * time.Hour,
		Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
			if strings.HasSuffix(it.Recipients[0].Address, "@sender.example") {
				notices.Add(1)
				return all(it, Delivered, "250 ok")
			}
			mu.Lock()
			defer mu.Unlock()
			tries[it.ID]++
			probes[byDomain(it.Recipients[0].Address)]++
			return downAll(it, "connection refused")
		}),
		Notify: func(n Notice) (Draft, bool) {
			if n.Item.Sender == "" {
				return Draft{}, false
			}
			if b, err := io.ReadAll(n.Body); err != nil || string(b) != "Subject: x\r\n\r\n"+n.Item.ID {
				t.Errorf("body %q, %v", b, err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, r := range n.About {
				if n.Kind == NoticeDelayed {
					warned[n.Item.ID+" "+r.Address]++
					continue
				}
				failed[n.Item.ID+" "+r.Address]++
				if want := expiredReply + "; last reply: connection refused"; r.Reply != want || r.State != Failed {
					t.Errorf("reply %q", r.Reply)
				}
			}
			return Draft{Recipients: []string{n.Item.Sender}, Body: [][]byte{[]byte("notification")}}, true
		}})
	want := map[string]bool{} // recipients that somebody must be told of
	for i := 0; i < messages; {
		var ds []Draft
		for ; len(ds) < 100; i++ {
			to := fmt.Sprintf("@dead%d.example", i%lanes)
			d := Draft{ID: fmt.Sprintf("m%05d", i), Sender: "s@sender.example", Recipients: []string{"a" + to}}
			d.Body = [][]byte{[]byte("Subject: x\r\n\r\n" + d.ID)}
			if i%3 == 0 {
				d.Recipients = append(d.Recipients, "b"+to)
			}
			if i%20 == 0 {
				d.Sender = ""
			}
			for _, r := range d.Recipients {
				if d.Sender != "" {
					want[d.ID+" "+r] = true
				}
			}
			ds = append(ds, d)
		}
		put(t, q, ds...)
	}
	run(t, q)
	began := time.Now()
	until(t, q, clk, start.Add(192*time.Hour-time.Millisecond))
	if n := len(list(t, q, Filter{})); n != messages || len(failed) > 0 {
		t.Fatalf("a millisecond before the end %d items are left, %d are given up", n, len(failed))
	}
	if len(warned) != len(want) || int(notices.Load()) != messages-messages/20 {
		t.Errorf("%d recipients were warned of, want %d; %d warnings", len(warned), len(want), notices.Load())
	}
	until(t, q, clk, start.Add(193*time.Hour))
	if n := list(t, q, Filter{}); len(n) != 0 {
		t.Errorf("after the end %d items are left", len(n))
	}
	most, total := 0, 0
	for _, n := range tries {
		most, total = max(most, n), total+n
	}
	for name, n := range probes {
		if n > 500 {
			t.Errorf("%s was tried %d times", name, n)
		}
	}
	t.Logf("8 days, %d messages, %d attempts, at most %d of one message; %d notifications; took %v", messages, total, most, notices.Load(), time.Since(began).Round(time.Millisecond))
	if most > 250 || total > 5000 {
		t.Errorf("%d attempts, %d of one message", total, most)
	}
	for what, got := range map[string]map[string]int{"failure": failed, "warning": warned} {
		for r, n := range got {
			if n != 1 || !want[r] {
				t.Errorf("told of the %s of %s %d times", what, r, n)
			}
		}
		if len(got) != len(want) {
			t.Errorf("told of the %s of %d recipients, want %d", what, len(got), len(want))
		}
	}
}

// TestDeadLanesSlowNobody has 10,000 messages wait for ten destinations that hang before they fail (0.3 s in the place
// of 30 s, and pauses in the same scale), and mail for a living one come all the time.
func TestDeadLanesSlowNobody(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: takes seconds; run without -short")
	}
	const scale, workers = 100, 20
	var mu sync.Mutex
	putAt, took := map[string]time.Time{}, []time.Duration{}
	var hung, attempts atomic.Int64
	q := open(t, Config{Dir: t.TempDir(), Workers: workers, Lane: byDomain, LaneRetry: func(n int) time.Duration { return LaneRetry(n) / scale },
		Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
			if !strings.HasSuffix(it.Recipients[0].Address, "@living.example") {
				attempts.Add(1)
				hung.Add(1)
				time.Sleep(30 * time.Second / scale)
				hung.Add(-1)
				return downAll(it, "no route to host")
			}
			mu.Lock()
			took = append(took, time.Since(putAt[it.ID]))
			mu.Unlock()
			time.Sleep(5 * time.Millisecond)
			return all(it, Delivered, "250 ok")
		})})
	run(t, q)
	for i := 0; i < 10_000; {
		var ds []Draft
		for ; len(ds) < 500; i++ {
			ds = append(ds, Draft{Recipients: []string{fmt.Sprintf("a@dead%d.example", i%10)}, Body: [][]byte{[]byte("x")}})
		}
		put(t, q, ds...)
	}
	most := int64(0)
	var stored []time.Duration
	for i := range 400 {
		id := fmt.Sprintf("living%03d", i)
		mu.Lock()
		putAt[id] = time.Now()
		mu.Unlock()
		began := time.Now()
		put(t, q, Draft{ID: id, Recipients: []string{"a@living.example"}, Body: [][]byte{[]byte("x")}})
		stored = append(stored, time.Since(began))
		most = max(most, hung.Load())
		time.Sleep(5 * time.Millisecond)
	}
	wait(t, "living mail delivered", func() bool { mu.Lock(); defer mu.Unlock(); return len(took) == 400 })
	slices.Sort(took)
	slices.Sort(stored)
	t.Logf("%d workers, 10,000 messages for 10 destinations that hang: %d attempts of those, at most %d at once; from before Put to the attempt of a living one's: median %v, 99 %% %v, longest %v (Put itself %v, %v, %v)",
		workers, attempts.Load(), most, took[200].Round(time.Microsecond), took[396].Round(time.Microsecond), took[399].Round(time.Microsecond), stored[200].Round(time.Microsecond), stored[396].Round(time.Microsecond), stored[399].Round(time.Microsecond))
	if most > workers || took[200] > stored[200]+10*time.Millisecond || took[396] > stored[399]+50*time.Millisecond {
		t.Errorf("mail to a living destination was slowed")
	}
	if attempts.Load() > 10*20 {
		t.Errorf("%d attempts for dead destinations", attempts.Load())
	}
}

// TestSecondLaneHangs has two lanes that were well hang: a seventh of the workers is left, and a third lane is served.
func TestSecondLaneHangs(t *testing.T) {
	var sick atomic.Bool
	var hung, served atomic.Int64
	q := open(t, Config{Dir: t.TempDir(), Workers: 20, Lane: byDomain, Grace: time.Millisecond, Deliverer: deliverFunc(func(ctx context.Context, it *Item, _ io.ReadSeeker) []Result {
		if sick.Load() && !strings.HasSuffix(it.Recipients[0].Address, "@c.example") {
			hung.Add(1)
			<-ctx.Done()
			return nil
		}
		served.Add(1)
		return all(it, Delivered, "250 ok")
	})})
	run(t, q)
	for range 20 { // the lanes widen
		for _, d := range []string{"a", "b", "c"} {
			put(t, q, Draft{Recipients: []string{"x@" + d + ".example"}})
		}
		wait(t, "all well", func() bool { return len(list(t, q, Filter{})) == 0 })
	}
	settle(t, q)
	sick.Store(true)
	var ds []Draft
	for i := range 200 {
		ds = append(ds, Draft{Recipients: []string{[]string{"x@a.example", "x@b.example"}[i%2]}})
	}
	put(t, q, ds...)
	wait(t, "many hang", func() bool { return hung.Load() >= 17 })
	for range 10 {
		put(t, q, Draft{Recipients: []string{"x@c.example"}})
	}
	wait(t, "the third served", func() bool { return served.Load() == 70 })
	if n := hung.Load(); n > 18 {
		t.Errorf("%d hang", n)
	}
}

// TestSilentDestinations has 30 destinations accept connections and never answer, with 300 messages each: known to be
// well before or not. One that answers gets its mail at once at any moment: known before, or new.
func TestSilentDestinations(t *testing.T) {
	for _, known := range []bool{false, true} {
		clk := newClock()
		var sick atomic.Bool
		var hung atomic.Int64
		served := make(chan string, 10)
		q := open(t, Config{Dir: t.TempDir(), Workers: 20, Lane: byDomain, Now: clk.Now, Grace: time.Millisecond, Deliverer: deliverFunc(func(ctx context.Context, it *Item, _ io.ReadSeeker) []Result {
			if sick.Load() && strings.Contains(it.Recipients[0].Address, "@silent") {
				hung.Add(1)
				<-ctx.Done()
				return nil
			}
			served <- it.ID
			return all(it, Delivered, "250 ok")
		})})
		stop := run(t, q)
		atOnce := func(address string) {
			t.Helper()
			id := put(t, q, Draft{Recipients: []string{address}})[0]
			select {
			case got := <-served:
				if got != id {
					t.Fatalf("%s was served", got)
				}
			case <-time.After(5 * time.Second):
				q.sched.mu.Lock()
				t.Errorf("known %v: %s is not served; %d hang, %d trials", known, address, hung.Load(), q.sched.trials)
				q.sched.mu.Unlock()
			}
			wait(t, "recorded", func() bool { _, err := q.Get(id); return err != nil })
		}
		if known {
			for range 20 {
				for i := range 30 {
					atOnce(fmt.Sprintf("a@silent%d.example", i))
				}
			}
		}
		atOnce("a@old.example")
		sick.Store(true)
		for i := range 300 {
			var ds []Draft
			for n := range 30 {
				ds = append(ds, Draft{Recipients: []string{fmt.Sprintf("a@silent%d.example", n)}})
			}
			put(t, q, ds...)
			if i == 5 && !known {
				atOnce("a@old.example")
				atOnce("a@fresh.example")
			}
		}
		atOnce("a@old.example")
		atOnce("a@fresh2.example")
		// Workers that hang for lanes that were well are given up after a minute.
		for range 12 {
			clk.set(clk.Now().Add(10 * time.Second))
			q.sched.kick()
			time.Sleep(5 * time.Millisecond)
		}
		for i := range 20 {
			atOnce("a@old.example")
			atOnce(fmt.Sprintf("a@new%d.example", i))
			clk.set(clk.Now().Add(30 * time.Second))
			q.sched.kick()
		}
		t.Logf("known %v: %d attempts hang", known, hung.Load())
		if n := hung.Load(); n > 100 || n < 20 {
			t.Errorf("known %v: %d attempts hang", known, n)
		}
		stop()
		if q.sched.trials != 0 || q.sched.probes != 0 {
			t.Errorf("%d trials, %d probes are counted after the end", q.sched.trials, q.sched.probes)
		}
	}
}

// TestHangingTakesNoWorkers: while attempts of 30 untried lanes hang, one that is up is served by three quarters of the workers.
func TestHangingTakesNoWorkers(t *testing.T) {
	var sick atomic.Bool
	var hung, busy atomic.Int64
	q := open(t, Config{Dir: t.TempDir(), Workers: 20, Lane: byDomain, Grace: time.Millisecond, Deliverer: deliverFunc(func(ctx context.Context, it *Item, _ io.ReadSeeker) []Result {
		if n := &hung; sick.Load() {
			if byDomain(it.Recipients[0].Address) == "busy.example" {
				n = &busy
			}
			n.Add(1)
			<-ctx.Done()
		}
		return all(it, Delivered, "250 ok")
	})})
	run(t, q)
	for range 20 {
		put(t, q, Draft{Recipients: []string{"a@busy.example"}})
		wait(t, "delivered", func() bool { return len(list(t, q, Filter{})) == 0 })
	}
	sick.Store(true)
	for i := range 30 {
		put(t, q, Draft{Recipients: []string{fmt.Sprintf("a@silent%d.example", i)}})
	}
	wait(t, "all hang", func() bool { return hung.Load() == 30 })
	for range 20 {
		put(t, q, Draft{Recipients: []string{"a@busy.example"}})
	}
	wait(t, "15 at once", func() bool { return busy.Load() == 15 })
}
