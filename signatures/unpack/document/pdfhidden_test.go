package document

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"spamcatcher/signatures/unpack/format"
)

// TestPDFHeaders: an object begins wherever a table may say so, with all the white
// space and comments that readers pass over.
func TestPDFHeaders(t *testing.T) {
	for header, want := range map[string]string{
		"7 0 obj":                      "7 0",
		"7\x000\x0cobj":                "7 0",
		"7 0obj":                       "7 0",
		"7 0%x\nobj":                   "7 0",
		"7 0 %9\nobj":                  "7 0",
		"7 %x\n0 obj":                  "7 0",
		"7%x\r0%y\r\n%z 1\n\n% a\nobj": "7 0",
		"7" + strings.Repeat(" ", 5000) + "0 obj":  "7 0",
		"7 " + strings.Repeat("0", 300) + "0 obj":  "7 0",
		strings.Repeat("0", 100) + "7 0000001 obj": "7 1",
		"7 0 %x obj": "",
		"70 obj":     "",
		"7 x obj":    "",
		"7 %x 0 obj": "",
		"obj":        "",
		"an obj":     "",
		"7 %0 obj":   "",
	} {
		got := ""
		if num, gen, ok := pdfHeader([]byte("endobj\n" + strings.TrimSuffix(header, "obj"))); ok {
			got = fmt.Sprint(num, gen)
		}
		if got != want {
			t.Errorf("%.40q: %q, want %q", header, got, want)
		}
	}
	const launch = "<< /Type /Action /S /Launch /F (cmd.exe) >>"
	for name, hidden := range map[string]string{
		"in a string":  "10 0 obj (a text\n11 0 obj " + strings.NewReplacer("(", `\(`, ")", `\)`).Replace("<< /S /Launch /F <636d642e657865> >>") + " endobj\n) endobj\n",
		"in an array":  "10 0 obj [1 2\n11 0 obj " + launch + " endobj ] endobj\n",
		"in a comment": "% 11 0 obj " + launch + " endobj\n",
	} {
		file := bytes.Replace(pdfOf(""), []byte("trailer"), []byte(hidden+"trailer"), 1)
		o := openPart(t, format.Limits{}, nil, format.File{Name: "a.pdf", Data: file})
		if len(o.details(format.PDFAction)) == 0 {
			t.Errorf("%s: the action was not found", name)
		}
	}
}

// TestPDFHeadersBounded: headers that look alike cost no more than their bytes.
func TestPDFHeadersBounded(t *testing.T) {
	for name, b := range map[string]string{
		"spaces":       strings.Repeat(" ", 4<<20) + "obj",
		"comments":     strings.Repeat("%\n", 2<<20) + "obj" + strings.Repeat("\nobj", 1<<20),
		"short lines":  strings.Repeat("%\n0 obj", 1<<20),
		"one line":     strings.Repeat("7 %", 1<<20) + strings.Repeat("\n0 obj", 1<<20),
		"long numbers": strings.Repeat("0", 4<<20) + " 0 obj" + strings.Repeat(" 0 obj", 1<<20),
	} {
		start := time.Now()
		openPart(t, format.Limits{Time: 20 * time.Second}, nil, format.File{Name: "a.pdf", Data: []byte("%PDF-1.4\n" + b)})
		if took := time.Since(start); took > 4*time.Second {
			t.Errorf("%s: %v", name, took)
		}
	}
}

// TestPDFLeftOut: what is not looked at is marked.
func TestPDFLeftOut(t *testing.T) {
	big := streamOf("", noise(pdfPage+1))
	small := streamOf("", noise(1000))
	var many []string
	for i := range pdfContent>>20 + 2 {
		many = append(many, streamOf("/Filter /FlateDecode", deflated(bytes.Repeat([]byte{byte(i), 1, 2, 3}, 256<<10))))
	}
	var pictures []string
	for range pdfPictures {
		pictures = append(pictures, streamOf("/Subtype /Image /Width 30 /Height 30 /BitsPerComponent 8 /ColorSpace /DeviceGray", noise(900)))
	}
	for name, c := range map[string]struct {
		objects     []string
		bytes, pics int
	}{
		"a large stream":  {[]string{big}, 1, 0},
		"small":           {[]string{small}, 0, 0},
		"many streams":    {many, 1, 0},
		"some streams":    {many[:2], 0, 0},
		"some pictures":   {pictures, 0, 0},
		"many pictures":   {append(pictures, pictures[0]), 0, 1},
		"a large picture": {[]string{streamOf("/Subtype /Image /Width 5000 /Height 5000 /BitsPerComponent 8", noise(100))}, 0, 1},
		"a ribbon":        {[]string{streamOf("/Subtype /Image /Width 5000 /Height 30 /BitsPerComponent 8", noise(100))}, 0, 0},
	} {
		o := openPart(t, format.Limits{Growth: 10_000}, nil, format.File{Name: "a.pdf", Data: pdfOf("", c.objects...)})
		if got := len(o.details(format.LimitBytes)); got != c.bytes {
			t.Errorf("%s: %s %d times, want %d: %q", name, format.LimitBytes, got, c.bytes, o.job.Marks())
		}
		if got := len(o.details(format.LimitPictures)); got != c.pics {
			t.Errorf("%s: %s %d times, want %d", name, format.LimitPictures, got, c.pics)
		}
	}
}
