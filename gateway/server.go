// Package gateway turns SMTP sessions into judged messages: what is refused
// is refused in the session, what is accepted is in the queue before the
// client hears 250.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
	"spamcatcher/gateway/auth"
	"spamcatcher/gateway/domain"
	"spamcatcher/gateway/policy"
	"spamcatcher/gateway/wire"
	"spamcatcher/queue"
)

// A Judge finds out what a mail is. *engine.Engine is one.
type Judge interface {
	Judge(ctx context.Context, m *engine.Mail) engine.Verdict
}

// A Store keeps messages. Put returns only when all drafts are on stable
// storage, or none is kept. *queue.Queue is one.
type Store interface {
	Put(ctx context.Context, drafts ...queue.Draft) ([]string, error)
}

// A Config is what a server needs. Zero fields mean the default given.
type Config struct {
	// Hostname is the name that the server gives itself, in its banner,
	// Received and Authentication-Results: the system's host name.
	Hostname string
	Judge    Judge // required
	Queue    Store // required
	// Policy returns the policy in force; it is asked for each message, so
	// that a reload follows. nil: everything but malware is delivered.
	Policy func() *policy.Policy
	// Gate returns the gate in force, which tests connection and envelope; a
	// session keeps the one that it began with. nil, or a nil gate: everybody is
	// let in.
	Gate func() *policy.Gate
	// Auth returns the verifier in force. nil, or a nil verifier: of the sender's
	// authentication nothing is known but what the gate found out.
	Auth func() *auth.Verifier
	// CheckTime bounds what the network may take for one message between the final
	// dot and the verdict (5 s). Authentication gets at most half of it.
	CheckTime time.Duration
	// Domains returns the domains in force: where their mail waits and for how
	// long, which recipients they have, who may ask for it. Which domains mail
	// is accepted for is the policy's to say. nil: there are none.
	Domains func() *domain.Table
	// Verify finds out whether a recipient exists, for domains that want it
	// found out by asking. It returns nil or ErrMailbox; any other error,
	// ErrUnsure for one, means that nobody could tell. nil: nobody can.
	Verify func(ctx context.Context, recipient string) error
	// Release makes waiting mail due and returns how many messages that are:
	// what waits in the queue and is for the domain (".example.org" with its
	// subdomains). An empty domain is every domain. nil: no ETRN.
	Release func(ctx context.Context, queue, domain string) (int, error)
	// ETRNPause is how long a client waits before it may ask for the same mail
	// again: 30 s; negative: not at all.
	ETRNPause time.Duration
	// Mark is the key of the mark by which this installation knows messages that
	// it has handled before, whatever became of their Received fields. It must
	// stay the same over restarts, and be nobody else's: 16 bytes or more from a
	// random source. nil: there is no mark, and loops are found by Received alone.
	Mark []byte
	// Wire configures the connections. Its Hostname and Log are this
	// config's and its Served is the policy's where it has none; its Refuse is
	// asked before the gate; ETRN is answered here, and its TLS asks for certificates of clients where a domain
	// trusts one.
	Wire   wire.Config
	Limits message.Limits
	// MaxHeaderBytes is the size of a header block from which on a message
	// is refused: 1 MiB. MaxHeaderFields is the same for the number of
	// fields: 10,000.
	MaxHeaderBytes  int
	MaxHeaderFields int
	// Report adds X-SpamCatcher-Report.
	Report bool
	Log    *slog.Logger     // slog.Default()
	Now    func() time.Time // time.Now
}

// Stats count since the server was made.
type Stats struct {
	Sessions  uint64
	Accepted  uint64 // messages answered with 250
	Refused   uint64 // messages answered with 5xx
	Deferred  uint64 // messages answered with 4xx
	Discarded uint64 // messages accepted and dropped for every recipient
	Turned    uint64 // refusals of the gate: of connections, senders and recipients
	Panics    uint64
}

