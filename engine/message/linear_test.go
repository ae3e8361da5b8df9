package message

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"
)

// growth makes hostile messages of a size.
var growth = []struct {
	name string
	n    int // the smaller size
	make func(n int) string
}{
	{"nested multiparts", 2_500, func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=\"b%dx\"\r\n\r\n--b%dx\r\n", i, i)
		}
		b.WriteString("\r\nhello\r\n")
		for i := range n {
			fmt.Fprintf(&b, "--b%dx--\r\n", n-1-i)
		}
		return b.String()
	}},
	{"nested multiparts with one boundary", 2_500, func(n int) string {
		return strings.Repeat("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n", n) + "\r\nhello\r\n" + strings.Repeat("--b--\r\n", n)
	}},
	{"nested messages", 2_500, func(n int) string { return strings.Repeat("Content-Type: message/rfc822\r\n\r\n", n) + "\r\nhello\r\n" }},
	{"parts", 50_000, func(n int) string {
		return "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\nhello\r\n", n) + "--b--\r\n"
	}},
	{"parts that are all ambiguous", 20_000, func(n int) string {
		return "Content-Type: multipart/mixed; boundary=b\r\n\r\n" +
			strings.Repeat("--b\r\nContent-Type: multipart/mixed; boundary=c; boundary=d\r\nContent-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: x\r\n\r\n--c\r\n--d\r\n", n)
	}},
	{"nested multiparts that are all ambiguous", 2_500, func(n int) string {
		return strings.Repeat("Content-Type: multipart/mixed; boundary=b; boundary=c\r\nno colon\r\nContent-Transfer-Encoding: base64\r\n\r\n--b\r\n", n)
	}},
	{"header fields", 50_000, func(n int) string { return strings.Repeat("X-A: b\r\n", n) + "\r\nhello" }},
	{"lines without colon", 50_000, func(n int) string { return "A: b\r\n" + strings.Repeat("hello\r\n", n) + "A: b\r\n\r\nhello" }},
	{"one long field", 200_000, func(n int) string { return "Subject: " + strings.Repeat("=?utf-8?q?a?= ", n/13) + "\r\n\r\n" }},
	{"words that do not end", 200_000, func(n int) string { return "Subject: " + strings.Repeat("=?utf-8?q?x", n/10) + "\r\n\r\n" }},
	{"parameters", 20_000, func(n int) string {
		return "Content-Type: multipart/mixed" + strings.Repeat("; boundary=b\"(", n/4) + strings.Repeat("; boundary*1*=x", n) + "\r\n\r\n--b\r\n"
	}},
	{"parentheses and quotes", 200_000, func(n int) string {
		return "From: " + strings.Repeat("(", n/2) + strings.Repeat("\"<:;@", n/10) + "\r\nContent-Type: " + strings.Repeat("(\"", n/4) + "\r\n\r\n"
	}},
	{"addresses", 20_000, func(n int) string { return "To: " + strings.Repeat("a@b: :,", n) + "\r\n\r\n" }},
	{"delimiter prefixes", 20_000, func(n int) string {
		return "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--bc\r\n", n)
	}},
	{"begin lines", 20_000, func(n int) string { return "A: b\r\n\r\n" + strings.Repeat("begin 644 a\r\n#86)C\r\n", n) }},
	{"begin lines that do not end", 20_000, func(n int) string { return "A: b\r\n\r\nbegin 644 a\r\n" + strings.Repeat("#86)C\r\n", n) }},
	{"open tags", 100_000, func(n int) string {
		return "Content-Type: text/html\r\n\r\n" + strings.Repeat("<b>", n) + "x" + strings.Repeat("</i>", n)
	}},
	{"hidden elements", 50_000, func(n int) string {
		return "Content-Type: text/html\r\n\r\n" + strings.Repeat("<p style='display:none'>a<a href=http://example.com>", n)
	}},
	{"attributes", 50_000, func(n int) string { return "Content-Type: text/html\r\n\r\n<a " + strings.Repeat(" href=x", n) + ">" }},
	{"comments that do not end", 100_000, func(n int) string { return "Content-Type: text/html\r\n\r\n" + strings.Repeat("<!--", n) }},
	{"style rules", 20_000, func(n int) string {
		return "Content-Type: text/html\r\n\r\n<style>" + strings.Repeat("@media{.a{", n) + strings.Repeat(".a,.b{color:red}", n) + "</style>x"
	}},
	{"links", 20_000, func(n int) string { return "A: b\r\n\r\n" + strings.Repeat("http://example.com/?u=http%3A%2F%2F", n) }},
	{"links in base64", 20_000, func(n int) string {
		return "A: b\r\n\r\nhttp://example.com/" + strings.Repeat("aHR0cDovL2V4YW1wbGUuY29tL2FIUjBj", n)
	}},
	{"slashes and dots", 100_000, func(n int) string { return "A: b\r\n\r\n" + strings.Repeat("a.b/", n) + strings.Repeat("www.", n) }},
	{"marks", 100_000, func(n int) string {
		return "Content-Type: text/plain; charset=utf-8\r\n\r\n" + strings.Repeat("\u0301", n)
	}},
	{"utf-7", 100_000, func(n int) string {
		return "Content-Type: text/plain; charset=utf-7\r\n\r\n" + strings.Repeat("+AGE", n)
	}},
	{"equals signs in base64", 100_000, func(n int) string {
		return "Content-Transfer-Encoding: base64\r\n\r\n" + strings.Repeat("QQ==", n)
	}},
	{"one line", 2_000_000, func(n int) string { return "A: b\r\n\r\n" + strings.Repeat("x", n) }},
}

