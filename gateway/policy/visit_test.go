package policy_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"spamcatcher/gateway/dnslist"
	"spamcatcher/gateway/lookup"
	"spamcatcher/gateway/lookup/lookuptest"
	"spamcatcher/gateway/policy"
)

func gate(t *testing.T, cfg policy.GateConfig) *policy.Gate {
	t.Helper()
	g, err := policy.NewGate(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

const scored, enforced = policy.Score, policy.Enforce

// What a sender's domain can be.
func TestSenderDomain(t *testing.T) {
	r := lookuptest.Zone(t, `
		mx.example MX 10 a.example
		only-a.example A 192.0.2.1
		only-aaaa.example AAAA 2001:db8::1
		null.example MX 0 .
		two.example MX 0 .
		two.example MX 10 a.example
		half.example MX SERVFAIL
		half.example A 192.0.2.1
		unsure.example MX SERVFAIL
		empty.example MX SERVFAIL
		sub.empty.example A 192.0.2.1
		slow.example A SERVFAIL
		slow.example AAAA 2001:db8::1
		slow6.example AAAA SERVFAIL
		xn--bcher-kva.example A 192.0.2.1
		alias.example CNAME only-a.example
		broken.example CNAME nowhere.example
	`)
	for _, c := range []struct{ from, symbol, reply string }{
		{"a@mx.example", "", ""},
		{"a@MX.Example.", "", ""},
		{"a@only-a.example", "", ""},
		{"a@only-aaaa.example", "", ""},
		{"a@null.example", "SENDER_NULL_MX", ""},
		{"a@two.example", "", ""},
		{"a@half.example", "", ""},
		{"a@unsure.example", "DNS_UNANSWERED", ""},
		{"a@empty.example", "DNS_UNANSWERED", ""},
		{"a@slow.example", "", ""},
		{"a@slow6.example", "DNS_UNANSWERED", ""},
		{"a@bücher.example", "", ""},
		{"a@alias.example", "", ""},
		{"a@broken.example", "SENDER_DOMAIN_MISSING", "broken.example is invalid or DNS says does not exist"},
		{"a@Nowhere.Example", "SENDER_DOMAIN_MISSING", "Nowhere.Example is invalid or DNS says does not exist"},
		{"a@grüße.example", "SENDER_DOMAIN_MISSING", "gr??e.example is invalid or DNS says does not exist"},
		{"a@b@nowhere.example", "SENDER_DOMAIN_MISSING", "nowhere.example is invalid or DNS says does not exist"},
		{"a@no\r\n250 where.example", "SENDER_DOMAIN_MISSING", "no??250 where.example is invalid or DNS says does not exist"},
		{"a@" + strings.Repeat("x", 300), "SENDER_DOMAIN_MISSING", strings.Repeat("x", 255) + " is invalid or DNS says does not exist"},
		{"a@[192.0.2.1]", "SENDER_LITERAL", ""},
		{"a@[IPv6:2001:db8::1]", "SENDER_LITERAL", ""},
		{"a@[nonsense]", "SENDER_DOMAIN_MISSING", "[nonsense] is invalid or DNS says does not exist"},
		{"", "", ""},
		{"postmaster", "", ""},
	} {
		for _, mode := range []policy.Mode{scored, enforced} {
			g := gate(t, policy.GateConfig{Resolver: r, SenderDomain: policy.Test{Mode: mode}})
			v := g.Visit(client)
			got := ""
			if refusal := v.Mail(t.Context(), "x", c.from); refusal != nil {
				got = refusal.Text
			}
			if want := c.reply; mode == enforced && got != want || mode == scored && got != "" {
				t.Errorf("%s, %s: %q, want %q", c.from, mode, got, want)
			}
			if got == "" {
				v.Rcpt(t.Context(), "u@example.com")
				if found := strings.Join(symbols(v.Facts(t.Context())), " "); found != c.symbol {
					t.Errorf("%s, %s: symbols %q, want %q", c.from, mode, found, c.symbol)
				}
			}
			v.Close()
		}
	}
}

// half is a resolver that fails over MX, and says that the name does not exist
// when it is asked for anything else.
type half struct{}

func (half) Query(_ context.Context, _ string, kind lookup.Kind) (lookup.Answer, error) {
	if kind == lookup.MX {
		return lookup.Answer{}, lookuptest.ErrServer
	}
	return lookup.Answer{}, lookup.ErrNoName
}

// Servers that contradict one another refuse nobody.
func TestSenderDomainContradiction(t *testing.T) {
	g := gate(t, policy.GateConfig{Resolver: half{}, SenderDomain: policy.Test{Mode: enforced}})
	if reply, _, f := run(t.Context(), g, "a@example.org", "u@example.com"); reply != "" || len(f.Skipped) != 1 {
		t.Errorf("%q, %+v", reply, f)
	}
}

// What a client's name can be.
func TestPTR(t *testing.T) {
	r := lookuptest.Zone(t, `
		7.2.0.192.in-addr.arpa PTR wrong.example
		7.2.0.192.in-addr.arpa PTR Right.Example.
		wrong.example A 192.0.2.8
		right.example A 192.0.2.7
		8.2.0.192.in-addr.arpa PTR right.example
		9.2.0.192.in-addr.arpa PTR nowhere.example
		10.2.0.192.in-addr.arpa PTR broken.example
		broken.example SERVFAIL
		11.2.0.192.in-addr.arpa PTR .
		12.2.0.192.in-addr.arpa PTR broken.example
		12.2.0.192.in-addr.arpa PTR twelve.example
		twelve.example A 192.0.2.12
		13.2.0.192.in-addr.arpa PTR thirteen.example
		13.2.0.192.in-addr.arpa PTR b.example
		13.2.0.192.in-addr.arpa PTR a.example
		thirteen.example A 192.0.2.13
		14.2.0.192.in-addr.arpa PTR six.example
		six.example AAAA SERVFAIL
		six.example A 192.0.2.1
		1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR v6.example
		v6.example AAAA 2001:db8::1
	`)
	for _, c := range []struct{ client, ptr, iprev, symbol string }{
		{"192.0.2.7", "right.example", "pass", ""},
		{"::ffff:192.0.2.7", "right.example", "pass", ""},
		{"192.0.2.8", "", "fail", "PTR_UNCONFIRMED"},
		{"192.0.2.9", "", "permerror", "PTR_UNCONFIRMED"},
		{"192.0.2.10", "", "temperror", "DNS_UNANSWERED"},
		{"192.0.2.11", "", "permerror", "PTR_MISSING"},
		{"192.0.2.12", "twelve.example", "pass", ""},
		{"192.0.2.13", "", "permerror", "PTR_UNCONFIRMED"}, // the name is the third by the alphabet
		{"192.0.2.14", "", "fail", "PTR_UNCONFIRMED"},      // of an IPv4 client only A counts
		{"192.0.2.99", "", "permerror", "PTR_MISSING"},
		{"2001:db8::1", "v6.example", "pass", ""},
		{"2001:db8::2", "", "permerror", "PTR_MISSING"},
	} {
		for _, mode := range []policy.Mode{scored, enforced} {
			g := gate(t, policy.GateConfig{Resolver: r, PTR: policy.Test{Mode: mode}})
			client := netip.MustParseAddr(c.client)
			refused := g.Greet(t.Context(), client) != nil
			if want := mode == enforced && c.symbol == "PTR_MISSING"; refused != want {
				t.Errorf("%s, %s: refused %v", c.client, mode, refused)
			}
			v := g.Visit(client)
			if v.Mail(t.Context(), "x", "") != nil || v.Rcpt(t.Context(), "u@example.com") != nil {
				t.Errorf("%s, %s: refused after the banner", c.client, mode)
			}
			f := v.Facts(t.Context())
			if got := strings.Join(symbols(f), " "); f.PTR != c.ptr || f.IPRev != c.iprev || got != c.symbol {
				t.Errorf("%s: PTR %q, iprev %s, symbols %q; want %q, %s, %q", c.client, f.PTR, f.IPRev, got, c.ptr, c.iprev, c.symbol)
			}
			v.Close()
		}
	}
}

// Nobody asks about clients of our own networks, or about trusted ones.
func TestTrustedClients(t *testing.T) {
	r := lookuptest.Zone(t, "")
	cfg := policy.GateConfig{Resolver: r, PTR: policy.Test{Mode: enforced}, SenderDomain: policy.Test{Mode: enforced},
		Greylist: policy.Test{Mode: enforced}, Grey: &greylister{wait: time.Minute},
		Trusted: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8:1::/48"), netip.MustParsePrefix("::ffff:203.0.113.0/120")}}
	for _, local := range []bool{false, true} {
		cfg.TestLocal = local
		g := gate(t, cfg)
		for address, exempt := range map[string]bool{
			"127.0.0.1": !local, "::1": !local, "10.1.2.3": !local, "172.16.0.1": !local, "192.168.1.1": !local, "169.254.1.1": !local, "fe80::1%eth0": !local, "fd00::1": !local, "::ffff:10.0.0.1": !local,
			"198.51.100.9": true, "2001:db8:1::9": true, "203.0.113.1": true,
			"192.0.2.1": false, "2001:db8:2::9": false, "172.32.0.1": false,
		} {
			a := netip.MustParseAddr(address)
			v := g.Visit(a)
			refused := []bool{g.Greet(t.Context(), a) != nil, v.Mail(t.Context(), "x", "a@example.org") != nil, v.Rcpt(t.Context(), "u@example.com") != nil}
			if slices.Contains(refused, exempt) {
				t.Errorf("%s, local tested %v: refused %v", address, local, refused)
			}
			if f := v.Facts(t.Context()); exempt && (len(f.Found) > 0 || f.IPRev != "") {
				t.Errorf("%s: facts %+v", address, f)
			}
			v.Close()
		}
		if v := g.Visit(netip.Addr{}); g.Greet(t.Context(), netip.Addr{}) != nil || v.Mail(t.Context(), "x", "a@example.org") != nil {
			t.Error("a client without an address is refused")
		}
	}
	var none *policy.Gate
	v := none.Visit(client)
	if none.Greet(t.Context(), client) != nil || v.Mail(t.Context(), "x", "y") != nil || v.Rcpt(t.Context(), "z") != nil {
		t.Error("no gate refuses")
	}
	v.Close()
}

// The tests have an order, and the first that refuses decides.
func TestOrder(t *testing.T) {
	zone := lookuptest.Zone(t, "2.0.0.127.list.example A 127.0.0.2\n7.2.0.192.list.example A 127.0.0.2")
	cfg := policy.GateConfig{Resolver: zone, CheckSPF: spfOf(zone), Grey: &greylister{wait: time.Second},
		Lists: lists(t, zone, dnslist.Zone{Name: "list.example", Label: "ONE", Of: dnslist.Clients})}
	tests := []*policy.Test{&cfg.PTR, &cfg.SenderDomain, &cfg.SPF, &cfg.Greylist, &cfg.DNSBL}
	for i, want := range []string{"501 5.7.25", "501 5.1.8", "550 5.7.23", "451 4.7.1", "550 5.7.1 "} {
		for k := range tests {
			mode := scored
			if k >= i {
				mode = enforced
			}
			*tests[k] = policy.Test{Mode: mode}
		}
		if got, _, _ := run(t.Context(), gate(t, cfg), "a@example.org", "u@example.com"); !strings.HasPrefix(got, want) {
			t.Errorf("tests from %d on enforced: %q, want %q", i, got, want)
		}
		// All wait for the recipient, in the same order.
		for k := range tests {
			tests[k].Recipients = list(t, "exempt.example")
		}
		if got, stage, _ := run(t.Context(), gate(t, cfg), "a@example.org", "u@example.com"); !strings.HasPrefix(got, want) || stage != "RCPT" {
			t.Errorf("tests from %d on enforced at RCPT: %q at %s, want %q", i, got, stage, want)
		}
	}
	// And when all only score, all their symbols are there.
	for k := range tests {
		*tests[k] = policy.Test{Mode: scored}
	}
	_, _, f := run(t.Context(), gate(t, cfg), "a@example.org", "u@example.com")
	if got := symbols(f); !slices.Equal(got, []string{"GREYLIST_NEW", "LIST_ONE", "PTR_MISSING", "SENDER_DOMAIN_MISSING"}) {
		t.Errorf("symbols %q", got)
	}
}

// A message is exempt when all its recipients are.
func TestExemptRecipients(t *testing.T) {
	g := gateFor(t, "sender_domain", "", policy.Test{Mode: scored, Recipients: list(t, "exempt.example")}, nil)
	for to, want := range map[string]int{"a@exempt.example": 0, "a@exempt.example b@exempt.example": 0, "a@exempt.example b@example.com": 1, "b@example.com a@exempt.example": 1} {
		v := g.Visit(client)
		v.Mail(t.Context(), "x", "a@example.org")
		for _, r := range strings.Fields(to) {
			v.Rcpt(t.Context(), r)
		}
		if got := symbols(v.Facts(t.Context())); len(got) != want {
			t.Errorf("%s: %q", to, got)
		}
		v.Close()
	}
}

// A recipient can choose more or less than everybody's mode, and a zone has one
// of its own.
func TestModesOfTheirOwn(t *testing.T) {
	zone := lookuptest.Zone(t, "2.0.0.127.list.example A 127.0.0.2\n7.2.0.192.list.example A 127.0.0.2")
	for _, c := range []struct {
		test, chosen policy.Mode
		zone         string
		want         string
	}{
		{scored, "", "", "LIST_ONE"},
		{scored, enforced, "", "refused"},
		{scored, policy.Off, "", ""},
		{enforced, "", "", "refused"},
		{enforced, scored, "", "LIST_ONE"},
		{enforced, policy.Off, "", ""},
		{policy.Off, "", "", ""},
		{policy.Off, scored, "", "LIST_ONE"},
		{policy.Off, enforced, "", "refused"},
		{scored, "", "enforce", "refused"},
		{scored, scored, "enforce", "LIST_ONE"},
		{enforced, "", "score", "LIST_ONE"},
		{enforced, enforced, "score", "LIST_ONE"},
		{policy.Off, "", "enforce", ""},
		{enforced, "", "off", ""},
	} {
		g := gate(t, policy.GateConfig{
			DNSBL: policy.Test{Mode: c.test}, Lists: lists(t, zone, dnslist.Zone{Name: "list.example", Label: "ONE", Of: dnslist.Clients, Mode: c.zone}),
			Greylist: policy.Test{Mode: c.test}, Grey: &greylister{},
			Settings: func(to string) (policy.Mode, policy.Mode) {
				if to != "u@example.com" {
					t.Errorf("settings of %q", to)
				}
				return "", c.chosen
			},
		})
		got, _, f := run(t.Context(), g, "a@example.org", "u@example.com")
		if got != "" {
			got = "refused"
		} else {
			got = strings.Join(symbols(f), " ")
		}
		if got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// Zones that have not proved themselves, and zones that speak for a client,
// refuse nobody.
func TestListsThatDoNotRefuse(t *testing.T) {
	zone := lookuptest.Zone(t, "2.0.0.127.good.example A 127.0.0.2\n7.2.0.192.good.example A 127.0.0.2\n2.0.0.127.new.example A 127.0.0.2\n7.2.0.192.new.example A 127.0.0.2")
	set, err := dnslist.New(dnslist.Config{Resolver: zone, Zones: []dnslist.Zone{{Name: "new.example", Label: "NEW", Of: dnslist.Clients}}})
	if err != nil {
		t.Fatal(err)
	}
	good := lists(t, zone, dnslist.Zone{Name: "good.example", Label: "GOOD", Of: dnslist.Clients, Points: -1})
	for _, set := range []*dnslist.Set{set, good} {
		got, _, f := run(t.Context(), gate(t, policy.GateConfig{DNSBL: policy.Test{Mode: enforced}, Lists: set}), "", "u@example.com")
		if got != "" || len(f.Found) != 1 {
			t.Errorf("%q, %+v", got, f)
		}
	}
}

// Greylisting knows addresses in one spelling, and exempts approved senders.
func TestGreylistedAddresses(t *testing.T) {
	grey := &greylister{wait: time.Minute}
	g := gate(t, policy.GateConfig{Greylist: policy.Test{Mode: scored}, Grey: grey,
		Approved: func(from, to string, _ bool) bool { return from == "friend@example.org" && to == "u@example.com" }})
	for _, from := range []string{"A@BÜCHER.example", "", "friend@example.org"} {
		v := g.Visit(netip.MustParseAddr("::ffff:192.0.2.7"))
		v.Mail(t.Context(), "x", from)
		v.Rcpt(t.Context(), "U@example.COM")
		v.Rcpt(t.Context(), "u@example.com")
		v.Close()
	}
	if got, want := strings.Join(grey.asked, "; "), "192.0.2.7 a@xn--bcher-kva.example u@example.com; 192.0.2.7 a@xn--bcher-kva.example u@example.com; 192.0.2.7  u@example.com; 192.0.2.7  u@example.com; 192.0.2.7 friend@example.org u@example.com"; got != want {
		t.Errorf("asked %s\nwant  %s", got, want)
	}
}

// A session has many transactions: what holds for the client is asked once,
// what does not is asked for each, and none sees another's.
func TestTransactions(t *testing.T) {
	r := lookuptest.Zone(t, "example.org A 192.0.2.1\n2.0.0.127.list.example A 127.0.0.2\n8.2.0.192.in-addr.arpa PTR x.example\nx.example A 192.0.2.8")
	g := gate(t, policy.GateConfig{Resolver: r, PTR: policy.Test{Mode: scored}, SenderDomain: policy.Test{Mode: scored, Senders: list(t, "exempt.example")},
		DNSBL: policy.Test{Mode: scored}, Lists: lists(t, r, dnslist.Zone{Name: "list.example", Label: "ONE", Of: dnslist.Clients})})
	v := g.Visit(client)
	defer v.Close()
	for _, c := range []struct{ from, want string }{
		{"a@nowhere.example", "PTR_MISSING SENDER_DOMAIN_MISSING"},
		{"a@example.org", "PTR_MISSING"},
		{"a@exempt.example", "PTR_MISSING"},
		{"", "PTR_MISSING"},
		{"a@nowhere.example", "PTR_MISSING SENDER_DOMAIN_MISSING"},
	} {
		v.Mail(t.Context(), "x", c.from)
		v.Rcpt(t.Context(), "u@example.com")
		if got := strings.Join(symbols(v.Facts(t.Context())), " "); got != c.want {
			t.Errorf("%s: %s, want %s", c.from, got, c.want)
		}
	}
	// A transaction without recipients has nothing of the one before.
	v.Mail(t.Context(), "x", "a@example.org")
	count := map[string]int{}
	for _, q := range r.Asked() {
		count[q]++
	}
	if count["7.2.0.192.in-addr.arpa PTR"] != 1 || count["7.2.0.192.list.example A"] != 1 || count["nowhere.example MX"] != 2 {
		t.Errorf("questions %v", count)
	}
}

// However fast a session begins transactions, one set of its questions is under
// way: the former's are over before the next are asked.
func TestOneSetOfQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := lookuptest.Zone(t, "*.example SILENT")
		var now, most atomic.Int32
		spf := func(ctx context.Context, client netip.Addr, hello, from string) (string, string, bool) {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer now.Add(-1)
			<-ctx.Done()
			time.Sleep(10 * time.Millisecond) // as a library that takes its time to notice
			return "temperror", "", false
		}
		g := gate(t, policy.GateConfig{Resolver: r, SenderDomain: policy.Test{Mode: scored}, SPF: policy.Test{Mode: scored}, CheckSPF: spf})
		v := g.Visit(client)
		defer time.Sleep(time.Second)
		defer v.Close()
		for i := range 300 {
			if v.Mail(t.Context(), "x", fmt.Sprintf("a@d%d.example", i)) != nil {
				t.Fatal("refused")
			}
			synctest.Wait()
		}
		if most.Load() != 1 {
			t.Errorf("%d sets of questions at once", most.Load())
		}
	})
}

// What one connection can write into the memory of greylisting by recipients that
// it named ahead is bounded, and none of it outlives the transaction.
func TestNote(t *testing.T) {
	grey := &greylister{wait: time.Minute}
	g := gate(t, policy.GateConfig{Greylist: policy.Test{Mode: enforced}, Grey: grey})
	v := g.Visit(client)
	defer v.Close()
	ahead := make([]string, 200)
	for i := range ahead {
		ahead[i] = fmt.Sprintf("u%d@example.com", i)
	}
	v.Mail(t.Context(), "x", "a@example.org")
	v.Note(ahead)
	if len(grey.asked) != 0 {
		t.Errorf("nobody was refused, but %d were noted", len(grey.asked))
	}
	if v.Rcpt(t.Context(), "u@example.com") == nil {
		t.Fatal("not refused")
	}
	v.Note(ahead)
	if len(grey.asked) != 1+20 {
		t.Errorf("%d were noted", len(grey.asked)-1)
	}
	v.Mail(t.Context(), "x", "a@example.org")
	v.Note(ahead)
	if len(grey.asked) != 1+20 {
		t.Error("a refusal of the transaction before counts")
	}
}

// What nobody could tell is asked again for the next message.
func TestUnsureIsAskedAgain(t *testing.T) {
	r := lookuptest.Zone(t, "7.2.0.192.in-addr.arpa SERVFAIL\n7.2.0.192.list.example SERVFAIL\n2.0.0.127.list.example A 127.0.0.2")
	g := gate(t, policy.GateConfig{Resolver: r, PTR: policy.Test{Mode: scored}, DNSBL: policy.Test{Mode: scored}, Lists: lists(t, r, dnslist.Zone{Name: "list.example", Label: "ONE", Of: dnslist.Clients})})
	v := g.Visit(client)
	defer v.Close()
	for range 2 {
		v.Mail(t.Context(), "x", "")
		v.Rcpt(t.Context(), "u@example.com")
		f := v.Facts(t.Context())
		if len(f.Found) != 1 || f.Found[0].Symbol != "DNS_UNANSWERED" || f.Found[0].Detail != "ptr dnsbl" || len(f.Skipped) != 2 || !strings.Contains(f.Skipped[1], "list.example") {
			t.Errorf("facts %+v", f)
		}
	}
	count := map[string]int{}
	for _, q := range r.Asked() {
		count[q]++
	}
	if count["7.2.0.192.in-addr.arpa PTR"] != 2 || count["7.2.0.192.list.example A"] != 2 {
		t.Errorf("questions %v", count)
	}
}

// Tests that only score cost the client no wait; those that enforce wait for no
// longer than their time, side by side; and Facts not beyond its context.
func TestWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := lookuptest.Zone(t, "7.2.0.192.in-addr.arpa SILENT\nexample.org SILENT")
		cfg := policy.GateConfig{Resolver: r, CheckSPF: spfOf(r), PTR: policy.Test{Mode: scored}, SenderDomain: policy.Test{Mode: scored}, SPF: policy.Test{Mode: scored}, Timeout: 3 * time.Second}
		begin := time.Now()
		v := gate(t, cfg).Visit(client)
		v.Mail(t.Context(), "x", "a@example.org")
		v.Rcpt(t.Context(), "u@example.com")
		if took := time.Since(begin); took != 0 {
			t.Errorf("scoring took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got := v.SPF(ctx); got != (policy.SPF{Result: "temperror"}) {
			t.Errorf("SPF %+v", got)
		}
		f := v.Facts(ctx)
		if took := time.Since(begin); took != time.Second || f.IPRev != "temperror" || f.Found[0].Detail != "ptr sender_domain spf" {
			t.Errorf("after %v: %+v", took, f)
		}
		v.Close()

		cfg.PTR.Mode, cfg.SenderDomain.Mode, cfg.SPF.Mode = enforced, enforced, enforced
		g := gate(t, cfg)
		begin = time.Now()
		if g.Greet(t.Context(), client) != nil {
			t.Error("refused by silence")
		}
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("greeting took %v", took)
		}
		begin = time.Now()
		v = g.Visit(client)
		if v.Mail(t.Context(), "x", "a@example.org") != nil || v.Rcpt(t.Context(), "u@example.com") != nil {
			t.Error("refused by silence")
		}
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("MAIL took %v", took)
		}
		// Close ends what is under way: else synctest would tell of goroutines.
		v.Mail(t.Context(), "x", "")
		v.Close()
	})
}

