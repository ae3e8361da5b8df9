package match

import (
	"regexp/syntax"
	"sync"
	"unicode"
	"unicode/utf8"
)

// A proof decides whether a branch matches around a literal: what stands in
// the pattern before the literal is run backward from its begin, what follows
// forward. So no text is read but what a match there can consist of.
type proof struct {
	back, ahead *half
	behind      bool // ahead follows the literal; else it begins with it
}

// decide says whether the branch matches with its literal at a place, and how
// many bytes that took.
func (p *proof) decide(text string, at place, y *yard) (verdict, int) {
	v, cost := p.back.holds(text, at.from, y)
	if v != yes {
		return v, cost
	}
	start, n := at.from, 0
	if p.behind {
		start = at.to
	}
	v, n = p.ahead.holds(text, start, y)
	return v, cost + n
}

// A span is two literals of a branch and a simple gap between them: as in
// "pay .{0,40} now" any characters of one class, some number of them. The
// places of both literals nearly decide it.
type span struct {
	first, second int // needs of the branch
	gap           gap
	back, ahead   *half // before the first; behind the second, or
	with          bool  // from it on
}

// gap is a number of characters of a class.
type gap struct {
	least, most   int // characters
	ascii         [4]uint64
	beyond        bool      // it takes all others too, else none
	before, after syntax.Op // OpWordBoundary, OpNoWordBoundary or OpEmptyMatch
}

// newGap recognizes a gap in what stands between two literals.
func newGap(factors []*syntax.Regexp) (g gap, ok bool) {
	g.before, g.after = syntax.OpEmptyMatch, syntax.OpEmptyMatch
	boundary := func(op syntax.Op) bool { return op == syntax.OpWordBoundary || op == syntax.OpNoWordBoundary }
	if len(factors) > 1 && boundary(factors[0].Op) {
		factors, g.before = factors[1:], factors[0].Op
	}
	if n := len(factors); n > 1 && boundary(factors[n-1].Op) {
		factors, g.after = factors[:n-1], factors[n-1].Op
	}
	if len(factors) == 0 {
		return g, true
	}
	if len(factors) > 1 {
		return g, false
	}
	re := factors[0]
	g.least, g.most = 1, 1
	switch re.Op {
	case syntax.OpStar:
		g.least, g.most, re = 0, unlimited, re.Sub[0]
	case syntax.OpPlus:
		g.most, re = unlimited, re.Sub[0]
	case syntax.OpQuest:
		g.least, re = 0, re.Sub[0]
	case syntax.OpRepeat:
		g.least, g.most = re.Min, re.Max
		if re.Max < 0 {
			g.most = unlimited
		}
		re = re.Sub[0]
	}
	ranges := re.Rune
	switch re.Op {
	case syntax.OpAnyChar:
		ranges = []rune{0, unicode.MaxRune}
	case syntax.OpAnyCharNotNL:
		ranges = []rune{0, '\n' - 1, '\n' + 1, unicode.MaxRune}
	case syntax.OpCharClass:
	default:
		return g, false
	}
	for i := 0; i+1 < len(ranges); i += 2 {
		lo, hi := ranges[i], ranges[i+1]
		for r := lo; r <= hi && r < utf8.RuneSelf; r++ {
			g.ascii[r>>6] |= 1 << (r & 63)
		}
		if hi >= utf8.RuneSelf {
			if lo > utf8.RuneSelf || hi != unicode.MaxRune {
				return g, false
			}
			g.beyond = true
		}
	}
	return g, true
}

// holds says whether text[lo:hi] is such a gap; over, that no text that begins
// with it is one.
func (g *gap) holds(text string, lo, hi int) (v verdict, over bool) {
	if !bounded(g.before, text, lo) {
		return no, true
	}
	count, high := 0, false
	for i := lo; i < hi; i++ {
		c := text[i]
		if c >= utf8.RuneSelf {
			if !g.beyond {
				return no, true
			}
			high = true
			if !utf8.RuneStart(c) {
				continue
			}
		} else if g.ascii[c>>6]>>(c&63)&1 == 0 {
			return no, true
		}
		count++
	}
	switch {
	case high && !utf8.ValidString(text[lo:hi]):
		return unknown, false
	case count > g.most:
		return no, true
	case count < g.least || !bounded(g.after, text, hi):
		return no, false
	}
	return yes, false
}

