package gateway

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
	"spamcatcher/gateway/domain"
	"spamcatcher/gateway/policy"
)

// given is a connection that a message came by.
type given struct {
	hello string
	raw   []byte
}

func (g given) Client() netip.AddrPort    { return netip.MustParseAddrPort("192.0.2.1:25") }
func (g given) TLS() *tls.ConnectionState { return nil }
func (g given) Hello() (string, bool)     { return g.hello, true }
func (g given) Message() []byte           { return g.raw }
func (g given) CloseAfterReply()          {}
func (g given) Ahead() []string           { return nil }

// FuzzSession takes any message from DATA to the queue. Whatever it is, there
// is one reply and one log line, and what is in the queue has each of our
// fields once, as a reader that is not this package's sees it.
func FuzzSession(f *testing.F) {
	f.Add("client.example.org", "a@example.org", "u@example.com", "From: a@example.org\r\nSubject: x\r\n\r\nText\r\n", 60.0)
	f.Add("x", "", "u@example.com", "X-SpamCatcher-Score: 0\r\n\r\n", 10.0)
	f.Add("\r\n", "\"", "@", " X-SpamCatcher-Score: 0\r\nx-spamcatcher-score\r\n : 1\r\n\r\nX-SpamCatcher-Score: 2", 100.0)
	f.Add("x", "a@b", "u@example.com", "Authentication-Results: mx.example.com; spf=pass\r\nSubject: a\r\nSubject: b\r\n", 95.0)
	f.Add("x", "a@b", "u@example.com", "Subject\r\n:\r\n\r\n", 50.0)
	f.Fuzz(func(t *testing.T, hello, from, to, raw string, score float64) {
		if !(score >= 0 && score <= 100) {
			return
		}
		store, log := &memory{}, &logged{}
		srv, err := New(Config{
			Hostname: host, Queue: store, Log: slog.New(slog.NewTextHandler(log, nil)), Report: true, Mark: markKey,
			Domains: withDomains(t, domain.Config{Name: "example.com", Destinations: []string{"192.0.2.1"}}),
			Judge: judge(func(_ context.Context, m *engine.Mail) engine.Verdict {
				m.Message.Text()
				return engine.Verdict{Score: score, Plan: "p", Symbols: []engine.Scored{{Name: "A", Detail: raw}}}
			}),
			Policy: withPolicy(t, policy.Config{Settings: policy.Settings{Reject: above(t, 99), Subject: above(t, 50), Flag: above(t, 50), Quarantine: above(t, 90)}}),
		})
		if err != nil {
			t.Fatal(err)
		}
		s := &session{Server: srv, conn: given{hello, []byte(raw)}}
		if err := s.Mail(from, nil); err != nil {
			t.Fatal(err)
		}
		if err := s.Rcpt(to, nil); err != nil {
			t.Fatal(err)
		}
		reply, ok := s.Data(strings.NewReader("")).(*smtp.SMTPError)
		if !ok || reply.Code/100 != reply.EnhancedCode[0] {
			t.Fatalf("reply %#v", reply)
		}
		if srv.Stats().Panics > 0 {
			t.Fatalf("panic:\n%s", log.buf.String())
		}
		if n := strings.Count(log.buf.String(), "\n"); n != 1 {
			t.Fatalf("%d log lines:\n%s", n, log.buf.String())
		}
		drafts := store.all()
		if (reply.Code == 250) != (len(drafts) == 1) {
			t.Fatalf("reply %d and %d drafts", reply.Code, len(drafts))
		}
		if len(drafts) == 0 {
			return
		}
		if (score > 90) != (drafts[0].Hold != "") {
			t.Fatalf("score %v, hold %q", score, drafts[0].Hold)
		}
		out := body(drafts[0])
		h := message.Parse([]byte(out), message.Limits{}).Header()
		for name, want := range map[string]int{"X-SpamCatcher-Score": 1, "X-SpamCatcher-IP": 1, "X-SpamCatcher-Report": 1, "X-SpamCatcher-Mark": 1, "X-SpamCatcher-Virus": 0, "X-SpamCatcher-Timeout": 0} {
			if n := h.Count(name); n != want {
				t.Fatalf("%d of %s in %q", n, name, out)
			}
		}
		if n := h.Count("X-SpamCatcher-Flag"); (score > 50) != (n == 1) || n > 1 {
			t.Fatalf("score %v, %d flags in %q", score, n, out)
		}
		if score > 50 && !strings.HasPrefix(h.Raw("Subject"), subjectTag) {
			t.Fatalf("no tag in %q", out)
		}
	})
}

// FuzzETRN asks for anything, as a stranger and as a customer's server. A
// stranger hears 459 or 501, and whatever is asked for, only what is the
// customer's own is released.
func FuzzETRN(f *testing.F) {
	for _, argument := range []string{"one.example", "@example", "#one.example", "x';--", "@", "#", "", "xn--bcher-kva.example", "ONE.example.", "a.tree.example", "@@", "#.tree.example"} {
		f.Add(argument)
	}
	f.Fuzz(func(t *testing.T, argument string) {
		w := &waiting{}
		srv, err := New(Config{
			Hostname: host, Judge: scores(1), Queue: &memory{}, Log: slog.New(slog.DiscardHandler), Release: w.release, ETRNPause: -1,
			Domains: withDomains(t,
				domain.Config{Name: "one.example", Destinations: []string{"192.0.2.1"}, ETRNFrom: []string{"192.0.2.1"}},
				domain.Config{Name: ".tree.example", Destinations: []string{"192.0.2.1"}, ETRNFrom: []string{"192.0.2.1"}},
				domain.Config{Name: "two.example", Destinations: []string{"192.0.2.2"}, ETRNFrom: []string{"192.0.2.2"}}),
		})
		if err != nil {
			t.Fatal(err)
		}
		ask := func(client string) (int, string) {
			r := srv.etrnFrom("s", netip.MustParseAddr(client), nil, argument)
			if r.Enhanced[0] != byte('0'+r.Code/100) || strings.ContainsFunc(r.Text, func(c rune) bool { return c < ' ' || c > '~' }) || len(r.Text) > 400 {
				t.Fatalf("reply %+v", r)
			}
			return r.Code, r.Text
		}
		code, text := ask("198.51.100.1")
		if code != 459 && code != 501 || len(w.take()) > 0 {
			t.Fatalf("a stranger who asks for %q hears %d %s", argument, code, text)
		}
		own, _ := ask("192.0.2.1")
		if !slices.Contains([]int{251, 459, 501}, own) || (own == 501) != (code == 501) {
			t.Fatalf("a server that asks for %q hears %d, a stranger %d", argument, own, code)
		}
		for _, released := range w.take() {
			if queue, _, _ := strings.Cut(released, " "); queue != "one.example" && queue != ".tree.example" {
				t.Fatalf("%q released %q", argument, released)
			}
		}
	})
}
