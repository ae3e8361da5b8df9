package queue

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	badger "github.com/dgraph-io/badger/v4"
)

// Bounds of one batch and of what may wait for the next.
const (
	batchOps   = 256
	batchBytes = 16 << 20  // of spool records
	batchIndex = 512 << 10 // of index changes; Badger takes about 1.2 MiB a transaction
	maxPending = 512
	lazyTime   = 2 * time.Millisecond // how long a lazy op waits for another
	maxRecord  = 256 << 10            // envelope of one item: recipients, note
	maxNote    = 16 << 10
	maxAddress = 5000 // recipients of one item
)

// errStale: what was to be changed has changed meanwhile; nothing was done.
var errStale = errors.New("queue: item has changed")

// op is one change of the queue that the committer makes durable: first its records in the spool, then its changes in
// the index. All ops that wait share one fdatasync and (as far as they fit) one index commit.
type op struct {
	records []*record // to be appended to the spool and, if apply succeeds, indexed
	moves   bool      // the records are copies: apply indexes them itself
	need    int64     // bytes that must be free
	size    int       // about how many bytes it changes in the index
	ids     []string  // ids of records that must not exist yet
	apply   func(*tx) error
	claimed atomic.Bool // by the committer, or by a caller that no longer waits
	lazy    bool        // may wait a little for others to share a commit with
	err     error
	done    chan struct{}
}

// Put takes drafts, all or none, and returns their ids. When it returns without an error the drafts are on stable
// storage. When it returns an error nothing was promised: after ErrBroken or a crash they may or may not be there.
// ErrFull, ErrBroken and ErrClosed are told apart by errors.Is; ctx is heeded until the drafts are being written.
func (q *Queue) Put(ctx context.Context, drafts ...Draft) ([]string, error) {
	if len(drafts) == 0 {
		return nil, nil
	}
	o := &op{need: q.cfg.MinFree}
	ids := make([]string, len(drafts))
	for i, d := range drafts {
		r, err := q.prepare(d)
		if err != nil {
			return nil, fmt.Errorf("putting into the queue: %w", err)
		}
		ids[i] = r.it.ID
		o.add(r)
		o.need += r.length()
	}
	if o.size > 2*maxRecord {
		return nil, fmt.Errorf("putting into the queue: %d drafts with envelopes of %d KiB at once", len(drafts), o.size>>10)
	}
	if err := q.do(ctx, o); err != nil {
		return nil, fmt.Errorf("putting into the queue: %w", err)
	}
	return ids, nil
}

// prepare makes the item and record of a draft.
func (q *Queue) prepare(d Draft) (*record, error) {
	now, moved := q.clock.read()
	if d.ID == "" {
		d.ID = newID(now)
	}
	if err := checkID(d.ID); err != nil {
		return nil, err
	}
	if d.Lifetime < 0 {
		return nil, fmt.Errorf("draft %s: negative lifetime", d.ID)
	}
	if n := len(d.Recipients); n == 0 || n > maxAddress {
		return nil, fmt.Errorf("draft %s: %d recipients, must be 1 to %d", d.ID, n, maxAddress)
	}
	it := &Item{ID: d.ID, Sender: d.Sender, Received: now, Next: now, Expires: now.Add(or(d.Lifetime, q.cfg.Lifetime)), Lifetime: d.Lifetime, Hold: d.Hold,
		UTF8: d.UTF8, EightBit: d.EightBit, Note: d.Note, Recipients: make([]Recipient, len(d.Recipients))}
	if d.Hold != "" {
		it.Next = time.Time{}
	}
	for i, a := range d.Recipients {
		it.Recipients[i].Address = a
	}
	for _, p := range d.Body {
		it.Size += int64(len(p))
	}
	note := 0
	for k, v := range d.Note {
		note += len(k) + len(v)
	}
	r := newRecord(it, d.Body)
	r.moved = moved
	if note > maxNote || len(r.env) > maxRecord {
		return nil, fmt.Errorf("draft %s: note of %d or envelope of %d bytes is too long", d.ID, note, len(r.env))
	}
	return r, nil
}

func (o *op) add(r *record) {
	o.records = append(o.records, r)
	o.ids = append(o.ids, r.it.ID)
	o.size += len(r.env) + 200
}

// do hands o to the committer and waits until it is durable.
func (q *Queue) do(ctx context.Context, o *op) error {
	o.done = make(chan struct{})
	if err := q.broken(); err != nil {
		return err
	}
	if !q.users.enter() {
		return ErrClosed
	}
	select {
	case q.ops <- o:
		q.users.leave()
	case <-ctx.Done():
		q.users.leave()
		return ctx.Err()
	}
	select {
	case <-o.done:
		return o.err
	case <-ctx.Done():
		if o.claimed.CompareAndSwap(false, true) {
			return ctx.Err()
		}
		<-o.done
		return o.err
	}
}