func bounded(op syntax.Op, text string, at int) bool {
	return op == syntax.OpEmptyMatch || (op == syntax.OpWordBoundary) == boundary(text, at)
}

// decide says whether the branch matches with its literals at any of their
// places; costs are added to spent until there is too much of it.
func (p *span) decide(text string, first, second []place, y *yard, spent *int, limit int) (at [2]place, v verdict) {
	n := 0
	for _, a := range first {
		for n < len(second) && second[n].from < a.from {
			n++
		}
		begins := unknown // whether what stands before the first literal matches
		for _, b := range second[n:] {
			if b.from < a.to {
				continue
			}
			length := b.from - a.to
			if length/utf8.UTFMax > p.gap.most {
				break
			}
			if *spent += 8 + length; *spent > limit {
				return at, unknown
			}
			v, over := p.gap.holds(text, a.to, b.from)
			if v == unknown {
				return at, unknown
			}
			if over {
				break
			}
			if v == no {
				continue
			}
			if begins == unknown {
				v, cost := p.back.holds(text, a.from, y)
				if *spent += cost; v == unknown {
					return at, unknown
				}
				begins = v
			}
			if begins == no {
				break
			}
			start := b.to
			if p.with {
				start = b.from
			}
			v, cost := p.ahead.holds(text, start, y)
			if *spent += cost; v != no {
				return [2]place{a, b}, v
			}
		}
	}
	return at, no
}

// A half is what stands in a pattern before a place, compiled backward, or
// after it; nil asks for nothing. Most patterns are tried on few mails, so
// that the automaton is made when it is first needed.
type half struct {
	factors  []*syntax.Regexp
	backward bool
	floating bool      // it may begin anywhere behind the place
	op       syntax.Op // of an assertion that is all
	once     sync.Once
	opening  *[4]uint64 // what the first byte that is read must be of; nil is not known
	run      *automaton // nil: it would take too much memory
}

func newHalf(factors []*syntax.Regexp, backward bool) *half {
	if len(factors) == 0 {
		return nil
	}
	h := &half{factors: factors, backward: backward, op: syntax.OpEmptyMatch}
	if op := factors[0].Op; len(factors) == 1 && (op == syntax.OpWordBoundary || op == syntax.OpBeginText || op == syntax.OpEndText) {
		h.op, h.factors = op, nil
	}
	return h
}

// newSearch looks for a whole pattern.
func newSearch(factors []*syntax.Regexp) *half {
	return &half{factors: factors, floating: factors[0].Op != syntax.OpBeginText, op: syntax.OpEmptyMatch}
}

// holds says whether it matches from a place on, or up to it, and how many
// bytes that took.
func (h *half) holds(text string, at int, y *yard) (verdict, int) {
	if h == nil {
		return yes, 0
	}
	if h.op != syntax.OpEmptyMatch {
		if asserted(h.op, text, at) {
			return yes, 1
		}
		return no, 1
	}
	h.once.Do(func() {
		if p := assemble(h.factors, h.backward, &y.shapes); p != nil {
			h.run = &automaton{program: p, floating: h.floating, yard: y}
			if !h.floating {
				h.opening = p.opening()
			}
		}
		h.factors = nil
	})
	if h.opening != nil {
		i := at
		if h.backward {
			i--
		}
		if uint(i) >= uint(len(text)) || h.opening[text[i]>>6]>>(text[i]&63)&1 == 0 {
			return no, 1
		}
	}
	switch {
	case h.run == nil:
		return unknown, 0
	case h.backward:
		return h.run.backward(text, at)
	}
	return h.run.forward(text, at)
}
