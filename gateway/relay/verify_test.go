package relay

import (
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"spamcatcher/gateway/relay/relaytest"
)

func count(s *relaytest.Server, prefix string) int {
	n := 0
	for _, l := range s.Lines() {
		if strings.HasPrefix(l, prefix) {
			n++
		}
	}
	return n
}

func TestVerify(t *testing.T) {
	for _, extensions := range [][]string{nil, {}} {
		s := relaytest.Start(t, relaytest.Script{Extensions: extensions, Answer: answers(map[string]string{
			"RCPT TO:<unknown@": "550 5.1.1 no such user", "RCPT TO:<busy@": "450 4.2.0 mailbox busy", "RCPT TO:<policy@": "550 5.7.1 refused",
		})})
		r := newRelay(t, nil, s.Addr)
		for recipient, want := range map[string]Mailbox{"b@example.org": Exists, "unknown@example.org": Missing, "busy@example.org": Unsure,
			"policy@example.org": Unsure, "no address@": Missing, "jürgen@example.org": Missing} {
			if got := r.Verify(t.Context(), recipient); got != want {
				t.Errorf("%s: %v, want %v", recipient, got, want)
			}
		}
		// The connection is one of the pool's, left in order.
		want(t, deliver(t, r, hello, "b@example.org"), "delivered 250 2.0.0 ok queued")
		if s.Conns() != 1 || count(s, "MAIL FROM:<>") != 4 || count(s, "RSET") != 4 || count(s, "DATA") != 1 {
			t.Errorf("%d connections, commands %q", s.Conns(), s.Lines())
		}
		innocent(t, s)
	}
	s := relaytest.Start(t, relaytest.Script{Extensions: []string{"SMTPUTF8"}})
	if got := newRelay(t, nil, s.Addr).Verify(t.Context(), "jürgen@example.org"); got != Exists || count(s, "MAIL FROM:<> SMTPUTF8") != 1 {
		t.Errorf("%v by %q", got, s.Lines())
	}
	if got := newRelay(t, nil).Verify(t.Context(), "b@example.org"); got != Unsure {
		t.Errorf("without servers: %v", got)
	}
	if got := newRelay(t, func(c *Config) { c.Local = &forgetful{} }).Verify(t.Context(), "b@example.org"); got != Exists {
		t.Errorf("delivered locally: %v", got)
	}
}

func TestMailboxOf(t *testing.T) {
	for in, want := range map[string]Mailbox{
		"250 ok": Exists, "250 2.1.5 recipient ok": Exists, "251 will forward": Exists, "252 cannot verify": Exists,
		"450 4.2.0 busy": Unsure, "451 greylisted": Unsure, "421 closing": Unsure, "354 go on": Unsure,
		"550 5.1.1 <b@example.org>: Recipient address rejected: User unknown in local recipient table": Missing,
		"550 5.1.1 sender of this rhyme": Missing, "550 no such user here": Missing, "550 mailbox unavailable": Missing, "551 user not local": Missing,
		"553 mailbox name not allowed": Unsure, "550 5.1.10 RESOLVER.ADR.RecipientNotFound": Missing, "556 5.1.10 domain takes no mail": Missing,
		"550 5.4.1 Recipient address rejected: Access denied":               Missing,
		"550 5.1.0 unknown user":                                            Missing,
		"550 5.2.1 mailbox disabled":                                        Missing,
		"550 5.2.1 receives mail at too high a rate":                        Unsure,
		"550-5.1.1 no\r\n550 5.1.1 such user":                               Missing,
		"554 5.7.1 <b@example.org>: Relay access denied":                    Unsure,
		"550 relaying denied":                                               Unsure,
		"550 relay not permitted":                                           Unsure,
		"550 5.7.1 Service unavailable; client host blocked":                Unsure,
		"550 your IP is listed at a list":                                   Unsure,
		"550 5.1.0 sender rejected":                                         Unsure,
		"550 5.1.7 sender's address is bad":                                 Unsure,
		"550 5.1.8 sender's domain is bad":                                  Unsure,
		"550 null senders are not welcome":                                  Unsure,
		"552 5.2.2 mailbox full":                                            Unsure,
		"552 too many recipients":                                           Unsure,
		"530 5.7.0 must issue a STARTTLS command first":                     Unsure,
		"530 authentication required":                                       Unsure,
		"503 5.5.1 bad sequence":                                            Unsure,
		"500 what":                                                          Unsure,
		"501 5.1.3 bad address syntax":                                      Missing,
		"501 syntax":                                                        Unsure,
		"554 transaction failed":                                            Unsure,
		"555 parameters not recognized":                                     Unsure,
		"521 no mail here":                                                  Unsure,
		"550 5.3.2 system is going down":                                    Unsure,
		"550 requested action not taken: mailbox unavailable (policy etc.)": Unsure,
	} {
		var rep reply
		for line := range strings.SplitSeq(in, "\r\n") {
			fmt.Sscan(line[:3], &rep.code)
			rep.lines = append(rep.lines, line[4:])
		}
		if got := mailboxOf(rep); got != want {
			t.Errorf("%q: %v, want %v", in, got, want)
		}
	}
}

