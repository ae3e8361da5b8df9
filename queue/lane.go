package queue

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// A lane is the mail that waits for one destination. It is in one of three moods:
//
//   - up: an attempt has found the destination well, not longer than staleAfter ago. Its mail is attempted ever wider, one
//     more at once with each success, as wide as Config.Width says; but never more than three times as many at once as
//     there are workers left, so that one busy lane leaves a quarter of the workers, two leave a seventh, and so on. One
//     attempt it gets even if there is no worker left;
//   - untried: nothing is known, or not any more. One attempt finds out, or two, or as many as before if few others try;
//   - down: an attempt found the destination down, and none has found it up since. After a pause that grows from failure
//     to failure one item at a time is tried. The others are not looked at, but for those whose time is over. When one
//     attempt finds it up again the lane opens at its full width.
//
// Attempts in lanes that are up are those that Config.Workers bounds. The others, which may well hang, take no worker
// away from them, and have a bound of their own, trialsPerWorker. Nor do those that hang in a lane in which all are
// silent, after staleAfter.
type lane struct {
	name    string
	waiting []*job    // active, not begun
	known   int       // active jobs
	running int       // of them begun
	more    bool      // the index may hold due items that are not active
	queued  int       // where it stands in scheduler.ready: 1 + mood; 0 = nowhere
	turn    bool      // it stands in scheduler.turns
	low     string    // no due key of it lies before this one
	next    time.Time // when the first item that is not due yet will be
	wake    time.Time // when the scheduler looks at it by itself
	at      int       // place in scheduler.alarms, from 1 on; 0 = none

	up       bool
	window   int       // attempts at the same time that it has earned
	heardOf  time.Time // when it was found up last
	failures int       // found down so often in a row; 0 = it is not down
	news     int       // grows when an attempt tells something of the destination
	probing  bool      // it is down and an attempt is finding out
	since    time.Time
	until    time.Time // end of the pause
	reply    string    // of the last failure
	server   string
	deadline time.Time // no item is to be given up or warned of before this; zero = unknown
	expiring bool
}

// LaneState is what is known of one lane.
type LaneState struct {
	Name     string
	Running  int       // attempts under way
	Failures int       // how often in a row the destination was found down; 0 = it is not down
	Since    time.Time // down since; zero = it is not
	Until    time.Time // the next attempt is made after this; zero = it is not down
	Reply    string    // what the last failure said
	Server   string    // who said it
}

// LaneRetry is the default pause of a lane that was found down n times in a row: 1 minute doubling to 30 minutes, give or take a fifth.
func LaneRetry(n int) time.Duration {
	d := 30 * time.Minute
	if n < 6 {
		d = time.Minute << max(0, n-1)
	}
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}

const (
	staleAfter      = time.Minute
	doubtPause      = 5 * time.Second // between two looks for lanes that are stale
	trialsPerWorker = 4               // attempts in lanes that are not up, for each worker
	firstWindow     = 2

	maxLane  = 255
	maxLanes = 10_000 // lanes at rest are forgotten when there are more
)

// laneOf returns the lane that it waits in from now on: that of its first open recipient whose lane is not down. Without
// Config.Lane it stays where it is.
func (q *Queue) laneOf(it *Item) (name string) {
	if q.cfg.Lane == nil {
		return it.Lane
	}
	first, some := it.Lane, false
	for i := range it.Recipients {
		r := &it.Recipients[i]
		if r.State.Final() {
			continue
		}
		name := q.laneFor(r.Address)
		if some && name == first {
			continue
		}
		if !q.sched.down(name) {
			return name
		}
		if !some {
			first, some = name, true
		}
	}
	return first
}

// mixed reports whether open recipients of it are in several lanes.
func (q *Queue) mixed(it *Item) bool {
	if q.cfg.Lane == nil || len(it.Recipients) == 1 {
		return false
	}
	first, some := "", false
	for i := range it.Recipients {
		if r := &it.Recipients[i]; !r.State.Final() {
			name := q.laneFor(r.Address)
			if some && name != first {
				return true
			}
			first, some = name, true
		}
	}
	return false
}

// down reports whether a lane is known to be down.
func (s *scheduler) down(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lanes[name]
	return l != nil && l.failures > 0
}

// laneFor asks Config.Lane. One that it may not return is the lane "".
func (q *Queue) laneFor(address string) (name string) {
	defer func() {
		if p := recover(); p != nil {
			q.panics.Add(1)
			q.log.Error("naming the lane of an address panicked", "address", address, "panic", p)
			name = ""
		}
	}()
	name = q.cfg.Lane(address)
	if len(name) > maxLane || strings.IndexByte(name, 0) >= 0 {
		q.log.Error("the lane of an address has no valid name", "address", address, "lane", name)
		return ""
	}
	return name
}

// lane returns the lane of this name, which it makes if it is new.
func (s *scheduler) lane(name string) *lane {
	l := s.lanes[name]
	if l == nil {
		if len(s.lanes) >= s.laneLimit {
			s.forgetLanes()
			s.laneLimit = max(maxLanes, 2*len(s.lanes))
		}
		l = &lane{name: name, low: laneEnd(name), window: firstWindow}
		s.lanes[name] = l
	}
	return l
}

// forgetLanes forgets lanes of which nothing is to be remembered.
func (s *scheduler) forgetLanes() {
	for name, l := range s.lanes {
		if l.known == 0 && l.failures == 0 && !l.more && l.queued == 0 && l.at == 0 && !l.expiring {
			delete(s.lanes, name)
		}
	}
}

// width is how many attempts of a lane may be under way.
func (s *scheduler) laneWidth(l *lane) int {
	most := share(s.q.cfg.Workers)
	if s.q.cfg.Width != nil {
		if n := s.q.cfg.Width(l.name); n > 0 {
			return min(n, most)
		}
	}
	return most
}

