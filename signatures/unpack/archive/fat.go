package archive

import (
	"errors"
	"io"
	"strings"
	"unicode/utf16"

	"spamcatcher/signatures/unpack/format"
)

// A fat is a file system of FAT12, FAT16 or FAT32. Microsoft's "FAT: General
// Overview of On-Disk Format", version 1.03, describes it.
type fat struct {
	j       *format.Job
	f       *format.File
	m       *medium
	bits    int
	table   uint64 // where the first table begins, in bytes
	data    uint64 // where cluster 2 begins
	cluster uint64 // bytes of a cluster
	count   uint32 // clusters, and two
	entries int
	damage  error
}

// isFAT says whether a first sector is that of FAT.
func isFAT(b []byte) bool {
	if len(b) < 512 || b[0] != 0xeb && b[0] != 0xe9 || b[510] != 0x55 || b[511] != 0xaa {
		return false
	}
	sector, per, reserved, tables := le16(b[11:]), b[13], le16(b[14:]), b[16]
	return (sector == 512 || sector == 1024 || sector == 2048 || sector == 4096) && per != 0 && per&(per-1) == 0 && reserved != 0 && (tables == 1 || tables == 2) && (b[21] == 0xf0 || b[21] >= 0xf8)
}

func readFAT(j *format.Job, f *format.File, m *medium) error {
	b := m.read(0, 512)
	sector := uint64(le16(b[11:]))
	size := uint64(le16(b[22:]))
	if size == 0 {
		size = uint64(le32(b[36:]))
	}
	all := uint64(le16(b[19:]))
	if all == 0 {
		all = uint64(le32(b[32:]))
	}
	v := &fat{j: j, f: f, m: m, cluster: sector * uint64(b[13]), table: uint64(le16(b[14:])) * sector}
	root := v.table + uint64(b[16])*size*sector
	rootSize := uint64(le16(b[17:])) * 32
	v.data = root + (rootSize+sector-1)/sector*sector
	if v.data/sector > all || v.cluster > 1<<20 {
		return errors.New("FAT: the first sector contradicts itself")
	}
	v.count = uint32(min((all-v.data/sector)/uint64(b[13]), 1<<28)) + 2
	switch n := v.count - 2; {
	case n < 4085:
		v.bits = 12
	case n < 65525:
		v.bits = 16
	default:
		v.bits = 32
	}
	var dir []byte
	if v.bits == 32 {
		pieces, _ := v.chain(le32(b[44:]), 4<<20)
		for _, p := range pieces {
			dir = append(dir, p...)
		}
	} else {
		for at := uint64(0); at < rootSize; at += sector {
			dir = append(dir, m.read(root+at, sector)...)
		}
	}
	if err := v.walk(dir); err != nil {
		return err
	}
	return v.damage
}

// next is the cluster that follows n; 0 says that none does.
func (v *fat) next(n uint32) uint32 {
	if n >= v.count {
		return 0
	}
	var x uint32
	switch v.bits {
	case 12:
		// An entry may lie across sectors.
		lo, hi := v.m.read(v.table+uint64(n)*3/2, 1), v.m.read(v.table+uint64(n)*3/2+1, 1)
		if lo == nil || hi == nil {
			return 0
		}
		x = uint32(lo[0]) | uint32(hi[0])<<8
		if n%2 == 1 {
			x >>= 4
		}
		x &= 0xfff
	case 16:
		if e := v.m.read(v.table+uint64(n)*2, 2); e != nil {
			x = uint32(le16(e))
		}
	default:
		if e := v.m.read(v.table+uint64(n)*4, 4); e != nil {
			x = le32(e) & 0x0fffffff
		}
	}
	if x < 2 || x >= v.count {
		return 0
	}
	return x
}

// chain is what lies in a chain of clusters, up to size bytes. whole says that there
// were so many.
func (v *fat) chain(n uint32, size uint64) (pieces [][]byte, whole bool) {
	total := uint64(0)
	for steps := uint64(0); total < size && n >= 2 && n < v.count && steps <= uint64(len(v.m.data))/v.cluster; steps++ {
		want := min(v.cluster, size-total)
		p := v.m.read(v.data+uint64(n-2)*v.cluster, want)
		if p == nil {
			return pieces, false
		}
		// Clusters that follow each other are one piece.
		if k := len(pieces) - 1; k >= 0 && cap(pieces[k]) >= len(pieces[k])+len(p) && &pieces[k][:len(pieces[k])+1][len(pieces[k])] == &p[0] {
			pieces[k] = pieces[k][:len(pieces[k])+len(p)]
		} else {
			pieces = append(pieces, p)
		}
		total += want
		n = v.next(n)
	}
	return pieces, total == size
}

// walk emits the files of a directory and of those in it.
func (v *fat) walk(root []byte) error {
	type directory struct {
		path string
		body []byte
		from uint32
	}
	todo := []directory{{body: root}}
	seen := map[uint32]bool{}
	for len(todo) > 0 {
		dir := todo[0]
		todo = todo[1:]
		if dir.from != 0 {
			pieces, _ := v.chain(dir.from, 2<<20)
			for _, p := range pieces {
				dir.body = append(dir.body, p...)
			}
		}
		if err := v.j.Check(); err != nil {
			return err
		}
		var long []uint16
		for ; len(dir.body) >= 32 && dir.body[0] != 0; dir.body = dir.body[32:] {
			e := dir.body[:32]
			if e[0] == 0xe5 || e[0] == '.' {
				long = nil
				continue
			}
			if v.entries++; v.entries > discEntries {
				v.j.Mark(v.f, format.LimitMembers, "")
				return nil
			}
			if e[11]&0x3f == 0x0f { // a piece of a long name, the last first
				var part []uint16
				for _, span := range [][2]int{{1, 11}, {14, 26}, {28, 32}} {
					for at := span[0]; at < span[1]; at += 2 {
						part = append(part, le16(e[at:]))
					}
				}
				if long = append(part, long...); len(long) > 300 {
					long = nil
				}
				continue
			}
			name, x := strings.TrimRight(string(e[:8]), " "), strings.TrimRight(string(e[8:11]), " ")
			if e[12]&8 != 0 { // Windows NT keeps the case in two bits
				name = strings.ToLower(name)
			}
			if e[12]&16 != 0 {
				x = strings.ToLower(x)
			}
			if x != "" {
				name += "." + x
			}
			if long != nil {
				for i, u := range long {
					if u == 0 {
						long = long[:i]
						break
					}
				}
				name, long = string(utf16.Decode(long)), nil
			}
			if e[11]&8 != 0 { // the name of the volume
				continue
			}
			name = dir.path + name
			start := uint32(le16(e[26:]))
			if v.bits == 32 {
				start |= uint32(le16(e[20:])) << 16
			}
			if e[11]&16 != 0 {
				if !seen[start] && start != 0 && strings.Count(name, "/") < 64 {
					seen[start] = true
					todo = append(todo, directory{path: name + "/", from: start})
				}
				continue
			}
			if err := v.emit(name, start, uint64(le32(e[28:]))); err != nil {
				return err
			}
		}
	}
	return nil
}

// emit emits a file.
func (v *fat) emit(name string, start uint32, size uint64) error {
	room, _ := v.j.Room(-1)
	pieces, whole := v.chain(start, min(size, uint64(room)+v.cluster))
	if !whole && v.damage == nil {
		v.damage = errors.New("FAT: a chain of clusters breaks off")
	}
	if len(pieces) == 0 {
		pieces = [][]byte{nil}
	}
	d := disc{j: v.j, f: v.f}
	err := d.emit(name, pieces, !whole)
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
