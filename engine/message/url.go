package message

import (
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

const maxURL = 64 << 10 // bytes; what is longer, mostly data:, is cut

// parseLink reads a link as browsers do: white space and control characters
// dropped, backslashes as slashes, any number of slashes before the host. tail
// is what follows the host.
func parseLink(raw string) (l Link, tail string, ok bool) {
	url := cleanURL(raw)
	if url == "" || url[0] == '#' || url[0] == '?' {
		return l, "", false
	}
	l.URL = url
	rest := url
	switch {
	case hasScheme(url):
		i := strings.IndexByte(url, ':')
		l.Scheme, rest = asciiLower(url[:i]), url[i+1:]
	case strings.HasPrefix(url, "//") || strings.HasPrefix(url, `\\`):
		l.Scheme = "http"
	case hasPrefixFold(url, "www."), bareURL(url):
		l.Scheme, rest = "http", "//"+url
	default:
		return l, "", false // relative: it leads nowhere
	}
	switch l.Scheme {
	case "hxxp", "hxxps":
		l.Scheme = "htt" + l.Scheme[3:]
		l.Obfuscated = true
	case "http", "https", "ftp", "ftps", "sftp", "file", "ldap", "ldaps", "ws", "wss":
	case "mailto":
		addr, _, _ := strings.Cut(rest, "?")
		if strings.IndexByte(addr, '%') >= 0 {
			addr = string(percentDecode(addr))
		}
		l.Host = Address{Address: cleanAddress(addr)}.Domain()
		l.Norm = "mailto:" + rest
		return l, "", true
	case "cid", "mid":
		return l, "", false
	default:
		// host:port without a scheme.
		if strings.IndexByte(l.Scheme, '.') > 0 && rest != "" && '0' <= rest[0] && rest[0] <= '9' {
			l.Scheme, rest = "http", "//"+url
			break
		}
		l.Norm = l.Scheme + ":" + rest[:min(len(rest), 256)]
		return l, "", true
	}
	slashes := 0
	for slashes < len(rest) && (rest[slashes] == '/' || rest[slashes] == '\\') {
		slashes++
	}
	if l.Scheme != "file" && (slashes != 2 || rest[0] == '\\' || rest[1] == '\\') {
		l.Obfuscated = true
	}
	rest = rest[slashes:]
	end := strings.IndexAny(rest, `/\?#`)
	if end < 0 {
		end = len(rest)
	}
	authority := rest[:end]
	tail = rest[end:]
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		l.UserInfo = at > 0
		authority = authority[at+1:]
	}
	host, port := authority, ""
	if strings.HasPrefix(host, "[") {
		if i := strings.IndexByte(host, ']'); i >= 0 {
			port = strings.TrimPrefix(host[i+1:], ":")
			host = host[1:i]
		}
	} else if i := strings.LastIndexByte(host, ':'); i >= 0 {
		host, port = host[:i], host[i+1:]
	}
	var odd bool
	l.Host, odd = asciiHost(host)
	l.Obfuscated = l.Obfuscated || odd
	if l.Host == "" {
		return l, "", l.Scheme == "file"
	}
	shown := l.Host
	if addr, plain, ok := parseIP(l.Host); ok {
		l.IP = true
		l.Obfuscated = l.Obfuscated || !plain
		l.Host = addr.String()
		if shown = l.Host; addr.Is6() {
			shown = "[" + shown + "]"
		}
	}
	l.Punycode = strings.HasPrefix(l.Host, "xn--") || strings.Contains(l.Host, ".xn--")
	if port == defaultPort(l.Scheme) {
		port = ""
	}
	l.Norm = normURL(l.Scheme, shown, port, tail)
	return l, tail, true
}

func defaultPort(scheme string) string {
	switch scheme {
	case "http", "ws":
		return "80"
	case "https", "wss":
		return "443"
	case "ftp":
		return "21"
	}
	return ""
}

