package message

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	gomessage "github.com/emersion/go-message"
)

func TestHeader(t *testing.T) {
	raw := "Received: one\r\n\tmore\r\nSUBJECT: =?utf-8?q?caf=C3=A9?=\r\n =?utf-8?b?IQ==?= x\r\nreceived: two\r\nnot a field\r\nX-Odd : 1\r\nEmpty:\r\n\r\nbody"
	m := Parse([]byte(raw), Limits{})
	h := m.Header()
	if got := h.Get("subject"); got != "caf\u00e9! x" {
		t.Errorf("Subject %q", got)
	}
	if got := h.Raw("Subject"); got != "=?utf-8?q?caf=C3=A9?= =?utf-8?b?IQ==?= x" {
		t.Errorf("raw Subject %q", got)
	}
	if got := h.Values("Received"); !slices.Equal(got, []string{"one\tmore", "two"}) {
		t.Errorf("Received %q", got)
	}
	if h.Count("RECEIVED") != 2 || !h.Has("empty") || h.Has("absent") || h.Get("absent") != "" || h.Get("x-odd") != "1" || h.Has("") {
		t.Error("counts differ")
	}
	var names []string
	var block []byte
	for _, f := range h.Fields() {
		names = append(names, f.Name)
		block = append(block, f.Raw...)
	}
	if !slices.Equal(names, []string{"Received", "SUBJECT", "received", "", "X-Odd", "Empty"}) {
		t.Errorf("names %q", names)
	}
	if !bytes.Equal(block, []byte(raw[:len(raw)-6])) || string(m.Body()) != "body" {
		t.Errorf("block %q, body %q", block, m.Body())
	}
}

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		in  string
		out []Address
	}{
		{"ann@Example.ORG", []Address{{"", "ann@example.org"}}},
		{"Ann <Ann@example.org>, \"Doe, J\" <j@example.net>", []Address{{"Ann", "Ann@example.org"}, {"Doe, J", "j@example.net"}}},
		{"ann@example.org (Ann A)", []Address{{"Ann A", "ann@example.org"}}},
		{"=?utf-8?q?=C3=84nn?= <a@example.org>", []Address{{"\u00c4nn", "a@example.org"}}},
		{"friends: a@example.org, b@example.net;", []Address{{"", "a@example.org"}, {"", "b@example.net"}}},
		{"undisclosed-recipients:;", nil},
		{"<@a.test,@b.test:c@example.org>", []Address{{"", "c@example.org"}}},
		{"\"a@trusted.test\" <b@example.org>", []Address{{"a@trusted.test", "b@example.org"}}},
		{"a@trusted.test <b@example.org>", []Address{{"a@trusted.test", "b@example.org"}}},
		{"Just a name", []Address{{"Just a name", ""}}},
		{"Name a@example.org", []Address{{"Name", "a@example.org"}}},
		{"\"x y\"@example.org", []Address{{"", "\"x y\"@example.org"}}},
		{"<>", []Address{{"", ""}}},
		{"a@b@example.org", []Address{{"", "a@b@example.org"}}},
		{"Bad <a@example.org", []Address{{"Bad", "a@example.org"}}},
		{"", nil},
	} {
		if got := parseAddresses(c.in, nil); !slices.Equal(got, c.out) {
			t.Errorf("%q: %q, expected %q", c.in, got, c.out)
		}
	}
	if d := (Address{Address: "a@b@example.org"}).Domain(); d != "example.org" {
		t.Errorf("domain %q", d)
	}
}

