package match

import (
	"math/rand"
	"slices"
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

// TestFinder compares what is found with a search at each offset.
func TestFinder(t *testing.T) {
	rng := rand.New(rand.NewSource(3))
	alphabet := []rune("abkKsS\u017f\u212aäÄжЖ$ \n1")
	word := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteRune(alphabet[rng.Intn(len(alphabet))])
		}
		return b.String()
	}
	found := 0
	for range 300 {
		known := map[string]bool{}
		var literals []string
		for range 1 + rng.Intn(40) {
			lit := strings.Map(fold, word(1+rng.Intn(7)))
			if !known[lit] {
				known[lit] = true
				literals = append(literals, lit)
			}
		}
		f := newFinder(literals, make([]byte, len(literals)))
		text := word(rng.Intn(200))
		if rng.Intn(2) == 0 {
			text = text[:len(text)/2] + "\xc3\xd0" + text[len(text)/2:]
		}
		sc := newScratch(len(literals), 1)
		sc.reset()
		f.scan(text, sc)
		for id, lit := range literals {
			var want []place
			for at := range text {
				for end := at + 1; end <= len(text) && end <= at+4*len(lit); end++ {
					if same(text[at:end], lit) {
						want = append(want, place{at, end})
					}
				}
			}
			var got []place
			count := 0
			if at := sc.at(int32(id)); at != nil {
				count = int(at.count)
				for i := at.first; len(got) < min(count, keep); i = sc.log[i].next {
					got = append(got, place{int(sc.log[i].from), int(sc.log[i].to)})
				}
			}
			if count != min(len(want), keep+1) || !slices.Equal(got, want[:min(len(want), keep)]) {
				t.Fatalf("%q in %q: %d times, at %v, want %v", lit, text, count, got, want)
			}
			found += count
		}
	}
	if found < 1000 {
		t.Errorf("%d found prove little", found)
	}
}
