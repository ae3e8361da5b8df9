package domain

import (
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

// Fold brings a domain or address literal to the form in which domains are
// compared: lower case, the root's dot removed, U-labels as A-labels (RFC 5890
// section 2.3.2.1), an address literal as its address. It reports whether the
// text is a domain or an address literal at all.
func Fold(name string) (string, bool) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if strings.HasPrefix(name, "[") {
		return foldLiteral(name)
	}
	for i := range len(name) {
		if name[i] >= 0x80 {
			ascii, err := idna.Lookup.ToASCII(name)
			if err != nil {
				return "", false
			}
			name = ascii
			break
		}
	}
	if name == "" || len(name) > 253 {
		return "", false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, letters) != "" {
			return "", false
		}
	}
	return name, true
}

// letters may stand in a folded name. The underscore is none of RFC 1123's, but
// is found in real names.
const letters = "abcdefghijklmnopqrstuvwxyz0123456789-_"

// foldLiteral folds an address literal: RFC 5321 section 4.1.3.
func foldLiteral(literal string) (string, bool) {
	inner, ok := strings.CutSuffix(literal[1:], "]")
	if !ok {
		return "", false
	}
	inner = strings.TrimPrefix(inner, "ipv6:")
	addr, err := netip.ParseAddr(inner)
	if err != nil || addr.Zone() != "" {
		return "", false
	}
	return "[" + addr.Unmap().String() + "]", true
}

// parent returns the domain above a folded one, "" above the last label.
func parent(name string) string {
	_, above, _ := strings.Cut(name, ".")
	return above
}

// within reports whether a folded domain is another or lies below it.
func within(name, above string) bool {
	return name == above || strings.HasSuffix(name, above) && name[len(name)-len(above)-1] == '.'
}
