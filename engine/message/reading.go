package message

import (
	"bytes"
	"strings"
)

// A job is the parsing of one message: the first reading, and the list of
// what has to be read in another way. The budget keeps the whole linear: all
// further readings together look at no more bytes than four times the
// message.
type job struct {
	m          *Message
	count      int // parts made
	budget     int // bytes that further readings may still look at
	queue      []readAgain
	alternates []*Part
	bareCR     bool // in a header block
	nul        bool // in a header block
	inlineEnd  int  // where the last inline file ended
	inlinePart *Part
}

// A readAgain is one other way to read a part. Offsets are one more than they
// say, so that zero means none.
type readAgain struct {
	part  *Part
	depth int

	boundary string // split the body at this boundary
	prefix   bool   // and let anything follow it
	guess    bool   // or at one that seems to be there

	entity            int // read header and body again from here
	forceEnd, forceOn int // with the header ending, or not ending, there

	inside bool  // the body is a message
	decode bool  // the decoded body is what the header says
	codec  codec // by this encoding instead of the declared one
	first  bool  // no other reading is any good

	leaf *Part // a ready part
	sure bool  // an ambiguity even if both readings come out the same
	calm bool  // no ambiguity even if they do not: the type says that it is so
}

const maxReadingDepth = 2

func (j *job) splitter(src []byte, end int) *splitter {
	return &splitter{job: j, found: &j.m.found, src: src, end: end, forceEnd: -1, forceOn: -1}
}

// again notes another reading of a part.
func (j *job) again(s *splitter, r readAgain) {
	if s.depth >= maxReadingDepth {
		return
	}
	if r.part.reading.others >= j.m.lim.Readings {
		s.found.add(LimitReadings, "")
		return
	}
	r.part.reading.others++
	r.depth = s.depth
	j.queue = append(j.queue, r)
}

// readAgain works the list off.
func (j *job) readAgain() {
	for len(j.queue) > 0 {
		r := j.queue[0]
		j.queue = j.queue[1:]
		cost := r.part.end - r.part.start + 64
		if cost > j.budget || j.count >= j.m.lim.Parts {
			j.m.found.add(LimitReadings, "")
			j.m.found.add(Ambiguous, LimitReadings)
			return
		}
		j.budget -= cost
		j.read(r)
	}
}

func (j *job) read(r readAgain) {
	p := r.part
	switch {
	case r.leaf != nil:
		r.leaf.src, r.leaf.start, r.leaf.end = p.src, p.start, p.end
		j.count++
		j.alternates = append(j.alternates, r.leaf)
	case r.decode:
		j.readDecoded(r)
	case r.inside:
		src, start, end := p.src, p.start, p.end
		if p.reading.encoding != identity {
			src = p.Decoded()
			start, end = 0, len(src)
			j.budget -= len(src)
		}
		if headerish(src[start:end]) {
			j.readEntity(r, src, start, end, p, "message inside "+p.MediaType)
		}
	case r.entity > 0:
		j.readEntity(r, p.src, r.entity-1, p.end, p.Parent, "end of header")
	default:
		b := r.boundary
		if r.guess {
			b = guessBoundary(p.Raw())
		}
		if b != "" && bytes.Contains(p.Raw(), []byte("--"+b)) {
			j.readMultipart(r, p.src, p.start, p.end, b)
		} else if i := indexContentField(p.Raw()); r.guess && i >= 0 {
			j.readEntity(r, p.src, p.start+i, p.end, p, "boundary")
		} else if r.sure {
			j.m.found.add(Ambiguous, "boundary")
		}
	}
}

func (j *job) alternateSplitter(r readAgain, src []byte, end int) *splitter {
	s := j.splitter(src, end)
	s.alternate, s.depth, s.prefix, s.found = true, r.depth+1, r.prefix, new(defects)
	s.forceEnd, s.forceOn = r.forceEnd-1, r.forceOn-1
	return s
}

// readEntity reads src[start:end] as header and body.
func (j *job) readEntity(r readAgain, src []byte, start, end int, parent *Part, why string) {
	s := j.alternateSplitter(r, src, end)
	root := s.begin(nil, start, "text/plain")
	root.Parent = parent
	if parent != nil {
		root.Depth = parent.Depth + 1
	}
	s.run(start)
	j.keep(s, r, why)
}

// readMultipart reads src[start:end] as the body of a multipart.
func (j *job) readMultipart(r readAgain, src []byte, start, end int, boundary string) {
	p := r.part
	s := j.alternateSplitter(r, src, end)
	root := s.begin(nil, start, "text/plain")
	root.Parent, root.Depth, root.Header = p.Parent, p.Depth, p.Header
	root.MediaType, root.Params, root.Encoding = p.MediaType, p.Params, p.Encoding
	if !strings.HasPrefix(root.MediaType, "multipart/") {
		root.MediaType = "multipart/mixed"
	}
	s.enter(root, boundary, start)
	s.run(start)
	if root.reading.opaque {
		j.count -= len(s.made)
		return
	}
	j.keep(s, r, "boundary")
}

// keep adds what a further reading brought, unless it brought nothing new.
func (j *job) keep(s *splitter, r readAgain, why string) {
	sameBytes := len(s.src) == len(r.part.src) && len(s.src) > 0 && &s.src[0] == &r.part.src[0]
	if sameLeaves(s.made[0], r.part, sameBytes) {
		j.count -= len(s.made)
		if r.sure {
			j.m.found.add(Ambiguous, why)
		}
		return
	}
	j.alternates = append(j.alternates, documentOrder(s.made[0], nil)...)
	if !r.calm {
		j.m.found.add(Ambiguous, why)
	}
}

