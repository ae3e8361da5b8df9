package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"spamcatcher/gateway/lookup/lookuptest"
	"spamcatcher/gateway/relay/relaytest"
	"spamcatcher/queue"
)

// ispZone is what DNS says in TestISP. Clients are addresses of this machine.
const ispZone = `
	. NS a.root.example.

	; a mail server as it should be
	1.1.0.127.in-addr.arpa. PTR mail.good.example.
	mail.good.example.      A   127.0.1.1
	good.example.           MX  10 mail.good.example.
	good.example.           TXT "v=spf1 ip4:127.0.1.1 -all"
	wellington.nz.          A   127.0.1.1
	2.1.0.127.in-addr.arpa. SERVFAIL

	; 127.0.1.3 has no name, and this one is another's
	4.1.0.127.in-addr.arpa. PTR mail.good.example.

	strict.example.         MX  10 mail.strict.example.
	strict.example.         TXT "v=spf1 ip4:192.0.2.1 -all"
	soft.example.           A   192.0.2.1
	soft.example.           TXT "v=spf1 ip4:192.0.2.1 ~all"
	forwarder.example.      A   192.0.2.1
	forwarder.example.      TXT "v=spf1 -all"
	trouble.example.        SERVFAIL

	; lists: the entries that they test themselves with, and two clients
	2.0.0.127.zen.spamhaus.org. A   127.0.0.2
	5.1.0.127.zen.spamhaus.org. A   127.0.0.4
	2.0.0.127.bl.spamcop.net.   A   127.0.0.2
	6.1.0.127.bl.spamcop.net.   A   127.0.0.2
	6.1.0.127.bl.spamcop.net.   TXT "Blocked - see https://lists.example/bl?127.0.1.6"
	7.1.0.127.zen.spamhaus.org. A   127.255.255.254
	dbltest.com.dbl.spamhaus.org. A 127.0.1.2
	5.1.0.127.in-addr.arpa.     PTR mail.good.example.
	6.1.0.127.in-addr.arpa.     PTR mail.good.example.
	7.1.0.127.in-addr.arpa.     PTR mail.good.example.
	open.example.               A   192.0.2.1
`

