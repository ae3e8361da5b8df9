//go:build cgo

package yara

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func compile(t testing.TB, texts ...string) *Rules {
	t.Helper()
	var sources []Source
	for i, text := range texts {
		sources = append(sources, Source{fmt.Sprintf("%d.yar", i), text})
	}
	r, problems, err := Compile(sources)
	if err != nil || len(problems) > 0 {
		t.Fatalf("compiling: %v, %v", err, problems)
	}
	t.Cleanup(r.Close)
	return r
}

func names(matches []Match) string {
	var list []string
	for _, m := range matches {
		list = append(list, m.File+":"+m.Rule)
	}
	return strings.Join(list, " ")
}

func TestMatchesSayWhichRule(t *testing.T) {
	r := compile(t,
		`rule same : one two { meta: points = 3 clean = false note = "a note" strings: $a = "needle" condition: $a }`,
		`rule same { strings: $a = "needle" condition: $a } private rule hidden { condition: true } rule uses { condition: hidden and false }`,
		`rule other { strings: $a = "no such" condition: $a }`)
	if r.Len() != 5 {
		t.Errorf("%d rules", r.Len())
	}
	got, err := r.Scan(context.Background(), []byte("hay needle hay"), Facts{}, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	want := []Match{
		{Rule: "same", File: "0.yar", Tags: []string{"one", "two"}, Meta: map[string]any{"points": 3, "clean": false, "note": "a note"}},
		{Rule: "same", File: "1.yar", Meta: map[string]any{}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("matches %+v\nwant %+v", got, want)
	}
	if got, err := r.Scan(context.Background(), nil, Facts{}, time.Second); err != nil || len(got) != 0 {
		t.Errorf("nothing matches %v, %v", got, err)
	}
}

func TestASourceThatDoesNotCompileIsNamedAndLeftOut(t *testing.T) {
	sources := []Source{
		{"good.yar", "rule a { condition: true }"},
		{"syntax.yar", "rule b {\n condition:\n  and }"},
		{"include.yar", "include \"good.yar\"\nrule c { condition: true }"},
		{"include2.yar", "include \"/etc/hostname\"\nrule c { condition: true }"},
		{"unknown.yar", "rule d { condition:\n nobody == 1 }"},
		{"module.yar", "import \"nosuch\"\nrule e { condition: true }"},
		{"twice.yar", "rule f { condition: true }\nrule f { condition: true }"},
		{"nul.yar", "rule g { condition: true }\n\x00 rule g2 { condition: true }"},
		{"external.yar", "rule filename { condition: true }"},
		{"empty.yar", ""},
		{"good.yar", "rule a { condition: true }"},
		{"regex.yar", "rule h { strings: $a = /a(/ condition: $a }"},
	}
	r, problems, err := Compile(sources)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	lines := map[string]int{"syntax.yar": 3, "include.yar": 1, "include2.yar": 1, "unknown.yar": 2, "module.yar": 1, "twice.yar": 2, "nul.yar": 2, "external.yar": 1, "regex.yar": 1}
	if len(problems) != len(lines) {
		t.Errorf("%d problems, want %d", len(problems), len(lines))
	}
	for _, p := range problems {
		if line, ok := lines[p.File]; !ok || p.Line != line || p.Msg == "" {
			t.Errorf("%s, want line %d", p, line)
		}
	}
	got, err := r.Scan(context.Background(), []byte("x"), Facts{}, time.Second)
	if err != nil || names(got) != "good.yar:a good.yar:a" {
		t.Errorf("matches %s, %v", names(got), err)
	}
}

func TestNoRulesAtAll(t *testing.T) {
	r, problems, err := Compile(nil)
	if err != nil || len(problems) != 0 {
		t.Fatal(problems, err)
	}
	defer r.Close()
	if got, err := r.Scan(context.Background(), []byte("x"), Facts{}, time.Second); err != nil || len(got) != 0 || r.Len() != 0 {
		t.Errorf("matches %v, %v", got, err)
	}
}

func TestEveryExternalHasItsValue(t *testing.T) {
	r := compile(t, `
		rule name { condition: filename == "n" } rule path { condition: filepath == "p" } rule extension_ { condition: extension == "e" }
		rule type { condition: filetype == "t" } rule content { condition: content_type == "c" } rule sender { condition: sender_domain == "s" }
		rule kind_ { condition: kind == "k" } rule empty { condition: md5 == "" and owner == "" }`)
	all := Facts{"n", "p", "e", "t", "c", "s", "k"}
	for _, f := range []struct {
		facts Facts
		want  string
	}{
		{all, "name path extension_ type content sender empty kind_"},
		{Facts{}, "empty"},
		{all, "name path extension_ type content sender empty kind_"},
		{Facts{Name: "n", Kind: "k"}, "name empty kind_"},
		{Facts{Name: "\x00n", Path: "p\x00"}, "name path empty"},
		{Facts{Name: strings.Repeat("x", 1<<20)}, "empty"},
	} {
		got, err := r.Scan(context.Background(), []byte("x"), f.facts, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if rules := strings.ReplaceAll(names(got), "0.yar:", ""); rules != f.want {
			t.Errorf("%.40q: %s, want %s", fmt.Sprint(f.facts), rules, f.want)
		}
	}
}

// TestTimeLimitsBelowASecond is about the library's cut to whole seconds, by which
// 50 ms would be none.
func TestTimeLimitsBelowASecond(t *testing.T) {
	r := compile(t, `rule quick { condition: true }
		rule slow { condition: kind != "mail" and for all i in (0..1000000) : (for all j in (0..1000000) : (i + j > -1)) }`)
	start := time.Now()
	got, err := r.Scan(context.Background(), make([]byte, 100), Facts{}, 50*time.Millisecond)
	if took := time.Since(start); took < 50*time.Millisecond || took > 900*time.Millisecond {
		t.Errorf("a limit of 50 ms took %v", took)
	}
	if !errors.Is(err, ErrTime) {
		t.Errorf("error %v", err)
	}
	if names(got) != "0.yar:quick" {
		t.Errorf("matches until then: %s", names(got))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	start = time.Now()
	if _, err := r.Scan(ctx, make([]byte, 100), Facts{}, time.Hour); !errors.Is(err, ErrTime) || time.Since(start) > 900*time.Millisecond {
		t.Errorf("a deadline in 30 ms ended with %v after %v", err, time.Since(start))
	}
}

// TestEvilRulesAndData prints how far beyond a limit of 100 ms the library goes.
func TestEvilRulesAndData(t *testing.T) {
	a := []byte(strings.Repeat("a", 4<<20))
	for name, text := range map[string]string{
		"nested repetition": `rule a { strings: $a = /aa(a+a+)+b/ condition: $a }`,
		"optional":          `rule a { strings: $a = /aaaa(a?){60}a{60}c/ condition: $a }`,
		"gaps":              `rule a { strings: $a = /aaaa.{0,1000}b.{0,1000}c.{0,1000}d/ condition: $a }`,
		"jumps":             `rule a { strings: $a = { 61 61 61 61 [0-200] 61 [0-200] 61 [0-200] 62 } condition: $a }`,
		"a million matches": `rule a { strings: $a = "aa" $b = "aaa" $c = "aaaa" condition: #a > 5000000 or #b > 5000000 or #c > 5000000 }`,
		"loop in a loop":    `rule a { condition: for all i in (0..filesize) : (for all j in (0..filesize) : (uint8(i) == uint8(j))) }`,
		"loop of entropies": `import "math" rule a { condition: for all i in (0..1000) : (math.entropy(i, filesize) >= 0.0) }`,
		"loop of hashes":    `import "hash" rule a { condition: for all i in (0..1000) : (hash.sha256(i, filesize) != "a") }`,
		"regex on a name":   `rule a { condition: for all i in (0..1000000) : (not filename matches /(a+a+)+b/) }`,
	} {
		r := compile(t, text)
		start, before := time.Now(), resident(t)
		_, err := r.Scan(context.Background(), a, Facts{Name: strings.Repeat("a", 4000)}, 100*time.Millisecond)
		took, grown := time.Since(start), resident(t)-before
		if err != nil && !errors.Is(err, ErrTime) {
			t.Errorf("%s: %v", name, err)
		}
		if took > 2*time.Second || grown > 200<<20 {
			t.Errorf("%s took %v and %d MB", name, took, grown>>20)
		}
		t.Logf("%s: %v, %d MB, %v", name, took.Round(time.Millisecond), grown>>20, err)
		r.Close()
	}
}

// TestARuleThatDataBreaksHidesNoOther: data written against one regular expression
// must not blind the others.
func TestARuleThatDataBreaksHidesNoOther(t *testing.T) {
	r := compile(t, `
		rule broken { strings: $a = /aa(a|ab|abc|.a|.{1,40}){1,100}d/ condition: $a }
		rule broken2 { strings: $a = /ab(a|ab|abc|.a|.{1,40}){1,100}d/ $b = "aa" condition: $b and not $a }
		rule good { strings: $a = "needle" condition: $a }`)
	data := []byte(strings.Repeat("a", 1000) + "needle" + strings.Repeat("ab", 1000))
	for range 3 {
		got, err := r.Scan(context.Background(), data, Facts{}, 5*time.Second)
		if names(got) != "0.yar:good" {
			t.Errorf("matches %s", names(got))
		}
		if err == nil || !strings.Contains(err.Error(), "broken") {
			t.Errorf("error %v", err)
		}
	}
	if got, err := r.Scan(context.Background(), []byte("aa.d abxxd"), Facts{}, time.Second); err != nil || names(got) != "0.yar:broken" {
		t.Errorf("the next scan: %s, %v", names(got), err)
	}
}

func TestAScanReportsAHundredMatchesAtMost(t *testing.T) {
	var text strings.Builder
	for i := range 300 {
		fmt.Fprintf(&text, "rule r%d { condition: true }\n", i)
	}
	got, err := compile(t, text.String()).Scan(context.Background(), []byte("x"), Facts{}, time.Second)
	if err != nil || len(got) != maxMatches {
		t.Errorf("%d matches, %v", len(got), err)
	}
}

func TestNoMoreScansInTheLibraryThanProcessors(t *testing.T) {
	r := compile(t, `rule slow { condition: for all i in (0..1000000000) : (i > -1) }`)
	var wg sync.WaitGroup
	for range cap(r.slots) {
		wg.Go(func() { r.Scan(context.Background(), []byte("x"), Facts{}, 400*time.Millisecond) })
	}
	for len(r.slots) < cap(r.slots) {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := r.Scan(ctx, []byte("x"), Facts{}, time.Second); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one more did not wait: %v", err)
	}
	wg.Wait()
}

// TestCloseWhileScanning swaps sets under many scans: each scan is answered by a
// set in its whole, or told that it is closed.
func TestCloseWhileScanning(t *testing.T) {
	text := `rule a { strings: $a = "needle" condition: $a and filename == "n" }`
	var current atomic.Pointer[Rules]
	current.Store(compile(t, text))
	var done atomic.Bool
	var scans, closed atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for !done.Load() {
				got, err := current.Load().Scan(context.Background(), []byte("a needle"), Facts{Name: "n"}, time.Second)
				switch {
				case errors.Is(err, ErrClosed):
					closed.Add(1)
				case err != nil || names(got) != "0.yar:a":
					t.Errorf("%s, %v", names(got), err)
					return
				default:
					scans.Add(1)
				}
			}
		})
	}
	for range 30 {
		next := compile(t, text)
		old := current.Swap(next)
		old.Close()
		old.Close()
		time.Sleep(time.Millisecond)
	}
	done.Store(true)
	wg.Wait()
	if scans.Load() < 100 {
		t.Errorf("only %d scans", scans.Load())
	}
	t.Logf("%d scans, %d of a closed set", scans.Load(), closed.Load())
}

// TestClosedSetsGiveTheirMemoryBack compiles, scans and closes again and again.
func TestClosedSetsGiveTheirMemoryBack(t *testing.T) {
	var text strings.Builder
	for i := range 500 {
		fmt.Fprintf(&text, "rule r%d { strings: $a = \"abc%ddef\" $b = /x%d[a-z]+/ condition: any of them or filename == \"x%d\" }\n", i, i, i, i)
	}
	bad := Source{"bad.yar", text.String() + "rule wrong {"}
	once := func() {
		r, problems, err := Compile([]Source{{"good.yar", text.String()}, bad})
		if err != nil || len(problems) != 1 {
			t.Fatal(problems, err)
		}
		if got, err := r.Scan(context.Background(), []byte("abc7def x8abc"), Facts{Name: "x9"}, time.Second); err != nil || len(got) != 3 {
			t.Fatal(got, err)
		}
		r.Close()
	}
	// The C library gives each thread memory of its own to allocate from, which it
	// keeps: with one thread what is kept is seen soon.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for range 10 {
		once()
	}
	debug.FreeOSMemory()
	before := resident(t)
	for range 20 {
		once()
	}
	debug.FreeOSMemory()
	if grown := resident(t) - before; grown > 8<<20 {
		t.Errorf("20 sets left %d KB behind", grown>>10)
	} else {
		t.Logf("grown by %d KB", grown>>10)
	}
}

// resident is the process's memory in bytes.
func resident(t testing.TB) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("SKIPPED: no /proc/self/status here, so that memory cannot be measured")
	}
	var kb int
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			fmt.Sscan(rest, &kb)
		}
	}
	return kb << 10
}
