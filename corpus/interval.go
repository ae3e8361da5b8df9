package corpus

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
)

// An Interval is an estimate with the range in which 95 of 100 repetitions
// of the bootstrap fell.
type Interval struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// MarshalJSON writes null for what does not exist, such as the AUC of mail
// of one class.
func (i Interval) MarshalJSON() ([]byte, error) {
	if math.IsNaN(i.Value) {
		return []byte("null"), nil
	}
	type plain Interval
	return json.Marshal(plain(i))
}

// Figures are what is estimated of an evaluation, each as a share of 1.
type Figures struct {
	AUC     Interval `json:"auc"`
	Recall1 Interval `json:"recall_at_0.1_percent"`
	Recall5 Interval `json:"recall_at_0.5_percent"`
	Recall  Interval `json:"recall_at_1_percent"`
	Missed  Interval `json:"missed_at_50"`
	Flagged Interval `json:"flagged_at_50"`
	ECE     Interval `json:"ece"`
}

// estimates are the figures of one evaluation or repetition, in the order
// of Figures.
type estimates [7]float64

func (e Evaluation) estimates() estimates {
	return estimates{e.AUC, e.Recall(0.001), e.Recall(0.005), e.Recall(0.01), share(e.Missed, e.Spam), share(e.Flagged, e.Ham), e.Calibration}
}

func share(n, of int) float64 {
	if of == 0 {
		return math.NaN()
	}
	return float64(n) / float64(of)
}

// Bootstrap evaluates results and estimates how far the figures would move
// with other mail of the same kind: it draws as many spams and as many hams
// from the results as there are, with replacement, repetitions times. Equal
// seeds give equal intervals.
func Bootstrap(results []Result, repetitions int, seed uint64) (Evaluation, Figures) {
	e := Evaluate(results)
	draws := make([][]float64, len(estimates{}))
	resample(results, repetitions, seed, func(sample []Result) {
		for i, x := range Evaluate(sample).estimates() {
			if !math.IsNaN(x) {
				draws[i] = append(draws[i], x)
			}
		}
	})
	var all [len(estimates{})]Interval
	for i, x := range e.estimates() {
		all[i] = interval(x, draws[i])
	}
	return e, Figures{all[0], all[1], all[2], all[3], all[4], all[5], all[6]}
}

// resample calls each with repetitions stratified samples of results; the
// slice is used again. Results of an empty class stay empty.
func resample(results []Result, repetitions int, seed uint64, each func([]Result)) {
	var spam, ham []Result
	for _, r := range results {
		if r.Spam {
			spam = append(spam, r)
		} else {
			ham = append(ham, r)
		}
	}
	random := rand.New(rand.NewPCG(seed, 0))
	sample := make([]Result, len(results))
	for range repetitions {
		for i := range spam {
			sample[i] = spam[random.IntN(len(spam))]
		}
		for i := range ham {
			sample[len(spam)+i] = ham[random.IntN(len(ham))]
		}
		each(sample)
	}
}

// interval takes the 2.5 % and 97.5 % quantiles of the draws.
func interval(value float64, draws []float64) Interval {
	if len(draws) == 0 {
		return Interval{value, value, value}
	}
	slices.Sort(draws)
	at := func(q float64) float64 { return draws[int(math.Round(q*float64(len(draws)-1)))] }
	return Interval{value, at(0.025), at(0.975)}
}

// A Comparison says whether B tells spam from ham better than A on the same
// messages.
type Comparison struct {
	// OnlyA and OnlyB are the messages that A alone, or B alone, has on the
	// wrong side of 50.
	OnlyA, OnlyB int
	// McNemar is the probability of a difference at least as large if both
	// were equally often wrong (exact test, two-sided).
	McNemar float64
	// AUC is the area under B's ROC curve less that under A's.
	AUC Interval
	// P is the share of bootstrap samples, drawn in pairs, in which the
	// difference of areas has not the sign of AUC.Value, doubled.
	P float64
}

// Compare compares two results of the same messages in the same order.
func Compare(a, b []Result, repetitions int, seed uint64) Comparison {
	var c Comparison
	wrong := func(r Result) bool { return r.Spam != (r.Score > 50) }
	var spam, ham []int
	for i := range a {
		switch wa, wb := wrong(a[i]), wrong(b[i]); {
		case wa && !wb:
			c.OnlyA++
		case wb && !wa:
			c.OnlyB++
		}
		if a[i].Spam {
			spam = append(spam, i)
		} else {
			ham = append(ham, i)
		}
	}
	c.McNemar = mcNemar(c.OnlyA, c.OnlyB)
	difference := Evaluate(b).AUC - Evaluate(a).AUC
	if len(spam) == 0 || len(ham) == 0 {
		c.AUC, c.P = Interval{difference, difference, difference}, 1
		return c
	}
	random := rand.New(rand.NewPCG(seed, 0))
	drawnA, drawnB := make([]Result, len(a)), make([]Result, len(a))
	var draws []float64
	against := 0
	for range repetitions {
		for i := range drawnA {
			k := 0
			if i < len(spam) {
				k = spam[random.IntN(len(spam))]
			} else {
				k = ham[random.IntN(len(ham))]
			}
			drawnA[i], drawnB[i] = a[k], b[k]
		}
		d := Evaluate(drawnB).AUC - Evaluate(drawnA).AUC
		draws = append(draws, d)
		if d*difference <= 0 {
			against++
		}
	}
	c.AUC = interval(difference, draws)
	c.P = min(1, 2*float64(against)/float64(max(1, repetitions)))
	return c
}

// mcNemar is the exact two-sided test: of a+b messages on which the two
// differ, each is as likely to be wrong as the other.
func mcNemar(a, b int) float64 {
	n := a + b
	if n == 0 {
		return 1
	}
	// The sum of binomial probabilities of at most min(a, b), by logarithms
	// as the binomial coefficients outgrow floats.
	logChoose := func(k int) float64 {
		x, _ := math.Lgamma(float64(n + 1))
		y, _ := math.Lgamma(float64(k + 1))
		z, _ := math.Lgamma(float64(n - k + 1))
		return x - y - z
	}
	p := 0.0
	for k := range min(a, b) + 1 {
		p += math.Exp(logChoose(k) - float64(n)*math.Ln2)
	}
	return min(1, 2*p)
}
