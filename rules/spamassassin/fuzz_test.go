package spamassassin

import (
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dlclark/regexp2/v2"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
)

// FuzzRules: no rule file makes reading or compiling it panic, and whatever
// compiles judges a message.
func FuzzRules(f *testing.F) {
	text, err := os.ReadFile("testdata/local.cf")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	for line := range strings.Lines(string(text)) {
		f.Add(line)
	}
	f.Add("meta A (B\nmeta B A\nscore A 1 2\nheader C D =~ m{\nif (\nendif\nelse\nreplace_tag X\nheader E F:addr:name =~ /(?<n>a)\\k<n>/ [if-unset: aa]")
	f.Add("body A /(?(1)a|b)/\nbody B /(a)(?(1)b|c)++/\nuri_detail D raw =~ /a/ text !~ m,b,\nmimeheader M Content-Type:raw =~ /x/\ntflags M range=2-3 concat multiple")
	mail := readMail(f, "testdata/mail/offer.eml")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 8<<10 {
			return
		}
		c := newConf()
		r := &reader{conf: c, lang: "en", answers: map[string]bool{}}
		for _, p := range defaultPlugins {
			c.plugins[p] = true
		}
		r.depth = maxInclude // includes would read files
		r.parse("fuzz.cf", text)
		report := &Report{}
		set := compile(c, Config{}, report)
		set.evaluate(mail)
		report.Tallies()
	})
}

// FuzzMail: no message makes the views or the functions of eval rules panic.
func FuzzMail(f *testing.F) {
	for _, name := range []string{"offer.eml", "plain.eml"} {
		text, err := os.ReadFile("testdata/mail/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("From x\r\n \r\nReceived: from a (b [1.2.3.4]) by c with HTTP;\r\nContent-Type: multipart/mixed; boundary=\"\r\n\r\n--\r\n\r\n<a href='"))
	f.Add([]byte("Content-Type: message/rfc822\n\nContent-Type: text/html; charset=gb2312\n\n<style><!--&#99999999;&#x;&<td style='color:rgb(1%,,'>\xa1http://a@b.c:80/%25\x1b(B"))
	f.Add([]byte("Subject: =?utf-8?b?/?= =?gb2312?q?=a1?=\nFrom: \"a\\\" <b@c.de> (d), e:f@g.hi;\nDate: 99 Feb 99999 99:99:99 +9999\n\nwww.a.com/x@y mailto:a%20@b.de?c&d"))
	set := allFunctions(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > 64<<10 {
			return
		}
		set.evaluate(&engine.Mail{Message: message.Parse(raw, message.Limits{})})
	})
}

// allFunctions is the local rules and one rule for each function.
func allFunctions(t testing.TB) *compiled {
	t.Helper()
	c := newConf()
	if err := c.read([]string{"testdata/local.cf"}, "en"); err != nil {
		t.Fatal(err)
	}
	r := &reader{conf: c, lang: "en", answers: map[string]bool{}}
	c.freemail["example.com"] = true
	var lines strings.Builder
	tried := [][]string{{}, {"x"}, {"1"}, {"1", "2"}, {"x", "1"}, {"all", "1", "2"}, {"x", "0.5", "2"}, {"length", "> 5"}, {"all", "1", "1", "2", "2"}, {"reply"}}
	n := 0
	functions := evalFuncs()
	for _, name := range slices.Sorted(maps.Keys(functions)) {
		f := functions[name]
		for _, args := range tried {
			if call, err := f(&compiled{}, args); err == nil && call != nil {
				n++
				lines.WriteString("header FUNCTION_" + itoa(n) + " eval:" + name + "('" + strings.Join(args, "', '") + "')\n")
			}
		}
	}
	for _, request := range []string{"ALL:raw", "ALL-TRUSTED", "ALL-EXTERNAL", "To:name", "From:addr:host", "From:addr:domain", "Received:ip", "Received:revip", "Received:first", "Received:last", "X-AuthorDomain", "X-SenderDomain"} {
		n++
		lines.WriteString("header REQUEST_" + itoa(n) + " " + request + " =~ /./\n")
	}
	r.parse("functions.cf", strings.ReplaceAll(lines.String(), "('')", "()"))
	report := &Report{}
	set := compile(c, Config{}, report)
	if report.Count(Exact) < 150 {
		t.Fatalf("only %d rules", report.Count(Exact))
	}
	return set
}

// patternMaker makes patterns of all that this package knows and regexp2 means
// the same by, in ASCII.
type patternMaker struct {
	r      *rand.Rand
	groups int
}

func (p *patternMaker) pick(list ...string) string { return list[p.r.IntN(len(list))] }

