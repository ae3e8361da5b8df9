package enginetest

import (
	"strings"
	"testing"
)

const good = `cases 2

# a remark
=== first
client 192.0.2.7
helo mail.example.com
ptr mail.example.com
from <a@example.com>
to b@example.org
to c@example.org
time 2026-03-10T09:30:00Z
expect TWO ONE

Subject: Hi

text
\=== not a head
=== second
expect

Subject: Lunch
`

func TestParse(t *testing.T) {
	cases, err := Parse("x.case", good)
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) != 2 {
		t.Fatalf("%d cases", len(cases))
	}
	a, b := cases[0], cases[1]
	if a.Name != "first" || a.Line != 4 || strings.Join(a.Expect, " ") != "ONE TWO" || b.Name != "second" || len(b.Expect) != 0 {
		t.Errorf("cases are %+v and %+v", a, b)
	}
	m := a.Mail
	if m.Session.Client.String() != "192.0.2.7" || m.Session.Hello != "mail.example.com" || m.Session.PTR != "mail.example.com" ||
		!m.Envelope.Known || m.Envelope.From != "a@example.com" || len(m.Envelope.To) != 2 || m.Session.Time.Hour() != 9 {
		t.Errorf("facts are %+v %+v", m.Session, m.Envelope)
	}
	if raw := string(m.Message.Raw()); raw != "Subject: Hi\r\n\r\ntext\r\n=== not a head\r\n" {
		t.Errorf("message is %q", raw)
	}
	if b.Mail.Envelope.Known {
		t.Error("a mail without envelope facts has an envelope")
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                       "first line",
		"cases x\n":                              "first line",
		"cases 0\n":                              "proves nothing",
		"cases 1\n":                              "0 cases found",
		"cases 2\n=== a\nexpect\n\nSubject: x\n": "1 cases found, but the first line says 2",
		"cases 1\n=== a\n\nSubject: x\n":         "no expect",
		"cases 1\n=== a\nexpect\nexpect\n\nSubject: x\n":                        "second expect",
		"cases 1\n=== a\nexpect\n\n":                                            "no message",
		"cases 1\n=== a\nclient nowhere\nexpect\n\nSubject: x\n":                `client "nowhere"`,
		"cases 1\n=== a\ncolour red\nexpect\n\nSubject: x\n":                    "unknown fact",
		"cases 1\nstray\n=== a\nexpect\n\nSubject: x\n":                         "outside",
		"cases 2\n=== a\nexpect\n\nSubject: x\n=== a\nexpect\n\nSubject: x\n":   "already at line 2",
		"cases 2\n=== a\nexpect\n\nSubject: x\n=== \nexpect\n\nSubject: none\n": "without name",
	} {
		if _, err := Parse("x.case", text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", text, err, want)
		}
	}
}

func TestCompare(t *testing.T) {
	for _, c := range []struct{ want, got, diff string }{
		{"A B", "B A", ""},
		{"", "", ""},
		{"A B", "A", "not found: B"},
		{"A", "A C", "found but not expected: C"},
		{"A", "A A", "found but not expected: A twice"},
		{"A", "", "not found: A"},
	} {
		if diff := compare(strings.Fields(c.want), strings.Fields(c.got)); diff != c.diff {
			t.Errorf("want %q got %q: %q, expected %q", c.want, c.got, diff, c.diff)
		}
	}
}

func TestMail(t *testing.T) {
	m := Mail(t, "Subject: x\n\nbody\n", "helo example.net", "from ")
	if m.Session.Hello != "example.net" || !m.Envelope.Known || m.Envelope.From != "" || string(m.Message.Body()) != "body\r\n" {
		t.Errorf("mail is %+v", m)
	}
}
