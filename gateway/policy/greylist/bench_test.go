package greylist

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"
)

const benchPairs = 100_000

// fill makes a store of benchPairs pairs, half of which have passed.
func fill(t testing.TB) (*Store, *clock) {
	s, c := open(t, Config{})
	for round := range 2 {
		for i := range benchPairs / (1 + round) {
			if _, err := s.Check(client, pair(i), "u@example.com"); err != nil {
				t.Fatal(err)
			}
		}
		c.add(time.Minute)
	}
	return s, c
}

func pair(i int) string { return fmt.Sprintf("sender%d@example.org", i) }

// BenchmarkCheck looks up pairs that are known, in random order, among 100,000:
// half of them pass, half pass now and are written.
func BenchmarkCheck(b *testing.B) {
	s, _ := fill(b)
	times := make([]time.Duration, 0, b.N)
	b.ResetTimer()
	for range b.N {
		i := rand.IntN(benchPairs)
		at := time.Now()
		wait, err := s.Check(client, pair(i), "u@example.com")
		times = append(times, time.Since(at))
		if wait != 0 || err != nil {
			b.Fatal(wait, err)
		}
	}
	b.StopTimer()
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Nanoseconds())/1e3, "µs/median")
	b.ReportMetric(float64(times[len(times)*99/100].Nanoseconds())/1e3, "µs/p99")
}

// BenchmarkNew sees pairs that nobody has seen.
func BenchmarkNew(b *testing.B) {
	s, _ := fill(b)
	b.ResetTimer()
	for i := range b.N {
		if wait, err := s.Check(client, pair(benchPairs+i), "u@example.com"); wait != time.Minute || err != nil {
			b.Fatal(wait, err)
		}
	}
}

// TestLoad: 100,000 pairs take bounded memory and little disk; it prints what a
// look-up takes.
func TestLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: fills 100,000 pairs, and -short was asked for")
	}
	before := heap()
	s, _ := fill(t)
	times := make([]time.Duration, 20_000)
	for i := range times {
		at := time.Now()
		wait, err := s.Check(client, pair(rand.IntN(benchPairs)), "u@example.com")
		times[i] = time.Since(at)
		if wait != 0 || err != nil {
			t.Fatal(wait, err)
		}
	}
	slices.Sort(times)
	grown := int64(heap()) - int64(before)
	disk := int64(0)
	files, _ := filepath.Glob(filepath.Join(s.cfg.Dir, "db", "*.sst"))
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			disk += info.Size()
		}
	}
	median := times[len(times)/2]
	t.Logf("%d pairs: median %v, 99 %% %v; heap grown by %.1f MiB; tables of %.1f MiB", s.Entries(), median, times[len(times)*99/100], float64(grown)/(1<<20), float64(disk)/(1<<20))
	if grown > 64<<20 {
		t.Errorf("the heap has grown by %d MiB", grown>>20)
	}
	if s.Entries() != benchPairs {
		t.Errorf("%d entries", s.Entries())
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}