func TestWords(t *testing.T) {
	for _, c := range []struct{ in, out string }{
		{"plain", "plain"},
		{"=?us-ascii?q?a_b?=", "a b"},
		{"=?utf-8?B?w6k=?=", "\u00e9"},
		{"x =?utf-8?q?a?= y", "x a y"},
		{"=?utf-8?q?a?= =?utf-8?q?b?=", "ab"},
		{"=?utf-8?q?a?= =?iso-8859-1?q?=E9?=", "a\u00e9"},
		{"=?utf-8?q?=C3?= =?utf-8?q?=A9?=", "\u00e9"}, // one character in two words
		{"=?utf-8?b?w6k?=", "\u00e9"},                 // padding left out
		{"=?iso-8859-1*fr?Q?caf=E9?=", "caf\u00e9"},
		{"in=?utf-8?q?word?=out", "inwordout"},
		{"=?utf-8?q?a b?=", "a b"}, // a space inside
		{"=?utf-8?x?a?=", "=?utf-8?x?a?="},
		{"=?utf-8?q?open", "=?utf-8?q?open"},
		{"=?x-none?q?=E9?=", "\u00e9"},
		{"=?gb2312?B?1tDOxA==?=", "\u4e2d\u6587"},
		{"=?utf-7?q?+AOk-?=", "\u00e9"},
		{"=?utf-8?q??=", ""},
		{"caf\xe9", "caf\u00e9"},
		{"caf\u00e9", "caf\u00e9"},
	} {
		if got := decodeWords(c.in); got != c.out {
			t.Errorf("%q: %q, expected %q", c.in, got, c.out)
		}
	}
}

// Well-formed words and parameters come out as go-message has them.
func TestLikeGoMessage(t *testing.T) {
	for _, v := range []string{
		"plain text", "=?utf-8?q?caf=C3=A9?=", "=?utf-8?B?w6k=?= =?utf-8?q?b?= c", "=?iso-8859-1?q?=E9_x?=", "=?windows-1251?B?z/Do4uXy?=", "=?koi8-r?B?8NLJ18XU?=",
		"=?shift_jis?B?k/qWew==?=", "=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "=?big5?B?pKSk5Q==?=", "=?euc-kr?B?x9GxuQ==?=",
	} {
		var h gomessage.Header
		h.Set("Subject", v)
		want, err := h.Text("Subject")
		if err != nil {
			t.Fatal(err)
		}
		if got := decodeWords(v); got != want {
			t.Errorf("%q: %q, go-message has %q", v, got, want)
		}
	}
	for _, v := range []string{
		"text/plain", "Text/HTML; Charset=utf-8", `multipart/mixed; boundary="a b;c"`, `application/x; name="q\"uote"`, "a/b; name*=utf-8''%C3%A9.txt",
		"a/b; name*0=one; name*1=two", "a/b; name*0*=utf-8''%C3%A9; name*1=x", "a/b ; x = y ; z=w",
	} {
		var h gomessage.Header
		h.Set("Content-Type", v)
		wantType, want, err := h.ContentType()
		if err != nil {
			t.Fatalf("%q: %v", v, err)
		}
		head, params := splitParams(v, new(defects))
		got := foldParams(params, new(defects))
		if head != wantType || len(got) != len(want) {
			t.Errorf("%q: %q %q, go-message has %q %q", v, head, got, wantType, want)
		}
		for k, w := range want {
			if got[k] != w {
				t.Errorf("%q: %s is %q, go-message has %q", v, k, got[k], w)
			}
		}
	}
}

