//go:build cgo

package yara

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestHostileNames: a file name over which a regular expression goes beyond the
// library's bounds neither ends the process nor hides what other rules find, and of
// a long name the end counts.
func TestHostileNames(t *testing.T) {
	r, problems, err := Compile([]Source{{File: "a.yar", Text: `
rule Gap { condition: filename matches /[ \t_]{12,}\.(exe|scr)$/i }
rule Greedy { condition: filename matches /([a-z]+[ ._-]*)*x(y|z)+$/i }
rule Text { strings: $a = "certainly bad" condition: $a }
rule End { condition: filename endswith ".exe" and kind == "member" }
`}})
	if err != nil || len(problems) > 0 {
		t.Fatal(problems, err)
	}
	defer r.Close()
	for name, want := range map[string]string{
		strings.Repeat("_", 4000):                       "Text",
		strings.Repeat("_", 4000) + ".exe":              "End Gap Text",
		"\xff" + strings.Repeat("a ._-", 2000):          "Text",
		strings.Repeat("a", 5000) + "xy":                "Greedy Text",
		"a" + strings.Repeat("_", 300) + ".exe":         "End Gap Text",
		strings.Repeat("ab.", 400) + "____________.scr": "Gap Text",
	} {
		found, err := r.Scan(t.Context(), []byte("this is certainly bad"), Facts{Name: name, Kind: "member"}, 5*time.Second)
		if err != nil {
			t.Errorf("%.20s: %v", name, err)
		}
		var rules []string
		for _, m := range found {
			rules = append(rules, m.Rule)
		}
		slices.Sort(rules)
		if got := strings.Join(rules, " "); got != want {
			t.Errorf("%.20s… of %d bytes: %q, want %q", name, len(name), got, want)
		}
	}
}
