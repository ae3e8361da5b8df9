package message

import (
	"bytes"
	"encoding/base64"
)

// A codec is a transfer encoding.
type codec uint8

const (
	identity codec = iota
	base64Codec
	quotedPrintable
	uuencode
	yenc
)

// codecs are the spellings of RFC 2045 section 6.1 and of practice.
var codecs = map[string]codec{
	"": identity, "7bit": identity, "8bit": identity, "binary": identity, "7-bit": identity, "8-bit": identity,
	"base64": base64Codec, "x-base64": base64Codec,
	"quoted-printable": quotedPrintable, "x-quoted-printable": quotedPrintable, "quoted-printible": quotedPrintable,
	"uuencode": uuencode, "x-uuencode": uuencode, "x-uue": uuencode, "uue": uuencode, "x-uu": uuencode,
	"yenc": yenc, "x-yenc": yenc,
}

// base64Fill says what "=" means in base64: readers differ.
type base64Fill uint8

const (
	fillEnds base64Fill = iota // it completes a group, the next group starts afresh
	fillJunk                   // it is skipped like any character that is no base64
)

func (c codec) decode(raw []byte, fill base64Fill, found *defects) []byte {
	switch c {
	case base64Codec:
		return decodeBase64(raw, fill, found)
	case quotedPrintable:
		return decodeQP(raw, found)
	case uuencode:
		return decodeUU(raw)
	case yenc:
		return decodeYenc(raw)
	}
	return raw
}

const (
	b64Space = 0xfd
	b64Pad   = 0xfe
	b64Junk  = 0xff
)

var base64Value = func() (t [256]byte) {
	for i := range t {
		t[i] = b64Junk
	}
	for i := range 64 {
		t["ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[i]] = byte(i)
	}
	t['='] = b64Pad
	t[' '], t['\t'], t['\r'], t['\n'] = b64Space, b64Space, b64Space, b64Space
	return t
}()

// decodeBase64 decodes what RFC 2045 section 6.8 allows at full speed, and
// anything else leniently: characters outside the alphabet are skipped, data
// behind padding goes on.
func decodeBase64(raw []byte, fill base64Fill, found *defects) []byte {
	src := bytes.TrimRight(raw, " \t\r\n")
	out := make([]byte, base64.StdEncoding.DecodedLen(len(src)))
	if fill == fillEnds {
		if n, err := base64.StdEncoding.Decode(out, src); err == nil {
			return out[:n]
		}
	}
	out = out[:0]
	var group uint32
	n, pads := 0, 0 // sextets in the group; padding seen at its end
	padded, junk, behind, wrong := false, 0, 0, 0
	flush := func() {
		switch n {
		case 1:
			wrong++
		case 2:
			out = append(out, byte(group>>4))
		case 3:
			out = append(out, byte(group>>10), byte(group>>2))
		}
		group, n = 0, 0
	}
	for _, c := range src {
		v := base64Value[c]
		switch {
		case v < 64:
			if padded {
				behind++
			}
			pads = 0
			group = group<<6 | uint32(v)
			if n++; n == 4 {
				out = append(out, byte(group>>16), byte(group>>8), byte(group))
				group, n = 0, 0
			}
		case v == b64Pad:
			if fill == fillJunk {
				continue
			}
			padded = true
			if n > 0 {
				if n+1 < 3 {
					wrong++
				}
				pads = 4 - n
				flush()
			}
			if pads--; pads < 0 {
				wrong++
				pads = 0
			}
		case v == b64Junk:
			junk++
		}
	}
	if n > 0 {
		wrong++
		flush()
	}
	if fill == fillEnds {
		if junk > 0 {
			found.addN(Base64Junk, "", junk)
		}
		if wrong > 0 {
			found.addN(Base64Padding, "", wrong)
		}
		if behind > 0 {
			found.addN(Base64AfterPadding, "", behind)
		}
	}
	return out
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// decodeQP undoes quoted-printable. RFC 2045 section 6.7: an "=" that no two
// hexadecimal digits follow stays as it is; white space between "=" and the
// line end belongs to the soft line break, and white space at the end of a
// line was not there.
func decodeQP(raw []byte, found *defects) []byte {
	first := bytes.IndexByte(raw, '=')
	if first < 0 {
		return raw
	}
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		j := bytes.IndexByte(raw[i:], '=')
		if j < 0 {
			out = append(out, raw[i:]...)
			break
		}
		out = append(out, raw[i:i+j]...)
		i += j
		if i+2 < len(raw) {
			if hi, lo := unhex(raw[i+1]), unhex(raw[i+2]); hi >= 0 && lo >= 0 {
				out = append(out, byte(hi<<4|lo))
				i += 3
				continue
			}
		}
		k := i + 1
		for k < len(raw) && (raw[k] == ' ' || raw[k] == '\t') {
			k++
		}
		switch {
		case k == len(raw):
			i = k
		case raw[k] == '\n':
			i = k + 1
		case raw[k] == '\r' && k+1 < len(raw) && raw[k+1] == '\n':
			i = k + 2
		case raw[k] == '\r':
			i = k + 1
		default:
			// Also "=" with two digits at the very end.
			if i+2 == len(raw)-0 {
				found.add(QPBad, "")
			} else {
				found.add(QPBad, string(raw[i:min(i+3, len(raw))]))
			}
			out = append(out, '=')
			i++
		}
	}
	return out
}

// decodeUU decodes the lines between "begin" and "end".
func decodeUU(raw []byte) []byte {
	out := make([]byte, 0, len(raw)*3/4)
	started := false
	for len(raw) > 0 {
		var line []byte
		line, raw = cutLine(raw)
		line = bytes.TrimRight(line, "\r\n")
		if bytes.HasPrefix(line, []byte("begin ")) {
			started = true
			continue
		}
		if !started || len(line) == 0 {
			continue
		}
		if string(bytes.TrimSpace(line)) == "end" {
			break
		}
		out = appendUULine(out, line)
	}
	return out
}

func appendUULine(out, line []byte) []byte {
	n := int(line[0]-' ') & 63
	at := func(i int) uint32 {
		if i < len(line) {
			return uint32(line[i]-' ') & 63
		}
		return 0
	}
	for i := 1; n > 0 && i < len(line); i += 4 {
		g := at(i)<<18 | at(i+1)<<12 | at(i+2)<<6 | at(i+3)
		b := [3]byte{byte(g >> 16), byte(g >> 8), byte(g)}
		out = append(out, b[:min(n, 3)]...)
		n -= 3
	}
	return out
}

// decodeYenc decodes the lines between "=ybegin" and "=yend".
func decodeYenc(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	started := false
	for len(raw) > 0 {
		var line []byte
		line, raw = cutLine(raw)
		line = bytes.TrimRight(line, "\r\n")
		if bytes.HasPrefix(line, []byte("=y")) {
			if bytes.HasPrefix(line, []byte("=yend")) {
				break
			}
			started = true
			continue
		}
		if !started {
			continue
		}
		for i := 0; i < len(line); i++ {
			c := line[i]
			if c == '=' && i+1 < len(line) {
				i++
				c = line[i] - 64
			}
			out = append(out, c-42)
		}
	}
	return out
}

// cutLine cuts the first line, with its line end, off b.
func cutLine(b []byte) (line, rest []byte) {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return b[:i+1], b[i+1:]
	}
	return b, nil
}
