package bench_test

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"spamcatcher/bench"
	"spamcatcher/bench/evasion"
	"spamcatcher/corpus"
	"spamcatcher/engine/message"
	"spamcatcher/signatures/fingerprint"
)

// What the fuzzy fingerprint promises.
const (
	leastAlike  = 0.95   // of copies of a mailing match
	leastOwn    = 0.93   // of those of the project's own mail, half of which is shorter than a real mailing
	mostStrange = 0.0001 // of pairs of messages that have nothing to do with each other match
)

// promised are the mutations that must be survived by leastAlike; what becomes
// of the others is printed.
var promised = []string{"names", "numbers", "paragraphs", "hidden", "all-four", "salutation", "case-marks", "split-words", "append-20%", "words-3%", "words-5%"}

// A sample is a message with a fuzzy fingerprint.
type sample struct {
	name, set, class string
	raw              []byte
	parsed           *message.Message
	bands            fingerprint.Bands
}

// thorough tells whether figures are wanted, by make bench, not only whether
// they are good enough.
func thorough() bool {
	mode := os.Getenv("SPAMCATCHER_BENCH")
	return mode == "compare" || mode == "record"
}

// fuzzyOf is the fuzzy fingerprint of a message; ok is false if it is too short
// for one.
func fuzzyOf(m *message.Message) (b fingerprint.Bands, ok bool) {
	for _, p := range fingerprint.Of(m) {
		if p.Kind == fingerprint.Fuzzy {
			return p.Bands, true
		}
	}
	return b, false
}

// A mailbag is samples, and what spammers have to hide behind.
type mailbag struct {
	total   int
	samples []sample
	good    evasion.Good
}

func (b *mailbag) add(s sample) {
	b.total++
	s.parsed = message.Parse(s.raw, message.Limits{})
	if s.class == "ham" && s.set != "bounces-sisimai" {
		b.good.Learn(s.parsed)
	}
	var ok bool
	if s.bands, ok = fuzzyOf(s.parsed); ok {
		b.samples = append(b.samples, s)
	}
}

// some are n of the samples, as chance would choose them, always the same.
func (b *mailbag) some(n int) []sample {
	list := slices.Clone(b.samples)
	slices.SortFunc(list, func(a, b sample) int {
		return strings.Compare(fmt.Sprintf("%016x", hashed(a.name)), fmt.Sprintf("%016x", hashed(b.name)))
	})
	return list[:min(n, len(list))]
}

