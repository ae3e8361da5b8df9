package message

import (
	"bytes"
	"strings"
)

// inlineStart tells whether a line begins a uuencoded or yEnc file.
func inlineStart(line []byte) bool {
	return uuBegin(line) != "" || bytes.HasPrefix(line, []byte("=ybegin "))
}

// uuBegin is the file name in a line "begin 644 name", "" if it is none.
func uuBegin(line []byte) string {
	rest, ok := bytes.CutPrefix(line, []byte("begin "))
	if !ok {
		return ""
	}
	rest = bytes.TrimLeft(rest, " ")
	n := 0
	for n < len(rest) && '0' <= rest[n] && rest[n] <= '7' {
		n++
	}
	if n < 3 || n > 6 || n >= len(rest) || rest[n] != ' ' {
		return ""
	}
	return string(bytes.TrimSpace(rest[n:min(len(rest), 300)]))
}

// inline makes the file that begins at pos in a text part a part of its own.
func (j *job) inline(s *splitter, p *Part, pos int) {
	if p == j.inlinePart && pos < j.inlineEnd {
		return // inside the file before
	}
	// A boundary of an open multipart would end the file; its lines are
	// no uuencoded ones.
	if end := j.inlineFile(s, p, s.src, pos, s.end); end > 0 {
		j.inlinePart, j.inlineEnd = p, end
	}
}

// inlineDecoded looks for such files in a text part that is encoded.
func (j *job) inlineDecoded(s *splitter, p *Part) {
	dec := p.Decoded()
	for at := 0; at < len(dec); {
		if inlineStart(dec[at:min(len(dec), at+300)]) {
			if end := j.inlineFile(s, p, dec, at, len(dec)); end > 0 {
				at = end
			}
		}
		i := indexInline(dec[at:])
		if i < 0 {
			return
		}
		at += i
	}
}

// indexInline is the offset of the next line behind the first that may begin
// a file.
func indexInline(b []byte) int {
	u, y := bytes.Index(b, []byte("\nbegin ")), bytes.Index(b, []byte("\n=ybegin "))
	switch {
	case u < 0 && y < 0:
		return -1
	case u < 0 || (y >= 0 && y < u):
		return y + 1
	}
	return u + 1
}

// inlineFile finds the extent of the file that begins at pos and makes it a
// part. It returns where the file ends, 0 if there is none.
func (j *job) inlineFile(s *splitter, p *Part, src []byte, pos, limit int) int {
	if j.count >= j.m.lim.Parts || s.depth > 0 {
		return 0
	}
	first, _ := cutLine(src[pos:limit])
	name, c, kind := uuBegin(first), uuencode, UuencodeInline
	if name == "" {
		c, kind = yenc, YencInline
		if i := bytes.Index(first, []byte(" name=")); i >= 0 {
			name = string(bytes.TrimSpace(first[i+6 : min(len(first), i+300)]))
		}
	}
	at, lines := pos+len(first), 0
	for at < limit {
		line, _ := cutLine(src[at:limit])
		text := bytes.TrimRight(line, "\r\n")
		if c == uuencode {
			if string(bytes.TrimSpace(text)) == "end" {
				at += len(line)
				break
			}
			if !uuLine(text) {
				break
			}
		} else {
			if bytes.HasPrefix(text, []byte("=yend")) {
				at += len(line)
				break
			}
			if bytes.HasPrefix(text, []byte("--")) && len(s.open) > 0 {
				break
			}
		}
		lines++
		at += len(line)
	}
	if lines == 0 {
		return 0
	}
	s.found.add(kind, name)
	q := &Part{Header: newHeader(nil), Parent: p, Depth: p.Depth + 1, MediaType: "application/octet-stream", Disposition: "attachment",
		Name: validText(name), Encoding: strings.TrimSuffix(kind, "_inline"), Alternate: true, src: src, start: pos, end: at}
	q.reading.encoding = c
	j.count++
	j.alternates = append(j.alternates, q)
	return at
}

// uuLine tells whether a line can be uuencoded: its first character counts
// the bytes, and the length fits, give or take what mailers strip or add.
func uuLine(line []byte) bool {
	if len(line) == 0 || line[0] < ' ' || line[0] > '`' {
		return len(line) == 0
	}
	n := (int(line[0]-' ')&63 + 2) / 3 * 4
	return len(line)-1 <= n+2 && (len(line)-1 >= n-3 || n == 0)
}
