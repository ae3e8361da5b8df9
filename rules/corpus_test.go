package rules_test

import (
	"testing"

	"spamcatcher/rules"
)

// TestDifferenceOnCorpus proves on real mail that literals, windows and sets
// change nothing: what the embedded rules find together is what each of their
// patterns finds alone.
func TestDifferenceOnCorpus(t *testing.T) {
	n := 250
	if testing.Short() {
		n = 25
	}
	rs := builtinSet(t)
	plain := rules.NewPlain(rs)
	hits, tried := 0, 0
	for i, m := range corpus(t, n) {
		diff, h, n := plain.Differences(rs, m.Message, 16<<10)
		hits, tried = hits+h, tried+n
		for _, d := range diff {
			t.Errorf("message %d: %s", i, d)
		}
	}
	t.Logf("%d hits in %d trials", hits, tried)
	if hits < 100 {
		t.Errorf("%d hits prove little", hits)
	}
}
