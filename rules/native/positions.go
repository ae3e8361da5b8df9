package native

import (
	"strings"

	"spamcatcher/rules"
)

// positions remembers where the keys of each [[rule]] stand, because the TOML
// decoder does not tell.
type positions struct {
	tables []table
}

type table struct {
	pos  rules.Position
	keys map[string]rules.Position   // "header", "header.match"
	list map[string][]rules.Position // the strings of an array, by key
}

// locate finds the places of all keys. Its input has been accepted by the TOML
// decoder, so that it need not understand more than strings, comments,
// brackets and keys.
func locate(text string) *positions {
	l := &locator{text: text, line: 1}
	for l.i < len(l.text) {
		l.statement()
	}
	return &l.out
}

type locator struct {
	text string
	i    int
	line int
	bol  int // offset of the line's begin
	out  positions
}

func (l *locator) here() rules.Position { return rules.Position{Line: l.line, Col: l.i - l.bol + 1} }

func (l *locator) next() {
	if l.text[l.i] == '\n' {
		l.line++
		l.bol = l.i + 1
	}
	l.i++
}

// space skips white space, line ends and comments.
func (l *locator) space() {
	for l.i < len(l.text) {
		switch c := l.text[l.i]; {
		case c == '#':
			for l.i < len(l.text) && l.text[l.i] != '\n' {
				l.next()
			}
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			l.next()
		default:
			return
		}
	}
}

// statement reads one table head or one key with its value.
func (l *locator) statement() {
	l.space()
	if l.i >= len(l.text) {
		return
	}
	pos := l.here()
	if l.text[l.i] == '[' {
		for l.i < len(l.text) && l.text[l.i] != '\n' && l.text[l.i] != '#' {
			l.next()
		}
		head := strings.TrimSpace(l.text[l.bol+pos.Col-1 : l.i])
		if strings.HasPrefix(head, "[[") {
			l.out.tables = append(l.out.tables, table{
				pos: pos, keys: map[string]rules.Position{}, list: map[string][]rules.Position{},
			})
		}
		return
	}
	l.pair("")
}

// pair reads "key = value".
func (l *locator) pair(prefix string) {
	pos, key := l.here(), l.key()
	if prefix != "" {
		key = prefix + "." + key
	}
	if n := len(l.out.tables); n > 0 {
		l.out.tables[n-1].keys[key] = pos
	}
	l.space()
	if l.i < len(l.text) && l.text[l.i] == '=' {
		l.next()
	} else if l.i < len(l.text) {
		l.next() // never stand still
		return
	}
	l.value(key)
}

func (l *locator) key() string {
	var b strings.Builder
	for l.i < len(l.text) {
		switch c := l.text[l.i]; c {
		case '"', '\'':
			b.WriteString(l.str())
		case '=', '\n', '#', ',', '}', ']':
			return strings.TrimSpace(b.String())
		default:
			b.WriteByte(c)
			l.next()
		}
	}
	return strings.TrimSpace(b.String())
}

// str skips a string of any of the four kinds and returns its raw inside.
func (l *locator) str() string {
	q := l.text[l.i : l.i+1]
	if strings.HasPrefix(l.text[l.i:], q+q+q) {
		q = q + q + q
	}
	for range q {
		l.next()
	}
	begin := l.i
	for l.i < len(l.text) && !strings.HasPrefix(l.text[l.i:], q) {
		if q[0] == '"' && l.text[l.i] == '\\' && l.i+1 < len(l.text) {
			l.next()
		}
		l.next()
	}
	end := l.i
	for n := 0; l.i < len(l.text) && n < len(q); n++ {
		l.next()
	}
	// Up to two quotes more may belong to the string itself.
	for n := 0; len(q) == 3 && n < 2 && l.i < len(l.text) && l.text[l.i] == q[0]; n++ {
		l.next()
	}
	return l.text[begin:end]
}

func (l *locator) value(key string) {
	l.space()
	if l.i >= len(l.text) {
		return
	}
	switch l.text[l.i] {
	case '"', '\'':
		l.str()
	case '[':
		l.next()
		for l.i < len(l.text) {
			l.space()
			if l.i >= len(l.text) {
				return
			}
			switch l.text[l.i] {
			case ']':
				l.next()
				return
			case ',':
				l.next()
			default:
				if n := len(l.out.tables); n > 0 {
					t := l.out.tables[n-1]
					t.list[key] = append(t.list[key], l.here())
				}
				l.value(key + "[]")
			}
		}
	case '{':
		l.next()
		for l.i < len(l.text) {
			l.space()
			if l.i >= len(l.text) {
				return
			}
			switch l.text[l.i] {
			case '}':
				l.next()
				return
			case ',':
				l.next()
			default:
				l.pair(key)
			}
		}
	default:
		for l.i < len(l.text) && !strings.ContainsRune(",]}\n#", rune(l.text[l.i])) {
			l.next()
		}
	}
}
