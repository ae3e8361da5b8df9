package bayes

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"spamcatcher/engine/message"
)

// A lesson is one labelled message: its features, no text.
type lesson struct {
	id    [16]byte
	spam  bool
	other float32  // log-odds by all other evidence when it was learned
	parts [][]byte // buckets of the grams as pack makes them: header, body, pieces of the text
	words []byte   // buckets of the words
}

// A Trainer holds lessons. It is not safe for concurrent use.
type Trainer struct {
	base    *Model
	anchors []*lesson
	lessons map[[16]byte]*lesson
	count   [2]int
	changed func(*lesson, bool) error // a Store's: learned or forgotten
	err     error                     // of changed
}

// NewTrainer begins with no lessons. What is compiled is built upon base, and
// taught the anchors in the binary beside the lessons; base may be nil, then
// there are no anchors either.
func NewTrainer(base *Model) *Trainer {
	t := &Trainer{base: base, lessons: map[[16]byte]*lesson{}}
	if base != nil {
		if err := t.Anchor(embeddedAnchors); err != nil {
			panic(err) // a test reads them
		}
	}
	return t
}

// Anchor sets the lessons that are taught beside those of the site: mail of
// kinds that a collection often lacks, such as newsletters, receipts and
// notices in many languages, lest a site that has shown only its spam in HTML
// or in foreign tongues learns that these are spam. data is what Lessons
// returned.
func (t *Trainer) Anchor(data []byte) error {
	list, err := parseLessons(data)
	t.anchors = list
	return err
}

// Lessons returns all lessons in the form that Anchor takes.
func (t *Trainer) Lessons() []byte { return formatLessons(t.sorted()) }

// A Lesson is a message made ready to be learned: the part of the work that
// may be done for many messages at once.
type Lesson struct{ lesson }

// Prepare finds out what there is to learn about a message. other is the
// log-odds of spam by all evidence but the classifier's own, bias included: it
// decides how much weight the classifier gets beside it.
func Prepare(m *message.Message, spam bool, other float64) *Lesson {
	f := extract(m)
	defer f.release()
	return &Lesson{lesson{
		id:    identify(m),
		spam:  spam,
		other: float32(max(-maxOther, min(maxOther, other))),
		parts: packAll(f.parts()),
		words: pack(f.wordBuckets()),
	}}
}

// maxOther bounds what other evidence may say about a lesson.
const maxOther = 50

// identify names a message by what does not change on its way: header fields
// of the sender and the body, without the traces of relays and filters.
func identify(m *message.Message) (id [16]byte) {
	h := sha256.New()
	for _, name := range []string{"Message-ID", "Date", "From"} {
		fmt.Fprintf(h, "%q\n", m.Header().Raw(name))
	}
	h.Write(m.Body())
	copy(id[:], h.Sum(nil))
	return id
}

// Learn takes a message as a lesson. The same message as the same class again
// changes nothing, as the other class it moves. See Prepare for other.
func (t *Trainer) Learn(m *message.Message, spam bool, other float64) (changed bool) {
	return t.Add(Prepare(m, spam, other))
}

// Add learns a prepared lesson.
func (t *Trainer) Add(l *Lesson) (changed bool) {
	if old, ok := t.lessons[l.id]; ok {
		if old.spam == l.spam {
			return false
		}
		t.count[class(old.spam)]--
	}
	t.put(&l.lesson)
	t.note(&l.lesson, true)
	return true
}

func (t *Trainer) put(l *lesson) {
	t.lessons[l.id] = l
	t.count[class(l.spam)]++
}

// Forget removes a lesson.
func (t *Trainer) Forget(m *message.Message) (changed bool) {
	l, ok := t.lessons[identify(m)]
	if !ok {
		return false
	}
	delete(t.lessons, l.id)
	t.count[class(l.spam)]--
	t.note(l, false)
	return true
}

func (t *Trainer) note(l *lesson, learned bool) {
	if t.changed != nil && t.err == nil {
		t.err = t.changed(l, learned)
	}
}

