package archive

import (
	"errors"

	"spamcatcher/signatures/unpack/format"
)

// disk reads images of disks that Windows mounts by a click: raw ones and VHD, with
// FAT on them or on their partitions.
type disk struct{}

func (disk) Name() string { return "disk" }

// Reads wants the mark at the end of the first sector and what stands before it, or
// the cookie of VHD.
func (disk) Reads(f *format.File) bool {
	b := f.Data
	if len(b) < 1024 || f.Kind == format.Mail || (iso{}).Reads(f) { // discs that start computers have both
		return false
	}
	return string(b[:8]) == vhdMagic || string(b[:8]) == "vhdxfile" || isFAT(b) || isPartitioned(b) || string(b[3:11]) == "NTFS    "
}

const vhdMagic = "conectix"

// isPartitioned says whether a first sector is a table of partitions, and nothing
// that is known to be something else.
func isPartitioned(b []byte) bool {
	if len(b) < 1024 || b[510] != 0x55 || b[511] != 0xaa || b[0] == 'M' {
		return false
	}
	used := 0
	for at := 446; at < 510; at += 16 {
		e := b[at : at+16]
		if e[0]&0x7f != 0 {
			return false
		}
		if e[4] != 0 {
			if used++; le32(e[8:]) == 0 || le32(e[12:]) == 0 {
				return false
			}
		}
	}
	return used > 0
}

// A medium is what a file system lies on: an image, or a part of it.
type medium struct {
	data  []byte
	table []uint32 // where each block begins, in sectors; nil for an image as it is
	block uint64   // bytes of a block
	lead  uint64   // bytes before the data of a block: which sectors are used
	base  uint64   // of the partition
}

// read is a piece of the medium, nil if it is not there. A block that an image that
// grows has no place for is zero.
func (m *medium) read(at, n uint64) []byte {
	at += m.base
	if m.table == nil {
		if at > uint64(len(m.data)) || n > uint64(len(m.data))-at {
			return nil
		}
		return m.data[at : at+n]
	}
	var out []byte
	for n > 0 {
		i, within := at/m.block, at%m.block
		if i >= uint64(len(m.table)) {
			return nil
		}
		k := min(n, m.block-within)
		var piece []byte
		if sector := m.table[i]; sector == 0xffffffff {
			piece = make([]byte, k)
		} else {
			from := uint64(sector)*512 + m.lead + within
			if from > uint64(len(m.data)) || k > uint64(len(m.data))-from {
				return nil
			}
			piece = m.data[from : from+k]
		}
		if k == n && out == nil {
			return piece
		}
		out = append(out, piece...)
		at, n = at+k, n-k
	}
	return out
}

func (disk) Open(j *format.Job, f *format.File) error {
	m := &medium{data: f.Data}
	if string(f.Data[:8]) == "vhdxfile" {
		j.Mark(f, format.Unreadable, "VHDX")
		return nil
	}
	if string(f.Data[:8]) == vhdMagic {
		var err error
		if m, err = vhd(f.Data); err != nil {
			return err
		}
		if m == nil {
			j.Mark(f, format.Unreadable, "VHD of differences")
			return nil
		}
	}
	first := m.read(0, 1024)
	if first == nil {
		return errors.New("the first sectors are not there")
	}
	if !isFAT(first) && isPartitioned(first) {
		table := first[446:510]
		for ; len(table) > 0; table = table[16:] {
			if table[4] == 0 {
				continue
			}
			part := *m
			part.base = uint64(le32(table[8:])) * 512
			open := part.open
			if table[4] == 0xee {
				open = m.gpt
			}
			if err := open(j, f); err != nil {
				return err
			}
		}
		return nil
	}
	return m.open(j, f)
}

// gpt reads each partition of a GUID partition table. UEFI Specification section 5.3.
func (m *medium) gpt(j *format.Job, f *format.File) error {
	h := m.read(512, 512)
	if h == nil || string(h[:8]) != "EFI PART" {
		return errors.New("the table of partitions is not there")
	}
	at, n, size := le64(h[72:]), le32(h[80:]), le32(h[84:])
	if at > 1<<40 || size < 128 || size > 4096 {
		return errors.New("the table of partitions makes no sense")
	}
	for i := range uint64(min(n, 128)) {
		e := m.read(at*512+i*uint64(size), 128)
		if e == nil || le64(e) == 0 && le64(e[8:]) == 0 {
			break
		}
		part := *m
		// The one that Microsoft reserves has nothing in it.
		if part.base = min(le64(e[32:]), 1<<40) * 512; string(e[:4]) == "\x16\xe3\xc9\xe3" {
			continue
		}
		if err := part.open(j, f); err != nil {
			return err
		}
	}
	return nil
}

// open reads the file system of a partition.
func (m *medium) open(j *format.Job, f *format.File) error {
	first := m.read(0, 1024)
	switch {
	case first == nil:
		return errors.New("a partition lies behind the end")
	case isFAT(first):
		return readFAT(j, f, m)
	case string(first[3:11]) == "NTFS    ":
		j.Mark(f, format.Unreadable, "NTFS")
	case string(first[3:11]) == "EXFAT   ":
		j.Mark(f, format.Unreadable, "exFAT")
	default:
		j.Mark(f, format.Unreadable, "a disk of no known file system")
	}
	return nil
}

// vhd reads the headers of an image that grows (one of fixed size has them at its
// end, and is raw otherwise). It is nil for one that has only what differs from
// another. Virtual Hard Disk Image Format Specification, Version 1.0.
func vhd(b []byte) (*medium, error) {
	bad := errors.New("a header of VHD makes no sense")
	if len(b) < 1536 {
		return nil, bad
	}
	if kind := be32(b[60:]); kind == 4 {
		return nil, nil
	} else if kind != 3 {
		return nil, bad
	}
	at := uint64(be32(b[16:]))<<32 | uint64(be32(b[20:]))
	if at > uint64(len(b)) || uint64(len(b))-at < 1024 || string(b[at:at+8]) != "cxsparse" {
		return nil, bad
	}
	h := b[at:]
	at = uint64(be32(h[16:]))<<32 | uint64(be32(h[20:]))
	n, block := uint64(be32(h[28:])), uint64(be32(h[32:]))
	if block < 4096 || block > 1<<28 || block&(block-1) != 0 || at > uint64(len(b)) || n > (uint64(len(b))-at)/4 {
		return nil, bad
	}
	m := &medium{data: b, block: block, lead: (block/512/8 + 511) &^ 511}
	m.table = make([]uint32, n)
	for i := range m.table {
		m.table[i] = be32(b[at+4*uint64(i):])
	}
	return m, nil
}
