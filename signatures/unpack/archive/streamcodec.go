package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz/lzma"
)

// largestWindow bounds, in bytes, what a dictionary or window may take. It is no
// less than the largest file that a Job lets through by default, so that a larger
// one is of no use.
const largestWindow = 16 << 20

// newZstd reads a zstd stream; its caller must close it.
func newZstd(r io.Reader) (*zstd.Decoder, error) {
	return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(largestWindow), zstd.WithDecoderMaxMemory(64<<20))
}

// newLZMA reads what follows the 13 bytes of an lzma header: properties, the size
// of the dictionary and that of the content (-1 unknown, then an end mark stands
// in it). The dictionary that is allocated is no larger than room.
func newLZMA(properties byte, dictionary uint32, size, room int64, r io.Reader) (io.Reader, error) {
	if properties >= 9*5*5 {
		return nil, fmt.Errorf("lzma properties %d", properties)
	}
	dictionary = uint32(min(int64(dictionary), max(room, 4096), largestWindow))
	head := make([]byte, 13)
	head[0] = properties
	binary.LittleEndian.PutUint32(head[1:], dictionary)
	binary.LittleEndian.PutUint64(head[5:], uint64(size))
	return lzma.NewReader(io.MultiReader(bytes.NewReader(head), r))
}

// An xzReader reads the streams and blocks of an xz file. The library's own
// reader allocates the dictionary that a header asks for, up to 4 GiB; this one
// counts first what the chunks of a block make.
//
// The XZ File Format 1.1.0, sections 2 and 3.
type xzReader struct {
	b     []byte // what is left
	check int    // bytes of the check behind each block
	room  int64
	block io.Reader
	after int // where in b the block ends

	strange string // a filter that was not undone
}

var (
	xzMagic  = []byte("\xfd7zXZ\x00")
	errXZ    = errors.New("xz: broken")
	errXZCut = fmt.Errorf("xz: %w", io.ErrUnexpectedEOF)
)

func newXZ(b []byte, room int64) io.Reader { return &xzReader{b: b, check: -1, room: room} }

// emptyRun is how many empty blocks or members a reader passes over before it comes
// back, so that the clock is looked at.
const emptyRun = 256

func (x *xzReader) Read(p []byte) (int, error) {
	for range emptyRun {
		if x.block != nil {
			n, err := x.block.Read(p)
			if err == nil || err != io.EOF {
				return n, err
			}
			x.b, x.block = x.b[min(x.after, len(x.b)):], nil
			if n > 0 {
				return n, nil
			}
		}
		if err := x.next(); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// next goes to the next block.
func (x *xzReader) next() error {
	if x.check < 0 {
		for len(x.b) >= 4 && binary.LittleEndian.Uint32(x.b) == 0 {
			x.b = x.b[4:] // stream padding
		}
		if len(x.b) == 0 {
			return io.EOF
		}
		if len(x.b) < 12 {
			return errXZCut
		}
		if !bytes.HasPrefix(x.b, xzMagic) {
			return errXZ
		}
		// Section 2.1.1.2: the size of a check by its kind.
		x.check = [16]int{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}[x.b[7]&15]
		x.b = x.b[12:]
	}
	if len(x.b) == 0 {
		return errXZCut
	}
	if x.b[0] == 0 {
		return x.index()
	}
	size := (int(x.b[0]) + 1) * 4
	if len(x.b) < size || size < 12 {
		return errXZCut
	}
	filters, err := xzFilters(x.b[1 : size-4])
	if err != nil {
		return err
	}
	last := filters[len(filters)-1]
	dictionary, err := xzDictionary(last)
	if err != nil {
		return err
	}
	made, length := xzChunks(x.b[size:])
	x.after = size + (length+3)&^3 + x.check
	if made == 0 { // no decoder is made for nothing
		x.b = x.b[min(x.after, len(x.b)):]
		return nil
	}
	window := min(dictionary, max(made, lzma.MinDictCap))
	if window > max(x.room, lzma.MinDictCap) {
		window = max(x.room, lzma.MinDictCap)
	}
	x.block, err = lzma.Reader2Config{DictCap: int(min(window, largestWindow))}.NewReader2(bytes.NewReader(x.b[size : size+length]))
	if err != nil {
		return err
	}
	for _, f := range slices.Backward(filters[:len(filters)-1]) {
		var known bool
		if x.block, known = unfilter(x.block, f.id, f.properties); !known {
			x.strange = fmt.Sprintf("xz: filter %#x", f.id)
		}
	}
	return nil
}

// unread names what was not undone, "" for nothing.
func (x *xzReader) unread() string { return x.strange }

// index skips the index and the footer of a stream. Section 4.
func (x *xzReader) index() error {
	at := 1
	number := func() (n uint64) {
		v, k := binary.Uvarint(x.b[min(at, len(x.b)):])
		if k <= 0 {
			at = len(x.b) + 1
			return 0
		}
		at += k
		return v
	}
	for records := number(); records > 0 && at <= len(x.b); records-- {
		number()
		number()
	}
	at = (at+3)&^3 + 4 + 12
	if at > len(x.b) {
		return errXZCut
	}
	x.b, x.check = x.b[at:], -1
	return nil
}

// An xzFilter is one of those that a block went through.
type xzFilter struct {
	id         uint64
	properties []byte
}

// xzFilters are those that a block header names. Section 3.1: flags, sizes,
// filters; the last of them is LZMA2.
func xzFilters(h []byte) (filters []xzFilter, err error) {
	flags := h[0]
	h = h[1:]
	number := func() uint64 {
		v, n := binary.Uvarint(h)
		if n <= 0 {
			h, err = nil, errXZ
			return 0
		}
		h = h[n:]
		return v
	}
	for _, bit := range []byte{0x40, 0x80} {
		if flags&bit != 0 {
			number()
		}
	}
	for range flags&3 + 1 {
		id, size := number(), number()
		if err != nil || size > uint64(len(h)) {
			return nil, errXZ
		}
		filters = append(filters, xzFilter{id, h[:size]})
		h = h[size:]
	}
	return filters, err
}

// xzDictionary is the size of the dictionary that LZMA2 asks for. Section 5.3.1.
func xzDictionary(f xzFilter) (int64, error) {
	if f.id != xzLZMA2 || len(f.properties) != 1 || f.properties[0] > 40 {
		return 0, errXZ
	}
	bits := f.properties[0]
	if bits == 40 {
		return 1<<32 - 1, nil
	}
	return int64(2|bits&1) << (bits/2 + 11), nil
}

// xzChunks counts the bytes that the LZMA2 chunks at the beginning of b make, and
// those that they take.
func xzChunks(b []byte) (made int64, length int) {
	for at := 0; at < len(b); {
		c := b[at]
		switch {
		case c == 0:
			return made, at + 1
		case c < 0x80:
			if at+3 > len(b) {
				return made, len(b)
			}
			n := int(binary.BigEndian.Uint16(b[at+1:])) + 1
			made, at = made+int64(n), at+3+n
		default:
			if at+6 > len(b) {
				return made, len(b)
			}
			made += int64(c&0x1f)<<16 + int64(binary.BigEndian.Uint16(b[at+1:])) + 1
			n := int(binary.BigEndian.Uint16(b[at+3:])) + 1
			if c >= 0xc0 {
				at++
			}
			at += 5 + n
		}
	}
	return made, len(b)
}
