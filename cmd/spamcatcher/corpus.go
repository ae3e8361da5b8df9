package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"spamcatcher/corpus"
	"spamcatcher/engine"
)

func corpusCommand(g *global) *cobra.Command {
	root := &cobra.Command{
		Use:   "corpus",
		Short: "Measure on labelled mail, compare, and fit prices",
	}
	root.AddCommand(corpusEvaluate(g), corpusCompare(g), corpusFit(g))
	return root
}

// A judged message: what it is, and the verdict on it.
type judged struct {
	corpus.Result
	symbols []engine.Scored
}

// judgeAll judges messages; those that cannot be read are left out.
func judgeAll(ctx context.Context, judge *engine.Engine, list []corpus.Message, jobs int, bad *complaints) ([]judged, error) {
	type answer struct {
		verdict engine.Verdict
		err     error
	}
	bar := newBar(len(list), "judging")
	var all []judged
	for i, a := range inOrder(ctx, len(list), jobs, func(i int) answer {
		p := readMessage(list[i])
		if p.err != nil {
			return answer{err: p.err}
		}
		return answer{verdict: judge.Judge(ctx, &engine.Mail{Message: p.message})}
	}) {
		bar.Add(1)
		switch {
		case a.err != nil:
			bad.add(list[i], a.err)
			continue
		case len(a.verdict.Faults) > 0:
			f := a.verdict.Faults[0]
			return nil, fmt.Errorf("%s: check %s: %s: %s", list[i].Path, f.Check, f.Kind, f.Err)
		}
		all = append(all, judged{corpus.Result{Message: list[i], Score: a.verdict.Score, Rank: a.verdict.LogOdds}, a.verdict.Symbols})
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return all, nil
}

func resultsOf(all []judged) []corpus.Result {
	list := make([]corpus.Result, len(all))
	for i, j := range all {
		list[i] = j.Result
	}
	return list
}

// bySet are the results of each collection, and the names in order.
func bySet(results []corpus.Result) (names []string, sets map[string][]corpus.Result) {
	sets = map[string][]corpus.Result{}
	for _, r := range results {
		if sets[r.Set()] == nil {
			names = append(names, r.Set())
		}
		sets[r.Set()] = append(sets[r.Set()], r)
	}
	slices.Sort(names)
	return names, sets
}

// worst are the messages on the wrong side of 50, the farthest first, at most
// n.
func worst(all []judged, spam bool, n int) []judged {
	var list []judged
	for _, j := range all {
		if j.Spam == spam && spam == (j.Score <= 50) {
			list = append(list, j)
		}
	}
	slices.SortStableFunc(list, func(a, b judged) int {
		if spam {
			a, b = b, a
		}
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(b.Rank, a.Rank))
	})
	return list[:min(n, len(list))]
}

// topSymbols are the symbols of a verdict, the largest share first.
func topSymbols(symbols []engine.Scored, n int) string {
	list := slices.Clone(symbols)
	slices.SortStableFunc(list, func(a, b engine.Scored) int { return cmp.Compare(math.Abs(b.Share), math.Abs(a.Share)) })
	var words []string
	for _, s := range list[:min(n, len(list))] {
		words = append(words, fmt.Sprintf("%s:%+.2f", s.Name, s.Share))
	}
	if len(list) > n {
		words = append(words, fmt.Sprintf("and %d more", len(list)-n))
	}
	return strings.Join(words, " ")
}
