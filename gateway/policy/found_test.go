package policy_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"spamcatcher/engine"
	"spamcatcher/engine/enginetest"
	"spamcatcher/gateway/dnslist"
	"spamcatcher/gateway/lookup/lookuptest"
	"spamcatcher/gateway/policy"
)

const keptZone = `
	1.2.0.192.in-addr.arpa PTR mail.example.org
	mail.example.org A 192.0.2.1
	2.2.0.192.in-addr.arpa PTR [192.0.2.2]
	3.2.0.192.in-addr.arpa SERVFAIL
	4.2.0.192.in-addr.arpa PTR mail.example.org
	5.2.0.192.in-addr.arpa PTR mail.example.org
	5.2.0.192.in-addr.arpa PTR five.example.org
	five.example.org A 192.0.2.5
	6.2.0.192.in-addr.arpa PTR six.example.org
	six.example.org A 192.0.2.6
	7.2.0.192.in-addr.arpa PTR seven.example.org
	seven.example.org A 192.0.2.7
	8.2.0.192.in-addr.arpa PTR eight.example.org
	eight.example.org A 192.0.2.8
	1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR v6.example.org
	v6.example.org AAAA 2001:db8::1
	example.org MX 10 mail.example.org
	sub.above.example A 192.0.2.1
	host.example A 192.0.2.1
	broken.example SERVFAIL
	null.example MX 0 .
	2.0.0.127.bad.example A 127.0.0.2
	6.2.0.192.bad.example A 127.0.0.2
	7.2.0.192.bad.example A 127.0.0.2
	7.2.0.192.bad.example A 127.0.0.3
	8.2.0.192.bad.example SERVFAIL
`

// newcomer makes those wait whose name begins with new.
type newcomer struct{}

func (newcomer) Check(_ netip.Addr, from, _ string) (time.Duration, error) {
	if strings.HasPrefix(from, "new@") {
		return time.Minute, nil
	}
	return 0, nil
}
func (newcomer) Delay() time.Duration { return time.Minute }

// Every symbol of the check has a case, and a near miss.
func TestCases(t *testing.T) {
	r := lookuptest.Zone(t, keptZone)
	set := lists(t, r, dnslist.Zone{Name: "bad.example", Label: "BAD", Of: dnslist.Clients, Codes: []dnslist.Code{{Match: "127.0.0.2", Points: 1}, {Match: "127.0.0.3", Meaning: "DIALUP", Points: 2}}})
	on := policy.Test{Mode: scored}
	g := gate(t, policy.GateConfig{Resolver: r, PTR: on, SenderDomain: on, DNSBL: on, Lists: set, Greylist: on, Grey: newcomer{}})
	check := policy.NewCheck(set)
	fired := map[string]bool{}
	enginetest.Run(t, "testdata/*.case", func(t *testing.T, m *engine.Mail) []string {
		v := g.Visit(m.Session.Client)
		defer v.Close()
		if v.Mail(t.Context(), m.Session.Hello, m.Envelope.From) != nil || v.Rcpt(t.Context(), m.Envelope.To[0]) != nil {
			t.Error("refused")
		}
		f := v.Facts(t.Context())
		m.Found = f.Found
		hits, err := check.Inspect(t.Context(), m)
		if err != nil || len(hits) != len(f.Found) {
			t.Errorf("%+v of %+v, %v", hits, f.Found, err)
		}
		var names []string
		for _, h := range hits {
			names = append(names, h.Symbol)
			fired[h.Symbol] = true
		}
		return names
	})
	for _, s := range check.Symbols() {
		if !fired[s.Name] {
			t.Errorf("no case fires %s", s.Name)
		}
	}
}

// A plan takes the check with its prices; and a hit that another plan's lists
// made is no fault.
func TestCheckInAPlan(t *testing.T) {
	set := lists(t, lookuptest.Zone(t, "2.0.0.127.bad.example A 127.0.0.2"), dnslist.Zone{Name: "bad.example", Label: "BAD", Of: dnslist.Clients, Points: 3})
	check := policy.NewCheck(set)
	plan, err := engine.NewPlan(engine.PlanConfig{First: []engine.Check{check}, Prices: check.Prices()})
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(plan, engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	m := enginetest.Mail(t, "Subject: x\n\nx", "found LIST_BAD 192.0.2.1", "found LIST_GONE 192.0.2.1", "found DNS_UNANSWERED spf")
	v := e.Judge(context.Background(), m)
	if len(v.Faults) != 0 || len(v.Symbols) != 2 || v.Symbols[0].Share != 3*engine.Point || v.Symbols[1].Share != 0 {
		t.Errorf("verdict %+v", v)
	}
	var names []string
	for _, s := range policy.NewCheck(nil).Symbols() {
		names = append(names, s.Name)
	}
	if slices.Contains(names, "LIST_BAD") || len(names) != 7 {
		t.Errorf("symbols %q", fmt.Sprint(names))
	}
}
