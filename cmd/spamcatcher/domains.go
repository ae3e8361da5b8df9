package main

import (
	"cmp"
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
		mode := s.TLS
		if len(s.Pins) > 0 {
			mode = cmp.Or(mode, c.RelayTLS) // check saw that it is verify
		}
		d := domain.Config{
			Name: s.Name, Queue: s.Queue, Destinations: s.Destinations, TLS: mode, Pins: s.Pins, Lifetime: s.Lifetime,
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

// route says where mail for a recipient goes, as it is configured now:
//
//  1. To the destinations of its domain.
//  2. Where its domain is served without destinations, and where everybody's
//     is: to outgoing_smtp, or into the Maildir.
//  3. Mail for our own postmaster into the Maildir: any server would send it
//     back here.
//  4. What was taken while its domain was served waits. The domain may be gone
//     by a slip of the hand, and its mail must not go astray for that.
func (f *inForce) route(recipient string) relay.Route {
	d, ok := f.domains.Find(recipient)
	switch {
	case ok && d.Own():
		return f.config.routeOf(d)
	case f.policy.Serves(recipient):
		return f.config.globalRoute()
	case f.policy.IsPostmaster(recipient):
		return relay.Route{}
	}
	return relay.Route{Closed: "this domain is not served any more"}
}

// noticeRoute says where what we tell a sender goes: to outgoing_smtp, if the
// sender is nobody's customer. Without a server it waits, where everybody can
// see it, unless all mail goes into the Maildir.
func (f *inForce) noticeRoute(sender string) relay.Route {
	if d, ok := f.domains.Find(sender); ok && d.Own() {
		return f.config.routeOf(d)
	}
	if len(f.config.Outgoing) == 0 && len(f.config.ours()) > 0 {
		return relay.Route{Closed: "no server for notifications is configured (outgoing_smtp)"}
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

// vanished are the domains with destinations that next no longer has.
func (f *inForce) vanished(next *inForce) []string {
	var names []string
	for _, d := range f.domains.All() {
		if again, ok := exact(next.domains, d.Name); d.Own() && (!ok || !again.Own()) {
			names = append(names, d.Name)
		}
	}
	return names
}

// exact is the domain, or the tree, of just this name.
func exact(t *domain.Table, name string) (domain.Domain, bool) {
	bare, tree := strings.CutPrefix(name, ".")
	folded, ok := domain.Fold(bare)
	if !ok {
		return domain.Domain{}, false
	}
	if tree {
		folded = "." + folded
	}
	for _, d := range t.All() {
		if d.Name == folded {
			return d, true
		}
	}
	return domain.Domain{}, false
}

// moved are the lanes whose mail goes elsewhere, or otherwise, with next.
func (f *inForce) moved(next *inForce) []string {
	var lanes []string
	if !reflect.DeepEqual(f.config.globalRoute(), next.config.globalRoute()) {
		lanes = append(lanes, "")
	}
	for _, d := range next.domains.All() {
		before, ok := f.domains.Queue(d.Queue)
		if d.Own() && !slices.Contains(lanes, d.Queue) && !(ok && reflect.DeepEqual(f.config.routeOf(before), next.config.routeOf(d))) {
			lanes = append(lanes, d.Queue)
		}
	}
	return lanes
}

// lanes says which lane each domain has.
func (f *inForce) lanes() map[string]string {
	lanes := map[string]string{}
	for _, d := range f.domains.All() {
		if d.Own() {
			lanes[d.Name] = d.Queue
		}
	}
	return lanes
}
