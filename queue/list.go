package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
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

func (f *Filter) match(it *Item, now time.Time) bool {
	if f.ID != "" && f.ID != it.ID || f.Held && it.Hold == "" || f.Active && it.Hold != "" {
		return false
	}
	if f.Sender != "" && !strings.EqualFold(f.Sender, it.Sender) && !(f.Sender == "<>" && it.Sender == "") {
		return false
	}
	if f.Lane != nil && it.Lane != *f.Lane || f.Older > 0 && it.Received.After(now.Add(-f.Older)) {
		return false
	}
	return (f.Domain == "" || slices.ContainsFunc(it.Recipients, f.inDomain)) &&
		(f.Recipient == "" || slices.ContainsFunc(it.Recipients, func(r Recipient) bool { return strings.EqualFold(r.Address, f.Recipient) }))
}

func (f *Filter) inDomain(r Recipient) bool {
	d := r.Address[strings.LastIndexByte(r.Address, '@')+1:]
	if f.Domain[0] != '.' {
		return strings.EqualFold(d, f.Domain)
	}
	return strings.EqualFold(d, f.Domain[1:]) || len(d) > len(f.Domain) && strings.EqualFold(d[len(d)-len(f.Domain):], f.Domain)
}

// List calls each for every item that matches f, in the order of ids (those of NewID: oldest first), until it returns
// false. It reads the index only, at one moment, with memory for one item however many there are. each may use the queue
// but must not close it.
func (q *Queue) List(ctx context.Context, f Filter, each func(*Item) bool) error {
	now := q.now()
	err := q.view(func(txn *badger.Txn) error {
		if f.ID != "" {
			e, err := getEntry(txn, f.ID)
			if err == nil && f.match(e.Item, now) {
				each(e.Item)
			}
			if errors.Is(err, ErrNotFound) {
				err = nil
			}
			return err
		}
		it := txn.NewIterator(keysOf(itemPrefix))
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
			if f.match(e.Item, now) && !each(e.Item) {
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
