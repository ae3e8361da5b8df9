package message

import (
	"strings"
)

// understand reads the Content fields of a part. Where several values compete
// the first one counts, and the others become further readings.
func (s *splitter) understand(p *Part) {
	found := s.found
	kinds := s.contentTypes(p)
	codecs := s.encodings(p)
	if len(kinds) > 0 {
		k := kinds[0]
		if k.mediaType != "" {
			p.MediaType = k.mediaType
		}
		p.Params, p.Charset = k.params, k.charset
	}
	p.reading.encoding = codecs[0]

	if f, ok := p.Header.first("Content-Disposition"); ok {
		head, params := splitParams(f.Value(), found)
		p.Disposition = head
		p.addNames(foldParams(params, found)["filename"])
		for _, q := range params {
			if q.key == "filename" {
				p.addNames(q.value)
			}
		}
	}
	p.addNames(p.Params["name"])
	p.others(s, kinds, codecs)
}

// addNames gives the part one more file name; the first is its Name.
func (p *Part) addNames(name string) {
	name = trimSpace(decodeWords(name))
	if name == "" || name == p.Name {
		return
	}
	if p.Name == "" {
		p.Name = name
		return
	}
	for _, n := range p.names {
		if n == name {
			return
		}
	}
	if len(p.names) < 8 {
		p.names = append(p.names, name)
	}
}

// others notes the readings of a part that come from competing values.
func (p *Part) others(s *splitter, kinds []kind, codecs []codec) {
	if len(kinds) < 2 && len(codecs) < 2 {
		return
	}
	leaf := func(mediaType, charset string, params map[string]string, c codec) {
		q := &Part{Header: p.Header, Parent: p.Parent, Depth: p.Depth, MediaType: mediaType, Params: params, Charset: charset,
			Disposition: p.Disposition, Name: p.Name, Encoding: p.Encoding, Alternate: true}
		q.reading.encoding = c
		s.job.again(s, readAgain{part: p, leaf: q})
	}
	isContainer := func(t string) bool { return strings.HasPrefix(t, "multipart/") || isMessageType(t) }
	for i, k := range kinds {
		t := k.mediaType
		if t == "" {
			t = "text/plain"
		}
		switch {
		case strings.HasPrefix(t, "multipart/"):
			if b := trimRight(k.params["boundary"]); i > 0 && b != "" {
				s.job.again(s, readAgain{part: p, boundary: b, sure: k.sure})
			}
		case isMessageType(t):
			if i > 0 {
				s.job.again(s, readAgain{part: p, inside: true})
			}
		case i > 0:
			leaf(t, k.charset, k.params, codecs[0])
		}
		for _, c := range codecs[1:] {
			if !isContainer(t) {
				leaf(t, k.charset, k.params, c)
			} else if i == 0 && c != identity {
				s.job.again(s, readAgain{part: p, decode: true, codec: c})
			}
		}
	}
	if len(kinds) == 0 {
		for _, c := range codecs[1:] {
			leaf(p.MediaType, p.Charset, p.Params, c)
		}
	}
}

// A kind is one understanding of what a part is.
type kind struct {
	mediaType string // "" if it cannot be told
	charset   string
	params    map[string]string
	sure      bool // readers certainly disagree about it
}

// contentTypes lists the ways in which the Content-Type of a part may be
// understood, the usual one first.
func (s *splitter) contentTypes(p *Part) (kinds []kind) {
	found := s.found
	add := func(k kind) bool {
		for _, o := range kinds {
			if o.mediaType == k.mediaType && o.params["boundary"] == k.params["boundary"] {
				return false
			}
		}
		kinds = append(kinds, k)
		return true
	}
	spaced, n := false, 0
	for i, f := range p.Header.fields {
		loose := looseName(f, "content-type")
		if !loose && (len(f.Name) != len("Content-Type") || !equalFold(f.Name, "Content-Type")) {
			continue
		}
		if n++; n > s.job.m.lim.Readings {
			break
		}
		spaced = spaced || f.spaced || loose
		value := f.Value()
		if loose {
			value = afterColon(value)
		}
		// A line break in the middle of the field without the white space
		// that makes a continuation.
		if next := i + 1; next < len(p.Header.fields) && p.Header.fields[next].Name == "" {
			if line := trimSpace(p.Header.fields[next].text); strings.IndexByte(line, '=') > 0 {
				defer func() { s.kindsOf(value+" "+line, add) }()
			}
		}
		was := len(kinds)
		s.kindsOf(value, add)
		if n > 1 && len(kinds) > was {
			found.add(TypeConflict, value)
			found.add(Ambiguous, TypeConflict)
			kinds[was].sure = true
		}
	}
	if spaced && len(kinds) > 0 {
		// Readers that want the colon right behind the name see no type.
		if add(kind{mediaType: "text/plain"}) {
			found.add(Ambiguous, HeaderSpaceColon)
		}
	}
	return kinds
}

// kindsOf adds the ways to understand one Content-Type value.
func (s *splitter) kindsOf(value string, add func(kind) bool) {
	found := s.found
	head, params := splitParams(value, found)
	// Parameters without the semicolon in front: "multipart/mixed boundary=x".
	if i := strings.IndexAny(head, " \t,"); i >= 0 {
		if joined := strings.Join(strings.Fields(head), ""); strings.Contains(head, " /") || strings.Contains(head, "/ ") {
			head = joined
		} else {
			found.add(ParamBad, head)
			rest := value[min(i, len(value)):]
			if j := strings.IndexAny(value, " \t,"); j >= 0 {
				rest = value[j+1:]
			}
			head = head[:i]
			_, params = splitParams(";"+rest, nil)
		}
	}
	k := kind{mediaType: head, params: foldParams(params, found)}
	k.charset = asciiLower(trimSpace(k.params["charset"]))
	if slash := strings.IndexByte(head, '/'); slash <= 0 || slash == len(head)-1 {
		found.add(TypeBad, head)
		k.mediaType = ""
		switch {
		case k.params["boundary"] != "":
			k.mediaType = "multipart/mixed"
		case head == "html" || head == "text/html":
			k.mediaType = "text/html"
		}
	}
	add(k)
	if strings.Contains(value, "=?") {
		if plain := decodeWords(value); plain != value && !strings.Contains(plain, "=?") {
			found.add(WordBad, value)
			s.kindsOf(plain, add)
		}
	}
	if k.params["boundary"] == "" && !strings.HasPrefix(k.mediaType, "multipart/") {
		return
	}
	for _, b := range boundaries(value, params) {
		c := k
		if b.value == k.params["boundary"] || b.value == "" {
			continue
		}
		c.params = map[string]string{}
		for key, v := range k.params {
			c.params[key] = v
		}
		c.params["boundary"] = b.value
		c.sure = b.declared
		if add(c) && b.declared {
			found.add(BoundaryDuplicate, b.value)
			found.add(Ambiguous, BoundaryDuplicate)
		}
	}
}