// A refusal of the null sender is not about the recipient, whatever the server then says to RCPT.
func TestVerifyNullSenderRefused(t *testing.T) {
	for _, extensions := range [][]string{nil, {}} {
		s := relaytest.Start(t, relaytest.Script{Extensions: extensions, Answer: answers(map[string]string{"MAIL FROM:<>": "550 5.1.1 no", "RCPT": "550 5.1.1 no"})})
		if got := newRelay(t, nil, s.Addr).Verify(t.Context(), "b@example.org"); got != Unsure {
			t.Errorf("%v", got)
		}
		if n := count(s, "RCPT"); extensions != nil && n != 0 {
			t.Errorf("%d RCPT after MAIL was refused", n)
		}
	}
}

func TestVerifyRemembers(t *testing.T) {
	now := newClock()
	s := relaytest.Start(t, relaytest.Script{Answer: answers(map[string]string{"RCPT TO:<no@": "550 5.1.1 no", "RCPT TO:<busy@": "450 busy"})})
	r := newRelay(t, func(c *Config) { c.Now = now.read }, s.Addr)
	asked := func(recipient string) int {
		before := count(s, "RCPT")
		r.Verify(t.Context(), recipient)
		return count(s, "RCPT") - before
	}
	for recipient, life := range map[string]time.Duration{"b@example.org": 24 * time.Hour, "no@example.org": time.Hour, "busy@example.org": time.Minute} {
		var got []int
		for _, d := range []time.Duration{0, 0, life - time.Second, time.Second} {
			now.pass(d)
			got = append(got, asked(recipient))
		}
		if want := []int{1, 0, 0, 1}; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: asked %v, want %v", recipient, got, want)
		}
	}
	// Domains are the same in any case, local parts need not be.
	if asked("b@EXAMPLE.org") != 0 || asked("B@example.org") != 1 {
		t.Error("case")
	}
}

// What the servers before said is not believed of the new ones.
func TestVerifyAsksNewServers(t *testing.T) {
	a := relaytest.Start(t, relaytest.Script{})
	b := relaytest.Start(t, relaytest.Script{Answer: answers(map[string]string{"RCPT": "550 5.1.1 no"})})
	list := []string{a.Addr}
	r := newRelay(t, func(c *Config) { c.Route = func(string) Route { return Route{Servers: list} } })
	first := r.Verify(t.Context(), "b@example.org")
	list = []string{b.Addr}
	if second := r.Verify(t.Context(), "b@example.org"); first != Exists || second != Missing {
		t.Errorf("%v, then %v", first, second)
	}
}

func TestVerifyManyAsOne(t *testing.T) {
	var mu sync.Mutex
	together, most := 0, 0
	s := relaytest.Start(t, relaytest.Script{Answer: func(line string) string {
		if strings.HasPrefix(line, "RCPT") {
			mu.Lock()
			together++
			most = max(most, together)
			mu.Unlock()
			time.Sleep(50 * time.Millisecond)
			mu.Lock()
			together--
			mu.Unlock()
		}
		return ""
	}})
	r := newRelay(t, nil, s.Addr)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			if got := r.Verify(t.Context(), fmt.Sprintf("%d@example.org", i%20)); got != Exists {
				t.Errorf("%v", got)
			}
		})
	}
	wg.Wait()
	if n := count(s, "RCPT"); n != 20 || most > maxCallouts || s.Conns() > maxCallouts {
		t.Errorf("40 questions about 20 recipients: %d callouts, %d at the same time, %d connections", n, most, s.Conns())
	}
}

// Servers that do not answer slow a session down once, and then not for a while.
func TestVerifySilentServers(t *testing.T) {
	for name, script := range map[string]relaytest.Script{
		"greeting": {Greeting: relaytest.Hang},
		"RCPT":     {Answer: answers(map[string]string{"RCPT": relaytest.Hang})},
		"closes":   {Greeting: relaytest.Drop},
		"421":      {Answer: answers(map[string]string{"MAIL": "421 busy"})},
	} {
		now := newClock()
		a, b := relaytest.Start(t, script), relaytest.Start(t, script)
		r := newRelay(t, func(c *Config) { c.Now, c.Timeouts.Callout = now.read, 400*time.Millisecond }, a.Addr, b.Addr)
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 30 {
			wg.Go(func() {
				if got := r.Verify(t.Context(), fmt.Sprintf("%d@example.org", i)); got != Unsure {
					t.Errorf("%s: %v", name, got)
				}
			})
		}
		wg.Wait()
		if d := time.Since(start); d > 3*time.Second {
			t.Errorf("%s: took %v", name, d)
		}
		before := a.Conns() + b.Conns()
		if before == 0 || before > 2*maxCallouts+2 {
			t.Errorf("%s: %d connections", name, before)
		}
		start = time.Now()
		for i := range 30 {
			r.Verify(t.Context(), fmt.Sprintf("%d@example.org", i))
		}
		if d := time.Since(start); d > 200*time.Millisecond || a.Conns()+b.Conns() != before {
			t.Errorf("%s: 30 questions took %v and %d connections, though nobody answered just now", name, d, a.Conns()+b.Conns()-before)
		}
		now.pass(silentFor + time.Second)
		r.Verify(t.Context(), "b@example.org")
		if a.Conns()+b.Conns() == before {
			t.Errorf("%s: not asked again", name)
		}
	}
}

