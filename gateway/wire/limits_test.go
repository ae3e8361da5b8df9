package wire_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
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

// timed runs a test in virtual time, over a connection in memory.
func timed(t *testing.T, cfg wire.Config, f func(t *testing.T, s *server, c *client)) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		s := serve(t, p, cfg, &recorder{})
		c := newClient(t, p.dial("192.0.2.1"))
		f(t, s, c)
		c.Close()
		time.Sleep(time.Hour) // until whoever writes has seen it
	})
}

// since asserts how much virtual time has passed.
func since(t *testing.T, begin time.Time, least, most time.Duration) {
	t.Helper()
	if d := time.Since(begin); d < least || d > most {
		t.Errorf("took %v, want %v to %v", d, least, most)
	}
}

func TestCommandTimeout(t *testing.T) {
	timed(t, wire.Config{}, func(t *testing.T, s *server, c *client) {
		begin := time.Now()
		c.expect("220")
		go func() { // an octet now and then does not help
			for range 100 {
				time.Sleep(time.Minute)
				if _, err := c.Write([]byte("x")); err != nil {
					return
				}
			}
		}()
		c.expect("421 4.4.2")
		c.expect("")
		since(t, begin, 5*time.Minute, 5*time.Minute+time.Second)
	})
}

func TestSessionTimeout(t *testing.T) {
	timed(t, wire.Config{MaxJunk: -1}, func(t *testing.T, s *server, c *client) {
		begin := time.Now()
		c.expect("220")
		go func() {
			for err := error(nil); err == nil; _, err = c.Write([]byte("NOOP\r\n")) {
				time.Sleep(4*time.Minute + 17*time.Second)
			}
		}()
		for range 28 {
			c.expect("250 2.0.0")
		}
		c.expect("421 4.4.2")
		c.expect("")
		since(t, begin, 2*time.Hour, 2*time.Hour+5*time.Minute)
	})
}

// slow sends a message of n parts, one every pause.
func slow(t *testing.T, c *client, part string, n int, pause time.Duration) {
	c.expect("220")
	c.do("EHLO client.example.net", "250")
	c.envelope()
	c.do("DATA", "354")
	go func() {
		for range n {
			if _, err := c.Write([]byte(part)); err != nil {
				return
			}
			time.Sleep(pause)
		}
		c.Write([]byte(".\r\n"))
	}()
}

func TestSlowButSteady(t *testing.T) {
	timed(t, wire.Config{}, func(t *testing.T, s *server, c *client) {
		begin := time.Now()
		slow(t, c, strings.Repeat("x", 5498)+"\r\n", 360, 10*time.Second) // 550 B/s for an hour
		c.expect("250 2.0.0 OK")
		since(t, begin, time.Hour, time.Hour+time.Second)
	})
}

func TestTooSlow(t *testing.T) {
	timed(t, wire.Config{}, func(t *testing.T, s *server, c *client) {
		begin := time.Now()
		slow(t, c, strings.Repeat("x", 2498)+"\r\n", 360, 10*time.Second) // 250 B/s
		c.expect("421 4.4.2")
		since(t, begin, time.Minute, 90*time.Second)
	})
}

func TestStall(t *testing.T) {
	for pause, want := range map[time.Duration]string{179 * time.Second: "250 2.0.0", 181 * time.Second: "421 4.4.2"} {
		timed(t, wire.Config{}, func(t *testing.T, s *server, c *client) {
			begin := time.Now()
			slow(t, c, "one\r\n", 1, pause)
			c.expect(want)
			since(t, begin, 179*time.Second, 180*time.Second)
			if n := len(s.take()); n == 1 != (want[0] == '2') {
				t.Errorf("%d messages", n)
			}
		})
	}
}

// TestCutMessage: what was to be a message is never taken for commands.
func TestCutMessage(t *testing.T) {
	s := listen(t, wire.Config{}, &recorder{})
	c := s.session(t)
	c.envelope()
	c.do("DATA", "354")
	c.send("one\r\nRSET\r\n" + mail)
	c.Conn.(*net.TCPConn).CloseWrite()
	c.expect("")
	if n := len(s.take()); n != 0 {
		t.Errorf("%d messages", n)
	}
}

// TestLinger: a client that is still sending when it is refused can finish its
// write and read why.
func TestLinger(t *testing.T) {
	s := listen(t, wire.Config{}, &recorder{})
	c := s.session(t)
	c.send("NOOP\n")
	for range 5 {
		time.Sleep(10 * time.Millisecond)
		c.send(strings.Repeat("more\r\n", 5000))
	}
	c.expect("500 5.5.2")
	c.expect("")
}

func TestGreetDelay(t *testing.T) {
	timed(t, wire.Config{GreetDelay: 2 * time.Second}, func(t *testing.T, s *server, c *client) {
		begin := time.Now()
		c.expect("220")
		since(t, begin, 2*time.Second, 2*time.Second)
		c.do("EHLO client.example.net", "250")
	})
	timed(t, wire.Config{GreetDelay: 2 * time.Second}, func(t *testing.T, s *server, c *client) {
		time.Sleep(time.Second)
		c.send("EHLO client.example.net\r\n")
		c.expect("554 5.5.1")
		c.expect("")
	})
}

