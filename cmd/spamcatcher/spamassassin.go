package main

import (
	"fmt"
	"io"
	"regexp"

	"github.com/spf13/cobra"

	"spamcatcher/bayes"
	"spamcatcher/engine"
	"spamcatcher/rules"
	"spamcatcher/rules/spamassassin"
)

// loadSpamAssassin reads the SpamAssassin rules that c asks for, nil if none.
// Their scores are those for use with Bayes where there is a model.
func loadSpamAssassin(c *Config, model *bayes.Model) (*spamassassin.Set, error) {
	if len(c.SpamAssassin) == 0 {
		return nil, nil
	}
	set, err := spamassassin.Load(spamAssassinConfig(c.SpamAssassin, model))
	if err != nil {
		return nil, usageError{fmt.Errorf("%s: spamassassin_rules: %w", c.origins["spamassassin_rules"], err)}
	}
	return set, nil
}

func spamAssassinConfig(paths []string, model *bayes.Model) spamassassin.Config {
	config := spamassassin.Config{Paths: paths}
	if model != nil {
		config.ScoreSet, config.Bayes, config.BayesBias = 2, model.Prices(), model.Bias()
	}
	return config
}

// yield turns the rules whose symbols the site's rules have too into terms, so
// that the expressions that name them go on, and returns these symbols.
func yield(list []rules.Rule, site []engine.Symbol) ([]rules.Rule, []string) {
	taken := make(map[string]bool, len(site))
	for _, s := range site {
		taken[s.Name] = true
	}
	var clashes []string
	for _, r := range list {
		if taken[r.Symbol] {
			clashes = append(clashes, r.Symbol)
		}
	}
	if len(clashes) == 0 {
		return list, nil
	}
	own := make(map[string]bool, len(clashes))
	for _, c := range clashes {
		own[c] = true
	}
	out := make([]rules.Rule, len(list))
	for i, r := range list {
		if own[r.Symbol] {
			r.Symbol, r.Points = "_"+r.Symbol, 0
		}
		if meta, ok := r.When.(rules.Meta); ok {
			meta.Expr = ruleWord.ReplaceAllStringFunc(meta.Expr, func(name string) string {
				if own[name] {
					return "_" + name
				}
				return name
			})
			r.When = meta
		}
		out[i] = r
	}
	return out, clashes
}

var ruleWord = regexp.MustCompile(`\w+`)

// checkSpamAssassin prints what became of SpamAssassin rules.
func checkSpamAssassin(c *cobra.Command, paths []string, every bool, builtin []rules.Rule) error {
	model, err := bayes.Embedded()
	if err != nil {
		model = nil
	}
	set, err := spamassassin.Load(spamAssassinConfig(paths, model))
	if err != nil {
		return usageError{err}
	}
	out := c.OutOrStdout()
	r := set.Report()
	fmt.Fprintf(out, "%d rules: %d exact, %d approximate, %d refused, %d names without a condition\n",
		r.Count(spamassassin.Exact)+r.Count(spamassassin.Approximate)+r.Count(spamassassin.Refused)+r.Count(spamassassin.Ignored),
		r.Count(spamassassin.Exact), r.Count(spamassassin.Approximate), r.Count(spamassassin.Refused), r.Count(spamassassin.Ignored))
	for _, t := range r.Tallies() {
		what := "rules"
		if t.Lines {
			what = "lines"
		}
		if t.Status != spamassassin.Exact {
			fmt.Fprintf(out, "  %5d %s %-11s %s\n", t.Rules, what, t.Status, t.Reason)
		}
	}
	_, clashes := yield(builtin, set.Symbols())
	for _, symbol := range clashes {
		fmt.Fprintf(out, "%s is also a rule of this program: the site's stands\n", symbol)
	}
	printEntries(out, r, every)
	return nil
}

// printEntries lists what could not be expressed; every lists what has no
// meaning here too.
func printEntries(out io.Writer, r *spamassassin.Report, every bool) {
	for _, e := range r.Entries {
		if e.Status == spamassassin.Exact || e.Status == spamassassin.Ignored && !every {
			continue
		}
		name := e.Rule
		if name == "" {
			name = "line"
		}
		fmt.Fprintf(out, "%s:%d: %s %s: %s\n", e.File, e.Line, name, e.Status, e.Reason)
	}
}
