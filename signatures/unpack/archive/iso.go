package archive

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode/utf16"

	"spamcatcher/signatures/unpack/format"
)

// iso reads images of optical discs: ISO 9660, with the names of Joliet, and UDF.
// Where a disc has several of these trees, readers differ in which they show, so all
// are read; a file that several list is emitted once.
type iso struct{}

const isoSector = 2048

func (iso) Name() string { return "iso" }

func (iso) Reads(f *format.File) bool {
	const at = 16*isoSector + 1
	if len(f.Data) < at+5 || f.Kind == format.Mail {
		return false
	}
	id := string(f.Data[at : at+5])
	return id == "CD001" || id == "BEA01" || id == "NSR02" || id == "NSR03"
}

// A disc is an image that is being read.
type disc struct {
	j       *format.Job
	f       *format.File
	data    []byte
	seen    map[uint64]bool // where directories and files begin, in sectors, and how long they are
	entries int
	damage  error
}

// discEntries bounds the entries of directories that are read of one image.
const discEntries = 50000

func (iso) Open(j *format.Job, f *format.File) error {
	d := &disc{j: j, f: f, data: f.Data, seen: map[uint64]bool{}}
	var primary, joliet []byte
	udf := false
	for n := 16; n < 64; n++ {
		s := d.sector(uint32(n))
		if s == nil {
			break
		}
		id := string(s[1:6])
		udf = udf || id == "NSR02" || id == "NSR03"
		if id != "CD001" {
			continue
		}
		// ECMA-119 section 8: volume descriptors.
		switch s[0] {
		case 1:
			if primary == nil {
				primary = s
			}
		case 2:
			// Escape sequences of UCS-2 say that it is of Joliet.
			if e := s[88:91]; joliet == nil && e[0] == '%' && e[1] == '/' && (e[2] == '@' || e[2] == 'C' || e[2] == 'E') {
				joliet = s
			}
		}
	}
	found := false
	if udf {
		ok, err := d.udf()
		if err != nil {
			return err
		}
		found = ok
	}
	for i, v := range [][]byte{joliet, primary} {
		if v != nil {
			found = true
			if err := d.walk(v[156:190], i == 0); err != nil {
				return err
			}
		}
	}
	if !found && d.damage == nil {
		j.Mark(f, format.Unreadable, "UDF")
	}
	return d.damage
}

// sector is a sector of the image, nil if it is not there.
func (d *disc) sector(n uint32) []byte { return d.span(uint64(n)*isoSector, isoSector) }

// span is a piece of the image, nil if it is not all there.
func (d *disc) span(at, n uint64) []byte {
	if at > uint64(len(d.data)) || n > uint64(len(d.data))-at {
		return nil
	}
	return d.data[at : at+n]
}

// first says whether what begins at a place, and has so many bytes, is new.
func (d *disc) first(at, n uint64) bool {
	key := at<<32 ^ n
	if d.seen[key] {
		return false
	}
	d.seen[key] = true
	return true
}

// more counts an entry. It is false at the bound.
func (d *disc) more() bool {
	if d.entries++; d.entries > discEntries {
		d.j.Mark(d.f, format.LimitMembers, "")
		return false
	}
	return true
}

// note keeps the first damage.
func (d *disc) note(what string) {
	if d.damage == nil {
		d.damage = errors.New(what)
	}
}

// emit emits a file that lies in pieces.
func (d *disc) emit(name string, pieces [][]byte, cut bool) error {
	if len(pieces) == 1 {
		data, limited := d.j.Take(pieces[0])
		return d.j.Emit(&format.File{Name: name, Kind: format.Member, Data: data, Cut: cut || limited})
	}
	var list []io.Reader
	total := 0
	for _, p := range pieces {
		list = append(list, bytes.NewReader(p))
		total += len(p)
	}
	data, limited, err := d.j.Read(io.MultiReader(list...), int64(total))
	if errors.Is(err, format.ErrStop) {
		return err
	}
	defer d.j.Done(data)
	return d.j.Emit(&format.File{Name: name, Kind: format.Member, Data: data, Cut: cut || limited})
}

// walk emits the files of one tree of ISO 9660, from the record of its root on.
// ECMA-119 section 9.1: directory records.
func (d *disc) walk(root []byte, wide bool) error {
	type directory struct {
		path        string
		start, size uint32
	}
	todo := []directory{{"", le32(root[2:]), le32(root[10:])}}
	seen := map[uint32]bool{todo[0].start: true}
	for len(todo) > 0 {
		dir := todo[0]
		todo = todo[1:]
		if err := d.j.Check(); err != nil {
			return err
		}
		body := d.data[min(uint64(len(d.data)), uint64(dir.start)*isoSector):]
		if uint64(dir.size) > uint64(len(body)) {
			d.note("a directory lies behind the end")
		}
		body = body[:min(uint64(len(body)), uint64(dir.size))]
		var pieces [][]byte // of a file whose records go on
		cut := false
		for at := 0; at+33 < len(body); {
			n := int(body[at])
			if n == 0 { // records do not cross sectors
				at = (at/isoSector + 1) * isoSector
				continue
			}
			if n < 34 || at+n > len(body) || 33+int(body[at+32]) > n {
				d.note("a directory contradicts itself")
				break
			}
			r := body[at : at+n]
			at += n
			raw := r[33 : 33+int(r[32])]
			if len(raw) == 1 && raw[0] <= 1 { // itself and the one above
				continue
			}
			if !d.more() {
				return nil
			}
			start, size := le32(r[2:])+uint32(r[1]), le32(r[10:])
			name := dir.path + isoName(raw, wide)
			if r[25]&2 != 0 {
				if !seen[start] && strings.Count(name, "/") < 64 {
					seen[start] = true
					todo = append(todo, directory{name + "/", start, size})
				}
				continue
			}
			from := min(uint64(len(d.data)), uint64(start)*isoSector)
			piece := d.data[from:min(uint64(len(d.data)), from+uint64(size))]
			if uint32(len(piece)) < size {
				cut = true
				d.note("a file lies behind the end")
			}
			pieces = append(pieces, piece)
			if r[25]&0x80 != 0 && len(pieces) < 64 {
				continue
			}
			if size == 0 || d.first(uint64(start), uint64(size)) {
				if err := d.emit(name, pieces, cut); err != nil {
					return err
				}
			}
			pieces, cut = nil, false
		}
	}
	return nil
}

// isoName is a name without its version.
func isoName(raw []byte, wide bool) string {
	name := string(raw)
	if wide {
		name = bigEndian(raw)
	}
	if i := strings.LastIndexByte(name, ';'); i > 0 {
		name = name[:i]
	}
	return strings.TrimSuffix(name, ".")
}

// bigEndian decodes UTF-16BE.
func bigEndian(b []byte) string {
	units := make([]uint16, 0, len(b)/2)
	for i := 0; i+1 < len(b); i += 2 {
		units = append(units, be16(b[i:]))
	}
	return string(utf16.Decode(units))
}