// A server that is busy with our questions is not silent.
func TestVerifyManyAtASlowServer(t *testing.T) {
	s := relaytest.Start(t, relaytest.Script{Answer: func(line string) string {
		if strings.HasPrefix(line, "RCPT") {
			time.Sleep(150 * time.Millisecond)
		}
		return ""
	}})
	r := newRelay(t, func(c *Config) { c.Timeouts.Callout = time.Second }, s.Addr)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() { r.Verify(t.Context(), fmt.Sprintf("%d@example.org", i)) })
	}
	wg.Wait()
	if got := r.Verify(t.Context(), "b@example.org"); got != Exists {
		t.Errorf("%v after 40 questions at once", got)
	}
}

// When one server is down or silent, another one answers.
func TestVerifyFailover(t *testing.T) {
	good := relaytest.Start(t, relaytest.Script{})
	for name, bad := range map[string]string{"dead": deadAddress(t), "silent": relaytest.Start(t, relaytest.Script{Greeting: relaytest.Hang}).Addr} {
		r := newRelay(t, func(c *Config) { c.Timeouts.Callout = 400 * time.Millisecond }, bad, good.Addr)
		for i := range 3 {
			if got := r.Verify(t.Context(), fmt.Sprintf("%d@example.org", i)); got != Exists {
				t.Errorf("%s: %v", name, got)
			}
		}
	}
}

// A connection from the pool that has ended meanwhile is replaced.
func TestVerifyStaleConnection(t *testing.T) {
	var mu sync.Mutex
	mails := 0
	s := relaytest.Start(t, relaytest.Script{Answer: func(line string) string {
		mu.Lock()
		defer mu.Unlock()
		if strings.HasPrefix(line, "MAIL") {
			if mails++; mails == 2 {
				return "421 4.4.2 timeout"
			}
		}
		return ""
	}})
	r := newRelay(t, nil, s.Addr)
	for _, recipient := range []string{"a@example.org", "b@example.org"} {
		if got := r.Verify(t.Context(), recipient); got != Exists {
			t.Errorf("%s: %v", recipient, got)
		}
	}
	if s.Conns() != 2 {
		t.Errorf("%d connections", s.Conns())
	}
}

// Who asked first may go; the callout goes on, and what it finds is remembered.
func TestVerifyOutlivesWhoAsked(t *testing.T) {
	begun, going := make(chan bool), make(chan bool)
	s := relaytest.Start(t, relaytest.Script{Answer: func(line string) string {
		if strings.HasPrefix(line, "RCPT") {
			close(begun)
			<-going
		}
		return ""
	}})
	r := newRelay(t, nil, s.Addr)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-begun
		cancel()
	}()
	if got := r.Verify(ctx, "b@example.org"); got != Unsure {
		t.Errorf("the one who went got %v", got)
	}
	close(going)
	if got := r.Verify(t.Context(), "b@example.org"); got != Exists || count(s, "RCPT") != 1 {
		t.Errorf("%v after %d callouts", got, count(s, "RCPT"))
	}
}

// A panic costs the answer, not the process.
func TestVerifyPanic(t *testing.T) {
	var mu sync.Mutex
	asked := 0
	s := relaytest.Start(t, relaytest.Script{})
	r := newRelay(t, func(c *Config) {
		c.Listen = func() []netip.AddrPort {
			mu.Lock()
			defer mu.Unlock()
			if asked++; asked == 1 {
				panic("a mistake")
			}
			return nil
		}
	}, s.Addr)
	if got := r.Verify(t.Context(), "b@example.org"); got != Unsure {
		t.Errorf("%v", got)
	}
	if got := r.Verify(t.Context(), "b@example.org"); got != Exists {
		t.Errorf("%v after the panic", got)
	}
}

// What is remembered is bounded, and its size does not depend on the addresses.
func TestAnswersAreSmall(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	c := newCallouts()
	for i := range 2 * maxAnswers {
		c.known.Add(digestOf(fmt.Sprintf("%d-%s@example.org", i, strings.Repeat("x", 200)), "route"), answer{mailbox: Exists})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	size := after.HeapAlloc - before.HeapAlloc
	t.Logf("%d answers: %.1f MB", c.known.Len(), float64(size)/1e6)
	if c.known.Len() != maxAnswers || size > 20e6 {
		t.Errorf("%d answers in %d octets", c.known.Len(), size)
	}
}
