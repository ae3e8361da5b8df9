package builtin

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

var points = regexp.MustCompile(`(?m)^        points = (\d+)$`)

// TestRulesSayWhatTheyAre: each has a description, and a price if it is tagged
// suspicious, which is between half a point and 6.
func TestRulesSayWhatTheyAre(t *testing.T) {
	for _, s := range Sources() {
		pieces := regexp.MustCompile(`(?m)^rule `).Split(s.Text, -1)[1:]
		for _, piece := range pieces {
			name, _, _ := strings.Cut(piece, "\n")
			piece, _, _ = strings.Cut(piece, "\nprivate rule ")
			if !strings.Contains(piece, "        description = \"") {
				t.Errorf("%s: %s has no description", s.File, name)
			}
			price := points.FindStringSubmatch(piece)
			if suspicious := strings.Contains(name, ": suspicious"); suspicious != (price != nil) {
				t.Errorf("%s: %s: price %v", s.File, name, price)
			}
			var n int
			if price != nil {
				if fmt.Sscan(price[1], &n); n < 1 || n > 6 {
					t.Errorf("%s: %s costs %d", s.File, name, n)
				}
			}
		}
	}
}

// TestRulesNeedNoModules: building what modules know costs up to a quarter of a
// millisecond for each file that is scanned, whatever is in it.
func TestRulesNeedNoModules(t *testing.T) {
	for _, s := range Sources() {
		if regexp.MustCompile(`(?m)^\s*(import|include)\b`).MatchString(s.Text) {
			t.Errorf("%s imports something", s.File)
		}
	}
}
