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

// TestSeparation scores the validation list with the rules alone and prints
// how well they tell spam from ham, per set. It fails when they get markedly
// worse than they were.
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
	e := newEngine(t)
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
	if !(all.AUC >= 0.98) {
		t.Errorf("AUC %.4f is below 0.98", all.AUC)
	}
	if caught := 1 - float64(all.Missed)/float64(all.Spam); caught < 0.7 {
		t.Errorf("only %.1f %% of the spam scores above 50", 100*caught)
	}
	if flagged := float64(all.Flagged) / float64(all.Ham); flagged > 0.005 {
		t.Errorf("%.2f %% of the good mail scores above 50", 100*flagged)
	}
}
