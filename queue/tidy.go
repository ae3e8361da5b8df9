package queue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// A segment goes when its last item has gone. One that a few long-lived items keep (held or deferred mail) is emptied by
// moving them to the end of the spool, once finished mail takes more room than unfinished and more than wasteAllowed:
// so the spool is never much larger than twice the mail in it.
const (
	wasteAllowed = 64 << 20
	tidyPause    = time.Minute
	moveBytes    = 1 << 20 // of records moved in one commit
)

// wasteful returns the closed segment with the smallest part that is needed, 0 if no segment should be emptied.
func (s *spool) wasteful(allowed int64, except map[uint64]bool) (worst uint64) {
	var used, live int64
	share := 1.0
	for n, seg := range s.segs {
		if s.file != nil && n == s.last {
			continue
		}
		used, live = used+seg.used, live+seg.live
		if part := float64(seg.live) / float64(seg.used+1); part < share && !except[n] {
			worst, share = n, part
		}
	}
	if used-live <= max(allowed, live) {
		return 0
	}
	return worst
}

// tidyLoop keeps the spool small until ctx ends.
func (q *Queue) tidyLoop(ctx context.Context) {
	tick := time.NewTicker(tidyPause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := q.tidy(ctx, wasteAllowed); err != nil && ctx.Err() == nil && !errors.Is(err, ErrFull) {
				q.log.Warn("tidying the spool failed", "error", err)
			}
		}
	}
}

// tidy empties segments until the waste is allowed.
func (q *Queue) tidy(ctx context.Context, allowed int64) error {
	tried := map[uint64]bool{}
	for ctx.Err() == nil {
		var n uint64
		err := q.do(ctx, &op{apply: func(*tx) error { n = q.spool.wasteful(allowed, tried); return errStale }})
		if !errors.Is(err, errStale) {
			return err
		}
		if n == 0 {
			return nil
		}
		tried[n] = true // one with damaged records may stay
		if err := q.empty(ctx, n); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// moving is a record on its way to another segment.
type moving struct {
	*record
	from place
}

// empty moves what is needed of segment n to the end of the spool.
func (q *Queue) empty(ctx context.Context, n uint64) error {
	f, err := os.Open(q.spool.path(n))
	if errors.Is(err, os.ErrNotExist) { // its last item was finished meanwhile
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	var some []moving
	size := int64(0)
	flush := func() error {
		ms := some
		some, size = nil, 0
		if len(ms) == 0 {
			return nil
		}
		return q.do(ctx, q.move(ms))
	}
	_, err = q.spool.scan(n, 0, func(r found) error {
		e, err := q.get(r.it.ID)
		if errors.Is(err, ErrNotFound) || err == nil && e.place != r.place || !r.whole {
			return nil
		}
		if err != nil {
			return err
		}
		env := appendItem(nil, r.it)
		b := make([]byte, r.it.Size)
		if _, err := io.ReadFull(io.NewSectionReader(f, r.place.off+headerSize+int64(len(r.marks)+len(env)), r.it.Size), b); err != nil {
			return err
		}
		some = append(some, moving{newRecord(r.it, [][]byte{b}), r.place})
		if size += r.place.len; size >= moveBytes {
			return flush()
		}
		return ctx.Err()
	}, func(int64, int64) {})
	if err == nil {
		err = flush()
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("emptying %s: %w", q.spool.path(n), err)
	}
	return nil
}

// move returns the op that appends records once more and lets the index point there. The envelope is copied as it was;
// what has happened since stands in the marks.
func (q *Queue) move(ms []moving) *op {
	o := &op{need: q.cfg.MinFree / recordShare, moves: true}
	for _, m := range ms {
		o.records = append(o.records, m.record)
		o.size += 2*len(m.env) + 500
	}
	o.apply = func(t *tx) error {
		for _, m := range ms {
			e, err := getEntry(t.Txn, m.it.ID)
			if errors.Is(err, ErrNotFound) || err == nil && e.place != m.from {
				t.after = append(t.after, func() { q.spool.discard(m.record) })
				continue
			}
			if err != nil {
				return err
			}
			if err := t.Set(itemKey(e.ID), (&entry{Item: e.Item, place: m.place}).encode()); err != nil {
				return err
			}
			t.marks(m.place, e.Item)
			t.after = append(t.after, func() {
				if e.Hold != "" && m.it.Hold == "" {
					q.spool.mark(m.place, 0, markHeld)
				} else if e.Hold == "" && m.it.Hold != "" {
					q.spool.mark(m.place, 0, markReleased)
				}
				q.spool.added(m.place)
				q.spool.mark(m.from, 1, bytes.Repeat([]byte{markFailed}, len(m.it.Recipients))...) // nobody is to take the old copy in
				q.spool.dropped(m.from)
			})
		}
		return nil
	}
	return o
}
