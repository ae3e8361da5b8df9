package match

import (
	"cmp"
	"math/bits"
	"slices"
)

// place is where a literal stands in a text.
type place struct {
	from, to int
}

// spots are the places of one literal in one text.
type spots struct {
	literal     int32
	count       int32 // how often it occurs; stops at keep+1
	first, last int32 // of its places in the log
}

// entry is a place in the log of a scan.
type entry struct {
	from, to int32
	next     int32 // the next place of the same literal, if it has more
}

// block is how many bytes of a text the finder sifts at a time, a power of two.
const block = 256

// link is a literal that meets a need.
type link struct {
	need, found int32
	next        int32 // link of the same need, -1 none
}

// needBits are the low bits of the number of a need, which tell the needs of a
// branch apart.
const needBits = 2

// number is that of need k of branch n.
func number(n, k int) int32 { return int32(n<<needBits | k) }

// scratch is the memory of one scan.
type scratch struct {
	slots  []int32 // where in found a literal stands, if what stands there is of it
	found  []spots
	log    []entry
	heads  []int32 // where in links those of a need begin, if what stands there is of it
	links  []link
	met    []uint8  // needs of each branch that are met
	due    []uint64 // branches to try
	known  []uint64 // branches known to match
	places []place
	others []place
	passed [block]int32 // of the finder
}

func newScratch(literals, branches int) *scratch {
	words := (branches + 63) / 64
	return &scratch{
		slots: make([]int32, literals), heads: make([]int32, branches<<needBits), met: make([]uint8, branches),
		due: make([]uint64, words), known: make([]uint64, words),
	}
}

func (sc *scratch) reset() {
	sc.found = sc.found[:0]
	sc.log = sc.log[:0]
	sc.links = sc.links[:0]
	clear(sc.known)
}

// head returns the first link of a need, -1 if it has none.
func (sc *scratch) head(need int32) int32 {
	if i := int(sc.heads[need]); i < len(sc.links) && sc.links[i].need == need {
		return int32(i)
	}
	return -1
}

// count returns how often a need is met; many says that it may be more often.
func (sc *scratch) count(need int32) (n int32, many bool) {
	for i := sc.head(need); i >= 0; i = sc.links[i].next {
		at := sc.found[sc.links[i].found].count
		n += at
		many = many || at > keep
	}
	return n, many
}

// gather returns the known places of a need in their order.
func (sc *scratch) gather(n *need, number int32, text string) []place {
	sc.places = sc.places[:0]
	several := false
	for i := sc.head(number); i >= 0; i = sc.links[i].next {
		spots := &sc.found[sc.links[i].found]
		several = several || len(sc.places) > 0
		for i, k := spots.first, min(spots.count, keep); k > 0; i, k = sc.log[i].next, k-1 {
			at := place{int(sc.log[i].from), int(sc.log[i].to)}
			if n.strict == nil || slices.Contains(n.strict, text[at.from:at.to]) {
				sc.places = append(sc.places, at)
			}
		}
	}
	if several {
		slices.SortFunc(sc.places, func(a, b place) int { return cmp.Or(a.from-b.from, a.to-b.to) })
	}
	return sc.places
}

// between says whether a literal of a need may end behind lo and not behind
// hi.
func (sc *scratch) between(need int32, lo, hi int) bool {
	for i := sc.head(need); i >= 0; i = sc.links[i].next {
		spots := &sc.found[sc.links[i].found]
		if spots.count > keep {
			return true
		}
		for i, k := spots.first, spots.count; k > 0; i, k = sc.log[i].next, k-1 {
			if at := int(sc.log[i].to); at > lo && at <= hi {
				return true
			}
		}
	}
	return false
}

// note records where a literal stands, and tells whether it needs to be told
// of more.
func (sc *scratch) note(lit int32, from, to int) bool {
	n := int32(len(sc.log))
	at := sc.at(lit)
	if at == nil {
		sc.slots[lit] = int32(len(sc.found))
		sc.found = append(sc.found, spots{literal: lit, count: 1, first: n, last: n})
	} else if at.count >= keep {
		at.count = keep + 1
		return false
	} else {
		sc.log[at.last].next = n
		at.last = n
		at.count++
	}
	sc.log = append(sc.log, entry{from: int32(from), to: int32(to)})
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

// upTo returns the first branch from n on and before last that is due, and of
// a set unless that is nil; last if there is none.
func (sc *scratch) upTo(n, last int, of []uint64) int {
	for w := n >> 6; w<<6 < last; w++ {
		set := sc.due[w]
		if of != nil {
			set &= of[w]
		}
		if w == n>>6 {
			set &= ^uint64(0) << (n & 63)
		}
		if set != 0 {
			return min(last, w<<6+bits.TrailingZeros64(set))
		}
	}
	return last
}

func mark(set []uint64, n int) { set[n>>6] |= 1 << (n & 63) }

func has(set []uint64, n int) bool { return set[n>>6]&(1<<(n&63)) != 0 }
