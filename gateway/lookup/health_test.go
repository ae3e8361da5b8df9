package lookup_test

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	. "spamcatcher/gateway/lookup"
	"spamcatcher/gateway/lookup/lookuptest"
)

// TestFailover: a server that is silent costs one question a second, and no
// later one anything; when it answers again it is used again.
func TestFailover(t *testing.T) {
	const zone = "*.example.org. A 192.0.2.1"
	one, two := lookuptest.Serve(t, zone), lookuptest.Serve(t, zone)
	c := client(t, Config{Attempt: 200 * time.Millisecond, Timeout: time.Second}, one, two)
	one.Set(lookuptest.Fault{Drop: true})
	var slow time.Duration
	for i := range 50 {
		start := time.Now()
		if _, err := c.Query(t.Context(), fmt.Sprintf("a%d.example.org", i), A); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 50*time.Millisecond {
			slow += took
		}
	}
	if slow > 400*time.Millisecond {
		t.Errorf("a dead server cost %v", slow)
	}
	time.Sleep(250 * time.Millisecond)
	if state := c.Servers(); state[0].Down.IsZero() || !state[1].Down.IsZero() {
		t.Errorf("%+v", state)
	}
	// Now the other one dies, and the first is back.
	one.Set()
	two.Stop()
	back := false
	for i := 0; i < 100 && !back; i++ {
		_, err := c.Query(t.Context(), fmt.Sprintf("b%d.example.org", i), A)
		back = err == nil
		time.Sleep(50 * time.Millisecond)
	}
	if !back {
		t.Errorf("the first server is not used again: %+v", c.Servers())
	}
}

// TestContradiction: a server that cannot tell where another can is asked last.
func TestContradiction(t *testing.T) {
	const zone = "*.example.org. A 192.0.2.1"
	one, two := lookuptest.Serve(t, zone), lookuptest.Serve(t, zone)
	c := client(t, Config{}, one, two)
	one.Set(lookuptest.Fault{Rcode: dns.RcodeServerFailure})
	two.Set(lookuptest.Fault{Delay: 5 * time.Millisecond}) // the failing one is the faster
	for i := range 100 {
		if _, err := c.Query(t.Context(), fmt.Sprintf("a%d.example.org", i), A); err != nil {
			t.Fatal(err)
		}
	}
	if one.Queries() > 10 || len(c.Troubled()) > 0 {
		t.Errorf("the failing server was asked %d of 100 questions; %+v", one.Queries(), c.Troubled())
	}
	// If neither can tell, each is asked once.
	two.Set(lookuptest.Fault{Rcode: dns.RcodeServerFailure})
	before := one.Queries() + two.Queries()
	if _, err := c.Query(t.Context(), "b.example.org", A); err == nil || one.Queries()+two.Queries() != before+2 {
		t.Errorf("%v, %d questions", err, one.Queries()+two.Queries()-before)
	}
}

