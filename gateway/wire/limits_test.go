package wire_test

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"spamcatcher/gateway/wire"
)

func TestErrors(t *testing.T) {
	s := protocolServer(t)
	c := s.session(t)
	c.send(strings.Repeat("FOOB\r\n", 25))
	for range 20 {
		c.expect("500 5.5.1")
	}
	c.expect("421 4.7.0")
	c.expect("")
}

func TestJunk(t *testing.T) {
	s := protocolServer(t)
	for verb, want := range map[string]string{"NOOP": "250 2.0.0", "RSET": "250 2.0.0", "VRFY root": "252 2.1.5", "HELP": "214 2.0.0", "ETRN example.com": "250 2.0.0"} {
		c := s.session(t)
		c.send(strings.Repeat(verb+"\r\n", 150))
		for range 100 {
			c.expect(want)
		}
		c.expect("421 4.7.0")
		c.expect("")
	}
	c := s.session(t)
	c.send(strings.Repeat("NOOP\r\n", 99))
	for range 99 {
		c.expect("250")
	}
	c.envelope()
	c.do("DATA", "354")
	c.do("x\r\n.", "250") // mail makes up for it
	for range 99 {
		c.do("NOOP", "250")
	}
	c.send(mail)
	c.expect("250")
	c.do("RCPT TO:<unknown@example.com>", "550 5.1.1")
	c.do("RCPT TO:<unknown@example.com>", "421 4.7.0")
	c.expect("")

	c = s.dial(t)
	c.expect("220")
	for range 100 {
		c.do("EHLO refused.example.net", "550 not you")
	}
	c.do("EHLO refused.example.net", "421 4.7.0")
	c.expect("")
	c = s.session(t)
	for range 100 {
		c.do("MAIL FROM:<class@example.net>", "451 4.0.0")
	}
	c.do("MAIL FROM:<class@example.net>", "421 4.7.0")
	c.expect("")
	c = s.session(t)
	c.envelope()
	for range 100 {
		c.do("BDAT 0", "250")
	}
	c.do("BDAT 0", "421 4.7.0")
	c.expect("")
}

func TestRecipients(t *testing.T) {
	s := listen(t, wire.Config{MaxRecipients: 100}, &recorder{})
	c := s.session(t)
	c.do("MAIL FROM:<a@example.net>", "250")
	go func(c net.Conn) {
		for i := range 100_000 {
			if _, err := fmt.Fprintf(c, "RCPT TO:<b%d@example.com>\r\n", i); err != nil {
				return
			}
		}
	}(c.Conn)
	for range 100 {
		c.expect("250 2.1.5")
	}
	for range 1000 {
		c.expect("452 4.5.3")
	}
	c.expect("421 4.7.0")
	c.expect("")
	c = s.session(t)
	c.do("MAIL FROM:<a@example.net>", "250")
	for range 100 {
		c.do("RCPT TO:<b@example.com>", "250")
	}
	c.do("RCPT TO:<b@example.com>", "452 4.5.3")
	c.do("DATA", "354")
	c.do("x\r\n.", "250")
	if got := s.take(); len(got) != 1 || len(got[0].to) != 100 {
		t.Errorf("%d messages", len(got))
	}
}

// TestPutOff: recipients that the session puts off do not end it, for those that
// it has taken would be lost with it, again and again.
func TestPutOff(t *testing.T) {
	s := listen(t, wire.Config{}, &recorder{onRcpt: func(_ *wire.Conn, to string) error {
		if strings.HasPrefix(to, "taken") {
			return nil
		}
		return smtpError(452, 4, 5, 3, "too many recipients")
	}})
	c := s.session(t)
	rcpts := func(n int) {
		t.Helper()
		c.send(mail + "RCPT TO:<taken@example.com>\r\n" + strings.Repeat("RCPT TO:<b@example.com>\r\n", n))
		c.expect("250 2.1.0")
		c.expect("250 2.1.5")
	}
	for range 2 { // a message makes up for them
		rcpts(1000)
		for range 1000 {
			c.expect("452 4.5.3")
		}
		c.do("DATA", "354")
		c.do("x\r\n.", "250 2.0.0")
	}
	rcpts(1001)
	for range 1000 {
		c.expect("452 4.5.3")
	}
	c.expect("421 4.7.0 too many recipients")
	c.expect("")
	if got := s.take(); len(got) != 2 {
		t.Errorf("%d messages", len(got))
	}
}

