package bench_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"spamcatcher/bench"
	"spamcatcher/bench/evasion"
	"spamcatcher/engine/message"
)

func TestRecords(t *testing.T) {
	file := filepath.Join(t.TempDir(), "records.csv")
	if list, err := bench.ReadRecords(file); err != nil || len(list) != 0 {
		t.Fatalf("no file: %v, %v", list, err)
	}
	figure := func(stage string, allocs int64) bench.Figure {
		return bench.Figure{Stage: stage, Message: "a,b", Allocs: allocs, Bytes: 10 * allocs, Nanos: 1234, Ratio: 0.125}
	}
	want := []bench.Record{
		{Date: "2026-01-02", Commit: "abc", Machine: "linux/amd64 go1.26; 2 x Any, of \"them\"", Figures: []bench.Figure{figure("parse", 1), figure("whole", 20)}},
		// The same day, commit and machine again is a record of its own.
		{Date: "2026-01-02", Commit: "abc", Machine: "linux/amd64 go1.26; 2 x Any, of \"them\"", Figures: []bench.Figure{figure("parse", 2), figure("whole", 19)}},
		{Date: "2026-01-03", Commit: "abd", Machine: "linux/arm64 go1.26; 8 x Other", Figures: []bench.Figure{figure("parse", 3)}},
	}
	for _, r := range want {
		if err := r.Append(file); err != nil {
			t.Fatal(err)
		}
	}
	got, err := bench.ReadRecords(file)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read\n%+v\nwant\n%+v", got, want)
	}
	if last, ok := bench.Last(got, "linux/amd64 go1.26; 64 x Third"); !ok || last.Figures[0].Allocs != 2 {
		t.Errorf("last for amd64: %+v, %t", last, ok)
	}
	if _, ok := bench.Last(got, "linux/amd64 go1.27; 2 x Any"); ok {
		t.Error("allocations of another release of Go were compared")
	}
	for _, damage := range []string{"date,commit\n", strings.Repeat("x,", 8) + "x\n"} {
		bad := filepath.Join(t.TempDir(), "bad.csv")
		if err := os.WriteFile(bad, []byte(damage), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := bench.ReadRecords(bad); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%q: error %v", damage, err)
		}
	}
}

func TestCompare(t *testing.T) {
	was := bench.Record{Figures: []bench.Figure{{Stage: "rules", Message: "m", Allocs: 100, Bytes: 10_000}}}
	for _, c := range []struct {
		stage         string
		allocs, bytes int64
		worse         bool
	}{
		{"rules", 100, 10_000, false},
		{"rules", 104, 10_000, false},
		{"rules", 105, 10_000, true},
		{"rules", 100, 10_812, false},
		{"rules", 100, 10_813, true},
		{"rules", 1, 1, false},
		{"bayes", 1000, 1_000_000, false}, // nothing to compare with
	} {
		got := bench.Compare(was, []bench.Figure{{Stage: c.stage, Message: "m", Allocs: c.allocs, Bytes: c.bytes}})
		if len(got) != 1 || got[0].Worse() != c.worse || strings.Contains(got[0].String(), "WORSE") != c.worse {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestMeasure(t *testing.T) {
	var kept [][]byte
	jobs := []bench.Job{{Stage: "s", Message: "m", Prepare: func() any { return make([]byte, 5000) }, Run: func(given any) error {
		if len(given.([]byte)) != 5000 {
			t.Error("a job did not get what was prepared for it")
		}
		kept = append(kept[:0], make([]byte, 3000), make([]byte, 100))
		return nil
	}}}
	figures, err := bench.Measure(jobs, 1)
	if err != nil {
		t.Fatal(err)
	}
	if f := figures[0]; f.Stage != "s" || f.Message != "m" || f.Allocs != 2 || f.Bytes < 3100 || f.Bytes > 3300 || f.Nanos <= 0 || f.Ratio <= 0 {
		t.Errorf("%+v; two allocations of 3,100 bytes were made", f)
	}
	wrong := errors.New("wrong answer")
	jobs[0].Run = func(any) error { return wrong }
	if _, err := bench.Measure(jobs, 1); !errors.Is(err, wrong) {
		t.Errorf("a wrong answer gave %v", err)
	}
}

// TestRewriteIsRepeatable: the same message comes out of a trick every time,
// and another one of each trick.
func TestRewriteIsRepeatable(t *testing.T) {
	var good evasion.Good
	good.Learn(message.Parse(bench.Messages()[0].Raw, message.Limits{}))
	good.Learn(message.Parse([]byte("Subject: minutes of the meeting\r\n\r\nThe second drawing of the boathouse is the right one, and the beam has to be longer.\r\n"), message.Limits{}))
	scam := bench.Messages()[1]
	seen := map[string]string{}
	for _, trick := range evasion.Tricks() {
		one, err := trick.Rewrite(scam.Raw, scam.Name, &good)
		if err != nil {
			t.Fatal(err)
		}
		two, _ := trick.Rewrite(scam.Raw, scam.Name, &good)
		if !bytes.Equal(one, two) {
			t.Errorf("%s: two results of one message", trick.Name)
		}
		if other, ok := seen[string(one)]; ok {
			t.Errorf("%s and %s come out the same", trick.Name, other)
		}
		seen[string(one)] = trick.Name
	}
	if _, err := evasion.Tricks()[0].Rewrite([]byte("Subject: x\r\nContent-Type: image/png\r\n\r\nabc"), "x", &good); err == nil {
		t.Error("a message without text was rewritten")
	}
	if _, err := evasion.Tricks()[0].Rewrite(scam.Raw, scam.Name, &evasion.Good{}); err == nil {
		t.Error("a message was rewritten without good mail")
	}
}
