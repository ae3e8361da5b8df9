package match

import (
	"math"
	"regexp/syntax"
	"unicode"
	"unicode/utf8"
)

// bounds tell how far a match can reach from any byte inside it, so that a
// pattern need only be tried on a window around a literal.
type bounds struct {
	// reach is the most characters other than ASCII white space that a
	// match has; unlimited when there is no such number. White space does
	// not count, because \s+ stands in most patterns and seldom meets much.
	reach int
	// takes are the ASCII bytes that a match can contain: it never reaches
	// over any other.
	takes [2]uint64
	// begin, end: the pattern asks for the begin or end of the text; lines,
	// words: for that of a line or word.
	begin, end, lines, words bool
	// heavy: a counted repetition can hold very many states at once.
	heavy bool
}

const unlimited = math.MaxInt32

// heavyCount is the count from which a repetition makes a pattern heavy: after
// X, .{0,n} can be at any subset of n places, so that a hostile text makes a
// new state of the automaton for each of its bytes.
const heavyCount = 8

// measure derives the bounds of a pattern.
func measure(re *syntax.Regexp) *bounds {
	b := &bounds{}
	b.reach = b.longest(re)
	return b
}

// longest returns the reach of a node and marks the bytes that it takes.
func (b *bounds) longest(re *syntax.Regexp) int {
	switch re.Op {
	case syntax.OpBeginText:
		b.begin = true
	case syntax.OpEndText:
		b.end = true
	case syntax.OpBeginLine, syntax.OpEndLine:
		b.lines = true
	case syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		b.words = true
	case syntax.OpLiteral:
		sum := 0
		for _, r := range re.Rune {
			size := b.take(r, r)
			if re.Flags&syntax.FoldCase != 0 {
				for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
					size = max(size, b.take(f, f))
				}
			}
			sum += size
		}
		return sum
	case syntax.OpCharClass:
		size := 0
		for i := 0; i+1 < len(re.Rune); i += 2 {
			size = max(size, b.take(re.Rune[i], re.Rune[i+1]))
		}
		return size
	case syntax.OpAnyCharNotNL:
		b.take(0, '\n'-1)
		return b.take('\n'+1, utf8.MaxRune)
	case syntax.OpAnyChar:
		return b.take(0, utf8.MaxRune)
	case syntax.OpCapture, syntax.OpQuest:
		return b.longest(re.Sub[0])
	case syntax.OpConcat:
		sum := 0
		for _, sub := range re.Sub {
			sum = add(sum, b.longest(sub))
		}
		return sum
	case syntax.OpAlternate:
		most := 0
		for _, sub := range re.Sub {
			most = max(most, b.longest(sub))
		}
		return most
	case syntax.OpStar, syntax.OpPlus:
		return times(unlimited, b.longest(re.Sub[0]))
	case syntax.OpRepeat:
		n := re.Max
		if n < 0 {
			n = unlimited
		}
		if max(re.Min, re.Max) > heavyCount {
			b.heavy = true
		}
		return times(n, b.longest(re.Sub[0]))
	}
	return 0 // assertions and the empty match
}

// measured returns the bounds of a node.
func (d *deriver) measured(re *syntax.Regexp) *bounds {
	if len(re.Sub) == 0 {
		return measure(re)
	}
	b := d.sizes[re]
	if b == nil {
		b = measure(re)
		d.sizes[re] = b
	}
	return b
}

// follow widens reach and bytes by those of the next factor and returns the
// reach of that.
func (b *bounds) follow(next *bounds) int {
	b.reach = add(b.reach, next.reach)
	b.takes[0] |= next.takes[0]
	b.takes[1] |= next.takes[1]
	return next.reach
}

// add adds, holding unlimited.
func add(a, b int) int {
	if a >= unlimited || b >= unlimited || a+b >= unlimited {
		return unlimited
	}
	return a + b
}

// times multiplies, holding unlimited.
func times(n, size int) int {
	if size == 0 || n == 0 {
		return 0
	}
	if n >= unlimited || size >= unlimited || n*size >= unlimited {
		return unlimited
	}
	return n * size
}

// take marks a range of runes and returns 1, or 0 if all are white space.
func (b *bounds) take(lo, hi rune) int {
	if lo == hi && lo < utf8.RuneSelf {
		b.takes[lo>>6] |= 1 << (lo & 63)
		if space(byte(lo)) {
			return 0
		}
		return 1
	}
	set := between([2]byte{byte(min(lo, utf8.RuneSelf)), byte(min(hi, utf8.RuneSelf-1))})
	b.takes[0] |= set[0]
	b.takes[1] |= set[1]
	if hi >= utf8.RuneSelf || set[0]&^spaces|set[1] != 0 {
		return 1
	}
	return 0
}

// taken says whether a match can contain a byte.
func (b *bounds) taken(c byte) bool { return c >= utf8.RuneSelf || b.takes[c>>6]>>(c&63)&1 != 0 }

// spaces are the bits of ASCII white space.
const spaces = 1<<' ' | 1<<'\t' | 1<<'\n' | 1<<'\v' | 1<<'\f' | 1<<'\r'

func space(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// window returns the stretch of text in which every match lies that overlaps
// text[from:to] and has at most left characters other than white space before
// to and right after from. It is cut so that assertions at its ends hold just
// as they do in the text. closed says that no match crosses its ends.
func (b *bounds) window(text string, from, to, left, right int) (lo, hi int, closed bool) {
	closed = true
	if b.begin {
		from = 0
	}
	for lo = from; lo > 0; lo-- {
		c := text[lo-1]
		if !b.taken(c) {
			lo-- // keep it: it is what stands before a match
			break
		}
		if left >= 0 && utf8.RuneStart(c) && !space(c) {
			left--
		}
		if left < 0 && b.cut(text, lo, c) {
			closed = false
			break
		}
	}
	if b.end {
		to = len(text)
	}
	for hi = to; hi < len(text); hi++ {
		c := text[hi]
		if !b.taken(c) {
			hi++
			break
		}
		if right >= 0 && utf8.RuneStart(c) && !space(c) {
			right--
		}
		if right < 0 && b.cut(text, hi, c) {
			closed = false
			break
		}
	}
	return lo, hi, closed
}

// cut says whether text may be cut before text[at], the character c being the
// one beyond the cut: not within a character, and so that the end of what
// remains is one of a word or line if that matters.
func (b *bounds) cut(text string, at int, c byte) bool {
	return utf8.RuneStart(text[at]) && !(b.lines && c != '\n') && !(b.words && word(c))
}
