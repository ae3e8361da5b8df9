// Package relay turns a queue item into SMTP transactions with the servers behind us, and their answers into one result per
// recipient. It also asks those servers whether a recipient exists, delivers into a Maildir, and writes the notification that tells
// a sender of a failure or a delay.
//
// How an attempt goes:
//
//  1. The message is looked through. One with a bare CR, a bare LF or a NUL is never sent: it is deferred, to be held by the queue.
//     Recipients that cannot be written as a path fail.
//  2. Config.Route names the servers of each recipient; recipients with different ones are tried one after the other, as follows.
//  3. The servers are put in order: round robin, those found dead a short time ago last.
//  4. A connection to the first one is taken from the pool or made: greeting, EHLO, STARTTLS by policy, EHLO again.
//  5. MAIL and all RCPT (at most 100 in a transaction) go out together where the server has PIPELINING. Refused recipients have
//     their result now: 4xx deferred, 5xx failed. Without an accepted one there is no DATA.
//  6. DATA and the message. The reply to the final dot is the result of all accepted recipients.
//  7. A server that is down, or a connection lost before the final dot, gives no result: the next server is asked at once. A
//     connection lost after the final dot defers: the message may arrive twice, but it is never lost.
//  8. What has no result when the servers are used up is deferred. When none of them so much as answered MAIL, the result says that
//     the destination is down, which is nothing about this message.
package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"spamcatcher/queue"
)

// A TLSMode says when a connection to a server is encrypted by STARTTLS (RFC 3207).
type TLSMode string

const (
	TLSOff     TLSMode = "off"     // never
	TLSMay     TLSMode = "may"     // when offered; certificates are not verified, and a failed handshake means plain text on a new connection
	TLSEncrypt TLSMode = "encrypt" // always, with any certificate; a server that cannot gets no mail
	TLSVerify  TLSMode = "verify"  // always, and the certificate must be valid for the server's name as configured, or be one of Route.Pins
)

// Timeouts bound each step of a transaction. Zero means the default in parentheses, which is RFC 5321 section 4.5.3.2's where it has one.
type Timeouts struct {
	Connect   time.Duration // TCP connection (30 s); to a server found dead at most 5 s
	Handshake time.Duration // TLS (30 s)
	Greeting  time.Duration // (5 min)
	Command   time.Duration // EHLO, MAIL, RCPT, RSET: each reply (5 min)
	Data      time.Duration // the reply to DATA (2 min)
	Block     time.Duration // each block of 32 kB of the message (3 min)
	End       time.Duration // the reply to the final dot (10 min)
	Attempt   time.Duration // all of an attempt (2 h)
	Callout   time.Duration // all of a callout (10 s)
	Dead      time.Duration // greeting, EHLO, STARTTLS: each reply, and the handshake, of a server found dead before (30 s)
}

// Config says how a Relay works. Zero values mean the default in parentheses.
type Config struct {
	Hostname   string                       // our name in EHLO; needed
	Route      func(recipient string) Route // asked at every attempt, by many goroutines at once; needed
	Notices    func(recipient string) Route // the same for notifications of ours (Route)
	Local      queue.Deliverer              // delivers what has a route without servers (nobody: it is deferred)
	TLSConfig  *tls.Config                  // roots for TLSVerify and client certificates (the system's roots, none); never changed
	Timeouts   Timeouts                     //
	MaxIdle    int                          // open connections without work per server (20); ten times as many in all
	IdleTime   time.Duration                // how long one is kept (5 s)
	MaxAge     time.Duration                // how long a connection is used, so that a server's new address is found (5 min)
	ExistsFor  time.Duration                // how long Verify remembers that a mailbox exists (24 h)
	MissingFor time.Duration                // how long it remembers that one does not (1 h)
	// Listen returns the addresses that we take mail at. A server that turns out to be one of them is ourselves, and counts as down (nil: none).
	Listen func() []netip.AddrPort
	// Hold is called, from within Deliver, for an item that can never be sent; it is to hold the item (nothing; the item is only deferred).
	Hold func(id, reason string)
	Now  func() time.Time // the clock that says how long a server counts as dead (time.Now)
	Log  *slog.Logger     // servers going down and up (slog.Default())
}

