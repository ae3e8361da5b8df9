package auth

import (
	"errors"
	"slices"
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
		case !ok:
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

// maxClaimed bounds the domains that are evaluated when there is not one.
const maxClaimed = 3

// claimed returns the domains that stand behind an @ anywhere in From, for a
// message whose author is not clear: the first three.
func claimed(h *message.Header) (list []string) {
	for _, value := range h.Values("From") {
		for rest := value; len(list) < maxClaimed; {
			_, behind, ok := strings.Cut(rest, "@")
			if !ok {
				break
			}
			end := strings.IndexAny(behind, " \t\r\n\x00<>(),;:@\"[]\\")
			if end < 0 {
				end = len(behind)
			}
			if domain, ok := fold(behind[:end]); ok && strings.Contains(domain, ".") && !slices.Contains(list, domain) {
				list = append(list, domain)
			}
			rest = behind[end:]
		}
	}
	return list
}

// unclear says whether a From value can be read in more than one way: angle
// brackets twice, or something but a comma behind one; more than one @ in an
// address; a route; control characters; brackets, quotes or comments without end.
func unclear(value string) bool {
	const (
		outside = iota // before any angle bracket
		inside
		behind
	)
	place, ats := outside, 0
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
		case c == '(':
			end := closing(value, i, ')')
			if end < 0 {
				return true
			}
			i = end
		case c == '<':
			if place != outside {
				return true
			}
			place, ats = inside, 0
		case c == '>':
			if place != inside || ats > 1 {
				return true
			}
			place = behind
		case c == ',' || c == ';':
			// Inside brackets it belongs to a route: RFC 5322 section 4.4.
			if place == inside || place == outside && ats > 1 {
				return true
			}
			place, ats = outside, 0
		case c == ':' && place == inside:
			return true
		case c == '@':
			ats++
		case place == behind && c != ' ' && c != '\t':
			return true
		}
	}
	return place == inside || place == outside && ats > 1
}

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
