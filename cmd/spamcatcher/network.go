package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"spamcatcher/gateway/auth"
	"spamcatcher/gateway/dnslist"
	"spamcatcher/gateway/lookup"
	"spamcatcher/gateway/policy"
	"spamcatcher/gateway/policy/greylist"
	"spamcatcher/gateway/uribl"
	"spamcatcher/signatures/fingerprint"
)

// resolvConf names the resolvers of the system. The linker may set it where
// that is another file.
var resolvConf = "/etc/resolv.conf"

// A testChoice is what is configured for one test of connection and envelope.
type testChoice struct {
	Mode   string
	Exempt []string // "client NETWORK", "sender DOMAIN", "recipient DOMAIN"
}

// testModes checks what a test does.
var testModes = oneOf("off", "score", "enforce")

// testSettings are the tests of connection and envelope, in their order.
var testSettings = func() []setting[Config] {
	var all []setting[Config]
	for _, t := range []struct {
		key, doc, mode string
		field          func(*Config) *testChoice
	}{
		{"ptr", "clients whose address has no name (PTR)", "score", func(c *Config) *testChoice { return &c.PTR }},
		{"sender_domain", "senders whose domain does not exist", "score", func(c *Config) *testChoice { return &c.SenderDomain }},
		{"spf", "clients that the sender's domain does not allow (SPF)", "score", func(c *Config) *testChoice { return &c.SPF }},
		{"greylist", "pairs of sender and recipient that are new", "off", func(c *Config) *testChoice { return &c.Greylist }},
		{"dnsbl", "clients that a list names", "score", func(c *Config) *testChoice { return &c.DNSBL }},
	} {
		mode := t.mode
		all = append(all,
			text("policy."+t.key, t.doc+": enforce (refused), score (a symbol) or off", func() string { return mode }, func(c *Config) *string { return &t.field(c).Mode }, testModes),
			list("policy."+t.key+"_exempt", "who is exempt from that: \"client NETWORK\", \"sender DOMAIN\" (or .DOMAIN), \"recipient DOMAIN\"", nil, func(c *Config) *[]string { return &t.field(c).Exempt }, checkExemption),
		)
	}
	return all
}()

func checkExemption(s string) error {
	_, err := policyTest(testChoice{Mode: "off", Exempt: []string{s}})
	return err
}

// policyTest is the test that a choice asks for.
func policyTest(c testChoice) (policy.Test, error) {
	t := policy.Test{Mode: policy.Mode(c.Mode)}
	var senders, recipients []string
	for _, s := range c.Exempt {
		kind, who, _ := strings.Cut(s, " ")
		who = strings.TrimSpace(who)
		switch kind {
		case "client":
			network, err := parseNetwork(who)
			if err != nil {
				return t, err
			}
			t.Clients = append(t.Clients, network)
			continue
		case "sender":
			senders = append(senders, who)
		case "recipient":
			recipients = append(recipients, who)
		default:
			return t, fmt.Errorf("%q does not begin with client, sender or recipient", s)
		}
		if err := checkDomain(who); err != nil {
			return t, err
		}
	}
	for _, l := range []struct {
		into  **policy.List
		names []string
	}{{&t.Senders, senders}, {&t.Recipients, recipients}} {
		if len(l.names) == 0 {
			continue
		}
		list, errs := policy.ParseList("exempt", []byte(strings.Join(l.names, "\n")))
		if len(errs) > 0 {
			return t, errs[0]
		}
		*l.into = list
	}
	return t, nil
}

// parseNetwork reads a network or a single address.
func parseNetwork(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is no address and no network", s)
	}
	return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
}

func checkNetwork(s string) error {
	_, err := parseNetwork(s)
	return err
}

// checkResolver: an address with or without a port.
func checkResolver(s string) error {
	if _, err := netip.ParseAddr(s); err == nil {
		return nil
	}
	host, port, err := net.SplitHostPort(s)
	if err == nil {
		_, err = netip.ParseAddr(host)
	}
	if err == nil {
		err = checkPort(port, 1)
	}
	if err != nil {
		return fmt.Errorf("%q is no address of a resolver (such as 127.0.0.1 or [2001:db8::1]:53)", s)
	}
	return nil
}

