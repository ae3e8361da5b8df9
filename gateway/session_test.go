package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"spamcatcher/engine"
	"spamcatcher/gateway/domain"
	"spamcatcher/gateway/policy"
	"spamcatcher/gateway/wire"
	"spamcatcher/queue"
)

func TestMessageGoesThrough(t *testing.T) {
	b := start(t, Config{})
	reply := b.dial().message(testMessage, "250 2.0.0 queued as ")
	id := strings.TrimPrefix(reply, "250 2.0.0 queued as ")
	drafts := b.store.all()
	if len(drafts) != 1 {
		t.Fatalf("%d drafts", len(drafts))
	}
	d := drafts[0]
	if d.ID != id || d.Sender != "a@example.org" || !slices.Equal(d.Recipients, []string{"u@example.com"}) || d.Hold != "" || d.UTF8 || d.EightBit {
		t.Errorf("draft %+v, id %s", d, id)
	}
	received := "Received: from client.example.org ([127.0.0.1]) by mx.example.com with ESMTP\r\n\tid " + id
	if len("\tid "+id+" for <u@example.com>; Mon, 23 Nov 2026 09:08:07 +0100") <= 78 {
		received += " for <u@example.com>; Mon, 23 Nov 2026 09:08:07 +0100\r\n"
	} else {
		received += " for <u@example.com>; Mon,\r\n\t23 Nov 2026 09:08:07 +0100\r\n"
	}
	got := body(d)
	if unfold(got) != unfold(received+"Authentication-Results: mx.example.com; none\r\nX-SpamCatcher-Score: 12\r\nX-SpamCatcher-IP: 127.0.0.1\r\n"+testMessage) {
		t.Errorf("message:\n%s", got)
	}
	if !strings.HasSuffix(got, "\r\n"+testMessage) {
		t.Errorf("what came was changed:\n%s", got)
	}
	for key, want := range map[string]string{"score": "12.3", "subject": "Hello", "from": "a@example.org", "client": "127.0.0.1", "symbols": "A_SYMBOL:1.50,B_SYMBOL:-0.50"} {
		if d.Note[key] != want {
			t.Errorf("note %s is %q, want %q", key, d.Note[key], want)
		}
	}
	lines := b.log.lines("message")
	if len(lines) != 1 {
		t.Fatalf("%d log lines: %q", len(lines), lines)
	}
	want := fmt.Sprintf(`level=INFO msg=message id=%s client=127.0.0.1 helo=client.example.org sender=a@example.org recipients=u@example.com size=%d score=12.3 symbols=A_SYMBOL:1.50,B_SYMBOL:-0.50 action=deliver plan=plan1 parse=0s auth=0s judge=0s put=0s`, id, len(testMessage))
	if !strings.HasSuffix(lines[0], want) {
		t.Errorf("log line\n%s\nwant\n%s", lines[0], want)
	}
}

func unfold(s string) string { return strings.ReplaceAll(s, "\r\n\t", " ") }

func TestRefused(t *testing.T) {
	b := start(t, Config{Judge: scores(97.26), Policy: withPolicy(t, policy.Config{Settings: policy.Settings{Reject: above(t, 90)}})})
	c := b.dial()
	reply := c.message(testMessage, "550 5.7.1 message refused as spam: score 97.3, id ")
	id := reply[strings.LastIndex(reply, " ")+1:]
	if len(b.store.all()) != 0 {
		t.Error("queued all the same")
	}
	lines := b.log.lines("message")
	if len(lines) != 1 || !strings.Contains(lines[0], " id="+id+" ") || !strings.Contains(lines[0], "action=refuse") || !strings.Contains(lines[0], `reason="score 97.3 above spam_reject 90"`) || !strings.Contains(lines[0], `reply="550 5.7.1"`) {
		t.Errorf("log %q does not tell about id %s", lines, id)
	}
	c.send("RSET", "250")
	if s := b.Stats(); s.Refused != 1 || s.Accepted != 0 || s.Sessions != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestMalware(t *testing.T) {
	infected := judge(func(context.Context, *engine.Mail) engine.Verdict {
		return engine.Verdict{Score: 100, Virus: "Eicar\r\nTest", Plan: "p"}
	})
	b := start(t, Config{Judge: infected})
	b.dial().message(testMessage, "550 5.7.1 message refused, malware found: Eicar??Test; score 100.0, id ")
	b = start(t, Config{Judge: infected, Policy: withPolicy(t, policy.Config{Settings: policy.Settings{Virus: policy.VirusTag}})})
	b.dial().message(testMessage, "250 2.0.0")
	got := body(b.store.all()[0])
	for _, want := range []string{"X-SpamCatcher-Score: 100\r\n", "X-SpamCatcher-Flag: YES\r\n", "X-SpamCatcher-Virus: Eicar??Test\r\n", "\r\nSubject: [spamcatcher] Hello\r\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q missing in\n%s", want, got)
		}
	}
}

