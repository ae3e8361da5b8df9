package queue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime/debug"
	"slices"
	"time"

	badger "github.com/dgraph-io/badger/v4"
)

// attempt tries j's item once: note that it is tried, deliver, record what came of it.
func (q *Queue) attempt(ctx context.Context, j *job) {
	e, err := q.beginAttempt(j.id)
	if err != nil {
		if !errors.Is(err, errStale) && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrClosed) {
			q.log.Warn("attempt could not begin", "id", j.id, "error", err)
			q.sched.repass()
		}
		return
	}
	q.try(ctx, e)
}

// try delivers e, whose attempt is noted, and records what came of it.
func (q *Queue) try(ctx context.Context, e *entry) {
	body, err := q.openBody(e)
	if err != nil {
		q.log.Error("a message's body cannot be read; the item is held", "id", e.ID, "from", e.Sender, "error", err)
		q.record(ctx, e, func() *op {
			o := q.change(e.ID, func(now *entry) error {
				now.Hold, now.Next = "its body cannot be read: "+err.Error(), time.Time{}
				return nil
			})
			change := o.apply
			o.apply = func(t *tx) error {
				if err := change(t); err != nil {
					return err
				}
				return t.Delete(tryKey(e.ID))
			}
			return o
		})
		return
	}
	defer body.Close()
	results := q.deliver(ctx, e.Item, body)
	marks := marksOf(e.Item, results)
	body.mark(marks)
	q.settle(ctx, e, results, marks)
}

// marksOf returns the marks of it's recipients as far as they may be written before the index knows of results: those
// of deliveries. A failure may not, since its notification is still to be stored.
func marksOf(it *Item, results []Result) []byte {
	marks, i := make([]byte, len(it.Recipients)), 0
	for n, r := range it.Recipients {
		if marks[n] = markOf(r.State); !r.State.Final() {
			if resultOf(results, i, r.Address).State == Delivered {
				marks[n] = markDelivered
			}
			i++
		}
	}
	return marks
}

// beginAttempt notes, before anything of the item is looked at, that it is being tried: if the process dies of it, Open will know.
func (q *Queue) beginAttempt(id string) (e *entry, err error) {
	o := &op{need: q.cfg.MinFree / recordShare, size: 200}
	o.apply = func(t *tx) error {
		if e, err = getEntry(t.Txn, id); err != nil {
			return err
		}
		if e.Hold != "" || e.Next.After(q.now()) {
			return errStale
		}
		return t.Set(tryKey(id), nil)
	}
	if err := q.do(context.Background(), o); err != nil {
		return nil, err
	}
	return e, nil
}

// deliver calls the Deliverer with copies. A panic of it is a temporary failure of all recipients.
func (q *Queue) deliver(ctx context.Context, it *Item, body io.ReadSeeker) (results []Result) {
	defer func() {
		if p := recover(); p != nil {
			n := q.panics.Add(1)
			q.log.Error("delivery panicked", "id", it.ID, "panic", p, "panics", n, "stack", string(debug.Stack()))
			results = nil
			for range it.Pending() {
				results = append(results, Result{State: Deferred, Reply: "451 4.3.0 internal error"})
			}
		}
	}()
	copied := *it
	copied.Recipients = slices.Clone(it.Recipients)
	copied.Attempts++
	return q.cfg.Deliverer.Deliver(ctx, &copied, body)
}

// settle records the results of an attempt: the new states, and with them, in the same commit, either the next due time
// or, when every recipient is final, the end of the item; and the notification for recipients that failed.
// marked are the marks that e's record has in the spool.
func (q *Queue) settle(ctx context.Context, e *entry, results []Result, marked []byte) {
	now := q.now()
	after := *e.Item
	after.Recipients = slices.Clone(e.Recipients)
	after.Attempts++
	after.Crashes = 0
	after.Tried = now
	expired := !now.Before(after.Expires) // and it was tried just now
	most := max(40, min(maxReply, replyBytes/len(after.Recipients)))
	var failed []Recipient
	i := 0
	for n := range after.Recipients {
		r := &after.Recipients[n]
		if r.State.Final() {
			continue
		}
		res := resultOf(results, i, r.Address)
		i++
		if !res.State.Final() {
			res.State = Deferred
		}
		if res.State == Deferred && expired {
			res.State = Failed
			res.Reply = "554 5.4.7 delivery time expired; last reply: " + res.Reply
		}
		r.State, r.Server, r.Changed = res.State, cut(res.Server, most/4), now
		r.Reply = cut(res.Reply, most)
		r.Attempts++
		if r.State == Failed {
			failed = append(failed, *r)
		}
	}
	done := len(after.Pending()) == 0
	if after.Next = stamp(now.Add(q.cfg.Retry(after.Attempts))); after.Next.After(after.Expires) {
		after.Next = after.Expires
	}
	q.report(e, &after)
	bounce := q.bounce(&after, failed)
	if bounce.err != nil {
		q.log.Error("no notification could be made; the item is held", "id", e.ID, "from", e.Sender, "error", bounce.err)
		for n := range after.Recipients {
			if r := &after.Recipients[n]; r.State == Failed && !e.Recipients[n].State.Final() {
				r.State = Deferred
			}
		}
		done = false
	}
	q.record(ctx, e, func() *op {
		o := &op{need: q.cfg.MinFree / recordShare, size: 500 + 300*len(after.Recipients), lazy: true}
		if bounce.draft != nil {
			r, err := q.prepare(*bounce.draft)
			if err == nil {
				o.add(r)
			}
		}
		o.apply = func(t *tx) error {
			now, err := getEntry(t.Txn, e.ID)
			if err != nil {
				return err
			}
			before := *now.Item
			after := after
			after.Expires = before.Expires
			if after.Hold = before.Hold; after.Hold != "" { // held meanwhile
				after.Next = time.Time{}
			}
			if bounce.err != nil {
				after.Hold, after.Next = "no notification could be made: "+bounce.err.Error(), time.Time{}
			}
			if err := t.Delete(tryKey(e.ID)); err != nil {
				return err
			}
			if now.place != e.place || !bytes.Equal(marked, marks(&after)) {
				t.marks(now.place, &after)
			}
			if done {
				return t.remove(&entry{&before, now.place})
			}
			return t.put(&entry{&before, now.place}, &entry{&after, now.place})
		}
		return o
	})
}

