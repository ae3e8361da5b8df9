package wire_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
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

// TestEviction: who keeps others out by being slow has to leave, whatever it is
// slow with; who is not, or has not had its time, stays.
func TestEviction(t *testing.T) {
	const patience = 10 * time.Second
	for name, test := range map[string]struct {
		begin []string // each is answered
		drip  string   // sent again and again
		pause time.Duration
		after time.Duration
	}{
		"silent":           {nil, "", 0, patience},
		"trickled line":    {nil, "N", time.Second, patience},
		"stalled message":  {[]string{mail, rcpt, "DATA\r\n"}, "", 0, patience},
		"trickled message": {[]string{mail, rcpt, "DATA\r\n"}, "x", time.Second, patience},
		"stalled chunk":    {[]string{mail, rcpt}, "BDAT 100000\r\nx", time.Hour, patience},
		"many chunks":      {[]string{mail, rcpt}, "BDAT 1\r\nx", 8 * time.Second, time.Minute},
		"many commands":    {nil, "NOOP\r\n", 8 * time.Second, time.Minute},
		"many recipients":  {[]string{mail}, rcpt, 8 * time.Second, time.Minute},
		"handshake":        {[]string{"STARTTLS\r\n"}, "\x16\x03\x01", time.Hour, patience},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, q := newPipes(), newPipes()
				first := serve(t, p, wire.Config{MaxSessions: 2, MaxSessionsPerClient: -1, TLS: testTLS}, &recorder{})
				second := serveOn(t, first.Beside(q), first.recorder)
				var wg sync.WaitGroup
				defer wg.Wait()
				defer func() { first.Close(); second.Close() }()
				dial := func(p *pipes, want string) *client {
					c := newClient(t, p.dial("192.0.2.1"))
					c.expect(want)
					return c
				}
				// One that sends a large message, at twice the least rate.
				busy := dial(p, "220")
				busy.do("EHLO client.example.net", "250")
				busy.envelope()
				busy.do("DATA", "354")
				stop := make(chan struct{})
				wg.Go(func() {
					for {
						select {
						case <-stop:
							busy.send(".\r\n")
							return
						case <-time.After(time.Second):
							busy.send(strings.Repeat("x", 998) + "\r\n")
						}
					}
				})
				c := dial(q, "220")
				c.do("EHLO client.example.net", "250")
				for _, line := range test.begin {
					c.send(line)
					c.reply()
				}
				begin := time.Now()
				wg.Go(func() { io.Copy(io.Discard, c.Conn) })
				wg.Go(func() {
					for test.drip != "" {
						if _, err := io.WriteString(c.Conn, test.drip); err != nil {
							return
						}
						time.Sleep(test.pause)
					}
				})
				time.Sleep(test.after - time.Second)
				dial(p, "421 4.3.2 too many").expect("") // it has not had its time yet
				for time.Since(begin) < test.after+patience && second.Stats().Open == 1 {
					newClient(t, p.dial("192.0.2.1")).Close()
					time.Sleep(100 * time.Millisecond)
				}
				if second.Stats().Open != 0 {
					t.Errorf("still there after %v", time.Since(begin))
				}
				close(stop)
				busy.expect("250 2.0.0")
			})
		})
	}
}

// TestOfUse: who sends mail, though slowly or in small pieces, is let finish in a
// full house.
func TestOfUse(t *testing.T) {
	for name, round := range map[string]func(c *client){
		"messages": func(c *client) {
			c.envelope()
			c.do("DATA", "354")
			c.do("x\r\n.", "250")
			for range 4 {
				time.Sleep(8 * time.Second)
				c.do("NOOP", "250")
			}
		},
		"chunks": func(c *client) {
			for range 12 {
				time.Sleep(3 * time.Second)
				c.send("BDAT 2000\r\n" + strings.Repeat("x", 1998) + "\r\n")
				c.expect("250")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPipes()
				s := serve(t, p, wire.Config{MaxSessions: 1}, &recorder{})
				defer s.Close()
				c := newClient(t, p.dial("192.0.2.1"))
				c.expect("220")
				c.do("EHLO client.example.net", "250")
				if name == "chunks" {
					c.envelope()
				}
				stop := make(chan struct{})
				var wg sync.WaitGroup
				wg.Go(func() {
					for {
						select {
						case <-stop:
							return
						case <-time.After(time.Second):
							newClient(t, p.dial("192.0.2.7")).Close()
						}
					}
				})
				for range 5 {
					round(c)
				}
				close(stop)
				wg.Wait()
			})
		})
	}
}

