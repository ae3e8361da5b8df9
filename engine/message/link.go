package message

import (
	"strings"

	"golang.org/x/net/publicsuffix"
)

// A Link is one reference to somewhere else.
type Link struct {
	URL    string // as found, HTML entities decoded, control characters trimmed
	Norm   string // for matching: scheme and host in lower case, percent-encoding of unreserved characters undone, default port dropped, IDN as punycode
	Scheme string // lower case
	Host   string // lower case, without port; the domain of a mailto:
	Text   string // the visible text of the anchor, "" for bare links
	// Source is "text", "href", "image", "form", "meta", "area", "style",
	// "header", "attachment", "inside" for what ReadLinks was given, or "encoded"
	// for a link found inside another.
	Source string
	// Deceptive says that Text shows another host than the registered domain
	// that the link leads to.
	Deceptive  bool
	IP         bool // the host is an IP address in any notation
	Punycode   bool // the host has an xn-- label
	UserInfo   bool // something stands before an @ in front of the host
	Obfuscated bool // the host is percent-encoded or written in another odd way
}

// ReadLinks reads addresses that were found elsewhere than in the text of a
// message: in documents, or drawn in pictures. At most 2,000 links are returned.
func ReadLinks(addresses []string) []Link {
	f := finder{lim: 2000, found: new(defects)}
	for _, a := range addresses {
		f.add(a, "", "inside")
	}
	return f.links
}

// findLinks takes links from three places in this order: the attributes of
// HTML, the visible text, and the header. Behind each stand those that it
// holds inside.
func findLinks(m *Message) []Link {
	t := m.views()
	f := finder{lim: m.lim.Links, found: &m.linkFound}
	for _, l := range t.links {
		source := l.source
		if l.attached {
			source = "attachment"
		}
		f.add(l.url, l.text, source)
	}
	for _, s := range t.plain {
		source := "text"
		if s.attached {
			source = "attachment"
		}
		f.scan(t.visible[min(s.start, len(t.visible)):min(s.end, len(t.visible))], source)
	}
	// RFC 2369 section 2: URLs in angle brackets.
	for _, v := range m.Header().RawValues("List-Unsubscribe") {
		for {
			i := strings.IndexByte(v, '<')
			if i < 0 {
				break
			}
			v = v[i+1:]
			url, rest, _ := strings.Cut(v, ">")
			f.add(url, "", "header")
			v = rest
		}
	}
	return f.links
}

type finder struct {
	links []Link
	lim   int
	found *defects
}

func (f *finder) add(url, text, source string) {
	if len(f.links) >= f.lim {
		f.found.add(LimitLinks, "")
		return
	}
	l, tail, ok := parseLink(url)
	if !ok {
		return
	}
	l.Text, l.Source = text, source
	at := len(f.links)
	f.links = append(f.links, l)
	f.inside(tail, 0)
	if text == "" || l.Host == "" {
		return
	}
	if shown := shownHost(text); shown != "" && !sameDomain(shown, l.Host) {
		// A redirector that leads to where the text says deceives nobody.
		for _, in := range f.links[at+1:] {
			if sameDomain(shown, in.Host) {
				return
			}
		}
		f.links[at].Deceptive = true
	}
}

const maxInside = 3 // links within links within links

