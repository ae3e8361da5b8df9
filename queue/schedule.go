package queue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

const (
	activePerWorker = 4                // jobs known to the scheduler, for each worker
	maxSleep        = 30 * time.Second // a clock that was set, or room on the disk, is noticed after at most this
	fullSleep       = time.Second
	rescanPause     = 10 * time.Minute // after this the lanes are looked for in the index, as if nothing were known: should never find anything
)

// Retry is the default pause after the n'th attempt: 1 minute doubling to 1 hour, give or take a fifth.
func Retry(n int) time.Duration {
	d := time.Hour
	if n < 7 {
		d = time.Minute << max(0, n-1)
	}
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}

// job is an item that is due, as far as the scheduler needs to know it.
type job struct {
	id      string
	due     string // the key under which it was found
	lane    *lane
	suspect bool    // the process died in its last attempt
	probe   bool    // begun in a lane that was down
	news    int     // of the lane, when it began
	again   []*lane // in which it is due again, under another key
}

// scheduler decides which item is attempted next. It knows at most a few items for each worker; the others wait in the
// index, by lanes, in the order in which they are due. Three rules keep one sort of mail from stopping the rest:
//
//   - new mail is handed over by Put and does not wait behind a backlog, as long as there is room for it; while a worker
//     is free, its attempt begins with the very commit that stores it;
//   - a lane gets only part of the workers and of the known items, and hardly any while its destination is down (see lane);
//   - of the items in whose attempt the process died, one at a time is attempted, so that the innocent clear themselves
//     and only the guilty one dies again.
//
// A lane that may have due items that are not active stands in ready until it was looked at, unless it has all that it
// may have (then the end of one of its jobs puts it there again) or its pause is not over (then its alarm does).
type scheduler struct {
	q    *Queue
	wake chan struct{} // of length 1: something has changed
	old  chan struct{} // of length 1: expiring has got lanes

	mu        sync.Mutex
	cond      *sync.Cond
	on        bool // Run is running and begins attempts
	active    map[string]*job
	lanes     map[string]*lane
	laneLimit int        // number of lanes at which those at rest are forgotten
	ready     [3][]*lane // by mood
	blocked   []*lane    // that had no room though they have hardly anything active
	turns     []*lane    // with waiting jobs, in the order in which they are served
	looking   *lane      // in which due items are being looked for
	alarms    alarms
	expiring  []*lane // down, with items whose time may be over
	running   int
	trials    int                // running, in lanes that are not up
	doubted   time.Time          // when lanes that are stale were looked for last
	probes    int                // running
	suspects  int                // active
	passed    []*lane            // with suspects that were passed over
	wanted    func() bool        // Run's context has not ended
	begin     func(*job, *entry) // begins the attempt of a reserved job
	cancel    context.CancelFunc
	ended     chan struct{} // closed when Run has returned
}

func newScheduler(q *Queue) *scheduler {
	s := &scheduler{q: q, wake: make(chan struct{}, 1), old: make(chan struct{}, 1), active: map[string]*job{}, lanes: map[string]*lane{}, laneLimit: maxLanes}
	s.cond = sync.NewCond(&s.mu)
	return s
}

