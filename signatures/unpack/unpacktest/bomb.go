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
	"strings"
)

// A Bomb is a mail that asks for more than it is worth.
type Bomb struct {
	Name string
	// Make builds the mail. It takes memory in the size of the mail.
	Make func() []byte
	// Limited says that nobody can look at all of it: a symbol must say so.
	Limited bool
}

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

// manyParts is a mail of so many attachments.
func manyParts(n int, f File) []byte {
	parts := make([]Part, n)
	for i := range parts {
		parts[i] = Part{"Content-Type: application/zip\r\nContent-Transfer-Encoding: base64\r\n", Base64(f.Data)}
	}
	return Letter{Parts: parts}.Bytes()
}

// attachedBomb is a bomb that is one file.
func attachedBomb(name, mediaType, file string, limited bool, make func() []byte) Bomb {
	return Bomb{name, func() []byte { return Letter{Parts: []Part{Attached(mediaType, File{file, make()})}}.Bytes() }, limited}
}

// Bombs are all that are known here. Their mails take up to 25 MB.
func Bombs() []Bomb {
	const octets, zip, pdf = "application/octet-stream", "application/zip", "application/pdf"
	file := func(name, kind, ext string, limited bool, make func() []byte) Bomb {
		return attachedBomb(name, kind, "file."+ext, limited, make)
	}
	small := File{"a.txt", []byte("a small text\n")}
	mb16 := File{"zeros", make([]byte, 16<<20)}
	garbage := bytes.Repeat([]byte{0x5A, 0xC3, 0x11}, 3000)
	return []Bomb{
		file("zip of 10 GiB", zip, "zip", true, func() []byte { return ZipOf(-1, zeroEntry("zeros", 160)) }),
		file("zip of 5 times 2 GiB", zip, "zip", true, func() []byte {
			var list []ZipEntry
			e := zeroEntry("zeros", 32)
			for i := range 5 {
				e.Name = fmt.Sprint("zeros", i)
				list = append(list, e)
			}
			return ZipOf(-1, list...)
		}),
		file("zips of 16, 6 levels", zip, "zip", true, func() []byte { return nestedZip(6, 16, false, File{"z", Zip(Deflated, mb16)}) }),
		file("zips of 16, 6 levels, that differ", zip, "zip", true, func() []byte { return nestedZip(6, 16, true, File{"z", Zip(Deflated, mb16)}) }),
		file("zips, 1,000 deep", zip, "zip", true, func() []byte { return chain(1000, small, func(f File) []byte { return Zip(Stored, f) }) }),
		file("gzips, 1,000 deep", "application/gzip", "gz", true, func() []byte { return chain(1000, small, storedGzip) }),
		file("mails, 200 deep", "message/rfc822", "eml", true, func() []byte {
			return chain(200, small, func(f File) []byte {
				return Letter{Parts: []Part{{"Content-Type: message/rfc822\r\n", string(f.Data)}}}.Bytes()
			})
		}),
		file("zip of 100,000 members", zip, "zip", true, func() []byte { return zipOfMany(100_000) }),
		file("gzip of a zip of 1,000,000 members", "application/gzip", "gz", true, func() []byte { return fastGzip(zipOfMany(1_000_000)) }),
		file("tar.gz of 1,000,000 members", "application/gzip", "tar.gz", true, func() []byte { return tarOfMany(1000) }),
		file("7z of 1,000,000 members", octets, "7z", true, func() []byte { return sevenOfMany(1_000_000) }),
		file("7z that says 2^31 members", octets, "7z", false, func() []byte {
			return SevenzipOf(1<<31, SevenFolder{Name: "a", Coder: SevenCopy, Packed: []byte("a"), Size: 1})
		}),
		file("iso of 100,000 members", octets, "iso", true, func() []byte {
			list := make([]File, 100_000)
			for i := range list {
				list[i] = File{fmt.Sprintf("f%d.txt", i), nil}
			}
			return ISO(false, list...)
		}),
		file("iso that holds itself", octets, "iso", false, ISOLoop),
		file("zip of 20,000 members that overlap", zip, "zip", true, func() []byte {
			first := zeroEntry("0", 16)
			list := []ZipEntry{first}
			for i := range 20_000 {
				list = append(list, ZipEntry{Name: fmt.Sprint(i + 1), Method: Deflated, Packed: first.Packed, Size: first.Size, NoLocal: true})
			}
			return ZipOf(-1, list...)
		}),
		file("zip that says 65,535 members", zip, "zip", false, func() []byte { return ZipOf(65535, StoredEntry(small)) }),
		{"300 members behind AES, 100 words for passwords", func() []byte {
			var list []File
			for i := range 300 {
				list = append(list, File{fmt.Sprint(i), small.Data})
			}
			text := ""
			for i := range 100 {
				text += fmt.Sprintf("Password: Word%dPassed\nThe password is pw%dxyz.\n", i, i)
			}
			return Letter{Text: text, Parts: []Part{Attached(zip, File{"locked.zip", ZipLocked("none of them", true, list...)})}}.Bytes()
		}, false},
		file("gzip of 10 GiB", "application/gzip", "gz", true, func() []byte { return zeroGzip(160) }),
		file("bzip2 of 10 GiB", "application/x-bzip2", "bz2", true, func() []byte { s, n := BzipZeros(); return bytes.Repeat(s, 10<<30/n) }),
		file("xz of 10 GiB", "application/x-xz", "xz", true, func() []byte { return bytes.Repeat(XZ(mb16.Data[:4<<20]), 2560) }),
		file("lzma of 24 MiB", "application/x-lzma", "lzma", true, func() []byte { return LZMA(make([]byte, 24<<20)) }),
		file("zstd of 10 GiB", "application/zstd", "zst", true, func() []byte { return ZeroZstd(10<<30/(128<<10), 13) }),
		file("7z of 10 GiB (deflate)", octets, "7z", true, func() []byte {
			return SevenzipOf(-1, SevenFolder{Name: "zeros", Coder: SevenDeflate, Packed: ZeroDeflate(160), Size: 160 * zeroPiece})
		}),
		file("7z of 24 MiB (LZMA)", octets, "7z", true, func() []byte {
			alone := LZMA(make([]byte, 24<<20))
			return SevenzipOf(-1, SevenFolder{Name: "zeros", Coder: SevenLZMA, Props: alone[:5], Packed: alone[13:], Size: 24 << 20})
		}),
		file("cab of 2 GiB", octets, "cab", true, func() []byte { return zeroCabinet(65_535) }),
		file("xz that asks for 4 GiB", "application/x-xz", "xz", false, func() []byte { return XZDictionary(small.Data) }),
		file("lzma that asks for 4 GiB", "application/x-lzma", "lzma", false, func() []byte {
			b := LZMA(small.Data)
			copy(b[1:], "\xff\xff\xff\xff")
			return b
		}),
		file("zstd that asks for 2 TiB", "application/zstd", "zst", false, func() []byte { return ZeroZstd(10, 31) }),
		file("7z that asks for 4 GiB (LZMA)", octets, "7z", false, func() []byte {
			alone := LZMA(small.Data)
			return SevenzipOf(-1, SevenFolder{Name: "a", Coder: SevenLZMA, Props: []byte{alone[0], 0xFF, 0xFF, 0xFF, 0xFF}, Packed: alone[13:], Size: 1 << 33})
		}),
		file("7z that asks for 4 GiB (LZMA2)", octets, "7z", false, func() []byte {
			return SevenzipOf(-1, SevenFolder{Name: "a", Coder: SevenLZMA2, Props: []byte{40}, Packed: garbage, Size: 1 << 33})
		}),
		file("7z that asks for 4 GiB (PPMd)", octets, "7z", false, func() []byte {
			return SevenzipOf(-1, SevenFolder{Name: "a", Coder: "\x03\x04\x01", Props: []byte{32, 0xFF, 0xFF, 0xFF, 0xFF}, Packed: garbage, Size: 1 << 33})
		}),
		file("7z that says 2^40 folders", octets, "7z", false, func() []byte {
			h := append([]byte{1, 4, 6, 0}, sevenNumber(1<<40)...)
			return sevenHeader(append(h, 9, 0, 0, 0), nil)
		}),
		file("rar that asks for 4 GiB", octets, "rar", false, func() []byte {
			var list []RAR5Entry
			for i := range 50 {
				list = append(list, RAR5Entry{Name: fmt.Sprint(i), Packed: garbage, Size: 1 << 40, Method: 3<<7 | 15<<10})
			}
			return RAR5Of(list...)
		}),
		{"multiparts, 10,000 deep", func() []byte { return Nested(10_000, Attached(zip, File{"a.zip", Zip(Deflated, small)})) }, true},
		{"20,000 parts that are zips", func() []byte { return manyParts(20_000, File{"a.zip", Zip(Deflated, small)}) }, true},
		file("compound file that runs in circles", "application/msword", "doc", false, OLECyclic),
		file("macros of 8 GB", "application/msword", "doc", true, func() []byte {
			streams := []File{{"WordDocument", wordStream()}}
			for _, f := range project("") {
				if f.Name == "VBA/Module1" {
					f.Data = OVBABomb(1_000_000)
				}
				streams = append(streams, File{"Macros/" + f.Name, f.Data})
			}
			return OLE(streams...)
		}),
		file("pdf of 700,000 objects", pdf, "pdf", false, func() []byte {
			var b strings.Builder
			b.WriteString("%PDF-1.7\n")
			for i := range 700_000 {
				fmt.Fprintf(&b, "%d 0 obj\n<<>>\n", i+1)
			}
			b.WriteString("trailer\n<< /Size 2147483647 /Root 1 0 R >>\nstartxref\n9\n%%EOF\n")
			return []byte(b.String())
		}),
		file("pdf of streams packed ten times", pdf, "pdf", false, func() []byte {
			var list []PDFObject
			for i := range 20 {
				list = append(list, PDFStream(10+i, "/Type /EmbeddedFile", 10, mb16.Data))
			}
			return PDF("ten times", "", "", list...)
		}),
		file("pdf of 3 GiB in 50 streams", pdf, "pdf", true, func() []byte {
			packed := append(append([]byte{0x78, 0xDA}, ZeroDeflate(1)...), 0, 0, 0, 0)
			var list []PDFObject
			for i := range 50 {
				o := PDFStream(10+i, "/Type /EmbeddedFile /Filter /FlateDecode", 0, packed)
				list = append(list, o)
			}
			return PDF("large", "", "", list...)
		}),
		file("pdf of arrays, 1,000,000 deep", pdf, "pdf", false, func() []byte {
			return PDF("deep", "", "", PDFObject{10, strings.Repeat("[", 1_000_000)}, PDFObject{11, strings.Repeat("<<", 1_000_000)})
		}),
		file("picture of 65,000 by 65,000", "image/png", "png", false, func() []byte { return giantPNG(65_000) }),
		file("zip of 200 pictures with codes", zip, "zip", false, func() []byte {
			var list []File
			for i := range 200 {
				list = append(list, File{fmt.Sprintf("%d.png", i), QR(fmt.Sprintf("https://www.example.com/%d", i), 600)})
			}
			return Zip(Stored, list...)
		}),
		file("winmail.dat of giant lengths", "application/ms-tnef", "dat", false, func() []byte {
			b := tnefStart()
			for range 1000 {
				b.u8(2)
				b.u32(0x0006800F, 0xFFFFFFF0)
			}
			var p buffer
			p.u32(0xFFFFFFFF, 0x3707001F, 0xFFFFFFFF, 0xFFFFFFFF)
			b.attribute(2, 0x00069005, p.Bytes())
			return b.Bytes()
		}),
		file("winmail.dat of 300,000 files", "application/ms-tnef", "dat", true, func() []byte {
			b := tnefStart()
			for i := range 300_000 {
				b.attribute(2, 0x00069002, []byte{1, 0})
				b.attribute(2, 0x0006800F, []byte(fmt.Sprint(i)))
			}
			return b.Bytes()
		}),
		file("winmail.dat of 500,000 contents of one file", "application/ms-tnef", "dat", true, func() []byte {
			b := tnefStart()
			for i := range 500_000 {
				b.attribute(2, 0x0006800F, []byte(fmt.Sprint(i)))
			}
			return b.Bytes()
		}),
		file("rtf of groups, 5,000,000 deep", "application/rtf", "rtf", false, func() []byte {
			return []byte(`{\rtf1 ` + strings.Repeat("{", 5_000_000) + `\bin2147483647 `)
		}),
		file("rtf of 15,000 objects", "application/rtf", "rtf", true, func() []byte {
			object := string(RTF(small, ""))
			object = object[strings.Index(object, `{\object`) : len(object)-1]
			return []byte(`{\rtf1 ` + strings.Repeat(object, 15_000) + `}`)
		}),
		file("docx of 10 GiB", octets, "docx", true, func() []byte {
			return ZipOf(-1, StoredEntry(contentTypes("word/document.xml", "x")), zeroEntry("word/document.xml", 160))
		}),
		file("docx of elements, 1,000,000 deep", octets, "docx", false, func() []byte {
			return Docx("a", nil, File{"word/header1.xml", []byte(`<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>` + strings.Repeat("<w:p>", 1_000_000) + "&b;")})
		}),
		file("OneNote page of 100,000 files", "application/onenote", "one", true, func() []byte {
			one := OneNote(small)
			object := one[bytes.Index(one, []byte("\xe7\x16\xe3\xbd")):]
			for i := range 100_000 {
				at := len(one) + 36 // the GUID, the length and what is unused before the data
				one = append(one, object...)
				copy(one[at:], fmt.Sprintf("%06d", i))
			}
			return one
		}),
		file("page that hides a page, 18 deep", "text/html", "html", true, func() []byte {
			f := File{"page.html", Smuggler(small)}
			for range 18 {
				f.Data = Smuggler(f)
			}
			return f.Data
		}),
		file("page of 10 MB of scripts", "text/html", "html", false, func() []byte {
			return []byte("<html><script>" + strings.Repeat(`eval(unescape("%61%62")+atob("YWJj")+String.fromCharCode(97,98,99));`, 150_000) + "</script></html>")
		}),
		{"text of 10 MB without a space", func() []byte { return Letter{Text: strings.Repeat("a", 10<<20)}.Bytes() }, false},
		{"page of 100,000 data addresses", func() []byte {
			return Letter{HTML: "<p>" + strings.Repeat(`<a href="data:application/zip;base64,UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA==">x</a>`, 100_000)}.Bytes()
		}, false},
	}
}
