package spamassassin

import (
	"html"
	"strings"
	"unicode/utf8"
)

// htmlEvents are what an HTML document consists of.
type htmlEvents interface {
	tag(name string, attrs []attribute, open bool)
	text(s string)
	comment(s string)
	declaration(s string)
}

type attribute struct{ name, value string }

// entities decodes character references the way rules expect: numbers stand
// for characters of Unicode, also 128 to 159. wide notes that a character
// above U+00FF came of it.
func entities(s string, wide *bool) string {
	i := strings.IndexByte(s, '&')
	if i < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i >= 0 {
		b.WriteString(s[:i])
		s = s[i:]
		r, n := reference(s)
		if n == 0 {
			b.WriteByte('&')
			s = s[1:]
		} else {
			for _, c := range r {
				*wide = *wide || c > 0xff
			}
			b.WriteString(r)
			s = s[n:]
		}
		i = strings.IndexByte(s, '&')
	}
	b.WriteString(s)
	return b.String()
}

// reference reads the character reference that s begins with; n is 0 when
// there is none.
func reference(s string) (text string, n int) {
	if len(s) > 2 && s[1] == '#' {
		base, i := 10, 2
		if s[2] == 'x' || s[2] == 'X' {
			base, i = 16, 3
		}
		v, from := 0, i
		for ; i < len(s) && i-from < 9; i++ {
			d := hexDigit(s[i])
			if d < 0 || d >= base {
				break
			}
			v = v*base + d
		}
		if i == from || v == 0 || v > utf8.MaxRune {
			return "", 0
		}
		if i < len(s) && s[i] == ';' {
			i++
		}
		if v >= 0xd800 && v < 0xe000 {
			return "\uFFFD", i
		}
		return string(rune(v)), i
	}
	i := 1
	for i < len(s) && i < 32 && (s[i] >= '0' && s[i] <= '9' && i > 1 || (s[i]|32) >= 'a' && (s[i]|32) <= 'z') {
		i++
	}
	if i == 1 {
		return "", 0
	}
	if i < len(s) && s[i] == ';' {
		name := s[:i+1]
		if t := html.UnescapeString(name); t != name && utf8.RuneCountInString(t) == 1 {
			return t, i + 1
		}
		return "", 0
	}
	name := s[:i]
	if t := html.UnescapeString(name); t != name && utf8.RuneCountInString(t) == 1 {
		if r, _ := utf8.DecodeRuneInString(t); r <= 0xff {
			return t, i
		}
	}
	return "", 0
}

// literal elements hold text up to their end tag; in some of them it is plain.
var literalElements = map[string]bool{"script": true, "style": true, "xmp": true, "iframe": true, "plaintext": true, "title": false, "textarea": false}

type tokenizer struct {
	s       string
	out     htmlEvents
	wide    bool
	endless map[string]bool // literal elements of which no end tag follows
}

// tokenize reports what a document consists of. Text is cut at each "<", also
// where that begins no tag.
func (t *tokenizer) tokenize() {
	s, from, at := t.s, 0, 0
	mode := ""
	for at < len(s) {
		if mode != "" {
			end, next := t.literal(from, mode)
			if end < 0 {
				if mode == "plaintext" || mode == "xmp" || mode == "style" || mode == "script" {
					t.out.text(s[from:])
					return
				}
				if t.endless == nil {
					t.endless = map[string]bool{}
				}
				t.endless[mode] = true
				mode = ""
				at = from
				continue
			}
			if end > from {
				t.plain(s[from:end], literalElements[mode])
			}
			t.out.tag(mode, nil, false)
			mode, from, at = "", next, next
			continue
		}
		i := strings.IndexByte(s[at:], '<')
		if i < 0 {
			break
		}
		at += i
		if at > from {
			t.plain(s[from:at], false)
			from = at
		}
		next, literal, ok := t.markup(at)
		if !ok {
			at++
			continue
		}
		mode, from, at = literal, next, next
	}
	if from < len(s) {
		t.plain(s[from:], false)
	}
}

func (t *tokenizer) plain(s string, raw bool) {
	if !raw {
		s = entities(s, &t.wide)
	}
	t.out.text(s)
}

// literal finds the end tag of a literal element.
func (t *tokenizer) literal(from int, name string) (end, next int) {
	s := t.s
	if name == "plaintext" || t.endless[name] {
		return -1, 0
	}
	quoted := name == "script" || name == "style"
	var quote byte
	escaped := false
	for i := from; i < len(s); i++ {
		c := s[i]
		if c == '<' && quote == 0 {
			if i+2+len(name) <= len(s) && s[i+1] == '/' && strings.EqualFold(s[i+2:i+2+len(name)], name) {
				j := i + 2 + len(name)
				for j < len(s) && spaceSet.has(s[j]) {
					j++
				}
				if j < len(s) && s[j] == '>' {
					return i, j + 1
				}
			}
			continue
		}
		if !quoted {
			continue
		}
		switch {
		case escaped:
			escaped = false
		case c == '\\':
			escaped = true
		case quote != 0 && c == quote, c == '\r', c == '\n':
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		}
	}
	return -1, 0
}

