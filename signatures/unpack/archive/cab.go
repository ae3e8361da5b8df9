package archive

import (
	"bytes"
	"cmp"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"slices"

	"spamcatcher/signatures/unpack/format"
)

// cab reads Microsoft cabinets: folders that are stored, or packed by MSZIP or LZX.
// Of a set of cabinets it reads what is in this one.
type cab struct{}

const cabMagic = "MSCF\x00\x00\x00\x00"

func (cab) Name() string { return "cab" }

func (cab) Reads(f *format.File) bool { return behind(f, cabMagic, 0) >= 0 }

func (cab) Open(j *format.Job, f *format.File) error {
	var first error
	for at, tries := behind(f, cabMagic, 0), 0; at >= 0 && tries < 8; at, tries = behind(f, cabMagic, at+1), tries+1 {
		c, err := readCabinet(f.Data[at:])
		if err == nil {
			return c.open(j, f)
		}
		if at == 0 {
			first = err
		}
	}
	return first
}

// A cabinet is what the headers say.
type cabinet struct {
	data    []byte
	reserve int // bytes kept free in each data block
	folders []cabFolder
	files   []cabFile
}

// MS-CAB section 2.2: CFFOLDER.
type cabFolder struct {
	start  uint32
	blocks int
	method uint16
}

// MS-CAB section 2.3: CFFILE.
type cabFile struct {
	name          string
	size, offset  uint32
	folder        int
	before, after bool // it begins in the cabinet before this, or ends in the next
}

// readCabinet reads the headers. MS-CAB section 2.1: CFHEADER.
func readCabinet(b []byte) (*cabinet, error) {
	bad := errors.New("the header contradicts itself")
	if len(b) < 36 {
		return nil, bad
	}
	c := &cabinet{data: b}
	files, nfolders, nfiles, flags := le32(b[16:]), int(le16(b[26:])), int(le16(b[28:])), le16(b[30:])
	if b[25] != 1 || files < 36 || files > uint32(len(b)) {
		return nil, bad
	}
	h := &cursor{b: b[36:]}
	folderReserve := 0
	if flags&4 != 0 {
		n := h.le16()
		folderReserve, c.reserve = int(h.byte()), int(h.byte())
		h.take(uint64(n))
	}
	for _, bit := range []uint16{1, 2} { // the names of the neighbours
		if flags&bit != 0 {
			h.cstring()
			h.cstring()
		}
	}
	for range nfolders {
		c.folders = append(c.folders, cabFolder{h.le32(), int(h.le16()), h.le16()})
		h.take(uint64(folderReserve))
		if h.bad {
			return nil, bad
		}
	}
	h = &cursor{b: b[files:]}
	for range nfiles {
		f := cabFile{size: h.le32(), offset: h.le32(), folder: int(h.le16())}
		h.take(6)
		f.name = h.cstring()
		if h.bad {
			if len(c.files) == 0 {
				return nil, bad
			}
			break
		}
		switch f.folder {
		case 0xfffd:
			f.folder, f.before = 0, true
		case 0xfffe:
			f.folder, f.after = nfolders-1, true
		case 0xffff:
			f.folder, f.before, f.after = 0, true, true
		}
		c.files = append(c.files, f)
	}
	return c, nil
}

