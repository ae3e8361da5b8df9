package auth

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"sync"

	"spamcatcher/engine/message"
)

// A signed message is a message the way signatures see it: fields from the
// top to the bottom, and a body. RFC 6376 section 3.4 wants CRLF at the end of
// every line; a line end without CR is given one.
type signed struct {
	fields []headerField
	body   []byte
	hashes sync.Map // bodyForm -> func() bodyDigest
}

// A bodyForm is what of a body is hashed, and how.
type bodyForm struct {
	relaxed bool
	limit   int64 // bytes, -1 for all
}

// A bodyDigest is the SHA-256 of a body, and how long its canonical form is.
type bodyDigest struct {
	sum    [sha256.Size]byte
	length int64
}

// digest hashes the body once for each form.
func (s *signed) digest(form bodyForm) bodyDigest {
	found, _ := s.hashes.LoadOrStore(form, sync.OnceValue(func() (d bodyDigest) {
		h := bodyHash{to: sha256.New(), limit: form.limit}
		h.body(s.body, form.relaxed)
		h.to.Sum(d.sum[:0])
		d.length = h.length
		return d
	}))
	return found.(func() bodyDigest)()
}

// A headerField is one field with its line ends, and its name in lower case.
type headerField struct {
	name string
	raw  []byte
}

func newSigned(m *message.Message) *signed {
	s := &signed{body: crlf(m.Body())}
	fields := m.Header().Fields()
	s.fields = make([]headerField, 0, len(fields))
	for _, f := range fields {
		raw := crlf(f.Raw)
		if f.Name == "" || len(raw) == 0 {
			continue // no field: no signature covers it
		}
		if !bytes.HasSuffix(raw, []byte("\r\n")) {
			raw = append(raw[:len(raw):len(raw)], "\r\n"...)
		}
		s.fields = append(s.fields, headerField{lower(f.Name), raw})
	}
	return s
}

// named returns the fields of a name, which is in lower case, from the top.
func (s *signed) named(name string) (list []headerField) {
	for _, f := range s.fields {
		if f.name == name {
			list = append(list, f)
		}
	}
	return list
}

func (s *signed) count(name string) (n int) {
	for _, f := range s.fields {
		if f.name == name {
			n++
		}
	}
	return n
}

// value is what follows the colon.
func (f headerField) value() string {
	_, value, _ := bytes.Cut(f.raw, []byte(":"))
	return string(value)
}

// crlf gives every LF without a CR before it one.
func crlf(b []byte) []byte {
	bare := 0
	for i := 0; i < len(b); i++ {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			break
		}
		if i += n; i == 0 || b[i-1] != '\r' {
			bare++
		}
	}
	if bare == 0 {
		return b
	}
	fixed := make([]byte, 0, len(b)+bare)
	for i, c := range b {
		if c == '\n' && (i == 0 || b[i-1] != '\r') {
			fixed = append(fixed, '\r')
		}
		fixed = append(fixed, c)
	}
	return fixed
}

func lower(s string) string { return string(bytes.ToLower([]byte(s))) }

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// relaxedField appends a field in the relaxed form, with its line end. RFC
// 6376 section 3.4.2.
func relaxedField(out []byte, f headerField) []byte {
	_, value, _ := bytes.Cut(f.raw, []byte(":"))
	out = append(out, f.name...)
	out = append(out, ':')
	start, gap := len(out), false
	for _, c := range value {
		switch {
		case isBlank(c) || c == '\r' || c == '\n':
			gap = true
		default:
			if gap && len(out) > start {
				out = append(out, ' ')
			}
			gap = false
			out = append(out, c)
		}
	}
	return append(out, "\r\n"...)
}

// withoutSignature returns a signature field with the value of its b= tag
// taken out. RFC 6376 section 3.5.
func withoutSignature(f headerField) headerField {
	colon := bytes.IndexByte(f.raw, ':')
	for at := colon + 1; at < len(f.raw); {
		end := bytes.IndexByte(f.raw[at:], ';')
		if end < 0 {
			end = len(f.raw)
		} else {
			end += at
		}
		name, _, ok := bytes.Cut(f.raw[at:end], []byte("="))
		if ok && string(bytes.Trim(name, " \t\r\n")) == "b" {
			cut := at + len(name) + 1
			raw := make([]byte, 0, len(f.raw))
			raw = append(raw, f.raw[:cut]...)
			return headerField{f.name, append(raw, f.raw[end:]...)}
		}
		at = end + 1
	}
	return f
}

// A bodyHash hashes a canonical body, at most limit bytes of it unless limit
// is negative, and counts all of it.
type bodyHash struct {
	to     hash.Hash
	limit  int64
	length int64
}

func (h *bodyHash) write(b []byte) {
	rest := b
	if h.limit >= 0 {
		rest = b[:max(0, min(int64(len(b)), h.limit-h.length))]
	}
	h.to.Write(rest)
	h.length += int64(len(b))
}

var lineEnd = []byte("\r\n")

// body writes the canonical form of a body whose line ends are CRLF. RFC 6376
// sections 3.4.3 and 3.4.4: empty lines at the end are ignored; relaxed also
// drops white space at the end of lines and makes one space of any other; the
// last line ends with CRLF; a simple empty body is one CRLF.
func (h *bodyHash) body(b []byte, relaxed bool) {
	empty := 0 // lines not written yet
	wrote := false
	var line []byte
	for len(b) > 0 {
		end := bytes.Index(b, lineEnd)
		if end < 0 {
			end = len(b)
		}
		line = append(line[:0], b[:end]...)
		b = b[min(len(b), end+2):]
		if relaxed {
			line = squeeze(line)
		}
		if len(line) == 0 {
			empty++
			continue
		}
		for ; empty > 0; empty-- {
			h.write(lineEnd)
		}
		h.write(append(line, lineEnd...))
		wrote = true
	}
	if !wrote && !relaxed {
		h.write(lineEnd)
	}
}

// squeeze drops blanks at the end of a line and makes one space of any others,
// in place.
func squeeze(line []byte) []byte {
	out, gap := line[:0], false
	for _, c := range line {
		if isBlank(c) {
			gap = true
			continue
		}
		if gap {
			out = append(out, ' ')
			gap = false
		}
		out = append(out, c)
	}
	return out
}