func TestHandshakeTimeout(t *testing.T) {
	testTLS() // outside of the bubble: it is shared
	timed(t, wire.Config{TLS: testTLS}, func(t *testing.T, s *server, c *client) {
		c.expect("220")
		c.do("EHLO client.example.net", "250")
		begin := time.Now()
		c.do("STARTTLS", "220")
		c.expect("")
		since(t, begin, 30*time.Second, 30*time.Second)
	})
}

func TestReplyTimeout(t *testing.T) {
	timed(t, wire.Config{}, func(t *testing.T, s *server, c *client) {
		begin := time.Now()
		for s.Stats().Open > 0 || time.Since(begin) == 0 { // nobody reads the banner
			time.Sleep(time.Second)
		}
		since(t, begin, time.Minute, time.Minute+time.Second)
	})
}

// exhausted has no file descriptors for a while.
type exhausted struct {
	*pipes
	until time.Time
	tries int
}

func (e *exhausted) Accept() (net.Conn, error) {
	if time.Now().Before(e.until) {
		e.tries++
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return e.pipes.Accept()
}

func TestAcceptBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &exhausted{pipes: newPipes(), until: time.Now().Add(time.Minute)}
		serve(t, e, wire.Config{}, &recorder{})
		c := newClient(t, e.dial("192.0.2.1"))
		defer c.Close()
		c.expect("220")
		if e.tries < 10 || e.tries > 100 {
			t.Errorf("%d tries in a minute", e.tries)
		}
	})
}

// TestDrain: idle sessions are told to go, a message under way is finished.
func TestDrain(t *testing.T) {
	judging, judged := make(chan bool), make(chan bool)
	s := listen(t, wire.Config{TLS: testTLS}, &recorder{onData: func(*wire.Conn) error {
		judging <- true
		<-judged
		return nil
	}})
	idle, encrypted, data, judge := s.session(t), s.session(t).startTLS(), s.session(t), s.session(t)
	early := s.dial(t)
	early.expect("220")
	early.send("EH")
	data.envelope()
	data.do("DATA", "354")
	data.send("half")
	judge.envelope()
	judge.do("DATA", "354")
	judge.send("whole\r\n.\r\n")
	<-judging
	drained := make(chan error)
	go func() { drained <- s.Drain(t.Context()) }()
	for _, c := range []*client{idle, encrypted, early} {
		c.expect("421 4.3.2")
		if c != encrypted {
			c.expect("")
		}
	}
	if err := <-s.served; err == nil {
		t.Error("Accept goes on")
	}
	s.served <- nil
	if c, err := net.Dial("tcp", s.Addr().String()); err == nil {
		c.Close()
		t.Error("connections are still taken")
	}
	judged <- true
	judge.expect("250 2.0.0")
	judge.expect("421 4.3.2")
	data.send(" and half\r\n.\r\n")
	<-judging
	select {
	case err := <-drained:
		t.Fatalf("drained with a message under way: %v", err)
	default:
	}
	judged <- true
	data.expect("250 2.0.0")
	data.expect("421 4.3.2")
	data.expect("")
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if n := len(s.take()); n != 2 {
		t.Errorf("%d messages, want 2", n)
	}
}

// TestClose: what Drain could not end, Close does.
func TestClose(t *testing.T) {
	s := listen(t, wire.Config{}, &recorder{})
	c := s.session(t)
	c.envelope()
	c.do("DATA", "354")
	c.send("half")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Drain(ctx); err == nil {
		t.Error("drained with a message under way")
	}
	s.Close()
	if _, err := c.r.ReadByte(); err == nil {
		t.Error("the connection goes on")
	}
	if err := s.Drain(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestNew(t *testing.T) {
	for name, cfg := range map[string]wire.Config{"no host name": {}, "bad host name": {Hostname: "a b"}, "negative time": {Hostname: "a.example", BlockTimeout: -1}, "no size": {Hostname: "a.example", MaxMessageBytes: -1}, "little memory": {Hostname: "a.example", MaxMessageBytes: 1 << 20, Memory: 1 << 19}} {
		if _, err := wire.New(newPipes(), cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestFacts: what a session can learn of its connection.
func TestFacts(t *testing.T) {
	p := newPipes()
	asked := make(chan string, 2)
	r := &recorder{onMail: func(c *wire.Conn, _ string) error {
		name, esmtp := c.Hello()
		asked <- fmt.Sprint(c.Client(), " ", name, " ", esmtp, " ", c.TLS() != nil, " ", len(c.ID()), " ", c.Message() == nil)
		return nil
	}}
	serve(t, p, wire.Config{}, r)
	c := newClient(t, p.dial("::ffff:192.0.2.9"))
	defer c.Close()
	c.expect("220")
	c.do("HELO one.example.net", "250")
	c.do("MAIL FROM:<>", "250")
	c.do("RCPT TO:<b@example.com>", "250")
	c.do("DATA", "354")
	c.do("x\r\n.", "250") // its message is not to be had afterwards
	c.do("EHLO two.example.net", "250")
	c.do("MAIL FROM:<>", "250")
	if got, want := <-asked, "192.0.2.9:40000 one.example.net false false 16 true"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := <-asked, "192.0.2.9:40000 two.example.net true false 16 true"; got != want {
		t.Errorf("%q, want %q", got, want)
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
