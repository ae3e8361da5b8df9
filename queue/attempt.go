package queue

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"runtime/debug"
	"slices"
	"time"

	badger "github.com/dgraph-io/badger/v4"
)

// attempt tries j's item once: note that it is tried, deliver, record what came of it.
func (q *Queue) attempt(ctx context.Context, j *job) {
	e, err := q.beginAttempt(j)
	if err != nil {
		if !errors.Is(err, ErrClosed) {
			q.log.Warn("attempt could not begin", "id", j.id, "error", err)
		}
		q.sched.retake(j)
		return
	}
	if e == nil {
		q.sched.retake(j)
		return
	}
	q.try(ctx, j, e)
}

// try delivers e, whose attempt is noted, and records what came of it.
func (q *Queue) try(ctx context.Context, j *job, e *entry) {
	body, err := q.openBody(e)
	if err != nil && !errors.Is(err, errDamaged) && !errors.Is(err, fs.ErrNotExist) {
		q.log.Warn("a message's body cannot be read for now", "id", e.ID, "from", e.Sender, "error", err)
		q.record(ctx, e, func() *op {
			return q.change(func(t *tx, e *entry) (bool, error) {
				now := q.indexNow()
				e.Attempts++
				e.logAttempt(Attempt{Time: now, Reply: "451 4.3.0 the message cannot be read for now", Deferred: len(e.Pending())})
				if e.Hold == "" {
					e.Next = stamp(now.Add(q.cfg.Retry(1)))
				}
				return true, t.Delete(tryKey(e.ID))
			}, e.ID)
		})
		return
	}
	if err != nil {
		q.log.Error("a message's body cannot be read; the item is held", "id", e.ID, "from", e.Sender, "error", err)
		q.keep(e.place.seg)
		q.record(ctx, e, func() *op {
			return q.change(func(t *tx, e *entry) (bool, error) {
				e.Hold, e.Next = "its body cannot be read: "+err.Error(), time.Time{}
				return true, t.Delete(tryKey(e.ID))
			}, e.ID)
		})
		return
	}
	defer body.Close()
	results := q.deliver(ctx, e.Item, body)
	marks := marksOf(e.Item, results)
	body.mark(marks)
	q.settle(ctx, j, e, results, marks, body)
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

// beginAttempt notes, before anything of the item is looked at, that it is being tried: if the process dies of it, Open
// will know. It returns nil if the item is not what the job says any more; a due key that no item has is removed.
func (q *Queue) beginAttempt(j *job) (e *entry, err error) {
	o := &op{need: q.cfg.MinFree / recordShare, size: 200}
	o.apply = func(t *tx) error {
		e, err = getEntry(t.Txn, j.id)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if err != nil || e.Hold != "" || string(dueKey(e.Item)) != j.due {
			e = nil
			return t.Delete([]byte(j.due))
		}
		if e.Next.After(q.indexNow()) {
			e = nil
			return errStale
		}
		e.moved = q.clock.indexMoved()
		return t.Set(tryKey(j.id), nil)
	}
	if err := q.do(background, o); err != nil && !errors.Is(err, errStale) {
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
				results = append(results, Result{State: Deferred, Reply: "451 4.3.0 internal error", Silent: true})
			}
		}
	}()
	copied := it.clone()
	copied.Attempts++
	return q.cfg.Deliverer.Deliver(ctx, copied, body)
}

