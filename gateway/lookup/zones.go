package lookup

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/net/publicsuffix"
)

// The breaker of a zone. After so many failures in a row it is open: whoever
// asks is told at once that nobody can tell. When its time is over one question
// at a time is let through, and the first answer closes it.
//
// Below a registered domain each label has a breaker, www.example.org's being
// that of all names below it, and the domain itself one that opens only when
// names below three of them failed: else whoever knows one broken delegation of
// a domain could have all of it left alone, its SPF and DMARC records too. And
// since large domains have more than three of those, the domain's breaker stops
// only names that it knows no good of: not the domain itself, labels such as
// _dmarc, which hold records but are no delegations, and labels below which
// something was answered before.
//
// A failure counts against a zone only when a server was there to speak of it:
// it answered SERVFAIL, or said nothing to this question while it answered
// another. When a server is silent to all, that says nothing of any zone.
const (
	breakAfter  = 5
	breakAmong  = 3
	firstBreak  = 5 * time.Second
	mostBreak   = 30 * time.Second
	maxBreakers = 8192
)

// ZoneState tells of a zone that is in trouble.
type ZoneState struct {
	Name      string
	Failures  int       // in a row
	Since     time.Time // of the first of them
	Until     time.Time // when it is tried again
	LastError string
}

type zones struct {
	configured atomic.Pointer[[]string] // canonical, the longest first
	share      int                      // questions in flight below one domain

	mu    sync.Mutex
	whole map[string]*zone // the configured ones
	known *simplelru.LRU[string, *zone]
}

// A zone is guarded by the lock of zones.
type zone struct {
	name     string
	need     int      // of how many different names directly below it some must have failed
	among    []string // of which ones some did
	failures int
	period   time.Duration
	since    time.Time
	until    time.Time
	trial    bool // a question was let through to try
	flying   int
	last     error
	answered bool // at least once
}

func (o *zone) broken() bool { return o.failures >= breakAfter && len(o.among) >= o.need }

// A pass is the permission to ask for a name: the zones that are to be told how
// it went, the widest first.
type pass struct {
	zones      []*zone
	name       string
	configured bool
}

func newZones(configured []string, maxQueries int) (*zones, error) {
	z := &zones{share: max(maxQueries/4, 8), whole: map[string]*zone{}}
	if err := z.configure(configured); err != nil {
		return nil, err
	}
	var err error
	z.known, err = simplelru.NewLRU[string, *zone](maxBreakers, nil)
	return z, err
}

// configure replaces the configured zones.
func (z *zones) configure(names []string) error {
	list := make([]string, len(names))
	for i, name := range names {
		one, err := canonical(name)
		if err != nil || one == "" {
			return fmt.Errorf("zone %q: %w", name, ErrBadName)
		}
		list[i] = one
	}
	slices.SortFunc(list, func(a, b string) int { return len(b) - len(a) })
	z.configured.Store(&list)
	return nil
}

// apex returns the zone that stands or falls with a name, as far as one can
// say that without asking: a configured one, the registered domain, or of
// addresses the network that is usually delegated.
func (z *zones) apex(name string) (apex string, configured bool) {
	for _, one := range *z.configured.Load() {
		if below(name, one) {
			return one, true
		}
	}
	switch {
	case below(name, "in-addr.arpa"):
		return lastLabels(name, 5), false // a /24
	case below(name, "ip6.arpa"):
		return lastLabels(name, 2+12), false // a /48
	}
	if domain, err := publicsuffix.EffectiveTLDPlusOne(name); err == nil {
		return domain, false
	}
	return name, false
}

// listed says whether a name is below one of the configured zones.
func (z *zones) listed(name string) bool {
	return slices.ContainsFunc(*z.configured.Load(), func(one string) bool { return below(name, one) })
}

func below(name, domain string) bool {
	return strings.HasSuffix(name, domain) && (len(name) == len(domain) || name[len(name)-len(domain)-1] == '.')
}

func lastLabels(name string, n int) string {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '.' {
			if n--; n == 0 {
				return name[i+1:]
			}
		}
	}
	return name
}

