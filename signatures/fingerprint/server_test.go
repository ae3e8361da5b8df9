package fingerprint

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A clock that the test sets.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	c.at = c.at.Add(d)
	c.mu.Unlock()
}

// A site is a running server and those who talk to it.
type site struct {
	*Server
	t     *testing.T
	clock *clock
	keys  map[string]Key
	stop  func()
}

// serve runs a server with the reporters anna, bert and carl and the operator
// olga.
func serve(t *testing.T, change func(*ServerConfig)) *site {
	t.Helper()
	s := &site{t: t, clock: &clock{at: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)}, keys: map[string]Key{}}
	c := ServerConfig{Zone: testZone, Listen: "127.0.0.1:0", Dir: t.TempDir(), Now: s.clock.now}
	for name, role := range map[string]Role{"anna": Reporter, "bert": Reporter, "carl": Reporter, "olga": Operator} {
		k := Key{Name: name + ".example", Role: role, Secret: []byte("the secret of " + name + " is long enough")}
		s.keys[name] = k
		c.Keys = append(c.Keys, k)
	}
	if change != nil {
		change(&c)
	}
	s.start(c)
	return s
}

func (s *site) start(c ServerConfig) {
	s.t.Helper()
	var err error
	if s.Server, err = NewServer(c); err != nil {
		s.t.Fatal(err)
	}
	server := s.Server
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				s.t.Error(err)
			}
		case <-time.After(10 * time.Second):
			s.t.Error("the server does not end")
		}
		if err := server.Close(); err != nil {
			s.t.Error(err)
		}
	})
	s.t.Cleanup(func() { s.stop() })
}

// say reports as somebody.
func (s *site) say(who string, w Word, prints ...Print) error {
	return Network{Server: s.Addr(), Zone: testZone, Key: s.keys[who], Now: s.clock.now}.Report(s.t.Context(), w, prints)
}

func (s *site) mustSay(who string, w Word, prints ...Print) {
	s.t.Helper()
	if err := s.say(who, w, prints...); err != nil {
		s.t.Fatalf("%s says %s: %v", who, w, err)
	}
}

// ask asks by UDP and by TCP, which must say the same: the address, or the
// code.
func (s *site) ask(name string, kind uint16) (reply *dns.Msg) {
	s.t.Helper()
	for _, network := range []string{"udp", "tcp"} {
		m := new(dns.Msg)
		m.SetQuestion(dns.Fqdn(name), kind)
		c := dns.Client{Net: network, Timeout: 5 * time.Second}
		r, _, err := c.Exchange(m, s.Addr())
		if err != nil {
			s.t.Fatalf("%s %s by %s: %v", name, dns.TypeToString[kind], network, err)
		}
		if reply != nil && (reply.Rcode != r.Rcode || fmt.Sprint(reply.Answer) != fmt.Sprint(r.Answer)) {
			s.t.Errorf("by UDP\n%v\nby TCP\n%v", reply, r)
		}
		reply = r
	}
	return reply
}

// listed is the address that a fingerprint has, "" for none.
func (s *site) listed(p Print) string {
	s.t.Helper()
	r := s.ask(p.Name(testZone), dns.TypeA)
	if len(r.Answer) == 1 && r.Rcode == dns.RcodeSuccess {
		return r.Answer[0].(*dns.A).A.String()
	}
	if r.Rcode != dns.RcodeNameError || len(r.Answer) != 0 || len(r.Ns) != 1 {
		s.t.Errorf("a fingerprint that is not listed: %v", r)
	}
	return ""
}

func (s *site) want(what string, p Print, address string) {
	s.t.Helper()
	if got := s.listed(p); got != address {
		s.t.Errorf("%s: %s is %q, want %q", what, p.Kind, got, address)
	}
}

