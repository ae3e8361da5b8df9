package match

import (
	"fmt"
	"math/rand"
	"regexp/syntax"
	"slices"
	"strings"
	"sync"
	"testing"

	re2 "github.com/wasilibs/go-re2"
)

// automata compiles a pattern as it is searched for, forward, and as it is
// run backward from its end.
func automata(t testing.TB, expr string, y *yard) (search, back *automaton) {
	t.Helper()
	factors := flat(parse(t, expr), nil)
	f, b := assemble(factors, false, &y.shapes), assemble(factors, true, &y.shapes)
	if f == nil || b == nil {
		return nil, nil
	}
	return &automaton{program: f, floating: true, yard: y}, &automaton{program: b, floating: true, yard: y}
}

// agree compares both automata with RE2 on a text: with states, and simulated.
func agree(t testing.TB, expr, text string, search, back *automaton) bool {
	t.Helper()
	want := re2.MustCompile(expr).MatchString(text)
	for name, run := range map[string]func() (verdict, int){
		"forward":            func() (verdict, int) { return search.forward(text, 0) },
		"backward":           func() (verdict, int) { return back.backward(text, len(text)) },
		"forward simulated":  func() (verdict, int) { return search.simulate(text, 0, 1, search.rim()) },
		"backward simulated": func() (verdict, int) { return back.simulate(text, len(text)-1, -1, back.rim()) },
	} {
		if v, cost := run(); (v == yes) != want || v == unknown || cost > len(text) {
			t.Fatalf("%q in %q: %s says %d at a cost of %d, RE2 %v", expr, text, name, v, cost, want)
		}
	}
	return want
}

func TestAutomata(t *testing.T) {
	rng := rand.New(rand.NewSource(3))
	y := &yard{}
	hits, tried := 0, 0
	for range 1500 {
		expr := randomPattern(rng, 3)
		if _, err := syntax.Parse(expr, syntax.Perl); err != nil {
			continue
		}
		search, back := automata(t, expr, y)
		if search == nil {
			t.Fatalf("%q has no program", expr)
		}
		for range 6 {
			tried++
			text := randomText(rng)
			if rng.Intn(4) == 0 { // bytes that are no characters
				text += string([]byte{0xC3, 'a', 0xE2, 0x84, 'k', 0xFF}[rng.Intn(5):])
			}
			if agree(t, expr, text, search, back) {
				hits++
			}
		}
	}
	if hits < tried/10 || hits > tried*9/10 {
		t.Errorf("%d hits in %d trials prove little", hits, tried)
	}
}

// TestAutomataCharacters compares classes of characters beyond ASCII with
// RE2's, at the borders of the lengths of their encodings.
func TestAutomataCharacters(t *testing.T) {
	y := &yard{}
	edges := []rune{0, 0x7F, 0x80, 0x7FF, 0x800, 0xFFF, 0x1000, 0xD7FF, 0xE000, 0xFFFD, 0xFFFF, 0x10000, 0x3FFFF, 0x40000, 0x10FFFF, 'k', 0x212A, 's', 0x17F, 'ж', '第'}
	for _, expr := range []string{`^.$`, `^(?s:.)$`, `^[^a]$`, `^[\x{80}-\x{7FF}]$`, `^[\x{7FF}-\x{800}]$`, `^[\x{900}-\x{FFFF}]$`, `^[\x{10000}-\x{10FFFF}]$`, `^\PL$`, `^\pL$`, `^(?i:[k-s])$`, `^(?i:ж)$`, `^[^\x{212A}]$`, `^(?i)K$`} {
		search, back := automata(t, expr, y)
		for _, r := range edges {
			agree(t, expr, string(r), search, back)
			agree(t, expr, string(r)[:len(string(r))-1], search, back)
		}
	}
}

// TestAutomatonMemory proves that states are bounded for texts that make new
// ones without end, and that verdicts do not depend on how many there are.
func TestAutomatonMemory(t *testing.T) {
	y := &yard{}
	expr := `a.{0,200}b.{0,200}c$`
	search, _ := automata(t, expr, y)
	re := re2.MustCompile(expr)
	rng := rand.New(rand.NewSource(5))
	age := uint32(0)
	for range 200 {
		text := make([]byte, 2000)
		for i := range text {
			text[i] = "aaab        x"[rng.Intn(13)]
		}
		text = append(text, "cx"[rng.Intn(2)])
		if v, _ := search.forward(string(text), 0); (v == yes) != re.Match(text) {
			t.Fatalf("verdict %d is wrong after %d fillings", v, search.age)
		}
		if search.bytes > memoryEach || y.total.Load() > memoryAll+memoryEach {
			t.Fatalf("%d bytes of states, %d of all", search.bytes, y.total.Load())
		}
		age = max(age, search.age)
	}
	if age < maxAge {
		t.Errorf("the memory was given up %d times only: choose another pattern", age)
	}
	if got := y.total.Load(); got != int64(search.bytes) {
		t.Errorf("%d bytes counted, %d in use", got, search.bytes)
	}
}

// TestAutomatonConcurrent has many goroutines build the states of one
// automaton.
func TestAutomatonConcurrent(t *testing.T) {
	y := &yard{}
	expr := `(?:ab|ba){2,9}.{0,20}c\b`
	search, _ := automata(t, expr, y)
	re := re2.MustCompile(expr)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewSource(int64(g)))
			for range 300 {
				var b strings.Builder
				for range 40 {
					b.WriteString([]string{"ab", "ba", "a", " ", "c", "x"}[rng.Intn(6)])
				}
				if v, _ := search.forward(b.String(), 0); (v == yes) != re.MatchString(b.String()) {
					t.Errorf("%q: verdict %d", b.String(), v)
				}
			}
		})
	}
	wg.Wait()
}

