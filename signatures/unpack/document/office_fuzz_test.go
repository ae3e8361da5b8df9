package document

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"spamcatcher/signatures/unpack/format"
	"spamcatcher/signatures/unpack/unpacktest"
)

// fuzzJob gives what is fuzzed to a job with small limits, and holds the job to
// them.
func fuzzJob(t *testing.T, f *format.File) {
	limits := format.Limits{Depth: 4, Members: 200, MemberBytes: 1 << 20, Bytes: 4 << 20, Time: 10 * time.Second}
	files, total := 0, 0
	j := format.NewJob(context.Background(), limits, append(Formats(), zipped{}), []string{"secret"}, func(f *format.File) error {
		files++
		total += len(f.Data)
		return nil
	})
	start := time.Now()
	j.Emit(f)
	for _, err := range j.Faults() {
		t.Fatal(err)
	}
	if files > limits.Members+2 || total > 64<<20 {
		t.Fatalf("%d files, %d bytes", files, total)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Fatalf("%v for %d bytes", took, len(f.Data))
	}
}

// seeds adds the files of the public suite of a kind where it is at hand.
func seeds(f *testing.F, reads func(*format.File) bool) {
	root := os.Getenv("SPAMCATCHER_SHARED")
	if root == "" {
		root = "../../../../shared"
	}
	list, _ := filepath.Glob(filepath.Join(root, "suites/macros/oletools/*/*"))
	for _, name := range list {
		if data, err := os.ReadFile(name); err == nil && len(data) < 64<<10 && reads(&format.File{Data: data, Type: format.Detect(data)}) {
			f.Add(data)
		}
	}
}

func FuzzOLE(f *testing.F) {
	seeds(f, ole{}.Reads)
	f.Add(unpacktest.DocMacro("Sub AutoOpen()\nShell \"a\"\nEnd Sub\n"))
	f.Add(unpacktest.Msg(unpacktest.File{Name: "a.txt", Data: []byte("a")}))
	f.Add(unpacktest.OLECyclic())
	f.Fuzz(func(t *testing.T, b []byte) { fuzzJob(t, &format.File{Kind: format.Part, Data: b}) })
}

// FuzzStreams fuzzes what streams of an intact compound file hold.
func FuzzStreams(f *testing.F) {
	f.Add("VBA/dir", unpacktest.OVBA([]byte("\x19\x00\x01\x00\x00\x00M\x31\x00\x04\x00\x00\x00\x00\x00\x00\x00")))
	f.Add("Workbook", stream(sheet(2, 1), label(true, "\x01"), macroSheet(), formula(0x17, 1, 0, 'a', 0x42, 1, 110, 0), link(0, "cmd\x03x")))
	f.Add("Workbook", stream(record(recordFilePass, bytes.Repeat([]byte{1, 0}, 27)...)))
	f.Add("\x01Ole10Native", unpacktest.Package(unpacktest.File{Name: "a", Data: []byte("b")}))
	f.Add("\x01Ole", []byte(urlMoniker+"\x04\x00\x00\x00a\x00b\x00"))
	f.Add("Equation Native", bytes.Repeat([]byte{28, 0, 8}, 40))
	f.Add("WordDocument", []byte("\x13 DDEAUTO a b\x14"))
	f.Add("PowerPoint Document", []byte("\x10\x00\x11\x10\x04\x00\x00\x00aaaa"))
	f.Add("__substg1.0_10090102", []byte("\x2d\x00\x00\x00\x2b\x00\x00\x00LZFu\xf1\xc5\xc7\xa7\x03\x00\x0a\x00rcpg125\x42\x32\x0a"))
	f.Add("EncryptedPackage", []byte("12345678"))
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		if len(name) == 0 || len(name) > 24 || len(b) > 1<<20 {
			return
		}
		fuzzJob(t, &format.File{Kind: format.Part, Data: unpacktest.OLE(unpacktest.File{Name: name, Data: b}, unpacktest.File{Name: "EncryptionInfo", Data: b})})
	})
}

