package bench_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"spamcatcher/corpus"
	"spamcatcher/engine"
	"spamcatcher/engine/message"
	"spamcatcher/signatures/unpack"
	"spamcatcher/signatures/unpack/format"
)

// sizeClasses are those that real mail is sorted into, by bytes.
var sizeClasses = []struct {
	name  string
	below int
}{{"< 2 KB", 2 << 10}, {"2-4 KB", 4 << 10}, {"4-8 KB", 8 << 10}, {"8-16 KB", 16 << 10}, {"16-64 KB", 64 << 10}, {"> 64 KB", 1 << 62}}

// TestStagesOnMail prints what each stage costs on real mail, by size: median,
// mean and the 99th percentile of the best of three runs each. SPAMCATCHER_BENCH
// asks for it.
func TestStagesOnMail(t *testing.T) {
	if mode := os.Getenv("SPAMCATCHER_BENCH"); mode != "compare" && mode != "record" {
		t.Skip("SKIPPED: the stages are measured by make bench (SPAMCATCHER_BENCH)")
	}
	dir := filepath.Join(sharedDir(t), "corpus")
	list, err := corpus.ReadLabels(filepath.Join(dir, "dev-valid.txt"), filepath.Join(dir, "boundary"))
	if err != nil {
		t.Fatal(err)
	}
	set, model := ruleset(t), embedded(t)
	e := wire(t, set, model)
	ctx := t.Context()
	malware := malwareCheck(t)
	stages := []string{"parse", "views", "rules", "bayes", "unpack", "signatures", "combine", "whole"}
	costs := make([][][]float64, len(sizeClasses)+1) // class, stage, message; the last class is all
	for i := range costs {
		costs[i] = make([][]float64, len(stages))
	}
	measure := func(raw []byte) [8]float64 {
		var best [8]float64
		for try := range 3 {
			var took [8]float64
			clock := time.Now()
			lap := func(i int) {
				now := time.Now()
				took[i] = float64(now.Sub(clock)) / 1e3
				clock = now
			}
			m := &engine.Mail{Message: message.Parse(raw, message.Limits{})}
			lap(0)
			views(m.Message)
			lap(1)
			hits, err := set.Inspect(ctx, m)
			if err != nil {
				t.Fatal(err)
			}
			lap(2)
			more, err := model.Inspect(ctx, m)
			if err != nil {
				t.Fatal(err)
			}
			lap(3)
			unpack.Walk(ctx, m.Message, format.Limits{}, func(*format.File) error { return nil })
			lap(4)
			found, err := malware.Inspect(ctx, m) // unpacks again
			if err != nil {
				t.Fatal(err)
			}
			lap(5)
			set.Combine(m, slices.Concat(hits, more, found))
			lap(6)
			if v := e.Judge(ctx, &engine.Mail{Message: message.Parse(raw, message.Limits{})}); len(v.Faults) > 0 {
				t.Fatalf("faults %v", v.Faults)
			}
			lap(7)
			for i := range best {
				if try == 0 || took[i] < best[i] {
					best[i] = took[i]
				}
			}
		}
		return best
	}
	for _, m := range list {
		raw, err := os.ReadFile(m.Path)
		if err != nil {
			t.Fatal(err)
		}
		class := slices.IndexFunc(sizeClasses, func(c struct {
			name  string
			below int
		}) bool {
			return len(raw) < c.below
		})
		for i, cost := range measure(raw) {
			costs[class][i] = append(costs[class][i], cost)
			costs[len(sizeClasses)][i] = append(costs[len(sizeClasses)][i], cost)
		}
	}
	for class, byStage := range costs {
		name := "all"
		if class < len(sizeClasses) {
			name = sizeClasses[class].name
		}
		line := fmt.Sprintf("%-9s %5d messages; µs median/mean/p99:", name, len(byStage[0]))
		for i, stage := range stages {
			all := byStage[i]
			if len(all) == 0 {
				continue
			}
			slices.Sort(all)
			sum := 0.0
			for _, c := range all {
				sum += c
			}
			line += fmt.Sprintf("  %s %.0f/%.0f/%.0f", stage, all[len(all)/2], sum/float64(len(all)), all[len(all)*99/100])
		}
		t.Log(line)
	}
}