// TestReports: one reporter's word lists nothing, two reporters' does, who
// contradicts takes it off, and time does.
func TestReports(t *testing.T) {
	s := serve(t, nil)
	for i, p := range somePrints() {
		likeness := map[Kind]int{Fuzzy: 15 << 4}[p.Kind]
		at := func(class, level int) string { return fmt.Sprintf("127.0.%d.%d", class, likeness|level) }
		s.want("nobody reported", p, "")
		for range 3 {
			s.mustSay("anna", Spam, p)
			s.clock.pass(24 * time.Hour)
		}
		s.want("one reporter, three days long", p, "")
		s.mustSay("bert", Spam, p)
		s.want("two reporters, one of them three days long", p, at(classSpam, 1))
		s.mustSay("bert", Spam, p)
		s.want("the second report of a day", p, at(classSpam, 1))
		s.mustSay("olga", Spam, p)
		s.want("three", p, at(classSpam, 2))
		s.mustSay("carl", Ham, p)
		s.want("one of four contradicts", p, at(classSpam, 2))
		s.mustSay("bert", Ham, p)
		s.want("one of three changes his mind", p, "")
		s.mustSay("olga", Ham, p)
		s.mustSay("anna", Ham, p)
		s.want("four say it is wanted", p, at(classHam, 2))
		s.mustSay("olga", Revoke, p)
		s.mustSay("anna", Revoke, p)
		s.mustSay("bert", Revoke, p)
		s.want("two take their word back", p, "")
		s.mustSay("anna", Spam, p)
		s.mustSay("bert", Spam, p)
		s.mustSay("carl", Spam, p)
		s.want("listed once more", p, at(classSpam, 2))
		s.clock.pass(15 * 24 * time.Hour)
		s.want("after two half-lives", p, "")
		if n, err := s.Sweep(); n != 0 || err != nil {
			t.Errorf("%d entries dropped too early, %v", n, err)
		}
		s.clock.pass(30 * 24 * time.Hour)
		if n, err := s.Sweep(); n == 0 || err != nil || s.Stats().Entries != 0 {
			t.Errorf("%d entries dropped, %v; %+v", n, err, s.Stats())
		}
		if i == 0 { // the lists of bands went with the entry
			if n := keysOf(t, s.store, bandPrefix); n != 0 {
				t.Errorf("%d lists of bands are left", n)
			}
		}
		if n := keysOf(t, s.store, ownerPrefix); n != 0 || len(s.store.lone) != 0 {
			t.Errorf("%d entries of reporters are left, %v", n, s.store.lone)
		}
	}
	if n := keysOf(t, s.store, macPrefix); n != 0 {
		t.Errorf("%d signatures are remembered longer than they are good", n)
	}
}

// near is a fuzzy digest that has n bands in common with p.
func near(p Print, n int, r *rand.Rand) Print {
	for i := range p.Bands {
		if i >= n {
			p.Bands[i] = uint32(r.Uint64() >> (64 - bandBits))
		}
	}
	return p
}

// TestAlike: variants are counted together, and asked about with the likeness
// in the answer.
func TestAlike(t *testing.T) {
	s := serve(t, nil)
	r := rand.New(rand.NewPCG(3, 4))
	p := somePrints()[0]
	s.mustSay("anna", Spam, near(p, 30, r))
	s.mustSay("bert", Spam, near(p, 25, r)) // has 25 in common with anna's
	s.want("as like as both of them", p, fmt.Sprintf("127.0.1.%d", 15*(25-MinBands)/(bandCount-MinBands)<<4|1))
	s.mustSay("anna", Spam, near(near(p, 30, r), 22, r)) // the same entry still
	if n := s.Stats().Entries; n != 2 {
		t.Errorf("%d entries of one mailing and two reporters", n)
	}
	s.want("just alike", near(p, MinBands, r), "127.0.1.1")
	s.want("not alike", near(p, MinBands-1, r), "")
	r2 := s.ask(p.Name(testZone), dns.TypeTXT)
	if len(r2.Answer) != 1 || !strings.Contains(r2.Answer[0].String(), "25 of 40 bands") {
		t.Errorf("TXT %v", r2.Answer)
	}
}

