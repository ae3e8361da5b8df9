package rules

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// textWords counts words of the visible text: runs of letters and digits.
// Each ideograph, kana and Thai letter pair counts as written without spaces:
// two such characters make a word.
func textWords(m *evidence) (float64, bool) {
	return m.words(), true
}

func wordCount(s string) float64 {
	n, dense, in := 0, 0, false
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			i++
			switch textClass[c] {
			case upper, lower, digit:
				if !in {
					n++
				}
				in = true
			case joiner:
			default:
				in = false
			}
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		i += size
		if r >= 0x0E00 && unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai) {
			dense++
			in = false
			continue
		}
		letter := unicode.IsLetter(r) || unicode.IsMark(r)
		if letter && !in {
			n++
		}
		in = letter
	}
	return float64(n + dense/2)
}

// Classes of ASCII characters.
const (
	other = iota
	upper
	lower
	digit
	joiner // keeps a word together
	pathy  // stands in links, paths and code
	blank
)

// textClass is the class of each ASCII character.
var textClass = func() (t [256]byte) {
	for c := range byte(0x80) {
		switch {
		case c >= 'A' && c <= 'Z':
			t[c] = upper
		case c >= 'a' && c <= 'z':
			t[c] = lower
		case c >= '0' && c <= '9':
			t[c] = digit
		case c == '\'' || c == '-':
			t[c] = joiner
		case strings.IndexByte("/.:=_%+&?@#", c) >= 0:
			t[c] = pathy
		case c <= ' ':
			t[c] = blank
		}
	}
	return t
}()

// upperRatio is the share of capitals among the letters that have case; it
// exists from least letters on.
func upperRatio(s string, least int) (float64, bool) {
	var count [blank + 1]int
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			count[textClass[c]]++
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		i += size
		switch {
		case unicode.IsUpper(r):
			count[upper]++
		case unicode.IsLower(r):
			count[lower]++
		}
	}
	if count[upper]+count[lower] < least {
		return 0, false
	}
	return float64(count[upper]) / float64(count[upper]+count[lower]), true
}

func subjectUpper(m *evidence) (float64, bool) {
	return upperRatio(m.head().Get("Subject"), 10)
}

// textUpper leaves out messages with a calendar part: its keywords are
// capitals.
func textUpper(m *evidence) (float64, bool) {
	for _, p := range m.Message.Parts() {
		if p.MediaType == "text/calendar" {
			return 0, false
		}
	}
	return upperRatio(m.body(), 100)
}

// subjectNeedlessEncoding: encoded words that hold nothing but ASCII letters,
// written so that filters do not read them. RFC 2047 section 5.
func subjectNeedlessEncoding(m *evidence) (float64, bool) {
	h := m.head()
	raw := strings.ToLower(h.Raw("Subject"))
	if !strings.Contains(raw, "=?") {
		return 0, h.Has("Subject")
	}
	return truth(strings.Contains(raw, "?b?") && ascii(h.Get("Subject"))), true
}

func fromNeedlessEncoding(m *evidence) (float64, bool) {
	h := m.head()
	raw := strings.ToLower(h.Raw("From"))
	if !strings.Contains(raw, "=?") {
		return 0, h.Has("From")
	}
	return truth(strings.Contains(raw, "?b?") && ascii(h.Get("From"))), true
}

// source8bit: the decoded source of the text parts holds characters beyond
// ASCII.
func source8bit(m *evidence) (float64, bool) { return truth(has8bit(m.Message.Source())), true }

func ascii(s string) bool { return !has8bit(s) }

// subjectGap is the longest run of white space inside the decoded subject.
func subjectGap(m *evidence) (float64, bool) {
	h := m.head()
	best, run := 0, 0
	for _, r := range h.Get("Subject") {
		if unicode.IsSpace(r) || r == 0xA0 {
			run++
			best = max(best, run)
		} else {
			run = 0
		}
	}
	return float64(best), h.Has("Subject")
}

func subjectSymbols(m *evidence) (float64, bool) {
	h := m.head()
	return float64(symbols(h.Get("Subject"))), h.Has("Subject")
}

// subjectRepliesToNothing: "Re:" with neither In-Reply-To nor References.
func subjectRepliesToNothing(m *evidence) (float64, bool) {
	h := m.head()
	s := strings.ToLower(h.Get("Subject"))
	re := strings.HasPrefix(s, "re:") || strings.HasPrefix(s, "re :") || strings.HasPrefix(s, "aw:") || strings.HasPrefix(s, "回复") || strings.HasPrefix(s, "回覆")
	return truth(re && !h.Has("In-Reply-To") && !h.Has("References") && !h.Has("Thread-Index")), h.Has("Subject")
}

// subjectIsName: the subject is the sender's display name or address.
func subjectIsName(m *evidence) (float64, bool) {
	a, ok := m.first("From")
	s := words(m.head().Get("Subject"))
	if !ok || len(s) < 6 {
		return 0, false
	}
	return truth(s == words(a.Name) || s == words(a.Address) || strings.TrimPrefix(s, "from ") == words(a.Name)), true
}

