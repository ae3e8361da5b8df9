// Package bayes turns the text of a message into the tokens that a Bayesian
// classifier learns from.
package bayes

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"spamcatcher/engine/message"
)

// MaxBytes is how much of a message's text is looked at: what spam wants to
// say stands at the beginning.
const MaxBytes = 16 << 10

// maxWord is the length in bytes from which on a word is no word but data.
const maxWord = 40

// Tokens returns the words of the subject, the visible text and the hosts of
// the links, in order, in lower case. Text in scripts without spaces between
// words (Han, Hiragana, Katakana, Thai…) yields pairs of neighbouring
// characters. Words of the subject have the prefix "s:", hosts "h:".
func Tokens(m *message.Message) []string {
	subject, body, _ := strings.Cut(m.Text(), "\n")
	if len(body) > MaxBytes {
		body = strings.ToValidUTF8(body[:MaxBytes], "")
	}
	var tokens []string
	words(subject, func(w string) { tokens = append(tokens, "s:"+w) })
	words(body, func(w string) { tokens = append(tokens, w) })
	for _, l := range m.Links() {
		if l.Host != "" {
			tokens = append(tokens, "h:"+l.Host)
		}
	}
	return tokens
}

// words calls each with every word of the text.
func words(text string, each func(string)) {
	text = strings.ToLower(text)
	begin := -1    // of the word under way
	previous := "" // character of a script without spaces
	flush := func(end int) {
		if begin >= 0 {
			if w := strings.TrimRight(text[begin:end], "'-."); len(w) > 1 && len(w) <= maxWord {
				each(w)
			}
		}
		begin = -1
	}
	for i, r := range text {
		switch {
		case unspaced(r):
			flush(i)
			character := text[i : i+utf8.RuneLen(r)]
			if previous != "" {
				each(previous + character)
			}
			previous = character
			continue
		case unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) || begin >= 0 && (r == '\'' || r == '-' || r == '.'):
			if begin < 0 {
				begin = i
			}
		default:
			flush(i)
		}
		previous = ""
	}
	flush(len(text))
}

// unspaced says whether words of the rune's script stand without spaces.
func unspaced(r rune) bool {
	return r >= 0x0e00 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
}
