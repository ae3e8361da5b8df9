package match

import (
	"math/bits"
	"regexp/syntax"
	"slices"
	"unicode"
	"unicode/utf8"
)

// A program is a piece of a pattern as a nondeterministic automaton over
// bytes, to be run forward or, when it was compiled backward, from the end of
// a match to its begin. It takes what RE2 takes, byte by byte: of characters
// beyond ASCII their encoding in UTF-8.
type program struct {
	classes int
	lines   bool       // asks for begins or ends of lines,
	words   bool       // of words,
	edges   bool       // or of the text
	class   [256]uint8 // bytes that no set of the pattern tells apart are of one class
	start   int32
	nodes   []node
	sets    []uint64 // classes of bytes, words of them for each
	words64 int
	samples []byte // one byte of each class
}

type operation uint8

const (
	opMatch operation = iota
	opSet             // takes a byte of a set
	opFork            // goes two ways
	opBeginText
	opEndText
	opBeginLine
	opEndLine
	opBoundary
	opNoBoundary
)

type node struct {
	op             operation
	set, out, also uint16
}

// maxNodes bounds a program. Patterns that need more are left to RE2.
const maxNodes = 12000

// takes says whether a set has a class of bytes.
func (p *program) takes(set uint16, class uint32) bool {
	return p.sets[int(set)*p.words64+int(class>>6)]>>(class&63)&1 != 0
}

// assembler builds a program from the end: each piece is told what follows it.
type assembler struct {
	program
	backward bool
	shapes   *shapeCache
	bytes256 [][4]uint64 // the sets, of bytes
	full     bool
}

// assemble compiles a concatenation, nil if it takes too many nodes.
func assemble(factors []*syntax.Regexp, backward bool, shapes *shapeCache) *program {
	a := &assembler{backward: backward, shapes: shapes}
	a.nodes = make([]node, 0, 64)
	a.start = a.sequence(factors, a.node(node{op: opMatch}))
	if a.full {
		return nil
	}
	a.classify()
	p := a.program
	p.nodes = slices.Clone(p.nodes)
	return &p
}

func (a *assembler) node(n node) int32 {
	if len(a.nodes) >= maxNodes {
		a.full = true
		return 0
	}
	a.nodes = append(a.nodes, n)
	return int32(len(a.nodes) - 1)
}

func (a *assembler) fork(out, also int32) int32 {
	return a.node(node{op: opFork, out: uint16(out), also: uint16(also)})
}

func (a *assembler) sequence(factors []*syntax.Regexp, next int32) int32 {
	for i := range factors {
		if !a.backward {
			i = len(factors) - 1 - i
		}
		next = a.piece(factors[i], next)
	}
	return next
}

// piece compiles one node of the syntax tree.
func (a *assembler) piece(re *syntax.Regexp, next int32) int32 {
	if a.full {
		return 0
	}
	switch re.Op {
	case syntax.OpEmptyMatch:
		return next
	case syntax.OpLiteral:
		for i := range re.Rune {
			if !a.backward {
				i = len(re.Rune) - 1 - i
			}
			r := re.Rune[i]
			if re.Flags&syntax.FoldCase == 0 {
				next = a.runes([]rune{r, r}, next)
				continue
			}
			var ranges []rune
			for _, v := range orbit(r) {
				ranges = append(ranges, v, v)
			}
			next = a.runes(ranges, next)
		}
		return next
	case syntax.OpCharClass:
		return a.runes(re.Rune, next)
	case syntax.OpAnyCharNotNL:
		return a.runes([]rune{0, '\n' - 1, '\n' + 1, unicode.MaxRune}, next)
	case syntax.OpAnyChar:
		return a.runes([]rune{0, unicode.MaxRune}, next)
	case syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return a.node(node{op: a.assertion(re.Op), out: uint16(next)})
	case syntax.OpCapture:
		return a.piece(re.Sub[0], next)
	case syntax.OpConcat:
		return a.sequence(re.Sub, next)
	case syntax.OpAlternate:
		at := a.piece(re.Sub[len(re.Sub)-1], next)
		for i := len(re.Sub) - 2; i >= 0; i-- {
			at = a.fork(a.piece(re.Sub[i], next), at)
		}
		return at
	case syntax.OpQuest:
		return a.fork(a.piece(re.Sub[0], next), next)
	case syntax.OpStar:
		return a.loop(re.Sub[0], next)
	case syntax.OpPlus:
		return a.piece(re.Sub[0], a.loop(re.Sub[0], next))
	case syntax.OpRepeat:
		at := next
		if re.Max < 0 {
			at = a.loop(re.Sub[0], next)
		}
		for range re.Max - re.Min {
			at = a.fork(a.piece(re.Sub[0], at), next)
		}
		for range re.Min {
			at = a.piece(re.Sub[0], at)
		}
		return at
	}
	return a.runes(nil, next) // OpNoMatch: a set without bytes
}

