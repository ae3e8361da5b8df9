package relay

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// How long a server that was found dead is asked last. RFC 5321 section 4.5.4.1: a client should keep a list of hosts it
// cannot reach, so that it need not try each of them for each message.
const (
	deadFirst = 10 * time.Second
	deadMax   = 60 * time.Second
)

// ParseServer returns "host[:port]" as "host:port", port 25 if none is given. An IPv6 address may stand alone or in brackets.
func ParseServer(s string) (string, error) {
	s = strings.TrimSpace(s)
	host, port := s, "25"
	switch {
	case strings.Count(s, ":") > 1 && !strings.HasPrefix(s, "["):
		// An IPv6 address alone.
	case strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]"):
		host = s[1 : len(s)-1]
	case strings.Contains(s, ":"):
		var err error
		if host, port, err = net.SplitHostPort(s); err != nil {
			return "", fmt.Errorf("server %q: not host[:port]", s)
		}
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || strings.HasPrefix(port, "+") {
		return "", fmt.Errorf("server %q: port %q is not 1 to 65535", s, port)
	}
	if strings.Contains(host, ":") {
		address, _, _ := strings.Cut(host, "%")
		if net.ParseIP(address) == nil {
			return "", fmt.Errorf("server %q: %q is no IPv6 address", s, host)
		}
	} else if !domainOK(host) || host[0] == '[' || strings.HasPrefix(host, ".") || strings.Contains(host, "..") {
		return "", fmt.Errorf("server %q: %q is no host name or address", s, host)
	}
	return net.JoinHostPort(host, port), nil
}

// A pool knows the servers of the list, and no others.
type pool struct {
	mu    sync.Mutex
	state map[string]*server // by "host:port"
	turn  uint64
}

// A server is what is remembered of one next hop between attempts.
type server struct {
	address string

	mu         sync.Mutex
	idle       []*conn // oldest first
	timer      *time.Timer
	deadUntil  time.Time
	pause      time.Duration // of the last time it was found dead; 0 = it is not
	calls      int           // connections being made: no greeting and EHLO reply yet
	plainUntil time.Time     // its TLS handshake failed: with TLSMay no STARTTLS until then
	gone       bool          // it left the list: keeps no connections
}

// maxCalls is how many attempts wait for one server to answer while there are others to ask. A server that accepts connections and
// then says nothing would otherwise stop the whole queue until the greeting's time is up.
const maxCalls = 4

// order returns each server of the list once: first the one whose turn it is, then the others in the list's order, then those that
// enough attempts wait for already, those found dead last.
func (r *Relay) order() []*server {
	names := r.cfg.Servers()
	list := make([]string, 0, len(names))
	for _, name := range names {
		address, err := ParseServer(name)
		if err != nil {
			r.cfg.Log.Warn("server skipped", "error", err)
			continue
		}
		list = append(list, address)
	}
	if len(list) == 0 {
		go quitAll(r.pool.drop(nil))
		return nil
	}
	servers := r.pool.pick(list)
	now := r.cfg.Now()
	alive := make([]*server, 0, len(servers))
	var silent, dead []*server
	for _, s := range servers {
		s.mu.Lock()
		if now.Before(s.deadUntil) {
			dead = append(dead, s)
		} else if s.calls >= maxCalls && len(s.idle) == 0 {
			silent = append(silent, s)
		} else {
			alive = append(alive, s)
		}
		s.mu.Unlock()
	}
	return append(append(alive, silent...), dead...)
}

// pick returns the list's servers beginning with the one whose turn it is, and forgets those that left the list.
func (p *pool) pick(list []string) []*server {
	p.mu.Lock()
	first := int(p.turn % uint64(len(list)))
	p.turn++
	servers := make([]*server, 0, len(list))
	seen := make(map[string]bool, len(list))
	for i := range list {
		address := list[(first+i)%len(list)]
		if seen[address] {
			continue
		}
		seen[address] = true
		s := p.state[address]
		if s == nil {
			s = &server{address: address}
			p.state[address] = s
		}
		servers = append(servers, s)
	}
	left := len(p.state) > len(servers)
	p.mu.Unlock()
	if left {
		go quitAll(p.drop(seen))
	}
	return servers
}

