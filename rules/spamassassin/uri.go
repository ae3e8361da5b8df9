package spamassassin

import (
	"slices"
	"strings"
)

// uriInfo is what is known of one URI of a message.
type uriInfo struct {
	raw     string
	types   []string
	cleaned []string // as written, and made comparable in several ways
	anchors []string
	domains []string
	hosts   []string // host and its registered domain, one after another
}

// uriList collects the URIs of one message.
type uriList struct {
	list      []*uriInfo
	index     map[string]int
	truncated bool
}

func addOnce(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// add enters a URI; needHost drops one whose host can't exist.
func (l *uriList) add(c *compiled, uri string, types []string, needHost bool) bool {
	info := &uriInfo{raw: uri}
	for _, clean := range c.canonical(uri) {
		if len(clean) > maxURI {
			l.truncated = true
			clean = clean[:maxURI]
		}
		info.cleaned = addOnce(info.cleaned, clean)
		if domain, host, ok := c.hostOf(clean); ok {
			info.domains = addOnce(info.domains, domain)
			if !slices.Contains(info.hosts, host) {
				info.hosts = append(info.hosts, host, domain)
			}
		}
	}
	if len(info.cleaned) == 0 || needHost && len(info.domains) == 0 {
		return false
	}
	if at, known := l.index[uri]; known {
		old := l.list[at]
		for _, s := range info.cleaned {
			old.cleaned = addOnce(old.cleaned, s)
		}
		for _, s := range types {
			old.types = addOnce(old.types, s)
		}
		return true
	}
	info.types = slices.Clone(types)
	l.index[uri] = len(l.list)
	l.list = append(l.list, info)
	return true
}

const maxURIs = 2000

// uris returns the URIs of text, HTML and signatures.
func (m *mail) uris() *uriList {
	if m.uriList != nil {
		return m.uriList
	}
	l := &uriList{index: map[string]int{}}
	m.uriList = l
	seen := map[string]bool{}
	for _, text := range m.body() {
		m.set.scanURIs(text, func(raw string, kind byte, host string) { m.textURI(l, seen, raw, kind, host) })
	}
	for _, h := range m.html() {
		l.truncated = l.truncated || h.truncated
		for _, uri := range h.order {
			link := h.links[uri]
			types := make([]string, 0, len(link.types))
			for t := range link.types {
				types = append(types, t)
			}
			slices.Sort(types)
			octets := m.octets(uri, h)
			if len(l.list) >= maxURIs || !l.add(m.set, octets, types, false) {
				continue
			}
			info := l.list[l.index[octets]]
			for _, a := range link.anchors {
				info.anchors = addOnce(info.anchors, m.octets(a, h))
			}
		}
	}
	for _, key := range []string{"domainkey-signature", "dkim-signature"} {
		for _, v := range m.values(key) {
			for _, tag := range strings.Split(v, ";") {
				if name, d, ok := strings.Cut(tag, "="); ok && lastWord(name) == "d" {
					d = strings.Map(func(r rune) rune {
						if r < 0x80 && spaceSet.has(byte(r)) {
							return -1
						}
						return r
					}, d)
					m.domainKey(l, d)
				}
			}
		}
	}
	return l
}

func lastWord(s string) string {
	f := strings.Fields(s)
	if len(f) == 0 {
		return ""
	}
	return f[len(f)-1]
}

func (m *mail) domainKey(l *uriList, d string) {
	raw := "domainkeys:" + d
	domain, host, ok := m.set.hostOf(raw)
	if !ok {
		return
	}
	if _, known := l.index[raw]; known || len(l.list) >= maxURIs {
		return
	}
	l.index[raw] = len(l.list)
	l.list = append(l.list, &uriInfo{raw: raw, types: []string{"domainkeys"}, domains: []string{domain}, hosts: []string{host, domain}})
}

// textURI judges what looks like a URI in text and enters it.
func (m *mail) textURI(l *uriList, seen map[string]bool, raw string, kind byte, host string) {
	if i := strings.IndexByte(raw, ')'); i >= 0 && !strings.Contains(raw[:i], "(") {
		raw = raw[:i]
	}
	raw = strings.TrimRight(raw, "-~!@#^&*()_+=:;'?,.")
	if seen[raw] || len(l.list) >= maxURIs {
		return
	}
	seen[raw] = true
	if kind == 'm' && !strings.Contains(raw, "@") || kind == 'h' && !validHost(host) {
		return
	}
	lower := strings.ToLower(raw)
	if strings.HasPrefix(lower, "cid:") || strings.HasPrefix(lower, "mid:") || schemeOnly(lower) {
		return
	}
	uri, types := raw, []string{"parsed"}
	if !hasScheme(lower) {
		switch {
		case strings.HasPrefix(lower, "ftp."):
			uri = "ftp://" + uri
		case isWWW(lower), slashBeforeAt(uri):
			uri = "http://" + uri
		case strings.Contains(uri, "@"):
			_, after, _ := strings.Cut(uri, "@")
			if i := strings.LastIndexByte(after, '.'); i < 1 || strings.Contains(uri, "&nbsp;") {
				return
			}
			uri = "mailto:" + stripMail(uri)
		default:
			if !strings.Contains(uri, ".") {
				return
			}
			uri = "http://" + uri
			types = append(types, "unlinked")
		}
		types = append(types, "schemeless")
	}
	if len(uri) > 7 && strings.EqualFold(uri[:7], "mailto:") {
		if hasEscape(uri) {
			uri = encodeURI(uri)
		}
		_, h, ok := strings.Cut(uri, "@")
		if !ok {
			return
		}
		if i := strings.IndexAny(h, "?&>"); i >= 0 {
			h = h[:i]
		}
		for strings.HasSuffix(h, "%20") {
			h = h[:len(h)-3]
		}
		if !m.set.knownTLD(h) {
			return
		}
	}
	l.add(m.set, uri, types, true)
}

func schemeOnly(s string) bool {
	i := 0
	for i < len(s) && wordSet.has(s[i]) {
		i++
	}
	return i > 0 && (s[i:] == ":" || s[i:] == ":/" || s[i:] == "://")
}

func hasScheme(lower string) bool {
	return strings.HasPrefix(lower, "http:") || strings.HasPrefix(lower, "https:") || strings.HasPrefix(lower, "ftp:") || strings.HasPrefix(lower, "mailto:")
}

// isWWW recognises www. and www12. at the beginning.
func isWWW(lower string) bool {
	rest, ok := strings.CutPrefix(lower, "www")
	for n := 0; ok && n < 2 && rest != "" && digitSet.has(rest[0]); n++ {
		rest = rest[1:]
	}
	return ok && strings.HasPrefix(rest, ".")
}

func slashBeforeAt(s string) bool {
	i := strings.IndexByte(s, '/')
	return i >= 0 && strings.LastIndexByte(s, '@') > i+1
}

// stripMail takes off what often stands before an address: "mail:", "e-mail:".
func stripMail(s string) string {
	i := strings.IndexByte(s, ':')
	if i < 0 {
		return s
	}
	switch strings.ToLower(s[:i]) {
	case "", "skype", "mail", "email", "e-mail":
		return strings.TrimLeft(s[i:], ":")
	}
	return s
}

func hasEscape(s string) bool {
	for i := 0; i+2 < len(s); i++ {
		if s[i] == '%' && hexDigit(s[i+1]) >= 0 && hexDigit(s[i+2]) >= 0 {
			return true
		}
	}
	return false
}
