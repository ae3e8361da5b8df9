package document

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/hex"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"spamcatcher/signatures/unpack/format"
)

// opened is what a job found in one part.
type opened struct {
	job   *format.Job
	files []format.File
}

// openPart opens one part of a mail with the formats of this package.
func openPart(t testing.TB, l format.Limits, passwords []string, part format.File) opened {
	t.Helper()
	var o opened
	l.Time = max(l.Time, 20*time.Second)
	o.job = format.NewJob(context.Background(), l, Formats(), passwords, func(f *format.File) error {
		c := *f
		c.Data = bytes.Clone(f.Data)
		o.files = append(o.files, c)
		return nil
	})
	part.Kind = format.Part
	o.job.Emit(&part)
	for _, err := range o.job.Faults() {
		t.Fatal(err)
	}
	return o
}

// details are those of all marks of a kind, in order.
func (o opened) details(kind string) (list []string) {
	for _, m := range o.job.Marks() {
		if m.Kind == kind {
			list = append(list, m.Detail)
		}
	}
	return list
}

// holds says whether a file of a kind has a text in it.
func (o opened) holds(kind format.Kind, text string) bool {
	return slices.ContainsFunc(o.files, func(f format.File) bool { return f.Kind == kind && bytes.Contains(f.Data, []byte(text)) })
}

