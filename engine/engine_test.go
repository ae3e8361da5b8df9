package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
)

// check is a Check made of a function.
type check struct {
	name    string
	symbols []engine.Symbol
	inspect func(ctx context.Context) ([]engine.Hit, error)
}

func (c check) Name() string             { return c.name }
func (c check) Symbols() []engine.Symbol { return c.symbols }
func (c check) Inspect(ctx context.Context, m *engine.Mail) ([]engine.Hit, error) {
	return c.inspect(ctx)
}

// finds makes a check that reports its symbols at once.
func finds(name string, symbols ...string) check {
	c := check{name: name}
	var hits []engine.Hit
	for _, s := range symbols {
		c.symbols = append(c.symbols, engine.Symbol{Name: s, Description: "about " + s})
		hits = append(hits, engine.Hit{Symbol: s, Detail: "seen"})
	}
	c.inspect = func(context.Context) ([]engine.Hit, error) { return hits, nil }
	return c
}

// with gives a check another behaviour.
func (c check) with(f func(ctx context.Context) ([]engine.Hit, error)) check {
	c.inspect = f
	return c
}

type both struct{ name string }

func (b both) Name() string { return b.name }
func (b both) Symbols() []engine.Symbol {
	return []engine.Symbol{{Name: "BOTH_FOUND", Description: "A and B together"}}
}
func (b both) Combine(m *engine.Mail, hits []engine.Hit) []engine.Hit {
	seen := map[string]bool{}
	for _, h := range hits {
		seen[h.Symbol] = true
	}
	if seen["A_FOUND"] && seen["B_FOUND"] {
		return []engine.Hit{{Symbol: "BOTH_FOUND"}}
	}
	return nil
}

func mail() *engine.Mail {
	return &engine.Mail{Message: message.Parse([]byte("Subject: hello\r\n\r\nhello\r\n"), message.Limits{})}
}

