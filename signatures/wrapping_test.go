package signatures_test

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"mime"
	"slices"
	"strings"
	"testing"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
	"spamcatcher/signatures"
	. "spamcatcher/signatures/unpack/unpacktest"
)

// A container turns a file into one that holds it.
type container struct {
	name      string // of what it makes
	mediaType string
	pack      func(File) []byte
}

// sevenPacked is a 7z archive by a real coder.
func sevenPacked(coder string, f File) []byte {
	folder := SevenFolder{Name: f.Name, Coder: coder, Size: uint64(len(f.Data)), Sum: crc32.ChecksumIEEE(f.Data)}
	if folder.Packed = Deflate(f.Data); coder == SevenLZMA {
		alone := LZMA(f.Data)
		folder.Props, folder.Packed = alone[:5], alone[13:]
	}
	return SevenzipOf(-1, folder)
}

// noise is bytes that compress badly and mean nothing, the same each time.
func noise(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.IntN(128) + 128)
	}
	return b
}

func zipBy(method uint16) func(File) []byte {
	return func(f File) []byte { return Zip(method, f) }
}

func tarBy(format tar.Format) func(File) []byte {
	return func(f File) []byte {
		return Tar(format, File{Name: "readme.txt", Data: []byte("see the other file")}, f)
	}
}

const octets = "application/octet-stream"

