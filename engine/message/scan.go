package message

import "bytes"

// The splitter reads a message line by line, once. It keeps the stack of
// multiparts that are open, and looks every line that begins with "--" up
// among their boundaries by hash, so that neither depth nor the number of
// parts makes a line dearer. A delimiter closes everything above its multipart.
type splitter struct {
	m      *Message
	src    []byte
	end    int
	open   []frame
	byHash map[uint64]int // hash of boundary -> innermost frame that has it

	part     *Part // whose header or body is being read
	inHeader bool
	block    block
	alt      bool
	made     []*Part
}

type frame struct {
	part     *Part
	boundary string // "" for an enclosed message
	hash     uint64
	outer    int // frame with the same hash below, or -1
	begun    bool
	closed   bool
}

// split builds the part tree of a message.
func split(m *Message) {
	s := &splitter{m: m, src: m.raw, end: len(m.raw)}
	m.root = s.begin(nil, 0, "text/plain")
	s.run(0)
	m.parts = s.made
}

func (s *splitter) begin(parent *Part, pos int, defaultType string) *Part {
	p := &Part{Parent: parent, src: s.src, start: pos, end: s.end, MediaType: defaultType, Alternate: s.alt}
	if parent != nil {
		p.Depth = parent.Depth + 1
		parent.Children = append(parent.Children, p)
	}
	s.made = append(s.made, p)
	s.part, s.inHeader = p, true
	s.block = block{start: pos, name: -1}
	return p
}

func (s *splitter) run(pos int) {
	for pos < s.end {
		next := s.end
		if i := bytes.IndexByte(s.src[pos:s.end], '\n'); i >= 0 {
			next = pos + i + 1
		}
		line := s.src[pos:next]
		if len(s.open) > 0 && len(line) > 2 && line[0] == '-' && line[1] == '-' {
			if f, last, ok := s.delimiter(line); ok {
				s.closeTo(f, pos)
				fr := &s.open[f]
				fr.begun = true
				if last {
					fr.closed = true
					s.part, s.inHeader = nil, false
				} else if len(s.made) < s.m.lim.Parts {
					def := "text/plain"
					if fr.part.MediaType == "multipart/digest" {
						def = "message/rfc822"
					}
					s.begin(fr.part, next, def)
				} else {
					s.m.found.add(LimitParts, "")
					s.part, s.inHeader = nil, false
				}
				pos = next
				continue
			}
		}
		if s.inHeader {
			s.headerLine(line, pos, next)
		}
		pos = next
	}
	if s.inHeader {
		s.headerEnd(s.end, s.end)
	}
	s.closeTo(-1, s.end)
}

// delimiter looks a line up among the open boundaries.
func (s *splitter) delimiter(line []byte) (f int, last, ok bool) {
	rest := bytes.TrimRight(line[2:], " \t\r\n")
	if f, ok := s.lookup(rest); ok {
		return f, false, true
	}
	if bytes.HasSuffix(rest, []byte("--")) {
		if f, ok := s.lookup(rest[:len(rest)-2]); ok {
			return f, true, true
		}
	}
	return 0, false, false
}

func (s *splitter) lookup(b []byte) (int, bool) {
	f, ok := s.byHash[hashBytes(b)]
	if !ok || s.open[f].boundary != string(b) {
		return 0, false
	}
	return f, true
}

func hashBytes[T string | []byte](b T) uint64 {
	h := uint64(14695981039346656037)
	for i := 0; i < len(b); i++ {
		h = (h ^ uint64(b[i])) * 1099511628211
	}
	return h
}

// closeTo ends the part being read and all frames above f at pos, where a
// delimiter begins. RFC 2046 section 5.1.1: the line end in front of a
// delimiter belongs to it.
func (s *splitter) closeTo(f, pos int) {
	if s.inHeader {
		s.headerEnd(pos, pos)
	}
	end := pos
	if f >= 0 {
		if end > 0 && s.src[end-1] == '\n' {
			end--
			if end > 0 && s.src[end-1] == '\r' {
				end--
			}
		}
	}
	if s.part != nil {
		s.part.end = max(end, s.part.start)
	}
	for i := len(s.open) - 1; i > f; i-- {
		fr := &s.open[i]
		fr.part.end = max(end, fr.part.start)
		if fr.boundary != "" {
			if fr.outer >= 0 {
				s.byHash[fr.hash] = fr.outer
			} else {
				delete(s.byHash, fr.hash)
			}
			if !fr.begun {
				s.m.found.add(BoundaryUnused, fr.boundary)
				fr.part.reading.opaque = true
			} else if !fr.closed {
				s.m.found.add(BoundaryUnclosed, fr.boundary)
			}
		}
	}
	s.open = s.open[:f+1]
	s.part = nil
}