// Len returns the number of lessons of each class.
func (t *Trainer) Len() (spam, ham int) { return t.count[1], t.count[0] }

// ErrOneSided: a model needs lessons of both classes.
var ErrOneSided = errors.New("bayes: spam and ham are both needed to learn from")

// Compile makes a model of all lessons. The order in which they were learned
// makes no difference. With too few lessons of a class and a model to build
// upon, that model is returned; without one, ErrOneSided.
func (t *Trainer) Compile() (*Model, error) {
	if t.count[0] < minLessons || t.count[1] < minLessons {
		if t.base != nil {
			return t.base, nil
		}
		return nil, ErrOneSided
	}
	list, weights := t.withAnchors()
	m := &Model{lessons: t.count, fusion: cautious}
	persistence := 20.0 // lessons that the weights from before are worth
	var start *linear
	var prior []int8
	if t.base != nil {
		start = t.base.linear(standing(len(t.lessons)))
		prior = t.base.words
		m.fusion = t.base.fusion
		persistence = 200
	}
	examples := make([]example, len(list))
	for i, l := range list {
		examples[i] = example{other: float64(l.other), spam: l.spam, weight: min(1, weights[i])}
	}
	m.take(fitText(list, weights, start))
	heldOut(list, weights, start, examples)
	m.countWords(list, weights, prior, wordStanding(len(t.lessons)), examples)
	m.fusion = fuse(examples, m.fusion, persistence)
	m.seal()
	return m, nil
}

// withAnchors returns the lessons and the anchors in an order that does not
// depend on when they were learned, each with its weight.
func (t *Trainer) withAnchors() (list []*lesson, weights []float64) {
	list = t.sorted()
	weights = make([]float64, len(list), len(list)+len(t.anchors))
	for i := range weights {
		weights[i] = 1
	}
	var count [2]float64
	for _, l := range t.anchors {
		count[class(l.spam)]++
	}
	for _, l := range t.anchors {
		if _, ours := t.lessons[l.id]; ours {
			continue
		}
		k := class(l.spam)
		list = append(list, l)
		weights = append(weights, min(anchorWeight, anchorShare*float64(t.count[k])/count[k]))
	}
	return list, weights
}

const (
	// anchorWeight is how many lessons an anchor is worth,
	anchorWeight = 3
	// anchorShare how much all anchors of a class together are worth at
	// most, as a share of the lessons of that class.
	anchorShare = 0.4
)

// sorted returns the lessons in an order that does not depend on when they
// were learned.
func (t *Trainer) sorted() []*lesson {
	list := make([]*lesson, 0, len(t.lessons))
	for _, l := range t.lessons {
		list = append(list, l)
	}
	slices.SortFunc(list, func(a, b *lesson) int { return bytes.Compare(a.id[:], b.id[:]) })
	return list
}

func fitText(list []*lesson, weights []float64, start *linear) linear {
	var buffer []uint32
	return fitLinear(len(list), func(i int) []uint32 {
		buffer = buffer[:0]
		for _, part := range list[i].parts {
			buffer = unpack(buffer, part)
		}
		return buffer
	}, func(i int) bool { return list[i].spam }, func(i int) float64 { return weights[i] }, start)
}

// folds is into how many parts the lessons are divided to see what the text
// learner says about messages that it has not learned.
const folds = 5

// heldOut fills in what the text learner says about each lesson when taught
// by the lessons of the other folds alone. Ids are digests: their first byte
// divides the lessons at random.
func heldOut(list []*lesson, weights []float64, start *linear, examples []example) {
	var workers sync.WaitGroup
	for fold := range folds {
		workers.Go(func() {
			var others []*lesson
			var theirs []float64
			for i, l := range list {
				if int(l.id[0])%folds != fold {
					others = append(others, l)
					theirs = append(theirs, weights[i])
				}
			}
			learned := fitText(others, theirs, start)
			for i, l := range list {
				if int(l.id[0])%folds == fold {
					examples[i].text = textStrength(learned.judge(l))
				}
			}
		})
	}
	workers.Wait()
}

