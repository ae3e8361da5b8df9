package wire_test

import (
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"spamcatcher/gateway/wire"
)

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
