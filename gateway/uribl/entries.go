package uribl

import (
	"cmp"
	"context"
	"hash/fnv"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
	"spamcatcher/gateway/dnslist"
)

// An entry is what zones are asked about.
type entry struct {
	name    string // a domain name in lower case with A-labels, or an address
	of      dnslist.Of
	address netip.Addr // what name is, if it is one
}

// Bounds of what is looked at in one mail.
const (
	maxAuthors = 2   // addresses in From
	maxHosts   = 100 // different hosts in links of one rank

	// maxOpening is how long attachments may take to be opened before their links
	// are given up.
	maxOpening = time.Second
)

// gather returns what zones can be asked about a mail, each name once: the
// domains of its sender, and what its links lead to, the most telling first, with
// the least telling of both at the end; and the hosts of its links, in the same
// order.
func (c *Check) gather(ctx context.Context, m *engine.Mail) (senders, links []entry, hosts []string) {
	// Who sends: a name or two, mostly, which stay when the links change.
	s := gatherer{Check: c, at: map[string]int{}}
	for i, from := range m.Message.Header().Addresses("From") {
		if i < maxAuthors {
			s.sender(from.Domain())
		}
	}
	s.sender(m.Envelope.From[strings.LastIndexByte(m.Envelope.From, '@')+1:])
	s.sender(m.Session.PTR)
	s.sender(m.Session.Hello)

	// Registered domains of all hosts come before whole hosts, and those before
	// the domains of whoever lets the names below it to others: the first say
	// more, and the questions may not suffice for all.
	l := gatherer{Check: c, at: map[string]int{}}
	var whole []string
	waiting, cancel := context.WithTimeout(ctx, maxOpening)
	defer cancel()
	all := slices.Concat(m.Message.Links(), m.Inside.Links(waiting))
	for _, t := range ranked(all, m.Session.Time, c.max/4) {
		host, ok := l.link(t.host)
		if !ok || t.mail || slices.Contains(hosts, host) {
			continue
		}
		hosts = append(hosts, host)
		if own := registered(host); host != own && host != "www."+own {
			whole = append(whole, host)
		}
	}
	for _, host := range whole {
		l.put(entry{name: host, of: dnslist.LinkHosts})
	}
	for _, e := range slices.Concat(l.above, s.above) {
		l.put(e)
	}
	return s.entries, l.entries, hosts
}

// A target is where links lead to.
type target struct {
	host string
	mail bool // a domain of addresses: another thing than a host
}

// ranked returns the targets of links, the most telling first, at most maxHosts
// of one rank: in the order of the message when there are few, else as the time
// draws them.
func ranked(links []message.Link, at time.Time, few int) []target {
	best := make(map[target]int, len(links))
	for i := range links {
		t := target{links[i].Host, links[i].Scheme == "mailto"}
		if r, ok := best[t]; t.host != "" && (!ok || rank(&links[i]) < r) {
			best[t] = rank(&links[i])
		}
	}
	var byRank [lastRank + 1][]target
	for i := range links {
		t := target{links[i].Host, links[i].Scheme == "mailto"}
		if r, ok := best[t]; ok && r == rank(&links[i]) {
			delete(best, t)
			byRank[r] = append(byRank[r], t)
		}
	}
	var list []target
	for _, some := range byRank {
		if len(some) > few {
			draw(some, at)
		}
		list = append(list, some[:min(len(some), maxHosts)]...)
	}
	return list
}

// draw brings different targets into an order that nobody knows who does not
// know when they will arrive, and that is the same for the same second.
func draw(targets []target, at time.Time) {
	lots := make(map[string]uint64, len(targets))
	second := strconv.AppendInt(nil, at.Unix(), 10)
	for _, t := range targets {
		lot := fnv.New64a()
		lot.Write(second)
		lot.Write([]byte(t.host))
		lots[t.host] = lot.Sum64()
	}
	slices.SortStableFunc(targets, func(a, b target) int { return cmp.Compare(lots[a.host], lots[b.host]) })
}

const lastRank = 3

