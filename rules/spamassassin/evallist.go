package spamassassin

import (
	"net/netip"
	"slices"
	"strings"
)

// fromAddresses are all addresses that name the sender.
func (m *mail) fromAddresses() []string {
	if resent := m.get("Resent-From:first:addr"); len(resent) > 0 {
		return resent
	}
	var out []string
	for _, request := range []string{"From:addr", "Envelope-Sender:addr", "Resent-Sender:addr", "X-Envelope-From:addr", "EnvelopeFrom:addr"} {
		for _, a := range m.get(request) {
			for strings.Contains(a, "..") {
				a = strings.ReplaceAll(a, "..", ".")
			}
			if a != "" {
				out = addOnce(out, a)
			}
		}
	}
	return out
}

// toAddresses are all addresses that name recipients.
func (m *mail) toAddresses() []string {
	if resent := append(slices.Clone(m.get("Resent-To:first:addr")), m.get("Resent-Cc:first:addr")...); len(resent) > 0 {
		return resent
	}
	var out []string
	for i, r := range m.named("received", false) {
		if i == 3 {
			break
		}
		if a, ok := between(r, " for ", ";"); ok {
			a = strings.Trim(a, "<>")
			if _, host, ok := strings.Cut(a, "@"); ok && !strings.ContainsAny(a, white) && validHost(hostASCII(host)) {
				out = addOnce(out, a)
			}
		}
	}
	for _, n := range []string{"To", "Apparently-To", "Delivered-To", "Envelope-Recipients", "Apparently-Resent-To", "X-Envelope-To", "Envelope-To", "X-Delivered-To", "X-Original-To", "X-Rcpt-To", "X-Real-To", "Cc"} {
		for _, a := range m.get(n + ":addr") {
			out = addOnce(out, a)
		}
	}
	if m.envelope.Known {
		for _, a := range m.envelope.To {
			out = addOnce(out, a)
		}
	}
	return out
}

// listed says whether one of the addresses is in a list of globs.
func (m *mail) listed(list string, addresses []string) bool {
	globs := m.set.addresses[list]
	if len(globs) == 0 {
		return false
	}
	for _, a := range addresses {
		a = strings.ToLower(a)
		for _, g := range globs {
			if globMatch(g, a) {
				return true
			}
		}
	}
	return false
}

func (m *mail) subjectListed(list string) bool {
	s := strings.ToLower(m.one("subject"))
	if s == "" {
		return false
	}
	return slices.ContainsFunc(m.set.addresses[list], func(g string) bool { return globMatch("*"+g+"*", s) })
}

// welcome is 1 when the sender is welcome, -1 when it claims to be and came by
// another way, else 0.
func (m *mail) welcome() int {
	from := m.fromAddresses()
	if m.listed("welcomelist_from", from) {
		return 1
	}
	return m.welcomeBy("welcomelist_from_rcvd", from)
}

func (m *mail) defaultWelcome() int {
	return m.welcomeBy("def_welcomelist_from_rcvd", m.fromAddresses())
}

func (m *mail) welcomeBy(list string, from []string) int {
	entries := m.set.received[list]
	hops := m.lastHops()
	if len(entries) == 0 || len(hops) == 0 {
		return 0
	}
	forged := 0
	for _, a := range from {
		a = strings.ToLower(a)
		claimed := false
		for _, e := range entries {
			if !globMatch(e.address, a) {
				continue
			}
			claimed = true
			if slices.ContainsFunc(hops, func(r *relay) bool { return r.cameBy(e.relay) }) {
				return 1
			}
		}
		if claimed && !m.listed("welcomelist_allows_relays", []string{a}) {
			forged = -1
		}
	}
	return forged
}

// cameBy says whether a hop is of a domain, or of a network in brackets.
func (r *relay) cameBy(where string) bool {
	inner, ok := strings.CutPrefix(where, "[")
	if !ok {
		name := strings.ToLower(r.rdns)
		return name == where || strings.HasSuffix(name, "."+where)
	}
	network := strings.Replace(inner, "]", "", 1)
	p, err := parseRange(network)
	a, err2 := netip.ParseAddr(r.ip)
	return err == nil && err2 == nil && p.Contains(a)
}

// bounceRelays: the text quotes a trace field that names one of our servers.
func bounceRelays(m *mail) bool {
	globs := m.set.addresses["welcomelist_bounce_relays"]
	if len(globs) == 0 {
		return false
	}
	ours := func(line string) bool {
		for _, w := range strings.Fields(line) {
			if i := strings.IndexByte(w, '.'); i > 0 && i < len(w)-1 {
				w = strings.ToLower(w)
				if slices.ContainsFunc(globs, func(g string) bool { return globMatch(g, w) }) {
					return true
				}
			}
		}
		return false
	}
	trace := func(line string) bool {
		l := strings.TrimLeft(line, "> ")
		return len(l) >= 9 && strings.EqualFold(l[:9], "received:")
	}
	for _, line := range m.body() {
		if trace(line) && ours(line) {
			return true
		}
	}
	inside := false
	for _, line := range splitLines(m.bodyText) {
		if trace(line) {
			inside = true
		} else if line[0] != ' ' && line[0] != '\t' {
			inside = false
		}
		if inside && ours(line) {
			return true
		}
	}
	return false
}
