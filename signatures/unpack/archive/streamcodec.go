package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

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
// counts first what the chunks of a block make. Blocks with a filter besides LZMA2
// are not read.
//
// The XZ File Format 1.1.0, sections 2 and 3.
type xzReader struct {
	b     []byte // what is left
	check int    // bytes of the check behind each block
	room  int64
	block io.Reader
	after int // where in b the block ends
}

var (
	xzMagic  = []byte("\xfd7zXZ\x00")
	errXZ    = errors.New("xz: broken")
	errXZCut = fmt.Errorf("xz: %w", io.ErrUnexpectedEOF)
)

func newXZ(b []byte, room int64) io.Reader { return &xzReader{b: b, check: -1, room: room} }

func (x *xzReader) Read(p []byte) (int, error) {
	for {
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
	dictionary, err := xzDictionary(x.b[1 : size-4])
	if err != nil {
		return err
	}
	made, length := xzChunks(x.b[size:])
	window := min(dictionary, max(made, lzma.MinDictCap))
	if window > max(x.room, lzma.MinDictCap) {
		window = max(x.room, lzma.MinDictCap)
	}
	x.block, err = lzma.Reader2Config{DictCap: int(min(window, largestWindow))}.NewReader2(bytes.NewReader(x.b[size : size+length]))
	x.after = size + (length+3)&^3 + x.check
	return err
}

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

// xzDictionary is the size of the dictionary that a block header asks for.
// Section 3.1: flags, sizes, filters.
func xzDictionary(h []byte) (int64, error) {
	flags := h[0]
	h = h[1:]
	for _, bit := range []byte{0x40, 0x80} {
		if flags&bit != 0 {
			_, n := binary.Uvarint(h)
			if n <= 0 {
				return 0, errXZ
			}
			h = h[n:]
		}
	}
	if flags&3 != 0 {
		return 0, errors.New("xz: a filter that nothing here reads")
	}
	// Section 5.3.1: LZMA2 has id 0x21 and one byte of properties.
	if len(h) < 3 || h[0] != 0x21 || h[1] != 1 || h[2] > 40 {
		return 0, errXZ
	}
	if h[2] == 40 {
		return 1<<32 - 1, nil
	}
	return int64(2|h[2]&1) << (h[2]/2 + 11), nil
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
