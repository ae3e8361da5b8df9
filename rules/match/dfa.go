package match

import (
	"cmp"
	"slices"
	"unicode/utf8"
)

// A dfa finds all occurrences of many folded literals in one pass: an
// Aho-Corasick automaton written out as a dense table. Bytes that no literal
// tells apart share a column; upper-case ASCII letters share that of the
// lower-case ones. Beyond ASCII every character that folds to the same leads
// to the same state, so that a literal needs no variants.
//
// What costs is not the number of steps but memory that is not in the cache:
// so the columns of the commonest bytes come first and the rows of the shortest
// prefixes, which text visits most, stand together.
type dfa struct {
	class [256]uint16
	shift uint          // log2 of the columns, more than 4: a row is whole cache lines
	small table[uint16] // one of the two
	large table[uint32]
	first int       // states from here on are those in which a literal ends
	outs  [][]int32 // literals that end in each of them
}

// table is the next state by state and class.
type table[T uint16 | uint32] []T

// commonBytes are the bytes of mail from the commonest on.
const commonBytes = " etaoinsrhldcumfpgwybvk.,-0123456789:/xjqz\n<>\"='()"

// builder is the automaton as a graph. A node stands for all texts that fold
// to the same characters, followed by the first bytes of one more.
type builder struct {
	class *[256]uint16
	width int
	edges [][]int32 // child by node and class, -1 none
	depth []int32   // 4 × characters + bytes of one more
	ends  [][]int32
}

func (b *builder) node(depth int32) int32 {
	row := make([]int32, b.width)
	for c := range row {
		row[c] = -1
	}
	b.edges = append(b.edges, row)
	b.depth = append(b.depth, depth)
	b.ends = append(b.ends, nil)
	return int32(len(b.ends) - 1)
}

// add leads from a node over each spelling of a character to one child.
func (b *builder) add(at int32, r rune) int32 {
	child := int32(-1)
	spellings := orbit(r)
	var buf [utf8.UTFMax]byte
	for _, v := range spellings {
		node := at
		enc := buf[:utf8.EncodeRune(buf[:], v)]
		for i, c := range enc {
			edge := &b.edges[node][b.class[c]]
			last := i == len(enc)-1
			switch {
			case last && *edge < 0:
				if child < 0 {
					child = b.node(b.depth[at] + 4)
				}
				*edge = child
			case last:
				child = *edge
			case *edge < 0:
				node = b.node(b.depth[at] + int32(i) + 1)
				*edge = node
			default:
				node = *edge
			}
		}
	}
	return child
}

// newDFA builds the automaton; literals are folded and not empty.
func newDFA(literals []string) *dfa {
	d := &dfa{}
	var used [256]bool
	for _, lit := range literals {
		for _, r := range lit {
			for _, v := range orbit(r) {
				for _, c := range []byte(string(v)) {
					used[c] = true
				}
			}
		}
	}
	n := uint16(1) // column 0: bytes in no literal
	column := func(c byte) {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if d.class[c] == 0 {
			d.class[c] = n
			n++
		}
	}
	for _, c := range []byte(commonBytes) {
		if used[c] {
			column(c)
		}
	}
	for c := range used {
		if used[c] {
			column(byte(c))
		}
	}
	for c := 'A'; c <= 'Z'; c++ {
		d.class[c] = d.class[c+'a'-'A']
	}
	d.shift = 5
	for 1<<d.shift < int(n) {
		d.shift++
	}
	w := 1 << d.shift
	b := &builder{class: &d.class, width: w}
	b.node(0)
	for id, lit := range literals {
		at := int32(0)
		for _, r := range lit {
			at = b.add(at, r)
		}
		b.ends[at] = append(b.ends[at], int32(id))
	}

	// From the shortest to the longest: a missing child is that of the
	// longest proper suffix, and what ends in the suffix ends here too.
	states := len(b.ends)
	order := make([]int32, states)
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(x, y int32) int { return cmp.Compare(b.depth[x], b.depth[y]) })
	suffix := make([]int32, states)
	for _, s := range order {
		f := suffix[s]
		if s != 0 {
			b.ends[s] = append(b.ends[s], b.ends[f]...)
		}
		for c := range w {
			other := int32(0)
			if s != 0 {
				other = b.edges[f][c]
			}
			if child := b.edges[s][c]; child >= 0 {
				suffix[child] = other
			} else {
				b.edges[s][c] = other
			}
		}
	}

	// Number the states so that those with an end come last: one comparison
	// tells them. Otherwise the order is that of length.
	number := make([]int32, states)
	ranked := make([]int32, 0, states)
	for _, s := range order {
		if len(b.ends[s]) == 0 {
			ranked = append(ranked, s)
		}
	}
	d.first = len(ranked)
	for _, s := range order {
		if len(b.ends[s]) > 0 {
			ranked = append(ranked, s)
			d.outs = append(d.outs, slices.Clip(b.ends[s]))
		}
	}
	for i, s := range ranked {
		number[s] = int32(i)
	}
	if states <= 1<<16 {
		d.small = newTable[uint16](b, ranked, number)
	} else {
		d.large = newTable[uint32](b, ranked, number)
	}
	return d
}

func newTable[T uint16 | uint32](b *builder, ranked, number []int32) table[T] {
	t := make(table[T], len(ranked)*b.width)
	for i, s := range ranked {
		for c, next := range b.edges[s] {
			t[i*b.width+c] = T(number[next])
		}
	}
	return t
}

// scan records each literal that ends somewhere in text.
func (d *dfa) scan(text string, sc *scratch) {
	if d.small != nil {
		d.small.scan(d, text, sc)
	} else {
		d.large.scan(d, text, sc)
	}
}

func (t table[T]) scan(d *dfa, text string, sc *scratch) {
	class, shift, first := &d.class, d.shift&31, d.first
	s := 0
	for i := 0; i < len(text); i++ {
		s = int(t[s<<shift+int(class[text[i]])])
		if s >= first {
			for _, lit := range d.outs[s-first] {
				sc.note(lit, i+1)
			}
		}
	}
}