// FuzzMacro fuzzes the source of macros: what is folded stays bounded.
func FuzzMacro(f *testing.F) {
	f.Add([]byte("a = \"x\" & Chr(65) & StrReverse(\"abc\") & Replace(\"a\", \"b\", \"c\")\nb = a & a & (a + \"\"\"\")\n"))
	f.Add([]byte("x = Chr(&H41 Xor 3 + 2 - 1) _\n & \"aaaa\" ' no\nRem no\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		j := format.NewJob(context.Background(), format.Limits{}, nil, nil, func(*format.File) error { return nil })
		start := time.Now()
		if r := fold(j, uncommented(b)); len(r.text) > 4<<20 {
			t.Fatalf("%d bytes from %d", len(r.text), len(b))
		}
		if took := time.Since(start); took > 3*time.Second {
			t.Fatal(took)
		}
		fuzzJob(t, &format.File{Kind: format.Part, Data: unpacktest.VBA(string(b))})
	})
}

func FuzzDecompress(f *testing.F) {
	f.Add(unpacktest.OVBA([]byte("Attribute VB_Name = \"M\"\r\n")))
	f.Add([]byte("\x01\x03\xb0\x02a\x45\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		j := format.NewJob(context.Background(), format.Limits{}, nil, nil, func(*format.File) error { return nil })
		text, err := expand(j, b)
		if err != nil || len(text) > 4096*(len(b)/3+1) {
			t.Fatalf("%d bytes from %d: %v", len(text), len(b), err)
		}
		modules(b)
	})
}

func FuzzOfficeXML(f *testing.F) {
	f.Add([]byte(wordNS + char("begin") + run("DDE a") + char("separate") + char("end") + `<pkg:binaryData>QUJD</pkg:binaryData>`))
	f.Add(rel("attachedTemplate", "http://example.test/&#x41;", "External"))
	f.Add([]byte(`<xm:macrosheet xmlns:xm="http://schemas.microsoft.com/office/excel/2006/main"><f>EXEC("a"&amp;CHAR(65))</f><![CDATA[x]]>`))
	f.Add([]byte(odfNS + `<script:module script:name="M">Sub</script:module><a xlink:href="http://example.test/"/>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzJob(t, &format.File{Kind: format.Member, Data: b})
		encryption(append([]byte("\x04\x00\x04\x00\x40\x00\x00\x00"), b...))
		encryption(b)
	})
}

func FuzzRTF(f *testing.F) {
	f.Add(unpacktest.RTF(unpacktest.File{Name: "a.js", Data: []byte("x")}, `{\*\x 41}\'41\bin2 ab`))
	f.Add(rtfHolding(`{\rtf1`, "Equation.3", []byte("data")))
	f.Add([]byte(`{\rt{\*\template http://example.test/}{\field{\*\fldinst DDE a}}\bin99999 x`))
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzJob(t, &format.File{Kind: format.Part, Data: append([]byte(`{\rt`), b...)})
	})
}

func FuzzSheets(f *testing.F) {
	f.Add([]byte("ID;P\nO;E\nNN;NAuto_Open;ER1C1\nC;X1;Y1;K0;EEXEC(\"calc\")\nE\n"))
	f.Add([]byte("WEB\n1\nhttp://example.test/"))
	f.Add([]byte("a,=cmd|'/c calc'!A1\n"))
	f.Add([]byte("\xe8\x02\x26\x01\x00\x03\x00\x00\x00c\x00m\x00d\x00\x01\x00\x00\x00/\x00"))
	f.Add([]byte("\x83\x01\x00\x27\x20" + "0123456789012345678901234567890123456789"))
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzJob(t, &format.File{Kind: format.Member, Name: "xl/macrosheets/a.csv", Data: b})
	})
}
