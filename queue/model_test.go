package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// world is everything outside a queue, and what it saw of it.
type world struct {
	t   *testing.T
	clk *clock

	mu        sync.Mutex
	random    *rand.Rand
	down      map[string]bool      // destinations
	moved     map[string]string    // domain to lane, where that is not the domain
	accepted  map[string]time.Time // or released, since when its lifetime runs
	put       map[string]time.Time
	lifetime  map[string]time.Duration
	sender    map[string]string
	open      map[string]bool     // "id recipient" that must still come to an end
	ended     map[string][]string // how they did
	gone      map[string]bool     // ids that were deleted
	warned    map[string]int
	concerned map[string]bool // ids of notifications
}

func (w *world) lane(address string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	domain := byDomain(address)
	if to, ok := w.moved[domain]; ok {
		return to
	}
	return domain
}

// Deliver answers for the destinations.
func (w *world) Deliver(_ context.Context, it *Item, body io.ReadSeeker) []Result {
	text, err := io.ReadAll(body)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil || !w.concerned[it.ID] && string(text) != "body of "+it.ID {
		w.t.Errorf("%s has the body %q, %v", it.ID, text, err)
	}
	var results []Result
	for _, r := range it.Pending() {
		key := it.ID + " " + r.Address
		if len(w.ended[key]) > 0 {
			w.t.Errorf("%s is tried although it ended: %v", key, w.ended[key])
		}
		if w.gone[it.ID] {
			w.t.Errorf("%s is tried although it was deleted", key)
		}
		res := Result{Recipient: r.Address, State: Deferred, Reply: "451 4.4.1 no connection", Server: "mx", Down: w.down[byDomain(r.Address)]}
		if !res.Down {
			switch n := w.random.IntN(10); {
			case n < 5:
				res.State, res.Reply = Delivered, "250 ok"
				w.end(key, "delivered")
			case n < 6:
				res.State, res.Reply = Failed, "550 5.1.1 no"
			default:
				res.Reply = "450 4.2.0 later"
			}
		}
		results = append(results, res)
	}
	return results
}

func (w *world) end(key, how string) {
	w.ended[key] = append(w.ended[key], how)
	delete(w.open, key)
}

// notify notes what is told to senders.
func (w *world) notify(n Notice) (Draft, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	id := n.Item.ID
	if n.Kind == NoticeDelayed {
		if w.warned[id]++; w.warned[id] > 1 {
			w.t.Errorf("%s: %d warnings", id, w.warned[id])
		}
	} else {
		for _, r := range n.About {
			w.end(id+" "+r.Address, "failed")
			if age := w.clk.Now().Sub(w.accepted[id]); strings.Contains(r.Reply, "expired") && age < w.lifetime[id] {
				w.t.Errorf("%s was given up after %v of %v", id, age, w.lifetime[id])
			}
		}
	}
	if n.Item.Sender == "" {
		return Draft{}, false
	}
	d := Draft{ID: NewID(), Recipients: []string{n.Item.Sender}, Body: [][]byte{[]byte("notice")}}
	w.concerned[d.ID] = true
	w.accept(d)
	return d, true
}

func (w *world) accept(d Draft) {
	w.accepted[d.ID], w.put[d.ID], w.sender[d.ID] = w.clk.Now(), w.clk.Now(), d.Sender
	if w.lifetime[d.ID] = d.Lifetime; d.Lifetime == 0 {
		w.lifetime[d.ID] = 192 * time.Hour
	}
	for _, r := range d.Recipients {
		w.open[d.ID+" "+r] = true
	}
}

// TestAnythingGoes does at random whatever can be done to a queue: mail comes, destinations go down and come back and
// move, time passes, items are held, released, flushed and deleted, the queue is opened anew, with its index or without.
// In the end every recipient has been delivered to or told about once, is held, or was deleted.
//
// QUEUE_SEEDS says how many lives (4), QUEUE_SEED which is the first (a random one).
func TestAnythingGoes(t *testing.T) {
	seeds := 4
	if n, err := strconv.Atoi(os.Getenv("QUEUE_SEEDS")); err == nil {
		seeds = n
	}
	first := rand.Uint64()
	if n, err := strconv.ParseUint(os.Getenv("QUEUE_SEED"), 10, 64); err == nil {
		first = n
	}
	for i := range uint64(seeds) {
		t.Run(strconv.FormatUint(first+i, 10), func(t *testing.T) { anythingGoes(t, first+i) })
	}
}

