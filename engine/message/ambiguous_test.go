package message

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

// eicar is the harmless string that virus scanners report by agreement. It
// is put together here so that they do not report this file.
func eicar() string {
	return `X5O!P%@AP[4\PZX54(P^)7CC)7}` + `$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`
}

func b64(s string) string {
	e := base64.StdEncoding.EncodeToString([]byte(s))
	var b strings.Builder
	for len(e) > 60 {
		b.WriteString(e[:60] + "\r\n")
		e = e[60:]
	}
	return b.String() + e + "\r\n"
}

// uu encodes like uuencode.
func uu(name, s string) string {
	var b strings.Builder
	b.WriteString("begin 644 " + name + "\r\n")
	enc := func(v byte) byte {
		if v == 0 {
			return '`'
		}
		return v + ' '
	}
	for len(s) > 0 {
		n := min(45, len(s))
		line := s[:n] + "\x00\x00"
		b.WriteByte(enc(byte(n)))
		for i := 0; i < n; i += 3 {
			g := uint32(line[i])<<16 | uint32(line[i+1])<<8 | uint32(line[i+2])
			for shift := 18; shift >= 0; shift -= 6 {
				b.WriteByte(enc(byte(g >> shift & 63)))
			}
		}
		b.WriteString("\r\n")
		s = s[n:]
	}
	return b.String() + "`\r\nend\r\n"
}

func yenced(name, s string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "=ybegin line=128 size=%d name=%s\r\n", len(s), name)
	for i := 0; i < len(s); i++ {
		c := s[i] + 42
		if c == 0 || c == '\n' || c == '\r' || c == '=' {
			b.WriteByte('=')
			c += 64
		}
		b.WriteByte(c)
	}
	return b.String() + fmt.Sprintf("\r\n=yend size=%d\r\n", len(s))
}

// A shape is a message of a text and an attachment in its pieces; a twist
// changes some of them.
type shape struct {
	head, kind, preamble, delim, textPart, partHead, encoding, body, end, epilogue string
}

func plainShape() shape {
	return shape{
		head:     "From: Ann <ann@example.org>\r\nTo: bob@example.net\r\nSubject: invoice\r\nMIME-Version: 1.0\r\n",
		kind:     "Content-Type: multipart/mixed; boundary=\"sep\"\r\n",
		delim:    "--sep\r\n",
		textPart: "Content-Type: text/plain\r\n\r\nSee the file.\r\n",
		partHead: "Content-Type: application/octet-stream; name=\"a.com\"\r\nContent-Disposition: attachment; filename=\"a.com\"\r\n",
		encoding: "Content-Transfer-Encoding: base64\r\n",
		body:     b64(eicar()),
		end:      "--sep--\r\n",
	}
}

func (s shape) String() string {
	return s.head + s.kind + "\r\n" + s.preamble + s.delim + s.textPart + s.delim + s.partHead + s.encoding + "\r\n" + s.body + s.end + s.epilogue
}

// attachment is the second part alone.
func (s shape) attachment() string { return s.partHead + s.encoding + "\r\n" + s.body }

type twist struct {
	name  string
	apply func(*shape)
}

func replace(p *string, old, new string) {
	if !strings.Contains(*p, old) {
		panic("nothing to replace: " + old)
	}
	*p = strings.Replace(*p, old, new, 1)
}

// whole makes the shape a message that is only what is given.
func whole(s *shape, header, body string) {
	*s = shape{head: s.head, kind: header, preamble: body}
	s.textPart, s.partHead, s.delim = "", "", ""
}

