package match

import (
	"fmt"
	"math/rand"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	re2 "github.com/wasilibs/go-re2"
)

// scan returns the ids of the patterns that a Set finds, and checks the places.
func scan(t testing.TB, s *Set, text string) []int {
	t.Helper()
	var ids []int
	s.Scan(text, func(id, start, end int) {
		if start < 0 || end < start || end > len(text) {
			t.Fatalf("pattern %d: place %d:%d outside a text of %d bytes", id, start, end, len(text))
		}
		ids = append(ids, id)
	})
	if !slices.IsSorted(ids) || len(slices.Compact(slices.Clone(ids))) != len(ids) {
		t.Fatalf("ids %v are not ascending", ids)
	}
	return ids
}

// plainly tries each pattern on the whole text, one by one: what Scan must find.
func plainly(patterns []string, text string) []int {
	var ids []int
	for i, p := range patterns {
		if re2.MustCompile(p).MatchString(text) {
			ids = append(ids, i)
		}
	}
	return ids
}

func set(t testing.TB, patterns ...string) *Set {
	t.Helper()
	s, err := Compile(patterns)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestScan(t *testing.T) {
	pad := strings.Repeat(" ofo rab zab one edge", 20) + " "
	cases := []struct {
		pattern   string
		hit, miss []string
	}{
		{`(?i)\bnext of kin\b`, []string{"the NEXT OF KIN of", "next of kin", "xnext of kin, next of kin"}, []string{"next of kindness", "xnext of kin", "next of ki"}},
		{`(?i)kiss`, []string{"KISS", "\u212aiss", "ki\u017f\u017f", "Ki\u017fS"}, []string{"kist"}},
		{`kiss`, []string{"kiss \u212a"}, []string{"KISS", "\u212aiss", "ki\u017fs"}},
		{`\bcat\b`, []string{strings.Repeat("concat category ", 20) + "cat", "cat"}, []string{strings.Repeat("concat category ", 20)}},
		{`(?i)наследств[оа]`, []string{"НАСЛЕДСТВО", "Ваше Наследства"}, []string{"наследник"}},
		{`(?i)straße`, []string{"STRAẞE", "straße"}, []string{"strasse"}},
		{`v[i1l]agra`, []string{"v1agra"}, []string{"vaagra"}},
		{`colou?r`, []string{"color", "colour"}, []string{"colouur"}},
		{`click\s+here.{0,10}now`, []string{"click   here to do now", strings.Repeat("click ", 50) + "\there, now"}, []string{"click here\nnow", "click here 01234567890 now"}},
		{`<img[^>]+width="?1\b`, []string{`<img src="a" width=1>`, `<p><img width="1"></p>`}, []string{`<img src="a">width=1`, `<img width=12>`}},
		{`^Dear\b`, []string{"Dear friend"}, []string{" Dear friend", "so Dear"}},
		{`(?m)^Dear\b`, []string{"Dear friend", "Hello\nDear you"}, []string{"so\n Dear", "so Dear"}},
		{`end\.$`, []string{"the end."}, []string{"the end.\nof", "end. "}},
		{`(?m)end\.$`, []string{"the end.\nof"}, []string{"end. "}},
		{`(?i)\b(?:free|gratis) money\b`, []string{"Gratis Money"}, []string{"free  money"}},
		{`a{3,20}b`, []string{"caaab", strings.Repeat("a", 30) + "b"}, []string{"aab"}},
		{`(?:abc|def)+ghi`, []string{"abcdefghi"}, []string{"ghi"}},
		{`[[:digit:]]{4}`, []string{"x1234"}, []string{"123"}},
		{`\Bful\b`, []string{"wonderful"}, []string{"ful", "fully"}},
		{`привет`, []string{"ну привет!"}, []string{"Привет"}},
		{`免费`, []string{"今天免费送"}, []string{"免费"[:3]}},
		{`x*`, []string{"", "a"}, nil},
		{`(?s)begin.*finish`, []string{"begin\n\nfinish"}, []string{"finish begin"}},
		{`-----\s+-----`, []string{"-----\n\n\n-----"}, []string{"-----x-----"}},
		// Windows: white space does not count, and a cut within a word or line
		// must not look like its end.
		{`foo\s+bar\s+bazz`, []string{pad + "foo" + strings.Repeat(" ", 50) + "bar" + strings.Repeat("\n", 50) + "bazz" + pad}, []string{pad + "foo bar" + pad + "bazz"}},
		{`bazz\s+bar\s+foo`, []string{pad + "bazz" + strings.Repeat(" ", 50) + "bar" + strings.Repeat("\n", 50) + "foo" + pad}, []string{pad + "bazz" + pad + "bar foo"}},
		{`\b\w{0,3}needle`, []string{pad + "abcneedle" + pad}, []string{pad + "abcdefghijneedle12needle" + pad}},
		{`needle\w{0,3}\b`, []string{pad + "needleabc" + pad}, []string{pad + "needle12needleabcdefghij" + pad}},
		{`(?m)^.{0,3}needle`, []string{pad + "\nabcneedle" + pad}, []string{pad + "\nabc efghijneedle12needle" + pad}},
		{`(?m)needle.{0,3}$`, []string{pad + "needleabc\n" + pad}, []string{pad + "needle12needleabc efghij\n" + pad}},
		{`(?m)\s+^xyz   `, []string{"q\n\n\nxyz    "}, []string{"xyz   "}},
	}
	if len(cases) < 20 {
		t.Fatal("cases are missing")
	}
	var all []string
	for _, c := range cases {
		all = append(all, c.pattern)
	}
	together := set(t, all...)
	for _, c := range cases {
		one := set(t, c.pattern)
		for _, text := range c.hit {
			if len(scan(t, one, text)) != 1 {
				t.Errorf("%q misses %q", c.pattern, text)
			}
		}
		for _, text := range c.miss {
			if len(scan(t, one, text)) != 0 {
				t.Errorf("%q finds %q", c.pattern, text)
			}
		}
		for _, text := range append(c.hit, c.miss...) {
			if got, want := scan(t, together, text), plainly(all, text); !slices.Equal(got, want) {
				t.Errorf("in %q together %v, one by one %v", text, got, want)
			}
		}
	}
}

func TestPlaces(t *testing.T) {
	s := set(t, `(?i)\bnext of kin\b`, `heir\s+to\s+\w+`, `<a [^>]*>`, `pay.{0,30}now`)
	text := "As the Next Of Kin and heir to  fortune you <a href=x> must pay, I say, now."
	want := []string{"Next Of Kin", "heir to  fortune", "<a href=x>", "pay"}
	n := 0
	s.Scan(text, func(id, start, end int) {
		n++
		if got := text[start:end]; got != want[id] {
			t.Errorf("pattern %d is at %q, want %q", id, got, want[id])
		}
	})
	if n != len(want) {
		t.Errorf("%d patterns found, want %d", n, len(want))
	}
}

func TestLiterals(t *testing.T) {
	cases := []struct {
		pattern string
		want    []string // required literals; nil for none
		sure    bool
	}{
		{`Viagra`, []string{"viagra"}, true},
		{`(?i)viagra`, []string{"viagra"}, true},
		{`(?i)\b(?:viagra|cialis)\b`, []string{"cialis", "viagra"}, true},
		{`(?i)kiss`, []string{"kiss"}, true},
		{`12345`, []string{"12345"}, true},
		{`(?m)^12345`, []string{"12345"}, false},
		{`ab`, nil, false},
		{`\$`, []string{"$"}, true},
		{`(?i)no|x9`, nil, false},
		{`(?i)no way \w+`, []string{"no way "}, false},
		{`(?i)\bno\b|x9`, []string{"no", "x9"}, true},
		{`(?i)\ba\b`, nil, false},
		{`(?:abc)?`, nil, false},
		{`(?:abc)*`, nil, false},
		{`.*`, nil, false},
		{`[a-z]+`, nil, false},
		{`abc|d`, nil, false},
		{`x{3}`, []string{"xxx"}, true},
		{`.(?:lottery)+.`, []string{"lottery"}, false},
		{`(?i)ñandú`, []string{"ÑandÚ"}, true},
		{`^hello$`, []string{"hello"}, true},
		{`the.*lottery`, []string{"lottery"}, false},
	}
	for _, c := range cases {
		p, err := compile(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		sure := len(p.branches) > 0
		for _, b := range p.branches {
			got = append(got, b.needs[0].literals...)
			sure = sure && b.sure
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) || sure != c.sure {
			t.Errorf("%q requires %q sure %v, want %q sure %v", c.pattern, got, sure, c.want, c.sure)
		}
	}
}

func TestContained(t *testing.T) {
	for _, c := range []struct{ pattern, in, out string }{
		{`call.{0,9}[0-9]{3}`, "call 4", "call x"},
		{`pay (?:[0-9]+|[$%])`, "%", "pay x"},
		{`(?i)abc[A-F]{2}`, "", ""}, // small letters are everywhere
		{`abc[0-9]?`, "", ""},
		{`abc(?:[0-9]|x)`, "", ""},
		{`[A-Z]{5}.*[0-9]+`, "1", "ABCDE"},
		{`abc[\x{660}-\x{669}0-9]`, "", ""},
	} {
		tree, err := syntax.Parse(c.pattern, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		got := contained(tree)
		if c.out == "" {
			if got != nil {
				t.Errorf("%q has a class", c.pattern)
			}
		} else if got == nil || !got.in(c.in) || got.in(c.out) {
			t.Errorf("%q: class %v, %q must have it and %q not", c.pattern, got != nil, c.in, c.out)
		}
	}
}

// TestOrbits proves for every letter with a case that RE2 folds it as the
// literals expect: no other character matches, and each of the orbit does.
func TestOrbits(t *testing.T) {
	n := 0
	for r := rune(0x80); r < 0x1F000; r++ {
		if unicode.SimpleFold(r) == r {
			continue
		}
		n++
		var want []rune
		for _, f := range orbit(r) {
			want = append(want, f)
		}
		slices.Sort(want)
		re := re2.MustCompile(`(?i)^` + string(r) + `$`)
		for _, f := range want {
			if !re.MatchString(string(f)) {
				t.Logf("RE2 does not fold %U to %U: a literal too many, harmless", r, f)
			}
		}
		// What RE2 takes for r beside the orbit would be lost.
		for _, f := range []rune{unicode.ToLower(r), unicode.ToUpper(r), unicode.ToTitle(r), r + 1, r - 1, r + 32, r - 32, r ^ 1, 'k', 's', 'i', 'I', 'K', 'S'} {
			if utf8.ValidRune(f) && re.MatchString(string(f)) && !slices.Contains(want, f) {
				t.Errorf("RE2 folds %U to %U, which is not in the orbit %U", r, f, want)
			}
		}
	}
	if n < 2000 {
		t.Errorf("only %d letters tried", n)
	}
}

func TestCompileErrors(t *testing.T) {
	_, err := Compile([]string{`good`, `(bad`, `(?=look)`, `x{1,2000}`})
	if err == nil {
		t.Fatal("bad patterns compile")
	}
	for _, id := range []string{"pattern 1:", "pattern 2:", "pattern 3:"} {
		if !strings.Contains(err.Error(), id) {
			t.Errorf("error %q does not name %s", err, id)
		}
	}
	if strings.Contains(err.Error(), "pattern 0") {
		t.Errorf("error %q blames a good pattern", err)
	}
}

// randomPattern makes patterns of every construct that the literals and bounds
// look at, over an alphabet so small that they often match.
func randomPattern(rng *rand.Rand, depth int) string {
	atoms := []string{"abc", "bca", "cab", "k", "s", "ks", "é", "É", "ж", "Ж", " ", "abcabc", "[ab]", "[^a]", "[a-cA-C]", ".", "a", "b", "ска", "\u017f", "\u212a", "-", "\n"}
	if depth <= 0 {
		return atoms[rng.Intn(len(atoms))]
	}
	sub := func() string { return randomPattern(rng, depth-1-rng.Intn(2)) }
	switch rng.Intn(14) {
	case 0, 1, 2, 3, 4:
		return sub() + sub() + sub()
	case 5, 6:
		return "(?:" + sub() + "|" + sub() + ")"
	case 7:
		return "(?:" + sub() + ")" + []string{"?", "*", "+", "{2}", "{1,3}", "{0,2}", "{2,}"}[rng.Intn(7)]
	case 8:
		return `\b` + sub()
	case 9:
		return sub() + `\b`
	case 10:
		return "(?i:" + sub() + ")"
	case 11:
		return sub() + `\s+` + sub()
	case 12:
		return []string{"^", "$", "(?m:^)", "(?m:$)", `\B`}[rng.Intn(5)] + sub() + []string{"", "$", "(?m:$)"}[rng.Intn(3)]
	}
	return sub() + []string{".{0,9}", ".*", "[^-]*", ".{1,3}", "[^-]{0,12}"}[rng.Intn(5)] + sub()
}

func randomText(rng *rand.Rand) string {
	atoms := []string{"abc", "bca", "cab", "a", "b", "c", "k", "s", "é", "É", "ж", "Ж", " ", "\n", "-", "ABC", "K", "S", "скА", "ска", "  ", "x"}
	if rng.Intn(8) == 0 {
		atoms = append(atoms, "\u017f", "\u212a")
	}
	var b strings.Builder
	for n := rng.Intn(120); n > 0; n-- {
		b.WriteString(atoms[rng.Intn(len(atoms))])
	}
	return b.String()
}

// difference compares a Set with its patterns tried one by one.
func difference(t testing.TB, patterns, texts []string) (hits int) {
	t.Helper()
	s, err := Compile(patterns)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range texts {
		got, want := scan(t, s, text), plainly(patterns, text)
		hits += len(want)
		if !slices.Equal(got, want) {
			for i, p := range patterns {
				if slices.Contains(got, i) != slices.Contains(want, i) {
					t.Fatalf("pattern %q in text %q: Scan says %v, RE2 alone %v", p, text, slices.Contains(got, i), slices.Contains(want, i))
				}
			}
		}
	}
	return hits
}

func TestDifference(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	hits, tried, filtered := 0, 0, 0
	for range 250 {
		var patterns, texts []string
		for len(patterns) < 8 {
			p := randomPattern(rng, 3)
			if _, err := regexp.Compile(p); err == nil {
				patterns = append(patterns, p)
			}
		}
		for range 12 {
			texts = append(texts, randomText(rng))
		}
		hits += difference(t, patterns, texts)
		tried += len(patterns) * len(texts)
		filtered += len(patterns) - len(set(t, patterns...).Literalless())
	}
	t.Logf("%d hits in %d trials, %d patterns with literals", hits, tried, filtered)
	if hits < tried/50 || hits > tried/2 || filtered < 500 {
		t.Errorf("the trials prove little: %d hits in %d trials, %d patterns with literals", hits, tried, filtered)
	}
}

// TestManyPatterns has more patterns than fit in a word of a bit set and in a
// pack.
func TestManyPatterns(t *testing.T) {
	var patterns []string
	for i := range 100 {
		patterns = append(patterns, fmt.Sprintf(`word%d\b`, i), fmt.Sprintf(`\b%c\w?%c\b`, "abcdefghil"[i/10], "abcdefghil"[i%10]))
	}
	difference(t, patterns, []string{"", "word7 ab", "word99 word98 aa gh gi word63 word64 ll li il", "abcd word7"})
	if n := len(set(t, patterns...).packs); n < 4 {
		t.Errorf("%d packs", n)
	}
}

func FuzzSet(f *testing.F) {
	f.Add(`(?i)\bnext of kin\b`, `heir\s+to.{0,20}gold`, "the next of kin, heir to a pot of gold", int64(1))
	f.Add(`(?i)kiss`, `<img[^>]+width=1`, "\u212ai\u017fs <img width=1>", int64(2))
	f.Fuzz(func(t *testing.T, a, b, text string, seed int64) {
		if len(a) > 60 || len(b) > 60 || len(text) > 2000 {
			return
		}
		rng := rand.New(rand.NewSource(seed))
		patterns := []string{}
		for _, p := range []string{a, b, randomPattern(rng, 3), randomPattern(rng, 2)} {
			if !utf8.ValidString(p) || strings.ContainsRune(p, 0) {
				continue
			}
			if _, err := compile(p); err == nil {
				patterns = append(patterns, p)
			}
		}
		difference(t, patterns, []string{strings.ToValidUTF8(text, "?"), randomText(rng)})
	})
}

func TestScanAllocates(t *testing.T) {
	if underRace {
		t.Skip("SKIPPED: with the race detector sync.Pool throws things away at random")
	}
	s := set(t, `(?i)\bnext of kin\b`, `heir\s+to.{0,20}gold`, `<img[^>]+width=1`, `lottery`)
	text := strings.Repeat("A letter of no interest to anybody, <img src=x> and heir to nothing. ", 100)
	n := testing.AllocsPerRun(100, func() { s.Scan(text, func(int, int, int) { t.Fatal("a hit") }) })
	if n > 1 { // a garbage collection may empty the pool
		t.Errorf("%v allocations for a text without hit", n)
	}
}

// TestManyPlaces counts what is noted and tried instead of measuring time: on a text made
// of near misses both stay within their bounds.
func TestManyPlaces(t *testing.T) {
	for _, c := range []struct{ pattern, unit string }{
		{`heir to .{0,40} gold`, "heir to "},
		{`\bcat\b`, "concat "},
		{`<img[^>]+width=1`, "<img "},
		{`(?s)begin.*finish`, "begin "},
		{`aaaa+b`, "a"},
		{`(?i)kiss me`, "kiss\u212a"},
	} {
		p, err := compile(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		s := set(t, c.pattern)
		for _, n := range []int{1000, 100_000} {
			text := strings.Repeat(c.unit, n/len(c.unit))
			sc := newScratch(len(s.literals), 1)
			sc.reset()
			s.finder.scan(text, sc)
			for _, at := range sc.found {
				if at.count > keep+1 {
					t.Errorf("%q: %d occurrences noted, more than %d", c.pattern, at.count, keep+1)
				}
			}
			if got := scan(t, s, text); len(got) != 0 {
				t.Errorf("%q found in near misses", c.pattern)
			}
			if limit := p.limit(text, 0); p.heavy && limit > heavyBytes+64 {
				t.Errorf("%q is heavy but tried on %d bytes", c.pattern, limit)
			}
		}
	}
}

// TestHeavy proves that a heavy pattern is found on all of a text, as a light
// one is, and that one that only RE2 can run is tried on so much and no more.
func TestHeavy(t *testing.T) {
	s := set(t, `heir[^!]{0,9}[^!]*gold`, `heir[^!]*gold`, `heir(?:[^!\x{e9}-\x{fc}\x{3a9}\x{4e00}-\x{5000}]{0,110}x?){9}[^!]*gold`)
	if assemble(newSearch(flat(parse(t, `heir(?:[^!\x{e9}-\x{fc}\x{3a9}\x{4e00}-\x{5000}]{0,110}x?){9}[^!]*gold`), nil)).factors, false, &shapeCache{}) != nil {
		t.Fatal("the third pattern has a program: choose another")
	}
	for _, c := range []struct {
		gap  int
		want []int
	}{{heavyBytes - 100, []int{0, 1, 2}}, {2 * heavyBytes, []int{0, 1}}} {
		text := "An heir" + strings.Repeat(" ab", c.gap/3) + " gold!"
		if got := scan(t, s, text); !slices.Equal(got, c.want) {
			t.Errorf("across %d bytes: %v, want %v", c.gap, got, c.want)
		}
	}
}

func parse(t testing.TB, expr string) *syntax.Regexp {
	t.Helper()
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func BenchmarkScan(b *testing.B) {
	rng := rand.New(rand.NewSource(7))
	words := strings.Fields("the quick brown letter of our account has been received and will be processed in due time by the office please find below an invitation to the meeting on monday morning where the results are shown")
	var patterns []string
	for i := range 500 {
		patterns = append(patterns, fmt.Sprintf(`(?i)\b%s%d \w+ %s\b`, words[i%len(words)], i, words[rng.Intn(len(words))]))
	}
	patterns = append(patterns, `(?i)\bmonday morning\b`)
	s := set(b, patterns...)
	var t strings.Builder
	for t.Len() < 20_000 {
		t.WriteString(words[rng.Intn(len(words))] + " ")
	}
	text := t.String() + "monday morning"
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		s.Scan(text, func(int, int, int) { n++ })
		if n != 1 {
			b.Fatalf("%d hits, want 1", n)
		}
	}
}
