package message

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Spelling is how the words of a text are written. Words that are broken up
// by other characters, or in which digits stand for letters, are read without
// trouble by people; somebody who writes most words so hides from programs.
type Spelling struct {
	Words  int  // of four characters or more; addresses, paths and code left out
	Broken int  // of them: with . - _ * ~ | or · between two letters
	Leet   int  // of them: with one of 0 1 3 4 5 7 8 $ before a letter
	Masked int  // of them: with characters without width, letters of two alphabets, accents set apart, or styled letters
	Turned bool // something is shown backwards
	Plain  int  // Latin, Greek and Cyrillic words that are letters alone, punctuation at the end left out
	Length int  // of all these, in letters
	Single int  // of them: one letter
}

// Disguised says whether Text is not what a person reads in it, and Skeleton
// is closer to that.
func (p Spelling) Disguised() bool {
	return p.Turned || p.many(p.Broken) || p.many(p.Leet) || p.many(p.Masked)
}

// many is more than a third of the words. Tables, patches and lists of hosts
// may come to that, at times.
func (p Spelling) many(words int) bool { return p.Words >= 8 && 3*words > p.Words }

// Spelling is how the words of Text are written.
func (m *Message) Spelling() Spelling {
	m.spellingOnce.Do(func() {
		m.spelling = spell(m.Text())
		m.spelling.Turned = strings.Contains(m.Text(), override)
	})
	return m.spelling
}

// Classes of characters in a word.
const (
	spellOther = iota
	spellBlank
	spellLetter
	spellDigit  // that no letter looks like
	spellFigure // that some letter looks like
	spellStyled // a letter of another shape
	spellUnseen // without width, or a mark on the letter before
	spellMark   // may stand between letters
	spellCode   // stands in addresses, paths and code
	spellEnd    // ends a word, but stands in code if something follows
)

var spellClass = func() (t [utf8.RuneSelf]byte) {
	for c := range byte(utf8.RuneSelf) {
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			t[c] = spellBlank
		case c < ' ' || c == 0x7f: // bytes that are no text
			t[c] = spellCode
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
			t[c] = spellLetter
		case strings.IndexByte("013457$8", c) >= 0:
			t[c] = spellFigure
		case '0' <= c && c <= '9':
			t[c] = spellDigit
		case strings.IndexByte(".-_*~|", c) >= 0:
			t[c] = spellMark
		case strings.IndexByte(`@/\=<>{}%&#+[]`, c) >= 0:
			t[c] = spellCode
		case c == ':' || c == '(':
			t[c] = spellEnd
		}
	}
	return t
}()

// spell reads a text once.
func spell(s string) (p Spelling) {
	var letters, run, marks, figures int
	var mark, figure, spoilt, foreign, ascii, alien, gap, masked bool
	for i := 0; ; {
		if letters == 0 && !spoilt && !foreign && !figure && (i == 0 || i < len(s) && (s[i-1] == ' ' || s[i-1] == '\n')) {
			// Most words are letters and nothing else.
			at := i
			for n := 0; ; i = at {
				for at < len(s) && (s[at] == ' ' || s[at] == '\n') {
					at++
				}
				if i, at = at, plainWord(s, at, &n); n == 0 {
					break
				}
				p.Plain++
				p.Length += n
				if n == 1 {
					p.Single++
				} else if n >= 4 {
					p.Words++
				}
			}
			mark = false
		}
		c, class, size := byte(0), byte(spellBlank), 1
		if i < len(s) {
			if c = s[i]; c < utf8.RuneSelf {
				class = spellClass[c]
			} else {
				var r rune
				r, size = utf8.DecodeRuneInString(s[i:])
				class = spellRune(r)
				switch {
				case class == spellStyled:
					masked, class = true, spellLetter
				case class == spellLetter && r >= 0x0530 && (r < 0x1E00 || r >= 0x2000):
					foreign = true
				case class == spellLetter && r >= 0x0370 && r < 0x0530:
					alien = true
				}
			}
		}
		switch class {
		case spellBlank:
			if run > 0 && run == letters && !spoilt && !foreign {
				p.Plain++
				p.Length += run
				if run == 1 {
					p.Single++
				}
			}
			if letters+figures >= 4 && !spoilt {
				p.Words++
				if marks > 0 {
					p.Broken++
				}
				if figures > 0 && figures <= letters {
					p.Leet++
				}
				if masked || ascii && alien {
					p.Masked++
				}
			}
			if i >= len(s) {
				return p
			}
			letters, run, marks, figures = 0, 0, 0, 0
			mark, figure, spoilt, foreign, ascii, alien, gap, masked = false, false, false, false, false, false, false, false
		case spellLetter:
			if mark && run > 0 && c|0x20 == c {
				marks++
			}
			if figure {
				figures++
			}
			if mark || figure {
				run = 0
			}
			letters++
			run++
			ascii = ascii || c < utf8.RuneSelf
			masked = masked || gap
			mark, figure, gap = false, false, false
		case spellUnseen:
			gap = letters > 0 && ascii
		case spellDigit:
			mark, foreign = false, true
		case spellFigure:
			figure, mark, foreign = true, false, true
		case spellMark:
			if mark && c != '.' && c != '-' { // __init__, **bold**
				spoilt = true
			}
			mark = letters > 0
		case spellCode:
			spoilt = true
		case spellEnd:
			spoilt = spoilt || i+1 < len(s) && s[i+1] > ' '
		}
		i += size
	}
}

