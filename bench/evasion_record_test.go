package bench_test

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"spamcatcher/bayes"
	"spamcatcher/bench/evasion"
	"spamcatcher/corpus"
	"spamcatcher/engine"
	"spamcatcher/engine/message"
)

// floorSlack is by how many messages of a hundred a trick may do worse than
// in the record: rules and prices move, and two messages of the fifty of our own are no regression.
const floorSlack = 4

// TestEvasion rewrites spam that is caught by every trick, and fails when
// markedly fewer are caught than the record says. SPAMCATCHER_EVASION says
// what else: "compare" also takes the labelled mail outside of the project,
// "explain" names the evidence that each trick takes away, "record" writes the
// record anew.
func TestEvasion(t *testing.T) {
	mode := os.Getenv("SPAMCATCHER_EVASION")
	if !slices.Contains([]string{"", "compare", "explain", "record"}, mode) {
		t.Fatalf("SPAMCATCHER_EVASION=%q: compare, explain and record are known", mode)
	}
	floors := readFloors(t)
	set, model := ruleset(t), embedded(t)
	judges := []judge{{"rules", wire(t, set, nil)}, {"product", wire(t, set, model)}}
	t.Run("own", func(t *testing.T) { floors.hold(t, ownMail(t), judges, mode) })
	t.Run("dev-valid", func(t *testing.T) {
		if mode == "" {
			t.Skip("SKIPPED: make evasion tries the tricks on labelled mail too (SPAMCATCHER_EVASION)")
		}
		c := validationMail(t)
		judges := append(judges, judge{"trained", wire(t, set, taught(t, judges[0].engine, model))})
		floors.hold(t, c, judges, mode)
	})
	if mode == "record" && !t.Failed() {
		floors.write(t)
	}
}

// taught is the model of a site that learned the training list.
func taught(t *testing.T, rulesAlone *engine.Engine, base *bayes.Model) *bayes.Model {
	t.Helper()
	dir := filepath.Join(sharedDir(t), "corpus")
	list, err := corpus.ReadLabels(filepath.Join(dir, "dev-train.txt"), filepath.Join(dir, "boundary"))
	if err != nil {
		t.Fatal(err)
	}
	trainer := bayes.NewTrainer(base)
	for _, m := range list {
		raw, err := os.ReadFile(m.Path)
		if err != nil {
			t.Fatal(err)
		}
		parsed := message.Parse(raw, message.Limits{})
		v := rulesAlone.Judge(t.Context(), &engine.Mail{Message: parsed})
		trainer.Learn(parsed, m.Spam, v.LogOdds)
	}
	model, err := trainer.Compile()
	if err != nil {
		t.Fatal(err)
	}
	return model
}

// A floor is what one trick came to.
type floor struct{ collection, judge, trick string }

type floors map[floor]float64

var floorFile = filepath.Join("records", "evasion.csv")

func readFloors(t *testing.T) floors {
	t.Helper()
	list := floors{}
	f, err := os.Open(floorFile)
	if errors.Is(err, fs.ErrNotExist) {
		return list
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatalf("reading %s: %v", floorFile, err)
	}
	for i, row := range rows {
		if i == 0 {
			continue
		}
		percent, err := strconv.ParseFloat(row[3], 64)
		if err != nil {
			t.Fatalf("%s:%d: %v", floorFile, i+1, err)
		}
		list[floor{row[0], row[1], row[2]}] = percent
	}
	return list
}

// write replaces the file. What was not measured in this run stays.
func (list floors) write(t *testing.T) {
	t.Helper()
	var keys []floor
	for k := range list {
		keys = append(keys, k)
	}
	order := map[string]int{}
	for i, trick := range evasion.Tricks() {
		order[trick.Name] = i + 1
	}
	keys = slices.DeleteFunc(keys, func(k floor) bool { return order[k.trick] == 0 })
	slices.SortFunc(keys, func(a, b floor) int {
		if a.collection != b.collection {
			return -compareText(a.collection, b.collection)
		}
		if a.judge != b.judge {
			return compareText(a.judge, b.judge)
		}
		return order[a.trick] - order[b.trick]
	})
	f, err := os.Create(floorFile)
	if err != nil {
		t.Fatal(err)
	}
	w := csv.NewWriter(f)
	w.Write([]string{"collection", "judge", "trick", "caught_percent"}) // Flush and Error tell
	for _, k := range keys {
		w.Write([]string{k.collection, k.judge, k.trick, strconv.FormatFloat(list[k], 'f', 1, 64)})
	}
	w.Flush()
	if err := errors.Join(w.Error(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// hold prints how many messages each judge still catches and fails where that
// is less than it was; in mode "record" it notes them instead.
func (list floors) hold(t *testing.T, c *collection, judges []judge, mode string) {
	results := evade(t, c, judges)
	header := fmt.Sprintf("%-20s", "still caught, %")
	for _, j := range judges {
		header += fmt.Sprintf(" %8s", j.name)
	}
	if mode != "" {
		header += " | good mail so rewritten and taken for spam, %"
	}
	t.Log(header)
	for _, trick := range evasion.Tricks() {
		line := fmt.Sprintf("%-20s", trick.Name)
		for i, r := range results[trick.Name] {
			key := floor{c.name, judges[i].name, trick.Name}
			line += fmt.Sprintf(" %8.1f", r.percent())
			if mode == "record" {
				list[key] = r.percent()
				continue
			}
			if was, ok := list[key]; !ok {
				t.Errorf("%s, %s, %s: there is no record (make evasion-record makes one)", key.collection, key.judge, key.trick)
			} else if r.percent() < was-floorSlack {
				t.Errorf("%s: %s catches %.1f %%, and %.1f %% in the record: %s", trick.Name, key.judge, r.percent(), was, r.evidence())
			}
		}
		if mode != "" {
			line += " |"
			for _, percent := range wronged(t, c, judges, trick) {
				line += fmt.Sprintf(" %5.0f", percent)
			}
		}
		t.Logf("%s   %s", line, trick.What)
		if mode == "explain" {
			for i, r := range results[trick.Name] {
				t.Logf("      %s: %s; missed %v", judges[i].name, r.evidence(), r.missed)
			}
		}
	}
}
