package match

import "math/bits"

// starts is a hash table of what begins with some number of bytes, in lower
// case.
type starts struct {
	list  []start
	shift uint
}

type start struct {
	// key are the bytes, the first one lowest. Where only one pair of bytes
	// follows the first six, and no literal ends before it, it has them too.
	key     uint64
	node    int32 // of the trie; childless without edges, vacant if this is none
	literal int32 // that ends there, -1 none
}

// deepest is how many bytes are hashed.
const deepest = 6

func (x *start) wide() bool { return x.key>>(8*deepest) != 0 }

const vacant = childless - 1

func newStarts(list []start) starts {
	size := bits.Len(uint(2*len(list) + 1))
	s := starts{make([]start, 1<<size), uint(64 - size)}
	for i := range s.list {
		s.list[i].node = vacant
	}
	for _, x := range list {
		i := s.slot(x.key)
		for s.list[i].node != vacant {
			i = (i + 1) & (len(s.list) - 1)
		}
		s.list[i] = x
	}
	return s
}

func (s *starts) slot(key uint64) int {
	return int(key << (64 - 8*deepest) * hashing >> (s.shift & 63))
}

// get returns the entry that eight bytes of a text begin with, or fewer if the
// others are 0; nil if there is none.
func (s *starts) get(key uint64) *start {
	for i := s.slot(key); ; i = (i + 1) & (len(s.list) - 1) {
		x := &s.list[i]
		if x.node == vacant {
			return nil
		}
		if d := x.key ^ key; d<<(64-8*deepest) == 0 {
			if d != 0 && x.wide() {
				return nil
			}
			return x
		}
	}
}

const hashing = 0x9E3779B97F4A7C15

// widen makes an entry of six bytes one of eight if that loses nothing.
func (x *start) widen(b *builder, bytes *[256]byte) {
	var tail uint64
	node := x.node
	for n := range 2 {
		e := b.first[node]
		if b.ends[node] >= 0 || e < 0 || b.edges[e].next >= 0 {
			return
		}
		tail |= uint64(bytes[b.edges[e].column]) << (8 * (deepest + n))
		node = b.edges[e].to
	}
	if tail != 0 {
		*x = start{x.key | tail, node, b.ends[node]}
	}
}
