package wire_test

import (
	"fmt"
	"strings"
	"testing"

	"spamcatcher/gateway/wire"
)

// The two halves around the dot of every end of data that some server was seen
// to believe in.
var (
	before = []string{"\r\n", "\n", "\r", "\r\r\n", "\n\r", "\r\n\x00", "\r\x00\n", "\n\n", "\r\n\n"}
	after  = []string{"\r\n", "\n", "\r", "\r\r\n", "\n\r", "\r\x00\n", " \r\n", "\x00\r\n"}
)

const (
	outer    = "From: <a@example.net>\r\nSubject: outer\r\n\r\nouter body"
	smuggled = "MAIL FROM:<smuggler@example.org>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nSubject: inner\r\n\r\ninner\r\n.\r\n"
	refusal  = "550 5.5.2 bare CR, LF or NUL in message"
)

// segments are the ways to cut a message, sequence at [from, to), into writes.
func segments(text string, from, to int) [][]string {
	dot := from + strings.Index(text[from:to], ".")
	return [][]string{
		{text},
		{text[:from], text[from:]},
		{text[:dot], text[dot:]},
		{text[:dot+1], text[dot+1:]},
	}
}

// count is how many cases ended in which way.
type count struct{ refused, kept, ended int }

// TestEndOfData sends a second transaction behind each of the 72 sequences, in
// four segmentations each: only CRLF.CRLF may end the message, only CRLF . SP
// CRLF is text, and all others cost the sender the session.
func TestEndOfData(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%v", encrypted), func(t *testing.T) {
			s := listen(t, wire.Config{TLS: testTLS, MaxSessionsPerClient: -1}, &recorder{})
			var n count
			for _, p := range before {
				for _, a := range after {
					text := outer + p + "." + a + smuggled
					for way, parts := range segments(text, len(outer), len(outer+p+"."+a)) {
						endOfData(t, s, p, a, way, parts, encrypted, &n)
					}
				}
			}
			if want := (count{refused: 280, kept: 4, ended: 4}); n != want {
				t.Errorf("%+v, want %+v", n, want)
			}
		})
	}
}

func endOfData(t *testing.T, s *server, p, a string, way int, parts []string, encrypted bool, n *count) {
	t.Helper()
	c := s.session(t)
	defer c.Close()
	if encrypted {
		c = c.startTLS()
	}
	c.envelope()
	c.do("DATA", "354")
	for _, part := range parts {
		c.send(part)
	}
	var replies []string
	for {
		r := c.reply()
		replies = append(replies, r)
		if r == "" || len(replies) == 1 && p+"."+a == "\r\n. \r\n" || len(replies) == 5 {
			break
		}
	}
	got := s.take()
	text := strings.Join(parts, "")
	switch {
	case p+"."+a == "\r\n.\r\n":
		if len(got) != 2 || got[0].body != outer+"\r\n" || got[1].from != "smuggler@example.org" || len(replies) != 5 {
			t.Errorf("%q %q way %d: %q, received %+v", p, a, way, replies, got)
		}
		n.ended++
	case p+"."+a == "\r\n. \r\n":
		// The dot is the client's stuffing.
		if want := strings.TrimSuffix(strings.Replace(text, "\r\n. ", "\r\n ", 1), ".\r\n"); len(got) != 1 || got[0].body != want || !strings.HasPrefix(replies[0], "250 2.0.0") {
			t.Errorf("%q %q way %d: %q, received %+v", p, a, way, replies, got)
		}
		n.kept++
	default:
		if len(got) != 0 || len(replies) != 2 || replies[0] != refusal || replies[1] != "" {
			t.Errorf("%q %q way %d: %q, received %+v", p, a, way, replies, got)
		}
		n.refused++
	}
}

// TestEndOfDataInChunk sends the same as chunks, whose length says where they
// end: CRLF.CRLF is then text too.
func TestEndOfDataInChunk(t *testing.T) {
	s := listen(t, wire.Config{MaxSessionsPerClient: -1}, &recorder{})
	var n count
	for _, p := range before {
		for _, a := range after {
			text := outer + p + "." + a + smuggled
			for way, parts := range segments(text, len(outer), len(outer+p+"."+a)) {
				c := s.session(t)
				c.envelope()
				for i, part := range parts {
					last := ""
					if i == len(parts)-1 {
						last = " LAST"
					}
					c.send(fmt.Sprintf("BDAT %d%s\r\n%s", len(part), last, part))
				}
				replies := []string{c.reply()}
				for len(replies) < len(parts) {
					replies = append(replies, c.reply())
				}
				got := s.take()
				switch last := replies[len(replies)-1]; {
				case last == refusal:
					c.expect("")
					if len(got) != 0 || p+"."+a == "\r\n.\r\n" || p+"."+a == "\r\n. \r\n" {
						t.Errorf("%q %q way %d: %q, received %+v", p, a, way, replies, got)
					}
					n.refused++
				case strings.HasPrefix(last, "250 "):
					if len(got) != 1 || got[0].body != text {
						t.Errorf("%q %q way %d: %q, received %+v", p, a, way, replies, got)
					}
					n.kept++
				default:
					t.Errorf("%q %q way %d: %q, received %+v", p, a, way, replies, got)
				}
				c.Close()
			}
		}
	}
	if want := (count{refused: 280, kept: 8}); n != want {
		t.Errorf("%+v, want %+v", n, want)
	}
}
