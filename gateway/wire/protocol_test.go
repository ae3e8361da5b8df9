package wire_test

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"spamcatcher/gateway/wire"
)

const (
	hello = "EHLO client.example.net\r\n"
	mail  = "MAIL FROM:<a@example.net>\r\n"
	rcpt  = "RCPT TO:<b@example.com>\r\n"
)

// A probe is what a client writes, write by write, and the first replies that
// follow the last write. "" is the end of the connection.
type probe struct {
	name   string
	writes []string
	want   []string
}

var probes = []probe{
	{"MAIL before EHLO", []string{mail}, []string{"503 5.5.1"}},
	{"RCPT before MAIL", []string{hello, rcpt}, []string{"503 5.5.1"}},
	{"DATA before MAIL", []string{hello, "DATA\r\n"}, []string{"503 5.5.1"}},
	{"DATA before RCPT", []string{hello, mail, "DATA\r\n"}, []string{"503 5.5.1"}},
	{"DATA without a valid recipient", []string{hello, mail, "RCPT TO:<unknown@example.com>\r\n", "DATA\r\n"}, []string{"554 5.5.1"}},
	{"DATA with an argument", []string{hello, mail, rcpt, "DATA now\r\n"}, []string{"501 5.5.4"}},
	{"MAIL in a transaction", []string{hello, mail, mail}, []string{"503 5.5.1"}},
	{"bare LF command", []string{"EHLO client.example.net\n"}, []string{"500 5.5.2", ""}},
	{"bare LF in a pipeline", []string{hello, "NOOP\r\nNOOP\nNOOP\r\n"}, []string{"250 2.0.0", "500 5.5.2", ""}},
	{"bare CR in a command", []string{hello, "NOOP\rNOOP\r\n"}, []string{"500 5.5.2", ""}},
	{"bare CR at the end of a command", []string{hello, "NOOP\r\r\n"}, []string{"500 5.5.2", ""}},
	{"NUL in a command", []string{hello, "NO\x00OP\r\n"}, []string{"501 5.5.2"}},
	{"NUL in a recipient", []string{hello, mail, "RCPT TO:<a\x00b@example.com>\r\n"}, []string{"501 5.1.3"}},
	{"TAB in a sender", []string{hello, "MAIL FROM:<a\tb@example.net>\r\n"}, []string{"501 5.1.7"}},
	{"command of 4 kB", []string{hello, "NOOP " + strings.Repeat("x", 4096) + "\r\nNOOP\r\n"}, []string{"500 5.5.2", ""}},
	{"command of 1 MB without an end", []string{hello, strings.Repeat("x", 1<<20), "\r\n"}, []string{"500 5.5.2", ""}},
	{"postmaster", []string{hello, mail, "RCPT TO:<postmaster>\r\n"}, []string{"250 2.1.5"}},
	{"PostMaster", []string{hello, mail, "RCPT TO:<PostMaster>\r\n"}, []string{"250 2.1.5"}},
	{"source route", []string{hello, mail, "RCPT TO:<@a.example,@b.example:b@example.com>\r\n"}, []string{"250 2.1.5"}},
	{"source route to a foreign domain", []string{hello, mail, "RCPT TO:<@example.com:b@third.example>\r\n"}, []string{"550 5.7.1"}},
	{"unknown MAIL parameter", []string{hello, "MAIL FROM:<a@example.net> FOO=1\r\n"}, []string{"555 5.5.4"}},
	{"unknown RCPT parameter", []string{hello, mail, "RCPT TO:<b@example.com> FOO=1\r\n"}, []string{"555 5.5.4"}},
	{"AUTH parameter", []string{hello, "MAIL FROM:<a@example.net> AUTH=<>\r\n"}, []string{"555 5.5.4"}},
	{"parameter twice", []string{hello, "MAIL FROM:<a@example.net> SIZE=1 SIZE=2\r\n"}, []string{"501 5.5.4"}},
	{"BODY=BINARYMIME", []string{hello, "MAIL FROM:<a@example.net> BODY=BINARYMIME\r\n"}, []string{"501 5.5.4"}},
	{"BODY and SIZE", []string{hello, "MAIL FROM:<a@example.net> BODY=8bitmime SIZE=1000 SMTPUTF8\r\n"}, []string{"250 2.1.0"}},
	{"SIZE at the limit", []string{hello, "MAIL FROM:<a@example.net> SIZE=52428800\r\n"}, []string{"250 2.1.0"}},
	{"SIZE above the limit", []string{hello, "MAIL FROM:<a@example.net> SIZE=52428801\r\n"}, []string{"552 5.3.4"}},
	{"SIZE above 2^32", []string{hello, "MAIL FROM:<a@example.net> SIZE=4294967297\r\n"}, []string{"552 5.3.4"}},
	{"SIZE above 2^63", []string{hello, "MAIL FROM:<a@example.net> SIZE=9223372036854775809\r\n"}, []string{"552 5.3.4"}},
	{"SIZE above 2^64", []string{hello, "MAIL FROM:<a@example.net> SIZE=99999999999999999999999999\r\n"}, []string{"552 5.3.4"}},
	{"SIZE no number", []string{hello, "MAIL FROM:<a@example.net> SIZE=-1\r\n"}, []string{"501 5.5.4"}},
	{"8-bit sender", []string{hello, "MAIL FROM:<ü@example.net>\r\n"}, []string{"553 5.6.7"}},
	{"8-bit recipient", []string{hello, mail, "RCPT TO:<ü@example.com>\r\n"}, []string{"553 5.6.7"}},
	{"8-bit recipient with SMTPUTF8", []string{hello, "MAIL FROM:<ü@bücher.example> SMTPUTF8\r\n", "RCPT TO:<ü@bücher.example>\r\n"}, []string{"250 2.1.5"}},
	{"Latin-1 with SMTPUTF8", []string{hello, "MAIL FROM:<\xfc@example.net> SMTPUTF8\r\n"}, []string{"501 5.1.7"}},
	{"VRFY", []string{hello, "VRFY root\r\n"}, []string{"252 2.1.5"}},
	{"EXPN", []string{hello, "EXPN staff\r\n"}, []string{"502 5.5.1"}},
	{"HELP", []string{"HELP\r\n"}, []string{"214 2.0.0"}},
	{"TURN", []string{hello, "TURN\r\n"}, []string{"502 5.5.1"}},
	{"SEND", []string{hello, "SEND FROM:<a@example.net>\r\n"}, []string{"502 5.5.1"}},
	{"SOML", []string{hello, "SOML FROM:<a@example.net>\r\n"}, []string{"502 5.5.1"}},
	{"SAML", []string{hello, "SAML FROM:<a@example.net>\r\n"}, []string{"502 5.5.1"}},
	{"AUTH", []string{hello, "AUTH PLAIN AGEAYg==\r\n"}, []string{"502 5.5.1"}},
	{"NOOP with an argument", []string{hello, "noop whatever\r\n"}, []string{"250 2.0.0"}},
	{"empty line", []string{hello, "\r\n"}, []string{"500 5.5.2"}},
	{"no verb", []string{hello, " NOOP\r\n"}, []string{"500 5.5.2"}},
	{"unknown command", []string{hello, "FOOB\r\n"}, []string{"500 5.5.1"}},
	{"STARTTLSX", []string{hello, "STARTTLSX\r\n"}, []string{"500 5.5.1"}},
	{"GET", []string{"GET / HTTP/1.1\r\nHost: mx.example.com\r\n\r\n"}, []string{"221 2.7.0", ""}},
	{"POST", []string{"POST / HTTP/1.1\r\n" + hello}, []string{"221 2.7.0", ""}},
	{"CONNECT", []string{"CONNECT mx.example.net:25 HTTP/1.1\r\n\r\n"}, []string{"221 2.7.0", ""}},
	{"TLS without STARTTLS", []string{"\x16\x03\x01\x02\x00\x01"}, []string{"500 5.5.2", ""}},
	{"BDAT after a refused recipient", []string{hello, mail, "RCPT TO:<unknown@example.com>\r\n", "BDAT 36 LAST\r\nMAIL FROM:<smuggler@example.org>\r\n12NOOP\r\n"}, []string{"503 5.5.1", "250 2.0.0 ok"}},
	{"BDAT without MAIL", []string{hello, "BDAT 6\r\nNOOP\r\nRSET\r\n"}, []string{"503 5.5.1", "250 2.0.0 reset"}},
	{"BDAT before EHLO", []string{"BDAT 6\r\nNOOP\r\nNOOP\r\n"}, []string{"503 5.5.1", "250 2.0.0 ok"}},
	{"BDAT with a bad word", []string{hello, mail, rcpt, "BDAT 30 LOST\r\nMAIL FROM:<smuggler@example.org>\r\n"}, []string{"501 5.5.4", ""}},
	{"BDAT with three words", []string{hello, mail, rcpt, "BDAT 6 LAST X\r\nNOOP\r\n"}, []string{"501 5.5.4", ""}},
	{"BDAT without a size", []string{hello, mail, rcpt, "BDAT\r\nNOOP\r\n"}, []string{"501 5.5.4", ""}},
	{"BDAT -1", []string{hello, mail, rcpt, "BDAT -1 LAST\r\nNOOP\r\n"}, []string{"501 5.5.4", ""}},
	{"BDAT +6", []string{hello, mail, rcpt, "BDAT +6 LAST\r\nNOOP\r\n"}, []string{"501 5.5.4", ""}},
	{"BDAT 0x6", []string{hello, mail, rcpt, "BDAT 0x6 LAST\r\nNOOP\r\n"}, []string{"501 5.5.4", ""}},
	{"BDAT with NUL", []string{hello, mail, rcpt, "BDAT 6\x00 LAST\r\nNOOP\r\n"}, []string{"501 5.5.4", ""}},
	{"BDAT above 2^64", []string{hello, mail, rcpt, "BDAT 99999999999999999999 LAST\r\nNOOP\r\n"}, []string{"501 5.5.4", ""}},
	{"BDAT far above the limit", []string{hello, mail, rcpt, "BDAT 9000000000 LAST\r\nNOOP\r\n"}, []string{"552 5.3.4", ""}},
	{"DATA after BDAT", []string{hello, mail, rcpt, "BDAT 5\r\nabcdeDATA\r\n"}, []string{"250 2.0.0", "503 5.5.1"}},
	{"RCPT after BDAT", []string{hello, mail, rcpt, "BDAT 5\r\nabcde" + rcpt}, []string{"250 2.0.0", "503 5.5.1"}},
	{"RSET after BDAT", []string{hello, mail, rcpt, "BDAT 5\r\nabcdeRSET\r\n" + mail}, []string{"250 2.0.0 go on", "250 2.0.0 reset", "250 2.1.0"}},
	{"BDAT 0 LAST", []string{hello, mail, rcpt, "BDAT 0 LAST\r\n"}, []string{"250 2.0.0"}},
	{"BDAT 0 LAST after a chunk", []string{hello, mail, rcpt, "BDAT 5\r\nabcdeBDAT 0 last\r\n"}, []string{"250 2.0.0 go on", "250 2.0.0 OK"}},
	{"data line of 3000 octets", []string{hello, mail, rcpt, "DATA\r\n", "A: b\r\n\r\n" + strings.Repeat("x", 3000) + "\r\n.\r\nNOOP\r\n"}, []string{"250 2.0.0 OK", "250 2.0.0 ok"}},
	{"data line of 99998 octets", []string{hello, mail, rcpt, "DATA\r\n", "A: b\r\n\r\n" + strings.Repeat("x", 99_998) + "\r\n.\r\n"}, []string{"250 2.0.0 OK"}},
	{"data line of 100001 octets", []string{hello, mail, rcpt, "DATA\r\n", "A: b\r\n\r\n" + strings.Repeat("x", 99_999) + "\r\n.\r\nNOOP\r\n"}, []string{"554 5.6.0", "250 2.0.0 ok"}},
	{"chunk line of 100001 octets", []string{hello, mail, rcpt, "BDAT 100001 LAST\r\n" + strings.Repeat("x", 99_999) + "\r\nNOOP\r\n"}, []string{"554 5.6.0", "250 2.0.0 ok"}},
	{"empty message", []string{hello, mail, rcpt, "DATA\r\n", ".\r\n"}, []string{"250 2.0.0"}},
	{"EHLO without a name", []string{"EHLO\r\n"}, []string{"501 your host"}},
	{"EHLO with junk", []string{"EHLO a b\r\n"}, []string{"501 your host"}},
	{"HELO with 8-bit junk", []string{"HELO b\xfccher\r\n"}, []string{"501 your host"}},
	{"EHLO with a literal", []string{"EHLO [192.0.2.7]\r\n"}, []string{"250-mx.example.com\n"}},
	{"HELO", []string{"HELO client.example.net\r\n"}, []string{"250 mx.example.com"}},
	{"EHLO that the backend refuses", []string{"EHLO refused.example.net\r\n", mail}, []string{"503 5.5.1"}},
	{"commands behind EHLO", []string{hello + mail}, []string{"503 5.5.1", ""}},
	{"STARTTLS with an argument", []string{hello, "STARTTLS foo\r\n"}, []string{"501 5.5.4"}},
	{"STARTTLS before EHLO", []string{"STARTTLS\r\n"}, []string{"503 5.5.1"}},
	{"commands behind STARTTLS", []string{hello, "STARTTLS\r\nRSET\r\n"}, []string{"554 5.5.1", ""}},
	{"ETRN before EHLO", []string{"ETRN example.com\r\n"}, []string{"503 5.5.1"}},
	{"ETRN in a transaction", []string{hello, mail, "ETRN example.com\r\n"}, []string{"503 5.5.1"}},
	{"ETRN without an argument", []string{hello, "ETRN\r\n"}, []string{"501 5.5.4"}},
	{"ETRN with two arguments", []string{hello, "ETRN a.example b.example\r\n"}, []string{"501 5.5.4"}},
	{"ETRN with 300 octets", []string{hello, "ETRN " + strings.Repeat("a", 300) + "\r\n"}, []string{"501 5.5.4"}},
	{"ETRN with SQL", []string{hello, "ETRN x';--\r\n"}, []string{"459 4.7.1"}},
	{"ETRN", []string{hello, "etrn example.com\r\n"}, []string{"250 2.0.0 started"}},
	{"multi-line refusal", []string{hello, "MAIL FROM:<many@lines.example>\r\n"}, []string{"550-5.7.1 first\n550-5.7.1 second ?\n550 5.7.1 third"}},
	{"421 of the backend", []string{hello, "MAIL FROM:<busy@example.net>\r\nNOOP\r\n"}, []string{"421 4.3.2 later", ""}},
	{"close after the reply", []string{hello, "MAIL FROM:<spf@example.net>\r\nNOOP\r\n"}, []string{"550 5.7.23 does not pass", ""}},
	{"status code of another class", []string{hello, "MAIL FROM:<class@example.net>\r\n"}, []string{"451 4.0.0 oops"}},
	{"QUIT", []string{hello, "QUIT\r\n"}, []string{"221 2.0.0", ""}},
}

