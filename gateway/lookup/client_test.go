package lookup_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	. "spamcatcher/gateway/lookup"
	"spamcatcher/gateway/lookup/lookuptest"
)

func client(t testing.TB, config Config, servers ...*lookuptest.Server) *Client {
	t.Helper()
	for _, s := range servers {
		config.Servers = append(config.Servers, s.Addr)
	}
	c, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// texts is what the tests compare: the records in short.
func texts(answer Answer) string {
	var list []string
	for _, r := range answer.Records {
		switch {
		case r.Addr.IsValid():
			list = append(list, r.Addr.String())
		case r.Preference > 0:
			list = append(list, fmt.Sprint(r.Preference, " ", r.Text))
		default:
			list = append(list, r.Text)
		}
	}
	return strings.Join(list, "|")
}

// TestAnswers: each kind of record, aliases, names with unusual octets, and the
// two ways of there being none.
func TestAnswers(t *testing.T) {
	s := lookuptest.Serve(t, `
		www.example.org.  A    192.0.2.1
		www.example.org.  A    192.0.2.2
		www.example.org.  AAAA 2001:db8::1
		example.org.      MX   10 Mail.Example.org.
		example.org.      MX   20 mx2.example.org.
		example.org.      NS   ns.example.net.
		example.org.      TXT  "v=spf1 " "-all"
		octets.example.org. TXT "a\"b\\c\x00\x7f\xe9;"
		long.example.org. TXT `+strings.Repeat("0123456789", 60)+`
		null.example.org. MX   0 .
		1.2.0.192.in-addr.arpa. PTR mail.example.org.
		alias.example.org. CNAME www.example.org.
		dangling.example.org. CNAME nowhere.example.org.
		empty.example.org. CNAME null.example.org.
		*.wild.example.org. A 127.0.0.2
		a\032b.example.org. A 192.0.2.9
		xn--bcher-kva.example.org. A 192.0.2.10
		bad.example.org. SERVFAIL
	`)
	c := client(t, Config{}, s)
	for _, one := range []struct {
		name string
		kind Kind
		want string
		err  error
	}{
		{"www.example.org", A, "192.0.2.1|192.0.2.2", nil},
		{"WWW.example.ORG.", A, "192.0.2.1|192.0.2.2", nil},
		{"www.example.org", AAAA, "2001:db8::1", nil},
		{"example.org", MX, "10 Mail.Example.org|20 mx2.example.org", nil},
		{"example.org", NS, "ns.example.net", nil},
		{"example.org", TXT, "v=spf1 -all", nil},
		{"octets.example.org", TXT, "a\"b\\c\x00\x7f\xe9;", nil},
		{"long.example.org", TXT, strings.Repeat("0123456789", 60), nil},
		{"null.example.org", MX, "", nil}, // one record: the root
		{"1.2.0.192.in-addr.arpa", PTR, "mail.example.org", nil},
		{"alias.example.org", A, "192.0.2.1|192.0.2.2", nil},
		{"alias.example.org", CNAME, "www.example.org", nil},
		{"dangling.example.org", A, "", ErrNoName},
		{"empty.example.org", TXT, "", ErrNoData},
		{"q.wild.example.org", A, "127.0.0.2", nil},
		{`a\032b.example.org`, A, "192.0.2.9", nil},
		{`\097\032b.example.org`, A, "192.0.2.9", nil},
		{`a\ b.example.org`, A, "192.0.2.9", nil},
		{"bücher.example.org", A, "192.0.2.10", nil},
		{"www.example.org", MX, "", ErrNoData},
		{"wild.example.org", A, "", ErrNoData},
		{"none.example.org", A, "", ErrNoName},
	} {
		for range 2 { // the second time from the cache
			answer, err := c.Query(t.Context(), one.name, one.kind)
			if got := texts(answer); got != one.want || !errors.Is(err, one.err) || err == nil && (len(answer.Records) == 0 || answer.TTL <= 0) {
				t.Errorf("%s %s: %q, %v; want %q, %v", one.name, one.kind, got, err, one.want, one.err)
			}
		}
	}
	if _, err := c.Query(t.Context(), "bad.example.org", A); err == nil || Missing(err) || !strings.Contains(err.Error(), "SERVFAIL") {
		t.Errorf("SERVFAIL: %v", err)
	}
	// NXDOMAIN holds for all kinds; two spellings of a name are one.
	asked := s.Queries()
	for _, name := range []string{"none.example.org", "NONE.example.org."} {
		if _, err := c.Query(t.Context(), name, TXT); !errors.Is(err, ErrNoName) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s.Queries() != asked {
		t.Errorf("what does not exist was asked for again: %q", s.Asked()[asked:])
	}
	if state := c.Servers()[0]; !state.KeepsCase || !state.Down.IsZero() || state.Time <= 0 || state.Failures > 0 {
		t.Errorf("the state of the server: %+v", state)
	}
}

// TestBadNames: what is no name is asked of nobody, and does not exist.
func TestBadNames(t *testing.T) {
	s := lookuptest.Serve(t, "")
	c := client(t, Config{}, s)
	long := strings.Repeat("a", 63)
	for _, name := range []string{"", "..", ".org", "a..org", "a b.org", "a\r\n.org", "a\x00.org", strings.Repeat("a", 64) + ".org",
		strings.Join([]string{long, long, long, long}, "."), strings.Repeat("a.", 128), `a.org\`, "a.org\x7f", "ü\xff.org"} {
		if _, err := c.Query(t.Context(), name, A); !errors.Is(err, ErrBadName) || !Missing(err) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := c.Query(t.Context(), "example.org", Kind(251)); err == nil || Missing(err) {
		t.Errorf("IXFR: %v", err)
	}
	if s.Queries() != 0 {
		t.Errorf("asked for %q", s.Asked())
	}
	for _, name := range []string{strings.Repeat("a.", 126) + "a", `a\.b.org`, "_dmarc.example.org", strings.Join([]string{long, long, long, strings.Repeat("a", 61)}, ".")} {
		if _, err := c.Query(t.Context(), name, A); !Missing(err) || errors.Is(err, ErrBadName) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if s.Queries() != 4 {
		t.Errorf("asked for %q", s.Asked())
	}
}

// TestLies: 10,000 forged replies before the true one, wrong in one way each, and
// not one is believed.
func TestLies(t *testing.T) {
	s := lookuptest.Serve(t, `
		*.example.org. A   192.0.2.1
		*.example.org. TXT true
	`)
	c := client(t, Config{Timeout: 10 * time.Second, Attempt: 5 * time.Second}, s)
	all := lookuptest.Fault{Lies: 10_000}
	but := all // where only the case is wrong, the client soon asks by TCP instead of waiting for the end of the flood
	but.Lie = lookuptest.WrongID | lookuptest.WrongQuestion | lookuptest.WrongType | lookuptest.WrongSource | lookuptest.NoQuestion
	for name, fault := range map[string]lookuptest.Fault{"flood1.example.org": all, "flood2.example.org": but} {
		s.Set(fault)
		if answer, err := c.Query(t.Context(), name, A); err != nil || texts(answer) != "192.0.2.1" {
			t.Errorf("after 10,000 forged replies: %v, %v", answer, err)
		}
	}
	t.Logf("of 2 x 10,000 forged replies 0 were believed, %d reached the socket and were ignored", c.Stats().Forged)
	if c.Stats().Forged < 1000 {
		t.Errorf("only %d forged replies arrived", c.Stats().Forged)
	}
	for way := lookuptest.WrongID; way <= lookuptest.NoQuestion; way <<= 1 {
		s.Set(lookuptest.Fault{Lies: 50, Lie: way})
		for i := range 20 {
			name := fmt.Sprintf("w%dx%d.example.org", way, i)
			if answer, err := c.Query(t.Context(), name, A); err != nil || texts(answer) != "192.0.2.1" {
				t.Errorf("lie %d: %v, %v", way, answer, err)
			}
			if answer, err := c.Query(t.Context(), name, TXT); err != nil || texts(answer) != "true" {
				t.Errorf("lie %d: %v, %v", way, answer, err)
			}
		}
		if !c.Servers()[0].KeepsCase {
			t.Fatalf("lie %d has switched off the mixing of case", way)
		}
	}
}

// TestLiesWithoutTruth: when only forged replies come, there is no answer.
func TestLiesWithoutTruth(t *testing.T) {
	s := lookuptest.Serve(t, "*.example.org. A 192.0.2.1")
	for way := lookuptest.WrongID; way <= lookuptest.NoQuestion; way <<= 1 {
		if way == lookuptest.WrongCase {
			continue // is asked again by TCP: see TestCase
		}
		c := client(t, Config{Timeout: 200 * time.Millisecond, Attempt: 100 * time.Millisecond}, s)
		s.Set(lookuptest.Fault{Lies: 20, Lie: way, Mute: true})
		if answer, err := c.Query(t.Context(), "mute.example.org", A); err == nil || Missing(err) {
			t.Errorf("lie %d: %v, %v", way, answer, err)
		}
	}
}

// TestCase: a server that does not keep the case of names is found out by TCP,
// and asked without it for a while; a forger cannot bring that about.
func TestCase(t *testing.T) {
	s := lookuptest.Serve(t, "*.example.org. A 192.0.2.1")
	c := client(t, Config{}, s)
	s.Set(lookuptest.Fault{Fold: true})
	for i := range 3 {
		if answer, err := c.Query(t.Context(), fmt.Sprintf("folded-name-%d.example.org", i), A); err != nil || texts(answer) != "192.0.2.1" {
			t.Errorf("%v, %v", answer, err)
		}
	}
	if c.Servers()[0].KeepsCase || s.OverTCP() != 1 {
		t.Errorf("%+v, %d by TCP: not learnt, or not once", c.Servers()[0], s.OverTCP())
	}

	// The forger is faster than the server, and suppresses its replies.
	c = client(t, Config{}, s)
	s.Set(lookuptest.Fault{Lies: 1, Lie: lookuptest.WrongCase, Mute: true}, lookuptest.Fault{})
	if answer, err := c.Query(t.Context(), "forged-name.example.org", A); err == nil {
		t.Errorf("%v was believed", answer)
	}
	c = client(t, Config{}, s)
	s.Set(lookuptest.Fault{Lies: 1, Lie: lookuptest.WrongCase, DropUDP: false})
	if answer, err := c.Query(t.Context(), "forged-name-2.example.org", A); err != nil || texts(answer) != "192.0.2.1" || !c.Servers()[0].KeepsCase {
		t.Errorf("%v, %v, %+v", answer, err, c.Servers()[0])
	}

	// A server that keeps no case and speaks no TCP is usable in the end.
	c = client(t, Config{Timeout: time.Second}, s)
	s.Set(lookuptest.Fault{Fold: true, NoTCP: true})
	var err error
	for i := range 4 {
		_, err = c.Query(t.Context(), fmt.Sprintf("no-tcp-name-%d.example.org", i), A)
	}
	if err != nil || c.Servers()[0].KeepsCase {
		t.Errorf("%v, %+v", err, c.Servers()[0])
	}
}

// TestTruncation: what does not fit comes by TCP, however large; and a server
// that knows nothing of EDNS is asked without.
func TestTruncation(t *testing.T) {
	var zone strings.Builder
	for i := range 150 {
		fmt.Fprintf(&zone, "many.example.org. MX %d mx%d.example.org.\n", i+1, i)
	}
	giant := strings.Repeat("giant text ", 5_800)
	fmt.Fprintf(&zone, "giant.example.org. TXT %q\nsmall.example.org. A 192.0.2.1\n", giant)
	s := lookuptest.Serve(t, zone.String())
	c := client(t, Config{}, s)
	if answer, err := c.Query(t.Context(), "many.example.org", MX); err != nil || len(answer.Records) != 100 || s.OverTCP() != 1 {
		t.Errorf("150 MX: %d, %v, %d by TCP", len(answer.Records), err, s.OverTCP())
	}
	if answer, err := c.Query(t.Context(), "giant.example.org", TXT); err != nil || texts(answer) != giant {
		t.Errorf("a text of %d octets: %d, %v", len(giant), len(texts(answer)), err)
	}
	s.Set(lookuptest.Fault{Truncate: true})
	if answer, err := c.Query(t.Context(), "small.example.org", A); err != nil || texts(answer) != "192.0.2.1" || c.Stats().TCP != 3 {
		t.Errorf("%v, %v, %+v", answer, err, c.Stats())
	}
	s.Set(lookuptest.Fault{NoEDNS: true})
	for range 2 {
		c = client(t, Config{}, s)
		if answer, err := c.Query(t.Context(), "small.example.org", A); err != nil || texts(answer) != "192.0.2.1" {
			t.Errorf("%v, %v", answer, err)
		}
	}
}

// TestBrokenServers: whatever a server does, a question ends in time, and never
// with an answer.
func TestBrokenServers(t *testing.T) {
	s := lookuptest.Serve(t, "*.example.org. A 192.0.2.1")
	const timeout, slack = 400 * time.Millisecond, 50 * time.Millisecond
	for what, fault := range map[string]lookuptest.Fault{
		"garbage":             {Garbage: true},
		"loop":                {Loop: true},
		"silence":             {Drop: true},
		"late":                {Delay: 10 * time.Second},
		"SERVFAIL":            {Rcode: dns.RcodeServerFailure},
		"REFUSED":             {Rcode: dns.RcodeRefused},
		"cut, TCP drips":      {Truncate: true, Drip: 50 * time.Millisecond},
		"cut, no TCP":         {Truncate: true, NoTCP: true},
		"cut, TCP is garbage": {Truncate: true, Garbage: true},
		"foreign records only by referral": {Edit: func(m *dns.Msg) {
			m.Answer, m.RecursionAvailable = nil, false
			m.Ns = []dns.RR{&dns.NS{Hdr: dns.RR_Header{Name: "example.org.", Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: 60}, Ns: "ns.example.net."}}
		}},
	} {
		t.Run(what, func(t *testing.T) {
			c := client(t, Config{Timeout: timeout, Attempt: 150 * time.Millisecond}, s)
			s.Set(fault)
			start := time.Now()
			answer, err := c.Query(t.Context(), "www.example.org", A)
			took := time.Since(start)
			if err == nil || Missing(err) || took > timeout+slack {
				t.Errorf("%v, %v after %v", answer, err, took)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
			defer cancel()
			start = time.Now()
			if _, err := c.Query(ctx, "other.example.org", A); err == nil || Missing(err) || time.Since(start) > 30*time.Millisecond+slack {
				t.Errorf("with a deadline: %v after %v", err, time.Since(start))
			}
		})
	}
}

// TestForeignRecords: what a reply says of names that were not asked for counts
// for nothing; an alias that the server did not follow is asked for.
func TestForeignRecords(t *testing.T) {
	s := lookuptest.Serve(t, `
		www.example.org.   A     192.0.2.1
		alias.example.org. CNAME www.example.org.
		chain.example.org. CNAME c1.example.org.
	`)
	header := func(name string, kind uint16) dns.RR_Header {
		return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: 60}
	}
	foreign := &dns.A{Hdr: header("bank.example.net.", dns.TypeA), A: []byte{203, 0, 113, 66}}
	chaos := &dns.A{Hdr: header("www.example.org.", dns.TypeA), A: []byte{203, 0, 113, 66}}
	chaos.Hdr.Class = dns.ClassCHAOS
	authority := &dns.SOA{Hdr: header("example.net.", dns.TypeSOA), Ns: ".", Mbox: ".", Minttl: 60}
	c := client(t, Config{}, s)
	s.Set(lookuptest.Fault{Below: "www.example.org", Edit: func(m *dns.Msg) { m.Answer = append([]dns.RR{foreign, chaos}, m.Answer...) }},
		lookuptest.Fault{Below: "alias.example.org", Edit: func(m *dns.Msg) { m.Answer, m.Ns = append(m.Answer[:1:1], foreign), []dns.RR{authority} }},
		lookuptest.Fault{Below: "only.example.org", Edit: func(m *dns.Msg) { m.Rcode, m.Answer = 0, []dns.RR{foreign} }})
	for _, name := range []string{"www.example.org", "alias.example.org"} {
		if answer, err := c.Query(t.Context(), name, A); err != nil || texts(answer) != "192.0.2.1" {
			t.Errorf("%s: %v, %v", name, answer, err)
		}
	}
	if got := s.Asked(); !slices.Equal(got, []string{"www.example.org A", "alias.example.org A", "www.example.org A"}) {
		t.Errorf("asked for %q", got)
	}
	if answer, err := c.Query(t.Context(), "only.example.org", A); !Missing(err) {
		t.Errorf("only foreign records: %v, %v", answer, err)
	}
	if _, err := c.Query(t.Context(), "bank.example.net", A); !errors.Is(err, ErrNoName) {
		t.Errorf("the foreign record was kept: %v", err)
	}
}

// TestChains: ten aliases are followed, eleven are not, in one reply or in many.
func TestChains(t *testing.T) {
	var zone strings.Builder
	for i := 12; i > 0; i-- {
		fmt.Fprintf(&zone, "c%d.example.org. CNAME c%d.example.org.\n", i, i-1)
	}
	zone.WriteString("c0.example.org. A 192.0.2.1\nround1.example.org. CNAME round2.example.org.\nround2.example.org. CNAME round1.example.org.\n")
	s := lookuptest.Serve(t, zone.String())
	for _, step := range []bool{false, true} {
		if step { // only one alias in a reply
			s.Set(lookuptest.Fault{Edit: func(m *dns.Msg) {
				if len(m.Answer) > 1 {
					m.Answer = m.Answer[:1]
				}
			}})
		}
		c := client(t, Config{}, s)
		for n, ok := range map[int]bool{1: true, 9: true, 10: true, 11: false, 12: false} {
			answer, err := c.Query(t.Context(), fmt.Sprintf("c%d.example.org", n), A)
			if ok != (err == nil) || ok && texts(answer) != "192.0.2.1" || Missing(err) {
				t.Errorf("%d aliases, one by one %v: %v, %v", n, step, answer, err)
			}
		}
		before := s.Queries()
		if answer, err := c.Query(t.Context(), "round1.example.org", A); err == nil || Missing(err) || s.Queries() > before+2 {
			t.Errorf("a circle, one by one %v: %v, %v after %d questions", step, answer, err, s.Queries()-before)
		}
	}
}

// TestOneFlight: however many want to know, one question is sent; whoever goes
// away spoils nothing for the others.
func TestOneFlight(t *testing.T) {
	s := lookuptest.Serve(t, "www.example.org. A 192.0.2.1")
	s.Set(lookuptest.Fault{Delay: 200 * time.Millisecond})
	c := client(t, Config{}, s)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	first := make(chan error, 1)
	go func() {
		_, err := c.Query(ctx, "www.example.org", A)
		first <- err
	}()
	time.Sleep(10 * time.Millisecond)
	var wait sync.WaitGroup
	for range 200 {
		wait.Go(func() {
			if answer, err := c.Query(t.Context(), "www.example.org", A); err != nil || texts(answer) != "192.0.2.1" {
				t.Errorf("%v, %v", answer, err)
			}
		})
	}
	if err := <-first; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("whoever did not wait got %v", err)
	}
	wait.Wait()
	if s.Queries() != 1 || c.Stats().Coalesced != 200 {
		t.Errorf("%d questions, %+v", s.Queries(), c.Stats())
	}
}

// TestBounds: questions in flight, goroutines and the cache stay within their
// bounds while a slow server is flooded.
func TestBounds(t *testing.T) {
	s := lookuptest.Serve(t, "")
	s.Set(lookuptest.Fault{Drop: true})
	c := client(t, Config{MaxQueries: 40, Timeout: 300 * time.Millisecond, Attempt: 250 * time.Millisecond, CacheEntries: 100, CacheBytes: 10_000}, s)
	before := runtime.NumGoroutine()
	busy, most := 0, 0
	for i := range 2000 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		_, err := c.Query(ctx, fmt.Sprintf("www.x%d.example", i), A)
		cancel()
		if errors.Is(err, ErrBusy) {
			busy++
		}
		most = max(most, runtime.NumGoroutine()-before)
		if c.Stats().InFlight > 40 {
			t.Fatalf("%d in flight", c.Stats().InFlight)
		}
	}
	t.Logf("2,000 questions at a silent server: at most %d goroutines, %d ErrBusy", most, busy)
	if most > 2*40+5 { // one each for a question, and one in the server
		t.Errorf("%d goroutines for 40 questions in flight", most)
	}

	s.Set()
	s.Replace("*.example.org. A 192.0.2.1\n*.example.com. TXT " + strings.Repeat("x", 3000))
	c = client(t, Config{CacheEntries: 100, CacheBytes: 10_000}, s)
	for i := range 300 {
		c.Query(t.Context(), fmt.Sprintf("x%d.example.org", i), A)
		if stats := c.Stats(); stats.Entries > 100 || stats.Bytes > 10_000 {
			t.Fatalf("the cache holds %+v", stats)
		}
	}
	if c.Stats().Entries < 30 {
		t.Errorf("of 10,000 octets only %+v are used", c.Stats())
	}
	for i := range 10 {
		if _, err := c.Query(t.Context(), fmt.Sprintf("x%d.example.com", i), TXT); err != nil {
			t.Fatal(err)
		}
	}
	if stats := c.Stats(); stats.Bytes > 10_000 || stats.Entries > 5 {
		t.Errorf("the cache holds %+v", stats)
	}
}

// TestNothingIsPinned: a name that is cut out of a large message does not keep
// the message in memory.
func TestNothingIsPinned(t *testing.T) {
	s := lookuptest.Serve(t, "*.example.org. A 192.0.2.1\n*.example.net. SERVFAIL")
	c := client(t, Config{}, s)
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	for i := range 32 {
		for _, domain := range []string{"example.org", "example.net", "example.com"} {
			host := fmt.Sprintf("x%d.%s", i, domain)
			message := host + strings.Repeat(" ", 1<<20)
			c.Query(t.Context(), message[:len(host)], A)
		}
	}
	if grown := heap() - before; grown > 8<<20 {
		t.Errorf("after questions out of 96 messages of 1 MiB the heap is %d MiB larger", grown>>20)
	}
	runtime.KeepAlive(c)
}

// TestCacheSize: what the cache counts is about what it takes.
func TestCacheSize(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: asks 10,000 questions, and -short was asked for")
	}
	s := lookuptest.Serve(t, "*.example.org. TXT "+strings.Repeat("x", 100))
	c := client(t, Config{}, s)
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what is pooled goes with the second
	runtime.ReadMemStats(&m)
	before := int64(m.HeapAlloc)
	const n = 10_000
	for i := range n {
		c.Query(t.Context(), fmt.Sprintf("x%d.example.org", i), TXT)
	}
	asked := len(s.Asked())
	runtime.GC()
	runtime.ReadMemStats(&m)
	heap, counted := int64(m.HeapAlloc)-before-int64(asked)*48, c.Stats().Bytes // the server remembers the questions
	t.Logf("%d entries: %d octets each counted, about %d of heap", n, counted/n, heap/n)
	if heap > 2*counted || c.Stats().Entries != n {
		t.Errorf("%d octets of heap, %d counted, for %d entries", heap, counted, c.Stats().Entries)
	}
}

// TestShare: questions below one slow domain leave room for others.
func TestShare(t *testing.T) {
	s := lookuptest.Serve(t, "www.example.org. A 192.0.2.1")
	s.Set(lookuptest.Fault{Below: "slow.example", Drop: true})
	c := client(t, Config{MaxQueries: 40, Timeout: 500 * time.Millisecond}, s)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var wait sync.WaitGroup
	for i := range 100 {
		wait.Go(func() { c.Query(ctx, fmt.Sprintf("x%d.slow.example", i), A) })
	}
	wait.Wait()
	if answer, err := c.Query(t.Context(), "www.example.org", A); err != nil {
		t.Errorf("%v, %v", answer, err)
	}
}

// TestTTL: what is remembered holds as long as DNS says, not shorter and not
// longer, within bounds.
func TestTTL(t *testing.T) {
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
	s := lookuptest.Serve(t, "www.example.org. A 192.0.2.1\nlong.example.org. A 192.0.2.2\nzero.example.org. A 192.0.2.3\nbad.example.org. SERVFAIL\nquick.example.org. CNAME other.example.org.\nother.example.org. A 192.0.2.4")
	s.Set(lookuptest.Fault{Below: "long.example.org", TTL: 1 << 30}, lookuptest.Fault{Below: "zero.example.org", Edit: func(m *dns.Msg) { m.Answer[0].Header().Ttl = 0 }},
		lookuptest.Fault{Below: "quick.example.org", Edit: func(m *dns.Msg) { m.Answer = m.Answer[:1]; m.Answer[0].Header().Ttl = 60 }})
	c := client(t, Config{Now: clock}, s)
	holds := func(name string, kind Kind, d time.Duration) {
		t.Helper()
		c.Query(t.Context(), name, kind)
		asked := s.Queries()
		pass(d - time.Millisecond)
		answer, _ := c.Query(t.Context(), name, kind)
		if s.Queries() != asked || len(answer.Records) > 0 && answer.TTL != time.Millisecond {
			t.Errorf("%s %s does not hold for %v, or says another time: %v", name, kind, d, answer.TTL)
		}
		pass(time.Millisecond)
		if c.Query(t.Context(), name, kind); s.Queries() == asked {
			t.Errorf("%s %s holds for longer than %v", name, kind, d)
		}
	}
	holds("www.example.org", A, time.Hour)
	holds("quick.example.org", A, time.Minute)  // the alias changes more often than what it leads to
	holds("www.example.org", MX, 5*time.Minute) // the SOA's minimum
	holds("none.example.org", A, 5*time.Minute)
	holds("long.example.org", A, 24*time.Hour)
	holds("zero.example.org", A, time.Second)
	holds("bad.example.org", A, 5*time.Second)
	pass(10 * time.Second) // the second failure
	holds("bad.example.org", A, 20*time.Second)
}

func BenchmarkCached(b *testing.B) {
	s := lookuptest.Serve(b, "www.example.org. A 192.0.2.1")
	c := client(b, Config{}, s)
	for _, name := range []string{"www.example.org", "WWW.Example.org."} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if answer, err := c.Query(b.Context(), name, A); err != nil || len(answer.Records) != 1 {
					b.Fatal(answer, err)
				}
			}
		})
	}
}

func BenchmarkAsked(b *testing.B) {
	s := lookuptest.Serve(b, "*.example.org. A 192.0.2.1")
	c := client(b, Config{}, s)
	b.ReportAllocs()
	for b.Loop() {
		if answer, err := c.Query(b.Context(), fmt.Sprintf("x%d.example.org", rand.Uint64()), A); err != nil || len(answer.Records) != 1 {
			b.Fatal(answer, err)
		}
	}
}
