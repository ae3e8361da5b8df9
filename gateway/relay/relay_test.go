package relay

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"reflect"
	"strings"
	"sync"
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
	cfg := Config{Hostname: "gate.example.net", Servers: func() []string { return servers }, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
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

func TestHELOFallback(t *testing.T) {
	s := relaytest.Start(t, relaytest.Script{Answer: answers(map[string]string{"EHLO": "502 5.5.1 unknown command", "HELO": "250-hello\r\n250 SIZE 10"})})
	want(t, deliver(t, newRelay(t, nil, s.Addr), hello, "b@example.org"), "delivered 250 2.0.0 ok queued")
	if l := s.Lines(); l[1] != "HELO gate.example.net" || l[2] != "MAIL FROM:<a@example.com>" {
		t.Errorf("commands %q", l)
	}
}

func TestConnectionsAreReused(t *testing.T) {
	s := relaytest.Start(t, relaytest.Script{})
	r := newRelay(t, nil, s.Addr)
	for range 20 {
		want(t, deliver(t, r, hello, "b@example.org"), "delivered 250 2.0.0 ok queued")
	}
	if s.Conns() != 1 || s.Count() != 20 {
		t.Errorf("%d connections for %d messages", s.Conns(), s.Count())
	}
	r.Close()
	if l := s.Lines(); l[len(l)-1] != "QUIT" {
		t.Errorf("last command %q", l[len(l)-1])
	}
}

func TestOldConnectionsAreNotKept(t *testing.T) {
	s := relaytest.Start(t, relaytest.Script{})
	r := newRelay(t, func(c *Config) { c.MaxAge = time.Nanosecond }, s.Addr)
	deliver(t, r, hello, "b@example.org")
	deliver(t, r, hello, "b@example.org")
	if s.Conns() != 2 {
		t.Errorf("%d connections", s.Conns())
	}
}

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

func TestIdleConnectionsExpire(t *testing.T) {
	s := relaytest.Start(t, relaytest.Script{})
	r := newRelay(t, func(c *Config) { c.IdleTime = 30 * time.Millisecond }, s.Addr)
	deliver(t, r, hello, "b@example.org")
	deadline := time.Now().Add(5 * time.Second)
	for l := s.Lines(); l[len(l)-1] != "QUIT"; l = s.Lines() {
		if time.Now().After(deadline) {
			t.Fatalf("no QUIT in %q", l)
		}
		time.Sleep(5 * time.Millisecond)
	}
	want(t, deliver(t, r, hello, "b@example.org"), "delivered 250 2.0.0 ok queued")
	if s.Conns() != 2 {
		t.Errorf("%d connections", s.Conns())
	}
}

// A server may end an idle connection at any time, also in the moment when it is used again: nothing is lost by that, and the
// server is not held to be dead.
func TestStaleConnection(t *testing.T) {
	for name, second := range map[string]string{"dropped": relaytest.Drop, "421": "421 4.4.2 timeout"} {
		var mu sync.Mutex
		mails := 0
		s := relaytest.Start(t, relaytest.Script{Answer: func(line string) string {
			mu.Lock()
			defer mu.Unlock()
			if strings.HasPrefix(line, "MAIL") {
				if mails++; mails == 2 {
					return second
				}
			}
			return ""
		}})
		other := relaytest.Start(t, relaytest.Script{})
		list := []string{s.Addr}
		r := newRelay(t, func(c *Config) { c.Servers = func() []string { return list } })
		deliver(t, r, hello, "b@example.org")
		list = []string{s.Addr, s.Addr, other.Addr} // three turns: 0, 1 and 2; the next is 1
		want(t, deliver(t, r, hello, "b@example.org"), "delivered 250 2.0.0 ok queued")
		if s.Count() != 2 || other.Conns() != 0 {
			t.Errorf("%s: %d messages, other server %d connections", name, s.Count(), other.Conns())
		}
	}
	// Closed while idle.
	s := relaytest.Start(t, relaytest.Script{End: func(relaytest.Message) string { return "" }})
	r := newRelay(t, nil, s.Addr)
	deliver(t, r, hello, "b@example.org")
	address := s.Addr
	s.Close()
	s = relaytest.StartAt(t, address, relaytest.Script{})
	want(t, deliver(t, r, hello, "b@example.org"), "delivered 250 2.0.0 ok queued")
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
	if p := r.pool.state[dead].pause; p != deadFirst {
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
		if dead := r.pool.state[s.Addr].pause != 0; dead != c.dead {
			t.Errorf("%s: dead %v", name, dead)
		}
	}
}

func TestThePoolIsBounded(t *testing.T) {
	var together sync.WaitGroup
	together.Add(5)
	s := relaytest.Start(t, relaytest.Script{End: func(relaytest.Message) string {
		together.Done()
		together.Wait() // five connections at the same time
		return ""
	}})
	r := newRelay(t, func(c *Config) { c.MaxIdle = 2 }, s.Addr)
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() { deliver(t, r, hello, "b@example.org") })
	}
	wg.Wait()
	if n := len(r.pool.state[s.Addr].idle); n != 2 || s.Conns() != 5 {
		t.Errorf("%d idle of %d connections, want 2 of 5", n, s.Conns())
	}
}