// loop compiles any number of a piece.
func (a *assembler) loop(re *syntax.Regexp, next int32) int32 {
	fork := a.fork(0, next)
	if out := a.piece(re, fork); !a.full {
		a.nodes[fork].out = uint16(out)
	}
	return fork
}

// assertion names what is asked for; backward, begin and end change places.
func (a *assembler) assertion(op syntax.Op) operation {
	back := a.backward
	switch op {
	case syntax.OpBeginText, syntax.OpEndText:
		a.edges = true
		if (op == syntax.OpBeginText) != back {
			return opBeginText
		}
		return opEndText
	case syntax.OpBeginLine, syntax.OpEndLine:
		a.lines = true
		if (op == syntax.OpBeginLine) != back {
			return opBeginLine
		}
		return opEndLine
	case syntax.OpWordBoundary:
		a.words = true
		return opBoundary
	}
	a.words = true
	return opNoBoundary
}

// runes compiles one character out of ranges.
func (a *assembler) runes(ranges []rune, next int32) int32 {
	var ascii [4]uint64
	var few [8]rune
	rest := few[:0]
	for i := 0; i+1 < len(ranges); i += 2 {
		lo, hi := ranges[i], ranges[i+1]
		if lo < utf8.RuneSelf {
			ascii = joined(ascii, between([2]byte{byte(lo), byte(min(hi, utf8.RuneSelf-1))}))
		}
		if hi >= utf8.RuneSelf {
			rest = append(rest, max(lo, utf8.RuneSelf), hi)
		}
	}
	if len(rest) == 0 {
		return a.take(ascii, next)
	}
	at := int32(-1)
	if ascii != [4]uint64{} {
		at = a.take(ascii, next)
	}
	all := a.shapes.get(rest, a.backward)
	planted := make([]int32, len(all.steps))
	for id := range all.steps { // those that others lead to come first
		n := int32(-1)
		if id == len(all.steps)-1 {
			n = at
		}
		for _, x := range all.steps[id] {
			to := next
			if x.next != done {
				to = planted[x.next]
			}
			if taken := a.take(x.set, to); n < 0 {
				n = taken
			} else {
				n = a.fork(taken, n)
			}
		}
		planted[id] = n
	}
	return planted[len(planted)-1]
}

// encoded adds the encodings of a range beyond ASCII, as ranges of bytes. Like
// RE2 it takes for all of it whatever looks like an encoding.
func encoded(lo, hi rune, list [][][2]byte) [][][2]byte {
	if lo > hi {
		return list
	}
	if lo == utf8.RuneSelf && hi == unicode.MaxRune {
		for n, first := range [3][2]byte{{0xC2, 0xDF}, {0xE0, 0xEF}, {0xF0, 0xF4}} {
			sequence := [4][2]byte{first, {0x80, 0xBF}, {0x80, 0xBF}, {0x80, 0xBF}}
			list = append(list, sequence[:n+2])
		}
		return list
	}
	for _, most := range [3]rune{0x7F, 0x7FF, 0xFFFF} {
		if lo <= most && most < hi {
			return encoded(most+1, hi, encoded(lo, most, list))
		}
	}
	for i := 1; i < utf8.UTFMax; i++ {
		m := rune(1)<<(6*i) - 1 // the last i bytes
		if lo&^m != hi&^m {
			if lo&m != 0 {
				return encoded((lo|m)+1, hi, encoded(lo, lo|m, list))
			}
			if hi&m != m {
				return encoded(hi&^m, hi, encoded(lo, hi&^m-1, list))
			}
		}
	}
	from, to := encode(lo), encode(hi)
	sequence := make([][2]byte, len(from))
	for i := range sequence {
		sequence[i] = [2]byte{from[i], to[i]}
	}
	return append(list, sequence)
}

// encode is utf8.AppendRune that takes surrogates too.
func encode(r rune) []byte {
	switch {
	case r < 0x800:
		return []byte{0xC0 | byte(r>>6), 0x80 | byte(r&0x3F)}
	case r < 0x10000:
		return []byte{0xE0 | byte(r>>12), 0x80 | byte(r>>6&0x3F), 0x80 | byte(r&0x3F)}
	}
	return []byte{0xF0 | byte(r>>18), 0x80 | byte(r>>12&0x3F), 0x80 | byte(r>>6&0x3F), 0x80 | byte(r&0x3F)}
}

