package wire_test

import (
	"fmt"
	"strings"
	"testing"

	"spamcatcher/gateway/wire"
)

// The address forms by which relays were tricked, with the reply that each gets
// where example.com is ours and third.example is not; and what the session gets
// to see, "" for nothing.
var relayForms = []struct{ rcpt, want, seen string }{
	{"<u@third.example>", "550 5.7.1", "u@third.example"},
	{"<u%third.example@example.com>", "550 5.7.1", ""},
	{"<u%third.example@[192.0.2.1]>", "550 5.7.1", ""},
	{`<"u@third.example">`, "501 5.1.3", ""},
	{`<"u%third.example">`, "501 5.1.3", ""},
	{`<"u@third.example"@example.com>`, "553 5.1.3", ""},
	{"<u@third.example@example.com>", "501 5.1.3", ""},
	{"<u@third.example@[192.0.2.1]>", "501 5.1.3", ""},
	{"<@example.com:u@third.example>", "550 5.7.1", "u@third.example"},
	{"<@[192.0.2.1]:u@third.example>", "550 5.7.1", "u@third.example"},
	{"<third.example!u>", "501 5.1.3", ""},
	{"<third.example!u@example.com>", "550 5.7.1", ""},
	{"<third.example!u@[192.0.2.1]>", "550 5.7.1", ""},
	{"<example.com!third.example!u>", "501 5.1.3", ""},
	{"<u%third.example>", "501 5.1.3", ""},
	{"<u%third.example%example.com@example.com>", "550 5.7.1", ""},
	{`<"u\@third.example"@example.com>`, "553 5.1.3", ""},
	{`<u\@third.example@example.com>`, "501 5.1.3", ""},
	{"<u@third.example.>", "501 5.1.3", ""},
	{"<u@third.example,a@example.com>", "501 5.1.3", ""},
	{"<a@example.com,u@third.example>", "501 5.1.3", ""},
	{"<u@third.example>,<a@example.com>", "501 5.1.3", ""},
	{"<a@example.com>,<u@third.example>", "501 5.1.3", ""},
	{"<a@example.com> <u@third.example>", "555 5.5.4", ""},
	{"<u@[192.0.2.5]>", "550 5.7.1", "u@[192.0.2.5]"},
	{"<u@192.0.2.5>", "550 5.7.1", "u@192.0.2.5"},
	{"<u@[IPv6:2001:db8::5]>", "550 5.7.1", "u@[IPv6:2001:db8::5]"},
	{"<u@[IPv6:zz]>", "501 5.1.3", ""},
	{"<u>", "501 5.1.3", ""},
	{"<u@>", "501 5.1.3", ""},
	{"<@third.example>", "501 5.1.3", ""},
	{"<<u@third.example>>", "501 5.1.3", ""},
	{"<a@example.com@third.example>", "501 5.1.3", ""},
	{"<u@example.com.third.example>", "550 5.7.1", "u@example.com.third.example"},
	{"<u@third.example\x00@example.com>", "501 5.1.3", ""},
	{"<u@third.example\x00.example.com>", "501 5.1.3", ""},
	{"<u@EXAMPLE.com.>", "501 5.1.3", ""},
	{"<u@sub.example.com>", "550 5.7.1", "u@sub.example.com"},
	{`<"a b"@example.com>`, "553 5.1.3", ""},
	{"<u(x@third.example)@example.com>", "501 5.1.3", ""},
	{"<u@example.com(third.example)>", "501 5.1.3", ""},
	{"(third.example) <u@example.com>", "501 5.1.3", ""},
	{`<"a> NOTIFY=NEVER <b"@example.com>`, "553 5.1.3", ""},
	{`<"">`, "501 5.1.3", ""},
	{`<""@example.com>`, "501 5.1.3", ""},
	{`<"u@example.com>`, "501 5.1.3", ""},
	{"<u@example.com", "501 5.1.3", ""},
	{"u@third.example", "550 5.7.1", "u@third.example"},
	{"u@third.example <a@example.com>", "555 5.5.4", ""},
	{"<>", "501 5.1.3", ""},
	{"", "501 5.1.3", ""},
	{"<@third.example,a@example.com>", "501 5.1.3", ""},
	{"<@third.example;u@example.com:a@example.com>", "501 5.1.3", ""},
	{"<u;third.example@example.com>", "501 5.1.3", ""},
	{"<|/bin/sh@third.example>", "550 5.7.1", "|/bin/sh@third.example"},
	{"<u@exa mple.com>", "501 5.1.3", ""},
	{"<u@-example.com>", "501 5.1.3", ""},
	{"<u@.example.com>", "501 5.1.3", ""},
	{"<u@third..example>", "501 5.1.3", ""},
}

// TestRelayForms: what reaches the session has one at sign, behind which is the
// domain that the mail would go to.
func TestRelayForms(t *testing.T) {
	s := listen(t, wire.Config{MaxSessionsPerClient: -1, MaxErrors: -1, MaxJunk: -1}, &recorder{})
	for _, sender := range []string{"<>", "<a@third.example>", "<a@example.com>", "<a@[192.0.2.1]>"} {
		c := s.session(t)
		c.do("MAIL FROM:"+sender, "250")
		for _, f := range relayForms {
			s.take()
			c.do("RCPT TO:"+f.rcpt, f.want)
			want := "[]"
			if f.seen != "" {
				want = "[rcpt " + f.seen + "]"
			}
			if got := fmt.Sprint(s.log()); got != want {
				t.Errorf("%q from %s: the session saw %s, want %s", f.rcpt, sender, got, want)
			}
		}
		c.do("DATA", "554 5.5.1")
		c.Close()
	}
	if len(relayForms) < 50 {
		t.Errorf("only %d forms", len(relayForms))
	}
}

