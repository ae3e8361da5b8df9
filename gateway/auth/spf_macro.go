package auth

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The library knows macros, but neither %{p} nor parts that are empty nor a
// slash in a name. So macros are expanded here, before it sees the record; what
// they make that is no plain name stands in the record as an alias.

var (
	macroParts = regexp.MustCompile(`%(?:([%_\-])|\{([A-Za-z])([0-9]*)([rR]?)([-.+,/_=]*)\})`)
	plainName  = regexp.MustCompile(`^[A-Za-z0-9._\-]+$`)
)

// expandTerms returns a record whose syntax was checked with the macros in its
// terms expanded, for the domain that has it.
func (r *spfResolver) expandTerms(ctx context.Context, record, domain string) string {
	terms := strings.Split(record, " ")
	for i, term := range terms {
		if !strings.ContainsAny(term, "%/") {
			continue
		}
		start := strings.IndexAny(term, ":=") + 1
		end := len(term)
		switch name := strings.ToLower(strings.TrimLeft(term[:max(0, start-1)], "+-~?")); name {
		case "a", "mx":
			end = dualPrefix.FindStringIndex(term)[0]
		case "include", "exists", "ptr", "redirect":
		default:
			continue
		}
		terms[i] = term[:start] + r.plain(r.expand(ctx, term[start:end], domain)) + term[end:]
	}
	return strings.Join(terms, " ")
}

// plain returns a name that the library takes as it is.
func (r *spfResolver) plain(name string) string {
	if plainName.MatchString(name) {
		return name
	}
	alias := strconv.Itoa(len(r.aliases)) + ".alias.invalid"
	r.aliases = append(r.aliases, name)
	return alias
}

// real is the name for which an alias stands.
func (r *spfResolver) real(name string) string {
	number, ok := strings.CutSuffix(name, ".alias.invalid")
	if n, err := strconv.Atoi(number); ok && err == nil && n >= 0 && n < len(r.aliases) {
		return r.aliases[n]
	}
	return name
}

// expand replaces the macros in a domain-spec. RFC 7208 section 7.
func (r *spfResolver) expand(ctx context.Context, text, domain string) string {
	return macroParts.ReplaceAllStringFunc(text, func(m string) string {
		parts := macroParts.FindStringSubmatch(m)
		switch parts[1] {
		case "%":
			return "%"
		case "_":
			return " "
		case "-":
			return "%20"
		}
		letter := strings.ToLower(parts[2])
		value := transform(r.value(ctx, letter, domain), parts[3], parts[4] != "", parts[5])
		if letter != parts[2] {
			return escape(value)
		}
		return value
	})
}

// value is what a macro letter stands for. RFC 7208 section 7.2.
func (r *spfResolver) value(ctx context.Context, letter, domain string) string {
	at := strings.LastIndexByte(r.sender, '@')
	switch letter {
	case "s":
		return r.sender
	case "l":
		return r.sender[:at]
	case "o":
		return r.sender[at+1:]
	case "d":
		return domain
	case "h":
		return r.hello
	case "p":
		return r.validated(ctx, domain)
	case "v":
		if r.client.Is4() {
			return "in-addr"
		}
		return "ip6"
	case "i":
		if r.client.Is4() {
			return r.client.String()
		}
		nibbles := strings.ReplaceAll(fmt.Sprintf("%x", r.client.AsSlice()), "", ".")
		return strings.Trim(nibbles, ".")
	}
	return ""
}

// transform splits a value, turns it round, and keeps the parts at the right.
// RFC 7208 section 7.3: parts may be empty.
func transform(value, digits string, reverse bool, delimiters string) string {
	delimiters = cmp.Or(delimiters, ".")
	parts := []string{""}
	for _, c := range []byte(value) {
		if strings.IndexByte(delimiters, c) >= 0 {
			parts = append(parts, "")
			continue
		}
		parts[len(parts)-1] += string([]byte{c})
	}
	if reverse {
		slices.Reverse(parts)
	}
	if n, err := strconv.Atoi(digits); err == nil && n < len(parts) {
		parts = parts[len(parts)-n:]
	}
	return strings.Join(parts, ".")
}

// escape writes all but the unreserved characters of RFC 3986 as %XX.
func escape(value string) string {
	var b strings.Builder
	for _, c := range []byte(value) {
		if isAlnum(c) || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// validated is the value of %{p}: a name of the client that leads back to it,
// if there is one the domain itself, or else one below it. RFC 7208 section
// 7.3 and 5.5: at most ten are tried, and trouble is the same as none, but for
// what checkHost makes of it.
func (r *spfResolver) validated(ctx context.Context, domain string) string {
	if !r.named {
		r.named = true
		names, _ := r.LookupAddr(ctx, r.client.String())
		for _, name := range names[:min(len(names), 10)] {
			addresses, _ := r.LookupIPAddr(ctx, name)
			if slices.ContainsFunc(addresses, func(a net.IPAddr) bool { return a.IP.Equal(net.IP(r.client.AsSlice())) }) {
				r.names = append(r.names, name)
			}
		}
	}
	below := ""
	for _, name := range r.names {
		switch folded := lower(strings.TrimSuffix(name, ".")); {
		case folded == lower(domain):
			return name
		case below == "" && strings.HasSuffix(folded, "."+lower(domain)):
			below = name
		}
	}
	if below == "" && len(r.names) > 0 {
		below = r.names[0]
	}
	return cmp.Or(below, "unknown")
}
