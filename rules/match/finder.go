package match

import (
	"math/bits"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A finder finds all occurrences of many folded literals in one pass.
//
// The literals are a trie. At each byte of the text, the four bytes from there
// on are looked up in a bit map of what literals begin with; most text ends
// there. Where the bit is set the trie is walked. Beyond ASCII each spelling
// of a character that folds to the same leads to the same node, so that a
// literal needs no variants; case in ASCII is one column.
//
// The trie is stored as one array in which the edges of all nodes interleave:
// a node is the place where its edges begin, and the edge of a column stands
// that many slots further on, if what stands there names the node. So the
// literals of all rules fit into the cache.
type finder struct {
	class [256]uint8 // column of a byte; 0: in no literal
	slots []slot
	root  int32
	// grams are the four bytes that literals begin with, short the three of
	// shorter ones. Case in ASCII does not count.
	grams, short filter
	signs        []sign
	edges        []byte // of each literal
}

// filter is a bit map of hashes.
type filter struct {
	words []uint64
	shift uint // 32 - log2 of the bits
}

func newFilter(values []uint32) filter {
	slices.Sort(values)
	values = slices.Compact(values)
	size := max(8, min(17, bits.Len(uint(len(values)))+5))
	f := filter{make([]uint64, 1<<size>>6), uint(32 - size)}
	for _, v := range values {
		h := f.hash(v)
		f.words[h>>6] |= 1 << (h & 63)
	}
	return f
}

func (f *filter) hash(v uint32) uint32 { return v * 0x9E3779B1 >> (f.shift & 31) }

// may returns 1 if a value may be among those of the filter.
func (f *filter) may(v uint32) uint64 {
	h := f.hash(v)
	return f.words[h>>6] >> (h & 63) & 1
}

// starts are what literals begin with: four bytes, or three of shorter ones
// moved up by one.
type starts struct{ grams, short []uint32 }

// slot is an edge.
type slot struct {
	from    int32 // node that it is an edge of
	to      int32 // node that it leads to; childless without edges
	literal int32 // that ends there, -1 none
}

// sign is a literal of one byte.
type sign struct {
	c       byte
	literal int32
}

const childless = -1 << 20

// builder is the trie as a graph. A node stands for all texts that fold to the
// same characters, followed by the first bytes of one more.
type builder struct {
	class *[256]uint8
	first []int32 // edge of each node, -1 none
	ends  []int32 // literal that ends in each node, -1 none
	edges []edge
}

type edge struct {
	to, next int32
	column   uint8
}

func (b *builder) node() int32 {
	b.first = append(b.first, -1)
	b.ends = append(b.ends, -1)
	return int32(len(b.first) - 1)
}

// child returns where the edge of a byte leads, -1 if there is none.
func (b *builder) child(node int32, c byte) int32 {
	for e := b.first[node]; e >= 0; e = b.edges[e].next {
		if b.edges[e].column == b.class[c] {
			return b.edges[e].to
		}
	}
	return -1
}

func (b *builder) link(node int32, c byte, to int32) {
	b.edges = append(b.edges, edge{to, b.first[node], b.class[c]})
	b.first[node] = int32(len(b.edges) - 1)
}

// add leads from a node over each spelling of a character to one child.
func (b *builder) add(at int32, r rune) int32 {
	child := int32(-1)
	var buf [utf8.UTFMax]byte
	for v := r; ; {
		node := at
		enc := buf[:utf8.EncodeRune(buf[:], v)]
		for i, c := range enc {
			next := b.child(node, c)
			switch last := i == len(enc)-1; {
			case last && next < 0:
				if child < 0 {
					child = b.node()
				}
				b.link(node, c, child)
			case last:
				child = next
			case next < 0:
				next = b.node()
				b.link(node, c, next)
				fallthrough
			default:
				node = next
			}
		}
		if v = unicode.SimpleFold(v); v == r {
			return child
		}
	}
}

// newFinder builds the finder; literals are folded, different and not empty.
// Of those with edges only what begins or ends where a word does is found.
func newFinder(literals []string, edges []byte) *finder {
	f := &finder{edges: edges}
	b := &builder{class: &f.class}
	bytes := f.columns(literals)
	b.node()
	for id, lit := range literals {
		at := int32(0)
		for _, r := range lit {
			at = b.add(at, r)
		}
		b.ends[at] = int32(id)
	}
	for e := b.first[0]; e >= 0; e = b.edges[e].next {
		c, to := bytes[b.edges[e].column], b.edges[e].to
		if lit := b.ends[to]; lit >= 0 && !asciiLetter(c) {
			f.signs = append(f.signs, sign{c, lit})
			b.ends[to] = -1
		}
	}
	var all starts
	all.begin(b, &bytes, 0, 0, 0)
	f.grams, f.short = newFilter(all.grams), newFilter(all.short)
	f.place(b)
	return f
}

// columns numbers the bytes that literals and their spellings consist of, and
// returns the byte of each column, a letter in lower case.
func (f *finder) columns(literals []string) (bytes [256]byte) {
	n := 0
	add := func(c byte) {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if f.class[c] == 0 {
			n++
			f.class[c] = uint8(n)
			bytes[n] = c
		}
	}
	var known map[rune]bool
	var buf [utf8.UTFMax]byte
	for _, lit := range literals {
		for _, r := range lit {
			if r < utf8.RuneSelf && f.class[r] != 0 || known[r] {
				continue
			}
			if r >= utf8.RuneSelf {
				if known == nil {
					known = map[rune]bool{}
				}
				known[r] = true
			}
			for v := r; ; {
				for _, c := range buf[:utf8.EncodeRune(buf[:], v)] {
					add(c)
				}
				if v = unicode.SimpleFold(v); v == r {
					break
				}
			}
		}
	}
	for c := 'A'; c <= 'Z'; c++ {
		f.class[c] = f.class[c+'a'-'A']
	}
	return bytes
}

func asciiLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// caseless sets the bit that tells the cases of ASCII apart in four bytes. It
// makes a few other bytes equal, which costs a walk of the trie now and then.
const caseless = 0x20202020

// begin enters what the paths from a node on begin with; the n bytes before it
// are v.
func (s *starts) begin(b *builder, bytes *[256]byte, node int32, v uint32, n int) {
	if b.ends[node] >= 0 {
		s.enter(v, n)
	}
	if n == 4 {
		s.grams = append(s.grams, v|caseless)
		return
	}
	for e := b.first[node]; e >= 0; e = b.edges[e].next {
		s.begin(b, bytes, b.edges[e].to, v|uint32(bytes[b.edges[e].column])<<(8*n), n+1)
	}
}

// enter enters a literal of n bytes, fewer than four, with all that may follow
// it within three.
func (s *starts) enter(v uint32, n int) {
	switch n {
	case 1, 2:
		for c := range uint32(128) {
			s.enter(v|(c&^31<<1|c&31|0x20)<<(8*n), n+1)
		}
	case 3:
		s.short = append(s.short, (v|caseless)<<8)
	}
}

// place lays the nodes with most edges out first; those with one fill the gaps.
func (f *finder) place(b *builder) {
	states := len(b.first)
	degree := make([]uint8, states)
	order := make([]int32, 0, states)
	base := make([]int32, states)
	for node := range b.first {
		base[node] = childless
		for e := b.first[node]; e >= 0; e = b.edges[e].next {
			degree[node]++
		}
		if degree[node] > 0 {
			order = append(order, int32(node))
		}
	}
	slices.SortStableFunc(order, func(x, y int32) int { return int(degree[y]) - int(degree[x]) })
	taken := make([]bool, len(b.edges)+1024)
	based := make([]bool, len(b.edges)+1024)
	from, tries, gaps := 256, 0, false // where the search for room begins
	columns := make([]int, 0, 256)
	for _, node := range order {
		columns = columns[:0]
		for e := b.first[node]; e >= 0; e = b.edges[e].next {
			columns = append(columns, int(b.edges[e].column))
		}
		if len(columns) == 1 && !gaps {
			from, tries, gaps = 256, 0, true
		}
		for at := from; ; at++ {
			if at+512 > len(taken) {
				taken = append(taken, make([]bool, len(taken))...)
				based = append(based, make([]bool, len(based))...)
			}
			if taken[at] {
				if at == from {
					from++
				}
				continue
			}
			start := at - columns[0]
			if based[start] || slices.ContainsFunc(columns, func(c int) bool { return taken[start+c] }) {
				if tries++; tries > 64 { // leave the gaps to others
					from, tries = at+1, 0
				}
				continue
			}
			based[start] = true
			for _, c := range columns {
				taken[start+c] = true
			}
			base[node] = int32(start)
			break
		}
	}
	last := 0
	for at := range taken {
		if taken[at] || based[at] {
			last = at
		}
	}
	f.slots = make([]slot, last+257)
	for i := range f.slots {
		f.slots[i].from = childless
	}
	for _, node := range order {
		for e := b.first[node]; e >= 0; e = b.edges[e].next {
			to := b.edges[e].to
			f.slots[base[node]+int32(b.edges[e].column)] = slot{base[node], base[to], b.ends[to]}
		}
	}
	f.root = base[0]
}

// scan records each literal that occurs in text, the places of each in their
// order.
func (f *finder) scan(text string, sc *scratch) {
	for _, s := range f.signs {
		for at := 0; ; {
			i := strings.IndexByte(text[at:], s.c)
			if i < 0 || !sc.note(s.literal, at+i+1) {
				break
			}
			at += i + 1
		}
	}
	i := 0
	for ; i+8 <= len(text); i += 4 {
		w := word64(text[i:i+8]) | caseless<<32 | caseless
		for j := range 4 {
			v := uint32(w >> (8 * j))
			if f.grams.may(v)|f.short.may(v<<8) != 0 {
				f.walk(text, i+j, sc)
			}
		}
	}
	for ; i < len(text); i++ {
		f.walk(text, i, sc)
	}
}

func word64(b string) uint64 {
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

// walk records the literals that begin at an offset.
func (f *finder) walk(text string, i int, sc *scratch) {
	start := i
	for at := f.root; i < len(text); i++ {
		c := f.class[text[i]]
		if c == 0 {
			return
		}
		s := &f.slots[at+int32(c)]
		if s.from != at {
			return
		}
		if lit := s.literal; lit >= 0 {
			e := f.edges[lit]
			if e == 0 || (e&wordBefore == 0 || boundary(text, start)) && (e&wordAfter == 0 || boundary(text, i+1)) {
				sc.note(lit, i+1)
			}
		}
		if at = s.to; at < 0 {
			return
		}
	}
}
