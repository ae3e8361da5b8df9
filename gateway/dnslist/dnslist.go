// Package dnslist turns an address or a domain name into the DNS lists (RFC
// 5782) that name it, and what they mean by it. Lists prove themselves before
// anybody is refused on their word: see state.go.
package dnslist

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"spamcatcher/gateway/lookup"
)

// Config of a Set.
type Config struct {
	// Resolver asks the zones.
	Resolver lookup.Resolver
	// Fresh asks them in self-tests, which what is remembered would tell nothing.
	// nil: Resolver does.
	Fresh lookup.Resolver
	// Zones in the order in which their findings are reported.
	Zones []Zone
	// Timeout bounds one look-up. 0: 2 seconds.
	Timeout time.Duration
	// Retest is the time between two self-tests of a zone. 0: an hour.
	Retest time.Duration
	// Now tells the time. nil: time.Now.
	Now func() time.Time
	// Log is told when a zone changes its state. nil: nobody is.
	Log *slog.Logger
	// Previous is the set that this one takes the place of: what is known of
	// zones that are in both is taken over.
	Previous *Set
}

// A Set is the zones that are asked. It is safe for any number of goroutines.
type Set struct {
	resolver lookup.Resolver
	fresh    lookup.Resolver
	zones    []*zone
	timeout  time.Duration
	retest   time.Duration
	now      func() time.Time
	log      *slog.Logger

	mu     sync.Mutex
	states []state       // by index of zones
	hasten chan struct{} // a test is due sooner than it was
}

