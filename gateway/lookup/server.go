package lookup

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

const (
	reprobe      = 2 * time.Second        // how long a server that is down is left alone
	trialTime    = 250 * time.Millisecond // what a question may cost that tries a server that is down
	habitTime    = 10 * time.Minute       // how long what was learnt of a server holds
	demotion     = 10 * time.Second       // how long a server is asked last that failed where another did not
	contradicted = 3                      // such failures in a row
)

// ServerState tells of one of the servers that are asked.
type ServerState struct {
	Address   string
	Queries   uint64        // attempts
	Failures  uint64        // attempts without an answer
	Time      time.Duration // until an answer, a moving average
	Down      time.Time     // since when it is silent; zero: it is not
	KeepsCase bool          // repeats the case of letters, so that replies are harder to forge
}

// A server is one recursive resolver.
//
// Silence is evidence against a server only if it answers nobody: the first
// question without an answer, while no other was answered, starts a probe, a
// question for the root, which any resolver knows. If that has no answer too,
// the server is down. Every two seconds, when there is something to ask, a probe tries
// it again, and if no other server is up the question itself too; the first
// answer brings it back.
type server struct {
	address string

	mu        sync.Mutex
	queries   uint64
	failures  uint64
	replies   uint64
	average   time.Duration
	down      time.Time // zero: up
	retry     time.Time // when one that is down may be tried
	probing   bool
	doubts    int       // answers in a row that another server contradicted
	doubted   time.Time // until when it is asked last
	folds     time.Time // until when it is known not to keep case
	noFold    int       // replies in a row of which only the case was wrong, and nothing by TCP
	plainOnly time.Time // until when it is known not to understand EDNS
}

// habits says how a question is put: with case mixed, with EDNS.
func (s *server) habits(now time.Time) (mixed, edns bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !now.Before(s.folds), !now.Before(s.plainOnly)
}

// keeps notes what a reply by TCP says of case.
func (s *server) keeps(kept bool, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noFold = 0
	if !kept {
		s.folds = now.Add(habitTime)
	}
}

// misfolded notes a reply by UDP that was right but for the case, when there is
// no answer by TCP to tell whose fault that is. Whoever wants to forge would have
// to do that three times in a row, to questions of which none has a true reply,
// guessing id and port each time.
func (s *server) misfolded(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.noFold++; s.noFold >= 3 {
		s.noFold, s.folds = 0, now.Add(habitTime)
	}
}

func (s *server) noEDNS(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plainOnly = now.Add(habitTime)
}

// sending notes an attempt, and returns what answeredSince wants.
func (s *server) sending() (mark uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queries++
	return s.replies
}

func (s *server) answeredSince(mark uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.replies > mark
}

// answered notes any reply; it returns whether the server was down before.
func (s *server) answered(took time.Duration) (wasDown bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replies++
	if s.average == 0 {
		s.average = took
	}
	s.average += (took - s.average) / 8
	wasDown = !s.down.IsZero()
	s.down = time.Time{}
	return wasDown
}

// failed notes an attempt without an answer.
func (s *server) failed(took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures++
	s.average += (max(took, s.average) - s.average) / 4
}

// disagreed notes whether its "I could not tell" was contradicted by the answer
// of another server.
func (s *server) disagreed(contradictedNow bool, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !contradictedNow {
		s.doubts = 0
	} else if s.doubts++; s.doubts >= contradicted {
		s.doubted = now.Add(demotion)
	}
}

// startProbe says whether the caller is to probe.
func (s *server) startProbe() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.probing {
		return false
	}
	s.probing = true
	return true
}

// probed notes how a probe went that began at mark; it returns whether the
// server went down by that.
func (s *server) probed(mark uint64, now time.Time) (wentDown bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.probing = false
	if s.replies > mark {
		return false
	}
	wentDown = s.down.IsZero()
	if wentDown {
		s.down = now
		s.retry = now.Add(reprobe)
	}
	return wentDown
}

// tryDown says whether a server that is down may be tried now, once.
func (s *server) tryDown(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down.IsZero() || now.Before(s.retry) {
		return false
	}
	s.retry = now.Add(reprobe)
	return true
}