func protocolServer(t testing.TB) *server {
	r := &recorder{onMail: refuseByName}
	return listen(t, wire.Config{TLS: testTLS, MaxSessionsPerClient: -1, ETRN: func(c *wire.Conn, arg string) *wire.Reply {
		if arg == "example.com" {
			return &wire.Reply{Code: 250, Text: "started"}
		}
		return &wire.Reply{Code: 459, Enhanced: "4.7.1", Text: "not for you"}
	}}, r)
}

func TestProtocol(t *testing.T) {
	s := protocolServer(t)
	for _, p := range probes {
		t.Run(p.name, func(t *testing.T) {
			c := s.dial(t)
			c.expect("220 ")
			for i, w := range p.writes {
				c.send(w)
				if i < len(p.writes)-1 {
					if strings.HasSuffix(w, "\r\n") {
						c.reply()
					}
				}
			}
			for _, want := range p.want {
				c.expect(want)
			}
			c.Close()
		})
	}
	if len(probes) < 90 {
		t.Errorf("only %d probes", len(probes))
	}
	for _, r := range s.take() {
		if r.from == "smuggler@example.org" {
			t.Error("a chunk was taken for commands")
		}
	}
}

// TestReplies checks the form of every reply that the probes bring: a status
// code of the right class on every line, except after HELO and EHLO, in the
// banner and in 3xx.
func TestReplies(t *testing.T) {
	s := protocolServer(t)
	seen := 0
	for _, p := range probes {
		c := s.dial(t)
		c.expect("220 ")
		for i, w := range p.writes {
			c.send(w)
			r := c.reply()
			if i < len(p.writes)-1 && !strings.HasSuffix(w, "\r\n") {
				break
			}
			hello := strings.HasPrefix(w, "EHLO") || strings.HasPrefix(w, "HELO")
			for line := range strings.SplitSeq(r, "\n") {
				seen++
				if bad := len(line) < 5 || !hello && line[0] != '3' && (line[4] != line[0] || line[5] != '.'); bad && r != "" {
					t.Errorf("%s: %q", p.name, line)
				}
			}
		}
		c.Close()
	}
	if seen < 200 {
		t.Errorf("looked at %d lines only", seen)
	}
}

