package message

import (
	"strings"
	"sync"
)

// A Header is one header block. Every byte of the block belongs to exactly
// one of its fields.
type Header struct {
	fields []Field
	index  func() map[string][]int32 // for blocks of many fields
}

// A Field is one header field with its continuation lines, or a line that is
// no field.
type Field struct {
	Name string // as written, without white space before the colon; "" if the line is no field
	Raw  []byte // the whole field with its line ends

	text   string // what follows the colon, with line ends
	spaced bool   // white space stood before the colon
}

const manyFields = 48

func newHeader(fields []Field) *Header {
	h := &Header{fields: fields}
	if len(fields) > manyFields {
		h.index = sync.OnceValue(func() map[string][]int32 {
			m := make(map[string][]int32)
			for i, f := range fields {
				if f.Name != "" {
					k := asciiLower(f.Name)
					m[k] = append(m[k], int32(i))
				}
			}
			return m
		})
	}
	return h
}

// Fields lists the fields in order. Their Raw joined is the header block.
func (h *Header) Fields() []Field { return h.fields }

// each calls f for every field of a name until f returns false.
func (h *Header) each(name string, f func(Field) bool) {
	if name == "" {
		return
	}
	if h.index != nil {
		for _, i := range h.index()[asciiLower(name)] {
			if !f(h.fields[i]) {
				return
			}
		}
		return
	}
	for i := range h.fields {
		if n := h.fields[i].Name; len(n) == len(name) && equalFold(n, name) {
			if !f(h.fields[i]) {
				return
			}
		}
	}
}

func (h *Header) first(name string) (f Field, ok bool) {
	h.each(name, func(g Field) bool { f, ok = g, true; return false })
	return f, ok
}

// Get is the value of the first field of a name, in any case: unfolded,
// decoded, and trimmed of white space; "" if there is none.
func (h *Header) Get(name string) string {
	f, _ := h.first(name)
	return f.Decoded()
}

// Raw is like Get, but nothing is decoded.
func (h *Header) Raw(name string) string {
	f, _ := h.first(name)
	return f.Value()
}

// Values is like Get for all fields of a name.
func (h *Header) Values(name string) (all []string) {
	h.each(name, func(f Field) bool { all = append(all, f.Decoded()); return true })
	return all
}

// RawValues is like Raw for all fields of a name.
func (h *Header) RawValues(name string) (all []string) {
	h.each(name, func(f Field) bool { all = append(all, f.Value()); return true })
	return all
}

// Count is the number of fields of a name.
func (h *Header) Count(name string) (n int) {
	h.each(name, func(Field) bool { n++; return true })
	return n
}

// Has tells whether there is a field of a name.
func (h *Header) Has(name string) bool {
	_, ok := h.first(name)
	return ok
}

// Value is the field's text, unfolded and trimmed but not decoded.
func (f Field) Value() string { return unfold(f.text) }

// Decoded is Value with RFC 2047 encoded words decoded, and bytes over 127
// read as UTF-8 or else as windows-1252.
func (f Field) Decoded() string { return decodeWords(unfold(f.text)) }

// unfold takes the line ends out of a field's text. RFC 5322 section 2.2.3:
// only the line end goes, the white space behind it stays.
func unfold(s string) string {
	s = trimSpace(s)
	if strings.IndexByte(s, '\n') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\n' {
			if n := len(b); n > 0 && b[n-1] == '\r' {
				b = b[:n-1]
			}
			continue
		}
		b = append(b, s[i])
	}
	return string(b)
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func trimSpace(s string) string {
	for s != "" && isSpace(s[0]) {
		s = s[1:]
	}
	for s != "" && isSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		if a[i] != b[i] && lowerByte(a[i]) != lowerByte(b[i]) {
			return false
		}
	}
	return true
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && equalFold(s[:len(prefix)], prefix)
}

func asciiLower(s string) string {
	for i := 0; i < len(s); i++ {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				b[i] = lowerByte(b[i])
			}
			return string(b)
		}
	}
	return s
}

// fieldName finds the name of a header line: the bytes before its colon.
// spaced says that white space stands between. ok is false if the line is no
// field. RFC 5322 section 2.2: a name is printable ASCII without colon.
func fieldName(line []byte) (end, colon int, spaced, ok bool) {
	for i, c := range line {
		switch {
		case c == ':':
			if i == 0 {
				return 0, 0, false, false
			}
			if !spaced {
				end = i
			}
			return end, i, spaced, true
		case c == ' ' || c == '\t' || c == 0 || c == '\r':
			if i == 0 {
				return 0, 0, false, false
			}
			if !spaced {
				spaced, end = true, i
			}
		case c == '\n' || c < 33 || c == 127 || spaced:
			return 0, 0, false, false
		case c > 127:
			return 0, 0, false, false
		}
	}
	return 0, 0, false, false
}
