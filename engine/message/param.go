package message

import (
	"sort"
	"strconv"
	"strings"
)

// A param is one parameter as it stands in a field.
type param struct{ key, value string }

// splitParams takes a field of the form of Content-Type apart: what stands in
// front of the first semicolon, in lower case, and the parameters in order.
func splitParams(s string, found *defects) (head string, params []param) {
	i := 0
	head, i = paramText(s, 0, ";", nil)
	head = asciiLower(head)
	for i < len(s) {
		i++ // the semicolon
		var key, value string
		key, i = paramText(s, i, "=;", nil)
		if i >= len(s) || s[i] == ';' {
			if key != "" && found != nil {
				found.add(ParamBad, key)
			}
			continue
		}
		value, i = paramText(s, i+1, ";", found)
		if key != "" {
			params = append(params, param{asciiLower(key), value})
		}
	}
	return head, params
}

// paramText reads up to one of the bytes in stop: comments are dropped, quoted
// strings unquoted, white space at the ends trimmed.
func paramText(s string, i int, stop string, found *defects) (string, int) {
	start, plain := i, true
	for j := i; j < len(s); j++ {
		if c := s[j]; c == '"' || c == '(' || c == '\\' {
			plain = false
			break
		} else if strings.IndexByte(stop, c) >= 0 {
			break
		}
	}
	if plain {
		for i < len(s) && strings.IndexByte(stop, s[i]) < 0 {
			i++
		}
		return trimSpace(s[start:i]), i
	}
	var b strings.Builder
	quoted, kept := false, 0
	for i < len(s) {
		switch c := s[i]; {
		case c == '"':
			end := quotedEnd(s, i)
			if found != nil && (end > len(s) || end-i < 2 || s[end-1] != '"') {
				found.add(ParamBad, s[i:])
			}
			if quoted && found != nil {
				found.add(ParamBad, s[start:end])
			}
			t := unquote(s[i:end])
			if b.Len() == 0 {
				b.WriteString(t)
			} else {
				b.WriteString(t)
			}
			quoted, kept = true, b.Len()
			i = end
		case c == '(':
			i = commentEnd(s, i)
		case strings.IndexByte(stop, c) >= 0:
			return trimKept(b.String(), kept), i
		case isSpace(c) && b.Len() == 0:
			i++
		default:
			b.WriteByte(c)
			i++
		}
	}
	return trimKept(b.String(), kept), i
}

// trimKept trims white space behind the first n bytes, which were quoted.
func trimKept(s string, n int) string {
	for len(s) > n && isSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

const maxContinuations = 1_000

// foldParams gives every parameter its value: the first plain one, RFC 2231
// forms decoded and joined where there is no plain one.
func foldParams(params []param, found *defects) map[string]string {
	if len(params) == 0 {
		return nil
	}
	m := make(map[string]string, len(params))
	type piece struct {
		n       int
		value   string
		encoded bool
	}
	var split map[string][]piece
	for _, p := range params {
		base, rest, star := strings.Cut(p.key, "*")
		if !star {
			if old, ok := m[p.key]; !ok {
				m[p.key] = p.value
			} else if old != p.value && found != nil {
				found.add(ParamDuplicate, p.key)
			}
			continue
		}
		rest, encoded := strings.CutSuffix(rest, "*")
		n := 0
		if rest != "" {
			var err error
			if n, err = strconv.Atoi(rest); err != nil || n < 0 || n > maxContinuations {
				if found != nil {
					found.add(ParamContinuation, p.key)
				}
				continue
			}
		} else {
			encoded = true
		}
		if split == nil {
			split = make(map[string][]piece)
		}
		split[base] = append(split[base], piece{n, p.value, encoded})
	}
	for base, pieces := range split {
		sort.SliceStable(pieces, func(i, j int) bool { return pieces[i].n < pieces[j].n })
		var raw []byte
		cs := ""
		for i, p := range pieces {
			if found != nil && i > 0 && p.n != pieces[i-1].n+1 {
				found.add(ParamContinuation, base)
			}
			v := p.value
			if p.encoded {
				if i == 0 {
					if a := strings.IndexByte(v, '\''); a >= 0 {
						if b := strings.IndexByte(v[a+1:], '\''); b >= 0 {
							cs, v = asciiLower(v[:a]), v[a+b+2:]
						}
					}
				}
				raw = append(raw, percentDecode(v)...)
			} else {
				raw = append(raw, v...)
			}
		}
		var none defects
		text := decodeCharset(cs, raw, &none)
		if old, ok := m[base]; ok && old != text && found != nil {
			found.add(ParamDuplicate, base)
		}
		m[base] = text
	}
	return m
}

// percentDecode undoes %XX; anything else stays.
func percentDecode(s string) []byte {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if hi, lo := unhex(s[i+1]), unhex(s[i+2]); hi >= 0 && lo >= 0 {
				b = append(b, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return b
}
