package rules_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"spamcatcher/engine"
	"spamcatcher/engine/enginetest"
	"spamcatcher/rules"
	"spamcatcher/rules/native"
)

// A Ruleset is what the engine's plan is made of.
var (
	_ engine.Check    = (*rules.Ruleset)(nil)
	_ engine.Combiner = (*rules.Ruleset)(nil)
)

// language returns the rules of testdata/language.toml.
func language(t testing.TB) *rules.Ruleset {
	t.Helper()
	list, err := native.Load(os.DirFS("testdata"), "language.toml")
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rules.Compile(list, "OTHER_CHECK")
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

func names(hits []engine.Hit) []string {
	var out []string
	for _, h := range hits {
		out = append(out, h.Symbol)
	}
	return out
}

func TestCases(t *testing.T) {
	rs := language(t)
	enginetest.Run(t, "testdata/*.case", func(t *testing.T, m *engine.Mail) []string {
		hits, err := rs.Inspect(context.Background(), m)
		if err != nil {
			t.Fatal(err)
		}
		return names(append(hits, rs.Combine(m, hits)...))
	})
}

func TestSamplesOfLanguage(t *testing.T) {
	rs := language(t)
	for _, f := range rs.Test() {
		t.Error(f)
	}
	if r := rs.Report(); r.Symbols != 29 || r.Terms != 2 || r.Samples < 60 || r.Kinds["header"] != 9 {
		t.Errorf("report is %+v", r)
	}
}

// TestFailures sees samples fail that must.
func TestFailures(t *testing.T) {
	rs, err := compile(`
[[rule]]
symbol = "AA"
description = "a"
points = 1
body = 'tree'
hit = ["forest"]
miss = [
  "flower",
  "a tree",
]
[[rule]]
symbol = "BB"
description = "b"
points = 1
defect = "base64_junk"
hit = ["fragment"]
miss = [":colour red\nSubject: x\n\nbody\n"]
`)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range rs.Test() {
		got = append(got, f.String())
	}
	want := []string{"x.toml:7: AA must hit but does not; found: nothing", "x.toml:10: AA must not hit but does; found: AA", "x.toml:17: BB a sample of a defect rule must be a whole message", "x.toml:18: BB reading fact line \":colour red\""}
	if len(got) != len(want) {
		t.Fatalf("failures are\n%s", strings.Join(got, "\n"))
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("failure is %q, want %q", got[i], want[i])
		}
	}
}

func compile(text string, foreign ...string) (*rules.Ruleset, error) {
	list, err := native.Parse("x.toml", []byte(text))
	if err != nil {
		return nil, err
	}
	return rules.Compile(list, foreign...)
}

// rule writes a complete rule.
func rule(symbol, condition string) string {
	return fmt.Sprintf("[[rule]]\nsymbol = %q\ndescription = %q\npoints = 1\n%s\nhit = [\"x\"]\nmiss = [\"y\"]\n", symbol, symbol, condition)
}

