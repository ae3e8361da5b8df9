package document

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/lzw"
	"errors"
	"io"

	tifflzw "golang.org/x/image/tiff/lzw"

	"spamcatcher/signatures/unpack/format"
)

// pdfFilters is how many filters of a stream are undone, one on top of the other.
const pdfFilters = 8

// pdfBetween is how many bytes may flow between two filters.
const pdfBetween = 64 << 20

var errPDFBetween = errors.New("filters expand beyond all proportion")

// A pdfMeter counts what flows between filters, so that a chain that takes in
// much and gives out nothing comes to an end as well.
type pdfMeter struct {
	j       *format.Job
	f       *format.File
	r       io.Reader
	left    int64
	unasked int
}

func (m *pdfMeter) Read(p []byte) (int, error) {
	if m.left <= 0 {
		m.j.Mark(m.f, format.LimitRatio, "")
		return 0, errPDFBetween
	}
	n, err := m.r.Read(p[:min(len(p), 64<<10)])
	m.left -= int64(n)
	if m.unasked += n; m.unasked >= 64<<10 {
		m.unasked = 0
		if stop := m.j.Check(); stop != nil {
			return n, stop
		}
	}
	return n, err
}

// pdfDecode undoes the filters of a stream. image names the filter at which it
// stopped because a picture begins there, in the picture's own format; known is
// false if a filter is none of ours. Whoever reads may get an error at any byte:
// what came before it counts.
// ISO 32000-1 section 7.4: the filters.
func (p *pdf) decode(dict *pdfValue, raw []byte) (r io.Reader, image string, known bool) {
	filters := p.all(dict, "Filter", "F")
	parms := p.all(dict, "DecodeParms", "DP")
	r = bytes.NewReader(raw)
	for i, filter := range filters {
		if i == pdfFilters {
			return r, "", false
		}
		var parm *pdfValue
		if i < len(parms) {
			parm = &parms[i]
		}
		r = &pdfMeter{j: p.j, f: p.f, r: r, left: pdfBetween}
		switch filter.name() {
		case "FlateDecode", "Fl":
			r = p.predicted(parm, pdfFlate(r))
		case "LZWDecode", "LZW":
			if p.resolve(parm.get("EarlyChange")).number(1) == 0 {
				r = p.predicted(parm, lzw.NewReader(r, lzw.MSB, 8))
			} else {
				r = p.predicted(parm, tifflzw.NewReader(r, tifflzw.MSB, 8))
			}
		case "ASCIIHexDecode", "AHx":
			r = &pdfHex{r: bufio.NewReader(r)}
		case "ASCII85Decode", "A85":
			r = &pdf85{r: bufio.NewReader(r)}
		case "RunLengthDecode", "RL":
			r = &pdfRuns{r: bufio.NewReader(r)}
		case "Crypt":
		case "DCTDecode", "DCT", "JPXDecode", "CCITTFaxDecode", "CCF", "JBIG2Decode":
			return r, filter.name(), true
		default:
			return r, "", false
		}
	}
	return r, "", true
}

// all is the value of a key as a list, references resolved.
func (p *pdf) all(dict *pdfValue, key, short string) []pdfValue {
	v := dict.get(key)
	if v == nil {
		v = dict.get(short)
	}
	v = p.resolve(v)
	if v == nil {
		return nil
	}
	if v.kind != pdfArray {
		return []pdfValue{*v}
	}
	list := make([]pdfValue, 0, len(v.list))
	for i := range v.list {
		if i > pdfFilters {
			break
		}
		if x := p.resolve(&v.list[i]); x != nil {
			list = append(list, *x)
		} else {
			list = append(list, pdfValue{})
		}
	}
	return list
}

// pdfFlate reads zlib data, and does without its header and its checksum where
// they are wrong, as readers of PDF do.
func pdfFlate(r io.Reader) io.Reader {
	b := bufio.NewReader(r)
	for {
		c, err := b.Peek(1)
		if err != nil || c[0] != '\r' && c[0] != '\n' {
			break
		}
		b.Discard(1)
	}
	// RFC 1950 section 2.2: CMF and FLG are together a multiple of 31.
	if head, err := b.Peek(2); err == nil && head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 {
		b.Discard(2)
	}
	return flate.NewReader(b)
}

// predicted undoes a predictor. ISO 32000-1 section 7.4.4.4.
func (p *pdf) predicted(parm *pdfValue, r io.Reader) io.Reader {
	kind := p.resolve(parm.get("Predictor")).number(1)
	if kind < 2 {
		return r
	}
	colors := p.resolve(parm.get("Colors")).number(1)
	bits := p.resolve(parm.get("BitsPerComponent")).number(8)
	columns := p.resolve(parm.get("Columns")).number(1)
	if colors < 1 || colors > 32 || bits < 1 || bits > 16 || columns < 1 || columns > 1<<17 {
		return r
	}
	row := (colors*bits*columns + 7) / 8
	return &pdfPredictor{r: bufio.NewReader(r), png: kind >= 10, tiff: kind == 2 && bits == 8, pixel: int(max(1, colors*bits/8)), last: make([]byte, row), row: make([]byte, row+1)}
}