// inside finds links in the path and query of another link: as they are,
// percent-encoded up to three times, or in base64.
func (f *finder) inside(tail string, depth int) {
	if len(tail) < 10 || depth >= maxInside {
		return
	}
	if len(tail) > 8<<10 {
		tail = tail[:8<<10]
	}
	for rest := tail; len(f.links) < f.lim; {
		i := strings.Index(rest, "aHR0c")
		if i < 0 {
			break
		}
		rest = rest[i:]
		n := 0
		for n < len(rest) && (base64Value[rest[n]] < 64 || rest[n] == '-' || rest[n] == '_') {
			n++
		}
		var none defects
		plain := decodeBase64([]byte(strings.NewReplacer("-", "+", "_", "/").Replace(rest[:n])), fillEnds, &none)
		f.insideOne(string(plain), depth)
		rest = rest[n:]
	}
	lower := asciiLower(tail)
	for at := 0; len(f.links) < f.lim; {
		i := strings.Index(lower[at:], "http")
		if i < 0 {
			return
		}
		at += i
		after := lower[at+4:]
		after = strings.TrimPrefix(after, "s")
		switch {
		case strings.HasPrefix(after, "%3a"), strings.HasPrefix(after, "%253a"), strings.HasPrefix(after, "%25253a"):
			value, _, _ := strings.Cut(tail[at:], "&")
			plain := value
			for n := 0; n < 3 && !strings.Contains(plain[:min(len(plain), 10)], "://"); n++ {
				plain = string(percentDecode(plain))
			}
			f.insideOne(plain, depth)
			at += len(value)
		case strings.HasPrefix(after, "://"), strings.HasPrefix(after, ":/%2f"), strings.HasPrefix(after, ":%2f"):
			plain := tail[at:]
			if !strings.HasPrefix(after, "://") {
				plain, _, _ = strings.Cut(plain, "&")
				plain = string(percentDecode(plain))
			}
			f.insideOne(plain, depth)
			return // it goes to the end and was looked through itself
		case strings.HasPrefix(after, ":/") && len(after) > 2 && isHostByte(after[2]):
			// A slash lost on the way through a rewriter: "__http:/host/path__;".
			plain, _, _ := strings.Cut(tail[at:], "__;")
			f.insideOne(strings.Replace(plain, ":/", "://", 1), depth)
			at += len(plain)
		case strings.HasPrefix(after, "-3a__"):
			value, _, _ := strings.Cut(tail[at:], "&")
			f.insideOne(hyphenDecode(value), depth)
			at += len(value)
		default:
			at += 4
		}
	}
}

// hyphenDecode undoes the notation of a widespread rewriter: "_" for a slash,
// "-XX" for the byte XX.
func hyphenDecode(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '_' {
			c = '/'
		} else if c == '-' && i+2 < len(s) {
			if hi, lo := unhex(s[i+1]), unhex(s[i+2]); hi >= 0 && lo >= 0 {
				c = byte(hi<<4 | lo)
				i += 2
			}
		}
		b = append(b, c)
	}
	return string(b)
}

func (f *finder) insideOne(url string, depth int) {
	l, tail, ok := parseLink(url)
	if !ok || l.Host == "" || len(f.links) >= f.lim {
		return
	}
	l.Source = "encoded"
	f.links = append(f.links, l)
	f.inside(tail, depth+1)
}

// scan finds the links in text: with a scheme, with "www.", and host names
// that a path follows.
func (f *finder) scan(s, source string) {
	for i := 0; i < len(s); i++ {
		start := -1
		switch s[i] {
		case ':':
			if i+3 < len(s) && s[i+1] == '/' && s[i+2] == '/' {
				start = i
				for start > 0 && isLetter(s[start-1]) && i-start < 8 {
					start--
				}
				if scheme := asciiLower(s[start:i]); !linkScheme(scheme) {
					start = -1
				}
			}
		case 'w', 'W':
			if (i == 0 || !isHostByte(s[i-1])) && len(s) > i+6 && equalFold(s[i:i+4], "www.") && isHostByte(s[i+4]) {
				start = i
			}
		case '/':
			start = bareHost(s, i)
		}
		if start < 0 {
			continue
		}
		end := linkEnd(s, i)
		f.add(s[start:end], "", source)
		if len(f.links) >= f.lim {
			f.found.add(LimitLinks, "")
			return
		}
		i = end - 1
	}
}

func linkScheme(s string) bool {
	switch s {
	case "http", "https", "ftp", "hxxp", "hxxps", "ftps", "sftp", "file", "ldap", "ldaps":
		return true
	}
	return false
}

