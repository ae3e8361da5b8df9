package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"spamcatcher/gateway/domain"
	"spamcatcher/gateway/wire"
)

// ETRN (RFC 1985) asks that the mail which waits for a node be delivered now. It
// is delivered to where the node's mail goes anyway, never to who asks. In this
// order:
//
//  1. What is no node is answered 501, and not repeated.
//  2. Who may not ask for any of the node's mail is answered 459, whether the
//     node is somebody else's or nobody's. Only the address and a certificate
//     that was shown on this connection count.
//  3. While the same mail is being made due, the answer is 250.
//  4. Who had the same mail made due a moment ago, or has much of it made due
//     already, is answered 458.
//  5. The mail is made due, and the answer says how much it is: 251 none, 253
//     the number, 252 when the number is large or made up of several.
//
// Whatever goes wrong on our side is 458.

// maxCounted is the number of messages from which on a client is told only that
// there are some.
const maxCounted = 10_000

// releaseTime is how long making mail due may take, for a Release that heeds it.
const releaseTime = 2 * time.Minute

// answerETRN answers one ETRN. It is wire's hook.
func (s *Server) answerETRN(c *wire.Conn, argument string) *wire.Reply {
	return s.etrnFrom(c.ID(), c.Client().Addr(), c.TLS(), argument)
}

func (s *Server) etrnFrom(session string, client netip.Addr, secure *tls.ConnectionState, argument string) *wire.Reply {
	count, reason := 0, ""
	reply := func() *wire.Reply {
		node, ok := domain.ParseNode(argument)
		if !ok {
			return etrnReply(501, "5.5.4", "ETRN needs one domain")
		}
		parts := s.domains().Releases(node, client, certificateOf(secure), s.now())
		if len(parts) == 0 {
			return etrnReply(459, "4.7.1", "Node "+node.String()+" not allowed: this client may not ask for it")
		}
		n, err := s.etrn.start(node, client, parts)
		switch count = n; {
		case errors.Is(err, errUnderWay):
			return etrnReply(250, "2.0.0", "OK, queuing for node "+node.String()+" started")
		case errors.Is(err, errTooSoon):
			return etrnReply(458, "4.7.0", "Unable to queue messages for node "+node.String()+": asked for a moment ago, try again later")
		case err != nil:
			reason = err.Error()
			return etrnReply(458, "4.3.0", "Unable to queue messages for node "+node.String()+", try again later")
		case n == 0:
			return etrnReply(251, "2.0.0", "OK, no messages waiting for node "+node.String())
		case n > maxCounted || len(parts) > 1:
			return etrnReply(252, "2.0.0", "OK, pending messages for node "+node.String()+" started")
		}
		return etrnReply(253, "2.0.0", "OK, "+strconv.Itoa(n)+" pending messages for node "+node.String()+" started")
	}()
	attrs := []slog.Attr{
		slog.String("session", session),
		slog.String("client", address(client)),
		slog.Bool("tls", secure != nil),
		slog.String("node", clip(argument)),
		slog.String("reply", strconv.Itoa(reply.Code)+" "+reply.Enhanced),
		slog.Int("count", count),
	}
	level := slog.LevelInfo
	if reason != "" {
		level = levelFault
		attrs = append(attrs, slog.String("error", clipTo(reason, maxLoggedList)))
	}
	s.log.LogAttrs(context.Background(), level, "etrn", attrs...)
	return reply
}

func etrnReply(code int, status, text string) *wire.Reply {
	return &wire.Reply{Code: code, Enhanced: status, Text: text}
}

// certificateOf is the certificate whose key the client has proved to have on
// this connection; nil for none.
func certificateOf(secure *tls.ConnectionState) *x509.Certificate {
	if secure == nil || len(secure.PeerCertificates) == 0 {
		return nil
	}
	return secure.PeerCertificates[0]
}

