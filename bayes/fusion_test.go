package bayes

import (
	"math"
	"math/rand/v2"
	"testing"
)

// The weights that made the labels come out of the fit.
func TestFuse(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var list []example
	for range 40_000 {
		e := example{other: random.NormFloat64() * 2, text: random.NormFloat64() * 2, words: random.NormFloat64(), weight: 1}
		z := e.other + 0.4 + 1.2*e.text - 0.5*e.words
		e.spam = random.Float64() < 1/(1+math.Exp(-z))
		list = append(list, e)
	}
	f := fuse(list, cautious, 20)
	if math.Abs(f.text-1.2) > 0.1 {
		t.Errorf("%+v", f)
	}
	if f.words != 0 {
		t.Errorf("words that speak for the other side got the weight %v", f.words)
	}
}

func TestFuseOneClass(t *testing.T) {
	if f := fuse([]example{{spam: true, weight: 1}}, cautious, 20); f != cautious {
		t.Errorf("%+v from spam alone", f)
	}
}

// Good mail counts for more: where nothing can be known, the score is below
// even.
func TestFuseIsCautious(t *testing.T) {
	var list []example
	for n := range 2000 {
		list = append(list, example{spam: n%2 == 0, weight: 1})
	}
	if f := fuse(list, fusion{}, 20); math.Abs(f.bias+math.Log(hamCost)) > 0.05 {
		t.Errorf("bias %v, want %v", f.bias, -math.Log(hamCost))
	}
}

func TestSolve(t *testing.T) {
	h := [fitted][fitted]float64{{4, 1, 0}, {1, 3, 1}, {0, 1, 2}}
	want := [fitted]float64{1, -2, 3}
	var g [fitted]float64
	for i := range fitted {
		for j := range fitted {
			g[i] += h[i][j] * want[j]
		}
	}
	for i, x := range solve(h, g) {
		if math.Abs(x-want[i]) > 1e-12 {
			t.Errorf("x[%d] is %v, want %v", i, x, want[i])
		}
	}
}
