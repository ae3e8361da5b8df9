package document

import (
	"encoding/binary"

	"spamcatcher/signatures/unpack/format"
)

// Bounds of pictures that may be codes: pixels a side, pixels in all, pictures of
// one document.
const (
	pdfSideLeast = 20
	pdfSideMost  = 4000
	pdfPixels    = 4 << 20
	pdfPictures  = 24
)

// picture hands on a picture, those that are not in a format of their own as a
// grey BMP. ISO 32000-1 section 8.9.5: image dictionaries.
func (p *pdf) picture(o pdfObject, dict *pdfValue) error {
	width := p.either(dict, "Width", "W").number(0)
	height := p.either(dict, "Height", "H").number(0)
	if width < pdfSideLeast || height < pdfSideLeast || width > 4*height || height > 4*width {
		return nil // a code is a square; what surrounds it is no ribbon
	}
	if width > pdfSideMost || height > pdfSideMost || width*height > pdfPixels || p.pictures >= pdfPictures {
		p.j.Mark(p.f, format.LimitPictures, "pictures of a PDF")
		return nil
	}
	p.pictures++
	raw := p.raw(o, dict)
	r, image, known := p.decode(dict, raw)
	if !known {
		return nil
	}
	if image == "DCTDecode" || image == "DCT" || image == "JPXDecode" {
		data, cut, err := p.j.Read(r, int64(len(raw)))
		if err := stopOnly(err); err != nil || len(data) == 0 {
			return err
		}
		return p.j.Emit(&format.File{Kind: format.Stream, Data: data, Cut: cut, Unlocked: p.opened})
	}
	if image != "" {
		return nil
	}
	bits := p.either(dict, "BitsPerComponent", "BPC").number(8)
	if v := p.either(dict, "ImageMask", "IM"); v != nil && v.kind == pdfNull {
		bits = 1
	}
	if bits != 1 && bits != 2 && bits != 4 && bits != 8 {
		return nil
	}
	// Samples are what white paper is made of: they expand a lot, and how far is
	// known.
	want := (width*4*bits + 7) / 8 * height
	packed := max(int64(len(raw)), want/100)
	if room, _ := p.j.Room(packed); want > room/2 {
		return nil
	}
	data, _, err := p.j.Read(r, packed)
	defer p.j.Done(data)
	if err := stopOnly(err); err != nil {
		return err
	}
	var table []byte
	if space := p.either(dict, "ColorSpace", "CS"); space != nil && space.kind == pdfArray && len(space.list) == 4 {
		table = p.palette(space)
	}
	grey := pdfGrey(data, int(width), int(height), int(bits), table)
	if grey == nil {
		return nil
	}
	return p.j.Emit(&format.File{Kind: format.Stream, Data: greyBMP(grey, int(width), int(height)), Unlocked: p.opened})
}

func (p *pdf) either(dict *pdfValue, key, short string) *pdfValue {
	v := dict.get(key)
	if v == nil {
		v = dict.get(short)
	}
	return p.resolve(v)
}

// palette is the lightness of the colours of an indexed colour space; nil if it
// has none that is understood. ISO 32000-1 section 8.6.6.3.
func (p *pdf) palette(space *pdfValue) []byte {
	if name := space.list[0].name(); name != "Indexed" && name != "I" {
		return nil
	}
	most := min(max(p.resolve(&space.list[2]).number(0), 0), 255)
	var lookup []byte
	if v := p.resolve(&space.list[3]); v != nil && v.kind == pdfString {
		lookup = v.text
	} else {
		var err error
		if lookup, err = p.scriptText(&space.list[3]); err != nil {
			return nil
		}
	}
	n := len(lookup) / int(most+1)
	if n != 1 && n != 3 && n != 4 {
		return nil
	}
	table := make([]byte, most+1)
	for i := range table {
		table[i] = lightness(lookup[i*n : (i+1)*n])
	}
	return table
}

// lightness of one pixel in grey, RGB or CMYK.
func lightness(c []byte) byte {
	switch len(c) {
	case 1:
		return c[0]
	case 3:
		return byte((int(c[0])*2 + int(c[1])*5 + int(c[2])) / 8)
	}
	return byte(max(0, 255-(int(c[0])*2+int(c[1])*5+int(c[2]))/8-int(c[3])))
}

// pdfGrey makes one byte of lightness of each pixel; how many components there are
// is told by the length of the data. It returns nil if that fits nothing.
func pdfGrey(data []byte, width, height, bits int, table []byte) []byte {
	components := 0
	for _, n := range []int{4, 3, 1} {
		if len(data) >= (width*n*bits+7)/8*height {
			components = n
			break
		}
	}
	if table != nil && components > 0 {
		components = 1
	}
	if components == 0 || components > 1 && bits != 8 {
		return nil
	}
	grey := make([]byte, width*height)
	row := (width*components*bits + 7) / 8
	for y := range height {
		line := data[y*row:]
		out := grey[y*width : (y+1)*width]
		if components > 1 {
			for x := range out {
				out[x] = lightness(line[x*components : (x+1)*components])
			}
			continue
		}
		for x := range out {
			v := line[x*bits/8] >> (8 - bits - x*bits%8) & byte(1<<bits-1)
			switch {
			case table != nil:
				out[x] = table[min(int(v), len(table)-1)]
			case bits == 8:
				out[x] = v
			default:
				out[x] = byte(int(v) * 255 / (1<<bits - 1))
			}
		}
	}
	return grey
}

// greyBMP writes a picture of 256 greys as BMP, top row first.
func greyBMP(grey []byte, width, height int) []byte {
	row := (width + 3) &^ 3
	start := 14 + 40 + 1024
	b := make([]byte, start, start+row*height)
	copy(b, "BM")
	le := binary.LittleEndian
	le.PutUint32(b[2:], uint32(start+row*height))
	le.PutUint32(b[10:], uint32(start))
	le.PutUint32(b[14:], 40)
	le.PutUint32(b[18:], uint32(width))
	le.PutUint32(b[22:], uint32(-int32(height)))
	le.PutUint16(b[26:], 1)
	le.PutUint16(b[28:], 8)
	le.PutUint32(b[34:], uint32(row*height))
	le.PutUint32(b[46:], 256)
	for i := range 256 {
		c := byte(i)
		copy(b[54+4*i:], []byte{c, c, c, 0})
	}
	for y := range height {
		b = append(b, grey[y*width:(y+1)*width]...)
		b = append(b, 0, 0, 0)[:start+row*(y+1)]
	}
	return b
}
