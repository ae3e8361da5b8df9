package builtin

import (
	"strings"
	"testing"
)

// TestGoodShapes judges good mail that is put together as spam often is: by
// scripts and devices, without a signature, through forms and forwarders, as
// one picture or one link. None may reach the threshold.
func TestGoodShapes(t *testing.T) {
	for _, j := range judge(t, "shapes", 25) {
		if j.points >= threshold {
			t.Errorf("%s: %.1f points, must be below %d: %s", j.name, j.points, threshold, strings.Join(j.symbols, " "))
		}
		t.Logf("%5.1f %s %s", j.points, j.name, strings.Join(j.symbols, " "))
	}
}