// A bug in a test is no reason to refuse mail, nor to end the process.
func TestPanicInATest(t *testing.T) {
	for _, mode := range []policy.Mode{scored, enforced} {
		g := gate(t, policy.GateConfig{SPF: policy.Test{Mode: mode}, CheckSPF: func(context.Context, netip.Addr, string, string) (string, string, bool) { panic("a bug") }})
		reply, _, f := run(t.Context(), g, "a@example.org", "u@example.com")
		if reply != "" || len(f.Faults) != 1 || !strings.HasPrefix(f.Faults[0], "spf: panic: a bug\n") || symbols(f)[0] != "DNS_UNANSWERED" {
			t.Errorf("%s: %q, %+v", mode, reply, f)
		}
	}
}

// The null sender is judged by the name in HELO.
func TestNullSenderSPF(t *testing.T) {
	r := lookuptest.Zone(t, "client.example.net TXT fail")
	g := gate(t, policy.GateConfig{SPF: policy.Test{Mode: enforced}, CheckSPF: spfOf(r)})
	if reply, _, _ := run(t.Context(), g, "", "u@example.com"); reply != "550 5.7.23 192.0.2.7 does not pass SPF requirements for domain client.example.net" {
		t.Errorf("%q", reply)
	}
	for _, result := range []string{"pass", "softfail", "neutral", "none", "permerror", "temperror"} {
		r := lookuptest.Zone(t, "example.org TXT "+result)
		g := gate(t, policy.GateConfig{SPF: policy.Test{Mode: enforced}, CheckSPF: spfOf(r)})
		v := g.Visit(client)
		if r := v.Mail(t.Context(), "x", "a@example.org"); r != nil {
			t.Errorf("%s is refused", result)
		}
		v.Rcpt(t.Context(), "u@example.com")
		if got := v.SPF(t.Context()); got != (policy.SPF{Result: result, Domain: "example.org"}) {
			t.Errorf("%s: %+v", result, got)
		}
		v.Close()
	}
}

