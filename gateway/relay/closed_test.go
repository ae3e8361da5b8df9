package relay

import (
	"context"
	"strings"
	"testing"
	"time"

	"spamcatcher/gateway/relay/relaytest"
	"spamcatcher/queue"
)

// What is closed by configuration is deferred with the reason, and nobody is asked; other recipients of the message are served.
func TestClosedRoute(t *testing.T) {
	s := relaytest.Start(t, relaytest.Script{})
	r := newRelay(t, func(c *Config) {
		open := c.Route
		c.Route = func(recipient string) Route {
			if strings.HasSuffix(recipient, "@gone.example") {
				return Route{Servers: []string{s.Addr}, Closed: "this domain\r\nis gone"}
			}
			return open(recipient)
		}
	}, s.Addr)
	got := deliver(t, r, "Subject: x\r\n\r\nx\r\n", "a@gone.example", "b@example.org")
	want(t, got, "deferred 451 4.3.5 this domain??is gone", "delivered 250 2.0.0 ok queued")
	if got[0].Down || !got[0].Silent || got[1].Silent {
		t.Errorf("results tell of destinations: %+v", got)
	}
	innocent(t, s)
}

// Notifications of ours have routes of their own, and nothing else has: not what comes from the null sender, nor what notes it.
func TestRouteOfNotices(t *testing.T) {
	inside, outside := relaytest.Start(t, relaytest.Script{}), relaytest.Start(t, relaytest.Script{})
	r := newRelay(t, func(c *Config) {
		c.Notices = func(string) Route { return Route{Servers: []string{outside.Addr}} }
	}, inside.Addr)
	send := func(sender string, note map[string]string) {
		t.Helper()
		it := item("Subject: x\r\n\r\nx\r\n", "a@example.org")
		it.Sender, it.Note = sender, note
		if got := r.Deliver(context.Background(), it, strings.NewReader("Subject: x\r\n\r\nx\r\n")); got[0].State != queue.Delivered {
			t.Errorf("%+v", got)
		}
	}
	send("", nil)
	send("a@example.org", map[string]string{noticeOf: "x"})
	if inside.Count() != 2 || outside.Count() != 0 {
		t.Errorf("inside %d, outside %d", inside.Count(), outside.Count())
	}
	draft, ok := Notify("gate.example.net")(queue.Notice{Item: &queue.Item{ID: "x", Sender: "s@example.com"}, About: []queue.Recipient{{Address: "a@example.org", Reply: "550 no"}}})
	if !ok {
		t.Fatal("no notification")
	}
	send(draft.Sender, draft.Note)
	if outside.Count() != 1 {
		t.Error("a notification took the route of other mail")
	}
}

// A server that dislikes a sender, and ends the connection over it, is not down for everybody's mail.
func TestGoodbyeOverPolicy(t *testing.T) {
	for reply, down := range map[string]bool{"421 4.7.0 not from you": false, "421 4.3.2 closing": true, "421 closing": true} {
		s := relaytest.Start(t, relaytest.Script{Answer: answers(map[string]string{"MAIL": reply})})
		r := newRelay(t, nil, s.Addr)
		got := deliver(t, r, "Subject: x\r\n\r\nx\r\n", "a@example.org")
		if got[0].State != queue.Deferred || got[0].Down != down {
			t.Errorf("%s: %+v", reply, got[0])
		}
		if dead := time.Now().Before(known(t, r, s.Addr).deadUntil); dead != down {
			t.Errorf("%s: dead %v", reply, dead)
		}
	}
}

// A server that was dead gets a short time for its greeting; but now and then as much as others, or one that is slow would never
// be found alive.
func TestPatience(t *testing.T) {
	slow := relaytest.Start(t, relaytest.Script{Greeting: relaytest.Hang})
	r := newRelay(t, func(c *Config) {
		c.Timeouts.Greeting, c.Timeouts.Dead = 600*time.Millisecond, 50*time.Millisecond
	}, slow.Addr)
	took := func() time.Duration {
		begin := time.Now()
		if got := deliver(t, r, "Subject: x\r\n\r\nx\r\n", "a@example.org"); !got[0].Down {
			t.Fatalf("%+v", got)
		}
		return time.Since(begin)
	}
	if d := took(); d < 500*time.Millisecond {
		t.Errorf("first: %v", d)
	}
	if d := took(); d > 500*time.Millisecond {
		t.Errorf("once found dead: %v", d)
	}
	s := known(t, r, slow.Addr)
	s.mu.Lock()
	s.patient = s.patient.Add(-patience)
	s.mu.Unlock()
	if d := took(); d < 500*time.Millisecond {
		t.Errorf("after a while: %v", d)
	}
}
