package archive

import (
	"io"
	"strings"

	"spamcatcher/signatures/unpack/format"
)

// szdd reads single files that were packed by Microsoft's COMPRESS.EXE, as Windows
// still expands them.
type szdd struct{}

const szddMagic = "SZDD\x88\xf0\x27\x33"

func (szdd) Name() string { return "szdd" }

func (szdd) Reads(f *format.File) bool {
	return len(f.Data) > 14 && string(f.Data[:8]) == szddMagic
}

func (szdd) Open(j *format.Job, f *format.File) error {
	// The last letter of the name is in the header; the name has "_" for it.
	name := f.Name
	if stem, ok := strings.CutSuffix(name, "_"); ok && f.Data[9] >= ' ' {
		name = stem + string(rune(f.Data[9]))
	}
	z := &lzss{in: f.Data[14:], at: 4096 - 16, left: int64(le32(f.Data[10:]))}
	for i := range z.ring {
		z.ring[i] = ' '
	}
	return emitPacked(j, name, z, int64(len(f.Data)))
}

// An lzss decodes a window of 4096 bytes, with matches of 3 to 18.
type lzss struct {
	in   []byte
	ring [4096]byte
	at   int
	left int64
	out  []byte
}

// Read implements io.Reader.
func (z *lzss) Read(p []byte) (int, error) {
	for len(z.out) == 0 {
		if z.left <= 0 {
			return 0, io.EOF
		}
		if len(z.in) == 0 {
			return 0, io.ErrUnexpectedEOF
		}
		flags := z.in[0]
		z.in = z.in[1:]
		for bit := 0; bit < 8 && len(z.in) > 0 && z.left > 0; bit++ {
			if flags>>bit&1 == 1 {
				z.put(z.in[0])
				z.in = z.in[1:]
				continue
			}
			if len(z.in) < 2 {
				z.in = nil
				break
			}
			from, n := int(z.in[0])|int(z.in[1]&0xf0)<<4, int64(z.in[1]&15)+3
			z.in = z.in[2:]
			for i := range min(n, z.left) {
				z.put(z.ring[(from+int(i))%len(z.ring)])
			}
		}
	}
	n := copy(p, z.out)
	z.out = z.out[n:]
	return n, nil
}

func (z *lzss) put(b byte) {
	z.ring[z.at] = b
	z.at = (z.at + 1) % len(z.ring)
	z.out = append(z.out, b)
	z.left--
}
