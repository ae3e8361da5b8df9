// Package match turns many patterns into one immutable Set that finds, in one
// pass over a text, which of them occur. It knows nothing of mail.
//
// A pattern is split into its alternatives, and from each are derived sets of
// literals of which one must occur wherever it matches: for "(?:send|pay) .*
// now" one of "send " and "pay ", and " now". The literals of all patterns are
// found in a single pass. Then, for each alternative with a literal that was
// found:
//
//   - One that lacks another of its literals is left.
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
	patterns []*pattern
	owners   []int32 // pattern of each branch; one without branches counts as one
	finder   *finder
	users    [][]int32 // branches to try when a literal is found
	literals []string
	edges    []byte   // which ends of each literal must be those of a word
	always   []uint64 // branches of patterns without literals that are tried one by one
	packs    []*pack  // the others without literals
	scratch  sync.Pool
}

// pattern is one compiled pattern.
type pattern struct {
	*engine
	first    int      // number of its first branch in the set
	branches []branch // one of them must match; nil: nothing is known
	bounds   *bounds  // of the whole pattern
}

// Compile compiles patterns of the syntax that RE2 and Go share; each is known
// by its index. The error joins an *Error for each pattern that does not
// compile.
func Compile(patterns []string) (*Set, error) {
	s := &Set{patterns: make([]*pattern, len(patterns))}
	ids := map[string]int32{}
	var lone, heavy []int
	var errs []error
	for i, expr := range patterns {
		p, err := compile(expr)
		if err != nil {
			errs = append(errs, &Error{i, err})
			continue
		}
		s.patterns[i] = p
		p.first = len(s.owners)
		for range max(1, len(p.branches)) {
			s.owners = append(s.owners, int32(i))
		}
		switch {
		case p.branches == nil && p.heavy:
			heavy = append(heavy, i)
		case p.branches == nil:
			lone = append(lone, i)
		}
		for b := range p.branches {
			s.enter(&p.branches[b], int32(p.first+b), ids)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	for ids := range slices.Chunk(lone, packSize) {
		s.packs = append(s.packs, newPack(patterns, ids))
	}
	words := (len(s.owners) + 63) / 64
	s.always = make([]uint64, words)
	for _, i := range heavy {
		mark(s.always, s.patterns[i].first)
	}
	if len(s.literals) > 0 {
		s.finder = newFinder(s.literals, s.edges)
	}
	literals := len(s.literals)
	s.scratch.New = func() any { return newScratch(literals, words) }
	return s, nil
}

// enter numbers the literals of a branch; those of its rarest need call for it.
func (s *Set) enter(b *branch, number int32, ids map[string]int32) {
	var edges byte
	if b.sure {
		edges = b.edges()
	}
	for n := range b.needs {
		need := &b.needs[n]
		need.ids = make([]int32, 0, len(need.literals))
		for _, lit := range need.literals {
			id, known := ids[lit]
			if !known {
				id = int32(len(s.literals))
				ids[lit] = id
				s.literals = append(s.literals, lit)
				s.edges = append(s.edges, edges)
				s.users = append(s.users, nil)
			}
			s.edges[id] &= edges
			need.ids = append(need.ids, id)
			if n == 0 {
				s.users[id] = append(s.users[id], number)
			}
		}
	}
}

// compile checks one pattern and derives its literals.
func compile(expr string) (*pattern, error) {
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, err
	}
	all := measure(tree)
	e, err := newEngine(expr, tree, all.heavy)
	if err != nil {
		return nil, err
	}
	return &pattern{engine: e, bounds: all, branches: split(tree, all)}, nil
}

// Literalless lists the patterns with an alternative in which no literal must
// occur that sorts texts out: one of three bytes, of two if one is a digit or
// sign or if it is the whole alternative and a word, or a sign that few texts
// have. They are tried on every text.
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
	for _, k := range s.packs {
		k.find(s, text, sc)
	}
	if s.finder != nil {
		s.finder.scan(text, sc)
		for i := range sc.found {
			for _, branch := range s.users[sc.found[i].literal] {
				mark(sc.due, int(branch))
			}
		}
	}
	for n := sc.next(0); n >= 0; {
		id := int(s.owners[n])
		p := s.patterns[id]
		if has(sc.known, n) {
			emit(id, 0, 0)
		} else if start, end, ok := s.confirm(p, text, sc); ok {
			emit(id, start, end)
		}
		n = sc.next(p.first + max(1, len(p.branches)))
	}
}

