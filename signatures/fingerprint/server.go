package fingerprint

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// A ServerConfig says what a server answers for. Zero values mean the default
// given.
type ServerConfig struct {
	Zone   string // below which fingerprints are asked for, at most MaxZone characters
	Listen string // host:port, UDP and TCP; port 0 is chosen by the kernel
	Dir    string // of the store
	Keys   []Key

	Reporters  int           // that must say the same before anything is listed: 2
	HalfLife   time.Duration // of a report's weight: 7 days
	TTL        time.Duration // an entry that nobody reported for so long vanishes: 60 days
	AnswerTTL  time.Duration // of what is listed: 5 minutes
	AbsentTTL  time.Duration // of what is not: 1 minute
	MaxEntries int           // 500,000; a fuzzy one takes about 1 KiB; when there are as many, the reporter with the most unconfirmed ones loses his oldest
	Share      int           // entries of one reporter that nobody confirmed, and all his fuzzy ones: a quarter of MaxEntries
	Rate       int           // fingerprints that one reporter may report in an hour: 10,000
	SpareDisk  int64         // bytes that stay free: 256 MiB
	Workers    int           // UDP requests at work at a time: 4 for each processor
	Sessions   int           // TCP sessions at a time: 64; one client has a quarter of them at most, two at least

	Now func() time.Time
	Log *slog.Logger
}

// Stats count what a server did since it was made.
type Stats struct {
	Queries, Listed    uint64 // queries for fingerprints, and those answered with an address
	Reports, Refused   uint64 // reports of fingerprints taken, and messages with reports refused
	Entries            int    // in the store
	Dropped, Malformed uint64 // entries that vanished; messages that could not be read
	Panics             uint64 // requests that were given up because of a bug
}

// A Server answers queries for fingerprints by DNS over UDP and TCP from a
// store on disk, and takes signed reports (RFC 2136, RFC 8945).
type Server struct {
	c     ServerConfig
	zone  string // canonical, with final dot
	store *store
	keys  map[string]Key // by canonical name
	rate  map[string]*bucket
	udp   *net.UDPConn
	tcp   *net.TCPListener

	queries, listed, reports, refused, dropped, malformed, panics atomic.Uint64

	mu     sync.Mutex
	open   map[net.Conn]netip.Prefix // TCP sessions and whose they are
	ending bool
	// when the log was told of refused reports, and how many there were by then
	toldOf    time.Time
	toldTotal uint64
}

