package queue

import (
	"container/heap"
	"context"
	"time"

	badger "github.com/dgraph-io/badger/v4"
)

// alarms is a heap of lanes by the time at which the scheduler is to look at them.
type alarms []*lane

func (a alarms) Len() int           { return len(a) }
func (a alarms) Less(i, k int) bool { return a[i].wake.Before(a[k].wake) }
func (a alarms) Swap(i, k int)      { a[i], a[k] = a[k], a[i]; a[i].at, a[k].at = i+1, k+1 }
func (a *alarms) Push(l any)        { *a = append(*a, l.(*lane)); l.(*lane).at = len(*a) }
func (a *alarms) Pop() any {
	l := (*a)[len(*a)-1]
	(*a)[len(*a)-1] = nil
	*a = (*a)[:len(*a)-1]
	l.at = 0
	return l
}

// next is when the first alarm goes off; zero = never.
func (a alarms) next() time.Time {
	if len(a) == 0 {
		return time.Time{}
	}
	return a[0].wake
}

// alarm sets a lane's alarm: to when its next item is due, or to the end of its pause.
func (s *scheduler) alarm(l *lane, now time.Time) {
	l.wake = l.next
	if l.failures > 0 && l.until.After(now) && (l.more || !l.next.IsZero() && l.next.Before(l.until)) {
		l.wake = l.until
	}
	switch {
	case l.wake.IsZero() && l.at > 0:
		heap.Remove(&s.alarms, l.at-1)
	case l.wake.IsZero():
	case l.at > 0:
		heap.Fix(&s.alarms, l.at-1)
	default:
		heap.Push(&s.alarms, l)
	}
}

// ring has the lanes looked at whose alarms go off.
func (s *scheduler) ring(now time.Time) {
	for len(s.alarms) > 0 && !s.alarms[0].wake.After(now) {
		l := heap.Pop(&s.alarms).(*lane)
		l.more, l.next = true, time.Time{}
		s.alarm(l, now)
		s.enqueue(l)
	}
}

// Moods of a lane.
const (
	laneUp = iota
	laneUntried
	laneDown
)

func (l *lane) mood() int {
	switch {
	case l.failures > 0:
		return laneDown
	case l.up:
		return laneUp
	}
	return laneUntried
}

// enqueue has the lane looked at, if there may be something in it.
func (s *scheduler) enqueue(l *lane) {
	if m := l.mood(); l.more && l.queued != 1+m {
		l.queued = 1 + m
		s.ready[m] = append(s.ready[m], l)
	}
}

// open reports whether items of lanes in this mood may be taken up now.
func (s *scheduler) open(mood int) bool {
	if mood == laneUp {
		return s.running < (1+trialsPerWorker)*s.q.cfg.Workers || len(s.active)-s.trials < s.width()
	}
	return s.mayTry(mood)
}

const enough = 8 // waiting jobs of a lane with which it is not worth while to look for more

// nextReady returns a lane in which due items are to be looked for, and for how many there is room; nil if there is none now.
func (s *scheduler) nextReady(now time.Time) (*lane, int) {
	for m := range s.ready {
		for len(s.ready[m]) > 0 && s.open(m) {
			l := s.ready[m][0]
			s.ready[m] = s.ready[m][1:]
			if l.queued != 1+m {
				continue // it stands elsewhere
			}
			l.queued = 0
			if l.mood() != m {
				s.enqueue(l)
				continue
			}
			n := s.room(l, now)
			if n > 0 && (len(l.waiting) < enough || len(l.waiting) < l.running/2) {
				return l, n
			}
			// The end of one of its own jobs, or its alarm, brings it back; or that of another's, if it has few itself.
			if n == 0 && l.failures == 0 && len(l.waiting) == 0 {
				s.blocked = append(s.blocked, l)
			}
			s.alarm(l, now)
		}
	}
	return nil, 0
}

// fill makes due items active, and begins their attempts, as far as there is room.
func (s *scheduler) fill(ctx context.Context) error {
	for {
		now := s.q.now()
		s.mu.Lock()
		s.ring(now)
		l, n := s.nextReady(now)
		if l == nil || s.q.broken() != nil {
			s.mu.Unlock()
			return nil
		}
		low := l.low
		l.more, l.low, l.next = false, laneEnd(l.name), time.Time{} // what is added from now on changes it again
		s.looking = l
		s.mu.Unlock()
		w := walk{s: s, lane: l, most: n, now: now, lowest: laneEnd(l.name)}
		err := s.q.view(func(txn *badger.Txn) error { return w.from(txn, low) })
		s.mu.Lock()
		s.looking = nil
		if err != nil {
			w.lowest, w.more = low, true
		}
		l.low, l.more = min(l.low, w.lowest), l.more || w.more
		if !w.next.IsZero() && (l.next.IsZero() || w.next.Before(l.next)) {
			l.next = w.next
		}
		s.alarm(l, now)
		s.enqueue(l)
		s.mu.Unlock()
		if err != nil {
			return err
		}
		s.start(ctx)
	}
}

// walk is one look through the due keys of a lane.
type walk struct {
	s      *scheduler
	lane   *lane
	now    time.Time
	most   int       // items that it may make active
	lowest string    // first key there is
	next   time.Time // when the first item is due that is not yet; zero = unknown
	more   bool      // it stopped before the end of the due ones
}

func (w *walk) from(txn *badger.Txn, low string) error {
	s := w.s
	it := txn.NewIterator(keysOf(laneStart(w.lane.name)))
	defer it.Close()
	var v []byte
	for it.Seek([]byte(max(low, laneStart(w.lane.name)))); it.Valid(); it.Next() {
		key := string(it.Item().Key())
		w.lowest = min(w.lowest, key)
		_, at, id, ok := parseDueKey([]byte(key))
		if !ok {
			return errCodec
		}
		if at.After(w.now) {
			w.next = at
			return nil
		}
		if w.most == 0 {
			w.more = true
			return nil
		}
		var err error
		if v, err = it.Item().ValueCopy(v); err != nil {
			return err
		}
		d, err := decodeDue(v)
		if err != nil {
			return err
		}
		s.mu.Lock()
		switch j := s.active[id]; {
		case j != nil && j.due == key:
		case j != nil:
			j.dueIn(w.lane)
		case d.suspect && s.suspects > 0:
			if len(s.passed) == 0 || s.passed[len(s.passed)-1] != w.lane {
				s.passed = append(s.passed, w.lane)
			}
		case s.take(w.lane, key, id, d.suspect, w.now):
			w.most--
		default:
			w.more, w.most = true, 0
		}
		s.mu.Unlock()
	}
	return nil
}

// keysOf iterates over the keys with this prefix. Values stand beside them.
func keysOf(prefix string) badger.IteratorOptions {
	o := badger.DefaultIteratorOptions
	o.PrefetchValues = false
	o.Prefix = []byte(prefix)
	return o
}

// findLanes makes the scheduler look into every lane that there is.
func (s *scheduler) findLanes() error {
	return s.q.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(keysOf(lanePrefix))
		defer it.Close()
		for it.Rewind(); it.Valid(); {
			key := string(it.Item().Key())
			name, _, _, ok := parseDueKey([]byte(key))
			if !ok {
				return errCodec
			}
			s.mu.Lock()
			l := s.lane(name)
			l.low, l.more = min(l.low, key), true
			s.enqueue(l)
			s.mu.Unlock()
			it.Seek([]byte(laneEnd(name)))
		}
		return nil
	})
}
