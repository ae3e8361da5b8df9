package spamassassin

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// Patterns of rule files are Perl's, and they match bytes. A pattern becomes a
// tree whose leaves are sets of bytes; from the tree are made a pattern for
// RE2 (re2.go) and, where RE2 can't say it all, a matcher of our own that tries
// alternatives one after another under a limit (backtrack.go).

type op uint8

const (
	opEmpty     op = iota
	opSet          // one byte of set
	opCat          // subs one after another
	opAlt          // one of subs
	opRepeat       // subs[0], min to max times (max -1: no limit)
	opGroup        // subs[0], captured as number n
	opAtomic       // subs[0], first way to match only
	opLook         // subs[0] matches here: ahead or behind, or must not (negated)
	opBackref      // what group n matched
	opBegin        // \A, ^ without m
	opLineBegin    // ^ with m
	opEnd          // \z
	opEndNL        // \Z, $ without m
	opLineEnd      // $ with m
	opWordEdge     // \b
	opNotEdge      // \B
	opIf           // subs[0] if group n matched, else subs[1]
)

type byteSet [4]uint64

func (s *byteSet) add(c byte)      { s[c>>6] |= 1 << (c & 63) }
func (s *byteSet) has(c byte) bool { return s[c>>6]&(1<<(c&63)) != 0 }
func (s *byteSet) addRange(lo, hi byte) {
	for c := int(lo); c <= int(hi); c++ {
		s.add(byte(c))
	}
}
func (s byteSet) union(t byteSet) byteSet {
	for i := range s {
		s[i] |= t[i]
	}
	return s
}
func (s byteSet) intersect(t byteSet) byteSet {
	for i := range s {
		s[i] &= t[i]
	}
	return s
}
func (s byteSet) negate() byteSet {
	for i := range s {
		s[i] = ^s[i]
	}
	return s
}
func (s byteSet) size() int {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}
func (s byteSet) empty() bool { return s == byteSet{} }

// fold adds the other case of every ASCII letter.
func (s byteSet) fold() byteSet {
	for c := byte('a'); c <= 'z'; c++ {
		if s.has(c) || s.has(c-32) {
			s.add(c)
			s.add(c - 32)
		}
	}
	return s
}

func setOf(chars string) byteSet {
	var s byteSet
	for i := range len(chars) {
		s.add(chars[i])
	}
	return s
}

func rangesOf(pairs string) byteSet {
	var s byteSet
	for i := 0; i+1 < len(pairs); i += 2 {
		s.addRange(pairs[i], pairs[i+1])
	}
	return s
}

var (
	wordSet    = rangesOf("09AZaz__")
	digitSet   = rangesOf("09")
	spaceSet   = setOf(" \t\n\v\f\r")
	newlineSet = setOf("\n")
	blankSet   = setOf(" \t\xa0")
	breakSet   = setOf("\n\v\f\r\x85")
)

// node is a part of a pattern. Trees are never changed once parsed: rewriting
// builds new nodes.
type node struct {
	op       op
	set      byteSet
	fold     bool // a letter of a literal without regard to case
	subs     []*node
	min, max int
	lazy     bool
	atomic   bool // possessive repetition
	n        int
	behind   bool
	negated  bool
}

// regex is a parsed pattern.
type regex struct {
	root   *node
	groups int
	names  map[string]int
}

// An unsupportedError is what a pattern asks for and this package can't do.
type unsupportedError struct{ what string }

func (e *unsupportedError) Error() string { return e.what }

func unsupported(format string, args ...any) error {
	return &unsupportedError{fmt.Sprintf(format, args...)}
}

// maxDepth bounds how deep groups may be nested, maxNodes how many parts a
// pattern may have.
const (
	maxDepth = 200
	maxNodes = 200000
)

type regexFlags struct{ i, m, s, x, xx, n bool }

type regexParser struct {
	src   string
	pos   int
	flags regexFlags
	re    *regex
	depth int
	nodes int
}