// containers are the formats that a file can be packed into.
var containers = []container{
	{"stored.zip", "application/zip", zipBy(Stored)},
	{"deflated.zip", "application/zip", zipBy(Deflated)},
	{"bzipped.zip", "application/zip", zipBy(Bzipped)},
	{"lzma.zip", "application/zip", zipBy(LZMAed)},
	{"xz.zip", "application/zip", zipBy(XZed)},
	{"zstd.zip", "application/zip", zipBy(Zstded)},
	{"last-of-many.zip", "application/zip", func(f File) []byte {
		var list []File
		for i := range 200 {
			list = append(list, File{Name: fmt.Sprintf("page%03d.txt", i), Data: []byte("a page of text")})
		}
		return Zip(Deflated, append(list, f)...)
	}},
	{"prefixed.zip", "application/zip", func(f File) []byte { return append(noise(5000), Zip(Deflated, f)...) }},
	{"self-extracting.exe", octets, func(f File) []byte {
		return append(append([]byte("MZ\x90\x00\x03\x00\x00\x00"), make([]byte, 4000)...), Zip(Deflated, f)...)
	}},
	{"picture.jpg", "image/jpeg", func(f File) []byte {
		return append(append([]byte("\xff\xd8\xff\xe0\x00\x10JFIF\x00"), noise(3000)...), Zip(Deflated, f)...)
	}},
	{"trailed.zip", "application/zip", func(f File) []byte { return append(Zip(Deflated, f), noise(3000)...) }},
	{"not-listed.zip", "application/zip", func(f File) []byte {
		hidden := StoredEntry(f)
		hidden.NoDirectory = true
		return ZipOf(-1, StoredEntry(File{Name: "readme.txt", Data: []byte("nothing to see")}), hidden)
	}},
	{"two-names.zip", "application/zip", func(f File) []byte {
		e := StoredEntry(f)
		e.LocalName = "readme.txt"
		return ZipOf(-1, e)
	}},
	{"truncated.zip", "application/zip", func(f File) []byte {
		whole := Zip(Deflated, f)
		return whole[:bytes.Index(whole, []byte("PK\x01\x02"))]
	}},
	{"wrong-size.zip", "application/zip", func(f File) []byte {
		e := StoredEntry(f)
		e.Size, e.CRC = 3, 1
		return ZipOf(-1, e)
	}},
	{"wrong-count.zip", "application/zip", func(f File) []byte {
		return ZipOf(1, StoredEntry(File{Name: "readme.txt", Data: []byte("nothing to see")}), StoredEntry(f))
	}},
	{"before-another.zip", "application/zip", func(f File) []byte {
		return append(Zip(Deflated, f), Zip(Deflated, File{Name: "readme.txt", Data: []byte("nothing to see")})...)
	}},
	{"behind-another.zip", "application/zip", func(f File) []byte {
		return append(Zip(Deflated, File{Name: "readme.txt", Data: []byte("nothing to see")}), Zip(Deflated, f)...)
	}},
	{"strange-names.zip", "application/zip", func(f File) []byte {
		list := []File{{Name: "../../etc/passwd"}, {Name: "C:\\Windows\\x.txt"}, {Name: "a\x00b.txt"}, {Name: "\u202etxt.exe"}, {Name: strings.Repeat("x", 60000)}, {Name: ""}, {Name: "a\r\nb: c"}, {Name: "report/"}}
		var entries []ZipEntry
		for i, e := range list {
			entries = append(entries, StoredEntry(File{Name: e.Name, Data: []byte(fmt.Sprint("text ", i))}))
		}
		entries = append(entries, StoredEntry(File{Name: "report/", Data: f.Data}))
		return ZipOf(-1, entries...)
	}},
	{"applet.jar", "application/java-archive", func(f File) []byte {
		return Zip(Deflated, File{Name: "META-INF/MANIFEST.MF", Data: []byte("Manifest-Version: 1.0\r\n")}, f)
	}},
	{"file.gz", "application/gzip", Gzip},
	{"two-members.gz", "application/gzip", func(f File) []byte {
		return append(Gzip(File{Name: "first", Data: []byte("the first member\n")}), Gzip(f)...)
	}},
	{"file.bz2", "application/x-bzip2", func(f File) []byte { return Bzip2(f.Data) }},
	{"file.xz", "application/x-xz", func(f File) []byte { return XZ(f.Data) }},
	{"file.lzma", "application/x-lzma", func(f File) []byte { return LZMA(f.Data) }},
	{"file.zst", "application/zstd", func(f File) []byte { return Zstd(f.Data) }},
	{"file.Z", "application/x-compress", func(f File) []byte { return Compress(f.Data) }},
	{"ustar.tar", "application/x-tar", tarBy(tar.FormatUSTAR)},
	{"gnu.tar", "application/x-tar", tarBy(tar.FormatGNU)},
	{"pax.tar", "application/x-tar", tarBy(tar.FormatPAX)},
	{"old.tar", "application/x-tar", func(f File) []byte { return TarOld(File{Name: "readme.txt", Data: []byte("see below")}, f) }},
	{"file.tar.gz", "application/gzip", func(f File) []byte { return Gzip(File{Name: "file.tar", Data: Tar(tar.FormatGNU, f)}) }},
	{"file.tar.bz2", "application/x-bzip2", func(f File) []byte { return Bzip2(Tar(tar.FormatGNU, f)) }},
	{"file.tar.xz", "application/x-xz", func(f File) []byte { return XZ(Tar(tar.FormatGNU, f)) }},
	{"file.tar.zst", "application/zstd", func(f File) []byte { return Zstd(Tar(tar.FormatGNU, f)) }},
	{"copied.7z", "application/x-7z-compressed", func(f File) []byte { return Sevenzip(File{Name: "readme.txt", Data: []byte("see below")}, f) }},
	{"lzma.7z", "application/x-7z-compressed", func(f File) []byte { return sevenPacked(SevenLZMA, f) }},
	{"deflate.7z", "application/x-7z-compressed", func(f File) []byte { return sevenPacked(SevenDeflate, f) }},
	{"copied7.exe", octets, func(f File) []byte {
		return append(append([]byte("MZ\x90\x00\x03\x00\x00\x00"), make([]byte, 4000)...), sevenPacked(SevenLZMA, f)...)
	}},
	{"four.rar", "application/vnd.rar", func(f File) []byte { return RAR4(File{Name: "readme.txt", Data: []byte("see below")}, f) }},
	{"five.rar", "application/vnd.rar", func(f File) []byte { return RAR5(File{Name: "readme.txt", Data: []byte("see below")}, f) }},
	{"five.exe", octets, func(f File) []byte {
		return append(append([]byte("MZ\x90\x00\x03\x00\x00\x00"), make([]byte, 4000)...), RAR5(f)...)
	}},
	{"stored.cab", "application/vnd.ms-cab-compressed", func(f File) []byte { return Cabinet(false, File{Name: "readme.txt", Data: []byte("see below")}, f) }},
	{"mszip.cab", "application/vnd.ms-cab-compressed", func(f File) []byte { return Cabinet(true, File{Name: "readme.txt", Data: []byte("see below")}, f) }},
	{"disc.iso", "application/x-iso9660-image", func(f File) []byte { return ISO(false, File{Name: "readme.txt", Data: []byte("see below")}, f) }},
	{"joliet.iso", "application/x-iso9660-image", func(f File) []byte { return ISO(true, File{Name: "readme.txt", Data: []byte("see below")}, f) }},
	{"disc.img", octets, func(f File) []byte { return ISO(true, f) }},
	{"winmail.dat", "application/ms-tnef", func(f File) []byte { return TNEF(File{Name: "readme.txt", Data: []byte("see below")}, f) }},
	{"long.dat", "application/ms-tnef", TNEFLong},
	{"first-of-two.dat", "application/ms-tnef", func(f File) []byte { return TNEFContents(f.Name, f.Data, []byte("nothing to see")) }},
	{"last-of-two.dat", "application/ms-tnef", func(f File) []byte { return TNEFContents(f.Name, []byte("nothing to see"), f.Data) }},
	{"file.lzh", "application/x-lzh-compressed", LZH},
	{"file.cpio", "application/x-cpio", func(f File) []byte { return Cpio(File{Name: "readme.txt", Data: []byte("see below")}, f) }},
	{"file.deb", "application/x-archive", func(f File) []byte { return Ar(File{Name: "debian-binary", Data: []byte("2.0\n")}, f) }},
	{"package.doc", "application/msword", Doc},
	{"saved.msg", "application/vnd.ms-outlook", Msg},
	{"member.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", func(f File) []byte {
		return Docx("See the object.", nil, File{Name: "word/embeddings/" + f.Name, Data: f.Data})
	}},
	{"package.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", func(f File) []byte {
		return Docx("See the object.", []string{"oleObject", "embeddings/oleObject1.bin"}, File{Name: "word/embeddings/oleObject1.bin", Data: OLE(File{Name: "\x01Ole10Native", Data: Package(f)})})
	}},
	{"embedded.pdf", "application/pdf", func(f File) []byte { return PDFHolding("See the file.", f) }},
	{"hex.pdf", "application/pdf", func(f File) []byte {
		return PDF("See the file.", "/Names << /EmbeddedFiles << /Names [(a) 10 0 R] >> >>", "",
			PDFObject{ID: 10, Text: "<< /Type /Filespec /F (a) /EF << /F 11 0 R >> >>"},
			PDFStream(11, "/Type /EmbeddedFile /Filter [/ASCIIHexDecode /FlateDecode]", 0, fmt.Appendf(nil, "%x>", Zlib(f.Data))))
	}},
	{"object.rtf", "application/rtf", func(f File) []byte { return RTF(f, "") }},
	{"obfuscated.rtf", "application/rtf", func(f File) []byte { return RTF(f, "{\\*\\nothing 12ab}\\par\r\n \t") }},
	{"page.one", "application/onenote", OneNote},
	{"smuggling.html", "text/html", Smuggler},
	{"pieces.html", "text/html", func(f File) []byte {
		b := base64.StdEncoding.EncodeToString(f.Data)
		n := len(b) / 3
		return []byte(script("var p = '" + b[:n] + "' + '" + b[n:2*n] + "';\np += '" + b[2*n:] + "';\nvar d = atob(p);"))
	}},
	{"codes.html", "text/html", func(f File) []byte {
		return []byte(script("var d = new Uint8Array([" + strings.ReplaceAll(strings.Trim(fmt.Sprint(f.Data), "[]"), " ", ",") + "]);"))
	}},
	{"hex.html", "text/html", func(f File) []byte {
		return []byte(script(fmt.Sprintf("var h = %q, d = new Uint8Array(h.match(/../g).map(x => parseInt(x, 16)));", fmt.Sprintf("%x", f.Data))))
	}},
	{"backwards.html", "text/html", func(f File) []byte {
		b := []byte(base64.StdEncoding.EncodeToString(f.Data))
		slices.Reverse(b)
		return []byte(script("var d = atob('" + string(b) + "'.split('').reverse().join(''));"))
	}},
	{"page.mht", "message/rfc822", func(f File) []byte {
		p := Multipart("related", "sep", Part{Head: "Content-Type: text/html\r\nContent-Location: http://www.example.com/\r\n", Body: "<p>A page</p>\r\n"}, Attached(octets, f))
		return []byte("MIME-Version: 1.0\r\n" + p.Head + "\r\n" + p.Body)
	}},
	{"smuggling.svg", "image/svg+xml", func(f File) []byte {
		page := string(Smuggler(f))
		return []byte(`<svg xmlns="http://www.w3.org/2000/svg">` + page[strings.Index(page, "<script>"):strings.Index(page, "</body>")] + "</svg>")
	}},
	{"mail.eml", "message/rfc822", func(f File) []byte { return Letter{Parts: []Part{Attached(octets, f)}}.Bytes() }},
	{"folder.mbox", "application/mbox", func(f File) []byte {
		var b bytes.Buffer
		for _, l := range []Letter{{Text: "The first mail."}, {Parts: []Part{Attached(octets, f)}}} {
			b.WriteString("From ann@example.net Mon Nov 16 09:12:44 2026\n")
			b.Write(bytes.ReplaceAll(l.Bytes(), []byte("\r\n"), []byte("\n")))
			b.WriteString("\n")
		}
		return b.Bytes()
	}},
	{"file.uue", "text/plain", func(f File) []byte { return []byte(UU(f)) }},
	{"file.b64", "text/plain", func(f File) []byte {
		return []byte("Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\nMIME-Version: 1.0\r\n\r\n" + Base64(f.Data))
	}},
}

