package main

import (
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestFloods has clients that send as much as they can of what costs them
// nothing, for a few seconds each.
func TestFloods(t *testing.T) {
	p, w := besieged(t, "[limits]\nsessions_per_client = 100\n")
	files := p.files()
	often := 400 * time.Millisecond
	if torture() {
		often = 20 * time.Second
	}
	head := "EHLO client.example.net\r\n"
	for _, flood := range []struct {
		name string
		do   func(a *attacker)
	}{
		{"NOOP", func(a *attacker) { a.send(strings.Repeat("NOOP\r\n", 20_000)); io.Copy(io.Discard, a) }},
		{"unknown commands", func(a *attacker) { a.send(strings.Repeat("X\r\n", 50_000)); io.Copy(io.Discard, a) }},
		{"MAIL and RSET", func(a *attacker) {
			a.send("HELO x\r\n")
			a.hear()
			a.hear()
			a.send(strings.Repeat("MAIL FROM:<a@example.net>\r\nRSET\r\n", 5_000))
			io.Copy(io.Discard, a)
		}},
		{"recipients who are not ours", func(a *attacker) {
			a.send(head)
			a.hear()
			a.plain = true
			a.hear()
			a.send("MAIL FROM:<a@example.net>\r\n" + strings.Repeat("RCPT TO:<b@elsewhere.example>\r\n", 10_000))
			io.Copy(io.Discard, a)
		}},
		{"the whole session at once", func(a *attacker) {
			a.send(head + "MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\nQUIT\r\n")
			a.hear()
			a.plain = false
			if r, err := a.hear(); err != nil || r.String() != "503 5.5.1" {
				t.Errorf("the whole session at once: %s, %v", r, err)
			}
		}},
		{"connect and reset", func(a *attacker) { a.Conn.(*net.TCPConn).SetLinger(0) }},
		{"reset inside a message", func(a *attacker) {
			a.Conn.(*net.TCPConn).SetLinger(0)
			a.hear()
			a.must(250, "EHLO client.example.net", "MAIL FROM:<a@example.net>", "RCPT TO:<b@example.org>")
			a.must(354, "DATA")
			a.send("Subject: never\r\n\r\nnever")
		}},
		{"reset inside a handshake", func(a *attacker) {
			a.Conn.(*net.TCPConn).SetLinger(0)
			a.hear()
			a.must(250, "EHLO client.example.net")
			a.must(220, "STARTTLS")
			a.send("\x16\x03\x01\x02\x00\x01")
		}},
		{"handshakes", func(a *attacker) {
			a.hear()
			a.must(250, "EHLO client.example.net")
			a.encrypt()
		}},
		{"closed after DATA", func(a *attacker) {
			a.hear()
			a.must(250, "EHLO client.example.net", "MAIL FROM:<a@example.net>", "RCPT TO:<b@example.org>")
			a.must(354, "DATA")
		}},
	} {
		var wg sync.WaitGroup
		var attacks atomic.Int64
		begin := time.Now()
		for i := range 8 {
			inside(t, &wg, func() {
				for n := 0; time.Since(begin) < often; n++ {
					a, err := connect(p.address, clientAddress(i))
					if err != nil {
						continue // its own ports are used up
					}
					a.SetDeadline(time.Now().Add(20 * time.Second))
					flood.do(a)
					a.Close()
					attacks.Add(1)
				}
			})
		}
		own := &witness{t: t, p: p, behind: w.behind, visits: w.visits}
		first := own.visits
		for time.Since(begin) < often {
			own.visit()
			time.Sleep(50 * time.Millisecond)
		}
		w.visits = own.visits
		own.visits -= first
		wg.Wait()
		t.Logf("FIGURES %s: %d sessions; %v", flood.name, attacks.Load(), own)
	}
	t.Logf("FIGURES %d MiB of memory at most", p.peak()>>20)
	if p.peak() > 200<<20 {
		t.Errorf("%d MiB of memory", p.peak()>>20)
	}
	p.recovered(files)
}
