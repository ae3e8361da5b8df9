package bench_test

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"

	"spamcatcher/corpus"
	"spamcatcher/engine"
	"spamcatcher/engine/message"
)

// sharedDir is where labelled mail stands that is not part of the project;
// the test is skipped where it is absent.
func sharedDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("SPAMCATCHER_SHARED")
	if dir == "" {
		dir = "../../shared"
	}
	if _, err := os.Stat(filepath.Join(dir, "corpus")); err != nil {
		t.Skipf("SKIPPED: there is no labelled mail in %s (SPAMCATCHER_SHARED names the folder)", dir)
	}
	return dir
}

// TestSeparation scores the validation list with the rules alone and with the
// model in the binary, and prints how well they tell spam from ham, per set. It
// fails when they get markedly worse than they were.
func TestSeparation(t *testing.T) {
	dir := filepath.Join(sharedDir(t), "corpus")
	list := os.Getenv("SPAMCATCHER_LABELS")
	if list == "" {
		list = filepath.Join(dir, "dev-valid.txt")
	}
	messages, err := corpus.ReadLabels(list, filepath.Join(dir, "boundary"))
	if err != nil {
		t.Fatal(err)
	}
	if len(messages) < 1000 {
		t.Fatalf("only %d messages in the list", len(messages))
	}
	set := ruleset(t)
	for _, c := range []struct {
		name                 string
		engine               *engine.Engine
		auc, caught, flagged float64
	}{
		{"rules", wire(t, set, nil), 0.98, 0.7, 0.005},
		{"product", wire(t, set, embedded(t)), 0.985, 0.8, 0.02},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := separate(t, messages, c.engine)
			if !(all.AUC >= c.auc) {
				t.Errorf("AUC %.4f is below %.3f", all.AUC, c.auc)
			}
			if caught := 1 - float64(all.Missed)/float64(all.Spam); caught < c.caught {
				t.Errorf("only %.1f %% of the spam scores above 50", 100*caught)
			}
			if flagged := float64(all.Flagged) / float64(all.Ham); flagged > c.flagged {
				t.Errorf("%.2f %% of the good mail scores above 50", 100*flagged)
			}
		})
	}
}

// separate scores the messages and prints how that went, per set.
func separate(t *testing.T, messages []corpus.Message, e *engine.Engine) corpus.Evaluation {
	t.Helper()
	results := make([]corpus.Result, len(messages))
	next := make(chan int)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := range next {
				raw, err := os.ReadFile(messages[i].Path)
				if err != nil {
					t.Error(err)
					continue
				}
				v := e.Judge(t.Context(), &engine.Mail{Message: message.Parse(raw, message.Limits{})})
				if len(v.Faults) > 0 {
					t.Errorf("%s: faults %v", messages[i].Name, v.Faults)
				}
				results[i] = corpus.Result{Message: messages[i], Score: v.Score, Rank: v.LogOdds}
			}
		})
	}
	for i := range messages {
		next <- i
	}
	close(next)
	workers.Wait()

	sets := map[string][]corpus.Result{}
	for _, r := range results {
		sets[r.Set()] = append(sets[r.Set()], r)
	}
	var names []string
	for name := range sets {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		t.Logf("%-18s %v", name, corpus.Evaluate(sets[name]))
	}
	all := corpus.Evaluate(results)
	t.Logf("%-18s %v", "all", all)
	return all
}
