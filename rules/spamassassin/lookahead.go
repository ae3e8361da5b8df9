package spamassassin

import (
	"math/bits"
)

// lookless merges assertions about the next byte into what follows them, where
// that is a byte in any case.
func lookless(n *node) *node {
	if len(n.subs) == 0 {
		return n
	}
	out := *n
	out.subs = make([]*node, len(n.subs))
	for i, sub := range n.subs {
		out.subs[i] = lookless(sub)
	}
	if out.op != opCat {
		return &out
	}
	for i := len(out.subs) - 2; i >= 0; i-- {
		set, ok := nextByte(out.subs[i])
		if !ok {
			continue
		}
		rest := out.subs[i+1:]
		if len(rest) == 1 {
			if r := restrict(rest[0], set); r != nil {
				out.subs = append(out.subs[:i:i], r)
			}
			continue
		}
		if r := restrict(&node{op: opCat, subs: rest}, set); r != nil {
			out.subs = append(out.subs[:i:i], r)
		}
	}
	return cat(out.subs)
}

// nextByte returns what the next byte may be by an assertion ahead that asks
// for nothing else.
func nextByte(n *node) (byteSet, bool) {
	if n.op != opLook || n.behind {
		return byteSet{}, false
	}
	set, ok := singleByte(n.subs[0])
	if n.negated {
		set = set.negate()
	}
	return set, ok
}

// singleByte returns the set of a node that matches exactly one byte.
func singleByte(n *node) (byteSet, bool) {
	switch n.op {
	case opSet:
		return n.set, true
	case opGroup, opAtomic:
		return singleByte(n.subs[0])
	case opAlt:
		var all byteSet
		for _, sub := range n.subs {
			set, ok := singleByte(sub)
			if !ok {
				return byteSet{}, false
			}
			all = all.union(set)
		}
		return all, true
	}
	return byteSet{}, false
}

// restrict returns n with its first byte limited to a set, nil if that cannot
// be said.
func restrict(n *node, set byteSet) *node {
	switch n.op {
	case opSet:
		both := n.set.intersect(set)
		return &node{op: opSet, set: both, fold: n.fold && both == n.set}
	case opGroup, opAtomic:
		if n.op == opAtomic {
			return nil
		}
		sub := restrict(n.subs[0], set)
		if sub == nil {
			return nil
		}
		return &node{op: opGroup, n: n.n, subs: []*node{sub}}
	case opAlt:
		out := &node{op: opAlt}
		for _, sub := range n.subs {
			r := restrict(sub, set)
			if r == nil {
				return nil
			}
			out.subs = append(out.subs, r)
		}
		return out
	case opCat:
		first := restrict(n.subs[0], set)
		if first == nil {
			return nil
		}
		return &node{op: opCat, subs: append([]*node{first}, n.subs[1:]...)}
	case opRepeat:
		least, _ := width(n.subs[0])
		if n.min < 1 || least < 1 || n.atomic {
			return nil
		}
		first := restrict(n.subs[0], set)
		if first == nil {
			return nil
		}
		rest := *n
		rest.min--
		if rest.max > 0 {
			rest.max--
		}
		if rest.max == 0 {
			return first
		}
		return &node{op: opCat, subs: []*node{first, &rest}}
	}
	return nil
}

// firstBytes returns which bytes a match may begin with; any is set when it
// may be empty or that is not known.
func firstBytes(n *node) (set byteSet, any bool) {
	switch n.op {
	case opSet:
		return n.set, false
	case opGroup, opAtomic:
		return firstBytes(n.subs[0])
	case opAlt:
		for _, sub := range n.subs {
			s, a := firstBytes(sub)
			set, any = set.union(s), any || a
		}
		return set, any
	case opRepeat:
		set, any = firstBytes(n.subs[0])
		return set, any || n.min == 0
	case opCat:
		for _, sub := range n.subs {
			if sub.op == opWordEdge || sub.op == opNotEdge {
				continue
			}
			s, a := firstBytes(sub)
			set = set.union(s)
			if !a {
				return set, false
			}
		}
		return set, true
	}
	return byteSet{}, true
}

// literalRun returns where the literal that begins at subs[i] ends, i if there
// is none.
func literalRun(subs []*node, i int) int {
	fold := false
	start := i
	for ; i < len(subs); i++ {
		n := subs[i]
		if n.op != opSet {
			break
		}
		c, single := onlyByte(n.set)
		if !n.fold && !single {
			break
		}
		if n.fold {
			if i > start && !fold {
				// A literal with case may go on before if it has no letters.
				for _, prev := range subs[start:i] {
					if c, _ := onlyByte(prev.set); (c|32) >= 'a' && (c|32) <= 'z' || c > 127 {
						return i
					}
				}
			}
			fold = true
		} else if fold && ((c|32) >= 'a' && (c|32) <= 'z' || c > 127) {
			return i
		}
	}
	return i
}

func onlyByte(s byteSet) (byte, bool) {
	if s.size() != 1 {
		return 0, false
	}
	for i, w := range s {
		if w != 0 {
			return byte(i<<6 + bits.TrailingZeros64(w)), true
		}
	}
	return 0, false
}
