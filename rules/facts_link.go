package rules

import (
	"encoding/base64"
	"net/netip"
	"slices"
	"strings"

	"spamcatcher/engine/message"
)

func web(l *message.Link) bool { return l.Scheme == "http" || l.Scheme == "https" }

// clickable says whether a reader can follow the link: pictures, styles and
// addresses found inside other links are not clicked.
func clickable(l *message.Link) bool {
	if !web(l) || l.Host == "" {
		return false
	}
	switch l.Source {
	case "href", "text", "form", "area", "meta", "attachment":
		return true
	}
	return false
}

// anchor is a clickable link, and the number of its address among the
// different ones.
type anchor struct {
	*message.Link
	address int
}

// anchors are the clickable links.
func (m *evidence) anchors() []anchor {
	return m.web.get(func() (out []anchor) {
		links := m.Message.Links()
		var seen map[string]int
		for i := range links {
			l := &links[i]
			if !clickable(l) {
				continue
			}
			if seen == nil {
				seen = make(map[string]int, len(links)-i)
				out = make([]anchor, 0, len(links)-i)
			}
			n, known := seen[l.Norm]
			if !known {
				n = len(seen)
				seen[l.Norm] = n
			}
			out = append(out, anchor{l, n})
		}
		return out
	})
}

// distinct counts different strings or numbers.
type distinct[T comparable] struct {
	few  [8]T
	n    int
	many map[T]bool // when they are not few
}

func (d *distinct[T]) add(v T) {
	if d.many != nil {
		d.many[v] = true
		d.n = len(d.many)
		return
	}
	if slices.Contains(d.few[:d.n], v) {
		return
	}
	if d.n < len(d.few) {
		d.few[d.n] = v
		d.n++
		return
	}
	d.many = map[T]bool{v: true}
	for _, f := range d.few {
		d.many[f] = true
	}
	d.n = len(d.many)
}

// countLinks makes a fact that counts different clickable addresses that
// satisfy a condition.
func countLinks(want func(*message.Link) bool) Fact {
	return func(m *evidence) (float64, bool) {
		var seen distinct[int]
		for _, a := range m.anchors() {
			if want(a.Link) {
				seen.add(a.address)
			}
		}
		return float64(seen.n), true
	}
}

// anyLinks counts the different clickable addresses.
func anyLinks(m *evidence) (float64, bool) {
	n := 0
	for _, a := range m.anchors() {
		n = max(n, a.address+1)
	}
	return float64(n), true
}

// linkHosts counts the registered domains of clickable links.
func linkHosts(m *evidence) (float64, bool) {
	var seen distinct[string]
	for _, a := range m.anchors() {
		seen.add(m.org(a.Host))
	}
	return float64(seen.n), true
}

// linkForeignShare is the share of clickable addresses outside the registered
// domain of From.
func linkForeignShare(m *evidence) (float64, bool) {
	f, ok := m.first("From")
	if !ok {
		return 0, false
	}
	all, foreign := 0, 0
	own := m.org(f.Domain())
	for _, a := range m.anchors() {
		if a.address < all {
			continue
		}
		all++
		if m.org(a.Host) != own {
			foreign++
		}
	}
	if all == 0 {
		return 0, false
	}
	return float64(foreign) / float64(all), true
}

// linkOneTarget: three or more anchors, all of them to the same address.
func linkOneTarget(m *evidence) (float64, bool) {
	n := 0
	var targets distinct[string]
	links := m.Message.Links()
	for i := range links {
		if l := &links[i]; l.Source == "href" && web(l) {
			n++
			targets.add(l.Norm)
		}
	}
	if n == 0 {
		return 0, false
	}
	return truth(n >= 3 && targets.n == 1), true
}

// linkAllText is the share of visible words that stand inside anchors.
func linkAllText(m *evidence) (float64, bool) {
	inside, n := 0.0, 0
	links := m.Message.Links()
	for i := range links {
		if l := &links[i]; l.Source == "href" && web(l) {
			inside += wordCount(l.Text)
			n++
		}
	}
	if n == 0 {
		return 0, false
	}
	all := m.words()
	if all < 5 {
		return 0, false
	}
	return min(inside/all, 1), true
}

