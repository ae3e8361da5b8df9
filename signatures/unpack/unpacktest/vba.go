package unpacktest

import "strings"

// project is the streams of a VBA project of one module ([MS-OVBA] section 2.2).
func project(source string) []File {
	source = strings.ReplaceAll(strings.ReplaceAll(source, "\r\n", "\n"), "\n", "\r\n")
	module := "Attribute VB_Name = \"Module1\"\r\n" + source
	var d buffer
	record := func(id uint16, data []byte) {
		d.u16(id)
		d.u32(uint32(len(data)))
		d.Write(data)
	}
	number := func(id uint16, size int, n byte) {
		record(id, append([]byte{n}, make([]byte, size-1)...))
	}
	number(0x01, 4, 1) // PROJECTSYSKIND: Windows, 32 bits
	number(0x02, 4, 9)
	number(0x14, 4, 9)
	record(0x03, []byte{0xE4, 4}) // PROJECTCODEPAGE: 1252
	record(0x04, []byte("VBAProject"))
	record(0x05, nil)
	record(0x40, nil)
	record(0x06, nil)
	record(0x3D, nil)
	number(0x07, 4, 0)
	number(0x08, 4, 0)
	d.u16(0x09) // PROJECTVERSION
	d.u32(4, 1)
	d.u16(1)
	record(0x0C, nil)
	record(0x3C, nil)
	record(0x0F, []byte{1, 0}) // PROJECTMODULES
	record(0x13, []byte{0xFF, 0xFF})
	record(0x19, []byte("Module1"))
	record(0x47, wide("Module1"))
	record(0x1A, []byte("Module1"))
	record(0x32, wide("Module1"))
	record(0x1C, nil)
	record(0x48, nil)
	number(0x31, 4, 0) // MODULEOFFSET
	number(0x1E, 4, 0)
	record(0x2C, []byte{0xFF, 0xFF})
	record(0x21, nil)
	record(0x2B, nil)
	record(0x10, nil)
	return []File{
		{"VBA/dir", OVBA(d.Bytes())},
		{"VBA/_VBA_PROJECT", []byte("\xcc\x61\xff\xff\x00\x00\x00")},
		{"VBA/Module1", OVBA([]byte(module))},
		{"PROJECT", []byte("ID=\"{00000000-0000-0000-0000-000000000000}\"\r\nModule=Module1\r\nName=\"VBAProject\"\r\n")},
	}
}

// OVBA packs data into a compressed container of literals ([MS-OVBA] section
// 2.4.1).
func OVBA(data []byte) []byte {
	var b buffer
	b.u8(1)
	for len(data) > 0 {
		n := min(len(data), 3200)
		var chunk buffer
		for i := 0; i < n; i += 8 {
			chunk.u8(0)
			chunk.Write(data[i:min(i+8, n)])
		}
		b.u16(0xB000 | uint16(chunk.Len()-1))
		b.Write(chunk.Bytes())
		data = data[n:]
	}
	return b.Bytes()
}

// OVBABomb is a container of chunks that each expand to 4,096 bytes.
func OVBABomb(chunks int) []byte {
	var b buffer
	b.u8(1)
	for range chunks {
		// One literal and one copy of 4,095 bytes from one byte before: with one
		// byte known, four bits are offset and twelve are length.
		b.u16(0xB000 | (4 - 1))
		b.u8(0x02, 'A')
		b.u16(4095 - 3)
	}
	return b.Bytes()
}
