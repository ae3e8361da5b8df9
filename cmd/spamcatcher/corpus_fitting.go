package main

import (
	"math"
	"slices"

	"spamcatcher/corpus"
	"spamcatcher/engine"
)

// A fitting holds everything that fits of all strengths share.
type fitting struct {
	evidence
	bias     corpus.Feature
	features []corpus.Feature
	weights  []float64 // of each message
	without  float64
	sets     []string
}

func newFitting(ev evidence, limits bounds, o fitOptions) (*fitting, error) {
	f := &fitting{evidence: ev, without: o.without}
	low, high := limits.ofBias()
	f.bias = corpus.Feature{Name: "bias", Prior: engine.DefaultBias, Min: low * engine.Point, Max: high * engine.Point}
	for _, s := range ev.symbols {
		if s.learned {
			f.features = append(f.features, learnedFeature(s.name))
			continue
		}
		low, high, err := limits.of(s.name, s.price/engine.Point)
		if err != nil {
			return nil, err
		}
		f.features = append(f.features, corpus.Feature{Name: s.name, Prior: s.price, Min: low * engine.Point, Max: high * engine.Point})
	}
	f.weights = corpus.Weights(ev.messages, o.share)
	for i, sources := range f.sources() {
		if !f.symbols[i].learned && sources > 0 {
			f.features[i].Pull = max(1, math.Pow(manySources/sources, 2))
		}
	}
	for _, m := range ev.messages {
		if !slices.Contains(f.sets, m.Set()) {
			f.sets = append(f.sets, m.Set())
		}
	}
	slices.Sort(f.sets)
	return f, nil
}

// manySources are enough for a price to be pulled no harder than the ridge
// says. What one collection alone has may be an accident of that collection,
// so a price that few of them speak for is pulled by the square of what is
// missing.
const manySources = 4

// sources counts for each symbol the collections that have it, as the inverse
// of the chance that two of its messages, drawn by weight, are of the same
// collection and class: 1 for one collection, n for n equal ones.
func (f *fitting) sources() []float64 {
	type key struct {
		set  string
		spam bool
	}
	mass := make([]map[key]float64, len(f.symbols))
	for i, m := range f.messages {
		for _, v := range f.values[i] {
			if mass[v.Feature] == nil {
				mass[v.Feature] = map[key]float64{}
			}
			mass[v.Feature][key{m.Set(), m.Spam}] += f.weights[i]
		}
	}
	out := make([]float64, len(f.symbols))
	for i, by := range mass {
		var shares []float64
		sum := 0.0
		for _, x := range by {
			shares = append(shares, x)
		}
		slices.Sort(shares) // the order of a map must not decide rounding
		for _, x := range shares {
			sum += x
		}
		same := 0.0
		for _, x := range shares {
			same += x / sum * x / sum
		}
		if same > 0 {
			out[i] = 1 / same
		}
	}
	return out
}

// learnedPull draws the classifier's prices to 0 just so much that they
// exist where it says nothing.
const learnedPull = 1e-5

// learnedFeature is what the classifier says. How far that can be believed is
// found beside the rules, so that these do not take its share; every model
// brings prices of its own, so it is printed, but not written.
func learnedFeature(name string) corpus.Feature {
	f := corpus.Feature{Name: name, Max: 5}
	if name == constant {
		f.Min = -5
	}
	return f
}

// problem is the fit to all messages that leave does not leave out.
func (f *fitting) problem(ridge float64, leave func(set string) bool) corpus.Problem {
	p := corpus.Problem{Bias: f.bias, Features: slices.Clone(f.features), Ridge: ridge}
	for i, s := range f.symbols {
		switch x := &p.Features[i]; {
		case s.learned && ridge == asWritten:
			x.Pull, p.Ridge = learnedPull, 1
		case s.learned:
			x.Pull = learnedPull / ridge
		case ridge == asWritten:
			x.Min, x.Max, p.Ridge = x.Prior, x.Prior, 1
		}
	}
	for i, m := range f.messages {
		if leave != nil && leave(m.Set()) {
			continue
		}
		with, without := f.weights[i], 0.0
		if f.learns() {
			with, without = with*(1-f.without), with*f.without
		}
		p.Examples = append(p.Examples, corpus.Example{Values: f.values[i], Spam: m.Spam, Weight: with})
		if without > 0 {
			p.Examples = append(p.Examples, corpus.Example{Values: f.unlearned(i), Spam: m.Spam, Weight: without})
		}
	}
	return p
}

// learns says whether the classifier is among the evidence.
func (f *fitting) learns() bool {
	return slices.ContainsFunc(f.symbols, func(s fitSymbol) bool { return s.learned })
}

// unlearned is what was found of message i by rules alone.
func (f *fitting) unlearned(i int) []corpus.Value {
	return slices.DeleteFunc(slices.Clone(f.values[i]), func(v corpus.Value) bool { return f.symbols[v.Feature].learned })
}

// judge gives every message the score of the fit for its set; the surprise is
// the weighted mean in nats.
func (f *fitting) judge(of func(set string) corpus.Fit, rulesAlone bool) (results []corpus.Result, surprise float64) {
	total := 0.0
	for i, m := range f.messages {
		values := f.values[i]
		if rulesAlone {
			values = f.unlearned(i)
		}
		odds := of(m.Set()).LogOdds(values)
		results = append(results, corpus.Result{Message: m, Score: 100 * engine.Logistic(odds), Rank: odds})
		if !m.Spam {
			odds = -odds
		}
		// ln(1+exp(−odds)) without overflow
		surprise += f.weights[i] * (math.Log1p(math.Exp(-math.Abs(odds))) + max(0, -odds))
		total += f.weights[i]
	}
	return results, surprise / total
}

// leastMove is the smallest change of a price, in points, that is worth
// reading; smaller ones are noise.
const leastMove = 0.05

// round cuts prices to hundredths of a point, as they are written, never over
// a bound. A price that hardly moved keeps the points of its rule file.
func (f *fitting) round(fit *corpus.Fit) {
	cut := func(x float64, of corpus.Feature) float64 {
		if math.Abs(x-of.Prior) < leastMove*engine.Point && of.Prior >= of.Min && of.Prior <= of.Max {
			return of.Prior
		}
		points := math.Round(100*x/engine.Point) / 100
		low, high := math.Ceil(100*of.Min/engine.Point-1e-9)/100, math.Floor(100*of.Max/engine.Point+1e-9)/100
		return min(max(points, low), high) * engine.Point
	}
	for i := range fit.Prices {
		if !f.symbols[i].learned {
			fit.Prices[i] = cut(fit.Prices[i], f.features[i])
		}
	}
	fit.Bias = cut(fit.Bias, f.bias)
}

// heldBy names the bound that a price stands at, "" if it stands at none.
func (f *fitting) heldBy(i int, price float64) string {
	s := f.features[i]
	switch {
	case price >= s.Max-0.005*engine.Point:
		return "max"
	case price <= s.Min+0.005*engine.Point:
		return "min"
	}
	return ""
}
