package archive

import (
	"errors"
	"io"
)

// An lzh decodes the method that LHA calls -lh4- to -lh7- and ARJ 1 to 3: a sliding
// window, and prefix codes that are given for each block.
type lzh struct {
	bits msbBits
	ring []byte
	at   int
	left int64 // bytes to come

	positions int // symbols of the code of distances
	width     int // bits of their number
	block     int // symbols to come with these codes
	codes     prefixCode
	distances prefixCode

	fast bool // the method 4 of ARJ, which has no codes of its own

	out []byte
	err error
}

const lzhSymbols = 510

var errLZH = errors.New("a code makes no sense")

// newLZH decodes size bytes, with a window of 1<<window bytes.
func newLZH(packed []byte, size int64, window, positions, width int) *lzh {
	z := &lzh{bits: msbBits{b: packed}, ring: make([]byte, 1<<window), left: size, positions: positions, width: width}
	for i := range z.ring {
		z.ring[i] = ' '
	}
	return z
}

// Read implements io.Reader.
func (z *lzh) Read(p []byte) (int, error) {
	for len(z.out) == 0 {
		if z.err != nil {
			return 0, z.err
		}
		if z.left <= 0 {
			return 0, io.EOF
		}
		z.step()
	}
	n := copy(p, z.out)
	z.out = z.out[n:]
	return n, nil
}

// step decodes a few thousand bytes.
func (z *lzh) step() {
	z.out = z.out[:0]
	for len(z.out) < 4096 && z.left > 0 && z.err == nil {
		if z.bits.over() {
			z.err = io.ErrUnexpectedEOF
			return
		}
		if z.fast {
			z.quick()
			continue
		}
		if z.block == 0 {
			if z.block = z.bits.read(16); z.block == 0 || !z.header() {
				z.err = errLZH
				return
			}
		}
		z.block--
		s := z.codes.decode(&z.bits)
		if s >= 0 && s < 256 {
			z.put(byte(s))
			continue
		}
		d := -1
		if s >= 256 {
			d = z.distances.decode(&z.bits)
		}
		if d < 0 || d > 17 {
			z.err = errLZH
			return
		}
		if d > 1 {
			d = 1<<(d-1) + z.bits.read(d-1)
		}
		if d >= len(z.ring) {
			z.err = errLZH
			return
		}
		for range min(int64(s-256+3), z.left) {
			z.put(z.ring[(z.at-d-1)&(len(z.ring)-1)])
		}
	}
}

// quick decodes a byte or a match of the method 4 of ARJ: numbers whose width is
// given by the ones before them.
func (z *lzh) quick() {
	number := func(from, to int) (n int) {
		for ; from < to && z.bits.read(1) == 1; from++ {
			n += 1 << from
		}
		if from > 0 {
			n += z.bits.read(from)
		}
		return n
	}
	length := number(0, 7)
	if length == 0 {
		z.put(byte(z.bits.read(8)))
		return
	}
	d := number(9, 13)
	for range min(int64(length+2), z.left) {
		z.put(z.ring[(z.at-d-1)&(len(z.ring)-1)])
	}
}

func (z *lzh) put(b byte) {
	z.ring[z.at] = b
	z.at = (z.at + 1) & (len(z.ring) - 1)
	z.out = append(z.out, b)
	z.left--
}

// header reads the codes of a block.
func (z *lzh) header() bool {
	var lengths prefixCode
	if !z.small(&lengths, 19, 5, 3) || !z.symbols(&lengths) {
		return false
	}
	return z.small(&z.distances, z.positions, z.width, -1)
}

// small reads a code of few symbols; behind the symbol special there may be a gap.
func (z *lzh) small(c *prefixCode, symbols, width, special int) bool {
	b := &z.bits
	n := b.read(width)
	if n == 0 {
		c.one(b.read(width))
		return true
	}
	if n > symbols {
		return false
	}
	lens := make([]byte, symbols)
	for i := 0; i < n; {
		l := b.read(3)
		if l == 7 {
			for b.read(1) == 1 {
				if l++; l > 16 {
					return false
				}
			}
		}
		lens[i] = byte(l)
		i++
		if i == special {
			i += b.read(2)
		}
	}
	return c.build(lens, 16)
}

// symbols reads the code of bytes and lengths.
func (z *lzh) symbols(lengths *prefixCode) bool {
	b := &z.bits
	n := b.read(9)
	if n == 0 {
		c := b.read(9)
		z.codes.one(c)
		return c < lzhSymbols
	}
	if n > lzhSymbols {
		return false
	}
	lens := make([]byte, lzhSymbols)
	for i := 0; i < n; {
		if b.over() {
			return false
		}
		switch l := lengths.decode(b); {
		case l < 0 || l > 18:
			return false
		case l == 0:
			i++
		case l == 1:
			i += b.read(4) + 3
		case l == 2:
			i += b.read(9) + 20
		default:
			lens[i] = byte(l - 2)
			i++
		}
	}
	return z.codes.build(lens, 16)
}