// Run attempts delivery of what is due until ctx ends. It then begins no more attempts, waits Config.Grace for those
// under way, cancels their contexts, and returns nil; an attempt that does not heed that for 5 seconds is left behind.
// It returns ErrBroken if storage has failed. Only one Run at a time.
func (q *Queue) Run(ctx context.Context) error {
	if q.cfg.Deliverer == nil {
		return errors.New("running queue: no deliverer given")
	}
	s := q.sched
	attempts, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.mu.Lock()
	if s.on {
		s.mu.Unlock()
		return errors.New("running queue: it runs already")
	}
	s.on, s.ended = true, make(chan struct{})
	run, end := context.WithCancel(ctx)
	defer end()
	s.cancel = func() { end(); cancel() }
	s.wanted = func() bool { return run.Err() == nil }
	s.begin = func(j *job, e *entry) {
		go func() {
			q.try(attempts, j, e)
			s.finished(j)
		}()
	}
	ended := s.ended
	s.mu.Unlock()
	defer close(ended)

	var others sync.WaitGroup
	others.Go(func() { q.tidyLoop(run) })
	others.Go(func() { q.expireLoop(run) })
	defer others.Wait()
	var scanned time.Time
	seen := q.now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for run.Err() == nil {
		seen = q.heedClock(seen)
		if time.Since(scanned) >= rescanPause {
			scanned = time.Now()
			s.check(s.findLanes())
		}
		s.doubt(seen)
		s.check(s.fill(attempts))
		timer.Reset(s.start(attempts))
		select {
		case <-run.Done():
		case <-s.wake:
		case <-timer.C:
		}
	}
	s.mu.Lock()
	s.on = false
	for _, l := range s.turns {
		for _, j := range l.waiting {
			l.more = true
			s.forget(j)
		}
		l.waiting, l.turn = nil, false
	}
	s.turns = nil
	s.mu.Unlock()
	if !s.idle(attempts, q.cfg.Grace) {
		q.log.Warn("attempts under way are cancelled", "grace", q.cfg.Grace)
		cancel()
		if !s.idle(context.Background(), 5*time.Second) {
			q.log.Error("attempts do not end; they are left behind")
		}
	}
	return q.broken()
}

// check breaks the queue if the index could not be read.
func (s *scheduler) check(err error) {
	if err != nil && !errors.Is(err, ErrClosed) {
		s.q.breakDown(fmt.Errorf("reading the index: %w", err))
	}
}

// idle waits until no attempt is running; false if that takes longer than limit or ctx ends.
func (s *scheduler) idle(ctx context.Context, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { s.mu.Lock(); s.cond.Broadcast(); s.mu.Unlock() })
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.running > 0 && ctx.Err() == nil {
		s.cond.Wait()
	}
	return s.running == 0
}

// stop ends Run at once and waits for it.
func (s *scheduler) stop() {
	s.mu.Lock()
	cancel, ended := s.cancel, s.ended
	s.mu.Unlock()
	if cancel != nil {
		cancel()
		<-ended
	}
}

func (s *scheduler) kick() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// width is how many items may be active, but for those that are begun at once.
func (s *scheduler) width() int { return activePerWorker * s.q.cfg.Workers }

// offer tells the scheduler of an item that was just stored with a new due time.
func (s *scheduler) offer(it *Item) {
	if it.Hold != "" {
		return
	}
	key, now := string(dueKey(it)), s.q.now()
	s.mu.Lock()
	l := s.lane(it.Lane)
	l.low = min(l.low, key)
	d := dueOf(it)
	if at := d.deadline(s.q.cfg.Warn); !l.deadline.IsZero() && at.Before(l.deadline) {
		l.deadline = at
	}
	if it.Next.After(now) {
		if l.next.IsZero() || it.Next.Before(l.next) {
			l.next = it.Next
			s.alarm(l, now)
		}
	} else if j := s.active[it.ID]; j != nil {
		j.dueIn(l)
	} else if !s.take(l, key, it.ID, d.suspect, now) {
		l.more = true // it is found in the index when there is room
		s.enqueue(l)
	}
	s.mu.Unlock()
	s.kick()
}

// take makes the item with this due key active, if there is room for it.
func (s *scheduler) take(l *lane, key, id string, suspect bool, now time.Time) bool {
	if !s.on || suspect && s.suspects > 0 || s.room(l, now) == 0 {
		return false
	}
	j := &job{id: id, due: key, lane: l, suspect: suspect}
	s.activate(j)
	l.waiting = append(l.waiting, j)
	if !l.turn {
		l.turn = true
		s.turns = append(s.turns, l)
	}
	return true
}

func (s *scheduler) activate(j *job) {
	s.active[j.id] = j
	j.lane.known++
	if j.suspect {
		s.suspects++
	}
}