func between(r [2]byte) (set [4]uint64) {
	for w := range set {
		lo, hi := max(int(r[0]), w<<6), min(int(r[1]), w<<6+63)
		if lo <= hi {
			set[w] = ^uint64(0) >> (63 - (hi - lo)) << (lo & 63)
		}
	}
	return set
}

func joined(a, b [4]uint64) [4]uint64 {
	return [4]uint64{a[0] | b[0], a[1] | b[1], a[2] | b[2], a[3] | b[3]}
}

// take compiles one byte of a set.
func (a *assembler) take(set [4]uint64, next int32) int32 {
	return a.node(node{op: opSet, set: uint16(a.set(set)), out: uint16(next)})
}

func (a *assembler) set(set [4]uint64) int32 {
	for i := len(a.bytes256) - 1; i >= 0; i-- {
		if a.bytes256[i] == set {
			return int32(i)
		}
	}
	a.bytes256 = append(a.bytes256, set)
	return int32(len(a.bytes256) - 1)
}

// opening returns the bytes with which what the program takes must begin; not
// ok if it can take nothing.
func (p *program) opening() (set [4]uint64, ok bool) {
	classes := make([]uint64, p.words64)
	seen := make([]bool, len(p.nodes))
	stack := []uint16{uint16(p.start)}
	for len(stack) > 0 {
		i := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if seen[i] {
			continue
		}
		seen[i] = true
		switch n := &p.nodes[i]; n.op {
		case opMatch:
			return set, false
		case opSet:
			for w := range classes {
				classes[w] |= p.sets[int(n.set)*p.words64+w]
			}
		case opFork:
			stack = append(stack, n.out, n.also)
		default: // an assertion that may hold
			stack = append(stack, n.out)
		}
	}
	for c := range 256 {
		if k := p.class[c]; classes[k>>6]>>(k&63)&1 != 0 {
			set[c>>6] |= 1 << (c & 63)
		}
	}
	return set, true
}

// classify numbers the classes of bytes, by splitting one class set by set.
func (a *assembler) classify() {
	sets := a.bytes256
	if a.words {
		var set [4]uint64
		for c := range 128 {
			if word(byte(c)) {
				set[c>>6] |= 1 << (c & 63)
			}
		}
		sets = append(sets[:len(sets):len(sets)], set)
	}
	if a.lines {
		sets = append(sets[:len(sets):len(sets)], [4]uint64{1 << '\n'})
	}
	var sizes, inside [256]int16 // bytes of each class, and those of them in the set
	var moved [256]uint8         // the new class of those
	sizes[0] = 256
	a.classes = 1
	for _, set := range sets {
		if bits.OnesCount64(set[0])+bits.OnesCount64(set[1])+bits.OnesCount64(set[2])+bits.OnesCount64(set[3]) > 128 {
			set = [4]uint64{^set[0], ^set[1], ^set[2], ^set[3]} // tells the same bytes apart
		}
		for w, some := range set {
			for ; some != 0; some &= some - 1 {
				inside[a.class[w<<6+bits.TrailingZeros64(some)]]++
			}
		}
		for w, some := range set {
			for ; some != 0; some &= some - 1 {
				c := w<<6 + bits.TrailingZeros64(some)
				k := a.class[c]
				if inside[k] == sizes[k] {
					continue // the whole class is in the set
				}
				if moved[k] == 0 {
					moved[k] = uint8(a.classes) // never 0: that is the first
					a.classes++
				}
				a.class[c] = moved[k]
			}
		}
		for w, some := range set {
			for ; some != 0; some &= some - 1 {
				to := a.class[w<<6+bits.TrailingZeros64(some)]
				inside[to] = 0
			}
		}
		for k := range a.classes {
			if to := moved[k]; to != 0 {
				sizes[to] = inside[k]
				sizes[k] -= inside[k]
				inside[k], moved[k] = 0, 0
			}
		}
	}
	a.samples = make([]byte, a.classes)
	for c := range 256 {
		a.samples[a.class[c]] = byte(c)
	}
	a.words64 = (a.classes + 63) / 64
	a.program.sets = make([]uint64, len(a.bytes256)*a.words64)
	for i, set := range a.bytes256 {
		for k, c := range a.samples {
			if set[c>>6]>>(c&63)&1 != 0 {
				a.program.sets[i*a.words64+(k>>6)] |= 1 << (k & 63)
			}
		}
	}
}
