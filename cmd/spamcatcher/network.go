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

	"spamcatcher/gateway/lookup"
	"spamcatcher/gateway/policy"
	"spamcatcher/gateway/policy/greylist"
)

// resolvConf names the resolvers of the system. The linker may set it where
// that is another file.
var resolvConf = "/etc/resolv.conf"

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
