package spamassassin

import (
	"fmt"
	"strconv"
	"strings"
)

// group reads what begins with a parenthesis; nil for comments and modifiers.
func (p *regexParser) group() (*node, error) {
	start := p.pos
	p.pos++
	if p.peek("*") {
		return nil, unsupported("control verb (*…)")
	}
	if !p.accept("?") {
		if p.flags.n {
			return p.inside(start, func(n *node) *node { return n })
		}
		return p.capture(start, "")
	}
	switch {
	case p.accept("#"):
		end := strings.IndexByte(p.src[p.pos:], ')')
		if end < 0 {
			return nil, fmt.Errorf("comment without end")
		}
		p.pos += end + 1
		return nil, nil
	case p.accept("="):
		return p.look(start, false, false)
	case p.accept("!"):
		return p.look(start, false, true)
	case p.accept("<="):
		return p.look(start, true, false)
	case p.accept("<!"):
		return p.look(start, true, true)
	case p.accept(">"):
		return p.inside(start, func(n *node) *node { return &node{op: opAtomic, subs: []*node{n}} })
	case p.accept("P<"), p.accept("<"):
		return p.named(start, '>')
	case p.accept("'"):
		return p.named(start, '\'')
	case p.accept("P="):
		end := strings.IndexByte(p.src[p.pos:], ')')
		if end < 0 {
			return nil, fmt.Errorf("reference without end")
		}
		name := p.src[p.pos : p.pos+end]
		p.pos += end + 1
		n, known := p.re.names[name]
		if !known {
			return nil, fmt.Errorf("reference to unknown group %q", name)
		}
		return &node{op: opBackref, n: n, fold: p.flags.i}, nil
	case p.accept("|"):
		return p.branchReset(start)
	case p.accept("("):
		return p.condition(start)
	case p.peek("{"), p.peek("?{"):
		return nil, unsupported("Perl code in a pattern")
	case p.peek("R"), p.peek("&"), p.peek("P>"), p.peek("P&"), p.peek("+"), p.more() && p.src[p.pos] >= '0' && p.src[p.pos] <= '9':
		return nil, unsupported("recursion")
	}
	return p.modifiers(start)
}

// modifiers reads (?i), (?i-s:…), (?^i:…) and (?:…).
func (p *regexParser) modifiers(start int) (*node, error) {
	saved := p.flags
	on := true
	if p.accept("^") {
		p.flags = regexFlags{}
	}
	for p.more() {
		c := p.src[p.pos]
		p.pos++
		switch c {
		case '-':
			on = false
		case ':':
			n, err := p.inside(start, func(n *node) *node { return n })
			p.flags = saved
			return n, err
		case ')':
			return nil, nil // to the end of the enclosing group, which restores
		default:
			if err := p.flag(rune(c), on); err != nil {
				return nil, fmt.Errorf("group at offset %d: %w", start, err)
			}
		}
	}
	return nil, fmt.Errorf("unmatched ( at offset %d", start)
}

// inside reads the alternatives of a group and its end.
func (p *regexParser) inside(start int, wrap func(*node) *node) (*node, error) {
	saved := p.flags
	n, err := p.alternatives()
	if err != nil {
		return nil, err
	}
	p.flags = saved
	if !p.accept(")") {
		return nil, fmt.Errorf("unmatched ( at offset %d", start)
	}
	n = wrap(n)
	if n.op == opCat || n.op == opEmpty { // one atom for the quantifier that may follow
		n = &node{op: opAlt, subs: []*node{n}}
	}
	return n, nil
}

func (p *regexParser) capture(start int, name string) (*node, error) {
	p.re.groups++
	number := p.re.groups
	if name != "" {
		if _, known := p.re.names[name]; !known {
			p.re.names[name] = number
		}
	}
	return p.inside(start, func(n *node) *node { return &node{op: opGroup, n: number, subs: []*node{n}} })
}

func (p *regexParser) named(start int, end byte) (*node, error) {
	i := strings.IndexByte(p.src[p.pos:], end)
	if i <= 0 {
		return nil, fmt.Errorf("group name without end at offset %d", start)
	}
	name := p.src[p.pos : p.pos+i]
	p.pos += i + 1
	for j := range len(name) {
		if !wordSet.has(name[j]) {
			return nil, fmt.Errorf("bad group name %q", name)
		}
	}
	return p.capture(start, name)
}

func (p *regexParser) look(start int, behind, negated bool) (*node, error) {
	n, err := p.inside(start, func(n *node) *node {
		return &node{op: opLook, behind: behind, negated: negated, subs: []*node{n}}
	})
	if err == nil && behind {
		if _, most := width(n.subs[0]); most < 0 || most > 255 {
			return nil, unsupported("lookbehind of unbounded length")
		}
	}
	return n, err
}

// branchReset reads (?|…|…), whose alternatives number their groups alike.
func (p *regexParser) branchReset(start int) (*node, error) {
	saved, first, most := p.flags, p.re.groups, p.re.groups
	var alts []*node
	for {
		p.re.groups = first
		n, err := p.sequence()
		if err != nil {
			return nil, err
		}
		alts = append(alts, n)
		most = max(most, p.re.groups)
		if !p.accept("|") {
			break
		}
	}
	p.re.groups = most
	p.flags = saved
	if !p.accept(")") {
		return nil, fmt.Errorf("unmatched ( at offset %d", start)
	}
	return &node{op: opAlt, subs: alts}, nil
}

// condition reads (?(1)yes|no).
func (p *regexParser) condition(start int) (*node, error) {
	end := strings.IndexByte(p.src[p.pos:], ')')
	if end < 0 {
		return nil, fmt.Errorf("condition without end")
	}
	name := strings.Trim(p.src[p.pos:p.pos+end], "<>'")
	number, err := strconv.Atoi(name)
	if err != nil {
		var known bool
		if number, known = p.re.names[name]; !known {
			return nil, unsupported("condition (%s)", name)
		}
	}
	p.pos += end + 1
	return p.inside(start, func(n *node) *node {
		c := &node{op: opIf, n: number, subs: []*node{n, {op: opEmpty}}}
		if n.op == opAlt && len(n.subs) > 1 {
			c.subs = []*node{n.subs[0], n.subs[1]}
		}
		return c
	})
}

// width returns how many bytes a node may match, most -1 when there is no
// limit.
func width(n *node) (least, most int) {
	switch n.op {
	case opSet:
		return 1, 1
	case opCat:
		for _, sub := range n.subs {
			l, m := width(sub)
			least += l
			if m < 0 || most < 0 {
				most = -1
			} else {
				most += m
			}
		}
		return min(least, 1<<20), min(most, 1<<20)
	case opAlt, opIf:
		for i, sub := range n.subs {
			l, m := width(sub)
			if i == 0 || l < least {
				least = l
			}
			if m < 0 || i > 0 && most < 0 {
				most = -1
			} else {
				most = max(most, m)
			}
		}
		return least, most
	case opGroup, opAtomic:
		return width(n.subs[0])
	case opRepeat:
		l, m := width(n.subs[0])
		least = min(l*n.min, 1<<20)
		if m == 0 {
			return least, 0
		}
		if m < 0 || n.max < 0 {
			return least, -1
		}
		return least, min(m*n.max, 1<<20)
	case opBackref:
		return 0, -1
	}
	return 0, 0
}
