package archive

import (
	"bytes"
	"strings"
	"testing"

	"spamcatcher/signatures/unpack/format"
	"spamcatcher/signatures/unpack/unpacktest"
)

// folded puts a break and a space behind every 60 characters.
func folded(s, eol string) string {
	var b strings.Builder
	for ; len(s) > 60; s = s[60:] {
		b.WriteString(s[:60] + eol + " ")
	}
	return b.String() + s + eol
}

func TestCard(t *testing.T) {
	data := text(1000)
	code := strings.ReplaceAll(unpacktest.Base64(data), "\r\n", "")
	event := func(property string) string {
		return "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1@example.com\r\n" + property + "SUMMARY:Lunch\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
	}
	person := func(property string) string {
		return "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ann Keller\r\n" + property + "EMAIL:ann@example.net\r\nEND:VCARD\r\n"
	}
	cases := []struct{ name, data, files string }{
		{"attachment", event(folded("ATTACH;ENCODING=BASE64;VALUE=BINARY;X-FILENAME=\"plan.js\":"+code, "\r\n")), "plan.js:1000"},
		{"with a type and a colon in quotes", event(folded("ATTACH;FMTTYPE=\"application/x:y\";FILENAME=plan.js;ENCODING=\"base64\":"+code, "\r\n")), "plan.js:1000"},
		{"lines end in LF", strings.ReplaceAll(event(folded("ATTACH;ENCODING=BASE64:"+code, "\n")), "\r\n", "\n"), "attach1:1000"},
		{"lines end in CR", strings.ReplaceAll(event(folded("ATTACH;ENCODING=BASE64:"+code, "\r")), "\r\n", "\r"), "attach1:1000"},
		{"parameters on the next line", event("ATTACH;VALUE=BINARY;ENC\r\n ODING=BASE64:" + code + "\r\n"), "attach1:1000"},
		{"behind a byte order mark", "\xef\xbb\xbf" + event(folded("ATTACH;ENCODING=BASE64:"+code, "\r\n")), "attach1:1000"},
		{"in small letters", "begin:vcalendar\r\nattach;encoding=base64:" + code + "\r\nend:vcalendar\r\n", "attach1:1000"},
		{"photo", person(folded("PHOTO;ENCODING=b;TYPE=JPEG:"+code, "\r\n")), "photo1:1000"},
		{"photo of vCard 2.1", person("PHOTO;JPEG;BASE64:\r\n " + folded(code, "\r\n") + "\r\n"), "photo1:1000"},
		{"photo, lines without space", person("PHOTO;ENCODING=BASE64:\r\n" + unpacktest.Base64(data)), "photo1:1000"},
		{"photo of vCard 4.0", person(folded("PHOTO:data:image/jpeg;base64,"+code, "\r\n")), "photo1:1000"},
		{"escaped", person(folded("PHOTO:data:image/jpeg\\;base64\\,"+code, "\r\n")), "photo1:1000"},
		{"percent signs", person("KEY:data:text/plain,a%20b%0A\r\n"), "key1:4"},
		{"quoted-printable", person("NOTE;ENCODING=QUOTED-PRINTABLE:a=20b=\r\nc=3Dd\r\n"), "note1:6"},
		{"a group", person(folded("item1.PHOTO;ENCODING=b:"+code, "\r\n")), "item1.photo1:1000"},
		{"two", person(folded("PHOTO;ENCODING=b:"+code, "\r\n") + folded("LOGO;ENCODING=b:"+code[400:], "\r\n")), "photo1:1000 logo2:700"},
		{"an address", event("ATTACH:https://www.example.com/plan.pdf\r\nDESCRIPTION:data: see below\r\n"), ""},
		{"nothing", person("PHOTO;ENCODING=b:\r\n"), ""},
		{"words", "Begin: very soon;ENCODING=BASE64:" + code, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			o := unpacked(t, format.Limits{}, "a.ics", []byte(c.data))
			if o.names() != c.files || o.kinds() != "" {
				t.Fatalf("files %q, want %q; marks %v", o.names(), c.files, o.marks)
			}
			if strings.HasSuffix(c.files, "1:1000") && !bytes.Equal(o.files[1].Data, data) {
				t.Error("not what was attached")
			}
		})
	}
}

func FuzzCard(f *testing.F) {
	f.Add([]byte("BEGIN:VCALENDAR\r\nATTACH;ENCODING=BASE64:" + unpacktest.Base64(text(100)) + "NOTE;QUOTED-PRINTABLE:=20=\r\n=41\r\nKEY:data:text/plain,%20\r\n"))
	fuzz(f, card{})
}
