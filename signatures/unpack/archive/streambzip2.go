package archive

import (
	"encoding/binary"
	"errors"
	"io"
)

// A bzip2Reader reads bzip2 as bzip2(1) does: also codes that do not use all their
// bit patterns, which Go's own reader takes for damage, so that nobody can hide a
// file from it. What follows the last stream is ignored.
//
// A block is Huffman codes of move-to-front ranks of a Burrows-Wheeler transform of
// the content, in which four equal bytes are followed by how many more there are.
type bzip2Reader struct {
	b     []byte
	bit   int // position in b
	size  int // most bytes in a block; 0 between streams
	table []uint32
	left  int    // bytes of the block that are not taken out of table yet
	at    uint32 // where in table the next one is
	last  int    // the byte before, -1 at the beginning of a block
	same  int    // how often it has come, 4 at most
	more  int    // how often it comes again
	sum   uint32 // of the block
	want  uint32
	sums  *[256]uint32
	some  bool // a stream has been read to its end
	err   error
}

var errBzip2 = errors.New("bzip2: broken")

func newBzip2(b []byte) io.Reader {
	// CRC-32 with the highest bit first.
	var sums [256]uint32
	for i := range sums {
		c := uint32(i) << 24
		for range 8 {
			c = c<<1 ^ 0x04c11db7*(c>>31)
		}
		sums[i] = c
	}
	return &bzip2Reader{b: b, sums: &sums}
}

func (z *bzip2Reader) Read(p []byte) (n int, err error) {
	for n < len(p) && z.err == nil {
		switch {
		case z.more > 0:
			z.more--
			p[n] = z.put(byte(z.last))
			n++
		case z.left > 0:
			z.left--
			z.at = z.table[z.at>>8]
			c := byte(z.at)
			if z.same == 4 {
				z.same, z.more = 0, int(c)
				continue
			}
			if int(c) == z.last {
				z.same++
			} else {
				z.same, z.last = 1, int(c)
			}
			p[n] = z.put(c)
			n++
		default:
			z.err = z.next()
		}
	}
	if n > 0 {
		return n, nil
	}
	return 0, z.err
}

func (z *bzip2Reader) put(c byte) byte {
	z.sum = z.sum<<8 ^ z.sums[byte(z.sum>>24)^c]
	return c
}

// peek is the next n bits, 24 at most; zeros stand behind the end.
func (z *bzip2Reader) peek(n int) int {
	var v uint32
	if at := z.bit / 8; at+4 <= len(z.b) {
		v = binary.BigEndian.Uint32(z.b[at:])
	} else {
		for i := range 4 {
			if v <<= 8; at+i < len(z.b) {
				v |= uint32(z.b[at+i])
			}
		}
	}
	return int(v << (z.bit % 8) >> (32 - n))
}

func (z *bzip2Reader) get(n int) int {
	v := z.peek(n)
	z.bit += n
	return v
}

// over says that more was read than there is.
func (z *bzip2Reader) over() bool { return z.bit > 8*len(z.b) }

// next goes to the next block.
func (z *bzip2Reader) next() error {
	if z.size > 0 && z.last >= 0 && ^z.sum != z.want {
		return errors.New("bzip2: wrong checksum")
	}
	for {
		if z.size == 0 {
			z.bit = (z.bit + 7) &^ 7
			if z.peek(24) != 'B'<<16|'Z'<<8|'h' || z.over() {
				if z.some {
					return io.EOF
				}
				return errBzip2
			}
			z.bit += 24
			level := z.get(8) - '0'
			if level < 1 || level > 9 {
				return errBzip2
			}
			z.size = level * 100_000
		}
		switch a, b := z.get(24), z.get(24); {
		case z.over():
			return io.ErrUnexpectedEOF
		case a == 0x314159 && b == 0x265359:
			return z.block()
		case a == 0x177245 && b == 0x385090:
			if z.bit += 32; z.over() { // the checksum of the stream
				return io.ErrUnexpectedEOF
			}
			z.size, z.last, z.some = 0, -1, true
		default:
			return errBzip2
		}
	}
}

// A bzip2Code is a canonical code of up to 20 bits.
type bzip2Code struct {
	shortest int
	limit    [21]int // the last code of each length
	base     [21]int // the first code of each length less its place in symbols
	symbols  []int   // in the order of their codes
}