// maxRecipients is how many recipients go into one transaction.
// RFC 5321 section 4.5.3.1.8: a server must take at least 100.
const maxRecipients = 100

// A Relay is a queue.Deliverer over SMTP servers. It may be used by any number of goroutines.
type Relay struct {
	cfg      Config
	born     time.Time
	pool     *pool
	callouts *callouts
}

var _ queue.Deliverer = (*Relay)(nil)

// New returns a Relay. It connects to nothing yet.
func New(cfg Config) (*Relay, error) {
	if !domainOK(cfg.Hostname) || !ascii(cfg.Hostname) {
		return nil, fmt.Errorf("relay: %q is no host name to say in EHLO", cfg.Hostname)
	}
	if cfg.Route == nil {
		return nil, errors.New("relay: no routes")
	}
	t := &cfg.Timeouts
	for _, d := range []struct {
		p   *time.Duration
		def time.Duration
	}{
		{&t.Connect, 30 * time.Second}, {&t.Handshake, 30 * time.Second}, {&t.Greeting, 5 * time.Minute}, {&t.Command, 5 * time.Minute},
		{&t.Data, 2 * time.Minute}, {&t.Block, 3 * time.Minute}, {&t.End, 10 * time.Minute}, {&t.Attempt, 2 * time.Hour},
		{&t.Callout, 10 * time.Second}, {&t.Dead, 30 * time.Second}, {&cfg.ExistsFor, 24 * time.Hour}, {&cfg.MissingFor, time.Hour},
		{&cfg.IdleTime, 5 * time.Second}, {&cfg.MaxAge, 5 * time.Minute},
	} {
		if *d.p <= 0 {
			*d.p = d.def
		}
	}
	if cfg.MaxIdle <= 0 {
		cfg.MaxIdle = 20
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	now := cfg.Now()
	return &Relay{cfg: cfg, born: now, pool: newPool(now), callouts: newCallouts()}, nil
}

// Close ends the connections that have no work. The Relay can still be used.
func (r *Relay) Close() error {
	quitAll(r.pool.empty())
	return nil
}

// An envelope is what one attempt is about.
type envelope struct {
	item          *queue.Item
	sender        string // as a path
	international bool   // the sender's path needs SMTPUTF8
	message       *message
	unfit         string    // the reply for a message that cannot be read or sent
	open          []*target // without a result yet
	answered      bool      // a server of the route answered a command about the message
}

// A target is one recipient that is to be tried.
type target struct {
	path          string
	international bool
	accepted      bool // by RCPT, in the transaction under way
	result        *queue.Result
}

// settle gives a target its result.
func (t *target) settle(server string, state queue.State, reply string) {
	t.result.State, t.result.Reply, t.result.Server = state, reply, server
	t.path = "" // marks it as settled
}

// settleAll gives all of them the same result.
func settleAll(targets []*target, server string, state queue.State, reply string) {
	for _, t := range targets {
		if t.path != "" {
			t.settle(server, state, reply)
		}
	}
}

// sweep removes the settled targets.
func (e *envelope) sweep() {
	open := e.open[:0]
	for _, t := range e.open {
		if t.path != "" {
			open = append(open, t)
		}
	}
	e.open = open
}

// Deliver tries the item's open recipients once and returns one result for each, in their order. Recipients with different routes
// are tried one route after the other. It implements queue.Deliverer.
func (r *Relay) Deliver(ctx context.Context, it *queue.Item, body io.ReadSeeker) []queue.Result {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeouts.Attempt)
	defer cancel()
	pending := it.Pending()
	results := make([]queue.Result, len(pending))
	env := &envelope{item: it}
	for _, g := range r.groups(it, pending, results) {
		if g.route.Closed != "" {
			g.closed()
			continue
		}
		if len(g.route.Servers) == 0 {
			r.local(ctx, it, g, body)
			continue
		}
		env.address(g)
		if len(env.open) > 0 && r.ready(env, body) {
			r.walk(ctx, g, env)
		}
	}
	return results
}

