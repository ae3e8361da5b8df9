package queue

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// The index (Badger) knows where each item's record is, how its delivery stands and when it is due. Keys:
//
//	i/<id>          place and item
//	l/<lane>\0<ms, 8><id>
//	                the item waits in this lane and is due then (not for held items); value: what a walk must know of it (see due)
//	t/<id>          an attempt was begun whose result is not recorded yet
//	m/end           segment and offset up to which the spool's records are indexed: what lies before and has no i/ key is finished
//
// An index from before there were lanes has d/<ms, 8><id> in the place of l/ keys; Open gives its items their lanes.
const (
	itemPrefix   = "i/"
	lanePrefix   = "l/"
	tryPrefix    = "t/"
	endKey       = "m/end"
	oldDuePrefix = "d/"
)

// openIndex opens the Badger database in dir with settings for little memory (libraries' defaults would map gigabytes).
func openIndex(dir string, log *slog.Logger) (*badger.DB, error) {
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	o := badger.DefaultOptions(dir).
		WithSyncWrites(true).       // without it a power cut loses acknowledged commits
		WithDetectConflicts(false). // there is one writer
		WithMemTableSize(8 << 20).WithNumMemtables(2).
		// Rarer and larger compactions: with the defaults a Put costs twice the CPU at a million messages.
		WithNumLevelZeroTables(5).WithNumLevelZeroTablesStall(12).WithBaseLevelSize(64 << 20).WithBaseTableSize(8 << 20).
		WithValueThreshold(1 << 20). // never into the value log, whose garbage collection does not keep up
		WithValueLogFileSize(16 << 20).
		WithBlockCacheSize(4 << 20).WithIndexCacheSize(4 << 20).
		WithNumCompactors(2).WithCompression(options.None).
		WithChecksumVerificationMode(options.OnBlockRead).
		WithMetricsEnabled(false).
		WithBypassLockGuard(true). // the queue has its own lock, and Badger keeps its when Open panics
		WithLogger(badgerLog{log})
	if err := checkTables(dir, o); err != nil {
		return nil, err
	}
	db, err := openBadger(o)
	if err != nil {
		// A known fault of Badger (its issue 2207): after a cut, a log file of length zero makes the first Open fail and the second succeed.
		log.Warn("index did not open, trying once more", "dir", dir, "error", err)
		removeEmptyLogs(dir)
		db, err = openBadger(o)
	}
	return db, err
}

// openBadger turns a panic in Badger's reading of damaged files into an error.
func openBadger(o badger.Options) (db *badger.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			db, err = nil, fmt.Errorf("badger panicked: %v", p)
		}
	}()
	if db, err = badger.Open(o); err != nil {
		return nil, err // and not the half-open database that Badger returns sometimes
	}
	return db, nil
}

// closeIndex closes an index that may be damaged.
func closeIndex(db *badger.DB) (err error) {
	if db == nil {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("badger panicked: %v", p)
		}
	}()
	return db.Close()
}

func removeEmptyLogs(dir string) {
	for _, pattern := range []string{"*.mem", "*.vlog"} {
		names, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, name := range names {
			if info, err := os.Stat(name); err == nil && info.Size() == 0 {
				os.Remove(name)
			}
		}
	}
}

// badgerLog passes on what an operator must know; Badger's chatter is debug.
type badgerLog struct{ log *slog.Logger }

func (l badgerLog) Errorf(f string, a ...any)   { l.log.Error("badger: " + fmt.Sprintf(f, a...)) }
func (l badgerLog) Warningf(f string, a ...any) { l.log.Warn("badger: " + fmt.Sprintf(f, a...)) }
func (l badgerLog) Infof(string, ...any)        {}
func (l badgerLog) Debugf(string, ...any)       {}

func itemKey(id string) []byte { return append([]byte(itemPrefix), id...) }
func tryKey(id string) []byte  { return append([]byte(tryPrefix), id...) }

// dueKey is where the index says when it is due, and in which lane.
func dueKey(it *Item) []byte {
	k := make([]byte, 0, len(lanePrefix)+len(it.Lane)+1+8+len(it.ID))
	k = append(append(append(k, lanePrefix...), it.Lane...), 0)
	return append(binary.BigEndian.AppendUint64(k, uint64(max(0, it.Next.UnixMilli()))), it.ID...)
}

// laneStart and laneEnd lie before and behind every due key of a lane, and between no others.
func laneStart(lane string) string { return lanePrefix + lane + "\x00" }
func laneEnd(lane string) string   { return lanePrefix + lane + "\x01" }

// parseDueKey takes a due key apart; ok is false if it is none.
func parseDueKey(k []byte) (lane string, t time.Time, id string, ok bool) {
	k = k[len(lanePrefix):]
	n := bytes.IndexByte(k, 0)
	if n < 0 || len(k) < n+1+8+1 {
		return "", time.Time{}, "", false
	}
	return string(k[:n]), time.UnixMilli(int64(binary.BigEndian.Uint64(k[n+1:]))), string(k[n+9:]), true
}

// due is the value of a due key.
type due struct {
	suspect  bool      // the process died in its last attempt
	told     bool      // the sender was told of the delay, or is not to be told
	mixed    bool      // its open recipients are in several lanes
	received time.Time // as in the item
	expires  time.Time
}

func dueOf(it *Item) due {
	return due{suspect: it.Crashes > 0, told: !it.Warned.IsZero() || it.Sender == "", received: it.Received, expires: it.Expires}
}

