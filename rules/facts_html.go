package rules

import (
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"

	"spamcatcher/engine/message"
)

func hasHTML(m *evidence) bool { return m.Message.HTML().Parts > 0 }

// htmlTextRatio is the share of visible characters among the characters of
// the HTML source.
func htmlTextRatio(m *evidence) (float64, bool) {
	if !hasHTML(m) {
		return 0, false
	}
	n := 0
	for _, p := range m.textParts() {
		if p.MediaType == "text/html" {
			n += utf8.RuneCountInString(p.Text())
		}
	}
	if n == 0 {
		return 0, false
	}
	return float64(m.Message.HTML().VisibleChars) / float64(n), true
}

// hiddenChars counts characters of text that a reader does not see, without
// comments and without the blank padding of preview lines.
func hiddenChars(m *evidence) (float64, bool) {
	if !hasHTML(m) {
		return 0, false
	}
	return float64(hidden(m)), true
}

func hidden(m *evidence) int {
	n := 0
	for _, h := range m.Message.HTML().Hidden {
		if h.Means == "comment" {
			continue
		}
		for _, r := range h.Text {
			if r > ' ' && r != 0xA0 && !invisible(r) {
				n++
			}
		}
	}
	return n
}

// hiddenBy makes a fact that counts characters hidden in one way.
func hiddenBy(means string) Fact {
	return func(m *evidence) (float64, bool) {
		if !hasHTML(m) {
			return 0, false
		}
		n := 0
		for _, h := range m.Message.HTML().Hidden {
			if h.Means == means {
				n += len(strings.TrimSpace(h.Text))
			}
		}
		return float64(n), true
	}
}

// hiddenRatio is the share of hidden characters among all of the HTML's text.
func hiddenRatio(m *evidence) (float64, bool) {
	if !hasHTML(m) {
		return 0, false
	}
	h := hidden(m)
	all := h + m.Message.HTML().VisibleChars
	if all < 50 {
		return 0, false
	}
	return float64(h) / float64(all), true
}

// hiddenRuns is the number of separate hidden stretches of text.
func hiddenRuns(m *evidence) (float64, bool) {
	if !hasHTML(m) {
		return 0, false
	}
	n := 0
	for _, h := range m.Message.HTML().Hidden {
		if h.Means != "comment" {
			n++
		}
	}
	return float64(n), true
}

// hiddenCrumbs counts hidden stretches of one to three characters,
// as they are strewn into words to break them for a filter.
func hiddenCrumbs(m *evidence) (float64, bool) {
	if !hasHTML(m) {
		return 0, false
	}
	n := 0
	for _, h := range m.Message.HTML().Hidden {
		t := strings.TrimSpace(h.Text)
		if h.Means != "comment" && len(t) > 0 && len(t) <= 3 && !has8bit(t) {
			n++
		}
	}
	return float64(n), true
}

func htmlMalformed(m *evidence) (float64, bool) {
	return float64(m.Message.HTML().Malformed), hasHTML(m)
}

func htmlComments(m *evidence) (float64, bool) {
	return float64(m.Message.HTML().Comments), hasHTML(m)
}

func htmlImages(m *evidence) (float64, bool) {
	return float64(len(m.Message.HTML().Images)), true
}

// imageOnly: at least one picture that is not a counting pixel, and fewer than
// 20 words to read beside it.
func imageOnly(m *evidence) (float64, bool) {
	if !hasHTML(m) {
		return 0, false
	}
	pictures := 0
	for _, i := range m.Message.HTML().Images {
		if !pixel(i) {
			pictures++
		}
	}
	return truth(pictures > 0 && m.words() < 20), true
}

// pixel says whether an image is too small to show anything.
func pixel(i message.Image) bool {
	return i.Width >= 0 && i.Width <= 3 || i.Height >= 0 && i.Height <= 3
}

// oneBigImageLink: the mail is a picture or two, all its links but mailto go
// to one address, and there are fewer than 30 words.
func oneBigImageLink(m *evidence) (float64, bool) {
	if !hasHTML(m) {
		return 0, false
	}
	var targets distinct[string]
	links := m.Message.Links()
	for i := range links {
		if l := &links[i]; l.Source == "href" && web(l) {
			targets.add(l.Norm)
		}
	}
	pictures := 0
	for _, i := range m.Message.HTML().Images {
		if !pixel(i) {
			pictures++
		}
	}
	return truth(targets.n == 1 && pictures > 0 && pictures <= 3 && m.words() < 30), true
}

