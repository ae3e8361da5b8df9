package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"spamcatcher/gateway/relay/relaytest"
)

// hiddenName is what no client and no sender may ever hear of.
const hiddenName = "hidden-backend.internal.test"

// A customer is a domain whose server behaves badly and talks too much.
type customer struct {
	name      string
	settings  string                            // of its [[domain]]
	script    func(who string) relaytest.Script // who: what it says of itself
	dead      bool                              // nobody listens
	encrypted bool                              // it shows a certificate with the name in it
	elsewhere string                            // a destination that is not this machine's
	rcpt      string                            // what RCPT is answered; "" is accepted
	fails     bool                              // mail for it comes back in the end
	late      bool                              // its sender is warned before
}

// saying is a script that answers a verb with a reply.
func saying(verb, reply string) func(who string) relaytest.Script {
	return func(who string) relaytest.Script {
		talk := strings.ReplaceAll(reply, "WHO", who)
		s := relaytest.Script{Greeting: "220 " + who + " ESMTP ready", Answer: func(line string) string {
			word, _, _ := strings.Cut(strings.ToUpper(line), " ")
			if slices.Contains(strings.Split(verb, " or "), word) {
				return talk
			}
			if word == "EHLO" {
				return "250-" + who + " greets you\r\n250-PIPELINING\r\n250-X-" + hiddenName + "\r\n250 8BITMIME"
			}
			return ""
		}}
		switch verb {
		case "banner":
			s.Greeting = talk
		case "end":
			s.End = func(relaytest.Message) string { return talk }
		}
		return s
	}
}

// customers are all the ways in which a server can give itself away.
var customers = []customer{
	{name: "fine", script: saying("end", "250 2.0.0 taken by WHO")},
	{name: "unknown", script: saying("RCPT", "550-5.1.1 WHO\r\n550-5.1.1 no such user here\r\n550 5.1.1 says WHO"), fails: true},
	{name: "unknown-uncoded", script: saying("RCPT", "550 no such user at WHO"), fails: true},
	{name: "moved", script: saying("RCPT", "551 5.1.6 user moved, please try <u@"+hiddenName+">"), fails: true},
	{name: "sender", script: saying("MAIL", "553 5.7.1 WHO does not like you"), fails: true},
	{name: "data", script: saying("DATA", "554 5.7.1 WHO takes no data"), fails: true},
	{name: "end", script: saying("end", "552-5.2.2 WHO\r\n552 5.2.2 mailbox full, says WHO"), fails: true},
	{name: "hello", script: saying("EHLO or HELO", "554 WHO does not talk to you"), settings: "lifetime = '3s'", fails: true, late: true},
	{name: "busy", script: saying("RCPT", "450 4.2.1 WHO is busy"), settings: "lifetime = '3s'", fails: true, late: true},
	{name: "busy-end", script: saying("end", "451-4.3.0 WHO\r\n451 4.3.0 says WHO"), settings: "lifetime = '3s'", fails: true, late: true},
	{name: "banner", script: saying("banner", "554 5.3.2 WHO has no service"), settings: "lifetime = '3s'", fails: true, late: true},
	{name: "closing", script: saying("banner", "421 4.3.2 WHO is closing"), settings: "lifetime = '3s'", fails: true, late: true},
	{name: "garbage", script: saying("banner", "WHO is no mail server"), settings: "lifetime = '3s'", fails: true, late: true},
	{name: "endless", script: saying("RCPT", strings.Repeat("550-5.1.1 WHO\r\n", 5000)+"550 5.1.1 WHO"), settings: "lifetime = '3s'", fails: true, late: true},
	{name: "drop", script: saying("end", relaytest.Drop+"451 4.3.0 WHO"), settings: "lifetime = '3s'", fails: true, late: true},
	{name: "dead", dead: true, settings: "lifetime = '3s'", fails: true, late: true},
	{name: "nameless", elsewhere: hiddenName + ":2626", settings: "lifetime = '3s'", fails: true, late: true},
	{name: "clear", script: saying("end", "250 WHO"), settings: "lifetime = '3s'\ntls = 'verify'", fails: true, late: true},
	{name: "certificate", script: saying("end", "250 WHO"), encrypted: true, settings: "lifetime = '3s'\ntls = 'verify'", fails: true, late: true},
	// Recipients that are asked for.
	{name: "asked", script: saying("RCPT", "550 5.1.1 WHO knows no such user"), settings: "verify = 'callout'", rcpt: "550 5.1.1"},
	{name: "asked-busy", script: saying("RCPT", "450 4.2.1 WHO is busy"), settings: "verify = 'callout'\nunverified = 'defer'", rcpt: "450 4.1.1"},
	{name: "asked-policy", script: saying("RCPT", "550 5.7.1 WHO has a policy"), settings: "verify = 'callout'\nunverified = 'defer'", rcpt: "450 4.1.1"},
	{name: "asked-null", script: saying("MAIL", "550 5.7.1 WHO wants a sender"), settings: "verify = 'callout'\nunverified = 'defer'", rcpt: "450 4.1.1"},
	{name: "asked-banner", script: saying("banner", "554 WHO"), settings: "verify = 'callout'\nunverified = 'defer'", rcpt: "450 4.1.1"},
	{name: "asked-garbage", script: saying("RCPT", "WHO"), settings: "verify = 'callout'\nunverified = 'defer'", rcpt: "450 4.1.1"},
	{name: "asked-drop", script: saying("RCPT", relaytest.Drop+"550-WHO"), settings: "verify = 'callout'\nunverified = 'defer'", rcpt: "450 4.1.1"},
	{name: "asked-dead", dead: true, settings: "verify = 'callout'\nunverified = 'defer'", rcpt: "450 4.1.1"},
	{name: "asked-nameless", elsewhere: hiddenName + ":2626", settings: "verify = 'callout'\nunverified = 'defer'", rcpt: "450 4.1.1"},
	{name: "asked-accepted", dead: true, settings: "verify = 'callout'\nlifetime = '3s'", fails: true, late: true},
}

