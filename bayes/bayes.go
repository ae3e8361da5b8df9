// Package bayes turns labelled mail into a model of what spam and ham look
// like, and the model into a check.
//
// Two learners look at a message, because they err on different mail:
//
//   - Text: logistic regression over the 4-grams of bytes in the chosen header
//     fields, in the folded visible text and in the raw body, the first few
//     thousand bytes of each. It needs no notion of words, so it reads every
//     language, and learns at the border between the classes.
//   - Words: naive Bayes over words of the text, names of hosts and words of
//     header fields. github.com/jbrukh/bayesian keeps the counts; smoothing
//     and combination are ours.
//
// What each says is a log-odds, weighted so that, added to all other evidence,
// it makes the score a probability: the weights are fitted on the lessons,
// each judged by what was learned from the others. EXPERIMENTS.md records
// which features and learners were tried.
//
// A Trainer holds the lessons (features only, never text), a Store keeps them
// on disk, and compiling them gives a Model, which is immutable and small: one
// byte a weight. The model in the binary is the start; what a site teaches is
// added to it and outweighs it as it grows.
package bayes

import (
	"context"
	"fmt"
	"math"
	"strings"

	"spamcatcher/engine"
)

// The symbols of a Model.
const (
	TextSymbol  = "BAYES_TEXT"
	WordsSymbol = "BAYES_WORDS"
)

// A Model is what was learned, ready to judge by: immutable, safe for any
// number of goroutines.
type Model struct {
	grams    []int8  // weight by bucket
	gramStep float64 // what one unit of a weight is worth
	bias     float64 // of the margin
	words    []int8  // evidence by bucket, in wordStep
	fusion   fusion
	lessons  [2]int // learned, by class
	digest   string
}

// Name is "bayes".
func (*Model) Name() string { return "bayes" }

// Symbols are those of the two learners.
func (*Model) Symbols() []engine.Symbol {
	return []engine.Symbol{
		{Name: TextSymbol, Description: "how header, text and body are written, compared with the mail learned"},
		{Name: WordsSymbol, Description: "words of the message, compared with the mail learned"},
	}
}

// Prices are the log-odds per unit of strength.
func (m *Model) Prices() map[string]float64 {
	return map[string]float64{TextSymbol: m.fusion.text, WordsSymbol: m.fusion.words}
}

// Bias is the log-odds to add to every message's score, so that what the
// model brings leaves the score a probability.
func (m *Model) Bias() float64 { return m.fusion.bias }

// Digest identifies the model.
func (m *Model) Digest() string { return m.digest }

// Lessons returns how many messages of each class the model was made from,
// those of the model that it was built upon not counted.
func (m *Model) Lessons() (spam, ham int) { return m.lessons[1], m.lessons[0] }

// Inspect reports both symbols, each with the log-odds that its learner finds.
func (m *Model) Inspect(_ context.Context, mail *engine.Mail) ([]engine.Hit, error) {
	f := extract(mail.Message)
	defer f.release()
	hits := make([]engine.Hit, 0, 2)
	text, detail := m.judgeText(f)
	if text != 0 {
		hits = append(hits, engine.Hit{Symbol: TextSymbol, Detail: detail, Strength: text})
	}
	words, detail := m.judgeWords(f)
	if words != 0 {
		hits = append(hits, engine.Hit{Symbol: WordsSymbol, Detail: detail, Strength: words})
	}
	return hits, nil
}

// judgeText returns the evidence of the text, and which region brought how
// much of the margin.
func (m *Model) judgeText(f *features) (float64, string) {
	n := len(f.grams[inHeader]) + len(f.grams[inText]) + len(f.grams[inBody])
	if n == 0 {
		return 0, ""
	}
	var sums [2 + maxPieces]float64
	var counts [2 + maxPieces]int
	header, body, text := m.sum(f.grams[inHeader]), m.sum(f.grams[inBody]), int32(0)
	sums[0], counts[0] = float64(header)*m.gramStep, len(f.grams[inHeader])
	sums[1], counts[1] = float64(body)*m.gramStep, len(f.grams[inBody])
	begin := 0
	for i, end := range f.pieces {
		piece := m.sum(f.grams[inText][begin:end])
		sums[2+i], counts[2+i] = float64(piece)*m.gramStep, end-begin
		text += piece
		begin = end
	}
	parts := 2 + len(f.pieces)
	strength := textStrength(margins(sums[:parts], counts[:parts], m.bias))
	scale := m.gramStep / math.Sqrt(float64(n+1))
	detail := fmt.Sprintf("header %+.1f text %+.1f body %+.1f", float64(header)*scale, float64(text)*scale, float64(body)*scale)
	return strength, detail
}

func (m *Model) sum(grams []uint32) (sum int32) {
	for _, g := range grams {
		sum += int32(m.grams[g])
	}
	return sum
}

// judgeWords returns the bounded evidence of the words, and the ones that
// speak most clearly.
func (m *Model) judgeWords(f *features) (float64, string) {
	logOdds, from := combine(len(f.words), func(i int) int8 { return m.words[f.words[i].bucket] })
	return boundWords(logOdds), m.clearest(f.words, from)
}

// shown is how many words the detail of a hit names.
const shown = 5

// clearest names the words that speak most clearly, in the order in which
// they stand in the message.
func (m *Model) clearest(words []word, from int) string {
	var best [shown]int
	n := 0
	size := func(i int) int { e := int(m.words[words[i].bucket]); return max(e, -e) }
	for i := range words {
		if size(i) < from {
			continue
		}
		// Insertion into the short list, the clearest first.
		k := n
		for k > 0 && size(i) > size(best[k-1]) {
			k--
		}
		if k == shown {
			continue
		}
		n = min(n+1, shown)
		copy(best[k+1:n], best[k:n-1])
		best[k] = i
	}
	var detail strings.Builder
	for _, i := range best[:n] {
		if detail.Len() > 0 {
			detail.WriteByte(' ')
		}
		w := words[i]
		sign := byte('+')
		if m.words[w.bucket] < 0 {
			sign = '-'
		}
		detail.WriteByte(sign)
		if w.field != "" {
			detail.WriteString(w.field)
			detail.WriteByte(':')
		}
		detail.WriteString(w.text)
	}
	return detail.String()
}

// No learner alone may carry a message to either side however sure it is: what
// it says approaches the limit and never exceeds it. What speaks for a message
// is bounded more tightly, because good words can be copied.
const (
	textLimit, goodTextLimit   = 6.0, 1.5
	wordsLimit, goodWordsLimit = 4.0, 1.5
)

// worstShare is what the worst part of a message counts beside the whole. It
// is not fitted: lessons hold no spam that hides behind good text, so that a
// fit would find the worst part useless. See EXPERIMENTS.md for its price.
const worstShare = 0.55

// textStrength is the evidence of the text by the margins of the whole and of
// the worst part.
func textStrength(whole, worst float64) float64 {
	return (1-worstShare)*bounded(whole, textLimit, goodTextLimit) + worstShare*bounded(worst, textLimit, goodTextLimit)
}

func boundWords(x float64) float64 { return bounded(x, wordsLimit, goodWordsLimit) }

func bounded(x, limit, goodLimit float64) float64 {
	if x < 0 {
		limit = goodLimit
	}
	return limit * math.Tanh(x/limit)
}
