package wire_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"spamcatcher/gateway/wire"
)

// message5k is a message of about 5 KB.
var message5k = "From: a@example.net\r\nTo: b@example.com\r\nSubject: benchmark\r\n\r\n" + strings.Repeat("The quick brown fox jumps over the lazy dog, again and again and again.\r\n", 68)

// BenchmarkSession receives messages of 5 KB over loopback: one session each,
// with the commands pipelined, and many in one session.
func BenchmarkSession(b *testing.B) {
	r := &recorder{}
	s := listen(b, wire.Config{MaxSessionsPerClient: -1, MaxErrors: -1}, r)
	begin := "MAIL FROM:<a@example.net> SIZE=5000\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"
	rest := message5k + ".\r\n"
	check := func(b *testing.B, n int) {
		if got := r.take(); len(got) != n || got[n-1].body != message5k || got[0].body != message5k {
			b.Fatalf("%d messages received, want %d as they were sent", len(got), n)
		}
	}
	transaction := func(b *testing.B, c net.Conn, buf []byte) {
		roundTrip(b, c, buf, begin, "354 end with <CR><LF>.<CR><LF>\r\n")
		roundTrip(b, c, buf, rest, "250 2.0.0 OK: queued\r\n")
	}
	b.Run("each", func(b *testing.B) {
		buf := make([]byte, 4096)
		b.ReportAllocs()
		for range b.N {
			c, err := net.Dial("tcp", s.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			roundTrip(b, c, buf, "", "ESMTP\r\n")
			roundTrip(b, c, buf, hello, "CHUNKING\r\n")
			transaction(b, c, buf)
			roundTrip(b, c, buf, "QUIT\r\n", "bye\r\n")
			c.Close()
		}
		check(b, b.N)
	})
	b.Run("one", func(b *testing.B) {
		buf := make([]byte, 4096)
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		roundTrip(b, c, buf, "", "ESMTP\r\n")
		roundTrip(b, c, buf, hello, "CHUNKING\r\n")
		b.ReportAllocs()
		b.ResetTimer()
		for range b.N {
			transaction(b, c, buf)
		}
		check(b, b.N)
	})
}

// roundTrip sends and reads until the replies end as expected.
func roundTrip(b *testing.B, c net.Conn, buf []byte, send, end string) {
	if send != "" {
		if _, err := io.WriteString(c, send); err != nil {
			b.Fatal(err)
		}
	}
	n := 0
	for !strings.HasSuffix(string(buf[:n]), end) {
		m, err := c.Read(buf[n:])
		if n += m; err != nil {
			b.Fatalf("%v after %q, want %q", err, buf[:n], end)
		}
	}
}

// BenchmarkBigMessage receives a message of 25 MB.
func BenchmarkBigMessage(b *testing.B) {
	r := &recorder{}
	s := listen(b, wire.Config{MaxSessionsPerClient: -1}, r)
	body := strings.Repeat(strings.Repeat("x", 76)+"\r\n", 25<<20/78)
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 4096)
	roundTrip(b, c, buf, "", "ESMTP\r\n")
	roundTrip(b, c, buf, hello, "CHUNKING\r\n")
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		roundTrip(b, c, buf, fmt.Sprintf("MAIL FROM:<a@example.net> SIZE=%d\r\nRCPT TO:<b@example.com>\r\nDATA\r\n", len(body)), "\n354 end with <CR><LF>.<CR><LF>\r\n")
		roundTrip(b, c, buf, body+".\r\n", "250 2.0.0 OK: queued\r\n")
		if got := r.take(); len(got) != 1 || got[0].body != body {
			b.Fatal("not received as sent")
		}
	}
}
