package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"spamcatcher/gateway/auth"
	"spamcatcher/gateway/dnslist"
	"spamcatcher/gateway/lookup"
	"spamcatcher/gateway/policy"
	"spamcatcher/gateway/uribl"
	"spamcatcher/signatures/fingerprint"
)

// A gatekeeper is what one configuration makes of the network.
type gatekeeper struct {
	asks  bool // DNS; else all is there, but only the gate's greylist is used
	lists *dnslist.Set
	auth  *auth.Verifier
	gate  *policy.Gate       // nil: no mail comes
	links *uribl.Check       // nil: there are no lists
	print *fingerprint.Check // nil: there is no network of fingerprints
}

// newGatekeeper builds what c asks for, touching nothing. n is nil where no mail
// comes: then nothing is asked.
func newGatekeeper(c *Config, n *network, p *policy.Policy, old *gatekeeper) (*gatekeeper, error) {
	k := &gatekeeper{asks: n != nil && c.NetCheck}
	zones, err := c.zones()
	if err != nil {
		return nil, usageError{err}
	}
	lists := dnslist.Config{Resolver: nobody{}, Zones: zones}
	if k.asks {
		lists.Resolver, lists.Fresh, lists.Now, lists.Log = n.dns, n.dns.Fresh(), n.clock, n.log
	}
	if old != nil {
		lists.Previous = old.lists
	}
	if k.lists, err = dnslist.New(lists); err != nil {
		return nil, usageError{fmt.Errorf("%s: [[list]]: %w", c.File, err)}
	}
	if k.links, err = uribl.New(uribl.Config{Set: k.lists, Resolver: lists.Resolver, MaxQueries: c.ListQueries, Local: c.local(p)}); err != nil {
		return nil, usageError{err}
	}
	if k.auth, err = auth.New(auth.Config{Resolver: lists.Resolver, TrustedSealers: c.TrustedSealers, Now: lists.Now}); err != nil {
		return nil, usageError{fmt.Errorf("%s: policy.arc_trusted: %w", c.origins["policy.arc_trusted"], err)}
	}
	if c.FingerprintZone != "" {
		if k.print, err = fingerprint.New(fingerprint.Config{Zone: c.FingerprintZone, Lookup: addressesFrom(lists.Resolver)}); err != nil {
			return nil, usageError{fmt.Errorf("%s: fingerprint.zone: %w", c.origins["fingerprint.zone"], err)}
		}
	}
	if n != nil {
		k.gate, err = k.newGate(c, n, p)
	}
	return k, err
}

// local says which domains are our own, and are not asked about; nil: none is
// known to be.
func (c *Config) local(p *policy.Policy) func(domain string) bool {
	if p == nil || len(c.ours()) == 0 {
		return nil
	}
	return func(domain string) bool { return p.Serves("postmaster@" + domain) }
}

// newGate makes the tests of connection and envelope.
func (k *gatekeeper) newGate(c *Config, n *network, p *policy.Policy) (*policy.Gate, error) {
	g := policy.GateConfig{
		TestLocal: c.TestLocal, Resolver: n.dns, Lists: k.lists, Grey: n, Timeout: c.DNSTimeout,
		Settings: p.Modes, Approved: p.Approves,
		CheckSPF: func(ctx context.Context, client netip.Addr, hello, from string) (string, string, bool) {
			r := k.auth.SPF(ctx, client, hello, from)
			return r.Result, r.Domain, r.Hello
		},
	}
	for _, s := range c.Trusted {
		network, err := parseNetwork(s)
		if err != nil {
			return nil, usageError{err}
		}
		g.Trusted = append(g.Trusted, network)
	}
	for _, t := range []struct {
		into   *policy.Test
		choice testChoice
		asks   bool
	}{{&g.PTR, c.PTR, true}, {&g.SenderDomain, c.SenderDomain, true}, {&g.SPF, c.SPF, true}, {&g.Greylist, c.Greylist, false}, {&g.DNSBL, c.DNSBL, true}} {
		if t.asks && !k.asks {
			continue
		}
		test, err := policyTest(t.choice)
		if err != nil {
			return nil, usageError{err}
		}
		*t.into = test
	}
	for _, s := range c.ByDomain { // a customer's server that only asks for its mail
		for _, who := range s.ETRNFrom {
			if network, err := parseNetwork(who); err == nil {
				g.PTR.Clients = append(g.PTR.Clients, network)
			}
		}
	}
	if !k.asks {
		g.Lists, g.CheckSPF = nil, nil
	}
	gate, err := policy.NewGate(g)
	if err != nil {
		return nil, usageError{err}
	}
	return gate, nil
}

// verifier is what verifies senders; nil when DNS is not asked.
func (k *gatekeeper) verifier() *auth.Verifier {
	if !k.asks {
		return nil
	}
	return k.auth
}

// nobody is a resolver that asks nobody.
type nobody struct{}

var errNotAsked = errors.New("DNS is not asked")

func (nobody) Query(context.Context, string, lookup.Kind) (lookup.Answer, error) {
	return lookup.Answer{}, errNotAsked
}

// addressesFrom is how the fingerprint network is asked: no addresses mean that
// it does not know.
func addressesFrom(r lookup.Resolver) func(context.Context, string) ([]netip.Addr, error) {
	return func(ctx context.Context, name string) ([]netip.Addr, error) {
		answer, err := r.Query(ctx, name, lookup.A)
		if lookup.Missing(err) {
			return nil, nil
		}
		var list []netip.Addr
		for _, r := range answer.Records {
			list = append(list, r.Addr)
		}
		return list, err
	}
}
