package document

import (
	"bytes"
	"encoding/base64"
	"slices"

	"spamcatcher/signatures/unpack/format"
)

// take accounts for bytes that were decoded in memory.
func (h *page) take(data []byte) ([]byte, error) {
	if len(data) == 0 {
		return nil, nil
	}
	data, _ = h.j.Take(data)
	return data, h.j.Check()
}

// payload tries the ways in which a page hides a file in a text of a script.
func (h *page) payload(text []byte) error {
	data := undisguised(withoutScheme(text))
	if isFont(data) {
		return nil
	}
	if data == nil {
		h.dense.add(text)
		return nil
	}
	return h.keep(data)
}

// withoutScheme is the data of a data: URL, and any other text as it is.
func withoutScheme(text []byte) []byte {
	if len(text) > 5 && equalFold(text, "data:") {
		if comma := bytes.IndexByte(text[:min(len(text), 200)], ','); comma > 0 {
			return text[comma+1:]
		}
	}
	return text
}

// isFont says whether b begins as the fonts of pages do.
func isFont(b []byte) bool {
	for _, magic := range []string{"wOFF", "wOF2", "OTTO", "true\x00", "\x00\x01\x00\x00\x00"} {
		if bytes.HasPrefix(b, []byte(magic)) {
			return true
		}
	}
	return false
}

// undisguised is what one of the ways of hiding a file in a text gives; nil for none.
func undisguised(text []byte) []byte {
	if bytes.Contains(text, []byte(`\x`)) || bytes.Contains(text, []byte(`\u`)) || !isText(text) {
		if text = unescapeScript(text, true); format.Detect(text) != "" {
			return text
		}
	}
	for _, decode := range []func([]byte) []byte{unhex, unbase64Text, backwards, unpercentText, unlist, unshift} {
		if data := decode(text); len(data) >= htmlSmall/4 {
			return data
		}
	}
	return nil
}

// keep keeps decoded bytes if they are of a known type, a text, or, from a page
// that saves files, anything.
func (h *page) keep(data []byte) error {
	data, err := h.take(data)
	if err != nil || data == nil {
		return err
	}
	kind := format.Detect(data)
	if kind == "" {
		if turned, k := unmask(data); k != "" {
			data, kind = turned, k
		}
	}
	x := hidden{data: data, kind: kind}
	if kind == "" {
		x.binary = !isText(data)
		if x.binary && !(h.builds && h.saves) {
			return nil
		}
	}
	h.files++
	h.found = append(h.found, x)
	return nil
}

// isText says whether bytes look like text: hardly any control characters.
func isText(b []byte) bool {
	b = b[:min(len(b), 2048)]
	odd := 0
	for _, c := range b {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' || c == 0x7f {
			odd++
		}
	}
	return odd*50 <= len(b)
}

// unmask undoes a mask of one byte, by exclusive or or by addition, if a known
// file comes out.
func unmask(b []byte) ([]byte, string) {
	if len(b) < 64 {
		return nil, ""
	}
	for _, magic := range []string{"PK\x03\x04", "MZ\x90\x00", "Rar!", "7z\xbc\xaf", "%PDF", "\xd0\xcf\x11\xe0", "<htm", "<!DO", "L\x00\x00\x00"} {
		x, d := b[0]^magic[0], b[0]-magic[0]
		isX, isD := true, true
		for i := 1; i < 4; i++ {
			isX = isX && b[i]^magic[i] == x
			isD = isD && b[i]-magic[i] == d
		}
		if !isX && !isD {
			continue
		}
		out := make([]byte, len(b))
		for i, c := range b {
			if isX {
				out[i] = c ^ x
			} else {
				out[i] = c - d
			}
		}
		if k := format.Detect(out); k != "" {
			return out, k
		}
	}
	return nil, ""
}

