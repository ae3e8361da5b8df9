package wire

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// limits counts connections, in all and per client, and the octets of messages
// under way. Listeners may share one.
type limits struct {
	maxSessions, maxPerClient int
	trusted                   func(netip.Addr) bool // nil: nobody
	maxMemory, maxHeld        int64                 // for all, and for one client
	began                     time.Time

	refused atomic.Int64
	memory  atomic.Int64

	countMu   sync.Mutex
	count     int
	clients   map[netip.Prefix]int
	listeners []*Listener // that share the limits

	heldMu sync.Mutex
	held   map[netip.Prefix]int64 // octets of memory, by client
}

func newLimits(cfg Config) *limits {
	l := &limits{maxSessions: cfg.MaxSessions, maxPerClient: cfg.MaxSessionsPerClient, trusted: cfg.Trusted, maxMemory: cfg.Memory, began: time.Now()}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err == nil {
		l.maxSessions = fitting(l.maxSessions, files.Cur)
	}
	l.clients, l.held = make(map[netip.Prefix]int), make(map[netip.Prefix]int64)
	l.maxHeld = max(cfg.Memory/4, cfg.MaxMessageBytes+2*leastSpace)
	return l
}

// fitting returns how many sessions there may be when so many are wanted, a
// negative number meaning all, and there are so many file descriptors. A quarter
// of them is left to what must be done for sessions: spool files, deliveries,
// DNS.
func fitting(sessions int, files uint64) int {
	most := int(min(files, 1<<30) / 4 * 3)
	if sessions < 0 || sessions > most {
		return most
	}
	return sessions
}

// network is what counts as one client: an IPv4 address, or an IPv6 /64, which
// is what one customer usually has. The zero prefix stands for a client whose
// address is unknown, or who is trusted; it has no limit of its own.
func (l *limits) network(a netip.Addr) netip.Prefix {
	if l.trusted != nil && l.trusted(a) {
		return netip.Prefix{}
	}
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}

// admit counts a new connection from a network, or returns the refusal that it
// gets.
func (l *limits) admit(key netip.Prefix) *Reply {
	l.countMu.Lock()
	defer l.countMu.Unlock()
	full := l.maxSessions >= 0 && l.count >= l.maxSessions
	if full && l.count >= l.maxSessions+max(1, l.maxSessions/10) {
		// So many were told to leave and have not yet done so.
		l.refused.Add(1)
		return tooMany
	}
	crowd := key.IsValid() && l.maxPerClient >= 0 && l.clients[key] >= l.maxPerClient
	switch {
	case full && (crowd || !l.evict(false)):
		l.refused.Add(1)
		return tooMany
	case crowd:
		l.refused.Add(1)
		return &Reply{Code: 421, Enhanced: "4.7.0", Text: "too many connections from your address"}
	}
	if key.IsValid() {
		l.clients[key]++
	}
	l.count++
	return nil
}

var tooMany = &Reply{Code: 421, Enhanced: "4.3.2", Text: "too many connections, try again later"}

// patience is how long a client may be slow when others find no room: with its
// next command, with the handshake of TLS, and with every so many octets of a
// message (MinRate of that time). RFC 5321 section 4.5.3.2 would have us wait for
// minutes; but then whoever opens connections and says nothing, or next to
// nothing, keeps everybody out.
const patience = 10 * time.Second

// since is a time that no change of the clock can touch: never 0, and growing by
// one every nanosecond.
func (l *limits) since() int64 { return int64(time.Since(l.began)) + 1 }

// evicted is what Conn.waiting says of a client that has to leave.
const evicted = -1

// evict makes the slowest client leave, and reports whether there was one that
// had its time. Whoever waits for us is not slow. With holding, only those count
// that hold memory for a message. It is called with countMu locked.
func (l *limits) evict(holding bool) bool {
	var longest *Conn
	var begin int64
	for _, listener := range l.listeners {
		listener.mu.Lock()
		for c := range listener.conns {
			if at := c.waiting.Load(); at > 0 && (longest == nil || at < begin) && (!holding || c.held.Load() > 0) {
				longest, begin = c, at
			}
		}
		listener.mu.Unlock()
	}
	if longest == nil || time.Duration(l.since()-begin) < patience || !longest.waiting.CompareAndSwap(begin, evicted) {
		return false
	}
	longest.raw.SetDeadline(time.Unix(1, 0))
	return true
}

// leave takes back what admit counted.
func (l *limits) leave(key netip.Prefix) {
	l.countMu.Lock()
	defer l.countMu.Unlock()
	l.count--
	if l.clients[key]--; l.clients[key] <= 0 {
		delete(l.clients, key)
	}
}

// acquire takes n octets from the memory for messages for a client, unless they
// are not there. No client gets more than a quarter of the memory, or what one
// message of the greatest size needs; and where the memory is taken by others,
// those leave that are slow.
func (l *limits) acquire(c *Conn, n int64) bool {
	if !l.take(c.network, n) {
		return false
	}
	leaving := false
	for end := time.Now().Add(2 * time.Second); l.memory.Add(n) > l.maxMemory; time.Sleep(20 * time.Millisecond) {
		l.memory.Add(-n)
		l.countMu.Lock()
		leaving = l.evict(true) || leaving
		l.countMu.Unlock()
		if !leaving || time.Now().After(end) {
			l.take(c.network, -n)
			return false
		}
	}
	c.held.Add(n)
	return true
}

// take counts octets against a client's part of the memory, if they are within
// it.
func (l *limits) take(client netip.Prefix, n int64) bool {
	if !client.IsValid() {
		return true
	}
	l.heldMu.Lock()
	defer l.heldMu.Unlock()
	held := l.held[client] + n
	if n > 0 && held > l.maxHeld {
		return false
	}
	if held == 0 {
		delete(l.held, client)
	} else {
		l.held[client] = held
	}
	return true
}

// release gives back all that a client has acquired.
func (l *limits) release(c *Conn) {
	if n := c.held.Swap(0); n > 0 {
		l.memory.Add(-n)
		l.take(c.network, -n)
	}
}
