package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/spf13/cobra"

	"spamcatcher/corpus"
	"spamcatcher/engine"
)

// The bootstrap of evaluate and compare: enough repetitions for two digits
// of an interval's ends, fewer where each takes long, and always the same.
const bootstrapSeed = 1

func repetitions(messages int) int { return min(1000, max(100, 20_000_000/max(1, messages))) }

type evaluateOptions struct {
	mailOptions
	json  bool
	svg   string
	worst int
	rules bool
}

func corpusEvaluate(g *global) *cobra.Command {
	var o evaluateOptions
	c := &cobra.Command{
		Use:   "evaluate [DIR|FILE]...",
		Short: "Print how well scores tell spam from ham",
		Long: `Scores labelled mail and prints, for all of it and for each collection,

  AUC          area under the ROC curve: how often a spam scores above a ham
  1-ROCA %     100·(1 − AUC), as TREC reports it
  caught at    share of spam above the lowest threshold that at most 0.1, 0.5 or
               1 % of the ham is above
  missed, flagged
               spam at or below 50, and ham above it
  ECE          expected calibration error: how far the score is from the share of
               spam, over ten bins of the scale, weighted by messages

with the range in which 95 % of the figures of a bootstrap fall (a fixed seed: the
same mail gives the same range).
` + mailHelp,
		Example: `  spamcatcher corpus evaluate ~/corpora/mine
  spamcatcher corpus evaluate --labels valid.txt --svg roc.svg --worst 20`,
		RunE: func(c *cobra.Command, args []string) error { return evaluate(c, g, o, args) },
	}
	o.flags(c)
	c.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	c.Flags().StringVar(&o.svg, "svg", "", "draw ROC and reliability curves into `FILE`")
	c.Flags().IntVar(&o.worst, "worst", 0, "list the `N` worst false positives and negatives with their symbols")
	c.Flags().BoolVar(&o.rules, "rules-only", false, "score without the Bayesian classifier")
	return c
}

func evaluate(c *cobra.Command, g *global, o evaluateOptions, args []string) error {
	config, err := loadConfig(g, nil)
	if err != nil {
		return err
	}
	judge, err := judgeOf(config, o.rules)
	if err != nil {
		return err
	}
	bad := &complaints{out: c.ErrOrStderr()}
	list, err := o.messages(c, args, bad)
	if err != nil {
		return err
	}
	all, err := judgeAll(c.Context(), judge, list, o.jobs, bad)
	if err != nil {
		return err
	}
	bad.close()
	report := newEvaluation(all, o.worst, judge.Plan().ID(), bad.count)
	if o.svg != "" {
		var picture bytes.Buffer
		title := fmt.Sprintf("%d spam, %d ham, plan %s", report.whole.Spam, report.whole.Ham, report.Plan)
		corpus.Picture(&picture, title, report.whole, report.All.Figures)
		if err := os.WriteFile(o.svg, picture.Bytes(), 0o644); err != nil {
			return fmt.Errorf("drawing: %w", err)
		}
	}
	if o.json {
		out := json.NewEncoder(c.OutOrStdout())
		out.SetIndent("", " ")
		return out.Encode(report)
	}
	return report.print(c.OutOrStdout())
}

// judgeOf is the engine in force, or one with the rules alone.
func judgeOf(c *Config, rulesOnly bool) (*engine.Engine, error) {
	if !rulesOnly {
		return newEngine(c)
	}
	list, err := loadRules(c)
	if err != nil {
		return nil, err
	}
	plan, err := planOf(list, nil)
	if err != nil {
		return nil, err
	}
	return engine.New(plan, engine.Config{Timeout: c.CheckTimeout})
}

// An evaluation is what `corpus evaluate` says.
type evaluation struct {
	Plan      string         `json:"plan"`
	Unread    int            `json:"unread"`
	All       setFigures     `json:"all"`
	Sets      []setFigures   `json:"sets"`
	Bins      []jsonBin      `json:"reliability"`
	WorstHam  []wrongMessage `json:"false_positives,omitempty"`
	WorstSpam []wrongMessage `json:"false_negatives,omitempty"`
	whole     corpus.Evaluation
}

type setFigures struct {
	Set  string `json:"set"`
	Spam int    `json:"spam"`
	Ham  int    `json:"ham"`
	corpus.Figures
}

type jsonBin struct {
	From  int     `json:"from"`
	To    int     `json:"to"`
	N     int     `json:"messages"`
	Score float64 `json:"mean_score"`
	Spam  float64 `json:"spam_percent"`
}

type wrongMessage struct {
	Path    string  `json:"path"`
	Score   float64 `json:"score"`
	LogOdds float64 `json:"log_odds"`
	Symbols string  `json:"symbols"`
}