// A Server is the SMTP side of the gateway.
type Server struct {
	host           string
	judge          Judge
	queue          Store
	policy         func() *policy.Policy
	gate           func() *policy.Gate
	auth           func() *auth.Verifier
	checkTime      time.Duration
	domains        func() *domain.Table
	verify         func(context.Context, string) error
	etrn           *releases
	mark           []byte
	wire           wire.Config
	limits         message.Limits
	maxHeaderBytes int
	maxFields      int
	maxRecipients  int
	report         bool
	log            *slog.Logger
	now            func() time.Time

	ctx    context.Context // ends when sessions are cut off
	cancel context.CancelFunc
	smtp   *smtp.Server

	mu        sync.Mutex
	closing   bool
	listeners []*wire.Listener

	sessions, accepted, refused, deferred, discarded, turned, panics atomic.Uint64
}

// New makes a server. It listens to nothing yet.
func New(cfg Config) (*Server, error) {
	if cfg.Judge == nil || cfg.Queue == nil {
		return nil, errors.New("making a gateway: it needs a judge and a queue")
	}
	s := &Server{
		host:           cfg.Hostname,
		judge:          cfg.Judge,
		queue:          cfg.Queue,
		policy:         cfg.Policy,
		gate:           cfg.Gate,
		auth:           cfg.Auth,
		checkTime:      cfg.CheckTime,
		domains:        cfg.Domains,
		verify:         cfg.Verify,
		mark:           cfg.Mark,
		wire:           cfg.Wire,
		limits:         cfg.Limits,
		maxHeaderBytes: orDefault(cfg.MaxHeaderBytes, 1<<20),
		maxFields:      orDefault(cfg.MaxHeaderFields, 10_000),
		maxRecipients:  orDefault(cfg.Wire.MaxRecipients, 1000),
		report:         cfg.Report,
		log:            cfg.Log,
		now:            cfg.Now,
	}
	if s.maxRecipients < 0 { // wire's way of saying that there is no limit
		s.maxRecipients = math.MaxInt
	}
	if s.host == "" {
		name, err := os.Hostname()
		if err != nil || name == "" {
			name = "localhost"
		}
		s.host = name
	}
	if helloName(s.host) != s.host || strings.Trim(s.host, ".") == "" {
		return nil, fmt.Errorf("making a gateway: %q is no host name", s.host)
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.policy == nil {
		p, err := policy.New(policy.Config{})
		if err != nil {
			return nil, fmt.Errorf("making a gateway: %w", err)
		}
		s.policy = func() *policy.Policy { return p }
	}
	if s.wire.Hostname == "" {
		s.wire.Hostname = s.host
	}
	if s.wire.Log == nil {
		s.wire.Log = s.log
	}
	if s.wire.Served == nil {
		s.wire.Served = func(domain string) bool { return s.policy().Serves("postmaster@" + domain) }
	}
	if len(s.mark) > 0 && len(s.mark) < 16 {
		return nil, fmt.Errorf("making a gateway: a mark key of %d bytes is too short", len(s.mark))
	}
	if s.gate == nil {
		s.gate = func() *policy.Gate { return nil }
	}
	if s.auth == nil {
		s.auth = func() *auth.Verifier { return nil }
	}
	switch {
	case s.checkTime < 0:
		return nil, errors.New("making a gateway: the time of checks is negative")
	case s.checkTime == 0:
		s.checkTime = engine.DefaultTimeout
	}
	if s.domains == nil {
		s.domains = func() *domain.Table { return nil }
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if cfg.Release != nil {
		s.etrn = newReleases(s.ctx, cfg.Release, cfg.ETRNPause, s.now)
		s.wire.ETRN = s.answerETRN
		s.wire.OfferETRN = func() bool {
			offered, _ := s.domains().ETRN()
			return offered
		}
	}
	s.wire.TLS = s.askCertificates(s.wire.TLS)
	s.wire.Refuse = s.greet(s.wire.Refuse)
	s.smtp = s.newSMTP()
	return s, nil
}

func orDefault(n, d int) int {
	if n == 0 {
		return d
	}
	return n
}

// newSMTP sets up go-smtp. Limits and deadlines are wire's, which hands it
// complete and valid input only; here they are off.
func (s *Server) newSMTP() *smtp.Server {
	srv := smtp.NewServer(smtp.BackendFunc(s.newSession))
	srv.Domain = s.host
	srv.MaxLineLength = 0
	srv.MaxMessageBytes = 0
	srv.MaxRecipients = 0
	srv.ReadTimeout = 0
	srv.WriteTimeout = 0
	srv.EnableSMTPUTF8 = true
	srv.ErrorLog = slog.NewLogLogger(s.log.Handler(), slog.LevelWarn)
	return srv
}

func (s *Server) newSession(c *smtp.Conn) (smtp.Session, error) {
	conn, ok := c.Conn().(connection)
	if !ok {
		return nil, replyTo(fmt.Errorf("connection is a %T", c.Conn()))
	}
	s.sessions.Add(1)
	return &session{Server: s, conn: conn, visit: s.gate().Visit(conn.Client().Addr())}, nil
}

// Serve takes connections from a listener until it is closed or the server
// shuts down, and then returns nil. It may be called for several listeners,
// whose sessions are counted together.
func (s *Server) Serve(l net.Listener) error {
	wl, err := s.listen(l)
	if err != nil {
		return fmt.Errorf("serving SMTP on %s: %w", l.Addr(), err)
	}
	if wl == nil {
		return l.Close()
	}
	err = s.smtp.Serve(wl)
	s.mu.Lock()
	closing := s.closing
	s.mu.Unlock()
	if closing || errors.Is(err, net.ErrClosed) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("serving SMTP on %s: %w", l.Addr(), err)
	}
	return nil
}

// listen puts a wire.Listener above l; nil when the server is shutting down.
func (s *Server) listen(l net.Listener) (*wire.Listener, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil, nil
	}
	var wl *wire.Listener
	if len(s.listeners) > 0 {
		wl = s.listeners[0].Beside(l)
	} else {
		var err error
		if wl, err = wire.New(l, s.wire); err != nil {
			return nil, err
		}
	}
	s.listeners = append(s.listeners, wl)
	return wl, nil
}

