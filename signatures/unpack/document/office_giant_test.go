package document

import (
	"bytes"
	"runtime"
	"strings"
	"testing"
	"time"

	"spamcatcher/signatures/unpack/format"
	"spamcatcher/signatures/unpack/unpacktest"
)

// TestGiants: documents made to be slow keep to the limit of time, and what they
// make us hold is a small multiple of their size.
func TestGiants(t *testing.T) {
	const size = 2 << 20
	fill := func(s string) []byte { return bytes.Repeat([]byte(s), size/len(s)) }
	macro := func(s string) []byte { return unpacktest.VBA(string(fill(s))) }
	xml := func(s string) []byte { return append([]byte(wordNS), fill(s)...) }
	expression := append([]byte{0x17, 200, 0}, bytes.Repeat([]byte{'x'}, 200)...)
	for range 500 {
		expression = append(expression, 0x17, 1, 0, 'y', 0x08)
	}
	cells := bytes.Repeat(formula(expression[:255]...), size/280)
	for name, data := range map[string][]byte{
		"macro: words that stems are in": macro("xshell xcmd xcurl xwscript xauto xdocument internet certutil wmic\n"),
		"macro: doubling":                macro("a = a & a & \"x\"\n"),
		"macro: reversing":               macro("a = \"abcdefgh\" & StrReverse(a) & StrReverse(a)\n"),
		"macro: one line":                macro("\"a\" & Chr(65) & "),
		"macro: brackets":                macro("(((((("),
		"macro: replacing":               macro("x = Replace(\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaa\", \"a\", \"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\")\n"),
		"macro: literals that decode":    macro("\"c2hlbGwgY21kIC9jIGRpciBzaGVsbA==\"\n"),
		"macro: addresses":               macro("http://a http://"),
		"rtf: braces":                    append([]byte(`{\rtf1`), fill("{")...),
		"rtf: objects":                   append([]byte(`{\rtf1`), fill(`{\*\objdata 0105000002000000ff}`)...),
		"rtf: digits":                    append([]byte(`{\rtf1{\*\objdata `), fill("0")...),
		"rtf: controls":                  append([]byte(`{\rtf1{\*\objdata `), fill(`\a`)...),
		"rtf: fields":                    append([]byte(`{\rtf1`), fill(`{\*\fldinst DD}`)...),
		"xml: tags":                      xml("<a>"),
		"xml: quotation marks":           xml(`<a b="`),
		"xml: fields":                    xml(char("begin") + run("DD")),
		"xml: relationships":             xml(`<Relationship Type="a/oleObject" Target="x" TargetMode="External"/>`),
		"xml: entities":                  xml(`<w:instrText>&#x41;&amp</w:instrText>`),
		"xml: comments":                  xml("<!---"),
		"xls: formulas":                  unpacktest.OLE(unpacktest.File{Name: "Workbook", Data: append(append(sheet(0, 1), macroSheet()...), cells...)}),
		"xls: empty records":             unpacktest.OLE(unpacktest.File{Name: "Workbook", Data: fill("\x01\x02\x00\x00")}),
		"doc: fields":                    unpacktest.OLE(unpacktest.File{Name: "WordDocument", Data: fill("\x13")}),
		"ppt: containers":                unpacktest.OLE(unpacktest.File{Name: "PowerPoint Document", Data: fill("\x0f\x00\x00\x00\x00\x00\x00\x00")}),
		"csv: bars":                      append([]byte("ID;"), fill("=ab|!|")...),
		"csv: bars in one line":          append([]byte("ID;"), fill("=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa|x")...),
		"slk: formulas":                  append([]byte("ID;P\nO;E\n"), fill("C;X1;EEXEC(CHAR(65)&CHAR(66))\n")...),
		"xlsb: records":                  append([]byte("\xe8\x02\x00"), fill("\x08\x00")...),
	} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		kind := format.Part
		if strings.HasPrefix(name, "xlsb") {
			kind = format.Member
		}
		j := format.NewJob(t.Context(), format.Limits{}, Formats(), nil, func(*format.File) error { return nil })
		start := time.Now()
		j.Emit(&format.File{Kind: kind, Name: "xl/macrosheets/sheet1.bin", Data: data})
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		t.Logf("%-34s %8d bytes: %7.1f ms, %4d MiB allocated in all", name, len(data), took.Seconds()*1000, (after.TotalAlloc-before.TotalAlloc)>>20)
		if took > 10*time.Second {
			t.Errorf("%s: %v; the limit is 2 s, the rest is for a busy machine", name, took)
		}
		for _, err := range j.Faults() {
			t.Errorf("%s: %v", name, err)
		}
	}
}