func newEvaluation(all []judged, worstOf int, plan string, unread int) evaluation {
	results := resultsOf(all)
	r := evaluation{Plan: plan, Unread: unread}
	figures := func(name string, list []corpus.Result) setFigures {
		e, f := corpus.Bootstrap(list, repetitions(len(list)), bootstrapSeed)
		if name == "" {
			r.whole = e
		}
		return setFigures{name, e.Spam, e.Ham, f}
	}
	r.All = figures("", results)
	names, sets := bySet(results)
	for _, name := range names {
		r.Sets = append(r.Sets, figures(name, sets[name]))
	}
	for i, b := range r.whole.Bins {
		bin := jsonBin{From: 10 * i, To: 10*i + 10, N: b.Messages, Score: 100 * b.Score}
		if b.Messages > 0 {
			bin.Spam = 100 * float64(b.Spam) / float64(b.Messages)
		}
		r.Bins = append(r.Bins, bin)
	}
	wrong := func(spam bool) (list []wrongMessage) {
		for _, j := range worst(all, spam, worstOf) {
			list = append(list, wrongMessage{showPath(j.Message), j.Score, j.Rank, topSymbols(j.symbols, 12)})
		}
		return list
	}
	r.WorstHam, r.WorstSpam = wrong(false), wrong(true)
	return r
}

func (r evaluation) print(w io.Writer) error {
	fmt.Fprintf(w, "%d spam, %d ham, plan %s\n\n", r.All.Spam, r.All.Ham, r.Plan)
	line := func(name string, i corpus.Interval, format string, scale float64) {
		if !math.IsNaN(i.Value) {
			fmt.Fprintf(w, "  %-22s "+format+"   ["+format+" to "+format+"]\n", name, scale*i.Value, scale*i.Low, scale*i.High)
		}
	}
	f := r.All.Figures
	line("AUC", f.AUC, "%8.5f", 1)
	line("1-ROCA %", corpus.Interval{Value: 1 - f.AUC.Value, Low: 1 - f.AUC.High, High: 1 - f.AUC.Low}, "%8.3f", 100)
	line("caught at 0.1 % FP, %", f.Recall1, "%8.2f", 100)
	line("caught at 0.5 % FP, %", f.Recall5, "%8.2f", 100)
	line("caught at 1 % FP, %", f.Recall, "%8.2f", 100)
	line("missed at 50, %", f.Missed, "%8.2f", 100)
	line("flagged at 50, %", f.Flagged, "%8.2f", 100)
	line("ECE", f.ECE, "%8.4f", 1)

	fmt.Fprintf(w, "\n  %-18s %6s %6s  %8s  %6s %6s %6s  %6s %7s  %6s\n", "collection", "spam", "ham", "1-ROCA %", "@0.1", "@0.5", "@1", "missed", "flagged", "ECE")
	for _, s := range append(r.Sets, setFigures{"all", r.All.Spam, r.All.Ham, r.All.Figures}) {
		fmt.Fprintf(w, "  %-18s %6d %6d  %8s  %6s %6s %6s  %6s %7s  %6.3f\n", printable(s.Set), s.Spam, s.Ham,
			percent(1-s.AUC.Value, 3, s), percent(s.Recall1.Value, 1, s), percent(s.Recall5.Value, 1, s), percent(s.Recall.Value, 1, s),
			percent(s.Missed.Value, 1, setFigures{}), percent(s.Flagged.Value, 2, setFigures{}), s.ECE.Value)
	}
	fmt.Fprintf(w, "\n  %-10s %9s %12s %9s\n", "score", "messages", "mean score", "spam, %")
	for _, b := range r.Bins {
		if b.N > 0 {
			fmt.Fprintf(w, "  %3d–%-6d %9d %12.1f %9.1f\n", b.From, b.To, b.N, b.Score, b.Spam)
		}
	}
	list := func(title string, wrong []wrongMessage) {
		if len(wrong) > 0 {
			fmt.Fprintf(w, "\n%s\n", title)
		}
		for _, m := range wrong {
			fmt.Fprintf(w, "  %5.1f  %s\n         %s\n", m.Score, m.Path, m.Symbols)
		}
	}
	list("worst false positives", r.WorstHam)
	list("worst false negatives", r.WorstSpam)
	return nil
}

// percent writes a share as per cent; "-" where a collection has not both
// classes and the share needs both.
func percent(x float64, digits int, of setFigures) string {
	if math.IsNaN(x) || (of.Spam == 0) != (of.Ham == 0) {
		return "-"
	}
	return fmt.Sprintf("%.*f", digits, 100*x)
}