// zeroWidth counts characters without width or ink inside words: zero-width
// spaces and joiners between ASCII letters, soft hyphens, word joiners.
// Joiners between letters of Arabic, Persian and Indic scripts, in emoji, and
// the padding after a preview line are left out.
func zeroWidth(m *evidence) (float64, bool) {
	if m.ascii() {
		return 0, true
	}
	t := m.Message.Text()
	n := 0
	for i := 0; i < len(t); {
		if t[i] < 0xC2 {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(t[i:])
		if invisible(r) && i > 0 && asciiLetter(t[i-1]) && i+size < len(t) && asciiLetter(t[i+size]) {
			n++
		}
		i += size
	}
	return float64(n), true
}

func asciiLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func invisible(r rune) bool {
	switch r {
	case 0x200B, 0x200C, 0x200D, 0x2060, 0x2061, 0x2062, 0x2063, 0x2064, 0xFEFF, 0x180E, 0x034F, 0x00AD, 0x115F, 0x1160, 0x3164:
		return true
	}
	return r >= 0xE0000 && r <= 0xE007F
}

// bidiOverrides counts right-to-left and left-to-right overrides.
func bidiOverrides(m *evidence) (float64, bool) {
	if m.ascii() {
		return 0, true
	}
	t := m.Message.Text()
	return float64(strings.Count(t, "\u202E") + strings.Count(t, "\u202D")), true
}

// mixedScript counts words of four letters or more that mix Latin letters
// with Cyrillic or Greek ones.
func mixedScript(m *evidence) (float64, bool) {
	if m.ascii() {
		return 0, true
	}
	return float64(mixedWords(m.Message.Text())), true
}

func mixedScriptHeader(m *evidence) (float64, bool) {
	h := m.head()
	n := mixedWords(h.Get("Subject"))
	if a, ok := m.first("From"); ok {
		n += mixedWords(a.Name)
	}
	return float64(n), true
}

func mixedWords(s string) int {
	if ascii(s) {
		return 0
	}
	n, latin, other, letters := 0, 0, 0, 0
	end := func() {
		if letters >= 4 && latin > 0 && other > 0 {
			n++
		}
		latin, other, letters = 0, 0, 0
	}
	for _, r := range s {
		switch {
		case r < 0x80:
			if asciiLetter(byte(r)) {
				latin++
				letters++
			} else {
				end()
			}
		case r == 0xB5 || invisible(r):
		case r >= 0x370 && r <= 0x3FF && unicode.IsLetter(r), r >= 0x400 && r <= 0x52F:
			other++
			letters++
		case unicode.Is(unicode.Latin, r):
			latin++
			letters++
		default:
			end()
		}
	}
	end()
	return n
}

// styledLetters counts letters of the mathematical and enclosed alphabets,
// full-width Latin letters included, that stand for plain ones.
func styledLetters(m *evidence) (float64, bool) {
	if m.ascii() {
		return 0, true
	}
	n := 0
	t := m.Message.Text()
	for _, r := range t {
		if r >= 0x1D400 && r <= 0x1D7FF || r >= 0x1F130 && r <= 0x1F189 || r >= 0x24B6 && r <= 0x24E9 || r >= 0xFF21 && r <= 0xFF5A {
			n++
		}
	}
	return float64(n), true
}

// longestWord is the length of the longest run of ASCII letters and digits
// in the visible text, links left out, in characters.
func longestWord(m *evidence) (float64, bool) {
	best, run := 0, 0
	t := m.body()
	for i := 0; i < len(t); i++ {
		switch textClass[t[i]] {
		case upper, lower, digit:
			if run++; run > best {
				best = run
			}
		case pathy, joiner:
			if t[i] != '\'' {
				run = -1 << 30 // a link, path or code: skip to the next space
			}
		case blank:
			run = 0
		}
	}
	return float64(best), true
}

// exclamations is the number of exclamation marks for each 100 words. It
// exists from 20 words on, and without any mark.
func exclamations(m *evidence) (float64, bool) {
	t := m.body()
	n := strings.Count(t, "!") + strings.Count(t, "！")
	if n == 0 {
		return 0, true
	}
	w := m.words()
	if w < 20 {
		return 0, false
	}
	return 100 * float64(n) / w, true
}

// charsetUnused: the text part declares a character set of one script, but
// holds not one letter of that script.
func charsetUnused(m *evidence) (float64, bool) {
	for _, p := range m.textParts() {
		t, ok := charsetScripts[strings.ToLower(p.Charset)]
		if !ok {
			continue
		}
		found := false
		for _, r := range p.Text() {
			if r >= 0x80 && unicode.In(r, t...) {
				found = true
				break
			}
		}
		if !found && len(p.Text()) > 40 {
			return 1, true
		}
	}
	return 0, true
}

var (
	cyrillic = []*unicode.RangeTable{unicode.Cyrillic}
	chinese  = []*unicode.RangeTable{unicode.Han}
	japanese = []*unicode.RangeTable{unicode.Han, unicode.Hiragana, unicode.Katakana}
	korean   = []*unicode.RangeTable{unicode.Hangul, unicode.Han}
)

var charsetScripts = map[string][]*unicode.RangeTable{
	"windows-1251": cyrillic, "cp1251": cyrillic, "koi8-r": cyrillic, "koi8-u": cyrillic, "iso-8859-5": cyrillic,
	"gb2312": chinese, "gbk": chinese, "gb18030": chinese, "big5": chinese, "hz-gb-2312": chinese,
	"iso-2022-jp": japanese, "shift_jis": japanese, "euc-jp": japanese,
	"euc-kr": korean, "ks_c_5601-1987": korean, "iso-2022-kr": korean,
	"iso-8859-7": {unicode.Greek}, "windows-1253": {unicode.Greek}, "windows-1255": {unicode.Hebrew}, "iso-8859-8": {unicode.Hebrew},
	"windows-1256": {unicode.Arabic}, "windows-874": {unicode.Thai}, "tis-620": {unicode.Thai},
}

// base64Ascii: a text part is in base64 though every byte of it is ASCII and
// its lines are short, so that nothing called for an encoding.
func base64Ascii(m *evidence) (float64, bool) {
	for _, p := range m.textParts() {
		if p.Encoding == "base64" {
			if d := p.Decoded(); len(d) > 0 && !has8bit(d) {
				return 1, true
			}
		}
	}
	return 0, true
}
