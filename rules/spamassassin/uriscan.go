package spamassassin

import "strings"

// Places in text that a mail program would turn into links: with a known
// scheme, mail addresses, and bare host names in a known top-level domain.

var (
	uriEnd     = setOf("><\"`}]{[| \t\n\v\f\r\x1b\xa0")
	mailEnd    = uriEnd.union(setOf(",('")).union(rangesOf("\x80\xff"))
	uriStart   = setOf("><\"'`,{[(| \t\n\v\f\r\x1b\xa0")
	hostBefore = setOf("!\"#$&'()*+,/:;<=>?@[\\]^`{|}~ \t\n\v\f\r\x1b\xa0")
	hostBytes  = rangesOf("09AZaz..__--")
)

const (
	longestURI   = 2048
	longestLocal = 251
)

// scanURIs reports what looks like a URI: kind is 's' with a scheme, 'm' a mail
// address, 'h' a bare host, which is then given. Its time is linear.
func (c *compiled) scanURIs(text string, emit func(raw string, kind byte, host string)) {
	if strings.IndexByte(text, '.') < 0 && strings.IndexByte(text, ':') < 0 {
		return
	}
	at, local := -1, 0 // the next @, and where the text that may stand before it begins
	for p := 0; p < len(text); p++ {
		if at < p {
			at, local = nextAt(text, p)
		}
		b := text[p]
		edge := p == 0 || uriStart.has(text[p-1]) || wordSet.has(text[p-1]) != wordSet.has(b) ||
			p > 2 && text[p-3] == 0x1b && text[p-2] == '(' && text[p-1] != '\n'
		if p == 0 {
			edge = wordSet.has(b)
		}
		if !edge {
			continue
		}
		if n := schemeURI(text[p:]); n > 0 {
			emit(text[p:p+n], 's', "")
			p += n - 1
			continue
		}
		if n := mailURI(text, p, at, local); n > 0 {
			emit(text[p:p+n], 'm', "")
			p += n - 1
			continue
		}
		if hostBytes.has(b) && b != '.' && b != '_' && b != '-' && (p == 0 || hostBefore.has(text[p-1])) {
			if n, host := c.bareHost(text[p:]); n > 0 {
				emit(text[p:p+n], 'h', host)
				p += n - 1
			}
		}
	}
}

// nextAt finds the next @ from an offset, and where the bytes begin that may
// stand before it.
func nextAt(text string, from int) (at, local int) {
	i := strings.IndexByte(text[from:], '@')
	if i < 0 {
		return len(text) + 1, len(text)
	}
	at = from + i
	local = at
	for local > from && at-local < longestLocal && !mailEnd.has(text[local-1]) {
		local--
	}
	return at, local
}

// run returns how many bytes text begins with that are not in a set, 0 if they
// are more than limit.
func run(text string, end *byteSet, limit int) int {
	i := 0
	for i < len(text) && !end.has(text[i]) {
		if i++; i > limit {
			return 0
		}
	}
	return i
}

func schemeURI(s string) int {
	var n int
	switch s[0] | 32 {
	case 'h':
		if scheme, m := httpPrefix(clipTo(s, 8)); m == len(scheme)+2 {
			n = m
		}
	case 'f':
		if len(s) >= 6 && strings.EqualFold(s[:6], "ftp://") {
			n = 6
		} else if len(s) >= 4 && strings.EqualFold(s[:4], "ftp.") {
			n = 4
		}
	case 'w':
		if isWWW(strings.ToLower(clipTo(s, 6))) {
			n = strings.IndexByte(s, '.') + 1
		}
	}
	if n == 0 {
		return 0
	}
	if m := run(s[n:], &uriEnd, longestURI); m > 0 {
		return n + m
	}
	return 0
}

func clipTo(s string, n int) string { return s[:min(n, len(s))] }

func mailURI(text string, p, at, local int) int {
	if len(text)-p > 7 && text[p]|32 == 'm' && strings.EqualFold(text[p:p+7], "mailto:") {
		if n := run(text[p+7:], &mailEnd, longestURI); n > 0 {
			return 7 + n
		}
	}
	if at >= len(text) || p < local || p >= at || at-p > longestLocal {
		return 0
	}
	if n := run(text[at+1:], &mailEnd, longestLocal); n > 0 {
		return at + 1 + n - p
	}
	return 0
}

// bareHost reads a host name in a known top-level domain, with port and path
// if there are any.
func (c *compiled) bareHost(s string) (n int, host string) {
	end := 0
	for end < len(s) && hostBytes.has(s[end]) && end < 1+longestLocal+64 {
		end++
	}
	i := end
	if s[end-1] == '.' {
		end--
	}
	dot := strings.LastIndexByte(s[:end], '.')
	if dot < 1 || dot > longestLocal || !c.isTLD(strings.ToLower(s[dot+1:end])) {
		return 0, ""
	}
	host = s[:end]
	if i < len(s) && s[i] == ':' {
		j := i + 1
		for j < len(s) && j-i <= 5 && digitSet.has(s[j]) {
			j++
		}
		if j == i+1 {
			return 0, ""
		}
		i = j
	}
	if i < len(s) && s[i] == '/' {
		m := run(s[i+1:], &uriEnd, longestURI)
		if m == 0 {
			return 0, ""
		}
		i += 1 + m
	}
	if i < len(s) && !uriEnd.has(s[i]) {
		return 0, ""
	}
	return i, host
}
