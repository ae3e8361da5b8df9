package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"spamcatcher/gateway/relay/relaytest"
	"spamcatcher/queue"
)

// suspectMessage is spam of some 18 points: above the thresholds for discarding
// and holding in examples/mxfeed.toml, below that for refusing.
const suspectMessage = `From: "Bernard Okoro" <bernard.okoro1974@freemail.example>
Reply-To: <claims.desk@another-mail.example>
To: undisclosed-recipients:;
Subject: Your inheritance
Date: Mon, 16 Nov 2026 04:11:09 +0100
Message-ID: <1@freemail.example>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

Dear friend,

I am attorney to your late relative, who left the sum of twelve million dollars in
a bank here. Please send me your full name and telephone number, and the fund can
be transferred to you as his next of kin.

Bernard Okoro
`

// A shifted clock is the wall clock, moved on by the test.
type shifted struct{ by atomic.Int64 }

func (c *shifted) now() time.Time { return time.Now().Round(0).Add(time.Duration(c.by.Load())) }

func (c *shifted) pass(d time.Duration) { c.by.Add(int64(d)) }

// runHere runs the gateway inside the test, with a clock of the test's, until
// the test ends.
func runHere(t *testing.T, config, state string, clock func() time.Time) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, &global{config: config, state: state}, nil, clock) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the gateway ended with %v", err)
		}
	})
	waitFor(t, "the gateway", func() bool {
		select {
		case err := <-ended:
			ended <- nil
			t.Fatalf("the gateway did not start: %v", err)
		default:
		}
		c, err := dialControl(filepath.Join(state, "control.sock"))
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// TestMXFeed is a week of the hoster in examples/mxfeed.toml: three customers
// with policies of their own; two's server is down for six days and then asks
// for its mail by ETRN, one's moves to another address.
func TestMXFeed(t *testing.T) {
	secret, _ := relaytest.Certificate(t, "unrelated.example")
	one, three := relaytest.Start(t, relaytest.Script{}), relaytest.Start(t, relaytest.Script{TLS: secret})
	outside := relaytest.Start(t, relaytest.Script{})
	two, here := closedPort(t), closedPort(t)
	print := sha256.Sum256(secret.Certificates[0].Certificate[0])
	example, err := os.ReadFile("../../gateway/examples/mxfeed.toml")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(
		"127.0.0.1:2525", here,
		"smarthost.example.net:25", outside.Addr,
		`"mail1.one.example", "mail2.one.example:2525"`, `"`+one.Addr+`"`,
		"home.two.example", two,
		"203.0.113.30:25", three.Addr,
		"198.51.100.0/28", "127.0.0.2",
		regexp.MustCompile(`9a:[0-9a-f:]+`).FindString(string(example)), hex.EncodeToString(print[:]),
	).Replace(string(example)) + toStderr + "level = \"error\"\n"
	config, state := write(t, "mxfeed.toml", text), t.TempDir()
	clock := &shifted{}
	runHere(t, config, state, clock.now)

	mail := func(subject string, to ...string) {
		t.Helper()

		message := strings.Replace(goodMessage, "Thursday's meeting", subject, 1)
		if err := send(here, "karin@lind.example.org", to, message); err != nil {
			t.Fatalf("%s: %v", subject, err)
		}
	}
	has := func(s *relaytest.Server, subject string) int {
		n := 0
		for _, m := range s.Messages() {
			if strings.Contains(m.Text(), "\r\nSubject: "+subject) {
				n++
			}
		}
		return n
	}

	// Nobody else's mail is relayed.
	if err := send(here, "karin@lind.example.org", []string{"b@elsewhere.example"}, goodMessage); err == nil || !strings.Contains(err.Error(), "5.7.1 relay not permitted") {
		t.Errorf("a foreign domain: %v", err)
	}

	// One transaction, three policies: one drops it, two gets it tagged, three holds it.
	if err := send(here, "b.okoro@freemail.example", []string{"a@one.example", "b@two.example", "c@three.example"}, suspectMessage); err != nil {
		t.Fatalf("spam for three: %v", err)
	}
	if err := send(here, "b.okoro@freemail.example", []string{"a@one.example"}, spamMessage); err == nil {
		t.Error("one takes spam beyond doubt")
	}
	held := listed(t, state, queue.Filter{Held: true})
	if len(held) != 1 || held[0].Recipients[0].Address != "c@three.example" || !strings.Contains(held[0].Hold, "spam_quarantine") {
		t.Errorf("held: %+v", held)
	}
	waiting := listed(t, state, queue.Filter{Domain: "two.example"})
	if len(waiting) != 1 || len(waiting[0].Recipients) != 1 || waiting[0].Lane != "two" {
		t.Errorf("waiting for two: %+v", waiting)
	}

	// The first day.
	mail("first day", "a@one.example", "c@three.example")
	mail("for two", "b@two.example")
	mail("for two's subdomain", "b@office.two.example.org")
	waitFor(t, "the first day's mail", func() bool { return has(one, "Re: first day") == 1 && has(three, "Re: first day") == 1 })
	if m := three.Messages()[0]; !m.TLS {
		t.Error("three's mail went in plain text")
	}

	// Six days, in which two's server is down and everybody else gets their mail.
	for day := 1; day <= 6; day++ {
		for part := range 4 {
			clock.pass(6 * time.Hour)
			subject := fmt.Sprintf("day %d.%d", day, part)
			mail(subject, "a@one.example", "b@two.example")
			waitFor(t, subject, func() bool { return has(one, "Re: "+subject) == 1 })
		}
	}
	warnings := func() (n int) {
		for _, m := range outside.Messages() {
			if strings.Contains(m.Text(), "Action: delayed") {
				n++
			}
		}
		return n
	}
	// Of the 27 messages for two (the spam is one of them) those of the last day are not late yet.
	waitFor(t, "the delay warnings", func() bool { return warnings() >= 22 })
	for _, m := range outside.Messages() {
		if strings.Contains(m.Text(), "Action: failed") || m.From[:len("MAIL FROM:<>")] != "MAIL FROM:<>" {
			t.Errorf("to the outside went %s\n%s", m.From, m.Text())
		}
	}

	// One's server has moved: one line, and what waits follows.
	one.Close()
	mail("moving day", "a@one.example")
	moved := relaytest.Start(t, relaytest.Script{})
	if err := os.WriteFile(config, []byte(strings.Replace(text, one.Addr, moved.Addr, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the mail at the new address", func() bool { return has(moved, "Re: moving day") == 1 })

	// Two's server is back, and asks. Nobody else can.
	back := relaytest.StartAt(t, two, relaytest.Script{})
	stranger := dial(t, here)
	stranger.expect("220")
	stranger.say("EHLO home.two.example")
	if greeting := stranger.expect("250"); !strings.Contains(greeting, "250-ETRN\r\n") {
		t.Errorf("EHLO: %q", greeting)
	}
	for _, argument := range []string{"two.example", "#two", "@two.example.org", "one.example", "elsewhere.example"} {
		stranger.say("ETRN " + argument)
		if reply := stranger.expect("459 4.7.1"); strings.ContainsAny(reply[9:], "0123456789") {
			t.Errorf("ETRN %s by a stranger: %q", argument, reply)
		}
	}
	if n := back.Count(); n > 0 {
		t.Errorf("a stranger released %d messages", n)
	}
	conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).Dial("tcp", here)
	if err != nil {
		t.Fatal(err)
	}
	owner := talk(t, conn)
	owner.expect("220")
	owner.say("EHLO home.two.example")
	owner.expect("250")
	begin := time.Now()
	owner.say("ETRN #two")
	reply := owner.expect("253 2.0.0")
	if !strings.Contains(reply, " 27 ") {
		t.Errorf("ETRN: %q, want 27 messages", reply)
	}
	waitFor(t, "two's mail", func() bool { return back.Count() == 27 })
	t.Logf("27 messages of six days arrived %v after ETRN", time.Since(begin).Round(time.Millisecond))
	for _, m := range back.Messages() {
		for _, to := range m.To {
			if !strings.Contains(to, "two.example") {
				t.Errorf("two got mail for %s", to)
			}
		}
	}
	if n := has(back, "[spamcatcher] Your inheritance"); n != 1 {
		t.Errorf("the suspect arrived tagged %d times", n)
	}
	// Nothing is left but what three is to look at.
	waitFor(t, "an empty queue", func() bool { return len(listed(t, state, queue.Filter{Active: true})) == 0 })
	clock.pass(time.Minute)
	owner.say("ETRN two.example")
	owner.expect("251 2.0.0")
	for _, s := range []*relaytest.Server{one, moved, three, back, outside} {
		for _, o := range s.Offences() {
			t.Errorf("a server behind saw %s", o)
		}
	}
}

// listed is the queue of a running gateway.
func listed(t *testing.T, state string, f queue.Filter) (items []queue.Item) {
	t.Helper()
	c, err := dialControl(filepath.Join(state, "control.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.List(t.Context(), f, func(it *queue.Item) bool { items = append(items, *it); return true }); err != nil {
		t.Fatal(err)
	}
	return items
}
