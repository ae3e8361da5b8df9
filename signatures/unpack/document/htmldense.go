package document

import (
	"bytes"
	"html"
	"math"
	"strings"

	"spamcatcher/signatures/unpack/format"
)

// Bounds of pieces of a text that are put together by a script, in characters.
const (
	pieceLeast = 8
	pieceMost  = 4096
)

// outside is text that is not in a script. Style sheets are dense themselves.
type outside struct {
	text  []byte
	style bool
}

// aside notes text outside of scripts.
func (h *page) aside(from, to int, style bool) {
	if to-from >= htmlSmall {
		h.outside = append(h.outside, outside{h.b[from:to], style})
	}
}

// together looks for what a script that builds files may fetch from elsewhere in
// the page: attributes, the text of elements, comments, style sheets, and the
// short literals of all scripts one after the other.
func (h *page) together() error {
	for _, o := range h.outside {
		for checked, b := 0, o.text; len(b) > 0; {
			segment := b
			if i := bytes.IndexAny(b, "<>\"'`"); i >= 0 {
				segment, b = b[:i], b[i+1:]
			} else {
				b = nil
			}
			if checked += len(segment); checked >= 64<<10 {
				checked = 0
				if err := h.j.Check(); err != nil {
					return err
				}
			}
			if err := h.segment(segment, o.style); err != nil {
				return err
			}
		}
	}
	joined := assembled(h.pieces)
	if len(joined) < htmlSmall {
		return nil
	}
	if known, err := h.recognised(joined); known || err != nil {
		return err
	}
	h.dense.add(joined)
	return nil
}

// segment looks at a text between two tags, quotes or both.
func (h *page) segment(b []byte, style bool) error {
	if len(b) < denseLeast {
		return nil
	}
	b = bytes.TrimSpace(b)
	b = bytes.TrimSuffix(bytes.TrimPrefix(b, []byte("!--")), []byte("--"))
	if bytes.IndexByte(b, '&') >= 0 {
		b = []byte(html.UnescapeString(string(b)))
	}
	b = unwrapped(b)
	if len(b) >= htmlSmall {
		if known, err := h.recognised(b); known || err != nil {
			return err
		}
		if h.files < htmlFiles {
			if err := h.numbers(b); err != nil {
				return err
			}
		}
	}
	// Within other text: a property of a style sheet, a value of JSON.
	for at := 0; at < len(b); at++ {
		start := at
		for at < len(b) && isBase64(b[at]) {
			at++
		}
		if run := b[start:at]; len(run) >= htmlSmall && len(run) < len(b) {
			if known, err := h.recognised(run); err != nil {
				return err
			} else if !known && style {
				h.dense.add(run)
			}
		}
	}
	if !style {
		h.dense.add(b)
	}
	return nil
}

// recognised keeps what a text hides if that is a file of a known type or a text.
func (h *page) recognised(text []byte) (bool, error) {
	if h.files >= htmlFiles {
		return true, nil
	}
	encoded := withoutScheme(text)
	data := undisguised(encoded)
	kind := format.Detect(data)
	switch {
	case isFont(data), len(encoded) < len(text) && strings.HasPrefix(kind, "image/"):
		return true, nil // what pages have; pictures are handed on with the data: URLs
	case data == nil || kind == "" && !isText(data):
		return false, nil
	}
	return true, h.keep(data)
}

// unwrapped takes the white space out of a text that has long lines and no words.
func unwrapped(b []byte) []byte {
	fields, within := 0, false
	for _, c := range b {
		space := pdfSpace(c)
		if !space && !within {
			fields++
		}
		within = !space
	}
	if fields < 2 || len(b)/fields < 32 {
		return b
	}
	return bytes.Join(bytes.Fields(b), nil)
}

// assembled joins, of the literals of a page, those that are pieces of one text:
// most are of one length, and the last is shorter. If no length is common, they are
// those with digits in them.
func assembled(pieces [][]byte) []byte {
	lengths := make(map[int]int)
	encoded := pieces[:0]
	for _, p := range pieces {
		if share(p, isBase64) == 100 {
			encoded = append(encoded, p)
			lengths[len(p)]++
		}
	}
	common := 0
	for n, count := range lengths {
		if sum, most := n*count, common*lengths[common]; sum > most || sum == most && n > common {
			common = n
		}
	}
	var joined []byte
	if lengths[common] >= 4 {
		before := false // the piece before is of the length
		for _, p := range encoded {
			if len(p) == common || before && len(p) < common && (len(p)%4 == 0 || p[len(p)-1] == '=') {
				joined = append(joined, p...)
			}
			before = len(p) == common
		}
		return joined
	}
	for _, p := range encoded {
		if len(p) >= 16 && bytes.ContainsAny(p, "0123456789") {
			joined = append(joined, p...)
		}
	}
	return joined
}

// unshift decodes base64 each of whose characters was moved by the same number.
func unshift(b []byte) []byte {
	head := make([]byte, min(len(b), 256)&^3)
	for _, by := range []int{-1, 1, -2, 2, -3, 3, -4, 4, -5, 5, -13, 13} {
		for i := range head {
			head[i] = b[i] + byte(by)
		}
		if share(head, isBase64) < 100 || format.Detect(unbase64(head)) == "" {
			continue
		}
		out := make([]byte, len(b))
		for i := range b {
			out[i] = b[i] + byte(by)
		}
		return unbase64(out)
	}
	return nil
}

// Bounds from which text is called dense: bytes of a piece, bytes in all, bits of
// entropy a byte. Words and code have less than five bits; base64 has six.
const (
	denseLeast = 40
	denseBytes = 1024
	denseBits  = 5.0
)

// dense counts the bytes of texts that are no words.
type dense struct {
	bytes  int
	counts [256]int
}

// add counts a text, if it is neither words nor code nor an address.
func (d *dense) add(b []byte) {
	if len(b) < denseLeast || share(b, pdfSpace) > 2 || share(b, func(c byte) bool { return c >= 0x80 }) > 20 {
		return
	}
	head := b[:min(len(b), 4096)]
	for _, word := range []string{"://", "function", "return", "/*", " => "} {
		if bytes.Contains(head, []byte(word)) {
			return
		}
	}
	d.bytes += len(b)
	for _, c := range b {
		d.counts[c]++
	}
}

// much says that there is room for a file in what was counted.
func (d *dense) much() bool {
	return d.bytes >= denseBytes && d.entropy() >= denseBits
}

// entropy is that of one byte by the frequency of each, in bits.
func (d *dense) entropy() (bits float64) {
	for _, n := range d.counts {
		if n > 0 {
			p := float64(n) / float64(d.bytes)
			bits -= p * math.Log2(p)
		}
	}
	return bits
}

// random says that bytes are compressed or encrypted, as far as they show it.
func random(b []byte) bool {
	d := dense{bytes: len(b)}
	for _, c := range b {
		d.counts[c]++
	}
	return d.bytes >= 512 && d.entropy() >= 7
}