// cleanURL trims a link and takes line breaks and tabs out of it.
func cleanURL(s string) string {
	for s != "" && (s[0] <= ' ' || s[0] == 127) {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] <= ' ' || s[len(s)-1] == 127) {
		s = s[:len(s)-1]
	}
	s = s[:min(len(s), maxURL)]
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] == 127 {
			return strings.Map(func(r rune) rune {
				if r < ' ' || r == 127 {
					return -1
				}
				return r
			}, s)
		}
	}
	return s
}

// bareURL tells whether a string begins with a host name.
func bareURL(s string) bool {
	n := 0
	for n < len(s) && isHostByte(s[n]) {
		n++
	}
	if n < len(s) && s[n] != '/' && s[n] != ':' && s[n] != '?' {
		return false
	}
	return n > 3 && s[0] != '.' && strings.IndexByte(s[:n], '.') > 0 && knownTLD(s[:n])
}

// asciiHost turns a host name into lower-case ASCII. odd says that it was
// written in a way that hides what it is.
func asciiHost(host string) (h string, odd bool) {
	if strings.IndexByte(host, '%') >= 0 {
		host, odd = string(percentDecode(host)), true
	}
	host = asciiLower(host)
	for i := 0; i < len(host); i++ {
		if host[i] >= 0x80 {
			a, err := idna.Lookup.ToASCII(host)
			if err != nil || a == "" {
				if a, err = idna.Punycode.ToASCII(validText(host)); err != nil {
					a = host
				}
			}
			// Letters that are not Latin are no disguise; full-width ones are.
			odd = odd || !strings.Contains(a, "xn--")
			host = asciiLower(a)
			break
		}
	}
	if trimmed := strings.TrimRight(host, "."); trimmed != host {
		host = trimmed
	}
	return host, odd
}

// parseIP reads an address in any notation that browsers take: dotted or as
// one number, decimal, octal or hexadecimal. plain says that it is the usual
// one.
func parseIP(host string) (addr netip.Addr, plain, ok bool) {
	if strings.IndexByte(host, ':') >= 0 {
		a, err := netip.ParseAddr(host)
		return a.WithZone(""), true, err == nil
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	if last == "" || last[0] < '0' || last[0] > '9' {
		return addr, false, false
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return a, true, true
	}
	parts := strings.Split(host, ".")
	if len(parts) > 4 {
		return addr, false, false
	}
	var v uint64
	for i, p := range parts {
		n, err := ipNumber(p)
		if err != nil {
			return addr, false, false
		}
		if i == len(parts)-1 {
			free := 8 * (4 - i)
			if n >= 1<<free {
				return addr, false, false
			}
			v = v<<free | n
		} else if n > 255 {
			return addr, false, false
		} else {
			v = v<<8 | n
		}
	}
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}), false, true
}

func ipNumber(s string) (uint64, error) {
	switch {
	case strings.HasPrefix(s, "0x"):
		return strconv.ParseUint(s[2:], 16, 32)
	case len(s) > 1 && s[0] == '0':
		return strconv.ParseUint(s[1:], 8, 32)
	}
	return strconv.ParseUint(s, 10, 32)
}

// normURL puts a link together for matching. RFC 3986 section 6.2.2.
func normURL(scheme, host, port, tail string) string {
	var b strings.Builder
	b.Grow(len(scheme) + len(host) + len(port) + len(tail) + 4)
	b.WriteString(scheme)
	b.WriteString("://")
	b.WriteString(host)
	if port != "" {
		b.WriteByte(':')
		b.WriteString(port)
	}
	if tail == "" {
		b.WriteByte('/')
	}
	for i := 0; i < len(tail); i++ {
		c := tail[i]
		if c == '\\' && i == 0 {
			c = '/'
		}
		if c == '%' && i+2 < len(tail) {
			if hi, lo := unhex(tail[i+1]), unhex(tail[i+2]); hi >= 0 && lo >= 0 {
				if d := byte(hi<<4 | lo); isLetter(d) || ('0' <= d && d <= '9') || d == '-' || d == '.' || d == '_' || d == '~' {
					c = d
					i += 2
				} else {
					const digits = "0123456789ABCDEF"
					b.Write([]byte{'%', digits[hi], digits[lo]})
					i += 2
					continue
				}
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}
