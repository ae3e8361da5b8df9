package relay

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"spamcatcher/gateway/relay/relaytest"
	"spamcatcher/queue"
)

// routes sends each domain its own way.
func routes(m map[string]Route) func(string) Route {
	return func(recipient string) Route { return m[recipient[strings.LastIndexByte(recipient, '@')+1:]] }
}

func TestRecipientsTakeTheirOwnRoutes(t *testing.T) {
	a, b := relaytest.Start(t, relaytest.Script{}), relaytest.Start(t, relaytest.Script{})
	local, err := NewMaildir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := newRelay(t, func(c *Config) {
		c.Local = local
		// They share a name, as domains may share a lane: that does not make the servers of one those of the other.
		c.Route = routes(map[string]Route{"a.example": {Name: "x", Servers: []string{a.Addr}}, "b.example": {Name: "x", Servers: []string{b.Addr}},
			"dead.example": {Servers: []string{deadAddress(t)}}, "c.example": {}})
	})
	got := deliver(t, r, hello, "1@a.example", "2@dead.example", "3@b.example", "4@c.example", "5@a.example", "no address@", "6@b.example")
	want(t, got, "delivered 250 2.0.0 ok queued", "deferred 451 4.4.1 cannot connect: connection refused", "delivered 250 2.0.0 ok queued",
		"delivered 250 2.0.0 delivered into the maildir", "delivered 250 2.0.0 ok queued", "delivered 250 2.0.0 delivered into the maildir", "delivered 250 2.0.0 ok queued")
	for i, g := range got {
		if g.Down != (i == 1) {
			t.Errorf("%+v: down %v", g, g.Down)
		}
	}
	for s, to := range map[*relaytest.Server]string{a: "RCPT TO:<1@a.example> RCPT TO:<5@a.example>", b: "RCPT TO:<3@b.example> RCPT TO:<6@b.example>"} {
		if m := s.Messages(); len(m) != 1 || strings.Join(m[0].To, " ") != to || m[0].Text() != hello {
			t.Errorf("a server got %+v, want recipients %q", m, to)
		}
	}
	innocent(t, a, b)
}

// A message that can never be sent is still delivered where it need not be sent.
func TestPoisonIsDeliveredLocally(t *testing.T) {
	s := relaytest.Start(t, relaytest.Script{})
	local, err := NewMaildir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var held []string
	r := newRelay(t, func(c *Config) {
		c.Local, c.Hold = local, func(id, reason string) { held = append(held, reason) }
		c.Route = routes(map[string]Route{"a.example": {Servers: []string{s.Addr}}, "b.example": {Servers: []string{s.Addr, s.Addr}}})
	})
	got := deliver(t, r, "Subject: x\r\n\r\na\n.\r\n", "1@a.example", "2@c.example", "3@b.example")
	if got[0].State != queue.Deferred || got[0].Down || got[0].Reply != got[2].Reply || got[1].State != queue.Delivered || len(held) != 1 || s.Conns() != 0 {
		t.Errorf("%+v, held %q, %d connections", got, held, s.Conns())
	}
}

// forgetful is a Deliverer that has no result for its last recipient.
type forgetful struct{ seen []string }

func (f *forgetful) Deliver(_ context.Context, it *queue.Item, _ io.ReadSeeker) (results []queue.Result) {
	for _, r := range it.Pending() {
		f.seen = append(f.seen, r.Address)
		results = append(results, queue.Result{Recipient: r.Address, State: queue.Delivered, Reply: "250 ok"})
	}
	return results[:len(results)-1]
}

func TestLocalWithoutResult(t *testing.T) {
	f := &forgetful{}
	r := newRelay(t, func(c *Config) { c.Local, c.Route = f, func(string) Route { return Route{} } })
	want(t, deliver(t, r, hello, "1@a.example", "2@a.example"), "delivered 250 ok", "deferred 451 4.3.0 no result")
	if strings.Join(f.seen, " ") != "1@a.example 2@a.example" {
		t.Errorf("saw %q", f.seen)
	}
}

