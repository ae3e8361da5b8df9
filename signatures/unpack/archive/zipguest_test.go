package archive

import (
	"archive/tar"
	"bytes"
	"slices"
	"strings"
	"testing"

	"spamcatcher/signatures/unpack/format"
	"spamcatcher/signatures/unpack/unpacktest"
)

// TestZipGuest: archives that a container holds are no contradiction, but what the
// container's own reader does not see is found.
func TestZipGuest(t *testing.T) {
	document := func(words string) unpacktest.File {
		return unpacktest.File{Name: words + ".docx", Data: unpacktest.Docx(words, nil, unpacktest.File{Name: "word/media/" + words + ".txt", Data: []byte("the file " + words)})}
	}
	one, two := document("one"), document("two")
	needle := []byte("the file two")
	held := []byte("%PDF-1.4\n1 0 obj\n<</Type/EmbeddedFile>>stream\n")
	held = slices.Concat(held, two.Data, []byte("\nendstream endobj\ntrailer<<>>\nstartxref\n0\n%%EOF\n"))
	ole := unpacktest.OLE(one, two)
	for name, c := range map[string]struct {
		data  []byte
		marks string
	}{
		"tar":                        {unpacktest.Tar(tar.FormatUSTAR, one, two), ""},
		"tgz":                        {unpacktest.Gzip(unpacktest.File{Name: "x.tar", Data: unpacktest.Tar(tar.FormatPAX, one, two)}), ""},
		"7z":                         {unpacktest.Sevenzip(one, two), ""},
		"OLE":                        {ole, ""},
		"behind OLE":                 {append(bytes.Clone(unpacktest.OLE(one)), two.Data...), ""},
		"behind tar":                 {append(unpacktest.Tar(tar.FormatUSTAR, one), two.Data...), ""},
		"in a PDF":                   {held, ""},
		"behind a PDF":               {append([]byte("%PDF-1.4\n%%EOF\n"), two.Data...), format.Ambiguous},
		"behind a PDF, and its mark": {slices.Concat([]byte("%PDF-1.4\n%%EOF\n"), two.Data[:len(two.Data)-2], []byte{5, 0}, []byte("%%EOF")), format.Ambiguous},
		"behind a picture":           {append([]byte("\x89PNG\r\n\x1a\n"+strings.Repeat("picture", 99)), two.Data...), format.Ambiguous},
	} {
		o := unpacked(t, format.Limits{}, "file.bin", c.data)
		if !o.holds(needle) || o.kinds() != c.marks {
			t.Errorf("%s: files %q; marks %v, want %q", name, o.names(), o.marks, c.marks)
		}
	}
}
