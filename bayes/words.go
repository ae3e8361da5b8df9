package bayes

import (
	"encoding/binary"
	"math"

	"github.com/jbrukh/bayesian"
)

// The classes of the library's classifier.
const (
	ham  bayesian.Class = "ham"
	spam bayesian.Class = "spam"
)

// counts says in how many lessons of each class a word stands. The library
// keeps the counts; what they are worth is decided here, since one word that
// it has never seen would outweigh everything else (it gives it a
// probability of 1e-11).
type counts struct {
	classifier *bayesian.Classifier
	lessons    [2]float64 // by class
}

func newCounts() *counts {
	return &counts{classifier: bayesian.NewClassifier(ham, spam)}
}

// observe counts the words of one lesson so many times.
func (c *counts) observe(words []uint32, isSpam bool, times int) {
	which := ham
	if isSpam {
		which = spam
	}
	var key [4]byte
	for _, w := range words {
		binary.LittleEndian.PutUint32(key[:], w)
		c.classifier.Observe(string(key[:]), times, which)
	}
	c.lessons[class(isSpam)] += float64(times)
}

// tally returns the counts by bucket: ham, spam.
func (c *counts) tally() map[uint32][2]float64 {
	all := map[uint32][2]float64{}
	totals := c.classifier.WordCount()
	for k, which := range c.classifier.Classes {
		at := class(which == spam)
		// The library gives the share of all words of the class.
		for key, share := range c.classifier.WordsByClass(which) {
			bucket := binary.LittleEndian.Uint32([]byte(key))
			n := all[bucket]
			n[at] = math.Round(share * float64(totals[k]))
			all[bucket] = n
		}
	}
	return all
}

const (
	// smooth is how many lessons of each class are thought to hold half of
	// every word: what has been seen once proves little.
	smooth = 0.3
	// doubt is how many lessons with a word what is known beforehand about
	// it, or nothing, is worth.
	doubt = 1
	// telling is how many words of a message count: the ones that speak most
	// clearly, for or against.
	telling = 60
)

// evidence is the log-odds of spam that a word brings which stands in n
// lessons of each class, of so many in all; prior is what it brings for
// those who have seen no lesson with it.
func evidence(n, lessons [2]float64, prior float64) float64 {
	seen := n[0] + n[1]
	own := math.Log((n[1] + smooth) / (lessons[1] + 2*smooth) * (lessons[0] + 2*smooth) / (n[0] + smooth))
	return (seen*own + doubt*prior) / (seen + doubt)
}

// Evidence is kept as a small whole number of steps, so that it takes a byte
// a word, and its sum does not depend on the order of the words.
const (
	wordStep   = 0.1 // log-odds
	mostSteps  = 127
	leastSteps = 3 // what speaks less clearly is left out
)

func steps(evidence float64) int8 {
	return int8(math.Round(min(mostSteps, max(-mostSteps, evidence/wordStep))))
}

// combine adds up what the most telling words bring, in steps, and divides by
// the square root of how many they are: words that stand together say the
// same thing more than once. It also returns the number of steps from which
// on a word counted.
func combine(n int, evidence func(i int) int8) (logOdds float64, from int) {
	var words, sum [mostSteps + 1]int32 // by how many steps, either way
	for i := range n {
		e := int32(evidence(i))
		size := max(e, -e)
		words[size]++
		sum[size] += e
	}
	count, total := int32(0), int32(0)
	from = mostSteps + 1
	for size := mostSteps; size >= leastSteps && count < telling; size-- {
		if words[size] > 0 {
			count += words[size]
			total += sum[size]
			from = size
		}
	}
	return float64(total) * wordStep / math.Sqrt(float64(count+1)), from
}
