package spamassassin

import (
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"spamcatcher/rules/match"
)

// single is one pattern made ready to be tried on one text at a time. It is
// immutable and safe for any number of goroutines.
type single struct {
	re       *regex
	exact    bool           // test alone decides
	counts   bool           // extent alone tells the extent of matches too
	test     *match.Pattern // whether there may be a match
	extent   *match.Pattern // where matches are, in whole texts
	start    *match.Pattern // where one may begin, in the rest of a text
	program  func() *program
	one      *byteSet // the whole pattern is one byte of this set
	first    *byteSet // what a match begins with, where that is few bytes
	lineSafe bool     // matches never reach over a line end
	vague    bool     // where the machine says it matches is only a hint
}

func newSingle(re *regex) *single {
	plain, counting := translate(re, alone, false), translate(re, alone, true)
	s := &single{re: re, exact: plain.exact, counts: counting.exact, test: match.NewPattern(plain.expr), extent: match.NewPattern(counting.expr),
		start: match.NewPattern(starts(re)), program: sync.OnceValue(func() *program { return newProgram(re) }), lineSafe: lineSafe(re.root), vague: vague(re.root)}
	if re.root.op == opSet {
		s.one = &re.root.set
	}
	if set, any := opening(re.root); !any && set.size() <= 4 {
		s.first = &set
	}
	return s
}

// opening is like firstBytes, and looks through assertions: they take nothing
// of the text.
func opening(n *node) (set byteSet, any bool) {
	switch n.op {
	case opCat:
		for _, sub := range n.subs {
			s, a := opening(sub)
			set = set.union(s)
			if !a {
				return set, false
			}
		}
		return set, true
	case opGroup, opAtomic:
		return opening(n.subs[0])
	case opAlt:
		for _, sub := range n.subs {
			s, a := opening(sub)
			set, any = set.union(s), any || a
		}
		return set, any
	case opRepeat:
		set, any = opening(n.subs[0])
		return set, any || n.min == 0
	case opBackref, opIf:
		return byteSet{}.negate(), true
	}
	return firstBytes(n)
}

// lineSafe says whether no match holds a line end, and none depends on where
// the text begins or ends.
func lineSafe(n *node) bool {
	switch n.op {
	case opSet:
		return !n.set.has('\n')
	case opBegin, opLineBegin, opEnd, opEndNL, opLineEnd, opLook, opBackref, opIf:
		return false
	}
	for _, sub := range n.subs {
		if !lineSafe(sub) {
			return false
		}
	}
	return true
}

// vague says whether a pattern has a repetition counted so high that the
// machine reports where its literal is, not where it matches.
func vague(n *node) bool {
	if n.op == opRepeat && (n.max > 8 || n.min > 8) {
		return true
	}
	for _, sub := range n.subs {
		if vague(sub) {
			return true
		}
	}
	return false
}

// wide writes each byte of a text as the character of the same number, since
// RE2 works on characters. ASCII stays as it is.
func wide(s string) string {
	high := 0
	for i := range len(s) {
		if s[i] >= 0x80 {
			high++
		}
	}
	if high == 0 {
		return s
	}
	b := make([]byte, 0, len(s)+high)
	for i := range len(s) {
		if c := s[i]; c < 0x80 {
			b = append(b, c)
		} else {
			b = append(b, 0xc0|c>>6, 0x80|c&0x3f)
		}
	}
	return string(b)
}

// holds tells whether the pattern is found in a text.
func (s *single) holds(text string, budget *int) bool {
	if s.one != nil {
		return s.count(text, 1, budget) > 0
	}
	w := wide(text)
	if s.test.Err() == nil {
		if !s.test.Holds(w) {
			return false
		}
		if s.exact {
			return true
		}
	}
	_, _, ok := s.next(text, w, 0, budget)
	return ok
}

// verify is holds for a text of which the machine said that it may hold.
func (s *single) verify(text, w string, budget *int) bool {
	if s.exact {
		return true
	}
	_, _, ok := s.next(text, w, 0, budget)
	return ok
}

// next finds the first match at or behind an offset by trying the alternatives
// where one may begin.
func (s *single) next(text, w string, from int, budget *int) (start, end int, ok bool) {
	p := s.program()
	if s.first != nil {
		for at := from; at < len(text) && *budget > 0; at++ {
			if !s.first.has(text[at]) {
				continue
			}
			if end, ok := p.matchAt(text, at, budget); ok {
				return at, end, true
			}
			if p.anchored {
				break
			}
		}
		return 0, 0, false
	}
	plain := len(w) == len(text)
	loose := s.start.Err() != nil
	at, wat := from, from
	if !plain {
		wat = len(wide(text[:from]))
	}
	for at <= len(text) && *budget > 0 {
		if !loose {
			i, _, found := s.start.Find(w[wat:])
			if !found {
				return 0, 0, false
			}
			if plain {
				at += i
			} else {
				at += utf8.RuneCountInString(w[wat : wat+i])
			}
			wat += i
		}
		if end, ok := p.matchAt(text, at, budget); ok {
			return at, end, true
		}
		if p.anchored {
			return 0, 0, false
		}
		*budget -= 10
		if wat < len(w) {
			_, n := utf8.DecodeRuneInString(w[wat:])
			wat += n
		}
		at++
		if wat > len(w) || at > len(text) {
			break
		}
	}
	return 0, 0, false
}

// count returns how many matches that do not overlap there are, at most limit.
func (s *single) count(text string, limit int, budget *int) int {
	if s.one != nil {
		n := 0
		for i := 0; i < len(text) && n < limit; i++ {
			if s.one.has(text[i]) {
				n++
			}
		}
		return n
	}
	if s.counts && s.extent.Err() == nil {
		return s.extent.Count(wide(text), limit)
	}
	w := wide(text)
	if s.test.Err() == nil && !s.test.Holds(w) {
		return 0
	}
	n := 0
	for at := 0; n < limit && at <= len(text); {
		start, end, ok := s.next(text, w, at, budget)
		if !ok {
			break
		}
		n++
		if at = end; end == start {
			at++
		}
	}
	return n
}

// segments are texts that are searched together: each on a line of its own, in
// blocks of limited size.
type segments struct {
	list   []string
	blocks []textBlock
}

type textBlock struct {
	text  string // characters, see wide
	ends  []int  // where each segment ends in text, with its line end
	first int    // number of the first segment
}

// blockBytes is how much of a text is searched at a time: less than what the
// matcher looks at for a pattern that is dear.
const blockBytes = 12 << 10

func newSegments(list []string) *segments {
	s := &segments{list: list}
	var b strings.Builder
	cur := textBlock{}
	flush := func(next int) {
		if b.Len() > 0 {
			cur.text = b.String()
			s.blocks = append(s.blocks, cur)
		}
		b = strings.Builder{}
		cur = textBlock{first: next}
	}
	for i, seg := range list {
		w := wide(seg)
		if b.Len() > 0 && b.Len()+len(w) > blockBytes {
			flush(i)
		}
		b.WriteString(w)
		if !strings.HasSuffix(w, "\n") {
			b.WriteByte('\n')
		}
		cur.ends = append(cur.ends, b.Len())
	}
	flush(len(list))
	return s
}

// segment returns the number, in the block, of the segment that holds a place.
func (b *textBlock) segment(at int) int {
	i, found := slices.BinarySearch(b.ends, at)
	if found {
		i++
	}
	return min(i, len(b.ends)-1)
}

// within says whether a place lies in one segment, before its end: what an
// assertion at the very end of a segment sees is the next one.
func (b *textBlock) within(start, end int) bool {
	return end < b.ends[b.segment(start)]
}