// plainWord counts the letters from i on, if white space follows them or one
// mark of punctuation and then white space, and returns where that stands; n is
// 0 otherwise. Letters of two bytes are those from U+00C0 to U+052F: Latin,
// Greek and Cyrillic.
func plainWord(s string, i int, n *int) (end int) {
	*n = 0
	begin, wide, other := i, 0, 0
	for i < len(s) {
		c := s[i]
		if c < utf8.RuneSelf {
			if spellClass[c] == spellLetter && other == 0 {
				i++
				continue
			}
			if c == ' ' || c == '\n' || (c == ',' || c == '.' || c == '!' || c == '?' || c == ';') && (i+1 == len(s) || s[i+1] == ' ' || s[i+1] == '\n') {
				*n = i - begin - wide
				if c > ' ' {
					i++
				}
			}
			return i
		}
		if c < 0xC3 || c > 0xD4 || c == 0xCC || c >= 0xCD && i > begin+2*wide || i+1 == len(s) {
			return i // another length, a mark, or another alphabet than that of the letters before
		}
		if c >= 0xCD {
			other++
		}
		i += 2
		wide++
	}
	*n = i - begin - wide
	return i
}

func spellRune(r rune) byte {
	switch {
	case r == utf8.RuneError || 0x80 <= r && r < 0xA0:
		return spellCode
	case 0xC0 <= r && r < 0x0530 && (r < 0x02B0 || r >= 0x0370):
		return spellLetter // but for some signs that no word has
	case r == '·' || r == '•' || r == '‐' || r == '‑':
		return spellMark
	case 0xFF21 <= r && r < 0xFF5B, 0x1D400 <= r && r < 0x1D800, 0x24B6 <= r && r < 0x24EA, 0x1F130 <= r && r < 0x1F18A:
		return spellStyled
	case combining(r) || invisible(r):
		return spellUnseen
	case 0x0E00 <= r && r < 0x0E80, 0x3000 <= r && r < 0xA000, 0xF900 <= r && r < 0xFB00, 0x20000 <= r && r < 0x40000:
		return spellBlank // Thai, kana, Han: scripts without spaces have no words to count
	case unicode.IsSpace(r):
		return spellBlank
	case unicode.IsLetter(r):
		return spellLetter
	}
	return spellOther
}

// undress folds a text and takes other disguises off it: text shown backwards
// is turned round and, if many words wear them, marks between letters go and
// digits in words become letters.
func undress(text string, p Spelling) string {
	s := Fold(turnRound(text))
	broken, leet := p.many(p.Broken), p.many(p.Leet)
	if !broken && !leet {
		return s
	}
	out := make([]byte, 0, len(s))
	for s != "" {
		n := strings.IndexAny(s, " \n")
		if n < 0 {
			n = len(s)
		}
		word := s[:n]
		if letters := countLetters(word); letters < 2 || strings.ContainsAny(word, "@/=") {
			out = append(out, word...)
		} else {
			for i := 0; i < len(word); i++ {
				c := word[i]
				if broken && i > 0 && i < len(word)-1 && c < utf8.RuneSelf && spellClass[c] == spellMark {
					continue
				}
				if broken && strings.HasPrefix(word[i:], "·") {
					i++
					continue
				}
				if leet {
					if k := strings.IndexByte("013457$8", c); k >= 0 {
						c = "oieastsb"[k]
					}
				}
				out = append(out, c)
			}
		}
		if n < len(s) {
			out = append(out, s[n])
			n++
		}
		s = s[n:]
	}
	return string(out)
}

func countLetters(s string) (n int) {
	for i := range len(s) {
		if c := s[i] | 0x20; 'a' <= c && c <= 'z' || c >= utf8.RuneSelf {
			n++
		}
	}
	return n
}

// Text behind override is written from right to left, whatever its letters
// say, up to pop or the end of the line. Unicode Standard Annex #9, X4, X7.
const override, pop = "\u202e", "\u202c"

// turnRound puts text that an override shows backwards into the order in which
// it is read. Letters that run from right to left by themselves are not moved.
func turnRound(s string) string {
	at := strings.Index(s, override)
	if at < 0 {
		return s
	}
	var b strings.Builder
	for at >= 0 {
		b.WriteString(s[:at])
		s = s[at+len(override):]
		end := 0
		for end < len(s) && s[end] != '\n' && !strings.HasPrefix(s[end:], pop) {
			end++
		}
		run := s[:end]
		s = strings.TrimPrefix(s[end:], pop)
		if strings.ContainsFunc(run, func(r rune) bool {
			return 0x0590 <= r && r < 0x0900 || 0xFB1D <= r && r < 0xFE00 || 0xFE70 <= r && r < 0xFEFF
		}) {
			b.WriteString(run)
		} else {
			for run != "" {
				_, n := utf8.DecodeLastRuneInString(run)
				b.WriteString(run[len(run)-n:])
				run = run[:len(run)-n]
			}
		}
		at = strings.Index(s, override)
	}
	b.WriteString(s)
	return b.String()
}