func (d due) encode() []byte {
	var flags byte
	if d.suspect {
		flags |= 1
	}
	if d.told {
		flags |= 2
	}
	if d.mixed {
		flags |= 4
	}
	return appendTime(appendTime([]byte{flags}, d.received), d.expires)
}

func decodeDue(b []byte) (due, error) {
	r := reader{b: b}
	flags := r.byte()
	d := due{suspect: flags&1 != 0, told: flags&2 != 0, mixed: flags&4 != 0, received: r.time(), expires: r.time()}
	if r.bad {
		return due{}, errCodec
	}
	return d, nil
}

// deadline is when something is to be done about the item even if it cannot be attempted: a warning, or its end.
func (d due) deadline(warn time.Duration) time.Time {
	if at := d.received.Add(warn); warn > 0 && !d.told && at.Before(d.expires) {
		return at
	}
	return d.expires
}

// entry is an item as the index knows it.
type entry struct {
	*Item
	place place
	moved time.Duration // which jumps of the clock its times have followed, if that is of interest
}

func (e *entry) encode() []byte {
	b := binary.AppendUvarint(nil, e.place.seg)
	b = binary.AppendUvarint(b, uint64(e.place.off))
	b = binary.AppendUvarint(b, uint64(e.place.len))
	return appendItem(b, e.Item)
}

func decodeEntry(b []byte) (*entry, error) {
	r := reader{b: b}
	p := place{r.uvarint(), int64(r.uvarint()), int64(r.uvarint())}
	if r.bad {
		return nil, errCodec
	}
	it, err := decodeItem(r.b)
	if err != nil {
		return nil, err
	}
	return &entry{Item: it, place: p}, nil
}

// getEntry reads one item; ErrNotFound if there is none.
func getEntry(txn *badger.Txn, id string) (*entry, error) {
	kv, err := txn.Get(itemKey(id))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, id)
	}
	if err != nil {
		return nil, err
	}
	var e *entry
	err = kv.Value(func(b []byte) error {
		e, err = decodeEntry(b)
		return err
	})
	return e, err
}

// tx is one atomic, durable change of the index. Changes outside of it (counting, marks, wake-ups) wait in after until
// it is committed.
type tx struct {
	*badger.Txn
	q     *Queue
	after []func()
}

// put stores e, which was before (nil = it is new), gives it its lane and keeps its due key in step.
func (t *tx) put(before, e *entry) error {
	var old []byte
	if before != nil && before.Hold == "" {
		old = dueKey(before.Item)
	}
	if e.Hold == "" {
		e.Lane = t.q.laneOf(e.Item)
		key := dueKey(e.Item)
		if old != nil && !bytes.Equal(old, key) {
			if err := t.Delete(old); err != nil {
				return err
			}
		}
		d := dueOf(e.Item)
		d.mixed = t.q.mixed(e.Item)
		if err := t.Set(key, d.encode()); err != nil {
			return err
		}
		t.after = append(t.after, func() { t.q.sched.offer(e.Item) })
	} else if old != nil {
		if err := t.Delete(old); err != nil {
			return err
		}
	}
	if before != nil && (before.Hold == "") != (e.Hold == "") {
		mark := byte(markHeld)
		if e.Hold == "" {
			mark = markReleased
		}
		t.after = append(t.after, func() { t.q.spool.mark(e.place, 0, mark) })
	} else if before == nil && e.Hold != "" {
		e.Lane = t.q.laneOf(e.Item)
	}
	if before == nil {
		t.after = append(t.after, func() { t.q.spool.added(e.place) })
	}
	return t.Set(itemKey(e.ID), e.encode())
}

// putTried stores e, which is new and has its lane, as one whose attempt has begun.
func (t *tx) putTried(e *entry) error {
	d := dueOf(e.Item)
	d.mixed = t.q.mixed(e.Item)
	if err := t.Set(dueKey(e.Item), d.encode()); err != nil {
		return err
	}
	if err := t.Set(tryKey(e.ID), nil); err != nil {
		return err
	}
	t.after = append(t.after, func() { t.q.spool.added(e.place) })
	return t.Set(itemKey(e.ID), e.encode())
}

// marks notes in the spool, once the change is committed, which recipients are final.
func (t *tx) marks(p place, it *Item) {
	m := marks(it)
	t.after = append(t.after, func() { t.q.spool.mark(p, 1, m...) })
}

// marks returns the marks of it's recipients.
func marks(it *Item) []byte {
	m := make([]byte, len(it.Recipients))
	for i, r := range it.Recipients {
		m[i] = markOf(r.State)
	}
	return m
}

// remove forgets e.
func (t *tx) remove(e *entry) error {
	if e.Hold == "" {
		if err := t.Delete(dueKey(e.Item)); err != nil {
			return err
		}
	}
	t.after = append(t.after, func() { t.q.spool.dropped(e.place) })
	return t.Delete(itemKey(e.ID))
}

// wholeSegment is the offset in m/end of a segment that gets no more records.
const wholeSegment = 1 << 62

func encodeEnd(seg uint64, off int64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(nil, seg), uint64(off))
}

// readEnd returns how far the spool is indexed; 0, 0 in a new index.
func readEnd(txn *badger.Txn) (seg uint64, off int64, err error) {
	kv, err := txn.Get([]byte(endKey))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	err = kv.Value(func(b []byte) error {
		r := reader{b: b}
		seg, off = r.uvarint(), int64(r.uvarint())
		if r.bad {
			return errCodec
		}
		return nil
	})
	return seg, off, err
}
