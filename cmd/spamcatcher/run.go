package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"spamcatcher/engine"
	"spamcatcher/gateway"
	"spamcatcher/gateway/auth"
	"spamcatcher/gateway/domain"
	"spamcatcher/gateway/policy"
	"spamcatcher/gateway/relay"
	"spamcatcher/gateway/wire"
	"spamcatcher/queue"
)

func runCommand(g *global) *cobra.Command {
	var listen, servers []string
	c := &cobra.Command{
		Use:   "run",
		Short: "Run the gateway",
		Long: `Accepts mail by SMTP, scores it, and passes it on. Without a configuration it listens
on 127.0.0.1:2525 and delivers into the Maildir of the state directory.

SIGHUP and changes of the files reload configuration, sender lists and rules; a bad
new configuration is refused and the old one stays. SIGTERM ends the program after
the messages under way are answered.`,
		Example: `  spamcatcher run
  spamcatcher run --listen 0.0.0.0:25 --relay mail1.example.com,mail2.example.com:2525
  spamcatcher run --config /etc/spamcatcher/spamcatcher.toml`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			flags := overrides{}
			if c.Flags().Changed("listen") {
				flags["listen"] = listen
			}
			if c.Flags().Changed("relay") {
				flags["outgoing_smtp"] = servers
			}
			return run(c.Context(), g, flags, nil)
		},
	}
	c.Flags().StringSliceVar(&listen, "listen", nil, "`ADDR` to accept SMTP on, host:port")
	c.Flags().StringSliceVar(&servers, "relay", nil, "`ADDR`[,ADDR...] of the servers that get the mail")
	return c
}

// A service is the running program: what is in force, and the steps that
// take it down again, the last one first.
type service struct {
	log     *slog.Logger
	clock   func() time.Time
	now     atomic.Pointer[inForce]
	judge   *engine.Engine
	queue   *queue.Queue
	relay   *relay.Relay
	network *network
	recent  recent // mail that was judged lately
	steps   []step
	ports   atomic.Pointer[[]netip.AddrPort] // that mail is accepted at

	ctx        context.Context // ends when the service goes down
	background sync.WaitGroup  // what a reload leaves to be done
	following  sync.Mutex      // of follow
}

// A step of the way down. Each has the same time at most.
type step struct {
	name string
	do   func(ctx context.Context) error
}

const stepTimeout = 40 * time.Second

func (s *service) onShutdown(name string, do func(ctx context.Context) error) {
	s.steps = append(s.steps, step{name, do})
}

func (s *service) shutdown() error {
	var errs error
	for len(s.steps) > 0 {
		last := s.steps[len(s.steps)-1]
		s.steps = s.steps[:len(s.steps)-1]
		if err := bounded(last.do, stepTimeout); err != nil {
			errs = errors.Join(errs, fmt.Errorf("%s: %w", last.name, err))
		}
	}
	return errs
}

// bounded waits for one step for at most limit, also for one that does not
// heed its context: a store whose directory is gone tries for ever.
func bounded(do func(ctx context.Context) error, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- do(ctx) }()
	select {
	case err := <-done:
		return err
	case <-time.After(limit + limit/10): // a step that heeds ctx says more than this
		return fmt.Errorf("not done after %v", limit)
	}
}

