package unpacktest

import (
	"encoding/binary"
	"hash/crc32"
)

// Coders of 7z (7zFormat.txt, Methods.txt).
const (
	SevenCopy    = "\x00"
	SevenDeflate = "\x04\x01\x08"
	SevenLZMA    = "\x03\x01\x01"
	SevenLZMA2   = "\x21"
)

// A SevenFolder is one packed stream of a 7z archive that unpacks to one file.
type SevenFolder struct {
	Name   string
	Coder  string
	Props  []byte // of the coder
	Packed []byte
	Size   uint64 // unpacked, as declared
	Sum    uint32 // CRC-32 of what is unpacked
}

// Sevenzip packs files uncompressed.
func Sevenzip(files ...File) []byte {
	var list []SevenFolder
	for _, f := range files {
		list = append(list, SevenFolder{Name: f.Name, Coder: SevenCopy, Packed: f.Data, Size: uint64(len(f.Data)), Sum: crc32.ChecksumIEEE(f.Data)})
	}
	return SevenzipOf(-1, list...)
}

// SevenzipOf writes a 7z archive of folders. It says that it holds as many files
// as count, if that is not negative.
func SevenzipOf(count int64, folders ...SevenFolder) []byte {
	var h, packed buffer
	number := func(n uint64) { h.Write(sevenNumber(n)) }
	h.u8(1, 4, 6) // header, streams info, pack info
	number(0)
	number(uint64(len(folders)))
	h.u8(9) // sizes
	for _, f := range folders {
		number(uint64(len(f.Packed)))
		packed.Write(f.Packed)
	}
	h.u8(0, 7, 11) // end; unpack info: folders
	number(uint64(len(folders)))
	h.u8(0) // not elsewhere
	for _, f := range folders {
		h.u8(1) // one coder
		flags := byte(len(f.Coder))
		if len(f.Props) > 0 {
			flags |= 0x20
		}
		h.u8(flags)
		h.text(f.Coder)
		if len(f.Props) > 0 {
			number(uint64(len(f.Props)))
			h.Write(f.Props)
		}
	}
	h.u8(12) // unpacked sizes
	for _, f := range folders {
		number(f.Size)
	}
	h.u8(10, 1) // sums, all defined
	for _, f := range folders {
		h.u32(f.Sum)
	}
	h.u8(0, 0, 5) // end, end; files info
	if count < 0 {
		count = int64(len(folders))
	}
	number(uint64(count))
	var names buffer
	names.u8(0)
	for _, f := range folders {
		names.Write(wide(f.Name + "\x00"))
	}
	h.u8(17)
	number(uint64(names.Len()))
	h.Write(names.Bytes())
	h.u8(0, 0)

	var start, b buffer
	start.u64(uint64(packed.Len()), uint64(h.Len()))
	start.u32(crc32.ChecksumIEEE(h.Bytes()))
	b.text("7z\xbc\xaf\x27\x1c\x00\x04")
	b.u32(crc32.ChecksumIEEE(start.Bytes()))
	b.Write(start.Bytes())
	b.Write(packed.Bytes())
	b.Write(h.Bytes())
	return b.Bytes()
}

// sevenNumber is a number whose first byte tells how many follow.
func sevenNumber(n uint64) []byte {
	for extra := range 8 {
		if n < 1<<(7+7*extra) {
			first := byte(0xFF<<(8-extra)) | byte(n>>(8*extra))
			out := []byte{first}
			for i := range extra {
				out = append(out, byte(n>>(8*i)))
			}
			return out
		}
	}
	return binary.LittleEndian.AppendUint64([]byte{0xFF}, n)
}

// RAR4 packs files uncompressed, in the format of RAR 1.5 to 4.
func RAR4(files ...File) []byte {
	var b buffer
	b.text("Rar!\x1a\x07\x00")
	block := func(kind byte, flags uint16, body []byte, data []byte) {
		var h buffer
		h.u8(kind)
		h.u16(flags, uint16(7+len(body)))
		h.Write(body)
		b.u16(uint16(crc32.ChecksumIEEE(h.Bytes())))
		b.Write(h.Bytes())
		b.Write(data)
	}
	block(0x73, 0, make([]byte, 6), nil)
	for _, f := range files {
		var h buffer
		h.u32(uint32(len(f.Data)), uint32(len(f.Data)))
		h.u8(2) // Windows
		h.u32(crc32.ChecksumIEEE(f.Data), 0x58210000)
		h.u8(20, 0x30)
		h.u16(uint16(len(f.Name)))
		h.u32(0x20)
		h.text(f.Name)
		block(0x74, 0x8000, h.Bytes(), f.Data)
	}
	block(0x7B, 0x4000, nil, nil)
	return b.Bytes()
}

// A RAR5Entry is a file of a RAR 5 archive as it is given.
type RAR5Entry struct {
	Name   string
	Packed []byte
	Size   uint64 // unpacked, as declared
	Sum    uint32
	Method uint64 // version, solid, method and dictionary: the field "compression information"
}

// RAR5 packs files uncompressed.
func RAR5(files ...File) []byte {
	var list []RAR5Entry
	for _, f := range files {
		list = append(list, RAR5Entry{Name: f.Name, Packed: f.Data, Size: uint64(len(f.Data)), Sum: crc32.ChecksumIEEE(f.Data)})
	}
	return RAR5Of(list...)
}

