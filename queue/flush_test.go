package queue

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestFlushLane has mail wait in two lanes that are down and for its own pauses: a flush of one's domain releases all of
// it and nothing of the other's.
func TestFlushLane(t *testing.T) {
	clk := newClock()
	var up atomic.Bool
	var mu sync.Mutex
	tried := map[string]int{}
	q := open(t, Config{Dir: t.TempDir(), Now: clk.Now, Lane: byDomain, Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
		mu.Lock()
		tried[byDomain(it.Recipients[0].Address)]++
		mu.Unlock()
		if up.Load() {
			return all(it, Delivered, "250 ok")
		}
		if strings.HasPrefix(it.ID, "d") {
			return all(it, Deferred, "450 later")
		}
		return downAll(it, "connection refused")
	})})
	run(t, q)
	for i := range 10 {
		put(t, q, to(fmt.Sprintf("da%d", i), "a@a.example"), to(fmt.Sprintf("db%d", i), "a@b.example"))
	}
	settle(t, q)
	for i := range 200 {
		put(t, q, to(fmt.Sprintf("xa%03d", i), "a@a.example"), to(fmt.Sprintf("xb%03d", i), "a@b.example"))
	}
	held := to("held", "a@a.example")
	held.Hold = "spam"
	put(t, q, held)
	settle(t, q)
	up.Store(true)
	before := tried["b.example"]
	if n, err := q.Flush(Filter{Domain: "A.example"}); n != 0 || err != nil { // byDomain does not fold case: another lane
		t.Errorf("flushed %d, %v", n, err)
	}
	lane := "a.example"
	if n, err := q.Flush(Filter{Lane: &lane, Domain: "other.example"}); n != 0 || err != nil {
		t.Errorf("flushed %d, %v", n, err)
	}
	if n, err := q.Flush(Filter{Domain: "a.example"}); n != 210 || err != nil {
		t.Errorf("flushed %d, %v", n, err)
	}
	wait(t, "the lane is empty", func() bool { return len(list(t, q, Filter{Domain: "a.example", Active: true})) == 0 })
	if tried["b.example"] != before || len(list(t, q, Filter{Domain: "b.example"})) != 210 {
		t.Errorf("the other lane was touched")
	}
	if n, err := q.Flush(Filter{Domain: ".example"}); n != 210 || err != nil {
		t.Errorf("flushed %d, %v", n, err)
	}
	wait(t, "all delivered", func() bool { return fmt.Sprint(list(t, q, Filter{})) == "[held]" })
}

// TestReleaseEndsPause: an item released into a lane that is down probes at once.
func TestReleaseEndsPause(t *testing.T) {
	clk := newClock()
	var up atomic.Bool
	q := open(t, Config{Dir: t.TempDir(), Now: clk.Now, Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
		if up.Load() {
			return all(it, Delivered, "250 ok")
		}
		return downAll(it, "connection refused")
	})})
	run(t, q)
	h := to("held", "a@a.example")
	h.Hold = "x"
	put(t, q, to("m", "a@a.example"), h)
	settle(t, q)
	up.Store(true)
	if err := q.Release("held"); err != nil {
		t.Fatal(err)
	}
	wait(t, "both delivered", func() bool { return len(list(t, q, Filter{})) == 0 })
}

// TestFlushFast makes 10,000 deferred items due in well under two seconds.
func TestFlushFast(t *testing.T) {
	clk := newClock()
	q := open(t, Config{Dir: t.TempDir(), Now: clk.Now, Lane: byDomain})
	for i := 0; i < 10_000; {
		var ds []Draft
		for ; len(ds) < 500; i++ {
			ds = append(ds, to(fmt.Sprintf("m%05d", i), "a@a.example"))
		}
		put(t, q, ds...)
	}
	n, err := q.changeAll(background, Filter{}, func(e *entry) bool { e.Next = clk.Now().Add(time.Hour); return true })
	if n != 10_000 || err != nil {
		t.Fatal(n, err)
	}
	began := time.Now()
	n, err = q.Flush(Filter{Domain: "a.example"})
	took := time.Since(began)
	t.Logf("10,000 items flushed in %v", took.Round(time.Millisecond))
	if n != 10_000 || err != nil || took > 2*time.Second {
		t.Errorf("flushed %d in %v, %v", n, took, err)
	}
	if it, _ := q.Get("m00007"); !it.Next.Equal(clk.Now()) {
		t.Errorf("%+v", it)
	}
}

