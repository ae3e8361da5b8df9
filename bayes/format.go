package bayes

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"unsafe"
)

// A compiled model is stored as one line that says what it is, one line of
// JSON, the SHA-256 of that line and of what follows, and that: the weights as
// signed bytes, grams before words, deflated.
const magic = "spamcatcher bayes model 1\n"

// A preamble is the line of JSON. Models of other numbers of buckets, or of
// features found in another way, cannot be used.
type preamble struct {
	Features int        `json:"features"`
	GramBits int        `json:"gram_bits"`
	WordBits int        `json:"word_bits"`
	GramStep float64    `json:"gram_step"`
	Bias     float64    `json:"bias"`
	Fusion   [3]float64 `json:"fusion"` // bias, text, words
	Ham      int        `json:"ham"`
	Spam     int        `json:"spam"`
}

// featureVersion counts the ways in which features were found: it grows when
// extract changes, since a model must be asked about what it was taught.
const featureVersion = 1

func (m *Model) preamble() []byte {
	line, err := json.Marshal(preamble{featureVersion, gramBits, wordBits, m.gramStep, m.bias,
		[3]float64{m.fusion.bias, m.fusion.text, m.fusion.words}, m.lessons[0], m.lessons[1]})
	if err != nil {
		panic(err) // a number that is none: training never yields one
	}
	return append(line, '\n')
}

// seal computes the digest.
func (m *Model) seal() {
	h := sha256.New()
	h.Write(m.preamble())
	h.Write(unsigned(m.grams))
	h.Write(unsigned(m.words))
	m.digest = hex.EncodeToString(h.Sum(nil)[:8])
}

// Bytes is the model in the form that Read takes.
func (m *Model) Bytes() []byte {
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		panic(err) // the level is a constant
	}
	w.Write(unsigned(m.grams))
	w.Write(unsigned(m.words))
	w.Close()
	sum := checksum(m.preamble(), packed.Bytes())
	var out bytes.Buffer
	out.WriteString(magic)
	out.Write(m.preamble())
	out.Write(sum[:])
	out.Write(packed.Bytes())
	return out.Bytes()
}

// Read returns the model that Bytes wrote. Anything else is an error that
// says what is wrong.
func Read(data []byte) (*Model, error) {
	rest, ok := bytes.CutPrefix(data, []byte(magic))
	if !ok {
		return nil, errors.New("bayes: this is no model")
	}
	line, rest, ok := bytes.Cut(rest, []byte("\n"))
	var p preamble
	if !ok || json.Unmarshal(line, &p) != nil {
		return nil, errors.New("bayes: the model's first lines are damaged")
	}
	if p.Features != featureVersion || p.GramBits != gramBits || p.WordBits != wordBits {
		return nil, fmt.Errorf("bayes: the model is of another version (features %d, %d and %d bits): train again", p.Features, p.GramBits, p.WordBits)
	}
	for _, x := range [...]float64{p.GramStep, p.Bias, p.Fusion[0], p.Fusion[1], p.Fusion[2]} {
		if math.IsNaN(x) || math.Abs(x) > 1e6 {
			return nil, fmt.Errorf("bayes: the model holds the number %v", x)
		}
	}
	if len(rest) < sha256.Size || checksum(append(bytes.Clone(line), '\n'), rest[sha256.Size:]) != [sha256.Size]byte(rest) {
		return nil, errors.New("bayes: the model is damaged: its checksum is wrong")
	}
	weights := make([]int8, 1<<gramBits+1<<wordBits)
	r := flate.NewReader(bytes.NewReader(rest[sha256.Size:]))
	if _, err := io.ReadFull(r, unsigned(weights)); err != nil {
		return nil, fmt.Errorf("bayes: reading the model's weights: %w", err)
	}
	m := &Model{
		grams:    weights[: 1<<gramBits : 1<<gramBits],
		words:    weights[1<<gramBits:],
		gramStep: p.GramStep,
		bias:     p.Bias,
		fusion:   fusion{p.Fusion[0], p.Fusion[1], p.Fusion[2]},
		lessons:  [2]int{p.Ham, p.Spam},
	}
	m.seal()
	return m, nil
}

func checksum(preamble, packed []byte) (sum [sha256.Size]byte) {
	h := sha256.New()
	h.Write(preamble)
	h.Write(packed)
	h.Sum(sum[:0])
	return sum
}

// unsigned is the same bytes under another type.
func unsigned(list []int8) []byte {
	if len(list) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&list[0])), len(list))
}
