// Package wire turns the bytes of SMTP clients into the canonical commands and
// complete messages that emersion/go-smtp is given, and turns go-smtp's replies
// into what RFC 5321 wants a client to be told.
//
// It lies between the socket and go-smtp: go-smtp's Server.Serve is given a
// [Listener], and every connection that it accepts is a [*Conn]. A Conn owns
// its socket altogether. It reads strictly, does TLS, finds the true end of a
// message, assembles chunks, keeps limits and deadlines, and answers by itself
// whatever go-smtp cannot. go-smtp sees one valid command line at a time, and
// an empty body where a message was: the message goes round it, through
// [Conn.Message]. So there are never two opinions about where a command or a
// message ends.
//
// Everything runs in the goroutine that go-smtp starts for the connection. When
// go-smtp reads, the Conn serves the client until there is a command that the
// session must decide; when go-smtp reads again, that command has been
// answered. Nothing is handed from goroutine to goroutine, so replies cannot
// change their order.
//
// The smtp.Server above wants EnableSMTPUTF8, and no limits, time-outs or TLS of
// its own. Of the address syntax, see path in address.go: what a session gets
// from go-smtp has exactly one at sign, and a local part that needs no quotes.
package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Config says how clients are to be treated. Zero values mean the defaults
// given; a negative limit means none.
type Config struct {
	Hostname        string // our name in banner and replies; required
	MaxMessageBytes int64  // octets of a message, without dot-stuffing (50 MiB)
	MaxRecipients   int    // recipients of one message (1000)
	Memory          int64  // octets of messages under way over all sessions (512 MiB), of which one client gets a quarter, or room for its largest message

	MaxSessions          int // open connections (1000; at most three quarters of the file descriptors); see limits.evict for what happens then
	MaxSessionsPerClient int // open connections of one IPv4 address or IPv6 /64 (50)
	MaxErrors            int // errors that a session may make (20)
	MaxJunk              int // commands without use (NOOP, RSET, VRFY…) and refused recipients between two messages (100)

	GreetDelay       time.Duration // how long to listen for clients that talk before the banner (0: not at all)
	CommandTimeout   time.Duration // from a reply to the end of the next command line (5 min)
	BlockTimeout     time.Duration // silence inside a message (3 min)
	MinRate          int           // octets per second of a message, averaged, after its first minute (500)
	SessionTimeout   time.Duration // whole connection (2 h)
	HandshakeTimeout time.Duration // TLS handshake (30 s)
	ReplyTimeout     time.Duration // until the client has taken a reply (1 min)

	// TLS is asked at every handshake, so that new certificates take effect at
	// once. Nil, or a nil answer: STARTTLS is not offered.
	TLS func() *tls.Config
	// Trusted says whether a client may have any number of connections, within
	// MaxSessions. It is asked once for every connection, before all else, and
	// must not block. Nil: MaxSessionsPerClient is for all.
	Trusted func(netip.Addr) bool
	// Refuse is asked once for every connection, before the banner. It may
	// block, and tells the log what it refuses. A reply means that the client gets
	// it, to the letter, in place of the banner, and the connection ends. Nil: all
	// are welcome.
	Refuse func(netip.Addr) *Reply
	// ETRN answers ETRN (RFC 1985) with its one argument: printable ASCII, at
	// most 256 octets, not otherwise checked. Nil: there is no ETRN.
	ETRN func(*Conn, string) *Reply
	// OfferETRN says whether ETRN is offered now. Nil: always, if there is ETRN.
	OfferETRN func() bool
	// Served says whether a domain is one of ours. It decides which domain
	// RCPT TO:<postmaster> is given: Hostname or the nearest parent of it that
	// is served; Hostname when none is, or when Served is nil.
	Served func(domain string) bool
	Log    *slog.Logger // nil: no log
}