// linkLongest is the length of the longest clickable address in characters.
func linkLongest(m *evidence) (float64, bool) {
	best := 0
	for _, l := range m.anchors() {
		best = max(best, len(l.Norm))
	}
	return float64(best), best > 0
}

// linkLabels is the largest number of labels in a clickable link's host name.
func linkLabels(m *evidence) (float64, bool) {
	best := 0
	for _, l := range m.anchors() {
		if !l.IP {
			best = max(best, strings.Count(l.Host, ".")+1)
		}
	}
	return float64(best), best > 0
}

// linkRandomHost is the largest randomness of a label of a clickable link's
// registered domain.
func linkRandomHost(m *evidence) (float64, bool) {
	best, n := 0.0, 0
	for _, l := range m.anchors() {
		if !l.IP && !l.Punycode {
			n++
			best = max(best, randomness(label(m.org(l.Host))))
		}
	}
	return best, n > 0
}

// linkRecipient counts clickable addresses that carry a recipient's address,
// in plain or in base64: page forms that are filled in beforehand do so.
func linkRecipient(m *evidence) (float64, bool) {
	var want []string
	for _, r := range m.recipients() {
		if len(want) >= 6 {
			break
		}
		r = strings.ToLower(r)
		if strings.Contains(r, "@") {
			want = append(want, r, strings.Replace(r, "@", "%40", 1),
				strings.ToLower(strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(r)), "=")))
		}
	}
	if len(want) == 0 {
		return 0, false
	}
	n := 0
	for _, l := range m.anchors() {
		u := strings.ToLower(l.URL)
		for _, w := range want {
			if strings.Contains(u, w) {
				n++
				break
			}
		}
	}
	return float64(n), true
}

// linkRecipientFragment: an address behind "#" or as the last piece of the
// path, where no unsubscribe link has it.
func linkRecipientFragment(m *evidence) (float64, bool) {
	n := 0
	rs := m.recipients()
	for _, l := range m.anchors() {
		_, fragment, ok := strings.Cut(l.URL, "#")
		if !ok {
			continue
		}
		f := strings.ToLower(strings.Replace(fragment, "%40", "@", 1))
		for _, r := range rs {
			r = strings.ToLower(r)
			if strings.Contains(f, r) || strings.Contains(f, strings.ToLower(strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(r)), "="))) {
				n++
				break
			}
		}
	}
	return float64(n), len(rs) > 0
}

func linkFree(l *message.Link) bool      { return freeHost(l.Host) }
func linkShort(l *message.Link) bool     { return shortener(l.Host) }
func linkDeceptive(l *message.Link) bool { return l.Deceptive }
func linkPunycode(l *message.Link) bool  { return l.Punycode }
func linkUserInfo(l *message.Link) bool  { return l.UserInfo }
func linkBrand(l *message.Link) bool     { return !l.IP && hostWearsBrand(l.Host) }

// linkPublicIP leaves out addresses of private networks, which colleagues
// and devices send to each other.
func linkPublicIP(l *message.Link) bool {
	if !l.IP {
		return false
	}
	a, err := netip.ParseAddr(l.Host)
	return err != nil || !a.IsPrivate() && !a.IsLoopback() && !a.IsLinkLocalUnicast() && a.IsValid()
}

// linkRedirect: an address that carries another web address inside.
func linkRedirect(l *message.Link) bool {
	u := strings.ToLower(l.URL)
	if len(u) < 12 {
		return false
	}
	u = u[8:]
	return strings.Contains(u, "http://") || strings.Contains(u, "https://") || strings.Contains(u, "http%3a") || strings.Contains(u, "https%3a")
}

// linkPort: an explicit port other than 80 and 443.
func linkPort(l *message.Link) bool {
	_, rest, _ := strings.Cut(l.Norm, "://")
	authority, _, _ := strings.Cut(rest, "/")
	i := strings.LastIndexByte(authority, ':')
	return i > 0 && !strings.Contains(authority[i:], "]") && authority[i:] != ":80" && authority[i:] != ":443"
}
