package queue

import (
	"bytes"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"time"
)

// conclusion is what is to be recorded of an item after an attempt, or after its time was over without one.
type conclusion struct {
	e       *entry        // as it was before
	after   *Item         // as it is to be
	moved   time.Duration // which jumps of the clock after's times have followed
	marked  []byte        // the marks of its record, nil = unknown
	tried   bool          // an attempt has ended
	notices []Draft
	hold    string // why it is to be held; "" = it is not
}

// conclude decides what becomes of an item whose recipients have just got their states: it makes the notification about
// those that failed now, and the warning about those that are delayed.
func (q *Queue) conclude(c *conclusion, failed []Recipient, body io.ReadSeeker) {
	it, now := c.after, c.after.Tried
	if !c.tried {
		now = q.now()
	}
	open := it.Pending()
	sent := false
	if len(failed) > 0 {
		draft, err := q.notify(Notice{NoticeFailed, it, failed, body})
		switch {
		case err != nil:
			q.log.Error("no notification could be made; the item is held", "id", it.ID, "from", it.Sender, "error", err)
			c.reopen("no notification could be made: "+err.Error(), func(n int) bool { return !c.e.Recipients[n].State.Final() })
			return
		case draft != nil:
			c.notices, sent = append(c.notices, *draft), true
		}
	}
	if it.Sender == "" && len(open) == 0 && q.cfg.HoldDoubleBounce && !sent {
		if n := slices.IndexFunc(it.Recipients, func(r Recipient) bool { return r.State == Failed }); n >= 0 {
			q.log.Warn("double bounce, held: a message from the null sender failed", "id", it.ID, "to", it.Recipients[n].Address, "reply", it.Recipients[n].Reply)
			c.reopen(cut("double bounce: "+it.Recipients[n].Reply, maxReply), func(int) bool { return true })
			return
		}
	}
	for _, r := range failed {
		switch {
		case sent:
		case it.Sender != "":
			q.log.Warn("recipient failed, no notification", "id", it.ID, "from", it.Sender, "to", r.Address, "reply", r.Reply)
		case q.cfg.HoldDoubleBounce:
			q.log.Warn("double bounce: a message from the null sender failed; it is held when its other recipients are served", "id", it.ID, "to", r.Address, "reply", r.Reply)
		default:
			q.log.Warn("double bounce, dropped: a message from the null sender failed", "id", it.ID, "to", r.Address, "reply", r.Reply)
		}
	}
	if len(open) > 0 && q.cfg.Warn > 0 && it.Sender != "" && it.Warned.IsZero() && !now.Before(it.Received.Add(q.cfg.Warn)) {
		it.Warned = now
		draft, err := q.notify(Notice{NoticeDelayed, it, open, body})
		if err != nil {
			q.log.Error("no warning of a delay could be made", "id", it.ID, "from", it.Sender, "error", err)
		} else if draft != nil {
			c.notices = append(c.notices, *draft)
		}
	}
}

// reopen has the item held, with those of its failed recipients open that which chooses.
func (c *conclusion) reopen(hold string, which func(n int) bool) {
	c.hold = hold
	for n := range c.after.Recipients {
		if r := &c.after.Recipients[n]; r.State == Failed && which(n) {
			r.State = Deferred
		}
	}
}

// notify asks Config.Notify for a notification; nil if there is to be none.
func (q *Queue) notify(n Notice) (d *Draft, err error) {
	if q.cfg.Notify == nil {
		return nil, nil
	}
	defer func() {
		if p := recover(); p != nil {
			q.panics.Add(1)
			q.log.Error("making a notification panicked", "id", n.Item.ID, "panic", p, "stack", string(debug.Stack()))
			d, err = nil, fmt.Errorf("panic: %v", p)
		}
	}()
	n.Item = n.Item.clone()
	if n.Body != nil {
		if _, err := n.Body.Seek(0, io.SeekStart); err != nil {
			n.Body = nil
		}
	}
	draft, ok := q.cfg.Notify(n)
	if !ok {
		return nil, nil
	}
	if draft.ID == "" {
		draft.ID = newID(q.now())
	}
	if _, err := q.prepare(draft); err != nil {
		return nil, err
	}
	return &draft, nil
}

// concluding is the op that records c, with its notifications, in one commit.
func (q *Queue) concluding(c *conclusion) *op {
	o := &op{need: q.cfg.MinFree / recordShare, size: 1500 + 300*len(c.after.Recipients), lazy: c.tried}
	for _, d := range c.notices {
		if r, err := q.prepare(d); err == nil { // as it was when it was made
			r.it.of = c.e.ID
			r.env = appendItem(nil, r.it)
			r.it.of = ""
			o.add(r)
		}
	}
	o.apply = func(t *tx) error {
		now, err := getEntry(t.Txn, c.e.ID)
		if err != nil {
			return err
		}
		if !c.tried && (now.Hold != "" || now.Attempts != c.e.Attempts || !now.Expires.Equal(c.e.Expires)) {
			return errStale
		}
		after := c.after.clone()
		after.move(-q.clock.behind(c.moved))
		after.Lane, after.Received, after.Expires = now.Lane, now.Received, now.Expires
		if after.Hold = now.Hold; c.hold != "" {
			after.Hold = c.hold
		}
		if after.Hold != "" { // maybe meanwhile
			after.Next = time.Time{}
		}
		if c.tried {
			if err := t.Delete(tryKey(c.e.ID)); err != nil {
				return err
			}
		}
		if m := marks(after); now.place != c.e.place || !bytes.Equal(c.marked, m) {
			t.marks(now.place, after)
		}
		if len(after.Pending()) == 0 {
			return t.remove(now)
		}
		return t.put(now, &entry{Item: after, place: now.place})
	}
	return o
}
