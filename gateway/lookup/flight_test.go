package lookup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
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

// TestGivenUp: what nobody waits for any more ends half a second later; an
// answer that comes within that is remembered, and who comes back to it is
// served.
func TestGivenUp(t *testing.T) {
	s := lookuptest.Serve(t, "*.example.org. A 192.0.2.1")
	s.Set(lookuptest.Fault{Below: "never.example.org", Drop: true}, lookuptest.Fault{Below: "back.example.org", Delay: 700 * time.Millisecond},
		lookuptest.Fault{Delay: 250 * time.Millisecond})
	c := client(t, Config{}, s)
	short := func(name string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := c.Query(ctx, name, A); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"never.example.org", "soon.example.org", "back.example.org"} {
		short(name)
	}
	if n := c.Stats().InFlight; n != 3 {
		t.Errorf("%d questions go on", n)
	}
	time.Sleep(200 * time.Millisecond)
	if _, err := c.Query(t.Context(), "back.example.org", A); err != nil {
		t.Errorf("who came back got %v", err)
	}
	if _, err := c.Query(t.Context(), "soon.example.org", A); err != nil || s.Queries() != 3 {
		t.Errorf("the answer that was nearly there: %v, %d questions", err, s.Queries())
	}
	time.Sleep(100 * time.Millisecond)
	if n := c.Stats().InFlight; n != 0 {
		t.Errorf("%d questions go on that nobody waits for", n)
	}
	if len(c.Troubled()) > 0 {
		t.Errorf("a name is to blame that nobody waited for: %+v", c.Troubled())
	}
}

// TestGivenUpBlame: a zone that nobody has the patience to wait for to the end is
// left alone nevertheless.
func TestGivenUpBlame(t *testing.T) {
	s := lookuptest.Serve(t, "www.example.org. A 192.0.2.1")
	s.Set(lookuptest.Fault{Below: "list.example.net", Drop: true})
	c := client(t, Config{Attempt: 400 * time.Millisecond, Zones: []string{"list.example.net"}}, s)
	var wait sync.WaitGroup
	for i := range 6 {
		wait.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
			defer cancel()
			c.Query(ctx, fmt.Sprintf("x%d.list.example.net", i), A)
		})
	}
	time.Sleep(20 * time.Millisecond)
	c.Query(t.Context(), "www.example.org", A)
	wait.Wait()
	time.Sleep(700 * time.Millisecond)
	if len(c.Troubled()) != 1 {
		t.Errorf("%+v, %+v", c.Troubled(), c.Servers())
	}
}

// TestFlood: whoever makes up names whose servers are silent does not keep others
// from asking: not if it does not wait for answers; and if it does, it keeps them
// waiting, but nobody who asks lists.
func TestFlood(t *testing.T) {
	s := lookuptest.Serve(t, "*.good.example.com. A 192.0.2.1\n*.zen.example. A 127.0.0.2")
	s.Set(lookuptest.Fault{Below: "test", Drop: true})
	var log bytes.Buffer
	c := client(t, Config{MaxQueries: 100, Timeout: 2 * time.Second, Zones: []string{"zen.example"}, Log: slog.New(slog.NewTextHandler(&log, nil))}, s)
	ask := func(name string) (time.Duration, error) {
		began := time.Now()
		_, err := c.Query(t.Context(), name, A)
		return time.Since(began), err
	}

	// It goes away at once.
	var wait sync.WaitGroup
	for i := range 1000 {
		ctx, cancel := context.WithCancel(t.Context())
		wait.Go(func() { c.Query(ctx, fmt.Sprintf("x.lame%d.test", i), A) })
		time.AfterFunc(20*time.Millisecond, cancel)
	}
	wait.Wait()
	for i := range 80 {
		for _, domain := range []string{"zen.example", "good.example.com"} {
			if took, err := ask(fmt.Sprintf("gone%d.%s", i, domain)); err != nil || took > 100*time.Millisecond {
				t.Errorf("%s: %v, %v", domain, took, err)
			}
		}
	}

	// It waits.
	ctx, cancel := context.WithCancel(t.Context())
	for i := range 1000 {
		wait.Go(func() { c.Query(ctx, fmt.Sprintf("y.lame%d.test", i), A) })
	}
	waitUntil(t, time.Second, func() bool { return c.Stats().Waiting == 200 })
	if n := c.Stats().InFlight; n != 75 {
		t.Errorf("%d of the 75 places of other names are taken", n)
	}
	if _, err := ask("full.good.example.com"); !errors.Is(err, ErrBusy) {
		t.Errorf("the line is full, but: %v", err)
	}
	if n := strings.Count(log.String(), "left out"); n != 1 {
		t.Errorf("%d warnings: %s", n, log.String())
	}
	for i := range 80 {
		if took, err := ask(fmt.Sprintf("waits%d.zen.example", i)); err != nil || took > 100*time.Millisecond {
			t.Errorf("lists have places of their own, but: %v, %v", took, err)
		}
	}
	cancel()
	waitUntil(t, time.Second, func() bool { return c.Stats().Waiting == 0 })
	if _, err := ask("later.good.example.com"); err != nil {
		t.Errorf("those who gave up have given way, but: %v", err)
	}
	wait.Wait()
	waitUntil(t, time.Second, func() bool { s := c.Stats(); return s.InFlight+s.Waiting == 0 })
}

