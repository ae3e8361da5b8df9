package spamassassin

import (
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
)

func loadLocal(t testing.TB) *Set {
	t.Helper()
	set, err := Load(Config{Paths: []string{"testdata/local.cf"}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func readMail(t testing.TB, path string) *engine.Mail {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return &engine.Mail{Message: message.Parse(raw, message.Limits{})}
}

// localHits is what SpamAssassin 4.0.1 finds with testdata/local.cf in the
// messages of testdata/mail; TestLocalAgrees asks it again where it is there.
var localHits = map[string]string{
	"offer.eml": "LOCAL_ALL LOCAL_ALL_TOGETHER LOCAL_ATTACHMENT LOCAL_BODY LOCAL_BODY_BACKREF LOCAL_BODY_BYTES LOCAL_ENVELOPE LOCAL_FROM_DOMAIN LOCAL_FROM_NAME " +
		"LOCAL_FULL LOCAL_FUZZY LOCAL_HTML LOCAL_INCLUDED LOCAL_MANY_STARS LOCAL_MATCHING LOCAL_MESSAGEID LOCAL_NO_LIST_ID LOCAL_NO_SUBJECT LOCAL_PRECEDENCE " +
		"LOCAL_RAWBODY LOCAL_RAW_SUBJECT LOCAL_RELAY LOCAL_SUBJECT_OFFER LOCAL_TAKEN LOCAL_TOCC LOCAL_UNKNOWN LOCAL_URI LOCAL_URI_DETAIL __HAS_X_CAMPAIGN __LOCAL_RCVD_COUNT __LOCAL_STARS",
	"plain.eml": "LOCAL_BLOCKED LOCAL_DATE LOCAL_PRECEDENCE LOCAL_TAKEN LOCAL_WELCOME __LOCAL_RCVD_COUNT",
}

func TestLocalRules(t *testing.T) {
	set := loadLocal(t)
	for name, want := range localHits {
		got := set.Trace(readMail(t, filepath.Join("testdata/mail", name)))
		if have := strings.Join(slices.Sorted(maps.Keys(got)), " "); have != want {
			t.Errorf("%s:\n got  %s\n want %s", name, have, want)
		}
	}
	got := set.Trace(readMail(t, "testdata/mail/offer.eml"))
	if got["__LOCAL_STARS"] != 4 || got["__LOCAL_RCVD_COUNT"] != 2 {
		t.Errorf("counted %v stars and %v trace fields, want 4 and 2", got["__LOCAL_STARS"], got["__LOCAL_RCVD_COUNT"])
	}
}

func TestScoresAndSymbols(t *testing.T) {
	set := loadLocal(t)
	for symbol, points := range map[string]float64{"LOCAL_SUBJECT_OFFER": 1.75, "LOCAL_FROM_DOMAIN": 0.5, "LOCAL_WELCOME": -3, "LOCAL_BODY": 1} {
		if got := set.Prices()[symbol]; math.Abs(got-points*math.Ln2) > 1e-9 {
			t.Errorf("%s costs %v, want %v points", symbol, got/math.Ln2, points)
		}
	}
	network, err := Load(Config{Paths: []string{"testdata/local.cf"}, ScoreSet: 3})
	if err != nil {
		t.Fatal(err)
	}
	if got := network.Prices()["LOCAL_FROM_DOMAIN"]; math.Abs(got-0.8*math.Ln2) > 1e-9 {
		t.Errorf("in the fourth set LOCAL_FROM_DOMAIN costs %v points, want 0.8", got/math.Ln2)
	}
	for _, s := range set.Symbols() {
		if strings.HasPrefix(s.Name, "__") || s.Name == "LOCAL_ZERO" {
			t.Errorf("%s is a symbol", s.Name)
		}
		if s.Name == "LOCAL_SUBJECT_OFFER" && s.Description != "The subject makes a special offer" {
			t.Errorf("described as %q", s.Description)
		}
	}
	// The plan takes the set as it is, and its hits are among the symbols.
	plan, err := engine.NewPlan(engine.PlanConfig{First: []engine.Check{set}, Combiners: []engine.Combiner{set}, Prices: set.Prices()})
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(plan, engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	v := e.Judge(t.Context(), readMail(t, "testdata/mail/offer.eml"))
	if len(v.Faults) > 0 || len(v.Symbols) != 28 {
		t.Errorf("%d symbols, faults %v; want 28 and none", len(v.Symbols), v.Faults)
	}
}

// TestNothingIsDroppedInSilence: what can't be used is listed, with its place.
func TestNothingIsDroppedInSilence(t *testing.T) {
	r := loadLocal(t).Report()
	for rule, want := range map[string]struct {
		status Status
		line   int
		reason string
	}{
		"LOCAL_BROKEN":    {Refused, 68, "unmatched ("},
		"LOCAL_RECURSION": {Refused, 69, "recursion"},
		"LOCAL_RBL":       {Refused, 70, "asks DNS lists"},
		"made_up_setting": {Refused, 71, "unknown setting"},
		"report_safe":     {Ignored, 3, "without meaning"},
		"LOCAL_SKIPPED":   {Ignored, 0, ""},
		"LOCAL_BODY":      {Exact, 25, ""},
		"LOCAL_INCLUDED":  {Exact, 1, ""},
	} {
		i := slices.IndexFunc(r.Entries, func(e Entry) bool { return e.Rule == rule })
		if rule == "LOCAL_SKIPPED" {
			if i >= 0 {
				t.Errorf("%s is in the report, though no plugin of that name is loaded", rule)
			}
			continue
		}
		if i < 0 {
			t.Errorf("%s is not in the report", rule)
			continue
		}
		e := r.Entries[i]
		if e.Status != want.status || e.Line != want.line || !strings.Contains(e.Reason, want.reason) {
			t.Errorf("%s: %s:%d %s %q, want line %d %s %q", rule, e.File, e.Line, e.Status, e.Reason, want.line, want.status, want.reason)
		}
	}
}

// TestBayesAnswers: rules with check_bayes are answered by the check that the
// configuration names, and serve expressions.
func TestBayesAnswers(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "bayes.cf")
	if err := os.WriteFile(file, []byte(`
body BAYES_00 eval:check_bayes('0.00', '0.01')
body BAYES_50 eval:check_bayes('0.40', '0.60')
body BAYES_99 eval:check_bayes('0.99', '1.00')
score BAYES_99 0 0 3.5 3.5
score BAYES_00 0 0 -1.9 -1.9
tflags BAYES_99 learn
body __HELLO /hello/
meta LOCAL_SURE BAYES_99 && __HELLO
`), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := Load(Config{Paths: []string{dir}, ScoreSet: 2, Bayes: map[string]float64{"LEARNED": 2}, BayesBias: -1})
	if err != nil {
		t.Fatal(err)
	}
	m := &engine.Mail{Message: message.Parse([]byte("Subject: x\n\nhello\n"), message.Limits{})}
	names := func(hits []engine.Hit) string {
		var list []string
		for _, h := range hits {
			list = append(list, h.Symbol)
		}
		return strings.Join(list, " ")
	}
	for strength, want := range map[float64]string{4: "BAYES_99 LOCAL_SURE", 0.5: "BAYES_50", -9: "BAYES_00"} {
		first, _ := set.Inspect(t.Context(), m)
		if names(first) != "" {
			t.Errorf("Inspect found %s", names(first))
		}
		if got := names(set.Combine(m, []engine.Hit{{Symbol: "LEARNED", Strength: strength}})); got != want {
			t.Errorf("strength %v: %s, want %s", strength, got, want)
		}
	}
	if _, priced := set.Prices()["BAYES_99"]; priced {
		t.Error("BAYES_99 has a price beside that of the check that answers it")
	}
	if got := names(set.Combine(m, nil)); got != "" {
		t.Errorf("without an answer: %s", got)
	}
}

// TestParallelIsTheSame: a set serves any number of goroutines.
func TestParallelIsTheSame(t *testing.T) {
	set := loadLocal(t)
	var done sync.WaitGroup
	for name := range localHits {
		m := readMail(t, filepath.Join("testdata/mail", name))
		for range 8 {
			done.Go(func() {
				for range 5 {
					if have := strings.Join(slices.Sorted(maps.Keys(set.Trace(m))), " "); have != localHits[name] {
						t.Errorf("%s: %s", name, have)
					}
				}
			})
		}
	}
	done.Wait()
}