// everyView parses and reads every view, and tells the CPU time that the
// process took for it: others use the machine too.
func everyView(t *testing.T, raw []byte, lim Limits) time.Duration {
	cpu := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	// What the garbage collector costs depends on the heap of the moment.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	best := time.Hour
	for range 3 {
		runtime.GC()
		start := cpu()
		touch(Parse(raw, lim))
		best = min(best, cpu()-start)
	}
	return best
}

// Twice the size takes about twice the time, with the default limits and
// without any.
func TestLinear(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: takes seconds")
	}
	none := Limits{Depth: 1 << 20, Parts: 1 << 24, HeaderBytes: 1 << 30, Fields: 1 << 24, TextBytes: 1 << 30, Links: 1 << 20, Readings: 8}
	for _, g := range growth {
		for _, lim := range []struct {
			name string
			Limits
		}{{"default limits", Limits{}}, {"no limits", none}} {
			// The best of several tries: other work on the machine empties the
			// caches, which costs the larger message more.
			ratio := math.Inf(1)
			var small, large time.Duration
			for range 8 {
				a := everyView(t, []byte(g.make(g.n)), lim.Limits)
				b := everyView(t, []byte(g.make(2*g.n)), lim.Limits)
				if r := float64(b) / float64(a); r < ratio {
					ratio, small, large = r, a, b
				}
				if ratio <= 2.3 || large < 20*time.Millisecond {
					break
				}
			}
			t.Logf("%-45s %-14s %10v %10v  %.2f", g.name, lim.name, small, large, ratio)
			// 2 is linear, 4 quadratic.
			if ratio > 2.9 && large > 20*time.Millisecond {
				t.Errorf("%s, %s: doubling the size takes %.1f times as long (%v, %v)", g.name, lim.name, ratio, small, large)
			}
		}
	}
}

// Memory stays a small multiple of the input.
func TestMemory(t *testing.T) {
	for _, g := range growth {
		raw := []byte(g.make(2 * g.n))
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		m := Parse(raw, Limits{})
		touch(m)
		runtime.GC()
		runtime.ReadMemStats(&after)
		kept := int64(after.HeapAlloc) - int64(before.HeapAlloc)
		made := after.TotalAlloc - before.TotalAlloc
		runtime.KeepAlive(m)
		t.Logf("%-45s %9d bytes: keeps %.1f times as much, allocates %.1f times", g.name, len(raw), float64(kept)/float64(len(raw)), float64(made)/float64(len(raw)))
		// 10,000 parts cost some megabytes however small they are.
		if kept > 12*int64(len(raw))+12<<20 {
			t.Errorf("%s: %d bytes keep %d", g.name, len(raw), kept)
		}
	}
}

// The stress messages of the suites, and of any other set, take bounded time.
func TestStressSuite(t *testing.T) {
	dir := shared(t, "suites", "generated", "mime-stress")
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(files) < 10 {
		t.Fatalf("only %d messages", len(files))
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		m := Parse(raw, Limits{})
		touch(m)
		took := time.Since(start)
		t.Logf("%-28s %9d bytes %6d parts %10v", filepath.Base(f), len(raw), len(m.Parts()), took)
		if limit := 500*time.Millisecond + time.Duration(len(raw))*200*time.Nanosecond; took > limit {
			t.Errorf("%s: %v", f, took)
		}
	}
}
