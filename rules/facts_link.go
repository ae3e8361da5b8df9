package rules

import (
	"encoding/base64"
	"net/netip"
	"strings"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
)

func web(l message.Link) bool { return l.Scheme == "http" || l.Scheme == "https" }

// clickable says whether a reader can follow the link: pictures, styles and
// addresses found inside other links are not clicked.
func clickable(l message.Link) bool {
	if !web(l) || l.Host == "" {
		return false
	}
	switch l.Source {
	case "href", "text", "form", "area", "meta", "attachment":
		return true
	}
	return false
}

// countLinks makes a fact that counts different clickable addresses that
// satisfy a condition.
func countLinks(want func(message.Link) bool) Fact {
	return func(m *engine.Mail) (float64, bool) {
		seen := map[string]bool{}
		for _, l := range m.Message.Links() {
			if clickable(l) && want(l) {
				seen[l.Norm] = true
			}
		}
		return float64(len(seen)), true
	}
}

// linkHosts counts the registered domains of clickable links.
func linkHosts(m *engine.Mail) (float64, bool) {
	seen := map[string]bool{}
	for _, l := range m.Message.Links() {
		if clickable(l) {
			seen[orgDomain(l.Host)] = true
		}
	}
	return float64(len(seen)), true
}

// linkForeignShare is the share of clickable addresses outside the registered
// domain of From.
func linkForeignShare(m *engine.Mail) (float64, bool) {
	f, ok := first(m, "From")
	if !ok {
		return 0, false
	}
	all, foreign := map[string]bool{}, 0
	own := orgDomain(f.Domain())
	for _, l := range m.Message.Links() {
		if !clickable(l) || all[l.Norm] {
			continue
		}
		all[l.Norm] = true
		if orgDomain(l.Host) != own {
			foreign++
		}
	}
	if len(all) == 0 {
		return 0, false
	}
	return float64(foreign) / float64(len(all)), true
}

// linkOneTarget: three or more anchors, all of them to the same address.
func linkOneTarget(m *engine.Mail) (float64, bool) {
	n := 0
	targets := map[string]bool{}
	for _, l := range m.Message.Links() {
		if l.Source == "href" && web(l) {
			n++
			targets[l.Norm] = true
		}
	}
	if n == 0 {
		return 0, false
	}
	return truth(n >= 3 && len(targets) == 1), true
}

// linkAllText is the share of visible words that stand inside anchors.
func linkAllText(m *engine.Mail) (float64, bool) {
	inside, n := 0.0, 0
	for _, l := range m.Message.Links() {
		if l.Source == "href" && web(l) {
			inside += wordCount(l.Text)
			n++
		}
	}
	if n == 0 {
		return 0, false
	}
	all := wordCount(body(m))
	if all < 5 {
		return 0, false
	}
	return min(inside/all, 1), true
}

// linkLongest is the length of the longest clickable address in characters.
func linkLongest(m *engine.Mail) (float64, bool) {
	best := 0
	for _, l := range m.Message.Links() {
		if clickable(l) {
			best = max(best, len(l.Norm))
		}
	}
	return float64(best), best > 0
}

// linkLabels is the largest number of labels in a clickable link's host name.
func linkLabels(m *engine.Mail) (float64, bool) {
	best := 0
	for _, l := range m.Message.Links() {
		if clickable(l) && !l.IP {
			best = max(best, strings.Count(l.Host, ".")+1)
		}
	}
	return float64(best), best > 0
}

// linkRandomHost is the largest randomness of a label of a clickable link's
// registered domain.
func linkRandomHost(m *engine.Mail) (float64, bool) {
	best, n := 0.0, 0
	for _, l := range m.Message.Links() {
		if clickable(l) && !l.IP && !l.Punycode {
			n++
			best = max(best, randomness(orgLabel(l.Host)))
		}
	}
	return best, n > 0
}

// linkRecipient counts clickable addresses that carry a recipient's address,
// in plain or in base64: page forms that are filled in beforehand do so.
func linkRecipient(m *engine.Mail) (float64, bool) {
	var want []string
	for _, r := range recipients(m) {
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
	for _, l := range m.Message.Links() {
		if !clickable(l) {
			continue
		}
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
func linkRecipientFragment(m *engine.Mail) (float64, bool) {
	n := 0
	rs := recipients(m)
	for _, l := range m.Message.Links() {
		if !clickable(l) {
			continue
		}
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

func linkFree(l message.Link) bool      { return freeHost(l.Host) }
func linkShort(l message.Link) bool     { return shortener(l.Host) }
func linkDeceptive(l message.Link) bool { return l.Deceptive }
func linkPunycode(l message.Link) bool  { return l.Punycode }
func linkUserInfo(l message.Link) bool  { return l.UserInfo }
func linkBrand(l message.Link) bool     { return !l.IP && hostWearsBrand(l.Host) }

// linkPublicIP leaves out addresses of private networks, which colleagues
// and devices send to each other.
func linkPublicIP(l message.Link) bool {
	if !l.IP {
		return false
	}
	a, err := netip.ParseAddr(l.Host)
	return err != nil || !a.IsPrivate() && !a.IsLoopback() && !a.IsLinkLocalUnicast() && a.IsValid()
}

// linkRedirect: an address that carries another web address inside.
func linkRedirect(l message.Link) bool {
	u := strings.ToLower(l.URL)
	if len(u) < 12 {
		return false
	}
	u = u[8:]
	return strings.Contains(u, "http://") || strings.Contains(u, "https://") || strings.Contains(u, "http%3a") || strings.Contains(u, "https%3a")
}

// linkPort: an explicit port other than 80 and 443.
func linkPort(l message.Link) bool {
	_, rest, _ := strings.Cut(l.Norm, "://")
	authority, _, _ := strings.Cut(rest, "/")
	i := strings.LastIndexByte(authority, ':')
	return i > 0 && !strings.Contains(authority[i:], "]") && authority[i:] != ":80" && authority[i:] != ":443"
}