// TestDelist: an operator's word holds for thirty days, a reporter has none.
func TestDelist(t *testing.T) {
	s := serve(t, nil)
	r := rand.New(rand.NewPCG(3, 4))
	for i, p := range somePrints()[:2] {
		s.mustSay("anna", Spam, p)
		s.mustSay("bert", Spam, p)
		if err := s.say("carl", Delist, p); !errors.Is(err, ErrRefused) || s.listed(p) == "" {
			t.Errorf("a reporter takes off the list: %v", err)
		}
		variant := p
		if p.Kind == Fuzzy {
			variant = near(p, 20, r)
		}
		s.mustSay("olga", Delist, variant)
		s.want("delisted", p, "")
		if n, err := s.Sweep(); n != i || err != nil { // i: what holds no longer, of the first
			t.Errorf("an operator's word was swept away: %d, %v", n, err)
		}
		s.mustSay("anna", Spam, p)
		s.mustSay("bert", Spam, p)
		s.want("reported after that", p, "")
		if n, err := s.Sweep(); n != 0 || err != nil {
			t.Errorf("swept %d, %v", n, err)
		}
		s.clock.pass(delistFor + time.Hour)
		s.mustSay("anna", Spam, p)
		s.mustSay("bert", Spam, p)
		if s.listed(p) == "" {
			t.Error("an operator's word holds for ever")
		}
	}
	fresh := Print{Kind: Text, ID: ID{7}}
	s.mustSay("olga", Delist, fresh)
	s.mustSay("anna", Spam, fresh)
	s.mustSay("bert", Spam, fresh)
	s.want("delisted before anybody reported it", fresh, "")
}

// exchangeRaw sends a packed message by TCP.
func (s *site) exchangeRaw(packed []byte) *dns.Msg {
	s.t.Helper()
	reply, err := exchange(s.t.Context(), s.Addr(), packed, 5*time.Second)
	if err != nil {
		s.t.Fatal(err)
	}
	r := new(dns.Msg)
	if err := r.Unpack(reply); err != nil {
		s.t.Fatal(err)
	}
	return r
}