func (p *patternMaker) atom(depth int) string {
	if depth <= 0 || p.r.IntN(3) > 0 {
		return p.pick("a", "b", "c", "ab", "abc", "1", " ", "-", `\.`, ".", `\d`, `\w`, `\W`, `\S`, "[ab]", "[^a]", "[a-c1]", `[\d-]`, `\x61`, `\b`, `\B`, `\s`, "[^b-c]")
	}
	switch p.r.IntN(9) {
	case 0:
		p.groups++
		return "(" + p.sequence(depth-1) + ")"
	case 1:
		return "(?=" + p.sequence(depth-1) + ")"
	case 2:
		return "(?!" + p.sequence(depth-1) + ")"
	case 3:
		return "(?<=" + p.pick("a", "b", "ab", "[ab]", "a|b") + ")"
	case 4:
		return "(?<!" + p.pick("a", "b", "ab", "[ab]", "-") + ")"
	case 5:
		return "(?>" + p.sequence(depth-1) + ")"
	case 6:
		if p.groups > 0 {
			return `\` + itoa(1+p.r.IntN(p.groups))
		}
		return "a"
	case 7:
		return "(?i:" + p.sequence(depth-1) + ")"
	}
	return "(?:" + p.sequence(depth-1) + "|" + p.sequence(depth-1) + ")"
}

func (p *patternMaker) sequence(depth int) string {
	s := ""
	for range 1 + p.r.IntN(3) {
		a := p.atom(depth)
		if p.r.IntN(3) == 0 && !strings.HasPrefix(a, "(?=") && !strings.HasPrefix(a, "(?!") && !strings.HasPrefix(a, "(?<") && a != `\b` && a != `\B` {
			if len(a) > 1 && a[0] != '(' && a[0] != '[' && a[0] != '\\' {
				a = "(?:" + a + ")"
			}
			a += p.pick("*", "+", "?", "{2}", "{1,2}", "*?", "+?", "??", "{0,9}")
		}
		s += a
	}
	return s
}

func (p *patternMaker) pattern() string {
	s := p.sequence(3)
	if p.r.IntN(5) == 0 {
		s = "^" + s
	}
	if p.r.IntN(5) == 0 {
		s += "$"
	}
	return s
}

func (p *patternMaker) text() string {
	var b strings.Builder
	for range p.r.IntN(24) {
		b.WriteString(p.pick("a", "b", "c", "A", "1", " ", "-", ".", "abc", "ab"))
	}
	if p.r.IntN(4) == 0 {
		b.WriteByte('\n')
	}
	return b.String()
}

// differs tells how our answer about a pattern and a text is not that of
// regexp2, "" if it is, or if one of them gives up.
func differs(pattern, text string) string {
	re, err := parseRegex(pattern, "")
	if err != nil {
		return ""
	}
	other, err := regexp2.Compile(pattern, regexp2.None)
	if err != nil {
		return ""
	}
	other.MatchTimeout = time.Second
	want, err := other.MatchString(text)
	if err != nil {
		return ""
	}
	s := newSingle(re)
	budget := totalSteps
	if got := s.holds(text, &budget); got != want && budget > 0 {
		return "alone: got " + strings.ToLower(map[bool]string{true: "match", false: "none"}[got])
	}
	// Among others, between two segments that must not lend it anything.
	c := newConf()
	r := &reader{conf: c, lang: "en", answers: map[string]bool{}}
	if err := r.add(&test{name: "X", kind: kindBody, source: pattern}); err != nil {
		return ""
	}
	set := compile(c, Config{}, &Report{})
	if len(set.rules) == 0 || set.groups[kindBody] == nil {
		return ""
	}
	out := &result{value: make([]float64, 1), open: make([]bool, 1)}
	segs := []string{"#\n", text, "#"}
	one := false
	for _, seg := range segs {
		hit, err := other.MatchString(seg)
		if err != nil {
			return ""
		}
		one = one || hit
	}
	set.scanJoined(&mail{set: set}, set.groups[kindBody], newSegments(segs), out)
	if (out.value[0] > 0) != one {
		return "among others: got " + map[bool]string{true: "match", false: "none"}[out.value[0] > 0]
	}
	return ""
}

// TestPatternsMeanWhatPerlMeans compares random patterns with regexp2.
func TestPatternsMeanWhatPerlMeans(t *testing.T) {
	p := &patternMaker{r: rand.New(rand.NewPCG(1, 2))}
	tried := 0
	for range 1500 {
		p.groups = 0
		pattern := p.pattern()
		for range 3 {
			text := p.text()
			if diff := differs(pattern, text); diff != "" {
				t.Errorf("/%s/ on %q: %s", pattern, text, diff)
			}
			tried++
		}
	}
	if tried < 4500 {
		t.Errorf("only %d tried", tried)
	}
}

func FuzzPatterns(f *testing.F) {
	f.Add(uint64(1))
	f.Add(uint64(77))
	f.Fuzz(func(t *testing.T, seed uint64) {
		p := &patternMaker{r: rand.New(rand.NewPCG(seed, 3))}
		pattern, text := p.pattern(), p.text()
		if diff := differs(pattern, text); diff != "" {
			t.Errorf("/%s/ on %q: %s", pattern, text, diff)
		}
	})
}
