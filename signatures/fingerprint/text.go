package fingerprint

import (
	"crypto/sha256"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"spamcatcher/engine/message"
)

// The text of a message is reduced to a stream of letters before anything is
// taken of it:
//
//  1. the visible text with its disguises taken off (message.Skeleton), without
//     the subject;
//  2. words that are addresses of pages or mailboxes go, and words with a digit;
//  3. names by which the header calls the recipients go, a few;
//  4. sentences of footers and disclaimers go, and signatures: good mail has the
//     same ones as spam;
//  5. of the rest the letters stay, joined without spaces;
//  6. of two alternatives, plain text and HTML, the HTML counts: readers are
//     shown that, and the other is where noise is put.
//
// So numbers, addresses, the salutation, case, punctuation, the splitting of
// words and everything hidden make no difference.

const (
	// maxLetters bounds the stream: 128 Ki letters, some forty pages.
	maxLetters = 128 << 10
	// windowWeight is the length of the pieces that the fuzzy digest compares,
	// in letters of an alphabet. A syllable or ideograph counts as three.
	windowWeight = 7
	// minExact is the least weight of a text that has an exact digest, minFuzzy
	// the least weight of different windows of one that has a fuzzy digest.
	// Shorter ones say too little: "see the attachment" is everybody's.
	minExact = 60
	minFuzzy = 150
)

// letters is the stream of a message, and its weight. A message of mail systems
// has none: see bounce.
func letters(m *message.Message) (stream []rune, weight int) {
	if bounce(m) {
		return nil, 0
	}
	text := m.Skeleton()
	if _, body, ok := strings.Cut(text, "\n"); ok {
		text = body
	}
	names := headerNames(m)
	seldom(names, text)
	// The alternative stands in front.
	if plain := alternative(m); plain != nil {
		unseen, less, _ := reduce(message.Fold(plain.Text()), names, maxLetters)
		front, _, used := reduce(text, names, len(unseen))
		if less > 0 && slices.Equal(unseen, front) {
			if _, rest, _ := reduce(text[used:], names, minExact); rest >= minExact {
				text = text[used:]
			}
		}
	}
	if signed, less, _ := reduce(message.Fold(signature(m)), names, maxSignature); less > 0 && less < maxSignature {
		all, weight, _ := reduce(text, names, maxLetters)
		if before := len(all) - len(signed); less < weight && slices.Equal(signed, all[max(0, before):]) {
			_, _, used := reduce(text, names, before)
			text = text[:used]
		}
	}
	stream, weight, _ = reduce(substance(text), names, maxLetters)
	return stream, weight
}

// alternative is the first part with text if it is plain text that an HTML part
// is the alternative of, else nil.
func alternative(m *message.Message) *message.Part {
	for _, p := range m.Parts() {
		if len(p.Children) > 0 || p.Alternate {
			continue
		}
		if p.MediaType != "text/plain" || p.Parent == nil || p.Parent.MediaType != "multipart/alternative" {
			return nil
		}
		for _, sibling := range p.Parent.Children {
			if holdsHTML(sibling) {
				return p
			}
		}
		return nil
	}
	return nil
}

// holdsHTML tells whether a part is HTML, or HTML with its pictures.
func holdsHTML(p *message.Part) bool {
	if p.MediaType == "multipart/related" && len(p.Children) > 0 {
		p = p.Children[0]
	}
	return p.MediaType == "text/html"
}

// telling tells whether a stream is long enough for a fuzzy digest.
func telling(stream []rune) bool {
	seen := make(map[uint64]bool, minFuzzy)
	weight := 0
	windows(stream, func(h uint64, last rune) bool {
		if !seen[h] {
			seen[h] = true
			weight += weigh(last)
		}
		return weight < minFuzzy
	})
	return weight >= minFuzzy
}

const (
	maxNames = 6 // words of names that are looked for in a text
	maxTimes = 3 // how often one of them may stand there
)

// headerNames are the words of the recipients' names and local parts, the first
// few: they are what a mass mailer changes from copy to copy. Names that a reader
// is not shown as his own do not count: the text could be hidden in them.
func headerNames(m *message.Message) map[string]bool {
	names := map[string]bool{}
	list := m.Header().Addresses("To")
	for _, a := range list[:min(len(list), 2)] {
		local, _, _ := strings.Cut(a.Address, "@")
		for _, w := range strings.FieldsFunc(message.Fold(a.Name+" "+local), func(r rune) bool { return !letter(r) }) {
			if utf8.RuneCountInString(w) >= 3 && len(names) < maxNames {
				names[w] = true
			}
		}
	}
	return names
}

// seldom leaves of names those that do not stand in the text more often than
// names do.
func seldom(names map[string]bool, text string) {
	if len(names) == 0 {
		return
	}
	times := map[string]int{}
	start := -1
	count := func(word string) {
		if names[word] {
			times[word]++
		}
	}
	for i, r := range text {
		if letter(r) == (start >= 0) {
			continue
		}
		if start < 0 {
			start = i
			continue
		}
		count(text[start:i])
		start = -1
	}
	if start >= 0 {
		count(text[start:])
	}
	for w, n := range times {
		if n > maxTimes {
			delete(names, w)
		}
	}
}