// rank says how much a link matters, 0 the most. Pictures come from shared
// servers, mostly, and a header's links are seen by nobody.
func rank(l *message.Link) int {
	switch l.Source {
	case "attachment", "inside":
		return 1
	case "header":
		return 2
	case "image", "style":
		return lastRank
	}
	if l.Scheme == "mailto" {
		return 1
	}
	return 0
}

type gatherer struct {
	*Check
	entries []entry
	above   []entry        // domains of whoever lets names to others
	at      map[string]int // where an entry stands, by its name
}

// put adds an entry, or kinds to one that is there.
func (g *gatherer) put(e entry) {
	if i, ok := g.at[e.name]; ok {
		g.entries[i].of |= e.of
		return
	}
	g.at[e.name] = len(g.entries)
	g.entries = append(g.entries, e)
}

func (g *gatherer) sender(domain string) {
	host, ok := hostName(domain)
	if !ok {
		return
	}
	own, above := g.domains(host)
	if own != "" {
		g.put(entry{name: own, of: dnslist.Senders})
	}
	if above != "" {
		g.above = append(g.above, entry{name: above, of: dnslist.Senders})
	}
}

// link adds what a link leads to and returns its host; false when that is no
// name, or one that no list is asked about.
func (g *gatherer) link(host string) (string, bool) {
	if a, err := netip.ParseAddr(host); err == nil {
		if a = a.Unmap().WithZone(""); public(a) {
			g.put(entry{name: a.String(), of: dnslist.LinkLiterals | dnslist.LinkAddresses, address: a})
		}
		return "", false
	}
	host, ok := hostName(host)
	if !ok {
		return "", false
	}
	own, above := g.domains(host)
	if own == "" {
		return host, false
	}
	e := entry{name: own, of: dnslist.Links}
	if own == host {
		e.of |= dnslist.LinkHosts
	}
	g.put(e)
	if above != "" {
		g.above = append(g.above, entry{name: above, of: dnslist.Links})
	}
	return host, true
}

// domains returns the registered domain of a host; where that is below a
// suffix that its owner lets to others (host.example under a private suffix of
// the list), the suffix's own registered domain, too. Both are "" when the host
// is one that no list is asked about.
func (g *gatherer) domains(host string) (own, above string) {
	own = registered(host)
	if own == "" || g.local(host) || g.spared(own) {
		return "", ""
	}
	if above = organisation(host); above == own || g.spared(above) {
		above = ""
	}
	return own, above
}

// spared says whether no list is asked about a domain: ours, and well-known ones.
func (g *gatherer) spared(domain string) bool { return g.known[domain] || g.local(domain) }

// registered returns the registered domain of a host by the public suffix
// list, private suffixes included; a suffix is its own.
func registered(host string) string {
	if domain, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
		return domain
	}
	return organisation(host)
}

// organisation returns the domain that is registered below a suffix of the
// registries, "" for such a suffix itself.
func organisation(host string) string {
	for below := host; ; {
		suffix, icann := publicsuffix.PublicSuffix(below)
		if icann || !strings.Contains(suffix, ".") {
			rest, ok := strings.CutSuffix(host, "."+suffix)
			if !ok {
				return ""
			}
			return rest[strings.LastIndexByte(rest, '.')+1:] + "." + suffix
		}
		_, below, _ = strings.Cut(suffix, ".")
	}
}

// hostName returns a host's name as DNS has it; false for what is no name of
// the public DNS: addresses, single labels, names for local use.
func hostName(s string) (string, bool) {
	s = strings.ToLower(strings.TrimSuffix(s, "."))
	if !strings.Contains(s, ".") || len(s) > 1000 {
		return "", false
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 }) {
		ascii, err := idna.Lookup.ToASCII(s)
		if err != nil {
			return "", false
		}
		s = ascii
	}
	if _, err := netip.ParseAddr(s); err == nil || len(s) > 253 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
		return "", false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 { // RFC 1035 section 2.3.4
			return "", false
		}
	}
	top := s[strings.LastIndexByte(s, '.')+1:]
	switch top {
	case "local", "localhost", "localdomain", "internal", "intranet", "lan", "home", "corp", "private", "invalid", "onion", "arpa":
		return "", false
	}
	return s, '0' > top[0] || top[0] > '9'
}

// public says whether an address is one of the public network.
func public(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !a.IsPrivate()
}
