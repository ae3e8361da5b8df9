package message

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
)

// part is a message of one part.
func part(header, body string) string { return header + "\r\n" + body }

// mixed is a multipart of the boundary b.
func mixed(body string) string {
	return "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + body
}

// defective has a message for every kind of defect.
var defective = map[string]string{
	HeaderNoColon:      "A: b\r\nno colon\r\nC: d\r\n\r\n",
	HeaderBadName:      "A: b\r\nbad name: x\r\nC: d\r\n\r\n",
	HeaderSpaceColon:   "A : b\r\n\r\n",
	HeaderLeadingFold:  " A: b\r\nC: d\r\n\r\n",
	HeaderBlankFold:    "A: b\r\n  \r\nC: d\r\n\r\n",
	HeaderFromLine:     "From ann@example.org Mon Jan  5 10:00:00 2026\r\nA: b\r\n\r\n",
	HeaderNUL:          "A: b\x00c\r\n\r\n",
	HeaderBareCR:       "A: b\rC: d\r\n\r\n",
	Header8Bit:         "A: b\xe9\r\n\r\n",
	HeaderDuplicate:    "Subject: a\r\nSUBJECT: b\r\n\r\n",
	HeaderTooLong:      "A: " + strings.Repeat("b", 1000) + "\r\n\r\n",
	HeaderMissingEnd:   "A: b\r\n",
	HeaderEmpty:        "\r\nhello\r\n",
	LineBareLF:         "A: b\r\n\r\none\ntwo\r\n",
	LineBareCR:         "A: b\r\n\r\none\rtwo\r\n",
	LineTooLong:        "A: b\r\n\r\n" + strings.Repeat("b", 1000) + "\r\n",
	LineNUL:            "A: b\r\n\r\none\x00two\r\n",
	BoundaryMissing:    part("Content-Type: multipart/mixed\r\n", "x\r\n"),
	BoundaryEmpty:      part("Content-Type: multipart/mixed; boundary=\"\"\r\n", "x\r\n"),
	BoundaryUnused:     mixed("x\r\n"),
	BoundaryDuplicate:  part("Content-Type: multipart/mixed; boundary=b; boundary=c\r\n", "--b\r\n\r\nx\r\n--b--\r\n"),
	BoundaryUnclosed:   mixed("--b\r\n\r\nx\r\n"),
	BoundaryNestedSame: mixed("--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n--b--\r\n"),
	BoundaryPrefix:     mixed("--b\r\n\r\nx\r\n--bc\r\n\r\ny\r\n--b--\r\n"),
	BoundaryTooLong:    part("Content-Type: multipart/mixed; boundary="+strings.Repeat("b", 71)+"\r\n", "x\r\n"),
	BoundaryAfterClose: mixed("--b\r\n\r\nx\r\n--b--\r\n--b\r\n\r\ny\r\n--b--\r\n"),
	MultipartEmpty:     mixed("--b--\r\n"),
	PreambleContent:    mixed("something\r\n--b\r\n\r\nx\r\n--b--\r\n"),
	EpilogueContent:    mixed("--b\r\n\r\nx\r\n--b--\r\nsomething\r\n"),

	EncodingUnknown:     part("Content-Transfer-Encoding: x-foo\r\n", "x\r\n"),
	EncodingConflict:    part("Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: base64\r\n", "eA==\r\n"),
	EncodingBad:         part("Content-Transfer-Encoding: base64 x\r\n", "eA==\r\n"),
	EncodingOnMultipart: part("Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: base64\r\n", "--b\r\n\r\nx\r\n--b--\r\n"),
	Base64Undeclared:    part("A: b\r\n", strings.Repeat("QUk1", 15)+"\r\n"),
	Base64Junk:          part("Content-Transfer-Encoding: base64\r\n", "Q!U?JD\r\n"),
	Base64Padding:       part("Content-Transfer-Encoding: base64\r\n", "QUJDRA\r\n"),
	Base64AfterPadding:  part("Content-Transfer-Encoding: base64\r\n", "QUI=QUJD\r\n"),
	QPBad:               part("Content-Transfer-Encoding: quoted-printable\r\n", "a=zz\r\n"),
	UuencodeInline:      part("A: b\r\n", uu("a", "hello")),
	YencInline:          part("A: b\r\n", yenced("a", "hello")),
	CharsetUnknown:      part("Content-Type: text/plain; charset=x-foo\r\n", "x\xe9\r\n"),
	CharsetBad:          part("Content-Type: text/plain; charset=utf-8\r\n", "x\xe9\r\n"),
	CharsetUTF7:         part("Content-Type: text/plain; charset=utf-7\r\n", "x\r\n"),
	WordBad:             "Subject: =?utf-8?x?a?=\r\n\r\n",
	ParamBad:            "Content-Type: text/plain; charset\r\n\r\n",
	ParamDuplicate:      "Content-Type: text/plain; charset=a; charset=b\r\n\r\n",
	ParamContinuation:   "Content-Type: text/plain; name*0=a; name*2=b\r\n\r\n",
	TypeBad:             "Content-Type: text\r\n\r\n",
	TypeConflict:        "Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\n",
	VersionMissing:      "Content-Type: text/plain\r\n\r\n",
	Partial:             "Content-Type: message/partial; number=1\r\n\r\n",
	ExternalBody:        "Content-Type: message/external-body; access-type=ftp\r\n\r\n",
	HTMLMalformed:       part("Content-Type: text/html\r\n", strings.Repeat("</b>", 30)),
	LimitDepth:          strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 10) + "\r\n",
	LimitParts:          mixed(strings.Repeat("--b\r\n\r\nx\r\n", 30)),
	LimitHeader:         strings.Repeat("A: b\r\n", 50) + "\r\n",
	LimitText:           part("A: b\r\n", strings.Repeat("word ", 100)),
	LimitLinks:          part("A: b\r\n", strings.Repeat("http://example.com/ ", 10)),
	LimitReadings:       part("Content-Type: multipart/mixed; boundary=b; boundary=c; boundary=d; boundary=e; boundary=f\r\n", "--b\r\n\r\nx\r\n--b--\r\n"),
	Ambiguous:           part("Content-Type: text/plain\r\nContent-Type: text/html\r\n", "x\r\n"),
}