// RAR5Of writes an archive of RAR 5.
func RAR5Of(entries ...RAR5Entry) []byte {
	var b buffer
	b.text("Rar!\x1a\x07\x01\x00")
	block := func(body []byte) {
		size := binary.AppendUvarint(nil, uint64(len(body)))
		b.u32(crc32.ChecksumIEEE(append(size, body...)))
		b.Write(size)
		b.Write(body)
	}
	numbers := func(list ...uint64) (out []byte) {
		for _, n := range list {
			out = binary.AppendUvarint(out, n)
		}
		return out
	}
	block(numbers(1, 0, 0))
	for _, e := range entries {
		body := numbers(2, 2, uint64(len(e.Packed)), 4, e.Size, 0x20)
		body = binary.LittleEndian.AppendUint32(body, e.Sum)
		body = append(body, numbers(e.Method, 0, uint64(len(e.Name)))...)
		block(append(body, e.Name...))
		b.Write(e.Packed)
	}
	block(numbers(5, 0, 0))
	return b.Bytes()
}

// Cabinet packs files into one folder, stored or by MSZIP ([MS-CAB]).
func Cabinet(mszip bool, files ...File) []byte {
	var all, list buffer
	for _, f := range files {
		list.u32(uint32(len(f.Data)), uint32(all.Len()))
		list.u16(0, 0x5821, 0, 0x20)
		list.text(f.Name + "\x00")
		all.Write(f.Data)
	}
	var blocks buffer
	count := 0
	for data := all.Bytes(); len(data) > 0; count++ {
		n := min(len(data), 32<<10)
		packed := data[:n]
		if mszip {
			packed = append([]byte("CK"), Deflate(packed)...)
		}
		var sized buffer
		sized.u16(uint16(len(packed)), uint16(n))
		blocks.u32(cabinetSum(sized.Bytes(), cabinetSum(packed, 0)))
		blocks.Write(sized.Bytes())
		blocks.Write(packed)
		data = data[n:]
	}
	method := uint16(0)
	if mszip {
		method = 1
	}
	var b buffer
	at := 36 + 8 + list.Len()
	b.text("MSCF")
	b.u32(0, uint32(at+blocks.Len()), 0, 36+8, 0)
	b.u8(3, 1)
	b.u16(1, uint16(len(files)), 0, 1, 0)
	b.u32(uint32(at))
	b.u16(uint16(count), method)
	b.Write(list.Bytes())
	b.Write(blocks.Bytes())
	return b.Bytes()
}

// cabinetSum is the checksum of [MS-CAB] section 3.1.
func cabinetSum(data []byte, sum uint32) uint32 {
	for ; len(data) >= 4; data = data[4:] {
		sum ^= binary.LittleEndian.Uint32(data)
	}
	var rest uint32
	for _, c := range data {
		rest = rest<<8 | uint32(c)
	}
	return sum ^ rest
}

// TNEF packs files as winmail.dat ([MS-OXTNEF]).
func TNEF(files ...File) []byte {
	b := tnefStart()
	for _, f := range files {
		b.attribute(2, 0x00069002, append([]byte{1, 0}, make([]byte, 12)...)) // attAttachRendData
		b.attribute(2, 0x00018010, []byte(f.Name+"\x00"))                     // attAttachTitle
		b.attribute(2, 0x0006800F, f.Data)                                    // attAttachData
	}
	return b.Bytes()
}

// TNEFLong packs a file under a short name, with its true one among the
// properties, where newer programs look.
func TNEFLong(f File) []byte {
	b := tnefStart()
	b.attribute(2, 0x00069002, append([]byte{1, 0}, make([]byte, 12)...))
	b.attribute(2, 0x00018010, []byte("FILE~1.DAT\x00"))
	b.attribute(2, 0x0006800F, f.Data)
	var p buffer
	p.u32(1, 0x3707001F, 1) // PidTagAttachLongFilename, one value
	name := wide(f.Name + "\x00")
	p.u32(uint32(len(name)))
	p.Write(name)
	p.pad(4)
	b.attribute(2, 0x00069005, p.Bytes()) // attAttachment
	return b.Bytes()
}

// TNEFContents packs one file with several contents, of which readers take the
// first or the last.
func TNEFContents(name string, contents ...[]byte) []byte {
	b := tnefStart()
	b.attribute(2, 0x00069002, append([]byte{1, 0}, make([]byte, 12)...))
	b.attribute(2, 0x00018010, []byte(name+"\x00"))
	for _, c := range contents {
		b.attribute(2, 0x0006800F, c)
	}
	return b.Bytes()
}

// A tnef is a stream of attributes.
type tnef struct{ buffer }

func tnefStart() *tnef {
	b := &tnef{}
	b.u32(0x223E9F78)
	b.u16(1)
	b.attribute(1, 0x00089006, []byte{0, 0, 1, 0})                // attTnefVersion
	b.attribute(1, 0x00069007, []byte{0xE4, 4, 0, 0, 0, 0, 0, 0}) // attOemCodepage: 1252
	b.attribute(1, 0x00078008, []byte("IPM.Note\x00"))
	return b
}

func (b *tnef) attribute(level byte, id uint32, data []byte) {
	b.u8(level)
	b.u32(id, uint32(len(data)))
	b.Write(data)
	sum := uint16(0)
	for _, c := range data {
		sum += uint16(c)
	}
	b.u16(sum)
}