// resultOf returns the result for the i'th pending recipient. One that names another recipient is not taken for it.
func resultOf(results []Result, i int, address string) Result {
	if i < len(results) && (results[i].Recipient == "" || results[i].Recipient == address) {
		return results[i]
	}
	for _, r := range results {
		if r.Recipient == address {
			return r
		}
	}
	return Result{State: Deferred, Reply: "451 4.3.0 no result"}
}

// report writes one line for each recipient that e's attempt tried.
func (q *Queue) report(e *entry, after *Item) {
	for n, r := range after.Recipients {
		if !e.Recipients[n].State.Final() {
			q.log.Info("attempt", "id", e.ID, "from", e.Sender, "to", r.Address, "state", r.State.String(), "server", r.Server, "reply", r.Reply, "attempt", after.Attempts)
		}
	}
}

// Replies come from outside and must fit into one index transaction, however many recipients an item has.
const (
	maxReply   = 500
	replyBytes = 300 << 10
)

// cut bounds a text to most bytes.
func cut(s string, most int) string { return s[:min(len(s), most)] }

// notice is the notification that recipients failed, if there is to be one.
type notice struct {
	draft *Draft
	err   error
}

// bounce asks Config.Bounce for the notification about failed recipients.
func (q *Queue) bounce(it *Item, failed []Recipient) (n notice) {
	if len(failed) == 0 {
		return notice{}
	}
	defer func() {
		if p := recover(); p != nil {
			q.panics.Add(1)
			q.log.Error("making a notification panicked", "id", it.ID, "panic", p, "stack", string(debug.Stack()))
			n = notice{err: fmt.Errorf("panic: %v", p)}
		}
	}()
	if q.cfg.Bounce != nil {
		copied := *it
		copied.Recipients = slices.Clone(it.Recipients)
		if d, ok := q.cfg.Bounce(&copied, failed); ok {
			if d.ID == "" {
				d.ID = newID(q.now())
			}
			if _, err := q.prepare(d); err != nil {
				return notice{err: err}
			}
			return notice{draft: &d}
		}
	}
	for _, r := range failed {
		if it.Sender == "" {
			q.log.Warn("double bounce, dropped: a message from the null sender failed", "id", it.ID, "to", r.Address, "reply", r.Reply)
		} else {
			q.log.Warn("recipient failed, no notification", "id", it.ID, "from", it.Sender, "to", r.Address, "reply", r.Reply)
		}
	}
	return notice{}
}

// record does the op that make makes, again and again as long as the disk is full: what an attempt brought is not given
// up lightly, because the message would be delivered twice. It gives up when the queue closes or ctx ends.
func (q *Queue) record(ctx context.Context, e *entry, make func() *op) {
	for {
		err := q.do(context.Background(), make())
		switch {
		case err == nil:
			return
		case errors.Is(err, ErrNotFound): // deleted meanwhile
			return
		case errors.Is(err, ErrFull):
			select {
			case <-time.After(fullSleep):
				continue
			case <-ctx.Done():
			}
		}
		q.log.Error("what an attempt brought could not be recorded; the message may be delivered again", "id", e.ID, "error", err)
		return
	}
}

// change returns an op that changes one item by f, which returns errStale to leave it alone.
func (q *Queue) change(id string, f func(*entry) error) *op {
	return &op{need: q.cfg.MinFree / recordShare, size: 2000, apply: func(t *tx) error {
		e, err := getEntry(t.Txn, id)
		if err != nil {
			return err
		}
		before := *e.Item
		before.Recipients = slices.Clone(e.Recipients)
		if err := f(e); err != nil {
			return err
		}
		return t.put(&entry{&before, e.place}, e)
	}}
}

// openBody opens e's message; if its record was moved in that instant, at its new place.
func (q *Queue) openBody(e *entry) (*body, error) {
	b, err := q.spool.open(e.place, e.ID)
	if errors.Is(err, fs.ErrNotExist) {
		var now *entry
		if verr := q.view(func(txn *badger.Txn) (err error) { now, err = getEntry(txn, e.ID); return err }); verr == nil && now.place != e.place {
			return q.spool.open(now.place, e.ID)
		}
	}
	return b, err
}