// TestISP drives examples/isp.toml: a session for each row of the policy, with
// replies compared to the letter, then the three ways to treat suspects.
func TestISP(t *testing.T) {
	dns := lookuptest.Serve(t, ispZone)
	store := relaytest.Start(t, relaytest.Script{})
	here := closedPort(t)
	example, err := os.ReadFile("../../gateway/examples/isp.toml")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(
		`"127.0.0.1:2525"`, `"`+here+`"`,
		`"store1.isp.example", "store2.isp.example"`, `"`+store.Addr+`"`,
		`"127.0.0.1", "[::1]:53"`, `"`+dns.Addr+`"`,
		"198.51.100.0/24", "127.0.9.0/24",
		"203.0.113.25", "127.0.1.8",
		"[policy]", "[policy]\ntest_local = true",
	).Replace(string(example)) + toStderr + "level = \"error\"\n"
	config, state := write(t, "isp.toml", text), t.TempDir()
	clock := &shifted{}
	runHere(t, config, state, clock.now)
	waitFor(t, "the lists to test themselves", func() bool {
		asked := strings.Join(dns.Asked(), " ")
		return strings.Contains(asked, "2.0.0.127.bl.spamcop.net") && strings.Contains(asked, "dbltest.com.dbl.spamhaus.org")
	})

	const (
		banner   = "220 mx.isp.example ESMTP"
		grey     = "451 4.7.1 Greylisting enabled, try again in 1 minutes"
		ok, then = "250 2.0.0 ", "354 " // what a reply begins with
	)
	to := func(domain string) string { return "RCPT TO:<a@" + domain + ">" }
	from := func(domain string) string { return "MAIL FROM:<b@" + domain + ">" }
	type step struct{ say, hear string }
	session := func(name, client string, steps ...step) {
		t.Run(name, func(t *testing.T) {
			a, err := connect(here, client)
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			for _, s := range steps {
				if s.say != "" {
					a.plain = a.plain || strings.HasPrefix(s.say, "EHLO")
					if err := a.send(s.say + "\r\n"); err != nil {
						t.Fatal(err)
					}
				}
				heard, err := a.hear()
				if err != nil {
					t.Fatalf("after %q: %v", s.say, err)
				}
				got := fmt.Sprintf("%d %s", heard.code, strings.Join(heard.lines, " "))
				if strings.HasSuffix(s.hear, " ") { // the rest is an id, or says nothing
					if !strings.HasPrefix(got, s.hear) {
						t.Errorf("after %q: %q, want %q...", s.say, got, s.hear)
					}
				} else if got != s.hear {
					t.Errorf("after %q: %q, want %q", s.say, got, s.hear)
				}
			}
			if last := steps[len(steps)-1].hear; last[0] == '5' || strings.HasPrefix(last, "451") {
				if err := a.ended(); err != nil {
					t.Errorf("after the refusal: %v", err)
				}
			}
		})
	}
	hello, end := step{"EHLO mail.good.example", "250 "}, step{"QUIT", "221 "}
	greet := step{"", banner}
	yes := func(say string) step { return step{say, "250 "} }

	// 1. PTR
	session("no PTR", "127.0.1.3", step{"", "501 5.7.25 Connecting IP must have valid PTR record"})
	session("no PTR, but exempt", "127.0.1.8", greet, hello, end)
	session("trusted", "127.0.9.9", greet, hello, yes(from("nosuch.example")), yes(to("isp.example")), end)
	session("PTR of another", "127.0.1.4", greet, hello, end)
	session("PTR that nobody can tell", "127.0.1.2", greet, hello, end)
	// 2. sender domain
	session("no such domain", "127.0.1.1", greet, hello, step{from("nosuch.example"), "501 5.1.8 nosuch.example is invalid or DNS says does not exist"})
	session("null sender", "127.0.1.1", greet, hello, yes("MAIL FROM:<>"), end)
	session("a domain that nobody can tell of", "127.0.1.1", greet, hello, yes(from("trouble.example")), end)
	// 3. SPF
	session("SPF fail", "127.0.1.1", greet, hello, step{from("strict.example"), "550 5.7.23 127.0.1.1 does not pass SPF requirements for domain strict.example"})
	session("SPF softfail", "127.0.1.1", greet, hello, yes(from("soft.example")), end)
	session("SPF fail, but exempt", "127.0.1.1", greet, hello, yes(from("forwarder.example")), end)
	// 4. greylisting
	first := []step{greet, hello, yes(from("good.example"))}
	session("new pair", "127.0.1.1", append(first, step{to("isp.example"), grey})...)
	session("exempt by suffix", "127.0.1.1", greet, hello, yes(from("wellington.nz")), yes(to("isp.example")), end)
	session("a domain without greylisting", "127.0.1.1", append(first, yes(to("open.customers.isp.example")), end)...)
	clock.pass(30 * time.Second)
	session("too early", "127.0.1.1", append(first, step{to("isp.example"), grey})...)
	clock.pass(31 * time.Second)
	session("after a minute", "127.0.1.1", append(first, yes(to("isp.example")), end)...)
	clock.pass(23 * time.Hour)
	session("within a day", "127.0.1.1", append(first, yes(to("isp.example")), end)...)
	clock.pass(time.Hour)
	session("after a day", "127.0.1.1", append(first, step{to("isp.example"), grey})...)
	// 5. DNSBL
	for _, client := range []string{"127.0.1.5", "127.0.1.6"} {
		session("new pair of "+client, client, greet, hello, yes("MAIL FROM:<"+client+"@open.example>"), step{to("isp.example"), grey})
	}
	clock.pass(61 * time.Second)
	session("listed, text of ours", "127.0.1.5", greet, hello, yes("MAIL FROM:<127.0.1.5@open.example>"), step{to("isp.example"), "550 5.7.1 127.0.1.5 is listed, see https://check.spamhaus.org/"})
	session("listed, text of the list", "127.0.1.6", greet, hello, yes("MAIL FROM:<127.0.1.6@open.example>"), step{to("isp.example"), "550 5.7.1 Blocked - see https://lists.example/bl?127.0.1.6"})
	session("listed, but only scored for this domain", "127.0.1.5", greet, hello, yes("MAIL FROM:<127.0.1.5@open.example>"), yes(to("open.customers.isp.example")), end)

	// Last, because a list that says so is left alone until it passes its test.
	session("new pair of 127.0.1.7", "127.0.1.7", greet, hello, yes("MAIL FROM:<127.0.1.7@open.example>"), step{to("isp.example"), grey})
	clock.pass(61 * time.Second)
	session("an error code is no listing", "127.0.1.7", greet, hello, yes("MAIL FROM:<127.0.1.7@open.example>"), yes(to("isp.example")), end)

	// Suspects, from a sender beyond reproach.
	suspects := []string{"delete", "tag", "hold"}
	for _, way := range suspects {
		session("new pair for "+way, "127.0.1.1", append(first, step{to(way + ".customers.isp.example"), grey})...)
	}
	clock.pass(61 * time.Second)
	for _, way := range suspects {
		session("suspect for "+way, "127.0.1.1", append(first, yes(to(way+".customers.isp.example")), step{"DATA", then},
			step{strings.ReplaceAll(suspectMessage, "\n", "\r\n") + ".", ok}, end)...)
	}
	waitFor(t, "the tagged message", func() bool { return store.Count() == 1 })
	m := store.Messages()[0]
	for _, want := range []string{"Subject: [spamcatcher] Your inheritance\r\n", "X-SpamCatcher-Flag: YES\r\n", "from mail.good.example (mail.good.example [127.0.1.1])", "spf=pass", "iprev=pass"} {
		if !strings.Contains(m.Text(), want) {
			t.Errorf("no %q in the tagged message:\n%s", want, m.Text())
		}
	}
	if !strings.Contains(m.To[0], "a@tag.customers.isp.example") {
		t.Errorf("the message for tag went to %v", m.To)
	}
	waitFor(t, "the end of its delivery", func() bool { return len(listed(t, state, queue.Filter{Active: true})) == 0 })
	held := listed(t, state, queue.Filter{Held: true})
	if len(held) != 1 || held[0].Recipients[0].Address != "a@hold.customers.isp.example" {
		t.Errorf("held: %+v", held)
	}
	if all := listed(t, state, queue.Filter{}); len(all) != 1 {
		t.Errorf("what should be dropped is in the queue: %+v", all)
	}
}
