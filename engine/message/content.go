package message

import (
	"bytes"
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
		if len(f.Name) != len("Content-Type") || !equalFold(f.Name, "Content-Type") {
			continue
		}
		if n++; n > s.job.m.lim.Readings {
			break
		}
		spaced = spaced || f.spaced
		value := f.Value()
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

// A boundary is one reading of a boundary parameter; declared says that it
// stands there as a parameter of its own.
type boundary struct {
	value    string
	declared bool
}

// boundaries lists the readings of the boundary parameters of a value: each
// one that is declared; with backslashes kept; cut at the first character
// that a token cannot have; up to the semicolon whatever the quotes say;
// without what stands behind NUL.
func boundaries(value string, params []param) (all []boundary) {
	var plain []param
	for _, p := range params {
		if base, _, star := strings.Cut(p.key, "*"); base == "boundary" {
			if star {
				continue
			}
			plain = append(plain, p)
			all = append(all, boundary{p.value, true})
		}
	}
	if ext := foldParams(onlyExtended(params), nil)["boundary"]; ext != "" {
		all = append(all, boundary{ext, true})
	}
	if len(plain) == 1 && len(all) == 1 && strings.IndexAny(value, "\\\x00(?'") < 0 && strings.IndexAny(plain[0].value, " \t;,\"") < 0 &&
		strings.Count(value, `"`)%2 == 0 && !strings.Contains(value, `"boundary`) {
		return all
	}
	lower := asciiLower(value)
	for at := 0; len(all) < 16; {
		i := strings.Index(lower[at:], "boundary")
		if i < 0 {
			break
		}
		at += i + len("boundary")
		rest := strings.TrimLeft(value[at:], " \t")
		if !strings.HasPrefix(rest, "=") {
			continue
		}
		rest = strings.TrimLeft(rest[1:], " \t")
		add := func(v string) {
			if v = trimSpace(v); v != "" {
				all = append(all, boundary{v, false})
				if n := strings.IndexByte(v, 0); n >= 0 {
					all = append(all, boundary{v[:n], false}, boundary{strings.ReplaceAll(v, "\x00", ""), false})
				}
			}
		}
		if strings.HasPrefix(rest, `"`) {
			if end := strings.IndexByte(rest[1:], '"'); end >= 0 {
				add(rest[1 : 1+end])
			} else {
				add(rest[1:])
			}
			if end := quotedEnd(rest, 0); end > 2 {
				add(strings.TrimSuffix(rest[1:end], `"`))
			}
		}
		end := strings.IndexByte(rest, ';')
		if end < 0 {
			end = len(rest)
		}
		add(strings.Trim(rest[:end], `"`))
		add(rest[:end])
		if i := strings.IndexAny(rest[:end], " \t(,\""); i > 0 {
			add(rest[:i])
		}
	}
	return all
}

func onlyExtended(params []param) (ext []param) {
	for _, p := range params {
		if strings.HasPrefix(p.key, "boundary*") {
			ext = append(ext, p)
		}
	}
	return ext
}

// encodings lists the transfer encodings that readers may see in a part, the
// usual one first; there is always one. It sets the part's Encoding.
func (s *splitter) encodings(p *Part) (all []codec) {
	found := s.found
	add := func(c codec) bool {
		for _, o := range all {
			if o == c {
				return false
			}
		}
		all = append(all, c)
		return true
	}
	n, spaced := 0, false
	p.Header.each("Content-Transfer-Encoding", func(f Field) bool {
		n++
		spaced = spaced || f.spaced
		value := f.Value()
		name, _ := splitParams(value, nil)
		if n == 1 {
			p.Encoding = name
		}
		c, ok := codecs[name]
		if ok {
			if asciiLower(value) != name {
				found.add(EncodingBad, value)
			}
			if add(c) && n > 1 {
				found.add(EncodingConflict, value)
				found.add(Ambiguous, EncodingConflict)
			}
			return n < 8
		}
		loose, ok := looseCodec(value)
		if !ok {
			found.add(EncodingUnknown, value)
			add(identity)
			return n < 8
		}
		found.add(EncodingBad, value)
		found.add(Ambiguous, EncodingBad)
		add(loose)
		add(identity)
		return n < 8
	})
	if len(all) == 0 {
		return append(all, identity)
	}
	if spaced && add(identity) {
		found.add(Ambiguous, HeaderSpaceColon)
	}
	return all
}

// looseCodec finds the name of an encoding somewhere in a value.
func looseCodec(value string) (codec, bool) {
	v := asciiLower(decodeWords(value))
	letters := strings.Map(func(r rune) rune {
		if ('a' <= r && r <= 'z') || ('0' <= r && r <= '9') || r == '-' {
			return r
		}
		return -1
	}, v)
	switch {
	case strings.Contains(letters, "base64"):
		return base64Codec, true
	case strings.Contains(letters, "quoted-printable"):
		return quotedPrintable, true
	case strings.Contains(letters, "uuencode") || strings.Contains(letters, "x-uue"):
		return uuencode, true
	case strings.Contains(letters, "7bit") || strings.Contains(letters, "8bit") || strings.Contains(letters, "binary"):
		return identity, true
	}
	return identity, false
}

// leafReadings looks at a leaf whose extent is now known for content that can
// be read in another way.
func (j *job) leafReadings(s *splitter, p *Part) {
	raw := p.Raw()
	other := func(c codec, fill base64Fill) {
		q := &Part{Header: p.Header, Parent: p.Parent, Depth: p.Depth, MediaType: p.MediaType, Params: p.Params, Charset: p.Charset,
			Disposition: p.Disposition, Name: p.Name, Encoding: p.Encoding, Alternate: true}
		q.reading.encoding, q.reading.fill = c, fill
		j.again(s, readAgain{part: p, leaf: q})
	}
	switch p.reading.encoding {
	case identity:
		if looksBase64(raw) {
			s.found.add(Base64Undeclared, "")
			other(base64Codec, fillEnds)
		}
	case base64Codec:
		i := bytes.IndexByte(raw, '=')
		if i < 0 {
			break
		}
		if rest := bytes.TrimLeft(raw[i:], "= \t\r\n"); len(rest) > 0 {
			if moreBase64(rest) {
				s.found.add(Ambiguous, Base64AfterPadding)
			}
			other(base64Codec, fillJunk)
		}
	}
	if p.reading.encoding != identity && strings.HasPrefix(p.MediaType, "text/") {
		j.inlineDecoded(s, p)
	}
}

// looksBase64 tells whether a body that does not say so is base64: its first
// line is long and pure, and so is the next one if it is no last line.
func looksBase64(raw []byte) bool {
	raw = bytes.TrimLeft(raw, "\r\n")
	line, rest := cutLine(raw[:min(len(raw), 4096)])
	line = bytes.TrimRight(line, "\r\n")
	if len(line) < 60 || len(line)%4 != 0 || !pureBase64(line) {
		return false
	}
	line, _ = cutLine(rest)
	return pureBase64(bytes.TrimRight(line, "\r\n"))
}

// moreBase64 tells whether what stands behind padding is base64 again.
func moreBase64(rest []byte) bool {
	line, _ := cutLine(rest[:min(len(rest), 1024)])
	line = bytes.TrimRight(line, "\r\n")
	return len(line) >= 4 && pureBase64(line)
}

func pureBase64(b []byte) bool {
	for _, c := range b {
		if v := base64Value[c]; v >= 64 && v != b64Pad {
			return false
		}
	}
	return true
}