// script is a page that saves what the variable d holds.
func script(assign string) string {
	return "<html><body><p>Loading</p><script>\n" + assign + `
var b = new Blob([d], {type: "octet/stream"});
var a = document.createElement("a");
a.href = URL.createObjectURL(b); a.download = "report.zip"; a.click();
</script></body></html>`
}

// deep are containers inside each other.
var deep = []string{
	"deflated.zip/deflated.zip/deflated.zip",
	"file.gz/file.gz/file.gz",
	"lzma.7z/five.rar/mszip.cab",
	"joliet.iso/deflated.zip/file.tar.gz",
	"deflated.zip/joliet.iso/deflated.zip",
	"winmail.dat/member.docx/package.docx",
	"mail.eml/deflated.zip/mail.eml",
	"smuggling.html/deflated.zip/joliet.iso",
	"embedded.pdf/member.docx/embedded.pdf",
	"page.one/deflated.zip/package.doc",
	"saved.msg/saved.msg/saved.msg",
	"object.rtf/package.doc/deflated.zip",
	"file.xz/file.bz2/file.zst",
	"stored.cab/four.rar/copied.7z",
	"file.tar.gz/winmail.dat/file.lzma",
	"deflated.zip/mail.eml/winmail.dat/package.docx/file.gz",
}

