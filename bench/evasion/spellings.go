package evasion

import (
	"fmt"
	"html"
	"math/rand/v2"
	"strings"
	"unicode"
	"unicode/utf8"
)

// lookalikes are letters of other scripts that look like Latin ones in the
// common fonts.
var lookalikes = map[rune]string{
	'a': "аɑ", 'c': "сϲ", 'd': "ԁ", 'e': "еҽ", 'g': "ɡ", 'h': "һ", 'i': "іɩ", 'j': "ј", 'l': "ӏ", 'n': "ո", 'o': "оοօ", 'p': "рρ",
	'q': "ԛ", 's': "ѕ", 'u': "υս", 'v': "ѵν", 'w': "ԝ", 'x': "х", 'y': "уү",
	'A': "АΑ", 'B': "ВΒ", 'C': "С", 'E': "ЕΕ", 'H': "НΗ", 'I': "ІΙ", 'J': "Ј", 'K': "КΚ", 'M': "МΜ", 'N': "Ν", 'O': "ОΟ", 'P': "РΡ",
	'S': "Ѕ", 'T': "ТΤ", 'X': "ХΧ", 'Y': "ҮΥ", 'Z': "Ζ",
}

// original undoes lookalikes.
var original = func() map[rune]rune {
	m := map[rune]rune{}
	for latin, like := range lookalikes {
		for _, r := range like {
			m[r] = latin
		}
	}
	return m
}()

// homoglyphs replaces letters by lookalikes: with the given probability each,
// and at least one a word where there is one.
func homoglyphs(share float64) spelling {
	return func(r *rand.Rand, word string) (string, string) {
		letters := []rune(word)
		var can []int
		for i, c := range letters {
			if lookalikes[c] != "" {
				can = append(can, i)
			}
		}
		if len(can) == 0 || len(letters) < 3 {
			return word, ""
		}
		must := can[r.IntN(len(can))]
		for _, i := range can {
			if i == must || r.Float64() < share {
				like := []rune(lookalikes[letters[i]])
				letters[i] = like[r.IntN(len(like))]
			}
		}
		return string(letters), ""
	}
}

// between puts one of the strings between characters of a word: at one place
// in words of at least 4 characters, or after every nth character.
func between(every int, plain bool, what ...string) spelling {
	return func(r *rand.Rand, word string) (string, string) {
		letters := []rune(word)
		if len(letters) < 4 {
			return word, ""
		}
		at := 1 + r.IntN(len(letters)-1)
		var text, markup strings.Builder
		for i, c := range letters {
			// A mark stays with its letter, as somebody who types it would.
			if i > 0 && !unicode.IsMark(c) && (every == 0 && i == at || every > 0 && i%every == 0) {
				w := what[r.IntN(len(what))]
				if plain {
					text.WriteString(w)
					markup.WriteString(html.EscapeString(w))
				} else {
					markup.WriteString(w)
				}
			}
			text.WriteRune(c)
			markup.WriteString(html.EscapeString(string(c)))
		}
		return text.String(), markup.String()
	}
}

// shifted replaces ASCII letters by those of a block of Unicode that has them
// all in order, from upper-case A and lower-case a on.
func shifted(upper, lower rune) spelling {
	return func(_ *rand.Rand, word string) (string, string) {
		return strings.Map(func(c rune) rune {
			switch {
			case 'A' <= c && c <= 'Z':
				return upper + c - 'A'
			case 'a' <= c && c <= 'z':
				return lower + c - 'a'
			}
			return c
		}, word), ""
	}
}

func unshift(upper, lower rune) func(string) string {
	return func(s string) string {
		return strings.Map(func(c rune) rune {
			switch {
			case upper <= c && c < upper+26:
				return 'A' + c - upper
			case lower <= c && c < lower+26:
				return 'a' + c - lower
			}
			return c
		}, s)
	}
}

const leetLetters, leetDigits = "aeiostAEIOST", "431057431057"

// leet writes some letters as digits: one or two in words of at least 4.
func leet(r *rand.Rand, word string) (string, string) {
	if utf8.RuneCountInString(word) < 4 {
		return word, ""
	}
	out := []byte(word)
	left := 1 + r.IntN(2)
	for _, i := range r.Perm(len(out)) {
		if n := strings.IndexByte(leetLetters, out[i]); n >= 0 && left > 0 {
			out[i] = leetDigits[n]
			left--
		}
	}
	return string(out), ""
}

// unleet writes the digits of leet as letters, and in lower case.
func unleet(s string) string {
	return strings.Map(func(c rune) rune {
		if n := strings.IndexRune(leetDigits, c); n >= 0 {
			return rune(leetLetters[n])
		}
		return c
	}, s)
}

// entities writes every character as an HTML entity, decimal or hexadecimal.
func entities(r *rand.Rand, word string) (string, string) {
	var b strings.Builder
	for _, c := range word {
		if r.IntN(2) == 0 {
			fmt.Fprintf(&b, "&#%d;", c)
		} else {
			fmt.Fprintf(&b, "&#x%X;", c)
		}
	}
	return word, b.String()
}

// accents sets a combining mark on a letter of words of at least 4.
func accents(r *rand.Rand, word string) (string, string) {
	letters := []rune(word)
	if len(letters) < 4 {
		return word, ""
	}
	at := r.IntN(len(letters))
	if letters[at] >= utf8.RuneSelf {
		return word, ""
	}
	marks := []rune{0x300, 0x301, 0x302, 0x307, 0x323, 0x331}
	return string(letters[:at+1]) + string(marks[r.IntN(len(marks))]) + string(letters[at+1:]), ""
}

// without removes the characters from a text.
func without(characters string) func(string) string {
	return func(s string) string {
		return strings.Map(func(c rune) rune {
			if strings.ContainsRune(characters, c) {
				return -1
			}
			return c
		}, s)
	}
}

func reversed(s string) string {
	letters := []rune(s)
	for i, j := 0, len(letters)-1; i < j; i, j = i+1, j-1 {
		letters[i], letters[j] = letters[j], letters[i]
	}
	return string(letters)
}
