package fingerprint

import (
	"encoding/binary"
	"time"

	badger "github.com/dgraph-io/badger/v4"
)

// A report is one thing said of one fingerprint.
type report struct {
	print Print
	word  word
}

const (
	// sameBands is how many bands two texts share that one reporter's word is
	// the same entry for: half of them.
	sameBands = bandCount / 2
	// maxRevoked is how many texts one word takes back.
	maxRevoked = 3 * perOwner
	// delistFor is how long an operator's word holds.
	delistFor = 30 * 24 * time.Hour
)

func macKey(mac []byte) []byte { return append([]byte{macPrefix}, mac[:min(16, len(mac))]...) }

// taken tells whether a signed report was taken before.
func (s *store) taken(mac []byte) (was bool, err error) {
	err = s.db.View(func(txn *badger.Txn) error {
		b, err := get(txn, macKey(mac))
		was = b != nil
		return err
	})
	return was, err
}

// write runs a change under the writer's lock in a transaction; what the batch
// counted counts when it is on disk.
func (s *store) write(change func(b *batch) error) error {
	var done *batch
	next := s.next
	err := s.db.Update(func(txn *badger.Txn) error {
		done = newBatch(txn)
		if err := change(done); err != nil {
			return err
		}
		return done.flush()
	})
	if err != nil {
		s.next = next
		return err
	}
	s.stored += done.stored
	for owner, n := range done.lone {
		if s.lone[owner] += n; s.lone[owner] <= 0 {
			delete(s.lone, owner)
		}
	}
	for owner, rank := range done.low {
		s.low[owner] = rank
	}
	return nil
}

// tell writes the reports of one message, in as many transactions as their size
// takes. mac is its signature, which is not taken twice before until; it is
// written with the first reports: when a later transaction fails, those stay,
// and the reporter may say the same again under another signature. It returns
// how many reports changed anything.
func (s *store) tell(reports []report, reporter uint64, mac []byte, until, now time.Time) (changed int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if free, err := freeBytes(s.dir); err == nil && free < s.spare {
		return 0, errFull
	}
	for first := true; first || len(reports) > 0; first = false {
		did, taken := 0, 0
		err := s.write(func(b *batch) error {
			did, taken = 0, 0
			if first {
				key := macKey(mac)
				if was, err := get(b.txn, key); err != nil {
					return err
				} else if was != nil {
					return errReplayed
				}
				if err := b.set(key, binary.BigEndian.AppendUint64(nil, uint64(until.Unix()))); err != nil {
					return err
				}
			}
			for _, r := range reports {
				if b.bytes > maxBatch {
					break
				}
				changed, err := s.tellOne(b, r, reporter, now)
				if err != nil {
					return err
				}
				if taken++; changed {
					did++
				}
			}
			return nil
		})
		if err != nil {
			return changed, err
		}
		changed += did
		reports = reports[taken:]
	}
	return changed, nil
}

func (s *store) tellOne(b *batch, r report, reporter uint64, now time.Time) (changed bool, err error) {
	if r.print.Kind == Fuzzy {
		return s.tellFuzzy(b, r, reporter, now)
	}
	key := exactKey(r.print)
	value, err := get(b.txn, key)
	if err != nil {
		return false, err
	}
	e := &entry{kind: r.print.Kind, owner: reporter, created: now}
	if value != nil {
		if e, err = decodeEntry(r.print.Kind, value); err != nil {
			return false, err
		}
	}
	if r.word == delist { // what nobody reported yet is not listed when they do
		e.voices, e.delisted, e.touched = nil, now.Add(delistFor), now
		return true, s.keep(b, key, e, value == nil, reporter)
	}
	if !e.say(r.word, reporter, now, s.half) {
		return false, nil
	}
	return true, s.keep(b, key, e, value == nil, reporter)
}

