package relay

import (
	"io"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"spamcatcher/gateway/relay/relaytest"
	"spamcatcher/queue"
)

func TestRoundRobin(t *testing.T) {
	a, b := relaytest.Start(t, relaytest.Script{}), relaytest.Start(t, relaytest.Script{})
	dead := deadAddress(t)
	r := newRelay(t, nil, a.Addr, dead, b.Addr)
	for range 30 {
		want(t, deliver(t, r, hello, "b@example.org"), "delivered 250 2.0.0 ok queued")
	}
	// The dead one's turns go to the next in the list.
	if a.Count()+b.Count() != 30 || a.Count() < 10 || b.Count() < 10 {
		t.Errorf("shares %d and %d", a.Count(), b.Count())
	}
}

func TestFailover(t *testing.T) {
	for name, script := range map[string]relaytest.Script{
		"greeting 554":            {Greeting: "554 5.3.2 no service"},
		"greeting 421":            {Greeting: "421 4.3.2 busy"},
		"closes at once":          {Greeting: relaytest.Drop},
		"silent":                  {Greeting: relaytest.Hang},
		"EHLO and HELO refused":   {Answer: answers(map[string]string{"EHLO": "500 what", "HELO": "500 what"})},
		"EHLO 421":                {Answer: answers(map[string]string{"EHLO": "421 closing"})},
		"EHLO dropped":            {Answer: answers(map[string]string{"EHLO": relaytest.Drop})},
		"MAIL 421":                {Answer: answers(map[string]string{"MAIL": "421 closing"})},
		"MAIL dropped":            {Answer: answers(map[string]string{"MAIL": relaytest.Drop})},
		"RCPT 421":                {Answer: answers(map[string]string{"RCPT": "421 closing"})},
		"RCPT dropped":            {Answer: answers(map[string]string{"RCPT": relaytest.Drop})},
		"RCPT silent":             {Answer: answers(map[string]string{"RCPT": relaytest.Hang})},
		"DATA 421":                {Answer: answers(map[string]string{"DATA": "421 closing"})},
		"DATA dropped":            {Answer: answers(map[string]string{"DATA": relaytest.Drop})},
		"DATA 250":                {Answer: answers(map[string]string{"DATA": "250 ok"})},
		"malformed greeting":      {Greeting: "hello there"},
		"malformed reply":         {Answer: answers(map[string]string{"MAIL": "2x0 ok"})},
		"codes differ":            {Answer: answers(map[string]string{"MAIL": "250-ok\r\n550 no"})},
		"two replies to MAIL":     {Answer: answers(map[string]string{"MAIL": "250 ok\r\n250 ok"})},
		"one reply too many":      {Answer: answers(map[string]string{"RCPT TO:<c@": "250 ok\r\n554 no"})},
		"half a reply, then gone": {Answer: answers(map[string]string{"MAIL": relaytest.Drop + "250 o"})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad, good := relaytest.Start(t, script), relaytest.Start(t, relaytest.Script{})
			r := newRelay(t, func(c *Config) {
				c.Timeouts.Greeting, c.Timeouts.Command = 300*time.Millisecond, 300*time.Millisecond
			}, bad.Addr, good.Addr)
			got := deliver(t, r, hello, "b@example.org", "c@example.org")
			want(t, got, "delivered 250 2.0.0 ok queued", "delivered 250 2.0.0 ok queued")
			if bad.Conns() != 1 || good.Count() != 1 || got[0].Server != good.Addr {
				t.Errorf("%d connections to the bad server, %d messages to the good one", bad.Conns(), good.Count())
			}
			// Alone, the bad server gives a deferral and nothing worse.
			alone := relaytest.Start(t, script)
			r = newRelay(t, func(c *Config) {
				c.Timeouts.Greeting, c.Timeouts.Command = 300*time.Millisecond, 300*time.Millisecond
			}, alone.Addr)
			for _, g := range deliver(t, r, hello, "b@example.org", "c@example.org") {
				if g.State != queue.Deferred || g.Reply[0] != '4' {
					t.Errorf("alone: %+v", g)
				}
			}
			if alone.Count() != 0 {
				t.Errorf("a bad server took a message")
			}
		})
	}
}

func TestFailoverKeepsRefusals(t *testing.T) {
	bad := relaytest.Start(t, relaytest.Script{Answer: answers(map[string]string{"RCPT TO:<no@": "550 5.1.1 no", "DATA": relaytest.Drop})})
	good := relaytest.Start(t, relaytest.Script{})
	got := deliver(t, newRelay(t, nil, bad.Addr, good.Addr), hello, "no@example.org", "yes@example.org")
	want(t, got, "failed 550 5.1.1 no", "delivered 250 2.0.0 ok queued")
	if got[0].Server != bad.Addr || got[1].Server != good.Addr {
		t.Errorf("servers %q and %q", got[0].Server, got[1].Server)
	}
	if to := good.Messages()[0].To; len(to) != 1 {
		t.Errorf("second server was asked for %q", to)
	}
}

