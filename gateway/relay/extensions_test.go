package relay

import (
	"context"
	"strings"
	"testing"

	"spamcatcher/gateway/relay/relaytest"
	"spamcatcher/queue"
)

func TestHELOFallback(t *testing.T) {
	s := relaytest.Start(t, relaytest.Script{Answer: answers(map[string]string{"EHLO": "502 5.5.1 unknown command", "HELO": "250-hello\r\n250 SIZE 10"})})
	want(t, deliver(t, newRelay(t, nil, s.Addr), hello, "b@example.org"), "delivered 250 2.0.0 ok queued")
	if l := s.Lines(); l[1] != "HELO gate.example.net" || l[2] != "MAIL FROM:<a@example.com>" {
		t.Errorf("commands %q", l)
	}
}

func TestExtensions(t *testing.T) {
	utf8Head := "Subject: größer\r\n\r\nbody\r\n"
	for _, c := range []struct {
		name       string
		extensions []string
		text       string
		change     func(*queue.Item)
		mail       string // MAIL command, "" = none must be sent
		want       string
	}{
		{"8BITMIME", []string{"8BITMIME"}, "A: b\r\n\r\ngröß\r\n", nil, "MAIL FROM:<a@example.com> BODY=8BITMIME", "delivered"},
		{"8BITMIME declared", []string{"8BITMIME"}, hello, func(it *queue.Item) { it.EightBit = true }, "MAIL FROM:<a@example.com> BODY=8BITMIME", "delivered"},
		{"8 bits all the same", []string{}, "A: b\r\n\r\ngröß\r\n", nil, "MAIL FROM:<a@example.com>", "delivered"},
		{"SIZE", []string{"SIZE 1000"}, "A: b\r\n\r\nx", nil, "MAIL FROM:<a@example.com> SIZE=11", "delivered"},
		{"SIZE without limit", []string{"SIZE"}, "A: b\r\n\r\nx\r\n", nil, "MAIL FROM:<a@example.com> SIZE=11", "delivered"},
		{"SIZE 0", []string{"SIZE 0"}, "A: b\r\n\r\nx\r\n", nil, "MAIL FROM:<a@example.com> SIZE=11", "delivered"},
		{"SIZE reached", []string{"SIZE 11"}, "A: b\r\n\r\nx\r\n", nil, "MAIL FROM:<a@example.com> SIZE=11", "delivered"},
		{"SIZE exceeded", []string{"SIZE 10"}, "A: b\r\n\r\nx\r\n", nil, "", "failed 552 5.3.4 message is too big for the server"},
		{"keyword in lower case", []string{"size 10"}, "A: b\r\n\r\nx\r\n", nil, "", "failed 552 5.3.4 message is too big for the server"},
		{"SMTPUTF8", []string{"SMTPUTF8", "8BITMIME"}, utf8Head, func(it *queue.Item) { it.UTF8 = true }, "MAIL FROM:<a@example.com> BODY=8BITMIME SMTPUTF8", "delivered"},
		{"no SMTPUTF8, ASCII", []string{}, hello, func(it *queue.Item) { it.UTF8 = true }, "MAIL FROM:<a@example.com>", "delivered"},
		{"no SMTPUTF8, header", []string{}, utf8Head, func(it *queue.Item) { it.UTF8 = true }, "", "failed 550 5.6.7 the server cannot take internationalized mail"},
		{"no SMTPUTF8, undeclared header", []string{}, utf8Head, nil, "MAIL FROM:<a@example.com>", "delivered"},
		{"no SMTPUTF8, sender", []string{}, hello, func(it *queue.Item) { it.Sender = "jürgen@example.com" }, "", "failed 550 5.6.7 the server cannot take internationalized mail"},
		{"no SMTPUTF8, recipient", []string{}, hello, func(it *queue.Item) { it.Recipients[0].Address = "jürgen@example.org" }, "", "failed 550 5.6.7 the server cannot take internationalized mail"},
		{"SMTPUTF8, recipient", []string{"SMTPUTF8"}, hello, func(it *queue.Item) { it.Recipients[0].Address = "jürgen@example.org" }, "MAIL FROM:<a@example.com> SMTPUTF8", "delivered"},
		{"null sender", []string{}, hello, func(it *queue.Item) { it.Sender = "" }, "MAIL FROM:<>", "delivered"},
		{"quotes were lost", []string{}, hello, func(it *queue.Item) { it.Sender = "a> SIZE=1 <b@example.com" }, `MAIL FROM:<"a> SIZE=1 <b"@example.com>`, "delivered"},
		{"bad recipient", []string{}, hello, func(it *queue.Item) { it.Recipients[0].Address = "a@b@c d" }, "", "failed 553 5.1.3 bad recipient address syntax"},
		{"bad sender", []string{}, hello, func(it *queue.Item) { it.Sender = "a\r\nRSET\r\n@example.com" }, "", "deferred 451 4.3.5 message not transmissible: sender's address cannot be sent"},
	} {
		s := relaytest.Start(t, relaytest.Script{Extensions: c.extensions})
		it := item(c.text, "b@example.org")
		if c.change != nil {
			c.change(it)
		}
		got := newRelay(t, nil, s.Addr).Deliver(context.Background(), it, strings.NewReader(c.text))
		if c.want == "delivered" {
			c.want += " 250 2.0.0 ok queued"
		}
		if len(got) != 1 || outcome(got)[0] != c.want {
			t.Errorf("%s: got %q, want %q", c.name, outcome(got), c.want)
		}
		mail := ""
		for _, l := range s.Lines() {
			if strings.HasPrefix(l, "MAIL") {
				mail = l
			}
		}
		if mail != c.mail {
			t.Errorf("%s: said %q, want %q", c.name, mail, c.mail)
		}
		innocent(t, s)
	}
}

func TestOneInternationalRecipientDoesNotStopTheOthers(t *testing.T) {
	s := relaytest.Start(t, relaytest.Script{})
	got := deliver(t, newRelay(t, nil, s.Addr), hello, "b@example.org", "jürgen@example.org", "c@example.org")
	want(t, got, "delivered 250 2.0.0 ok queued", "failed 550 5.6.7 the server cannot take internationalized mail", "delivered 250 2.0.0 ok queued")
}
