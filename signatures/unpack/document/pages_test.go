package document

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"spamcatcher/signatures/unpack/format"
)

func write(t testing.TB, dir, name string, data []byte) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// peakHeap is by how many bytes the heap grew at most while work ran, as far as
// looking every few milliseconds shows.
func peakHeap(work func()) int64 {
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	done := make(chan struct{})
	go func() {
		defer close(done)
		work()
	}()
	peak := int64(0)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		runtime.ReadMemStats(&now)
		peak = max(peak, int64(now.HeapAlloc)-int64(before.HeapAlloc))
		select {
		case <-done:
			return peak
		case <-tick.C:
		}
	}
}

// fuzzPart opens a hostile part with small limits: no panic, and limits are kept.
func fuzzPart(t *testing.T, data []byte, name string) {
	files := 0
	l := format.Limits{Depth: 4, Members: 100, MemberBytes: 1 << 20, Bytes: 4 << 20, Time: 2 * time.Second}
	j := format.NewJob(context.Background(), l, Formats(), nil, func(f *format.File) error {
		files++
		if f.Kind != format.Part && len(f.Data) > 8<<20+len(data) {
			t.Errorf("a file of %d bytes", len(f.Data))
		}
		return nil
	})
	start := time.Now()
	j.Emit(&format.File{Kind: format.Part, Name: name, Data: data})
	for _, err := range j.Faults() {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("%v for %d bytes", took, len(data))
	}
}

// BenchmarkParts is what parts without anything in them cost.
func BenchmarkParts(b *testing.B) {
	text := []byte(strings.Repeat("Dear Anna, the minutes of Monday are attached. ", 80))
	page := []byte("<html><body>" + strings.Repeat("<p style=\"color:#333\">Dear Anna, <a href=\"https://news.example.net/a?b=c\">the news</a></p>\n", 200) + "</body></html>")
	for _, c := range []struct {
		name string
		part format.File
	}{{"text 4 KB", format.File{Declared: "text/plain", Data: text}}, {"html 18 KB", format.File{Declared: "text/html", Data: page}}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				j := format.NewJob(context.Background(), format.Limits{}, Formats(), nil, func(*format.File) error { return nil })
				f := c.part
				f.Kind = format.Part
				j.Emit(&f)
				if len(j.Marks()) > 0 {
					b.Fatal(j.Marks())
				}
			}
		})
	}
}