// defaults fills in what was left out and checks the rest.
func (cfg Config) defaults() (Config, error) {
	if cfg.Hostname == "" {
		return cfg, errors.New("wire: no host name")
	}
	if !validDomain([]byte(cfg.Hostname), false) {
		return cfg, fmt.Errorf("wire: bad host name %q", cfg.Hostname)
	}
	number(&cfg.MaxRecipients, 1000)
	number(&cfg.MaxSessions, 1000)
	number(&cfg.MaxSessionsPerClient, 50)
	number(&cfg.MaxErrors, 20)
	number(&cfg.MaxJunk, 100)
	number(&cfg.MinRate, 500)
	number(&cfg.MaxMessageBytes, 50<<20)
	number(&cfg.Memory, 512<<20)
	number(&cfg.CommandTimeout, 5*time.Minute)
	number(&cfg.BlockTimeout, 3*time.Minute)
	number(&cfg.SessionTimeout, 2*time.Hour)
	number(&cfg.HandshakeTimeout, 30*time.Second)
	number(&cfg.ReplyTimeout, time.Minute)
	for name, d := range map[string]time.Duration{"greet delay": cfg.GreetDelay, "command timeout": cfg.CommandTimeout, "block timeout": cfg.BlockTimeout,
		"session timeout": cfg.SessionTimeout, "handshake timeout": cfg.HandshakeTimeout, "reply timeout": cfg.ReplyTimeout} {
		if d < 0 {
			return cfg, fmt.Errorf("wire: negative %s", name)
		}
	}
	if cfg.MaxMessageBytes < 0 || cfg.Memory < cfg.MaxMessageBytes+2*leastSpace {
		return cfg, errors.New("wire: the memory does not hold a message of the greatest size")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return cfg, nil
}

func number[T int | int64 | time.Duration](v *T, standard T) {
	if *v == 0 {
		*v = standard
	}
}

// A Listener accepts SMTP connections and keeps track of them.
type Listener struct {
	inner net.Listener
	cfg   Config
	*limits

	done     chan struct{} // closed when no more connections are wanted
	draining atomic.Bool
	closing  sync.Once

	mu      sync.Mutex
	conns   map[*Conn]struct{}
	empty   chan struct{} // closed when, while draining, no connection is left
	emptied sync.Once

	messages, panics atomic.Int64
}

// Stats counts what a Listener has seen since it was made.
type Stats struct {
	Open     int   // connections now
	Refused  int64 // connections over a limit
	Messages int64 // complete messages given to the session
	Panics   int64 // sessions that a panic of ours or of a hook ended
	Memory   int64 // octets of messages under way now
}

// New makes a Listener above inner. Nothing is accepted before Accept.
func New(inner net.Listener, cfg Config) (*Listener, error) {
	cfg, err := cfg.defaults()
	if err != nil {
		return nil, err
	}
	return newListener(inner, cfg, newLimits(cfg)), nil
}

// Beside makes another Listener, above inner, with the same Config. Sessions,
// clients and memory of the two are counted together against the limits; of
// their Stats, Refused and Memory are of both.
func (l *Listener) Beside(inner net.Listener) *Listener {
	return newListener(inner, l.cfg, l.limits)
}

func newListener(inner net.Listener, cfg Config, lim *limits) *Listener {
	l := &Listener{inner: inner, cfg: cfg, limits: lim, done: make(chan struct{}), empty: make(chan struct{}), conns: make(map[*Conn]struct{})}
	lim.countMu.Lock()
	defer lim.countMu.Unlock()
	lim.listeners = append(lim.listeners, l)
	return l
}

// Addr returns the address that is listened on.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// Stats returns the counts of this moment.
func (l *Listener) Stats() Stats {
	l.mu.Lock()
	open := len(l.conns)
	l.mu.Unlock()
	return Stats{Open: open, Refused: l.refused.Load(), Messages: l.messages.Load(), Panics: l.panics.Load(), Memory: l.memory.Load()}
}

// Accept returns the next connection, always a *Conn. A client over a limit is
// answered here and never returned. Trouble that may pass, above all a lack of
// file descriptors, is waited out with growing pauses; an error means that the
// listener is broken or, if it is net.ErrClosed, that Drain or Close was called.
func (l *Listener) Accept() (net.Conn, error) {
	pause := time.Duration(0)
	for {
		raw, err := l.inner.Accept()
		if err != nil {
			select {
			case <-l.done:
				return nil, net.ErrClosed
			default:
			}
			if !passing(err) {
				return nil, fmt.Errorf("accepting a connection: %w", err)
			}
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			l.cfg.Log.Warn("cannot accept a connection", "error", err, "pause", pause)
			select {
			case <-l.done:
				return nil, net.ErrClosed
			case <-time.After(pause):
			}
			continue
		}
		pause = 0
		c := newConn(l, raw)
		if refusal := l.admit(c.network); refusal != nil {
			// A fresh socket takes so short a text without blocking.
			raw.SetWriteDeadline(time.Now().Add(time.Second))
			raw.Write(refusal.append(nil, false))
			raw.Close()
			l.cfg.Log.Info("connection refused", "session", c.id, "client", c.client.Addr(), "reply", refusal.Text)
			continue
		}
		l.mu.Lock()
		l.conns[c] = struct{}{}
		l.mu.Unlock()
		select {
		case <-l.done: // Close may have missed it
			c.Close()
			return nil, net.ErrClosed
		default:
		}
		return c, nil
	}
}

// passing reports whether an error of Accept may go away by itself.
func passing(err error) bool {
	for _, e := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR, syscall.EAGAIN} {
		if errors.Is(err, e) {
			return true
		}
	}
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// Drain stops accepting and ends every session at its next command boundary
// with 421 4.3.2. A message that is being received or judged is finished and
// answered first. It returns nil once all sessions have ended, or ctx's error,
// after which Close ends the others.
//
// Use it in place of go-smtp's Server.Shutdown, which closes its listeners, and
// Close ends connections at once.
func (l *Listener) Drain(ctx context.Context) error {
	l.draining.Store(true)
	l.stop()
	l.mu.Lock()
	l.checkEmpty()
	for c := range l.conns {
		c.wake()
	}
	l.mu.Unlock()
	select {
	case <-l.empty:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("draining sessions: %w", ctx.Err())
	}
}

// Close stops accepting and closes every connection, whatever it is doing.
func (l *Listener) Close() error {
	err := l.stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		c.raw.Close()
	}
	return err
}

func (l *Listener) stop() (err error) {
	l.closing.Do(func() {
		close(l.done)
		err = l.inner.Close()
	})
	return err
}

// forget takes a closed connection off the books.
func (l *Listener) forget(c *Conn) {
	l.leave(c.network)
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
	l.checkEmpty()
}

// checkEmpty ends Drain when the last session has ended. It is called with mu
// locked.
func (l *Listener) checkEmpty() {
	if len(l.conns) == 0 && l.draining.Load() {
		l.emptied.Do(func() { close(l.empty) })
	}
}