// enter asks whether a question may be sent. If so, the caller says how it went
// by leave.
func (z *zones) enter(name string, now time.Time) (pass, error) {
	apex, whole := z.apex(name)
	share := z.share
	if whole {
		share *= 2
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	p := pass{name: childOf(name, apex), configured: whole}
	switch {
	case whole:
		one, ok := z.whole[apex]
		if !ok {
			one = &zone{name: apex, need: 1}
			z.whole[apex] = one
		}
		p.zones = []*zone{one}
	case below(apex, "arpa"):
		p.zones = []*zone{z.get(apex, 1, now)}
	default:
		p.zones = []*zone{z.get(apex, breakAmong, now), z.get(p.name, 1, now)}
	}
	for i, one := range p.zones {
		if i+1 < len(p.zones) && (strings.HasPrefix(p.name, "_") || p.name == "."+apex || p.zones[i+1].answered) {
			continue // stands for itself
		}
		if one.broken() && (one.trial || now.Before(one.until)) {
			return pass{}, fmt.Errorf("the zone %s is left alone after %d failures: %w", one.name, one.failures, one.last)
		}
	}
	if p.zones[0].flying >= share {
		return pass{}, ErrBusy
	}
	for _, one := range p.zones {
		one.trial = one.broken()
		one.flying++
	}
	return p, nil
}

// childOf returns the name directly below a domain that a name is, or is below
// of. A domain is its own child, by a name that no other has.
func childOf(name, domain string) string {
	if name == domain {
		return "." + domain
	}
	return lastLabels(name, strings.Count(domain, ".")+2)
}

func (z *zones) get(name string, need int, now time.Time) *zone {
	one, ok := z.known.Get(name)
	if ok {
		return one
	}
	// The oldest makes room, but not while it is of use, unless all are: else a
	// flood of names would close every breaker.
	for range maxBreakers / 64 {
		oldest, in, _ := z.known.GetOldest()
		if z.known.Len() < maxBreakers || in.flying == 0 && !(in.broken() && now.Before(in.until)) {
			break
		}
		z.known.Get(oldest)
	}
	one = &zone{name: name, need: need}
	z.known.Add(name, one)
	return one
}

// all returns the zones of which something is known.
func (z *zones) all() []*zone { return slices.AppendSeq(z.known.Values(), maps.Values(z.whole)) }

// leave notes how a question went: err nil for an answer, blamed if the name's
// side is to be blamed for the error. It returns the zones whose breakers opened
// or closed by that.
func (z *zones) leave(p pass, err error, blamed bool, now time.Time) (opened, closed string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, one := range p.zones {
		one.flying--
		one.trial = false
		before := one.broken()
		switch {
		case err == nil:
			if before {
				closed = strings.TrimPrefix(one.name, ".")
			}
			one.failures, one.period, one.last, one.among, one.answered = 0, 0, nil, nil, true
		case blamed:
			if one.failures++; one.failures == 1 {
				one.since = now
			}
			if len(one.among) < one.need && !slices.Contains(one.among, p.name) {
				one.among = append(one.among, p.name)
			}
			one.last = err
			if one.broken() && !now.Before(one.until) {
				one.period = min(max(2*one.period, firstBreak), mostBreak)
				one.until = now.Add(one.period)
				if !before {
					opened = strings.TrimPrefix(one.name, ".")
				}
			}
		}
	}
	return opened, closed
}

// forgive closes all breakers.
func (z *zones) forgive() {
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, one := range z.all() {
		one.failures, one.period, one.among = 0, 0, nil
	}
}

func (z *zones) troubled() []ZoneState {
	z.mu.Lock()
	defer z.mu.Unlock()
	var list []ZoneState
	for _, one := range z.all() {
		if one.broken() {
			list = append(list, ZoneState{strings.TrimPrefix(one.name, "."), one.failures, one.since, one.until, one.last.Error()})
		}
	}
	slices.SortFunc(list, func(a, b ZoneState) int { return strings.Compare(a.Name, b.Name) })
	return list
}