// parseRegex parses a pattern without delimiters; flags are modifiers as
// behind the delimiter.
func parseRegex(src, modifiers string) (re *regex, err error) {
	p := &regexParser{src: src, re: &regex{names: map[string]int{}}}
	for _, m := range modifiers {
		if err := p.flag(m, true); err != nil {
			return nil, err
		}
	}
	root, err := p.alternatives()
	if err != nil {
		return nil, err
	}
	if p.pos < len(p.src) {
		return nil, fmt.Errorf("unmatched ) at offset %d", p.pos)
	}
	p.re.root = root
	if err := p.checkReferences(root); err != nil {
		return nil, err
	}
	return p.re, nil
}

func (p *regexParser) checkReferences(n *node) error {
	if (n.op == opBackref || n.op == opIf) && n.n > p.re.groups {
		return fmt.Errorf("reference to group %d, which does not exist", n.n)
	}
	for _, sub := range n.subs {
		if err := p.checkReferences(sub); err != nil {
			return err
		}
	}
	return nil
}

func (p *regexParser) flag(m rune, on bool) error {
	switch m {
	case 'i':
		p.flags.i = on
	case 'm':
		p.flags.m = on
	case 's':
		p.flags.s = on
	case 'x':
		p.flags.x = on
	case 'n':
		p.flags.n = on
	case 'a', 'u', 'l', 'd', 'g', 'o', 'p', 'c': // character semantics are always those of bytes
	default:
		return fmt.Errorf("unknown modifier %q", m)
	}
	return nil
}

func (p *regexParser) more() bool { return p.pos < len(p.src) }

func (p *regexParser) peek(s string) bool { return strings.HasPrefix(p.src[p.pos:], s) }

func (p *regexParser) accept(s string) bool {
	if p.peek(s) {
		p.pos += len(s)
		return true
	}
	return false
}

func (p *regexParser) alternatives() (*node, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, unsupported("groups nested deeper than %d", maxDepth)
	}
	defer func() { p.depth-- }()
	var alts []*node
	for {
		n, err := p.sequence()
		if err != nil {
			return nil, err
		}
		alts = append(alts, n)
		if !p.accept("|") {
			break
		}
	}
	if len(alts) == 1 {
		return alts[0], nil
	}
	return &node{op: opAlt, subs: alts}, nil
}

func (p *regexParser) sequence() (*node, error) {
	var subs []*node
	for p.more() && p.src[p.pos] != '|' && p.src[p.pos] != ')' {
		if p.flags.x && p.skipSpace() {
			continue
		}
		if p.nodes++; p.nodes > maxNodes {
			return nil, unsupported("more than %d parts", maxNodes)
		}
		n, err := p.atom()
		if err != nil {
			return nil, err
		}
		if n == nil {
			continue
		}
		if n, err = p.quantified(n); err != nil {
			return nil, err
		}
		if n.op == opCat {
			subs = append(subs, n.subs...)
		} else {
			subs = append(subs, n)
		}
	}
	return cat(subs), nil
}

func cat(subs []*node) *node {
	switch len(subs) {
	case 0:
		return &node{op: opEmpty}
	case 1:
		return subs[0]
	}
	return &node{op: opCat, subs: subs}
}

// skipSpace skips white space or a comment under the modifier x.
func (p *regexParser) skipSpace() bool {
	switch c := p.src[p.pos]; {
	case spaceSet.has(c):
		p.pos++
		return true
	case c == '#':
		if i := strings.IndexByte(p.src[p.pos:], '\n'); i >= 0 {
			p.pos += i + 1
		} else {
			p.pos = len(p.src)
		}
		return true
	}
	return false
}

