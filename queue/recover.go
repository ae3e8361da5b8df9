package queue

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	badger "github.com/dgraph-io/badger/v4"
)

const (
	maxCrashes   = 3
	lastChance   = 10 * time.Second // pause before the attempt that decides: a process that dies of something else sooner does not make it count
	clockSlack   = time.Hour        // stamps further in the future than this mean that the clock went back
	reasonPoison = "the process died in three attempts in a row"
)

// recover opens the index and makes it agree with the spool. In this order: an index that cannot be opened or read is
// set aside; every item it knows is looked at (its record must be there, its stamps not in the future); attempts that
// were under way are counted; records that the index has never seen are adopted; segments that nobody needs are removed.
func (q *Queue) recover() error {
	dir := filepath.Join(q.cfg.Dir, "index")
	_, err := os.Stat(dir)
	if q.db, err = openIndex(dir, q.log); err == nil {
		err = q.check()
	}
	if err != nil {
		closeIndex(q.db)
		q.db = nil
		if environmental(err) {
			return fmt.Errorf("opening the index: %w", err)
		}
		aside := asideName(dir+".damaged-", q.now())
		q.log.Error("the index of the queue is damaged; it is set aside and built anew from the spool. "+
			"Attempts so far are forgotten, and a recipient whose delivery was recorded last may get the message again",
			"index", dir, "aside", aside, "error", err)
		if err := os.Rename(dir, aside); err != nil {
			return err
		}
		if err := syncDir(q.cfg.Dir); err != nil {
			return err
		}
		for _, seg := range q.spool.segs {
			seg.live, seg.items = 0, 0
		}
		q.sched = newScheduler(q)
		if q.db, err = openIndex(dir, q.log); err != nil {
			return fmt.Errorf("making a new index: %w", err)
		}
	}
	if err := q.adopt(); err != nil {
		return err
	}
	return q.sched.findLanes()
}

// environmental reports whether an index did not open for a reason that lies outside of it, so that setting it aside
// would be wrong. Badger does not wrap errors, hence the texts.
func environmental(err error) bool {
	for _, text := range []string{"permission denied", "too many open files", "no space left", "cannot allocate memory",
		"read-only file system", "input/output error", "nother process", "resource temporarily unavailable", "quota exceeded"} {
		if strings.Contains(err.Error(), text) {
			return true
		}
	}
	return full(err)
}