func TestCompileErrors(t *testing.T) {
	cases := []struct{ text, want string }{
		{rule("AB", "body = '(bad'"), "x.toml:5:1: AB: "},
		{rule("AB", "body = '(?=look)x'"), "x.toml:5:1: AB: "},
		{rule("AB", "body = '"+strings.Repeat("x", 10241)+"'"), "10241 bytes"},
		{rule("AB", "body = 'abc'") + rule("AB", "body = 'abc'"), "x.toml:8:1: AB is already defined at x.toml:1"},
		{rule("AB", "meta = 'CD'"), "x.toml:5:1: AB: CD is neither a rule nor a symbol of another check"},
		{rule("AB", "meta = 'AB'"), "names itself"},
		{rule("AB", "meta = 'CD'") + rule("CD", "meta = '!AB'"), "names itself"},
		{rule("AB", "meta = 'AB &&'"), "expression column 6: a name is missing"},
		{rule("AB", "meta = '(AB'"), "closing bracket"},
		{rule("AB", "meta = 'count(AB)'"), "must be compared"},
		{rule("AB", "meta = 'AB AB'"), `unexpected "AB"`},
		{rule("AB", "meta = 'ab'"), "upper case"},
		{rule("AB", "meta = '"+strings.Repeat("!", 200)+"AB'"), "nested deeper"},
		{rule("lower", "body = 'abc'"), "is not a symbol"},
		{strings.Replace(rule("AB", "body = 'abc'"), "points = 1", "points = 11", 1), "11 points"},
		{strings.Replace(rule("AB", "body = 'abc'"), "points = 1", "points = nan", 1), "NaN points"},
		{strings.Replace(rule("AB", "body = 'abc'"), "hit = [\"x\"]", "", 1), "AB has no sample that must hit"},
		{strings.Replace(rule("AB", "body = 'abc'"), "miss = [\"y\"]", "", 1), "AB has no sample that must miss"},
		{strings.Replace(rule("AB", "body = 'abc'"), "description = \"AB\"", "", 1), "AB has no description"},
		{rule("_AB", "body = 'abc'"), "a term, which has no points"},
		{rule("AB", "header = { match = 'abc' }"), "header.name is missing"},
		{rule("AB", "header = { name = 'A', match = 'abc', absent = true }"), "exactly one of"},
		{rule("AB", "header = { name = 'A', match = 'abc', of = 'colour' }"), "header.of"},
		{rule("AB", "html = { tag = 'a', image = 'b' }"), "exactly one of"},
		{rule("AB", "uri = {}"), "uri is empty"},
		{rule("AB", "attachment = { min_size = 5, max_size = 3 }"), "below min_size"},
		{rule("AB", "defect = {}"), "kind"},
		{rule("AB", "envelope = { of = 'moon', match = 'x' }"), "envelope.of"},
		{rule("AB", "fact = { name = 'number_of_moons', above = 1 }"), `no fact "number_of_moons"`},
		{rule("AB", "fact = { name = 'message_bytes' }"), "above, below"},
	}
	for _, c := range cases {
		_, err := compile(c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error is %v, want %q in it, for\n%s", err, c.want, c.text)
		}
	}
	// All faults of a set are told at once, in the order of the file.
	_, err := compile(rule("AB", "body = '(bad'") + rule("CD", "meta = 'EF'"))
	if err == nil || len(strings.Split(err.Error(), "\n")) != 2 || !strings.HasPrefix(err.Error(), "x.toml:5") {
		t.Errorf("two faults are told as %v", err)
	}
	if _, err := compile(rule("AB", "body = 'abc'"), "AB"); err == nil {
		t.Error("a rule may bear the name of another check's symbol")
	}
}