// askCertificates returns the TLS configuration with the request for a client's
// certificate added where a domain trusts one. Who signed it is not asked: the
// fingerprint decides. Sessions are not resumed then, so that the proof is of
// this connection.
func (s *Server) askCertificates(plain func() *tls.Config) func() *tls.Config {
	if plain == nil || s.etrn == nil {
		return plain
	}
	type pair struct{ plain, asking *tls.Config }
	var last atomic.Pointer[pair]
	return func() *tls.Config {
		cfg := plain()
		if _, certificates := s.domains().ETRN(); cfg == nil || !certificates {
			return cfg
		}
		if p := last.Load(); p != nil && p.plain == cfg {
			return p.asking
		}
		asking := cfg.Clone()
		asking.ClientAuth = tls.RequestClientCert
		asking.SessionTicketsDisabled = true
		last.Store(&pair{cfg, asking})
		return asking
	}
}

var (
	errUnderWay = errors.New("a release is under way")
	errTooSoon  = errors.New("released a moment ago")
)

// maxRemembered bounds the releases that are remembered, maxAtOnce those of one
// client at the same time: a tree has more nodes than anybody can count.
const (
	maxRemembered = 10_000
	maxAtOnce     = 4
)

// releases are what ETRN has set off. No mail is released twice at the same
// time, nor again for the same client before a pause is over.
type releases struct {
	ctx     context.Context
	release func(ctx context.Context, queue, domain string) (int, error)
	pause   time.Duration
	now     func() time.Time

	mu      sync.Mutex
	running map[string]struct{} // by what is released
	atOnce  map[netip.Prefix]int
	last    map[asked]time.Time
}

// An asked is what a client asked for: an IPv4 address or an IPv6 /64.
type asked struct {
	node   domain.Node
	client netip.Prefix
}

func newReleases(ctx context.Context, release func(context.Context, string, string) (int, error), pause time.Duration, now func() time.Time) *releases {
	if pause == 0 {
		pause = 30 * time.Second
	}
	return &releases{ctx: ctx, release: release, pause: pause, now: now, running: map[string]struct{}{}, atOnce: map[netip.Prefix]int{}, last: map[asked]time.Time{}}
}

// start makes a node's mail due and returns how many messages it is.
func (r *releases) start(node domain.Node, client netip.Addr, parts []domain.Release) (count int, err error) {
	bits := 32
	if client.Unmap().Is6() {
		bits = 64
	}
	network, _ := client.Unmap().WithZone("").Prefix(bits)
	what := fmt.Sprint(node, parts)
	if err := r.begin(what, node, network); err != nil {
		return 0, err
	}
	done := false
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
		r.end(what, asked{node, network}, done)
	}()
	ctx, cancel := context.WithTimeout(r.ctx, releaseTime)
	defer cancel()
	for _, p := range parts {
		n, err := r.release(ctx, p.Queue, p.Domain)
		if count += n; err != nil {
			return count, fmt.Errorf("releasing queue %q, domain %q: %w", p.Queue, p.Domain, err)
		}
	}
	done = true
	return count, nil
}

func (r *releases) begin(what string, node domain.Node, client netip.Prefix) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.running[what]; ok {
		return errUnderWay
	}
	if at, ok := r.last[asked{node, client}]; ok && r.now().Sub(at) < r.pause || r.atOnce[client] >= maxAtOnce {
		return errTooSoon
	}
	r.running[what] = struct{}{}
	r.atOnce[client]++
	return nil
}

// end takes note of a release that has ended. One that failed may be asked for
// again at once.
func (r *releases) end(what string, a asked, done bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.running, what)
	if r.atOnce[a.client]--; r.atOnce[a.client] == 0 {
		delete(r.atOnce, a.client)
	}
	if !done || r.pause < 0 {
		return
	}
	now := r.now()
	if len(r.last) >= maxRemembered {
		for a, at := range r.last {
			if now.Sub(at) >= r.pause {
				delete(r.last, a)
			}
		}
	}
	if len(r.last) < maxRemembered {
		r.last[a] = now
	}
}