// TestDead: when all servers are silent, the first questions end in time, and
// the later ones at once; soon after they answer again, so do we. No zone is to
// blame for that, and nothing is left running.
func TestDead(t *testing.T) {
	s := lookuptest.Serve(t, "*.example. A 192.0.2.1")
	c := client(t, Config{}, s) // the production bounds
	before := runtime.NumGoroutine()
	s.Set(lookuptest.Fault{Drop: true})
	most := 0
	round := func(prefix string) []time.Duration {
		var mu sync.Mutex
		var wait sync.WaitGroup
		var took []time.Duration
		for i := range 100 {
			wait.Go(func() {
				start := time.Now()
				_, err := c.Query(t.Context(), fmt.Sprintf("%s.x%d.example", prefix, i), A)
				mu.Lock()
				defer mu.Unlock()
				took = append(took, time.Since(start))
				if err == nil || Missing(err) {
					t.Errorf("a dead server: %v", err)
				}
			})
		}
		time.Sleep(20 * time.Millisecond)
		most = max(most, runtime.NumGoroutine()-before)
		wait.Wait()
		slices.Sort(took)
		return took
	}
	first := round("first")
	later := round("later")
	t.Logf("dead server, 100 questions at once: the first time median %v, most %v; then median %v, most %v; at most %d goroutines",
		first[50].Round(time.Millisecond), first[99].Round(time.Millisecond), later[50].Round(time.Microsecond), later[99].Round(time.Millisecond), most)
	if first[99] > 6*time.Second || later[90] > 500*time.Millisecond || later[99] > 1500*time.Millisecond {
		t.Error("too slow")
	}
	if troubled := c.Troubled(); len(troubled) > 0 {
		t.Errorf("zones are blamed: %+v", troubled)
	}
	if c.Servers()[0].Down.IsZero() {
		t.Errorf("the server is not known to be down: %+v", c.Servers())
	}
	s.Set()
	start := time.Now()
	for time.Since(start) < 10*time.Second {
		if _, err := c.Query(t.Context(), "first.x1.example", A); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	recovery := time.Since(start)
	t.Logf("answers %v after the server does", recovery.Round(time.Millisecond))
	if recovery > 3*time.Second {
		t.Error("too late")
	}
	c.Close()
	for range 100 {
		if runtime.NumGoroutine() <= before+1 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > before+1 {
		t.Errorf("%d goroutines are left of %d", n, before)
	}
	if _, err := c.Query(t.Context(), "www.y.example", A); err == nil {
		t.Error("a closed client answers")
	}
}

// TestPortClosed: a server that is not there costs nothing.
func TestPortClosed(t *testing.T) {
	s := lookuptest.Serve(t, "www.example.org. A 192.0.2.1")
	c := client(t, Config{}, s)
	s.Set(lookuptest.Fault{Below: "failed.example.org", Rcode: dns.RcodeServerFailure})
	for _, kind := range []Kind{A, AAAA, MX, TXT, NS} {
		if _, err := c.Query(t.Context(), "failed.example.org", kind); err == nil {
			t.Error("no failure")
		}
	}
	if len(c.Troubled()) != 1 {
		t.Errorf("%+v", c.Troubled())
	}
	s.Set()
	s.Stop()
	start := time.Now()
	if _, err := c.Query(t.Context(), "www.example.org", A); err == nil || time.Since(start) > 500*time.Millisecond {
		t.Errorf("%v after %v", err, time.Since(start))
	}
	for c.Servers()[0].Down.IsZero() {
		time.Sleep(time.Millisecond) // till the probe has found it out
	}
	s.Start()
	time.Sleep(2100 * time.Millisecond)
	if _, err := c.Query(t.Context(), "www.example.org", A); err != nil {
		t.Errorf("the server is there again: %v", err)
	}
	if _, err := c.Query(t.Context(), "failed.example.org", A); !Missing(err) {
		t.Errorf("a failure of before is remembered: %v", err)
	}
}

// TestSilentZone: a zone about which the server says nothing is left alone, and
// the server is not blamed, though nothing else is asked meanwhile.
func TestSilentZone(t *testing.T) {
	s := lookuptest.Serve(t, "www.example.org. A 192.0.2.1\n*.list.example.net. A 127.0.0.2\n*.example.net. A 192.0.2.2")
	s.Set(lookuptest.Fault{Below: "list.example.net", Drop: true})
	c := client(t, Config{Timeout: 1200 * time.Millisecond, Attempt: 300 * time.Millisecond, Zones: []string{"list.example.net"}}, s)
	var wait sync.WaitGroup
	for i := range 5 {
		wait.Go(func() {
			if _, err := c.Query(t.Context(), fmt.Sprintf("%d.list.example.net", i), A); err == nil {
				t.Error("the zone answers")
			}
		})
	}
	wait.Wait()
	troubled := c.Troubled()
	if len(troubled) != 1 || troubled[0].Name != "list.example.net" || troubled[0].Failures != 5 || troubled[0].LastError == "" {
		t.Fatalf("%+v", troubled)
	}
	if state := c.Servers()[0]; !state.Down.IsZero() {
		t.Errorf("the server is blamed: %+v", state)
	}
	asked, start := s.Queries(), time.Now()
	if _, err := c.Query(t.Context(), "9.list.example.net", A); err == nil || Missing(err) || s.Queries() != asked || time.Since(start) > 20*time.Millisecond {
		t.Errorf("the breaker is open: %v, %d questions, %v", err, s.Queries()-asked, time.Since(start))
	}
	for _, name := range []string{"www.example.org", "www.example.net"} {
		if _, err := c.Query(t.Context(), name, A); err != nil {
			t.Errorf("another zone: %v", err)
		}
	}
}

// TestBreaker: five failures in a row open the breaker of a zone; when its time
// is over one question tries, and closes it or not.
func TestBreaker(t *testing.T) {
	var mu sync.Mutex
	now := time.Unix(1_800_000_000, 0)
	clock := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}
	pass := func(d time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(d)
	}
	s := lookuptest.Serve(t, "*.example.co.uk. A 192.0.2.1\n*.other.co.uk. A 192.0.2.2")
	c := client(t, Config{Now: clock}, s)
	n := 0
	ask := func() (asked bool, err error) {
		n++
		before := s.Queries()
		_, err = c.Query(t.Context(), fmt.Sprintf("x%d.example.co.uk", n), A)
		return s.Queries() > before, err
	}
	s.Set(lookuptest.Fault{Below: "example.co.uk", Rcode: dns.RcodeServerFailure})
	for range 4 {
		ask()
	}
	s.Set()
	if _, err := ask(); err != nil {
		t.Errorf("four failures opened it: %v", err)
	}
	s.Set(lookuptest.Fault{Below: "example.co.uk", Rcode: dns.RcodeServerFailure})
	for range 5 {
		ask()
	}
	for _, wait := range []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 30 * time.Second, 30 * time.Second} {
		pass(wait - time.Millisecond)
		if asked, err := ask(); asked || err == nil || Missing(err) {
			t.Errorf("open for less than %v: %v", wait, err)
		}
		pass(time.Millisecond)
		if asked, err := ask(); !asked || err == nil {
			t.Errorf("no trial after %v: %v", wait, err)
		}
	}
	if _, err := c.Query(t.Context(), "www.other.co.uk", A); err != nil {
		t.Errorf("another domain: %v", err)
	}
	s.Set()
	pass(30 * time.Second)
	for range 2 {
		if _, err := ask(); err != nil {
			t.Errorf("closed again: %v", err)
		}
	}
	if len(c.Troubled()) > 0 {
		t.Errorf("%+v", c.Troubled())
	}
}

