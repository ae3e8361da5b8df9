package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"spamcatcher/signatures/unpack/format"
)

// A cursor reads a header byte by byte. What it reads behind the end is zero, and
// bad is set.
type cursor struct {
	b   []byte
	bad bool
}

// take returns the next n bytes, nil if there are not so many.
func (c *cursor) take(n uint64) []byte {
	if n > uint64(len(c.b)) {
		c.b, c.bad = nil, true
		return nil
	}
	out := c.b[:n]
	c.b = c.b[n:]
	return out
}

func (c *cursor) byte() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) le16() uint16 {
	if b := c.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) le32() uint32 {
	if b := c.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// cstring returns what stands before the next NUL, and passes that.
func (c *cursor) cstring() string {
	i := bytes.IndexByte(c.b, 0)
	if i < 0 {
		c.b, c.bad = nil, true
		return ""
	}
	s := string(c.b[:i])
	c.b = c.b[i+1:]
	return s
}

func le16(b []byte) uint16 { return binary.LittleEndian.Uint16(b) }
func le32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
func le64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }
func be16(b []byte) uint16 { return binary.BigEndian.Uint16(b) }
func be32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }

// prefixMax is how far into a file readers look for an archive: self-extracting
// archives have a program before it.
const prefixMax = 1 << 20

// behind finds magic in f at or after from: at the very beginning, or behind a
// program, a picture or other bytes that are no text. It is -1 if there is none.
func behind(f *format.File, magic string, from int) int {
	if from == 0 && len(f.Data) >= len(magic) && string(f.Data[:len(magic)]) == magic {
		return 0
	}
	switch {
	case f.Kind == format.Mail || len(f.Data) < 512 || from >= len(f.Data):
		return -1
	case f.Type == "" || strings.HasPrefix(f.Type, "image/"):
		if bytes.IndexByte(f.Data[:512], 0) < 0 {
			return -1 // text
		}
	case f.Type != "application/x-msdownload" && f.Type != "application/x-elf":
		return -1
	}
	from = max(from, 1)
	if i := bytes.Index(f.Data[from:max(from, min(len(f.Data), prefixMax))], []byte(magic)); i >= 0 {
		return from + i
	}
	return -1
}

// skipMax is how much of a member that was cut is decoded in order to come to the
// next one, in bytes.
const skipMax = 64 << 20

// errSkip says that what follows a long member was not looked at.
var errSkip = errors.New("what follows a long member was not reached")

// skip reads n bytes of r and forgets them.
func skip(j *format.Job, r io.Reader, n int64) error {
	if n > skipMax {
		return errSkip
	}
	_, err := copyChecked(j, io.Discard, io.LimitReader(r, n))
	return err
}

// copyChecked copies r to w, looking at the clock.
func copyChecked(j *format.Job, w io.Writer, r io.Reader) (int64, error) {
	buf := make([]byte, 32<<10)
	var total int64
	for {
		n, err := r.Read(buf)
		w.Write(buf[:n])
		total += int64(n)
		if err == io.EOF {
			return total, nil
		}
		if err == nil {
			err = j.Check()
		}
		if err != nil {
			return total, err
		}
	}
}

// A guarded reader turns a panic of a library, on hostile bytes, into an error.
type guarded struct{ r io.Reader }

func (g guarded) Read(p []byte) (n int, err error) {
	defer recovered(&err)
	return g.r.Read(p)
}

// recovered turns a panic of a library, on hostile bytes, into an error.
func recovered(err *error) {
	if x := recover(); x != nil {
		*err = fmt.Errorf("the decoder gave up: %v", x)
	}
}
