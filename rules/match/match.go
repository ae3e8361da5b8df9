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
//   - One that consists of literals alone is decided by them, and one of two
//     literals with a simple gap between them nearly so.
//   - Of what remains, the part before the rarest literal is run backward from
//     its places, the part behind it forward, by automata whose states are
//     built when a text first needs them.
//   - RE2 finds the extent of a match that is to be shown, and decides what
//     would take too much otherwise: a literal that stands everywhere, a
//     program that is too large.
//
// Patterns with an alternative that needs no literal are tried on every text,
// on a long one several in one pass. Everything takes time linear in the text,
// and no answer depends on what was read before.
package match

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

// keep is how many occurrences of one literal in one text are remembered.
// Patterns with a more frequent literal are tried on the whole text.
const keep = 40

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
	users    []int32  // needs that each literal meets, as branch << 2 | its number
	usersAt  []int32  // where in users those of each literal begin
	full     []uint8  // of each branch: a bit for each of its needs
	sure     []uint64 // branches that literals decide
	literals []string
	edges    []byte   // which ends of each literal must be those of a word
	always   []uint64 // branches of patterns without literals that are tried one by one
	packs    []*pack  // the others without literals
	yard     yard
	scratch  sync.Pool
}

// pattern is one compiled pattern.
type pattern struct {
	*engine
	first    int      // number of its first branch in the set
	branches []branch // one of them must match; nil: nothing is known
	bounds   *bounds  // of the whole pattern
	whole    *half    // looks for it, if it has no branches
	quiet    bool     // nobody asks for its places
}

// Compile compiles patterns of the syntax that RE2 and Go share; each is known
// by its index. Of those in quiet the places that Scan tells mean nothing,
// which saves time. The error joins an *Error for each pattern that does not
// compile.
func Compile(patterns []string, quiet ...int) (*Set, error) {
	s := &Set{patterns: make([]*pattern, len(patterns))}
	ids := map[string]int32{}
	var users [][2]int32
	var lone, heavy []int
	var errs []error
	faults := s.compile(patterns)
	for i, p := range s.patterns {
		if faults[i] != nil {
			errs = append(errs, &Error{i, faults[i]})
			continue
		}
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
			s.enter(&p.branches[b], int32(p.first+b), ids, &users)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	for _, i := range quiet {
		s.patterns[i].quiet = true
	}
	for ids := range slices.Chunk(lone, packSize) {
		s.packs = append(s.packs, newPack(patterns, ids))
	}
	s.index(users)
	words := (len(s.owners) + 63) / 64
	s.always, s.sure, s.full = make([]uint64, words), make([]uint64, words), make([]uint8, len(s.owners))
	for _, p := range s.patterns {
		for i := range p.branches {
			s.full[p.first+i] = 1<<len(p.branches[i].needs) - 1
			if p.branches[i].sure {
				mark(s.sure, p.first+i)
			}
		}
	}
	for _, i := range heavy {
		mark(s.always, s.patterns[i].first)
	}
	if len(s.literals) > 0 {
		s.finder = newFinder(s.literals, s.edges)
	}
	literals, branches := len(s.literals), len(s.owners)
	s.scratch.New = func() any { return newScratch(literals, branches) }
	return s, nil
}

// enter numbers the literals of a branch.
func (s *Set) enter(b *branch, number int32, ids map[string]int32, users *[][2]int32) {
	var edges byte
	if b.sure {
		edges = b.edges()
	}
	for n := range b.needs {
		need := &b.needs[n]
		for _, lit := range need.literals {
			id, known := ids[lit]
			if !known {
				id = int32(len(s.literals))
				ids[lit] = id
				s.literals = append(s.literals, lit)
				s.edges = append(s.edges, edges)
			}
			s.edges[id] &= edges
			*users = append(*users, [2]int32{id, number<<needBits | int32(n)})
		}
		need.literals = nil
	}
}

// index sorts what literals meet by literal.
func (s *Set) index(users [][2]int32) {
	s.usersAt = make([]int32, len(s.literals)+1)
	s.users = make([]int32, len(users))
	for _, u := range users {
		s.usersAt[u[0]+1]++
	}
	for i := range s.literals {
		s.usersAt[i+1] += s.usersAt[i]
	}
	at := slices.Clone(s.usersAt)
	for _, u := range users {
		s.users[at[u[0]]] = u[1]
		at[u[0]]++
	}
}

// compile compiles each pattern for itself, on all processors, and returns the
// error of each.
func (s *Set) compile(patterns []string) []error {
	faults := make([]error, len(patterns))
	var next atomic.Int32
	var all sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), 1+len(patterns)/16) {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(patterns); i = int(next.Add(1)) - 1 {
				s.patterns[i], faults[i] = compile(patterns[i])
			}
		})
	}
	all.Wait()
	return faults
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
	p := &pattern{engine: e, bounds: all, branches: split(tree, all)}
	if p.branches == nil {
		p.whole = newSearch(flat(tree, nil))
	}
	return p, nil
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
// microsecond a byte. Around the places of its literals automata read
// heavyBytes bytes in all; where that does not decide, and where RE2 must do
// their work, that is tried on so much.
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
		s.meet(sc)
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

// meet lists for each need the literals found that meet it, and marks the
// branches all of whose needs are met.
func (s *Set) meet(sc *scratch) {
	clear(sc.met)
	for i := range sc.found {
		lit := sc.found[i].literal
		for _, need := range s.users[s.usersAt[lit]:s.usersAt[lit+1]] {
			head := sc.head(need)
			if head < 0 {
				branch := need >> needBits
				met := sc.met[branch] | 1<<(need&(1<<needBits-1))
				sc.met[branch] = met
				if met == s.full[branch] {
					mark(sc.due, int(branch))
				}
			}
			sc.heads[need] = int32(len(sc.links))
			sc.links = append(sc.links, link{need, int32(i), head})
		}
	}
}

