package auth

import (
	"net/netip"
	"slices"
	"strings"

	"spamcatcher/engine"
)

// maxResults bounds the results in one Authentication-Results field: those of
// DKIM leave room for the four other methods.
const maxResults = 12

// Results returns the words of an Authentication-Results field, between which
// it can be folded: the name of the host that says it, then each method's
// result with its properties, or "none". RFC 8601 section 2.2. Whatever the
// facts hold, the words are printable ASCII, and no value ends before its word.
func Results(host string, m *engine.Mail) []string {
	words := []string{host + ";"}
	results := 0
	add := func(method, result string, properties ...string) {
		if result == "" {
			return
		}
		results++
		one := method + "=" + keyword(result)
		for _, p := range properties {
			if p == "" {
				continue
			}
			if len(one)+1+len(p) > 70 {
				words = append(words, one)
				one = p
			} else {
				one += " " + p
			}
		}
		words = append(words, one+";")
	}
	a := m.Auth
	add("spf", a.SPF, spfIdentity(m))
	if len(a.Signatures) == 0 {
		add("dkim", a.DKIM)
	} else {
		for i, s := range a.Signatures {
			if i == maxResults-4 {
				break
			}
			add("dkim", s.Result, property("header.d", s.Domain), property("header.s", s.Selector))
		}
	}
	policy := ""
	if slices.Contains([]string{"none", "quarantine", "reject"}, a.Policy) {
		policy = "policy.dmarc=" + a.Policy
	}
	add("dmarc", a.DMARC, property("header.from", author(m)), policy)
	add("arc", a.ARC)
	add("iprev", a.IPRev, clientProperty(m.Session.Client))
	if results == 0 {
		return append(words, "none")
	}
	last := len(words) - 1
	words[last] = strings.TrimSuffix(words[last], ";")
	return words
}

// spfIdentity is what SPF was evaluated for. RFC 8601 section 2.7.2.
func spfIdentity(m *engine.Mail) string {
	from := m.Envelope.From
	at := strings.LastIndexByte(from, '@')
	switch {
	case m.Auth.SPFHello:
		return property("smtp.helo", m.Auth.SPFDomain)
	case m.Auth.SPFDomain != "":
		return property("smtp.mailfrom", m.Auth.SPFDomain)
	case at >= 0:
		return property("smtp.mailfrom", from[at+1:])
	}
	return property("smtp.helo", m.Session.Hello)
}

// author is the domain that DMARC was evaluated for, or would have been.
func author(m *engine.Mail) string {
	if m.Auth.From != "" || m.Message == nil {
		return m.Auth.From
	}
	if from := m.Message.Header().Addresses("From"); len(from) > 0 {
		return from[0].Domain()
	}
	return ""
}

// clientProperty is the address that iprev was evaluated for. RFC 8601 section
// 2.7.3. One of IPv6 must be quoted, because a colon is no part of a token.
func clientProperty(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	switch {
	case !a.IsValid():
		return ""
	case a.Is4():
		return "policy.iprev=" + a.String()
	}
	return `policy.iprev="` + a.String() + `"`
}

// property writes a property whose value is a name in DNS: what cannot stand
// in one is replaced. "" has no property.
func property(name, value string) string {
	if value == "" {
		return ""
	}
	return name + "=" + replaced(value, 255, func(c byte) bool {
		return isAlnum(c) || strings.IndexByte(".-_:[]", c) >= 0
	})
}

// keyword is a result word. RFC 8601 section 2.2: a Keyword.
func keyword(word string) string {
	return replaced(word, 20, func(c byte) bool { return 'a' <= c && c <= 'z' })
}

func isAlnum(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'
}

// replaced puts a question mark in the place of every character that is not
// good, in at most n bytes.
func replaced(s string, n int, good func(byte) bool) string {
	return strings.Map(func(r rune) rune {
		if r < 0x80 && good(byte(r)) {
			return r
		}
		return '?'
	}, s[:min(len(s), n)])
}
