package bayes

import "math"

// fusion says how much what the learners find weighs beside all other
// evidence: log-odds = other + bias + text·T + words·W, where T is the evidence
// of the text and W that of the words.
type fusion struct {
	bias, text, words float64
}

// cautious is what holds before anything was fitted.
var cautious = fusion{text: 0.5, words: 0.1}

// An example for the fit: what the learners say about a lesson that they have
// not learned, and the log-odds by all other evidence.
type example struct {
	other, text, words float64
	spam               bool
	weight             float64
}

// fuse fits the weights: least logistic loss by Newton's method. Both classes
// weigh the same, but the loss of a good message counts hamCost times that of
// a spam. prior is where the weights are drawn to, as if so many lessons as
// persistence says had asked for it; no weight is negative.
func fuse(examples []example, prior fusion, persistence float64) fusion {
	var count [2]float64
	total := 0.0
	for _, e := range examples {
		count[class(e.spam)] += e.weight
		total += e.weight
	}
	if count[0] == 0 || count[1] == 0 {
		return prior
	}
	p := [fitted]float64{prior.bias, prior.text, prior.words}
	w := p
	for range 50 {
		var g [fitted]float64
		var h [fitted][fitted]float64
		for k := range fitted {
			g[k] = persistence * (w[k] - p[k])
			h[k][k] = persistence
		}
		for _, e := range examples {
			x := [fitted]float64{1, e.text, e.words}
			z := e.other
			for k := range fitted {
				z += w[k] * x[k]
			}
			q := 1 / (1 + math.Exp(-z))
			weight, d := e.weight*total/(2*count[class(e.spam)]), q
			if e.spam {
				d = q - 1
			} else {
				weight *= hamCost
			}
			c := weight * max(q*(1-q), 1e-6)
			for i := range fitted {
				g[i] += weight * d * x[i]
				for j := range fitted {
					h[i][j] += c * x[i] * x[j]
				}
			}
		}
		step := solve(h, g)
		size := 0.0
		for k := range fitted {
			// A full step may overshoot where the loss is almost straight.
			next := w[k] - max(-1, min(1, step[k]))
			if k > 0 {
				next = max(next, 0)
			}
			size = max(size, math.Abs(next-w[k]))
			w[k] = next
		}
		if size < 1e-9 {
			break
		}
	}
	return fusion{bias: w[0], text: w[1], words: w[2]}
}

const (
	fitted = 3 // weights

	// hamCost: a good message that is taken for spam is worse than a spam
	// that comes through.
	hamCost = 3
)

// solve returns x with h·x = g by Gaussian elimination; h is positive definite.
func solve(h [fitted][fitted]float64, g [fitted]float64) (x [fitted]float64) {
	for i := range fitted {
		for j := i + 1; j < fitted; j++ {
			f := h[j][i] / h[i][i]
			for k := i; k < fitted; k++ {
				h[j][k] -= f * h[i][k]
			}
			g[j] -= f * g[i]
		}
	}
	for i := fitted - 1; i >= 0; i-- {
		x[i] = g[i]
		for k := i + 1; k < fitted; k++ {
			x[i] -= h[i][k] * x[k]
		}
		x[i] /= h[i][i]
	}
	return x
}
