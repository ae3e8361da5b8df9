package spamassassin

import (
	"strings"
	"testing"
	"time"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
)

// TestEvilMailTakesLinearTime doubles messages that are made to cost, and
// expects their cost not to grow much faster.
func TestEvilMailTakesLinearTime(t *testing.T) {
	set := allFunctions(t)
	head := "Received: from a (b [198.51.100.1]) by c (Postfix) with ESMTP id 1; Tue, 5 Mar 2024 10:15:02 +0000\r\nFrom: a@b.example\r\nSubject: x\r\n"
	plain := head + "\r\n"
	page := head + "Content-Type: text/html\r\n\r\n"
	for name, make := range map[string]func(n int) string{
		"ats":        func(n int) string { return plain + strings.Repeat("a@", n/2) },
		"words":      func(n int) string { return plain + strings.Repeat("a.b@c.com ", n/10) },
		"long local": func(n int) string { return plain + strings.Repeat("a", n) + "@b.com" },
		"dots":       func(n int) string { return plain + strings.Repeat("a.", n/2) + "com" },
		"urls":       func(n int) string { return plain + strings.Repeat("http://a.com/http://b.com/ ", n/27) },
		"url chain":  func(n int) string { return plain + strings.Repeat("http://", n/7) },
		"quoted":     func(n int) string { return plain + strings.Repeat("<a@b.com> ", n/10) },
		"tags":       func(n int) string { return page + strings.Repeat("<a href=x>", n/10) },
		"open tags":  func(n int) string { return page + strings.Repeat("<", n) },
		"quotes":     func(n int) string { return page + strings.Repeat("<a b='", n/6) },
		"comments":   func(n int) string { return page + strings.Repeat("<!-- --", n/7) },
		"fonts":      func(n int) string { return page + strings.Repeat("<font color=red>x", n/17) },
		"entities":   func(n int) string { return page + strings.Repeat("&#", n/2) },
		"closing":    func(n int) string { return page + strings.Repeat("<td>", n/8) + strings.Repeat("</td>", n/10) },
		"titles":     func(n int) string { return page + strings.Repeat("<title>", n/7) },
		"anchors":    func(n int) string { return page + "<a href=x>" + strings.Repeat("<b>y", n/4) },
		"addresses":  func(n int) string { return head + "To: " + strings.Repeat("<", min(n, 8000)) + "\r\n\r\n" },
		"fields":     func(n int) string { return head + strings.Repeat("To: a@b.example\r\n", n/17) + "\r\n" },
		"folded":     func(n int) string { return head + "X: " + strings.Repeat("\r\n ", n/3) + "\r\n\r\n" },
		"relays":     func(n int) string { return strings.Repeat(head, n/len(head)) + "\r\n" },
		"encoded":    func(n int) string { return head + strings.Repeat("X: =?utf-8?q?=?= =?utf-8?q?\r\n", n/30) + "\r\n" },
		"parts": func(n int) string {
			return head + "Content-Type: multipart/mixed; boundary=x\r\n\r\n" + strings.Repeat("--x\r\n\r\n", n/7)
		},
		"nested": func(n int) string { return strings.Repeat("Content-Type: message/rfc822\r\n\r\n", n/33) + plain },
		"blank":  func(n int) string { return plain + strings.Repeat(" \r\n", n/3) },
		"spaces": func(n int) string { return plain + strings.Repeat(" ", n) },
		"base64": func(n int) string { return head + "Content-Transfer-Encoding: base64\r\n\r\n" + strings.Repeat("=", n) },
	} {
		cost := func(n int) time.Duration {
			m := &engine.Mail{Message: message.Parse([]byte(make(n)), message.Limits{})}
			best := time.Hour
			for range 3 {
				start := time.Now()
				set.evaluate(m)
				best = min(best, time.Since(start))
			}
			return best
		}
		const n = 60_000
		cost(n)
		small, large := cost(n), cost(8*n)
		if large > 40*small && large > 500*time.Millisecond {
			t.Errorf("%s: %v for %d bytes, %v for %d", name, small, n, large, 8*n)
		}
		t.Logf("%-12s %10v %10v", name, small.Round(time.Microsecond), large.Round(time.Microsecond))
	}
}
