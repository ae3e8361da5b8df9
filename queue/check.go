package queue

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"slices"

	badger "github.com/dgraph-io/badger/v4"
)

// Finding is one thing that Check does not find as it should be.
type Finding struct {
	ID       string // the item; "" = unknown
	File     string // where its record is or should be; "" = the index
	Offset   int64  // in File, bytes
	Problem  string
	Doubtful bool // it concerns no item that the index knows: most likely mail that was finished, or never acknowledged, before a power cut
}

// String is the finding in one line.
func (f Finding) String() string {
	s := f.Problem
	if f.File != "" {
		s = fmt.Sprintf("%s at %d: %s", f.File, f.Offset, s)
	}
	if f.ID != "" {
		s = f.ID + ": " + s
	}
	return s
}

// Summary says what Check or Backup has been through.
type Summary struct {
	Items    int   // in the index
	Held     int   // of them
	Records  int   // in the spool, of items or finished
	Segments int   // files of the spool
	Bytes    int64 // of messages
	Damaged  int   // findings that concern an item
	Doubtful int   // other findings
}

// String is the summary in one line.
func (s Summary) String() string {
	return fmt.Sprintf("%d items (%d held) of %d bytes, %d records in %d segments, %d damaged, %d doubtful", s.Items, s.Held, s.Bytes, s.Records, s.Segments, s.Damaged, s.Doubtful)
}

// checker is one Check.
type checker struct {
	q      *Queue
	sum    Summary
	report func(Finding)
	seen   map[place]bool // records that were reported
}

func (c *checker) found(f Finding) {
	if f.Doubtful {
		c.sum.Doubtful++
	} else {
		c.sum.Damaged++
	}
	c.report(f)
}

// Check reads the whole queue, every message included, while it works, and reports what is not as it should be: items
// whose record is missing or is not what was put, items that are scheduled wrongly or not at all, records that no item
// points to. A segment with the damaged record of an item is linked into the directory damaged, where it stays.
func (q *Queue) Check(ctx context.Context, report func(Finding)) (Summary, error) {
	c := &checker{q: q, report: report, seen: map[place]bool{}}
	err := c.items(ctx)
	if err == nil {
		err = c.schedule(ctx)
	}
	if err == nil {
		err = c.spool(ctx)
	}
	if err != nil {
		return c.sum, fmt.Errorf("checking the queue: %w", err)
	}
	return c.sum, nil
}

// each calls f for every key with a prefix.
func (q *Queue) each(ctx context.Context, prefix string, f func(txn *badger.Txn, k, v []byte) error) error {
	return q.view(func(txn *badger.Txn) error {
		it := txn.NewIterator(keysOf(prefix))
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
			if err := f(txn, it.Item().Key(), v); err != nil {
				return err
			}
		}
		return nil
	})
}

// items checks every item of the index, and its record.
func (c *checker) items(ctx context.Context) error {
	return c.q.each(ctx, itemPrefix, func(txn *badger.Txn, k, v []byte) error {
		id := string(k[len(itemPrefix):])
		e, err := decodeEntry(v)
		if err != nil || e.ID != id {
			c.found(Finding{ID: id, Problem: "its entry in the index is damaged"})
			return nil
		}
		c.sum.Items++
		c.sum.Bytes += e.Size
		if e.Hold != "" {
			c.sum.Held++
		} else if _, err := txn.Get(dueKey(e.Item)); errors.Is(err, badger.ErrKeyNotFound) {
			c.found(Finding{ID: id, Problem: "it is scheduled nowhere: it would never be attempted"})
		} else if err != nil {
			return err
		}
		for {
			bad := c.q.spool.verify(e.place, id)
			if bad == nil {
				return nil
			}
			now, err := c.q.get(id)
			if errors.Is(err, ErrNotFound) { // finished since
				return nil
			}
			if err != nil {
				return err
			}
			if now.place == e.place {
				c.seen[e.place] = true
				c.found(Finding{ID: id, File: c.q.spool.path(e.place.seg), Offset: e.place.off, Problem: bad.Error()})
				c.q.keep(e.place.seg)
				return nil
			}
			e = now // moved since
		}
	})
}

// schedule checks that every due key is that of an item.
func (c *checker) schedule(ctx context.Context) error {
	return c.q.each(ctx, lanePrefix, func(txn *badger.Txn, k, v []byte) error {
		_, _, id, ok := parseDueKey(k)
		if !ok {
			c.found(Finding{Problem: fmt.Sprintf("the key %q in the index is damaged", k)})
			return nil
		}
		e, err := getEntry(txn, id)
		switch {
		case errors.Is(err, errCodec): // reported as an item
		case errors.Is(err, ErrNotFound):
			c.found(Finding{ID: id, Problem: "it is scheduled, but there is no such item", Doubtful: true})
		case err != nil:
			return err
		case e.Hold != "" || string(dueKey(e.Item)) != string(k):
			c.found(Finding{ID: id, Problem: "it is scheduled twice, or though it is held", Doubtful: true})
		default:
			if _, err := decodeDue(v); err != nil {
				c.found(Finding{ID: id, Problem: "its entry in the schedule is damaged"})
			}
		}
		return nil
	})
}

