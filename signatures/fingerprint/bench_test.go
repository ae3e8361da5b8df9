package fingerprint

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
)

// filled is a server with n fuzzy entries that two reporters have named, and as
// many exact ones.
func filled(tb testing.TB, n int) (*Server, []Print) {
	tb.Helper()
	s, err := NewServer(ServerConfig{Zone: testZone, Listen: "127.0.0.1:0", Dir: tb.TempDir()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	r := rand.New(rand.NewPCG(5, 6))
	var list []Print
	for i := range n {
		p := Print{Kind: Fuzzy}
		for k := range p.Bands {
			p.Bands[k] = uint32(r.Uint64() >> (64 - bandBits))
		}
		list = append(list, p, Print{Kind: Text, ID: ID{byte(i), byte(i >> 8), byte(i >> 16), 1}})
	}
	now := time.Now()
	for reporter := range 2 {
		for i := 0; i < len(list); i += maxReports {
			var reports []report
			for _, p := range list[i:min(i+maxReports, len(list))] {
				reports = append(reports, report{p, saySpam})
			}
			mac := fmt.Appendf(nil, "%16d", reporter*1_000_000+i)
			if _, err := s.store.tell(reports, uint64(reporter), mac, now.Add(time.Minute), now); err != nil {
				tb.Fatal(err)
			}
		}
	}
	return s, list
}

// BenchmarkAsk: one query against a store of 4,000 entries.
func BenchmarkAsk(b *testing.B) {
	s, list := filled(b, 2000)
	unknown := somePrints()[0]
	for name, c := range map[string]struct {
		print func(i int) Print
		class int
	}{
		"fuzzy-listed":  {func(i int) Print { return list[2*(i%2000)] }, classSpam},
		"fuzzy-unknown": {func(i int) Print { unknown.Bands[0] = uint32(i % (1 << bandBits)); return unknown }, 0},
		"exact-listed":  {func(i int) Print { return list[2*(i%2000)+1] }, classSpam},
		"exact-unknown": {func(i int) Print { return Print{Kind: Link, ID: ID{byte(i), byte(i >> 8), 77}} }, 0},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				a, err := s.store.ask(c.print(i), time.Now())
				if i++; err != nil || a.class != c.class {
					b.Fatalf("class %d, %v", a.class, err)
				}
			}
		})
	}
}

// BenchmarkReport: a message with 64 reports of fuzzy fingerprints that are new,
// to stable storage.
func BenchmarkReport(b *testing.B) {
	s, _ := filled(b, 200)
	r := rand.New(rand.NewPCG(7, 8))
	now := time.Now()
	n := 0
	for b.Loop() {
		var reports []report
		for range maxReports {
			p := Print{Kind: Fuzzy}
			for k := range p.Bands {
				p.Bands[k] = uint32(r.Uint64() >> (64 - bandBits))
			}
			reports = append(reports, report{p, saySpam})
		}
		n++
		if changed, err := s.store.tell(reports, 1, fmt.Appendf(nil, "x%15d", n), now.Add(time.Minute), now); err != nil || changed != maxReports {
			b.Fatalf("%d changed, %v", changed, err)
		}
	}
}

// TestManyEntries: the store is on disk: memory does not grow with entries, and
// sweeping gives the room back.
func TestManyEntries(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: takes seconds, and -short was asked for")
	}
	heap := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / (1 << 20)
	}
	before := heap()
	s, list := filled(t, 4000)
	begin := time.Now()
	for _, p := range list[:400] {
		if a, err := s.store.ask(p, time.Now()); err != nil || a.class != classSpam {
			t.Fatalf("%s: %+v, %v", p.Kind, a, err)
		}
	}
	each := time.Since(begin) / 400
	grown := heap() - before
	t.Logf("%d entries: %.1f MiB of heap, %v a query", s.store.entries(), grown, each)
	if grown > 120 {
		t.Errorf("%.1f MiB of heap for %d entries", grown, s.store.entries())
	}
	entries := s.store.entries()
	s.c.Now = func() time.Time { return time.Now().Add(40 * 24 * time.Hour) }
	if n, err := s.Sweep(); err != nil || n != entries || s.store.entries() != 0 || keysOf(t, s.store, bandPrefix) != 0 {
		t.Errorf("swept %d of %d, %v; %d lists of bands are left", n, entries, err, keysOf(t, s.store, bandPrefix))
	}
}
