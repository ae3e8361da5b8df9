package auth

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// The grammar of RFC 7208 section 12, as far as it is regular. The letters c,
// r and t of macros are for the text that exp= points to, never for a term.
const (
	macro   = `(?:%[%_\-]|%\{[slodiphvSLODIPHV](?:0*[1-9][0-9]*)?[rR]?[-.+,/_=]*\})`
	literal = `[!-$&-~]`
	top     = `(?:\.(?:[A-Za-z0-9]*[A-Za-z][A-Za-z0-9]*|[A-Za-z0-9]+-[A-Za-z0-9-]*[A-Za-z0-9])\.?)`
)

var (
	macroString = regexp.MustCompile(`^(?:` + macro + `|` + literal + `)*$`)
	domainSpec  = regexp.MustCompile(`^(?:` + macro + `|` + literal + `)*(?:` + top + `|` + macro + `)$`)
	spfModifier = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9._\-]*)=(.*)$`)
	dualPrefix  = regexp.MustCompile(`(?:/([0-9]+))?(?://([0-9]+))?$`)
)

// checkTerms looks for an error of syntax in a record that begins with v=spf1.
// RFC 7208 section 4.6: one anywhere in the record makes it permerror before
// anything is evaluated, which the library leaves out where an earlier term
// matches.
func checkTerms(record string) error {
	redirects, explanations := 0, 0
	for term := range strings.SplitSeq(record[len("v=spf1"):], " ") {
		if term == "" {
			continue
		}
		if parts := spfModifier.FindStringSubmatch(term); parts != nil {
			good := macroString.MatchString(parts[2])
			switch strings.ToLower(parts[1]) {
			case "redirect":
				redirects++
				good = domainSpec.MatchString(parts[2])
			case "exp":
				explanations++
				good = domainSpec.MatchString(parts[2])
			}
			if !good || redirects > 1 || explanations > 1 {
				return fmt.Errorf("modifier %.40q", term)
			}
			continue
		}
		if !goodMechanism(term[strings.IndexAny(term[:1], "+-~?")+1:]) {
			return fmt.Errorf("mechanism %.40q", term)
		}
	}
	return nil
}

// goodMechanism says whether a term without its qualifier is a mechanism.
func goodMechanism(term string) bool {
	end := strings.IndexAny(term, ":/")
	if end < 0 {
		end = len(term)
	}
	name, rest := strings.ToLower(term[:end]), term[end:]
	argument, given := strings.CutPrefix(rest, ":")
	switch name {
	case "all":
		return rest == ""
	case "include", "exists":
		return given && domainSpec.MatchString(argument)
	case "ptr":
		return rest == "" || given && domainSpec.MatchString(argument)
	case "ip4":
		return given && goodNetwork(argument, false)
	case "ip6":
		return given && goodNetwork(argument, true)
	case "a", "mx":
		found := dualPrefix.FindStringSubmatchIndex(rest)
		four, six := group(rest, found, 1), group(rest, found, 2)
		if four != "" && !goodPrefix(four, 32) || six != "" && !goodPrefix(six, 128) {
			return false
		}
		argument, given = strings.CutPrefix(rest[:found[0]], ":")
		return rest[:found[0]] == "" || given && domainSpec.MatchString(argument)
	}
	return false
}

func group(s string, found []int, n int) string {
	if found[2*n] < 0 {
		return ""
	}
	return s[found[2*n]:found[2*n+1]]
}

// goodPrefix says whether a text is the length of a prefix, without zeros
// before it.
func goodPrefix(text string, most int) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n <= most && (text == "0" || text[0] != '0')
}

func goodNetwork(text string, six bool) bool {
	address, length, given := strings.Cut(text, "/")
	a, err := netip.ParseAddr(address)
	if err != nil || a.Is6() != six || a.Zone() != "" {
		return false
	}
	return !given || length != "" && goodPrefix(length, a.BitLen())
}
