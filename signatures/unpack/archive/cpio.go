package archive

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

	"spamcatcher/signatures/unpack/format"
)

// cpio reads archives of cpio: the forms of SVR4 and POSIX, and the binary one of
// either order of bytes.
type cpio struct{}

func (cpio) Name() string { return "cpio" }

func (cpio) Reads(f *format.File) bool {
	_, _, _, _, ok := cpioMember(f.Data)
	return ok
}

// cpioMember reads a header: the name, the size of the file, where its bytes begin,
// and to what multiple it is filled up.
func cpioMember(b []byte) (name string, size, at uint64, fill uint64, ok bool) {
	number := func(b []byte, base int) uint64 {
		n, err := strconv.ParseUint(string(b), base, 40)
		ok = ok && err == nil
		return n
	}
	var head, n uint64
	ok = true
	switch {
	case len(b) >= 110 && (string(b[:6]) == "070701" || string(b[:6]) == "070702"):
		head, fill = 110, 4
		n, size = number(b[94:102], 16), number(b[54:62], 16)
	case len(b) >= 76 && string(b[:6]) == "070707":
		head, fill = 76, 1
		n, size = number(b[59:65], 8), number(b[65:76], 8)
	case len(b) >= 26 && le16(b) == 0x71c7:
		head, fill = 26, 2
		n, size = uint64(le16(b[20:])), uint64(le16(b[22:]))<<16|uint64(le16(b[24:]))
	case len(b) >= 26 && be16(b) == 0x71c7:
		head, fill = 26, 2
		n, size = uint64(be16(b[20:])), uint64(be16(b[22:]))<<16|uint64(be16(b[24:]))
	default:
		return "", 0, 0, 0, false
	}
	if !ok || n == 0 || n > 4096 || head+n > uint64(len(b)) || b[head+n-1] != 0 {
		return "", 0, 0, 0, false
	}
	return textOf(b[head : head+n]), size, (head + n + fill - 1) / fill * fill, fill, true
}

func (cpio) Open(j *format.Job, f *format.File) error {
	b := f.Data
	for {
		name, size, at, fill, ok := cpioMember(b)
		if !ok || at > uint64(len(b)) {
			return errors.New("a header makes no sense")
		}
		if name == "TRAILER!!!" {
			return nil
		}
		data := b[at:min(at+size, uint64(len(b)))]
		if err := emitTaken(j, name, "", format.Member, data); err != nil {
			return err
		}
		next := at + (size+fill-1)/fill*fill
		if next >= uint64(len(b)) {
			return io.ErrUnexpectedEOF
		}
		b = b[next:]
		if err := j.Check(); err != nil {
			return err
		}
	}
}

// ar reads archives of ar, such as packages of Debian.
type ar struct{}

const arMagic = "!<arch>\n"

func (ar) Name() string { return "ar" }

func (ar) Reads(f *format.File) bool { return bytes.HasPrefix(f.Data, []byte(arMagic)) }

func (ar) Open(j *format.Job, f *format.File) error {
	b := f.Data[len(arMagic):]
	for len(b) > 0 {
		if len(b) < 60 || string(b[58:60]) != "`\n" {
			return errors.New("a header makes no sense")
		}
		size, err := strconv.ParseUint(strings.TrimSpace(string(b[48:58])), 10, 40)
		if err != nil {
			return errors.New("a size is no number")
		}
		name := strings.TrimSuffix(strings.TrimRight(string(b[:16]), " "), "/")
		b = b[60:]
		data := b[:min(size, uint64(len(b)))]
		if err := emitTaken(j, name, "", format.Member, data); err != nil {
			return err
		}
		if uint64(len(data)) < size {
			return io.ErrUnexpectedEOF
		}
		b = b[min(size+size&1, uint64(len(b))):]
		if err := j.Check(); err != nil {
			return err
		}
	}
	return nil
}

// rpm reads packages of RPM: the payload, which is packed cpio.
type rpm struct{}

func (rpm) Name() string { return "rpm" }

func (rpm) Reads(f *format.File) bool {
	return len(f.Data) > 112 && string(f.Data[:4]) == "\xed\xab\xee\xdb"
}

func (rpm) Open(j *format.Job, f *format.File) error {
	at := uint64(96)
	for i := range 2 { // signature and header, of the same form
		if at > uint64(len(f.Data)) || uint64(len(f.Data))-at < 16 || string(f.Data[at:at+3]) != "\x8e\xad\xe8" {
			return errors.New("a header makes no sense")
		}
		at += 16 + 16*uint64(be32(f.Data[at+8:])) + uint64(be32(f.Data[at+12:]))
		if i == 0 {
			at = (at + 7) &^ 7
		}
	}
	if at >= uint64(len(f.Data)) {
		return io.ErrUnexpectedEOF
	}
	return emitTaken(j, "payload", "", format.Member, f.Data[at:])
}
