package unpacktest

import (
	"encoding/base64"
	"fmt"
	"mime/quotedprintable"
	"strings"
)

// A Letter is a mail of a text and files. Zero fields of a letter are filled with
// something plausible.
type Letter struct {
	From, To, Subject, Date, ID string
	Head                        string // further fields, each with its CRLF
	Text                        string // plain
	HTML                        string // an alternative to it
	Parts                       []Part // attached
}

// A Part is an entity: its header, and its body in the encoding that the header
// declares.
type Part struct {
	Head string // each line with its CRLF
	Body string
}

// Attached is a file as mail programs attach it.
func Attached(mediaType string, f File) Part {
	return Part{"Content-Type: " + mediaType + "; name=\"" + f.Name + "\"\r\nContent-Disposition: attachment; filename=\"" + f.Name + "\"\r\nContent-Transfer-Encoding: base64\r\n", Base64(f.Data)}
}

// Bytes is the mail with CRLF.
func (l Letter) Bytes() []byte {
	or := func(s, other string) string {
		if s == "" {
			return other
		}
		return s
	}
	var b strings.Builder
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: <%s>\r\n%sMIME-Version: 1.0\r\n",
		or(l.From, "Ann Keller <ann.keller@example.net>"), or(l.To, "Bob Mayer <bob.mayer@example.org>"), or(l.Subject, "The file"), or(l.Date, "Mon, 16 Nov 2026 09:12:44 +0100"), or(l.ID, "5f2c7a90-4711-8d3e-b1aa-20261116a4c1@example.net"), l.Head)
	text := Part{"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n", lines(or(l.Text, "Please see the attached file.\n"))}
	if l.HTML != "" {
		html := Part{"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n", lines(l.HTML)}
		text = Multipart("alternative", "alt=_1", text, html)
	}
	if len(l.Parts) > 0 {
		text = Multipart("mixed", "mix=_1", append([]Part{text}, l.Parts...)...)
	}
	b.WriteString(text.Head + "\r\n" + text.Body)
	return []byte(b.String())
}

// Multipart puts parts into one.
func Multipart(kind, boundary string, parts ...Part) Part {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString("--" + boundary + "\r\n" + p.Head + "\r\n" + p.Body)
		if !strings.HasSuffix(p.Body, "\n") {
			b.WriteString("\r\n")
		}
	}
	b.WriteString("--" + boundary + "--\r\n")
	return Part{"Content-Type: multipart/" + kind + "; boundary=\"" + boundary + "\"\r\n", b.String()}
}

// lines makes every line end with CRLF.
func lines(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n")
}

// Base64 is data in lines of 76 characters.
func Base64(data []byte) string {
	s := base64.StdEncoding.EncodeToString(data)
	var b strings.Builder
	b.Grow(len(s) + len(s)/38 + 2)
	for len(s) > 76 {
		b.WriteString(s[:76] + "\r\n")
		s = s[76:]
	}
	return b.String() + s + "\r\n"
}

// Quoted is data in quoted-printable.
func Quoted(data []byte) string {
	var b strings.Builder
	w := quotedprintable.NewWriter(&b)
	w.Binary = true
	must(w.Write(data))
	check(w.Close())
	return b.String() + "\r\n"
}

// UU is a file as uuencode writes it.
func UU(f File) string {
	var b strings.Builder
	b.WriteString("begin 644 " + f.Name + "\r\n")
	code := func(v byte) byte {
		if v &= 63; v == 0 {
			return '`'
		}
		return v + ' '
	}
	for data := f.Data; len(data) > 0; {
		n := min(45, len(data))
		line := append(data[:n:n], 0, 0)
		b.WriteByte(code(byte(n)))
		for i := 0; i < n; i += 3 {
			b.Write([]byte{code(line[i] >> 2), code(line[i]<<4 | line[i+1]>>4), code(line[i+1]<<2 | line[i+2]>>6), code(line[i+2])})
		}
		b.WriteString("\r\n")
		data = data[n:]
	}
	return b.String() + "`\r\nend\r\n"
}

// YEnc is a file as news programs write it.
func YEnc(f File) string {
	var b strings.Builder
	fmt.Fprintf(&b, "=ybegin line=128 size=%d name=%s\r\n", len(f.Data), f.Name)
	column := 0
	for _, c := range f.Data {
		switch c += 42; c {
		case 0, '\n', '\r', '=':
			b.Write([]byte{'=', c + 64})
			column++
		default:
			b.WriteByte(c)
		}
		if column++; column >= 128 {
			b.WriteString("\r\n")
			column = 0
		}
	}
	return b.String() + fmt.Sprintf("\r\n=yend size=%d\r\n", len(f.Data))
}

// Nested is a message of multiparts inside each other, as deep as given, with a
// part at the bottom.
func Nested(depth int, last Part) []byte {
	var b strings.Builder
	b.WriteString("From: ann@example.net\r\nTo: bob@example.org\r\nSubject: deep\r\nMIME-Version: 1.0\r\n")
	for i := range depth {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	b.WriteString(last.Head + "\r\n" + last.Body)
	for i := depth - 1; i >= 0; i-- {
		fmt.Fprintf(&b, "--b%d--\r\n", i)
	}
	return []byte(b.String())
}
