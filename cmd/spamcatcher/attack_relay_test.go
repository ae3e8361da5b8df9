package main

import (
	"fmt"
	"strings"
	"testing"

	"spamcatcher/gateway/relay/relaytest"
)

// thirdParty are the ways in which recipients elsewhere have been written so that
// some server passed the mail on to them (RFC 2505 section 2.1, RFC 5321 section
// 3.6 and appendix F.2), and forms of our own domain that a server behind us
// could read as such. %[1]s is the third party's domain, %[2]s is ours. None may be accepted.
var thirdParty = []struct{ path, reply string }{
	{`<u@%[1]s>`, "550 5.7.1"},
	{`<u%%%[1]s@%[2]s>`, "550 5.7.1"},
	{`<u%%%[1]s@[127.0.0.1]>`, "550 5.7.1"},
	{`<"u@%[1]s">`, "501 5.1.3"},
	{`<"u%%%[1]s">`, "501 5.1.3"},
	{`<"u@%[1]s"@%[2]s>`, "553 5.1.3"},
	{`<u@%[1]s@%[2]s>`, "501 5.1.3"},
	{`<u@%[1]s@[127.0.0.1]>`, "501 5.1.3"},
	{`<@%[2]s:u@%[1]s>`, "550 5.7.1"},
	{`<@[127.0.0.1]:u@%[1]s>`, "550 5.7.1"},
	{`<%[1]s!u>`, "501 5.1.3"},
	{`<%[1]s!u@%[2]s>`, "550 5.7.1"},
	{`<%[2]s!%[1]s!u>`, "501 5.1.3"},
	{`<u%%%[1]s>`, "501 5.1.3"},
	{`<u%%%[1]s%%%[2]s@%[2]s>`, "550 5.7.1"},
	{`<"u\@%[1]s"@%[2]s>`, "553 5.1.3"},
	{`<u@%[1]s.>`, "501 5.1.3"},
	{`<u@%[1]s,a@%[2]s>`, "501 5.1.3"},
	{`<a@%[2]s,u@%[1]s>`, "501 5.1.3"},
	{`<u@%[1]s>,<a@%[2]s>`, "501 5.1.3"},
	{`<a@%[2]s> <u@%[1]s>`, "555 5.5.4"},
	{`<u@[192.0.2.5]>`, "550 5.7.1"},
	{`<u@192.0.2.5>`, "550 5.7.1"},
	{`<u@[IPv6:2001:db8::5]>`, "550 5.7.1"},
	{`<u>`, "501 5.1.3"},
	{`<u@>`, "501 5.1.3"},
	{`<@%[1]s>`, "501 5.1.3"},
	{`<<u@%[1]s>>`, "501 5.1.3"},
	{`<a@%[2]s@%[1]s>`, "501 5.1.3"},
	{`<u@%[2]s.%[1]s>`, "550 5.7.1"},
	{"<u@%[1]s\x00@%[2]s>", "501 5.1.3"},
	{`<a@%[2]s.>`, "501 5.1.3"},   // RFC 5321 section 4.1.2: no domain ends with a dot
	{`<a@sub.%[2]s>`, "550 5.7.1"}, // the domain was configured, not its tree
	{`<"a b"@%[2]s>`, "553 5.1.3"},
	{`<a(u@%[1]s)@%[2]s>`, "501 5.1.3"},
	{`<a@%[2]s(u@%[1]s)>`, "501 5.1.3"},
	{`<u@%[1]s#@%[2]s>`, "501 5.1.3"},
	{`<@%[2]s,@%[1]s:u%%%[1]s@%[2]s>`, "550 5.7.1"},
	{`<"u%%%[1]s"@%[2]s>`, "550 5.7.1"},
}

// ourOwn are unusual forms of recipients who are ours, with what the server
// behind must be told. The hostname is one of ours, so that RFC 5321 section
// 4.5.1's postmaster is as well.
var ourOwn = []struct{ path, rcpt string }{
	{`<a@%[2]s>`, "a@%[2]s"},
	{`<A@EXAMPLE.ORG>`, "A@EXAMPLE.ORG"},
	{`<@%[1]s,@relay.%[1]s:a@%[2]s>`, "a@%[2]s"}, // appendix C: a route is ignored
	{`<postmaster>`, "postmaster@%[2]s"},
	{`<"a"@%[2]s>`, "a@%[2]s"},
}