// enter opens a container whose body begins at pos.
func (s *splitter) enter(p *Part, boundary string, pos int) {
	p.reading.container = true
	fr := frame{part: p, boundary: boundary, outer: -1}
	if boundary != "" {
		fr.hash = hashBytes(boundary)
		if s.byHash == nil {
			s.byHash = make(map[uint64]int)
		}
		if o, ok := s.byHash[fr.hash]; ok {
			fr.outer = o
		}
		s.byHash[fr.hash] = len(s.open)
	}
	s.open = append(s.open, fr)
	s.part, s.inHeader = nil, false
	if boundary == "" {
		s.begin(p, pos, "text/plain")
	}
}

// A block collects the lines of a header block.
type block struct {
	start int
	spans []span
	name  int
}

type span struct{ start, end, name, colon int32 }

func (s *splitter) headerLine(line []byte, pos, next int) {
	b := &s.block
	trimmed := bytes.TrimRight(line, "\r\n")
	if len(trimmed) == 0 {
		s.headerEnd(pos, next)
		return
	}
	if (line[0] == ' ' || line[0] == '\t') && len(b.spans) > 0 {
		b.spans[len(b.spans)-1].end = int32(next)
		return
	}
	name, colon, spaced, ok := fieldName(line)
	sp := span{int32(pos), int32(next), int32(name), int32(colon)}
	if !ok {
		sp.colon = -1
		s.m.found.add(HeaderNoColon, string(trimmed[:min(len(trimmed), maxDetail)]))
	}
	if spaced {
		s.m.found.add(HeaderSpaceColon, string(trimmed[:min(len(trimmed), maxDetail)]))
	}
	b.spans = append(b.spans, sp)
}

// headerEnd finishes the block that ends at pos; the body begins at next.
func (s *splitter) headerEnd(pos, next int) {
	p := s.part
	s.inHeader = false
	text := string(s.src[s.block.start:pos])
	fields := make([]Field, len(s.block.spans))
	for i, sp := range s.block.spans {
		f := Field{Raw: s.src[sp.start:sp.end:sp.end]}
		a, e := int(sp.start)-s.block.start, int(sp.end)-s.block.start
		if sp.colon >= 0 {
			f.Name = text[a : a+int(sp.name)]
			f.text = text[a+int(sp.colon)+1 : e]
		} else {
			f.text = text[a:e]
		}
		fields[i] = f
	}
	p.Header = newHeader(fields)
	p.start, p.end = next, s.end
	s.understand(p)
	switch {
	case len(p.MediaType) > 10 && p.MediaType[:10] == "multipart/":
		b := p.Params["boundary"]
		if b == "" {
			s.m.found.add(BoundaryMissing, "")
			p.reading.opaque = true
		} else if p.Depth >= s.m.lim.Depth {
			s.m.found.add(LimitDepth, "")
			p.reading.opaque = true
		} else {
			s.enter(p, b, next)
		}
	case p.MediaType == "message/rfc822" || p.MediaType == "message/global":
		if p.Depth >= s.m.lim.Depth || len(s.made) >= s.m.lim.Parts {
			s.m.found.add(LimitDepth, "")
			p.reading.opaque = true
		} else {
			s.enter(p, "", next)
		}
	}
}

// understand reads the Content fields of a part.
func (s *splitter) understand(p *Part) {
	if v := p.Header.Raw("Content-Type"); v != "" {
		head, params := splitParams(v, &s.m.found)
		p.Params = foldParams(params, &s.m.found)
		if i := bytes.IndexByte([]byte(head), '/'); i > 0 && i < len(head)-1 {
			p.MediaType = head
		} else {
			s.m.found.add(TypeBad, head)
		}
	}
	p.Charset = asciiLower(p.Params["charset"])
	if v := p.Header.Raw("Content-Disposition"); v != "" {
		head, params := splitParams(v, &s.m.found)
		p.Disposition = head
		p.Name = decodeWords(foldParams(params, &s.m.found)["filename"])
	}
	if p.Name == "" {
		p.Name = decodeWords(p.Params["name"])
	}
	p.Encoding, _ = splitParams(p.Header.Raw("Content-Transfer-Encoding"), nil)
	c, ok := codecs[p.Encoding]
	if !ok {
		s.m.found.add(EncodingUnknown, p.Encoding)
	}
	p.reading.encoding = c
}
