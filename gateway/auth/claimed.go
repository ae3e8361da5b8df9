package auth

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"spamcatcher/engine/message"
)

const (
	// maxClaimed bounds the domains that are evaluated when there is not one.
	maxClaimed = 5
	// maxClaims bounds the places in From at which domains are looked for.
	maxClaims = 2000
)

// claims gathers the domains that a message shows, or may show, as its author's.
type claims struct {
	domains []string // folded, at most maxClaimed
	more    bool     // there are others, or some that cannot be read
	places  int
}

// claimed returns the domains that stand behind an @ anywhere in From, for a
// message whose author is not clear. First comes what a reader is most likely
// shown, so that no decoy takes its place: the addresses, what stands in angle
// brackets, what stands outside comments, the rest; and each of these as it
// stands, then without the white space and comments that RFC 5322 section 4.4
// lets stand beside an @ or a dot. all is false when there are more than
// maxClaimed, or some that cannot be read.
func claimed(h *message.Header) (domains []string, all bool) {
	var c claims
	for _, a := range h.Addresses("From") {
		if at := strings.LastIndexByte(a.Address, '@'); at >= 0 {
			c.look(a.Address[at:])
		}
	}
	var values, bracketed, shown []string
	for _, v := range append(h.RawValues("From"), h.Values("From")...) {
		values = append(values, v)
		for _, m := range brackets.FindAllString(v, maxClaims) {
			bracketed = append(bracketed, m)
		}
		shown = append(shown, comment.ReplaceAllString(v, " "))
	}
	for _, texts := range [][]string{bracketed, shown, values} {
		for _, text := range texts {
			c.look(text)
		}
		for _, text := range texts {
			c.look(besideDots.ReplaceAllString(text, "$1"))
		}
	}
	return c.domains, !c.more
}

var (
	brackets   = regexp.MustCompile(`<[^<>]*`)
	comment    = regexp.MustCompile(`\([^()]*\)`)
	besideDots = regexp.MustCompile(`(?:\s|\([^()]*\))*([@.\x{ff20}\x{fe6b}])(?:\s|\([^()]*\))*`)
)

// look adds the domains behind each @ of a text.
func (c *claims) look(text string) {
	for {
		at := strings.IndexFunc(text, isAt)
		if at < 0 {
			return
		}
		if c.places++; c.places > maxClaims {
			c.more = true
			return
		}
		_, size := utf8.DecodeRuneInString(text[at:])
		text = text[at+size:]
		end := strings.IndexFunc(text, func(r rune) bool { return !inName(r) })
		if end < 0 {
			end = len(text)
		}
		c.add(text[:end])
		text = text[end:]
	}
}

// add adds a name that may be a domain's. One label is none that anybody owns.
func (c *claims) add(name string) {
	name = strings.Join(strings.FieldsFunc(name, func(r rune) bool { return r == '.' }), ".")
	domain, ok := fold(name)
	switch {
	case name == "" || ok && !strings.Contains(domain, "."):
	case !ok || !isHostName(domain):
		c.more = c.more || strings.Contains(name, ".")
	case slices.Contains(c.domains, domain):
	case len(c.domains) == maxClaimed:
		c.more = true
	default:
		c.domains = append(c.domains, domain)
	}
}

// inName says whether a character can stand in a domain as it is shown: letters,
// digits, what IDNA takes for a dot, and what nobody sees.
func inName(r rune) bool {
	switch {
	case r < 0x80:
		return isAlnum(byte(r)) || strings.IndexByte("-_.", byte(r)) >= 0
	case r == unicode.ReplacementChar:
		return false
	}
	return unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.Cf) || strings.ContainsRune("\u3002\uff0e\uff61\u2024", r)
}
