package main

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"spamcatcher/gateway/relay/relaytest"
)

// TestETRNBringsPostfixItsMail takes a real Postfix behind the gateway down,
// sends mail for it and for another customer who is down, starts it again, and
// lets it send ETRN: all its mail arrives at once, and only its own.
func TestETRNBringsPostfixItsMail(t *testing.T) {
	postfix := relaytest.StartPostfix(t)
	other := closedPort(t)
	p := start(t, t.TempDir(), fmt.Sprintf(`
[[domain]]
name = "example.org"
destinations = [%q]
etrn_from = ["127.0.0.3"]
[[domain]]
name = "example.com"
destinations = [%q]
`, postfix.Addr, other))
	mail := func(to, subject string) {
		t.Helper()
		if err := send(p.address, "karin@lind.example.net", []string{to}, strings.Replace(goodMessage, "Thursday's meeting", subject, 1)); err != nil {
			t.Fatal(err)
		}
	}
	arrived := func() int {
		all, err := postfix.Mail()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range all {
			if strings.Contains(m, "not for you") {
				t.Error("the mail of another customer arrived")
			}
		}
		return len(all)
	}
	mail("tomas@example.org", "before")
	waitFor(t, "mail while Postfix is up", func() bool { return arrived() == 1 })

	postfix.Stop()
	const n = 50
	for i := range n {
		mail("tomas@example.org", fmt.Sprintf("while you were away %d", i))
		mail("eva@example.com", fmt.Sprintf("not for you %d", i))
	}
	waitFor(t, "a destination that is down", func() bool {
		out, _, _ := cli(t, "", "queue", "destinations", "--state", p.state)
		return strings.Count(out, "down for") == 2
	})

	postfix.Start()
	time.Sleep(time.Second)
	if got := arrived(); got != 1 {
		t.Logf("%d messages arrived before ETRN: a destination was asked again in that moment", got-1)
	}
	conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 3)}}).Dial("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	c := talk(t, conn)
	c.expect("220")
	c.say("EHLO next.example.net")
	c.expect("250")
	begin := time.Now()
	// In one group with what a client may send besides: RFC 2920.
	c.say("RSET\r\nETRN example.org\r\nETRN example.com\r\nNOOP")
	c.expect("250 2.0.0")
	c.expect("25")
	c.expect("459 4.7.1")
	c.expect("250 2.0.0")
	waitFor(t, "all of it", func() bool { return arrived() == n+1 })
	t.Logf("%d messages were in Postfix's mailboxes %v after ETRN", n, time.Since(begin).Round(time.Millisecond))
	c.say("QUIT")
	c.expect("221")
	if out, _, _ := cli(t, "", "queue", "list", "--domain", "example.com", "--state", p.state); !strings.Contains(out, fmt.Sprint(n, " in the queue")) {
		t.Errorf("the other customer's mail:\n%s", out)
	}
}