// Stats returns the counts so far.
func (s *Server) Stats() Stats {
	return Stats{
		Sessions: s.sessions.Load(), Accepted: s.accepted.Load(), Refused: s.refused.Load(),
		Deferred: s.deferred.Load(), Discarded: s.discarded.Load(), Turned: s.turned.Load(), Panics: s.panics.Load(),
	}
}

// count counts one message by its reply, nil for 250.
func (s *Server) count(r *smtp.SMTPError, d *delivery) {
	switch {
	case r == nil && len(d.queued) == 0:
		s.discarded.Add(1)
		s.accepted.Add(1)
	case r == nil:
		s.accepted.Add(1)
	case r.Temporary():
		s.deferred.Add(1)
	default:
		s.refused.Add(1)
	}
}

// Shutdown stops accepting and lets every session end at its next command;
// messages under way are finished and answered first. When ctx ends before
// that, its error is returned and Close cuts off the rest.
func (s *Server) Shutdown(ctx context.Context) error {
	listeners := s.stop()
	errs := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { errs <- l.Drain(ctx) }()
	}
	var err error
	for range listeners {
		err = errors.Join(err, <-errs)
	}
	if err != nil {
		return fmt.Errorf("shutting down SMTP: %w", err)
	}
	return s.wait(ctx)
}

// Close cuts off every session. A message that is not answered by then was
// never ours. It returns when all sessions have ended, after 10 s at most.
func (s *Server) Close() error {
	var err error
	listeners := s.stop()
	s.cancel()
	for _, l := range listeners {
		err = errors.Join(err, l.Close())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err = errors.Join(err, s.wait(ctx)); err != nil {
		return fmt.Errorf("closing SMTP: %w", err)
	}
	return nil
}

// stop lets no more listeners in and returns those there are.
func (s *Server) stop() []*wire.Listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	return s.listeners
}

// wait returns when every session has ended. go-smtp can be asked only once.
func (s *Server) wait(ctx context.Context) error {
	if err := s.smtp.Shutdown(ctx); err != nil && !errors.Is(err, smtp.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
