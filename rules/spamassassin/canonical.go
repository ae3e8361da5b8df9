package spamassassin

import (
	"fmt"
	"strconv"
	"strings"
)

// The forms of a URI in which rules compare it.

// encodeURI decodes the escapes of printable characters and escapes what is
// not printable.
func encodeURI(s string) string {
	b := make([]byte, 0, len(s)+16)
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' && i+2 < len(s) {
			hi, lo := hexDigit(s[i+1]), hexDigit(s[i+2])
			if hi >= 0 && lo >= 0 {
				if v := byte(hi<<4 | lo); v > 0x20 && v < 0x7f {
					b = append(b, v)
				} else {
					b = append(b, s[i:i+3]...)
				}
				i += 2
				continue
			}
		}
		if c <= ' ' || c >= 0x7f || c == '"' || c == '%' || c == '<' || c == '>' {
			b = fmt.Appendf(b, "%%%02x", c)
			continue
		}
		b = append(b, c)
	}
	return string(b)
}

// canonical returns a URI as written and the forms in which rules compare it.
func (c *compiled) canonical(uri string) []string {
	uris := []string{uri}
	var more []string
	for i := 0; i < len(uris) && i < 20; i++ {
		u := strings.ReplaceAll(uris[i], "\n", "")
		u = strings.ReplaceAll(trim(u), "\r", "")
		uris[i] = u
		if len(u) <= 1 || u[0] == '#' || u[0] == '?' || u[0] == '&' || u[0] == '/' && u[1] != '/' {
			continue
		}
		if isMail(u) {
			more = mailForms(more, u)
			continue
		}
		n := normalised(u)
		if n != u {
			more = append(more, n)
		}
		var target string
		more, target = c.hostForms(more, n)
		if target != "" {
			uris = append(uris, target)
		}
	}
	out := uris[:1:1]
	for _, u := range uris[1:] {
		out = addOnce(out, u)
	}
	for _, u := range more {
		out = addOnce(out, u)
	}
	return out
}

func isMail(u string) bool {
	if len(u) >= 7 && strings.EqualFold(u[:7], "mailto:") {
		return true
	}
	at, colon := strings.IndexByte(u, '@'), strings.IndexByte(u, ':')
	return at >= 0 && (colon < 0 || at < colon)
}

func mailForms(more []string, u string) []string {
	local, after, ok := strings.Cut(u, "@")
	if !ok || local == "" {
		return more
	}
	if i := strings.IndexByte(after, '?'); i > 0 {
		more = append(more, local+"@"+after[:i])
	}
	if i := strings.IndexByte(after, '&'); i > 0 && !strings.Contains(after[:i], "?") {
		more = append(more, local+"@"+after[:i])
	}
	if strings.Contains(u, "%20") {
		l := local
		if len(l) >= 7 && strings.EqualFold(l[:7], "mailto:") {
			l = l[7:]
		}
		for strings.HasPrefix(l, "%20") {
			l = l[3:]
		}
		h := after
		if i := strings.IndexAny(h, "?&%"); i >= 0 {
			h = h[:i]
		}
		if l != "" && h != "" {
			more = append(more, "mailto:"+l+"@"+h)
		}
	}
	head := u
	if i := strings.IndexAny(head, "?&"); i >= 0 {
		head = head[:i]
	}
	if i := strings.LastIndexByte(head, '<'); i >= 0 {
		if j := strings.IndexByte(u[i:], '>'); j > 0 {
			if inner := u[i+1 : i+j]; strings.IndexByte(inner, '@') > 0 {
				more = append(more, "mailto:"+inner)
			}
		}
	}
	return more
}

// httpPrefix returns the length of http: or https: with up to two slashes.
func httpPrefix(u string) (scheme string, n int) {
	l := len(u)
	switch {
	case l >= 6 && strings.EqualFold(u[:6], "https:"):
		n = 6
	case l >= 5 && strings.EqualFold(u[:5], "http:"):
		n = 5
	default:
		return "", 0
	}
	scheme = u[:n]
	for k := 0; k < 2 && n < l && u[n] == '/'; k++ {
		n++
	}
	return scheme, n
}

