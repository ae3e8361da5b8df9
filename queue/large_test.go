package queue

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestLarge fills a queue with QUEUE_LARGE small items, held and active, and says how long it takes to open and list
// them and how much memory that needs. Without QUEUE_LARGE there are 20,000.
func TestLarge(t *testing.T) {
	n := 20_000
	if v, err := strconv.Atoi(os.Getenv("QUEUE_LARGE")); err == nil {
		n = v
	}
	if testing.Short() {
		t.Skip("SKIPPED: takes seconds; run without -short")
	}
	dir := t.TempDir()
	q := open(t, Config{Dir: dir})
	began := time.Now()
	for i := 0; i < n; {
		var ds []Draft
		for ; i < n && len(ds) < 500; i++ {
			d := Draft{Sender: "alice@example.org", Recipients: []string{fmt.Sprintf("user%d@example.com", i)},
				Body: [][]byte{[]byte("Subject: small\r\n\r\nhello\r\n")}, Note: map[string]string{"score": "99.1", "subject": "a small message that fills the queue", "client": "192.0.2.1"}}
			if i%2 == 0 {
				d.Hold = "spam"
			}
			ds = append(ds, d)
		}
		put(t, q, ds...)
	}
	t.Logf("%d items put in %v", n, time.Since(began).Round(time.Millisecond))
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	before := resident(t)
	began = time.Now()
	q = open(t, Config{Dir: dir})
	opened := time.Since(began)
	afterOpen := resident(t)
	began = time.Now()
	listed, held := 0, 0
	if err := q.List(context.Background(), Filter{}, func(it *Item) bool {
		listed++
		if it.Hold != "" {
			held++
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	t.Logf("opened in %v, listed in %v; resident before %d MiB, opened %d MiB, listed %d MiB",
		opened.Round(time.Millisecond), time.Since(began).Round(time.Millisecond), before>>20, afterOpen>>20, resident(t)>>20)
	if listed != n || held != n/2 {
		t.Errorf("%d listed, %d held, of %d", listed, held, n)
	}
	if got := resident(t); got > 300<<20 {
		t.Errorf("%d MiB resident", got>>20)
	}
}

// resident returns the memory of this process that is in RAM and not backed by a file, in bytes.
func resident(t *testing.T) (bytes int64) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 10, 64)
			return kib << 10
		}
	}
	return 0
}
