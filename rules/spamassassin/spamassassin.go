// Package spamassassin turns SpamAssassin rule files (.cf) into a check that
// finds what SpamAssassin itself would find.
//
// Rules were written for SpamAssassin's own views of a message, which are bytes:
// paragraphs of the rendered text, chunks of the decoded source, a list of URIs
// in several forms, trace fields retold. So this package makes these views, and
// matches Perl's patterns in them with the machine of rules/match: RE2 finds
// where a match can be, and where RE2 can't say what a pattern means, a matcher
// of our own verifies it under a limit of steps.
//
// What can't be expressed is listed by Report, never left out in silence.
package spamassassin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"

	"spamcatcher/engine"
)

// A Config says what is loaded and how.
type Config struct {
	// Paths are files and directories. Of a directory, files that end in .cf
	// and .pre are read, in the order of their names.
	Paths []string
	// ScoreSet says which of a rule's four scores is used: 0 plain, 1 with
	// network tests, 2 with Bayes, 3 with both.
	ScoreSet int
	// Bayes are the symbols, with their prices, of the check that answers
	// rules with check_bayes: strength times price, added to BayesBias, are
	// the log-odds of spam. That check speaks for itself, so such rules have
	// no price, and serve the expressions of others. None: they are left out.
	Bayes     map[string]float64
	BayesBias float64
	// Language is that of texts in lines that begin with "lang"; "" means en.
	Language string
}

// A Set is the rules of a site, compiled. It is immutable and safe for any
// number of goroutines: an engine.Check, and an engine.Combiner for rules that
// depend on what other checks find.
type Set struct {
	c       *compiled
	bayes   map[string]float64
	bias    float64
	symbols []engine.Symbol
	prices  map[string]float64
	report  *Report
	digest  string

	mu     sync.Mutex
	recent [recentMails]kept // results that Combine will ask for
	at     int
}

// recentMails is how many results are kept between Inspect and Combine. A
// result that is gone is computed again.
const recentMails = 64

type kept struct {
	mail   *engine.Mail
	result *result
}

// Load reads and compiles rule files. Faults in them are no error: they are in
// the report.
func Load(config Config) (*Set, error) {
	if config.Language == "" {
		config.Language = "en"
	}
	c := newConf()
	if err := c.read(config.Paths, config.Language); err != nil {
		return nil, err
	}
	r := &Report{}
	for _, n := range c.notes {
		r.add(n)
	}
	s := &Set{report: r, bayes: maps.Clone(config.Bayes), bias: config.BayesBias, prices: map[string]float64{}}
	s.c = compile(c, config, r)
	s.symbols = s.c.symbols(c)
	h := sha256.New()
	for _, ru := range s.c.rules {
		fmt.Fprintf(h, "%q %d %q %q %q %q %v %v\n", ru.name, ru.kind, ru.header, ru.source, ru.flags, ru.eval, ru.args, ru.points)
		if !ru.sub && ru.points != 0 && ru.eval != "check_bayes" {
			s.prices[ru.name] = ru.points * math.Ln2
		}
	}
	s.digest = hex.EncodeToString(h.Sum(nil)[:8])
	return s, nil
}

// Name is the check's name.
func (s *Set) Name() string { return "spamassassin" }

// Symbols lists the rules that have a score and no name beginning with "__".
func (s *Set) Symbols() []engine.Symbol { return slices.Clone(s.symbols) }

// Prices returns each symbol's price in log-odds: one point of SpamAssassin's
// doubles the odds of spam, as one of ours does.
func (s *Set) Prices() map[string]float64 { return s.prices }

// Digest names the rules: equal digests mean equal rules and scores.
func (s *Set) Digest() string { return s.digest }

// Report tells what became of every rule and of lines that could not be used.
func (s *Set) Report() *Report { return s.report }

// Len is the number of rules, with those that only serve others.
func (s *Set) Len() int { return len(s.c.rules) }

// Inspect returns the rules that hold, in the order of their files. It never
// fails.
func (s *Set) Inspect(_ context.Context, m *engine.Mail) ([]engine.Hit, error) {
	r := s.c.evaluate(m)
	if len(s.c.bayes) > 0 {
		s.keep(m, r)
	}
	return s.c.hits(r, func(ru *rule) bool { return !ru.late }), nil
}

// Trace returns how often each rule holds, also those that only serve others.
func (s *Set) Trace(m *engine.Mail) map[string]float64 {
	r := s.c.evaluate(m)
	out := map[string]float64{}
	for id, v := range r.value {
		if v != 0 {
			out[s.c.rules[id].name] = v
		}
	}
	return out
}

func (s *Set) keep(m *engine.Mail, r *result) {
	s.mu.Lock()
	s.recent[s.at%recentMails] = kept{m, r}
	s.at++
	s.mu.Unlock()
}

// take returns the result that Inspect kept, and forgets it.
func (s *Set) take(m *engine.Mail) *result {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.recent {
		if s.recent[i].mail == m {
			r := s.recent[i].result
			s.recent[i] = kept{}
			return r
		}
	}
	return nil
}

// Combine returns the rules that ask for the probability of Bayes, and those
// that depend on them.
func (s *Set) Combine(m *engine.Mail, hits []engine.Hit) []engine.Hit {
	if len(s.c.bayes) == 0 {
		return nil
	}
	r := s.take(m)
	if r == nil {
		r = s.c.evaluate(m)
	}
	sum, found := s.bias, false
	for i := range hits {
		if price, ok := s.bayes[hits[i].Symbol]; ok {
			strength := hits[i].Strength
			if strength == 0 {
				strength = 1
			}
			sum += price * strength
			found = true
		}
	}
	if found {
		p := engine.Logistic(sum)
		for _, id := range s.c.bayes {
			ru := s.c.rules[id]
			if ru.points != 0 {
				r.value[id] = truth(ru.bayesHolds(p))
			}
		}
	}
	s.c.runMetas(s.c.lateMetas, r)
	return s.c.hits(r, func(ru *rule) bool { return ru.late })
}

// bayesHolds: each range ends where the next begins, and the last holds 1.
func (ru *rule) bayesHolds(p float64) bool {
	low, high, err := bounds(ru.args)
	return err == nil && (p >= low || low <= 0) && (p < high || high >= 1)
}

func (s *compiled) hits(r *result, wanted func(*rule) bool) []engine.Hit {
	var out []engine.Hit
	for id, ru := range s.rules {
		if r.value[id] == 0 || ru.sub || ru.points == 0 || !wanted(ru) {
			continue
		}
		h := engine.Hit{Symbol: ru.name}
		if ru.limit > 1 && r.value[id] > 1 && ru.kind != kindMeta {
			h.Strength = r.value[id]
			h.Detail = fmt.Sprintf("%d times", int(r.value[id]))
		}
		out = append(out, h)
	}
	return out
}
