package message

import (
	"strings"
	"unicode/utf8"
)

// decodeWords decodes the encoded words of a header text, also where RFC 2047
// section 5 does not allow them, because readers do so too.
func decodeWords(s string) string {
	var none defects
	return decodeWordsTo(s, &none)
}

// wordDefects looks for words that cannot be decoded in the fields that a
// reader shows.
func wordDefects(h *Header, found *defects) {
	for _, name := range []string{"Subject", "From", "To", "Cc", "Reply-To", "Sender"} {
		h.each(name, func(f Field) bool {
			if strings.Contains(f.text, "=?") {
				decodeWordsTo(f.Value(), found)
			}
			return true
		})
	}
}

func decodeWordsTo(s string, found *defects) string {
	if strings.Index(s, "=?") < 0 {
		return validText(s)
	}
	var out strings.Builder
	out.Grow(len(s))
	var pend []byte // decoded bytes of adjacent words of one charset
	var pendCharset string
	flush := func() {
		if len(pend) > 0 {
			var bad defects
			out.WriteString(decodeCharset(pendCharset, pend, &bad))
			if len(bad.all) > 0 {
				found.add(WordBad, pendCharset)
			}
			pend = pend[:0]
		}
	}
	for last := strings.LastIndex(s, "?="); ; {
		i := strings.Index(s, "=?")
		if i < 0 || i > last {
			if i >= 0 {
				found.add(WordBad, s[i:]) // it does not end
			}
			break
		}
		cs, data, n, ok := parseWord(s[i:])
		if !ok {
			found.add(WordBad, s[i:])
			flush()
			out.WriteString(validText(s[:i+2]))
			s = s[i+2:]
			last -= i + 2
			continue
		}
		// RFC 2047 section 6.2: white space between adjacent words is not shown.
		if gap := s[:i]; trimSpace(gap) != "" || (len(pend) == 0 && pendCharset == "") {
			flush()
			out.WriteString(validText(gap))
		}
		if cs != pendCharset {
			flush()
		}
		pendCharset = cs
		pend = append(pend, data...)
		s = s[i+n:]
		last -= i + n
	}
	flush()
	out.WriteString(validText(s))
	return out.String()
}

// parseWord reads the encoded word that s begins with.
func parseWord(s string) (charset string, data []byte, n int, ok bool) {
	rest := s[2:]
	q := strings.IndexByte(rest, '?')
	if q < 1 || q > 64 || len(rest) < q+3 || rest[q+2] != '?' {
		return "", nil, 0, false
	}
	charset = asciiLower(rest[:q])
	// RFC 2231 section 5: a language may follow the charset.
	if i := strings.IndexByte(charset, '*'); i >= 0 {
		charset = charset[:i]
	}
	kind := lowerByte(rest[q+1])
	body := rest[q+3:]
	end := strings.Index(body, "?=")
	if end < 0 {
		return "", nil, 0, false
	}
	// "?=" may begin inside Q text as "?" followed by an encoded byte.
	body = body[:end]
	n = 2 + q + 3 + end + 2
	switch kind {
	case 'b':
		var none defects
		data = decodeBase64([]byte(body), fillEnds, &none)
	case 'q':
		data = make([]byte, 0, len(body))
		for i := 0; i < len(body); i++ {
			c := body[i]
			if c == '_' {
				c = ' '
			} else if c == '=' && i+2 < len(body) {
				if hi, lo := unhex(body[i+1]), unhex(body[i+2]); hi >= 0 && lo >= 0 {
					c = byte(hi<<4 | lo)
					i += 2
				}
			}
			data = append(data, c)
		}
	default:
		return "", nil, 0, false
	}
	return charset, data, n, true
}

// validText is s in UTF-8: header bytes over 127 are UTF-8 by RFC 6532, or
// else windows-1252 by habit.
func validText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return guessCharset([]byte(s))
}
