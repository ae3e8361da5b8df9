package spamassassin

import (
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// hostASCII brings a host name into lower case and, if it has other letters
// than ASCII, into the form that DNS knows.
func hostASCII(s string) string {
	plain := true
	for i := range len(s) {
		if c := s[i]; !wordSet.has(c) && c != '.' && c != ':' && c != '[' && c != ']' && c != '-' {
			plain = false
			break
		}
	}
	if plain || isASCII(s) {
		return strings.ToLower(s)
	}
	for _, dot := range []string{"。", "．", "｡"} {
		s = strings.ReplaceAll(s, dot, ".")
	}
	if a, err := idna.Lookup.ToASCII(s); err == nil {
		return a
	}
	return strings.ToLower(s)
}

// validHost says whether an ASCII name can be that of a host: at least two
// labels, underscores below the second level only.
func validHost(host string) bool {
	host = strings.TrimRight(strings.ToLower(host), ".")
	if len(host) > 253 {
		return false
	}
	left := strings.Count(host, ".") + 1
	if left < 2 {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		n := len(label)
		if n < 1 || n > 63 || label[0] == '-' || label[n-1] == '-' {
			return false
		}
		for i := range n {
			if c := label[i]; !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' && left > 2) {
				return false
			}
		}
		left--
	}
	return true
}

// knownTLD says whether a name ends in a known top-level domain.
func (s *settings) knownTLD(host string) bool {
	host = hostASCII(host)
	if strings.ContainsAny(host, white) {
		return false
	}
	i := strings.LastIndexByte(host, '.')
	return i >= 0 && s.isTLD(host[i+1:])
}

// isTLD says whether a label in lower case is a top-level domain: one that rule
// files list, or one of the public suffix list where they list none.
func (s *settings) isTLD(label string) bool {
	if len(s.tlds) > 0 {
		return s.tlds[label]
	}
	suffix, official := publicsuffix.PublicSuffix(label)
	return official && suffix == label
}

var usStates = setFrom("ak al ar az ca co ct dc de fl ga gu hi ia id il in ks ky la ma md me mi mn mo ms mt nc nd ne nh nj nm nv ny oh ok or pa pr ri sc sd tn tx ut va vi vt wa wi wv wy")

// registered returns the part of a host name that was registered.
func (s *settings) registered(host string) string {
	host = hostASCII(host)
	for strings.Contains(host, "..") {
		host = strings.ReplaceAll(host, "..", ".")
	}
	if len(s.tlds) == 0 {
		if d, err := publicsuffix.EffectiveTLDPlusOne(strings.Trim(host, ".")); err == nil {
			return d
		}
	}
	labels := strings.Split(strings.Trim(host, "."), ".")
	at := 0
	for ; len(labels)-at > 1; at++ {
		rest := labels[at:]
		n := len(rest)
		if n == 2 && s.twoLevel[strings.Join(rest, ".")] {
			break
		}
		if n == 3 {
			if rest[2] == "us" {
				if usStates[rest[1]] {
					break
				}
			} else if s.threeLevel[strings.Join(rest, ".")] {
				break
			}
		}
		if n == 4 && rest[3] == "us" && usStates[rest[2]] && (rest[0] == "pvt" && rest[1] == "k12" || strings.HasPrefix(rest[0], "ci") || strings.HasPrefix(rest[0], "co")) {
			break
		}
	}
	return strings.Join(labels[max(0, at-1):], ".")
}

func isAddress(host string) bool {
	if host == "" || !(digitSet.has(host[0]) || strings.Contains(host, ":")) {
		return false
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Zone() == ""
}

// hostOf returns the registered domain and the host of a URI; ok is false if
// there is none that could exist.
func (s *settings) hostOf(uri string) (domain, host string, ok bool) {
	uri = strings.ToLower(uri)
	scheme, rest, _ := strings.Cut(uri, ":")
	switch scheme {
	case "javascript", "cid", "file":
		return "", "", false
	case "mailto":
		rest, _, _ = strings.Cut(rest, "?")
		if strings.Count(rest, "@") != 1 {
			return "", "", false
		}
		_, uri, _ = strings.Cut(rest, "@")
	default:
		if rest != "" && scheme != "" && strings.Trim(scheme, "abcdefghijklmnopqrstuvwxyz") == "" {
			uri = strings.TrimPrefix(strings.TrimPrefix(rest, "/"), "/")
		}
		if i := strings.IndexAny(uri, "/?#"); i >= 0 {
			uri = uri[:i]
		}
		if i := strings.LastIndexByte(uri, '@'); i >= 0 {
			uri = uri[i+1:]
		}
		if i := strings.LastIndexByte(uri, ':'); i >= 0 && strings.Trim(uri[i+1:], "0123456789") == "" {
			uri = uri[:i]
		}
	}
	for i := 0; i+2 < len(uri); i++ {
		if uri[i] == '%' {
			hi, lo := hexDigit(uri[i+1]), hexDigit(uri[i+2])
			if v := hi<<4 | lo; hi >= 0 && lo >= 0 && v > 0x20 && v < 0x7f {
				return "", "", false
			}
		}
	}
	host = hostASCII(uri)
	if isAddress(host) {
		return host, host, true
	}
	if !validHost(host) || !s.knownTLD(host) {
		return "", "", false
	}
	return s.registered(host), host, true
}
