package gateway

import (
	"bytes"
	"strings"
)

// The header block is edited on the bytes as they came, not on what was
// parsed: a field that stays, stays byte for byte, and a forged field goes in
// whatever form a lenient reader behind us could still take it for ours.
//
// A field is a line with the continuation lines that follow it. Lines end at
// LF, and at a CR without LF too, because some readers end them there. The
// block ends at the first empty line. A line without a colon is a field like
// any other here: readers disagree on whether it ends the block.

const (
	ourPrefix   = "x-spamcatcher-"
	authResults = "authentication-results"
	subjectTag  = "[spamcatcher]"
)

// maxHops is the number of Received fields from which on a message is taken to
// be in a loop, and maxOwnHops that of those which we wrote. RFC 5321 section
// 6.3: at least 100.
const (
	maxHops    = 100
	maxOwnHops = 3
)

// A header is what the gateway must know of a message's header block.
type header struct {
	forged   []span // fields that only we may write
	subjects []span
	broken   bool // there was a line that is no field
	late     bool // the first subject comes after such a line, where not every reader looks for it
	fields   int
	hops     int // Received fields
	ownHops  int // those that this host wrote
	size     int // bytes of the block, without the empty line
}

// A span is a part of the message. keep is the number of bytes at its end that
// stay when it is removed.
type span struct{ start, end, keep int }

// readHeader finds in a message what concerns the gateway. It stops with an
// error when the block is larger than maxBytes or has more than maxFields
// fields, and when the message is in a loop.
func readHeader(raw []byte, host string, maxBytes, maxFields int) (header, error) {
	var h header
	var f span
	afterLF, inField := true, false
	finish := func() {
		if inField {
			h.see(raw, f, host)
		}
	}
	pos, lf := 0, 0 // lf: behind the next LF
	for pos < len(raw) {
		if pos == lf {
			lf = len(raw)
			if i := bytes.IndexByte(raw[pos:], '\n'); i >= 0 {
				lf = pos + i + 1
			}
		}
		end := lineEnd(raw, pos, lf)
		line := raw[pos:end]
		if afterLF && (line[0] == '\n' || len(line) == 2 && line[0] == '\r' && line[1] == '\n') {
			break
		}
		folded := line[0] == ' ' || line[0] == '\t' || line[0] == '\r' || line[0] == '\n'
		if !folded || !inField {
			finish()
			h.fields++
			f, inField = span{start: pos}, true
			if !afterLF {
				f.keep = 1 // the line that the CR cut short needs an end
			}
		}
		f.end = end
		afterLF = line[len(line)-1] == '\n'
		pos = end
		if pos > maxBytes {
			return h, errHeader
		}
		if h.fields > maxFields {
			return h, errFields
		}
	}
	finish()
	h.size = pos
	if h.hops > maxHops || h.ownHops > maxOwnHops {
		return h, errLoop
	}
	return h, nil
}

// lineEnd returns where the line that starts at pos ends: behind its first CR
// without LF, or at lf.
func lineEnd(raw []byte, pos, lf int) int {
	if i := bytes.IndexByte(raw[pos:lf], '\r'); i >= 0 && !(pos+i+2 == lf && raw[lf-1] == '\n') {
		return pos + i + 1
	}
	return lf
}

// see takes note of one field.
func (h *header) see(raw []byte, f span, host string) {
	text := raw[f.start:f.end]
	name, value, colon := bytes.Cut(text, []byte(":"))
	if f.keep > 0 && bytes.HasSuffix(text, []byte("\r\n")) {
		f.keep = 2
	}
	switch folded := foldName(name); {
	case strings.HasPrefix(folded, ourPrefix),
		folded == authResults && namesHost(string(value), host):
		h.forged = append(h.forged, f)
		return
	}
	if !colon {
		h.broken = true
		return
	}
	switch name = bytes.TrimRight(name, " \t"); {
	case bytes.EqualFold(name, []byte("Subject")):
		h.late = h.late || h.broken && len(h.subjects) == 0
		h.subjects = append(h.subjects, f)
	case bytes.EqualFold(name, []byte("Received")):
		h.hops++
		if writtenBy(string(value), host) {
			h.ownHops++
		}
	}
}

