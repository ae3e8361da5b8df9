package spamassassin

import (
	"fmt"
	"strings"
)

// A layout says what text a pattern for RE2 is tried on. RE2 works on
// characters, rules on bytes: each byte becomes the character of the same
// number, so that texts in ASCII need no copy.
type layout uint8

const (
	// alone: the text is one whole segment.
	alone layout = iota
	// joined: the text is several segments, each on a line of its own. A
	// match that does not leave its line is one of the segment.
	joined
)

// translation is a pattern for RE2.
type translation struct {
	expr string
	// exact says that the pattern matches where Perl's does. Otherwise it
	// matches there and maybe elsewhere, and what it finds must be verified.
	exact bool
}

// translate writes a pattern for RE2. Under counting it keeps the extent of
// matches, not only whether there is one.
func translate(re *regex, where layout, counting bool) translation {
	e := &emitter{where: where, counting: counting, exact: true}
	root := re.root
	if least, _ := width(root); least == 0 {
		e.empty = true
	}
	e.node(lookless(root), true, true)
	return translation{e.b.String(), e.exact}
}

// starts writes a pattern for RE2 that finds where a match may begin, in a
// text of which the beginning was cut off.
func starts(re *regex) string {
	e := &emitter{where: alone, starts: true, loose: true}
	e.node(lookless(re.root), true, false)
	return e.b.String()
}

// loosest is like translate without counted repetitions, for patterns that are
// too large for RE2.
func loosest(re *regex, where layout) translation {
	e := &emitter{where: where, loose: true}
	e.node(lookless(re.root), true, true)
	return translation{e.b.String(), false}
}

type emitter struct {
	b        strings.Builder
	where    layout
	counting bool
	exact    bool
	loose    bool // counted repetitions without their counts
	starts   bool // nothing is known of the text before
	empty    bool // the whole pattern may match nothing
}

// node writes n. head says that n is where the whole pattern begins, tail that
// it is where it ends.
func (e *emitter) node(n *node, head, tail bool) {
	switch n.op {
	case opEmpty:
	case opSet:
		e.class(n)
	case opCat:
		e.cat(n.subs, head, tail)
	case opAlt:
		e.b.WriteString("(?:")
		for i, sub := range n.subs {
			if i > 0 {
				e.b.WriteByte('|')
			}
			e.node(sub, head, tail)
		}
		e.b.WriteByte(')')
	case opGroup:
		e.wrapped(n.subs[0], head, tail)
	case opAtomic:
		if _, any := singleByte(n.subs[0]); !any {
			e.exact = false
		}
		e.wrapped(n.subs[0], head, tail)
	case opIf:
		e.exact = false
		e.node(&node{op: opAlt, subs: n.subs}, head, false)
	case opBackref:
		e.exact = false
		e.b.WriteString("(?s:.*)")
	case opRepeat:
		e.repeat(n, head, tail)
	case opLook:
		e.look(n, head, tail)
	default:
		e.assertion(n, head, tail)
	}
}

func (e *emitter) wrapped(n *node, head, tail bool) {
	e.b.WriteString("(?:")
	e.node(n, head, tail)
	e.b.WriteByte(')')
}

func (e *emitter) cat(subs []*node, head, tail bool) {
	for i := 0; i < len(subs); {
		if end := literalRun(subs, i); end > i {
			e.literal(subs[i:end])
			i = end
			head = false
			continue
		}
		n := subs[i]
		last := i == len(subs)-1
		if n.op == opRepeat && n.atomic {
			follow, any := firstBytes(&node{op: opCat, subs: subs[i+1:]})
			own, single := singleByte(n.subs[0])
			if (last && tail || single && !any && own.intersect(follow).empty()) && !e.counting {
				plain := *n
				plain.atomic = false
				n = &plain
			}
		}
		e.node(n, head, tail && last)
		if least, _ := width(n); least > 0 || !e.starts {
			head = false
		}
		i++
	}
}

func (e *emitter) literal(subs []*node) {
	fold := false
	for _, n := range subs {
		fold = fold || n.fold
	}
	if fold {
		e.b.WriteString("(?i:")
	}
	for _, n := range subs {
		c, single := onlyByte(n.set)
		if !single { // a letter in both cases
			for c = 'a'; !n.set.has(c); c++ {
			}
		}
		e.char(c)
	}
	if fold {
		e.b.WriteByte(')')
	}
}

// char writes a byte as a character, escaped.
func (e *emitter) char(c byte) {
	if wordSet.has(c) || c == ' ' {
		e.b.WriteByte(c)
	} else if c > ' ' && c < 0x7f {
		e.b.WriteByte('\\')
		e.b.WriteByte(c)
	} else {
		fmt.Fprintf(&e.b, `\x{%02x}`, c)
	}
}

func (e *emitter) class(n *node) {
	if n.fold {
		e.literal([]*node{n})
		return
	}
	e.set(n.set)
}