// Down says that nothing was learnt about the message: no server answered so much as MAIL.
func TestDown(t *testing.T) {
	conf, _ := relaytest.Certificate(t, "other.example.com")
	for name, c := range map[string]struct {
		script relaytest.Script
		mode   TLSMode
		down   bool
	}{
		"greeting 554":    {relaytest.Script{Greeting: "554 5.3.2 no service"}, "", true},
		"greeting 421":    {relaytest.Script{Greeting: "421 4.3.2 busy"}, "", true},
		"closes":          {relaytest.Script{Greeting: relaytest.Drop}, "", true},
		"silent":          {relaytest.Script{Greeting: relaytest.Hang}, "", true},
		"EHLO refused":    {relaytest.Script{Answer: answers(map[string]string{"EHLO": "550 no", "HELO": "550 no"})}, "", true},
		"no TLS":          {relaytest.Script{}, TLSEncrypt, true},
		"bad certificate": {relaytest.Script{TLS: conf}, TLSVerify, true},
		"MAIL 421":        {relaytest.Script{Answer: answers(map[string]string{"MAIL": "421 closing"})}, "", true},
		"MAIL silent":     {relaytest.Script{Answer: answers(map[string]string{"MAIL": relaytest.Hang})}, "", true},
		"MAIL dropped":    {relaytest.Script{Answer: answers(map[string]string{"MAIL": relaytest.Drop})}, "", true},
		"MAIL 451":        {relaytest.Script{Answer: answers(map[string]string{"MAIL": "451 not now"})}, "", false},
		"RCPT 451":        {relaytest.Script{Answer: answers(map[string]string{"RCPT": "451 greylisted"})}, "", false},
		// Some servers defer one message, by greylisting for instance, with 421: the others need not wait for that.
		"RCPT 421":    {relaytest.Script{Answer: answers(map[string]string{"RCPT": "421 greylisted"})}, "", false},
		"RCPT silent": {relaytest.Script{Answer: answers(map[string]string{"RCPT": relaytest.Hang})}, "", false},
		"DATA 451":    {relaytest.Script{Answer: answers(map[string]string{"DATA": "451 not now"})}, "", false},
		"end 451":     {relaytest.Script{End: func(relaytest.Message) string { return "451 not now" }}, "", false},
		"end dropped": {relaytest.Script{End: func(relaytest.Message) string { return relaytest.Drop }}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, extensions := range [][]string{nil, {}} {
				c.script.Extensions = extensions
				s := relaytest.Start(t, c.script)
				short := func(c *Config) {
					c.Timeouts.Greeting, c.Timeouts.Command = 300*time.Millisecond, 300*time.Millisecond
				}
				r := newRelayTo(t, short, Route{Servers: []string{s.Addr}, TLS: c.mode})
				for _, g := range deliver(t, r, hello, "b@example.org", "c@example.org") {
					if g.State != queue.Deferred || g.Down != c.down {
						t.Errorf("%+v", g)
					}
				}
				// One server that answers is enough to learn something.
				other := relaytest.Start(t, relaytest.Script{TLS: conf, Answer: answers(map[string]string{"RCPT": "450 no"})})
				if c.mode == TLSVerify {
					continue // the other one's certificate is not valid either
				}
				r = newRelayTo(t, short, Route{Servers: []string{s.Addr, other.Addr}, TLS: c.mode})
				for _, g := range deliver(t, r, hello, "b@example.org") {
					if g.State != queue.Deferred || g.Down {
						t.Errorf("with another server: %+v", g)
					}
				}
			}
		})
	}
	// An attempt that was interrupted says nothing about the destination.
	s := relaytest.Start(t, relaytest.Script{Greeting: relaytest.Hang})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	got := newRelay(t, nil, s.Addr).Deliver(ctx, item(hello, "b@example.org"), strings.NewReader(hello))
	if got[0].State != queue.Deferred || got[0].Down {
		t.Errorf("interrupted: %+v", got)
	}
}

// What is known of a server under one policy is not used under another.
func TestPolicyChangeNeedsANewConnection(t *testing.T) {
	conf, _ := relaytest.Certificate(t, "127.0.0.1")
	s := relaytest.Start(t, relaytest.Script{TLS: conf})
	route := Route{Servers: []string{s.Addr}, TLS: TLSOff}
	r := newRelay(t, func(c *Config) {
		c.IdleTime = time.Hour
		c.Route = func(string) Route { return route }
	})
	for i, change := range []func(){
		func() {}, func() { route.TLS = TLSMay }, func() { route.TLS = TLSEncrypt }, func() { route.Source = addr("127.0.0.2") },
	} {
		change()
		for range 2 {
			want(t, deliver(t, r, hello, "b@example.org"), "delivered 250 2.0.0 ok queued")
		}
		if m := s.Messages(); s.Conns() != i+1 || m[len(m)-1].TLS != (i > 0) {
			t.Errorf("change %d: %d connections, encrypted: %v", i, s.Conns(), m[len(m)-1].TLS)
		}
	}
	route.TLS = TLSVerify
	if got := deliver(t, r, hello, "b@example.org"); got[0].State != queue.Deferred || !got[0].Down {
		t.Errorf("a connection that was not verified was used: %+v", got)
	}
	route.TLS = "maybe"
	want(t, deliver(t, r, hello, "b@example.org"), "deferred 451 4.3.5 no server to deliver to is configured")
}

func TestIdentity(t *testing.T) {
	base := Route{Name: "a", Servers: []string{"a:25", "b:25"}, TLS: TLSVerify, Source: addr("192.0.2.1"), Pins: []string{"00"}}
	seen := map[string]int{base.identity(): 0}
	renamed := base
	renamed.Name = "b"
	if _, ok := seen[renamed.identity()]; !ok {
		t.Error("the name makes another route")
	}
	for i, change := range []func(*Route){
		func(r *Route) { r.Servers = []string{"a:25"} }, func(r *Route) { r.Servers = []string{"b:25", "a:25"} }, func(r *Route) { r.TLS = TLSMay },
		func(r *Route) { r.Source = addr("192.0.2.2") }, func(r *Route) { r.Pins = nil }, func(r *Route) { r.Pins = []string{"00", "00"} },
	} {
		r := base
		change(&r)
		if j, ok := seen[r.identity()]; ok {
			t.Errorf("changes %d and %d look the same", i, j)
		}
		seen[r.identity()] = i
	}
}
