package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/BurntSushi/toml"
	"github.com/spf13/cobra"

	"spamcatcher/bayes"
	"spamcatcher/corpus"
	"spamcatcher/engine"
	"spamcatcher/rules"
	"spamcatcher/rules/native"
)

type compareOptions struct {
	mailOptions
	rules bool
	list  int
}

func corpusCompare(g *global) *cobra.Command {
	var o compareOptions
	c := &cobra.Command{
		Use:   "compare A B [DIR|FILE]...",
		Short: "Show what another rule set, model or configuration would change",
		Long: `Scores the same labelled mail in two ways and prints the figures of both side by
side, which messages change sides of 50, and which symbols made the difference.
A and B are each one of

  now          what is in force (--config, --state)
  DIR          a state directory: its model instead of the one in force
  FILE.toml    a configuration; or rules ([[rule]]), instead of the built-in ones;
               or prices ([points]), laid over those of the rules
  FILE.conf    a configuration in the classic form
  FILE.json    what "spamcatcher score --json" printed of this mail, today or before
` + mailHelp,
		Example: `  spamcatcher corpus compare now new-prices.toml ~/corpora/mine
  spamcatcher corpus compare before.json now --labels valid.txt`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error { return compareTwo(c, g, o, args[0], args[1], args[2:]) },
	}
	o.flags(c)
	c.Flags().BoolVar(&o.rules, "rules-only", false, "score without the Bayesian classifier")
	c.Flags().IntVar(&o.list, "list", 50, "list at most `N` messages that change sides, and N symbols")
	return c
}

func compareTwo(c *cobra.Command, g *global, o compareOptions, nameA, nameB string, args []string) error {
	bad := &complaints{out: c.ErrOrStderr()}
	list, err := o.messages(c, args, bad)
	if err != nil {
		return err
	}
	var two [2][]judged
	for i, name := range []string{nameA, nameB} {
		if two[i], err = judgedBy(c, g, o, name, list, bad); err != nil {
			return err
		}
	}
	a, b := inBoth(two[0], two[1])
	bad.close()
	if len(a) == 0 {
		return errors.New("there is no message that both have a score of")
	}
	if left := len(two[0]) + len(two[1]) - len(a) - len(b); left > 0 {
		fmt.Fprintf(c.ErrOrStderr(), "spamcatcher: %d scores have no counterpart and are left out\n", left)
	}
	printComparison(c.OutOrStdout(), nameA, nameB, a, b, o.list)
	return nil
}

// judgedBy are the messages as side name of a comparison judges them.
func judgedBy(c *cobra.Command, g *global, o compareOptions, name string, list []corpus.Message, bad *complaints) ([]judged, error) {
	if ext := filepath.Ext(name); ext == ".json" || ext == ".jsonl" {
		return readJudged(name, list)
	}
	judge, err := sideOf(g, name, o.rules)
	if err != nil {
		return nil, err
	}
	return judgeAll(c.Context(), judge, list, o.jobs, bad)
}

// sideOf is the engine that one side of a comparison means.
func sideOf(g *global, name string, rulesOnly bool) (*engine.Engine, error) {
	own := *g
	edit := func(list []rules.Rule) ([]rules.Rule, error) { return list, nil }
	info, err := os.Stat(name)
	switch {
	case name == "now":
	case err != nil:
		return nil, usageError{fmt.Errorf("%w (a side of a comparison is now, or a file or directory)", err)}
	case info.IsDir():
		own.state = name
	case filepath.Ext(name) == ".toml":
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, usageError{err}
		}
		var doc map[string]any
		if _, err := toml.Decode(string(text), &doc); err != nil {
			return nil, usageError{fmt.Errorf("%s: %w", name, err)}
		}
		switch {
		case doc["rule"] != nil:
			edit = func([]rules.Rule) ([]rules.Rule, error) { return readRules([]string{name}) }
		case doc["points"] != nil:
			prices, err := native.ParsePrices(name, text)
			if err != nil {
				return nil, usageError{err}
			}
			edit = func(list []rules.Rule) ([]rules.Rule, error) { return reprice(list, prices.Points), nil }
		default:
			own.config = name
		}
	default:
		own.config = name
	}
	config, err := loadConfig(&own, nil)
	if err != nil {
		return nil, err
	}
	set, err := loadRules(config)
	if err != nil {
		return nil, err
	}
	if set, err = edit(set); err != nil {
		return nil, err
	}
	var model *bayes.Model
	if !rulesOnly {
		if model, err = config.model(); err != nil {
			return nil, err
		}
	}
	plan, err := planOf(set, model)
	if err != nil {
		return nil, err
	}
	return engine.New(plan, engine.Config{Timeout: config.CheckTimeout})
}

