package spamassassin

import (
	"strings"
)

type contentType struct {
	kind, boundary, charset, name string
	bounded, declared, missing    bool
}

// parseContentType reads a Content-Type field, leniently.
func parseContentType(ct string, present bool) contentType {
	var c contentType
	if ct == "" || ct == "0" {
		c.missing = true
		ct = "text/plain; charset=us-ascii"
	}
	if m := boundaryForm.FindStringSubmatch(ct); m != nil {
		b := m[1]
		if b[0] != '"' {
			b = strings.TrimRight(b, white+";")
		}
		c.boundary, c.bounded = strings.ReplaceAll(b, `"`, ""), true
	}
	if m := charsetForm.FindStringSubmatch(ct); m != nil {
		c.charset, c.declared = m[1], true
	}
	if m := nameForm.FindStringSubmatch(ct); m != nil {
		c.name = m[1]
	}
	if c.name == "" && strings.Contains(ct, "*0") {
		parts := map[string]string{}
		for _, m := range nameStarForm.FindAllStringSubmatch(ct, 100) {
			parts[m[1]] = m[2]
		}
		for i := range len(parts) {
			c.name += parts[itoa(i)]
		}
	}
	k := strings.TrimLeft(ct, white)
	k, _, _ = strings.Cut(k, ";")
	if i := strings.IndexByte(k, '/'); i > 0 {
		j := i + 1
		for j < len(k) && k[j] != '/' && !spaceSet.has(k[j]) {
			j++
		}
		k = k[:j]
	}
	k = strings.ToLower(k)
	if k == "" {
		c.missing = true
	}
	if k == "" || plainTextForm.MatchString(k) && k != "text/x-vcard" && k != "text/calendar" && k != "text/html" {
		k = "text/plain"
	}
	c.kind = strings.Map(func(r rune) rune {
		if r <= 0x20 || r >= 0x7f || strings.ContainsRune(`"(),:;<=>?@[\]`, r) {
			return -1
		}
		return r
	}, k)
	return c
}

// index numbers the fields of each name.
func (e *entity) index() map[string][]int {
	if e.byKey == nil {
		e.byKey = make(map[string][]int, len(e.fields))
		for i := range e.fields {
			k := e.fields[i].key
			e.byKey[k] = append(e.byKey[k], i)
		}
	}
	return e.byKey
}

func (e *entity) has(key string) bool { return len(e.index()[key]) > 0 }

// value returns one field decoded, without line end.
func (e *entity) value(i int) string {
	f := &e.fields[i]
	if !f.known {
		f.decoded, f.known = decodeField(trim(unfold(f.raw)), f.key), true
	}
	return f.decoded
}

// last returns the last field of a name, decoded; "" if there is none.
func (e *entity) last(key string) string {
	ids := e.index()[key]
	if len(ids) == 0 {
		return ""
	}
	return e.value(ids[len(ids)-1])
}

// unfold puts one space where a field goes on in the next line.
func unfold(raw string) string {
	if !strings.Contains(raw, "\n ") && !strings.Contains(raw, "\n\t") {
		return raw
	}
	var b strings.Builder
	for i := 0; i < len(raw); i++ {
		if raw[i] == '\n' && i+1 < len(raw) && (raw[i+1] == ' ' || raw[i+1] == '\t') {
			for i+1 < len(raw) && (raw[i+1] == ' ' || raw[i+1] == '\t') {
				i++
			}
			b.WriteByte(' ')
			continue
		}
		b.WriteByte(raw[i])
	}
	return b.String()
}

// walk visits the parts in document order, containers before what they hold.
func (e *entity) walk(visit func(*entity)) {
	visit(e)
	for _, part := range e.parts {
		part.walk(visit)
	}
}

// field is one header field of a part.
type field struct {
	name    string // as written
	key     string // lower case
	raw     string // all behind the colon, with line ends
	decoded string
	known   bool // decoded is set
}

// entity is one part of a message.
type entity struct {
	fields   []field
	byKey    map[string][]int
	kind     string // media type in lower case
	charset  string
	declared bool // a charset was given
	name     string
	lines    []string // body, nil for multiparts
	parts    []*entity
	leaf     bool
	decoded  *string
	rendered *rendering
}