// run starts everything that can fail first, serves until ctx ends, and goes
// down in the opposite order. clock is the wall clock of the mail; nil is the
// machine's.
func run(ctx context.Context, g *global, flags overrides, clock func() time.Time) (err error) {
	// From here to the end: SIGHUP asks for a reload, also of a program that
	// is just starting or ending, and never kills.
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	limitMemory()
	c, err := loadConfig(g, flags)
	if err != nil {
		return err
	}
	log, logFile, err := openLog(c)
	if err != nil {
		return err
	}
	s := &service{log: log, clock: clock}
	if s.network, err = newNetwork(c, log, clock); err != nil {
		return errors.Join(err, logFile.Close())
	}
	first, warnings, err := prepare(c, s.network, nil)
	if err == nil {
		err = makeState(c)
	}
	if err != nil {
		return errors.Join(err, s.network.close(), logFile.Close())
	}
	var cancel context.CancelFunc
	s.ctx, cancel = context.WithCancel(ctx)
	s.onShutdown("closing the log", func(context.Context) error { return logFile.Close() })
	defer func() { cancel(); err = errors.Join(err, s.shutdown()) }()
	s.onShutdown("closing the greylist and the resolver", func(context.Context) error { return s.network.close() })
	s.warn(c, warnings)

	s.now.Store(first)
	s.network.follow(s.ctx, first)
	if s.judge, err = engine.New(first.plan, engine.Config{Timeout: c.CheckTimeout}); err != nil {
		return err
	}
	if err := s.openQueue(c); err != nil {
		return err
	}
	server, err := s.newServer(c)
	if err != nil {
		return err
	}
	listeners, err := inherited()
	if err == nil && len(listeners) == 0 {
		listeners, err = listenAll(ctx, c.Listen)
	}
	if err != nil {
		return err
	}
	s.note(listeners)
	failed := make(chan error, len(listeners)+1)
	attempts, stopAttempts := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.queue.Run(attempts); err != nil && !errors.Is(err, context.Canceled) {
			failed <- fmt.Errorf("delivering: %w", err)
		}
	}()
	s.onShutdown("ending deliveries", func(ctx context.Context) error {
		stopAttempts()
		select {
		case <-ended:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	stopControl, err := serveControl(ctx, c.socket(), local{s.queue}, s.answerUpdates)
	if err != nil {
		return err
	}
	s.onShutdown("closing the control socket", stopControl)
	for _, l := range listeners {
		go func() { failed <- server.Serve(l) }()
		log.Info("accepting mail", "address", l.Addr().String(), "hostname", c.Hostname, "to", strings.Join(s.destinations(), " "), "rules", len(first.plan.Symbols()), "plan", first.plan.ID(), "version", version)
	}
	s.onShutdown("ending the sessions", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		return errors.Join(server.Shutdown(ctx), server.Close())
	})
	go s.watch(ctx, hangup, g, flags)
	updates := make(chan struct{})
	asking, stopAsking := context.WithCancel(ctx)
	go func() { defer close(updates); s.updateRules(asking) }()
	s.onShutdown("ending the questions to the rule channel", func(ctx context.Context) error {
		stopAsking()
		select {
		case <-updates:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	notify(stateReady)

	select {
	case <-ctx.Done():
		notify(stateStopping)
		log.Info("shutting down")
		return nil
	case err := <-failed:
		return err
	}
}

// openQueue opens the queue and, behind it, the way out.
func (s *service) openQueue(c *Config) (err error) {
	hold := func(id, reason string) {
		if err := s.queue.Hold(reason, id); err != nil {
			s.log.Error("a message that can never be sent could not be held", "id", id, "error", err)
		}
	}
	if s.relay, err = s.newRelay(hold); err != nil {
		return err
	}
	s.onShutdown("closing the connections to the servers", func(context.Context) error { return s.relay.Close() })
	s.queue, err = queue.Open(queue.Config{
		Dir: c.queueDir(), Deliverer: s.relay, Workers: c.Workers, Lifetime: c.Lifetime, MinFree: c.MinFree,
		Lane:   func(recipient string) string { return s.now.Load().domains.Lane(recipient) },
		Width:  func(lane string) int { return s.now.Load().width(lane) },
		Notify: relay.Notify(c.Hostname), Warn: c.Warn, HoldDoubleBounce: c.HoldDoubleBounces,
		Now: s.clock, Log: s.log,
	})
	if errors.Is(err, queue.ErrLocked) {
		return fmt.Errorf("another SpamCatcher is running on %s: %w", c.State, err)
	} else if err != nil {
		return fmt.Errorf("opening the queue: %w", err)
	}
	s.onShutdown("closing the queue", func(context.Context) error {
		s.background.Wait()
		return s.queue.Close()
	})
	return nil
}

// release makes mail that waits due, for ETRN.
func (s *service) release(_ context.Context, lane, domain string) (int, error) {
	return s.queue.Flush(queue.Filter{Lane: &lane, Domain: domain})
}

// newServer wires the SMTP side to the judge and the queue.
func (s *service) newServer(c *Config) (*gateway.Server, error) {
	mark, err := markKey(c.State)
	if err != nil {
		return nil, err
	}
	var certificates func() *tls.Config
	if c.StartTLS {
		pair, err := keyPairOf(c, s.log)
		if err != nil {
			return nil, err
		}
		certificates = pair.TLS
	}
	return gateway.New(gateway.Config{
		Hostname:  c.Hostname,
		Judge:     remembering{s.judge, s},
		Queue:     s.queue,
		Policy:    func() *policy.Policy { return s.now.Load().policy },
		Gate:      func() *policy.Gate { return s.now.Load().gate },
		Auth:      func() *auth.Verifier { return s.now.Load().verifier() },
		CheckTime: c.CheckTimeout,
		Domains:   func() *domain.Table { return s.now.Load().domains },
		Verify:    verifier(s.relay),
		Release:   s.release,
		Mark:      mark,
		Now:       s.clock,
		Report:    c.Report,
		Log:       s.log,
		Wire: wire.Config{
			Hostname:             c.Hostname,
			MaxMessageBytes:      c.MaxMessage,
			MaxRecipients:        c.MaxRecipients,
			Memory:               c.Memory,
			MaxSessions:          c.MaxSessions,
			MaxSessionsPerClient: c.MaxSessionsPerClient,
			GreetDelay:           c.GreetDelay,
			CommandTimeout:       c.CommandTimeout,
			BlockTimeout:         c.BlockTimeout,
			HandshakeTimeout:     c.HandshakeTimeout,
			SessionTimeout:       c.SessionTimeout,
			Trusted:              netip.Addr.IsLoopback,
			TLS:                  certificates,
			Log:                  s.log,
		},
	})
}

func keyPairOf(c *Config, log *slog.Logger) (*keyPair, error) {
	certificate, key := c.Certificate, c.Key
	if certificate == "" {
		var err error
		if certificate, key, err = selfSigned(c.State, c.Hostname); err != nil {
			return nil, fmt.Errorf("making a self-signed certificate: %w", err)
		}
	}
	pair, err := openKeyPair(certificate, key, log)
	if err != nil && c.Certificate != "" {
		return nil, usageError{fmt.Errorf("%s: tls.certificate: %w", c.origins["tls.certificate"], err)}
	} else if err != nil {
		return nil, usageError{err}
	}
	return pair, nil
}

// markKey is the key of the mark by which this installation knows messages
// again that it has passed on: 32 bytes in the state directory, made at the
// first run.
func markKey(state string) ([]byte, error) {
	file := filepath.Join(state, "mark.key")
	key, err := os.ReadFile(file)
	switch {
	case err == nil && len(key) == 32:
		return key, nil
	case err == nil || errors.Is(err, os.ErrNotExist): // a start that was cut off leaves a short one
		key = make([]byte, 32)
		rand.Read(key) // never fails
		err = os.WriteFile(file, key, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("the key for marking messages: %w", err)
	}
	return key, nil
}

func (s *service) destinations() []string {
	c := s.now.Load().config
	if len(c.Outgoing) == 0 {
		return []string{c.maildir()}
	}
	return c.Outgoing
}

// makeState makes the state directory and finds out whether it can be
// written to.
func makeState(c *Config) error {
	probe := filepath.Join(c.State, ".probe")
	err := os.MkdirAll(c.State, 0o700)
	if err == nil {
		err = os.WriteFile(probe, nil, 0o600)
	}
	if err == nil {
		err = os.Remove(probe)
	}
	if err != nil {
		return unusableState(c, err)
	}
	return nil
}

// checkState finds out, touching nothing, whether makeState would succeed.
func checkState(c *Config) error {
	dir, err := filepath.Abs(c.State)
	for err == nil {
		var info os.FileInfo
		if info, err = os.Stat(dir); err == nil {
			if !info.IsDir() {
				err = &os.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
			} else if denied := unix.Access(dir, unix.W_OK|unix.X_OK); denied != nil {
				err = &os.PathError{Op: "open", Path: dir, Err: denied}
			}
			break
		}
		if errors.Is(err, os.ErrNotExist) && dir != filepath.Dir(dir) {
			dir, err = filepath.Dir(dir), nil
		}
	}
	if err != nil {
		return unusableState(c, err)
	}
	return nil
}

func unusableState(c *Config, err error) error {
	return usageError{fmt.Errorf("the state directory %s (%s) cannot be used: %w", c.State, c.origins["state"], err)}
}

// note takes note of where mail is accepted.
func (s *service) note(listeners []net.Listener) {
	var ports []netip.AddrPort
	for _, l := range listeners {
		if a, ok := l.Addr().(*net.TCPAddr); ok {
			ports = append(ports, a.AddrPort())
		}
	}
	s.ports.Store(&ports)
}

// listening are the addresses that mail is accepted at: a destination that is
// one of them is ourselves.
func (s *service) listening() []netip.AddrPort {
	if p := s.ports.Load(); p != nil {
		return *p
	}
	return nil
}

// listenAll listens on every address, or on none.
func listenAll(ctx context.Context, addresses []string) ([]net.Listener, error) {
	var all []net.Listener
	for _, a := range addresses {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a)
		if err != nil {
			for _, open := range all {
				open.Close()
			}
			return nil, fmt.Errorf("listening on %s: %w", a, err)
		}
		all = append(all, l)
	}
	return all, nil
}