// tellFuzzy takes a word on a text. It touches entries of the reporter alone,
// for operators those of operators.
func (s *store) tellFuzzy(b *batch, r report, reporter uint64, now time.Time) (changed bool, err error) {
	owner := reporter
	if r.word == delist {
		owner = 0
	}
	own, err := s.near(b, r.print.Bands, &owner)
	if err != nil {
		return false, err
	}
	if r.word == sayNothing { // of all that is like this, as far as one transaction goes
		for range maxRevoked / perOwner {
			for _, c := range own {
				if err := s.remove(b, fuzzyKey(c.sequence), c.entry); err != nil {
					return false, err
				}
				changed = true
			}
			if own, err = s.near(b, r.print.Bands, &owner); len(own) == 0 || err != nil {
				break
			}
		}
		return changed, err
	}
	e, sequence, fresh := &entry{kind: Fuzzy, bands: r.print.Bands, owner: owner, created: now}, s.next, true
	if len(own) > 0 && own[0].common >= sameBands {
		e, sequence, fresh = own[0].entry, own[0].sequence, false
	}
	if r.word == delist {
		e.delisted, e.touched = now.Add(delistFor), now
	} else if !e.say(r.word, reporter, now, s.half) {
		return false, nil
	}
	if fresh {
		s.next++
	}
	if err := s.keep(b, fuzzyKey(sequence), e, fresh, reporter); err != nil {
		return false, err
	}
	return true, b.index(posting{owner, sequence}, e.bands)
}

// keep writes an entry that was changed. A new one makes room for itself.
func (s *store) keep(b *batch, key []byte, e *entry, fresh bool, reporter uint64) error {
	if err := s.unrank(b, e); err != nil {
		return err
	}
	if fresh {
		if err := s.makeRoom(b, e.owner); err != nil {
			return err
		}
		b.stored++
	}
	confirmed := len(e.voices) > 1 || len(e.voices) == 1 && e.voices[0].reporter != e.owner
	if e.owner != 0 && !confirmed && e.delisted.IsZero() {
		e.rank = s.next
		s.next++
		b.lone[e.owner]++
		if err := b.set(ownerKey(e.owner, e.rank), key); err != nil {
			return err
		}
	}
	return b.set(key, e.encode())
}

func (s *store) unrank(b *batch, e *entry) error {
	if e.rank == 0 {
		return nil
	}
	b.lone[e.owner]--
	err := b.delete(ownerKey(e.owner, e.rank))
	e.rank = 0
	return err
}

// makeRoom lets a new entry in: a reporter who has his share loses the one of
// his unconfirmed entries that he has not reported for longest; when the store
// is full, the reporter who has the most does.
func (s *store) makeRoom(b *batch, owner uint64) error {
	lone := func(o uint64) int { return s.lone[o] + b.lone[o] }
	if owner != 0 && lone(owner) >= s.share {
		return s.dropOldest(b, owner)
	}
	if s.stored+b.stored < s.most {
		return nil
	}
	loser, most := owner, lone(owner)
	for o := range s.lone {
		if n := lone(o); n > most || n == most && o < loser {
			loser, most = o, n
		}
	}
	if most <= 0 || loser == 0 {
		return errFull
	}
	return s.dropOldest(b, loser)
}

// dropOldest drops the unconfirmed entry of a reporter that he has not reported
// for longest.
func (s *store) dropOldest(b *batch, owner uint64) error {
	low, ok := b.low[owner]
	if !ok {
		low = s.low[owner]
	}
	it := b.txn.NewIterator(badger.IteratorOptions{Prefix: ownerKey(owner, 0)[:9]})
	defer it.Close()
	for it.Seek(ownerKey(owner, low)); it.Valid(); it.Next() {
		k := it.Item().KeyCopy(nil)
		key, err := it.Item().ValueCopy(nil)
		if err != nil {
			return err
		}
		b.low[owner] = binary.BigEndian.Uint64(k[9:])
		value, err := get(b.txn, key)
		if err != nil {
			return err
		}
		if e, err := decodeEntry(kindOf(key[1]), value); err == nil {
			return s.remove(b, key, e)
		}
		// It has gone, or cannot be read.
		b.lone[owner]--
		if err := b.delete(k); err != nil {
			return err
		}
	}
	return errFull
}

// remove takes an entry out of everything.
func (s *store) remove(b *batch, key []byte, e *entry) error {
	if err := s.unrank(b, e); err != nil {
		return err
	}
	if e.kind == Fuzzy {
		if err := b.unindex(posting{e.owner, binary.BigEndian.Uint64(key[2:])}, e.bands); err != nil {
			return err
		}
	}
	b.stored--
	return b.delete(key)
}
