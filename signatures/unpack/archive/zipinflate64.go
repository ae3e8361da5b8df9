package archive

import (
	"bufio"
	"errors"
	"io"
)

// An inflate64 reads Deflate64, which Windows opens and writes: RFC 1951 with a
// window of 64 KiB, two more distance codes, and 16 extra bits for the longest
// length. It is rare, so it is written to be short and not to be fast.
type inflate64 struct {
	in     io.ByteReader
	bits   uint32
	have   uint
	window [64 << 10]byte
	made   int  // bytes written into window so far, modulo its size
	full   bool // window has been filled once
	last   bool // the block is the last one
	err    error

	stored          int // bytes left of a stored block
	literal, offset *huffman
	copying, from   int // bytes left of a copy, and how far back it reads
}

var errInflate64 = errors.New("deflate64: broken")

func newInflate64(r io.Reader) io.Reader { return &inflate64{in: bufio.NewReader(r)} }

// A huffman is a canonical code. RFC 1951 section 3.2.2.
type huffman struct {
	count  [16]int // codes of each length
	symbol []int   // in the order of their codes
}

// newHuffman makes the code with these lengths, nil if there are more codes than
// their lengths allow.
func newHuffman(lengths []byte) *huffman {
	h := &huffman{symbol: make([]int, len(lengths))}
	for _, n := range lengths {
		h.count[n]++
	}
	h.count[0] = 0
	free := 1
	var next [16]int
	for n := 1; n < 16; n++ {
		if free = free*2 - h.count[n]; free < 0 {
			return nil
		}
		next[n] = next[n-1] + h.count[n-1]
	}
	for s, n := range lengths {
		if n > 0 {
			h.symbol[next[n]] = s
			next[n]++
		}
	}
	return h
}

func (z *inflate64) get(n uint) int {
	for z.have < n {
		c, err := z.in.ReadByte()
		if err != nil {
			z.err = io.ErrUnexpectedEOF
			return 0
		}
		z.bits |= uint32(c) << z.have
		z.have += 8
	}
	v := z.bits & (1<<n - 1)
	z.bits >>= n
	z.have -= n
	return int(v)
}

// decode reads a symbol, -1 if there is no such code.
func (z *inflate64) decode(h *huffman) int {
	code, first, index := 0, 0, 0
	for n := 1; n < 16 && z.err == nil; n++ {
		code |= z.get(1)
		if code-first < h.count[n] {
			return h.symbol[index+code-first]
		}
		index += h.count[n]
		first = (first + h.count[n]) << 1
		code <<= 1
	}
	return -1
}

func (z *inflate64) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if z.err != nil {
			return n, z.err
		}
		switch {
		case z.copying > 0:
			c := z.window[(z.made-z.from)&(len(z.window)-1)]
			z.copying--
			p[n] = z.put(c)
			n++
		case z.stored > 0:
			c := z.get(8)
			if z.err != nil {
				return n, z.err
			}
			z.stored--
			p[n] = z.put(byte(c))
			n++
		case z.literal != nil:
			c, ok := z.step()
			if z.err != nil {
				return n, z.err
			}
			if ok {
				p[n] = z.put(c)
				n++
			}
		case z.last:
			z.err = io.EOF
		default:
			z.begin()
		}
	}
	return n, nil
}

func (z *inflate64) put(c byte) byte {
	z.window[z.made] = c
	if z.made = (z.made + 1) & (len(z.window) - 1); z.made == 0 {
		z.full = true
	}
	return c
}

// step decodes one literal, the end of a block, or the beginning of a copy.
func (z *inflate64) step() (c byte, ok bool) {
	s := z.decode(z.literal)
	switch {
	case z.err != nil:
		return 0, false
	case s >= 0 && s < 256:
		return byte(s), true
	case s == 256:
		z.literal = nil
		return 0, false
	case s < 0 || s > 285:
		z.err = errInflate64
		return 0, false
	}
	// RFC 1951 section 3.2.5; code 285 is what Deflate64 does otherwise.
	s -= 257
	length := 3 + s
	switch {
	case s == 28:
		length = 3 + z.get(16)
	case s >= 8:
		extra := uint(s/4 - 1)
		length = 3 + (4+s%4)<<extra + z.get(extra)
	}
	d := z.decode(z.offset)
	if d < 0 || d > 31 {
		z.err = errors.Join(z.err, errInflate64)
		return 0, false
	}
	distance := 1 + d
	if d >= 4 {
		extra := uint(d/2 - 1)
		distance = 1 + (2+d%2)<<extra + z.get(extra)
	}
	if !z.full && distance > z.made {
		z.err = errors.Join(z.err, errInflate64)
		return 0, false
	}
	z.copying, z.from = length, distance
	return 0, false
}

// begin reads the header of a block. RFC 1951 section 3.2.3.
func (z *inflate64) begin() {
	z.last = z.get(1) == 1
	switch kind := z.get(2); {
	case z.err != nil:
	case kind == 0:
		z.bits, z.have = 0, 0
		n := z.get(16)
		if check := z.get(16); z.err == nil && n^check != 0xffff {
			z.err = errInflate64
		}
		z.stored = n
	case kind == 1:
		lengths := make([]byte, 288)
		for i := range lengths {
			switch {
			case i < 144:
				lengths[i] = 8
			case i < 256:
				lengths[i] = 9
			case i < 280:
				lengths[i] = 7
			default:
				lengths[i] = 8
			}
		}
		offsets := make([]byte, 32)
		for i := range offsets {
			offsets[i] = 5
		}
		z.literal, z.offset = newHuffman(lengths), newHuffman(offsets)
	case kind == 2:
		z.dynamic()
	default:
		z.err = errInflate64
	}
}

// dynamic reads the codes of a block. RFC 1951 section 3.2.7.
func (z *inflate64) dynamic() {
	literals, offsets, codes := 257+z.get(5), 1+z.get(5), 4+z.get(4)
	order := [...]int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}
	short := make([]byte, len(order))
	for _, at := range order[:codes] {
		short[at] = byte(z.get(3))
	}
	h := newHuffman(short)
	if z.err != nil || h == nil || literals > 286 {
		z.err = errors.Join(z.err, errInflate64)
		return
	}
	lengths := make([]byte, 0, literals+offsets)
	for len(lengths) < literals+offsets {
		s := z.decode(h)
		value, repeat := byte(0), 1
		switch {
		case z.err != nil || s < 0 || s == 16 && len(lengths) == 0:
			z.err = errors.Join(z.err, errInflate64)
			return
		case s < 16:
			value = byte(s)
		case s == 16:
			value, repeat = lengths[len(lengths)-1], 3+z.get(2)
		case s == 17:
			repeat = 3 + z.get(3)
		default:
			repeat = 11 + z.get(7)
		}
		if len(lengths)+repeat > literals+offsets {
			z.err = errInflate64
			return
		}
		for range repeat {
			lengths = append(lengths, value)
		}
	}
	z.literal, z.offset = newHuffman(lengths[:literals]), newHuffman(lengths[literals:])
	if z.literal == nil || z.offset == nil {
		z.literal, z.err = nil, errInflate64
	}
}
