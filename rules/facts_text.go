package rules

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
)

// body is the visible text without the subject line that Message.Text begins
// with.
func body(m *engine.Mail) string {
	_, text, _ := strings.Cut(m.Message.Text(), "\n")
	return text
}

// textWords counts words of the visible text: runs of letters and digits.
// Each ideograph, kana and Thai letter pair counts as written without spaces:
// two such characters make a word.
func textWords(m *engine.Mail) (float64, bool) {
	return wordCount(body(m)), true
}

func wordCount(s string) float64 {
	n, dense, in := 0, 0, false
	for _, r := range s {
		switch {
		case r < 0x80:
			letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
			if letter && !in {
				n++
			}
			in = letter || in && (r == '\'' || r == '-')
		case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai):
			dense++
			in = false
		default:
			letter := unicode.IsLetter(r) || unicode.IsMark(r)
			if letter && !in {
				n++
			}
			in = letter
		}
	}
	return float64(n + dense/2)
}

// upperRatio is the share of capitals among the letters that have case; it
// exists from least letters on.
func upperRatio(s string, least int) (float64, bool) {
	upper, cased := 0, 0
	for _, r := range s {
		switch {
		case unicode.IsUpper(r):
			upper++
			cased++
		case unicode.IsLower(r):
			cased++
		}
	}
	if cased < least {
		return 0, false
	}
	return float64(upper) / float64(cased), true
}

func subjectUpper(m *engine.Mail) (float64, bool) {
	return upperRatio(m.Message.Header().Get("Subject"), 10)
}

// textUpper leaves out messages with a calendar part: its keywords are
// capitals.
func textUpper(m *engine.Mail) (float64, bool) {
	for _, p := range m.Message.Parts() {
		if p.MediaType == "text/calendar" {
			return 0, false
		}
	}
	return upperRatio(body(m), 100)
}

// subjectNeedlessEncoding: encoded words that hold nothing but ASCII letters,
// written so that filters do not read them. RFC 2047 section 5.
func subjectNeedlessEncoding(m *engine.Mail) (float64, bool) {
	h := m.Message.Header()
	raw := strings.ToLower(h.Raw("Subject"))
	if !strings.Contains(raw, "=?") {
		return 0, h.Has("Subject")
	}
	return truth(strings.Contains(raw, "?b?") && ascii(h.Get("Subject"))), true
}

func fromNeedlessEncoding(m *engine.Mail) (float64, bool) {
	h := m.Message.Header()
	raw := strings.ToLower(h.Raw("From"))
	if !strings.Contains(raw, "=?") {
		return 0, h.Has("From")
	}
	return truth(strings.Contains(raw, "?b?") && ascii(h.Get("From"))), true
}

// source8bit: the decoded source of the text parts holds characters beyond
// ASCII.
func source8bit(m *engine.Mail) (float64, bool) { return truth(has8bit(m.Message.Source())), true }

func ascii(s string) bool { return !has8bit(s) }

