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
	span          *span  // nil for none
	whole         *half  // looks for it
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
	literals []string // until they are numbered
	least    int32    // how often one of them must occur; 0: once
	// left is the most characters other than white space that a match has
	// before the end of the literal, right after its begin.
	left, right int
	order       int // grows from the begin of a match to its end
	from, to    int // factors of the branch that it is
	// whole: a literal of which strict has the spelling is all that the
	// pattern takes there.
	whole  bool
	strict []string
	proof  *proof // nil: the literal stands somewhere in a piece of the pattern
}

const (
	maxBranches = 40
	maxNeeds    = 3 // of a branch
)

// split derives the branches of a pattern: nil when one of them has no literal
// that must occur. all are the bounds of the whole pattern.
func split(tree *syntax.Regexp, all *bounds) []branch {
	d := newDeriver()
	var out []branch
	for _, t := range d.alternatives(tree, maxBranches) {
		b := d.branch(t)
		if len(b.needs) == 0 {
			return nil
		}
		// The engine tries the whole pattern, so that a window must be cut
		// right for all of it.
		b.bounds.begin, b.bounds.end, b.bounds.lines, b.bounds.words = all.begin, all.end, all.lines, all.words
		b.anywhere = b.bounds.reach == unlimited && b.bounds.takes == [2]uint64{^uint64(0), ^uint64(0)}
		out = append(out, b)
	}
	return out
}

// alternatives rewrites a pattern as at most limit patterns of which one
// matches where it does: x(a|b)y as xay and xby. It leaves together what the
// literals decide, and what tells little.
func (d *deriver) alternatives(re *syntax.Regexp, limit int) []*syntax.Regexp {
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
func (d *deriver) branch(re *syntax.Regexp) branch {
	factors := flat(re, nil)
	b := branch{bounds: &bounds{}, whole: newSearch(factors)}
	sizes := make([]int, len(factors))
	for i, f := range factors {
		sizes[i] = b.bounds.follow(d.measured(f))
	}
	middle, skipped := factors, 0
	b.before, b.after = syntax.OpEmptyMatch, syntax.OpEmptyMatch
	if first := middle[0].Op; len(middle) > 1 && (first == syntax.OpWordBoundary || first == syntax.OpBeginText) {
		middle, b.before, skipped = middle[1:], first, 1
	}
	if last := middle[len(middle)-1].Op; len(middle) > 1 && (last == syntax.OpWordBoundary || last == syntax.OpEndText) {
		middle, b.after = middle[:len(middle)-1], last
	}
	b.class = contained(re)
	sizes = sizes[skipped : skipped+len(middle)]
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
		if !b.sure {
			b.needs[0].proof = &proof{newHalf(factors[:skipped], true), newHalf(factors[skipped:], false), false}
		}
		return b
	}

	reach := func(from, to int) int { // of the factors from from to before to
		sum := 0
		for _, n := range sizes[from:to] {
			sum = add(sum, n)
		}
		return sum
	}
	enter := func(set needs, from, to int) {
		literals := set.exact
		inside := literals == nil
		if inside {
			literals = set.best
		}
		if !usable(literals) {
			return
		}
		n := need{left: reach(0, to), right: reach(from, len(middle)), order: from, from: skipped + from, to: skipped + to}
		if !set.closed {
			n.strict = set.strict
		}
		switch n.whole = set.closed || n.strict != nil; {
		case inside:
			n.whole = false
			if f := middle[from]; f.Op == syntax.OpRepeat && d.required(f.Sub[0]).exact == nil {
				n.least = int32(f.Min) // it occurs in each repetition
			}
		case n.whole:
			n.proof = &proof{newHalf(factors[:n.from], true), newHalf(factors[n.to:], false), true}
		default:
			n.proof = &proof{newHalf(factors[:n.from], true), newHalf(factors[n.from:], false), false}
		}
		if n.literals = literals; !n.whole {
			n.literals = prefixes(literals)
		}
		b.needs = append(b.needs, n)
	}
	run, first := empty, 0
	for i, n := range all {
		if n.exact == nil {
			enter(run, first, i)
			enter(needs{best: n.best}, i, i+1)
			run, first = empty, i+1
			continue
		}
		if p, ok := product(run.exact, n.exact); ok {
			strict, _ := product(run.strict, n.strict)
			run = needs{exact: p, closed: run.closed && n.closed, strict: strict}
			continue
		}
		enter(run, first, i)
		run, first = n, i
	}
	enter(run, first, len(all))
	if len(b.needs) > 0 {
		b.arrange(factors)
	}
	return b
}

// arrange sorts the needs of a branch, drops what is too many, and finds two
// of them with a gap between them, if there are such.
func (b *branch) arrange(factors []*syntax.Regexp) {
	// What stands in every mail sorts nothing out, and is found only to no end.
	rarest := slices.MaxFunc(b.needs, func(x, y need) int { return cmp.Compare(rarity(x.literals), rarity(y.literals)) }).order
	b.needs = slices.DeleteFunc(b.needs, func(n need) bool { return n.order != rarest && slices.ContainsFunc(n.literals, frequent) })
	var best [2]int
	var between gap
	most := -1
	for i := range len(b.needs) - 1 {
		x, y := &b.needs[i], &b.needs[i+1]
		if !x.whole || y.proof == nil {
			continue
		}
		if g, ok := newGap(factors[x.to:y.from]); ok && rarity(x.literals)+rarity(y.literals) > most {
			most, best, between = rarity(x.literals)+rarity(y.literals), [2]int{x.order, y.order}, g
		}
	}
	slices.SortStableFunc(b.needs, func(x, y need) int { return cmp.Compare(rarity(y.literals), rarity(x.literals)) })
	for i := range b.needs { // those of the span are among the first
		if i >= maxNeeds && most >= 0 && (b.needs[i].order == best[0] || b.needs[i].order == best[1]) {
			least := maxNeeds - 1
			for b.needs[least].order == best[0] || b.needs[least].order == best[1] {
				least--
			}
			b.needs[least], b.needs[i] = b.needs[i], b.needs[least]
		}
	}
	b.needs = b.needs[:min(len(b.needs), maxNeeds)]
	if most < 0 {
		return
	}
	at := func(order int) int {
		return slices.IndexFunc(b.needs, func(n need) bool { return n.order == order && n.proof != nil })
	}
	x, y := at(best[0]), at(best[1])
	second := &b.needs[y]
	b.span = &span{first: x, second: y, gap: between, back: b.needs[x].proof.back, ahead: second.proof.ahead, with: !second.whole}
}
