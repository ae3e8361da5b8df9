package relay

import (
	"context"
	"crypto/sha256"
	"runtime/debug"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
)

// A Mailbox is what is known of a recipient.
type Mailbox uint8

const (
	// Unsure: the servers did not answer, or their answer does not say.
	Unsure Mailbox = iota
	// Exists: a server would take mail for it.
	Exists
	// Missing: a server refuses it for good.
	Missing
)

// String returns the value's lower-case name.
func (m Mailbox) String() string {
	switch m {
	case Exists:
		return "exists"
	case Missing:
		return "missing"
	}
	return "unsure"
}

// Bounds on callouts.
const (
	maxCallouts = 4           // at the same time, per route
	maxAnswers  = 100_000     // remembered; 17 MB when all are there (TestAnswersAreSmall)
	unsureFor   = time.Minute // how long it is remembered that an answer did not say
	silentFor   = time.Minute // how long a server that did not answer is not asked
)

// callouts is what recipients were found to be.
type callouts struct {
	// By the digest of recipient and route: whoever makes up addresses cannot make the entries bigger, and what the servers of
	// one configuration said is not believed of those of the next.
	known *lru.Cache[digest, answer]
	once  singleflight.Group
}

type digest [16]byte

type answer struct {
	mailbox Mailbox
	until   time.Duration // since the Relay was made
}

func newCallouts() *callouts {
	known, err := lru.New[digest, answer](maxAnswers)
	if err != nil {
		panic(err) // the size is a constant
	}
	return &callouts{known: known}
}

// Verify asks the servers of the recipient's route, from the null sender, whether they would take mail for it, or remembers what they
// said. It takes at most Timeouts.Callout. Many who ask for one recipient at the same time make one callout.
//
// A route without servers has all mailboxes if there is a Config.Local.
func (r *Relay) Verify(ctx context.Context, recipient string) Mailbox {
	to, international, err := smtpPath(recipient)
	if err != nil {
		return Missing // Deliver would fail it
	}
	route := r.cfg.Route(recipient)
	if len(route.Servers) == 0 {
		if r.cfg.Local == nil {
			return Unsure
		}
		return Exists
	}
	g := &group{route: route, identity: route.identity()}
	id := digestOf(to, g.identity)
	if a, ok := r.callouts.known.Get(id); ok && r.cfg.Now().Sub(r.born) < a.until {
		return a.mailbox
	}
	found := r.callouts.once.DoChan(string(id[:]), func() (result any, _ error) {
		// It runs in a goroutine of its own, where a panic would end the process rather than the session.
		defer func() {
			if p := recover(); p != nil {
				r.cfg.Log.Error("panic in a callout", "panic", p, "stack", string(debug.Stack()))
				result = Unsure
			}
		}()
		// It goes on when the one who asked first has gone: others may be waiting, and its result is remembered.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.cfg.Timeouts.Callout)
		defer cancel()
		m, answered := r.callout(ctx, g, to, international)
		if answered {
			life := map[Mailbox]time.Duration{Unsure: unsureFor, Exists: r.cfg.ExistsFor, Missing: r.cfg.MissingFor}[m]
			r.callouts.known.Add(id, answer{mailbox: m, until: r.cfg.Now().Sub(r.born) + life})
		}
		return m, nil
	})
	select {
	case res := <-found:
		m, _ := res.Val.(Mailbox)
		return m
	case <-ctx.Done():
		return Unsure
	}
}

// digestOf returns the key of a recipient. The domain is compared in any case, the local part is the destination's business.
func digestOf(to, identity string) digest {
	at := strings.LastIndexByte(to, '@') + 1
	sum := sha256.Sum256([]byte(to[:at] + strings.ToLower(to[at:]) + "\x00" + identity))
	return digest(sum[:16])
}