var twists = []twist{
	{"two Content-Type fields, the multipart first", func(s *shape) { s.kind += "Content-Type: text/plain\r\n" }},
	{"two Content-Type fields, the multipart last", func(s *shape) { s.kind = "Content-Type: text/plain\r\n" + s.kind }},
	{"two Content-Type fields with two boundaries, the first used", func(s *shape) { s.kind += "Content-Type: multipart/mixed; boundary=other\r\n" }},
	{"two Content-Type fields with two boundaries, the last used", func(s *shape) {
		s.kind = "Content-Type: multipart/mixed; boundary=other\r\n" + s.kind
	}},
	{"two boundary parameters, the first used", func(s *shape) { s.kind = "Content-Type: multipart/mixed; boundary=sep; boundary=other\r\n" }},
	{"two boundary parameters, the last used", func(s *shape) { s.kind = "Content-Type: multipart/mixed; boundary=other; boundary=sep\r\n" }},
	{"boundary by RFC 2231", func(s *shape) { s.kind = "Content-Type: multipart/mixed; boundary*=us-ascii''%73ep\r\n" }},
	{"boundary in continuations", func(s *shape) { s.kind = "Content-Type: multipart/mixed; boundary*0=s; boundary*1=ep\r\n" }},
	{"boundary in continuations out of order", func(s *shape) { s.kind = "Content-Type: multipart/mixed; boundary*1=ep; boundary*0=s\r\n" }},
	{"boundary plain and by RFC 2231, the plain used", func(s *shape) {
		s.kind = "Content-Type: multipart/mixed; boundary=sep; boundary*0=ot; boundary*1=her\r\n"
	}},
	{"boundary plain and by RFC 2231, the other used", func(s *shape) {
		s.kind = "Content-Type: multipart/mixed; boundary=other; boundary*0=se; boundary*1=p\r\n"
	}},
	{"boundary quote not closed", func(s *shape) { s.kind = "Content-Type: multipart/mixed; boundary=\"sep\r\n" }},
	{"boundary quote closed only", func(s *shape) { s.kind = "Content-Type: multipart/mixed; boundary=sep\"\r\n" }},
	{"boundary quoted in part", func(s *shape) { s.kind = "Content-Type: multipart/mixed; boundary=\"se\"p\r\n" }},
	{"boundary with backslash", func(s *shape) { s.kind = "Content-Type: multipart/mixed; boundary=\"s\\ep\"\r\n" }},
	{"boundary with space behind it in quotes", func(s *shape) { s.kind = "Content-Type: multipart/mixed; boundary=\"sep \"\r\n" }},
	{"boundary with space behind it", func(s *shape) { s.kind = "Content-Type: multipart/mixed; boundary=sep tail\r\n" }},
	{"boundary with comment", func(s *shape) { s.kind = "Content-Type: multipart/mixed; boundary=(c)sep\r\n" }},
	{"boundary with comment behind", func(s *shape) { s.kind = "Content-Type: multipart/mixed; boundary=sep(c)\r\n" }},
	{"boundary with space around =", func(s *shape) { s.kind = "Content-Type: multipart/mixed; boundary = sep\r\n" }},
	{"boundary without semicolon in front", func(s *shape) { s.kind = "Content-Type: multipart/mixed boundary=sep\r\n" }},
	{"boundary behind a comma", func(s *shape) { s.kind = "Content-Type: multipart/mixed, boundary=sep\r\n" }},
	{"boundary on a line that is no continuation", func(s *shape) { s.kind = "Content-Type: multipart/mixed;\r\nboundary=sep\r\n" }},
	{"boundary as an encoded word", func(s *shape) { s.kind = "Content-Type: multipart/mixed; boundary==?us-ascii?Q?sep?=\r\n" }},
	{"boundary hidden in another parameter", func(s *shape) { s.kind = "Content-Type: multipart/mixed; x=\"; boundary=sep; y=\"; boundary=other\r\n" }},
	{"boundary with NUL", func(s *shape) { s.kind = "Content-Type: multipart/mixed; boundary=\"sep\x00tail\"\r\n" }},
	{"no boundary", func(s *shape) { s.kind = "Content-Type: multipart/mixed\r\n" }},
	{"empty boundary", func(s *shape) { s.kind = "Content-Type: multipart/mixed; boundary=\"\"\r\n" }},
	{"another boundary than the one used", func(s *shape) { s.kind = "Content-Type: multipart/mixed; boundary=other\r\n" }},
	{"boundary over 70 characters", func(s *shape) {
		long := strings.Repeat("x", 90)
		s.kind, s.delim, s.end = "Content-Type: multipart/mixed; boundary="+long+"\r\n", "--"+long+"\r\n", "--"+long+"--\r\n"
	}},
	{"boundary cut at 70 characters", func(s *shape) {
		long := strings.Repeat("x", 90)
		s.kind, s.delim, s.end = "Content-Type: multipart/mixed; boundary="+long+"\r\n", "--"+long[:70]+"\r\n", "--"+long[:70]+"--\r\n"
	}},
	{"delimiter goes on", func(s *shape) { s.delim = "--sep and more\r\n" }},
	{"delimiter with space behind", func(s *shape) { s.delim = "--sep \t\r\n" }},
	{"no closing delimiter", func(s *shape) { s.end = "" }},
	{"part behind the closing delimiter", func(s *shape) {
		s.epilogue = "--sep\r\n" + s.attachment() + "--sep--\r\n"
		s.body = b64("nothing")
	}},
	{"part in the epilogue without delimiter", func(s *shape) {
		s.epilogue = "\r\n" + s.attachment()
		s.body = b64("nothing")
	}},
	{"part in the preamble", func(s *shape) {
		s.preamble = s.attachment()
		s.body = b64("nothing")
	}},
	{"closing delimiter first", func(s *shape) { s.preamble = "--sep--\r\n" }},
	{"boundary that is a prefix of the inner one", func(s *shape) {
		s.partHead = "Content-Type: multipart/mixed; boundary=sep1\r\n\r\n--sep1\r\n" + s.partHead
		s.end = "--sep1--\r\n" + s.end
	}},
	{"inner multipart with the same boundary", func(s *shape) {
		s.partHead = "Content-Type: multipart/mixed; boundary=sep\r\n\r\n--sep\r\n" + s.partHead
	}},
	{"two encodings, base64 first", func(s *shape) { s.encoding += "Content-Transfer-Encoding: 7bit\r\n" }},
	{"two encodings, base64 last", func(s *shape) { s.encoding = "Content-Transfer-Encoding: 7bit\r\n" + s.encoding }},
	{"two encodings, quoted-printable first", func(s *shape) { s.encoding = "Content-Transfer-Encoding: quoted-printable\r\n" + s.encoding }},
	{"unknown encoding in front", func(s *shape) { s.encoding = "Content-Transfer-Encoding: foo\r\n" + s.encoding }},
	{"encoding with rubbish behind", func(s *shape) { s.encoding = "Content-Transfer-Encoding: base64 foo\r\n" }},
	{"encoding with comment", func(s *shape) { s.encoding = "Content-Transfer-Encoding: (7bit) base64\r\n" }},
	{"encoding in quotes", func(s *shape) { s.encoding = "Content-Transfer-Encoding: \"base64\"\r\n" }},
	{"encoding with semicolon", func(s *shape) { s.encoding = "Content-Transfer-Encoding: base64; x=y\r\n" }},
	{"encoding as an encoded word", func(s *shape) { s.encoding = "Content-Transfer-Encoding: =?us-ascii?Q?base64?=\r\n" }},
	{"encoding split by a space", func(s *shape) { s.encoding = "Content-Transfer-Encoding: base 64\r\n" }},
	{"encoding on a continuation line", func(s *shape) { s.encoding = "Content-Transfer-Encoding:\r\n base64\r\n" }},
	{"encoding with NUL", func(s *shape) { s.encoding = "Content-Transfer-Encoding: base64\x00\r\n" }},
	{"space before the colon of the encoding", func(s *shape) { s.encoding = "Content-Transfer-Encoding : base64\r\n" }},
	{"NUL before the colon of the encoding", func(s *shape) { s.encoding = "Content-Transfer-Encoding\x00: base64\r\n" }},
	{"space before the colon of the type", func(s *shape) { replace(&s.kind, "Type:", "Type :") }},
	{"no encoding declared", func(s *shape) { s.encoding = "" }},
	{"line without colon before the encoding", func(s *shape) { s.encoding = "what is this\r\n" + s.encoding }},
	{"line without colon before the type", func(s *shape) { s.kind = "what is this\r\n" + s.kind }},
	{"two lines without colon before the type", func(s *shape) { s.kind = "what is this\r\nand this\r\n" + s.kind }},
	{"line of spaces before the encoding", func(s *shape) { s.encoding = "  \r\n" + s.encoding }},
	{"line of spaces before the type", func(s *shape) { s.kind = " \r\n" + s.kind }},
	{"line of spaces ends the header", func(s *shape) { s.encoding += " \t\r\n" }},
	{"CR CR LF before the encoding", func(s *shape) { s.encoding = "\r\r\n" + s.encoding }},
	{"bare CR between fields", func(s *shape) { replace(&s.kind, "Content-Type", "X-One: 1\rContent-Type") }},
	{"bare CR between fields of the part", func(s *shape) { s.encoding = "X-One: 1\r" + s.encoding }},
	{"bare CR before the delimiter", func(s *shape) {
		s.textPart = "Content-Type: text/plain\r\n\r\nSee the file.\r" + s.delim + s.attachment()
		s.body = b64("nothing")
	}},
	{"empty line before the part's header", func(s *shape) { s.partHead = "\r\n" + s.partHead }},
	{"empty line before the header", func(s *shape) { s.head = "\r\n" + s.head }},
	{"mbox From line in front", func(s *shape) { s.head = "From ann@example.org Mon Jan  5 10:00:00 2026\r\n" + s.head }},
	{"continuation line in front", func(s *shape) { s.head = " folded: yes\r\n" + s.head }},
	{"no empty line behind the part's header", func(s *shape) {
		whole(s, s.kind, s.delim+s.partHead+s.encoding+s.body+s.end)
	}},
	{"no MIME-Version", func(s *shape) { replace(&s.head, "MIME-Version: 1.0\r\n", "") }},
	{"type with spaces inside", func(s *shape) { replace(&s.kind, "multipart/mixed", "multipart / mixed") }},
	{"type with a comment inside", func(s *shape) { replace(&s.kind, "multipart/mixed", "multi(c)part/mixed") }},
	{"type without subtype", func(s *shape) { replace(&s.kind, "multipart/mixed", "multipart") }},
	{"type as an encoded word", func(s *shape) { replace(&s.kind, "multipart/mixed", "=?us-ascii?Q?multipart/mixed?=") }},
	{"unknown multipart", func(s *shape) { replace(&s.kind, "multipart/mixed", "multipart/x-unheard-of") }},
	{"junk inside base64", func(s *shape) { s.body = "!!" + s.body[:10] + "#*\x80" + s.body[10:21] + "{}" + s.body[21:] }},
	{"junk lines inside base64", func(s *shape) { s.body = s.body[:62] + "!? ** ::\r\n" + s.body[62:] }},
	{"padding inside base64", func(s *shape) {
		h := len(eicar()) / 2
		s.body = b64(eicar()[:h]) + b64(eicar()[h:])
	}},
	{"padding in front of base64", func(s *shape) { s.body = b64("x") + s.body }},
	{"padding that is junk inside base64", func(s *shape) { s.body = s.body[:6] + "=" + s.body[6:13] + "==" + s.body[13:] }},
	{"padding missing", func(s *shape) { s.body = strings.ReplaceAll(s.body, "=", "") }},
	{"base64 in lines of three", func(s *shape) {
		flat := strings.ReplaceAll(s.body, "\r\n", "")
		s.body = ""
		for len(flat) > 3 {
			s.body += flat[:3] + "\r\n"
			flat = flat[3:]
		}
		s.body += flat + "\r\n"
	}},
	{"empty lines inside base64", func(s *shape) { s.body = s.body[:20] + "\r\n\r\n" + s.body[20:] }},
	{"list footer behind base64", func(s *shape) { s.body += "\r\n________\r\nan example list\r\n" }},
	{"quoted-printable in lower case, with white space before line ends", func(s *shape) {
		s.encoding = "Content-Transfer-Encoding: Quoted-Printable\r\n"
		s.body = ""
		for i := 0; i < len(eicar()); i++ {
			s.body += fmt.Sprintf("=%02x", eicar()[i])
			if i%20 == 19 {
				s.body += "= \t\r\n"
			}
		}
		s.body += "\r\n"
	}},
	{"uuencode declared", func(s *shape) { s.encoding, s.body = "Content-Transfer-Encoding: x-uuencode\r\n", uu("a.com", eicar()) }},
	{"uuencode inline in the text", func(s *shape) { s.textPart += uu("a.com", eicar()); s.body = b64("nothing") }},
	{"uuencode inline in text that is base64", func(s *shape) {
		s.textPart = "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b64("Hello\r\n"+uu("a.com", eicar()))
		s.body = b64("nothing")
	}},
	{"uuencode in a message without MIME", func(s *shape) { whole(s, "", "Hello\r\n"+uu("a.com", eicar())) }},
	{"yEnc inline", func(s *shape) { s.textPart += yenced("a.com", eicar()); s.body = b64("nothing") }},
	{"message/rfc822 with base64", func(s *shape) {
		inner := plainShape().String()
		whole(s, "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n", b64(inner))
	}},
	{"message/rfc822 with quoted-printable", func(s *shape) {
		inner := strings.ReplaceAll(plainShape().String(), "=", "=3D")
		whole(s, "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: quoted-printable\r\n", inner)
	}},
	{"message/rfc822 that says base64 and is not", func(s *shape) {
		whole(s, "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n", plainShape().String())
	}},
	{"multipart with base64", func(s *shape) {
		inner := s.preamble + s.delim + s.textPart + s.delim + s.attachment() + s.end
		whole(s, s.kind+"Content-Transfer-Encoding: base64\r\n", b64(inner))
	}},
	{"multipart that says base64 and is not", func(s *shape) { s.kind += "Content-Transfer-Encoding: base64\r\n" }},
	{"multipart in an encoded part", func(s *shape) {
		inner := "--in\r\n" + s.attachment() + "--in--\r\n"
		s.partHead, s.body = "Content-Type: multipart/mixed; boundary=in\r\n", b64(inner)
	}},
	{"boundary in another case", func(s *shape) { replace(&s.kind, "sep", "SEP") }},
	{"delimiters behind a space", func(s *shape) { s.delim, s.end = " --sep\r\n", " --sep--\r\n" }},
	{"delimiters with three hyphens", func(s *shape) { s.delim, s.end = "---sep\r\n", "---sep--\r\n" }},
	{"no-break space in the name of the encoding", func(s *shape) { replace(&s.encoding, "Encoding:", "Encoding\xa0:") }},
	{"space in the name of the encoding", func(s *shape) { replace(&s.encoding, "Content-T", "Content- T") }},
	{"space instead of hyphen in the name of the type", func(s *shape) { replace(&s.kind, "Content-T", "Content T") }},
	{"zero-width space in the name of the type", func(s *shape) { replace(&s.kind, "Content-T", "Content-\u200bT") }},
	{"no encoding declared, short lines", func(s *shape) {
		s.encoding = ""
		s.body = strings.ReplaceAll(s.body, "\r\n", "")
		s.body = s.body[:40] + "\r\n" + s.body[40:] + "\r\n"
	}},
	{"base64 beneath the depth limit", func(s *shape) {
		inner := "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b64(eicar())
		for i := range 150 {
			inner = fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%dx\r\n\r\n--b%dx\r\n%s--b%dx--\r\n", i, i, inner, i)
		}
		*s = shape{head: inner}
	}},
	{"base64 behind 12,000 parts", func(s *shape) { s.delim = strings.Repeat("--sep\r\n\r\nx\r\n", 12_000) + s.delim }},
	{"type behind 20,000 fields", func(s *shape) { s.kind = strings.Repeat("X: y\r\n", 20_000) + s.kind }},
	{"message as a file", func(s *shape) {
		inner := plainShape().String()
		s.partHead, s.body = "Content-Type: application/octet-stream; name=fwd.eml\r\n", b64(inner)
	}},
	{"message/partial", func(s *shape) {
		whole(s, "Content-Type: message/partial; number=1; total=1; id=\"x@example.org\"\r\n", plainShape().String())
	}},
	{"message/external-body", func(s *shape) {
		whole(s, "Content-Type: message/external-body; access-type=local-file; name=x\r\n", s.attachment())
	}},
	{"multipart/digest with a message", func(s *shape) {
		whole(s, "Content-Type: multipart/digest; boundary=sep\r\n", "--sep\r\n\r\n"+plainShape().String()+"--sep--\r\n")
		s.preamble = strings.ReplaceAll(s.preamble, "boundary=\"sep\"", "boundary=\"in\"")
	}},
	{"attachment beneath 60 messages", func(s *shape) {
		inner := s.String()
		for range 60 {
			inner = "From: ann@example.org\r\nContent-Type: message/rfc822\r\n\r\n" + inner
		}
		*s = shape{head: inner}
	}},
	{"attachment beneath the depth limit", func(s *shape) {
		inner := "Content-Type: application/octet-stream\r\n\r\n" + eicar() + "\r\n"
		for i := range 150 {
			inner = fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%dx\r\n\r\n--b%dx\r\n%s--b%dx--\r\n", i, i, inner, i)
		}
		*s = shape{head: inner}
	}},
	{"lines that end with LF only", func(s *shape) { *s = shape{head: strings.ReplaceAll(s.String(), "\r\n", "\n")} }},
	{"LF only in the header of the part", func(s *shape) { s.partHead = strings.ReplaceAll(s.partHead, "\r\n", "\n") }},
	{"field names in odd case", func(s *shape) { *s = shape{head: strings.ReplaceAll(s.String(), "Content-", "cOnTeNt-")} }},
}

