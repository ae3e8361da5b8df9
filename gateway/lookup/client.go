package lookup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Config of a Client. The zero Config asks the servers of the system.
type Config struct {
	// Servers are the addresses of recursive resolvers, with a port or without
	// (53). None: those of the file ResolvConf ("": /etc/resolv.conf), which is
	// read again when it changes; if it names none, the one of this host.
	Servers    []string
	ResolvConf string
	// Timeout bounds a question, all attempts together; 3 s.
	Timeout time.Duration
	// Attempt bounds one attempt at one server; 1 s.
	Attempt time.Duration
	// CacheEntries and CacheBytes bound what is remembered; 50,000 and 32 MiB.
	CacheEntries int
	CacheBytes   int64
	// MaxQueries bounds the questions in flight; 500. What lies below one
	// domain takes at most a quarter of them, below one of the Zones half. Four
	// times as many may wait for a place: see the type flights.
	MaxQueries int
	// Zones, such as lists, stand or fall as a whole. Of other names those stand
	// or fall together that are below one registered domain. Zones are ready
	// when everybody asks for other names, and the other way round: each of the
	// two has a quarter of MaxQueries for itself.
	Zones []string
	Now   func() time.Time // for tests; time.Now
	Log   *slog.Logger     // of servers and zones that fail and come back; nil: nowhere
}

// A Client is a Resolver that asks recursive resolvers over the network. It
// trusts no reply that does not fit to the question in every respect, remembers
// answers, asks each question once however many want to know, and leaves
// servers and zones alone that do not answer.
type Client struct {
	config Config
	now    func() time.Time
	log    *slog.Logger
	ups    *upstreams
	zones  *zones
	cache  *cache

	life    context.Context // ends by Close
	end     context.CancelFunc
	running sync.WaitGroup // flights and probes

	mu      sync.Mutex
	closed  bool
	flights *flights
	warned  time.Time // of ErrBusy
	told    time.Time // of a zone that is not configured
	untold  int       // of how many others since

	stats struct{ coalesced, forged, tcp, busy atomic.Uint64 }
}

// ErrBusy means that too many questions are under way, and wait; nobody was asked.
var ErrBusy = errors.New("too many questions of DNS at once")

var errClosed = errors.New("the DNS client is closed")

// Stats count since the start.
type Stats struct {
	Hits, Misses uint64 // of the cache
	Entries      int    // in the cache now
	Bytes        int64  // in the cache now, about
	InFlight     int    // questions now
	Waiting      int    // questions now, for a place
	Coalesced    uint64 // questions that waited for the answer to another's
	Forged       uint64 // replies that did not fit to the question
	TCP          uint64 // questions that were asked again by TCP
	Busy         uint64 // questions that were not asked: ErrBusy
}

// New returns a client. It asks nothing yet.
func New(config Config) (*Client, error) {
	config.Timeout = cmp.Or(config.Timeout, 3*time.Second)
	config.CacheEntries = cmp.Or(config.CacheEntries, 50_000)
	config.CacheBytes = cmp.Or(config.CacheBytes, 32<<20)
	config.MaxQueries = cmp.Or(config.MaxQueries, 500)
	if config.Timeout < 0 || config.Attempt < 0 || config.CacheEntries < 0 || config.CacheBytes < 0 || config.MaxQueries < 0 {
		return nil, errors.New("DNS client: a limit is negative")
	}
	c := &Client{config: config, now: config.Now, log: config.Log, flights: newFlights(config.MaxQueries)}
	if c.now == nil {
		c.now = time.Now
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if c.ups, err = newUpstreams(config.Servers); err != nil {
		return nil, err
	}
	if len(config.Servers) == 0 {
		c.ups.file = cmp.Or(config.ResolvConf, systemFile)
	}
	if c.zones, err = newZones(config.Zones, config.MaxQueries); err != nil {
		return nil, err
	}
	if c.cache, err = newCache(config.CacheEntries, config.CacheBytes); err != nil {
		return nil, err
	}
	c.life, c.end = context.WithCancel(context.Background())
	return c, nil
}

// Close ends what is under way, and waits for it.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.end()
	c.running.Wait()
	return nil
}

// begin counts a goroutine in, unless the client is closed.
func (c *Client) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.running.Add(1)
	return true
}

// Query answers from the cache, or asks. It returns when ctx ends, and at the
// latest after Config.Timeout. The error is ErrNoName or ErrNoData when DNS says
// so (ErrBadName without asking), ErrBusy when too much is under way.
func (c *Client) Query(ctx context.Context, name string, kind Kind) (Answer, error) {
	return c.query(ctx, name, kind, false)
}

// Fresh returns the client as a Resolver whose answers do not come out of the
// cache, for who wants to know whether servers answer now.
func (c *Client) Fresh() Resolver { return freshResolver{c} }

type freshResolver struct{ *Client }

func (r freshResolver) Query(ctx context.Context, name string, kind Kind) (Answer, error) {
	return r.query(ctx, name, kind, true)
}

func (c *Client) query(ctx context.Context, name string, kind Kind, fresh bool) (Answer, error) {
	name, err := canonical(name)
	if err != nil {
		return Answer{}, err
	}
	switch kind {
	case A, NS, CNAME, PTR, MX, TXT, AAAA:
	default:
		return Answer{}, fmt.Errorf("asking for %s records is not supported", kind)
	}
	q := question{name, kind}
	if !fresh {
		if answer, err, ok := c.cache.get(q, c.now()); ok {
			return answer, err
		}
	}
	f, err := c.join(ctx, q)
	if err != nil {
		return Answer{}, err
	}
	defer c.leave(f)
	select {
	case <-f.done:
	case <-f.ctx.Done():
	case <-ctx.Done():
	}
	select {
	case <-f.done:
		return f.answer, f.err
	default:
	}
	cause := ctx.Err()
	if cause == nil {
		cause = errSilent
	}
	return Answer{}, fmt.Errorf("asking for %s %s: %w", name, kind, cause)
}

// attemptOf is how long an attempt may last. What resolv.conf wishes holds
// unless the configuration says something else, from one second to half of all
// the time.
func (c *Client) attemptOf(patience time.Duration) time.Duration {
	if c.config.Attempt > 0 {
		return min(c.config.Attempt, c.config.Timeout)
	}
	return min(max(patience, time.Second), max(c.config.Timeout/2, min(time.Second, c.config.Timeout)))
}

func (c *Client) attempt() time.Duration { return c.attemptOf(0) }

// Servers tells of the servers.
func (c *Client) Servers() []ServerState {
	now := c.now()
	list, _, _ := c.ups.current(now)
	states := make([]ServerState, len(list))
	for i, s := range list {
		states[i] = s.state(now)
	}
	return states
}

// SetZones replaces Config.Zones, while questions are under way. It is an error,
// and nothing changes, if one of them is no name.
func (c *Client) SetZones(names []string) error { return c.zones.configure(names) }

// Troubled tells of the zones whose breakers are open, or closed on trial.
func (c *Client) Troubled() []ZoneState { return c.zones.troubled() }

// Stats counts.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	s := Stats{InFlight: c.flights.underWay(), Waiting: c.flights.waiting()}
	c.mu.Unlock()
	s.Coalesced, s.Forged = c.stats.coalesced.Load(), c.stats.forged.Load()
	s.TCP, s.Busy = c.stats.tcp.Load(), c.stats.busy.Load()
	c.cache.mu.Lock()
	defer c.cache.mu.Unlock()
	s.Hits, s.Misses = c.cache.hits, c.cache.misses
	s.Entries, s.Bytes = c.cache.entries.Len(), c.cache.bytes
	return s
}