// pdfOf writes a document: a catalogue with entries, a page, and objects from
// number 10 on as they are given.
func pdfOf(catalogue string, objects ...string) []byte {
	var b strings.Builder
	b.WriteString("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
	fmt.Fprintf(&b, "1 0 obj\n<< /Type /Catalog /Pages 2 0 R %s >>\nendobj\n", catalogue)
	b.WriteString("2 0 obj\n<< /Type /Pages /Kids [3 0 R] /Count 1 >>\nendobj\n3 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 300] >>\nendobj\n")
	for i, o := range objects {
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", 10+i, o)
	}
	b.WriteString("trailer\n<< /Root 1 0 R /Size 3 >>\nstartxref\n0\n%%EOF\n")
	return []byte(b.String())
}

func streamOf(entries string, data []byte) string {
	return fmt.Sprintf("<< %s /Length %d >>\nstream\n%s\nendstream", entries, len(data), data)
}

func deflated(data []byte) []byte {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	w.Write(data)
	w.Close()
	return b.Bytes()
}

func TestPDFMarks(t *testing.T) {
	embedded := []string{
		"<< /Type /Filespec /F (plan.exe) /UF (\xfe\xff\x00p\x00l\x00a\x00n\x00.\x00e\x00x\x00e) /EF << /F 11 0 R >> >>",
		streamOf("/Filter /FlateDecode", deflated([]byte("MZ\x00\x00 a program of the test"))),
	}
	packed := func(body string) string {
		head := "30 0 "
		return streamOf(fmt.Sprintf("/Type /ObjStm /N 1 /First %d /Filter /FlateDecode", len(head)), deflated([]byte(head+body)))
	}
	for name, c := range map[string]struct {
		pdf    []byte
		marks  map[string]string // kind to the first detail
		script string
		link   string
	}{
		"plain":               {pdf: pdfOf("", "<< /Type /Font >>", streamOf("", []byte("BT (Hello) Tj ET")))},
		"a link":              {pdf: pdfOf("", "<< /Type /Annot /Subtype /Link /A << /S /URI /URI (https://shop.example.net/a) >> >>"), link: "https://shop.example.net/a"},
		"a link in a packed":  {pdf: pdfOf("", packed("<< /S /URI /URI (https://shop.example.net/b) >>")), link: "https://shop.example.net/b"},
		"a link, escaped":     {pdf: pdfOf("", "<< /S /#55RI /#55#52I (https://shop.example.net/\\143) >>"), link: "https://shop.example.net/c"},
		"a link in hex":       {pdf: pdfOf("", "<< /S /URI /URI <"+hex.EncodeToString([]byte("https://shop.example.net/d"))+"> >>"), link: "https://shop.example.net/d"},
		"script at opening":   {pdf: pdfOf("/OpenAction << /S /JavaScript /JS (app.alert\\(1\\)) >>"), marks: map[string]string{format.PDFScript: "OpenAction", format.PDFAction: "OpenAction JavaScript"}, script: "app.alert(1)"},
		"script behind refs":  {pdf: pdfOf("/OpenAction 10 0 R", "<< /S /JavaScript /JS 11 0 R >>", streamOf("/Filter [/ASCIIHexDecode /FlateDecode]", []byte(hex.EncodeToString(deflated([]byte("this.run()")))+">"))), marks: map[string]string{format.PDFScript: "OpenAction", format.PDFAction: "OpenAction JavaScript"}, script: "this.run()"},
		"script in a comment": {pdf: pdfOf("/OpenAction 10 0 R", "<< /S /Java#53cript /J#53 % nothing here (\n (go\\050\\051) >>"), marks: map[string]string{format.PDFScript: "OpenAction", format.PDFAction: "OpenAction JavaScript"}, script: "go()"},
		"script by name":      {pdf: pdfOf("/Names << /JavaScript << /Kids [12 0 R] >> >>", "<< /S /JavaScript /JS (one\\(\\)) >>", "null", "<< /Names [(a) 10 0 R] >>"), marks: map[string]string{format.PDFScript: "Names"}, script: "one()"},
		"script of a field":   {pdf: pdfOf("", "<< /FT /Tx /Subtype /Widget /AA << /F << /S /JavaScript /JS (AFNumber_Format\\(2\\)) >> >> >>"), marks: map[string]string{format.PDFScript: "field"}, script: "AFNumber_Format"},
		"script of a page":    {pdf: pdfOf("", "<< /Type /Page /AA << /O << /S /JavaScript /JS (go\\(\\)) >> >> >>"), marks: map[string]string{format.PDFScript: "AA", format.PDFAction: "AA JavaScript"}, script: "go()"},
		"script that lies":    {pdf: pdfOf("", "<< /S /JavaScript /JS (idle\\(\\)) >>"), marks: map[string]string{format.PDFScript: "present"}, script: "idle()"},
		"script packed":       {pdf: pdfOf("/OpenAction 30 0 R", packed("<< /S /JavaScript /JS (deep\\(\\)) >>")), marks: map[string]string{format.PDFScript: "OpenAction", format.PDFAction: "OpenAction JavaScript"}, script: "deep()"},
		"script in UTF-16":    {pdf: pdfOf("/OpenAction << /S /JavaScript /JS <FEFF00670028> >>"), marks: map[string]string{format.PDFScript: "OpenAction", format.PDFAction: "OpenAction JavaScript"}, script: "g("},
		"launch":              {pdf: pdfOf("/OpenAction 10 0 R", "<< /S /Launch /Win << /F (cmd.exe) /P (/c calc) >> >>"), marks: map[string]string{format.PDFAction: "OpenAction Launch cmd.exe /c calc"}},
		"submit":              {pdf: pdfOf("", "<< /S /SubmitForm /F << /FS /URL /F (https://forms.example.net/x) >> >>"), marks: map[string]string{format.PDFAction: "SubmitForm https://forms.example.net/x"}, link: "https://forms.example.net/x"},
		"go to another host":  {pdf: pdfOf("", `<< /S /GoToR /F (\\\\198.51.100.7\\a.pdf) /D [0 /Fit] >>`), marks: map[string]string{format.PDFAction: `GoToR \\198.51.100.7\a.pdf`}},
		"go to a neighbour":   {pdf: pdfOf("", "<< /S /GoToR /F (volume2.pdf) /D [0 /Fit] >>")},
		"opens a page":        {pdf: pdfOf("/OpenAction [3 0 R /Fit]", "<< /S /GoTo /D [3 0 R /Fit] >>")},
		"opens a site":        {pdf: pdfOf("/OpenAction << /S /URI /URI (https://shop.example.net/e) >>"), marks: map[string]string{format.PDFAction: "OpenAction URI https://shop.example.net/e"}, link: "https://shop.example.net/e"},
		"embedded":            {pdf: pdfOf("", embedded...), marks: map[string]string{format.PDFEmbedded: "plan.exe"}},
		"not embedded":        {pdf: pdfOf("", "<< /Type /Filespec /F (other.pdf) >>")},
		"broken string":       {pdf: pdfOf("", "( never closed ", "<< /S /JavaScript /JS (late\\(\\)) >>"), marks: map[string]string{format.PDFScript: "present"}, script: "late()"},
		"structure":           {pdf: pdfOf("", "<< /Type /StructElem /S /Figure /A 11 0 R >>", "<< /O /Layout >>")},
	} {
		o := openPart(t, format.Limits{}, nil, format.File{Name: "a.pdf", Data: c.pdf})
		for _, kind := range []string{format.PDFScript, format.PDFAction, format.PDFEmbedded, format.PDFLocked, format.Damaged, format.LimitMembers, format.LimitBytes} {
			got, want := strings.Join(o.details(kind), "; "), c.marks[kind]
			if got != want {
				t.Errorf("%s: %s %q, want %q", name, kind, got, want)
			}
		}
		if c.script != "" && !o.holds(format.Script, c.script) {
			t.Errorf("%s: no script with %q", name, c.script)
		}
		if want := strings.Join(o.job.Links(), " "); want != c.link {
			t.Errorf("%s: links %q, want %q", name, want, c.link)
		}
	}
	o := openPart(t, format.Limits{}, nil, format.File{Name: "a.pdf", Data: pdfOf("", embedded...)})
	if !slices.ContainsFunc(o.files, func(f format.File) bool {
		return f.Kind == format.Object && f.Name == "plan.exe" && string(f.Data) == "MZ\x00\x00 a program of the test"
	}) {
		t.Error("the embedded file was not handed on")
	}
}

func TestPDFRevisions(t *testing.T) {
	first := pdfOf("/OpenAction 10 0 R", "<< /S /JavaScript /JS (old\\(\\)) >>")
	both := append(bytes.Clone(first), "10 0 obj\n<< /S /JavaScript /JS (new\\(\\)) >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n"...)
	o := openPart(t, format.Limits{}, nil, format.File{Data: both})
	if !o.holds(format.Script, "old()") || !o.holds(format.Script, "new()") {
		t.Error("a revision is missing")
	}
}

func TestPDFFilters(t *testing.T) {
	const text = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa the text of the test, the text of the test"
	runs := func(s string) string {
		var b []byte
		for len(s) > 0 {
			n := min(len(s), 128)
			b = append(append(b, byte(n-1)), s[:n]...)
			s = s[n:]
		}
		return string(append(b, 128))
	}
	predicted := func(s string) []byte { // each row by the row above
		var b []byte
		const row = 10
		last := make([]byte, row)
		for len(s) > 0 {
			cur := make([]byte, row)
			n := copy(cur, s)
			s = s[n:]
			b = append(b, 2)
			for i := range cur {
				b = append(b, cur[i]-last[i])
			}
			last = cur
		}
		return deflated(b)
	}
	for name, s := range map[string]string{
		"flate":           streamOf("/Filter /FlateDecode", deflated([]byte(text))),
		"short name":      streamOf("/Filter /Fl", deflated([]byte(text))),
		"escaped name":    streamOf("/Fi#6cter /Flate#44ecode", deflated([]byte(text))),
		"no checksum":     streamOf("/Filter /FlateDecode", deflated([]byte(text))[:len(deflated([]byte(text)))-4]),
		"hex":             streamOf("/Filter [/AHx]", []byte(hex.EncodeToString([]byte(text))+">")),
		"85":              streamOf("/Filter /ASCII85Decode", []byte("87cURD_*#TDfTZ)+T~>")),
		"run length":      streamOf("/Filter /RunLengthDecode", []byte(runs(text))),
		"twice":           streamOf("/Filter [/FlateDecode /FlateDecode]", deflated(deflated([]byte(text)))),
		"predictor":       streamOf("/Filter /FlateDecode /DecodeParms << /Predictor 12 /Columns 10 >>", predicted(text)),
		"predictor, refs": streamOf("/Filter [/FlateDecode] /DecodeParms [11 0 R]", predicted(text)),
		"lzw":             streamOf("/Filter /LZWDecode", []byte("\x80\x0b\x60\x50\x22\x0c\x0c\x85\x01")),
		"wrong length":    strings.Replace(streamOf("", []byte(text)), "/Length", "/Length 999999 /L", 1),
		"length by ref":   strings.Replace(streamOf("", []byte(text)), "/Length", "/Length 12 0 R /L", 1),
	} {
		o := openPart(t, format.Limits{}, nil, format.File{Data: pdfOf("", s, "<< /Predictor 15 /Columns 10 >>")})
		want := text
		switch name {
		case "85":
			want = "Hello, world!"
		case "lzw": // the example of ISO 32000-1 section 7.4.4.2
			want = "-----A---B"
		}
		if !o.holds(format.Stream, want) {
			t.Errorf("%s: not decoded: %+v", name, o.files)
		}
	}
}

// TestPDFEncrypted has another program encrypt.
func TestPDFEncrypted(t *testing.T) {
	program, err := exec.LookPath("qpdf")
	if err != nil {
		t.Skip("qpdf is not installed: encrypted documents are not tested")
	}
	plain := pdfOf("/Kept [10 0 R 11 0 R] /OpenAction << /S /JavaScript /JS (app.alert\\(7\\)) >>", "<< /S /URI /URI (https://shop.example.net/locked) >>", streamOf("/Filter /FlateDecode", deflated([]byte("the text of the page"))))
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		return write(t, dir, name, data)
	}
	source := file("plain.pdf", plain)
	for _, c := range []struct {
		args      string
		passwords []string
		locked    bool
	}{
		{"40", nil, false}, {"128 --use-aes=n", nil, false}, {"128 --use-aes=y", nil, false}, {"256", nil, false}, {"256 --force-R5", nil, false},
		{"128 --use-aes=y --cleartext-metadata", nil, false},
		{"user 256", nil, true}, {"user 128 --use-aes=n", nil, true}, {"user 256", []string{"wrong", "user"}, false}, {"user 128 --use-aes=y", []string{"user"}, false},
	} {
		args := strings.Fields(c.args)
		password := ""
		if args[0] == "user" {
			password, args = "user", args[1:]
		}
		target := dir + "/locked.pdf"
		line := slices.Concat([]string{"--allow-weak-crypto", "--object-streams=generate", "--encrypt", password, "owner"}, args, []string{"--", source, target})
		if out, err := exec.Command(program, line...).CombinedOutput(); err != nil && !strings.Contains(string(out), "succeeded with warnings") {
			t.Fatalf("%s: %v\n%s", c.args, err, out)
		}
		o := openPart(t, format.Limits{}, c.passwords, format.File{Data: read(t, target)})
		if got := len(o.details(format.PDFLocked)) > 0; got != c.locked {
			t.Errorf("%s: locked %v, want %v", c.args, got, c.locked)
		}
		if got := len(o.details(format.Unlocked)) > 0; got != (password != "" && !c.locked) {
			t.Errorf("%s: unlocked %v", c.args, got)
		}
		if got := o.holds(format.Script, "app.alert(7)") && slices.Contains(o.job.Links(), "https://shop.example.net/locked"); got == c.locked {
			t.Errorf("%s: script and link found %v: %q %q", c.args, got, o.job.Links(), o.job.Marks())
		}
	}
}