// TestForgeries: reports that nobody signed, somebody else signed, that were
// signed at another time or come twice change nothing.
func TestForgeries(t *testing.T) {
	s := serve(t, func(c *ServerConfig) { c.Reporters = 1 })
	p := Print{Kind: Text, ID: ID{9}}
	message := func(zone string, w Word) *dns.Msg {
		m, err := Network{Zone: zone}.message(w, []Print{p})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	signed := func(m *dns.Msg, k Key, at time.Time) []byte {
		packed, _, err := k.sign(m, "", at, 0)
		if err != nil {
			t.Fatal(err)
		}
		return packed
	}
	anna, now := s.keys["anna"], s.clock.now()
	stranger := Key{Name: "mallory.example", Secret: anna.Secret}
	wrong := Key{Name: anna.Name, Secret: []byte("0123456789abcdef0123")}
	unsigned, _ := message(testZone, Spam).Pack()
	bent := signed(message(testZone, Spam), anna, now)
	bent[len("xx")+3] ^= 0 // the header stays
	bent[40] ^= 1          // a letter of the name
	long := message(testZone, Spam)
	for len(long.Ns) <= maxReports {
		long.Ns = append(long.Ns, long.Ns[0])
	}
	foreign := message(testZone, Spam)
	foreign.Ns[0].Header().Name = "a.other.example."
	nameless := message(testZone, Spam)
	nameless.Ns[0].Header().Name = "www." + testZone + "."
	loud := message(testZone, Spam)
	loud.Ns[0].(*dns.TXT).Txt = []string{"SPAM!"}
	demanding := message(testZone, Spam)
	demanding.Answer = []dns.RR{&dns.ANY{Hdr: dns.RR_Header{Name: testZone + ".", Rrtype: dns.TypeANY, Class: dns.ClassANY}}}
	sha1 := message(testZone, Spam)
	sha1.SetTsig(dns.Fqdn(anna.Name), dns.HmacSHA1, fudge, now.Unix())
	weak, _, err := dns.TsigGenerate(sha1, "dGhlIHNlY3JldA==", "", false)
	if err != nil {
		t.Fatal(err)
	}
	patient := message(testZone, Spam)
	patient.SetTsig(dns.Fqdn(anna.Name), dns.HmacSHA256, 65535, now.Add(-2*fudge*time.Second).Unix())
	wide, _, err := dns.TsigGenerateWithProvider(patient, signer(anna), "", false)
	if err != nil {
		t.Fatal(err)
	}
	// An old report with a second signature behind its own that looks fresh.
	twice := new(dns.Msg)
	if err := twice.Unpack(signed(message(testZone, Spam), anna, now.Add(-time.Hour))); err != nil {
		t.Fatal(err)
	}
	second := *twice.IsTsig()
	second.TimeSigned, second.MAC = uint64(now.Unix()), strings.Repeat("ab", 32)
	twice.Extra = append(twice.Extra, &second)
	renewed, err := twice.Pack()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		packed []byte
		rcode  int
		tsig   int
	}{
		{"signed twice", renewed, dns.RcodeFormatError, 0},
		{"unsigned", unsigned, dns.RcodeRefused, 0},
		{"a key that nobody has", signed(message(testZone, Spam), stranger, now), dns.RcodeNotAuth, dns.RcodeBadKey},
		{"another algorithm", weak, dns.RcodeNotAuth, dns.RcodeBadKey},
		{"another secret", signed(message(testZone, Spam), wrong, now), dns.RcodeNotAuth, dns.RcodeBadSig},
		{"changed on the way", bent, dns.RcodeNotAuth, dns.RcodeBadSig},
		{"too old", signed(message(testZone, Spam), anna, now.Add(-(fudge+1)*time.Second)), dns.RcodeNotAuth, dns.RcodeBadTime},
		{"from the future", signed(message(testZone, Spam), anna, now.Add((fudge+1)*time.Second)), dns.RcodeNotAuth, dns.RcodeBadTime},
		{"good for a day, it says", wide, dns.RcodeNotAuth, dns.RcodeBadTime},
		{"another zone", signed(message("other.example", Spam), anna, now), dns.RcodeNotAuth, 0},
		{"a name in another zone", signed(foreign, anna, now), dns.RcodeNotZone, 0},
		{"no fingerprint's name", signed(nameless, anna, now), dns.RcodeRefused, 0},
		{"another word", signed(loud, anna, now), dns.RcodeRefused, 0},
		{"a prerequisite", signed(demanding, anna, now), dns.RcodeRefused, 0},
		{"too many", signed(long, anna, now), dns.RcodeFormatError, 0},
	} {
		before := s.Stats()
		r := s.exchangeRaw(c.packed)
		tsig := 0
		if rr := r.IsTsig(); rr != nil {
			tsig = int(rr.Error)
		}
		if r.Rcode != c.rcode || tsig != c.tsig {
			t.Errorf("%s: %s, TSIG %s; want %s, %s", c.name, dns.RcodeToString[r.Rcode], dns.RcodeToString[tsig], dns.RcodeToString[c.rcode], dns.RcodeToString[c.tsig])
		}
		if after := s.Stats(); after.Entries != 0 || after.Refused+after.Malformed == before.Refused+before.Malformed {
			t.Errorf("%s: %+v", c.name, after)
		}
	}
	// EDNS beside the signature is no harm.
	polite := message(testZone, Revoke)
	polite.SetEdns0(1232, false)
	if r := s.exchangeRaw(signed(polite, anna, now)); r.Rcode != dns.RcodeSuccess {
		t.Errorf("with EDNS: %v", r)
	}
	// The same packet a second time: after a revocation it would bring the
	// report back.
	packed := signed(message(testZone, Spam), anna, now)
	if r := s.exchangeRaw(packed); r.Rcode != dns.RcodeSuccess || r.IsTsig() == nil {
		t.Fatalf("a report in order: %v", r)
	}
	s.want("reported", p, "127.0.1.1")
	s.mustSay("anna", Revoke, p)
	if r := s.exchangeRaw(packed); r.Rcode != dns.RcodeNotAuth || r.IsTsig().Error != dns.RcodeBadTime {
		t.Errorf("a replay: %v", r)
	}
	s.want("replayed", p, "")
	// The reply is signed too: who answers in the server's place is found out.
	if err := (Network{Server: s.Addr(), Zone: testZone, Key: s.keys["bert"], Now: func() time.Time { return s.clock.now().Add(fudge / 2 * time.Second) }}).Report(t.Context(), Spam, []Print{p}); err != nil {
		t.Errorf("clocks that are apart by half of what is allowed: %v", err)
	}
}

