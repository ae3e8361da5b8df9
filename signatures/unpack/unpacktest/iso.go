package unpacktest

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"
)

const sector = 2048

// ISO is an image of ISO 9660 with files in its root, with long names by Joliet
// if asked for.
func ISO(joliet bool, files ...File) []byte {
	roots := 1
	if joliet {
		roots = 2
	}
	// Sectors: 16 of system area, a descriptor for each root and the end, the
	// directories, the files.
	entries := func(wide bool, at, dir, sectors int) []byte {
		var b buffer
		b.Write(isoRecord("\x00", dir, sectors*sector, true))
		b.Write(isoRecord("\x01", dir, sectors*sector, true))
		for i, f := range files {
			name := fmt.Sprintf("FILE%04d.%s;1", i, strings.ToUpper(f.Name[strings.LastIndexByte(f.Name, '.')+1:]))
			if wide {
				name = bigWide(f.Name + ";1")
			}
			record := isoRecord(name, at, len(f.Data), false)
			if b.Len()%sector+len(record) > sector {
				b.pad(sector)
			}
			b.Write(record)
			at += (len(f.Data) + sector - 1) / sector
		}
		b.pad(sector)
		return b.Bytes()
	}
	sizes := []int{len(entries(false, 0, 0, 0)) / sector, len(entries(true, 0, 0, 0)) / sector}
	first := 16 + roots + 1
	data := first + sizes[0]
	if joliet {
		data += sizes[1]
	}
	var b buffer
	b.Write(make([]byte, 16*sector))
	dir := first
	for i := range roots {
		b.Write(isoDescriptor(byte(1+i), data+len(files), isoRecord("\x00", dir, sizes[i]*sector, true)))
		dir += sizes[i]
	}
	b.text("\xffCD001\x01")
	b.pad(sector)
	b.Write(entries(false, data, first, sizes[0]))
	if joliet {
		b.Write(entries(true, data, first+sizes[0], sizes[1]))
	}
	for _, f := range files {
		b.Write(f.Data)
		b.pad(sector)
	}
	return b.Bytes()
}

// ISOLoop is an image whose root holds itself as many times as a sector has room
// for.
func ISOLoop() []byte {
	var b buffer
	b.Write(make([]byte, 16*sector))
	root := isoRecord("\x00", 18, sector, true)
	b.Write(isoDescriptor(1, 20, root))
	b.text("\xffCD001\x01")
	b.pad(sector)
	b.Write(root)
	b.Write(isoRecord("\x01", 18, sector, true))
	for i := range 45 {
		b.Write(isoRecord(fmt.Sprintf("LOOP%02d", i), 18, sector, true))
	}
	b.pad(sector)
	return b.Bytes()
}

// isoDescriptor is a volume descriptor (ECMA-119 section 8.4): primary (1), or
// Joliet's (2).
func isoDescriptor(kind byte, sectors int, root []byte) []byte {
	d := make([]byte, sector)
	d[0] = kind
	copy(d[1:], "CD001\x01")
	copy(d[8:72], strings.Repeat(" ", 64))
	both32(d[80:], sectors)
	if kind == 2 {
		copy(d[88:], "%/E")
	}
	both16(d[120:], 1)
	both16(d[124:], 1)
	both16(d[128:], sector)
	both32(d[132:], 10)
	copy(d[156:], root)
	d[881] = 1
	return d
}

// isoRecord is a directory record (ECMA-119 section 9.1).
func isoRecord(name string, at, size int, dir bool) []byte {
	n := 33 + len(name)
	n += n % 2
	r := make([]byte, n)
	r[0] = byte(n)
	both32(r[2:], at)
	both32(r[10:], size)
	copy(r[18:], []byte{126, 11, 16, 0, 0, 0, 0})
	if dir {
		r[25] = 2
	}
	both16(r[28:], 1)
	r[32] = byte(len(name))
	copy(r[33:], name)
	return r
}

func both32(b []byte, n int) {
	binary.LittleEndian.PutUint32(b, uint32(n))
	binary.BigEndian.PutUint32(b[4:], uint32(n))
}

func both16(b []byte, n int) {
	binary.LittleEndian.PutUint16(b, uint16(n))
	binary.BigEndian.PutUint16(b[2:], uint16(n))
}

// bigWide is text in UTF-16, big-endian.
func bigWide(s string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.BigEndian.AppendUint16(b, u)
	}
	return string(b)
}
