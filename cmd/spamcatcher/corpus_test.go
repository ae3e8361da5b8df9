package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"spamcatcher/corpus"
	"spamcatcher/engine"
	"spamcatcher/rules/native"
)

// labelled writes a corpus of two collections, n spams and n hams each, and
// returns its directory.
func labelled(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	for _, set := range []string{"autumn", "winter"} {
		for class, text := range map[string]string{"spam": spamMessage, "ham": goodMessage} {
			if err := os.MkdirAll(filepath.Join(dir, set, class), 0o700); err != nil {
				t.Fatal(err)
			}
			for i := range n {
				own := strings.Replace(text, "Message-ID: <", fmt.Sprintf("Message-ID: <%s%d.", set, i), 1)
				if err := os.WriteFile(filepath.Join(dir, set, class, fmt.Sprintf("%02d.eml", i)), []byte(own), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return dir
}

func wantText(t *testing.T, what, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%s has no %q:\n%s", what, w, text)
		}
	}
}

func TestCorpusEvaluate(t *testing.T) {
	dir := labelled(t, 4)
	// A spam that calls itself ham is the worst false positive.
	wrong := filepath.Join(dir, "winter", "ham", "wrong.eml")
	if err := os.WriteFile(wrong, []byte(spamMessage), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("gone", filepath.Join(dir, "winter", "ham", "zz.eml")); err != nil {
		t.Fatal(err)
	}
	picture := filepath.Join(t.TempDir(), "roc.svg")
	state := t.TempDir()
	out, errs, code := cli(t, "", "corpus", "evaluate", "--state", state, "--rules-only", "--svg", picture, "--worst", "3", dir)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	wantText(t, "the report", out, "8 spam, 9 ham", "caught at 0.5 % FP", "autumn", "winter", "worst false positives", "wrong.eml", "MONEY_")
	if strings.Contains(out, "worst false negatives") {
		t.Errorf("there are none:\n%s", out)
	}
	wantText(t, "standard error", errs, "zz.eml", "1 messages could not be read")
	if svg, err := os.ReadFile(picture); err != nil || !bytes.Contains(svg, []byte("</svg>")) {
		t.Errorf("picture: %v, %.100s", err, svg)
	}

	again, _, _ := cli(t, "", "corpus", "evaluate", "--state", state, "--rules-only", "--worst", "3", "-j", "3", dir)
	if again != out {
		t.Errorf("another run with other -j:\n%s\nfirst:\n%s", again, out)
	}
	out, _, code = cli(t, "", "corpus", "evaluate", "--state", state, "--rules-only", "--json", "--exclude", "winter", dir)
	var report struct {
		All struct {
			Spam, Ham int
			AUC       corpus.Interval
			Flagged   corpus.Interval `json:"flagged_at_50"`
		}
		Sets []struct{ Set string }
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != 0 {
		t.Fatalf("%v, exit code %d: %s", err, code, out)
	}
	if report.All.Spam != 4 || report.All.Ham != 4 || report.All.AUC.Value != 1 || report.All.Flagged.Value != 0 || len(report.Sets) != 1 || report.Sets[0].Set != "autumn" {
		t.Errorf("%+v", report)
	}
}

func TestCorpusUsage(t *testing.T) {
	dir := labelled(t, 1)
	message := filepath.Join(dir, "autumn", "ham", "00.eml")
	for _, c := range []struct {
		args []string
		want string
		code int
	}{
		{[]string{"corpus", "evaluate"}, "no mail given", exitUsage},
		{[]string{"corpus", "evaluate", filepath.Join(dir, "none")}, "none", exitUsage},
		{[]string{"corpus", "evaluate", "--labels", message}, "no label list", exitUsage},
		{[]string{"corpus", "evaluate", "--exclude", "[", dir}, "--exclude", exitUsage},
		{[]string{"corpus", "evaluate", "-j", "0", dir}, "-j 0", exitUsage},
		{[]string{"corpus", "evaluate", "--exclude", "*", dir}, "no labelled mail", exitFailure},
		{[]string{"corpus", "compare", "now"}, "arg", exitUsage},
		{[]string{"corpus", "compare", "now", "nothing.toml", dir}, "nothing.toml", exitUsage},
		{[]string{"corpus", "fit", "--ridge", "0", dir}, "--ridge", exitUsage},
		{[]string{"corpus", "fit", "--share", "2", dir}, "--share", exitUsage},
		{[]string{"corpus", "fit", "--without-bayes", "1", dir}, "--without-bayes", exitUsage},
		{[]string{"corpus", "fit", "--folds", "1", dir}, "--folds", exitUsage},
		{[]string{"corpus", "fit", "--bounds", message, dir}, "00.eml", exitUsage},
		{[]string{"train"}, "no mail given", exitUsage},
		{[]string{"learn", message}, "spam", exitUsage},
		{[]string{"learn", "--spam", "--ham", message}, "spam", exitUsage},
	} {
		_, errs, code := cli(t, "", append(c.args, "--state", t.TempDir())...)
		if code != c.code || !strings.Contains(errs, c.want) {
			t.Errorf("%v: exit code %d, %s; want %d, %q", c.args, code, errs, c.code, c.want)
		}
	}
}

const oneRule = `[[rule]]
symbol      = "MY_BARRISTER"
description = "Names a barrister"
points      = 2.0
body        = '(?i)\bbarrister\b'
hit         = ["I am a barrister."]
miss        = ["I am a baker."]

[[rule]]
symbol      = "MY_ROOM"
description = "Names a room"
points      = -0.5
body        = '(?i)\broom\b'
hit         = ["The room is taken."]
miss        = ["The roof is new."]

[[rule]]
symbol      = "MY_DINOSAUR"
description = "Names a dinosaur"
points      = 1.0
body        = '(?i)\bdinosaur\b'
hit         = ["A dinosaur!"]
miss        = ["A bird."]
`

func TestCorpusCompare(t *testing.T) {
	dir := labelled(t, 3)
	weak := write(t, "weak.toml", oneRule)
	out, errs, code := cli(t, "", "corpus", "compare", "--state", t.TempDir(), "--rules-only", "now", weak, dir)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	wantText(t, "the comparison", out, "6 spam, 6 ham", "in A alone: 0, in B alone: 6", "p = 0.031", "6 messages change sides", "worse  spam", "MY_BARRISTER", "symbols have another share")

	prices := write(t, "prices.toml", "[points]\nMY_BARRISTER = 8.0\n")
	config := write(t, "config.toml", fmt.Sprintf("builtin_rules = false\nrules = [%q]\n", weak))
	out, errs, code = cli(t, "", "corpus", "compare", "--state", t.TempDir(), "--config", config, "--rules-only", "now", prices, dir)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	wantText(t, "the comparison of prices", out, "in A alone: 6, in B alone: 0", "better spam", "MY_BARRISTER:+4.16")

	// What was printed before compares with what is printed now.
	files, _, _ := cli(t, "", "score", "--json", "--state", t.TempDir(), "--config", config, dir)
	saved := write(t, "before.json", files)
	out, errs, code = cli(t, "", "corpus", "compare", "--state", t.TempDir(), "--config", config, saved, saved, dir)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	wantText(t, "a comparison with itself", out, "in A alone: 0, in B alone: 0, p = 1", "0 messages change sides")
}

// fitted runs `corpus fit` on a corpus and returns the file of prices.
func fitted(t *testing.T, args ...string) (prices native.Prices, text, errs string) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "prices.toml")
	config := write(t, "config.toml", fmt.Sprintf("builtin_rules = false\nrules = [%q]\n", write(t, "rules.toml", oneRule)))
	_, errs, code := cli(t, "", append([]string{"corpus", "fit", "--state", t.TempDir(), "--config", config, "--rules-only", "--out", out}, args...)...)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	prices, err = native.ParsePrices(out, data)
	if err != nil {
		t.Fatal(err)
	}
	return prices, string(data), errs
}

func TestCorpusFit(t *testing.T) {
	dir := labelled(t, 6)
	prices, text, errs := fitted(t, "--ridge", "0.001,0.0001", dir)
	wantText(t, "the table", errs, "as written", "0.001", "Left out", "autumn", "threshold")
	wantText(t, "the prices", text, "12 spam and 12 ham", "autumn, winter", "was 2.0; 12 spam, 0 ham; at its max", "at its min")
	// All spam and no ham has the one rule, all ham and no spam the other:
	// the prices go as far as they may.
	if got := prices.Points["MY_BARRISTER"]; got != mostPoints {
		t.Errorf("MY_BARRISTER: %v points, want %v", got, mostPoints)
	}
	if got := prices.Points["MY_ROOM"]; got != leastPoints {
		t.Errorf("MY_ROOM: %v points, want %v", got, leastPoints)
	}
	if _, ok := prices.Points["MY_DINOSAUR"]; ok {
		t.Error("a price for what no message has")
	}

	limits := write(t, "bounds.toml", "[bias]\nmin = -6\nmax = -4\nwhy = \"a test\"\n[[bound]]\nsymbols = [\"MY_B*\"]\nmax = 2.5\nwhy = \"a test\"\n[[bound]]\nsymbols = [\"MY_ROOM\"]\nmin = -0.25\nwhy = \"a test\"\n")
	prices, text, _ = fitted(t, "--ridge", "0.0001", "--bounds", limits, "-j", "1", dir)
	if prices.Points["MY_BARRISTER"] != 2.5 || prices.Points["MY_ROOM"] != -0.25 || prices.Bias < -6 || prices.Bias > -4 || prices.Bias == 0 {
		t.Errorf("bounds are not kept: %+v", prices)
	}
	if _, again, _ := fitted(t, "--ridge", "0.0001", "--bounds", limits, "-j", "4", dir); again != text {
		t.Errorf("another run gave\n%s\nafter\n%s", again, text)
	}
	// A strong pull leaves the points of the rule files.
	prices, text, _ = fitted(t, "--ridge", "1000000", dir)
	wantText(t, "prices that stay", text, "# MY_BARRISTER", "= 2.0    # stays; 12 spam, 0 ham")
	if len(prices.Points) != 0 {
		t.Errorf("prices %+v, want none but those of the rules", prices)
	}
}

func TestBounds(t *testing.T) {
	b, err := loadBounds(write(t, "b.toml", `
[[bound]]
symbols = ["A_*"]
max = 2.0
why = "x"
[[bound]]
symbols = ["A_B"]
min = -0.5
max = 3.5
why = "x"
[[bound]]
symbols = ["*_NEAR"]
min = -4
why = "a pattern cannot widen"
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		symbol    string
		prior     float64
		low, high float64
	}{
		{"A_C", 1, 0, 2},
		{"A_B", 1, -0.5, 3.5}, // by its name
		{"X", 1, 0, mostPoints},
		{"X", -1, leastPoints, 0},
		{"A_NEAR", -1, leastPoints, 0},
	} {
		low, high, err := b.of(c.symbol, c.prior)
		if err != nil || low != c.low || high != c.high {
			t.Errorf("%s: %v to %v, %v; want %v to %v", c.symbol, low, high, err, c.low, c.high)
		}
	}
	if low, high := b.ofBias(); low != -5 || high != -5 {
		t.Errorf("bias %v to %v", low, high)
	}
	for _, bad := range []string{
		"[[bound]]\nsymbols = [\"A\"]\nmax = 1\n",
		"[[bound]]\nsymbols = [\"A\"]\nwhy = \"x\"\n",
		"[[bound]]\nmax = 1\nwhy = \"x\"\n",
		"[[bound]]\nsymbols = [\"[\"]\nmax = 1\nwhy = \"x\"\n",
		"[[bound]]\nsymbols = [\"A\"]\nmin = 2\nmax = 1\nwhy = \"x\"\n",
		"[[bound]]\nsymbols = [\"A\"]\nmaximum = 1\nwhy = \"x\"\n",
		"[[bound]\n",
	} {
		if _, err := loadBounds(write(t, "bad.toml", bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	crossed, err := loadBounds(write(t, "b.toml", "[[bound]]\nsymbols = [\"A*\"]\nmin = 1\nwhy = \"x\"\n[[bound]]\nsymbols = [\"*B\"]\nmax = 0.5\nwhy = \"x\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := crossed.of("AB", 1); err == nil {
		t.Error("limits that contradict each other were taken")
	}
}

// TestShippedBounds: the limits that the shipped prices were fitted in can be
// read, name rules that exist, and the prices keep them.
func TestShippedBounds(t *testing.T) {
	limits, err := loadBounds("../../rules/builtin/fit/bounds.toml")
	if err != nil {
		t.Fatal(err)
	}
	set, err := rulesAsWritten(&Config{BuiltinRules: true})
	if err != nil {
		t.Fatal(err)
	}
	written := map[string]float64{}
	for _, r := range set {
		if !r.Term() {
			written[r.Symbol] = r.Points
		}
	}
	for _, b := range limits.list {
		for _, glob := range b.Symbols {
			found := false
			for symbol := range written {
				ok, _ := filepath.Match(glob, symbol)
				found = found || ok
			}
			if !found {
				t.Errorf("bounds.toml: no rule is called %s", glob)
			}
		}
	}
	now, err := loadRules(&Config{BuiltinRules: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range now {
		if r.Term() || r.Points == written[r.Symbol] {
			continue
		}
		low, high, err := limits.of(r.Symbol, written[r.Symbol])
		if err != nil || r.Points < low-1e-9 || r.Points > high+1e-9 {
			t.Errorf("%s: %v points are not within %v and %v (%v); fit again", r.Symbol, r.Points, low, high, err)
		}
	}
}

// TestInOrder: answers come in order whatever takes how long, and whoever
// stops early leaves no worker behind.
func TestInOrder(t *testing.T) {
	for _, jobs := range []int{1, 7} {
		var got []int
		for i, x := range inOrder(t.Context(), 100, jobs, func(i int) int { return i * i }) {
			if x != i*i {
				t.Fatalf("%d: %d", i, x)
			}
			got = append(got, i)
			if len(got) == 60 {
				break
			}
		}
		if len(got) != 60 || !slices.IsSorted(got) {
			t.Errorf("%d jobs: %v", jobs, got)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	for range inOrder(ctx, 1000, 2, func(i int) int { return i }) {
		if n++; n == 3 {
			cancel()
		}
	}
	if n > 20 {
		t.Errorf("%d answers after the end", n)
	}
}

func TestFolds(t *testing.T) {
	list := []corpus.Message{{Name: "a/1"}, {Name: "b/1"}, {Name: "a/2"}, {Name: "c/1"}}
	if folds, of := foldsOf(list, 0, ""); folds != 3 || !slices.Equal(of, []int{0, 1, 0, 2}) {
		t.Errorf("%d folds, %v", folds, of)
	}
	var many []corpus.Message
	for i := range 200 {
		many = append(many, corpus.Message{Name: fmt.Sprintf("%c/%d", 'a'+i%2, i)})
	}
	together := func(of []int) (same int) {
		for i := range of {
			if of[i] == of[0] {
				same++
			}
		}
		return same
	}
	folds, of := foldsOf(many, 4, "")
	if same := together(of); folds != 4 || same < 25 || same > 75 {
		t.Errorf("%d folds, %d messages in the first", folds, same)
	}
	// A message stays with its fellows when others go.
	_, fewer := foldsOf(many[:100], 4, "")
	for i := range 100 {
		if (of[i] == of[0]) != (fewer[i] == fewer[0]) {
			t.Fatalf("message %d changed its fold", i)
		}
	}
	folds, of = foldsOf(many, 0, "a")
	if same := together(of); folds != 11 || same > 30 || of[1] != of[3] || of[1] == of[0] {
		t.Errorf("with a always learned: %d folds, %v", folds, of)
	}
}

func TestWorst(t *testing.T) {
	at := func(spam bool, score float64) judged {
		return judged{corpus.Result{Message: corpus.Message{Spam: spam}, Score: score}, []engine.Scored{{Name: "A", Share: 0.1}, {Name: "B", Share: -2}}}
	}
	all := []judged{at(true, 50), at(true, 10), at(true, 51), at(false, 50), at(false, 99), at(false, 60)}
	if list := worst(all, true, 5); len(list) != 2 || list[0].Score != 10 {
		t.Errorf("false negatives %v", list)
	}
	if list := worst(all, false, 1); len(list) != 1 || list[0].Score != 99 {
		t.Errorf("false positives %v", list)
	}
	if got := topSymbols(all[0].symbols, 1); got != "B:-2.00 and 1 more" {
		t.Errorf("%q", got)
	}
}
