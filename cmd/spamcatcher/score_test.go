package main

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"spamcatcher/engine"
)

// TestJSON compares what `score --json` prints with encoding/json.
func TestJSON(t *testing.T) {
	type symbol struct {
		Name        string  `json:"name"`
		Share       float64 `json:"share"`
		Detail      string  `json:"detail"`
		Description string  `json:"description"`
	}
	type fault struct {
		Check string `json:"check"`
		Kind  string `json:"kind"`
		Error string `json:"error"`
	}
	texts := []string{"", "plain", "a\"b\\c", "<b>&</b>", "naïve \u2028 \x7f", "tab\tline\n\x01", "broken \xff\xc3", "買う"}
	numbers := []float64{0, 1, -2.5, 1e-7, 3.123456789012345, 1e21, -1e-300, 99.99999999999999, 1e20}
	for i, text := range texts {
		for j, n := range numbers {
			v := engine.Verdict{Score: n, LogOdds: -n, Bias: n / 3, Virus: text, Plan: text}
			want := struct {
				Path    string   `json:"path"`
				Score   float64  `json:"score"`
				Symbols []symbol `json:"symbols"`
				Faults  []fault  `json:"faults"`
				Virus   string   `json:"virus"`
				Elapsed int64    `json:"elapsed_us"`
				LogOdds float64  `json:"log_odds"`
				Bias    float64  `json:"bias"`
				Plan    string   `json:"plan"`
			}{text, n, []symbol{}, []fault{}, text, 1234, -n, n / 3, text}
			for k := range (i + j) % 3 {
				v.Symbols = append(v.Symbols, engine.Scored{Name: "A_B", Share: numbers[k], Detail: texts[(i+k)%len(texts)], Description: text})
				v.Faults = append(v.Faults, engine.Fault{Check: text, Kind: engine.FaultLate, Err: texts[(j+k)%len(texts)]})
			}
			for _, x := range v.Symbols {
				want.Symbols = append(want.Symbols, symbol(x))
			}
			for _, f := range v.Faults {
				want.Faults = append(want.Faults, fault{f.Check, string(f.Kind), f.Err})
			}
			var b strings.Builder
			if err := json.NewEncoder(&b).Encode(want); err != nil {
				t.Fatal(err)
			}
			s := scored{path: text, verdict: v, elapsed: 1234 * time.Microsecond}
			if got := string(s.appendJSON(nil)); got != b.String() {
				t.Errorf("printed %s, encoding/json says %s", got, b.String())
			}
		}
	}
}

// TestAnyNumberOfJobs proves that what is printed does not depend on how many
// messages are judged at one time, nor on those judged before.
func TestAnyNumberOfJobs(t *testing.T) {
	var names []string
	for _, class := range []string{"good", "spam", "held/good", "held/spam"} {
		list, err := filepath.Glob(filepath.Join("..", "..", "rules", "builtin", "testdata", class, "*.eml"))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, list...)
	}
	if len(names) < 100 {
		t.Fatalf("only %d messages", len(names))
	}
	elapsed := regexp.MustCompile(`"elapsed_us":\d+`)
	results := func(names []string, jobs string) []string {
		out, errs, code := cli(t, strings.Join(names, "\n"), "score", "--json", "--state", t.TempDir(), "-j", jobs, "--files-from", "-")
		if code != 0 {
			t.Fatalf("exit code %d: %s", code, errs)
		}
		return strings.Split(strings.TrimSpace(elapsed.ReplaceAllString(out, "")), "\n")
	}
	want := results(names, "1")
	if len(want) != len(names) {
		t.Fatalf("%d results for %d messages", len(want), len(names))
	}
	if got := results(names, "8"); !slices.Equal(got, want) {
		t.Error("-j 8 prints something else than -j 1")
	}
	slices.Reverse(names)
	got := results(names, "2")
	slices.Reverse(got)
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("in another order %s, before %s", got[i], want[i])
		}
	}
}