// TestLine: who waits for a place gets it in turn, lists first, and whoever gives
// up loses it.
func TestLine(t *testing.T) {
	s := lookuptest.Serve(t, "*.example.com. A 192.0.2.1\n*.zen.example. A 127.0.0.2")
	s.Set(lookuptest.Fault{Delay: 300 * time.Millisecond})
	c := client(t, Config{MaxQueries: 1, Zones: []string{"zen.example"}}, s)
	var wait sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	line := func(ctx context.Context, name string) {
		before := c.Stats()
		wait.Go(func() { c.Query(ctx, name, A) })
		waitUntil(t, time.Second, func() bool {
			s := c.Stats()
			return s.InFlight+s.Waiting > before.InFlight+before.Waiting
		})
	}
	line(t.Context(), "a.example.com")
	line(ctx, "b.example.com")
	line(t.Context(), "c.example.com")
	line(t.Context(), "d.zen.example")
	cancel()
	wait.Wait()
	if got, want := s.Asked(), []string{"a.example.com A", "d.zen.example A", "c.example.com A"}; !slices.Equal(got, want) {
		t.Errorf("asked %q, want %q", got, want)
	}

	c = client(t, Config{MaxQueries: 1, Timeout: 300 * time.Millisecond}, s)
	s.Set(lookuptest.Fault{Drop: true})
	go c.Query(t.Context(), "e.example.com", A)
	waitUntil(t, time.Second, func() bool { return c.Stats().InFlight == 1 })
	began := time.Now()
	if _, err := c.Query(t.Context(), "f.example.com", A); err == nil || time.Since(began) > 400*time.Millisecond {
		t.Errorf("%v after %v in line", err, time.Since(began))
	}
}

// TestSetZones: zones may come and go while the client runs.
func TestSetZones(t *testing.T) {
	s := lookuptest.Serve(t, "")
	s.Set(lookuptest.Fault{Rcode: dns.RcodeServerFailure})
	c := client(t, Config{}, s)
	if err := c.SetZones([]string{"a..b"}); err == nil {
		t.Error("a bad name is taken")
	}
	if err := c.SetZones([]string{"List.example.net."}); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		c.Query(t.Context(), fmt.Sprintf("x.c%d.list.example.net", i), A)
	}
	if list := c.Troubled(); len(list) != 1 || list[0].Name != "list.example.net" {
		t.Errorf("%+v", list)
	}
}

// TestFresh: who wants to know whether a server answers is not told what it
// answered before.
func TestFresh(t *testing.T) {
	s := lookuptest.Serve(t, "www.example.org. A 192.0.2.1")
	c := client(t, Config{}, s)
	for range 2 {
		if _, err := c.Fresh().Query(t.Context(), "www.example.org", A); err != nil {
			t.Fatal(err)
		}
	}
	if s.Queries() != 2 {
		t.Errorf("%d questions", s.Queries())
	}
	c.Query(t.Context(), "www.example.org", A)
	if s.Queries() != 2 {
		t.Error("a fresh answer is not remembered")
	}
}