func (m *linear) judge(l *lesson) (whole, worst float64) {
	sums, counts := make([]float64, len(l.parts)), make([]int, len(l.parts))
	var buffer []uint32
	for i, part := range l.parts {
		buffer = unpack(buffer[:0], part)
		sums[i], counts[i] = m.sum(buffer), len(buffer)
	}
	return margins(sums, counts, m.bias)
}

// minLessons of each class are needed for a model of their own.
const minLessons = 5

// standing is the share that the weights of a model keep in one that is built
// upon it with n lessons: all at first, half at 500.
func standing(n int) float64 { return 500 / (500 + float64(n)) }

// wordStanding is the same for the words: a few lessons cannot say what the
// common words of a language are worth, some hundreds can.
func wordStanding(n int) float64 { return 100 / (100 + float64(n)) }

// countWords fills in the words' evidence, and what the words say about each
// lesson by the count of all others. known is the share of what prior says.
func (m *Model) countWords(list []*lesson, weights []float64, prior []int8, known float64, examples []example) {
	counts := newCounts()
	var buffer []uint32
	times := func(i int) int { return int(math.Round(weights[i])) }
	for i, l := range list {
		buffer = unpack(buffer[:0], l.words)
		counts.observe(buffer, l.spam, times(i))
	}
	tally := counts.tally()
	judge := func(bucket uint32, n, lessons [2]float64) int8 {
		if prior == nil {
			return steps(evidence(n, lessons, 0))
		}
		before := float64(prior[bucket]) * wordStep
		return steps(known*before + (1-known)*evidence(n, lessons, before))
	}
	m.words = make([]int8, 1<<wordBits)
	copy(m.words, prior)
	for bucket, n := range tally {
		m.words[bucket] = judge(bucket, n, counts.lessons)
	}
	for i, l := range list {
		buffer = unpack(buffer[:0], l.words)
		lessons := counts.lessons
		lessons[class(l.spam)] -= float64(times(i))
		logOdds, _ := combine(len(buffer), func(k int) int8 {
			n := tally[buffer[k]]
			n[class(l.spam)] -= float64(times(i))
			return judge(buffer[k], n, lessons)
		})
		examples[i].words = boundWords(logOdds)
	}
}

// take keeps the weights as bytes.
func (m *Model) take(l linear) {
	largest := float32(0)
	for _, w := range l.weights {
		largest = max(largest, w, -w)
	}
	m.grams = make([]int8, len(l.weights))
	m.bias = l.bias
	m.gramStep = 1
	if largest == 0 {
		return
	}
	m.gramStep = float64(largest) / 127
	for i, w := range l.weights {
		m.grams[i] = int8(math.Round(float64(w) / m.gramStep))
	}
}

// linear gives the weights back, multiplied by share.
func (m *Model) linear(share float64) *linear {
	l := &linear{weights: make([]float32, len(m.grams)), bias: m.bias * share}
	for i, w := range m.grams {
		l.weights[i] = float32(float64(w) * m.gramStep * share)
	}
	return l
}

// pack writes sorted numbers as differences, seven bits a byte.
func pack(list []uint32) []byte {
	out := make([]byte, 0, len(list)*5/4)
	last := uint32(0)
	for _, v := range list {
		out = binary.AppendUvarint(out, uint64(v-last))
		last = v
	}
	return out
}

func packAll(lists [][]uint32) [][]byte {
	packed := make([][]byte, len(lists))
	for i, list := range lists {
		packed[i] = pack(list)
	}
	return packed
}

// unpack appends what pack was given.
func unpack(list []uint32, packed []byte) []uint32 {
	last := uint32(0)
	for i := 0; i < len(packed); {
		v := uint32(packed[i])
		i++
		if v >= 0x80 {
			v &= 0x7f
			for shift := 7; i < len(packed); shift += 7 {
				c := uint32(packed[i])
				i++
				v |= (c & 0x7f) << shift
				if c < 0x80 {
					break
				}
			}
		}
		last += v
		list = append(list, last)
	}
	return list
}