// TestNotAnOpenRelay tries to reach third parties: 39 forms of recipient from 4
// senders. The servers behind record every recipient that they are given.
func TestNotAnOpenRelay(t *testing.T) {
	const third, ours = "third.example", "example.org"
	if len(thirdParty) != 39 {
		t.Fatalf("%d forms, want 39", len(thirdParty))
	}
	for name, config := range map[string]string{
		"relay_domains": "hostname = \"mx.example.org\"\noutgoing_smtp = [%[1]q]\nrelay_domains = [\"example.org\"]\n",
		"destinations":  "hostname = \"mx.example.org\"\noutgoing_smtp = [%[2]q]\n[[domain]]\nname = \"example.org\"\ndestinations = [%[1]q]\n",
	} {
		t.Run(name, func(t *testing.T) {
			behind, wayOut := relaytest.Start(t, relaytest.Script{}), relaytest.Start(t, relaytest.Script{})
			text := fmt.Sprintf(config, behind.Addr, wayOut.Addr)
			text, _, _ = strings.Cut(text, "%!(EXTRA")
			p := start(t, t.TempDir(), text)
			refused, accepted := 0, 0
			for _, sender := range []string{"", "a@foreign.example", "a@" + ours, "user@[127.0.0.1]"} {
				for _, form := range thirdParty {
					path := fmt.Sprintf(form.path, third, ours)
					a, err := attack(p.address)
					if err != nil {
						t.Fatal(err)
					}
					if err := a.must(250, "EHLO client.example.net", "MAIL FROM:<"+sender+">"); err != nil {
						t.Fatal(err)
					}
					switch r, err := a.ask("RCPT TO:" + path); {
					case err != nil:
						t.Errorf("%s from <%s>: %v", path, sender, err)
					case r.String() != form.reply:
						t.Errorf("%s from <%s>: %s %q, want %s", path, sender, r, r.lines, form.reply)
					default:
						refused++
					}
					if r, err := a.ask("DATA"); err != nil || r.String() != "554 5.5.1" {
						t.Errorf("%s from <%s>: DATA: %s, %v", path, sender, r, err)
					}
					a.Close()
				}
				for _, form := range ourOwn {
					path := fmt.Sprintf(strings.ReplaceAll(form.path, `EXAMPLE.ORG`, `EXAMPLE.ORG`)+"%.0[1]s%.0[2]s", third, ours)
					a, err := attack(p.address)
					if err != nil {
						t.Fatal(err)
					}
					err = a.must(250, "EHLO client.example.net", "MAIL FROM:<"+sender+">", "RCPT TO:"+path)
					if err == nil {
						err = a.must(354, "DATA")
					}
					if err == nil {
						err = a.must(250, "Subject: "+path+"\r\n\r\nfor us\r\n.")
					}
					if err != nil {
						t.Errorf("%s from <%s>: %v", path, sender, err)
					} else {
						accepted++
					}
					a.Close()
				}
			}
			t.Logf("%d of %d attempts refused, %d messages for our own taken", refused, 4*len(thirdParty), accepted)
			waitFor(t, "the messages for our own", func() bool { return behind.Count() >= accepted })
			want := map[string]int{}
			for _, form := range ourOwn {
				want["RCPT TO:<"+fmt.Sprintf(form.rcpt+"%.0[1]s%.0[2]s", third, ours)+">"] += 4
			}
			got := map[string]int{}
			for _, line := range behind.Lines() {
				if strings.HasPrefix(strings.ToUpper(line), "RCPT") {
					got[line]++
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("the server behind was given\n%v, want\n%v", got, want)
			}
			for _, line := range wayOut.Lines() {
				t.Errorf("something went out: %s", line)
			}
			for _, f := range p.faults() {
				t.Error(f)
			}
		})
	}
}
