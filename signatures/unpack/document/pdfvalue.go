package document

import (
	"bytes"
)

// A pdfKind is the type of a PDF object (ISO 32000-1 section 7.3).
type pdfKind byte

const (
	pdfNull pdfKind = iota
	pdfNumber
	pdfName
	pdfString
	pdfArray
	pdfDict
	pdfRef
)

// A pdfValue is one PDF object. Names have their #xx escapes undone, strings
// their backslashes or hexadecimal digits.
type pdfValue struct {
	kind pdfKind
	num  int64      // of a number, or the object number of a reference
	text []byte     // of a name or string
	list []pdfValue // of an array; of a dictionary names and values in turn
	at   int        // where it begins: no two objects of a document have the same
}

// get is a dictionary's value for a key, the last one if there are several; nil
// for none.
func (v *pdfValue) get(key string) *pdfValue {
	if v == nil || v.kind != pdfDict {
		return nil
	}
	for i := len(v.list) - 2; i >= 0; i -= 2 {
		if string(v.list[i].text) == key {
			return &v.list[i+1]
		}
	}
	return nil
}

// name is v's text if it is a name, otherwise "".
func (v *pdfValue) name() string {
	if v == nil || v.kind != pdfName {
		return ""
	}
	return string(v.text)
}

// number is v's value if it is a number, otherwise other.
func (v *pdfValue) number(other int64) int64 {
	if v == nil || v.kind != pdfNumber {
		return other
	}
	return v.num
}

// Bounds of one object: what lies deeper or beyond is passed over.
const (
	pdfDepth  = 32
	pdfValues = 20000
)

// A pdfLexer reads objects leniently: it never fails, it only comes to an end.
type pdfLexer struct {
	b    []byte
	at   int
	base int  // what is added to places
	left int  // values that may still be kept
	open bool // the data ended within the object
}

func pdfSpace(c byte) bool {
	return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f' || c == 0
}

func pdfDelimiter(c byte) bool {
	switch c {
	case '(', ')', '<', '>', '[', ']', '{', '}', '/', '%':
		return true
	}
	return false
}

// space skips white space and comments.
func (l *pdfLexer) space() {
	for l.at < len(l.b) {
		switch c := l.b[l.at]; {
		case pdfSpace(c):
			l.at++
		case c == '%':
			end := bytes.IndexAny(l.b[l.at:], "\r\n")
			if end < 0 {
				l.at = len(l.b)
				return
			}
			l.at += end
		default:
			return
		}
	}
}

// value reads one object; ok is false at a closing bracket, which is passed over,
// and at the end.
func (l *pdfLexer) value(depth int) (v pdfValue, ok bool) {
	l.space()
	v.at = l.base + l.at
	if l.at >= len(l.b) {
		l.open = true
		return v, false
	}
	l.left--
	switch c := l.b[l.at]; c {
	case '/':
		l.at++
		v.kind, v.text = pdfName, l.name()
		return v, true
	case '(':
		l.at++
		v.kind, v.text = pdfString, l.literal()
		return v, true
	case '<':
		if l.at+1 < len(l.b) && l.b[l.at+1] == '<' {
			l.at += 2
			v.kind = pdfDict
			v.list = l.dictionary(depth + 1)
			return v, true
		}
		l.at++
		v.kind, v.text = pdfString, l.hexadecimal()
		return v, true
	case '[':
		l.at++
		v.kind = pdfArray
		v.list = l.sequence(depth + 1)
		return v, true
	case '>':
		l.at++
		if l.at < len(l.b) && l.b[l.at] == '>' {
			l.at++
		}
		return v, false
	case ']':
		l.at++
		return v, false
	case ')', '{', '}':
		l.at++
		return v, true
	}
	return l.word()
}

// word reads a number, a reference or a keyword.
func (l *pdfLexer) word() (v pdfValue, ok bool) {
	v.at = l.base + l.at
	start := l.at
	for l.at < len(l.b) && !pdfSpace(l.b[l.at]) && !pdfDelimiter(l.b[l.at]) {
		l.at++
	}
	word := l.b[start:l.at]
	n, isNumber := pdfInteger(word)
	if !isNumber {
		if s := string(word[:min(len(word), 9)]); s == "endobj" || s == "stream" || s == "endstream" || s == "obj" || s == "trailer" || s == "xref" || s == "startxref" {
			l.at = start
			return v, false
		}
		return v, true
	}
	v.kind, v.num = pdfNumber, n
	// ISO 32000-1 section 7.3.10: "12 0 R" is a reference.
	if word[0] >= '0' && word[0] <= '9' {
		at := l.at
		for at < len(l.b) && pdfSpace(l.b[at]) {
			at++
		}
		digits := at
		for at < len(l.b) && at < digits+5 && l.b[at] >= '0' && l.b[at] <= '9' {
			at++
		}
		if at > digits {
			gap := at
			for at < len(l.b) && pdfSpace(l.b[at]) {
				at++
			}
			if at > gap && at < len(l.b) && l.b[at] == 'R' && (at+1 == len(l.b) || pdfSpace(l.b[at+1]) || pdfDelimiter(l.b[at+1])) {
				v.kind = pdfRef
				l.at = at + 1
			}
		}
	}
	return v, true
}