// confirm tries those branches of a pattern that are due.
func (s *Set) confirm(p *pattern, text string, sc *scratch) (start, end int, ok bool) {
	if p.branches == nil {
		switch v, _ := p.whole.holds(text, 0, &s.yard); {
		case v == no:
			return 0, 0, false
		case v == yes && (p.quiet || p.heavy):
			return 0, 0, true
		}
		return p.engine.find(text[:p.limit(text, 0)])
	}
	last := p.first + len(p.branches)
	// First what the places of literals decide.
	for n := sc.upTo(p.first, last, s.sure); n < last; n = sc.upTo(n+1, last, s.sure) {
		start, end, ok, open := s.decide(&p.branches[n-p.first], n, text, sc)
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
	for n := sc.upTo(p.first, last, nil); n < last; n = sc.upTo(n+1, last, nil) {
		b := &p.branches[n-p.first]
		k, many := s.anchor(b, n, sc)
		if k < 0 {
			continue
		}
		anchor := &b.needs[k]
		places := sc.gather(anchor, number(n, k), text)
		if !many && anchor.proof != nil {
			at, v := s.prove(b, n, k, p.heavy, text, places, &spent, sc)
			if v == no {
				continue
			}
			if v == yes {
				return s.show(p, b, anchor, text, at)
			}
		}
		covered := -1
		for _, at := range places {
			if at.to <= covered {
				continue // in a window that was searched already
			}
			lo, hi, closed := 0, len(text), true
			if !b.anywhere {
				lo, hi, closed = b.bounds.window(text, at.from, at.to, anchor.left, anchor.right)
			}
			if lo >= rest || !s.near(b, n, anchor, at, lo, hi, sc) {
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
				hi = len(text)
			}
			v, _ := b.whole.holds(text[lo:hi], 0, &s.yard)
			if v == yes && (p.quiet || p.heavy) {
				return at.from, at.to, true
			}
			if v == no && many {
				break
			}
			if v == no {
				continue
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

// prove looks for a match of a branch around the places of a literal, all of
// which are known, and returns the place that has one.
func (s *Set) prove(b *branch, n, k int, heavy bool, text string, places []place, spent *int, sc *scratch) (place, verdict) {
	limit := 2*len(text) + 1000
	if heavy {
		limit = min(limit, heavyBytes)
	}
	if p := b.span; p != nil && (k == p.first || k == p.second) {
		other := p.first + p.second - k
		if _, many := sc.count(number(n, other)); !many {
			sc.places, sc.others = sc.others, sc.places
			others := sc.gather(&b.needs[other], number(n, other), text)
			sc.places, sc.others = sc.others, sc.places
			if k == p.first {
				at, v := p.decide(text, places, others, &s.yard, spent, limit)
				return at[0], v
			}
			at, v := p.decide(text, others, places, &s.yard, spent, limit)
			return at[1], v
		}
	}
	for _, at := range places {
		v, cost := b.needs[k].proof.decide(text, at, &s.yard)
		if v != no {
			return at, v
		}
		if *spent += cost; *spent > limit {
			return at, unknown
		}
	}
	return place{}, no
}

// show returns where a pattern matches around a place of which that was
// proved.
func (s *Set) show(p *pattern, b *branch, anchor *need, text string, at place) (start, end int, ok bool) {
	if p.heavy || p.quiet {
		return at.from, at.to, true
	}
	lo, hi := 0, len(text)
	if !b.anywhere {
		lo, hi, _ = b.bounds.window(text, at.from, at.to, anchor.left, anchor.right)
	}
	start, end, ok = p.engine.find(text[lo:hi])
	if !ok || start == end {
		return at.from, at.to, true
	}
	return lo + start, lo + end, true
}

// decide looks for a match of sure branch n. When there is none, open says
// that this is not known for certain.
func (s *Set) decide(b *branch, n int, text string, sc *scratch) (start, end int, ok, open bool) {
	k, open := s.anchor(b, n, sc)
	if k < 0 {
		return 0, 0, false, false
	}
	for _, at := range sc.gather(&b.needs[k], number(n, k), text) {
		if b.meets(text, at.from, at.to) {
			return at.from, at.to, true, false
		}
	}
	return 0, 0, false, open
}

// anchor returns the number of the need of branch n that is met at the fewest
// places, -1 if one is not met. many says that not all of its places are known.
func (s *Set) anchor(b *branch, n int, sc *scratch) (anchor int, many bool) {
	anchor = -1
	least := int32(1 << 30)
	for k := range b.needs {
		count, over := sc.count(number(n, k))
		if !over && count < b.needs[k].least {
			return -1, false
		}
		if over {
			count += 1 << 20
		}
		if count < least {
			anchor, least, many = k, count, over
		}
	}
	return anchor, many
}

// near says whether the other needs of branch n may be met in text[lo:hi],
// those that follow the anchor behind its place, the others before it.
func (s *Set) near(b *branch, n int, anchor *need, at place, lo, hi int, sc *scratch) bool {
	for k := range b.needs {
		switch other := &b.needs[k]; {
		case other.order > anchor.order && !sc.between(number(n, k), at.to, hi), other.order < anchor.order && !sc.between(number(n, k), lo, at.from):
			return false
		}
	}
	return true
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
