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
// that the automaton is made when it is first needed. What most places are
// decided by stands together, since memory is rarely in the cache.
type half struct {
	opening [4]uint64  // what the first byte that is read must be of, if
	opens   bool       // that is known
	run     *automaton // nil: it would take too much memory
	// It may begin with a long gap: then rest is tried behind each length of
	// it, which takes far fewer states than one automaton of both.
	gap      *gap
	once     sync.Once
	op       syntax.Op // of an assertion that is all
	backward bool
	floating bool // it may begin anywhere behind the place
	rest     *half
	whole    sync.Once // makes an automaton all the same
	factors  []*syntax.Regexp
}

func newHalf(factors []*syntax.Regexp, backward bool) *half {
	if len(factors) == 0 {
		return nil
	}
	h := &half{factors: factors, backward: backward, op: syntax.OpEmptyMatch}
	if op := factors[0].Op; len(factors) == 1 && (op == syntax.OpWordBoundary || op == syntax.OpBeginText || op == syntax.OpEndText) {
		h.op, h.factors = op, nil
		return h
	}
	for n := min(3, len(factors)-1); n > 0; n-- { // the gap and what is asked at its ends
		near, far := factors[:n], factors[n:]
		if backward {
			far, near = factors[:len(factors)-n], factors[len(factors)-n:]
		}
		if g, ok := newGap(near); ok && g.most >= longGap {
			h.gap, h.rest = &g, newHalf(far, backward)
			break
		}
	}
	return h
}

const (
	// longGap is how long a gap is that is not left to an automaton.
	longGap = 8
	// gapCost is how many bytes may be read behind the lengths of a gap until
	// an automaton of all does it in one pass.
	gapCost = 4 << 10
)

// across says what holds says for a half that begins with a gap; unknown if
// that would take too much.
func (h *half) across(text string, at int, y *yard) (verdict, int) {
	g, r := h.gap, h.rest
	r.prepare(y)
	near, far := g.before, g.after
	if h.backward {
		near, far = far, near
	}
	if !bounded(near, text, at) {
		return no, 1
	}
	cost := 0
	for i, count := at, 0; ; count++ {
		if count >= g.least && r.begins(text, i) && bounded(far, text, i) {
			v, n := r.holds(text, i, y)
			if cost += n; v != no {
				return v, cost
			}
		}
		cost++
		if cost > gapCost {
			return unknown, cost
		}
		if count == g.most || i == len(text) && !h.backward || i == 0 && h.backward {
			return no, cost
		}
		size := 1
		c := text[min(i, len(text)-1)]
		if h.backward {
			c = text[i-1]
		}
		if c >= utf8.RuneSelf {
			if !g.beyond {
				return no, cost
			}
			var char rune
			if h.backward {
				char, size = utf8.DecodeLastRuneInString(text[:i])
			} else {
				char, size = utf8.DecodeRuneInString(text[i:])
			}
			if char == utf8.RuneError && size == 1 {
				return unknown, cost // no character: RE2 takes more than these
			}
		} else if g.ascii[c>>6]>>(c&63)&1 == 0 {
			return no, cost
		}
		if h.backward {
			size = -size
		}
		i += size
	}
}

// prepare makes what is needed to run a half.
func (h *half) prepare(y *yard) {
	h.once.Do(func() {
		if h.gap == nil && h.op == syntax.OpEmptyMatch {
			h.compile(y)
			if h.run != nil && !h.floating {
				h.opening, h.opens = h.run.opening()
			}
		}
	})
}

func (h *half) compile(y *yard) {
	if p := assemble(h.factors, h.backward, &y.shapes); p != nil {
		h.run = &automaton{program: p, floating: h.floating, yard: y}
	}
	h.factors = nil
}

// begins says whether the first byte that is read at a place is one with which
// a match can begin.
func (h *half) begins(text string, at int) bool {
	if !h.opens {
		return true
	}
	if h.backward {
		at--
	}
	return uint(at) < uint(len(text)) && h.opening[text[at]>>6]>>(text[at]&63)&1 != 0
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
	if h.gap != nil {
		v, cost := h.across(text, at, y)
		if v != unknown {
			return v, cost
		}
		h.whole.Do(func() { h.compile(y) })
		if h.run == nil {
			return unknown, cost
		}
		v, n := h.automaton(text, at)
		return v, cost + n
	}
	h.prepare(y)
	if !h.begins(text, at) {
		return no, 1
	}
	if h.run == nil {
		return unknown, 0
	}
	return h.automaton(text, at)
}

func (h *half) automaton(text string, at int) (verdict, int) {
	if h.backward {
		return h.run.backward(text, at)
	}
	return h.run.forward(text, at)
}
