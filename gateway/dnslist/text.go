package dnslist

import (
	"context"
	"slices"
	"strings"

	"spamcatcher/gateway/lookup"
)

// maxText bounds what a client is told. RFC 5321 section 4.5.3.1.5: a line of a
// reply has at most 512 octets, code and line end included.
const maxText = 400

// Text returns what a client that is refused for the listing is told: the
// zone's configured response; else the TXT record of the entry (RFC 5782 section
// 2.1), of several the first in the order of the alphabet; else who lists it. It
// is one line of printable ASCII, and returns soon after ctx ends.
func (l Listing) Text(ctx context.Context) string {
	if l.Zone.Response != "" {
		return clean(strings.ReplaceAll(l.Zone.Response, "<IP>", l.Detail))
	}
	if name, ok := l.Zone.Query(l.Detail); ok && l.set != nil {
		ctx, cancel := context.WithTimeout(ctx, l.set.timeout)
		defer cancel()
		// What cannot be had is not missed: there is a text without it.
		texts, _ := lookup.Texts(ctx, l.set.resolver, name)
		slices.Sort(texts)
		for _, text := range texts {
			if text = clean(text); text != "" {
				return text
			}
		}
	}
	return clean(l.Detail + " is listed by " + l.Zone.Public())
}

// clean makes one line of printable ASCII of a text, at most maxText octets:
// what is not printable becomes a space, and several spaces one.
func clean(s string) string {
	s = s[:min(len(s), 16*maxText)]
	b := make([]byte, 0, min(len(s), maxText))
	for i := 0; i < len(s) && len(b) < maxText; i++ {
		c := s[i]
		if c <= ' ' || c > '~' {
			if len(b) == 0 || b[len(b)-1] == ' ' {
				continue
			}
			c = ' '
		}
		b = append(b, c)
	}
	return strings.TrimRight(string(b), " ")
}
