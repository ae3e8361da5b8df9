package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"

	"spamcatcher/signatures/unpack/format"
)

// Methods of APPNOTE section 4.4.5.
const (
	zipDeflate   = 8
	zipDeflate64 = 9
	zipBzip2     = 12
	zipLZMA      = 14
	zipZstdOld   = 20
	zipZstd      = 93
	zipXZ        = 95
	zipAES       = 99
)

// A zipMethod is one that nothing here reads.
type zipMethod uint16

func (m zipMethod) Error() string { return fmt.Sprintf("zip method %d", uint16(m)) }

// A zipCodec reads the data of members. It keeps its decoders from one member to
// the next.
type zipCodec struct {
	deflate io.ReadCloser
	zstd    *zstd.Decoder
}

func (c *zipCodec) close() {
	if c.zstd != nil {
		c.zstd.Close()
	}
}

// read unpacks body as far as the Job allows. left is how many bytes of it are
// behind the end of what is packed, where the method tells.
func (c *zipCodec) read(j *format.Job, method uint16, h *zipHeader, body []byte) (data []byte, cut bool, left int64, err error) {
	if method == 0 {
		data, cut = j.Take(body)
		return data, cut, 0, nil
	}
	in := &packedData{bytes.NewReader(body), body}
	room, err := hold(j, method, len(body))
	if err != nil {
		return nil, true, 0, err
	}
	r, err := c.reader(method, h, in, int64(len(body)), room)
	if err != nil {
		return nil, true, 0, err
	}
	data, cut, err = j.Read(r, int64(len(body)))
	return data, cut, int64(in.Len()), err
}

// hold is the Job's Room, and makes sure of that of a dictionary.
func hold(j *format.Job, method uint16, packed int) (room int64, err error) {
	room, _ = j.Room(int64(packed))
	switch method {
	case zipLZMA, zipXZ, zipZstd, zipZstdOld:
		err = j.Hold(int(min(room, largestWindow)))
	}
	return room, err
}

// reader unpacks what in yields, packed bytes at most, of the member that h is
// about.
func (c *zipCodec) reader(method uint16, h *zipHeader, in io.Reader, packed, room int64) (r io.Reader, err error) {
	switch method {
	case 0:
		return in, nil
	case zipDeflate:
		if c.deflate == nil {
			c.deflate = flate.NewReader(in)
			return c.deflate, nil
		}
		return c.deflate, c.deflate.(flate.Resetter).Reset(in, nil)
	case zipDeflate64:
		return newInflate64(in), nil
	case zipBzip2:
		b, err := whole(in, packed)
		return newBzip2(b), err
	case zipLZMA:
		// APPNOTE section 5.8.8: version, size of the properties, properties.
		head := make([]byte, 9)
		if _, err := io.ReadFull(in, head); err != nil {
			return nil, fmt.Errorf("lzma: %w", io.ErrUnexpectedEOF)
		}
		if binary.LittleEndian.Uint16(head[2:]) != 5 {
			return nil, errors.New("lzma: broken")
		}
		// Section 4.4.4: bit 1 says that an end mark stands in the data.
		size := h.size
		if h.flags&2 != 0 || size == 0 {
			size = -1
		}
		return newLZMA(head[4], binary.LittleEndian.Uint32(head[5:]), size, room, in)
	case zipZstd, zipZstdOld:
		if c.zstd == nil {
			c.zstd, err = newZstd(in)
			return c.zstd, err
		}
		return c.zstd, c.zstd.Reset(in)
	case zipXZ:
		b, err := whole(in, packed)
		return newXZ(b, room), err
	}
	return nil, zipMethod(method)
}

// packedData is the data of a member as it lies in the archive.
type packedData struct {
	*bytes.Reader
	b []byte
}

// whole is what in yields, for readers that need it at hand: no more than the
// archive has, and copied only where it was encrypted.
func whole(in io.Reader, packed int64) ([]byte, error) {
	if p, ok := in.(*packedData); ok {
		return p.b, nil
	}
	return io.ReadAll(io.LimitReader(in, packed))
}

func sum(b []byte, crc uint32) bool { return crc32.ChecksumIEEE(b) == crc }