func TestLossAfterTheFinalDotDefers(t *testing.T) {
	bad := relaytest.Start(t, relaytest.Script{End: func(relaytest.Message) string { return relaytest.Drop }})
	other := relaytest.Start(t, relaytest.Script{})
	got := deliver(t, newRelay(t, nil, bad.Addr, other.Addr), hello, "b@example.org")
	if got[0].State != queue.Deferred || !strings.HasPrefix(got[0].Reply, "451 4.4.2 ") {
		t.Errorf("got %+v", got)
	}
	if len(bad.Messages()) != 1 || other.Conns() != 0 {
		t.Errorf("%d messages; the other server had %d connections", len(bad.Messages()), other.Conns())
	}
}

func TestLossBeforeTheFinalDotGoesOn(t *testing.T) {
	big := hello + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 20000)
	bad := relaytest.Start(t, relaytest.Script{Begin: func(io.Writer) string { return relaytest.Drop }})
	other := relaytest.Start(t, relaytest.Script{})
	want(t, deliver(t, newRelay(t, nil, bad.Addr, other.Addr), big, "b@example.org"), "delivered 250 2.0.0 ok queued")
	if m := other.Messages(); len(m) != 1 || m[0].Text() != big {
		t.Errorf("the message did not arrive whole")
	}
}

// An acceptance that comes before the message was sent is worth nothing.
func TestReplyBeforeTheEndIsNoDelivery(t *testing.T) {
	early := func(reply string) func(io.Writer) string {
		return func(w io.Writer) string {
			io.WriteString(w, reply)
			return ""
		}
	}
	big := hello + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 20000)
	s := relaytest.Start(t, relaytest.Script{Begin: early("250 2.0.0 thanks\r\n")})
	got := deliver(t, newRelay(t, nil, s.Addr), big, "b@example.org")
	if got[0].State != queue.Deferred || len(s.Messages()) != 0 {
		t.Errorf("got %+v and %d messages", got, len(s.Messages()))
	}
	s = relaytest.Start(t, relaytest.Script{Begin: early("552 5.3.4 too big\r\n")})
	want(t, deliver(t, newRelay(t, nil, s.Addr), big, "b@example.org"), "failed 552 5.3.4 too big")
}

func TestDeadServerIsAskedLastForAWhile(t *testing.T) {
	var mu sync.Mutex
	now := time.Unix(1700000000, 0)
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	pass := func(d time.Duration) { mu.Lock(); now = now.Add(d); mu.Unlock() }
	well := false
	bad, good := relaytest.Start(t, relaytest.Script{Answer: func(line string) string {
		mu.Lock()
		defer mu.Unlock()
		if strings.HasPrefix(line, "EHLO") && !well {
			return "421 4.3.2 not now"
		}
		return ""
	}}), relaytest.Start(t, relaytest.Script{})
	r := newRelay(t, func(c *Config) { c.Now, c.IdleTime = clock, time.Nanosecond }, bad.Addr, good.Addr)
	tries := func() int {
		before := bad.Conns()
		for range 4 {
			want(t, deliver(t, r, hello, "b@example.org"), "delivered 250 2.0.0 ok queued")
		}
		return bad.Conns() - before
	}
	var got []int
	for _, d := range []time.Duration{0, 9 * time.Second, 2 * time.Second, 11 * time.Second, 10 * time.Second, 59 * time.Second, 2 * time.Minute} {
		pass(d)
		got = append(got, tries())
	}
	// 0 s: found dead for 10 s. 9 s: skipped. 11 s: found dead for 20 s. 22 s: skipped. 32 s: 40 s more. 91 s: 60 s. 211 s.
	if want := []int{1, 0, 1, 0, 1, 1, 1}; !reflect.DeepEqual(got, want) {
		t.Errorf("tries %v, want %v", got, want)
	}
	// Once it was well, it begins with a short time again.
	set := func(v bool) { mu.Lock(); well = v; mu.Unlock() }
	set(true)
	pass(2 * time.Minute)
	if n := tries(); n != 2 {
		t.Errorf("%d of 4 messages by a server that is well again", n)
	}
	set(false)
	got = []int{tries()}
	pass(11 * time.Second)
	if got = append(got, tries()); !reflect.DeepEqual(got, []int{1, 1}) {
		t.Errorf("tries %v", got)
	}
	// When all are dead, all are asked.
	good.Close()
	if g := deliver(t, r, hello, "b@example.org"); g[0].State != queue.Deferred {
		t.Errorf("got %+v", g)
	}
	before := bad.Conns()
	deliver(t, r, hello, "b@example.org")
	if bad.Conns() != before+1 {
		t.Error("a list of dead servers was not asked")
	}
}

