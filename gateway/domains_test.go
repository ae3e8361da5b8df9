package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"spamcatcher/engine"
	"spamcatcher/gateway/domain"
	"spamcatcher/gateway/policy"
	"spamcatcher/gateway/wire"
	"spamcatcher/queue"
)

// customers are three customers with different policies, and one of them with
// two domains on one server.
func customers(t testing.TB) Config {
	blocked, errs := policy.ParseList("blocked", []byte("a@example.org"))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return Config{
		Judge: scores(70),
		Policy: withPolicy(t, policy.Config{
			Relay: []string{"strict.example", "tag.example", "tag-too.example", "careful.example"},
			Domains: map[string]policy.Settings{
				"strict.example":  {Reject: above(t, 50)},
				"tag.example":     {Subject: above(t, 50), Flag: above(t, 50)},
				"tag-too.example": {Subject: above(t, 50), Flag: above(t, 50)},
				"careful.example": {Quarantine: above(t, 99), Blocked: blocked},
			},
			Recipients: map[string]policy.Settings{"bin@tag.example": {Discard: above(t, 60)}},
		}),
		Domains: withDomains(t,
			domain.Config{Name: "strict.example", Destinations: []string{"192.0.2.1"}},
			domain.Config{Name: "tag.example", Queue: "tags", Destinations: []string{"192.0.2.2"}, Lifetime: 192 * time.Hour},
			domain.Config{Name: "tag-too.example", Queue: "tags", Destinations: []string{"192.0.2.2"}, Lifetime: 192 * time.Hour},
			domain.Config{Name: "careful.example", Destinations: []string{"192.0.2.3"}, Lifetime: time.Hour},
		),
	}
}

// One transaction to customers with different policies: one reply, and for each
// what its policy says, with headers, tag and score of its own.
func TestManyPolicies(t *testing.T) {
	b := start(t, customers(t))
	c := b.dial()
	reply := c.message(testMessage, "250 2.0.0 queued as ", "a@strict.example", "b@tag.example", "c@careful.example", "bin@tag.example", "d@tag-too.example", "e@strict.example")
	id := strings.TrimPrefix(reply, "250 2.0.0 queued as ")
	drafts := b.store.all()
	if len(drafts) != 3 || b.store.calls != 1 {
		t.Fatalf("%d drafts in %d calls", len(drafts), b.store.calls)
	}
	for i, want := range []struct {
		to, hold, score string
		lifetime        time.Duration
		tag             bool
	}{
		{"a@strict.example e@strict.example", "would be refused, but other recipients accept it: score 70.0 above spam_reject 50", "70", 0, false},
		{"b@tag.example d@tag-too.example", "", "70", 192 * time.Hour, true},
		{"c@careful.example", "sender blocked by a@example.org: score 100.0 above spam_quarantine 99", "100", time.Hour, false},
	} {
		d := drafts[i]
		text := body(d)
		if got := strings.Join(d.Recipients, " "); got != want.to || d.Hold != want.hold || d.Lifetime != want.lifetime || (d.ID == id) != (i == 0) {
			t.Errorf("draft %d: to %s, hold %q, lifetime %v, id %s; want %+v, the first with id %s", i, got, d.Hold, d.Lifetime, d.ID, want, id)
		}
		if strings.Contains(text, "\r\nSubject: [spamcatcher] Hello\r\n") != want.tag || strings.Contains(text, "\r\nX-SpamCatcher-Flag: YES\r\n") != want.tag ||
			!strings.Contains(text, "\r\nX-SpamCatcher-Score: "+want.score+"\r\n") || d.Note["id"] != id || d.Note["score"] != want.score+".0" {
			t.Errorf("draft %d, note %v:\n%s", i, d.Note, text)
		}
		for _, name := range []string{"strict.example", "tag.example", "tag-too.example", "careful.example", " for <", "192.0.2."} {
			if strings.Contains(text, name) {
				t.Errorf("draft %d tells of %q:\n%s", i, name, text)
			}
		}
	}
	lines := b.log.lines("message")
	if len(lines) != 1 || !strings.Contains(lines[0], " action=hold:3,deliver:2,discard:1 outcomes=hold,deliver,hold,discard,deliver,hold ") || !strings.Contains(lines[0], " score=100.0 ") || !strings.Contains(lines[0], " queued="+drafts[0].ID+","+drafts[1].ID+","+drafts[2].ID+" ") ||
		!strings.Contains(lines[0], "score 70.0 above spam_reject 50") || !strings.Contains(lines[0], "sender blocked by a@example.org") || !strings.Contains(lines[0], "score 70.0 above spam_discard 60") {
		t.Errorf("log %q", lines)
	}
	// Refused only where all refuse.
	c.message(testMessage, "550 5.7.1 message refused as spam: score 70.0, id ", "a@strict.example", "b@strict.example")
	// One recipient may be named in its own copy.
	c.message(testMessage, "250 2.0.0", "b@tag.example")
	if got := unfold(body(b.store.all()[3])); !strings.Contains(got, " for <b@tag.example>;") {
		t.Errorf("message:\n%s", got)
	}
}

