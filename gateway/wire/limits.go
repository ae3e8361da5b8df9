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
	maxMemory                 int64
	began                     time.Time

	refused atomic.Int64
	memory  atomic.Int64

	countMu   sync.Mutex
	count     int
	clients   map[netip.Prefix]int
	listeners []*Listener // that share the limits
}

func newLimits(cfg Config) *limits {
	l := &limits{maxSessions: cfg.MaxSessions, maxPerClient: cfg.MaxSessionsPerClient, trusted: cfg.Trusted, maxMemory: cfg.Memory, began: time.Now()}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err == nil {
		l.maxSessions = fitting(l.maxSessions, files.Cur)
	}
	l.clients = make(map[netip.Prefix]int)
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
	if full && l.count >= l.maxSessions+l.maxSessions/10 {
		// So many were told to leave and have not yet done so.
		l.refused.Add(1)
		return tooMany
	}
	if key.IsValid() {
		if l.maxPerClient >= 0 && l.clients[key] >= l.maxPerClient {
			l.refused.Add(1)
			return &Reply{Code: 421, Enhanced: "4.7.0", Text: "too many connections from your address"}
		}
	}
	if full && !l.evict() {
		l.refused.Add(1)
		return tooMany
	}
	if key.IsValid() {
		l.clients[key]++
	}
	l.count++
	return nil
}

var tooMany = &Reply{Code: 421, Enhanced: "4.3.2", Text: "too many connections, try again later"}

// patience is how long a client may think about its next command when others
// find no room. RFC 5321 section 4.5.3.2 would have us wait for minutes; but
// then whoever opens connections and says nothing keeps everybody out.
const patience = 10 * time.Second

// since is a time that no change of the clock can touch: never 0, and growing by
// one every nanosecond.
func (l *limits) since() int64 { return int64(time.Since(l.began)) + 1 }

// evicted is what Conn.waiting says of a client that has to leave.
const evicted = -1

// evict makes the client leave that has been waited for longest, and reports
// whether there was one that had its time. One that is sending a command word by
// word is waited for; one whose message is read or judged is not. It is called
// with countMu locked.
func (l *limits) evict() bool {
	var longest *Conn
	var begin int64
	for _, listener := range l.listeners {
		listener.mu.Lock()
		for c := range listener.conns {
			if at := c.waiting.Load(); at > 0 && (longest == nil || at < begin) {
				longest, begin = c, at
			}
		}
		listener.mu.Unlock()
	}
	if longest == nil || time.Duration(l.since()-begin) < patience || !longest.waiting.CompareAndSwap(begin, evicted) {
		return false
	}
	longest.wake()
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

// acquire takes n octets from the memory for messages, unless they are not
// there.
func (l *limits) acquire(n int64) bool {
	if l.memory.Add(n) > l.maxMemory {
		l.memory.Add(-n)
		return false
	}
	return true
}

// release gives n octets back.
func (l *limits) release(n int64) { l.memory.Add(-n) }