// spool checks that what the spool holds, up to where the index has seen it, is known to the index or finished.
func (c *checker) spool(ctx context.Context) error {
	var last uint64
	var end int64
	if err := c.q.view(func(txn *badger.Txn) (err error) { last, end, err = readEnd(txn); return err }); err != nil {
		return err
	}
	numbers, err := segmentsIn(c.q.spool.dir)
	if err != nil {
		return err
	}
	for _, n := range numbers {
		if n > last {
			break
		}
		if err := c.segment(ctx, n, func(off int64) bool { return n < last || off < end }); err != nil {
			return err
		}
	}
	return nil
}

// segment checks the records of one segment as far as seen says.
func (c *checker) segment(ctx context.Context, n uint64, seen func(off int64) bool) error {
	var odd []found
	name := c.q.spool.path(n)
	_, err := c.q.spool.scan(n, 0, func(f found) error {
		if !seen(f.place.off) {
			return ctx.Err()
		}
		c.sum.Records++
		if !finished(f.marks) {
			if _, err := c.q.get(f.it.ID); errors.Is(err, ErrNotFound) {
				odd = append(odd, f)
			} else if err != nil && !errors.Is(err, errCodec) {
				return err
			}
		}
		return ctx.Err()
	}, func(off, length int64) {
		for p := range c.seen {
			if p.seg == n && off < p.off+p.len && p.off < off+length {
				return
			}
		}
		if seen(off) {
			c.found(Finding{File: name, Offset: off, Problem: fmt.Sprintf("%d bytes are not readable as a message", length), Doubtful: true})
		}
	})
	switch {
	case errors.Is(err, fs.ErrNotExist): // finished since
		return nil
	case errors.Is(err, errDamaged):
		c.found(Finding{File: name, Problem: "the segment cannot be read: " + err.Error(), Doubtful: true})
	case err != nil:
		return err
	}
	c.sum.Segments++
	if len(odd) == 0 {
		return nil
	}
	// What was finished while the segment was read is marked by now, or will be when the committer has come this far.
	if err := c.q.do(ctx, &op{apply: func(*tx) error { return errStale }}); !errors.Is(err, errStale) {
		return err
	}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	for _, r := range odd {
		marks := make([]byte, len(r.marks))
		if _, err := f.ReadAt(marks, r.place.off+headerSize); err != nil {
			return err
		}
		if _, err := c.q.get(r.it.ID); errors.Is(err, ErrNotFound) && !finished(marks) {
			c.found(Finding{ID: r.it.ID, File: name, Offset: r.place.off, Problem: "its record is in the spool, but the index does not know it", Doubtful: true})
		} else if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, errCodec) {
			return err
		}
	}
	return nil
}

// finished reports whether marks say that every recipient is final.
func finished(marks []byte) bool {
	return !slices.ContainsFunc(marks[1:], func(m byte) bool { return m != markDelivered && m != markFailed })
}

// verify checks the record at p, which must be that of item id: header, envelope and body.
func (s *spool) verify(p place, id string) error {
	f, nonce, size, err := s.openSegment(p.seg, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("the segment with its record is missing")
	}
	if err != nil {
		return fmt.Errorf("the segment with its record cannot be read: %w", err)
	}
	defer f.Close()
	b := make([]byte, headerSize)
	if _, err = f.ReadAt(b, p.off); err == io.EOF {
		return errors.New("its record is missing: the segment ends before it")
	}
	if err != nil {
		return fmt.Errorf("its record cannot be read: %w", err)
	}
	h, ok := decodeHeader(b, nonce, p.off, size)
	if !ok || h.length() != p.len {
		return errors.New("the header of its record is damaged")
	}
	env := make([]byte, h.env)
	if _, err = f.ReadAt(env, p.off+headerSize+1+h.recipients); err != nil {
		return fmt.Errorf("its record cannot be read: %w", err)
	}
	if it, err := decodeItem(env); crc32.Checksum(env, castagnoli) != h.envSum || err != nil || it.ID != id {
		return errors.New("the envelope in its record is damaged")
	}
	sum, err := checksum(f, h.bodyOff(), h.body)
	if err != nil {
		return fmt.Errorf("its body cannot be read: %w", err)
	}
	if sum != h.bodySum {
		return errors.New("its body is damaged")
	}
	return nil
}