// base64Values are the values of the characters of both alphabets of RFC 4648, 64 for
// others.
var base64Values = func() (t [256]byte) {
	for i := range t {
		t[i] = 64
	}
	for i := range 64 {
		t["ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[i]] = byte(i)
	}
	t['-'], t['_'] = 62, 63
	return t
}()

// unbase64 decodes base64 of either alphabet, past white space and padding.
func unbase64(b []byte) []byte {
	out := make([]byte, 0, base64.StdEncoding.DecodedLen(len(b))+3)
	var word uint32
	n := 0
	flush := func() {
		switch n {
		case 2:
			out = append(out, byte(word>>4))
		case 3:
			out = append(out, byte(word>>10), byte(word>>2))
		}
		word, n = 0, 0
	}
	for _, c := range b {
		if c == '=' {
			flush()
			continue
		}
		v := base64Values[c]
		if v == 64 {
			continue
		}
		word = word<<6 | uint32(v)
		if n++; n == 4 {
			out = append(out, byte(word>>16), byte(word>>8), byte(word))
			word, n = 0, 0
		}
	}
	flush()
	return out
}

// share is how many of the first bytes pass a test, in hundredths.
func share(b []byte, ok func(byte) bool) int {
	b = b[:min(len(b), 4096)]
	n := 0
	for _, c := range b {
		if ok(c) {
			n++
		}
	}
	if len(b) == 0 {
		return 0
	}
	return n * 100 / len(b)
}

func isBase64(c byte) bool { return base64Values[c] < 64 || c == '=' }

// unbase64Text decodes a text that is base64 and nothing else; a few foreign
// characters, which a script would take out, do not matter.
func unbase64Text(b []byte) []byte {
	if share(b, isBase64) < 94 || bytes.IndexByte(b[:min(len(b), 512)], ' ') >= 0 {
		return nil
	}
	// Text without spaces is base64 only if it has what words have not.
	head := b[:min(len(b), 512)]
	if share(head, func(c byte) bool { return c >= 'a' && c <= 'z' }) > 85 || share(head, func(c byte) bool { return c >= '0' && c <= '9' }) > 85 {
		return nil
	}
	data := unbase64(b)
	if share(data, isBase64) == 100 {
		if twice := unbase64(data); format.Detect(twice) != "" || isText(twice) {
			return twice
		}
	}
	if format.Detect(data) != "" || isText(data) {
		return data
	}
	if turned, k := unmask(data); k != "" {
		return turned
	}
	turned := unbase64(reversed(b))
	if format.Detect(turned) != "" || isText(turned) {
		return turned
	}
	if turned := unshift(b); turned != nil {
		return turned
	}
	return data
}

func reversed(b []byte) []byte {
	out := bytes.Clone(b)
	slices.Reverse(out)
	return out
}

// backwards takes a text whose characters are turned round.
func backwards(b []byte) []byte {
	if len(b) > 1<<20 {
		return nil
	}
	out := reversed(b)
	if k := format.Detect(out); k == "text/html" || bytes.Contains(out, []byte("</script>")) {
		return out
	}
	return nil
}

// unhex decodes pairs of hexadecimal digits, with separators or without.
func unhex(b []byte) []byte {
	foreign := func(c byte) bool { return hexDigit(c) < 0 }
	n := share(b, foreign)
	if n > 67 || share(b, func(c byte) bool { return hexDigit(c) >= 0 || bytes.IndexByte([]byte(" ,:-;_|\\xX%"), c) >= 0 }) < 100 {
		return nil
	}
	if n == 0 && share(b, func(c byte) bool { return c >= '0' && c <= '9' }) == 100 && share(b, func(c byte) bool { return c <= '1' }) == 100 {
		return nil
	}
	if n > 0 && !hexPairs(b) {
		return nil
	}
	out := make([]byte, 0, len(b)/2)
	high := -1
	for i, c := range b {
		if c == '0' && i+1 < len(b) && b[i+1]|0x20 == 'x' {
			continue
		}
		d := hexDigit(c)
		if d < 0 {
			high = -1
			continue
		}
		if high < 0 {
			high = d
			continue
		}
		out = append(out, byte(high<<4|d))
		high = -1
	}
	if format.Detect(out) == "" && !isText(out) {
		if turned, k := unmask(out); k != "" {
			return turned
		}
	}
	return out
}

// hexPairs says whether digits stand in pairs between the separators.
func hexPairs(b []byte) bool {
	count, letters := 0, false
	for _, c := range b[:min(len(b), 1024)] {
		if hexDigit(c) >= 0 {
			letters = letters || c > '9'
			if count++; count > 2 {
				return false
			}
			continue
		}
		if count == 1 && c|0x20 != 'x' {
			return false
		}
		count = 0
	}
	return letters
}

// unpercentText decodes what unescape and decodeURIComponent do, if enough of a
// text is written so.
func unpercentText(b []byte) []byte {
	n := share(b, func(c byte) bool { return c == '%' })
	if n < 8 && (n < 1 || indexFold(b[:min(len(b), 4096)], "%3c") < 0) {
		return nil
	}
	return unpercent(b)
}

// unpercent undoes %41 and %u0041.
func unpercent(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != '%' {
			out = append(out, b[i])
			continue
		}
		at, digits := i+1, 2
		if at < len(b) && b[at]|0x20 == 'u' {
			at, digits = at+1, 4
		}
		n, k := 0, 0
		for k < digits && at+k < len(b) && hexDigit(b[at+k]) >= 0 {
			n = n<<4 | hexDigit(b[at+k])
			k++
		}
		if k < digits {
			out = append(out, '%')
			continue
		}
		if n > 0xff {
			out = append(out, string(rune(n))...)
		} else {
			out = append(out, byte(n))
		}
		i = at + digits - 1
	}
	return out
}