func TestMetaOrder(t *testing.T) {
	// Each names the one after it; values must still be right.
	rs, err := compile(rule("AA", "meta = 'BB'") + rule("BB", "meta = 'CC && !DD'") + rule("CC", "meta = 'EE || DD'") + rule("DD", "body = 'zebra'") + rule("EE", "body = 'horse'"))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{"horse": "AA BB CC EE", "zebra": "CC DD", "horse zebra": "CC DD EE", "cow": ""} {
		hits, _ := rs.Inspect(context.Background(), enginetest.Mail(t, "Subject: x\n\n"+text+"\n"))
		if got := strings.Join(names(hits), " "); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestCounts(t *testing.T) {
	for _, c := range []struct {
		op   string
		want []bool // for 0, 1, 2 that hold
	}{
		{"== 1", []bool{false, true, false}}, {"!= 1", []bool{true, false, true}}, {"< 1", []bool{true, false, false}},
		{"<= 1", []bool{true, true, false}}, {"> 1", []bool{false, false, true}}, {">= 1", []bool{false, true, true}},
	} {
		rs, err := compile(rule("AA", "meta = 'count(BB, CC) "+c.op+"'") + rule("BB", "body = 'zebra'") + rule("CC", "body = 'horse'"))
		if err != nil {
			t.Fatal(err)
		}
		for n, text := range []string{"cow", "zebra", "zebra horse"} {
			hits, _ := rs.Inspect(context.Background(), enginetest.Mail(t, "Subject: x\n\n"+text+"\n"))
			if got := slices.Contains(names(hits), "AA"); got != c.want[n] {
				t.Errorf("count %s of %d is %v", c.op, n, got)
			}
		}
	}
}

// TestForeign proves that terms are known to expressions over other checks
// although they are never among the hits.
func TestForeign(t *testing.T) {
	rs := language(t)
	m := enginetest.Mail(t, "Subject: x\n\nrosebud\n")
	hits, _ := rs.Inspect(context.Background(), m)
	if slices.Contains(names(hits), "T_LATE") {
		t.Error("Inspect answers for another check")
	}
	if got := rs.Combine(m, hits); len(got) != 0 {
		t.Errorf("without the other check's symbol: %v", names(got))
	}
	hits = append(hits, engine.Hit{Symbol: "OTHER_CHECK"})
	before := slices.Clone(hits)
	if got := strings.Join(names(rs.Combine(m, hits)), " "); got != "T_LATE" {
		t.Errorf("with the other check's symbol: %q", got)
	}
	if !slices.Equal(before, hits) {
		t.Error("Combine changed its input")
	}
}

func TestDetails(t *testing.T) {
	rs, err := compile(rule("AA", "body = 'begin[^!]+end'") + rule("BB", "header = { name = 'X-A', of = 'raw', match = 'abc.*' }"))
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("é", 100)
	hits, _ := rs.Inspect(context.Background(), enginetest.Mail(t, "X-A: abc\x07d\tq\nContent-Type: text/plain; charset=utf-8\n\nbegin"+long+"end\n"))
	if len(hits) != 2 {
		t.Fatalf("hits are %v", hits)
	}
	a, b := hits[0].Detail, hits[1].Detail
	if len(a) > 60 || len(a) < 58 || !utf8.ValidString(a) || !strings.HasPrefix(a, "beginéé") {
		t.Errorf("detail of %d bytes: %q", len(a), a)
	}
	if b != "abc d q" {
		t.Errorf("detail is %q", b)
	}
}

func TestPrices(t *testing.T) {
	rs := language(t)
	p := rs.Prices()
	if len(p) != len(rs.Symbols()) {
		t.Errorf("%d prices for %d symbols", len(p), len(rs.Symbols()))
	}
	if math.Abs(p["T_BODY"]-1.5*math.Ln2) > 1e-12 || math.Abs(p["T_HAS_BEARER"]+0.5*math.Ln2) > 1e-12 {
		t.Errorf("prices are %v and %v", p["T_BODY"], p["T_HAS_BEARER"])
	}
	for _, s := range rs.Symbols() {
		if strings.HasPrefix(s.Name, "_") || s.Description == "" {
			t.Errorf("symbol %+v", s)
		}
	}
}

func TestDigest(t *testing.T) {
	a, err := compile(rule("AA", "body = 'abc'"))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := compile("\n\n" + rule("AA", "body = 'abc'"))
	c, _ := compile(rule("AA", "body = 'abd'"))
	d, _ := compile(rule("AA", "skeleton = 'abc'"))
	if a.Digest() != b.Digest() || a.Digest() == c.Digest() || a.Digest() == d.Digest() || len(a.Digest()) != 16 {
		t.Errorf("digests are %s %s %s %s", a.Digest(), b.Digest(), c.Digest(), d.Digest())
	}
}

// TestLongText proves which parts of a long text are searched.
func TestLongText(t *testing.T) {
	rs, err := compile(rule("AA", "body = 'zebra'"))
	if err != nil {
		t.Fatal(err)
	}
	line := strings.Repeat("nothing here ", 8) + "\n"
	build := func(before, after int) string {
		return "Subject: x\n\n" + strings.Repeat(line, before/len(line)) + "zebra\n" + strings.Repeat(line, after/len(line))
	}
	for _, c := range []struct {
		before, after int
		want          bool
	}{{380 << 10, 600 << 10, true}, {600 << 10, 120 << 10, true}, {500 << 10, 500 << 10, false}} {
		hits, _ := rs.Inspect(context.Background(), enginetest.Mail(t, build(c.before, c.after)))
		if got := len(hits) == 1; got != c.want {
			t.Errorf("after %d and before %d bytes: %v", c.before, c.after, got)
		}
	}
}

// TestConcurrent judges in parallel and one by one and compares.
func TestConcurrent(t *testing.T) {
	rs := language(t)
	text, err := os.ReadFile("testdata/language.case")
	if err != nil {
		t.Fatal(err)
	}
	cases, err := enginetest.Parse("language.case", string(text))
	if err != nil {
		t.Fatal(err)
	}
	want := make([]string, len(cases))
	for i, c := range cases {
		hits, _ := rs.Inspect(context.Background(), c.Mail)
		want[i] = fmt.Sprint(hits)
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for n := range 3 * len(cases) {
				i := (n*7 + g) % len(cases)
				hits, _ := rs.Inspect(context.Background(), cases[i].Mail)
				if got := fmt.Sprint(hits); got != want[i] {
					t.Errorf("case %q in parallel: %s, alone %s", cases[i].Name, got, want[i])
				}
			}
		})
	}
	wg.Wait()
}