func normalised(u string) string {
	n := strings.ReplaceAll(u, `\`, "/")
	if scheme, at := httpPrefix(n); at > 0 {
		n = scheme + "//" + n[at:]
	}
	if hasEscape(n) {
		n = encodeURI(n)
	}
	i := 0
	for i < len(n) && (n[i] == '-' || wordSet.has(n[i])) {
		i++
	}
	if i == 0 || i >= len(n) || n[i] != ':' {
		if strings.HasPrefix(n, "ftp.") {
			n = "ftp://" + n
		} else {
			n = "http://" + n
		}
	}
	if scheme, at := httpPrefix(n); at == len(scheme)+2 {
		if j := strings.IndexAny(n[at:], "/?#"); j > 0 && n[at+j] != '/' {
			n = n[:at+j] + "/" + n[at+j:]
		}
	}
	if strings.Contains(n, "&#") {
		n = printableEntities(n)
	}
	return n
}

// printableEntities decodes numeric references to printable ASCII, and those
// to dots of other scripts as a dot.
func printableEntities(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if strings.HasPrefix(s[i:], "&#") {
			if end := strings.IndexByte(s[i:], ';'); end > 2 && end < 16 {
				digits, base := strings.ToLower(s[i+2:i+end]), 10
				if d, ok := strings.CutPrefix(digits, "x"); ok {
					digits, base = d, 16
				}
				if v, err := strconv.ParseUint(digits, base, 32); err == nil {
					switch {
					case v > 32 && v < 127:
						b.WriteByte(byte(v))
						i += end
						continue
					case v == 12290 || v == 65294 || v == 65377:
						b.WriteByte('.')
						i += end
						continue
					}
				}
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// hostForms appends the forms that differ in the host; target is where a
// redirector leads.
func (c *compiled) hostForms(more []string, u string) (_ []string, target string) {
	scheme, at := httpPrefix(u)
	if at != len(scheme)+2 {
		return more, ""
	}
	proto, rest := u[:at], u[at:]
	auth := ""
	if i := strings.IndexAny(rest, "@/?#"); i >= 0 && rest[i] == '@' {
		auth, rest = rest[:i+1], rest[i+1:]
	}
	end := strings.IndexAny(rest, "/?#:")
	if end < 0 {
		end = len(rest)
	}
	if end == 0 {
		return more, ""
	}
	host, rest := rest[:end], rest[end:]
	noPort, port := "", ""
	if strings.HasPrefix(rest, ":") {
		i := 1
		for i < len(rest) && digitSet.has(rest[i]) {
			i++
		}
		port = rest[1:i]
	}
	if port != "" {
		noPort = rest
		if plain := ":80"; proto == "http://" && port == plain[1:] || proto != "http://" && port == "443" {
			noPort = rest[1+len(port):]
			more = append(more, proto+host+noPort)
		}
	} else if port = "443"; proto == "http://" {
		port = "80"
	}
	ascii := hostASCII(host)
	if ascii != strings.ToLower(host) {
		more = append(more, proto+ascii+rest)
		if noPort != "" {
			more = append(more, proto+ascii+noPort)
		}
		host = ascii
	}
	if strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' }) {
		host = strings.Map(func(r rune) rune {
			if r <= ' ' {
				return -1
			}
			return r
		}, host)
		more = append(more, proto+host+rest)
	}
	target = c.redirected(proto+host+rest, rest)
	if i := strings.LastIndexByte(host, '@'); i > 0 {
		host = host[i+1:]
		more = append(more, proto+host+rest)
	}
	if cut := strings.TrimRightFunc(host, func(r rune) bool { return !(r < 0x80 && wordSet.has(byte(r)) && r != '_') }); cut != host {
		host = cut
		more = append(more, proto+host+rest)
	}
	if numeric, ok := numericHost(host); ok {
		more = append(more, proto+numeric+rest)
	} else if proto == "http://" && auth == "" && ascii != "localhost" && port == "80" {
		name := strings.TrimPrefix(ascii, "www.")
		if name != "" && !strings.Contains(name, ".") && !c.knownTLD(ascii) {
			more = append(more, proto+"www."+name+".com"+rest)
		}
	}
	return more, target
}

// redirected returns the URI that a redirector names, "" if there is none.
func (c *compiled) redirected(uri, rest string) string {
	budget := totalSteps
	for _, p := range c.redirects {
		if t := p.firstGroup(uri, &budget); strings.Contains(t, ".") {
			return t
		}
	}
	low := strings.ToLower(rest)
	for i := 0; ; {
		j := strings.Index(low[i:], "http")
		if j < 0 {
			return ""
		}
		i += j
		if _, n := httpPrefix(rest[i:]); n > 0 {
			t := rest[i:]
			if end := strings.IndexAny(t[n:], "&#"); end >= 0 {
				t = t[:n+end]
			}
			if len(t) > n && strings.Contains(t, ".") {
				return t
			}
			return ""
		}
		i += 4
	}
}

// numericHost writes an address in dotted decimal that is written as one
// number, or with octets in hexadecimal or octal.
func numericHost(host string) (string, bool) {
	if host == "" || !digitSet.has(host[0]) {
		return "", false
	}
	octets := strings.Split(host, ".")
	if len(octets) == 4 {
		for i, o := range octets {
			switch {
			case len(o) > 2 && o[0] == '0' && o[1]|32 == 'x':
				v, err := strconv.ParseUint(o[2:], 16, 64)
				if err != nil {
					return "", false
				}
				octets[i] = strconv.FormatUint(v, 10)
			case o == "" || strings.Trim(o, "0123456789") != "":
				return "", false
			case o[0] == '0':
				if v, err := strconv.ParseUint(o, 8, 64); err == nil && v > 0 && v < 256 {
					octets[i] = strconv.FormatUint(v, 10)
				} else {
					octets[i] = strings.TrimLeft(o, "0")
				}
			}
		}
		return strings.Join(octets, "."), true
	}
	if len(octets) != 1 {
		return "", false
	}
	var v uint64
	var err error
	if len(host) > 2 && host[1]|32 == 'x' {
		digits := host[2:]
		v, err = strconv.ParseUint(digits[max(0, len(digits)-8):], 16, 64)
		if err == nil && strings.Trim(strings.ToLower(digits), "0123456789abcdef") != "" {
			return "", false
		}
	} else {
		v, err = strconv.ParseUint(host, 10, 64)
	}
	if err != nil {
		return "", false
	}
	v &= 0xffffffff
	return fmt.Sprintf("%d.%d.%d.%d", v>>24, v>>16&255, v>>8&255, v&255), true
}
