package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	badger "github.com/dgraph-io/badger/v4"
)

var background = context.Background()

// change returns an op that changes items by f, which returns false to leave one alone. It fails with ErrNotFound if
// one is not there, unless there are several, and with errStale if it changed none.
func (q *Queue) change(f func(*tx, *entry) (bool, error), ids ...string) *op {
	return &op{need: q.cfg.MinFree / recordShare, size: 2000 * len(ids), apply: func(t *tx) error {
		changed := false
		for _, id := range ids {
			e, err := getEntry(t.Txn, id)
			if errors.Is(err, ErrNotFound) && len(ids) > 1 {
				continue
			}
			if err != nil {
				return err
			}
			before := &entry{Item: e.clone(), place: e.place}
			yes, err := f(t, e)
			if err != nil {
				return err
			}
			if yes {
				changed = true
				if err := t.put(before, e); err != nil {
					return err
				}
			}
		}
		if !changed {
			return errStale
		}
		return nil
	}}
}

// batch gathers ids of items that are changed in one commit.
type batch struct {
	q    *Queue
	f    func(*tx, *entry) (bool, error)
	ids  []string
	size int
}

const batchItems = 500

func (b *batch) add(id string, size int) error {
	if len(b.ids) > 0 && (b.size+size > batchIndex || len(b.ids) >= batchItems) {
		if err := b.flush(); err != nil {
			return err
		}
	}
	b.ids, b.size = append(b.ids, id), b.size+size
	return nil
}

func (b *batch) flush() error {
	if len(b.ids) == 0 {
		return nil
	}
	o := b.q.change(b.f, append(b.ids, "")...) // one that is not there is no error
	o.size = b.size
	b.ids, b.size = nil, 0
	if err := b.q.do(background, o); err != nil && !errors.Is(err, errStale) {
		return err
	}
	return nil
}

// changeSize is about how many bytes of the index change with an item.
func changeSize(it *Item) int { return 600 + 2*len(it.Sender) + 300*len(it.Recipients) + maxHistory*50 }

// changeAll changes every item that matches by f, in batches, and returns how many it changed.
func (q *Queue) changeAll(ctx context.Context, filter Filter, f func(*entry) bool) (n int, err error) {
	b := &batch{q: q, f: func(t *tx, e *entry) (bool, error) {
		if !f(e) {
			return false, nil
		}
		t.after = append(t.after, func() { n++ })
		return true, nil
	}}
	var inner error
	err = q.List(ctx, filter, func(it *Item) bool {
		inner = b.add(it.ID, changeSize(it))
		return inner == nil
	})
	if err == nil {
		err = inner
	}
	if err == nil {
		err = b.flush()
	}
	return n, err
}

// Flush makes items that match f and are not held due now, ends the pauses of their lanes, and returns how many match
// and wait. With an exact Domain, or a Lane, it reads the mail of that lane only: that of Config.Lane for the domain.
func (q *Queue) Flush(f Filter) (int, error) {
	if err := q.broken(); err != nil {
		return 0, fmt.Errorf("flushing the queue: %w", err)
	}
	f.Active = true
	now := q.now()
	n, lanes := 0, map[string]bool{}
	b := &batch{q: q, f: func(_ *tx, e *entry) (bool, error) {
		now := q.indexNow()
		if e.Hold != "" || !e.Next.After(now) {
			return false, nil
		}
		e.Next = now
		return true, nil
	}}
	var inner error
	each := func(it *Item) bool {
		n++
		lanes[it.Lane] = true
		if it.Next.After(now) {
			inner = b.add(it.ID, changeSize(it))
		}
		return inner == nil
	}
	var err error
	switch {
	case f.ID != "":
		err = q.List(background, f, each)
	case f.Lane != nil:
		err = q.listLane(*f.Lane, f, each)
	case f.Domain != "" && f.Domain[0] != '.' && q.cfg.Lane != nil:
		err = q.listLane(q.laneFor("postmaster@"+f.Domain), f, each)
	default:
		err = q.List(background, f, each)
	}
	if err == nil {
		err = inner
	}
	if err == nil {
		err = b.flush()
	}
	for name := range lanes {
		q.sched.unpause(name)
	}
	if err != nil {
		return n, fmt.Errorf("flushing the queue: %w", err)
	}
	return n, nil
}

