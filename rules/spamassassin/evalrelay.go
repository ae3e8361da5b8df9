package spamassassin

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
)

var (
	numericName = regexp.MustCompile(`(?i)\bhelo=(\d{1,3}(?:\.\d{1,3}){3})(?:[\x00- ,;\[()<>]|$)`)
	bigMailers  = regexp.MustCompile(`(?i)(?:\.|^)(?:lycos\.com|lycos\.co\.uk|hotmail\.com|localhost\.com|excite\.com|caramail\.com|cs\.com|aol\.com|msn\.com|yahoo\.com|drizzle\.com)$`)
	hostName    = regexp.MustCompile(`^\w+(?:[\w.-]+\.)+\w+$`)
	dotted      = regexp.MustCompile(`^(\d+\.\d+)\.\d+\.\d+$`)
	longTLD     = regexp.MustCompile(`\S{3,}|ie|fr|de`)
)

func numericHELO(m *mail) bool {
	h := numericName.FindStringSubmatch(m.relay().untrustedText)
	return h != nil && isAddress(h[1]) && !privateAddress(h[1])
}

func isIPv4(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is4()
}

func heloMismatch(m *mail) bool {
	for _, r := range m.relay().untrusted {
		if isIPv4(r.helo) && !privateAddress(r.helo) && isIPv4(r.ip) && !privateAddress(r.ip) && r.helo != r.ip &&
			!strings.HasPrefix(r.ip, r.helo[:strings.LastIndexByte(r.helo, '.')+1]) {
			return true
		}
	}
	return false
}

func senderNoReverse(m *mail) bool {
	l := m.relay().untrusted
	if len(l) == 0 {
		return false
	}
	r := l[len(l)-1]
	return strings.Contains(r.rdns, ".") && !r.private
}

func dotcomHELO(m *mail) bool {
	found := false
	for _, r := range m.relay().untrusted {
		if !r.private {
			found = bigMailers.MatchString(r.helo) && r.noReverse
		}
	}
	return found
}

func fromDomainReceived(_ *compiled, args []string) (evalCall, error) {
	if len(args) != 2 {
		return nil, fmt.Errorf("needs a domain and true or false")
	}
	domain, want := args[0], args[1] == "true"
	re, err := regexp.Compile(` rdns=\S*\b` + regexp.QuoteMeta(domain) + ` [^\]]*by=\S*\b` + regexp.QuoteMeta(domain) + ` `)
	return func(m *mail) float64 {
		if !wordStart(strings.ToLower(m.one("From:addr")), strings.ToLower(domain)) {
			return 0
		}
		l := m.relay()
		return truth(re.MatchString(l.trustedText+"\n"+l.untrustedText) == want)
	}, err
}

// wordStart finds a text that begins at a word's edge.
func wordStart(s, w string) bool {
	for at := 0; ; at++ {
		i := strings.Index(s[at:], w)
		if i < 0 || w == "" {
			return false
		}
		if at += i; at == 0 || wordSet.has(s[at-1]) != wordSet.has(w[0]) {
			return true
		}
	}
}

// organisation is the part of a host name that stands for who runs it.
func organisation(host string) string {
	if !strings.ContainsFunc(host, func(r rune) bool { return r|32 >= 'a' && r|32 <= 'z' }) {
		return host
	}
	l := strings.Split(host, ".")
	n := len(l)
	switch {
	case n > 1 && longTLD.MatchString(l[n-1]):
		return strings.Join(l[n-2:], ".")
	case n > 2:
		return strings.Join(l[n-3:], ".")
	}
	return host
}

// forgedTrail counts hops that don't fit together, and addresses given as name
// that are of another network.
func (m *mail) forgedTrail() (from, helo int) {
	l := m.relay().untrusted
	names := make([]string, len(l))
	for i, r := range l {
		names[i] = organisation(strings.ToLower(r.rdns))
	}
	known := make([]bool, len(l))
	for i := range known {
		known[i] = true
	}
	for i, r := range l {
		by := organisation(strings.ToLower(r.by))
		if !hostName.MatchString(by) {
			continue
		}
		if (names[i] == "localhost" || names[i] == "localhost.localdomain") && r.ip == "127.0.0.1" {
			known[i] = false
		}
		h, a := dotted.FindStringSubmatch(organisation(strings.ToLower(r.helo))), dotted.FindStringSubmatch(r.ip)
		if h != nil && a != nil && h[1] != a[1] && !privateAddress(h[0]) {
			helo++
		}
		if i > 0 && known[i-1] {
			if prev := names[i-1]; hostName.MatchString(prev) && by != prev && !(by == "msn.com" && prev == "hotmail.com") {
				from++
			}
		}
	}
	return from, helo
}

// senderMatchesRelay: the sender's domain is that of the server that brought
// the mail.
func senderMatchesRelay(m *mail) bool {
	sender := m.one("EnvelopeFrom:addr")
	i := strings.LastIndexByte(sender, '@')
	if i < 0 || strings.IndexByte(sender[i:], '.') < 2 {
		return false
	}
	domain := m.set.registered(sender[i+1:])
	for _, r := range m.lastHops() {
		if r.rdns != "" && m.set.registered(strings.ToLower(r.rdns)) == domain {
			return true
		}
	}
	return false
}

// lastHops are the last untrusted hop, or all trusted ones if there is none.
func (m *mail) lastHops() []*relay {
	l := m.relay()
	if len(l.untrusted) > 0 {
		return l.untrusted[:1]
	}
	return l.trusted
}