// unlist decodes numbers of characters in a text: "60,104,116".
func unlist(b []byte) []byte {
	if share(b, func(c byte) bool { return c >= '0' && c <= '9' }) < 50 {
		return nil
	}
	out, rest := codes(b)
	if len(out) < 40 || rest > 0 {
		return nil
	}
	if format.Detect(out) == "" {
		if turned, k := unmask(out); k != "" {
			return turned
		}
	}
	return out
}

// codes reads a list of numbers up to 255 from the beginning of b, and says how
// many bytes it left.
func codes(b []byte) (out []byte, rest int) {
	n, digits, gap := 0, 0, 0
	for i, c := range b {
		switch {
		case c >= '0' && c <= '9':
			n = n*10 + int(c-'0')
			if digits++; digits > 3 || n > 255 {
				return out, len(b) - i + digits - 1
			}
			gap = 0
		case digits > 0:
			out = append(out, byte(n))
			n, digits, gap = 0, 0, 1
		default:
			if gap++; gap > 4 || c == ']' || c == ')' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
				return out, len(b) - i
			}
		}
	}
	if digits > 0 {
		out = append(out, byte(n))
	}
	return out, 0
}

// numbers finds long lists of character codes: [77,90,144] and
// String.fromCharCode(60, 104).
func (h *page) numbers(b []byte) error {
	for at := 0; at < len(b) && h.files < htmlFiles; {
		i := bytes.IndexByte(b[at:], ',')
		if i < 0 {
			return nil
		}
		at += i
		start := at
		for start > 0 && at-start < 4 && b[start-1] >= '0' && b[start-1] <= '9' {
			start--
		}
		if start == at {
			at++
			continue
		}
		data, rest := codes(b[start:])
		at = max(at+1, len(b)-rest)
		if len(data) < htmlSmall/2 {
			continue
		}
		// The numbers of a chart are no file.
		if _, k := unmask(data); k == "" && format.Detect(data) == "" && !isText(data) && !random(data) {
			continue
		}
		if err := h.keep(data); err != nil {
			return err
		}
	}
	return nil
}