func TestOutcomesDiffer(t *testing.T) {
	b := start(t, Config{Judge: scores(70), Policy: withPolicy(t, policy.Config{
		Settings: policy.Settings{},
		Domains: map[string]policy.Settings{
			"strict.example":  {Reject: above(t, 50)},
			"tag.example":     {Subject: above(t, 50), Flag: above(t, 50)},
			"discard.example": {Discard: above(t, 50)},
		}})})
	c := b.dial()
	c.message(testMessage, "250 2.0.0 queued as ", "a@plain.example", "b@strict.example", "c@tag.example", "d@discard.example", "e@plain.example")
	drafts := b.store.all()
	if len(drafts) != 3 || b.store.calls != 1 {
		t.Fatalf("%d drafts in %d calls", len(drafts), b.store.calls)
	}
	ids := map[string]bool{}
	for i, want := range []struct {
		to, hold string
		tag      bool
	}{
		{"a@plain.example e@plain.example", "", false},
		{"b@strict.example", "would be refused, but other recipients accept it: score 70.0 above spam_reject 50", false},
		{"c@tag.example", "", true},
	} {
		d := drafts[i]
		ids[d.ID] = true
		if got := strings.Join(d.Recipients, " "); got != want.to || d.Hold != want.hold {
			t.Errorf("draft %d: to %s, hold %q; want %+v", i, got, d.Hold, want)
		}
		if tagged, flagged := strings.Contains(body(d), "\r\nSubject: [spamcatcher] Hello\r\n"), strings.Contains(body(d), "\r\nX-SpamCatcher-Flag: YES\r\n"); tagged != want.tag || flagged != want.tag {
			t.Errorf("draft %d: tagged %v, flagged %v", i, tagged, flagged)
		}
		if strings.Contains(body(d), " for <") {
			t.Errorf("draft %d tells of a recipient", i)
		}
	}
	if len(ids) != 3 {
		t.Errorf("ids are not different: %v", ids)
	}
	if lines := b.log.lines("message"); len(lines) != 1 || !strings.Contains(lines[0], "action=deliver:3,hold:1,discard:1") {
		t.Errorf("log %q", lines)
	}
	// When all refuse it is refused, and when all discard nothing is put.
	c.message(testMessage, "550 5.7.1", "a@strict.example", "b@strict.example")
	c.message(testMessage, "250 2.0.0", "a@discard.example", "b@discard.example")
	if b.store.calls != 1 {
		t.Errorf("%d calls", b.store.calls)
	}
	if s := b.Stats(); s.Discarded != 1 || s.Accepted != 2 || s.Refused != 1 {
		t.Errorf("stats %+v", s)
	}
}

// Whatever fails on our side is temporary, tells nothing, and leaves the
// session usable.
func TestFaultsOfOurs(t *testing.T) {
	var fault func(stage string) error
	at := func(stage string) error {
		if fault == nil {
			return nil
		}
		return fault(stage)
	}
	store := &memory{fail: func() error { return at("put") }}
	b := start(t, Config{
		Queue: store,
		Judge: judge(func(ctx context.Context, m *engine.Mail) engine.Verdict { at("judge"); return engine.Verdict{} }),
	})
	c := b.dial()
	secret := errors.New("open /var/lib/secret: permission denied")
	for _, f := range []struct {
		name  string
		fault func(stage string) error
		reply string
		panic bool
	}{
		{"full disk", func(string) error { return fmt.Errorf("putting: %w", queue.ErrFull) }, "452 4.3.1 not enough storage, try again later", false},
		{"unknown error", func(string) error { return secret }, "451 4.3.0 temporary failure, try again later", false},
		{"judge panics", func(s string) error {
			if s == "judge" {
				panic(secret)
			}
			return nil
		}, "451 4.3.0 temporary failure, try again later", true},
		{"queue panics", func(s string) error {
			if s == "put" {
				panic("secret")
			}
			return nil
		}, "451 4.3.0 temporary failure, try again later", true},
	} {
		before := b.Stats()
		fault = f.fault
		if got := c.message(testMessage, ""); got != f.reply {
			t.Errorf("%s: reply %q, want %q", f.name, got, f.reply)
		}
		fault = nil
		after := b.Stats()
		if panics := after.Panics - before.Panics; (panics == 1) != f.panic || panics > 1 || after.Deferred != before.Deferred+1 {
			t.Errorf("%s: stats %+v, before %+v", f.name, after, before)
		}
		c.message(testMessage, "250 2.0.0")
	}
	lines := b.log.lines("message")
	if len(lines) != 8 {
		t.Errorf("%d log lines", len(lines))
	}
	if !strings.Contains(lines[2], "level=ERROR") || !strings.Contains(lines[2], "action=defer") || !strings.Contains(lines[2], "permission denied") {
		t.Errorf("log %q does not tell what failed", lines[2])
	}
}

