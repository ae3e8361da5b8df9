package spamassassin

import (
	"fmt"
	"strconv"
	"strings"
)

func htmlTest(m *mail, what string) bool {
	for _, h := range m.html() {
		if h.numbers[what] != 0 {
			return true
		}
	}
	return false
}

func htmlTagExists(m *mail, tag string) bool {
	for _, h := range m.html() {
		if _, ok := h.inside[tag]; ok {
			return true
		}
	}
	return false
}

// comparison reads "!= 0" or "< 512".
func comparison(text string) (func(v float64) bool, error) {
	e, err := parseExpr("x " + text)
	if err != nil {
		return nil, err
	}
	bad := false
	e.variables(func(v *expr) {
		bad = bad || v.name != "x"
		v.id = 0
	})
	if bad {
		return nil, fmt.Errorf("%q is no comparison", clip(text, 20))
	}
	e.ready()
	return func(v float64) bool { return e.eval([]float64{v}) != 0 }, nil
}

func htmlTagBalance(_ *compiled, args []string) (evalCall, error) {
	if len(args) != 2 {
		return nil, fmt.Errorf("needs a tag and a comparison")
	}
	holds, err := comparison(args[1])
	if err != nil {
		return nil, err
	}
	return func(m *mail) float64 {
		for _, h := range m.html() {
			if n, ok := h.inside[args[0]]; ok && holds(float64(n)) {
				return 1
			}
		}
		return 0
	}, nil
}

func htmlCompare(_ *compiled, args []string) (evalCall, error) {
	if len(args) != 2 {
		return nil, fmt.Errorf("needs a fact and a comparison")
	}
	holds, err := comparison(args[1])
	if err != nil {
		return nil, err
	}
	return func(m *mail) float64 {
		for _, h := range m.html() {
			if v, ok := h.numbers[args[0]]; ok && holds(v) {
				return 1
			}
		}
		return 0
	}, nil
}

func htmlRange(_ *compiled, args []string) (evalCall, error) {
	if len(args) < 2 {
		return nil, fmt.Errorf("needs a fact and a range")
	}
	low, high, err := bounds(args[1:])
	if err != nil {
		return nil, err
	}
	return func(m *mail) float64 {
		for _, h := range m.html() {
			if v, ok := h.numbers[args[0]]; ok && aboveUpTo(v, low, high) {
				return 1
			}
		}
		return 0
	}, nil
}

func htmlImageOnly(_ *compiled, args []string) (evalCall, error) {
	low, high, err := bounds(args)
	return func(m *mail) float64 {
		for _, h := range m.html() {
			if _, ok := h.inside["img"]; ok && aboveUpTo(h.numbers["length"], low, high) {
				return 1
			}
		}
		return 0
	}, err
}

func htmlImageRatio(_ *compiled, args []string) (evalCall, error) {
	low, high, err := bounds(args)
	return func(m *mail) float64 {
		for _, h := range m.html() {
			area := h.numbers["image_area"]
			if n, ok := h.numbers["non_space_len"]; ok && area > 0 && aboveUpTo(n/area, low, high) {
				return 1
			}
		}
		return 0
	}, err
}

func htmlText(negated bool) evalFunc {
	return func(_ *compiled, args []string) (evalCall, error) {
		if len(args) != 2 {
			return nil, fmt.Errorf("needs a name and a pattern")
		}
		re, err := parseRegex(args[1], "")
		if err != nil {
			return nil, err
		}
		p := newSingle(re)
		return func(m *mail) float64 {
			budget := totalSteps
			for _, h := range m.html() {
				for _, t := range h.texts[args[0]] {
					if p.holds(m.octets(t, h), &budget) != negated {
						return 1
					}
				}
			}
			return 0
		}, nil
	}
}

func htmlTitleRatio(_ *compiled, args []string) (evalCall, error) {
	if len(args) != 1 {
		return nil, fmt.Errorf("needs a ratio")
	}
	ratio, err := strconv.ParseFloat(args[0], 64)
	return func(m *mail) float64 {
		subject := m.one("subject")
		if subject == "" {
			return 0
		}
		for _, h := range m.html() {
			for _, t := range h.texts["title"] {
				if float64(countChars(t, h.characters))/float64(len(subject)) > ratio {
					return 1
				}
			}
		}
		return 0
	}, err
}

func iframeSource(m *mail) bool {
	for _, h := range m.html() {
		for _, l := range h.links {
			if l.types["iframe"] {
				return true
			}
		}
	}
	return false
}