// TestBreakerZones: which names stand or fall together.
func TestBreakerZones(t *testing.T) {
	s := lookuptest.Serve(t, "")
	s.Set(lookuptest.Fault{Rcode: dns.RcodeServerFailure})
	for name, want := range map[string]string{
		"a%d.b.example.org":                   "b.example.org",
		"a%d.example.org":                     "example.org",
		"a%d.example.co.uk":                   "example.co.uk",
		"%d.2.0.192.in-addr.arpa":             "2.0.192.in-addr.arpa",
		"a%d.sub.list.example.net":            "sub.list.example.net",
		"a%d.list.example.net":                "list.example.net",
		"a%d.otherlist.example.net":           "otherlist.example.net",
		"%d.f.e.d.0.8.b.d.0.1.0.0.2.ip6.arpa": "f.e.d.0.8.b.d.0.1.0.0.2.ip6.arpa",
	} {
		c := client(t, Config{Zones: []string{"list.example.net", "Sub.list.example.net."}}, s)
		for i := range 5 {
			c.Query(t.Context(), fmt.Sprintf(name, i), A)
		}
		if list := c.Troubled(); len(list) != 1 || list[0].Name != want {
			t.Errorf("%s: %+v, want %s", name, list, want)
		}
	}
}

// TestBrokenDelegation: one broken part of a domain does not cover the rest;
// when the domain itself is broken, few questions show that.
func TestBrokenDelegation(t *testing.T) {
	s := lookuptest.Serve(t, "example.org. TXT v=spf1\n_dmarc.example.org. TXT v=DMARC1")
	s.Set(lookuptest.Fault{Below: "broken.example.org", Rcode: dns.RcodeServerFailure})
	c := client(t, Config{}, s)
	for i := range 20 {
		c.Query(t.Context(), fmt.Sprintf("x%d.broken.example.org", i), A)
	}
	if s.Queries() != 5 {
		t.Errorf("the broken part was asked for %d times", s.Queries())
	}
	for _, name := range []string{"example.org", "_dmarc.example.org"} {
		if _, err := c.Query(t.Context(), name, TXT); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	c, before := client(t, Config{}, s), s.Queries()
	s.Set(lookuptest.Fault{Rcode: dns.RcodeServerFailure})
	for _, name := range []string{"", "_dmarc.", "www.", "x._domainkey."} {
		for _, kind := range []Kind{A, AAAA, MX, TXT} {
			c.Query(t.Context(), name+"example.org", kind)
		}
	}
	if n := s.Queries() - before; n > 13 || len(c.Troubled()) != 1 {
		t.Errorf("a broken domain was asked for %d times: %+v", n, c.Troubled())
	}
}

// TestOneTrial: however many ask when the time of a breaker is over, one question
// is sent.
func TestOneTrial(t *testing.T) {
	var late atomic.Bool
	start := time.Now()
	clock := func() time.Time {
		if late.Load() {
			return start.Add(5 * time.Second)
		}
		return start
	}
	s := lookuptest.Serve(t, "")
	s.Set(lookuptest.Fault{Rcode: dns.RcodeServerFailure})
	c := client(t, Config{Now: clock, Zones: []string{"list.example"}}, s)
	for i := range 5 {
		c.Query(t.Context(), fmt.Sprintf("%d.list.example", i), A)
	}
	late.Store(true)
	s.Set(lookuptest.Fault{Rcode: dns.RcodeServerFailure, Delay: 100 * time.Millisecond})
	var wait sync.WaitGroup
	for i := range 20 {
		wait.Go(func() { c.Query(t.Context(), fmt.Sprintf("late%d.list.example", i), A) })
	}
	wait.Wait()
	if s.Queries() != 6 {
		t.Errorf("%d questions on trial", s.Queries()-5)
	}
}

// TestAllServfail: a server that cannot tell anything costs no time, and nothing
// lasts when it is well again.
func TestAllServfail(t *testing.T) {
	s := lookuptest.Serve(t, "*.example. A 192.0.2.1")
	c := client(t, Config{}, s)
	s.Set(lookuptest.Fault{Rcode: dns.RcodeServerFailure})
	start := time.Now()
	for i := range 500 {
		if _, err := c.Query(t.Context(), fmt.Sprintf("www.x%d.example", i%50), A); err == nil || Missing(err) {
			t.Fatal(err)
		}
	}
	if took := time.Since(start); took > time.Second || s.Queries() != 50 {
		t.Errorf("500 questions took %v, and were asked %d times", took, s.Queries())
	}
	if !c.Servers()[0].Down.IsZero() {
		t.Errorf("%+v", c.Servers())
	}
}

func TestServers(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1": "192.0.2.1:53", "192.0.2.1:5353": "192.0.2.1:5353", "2001:db8::1": "[2001:db8::1]:53", "[2001:db8::1]:54": "[2001:db8::1]:54",
		"": "", "dns.example.org": "", "192.0.2.1:0": "", "192.0.2.1:99999": "",
	} {
		c, err := New(Config{Servers: []string{address}})
		if want == "" {
			if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", address)) {
				t.Errorf("%q: %v", address, err)
			}
			continue
		}
		if err != nil || c.Servers()[0].Address != want {
			t.Errorf("%q: %v, %v", address, c, err)
		}
	}
	for _, bad := range []Config{{Timeout: -1}, {MaxQueries: -1}, {Zones: []string{"a..b"}}} {
		if _, err := New(bad); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
	if _, err := New(Config{Zones: []string{"a..b"}}); !errors.Is(err, ErrBadName) {
		t.Error(err)
	}
}

// TestClose: whoever waits for an answer when a client is closed waits no longer.
func TestClose(t *testing.T) {
	s := lookuptest.Serve(t, "www.example.org. A 192.0.2.1\ncut.example.org. A 192.0.2.1")
	for _, fault := range []lookuptest.Fault{{Drop: true}, {Truncate: true, Drip: time.Second}} {
		s.Set(fault)
		c := client(t, Config{}, s)
		failed := make(chan error, 1)
		go func() {
			_, err := c.Query(t.Context(), "www.example.org", A)
			failed <- err
		}()
		time.Sleep(50 * time.Millisecond)
		start := time.Now()
		c.Close()
		err := <-failed
		if took := time.Since(start); took > 300*time.Millisecond || err == nil || Missing(err) {
			t.Errorf("%v, %v after Close", err, took)
		}
	}
}
