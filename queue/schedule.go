package queue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	badger "github.com/dgraph-io/badger/v4"
)

const (
	activePerWorker = 4    // jobs known to the scheduler, for each worker
	passKeys        = 64   // due items passed over for want of room before the search goes elsewhere…
	exploreKeys     = 1024 // …and there, in one go
	explorePause    = 50 * time.Millisecond
	maxSleep        = 30 * time.Second // a clock that was set, or room on the disk, is noticed after at most this
	fullSleep       = time.Second
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
	domain  string // of its first open recipient
	suspect bool   // the process died in its last attempt
	again   bool   // it is due again, under another key
}

// scheduler decides which item is attempted next. It knows at most activePerWorker·Workers items; the others wait in
// the index, in the order in which they are due. Three rules keep one sort of mail from stopping the rest:
//
//   - new mail is handed over by Put and does not wait behind a backlog, as long as there is room for it; while a worker
//     is free, its attempt begins with the very commit that stores it;
//   - one domain gets at most three quarters of the workers and of the known items, so that a slow one leaves the rest;
//   - of the items in whose attempt the process died, one at a time is attempted, so that the innocent clear themselves
//     and only the guilty one dies again.
type scheduler struct {
	q    *Queue
	wake chan struct{} // of length 1: something has changed

	mu       sync.Mutex
	cond     *sync.Cond
	on       bool // Run is running and begins attempts
	active   map[string]*job
	waiting  []*job
	running  int
	suspects int                // running
	known    map[string]int     // active jobs by domain
	busy     map[string]int     // running jobs by domain
	more     bool               // the index may hold due items for which there is room
	passed   bool               // due items were passed over for want of room
	low      string             // no due key lies before this one
	cursor   string             // where the search for other domains goes on; "" = behind the first domain's
	explored time.Time          // when it was made last
	next     time.Time          // when the first item that is not due yet will be
	wanted   func() bool        // Run's context has not ended
	begin    func(*job, *entry) // begins the attempt of a reserved job
	cancel   context.CancelFunc
	ended    chan struct{} // closed when Run has returned
}