func (s *server) state(now time.Time) ServerState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return ServerState{s.address, s.queries, s.failures, s.average, s.down, !now.Before(s.folds)}
}

// rank is what servers are chosen by.
func (s *server) rank(now time.Time) (down, doubted bool, average time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.down.IsZero(), now.Before(s.doubted), s.average
}

// unused lets the average of a server that was not chosen sink, so that it is
// tried again some time.
func (s *server) unused() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.average -= s.average / 64
}

// choose returns the server to ask next: of those that are up the one that was
// asked least for this question, then one that is not doubted, then the
// fastest. None is up: nil.
func (c *Client) choose(servers, asked []*server) *server {
	now := c.now()
	type ranked struct {
		*server
		times   int
		doubted int
		average time.Duration
	}
	var list []ranked
	for _, s := range servers {
		down, doubted, average := s.rank(now)
		if down {
			continue
		}
		one := ranked{server: s, average: average}
		if doubted {
			one.doubted = 1
		}
		for _, other := range asked {
			if other == s {
				one.times++
			}
		}
		list = append(list, one)
	}
	if len(list) == 0 {
		return nil
	}
	best := slices.MinFunc(list, func(a, b ranked) int {
		return cmp.Or(a.times-b.times, a.doubted-b.doubted, cmp.Compare(a.average, b.average))
	})
	for _, one := range list {
		if one.server != best.server {
			one.unused()
		}
	}
	return best.server
}

// retry sends a probe to each server that is down and may be tried again, and
// returns one of them.
func (c *Client) retry(servers []*server) (trial *server) {
	for _, s := range servers {
		if s.tryDown(c.now()) {
			c.probe(s)
			trial = s
		}
	}
	return trial
}

// probe finds out in the background whether a server is alive. One that says
// nothing for as long as an attempt may last is down. But it is heard for as long
// as a question may last: a server that is slow, busy, or far away is not dead,
// and would be taken for dead for ever if its answer came too late each time.
func (c *Client) probe(s *server) {
	if !s.startProbe() {
		return
	}
	if !c.begin() {
		s.probed(0, c.now())
		return
	}
	go func() {
		defer c.running.Done()
		defer func() {
			if p := recover(); p != nil {
				c.panicked(question{"", NS}, p)
			}
		}()
		mark := s.sending()
		ctx, cancel := context.WithTimeout(c.life, c.config.Timeout)
		defer cancel()
		replies := make(chan error, 2)
		send := func() {
			defer c.running.Done()
			replies <- c.ping(ctx, s)
		}
		c.running.Add(1)
		go send()
		again, verdict := time.NewTimer(c.attempt()/3), time.NewTimer(c.attempt())
		defer again.Stop()
		defer verdict.Stop()
		for sent, failed := 1, 0; failed < sent; {
			select {
			case err := <-replies:
				if err == nil {
					s.probed(mark, c.now())
					return
				}
				failed++
				continue
			case <-again.C: // datagrams get lost
				c.running.Add(1)
				go send()
				sent++
				continue
			case <-verdict.C:
			}
			c.judge(s, mark)
		}
		c.judge(s, mark) // the port is closed
	}()
}

// ping asks a server for what any resolver knows.
func (c *Client) ping(ctx context.Context, s *server) (err error) {
	root := question{"", NS}
	defer func() {
		if p := recover(); p != nil {
			err = c.panicked(root, p)
		}
	}()
	started := time.Now()
	if _, err = c.overUDP(ctx, s.address, newQuery(root, false, false)); err == nil {
		c.heard(s, time.Since(started))
	}
	return err
}

// judge ends a probe that began at mark.
func (c *Client) judge(s *server, mark uint64) {
	if c.life.Err() == nil && s.probed(mark, c.now()) {
		c.log.Warn("a DNS server does not answer", "server", s.address)
	}
}

// heard notes a reply of a server. What failed while it was down is asked again.
func (c *Client) heard(s *server, took time.Duration) {
	if s.answered(took) {
		c.log.Info("a DNS server answers again", "server", s.address)
		c.cache.forget()
		c.zones.forgive()
	}
}