// reprice lays points over those of rules.
func reprice(list []rules.Rule, points map[string]float64) []rules.Rule {
	list = slices.Clone(list)
	for i := range list {
		if p, ok := points[list[i].Symbol]; ok {
			list[i].Points = p
		}
	}
	return list
}

// A savedVerdict is what a comparison needs of a line of `score --json`.
type savedVerdict struct {
	Path    string
	Score   float64
	LogOdds float64 `json:"log_odds"`
	Symbols []struct {
		Name  string
		Share float64
	}
}

// readJudged reads lines of `score --json` for the messages of list: by path
// as it stands, else by the name within the corpus.
func readJudged(file string, list []corpus.Message) ([]judged, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, usageError{err}
	}
	defer f.Close()
	byPath := map[string]savedVerdict{}
	in := json.NewDecoder(bufio.NewReader(f))
	for n := 1; ; n++ {
		var v savedVerdict
		if err := in.Decode(&v); err == io.EOF {
			break
		} else if err != nil {
			return nil, usageError{fmt.Errorf("%s: object %d: %w", file, n, err)}
		}
		byPath[filepath.Clean(v.Path)] = v
	}
	var all []judged
	for _, m := range list {
		for _, name := range []string{m.Path, m.Name} {
			v, ok := byPath[filepath.Clean(name)]
			if !ok {
				continue
			}
			j := judged{Result: corpus.Result{Message: m, Score: v.Score, Rank: v.LogOdds}}
			for _, s := range v.Symbols {
				j.symbols = append(j.symbols, engine.Scored{Name: s.Name, Share: s.Share})
			}
			all = append(all, j)
			break
		}
	}
	return all, nil
}

// inBoth are the messages that stand in both lists, in the same order.
func inBoth(a, b []judged) (inA, inB []judged) {
	index := map[string]int{}
	for i, j := range b {
		index[j.Path+"\n"+j.Name] = i
	}
	for _, j := range a {
		if i, ok := index[j.Path+"\n"+j.Name]; ok {
			inA, inB = append(inA, j), append(inB, b[i])
		}
	}
	return inA, inB
}

