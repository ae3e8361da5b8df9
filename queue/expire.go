package queue

import (
	"context"
	"errors"
	"sync"
	"time"

	badger "github.com/dgraph-io/badger/v4"
)

const (
	expireBatch   = 256 // items of a lane looked at before any of them is ended
	expireWorkers = 32  // of which so many are ended at the same time
)

// expire has the items of a lane looked at whose time may be over.
func (s *scheduler) expire(l *lane) {
	if l.expiring {
		return
	}
	l.expiring = true
	s.expiring = append(s.expiring, l)
	select {
	case s.old <- struct{}{}:
	default:
	}
}

// expireLoop gives up, and warns of, what waits for destinations that attempts have found down, without an attempt of
// its own. It ends with ctx. A lane that was not tried since the process started is not among those.
func (q *Queue) expireLoop(ctx context.Context) {
	s := q.sched
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.old:
		}
		for ctx.Err() == nil {
			s.mu.Lock()
			if len(s.expiring) == 0 {
				s.mu.Unlock()
				break
			}
			l := s.expiring[0]
			s.expiring = s.expiring[1:]
			s.mu.Unlock()
			first, err := q.expireLane(ctx, l)
			if err != nil && ctx.Err() == nil && !errors.Is(err, ErrClosed) && !errors.Is(err, ErrFull) {
				q.log.Error("expired messages could not be looked for", "lane", l.name, "error", err)
			}
			s.mu.Lock()
			l.expiring = false
			switch {
			case err != nil:
				l.deadline = time.Time{}
			case !first.IsZero() && first.Before(l.deadline):
				l.deadline = first
			}
			s.mu.Unlock()
		}
	}
}

// late is an item whose deadline has passed.
type late struct{ key, id string }

// never is later than every deadline.
var never = time.Unix(1<<40, 0)

// expireLane ends or warns of the late items of a lane, as long as it is down, and returns the first deadline of the
// others, zero if there is none. What is offered meanwhile lowers the lane's deadline itself.
func (q *Queue) expireLane(ctx context.Context, l *lane) (first time.Time, err error) {
	from := laneStart(l.name)
	q.sched.mu.Lock()
	l.deadline = never
	q.sched.mu.Unlock()
	for from != "" {
		if err := ctx.Err(); err != nil {
			return first, err
		}
		now := q.now()
		var some []late
		if some, from, first, err = q.findLate(l, from, now, first); err != nil {
			return first, err
		}
		q.sched.mu.Lock()
		down, reply, server := l.failures > 0, l.reply, l.server
		q.sched.mu.Unlock()
		if !down || !q.clock.steady() {
			return now, nil // all of it once more, when it is found down again
		}
		if len(some) > 0 && q.room(q.cfg.MinFree/tryShare) != nil {
			return first, ErrFull
		}
		var wg sync.WaitGroup
		work := make(chan late)
		for range min(expireWorkers, len(some)) {
			wg.Go(func() {
				for it := range work {
					if j := q.sched.claim(l, it.key, it.id); j != nil {
						q.giveUp(ctx, it.id, l, reply, server)
						q.sched.disclaim(j)
					} else { // it is being attempted
						q.sched.mu.Lock()
						l.deadline = now
						q.sched.mu.Unlock()
					}
				}
			})
		}
		for _, it := range some {
			work <- it
		}
		close(work)
		wg.Wait()
	}
	return first, nil
}

// findLate returns the next late items of a lane, where to go on ("" = that was all), and the first deadline so far.
func (q *Queue) findLate(l *lane, from string, now, first time.Time) (some []late, next string, _ time.Time, err error) {
	err = q.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(keysOf(laneStart(l.name)))
		defer it.Close()
		var v []byte
		for it.Seek([]byte(from)); it.Valid(); it.Next() {
			var err error
			if v, err = it.Item().ValueCopy(v); err != nil {
				return err
			}
			d, err := decodeDue(v)
			if err != nil {
				return err
			}
			at := d.deadline(q.cfg.Warn)
			if at.After(now) {
				if first.IsZero() || at.Before(first) {
					first = at
				}
				if !d.mixed {
					continue
				}
			}
			key := it.Item().KeyCopy(nil)
			_, _, id, ok := parseDueKey(key)
			if !ok {
				return errCodec
			}
			if some = append(some, late{string(key), id}); len(some) >= expireBatch {
				next = string(append(key, 0))
				return nil
			}
		}
		return nil
	})
	return some, next, first, err
}

// giveUp gives up or warns of one item, whose lane's last failure said reply.
func (q *Queue) giveUp(ctx context.Context, id string, l *lane, reply, server string) {
	e, err := q.get(id)
	if err != nil || e.Hold != "" || e.Lane != l.name {
		return
	}
	now, moved := q.clock.read()
	if e.moved = q.clock.indexMoved(); e.moved != moved {
		return // the next walk finds it
	}
	if d := dueOf(e.Item); d.deadline(q.cfg.Warn).After(now) && q.laneOf(e.Item) == e.Lane {
		return // it has recipients in several lanes, and none of them is better
	}
	c := &conclusion{e: e, after: e.clone(), moved: moved}
	var failed []Recipient
	if !now.Before(e.Expires) {
		for n := range c.after.Recipients {
			r := &c.after.Recipients[n]
			if r.State.Final() || q.cfg.Lane != nil && q.laneFor(r.Address) != l.name {
				continue // the item goes into that recipient's lane
			}
			if r.Reply == "" {
				r.Reply, r.Server = reply, server
			}
			r.State, r.Reply, r.Changed = Failed, cut(expired(r.Reply), maxReply), now
			failed = append(failed, *r)
			q.log.Info("given up", "id", e.ID, "from", e.Sender, "to", r.Address, "lane", l.name, "reply", r.Reply)
		}
	}
	if body, err := q.openBody(e); err == nil {
		defer body.Close()
		q.conclude(c, failed, body)
	} else {
		q.conclude(c, failed, nil)
	}
	q.record(ctx, e, func() *op { return q.concluding(c) })
}
