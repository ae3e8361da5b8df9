package match

import (
	"strings"
	"testing"
)

// BenchmarkFinder is the speed of the pass that finds literals, on text in which
// many words begin like literals.
func BenchmarkFinder(b *testing.B) {
	words := strings.Fields("viagra lottery inheritance beneficiary password account suspended verify invoice remittance bitcoin wallet transfer million dollars unsubscribe")
	s := set(b, words...)
	text := strings.Repeat("The accountant verified that the passenger invested in a walled garden, and unsuspecting beneficent bittern migrated. ", 500)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		s.Scan(text, func(id, _, _ int) {
			if words[id] != "account" { // the only word of the list in the text
				b.Fatalf("%s found", words[id])
			}
		})
	}
}