// DMARC needs the result of SPF also where the test does not count: it is asked,
// but refuses nobody and is no finding. Of a trusted client nobody asks.
func TestSPFForDMARC(t *testing.T) {
	r := lookuptest.Zone(t, "example.org TXT fail\nlate.example SILENT\nunsure.example TXT temperror")
	fail := policy.SPF{Result: "fail", Domain: "example.org"}
	exempt := fail
	exempt.Exempt = true
	for _, c := range []struct {
		name    string
		test    policy.Test
		trusted bool
		from    string
		to      []string
		want    policy.SPF
		reply   string
	}{
		{"scored", policy.Test{Mode: scored}, false, "a@example.org", []string{"u@example.com"}, fail, ""},
		{"enforced", policy.Test{Mode: enforced}, false, "a@example.org", []string{"u@example.com"}, fail, "550"},
		{"off", policy.Test{Mode: policy.Off}, false, "a@example.org", []string{"u@example.com"}, exempt, ""},
		{"sender exempt", policy.Test{Mode: enforced, Senders: list(t, "example.org")}, false, "a@example.org", []string{"u@example.com"}, exempt, ""},
		{"client exempt", policy.Test{Mode: enforced, Clients: []netip.Prefix{netip.PrefixFrom(client, 32)}}, false, "a@example.org", []string{"u@example.com"}, exempt, ""},
		{"recipient exempt", policy.Test{Mode: enforced, Recipients: list(t, "u@example.com")}, false, "a@example.org", []string{"u@example.com"}, exempt, ""},
		{"one recipient of two exempt", policy.Test{Mode: scored, Recipients: list(t, "u@example.com")}, false, "a@example.org", []string{"u@example.com", "v@example.com"}, fail, ""},
		{"off, not known in time", policy.Test{}, false, "a@late.example", []string{"u@example.com"}, policy.SPF{Result: "temperror", Exempt: true}, ""},
		{"off, DNS trouble", policy.Test{}, false, "a@unsure.example", []string{"u@example.com"}, policy.SPF{Result: "temperror", Domain: "unsure.example", Exempt: true}, ""},
		{"trusted", policy.Test{Mode: enforced}, true, "a@example.org", []string{"u@example.com"}, policy.SPF{}, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			cfg := policy.GateConfig{SPF: c.test, CheckSPF: spfOf(r)}
			if c.trusted {
				cfg.Trusted = []netip.Prefix{netip.PrefixFrom(client, 32)}
			}
			v := gate(t, cfg).Visit(client)
			reply := ""
			if refusal := v.Mail(t.Context(), "x", c.from); refusal != nil {
				reply = "550"
			}
			for _, to := range c.to {
				if reply == "" && v.Rcpt(t.Context(), to) != nil {
					reply = "550"
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if got := v.SPF(ctx); got != c.want || reply != c.reply {
				t.Errorf("%s: %+v %q, want %+v %q", c.name, got, reply, c.want, c.reply)
			}
			if f := v.Facts(ctx); c.want.Exempt && (len(f.Found) > 0 || len(f.Skipped) > 0) {
				t.Errorf("%s: found %+v, skipped %q", c.name, f.Found, f.Skipped)
			}
			v.Close()
		})
	}
}

// Who writes in the name of an approved sender, as that sender's domain says, is
// not approved; where approvals need no proof, or SPF does not count, he is.
func TestForgedApprovedSenderIsGreylisted(t *testing.T) {
	for _, c := range []struct {
		name, spf string
		test      policy.Test
		classic   bool
		waits     bool
	}{
		{"proved", "pass", policy.Test{Mode: scored}, false, false},
		{"forged", "fail", policy.Test{Mode: scored}, false, true},
		{"perhaps forged", "softfail", policy.Test{Mode: scored}, false, false},
		{"nobody can tell", "temperror", policy.Test{Mode: scored}, false, false},
		{"no SPF", "none", policy.Test{Mode: scored}, false, false},
		{"forged, classic", "fail", policy.Test{Mode: scored}, true, false},
		{"forged, exempt", "fail", policy.Test{Mode: scored, Senders: list(t, "example.org")}, false, false},
	} {
		p, err := policy.New(policy.Config{Settings: policy.Settings{Approved: list(t, "friend@example.org")}, ApproveForgeable: c.classic})
		if err != nil {
			t.Fatal(err)
		}
		r := lookuptest.Zone(t, "example.org TXT "+c.spf)
		g := gate(t, policy.GateConfig{SPF: c.test, CheckSPF: spfOf(r), Greylist: policy.Test{Mode: enforced}, Grey: &greylister{wait: time.Minute}, Approved: p.Approves})
		reply, _, _ := run(t.Context(), g, "friend@example.org", "u@example.com")
		if waits := strings.HasPrefix(reply, "451"); waits != c.waits {
			t.Errorf("%s: %q", c.name, reply)
		}
	}
}

func TestNewGateRefusesBadConfigurations(t *testing.T) {
	on := policy.Test{Mode: scored}
	for name, cfg := range map[string]policy.GateConfig{
		"no resolver":   {PTR: on},
		"no resolver 2": {SenderDomain: on},
		"no SPF":        {SPF: on},
		"no greylist":   {Greylist: on},
		"no lists":      {DNSBL: on},
		"bad mode":      {PTR: policy.Test{Mode: "enforced"}, Resolver: lookuptest.Zone(t, "")},
		"negative time": {Timeout: -1},
	} {
		if _, err := policy.NewGate(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for text, want := range map[string]policy.Mode{"off": policy.Off, " Score ": scored, "ENFORCE": enforced} {
		if m, err := policy.ParseMode(text); err != nil || m != want {
			t.Errorf("%q: %q, %v", text, m, err)
		}
	}
	if m, err := policy.ParseMode("on"); err == nil || m != policy.Off {
		t.Errorf("%q, %v", m, err)
	}
}

// Nobody is asked in vain: not lists about a client that is exempt from them, nor
// any more about a sender whose transaction is over.
func TestNoQuestionsInVain(t *testing.T) {
	r := lookuptest.Zone(t, "2.0.0.127.list.example A 127.0.0.2\nsilent.example SILENT")
	set := lists(t, r, dnslist.Zone{Name: "list.example", Label: "ONE", Of: dnslist.Clients})
	before := len(r.Asked())
	exempt := policy.Test{Mode: enforced, Clients: []netip.Prefix{netip.PrefixFrom(client, 32)}}
	synctest.Test(t, func(t *testing.T) {
		run(t.Context(), gate(t, policy.GateConfig{DNSBL: exempt, Lists: set, PTR: exempt, SenderDomain: exempt, Resolver: r}), "a@example.org", "u@example.com")
		synctest.Wait()
	})
	if asked := r.Asked()[before:]; len(asked) > 0 {
		t.Errorf("asked %q", asked)
	}
	synctest.Test(t, func(t *testing.T) {
		var open atomic.Int32
		cfg := policy.GateConfig{SPF: policy.Test{Mode: scored}, CheckSPF: func(ctx context.Context, _ netip.Addr, _, from string) (string, string, bool) {
			open.Add(1)
			<-ctx.Done()
			open.Add(-1)
			return "temperror", "", false
		}}
		v := gate(t, cfg).Visit(client)
		begin := time.Now()
		for range 5 {
			v.Mail(t.Context(), "x", "a@silent.example")
			synctest.Wait()
			if n := open.Load(); n != 1 {
				t.Errorf("%d questions are open", n)
			}
		}
		v.Close()
		synctest.Wait()
		if n := open.Load(); n != 0 || time.Since(begin) != 0 {
			t.Errorf("%d questions are open after the session", n)
		}
	})
}

// BenchmarkVisit is a session with one message through all five tests, with a DNS
// that takes no time.
func BenchmarkVisit(b *testing.B) {
	r := lookuptest.Zone(b, keptZone+"\nexample.org TXT pass")
	on := policy.Test{Mode: scored}
	set, err := dnslist.New(dnslist.Config{Resolver: r, Zones: []dnslist.Zone{{Name: "bad.example", Label: "BAD", Of: dnslist.Clients}}})
	if err != nil {
		b.Fatal(err)
	}
	g, err := policy.NewGate(policy.GateConfig{Resolver: r, PTR: on, SenderDomain: on, SPF: on, CheckSPF: spfOf(r), DNSBL: on, Lists: set, Greylist: on, Grey: newcomer{}})
	if err != nil {
		b.Fatal(err)
	}
	kept := netip.MustParseAddr("192.0.2.1")
	for b.Loop() {
		v := g.Visit(kept)
		v.Mail(b.Context(), "mail.example.org", "a@example.org")
		v.Rcpt(b.Context(), "u@example.com")
		if f := v.Facts(b.Context()); len(f.Found) != 0 || f.PTR != "mail.example.org" {
			b.Fatalf("facts %+v", f)
		}
		v.Close()
	}
}

// The narrowest scope that chooses a mode decides, and so it is with approvals.
func TestModesAndApprovalsByScope(t *testing.T) {
	p, err := policy.New(policy.Config{
		Settings: policy.Settings{Greylist: scored, Approved: list(t, "friend@example.org", "known.example")},
		Domains: map[string]policy.Settings{
			"example.com":  {Greylist: enforced, DNSBL: policy.Off},
			".example.net": {DNSBL: scored, Blocked: list(t, "friend@example.org")},
		},
		Recipients: map[string]policy.Settings{"u@example.com": {Greylist: policy.Off}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for to, want := range map[string][2]policy.Mode{
		"U@Example.com":     {policy.Off, policy.Off},
		"v@example.com":     {enforced, policy.Off},
		"v@sub.example.net": {scored, scored},
		"v@example.org":     {scored, ""},
		"nonsense":          {scored, ""},
	} {
		if grey, lists := p.Modes(to); grey != want[0] || lists != want[1] {
			t.Errorf("%s: %q, %q, want %q", to, grey, lists, want)
		}
	}
	for pair, want := range map[[2]string]bool{
		{"Friend@example.org", "u@example.com"}: true,
		{"other@example.org", "u@example.com"}:  false,
		{"a@known.example", "u@example.com"}:    true,
		{"friend@example.org", "u@example.net"}: false,
		{"", "u@example.com"}:                   false,
	} {
		if got := p.Approves(pair[0], pair[1], false); got != want {
			t.Errorf("%q: %v", pair, got)
		}
	}
	for name, cfg := range map[string]policy.Config{
		"global":    {Settings: policy.Settings{DNSBL: "yes"}},
		"domain":    {Domains: map[string]policy.Settings{"example.com": {Greylist: "yes"}}},
		"recipient": {Recipients: map[string]policy.Settings{"u@example.com": {Greylist: "yes"}}},
	} {
		if _, err := policy.New(cfg); err == nil {
			t.Errorf("%s: a mode that is none is taken", name)
		}
	}
}
