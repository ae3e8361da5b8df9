package fingerprint

import (
	"encoding/binary"
	"errors"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	badger "github.com/dgraph-io/badger/v4"
)

// The store (Badger) holds:
//
//	e<kind, 1><id, 16>         an entry of an exact kind
//	ef<sequence, 8>            an entry of the fuzzy kind
//	b<band, 1><value, 4>       the fuzzy entries that have this band: sequences, the newest last
//	m<MAC, 16>                 a report that was taken, till it is too old to be taken: seconds
//
// There is one writer at a time; readers see whole transactions.
const (
	entryPrefix = 'e'
	bandPrefix  = 'b'
	macPrefix   = 'm'
	maxPosting  = 64 // entries of a band: one that more have tells nothing, and the oldest lose it
)

var kindBytes = map[Kind]byte{Text: 't', Fuzzy: 'f', Attachment: 'a', Links: 'm', Link: 'l'}

func kindOf(b byte) Kind {
	for k, v := range kindBytes {
		if v == b {
			return k
		}
	}
	return ""
}

// Why a report is not taken.
var (
	errFull     = errors.New("the store is full")
	errReplayed = errors.New("this report was taken before")
)

// A store keeps entries on disk.
type store struct {
	db     *badger.DB
	dir    string
	half   time.Duration
	ttl    time.Duration
	least  int
	most   int    // entries
	spare  uint64 // bytes of disk that stay free
	mu     sync.Mutex
	next   uint64 // sequence of the next fuzzy entry; under mu
	stored int    // entries; under mu
}

// count finds how many entries there are, and the next sequence.
func (s *store) count() error {
	return s.db.View(func(txn *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.PrefetchValues, o.Prefix = false, []byte{entryPrefix}
		it := txn.NewIterator(o)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			s.stored++
			if k := it.Item().Key(); len(k) == 10 && k[1] == kindBytes[Fuzzy] {
				s.next = max(s.next, binary.BigEndian.Uint64(k[2:])+1)
			}
		}
		return nil
	})
}

func exactKey(p Print) []byte { return append([]byte{entryPrefix, kindBytes[p.Kind]}, p.ID[:]...) }

func fuzzyKey(sequence uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{entryPrefix, kindBytes[Fuzzy]}, sequence)
}

func bandKey(i int, value uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{bandPrefix, byte(i)}, value)
}

// get reads a value; nil if there is none.
func get(txn *badger.Txn, key []byte) ([]byte, error) {
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return item.ValueCopy(nil)
}

// An answer is what the store says of a fingerprint.
type answer struct {
	class, level int
	common       int // bands, of a fuzzy one
}

// ask looks a fingerprint up. Of several fuzzy entries the one with the most
// bands in common speaks, among those that say anything.
func (s *store) ask(p Print, now time.Time) (best answer, err error) {
	err = s.db.View(func(txn *badger.Txn) error {
		if p.Kind != Fuzzy {
			b, err := get(txn, exactKey(p))
			if b == nil || err != nil {
				return err
			}
			e, err := decodeEntry(p.Kind, b)
			if err == nil {
				best.class, best.level = e.verdict(now, s.half, s.least)
			}
			return err
		}
		near, err := s.near(txn, p.Bands)
		for _, c := range near {
			b, gone := get(txn, fuzzyKey(c.sequence))
			if gone != nil {
				return gone
			}
			if b == nil {
				continue
			}
			e, damaged := decodeEntry(Fuzzy, b)
			if damaged != nil {
				return damaged
			}
			// The band's list is a hint, the entry is the truth.
			common := e.bands.Common(p.Bands)
			if class, level := e.verdict(now, s.half, s.least); class != 0 && common >= MinBands && common > best.common {
				best = answer{class, level, common}
			}
		}
		return err
	})
	return best, err
}

// A candidate is a fuzzy entry that shares bands with what is looked for.
type candidate struct {
	sequence uint64
	common   int
}

const maxCandidates = 16

// near lists the fuzzy entries that share MinBands bands, the nearest first.
func (s *store) near(txn *badger.Txn, bands Bands) ([]candidate, error) {
	counts := map[uint64]int{}
	for i, v := range bands {
		list, err := get(txn, bandKey(i, v))
		if err != nil {
			return nil, err
		}
		for ; len(list) >= 8; list = list[8:] {
			counts[binary.BigEndian.Uint64(list)]++
		}
	}
	var near []candidate
	for sequence, n := range counts {
		if n >= MinBands {
			near = append(near, candidate{sequence, n})
		}
	}
	slices.SortFunc(near, func(a, b candidate) int {
		if a.common != b.common {
			return b.common - a.common
		}
		if a.sequence < b.sequence {
			return -1
		}
		return 1
	})
	return near[:min(len(near), maxCandidates)], nil
}