func newScheduler(q *Queue) *scheduler {
	s := &scheduler{q: q, wake: make(chan struct{}, 1), active: map[string]*job{}, known: map[string]int{}, busy: map[string]int{}}
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
	s.on, s.more, s.ended = true, true, make(chan struct{})
	run, end := context.WithCancel(ctx)
	defer end()
	s.cancel = func() { end(); cancel() }
	s.wanted = func() bool { return run.Err() == nil }
	s.begin = func(j *job, e *entry) {
		go func() {
			q.try(attempts, e)
			s.finished(j)
		}()
	}
	ended := s.ended
	s.mu.Unlock()
	defer close(ended)

	var tidy sync.WaitGroup
	tidy.Go(func() { q.tidyLoop(run) })
	defer tidy.Wait()
	seen := q.now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for run.Err() == nil {
		if now := q.now(); now.Before(seen.Add(-clockSlack)) {
			q.clockWentBack(now)
		}
		seen = q.now()
		pause := s.fill()
		timer.Reset(min(pause, s.start(attempts)))
		select {
		case <-run.Done():
		case <-s.wake:
		case <-timer.C:
			s.mu.Lock()
			s.more = true
			s.mu.Unlock()
		}
	}
	s.mu.Lock()
	s.on = false
	for _, j := range s.waiting {
		s.forget(j)
	}
	s.waiting = nil
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

// offer tells the scheduler of an item that was just stored with a new due time.
func (s *scheduler) offer(it *Item) {
	if it.Hold != "" {
		return
	}
	key := string(dueKey(it.Next, it.ID))
	s.mu.Lock()
	s.low = min(s.low, key)
	if it.Next.After(s.q.now()) {
		if s.next.IsZero() || it.Next.Before(s.next) {
			s.next = it.Next
		}
	} else if j := s.active[it.ID]; j != nil {
		j.again = true
	} else if !s.take(key, it.ID, dueValue(it)) {
		s.passed = true // it is found in the index when a job has ended
	}
	s.mu.Unlock()
	s.kick()
}

// repass makes the scheduler look for due items again when a job has ended.
func (s *scheduler) repass() {
	s.mu.Lock()
	s.passed = true
	s.mu.Unlock()
}

// take makes the item with this due key active if there is room for it and its domain; true also if it is active already.
func (s *scheduler) take(key, id string, due []byte) bool {
	if j := s.active[id]; j != nil {
		j.again = j.again || j.due != key
		return true
	}
	j := &job{id: id, due: key, suspect: due[0] != 0, domain: string(due[1:])}
	if !s.on || len(s.active) >= s.width() || s.known[j.domain] >= share(s.width()) {
		return false
	}
	s.active[id] = j
	s.known[j.domain]++
	s.waiting = append(s.waiting, j)
	return true
}

// reserve makes a new item active and gives it a worker, if one is free: its attempt begins with the commit that stores
// it. The caller follows with begin or with finished. A nil job means that the item is to be offered.
func (s *scheduler) reserve(it *Item) (j *job, begin func(*job, *entry)) {
	if it.Hold != "" || it.Next.After(s.q.now()) {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	j = &job{id: it.ID, due: string(dueKey(it.Next, it.ID)), domain: string(dueValue(it)[1:])}
	if !s.on || !s.wanted() || s.running >= s.q.cfg.Workers || !s.mayStart(j) || len(s.active) >= s.width() || s.known[j.domain] >= share(s.width()) {
		return nil, nil
	}
	s.low = min(s.low, j.due)
	s.active[j.id] = j
	s.known[j.domain]++
	s.running++
	s.busy[j.domain]++
	return j, s.begin
}

// share is the part of n that one domain may have.
func share(n int) int { return n - n/4 }

func (s *scheduler) width() int { return activePerWorker * s.q.cfg.Workers }

// forget makes j inactive.
func (s *scheduler) forget(j *job) {
	if s.passed || j.again {
		s.more, s.passed = true, false
	}
	delete(s.active, j.id)
	if s.known[j.domain]--; s.known[j.domain] == 0 {
		delete(s.known, j.domain)
	}
}

// startable reports whether a waiting job could be begun if a worker were free.
func (s *scheduler) startable() bool {
	for _, j := range s.waiting {
		if s.mayStart(j) {
			return true
		}
	}
	return false
}

func (s *scheduler) mayStart(j *job) bool {
	return s.busy[j.domain] < share(s.q.cfg.Workers) && !(j.suspect && s.suspects > 0)
}

const lastDue = "d0" // behind every due key

// fill makes due items active if the workers are about to run out of them. It takes from the earliest on; where it
// meets too many of a domain that has its share, it goes on (now and then) from where it stopped last time, so that
// every due item is reached however long the backlog. It returns after how long it should be called again at the latest.
func (s *scheduler) fill() time.Duration {
	s.mu.Lock()
	now := s.q.now()
	if !s.next.IsZero() && !s.next.After(now) {
		s.more = true
	}
	workers := s.q.cfg.Workers
	if !s.more || len(s.active) >= s.width() || s.q.broken() != nil {
		s.mu.Unlock()
		return maxSleep
	}
	deep := time.Since(s.explored) >= explorePause
	if len(s.waiting) > workers/2 { // enough, unless none of it may be begun
		if s.running >= workers || s.startable() {
			s.mu.Unlock()
			return maxSleep
		}
		if !deep {
			s.mu.Unlock()
			return explorePause
		}
	}
	low, cursor := s.low, s.cursor
	s.more, s.passed, s.low, s.next = false, false, lastDue, time.Time{} // what is added from now on lowers it again
	s.mu.Unlock()

	var first, last walk
	err := s.q.view(func(txn *badger.Txn) (err error) {
		first, err = s.walk(txn, low, now, passKeys)
		if last = first; err != nil || first.end != walkPassed || !deep {
			return err
		}
		last, err = s.walk(txn, max(cursor, first.key), now, exploreKeys)
		return err
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.low = min(s.low, low)
		if !errors.Is(err, ErrClosed) {
			s.q.breakDown(fmt.Errorf("reading the index: %w", err))
		}
		return maxSleep
	}
	s.low = min(s.low, first.lowest)
	if first.end == walkPassed && deep {
		s.explored = time.Now()
		if s.cursor = last.key; last.end == walkDone {
			s.cursor = ""
		}
	}
	s.passed = s.passed || first.passed > 0 || last.end != walkDone
	if last.end == walkDone {
		if s.next.IsZero() || !last.next.IsZero() && last.next.Before(s.next) {
			s.next = last.next
		}
	}
	if last.end == walkPassed {
		s.more = true
		return explorePause
	}
	return maxSleep
}

// walk is how far one look through the due keys came.
type walk struct {
	end    int
	lowest string    // first key there is
	key    string    // where it stopped
	next   time.Time // when the first item is due that is not yet; zero = there is none
	passed int       // items for whose domain there was no room
}

const (
	walkDone   = iota // no more due items
	walkFull          // no more room
	walkPassed        // too many items of domains that have their share
)

func (s *scheduler) walk(txn *badger.Txn, from string, now time.Time, most int) (w walk, err error) {
	opt := badger.DefaultIteratorOptions
	opt.PrefetchValues = false // they stand beside the keys
	opt.Prefix = []byte(duePrefix)
	it := txn.NewIterator(opt)
	defer it.Close()
	w.lowest = lastDue
	var v []byte
	for it.Seek([]byte(max(from, duePrefix))); it.Valid(); it.Next() {
		w.key = string(it.Item().Key())
		if w.lowest == lastDue {
			w.lowest = w.key
		}
		due, id := parseDueKey([]byte(w.key))
		if due.After(now) {
			w.next = due
			return w, nil
		}
		if v, err = it.Item().ValueCopy(v); err != nil {
			return w, err
		}
		s.mu.Lock()
		taken, room := s.take(w.key, id, v), len(s.active) < s.width()
		s.mu.Unlock()
		if !taken {
			w.passed++
		}
		if !room {
			w.end = walkFull
			return w, nil
		}
		if w.passed >= most {
			w.end = walkPassed
			return w, nil
		}
	}
	return w, nil
}

// start begins attempts while workers are free, and returns how long nothing is to be done after that.
func (s *scheduler) start(ctx context.Context) time.Duration {
	if s.q.broken() != nil {
		return maxSleep
	}
	if err := s.q.room(s.q.cfg.MinFree / tryShare); err != nil {
		return fullSleep
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	rest := s.waiting[:0]
	for i, j := range s.waiting {
		if s.running >= s.q.cfg.Workers {
			rest = append(rest, s.waiting[i:]...)
			break
		}
		if !s.mayStart(j) {
			rest = append(rest, j)
			continue
		}
		s.running++
		s.busy[j.domain]++
		if j.suspect {
			s.suspects++
		}
		go func() {
			s.q.attempt(ctx, j)
			s.finished(j)
		}()
	}
	clear(s.waiting[len(rest):])
	s.waiting = rest
	pause := maxSleep
	if !s.next.IsZero() {
		pause = min(pause, max(0, s.next.Sub(s.q.now())))
	}
	return pause
}

func (s *scheduler) finished(j *job) {
	s.mu.Lock()
	s.running--
	if s.busy[j.domain]--; s.busy[j.domain] == 0 {
		delete(s.busy, j.domain)
	}
	if j.suspect {
		s.suspects--
	}
	s.forget(j)
	s.cond.Broadcast()
	s.mu.Unlock()
	s.kick()
}