// confirm tries those branches of a pattern that are due.
func (s *Set) confirm(p *pattern, text string, sc *scratch) (start, end int, ok bool) {
	if p.branches == nil {
		return p.engine.find(text[:p.limit(text, 0)])
	}
	// First what the places of literals decide.
	for i := range p.branches {
		n, b := p.first+i, &p.branches[i]
		if !b.sure || !has(sc.due, n) {
			continue
		}
		start, end, ok, open := s.decide(b, text, sc)
		if ok {
			return start, end, true
		}
		if !open {
			sc.due[n>>6] &^= 1 << (n & 63)
		}
	}
	// spent is how much was tried on windows, rest where a search of all
	// that follows began.
	spent, rest := 0, len(text)
	for i := range p.branches {
		if !has(sc.due, p.first+i) {
			continue
		}
		b := &p.branches[i]
		anchor, many := s.anchor(b, sc)
		if anchor == nil {
			continue
		}
		s.gather(anchor, sc)
		covered := -1
		for _, at := range sc.places {
			if at.to <= covered {
				continue // in a window that was searched already
			}
			lo, hi, closed := 0, len(text), true
			if !b.anywhere {
				lo, hi, closed = b.bounds.window(text, at.from, at.to, anchor.left, anchor.right)
			}
			if lo >= rest || !s.near(b, anchor, at, lo, hi, sc) {
				continue
			}
			if closed {
				covered = hi
			}
			if !many && !b.class.in(text[lo:hi]) {
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

// decide looks for a match of a sure branch. When there is none, open says
// that this is not known for certain.
func (s *Set) decide(b *branch, text string, sc *scratch) (start, end int, ok, open bool) {
	anchor, open := s.anchor(b, sc)
	if anchor == nil {
		return 0, 0, false, false
	}
	s.gather(anchor, sc)
	for _, at := range sc.places {
		if !same(text[at.from:at.to], s.literals[at.literal]) {
			open = true // spelled with more or fewer bytes, so it begins elsewhere
		} else if b.meets(text, at.from, at.to) {
			return at.from, at.to, true, false
		}
	}
	return 0, 0, false, open
}

// anchor returns the need of a branch that is met at the fewest places, nil if
// one is not met at all. many says that not all of its places are known.
func (s *Set) anchor(b *branch, sc *scratch) (anchor *need, many bool) {
	least := int32(1 << 30)
	for i := range b.needs {
		n, over := int32(0), false
		for _, id := range b.needs[i].ids {
			if at := sc.at(id); at != nil {
				n += at.count
				over = over || at.count > keep
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
		spots := sc.at(id)
		if spots == nil {
			continue
		}
		for _, at := range spots.ends[:min(spots.count, keep)] {
			sc.places = append(sc.places, place{max(0, int(at)-len(s.literals[id])), int(at), id})
		}
	}
	if len(sc.places) > 1 {
		slices.SortFunc(sc.places, func(a, b place) int { return a.from - b.from })
	}
}

// near says whether the other needs of a branch may be met in text[lo:hi],
// those that follow the anchor behind its place, the others before it.
func (s *Set) near(b *branch, anchor *need, at place, lo, hi int, sc *scratch) bool {
	for i := range b.needs {
		n := &b.needs[i]
		switch {
		case n.order > anchor.order && !s.met(n, at.to, hi, sc), n.order < anchor.order && !s.met(n, lo, at.from, sc):
			return false
		}
	}
	return true
}

// met says whether a literal of a need may end behind lo and not behind hi.
func (s *Set) met(n *need, lo, hi int, sc *scratch) bool {
	for _, id := range n.ids {
		spots := sc.at(id)
		if spots == nil {
			continue
		}
		if spots.count > keep {
			return true
		}
		for _, at := range spots.ends[:spots.count] {
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