// subjectGap is the longest run of white space inside the decoded subject.
func subjectGap(m *engine.Mail) (float64, bool) {
	h := m.Message.Header()
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

func subjectSymbols(m *engine.Mail) (float64, bool) {
	h := m.Message.Header()
	return float64(symbols(h.Get("Subject"))), h.Has("Subject")
}

// subjectRepliesToNothing: "Re:" with neither In-Reply-To nor References.
func subjectRepliesToNothing(m *engine.Mail) (float64, bool) {
	h := m.Message.Header()
	s := strings.ToLower(h.Get("Subject"))
	re := strings.HasPrefix(s, "re:") || strings.HasPrefix(s, "re :") || strings.HasPrefix(s, "aw:") || strings.HasPrefix(s, "回复") || strings.HasPrefix(s, "回覆")
	return truth(re && !h.Has("In-Reply-To") && !h.Has("References") && !h.Has("Thread-Index")), h.Has("Subject")
}

// subjectIsName: the subject is the sender's display name or address.
func subjectIsName(m *engine.Mail) (float64, bool) {
	a, ok := first(m, "From")
	s := words(m.Message.Header().Get("Subject"))
	if !ok || len(s) < 6 {
		return 0, false
	}
	return truth(s == words(a.Name) || s == words(a.Address) || strings.TrimPrefix(s, "from ") == words(a.Name)), true
}

// zeroWidth counts characters without width or ink inside words: zero-width
// spaces and joiners between ASCII letters, soft hyphens, word joiners.
// Joiners between letters of Arabic, Persian and Indic scripts, in emoji, and
// the padding after a preview line are left out.
func zeroWidth(m *engine.Mail) (float64, bool) {
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
func bidiOverrides(m *engine.Mail) (float64, bool) {
	t := m.Message.Text()
	return float64(strings.Count(t, "\u202E") + strings.Count(t, "\u202D")), true
}

// mixedScript counts words of four letters or more that mix Latin letters
// with Cyrillic or Greek ones.
func mixedScript(m *engine.Mail) (float64, bool) {
	return float64(mixedWords(m.Message.Text())), true
}

func mixedScriptHeader(m *engine.Mail) (float64, bool) {
	h := m.Message.Header()
	n := mixedWords(h.Get("Subject"))
	if a, ok := first(m, "From"); ok {
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
func styledLetters(m *engine.Mail) (float64, bool) {
	n := 0
	t := m.Message.Text()
	if ascii(t) {
		return 0, true
	}
	for _, r := range t {
		if r >= 0x1D400 && r <= 0x1D7FF || r >= 0x1F130 && r <= 0x1F189 || r >= 0x24B6 && r <= 0x24E9 || r >= 0xFF21 && r <= 0xFF5A {
			n++
		}
	}
	return float64(n), true
}

// longestWord is the length of the longest run of ASCII letters and digits
// in the visible text, links left out, in characters.
func longestWord(m *engine.Mail) (float64, bool) {
	best, run := 0, 0
	t := body(m)
	for i := 0; i < len(t); i++ {
		c := t[i]
		switch {
		case asciiLetter(c) || c >= '0' && c <= '9':
			run++
			best = max(best, run)
		case c == '/' || c == '.' || c == ':' || c == '=' || c == '-' || c == '_' || c == '%' || c == '+' || c == '&' || c == '?' || c == '@' || c == '#':
			run = -1 << 30 // a link, path or code: skip to the next space
		case c <= ' ':
			run = 0
		}
		if run < 0 && c <= ' ' {
			run = 0
		}
	}
	return float64(best), true
}

// exclamations is the number of exclamation marks for each 100 words. It
// exists from 20 words on, and without any mark.
func exclamations(m *engine.Mail) (float64, bool) {
	t := body(m)
	n := strings.Count(t, "!") + strings.Count(t, "！")
	if n == 0 {
		return 0, true
	}
	w := wordCount(t)
	if w < 20 {
		return 0, false
	}
	return 100 * float64(n) / w, true
}

// charsetUnused: the text part declares a character set of one script, but
// holds not one letter of that script.
func charsetUnused(m *engine.Mail) (float64, bool) {
	for _, p := range textParts(m) {
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
func base64Ascii(m *engine.Mail) (float64, bool) {
	for _, p := range textParts(m) {
		if p.Encoding == "base64" {
			if d := p.Decoded(); len(d) > 0 && ascii(string(d)) {
				return 1, true
			}
		}
	}
	return 0, true
}

// textParts are the text/plain and text/html parts that are not attachments
// nor alternative readings.
func textParts(m *engine.Mail) []*message.Part {
	var out []*message.Part
	for _, p := range m.Message.Parts() {
		if p.Alternate || p.Disposition == "attachment" {
			continue
		}
		if p.MediaType == "text/plain" || p.MediaType == "text/html" {
			out = append(out, p)
		}
		if len(out) == 20 {
			break
		}
	}
	return out
}