func TestOneOutageIsOneOutage(t *testing.T) {
	dead := deadAddress(t)
	r := newRelay(t, nil, dead)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { deliver(t, r, hello, "b@example.org") })
	}
	wg.Wait()
	if p := known(t, r, dead).pause; p != deadFirst {
		t.Errorf("dead for %v, want %v", p, deadFirst)
	}
}

// A server that does not answer in time, or says 421, is out of service; one that drops a connection need not be.
func TestWhatMakesAServerDead(t *testing.T) {
	for name, c := range map[string]struct {
		script relaytest.Script
		dead   bool
	}{
		"silent":      {relaytest.Script{Answer: answers(map[string]string{"RCPT": relaytest.Hang})}, true},
		"421":         {relaytest.Script{Answer: answers(map[string]string{"RCPT": "421 closing"})}, true},
		"421 at last": {relaytest.Script{End: func(relaytest.Message) string { return "421 closing" }}, true},
		"dropped":     {relaytest.Script{Answer: answers(map[string]string{"RCPT": relaytest.Drop})}, false},
		"refused":     {relaytest.Script{Answer: answers(map[string]string{"RCPT": "450 no"})}, false},
	} {
		s := relaytest.Start(t, c.script)
		r := newRelay(t, func(c *Config) { c.Timeouts.Command = 200 * time.Millisecond }, s.Addr)
		if g := deliver(t, r, hello, "b@example.org"); g[0].State != queue.Deferred {
			t.Errorf("%s: %+v", name, g)
		}
		if dead := known(t, r, s.Addr).pause != 0; dead != c.dead {
			t.Errorf("%s: dead %v", name, dead)
		}
	}
}

// A server that was silent before is not waited for so long again, even after the longest pause of the queue.
func TestSilentServerIsWaitedForOnce(t *testing.T) {
	conf, _ := relaytest.Certificate(t, "127.0.0.1")
	for name, script := range map[string]relaytest.Script{
		"greeting": {Greeting: relaytest.Hang},
		"EHLO":     {Answer: answers(map[string]string{"EHLO": relaytest.Hang})},
		"STARTTLS": {TLS: conf, Answer: answers(map[string]string{"STARTTLS": relaytest.Hang})},
		"handshake": {TLS: conf, Stream: func(line string, w io.Writer) bool {
			if line != "STARTTLS" {
				return false
			}
			io.WriteString(w, "220 go on\r\n")
			time.Sleep(1500 * time.Millisecond)
			return true
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now, other := newClock(), relaytest.Start(t, relaytest.Script{})
			s := relaytest.Start(t, script)
			r := newRelayTo(t, func(c *Config) {
				limit := time.Second
				c.Timeouts = Timeouts{Greeting: limit, Command: limit, Handshake: limit, Dead: 100 * time.Millisecond}
				c.Now = now.read
				first := c.Route
				c.Route = func(recipient string) Route {
					if recipient == "other@example.org" {
						return Route{Servers: []string{other.Addr}}
					}
					return first(recipient)
				}
			}, Route{Servers: []string{s.Addr}, TLS: TLSEncrypt})
			for i, want := range []time.Duration{time.Second, 100 * time.Millisecond} {
				start := time.Now()
				got := deliver(t, r, hello, "b@example.org")
				if d := time.Since(start); !got[0].Down || d < want || d > want+700*time.Millisecond {
					t.Errorf("attempt %d took %v: %+v", i, d, got)
				}
				now.pass(40 * time.Minute)
				deliver(t, r, hello, "other@example.org") // sweeps
			}
		})
	}
	// A message is given its full time, also by a server that was dead.
	slow := relaytest.Start(t, relaytest.Script{End: func(relaytest.Message) string { time.Sleep(300 * time.Millisecond); return "" }})
	r := newRelay(t, func(c *Config) { c.Timeouts.Dead = 100 * time.Millisecond }, slow.Addr)
	r.pool.pick("", []endpoint{{address: slow.Addr, mode: TLSMay}}, time.Now())
	known(t, r, slow.Addr).pause = time.Second
	want(t, deliver(t, r, hello, "b@example.org"), "delivered 250 2.0.0 ok queued")
}
