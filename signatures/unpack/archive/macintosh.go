package archive

import (
	"cmp"
	"io"

	"spamcatcher/signatures/unpack/format"
)

// macintosh reads what wraps the two forks of a Macintosh file into one: AppleSingle
// and AppleDouble (RFC 1740 appendix A), and MacBinary I to III.
type macintosh struct{}

func (macintosh) Name() string { return "macintosh" }

func (macintosh) Reads(f *format.File) bool {
	if f.Kind == format.Mail || len(f.Data) < 26 || f.Data[0] != 0 {
		return false
	}
	return appleSingle(f.Data) || macBinary(f.Data)
}

func appleSingle(b []byte) bool {
	return len(b) >= 26 && (string(b[:4]) == "\x00\x05\x16\x00" || string(b[:4]) == "\x00\x05\x16\x07")
}

// macBinary says that b begins with a header of 128 bytes: zeros where they must
// be, a name, and two lengths that are what there is, padded.
func macBinary(b []byte) bool {
	if len(b) < 128 || b[0] != 0 || b[74] != 0 || b[82] != 0 || b[1] == 0 || b[1] > 63 {
		return false
	}
	for _, c := range b[2 : 2+b[1]] {
		if c < ' ' || c == 0x7f {
			return false
		}
	}
	data, fork := int64(be32(b[83:])), int64(be32(b[87:]))
	if data+fork == 0 || data > 1<<24 && data > int64(len(b)) {
		return false
	}
	// A comment may follow, and what pads to 128 bytes.
	end := 128 + data + fork
	return end <= int64(len(b)) && end >= int64(len(b))-1024
}

func (macintosh) Open(j *format.Job, f *format.File) error {
	b := f.Data
	if !appleSingle(b) {
		data, fork := uint64(be32(b[83:])), uint64(be32(b[87:]))
		name, at := string(b[2:2+b[1]]), 128+(uint64(be16(b[120:]))+127)&^127
		if at+data > uint64(len(b)) {
			at = 128
		}
		if err := macFork(j, name, format.Member, b, at, data); err != nil {
			return err
		}
		return macFork(j, name, format.Stream, b, at+(data+127)&^127, fork)
	}
	name := unsuffixed(f.Name)
	var broken error
	n := int(be16(b[24:]))
	for pass := range 2 { // the name first
		for i := range n {
			at := 26 + 12*i
			if at+12 > len(b) {
				return io.ErrUnexpectedEOF
			}
			id, from, size := be32(b[at:]), uint64(be32(b[at+4:])), uint64(be32(b[at+8:]))
			switch {
			case pass == 0 && id == 3 && size <= 1024 && from+size <= uint64(len(b)):
				name = string(b[from : from+size])
			case pass == 1 && (id == 1 || id == 2):
				kind := format.Member
				if id == 2 {
					kind = format.Stream
				}
				if from+size > uint64(len(b)) && b[3] == 0 { // AppleDouble is beside the file
					broken = cmp.Or(broken, io.ErrUnexpectedEOF)
				}
				if err := macFork(j, name, kind, b, from, size); err != nil {
					return err
				}
			}
		}
	}
	return broken
}

// macFork emits one fork, as much of it as is there.
func macFork(j *format.Job, name string, kind format.Kind, b []byte, at, size uint64) error {
	at = min(at, uint64(len(b)))
	whole := at+size <= uint64(len(b))
	data := b[at:min(at+size, uint64(len(b)))]
	if len(data) == 0 {
		return j.Check()
	}
	file := &format.File{Name: name, Kind: kind}
	file.Data, file.Cut = j.Take(data)
	file.Cut = file.Cut || !whole
	return j.Emit(file)
}