// quantified applies the repetitions that follow an atom.
func (p *regexParser) quantified(n *node) (*node, error) {
	for p.flags.x && p.more() && p.skipSpace() {
	}
	if !p.more() {
		return n, nil
	}
	least, most, ok := 0, -1, true
	switch p.src[p.pos] {
	case '*':
		p.pos++
	case '+':
		p.pos++
		least = 1
	case '?':
		p.pos++
		most = 1
	case '{':
		least, most, ok = p.braces()
	default:
		ok = false
	}
	if !ok {
		return n, nil
	}
	if most >= 0 && least > most {
		return nil, fmt.Errorf("repetition {%d,%d} out of order", least, most)
	}
	if least > 65534 || most > 65534 {
		return nil, fmt.Errorf("repetition count too large")
	}
	r := &node{op: opRepeat, subs: []*node{n}, min: least, max: most}
	if p.accept("?") {
		r.lazy = true
	} else if p.accept("+") {
		r.atomic = true
	}
	for p.flags.x && p.more() && p.skipSpace() {
	}
	if p.more() && (strings.IndexByte("*+?", p.src[p.pos]) >= 0 || p.src[p.pos] == '{' && p.isBraces()) {
		return nil, fmt.Errorf("nested quantifiers at offset %d", p.pos)
	}
	return r, nil
}

func (p *regexParser) isBraces() bool {
	at := p.pos
	_, _, ok := p.braces()
	p.pos = at
	return ok
}

// braces reads {n}, {n,}, {n,m} or {,m}; anything else is literal.
func (p *regexParser) braces() (least, most int, ok bool) {
	end := strings.IndexByte(p.src[p.pos:], '}')
	if end < 0 || end > 24 {
		return 0, 0, false
	}
	inner := p.src[p.pos+1 : p.pos+end]
	lo, hi, comma := strings.Cut(inner, ",")
	lo, hi = strings.TrimSpace(lo), strings.TrimSpace(hi)
	if lo == "" && hi == "" {
		return 0, 0, false
	}
	number := func(s string) (int, bool) {
		if s == "" || strings.Trim(s, "0123456789") != "" || len(s) > 7 {
			return 0, false
		}
		n, err := strconv.Atoi(s)
		return n, err == nil
	}
	if lo != "" {
		if least, ok = number(lo); !ok {
			return 0, 0, false
		}
	}
	switch {
	case !comma:
		most = least
	case hi == "":
		most = -1
	default:
		if most, ok = number(hi); !ok {
			return 0, 0, false
		}
	}
	p.pos += end + 1
	return least, most, true
}

func (p *regexParser) literal(c byte) *node {
	n := &node{op: opSet}
	n.set.add(c)
	if p.flags.i && (c|32) >= 'a' && (c|32) <= 'z' {
		n.set = n.set.fold()
		n.fold = true
	}
	return n
}

func (p *regexParser) setNode(s byteSet) *node {
	return &node{op: opSet, set: s}
}

// atom reads one atom; nil when there is only a modifier or comment.
func (p *regexParser) atom() (*node, error) {
	c := p.src[p.pos]
	switch c {
	case '(':
		return p.group()
	case '[':
		s, err := p.class()
		if err != nil {
			return nil, err
		}
		return p.setNode(s), nil
	case '.':
		p.pos++
		if p.flags.s {
			return p.setNode(byteSet{}.negate()), nil
		}
		return p.setNode(newlineSet.negate()), nil
	case '^':
		p.pos++
		if p.flags.m {
			return &node{op: opLineBegin}, nil
		}
		return &node{op: opBegin}, nil
	case '$':
		p.pos++
		if p.flags.m {
			return &node{op: opLineEnd}, nil
		}
		return &node{op: opEndNL}, nil
	case '*', '+', '?':
		return nil, fmt.Errorf("quantifier %q follows nothing at offset %d", c, p.pos)
	case '{':
		if p.isBraces() {
			return nil, fmt.Errorf("quantifier follows nothing at offset %d", p.pos)
		}
	case '\\':
		return p.escape()
	}
	p.pos++
	return p.literal(c), nil
}