// TestSessions counts connections, in all and per client.
func TestSessions(t *testing.T) {
	p := newPipes()
	s := serve(t, p, wire.Config{MaxSessions: 7, MaxSessionsPerClient: 2}, &recorder{})
	open := make(map[string][]*client)
	for _, step := range []struct{ from, want string }{
		{"192.0.2.1", "220"}, {"192.0.2.1", "220"}, {"192.0.2.1", "421 4.7.0"}, {"192.0.2.2", "220"},
		{"2001:db8::1", "220"}, {"2001:db8::2", "220"}, {"2001:db8:0:0:ffff::3", "421 4.7.0"}, {"2001:db8:0:1::1", "220"},
		{"::ffff:192.0.2.1", "421 4.7.0"}, {"198.51.100.1", "220"}, {"198.51.100.2", "421 4.3.2"},
		{"192.0.2.1", "close"}, {"192.0.2.1", "220"}, {"198.51.100.2", "421 4.3.2"},
	} {
		if step.want == "close" {
			c := open[step.from][0]
			c.do("QUIT", "221")
			c.expect("")
			open[step.from] = open[step.from][1:]
			for s.Stats().Open != 6 { // go-smtp closes it a little later
				time.Sleep(time.Millisecond)
			}
			continue
		}
		c := newClient(t, p.dial(step.from))
		c.expect(step.want)
		if strings.HasPrefix(step.want, "421") {
			c.expect("")
			continue
		}
		open[step.from] = append(open[step.from], c)
	}
	if n := s.Stats().Refused; n != 5 {
		t.Errorf("%d refused, want 5", n)
	}
	for _, cs := range open {
		for _, c := range cs {
			c.Close()
		}
	}
}

func TestRefuse(t *testing.T) {
	p := newPipes()
	s := serve(t, p, wire.Config{Refuse: func(a netip.Addr) *wire.Reply {
		if a == netip.MustParseAddr("192.0.2.66") {
			return &wire.Reply{Code: 501, Text: "Connecting IP must have valid PTR record"}
		}
		return nil
	}}, &recorder{})
	c := newClient(t, p.dial("192.0.2.66"))
	if r := c.expect("501"); r != "501 Connecting IP must have valid PTR record" {
		t.Errorf("reply %q", r)
	}
	c.expect("")
	c = newClient(t, p.dial("192.0.2.67"))
	c.expect("220")
	c.Close()
	if s.sessions != 0 {
		t.Error("go-smtp began a session")
	}
}

// TestPanic: a panic of a hook or of the backend ends its session, nothing else.
func TestPanic(t *testing.T) {
	s := listen(t, wire.Config{ETRN: func(*wire.Conn, string) *wire.Reply { panic("in the hook") }}, &recorder{onMail: refuseByName})
	other := s.session(t)
	c := s.session(t)
	c.do("ETRN example.com", "421 4.3.0")
	c.expect("")
	c = s.session(t)
	c.do("MAIL FROM:<panic@example.net>", "421 4.")
	c.expect("")
	other.do("NOOP", "250")
	if n := s.Stats().Panics; n != 1 {
		t.Errorf("%d panics of ours, want 1", n)
	}
}

// TestTrustedSessions: a trusted client has the limit of all sessions only,
// and others do not profit from it.
func TestTrustedSessions(t *testing.T) {
	p := newPipes()
	serve(t, p, wire.Config{MaxSessions: 6, MaxSessionsPerClient: 2, Trusted: netip.Addr.IsLoopback}, &recorder{})
	for _, step := range []struct{ from, want string }{
		{"127.0.0.1", "220"}, {"127.0.0.1", "220"}, {"127.0.0.1", "220"}, {"::ffff:127.0.0.1", "220"},
		{"192.0.2.1", "220"}, {"192.0.2.1", "220"}, {"192.0.2.1", "421 4.3.2"}, {"127.0.0.1", "421 4.3.2"},
	} {
		c := newClient(t, p.dial(step.from))
		c.expect(step.want)
		defer c.Close()
	}
	q := newPipes()
	serve(t, q, wire.Config{MaxSessionsPerClient: 1, Trusted: netip.Addr.IsLoopback}, &recorder{})
	for _, step := range []struct{ from, want string }{
		{"::1", "220"}, {"::1", "220"}, {"::2", "220"}, {"192.0.2.1", "220"}, {"192.0.2.1", "421 4.7.0"},
	} {
		c := newClient(t, q.dial(step.from))
		c.expect(step.want)
		defer c.Close()
	}
}

// TestSharedLimits: what two listeners have open is counted together.
func TestSharedLimits(t *testing.T) {
	p, q := newPipes(), newPipes()
	one := serve(t, p, wire.Config{MaxSessions: 4, MaxSessionsPerClient: 2}, &recorder{})
	two := serveOn(t, one.Beside(q), &recorder{})
	for _, step := range []struct {
		to         *pipes
		from, want string
	}{
		{p, "192.0.2.1", "220"}, {q, "192.0.2.1", "220"}, {p, "192.0.2.1", "421 4.7.0"}, {q, "192.0.2.1", "421 4.7.0"},
		{q, "192.0.2.2", "220"}, {q, "192.0.2.2", "220"}, {p, "192.0.2.3", "421 4.3.2"},
	} {
		c := newClient(t, step.to.dial(step.from))
		c.expect(step.want)
		defer c.Close()
	}
	if a, b := one.Stats(), two.Stats(); a.Open != 1 || b.Open != 3 || a.Refused != 3 || b.Refused != 3 {
		t.Errorf("stats %+v and %+v", a, b)
	}
}