// listLane calls each for the items of a lane that match, in the order in which they are due, until it returns false.
func (q *Queue) listLane(lane string, f Filter, each func(*Item) bool) error {
	now := q.now()
	return q.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(keysOf(laneStart(lane)))
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			if q.users.over() {
				return ErrClosed
			}
			_, _, id, ok := parseDueKey(it.Item().Key())
			if !ok {
				return errCodec
			}
			e, err := getEntry(txn, id)
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if f.match(e.Item, now) && !each(e.Item) {
				return nil
			}
		}
		return nil
	})
}

// Relane is to be called when the configuration of destinations has changed. It gives every waiting item the lane that
// Config.Lane names now, ends all pauses, because what was down may be elsewhere now, and returns how many items it
// moved. Open does the same.
func (q *Queue) Relane(ctx context.Context) (int, error) {
	n := 0
	b := &batch{q: q, f: func(t *tx, e *entry) (bool, error) {
		if e.Hold != "" || q.laneOf(e.Item) == e.Lane && !q.mixed(e.Item) {
			return false, nil
		}
		if q.laneOf(e.Item) != e.Lane {
			t.after = append(t.after, func() { n++ })
		}
		return true, nil
	}}
	var inner error
	err := q.List(ctx, Filter{Active: true}, func(it *Item) bool {
		if q.laneOf(it) != it.Lane || q.mixed(it) {
			inner = b.add(it.ID, changeSize(it))
		}
		return inner == nil
	})
	if err == nil {
		err = inner
	}
	if err == nil {
		err = b.flush()
	}
	for _, l := range q.Lanes() {
		q.sched.unpause(l.Name)
	}
	if err != nil {
		return n, fmt.Errorf("giving items their lanes: %w", err)
	}
	return n, nil
}

// Hold keeps items from being attempted until they are released. An attempt under way is not stopped. Items that are
// held already get the new reason. The first id that does not exist ends it with ErrNotFound.
func (q *Queue) Hold(reason string, ids ...string) error {
	if reason == "" {
		reason = "held by hand"
	}
	for _, id := range ids {
		o := q.change(func(t *tx, e *entry) (bool, error) {
			e.Hold, e.Next = cut(reason, maxReply), time.Time{}
			return true, nil
		}, id)
		if err := q.do(background, o); err != nil {
			return fmt.Errorf("holding: %w", err)
		}
	}
	return nil
}

// Release makes held items due now, with their whole lifetime before them, and ends the pauses of their lanes. The
// first id that does not exist ends it with ErrNotFound.
func (q *Queue) Release(ids ...string) error {
	for _, id := range ids {
		o := q.change(func(t *tx, e *entry) (bool, error) {
			if e.Hold == "" {
				return false, nil
			}
			now := q.indexNow()
			e.Hold, e.Next, e.Expires, e.Crashes = "", now, now.Add(or(e.Lifetime, q.cfg.Lifetime)), 0
			t.after = append(t.after, func() { q.sched.unpause(e.Lane) })
			return true, nil
		}, id)
		if err := q.do(background, o); err != nil && !errors.Is(err, errStale) {
			return fmt.Errorf("releasing: %w", err)
		}
	}
	return nil
}

// Delete removes items without delivery or notification. An attempt under way is not stopped. The first id that does not exist ends it with ErrNotFound.
func (q *Queue) Delete(ids ...string) error {
	for _, id := range ids {
		o := &op{need: q.cfg.MinFree / recordShare, size: 300, apply: func(t *tx) error {
			e, err := getEntry(t.Txn, id)
			if err != nil {
				return err
			}
			if err := t.Delete(tryKey(id)); err != nil {
				return err
			}
			for i := range e.Recipients {
				if r := &e.Recipients[i]; !r.State.Final() {
					r.State = Failed
				}
			}
			t.marks(e.place, e.Item)
			return t.remove(e)
		}}
		if err := q.do(background, o); err != nil {
			return fmt.Errorf("deleting: %w", err)
		}
	}
	return nil
}
