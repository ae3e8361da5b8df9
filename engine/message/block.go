package message

import (
	"bytes"
	"strings"
)

const maxLine = 1000 // bytes of a line with its end, RFC 5322 section 2.1.1

// A block collects the lines of the header block that is being read.
type block struct {
	start int
	spans []span
	named bool // a field was seen
	rest  bool // over a limit: everything up to the empty line is one span
	odd   int  // offset of the first line at which readers may stop, or -1
}

// A span is one field: offsets into the source.
type span struct {
	start, end int
	name       int // length of the name
	colon      int // from start, -1 if the span is no field
	spaced     bool
}

func (b *block) reset(start int) {
	*b = block{start: start, spans: b.spans[:0], odd: -1}
}

// headerLine takes one line of a header block. It returns true if the header
// ends in front of the line, which then belongs to the body.
//
// Lines that are neither field nor continuation are the crux: most readers
// skip them, some take them for the beginning of the body. Here they are
// skipped if the line behind them still looks like a header, and the other
// decision is noted as another reading.
func (s *splitter) headerLine(line []byte, pos, next int) (body bool) {
	b, found, lim := &s.block, s.found, &s.job.m.lim
	text := bytes.TrimRight(line, "\r\n")
	if len(text) == 0 {
		if pos == s.forceOn && len(b.spans) > 0 {
			b.spans[len(b.spans)-1].end = next
			return false
		}
		if len(b.spans) == 0 {
			s.job.leadingBlank(s, pos, next)
		} else if len(line) > 2 && headerish(s.src[next:s.end]) {
			// CR CR LF: an empty line to most, but not to all.
			found.add(HeaderBareCR, "")
			s.job.again(s, readAgain{part: s.part, entity: b.start + 1, forceOn: pos + 1})
		}
		s.headerEnd(pos, next)
		return false
	}
	if pos == s.forceEnd {
		s.headerEnd(pos, pos)
		return true
	}
	if len(line) > maxLine {
		found.add(HeaderTooLong, "")
	}
	if b.rest {
		b.spans[len(b.spans)-1].end = next
		return false
	}
	if next-b.start > lim.HeaderBytes || len(b.spans) >= lim.Fields {
		found.add(LimitHeader, "")
		found.add(Ambiguous, LimitHeader)
		b.rest = true
		b.spans = append(b.spans, span{start: pos, end: next, colon: -1})
		return false
	}
	sp := span{start: pos, end: next, colon: -1}
	if line[0] == ' ' || line[0] == '\t' {
		blank := len(bytes.TrimLeft(text, " \t\r")) == 0
		switch {
		case blank && len(b.spans) > 0:
			found.add(HeaderBlankFold, "")
			if pos != s.forceOn && !headerish(s.src[next:s.end]) {
				s.headerEnd(pos, next)
				return false
			}
			b.note(pos)
			fallthrough
		case len(b.spans) > 0:
			b.spans[len(b.spans)-1].end = next
		default:
			found.add(HeaderLeadingFold, quote(text))
			b.spans = append(b.spans, sp)
		}
		return false
	}
	name, colon, spaced, ok := fieldName(line)
	if ok {
		sp.name, sp.colon, sp.spaced = name, colon, spaced
		if spaced {
			found.add(HeaderSpaceColon, quote(text))
		}
		b.named = true
		b.spans = append(b.spans, sp)
		return false
	}
	if len(b.spans) == 0 && (bytes.HasPrefix(text, []byte("From ")) || bytes.HasPrefix(text, []byte(">From "))) {
		found.add(HeaderFromLine, quote(text))
		b.spans = append(b.spans, sp)
		return false
	}
	ahead := s.src[next:s.end]
	if pos != s.forceOn && !headerish(ahead) && !(b.named && blankLine(ahead)) {
		found.add(HeaderMissingEnd, quote(text))
		if b.named {
			s.job.again(s, readAgain{part: s.part, entity: b.start + 1, forceOn: pos + 1})
		}
		s.headerEnd(pos, pos)
		return true
	}
	if bytes.IndexByte(text, ':') > 0 {
		found.add(HeaderBadName, quote(text))
	} else {
		found.add(HeaderNoColon, quote(text))
	}
	b.note(pos)
	b.spans = append(b.spans, sp)
	return false
}

func (b *block) note(pos int) {
	if b.odd < 0 {
		b.odd = pos
	}
}

func quote(b []byte) string { return string(b[:min(len(b), maxDetail)]) }

// headerish tells whether b begins with a field or a continuation line.
func headerish(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	if b[0] == ' ' || b[0] == '\t' {
		return len(bytes.TrimLeft(firstLine(b), " \t\r\n")) > 0
	}
	_, _, _, ok := fieldName(firstLine(b))
	return ok
}

func firstLine(b []byte) []byte {
	b = b[:min(len(b), maxLine)]
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		b = b[:i+1]
	}
	return b
}

func blankLine(b []byte) bool {
	return len(b) == 0 || len(bytes.TrimRight(firstLine(b), "\r\n")) == 0
}

