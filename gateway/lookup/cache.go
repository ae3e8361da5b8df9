package lookup

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// How long a failure is remembered (RFC 9520 section 3.2: at least one second,
// at most five minutes): the first one this long, each further one in a row
// twice as long. The most is well below what the RFC allows, because it bounds
// how long trouble of ours outlives its cause.
const (
	firstFailure = 5 * time.Second
	mostFailure  = 30 * time.Second
)

// A question is a canonical name and a kind. Kind 0 is every kind: the name
// does not exist.
type question struct {
	name string
	kind Kind
}

// A cache keeps answers till their time is over, the least used going first
// when there are too many, or too many octets of them.
type cache struct {
	mu       sync.Mutex
	entries  *simplelru.LRU[question, entry]
	bytes    int64
	maxBytes int64
	hits     uint64
	misses   uint64
}

type entry struct {
	records  []Record
	err      error // ErrNoName, ErrNoData, or why nobody could tell
	until    time.Time
	size     int64
	failures int // in a row
}

func newCache(entries int, bytes int64) (*cache, error) {
	c := &cache{maxBytes: bytes}
	var err error
	c.entries, err = simplelru.NewLRU(entries, func(_ question, e entry) { c.bytes -= e.size })
	return c, err
}

// get returns an answer that still holds.
func (c *cache) get(q question, now time.Time) (Answer, error, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range [2]question{q, {q.name, 0}} {
		if e, ok := c.entries.Get(key); ok && now.Before(e.until) {
			c.hits++
			return Answer{Records: e.records, TTL: e.until.Sub(now)}, e.err, true
		}
	}
	c.misses++
	return Answer{}, nil, false
}

// put remembers an answer, and an error as an answer too.
func (c *cache) put(q question, records []Record, ttl time.Duration, err error, now time.Time) {
	e := entry{records: records, err: err, until: now.Add(ttl), size: 200 + int64(len(q.name))}
	for _, record := range records {
		e.size += 64 + int64(len(record.Text))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(q, e)
}

// fail remembers that nobody could tell, and returns till when.
func (c *cache) fail(q question, err error, now time.Time) {
	e := entry{err: err, failures: 1, size: 300 + int64(len(q.name))}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.entries.Peek(q); ok {
		e.failures += old.failures
	}
	e.until = now.Add(min(firstFailure<<min(e.failures-1, 10), mostFailure))
	c.add(q, e)
}

// forget drops the failures, since their cause is gone.
func (c *cache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, q := range c.entries.Keys() {
		if e, ok := c.entries.Peek(q); ok && e.failures > 0 {
			c.entries.Remove(q)
		}
	}
}

func (c *cache) add(q question, e entry) {
	if old, ok := c.entries.Peek(q); ok {
		c.bytes -= old.size
	}
	c.bytes += e.size
	c.entries.Add(q, e)
	for c.bytes > c.maxBytes {
		if _, _, ok := c.entries.RemoveOldest(); !ok {
			break
		}
	}
}
