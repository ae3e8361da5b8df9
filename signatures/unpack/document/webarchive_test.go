package document

import (
	"slices"
	"strings"
	"testing"

	"spamcatcher/signatures/unpack/format"
)

const savedPage = "MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=\"zz\"\r\n\r\n--zz\r\nContent-Type: text/html\r\n\r\n<html></html>\r\n--zz--\r\n"

// TestSavedPage: word processors look for the header of a saved page behind
// whatever a file begins with.
func TestSavedPage(t *testing.T) {
	pdf := string(pdfOf(""))
	folded := strings.NewReplacer("Content-Type: multipart/related; ", "CONTENT-TYPE:\r\n\tMultipart/Related;\r\n ").Replace(savedPage)
	for name, c := range map[string]struct {
		file, data string
		declared   string
		want       string
	}{
		"in a PDF":             {"a.doc", pdf + savedPage, "application/msword", savedPage},
		"in a PDF, folded":     {"a.doc", pdf + folded, "application/msword", folded},
		"behind rich text":     {"a.doc", "{\\rtf1 \n" + savedPage, "application/msword", savedPage},
		"behind a picture":     {"a.doc", "GIF89a\x01\x00\x01\x00\r\n" + savedPage, "application/msword", savedPage},
		"behind noise":         {"a.dat", strings.Repeat("\x00\x01words:", 5000) + "\r" + savedPage, "application/octet-stream", savedPage},
		"behind a byte mark":   {"a.doc", "words\n\xef\xbb\xbf" + savedPage, "text/plain", savedPage},
		"the fields turned":    {"a.doc", pdf + "Content-Type: multipart/related; boundary=\"zz\"\r\nX: y\r\nMIME-Version: 1.0\r\n\r\n--zz--", "", "Content-Type: multipart/related; boundary=\"zz\"\r\nX: y\r\nMIME-Version: 1.0\r\n\r\n--zz--"},
		"the text of a mail":   {"", "They wrote:\n\n" + savedPage, "text/plain", ""},
		"a mail":               {"a.eml", "From: anna@example.org\r\nSubject: minutes\r\n" + savedPage, "application/octet-stream", ""},
		"a PDF":                {"a.pdf", pdf, "application/pdf", ""},
		"words about it":       {"a.txt", "Write the field MIME-Version: 1.0 and Content-Type: multipart/related; boundary=x first.\n", "text/plain", ""},
		"one part":             {"a.doc", pdf + "MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<p>", "", ""},
		"an archive":           {"a.zip", "PK\x03\x04\x14\x00\r\n" + savedPage, "application/zip", ""},
		"too far down to read": {"a.doc", strings.Repeat("words\n", 20000) + savedPage, "", ""},
	} {
		o := openPart(t, format.Limits{}, nil, format.File{Name: c.file, Declared: c.declared, Data: []byte(c.data)})
		i := slices.IndexFunc(o.files, func(f format.File) bool { return f.Type == "message/rfc822" && f.Kind == format.Object })
		switch {
		case c.want == "" && i >= 0:
			t.Errorf("%s: read as a saved page", name)
		case c.want != "" && (i < 0 || string(o.files[i].Data) != c.want):
			t.Errorf("%s: not handed on as a message", name)
		}
	}
}