func TestMemory(t *testing.T) {
	s := listen(t, wire.Config{Memory: 1 << 20, MaxMessageBytes: 1000_000}, &recorder{})
	half := strings.Repeat(strings.Repeat("x", 998)+"\r\n", 300)
	a, b := s.session(t), s.session(t)
	a.envelope()
	a.do("DATA", "354")
	a.send(half)
	for s.Stats().Memory < int64(len(half)) {
		time.Sleep(time.Millisecond)
	}
	b.envelope()
	b.do("DATA", "354")
	b.send(half + half + half + ".\r\nNOOP\r\n")
	b.expect("451 4.3.1")
	b.expect("250 2.0.0 ok")
	b.envelope()
	b.send(fmt.Sprintf("BDAT %d LAST\r\n%sNOOP\r\n", 3*len(half), half+half+half))
	b.expect("451 4.3.1")
	b.expect("250 2.0.0 ok")
	a.send(".\r\n")
	a.expect("250 2.0.0 OK")
	b.envelope()
	b.do("DATA", "354")
	b.send(half + ".\r\n")
	b.expect("250 2.0.0 OK")
	if got := s.take(); len(got) != 2 || got[0].body != half || got[1].body != half {
		t.Errorf("received %d messages", len(got))
	}
	if m := s.Stats().Memory; m != 0 {
		t.Errorf("%d octets still counted", m)
	}
}

// TestMemoryHogs: one client cannot take all the memory that there is for
// messages, and many who take it and then are slow have to give it back.
func TestMemoryHogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		s := serve(t, p, wire.Config{Memory: 1 << 20, MaxMessageBytes: 200_000}, &recorder{})
		var wg sync.WaitGroup
		defer wg.Wait()
		defer s.Close()
		dial := func(from string) *client {
			c := newClient(t, p.dial(from))
			c.expect("220")
			c.do("EHLO client.example.net", "250")
			c.envelope()
			c.do("DATA", "354")
			return c
		}
		hog := func(from string, octets int) {
			c := dial(from)
			c.send(strings.Repeat(strings.Repeat("x", 998)+"\r\n", octets/1000))
			wg.Go(func() { io.Copy(io.Discard, c.Conn) })
		}
		try := func(want string) {
			t.Helper()
			c := dial("198.51.100.1")
			c.send(strings.Repeat(strings.Repeat("y", 998)+"\r\n", 150) + ".\r\n")
			c.expect(want)
			c.do("QUIT", "221")
		}
		quiet := newClient(t, p.dial("203.0.113.1")) // has nothing to give back
		quiet.expect("220")
		for range 20 {
			hog("192.0.2.1", 100_000)
		}
		if m := s.Stats().Memory; m < 100_000 || m > 1<<18 {
			t.Errorf("one client has %d octets", m)
		}
		try("250 2.0.0")
		for i := range 20 {
			hog(fmt.Sprintf("192.0.2.%d", 2+i), 190_000)
		}
		if m := s.Stats().Memory; m < 800_000 || m > 1<<20 {
			t.Errorf("all clients have %d octets", m)
		}
		try("451 4.3.1") // they may still go on
		time.Sleep(10 * time.Second)
		try("250 2.0.0")
		try("250 2.0.0")
		quiet.do("NOOP", "250")
	})
}

// TestEndlessMessage sends without end.
func TestEndlessMessage(t *testing.T) {
	s := listen(t, wire.Config{MaxMessageBytes: 1 << 20}, &recorder{})
	c := s.session(t)
	c.envelope()
	c.do("DATA", "354")
	go func() {
		line := strings.Repeat(strings.Repeat("x", 998)+"\r\n", 64)
		for {
			if _, err := c.Write([]byte(line)); err != nil {
				return
			}
		}
	}()
	c.expect("552 5.3.4")
	c.expect("")
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