func isLetter(c byte) bool { return 'a' <= lowerByte(c) && lowerByte(c) <= 'z' }

func isHostByte(c byte) bool {
	return isLetter(c) || ('0' <= c && c <= '9') || c == '-' || c == '.' || c == '_' || c >= 0x80
}

// bareHost is where the host name begins that ends in front of s[i], a slash;
// -1 if there is none.
func bareHost(s string, i int) int {
	start, dot := i, false
	for start > 0 && isHostByte(s[start-1]) && i-start < 254 {
		start--
		dot = dot || s[start] == '.'
	}
	if !dot || i-start < 4 || i+1 >= len(s) || isSpace(s[i+1]) {
		return -1
	}
	if start > 0 && (s[start-1] == '@' || s[start-1] == '/' || s[start-1] == ':' || s[start-1] == '\\' || s[start-1] == '=') {
		return -1
	}
	host := s[start:i]
	if host[0] == '.' || host[len(host)-1] == '.' || strings.Contains(host, "..") || !knownTLD(host) {
		return -1
	}
	return start
}

// knownTLD tells whether a host name ends in a public suffix of ICANN's part
// of the list, one that no file name's extension looks like.
func knownTLD(host string) bool {
	dot := strings.LastIndexByte(host, '.')
	if dot < 0 || dot+2 >= len(host) || dot == 0 {
		return false
	}
	tld := asciiLower(host[dot+1:])
	if fileTLD(tld) || (tld[0] >= '0' && tld[0] <= '9') {
		return false
	}
	_, icann := publicsuffix.PublicSuffix(tld)
	return icann
}

// fileTLD tells whether a top-level domain is more often a file's extension.
func fileTLD(tld string) bool {
	switch tld {
	case "zip", "md", "py", "sh", "rs", "pl", "ps", "so", "mov", "cc", "java", "cs", "mm", "pm", "mk", "in", "am", "ac":
		return true
	}
	return false
}

// linkEnd is where the link ends that s[i] belongs to: at white space or a
// bracket, without the punctuation of the sentence around it.
func linkEnd(s string, i int) int {
	end := i
	parens := 0
loop:
	for end < len(s) {
		switch c := s[end]; {
		case c <= ' ' || c == '<' || c == '>' || c == '"' || c == 127 || c == '`' || c == '{' || c == '}' || c == '|':
			break loop
		case c == '(':
			parens++
		case c == ')':
			if parens--; parens < 0 {
				break loop
			}
		}
		end++
	}
	for end > i+1 && strings.IndexByte(".,;:!?'*_~]", s[end-1]) >= 0 {
		end--
	}
	return end
}

// shownHost is the host name that an anchor's text shows, "" if it shows none.
func shownHost(text string) string {
	t := trimSpace(text)
	if len(t) > 2_000 {
		return ""
	}
	lower := asciiLower(t)
	if i := strings.Index(lower, "://"); i > 0 {
		return hostOf(lower[i+3:])
	}
	if i := strings.Index(lower, "www."); i >= 0 && (i == 0 || !isHostByte(lower[i-1])) {
		return hostOf(lower[i:])
	}
	if strings.IndexAny(lower, " @\n") >= 0 {
		return ""
	}
	host := hostOf(lower)
	if len(host) < 4 || !knownTLD(host) {
		return ""
	}
	return host
}

func hostOf(s string) string {
	n := 0
	for n < len(s) && isHostByte(s[n]) {
		n++
	}
	if h := strings.Trim(s[:n], ".-_"); strings.IndexByte(h, '.') > 0 {
		h, _ = asciiHost(h)
		return h
	}
	return ""
}

// sameDomain tells whether two hosts belong to one registered domain.
func sameDomain(a, b string) bool {
	return a == b || registered(a) == registered(b)
}

func registered(host string) string {
	d, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil {
		return host
	}
	return d
}