// Whether a recipient exists is found out in the way that its domain wants, after
// the relay check, and a domain that wants nothing found out is left alone.
func TestVerify(t *testing.T) {
	list, errs := domain.ParseRecipients("list", []byte("joe\nsales@list.example"))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	everyone, _ := domain.ParseRecipients("list", []byte("@"))
	marker := errors.New("450 mail.hidden.example [198.51.100.77] said: greylisted")
	var asked []string
	cfg := Config{
		Policy: withPolicy(t, policy.Config{Relay: []string{".example"}}),
		Domains: withDomains(t,
			domain.Config{Name: "list.example", Recipients: list}, domain.Config{Name: "all.example", Recipients: everyone},
			domain.Config{Name: "ask.example", Verify: "callout"}, domain.Config{Name: "defer.example", Verify: "callout", Unverified: "defer"},
			domain.Config{Name: "off.example", Verify: "off"}),
		Verify: func(_ context.Context, to string) error {
			asked = append(asked, to)
			switch to[:strings.IndexByte(to, '@')] {
			case "nobody":
				return fmt.Errorf("%w: %w", ErrMailbox, marker)
			case "unsure":
				return fmt.Errorf("%w: %w", ErrUnsure, marker)
			case "trouble":
				return marker
			}
			return nil
		},
	}
	const ok, none, unsure, relay = "250 2.1.5 recipient ok", "550 5.1.1 no such mailbox", "450 4.1.1 recipient cannot be verified now, try again later", "550 5.7.1 relay not permitted"
	for _, test := range []struct {
		to, reply string
		asked     bool
	}{
		{"joe@list.example", ok, false}, {"Joe+x@LIST.example", ok, false}, {"sales@list.example", ok, false}, {"jane@list.example", none, false}, {"postmaster@list.example", ok, false},
		{"whoever@all.example", ok, false},
		{"joe@ask.example", ok, true}, {"nobody@ask.example", none, true}, {"unsure@ask.example", ok, true}, {"trouble@ask.example", ok, true}, {"Postmaster@ask.example", ok, false},
		{"joe@defer.example", ok, true}, {"nobody@defer.example", none, true}, {"unsure@defer.example", unsure, true}, {"trouble@defer.example", unsure, true},
		{"nobody@off.example", ok, false}, {"nobody@other.example", ok, false},
		{"nobody@ask.test", relay, false}, {"nobody@example.net", relay, false},
	} {
		asked = nil
		b := start(t, cfg)
		c := b.dial()
		c.send("MAIL FROM:<a@example.org>", "250")
		if got := c.send("RCPT TO:<"+test.to+">", ""); got != test.reply {
			t.Errorf("%s: %q, want %q", test.to, got, test.reply)
		}
		logged := strings.Join(b.log.lines("recipient"), "\n")
		if want := fmt.Sprintf(" client=127.0.0.1 sender=a@example.org recipient=%s reply=%q", test.to, test.reply[:9]); (test.reply != ok) != strings.Contains(logged, want) || strings.Contains(logged, "level=ERROR") || (test.reply == unsure) != strings.Contains(logged, "198.51.100.77") || strings.Count(logged, ErrUnsure.Error()) > 1 {
			t.Errorf("%s: log %q, want %q", test.to, logged, want)
		}
		if (len(asked) == 1) != test.asked || len(asked) > 1 || test.asked && asked[0] != test.to {
			t.Errorf("%s: asked for %q", test.to, asked)
		}
	}
	// Without anybody to ask, nobody can tell.
	cfg.Verify = nil
	c := start(t, cfg).dial()
	c.send("MAIL FROM:<a@example.org>", "250")
	c.send("RCPT TO:<joe@ask.example>", "250")
	c.send("RCPT TO:<joe@defer.example>", "450 4.1.1")
}