func pack(t *testing.T, name string, f File) (File, string) {
	t.Helper()
	for _, c := range containers {
		if c.name == name {
			return File{Name: name, Data: c.pack(f)}, c.mediaType
		}
	}
	t.Fatalf("no container is called %q", name)
	return File{}, ""
}

// A carriage is a mail with a file in it.
type carriage struct {
	name string
	mail func(f File) []byte
	text bool // only text can be carried so
}

// part is a carriage by one attached part.
func part(head string, encode func(File) string) func(File) []byte {
	return func(f File) []byte {
		return Letter{Parts: []Part{{Head: strings.ReplaceAll(head, "NAME", f.Name), Body: encode(f)}}}.Bytes()
	}
}

func based(f File) string  { return Base64(f.Data) }
func quoted(f File) string { return Quoted(f.Data) }
func plain(f File) string  { return string(f.Data) + "\r\n" }

const (
	attachment = "Content-Type: application/octet-stream; name=\"NAME\"\r\nContent-Disposition: attachment; filename=\"NAME\"\r\n"
	inBase64   = "Content-Transfer-Encoding: base64\r\n"
)

// twisted is a mail whose header says something else about its parts, or whose
// body is put together otherwise.
func twisted(contentType, preamble, end, epilogue string) func(File) []byte {
	return func(f File) []byte {
		p := strings.ReplaceAll(attachment, "NAME", f.Name) + inBase64 + "\r\n" + Base64(f.Data)
		fill := strings.NewReplacer("PART", p).Replace
		return []byte("From: ann@example.net\r\nTo: bob@example.org\r\nSubject: The file\r\nMIME-Version: 1.0\r\n" + contentType + "\r\n" +
			fill(preamble) + "--sep\r\nContent-Type: text/plain\r\n\r\nPlease see the file.\r\n" + fill(end) + fill(epilogue))
	}
}

