package bayes

import (
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"spamcatcher/engine/message"
)

// How much of a message is looked at, in bytes: what spam wants to say stands
// at the beginning, and what is said further down shall not outweigh it.
const (
	fieldBytes  = 300  // of one header field
	headerBytes = 3000 // of the chosen header fields together
	textBytes   = 3000 // of the folded visible text, for grams
	tailBytes   = 1000 // of its end, where it is longer: filler in front shall not hide what follows
	bodyBytes   = 2500 // of the body as it was sent, transfer encodings included
	wordBytes   = 8000 // of the folded visible text, for words
)

// Features are hashed into as many buckets as the model has weights: with
// 2^16 instead of 2^18 for grams nothing measurable is lost.
const (
	gramBits = 18
	wordBits = 20
)

// maxWord is the length in bytes from which on a word is no word but data.
const maxWord = 40

// tag is what the gateway puts before the subject of what it takes for spam;
// a message that comes back to be learned shall not be known by it.
const tag = "[spamcatcher] "

// A region is a place that grams or words come from. The same letters in two
// regions are two features.
type region uint8

const (
	inHeader region = iota
	inText
	inBody
	regions // how many
)

// pieceBytes is the length of the pieces that the text is judged in, too, each
// with the header: a paragraph of spam shall not hide among good ones.
const (
	pieceBytes = 800
	maxPieces  = (textBytes + tailBytes + pieceBytes - 1) / pieceBytes
)

// A word is one distinct word of a message.
type word struct {
	bucket uint32
	text   string // a part of the message
	field  string // name of the header field it stands in, "" for the text
}

// features are what the classifier looks at in one message: which 4-grams of
// bytes stand in which region, and which words. How often does not count.
type features struct {
	grams  [regions][]uint32 // distinct buckets
	pieces []int             // where the pieces of the text end in its grams
	words  []word            // distinct buckets

	seenGram [1 << gramBits / 64]uint64
	seenWord [1 << wordBits / 64]uint64
	buffer   []byte
}

var pool = sync.Pool{New: func() any { return new(features) }}

// extract finds the features of a message. They are valid until release.
func extract(m *message.Message) *features {
	f := pool.Get().(*features)
	for r := range f.grams {
		f.grams[r] = f.grams[r][:0]
	}
	f.words, f.pieces = f.words[:0], f.pieces[:0]
	f.header(m.Header())
	text := strings.TrimPrefix(m.Skeleton(), tag)
	f.buffer = squeeze(f.buffer[:0], text, textBytes)
	if rest := len(text) - textBytes; rest > 0 {
		f.buffer = squeeze(append(f.buffer, ' '), text[len(text)-min(rest, tailBytes):], textBytes+tailBytes)
	}
	for piece := range slices.Chunk(f.buffer, pieceBytes) {
		f.addGrams(inText, piece)
		f.pieces = append(f.pieces, len(f.grams[inText]))
	}
	f.addGrams(inBody, m.Body()[:min(len(m.Body()), bodyBytes)])
	f.addWords("", text[:min(len(text), wordBytes)])
	for i, l := range m.Links() {
		if i == 50 {
			break
		}
		if l.Host != "" {
			f.addWord("link", l.Host)
		}
	}
	return f
}

// release gives the features back to be used for another message.
func (f *features) release() {
	for r := range f.grams {
		for _, g := range f.grams[r] {
			f.seenGram[g/64] = 0
		}
	}
	for i := range f.words {
		f.seenWord[f.words[i].bucket/64] = 0
		f.words[i] = word{}
	}
	pool.Put(f)
}

// chosen are the fields whose letters tell something about who writes, in
// whatever network: not the ones that name hosts on the way, nor signatures.
var chosen = map[string]bool{
	"subject": true, "from": true, "reply-to": true, "sender": true, "return-path": true, "to": true, "cc": true, "date": true,
	"message-id": true, "in-reply-to": true, "references": true, "mime-version": true, "content-type": true,
	"content-transfer-encoding": true, "content-language": true, "x-mailer": true, "user-agent": true, "x-priority": true,
	"importance": true, "list-unsubscribe": true,
}

// header adds what the header block tells: grams of the chosen fields, and
// the words of all but those that a relay on the way may have written.
func (f *features) header(h *message.Header) {
	f.buffer = f.buffer[:0]
	for _, field := range h.Fields() {
		name := strings.ToLower(field.Name)
		if name == "" || name == "received" || strings.HasPrefix(name, "x-spamcatcher-") || name == "authentication-results" {
			continue
		}
		var value string
		if chosen[name] {
			value = field.Decoded()
		} else {
			value = field.Value()
		}
		value = value[:min(len(value), 4*fieldBytes)]
		if name == "subject" {
			value = strings.TrimPrefix(value, tag)
		}
		if chosen[name] && len(f.buffer) < headerBytes {
			f.buffer = append(f.buffer, name...)
			f.buffer = append(f.buffer, ':')
			f.buffer = append(f.buffer, value[:min(len(value), fieldBytes)]...)
			f.buffer = append(f.buffer, '\n')
		}
		f.addWords(name, value)
	}
	f.addGrams(inHeader, f.buffer[:min(len(f.buffer), headerBytes)])
}

