package bench_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"spamcatcher/bench"
	"spamcatcher/engine"
	"spamcatcher/engine/message"
)

// stages are the jobs: every stage of the per-message path on every message
// of the fixed set.
func stages(t *testing.T) (jobs []bench.Job) {
	set, model := ruleset(t), embedded(t)
	e, malware := wire(t, set, model), malwareCheck(t)
	ctx := t.Context()
	for _, m := range bench.Messages() {
		parsed := func() any {
			p := message.Parse(m.Raw, message.Limits{})
			return &engine.Mail{Message: p}
		}
		viewed := func() any {
			mail := parsed().(*engine.Mail)
			views(mail.Message)
			return mail
		}
		add := func(stage string, prepare func() any, run func(any) error) {
			jobs = append(jobs, bench.Job{Stage: stage, Message: m.Name, Prepare: prepare, Run: run})
		}
		add("parse", nil, func(any) error { _, err := m.Parse(); return err })
		want := views(parsed().(*engine.Mail).Message)
		add("views", parsed, func(given any) error {
			p := given.(*engine.Mail).Message
			if got := views(p); got != want {
				return fmt.Errorf("views of %d characters, want %d", got, want)
			}
			if got := len(p.Links()); got != m.Links {
				return fmt.Errorf("%d links, want %d", got, m.Links)
			}
			return nil
		})
		inspect := func(stage string, check engine.Check) []engine.Hit {
			want, err := check.Inspect(ctx, viewed().(*engine.Mail))
			if err != nil {
				t.Fatal(err)
			}
			add(stage, viewed, func(given any) error {
				got, err := check.Inspect(ctx, given.(*engine.Mail))
				if err != nil {
					return err
				}
				if len(got) != len(want) {
					return fmt.Errorf("%d hits, then %d", len(want), len(got))
				}
				for i := range got {
					if got[i] != want[i] {
						return fmt.Errorf("hit %v, then %v", want[i], got[i])
					}
				}
				return nil
			})
			return want
		}
		hits := inspect("rules", set)
		hits = append(hits, inspect("bayes", model)...)
		hits = append(hits, inspect("signatures", malware)...)
		combined := len(set.Combine(viewed().(*engine.Mail), hits))
		add("combine", viewed, func(given any) error {
			if got := len(set.Combine(given.(*engine.Mail), hits)); got != combined {
				return fmt.Errorf("%d hits, then %d", combined, got)
			}
			return nil
		})
		add("whole", nil, func(any) error {
			return m.Check(e.Judge(ctx, &engine.Mail{Message: message.Parse(m.Raw, message.Limits{})}))
		})
	}
	return append(jobs, digestJobs()...)
}

// TestStages measures the stages beside the last record. SPAMCATCHER_BENCH
// says what for: "compare" prints, "record" also appends a record, "check"
// takes little time and fails if more is taken from the heap than the last
// record says. Wrong answers always fail, times never.
func TestStages(t *testing.T) {
	mode := os.Getenv("SPAMCATCHER_BENCH")
	rounds := map[string]int{"": 0, "check": 1, "compare": 21, "record": 41}
	n, ok := rounds[mode]
	if !ok {
		t.Fatalf("SPAMCATCHER_BENCH=%q: compare, record and check are known", mode)
	}
	if mode == "" {
		t.Skip("SKIPPED: the stages are measured by make bench, make bench-record and make bench-check (SPAMCATCHER_BENCH)")
	}
	file := filepath.Join("records", "stages.csv")
	list, err := bench.ReadRecords(file)
	if err != nil {
		t.Fatal(err)
	}
	jobs := stages(t)
	figures, err := bench.Measure(jobs, n)
	if err != nil {
		t.Fatal(err)
	}
	machine := bench.Machine()
	last, ok := bench.Last(list, machine)
	if ok {
		t.Logf("beside the record of %s, commit %s, on %s; this is %s", last.Date, last.Commit, last.Machine, machine)
	} else {
		t.Logf("NOTHING TO COMPARE WITH: no record was made on a machine like %s (make bench-record makes one)", machine)
	}
	var worse error
	for i, c := range bench.Compare(last, figures) {
		// An automaton may just have learned new states, which it does once:
		// what is worse must be worse again.
		for again := 0; mode == "check" && c.Worse() && again < 3; again++ {
			t.Logf("%v: measured again", c)
			figures, err := bench.Measure(jobs[i:i+1], n)
			if err != nil {
				t.Fatal(err)
			}
			c = bench.Compare(last, figures)[0]
		}
		t.Log(c)
		if c.Worse() {
			worse = errors.Join(worse, errors.New(c.String()))
		}
	}
	switch mode {
	case "check":
		if worse != nil {
			t.Errorf("more is taken from the heap than in the last record; if that is worth it, make bench-record:\n%v", worse)
		}
	case "record":
		commit := os.Getenv("SPAMCATCHER_COMMIT")
		if commit == "" {
			commit = "unknown"
		}
		r := bench.Record{Date: time.Now().UTC().Format(time.DateOnly), Commit: commit, Machine: machine, Figures: figures}
		if err := r.Append(file); err != nil {
			t.Fatal(err)
		}
	}
}
