package queue

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// jumpSlack is how much the wall clock may differ from the time that has elapsed before that is a jump.
const jumpSlack = time.Minute

// wallClock is the wall clock, and knows when it is set. While the queue runs, no jump changes how long a message is tried
// or how soon it is tried again: every stamp in the index is moved along with the clock. Since that takes a moment,
// times are of two kinds: those of the clock, and those of the index, which are behind by what is still to be moved.
type wallClock struct {
	wall    func() time.Time
	elapsed func() time.Duration // since some moment, never set; nil: jumps are not noticed

	mu    sync.Mutex
	last  time.Time     // reading of wall
	at    time.Duration // of elapsed, at the same time
	moved time.Duration // sum of the jumps
	index time.Duration // of those that the index has followed
}

// now is the wall clock alone, as it is stored: stamps are compared with stamps of other runs, and differences must not jump between two clocks.
func (c *wallClock) now() time.Time {
	now, _ := c.read()
	return now
}

// read returns also how far the clock has jumped since Open.
func (c *wallClock) read() (now time.Time, moved time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now = stamp(c.wall())
	if c.elapsed == nil {
		return now, 0
	}
	at := c.elapsed()
	if !c.last.IsZero() {
		if d := now.Sub(c.last) - (at - c.at); d > jumpSlack || d < -jumpSlack {
			c.moved += d.Truncate(time.Millisecond)
		}
	}
	c.last, c.at = now, at
	return now, c.moved
}

// behind is how much the index's times are behind those that belong to moved.
func (c *wallClock) behind(moved time.Duration) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return moved - c.index
}

// indexMoved returns the jumps that the index has followed.
func (c *wallClock) indexMoved() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.index
}

// steady reports whether both are the same.
func (c *wallClock) steady() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.moved == c.index
}

// stamp is t as it comes back from the index.
func stamp(t time.Time) time.Time { return t.Round(0).Truncate(time.Millisecond) }

func (q *Queue) now() time.Time { return q.clock.now() }

// indexNow is now in the times of the index, for those who change it.
func (q *Queue) indexNow() time.Time {
	now, moved := q.clock.read()
	return now.Add(-q.clock.behind(moved))
}

// move moves all stamps of an item.
func (it *Item) move(d time.Duration) {
	if d == 0 {
		return
	}
	for _, t := range []*time.Time{&it.Received, &it.Next, &it.Expires, &it.Tried, &it.Warned} {
		*t = movedBy(*t, d)
	}
	for i := range it.Recipients {
		it.Recipients[i].Changed = movedBy(it.Recipients[i].Changed, d)
	}
	for i := range it.History {
		it.History[i].Time = movedBy(it.History[i].Time, d)
	}
}

func movedBy(t time.Time, d time.Duration) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Add(d)
}

// heedClock lets the index follow the clock if that was set. seen is what it showed last, for clocks whose jumps are not noticed otherwise.
func (q *Queue) heedClock(seen time.Time) time.Time {
	now := q.now()
	if q.clock.elapsed == nil {
		if now.Before(seen.Add(-clockSlack)) {
			q.clockWentBack(now)
		}
		return now
	}
	for !q.clock.steady() && q.broken() == nil {
		if err := q.follow(); err != nil {
			if !errors.Is(err, ErrClosed) && !errors.Is(err, ErrFull) && !errors.Is(err, ErrBroken) {
				q.log.Error("items could not be adapted to the clock", "error", err)
			}
			break
		}
	}
	return now
}

// follow moves the stamps of all items. It keeps the committer for as long as that takes, so that every other change of
// the index sees all of them moved or none.
func (q *Queue) follow() error {
	var by time.Duration
	err := q.do(background, &op{need: q.cfg.MinFree / recordShare, apply: func(*tx) error {
		_, moved := q.clock.read()
		if by = q.clock.behind(moved); by == 0 {
			return errStale
		}
		q.log.Warn("the clock was set; the times of all messages are moved with it", "by", by.String())
		if err := q.moveAll(by); err != nil { // and nobody knows any more which are moved
			return q.breakDown(fmt.Errorf("moving times: %w", err))
		}
		q.clock.mu.Lock()
		q.clock.index += by
		q.clock.mu.Unlock()
		return errStale // what was to be changed is changed
	}})
	if errors.Is(err, errStale) {
		err = nil
	}
	if err != nil || by == 0 {
		return err
	}
	s := q.sched
	s.mu.Lock()
	for _, l := range s.lanes {
		l.since, l.until, l.next, l.deadline = movedBy(l.since, by), movedBy(l.until, by), time.Time{}, time.Time{}
		l.low, l.more = laneStart(l.name), true
		s.alarm(l, q.now())
		s.enqueue(l)
	}
	s.mu.Unlock()
	return nil
}

// moveAll is the part of follow that is done in the committer.
func (q *Queue) moveAll(by time.Duration) error {
	w := &writer{q: q, quiet: true}
	txn := q.db.NewTransaction(false)
	defer txn.Discard()
	it := txn.NewIterator(keysOf(itemPrefix))
	defer it.Close()
	var v []byte
	for it.Rewind(); it.Valid(); it.Next() {
		var err error
		if v, err = it.Item().ValueCopy(v); err != nil {
			return err
		}
		before, err := decodeEntry(v)
		if err != nil {
			return err
		}
		e, err := decodeEntry(v)
		if err != nil {
			return err
		}
		e.move(by)
		if err := w.put(before, e); err != nil {
			return err
		}
	}
	return w.flush()
}

// clockWentBack lets the times of every item begin anew whose stamps lie in the future.
func (q *Queue) clockWentBack(now time.Time) {
	q.log.Warn("the clock was set back", "now", now)
	_, err := q.changeAll(background, Filter{}, func(e *entry) bool { return q.rejuvenate(e, now) })
	if err != nil {
		q.log.Error("items could not be adapted to the clock", "error", err)
	}
}
