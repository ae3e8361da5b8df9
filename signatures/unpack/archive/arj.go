package archive

import (
	"errors"
	"io"

	"spamcatcher/signatures/unpack/format"
)

// arj reads archives of ARJ: members that are stored, or packed by the methods 1 to 4.
type arj struct{}

const arjMagic = "\x60\xea"

func (arj) Name() string { return "arj" }

func (arj) Reads(f *format.File) bool { _, _, ok := arjHeader(f.Data); return ok }

// arjHeader reads a header and says where what follows it begins. A header of no
// bytes ends the archive.
func arjHeader(b []byte) (header []byte, rest []byte, ok bool) {
	if len(b) < 4 || string(b[:2]) != arjMagic {
		return nil, nil, false
	}
	n := int(le16(b[2:]))
	if n == 0 {
		return nil, nil, true
	}
	if n < 30 || n > 2600 || 4+n+6 > len(b) || int(b[4]) > n || b[4] < 30 {
		return nil, nil, false
	}
	header, rest = b[4:4+n], b[4+n+4:]
	for len(rest) >= 2 { // more headers, each with a checksum
		x := int(le16(rest))
		rest = rest[2:]
		if x == 0 {
			return header, rest, true
		}
		if x+4 > len(rest) {
			break
		}
		rest = rest[x+4:]
	}
	return nil, nil, false
}

func (arj) Open(j *format.Job, f *format.File) error {
	_, b, _ := arjHeader(f.Data) // that of the archive
	for len(b) > 0 {
		if err := j.Check(); err != nil {
			return err
		}
		h, rest, ok := arjHeader(b)
		if !ok {
			return errors.New("a header makes no sense")
		}
		if h == nil {
			return nil
		}
		name := textOf(h[h[0]:])
		packed, size := uint64(le32(h[12:])), int64(le32(h[16:]))
		data := rest[:min(packed, uint64(len(rest)))]
		cut := packed > uint64(len(data))
		b = rest[len(data):]
		flags, method := h[4], h[5]
		if h[6] == 3 { // a directory
			continue
		}
		var err error
		switch {
		case flags&1 != 0:
			j.Mark(f, format.Encrypted, name)
			err = j.Emit(&format.File{Name: name, Kind: format.Member, Cut: true})
		case method == 0:
			err = emitTaken(j, name, "", format.Member, data)
		case method <= 4:
			z := newLZH(data, size, 15, 17, 5)
			z.fast = method == 4
			err = emitPacked(j, name, z, int64(len(data)))
		default:
			j.Mark(f, format.Unreadable, "arj: a method of its own")
			err = j.Emit(&format.File{Name: name, Kind: format.Member, Cut: true})
		}
		if err != nil {
			return err
		}
		if flags&4 != 0 {
			j.Mark(f, format.Unreadable, "arj: one volume of several")
		}
		if cut {
			return io.ErrUnexpectedEOF
		}
	}
	return io.ErrUnexpectedEOF
}
