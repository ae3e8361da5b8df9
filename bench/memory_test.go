package bench_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
)

// small writes the nth of endlessly many small messages, no two alike: words,
// names, addresses, links and shapes differ, as they do in mail.
func small(n uint64) []byte {
	r := rand.New(rand.NewPCG(n, 99))
	word := func() string {
		var b strings.Builder
		for range 1 + r.IntN(4) {
			b.WriteByte("bcdfghklmnprstvwz"[r.IntN(17)])
			b.WriteByte("aeiou"[r.IntN(5)])
		}
		return b.String()
	}
	words := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = word()
			if r.IntN(8) == 0 { // words that rules look for, so that they have work
				list[i] = []string{"account", "invoice", "password", "money", "bank", "free", "urgent", "viagra", "transfer", "meeting", "patch", "the next of kin"}[r.IntN(12)]
			}
		}
		return strings.Join(list, " ")
	}
	host := word() + word() + []string{".example.com", ".example.net", ".example", ".test"}[r.IntN(4)]
	var b strings.Builder
	fmt.Fprintf(&b, "Received: from %s (%s [198.51.100.%d]) by mx.example.net; Tue, 17 Nov 2026 08:%02d:%02d +0000\n", host, host, r.IntN(256), r.IntN(60), r.IntN(60))
	fmt.Fprintf(&b, "From: \"%s %s\" <%s.%d@%s>\nTo: <user@example.net>\nSubject: %s\nDate: Tue, 17 Nov 2026 09:01:02 +0100\nMessage-ID: <%x@%s>\nMIME-Version: 1.0\n",
		word(), word(), word(), r.IntN(1000), host, words(2+r.IntN(6)), r.Uint64(), host)
	switch r.IntN(3) {
	case 0:
		fmt.Fprintf(&b, "Content-Type: text/plain; charset=utf-8\n\n%s\n\nhttps://%s/%s\n", words(30+r.IntN(120)), host, word())
	case 1:
		fmt.Fprintf(&b, "Content-Type: text/html; charset=utf-8\n\n<html><body><p>%s</p><a href=\"https://%s/%s?id=%d\">%s</a><div style=\"display:none\">%s</div></body></html>\n",
			words(30+r.IntN(120)), host, word(), r.Uint32(), words(3), words(r.IntN(20)))
	default:
		fmt.Fprintf(&b, "Content-Type: multipart/alternative; boundary=\"%x\"\n\n", n)
		fmt.Fprintf(&b, "--%x\nContent-Type: text/plain\n\n%s\n--%x\nContent-Type: text/html\n\n<p>%s <b>%s</b></p>\n--%x--\n", n, words(40), n, words(40), words(5), n)
	}
	return []byte(strings.ReplaceAll(b.String(), "\n", "\r\n"))
}

// resident is the memory of this process in MB.
func resident(t *testing.T) float64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skipf("SKIPPED: the memory of a process can be read on Linux only: %v", err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		t.Fatal(err)
	}
	return kb / 1024
}

// TestMemory judges many small messages in one process and fails when it
// grows. SPAMCATCHER_MESSAGES says how many (10,000); make memory takes a
// million and prints the curve.
func TestMemory(t *testing.T) {
	if raced {
		t.Skip("SKIPPED: the race detector takes memory of its own")
	}
	total := 10_000
	if s := os.Getenv("SPAMCATCHER_MESSAGES"); s != "" {
		var err error
		if total, err = strconv.Atoi(s); err != nil || total < 1000 {
			t.Fatalf("SPAMCATCHER_MESSAGES=%q is no number from 1000 on", s)
		}
	}
	e := newEngine(t)
	const steps = 20
	var next atomic.Uint64
	var spam atomic.Int64
	begin := time.Now()
	var curve []float64
	for step := 1; step <= steps; step++ {
		until := uint64(total) * uint64(step) / steps
		var workers sync.WaitGroup
		for range runtime.GOMAXPROCS(0) {
			workers.Go(func() {
				for {
					n := next.Add(1)
					if n > until {
						return
					}
					v := e.Judge(t.Context(), &engine.Mail{Message: message.Parse(small(n), message.Limits{})})
					if len(v.Faults) > 0 {
						t.Errorf("message %d: faults %v", n, v.Faults)
					}
					if v.Score > 50 {
						spam.Add(1)
					}
				}
			})
		}
		workers.Wait()
		next.Store(until)
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		curve = append(curve, resident(t))
		t.Logf("%9d messages %7.1f s: resident %6.1f MB, heap in use %5.1f MB, goroutines %d", until, time.Since(begin).Seconds(), curve[step-1], float64(m.HeapInuse)/(1<<20), runtime.NumGoroutine())
	}
	t.Logf("%d of %d score above 50", spam.Load(), total)
	// The first quarter compiles, fills pools and caches; what is held after
	// it must do for ever. Peaks of the collector are no growth: the least
	// of the last quarter counts.
	early, late := curve[steps/4-1], curve[steps-1]
	for i := range curve {
		if i < steps/2 && i >= steps/4 {
			early = max(early, curve[i])
		}
		if i >= steps*3/4 {
			late = min(late, curve[i])
		}
	}
	if late > early*1.1+4 {
		t.Errorf("grown from %.1f MB to %.1f MB", early, late)
	}
}
