package unpacktest

import (
	"bytes"
	"fmt"
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
		file("zips of 16, 6 levels", zip, "zip", false, func() []byte { return nestedZip(6, 16, false, File{"z", Zip(Deflated, mb16)}) }),
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