const (
	mixed  = "Content-Type: multipart/mixed; boundary=sep\r\n"
	second = "--sep\r\nPART--sep--\r\n"
)

func enclosed(encoding string, encode func(File) string, levels int) func(File) []byte {
	return func(f File) []byte {
		inner := Letter{Parts: []Part{Attached(octets, f)}}.Bytes()
		for range levels {
			inner = Letter{Parts: []Part{{Head: "Content-Type: message/rfc822\r\n" + encoding, Body: encode(File{Name: "", Data: inner})}}}.Bytes()
		}
		return inner
	}
}

// carriages are the ways in which mail carries a file.
var carriages = []carriage{
	{name: "base64", mail: part(attachment+inBase64, based)},
	{name: "quoted-printable", mail: part(attachment+"Content-Transfer-Encoding: quoted-printable\r\n", quoted)},
	{name: "7bit", mail: part(attachment+"Content-Transfer-Encoding: 7bit\r\n", plain), text: true},
	{name: "no encoding", mail: part(attachment, plain), text: true},
	{name: "x-uuencode", mail: part(attachment+"Content-Transfer-Encoding: x-uuencode\r\n", UU)},
	{name: "uuencode in the text", mail: func(f File) []byte { return Letter{Text: "Hello,\n\n" + UU(f) + "\nBye\n"}.Bytes() }},
	{name: "yEnc in the text", mail: func(f File) []byte {
		return []byte("From: ann@example.net\r\nTo: bob@example.org\r\nSubject: The file\r\n\r\nHello,\r\n\r\n" + YEnc(f))
	}},
	{name: "wrong type", mail: part("Content-Type: image/png; name=photo.png\r\n"+inBase64, based)},
	{name: "text type", mail: part("Content-Type: text/plain; charset=utf-8\r\n"+inBase64, based)},
	{name: "html type", mail: part("Content-Type: text/html\r\n"+inBase64, based)},
	{name: "unheard-of type", mail: part("Content-Type: x-what/ever\r\n"+inBase64, based)},
	{name: "broken type", mail: part("Content-Type: ;;;==\r\n"+inBase64, based)},
	{name: "no type", mail: part(inBase64, based)},
	{name: "no name", mail: part("Content-Type: application/octet-stream\r\nContent-Disposition: attachment\r\n"+inBase64, based)},
	{name: "name in pieces (RFC 2231)", mail: part("Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename*0=\"rep\";\r\n filename*1=\"ort.\"; filename*2=com\r\n"+inBase64, based)},
	{name: "name with charset (RFC 2231)", mail: part("Content-Type: application/octet-stream\r\nContent-Disposition: attachment;\r\n filename*=utf-8''r%C3%A9sum%C3%A9.com\r\n"+inBase64, based)},
	{name: "name in encoded words", mail: part("Content-Type: application/octet-stream; name=\""+mime.BEncoding.Encode("utf-8", "Übersicht.com")+"\"\r\n"+inBase64, based)},
	{name: "type by RFC 2231 alone", mail: part("Content-Type: application/octet-stream; name*0*=us-ascii'en'a%2E; name*1=com\r\n"+inBase64, based)},
	{name: "whole body", mail: func(f File) []byte {
		return []byte("From: ann@example.net\r\nTo: bob@example.org\r\nSubject: The file\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream; name=" + f.Name + "\r\n" + inBase64 + "\r\n" + Base64(f.Data))
	}},
	{name: "lines end with LF", mail: func(f File) []byte {
		return bytes.ReplaceAll(Letter{Parts: []Part{Attached(octets, f)}}.Bytes(), []byte("\r\n"), []byte("\n"))
	}},
	{name: "base64 in one line", mail: part(attachment+inBase64, func(f File) string { return strings.ReplaceAll(Base64(f.Data), "\r\n", "") + "\r\n" })},
	{name: "base64 with junk", mail: part(attachment+inBase64, func(f File) string { s := Base64(f.Data); return "!#" + s[:21] + "*\x80(" + s[21:] })},
	{name: "base64 padded in the middle", mail: part(attachment+inBase64, func(f File) string { return Base64(f.Data[:40]) + Base64(f.Data[40:]) })},
	{name: "base64 with empty lines", mail: part(attachment+inBase64, func(f File) string { return strings.ReplaceAll(Base64(f.Data), "\r\n", "\r\n\r\n \r\n") })},
	{name: "two encodings, the first right", mail: part(attachment+inBase64+"Content-Transfer-Encoding: 7bit\r\n", based)},
	{name: "two encodings, the last right", mail: part(attachment+"Content-Transfer-Encoding: 7bit\r\n"+inBase64, based)},
	{name: "space before the colon", mail: part(attachment+"Content-Transfer-Encoding : base64\r\n", based)},
	{name: "boundary in pieces", mail: twisted("Content-Type: multipart/mixed; boundary*0=s; boundary*1=ep\r\n", "", second, "")},
	{name: "boundary by RFC 2231", mail: twisted("Content-Type: multipart/mixed; boundary*=us-ascii''%73ep\r\n", "", second, "")},
	{name: "two boundaries, the first right", mail: twisted("Content-Type: multipart/mixed; boundary=sep; boundary=other\r\n", "", second, "")},
	{name: "two boundaries, the last right", mail: twisted("Content-Type: multipart/mixed; boundary=other; boundary=sep\r\n", "", second, "")},
	{name: "two types, the first right", mail: twisted(mixed+"Content-Type: text/plain\r\n", "", second, "")},
	{name: "two types, the last right", mail: twisted("Content-Type: text/plain\r\n"+mixed, "", second, "")},
	{name: "another boundary than the one used", mail: twisted("Content-Type: multipart/mixed; boundary=other\r\n", "", second, "")},
	{name: "no boundary", mail: twisted("Content-Type: multipart/mixed\r\n", "", second, "")},
	{name: "no closing delimiter", mail: twisted(mixed, "", "--sep\r\nPART", "")},
	{name: "in the preamble", mail: twisted(mixed, "PART", "--sep--\r\n", "")},
	{name: "in the epilogue", mail: twisted(mixed, "", "--sep--\r\n", "\r\nPART")},
	{name: "behind the closing delimiter", mail: twisted(mixed, "", "--sep--\r\n", "--sep\r\nPART--sep--\r\n")},
	{name: "boundary that begins another", mail: twisted(mixed, "", "--sep\r\nContent-Type: multipart/mixed; boundary=sep1\r\n\r\n--sep1\r\nPART--sep1--\r\n--sep--\r\n", "")},
	{name: "inner multipart with the same boundary", mail: twisted(mixed, "", "--sep\r\nContent-Type: multipart/mixed; boundary=sep\r\n\r\n--sep\r\nPART--sep--\r\n", "")},
	{name: "no MIME-Version, bare", mail: func(f File) []byte {
		p := Multipart("mixed", "sep", Part{Head: "Content-Type: text/plain\r\n", Body: "Hello\r\n"}, Attached(octets, f))
		return []byte("From: ann@example.net\r\n" + p.Head + "\r\n" + p.Body)
	}},
	{name: "second alternative", mail: func(f File) []byte {
		p := Multipart("alternative", "sep", Part{Head: "Content-Type: text/plain\r\n", Body: "Hello\r\n"}, Attached(octets, f))
		return []byte("From: ann@example.net\r\nMIME-Version: 1.0\r\n" + p.Head + "\r\n" + p.Body)
	}},
	{name: "related to a page", mail: func(f File) []byte {
		p := Multipart("related", "sep", Part{Head: "Content-Type: text/html\r\n", Body: "<img src=\"cid:1@x\">\r\n"}, Part{Head: "Content-Type: image/png\r\nContent-ID: <1@x>\r\n" + inBase64, Body: Base64(f.Data)})
		return []byte("From: ann@example.net\r\nMIME-Version: 1.0\r\n" + p.Head + "\r\n" + p.Body)
	}},
	{name: "in a data: address", mail: func(f File) []byte {
		return Letter{HTML: "<p>Hello <a download=" + f.Name + " href=\"data:application/octet-stream;base64," + strings.ReplaceAll(Base64(f.Data), "\r\n", "") + "\">the file</a></p>\n"}.Bytes()
	}},
	{name: "comment of a macro", text: true, mail: func(f File) []byte {
		doc := Docx("See the macro.", nil, File{Name: "word/vbaProject.bin", Data: VBA("Sub A()\n' " + string(f.Data) + "\nEnd Sub\n")})
		return Letter{Parts: []Part{Attached(octets, File{Name: "report.docm", Data: doc})}}.Bytes()
	}},
	{name: "macro of an old document", text: true, mail: func(f File) []byte {
		return Letter{Parts: []Part{Attached("application/msword", File{Name: "report.doc", Data: DocMacro("Sub A()\n' " + string(f.Data) + "\nEnd Sub\n")})}}.Bytes()
	}},
	{name: "script of a PDF", text: true, mail: func(f File) []byte {
		return Letter{Parts: []Part{Attached("application/pdf", File{Name: "report.pdf", Data: PDF("Hello", "/OpenAction << /S /JavaScript /JS 10 0 R >>", "", PDFStream(10, "", 1, f.Data))})}}.Bytes()
	}},
	{name: "attached mail", mail: enclosed("", func(f File) string { return string(f.Data) }, 1)},
	{name: "attached mail in base64", mail: enclosed(inBase64, based, 1)},
	{name: "attached mail in quoted-printable", mail: enclosed("Content-Transfer-Encoding: quoted-printable\r\n", quoted, 1)},
	{name: "attached mails, three deep", mail: enclosed("", func(f File) string { return string(f.Data) }, 3)},
	{name: "attached mails in base64, three deep", mail: enclosed(inBase64, based, 3)},
	{name: "multiparts, three deep", mail: func(f File) []byte { return Nested(3, Attached(octets, f)) }},
	{name: "zip behind a password in the text", mail: func(f File) []byte {
		return Letter{Text: "Hello,\n\nthe file is protected. Password: Kestrel42\n\nAnn\n", Parts: []Part{Attached("application/zip", File{Name: "locked.zip", Data: ZipLocked("Kestrel42", false, f)})}}.Bytes()
	}},
	{name: "AES zip behind a password in the text", mail: func(f File) []byte {
		return Letter{Text: "Hallo,\n\ndas Passwort lautet: Kestrel42\n\nAnn\n", Parts: []Part{Attached("application/zip", File{Name: "locked.zip", Data: ZipLocked("Kestrel42", true, f)})}}.Bytes()
	}},
}

