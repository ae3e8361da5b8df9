package main

import (
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"

	"spamcatcher/gateway/domain"
	"spamcatcher/gateway/relay"
)

// newDomains makes the table of the domains that c names, reading the lists of
// recipients. What is wrong in a list is a warning: its other lines count.
func newDomains(c *Config) (t *domain.Table, warnings []error, err error) {
	var configs []domain.Config
	for _, s := range c.ByDomain {
		d := domain.Config{
			Name: s.Name, Queue: s.Queue, Destinations: s.Destinations, TLS: s.TLS, Pins: s.Pins, Lifetime: s.Lifetime,
			Concurrency: s.Concurrency, ETRNFrom: s.ETRNFrom, Verify: s.Verify, Unverified: s.Unverified,
		}
		if s.Source != "" {
			if d.Source, err = netip.ParseAddr(s.Source); err != nil {
				return nil, warnings, fmt.Errorf("%s: source: %w", s.origins["source"], err)
			}
		}
		if s.Verify == domain.VerifyList {
			text, err := os.ReadFile(s.Recipients)
			if err != nil {
				return nil, warnings, fmt.Errorf("%s: recipients: %w", s.origins["recipients"], err)
			}
			var wrong []error
			d.Recipients, wrong = domain.ParseRecipients(s.Recipients, text)
			warnings = append(warnings, wrong...)
		}
		configs = append(configs, d)
	}
	if t, err = domain.New(configs); err != nil {
		return nil, warnings, fmt.Errorf("%s: %w", c.File, err)
	}
	return t, warnings, nil
}

// ours are the domains that mail is accepted for; none means all. A [[domain]]
// table names a domain of ours as soon as one of them has destinations: then
// this is a relay for customers, and no longer a proxy for whatever comes.
func (c *Config) ours() []string {
	names := c.Domains
	customers := false
	for _, s := range c.ByDomain {
		names = append(names[:len(names):len(names)], s.Name)
		customers = customers || len(s.Destinations) > 0
	}
	if len(c.Domains) == 0 && !customers {
		return nil
	}
	return names
}

// route says where mail for a recipient goes, as it is configured now. Mail for
// our own postmaster, where nobody's domain is that of our name, goes into the
// Maildir: any server would send it back here.
func (f *inForce) route(recipient string) relay.Route {
	d, ok := f.domains.Find(recipient)
	switch {
	case ok && d.Own():
		return f.config.routeOf(d)
	case f.policy.IsPostmaster(recipient) && !f.policy.Serves(recipient):
		return relay.Route{}
	}
	return f.config.globalRoute()
}

// globalRoute is where mail goes that is for no customer.
func (c *Config) globalRoute() relay.Route {
	source, _ := netip.ParseAddr(c.Source) // checked when it was set; none: the kernel's choice
	return relay.Route{Servers: c.Outgoing, TLS: relay.TLSMode(c.RelayTLS), Source: source}
}

// routeOf is where mail for a domain with destinations goes.
func (c *Config) routeOf(d domain.Domain) relay.Route {
	r := c.globalRoute()
	r.Name, r.Servers, r.Pins = d.Queue, d.Destinations, d.Pins
	if d.TLS != "" {
		r.TLS = relay.TLSMode(d.TLS)
	}
	if d.Source.IsValid() {
		r.Source = d.Source
	}
	return r
}

// width is how many deliveries there may be to one destination; 0 is the
// queue's default.
func (f *inForce) width(lane string) int {
	if d, ok := f.domains.Queue(lane); ok && d.Concurrency > 0 {
		return d.Concurrency
	}
	return f.config.Concurrency
}

// vanished are the domains with destinations that next no longer has: mail that
// still waits for them goes where everybody else's does.
func (f *inForce) vanished(next *inForce) []string {
	var names []string
	for _, d := range f.domains.All() {
		if again, ok := next.domains.Find(strings.TrimPrefix(d.Name, ".")); d.Own() && (!ok || !again.Own()) {
			names = append(names, d.Name)
		}
	}
	return names
}

// moved are the lanes whose mail goes elsewhere, or otherwise, with next.
func (f *inForce) moved(next *inForce) []string {
	var lanes []string
	if !reflect.DeepEqual(f.config.globalRoute(), next.config.globalRoute()) {
		lanes = append(lanes, "")
	}
	for _, d := range next.domains.All() {
		if before, ok := f.domains.Queue(d.Queue); d.Own() && ok && !slices.Contains(lanes, d.Queue) &&
			!reflect.DeepEqual(f.config.routeOf(before), next.config.routeOf(d)) {
			lanes = append(lanes, d.Queue)
		}
	}
	return lanes
}
