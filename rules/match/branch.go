package match

import (
	"cmp"
	"regexp/syntax"
	"slices"
)

// branch is one alternative of a pattern: what must occur for it to match.
type branch struct {
	needs    []need // all of them, the rarest first
	bounds   *bounds
	anywhere bool // bounds do not bound
	// sure: an occurrence of a literal is a match if what asks holds before
	// and after it, and if it is one of strict, unless strict is nil.
	sure          bool
	before, after syntax.Op // OpBeginText, OpEndText, OpWordBoundary or OpEmptyMatch
	strict        []string
	class         *class // a match has one of its bytes; nil: nothing is known
}

// meets says whether a literal found at text[from:to] is a match of a sure
// branch.
func (b *branch) meets(text string, from, to int) bool {
	return asserted(b.before, text, from) && asserted(b.after, text, to) &&
		(b.strict == nil || slices.Contains(b.strict, text[from:to]))
}

// asserted says whether an assertion holds at an offset.
func asserted(op syntax.Op, text string, at int) bool {
	switch op {
	case syntax.OpBeginText:
		return at == 0
	case syntax.OpEndText:
		return at == len(text)
	case syntax.OpWordBoundary:
		return boundary(text, at)
	}
	return true
}

const (
	wordBefore = 1 << iota
	wordAfter
)

// edges says at which ends a branch asks for that of a word.
func (b *branch) edges() (e byte) {
	if b.before == syntax.OpWordBoundary {
		e |= wordBefore
	}
	if b.after == syntax.OpWordBoundary {
		e |= wordAfter
	}
	return e
}

// need is a set of literals of which one must occur.
type need struct {
	literals []string
	ids      []int32
	// left is the most characters other than white space that a match has
	// before the end of the literal, right after its begin.
	left, right int
	order       int // grows from the begin of a match to its end
}

const (
	maxBranches = 40
	maxNeeds    = 3 // of a branch
)

// split derives the branches of a pattern: nil when one of them has no literal
// that must occur. all are the bounds of the whole pattern.
func split(tree *syntax.Regexp, all *bounds) []branch {
	d := deriver{}
	var out []branch
	for _, t := range d.alternatives(tree, maxBranches) {
		b := d.branch(t)
		if len(b.needs) == 0 {
			return nil
		}
		// The engine tries the whole pattern, so that a window must be cut
		// right for all of it.
		b.bounds.begin, b.bounds.end, b.bounds.lines, b.bounds.words = all.begin, all.end, all.lines, all.words
		b.anywhere = b.bounds.reach == unlimited && !slices.Contains(b.bounds.takes[:], false)
		out = append(out, b)
	}
	return out
}

// alternatives rewrites a pattern as at most limit patterns of which one
// matches where it does: x(a|b)y as xay and xby. It leaves together what the
// literals decide, and what tells little.
func (d deriver) alternatives(re *syntax.Regexp, limit int) []*syntax.Regexp {
	for re.Op == syntax.OpCapture {
		re = re.Sub[0]
	}
	whole := []*syntax.Regexp{re}
	switch re.Op {
	case syntax.OpAlternate:
		if n := d.required(re); len(re.Sub) > limit || n.exact != nil && (n.closed || n.strict != nil || slices.Contains(n.exact, "")) {
			return whole
		}
		var out []*syntax.Regexp
		for i, sub := range re.Sub {
			out = append(out, d.alternatives(sub, limit-len(out)-(len(re.Sub)-1-i))...)
		}
		return out
	case syntax.OpConcat:
		for i, sub := range re.Sub {
			parts := d.alternatives(sub, limit)
			if len(parts) == 1 {
				continue
			}
			out := make([]*syntax.Regexp, len(parts))
			for j, part := range parts {
				subs := slices.Clone(re.Sub)
				subs[i] = part
				out[j] = &syntax.Regexp{Op: syntax.OpConcat, Flags: re.Flags, Sub: subs}
			}
			return out
		}
	}
	return whole
}

// flat lists the factors of a concatenation, nested ones included.
func flat(re *syntax.Regexp, out []*syntax.Regexp) []*syntax.Regexp {
	switch re.Op {
	case syntax.OpCapture:
		return flat(re.Sub[0], out)
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			out = flat(sub, out)
		}
		return out
	}
	return append(out, re)
}

// branch derives what one alternative needs.
func (d deriver) branch(re *syntax.Regexp) branch {
	b := branch{bounds: measure(re)}
	factors := flat(re, nil)
	middle := factors
	b.before, b.after = syntax.OpEmptyMatch, syntax.OpEmptyMatch
	if first := middle[0].Op; len(middle) > 1 && (first == syntax.OpWordBoundary || first == syntax.OpBeginText) {
		middle, b.before = middle[1:], first
	}
	if last := middle[len(middle)-1].Op; len(middle) > 1 && (last == syntax.OpWordBoundary || last == syntax.OpEndText) {
		middle, b.after = middle[:len(middle)-1], last
	}
	b.class = contained(re)
	all := make([]needs, len(middle))
	for i, f := range middle {
		all[i] = d.required(f)
	}
	if n := concat(all); n.exact != nil && (usable(n.exact) || (n.closed || n.strict != nil) && b.edges() != 0 && brief(n.exact)) {
		b.sure = n.closed || n.strict != nil
		if !n.closed {
			b.strict = n.strict
		}
		if !b.sure {
			n.exact = prefixes(n.exact)
		}
		b.needs = []need{{literals: n.exact, left: b.bounds.reach, right: b.bounds.reach}}
		return b
	}

	var scrap bounds
	span := func(from, to int) int { // of the factors from from to before to
		sum := 0
		for _, f := range middle[from:to] {
			n := scrap.longest(f)
			if n == unlimited {
				return unlimited
			}
			sum += n
		}
		return times(1, sum)
	}
	add := func(set []string, from, to int) {
		if usable(set) {
			b.needs = append(b.needs, need{literals: prefixes(set), left: span(0, to), right: span(from, len(middle)), order: from})
		}
	}
	run, first := empty, 0
	for i, n := range all {
		if n.exact == nil {
			add(run.exact, first, i)
			add(n.best, i, i+1)
			run, first = empty, i+1
			continue
		}
		if p, ok := product(run.exact, n.exact); ok {
			run = needs{exact: p}
			continue
		}
		add(run.exact, first, i)
		run, first = n, i
	}
	add(run.exact, first, len(all))
	slices.SortStableFunc(b.needs, func(x, y need) int { return cmp.Compare(rarity(y.literals), rarity(x.literals)) })
	b.needs = b.needs[:min(len(b.needs), maxNeeds)]
	return b
}