// TestPipelining sends everything in one write and wants all replies in order.
func TestPipelining(t *testing.T) {
	s := protocolServer(t)
	c := s.session(t)
	var send strings.Builder
	var want []string
	for i := range 5 {
		fmt.Fprintf(&send, "NOOP\r\nETRN example.com\r\nFOOB\r\nMAIL FROM:<a%d@example.net>\r\nETRN example.com\r\nRCPT TO:<b@example.com>\r\nRCPT TO:<unknown@example.com>\r\nRSET\r\n", i)
		want = append(want, "250 2.0.0 ok", "250 2.0.0 started", "500 5.5.1", "250 2.1.0", "503 5.5.1", "250 2.1.5", "550 5.1.1", "250 2.0.0 reset")
	}
	send.WriteString(mail + rcpt + "DATA\r\n")
	want = append(want, "250 2.1.0", "250 2.1.5", "354 ")
	c.send(send.String())
	for _, w := range want {
		c.expect(w)
	}
	c.send("one\r\n.\r\n" + mail + rcpt + "BDAT 5\r\ntwo\r\nBDAT 3 LAST\r\nx\r\n" + "QUIT\r\n")
	for _, w := range []string{"250 2.0.0 OK", "250 2.1.0", "250 2.1.5", "250 2.0.0 go on", "250 2.0.0 OK", "221 2.0.0", ""} {
		c.expect(w)
	}
	got := s.take()
	if len(got) != 2 || got[0].body != "one\r\n" || got[1].body != "two\r\nx\r\n" {
		t.Errorf("received %+v", got)
	}
}