func anythingGoes(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	w := &world{t: t, clk: newClock(), random: rand.New(rand.NewPCG(seed, 2)), down: map[string]bool{}, moved: map[string]string{},
		accepted: map[string]time.Time{}, put: map[string]time.Time{}, lifetime: map[string]time.Duration{}, sender: map[string]string{}, open: map[string]bool{},
		ended: map[string][]string{}, gone: map[string]bool{}, warned: map[string]int{}, concerned: map[string]bool{}}
	domains := []string{"one.example", "two.example", "three.example", "four.example"}
	dir := t.TempDir()
	log := &logbook{}
	var q *Queue
	var stop func()
	begin := func(rebuild bool) {
		cfg := Config{Dir: dir, MinFree: 1 << 20, Deliverer: w, Now: w.clk.Now, Workers: 1 + random.IntN(8), Lane: w.lane,
			Warn: 24 * time.Hour, Notify: w.notify, Log: log.logger()}
		var err error
		if rebuild {
			w.clk.set(w.clk.Now().Add(time.Second)) // which names what is set aside
			if _, err = Rebuild(cfg); err != nil {
				t.Fatal(err)
			}
			// The spool does not know who was warned, nor when what was released.
			w.mu.Lock()
			clear(w.warned)
			maps.Copy(w.accepted, w.put)
			w.mu.Unlock()
		}
		if q, err = Open(cfg); err != nil {
			t.Fatal(err)
		}
		stop = run(t, q)
	}
	end := func() {
		stop()
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	}
	begin(false)
	pick := func() (ids []string) {
		if err := q.List(t.Context(), Filter{}, func(it *Item) bool { ids = append(ids, it.ID); return true }); err != nil {
			t.Fatal(err)
		}
		random.Shuffle(len(ids), func(i, k int) { ids[i], ids[k] = ids[k], ids[i] })
		return ids[:min(len(ids), 1+random.IntN(3))]
	}
	must := func(what string, err error) {
		if err != nil && !errors.Is(err, ErrNotFound) {
			t.Fatalf("%s: %v", what, err)
		}
	}
	for range 250 {
		domain := domains[random.IntN(len(domains))]
		switch n := random.IntN(100); {
		case n < 40:
			d := Draft{ID: NewID(), Sender: "s@senders.example"}
			for r := range 1 + random.IntN(3) {
				d.Recipients = append(d.Recipients, fmt.Sprintf("r%d@%s", r, domain))
			}
			if random.IntN(5) == 0 {
				d.Sender = ""
			}
			if random.IntN(8) == 0 {
				d.Hold = "looked at"
			}
			if random.IntN(3) == 0 {
				d.Lifetime = time.Duration(1+random.IntN(72)) * time.Hour
			}
			d.Body = [][]byte{[]byte("body of "), []byte(d.ID)}
			w.mu.Lock()
			w.accept(d)
			w.mu.Unlock()
			_, err := q.Put(t.Context(), d)
			must("Put", err)
		case n < 60:
			until(t, q, w.clk, w.clk.Now().Add(time.Duration(random.Int64N(int64(10*time.Hour)))))
		case n < 70:
			w.mu.Lock()
			w.down[domain] = !w.down[domain]
			w.mu.Unlock()
		case n < 74:
			w.mu.Lock()
			if w.moved[domain] == "" {
				w.moved[domain] = []string{"shared", ""}[random.IntN(2)]
			} else {
				delete(w.moved, domain)
			}
			w.mu.Unlock()
			_, err := q.Relane(t.Context())
			must("Relane", err)
		case n < 80:
			f := Filter{Domain: domain}
			if random.IntN(2) == 0 {
				lane := w.lane("x@" + domain)
				f = Filter{Lane: &lane}
			}
			_, err := q.Flush(f)
			must("Flush", err)
		case n < 84:
			// A notification whose item is held or released while it is made is thrown away, and made again when it
			// is time. The world counts it when it is made.
			settle(t, q)
			must("Hold", q.Hold("held", pick()...))
		case n < 90:
			settle(t, q)
			for _, id := range pick() {
				if it, err := q.Get(id); err != nil || it.Hold == "" {
					continue
				}
				w.mu.Lock() // it has its whole lifetime before it
				w.accepted[id] = w.clk.Now()
				w.mu.Unlock()
				must("Release", q.Release(id))
			}
		case n < 92:
			settle(t, q) // an attempt under way is not stopped
			for _, id := range pick() {
				w.mu.Lock()
				w.gone[id] = true
				w.mu.Unlock()
				must("Delete", q.Delete(id))
			}
		case n < 94:
			sum, err := q.Check(t.Context(), func(f Finding) { t.Errorf("found %s", f) })
			must("Check", err)
			if sum.Damaged > 0 {
				t.Errorf("check: %s", sum)
			}
		default:
			settle(t, q)
			end()
			begin(n >= 97)
		}
	}
	// Everybody is well from now on, and what is held is released.
	w.mu.Lock()
	clear(w.down)
	w.mu.Unlock()
	settle(t, q)
	var held []string
	must("List", q.List(t.Context(), Filter{Held: true}, func(it *Item) bool { held = append(held, it.ID); return true }))
	must("Release", q.Release(held...))
	_, err := q.Flush(Filter{})
	must("Flush", err)
	until(t, q, w.clk, w.clk.Now().Add(400*time.Hour))
	var left []string
	must("List", q.List(t.Context(), Filter{}, func(it *Item) bool { left = append(left, fmt.Sprintf("%+v", it)); return true }))
	if len(left) > 0 {
		t.Errorf("%d are left, such as %s", len(left), left[0])
	}
	end()
	delivered, failed := 0, 0
	for key, how := range w.ended {
		if len(how) > 1 {
			t.Errorf("%s ended %d times: %v", key, len(how), how)
		}
		if how[0] == "delivered" {
			delivered++
		} else {
			failed++
		}
	}
	for key := range w.open {
		id, _, _ := strings.Cut(key, " ")
		if !w.gone[id] {
			t.Errorf("%s never came to an end", key)
		}
	}
	if t.Failed() {
		t.Log(log)
	}
	t.Logf("%d recipients delivered to, %d told about, %d messages deleted, %d warnings", delivered, failed, len(w.gone), len(w.warned))
	if delivered == 0 || failed == 0 {
		t.Error("this life tested nothing")
	}
}