// TestSpans compares patterns of two literals and a gap with RE2, on texts in
// which both stand many times.
func TestSpans(t *testing.T) {
	rng := rand.New(rand.NewSource(9))
	gaps := []string{`.{0,9}`, `.{2,40}`, `[^x\n]*`, `\s+`, `\b.{0,9}`, `.{0,9}\b`, `\B.{1,5}`, `[a-z ]{0,12}`, ` ?`, ``, `[^.]{3}`, `(?s:.{0,30})`}
	ends := []string{`(?i)cashier`, `cashier`, `\bcash(?:ier)?`, `(?i)(?:cash|cashier|ship)`, `(?:Cash|money)\b`, `[^a]cashier`}
	spans, hits, tried := 0, 0, 0
	for range 300 {
		expr := ends[rng.Intn(len(ends))] + gaps[rng.Intn(len(gaps))] + strings.TrimPrefix(ends[rng.Intn(len(ends))], "(?i)")
		s := set(t, expr)
		for _, b := range s.patterns[0].branches {
			if b.span != nil {
				spans++
			}
		}
		re := re2.MustCompile(expr)
		for range 20 {
			var text strings.Builder
			for range rng.Intn(30) {
				text.WriteString([]string{"cash", "cashier", "Cashier", "money", "ship", "\u017fhip", " ", "  ", "\n", "x", "é", ".", "some words", "\xff"}[rng.Intn(14)])
			}
			tried++
			want := re.MatchString(text.String())
			if want {
				hits++
			}
			if got := len(scan(t, s, text.String())) == 1; got != want {
				t.Fatalf("%q in %q: %v, RE2 says %v", expr, text.String(), got, want)
			}
		}
	}
	if spans < 100 || hits < tried/20 || hits > tried*19/20 {
		t.Errorf("%d spans, %d hits in %d trials prove little", spans, hits, tried)
	}
}

// TestRepeatable proves that what a Set says, places included, does not depend
// on what it read before.
func TestRepeatable(t *testing.T) {
	rng := rand.New(rand.NewSource(11))
	patterns := []string{`call\b.{0,80}(?:[0-9][ -]?){7}`, `(?i)pay.{0,60}(?:now|[0-9]{3})`, `from .{0,100}to.{0,100}by`, `[a-c]{9}`, `\bx.{3,9}y`}
	used := set(t, patterns...)
	for range 300 {
		var b strings.Builder
		for range 200 {
			b.WriteString([]string{"call ", "pay ", "1", "23", "from ", "to ", "by", "now", " ", "abc", "x", "y", "\n"}[rng.Intn(13)])
		}
		var got, want []string
		note := func(list *[]string) func(id, start, end int) {
			return func(id, start, end int) { *list = append(*list, fmt.Sprint(id, start, end)) }
		}
		used.Scan(b.String(), note(&got))
		set(t, patterns...).Scan(b.String(), note(&want))
		if !slices.Equal(got, want) {
			t.Fatalf("used before: %v, new: %v", got, want)
		}
	}
}

// TestGaps compares patterns of one literal, a long gap and what has none with
// RE2, and what is read behind the lengths of a gap with one automaton of all.
func TestGaps(t *testing.T) {
	rng := rand.New(rand.NewSource(13))
	gaps := []string{`.{0,9}`, `.{3,40}`, `[^x\n]*`, `\b.{0,30}`, `.{0,20}\b`, `\B[a-z0-9 ]{1,15}`, `(?s:.*)`, `[^é]{0,12}`}
	rests := []string{`[0-9]{2}`, `\d`, `x?[0-9]`, `[0-9]+(?: [a-z]+){0,3} [0-9]`, `[^a-z]{2}`, `.{9}[0-9]$`, `é[0-9]?`}
	hits, tried := 0, 0
	for _, g := range gaps {
		for _, r := range rests {
			for _, expr := range []string{`cash` + g + r, r + g + `cash`} {
				s, re := set(t, expr), re2.MustCompile(expr)
				for n := range 60 {
					var b strings.Builder
					for range rng.Intn(12) {
						b.WriteString([]string{"cash", "1", "22", " ", "ab", "x", "é", "\n", "some words", "\xff"}[rng.Intn(10)])
					}
					text := b.String()
					if n == 0 { // longer than what is read behind a gap
						text = "cash" + strings.Repeat(text+"1 a", gapCost/4) + "cash"
					}
					tried++
					want := re.MatchString(text)
					if want {
						hits++
					}
					if got := len(scan(t, s, text)) == 1; got != want {
						t.Fatalf("%q in %q: %v, RE2 says %v", expr, text[:min(len(text), 300)], got, want)
					}
				}
			}
		}
	}
	if hits < tried/20 || hits > tried*19/20 {
		t.Errorf("%d hits in %d trials prove little", hits, tried)
	}
}

func FuzzAutomata(f *testing.F) {
	f.Add(`(?i)\bnext of kin\b`, "the next of kin")
	f.Add(`^[^a\x{80}-\x{2000}]{2,}$`, "\u212ai\u017fs")
	f.Add(`(?m)a$\n^b`, "a\nb\xc3")
	f.Fuzz(func(t *testing.T, expr, text string) {
		if len(expr) > 60 || len(text) > 2000 || foreign(expr) || strings.ContainsRune(expr, 0) {
			return
		}
		if _, err := compile(expr); err != nil {
			return
		}
		if _, err := re2.Compile(expr); err != nil {
			return
		}
		if search, back := automata(t, expr, &yard{}); search != nil {
			agree(t, expr, text, search, back)
		}
	})
}