// foldName brings a field's name to the form in which a lenient reader could
// take it: lower case, without white space, control and 8-bit characters. Only
// as much of it is looked at as matters.
func foldName(name []byte) string {
	var b [len(authResults) + 1]byte
	n := 0
	for _, c := range name {
		if c <= ' ' || c >= 0x7f {
			continue
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		b[n] = c
		if n++; n == len(b) {
			break
		}
	}
	return string(b[:n])
}

// namesHost says whether the value of an Authentication-Results field has our
// host as its authserv-id. RFC 8601 section 2.2: the id is a MIME token or
// quoted string after optional comments, followed by an optional version and a
// semicolon. Where that cannot be read, our name anywhere before the semicolon
// will do: RFC 8601 section 5 has us remove what could pass for ours.
func namesHost(value, host string) bool {
	rest, ok := skipComments(value)
	id := ""
	if ok && strings.HasPrefix(rest, `"`) {
		id, _, ok = quoted(rest)
	} else if ok {
		id = rest
		if i := strings.IndexAny(rest, " \t\r\n;(/,"); i >= 0 {
			id = rest[:i]
		}
	}
	if ok && id != "" {
		return sameHost(id, host)
	}
	head, _, _ := strings.Cut(value, ";")
	return strings.Contains(strings.ToLower(head), strings.ToLower(host))
}

func sameHost(id, host string) bool {
	return strings.EqualFold(strings.TrimSuffix(strings.TrimSpace(id), "."), strings.TrimSuffix(host, "."))
}

// skipComments skips white space and comments, nested ones too. RFC 5322
// section 3.2.2. It fails on a comment that does not end.
func skipComments(s string) (rest string, ok bool) {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && depth > 0:
			i++
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case depth == 0 && c > ' ':
			return s[i:], true
		}
	}
	return "", depth == 0
}

// quoted reads a quoted string at the beginning of s.
func quoted(s string) (text, rest string, ok bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; c {
		case '\\':
			if i++; i < len(s) {
				b.WriteByte(s[i])
			}
		case '"':
			return b.String(), s[i+1:], true
		case '\r', '\n':
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}

// writtenBy says whether the host is the one in the by clause of a Received
// field's value.
func writtenBy(value, host string) bool {
	depth, by := 0, false
	for word := range strings.FieldsSeq(value) {
		if depth == 0 && by {
			return sameHost(strings.TrimRight(word, ";"), host)
		}
		by = depth == 0 && strings.EqualFold(word, "by")
		depth = max(0, depth+strings.Count(word, "(")-strings.Count(word, ")"))
	}
	return false
}

// strip returns the message without the forged fields: raw itself when there
// are none, else a copy.
func (h header) strip(raw []byte) []byte {
	if len(h.forged) == 0 {
		return raw
	}
	out := make([]byte, 0, len(raw))
	pos := 0
	for _, f := range h.forged {
		out = append(out, raw[pos:f.start]...)
		pos = f.end - f.keep
	}
	return append(out, raw[pos:]...)
}

// compose returns the message as it goes out: the added fields, which it takes
// over, then the message, whose subjects get the tag if asked for. What stays
// of the message is not copied. The header must have been read from this
// message.
func (h header) compose(added, raw []byte, tag bool) [][]byte {
	if len(raw) > 0 && (raw[0] == ' ' || raw[0] == '\t') {
		// A message that begins with a continuation line must not continue
		// a field of ours.
		added = append(added, "X-SpamCatcher-Defect: continuation line\r\n"...)
	}
	if tag && (len(h.subjects) == 0 || h.late) {
		added = append(added, "Subject: "+subjectTag+"\r\n"...)
	}
	out := [][]byte{added}
	pos := 0
	if tag {
		// All of them: readers disagree on which of several they show.
		for _, f := range h.subjects {
			at, text := tagSubject(raw[f.start:f.end])
			out = append(out, raw[pos:f.start+at], []byte(text))
			pos = f.start + at
		}
	}
	return append(out, raw[pos:])
}

// tagSubject says where in a Subject field the tag goes, and how it is
// written there. What follows stays as it was encoded.
func tagSubject(field []byte) (at int, tag string) {
	at = bytes.IndexByte(field, ':') + 1
	line := field
	if i := bytes.IndexAny(field[at:], "\r\n"); i >= 0 {
		line = field[:at+i]
	}
	for at < len(line) && (line[at] == ' ' || line[at] == '\t') {
		at++
	}
	tag = subjectTag
	if c := line[at-1]; c == ':' {
		tag = " " + tag
	}
	switch {
	case at == len(line): // empty, or begins on the next line
	case len(line)+len(tag)+1 > limit(line):
		tag += "\r\n "
	default:
		tag += " "
	}
	return at, tag
}

// limit is how long a line of a subject may become. RFC 5322 section 2.1.1:
// 998; RFC 2047 section 2: 76 where there is an encoded word.
func limit(line []byte) int {
	if bytes.Contains(line, []byte("=?")) {
		return 76
	}
	return 998
}
