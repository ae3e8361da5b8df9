package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"strings"

	"spamcatcher/signatures/unpack/format"
)

// tarFormat reads tar archives: v7, ustar, pax and GNU. Where a header is broken
// it goes on at the next one that is sound, as tar programs do.
type tarFormat struct{}

func (tarFormat) Name() string { return "tar" }

// tarBlock is the size in bytes of what tar files are made of, tarRecord that of
// what is written at once.
const (
	tarBlock  = 512
	tarRecord = 20 * tarBlock
)

func (tarFormat) Reads(f *format.File) bool {
	if f.Kind == format.Mail || len(f.Data) < tarBlock {
		return false
	}
	// The name of the first member stands at the beginning, and may be the magic
	// number of anything.
	return f.Type == "application/x-tar" || tarHeader(f.Data) || f.Type == "" && f.Data[0] == 0 && tarHeader(f.Data[tarZeros(f.Data):])
}

// tarSkipped is how many bytes of zeros are skipped in front of an archive.
const tarSkipped = 64 << 10

// tarZeros is how many bytes of whole blocks of zeros b begins with, at most
// tarSkipped.
func tarZeros(b []byte) (n int) {
	for n+tarBlock <= len(b) && n < tarSkipped && b[n] == 0 && bytes.Equal(b[n:n+tarBlock], tarZero[:]) {
		n += tarBlock
	}
	return n
}

var tarZero [tarBlock]byte

// tarHeader says whether b begins with a header: its checksum is right, counted
// with bytes as unsigned or as signed numbers.
func tarHeader(b []byte) bool {
	if len(b) < tarBlock || b[0] == 0 {
		return false
	}
	// The checksum is six octal digits, with spaces or zeros around them.
	sum, digits := int64(0), 0
	for _, c := range b[148:156] {
		switch {
		case c >= '0' && c <= '7':
			sum, digits = sum*8+int64(c-'0'), digits+1
		case c != ' ' && c != 0:
			return false
		}
	}
	if digits == 0 {
		return false
	}
	var unsigned, signed int64
	for i, c := range b[:tarBlock] {
		if i >= 148 && i < 156 {
			c = ' '
		}
		unsigned += int64(c)
		signed += int64(int8(c))
	}
	return sum == unsigned || sum == signed
}

func (tarFormat) Open(j *format.Job, f *format.File) error {
	b := f.Data[tarZeros(f.Data):]
	var damage error
	for len(b) >= tarBlock {
		used, err := tarMembers(j, b)
		if errors.Is(err, format.ErrStop) {
			return err
		}
		if err != nil {
			used += tarBlock
		}
		ended, filled := err == nil, 0
		// Up to the end of a record there may be anything.
		before := len(f.Data) - len(b)
		record := (before+used+tarRecord-1)/tarRecord*tarRecord - before
		if damage == nil {
			damage = err
		}
		for ; used+tarBlock <= len(b) && !tarHeader(b[used:]); used += tarBlock {
			if used%(64<<10) == 0 {
				if err := j.Check(); err != nil {
					return err
				}
			}
			if ended && filled == 0 && used >= record && !bytes.Equal(b[used:used+tarBlock], tarZero[:]) {
				filled = used
			}
		}
		b = b[min(used, len(b)):]
		if ended && len(b) >= tarBlock {
			// Programs that ignore zeros find these.
			j.Mark(f, format.Ambiguous, "members behind the end")
		} else if ended && filled > 0 && damage == nil {
			damage = errors.New("data behind the end")
		}
	}
	return damage
}

// tarMembers emits the members up to the end, or to a header that is broken, and
// says where that is, as a multiple of a block.
func tarMembers(j *format.Job, b []byte) (used int, err error) {
	in := bytes.NewReader(b)
	at := func() int { return len(b) - in.Len() }
	// A new reader must have something to begin with: pax headers of an earlier
	// run are forgotten.
	r := tar.NewReader(in)
	for {
		before := at()
		h, err := r.Next()
		if err == io.EOF {
			return min(len(b), (at()+tarBlock-1)/tarBlock*tarBlock), nil
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return max(before, at()-tarBlock) / tarBlock * tarBlock, err
		}
		if err := j.Check(); err != nil {
			return 0, err
		}
		switch h.Typeflag {
		case tar.TypeReg, tar.TypeGNUSparse, tar.TypeCont, '\x00':
		default:
			if h.Size <= 0 || h.Typeflag == tar.TypeLink || h.Typeflag == tar.TypeSymlink {
				continue // names only
			}
		}
		file := &format.File{Name: h.Name, Kind: format.Member}
		var broken error
		if sparse(h) {
			file.Data, file.Cut, broken = j.Read(r, min(h.Size, int64(in.Len())))
		} else {
			start := at()
			end := start + int(min(h.Size, int64(len(b)-start)))
			file.Data, file.Cut = j.Take(b[start:end])
			if int64(end-start) < h.Size {
				file.Cut, broken = true, io.ErrUnexpectedEOF
			}
		}
		if errors.Is(broken, format.ErrStop) {
			return 0, broken
		}
		if err := j.Emit(file); err != nil {
			return 0, err
		}
		j.Done(file.Data)
		if broken != nil {
			return at() / tarBlock * tarBlock, broken
		}
	}
}

// sparse says that a member has holes.
func sparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}