// open emits the files, folder by folder, in the order in which they are packed.
func (c *cabinet) open(j *format.Job, f *format.File) error {
	slices.SortStableFunc(c.files, func(a, b cabFile) int {
		return cmp.Or(cmp.Compare(a.folder, b.folder), cmp.Compare(a.offset, b.offset))
	})
	var r *cabReader
	var damage error
	folder := -1
	for _, file := range c.files {
		if file.folder < 0 || file.folder >= len(c.folders) {
			damage = errors.New("a file in a folder that is not there")
			continue
		}
		if file.before || file.after {
			j.Mark(f, format.Unreadable, "cab: one cabinet of several")
			continue
		}
		if file.folder != folder || r == nil || int64(file.offset) < r.at {
			var err error
			if r, err = c.reader(j, file.folder); err != nil {
				if folder != file.folder {
					j.Mark(f, format.Unreadable, "cab: "+err.Error())
				}
				folder, r = file.folder, nil
				continue
			}
			folder = file.folder
		}
		if gap := int64(file.offset) - r.at; gap > 0 {
			if _, err := copyChecked(j, io.Discard, io.LimitReader(r, gap)); errors.Is(err, format.ErrStop) {
				return err
			}
		}
		data, cut, err := j.Read(io.LimitReader(r, int64(file.size)), c.packed(file.folder))
		short := !cut && uint32(len(data)) < file.size
		if e := j.Emit(&format.File{Name: file.name, Kind: format.Member, Data: data, Cut: cut || short}); e != nil {
			return e
		}
		j.Done(data)
		if errors.Is(err, format.ErrStop) {
			return err
		}
		if err == nil && short {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			damage = fmt.Errorf("%q: %w", file.name, err)
		}
	}
	return damage
}

// packed is the number of bytes that a folder was packed in, at most.
func (c *cabinet) packed(i int) int64 {
	return max(0, int64(len(c.data))-int64(c.folders[i].start))
}

// A cabReader reads what a folder unpacks to.
type cabReader struct {
	c      *cursor
	left   int // blocks
	skip   int // bytes kept free in each block
	at     int64
	out    []byte // unpacked and not yet read
	decode func(packed []byte, n int) ([]byte, error)
	err    error
}

// reader opens a folder at its beginning.
func (c *cabinet) reader(j *format.Job, i int) (*cabReader, error) {
	fo := c.folders[i]
	r := &cabReader{c: &cursor{b: c.data[min(int(fo.start), len(c.data)):]}, left: fo.blocks, skip: c.reserve}
	switch fo.method & 15 {
	case 0:
		r.decode = func(packed []byte, n int) ([]byte, error) { return packed, nil }
	case 1:
		r.decode = mszip()
	case 3:
		x, err := newLZX(int(fo.method >> 8 & 31))
		if err != nil {
			return nil, err
		}
		r.decode = x.frame
	case 2:
		return nil, errors.New("Quantum")
	default:
		return nil, fmt.Errorf("method %d", fo.method&15)
	}
	return r, nil
}

// Read implements io.Reader. MS-CAB section 2.4: CFDATA.
func (r *cabReader) Read(p []byte) (int, error) {
	for len(r.out) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		if r.left == 0 {
			return 0, io.EOF
		}
		r.left--
		r.c.take(4)
		n, size := r.c.le16(), int(r.c.le16())
		r.c.take(uint64(r.skip))
		packed := r.c.take(uint64(n))
		if r.c.bad {
			r.err = io.ErrUnexpectedEOF
			continue
		}
		r.out, r.err = r.decode(packed, size)
		if r.err == nil && len(r.out) != size {
			r.err = errors.New("a block is of another size than it says")
		}
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	r.at += int64(n)
	return n, nil
}

// mszip decodes blocks of deflate, each of which may refer to the one before it.
// MS-MCI section 3: MSZIP.
func mszip() func(packed []byte, n int) ([]byte, error) {
	var before []byte
	z := flate.NewReader(nil)
	return func(packed []byte, n int) ([]byte, error) {
		rest, ok := bytes.CutPrefix(packed, []byte("CK"))
		if !ok {
			return nil, errors.New("a block without its signature")
		}
		if err := z.(flate.Resetter).Reset(bytes.NewReader(rest), before); err != nil {
			return nil, err
		}
		out := make([]byte, min(n, 32<<10))
		k, err := io.ReadFull(z, out)
		if err == io.ErrUnexpectedEOF && k > 0 || err == io.EOF {
			err = nil // the caller compares the size
		}
		out = out[:k]
		before = append(bytes.Clone(before), out...)
		before = before[max(0, len(before)-32<<10):]
		return out, err
	}
}
