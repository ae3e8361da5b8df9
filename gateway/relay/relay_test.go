package relay

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"spamcatcher/gateway/relay/relaytest"
	"spamcatcher/queue"
)

const hello = "From: <a@example.com>\r\nSubject: hello\r\n\r\nA line.\r\n.a line with a dot\r\n"

// item returns a queue item with the given recipients.
func item(text string, to ...string) *queue.Item {
	it := &queue.Item{ID: queue.NewID(), Sender: "a@example.com", Received: time.Unix(1700000000, 0), Size: int64(len(text))}
	for _, a := range to {
		it.Recipients = append(it.Recipients, queue.Recipient{Address: a})
	}
	return it
}

// newRelay returns a Relay to the given servers with short time-outs; change may alter its configuration.
func newRelay(t testing.TB, change func(*Config), servers ...string) *Relay {
	t.Helper()
	return newRelayTo(t, change, Route{Servers: servers})
}

// newRelayTo is newRelay with one route for everybody.
func newRelayTo(t testing.TB, change func(*Config), route Route) *Relay {
	t.Helper()
	cfg := Config{Hostname: "gate.example.net", Route: func(string) Route { return route }, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Timeouts: Timeouts{Connect: 5 * time.Second, Handshake: 5 * time.Second, Greeting: 5 * time.Second, Command: 5 * time.Second,
			Data: 5 * time.Second, Block: 5 * time.Second, End: 5 * time.Second}}
	if change != nil {
		change(&cfg)
	}
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// known returns what r remembers of the server at address.
func known(t testing.TB, r *Relay, address string) *server {
	t.Helper()
	r.pool.mu.Lock()
	defer r.pool.mu.Unlock()
	for e, s := range r.pool.servers {
		if e.address == address {
			return s
		}
	}
	t.Fatalf("%s is not remembered", address)
	return nil
}

func deliver(t testing.TB, r *Relay, text string, to ...string) []queue.Result {
	t.Helper()
	it := item(text, to...)
	got := r.Deliver(context.Background(), it, strings.NewReader(text))
	if len(got) != len(to) {
		t.Fatalf("%d results for %d recipients", len(got), len(to))
	}
	for i, g := range got {
		if g.Recipient != to[i] {
			t.Fatalf("result %d is for %q, want %q", i, g.Recipient, to[i])
		}
		if g.Reply == "" {
			t.Fatalf("result %d has no reply: %+v", i, g)
		}
	}
	return got
}

// outcome returns results as "state reply" each, for comparison.
func outcome(results []queue.Result) []string {
	var s []string
	for _, r := range results {
		s = append(s, r.State.String()+" "+r.Reply)
	}
	return s
}

func want(t *testing.T, got []queue.Result, wanted ...string) {
	t.Helper()
	if g := outcome(got); !reflect.DeepEqual(g, wanted) {
		t.Errorf("got  %q\nwant %q", g, wanted)
	}
}

func innocent(t *testing.T, servers ...*relaytest.Server) {
	t.Helper()
	for _, s := range servers {
		if o := s.Offences(); len(o) > 0 {
			t.Errorf("offences: %q", o)
		}
	}
}

// deadAddress returns a loopback address on which nobody listens.
func deadAddress(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func answers(m map[string]string) func(string) string {
	return func(line string) string {
		for prefix, reply := range m {
			if strings.HasPrefix(line, prefix) {
				return reply
			}
		}
		return ""
	}
}

func TestDeliver(t *testing.T) {
	for _, extensions := range [][]string{nil, {}} {
		s := relaytest.Start(t, relaytest.Script{Extensions: extensions})
		r := newRelay(t, nil, s.Addr)
		got := deliver(t, r, hello, "b@example.org", "c@example.org")
		want(t, got, "delivered 250 2.0.0 ok queued", "delivered 250 2.0.0 ok queued")
		if got[0].Server != s.Addr {
			t.Errorf("server is %q", got[0].Server)
		}
		m := s.Messages()
		if len(m) != 1 || m[0].Text() != hello || len(m[0].To) != 2 {
			t.Fatalf("server got %+v", m)
		}
		lines := []string{"EHLO gate.example.net", "MAIL FROM:<a@example.com>", "RCPT TO:<b@example.org>", "RCPT TO:<c@example.org>", "DATA"}
		if l := s.Lines(); !reflect.DeepEqual(l, lines) {
			t.Errorf("commands %q", l)
		}
		if n := s.Pipelined(); n != 2 && extensions == nil || n != 0 && extensions != nil {
			t.Errorf("%d commands pipelined, offered %v", n, extensions == nil)
		}
		innocent(t, s)
	}
}

func TestRecipientsAreAnsweredOneByOne(t *testing.T) {
	script := relaytest.Script{Answer: answers(map[string]string{
		"RCPT TO:<unknown@": "550 5.1.1 no such user", "RCPT TO:<busy@": "450-4.2.0 mailbox\r\n450 4.2.0 busy", "RCPT TO:<many@": "552 too many recipients",
		"RCPT TO:<full@": "552 5.2.2 mailbox full",
	})}
	for _, extensions := range [][]string{nil, {}} {
		script.Extensions = extensions
		s := relaytest.Start(t, script)
		r := newRelay(t, nil, s.Addr)
		got := deliver(t, r, hello, "ok@example.org", "unknown@example.org", "busy@example.org", "fine@example.org", "many@example.org", "full@example.org")
		want(t, got, "delivered 250 2.0.0 ok queued", "failed 550 5.1.1 no such user", "deferred 450 4.2.0 mailbox busy",
			"delivered 250 2.0.0 ok queued", "deferred 552 too many recipients", "failed 552 5.2.2 mailbox full")
		// Nobody accepted: no DATA, and the connection is reset before it is used again.
		got = deliver(t, r, hello, "unknown@example.org", "busy@example.org")
		want(t, got, "failed 550 5.1.1 no such user", "deferred 450 4.2.0 mailbox busy")
		want(t, deliver(t, r, hello, "ok@example.org"), "delivered 250 2.0.0 ok queued")
		if n := strings.Count(strings.Join(s.Lines(), "\n"), "DATA"); n != 2 {
			t.Errorf("%d DATA, want 2", n)
		}
		if s.Conns() != 1 {
			t.Errorf("%d connections", s.Conns())
		}
		innocent(t, s)
	}
}

func TestOnlyOpenRecipientsAreTried(t *testing.T) {
	s := relaytest.Start(t, relaytest.Script{})
	it := item(hello, "done@example.org", "open@example.org", "bad@example.org", "later@example.org")
	it.Recipients[0].State, it.Recipients[2].State, it.Recipients[3].State = queue.Delivered, queue.Failed, queue.Deferred
	got := newRelay(t, nil, s.Addr).Deliver(context.Background(), it, strings.NewReader(hello))
	if len(got) != 2 || got[0].Recipient != "open@example.org" || got[1].Recipient != "later@example.org" {
		t.Fatalf("got %+v", got)
	}
	if to := s.Messages()[0].To; len(to) != 2 {
		t.Errorf("sent to %q", to)
	}
}

func TestRefusalsOfTheWholeTransaction(t *testing.T) {
	ok := func(reply string) func(relaytest.Message) string {
		return func(relaytest.Message) string { return reply }
	}
	for _, c := range []struct {
		name   string
		script relaytest.Script
		want   string
	}{
		{"MAIL 5xx", relaytest.Script{Answer: answers(map[string]string{"MAIL": "550 5.7.1 go away"})}, "failed 550 5.7.1 go away"},
		{"MAIL 4xx", relaytest.Script{Answer: answers(map[string]string{"MAIL": "452 4.3.1 full"})}, "deferred 452 4.3.1 full"},
		{"DATA 5xx", relaytest.Script{Answer: answers(map[string]string{"DATA": "554 5.5.1 no"})}, "failed 554 5.5.1 no"},
		{"DATA 4xx", relaytest.Script{Answer: answers(map[string]string{"DATA": "451 4.3.0 no"})}, "deferred 451 4.3.0 no"},
		{"end 5xx", relaytest.Script{End: ok("550 5.7.1 spam")}, "failed 550 5.7.1 spam"},
		{"end 4xx", relaytest.Script{End: ok("451 4.3.0 later")}, "deferred 451 4.3.0 later"},
		{"end 421", relaytest.Script{End: ok("421 4.3.2 closing")}, "deferred 421 4.3.2 closing"},
		{"end 250 in 3 lines", relaytest.Script{End: ok("250-2.0.0 ok\r\n250-2.0.0 queued as 7\r\n250 2.0.0 bye")}, "delivered 250 2.0.0 ok queued as 7 bye"},
	} {
		for _, extensions := range [][]string{nil, {}} {
			c.script.Extensions = extensions
			s := relaytest.Start(t, c.script)
			r := newRelay(t, nil, s.Addr)
			for range 2 {
				got := deliver(t, r, hello, "b@example.org", "c@example.org")
				if g := outcome(got); g[0] != c.want || g[1] != c.want {
					t.Errorf("%s: got %q, want %q", c.name, g, c.want)
				}
			}
			innocent(t, s)
		}
	}
}

func TestManyRecipientsInTransactionsOf100(t *testing.T) {
	s := relaytest.Start(t, relaytest.Script{})
	var to []string
	for i := range 1000 {
		to = append(to, fmt.Sprintf("u%d@example.org", i))
	}
	got := deliver(t, newRelay(t, nil, s.Addr), hello, to...)
	seen := map[string]bool{}
	for _, m := range s.Messages() {
		if len(m.To) > 100 {
			t.Errorf("%d recipients in one transaction", len(m.To))
		}
		for _, line := range m.To {
			seen[line] = true
		}
	}
	if len(seen) != 1000 || len(s.Messages()) != 10 || s.Conns() != 1 {
		t.Errorf("%d recipients, %d messages, %d connections", len(seen), len(s.Messages()), s.Conns())
	}
	for _, g := range got {
		if g.State != queue.Delivered {
			t.Fatalf("%+v", g)
		}
	}
	innocent(t, s)
}

func TestNewRefusesBadConfigurations(t *testing.T) {
	route := func(string) Route { return Route{} }
	for _, c := range []Config{{}, {Hostname: "a.example.com"}, {Route: route}, {Hostname: "a b", Route: route}, {Hostname: "a\r\nb", Route: route}} {
		if _, err := New(c); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}