// TestOneWrite: the replies to commands that came together leave together.
func TestOneWrite(t *testing.T) {
	batch := strings.Repeat("NOOP\r\nETRN example.com\r\n"+mail+rcpt+"RSET\r\n", 10) + mail + rcpt + "DATA\r\n"
	cfg := wire.Config{ETRN: func(*wire.Conn, string) *wire.Reply { return &wire.Reply{Code: 250} }}
	_, writes, r := play(t, cfg, hello+pause+batch+pause+"x\r\n.\r\n"+mail+"QUIT\r\n", 0)
	if writes != 4 { // the banner, EHLO, the batch, the rest
		t.Errorf("%d writes, want 4", writes)
	}
	if n := len(r.take()); n != 1 {
		t.Errorf("%d messages", n)
	}
}

func TestSTARTTLSForgets(t *testing.T) {
	s := protocolServer(t)
	c := s.session(t)
	c.envelope()
	c = c.encrypt()
	c.do("MAIL FROM:<a@example.net>", "503 5.5.1")
	c.do("DATA", "503 5.5.1")
	if e := c.do("EHLO client.example.net", "250"); strings.Contains(e, "STARTTLS") {
		t.Errorf("STARTTLS offered inside TLS: %q", e)
	}
	c.do("STARTTLS", "503 5.5.1")
	c.do("DATA", "503 5.5.1")
	c.do("RCPT TO:<b@example.com>", "503 5.5.1")
	c.envelope()
	c.do("QUIT", "221")
	c.expect("")
	if calls := s.log(); !slices.Contains(calls, "reset") {
		t.Errorf("the session was never reset: %q", calls)
	}
}