// TestAddresses: what is taken, and how the session sees it.
func TestAddresses(t *testing.T) {
	long := strings.Repeat("l", 64)
	domain := strings.Repeat(strings.Repeat("d", 62)+".", 3) + "example" // 196
	tests := []struct{ command, want, seen string }{
		{"MAIL FROM:<>", "250 2.1.0", "mail "},
		{"MAIL FROM: <a@example.net>", "250 2.1.0", "mail a@example.net"},
		{"mail from:a@example.net SIZE=3", "250 2.1.0", "mail a@example.net"},
		{`MAIL FROM:<"a"@example.net>`, "250 2.1.0", "mail a@example.net"},
		{`MAIL FROM:<"a\b.c"@example.net>`, "250 2.1.0", "mail ab.c@example.net"},
		{`MAIL FROM:<"a> SIZE=1 <b"@example.net>`, "553 5.1.7", ""},
		{"MAIL FROM:<a..b.@example.net>", "250 2.1.0", "mail a..b.@example.net"},
		{"MAIL FROM:<@r.example:a@example.net>", "250 2.1.0", "mail a@example.net"},
		{"MAIL FROM:<list+u=example.com@example.net>", "250 2.1.0", "mail list+u=example.com@example.net"},
		{"MAIL FROM:<a%b@example.net>", "250 2.1.0", "mail a%b@example.net"},
		{"MAIL FROM:<a@[192.0.2.1]>", "250 2.1.0", "mail a@[192.0.2.1]"},
		{"MAIL FROM:<a@_host.example.net>", "250 2.1.0", "mail a@_host.example.net"},
		{"MAIL FROM:<a@example.net>SIZE=1", "501 5.1.7", ""},
		{"MAIL FROM:<a>", "501 5.1.7", ""},
		{"MAIL FROM:", "501 5.1.7", ""},
		{"MAIL FROM", "501 5.5.4", ""},
		{"MAIL", "501 5.5.4", ""},
		{"MAIL <a@example.net>", "501 5.5.4", ""},
		{"MAIL FROM:<ü@bücher.example> SMTPUTF8", "250 2.1.0", "mail ü@bücher.example"},
		{"MAIL FROM:<a@bücher.example>", "553 5.6.7", ""},
		{"MAIL FROM:<a\u2028b@example.net> SMTPUTF8", "501 5.1.7", ""},
		{"MAIL FROM:<a\u0085b@example.net> SMTPUTF8", "501 5.1.7", ""},
		{"MAIL FROM:<a@exam\u200bple.net> SMTPUTF8", "501 5.1.7", ""},
		{"MAIL FROM:<" + strings.Repeat("v", 200) + "@example.net>", "250 2.1.0", "mail " + strings.Repeat("v", 200) + "@example.net"},
		{"MAIL FROM:<" + strings.Repeat("v", 242) + "@example.net>", "250 2.1.0", "mail " + strings.Repeat("v", 242) + "@example.net"}, // 256 octets
		{"MAIL FROM:<" + strings.Repeat("v", 243) + "@example.net>", "501 5.1.7", ""},
		{"MAIL FROM:<a@" + domain + ">", "250 2.1.0", "mail a@" + domain},
		{"MAIL FROM:<a@" + strings.Repeat("d", 64) + ".example>", "501 5.1.7", ""},
		{"MAIL FROM:<@" + domain + ":" + long + "@example.net>", "501 5.1.7", ""}, // the route counts
		{"RCPT TO:<" + long + "@example.com>", "250 2.1.5", "rcpt " + long + "@example.com"},
		{"RCPT TO:<" + long + "l@example.com>", "501 5.1.3", ""},
		{"RCPT TO:<b@EXAMPLE.COM>", "250 2.1.5", "rcpt b@EXAMPLE.COM"},
		{`RCPT TO:<"post.master"@example.com>`, "250 2.1.5", "rcpt post.master@example.com"},
		{"RCPT TO:<\"postmaster\">", "250 2.1.5", "rcpt postmaster@mx.example.com"},
		{"RCPT TO:b@example.com", "250 2.1.5", "rcpt b@example.com"},
		{"RCPT TO:<b/c=d@example.com>", "250 2.1.5", "rcpt b/c=d@example.com"},
	}
	s := listen(t, wire.Config{MaxSessionsPerClient: -1}, &recorder{})
	for _, test := range tests {
		c := s.session(t)
		if test.command[0] == 'R' {
			c.send(mail)
			c.expect("250")
		}
		s.take()
		c.do(test.command, test.want)
		want := "[]"
		if test.seen != "" {
			want = "[" + test.seen + "]"
		}
		if got := fmt.Sprint(s.log()); got != want {
			t.Errorf("%q: the session saw %s, want %s", test.command, got, want)
		}
		c.Close()
	}
}

// TestWideRoutes: routes written in characters that some servers turn into those
// of ASCII are refused as those are; other languages' names are not.
func TestWideRoutes(t *testing.T) {
	s := listen(t, wire.Config{MaxErrors: -1}, &recorder{})
	c := s.session(t)
	c.do("MAIL FROM:<> SMTPUTF8", "250")
	for _, local := range []string{"u％third.example", "u﹪third.example", "u＠third.example", "u﹫third.example", "third.example！u", "u，v", "u：v", "＂u＂", "u＼v"} {
		c.do("RCPT TO:<"+local+"@example.com>", "550 5.7.1 routing")
	}
	for _, local := range []string{"grüße", "ｕｓｅｒ", "用户", "почта", "ﬁn", "u…v"} {
		c.do("RCPT TO:<"+local+"@example.com>", "250 2.1.5")
	}
}