// TestSlowServer: a server that takes its time is not taken for dead because of
// names that it cannot find out about.
func TestSlowServer(t *testing.T) {
	for _, delay := range []time.Duration{400 * time.Millisecond, 1200 * time.Millisecond} {
		t.Run(delay.String(), func(t *testing.T) {
			t.Parallel()
			s := lookuptest.Serve(t, "*.example.com. A 192.0.2.1")
			s.Set(lookuptest.Fault{Below: "lame.test", Drop: true}, lookuptest.Fault{Delay: delay})
			c := client(t, Config{Attempt: 1500 * time.Millisecond}, s)
			done := make(chan struct{})
			go func() {
				c.Query(t.Context(), "lame.test", A)
				close(done)
			}()
			for over := false; !over; {
				select {
				case <-done:
					over = true
				case <-time.After(20 * time.Millisecond):
					if !c.Servers()[0].Down.IsZero() {
						t.Fatal("it is taken for dead")
					}
				}
			}
			for i := range 3 {
				if _, err := c.Query(t.Context(), fmt.Sprintf("x%d.example.com", i), A); err != nil {
					t.Errorf("after a lame name: %v", err)
				}
			}
		})
	}
	t.Run("slower than an attempt", func(t *testing.T) {
		t.Parallel()
		s := lookuptest.Serve(t, "*.example.com. A 192.0.2.1")
		s.Set(lookuptest.Fault{Delay: 800 * time.Millisecond})
		c := client(t, Config{Attempt: 300 * time.Millisecond}, s)
		c.Query(t.Context(), "x.example.com", A)
		waitUntil(t, 3*time.Second, func() bool { return c.Servers()[0].Time > 0 && c.Servers()[0].Down.IsZero() })
	})
}

func waitUntil(t *testing.T, limit time.Duration, so func() bool) {
	t.Helper()
	for began := time.Now(); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > limit {
			t.Fatal("it does not come")
		}
	}
}

// TestNothingKnown: which replies without records say that there are none.
func TestNothingKnown(t *testing.T) {
	ns := &dns.NS{Hdr: dns.RR_Header{Name: "com.", Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: 60}, Ns: "a.nic.example."}
	own := &dns.NS{Hdr: dns.RR_Header{Name: "www.example.com.", Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: 60}, Ns: "a.nic.example."}
	soa := &dns.SOA{Hdr: dns.RR_Header{Name: "example.com.", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 60}, Ns: "a.nic.example.", Mbox: "b.nic.example.", Minttl: 60}
	for _, r := range []struct {
		what               string
		rcode              int
		recurses, believes bool // RA, AA
		authority          []dns.RR
		want               error // nil: nobody can tell
	}{
		{"old resolvers say nothing at all", 0, true, false, nil, ErrNoData},
		{"and others", dns.RcodeNameError, true, false, nil, ErrNoName},
		{"with SOA", 0, true, false, []dns.RR{soa}, ErrNoData},
		{"with SOA, not recursing", 0, false, false, []dns.RR{soa}, ErrNoData},
		{"with SOA and servers", 0, true, false, []dns.RR{soa, ns}, ErrNoData},
		{"its own", 0, false, true, nil, ErrNoData},
		{"its own, no name", dns.RcodeNameError, false, true, nil, ErrNoName},
		{"neither recursing nor its own", 0, false, false, nil, nil},
		{"neither recursing nor its own, no name", dns.RcodeNameError, false, false, nil, nil},
		{"referral", 0, false, false, []dns.RR{ns}, nil},
		{"referral behind a forwarder", 0, true, false, []dns.RR{ns}, nil},
		{"referral to the name's own servers", 0, true, false, []dns.RR{own}, nil},
	} {
		s := lookuptest.Serve(t, "")
		s.Set(lookuptest.Fault{Edit: func(m *dns.Msg) {
			m.Answer, m.Ns, m.Rcode, m.RecursionAvailable, m.Authoritative = nil, r.authority, r.rcode, r.recurses, r.believes
		}})
		_, err := client(t, Config{}, s).Query(t.Context(), "www.example.com", A)
		if r.want == nil && (err == nil || Missing(err)) || r.want != nil && !errors.Is(err, r.want) {
			t.Errorf("%s: %v, want %v", r.what, err, r.want)
		}
	}
}

