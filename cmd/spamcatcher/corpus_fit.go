package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"spamcatcher/corpus"
)

type fitOptions struct {
	mailOptions
	bounds  string
	out     string
	ridges  []float64
	share   float64
	without float64
	rules   bool
	folds   int
	always  string
}

func corpusFit(g *global) *cobra.Command {
	var o fitOptions
	c := &cobra.Command{
		Use:   "fit [DIR|FILE]...",
		Short: "Fit the prices of rules and of the classifier to labelled mail",
		Long: `Fits the price of every rule, and of what the Bayesian classifier says, to labelled
mail and writes them as a file of prices. The fit is a logistic regression: it looks
for the prices that make what the mail really is most probable, with a pull towards
the points that the rule files give by judgement, within bounds.

  - Both classes count the same; a collection counts by the square root of its
    size, and none for more than --share of its class.
  - The classifier judges each collection by what it learned from the others alone.
  - A part of the mail (--without-bayes) is fitted as if the classifier had nothing to
    say, so that rules keep prices on which a score can rest without it.
  - A price that few collections speak for is pulled harder: what one source alone has
    may be an accident of that source.
  - A rule keeps the sign that judgement gave it; no price is above 4.4 points or below
    -1.5, and --bounds narrows that.
  - How strong the pull is, is found by leaving out one collection after the other and
    judging it by prices fitted to the rest. The table of that is printed.

The same mail gives the same prices, byte for byte.
` + mailHelp,
		Example: `  spamcatcher corpus fit --bounds bounds.toml --out prices.toml ~/corpora/mine`,
		RunE:    func(c *cobra.Command, args []string) error { return fitPrices(c, g, o, args) },
	}
	o.flags(c)
	c.Flags().StringVar(&o.bounds, "bounds", "", "`FILE` with limits of prices ([[bound]] tables: symbols, min, max, why)")
	c.Flags().StringVar(&o.out, "out", "", "write the prices to `FILE` (default standard output)")
	c.Flags().Float64SliceVar(&o.ridges, "ridge", []float64{0.3, 0.1, 0.03, 0.01, 0.003, 0.001}, "strengths of the pull to try; a single one is taken untried")
	c.Flags().Float64Var(&o.share, "share", 0.35, "the most that one collection may count within its class")
	c.Flags().Float64Var(&o.without, "without-bayes", 0.25, "share of the weight that is fitted without the classifier")
	c.Flags().IntVar(&o.folds, "folds", 0, "the classifier judges each of `N` parts of the mail by the others; 0: each collection")
	c.Flags().StringVar(&o.always, "always", "", "the classifier always learns from the `COLLECTION`, and judges it in tenths by the rest")
	c.Flags().BoolVar(&o.rules, "rules-only", false, "fit the rules without the classifier")
	return c
}

func (o *fitOptions) check() error {
	for _, r := range o.ridges {
		if !(r > 0) || math.IsInf(r, 0) {
			return usageError{fmt.Errorf("--ridge %v: must be above 0", r)}
		}
	}
	switch {
	case o.folds == 1 || o.folds < 0 || o.folds > 1000:
		return usageError{fmt.Errorf("--folds %d: must be 0, or 2 to 1000", o.folds)}
	case len(o.ridges) == 0:
		return usageError{errors.New("--ridge: no strength given")}
	case !(o.share > 0 && o.share <= 1):
		return usageError{fmt.Errorf("--share %v: must be above 0 and at most 1", o.share)}
	case !(o.without >= 0 && o.without < 1):
		return usageError{fmt.Errorf("--without-bayes %v: must be at least 0 and below 1", o.without)}
	}
	return nil
}

func fitPrices(c *cobra.Command, g *global, o fitOptions, args []string) error {
	if err := o.check(); err != nil {
		return err
	}
	limits, err := loadBounds(o.bounds)
	if err != nil {
		return err
	}
	config, err := loadConfig(g, nil)
	if err != nil {
		return err
	}
	bad := &complaints{out: c.ErrOrStderr()}
	list, err := o.messages(c, args, bad)
	if err != nil {
		return err
	}
	ev, err := gather(c.Context(), config, list, o, bad)
	if err != nil {
		return err
	}
	bad.close()
	f, err := newFitting(ev, limits, o)
	if err != nil {
		return err
	}
	out := c.ErrOrStderr()
	f.printSets(out)
	ridge := o.ridges[0]
	if len(o.ridges) > 1 {
		if ridge, err = f.choose(c.Context(), out, o.ridges); err != nil {
			return err
		}
	}
	fit, err := f.problem(ridge, nil).Solve()
	if err != nil {
		return err
	}
	f.round(&fit)
	f.printResult(out, ridge, fit)
	var text bytes.Buffer
	f.write(&text, ridge, fit)
	if o.out == "" {
		_, err = c.OutOrStdout().Write(text.Bytes())
		return err
	}
	return os.WriteFile(o.out, text.Bytes(), 0o644)
}

// asWritten stands for a pull that nothing moves: the rules keep the points of
// their files, and only the classifier's share is fitted.
const asWritten = math.MaxFloat64

// alike is the difference in surprise, as a share, that left-out mail of a few
// thousand messages cannot tell from none.
const alike = 0.002

// choose prints how well prices of each strength of the pull judge collections
// that they were not fitted to. It returns the weakest of those that do so as
// well as the best: where they are alike, the mail shall speak.
func (f *fitting) choose(ctx context.Context, w io.Writer, ridges []float64) (float64, error) {
	fmt.Fprintf(w, "\nEach collection judged by prices fitted to the others:\n  %-10s %9s  %8s  %6s %6s %6s  %6s %7s  %6s\n", "ridge", "surprise", "1-ROCA %", "@0.1", "@0.5", "@1", "missed", "flagged", "ECE")
	strongest := slices.Sorted(slices.Values(ridges))
	slices.Reverse(strongest)
	losses := map[float64]float64{}
	fits := map[float64]map[string]corpus.Fit{}
	least := math.Inf(1)
	for _, ridge := range append([]float64{asWritten}, strongest...) {
		fits[ridge] = map[string]corpus.Fit{}
		for _, left := range f.sets {
			if ctx.Err() != nil {
				return 0, ctx.Err()
			}
			fit, err := f.problem(ridge, func(set string) bool { return set == left }).Solve()
			if err != nil {
				return 0, err
			}
			fits[ridge][left] = fit
		}
		name := strconv.FormatFloat(ridge, 'g', -1, 64)
		if ridge == asWritten {
			name = "as written"
		}
		losses[ridge] = f.printRow(w, name, func(set string) corpus.Fit { return fits[ridge][set] })
		if ridge != asWritten {
			least = min(least, losses[ridge])
		}
	}
	chosen := strongest[0]
	for _, ridge := range strongest {
		if losses[ridge] <= least*(1+alike) {
			chosen = ridge
		}
	}
	f.printLeftOut(w, chosen, func(set string) corpus.Fit { return fits[chosen][set] })
	return chosen, nil
}