func TestPDFBombs(t *testing.T) {
	zeros := make([]byte, 4<<20)
	flates := deflated(deflated(deflated(bytes.Repeat(zeros, 8))))
	var million bytes.Buffer
	million.WriteString("%PDF-1.4\n")
	for i := range 1_000_000 {
		fmt.Fprintf(&million, "%d 0 obj\n1\nendobj\n", i)
	}
	nested := bytes.Repeat([]byte("1 0 obj [<<"), 300_000)
	var overlap bytes.Buffer
	overlap.WriteString("%PDF-1.4\n")
	for i := range 50_000 {
		fmt.Fprintf(&overlap, "%d 0 obj<</Filter/AHx>>stream\n", i)
	}
	var loops bytes.Buffer
	loops.WriteString("%PDF-1.4\n")
	for i := range 20_000 {
		fmt.Fprintf(&loops, "%d 0 obj<</OpenAction %d 0 R/AA<</O %d 0 R>>/S/JavaScript/Next[1 0 R 2 0 R 3 0 R 4 0 R]/JS %d 0 R/XFA %d 0 R>>endobj\n", i, i+1, i, i, i)
	}
	for name, b := range map[string][]byte{
		"flate in flate in flate": pdfOf("", streamOf("/Filter [/FlateDecode /FlateDecode /FlateDecode]", flates)),
		"spaces in hex":           pdfOf("", streamOf("/Filter [/FlateDecode /ASCIIHexDecode]", deflated(bytes.Repeat([]byte("    "), 20<<20)))),
		"a million objects":       million.Bytes(),
		"giant size":              bytes.Replace(pdfOf(""), []byte("/Size 3"), []byte("/Size 99999999999999999999"), 1),
		"giant packed count":      pdfOf("", streamOf("/Type /ObjStm /N 9999999999 /First 9223372036854775807", bytes.Repeat([]byte("1 1 "), 1000))),
		"deep":                    append([]byte("%PDF-1.4\n1 0 obj "), bytes.Repeat([]byte("<</A["), 1<<20)...),
		"objects in objects":      append([]byte("%PDF-1.4\n"), nested...),
		"strings that never end":  append([]byte("%PDF-1.4\n"), bytes.Repeat([]byte("1 0 obj ("), 300_000)...),
		"streams in streams":      overlap.Bytes(),
		"references in circles":   loops.Bytes(),
		"length of itself":        pdfOf("", "<< /Length 10 0 R /Filter 10 0 R /DecodeParms 10 0 R >>\nstream\nx\nendstream"),
		"giant predictor":         pdfOf("", streamOf("/Filter /FlateDecode /DecodeParms << /Predictor 12 /Columns 999999999 /Colors 99999 >>", deflated(zeros))),
		"giant picture":           pdfOf("", streamOf("/Subtype /Image /Width 60000 /Height 60000 /BitsPerComponent 8 /Filter /FlateDecode", deflated(zeros))),
		"short picture":           pdfOf("", streamOf("/Subtype /Image /Width 2000 /Height 2000 /BitsPerComponent 8 /Filter /FlateDecode", deflated(zeros[:100]))),
	} {
		start := time.Now()
		var o opened
		peak := peakHeap(func() { o = openPart(t, format.Limits{Time: 2 * time.Second}, nil, format.File{Data: b}) })
		for bomb, kind := range map[string]string{"flate in flate in flate": format.LimitRatio, "spaces in hex": format.LimitRatio, "a million objects": format.LimitMembers, "streams in streams": format.Damaged} {
			if bomb == name && o.details(kind) == nil {
				t.Errorf("%s: no mark %s: %q", name, kind, o.job.Marks())
			}
		}
		took := time.Since(start)
		t.Logf("%-24s %9d bytes: %6.0f ms, %4d MiB held", name, len(b), took.Seconds()*1000, peak>>20)
		if took > 8*time.Second || peak > 160<<20 {
			t.Errorf("%s: %v, %d MiB", name, took, peak>>20)
		}
	}
}

func FuzzPDF(f *testing.F) {
	f.Add(pdfOf("/OpenAction << /S /JavaScript /JS (app.alert\\(1\\)) >>", streamOf("/Filter [/AHx /Fl]", []byte(hex.EncodeToString(deflated([]byte("x")))+">"))))
	f.Add(pdfOf("/Names << /JavaScript << /Kids [12 0 R] >> >>", streamOf("/Type /ObjStm /N 1 /First 5", []byte("30 0 << /S /URI /URI (http://a.example.net) >>"))))
	f.Add(pdfOf("", streamOf("/Subtype /Image /Width 30 /Height 30 /BitsPerComponent 1 /ColorSpace [/Indexed /DeviceRGB 1 <000000ffffff>]", make([]byte, 200))))
	f.Add(bytes.Replace(pdfOf("", "<< /Filter /Standard /V 2 /R 3 /Length 128 /P -4 /U <"+strings.Repeat("00", 32)+"> /O <"+strings.Repeat("00", 32)+"> >>"), []byte("/Size 3"), []byte("/Encrypt 10 0 R"), 1))
	f.Fuzz(func(t *testing.T, data []byte) {
		fuzzPart(t, append([]byte("%PDF-1.4\n"), data...), "a.pdf")
	})
}