// TestHiddenServers searches every octet that goes out for what nobody may know:
// the names, addresses and ports of the servers behind. What goes out is every
// reply to a client, and everything that the way out for notifications is sent.
func TestHiddenServers(t *testing.T) {
	t.Parallel() // it mostly waits
	alone(t)
	outside := relaytest.Start(t, relaytest.Script{})
	config := "hostname = 'mx.example.net'\noutgoing_smtp = ['" + outside.Addr + "']\nreport = true\n[queue]\nwarn = '1s'\n"
	secrets := []string{regexp.QuoteMeta(hiddenName), "hidden-backend", `\b198\.18\.77\.`, `\b2626\b`}
	for i, c := range customers {
		address := c.elsewhere
		if address == "" {
			// Listened on, then closed or opened again: so that it is known what it says of itself.
			l, err := net.Listen("tcp", fmt.Sprintf("198.18.77.%d:0", i+1))
			if err != nil {
				t.Fatal(err)
			}
			address = l.Addr().String()
			l.Close()
			_, port, _ := net.SplitHostPort(address)
			secrets = append(secrets, `\b`+port+`\b`)
			if !c.dead {
				script := c.script(hiddenName + " [" + strings.Replace(address, ":", "] port ", 1))
				if c.encrypted {
					script.TLS, _ = relaytest.Certificate(t, hiddenName)
					script.Answer = nil
				}
				relaytest.StartAt(t, address, script)
			}
		}
		config += fmt.Sprintf("[[domain]]\nname = '%s.example.org'\ndestinations = ['%s']\netrn_from = ['127.0.0.1']\n%s\n", c.name, address, c.settings)
	}
	p := start(t, t.TempDir(), config)

	var heard bytes.Buffer // all that clients were told
	client := func(source string) *attacker {
		t.Helper()
		a, err := connect(p.address, source)
		if err == nil {
			_, err = a.hear()
		}
		if err == nil {
			err = a.must(250, "EHLO client.example.net")
		}
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for _, c := range customers {
		a := client("")
		recipient := "someone@" + c.name + ".example.org"
		if err := a.must(250, "MAIL FROM:<outsider@example.com>"); err != nil {
			t.Fatal(err)
		}
		r, err := a.ask("RCPT TO:<" + recipient + ">")
		want := c.rcpt
		if want == "" {
			want = "250 2.1.5"
		}
		if err != nil || r.String() != want {
			t.Errorf("%s: RCPT: %s %q, %v; want %s", c.name, r, r.lines, err, want)
		}
		if r.code == 250 {
			err := a.must(354, "DATA")
			if err == nil {
				err = a.must(250, "From: outsider@example.com\r\nSubject: for "+c.name+"\r\n\r\nhello\r\n.")
			}
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		for _, line := range []string{"VRFY " + recipient, "EXPN " + recipient, "ETRN " + c.name + ".example.org", "RSET", "HELP"} {
			if _, err := a.ask(line); err != nil {
				t.Errorf("%s: %s: %v", c.name, line, err)
			}
		}
		heard.Write(a.heard.Bytes())
		a.Close()
		// ETRN of a stranger.
		a = client("198.18.0.9")
		for _, node := range []string{c.name + ".example.org", "@" + c.name + ".example.org", "#" + c.name + ".example.org"} {
			if r, err := a.ask("ETRN " + node); err != nil || r.String() != "459 4.7.1" {
				t.Errorf("ETRN %s of a stranger: %s, %v", node, r, err)
			}
		}
		heard.Write(a.heard.Bytes())
		a.Close()
	}
	// A message that has gone in a circle.
	a := client("")
	if r, err := deliver(a, "outsider@example.com", []string{"someone@fine.example.org"}, strings.Repeat("Received: from a by b; Mon, 16 Nov 2026 09:12:44 +0100\n", 120)+"\nround and round\n"); err != nil || r.String() != "554 5.4.6" {
		t.Errorf("a loop: %s, %v", r, err)
	}
	heard.Write(a.heard.Bytes())

	// What cannot be delivered comes back.
	failed, late := map[string]int{}, map[string]int{}
	count := func() bool {
		clear(failed)
		clear(late)
		for _, m := range outside.Messages() {
			text := m.Text()
			of := regexp.MustCompile(`(?m)^Final-Recipient: rfc822; *someone@(\S+)\.example\.org\r?$`).FindStringSubmatch(text)
			if of == nil {
				t.Fatalf("to the outside went\n%s", text)
			}
			switch {
			case strings.Contains(text, "\r\nAction: failed\r\n"):
				failed[of[1]]++
			case strings.Contains(text, "\r\nAction: delayed\r\n"):
				late[of[1]]++
			}
		}
		for _, c := range customers {
			if c.fails && failed[c.name] == 0 {
				return false
			}
		}
		return true
	}
	for end := time.Now().Add(25 * time.Second); !count() && time.Now().Before(end); time.Sleep(700 * time.Millisecond) {
		// The pauses of a minute and more are shortened by the administrator.
		if _, errs, code := cli(t, "", "queue", "flush", "--state", p.state); code != 0 {
			t.Fatal(errs)
		}
	}
	for _, c := range customers {
		want := map[bool]int{true: 1}
		if failed[c.name] != want[c.fails] || late[c.name] != want[c.late] {
			t.Errorf("%s: %d notifications of failure and %d of delay, want %d and %d", c.name, failed[c.name], late[c.name], want[c.fails], want[c.late])
		}
	}

	for _, m := range outside.Messages() {
		heard.WriteString(m.From + "\r\n" + strings.Join(m.To, "\r\n") + "\r\n" + string(m.Data))
	}
	heard.WriteString(strings.Join(outside.Lines(), "\r\n"))
	out := heard.Bytes()
	for _, word := range regexp.MustCompile(`[A-Za-z0-9+/]{40,}={0,2}`).FindAll(out, -1) { // and what is wrapped in base64
		if plain, err := base64.StdEncoding.DecodeString(string(word)); err == nil {
			out = append(slices.Clip(out), plain...)
		}
	}
	hits := 0
	for _, secret := range secrets {
		for _, at := range regexp.MustCompile("(?i)"+secret).FindAllIndex(out, -1) {
			hits++
			t.Errorf("%s goes out: %q", secret, out[max(0, at[0]-200):min(len(out), at[1]+100)])
		}
	}
	t.Logf("FIGURES %d octets went out, of them %d notifications; %d secrets, %d hits", len(out), outside.Count(), len(secrets), hits)
	for _, f := range slices.Concat(p.faults(), outside.Offences()) {
		t.Error(f)
	}
}
