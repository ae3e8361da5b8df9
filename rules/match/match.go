// Package match turns many patterns into one immutable Set that finds, in one
// pass over a text, which of them occur. It knows nothing of mail.
//
// From each pattern a set of literals is derived of which one must occur
// wherever the pattern matches. One automaton finds the literals of all
// patterns in a single pass. A pattern none of whose literals occurs is never
// tried. One that consists of its literals alone is decided by them. What
// remains is tried by RE2, which takes time linear in the text, and only on the
// stretches around the literals that a match can reach.
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
	users    [][]int32 // patterns that need a literal
	length   []int32   // bytes of a literal
	// exotic is the first of two literals that no pattern has: the two
	// characters beyond ASCII that fold to ASCII letters. A text with one of
	// them is searched again in folded form.
	exotic  int32
	always  []uint64 // patterns without literals
	scratch sync.Pool
}

// pattern is one compiled pattern.
type pattern struct {
	engine
	literals []int32 // one of them must occur; nil: always tried
	// sure: an occurrence of a literal is a match, if it stands at word
	// boundaries where before and after ask for that.
	sure, before, after bool
	bounds              *bounds
	anywhere            bool // bounds do not bound
}

// Compile compiles patterns of the syntax that RE2 and Go share; each is known
// by its index. The error joins an *Error for each pattern that does not
// compile.
func Compile(patterns []string) (*Set, error) {
	s := &Set{patterns: make([]pattern, len(patterns)), always: make([]uint64, (len(patterns)+63)/64)}
	ids := map[string]int32{}
	var literals []string
	var errs []error
	for i, expr := range patterns {
		p, need, err := compile(expr)
		if err != nil {
			errs = append(errs, &Error{i, err})
			continue
		}
		for _, lit := range need {
			id, known := ids[lit]
			if !known {
				id = int32(len(literals))
				ids[lit] = id
				literals = append(literals, lit)
				s.users = append(s.users, nil)
				s.length = append(s.length, int32(len(lit)))
			}
			s.users[id] = append(s.users[id], int32(i))
			p.literals = append(p.literals, id)
		}
		if p.literals == nil {
			s.always[i>>6] |= 1 << (i & 63)
		}
		s.patterns[i] = p
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	s.exotic = int32(len(literals))
	if len(literals) > 0 {
		literals = append(literals, "\u212a", "\u017f")
		s.dfa = newDFA(literals)
	}
	s.scratch.New = func() any { return newScratch(len(literals), len(s.always)) }
	return s, nil
}

// compile compiles one pattern and derives its literals.
func compile(expr string) (pattern, []string, error) {
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return pattern{}, nil, err
	}
	reach := measure(tree)
	e, err := newEngine(expr, reach.heavy)
	if err != nil {
		return pattern{}, nil, err
	}
	p := pattern{engine: e, bounds: reach}
	p.anywhere = reach.reach == unlimited && !slices.Contains(reach.takes[:], false)
	middle, before, after := boundaries(tree)
	need := required(middle)
	switch {
	case need.exact != nil && usable(need.exact):
		p.sure, p.before, p.after = need.closed, before, after
		need.best = need.exact
	case need.exact != nil || !usable(need.best):
		return p, nil, nil
	}
	return p, need.best, nil
}

// boundaries takes \b off both ends of a pattern.
func boundaries(re *syntax.Regexp) (middle *syntax.Regexp, before, after bool) {
	for re.Op == syntax.OpCapture {
		re = re.Sub[0]
	}
	if re.Op != syntax.OpConcat {
		return re, false, false
	}
	sub := re.Sub
	if len(sub) > 1 && sub[0].Op == syntax.OpWordBoundary {
		sub, before = sub[1:], true
	}
	if len(sub) > 1 && sub[len(sub)-1].Op == syntax.OpWordBoundary {
		sub, after = sub[:len(sub)-1], true
	}
	if len(sub) == 1 {
		return sub[0], before, after
	}
	return &syntax.Regexp{Op: syntax.OpConcat, Flags: re.Flags, Sub: sub}, before, after
}

