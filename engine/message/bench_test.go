package message

import (
	"fmt"
	"strings"
	"testing"
)

// newsletter is a message of about 16 KB as shops send them: an alternative
// of text and HTML, quoted-printable.
func newsletter() []byte {
	var text, html strings.Builder
	html.WriteString("<html><head><style>.h{display:none} td.p{color:#333333;font-size:14px}</style></head><body bgcolor=3D\"#ffffff\">\r\n<div class=3D\"h\">preview text of the week</div>\r\n<table>")
	for i := range 22 {
		fmt.Fprintf(&text, "Offer %d: a garden chair of oiled wood, folding, now for 49.90 instead of 59.90\r\nhttps://shop.example.com/offers/%d?ref=3Dmail\r\n\r\n", i, i)
		fmt.Fprintf(&html, "<tr><td class=3D\"p\" style=3D\"padding:10px 20px;font-family:Arial,sans-serif;background-color:#f=\r\n8f8f8\"><a href=3D\"https://shop.example.com/offers/%d?ref=3Dmail&amp;c=3Dhtml\"><img src=3D\"https://img.example.com/%d.jpg\" width=3D\"300\" height=3D\"200\" alt=3D\"chair\"></a></td>\r\n"+
			"<td><b>Offer %d</b><br>A garden chair of oiled wood, folding, now for <span style=3D\"color:#cc00=\r\n00\">49.90&nbsp;&euro;</span> instead of 59.90&nbsp;&euro; caf=C3=A9</td></tr>\r\n", i, i, i)
	}
	html.WriteString("</table></body></html>\r\n")
	var head strings.Builder
	for i := range 6 {
		fmt.Fprintf(&head, "Received: from mx%d.example.net (mx%d.example.net [192.0.2.%d])\r\n\tby mx.example.org with ESMTPS id ABC%dDEF\r\n\tfor <bob@example.org>; Mon, 5 Jan 2026 10:00:0%d +0000\r\n", i, i, i, i, i)
	}
	return []byte(head.String() + "From: =?utf-8?q?Caf=C3=A9_Shop?= <news@shop.example.com>\r\nTo: Bob <bob@example.org>\r\nSubject: =?utf-8?q?This_week=E2=80=99s_offers?=\r\nDate: Mon, 5 Jan 2026 10:00:00 +0000\r\n" +
		"Message-ID: <1@shop.example.com>\r\nList-Unsubscribe: <https://shop.example.com/u/1>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=\"=_b\"\r\n\r\n" +
		"--=_b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + text.String() +
		"--=_b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + html.String() + "--=_b--\r\n")
}

// checkNewsletter is the answer that a benchmark must get.
func checkNewsletter(t testing.TB, m *Message) {
	h := m.HTML()
	if len(m.Parts()) != 3 || len(m.Links()) != 22*2+22+1 || len(h.Images) != 22 || len(h.Hidden) != 1 || len(m.Attachments()) != 0 ||
		!strings.Contains(m.Skeleton(), "this week's offers\noffer 0: a garden chair") || !strings.Contains(m.Text(), "49.90 \u20ac instead of 59.90 \u20ac caf\u00e9\n") {
		t.Fatalf("%d parts, %d links, %d images, hidden %v, %d attachments\n%s", len(m.Parts()), len(m.Links()), len(h.Images), h.Hidden, len(m.Attachments()), m.Text())
	}
	if d := m.Defects(); len(d) != 0 {
		t.Fatalf("defects %v", d)
	}
}

func TestNewsletter(t *testing.T) { checkNewsletter(t, Parse(newsletter(), Limits{})) }

func BenchmarkParse(b *testing.B) {
	raw := newsletter()
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if n := len(Parse(raw, Limits{}).Parts()); n != 3 {
			b.Fatal(n)
		}
	}
}

func BenchmarkViews(b *testing.B) {
	raw := newsletter()
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		checkNewsletter(b, Parse(raw, Limits{}))
	}
}
