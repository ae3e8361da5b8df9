package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// patience is how often a server that was found dead is waited for at full length all the same.
const patience = 30 * time.Minute

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

// maxKept times Config.MaxIdle is how many idle connections there may be to all servers together (a few more in a race): a queue that
// empties after an outage talks to very many servers within IdleTime.
const maxKept = 10

// forgetAfter is how long a server or a route that nobody asked for is remembered. It bounds the pool: what is in it was in the
// configuration then. That a server is dead is remembered longer, since the pauses of the queue are longer.
const (
	forgetAfter = 10 * time.Minute
	forgetDead  = time.Hour
)

// An endpoint is a server and how it is talked to. What is known of one, above all its connections, is never used for another: a
// connection made under a weaker policy is not one of the stronger.
type endpoint struct {
	address string // "host:port"
	mode    TLSMode
	source  netip.Addr
	pins    string // separated by spaces
}

// A server is what is remembered of one endpoint between attempts.
type server struct {
	endpoint

	mu         sync.Mutex
	used       time.Time
	idle       []*conn // oldest first
	timer      *time.Timer
	deadUntil  time.Time
	pause      time.Duration // of the last time it was found dead; 0 = it is not
	calls      int           // connections being made: no greeting and EHLO reply yet
	plainUntil time.Time     // its TLS handshake failed: with TLSMay no STARTTLS until then
	silent     time.Time     // no callout until then: the last one had no answer
	patient    time.Time     // when it was waited for at full length last
	gone       bool          // it was forgotten: keeps no connections
}

// A path is what is remembered of one route between attempts.
type path struct {
	turn     uint64 // of its servers
	used     time.Time
	callouts chan struct{} // a place for each callout at the same time
}

// A pool is what is remembered of all servers and routes.
type pool struct {
	kept atomic.Int64 // idle connections of all servers

	mu      sync.Mutex
	servers map[endpoint]*server
	paths   map[string]*path // by Route.identity
	swept   time.Time
}

func newPool(now time.Time) *pool {
	return &pool{servers: map[endpoint]*server{}, paths: map[string]*path{}, swept: now}
}

// maxCalls is how many attempts wait for one server to answer while there are others to ask. A server that accepts connections and
// then says nothing would otherwise stop the whole queue until the greeting's time is up.
const maxCalls = 4

// order returns each server of a route once: first the one whose turn it is, then the others in the route's order, then those that
// enough attempts wait for already, those found dead last.
func (r *Relay) order(g *group) []*server {
	list, err := endpoints(g.route)
	if err != nil {
		r.cfg.Log.Warn("server skipped", "route", g.route.Name, "error", err)
	}
	if len(list) == 0 {
		return nil
	}
	now := r.cfg.Now()
	servers := r.pool.pick(g.identity, list, now)
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

// endpoints returns the servers of a route; the error is about those that are left out.
func endpoints(route Route) ([]endpoint, error) {
	mode := route.TLS
	switch mode {
	case "":
		mode = TLSMay
	case TLSOff, TLSMay, TLSEncrypt, TLSVerify:
	default:
		return nil, fmt.Errorf("TLS mode %q is none of off, may, encrypt, verify", mode)
	}
	pins := ""
	if mode == TLSVerify {
		pins = strings.Join(route.Pins, " ")
	}
	list := make([]endpoint, 0, len(route.Servers))
	var errs []error
	for _, name := range route.Servers {
		address, err := ParseServer(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		list = append(list, endpoint{address: address, mode: mode, source: route.Source, pins: pins})
	}
	return list, errors.Join(errs...)
}

// path returns what is remembered of a route. The pool must be locked.
func (p *pool) path(identity string, now time.Time) *path {
	x := p.paths[identity]
	if x == nil {
		x = &path{callouts: make(chan struct{}, maxCallouts)}
		p.paths[identity] = x
	}
	x.used = now
	return x
}

// places returns the places for the callouts of a route.
func (p *pool) places(identity string, now time.Time) chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.path(identity, now).callouts
}

// pick returns the list's servers beginning with the one whose turn it is.
func (p *pool) pick(identity string, list []endpoint, now time.Time) []*server {
	p.mu.Lock()
	x := p.path(identity, now)
	first := int(x.turn % uint64(len(list)))
	x.turn++
	servers := make([]*server, 0, len(list))
	for i := range list {
		e := list[(first+i)%len(list)]
		s := p.servers[e]
		if s == nil {
			s = &server{endpoint: e}
			p.servers[e] = s
		}
		if !slices.Contains(servers, s) {
			servers = append(servers, s)
		}
		s.mu.Lock()
		s.used = now
		s.mu.Unlock()
	}
	var old []*conn
	// A clock that was set back must not stop the sweeping.
	if d := now.Sub(p.swept); d > forgetAfter/10 || d < 0 {
		p.swept = now
		old = p.forget(now)
	}
	p.mu.Unlock()
	if len(old) > 0 {
		go quitAll(old)
	}
	return servers
}

// forget drops what was not used for a while and returns its idle connections. The pool must be locked.
func (p *pool) forget(now time.Time) (idle []*conn) {
	for e, s := range p.servers {
		s.mu.Lock()
		limit := forgetAfter
		if s.pause != 0 {
			limit = forgetDead
		}
		if now.Sub(s.used) > limit {
			delete(p.servers, e)
			p.kept.Add(-int64(len(s.idle)))
			idle = append(idle, s.idle...)
			s.idle, s.gone = nil, true
		}
		s.mu.Unlock()
	}
	for id, x := range p.paths {
		if now.Sub(x.used) > forgetAfter && len(x.callouts) == 0 {
			delete(p.paths, id)
		}
	}
	return idle
}

// empty forgets everything and returns the idle connections.
func (p *pool) empty() (idle []*conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for e, s := range p.servers {
		s.mu.Lock()
		delete(p.servers, e)
		p.kept.Add(-int64(len(s.idle)))
		idle = append(idle, s.idle...)
		s.idle, s.gone = nil, true
		s.mu.Unlock()
	}
	clear(p.paths)
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
		r.pool.kept.Add(-1)
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
	full := s.gone || c.since.Sub(c.born) > r.cfg.MaxAge || len(s.idle) >= r.cfg.MaxIdle || r.pool.kept.Load() >= int64(maxKept*r.cfg.MaxIdle)
	if !full {
		r.pool.kept.Add(1)
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
	r.pool.kept.Add(-int64(n))
	if len(s.idle) > 0 {
		s.timer.Reset(max(time.Millisecond, r.cfg.IdleTime-time.Since(s.idle[0].since)))
	} else {
		s.timer = nil
	}
	s.mu.Unlock()
	quitAll(old)
}