// callout asks the servers of a route in turn until one answers; the second result says whether one did. One that does not answer
// is not asked again for a while: a dead server must not slow sessions down.
func (r *Relay) callout(ctx context.Context, g *group, to string, international bool) (Mailbox, bool) {
	servers := r.order(g)
	if len(r.talking(servers)) == 0 {
		return Unsure, false
	}
	places := r.pool.places(g.identity, r.cfg.Now())
	select {
	case places <- struct{}{}:
		defer func() { <-places }()
	case <-time.After(r.cfg.Timeouts.Callout / 2):
		return Unsure, false // with less time, a server could be taken for silent that is only busy with us
	}
	// While this one waited for its place, others may have found that somebody does not answer.
	servers = r.talking(servers)
	end, _ := ctx.Deadline()
	for i, s := range servers {
		one, cancel := context.WithTimeout(ctx, time.Until(end)/time.Duration(len(servers)-i))
		m, f := r.askServer(one, s, to, international)
		cancel()
		if f == nil {
			return m, true
		}
		s.mu.Lock()
		s.silent = r.cfg.Now().Add(silentFor)
		s.mu.Unlock()
		r.cfg.Log.Info("server does not say which recipients exist", "server", s.address, "reply", f.reply, "pause", silentFor)
	}
	return Unsure, false
}

// talking returns those of the servers that were found neither dead nor silent a short time ago.
func (r *Relay) talking(servers []*server) []*server {
	now := r.cfg.Now()
	var list []*server
	for _, s := range servers {
		s.mu.Lock()
		if !now.Before(s.deadUntil) && !now.Before(s.silent) {
			list = append(list, s)
		}
		s.mu.Unlock()
	}
	return list
}

// askServer asks one server; a fault means that it did not answer.
func (r *Relay) askServer(ctx context.Context, s *server, to string, international bool) (Mailbox, *fault) {
	for fresh := false; ; fresh = true {
		c, f := r.connect(ctx, s, fresh)
		if f == nil {
			reused := c.uses > 0
			var m Mailbox
			if m, f = c.askFor(to, international); f == nil {
				r.keep(c)
				return m, nil
			}
			c.close()
			if reused && !over(ctx) {
				continue
			}
		}
		if !over(ctx) {
			r.down(s, f)
		}
		return Unsure, f
	}
}

// askFor begins a transaction that ends after RCPT.
func (c *conn) askFor(to string, international bool) (Mailbox, *fault) {
	from := "MAIL FROM:<>"
	if international {
		if !c.has("SMTPUTF8") {
			return Missing, nil // Deliver would fail it
		}
		from += " SMTPUTF8"
	}
	c.dirty = true
	m, begun := Unsure, false
	f := c.each([]string{from, "RCPT TO:<" + to + ">"}, func(i int, rep reply) bool {
		switch {
		case i == 0:
			begun = rep.class() == 2
		case begun: // a refusal of the null sender says nothing about the recipient
			m = mailboxOf(rep)
		}
		return begun
	})
	return m, f
}

// mailboxOf returns what the reply to RCPT says of the recipient. In doubt it says nothing: a mailbox that is taken for missing by
// mistake loses wanted mail, one that is taken for existing only costs a notification.
//
// A refusal is about the recipient if its enhanced status code says so. It is not if the code is about us, about the sender, about
// the protocol, or about a passing state of the mailbox. Without an enhanced status code the words decide.
func mailboxOf(rep reply) Mailbox {
	switch rep.class() {
	case 2:
		return Exists
	case 5:
	default:
		return Unsure
	}
	// RFC 3463 section 3: 5.1.x is about addresses, 7 and 8 of them about the sender's.
	switch status := rep.enhanced(); status {
	case "5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10",
		"5.4.1": // "no answer from host" by the standard; a very common server says so of recipients that do not exist
		return Missing
	case "5.1.0", "5.2.1", "5.0.0", "5.5.0", "":
		// Nothing special: as without a code.
	default:
		return Unsure
	}
	switch rep.code {
	case 550, 551, 553, 556: // RFC 5321 section 4.2.3, RFC 7504 section 4
	default:
		return Unsure
	}
	if rep.aboutUs() {
		return Unsure
	}
	return Missing
}

// aboutUs reports whether the words of a refusal are about the client, its sender or a policy rather than the recipient.
func (r reply) aboutUs() bool {
	text := strings.ToLower(strings.Join(r.lines, " "))
	for _, word := range []string{"relay", "sender", "null", "<>", "from address", "denied", "block", "is listed", "listed at", "listed by", "black", "reputation", "spam", "spf",
		"dmarc", "policy", "authenticat", "auth required", "client", "helo", "ehlo", "reverse", "ptr", "your ip", "banned", "not permitted",
		"not allowed", "not authorized", "unauthorized", "try again", "temporar", "quota", "full", "too many", "rate", "tls", "encrypt"} {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}