func TestCharsets(t *testing.T) {
	for _, c := range []struct {
		charset, raw, text, defect string
	}{
		{"us-ascii", "abc", "abc", ""},
		{"utf-8", "\xc3\xa9", "\u00e9", ""},
		{"iso-8859-1", "\xe9", "\u00e9", ""},
		{"windows-1252", "\x80", "\u20ac", ""},
		{"koi8-r", "\xc1", "\u0430", ""},
		{"gb2312", "\xd6\xd0", "\u4e2d", ""},
		{"iso-2022-jp", "\x1b$BF|\x1b(B", "\u65e5", ""},
		{"utf-16le", "a\x00b\x00", "ab", ""},
		{"utf-8", "\xe9t\xe9", "\u00e9t\u00e9", CharsetBad},
		{"us-ascii", "\xc3\xa9", "\u00e9", ""},
		{"", "\xe9", "\u00e9", ""},
		{"x-martian", "\xc3\xa9", "\u00e9", CharsetUnknown},
		{"x-martian", "abc", "abc", CharsetUnknown},
		{"utf-7", "+AGEAYg-c+-", "abc+", CharsetUTF7},
		{"utf-7", "+2D3eAA-", "\U0001f600", CharsetUTF7},
		{"cp850", "\x82", "\u00e9", ""},
		{"hz-gb-2312", "~{VP~}", "\u4e2d", ""},
	} {
		m := Parse([]byte("Content-Type: text/plain; charset=\""+c.charset+"\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"+c.raw), Limits{})
		if got := m.Root().Text(); got != c.text {
			t.Errorf("%s %q: %q, expected %q", c.charset, c.raw, got, c.text)
		}
		for _, kind := range []string{CharsetBad, CharsetUnknown, CharsetUTF7} {
			if (m.Defect(kind) > 0) != (kind == c.defect) {
				t.Errorf("%s %q: defects %v", c.charset, c.raw, m.Defects())
			}
		}
	}
}

// HTML may tell its charset itself, and UTF-16 begins with a mark.
func TestOwnCharset(t *testing.T) {
	for _, c := range []struct{ raw, want string }{
		{"Content-Type: text/html\r\n\r\n<meta http-equiv=content-type content='text/html; charset=KOI8-R'>\xc1", "\u0430"},
		{"Content-Type: text/html\r\n\r\n<meta charset=\"windows-1251\">\xe0", "\u0430"},
		{"Content-Type: text/html; charset=iso-8859-1\r\n\r\n<meta charset=\"windows-1251\">\xe0", "\u00e0"},
		{"Content-Type: text/html\r\n\r\n<meta charset=utf-16>\xc3\xa9", "\u00e9"},
		{"Content-Type: text/plain\r\n\r\ncharset=koi8-r \xe9", "\u00e9"},
		{"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b64("\xff\xfea\x00\xe9\x00"), "a\u00e9"},
	} {
		if got := Parse([]byte(c.raw), Limits{}).Text(); !strings.Contains(got, c.want) {
			t.Errorf("%q: %q", c.raw, got)
		}
	}
}

func TestText(t *testing.T) {
	m := Parse([]byte("Subject: =?utf-8?q?Hi?=   there\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\nThis is a multi-part message in MIME format.\r\n--b\r\n\r\none\r\n  two\r\n\r\n\r\nthree\r\n--b\r\n"+
		"Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<p class=3D\"x\">four=\r\nfive</p>\r\n--b\r\nContent-Type: image/png\r\n\r\nno text\r\n--b--\r\n"), Limits{})
	if got, want := m.Text(), "Hi there\none two\nthree\nfourfive\n"; got != want {
		t.Errorf("text %q, expected %q", got, want)
	}
	if got, want := m.Source(), "one\r\n  two\r\n\r\n\r\nthree\n<p class=\"x\">fourfive</p>\n"; got != want {
		t.Errorf("source %q, expected %q", got, want)
	}
	if got := m.Skeleton(); got != strings.ToLower(m.Text()) {
		t.Errorf("skeleton %q", got)
	}
	if d := m.Defects(); len(d) != 1 || d[0].Kind != VersionMissing {
		t.Errorf("defects %v", d)
	}
}

// Whatever the limit, text is cut between characters.
func TestTextLimit(t *testing.T) {
	raw := []byte("Subject: caf\u00e9\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + strings.Repeat("\u00e9\u4e2d ", 20))
	for limit := 1; limit < 140; limit++ {
		m := Parse(raw, Limits{TextBytes: limit})
		for _, s := range []string{m.Text(), m.Source()} {
			if !utf8.ValidString(s) || len(s) > limit+2 {
				t.Fatalf("limit %d: %q", limit, s)
			}
		}
		if n := m.Defect(LimitText); limit < 120 && n == 0 || limit > 130 && n > 0 || m.Defect(CharsetBad) > 0 {
			t.Errorf("limit %d: %v", limit, m.Defects())
		}
	}
}
