package rules

import (
	"sort"
	"strings"
)

// Prices returns the price of every symbol in log-odds: points times ln 2.
func (rs *Ruleset) Prices() map[string]float64 {
	p := make(map[string]float64, len(rs.prices))
	for k, v := range rs.prices {
		p[k] = v
	}
	return p
}

// Digest names the rule set: sets with the same digest find the same.
func (rs *Ruleset) Digest() string { return rs.digest }

// Len is the number of rules, terms included.
func (rs *Ruleset) Len() int { return len(rs.rules) }

// Rules returns the rules in their order.
func (rs *Ruleset) Rules() []Rule { return append([]Rule(nil), rs.rules...) }

// A Report says what a Ruleset consists of.
type Report struct {
	Symbols, Terms int
	Samples        int
	Kinds          map[string]int // rules by kind of condition
	// Literalless are the rules with a pattern, or an alternative of one,
	// in which no literal of three bytes must occur (or of two, if one is
	// a digit or sign or they are a whole word). Each is tried on every message and so costs more
	// than hundreds of others.
	Literalless []string
}

// Report sums the rule set up.
func (rs *Ruleset) Report() Report {
	r := Report{Kinds: map[string]int{}}
	for i := range rs.rules {
		rule := &rs.rules[i]
		if rule.Term() {
			r.Terms++
		} else {
			r.Symbols++
		}
		r.Samples += len(rule.Hit) + len(rule.Miss)
		r.Kinds[rule.When.Kind()]++
	}
	seen := map[int]bool{}
	for _, g := range rs.groups {
		if strings.HasPrefix(g.key, "defect ") {
			continue // kinds are a handful of short words
		}
		for _, id := range g.set.Literalless() {
			seen[g.ids[id]] = true
		}
	}
	var ids []int
	for id := range seen {
		ids = append(ids, id)
	}
	sort.Ints(ids)
	for _, id := range ids {
		r.Literalless = append(r.Literalless, rs.rules[id].Symbol)
	}
	return r
}
