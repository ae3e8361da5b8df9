package archive

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"strings"

	"spamcatcher/signatures/unpack/format"
)

// binhex reads BinHex 4.0, a Macintosh file as text. RFC 1741 describes it.
type binhex struct{}

const binhexMagic = "BinHex 4"

func (binhex) Name() string { return "binhex" }

func (binhex) Reads(f *format.File) bool {
	return f.Kind != format.Mail && f.Type != "message/rfc822" && bytes.Contains(f.Data[:min(len(f.Data), 2048)], []byte(binhexMagic))
}

func (binhex) Open(j *format.Job, f *format.File) error {
	b := f.Data[bytes.Index(f.Data, []byte(binhexMagic)):]
	_, b, _ = bytes.Cut(b, []byte("\n"))
	b, ok := bytes.CutPrefix(bytes.TrimLeft(b, " \t\r\n"), []byte(":"))
	if !ok {
		return nil // the words alone
	}
	all, cut, err := j.Read(&hqx{in: b}, int64(len(b)))
	if errors.Is(err, format.ErrStop) {
		return err
	}
	c := &cursor{b: all}
	name := string(c.take(uint64(c.byte())))
	c.take(11) // version, type, creator, flags
	sizes := c.take(8)
	c.take(2)
	if c.bad {
		return nil // what people write about it
	}
	data, fork := be32(sizes), be32(sizes[4:])
	short := uint64(data) > uint64(len(c.b))
	if e := j.Emit(&format.File{Name: name, Kind: format.Member, Data: c.take(min(uint64(data), uint64(len(c.b)))), Cut: short || cut}); e != nil {
		return e
	}
	if short && !cut {
		return cmp.Or(err, io.ErrUnexpectedEOF)
	}
	c.take(2)
	if fork > 0 && len(c.b) > 0 {
		return j.Emit(&format.File{Name: name, Kind: format.Stream, Data: c.take(min(uint64(fork), uint64(len(c.b)))), Cut: cut})
	}
	return nil
}

// hqx decodes the characters, six bits each, and the runs in what they give.
type hqx struct {
	in   []byte
	hold uint32
	bits int
	last byte
	run  int
}

const hqxAlphabet = "!\"#$%&'()*+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr"

// byte is the next byte before runs are expanded.
func (h *hqx) byte() (byte, error) {
	for h.bits < 8 {
		if len(h.in) == 0 {
			return 0, io.EOF
		}
		ch := h.in[0]
		h.in = h.in[1:]
		if ch == ':' {
			h.in = nil
			return 0, io.EOF
		}
		v := strings.IndexByte(hqxAlphabet, ch)
		if v < 0 {
			if ch == '\r' || ch == '\n' || ch == ' ' || ch == '\t' {
				continue
			}
			h.in = nil
			return 0, errors.New("a character that does not belong there")
		}
		h.hold, h.bits = h.hold<<6|uint32(v), h.bits+6
	}
	h.bits -= 8
	return byte(h.hold >> h.bits), nil
}

// Read implements io.Reader.
func (h *hqx) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if h.run > 0 {
			h.run--
			p[n] = h.last
			n++
			continue
		}
		b, err := h.byte()
		if err != nil {
			return n, err
		}
		if b == 0x90 {
			count, err := h.byte()
			if err != nil {
				return n, err
			}
			if count > 0 {
				h.run = int(count) - 1
				continue
			}
		}
		h.last = b
		p[n] = b
		n++
	}
	return n, nil
}
