package fingerprint

import (
	"encoding/binary"
	"slices"

	badger "github.com/dgraph-io/badger/v4"
)

// A posting says that a fuzzy entry has a band.
type posting struct{ owner, sequence uint64 }

const (
	postingBytes = 16
	maxPostings  = 64 // of a band
	maxOwn       = 4  // of them one reporter's
	maxOperators = 16 // of them the operators' together, whose owner is 0
)

func readPostings(b []byte) []posting {
	list := make([]posting, 0, len(b)/postingBytes+1)
	for ; len(b) >= postingBytes; b = b[postingBytes:] {
		list = append(list, posting{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])})
	}
	return list
}

// post adds a posting to the list of a band, the oldest first. A reporter who
// has too many loses his own oldest, and when the list is full the reporter who
// has the most loses his: nobody pushes out what others said. Of 64 reporters
// with one each the newest is not taken; an operator's word always is.
func post(list []posting, p posting) []posting {
	own, its := maxOwn, 0
	if p.owner == 0 {
		own = maxOperators
	}
	for _, q := range list {
		if q == p {
			return list
		}
		if q.owner == p.owner {
			its++
		}
	}
	if its < own && len(list) < maxPostings {
		return append(list, p)
	}
	loser := p.owner
	if its < own {
		loser = mostOf(list, p)
	}
	list = append(list, p)
	i := slices.IndexFunc(list, func(q posting) bool { return q.owner == loser })
	return slices.Delete(list, i, i+1)
}

// mostOf is the reporter who has the most of a full list and p.
func mostOf(list []posting, p posting) uint64 {
	count := map[uint64]int{p.owner: 1}
	for _, q := range list {
		count[q.owner]++
	}
	loser, most := p.owner, count[p.owner]
	if p.owner == 0 {
		most = 0 // an operator's word is always taken
	}
	for _, q := range list { // in the order of the list, so that it is always the same one
		if q.owner != 0 && count[q.owner] > most {
			loser, most = q.owner, count[q.owner]
		}
	}
	return loser
}

// A batch is one transaction. It keeps the lists of bands that it changes and
// writes each once, and what the counters of the store become with it.
type batch struct {
	txn    *badger.Txn
	lists  map[[5]byte][]posting
	bytes  int // about what is to be written
	stored int // entries more
	lone   map[uint64]int
	low    map[uint64]uint64
}

// maxBatch is how much a transaction may write before it is closed; Badger
// takes some 1.2 MB with the settings of openStore. One report more than that
// writes 80 lists of 1 KiB at most, and one entry.
const maxBatch = 512 << 10

func newBatch(txn *badger.Txn) *batch {
	return &batch{txn: txn, lists: map[[5]byte][]posting{}, lone: map[uint64]int{}, low: map[uint64]uint64{}}
}

// postings is the list of a band as this batch leaves it.
func (b *batch) postings(key []byte) ([]posting, error) {
	if list, ok := b.lists[[5]byte(key[1:])]; ok {
		return list, nil
	}
	value, err := get(b.txn, key)
	return readPostings(value), err
}

func (b *batch) change(i int, value uint32, edit func([]posting) []posting) error {
	key := bandKey(i, value)
	list, err := b.postings(key)
	if err != nil {
		return err
	}
	before := slices.Clone(list)
	if list = edit(list); slices.Equal(list, before) {
		return nil
	}
	if _, known := b.lists[[5]byte(key[1:])]; !known {
		b.bytes += len(key) + 32 + postingBytes*maxPostings
	}
	b.lists[[5]byte(key[1:])] = list
	return nil
}

// index adds an entry to its bands' lists, where it is not there.
func (b *batch) index(p posting, bands Bands) error {
	for i, v := range bands {
		if err := b.change(i, v, func(list []posting) []posting { return post(list, p) }); err != nil {
			return err
		}
	}
	return nil
}

// unindex takes an entry off its bands' lists.
func (b *batch) unindex(p posting, bands Bands) error {
	for i, v := range bands {
		if err := b.change(i, v, func(list []posting) []posting {
			return slices.DeleteFunc(list, func(q posting) bool { return q == p })
		}); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) set(key, value []byte) error {
	b.bytes += len(key) + len(value) + 32
	return b.txn.Set(key, value)
}

func (b *batch) delete(key []byte) error {
	b.bytes += len(key) + 32
	return b.txn.Delete(key)
}

// flush writes the lists.
func (b *batch) flush() error {
	for k, list := range b.lists {
		key := append([]byte{bandPrefix}, k[:]...)
		if len(list) == 0 {
			if err := b.txn.Delete(key); err != nil {
				return err
			}
			continue
		}
		value := make([]byte, 0, len(list)*postingBytes)
		for _, p := range list {
			value = binary.BigEndian.AppendUint64(value, p.owner)
			value = binary.BigEndian.AppendUint64(value, p.sequence)
		}
		if err := b.txn.Set(key, value); err != nil {
			return err
		}
	}
	return nil
}