// pdfInteger is the whole part of a number.
func pdfInteger(word []byte) (n int64, ok bool) {
	negative := false
	for i, c := range word {
		switch {
		case c >= '0' && c <= '9':
			ok = true
			if n < 1<<53 {
				n = n*10 + int64(c-'0')
			}
		case i == 0 && (c == '-' || c == '+'):
			negative = c == '-'
		case c == '.':
			if negative {
				n = -n
			}
			return n, ok || len(word) > 1
		default:
			return 0, false
		}
	}
	if negative {
		n = -n
	}
	return n, ok
}

func (l *pdfLexer) name() []byte {
	start, escaped := l.at, false
	for l.at < len(l.b) && !pdfSpace(l.b[l.at]) && !pdfDelimiter(l.b[l.at]) {
		escaped = escaped || l.b[l.at] == '#'
		l.at++
	}
	raw := l.b[start:l.at]
	if !escaped {
		return raw
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] == '#' && i+2 < len(raw) && hexDigit(raw[i+1]) >= 0 && hexDigit(raw[i+2]) >= 0 {
			out = append(out, byte(hexDigit(raw[i+1])<<4|hexDigit(raw[i+2])))
			i += 2
			continue
		}
		out = append(out, raw[i])
	}
	return out
}

// hexDigit is the value of a hexadecimal digit, -1 for another byte.
func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// literal reads a string in parentheses, which may nest.
func (l *pdfLexer) literal() []byte {
	depth := 1
	start, plain := l.at, true
	end := -1
	for i := l.at; i < len(l.b); i++ {
		c := l.b[i]
		if c == '\\' {
			plain = false
			i++
		} else if c == '(' {
			depth++
		} else if c == ')' {
			if depth--; depth == 0 {
				end = i
				break
			}
		}
	}
	if end < 0 {
		l.open = true
		l.at = len(l.b)
		return nil
	}
	l.at = end + 1
	raw := l.b[start:end]
	if plain {
		return raw
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			continue
		}
		i++
		if i == len(raw) {
			break
		}
		switch c := raw[i]; c {
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case '\n':
		case '\r':
			if i+1 < len(raw) && raw[i+1] == '\n' {
				i++
			}
		case '0', '1', '2', '3', '4', '5', '6', '7':
			n := int(c - '0')
			for k := 0; k < 2 && i+1 < len(raw) && raw[i+1] >= '0' && raw[i+1] <= '7'; k++ {
				i++
				n = n<<3 | int(raw[i]-'0')
			}
			out = append(out, byte(n))
		default:
			out = append(out, c)
		}
	}
	return out
}

func (l *pdfLexer) hexadecimal() []byte {
	end := bytes.IndexByte(l.b[l.at:], '>')
	if end < 0 {
		l.open = true
		l.at = len(l.b)
		return nil
	}
	raw := l.b[l.at : l.at+end]
	l.at += end + 1
	out := make([]byte, 0, len(raw)/2+1)
	high := -1
	for _, c := range raw {
		d := hexDigit(c)
		if d < 0 {
			continue
		}
		if high < 0 {
			high = d
			continue
		}
		out = append(out, byte(high<<4|d))
		high = -1
	}
	if high >= 0 {
		out = append(out, byte(high<<4))
	}
	return out
}

func (l *pdfLexer) sequence(depth int) (list []pdfValue) {
	if depth > pdfDepth {
		return nil
	}
	for {
		v, ok := l.value(depth)
		if !ok {
			return list
		}
		if l.left > 0 {
			list = append(list, v)
		}
	}
}

func (l *pdfLexer) dictionary(depth int) (list []pdfValue) {
	if depth > pdfDepth {
		return nil
	}
	for {
		key, ok := l.value(depth)
		if !ok {
			return list
		}
		if key.kind != pdfName {
			continue
		}
		v, ok := l.value(depth)
		if l.left > 0 {
			list = append(list, key, v)
		}
		if !ok {
			return list
		}
	}
}