// htmlOnly: there is an HTML part and no plain text to go with it.
func htmlOnly(m *evidence) (float64, bool) {
	html, plain := false, false
	for _, p := range m.textParts() {
		html = html || p.MediaType == "text/html"
		plain = plain || p.MediaType == "text/plain"
	}
	return truth(html && !plain), true
}

// alternativeOverlap is the share of the plain alternative's words (of four
// letters and more) that the HTML alternative also has. It exists when both
// are there and the plain one has 10 such words. Long texts are compared by
// their beginnings.
func alternativeOverlap(m *evidence) (float64, bool) {
	var plain, html *message.Part
	for _, p := range m.textParts() {
		if p.Parent == nil || p.Parent.MediaType != "multipart/alternative" {
			continue
		}
		if p.MediaType == "text/plain" && plain == nil {
			plain = p
		}
		if p.MediaType == "text/html" && html == nil {
			html = p
		}
	}
	if plain == nil || html == nil {
		return 0, false
	}
	m.few.reset()
	for w := range m.longWords(clip(plain.Text(), 1<<13)) {
		if !strings.HasPrefix(string(w), "http") {
			m.few.add(w)
		}
	}
	if m.few.all < 10 {
		return 0, false
	}
	for w := range m.longWords(clip(html.Text(), 1<<17)) {
		m.few.see(w)
	}
	return float64(m.few.shared) / float64(m.few.all), true
}

// longWords yields the words of four bytes and more in lower case, each until
// the next.
func (m *evidence) longWords(s string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		word := m.buffer[:0]
		defer func() { m.buffer = word }()
		end := func() bool {
			w := word
			word = word[:0]
			return len(w) < 4 || yield(w)
		}
		for i := 0; i < len(s); {
			r, size := rune(s[i]), 1
			if r >= utf8.RuneSelf {
				r, size = utf8.DecodeRuneInString(s[i:])
				r = unicode.ToLower(r)
			} else if textClass[r] == upper {
				r += 'a' - 'A'
			}
			i += size
			if !notLetter(r) {
				word = utf8.AppendRune(word, r)
			} else if !end() {
				return
			}
		}
		end()
	}
}

// alternativePlainEmpty: the plain alternative of an HTML text is blank.
func alternativePlainEmpty(m *evidence) (float64, bool) {
	for _, p := range m.Message.Parts() {
		if p.Alternate || p.MediaType != "multipart/alternative" {
			continue
		}
		plain, html := -1, -1
		for _, c := range p.Children {
			switch c.MediaType {
			case "text/plain":
				plain = len(strings.TrimSpace(c.Text()))
			case "text/html":
				html = len(strings.TrimSpace(c.Text()))
			}
		}
		if plain >= 0 && html >= 0 {
			return truth(plain == 0 && html > 0), true
		}
	}
	return 0, false
}

func notLetter(r rune) bool {
	return r < 0x80 && !asciiLetter(byte(r)) || r == 0xA0 || r >= 0x2000 && r <= 0x206F
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// entityAscii counts numeric character references that stand for plain ASCII
// letters or digits.
func entityAscii(m *evidence) (float64, bool) {
	if !hasHTML(m) {
		return 0, false
	}
	n := 0
	for _, p := range m.textParts() {
		if p.MediaType != "text/html" {
			continue
		}
		s := p.Text()
		for {
			i := strings.Index(s, "&#")
			if i < 0 {
				break
			}
			s = s[i+2:]
			if letterReference(s) {
				n++
			}
		}
	}
	return float64(n), true
}

// letterReference says whether s begins with the number of an ASCII letter or
// digit, decimal or after an x hexadecimal.
func letterReference(s string) bool {
	base := 10
	if len(s) > 0 && s[0]|0x20 == 'x' {
		base, s = 16, s[1:]
	}
	v, i := 0, 0
	for ; i < len(s) && i < 8; i++ {
		c := s[i] | 0x20
		switch {
		case s[i] >= '0' && s[i] <= '9':
			v = v*base + int(s[i]-'0')
		case base == 16 && c >= 'a' && c <= 'f':
			v = v*16 + int(c-'a') + 10
		default:
			c = 0
		}
		if c == 0 {
			break
		}
		if v > 0x7F {
			return false
		}
	}
	return i > 0 && (v >= 'a' && v <= 'z' || v >= 'A' && v <= 'Z' || v >= '0' && v <= '9')
}
