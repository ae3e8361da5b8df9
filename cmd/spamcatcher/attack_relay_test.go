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
// could read as such. THIRD is the third
// party's domain, OURS is ours. None may be accepted.
var thirdParty = []struct{ path, reply string }{
	{`<u@THIRD>`, "550 5.7.1"},
	{`<u%THIRD@OURS>`, "550 5.7.1"},
	{`<u%THIRD@[127.0.0.1]>`, "550 5.7.1"},
	{`<"u@THIRD">`, "501 5.1.3"},
	{`<"u%THIRD">`, "501 5.1.3"},
	{`<"u@THIRD"@OURS>`, "553 5.1.3"},
	{`<u@THIRD@OURS>`, "501 5.1.3"},
	{`<u@THIRD@[127.0.0.1]>`, "501 5.1.3"},
	{`<@OURS:u@THIRD>`, "550 5.7.1"},
	{`<@[127.0.0.1]:u@THIRD>`, "550 5.7.1"},
	{`<THIRD!u>`, "501 5.1.3"},
	{`<THIRD!u@OURS>`, "550 5.7.1"},
	{`<OURS!THIRD!u>`, "501 5.1.3"},
	{`<u%THIRD>`, "501 5.1.3"},
	{`<u%THIRD%OURS@OURS>`, "550 5.7.1"},
	{`<"u\@THIRD"@OURS>`, "553 5.1.3"},
	{`<u@THIRD.>`, "501 5.1.3"},
	{`<u@THIRD,a@OURS>`, "501 5.1.3"},
	{`<a@OURS,u@THIRD>`, "501 5.1.3"},
	{`<u@THIRD>,<a@OURS>`, "501 5.1.3"},
	{`<a@OURS> <u@THIRD>`, "555 5.5.4"},
	{`<u@[192.0.2.5]>`, "550 5.7.1"},
	{`<u@192.0.2.5>`, "550 5.7.1"},
	{`<u@[IPv6:2001:db8::5]>`, "550 5.7.1"},
	{`<u>`, "501 5.1.3"},
	{`<u@>`, "501 5.1.3"},
	{`<@THIRD>`, "501 5.1.3"},
	{`<<u@THIRD>>`, "501 5.1.3"},
	{`<a@OURS@THIRD>`, "501 5.1.3"},
	{`<u@OURS.THIRD>`, "550 5.7.1"},
	{"<u@THIRD\x00@OURS>", "501 5.1.3"},
	{`<a@OURS.>`, "501 5.1.3"},    // RFC 5321 section 4.1.2: no domain ends with a dot
	{`<a@sub.OURS>`, "550 5.7.1"}, // the domain was configured, not its tree
	{`<"a b"@OURS>`, "553 5.1.3"},
	{`<a(u@THIRD)@OURS>`, "501 5.1.3"},
	{`<a@OURS(u@THIRD)>`, "501 5.1.3"},
	{`<u@THIRD#@OURS>`, "501 5.1.3"},
	{`<@OURS,@THIRD:u%THIRD@OURS>`, "550 5.7.1"},
	{`<"u%THIRD"@OURS>`, "550 5.7.1"},
}

// ourOwn are unusual forms of recipients who are ours, with what the server
// behind must be told. The hostname is one of ours, so that RFC 5321 section
// 4.5.1's postmaster is as well.
var ourOwn = []struct{ path, rcpt string }{
	{`<a@OURS>`, "a@OURS"},
	{`<A@EXAMPLE.ORG>`, "A@EXAMPLE.ORG"},
	{`<@THIRD,@relay.THIRD:a@OURS>`, "a@OURS"}, // appendix C: a route is ignored
	{`<postmaster>`, "postmaster@OURS"},
	{`<"a"@OURS>`, "a@OURS"},
}

// wideRoutes are forms of our own domain that become routes once a server behind
// us makes compatible characters equal (Unicode's NFKC). All are refused.
var wideRoutes = []string{"<u％THIRD@OURS>", "<u＠THIRD@OURS>", "<THIRD！u@OURS>", "<u﹪THIRD@OURS>", "<u﹫THIRD@OURS>"}

// TestNotAnOpenRelay tries to reach third parties: 39 forms of recipient from 4
// senders. The servers behind record every recipient that they are given.
func TestNotAnOpenRelay(t *testing.T) {
	names := strings.NewReplacer("THIRD", "third.example", "OURS", "example.org")
	if len(thirdParty) != 39 {
		t.Fatalf("%d forms, want 39", len(thirdParty))
	}
	for name, config := range map[string]string{
		"relay_domains": "hostname = 'mx.example.org'\noutgoing_smtp = ['BEHIND']\nrelay_domains = ['example.org']\n",
		"tree":          "hostname = 'mx.example.org'\noutgoing_smtp = ['OUT']\n[[domain]]\nname = '.example.org'\ndestinations = ['BEHIND']\n",
		"destinations":  "hostname = 'mx.example.org'\noutgoing_smtp = ['OUT']\n[[domain]]\nname = 'example.org'\ndestinations = ['BEHIND']\n",
	} {
		t.Run(name, func(t *testing.T) {
			behind, wayOut := relaytest.Start(t, relaytest.Script{}), relaytest.Start(t, relaytest.Script{})
			p := start(t, t.TempDir(), strings.NewReplacer("BEHIND", behind.Addr, "OUT", wayOut.Addr).Replace(config))
			tried, refused, accepted := 0, 0, 0
			for _, sender := range []string{"", "a@foreign.example", "a@example.org", "user@[127.0.0.1]"} {
				for _, form := range thirdParty {
					path := names.Replace(form.path)
					if name == "tree" && form.path == "<a@sub.OURS>" {
						continue // there it is ours
					}
					tried++
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
					// 503 where what was named is no recipient at all, 554 where it is a refused one.
					if r, err := a.ask("DATA"); err != nil || r.String() != "554 5.5.1" && r.String() != "503 5.5.1" {
						t.Errorf("%s from <%s>: DATA: %s, %v", path, sender, r, err)
					}
					a.Close()
				}
				for _, form := range wideRoutes {
					a, err := attack(p.address)
					if err != nil {
						t.Fatal(err)
					}
					if err := a.must(250, "EHLO client.example.net", "MAIL FROM:<"+sender+"> SMTPUTF8"); err != nil {
						t.Fatal(err)
					}
					if r, err := a.ask("RCPT TO:" + names.Replace(form)); err != nil || r.String() != "550 5.7.1" {
						t.Errorf("%s from <%s>: %s %q, %v", form, sender, r, r.lines, err)
					}
					a.Close()
				}
				for _, form := range ourOwn {
					path := names.Replace(form.path)
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
			t.Logf("FIGURES %d of %d attempts refused, %d messages for our own taken", refused, tried, accepted)
			waitFor(t, "the messages for our own", func() bool { return behind.Count() >= accepted })
			want := map[string]int{}
			for _, form := range ourOwn {
				rcpt := names.Replace(form.rcpt)
				if name == "tree" { // the nearest domain that is served
					rcpt = strings.Replace(rcpt, "postmaster@", "postmaster@mx.", 1)
				}
				want["RCPT TO:<"+rcpt+">"] += 4
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