// drop forgets all servers but those in keep and returns their idle connections.
func (p *pool) drop(keep map[string]bool) (idle []*conn) {
	p.mu.Lock()
	var gone []*server
	for address, s := range p.state {
		if !keep[address] {
			gone = append(gone, s)
			delete(p.state, address)
		}
	}
	p.mu.Unlock()
	for _, s := range gone {
		s.mu.Lock()
		idle = append(idle, s.idle...)
		s.idle, s.gone = nil, true
		s.mu.Unlock()
	}
	return idle
}

// quitAll ends connections side by side; it takes at most quitTime.
func quitAll(conns []*conn) {
	var wg sync.WaitGroup
	for _, c := range conns {
		wg.Go(c.quit)
	}
	wg.Wait()
}

// down marks a server as dead for a while, longer each time in a row. Many attempts that find the same at the same time are one time.
func (r *Relay) down(s *server, f *fault) {
	if !f.down {
		return
	}
	now := r.cfg.Now()
	s.mu.Lock()
	if now.Before(s.deadUntil) {
		s.mu.Unlock()
		return
	}
	s.pause = min(max(2*s.pause, deadFirst), deadMax)
	s.deadUntil = now.Add(s.pause)
	pause := s.pause
	s.mu.Unlock()
	r.cfg.Log.Warn("server is down", "server", s.address, "reply", f.reply, "pause", pause)
}

// up marks a server as alive.
func (r *Relay) up(s *server) {
	s.mu.Lock()
	was := s.pause
	s.pause, s.deadUntil = 0, time.Time{}
	s.mu.Unlock()
	if was != 0 {
		r.cfg.Log.Info("server is up again", "server", s.address)
	}
}

// connect returns a connection on which a transaction can begin: one from the pool, unless a fresh one is asked for.
func (r *Relay) connect(ctx context.Context, s *server, fresh bool) (*conn, *fault) {
	for !fresh {
		s.mu.Lock()
		n := len(s.idle)
		if n == 0 {
			s.mu.Unlock()
			break
		}
		c := s.idle[n-1]
		s.idle = s.idle[:n-1]
		s.mu.Unlock()
		if time.Since(c.since) < r.cfg.IdleTime && c.quiet() {
			c.bind(ctx)
			return c, nil
		}
		c.close()
	}
	return r.dial(ctx, s)
}

// keep puts a connection back into its server's pool, or ends it.
func (r *Relay) keep(c *conn) {
	r.up(c.server)
	c.uses++
	if !c.rest() {
		c.close()
		return
	}
	s := c.server
	c.since = time.Now()
	s.mu.Lock()
	full := s.gone || c.since.Sub(c.born) > r.cfg.MaxAge || len(s.idle) >= r.cfg.MaxIdle
	if !full {
		s.idle = append(s.idle, c)
		if s.timer == nil {
			s.timer = time.AfterFunc(r.cfg.IdleTime, func() { r.expire(s) })
		}
	}
	s.mu.Unlock()
	if full {
		c.quit()
	}
}

// expire ends the connections of s that were idle for too long, and comes again while there are others.
func (r *Relay) expire(s *server) {
	s.mu.Lock()
	n := 0
	for n < len(s.idle) && time.Since(s.idle[n].since) >= r.cfg.IdleTime {
		n++
	}
	old := append([]*conn(nil), s.idle[:n]...)
	s.idle = append(s.idle[:0], s.idle[n:]...)
	if len(s.idle) > 0 {
		s.timer.Reset(max(time.Millisecond, r.cfg.IdleTime-time.Since(s.idle[0].since)))
	} else {
		s.timer = nil
	}
	s.mu.Unlock()
	quitAll(old)
}
