package unpacktest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"fmt"

	"github.com/ulikunitz/xz/lzma"
)

// Gzip packs a file, with its name in the header if it has one (RFC 1952).
func Gzip(f File) []byte {
	var b bytes.Buffer
	w := must(gzip.NewWriterLevel(&b, gzip.BestCompression))
	w.Name = f.Name
	must(w.Write(f.Data))
	check(w.Close())
	return b.Bytes()
}

// Zlib packs data as streams of documents are (RFC 1950).
func Zlib(data []byte) []byte {
	var b bytes.Buffer
	w := must(zlib.NewWriterLevel(&b, zlib.BestCompression))
	must(w.Write(data))
	check(w.Close())
	return b.Bytes()
}

// LZMA packs data as an .lzma file.
func LZMA(data []byte) []byte { return lzmaUntil(data, int64(len(data))) }

// lzmaUntil packs data, with its size in the header, or with a mark at the end if
// size is negative.
func lzmaUntil(data []byte, size int64) []byte {
	var b bytes.Buffer
	c := lzma.WriterConfig{DictCap: 1 << 20, Size: size, SizeInHeader: true}
	if size < 0 {
		c = lzma.WriterConfig{DictCap: 1 << 20, EOSMarker: true}
	}
	w := must(c.NewWriter(&b))
	must(w.Write(data))
	check(w.Close())
	return b.Bytes()
}

// Compress packs data as compress does (.Z), in codes of nine bits and clearing
// the table before a code needs ten.
func Compress(data []byte) []byte {
	const clear = 256
	b := bytes.NewBuffer([]byte{0x1F, 0x9D, 0x80 | 16})
	var bits, held uint
	codes := 0
	put := func(code uint) {
		held |= code << bits
		for bits += 9; bits >= 8; bits -= 8 {
			b.WriteByte(byte(held))
			held >>= 8
		}
		codes++
	}
	for i, c := range data {
		// The reader adds an entry for every code but the first: 257 to 511 fit.
		if i > 0 && i%200 == 0 {
			put(clear)
			// Codes come in groups of eight, and what is left of the group in
			// which the table is cleared is filled up.
			for codes%8 != 0 {
				put(0)
			}
		}
		put(uint(c))
	}
	if bits > 0 {
		b.WriteByte(byte(held))
	}
	return b.Bytes()
}

// Tar packs files in a variant of the format.
func Tar(format tar.Format, files ...File) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f.Name, Mode: 0o644, Size: int64(len(f.Data)), Format: format}
		if format == tar.FormatPAX {
			h.PAXRecords = map[string]string{"SPAMCATCHER.comment": "test"}
		}
		check(w.WriteHeader(h))
		must(w.Write(f.Data))
	}
	check(w.Close())
	return b.Bytes()
}

// TarOld packs files in the format of Unix version 7, without any magic.
func TarOld(files ...File) []byte {
	var b buffer
	for _, f := range files {
		h := make([]byte, 512)
		copy(h, f.Name)
		copy(h[100:], "0000644\x00")
		copy(h[108:], "0000000\x00")
		copy(h[116:], "0000000\x00")
		copy(h[124:], fmt.Sprintf("%011o\x00", len(f.Data)))
		copy(h[136:], fmt.Sprintf("%011o\x00", 0))
		copy(h[148:], "        ")
		sum := 0
		for _, c := range h {
			sum += int(c)
		}
		copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
		b.Write(h)
		b.Write(f.Data)
		b.pad(512)
	}
	b.Write(make([]byte, 1024))
	return b.Bytes()
}

// Cpio packs files in the "new ASCII" format.
func Cpio(files ...File) []byte {
	var b buffer
	for i, f := range append(files[:len(files):len(files)], File{Name: "TRAILER!!!"}) {
		fmt.Fprintf(&b, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", i+1, 0o100644, 0, 0, 1, 0, len(f.Data), 0, 0, 0, 0, len(f.Name)+1, 0)
		b.text(f.Name + "\x00")
		b.pad(4)
		b.Write(f.Data)
		b.pad(4)
	}
	return b.Bytes()
}

// Ar packs files as ar does, and as .deb packages are.
func Ar(files ...File) []byte {
	b := bytes.NewBufferString("!<arch>\n")
	for _, f := range files {
		fmt.Fprintf(b, "%-16s%-12d%-6d%-6d%-8o%-10d`\n", f.Name+"/", 0, 0, 0, 0o100644, len(f.Data))
		b.Write(f.Data)
		if len(f.Data)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

// LZH packs a file uncompressed (-lh0-, header level 0).
func LZH(f File) []byte {
	var h buffer
	h.text("-lh0-")
	h.u32(uint32(len(f.Data)), uint32(len(f.Data)), 0)
	h.u8(0x20, 0, byte(len(f.Name)))
	h.text(f.Name)
	h.u16(crc16(f.Data))
	sum := byte(0)
	for _, c := range h.Bytes() {
		sum += c
	}
	return append(append([]byte{byte(h.Len()), sum}, h.Bytes()...), append(f.Data[:len(f.Data):len(f.Data)], 0)...)
}

// crc16 is the sum of LHA: polynomial 0xA001.
func crc16(data []byte) uint16 {
	var sum uint16
	for _, c := range data {
		sum ^= uint16(c)
		for range 8 {
			if sum&1 != 0 {
				sum = sum>>1 ^ 0xA001
			} else {
				sum >>= 1
			}
		}
	}
	return sum
}
