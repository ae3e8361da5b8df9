package match

import "math/bits"

// place is where a literal stands in a text.
type place struct {
	from, to int
	literal  int32
}

// spots are the places of one literal in one text.
type spots struct {
	literal int32
	count   int32       // how often it occurs; stops at keep+1
	ends    [keep]int32 // where its first occurrences end
}

// scratch is the memory of one scan.
type scratch struct {
	slots  []int32 // where in found a literal stands, if what stands there is of it
	found  []spots
	due    []uint64 // branches to try
	known  []uint64 // branches known to match
	places []place
}

func newScratch(literals, words int) *scratch {
	return &scratch{slots: make([]int32, literals), due: make([]uint64, words), known: make([]uint64, words)}
}

func (sc *scratch) reset() {
	sc.found = sc.found[:0]
	clear(sc.known)
}

// note records that a literal ends at an offset, and tells whether it needs to
// be told of more.
func (sc *scratch) note(lit int32, end int) bool {
	at := sc.at(lit)
	if at == nil {
		sc.slots[lit] = int32(len(sc.found))
		sc.found = append(sc.found, spots{literal: lit, count: 1, ends: [keep]int32{int32(end)}})
		return true
	}
	if at.count < keep {
		at.ends[at.count] = int32(end)
	} else if at.count > keep {
		return false
	}
	at.count++
	return true
}

// at returns the places of a literal, nil if it was not found.
func (sc *scratch) at(lit int32) *spots {
	if i := int(sc.slots[lit]); i < len(sc.found) && sc.found[i].literal == lit {
		return &sc.found[i]
	}
	return nil
}

// next returns the first branch from n on that is due or known, -1 if none is.
func (sc *scratch) next(n int) int {
	for w := n >> 6; w < len(sc.due); w++ {
		set := sc.due[w] | sc.known[w]
		if w == n>>6 {
			set &= ^uint64(0) << (n & 63)
		}
		if set != 0 {
			return w<<6 + bits.TrailingZeros64(set)
		}
	}
	return -1
}

func mark(set []uint64, n int) { set[n>>6] |= 1 << (n & 63) }

func has(set []uint64, n int) bool { return set[n>>6]&(1<<(n&63)) != 0 }
