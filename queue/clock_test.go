package queue

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"
)

// setClock gives q a wall clock and a clock of elapsed time that move together, and a function that sets the first alone.
func setClock(q *Queue, clk *clock) (pass, set func(time.Duration)) {
	var elapsed atomic.Int64
	q.clock.mu.Lock()
	q.clock.elapsed = func() time.Duration { return time.Duration(elapsed.Load()) }
	q.clock.mu.Unlock()
	q.now()
	pass = func(d time.Duration) {
		for ; d > 0; d -= 30 * time.Second { // nobody is to see one without the other by more than this
			by := min(d, 30*time.Second)
			clk.set(clk.Now().Add(by))
			elapsed.Add(int64(by))
		}
		q.sched.kick()
	}
	set = func(d time.Duration) {
		clk.set(clk.Now().Add(d))
		q.sched.kick()
	}
	return pass, set
}

// TestClockJumps sets the clock by ten days forwards, back, and back once more, with mail deferred and in a lane that
// is down: nothing is given up, nothing is tried sooner or later than it would have been, and it is tried as long.
func TestClockJumps(t *testing.T) {
	for _, jump := range []time.Duration{240 * time.Hour, -240 * time.Hour, 2 * time.Minute, -2 * time.Minute} {
		clk := newClock()
		var tried, down atomic.Int64
		var told atomic.Int64
		q := open(t, Config{Dir: t.TempDir(), Now: clk.Now, Lane: byDomain, Warn: 4 * time.Hour, Retry: func(int) time.Duration { return time.Hour }, LaneRetry: func(int) time.Duration { return 30 * time.Minute },
			Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
				if it.ID == "d" {
					down.Add(1)
					return downAll(it, "connection refused")
				}
				tried.Add(1)
				return all(it, Deferred, "450 later")
			}), Notify: func(n Notice) (Draft, bool) {
				told.Add(1)
				return Draft{}, false
			}})
		pass, set := setClock(q, clk)
		put(t, q, to("a", "a@busy.example"), to("d", "a@dead.example"))
		run(t, q)
		settle(t, q)
		pass(10 * time.Minute)
		settle(t, q)
		before, _ := q.Get("a")
		set(jump)
		wait(t, "noticed", q.clock.steadyAt(jump))
		settle(t, q)
		if tried.Load() != 1 || down.Load() != 1 || told.Load() != 0 {
			t.Errorf("jump of %v: %d and %d attempts, %d notifications", jump, tried.Load(), down.Load(), told.Load())
		}
		after, err := q.Get("a")
		if err != nil {
			t.Fatal(err)
		}
		for what, d := range map[string]time.Duration{"Received": after.Received.Sub(before.Received), "Next": after.Next.Sub(before.Next), "Expires": after.Expires.Sub(before.Expires),
			"Tried": after.Tried.Sub(before.Tried), "History": after.History[0].Time.Sub(before.History[0].Time), "Changed": after.Recipients[0].Changed.Sub(before.Recipients[0].Changed)} {
			if d != jump {
				t.Errorf("jump of %v: %s moved by %v", jump, what, d)
			}
		}
		put(t, q, to("new", "a@busy.example"))
		wait(t, "new mail is attempted", func() bool { return tried.Load() == 2 })
		pass(19 * time.Minute)
		settle(t, q)
		if down.Load() != 1 {
			t.Errorf("jump of %v: probed before the pause was over", jump)
		}
		pass(2 * time.Minute)
		settle(t, q)
		if down.Load() != 2 || tried.Load() != 2 {
			t.Errorf("jump of %v: %d probes, %d attempts", jump, down.Load(), tried.Load())
		}
		pass(30 * time.Minute)
		settle(t, q)
		if tried.Load() != 3 {
			t.Errorf("jump of %v: %d attempts after an hour", jump, tried.Load())
		}
		pass(190 * time.Hour)
		settle(t, q)
		if n := len(list(t, q, Filter{})); n != 3 || told.Load() != 3 { // warnings
			t.Errorf("jump of %v: %d left, %d notifications", jump, n, told.Load())
		}
		pass(2 * time.Hour)
		settle(t, q)
		if n := fmt.Sprint(list(t, q, Filter{})); n != "[]" {
			t.Errorf("jump of %v: %s left after 192 hours", jump, n)
		}
		if sum, err := q.Check(background, func(f Finding) { t.Error(f) }); err != nil || sum.Items != 0 {
			t.Error(sum, err)
		}
	}
}