// commit runs until q.ops is closed. It is the only writer of spool and index.
func (q *Queue) commit() {
	defer close(q.committed)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for o := range q.ops {
		batch, bytes := q.take(nil, 0, o)
		lazy, armed, late := o.lazy, false, false
		for more := true; more && len(batch) < batchOps && bytes < batchBytes; {
			select {
			case o, ok := <-q.ops:
				if more = ok; ok {
					batch, bytes = q.take(batch, bytes, o)
					lazy = lazy && o.lazy
				}
				continue
			default:
			}
			if !lazy || late {
				break
			}
			if !armed {
				timer.Reset(lazyTime)
				armed = true
			}
			select {
			case o, ok := <-q.ops:
				if more = ok; ok {
					batch, bytes = q.take(batch, bytes, o)
					lazy = lazy && o.lazy
				}
			case <-timer.C:
				late = true
			}
		}
		q.commitBatch(batch)
	}
}

func (q *Queue) take(batch []*op, bytes int64, o *op) ([]*op, int64) {
	if !o.claimed.CompareAndSwap(false, true) {
		return batch, bytes // its caller has gone
	}
	for _, r := range o.records {
		bytes += r.length()
	}
	return append(batch, o), bytes
}

// commitBatch makes ops durable and answers each.
func (q *Queue) commitBatch(batch []*op) {
	defer func() {
		for _, o := range batch {
			close(o.done)
		}
	}()
	live := q.admit(batch)
	var recs []*record
	for _, o := range live {
		recs = append(recs, o.records...)
	}
	if len(recs) > 0 {
		err := q.spool.append(recs)
		if err == nil {
			err = q.spool.sync()
		}
		if err != nil {
			if full(err) {
				err = fmt.Errorf("%w: %w", ErrFull, err)
			} else if !errors.Is(err, errScarce) {
				err = q.breakDown(fmt.Errorf("writing the spool: %w", err))
			}
			var rest []*op
			for _, o := range live {
				if len(o.records) > 0 {
					o.err = err
				} else {
					rest = append(rest, o)
				}
			}
			live = rest
		}
	}
	for len(live) > 0 {
		live = live[q.commitSome(live):]
	}
}

// admit answers those ops that cannot be done now, and returns the others.
func (q *Queue) admit(batch []*op) []*op {
	var live []*op
	broken := q.broken()
	seen := map[string]bool{}
	txn := q.db.NewTransaction(false)
	defer txn.Discard()
	free := q.room // asked once for each level
	known := map[int64]error{}
	for _, o := range batch {
		err, asked := known[o.need]
		if !asked {
			err = free(o.need)
			known[o.need] = err
		}
		if broken != nil {
			err = broken
		}
		for _, id := range o.ids {
			if err != nil {
				break
			}
			_, taken := txn.Get(itemKey(id))
			if seen[id] || taken == nil {
				err = fmt.Errorf("id %s is in the queue already", id)
			} else if taken != badger.ErrKeyNotFound {
				err = q.breakDown(fmt.Errorf("reading the index: %w", taken))
			}
			seen[id] = true
		}
		if err != nil {
			o.err = err
			continue
		}
		live = append(live, o)
	}
	return live
}

// commitSome commits as many of ops as fit into one index transaction and returns how many it answered.
func (q *Queue) commitSome(ops []*op) (n int) {
	if err := q.broken(); err != nil {
		for _, o := range ops {
			o.err = err
		}
		return len(ops)
	}
	t := &tx{Txn: q.db.NewTransaction(true), q: q}
	defer t.Discard()
	size, changed := 0, false
	var begun []*job // attempts that begin with this commit
	var err error
	for _, o := range ops {
		if n > 0 && size+o.size > batchIndex {
			break
		}
		n++
		size += o.size
		var refused error // o's own trouble, noticed before it changed anything
		if o.apply != nil {
			refused = o.apply(t)
			if refused != nil && !errors.Is(refused, ErrNotFound) && !errors.Is(refused, errStale) {
				err, refused = refused, nil
			}
		}
		for _, r := range o.records {
			if refused != nil || err != nil || o.moves {
				break
			}
			e := &entry{Item: r.it, place: r.place}
			e.move(-q.clock.behind(r.moved))
			e.moved = q.clock.indexMoved()
			var j *job
			var begin func(*job, *entry)
			if o.apply == nil {
				j, begin = q.sched.reserve(e.Item)
			}
			if j == nil {
				err = t.put(nil, e)
				continue
			}
			begun = append(begun, j)
			if err = t.putTried(e); err == nil {
				t.after = append(t.after, func() { begin(j, e) })
			}
		}
		if refused != nil {
			o.err = refused
			for _, r := range o.records { // not indexed, and not to be adopted either
				q.spool.discard(r)
			}
		} else {
			changed = true
		}
		if err != nil {
			break
		}
	}
	// The spool is indexed up to its end only when the last op's records are: later ones of the batch come after.
	if changed && err == nil {
		seg, off := q.spool.last, q.spool.off
		if q.spool.file == nil {
			off = wholeSegment
		}
		for _, o := range ops[n:] {
			if len(o.records) > 0 {
				seg, off = o.records[0].place.seg, o.records[0].place.off
				break
			}
		}
		if err = t.Set([]byte(endKey), encodeEnd(seg, off)); err == nil {
			err = t.Commit()
		}
	}
	if err != nil {
		err = q.breakDown(fmt.Errorf("writing the index: %w", err))
		for _, o := range ops[:n] {
			o.err = err
		}
		for _, j := range begun {
			q.sched.finished(j)
		}
		return n
	}
	if changed {
		for _, f := range t.after {
			f()
		}
	}
	return n
}
