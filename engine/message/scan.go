package message

import (
	"bytes"
	"slices"
)

// The splitter reads a message line by line, once. It keeps the stack of
// multiparts that are open, and looks every line that begins with "--" up
// among their boundaries by hash, so that neither depth nor the number of
// parts makes a line dearer. A delimiter closes everything above its
// multipart. What may be read in another way is put on the job's list and
// read again when the first reading is complete.
type splitter struct {
	job    *job
	found  *defects // what is wrong; a further reading's go nowhere
	src    []byte
	end    int
	open   []frame
	byHash map[uint64]int // hash of boundary -> innermost frame that has it
	sizes  []int32        // how many open boundaries have a length

	part     *Part // whose header or body is being read, nil in a preamble or epilogue
	inHeader bool
	block    block
	made     []*Part
	crlf, lf int // lines that end with CRLF, with LF only

	// How this reading differs from the first one.
	alternate bool
	depth     int  // alternative readings within alternative readings
	prefix    bool // a delimiter may be followed by anything
	forceEnd  int  // the header ends at this offset
	forceOn   int  // the header goes on at this offset
}

// A frame is a container that is open.
type frame struct {
	part     *Part
	boundary string // "" for an enclosed message
	hash     uint64
	outer    int // frame with the same hash below, or -1
	begun    bool
	closed   bool
	after    int // where the closing delimiter's line ends
}

// split builds the part tree of a message.
func split(m *Message) {
	j := &job{m: m, budget: 4*len(m.raw) + 64<<10}
	s := j.splitter(m.raw, len(m.raw))
	m.root = s.begin(nil, 0, "text/plain")
	s.run(0)
	j.lineDefects(s.crlf, s.lf)
	j.wholeReadings()
	j.readAgain()
	m.parts = documentOrder(m.root, make([]*Part, 0, j.count))
	m.parts = append(m.parts, j.alternates...)
	if len(m.parts) > m.lim.Parts+1 {
		m.found.add(LimitParts, "")
		m.found.add(Ambiguous, LimitParts)
		clear(m.parts[m.lim.Parts+1:])
		m.parts = m.parts[:m.lim.Parts+1]
	}
}

// documentOrder walks the tree without recursion: it may be deep.
func documentOrder(root *Part, out []*Part) []*Part {
	stack := []*Part{root}
	for len(stack) > 0 {
		p := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		out = append(out, p)
		for _, c := range slices.Backward(p.Children) {
			stack = append(stack, c)
		}
	}
	return out
}

// begin starts a new part whose header is at pos.
func (s *splitter) begin(parent *Part, pos int, defaultType string) *Part {
	p := &Part{Parent: parent, src: s.src, start: pos, end: s.end, MediaType: defaultType, Alternate: s.alternate}
	if parent != nil {
		p.Depth = parent.Depth + 1
		p.Alternate = p.Alternate || parent.Alternate
	}
	s.made = append(s.made, p)
	s.job.count++
	s.part, s.inHeader = p, true
	s.block.reset(pos)
	return p
}

func (s *splitter) run(pos int) {
	found := s.found
	for pos < s.end {
		next := s.end
		if i := bytes.IndexByte(s.src[pos:s.end], '\n'); i >= 0 {
			next = pos + i + 1
			if i > 0 && s.src[next-2] == '\r' {
				s.crlf++
			} else {
				s.lf++
			}
		}
		line := s.src[pos:next]
		if len(s.open) > 0 && len(line) > 2 && line[0] == '-' && line[1] == '-' {
			if f, last, ok := s.delimiter(line); ok {
				if !s.cross(f, last, pos, next) {
					return
				}
				pos = next
				continue
			}
		}
		if s.inHeader {
			if s.headerLine(line, pos, next) {
				continue // the line belongs to the body: look at it again
			}
		} else {
			if len(line) > maxLine {
				found.add(LineTooLong, "")
			}
			if s.part != nil && (line[0] == 'b' || line[0] == '=') && inlineStart(line) && s.part.leaf() {
				s.job.inline(s, s.part, pos)
			}
		}
		pos = next
	}
	s.closeTo(-1, s.end)
}

