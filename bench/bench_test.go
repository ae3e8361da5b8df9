package bench_test

import (
	"maps"
	"testing"

	"spamcatcher/bayes"
	"spamcatcher/bench"
	"spamcatcher/engine"
	"spamcatcher/engine/message"
	"spamcatcher/rules"
	"spamcatcher/rules/builtin"
	"spamcatcher/signatures"
)

func ruleset(tb testing.TB) *rules.Ruleset {
	tb.Helper()
	list, err := builtin.Rules()
	if err != nil {
		tb.Fatal(err)
	}
	foreign := []string{bayes.TextSymbol, bayes.WordsSymbol}
	for _, s := range signatures.New(signatures.Config{}).Symbols() {
		foreign = append(foreign, s.Name)
	}
	set, err := rules.Compile(list, foreign...)
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

// embedded is the model in the binary.
func embedded(tb testing.TB) *bayes.Model {
	tb.Helper()
	model, err := bayes.Embedded()
	if err != nil {
		tb.Fatal(err)
	}
	return model
}

// newEngine is the engine as the program wires it.
func newEngine(tb testing.TB) *engine.Engine {
	tb.Helper()
	return wire(tb, ruleset(tb), embedded(tb))
}

// wire makes an engine of rules and a model; without one the rules judge
// alone.
func wire(tb testing.TB, set *rules.Ruleset, model *bayes.Model) *engine.Engine {
	tb.Helper()
	malware := malwareCheck(tb)
	c := engine.PlanConfig{
		First: []engine.Check{set}, Checks: []engine.Check{malware}, Opener: signatures.Name, Combiners: []engine.Combiner{set},
		Prices: set.Prices(), Bias: engine.DefaultBias, Digest: set.Digest(),
	}
	maps.Copy(c.Prices, malware.Prices())
	if model != nil {
		c.First = append(c.First, model)
		maps.Copy(c.Prices, model.Prices())
		c.Bias += model.Bias()
		c.Digest += " " + model.Digest()
	}
	plan, err := engine.NewPlan(c)
	if err != nil {
		tb.Fatal(err)
	}
	e, err := engine.New(plan, engine.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// malwareCheck looks for the built-in signatures.
func malwareCheck(tb testing.TB) *signatures.Check {
	tb.Helper()
	known, err := signatures.Load(true, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return signatures.New(signatures.Config{Set: known})
}

// views asks for everything that the checks may ask for.
func views(m *message.Message) int {
	return len(m.Text()) + len(m.Skeleton()) + len(m.Source()) + len(m.Links()) + len(m.Attachments()) + m.HTML().VisibleChars
}

// each runs a benchmark over every message of the fixed set.
func each(b *testing.B, run func(b *testing.B, m bench.Message)) {
	for _, m := range bench.Messages() {
		b.Run(m.Name, func(b *testing.B) {
			b.SetBytes(int64(len(m.Raw)))
			b.ReportAllocs()
			run(b, m)
		})
	}
}

// BenchmarkParse: bytes to the part tree.
func BenchmarkParse(b *testing.B) {
	each(b, func(b *testing.B, m bench.Message) {
		for b.Loop() {
			if _, err := m.Parse(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkViews: bytes to every view.
func BenchmarkViews(b *testing.B) {
	each(b, func(b *testing.B, m bench.Message) {
		want := -1
		for b.Loop() {
			p := message.Parse(m.Raw, message.Limits{})
			got := views(p)
			if want >= 0 && got != want {
				b.Fatalf("views of %d characters, then of %d", want, got)
			}
			want = got
			if got := len(p.Links()); got != m.Links {
				b.Fatalf("%d links, want %d", got, m.Links)
			}
		}
	})
}

// BenchmarkRules: the rules alone, on a message whose views are there.
func BenchmarkRules(b *testing.B) {
	set := ruleset(b)
	each(b, func(b *testing.B, m bench.Message) {
		mail := &engine.Mail{Message: message.Parse(m.Raw, message.Limits{})}
		views(mail.Message)
		first, err := set.Inspect(b.Context(), mail)
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			hits, err := set.Inspect(b.Context(), mail)
			if err != nil {
				b.Fatal(err)
			}
			if len(hits) != len(first) {
				b.Fatalf("%d hits, then %d", len(first), len(hits))
			}
		}
	})
}

// BenchmarkJudge: the whole per-message path, bytes to verdict.
func BenchmarkJudge(b *testing.B) {
	e := newEngine(b)
	each(b, func(b *testing.B, m bench.Message) {
		for b.Loop() {
			v := e.Judge(b.Context(), &engine.Mail{Message: message.Parse(m.Raw, message.Limits{})})
			if err := m.Check(v); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// TestAnswers: the messages of the fixed set come out as they must.
func TestAnswers(t *testing.T) {
	e := newEngine(t)
	for _, m := range bench.Messages() {
		p, err := m.Parse()
		if err != nil {
			t.Error(err)
			continue
		}
		if got := len(p.Links()); got != m.Links {
			t.Errorf("%s: %d links, want %d", m.Name, got, m.Links)
		}
		v := e.Judge(t.Context(), &engine.Mail{Message: p})
		if err := m.Check(v); err != nil {
			t.Error(err)
		}
	}
}