// A connection in use while its server leaves the list is not kept.
func TestServerLeavesTheListMeanwhile(t *testing.T) {
	other := relaytest.Start(t, relaytest.Script{})
	var mu sync.Mutex
	var list []string
	var r *Relay
	s := relaytest.Start(t, relaytest.Script{End: func(relaytest.Message) string {
		mu.Lock()
		list = []string{other.Addr}
		mu.Unlock()
		deliver(t, r, hello, "c@example.org")
		return ""
	}})
	list = []string{s.Addr}
	r = newRelay(t, func(c *Config) {
		c.IdleTime = time.Hour
		c.Servers = func() []string { mu.Lock(); defer mu.Unlock(); return list }
	})
	want(t, deliver(t, r, hello, "b@example.org"), "delivered 250 2.0.0 ok queued")
	deadline := time.Now().Add(5 * time.Second)
	for l := s.Lines(); l[len(l)-1] != "QUIT"; l = s.Lines() {
		if time.Now().After(deadline) {
			t.Fatalf("no QUIT in %q", l)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestServersAreAskedForAtEachAttempt(t *testing.T) {
	a, b := relaytest.Start(t, relaytest.Script{}), relaytest.Start(t, relaytest.Script{})
	list := []string{a.Addr}
	r := newRelay(t, func(c *Config) { c.Servers = func() []string { return list } })
	deliver(t, r, hello, "b@example.org")
	list = []string{b.Addr}
	deliver(t, r, hello, "b@example.org")
	if a.Count() != 1 || b.Count() != 1 {
		t.Errorf("counts %d and %d", a.Count(), b.Count())
	}
	if len(r.pool.state) != 1 {
		t.Errorf("%d servers remembered", len(r.pool.state))
	}
	list = nil
	want(t, deliver(t, r, hello, "b@example.org"), "deferred 451 4.3.5 no server to deliver to is configured")
}

func TestExtensions(t *testing.T) {
	utf8Head := "Subject: größer\r\n\r\nbody\r\n"
	for _, c := range []struct {
		name       string
		extensions []string
		text       string
		change     func(*queue.Item)
		mail       string // MAIL command, "" = none must be sent
		want       string
	}{
		{"8BITMIME", []string{"8BITMIME"}, "A: b\r\n\r\ngröß\r\n", nil, "MAIL FROM:<a@example.com> BODY=8BITMIME", "delivered"},
		{"8BITMIME declared", []string{"8BITMIME"}, hello, func(it *queue.Item) { it.EightBit = true }, "MAIL FROM:<a@example.com> BODY=8BITMIME", "delivered"},
		{"8 bits all the same", []string{}, "A: b\r\n\r\ngröß\r\n", nil, "MAIL FROM:<a@example.com>", "delivered"},
		{"SIZE", []string{"SIZE 1000"}, "A: b\r\n\r\nx", nil, "MAIL FROM:<a@example.com> SIZE=11", "delivered"},
		{"SIZE without limit", []string{"SIZE"}, "A: b\r\n\r\nx\r\n", nil, "MAIL FROM:<a@example.com> SIZE=11", "delivered"},
		{"SIZE 0", []string{"SIZE 0"}, "A: b\r\n\r\nx\r\n", nil, "MAIL FROM:<a@example.com> SIZE=11", "delivered"},
		{"SIZE reached", []string{"SIZE 11"}, "A: b\r\n\r\nx\r\n", nil, "MAIL FROM:<a@example.com> SIZE=11", "delivered"},
		{"SIZE exceeded", []string{"SIZE 10"}, "A: b\r\n\r\nx\r\n", nil, "", "failed 552 5.3.4 message is too big for the server"},
		{"keyword in lower case", []string{"size 10"}, "A: b\r\n\r\nx\r\n", nil, "", "failed 552 5.3.4 message is too big for the server"},
		{"SMTPUTF8", []string{"SMTPUTF8", "8BITMIME"}, utf8Head, func(it *queue.Item) { it.UTF8 = true }, "MAIL FROM:<a@example.com> BODY=8BITMIME SMTPUTF8", "delivered"},
		{"no SMTPUTF8, ASCII", []string{}, hello, func(it *queue.Item) { it.UTF8 = true }, "MAIL FROM:<a@example.com>", "delivered"},
		{"no SMTPUTF8, header", []string{}, utf8Head, func(it *queue.Item) { it.UTF8 = true }, "", "failed 550 5.6.7 the server cannot take internationalized mail"},
		{"no SMTPUTF8, undeclared header", []string{}, utf8Head, nil, "MAIL FROM:<a@example.com>", "delivered"},
		{"no SMTPUTF8, sender", []string{}, hello, func(it *queue.Item) { it.Sender = "jürgen@example.com" }, "", "failed 550 5.6.7 the server cannot take internationalized mail"},
		{"no SMTPUTF8, recipient", []string{}, hello, func(it *queue.Item) { it.Recipients[0].Address = "jürgen@example.org" }, "", "failed 550 5.6.7 the server cannot take internationalized mail"},
		{"SMTPUTF8, recipient", []string{"SMTPUTF8"}, hello, func(it *queue.Item) { it.Recipients[0].Address = "jürgen@example.org" }, "MAIL FROM:<a@example.com> SMTPUTF8", "delivered"},
		{"null sender", []string{}, hello, func(it *queue.Item) { it.Sender = "" }, "MAIL FROM:<>", "delivered"},
		{"quotes were lost", []string{}, hello, func(it *queue.Item) { it.Sender = "a> SIZE=1 <b@example.com" }, `MAIL FROM:<"a> SIZE=1 <b"@example.com>`, "delivered"},
		{"bad recipient", []string{}, hello, func(it *queue.Item) { it.Recipients[0].Address = "a@b@c d" }, "", "failed 553 5.1.3 bad recipient address syntax"},
		{"bad sender", []string{}, hello, func(it *queue.Item) { it.Sender = "a\r\nRSET\r\n@example.com" }, "", "deferred 451 4.3.5 message not transmissible: sender's address cannot be sent"},
	} {
		s := relaytest.Start(t, relaytest.Script{Extensions: c.extensions})
		it := item(c.text, "b@example.org")
		if c.change != nil {
			c.change(it)
		}
		got := newRelay(t, nil, s.Addr).Deliver(context.Background(), it, strings.NewReader(c.text))
		if c.want == "delivered" {
			c.want += " 250 2.0.0 ok queued"
		}
		if len(got) != 1 || outcome(got)[0] != c.want {
			t.Errorf("%s: got %q, want %q", c.name, outcome(got), c.want)
		}
		mail := ""
		for _, l := range s.Lines() {
			if strings.HasPrefix(l, "MAIL") {
				mail = l
			}
		}
		if mail != c.mail {
			t.Errorf("%s: said %q, want %q", c.name, mail, c.mail)
		}
		innocent(t, s)
	}
}

func TestOneInternationalRecipientDoesNotStopTheOthers(t *testing.T) {
	s := relaytest.Start(t, relaytest.Script{})
	got := deliver(t, newRelay(t, nil, s.Addr), hello, "b@example.org", "jürgen@example.org", "c@example.org")
	want(t, got, "delivered 250 2.0.0 ok queued", "failed 550 5.6.7 the server cannot take internationalized mail", "delivered 250 2.0.0 ok queued")
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
			if r.pool.state[s.Addr].pause != 0 {
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

func TestNewRefusesBadConfigurations(t *testing.T) {
	servers := func() []string { return nil }
	for _, c := range []Config{{}, {Hostname: "a.example.com"}, {Servers: servers}, {Hostname: "a b", Servers: servers},
		{Hostname: "a\r\nb", Servers: servers}, {Hostname: "a.example.com", Servers: servers, TLS: "maybe"}} {
		if _, err := New(c); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}

func TestParseServer(t *testing.T) {
	for in, want := range map[string]string{
		"mail2.example.com:25": "mail2.example.com:25", " 10.1.3.2 ": "10.1.3.2:25", "smtp.example.net:10041": "smtp.example.net:10041",
		"::1": "[::1]:25", "[::1]": "[::1]:25", "[2001:db8::1]:2525": "[2001:db8::1]:2525", "localhost": "localhost:25",
		"fe80::1%eth0": "[fe80::1%eth0]:25",
		"":             "", "host:": "", "host:0": "", "host:65536": "", "host:smtp": "", "a b": "", "[::1": "", "host:1:2": "", "[host]:25": "[host]:25",
		"a..b": "", "host:+25": "", "[1.2.3.4]x": "",
	} {
		got, err := ParseServer(in)
		if in == "[host]:25" {
			want = "host:25" // brackets around a name do no harm
		}
		if (err != nil) != (want == "") || got != want {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestSourceAddress(t *testing.T) {
	s := relaytest.Start(t, relaytest.Script{})
	r := newRelay(t, func(c *Config) { c.SourceAddr = addr("127.0.0.2") }, s.Addr)
	want(t, deliver(t, r, hello, "b@example.org"), "delivered 250 2.0.0 ok queued")
	local := r.pool.state[s.Addr].idle[0].tcp.LocalAddr().String()
	if !strings.HasPrefix(local, "127.0.0.2:") {
		t.Errorf("left from %s", local)
	}
	r = newRelay(t, func(c *Config) { c.SourceAddr = addr("192.0.2.1") }, s.Addr)
	if g := deliver(t, r, hello, "b@example.org"); g[0].State != queue.Deferred {
		t.Errorf("got %+v", g)
	}
}

func TestManyAtOnce(t *testing.T) {
	a, b := relaytest.Start(t, relaytest.Script{}), relaytest.Start(t, relaytest.Script{})
	r := newRelay(t, nil, a.Addr, b.Addr, deadAddress(t))
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			for j := range 20 {
				text := fmt.Sprintf("Subject: %d-%d\r\n\r\n.\r\n..\r\n", i, j)
				if g := deliver(t, r, text, "b@example.org"); g[0].State != queue.Delivered {
					t.Errorf("%+v", g)
				}
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, m := range append(a.Messages(), b.Messages()...) {
		seen[m.Text()] = true
	}
	if len(seen) != 400 || a.Count()+b.Count() != 400 {
		t.Errorf("%d different messages, %d in all", len(seen), a.Count()+b.Count())
	}
	innocent(t, a, b)
}