// cross acts on a delimiter line of frame f. It returns false when there are
// too many parts; then the rest of the message is one opaque part.
func (s *splitter) cross(f int, last bool, pos, next int) bool {
	s.closeTo(f, pos)
	fr := &s.open[f]
	first := !fr.begun
	fr.begun = true
	if first {
		s.job.aside(s, fr.part, fr.part.start, s.beforeLine(pos), PreambleContent)
	}
	if last {
		if !fr.closed {
			fr.closed, fr.after = true, next
		}
		if first {
			s.found.add(MultipartEmpty, fr.boundary)
		}
		s.part = nil
		return true
	}
	if s.job.count >= s.job.m.lim.Parts {
		s.found.add(LimitParts, "")
		s.found.add(Ambiguous, LimitParts)
		p := s.begin(fr.part, pos, "text/plain")
		s.adopt(p)
		p.Header, p.start, p.reading.opaque = newHeader(nil), pos, true
		s.inHeader = false
		s.closeTo(-1, s.end)
		return false
	}
	def := "text/plain"
	if fr.part.MediaType == "multipart/digest" {
		def = "message/rfc822"
	}
	p := s.begin(fr.part, next, def)
	if fr.closed {
		// Behind the closing delimiter: RFC 2046 section 5.1.1 says that
		// nothing is to be seen here, yet some readers go on.
		s.found.add(BoundaryAfterClose, fr.boundary)
		s.found.add(Ambiguous, BoundaryAfterClose)
		p.Alternate = true
	}
	s.adopt(p)
	return true
}

// adopt makes a part known to its parent, or to the alternative readings.
func (s *splitter) adopt(p *Part) {
	if p.Alternate && !s.alternate && !p.Parent.Alternate {
		s.job.alternates = append(s.job.alternates, p)
		return
	}
	p.Parent.Children = append(p.Parent.Children, p)
	if p.Alternate && !s.alternate {
		s.job.alternates = append(s.job.alternates, p)
	}
}

// delimiter looks a line up among the open boundaries.
func (s *splitter) delimiter(line []byte) (f int, last, ok bool) {
	rest := bytes.TrimRight(line[2:], " \t\r\n")
	if f, ok := s.lookup(rest); ok {
		return f, false, true
	}
	if n := len(rest) - 2; n > 0 && rest[n] == '-' && rest[n+1] == '-' {
		if f, ok := s.lookup(rest[:n]); ok {
			return f, true, true
		}
	}
	// RFC 2046 section 5.1.1: it is sufficient that the line begins with the
	// boundary. Few readers do it that way.
	if f, n := s.lookupPrefix(rest); n > 0 {
		if s.prefix {
			return f, bytes.HasPrefix(rest[n:], []byte("--")) || bytes.HasSuffix(rest[n:], []byte("--")), true
		}
		s.found.add(BoundaryPrefix, string(rest[:min(len(rest), maxDetail)]))
		if p := s.open[f].part; !p.reading.prefixed {
			p.reading.prefixed = true
			s.job.again(s, readAgain{part: p, boundary: s.open[f].boundary, prefix: true})
		}
	}
	return 0, false, false
}

func (s *splitter) lookup(b []byte) (int, bool) {
	if len(b) >= len(s.sizes) || s.sizes[len(b)] == 0 {
		return 0, false
	}
	f, ok := s.byHash[hashBytes(b)]
	if !ok || s.open[f].boundary != string(b) {
		return 0, false
	}
	return f, true
}

// lookupPrefix finds the longest open boundary that b begins with and its
// length, in one pass over b.
func (s *splitter) lookupPrefix(b []byte) (f, n int) {
	h := uint64(hashStart)
	for i := 0; i < len(b) && i+1 < len(s.sizes); i++ {
		h = (h ^ uint64(b[i])) * hashStep
		if s.sizes[i+1] > 0 {
			if g, ok := s.byHash[h]; ok && s.open[g].boundary == string(b[:i+1]) {
				f, n = g, i+1
			}
		}
	}
	return f, n
}

