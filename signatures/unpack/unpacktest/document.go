package unpacktest

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// contentTypes is the member that every OOXML document begins with.
func contentTypes(main, kind string) File {
	return File{"[Content_Types].xml", []byte(`<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Default Extension="bin" ContentType="application/vnd.openxmlformats-officedocument.oleObject"/><Override PartName="/` + main + `" ContentType="` + kind + `"/></Types>`)}
}

// relations are what a part of an OOXML document refers to; those with a target
// that is an address are external.
func relations(of string, list ...string) File {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8" standalone="yes"?>` + "\n" + `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">`)
	for i := 0; i+1 < len(list); i += 2 {
		mode := ""
		if strings.Contains(list[i+1], "://") {
			mode = ` TargetMode="External"`
		}
		fmt.Fprintf(&b, `<Relationship Id="rId%d" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/%s" Target="%s"%s/>`, i/2+1, list[i], list[i+1], mode)
	}
	b.WriteString("</Relationships>")
	return File{of, []byte(b.String())}
}

// Docx is a Word document of one paragraph, with members besides. related are
// pairs of the kind and the target of a relation, the first of them a hyperlink of
// the text if its kind is "hyperlink".
func Docx(text string, related []string, members ...File) []byte {
	body := `<w:r><w:t>` + text + `</w:t></w:r>`
	if len(related) > 0 && related[0] == "hyperlink" {
		body = `<w:hyperlink r:id="rId1">` + body + `</w:hyperlink>`
	}
	kind := "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
	for _, m := range members {
		if strings.HasSuffix(m.Name, "vbaProject.bin") {
			kind = "application/vnd.ms-word.document.macroEnabled.main+xml"
			related = append(related, "vbaProject", "vbaProject.bin")
		}
	}
	files := []File{
		contentTypes("word/document.xml", kind),
		relations("_rels/.rels", "officeDocument", "word/document.xml"),
		{"word/document.xml", []byte(`<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><w:body><w:p>` + body + `</w:p></w:body></w:document>`)},
		relations("word/_rels/document.xml.rels", related...),
	}
	return Zip(Deflated, append(files, members...)...)
}

// Xlsm is an Excel workbook of one sheet with macros.
func Xlsm(source string) []byte {
	return Zip(Deflated,
		contentTypes("xl/workbook.xml", "application/vnd.ms-excel.sheet.macroEnabled.main+xml"),
		relations("_rels/.rels", "officeDocument", "xl/workbook.xml"),
		File{"xl/workbook.xml", []byte(`<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="Table" sheetId="1" r:id="rId1"/></sheets></workbook>`)},
		relations("xl/_rels/workbook.xml.rels", "worksheet", "worksheets/sheet1.xml", "vbaProject", "vbaProject.bin"),
		File{"xl/worksheets/sheet1.xml", []byte(`<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>Region</t></is></c></row></sheetData></worksheet>`)},
		File{"xl/vbaProject.bin", VBA(source)})
}

// A PDFObject is the number and the text of an indirect object.
type PDFObject struct {
	ID   int
	Text string
}

// PDFStream is an object with a stream, packed as many times as it has Flate
// filters.
func PDFStream(id int, entries string, filters int, data []byte) PDFObject {
	for range filters {
		data = Zlib(data)
	}
	filter := ""
	if filters > 0 {
		filter = "/Filter [" + strings.Repeat("/FlateDecode ", filters) + "]"
	}
	return PDFObject{id, fmt.Sprintf("<< %s %s /Length %d >>\nstream\n%s\nendstream", entries, filter, len(data), data)}
}

