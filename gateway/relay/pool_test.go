package relay

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"spamcatcher/gateway/relay/relaytest"
	"spamcatcher/queue"
)

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
		r := newRelay(t, func(c *Config) { c.Route = func(string) Route { return Route{Servers: list} } })
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
	if n := len(known(t, r, s.Addr).idle); n != 2 || s.Conns() != 5 {
		t.Errorf("%d idle of %d connections, want 2 of 5", n, s.Conns())
	}
}

// However many servers there are, few connections are kept; and the count of them is right in the end.
func TestAllPoolsAreBounded(t *testing.T) {
	const n = 30
	servers := make([]*relaytest.Server, n)
	for i := range servers {
		servers[i] = relaytest.Start(t, relaytest.Script{})
	}
	now := newClock()
	r := newRelay(t, func(c *Config) {
		c.MaxIdle, c.IdleTime, c.Now = 2, time.Second, now.read
		c.Route = func(recipient string) Route {
			var i int
			fmt.Sscanf(recipient, "%d@", &i)
			return Route{Servers: []string{servers[i].Addr}}
		}
	})
	for i := range servers {
		want(t, deliver(t, r, hello, fmt.Sprintf("%d@example.org", i)), "delivered 250 2.0.0 ok queued")
	}
	if kept := r.pool.kept.Load(); kept != 2*maxKept {
		t.Errorf("%d connections kept, want %d", kept, 2*maxKept)
	}
	// One is used again, some are forgotten with their servers, the others expire.
	want(t, deliver(t, r, hello, "0@example.org"), "delivered 250 2.0.0 ok queued")
	if kept := r.pool.kept.Load(); kept != 2*maxKept || servers[0].Conns() != 1 {
		t.Errorf("%d connections kept, %d to a server that was used again", kept, servers[0].Conns())
	}
	now.pass(forgetAfter + time.Minute)
	want(t, deliver(t, r, hello, "0@example.org"), "delivered 250 2.0.0 ok queued")
	if kept := r.pool.kept.Load(); kept != 1 {
		t.Errorf("%d connections kept after the servers were forgotten", kept)
	}
	want(t, deliver(t, r, hello, "1@example.org"), "delivered 250 2.0.0 ok queued")
	for deadline := time.Now().Add(5 * time.Second); r.pool.kept.Load() != 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are never let go", r.pool.kept.Load())
		}
	}
	want(t, deliver(t, r, hello, "1@example.org"), "delivered 250 2.0.0 ok queued")
	r.Close()
	if kept := r.pool.kept.Load(); kept != 0 {
		t.Errorf("%d connections after the end", kept)
	}
}

// A clock is a time that passes only when a test says so.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Unix(1700000000, 0)} }

func (c *clock) read() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *clock) pass(d time.Duration) { c.mu.Lock(); c.now = c.now.Add(d); c.mu.Unlock() }

// lastCommand waits until a server was last told something.
func lastCommand(t *testing.T, s *relaytest.Server, want string) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for l := s.Lines(); len(l) == 0 || l[len(l)-1] != want; l = s.Lines() {
		if time.Now().After(deadline) {
			t.Fatalf("no %s at the end of %q", want, l)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// A connection in use while its server is forgotten is not kept.
func TestServerIsForgottenMeanwhile(t *testing.T) {
	other, now := relaytest.Start(t, relaytest.Script{}), newClock()
	var mu sync.Mutex
	var list []string
	var r *Relay
	s := relaytest.Start(t, relaytest.Script{End: func(relaytest.Message) string {
		mu.Lock()
		list = []string{other.Addr}
		mu.Unlock()
		now.pass(forgetAfter + time.Second)
		deliver(t, r, hello, "c@example.org")
		return ""
	}})
	list = []string{s.Addr}
	r = newRelay(t, func(c *Config) {
		c.IdleTime, c.Now = time.Hour, now.read
		c.Route = func(string) Route { mu.Lock(); defer mu.Unlock(); return Route{Servers: list} }
	})
	want(t, deliver(t, r, hello, "b@example.org"), "delivered 250 2.0.0 ok queued")
	lastCommand(t, s, "QUIT")
}

func TestRoutesAreAskedForAtEachAttempt(t *testing.T) {
	a, b := relaytest.Start(t, relaytest.Script{}), relaytest.Start(t, relaytest.Script{})
	list, now := []string{a.Addr}, newClock()
	r := newRelay(t, func(c *Config) {
		c.IdleTime, c.Now = time.Hour, now.read
		c.Route = func(string) Route { return Route{Servers: list} }
	})
	deliver(t, r, hello, "b@example.org")
	list = []string{b.Addr}
	deliver(t, r, hello, "b@example.org")
	if a.Count() != 1 || b.Count() != 1 {
		t.Errorf("counts %d and %d", a.Count(), b.Count())
	}
	// What nobody asks for is forgotten after a while, and its connections end.
	now.pass(forgetAfter / 2)
	deliver(t, r, hello, "b@example.org")
	if n, m := len(r.pool.servers), len(r.pool.paths); n != 2 || m != 2 {
		t.Errorf("%d servers and %d routes remembered", n, m)
	}
	now.pass(forgetAfter/2 + time.Minute)
	deliver(t, r, hello, "b@example.org")
	if n, m := len(r.pool.servers), len(r.pool.paths); n != 1 || m != 1 {
		t.Errorf("%d servers and %d routes remembered", n, m)
	}
	lastCommand(t, a, "QUIT")
	if b.Conns() != 1 {
		t.Errorf("%d connections to the server that is in use", b.Conns())
	}
	list = nil
	got := deliver(t, r, hello, "b@example.org")
	want(t, got, "deferred 451 4.3.5 no server to deliver to is configured")
	if !got[0].Down {
		t.Error("a route without servers is not down")
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
	r := newRelayTo(t, nil, Route{Servers: []string{s.Addr}, Source: addr("127.0.0.2")})
	want(t, deliver(t, r, hello, "b@example.org"), "delivered 250 2.0.0 ok queued")
	local := known(t, r, s.Addr).idle[0].tcp.LocalAddr().String()
	if !strings.HasPrefix(local, "127.0.0.2:") {
		t.Errorf("left from %s", local)
	}
	r = newRelayTo(t, nil, Route{Servers: []string{s.Addr}, Source: addr("192.0.2.1")})
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