// TestSTARTTLSInjection sends a command in a segment of its own between
// STARTTLS and the handshake: it must not be answered afterwards.
func TestSTARTTLSInjection(t *testing.T) {
	s := protocolServer(t)
	c := s.session(t)
	c.do("STARTTLS", "220")
	c.send("RSET\r\n")
	c.expect("") // the handshake fails on it
}

// TestCertificateReload: a new certificate is used by the next handshake.
func TestCertificateReload(t *testing.T) {
	var current atomic.Pointer[tls.Config]
	s := listen(t, wire.Config{TLS: current.Load}, &recorder{})
	c := s.session(t)
	c.do("STARTTLS", "454 4.7.0")
	for _, name := range []string{"one.example.com", "two.example.com"} {
		current.Store(certificate(name))
		c := s.session(t).startTLS()
		if got := c.Conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Subject.CommonName; got != name {
			t.Errorf("certificate of %s, want %s", got, name)
		}
	}
}

func TestSTARTTLSNotOffered(t *testing.T) {
	s := listen(t, wire.Config{}, &recorder{})
	c := s.dial(t)
	c.expect("220")
	if e := c.do("EHLO client.example.net", "250"); strings.Contains(e, "STARTTLS") || strings.Contains(e, "ETRN") {
		t.Errorf("offered: %q", e)
	}
	c.do("STARTTLS", "502 5.5.1")
	c.do("ETRN example.com", "502 5.5.1")
}