// share is the part of n that one lane may have.
func share(n int) int { return n - n/4 }

// free is the number of workers that are not in use.
func (s *scheduler) free() int { return s.q.cfg.Workers - (s.running - s.trials) }

// mayTry reports whether attempts in lanes of this mood, which is not laneUp, may begin now.
func (s *scheduler) mayTry(mood int) bool {
	workers := s.q.cfg.Workers
	return s.trials < trialsPerWorker*workers && (mood != laneDown || s.probes < max(2, workers))
}

// mayStart reports whether an attempt of the lane may begin now.
func (s *scheduler) mayStart(l *lane, now time.Time) bool {
	switch mood := l.mood(); {
	case mood == laneUp:
		if l.running == 0 {
			return s.running < (1+trialsPerWorker)*s.q.cfg.Workers
		}
		return l.running < 3*s.free() && l.running < min(l.window, s.laneWidth(l))
	case !s.mayTry(mood):
		return false
	case mood == laneDown:
		return !l.probing && !l.until.After(now)
	}
	return l.running == 0 || l.running < min(l.window, s.laneWidth(l)) && s.trials < s.q.cfg.Workers/2
}

// setUp notes whether the lane is up. Its attempts that are under way count as such.
func (s *scheduler) setUp(l *lane, up bool) {
	if l.up && !up {
		s.trials += l.running
	} else if up && !l.up {
		s.trials -= l.running
	}
	l.up = up
}

// doubt has lanes be untried that were not heard of for long, as far as there is room for the attempts that hang in them.
func (s *scheduler) doubt(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := now.Sub(s.doubted); d >= 0 && d < doubtPause {
		return
	}
	s.doubted = now
	for _, l := range s.lanes {
		if l.up && now.Sub(l.heardOf) > staleAfter && s.trials+l.running <= trialsPerWorker*s.q.cfg.Workers {
			s.setUp(l, false)
			if l.running == 0 {
				l.window = firstWindow
			}
			s.enqueue(l)
		}
	}
	s.unblock()
}

// room is how many more items of the lane may become active.
func (s *scheduler) room(l *lane, now time.Time) int {
	if l.failures > 0 {
		if l.known-l.running > 0 || !s.mayStart(l, now) {
			return 0
		}
		return 1
	}
	all := s.width()
	n := min(min(share(all), activePerWorker*s.laneWidth(l))-l.known, all-(len(s.active)-s.trials))
	if n <= 0 && len(l.waiting) == 0 && s.mayStart(l, now) {
		return 1 // it is begun next, so that there are never many more than all
	}
	return max(0, n)
}

// heard notes what an attempt told of its lane's destination, and reports whether that is down now. A failure counts
// only if nothing has been heard of it since the attempt began.
func (s *scheduler) heard(j *job, down bool, reply, server string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, now := j.lane, s.q.now()
	if !down {
		l.news++
		if l.failures > 0 {
			s.q.log.Info("destination is up again", "lane", l.name, "down", now.Sub(l.since).Round(time.Second).String(), "probes", l.failures)
		}
		if l.window++; l.failures > 0 {
			l.window = s.q.cfg.Workers
		}
		s.setUp(l, true)
		l.heardOf = now
		l.failures, l.since, l.until, l.reply, l.server = 0, time.Time{}, time.Time{}, "", ""
		s.enqueue(l)
		s.kick()
		return false
	}
	if j.news != l.news {
		return l.failures > 0
	}
	l.news++
	if l.failures++; l.failures == 1 {
		l.since = now
	}
	if l.news == 1 || l.failures == 1 {
		s.q.log.Warn("destination is down; its mail waits", "lane", l.name, "reply", reply, "server", server)
	}
	s.setUp(l, false)
	l.window = firstWindow
	l.until, l.reply, l.server = stamp(now.Add(s.q.cfg.LaneRetry(l.failures))), cut(reply, maxReply), cut(server, maxReply)
	for _, w := range l.waiting { // they are found again in the index
		l.more = true
		s.forget(w)
	}
	l.waiting = nil
	l.more = true
	s.alarm(l, now)
	if l.failures == 1 || l.deadline.IsZero() || !l.deadline.After(now) {
		s.expire(l)
	}
	return true
}

// presume has a lane that was down in the last run be down, until an attempt tells otherwise. It may be tried at once.
func (s *scheduler) presume(name string, last Attempt, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.lane(name); last.Down && now.Sub(last.Time) < presumed {
		l.failures, l.since, l.until, l.reply, l.server = 1, last.Time, now, last.Reply, last.Server
	}
}

const presumed = 2 * time.Hour // after this it is unknown how a destination is

// unpause ends the pauses of lanes.
func (s *scheduler) unpause(names ...string) {
	s.mu.Lock()
	now := s.q.now()
	for _, name := range names {
		if l := s.lanes[name]; l != nil && l.failures > 0 {
			l.news++ // a probe under way began before this: its failure is no reason for a new pause
			l.until, l.more = now, true
			s.alarm(l, now)
			s.enqueue(l)
		}
	}
	s.mu.Unlock()
	s.kick()
}

// Lanes returns the state of all lanes that have due items, attempts under way, or trouble, sorted by name.
func (q *Queue) Lanes() []LaneState {
	s := q.sched
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []LaneState
	for _, l := range s.lanes {
		if l.known > 0 || l.more || l == s.looking || l.failures > 0 {
			all = append(all, LaneState{l.name, l.running, l.failures, l.since, l.until, l.reply, l.server})
		}
	}
	slices.SortFunc(all, func(a, b LaneState) int { return strings.Compare(a.Name, b.Name) })
	return all
}