// TestLargeDomain: broken delegations of a large domain, of which there are
// always some, do not hide what else is below it.
func TestLargeDomain(t *testing.T) {
	s := lookuptest.Serve(t, "_dmarc.example.com. TXT v=DMARC1\nexample.com. A 192.0.2.1\n*.example.com. A 192.0.2.1")
	var faults []lookuptest.Fault
	for i := range 5 {
		faults = append(faults, lookuptest.Fault{Below: fmt.Sprintf("c%d.example.com", i), Rcode: dns.RcodeServerFailure})
	}
	s.Set(faults...)
	for name, want := range map[string]bool{"_dmarc.example.com": true, "example.com": true, "other.www.example.com": true, "k._domainkey.example.com": true, "unknown.example.com": false} {
		c := client(t, Config{}, s)
		if _, err := c.Query(t.Context(), "www.example.com", A); err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			c.Query(t.Context(), fmt.Sprintf("x%d.c%d.example.com", i, i%5), A)
		}
		if len(c.Troubled()) == 0 {
			t.Fatal("the breaker did not open")
		}
		if _, err := c.Query(t.Context(), name, A); (err == nil || Missing(err)) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLogOfZones: names that anybody makes up do not fill the log; configured
// zones are always told of.
func TestLogOfZones(t *testing.T) {
	s := lookuptest.Serve(t, "")
	s.Set(lookuptest.Fault{Rcode: dns.RcodeServerFailure})
	var log bytes.Buffer
	c := client(t, Config{Zones: []string{"list.example.net"}, Log: slog.New(slog.NewTextHandler(&log, nil))}, s)
	for d := range 50 {
		for i := range 5 {
			c.Query(t.Context(), fmt.Sprintf("x%d.lame%d.test", i, d), A)
			c.Query(t.Context(), fmt.Sprintf("x%d.c.lame%d.test", i, d), A)
		}
	}
	for i := range 5 {
		c.Query(t.Context(), fmt.Sprintf("x%d.list.example.net", i), A)
	}
	if n := strings.Count(log.String(), "\n"); n != 2 || strings.Count(log.String(), "level=WARN") != 1 || !strings.Contains(log.String(), "zone=list.example.net") {
		t.Errorf("log:\n%s", log.String())
	}
}

// TestManyNames: a flood of names closes no breaker.
func TestManyNames(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: asks 20,000 questions, and -short was asked for")
	}
	s := lookuptest.Serve(t, "")
	s.Set(lookuptest.Fault{Below: "example.net", Rcode: dns.RcodeServerFailure}, lookuptest.Fault{Below: "broken.example.org", Rcode: dns.RcodeServerFailure})
	start := time.Now()
	c := client(t, Config{Zones: []string{"list.example.net"}, Now: func() time.Time { return start }}, s)
	for i := range 5 {
		c.Query(t.Context(), fmt.Sprintf("x%d.list.example.net", i), A)
		c.Query(t.Context(), fmt.Sprintf("x%d.broken.example.org", i), A)
	}
	var wait sync.WaitGroup
	for w := range 8 {
		wait.Go(func() {
			for i := range 1500 {
				c.Query(t.Context(), fmt.Sprintf("x.d%d-%d.test", w, i), A)
			}
		})
	}
	wait.Wait()
	var names []string
	for _, z := range c.Troubled() {
		names = append(names, z.Name)
	}
	if !slices.Equal(names, []string{"broken.example.org", "list.example.net"}) {
		t.Errorf("breakers that are open: %q", names)
	}
}

// A panicky handler panics at one message.
type panicky struct {
	slog.Handler
	at   string
	done atomic.Bool
}

func (h *panicky) Handle(ctx context.Context, r slog.Record) error {
	if strings.Contains(r.Message, h.at) && h.done.CompareAndSwap(false, true) {
		panic("test")
	}
	return h.Handler.Handle(ctx, r)
}

// TestPanic: a panic is an error of one question, and is told of.
func TestPanic(t *testing.T) {
	s := lookuptest.Serve(t, "x.list.example.net A 127.0.0.2")
	s.Set(lookuptest.Fault{Rcode: dns.RcodeServerFailure})
	var log bytes.Buffer
	h := &panicky{Handler: slog.NewTextHandler(&log, nil), at: "left alone"}
	c := client(t, Config{Zones: []string{"list.example.net"}, Log: slog.New(h)}, s)
	var err error
	for i := range 5 {
		_, err = c.Query(t.Context(), fmt.Sprintf("x%d.list.example.net", i), A)
	}
	if err == nil || !strings.Contains(err.Error(), "panic: test") || !strings.Contains(log.String(), "flight.go") {
		t.Errorf("%v, log %q", err, log.String())
	}
	if n := c.Stats().InFlight; n != 0 {
		t.Errorf("%d questions go on", n)
	}

	h.at = "does not answer"
	h.done.Store(false)
	c = client(t, Config{Attempt: 50 * time.Millisecond, Log: slog.New(h)}, s)
	s.Set(lookuptest.Fault{Drop: true})
	c.Query(t.Context(), "y.example.net", A)
	waitUntil(t, time.Second, h.done.Load)
	s.Set()
	waitUntil(t, 5*time.Second, func() bool { _, err := c.Query(t.Context(), "x.list.example.net", A); return err == nil })
}