func (e *emitter) set(s byteSet) {
	switch {
	case s.empty():
		e.b.WriteString(`[^\x{0}-\x{10FFFF}]`)
		return
	case s == byteSet{}.negate():
		e.b.WriteString("(?s:.)")
		return
	case s == newlineSet.negate():
		e.b.WriteByte('.')
		return
	}
	if c, single := onlyByte(s); single {
		e.char(c)
		return
	}
	e.b.WriteByte('[')
	if s.has(0xff) { // written as what is not in it: the classes stay small
		e.b.WriteByte('^')
		s = s.negate()
	}
	for c := 0; c < 256; c++ {
		if !s.has(byte(c)) {
			continue
		}
		lo := c
		for c < 255 && s.has(byte(c+1)) {
			c++
		}
		e.char(byte(lo))
		if c > lo {
			if c > lo+1 {
				e.b.WriteByte('-')
			}
			e.char(byte(c))
		}
	}
	e.b.WriteByte(']')
}

func (e *emitter) repeat(n *node, head, tail bool) {
	if n.atomic {
		e.exact = false
	}
	sub := n.subs[0]
	// One time or none leaves what is said of the end true; more do not.
	inner := tail && n.max == 1
	suffix := ""
	if n.lazy {
		suffix = "?"
	}
	unit := func() { e.wrapped(sub, head && (e.starts || n.min > 0 && n.max == 1), inner) }
	if sub.op == opSet {
		unit = func() { e.class(sub) }
	}
	switch {
	case n.max == 0:
		e.b.WriteString("(?:)")
	case n.min == 0 && n.max < 0:
		unit()
		e.b.WriteString("*" + suffix)
	case n.min == 1 && n.max < 0:
		unit()
		e.b.WriteString("+" + suffix)
	case n.min == 0 && n.max == 1:
		unit()
		e.b.WriteString("?" + suffix)
	case n.min == 1 && n.max == 1:
		unit()
	case e.loose && (n.max < 0 && n.min > 8 || n.max > 8):
		unit()
		if n.min > 0 {
			e.b.WriteString("+" + suffix)
		} else {
			e.b.WriteString("*" + suffix)
		}
	default:
		e.counted(n, unit, suffix)
	}
}

// counted writes a counted repetition; RE2 takes counts up to 1000.
func (e *emitter) counted(n *node, unit func(), suffix string) {
	const limit = 1000
	e.b.WriteString("(?:")
	least := n.min
	for least > limit {
		unit()
		fmt.Fprintf(&e.b, "{%d}", limit)
		least -= limit
	}
	switch {
	case n.max < 0:
		unit()
		fmt.Fprintf(&e.b, "{%d,}%s", least, suffix)
	case n.max-n.min+least <= limit:
		unit()
		if n.max == n.min {
			fmt.Fprintf(&e.b, "{%d}", least)
		} else {
			fmt.Fprintf(&e.b, "{%d,%d}%s", least, n.max-n.min+least, suffix)
		}
	default:
		if least > 0 {
			unit()
			fmt.Fprintf(&e.b, "{%d}", least)
		}
		for extra := n.max - n.min; extra > 0; extra -= limit {
			unit()
			fmt.Fprintf(&e.b, "{0,%d}%s", min(extra, limit), suffix)
		}
	}
	e.b.WriteByte(')')
}

// look writes an assertion about one byte at an end of the pattern as that
// byte; any other is left out.
func (e *emitter) look(n *node, head, tail bool) {
	set, single := singleByte(n.subs[0])
	if !single || e.counting || e.starts || n.behind && !head || !n.behind && !tail {
		e.exact = false
		return
	}
	if !n.negated {
		e.set(set)
		return
	}
	set = set.negate()
	if e.where == joined {
		set = set.intersect(newlineSet.negate())
	}
	e.b.WriteString("(?:")
	if n.behind {
		e.begin()
		e.b.WriteByte('|')
		e.set(set)
	} else {
		e.set(set)
		e.b.WriteByte('|')
		e.end()
		if e.where == joined && n.subs[0].set.has('\n') {
			e.exact = false
		}
	}
	e.b.WriteByte(')')
}

// lineEnd: the end of a segment is before its line end and behind it. Behind it
// another segment begins, so that a pattern must not match nothing.
func (e *emitter) lineEnd() {
	e.b.WriteString("(?:(?m:$)|(?m:^))")
	if e.empty {
		e.exact = false
	}
}

func (e *emitter) begin() {
	if e.where == joined {
		e.b.WriteString("(?m:^)")
	} else {
		e.b.WriteString(`\A`)
	}
}

func (e *emitter) end() {
	if e.where == joined {
		e.b.WriteString("(?m:$)")
	} else {
		e.b.WriteString(`\z`)
	}
}

func (e *emitter) assertion(n *node, head, tail bool) {
	if e.starts && head {
		return // what stands before is not known
	}
	switch n.op {
	case opBegin:
		e.begin()
	case opLineBegin:
		e.b.WriteString("(?m:^)")
	case opLineEnd:
		if e.where == joined {
			e.lineEnd()
		} else {
			e.b.WriteString("(?m:$)")
		}
	case opEnd:
		e.end()
		if e.where == joined {
			e.exact = false
		}
	case opEndNL:
		switch {
		case e.where == joined:
			e.lineEnd()
		case tail && !e.counting:
			e.b.WriteString(`(?:\n?\z)`)
		default:
			e.exact = false
		}
	case opWordEdge:
		e.b.WriteString(`\b`)
	case opNotEdge:
		e.b.WriteString(`\B`)
	}
}
