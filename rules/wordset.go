package rules

import "hash/maphash"

// wordSet counts how many words of one text stand in another. Words are told
// apart by a hash of 64 bits.
type wordSet struct {
	slots  []wordSlot // a hash table, its length a power of two
	epoch  uint32
	words  int // different ones
	all    int // words added, repetitions counted
	shared int // those of them that were seen
	seed   maphash.Seed
}

type wordSlot struct {
	hash  uint64
	epoch uint32
	count int32 // how often it was added; 0 once it was seen
}

func (s *wordSet) reset() {
	if s.slots == nil {
		s.slots, s.seed = make([]wordSlot, 1<<10), maphash.MakeSeed()
	}
	if s.epoch++; s.epoch == 0 {
		clear(s.slots)
		s.epoch = 1
	}
	s.words, s.all, s.shared = 0, 0, 0
}

// find returns the slot of a word, or the free one where it would stand.
func (s *wordSet) find(hash uint64) *wordSlot {
	mask := len(s.slots) - 1
	for i := int(hash) & mask; ; i = (i + 1) & mask {
		if at := &s.slots[i]; at.epoch != s.epoch || at.hash == hash {
			return at
		}
	}
}

// add adds a word of the one text.
func (s *wordSet) add(word []byte) {
	s.all++
	hash := maphash.Bytes(s.seed, word)
	at := s.find(hash)
	if at.epoch != s.epoch {
		if s.words++; s.words > len(s.slots)/2 {
			s.grow()
			at = s.find(hash)
		}
		*at = wordSlot{hash: hash, epoch: s.epoch}
	}
	at.count++
}

// see takes note of a word of the other text.
func (s *wordSet) see(word []byte) {
	if at := s.find(maphash.Bytes(s.seed, word)); at.epoch == s.epoch {
		s.shared += int(at.count)
		at.count = 0
	}
}

func (s *wordSet) grow() {
	old := s.slots
	s.slots = make([]wordSlot, 2*len(old))
	for _, o := range old {
		if o.epoch == s.epoch {
			*s.find(o.hash) = o
		}
	}
}