// TestForgedReply: a reply that the server did not sign is none.
func TestForgedReply(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	reply := func(*dns.Msg) []byte { return nil }
	go dns.ActivateAndServe(l, nil, dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) { w.Write(reply(r)) }))
	// The library's server refuses updates, which is a reply as well.
	key, _ := NewKey("anna.example", Reporter)
	err = Network{Server: l.Addr().String(), Zone: testZone, Key: key}.Report(t.Context(), Spam, somePrints())
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "NOTIMP") {
		t.Errorf("a server without updates: %v", err)
	}
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	var forger atomic.Pointer[Key] // whose signature the replies have
	go func() {
		for {
			conn, err := other.Accept()
			if err != nil {
				return
			}
			c := &dns.Conn{Conn: conn}
			if m, _ := c.ReadMsg(); m != nil { // it has not the key
				r := new(dns.Msg)
				r.SetReply(m)
				r.Question = nil
				if k := forger.Load(); k == nil {
					c.WriteMsg(r)
				} else if packed, _, err := k.sign(r, m.IsTsig().MAC, time.Now(), 0); err == nil {
					c.Write(packed)
				}
			}
			conn.Close()
		}
	}()
	if err := (Network{Server: other.Addr().String(), Zone: testZone, Key: key}).Report(t.Context(), Spam, somePrints()); err == nil || !strings.Contains(err.Error(), "not signed") {
		t.Errorf("an unsigned reply: %v", err)
	}
	for name, secret := range map[string][]byte{"": key.Secret, "not the server's": []byte("another secret altogether")} {
		forger.Store(&Key{Name: key.Name, Secret: secret})
		err := Network{Server: other.Addr().String(), Zone: testZone, Key: key}.Report(t.Context(), Spam, somePrints())
		if (err == nil) != (name == "") || err != nil && !strings.Contains(err.Error(), name) {
			t.Errorf("a reply signed with %q: %v, want %q", secret, err, name)
		}
	}
}

