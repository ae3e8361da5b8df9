package message

import (
	"bytes"
	"strings"
)

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
	for _, f := range p.Header.fields {
		loose := looseName(f, "content-transfer-encoding")
		if !loose && (len(f.Name) != len("Content-Transfer-Encoding") || !equalFold(f.Name, "Content-Transfer-Encoding")) {
			continue
		}
		if n++; n > 8 {
			break
		}
		spaced = spaced || f.spaced || loose
		value := f.Value()
		if loose {
			value = afterColon(value)
		}
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
			continue
		}
		likely, ok := looseCodec(value)
		if !ok {
			found.add(EncodingUnknown, value)
			add(identity)
			continue
		}
		found.add(EncodingBad, value)
		found.add(Ambiguous, EncodingBad)
		add(likely)
		add(identity)
	}
	if len(all) == 0 {
		return append(all, identity)
	}
	if spaced && add(identity) {
		found.add(Ambiguous, HeaderSpaceColon)
	}
	return all
}

// looseName tells whether a line that is no field would be one of a name if
// whatever is neither letter nor hyphen were taken out of what stands before
// its colon. name is in lower case.
func looseName(f Field, name string) bool {
	if f.Name != "" {
		return false
	}
	i := strings.IndexByte(f.text, ':')
	if i < len(name)-1 || i > 4*len(name) {
		return false
	}
	n := 0
	for _, c := range []byte(f.text[:i]) {
		if c = lowerByte(c); !isLetter(c) && c != '-' {
			continue
		}
		if n < len(name) && name[n] == '-' && c != '-' {
			n++ // left out
		}
		if n >= len(name) || name[n] != c {
			return false
		}
		n++
	}
	return n == len(name)
}

func afterColon(s string) string {
	return trimSpace(s[strings.IndexByte(s, ':')+1:])
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
	switch extension(p.Name) {
	case "eml", "mht", "mhtml":
		// A message that is attached as a file: who opens it sees its parts.
		j.again(s, readAgain{part: p, inside: true, calm: true})
	}
	if p.reading.encoding != identity && strings.HasPrefix(p.MediaType, "text/") {
		j.inlineDecoded(s, p)
	}
}

// looksBase64 tells whether a body that does not say so is base64: its first
// kilobyte is pure, long, and has letters of both cases and digits.
func looksBase64(raw []byte) bool {
	raw = bytes.Trim(raw, "\r\n")
	n, upper, lower, digit := 0, false, false, false
	for _, c := range raw[:min(len(raw), 1024)] {
		v := base64Value[c]
		switch {
		case c == ' ' || c == '\t' || v == b64Junk:
			return false
		case v < 26:
			upper = true
		case v < 52:
			lower = true
		case v < 62:
			digit = true
		}
		if v < 64 {
			n++
		}
	}
	return n >= 32 && upper && lower && digit
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