// TestETRNOffered: whether there is ETRN may change, and what is not offered is
// not answered.
func TestETRNOffered(t *testing.T) {
	var offered atomic.Bool
	s := listen(t, wire.Config{ETRN: func(*wire.Conn, string) *wire.Reply { return &wire.Reply{Code: 251} }, OfferETRN: offered.Load}, &recorder{})
	for _, on := range []bool{false, true, false} {
		offered.Store(on)
		c := s.session(t)
		if e := c.do("EHLO client.example.net", "250"); strings.Contains(e, "250-ETRN\n") != on {
			t.Errorf("offered %v: %q", on, e)
		}
		c.do("ETRN example.com", map[bool]string{true: "251 2.0.0", false: "502 5.5.1"}[on])
	}
}

func TestPostmaster(t *testing.T) {
	for _, test := range []struct {
		served func(string) bool
		want   string
	}{
		{nil, "rcpt postmaster@mx.example.com"},
		{func(d string) bool { return d == "example.com" }, "rcpt postmaster@example.com"},
		{func(d string) bool { return false }, "rcpt postmaster@mx.example.com"},
	} {
		s := listen(t, wire.Config{Served: test.served}, &recorder{})
		c := s.session(t)
		c.send(mail)
		c.reply()
		c.do("RCPT TO:<postmaster>", "250")
		if calls := s.log(); !slices.Contains(calls, test.want) {
			t.Errorf("calls %q, want %q", calls, test.want)
		}
	}
}

func TestBigMessage(t *testing.T) {
	s := listen(t, wire.Config{MaxMessageBytes: 25 << 20}, &recorder{})
	line := strings.Repeat("x", 78) + "\r\n"
	body := strings.Repeat(line, (25<<20)/len(line)-1)
	body += strings.Repeat("y", 25<<20-len(body)-2) + "\r\n"
	c := s.session(t)
	for _, declared := range []string{"", fmt.Sprintf(" SIZE=%d", len(body))} {
		c.do("MAIL FROM:<a@example.net>"+declared, "250")
		c.do("RCPT TO:<b@example.com>", "250")
		c.do("DATA", "354")
		c.send(body + ".\r\n")
		c.expect("250 2.0.0")
		if got := s.take(); len(got) != 1 || got[0].body != body {
			t.Errorf("message of exactly the limit was not kept as it was")
		}
	}
	c.envelope()
	c.do("DATA", "354")
	c.send("z" + body + ".\r\nNOOP\r\n")
	c.expect("552 5.3.4")
	c.expect("250 2.0.0 ok")
	c.envelope()
	c.send(fmt.Sprintf("BDAT %d LAST\r\n%sNOOP\r\n", len(body), body))
	c.expect("250 2.0.0 OK")
	c.expect("250 2.0.0 ok")
	c.envelope()
	c.send(fmt.Sprintf("BDAT 10\r\n12345678\r\nBDAT %d\r\n%sBDAT 2 LAST\r\nxxNOOP\r\n", len(body), body))
	for _, w := range []string{"250 2.0.0 go on", "552 5.3.4", "503 5.5.1", "250 2.0.0 ok"} {
		c.expect(w)
	}
	if got := s.take(); len(got) != 1 || got[0].body != body {
		t.Errorf("received %d messages", len(got))
	}
}

func refuseByName(c *wire.Conn, from string) error {
	switch from {
	case "many@lines.example":
		return smtpError(550, 5, 7, 1, "first\nsecond \x07\nthird")
	case "busy@example.net":
		return smtpError(421, 4, 3, 2, "later")
	case "spf@example.net":
		c.CloseAfterReply()
		return smtpError(550, 5, 7, 23, "does not pass")
	case "class@example.net":
		return smtpError(451, 5, 7, 1, "oops")
	case "panic@example.net":
		panic("in the backend")
	}
	return nil
}