func nameFirst(c byte) bool { return (c|32) >= 'a' && (c|32) <= 'z' || c == '_' || c == ':' }

// markup reads what begins with "<" at an offset and reports it. ok is false
// when it is text.
func (t *tokenizer) markup(at int) (next int, literal string, ok bool) {
	s := t.s
	if at+2 >= len(s) {
		return 0, "", false
	}
	switch c := s[at+1]; {
	case nameFirst(c):
		return t.open(at)
	case c == '/':
		return t.close(at)
	case c == '!':
		return t.bang(at)
	case c == '?':
		if i := strings.IndexByte(s[at:], '>'); i >= 0 {
			return at + i + 1, "", true
		}
		return t.rest(at)
	}
	return 0, "", false
}

// rest reports unterminated markup as a comment.
func (t *tokenizer) rest(at int) (int, string, bool) {
	if c := t.s[at+1]; nameFirst(c) || c == '!' || c == '/' {
		t.out.comment(t.s[at:])
		return len(t.s), "", true
	}
	return 0, "", false
}

func (t *tokenizer) open(at int) (int, string, bool) {
	s := t.s
	i := at + 2
	for i < len(s) && !spaceSet.has(s[i]) && s[i] != '>' {
		i++
	}
	name := strings.ToLower(s[at+1 : i])
	i = skipWhite(s, i)
	var attrs []attribute
	for i < len(s) && s[i] != '>' {
		from := i
		i++
		for i < len(s) && !spaceSet.has(s[i]) && s[i] != '>' && s[i] != '=' {
			i++
		}
		a := attribute{name: strings.ToLower(s[from:i])}
		a.value = s[from:i]
		if i = skipWhite(s, i); i < len(s) && s[i] == '=' {
			i = skipWhite(s, i+1)
			if i >= len(s) {
				break
			}
			switch c := s[i]; c {
			case '>':
				a.value = ""
			case '"', '\'':
				end := strings.IndexByte(s[i+1:], c)
				if end < 0 {
					return t.rest(at)
				}
				a.value = entities(s[i+1:i+1+end], &t.wide)
				i += end + 2
			default:
				from := i
				for i < len(s) && !spaceSet.has(s[i]) && s[i] != '>' {
					i++
				}
				a.value = entities(s[from:i], &t.wide)
			}
			i = skipWhite(s, i)
		}
		attrs = append(attrs, a)
	}
	if i >= len(s) {
		return t.rest(at)
	}
	t.out.tag(name, attrs, true)
	if _, literal := literalElements[name]; literal {
		return i + 1, name, true
	}
	return i + 1, "", true
}

func skipWhite(s string, i int) int {
	for i < len(s) && spaceSet.has(s[i]) {
		i++
	}
	return i
}

func (t *tokenizer) close(at int) (int, string, bool) {
	s := t.s
	i := at + 2
	end := strings.IndexByte(s[i:], '>')
	if end < 0 {
		return t.rest(at)
	}
	end += i
	if !nameFirst(s[i]) {
		t.out.comment(s[at : end+1])
		return end + 1, "", true
	}
	for i < end && !spaceSet.has(s[i]) {
		i++
	}
	t.out.tag(strings.ToLower(s[at+2:i]), nil, false)
	return end + 1, "", true
}

func (t *tokenizer) bang(at int) (int, string, bool) {
	s := t.s
	if strings.HasPrefix(s[at:], "<!--") {
		for i := at + 4; i < len(s); {
			j := strings.Index(s[i:], "--")
			if j < 0 {
				break
			}
			j += i + 2
			k := skipWhite(s, j)
			if k < len(s) && s[k] == '>' {
				t.out.comment(s[at : k+1])
				return k + 1, "", true
			}
			i = j - 1
		}
	}
	end := strings.IndexByte(s[at:], '>')
	if end < 0 {
		return t.rest(at)
	}
	end += at + 1
	if len(s) > at+2 && (s[at+2]|32) >= 'a' && (s[at+2]|32) <= 'z' {
		t.out.declaration(s[at:end])
	} else if !strings.HasPrefix(s[at:], "<![CDATA[") {
		t.out.comment(s[at:end])
	}
	return end, "", true
}
