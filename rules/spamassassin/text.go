package spamassassin

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// rendering is the text of a leaf as a reader sees it.
type rendering struct {
	kind       string // "" when the part has no text
	text       string
	characters bool // text was decoded: it is characters, not bytes
	page       *htmlFacts
}

// maxBody bounds how many bytes of one part's text are looked at, with some
// grace to end at a line.
const (
	maxBody    = 50000
	maxRawBody = 500000
	grace      = 1024
)

// effectiveKind is the media type, or what the name of the part says.
func (e *entity) effectiveKind() string {
	name := strings.ToLower(e.name)
	if strings.HasSuffix(name, ".htm") || strings.HasSuffix(name, ".html") || strings.HasSuffix(name, ".shtml") || strings.HasSuffix(name, ".shtm") {
		return "text/html"
	}
	return e.kind
}

// render renders a leaf, once.
func (e *entity) render() *rendering {
	if e.rendered != nil {
		return e.rendered
	}
	r := &rendering{}
	e.rendered = r
	kind := e.effectiveKind()
	if kind != "text/plain" && kind != "text/html" {
		return r
	}
	r.kind = kind
	charset := e.charset
	if !e.declared {
		charset = "us-ascii"
	}
	source := e.decode()
	text, decoded := toUTF8(source, charset, false)
	if text == "" || kind == "text/plain" {
		r.text, r.characters = text, decoded
		r.kind = kind
		return r
	}
	r.page = renderHTML(text, decoded)
	r.text, r.characters = r.page.rendered, r.page.characters
	n := r.page.numbers
	length := countChars(r.text, true)
	spaces := 0
	for _, c := range r.text {
		if c < 0x80 && spaceSet.has(byte(c)) && c != '\f' || r.characters && c >= 0x80 && unicode.IsSpace(c) {
			spaces++
		}
	}
	n["html_length"] = float64(length)
	n["non_space_len"] = float64(length - spaces)
	n["ratio"] = float64(len(source)-length) / float64(len(source))
	return r
}

// octets is a text of an HTML part as rules see it: bytes.
func (m *mail) octets(s string, h *htmlFacts) string {
	if h.characters {
		return s
	}
	return narrow(s)
}

// narrow writes characters up to U+00FF as one byte each.
func narrow(s string) string {
	if isASCII(s) {
		return s
	}
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if r > 0xff {
			b = utf8.AppendRune(b, r)
		} else {
			b = append(b, byte(r))
		}
	}
	return string(b)
}

// cut bounds a text, at the next of some characters if it comes soon.
func cut(s string, limit int, at string) string {
	if len(s) <= limit {
		return s
	}
	for i := range len(at) {
		if j := strings.IndexByte(s[limit:], at[i]); j >= 0 && j <= grace {
			return s[:limit+j+1]
		}
	}
	return s[:limit]
}

// gather renders all leaves and makes the paragraphs.
func (m *mail) gather() {
	if m.gathered {
		return
	}
	m.gathered = true
	var texts []string
	characters := false
	any := false
	var visit func(e *entity)
	visit = func(e *entity) {
		if !e.leaf {
			for _, p := range e.parts {
				visit(p)
			}
			return
		}
		if e.kind == "" {
			return
		}
		r := e.render()
		any = any || r.text != ""
		text := r.text
		if len(text) > maxBody {
			limit := maxBody
			if r.characters { // counted in characters
				limit = byteOffset(text, maxBody)
			}
			text = cut(text, limit, "\n ")
		}
		if len(texts) > 0 {
			text = "\n" + text
		} else if text == "" {
			return
		}
		texts = append(texts, text)
		characters = characters || r.characters
		if r.page != nil {
			m.pages = append(m.pages, r.page)
		}
	}
	visit(m.entity)
	text := strings.Join(texts, "")
	if !characters {
		text = paragraphs(text, false)
		text = narrow(text)
	} else {
		text = paragraphs(text, true)
	}
	subject := "\n"
	if ids := m.index()["subject"]; len(ids) > 0 {
		subject = m.value(ids[len(ids)-1]) + "\n"
	}
	m.bodyLines = shortLines(subject + text)
}

// byteOffset returns where the character of a number begins.
func byteOffset(s string, n int) int {
	for i := range s {
		if n--; n < 0 {
			return i
		}
	}
	return len(s)
}

// paragraphs joins the lines of a paragraph by a space; paragraphs end in a
// line end.
func paragraphs(s string, characters bool) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		n := spaceAt(s, i, characters)
		if n == 0 {
			if s[i] == 0 {
				b = append(b, '\n')
			} else {
				b = append(b, s[i])
			}
			i++
			continue
		}
		// A run of white space: an empty line in it ends the paragraph.
		start := i
		for i < len(s) {
			n := spaceAt(s, i, characters)
			if n == 0 {
				break
			}
			i += n
		}
		gap := s[start:i]
		first, last := strings.IndexByte(gap, '\n'), strings.LastIndexByte(gap, '\n')
		if first >= 0 && last > first {
			if first > 0 {
				b = append(b, ' ')
			}
			b = append(b, '\n')
			if last+1 < len(gap) {
				b = append(b, ' ')
			}
		} else {
			b = append(b, ' ')
		}
	}
	return string(b)
}

// spaceAt returns the length of the white space at an offset, 0 if there is
// none.
func spaceAt(s string, i int, characters bool) int {
	c := s[i]
	if c < 0x80 {
		if spaceSet.has(c) {
			return 1
		}
		return 0
	}
	if !characters || c != 0xc2 && c != 0xe1 && c != 0xe2 && c != 0xe3 {
		return 0
	}
	if r, n := utf8.DecodeRuneInString(s[i:]); unicode.IsSpace(r) {
		return n
	}
	return 0
}

// shortLines splits a text into lines of at most 2048 bytes, at a space where
// there is one.
func shortLines(s string) []string {
	var out []string
	for _, line := range splitLines(s) {
		for len(line) > maxLine {
			n := strings.LastIndexByte(line[:maxLine+1], ' ') + 1
			if n == 0 {
				n = maxLine
			}
			out = append(out, line[:n])
			line = line[n:]
		}
		if line != "" {
			out = append(out, line)
		}
	}
	return out
}

// rawBody returns what rawbody rules see: the decoded source of text parts in
// chunks of 2 to 4 KB.
func (m *mail) rawBody() []string {
	if m.rawChunks != nil {
		return m.rawChunks
	}
	m.rawChunks = []string{}
	m.walk(func(e *entity) {
		if !e.leaf || e.kind == "" {
			return
		}
		kind := e.effectiveKind()
		if !strings.HasPrefix(kind, "text") && !strings.HasPrefix(kind, "message") || e.kind == "text/calendar" {
			return
		}
		m.rawChunks = append(m.rawChunks, chunks(cut(e.decode(), maxRawBody, "\n> "))...)
	})
	return m.rawChunks
}

func chunks(s string) []string {
	if len(s) <= maxLine {
		return []string{s}
	}
	var out []string
	for len(s) > 2*maxLine {
		at := -1
		for _, c := range []byte("\n> ") {
			if j := strings.IndexByte(s[maxLine:], c); j >= 0 && maxLine+j+1 <= 2*maxLine {
				at = maxLine + j
				break
			}
		}
		if at < 0 {
			at = maxLine
		}
		out = append(out, s[:at+1])
		s = s[at+1:]
	}
	if s != "" {
		out = append(out, s)
	}
	return out
}
