package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// TestNothingStalls lets mail come, destinations fail, hang for a moment and panic, lanes change, and items be held and
// flushed, all at the same time and in real time. When everybody is well again, everything is delivered soon: nothing that
// is due waits for a wake-up that got lost.
//
// QUEUE_SEEDS says how many lives (6).
func TestNothingStalls(t *testing.T) {
	seeds := 6
	if n, err := strconv.Atoi(os.Getenv("QUEUE_SEEDS")); err == nil {
		seeds = n
	}
	first := rand.Uint64()
	for i := range uint64(seeds) {
		t.Run(strconv.FormatUint(first+i, 10), func(t *testing.T) { nothingStalls(t, first+i) })
	}
}

func nothingStalls(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 3))
	domains := 1 + random.IntN(30)
	var generation atomic.Int64
	var calm atomic.Bool
	some := func(most time.Duration) func(int) time.Duration {
		return func(int) time.Duration { return rand.N(most) }
	}
	q := open(t, Config{Dir: t.TempDir(), Workers: 1 + random.IntN(8), Retry: some(30 * time.Millisecond), LaneRetry: some(40 * time.Millisecond),
		Lane:  func(address string) string { return byDomain(address) + strconv.FormatInt(generation.Load()%3, 10) },
		Width: func(lane string) int { return len(lane) % 4 },
		Deliverer: deliverFunc(func(_ context.Context, it *Item, _ io.ReadSeeker) []Result {
			time.Sleep(rand.N(4 * time.Millisecond))
			if calm.Load() {
				return all(it, Delivered, "250 ok")
			}
			switch rand.IntN(6) {
			case 0, 1:
				return downAll(it, "421 4.3.2 no")
			case 2:
				return all(it, Deferred, "450 4.2.0 later")
			case 3:
				panic("in the deliverer")
			}
			return all(it, Delivered, "250 ok")
		})})
	stop := run(t, q)
	for i := range 150 {
		d := Draft{ID: fmt.Sprintf("m%05d", i), Sender: "s@example.org", Body: [][]byte{[]byte("x")}}
		for range 1 + random.IntN(2) {
			d.Recipients = append(d.Recipients, fmt.Sprintf("r%d@d%d.example", len(d.Recipients), random.IntN(domains)))
		}
		put(t, q, d)
		var err error
		switch random.IntN(12) {
		case 0, 1:
			generation.Add(1)
			_, err = q.Relane(t.Context())
		case 2:
			lane := q.laneFor(d.Recipients[0])
			_, err = q.Flush(Filter{Lane: &lane})
		case 3:
			if ids := list(t, q, Filter{Active: true}); len(ids) > 0 {
				q.Hold("for a moment", ids[random.IntN(len(ids))]) // it may be gone
			}
		case 4:
			err = q.Release(list(t, q, Filter{Held: true})...)
		case 5:
			if random.IntN(4) == 0 {
				stop()
				stop = run(t, q)
			}
		}
		if err != nil && !errors.Is(err, ErrNotFound) { // it may be gone
			t.Fatal(err)
		}
	}
	calm.Store(true)
	for _, id := range list(t, q, Filter{Held: true}) {
		if err := q.Release(id); err != nil && !errors.Is(err, ErrNotFound) {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		left := list(t, q, Filter{})
		if len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			it, _ := q.Get(left[0])
			t.Fatalf("%d are left, such as %+v\nlanes %+v", len(left), it, q.Lanes())
		}
	}
}
