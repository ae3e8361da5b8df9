package queue

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestFigures prints what the queue costs with as many small messages in it as QUEUE_FIGURES says ("1000,100000,1000000"):
// a third of them deferred, a third in lanes that are down, a third due while attempts are made.
func TestFigures(t *testing.T) {
	sizes := os.Getenv("QUEUE_FIGURES")
	if sizes == "" {
		t.Skip("SKIPPED: set QUEUE_FIGURES to the sizes to be measured, e.g. 1000,100000,1000000")
	}
	var rows []string
	for _, v := range strings.Split(sizes, ",") {
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, figures(t, n))
	}
	t.Logf("\n%9s %9s %14s %8s %8s %8s %8s %16s %16s\n%s", "messages", "open", "first attempt", "heap", "RSS", "list", "flush 1%", "µs/Put (CPU)", "µs/attempt (CPU)", strings.Join(rows, "\n"))
}

func figures(t *testing.T, n int) string {
	dir, err := os.MkdirTemp("", "figures")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	const lanes = 100 // down; of as many with deferred mail
	var release atomic.Bool
	first := make(chan time.Time, 1)
	var attempts atomic.Int64
	cfg := Config{Dir: dir, Workers: 20, Lane: byDomain, LaneRetry: func(int) time.Duration { return time.Hour }, Retry: func(int) time.Duration { return 12 * time.Hour },
		Deliverer: deliverFunc(func(_ context.Context, it *Item, body io.ReadSeeker) []Result {
			attempts.Add(1)
			select {
			case first <- time.Now():
			default:
			}
			switch a := it.Recipients[0].Address; {
			case strings.HasPrefix(a, "down"):
				return downAll(it, "connection refused")
			case strings.HasPrefix(a, "later") && !release.Load():
				return all(it, Deferred, "450 4.2.0 mailbox busy")
			}
			return all(it, Delivered, "250 2.0.0 ok")
		})}
	drafts := func(from, to int) (ds []Draft) {
		for i := from; i < to; i++ {
			kind := []string{"due", "later", "down"}[i%3]
			ds = append(ds, Draft{Sender: "alice@example.org", Recipients: []string{fmt.Sprintf("%s@%s%d.example", kind, kind, i/3%lanes)},
				Body: [][]byte{[]byte("Subject: small\r\n\r\nhello\r\n")}, Note: map[string]string{"score": "1.5", "subject": "a small message that fills the queue"}})
		}
		return ds
	}
	q := open(t, cfg)
	for i := 0; i < n; i += 250 {
		put(t, q, drafts(i, min(n, i+250))...)
	}
	// The "later" third is deferred and the "due" third is not due before the measurement.
	if _, err := q.changeAll(background, Filter{}, func(e *entry) bool {
		switch e.Recipients[0].Address[:3] {
		case "lat":
			e.Next, e.Attempts = e.Next.Add(12*time.Hour), 1
			e.logAttempt(Attempt{Time: e.Received, Reply: "450 4.2.0 mailbox busy", Server: "mx.example.net", Deferred: 1})
		case "dow":
			e.logAttempt(Attempt{Time: e.Received, Reply: "connection refused", Deferred: 1, Down: true})
		default:
			return false
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	runtime.GC()

	began := time.Now()
	q = open(t, cfg)
	opened := time.Since(began)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx) }()
	delivered := (<-first).Sub(began)
	// Attempts of what was due are measured while nothing is put; then the rest of them is waited for.
	cpu := cpuTime(t)
	count, start := attempts.Load(), time.Now()
	limit := int64(min(n/3-50, 20_000))
	for attempts.Load()-count < limit {
		time.Sleep(time.Millisecond)
	}
	perAttempt := time.Since(start) / time.Duration(max(1, limit))
	attemptCPU := (cpuTime(t) - cpu) / time.Duration(max(1, limit))
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	rest(t)
	const rounds, puts = 7, 2000
	var times []time.Duration
	cpu = cpuTime(t)
	for range rounds {
		var wg sync.WaitGroup
		var next atomic.Int64
		start = time.Now()
		for range 20 {
			wg.Go(func() {
				for {
					i := int(next.Add(1))
					if i > puts {
						return
					}
					if _, err := q.Put(context.Background(), drafts(i, i+1)...); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		times = append(times, time.Since(start)/puts)
	}
	putCPU := (cpuTime(t) - cpu) / (rounds * puts)
	slices.Sort(times)
	perPut := times[rounds/2]
	runtime.GC()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	rss := resident(t)
	start = time.Now()
	listed := 0
	if err := q.List(context.Background(), Filter{}, func(*Item) bool { listed++; return true }); err != nil {
		t.Fatal(err)
	}
	list := time.Since(start)
	start = time.Now()
	flushed, err := q.Flush(Filter{Domain: "later7.example"})
	if err != nil || flushed < n/3/lanes-1 {
		t.Errorf("flushed %d of %d, %v", flushed, n/3/lanes, err)
	}
	flush := time.Since(start)
	if err := q.Close(); err != nil {
		t.Error(err)
	}
	return fmt.Sprintf("%9d %9v %14v %5d MB %5d MB %8v %8v %9.0f (%4.0f) %9.0f (%4.0f)", n, opened.Round(time.Millisecond), delivered.Round(time.Millisecond), mem.HeapAlloc>>20, rss>>20,
		list.Round(time.Millisecond), flush.Round(time.Millisecond), micro(perPut), micro(putCPU), micro(perAttempt), micro(attemptCPU))
}

func micro(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// rest waits until the index has tidied up behind what was done before.
func rest(t *testing.T) {
	for before := cpuTime(t); ; {
		time.Sleep(time.Second)
		now := cpuTime(t)
		if now-before < 50*time.Millisecond {
			return
		}
		before = now
	}
}

// cpuTime is what the process has used up to now, in user and kernel mode.
func cpuTime(t *testing.T) time.Duration {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		t.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
