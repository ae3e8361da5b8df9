package auth

import (
	"errors"
	"net/netip"
	"strings"

	"spamcatcher/engine/message"
)

var (
	errNoAuthor   = errors.New("no author")
	errManyAuthor = errors.New("more than one author domain")
	errUnclear    = errors.New("author is not clear")
)

// authorDomain returns the Author Domain: the domain of From, folded. RFC 9989
// section 3.2.2 and 5.3.1. There must be one From field, and all addresses in
// it be of one domain. What one reader of mail could take for another address
// than the next has no Author Domain, so that nobody's DMARC pass stands
// beside a name that it does not prove.
func authorDomain(h *message.Header) (string, error) {
	switch h.Count("From") {
	case 0:
		return "", errNoAuthor
	case 1:
	default:
		return "", errManyAuthor
	}
	if unclear(h.Raw("From")) {
		return "", errUnclear
	}
	author := ""
	for _, a := range h.Addresses("From") {
		if a.Address == "" {
			if strings.Contains(a.Name, "@") {
				return "", errUnclear
			}
			continue
		}
		at := strings.LastIndexByte(a.Address, '@')
		if at < 0 {
			continue
		}
		domain, ok := fold(a.Address[at+1:])
		switch {
		case !ok || !isHostName(domain) && !isLiteral(domain):
			return "", errUnclear
		case author != "" && author != domain:
			return "", errManyAuthor
		}
		author = domain
	}
	if author == "" {
		return "", errNoAuthor
	}
	return author, nil
}

// isHostName says whether a folded name is made of what stands in host names and
// the names that mail uses: RFC 1123 section 2.1, and the underscore.
func isHostName(name string) bool {
	for i := range len(name) {
		if !isAlnum(name[i]) && strings.IndexByte("-_.", name[i]) < 0 {
			return false
		}
	}
	return true
}

// isLiteral says whether a folded name is an address literal: RFC 5321 section
// 4.1.3. It has no DMARC.
func isLiteral(name string) bool {
	inner, opened := strings.CutPrefix(name, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	_, err := netip.ParseAddr(strings.TrimPrefix(inner, "ipv6:"))
	return opened && closed && err == nil
}

// unclear says whether a From value can be read in more than one way: angle
// brackets twice, or something but a comma behind one; more than one @ in an
// address; a route; an address with white space, comments or encoded words in
// it, or beside words without angle brackets; what only looks like an @; control
// characters; brackets, quotes or comments without end.
func unclear(value string) bool {
	const (
		outside = iota // before any angle bracket
		inside
		behind
	)
	place, ats := outside, 0
	// The address as far as it was read, and what may be one, since the last
	// comma: a quoted string is a letter there, a comment a space.
	var address []byte
	odd := func() bool {
		text := strings.Trim(string(address), " \t")
		address = address[:0]
		named := place == inside || strings.ContainsFunc(text, isAt)
		return named && (strings.ContainsAny(text, " \t") || strings.Contains(text, "=?") || strings.ContainsFunc(text, func(r rune) bool { return r != '@' && isAt(r) }))
	}
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c < ' ' && c != '\t' || c == 0x7f:
			return true
		case c == '"':
			end := closing(value, i, '"')
			if end < 0 || place == behind {
				return true
			}
			i = end
			address = append(address, 'q')
		case c == '(':
			end := closing(value, i, ')')
			if end < 0 || place == inside {
				return true
			}
			i = end
			address = append(address, ' ')
		case c == '<':
			if place != outside {
				return true
			}
			place, ats, address = inside, 0, address[:0]
		case c == '>':
			if place != inside || ats > 1 || odd() {
				return true
			}
			place = behind
		case c == ',' || c == ';':
			// Inside brackets it belongs to a route: RFC 5322 section 4.4.
			if place == inside || place == outside && (ats > 1 || odd()) {
				return true
			}
			place, ats, address = outside, 0, address[:0]
		case c == ':' && place == inside:
			return true
		case c == ':' && ats == 0: // the name of a group ends
			address = address[:0]
		case place == behind && c != ' ' && c != '\t':
			return true
		default:
			if c == '@' {
				ats++
			}
			address = append(address, c)
		}
	}
	return place == inside || place == outside && (ats > 1 || odd())
}

// isAt says whether a reader sees an @: U+FF20 and U+FE6B are others.
func isAt(r rune) bool { return r == '@' || r == '\uff20' || r == '\ufe6b' }

// closing is where the quoted string or comment that begins at i ends, or -1.
// Comments nest.
func closing(s string, i int, end byte) int {
	depth := 0
	for i++; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case c < ' ' && c != '\t':
			return -1
		case end == ')' && c == '(':
			depth++
		case c == end && depth > 0:
			depth--
		case c == end:
			return i
		}
	}
	return -1
}
