package archive

import (
	"errors"
	"io"
)

// An lzwReader reads what compress(1) writes: codes of 9 to 16 bits, the lowest
// bits first, in groups of eight codes; code 256 empties the table.
type lzwReader struct {
	b        []byte // behind the header
	bit      int    // position in b
	group    int    // bit at which the group of eight codes began
	width    int
	most     int // bits
	block    bool
	next     int // the code that the table gets next
	previous int // code, -1 at the beginning
	first    byte
	prefix   []uint16
	suffix   []byte
	out      []byte // decoded, not read yet: at the end of stack
	stack    []byte
}

var errLZW = errors.New("compress: broken")

func newLZW(b []byte) (io.Reader, error) {
	if len(b) < 3 || b[0] != 0x1f || b[1] != 0x9d {
		return nil, errLZW
	}
	most := int(b[2] & 31)
	if most < 9 || most > 16 {
		return nil, errLZW
	}
	z := &lzwReader{b: b[3:], width: 9, most: most, block: b[2]&0x80 != 0, previous: -1,
		prefix: make([]uint16, 1<<most), suffix: make([]byte, 1<<most), stack: make([]byte, 1<<most+1)}
	z.next = 256
	if z.block {
		z.next = 257
	}
	return z, nil
}

func (z *lzwReader) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(z.out) == 0 {
			if err := z.step(); err != nil {
				return n, err
			}
			continue
		}
		k := copy(p[n:], z.out)
		n, z.out = n+k, z.out[k:]
	}
	return n, nil
}

// align skips what is left of the group of codes: they are written eight at a
// time, and what follows a change of width begins a new group.
func (z *lzwReader) align() {
	size := 8 * z.width
	if used := (z.bit - z.group) % size; used != 0 {
		z.bit += size - used
	}
	z.group = z.bit
}

// step decodes one code.
func (z *lzwReader) step() error {
	if z.bit+z.width > 8*len(z.b) {
		return io.EOF
	}
	at := z.bit / 8
	v := uint32(z.b[at]) | uint32(z.b[at+1])<<8
	if at+2 < len(z.b) {
		v |= uint32(z.b[at+2]) << 16
	}
	code := int(v>>(z.bit%8)) & (1<<z.width - 1)
	z.bit += z.width
	if code == 256 && z.block {
		z.align()
		z.width, z.next, z.previous = 9, 257, -1
		return nil
	}
	if z.previous < 0 {
		if code > 255 {
			return errLZW
		}
		z.stack[len(z.stack)-1] = byte(code)
		z.out = z.stack[len(z.stack)-1:]
		z.previous, z.first = code, byte(code)
		return nil
	}
	if code > z.next || code == z.next && z.next >= 1<<z.most {
		return errLZW
	}
	top := len(z.stack)
	c := code
	if code == z.next { // the string that is only now being made
		top--
		z.stack[top] = z.first
		c = z.previous
	}
	// Every prefix is less than its code, so this ends.
	for c > 255 {
		top--
		z.stack[top] = z.suffix[c]
		c = int(z.prefix[c])
	}
	top--
	z.stack[top] = byte(c)
	z.first = byte(c)
	z.out = z.stack[top:]
	if z.next < 1<<z.most {
		z.prefix[z.next], z.suffix[z.next] = uint16(z.previous), z.first
		z.next++
		if z.next >= 1<<z.width && z.width < z.most {
			z.align()
			z.width++
		}
	}
	z.previous = code
	return nil
}