// address makes a target of each recipient that can be written as a path. The others fail.
func (e *envelope) address(g *group) {
	e.open, e.answered = nil, false
	for i, p := range g.to {
		path, international, err := smtpPath(p.Address)
		if err != nil {
			g.results[i].State, g.results[i].Reply, g.results[i].Silent = queue.Failed, "553 5.1.3 bad recipient address syntax", true
			continue
		}
		e.open = append(e.open, &target{path: path, international: international, result: g.results[i]})
	}
}

// ready looks through sender and message, once in an attempt, and reports whether they can be sent. If not, the targets are settled.
func (r *Relay) ready(env *envelope, body io.ReadSeeker) bool {
	if env.message == nil && env.unfit == "" {
		env.unfit = r.inspect(env, body)
	}
	if env.unfit != "" {
		for _, t := range env.open {
			t.result.Silent = true
		}
		settleAll(env.open, "", queue.Deferred, env.unfit)
		return false
	}
	return true
}

// inspect loads the message and returns the reply that defers it if it cannot be sent.
func (r *Relay) inspect(env *envelope, body io.ReadSeeker) string {
	var err error
	if env.item.Sender != "" {
		if env.sender, env.international, err = smtpPath(env.item.Sender); err != nil {
			// It would bounce to an address that does not exist.
			return r.poisoned(env, "sender's address cannot be sent")
		}
	}
	env.message, err = load(body, env.item.Size)
	switch {
	case errors.Is(err, errPoison):
		return r.poisoned(env, err.Error())
	case err != nil:
		return "451 4.3.0 " + printable(err.Error())
	}
	return ""
}

// walk asks the servers of a route one after the other until every target is settled.
func (r *Relay) walk(ctx context.Context, g *group, env *envelope) {
	last, ended := noServer, false
	for _, s := range r.order(g) {
		if f := r.try(ctx, s, env); f != nil {
			last = f.reply
			for _, t := range env.open {
				t.result.Server = s.address
			}
		}
		if len(env.open) == 0 {
			return
		}
		if ended = over(ctx); ended {
			last = "451 4.3.2 delivery was interrupted"
			break
		}
	}
	for _, t := range env.open {
		t.result.Down, t.result.Silent = !env.answered && !ended, !env.answered && ended
		t.settle(t.result.Server, queue.Deferred, last)
	}
}

// poisoned has the item held: a message that can never be sent is for a person to look at, not to bounce.
func (r *Relay) poisoned(env *envelope, why string) (reply string) {
	why = "message not transmissible: " + why
	r.cfg.Log.Error("message cannot be sent", "id", env.item.ID, "reason", why)
	if r.cfg.Hold != nil {
		r.cfg.Hold(env.item.ID, why)
	}
	return "451 4.3.5 " + why
}

// try delivers to one server what it takes. A fault means that the open recipients of env are for the next one.
func (r *Relay) try(ctx context.Context, s *server, env *envelope) *fault {
	for fresh := false; ; fresh = true {
		c, f := r.connect(ctx, s, fresh)
		if f != nil {
			if !over(ctx) {
				r.down(s, f)
			}
			return f
		}
		reused := c.uses > 0
		f = r.transactions(c, env)
		if f == nil {
			r.keep(c)
			return nil
		}
		c.close()
		// A connection from the pool may have ended while nobody looked: that says nothing of the server, so it gets
		// another one. Nothing of the message was sent on the first, so it cannot arrive twice.
		if reused && f.early && !over(ctx) {
			continue
		}
		if !over(ctx) {
			r.down(s, f)
		}
		return f
	}
}

// transactions sends the message to all open recipients, in as many transactions as it takes.
func (r *Relay) transactions(c *conn, env *envelope) *fault {
	for len(env.open) > 0 {
		part := env.open[:min(len(env.open), maxRecipients)]
		f := c.transact(env, part)
		env.sweep()
		if f != nil {
			return f
		}
	}
	return nil
}
