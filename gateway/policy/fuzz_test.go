package policy_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"spamcatcher/gateway/dnslist"
	"spamcatcher/gateway/lookup"
	"spamcatcher/gateway/policy"
)

// hostile is a DNS that says the same to everything.
type hostile struct{ text string }

func (h hostile) Query(_ context.Context, name string, kind lookup.Kind) (lookup.Answer, error) {
	if strings.HasSuffix(name, "2.0.0.127.list.example") || kind == lookup.A && strings.HasSuffix(name, ".list.example") && !strings.HasPrefix(name, "1.0.0.127") {
		return lookup.Answer{Records: []lookup.Record{{Addr: netip.MustParseAddr("127.0.0.2")}}}, nil
	}
	switch kind {
	case lookup.PTR, lookup.TXT:
		return lookup.Answer{Records: []lookup.Record{{Text: h.text}}}, nil
	}
	return lookup.Answer{}, lookup.ErrNoName
}

// FuzzGate: whatever a client and DNS say, a refusal is one short line of
// printable ASCII with a code of its class, and what is found is declared.
func FuzzGate(f *testing.F) {
	f.Add("mail.example.org", "a@example.org", "u@example.com", "x\r\n250 ok", uint8(31))
	f.Add("[192.0.2.1]", "", "postmaster", "", uint8(0))
	f.Add("x", "a@\xff\xfe", "@", strings.Repeat("\x00", 1000), uint8(2))
	f.Add("x", "a@"+strings.Repeat("ü.", 200), "u@[IPv6:::1]", ".", uint8(7))
	f.Fuzz(func(t *testing.T, hello, from, to, text string, modes uint8) {
		r := hostile{text}
		set, err := dnslist.New(dnslist.Config{Resolver: r, Zones: []dnslist.Zone{{Name: "list.example", Label: "ONE", Of: dnslist.Clients}}})
		if err != nil {
			t.Fatal(err)
		}
		set.Test(t.Context())
		of := func(bit int) policy.Test {
			if modes>>bit&1 == 1 {
				return policy.Test{Mode: enforced}
			}
			return policy.Test{Mode: scored}
		}
		g := gate(t, policy.GateConfig{
			PTR: of(0), SenderDomain: of(1), SPF: of(2), Greylist: of(3), DNSBL: of(4), Resolver: r, Lists: set, Grey: &greylister{wait: time.Second},
			CheckSPF: func(_ context.Context, _ netip.Addr, hello, from string) (string, string, bool) {
				return "fail", from[strings.LastIndexByte(from, '@')+1:] + hello + text, false
			},
		})
		check := func(refusal *policy.Refusal) bool {
			if refusal == nil {
				return false
			}
			s := refusal.Text
			if s == "" || len(s) > 480 || strings.Trim(s, printableASCII) != "" || !refusal.Close || refusal.Code/100 != refusal.Status[0] || refusal.Test == "" || refusal.Cause == "" {
				t.Fatalf("refusal %+q", refusal)
			}
			return true
		}
		if check(g.Greet(t.Context(), client)) {
			return
		}
		v := g.Visit(client)
		defer v.Close()
		if check(v.Mail(t.Context(), hello, from)) || check(v.Rcpt(t.Context(), to)) {
			return
		}
		facts := v.Facts(t.Context())
		if len(facts.Faults) > 0 {
			t.Fatalf("faults %q", facts.Faults)
		}
		declared := policy.NewCheck(set).Prices()
		names := symbols(facts)
		for _, name := range names {
			if _, ok := declared[name]; !ok {
				t.Fatalf("symbol %s is not declared", name)
			}
		}
		if len(slices.Compact(slices.Clone(names))) != len(names) {
			t.Fatalf("symbols %q", names)
		}
	})
}

var printableASCII = func() string {
	var b strings.Builder
	for c := ' '; c <= '~'; c++ {
		b.WriteRune(c)
	}
	return b.String()
}()
