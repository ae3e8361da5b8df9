package corpus

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func wide(prior float64) Feature { return Feature{Prior: prior, Min: -100, Max: 100} }

func solve(t *testing.T, p Problem) Fit {
	t.Helper()
	f, err := p.Solve()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func near(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if !(math.Abs(got-want) <= within) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// group adds n examples.
func group(list []Example, n int, spam bool, values ...Value) []Example {
	for range n {
		list = append(list, Example{Values: values, Spam: spam, Weight: 1})
	}
	return list
}

// TestFitOfTwoGroups: without a pull and with one yes-or-no finding the
// answer is known. Messages without it: 10 spam, 30 ham, so the bias is
// ln(1/3). With it: 40 spam, 10 ham, so bias and price are together ln 4.
func TestFitOfTwoGroups(t *testing.T) {
	var list []Example
	list = group(list, 10, true)
	list = group(list, 30, false)
	list = group(list, 40, true, Value{0, 1})
	list = group(list, 10, false, Value{0, 1})
	f := solve(t, Problem{Bias: wide(0), Features: []Feature{wide(0)}, Examples: list})
	near(t, "bias", f.Bias, math.Log(1.0/3), 1e-5)
	near(t, "price", f.Prices[0], math.Log(12), 1e-5)
	// Weights count like repetitions.
	f = solve(t, Problem{Bias: wide(0), Features: []Feature{wide(0)}, Examples: []Example{
		{nil, true, 10}, {nil, false, 30}, {[]Value{{0, 2}}, true, 40}, {[]Value{{0, 2}}, false, 10},
	}})
	near(t, "bias", f.Bias, math.Log(1.0/3), 1e-5)
	near(t, "price of a strength of 2", f.Prices[0], math.Log(12)/2, 1e-5)
	near(t, "loss", f.Loss, (40*entropy(0.25)+50*entropy(0.8))/90, 1e-9)
}

func entropy(p float64) float64 { return -p*math.Log(p) - (1-p)*math.Log(1-p) }

// TestFitOfTwoFeatures solves by hand: two findings that never occur
// together, the bias fixed at 0, a ridge of r. For a finding with half of the
// weight, all of it spam, and prior 0 the slope is zero at the price x with
// r·x = 0.5/(1+exp(x)). The ridge is chosen so that this is x = 1.
func TestFitOfTwoFeatures(t *testing.T) {
	list := group(nil, 50, true, Value{0, 1})
	list = group(list, 50, false, Value{1, 1})
	r := 0.5 / (1 + math.E)
	fixed := Feature{}
	f := solve(t, Problem{Bias: fixed, Features: []Feature{wide(0), wide(0)}, Examples: list, Ridge: r})
	near(t, "price of the spam's finding", f.Prices[0], 1, 1e-5)
	near(t, "price of the ham's finding", f.Prices[1], -1, 1e-5)
	near(t, "bias", f.Bias, 0, 0)
	// The same with a prior p: r·(x−p) = 0.5/(1+exp(x)) holds at x = 1 for
	// p = 1 − 1/q when the ridge is q times as large.
	f = solve(t, Problem{Bias: fixed, Features: []Feature{wide(0.75), wide(-0.75)}, Examples: list, Ridge: 4 * r})
	near(t, "price with a prior", f.Prices[0], 1, 1e-5)
	// A feature that is pulled four times as hard is the same again.
	pulled := Feature{Prior: 0.75, Min: -9, Max: 9, Pull: 4}
	f = solve(t, Problem{Bias: fixed, Features: []Feature{pulled, wide(0)}, Examples: list, Ridge: r})
	near(t, "price with four times the pull", f.Prices[0], 1, 1e-5)
	near(t, "price beside it", f.Prices[1], -1, 1e-5)
}

func TestFitKeepsBounds(t *testing.T) {
	list := group(nil, 50, true, Value{0, 1})
	list = group(list, 50, false, Value{1, 1})
	f := solve(t, Problem{Bias: Feature{}, Features: []Feature{{Prior: 0.2, Min: 0, Max: 0.5}, {Prior: 0, Min: -0.25, Max: 0}}, Examples: list, Ridge: 1e-6})
	if f.Prices[0] != 0.5 || f.Prices[1] != -0.25 {
		t.Errorf("prices %v, want the bounds 0.5 and -0.25", f.Prices)
	}
	// A prior outside of the bounds does not lead out of them.
	f = solve(t, Problem{Bias: Feature{}, Features: []Feature{{Prior: 3, Min: 0, Max: 0.5}, {}}, Examples: list, Ridge: 10})
	if f.Prices[0] != 0.5 {
		t.Errorf("price %v, want 0.5", f.Prices[0])
	}
}

// TestFitOfNobody: what no example has stays at its prior.
func TestFitOfNobody(t *testing.T) {
	list := group(group(nil, 5, true), 5, false)
	f := solve(t, Problem{Bias: wide(1), Features: []Feature{wide(1.25)}, Examples: list, Ridge: 0.01})
	near(t, "price", f.Prices[0], 1.25, 0)
}

// TestFitRecovers draws messages from known prices and finds these again.
func TestFitRecovers(t *testing.T) {
	truth := []float64{2, 1, -1, 0.5, 0, 3}
	random := rand.New(rand.NewPCG(1, 2))
	var list []Example
	for range 30000 {
		e := Example{Weight: 1}
		odds := -1.0
		for j, price := range truth {
			if random.Float64() < 0.3 {
				x := 0.5 + random.Float64()
				e.Values = append(e.Values, Value{j, x})
				odds += price * x
			}
		}
		e.Spam = random.Float64() < 1/(1+math.Exp(-odds))
		list = append(list, e)
	}
	features := make([]Feature, len(truth))
	for j := range features {
		features[j] = wide(0)
	}
	p := Problem{Bias: wide(0), Features: features, Examples: list, Ridge: 1e-6}
	f := solve(t, p)
	near(t, "bias", f.Bias, -1, 0.1)
	for j, price := range truth {
		near(t, "price", f.Prices[j], price, 0.12)
	}
	again := solve(t, p)
	if again.Bias != f.Bias || !slices.Equal(again.Prices, f.Prices) {
		t.Errorf("the same problem gave %v and then %v", f, again)
	}
	// The answer does not depend on where the search begins: bounds that
	// force another start are no bounds to the end.
	far := p
	far.Features = slices.Clone(features)
	far.Features[0].Min, far.Features[0].Max = 1, 100
	other := solve(t, far)
	near(t, "price from another start", other.Prices[0], f.Prices[0], 1e-3)
	// A strong pull keeps the prices at their priors.
	p.Ridge = 1e6
	near(t, "pulled price", solve(t, p).Prices[5], 0, 1e-3)
}

func TestFitRefuses(t *testing.T) {
	one := group(nil, 1, true)
	for name, p := range map[string]Problem{
		"no examples":     {Bias: wide(0)},
		"no weight":       {Bias: wide(0), Examples: []Example{{}}},
		"negative weight": {Bias: wide(0), Examples: []Example{{Weight: -1}, {Weight: 3}}},
		"crossed bounds":  {Bias: Feature{Min: 1, Max: 0}, Examples: one},
		"no number":       {Bias: wide(math.NaN()), Examples: one},
		"no strength":     {Bias: wide(0), Features: []Feature{wide(0)}, Examples: []Example{{[]Value{{0, math.NaN()}}, true, 1}}},
		"no rest":         {Bias: wide(0), Examples: one, Sweeps: 3},
	} {
		if f, err := p.Solve(); err == nil {
			t.Errorf("%s: %v without an error", name, f)
		}
	}
}

func TestLogOdds(t *testing.T) {
	f := Fit{Bias: -1, Prices: []float64{2, -3}}
	near(t, "log-odds", f.LogOdds([]Value{{0, 1}, {1, 0.5}}), -0.5, 1e-12)
}

func TestWeights(t *testing.T) {
	var list []Message
	add := func(n int, set string, spam bool) {
		for range n {
			list = append(list, Message{Name: set + "/x", Spam: spam})
		}
	}
	add(64, "large", true)
	add(9, "middle", true)
	add(1, "small", true)
	add(3, "large", false)
	sum := map[string]float64{}
	for i, w := range Weights(list, 0.5) {
		key := list[i].Set()
		if !list[i].Spam {
			key = "ham"
		}
		sum[key] += w
	}
	near(t, "large", sum["large"], 0.5, 1e-9)
	near(t, "middle", sum["middle"], 0.375, 1e-9) // 3 and 1, the square roots, share the other half
	near(t, "small", sum["small"], 0.125, 1e-9)
	near(t, "ham", sum["ham"], 1, 1e-9) // one set alone cannot be held to half
	// What a capped set leaves may bring the next over the limit.
	near(t, "second", capped(map[string]float64{"a": 80, "b": 18, "c": 2, "d": 2}, 0.4)["b"], 0.4, 1e-9)
	near(t, "third", capped(map[string]float64{"a": 80, "b": 18, "c": 2, "d": 2}, 0.4)["c"], 0.1, 1e-9)
}
