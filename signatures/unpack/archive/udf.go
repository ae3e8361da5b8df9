package archive

import "spamcatcher/signatures/unpack/format"

// Tags of descriptors. ECMA-167 sections 3/7.2.1 and 4/7.2.1.
const (
	udfAnchor    = 2
	udfPartition = 5
	udfVolume    = 6
	udfEnd       = 8
	udfFileSet   = 256
	udfName      = 257
	udfFile      = 261
	udfFileLong  = 266
)

// A udfExtent is a piece of a partition.
type udfExtent struct{ length, block uint32 }

// udf emits the files of a UDF tree. ok says that there was one that is read here:
// of one partition, as lies on a disc that is written once.
func (d *disc) udf() (ok bool, err error) {
	anchor := d.sector(256)
	if anchor == nil || le16(anchor) != udfAnchor {
		return false, nil
	}
	var base uint64 // of the partition, in bytes
	var set udfExtent
	size, at := le32(anchor[16:]), le32(anchor[20:])
	for i := uint32(0); i < min(size/isoSector, 64); i++ {
		s := d.sector(at + i)
		if s == nil {
			break
		}
		switch le16(s) {
		case udfPartition:
			base = uint64(le32(s[188:])) * isoSector
		case udfVolume:
			// ECMA-167 section 3/10.6: blocks of a sector, and a map of type 1 only.
			if le32(s[212:]) != isoSector || le32(s[268:]) != 1 || s[440] != 1 {
				d.j.Mark(d.f, format.Unreadable, "UDF of several partitions")
				return true, nil
			}
			set = udfExtent{le32(s[248:]), le32(s[252:])}
		case udfEnd:
			i = 64
		}
	}
	s := d.span(base+uint64(set.block)*isoSector, isoSector)
	if base == 0 || s == nil || le16(s) != udfFileSet {
		d.note("UDF without a set of files")
		return false, nil
	}
	return true, d.udfWalk(base, le32(s[404:]))
}

// udfWalk emits what is below the directory whose entry is at a block.
func (d *disc) udfWalk(base uint64, root uint32) error {
	type directory struct {
		path  string
		block uint32
	}
	todo := []directory{{"", root}}
	seen := map[uint32]bool{root: true}
	for len(todo) > 0 {
		dir := todo[0]
		todo = todo[1:]
		if err := d.j.Check(); err != nil {
			return err
		}
		_, pieces, _, cut := d.udfEntry(base, dir.block)
		if cut {
			d.note("a directory lies behind the end")
		}
		var names []byte
		for _, p := range pieces {
			names = append(names, p[:min(len(p), 4<<20-min(len(names), 4<<20))]...)
		}
		for len(names) >= 38 && le16(names) == udfName {
			// ECMA-167 section 4/14.4: file identifier descriptors.
			flags, n, use := names[18], int(names[19]), int(le16(names[36:]))
			whole := (38 + use + n + 3) &^ 3
			if whole > len(names) {
				d.note("a directory contradicts itself")
				break
			}
			raw, block := names[38+use:38+use+n], le32(names[24:])
			names = names[whole:]
			if flags&8 != 0 || n == 0 { // the one above
				continue
			}
			if !d.more() {
				return nil
			}
			name := dir.path + udfText(raw)
			if flags&2 != 0 {
				if !seen[block] && len(todo) < discEntries {
					seen[block] = true
					todo = append(todo, directory{name + "/", block})
				}
				continue
			}
			where, pieces, size, cut := d.udfEntry(base, block)
			if cut {
				d.note("a file lies behind the end")
			}
			if pieces == nil {
				pieces = [][]byte{nil}
			}
			if size == 0 || d.first(where/isoSector, size) {
				if err := d.emit(name, pieces, cut); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// udfEntry reads the entry of a file: where its content begins in the image, the
// pieces of it, its size, and whether some of it is not there.
// ECMA-167 sections 4/14.9 and 4/14.17.
func (d *disc) udfEntry(base uint64, block uint32) (where uint64, pieces [][]byte, size uint64, cut bool) {
	s := d.span(base+uint64(block)*isoSector, isoSector)
	if s == nil {
		return 0, nil, 0, true
	}
	var skip, n int
	head := 176
	switch le16(s) {
	case udfFile:
		skip, n = int(le32(s[168:])&0xffff), int(le32(s[172:])&0xffff)
	case udfFileLong:
		head = 216
		skip, n = int(le32(s[208:])&0xffff), int(le32(s[212:])&0xffff)
	default:
		return 0, nil, 0, true
	}
	size = le64(s[56:])
	if head+skip > len(s) {
		return 0, nil, size, true
	}
	list := s[head+skip : min(len(s), head+skip+n)]
	step := 8
	switch le16(s[34:]) & 7 {
	case 0:
	case 1:
		step = 16
	case 3: // the content itself
		return base + uint64(block)*isoSector, [][]byte{list[:min(uint64(len(list)), size)]}, size, uint64(len(list)) < size
	default:
		return 0, nil, size, true
	}
	left := size
	for ; len(list) >= step && left > 0; list = list[step:] {
		length := uint64(le32(list) & (1<<30 - 1))
		if length == 0 || le32(list)>>30 == 3 {
			cut = cut || length > 0 // goes on elsewhere
			break
		}
		at := base + uint64(le32(list[4:]))*isoSector
		if where == 0 {
			where = at
		}
		length = min(length, left)
		have := d.data[min(at, uint64(len(d.data))):min(at+length, uint64(len(d.data)))]
		pieces = append(pieces, have)
		left -= length
		if uint64(len(have)) < length {
			return where, pieces, size, true
		}
	}
	return where, pieces, size, cut || left > 0
}

// udfText decodes a name. ECMA-167 section 1/7.2.12 as OSTA-UDF 2.1.1 has it.
func udfText(b []byte) string {
	switch b[0] {
	case 8:
		out := make([]rune, 0, len(b))
		for _, c := range b[1:] {
			out = append(out, rune(c))
		}
		return string(out)
	case 16:
		return bigEndian(b[1:])
	}
	return string(b[1:])
}
