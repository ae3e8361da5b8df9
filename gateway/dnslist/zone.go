package dnslist

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"

	"spamcatcher/gateway/lookup"
)

// Of says about what a zone is asked: a set of bits.
type Of uint8

const (
	// Clients: the address of the connecting server, IPv4 or IPv6.
	Clients Of = 1 << iota
	// Links: the registered domain of hosts in links.
	Links
	// LinkHosts: the whole host name in links, too.
	LinkHosts
	// LinkLiterals: the addresses that stand in links in the place of a host.
	LinkLiterals
	// LinkAddresses: those, and the addresses that hosts of links resolve to.
	LinkAddresses
	// Senders: the domains of envelope sender and From, of HELO, and of the
	// client's host name.
	Senders

	// Contents is all that a message holds: everything but Clients.
	Contents = Links | LinkHosts | LinkLiterals | LinkAddresses | Senders

	literals = Clients | LinkLiterals | LinkAddresses // zones of addresses
	names    = Links | LinkHosts | Senders            // zones of domain names
)

// What policy makes of a listed client; Mode of a Zone.
const (
	modeOff     = "off"
	modeScore   = "score"
	modeEnforce = "enforce"
)

// DefaultPoints is what a listing counts when the zone does not say.
const DefaultPoints = 2.0

// A Zone is one DNS list and what its answers mean.
type Zone struct {
	// Name of the zone in DNS.
	Name string
	// Label is the zone's part of a symbol, LIST_<LABEL>. "": made from Public.
	Label string
	// Of says what the zone is asked about. 0: clients. A zone is asked about
	// clients or about what a message holds: one that is to be asked about both
	// stands in a Config twice, with two labels.
	Of Of
	// Codes filters the answers. Empty: all that is in 127.0.0.0/8 and no error
	// code. Of an answer that matches several codes the first one counts, and
	// each one that is a bit mask.
	Codes []Code
	// Points of a listing whose code has none. 0: DefaultPoints. Below zero for
	// lists of good senders.
	Points float64
	// Response is what a refused client is told; <IP> in it is replaced by its
	// address. "": the TXT record of the entry.
	Response string
	// Test is the entry that is always listed, an address or a name. "": those
	// of RFC 5782 section 5.
	Test string
	// Mode is what policy makes of a listed client: "off" (the zone is never
	// asked), "score" or "enforce". "" leaves it to policy, but for lists of good
	// senders it is "score".
	Mode string
}

// Public returns the zone's name as anybody may read it: without labels that
// are keys. Lists that are paid for have names such as
// <26 letters and digits>.zen.example.net, which nobody else may learn.
func (z *Zone) Public() string {
	labels := strings.Split(z.Name, ".")
	shown := slices.DeleteFunc(labels[:max(len(labels)-2, 0)], func(label string) bool {
		return len(label) >= minKey && !strings.Contains(label, "-")
	})
	return strings.Join(slices.Concat(shown, labels[max(len(labels)-2, 0):]), ".")
}

const minKey = 20 // octets of a label

// A Code is one meaning among a zone's answers.
type Code struct {
	// Match is an address, 127.0.0.2; a range of addresses,
	// 127.0.0.4-127.0.0.7; a network, 127.0.1.0/24; an address some of whose
	// octets may vary, 127.0.*.3 or 127.0.2-15.1; or bits that are set in the last
	// octet, &4.
	Match string
	// Meaning is the end of the symbol, LIST_<LABEL>_<MEANING>. "": LIST_<LABEL>.
	Meaning string
	// Points of a listing. 0: the zone's.
	Points float64
}

// A zone is a Zone that was checked and completed.
type zone struct {
	Zone
	codes []matcher
	entry string // Test, as the first labels of a query
}

// A matcher is a compiled Code.
type matcher struct {
	symbol   string
	points   float64
	mask     byte // of the last octet; 0: the octets decide
	from, to [4]byte
	whole    bool // from and to are one range, else a range for each octet
}

func (m matcher) match(a [4]byte) bool {
	switch {
	case m.mask != 0:
		return a[3]&m.mask == m.mask
	case m.whole:
		return compare(m.from, a) <= 0 && compare(a, m.to) <= 0
	}
	for i := range a {
		if a[i] < m.from[i] || a[i] > m.to[i] {
			return false
		}
	}
	return true
}

func compare(a, b [4]byte) int { return netip.AddrFrom4(a).Compare(netip.AddrFrom4(b)) }

