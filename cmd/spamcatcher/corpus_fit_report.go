package main

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"spamcatcher/corpus"
	"spamcatcher/engine"
)

// printLeftOut says how collections fare that the prices were not fitted to,
// and what other thresholds than 50 would do there.
func (f *fitting) printLeftOut(w io.Writer, ridge float64, of func(set string) corpus.Fit) {
	results, _ := f.judge(of, false)
	fmt.Fprintf(w, "\nLeft out, ridge %g:\n  %-18s %6s %6s  %6s %7s  %6s\n", ridge, "collection", "spam", "ham", "missed", "flagged", "ECE")
	names, sets := bySet(results)
	for _, name := range names {
		e := corpus.Evaluate(sets[name])
		fmt.Fprintf(w, "  %-18s %6d %6d  %6s %7s  %6.3f\n", printable(name), e.Spam, e.Ham, ratio(e.Missed, e.Spam), ratio(e.Flagged, e.Ham), e.Calibration)
	}
	fmt.Fprintf(w, "  %-18s", "threshold")
	thresholds := []float64{30, 40, 50, 60, 70, 80, 90, 95}
	for _, t := range thresholds {
		fmt.Fprintf(w, " %6.0f", t)
	}
	for _, spam := range []bool{true, false} {
		name := "ham above, %"
		if spam {
			name = "spam below, %"
		}
		fmt.Fprintf(w, "\n  %-18s", name)
		for _, t := range thresholds {
			n, wrong := 0, 0
			for _, r := range results {
				if r.Spam == spam {
					n++
					if spam == (r.Score <= t) {
						wrong++
					}
				}
			}
			fmt.Fprintf(w, " %6s", ratio(wrong, n))
		}
	}
	fmt.Fprintln(w)
}

// ratio writes n of all as per cent, "-" of nothing.
func ratio(n, all int) string {
	if all == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", 100*float64(n)/float64(all))
}

// printRow judges every message by the fit for its set.
func (f *fitting) printRow(w io.Writer, name string, of func(set string) corpus.Fit) (surprise float64) {
	results, surprise := f.judge(of, false)
	e := corpus.Evaluate(results)
	fmt.Fprintf(w, "  %-10s %9.4f  %8.3f  %6.1f %6.1f %6.1f  %6.1f %7.2f  %6.3f\n", name, surprise, 100*(1-e.AUC), 100*e.Recall(0.001), 100*e.Recall(0.005), 100*e.Recall(0.01),
		100*float64(e.Missed)/float64(max(1, e.Spam)), 100*float64(e.Flagged)/float64(max(1, e.Ham)), e.Calibration)
	return surprise
}

func (f *fitting) printSets(w io.Writer) {
	fmt.Fprintf(w, "  %-18s %6s %6s  %s\n", "collection", "spam", "ham", "share of its class")
	for _, set := range f.sets {
		var n [2]int
		var share [2]float64
		for i, m := range f.messages {
			if m.Set() == set {
				k := 0
				if m.Spam {
					k = 1
				}
				n[k]++
				share[k] += f.weights[i]
			}
		}
		fmt.Fprintf(w, "  %-18s %6d %6d  %4.1f %% %4.1f %%\n", printable(set), n[1], n[0], 100*share[1], 100*share[0])
	}
}

func (f *fitting) printResult(w io.Writer, ridge float64, fit corpus.Fit) {
	fmt.Fprintf(w, "\nFitted to all, ridge %g, bias %+.2f points, %d sweeps:\n  %-22s %9s  %8s  %6s %6s %6s  %6s %7s  %6s\n", ridge, fit.Bias/engine.Point, fit.Sweeps, "", "surprise", "1-ROCA %", "@0.1", "@0.5", "@1", "missed", "flagged", "ECE")
	row := func(name string, rulesAlone bool) {
		results, surprise := f.judge(func(string) corpus.Fit { return fit }, rulesAlone)
		e := corpus.Evaluate(results)
		fmt.Fprintf(w, "  %-22s %9.4f  %8.3f  %6.1f %6.1f %6.1f  %6.1f %7.2f  %6.3f\n", name, surprise, 100*(1-e.AUC), 100*e.Recall(0.001), 100*e.Recall(0.005), 100*e.Recall(0.01),
			100*float64(e.Missed)/float64(max(1, e.Spam)), 100*float64(e.Flagged)/float64(max(1, e.Ham)), e.Calibration)
	}
	row("the mail fitted to", false)
	if f.learns() {
		row("… by the rules alone", true)
	}
	held := 0
	for i, s := range f.features {
		if !f.symbols[i].learned && f.heldBy(i, fit.Prices[i]) != "" && s.Prior != fit.Prices[i] {
			held++
		}
	}
	fmt.Fprintf(w, "%d of %d prices are held by a bound\n", held, len(f.features))
	for i, s := range f.symbols {
		if s.learned {
			fmt.Fprintf(w, "%-34s %+.3f log-odds a unit\n", s.name, fit.Prices[i])
		}
	}
}

// write writes the prices as a file, sorted by symbol.
func (f *fitting) write(w io.Writer, ridge float64, fit corpus.Fit) {
	spam, ham := 0, 0
	for _, m := range f.messages {
		if m.Spam {
			spam++
		} else {
			ham++
		}
	}
	fmt.Fprintf(w, `# Prices in points, found by "spamcatcher corpus fit"; edit rules and bounds, not
# this file. They lie over the points of the rule files, which are the judgement
# that the fit began from ("was"); what stays as it was is a comment. Fitted to %d spam and %d ham
# of %s; ridge %g.
`, spam, ham, strings.Join(f.sets, ", "), ridge)
	if fit.Bias != engine.DefaultBias {
		fmt.Fprintf(w, "bias = %s\n", points(fit.Bias))
	}
	fmt.Fprintf(w, "\n[points]\n")
	for i, s := range f.features {
		n := f.counts[i]
		if n.spam+n.ham == 0 || f.symbols[i].learned {
			continue // nothing is known of it, or it is the model's own affair
		}
		note := fmt.Sprintf("%d spam, %d ham", n.spam, n.ham)
		if held := f.heldBy(i, fit.Prices[i]); held != "" {
			note += "; at its " + held
		}
		if points(fit.Prices[i]) == points(s.Prior) {
			fmt.Fprintf(w, "# %-32s = %-6s # stays; %s\n", s.Name, points(s.Prior), note)
		} else {
			fmt.Fprintf(w, "%-34s = %-6s # was %s; %s\n", s.Name, points(fit.Prices[i]), points(s.Prior), note)
		}
	}
}

// points writes a price in points.
func points(price float64) string {
	s := strconv.FormatFloat(math.Round(100*price/engine.Point)/100+0, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}