func printComparison(w io.Writer, nameA, nameB string, a, b []judged, most int) {
	ra, rb := resultsOf(a), resultsOf(b)
	n := repetitions(len(a))
	ea, fa := corpus.Bootstrap(ra, n, bootstrapSeed)
	_, fb := corpus.Bootstrap(rb, n, bootstrapSeed)
	fmt.Fprintf(w, "%d spam, %d ham\n  A  %s\n  B  %s\n\n", ea.Spam, ea.Ham, printable(nameA), printable(nameB))
	fmt.Fprintf(w, "  %-22s %9s %9s\n", "", "A", "B")
	for _, row := range []struct {
		name string
		a, b float64
		form string
	}{
		{"AUC", fa.AUC.Value, fb.AUC.Value, "%9.5f"},
		{"1-ROCA %", 100 * (1 - fa.AUC.Value), 100 * (1 - fb.AUC.Value), "%9.3f"},
		{"caught at 0.1 % FP, %", 100 * fa.Recall1.Value, 100 * fb.Recall1.Value, "%9.2f"},
		{"caught at 0.5 % FP, %", 100 * fa.Recall5.Value, 100 * fb.Recall5.Value, "%9.2f"},
		{"caught at 1 % FP, %", 100 * fa.Recall.Value, 100 * fb.Recall.Value, "%9.2f"},
		{"missed at 50, %", 100 * fa.Missed.Value, 100 * fb.Missed.Value, "%9.2f"},
		{"flagged at 50, %", 100 * fa.Flagged.Value, 100 * fb.Flagged.Value, "%9.2f"},
		{"ECE", fa.ECE.Value, fb.ECE.Value, "%9.4f"},
	} {
		if !math.IsNaN(row.a) {
			fmt.Fprintf(w, "  %-22s "+row.form+" "+row.form+"\n", row.name, row.a, row.b)
		}
	}
	c := corpus.Compare(ra, rb, n, bootstrapSeed)
	if ea.Spam > 0 && ea.Ham > 0 {
		fmt.Fprintf(w, "\n  AUC of B less that of A: %+.5f [%+.5f to %+.5f], p = %.3f (paired bootstrap)\n", c.AUC.Value, c.AUC.Low, c.AUC.High, c.P)
	}
	fmt.Fprintf(w, "  wrong at 50 in A alone: %d, in B alone: %d, p = %.3g (McNemar, exact)\n", c.OnlyA, c.OnlyB, c.McNemar)

	var changed []int
	for i := range a {
		if (a[i].Score > 50) != (b[i].Score > 50) {
			changed = append(changed, i)
		}
	}
	slices.SortStableFunc(changed, func(i, j int) int {
		return cmp.Compare(math.Abs(b[j].Rank-a[j].Rank), math.Abs(b[i].Rank-a[i].Rank))
	})
	fmt.Fprintf(w, "\n%d messages change sides\n", len(changed))
	for _, i := range changed[:min(most, len(changed))] {
		class := "ham "
		if a[i].Spam {
			class = "spam"
		}
		word := "worse "
		if a[i].Spam == (b[i].Score > 50) {
			word = "better"
		}
		fmt.Fprintf(w, "  %s %s %5.1f -> %5.1f  %s\n         %s\n", word, class, a[i].Score, b[i].Score, showPath(a[i].Message), topSymbols(shareChanges(a[i], b[i]), 8))
	}
	printSymbolChanges(w, a, b, most)
}

// shareChanges are the symbols of two verdicts on one message whose shares
// differ, with the difference.
func shareChanges(a, b judged) []engine.Scored {
	change := map[string]float64{}
	for _, s := range a.symbols {
		change[s.Name] -= s.Share
	}
	for _, s := range b.symbols {
		change[s.Name] += s.Share
	}
	var list []engine.Scored
	for _, name := range slices.Sorted(maps.Keys(change)) {
		if math.Abs(change[name]) > 1e-9 {
			list = append(list, engine.Scored{Name: name, Share: change[name]})
		}
	}
	return list
}

func printSymbolChanges(w io.Writer, a, b []judged, most int) {
	type sum struct {
		spam, ham int
		share     float64 // of log-odds, over all messages towards what they are
	}
	sums := map[string]*sum{}
	for i := range a {
		for _, s := range shareChanges(a[i], b[i]) {
			x := sums[s.Name]
			if x == nil {
				x = &sum{}
				sums[s.Name] = x
			}
			if a[i].Spam {
				x.spam++
				x.share += s.Share
			} else {
				x.ham++
				x.share -= s.Share
			}
		}
	}
	names := slices.Sorted(maps.Keys(sums))
	slices.SortStableFunc(names, func(x, y string) int { return cmp.Compare(math.Abs(sums[y].share), math.Abs(sums[x].share)) })
	if len(names) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%d symbols have another share\n  %-34s %6s %6s  %s\n", len(names), "", "spam", "ham", "log-odds towards the truth, all messages")
	for _, name := range names[:min(most, len(names))] {
		fmt.Fprintf(w, "  %-34s %6d %6d  %+9.1f\n", name, sums[name].spam, sums[name].ham, sums[name].share)
	}
}