// steadyAt reports whether a jump was noticed and followed.
func (c *wallClock) steadyAt(jump time.Duration) func() bool {
	return func() bool { return c.steady() && c.indexMoved() == jump }
}

// TestClockJumpsDuringAttempt sets the clock while an attempt runs and while a Put is between its stamp and its commit:
// both are recorded in the new time.
func TestClockJumpsDuringAttempt(t *testing.T) {
	for _, jump := range []time.Duration{240 * time.Hour, -240 * time.Hour} {
		clk := newClock()
		began, gate := make(chan bool), make(chan bool)
		q := open(t, Config{Dir: t.TempDir(), Now: clk.Now, Retry: func(int) time.Duration { return time.Hour }, Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
			began <- true
			<-gate
			return all(it, Deferred, "450 later")
		}), Notify: func(n Notice) (Draft, bool) { t.Error("told"); return Draft{}, false }})
		_, set := setClock(q, clk)
		run(t, q)
		put(t, q, to("a", "a@a.example"))
		<-began
		h := to("late", "a@a.example")
		h.Hold = "x"
		r, err := q.prepare(h)
		if err != nil {
			t.Fatal(err)
		}
		set(jump)
		wait(t, "followed", q.clock.steadyAt(jump))
		o := &op{need: 1}
		o.add(r)
		if err := q.do(background, o); err != nil {
			t.Fatal(err)
		}
		close(gate)
		wait(t, "recorded", func() bool { it, err := q.Get("a"); return err == nil && it.Attempts == 1 })
		it, _ := q.Get("a")
		if now := clk.Now(); it.Recipients[0].State != Deferred || !it.Next.Equal(now.Add(time.Hour)) || !it.Expires.Equal(now.Add(192*time.Hour)) || !it.Tried.Equal(now) {
			t.Errorf("jump of %v to %v: %+v", jump, now, it)
		}
		if it, err := q.Get("late"); err != nil || !it.Received.Equal(clk.Now()) || !it.Expires.Equal(clk.Now().Add(192*time.Hour)) {
			t.Errorf("jump of %v: %+v, %v", jump, it, err)
		}
	}
}

// TestResultBeforeTheIndexFollows records a result after the clock was set and before the index has followed it.
func TestResultBeforeTheIndexFollows(t *testing.T) {
	const jump = 240 * time.Hour
	clk := newClock()
	q := open(t, Config{Dir: t.TempDir(), Now: clk.Now, Retry: func(int) time.Duration { return time.Hour }})
	_, set := setClock(q, clk)
	put(t, q, to("m", "a@a.example"))
	e := begin(t, q, "m")
	start := clk.Now()
	set(jump)
	q.settle(background, &job{id: "m", lane: q.sched.lane("")}, e, []Result{{State: Deferred, Reply: "450 later"}}, nil, nil)
	for _, moved := range []time.Duration{0, jump} {
		it, err := q.Get("m")
		if err != nil {
			t.Fatal(err)
		}
		now := start.Add(moved)
		if it.Recipients[0].State != Deferred || !it.Next.Equal(now.Add(time.Hour)) || !it.Tried.Equal(now) || !it.Received.Equal(now) || !it.Expires.Equal(now.Add(192*time.Hour)) {
			t.Errorf("index moved by %v: %+v", moved, it)
		}
		if err := q.follow(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRealClockIsKnown: a clock that is injected but knows elapsed time is as good as none.
func TestRealClockIsKnown(t *testing.T) {
	if q := open(t, Config{Dir: t.TempDir(), Now: time.Now}); q.clock.elapsed == nil {
		t.Error("jumps are not noticed")
	}
	if q := open(t, Config{Dir: t.TempDir(), Now: newClock().Now}); q.clock.elapsed != nil {
		t.Error("a virtual clock is taken for a real one")
	}
}
