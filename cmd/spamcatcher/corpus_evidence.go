package main

import (
	"context"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"

	"spamcatcher/bayes"
	"spamcatcher/corpus"
	"spamcatcher/engine"
	"spamcatcher/rules"
	"spamcatcher/rules/builtin"
)

// Evidence is what was found in each message, as a fit sees it.
type evidence struct {
	messages []corpus.Message
	values   [][]corpus.Value // by message; features are indices of symbols
	symbols  []fitSymbol      // by name
	counts   []count          // by symbol
}

type fitSymbol struct {
	name    string
	price   float64 // by judgement, in log-odds
	learned bool    // of the classifier
}

// constant stands for what a model adds to the score of every message.
const constant = "constant of the classifier"

type count struct{ spam, ham int }

// rulesAsWritten are the rules of the configuration with the points that
// judgement gave them.
func rulesAsWritten(c *Config) ([]rules.Rule, error) {
	list, err := loadRules(c)
	if err != nil || !c.BuiltinRules {
		return list, err
	}
	written, err := builtin.AsWritten()
	if err != nil {
		return nil, err
	}
	points := map[string]float64{}
	for _, r := range written {
		points[r.Symbol] = r.Points
	}
	return reprice(list, points), nil
}

// gather judges all messages and keeps what was found.
func gather(ctx context.Context, c *Config, list []corpus.Message, o fitOptions, bad *complaints) (evidence, error) {
	set, err := rulesAsWritten(c)
	if err != nil {
		return evidence{}, err
	}
	plan, err := planOf(set, nil)
	if err != nil {
		return evidence{}, err
	}
	judge, err := engine.New(plan, engine.Config{Timeout: c.CheckTimeout})
	if err != nil {
		return evidence{}, err
	}
	all, err := judgeAll(ctx, judge, list, o.jobs, bad)
	if err != nil {
		return evidence{}, err
	}
	ev := newEvidence(set)
	for _, j := range all {
		ev.messages = append(ev.messages, j.Message)
		ev.values = append(ev.values, nil)
		for _, s := range j.symbols {
			if i, ok := ev.index(s.Name); ok {
				// A share is price times strength.
				ev.add(len(ev.messages)-1, i, s.Share/ev.symbols[i].price)
			}
		}
	}
	if !o.rules {
		err = ev.addLearned(ctx, resultsOf(all), o)
	}
	return ev, err
}

func newEvidence(set []rules.Rule) evidence {
	var ev evidence
	for _, r := range set {
		if !r.Term() && r.Points != 0 {
			ev.symbols = append(ev.symbols, fitSymbol{name: r.Symbol, price: r.Points * engine.Point})
		}
	}
	slices.SortFunc(ev.symbols, func(a, b fitSymbol) int { return strings.Compare(a.name, b.name) })
	ev.counts = make([]count, len(ev.symbols))
	return ev
}

// index returns the place of a rule's symbol.
func (ev *evidence) index(name string) (int, bool) {
	return slices.BinarySearchFunc(ev.symbols, name, func(s fitSymbol, name string) int { return strings.Compare(s.name, name) })
}

// add notes that message i has symbol s as strong as value says.
func (ev *evidence) add(i, s int, value float64) {
	ev.values[i] = append(ev.values[i], corpus.Value{Feature: s, Value: value})
	if ev.messages[i].Spam {
		ev.counts[s].spam++
	} else {
		ev.counts[s].ham++
	}
}

// addLearned adds what the classifier says about each message when it has
// learned none of the message's fold.
func (ev *evidence) addLearned(ctx context.Context, byRules []corpus.Result, o fitOptions) error {
	lessons := make([]*bayes.Lesson, len(byRules))
	bar := newBar(len(byRules), "learning")
	for i, l := range inOrder(ctx, len(byRules), o.jobs, func(i int) *bayes.Lesson {
		p := readMessage(byRules[i].Message)
		if p.err != nil {
			return nil // it could be read a moment ago; then it is not learned
		}
		return bayes.Prepare(p.message, byRules[i].Spam, byRules[i].Rank)
	}) {
		bar.Add(1)
		lessons[i] = l
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	var place map[string]int // of the classifier's symbols
	folds, of := foldsOf(ev.messages, o.folds, o.always)
	for fold := range folds {
		trainer := bayes.NewTrainer(nil)
		var inside []int
		for i, l := range lessons {
			switch {
			case of[i] == fold:
				inside = append(inside, i)
			case l != nil:
				trainer.Add(l)
			}
		}
		model, err := trainer.Compile()
		if err != nil {
			return fmt.Errorf("learning without fold %d of %d: %w", fold+1, folds, err)
		}
		if place == nil {
			place = ev.declareLearned(model)
		}
		type answer struct {
			hits []engine.Hit
			err  error
		}
		bar := newBar(len(inside), "judging unseen")
		for k, a := range inOrder(ctx, len(inside), o.jobs, func(k int) answer {
			p := readMessage(ev.messages[inside[k]])
			if p.err != nil {
				return answer{err: p.err}
			}
			hits, err := model.Inspect(ctx, &engine.Mail{Message: p.message})
			return answer{hits, err}
		}) {
			bar.Add(1)
			if a.err != nil {
				return fmt.Errorf("%s: %w", ev.messages[inside[k]].Path, a.err)
			}
			ev.add(inside[k], place[constant], 1)
			for _, h := range a.hits {
				if at, ok := place[h.Symbol]; ok {
					ev.add(inside[k], at, h.Strength)
				}
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// declareLearned adds the classifier's symbols to those that are fitted, and
// the constant, and returns their places.
func (ev *evidence) declareLearned(model *bayes.Model) map[string]int {
	names := []string{constant}
	for _, s := range model.Symbols() {
		names = append(names, s.Name)
	}
	place := map[string]int{}
	for _, name := range names {
		place[name] = len(ev.symbols)
		ev.symbols = append(ev.symbols, fitSymbol{name: name, learned: true})
		ev.counts = append(ev.counts, count{})
	}
	return place
}

// foldsOf says which fold each message is of: its collection; or one of n by
// a checksum of its name, so that a message stays in its fold when others come
// and go. A collection that always is learned from makes ten folds like that.
func foldsOf(messages []corpus.Message, n int, always string) (folds int, of []int) {
	of = make([]int, len(messages))
	part := func(m corpus.Message, n int) int { return int(crc32.ChecksumIEEE([]byte(m.Name)) % uint32(n)) }
	seen := map[string]int{}
	for i, m := range messages {
		name := m.Set()
		switch {
		case n > 0:
			name = fmt.Sprintf("part %d", part(m, n))
		case name == always:
			name = fmt.Sprintf("%s, part %d", name, part(m, 10))
		}
		fold, ok := seen[name]
		if !ok {
			fold = len(seen)
			seen[name] = fold
		}
		of[i] = fold
	}
	return len(seen), of
}