func TestRecipients(t *testing.T) {
	b := start(t, Config{
		Policy:  withPolicy(t, policy.Config{Relay: []string{"example.com", ".example.net"}}),
		Domains: withDomains(t, domain.Config{Name: "example.com", Verify: "callout", Unverified: "defer"}),
		Verify: func(_ context.Context, to string) error {
			switch {
			case strings.HasPrefix(to, "nobody@"):
				return fmt.Errorf("asking: %w", ErrMailbox)
			case strings.HasPrefix(to, "trouble@"):
				return errors.New("secret")
			case strings.HasPrefix(to, "bug@"):
				panic("secret")
			}
			return nil
		},
	})
	c := b.dial()
	c.send("MAIL FROM:<a@example.org>", "250 2.1.0")
	for _, r := range []struct{ to, reply string }{
		{"u@example.org", "550 5.7.1 relay not permitted"},
		{"nobody@example.com", "550 5.1.1 no such mailbox"},
		{"trouble@example.com", "450 4.1.1 recipient cannot be verified now, try again later"},
		{"bug@example.com", "451 4.3.0 temporary failure, try again later"},
		{"u@example.com", "250 2.1.5 recipient ok"},
		{"u@sub.example.net", "250 2.1.5 recipient ok"},
		{"u@EXAMPLE.com", "250 2.1.5 recipient ok"},
		{"postmaster", "250 2.1.5 recipient ok"}, // at the nearest domain of ours
	} {
		if got := c.send("RCPT TO:<"+r.to+">", ""); got != r.reply {
			t.Errorf("%s: %q, want %q", r.to, got, r.reply)
		}
	}
	c.data(testMessage, "250 2.0.0")
	if got, want := b.store.all()[0].Recipients, []string{"u@example.com", "u@sub.example.net", "postmaster@example.com"}; !slices.Equal(got, want) {
		t.Errorf("recipients %q, want %q", got, want)
	}
	if s := b.Stats(); s.Panics != 1 {
		t.Errorf("stats %+v", s)
	}
	// The next transaction begins with none of them.
	c.message(testMessage, "250 2.0.0", "u@example.com")
	if got := b.store.all()[1].Recipients; !slices.Equal(got, []string{"u@example.com"}) {
		t.Errorf("recipients %q", got)
	}
}

func TestLoopsAndLargeHeaders(t *testing.T) {
	b := start(t, Config{})
	c := b.dial()
	c.message(strings.Repeat("Received: by a.example\r\n", 101)+testMessage, "554 5.4.6 mail loop")
	c.message(strings.Repeat("Received: from a by mx.example.com\r\n", 4)+testMessage, "554 5.4.6 mail loop")
	c.message("X: "+strings.Repeat("x\r\n ", 1<<19)+"\r\n"+testMessage, "552 5.3.4 message header too large")
	c.message(strings.Repeat("X:\r\n", 10_001)+testMessage, "554 5.6.0 too many header fields")
	if len(b.store.all()) != 0 {
		t.Error("queued")
	}
	c.message(strings.Repeat("Received: by a.example\r\n", 100)+testMessage, "250 2.0.0")
	if lines := b.log.lines("message"); len(lines) != 5 {
		t.Errorf("%d log lines", len(lines))
	}
}

// What is forged is gone before anything judges the message.
func TestForgedFieldsAreNotJudged(t *testing.T) {
	seen := ""
	b := start(t, Config{Judge: judge(func(_ context.Context, m *engine.Mail) engine.Verdict {
		seen = string(m.Message.Raw())
		return engine.Verdict{Score: 42}
	})})
	b.dial().message("X-SpamCatcher-Score: 0\r\nFrom: a@example.org\r\nx-spamcatcher-flag\t: NO\r\n no\r\nAuthentication-Results: mx.example.com; spf=pass\r\nSubject: Hello\r\n\r\nText\r\n", "250")
	clean := "From: a@example.org\r\nSubject: Hello\r\n\r\nText\r\n"
	if seen != clean {
		t.Errorf("judged %q", seen)
	}
	got := body(b.store.all()[0])
	if !strings.HasSuffix(got, "\r\nX-SpamCatcher-Score: 42\r\nX-SpamCatcher-IP: 127.0.0.1\r\n"+clean) || strings.Count(got, "X-SpamCatcher-Score") != 1 {
		t.Errorf("message:\n%s", got)
	}
	if lines := b.log.lines("message"); !strings.Contains(lines[0], "forged=3") {
		t.Errorf("log %q", lines)
	}
}

