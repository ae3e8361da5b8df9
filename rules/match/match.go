// Package match turns many patterns into one immutable Set that finds, in one
// pass over a text, which of them occur. It knows nothing of mail.
//
// A pattern is split into its alternatives, and from each are derived sets of
// literals of which one must occur wherever it matches: for "(?:send|pay) .*
// now" one of "send " and "pay ", and " now". One automaton finds the literals
// of all patterns in a single pass. Then, for each pattern with a literal that
// was found:
//
//   - An alternative that lacks one of its literals is left.
//   - One that consists of literals alone is decided by them.
//   - What remains is tried by RE2, which takes time linear in the text, and
//     only on the stretches that a match around the rarest literal can reach
//     and in which the other literals are.
//
// Patterns with an alternative that needs no literal are tried on every text,
// several in one pass.
package match

import (
	"errors"
	"fmt"
	"math/bits"
	"regexp/syntax"
	"slices"
	"sync"
	"unicode/utf8"
)

// keep is how many occurrences of one literal in one text are remembered.
// Patterns with a more frequent literal are tried on the whole text.
const keep = 8

// An Error is a pattern that does not compile.
type Error struct {
	ID  int // index of the pattern
	Err error
}

func (e *Error) Error() string { return fmt.Sprintf("pattern %d: %v", e.ID, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// A Set is many compiled patterns. It is immutable and safe for any number of
// goroutines.
type Set struct {
	patterns []pattern
	dfa      *dfa
	users    [][]int32 // patterns to try when a literal is found
	literals []string
	always   []uint64 // patterns without literals that are tried one by one
	packs    []pack   // the others without literals
	scratch  sync.Pool
}

// pattern is one compiled pattern.
type pattern struct {
	engine
	branches []branch // one of them must match; nil: nothing is known
	bounds   *bounds  // of the whole pattern
}

// Compile compiles patterns of the syntax that RE2 and Go share; each is known
// by its index. The error joins an *Error for each pattern that does not
// compile.
func Compile(patterns []string) (*Set, error) {
	s := &Set{patterns: make([]pattern, len(patterns)), always: make([]uint64, (len(patterns)+63)/64)}
	ids := map[string]int32{}
	var literals []string
	var lone []int
	var errs []error
	for i, expr := range patterns {
		p, err := compile(expr)
		if err != nil {
			errs = append(errs, &Error{i, err})
			continue
		}
		switch {
		case p.branches == nil && p.heavy:
			s.always[i>>6] |= 1 << (i & 63)
		case p.branches == nil:
			lone = append(lone, i)
		}
		for b := range p.branches {
			for n := range p.branches[b].needs {
				need := &p.branches[b].needs[n]
				for _, lit := range need.literals {
					id, known := ids[lit]
					if !known {
						id = int32(len(literals))
						ids[lit] = id
						literals = append(literals, lit)
						s.users = append(s.users, nil)
					}
					need.ids = append(need.ids, id)
					if n == 0 && !slices.Contains(s.users[id], int32(i)) {
						s.users[id] = append(s.users[id], int32(i))
					}
				}
			}
		}
		s.patterns[i] = p
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	for ids := range slices.Chunk(lone, packSize) {
		k, err := newPack(patterns, ids)
		if err != nil {
			return nil, fmt.Errorf("compiling patterns without literals: %w", err)
		}
		s.packs = append(s.packs, k)
	}
	s.literals = literals
	if len(literals) > 0 {
		s.dfa = newDFA(literals)
	}
	s.scratch.New = func() any { return newScratch(len(literals), len(s.always)) }
	return s, nil
}

// compile compiles one pattern and derives its literals.
func compile(expr string) (pattern, error) {
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return pattern{}, err
	}
	all := measure(tree)
	e, err := newEngine(expr, all.heavy)
	if err != nil {
		return pattern{}, err
	}
	return pattern{engine: e, bounds: all, branches: split(tree, all)}, nil
}

// Literalless lists the patterns with an alternative in which no literal must
// occur that sorts texts out: one of three bytes, of two if one is a digit or
// sign, or a sign that few texts have. They are tried on every text.
func (s *Set) Literalless() []int {
	var ids []int
	for i := range s.patterns {
		if s.patterns[i].branches == nil {
			ids = append(ids, i)
		}
	}
	return ids
}

// Len is the number of patterns.
func (s *Set) Len() int { return len(s.patterns) }

// Scan calls emit once for each pattern that occurs in text, in the order of
// ids, with a place that shows it: one of its occurrences, or for a heavy
// pattern that of its literal. An empty place means that it is not known, as
// for most patterns without literal.
//
// Its time is linear in the text. A pattern is heavy when it has a repetition
// counted higher than 8, as in .{0,40}; hostile texts make it cost a
// microsecond a byte, so that it is tried on heavyBytes bytes in all, around the
// first places of its literals.
func (s *Set) Scan(text string, emit func(id, start, end int)) {
	sc := s.scratch.Get().(*scratch)
	defer s.scratch.Put(sc)
	sc.reset()
	copy(sc.due, s.always)
	clear(sc.known)
	for i := range s.packs {
		s.packs[i].find(text, sc)
	}
	if s.dfa != nil {
		s.dfa.scan(text, sc)
		for _, lit := range sc.touched {
			for _, id := range s.users[lit] {
				sc.mark(int(id))
			}
		}
	}
	for w := range sc.due {
		for due := sc.due[w] | sc.known[w]; due != 0; due &= due - 1 {
			id := w<<6 + bits.TrailingZeros64(due)
			if sc.known[w]&(due&-due) != 0 {
				emit(id, 0, 0)
			} else if start, end, ok := s.confirm(&s.patterns[id], text, sc); ok {
				emit(id, start, end)
			}
		}
	}
}

// confirm tries a pattern one of whose literals was found.
func (s *Set) confirm(p *pattern, text string, sc *scratch) (start, end int, ok bool) {
	if p.branches == nil {
		return p.engine.find(text[:p.limit(text, 0)])
	}
	// spent is how much was tried on windows, rest where a search of all
	// that follows began.
	spent, rest := 0, len(text)
	for i := range p.branches {
		b := &p.branches[i]
		anchor, many := s.anchor(b, sc)
		if anchor == nil {
			continue
		}
		s.gather(anchor, sc)
		if b.sure {
			odd := many
			for _, at := range sc.places {
				if !same(text[at.from:at.to], s.literals[at.literal]) {
					odd = true // spelled with more or fewer bytes, so it begins elsewhere
				} else if b.meets(text, at.from, at.to) {
					return at.from, at.to, true
				}
			}
			if !odd {
				continue
			}
		}
		covered := -1
		for _, at := range sc.places {
			if at.to <= covered {
				continue // in a window that was searched already
			}
			lo, hi, closed := 0, len(text), true
			if !b.anywhere {
				lo, hi, closed = b.bounds.window(text, at.from, at.to, anchor.left, anchor.right)
			}
			if closed {
				covered = hi
			}
			if lo >= rest || !s.near(b, anchor, lo, hi, sc) {
				continue
			}
			if spent += hi - lo; spent > len(text) || p.heavy && spent > heavyBytes {
				many = true
			}
			if many {
				rest = lo
				hi = p.limit(text, lo)
			}
			if start, end, ok = p.engine.find(text[lo:hi]); ok {
				if start == end {
					return at.from, at.to, true
				}
				return lo + start, lo + end, true
			}
			if many {
				break
			}
		}
	}
	return 0, 0, false
}

// anchor returns the need of a branch that is met at the fewest places, nil if
// one is not met at all. many says that not all of its places are known.
func (s *Set) anchor(b *branch, sc *scratch) (anchor *need, many bool) {
	least := int32(1 << 30)
	for i := range b.needs {
		n, over := int32(0), false
		for _, id := range b.needs[i].ids {
			if sc.has(id) {
				n += sc.count[id]
				over = over || sc.count[id] > keep
			}
		}
		if n == 0 {
			return nil, false
		}
		if over {
			n += 1 << 20
		}
		if n < least {
			anchor, least, many = &b.needs[i], n, over
		}
	}
	return anchor, many
}

// gather fills sc.places with the known places of a need, in their order.
func (s *Set) gather(n *need, sc *scratch) {
	sc.places = sc.places[:0]
	for _, id := range n.ids {
		if !sc.has(id) {
			continue
		}
		for _, at := range sc.ends[int(id)*keep:][:min(sc.count[id], keep)] {
			sc.places = append(sc.places, place{max(0, int(at)-len(s.literals[id])), int(at), id})
		}
	}
	if len(sc.places) > 1 {
		slices.SortFunc(sc.places, func(a, b place) int { return a.from - b.from })
	}
}

// near says whether the other needs of a branch may be met in text[lo:hi].
func (s *Set) near(b *branch, anchor *need, lo, hi int, sc *scratch) bool {
	for i := range b.needs {
		n := &b.needs[i]
		if n != anchor && !s.met(n, lo, hi, sc) {
			return false
		}
	}
	return true
}

func (s *Set) met(n *need, lo, hi int, sc *scratch) bool {
	for _, id := range n.ids {
		if !sc.has(id) {
			continue
		}
		if sc.count[id] > keep {
			return true
		}
		for _, at := range sc.ends[int(id)*keep:][:sc.count[id]] {
			if int(at) > lo && int(at) <= hi {
				return true
			}
		}
	}
	return false
}

// limit returns where the search of a text that begins at lo ends.
func (p *pattern) limit(text string, lo int) int {
	if !p.heavy || p.bounds.end || len(text)-lo <= heavyBytes {
		return len(text)
	}
	hi := lo + heavyBytes
	for hi < len(text) && (!utf8.RuneStart(text[hi]) || p.bounds.words && word(text[hi]) || p.bounds.lines && text[hi] != '\n') {
		hi++
	}
	return hi
}

// boundary says whether \b holds at an offset: ASCII word characters only.
func boundary(text string, at int) bool {
	left := at > 0 && word(text[at-1])
	right := at < len(text) && word(text[at])
	return left != right
}

func word(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

type place struct {
	from, to int
	literal  int32
}

// scratch is the memory of one scan.
type scratch struct {
	epoch   uint32
	seen    []uint32 // epoch in which a literal was last found
	count   []int32  // how often, in that epoch; stops at keep+1
	ends    []int32  // where its first occurrences end, keep for each
	touched []int32  // literals found
	due     []uint64 // patterns to try
	known   []uint64 // patterns known to occur
	places  []place
}

func newScratch(literals, words int) *scratch {
	return &scratch{
		seen: make([]uint32, literals), count: make([]int32, literals), ends: make([]int32, literals*keep),
		due: make([]uint64, words), known: make([]uint64, words),
	}
}

func (sc *scratch) reset() {
	sc.touched = sc.touched[:0]
	if sc.epoch++; sc.epoch == 0 {
		clear(sc.seen)
		sc.epoch = 1
	}
}

// note records that a literal ends at an offset.
func (sc *scratch) note(lit int32, end int) {
	if sc.seen[lit] != sc.epoch {
		sc.seen[lit] = sc.epoch
		sc.count[lit] = 0
		sc.touched = append(sc.touched, lit)
	}
	n := sc.count[lit]
	if n > keep {
		return
	}
	if n < keep {
		sc.ends[int(lit)*keep+int(n)] = int32(end)
	}
	sc.count[lit] = n + 1
}

// mark says that a pattern is to be tried.
func (sc *scratch) mark(id int) { sc.due[id>>6] |= 1 << (id & 63) }

func (sc *scratch) has(lit int32) bool { return sc.seen[lit] == sc.epoch }
