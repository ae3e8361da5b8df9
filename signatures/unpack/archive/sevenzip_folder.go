package archive

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/bodgit/sevenzip"

	"spamcatcher/signatures/unpack/format"
)

// Bounds of what decoding a folder may take.
const (
	sevenDictMax   = 32 << 20 // LZMA and LZMA2: what is beyond is cut down, far matches fail then
	sevenMemoryMax = 72 << 20 // dictionaries, and models of PPMd, together: what is beyond is refused
	sevenKeyPower  = 20       // binary logarithm of rounds that make a key; everybody writes 19
)

// A sevenFolder is a chain of coders that packed streams pass through.
type sevenFolder struct {
	coders    []sevenCoder
	binds     [][2]int // an input takes an output
	packed    []int    // inputs that take packed streams
	sizes     []uint64 // of what comes out of each coder
	crc       uint32
	hasCRC    bool
	firstPack int
}

type sevenCoder struct {
	id    string
	in    int
	props []byte
}

// Methods, by the identifiers in the description of the format.
const (
	sevenCopy  = "\x00"
	sevenLZMA  = "\x03\x01\x01"
	sevenLZMA2 = "\x21"
	sevenPPMd  = "\x03\x04\x01"
	sevenAES   = "\x06\xf1\x07\x01"
)

// sevenSafe are the other methods that the library decodes in little memory.
var sevenSafe = map[string]bool{
	sevenCopy: true, "\x03": true, "\x03\x03\x01\x03": true, "\x03\x03\x01\x1b": true, "\x03\x03\x02\x05": true, "\x03\x03\x05\x01": true, "\x03\x03\x08\x05": true, "\x0a": true,
	"\x04\x01\x08": true, "\x04\x02\x02": true,
}

// unknownMethod is a method that nothing here decodes.
type unknownMethod string

func (m unknownMethod) Error() string { return fmt.Sprintf("method %x", string(m)) }

// read reads a folder's description.
func (f *sevenFolder) read(c *cursor) {
	n := c.count(sevenCodersMax)
	in := 0
	for range n {
		flags := c.byte()
		co := sevenCoder{id: string(c.take(uint64(flags & 15))), in: 1}
		out := 1
		if flags&0x10 != 0 {
			co.in, out = c.count(8), c.count(8)
		}
		if flags&0x20 != 0 {
			co.props = bytes.Clone(c.take(uint64(c.count(64))))
		}
		if flags&0xc0 != 0 || out != 1 || co.in == 0 {
			c.bad = true
		}
		in += co.in
		f.coders = append(f.coders, co)
	}
	if c.bad || n == 0 || in < n {
		c.bad = true
		return
	}
	bound := make([]bool, in)
	for range n - 1 {
		b := [2]int{int(c.number()), int(c.number())}
		if b[0] < 0 || b[0] >= in || b[1] < 0 || b[1] >= n || bound[b[0]] {
			c.bad = true
			return
		}
		bound[b[0]] = true
		f.binds = append(f.binds, b)
	}
	if streams := in - (n - 1); streams > 1 {
		for range streams {
			i := c.number()
			if i >= uint64(in) || bound[i] {
				c.bad = true
				return
			}
			bound[i] = true
			f.packed = append(f.packed, int(i))
		}
		return
	}
	for i, is := range bound {
		if !is {
			f.packed = append(f.packed, i)
		}
	}
}

// last is the coder whose output nothing takes.
func (f *sevenFolder) last() int {
	for i := len(f.coders) - 1; i >= 0; i-- {
		taken := false
		for _, b := range f.binds {
			taken = taken || b[1] == i
		}
		if !taken {
			return i
		}
	}
	return 0
}

// size is the number of bytes that come out.
func (f *sevenFolder) size() uint64 {
	if len(f.sizes) == 0 {
		return 0
	}
	return f.sizes[f.last()]
}

// packedSize is the number of bytes that go in.
func (f *sevenFolder) packedSize(s *sevenInfo) (n uint64) {
	for i := range f.packed {
		n += min(s.packs[f.firstPack+i], 1<<40)
	}
	return n
}

func (f *sevenFolder) encrypted() bool {
	for _, c := range f.coders {
		if c.id == sevenAES {
			return true
		}
	}
	return false
}