// ownBag is the project's own mail: always there.
func ownBag(t *testing.T) *mailbag {
	t.Helper()
	b := &mailbag{}
	for _, dir := range []string{"good", "shapes", "spam"} {
		class := "ham"
		if dir == "spam" {
			class = dir
		}
		files, err := filepath.Glob(filepath.Join("..", "rules", "builtin", "testdata", dir, "*.eml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b.add(sample{name: dir + "/" + filepath.Base(f), set: dir, class: class, raw: readMail(t, f)})
		}
	}
	if len(b.samples) < 200 {
		t.Fatalf("only %d of %d messages have a fuzzy fingerprint", len(b.samples), b.total)
	}
	return b
}

// sharedBags are the two lists of labelled mail outside of the project. No
// cluster of near-duplicates is in both.
func sharedBags(t *testing.T) (bags [2]*mailbag) {
	t.Helper()
	dir := filepath.Join(sharedDir(t), "corpus")
	for i, name := range []string{"dev-train.txt", "dev-valid.txt"} {
		list, err := corpus.ReadLabels(filepath.Join(dir, name), filepath.Join(dir, "boundary"))
		if err != nil {
			t.Fatal(err)
		}
		bags[i] = &mailbag{}
		for _, m := range list {
			raw, err := os.ReadFile(m.Path)
			if err != nil {
				t.Fatal(err)
			}
			class := "ham"
			if m.Spam {
				class = "spam"
			}
			bags[i].add(sample{name: m.Name, set: m.Set(), class: class, raw: raw})
		}
	}
	return bags
}

// trigrams are the runs of three words of a text, numbers and all, in lower
// case: another measure of likeness than the fingerprint's.
func trigrams(m *message.Message) map[uint64]bool {
	_, text, _ := strings.Cut(m.Text(), "\n")
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	set := map[uint64]bool{}
	for i := 2; i < len(words); i++ {
		h := fnv.New64a()
		fmt.Fprint(h, words[i-2:i+1])
		set[h.Sum64()] = true
	}
	return set
}

// related tells whether two messages are near-duplicates by that measure: a
// quarter of the shorter one's runs of three words stands in the other.
func related(a, b sample) bool {
	x, y := trigrams(a.parsed), trigrams(b.parsed)
	common := 0
	for h := range x {
		if y[h] {
			common++
		}
	}
	return 4*common >= min(len(x), len(y)) && common > 0
}

// A pairing is what became of pairs of messages.
type pairing struct {
	pairs, match, near int // near: those of match that are near-duplicates
	mixed, mixedMatch  int // pairs of a spam and a good message; those of them that match and are no near-duplicates
	strange            []string
}

func (p *pairing) add(a, b sample) {
	p.pairs++
	if a.class != b.class {
		p.mixed++
	}
	n := a.bands.Common(b.bands)
	if n < fingerprint.MinBands {
		return
	}
	p.match++
	if related(a, b) {
		p.near++
		return
	}
	if a.class != b.class {
		p.mixedMatch++
	}
	p.strange = append(p.strange, fmt.Sprintf("%2d bands: %s, %s", n, a.name, b.name))
}

func (p *pairing) print(t *testing.T, name string) {
	t.Logf("%-34s %9d pairs, %5d match (%.2f in 10,000), %d of them near-duplicates, so %d false (%.3f in 10,000); spam with good mail: %d of %d",
		name, p.pairs, p.match, 1e4*float64(p.match)/float64(p.pairs), p.near, p.match-p.near, 1e4*float64(p.match-p.near)/float64(p.pairs), p.mixedMatch, p.mixed)
}

// An outcome is what became of copies.
type outcome struct{ tried, alike, short int }

func (o outcome) share() float64 { return float64(o.alike) / float64(max(1, o.tried)) }

// survive makes copies of messages and compares fingerprints; the outcome of
// all is under "".
func survive(samples []sample, copyOf func(s sample) ([]byte, error)) map[string]outcome {
	by := map[string]outcome{}
	for _, s := range samples {
		raw, err := copyOf(s)
		if err != nil {
			continue
		}
		bands, ok := fuzzyOf(message.Parse(raw, message.Limits{}))
		for _, key := range []string{"", s.class, s.set} {
			o := by[key]
			o.tried++
			if !ok {
				o.short++
			} else if s.bands.Common(bands) >= fingerprint.MinBands {
				o.alike++
			}
			by[key] = o
		}
	}
	return by
}

func describe(by map[string]outcome) string {
	all := by[""]
	text := fmt.Sprintf("%6.2f %% of %4d", 100*all.share(), all.tried)
	if all.short > 0 {
		text += fmt.Sprintf(" (%d have become too short)", all.short)
	}
	for _, key := range slices.Sorted(func(yield func(string) bool) {
		for k := range by {
			if k != "" && !yield(k) {
				return
			}
		}
	}) {
		text += fmt.Sprintf("; %s %.1f", key, 100*by[key].share())
	}
	return text
}

// mutate tries every mutation and holds the promises.
func mutate(t *testing.T, samples []sample, noise []string, least float64) {
	t.Helper()
	for _, m := range mutations() {
		r := rand.New(rand.NewPCG(hashed(m.name), 7))
		by := survive(samples, func(s sample) ([]byte, error) { return m.copyOf(r, s.parsed, noise), nil })
		t.Logf("%-12s %s", m.name, describe(by))
		if slices.Contains(promised, m.name) && by[""].share() < least {
			t.Errorf("%s: only %.2f %% of the copies match", m.name, 100*by[""].share())
		}
	}
}

// disguise tries the tricks of spammers, as far as a reader still reads a text.
func disguise(t *testing.T, b *mailbag, samples []sample) {
	t.Helper()
	for _, trick := range evasion.Tricks() {
		if trick.Wordless {
			continue
		}
		by := survive(samples, func(s sample) ([]byte, error) {
			if wellFormed(s.raw) != nil {
				return nil, fmt.Errorf("broken before")
			}
			return trick.Rewrite(s.raw, s.name, &b.good)
		})
		t.Logf("%-16s %s", trick.Name, describe(by))
	}
}

// TestFingerprints prints and holds what the fuzzy fingerprint promises, on the
// project's own mail.
func TestFingerprints(t *testing.T) {
	b := ownBag(t)
	t.Logf("own mail: %d messages, %d with a fuzzy fingerprint", b.total, len(b.samples))
	var p pairing
	for i, a := range b.samples {
		for _, c := range b.samples[:i] {
			p.add(a, c)
		}
	}
	p.print(t, "all pairs")
	for _, s := range p.strange {
		t.Log(s)
	}
	if got := float64(p.match-p.near) / float64(p.pairs); got >= mostStrange {
		t.Errorf("%.2f of 10,000 unrelated pairs match", 1e4*got)
	}
	mutate(t, b.samples, b.good.Sentences, leastOwn)
	if thorough() {
		disguise(t, b, b.some(120))
		digestTimes(t)
	}
}

// TestFingerprintsCorpus does the same on labelled mail that is not part of the
// project.
func TestFingerprintsCorpus(t *testing.T) {
	bags := sharedBags(t)
	for i, b := range bags {
		t.Logf("list %d: %d messages, %d with a fuzzy fingerprint", i+1, b.total, len(b.samples))
	}
	var across, within pairing
	for i, a := range bags[0].samples {
		for _, b := range bags[1].samples {
			across.add(a, b)
		}
		for _, b := range bags[0].samples[:i] {
			within.add(a, b)
		}
	}
	across.print(t, "one of each list")
	for _, s := range across.strange {
		t.Log(s)
	}
	within.print(t, "within the first list")
	for name, p := range map[string]pairing{"across": across, "within": within} {
		if got := float64(p.match-p.near) / float64(p.pairs); got >= mostStrange {
			t.Errorf("%s: %.2f of 10,000 unrelated pairs match", name, 1e4*got)
		}
	}
	// No cluster is in both lists: these pairs are unrelated without a second
	// measure.
	if got := float64(across.match) / float64(across.pairs); got >= mostStrange {
		t.Errorf("across the lists %.2f of 10,000 pairs match", 1e4*got)
	}
	all := &mailbag{samples: append(slices.Clone(bags[0].samples), bags[1].samples...), good: bags[0].good}
	if !thorough() {
		mutate(t, all.some(400), all.good.Sentences, leastAlike)
		return
	}
	mutate(t, all.some(1500), all.good.Sentences, leastAlike)
	disguise(t, all, all.some(300))
}

// digestTimes prints what the fingerprints of a message cost.
func digestTimes(t *testing.T) {
	figures, err := bench.Measure(digestJobs(), 11)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range figures {
		t.Logf("fingerprints of %-16s %8.1f µs, %4d allocations, %7d bytes", f.Message, f.Nanos/float64(time.Microsecond), f.Allocs, f.Bytes)
	}
}
