package spamassassin

import (
	"fmt"
	"strings"
)

// relay is one hop of a message, as the server that received it tells.
type relay struct {
	ip, by, helo, rdns, id, ident, envfrom, auth string
	hasEnvfrom                                   bool
	private, noReverse, internal, msa            bool
}

func (r *relay) text() string {
	return fmt.Sprintf("[ ip=%s rdns=%s helo=%s by=%s ident=%s envfrom=%s intl=%d id=%s auth=%s msa=%d ]",
		r.ip, r.rdns, r.helo, r.by, r.ident, r.envfrom, int(truth(r.internal)), r.id, r.auth, int(truth(r.msa)))
}

// relayList is the way of a message, the last hop first.
type relayList struct {
	trusted, untrusted, internal, external                 []*relay
	trustedText, untrustedText, internalText, externalText string
	lastTrusted, lastInternal                              int
	unparseable                                            int
}

// maxRelays bounds how many trace fields are looked at.
const maxRelays = 200

// relay reads the trace fields, once. Without configured networks the hops from
// private addresses and authenticated senders count as trusted, down to the
// first that is neither.
func (m *mail) relay() *relayList {
	if m.relays != nil {
		return m.relays
	}
	l := &relayList{lastTrusted: -1, lastInternal: -1}
	m.relays = l
	lines := m.named("received", false)
	if len(lines) > maxRelays {
		lines = lines[:maxRelays]
	}
	for _, h := range m.set.originating {
		if v := m.named(strings.ToLower(h), false); len(v) > 0 {
			if a := findAddress(v[len(v)-1]); a != "" {
				lines = append(lines, "from X-Originating-IP: "+a+"\n")
			}
		}
	}
	s := &m.set.settings
	trust, own := &s.trusted, &s.internal
	if !own.configured() {
		own = trust
	} else if !trust.configured() {
		trust = own
	}
	inTrusted, inInternal, submitted := true, true, false
	fetched := true // fetching of mail from a mailbox is believed
	carried, hasCarried := "", false
	for _, line := range lines {
		env, hasEnv := carried, hasCarried
		hasCarried = false
		r, result := parseReceived(line)
		switch result {
		case relayUnknown:
			l.unparseable++
		case relayFetched:
			if fetched {
				l.trusted, l.internal, l.external = nil, nil, nil
			}
		case relayScanner:
			carried, hasCarried = r.envfrom, true
		}
		if result != relayKnown {
			if inTrusted {
				l.lastTrusted++
			}
			if inInternal {
				l.lastInternal++
			}
			continue
		}
		if hasEnv {
			r.envfrom, r.hasEnvfrom = env, true
		}
		if inTrusted && !submitted {
			if !trust.configured() {
				if !r.private && r.auth == "" {
					inTrusted, inInternal = false, false
				}
			} else if r.auth == "" && !trust.contains(r.ip) {
				inTrusted, inInternal = false, false
			} else {
				if inInternal && r.auth == "" && !own.contains(r.ip) {
					inInternal = false
				}
				if s.msa.configured() && s.msa.contains(r.ip) {
					submitted, r.msa = true, true
				}
			}
		}
		r.internal = inInternal
		if inTrusted {
			l.trusted = append(l.trusted, r)
			l.lastTrusted++
			fetched = true
		} else {
			l.untrusted = append(l.untrusted, r)
			fetched = false
		}
		if inInternal {
			l.internal = append(l.internal, r)
			l.lastInternal++
		} else {
			l.external = append(l.external, r)
		}
	}
	l.trustedText, l.untrustedText = relayText(l.trusted), relayText(l.untrusted)
	l.internalText, l.externalText = relayText(l.internal), relayText(l.external)
	return l
}

func relayText(list []*relay) string {
	texts := make([]string, len(list))
	for i, r := range list {
		texts[i] = r.text()
	}
	return strings.Join(texts, " ")
}

type envelopeSender struct {
	address string
	known   bool
}

// envelopeFrom is who the envelope names as sender: as the session told, else
// as a trace field or one of several other fields says.
func (m *mail) envelopeFrom() envelopeSender {
	if m.sender == nil {
		s := m.findSender()
		m.sender = &s
	}
	return *m.sender
}

func (m *mail) findSender() envelopeSender {
	if m.envelope.Known {
		return envelopeSender{m.envelope.From, true}
	}
	if h := m.set.envelopeHeader; h != "" {
		if a, ok := m.first(h + ":first:addr"); ok && strings.IndexByte(a, '@') > 0 {
			return envelopeSender{a, true}
		}
		return envelopeSender{}
	}
	l := m.relay()
	var hop *relay
	if len(l.untrusted) > 0 {
		hop = l.untrusted[0]
	} else if n := len(l.trusted); n > 0 {
		hop = l.trusted[n-1]
	}
	if hop != nil && hop.hasEnvfrom && (hop.envfrom == "" || strings.IndexByte(hop.envfrom, '@') > 0) {
		return envelopeSender{hop.envfrom, true}
	}
	if a, ok := m.first("X-Sender:first:addr"); ok && strings.Contains(a, "@") && strings.Contains(strings.Join(m.named("received", false), ""), "(fetchmail") {
		return envelopeSender{}
	}
	for _, name := range []string{"X-Envelope-From", "Envelope-Sender", "Return-Path"} {
		a, ok := m.first(name + ":first:addr")
		if !ok {
			continue
		}
		if m.behindReceived(strings.ToLower(name)) {
			if name == "X-Envelope-From" {
				return envelopeSender{}
			}
			continue
		}
		return envelopeSender{a, true}
	}
	return envelopeSender{}
}

// behindReceived says whether a field stands below a trace field.
func (m *mail) behindReceived(key string) bool {
	seen := false
	for i := range m.fields {
		switch m.fields[i].key {
		case "received":
			seen = true
		case key:
			if seen {
				return true
			}
		}
	}
	return false
}
