package spamassassin

import (
	"fmt"
	"net/netip"
	"strings"
)

// networks is a list of address ranges as SpamAssassin writes them: the entry
// that comes first and holds the address decides.
type networks struct {
	ranges []netRange
}

type netRange struct {
	prefix  netip.Prefix
	exclude bool
}

// add reads entries: an address, the beginning of one ("192.168."), a prefix
// ("10/8", "2001:db8::/32"), each with "!" in front to exempt it.
func (n *networks) add(value string) error {
	for _, text := range strings.Fields(value) {
		plain, exclude := strings.CutPrefix(text, "!")
		p, err := parseRange(strings.Trim(plain, "[]"))
		if err != nil {
			return err
		}
		n.ranges = append(n.ranges, netRange{p, exclude})
	}
	return nil
}

func parseRange(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		return p.Masked(), nil
	}
	address, bits, hasBits := strings.Cut(text, "/")
	octets := strings.Split(strings.TrimSuffix(address, "."), ".")
	if len(octets) > 4 || address == "" {
		return netip.Prefix{}, fmt.Errorf("%q is no network", clip(text, 40))
	}
	given := len(octets)
	for len(octets) < 4 {
		octets = append(octets, "0")
	}
	if !hasBits {
		bits = fmt.Sprint(8 * given)
	}
	p, err := netip.ParsePrefix(strings.Join(octets, ".") + "/" + bits)
	if err != nil {
		return p, fmt.Errorf("%q is no network", clip(text, 40))
	}
	return p.Masked(), nil
}

func (n *networks) configured() bool { return len(n.ranges) > 0 }

func (n *networks) contains(address string) bool {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	a = a.Unmap()
	if a.IsLoopback() {
		return true // this host is always one of its own
	}
	for _, r := range n.ranges {
		if r.prefix.Contains(a) {
			return !r.exclude
		}
	}
	return false
}
