package lookup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/miekg/dns"
)

var (
	errDown    = errors.New("no DNS server answers")
	errGivenUp = errors.New("nobody waits for the answer")
	errPanic   = errors.New("it panicked")
)

// resolve asks for a name, and for the names that it is an alias of, and
// remembers the answer.
func (c *Client) resolve(ctx context.Context, q question) (Answer, error) {
	var seen []string
	name, ttl := q.name, maxTTL
	for {
		found, blamed, err := c.step(ctx, question{name, q.kind}, seen)
		if err != nil {
			err = fmt.Errorf("asking for %s %s: %w", name, q.kind, err)
			if blamed {
				c.cache.fail(q, err, c.now())
			}
			return Answer{}, err
		}
		ttl = min(ttl, found.ttl)
		if found.next != "" {
			name, seen = found.next, found.seen
			continue
		}
		key := q
		if found.missing == ErrNoName && len(found.seen) == 0 {
			key.kind = 0 // RFC 2308 section 5: for every kind
		}
		c.cache.put(key, found.records, ttl, found.missing, c.now())
		return Answer{Records: found.records, TTL: ttl}, found.missing
	}
}

// step asks one question, if the breaker of its zone lets it. Blamed says that
// an error is the fault of the name's side.
func (c *Client) step(ctx context.Context, q question, seen []string) (found findings, blamed bool, err error) {
	pass, err := c.zones.enter(q.name, c.now())
	if err != nil {
		if errors.Is(err, ErrBusy) {
			c.stats.busy.Add(1)
		}
		return findings{}, false, err
	}
	left := false
	defer func() {
		if !left { // a panic
			c.zones.leave(pass, errPanic, false, c.now())
		}
	}()
	found, blamed, err = c.ask(ctx, q, seen)
	left = true
	opened, closed := c.zones.leave(pass, err, blamed && !errors.Is(err, errChain), c.now())
	if opened != "" {
		c.tell(pass, slog.LevelWarn, "a zone of DNS is left alone for a while", "zone", opened, "error", err)
	}
	if closed != "" {
		c.tell(pass, slog.LevelInfo, "a zone of DNS answers again", "zone", closed)
	}
	return found, blamed, err
}

// tellEvery is how often the log is told of zones that are not configured: anybody
// can make up names that fail.
const tellEvery = 10 * time.Second

// tell writes to the log what became of a zone: of a configured one always.
func (c *Client) tell(p pass, level slog.Level, text string, about ...any) {
	if p.configured {
		c.log.Log(context.Background(), level, text, about...)
		return
	}
	now := c.now()
	c.mu.Lock()
	due := now.Sub(c.told) >= tellEvery || now.Before(c.told)
	if due {
		c.told = now
		about = append(about, "untold", c.untold)
		c.untold = 0
	} else {
		c.untold++
	}
	c.mu.Unlock()
	if due {
		c.log.Info(text, about...)
	}
}

// ask puts a question to one server after the other, till one knows the answer.
// Blamed says that an error is the fault of the name's side.
func (c *Client) ask(ctx context.Context, q question, seen []string) (found findings, blamed bool, err error) {
	servers, patience, rounds := c.ups.current(c.now())
	type silence struct {
		*server
		mark uint64
	}
	var silences []silence
	var asked, unsure []*server
	err = errDown
	for len(asked) < rounds*len(servers) && ctx.Err() == nil {
		s, attempt := c.choose(servers, asked), c.attemptOf(patience)
		trial := c.retry(servers)
		if s == nil {
			s, attempt = trial, min(attempt, trialTime)
		}
		if s == nil || slices.Contains(unsure, s) {
			break
		}
		asked = append(asked, s)
		mark, started := s.sending(), time.Now()
		attemptCtx, cancel := context.WithTimeout(ctx, attempt)
		reply, failure := c.exchange(attemptCtx, s, q)
		cancel()
		took := time.Since(started)
		if c.life.Err() != nil {
			return findings{}, false, errClosed
		}
		if failure != nil && errors.Is(ctx.Err(), context.Canceled) {
			err = errGivenUp // that says nothing; what failed before it does
			break
		}
		if failure != nil {
			s.failed(took)
			err = failure
			silences = append(silences, silence{s, mark})
			if !s.answeredSince(mark) {
				c.probe(s)
			}
			continue
		}
		c.heard(s, took)
		found, err = understand(reply, q, seen)
		if err == nil || errors.Is(err, errChain) {
			s.disagreed(false, c.now())
			for _, other := range unsure {
				other.disagreed(true, c.now())
			}
			return found, err != nil, err
		}
		blamed = true
		unsure = append(unsure, s)
	}
	// A server that was silent to this question but answered another says
	// something of the name; one that was silent to all does not.
	for _, one := range silences {
		blamed = blamed || one.answeredSince(one.mark)
	}
	return findings{}, blamed, err
}

// understand reads a reply; an error means that the server could not tell, or,
// errChain, that the answer makes no sense.
func understand(reply *dns.Msg, q question, seen []string) (findings, error) {
	if reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError {
		return findings{}, rcodeError(reply.Rcode)
	}
	return read(reply, q.name, q.kind, seen)
}
