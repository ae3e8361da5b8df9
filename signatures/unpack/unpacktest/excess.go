package unpacktest

import (
	"archive/tar"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"hash/adler32"
	"hash/crc32"
	"io"
)

// ZeroDeflate is a deflate stream (RFC 1951) of as many pieces of 64 MiB of zeros
// as asked for. Each takes 64 KiB.
func ZeroDeflate(pieces int) []byte {
	var b bytes.Buffer
	w := must(flate.NewWriter(&b, flate.BestCompression))
	zeros := make([]byte, 1<<20)
	piece := func() []byte {
		start := b.Len()
		for range 64 {
			must(w.Write(zeros))
		}
		check(w.Flush())
		return b.Bytes()[start:]
	}
	piece()
	if pieces > 1 {
		// Behind zeros, every further piece is packed alike.
		again := bytes.Clone(piece())
		for range pieces - 2 {
			b.Write(again)
		}
	}
	b.Write([]byte{3, 0}) // an empty last block
	return b.Bytes()
}

const zeroPiece = 64 << 20

// zeroEntry is a zip member of zeros. Its sum is not right: nobody comes to the
// end.
func zeroEntry(name string, pieces int) ZipEntry {
	return ZipEntry{Name: name, Method: Deflated, Packed: ZeroDeflate(pieces), Size: uint32(min(uint64(pieces)*zeroPiece, 1<<32-2))}
}

