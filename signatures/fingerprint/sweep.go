package fingerprint

import (
	"encoding/binary"
	"fmt"
	"time"

	badger "github.com/dgraph-io/badger/v4"
)

// sweep drops what is over: one walk over everything, a few hundred removals a
// transaction, so that reports are not held up.
func (s *store) sweep(now time.Time) (dropped int, err error) {
	const batch = 200
	var from []byte
	for done := false; !done; {
		var keys [][]byte
		err := s.db.View(func(txn *badger.Txn) error {
			it := txn.NewIterator(badger.DefaultIteratorOptions)
			defer it.Close()
			for it.Seek(from); it.Valid(); it.Next() {
				k := it.Item().KeyCopy(nil)
				if len(keys) == batch {
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
		if dropped += n; err != nil {
			return dropped, fmt.Errorf("sweeping: %w", err)
		}
	}
	return dropped, nil
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

func (s *store) drop(keys [][]byte, now time.Time) (dropped int, err error) {
	if len(keys) == 0 {
		return 0, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err = s.db.Update(func(txn *badger.Txn) error {
		dropped = 0
		for _, k := range keys {
			v, err := get(txn, k)
			if err != nil {
				return err
			}
			if v == nil || !s.isOver(k, v, now) {
				continue // somebody has reported it again
			}
			if k[0] == entryPrefix {
				if e, err := decodeEntry(kindOf(k[1]), v); err == nil && e.kind == Fuzzy && len(k) == 10 {
					if err := s.unindex(txn, binary.BigEndian.Uint64(k[2:]), e.bands); err != nil {
						return err
					}
				}
				dropped++
			}
			if err := txn.Delete(k); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	s.stored -= dropped
	return dropped, nil
}