// FNV-1a, which can be had for every prefix of a line in one pass.
const (
	hashStart = 14695981039346656037
	hashStep  = 1099511628211
)

func hashBytes[T string | []byte](b T) uint64 {
	h := uint64(hashStart)
	for i := 0; i < len(b); i++ {
		h = (h ^ uint64(b[i])) * hashStep
	}
	return h
}

// beforeLine is the offset of the line end in front of pos, which belongs to
// the delimiter at pos. RFC 2046 section 5.1.1.
func (s *splitter) beforeLine(pos int) int {
	if pos > 0 && s.src[pos-1] == '\n' {
		pos--
		if pos > 0 && s.src[pos-1] == '\r' {
			pos--
		}
	}
	return pos
}

// closeTo ends the part being read and all frames above f at pos, where a
// delimiter or the end of the input is.
func (s *splitter) closeTo(f, pos int) {
	if s.inHeader {
		s.found.add(HeaderMissingEnd, "")
		s.headerEnd(pos, pos)
		if s.inHeader { // a message inside that has no header either
			s.headerEnd(pos, pos)
		}
	}
	end := pos
	if f >= 0 {
		end = s.beforeLine(pos)
	}
	if s.part != nil {
		s.finish(s.part, end)
		end = s.part.end // an empty part may begin where the delimiter's line end is
	}
	for i := len(s.open) - 1; i > f; i-- {
		fr := &s.open[i]
		s.finish(fr.part, end)
		end = fr.part.end
		if fr.boundary == "" {
			continue
		}
		s.sizes[len(fr.boundary)]--
		if fr.outer >= 0 {
			s.byHash[fr.hash] = fr.outer
		} else {
			delete(s.byHash, fr.hash)
		}
		switch {
		case !fr.begun:
			s.found.add(BoundaryUnused, fr.boundary)
			fr.part.reading.opaque = true
			s.job.again(s, readAgain{part: fr.part, guess: true})
		case !fr.closed:
			s.found.add(BoundaryUnclosed, fr.boundary)
		default:
			s.job.aside(s, fr.part, fr.after, end, EpilogueContent)
		}
	}
	s.open = s.open[:f+1]
	s.part = nil
}

// finish ends a part's body.
func (s *splitter) finish(p *Part, end int) {
	p.end = max(end, p.start)
	if p.leaf() && !p.reading.opaque {
		s.job.leafReadings(s, p)
	}
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
			s.found.add(BoundaryNestedSame, boundary)
		} else if _, n := s.lookupPrefix([]byte(boundary)); n > 0 {
			s.found.add(BoundaryPrefix, boundary)
		}
		if n := len(boundary) + 1 - len(s.sizes); n > 0 {
			s.sizes = append(s.sizes, make([]int32, n)...)
		}
		s.sizes[len(boundary)]++
		s.byHash[fr.hash] = len(s.open)
	}
	s.open = append(s.open, fr)
	s.part, s.inHeader = nil, false
	if boundary == "" {
		s.adopt(s.begin(p, pos, "text/plain"))
	}
}

// lineDefects judges the line ends of the message and looks for NUL. A
// message that has only LF was written to a file that way: no defect.
func (j *job) lineDefects(crlf, lf int) {
	raw, body := j.m.raw, j.m.root.Raw()
	if crlf > 0 && lf > 0 {
		j.m.found.addN(LineBareLF, "", lf)
	}
	if n := bytes.Count(raw, []byte{'\r'}); n > crlf && hasBareCR(body) {
		j.m.found.addN(LineBareCR, "", n-crlf)
	}
	if n := bytes.Count(body, []byte{0}); n > 0 {
		j.m.found.addN(LineNUL, "", n)
	}
}
