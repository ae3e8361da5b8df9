package match

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// TestFirstUse proves that many goroutines may be the first to try a pattern.
func TestFirstUse(t *testing.T) {
	var patterns []string
	for i := range 20 {
		patterns = append(patterns, fmt.Sprintf(`pay%d.{0,40}now`, i), fmt.Sprintf(`heir%d\s+\w+`, i), fmt.Sprintf(`[a-f]+%d`, i))
	}
	s := set(t, patterns...)
	text := strings.Repeat("pay7 me now, heir13 apparent; abc5 ", 3)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			n := 0
			s.Scan(text, func(int, int, int) { n++ })
			if n != 3 {
				t.Errorf("%d patterns found, want 3", n)
			}
		})
	}
	wg.Wait()
}

// TestRefused: what RE2 alone does not take is refused when the set is
// compiled, not when mail comes.
func TestRefused(t *testing.T) {
	for _, p := range []string{`\p{Letter}{3}gold`, `(?:\pL{200}gold){5}`} {
		if _, err := Compile([]string{p}); err == nil {
			t.Errorf("%q compiles", p)
		}
	}
}

// TestFallback: should RE2 refuse a pattern after all, Go's engine searches.
func TestFallback(t *testing.T) {
	for _, heavy := range []bool{false, true} {
		e := engine{expr: `\p{Letter}gold`, heavy: heavy}
		e.slow = fallback(e.expr)
		for text, want := range map[string]bool{"agold": true, "1gold": false} {
			if _, _, ok := e.find(text); ok != want {
				t.Errorf("heavy %v: %q found is %v", heavy, text, ok)
			}
		}
		if e.err == nil {
			t.Error("RE2 takes the pattern: choose another")
		}
	}
}