// reduce makes the stream of a text in lower case, of at most most letters. It
// tells how many bytes of the text those are.
func reduce(text string, names map[string]bool, most int) (stream []rune, weight, used int) {
	stream = make([]rune, 0, min(len(text), most))
	whole := len(text)
	for text != "" && len(stream) < most {
		n := strings.IndexAny(text, " \n\t\r\u00a0\u3000")
		if n < 0 {
			n = len(text)
		}
		if n == 0 {
			_, n = utf8.DecodeRuneInString(text)
			text = text[n:]
			continue
		}
		token := text[:n]
		text = text[n:]
		if address(token) {
			continue
		}
		for token != "" && len(stream) < most {
			var r rune
			size, digits, word := 0, false, 0
			for word < len(token) {
				if r, size = utf8.DecodeRuneInString(token[word:]); !letter(r) {
					if !unicode.IsDigit(r) {
						break
					}
					digits = true
				}
				word += size
			}
			if word == 0 {
				token = token[size:]
				continue
			}
			if !digits && !names[token[:word]] {
				for _, r := range token[:word] {
					stream = append(stream, r)
					weight += weigh(r)
				}
			}
			token = token[word:]
		}
	}
	return stream[:min(len(stream), most)], weight, whole - len(text)
}

// address tells whether a word is the address of a page or a mailbox.
func address(token string) bool {
	return strings.IndexByte(token, '@') >= 0 || strings.Contains(token, "://") || strings.HasPrefix(token, "www.")
}

func letter(r rune) bool {
	if r < utf8.RuneSelf {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	}
	return unicode.IsLetter(r) || unicode.IsMark(r)
}

// weigh is how much a letter says, in letters of an alphabet.
func weigh(r rune) int {
	if r >= 0x2e80 && (r <= 0x9fff || 0xac00 <= r && r <= 0xd7ff || 0xf900 <= r && r <= 0xfaff || r >= 0x20000) {
		return 3
	}
	return 1
}

// exactText is the digest of the stream.
func exactText(stream []rune) ID {
	h := sha256.New()
	buf := make([]byte, 0, 4096)
	for _, r := range stream {
		if buf = utf8.AppendRune(buf, r); len(buf) > 4000 {
			h.Write(buf)
			buf = buf[:0]
		}
	}
	h.Write(buf)
	return ID(h.Sum(nil))
}

// windows calls visit with the hash of every window of the stream and its last
// letter, until visit returns false. A window
// ends at every letter behind the first few and is as short as its weight
// allows.
func windows(stream []rune, visit func(hash uint64, last rune) bool) {
	const base = 0x9e3779b97f4a7c15 | 1
	var powers [windowWeight + 1]uint64
	powers[0] = 1
	for i := 1; i < len(powers); i++ {
		powers[i] = powers[i-1] * base
	}
	var hash uint64
	start, weight := 0, 0
	for i, r := range stream {
		hash = hash*base + uint64(r)
		weight += weigh(r)
		for weight-weigh(stream[start]) >= windowWeight {
			hash -= uint64(stream[start]) * powers[i-start]
			weight -= weigh(stream[start])
			start++
		}
		if weight >= windowWeight && !visit(mix(hash), r) {
			return
		}
	}
}

// mix is the finalizer of SplitMix64.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// fuzzy is the digest of the windows of a stream: minhash by fast similarity
// sketching (Dahlgaard, Knudsen, Thorup 2017). Round by round every window is
// thrown into a bin, in the last rounds into a given one; a bin keeps the least
// that it was thrown, and the first round that fills the last bin is the last.
// Two sets have the same minimum in a bin with the probability of their
// resemblance, and long texts cost one hash a letter. rowsPerBand bins are
// hashed into a band.
func fuzzy(stream []rune) (b Bands) {
	const bins = bandCount * rowsPerBand
	var least [bins]uint64
	var full [bins]bool
	empty := bins
	for round := 0; round < 2*bins && empty > 0; round++ {
		seed := mix(uint64(round) + 1)
		var low [bins]uint64
		for i := range low {
			low[i] = math.MaxUint64
		}
		windows(stream, func(w uint64, _ rune) bool {
			h := mix(w ^ seed)
			bin := int(h % bins)
			if round >= bins {
				bin = round - bins
			}
			low[bin] = min(low[bin], h)
			return true
		})
		for i, l := range low {
			if !full[i] && l != math.MaxUint64 {
				least[i], full[i] = mix(l+uint64(i)), true
				empty--
			}
		}
	}
	for i := range b {
		var h uint64
		for _, l := range least[i*rowsPerBand : (i+1)*rowsPerBand] {
			h = mix(h ^ l)
		}
		b[i] = uint32(h >> (64 - bandBits))
	}
	return b
}
