package engine

import "math"

// Point is one point of the scale that rule files use, in log-odds: it
// doubles the odds of spam.
const Point = math.Ln2

// DefaultBias is the log-odds of a mail in which nothing was found: 5 points
// below even, so that 5 points of evidence make a score of 50.
const DefaultBias = -5 * Point

// Logistic turns log-odds (natural logarithm) into a probability, 0 to 1.
// It is monotonic and never NaN for a number that is none.
func Logistic(logOdds float64) float64 {
	if logOdds >= 0 {
		return 1 / (1 + math.Exp(-logOdds))
	}
	e := math.Exp(logOdds)
	return e / (1 + e)
}

// price adds up the hits in the order given, since float addition is not
// associative, and sets the verdict's score.
func (p *Plan) price(v *Verdict, hits []Hit) {
	v.Plan = p.id
	v.Bias = p.bias
	v.LogOdds = p.bias
	v.Symbols = make([]Scored, 0, len(hits))
	for _, h := range hits {
		s := p.symbols[h.Symbol]
		strength := h.Strength
		if strength == 0 {
			strength = 1
		}
		share := s.price * strength
		v.LogOdds += share
		v.Symbols = append(v.Symbols, Scored{Name: h.Symbol, Share: share, Detail: h.Detail, Description: s.Description})
		if s.Malware && v.Virus == "" {
			if v.Virus = h.Detail; v.Virus == "" {
				v.Virus = h.Symbol
			}
		}
	}
	v.Score = 100 * Logistic(v.LogOdds)
	if v.Virus != "" {
		v.Score = 100
	}
}
