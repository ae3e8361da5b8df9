package wire

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
)

// limits counts connections, in all and per client, and the octets of messages
// under way. Listeners may share one.
type limits struct {
	maxSessions, maxPerClient int
	trusted                   func(netip.Addr) bool // nil: nobody
	maxMemory                 int64

	refused atomic.Int64
	memory  atomic.Int64

	countMu sync.Mutex
	count   int
	clients map[netip.Prefix]int
}

func newLimits(cfg Config) *limits {
	l := &limits{maxSessions: cfg.MaxSessions, maxPerClient: cfg.MaxSessionsPerClient, trusted: cfg.Trusted, maxMemory: cfg.Memory}
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
	if l.maxSessions >= 0 && l.count >= l.maxSessions {
		l.refused.Add(1)
		return &Reply{Code: 421, Enhanced: "4.3.2", Text: "too many connections, try again later"}
	}
	if key.IsValid() {
		if l.maxPerClient >= 0 && l.clients[key] >= l.maxPerClient {
			l.refused.Add(1)
			return &Reply{Code: 421, Enhanced: "4.7.0", Text: "too many connections from your address"}
		}
		l.clients[key]++
	}
	l.count++
	return nil
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