// headerEnd finishes the block that ends at pos; the body begins at next.
func (s *splitter) headerEnd(pos, next int) {
	p, b := s.part, &s.block
	s.inHeader = false
	raw := s.src[b.start:pos]
	text := string(raw)
	fields := make([]Field, len(b.spans))
	for i, sp := range b.spans {
		f := Field{Raw: s.src[sp.start:sp.end:sp.end], spaced: sp.spaced}
		a, e := sp.start-b.start, sp.end-b.start
		if sp.colon >= 0 {
			f.Name = text[a : a+sp.name]
			f.text = text[a+sp.colon+1 : e]
		} else {
			f.text = text[a:e]
		}
		fields[i] = f
	}
	p.Header = newHeader(fields)
	p.start = next
	s.blockDefects(p, raw)
	if b.odd >= 0 {
		s.job.again(s, readAgain{part: p, entity: b.start + 1, forceEnd: b.odd + 1})
	}
	s.understand(p)
	s.descend(p, next)
}

// descend decides whether a part whose header is known is opened.
func (s *splitter) descend(p *Part, pos int) {
	found, lim := s.found, &s.job.m.lim
	switch {
	case strings.HasPrefix(p.MediaType, "multipart/"):
		p.reading.container = true
		boundary := trimRight(p.Params["boundary"])
		if p.reading.encoding != identity {
			found.add(EncodingOnMultipart, p.Encoding)
			s.job.again(s, readAgain{part: p, decode: true})
		}
		switch {
		case boundary == "":
			if _, ok := p.Params["boundary"]; ok {
				found.add(BoundaryEmpty, "")
			} else {
				found.add(BoundaryMissing, "")
			}
			p.reading.opaque = true
			s.job.again(s, readAgain{part: p, guess: true})
		case p.Depth >= lim.Depth:
			found.add(LimitDepth, "")
			found.add(Ambiguous, LimitDepth)
			p.reading.opaque = true
		default:
			if len(boundary) > 70 {
				found.add(BoundaryTooLong, boundary)
				s.job.again(s, readAgain{part: p, boundary: boundary[:70], prefix: true})
			}
			s.enter(p, boundary, pos)
		}
	case isMessageType(p.MediaType):
		p.reading.container = true
		switch {
		case p.Depth >= lim.Depth:
			found.add(LimitDepth, "")
			found.add(Ambiguous, LimitDepth)
			p.reading.opaque = true
		case s.job.count >= lim.Parts:
			found.add(LimitParts, "")
			found.add(Ambiguous, LimitParts)
			p.reading.opaque = true
		case p.reading.encoding != identity && !headerish(s.src[pos:s.end]):
			found.add(EncodingOnMultipart, p.Encoding)
			p.reading.opaque = true
			s.job.again(s, readAgain{part: p, decode: true, first: true})
		default:
			if p.reading.encoding != identity {
				found.add(EncodingOnMultipart, p.Encoding)
				s.job.again(s, readAgain{part: p, decode: true})
			}
			s.enter(p, "", pos)
		}
	case p.MediaType == "message/partial":
		found.add(Partial, "")
		s.job.again(s, readAgain{part: p, inside: true, calm: true})
	case p.MediaType == "message/external-body":
		found.add(ExternalBody, p.Params["access-type"])
		s.job.again(s, readAgain{part: p, inside: true, calm: true})
	}
}

func isMessageType(t string) bool { return t == "message/rfc822" || t == "message/global" }

func trimRight(s string) string { return strings.TrimRight(s, " \t\r\n") }

// onceOnly are the fields that may stand in a header only once. RFC 5322
// section 3.6; RFC 2045 and RFC 2183 for those of MIME.
var onceOnly = map[string]bool{
	"from": true, "to": true, "cc": true, "subject": true, "date": true, "sender": true, "reply-to": true,
	"message-id": true, "in-reply-to": true, "references": true, "mime-version": true,
	"content-type": true, "content-transfer-encoding": true, "content-disposition": true,
}

// blockDefects looks at one header block as a whole.
func (s *splitter) blockDefects(p *Part, raw []byte) {
	found, j := s.found, s.job
	if !isASCII(raw) {
		found.add(Header8Bit, "")
	}
	if bytes.IndexByte(raw, 0) >= 0 {
		found.add(HeaderNUL, "")
		j.nul = true
	}
	if hasBareCR(raw) {
		found.add(HeaderBareCR, "")
		j.bareCR = true
	}
	var seen [16]string
	n := 0
	for _, f := range p.Header.fields {
		// The longest name of onceOnly is content-transfer-encoding.
		if len(f.Name) < 2 || len(f.Name) > 25 {
			continue
		}
		var buf [25]byte
		key := buf[:len(f.Name)]
		for i := range key {
			key[i] = lowerByte(f.Name[i])
		}
		if !onceOnly[string(key)] {
			continue
		}
		dup := false
		for _, name := range seen[:n] {
			dup = dup || equalFold(name, f.Name)
		}
		if dup {
			found.add(HeaderDuplicate, f.Name)
		} else if n < len(seen) {
			seen[n] = f.Name
			n++
		}
	}
	if p.Parent == nil && p.Header.Has("Content-Type") && !p.Header.Has("MIME-Version") {
		found.add(VersionMissing, "")
	}
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// hasBareCR finds a CR that no LF follows.
func hasBareCR(b []byte) bool {
	for i := 0; ; {
		k := bytes.IndexByte(b[i:], '\r')
		if k < 0 {
			return false
		}
		if i += k + 1; i >= len(b) {
			return false
		}
		if b[i] != '\n' {
			return true
		}
	}
}