// sameLeaves tells whether two readings come to the same content: the same
// leaves, at the same places if both stand in the same bytes.
func sameLeaves(a, b *Part, ranges bool) bool {
	type content struct {
		mediaType  string
		codec      codec
		start, end int
	}
	list := func(root *Part) (all []content) {
		for _, p := range documentOrder(root, nil) {
			if !p.leaf() {
				continue
			}
			c := content{mediaType: p.MediaType, codec: p.reading.encoding}
			if ranges {
				c.end = p.end
				// A few lines more or less of plain text hide nothing.
				if c.codec != identity {
					c.start = p.start
				}
			}
			all = append(all, c)
		}
		return all
	}
	x, y := list(a), list(b)
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if x[i] != y[i] {
			return false
		}
	}
	return true
}

// readDecoded reads the decoded body of a multipart or an enclosed message.
func (j *job) readDecoded(r readAgain) {
	p := r.part
	var found defects
	c := p.reading.encoding
	if r.codec != identity {
		c = r.codec
	}
	dec := c.decode(p.Raw(), fillEnds, &found)
	j.budget -= len(dec)
	if !isMessageType(p.MediaType) {
		if b := trimRight(p.Params["boundary"]); b != "" && bytes.Contains(dec, []byte("--"+b)) {
			j.readMultipart(r, dec, 0, len(dec), b)
		} else if b := guessBoundary(dec); b != "" {
			j.readMultipart(r, dec, 0, len(dec), b)
		}
		return
	}
	if !headerish(dec) {
		return
	}
	if !r.first {
		j.readEntity(r, dec, 0, len(dec), p, "encoded message")
		return
	}
	s := j.splitter(dec, len(dec))
	s.depth = r.depth
	s.alternate = p.Alternate
	p.reading.opaque = false
	root := s.begin(p, 0, "text/plain")
	p.Children = append(p.Children, root)
	s.run(0)
}

// guessBoundary finds a boundary that a body seems to be split by: the first
// line that begins with "--" and is followed by a header.
func guessBoundary(body []byte) string {
	for tries := 0; tries < 8; tries++ {
		i := 0
		if !bytes.HasPrefix(body, []byte("--")) {
			if i = bytes.Index(body, []byte("\n--")); i < 0 {
				return ""
			}
			i++
		}
		line, rest := cutLine(body[i:])
		b := trimRight(string(line[2:min(len(line), 300)]))
		if b != "" && len(rest) > 8 && hasPrefixFold(string(rest[:8]), "content-") {
			return b
		}
		body = rest
	}
	return ""
}

// leadingBlank notes that a header block begins with an empty line, behind
// which something that looks like a header comes.
func (j *job) leadingBlank(s *splitter, pos, next int) {
	p := s.part
	whole := p.Parent == nil || isMessageType(p.Parent.MediaType)
	if whole {
		s.found.add(HeaderEmpty, "")
	}
	rest := s.src[next:s.end]
	for blankLine(rest) && len(rest) > 0 {
		l, r := cutLine(rest)
		next += len(l)
		rest = r
	}
	if headerish(rest) && (whole || (len(rest) > 8 && hasPrefixFold(string(rest[:8]), "content-"))) {
		j.again(s, readAgain{part: p, entity: next + 1})
	}
}

// wholeReadings reads the message once more as those see it who take a bare
// CR for a line end, or who drop NUL.
func (j *job) wholeReadings() {
	raw := j.m.raw
	again := func(src []byte, why string) {
		if j.budget < len(src) {
			return
		}
		j.budget -= len(src)
		s := j.alternateSplitter(readAgain{}, src, len(src))
		s.begin(nil, 0, "text/plain")
		s.run(0)
		j.keep(s, readAgain{part: j.m.root}, why)
	}
	if j.bareCR || bytes.Contains(raw, []byte("\r--")) {
		src := bytes.Clone(raw)
		for i, c := range src {
			if c == '\r' && i+1 < len(src) && src[i+1] != '\n' {
				src[i] = '\n'
			}
		}
		again(src, HeaderBareCR)
	}
	if j.nul {
		again(bytes.ReplaceAll(raw, []byte{0}, nil), HeaderNUL)
	}
}

// aside makes the text in front of the first delimiter, or behind the last,
// a part of its own, unless it says only what such text usually says.
func (j *job) aside(s *splitter, p *Part, start, end int, kind string) {
	if end <= start {
		return
	}
	text := bytes.TrimSpace(s.src[start:end])
	if len(text) == 0 || (kind == PreambleContent && boilerplate(text)) {
		return
	}
	s.found.add(kind, quote(text))
	if j.count >= j.m.lim.Parts || s.depth > 0 {
		return
	}
	a := &Part{Header: newHeader(nil), Parent: p, Depth: p.Depth + 1, MediaType: "text/plain", Alternate: true, src: s.src, start: start, end: end}
	a.reading.aside = true
	j.count++
	j.alternates = append(j.alternates, a)
	// Content fields outside the parts: somebody may read them as a part.
	if i := indexContentField(text); i >= 0 {
		off := start + bytes.Index(s.src[start:end], text) + i
		j.again(s, readAgain{part: a, entity: off + 1})
	}
}

func boilerplate(text []byte) bool {
	return len(text) < 400 && (bytes.Contains(text, []byte("MIME")) || bytes.Contains(text, []byte("multi-part")) || bytes.Contains(text, []byte("multipart")))
}

// indexContentField finds the first line that begins with "Content-".
func indexContentField(b []byte) int {
	for at := 0; ; {
		if len(b)-at > 8 && hasPrefixFold(string(b[at:at+8]), "content-") {
			return at
		}
		i := bytes.IndexByte(b[at:], '\n')
		if i < 0 {
			return -1
		}
		at += i + 1
	}
}