// NewServer opens the store and the sockets; Run answers.
func NewServer(c ServerConfig) (_ *Server, err error) {
	s := &Server{zone: dns.CanonicalName(c.Zone), keys: map[string]Key{}, rate: map[string]*bucket{}, open: map[net.Conn]netip.Prefix{}}
	if _, ok := dns.IsDomainName(c.Zone); !ok || s.zone == "." || len(s.zone)-1 > MaxZone {
		return nil, fmt.Errorf("zone %q: not the name of a zone of at most %d characters", c.Zone, MaxZone)
	}
	for to, value := range map[*time.Duration]time.Duration{&c.HalfLife: 7 * 24 * time.Hour, &c.TTL: 60 * 24 * time.Hour, &c.AnswerTTL: 5 * time.Minute, &c.AbsentTTL: time.Minute} {
		if *to <= 0 {
			*to = value
		}
	}
	for to, value := range map[*int]int{&c.Reporters: 2, &c.MaxEntries: 500_000, &c.Rate: 10_000, &c.Workers: 4 * runtime.GOMAXPROCS(0), &c.Sessions: 64} {
		if *to <= 0 {
			*to = value
		}
	}
	if c.Share <= 0 {
		c.Share = max(1, c.MaxEntries/4)
	}
	if c.SpareDisk <= 0 {
		c.SpareDisk = 256 << 20
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	for _, k := range c.Keys {
		if err := k.validate(); err != nil {
			return nil, err
		}
		name := dns.CanonicalName(k.Name)
		s.keys[name] = k
		s.rate[name] = &bucket{}
	}
	s.c = c
	if s.store, err = openStore(c.Dir, c.Log); err != nil {
		return nil, err
	}
	s.store.half, s.store.ttl, s.store.least, s.store.most, s.store.share, s.store.spare = c.HalfLife, c.TTL, c.Reporters, c.MaxEntries, c.Share, uint64(c.SpareDisk)
	if err := s.listen(); err != nil {
		return nil, errors.Join(fmt.Errorf("listening on %s: %w", c.Listen, err), s.Close())
	}
	return s, nil
}

// listen opens UDP and TCP on one port.
func (s *Server) listen() error {
	address, err := net.ResolveTCPAddr("tcp", s.c.Listen)
	if err != nil {
		return err
	}
	for range 10 { // the kernel's choice for TCP may be taken for UDP
		if s.tcp, err = net.ListenTCP("tcp", address); err != nil {
			return err
		}
		at := s.tcp.Addr().(*net.TCPAddr)
		if s.udp, err = net.ListenUDP("udp", &net.UDPAddr{IP: at.IP, Port: at.Port, Zone: at.Zone}); err == nil {
			return nil
		}
		s.tcp.Close()
		s.tcp = nil
		if address.Port != 0 {
			break
		}
	}
	return err
}

// Addr is where the server listens, host:port.
func (s *Server) Addr() string { return s.tcp.Addr().String() }

// Stats are the figures until now.
func (s *Server) Stats() Stats {
	return Stats{Queries: s.queries.Load(), Listed: s.listed.Load(), Reports: s.reports.Load(), Refused: s.refused.Load(),
		Dropped: s.dropped.Load(), Malformed: s.malformed.Load(), Panics: s.panics.Load(), Entries: s.store.entries()}
}

// sweepEvery is how often entries that are over are dropped.
const sweepEvery = time.Hour

// Run answers until ctx ends, then finishes what is under way.
func (s *Server) Run(ctx context.Context) error {
	var workers sync.WaitGroup
	for range s.c.Workers {
		workers.Go(s.serveUDP)
	}
	workers.Go(s.serveTCP)
	workers.Go(func() {
		tick := time.NewTicker(sweepEvery)
		defer tick.Stop()
		for {
			if _, err := s.Sweep(); err != nil {
				s.c.Log.Error("fingerprints", "error", err)
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	<-ctx.Done()
	s.udp.SetReadDeadline(time.Unix(1, 0)) // readers wake up, answers still go out
	s.tcp.Close()
	s.mu.Lock()
	s.ending = true
	for c := range s.open {
		c.SetReadDeadline(time.Unix(1, 0))
	}
	s.mu.Unlock()
	workers.Wait()
	return nil
}

// Sweep drops the entries that are over and tells how many. Run does it hourly.
func (s *Server) Sweep() (int, error) {
	n, err := s.store.sweep(s.c.Now())
	s.dropped.Add(uint64(n))
	return n, err
}

// Close closes the sockets and the store. Run must have ended.
func (s *Server) Close() error {
	if s.tcp != nil {
		s.tcp.Close()
		s.udp.Close()
	}
	if err := s.store.db.Close(); err != nil {
		return fmt.Errorf("closing the store: %w", err)
	}
	return nil
}

const (
	maxUDP     = 1232 // bytes of a reply by UDP to those that take as much (RFC 6891 section 6.2.5)
	maxRequest = 32 << 10
)

// serveUDP answers one request after another. There are as many of it as
// requests are worked on at a time; what comes faster waits in the kernel, or
// is lost.
func (s *Server) serveUDP() {
	buf := make([]byte, 4096)
	for {
		n, from, err := s.udp.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) || isTimeout(err) {
			return
		}
		if err != nil { // of one datagram, or the machine is short of something
			time.Sleep(10 * time.Millisecond)
			continue
		}
		if reply := s.handle(buf[:n], true); reply != nil {
			s.udp.WriteToUDPAddrPort(reply, from)
		}
	}
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// serveTCP takes sessions; those that are too many are closed at once.
func (s *Server) serveTCP() {
	var sessions sync.WaitGroup
	defer sessions.Wait()
	for {
		conn, err := s.tcp.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no descriptor is free, or the client is gone
			time.Sleep(10 * time.Millisecond)
			continue
		}
		if !s.admit(conn) {
			conn.Close()
			continue
		}
		sessions.Go(func() {
			s.session(conn)
			conn.Close()
			s.mu.Lock()
			delete(s.open, conn)
			s.mu.Unlock()
		})
	}
}

// admit counts a session, unless there are too many, or too many of its client:
// an IPv4 address or an IPv6 network of 64 bits.
func (s *Server) admit(conn *net.TCPConn) bool {
	address := conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap().WithZone("")
	client, _ := address.Prefix(min(64, address.BitLen())) // of a length that there is
	s.mu.Lock()
	defer s.mu.Unlock()
	its := 0
	for _, other := range s.open {
		if other == client {
			its++
		}
	}
	if s.ending || len(s.open) >= s.c.Sessions || its >= max(2, s.c.Sessions/4) {
		return false
	}
	s.open[conn] = client
	return true
}

const (
	idle        = 10 * time.Second // between the requests of a session, and for one to arrive or leave
	maxRequests = 1000             // in a session
)

// session answers the requests of one TCP session, each behind its length in
// two bytes. RFC 1035 section 4.2.2
func (s *Server) session(conn net.Conn) {
	var size [2]byte
	for range maxRequests {
		s.mu.Lock()
		ending := s.ending
		if !ending {
			conn.SetDeadline(time.Now().Add(idle))
		}
		s.mu.Unlock()
		if ending {
			return
		}
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint16(size[:]))
		if n > maxRequest {
			return
		}
		request := make([]byte, n)
		if _, err := io.ReadFull(conn, request); err != nil {
			return
		}
		reply := s.handle(request, false)
		if reply == nil {
			return
		}
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
			return
		}
	}
}