// TestZone: what the server says of its zone, and what it does not.
func TestZone(t *testing.T) {
	s := serve(t, nil)
	p := somePrints()
	fuzzyLabels := strings.Split(p[0].label(), ".")
	for _, c := range []struct {
		name  string
		kind  uint16
		rcode int
		want  string // in the answer
	}{
		{testZone, dns.TypeSOA, dns.RcodeSuccess, "hostmaster"},
		{testZone, dns.TypeNS, dns.RcodeSuccess, ""}, // the parent knows them; names without address would end the zone
		{testZone, dns.TypeA, dns.RcodeSuccess, ""},
		{testZone, dns.TypeANY, dns.RcodeRefused, ""},
		{testZone, dns.TypeIXFR, dns.RcodeRefused, ""},
		{"test." + testZone, dns.TypeA, dns.RcodeSuccess, "127.0.0.2"},
		{"TEST." + strings.ToUpper(testZone), dns.TypeA, dns.RcodeSuccess, "127.0.0.2"},
		{"test." + testZone, dns.TypeTXT, dns.RcodeSuccess, "a test"},
		{"test." + testZone, dns.TypeAAAA, dns.RcodeSuccess, ""},
		{"2.0.0.127." + testZone, dns.TypeA, dns.RcodeSuccess, "127.0.0.2"},
		{"1.0.0.127." + testZone, dns.TypeA, dns.RcodeNameError, ""},
		{"0.127." + testZone, dns.TypeA, dns.RcodeSuccess, ""},
		{"f1." + testZone, dns.TypeNS, dns.RcodeSuccess, ""}, // label by label
		{fuzzyLabels[2] + ".f1." + testZone, dns.TypeA, dns.RcodeSuccess, ""},
		{fuzzyLabels[1] + "." + fuzzyLabels[2] + ".f1." + testZone, dns.TypeA, dns.RcodeSuccess, ""},
		{"x." + fuzzyLabels[1] + "." + fuzzyLabels[2] + ".f1." + testZone, dns.TypeA, dns.RcodeNameError, ""},
		{p[1].Name(testZone), dns.TypeA, dns.RcodeNameError, ""},
		{"www." + testZone, dns.TypeA, dns.RcodeNameError, ""},
		{"x.t1." + testZone, dns.TypeA, dns.RcodeNameError, ""},
		{"other.example", dns.TypeA, dns.RcodeRefused, ""},
		{"notfp.example", dns.TypeA, dns.RcodeRefused, ""},
		{".", dns.TypeNS, dns.RcodeRefused, ""},
	} {
		r := s.ask(c.name, c.kind)
		text := ""
		for _, rr := range r.Answer {
			text += rr.String()
		}
		if r.Rcode != c.rcode || !strings.Contains(text, c.want) || (c.want == "") != (len(r.Answer) == 0) {
			t.Errorf("%s %s: %v", c.name, dns.TypeToString[c.kind], r)
		}
		if c.rcode != dns.RcodeRefused && (!r.Authoritative || len(r.Answer) == 0 && (len(r.Ns) != 1 || r.Ns[0].Header().Ttl > 300)) {
			t.Errorf("%s %s: not what a server of the zone says: %v", c.name, dns.TypeToString[c.kind], r)
		}
	}
	// Transfers by TCP.
	m := new(dns.Msg)
	m.SetAxfr(testZone + ".")
	if r, _, err := (&dns.Client{Net: "tcp"}).Exchange(m, s.Addr()); err != nil || r.Rcode != dns.RcodeRefused {
		t.Errorf("AXFR: %v, %v", r, err)
	}
	// EDNS of a version that there is not.
	m = new(dns.Msg)
	m.SetQuestion("test."+testZone+".", dns.TypeA)
	m.SetEdns0(1232, false)
	m.IsEdns0().SetVersion(7)
	if r, _, err := new(dns.Client).Exchange(m, s.Addr()); err != nil || r.Rcode != dns.RcodeBadVers {
		t.Errorf("EDNS 7: %v, %v", r, err)
	}
}

// TestSmallReplies: nobody is flooded by way of this server.
func TestSmallReplies(t *testing.T) {
	s := serve(t, nil)
	for _, p := range somePrints() {
		s.mustSay("anna", Spam, p)
		s.mustSay("bert", Spam, p)
		for _, kind := range []uint16{dns.TypeA, dns.TypeTXT, dns.TypeMX} {
			m := new(dns.Msg)
			m.SetQuestion(p.Name(testZone)+".", kind)
			request, _ := m.Pack()
			reply := s.handle(request, true)
			if len(reply) > len(request)+100 || len(reply) > 512 {
				t.Errorf("%s %s: %d bytes for %d", p.Kind, dns.TypeToString[kind], len(reply), len(request))
			}
		}
	}
}