// bounded returns the coders with their memory bounded, and how much that is.
func (f *sevenFolder) bounded() (coders []sevenCoder, memory int, err error) {
	out := make([]sevenCoder, len(f.coders))
	for i, c := range f.coders {
		if f.sizes[i] > 1<<50 {
			return nil, 0, errSevenHeader
		}
		dict := uint32(max(4096, min(f.sizes[i], sevenDictMax)))
		switch {
		case c.id == sevenLZMA && len(c.props) == 5:
			dict = min(dict, le32(c.props[1:]))
			memory += int(dict)
			c.props = binary.LittleEndian.AppendUint32([]byte{c.props[0]}, dict)
		case c.id == sevenLZMA2 && len(c.props) == 1 && c.props[0] <= 40:
			memory += int(dict)
			p := byte(0)
			for p < c.props[0] && (2|uint64(p&1))<<(p/2+11) < uint64(dict) {
				p++
			}
			c.props = []byte{p}
		case c.id == sevenPPMd && len(c.props) == 5:
			memory += int(le32(c.props[1:]))
		case c.id == sevenAES && len(c.props) >= 2:
			if power := c.props[0] & 0x3f; power > sevenKeyPower && power != 0x3f {
				return nil, 0, errTooBig
			}
		case !sevenSafe[c.id]:
			return nil, 0, unknownMethod(c.id)
		}
		out[i] = c
	}
	if memory > sevenMemoryMax {
		return nil, 0, errTooBig
	}
	return out, memory, nil
}

// farther says that a coder may look back farther than it is let.
func (f *sevenFolder) farther() bool {
	for i, c := range f.coders {
		if f.sizes[i] <= sevenDictMax {
			continue
		}
		switch {
		case c.id == sevenLZMA && len(c.props) == 5 && le32(c.props[1:]) > sevenDictMax:
			return true
		case c.id == sevenLZMA2 && len(c.props) == 1 && c.props[0] <= 40 && (2|uint64(c.props[0]&1))<<(c.props[0]/2+11) > sevenDictMax:
			return true
		}
	}
	return false
}

// open decodes the folder: it writes an archive of one folder and one file, and has
// the library read that.
func (f *sevenFolder) open(j *format.Job, data []byte, s *sevenInfo, key string) (r io.Reader, err error) {
	defer recovered(&err)
	coders, memory, err := f.bounded()
	if err != nil {
		return nil, err
	}
	if err := j.Hold(memory); err != nil {
		return nil, err
	}
	at := s.position
	for _, n := range s.packs[:f.firstPack] {
		at += min(n, 1<<40)
	}
	n := f.packedSize(s)
	if at > uint64(len(data)) || n > uint64(len(data))-at {
		return nil, fmt.Errorf("a packed stream lies behind the end: %w", io.ErrUnexpectedEOF)
	}
	packed := data[at : at+n]

	h := []byte{0x01, 0x04, 0x06, 0x00}
	h = append(number(h, uint64(len(f.packed))), 0x09)
	for i := range f.packed {
		h = number(h, s.packs[f.firstPack+i])
	}
	h = append(h, 0x00, 0x07, 0x0b, 0x01, 0x00)
	h = number(h, uint64(len(coders)))
	for _, c := range coders {
		flags := byte(len(c.id))
		if c.in != 1 {
			flags |= 0x10
		}
		if len(c.props) > 0 {
			flags |= 0x20
		}
		h = append(append(h, flags), c.id...)
		if c.in != 1 {
			h = append(number(h, uint64(c.in)), 1)
		}
		if len(c.props) > 0 {
			h = append(number(h, uint64(len(c.props))), c.props...)
		}
	}
	for _, b := range f.binds {
		h = number(number(h, uint64(b[0])), uint64(b[1]))
	}
	if len(f.packed) > 1 {
		for _, i := range f.packed {
			h = number(h, uint64(i))
		}
	}
	h = append(h, 0x0c)
	for _, size := range f.sizes {
		h = number(h, size)
	}
	h = append(h, 0x00, 0x00, 0x05, 0x01, 0x11, 0x05, 0x00, 'x', 0, 0, 0, 0x00, 0x00)

	start := make([]byte, 20)
	binary.LittleEndian.PutUint64(start, n)
	binary.LittleEndian.PutUint64(start[8:], uint64(len(h)))
	binary.LittleEndian.PutUint32(start[16:], crc32.ChecksumIEEE(h))
	first := append([]byte(sevenMagic), 0, 4)
	first = append(binary.LittleEndian.AppendUint32(first, crc32.ChecksumIEEE(start)), start...)
	whole := joined{first, packed, h}
	z, err := sevenzip.NewReaderWithPassword(whole, whole.size(), key)
	if err != nil {
		return nil, err
	}
	if len(z.File) != 1 {
		return nil, errSevenHeader
	}
	file, err := z.File[0].Open()
	if err != nil {
		return nil, err
	}
	return guarded{file}, nil
}

// number appends v in the format's encoding.
func number(b []byte, v uint64) []byte {
	if v < 0x80 {
		return append(b, byte(v))
	}
	return binary.LittleEndian.AppendUint64(append(b, 0xff), v)
}

// joined are pieces of memory read as one.
type joined [3][]byte

func (j joined) size() (n int64) {
	for _, b := range j {
		n += int64(len(b))
	}
	return n
}

// ReadAt implements io.ReaderAt.
func (j joined) ReadAt(p []byte, off int64) (n int, err error) {
	for _, b := range j {
		if off < int64(len(b)) && n < len(p) {
			k := copy(p[n:], b[off:])
			n += k
			off += int64(k)
		}
		off -= int64(len(b))
		off = max(off, 0)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