// zeroGzip is a gzip file of zeros.
func zeroGzip(pieces int) []byte {
	b := append([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"), ZeroDeflate(pieces)...)
	return append(b, make([]byte, 8)...)
}

// ZeroZstd is a frame of so many blocks of 128 KiB, each one byte repeated (RFC
// 8878 section 3.1.1.2), in a window of 1 KiB shifted left by log.
func ZeroZstd(blocks int, log byte) []byte {
	b := []byte{0x28, 0xB5, 0x2F, 0xFD, 0, log << 3}
	for i := range blocks {
		h := uint32(128<<10)<<3 | 1<<1
		if i == blocks-1 {
			h |= 1
		}
		b = append(b, byte(h), byte(h>>8), byte(h>>16), 0)
	}
	return b
}

// XZDictionary is an xz file that asks for a dictionary of 4 GiB.
func XZDictionary(data []byte) []byte {
	b := XZ(data)
	// The block header begins behind the stream header of 12 bytes; the filter is
	// LZMA2 with one byte of properties.
	size := (int(b[12]) + 1) * 4
	h := b[12 : 12+size]
	i := bytes.Index(h, []byte{0x21, 0x01})
	h[i+2] = 40
	binary.LittleEndian.PutUint32(h[size-4:], crc32.ChecksumIEEE(h[:size-4]))
	return b
}

// nestedZip is a zip of copies of a zip of copies, and so on, of a file. Copies
// differ in their comments if asked for.
func nestedZip(levels, copies int, differ bool, f File) []byte {
	for range levels {
		var files []File
		for i := range copies {
			data := f.Data
			if differ && bytes.HasSuffix(data, []byte{0, 0}) {
				comment := fmt.Sprint("copy ", i)
				data = append(append(data[:len(data)-2:len(data)-2], byte(len(comment)), 0), comment...)
			}
			files = append(files, File{fmt.Sprintf("%02d.zip", i), data})
		}
		f = File{"level.zip", Zip(Deflated, files...)}
	}
	return f.Data
}

// chain puts a file into a container, and that into one, as often as asked for.
func chain(levels int, f File, pack func(File) []byte) []byte {
	for range levels {
		f = File{"inner.zip", pack(f)}
	}
	return f.Data
}

// fastGzip packs data quickly.
func fastGzip(data []byte) []byte {
	var b bytes.Buffer
	w := must(gzip.NewWriterLevel(&b, gzip.BestSpeed))
	must(w.Write(data))
	check(w.Close())
	return b.Bytes()
}

// storedGzip is a gzip file of less than 64 KiB that is not compressed.
func storedGzip(f File) []byte {
	var b buffer
	b.text("\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff")
	b.u8(1)
	b.u16(uint16(len(f.Data)), ^uint16(len(f.Data)))
	b.Write(f.Data)
	b.u32(crc32.ChecksumIEEE(f.Data), uint32(len(f.Data)))
	return b.Bytes()
}

// tarOfMany is a tar.gz of so many thousands of empty files.
func tarOfMany(thousands int) []byte {
	piece := bytes.Repeat(Tar(tar.FormatUSTAR, File{"empty", nil})[:512], 1000)
	var b bytes.Buffer
	w := must(gzip.NewWriterLevel(&b, gzip.BestSpeed))
	for range thousands {
		must(w.Write(piece))
	}
	check(w.Close())
	return b.Bytes()
}

// zipOfMany is a zip of so many small files.
func zipOfMany(n int) []byte {
	list := make([]ZipEntry, n)
	for i := range list {
		list[i] = StoredEntry(File{fmt.Sprint(i), nil})
	}
	return ZipOf(-1, list...)
}

// sevenOfMany is a 7z archive of so many empty files.
func sevenOfMany(n int) []byte {
	var h buffer
	h.u8(1, 5)
	h.Write(sevenNumber(uint64(n)))
	empty := bytes.Repeat([]byte{0xFF}, (n+7)/8)
	h.u8(14)
	h.Write(sevenNumber(uint64(len(empty))))
	h.Write(empty)
	h.u8(15) // none of them is a directory
	h.Write(sevenNumber(uint64(len(empty))))
	h.Write(empty)
	h.u8(17)
	h.Write(sevenNumber(uint64(1 + 4*n)))
	h.u8(0)
	for range n {
		h.text("a\x00\x00\x00")
	}
	h.u8(0, 0)
	return sevenHeader(h.Bytes(), nil)
}

// sevenHeader is a 7z archive with a header as given.
func sevenHeader(header, packed []byte) []byte {
	var start, b buffer
	start.u64(uint64(len(packed)), uint64(len(header)))
	start.u32(crc32.ChecksumIEEE(header))
	b.text("7z\xbc\xaf\x27\x1c\x00\x04")
	b.u32(crc32.ChecksumIEEE(start.Bytes()))
	b.Write(start.Bytes())
	b.Write(packed)
	b.Write(header)
	return b.Bytes()
}

// zeroCabinet is a cabinet of one file of zeros in so many blocks of 32 KiB, of at
// most 65,535.
func zeroCabinet(blocks int) []byte {
	packed := append([]byte("CK"), Deflate(make([]byte, 32<<10))...)
	var b buffer
	b.text("MSCF")
	b.u32(0, uint32(36+8+18+blocks*(8+len(packed))), 0, 36+8, 0)
	b.u8(3, 1)
	b.u16(1, 1, 0, 1, 0)
	b.u32(36 + 8 + 18)
	b.u16(uint16(blocks), 1)
	b.u32(uint32(blocks*32<<10), 0)
	b.u16(0, 0x5821, 0, 0x20)
	b.text("z\x00")
	var sized buffer
	sized.u16(uint16(len(packed)), 32<<10)
	sum := cabinetSum(sized.Bytes(), cabinetSum(packed, 0))
	for range blocks {
		b.u32(sum)
		b.Write(sized.Bytes())
		b.Write(packed)
	}
	return b.Bytes()
}

// OLECyclic is a compound file whose chains of sectors all lead back to their
// beginnings.
func OLECyclic() []byte {
	b := OLE(File{"WordDocument", bytes.Repeat([]byte("text"), 4000)}, File{"Macros/VBA/dir", OVBA([]byte("x"))}, File{"Small", []byte("small")})
	table := 512 * (1 + int(binary.LittleEndian.Uint32(b[76:])))
	first := uint32(0)
	for i := range 128 {
		next := binary.LittleEndian.Uint32(b[table+4*i:])
		if next == 0xFFFFFFFE {
			binary.LittleEndian.PutUint32(b[table+4*i:], first)
			first = uint32(i + 1)
		}
	}
	// The directory's entries are each other's children.
	directory := 512 * (1 + int(binary.LittleEndian.Uint32(b[48:])))
	for i := range 4 {
		for _, field := range []int{68, 72, 76} {
			binary.LittleEndian.PutUint32(b[directory+128*i+field:], uint32((i+1)%4))
		}
		binary.LittleEndian.PutUint32(b[directory+128*i+120:], 0x7FFFFFFF)
	}
	return b
}

// giantPNG is a picture of one bit for each of side × side dots.
func giantPNG(side int) []byte {
	var b bytes.Buffer
	b.WriteString("\x89PNG\r\n\x1a\n")
	chunk := func(kind string, data []byte) {
		b.Write(binary.BigEndian.AppendUint32(nil, uint32(len(data))))
		b.WriteString(kind)
		b.Write(data)
		b.Write(binary.BigEndian.AppendUint32(nil, crc32.Update(crc32.ChecksumIEEE([]byte(kind)), crc32.IEEETable, data)))
	}
	h := binary.BigEndian.AppendUint32(nil, uint32(side))
	h = binary.BigEndian.AppendUint32(h, uint32(side))
	chunk("IHDR", append(h, 1, 0, 0, 0, 0))
	pieces := side*(side/8+1)/zeroPiece + 1
	data := append([]byte{0x78, 0xDA}, ZeroDeflate(pieces)...)
	sum := adler32.New()
	io.WriteString(sum, "nobody comes to the end")
	chunk("IDAT", sum.Sum(data))
	chunk("IEND", nil)
	return b.Bytes()
}
