package fingerprint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	badger "github.com/dgraph-io/badger/v4"
)

// sweep drops what is over: one walk over everything, a few removals a
// transaction, so that reports are not held up. It goes on behind what fails, and
// returns the first error.
func (s *store) sweep(now time.Time) (dropped int, err error) {
	const some = 200
	var from []byte
	var failed error
	for done := false; !done; {
		var keys [][]byte
		err := s.db.View(func(txn *badger.Txn) error {
			it := txn.NewIterator(badger.DefaultIteratorOptions)
			defer it.Close()
			for it.Seek(from); it.Valid(); it.Next() {
				k := it.Item().KeyCopy(nil)
				if len(keys) == some {
					from = k
					return nil
				}
				v, err := it.Item().ValueCopy(nil)
				if err != nil {
					return err
				}
				if s.isOver(k, v, now) {
					keys = append(keys, k)
				}
			}
			done = true
			return nil
		})
		if err != nil {
			return dropped, fmt.Errorf("sweeping: %w", err)
		}
		n, err := s.drop(keys, now)
		dropped += n
		if err != nil && failed == nil {
			failed = fmt.Errorf("sweeping: %w", err)
		}
	}
	return dropped, failed
}

// isOver tells whether a record is to go. One that cannot be read goes too.
func (s *store) isOver(k, v []byte, now time.Time) bool {
	switch {
	case len(k) > 1 && k[0] == entryPrefix:
		e, err := decodeEntry(kindOf(k[1]), v)
		return err != nil || e.over(now, s.half, s.ttl)
	case k[0] == macPrefix:
		return len(v) != 8 || now.After(time.Unix(int64(binary.BigEndian.Uint64(v)), 0))
	}
	return false
}

// drop removes records, in as many transactions as their size takes. One that
// fails does not keep the others.
func (s *store) drop(keys [][]byte, now time.Time) (dropped int, err error) {
	var failed error
	for len(keys) > 0 {
		done, gone := 0, 0
		s.mu.Lock()
		err := s.write(func(b *batch) error {
			done, gone = 0, 0
			for _, k := range keys {
				if b.bytes > maxBatch {
					break
				}
				done++
				v, err := get(b.txn, k)
				if err != nil {
					return err
				}
				if v == nil || !s.isOver(k, v, now) {
					continue // somebody has reported it again
				}
				if k[0] != entryPrefix {
					if err := b.delete(k); err != nil {
						return err
					}
					continue
				}
				gone++
				e, damaged := decodeEntry(kindOf(k[1]), v)
				if damaged != nil || e.kind == Fuzzy && len(k) != 10 {
					b.stored--
					err = b.delete(k)
				} else {
					err = s.remove(b, k, e)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		s.mu.Unlock()
		if err != nil {
			failed, gone, done = errors.Join(failed, err), 0, max(done, 1)
		}
		dropped += gone
		keys = keys[done:]
	}
	return dropped, failed
}
