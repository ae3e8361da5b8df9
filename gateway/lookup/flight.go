package lookup

import (
	"container/list"
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"time"
)

const (
	// linger is how long a question stays under way that nobody waits for any
	// more, so that an answer that is nearly here is still remembered.
	linger = 500 * time.Millisecond
	// lineLength is how many questions may wait for a place, in times of
	// Config.MaxQueries.
	lineLength = 4
)

// A flight is a question under way, or one that waits to be. Whoever wants to
// know the same waits for it; that one of them goes away does not end it.
type flight struct {
	question
	kindOfName
	ctx    context.Context
	cancel context.CancelFunc

	done   chan struct{} // closed: answer and err are set
	answer Answer
	err    error

	// Guarded by the lock of flights.
	waiters int
	linger  *time.Timer
	inLine  *list.Element // of line; nil: it has a place
	over    bool          // it has neither
}

// A kindOfName says whether a name is below one of Config.Zones.
type kindOfName int

const (
	other kindOfName = iota
	listed
)

// Flights are the questions under way, at most so many, and those that wait.
// Guarded by the lock of the Client.
//
// A place that one takes is one that another lacks, and a name whose servers are
// silent costs nothing to make up. So
//
//   - a quarter of the places is kept for names below Config.Zones, and a quarter
//     for all others;
//   - what nobody waits for any more ends after linger, or at once when there is
//     no place for another;
//   - when there is no place, a question waits in line for one, within its own
//     time. Names below Config.Zones go first.
type flights struct {
	most   int
	all    map[question]*flight
	idle   map[*flight]struct{} // nobody waits for them
	places [2]int               // taken, by kind of name
	line   [2]list.List         // of *flight
}

func newFlights(most int) *flights {
	return &flights{most: most, all: map[question]*flight{}, idle: map[*flight]struct{}{}}
}

func (s *flights) underWay() int { return s.places[other] + s.places[listed] }

func (s *flights) waiting() int { return s.line[other].Len() + s.line[listed].Len() }

// room says whether there is a place for one more question.
func (s *flights) room(kind kindOfName) bool {
	return s.underWay() < s.most && s.places[kind] < s.most-s.most/4
}

// add finds a place for a flight, or a place in line; false: there is neither.
func (s *flights) add(f *flight) bool {
	if !s.room(f.kindOfName) {
		for one := range s.idle {
			s.end(one)
		}
	}
	switch {
	case s.room(f.kindOfName) && s.line[f.kindOfName].Len() == 0:
		s.places[f.kindOfName]++
	case s.line[f.kindOfName].Len() < s.most*lineLength/2:
		f.inLine = s.line[f.kindOfName].PushBack(f)
	default:
		return false
	}
	s.all[f.question] = f
	return true
}

// next returns a flight that waited in line and has a place now; nil for none.
func (s *flights) next() *flight {
	for _, kind := range []kindOfName{listed, other} {
		if first := s.line[kind].Front(); first != nil && s.room(kind) {
			f := s.line[kind].Remove(first).(*flight)
			f.inLine = nil
			s.places[kind]++
			return f
		}
	}
	return nil
}

// end gives back the place of a flight, in line or under way, and ends it if it
// still goes on.
func (s *flights) end(f *flight) {
	if f.over {
		return
	}
	f.over = true
	f.cancel()
	delete(s.all, f.question)
	delete(s.idle, f)
	if f.inLine != nil {
		s.line[f.kindOfName].Remove(f.inLine)
		return
	}
	s.places[f.kindOfName]--
}

// join returns the flight of a question, a new one if there is none. The caller
// waits for it, and then leaves it.
func (c *Client) join(ctx context.Context, q question) (*flight, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("asking for %s %s: %w", q.name, q.kind, err)
	}
	kind := other
	if c.zones.listed(q.name) {
		kind = listed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f, ok := c.flights.all[q]; ok {
		c.stats.coalesced.Add(1)
		if f.waiters++; f.linger != nil {
			f.linger.Stop()
			delete(c.flights.idle, f)
		}
		return f, nil
	}
	if c.closed {
		return nil, errClosed
	}
	q.name = strings.Clone(q.name) // it will be kept, and may be part of a message
	f := &flight{question: q, kindOfName: kind, done: make(chan struct{}), waiters: 1}
	f.ctx, f.cancel = context.WithTimeout(c.life, c.config.Timeout)
	if !c.flights.add(f) {
		f.cancel()
		c.stats.busy.Add(1)
		if now := c.now(); now.Sub(c.warned) >= time.Minute || now.Before(c.warned) {
			c.warned = now
			c.log.Warn("questions of DNS are left out: too many at once", "underway", c.flights.underWay(), "waiting", c.flights.waiting(), "leftout", c.stats.busy.Load())
		}
		return nil, ErrBusy
	}
	if f.inLine == nil {
		c.launch(f)
	}
	c.advance() // what was idle may have given way
	return f, nil
}

// launch asks the question of a flight that has a place.
func (c *Client) launch(f *flight) {
	c.running.Add(1)
	go func() {
		defer c.running.Done()
		f.answer, f.err = c.resolveSafely(f.ctx, f.question)
		c.mu.Lock()
		defer c.mu.Unlock()
		close(f.done) // before end cancels ctx
		c.flights.end(f)
		c.advance()
	}()
}

// resolveSafely is resolve. A panic, over whatever a server may have sent, is an
// error of this question.
func (c *Client) resolveSafely(ctx context.Context, q question) (answer Answer, err error) {
	defer func() {
		if p := recover(); p != nil {
			answer, err = Answer{}, c.panicked(q, p)
		}
	}()
	return c.resolve(ctx, q)
}

func (c *Client) panicked(q question, p any) error {
	c.log.Error("a question of DNS panicked", "name", q.name, "kind", q.kind.String(), "panic", fmt.Sprintf("%v\n%s", p, debug.Stack()))
	return fmt.Errorf("asking for %s %s: panic: %v", q.name, q.kind, p)
}

// advance launches those that waited in line, as far as there are places.
func (c *Client) advance() {
	for !c.closed {
		f := c.flights.next()
		if f == nil {
			return
		}
		c.launch(f)
	}
}

// leave says that one who joined does not wait any more.
func (c *Client) leave(f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.waiters--; f.waiters > 0 || f.over {
		return
	}
	c.flights.idle[f] = struct{}{}
	if c.flights.waiting() > 0 { // perhaps itself
		c.flights.end(f)
		c.advance()
		return
	}
	f.linger = time.AfterFunc(linger, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if f.waiters == 0 {
			c.flights.end(f)
			c.advance()
		}
	})
}
