package wire_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"spamcatcher/gateway/wire"
)

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