func newEngine(t *testing.T, c engine.PlanConfig) *engine.Engine {
	t.Helper()
	plan, err := engine.NewPlan(c)
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(plan, engine.Config{Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func names(v engine.Verdict) string {
	var list []string
	for _, s := range v.Symbols {
		list = append(list, s.Name)
	}
	return strings.Join(list, " ")
}

func faults(v engine.Verdict) string {
	var list []string
	for _, f := range v.Faults {
		list = append(list, fmt.Sprintf("%s:%s", f.Check, f.Kind))
	}
	return strings.Join(list, " ")
}

func TestScoreIsLogisticOfBiasAndShares(t *testing.T) {
	strong := finds("b", "B_FOUND").with(func(context.Context) ([]engine.Hit, error) {
		return []engine.Hit{{Symbol: "B_FOUND", Strength: -2}}, nil
	})
	e := newEngine(t, engine.PlanConfig{
		First:     []engine.Check{finds("a", "A_FOUND", "A_FREE")},
		Checks:    []engine.Check{strong},
		Combiners: []engine.Combiner{both{"both"}},
		Prices:    map[string]float64{"A_FOUND": 2, "B_FOUND": 0.25, "BOTH_FOUND": 1.5},
		Bias:      -1,
	})
	v := e.Judge(t.Context(), mail())
	if got, want := names(v), "A_FOUND A_FREE B_FOUND BOTH_FOUND"; got != want {
		t.Fatalf("symbols %q, want %q", got, want)
	}
	sum := v.Bias
	for _, s := range v.Symbols {
		sum += s.Share
	}
	if v.LogOdds != -1+2-0.5+1.5 || sum != v.LogOdds {
		t.Errorf("log-odds %v, sum of the shares %v, want 2", v.LogOdds, sum)
	}
	if want := 100 / (1 + math.Exp(-2)); math.Abs(v.Score-want) > 1e-12 {
		t.Errorf("score %v, want %v", v.Score, want)
	}
	if v.Symbols[0].Description != "about A_FOUND" || v.Symbols[0].Detail != "seen" {
		t.Errorf("symbol not explained: %+v", v.Symbols[0])
	}
	if v.Plan != e.Plan().ID() || v.Plan == "" {
		t.Errorf("verdict names plan %q, in force is %q", v.Plan, e.Plan().ID())
	}
	if len(v.Faults) != 0 || v.TimedOut {
		t.Errorf("faults %v, timed out %v", v.Faults, v.TimedOut)
	}
}

func TestFivePointsAreFifty(t *testing.T) {
	e := newEngine(t, engine.PlanConfig{First: []engine.Check{finds("a", "A_FOUND")}, Prices: map[string]float64{"A_FOUND": 5 * engine.Point}})
	if v := e.Judge(t.Context(), mail()); v.Score != 50 {
		t.Errorf("5 points score %v, want 50", v.Score)
	}
}

func TestLogistic(t *testing.T) {
	for _, x := range []float64{-1e308, -1000, -1, 0, 1, 1000, 1e308} {
		p, q := engine.Logistic(x), engine.Logistic(-x)
		if math.IsNaN(p) || p < 0 || p > 1 || math.Abs(p+q-1) > 1e-15 {
			t.Errorf("Logistic(%v) = %v, of its negative %v", x, p, q)
		}
	}
}

func TestMalwareScoresHundred(t *testing.T) {
	c := finds("signatures", "VIRUS_FOUND")
	c.symbols[0].Malware = true
	e := newEngine(t, engine.PlanConfig{First: []engine.Check{finds("a", "A_FOUND")}, Checks: []engine.Check{c}, Prices: map[string]float64{"A_FOUND": -50}})
	v := e.Judge(t.Context(), mail())
	if v.Score != 100 || v.Virus != "seen" {
		t.Errorf("score %v, virus %q; want 100 and the hit's detail", v.Score, v.Virus)
	}
}

func TestFaultsAreVisibleAndHarmless(t *testing.T) {
	failing := finds("failing", "FAIL_PARTIAL").with(func(context.Context) ([]engine.Hit, error) {
		return []engine.Hit{{Symbol: "FAIL_PARTIAL"}}, errors.New("no luck")
	})
	panicking := finds("panicking").with(func(context.Context) ([]engine.Hit, error) { panic("bug") })
	lying := finds("lying").with(func(context.Context) ([]engine.Hit, error) {
		return []engine.Hit{{Symbol: "A_FOUND"}, {Symbol: "NOBODY_KNOWS"}}, nil
	})
	infinite := finds("infinite", "SIZE_INFINITE").with(func(context.Context) ([]engine.Hit, error) {
		return []engine.Hit{{Symbol: "SIZE_INFINITE", Strength: math.NaN()}}, nil
	})
	first := finds("rules", "A_FOUND")
	bad := finds("firstbad").with(func(context.Context) ([]engine.Hit, error) { panic(errors.New("first bug")) })
	e := newEngine(t, engine.PlanConfig{First: []engine.Check{bad, first}, Checks: []engine.Check{failing, panicking, lying, infinite}, Prices: map[string]float64{"FAIL_PARTIAL": 1, "SIZE_INFINITE": 1}})
	for range 100 {
		v := e.Judge(t.Context(), mail())
		if got, want := names(v), "A_FOUND FAIL_PARTIAL"; got != want {
			t.Fatalf("symbols %q, want %q", got, want)
		}
		if got, want := faults(v), "firstbad:panic failing:error panicking:panic lying:symbol lying:symbol infinite:symbol"; got != want {
			t.Fatalf("faults %q, want %q", got, want)
		}
		if v.TimedOut || math.IsNaN(v.Score) {
			t.Fatalf("timed out %v, score %v", v.TimedOut, v.Score)
		}
	}
}

func TestLateCheckLeavesTheRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan bool)
		deaf := finds("deaf", "D_FOUND").with(func(context.Context) ([]engine.Hit, error) {
			<-release
			return []engine.Hit{{Symbol: "D_FOUND"}}, nil
		})
		quick := finds("quick", "Q_FOUND", "V_FOUND")
		quick.symbols[1].Malware = true
		e := newEngine(t, engine.PlanConfig{First: []engine.Check{finds("rules", "A_FOUND")}, Checks: []engine.Check{deaf, quick}, Prices: map[string]float64{"A_FOUND": 1, "Q_FOUND": 3}})
		begin := time.Now()
		v := e.Judge(t.Context(), mail())
		if took := time.Since(begin); took != time.Second {
			t.Errorf("took %v, want the time-out of 1s", took)
		}
		// A virus found in time counts, whoever else is late.
		if got, want := names(v), "A_FOUND V_FOUND"; got != want {
			t.Errorf("symbols %q, want %q", got, want)
		}
		if !v.TimedOut || faults(v) != "deaf:late" || v.Virus != "seen" {
			t.Errorf("timed out %v, faults %q, virus %q", v.TimedOut, faults(v), v.Virus)
		}
		close(release)
		synctest.Wait()
		if v := e.Judge(t.Context(), mail()); v.TimedOut || names(v) != "A_FOUND D_FOUND Q_FOUND V_FOUND" {
			t.Errorf("after the check recovered: timed out %v, symbols %q", v.TimedOut, names(v))
		}
	})
}

func TestCancelledCallerStillGetsTheRules(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	rules := finds("rules", "A_FOUND").with(func(ctx context.Context) ([]engine.Hit, error) {
		return []engine.Hit{{Symbol: "A_FOUND"}}, ctx.Err()
	})
	slow := finds("slow").with(func(ctx context.Context) ([]engine.Hit, error) {
		<-ctx.Done()
		time.Sleep(50 * time.Millisecond)
		return nil, ctx.Err()
	})
	e := newEngine(t, engine.PlanConfig{First: []engine.Check{rules}, Checks: []engine.Check{slow}})
	if v := e.Judge(ctx, mail()); names(v) != "A_FOUND" || !v.TimedOut {
		t.Errorf("symbols %q, faults %q, timed out %v", names(v), faults(v), v.TimedOut)
	}
}

func TestLateCallsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan bool)
		started := 0
		deaf := finds("deaf").with(func(context.Context) ([]engine.Hit, error) { started++; <-release; return nil, nil })
		plan, err := engine.NewPlan(engine.PlanConfig{Checks: []engine.Check{deaf}})
		if err != nil {
			t.Fatal(err)
		}
		e, err := engine.New(plan, engine.Config{Timeout: time.Second, MaxLate: 3})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			want := "deaf:late"
			if i >= 3 {
				want = "deaf:busy"
			}
			if v := e.Judge(t.Context(), mail()); faults(v) != want || !v.TimedOut {
				t.Errorf("mail %d: faults %q, want %q", i, faults(v), want)
			}
			synctest.Wait()
		}
		if started != 3 {
			t.Errorf("%d calls were started, want 3", started)
		}
		close(release)
		synctest.Wait()
		release = make(chan bool)
		close(release)
		if v := e.Judge(t.Context(), mail()); faults(v) != "" {
			t.Errorf("after the late calls ended: %q", faults(v))
		}
	})
}

func TestPlanIsValidatedAsAWhole(t *testing.T) {
	for name, c := range map[string]struct {
		config engine.PlanConfig
		want   string
	}{
		"check twice":      {engine.PlanConfig{First: []engine.Check{finds("a", "A_X")}, Checks: []engine.Check{finds("a", "A_Y")}}, `two checks are named "a"`},
		"symbol twice":     {engine.PlanConfig{First: []engine.Check{finds("a", "A_X")}, Checks: []engine.Check{finds("b", "A_X")}}, `symbol "A_X" is declared by "a" and by "b"`},
		"price of nothing": {engine.PlanConfig{Prices: map[string]float64{"A_X": 1}}, `symbol "A_X" has a price, but no check declares it`},
		"NaN price":        {engine.PlanConfig{First: []engine.Check{finds("a", "A_X")}, Prices: map[string]float64{"A_X": math.NaN()}}, "not a finite number"},
		"infinite bias":    {engine.PlanConfig{Bias: math.Inf(1)}, "not a finite number"},
		"nameless symbol":  {engine.PlanConfig{First: []engine.Check{finds("a", "")}}, "symbol without a name"},
	} {
		if _, err := engine.NewPlan(c.config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		}
	}
	if _, err := engine.New(nil, engine.Config{}); err == nil {
		t.Error("an engine without a plan was made")
	}
}

func TestPlanID(t *testing.T) {
	id := func(price float64, digest string) string {
		p, err := engine.NewPlan(engine.PlanConfig{First: []engine.Check{finds("a", "A_X")}, Prices: map[string]float64{"A_X": price}, Digest: digest})
		if err != nil {
			t.Fatal(err)
		}
		return p.ID()
	}
	if id(1, "r1") != id(1, "r1") {
		t.Error("equal plans have different ids")
	}
	if id(1, "r1") == id(1, "r2") || id(1, "r1") == id(math.Nextafter(1, 2), "r1") {
		t.Error("different plans have equal ids")
	}
}

// TestParallel judges with failing, panicking and slow checks from many
// goroutines while plans are swapped: every verdict must be that of one plan.
func TestParallel(t *testing.T) {
	plan := func(n int) engine.PlanConfig {
		symbol := fmt.Sprintf("PLAN_%d", n)
		failing := finds("failing").with(func(context.Context) ([]engine.Hit, error) { return nil, errors.New("no luck") })
		panicking := finds("panicking").with(func(context.Context) ([]engine.Hit, error) { panic("bug") })
		slow := finds("slow", symbol+"_SLOW").with(func(context.Context) ([]engine.Hit, error) {
			time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond)
			return []engine.Hit{{Symbol: symbol + "_SLOW"}}, nil
		})
		return engine.PlanConfig{First: []engine.Check{finds("rules", symbol)}, Checks: []engine.Check{failing, slow, panicking}, Prices: map[string]float64{symbol: float64(n), symbol + "_SLOW": 0.1}}
	}
	var plans []*engine.Plan
	want := map[string]engine.Verdict{}
	for n := range 4 {
		p, err := engine.NewPlan(plan(n))
		if err != nil {
			t.Fatal(err)
		}
		plans = append(plans, p)
		e, err := engine.New(p, engine.Config{})
		if err != nil {
			t.Fatal(err)
		}
		want[p.ID()] = e.Judge(t.Context(), mail())
	}
	e, err := engine.New(plans[0], engine.Config{Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan bool)
	var swapper, judges sync.WaitGroup
	swapper.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				e.Swap(plans[i%len(plans)])
			}
		}
	})
	for range 8 {
		judges.Go(func() {
			for range 200 {
				if v := e.Judge(context.Background(), mail()); !reflect.DeepEqual(v, want[v.Plan]) {
					t.Errorf("verdict %+v\nalone   %+v", v, want[v.Plan])
					return
				}
			}
		})
	}
	judges.Wait()
	close(stop)
	swapper.Wait()
}