// A report is one thing said of one fingerprint.
type report struct {
	print Print
	word  word
}

// tell writes the reports of one message in one transaction: all or none. mac
// is its signature, which is not taken twice before until. It returns how many
// reports changed anything.
func (s *store) tell(reports []report, reporter uint64, mac []byte, until, now time.Time) (changed int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if free, err := freeBytes(s.dir); err == nil && free < s.spare {
		return 0, errFull
	}
	next, stored := s.next, s.stored
	err = s.db.Update(func(txn *badger.Txn) error {
		key := append([]byte{macPrefix}, mac[:min(16, len(mac))]...)
		if b, err := get(txn, key); err != nil || b != nil {
			return errors.Join(err, errReplayed)
		}
		if err := txn.Set(key, binary.BigEndian.AppendUint64(nil, uint64(until.Unix()))); err != nil {
			return err
		}
		for _, r := range reports {
			did, err := s.tellOne(txn, r, reporter, now)
			if err != nil {
				return err
			}
			if did {
				changed++
			}
		}
		return nil
	})
	if err != nil {
		s.next, s.stored = next, stored
		return 0, err
	}
	return changed, nil
}

// delistFor is how long an operator's word holds.
const delistFor = 30 * 24 * time.Hour

func (s *store) tellOne(txn *badger.Txn, r report, reporter uint64, now time.Time) (changed bool, err error) {
	key := exactKey(r.print)
	found := []byte(nil)
	fresh := false
	if r.print.Kind == Fuzzy {
		near, err := s.near(txn, r.print.Bands)
		if err != nil {
			return false, err
		}
		// An operator means all that answer to this fingerprint.
		if r.word == delist && len(near) > 0 {
			for _, c := range near {
				if err := s.delistOne(txn, fuzzyKey(c.sequence), Fuzzy, now); err != nil {
					return false, err
				}
			}
			return true, nil
		}
		key, fresh = fuzzyKey(s.next), true
		if len(near) > 0 {
			key, fresh = fuzzyKey(near[0].sequence), false
		}
	}
	if !fresh {
		if found, err = get(txn, key); err != nil {
			return false, err
		}
	}
	if found != nil && r.word == delist {
		return true, s.delistOne(txn, key, r.print.Kind, now)
	}
	e := &entry{kind: r.print.Kind, bands: r.print.Bands, created: now}
	if found != nil {
		if e, err = decodeEntry(r.print.Kind, found); err != nil {
			return false, err
		}
	}
	if r.word == delist { // what nobody reported yet is not listed when they do
		e.delisted, e.touched = now.Add(delistFor), now
	} else if !e.say(r.word, reporter, now, s.half) {
		return false, nil
	}
	if found == nil {
		if s.stored >= s.most {
			return false, errFull
		}
		s.stored++
		if r.print.Kind == Fuzzy {
			if err := s.index(txn, s.next, e.bands); err != nil {
				return false, err
			}
			s.next++
		}
	}
	return true, txn.Set(key, e.encode())
}

func (s *store) delistOne(txn *badger.Txn, key []byte, kind Kind, now time.Time) error {
	b, err := get(txn, key)
	if b == nil || err != nil {
		return err
	}
	e, err := decodeEntry(kind, b)
	if err != nil {
		return err
	}
	e.voices, e.delisted, e.touched = nil, now.Add(delistFor), now
	return txn.Set(key, e.encode())
}

// index adds an entry to its bands' lists.
func (s *store) index(txn *badger.Txn, sequence uint64, bands Bands) error {
	for i, v := range bands {
		key := bandKey(i, v)
		list, err := get(txn, key)
		if err != nil {
			return err
		}
		list = binary.BigEndian.AppendUint64(list, sequence)
		if over := len(list) - 8*maxPosting; over > 0 {
			list = list[over:]
		}
		if err := txn.Set(key, list); err != nil {
			return err
		}
	}
	return nil
}

// unindex takes an entry off its bands' lists.
func (s *store) unindex(txn *badger.Txn, sequence uint64, bands Bands) error {
	for i, v := range bands {
		key := bandKey(i, v)
		list, err := get(txn, key)
		if err != nil {
			return err
		}
		kept := list[:0]
		for ; len(list) >= 8; list = list[8:] {
			if binary.BigEndian.Uint64(list) != sequence {
				kept = append(kept, list[:8]...)
			}
		}
		if len(kept) == 0 {
			err = txn.Delete(key)
		} else {
			err = txn.Set(key, kept)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// entries is how many there are.
func (s *store) entries() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stored
}

// reporterID stands for a key's name in entries.
func reporterID(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	return h.Sum64()
}