// PDF is a document of one page that shows text, with a catalogue that has the
// entries given, and objects besides (from number 10 on).
func PDF(text, catalogue, page string, objects ...PDFObject) []byte {
	all := append([]PDFObject{
		{1, "<< /Type /Catalog /Pages 2 0 R " + catalogue + " >>"},
		{2, "<< /Type /Pages /Kids [3 0 R] /Count 1 >>"},
		{3, "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> " + page + " >>"},
		PDFStream(4, "", 1, []byte("BT /F1 12 Tf 72 720 Td ("+text+") Tj ET")),
		{5, "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"},
	}, objects...)
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
	at := map[int]int{}
	most := 0
	for _, o := range all {
		at[o.ID] = b.Len()
		most = max(most, o.ID)
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", o.ID, o.Text)
	}
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", most+1)
	for id := 1; id <= most; id++ {
		if n, ok := at[id]; ok {
			fmt.Fprintf(&b, "%010d 00000 n \n", n)
		} else {
			b.WriteString("0000000000 65535 f \n")
		}
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", most+1, xref)
	return b.Bytes()
}

// PDFHolding is a document with a file embedded in it.
func PDFHolding(text string, f File) []byte {
	return PDF(text, fmt.Sprintf("/Names << /EmbeddedFiles << /Names [(%s) 10 0 R] >> >>", f.Name), "",
		PDFObject{10, fmt.Sprintf("<< /Type /Filespec /F (%[1]s) /UF (%[1]s) /EF << /F 11 0 R >> >>", f.Name)},
		PDFStream(11, "/Type /EmbeddedFile", 1, f.Data))
}

// RTF is a document with a file dragged into it; junk is written between the
// digits of the object, as those do who hide one.
func RTF(f File, junk string) []byte { return RTFObject("Package", Package(f)[4:], junk) }

// RTFObject is a document with an object of a class ([MS-OLEDS] section 2.2.5).
func RTFObject(class string, native []byte, junk string) []byte {
	var o buffer
	o.u32(0x501, 2, uint32(len(class)+1))
	o.text(class + "\x00")
	o.u32(0, 0, uint32(len(native)))
	o.Write(native)
	digits := hex.EncodeToString(o.Bytes())
	var b strings.Builder
	b.WriteString(`{\rtf1\ansi\deff0 Please see the object below.\par {\object\objemb{\*\objclass ` + class + `}\objw1000\objh1000{\*\objdata ` + "\r\n")
	for len(digits) > 0 {
		n := min(len(digits), 64)
		b.WriteString(digits[:n] + "\r\n" + junk)
		digits = digits[n:]
	}
	b.WriteString(`}{\result {\pict}}}}`)
	return []byte(b.String())
}

// OneNote is a section of OneNote with a file in it, between the marks that frame
// one ([MS-ONESTORE] section 2.6.13).
func OneNote(f File) []byte {
	var b buffer
	b.text("\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d\xae\xb1\x53\x78\xd0\x29\x96\xd3")
	b.Write(make([]byte, 1024-16))
	b.Write(wide(f.Name + "\x00"))
	b.pad(8)
	b.text("\xe7\x16\xe3\xbd\x65\x26\x11\x45\xa4\xc4\x8d\x4d\x0b\x7a\x9e\xac")
	b.u64(uint64(len(f.Data)))
	b.u32(0)
	b.u64(0)
	b.Write(f.Data)
	b.pad(8)
	b.text("\x22\xa7\xfb\x71\x79\x0f\x0b\x4a\xbb\x13\x89\x92\x56\x42\x6b\x24")
	return b.Bytes()
}

// Smuggler is a page that puts a file together and saves it.
func Smuggler(f File) []byte {
	return []byte(`<!DOCTYPE html>
<html><head><title>Document</title></head><body><p>Your document is being opened.</p>
<script>
var packed = "` + base64.StdEncoding.EncodeToString(f.Data) + `";
var bytes = atob(packed), list = new Uint8Array(bytes.length);
for (var i = 0; i < bytes.length; i++) { list[i] = bytes.charCodeAt(i); }
var blob = new Blob([list], {type: "application/octet-stream"});
var a = document.createElement("a");
a.href = window.URL.createObjectURL(blob);
a.download = "` + f.Name + `";
document.body.appendChild(a);
a.click();
</script></body></html>
`)
}

// Shortcut is a Windows shortcut to a program ([MS-SHLLINK]).
func Shortcut(target, arguments string) []byte {
	var b buffer
	b.u32(0x4C)
	b.text("\x01\x14\x02\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x46")
	b.u32(0x08|0x20|0x80, 0x20) // relative path, arguments, Unicode
	b.u64(0, 0, 0)
	b.u32(0, 0, 1)
	b.u16(0, 0)
	b.u32(0, 0)
	for _, s := range []string{target, arguments} {
		w := wide(s)
		b.u16(uint16(len(w) / 2))
		b.Write(w)
	}
	b.u32(0)
	return b.Bytes()
}
