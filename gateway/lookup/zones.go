package lookup

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/net/publicsuffix"
)

// The breaker of a zone. After so many failures in a row it is open: whoever
// asks is told at once that nobody can tell. When its time is over one question
// at a time is let through, and the first answer closes it.
//
// A failure counts against a zone only when a server was there to speak of it:
// it answered SERVFAIL, or said nothing to this question while it answered
// another. When a server is silent to all, that says nothing of any zone.
const (
	breakAfter  = 5
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
	configured []string // canonical, the longest first
	share      int      // questions in flight below one domain

	mu    sync.Mutex
	known *simplelru.LRU[string, *zone]
}

// A zone is guarded by the lock of zones.
type zone struct {
	name     string
	failures int
	period   time.Duration
	since    time.Time
	until    time.Time
	trial    bool // a question was let through to try
	flying   int
	share    int
	last     error
}

func newZones(configured []string, maxQueries int) (*zones, error) {
	z := &zones{share: max(maxQueries/4, 8)}
	for _, name := range configured {
		one, err := canonical(name)
		if err != nil || one == "" {
			return nil, fmt.Errorf("zone %q: %w", name, ErrBadName)
		}
		z.configured = append(z.configured, one)
	}
	slices.SortFunc(z.configured, func(a, b string) int { return len(b) - len(a) })
	var err error
	z.known, err = simplelru.NewLRU[string, *zone](maxBreakers, nil)
	return z, err
}

// apex returns the zone that stands or falls with a name, as far as one can
// say that without asking: a configured one, the registered domain, or of
// addresses the network that is usually delegated.
func (z *zones) apex(name string) (apex string, configured bool) {
	for _, one := range z.configured {
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
func (z *zones) enter(name string, now time.Time) (*zone, error) {
	apex, configured := z.apex(name)
	z.mu.Lock()
	defer z.mu.Unlock()
	one, ok := z.known.Get(apex)
	if !ok {
		one = &zone{name: apex, share: z.share}
		if configured {
			one.share *= 2
		}
		z.known.Add(apex, one)
	}
	if one.failures >= breakAfter {
		if one.trial || now.Before(one.until) {
			return nil, fmt.Errorf("the zone %s is left alone after %d failures: %w", apex, one.failures, one.last)
		}
	}
	if one.flying >= one.share {
		return nil, ErrBusy
	}
	one.trial = one.failures >= breakAfter
	one.flying++
	return one, nil
}

// leave notes how a question went: err nil for an answer, blamed if the zone is
// to be blamed for the error. It returns whether the breaker opened or closed
// by that.
func (z *zones) leave(one *zone, err error, blamed bool, now time.Time) (opened, closed bool) {
	z.mu.Lock()
	defer z.mu.Unlock()
	one.flying--
	one.trial = false
	switch {
	case err == nil:
		closed = one.failures >= breakAfter
		one.failures, one.period, one.last = 0, 0, nil
	case blamed:
		if one.failures++; one.failures == 1 {
			one.since = now
		}
		one.last = err
		if one.failures >= breakAfter && !now.Before(one.until) {
			one.period = min(max(2*one.period, firstBreak), mostBreak)
			one.until = now.Add(one.period)
			opened = one.failures == breakAfter
		}
	}
	return opened, closed
}

// forgive closes all breakers.
func (z *zones) forgive() {
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, one := range z.known.Values() {
		one.failures, one.period = 0, 0
	}
}

func (z *zones) troubled() []ZoneState {
	z.mu.Lock()
	defer z.mu.Unlock()
	var list []ZoneState
	for _, one := range z.known.Values() {
		if one.failures >= breakAfter {
			list = append(list, ZoneState{one.name, one.failures, one.since, one.until, one.last.Error()})
		}
	}
	slices.SortFunc(list, func(a, b ZoneState) int { return strings.Compare(a.Name, b.Name) })
	return list
}