// httpsIPMismatch: the link goes to an address, its text names a https URL.
func httpsIPMismatch(m *mail) bool {
	for _, h := range m.html() {
		for _, uri := range h.order {
			if !numericURL(uri, "http") {
				continue
			}
			for _, a := range h.links[uri].anchors {
				if !numericURL(a, "https:") && strings.Contains(strings.ToLower(a), "https:") {
					return true
				}
			}
		}
	}
	return false
}

// numericURL says whether a URL's host is an address in dotted decimal.
func numericURL(uri, scheme string) bool {
	low := strings.ToLower(uri)
	if !strings.HasPrefix(low, scheme) {
		return false
	}
	_, rest, ok := strings.Cut(low, ":")
	if !ok {
		return false
	}
	rest = strings.TrimLeft(rest, "/")
	if i := strings.IndexAny(rest, "@/"); i >= 0 && rest[i] == '@' {
		rest = rest[i+1:]
	}
	dots := 0
	for i := 0; i < len(rest); i++ {
		switch {
		case digitSet.has(rest[i]):
			if dots == 3 {
				return true
			}
		case rest[i] == '.' && i > 0 && digitSet.has(rest[i-1]):
			dots++
		default:
			return false
		}
	}
	return false
}

// httpsMismatch: the text of a link names another https host than the link's.
func httpsMismatch(_ *compiled, args []string) (evalCall, error) {
	low, high, err := bounds(args)
	low = max(low, 1)
	return func(m *mail) float64 {
		s := m.set
		for _, h := range m.html() {
			hit, anchors := false, 0.0
			for _, uri := range h.order {
				l := h.links[uri]
				if len(l.anchors) == 0 {
					continue
				}
				host, ok := urlHost(uri)
				if !ok || isAddress(host) {
					continue
				}
				own := s.registered(host)
				if d, _, ok := s.hostOf(own); !ok || !s.knownTLD(d) {
					continue
				}
				anchors++
				for _, a := range l.anchors {
					i := strings.Index(strings.ToLower(a), "https://")
					if i < 0 {
						continue
					}
					other, ok := urlHost(a[i:])
					if !ok {
						continue
					}
					if !isAddress(other) {
						if other = s.registered(other); !s.knownTLD(other) {
							continue
						}
					}
					if other != own {
						hit = true
						break
					}
				}
			}
			if hit && atLeastBelow(anchors, low, high) {
				return 1
			}
		}
		return 0
	}, err
}

func urlHost(uri string) (string, bool) {
	scheme, n := httpPrefix(uri)
	if n != len(scheme)+2 {
		return "", false
	}
	host := uri[n:]
	if i := strings.IndexAny(host, "/:?# \t\n\v\f\r"); i >= 0 {
		host = host[:i]
	}
	return host, host != ""
}

func httpRedirector(m *mail) bool {
	for _, u := range m.uris().list {
		for _, c := range u.cleaned {
			for {
				host, ok := urlHost(c)
				if !ok {
					break
				}
				_, n := httpPrefix(c)
				rest := c[min(len(c), n+len(host)+1):]
				i := strings.Index(strings.ToLower(rest), "http")
				if i < 0 {
					break
				}
				scheme, k := httpPrefix(rest[i:])
				if k == 0 {
					break
				}
				next := scheme + "//" + rest[i+k:]
				to, ok := urlHost(next)
				if !ok {
					break
				}
				if m.set.domainOr(host) != m.set.domainOr(to) {
					return true
				}
				c = next
			}
		}
	}
	return false
}

func (s *settings) domainOr(host string) string {
	if d, _, ok := s.hostOf(host); ok {
		return d
	}
	return host
}

func uriHostListed(m *mail, list string) bool {
	hosts := m.set.uriHosts[list]
	if len(hosts) == 0 {
		return false
	}
	for _, u := range m.uris().list {
		if len(u.raw) >= 7 && strings.EqualFold(u.raw[:7], "mailto:") {
			continue
		}
		for i := 0; i < len(u.hosts); i += 2 {
			h := strings.Trim(u.hosts[i], "[]")
			for {
				if listed, known := hosts[h]; known {
					if listed {
						return true
					}
					break
				}
				_, rest, ok := strings.Cut(h, ".")
				if !ok || isAddress(u.hosts[i]) {
					break
				}
				h = rest
			}
		}
	}
	return false
}
