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
//	b<band, 1><value, 4>       the fuzzy entries that have this band: owners and sequences, the oldest first
//	o<owner, 8><rank, 8>       the entries of a reporter that nobody confirmed: keys, the longest not reported first
//	m<MAC, 16>                 a report that was taken, till it is too old to be taken: seconds
//
// There is one writer at a time; readers see whole transactions. Who runs out
// of room loses what he said himself: one reporter's reports never make room by
// what others reported, unless those have more unconfirmed entries than he.
const (
	entryPrefix = 'e'
	bandPrefix  = 'b'
	ownerPrefix = 'o'
	macPrefix   = 'm'
)

var kindBytes = map[Kind]byte{Text: 't', Fuzzy: 'f', Attachment: 'a', Picture: 'p', Links: 'm', Link: 'l'}

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
	db    *badger.DB
	dir   string
	half  time.Duration
	ttl   time.Duration
	least int
	most  int    // entries
	share int    // entries of one reporter that nobody confirmed
	spare uint64 // bytes of disk that stay free

	mu     sync.Mutex        // of the writer
	next   uint64            // sequence of the next fuzzy entry, and the next rank
	stored int               // entries
	lone   map[uint64]int    // entries that nobody confirmed, by owner
	low    map[uint64]uint64 // no entry of an owner has a lower rank; what was dropped need not be read again
}

// count finds how many entries there are, whose, and the next sequence.
func (s *store) count() error {
	s.next, s.lone, s.low = 1, map[uint64]int{}, map[uint64]uint64{}
	return s.db.View(func(txn *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.PrefetchValues = false
		it := txn.NewIterator(o)
		defer it.Close()
		for it.Seek([]byte{entryPrefix}); it.ValidForPrefix([]byte{entryPrefix}); it.Next() {
			s.stored++
			if k := it.Item().Key(); len(k) == 10 && k[1] == kindBytes[Fuzzy] {
				s.next = max(s.next, binary.BigEndian.Uint64(k[2:])+1)
			}
		}
		for it.Seek([]byte{ownerPrefix}); it.ValidForPrefix([]byte{ownerPrefix}); it.Next() {
			if k := it.Item().Key(); len(k) == 17 {
				s.lone[binary.BigEndian.Uint64(k[1:])]++
				s.next = max(s.next, binary.BigEndian.Uint64(k[9:])+1)
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

func ownerKey(owner, rank uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64([]byte{ownerPrefix}, owner), rank)
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

// ask looks a fingerprint up. Of a fuzzy one each reporter's voice is what he
// said of the text that is nearest to it, if that shares MinBands with it, and
// an operator's word holds for all texts that do. Common is how many bands those
// reporters' texts share who are needed for a listing.
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
		near, err := s.near(newBatch(txn), p.Bands, nil)
		if err != nil {
			return err
		}
		all := &entry{kind: Fuzzy}
		var commons [3][]int // of the voices, by class
		slices.SortStableFunc(near, func(a, b candidate) int { return b.common - a.common })
		heardOf := map[uint64]bool{}
		for _, c := range near {
			if now.Before(c.entry.delisted) {
				return nil
			}
			if heardOf[c.owner] || len(c.entry.voices) == 0 {
				continue
			}
			v := c.entry.voices[0].faded(now, s.half)
			class := classSpam
			if v.ham > v.spam {
				class = classHam
			}
			if max(v.spam, v.ham) < heard {
				continue
			}
			heardOf[c.owner] = true
			all.voices = append(all.voices, v)
			commons[class] = append(commons[class], c.common)
		}
		if best.class, best.level = all.verdict(now, s.half, s.least); best.class != 0 {
			best.common = commons[best.class][s.least-1]
		}
		return nil
	})
	return best, err
}

// A candidate is a fuzzy entry that shares bands with what is looked for.
type candidate struct {
	posting
	common int
	entry  *entry
}

// perOwner bounds the entries of one reporter that are read for a question, and
// so does all reporters' number: a list has 64 postings, and only who is in
// MinBands lists is read.
const perOwner = 4

// near reads the fuzzy entries that share MinBands bands, the newest first; of
// one owner, if any is given.
func (s *store) near(b *batch, bands Bands, owner *uint64) (list []candidate, err error) {
	counts := map[posting]int{}
	for i, v := range bands {
		postings, err := b.postings(bandKey(i, v))
		if err != nil {
			return nil, err
		}
		for _, p := range postings {
			if owner == nil || p.owner == *owner {
				counts[p]++
			}
		}
	}
	for p, n := range counts {
		if n >= MinBands {
			list = append(list, candidate{posting: p, common: n})
		}
	}
	// The band's list is a hint, the entry is the truth.
	slices.SortFunc(list, func(a, b candidate) int {
		if a.common != b.common {
			return b.common - a.common
		}
		if a.sequence > b.sequence {
			return -1
		}
		return 1
	})
	read := map[uint64]int{}
	kept := list[:0]
	for _, c := range list {
		if read[c.owner]++; read[c.owner] > perOwner && (c.owner != 0 || read[0] > maxOperators) {
			continue
		}
		value, err := get(b.txn, fuzzyKey(c.sequence))
		if err != nil {
			return nil, err
		}
		e, damaged := decodeEntry(Fuzzy, value)
		if damaged != nil || e.owner != c.owner { // gone, or for the next sweep
			continue
		}
		if c.common, c.entry = e.bands.Common(bands), e; c.common >= MinBands {
			kept = append(kept, c)
		}
	}
	return kept, nil
}

// entries is how many there are.
func (s *store) entries() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stored
}

// reporterID stands for a key's name in entries. It is never 0, which stands
// for operators.
func reporterID(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	return max(1, h.Sum64())
}
