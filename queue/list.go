package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	badger "github.com/dgraph-io/badger/v4"
)

// view reads the index.
func (q *Queue) view(f func(*badger.Txn) error) error {
	if !q.users.enter() {
		return ErrClosed
	}
	defer q.users.leave()
	return q.db.View(f)
}

func (f *Filter) match(it *Item) bool {
	if f.ID != "" && f.ID != it.ID || f.Held && it.Hold == "" || f.Active && it.Hold != "" {
		return false
	}
	if f.Sender != "" && !strings.EqualFold(f.Sender, it.Sender) && !(f.Sender == "<>" && it.Sender == "") {
		return false
	}
	if f.Domain == "" {
		return true
	}
	for _, r := range it.Recipients {
		if strings.EqualFold(r.Address[strings.LastIndexByte(r.Address, '@')+1:], f.Domain) {
			return true
		}
	}
	return false
}

// List calls each for every item that matches f, in the order of ids (those of NewID: oldest first), until it returns
// false. It reads the index only, at one moment, with memory for one item however many there are. each may use the queue
// but must not close it.
func (q *Queue) List(ctx context.Context, f Filter, each func(*Item) bool) error {
	err := q.view(func(txn *badger.Txn) error {
		if f.ID != "" {
			e, err := getEntry(txn, f.ID)
			if err == nil && f.match(e.Item) {
				each(e.Item)
			}
			if errors.Is(err, ErrNotFound) {
				err = nil
			}
			return err
		}
		opt := badger.DefaultIteratorOptions
		opt.PrefetchValues = false // they stand beside the keys
		opt.Prefix = []byte(itemPrefix)
		it := txn.NewIterator(opt)
		defer it.Close()
		var v []byte
		for it.Rewind(); it.Valid(); it.Next() {
			if err := ctx.Err(); err != nil {
				return err
			}
			if q.users.over() {
				return ErrClosed
			}
			var err error
			if v, err = it.Item().ValueCopy(v); err != nil {
				return err
			}
			e, err := decodeEntry(v)
			if err != nil {
				return fmt.Errorf("item %q: %w", it.Item().Key(), err)
			}
			if f.match(e.Item) && !each(e.Item) {
				return nil
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("listing the queue: %w", err)
	}
	return nil
}

// Get returns one item, or ErrNotFound.
func (q *Queue) Get(id string) (*Item, error) {
	e, err := q.get(id)
	if err != nil {
		return nil, err
	}
	return e.Item, nil
}

func (q *Queue) get(id string) (e *entry, err error) {
	err = q.view(func(txn *badger.Txn) error { e, err = getEntry(txn, id); return err })
	return e, err
}

// Body opens the message of an item for reading; it stays readable if the item ends meanwhile. ErrNotFound if there is
// no such item. A body that is not what Put was given is an error here, never silently read.
func (q *Queue) Body(id string) (io.ReadSeekCloser, error) {
	e, err := q.get(id)
	if err != nil {
		return nil, err
	}
	b, err := q.openBody(e)
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Flush makes items that match f and are not held due now and returns how many; those under way stay as they are.
func (q *Queue) Flush(f Filter) (int, error) {
	f.Active = true
	now := q.now()
	n, err := q.changeAll(f, func(e *entry) error {
		if e.Hold != "" || !e.Next.After(now) {
			return errStale
		}
		e.Next = now
		return nil
	})
	if err != nil {
		return n, fmt.Errorf("flushing the queue: %w", err)
	}
	return n, nil
}

// changeAll changes every item that matches, some hundred at a time, and returns how many.
func (q *Queue) changeAll(f Filter, change func(*entry) error) (n int, err error) {
	var ids []string
	some := func() error {
		for start := 0; start < len(ids); start++ {
			err := q.do(context.Background(), q.change(ids[start], change))
			if err == nil {
				n++
			} else if !errors.Is(err, errStale) && !errors.Is(err, ErrNotFound) {
				return err
			}
		}
		ids = ids[:0]
		return nil
	}
	var inner error
	err = q.List(context.Background(), f, func(it *Item) bool {
		if ids = append(ids, it.ID); len(ids) >= 256 {
			inner = some()
		}
		return inner == nil
	})
	if err == nil {
		err = inner
	}
	if err == nil {
		err = some()
	}
	return n, err
}

// Hold keeps items from being attempted until they are released. An attempt under way is not stopped. Items that are
// held already get the new reason. The first id that does not exist ends it with ErrNotFound.
func (q *Queue) Hold(reason string, ids ...string) error {
	if reason == "" {
		reason = "held by hand"
	}
	for _, id := range ids {
		o := q.change(id, func(e *entry) error {
			e.Hold, e.Next = cut(reason, maxReply), time.Time{}
			return nil
		})
		if err := q.doMarking(o, id, markHeld); err != nil {
			return fmt.Errorf("holding: %w", err)
		}
	}
	return nil
}

// Release makes held items due now, with their whole lifetime before them. The first id that does not exist ends it with ErrNotFound.
func (q *Queue) Release(ids ...string) error {
	for _, id := range ids {
		o := q.change(id, func(e *entry) error {
			if e.Hold == "" {
				return errStale
			}
			now := q.now()
			e.Hold, e.Next, e.Expires, e.Crashes = "", now, now.Add(q.cfg.Lifetime), 0
			return nil
		})
		if err := q.doMarking(o, id, markReleased); err != nil && !errors.Is(err, errStale) {
			return fmt.Errorf("releasing: %w", err)
		}
	}
	return nil
}

// doMarking does o and marks the item's record in the spool.
func (q *Queue) doMarking(o *op, id string, mark byte) error {
	change := o.apply
	o.apply = func(t *tx) error {
		if err := change(t); err != nil {
			return err
		}
		e, err := getEntry(t.Txn, id)
		if err == nil {
			t.after = append(t.after, func() { q.spool.mark(e.place, 0, mark) })
		}
		return err
	}
	return q.do(context.Background(), o)
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
		if err := q.do(context.Background(), o); err != nil {
			return fmt.Errorf("deleting: %w", err)
		}
	}
	return nil
}