// compile checks a zone and completes it.
func compile(c Zone) (*zone, error) {
	z := &zone{Zone: c}
	z.Name = strings.ToLower(strings.TrimSuffix(c.Name, "."))
	if !plainName(z.Name) || len(z.Name) > maxZone {
		return nil, fmt.Errorf("%q is no name of a zone", c.Name)
	}
	if z.Label == "" {
		z.Label = strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(z.Public()))
	}
	if !symbolic(z.Label) {
		return nil, fmt.Errorf("label %q of %s has other characters than A-Z, 0-9 and _", z.Label, z.Name)
	}
	if z.Of == 0 {
		z.Of = Clients
	}
	if z.Of&^(Clients|Contents) != 0 {
		return nil, fmt.Errorf("zone %s: unknown kinds %b", z.Name, z.Of)
	}
	if z.Of&Clients != 0 && z.Of&Contents != 0 {
		return nil, fmt.Errorf("zone %s is asked about clients and about what messages hold: name it twice, with two labels", z.Name)
	}
	if z.Points == 0 {
		z.Points = DefaultPoints
	}
	if !finite(z.Points) {
		return nil, fmt.Errorf("zone %s: %v points", z.Name, z.Points)
	}
	codes := c.Codes
	if len(codes) == 0 {
		codes = []Code{{Match: "127.0.0.0/8"}}
	}
	good := len(codes) > 0
	for _, code := range codes {
		m, err := z.matcher(code)
		if err != nil {
			return nil, fmt.Errorf("zone %s: %w", z.Name, err)
		}
		for _, other := range z.codes {
			if other.symbol == m.symbol && other.points != m.points {
				return nil, fmt.Errorf("zone %s: %s has two prices, %v and %v points", z.Name, m.symbol, other.points, m.points)
			}
		}
		z.codes = append(z.codes, m)
		good = good && m.points < 0
	}
	switch z.Mode {
	case "":
		if good {
			z.Mode = modeScore
		}
	case modeOff, modeScore:
	case modeEnforce:
		if good {
			return nil, fmt.Errorf("zone %s lists good senders: mode %q would refuse them", z.Name, z.Mode)
		}
	default:
		return nil, fmt.Errorf("zone %s: mode %q; off, score and enforce are known", z.Name, z.Mode)
	}
	if len(z.Response) > maxText || strings.ContainsFunc(z.Response, func(r rune) bool { return r < ' ' || r > '~' }) {
		return nil, fmt.Errorf("zone %s: the response %q is no line of at most %d printable ASCII characters", z.Name, z.Response, maxText)
	}
	if z.Test != "" {
		var ok bool
		if z.entry, ok = entryLabels(z.Test); !ok || len(z.entry)+1+len(z.Name) > maxName {
			return nil, fmt.Errorf("zone %s: the test entry %q is neither an address nor a domain name", z.Name, z.Test)
		}
	}
	return z, nil
}

// matcher compiles one code of z.
func (z *zone) matcher(c Code) (matcher, error) {
	m := matcher{symbol: "LIST_" + z.Label, points: c.Points}
	if c.Meaning != "" {
		if !symbolic(c.Meaning) {
			return m, fmt.Errorf("meaning %q has other characters than A-Z, 0-9 and _", c.Meaning)
		}
		m.symbol += "_" + c.Meaning
	}
	if m.points == 0 {
		m.points = z.Points
	}
	if !finite(m.points) {
		return m, fmt.Errorf("code %q: %v points", c.Match, m.points)
	}
	return m, m.read(c.Match)
}

// read compiles the notation of Code.Match.
func (m *matcher) read(text string) error {
	bad := fmt.Errorf("code %q is none of 127.0.0.2, 127.0.0.4-127.0.0.7, 127.0.1.0/24, 127.0.*.3 and &4", text)
	if bits, ok := strings.CutPrefix(text, "&"); ok {
		n, ok := octet(bits)
		if !ok || n == 0 {
			return bad
		}
		m.mask = n
		return nil
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		if !p.Addr().Is4() || p.Bits() < 8 {
			return bad
		}
		m.whole = true
		m.from = p.Masked().Addr().As4()
		m.to = m.from
		for bit := p.Bits(); bit < 32; bit++ {
			m.to[bit/8] |= 0x80 >> (bit % 8)
		}
	} else if first, last, ok := strings.Cut(text, "-"); ok && strings.Count(first, ".") == 3 && strings.Count(last, ".") == 3 {
		from, errFrom := netip.ParseAddr(first)
		to, errTo := netip.ParseAddr(last)
		if errFrom != nil || errTo != nil || !from.Is4() || !to.Is4() || to.Less(from) {
			return bad
		}
		m.whole, m.from, m.to = true, from.As4(), to.As4()
	} else {
		parts := strings.Split(text, ".")
		if len(parts) != 4 {
			return bad
		}
		for i, part := range parts {
			low, high, isRange := strings.Cut(part, "-")
			if part == "*" {
				low, high, isRange = "0", "255", true
			}
			if !isRange {
				high = low
			}
			from, okFrom := octet(low)
			to, okTo := octet(high)
			if !okFrom || !okTo || from > to {
				return bad
			}
			m.from[i], m.to[i] = from, to
		}
	}
	if m.from[0] != 127 || m.to[0] != 127 {
		return fmt.Errorf("code %q: lists answer in 127.0.0.0/8", text) // RFC 5782 section 2.1
	}
	return nil
}

// octet reads a decimal number of 0 to 255.
func octet(s string) (byte, bool) {
	if s == "" || len(s) > 3 || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	n := 0
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return byte(n), n <= 255
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

func symbolic(s string) bool {
	return s != "" && len(s) <= 100 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}

// Limits of RFC 1035 section 2.3.4, in octets of the presentation format.
const (
	maxName  = 253
	maxLabel = 63
	maxZone  = 160 // room for an address of IPv6 in front of it
)

// plainName says whether s is a domain name that can be written as it is:
// letters, digits, hyphens and underscores, in labels of 1 to 63.
func plainName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > maxLabel {
			return false
		}
		for _, c := range []byte(label) {
			if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
				return false
			}
		}
	}
	return true
}

// entryLabels returns the labels that stand for an entry below a zone: an
// address reversed (RFC 5782 sections 2.1 and 2.4), a domain name as it is
// (section 3). Names that DNS cannot hold or that are made to look like
// something else are no entries.
func entryLabels(entry string) (string, bool) {
	if a, err := netip.ParseAddr(entry); err == nil {
		return lookup.Reverse(a.WithZone("")), true
	}
	name := strings.ToLower(strings.TrimSuffix(entry, "."))
	return name, plainName(name)
}

// Query returns the name to ask about an entry, false when there is none.
func (z *Zone) Query(entry string) (string, bool) {
	labels, ok := entryLabels(entry)
	if !ok || len(labels)+1+len(z.Name) > maxName {
		return "", false
	}
	return labels + "." + z.Name, true
}