// TestRate: a reporter who reports too much is slowed down; others are not.
func TestRate(t *testing.T) {
	s := serve(t, func(c *ServerConfig) { c.Rate = 60 })
	prints := func(n int, tag byte) (list []Print) {
		for i := range n {
			list = append(list, Print{Kind: Text, ID: ID{tag, byte(i)}})
		}
		return list
	}
	s.mustSay("anna", Spam, prints(60, 1)...)
	if err := s.say("anna", Spam, prints(1, 2)...); !errors.Is(err, ErrRefused) {
		t.Errorf("the 61st fingerprint of an hour: %v", err)
	}
	s.mustSay("bert", Spam, prints(60, 3)...)
	s.clock.pass(time.Minute)
	s.mustSay("anna", Spam, prints(1, 4)...)
	if err := s.say("anna", Spam, prints(1, 5)...); !errors.Is(err, ErrRefused) {
		t.Errorf("a minute later there is room for one, and two were taken: %v", err)
	}
}

// TestFull: in a store that is full the reporter who has the most loses what he
// has not reported for longest, and what two have reported stays.
func TestFull(t *testing.T) {
	s := serve(t, func(c *ServerConfig) { c.MaxEntries, c.Share = 14, 8 })
	list := somePrints()
	text := func(i int) Print { return Print{Kind: Text, ID: ID{99, byte(i)}} }
	s.mustSay("anna", Spam, list[1])
	s.mustSay("bert", Spam, list[1])
	for i := range 30 {
		s.mustSay("carl", Spam, text(i))
	}
	if n := s.Stats().Entries; n != 9 {
		t.Errorf("%d entries, want carl's share of 8 and one", n)
	}
	s.mustSay("bert", Spam, list...) // five more
	if n := s.Stats().Entries; n != 14 {
		t.Errorf("%d entries, want 14", n)
	}
	s.mustSay("anna", Spam, list...)
	s.mustSay("anna", Spam, text(29), text(0))
	for _, p := range append(list, text(29)) {
		if s.listed(p) == "" {
			t.Errorf("%s was dropped", p.Short())
		}
	}
	s.want("carl's oldest", text(0), "")
	c := s.c
	s.stop()
	s.start(c)
	for i := range 30 {
		s.mustSay("carl", Spam, text(100+i))
	}
	for _, p := range append(list, text(29)) {
		if s.listed(p) == "" {
			t.Errorf("%s was dropped after a restart", p.Short())
		}
	}
	if n := s.Stats().Entries; n != 14 {
		t.Errorf("%d entries, want 14", n)
	}
	s.c.SpareDisk = 1 << 62
	s.store.spare = 1 << 62
	if err := s.say("carl", Spam, list[0]); !errors.Is(err, ErrRefused) {
		t.Errorf("a disk without room: %v", err)
	}
}

// TestRestart: what was answered is there after the server ended.
func TestRestart(t *testing.T) {
	s := serve(t, nil)
	list := somePrints()
	s.mustSay("anna", Spam, list...)
	c := s.c
	s.stop()
	s.start(c)
	s.mustSay("bert", Spam, list...)
	for _, p := range list {
		if s.listed(p) == "" {
			t.Errorf("%s: lost", p.Kind)
		}
	}
	if n := s.Stats().Entries; n != len(list)+1 { // two reporters' words on one text
		t.Errorf("%d entries, want %d", n, len(list)+1)
	}
	s.mustSay("anna", Spam, near(list[0], 0, rand.New(rand.NewPCG(9, 9))))
	if n := s.Stats().Entries; n != len(list)+2 {
		t.Errorf("%d entries, want %d", n, len(list)+2)
	}
	if s.listed(list[0]) == "" {
		t.Error("a new fuzzy entry has taken the place of an old one")
	}
}