func TestFactsOfTheSession(t *testing.T) {
	var mail *engine.Mail
	b := start(t, Config{
		Judge: judge(func(_ context.Context, m *engine.Mail) engine.Verdict { mail = m; return engine.Verdict{} }),
		Wire:  wire.Config{TLS: func() *tls.Config { return certificate(t) }},
	})
	c := b.dial()
	c.message(testMessage, "250")
	if s := mail.Session; s.Client.String() != "127.0.0.1" || s.Hello != "client.example.org" || !s.ESMTP || s.TLS || !s.Time.Equal(testTime) {
		t.Errorf("session %+v", s)
	}
	if e := mail.Envelope; !e.Known || e.From != "a@example.org" || !slices.Equal(e.To, []string{"u@example.com"}) {
		t.Errorf("envelope %+v", e)
	}
	c.send("HELO other.example.org", "250")
	c.send("MAIL FROM:<>", "250")
	c.send("RCPT TO:<u@example.com>", "250")
	c.data(testMessage, "250")
	if s := mail.Session; s.Hello != "other.example.org" || s.ESMTP || mail.Envelope.From != "" {
		t.Errorf("session %+v, envelope %+v", s, mail.Envelope)
	}
	if got := body(b.store.all()[1]); !strings.HasPrefix(got, "Received: from other.example.org ([127.0.0.1]) by mx.example.com with SMTP") {
		t.Errorf("message:\n%s", got)
	}

	c.send("EHLO client.example.org", "250")
	c.send("STARTTLS", "220")
	secure := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
	c.conn = secure
	c.r.Reset(secure)
	c.send("EHLO again.example.org", "250")
	c.send("MAIL FROM:<> SMTPUTF8 BODY=8BITMIME", "250")
	c.send("RCPT TO:<grüße@example.com>", "250")
	io.WriteString(c.conn, "BDAT 9\r\nSubject: ")
	c.want("250")
	c.send("BDAT 17 LAST\r\ngrüße\r\n\r\nText", "250 2.0.0 queued as ")
	if s := mail.Session; s.Hello != "again.example.org" || !s.ESMTP || !s.TLS || mail.Envelope.From != "" {
		t.Errorf("session %+v, envelope %+v", s, mail.Envelope)
	}
	d := b.store.all()[2]
	if !d.UTF8 || !d.EightBit || d.Sender != "" {
		t.Errorf("draft %+v", d)
	}
	if got := body(d); !strings.Contains(got, "with UTF8SMTPS id") || strings.Contains(got, " for ") || !strings.HasSuffix(got, "\r\nSubject: grüße\r\n\r\nText\r\n") {
		t.Errorf("message:\n%s", got)
	}
	// SMTPUTF8 asked for without need would only keep the message from servers that lack it.
	c.send("MAIL FROM:<a@example.org> SMTPUTF8", "250")
	c.send("RCPT TO:<u@example.com>", "250")
	c.data(testMessage, "250")
	if d := b.store.all()[3]; d.UTF8 || d.EightBit {
		t.Errorf("draft %+v", d)
	}
}

func TestRequote(t *testing.T) {
	for in, want := range map[string]string{
		"":                       "",
		"a@example.org":          "a@example.org",
		"a.b+c=d/e@example.org":  "a.b+c=d/e@example.org",
		"a..b.@example.org":      "a..b.@example.org",
		"grüße@example.org":      "grüße@example.org",
		"a b@example.org":        `"a b"@example.org`,
		`a> SIZE=1 <b@c.example`: `"a> SIZE=1 <b"@c.example`,
		`a"\@b@example.org`:      `"a\"\\@b"@example.org`,
		"@example.org":           `""@example.org`,
	} {
		if got := requote(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestPolicyIsAskedForEachMessage(t *testing.T) {
	current := withPolicy(t, policy.Config{})
	b := start(t, Config{Judge: scores(80), Policy: func() *policy.Policy { return current() }})
	c := b.dial()
	c.message(testMessage, "250")
	current = withPolicy(t, policy.Config{Settings: policy.Settings{Reject: above(t, 79.9)}})
	c.message(testMessage, "550 5.7.1")
}