// check reads the whole index once, so that damage shows now and not in the middle of a delivery, counts what each
// segment still has to keep, and repairs what a crash or a clock left.
func (q *Queue) check() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("badger panicked: %v", p)
		}
	}()
	w := &writer{q: q}
	due, active, old := 0, 0, false
	tried := map[string]bool{}
	last := map[string]Attempt{} // of each lane
	now := q.now()
	var v []byte
	err = q.db.View(func(txn *badger.Txn) (err error) {
		opt := badger.DefaultIteratorOptions
		opt.PrefetchValues = false                                                         // they stand beside the keys
		for _, prefix := range []string{oldDuePrefix, lanePrefix, tryPrefix, itemPrefix} { // attempts before items
			opt.Prefix = []byte(prefix)
			it := txn.NewIterator(opt)
			defer it.Close()
			for it.Rewind(); it.Valid(); it.Next() {
				k := it.Item().Key()
				if v, err = it.Item().ValueCopy(v); err != nil {
					return err
				}
				switch prefix {
				case oldDuePrefix:
					old = true
				case lanePrefix:
					if _, _, _, ok := parseDueKey(k); !ok {
						return errCodec
					}
					due++
				case tryPrefix:
					tried[string(k[len(tryPrefix):])] = true
				case itemPrefix:
					e, err := decodeEntry(v)
					if err != nil {
						return fmt.Errorf("item %q: %w", k, err)
					}
					before := *e.Item
					before.Recipients = slices.Clone(e.Recipients)
					under := tried[e.ID] && !q.remember(e, now)
					if len(e.Pending()) == 0 {
						if before.Hold == "" {
							active++
						}
						if err := w.forget(&before); err != nil {
							return err
						}
						continue
					}
					q.inspect(e, now, under)
					if e.Hold == "" {
						active++
					}
					q.spool.added(e.place)
					if n := len(e.History); n > 0 && e.Hold == "" && e.History[n-1].Time.After(last[e.Lane].Time) {
						last[e.Lane] = e.History[n-1]
					}
					if old || e.Hold == "" && (e.Lane != q.laneOf(e.Item) || q.mixed(e.Item)) || e.Hold != before.Hold || e.Attempts != before.Attempts || !e.Next.Equal(before.Next) || !slices.Equal(e.Recipients, before.Recipients) || !e.Received.Equal(before.Received) {
						if err := w.put(&entry{Item: &before, place: e.place}, e); err != nil {
							return err
						}
						if before.Hold == "" && e.Hold != "" {
							active++ // its due key was counted above
						}
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if due != active && !old {
		return fmt.Errorf("%d items are to be attempted, but %d are scheduled", active, due)
	}
	for name, a := range last {
		q.sched.presume(name, a, now)
	}
	for id := range tried {
		if err := w.delete(tryKey(id)); err != nil {
			return err
		}
	}
	if old {
		if err := q.dropOldKeys(w); err != nil {
			return err
		}
		q.log.Info("the index was from before there were lanes; it was converted", "items", active)
	}
	return w.flush()
}

// dropOldKeys removes the due keys from before there were lanes, after all items have got new ones.
func (q *Queue) dropOldKeys(w *writer) error {
	if err := w.flush(); err != nil {
		return err
	}
	return q.db.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(keysOf(oldDuePrefix))
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			if err := w.delete(it.Item().KeyCopy(nil)); err != nil {
				return err
			}
		}
		return nil
	})
}

// remember gives e the deliveries that its attempt made before the process died, as far as the marks of its record tell
// of them, and reports whether that was all that was left to do.
func (q *Queue) remember(e *entry, now time.Time) bool {
	for i, yes := range q.spool.delivered(e.place, len(e.Recipients)) {
		if r := &e.Recipients[i]; yes && !r.State.Final() {
			r.State, r.Reply, r.Changed = Delivered, "250 2.0.0 delivered before the process died", now
			r.Attempts++
			q.log.Info("a delivery was made before the process died", "id", e.ID, "from", e.Sender, "to", r.Address)
		}
	}
	return len(e.Pending()) == 0
}

// inspect changes what Open must change in an item: under is whether an attempt was under way when the process died.
func (q *Queue) inspect(e *entry, now time.Time, under bool) {
	if seg := q.spool.segs[e.place.seg]; seg == nil || e.place.off+e.place.len > align(seg.used) {
		q.log.Error("a message's body is missing from the spool; the item is held", "id", e.ID, "from", e.Sender, "segment", q.spool.path(e.place.seg), "offset", e.place.off)
		e.Hold, e.Next = "its body is missing from the spool", time.Time{}
	}
	if under {
		e.Attempts++
		e.Crashes++
		e.logAttempt(Attempt{Time: now, Reply: "the process died in this attempt", Deferred: len(e.Pending())})
		q.log.Warn("an attempt was under way when the process died", "id", e.ID, "crashes", e.Crashes)
		if e.Crashes >= maxCrashes && e.Hold == "" {
			q.log.Error("a message is held because the process died in each of its last attempts", "id", e.ID, "from", e.Sender)
			e.Hold, e.Next = reasonPoison, time.Time{}
		} else if later := now.Add(lastChance); e.Crashes == maxCrashes-1 && e.Hold == "" && e.Next.Before(later) {
			e.Next = later
		}
	}
	q.rejuvenate(e, now)
}

// rejuvenate lets an item's times begin anew if they lie in the future, because the clock was set back: else it would
// not be due for as long as the clock was wrong.
func (q *Queue) rejuvenate(e *entry, now time.Time) bool {
	limit := now.Add(clockSlack)
	if !e.Received.After(limit) && !e.Tried.After(limit) {
		return false
	}
	q.log.Warn("an item's stamps lie in the future: the clock was set back; its times begin anew", "id", e.ID, "received", e.Received, "tried", e.Tried)
	e.Received, e.Expires, e.Tried = now, now.Add(or(e.Lifetime, q.cfg.Lifetime)), time.Time{}
	if e.Hold == "" {
		e.Next = now
	}
	return true
}

// adopt takes in the records that lie behind what the index has seen; in a new index these are all of the spool.
func (q *Queue) adopt() error {
	var seg uint64
	var off int64
	if err := q.db.View(func(txn *badger.Txn) (err error) { seg, off, err = readEnd(txn); return err }); err != nil {
		return err
	}
	rebuild := seg == 0 && off == 0 // no end is known: this index has never been opened to its end
	w := &writer{q: q}
	adopted, damaged := 0, 0
	numbers := q.spool.numbers()
	q.spool.last = max(q.spool.last, seg)
	for i := len(numbers) - 1; i >= 0 && numbers[i] >= seg; i-- { // the latest copy of a record that was moved comes first
		n := numbers[i]
		from := int64(0)
		if n == seg {
			from = off
		}
		if from >= wholeSegment {
			continue
		}
		whole := true // nothing but records and zeros
		end, err := q.spool.scan(n, from, func(f found) error {
			if !f.whole && !rebuild {
				q.log.Info("a record was being written when the process died; it was never acknowledged", "id", f.it.ID, "segment", n, "offset", f.place.off)
				return nil
			}
			took, err := q.adoptRecord(w, f, rebuild)
			if took {
				adopted++
				if !f.whole {
					damaged++
				}
			}
			return err
		}, func(off, length int64) {
			whole = false
			if rebuild {
				damaged++
				q.log.Error("bytes in the spool are not readable as a message", "segment", q.spool.path(n), "offset", off, "length", length)
			} else {
				q.log.Info("bytes behind the last whole record are ignored; they were never acknowledged", "segment", q.spool.path(n), "offset", off, "length", length)
			}
		})
		if errors.Is(err, errDamaged) {
			whole = false
			if !rebuild && q.spool.segs[n].items == 0 { // what was acknowledged is in the index
				q.log.Info("a segment was being begun when the process died; nothing in it was ever acknowledged", "segment", q.spool.path(n))
				continue
			}
			q.log.Error("a segment of the spool cannot be read", "segment", q.spool.path(n), "error", err)
			if rebuild {
				damaged++
			}
		} else if err != nil {
			return err
		}
		if !whole && rebuild {
			q.keep(n)
		}
		if whole {
			q.spool.segs[n].used = end
			os.Truncate(q.spool.path(n), end) // gives back what was allocated ahead
		}
	}
	if err := w.set([]byte(endKey), encodeEnd(q.spool.last, wholeSegment)); err != nil {
		return err
	}
	if err := w.flush(); err != nil {
		return err
	}
	if rebuild && len(numbers) > 0 || adopted > 0 {
		q.log.Warn("messages were taken in from the spool", "adopted", adopted, "damaged", damaged, "whole_index", rebuild)
	}
	for _, n := range numbers {
		q.spool.removeIfDead(n)
	}
	return nil
}

// keep saves a segment with unreadable bytes from being removed with its last item: a person may find more in it.
func (q *Queue) keep(n uint64) {
	dir := filepath.Join(q.cfg.Dir, "damaged")
	err := makeDir(dir)
	if err == nil {
		err = os.Link(q.spool.path(n), filepath.Join(dir, filepath.Base(q.spool.path(n))))
	}
	if err != nil && !errors.Is(err, os.ErrExist) {
		q.log.Error("the segment could not be kept", "segment", q.spool.path(n), "error", err)
		return
	}
	q.log.Error("the segment is kept until somebody removes it", "segment", q.spool.path(n), "kept", dir)
}

// adoptRecord makes an item of a record that the index does not know, unless its marks say that it is finished.
func (q *Queue) adoptRecord(w *writer, f found, rebuild bool) (bool, error) {
	discard := func() {
		q.spool.mark(f.place, 1, bytes.Repeat([]byte{markFailed}, len(f.it.Recipients))...)
	}
	if p, known := w.has(f.it.ID); known {
		if p != f.place { // a copy from before it was moved, or one that was not indexed any more
			discard()
		}
		return false, nil
	}
	if _, known := w.has(f.it.of); !rebuild && known && f.it.of != "" {
		discard() // a notification that was not recorded: what it is about is not either, and makes another
		return false, nil
	}
	f.it.of = ""
	e, now := &entry{Item: f.it, place: f.place}, q.now()
	for i := range e.Recipients {
		r := &e.Recipients[i]
		switch f.marks[1+i] {
		case markDelivered:
			r.State = Delivered
		case markFailed:
			r.State = Failed
		}
	}
	if len(e.Pending()) == 0 {
		return false, nil
	}
	switch f.marks[0] {
	case markHeld:
		e.Hold = "held before the index was lost"
	case markReleased:
		e.Hold, e.Expires = "", now.Add(or(e.Lifetime, q.cfg.Lifetime))
	}
	if e.Next.Before(now) {
		e.Next = now
	}
	if !f.whole {
		q.log.Error("a message in the spool is damaged; it is held", "id", e.ID, "from", e.Sender, "segment", q.spool.path(f.place.seg), "offset", f.place.off)
		e.Hold = "its body in the spool is damaged"
	}
	if e.Hold != "" {
		e.Next = time.Time{}
	}
	q.inspect(e, now, false)
	return true, w.put(nil, e)
}

// writer changes the index during Open, in transactions of bounded size.
type writer struct {
	q     *Queue
	quiet bool // nobody is told of what changes
	t     *tx
	size  int
}

func (w *writer) begin(size int) error {
	if w.t != nil && w.size+size > batchIndex {
		if err := w.flush(); err != nil {
			return err
		}
	}
	if w.t == nil {
		if err := w.q.room(w.q.cfg.MinFree / recordShare); err != nil {
			return err
		}
		w.t, w.size = &tx{Txn: w.q.db.NewTransaction(true), q: w.q}, 0
	}
	w.size += size
	return nil
}

func (w *writer) put(before, e *entry) error {
	if err := w.begin(2*len(e.Sender) + 1000 + 300*len(e.Recipients)); err != nil {
		return err
	}
	return w.t.put(before, e)
}

func (w *writer) set(k, v []byte) error {
	if err := w.begin(len(k) + len(v) + 50); err != nil {
		return err
	}
	return w.t.Set(k, v)
}

func (w *writer) delete(k []byte) error {
	if err := w.begin(len(k) + 50); err != nil {
		return err
	}
	return w.t.Delete(k)
}

// forget removes an item that is finished. Its segment is looked at when the index is known to be sound.
func (w *writer) forget(it *Item) error {
	if err := w.delete(itemKey(it.ID)); err != nil || it.Hold != "" {
		return err
	}
	return w.delete(dueKey(it))
}

// has returns where the record of an item is, if the index knows it.
func (w *writer) has(id string) (place, bool) {
	if w.begin(0) != nil {
		return place{}, false
	}
	e, err := getEntry(w.t.Txn, id)
	if err != nil {
		return place{}, false
	}
	return e.place, true
}

func (w *writer) flush() error {
	if w.t == nil {
		return nil
	}
	t := w.t
	w.t = nil
	defer t.Discard()
	if err := t.Commit(); err != nil {
		return err
	}
	if !w.quiet {
		for _, f := range t.after {
			f()
		}
	}
	return nil
}
