package lookup

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	systemFile  = "/etc/resolv.conf"
	reread      = 5 * time.Second // how often it is looked at
	maxServers  = 8
	libcTimeout = 5 // seconds, of resolv.conf, when it says nothing
)

// Upstreams are the servers that are asked: those of the configuration, or those
// of resolv.conf, which is read again when it changes.
type upstreams struct {
	file string // "": the list never changes

	mu      sync.Mutex
	list    []*server
	attempt time.Duration // as the file says; 0: it does not
	rounds  int           // attempts at each server
	looked  time.Time
	changed time.Time // the time of the file that was read
}

// newUpstreams takes addresses of servers, with or without port 53.
func newUpstreams(addresses []string) (*upstreams, error) {
	u := &upstreams{rounds: 3}
	for _, address := range addresses {
		one, err := withPort(address, "53")
		if err != nil {
			return nil, fmt.Errorf("DNS server %q: %w", address, err)
		}
		if !slices.ContainsFunc(u.list, func(s *server) bool { return s.address == one }) {
			u.list = append(u.list, &server{address: one})
		}
	}
	return u, nil
}

func withPort(address, port string) (string, error) {
	if a, err := netip.ParseAddr(address); err == nil {
		return net.JoinHostPort(a.String(), port), nil
	}
	one, err := netip.ParseAddrPort(address)
	if err != nil || one.Port() == 0 {
		return "", fmt.Errorf("not an IP address with or without a port")
	}
	return one.String(), nil
}

// current returns the servers, and how patient resolv.conf wants us to be.
func (u *upstreams) current(now time.Time) (list []*server, attempt time.Duration, rounds int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.file != "" && (u.list == nil || now.Sub(u.looked) >= reread) {
		u.looked = now
		u.look()
	}
	return u.list, u.attempt, u.rounds
}

// look reads the file if it changed. One that cannot be read changes nothing;
// without any, the server is the one of this host (resolv.conf(5)).
func (u *upstreams) look() {
	info, err := os.Stat(u.file)
	if err == nil && u.list != nil && info.ModTime().Equal(u.changed) {
		return
	}
	var conf *dns.ClientConfig
	if err == nil {
		conf, err = dns.ClientConfigFromFile(u.file)
	}
	if err != nil {
		if u.list == nil {
			u.list = thisHost()
		}
		return
	}
	u.changed = info.ModTime()
	var list []*server
	for _, name := range conf.Servers {
		address, err := withPort(name, conf.Port)
		if err != nil || len(list) == maxServers || slices.ContainsFunc(list, func(s *server) bool { return s.address == address }) {
			continue
		}
		i := slices.IndexFunc(u.list, func(s *server) bool { return s.address == address })
		if i >= 0 {
			list = append(list, u.list[i]) // what is known of it stays known
		} else {
			list = append(list, &server{address: address})
		}
	}
	if len(list) == 0 {
		list = thisHost()
	}
	u.list = list
	u.attempt = 0
	if conf.Timeout != libcTimeout {
		u.attempt = time.Duration(conf.Timeout) * time.Second
	}
	u.rounds = min(max(conf.Attempts, 2), 3)
}

func thisHost() []*server {
	return []*server{{address: "127.0.0.1:53"}, {address: "[::1]:53"}}
}