// reserve makes a new item active and gives it a worker, if one is free: its attempt begins with the commit that stores
// it. The caller follows with begin or with finished. A nil job means that the item is to be offered.
func (s *scheduler) reserve(it *Item) (j *job, begin func(*job, *entry)) {
	now := s.q.now()
	if it.Hold != "" || it.Next.After(now) || !s.q.clock.steady() {
		return nil, nil
	}
	name := s.q.laneOf(it)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.on || !s.wanted() {
		return nil, nil
	}
	l := s.lane(name)
	if !s.mayStart(l, now) || s.room(l, now) == 0 {
		return nil, nil
	}
	it.Lane = name
	j = &job{id: it.ID, due: string(dueKey(it)), lane: l}
	l.low = min(l.low, j.due)
	s.activate(j)
	s.run(j)
	return j, s.begin
}

// claim makes an item active that is not to be attempted now; nil if it is active already.
func (s *scheduler) claim(l *lane, key, id string) *job {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active[id] != nil {
		return nil
	}
	j := &job{id: id, due: key, lane: l}
	s.activate(j)
	return j
}

// disclaim ends that.
func (s *scheduler) disclaim(j *job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(j)
}

// forget makes j inactive. What of its lane was passed over for want of room is looked for again.
func (s *scheduler) forget(j *job) {
	delete(s.active, j.id)
	j.lane.known--
	if j.suspect {
		s.suspects--
		for _, l := range s.passed {
			l.more = true
			s.enqueue(l)
		}
		s.passed = nil
	}
	for _, l := range j.again {
		l.more = true
		s.enqueue(l)
	}
	if len(s.active)-s.trials < s.width() {
		s.unblock()
	}
	s.enqueue(j.lane)
}

// unblock has lanes looked at again that had no room.
func (s *scheduler) unblock() {
	for _, l := range s.blocked {
		s.enqueue(l)
	}
	s.blocked = nil
}

// retake has a job's lane looked at again, because the job came to nothing.
func (s *scheduler) retake(j *job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j.dueIn(j.lane)
}

// run gives j a worker.
func (s *scheduler) run(j *job) {
	l := j.lane
	s.running++
	l.running++
	j.news = l.news
	if j.probe = l.failures > 0; j.probe {
		l.probing = true
		s.probes++
	}
	if !l.up {
		s.trials++
	}
}

// finished takes the worker back.
func (s *scheduler) finished(j *job) {
	s.mu.Lock()
	s.running--
	j.lane.running--
	if j.probe {
		j.lane.probing = false
		s.probes--
	}
	if !j.lane.up {
		s.trials--
	}
	s.forget(j)
	s.cond.Broadcast()
	s.mu.Unlock()
	s.kick()
}

// start begins attempts while workers are free, a lane after the other, and returns how long nothing is to be done after that.
func (s *scheduler) start(ctx context.Context) time.Duration {
	if s.q.broken() != nil {
		return maxSleep
	}
	if err := s.q.room(s.q.cfg.MinFree / tryShare); err != nil {
		return fullSleep
	}
	now := s.q.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.q.clock.steady() {
		return fullSleep / 10
	}
	for stuck := 0; stuck < len(s.turns); {
		l := s.turns[0]
		s.turns = s.turns[1:]
		if len(l.waiting) == 0 {
			l.turn = false
			continue
		}
		s.turns = append(s.turns, l)
		if !s.mayStart(l, now) {
			stuck++
			continue
		}
		stuck = 0
		j := l.waiting[0]
		l.waiting = l.waiting[1:]
		s.run(j)
		go func() {
			s.q.attempt(ctx, j)
			s.finished(j)
		}()
	}
	pause := maxSleep
	if s.free() <= 0 {
		pause = doubtPause
	}
	if next := s.alarms.next(); !next.IsZero() {
		pause = min(pause, max(0, next.Sub(now)))
	}
	return pause
}

// dueIn notes that j is due in a lane when its attempt has ended. There may be several: lanes change while it is under way.
func (j *job) dueIn(l *lane) {
	if !slices.Contains(j.again, l) {
		j.again = append(j.again, l)
	}
}
