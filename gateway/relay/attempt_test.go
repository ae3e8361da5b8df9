package relay

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"spamcatcher/gateway/relay/relaytest"
	"spamcatcher/queue"
)

// The time for a reply is that for all of it, however steadily it trickles in.
func TestReplyThatTrickles(t *testing.T) {
	s := relaytest.Start(t, relaytest.Script{Stream: func(line string, w io.Writer) bool {
		if !strings.HasPrefix(line, "MAIL") {
			return false
		}
		for {
			if _, err := io.WriteString(w, "250-wait\r\n"); err != nil {
				return true
			}
			time.Sleep(20 * time.Millisecond)
		}
	}})
	r := newRelay(t, func(c *Config) { c.Timeouts.Command = 200 * time.Millisecond }, s.Addr)
	start := time.Now()
	got := deliver(t, r, hello, "b@example.org")
	if d := time.Since(start); got[0].State != queue.Deferred || got[0].Reply != "451 4.4.2 no answer in time" || d > 3*time.Second {
		t.Errorf("%+v after %v", got, d)
	}
}

func TestContextEndsAnAttempt(t *testing.T) {
	for name, script := range map[string]relaytest.Script{
		"greeting": {Greeting: relaytest.Hang},
		"MAIL":     {Answer: answers(map[string]string{"MAIL": relaytest.Hang})},
		"message":  {Begin: func(io.Writer) string { return relaytest.Hang }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, other := relaytest.Start(t, script), relaytest.Start(t, relaytest.Script{})
			r := newRelay(t, func(c *Config) { c.Timeouts = Timeouts{} }, s.Addr, other.Addr)
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			defer cancel()
			start := time.Now()
			it := item(hello, "b@example.org")
			got := r.Deliver(ctx, it, strings.NewReader(hello))
			// The loop of the Hang script reads the message, so the dot may have gone: then there is the grace.
			if got[0].State != queue.Deferred || time.Since(start) > endGrace+2*time.Second {
				t.Errorf("got %+v after %v", got, time.Since(start))
			}
			if other.Conns() != 0 {
				t.Error("another server was tried after the end")
			}
			if known(t, r, s.Addr).pause != 0 {
				t.Error("the server counts as dead")
			}
		})
	}
}

// A shutdown in the moment between the final dot and its reply makes no duplicate.
func TestReplyToTheDotIsAwaitedAtTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	s := relaytest.Start(t, relaytest.Script{End: func(relaytest.Message) string {
		cancel()
		time.Sleep(100 * time.Millisecond)
		return ""
	}})
	it := item(hello, "b@example.org")
	want(t, newRelay(t, nil, s.Addr).Deliver(ctx, it, strings.NewReader(hello)), "delivered 250 2.0.0 ok queued")
}

// watched notes the deadlines that are set.
type watched struct {
	net.Conn
	until time.Time
}

func (w *watched) SetDeadline(t time.Time) error { w.until = t; return nil }

func TestDeadlinesAfterTheEnd(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		ended time.Time
		final bool
		want  time.Time
	}{{time.Time{}, false, now.Add(time.Minute)}, {now, false, now}, {now, true, now.Add(endGrace)}, {now.Add(time.Hour), true, now.Add(time.Minute)}} {
		w := &watched{}
		(&conn{net: w, ended: c.ended, final: c.final}).arm(time.Minute)
		if d := w.until.Sub(c.want); d < 0 || d > time.Second {
			t.Errorf("%+v: deadline is %v away from %v", c, d, c.want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, final := range []bool{false, true} {
		w := &watched{}
		c := &conn{net: w, final: final}
		c.bind(ctx)
		for ended := false; !ended; time.Sleep(time.Millisecond) {
			c.mu.Lock()
			ended = !c.ended.IsZero()
			c.mu.Unlock()
		}
		if d := w.until.Sub(time.Now()); (d > endGrace/2) != final {
			t.Errorf("final %v: deadline in %v", final, d)
		}
	}
}
