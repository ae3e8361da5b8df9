package wire_test

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"spamcatcher/gateway/wire"
)

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
				defer wg.Wait()
				defer close(stop)
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
