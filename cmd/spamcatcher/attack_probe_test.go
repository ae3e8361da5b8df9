package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"spamcatcher/gateway/relay/relaytest"
)

// A probe is a piece of dialogue whose answers are known to the digit.
type probe struct {
	name  string
	steps []exchange
	ends  bool // the server closes the connection after it
}

// An exchange is what is sent in one go, and the replies that it gets.
type exchange struct {
	send string
	want []string
}

// Pieces of dialogue that most probes begin with.
var (
	ehloAs   = exchange{"EHLO client.example.net\r\n", []string{"250"}}
	mailFrom = exchange{"MAIL FROM:<a@example.net>\r\n", []string{"250 2.1.0"}}
	rcptTo   = exchange{"RCPT TO:<b@example.org>\r\n", []string{"250 2.1.5"}}
	dataNow  = exchange{"DATA\r\n", []string{"354"}}
)

func says(send string, want ...string) exchange { return exchange{send, want} }

func repeated(n int, reply string, more ...string) []string {
	return append(slices.Repeat([]string{reply}, n), more...)
}

// probes are what clients that are broken, old, curious or hostile say. The
// answers are those of RFC 5321 and its extensions, to the enhanced status code.
var probes = []probe{
	{"MAIL before EHLO", []exchange{says("MAIL FROM:<a@example.net>\r\n", "503 5.5.1")}, false},
	{"RCPT before MAIL", []exchange{ehloAs, says("RCPT TO:<b@example.org>\r\n", "503 5.5.1")}, false},
	{"DATA before RCPT", []exchange{ehloAs, mailFrom, says("DATA\r\n", "503 5.5.1")}, false},
	{"DATA after refused RCPT", []exchange{ehloAs, mailFrom, says("RCPT TO:<b@elsewhere.example>\r\n", "550 5.7.1"), says("DATA\r\n", "554 5.5.1")}, false},
	{"second MAIL", []exchange{ehloAs, mailFrom, rcptTo, says("MAIL FROM:<c@example.net>\r\n", "503 5.5.1"), dataNow, says("Subject: x\r\n\r\nx\r\n.\r\n", "250 2.0.0")}, false},
	{"LF ends a command", []exchange{says("EHLO client.example.net\n", "500 5.5.2")}, true},
	{"CR in a command", []exchange{ehloAs, says("NOOP\rNOOP\r\n", "500 5.5.2")}, true},
	{"NUL in a command", []exchange{ehloAs, says("NO\x00OP\r\n", "501 5.5.2")}, false},
	{"NUL in a sender", []exchange{ehloAs, says("MAIL FROM:<a\x00b@example.net>\r\n", "501 5.1.7")}, false},
	{"NUL in a recipient", []exchange{ehloAs, mailFrom, says("RCPT TO:<a\x00b@example.org>\r\n", "501 5.1.3")}, false},
	{"command of 512 octets", []exchange{ehloAs, says("NOOP "+strings.Repeat("x", 505)+"\r\n", "250 2.0.0")}, false},
	{"command of 4 KiB", []exchange{ehloAs, says("NOOP "+strings.Repeat("x", 4096)+"\r\n", "500 5.5.2")}, true},
	{"1 MB without an end", []exchange{ehloAs, says(strings.Repeat("x", 1_000_000)+"\r\n", "500 5.5.2")}, true},
	{"25 unknown commands", []exchange{ehloAs, says(strings.Repeat("FOOB\r\n", 25), repeated(20, "500 5.5.1", "421 4.7.0")...)}, true},
	{"150 NOOP", []exchange{ehloAs, says(strings.Repeat("NOOP\r\n", 150), repeated(100, "250 2.0.0", "421 4.7.0")...)}, true},
	{"150 RSET", []exchange{ehloAs, says(strings.Repeat("RSET\r\n", 150), repeated(100, "250 2.0.0", "421 4.7.0")...)}, true},
	{"150 VRFY", []exchange{ehloAs, says(strings.Repeat("VRFY root\r\n", 150), repeated(100, "252 2.1.5", "421 4.7.0")...)}, true},
	{"VRFY", []exchange{ehloAs, says("VRFY root\r\n", "252 2.1.5")}, false},
	{"EXPN", []exchange{ehloAs, says("EXPN root\r\n", "502 5.5.1")}, false},
	{"HELP", []exchange{says("HELP\r\n", "214 2.0.0")}, false},
	{"TURN, SEND, SOML, SAML, AUTH", []exchange{ehloAs, says("TURN\r\nSEND FROM:<a@example.net>\r\nSOML FROM:<a@example.net>\r\nSAML FROM:<a@example.net>\r\nAUTH PLAIN AGEAYg==\r\n", repeated(5, "502 5.5.1")...)}, false},
	{"postmaster", []exchange{ehloAs, mailFrom, says("RCPT TO:<postmaster>\r\n", "250 2.1.5")}, false},
	{"source route", []exchange{ehloAs, mailFrom, says("RCPT TO:<@one.example,@two.example:b@example.org>\r\n", "250 2.1.5")}, false},
	{"UTF-8 without SMTPUTF8", []exchange{ehloAs, says("MAIL FROM:<ü@example.net>\r\n", "553 5.6.7"), mailFrom, says("RCPT TO:<ü@example.org>\r\n", "553 5.6.7")}, false},
	{"SIZE above the limit", []exchange{ehloAs, says("MAIL FROM:<a@example.net> SIZE=52428801\r\n", "552 5.3.4")}, false},
	{"SIZE above 2^32", []exchange{ehloAs, says("MAIL FROM:<a@example.net> SIZE=4294967297\r\n", "552 5.3.4")}, false},
	{"SIZE above 2^64", []exchange{ehloAs, says("MAIL FROM:<a@example.net> SIZE=99999999999999999999999999\r\n", "552 5.3.4")}, false},
	{"unknown parameter", []exchange{ehloAs, says("MAIL FROM:<a@example.net> FOO=1\r\n", "555 5.5.4")}, false},
	{"BDAT before RCPT", []exchange{ehloAs, mailFrom, says("BDAT 32 LAST\r\nMAIL FROM:<smuggled@evil.test>\r\n", "503 5.5.1")}, false},
	{"BDAT after refused RCPT", []exchange{ehloAs, mailFrom, says("RCPT TO:<b@elsewhere.example>\r\n", "550 5.7.1"), says("BDAT 6 LAST\r\nNOOP\r\n", "503 5.5.1")}, false},
	{"BDAT with a bad word", []exchange{ehloAs, mailFrom, rcptTo, says("BDAT 32 LOST\r\nMAIL FROM:<smuggled@evil.test>\r\n", "501 5.5.4")}, true},
	{"BDAT with three arguments", []exchange{ehloAs, mailFrom, rcptTo, says("BDAT 6 LAST X\r\nNOOP\r\n", "501 5.5.4")}, true},
	{"BDAT of negative size", []exchange{ehloAs, mailFrom, rcptTo, says("BDAT -1 LAST\r\nNOOP\r\n", "501 5.5.4")}, true},
	{"BDAT above 2^64", []exchange{ehloAs, mailFrom, rcptTo, says("BDAT 99999999999999999999 LAST\r\nNOOP\r\n", "501 5.5.4")}, true},
	{"BDAT of 1 TB", []exchange{ehloAs, mailFrom, rcptTo, says("BDAT 1099511627776 LAST\r\nNOOP\r\n", "552 5.3.4")}, true},
	{"DATA after BDAT", []exchange{ehloAs, mailFrom, rcptTo, says("BDAT 5\r\nabcde", "250 2.0.0"), says("DATA\r\n", "503 5.5.1")}, false},
	{"BDAT 0 LAST", []exchange{ehloAs, mailFrom, rcptTo, says("BDAT 0 LAST\r\n", "250 2.0.0")}, false},
	{"text line of 3,000 octets", []exchange{ehloAs, mailFrom, rcptTo, dataNow, says("Subject: long\r\n\r\n"+strings.Repeat("x", 3000)+"\r\n.\r\n", "250 2.0.0")}, false},
	{"STARTTLS with an argument", []exchange{ehloAs, says("STARTTLS now\r\n", "501 5.5.4")}, false},
	{"commands behind EHLO", []exchange{says("EHLO client.example.net\r\nMAIL FROM:<a@example.net>\r\n", "503 5.5.1")}, true},
	{"a web browser", []exchange{says("GET / HTTP/1.1\r\nHost: mx.example.org\r\n\r\n", "221 2.7.0")}, true},
	{"a form of a web page", []exchange{says("POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\nEHLO x\r\nMAIL FROM:<a@example.net>\r\n", "221 2.7.0")}, true},
	{"HTTP/2", []exchange{says("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "221 2.7.0")}, true},
	{"TLS from the first octet", []exchange{says("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "500 5.5.2")}, true},
	{"ETRN without a domain", []exchange{ehloAs, says("ETRN\r\n", "501 5.5.4")}, false},
	{"ETRN of who may not", []exchange{ehloAs, says("ETRN example.org\r\n", "459 4.7.1")}, false},
	{"ETRN of nobody's domain", []exchange{ehloAs, says("ETRN elsewhere.example\r\n", "459 4.7.1")}, false},
	{"ETRN of an SQL statement", []exchange{ehloAs, says("ETRN x';--\r\n", "501 5.5.4")}, false},
	{"ETRN of 300 octets", []exchange{ehloAs, says("ETRN "+strings.Repeat("x", 300)+"\r\n", "501 5.5.4")}, false},
	{"ETRN before EHLO", []exchange{says("ETRN example.org\r\n", "503 5.5.1")}, false},
	{"ETRN in a transaction", []exchange{ehloAs, mailFrom, says("ETRN example.org\r\n", "503 5.5.1"), rcptTo}, false},
	{"QUIT with an argument", []exchange{ehloAs, says("QUIT now\r\n", "501 5.5.4")}, false},
	{"QUIT", []exchange{ehloAs, says("QUIT\r\n", "221 2.0.0")}, true},
	{"empty line", []exchange{ehloAs, says("\r\n", "500 5.5.2")}, false},
	{"lower case and trailing spaces", []exchange{says("ehlo client.example.net  \r\n", "250"), says("mail from:<a@example.net>  \r\n", "250 2.1.0"), says("rCpT tO:<b@example.org> \r\n", "250 2.1.5"), says("rset \r\n", "250 2.0.0")}, false},
}

// segmentations are the ways in which the same octets can arrive.
var segmentations = map[string]func(a *attacker, text string) error{
	"at once": func(a *attacker, text string) error { return a.send(text) },
	"octet by octet": func(a *attacker, text string) error {
		head := text[:min(len(text), 64)]
		for i := range head {
			if err := a.send(head[i : i+1]); err != nil {
				return err
			}
		}
		return a.send(text[len(head):])
	},
	"CR and LF apart": func(a *attacker, text string) error {
		for text != "" {
			i := strings.IndexByte(text, '\r') + 1
			if i == 0 {
				i = len(text)
			}
			if err := a.send(text[:i]); err != nil {
				return err
			}
			if text = text[i:]; len(text) < 200 {
				time.Sleep(200 * time.Microsecond)
			}
		}
		return nil
	},
}

// run has the dialogue. Sending may fail once the server has hung up; what
// counts is what it said.
func (p probe) run(a *attacker, send func(*attacker, string) error) error {
	for _, s := range p.steps {
		sent := make(chan error, 1)
		go func() { sent <- send(a, s.send) }()
		for i, want := range s.want {
			a.plain = want == "250"
			got, err := a.hear()
			if err != nil {
				return fmt.Errorf("%.60q, reply %d: %w", s.send, i+1, err)
			}
			if got.String() != want {
				return fmt.Errorf("%.60q, reply %d: %s %q, want %s", s.send, i+1, got, got.lines, want)
			}
		}
		if err := <-sent; err != nil && !p.ends {
			return err
		}
	}
	if p.ends {
		return a.ended()
	}
	if err := a.must(250, "NOOP"); err != nil {
		return fmt.Errorf("the session is out of step: %w", err)
	}
	return a.must(221, "QUIT")
}

// TestProtocolProbes has every probe in three segmentations, in the clear and
// through TLS.
func TestProtocolProbes(t *testing.T) {
	behind := relaytest.Start(t, relaytest.Script{})
	p := start(t, t.TempDir(), fmt.Sprintf("hostname = 'mx.example.org'\n[[domain]]\nname = 'example.org'\ndestinations = [%q]\netrn_from = ['192.0.2.1']\n", behind.Addr))
	ran := 0
	for _, probe := range probes {
		for name, send := range segmentations {
			if probe.name == "commands behind EHLO" && name != "at once" {
				continue // they are behind its reply if that was quick
			}
			for _, secure := range []bool{false, true} {
				a, err := attack(p.address)
				if err == nil && secure {
					if err = a.must(250, "EHLO client.example.net"); err == nil {
						a, err = a.encrypt()
					}
				}
				if err != nil {
					t.Fatal(err)
				}
				if err := probe.run(a, send); err != nil {
					t.Errorf("%s, %s, TLS %v: %v", probe.name, name, secure, err)
				}
				a.Close()
				ran++
			}
		}
	}
	// RFC 5321 section 4.1.1.1: our name comes first, and nothing of the client's is repeated.
	a, err := attack(p.address)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := a.ask("EHLO client.example.net"); err != nil || r.lines[0] != "mx.example.org" || strings.Contains(a.heard.String(), "client") {
		t.Errorf("EHLO: %q, %v", r.lines, err)
	}
	t.Logf("FIGURES %d probes, %d dialogues", len(probes), ran)
	for _, m := range behind.Messages() {
		if strings.Contains(m.From, "smuggled") {
			t.Errorf("the server behind got %s", m.From)
		}
	}
	for _, f := range slices.Concat(p.faults(), behind.Offences()) {
		t.Error(f)
	}
}

// TestPlaintextBehindSTARTTLS: what came in the clear is never executed after the
// handshake, however it is cut (CVE-2011-0411).
func TestPlaintextBehindSTARTTLS(t *testing.T) {
	p := start(t, t.TempDir(), "")
	for _, injected := range []string{"RSET\r\n", "MAIL FROM:<injected@evil.test>\r\n", "NOOP\r\nNOOP\r\n", "EHLO x\r\n", "N"} {
		a, err := attack(p.address)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.must(250, "EHLO client.example.net"); err != nil {
			t.Fatal(err)
		}
		if r, err := a.ask("STARTTLS\r\n" + strings.TrimSuffix(injected, "\r\n")); err != nil || r.String() != "554 5.5.1" {
			t.Errorf("%q behind STARTTLS: %s, %v", injected, r, err)
		}
		if err := a.ended(); err != nil {
			t.Errorf("%q behind STARTTLS: %v", injected, err)
		}
	}
	// What was said before the handshake is forgotten. RFC 3207 section 4.2
	a, err := attack(p.address)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.must(250, "EHLO client.example.net", "MAIL FROM:<a@example.net>", "RCPT TO:<b@example.org>"); err != nil {
		t.Fatal(err)
	}
	if a, err = a.encrypt(); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"DATA", "RCPT TO:<b@example.org>", "MAIL FROM:<a@example.net>", "STARTTLS"} {
		a.plain = false
		if r, err := a.ask(line); err != nil || r.String() != "503 5.5.1" {
			t.Errorf("%s after the handshake: %s, %v", line, r, err)
		}
	}
	// Without certificate there is no STARTTLS.
	p = start(t, t.TempDir(), "tls.starttls = false\n")
	if a, err = attack(p.address); err != nil {
		t.Fatal(err)
	}
	if r, err := a.ask("EHLO client.example.net"); err != nil || slices.Contains(r.lines, "STARTTLS") {
		t.Errorf("EHLO: %q, %v", r.lines, err)
	}
	if r, err := a.ask("STARTTLS"); err != nil || r.String() != "502 5.5.1" {
		t.Errorf("STARTTLS where there is none: %s, %v", r, err)
	}
}

// TestEarlyTalker: who does not wait for the greeting is no mail server. RFC 5321
// section 3.1
func TestEarlyTalker(t *testing.T) {
	p := start(t, t.TempDir(), "limits.greet_delay = 1\n")
	early, err := connect(p.address, "")
	if err != nil {
		t.Fatal(err)
	}
	late, err := connect(p.address, "")
	if err != nil {
		t.Fatal(err)
	}
	early.plain = false
	if r, err := early.ask("NOOP"); err != nil || r.String() != "554 5.5.1" {
		t.Errorf("who talks first is answered %s %q, %v", r, r.lines, err)
	}
	if err := early.ended(); err != nil {
		t.Error(err)
	}
	if r, err := late.hear(); err != nil || r.code != 220 {
		t.Errorf("who waits is answered %s %q, %v", r, r.lines, err)
	}
	if err := late.must(221, "QUIT"); err != nil {
		t.Error(err)
	}
}
