package builtin

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// again says what to do when rules changed after the prices were fitted.
const again = "run the command of fit/README.md again"

// TestPricesFollowTheRules: every fitted price is that of a rule, and began
// from the points that the rule's file gives today. Otherwise whoever changes
// points in a rule file would change nothing.
func TestPricesFollowTheRules(t *testing.T) {
	text, err := files.ReadFile(pricesFile)
	if err != nil {
		t.Fatal(err)
	}
	written, err := AsWritten()
	if err != nil {
		t.Fatal(err)
	}
	points := map[string]float64{}
	for _, r := range written {
		if !r.Term() {
			points[r.Symbol] = r.Points
		}
	}
	was := regexp.MustCompile(`^(\w+) += (\S+) +# was (\S+); `)
	n := 0
	for line := range strings.Lines(string(text)) {
		m := was.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		n++
		before, err := strconv.ParseFloat(m[3], 64)
		now, exists := points[m[1]]
		switch {
		case err != nil:
			t.Errorf("%s: %v", m[1], err)
		case !exists:
			t.Errorf("%s has a price, but there is no such rule; %s", m[1], again)
		case before != now:
			t.Errorf("%s was fitted from %v points, its file says %v; %s", m[1], before, now, again)
		}
	}
	p, err := Prices()
	if err != nil {
		t.Fatal(err)
	}
	if n != len(p.Points) || n == 0 {
		t.Errorf("%d prices, %d of them say what they were", len(p.Points), n)
	}
	now, err := Rules()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range now {
		want, fitted := p.Points[r.Symbol]
		if !fitted {
			want = points[r.Symbol]
		}
		if r.Points != want {
			t.Errorf("%s: %v points in force, want %v", r.Symbol, r.Points, want)
		}
	}
}