// Nothing of a customer's servers, and nothing that they or our own parts said,
// is in any byte that a client gets.
func TestHiddenServers(t *testing.T) {
	markers := []string{"hidden", "198.51.100.", "2001:db8:dead", "secret", "/var/lib", "lane-7"}
	trouble := errors.New("dial tcp 198.51.100.77:25 [2001:db8:dead::1] mail.hidden.example: secret /var/lib lane-7")
	w := &waiting{hook: func(string) error { return trouble }}
	var fail error
	store := &memory{fail: func() error { return fail }}
	cfg := customers(t)
	cfg.Policy = withPolicy(t, policy.Config{Relay: []string{".example"}})
	cfg.Domains = withDomains(t, domain.Config{Name: "one.example", Queue: "lane-7", Destinations: []string{"mail.hidden.example", "198.51.100.77:2525", "[2001:db8:dead::1]:25"},
		Verify: "callout", Unverified: "defer", ETRNFrom: []string{"127.0.0.2", "198.51.100.0/24"}})
	cfg.Verify = func(_ context.Context, to string) error {
		switch {
		case strings.HasPrefix(to, "nobody@"):
			return fmt.Errorf("%w: %w", ErrMailbox, trouble)
		case strings.HasPrefix(to, "unsure@"):
			return fmt.Errorf("%w: %w", ErrUnsure, trouble)
		case strings.HasPrefix(to, "bug@"):
			panic(trouble)
		}
		return nil
	}
	cfg.Release, cfg.Queue, cfg.Report = w.release, store, true
	b := start(t, cfg)
	var seen bytes.Buffer
	for _, from := range []string{"127.0.0.1", "127.0.0.2"} {
		c := b.call(from, "a.example", false, nil)
		for _, line := range []string{"EHLO a.example", "HELP", "VRFY u@one.example", "EXPN one.example", "ETRN one.example", "ETRN @one.example", "ETRN #one.example", "ETRN @example",
			"MAIL FROM:<a@example.org>", "RCPT TO:<nobody@one.example>", "RCPT TO:<unsure@one.example>", "RCPT TO:<bug@one.example>", "RCPT TO:<u@one.example>", "RCPT TO:<u@[198.51.100.77]>", "RSET"} {
			reply := c.send(line, "")
			if strings.Contains(line, "198.51.100.77") && !strings.HasPrefix(reply, "550") {
				t.Errorf("%s: %q", line, reply)
			}
			seen.WriteString(reply + "\n")
		}
		for _, fail = range []error{trouble, fmt.Errorf("%w: %w", queue.ErrFull, trouble), nil} {
			c.begin("u@one.example")
			seen.WriteString(c.data(testMessage, "") + "\n")
		}
		seen.WriteString(c.send("MAIL FROM:<>", "") + "\n")
	}
	for _, d := range store.all() {
		seen.WriteString(body(d))
	}
	for _, m := range markers {
		if i := strings.Index(strings.ToLower(seen.String()), m); i >= 0 {
			t.Errorf("%q was told: %q", m, seen.String()[max(0, i-80):i+40])
		}
	}
	if len(store.all()) != 2 || seen.Len() < 1000 {
		t.Errorf("looked at %d messages and %d bytes", len(store.all()), seen.Len())
	}
}

// The address forms by which relays were tricked, from four kinds of sender: no
// recipient outside of the domains that are ours is ever taken.
func TestRelayForms(t *testing.T) {
	b := start(t, Config{
		Wire:    wire.Config{MaxErrors: -1, MaxJunk: -1},
		Policy:  withPolicy(t, policy.Config{Relay: []string{"dom.example"}}),
		Domains: withDomains(t, domain.Config{Name: "dom.example", Destinations: []string{"192.0.2.1"}}),
		Judge:   judge(func(context.Context, *engine.Mail) engine.Verdict { return engine.Verdict{} }),
	})
	forms := []string{"u@third.test", "u%third.test@dom.example", "u%third.test@[127.0.0.1]", `"u@third.test"`, `"u%third.test"`, `"u@third.test"@dom.example`, "u@third.test@dom.example",
		"u@third.test@[127.0.0.1]", "@dom.example:u@third.test", "@[127.0.0.1]:u@third.test", "third.test!u", "third.test!u@dom.example", "dom.example!third.test!u", "u%third.test",
		"u%third.test%dom.example@dom.example", `"u\@third.test"@dom.example`, "u@third.test.", "u@third.test,a@dom.example", "a@dom.example,u@third.test", "u@third.test>,<a@dom.example",
		"u@[192.0.2.5]", "u@192.0.2.5", "u@[IPv6:2001:db8::5]", "u", "u@", "@third.test", "<u@third.test>", "a@dom.example@third.test", "u@dom.example.third.test", "u@third.test\x00@dom.example",
		"u@sub.dom.example", "u@xdom.example", `"a b"@dom.example`, "u(x@third.test)@dom.example", "u@dom.example(third.test)", `"u%third.test"@dom.example`, "third.test!u@third.test",
		"@dom.example,@third.test:u@third.test", "u@dom.example:u@third.test", `u\@third.test@dom.example`}
	refused := 0
	for _, sender := range []string{"", "a@foreign.test", "a@dom.example", "a@[192.0.2.9]"} {
		c := b.dial()
		c.send("MAIL FROM:<"+sender+">", "250")
		for _, form := range forms {
			if got := c.send("RCPT TO:<"+form+">", ""); !strings.HasPrefix(got, "5") {
				t.Errorf("from <%s>, to <%s>: %q", sender, form, got)
			} else {
				refused++
			}
		}
		for _, form := range []string{"u@dom.example", "U@DOM.Example", "@third.test:u@dom.example"} {
			c.send("RCPT TO:<"+form+">", "250 2.1.5")
		}
		c.data(testMessage, "250")
	}
	if refused != 160 {
		t.Errorf("%d forms refused", refused)
	}
	for _, d := range b.store.all() {
		if !slices.Equal(d.Recipients, []string{"u@dom.example", "U@DOM.Example"}) {
			t.Errorf("recipients %q", d.Recipients)
		}
	}
}