// allSignatures is the check with what is built in.
func allSignatures(t testing.TB) *signatures.Check {
	t.Helper()
	set, err := signatures.Load(true, nil)
	if err != nil {
		t.Fatal(err)
	}
	return signatures.New(signatures.Config{Set: set})
}

// viruses are the names of the malware that a check finds in a message.
func viruses(t *testing.T, c *signatures.Check, raw []byte) (names []string) {
	t.Helper()
	hits, err := c.Inspect(t.Context(), &engine.Mail{Message: message.Parse(raw, message.Limits{})})
	if err != nil {
		t.Error(err)
	}
	for _, h := range hits {
		if h.Symbol == signatures.Symbol {
			names = append(names, h.Detail)
		}
	}
	return names
}

// EICAR is found in every wrapping, in plain sight and in a zip inside it; a text
// of the same length never is.
func TestWrappings(t *testing.T) {
	check := allSignatures(t)
	// Spaces may follow the test string, and make it worth packing.
	bad := File{Name: "report.com", Data: []byte(eicar + strings.Repeat(" ", 60))}
	good := File{Name: "report.txt", Data: []byte("The minutes of the meeting on Thursday are in the usual place, Ann.\n" + strings.Repeat(" ", 60))}
	hidden := func(f File) File { return File{Name: "inner.zip", Data: Zip(Deflated, f)} }
	if bytes.Contains(hidden(bad).Data, []byte(eicar)) {
		t.Fatal("a zip shows the test string in plain sight")
	}
	wrappings, missed := 0, []string{}
	try := func(name string, mail func(File) []byte, text bool) {
		t.Run(name, func(t *testing.T) {
			for _, payload := range []struct {
				what string
				make func(File) File
			}{{"plain", func(f File) File { return f }}, {"zipped", hidden}} {
				if text && payload.what == "zipped" {
					continue
				}
				wrappings++
				if got := viruses(t, check, mail(payload.make(bad))); len(got) == 0 || got[0] != "EICAR-Test-File" {
					missed = append(missed, name+" ("+payload.what+")")
					t.Errorf("%s: the virus found is %q", payload.what, got)
				}
				if got := viruses(t, check, mail(payload.make(good))); len(got) != 0 {
					t.Errorf("%s: harmless text is %q", payload.what, got)
				}
			}
		})
	}
	for _, c := range carriages {
		try(c.name, c.mail, c.text)
	}
	for _, c := range containers {
		try(c.name, func(f File) []byte {
			return Letter{Parts: []Part{Attached(c.mediaType, File{Name: c.name, Data: c.pack(f)})}}.Bytes()
		}, false)
		// Types are by content: the name and the type of another tell nothing.
		if name := strings.ToLower(c.name); !strings.HasSuffix(name, ".lzma") && !strings.HasSuffix(name, ".b64") && !strings.HasSuffix(name, ".mht") && !strings.HasSuffix(name, ".mbox") {
			try(c.name+" under a false name", func(f File) []byte {
				return Letter{Parts: []Part{Attached("image/png", File{Name: "picture.png", Data: c.pack(f)})}}.Bytes()
			}, false)
		}
	}
	for _, path := range deep {
		try(path, func(f File) []byte {
			mediaType := ""
			names := strings.Split(path, "/")
			for i := len(names) - 1; i >= 0; i-- {
				f, mediaType = pack(t, names[i], f)
			}
			return Letter{Parts: []Part{Attached(mediaType, f)}}.Bytes()
		}, false)
	}
	t.Logf("FIGURES %d carriages, %d containers, %d nestings; %d messages with EICAR, %d missed: %s", len(carriages), len(containers), len(deep), wrappings, len(missed), strings.Join(missed, ", "))
	if wrappings < 200 {
		t.Errorf("only %d messages were looked at", wrappings)
	}
}