// addGrams adds every run of four bytes.
func (f *features) addGrams(r region, s []byte) {
	if len(s) < 4 {
		return
	}
	list := f.grams[r]
	gram := uint32(s[0])<<8 | uint32(s[1])<<16 | uint32(s[2])<<24
	for _, c := range s[3:] {
		gram = gram>>8 | uint32(c)<<24
		bucket := gramBucket(r, gram)
		if at, bit := bucket/64, uint64(1)<<(bucket%64); f.seenGram[at]&bit == 0 {
			f.seenGram[at] |= bit
			list = append(list, bucket)
		}
	}
	f.grams[r] = list
}

// gramBucket spreads grams evenly over the buckets (the finaliser of a
// multiplicative hash: multiply, fold, multiply).
func gramBucket(r region, gram uint32) uint32 {
	h := (gram ^ uint32(r)*0x9e3779b9) * 0x85ebca6b
	h ^= h >> 15
	h *= 0xc2b2ae35
	return h >> (32 - gramBits)
}

// addWords adds the words of a text. Runs of characters of scripts without
// spaces between words (Han, Hiragana, Katakana, Thai…) yield pairs of
// neighbouring characters.
func (f *features) addWords(field, text string) {
	begin := -1    // of the word under way
	previous := -1 // where the character before this one stands, in a script without spaces
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			if wordByte[c] {
				if begin < 0 {
					begin = i
				}
			} else if begin >= 0 {
				f.addWord(field, text[begin:i])
				begin = -1
			}
			previous = -1
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case unspaced(r):
			if begin >= 0 {
				f.addWord(field, text[begin:i])
				begin = -1
			}
			if previous >= 0 {
				f.addPair(field, text[previous:i+n])
			}
			previous = i
		case unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r):
			if begin < 0 {
				begin = i
			}
			previous = -1
		default:
			if begin >= 0 {
				f.addWord(field, text[begin:i])
				begin = -1
			}
			previous = -1
		}
		i += n
	}
	if begin >= 0 {
		f.addWord(field, text[begin:])
	}
}

var wordByte = func() (set [utf8.RuneSelf]bool) {
	for c := range set {
		set[c] = 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("'-.$!@_", byte(c)) >= 0
	}
	return set
}()

func (f *features) addWord(field, w string) {
	end := len(w)
	for end > 0 && (w[end-1] == '.' || w[end-1] == '-' || w[end-1] == '\'') {
		end--
	}
	w = w[:end]
	if len(w) > 1 && len(w) <= maxWord {
		f.addPair(field, w)
	}
}

func (f *features) addPair(field, w string) {
	bucket := wordBucket(field, w)
	if at, bit := bucket/64, uint64(1)<<(bucket%64); f.seenWord[at]&bit == 0 {
		f.seenWord[at] |= bit
		f.words = append(f.words, word{bucket, w, field})
	}
}

// wordBucket is FNV-1a of the field's name and the word in lower case, folded
// to the number of buckets.
func wordBucket(field, w string) uint32 {
	h := uint64(14695981039346656037)
	for i := range len(field) {
		h = (h ^ uint64(field[i])) * 1099511628211
	}
	h = (h ^ ':') * 1099511628211
	for i := range len(w) {
		c := w[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		h = (h ^ uint64(c)) * 1099511628211
	}
	h ^= h >> 32
	h *= 0x9e3779b97f4a7c15
	return uint32(h >> (64 - wordBits))
}

// unspaced says whether words of the rune's script stand without spaces.
func unspaced(r rune) bool {
	return r >= 0x0e00 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
}

// squeeze appends up to limit bytes of text with every run of white space and
// control characters as one space.
func squeeze(out []byte, text string, limit int) []byte {
	for i := 0; i < len(text) && len(out) < limit; {
		begin := i
		for i < len(text) && text[i] <= ' ' {
			i++
		}
		if i > begin && len(out) > 0 && out[len(out)-1] != ' ' {
			out = append(out, ' ')
		}
		begin = i
		for i < len(text) && text[i] > ' ' && i-begin < limit {
			i++
		}
		out = append(out, text[begin:i]...)
	}
	return out[:min(len(out), limit)]
}

// parts returns the buckets of the grams, each list sorted: those of the
// header, of the body, and of each piece of the text.
func (f *features) parts() [][]uint32 {
	list := [][]uint32{slices.Clone(f.grams[inHeader]), slices.Clone(f.grams[inBody])}
	begin := 0
	for _, end := range f.pieces {
		list = append(list, slices.Clone(f.grams[inText][begin:end]))
		begin = end
	}
	for _, part := range list {
		slices.Sort(part)
	}
	return list
}

// wordBuckets returns the buckets of the words, sorted, in a slice of its own.
func (f *features) wordBuckets() []uint32 {
	list := make([]uint32, len(f.words))
	for i, w := range f.words {
		list[i] = w.bucket
	}
	slices.Sort(list)
	return list
}
