package corpus

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// A Result is the score that one labelled message got.
type Result struct {
	Message
	Score float64 // 0 to 100
	// Rank orders results whose scores are equal to the last bit, such as
	// log-odds. It may be left 0.
	Rank float64
}

// An Evaluation says how well scores tell spam from ham.
type Evaluation struct {
	Spam, Ham int
	// AUC is the area under the ROC curve: the probability that a spam
	// scores above a ham, ties counted half. NaN when a class is empty.
	AUC float64
	// Missed and Flagged are spam at or below 50, and ham above it.
	Missed, Flagged int
	// Calibration is the expected calibration error: the mean, over ten
	// bins of equal width weighted by their messages, of the distance
	// between mean score and share of spam, 0 to 1.
	Calibration float64

	// Bins are what Calibration rests on.
	Bins [10]Bin

	spam, ham []float64 // ranks, descending
}

// A Bin holds the messages that scored in one tenth of the scale.
type Bin struct {
	Messages, Spam int
	Score          float64 // mean, 0 to 1; 0 when there is no message
}

// Evaluate sums up results.
func Evaluate(results []Result) Evaluation {
	var e Evaluation
	order := slices.Clone(results)
	slices.SortFunc(order, func(a, b Result) int { return compare(b, a) })
	for _, r := range order {
		b := &e.Bins[min(9, int(r.Score/10))]
		b.Messages++
		b.Score += r.Score / 100
		if r.Spam {
			b.Spam++
			e.Spam++
			if r.Score <= 50 {
				e.Missed++
			}
		} else {
			e.Ham++
			if r.Score > 50 {
				e.Flagged++
			}
		}
	}
	for i := range e.Bins {
		if b := &e.Bins[i]; b.Messages > 0 {
			e.Calibration += math.Abs(b.Score-float64(b.Spam)) / float64(len(results))
			b.Score /= float64(b.Messages)
		}
	}
	e.roc(order)
	return e
}

func compare(a, b Result) int {
	switch {
	case a.Score != b.Score:
		return sign(a.Score - b.Score)
	default:
		return sign(a.Rank - b.Rank)
	}
}

func sign(x float64) int {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return 0
}

// roc walks down the scores; results that compare equal are one step. The
// positions of that walk are kept for Recall.
func (e *Evaluation) roc(order []Result) {
	pairs := 0.0 // spam above ham, ties half
	spamAbove, step := 0, 0.0
	for i := 0; i < len(order); {
		j, spam, ham := i, 0, 0
		for ; j < len(order) && compare(order[i], order[j]) == 0; j++ {
			if order[j].Spam {
				spam++
				e.spam = append(e.spam, step)
			} else {
				ham++
				e.ham = append(e.ham, step)
			}
		}
		pairs += float64(ham) * (float64(spamAbove) + float64(spam)/2)
		spamAbove += spam
		i = j
		step++
	}
	e.AUC = pairs / (float64(e.Spam) * float64(e.Ham))
}

// Recall is the share of spam above the lowest threshold at which at most
// the given share of ham is above it.
func (e Evaluation) Recall(falsePositives float64) float64 {
	if e.Spam == 0 {
		return math.NaN()
	}
	allowed := int(falsePositives * float64(e.Ham))
	if allowed >= e.Ham {
		return 1
	}
	// Steps count from the highest score; spam must come before the first
	// ham that is not allowed.
	limit := e.ham[allowed]
	n := 0
	for _, step := range e.spam {
		if step < limit {
			n++
		}
	}
	return float64(n) / float64(e.Spam)
}

// String is one line of figures as the field reports them.
func (e Evaluation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d spam, %d ham", e.Spam, e.Ham)
	if e.Spam > 0 && e.Ham > 0 {
		fmt.Fprintf(&b, ": AUC %.5f, 1-ROCA %.3f %%, caught at 0.1/0.5/1 %% FP %.1f/%.1f/%.1f %%", e.AUC, 100*(1-e.AUC), 100*e.Recall(0.001), 100*e.Recall(0.005), 100*e.Recall(0.01))
	}
	if e.Spam > 0 {
		fmt.Fprintf(&b, "; caught at 50: %.1f %%", 100*float64(e.Spam-e.Missed)/float64(e.Spam))
	}
	if e.Ham > 0 {
		fmt.Fprintf(&b, "; ham above 50: %d = %.2f %%", e.Flagged, 100*float64(e.Flagged)/float64(e.Ham))
	}
	fmt.Fprintf(&b, "; calibration error %.3f", e.Calibration)
	return b.String()
}

// A Point of the ROC curve: the share of ham and of spam above a threshold.
type Point struct{ FalsePositives, Recall float64 }

// ROC returns the corners of the ROC curve, from (0, 0) to (1, 1).
func (e Evaluation) ROC() []Point {
	curve := []Point{{}}
	i, j := 0, 0
	for i < len(e.spam) || j < len(e.ham) {
		step := math.Inf(1)
		if i < len(e.spam) {
			step = e.spam[i]
		}
		if j < len(e.ham) {
			step = min(step, e.ham[j])
		}
		for i < len(e.spam) && e.spam[i] == step {
			i++
		}
		for j < len(e.ham) && e.ham[j] == step {
			j++
		}
		curve = append(curve, Point{float64(j) / float64(max(1, e.Ham)), float64(i) / float64(max(1, e.Spam))})
	}
	return curve
}
