package bayes

import "math"

// A linear model over the grams of a message: the margin of a message with n
// distinct grams is bias + Σ weight / √n. The length of the vector is always
// 1, so that a long message has no more to say than a short one.
type linear struct {
	weights []float32 // by bucket
	bias    float64
}

// fitLinear learns to tell the classes apart by logistic regression with a
// quadratic penalty on the weights. It solves the dual problem one lesson at
// a time (Yu, Huang, Lin: Dual coordinate descent methods for logistic
// regression and maximum entropy models, 2011): lesson i has a share alpha in
// the weights, 0 to C, that grows while the lesson is on the wrong side or
// close to the border, so that the border is learned and not the bulk.
//
// Lessons are visited in an order that depends on their number alone, and the
// result is the same to the bit for the same lessons in the same order. base,
// which may be nil, is where the weights start from and are drawn back to. A
// lesson of weight 3 counts as three.
func fitLinear(n int, grams func(i int) []uint32, spam func(i int) bool, weight func(i int) float64, base *linear) linear {
	m := linear{weights: make([]float32, 1<<gramBits)}
	if base != nil {
		copy(m.weights, base.weights)
		m.bias = base.bias
	}
	var count [2]float64
	total := 0.0
	for i := range n {
		count[class(spam(i))] += weight(i)
		total += weight(i)
	}
	alpha := make([]float64, n)
	step := stride(n)
	for round := range rounds {
		largest := 0.0
		for k := range n {
			i := (k*step + round*7919) % n
			// Both classes weigh the same, however many lessons they have.
			limit := border * weight(i) * min(maxBalance, total/(2*count[class(spam(i))]))
			list := grams(i)
			y := -1.0
			if spam(i) {
				y = 1
			}
			scale := 1 / math.Sqrt(float64(len(list)+1))
			side := y * margin(m.sum(list), len(list), m.bias)
			next := dualStep(alpha[i], limit, side, float64(len(list))*scale*scale+1)
			change := next - alpha[i]
			alpha[i] = next
			largest = max(largest, math.Abs(change)/limit)
			d := float32(change * y * scale)
			for _, g := range list {
				m.weights[g] += d
			}
			m.bias += change * y
		}
		if largest < 1e-3 {
			break
		}
	}
	return m
}

const (
	// border is C, the largest share of one lesson. Between 10 and 100 the
	// results hardly differ.
	border     = 30
	rounds     = 15
	maxBalance = 5
)

func class(spam bool) int {
	if spam {
		return 1
	}
	return 0
}

func (m *linear) sum(grams []uint32) float64 {
	sum := float32(0)
	for _, g := range grams {
		sum += m.weights[g]
	}
	return float64(sum)
}

// margin is that of a message with so many grams, whose weights add up to sum.
func margin(sum float64, grams int, bias float64) float64 {
	return sum/math.Sqrt(float64(grams+1)) + bias
}

// margins returns the margin of a message and that of its worst part: of the
// header with the body, or with one piece of the text. sums and counts are
// those of the header, the body and each piece.
func margins(sums []float64, counts []int, bias float64) (whole, worst float64) {
	sum, n := 0.0, 0
	for i := range sums {
		sum += sums[i]
		n += counts[i]
	}
	whole = margin(sum, n, bias)
	worst = whole
	for i := 1; i < len(sums); i++ {
		// The rest of a text is too short to be judged by itself.
		if i <= 2 || counts[i] >= minGrams {
			worst = max(worst, margin(sums[0]+sums[i], counts[0]+counts[i], bias))
		}
	}
	return whole, worst
}

// minGrams is how many grams a piece must have, the first excepted.
const minGrams = 100

// dualStep minimises q/2·(z-a)² + margin·(z-a) + z·ln z + (C-z)·ln(C-z) over
// 0 < z < C by Newton's method.
func dualStep(a, limit, margin, q float64) float64 {
	z := a
	if z <= 0 || z >= limit {
		z = limit / 2
	}
	for range 20 {
		g := q*(z-a) + margin + math.Log(z/(limit-z))
		next := z - g/(q+limit/(z*(limit-z)))
		switch {
		case next <= 0:
			next = z / 10
		case next >= limit:
			next = limit - (limit-z)/10
		}
		if math.Abs(next-z) < 1e-9*limit {
			return next
		}
		z = next
	}
	return z
}

// stride is a step that visits all n lessons, far apart from one another: it
// shares no factor with n.
func stride(n int) int {
	for step := max(1, n*61/100); ; step++ {
		if gcd(step, n) == 1 {
			return step
		}
	}
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
