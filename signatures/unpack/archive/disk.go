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
	if len(b) < 1024 || f.Kind == format.Mail {
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

// read is a piece of the medium, nil if it is not there. It never crosses blocks of
// an image that grows.
func (m *medium) read(at, n uint64) []byte {
	at += m.base
	if m.table != nil {
		i := at / m.block
		if i >= uint64(len(m.table)) || m.table[i] == 0xffffffff || at%m.block+n > m.block {
			return nil
		}
		at = uint64(m.table[i])*512 + m.lead + at%m.block
	}
	if at > uint64(len(m.data)) || n > uint64(len(m.data))-at {
		return nil
	}
	return m.data[at : at+n]
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
			if err := part.open(j, f); err != nil {
				return err
			}
		}
		return nil
	}
	return m.open(j, f)
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
