package corpus

import (
	"errors"
	"fmt"
	"math"
)

// How prices are fitted. The log-odds of a message is a bias plus the sum of
// the prices of its findings, each times the finding's strength. The fit
// looks for the prices with the smallest sum of two things:
//
//   - the surprise: the mean over the messages of −ln p, where p is the
//     probability that the score gives to what the message really is;
//   - the pull: for each price, half of Ridge times the squared distance from
//     what it was before (the prior). A finding that few messages have says
//     little against its prior and stays near it.
//
// Prices stay within bounds all the while. Both terms are convex, so there is
// one best answer, and where the search begins does not matter.
//
// The search is coordinate descent with a trust region, as Genkin, Lewis and
// Madigan describe it (Large-scale Bayesian logistic regression for text
// categorization, Technometrics 49, 2007): one price after the other is moved
// to the lowest point of a parabola that lies nowhere below the true curve as
// far as this price may move at once. So no step makes things worse. It
// uses one goroutine and no chance: the same input gives the same prices to
// the last bit.

// A Feature is one finding whose price is fitted.
type Feature struct {
	Name     string
	Prior    float64 // in log-odds, as all prices here
	Min, Max float64
	// Pull multiplies the ridge of this feature; 0 means 1.
	Pull float64
}

// A Value is how strong a message has a feature.
type Value struct {
	Feature int // index
	Value   float64
}

// An Example is a labelled message as the fit sees it.
type Example struct {
	Values []Value
	Spam   bool
	Weight float64 // at least 0; see Weights
}

// A Problem is what a fit is given. Bias has the value 1 in every example.
type Problem struct {
	Bias     Feature
	Features []Feature
	Examples []Example
	Ridge    float64
	// Sweeps bounds the search; 0 means 2000.
	Sweeps int
}

// A Fit is its answer.
type Fit struct {
	Bias   float64
	Prices []float64 // in the order of Problem.Features
	Loss   float64   // mean surprise in nats
	Sweeps int
}

// tolerance is how far from flat the sum may be in the end, along any price
// that is not held by its bounds.
const tolerance = 1e-7

// Solve finds the best prices. It is an error if the problem has no answer
// (a prior that is no number, crossed bounds, no weight) or the search did not
// come to rest.
func (p Problem) Solve() (Fit, error) {
	s, err := newSearch(p)
	if err != nil {
		return Fit{}, err
	}
	limit := p.Sweeps
	if limit == 0 {
		limit = 2000
	}
	for sweep := 1; sweep <= limit; sweep++ {
		if sweep%50 == 0 {
			s.margins() // no drift by added rounding errors
		}
		if s.sweep() <= tolerance {
			s.margins()
			return s.fit(sweep), nil
		}
	}
	return Fit{}, fmt.Errorf("fitting prices: the search did not come to rest in %d sweeps", limit)
}

// A search is a fit under way. The bias is its last column.
type search struct {
	columns []column
	price   []float64
	sign    []float64 // of each example: +1 spam, -1 ham
	weight  []float64 // of each example; they add up to 1
	margin  []float64 // of each example: log-odds of its true class
}

type column struct {
	Feature
	ridge float64
	step  float64 // how far the price may move at once
	rows  []entry
}

type entry struct {
	example int
	value   float64
}

func newSearch(p Problem) (*search, error) {
	n := len(p.Examples)
	s := &search{sign: make([]float64, n), weight: make([]float64, n), margin: make([]float64, n)}
	bias := column{Feature: p.Bias}
	for _, f := range p.Features {
		s.columns = append(s.columns, column{Feature: f})
	}
	total := 0.0
	for i, e := range p.Examples {
		s.sign[i] = -1
		if e.Spam {
			s.sign[i] = 1
		}
		if !(e.Weight >= 0) || math.IsInf(e.Weight, 0) {
			return nil, fmt.Errorf("fitting prices: example %d has the weight %v", i, e.Weight)
		}
		s.weight[i] = e.Weight
		total += e.Weight
		bias.rows = append(bias.rows, entry{i, 1})
		for _, v := range e.Values {
			if math.IsNaN(v.Value) || math.IsInf(v.Value, 0) {
				return nil, fmt.Errorf("fitting prices: example %d has the strength %v of %s", i, v.Value, p.Features[v.Feature].Name)
			}
			c := &s.columns[v.Feature]
			c.rows = append(c.rows, entry{i, v.Value})
		}
	}
	if total == 0 {
		return nil, errors.New("fitting prices: there are no examples")
	}
	for i := range s.weight {
		s.weight[i] /= total
	}
	s.columns = append(s.columns, bias)
	s.price = make([]float64, len(s.columns))
	for j := range s.columns {
		c := &s.columns[j]
		if math.IsNaN(c.Prior) || !(c.Min <= c.Max) {
			return nil, fmt.Errorf("fitting prices: %s: prior %v, bounds %v to %v", c.Name, c.Prior, c.Min, c.Max)
		}
		if c.Pull == 0 {
			c.Pull = 1
		}
		c.ridge = p.Ridge * c.Pull
		c.step = 1
		s.price[j] = min(max(c.Prior, c.Min), c.Max)
	}
	s.margins()
	return s, nil
}

// margins computes every example's log-odds anew.
func (s *search) margins() {
	clear(s.margin)
	for j, c := range s.columns {
		for _, e := range c.rows {
			s.margin[e.example] += s.sign[e.example] * s.price[j] * e.value
		}
	}
}

// sweep moves every price once. It returns how far from flat the steepest
// price was that could still move.
func (s *search) sweep() (steepest float64) {
	for j := range s.columns {
		c := &s.columns[j]
		slope := c.ridge * (s.price[j] - c.Prior)
		bend := c.ridge
		for _, e := range c.rows {
			w, x, m := s.weight[e.example], e.value, s.margin[e.example]
			slope -= w * s.sign[e.example] * x / (1 + math.Exp(m))
			bend += w * x * x * steepestBend(m, math.Abs(c.step*x))
		}
		free := slope
		if slope > 0 && s.price[j] <= c.Min || slope < 0 && s.price[j] >= c.Max {
			free = 0
		}
		steepest = max(steepest, math.Abs(free))
		if free == 0 || bend == 0 {
			continue
		}
		move := min(max(-slope/bend, -c.step), c.step)
		next := min(max(s.price[j]+move, c.Min), c.Max)
		move = next - s.price[j]
		c.step = max(2*math.Abs(move), c.step/2)
		s.price[j] = next
		for _, e := range c.rows {
			s.margin[e.example] += s.sign[e.example] * move * e.value
		}
	}
	return steepest
}

// steepestBend is the largest second derivative of ln(1+exp(−m)) within
// reach of m.
func steepestBend(m, reach float64) float64 {
	m = math.Abs(m)
	if m <= reach {
		return 0.25
	}
	return 1 / (2 + math.Exp(m-reach) + math.Exp(reach-m))
}

func (s *search) fit(sweeps int) Fit {
	last := len(s.price) - 1
	f := Fit{Bias: s.price[last], Prices: s.price[:last:last], Sweeps: sweeps}
	for i, m := range s.margin {
		f.Loss += s.weight[i] * surprise(m)
	}
	return f
}

// surprise is −ln of the probability of what has the log-odds m.
func surprise(m float64) float64 {
	if m > 0 {
		return math.Log1p(math.Exp(-m))
	}
	return math.Log1p(math.Exp(m)) - m
}

// LogOdds is what the fit says of a message with the values.
func (f Fit) LogOdds(values []Value) float64 {
	sum := f.Bias
	for _, v := range values {
		sum += f.Prices[v.Feature] * v.Value
	}
	return sum
}