// Every message holds the payload; whatever its twist, some part decodes to
// it, or the message is called ambiguous.
func TestAmbiguous(t *testing.T) {
	found, flagged := 0, 0
	for _, tw := range append(twists, twist{"none", func(*shape) {}}) {
		s := plainShape()
		tw.apply(&s)
		raw := []byte(s.String())
		m := Parse(raw, Limits{})
		hit := false
		for _, p := range m.Parts() {
			if bytes.Contains(p.Decoded(), []byte(eicar())) {
				hit = true
			}
		}
		switch {
		case hit:
			found++
		case m.Defect(Ambiguous) > 0:
			flagged++
			t.Logf("%s: flagged only: %v", tw.name, m.Defects())
		default:
			t.Errorf("%s: neither found nor flagged; defects %v\n%s", tw.name, m.Defects(), outline(m))
		}
		if tw.name == "none" && len(m.Defects()) > 0 {
			t.Errorf("defects of a message without any: %v", m.Defects())
		}
	}
	t.Logf("%d messages: payload found in %d, %d flagged", len(twists)+1, found, flagged)
	if len(twists) < 40 {
		t.Errorf("only %d twists", len(twists))
	}
}

// outline shows the parts of a message, one a line.
func outline(m *Message) string {
	var b strings.Builder
	for _, p := range m.Parts() {
		fmt.Fprintf(&b, "%s%s enc=%q alt=%v opaque=%v [%d:%d] %.40q\n", strings.Repeat("  ", min(p.Depth, 20)), p.MediaType, p.Encoding, p.Alternate, p.reading.opaque, p.start, p.end, p.Raw())
	}
	return b.String()
}