// A network is what asks DNS, and the memory of greylisting. It outlives
// reloads.
type network struct {
	dns   *lookup.Client
	log   *slog.Logger
	clock func() time.Time

	greyConfig greylist.Config
	grey       atomic.Pointer[greylist.Store] // nil while it is off everywhere

	mu             sync.Mutex
	stop, endSweep context.CancelFunc // nil: nothing runs
	running        sync.WaitGroup
}

// newNetwork opens nothing on disk.
func newNetwork(c *Config, log *slog.Logger, clock func() time.Time) (*network, error) {
	names, err := c.zoneNames()
	if err != nil {
		return nil, usageError{err}
	}
	n := &network{log: log, clock: clock, greyConfig: greylist.Config{
		Dir: c.greylistDir(), Delay: c.GreylistDelay, Window: c.GreylistWindow, Key: c.GreylistKey, Log: log, Now: clock,
	}}
	n.dns, err = lookup.New(lookup.Config{Servers: c.DNSServers, ResolvConf: resolvConf, Timeout: c.DNSTimeout, Zones: names, Now: clock, Log: log})
	if err != nil {
		return nil, usageError{fmt.Errorf("%s: dns.servers: %w", c.origins["dns.servers"], err)}
	}
	return n, nil
}

// Check asks the store, if greylisting is on somewhere.
func (n *network) Check(client netip.Addr, from, to string) (time.Duration, error) {
	s := n.grey.Load()
	if s == nil {
		return 0, errors.New("greylist is not open")
	}
	return s.Check(client, from, to)
}

// Delay is how long a sender nobody knows has to wait.
func (n *network) Delay() time.Duration { return n.greyConfig.Delay }

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
		return nil, err
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

// follow does what a new configuration needs beside the mail: its lists test
// themselves until the next configuration comes, and the store of greylisting
// is opened when it is first wanted.
func (n *network) follow(ctx context.Context, f *inForce) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stop != nil {
		n.stop()
	}
	ctx, n.stop = context.WithCancel(ctx)
	names, err := f.config.zoneNames()
	if err == nil {
		err = n.dns.SetZones(names)
	}
	if err != nil { // prepare has seen them all
		n.log.Error("lists are asked like other names", "error", err)
	}
	if f.asks {
		n.running.Go(func() { f.lists.Run(ctx) })
		n.running.Go(func() { n.report(ctx) })
	}
	if n.grey.Load() != nil || !f.config.greylists() {
		return
	}
	store, err := greylist.Open(n.greyConfig)
	if err != nil {
		n.log.Error("greylisting is off until the next reload: mail that it would put off passes", "error", err)
		return
	}
	n.grey.Store(store)
	var sweeping context.Context
	sweeping, n.endSweep = context.WithCancel(context.Background())
	n.running.Go(func() { store.Run(sweeping) })
}

// reportEvery is how often trouble with DNS is told of, if there is any.
const reportEvery = 5 * time.Minute

// report writes a line when DNS is in trouble, or somebody forges its replies.
func (n *network) report(ctx context.Context) {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	last := n.dns.Stats()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := n.dns.Stats()
		var down, zones []string
		for _, s := range n.dns.Servers() {
			if !s.Down.IsZero() {
				down = append(down, s.Address)
			}
		}
		for i, z := range n.dns.Troubled() {
			if i == 20 {
				zones = append(zones, "...")
				break
			}
			zones = append(zones, z.Name)
		}
		if busy, forged := now.Busy-last.Busy, now.Forged-last.Forged; busy > 0 || forged > 0 || len(down) > 0 || len(zones) > 0 {
			n.log.Warn("DNS is in trouble", "resolvers_down", strings.Join(down, " "), "zones", printable(strings.Join(zones, " ")),
				"not_asked", busy, "forged_replies", forged, "questions", now.Misses-last.Misses, "from_cache", now.Hits-last.Hits)
		}
		last = now
	}
}

// close ends all that follow began.
func (n *network) close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, end := range []context.CancelFunc{n.stop, n.endSweep} {
		if end != nil {
			end()
		}
	}
	n.running.Wait()
	err := n.dns.Close()
	if s := n.grey.Swap(nil); s != nil {
		err = errors.Join(err, s.Close())
	}
	return err
}

// greylists says whether greylisting is on for anybody.
func (c *Config) greylists() bool {
	on := func(s Scope) bool { return s.Settings.Greylist != "" && s.Settings.Greylist != policy.Off }
	return c.Greylist.Mode != "off" || slices.ContainsFunc(c.ByDomain, on) || slices.ContainsFunc(c.ByAddress, on)
}