// TestSessions: sessions that say nothing do not keep others out for long, nor
// the server from ending.
func TestSessions(t *testing.T) {
	s := serve(t, func(c *ServerConfig) { c.Sessions = 12 })
	for _, c := range []struct {
		from          string
		tried, closed int
	}{
		{"127.0.0.1", 5, 2}, // a quarter is three
		{"127.0.0.2", 3, 0},
		{"127.0.0.3", 3, 0},
		{"127.0.0.4", 4, 1},
		{"127.0.0.5", 2, 2}, // all twelve are taken
	} {
		closed := 0
		for range c.tried {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(c.from)}}
			conn, err := d.Dial("tcp", s.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
			if _, err := conn.Read(make([]byte, 1)); err != nil && !isTimeout(err) {
				closed++
			}
		}
		if closed != c.closed {
			t.Errorf("%s: %d of %d sessions were closed, want %d", c.from, closed, c.tried, c.closed)
		}
	}
	begin := time.Now()
	s.stop()
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("ending took %v", took)
	}
}

// TestClient: the check asks the server.
func TestClient(t *testing.T) {
	s := serve(t, nil)
	check := newCheck(t, func(ctx context.Context, name string) ([]netip.Addr, error) {
		m := new(dns.Msg)
		m.SetQuestion(dns.Fqdn(name), dns.TypeA)
		r, _, err := new(dns.Client).ExchangeContext(ctx, m, s.Addr())
		if err != nil {
			return nil, err
		}
		var list []netip.Addr
		for _, rr := range r.Answer {
			a, _ := netip.AddrFromSlice(rr.(*dns.A).A)
			list = append(list, a)
		}
		return list, nil
	})
	if err := check.Test(t.Context()); err != nil {
		t.Error(err)
	}
	s.mustSay("anna", Spam, Of(plainMail("anna@example.org", invoice))...)
	s.mustSay("bert", Spam, Of(plainMail("bert@example.com", strings.ReplaceAll(invoice, "Marion Fairweather", "Tadeusz Delacroix")))...)
	copied := mailOf(plainMail("m@example.net", strings.NewReplacer("Marion Fairweather", "Ngozi Blomqvist", "4471", "8812").Replace(invoice)))
	hits, err := check.Inspect(t.Context(), copied)
	if err != nil || len(hits) != 1 || hits[0].Symbol != fuzzySymbol || hits[0].Strength < 0.4 {
		t.Errorf("hits %+v, %v", hits, err)
	}
	if hits, err := check.Inspect(t.Context(), mailOf(plainMail("m@example.net", other))); err != nil || len(hits) != 0 {
		t.Errorf("another text: hits %+v, %v", hits, err)
	}
}

// FuzzHandle: whatever arrives is answered with something short, or nothing.
func FuzzHandle(f *testing.F) {
	s, err := NewServer(ServerConfig{Zone: testZone, Listen: "127.0.0.1:0", Dir: f.TempDir(), Now: func() time.Time { return time.Unix(1_800_000_000, 0) },
		Keys: []Key{{Name: "anna.example", Role: Operator, Secret: []byte("0123456789abcdef")}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	for _, p := range somePrints() {
		m := new(dns.Msg)
		m.SetQuestion(p.Name(testZone)+".", dns.TypeA)
		m.SetEdns0(1232, true)
		packed, _ := m.Pack()
		f.Add(packed, true)
		for _, w := range []Word{Spam, Ham, Revoke, Delist} {
			m, _ := Network{Zone: testZone}.message(w, []Print{p})
			packed, _, _ = s.keys["anna.example."].sign(m, "", s.c.Now(), 0)
			f.Add(packed, false)
		}
	}
	f.Fuzz(func(t *testing.T, packed []byte, udp bool) {
		reply := s.handle(append([]byte(nil), packed...), udp)
		if s.panics.Load() > 0 {
			t.Fatal("panicked")
		}
		if reply == nil {
			return
		}
		if len(reply) > len(packed)+700 || udp && len(reply) > maxUDP && packed[2]>>3&0xf == dns.OpcodeQuery {
			t.Fatalf("%d bytes for %d", len(reply), len(packed))
		}
		if reply[2]&0x80 == 0 || reply[0] != packed[0] || reply[1] != packed[1] {
			t.Fatalf("% x answers % x", reply, packed)
		}
	})
}
