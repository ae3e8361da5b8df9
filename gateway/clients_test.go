package gateway

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/smtp"
	"regexp"
	"strings"
	"sync"
	"testing"

	"spamcatcher/engine"
	"spamcatcher/gateway/wire"
)

// net/smtp is somebody else's idea of a client.
func TestForeignClient(t *testing.T) {
	b := start(t, Config{Wire: wire.Config{TLS: func() *tls.Config { return certificate(t) }}})
	c, err := smtp.Dial(b.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	steps := []func() error{
		func() error { return c.Hello("client.example.org") },
		func() error { return c.StartTLS(&tls.Config{InsecureSkipVerify: true}) },
		func() error { return c.Mail("a@example.org") },
		func() error { return c.Rcpt("u@example.com") },
		func() error {
			w, err := c.Data()
			if err != nil {
				return err
			}
			io.WriteString(w, testMessage)
			return w.Close()
		},
		c.Quit,
	}
	for i, step := range steps {
		if err := step(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	got := body(b.store.all()[0])
	if !regexp.MustCompile(`^Received: from client\.example\.org \(\[127\.0\.0\.1\]\) by mx\.example\.com \(using TLSv1\.3 with cipher TLS_[A-Z0-9_]+\) with UTF8SMTPS id [0-9a-z]+ for <u@example\.com>;`).MatchString(unfold(got)) {
		t.Errorf("message:\n%s", got)
	}
	if !strings.HasSuffix(got, "\r\n"+testMessage) {
		t.Errorf("message:\n%s", got)
	}
}

// Sessions side by side do not get into each other's way.
func TestManySessions(t *testing.T) {
	b := start(t, Config{Judge: judge(func(_ context.Context, m *engine.Mail) engine.Verdict {
		return engine.Verdict{Score: float64(len(m.Message.Text()) % 100), Plan: "p"}
	})})
	const sessions, each = 10, 20
	var wg sync.WaitGroup
	for n := range sessions {
		c := b.dial()
		wg.Go(func() {
			for i := range each {
				name := fmt.Sprintf("m%d-%d", n, i)
				fmt.Fprintf(c.conn, "MAIL FROM:<%s@example.org>\r\nRCPT TO:<%s@example.com>\r\nDATA\r\n", name, name)
				fmt.Fprintf(c.conn, "Subject: %s\r\n\r\n%s\r\n.\r\n", name, strings.Repeat(name+" ", i))
				for range 4 {
					if _, err := c.r.ReadString('\n'); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, d := range b.store.all() {
		name, _, _ := strings.Cut(d.Sender, "@")
		if d.Recipients[0] != name+"@example.com" || !strings.Contains(body(d), "Subject: "+name+"\r\n\r\n") || !strings.Contains(body(d), d.ID) {
			t.Errorf("mixed up: %+v\n%s", d, body(d))
		}
		seen[d.ID+name] = true
	}
	if len(seen) != sessions*each || len(b.log.lines("message")) != sessions*each || b.Stats().Accepted != sessions*each {
		t.Errorf("%d messages, %d log lines, stats %+v", len(seen), len(b.log.lines("message")), b.Stats())
	}
}

// What a client sends cannot break the log line, nor fill the log.
func TestLogIsSafe(t *testing.T) {
	b := start(t, Config{Judge: judge(func(context.Context, *engine.Mail) engine.Verdict {
		return engine.Verdict{Plan: "p", Score: 1, Faults: []engine.Fault{{Check: "slow", Kind: engine.FaultLate, Err: "x\ny"}},
			Symbols: []engine.Scored{{Name: "A\nmsg=forged", Detail: "x\n"}}}
	})})
	c := b.dial()
	c.send("EHLO a\"msg=forged", "250")
	c.send("MAIL FROM:<"+strings.Repeat("x", 60)+`@`+strings.Repeat("y.", 90)+"example>", "250")
	for i := range 500 {
		c.send(fmt.Sprintf("RCPT TO:<user%d@example.com>", i), "250")
	}
	c.data(testMessage, "250")
	lines := b.log.lines("message")
	if len(lines) != 1 {
		t.Fatalf("%d lines", len(lines))
	}
	line := lines[0]
	if len(line) > 4000 || !strings.Contains(line, ",+394 ") || !strings.Contains(line, "faults=slow:late") || !strings.Contains(line, `A?msg=forged`) || !strings.Contains(line, "…") {
		t.Errorf("line of %d bytes: %s", len(line), line)
	}
	if len(b.log.lines("forged")) > 0 {
		t.Error("forged a line")
	}
}
