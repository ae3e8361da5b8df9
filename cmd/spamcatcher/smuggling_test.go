package main

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"spamcatcher/gateway/relay/relaytest"
)

// TestSmuggling sends every end of data that some server takes for one, with
// a second message behind it, through the whole product. Only CRLF.CRLF ends
// a message; the other ends are refused, or are plain data (CRLF . SP CRLF),
// and the server behind never sees a second message nor a bare CR or LF.
// SEC Consult, December 2023; RFC 5321 section 2.3.8 and 4.1.1.4.
func TestSmuggling(t *testing.T) {
	sink := relaytest.Start(t, relaytest.Script{})
	p := start(t, t.TempDir(), "[limits]\nsessions_per_client = 1000\n", "--relay", sink.Addr)
	before := []string{"\r\n", "\n", "\r", "\r\r\n", "\n\r", "\r\n\x00", "\r\x00\n", "\n\n", "\r\n\n"}
	after := []string{"\r\n", "\n", "\r", "\r\r\n", "\n\r", "\r\x00\n", " \r\n", "\x00\r\n"}
	cases, refused, accepted := 0, 0, 0
	for _, b := range before {
		for _, a := range after {
			if b == "\r\n" && a == "\r\n" {
				continue // the true end
			}
			cases++
			name := fmt.Sprintf("%q", b+"."+a)
			c := dial(t, p.address)
			c.expect("220")
			for _, line := range []string{"EHLO client.example.net", "MAIL FROM:<outer@example.org>", "RCPT TO:<b@example.net>"} {
				c.say(line)
				c.expect("250")
			}
			c.say("DATA")
			c.expect("354")
			smuggled := "MAIL FROM:<smuggled@example.org>\r\nRCPT TO:<b@example.net>\r\nDATA\r\nSubject: smuggled\r\n\r\nsmuggled"
			if _, err := io.WriteString(c.conn, "Subject: outer\r\n\r\nouter"+b+"."+a+smuggled+"\r\n.\r\n"); err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			reply := c.expect("")
			switch {
			case strings.HasPrefix(reply, "550 5.5.2"):
				refused++
				if rest, err := io.ReadAll(c.in); err != nil || len(rest) > 0 {
					t.Errorf("%s: after the refusal came %q, %v", name, rest, err)
				}
			case strings.HasPrefix(reply, "250") && b == "\r\n" && a == " \r\n":
				accepted++
				c.say("QUIT")
				c.expect("221")
				if rest, err := io.ReadAll(c.in); err != nil || len(rest) > 0 {
					t.Errorf("%s: after QUIT came %q, %v", name, rest, err)
				}
			default:
				t.Errorf("%s: reply %q", name, reply)
			}
			c.conn.Close()
		}
	}
	if cases != 71 || refused != 70 || accepted != 1 {
		t.Errorf("%d ends: %d refused, %d accepted; want 71, 70 and 1", cases, refused, accepted)
	}
	waitFor(t, "the accepted message", func() bool { return sink.Count() == accepted })
	for _, m := range sink.Messages() {
		// The dot at the beginning of a line is the client's stuffing: RFC
		// 5321 section 4.5.2.
		if !strings.Contains(m.From, "outer@") || !strings.Contains(m.Text(), "\r\n \r\nMAIL FROM:<smuggled") {
			t.Errorf("the server behind got a message from %s:\n%q", m.From, m.Text())
		}
	}
	for _, offence := range sink.Offences() {
		t.Errorf("the server behind saw %s", offence)
	}
}