type pdfPredictor struct {
	r     io.Reader
	png   bool
	tiff  bool
	pixel int
	last  []byte
	row   []byte
	out   []byte
	err   error
}

func (p *pdfPredictor) Read(b []byte) (int, error) {
	for len(p.out) == 0 {
		if p.err != nil {
			return 0, p.err
		}
		p.next()
	}
	n := copy(b, p.out)
	p.out = p.out[n:]
	return n, nil
}

func (p *pdfPredictor) next() {
	row := p.row
	if !p.png {
		row = row[1:]
	}
	n, err := io.ReadFull(p.r, row)
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	p.err = err
	if !p.png {
		p.out = row[:n]
		for i := p.pixel; p.tiff && i < n; i++ {
			p.out[i] += p.out[i-p.pixel]
		}
		return
	}
	if n < 2 {
		return
	}
	filter, cur := row[0], row[1:n]
	// PNG specification (ISO/IEC 15948) section 9.2: the filter types.
	for i := range cur {
		var left, upLeft byte
		up := p.last[i]
		if i >= p.pixel {
			left, upLeft = cur[i-p.pixel], p.last[i-p.pixel]
		}
		switch filter {
		case 1:
			cur[i] += left
		case 2:
			cur[i] += up
		case 3:
			cur[i] += byte((int(left) + int(up)) / 2)
		case 4:
			cur[i] += paeth(left, up, upLeft)
		}
	}
	copy(p.last, cur)
	p.out = cur
}

func paeth(a, b, c byte) byte {
	distance := func(x int) int { return max(x, -x) }
	pa, pb, pc := distance(int(b)-int(c)), distance(int(a)-int(c)), distance(int(a)+int(b)-2*int(c))
	switch {
	case pa <= pb && pa <= pc:
		return a
	case pb <= pc:
		return b
	}
	return c
}

// pdfHex undoes ASCIIHexDecode. ISO 32000-1 section 7.4.2.
type pdfHex struct {
	r    *bufio.Reader
	done bool
}

func (h *pdfHex) Read(p []byte) (n int, err error) {
	high := -1
	for n < len(p) && !h.done {
		c, err := h.r.ReadByte()
		if err != nil || c == '>' {
			h.done = true
			if high >= 0 {
				p[n] = byte(high << 4)
				n++
			}
			if err != nil && err != io.EOF {
				return n, err
			}
			break
		}
		d := hexDigit(c)
		if d < 0 {
			continue
		}
		if high < 0 {
			high = d
			continue
		}
		p[n] = byte(high<<4 | d)
		n++
		high = -1
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// pdf85 undoes ASCII85Decode. ISO 32000-1 section 7.4.3.
type pdf85 struct {
	r    *bufio.Reader
	out  []byte
	hold [4]byte
	done bool
}

func (d *pdf85) Read(p []byte) (int, error) {
	for len(d.out) == 0 {
		if d.done {
			return 0, io.EOF
		}
		if err := d.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, d.out)
	d.out = d.out[n:]
	return n, nil
}

func (d *pdf85) next() error {
	var word uint32
	count := 0
	for count < 5 {
		c, err := d.r.ReadByte()
		if err != nil && err != io.EOF {
			return err
		}
		if err != nil || c == '~' {
			d.done = true
			break
		}
		if c == 'z' && count == 0 {
			d.hold = [4]byte{}
			d.out = d.hold[:]
			return nil
		}
		if c < '!' || c > 'u' {
			continue
		}
		word = word*85 + uint32(c-'!')
		count++
	}
	if count < 2 {
		return nil
	}
	for i := count; i < 5; i++ {
		word = word*85 + 84
	}
	d.hold = [4]byte{byte(word >> 24), byte(word >> 16), byte(word >> 8), byte(word)}
	d.out = d.hold[:count-1]
	return nil
}

// pdfRuns undoes RunLengthDecode. ISO 32000-1 section 7.4.5.
type pdfRuns struct {
	r    *bufio.Reader
	hold [128]byte
	out  []byte
}

func (d *pdfRuns) Read(p []byte) (int, error) {
	for len(d.out) == 0 {
		c, err := d.r.ReadByte()
		if err != nil {
			return 0, err
		}
		switch {
		case c == 128:
			return 0, io.EOF
		case c < 128:
			n, err := io.ReadFull(d.r, d.hold[:int(c)+1])
			if n == 0 {
				return 0, err
			}
			d.out = d.hold[:n]
		default:
			b, err := d.r.ReadByte()
			if err != nil {
				return 0, err
			}
			d.out = d.hold[:257-int(c)]
			for i := range d.out {
				d.out[i] = b
			}
		}
	}
	n := copy(p, d.out)
	d.out = d.out[n:]
	return n, nil
}