// Every kind of defect is found where it is, and nowhere else that it should
// not be.
func TestDefects(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "defect.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := 0
	for _, d := range file.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, s := range g.Specs {
			v := s.(*ast.ValueSpec)
			lit, ok := v.Values[0].(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				continue
			}
			kind, _ := strconv.Unquote(lit.Value)
			declared++
			raw, ok := defective[kind]
			if !ok {
				t.Errorf("no message has %s", kind)
				continue
			}
			lim := Limits{}
			if strings.HasPrefix(kind, "limit_") {
				lim = Limits{Depth: 5, Parts: 20, Fields: 40, TextBytes: 300, Links: 5, Readings: 3}
			}
			m := Parse([]byte(raw), lim)
			if m.Defect(kind) == 0 {
				t.Errorf("%s: %q has %v", kind, raw, m.Defects())
			}
		}
	}
	if declared != len(defective) || declared < 50 {
		t.Errorf("%d kinds declared, %d messages", declared, len(defective))
	}
}

// Good mail of many kinds has no defect at all.
func TestNoDefects(t *testing.T) {
	version := "MIME-Version: 1.0\r\n"
	for _, raw := range []string{
		"Subject: a\r\n\r\nhello\r\n",
		"Subject: a\n\nhello\nthere\n",
		"Subject: =?utf-8?q?a?= =?iso-8859-1?b?4Q==?=\r\nTo: a@example.org,\r\n b@example.org\r\n\r\nhello\r\n",
		version + "Content-Type: text/plain; charset=\"utf-8\"; format=flowed\r\nContent-Transfer-Encoding: 8bit\r\n\r\ncaf\u00e9\r\n",
		version + "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<p style=3D\"x\">a=\r\nb=20</p>\r\n",
		version + "Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n\x1b$BF|\x1b(B\r\n",
		mixed("This is a multi-part message in MIME format.\r\n--b\r\n\r\nx\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: y\r\n\r\nz\r\n--b--\r\n"),
		mixed("--b\r\nContent-Type: application/pdf; name*=utf-8''%C3%A9.pdf\r\nContent-Disposition: attachment; filename*0*=utf-8''%C3; filename*1*=%A9.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERi0=\r\n\r\n--b--\r\n\r\n"),
		mixed("--b\r\nContent-Type: multipart/alternative;\r\n\tboundary=\"bb\"\r\n\r\n--bb\r\n\r\nx\r\n--bb--\r\n\r\n--b--\r\n") + "",
		version + "Content-Type: text/plain (plain text); charset=us-ascii (why not)\r\n\r\nx\r\n",
		mixed("--b\r\n\r\n-- \r\nsignature\r\n--\r\n--not a delimiter\r\n--b--\r\n"),
		version + "Content-Type: multipart/report; report-type=delivery-status; boundary=\"a=_b\"\r\n\r\n--a=_b\r\n\r\nx\r\n--a=_b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; example.org\r\n\r\nFinal-Recipient: rfc822; a@example.org\r\n\r\n--a=_b\r\nContent-Type: text/rfc822-headers\r\n\r\nSubject: x\r\n\r\n--a=_b--\r\n",
	} {
		m := Parse([]byte(raw), Limits{})
		for _, d := range m.Defects() {
			// A boundary inside another one's is legal, only remarkable.
			if d.Kind != BoundaryPrefix {
				t.Errorf("%q: %v", raw, d)
			}
		}
	}
}