// settle records the results of an attempt: the new states, and with them, in the same commit, either the next due time
// or, when every recipient is final, the end of the item; and the notifications about recipients that failed or are delayed.
// marked are the marks that e's record has in the spool.
func (q *Queue) settle(ctx context.Context, j *job, e *entry, results []Result, marked []byte, body *body) {
	now, moved := q.clock.read()
	after := e.clone()
	after.move(moved - e.moved)
	after.Attempts++
	after.Crashes = 0
	after.Tried = now
	most := max(40, min(maxReply, replyBytes/len(after.Recipients)))
	down, silent := true, true
	var tried []*Recipient
	for i, n := 0, 0; n < len(after.Recipients); n++ {
		r := &after.Recipients[n]
		if r.State.Final() {
			continue
		}
		res := resultOf(results, i, r.Address)
		i++
		if !res.State.Final() {
			res.State = Deferred
		}
		if res.State != Deferred || !res.Down {
			down = false
			silent = silent && res.Silent
			r.Attempts++
		} else {
			silent = false
		}
		r.State, r.Server, r.Changed = res.State, cut(res.Server, most/4), now
		r.Reply = cut(res.Reply, most)
		tried = append(tried, r)
	}
	after.logAttempt(attemptOf(now, tried, down))
	told := after.History[len(after.History)-1]
	if !silent && q.sched.heard(j, down, told.Reply, told.Server) {
		after.Next = now // the lane's pause counts; this one goes behind the others that wait
	} else if after.Next = stamp(now.Add(q.cfg.Retry(after.answered()))); after.Next.After(after.Expires) {
		after.Next = after.Expires
	}
	var failed []Recipient
	for _, r := range tried {
		if r.State == Deferred && !now.Before(after.Expires) { // and it was tried just now
			r.State, r.Reply = Failed, cut(expired(r.Reply), most)
		}
		if r.State == Failed {
			failed = append(failed, *r)
		}
	}
	q.report(e, after)
	c := &conclusion{e: e, after: after, moved: moved, marked: marked, tried: true}
	q.conclude(c, failed, body)
	q.record(ctx, e, func() *op { return q.concluding(c) })
}

const expiredReply = "554 5.4.7 delivery time expired"

func expired(reply string) string {
	if reply == "" {
		return expiredReply
	}
	return expiredReply + "; last reply: " + reply
}

// answered is the number of attempts that had an answer, of the open recipient that has had most.
func (it *Item) answered() (n int) {
	for i := range it.Recipients {
		if r := &it.Recipients[i]; !r.State.Final() {
			n = max(n, r.Attempts)
		}
	}
	return max(1, n)
}

// attemptOf sums an attempt up.
func attemptOf(now time.Time, tried []*Recipient, down bool) Attempt {
	a := Attempt{Time: now, Down: down}
	for i, r := range tried {
		switch r.State {
		case Delivered:
			a.Delivered++
		case Failed:
			a.Failed++
		default:
			a.Deferred++
		}
		if i == 0 || r.State != Delivered && a.Delivered == i {
			a.Server, a.Reply = cut(r.Server, maxHistoryReply), cut(r.Reply, maxHistoryReply)
		}
	}
	if a.Delivered == len(tried) && len(tried) > 0 {
		a.Server, a.Reply = cut(tried[0].Server, maxHistoryReply), cut(tried[0].Reply, maxHistoryReply)
	}
	return a
}

// logAttempt adds an attempt to the history.
func (it *Item) logAttempt(a Attempt) {
	it.History = append(slices.Clone(it.History[max(0, len(it.History)-maxHistory+1):]), a)
}

// clone is a copy that shares nothing that changes.
func (it *Item) clone() *Item {
	c := *it
	c.Recipients, c.History = slices.Clone(it.Recipients), slices.Clone(it.History)
	return &c
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
	return Result{State: Deferred, Reply: "451 4.3.0 no result", Silent: true}
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

// record does the op that make makes, again and again as long as the disk is full: what an attempt brought is not given
// up lightly, because the message would be delivered twice. It gives up when the queue closes or ctx ends.
func (q *Queue) record(ctx context.Context, e *entry, make func() *op) {
	for {
		err := q.do(background, make())
		switch {
		case err == nil:
			return
		case errors.Is(err, ErrNotFound) || errors.Is(err, errStale): // deleted, or changed so that there is nothing to record
			return
		case errors.Is(err, ErrFull) || errors.Is(err, errScarce):
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