func newBzip2Code(lengths []int) *bzip2Code {
	c := &bzip2Code{shortest: 20}
	first := 0
	for n := 1; n <= 20; n++ {
		c.base[n] = first - len(c.symbols)
		count := 0
		for s, l := range lengths {
			if l == n {
				c.symbols = append(c.symbols, s)
				c.shortest = min(c.shortest, n)
				count++
			}
		}
		c.limit[n] = first + count - 1
		first = (first + count) << 1
	}
	return c
}

// decode reads a symbol, -1 if there is no such code.
func (z *bzip2Reader) decode(c *bzip2Code) int {
	v := z.peek(20)
	for n := c.shortest; n <= 20; n++ {
		if code := v >> (20 - n); code <= c.limit[n] {
			z.bit += n
			if i := code - c.base[n]; i >= 0 && i < len(c.symbols) {
				return c.symbols[i]
			}
			return -1
		}
	}
	return -1
}

// block reads a block into table.
func (z *bzip2Reader) block() error {
	z.want = uint32(z.get(16))<<16 | uint32(z.get(16))
	if z.get(1) != 0 {
		return errors.New("bzip2: a randomised block")
	}
	origin := z.get(24)
	front := z.alphabet()
	codes, selectors, err := z.codes(len(front) + 2)
	if err != nil {
		return err
	}
	if cap(z.table) < z.size {
		// A block expands from less than it holds only by runs: what is left tells
		// nothing about its size.
		z.table = make([]uint32, z.size)
	}
	table := z.table[:z.size]
	var counts [256]int
	used, run, power := 0, 0, 1
	for i := 0; ; i++ {
		if i/50 >= len(selectors) {
			return errBzip2
		}
		s := z.decode(codes[selectors[i/50]])
		if s == 0 || s == 1 { // digits of how often the first comes, 1 and 2
			if run += power << s; run > z.size {
				return errBzip2
			}
			power <<= 1
			continue
		}
		if run > 0 {
			if used+run > z.size {
				return errBzip2
			}
			c := front[0]
			for range run {
				table[used] = uint32(c)
				used++
			}
			counts[c] += run
			run, power = 0, 1
		}
		if s == len(front)+1 {
			break
		}
		if s < 0 || used >= z.size || z.over() {
			if z.over() {
				return io.ErrUnexpectedEOF
			}
			return errBzip2
		}
		c := front[s-1]
		copy(front[1:s], front[:s-1])
		front[0] = c
		table[used] = uint32(c)
		counts[c]++
		used++
	}
	if origin >= used || z.over() {
		return errBzip2
	}
	total := 0
	for i, n := range counts {
		counts[i], total = total, total+n
	}
	for i := range used {
		c := byte(table[i])
		table[counts[c]] |= uint32(i) << 8
		counts[c]++
	}
	z.table, z.at, z.left = table, table[origin], used
	z.last, z.same, z.more, z.sum = -1, 0, 0, ^uint32(0)
	return nil
}

// alphabet is the bytes that occur in a block.
func (z *bzip2Reader) alphabet() (all []byte) {
	groups := z.get(16)
	for i := range 16 {
		if groups>>(15-i)&1 == 0 {
			continue
		}
		group := z.get(16)
		for k := range 16 {
			if group>>(15-k)&1 != 0 {
				all = append(all, byte(16*i+k))
			}
		}
	}
	return all
}

// codes reads the codes of a block, and which of them each 50 symbols have.
func (z *bzip2Reader) codes(symbols int) (codes []*bzip2Code, selectors []byte, err error) {
	n := z.get(3)
	selectors = make([]byte, z.get(15))
	if n < 2 || n > 6 || len(selectors) == 0 || symbols < 3 {
		return nil, nil, errBzip2
	}
	front := []byte{0, 1, 2, 3, 4, 5}
	for i := range selectors {
		s := 0
		for z.get(1) == 1 {
			if s++; s >= n {
				return nil, nil, errBzip2
			}
		}
		c := front[s]
		copy(front[1:s+1], front[:s])
		front[0], selectors[i] = c, c
	}
	lengths := make([]int, symbols)
	for range n {
		length := z.get(5)
		for i := range lengths {
			for {
				if length < 1 || length > 20 || z.over() {
					return nil, nil, errBzip2
				}
				if z.get(1) == 0 {
					break
				}
				length += 1 - 2*z.get(1)
			}
			lengths[i] = length
		}
		codes = append(codes, newBzip2Code(lengths))
	}
	return codes, selectors, nil
}