// Literalless lists the patterns that have no literal of three bytes that must
// occur, and so are tried on every text.
func (s *Set) Literalless() []int {
	var ids []int
	for i := range s.patterns {
		if s.patterns[i].literals == nil {
			ids = append(ids, i)
		}
	}
	return ids
}

// Len is the number of patterns.
func (s *Set) Len() int { return len(s.patterns) }

// Scan calls emit once for each pattern that occurs in text, in the order of
// ids, with a place that shows it: one of its occurrences, or for a heavy
// pattern that of its literal. An empty place means that it is not known.
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
	exotic := false
	if s.dfa != nil {
		s.dfa.scan(text, sc)
		if sc.has(s.exotic) || sc.has(s.exotic+1) {
			exotic = true
			sc.reset()
			s.dfa.scanExotic(text, sc)
		}
		for _, lit := range sc.touched {
			if lit < s.exotic {
				for _, id := range s.users[lit] {
					sc.due[id>>6] |= 1 << (id & 63)
				}
			}
		}
	}
	for w, due := range sc.due {
		for ; due != 0; due &= due - 1 {
			id := w<<6 + bits.TrailingZeros64(due)
			if start, end, ok := s.confirm(&s.patterns[id], text, exotic, sc); ok {
				emit(id, start, end)
			}
		}
	}
}

// confirm tries a pattern whose literals were found.
func (s *Set) confirm(p *pattern, text string, exotic bool, sc *scratch) (start, end int, ok bool) {
	if p.literals == nil {
		return p.engine.find(text[:p.limit(text, 0)])
	}
	sc.places = sc.places[:0]
	sure, many := p.sure && !exotic, false
	for _, lit := range p.literals {
		if !sc.has(lit) {
			continue
		}
		n := sc.count[lit]
		many = many || n > keep
		for _, at := range sc.ends[int(lit)*keep:][:min(n, keep)] {
			from, to := max(0, int(at-s.length[lit])), int(at)
			if sure && (!p.before || boundary(text, from)) && (!p.after || boundary(text, to)) {
				return from, to, true
			}
			sc.places = append(sc.places, place{from, to})
		}
	}
	switch {
	case sure && !many:
		return 0, 0, false
	case len(sc.places) > 1:
		slices.SortFunc(sc.places, func(a, b place) int { return a.from - b.from })
	}
	if many || p.anywhere {
		return p.rest(text, sc.places[0])
	}
	return p.around(text, sc.places)
}

// around tries a pattern on the windows around the places of its literals.
func (p *pattern) around(text string, places []place) (start, end int, ok bool) {
	spent, covered := 0, -1
	for _, at := range places {
		if at.to <= covered {
			continue // in a window that was searched already
		}
		lo, hi, closed := p.bounds.window(text, at.from, at.to)
		spent += hi - lo
		if spent > len(text) || p.heavy && spent > heavyBytes {
			return p.rest(text, at)
		}
		if start, end, ok = p.engine.find(text[lo:hi]); ok {
			if start == end {
				return at.from, at.to, true
			}
			return lo + start, lo + end, true
		}
		if closed {
			covered = hi
		}
	}
	return 0, 0, false
}

// rest tries a pattern on all of a text that can hold a match, the first of
// its literals being at a place.
func (p *pattern) rest(text string, at place) (start, end int, ok bool) {
	lo := 0
	if !p.anywhere {
		lo, _, _ = p.bounds.window(text, at.from, at.to)
	}
	start, end, ok = p.engine.find(text[lo:p.limit(text, lo)])
	return lo + start, lo + end, ok
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

type place struct{ from, to int }

// scratch is the memory of one scan.
type scratch struct {
	epoch   uint32
	seen    []uint32 // epoch in which a literal was last found
	count   []int32  // how often, in that epoch; stops at keep+1
	ends    []int32  // where its first occurrences end, keep for each
	touched []int32  // literals found
	due     []uint64 // patterns to try
	places  []place
}

func newScratch(literals, words int) *scratch {
	return &scratch{
		seen: make([]uint32, literals), count: make([]int32, literals), ends: make([]int32, literals*keep),
		due: make([]uint64, words),
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

func (sc *scratch) has(lit int32) bool { return sc.seen[lit] == sc.epoch }
