package archive

import (
	"bytes"
	"encoding/binary"
	"io"
)

// What compressed streams wrap around the compression itself: the filters of xz,
// and the frames of zstd.

// The XZ File Format 1.1.0, section 5.3.
const (
	xzDelta = 0x03
	xzX86   = 0x04
	xzLZMA2 = 0x21
)

// unfilter undoes a filter of xz. known is false for one that nothing here undoes;
// what it changes is little: addresses in the programs of some processor.
func unfilter(r io.Reader, id uint64, properties []byte) (out io.Reader, known bool) {
	switch {
	case id == xzDelta && len(properties) == 1:
		return &deltaReader{r: r, distance: int(properties[0]) + 1}, true
	case id == xzX86 && (len(properties) == 0 || len(properties) == 4):
		x := &x86Reader{r: r}
		if len(properties) == 4 {
			x.base = binary.LittleEndian.Uint32(properties)
		}
		return x, true
	}
	return r, false
}

// A deltaReader adds to each byte the one that came some way before it.
type deltaReader struct {
	r        io.Reader
	distance int
	last     [256]byte
	at       byte
}

// Read implements io.Reader.
func (d *deltaReader) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	for i := range p[:n] {
		p[i] += d.last[d.at-byte(d.distance)]
		d.last[d.at] = p[i]
		d.at++
	}
	return n, err
}

// An x86Reader turns the absolute targets of calls and jumps back into relative
// ones. A call is a byte E8 or E9 and four bytes of address; what looks like one
// within the four bytes behind another decides by a mask which of them counts.
type x86Reader struct {
	r     io.Reader
	base  uint32 // address of the first byte of buf that is not converted
	buf   []byte
	ready int // bytes of buf that are converted
	sent  int // and handed on
	err   error
	mask  uint32 // calls that were seen, the nearest in bit 0; bit 4: its address could be one
	since uint32 // bytes since the last of them
}

// Read implements io.Reader.
func (x *x86Reader) Read(p []byte) (int, error) {
	if x.sent == x.ready {
		x.buf = append(x.buf[:0], x.buf[x.ready:]...)
		x.sent, x.ready = 0, 0
		if x.err == nil {
			have := len(x.buf)
			x.buf = append(x.buf, make([]byte, max(0, 32<<10-have))...)
			var n int
			n, x.err = x.r.Read(x.buf[have:])
			x.buf = x.buf[:have+n]
		}
		x.ready = x.convert()
		if x.err != nil {
			x.ready = len(x.buf) // the last four bytes are no call
		}
		if x.ready == 0 {
			return 0, x.err
		}
	}
	n := copy(p, x.buf[x.sent:x.ready])
	x.sent += n
	return n, nil
}

// extends says that a byte is the highest of an address near by.
func extends(b byte) bool { return b == 0 || b == 0xff }

// convert works on buf and returns how many bytes are done.
func (x *x86Reader) convert() int {
	b, at := x.buf, 0
	for ; at+4 < len(b); at++ {
		if b[at]&0xfe != 0xe8 {
			x.since++
			x.base++
			continue
		}
		if x.since > 4 {
			x.mask = 0
		} else {
			for range x.since + 1 {
				x.mask = x.mask & 0x77 << 1
			}
		}
		x.since = 0
		near := x.mask >> 1
		if !extends(b[at+4]) || near >= 16 || near&7 == 3 || near&7 > 4 {
			if x.mask |= 1; extends(b[at+4]) {
				x.mask |= 16
			}
			x.base++
			continue
		}
		from := binary.LittleEndian.Uint32(b[at+1:])
		var to uint32
		for {
			if to = from - (x.base + 5); x.mask == 0 {
				break
			}
			shift := 8 * [8]uint32{0, 1, 2, 2, 3, 3, 3, 3}[near&7]
			if !extends(byte(to >> (24 - shift))) {
				break
			}
			from = to ^ (1<<(32-shift) - 1)
		}
		if to &= 1<<25 - 1; to&(1<<24) != 0 {
			to |= 0xff << 24
		}
		binary.LittleEndian.PutUint32(b[at+1:], to)
		at += 4
		x.base += 5
		x.mask, x.since = 0, 4
	}
	return min(at, len(b))
}

// zstdMagic is what a frame begins with. RFC 8878 section 3.1.1.
const zstdMagic = 0xfd2fb528

// zstdWindow is the descriptor of a window of 16 MiB, which is largestWindow.
const zstdWindow = 14 << 3

// zstdSkip is the length of the frame to be skipped that b begins with, 0 if it is
// none or breaks off.
func zstdSkip(b []byte) int {
	if len(b) < 8 || b[0]&0xf0 != 0x50 || b[1] != 0x2a || b[2] != 0x4d || b[3] != 0x18 {
		return 0
	}
	n := int64(binary.LittleEndian.Uint32(b[4:])) + 8
	if n > int64(len(b)) {
		return 0
	}
	return int(n)
}

// zstdFrames is b, except that no frame asks for a window larger than
// largestWindow: what would make use of one lies behind the longest file that is
// read. RFC 8878 section 3.1.1.
func zstdFrames(b []byte) io.Reader {
	var pieces []io.Reader
	from := 0 // what is not among the pieces yet
	for at := 0; len(b)-at > 9 && len(pieces) < 1000; {
		if n := zstdSkip(b[at:]); n > 0 {
			at += n
			continue
		}
		if binary.LittleEndian.Uint32(b[at:]) != zstdMagic {
			break
		}
		flags := b[at+4]
		single := flags&0x20 != 0
		dictionary := [4]int{0, 1, 2, 4}[flags&3]
		sized := [4]int{0, 2, 4, 8}[flags>>6]
		window := at + 5
		next := window + dictionary + sized
		if single && sized == 0 || !single {
			next++
		}
		if next > len(b) {
			break
		}
		if single && sized >= 4 {
			size := uint64(binary.LittleEndian.Uint32(b[next-sized:]))
			if sized == 8 {
				size = binary.LittleEndian.Uint64(b[next-sized:])
			}
			if size > largestWindow {
				pieces = append(pieces, bytes.NewReader(b[from:at+4]), bytes.NewReader([]byte{flags &^ 0x20, zstdWindow}))
				from = window
			}
		} else if !single && b[window] > zstdWindow {
			pieces = append(pieces, bytes.NewReader(b[from:window]), bytes.NewReader([]byte{zstdWindow}))
			from = window + 1
		}
		if at = zstdBlocks(b, next); at >= 0 && flags&4 != 0 {
			at += 4
		}
		if at < 0 {
			break
		}
	}
	if pieces == nil {
		return bytes.NewReader(b)
	}
	return io.MultiReader(append(pieces, bytes.NewReader(b[from:]))...)
}

// zstdBlocks is where the blocks that begin at b[at:] end, -1 if they break off.
// RFC 8878 section 3.1.1.2.
func zstdBlocks(b []byte, at int) int {
	for at+3 <= len(b) {
		head := int(b[at]) | int(b[at+1])<<8 | int(b[at+2])<<16
		size := head >> 3
		if head>>1&3 == 1 {
			size = 1 // one byte, repeated
		}
		if at += 3 + size; head&1 != 0 {
			return at
		}
	}
	return -1
}