// TestRelane moves waiting mail into the lanes that a changed configuration names, while it runs and at Open.
func TestRelane(t *testing.T) {
	dir, clk := t.TempDir(), newClock()
	var suffix atomic.Value
	suffix.Store("1")
	var tried atomic.Int64
	cfg := Config{Dir: dir, Now: clk.Now, Lane: func(a string) string { return byDomain(a) + suffix.Load().(string) }, Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
		tried.Add(1)
		if strings.HasSuffix(it.Lane, "1") {
			return downAll(it, "connection refused")
		}
		return all(it, Delivered, "250 ok")
	})}
	q := open(t, cfg)
	h := to("held", "a@a.example")
	h.Hold = "x"
	put(t, q, to("a", "a@a.example"), to("b", "b@b.example"), h)
	run(t, q)
	settle(t, q)
	if a, _ := q.Get("a"); a.Lane != "a.example1" || len(q.Lanes()) != 2 {
		t.Errorf("%+v %+v", a, q.Lanes())
	}
	suffix.Store("2")
	if n, err := q.Relane(context.Background()); n != 2 || err != nil {
		t.Fatalf("moved %d, %v", n, err)
	}
	wait(t, "delivered in the new lanes", func() bool { return fmt.Sprint(list(t, q, Filter{})) == "[held]" })
	suffix.Store("1")
	put(t, q, to("c", "c@c.example"))
	settle(t, q)
	q.Close()
	suffix.Store("2")
	q = open(t, cfg)
	lane := "c.example2"
	if got := fmt.Sprint(list(t, q, Filter{Lane: &lane})); got != "[c]" {
		t.Errorf("in the lane: %s", got)
	}
}

// TestFilters that are new: recipient, tree, lane, age.
func TestFilters(t *testing.T) {
	clk := newClock()
	q := open(t, Config{Dir: t.TempDir(), Now: clk.Now, Lane: byDomain})
	put(t, q, to("a", "X@a.example"), to("b", "x@sub.a.example"))
	clk.set(clk.Now().Add(time.Hour))
	held := to("h", "x@a.example")
	held.Hold = "x"
	put(t, q, to("c", "x@ba.example"), held)
	lane := "a.example"
	for want, f := range map[string]Filter{
		"[a b h]": {Domain: ".A.example"}, "[a h]": {Recipient: "x@a.EXAMPLE"}, "[a]": {Lane: &lane}, "[a b]": {Older: time.Hour}, "[b]": {Domain: "sub.a.example"}, "[c]": {Domain: ".ba.example"},
	} {
		if got := fmt.Sprint(list(t, q, f)); got != want {
			t.Errorf("%+v: %s, want %s", f, got, want)
		}
	}
}

// TestRelaneEndsPauses: the destination of a lane that is down may be elsewhere after a reload.
func TestRelaneEndsPauses(t *testing.T) {
	clk := newClock()
	var moved atomic.Bool
	q := open(t, Config{Dir: t.TempDir(), Now: clk.Now, Lane: byDomain, Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
		if moved.Load() {
			return all(it, Delivered, "250 ok")
		}
		return downAll(it, "connection refused")
	})})
	run(t, q)
	put(t, q, to("m", "a@a.example"), to("n", "a@a.example"))
	settle(t, q)
	moved.Store(true)
	if n, err := q.Relane(background); n != 0 || err != nil {
		t.Errorf("moved %d, %v", n, err)
	}
	wait(t, "delivered", func() bool { return len(list(t, q, Filter{})) == 0 })
}

// TestExpiryOfOneLaneOnly has an item, with recipients in two lanes, come to the end of its time in the first, which is
// down: the recipient in the second was never tried, and is.
func TestExpiryOfOneLaneOnly(t *testing.T) {
	clk := newClock()
	var mu sync.Mutex
	var told []string
	tried := map[string]int{}
	q := open(t, Config{Dir: t.TempDir(), Now: clk.Now, Lane: byDomain, Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
		mu.Lock()
		defer mu.Unlock()
		tried[it.ID+" "+it.Lane]++
		if it.Lane == "down.example" {
			return downAll(it, "connection refused")
		}
		return all(it, Delivered, "250 ok")
	}), Notify: func(n Notice) (Draft, bool) {
		mu.Lock()
		defer mu.Unlock()
		for _, r := range n.About {
			told = append(told, n.Item.ID+" "+r.Address)
		}
		return Draft{}, false
	}})
	for i := range 1000 { // so that each is hardly ever the one that probes
		put(t, q, Draft{ID: fmt.Sprintf("m%03d", i), Sender: "s@sender.example", Recipients: []string{"a@down.example", "b@up.example"}, Lifetime: 5 * time.Hour})
	}
	run(t, q)
	until(t, q, clk, clk.Now().Add(6*time.Hour))
	if left := list(t, q, Filter{}); len(left) != 0 || len(told) < 1000 || tried["m999 up.example"] != 1 {
		t.Errorf("%d left, told %d times, tried %d times", len(left), len(told), tried["m999 up.example"])
	}
	for _, r := range told {
		if !strings.HasSuffix(r, " a@down.example") && tried[r[:4]+" down.example"] == 0 { // one that probed may fail for both
			t.Errorf("given up: %s", r)
		}
	}
}
