package archive

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"spamcatcher/signatures/unpack/format"
)

// lha reads archives of LHA: members that are stored, or packed by the methods -lh4-
// to -lh7-.
type lha struct{}

func (lha) Name() string { return "lha" }

// Reads wants a method, and a level of header that exists.
func (lha) Reads(f *format.File) bool { return lhaHeader(f.Data) }

func lhaHeader(b []byte) bool {
	return len(b) > 26 && b[2] == '-' && b[3] == 'l' && (b[4] == 'h' || b[4] == 'z') && b[6] == '-' && b[20] <= 3
}

func (lha) Open(j *format.Job, f *format.File) error {
	b := f.Data
	for len(b) > 0 && b[0] != 0 {
		if err := j.Check(); err != nil {
			return err
		}
		if !lhaHeader(b) {
			return errors.New("a header makes no sense")
		}
		name, head, packed, ok := lhaMember(b)
		if !ok {
			return errors.New("a header contradicts itself")
		}
		method, size := string(b[2:7]), int64(le32(b[11:]))
		rest := b[head:]
		cut := packed > uint64(len(rest))
		data := rest[:min(packed, uint64(len(rest)))]
		b = rest[len(data):]
		var r io.Reader
		switch method {
		case "-lhd-":
			continue
		case "-lh0-", "-lz4-":
			if err := emitTaken(j, name, "", format.Member, data); err != nil {
				return err
			}
			if cut {
				return io.ErrUnexpectedEOF
			}
			continue
		case "-lh4-", "-lh5-":
			r = newLZH(data, size, 13, 14, 4)
		case "-lh6-":
			r = newLZH(data, size, 15, 16, 5)
		case "-lh7-":
			r = newLZH(data, size, 16, 17, 5)
		default:
			j.Mark(f, format.Unreadable, "lha: "+method)
			if err := j.Emit(&format.File{Name: name, Kind: format.Member, Cut: true}); err != nil {
				return err
			}
			continue
		}
		if err := emitPacked(j, name, r, int64(len(data))); err != nil {
			return err
		}
		if cut {
			return io.ErrUnexpectedEOF
		}
	}
	return nil
}

// emitPacked emits what r gives. An error of r says which member it is.
func emitPacked(j *format.Job, name string, r io.Reader, packed int64) error {
	data, cut, err := j.Read(r, packed)
	if errors.Is(err, format.ErrStop) {
		return err
	}
	defer j.Done(data)
	if e := j.Emit(&format.File{Name: name, Kind: format.Member, Data: data, Cut: cut || err != nil}); e != nil {
		return e
	}
	if err != nil {
		return fmt.Errorf("%q: %w", name, err)
	}
	return nil
}

// lhaMember reads a header: the name, its size, and that of the packed data.
func lhaMember(b []byte) (name string, head int, packed uint64, ok bool) {
	packed = uint64(le32(b[7:]))
	var dir string
	extended := func(at int) int { // headers behind the first, each with the size of the next
		for {
			if at < 2 || at > len(b) {
				return -1
			}
			n := int(le16(b[at-2:]))
			if n == 0 {
				return at
			}
			if n < 3 || n > len(b)-at {
				return -1
			}
			switch x := b[at : at+n-2]; x[0] {
			case 1:
				name = string(x[1:])
			case 2:
				dir = strings.ReplaceAll(string(x[1:]), "\xff", "/")
			}
			at += n
		}
	}
	switch b[20] {
	case 0, 1:
		head = int(b[0]) + 2
		n := int(b[21])
		if head > len(b) || 22+n > head {
			return "", 0, 0, false
		}
		name = string(b[22 : 22+n])
		if b[20] == 1 {
			end := extended(head)
			if end < 0 || uint64(end-head) > packed {
				return "", 0, 0, false
			}
			packed -= uint64(end - head)
			head = end
		}
	case 2:
		head = int(le16(b))
		if head < 26 || head > len(b) || extended(26) < 0 {
			return "", 0, 0, false
		}
	default:
		return "", 0, 0, false
	}
	return dir + name, head, packed, true
}