// New checks the zones and makes a set of them. It asks nothing: Run does.
func New(c Config) (*Set, error) {
	if c.Resolver == nil {
		return nil, errors.New("dns lists: no resolver")
	}
	if c.Timeout < 0 || c.Retest < 0 {
		return nil, fmt.Errorf("dns lists: negative time in %v, %v", c.Timeout, c.Retest)
	}
	s := &Set{resolver: c.Resolver, fresh: c.Fresh, timeout: c.Timeout, retest: c.Retest, now: c.Now, log: c.Log}
	if s.fresh == nil {
		s.fresh = s.resolver
	}
	if s.timeout == 0 {
		s.timeout = 2 * time.Second
	}
	if s.retest == 0 {
		s.retest = time.Hour
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	owner := map[string]*zone{}
	for _, one := range c.Zones {
		z, err := compile(one)
		if err != nil {
			return nil, fmt.Errorf("dns lists: %w", err)
		}
		for _, m := range z.codes {
			if other := owner[m.symbol]; other != nil && other != z {
				return nil, fmt.Errorf("dns lists: %s would be a symbol of %s and of %s: give one of them another label", m.symbol, other.Name, z.Name)
			}
			owner[m.symbol] = z
		}
		s.zones = append(s.zones, z)
	}
	s.states, s.hasten = make([]state, len(s.zones)), make(chan struct{}, 1)
	if c.Previous != nil {
		s.inherit(c.Previous)
	}
	return s, nil
}

// A Symbol is what a listing is reported as.
type Symbol struct {
	Name, Description string
	Points            float64
}

// Symbols returns those of the zones that are asked about any of the kinds, in
// the order of zones and codes, zones that are off included.
func (s *Set) Symbols(of Of) []Symbol {
	var list []Symbol
	for _, z := range s.zones {
		if z.Of&of == 0 {
			continue
		}
		what := "a domain of a link or of the sender"
		switch {
		case z.Of&Clients != 0:
			what = "the client's address"
		case z.Of&names == 0:
			what = "the address of a link"
		case z.Of&Senders == 0:
			what = "the host of a link"
		case z.Of&(Links|LinkHosts) == 0:
			what = "a domain of the sender"
		}
		for i, m := range z.codes {
			if slices.ContainsFunc(z.codes[:i], func(other matcher) bool { return other.symbol == m.symbol }) {
				continue
			}
			d := what + " is listed by " + z.Public()
			if meaning := strings.TrimPrefix(m.symbol, "LIST_"+z.Label+"_"); meaning != m.symbol {
				d += " as " + strings.ToLower(strings.ReplaceAll(meaning, "_", " "))
			}
			list = append(list, Symbol{Name: m.symbol, Description: d, Points: m.points})
		}
	}
	return list
}

// Zones returns the zones that are asked about any of the kinds, in their
// order: also those that are suspended, but not those that are off.
func (s *Set) Zones(of Of) []*Zone {
	var list []*Zone
	for _, z := range s.zones {
		if z.Of&of != 0 && z.Mode != modeOff {
			list = append(list, &z.Zone)
		}
	}
	return list
}

// Errors of Ask, besides those of the resolver.
var (
	// ErrSuspended: the zone failed its self-test, or gave an answer that no
	// list gives.
	ErrSuspended = errors.New("zone is suspended")
	// ErrNoEntry: no list can hold such an entry.
	ErrNoEntry = errors.New("no entry of a list")
)

// Ask returns a zone's answers about an entry, an address or a domain name,
// sorted; none when it is not listed. All are in 127.0.0.0/8 and no error codes,
// but the zone's codes may mean nothing by them: see Read. An error means that
// nothing is known. z is one of Zones.
func (s *Set) Ask(ctx context.Context, z *Zone, entry string) ([]netip.Addr, error) {
	i := s.index(z)
	if i < 0 {
		return nil, fmt.Errorf("asking %s: not a zone of this set", z.Name)
	}
	name, ok := z.Query(entry)
	if !ok {
		return nil, ErrNoEntry
	}
	if !s.usable(i) {
		return nil, ErrSuspended
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	codes, err := ask(ctx, s.resolver, name)
	if bad := (*badAnswer)(nil); errors.As(err, &bad) {
		if _, notAddress := netip.ParseAddr(entry); bad.listSpeaks || notAddress == nil {
			s.suspend(i, "about "+entry+" "+bad.Error())
		} else {
			s.doubt(i)
		}
	}
	return codes, err
}

// A badAnswer is one that no working list gives.
type badAnswer struct {
	said       string
	listSpeaks bool // by a code of lists: nobody else has such an address
}

func (b *badAnswer) Error() string { return "answers " + b.said }

// ask returns the answers to a query, sorted, or an error. A panic is one, too,
// since lists are asked side by side, where nobody else would catch it.
func ask(ctx context.Context, r lookup.Resolver, name string) (codes []netip.Addr, err error) {
	defer func() {
		if p := recover(); p != nil {
			codes, err = nil, fmt.Errorf("asking %s: panic: %v\n%s", name, p, debug.Stack())
		}
	}()
	answer, err := r.Query(ctx, name, lookup.A)
	if lookup.Missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", name, err)
	}
	for _, rec := range answer.Records {
		a := rec.Addr.Unmap()
		if reason := wrong(a); reason != "" {
			return nil, fmt.Errorf("asking %s: %w", name, &badAnswer{a.String() + ", " + reason, a.Is4() && a.As4()[0] == 127})
		}
		codes = append(codes, a)
	}
	slices.SortFunc(codes, netip.Addr.Compare)
	return slices.Compact(codes), nil
}

// wrong says why an answer is no listing whatever the zone's codes, "" when it
// may be one. One wrong answer spoils those beside it: who gives it is no list,
// or refuses to be one for us.
func wrong(a netip.Addr) string {
	if !a.Is4() {
		return "no address of IPv4"
	}
	four := a.As4()
	switch {
	case four[0] != 127: // RFC 5782 section 2.1
		return "outside 127.0.0.0/8: no list's answer"
	case four == [4]byte{127, 0, 0, 1}: // RFC 5782 section 5; some use it to say that they refuse us
		return "which must never mean a listing: the list refuses us, or there is none"
	case four[1] == 255 && four[2] == 255:
		switch four[3] {
		case 252:
			return "an error code: the zone's name is mistyped"
		case 254:
			return "an error code: it was asked through a public resolver"
		case 255:
			return "an error code: too many queries"
		}
		return "an error code"
	}
	return ""
}

func (s *Set) index(z *Zone) int {
	return slices.IndexFunc(s.zones, func(own *zone) bool { return &own.Zone == z })
}

// A Listing is one entry of one zone.
type Listing struct {
	Zone  *Zone
	Codes []netip.Addr // its answers, sorted
	// Symbols that its codes mean, at least one, each once, in the order of the
	// zone's codes.
	Symbols []string
	// Points of them together.
	Points float64
	// Detail is the entry: an address or a domain name.
	Detail string
	// Tested says that the zone passed its latest self-test.
	Tested bool

	set *Set
}

// Refuses says whether a client may be refused for it: the zone passed its
// latest self-test, and does not speak in the client's favour.
func (l Listing) Refuses() bool { return l.Tested && l.Points >= 0 }

// Read returns what a zone's answers about an entry mean; false when they mean
// no listing.
func (s *Set) Read(z *Zone, entry string, codes []netip.Addr) (Listing, bool) {
	i := s.index(z)
	if i < 0 {
		return Listing{}, false
	}
	l := Listing{Zone: z, Codes: codes, Detail: entry, Tested: s.tested(i), set: s}
	meant := make([]bool, len(s.zones[i].codes))
	for _, a := range codes {
		if a = a.Unmap(); wrong(a) != "" {
			return Listing{}, false
		}
		single := false
		for k, m := range s.zones[i].codes {
			if m.mask == 0 && single || !m.match(a.As4()) {
				continue
			}
			single = single || m.mask == 0
			meant[k] = true
		}
	}
	for k, m := range s.zones[i].codes {
		if meant[k] && !slices.Contains(l.Symbols, m.symbol) {
			l.Symbols = append(l.Symbols, m.symbol)
			l.Points += m.points
		}
	}
	return l, len(l.Symbols) > 0
}

// Findings are what all zones said about one entry.
type Findings struct {
	Listings   []Listing // in the order of zones
	Unanswered []string  // public names of the zones that could not tell, in the order of zones
}

// Address asks all zones of the kinds about an address, in parallel. It returns
// when all have answered or the time for one look-up is over, or soon after ctx
// ends. Zones that are suspended are left out.
func (s *Set) Address(ctx context.Context, of Of, a netip.Addr) Findings {
	a = a.Unmap().WithZone("")
	return s.find(ctx, of, a.String(), a.Is6())
}

// Domain asks all zones of the kinds about a domain name, with A-labels, as
// Address does.
func (s *Set) Domain(ctx context.Context, of Of, name string) Findings {
	return s.find(ctx, of, strings.ToLower(strings.TrimSuffix(name, ".")), false)
}

func (s *Set) find(ctx context.Context, of Of, entry string, six bool) Findings {
	type result struct {
		codes []netip.Addr
		err   error
	}
	asked := make([]*zone, 0, len(s.zones))
	for i, z := range s.zones {
		if z.Of&of != 0 && z.Mode != modeOff && s.usable(i) && (!six || s.HoldsIPv6(&z.Zone)) {
			asked = append(asked, z)
		}
	}
	results := make([]result, len(asked))
	var all sync.WaitGroup
	for i, z := range asked {
		all.Go(func() {
			r := &results[i]
			r.codes, r.err = s.Ask(ctx, &z.Zone, entry)
		})
	}
	all.Wait()
	var f Findings
	for i, z := range asked {
		switch r := results[i]; {
		case errors.Is(r.err, ErrNoEntry):
		case r.err != nil:
			if name := z.Public(); !slices.Contains(f.Unanswered, name) {
				f.Unanswered = append(f.Unanswered, name)
			}
		default:
			if l, ok := s.Read(&z.Zone, entry, r.codes); ok {
				f.Listings = append(f.Listings, l)
			}
		}
	}
	return f
}
