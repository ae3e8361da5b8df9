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
// The literals are a trie. At each byte of the text, the three bytes from there
// on are looked up in a table of what literals begin with, which also knows
// which fourth bytes may follow. What passes is looked up in a bit map of the
// first six bytes of literals, and of shorter ones. Both steps list where to
// look on without a branch for each byte, which the processor would often
// guess wrong. What remains is mostly a literal of a length that is now known:
// a hash table has short literals, and for the others the node of the trie
// where the walk begins. Beyond ASCII each spelling of a character that folds
// to the same leads to the same node, so that a literal needs no variants;
// case in ASCII is one column.
//
// The trie is stored as one array in which the edges of all nodes interleave:
// a node is the place where its edges begin, and the edge of a column stands
// that many slots further on, if what stands there names the node. So the
// literals of all rules fit into the cache.
type finder struct {
	class [256]uint8 // column of a byte; 0: in no literal
	slots []slot
	root  int32
	// first has for the low five bits of two bytes, which tell letters apart, a
	// bit for those of each third byte, and above these one for those of each
	// fourth.
	first [1 << 10]uint64
	// deep is a bit map of hashes: of the first six bytes of literals, and of
	// shorter literals.
	deep  []uint64
	shift uint
	// What literals begin with, by its number of bytes.
	starts [deepest + 1]starts
	walks  bool // literals of one byte: each byte is looked at
	signs  []sign
	edges  []byte // of each literal
}

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
	base  []int32 // where each node is placed
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
	var all [deepest + 1][]start
	f.begin(b, &all, &bytes, 0, 0, 0)
	f.place(b)
	f.filter(&all)
	for n := range f.starts {
		for i := range all[n] {
			all[n][i].node = b.base[all[n][i].node]
		}
		f.starts[n] = newStarts(all[n])
	}
	return f
}

// filter fills the tables that every byte of a text meets.
func (f *finder) filter(all *[deepest + 1][]start) {
	f.walks = len(all[1]) > 0
	total := 0
	for _, list := range all {
		total += len(list)
	}
	size := max(6, min(17, bits.Len(uint(total))+4))
	f.deep, f.shift = make([]uint64, 1<<size/64), uint(64-size)
	for n, list := range all {
		for i := range list {
			v := list[i].key | caseless<<32 | caseless
			third, fourth := ^uint64(0), ^uint64(0)
			if n >= 3 {
				third = 1 << (v >> 16 & 31)
			}
			if n >= 4 {
				fourth = 1 << (v >> 24 & 31)
			}
			if n >= 2 {
				f.first[two(v)] |= third&(1<<32-1) | fourth<<32
			}
			h := f.hash(v << (64 - 8*n))
			f.deep[h>>6] |= 1 << (h & 63)
		}
	}
}

func (f *finder) hash(v uint64) uint64 { return v * hashing >> (f.shift & 63) }

// two are the low five bits of the two lowest bytes.
func two(v uint64) uint64 { return v&31 | v>>3&(31<<5) }

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

// begin lists what the paths from a node on begin with; the n bytes before it
// are v.
func (f *finder) begin(b *builder, all *[deepest + 1][]start, bytes *[256]byte, node int32, v uint64, n int) {
	if n == deepest || b.ends[node] >= 0 {
		x := start{v, node, b.ends[node]}
		if n == deepest {
			x.widen(b, bytes)
		}
		all[n] = append(all[n], x)
	}
	if n == deepest {
		return
	}
	for e := b.first[node]; e >= 0; e = b.edges[e].next {
		f.begin(b, all, bytes, b.edges[e].to, v|uint64(bytes[b.edges[e].column])<<(8*n), n+1)
	}
}

// place lays the nodes with most edges out first; those with one fill the gaps.
func (f *finder) place(b *builder) {
	states := len(b.first)
	degree := make([]uint8, states)
	order := make([]int32, 0, states)
	base := make([]int32, states)
	b.base = base
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
			if i < 0 || !sc.note(s.literal, at+i, at+i+1) {
				break
			}
			at += i + 1
		}
	}
	i := 0
	for last := len(text) - 8; i <= last && !f.walks; {
		stop := min(i+len(sc.passed), last+1)
		n := f.sift(text, i, stop, sc)
		for _, x := range sc.passed[:n] {
			f.look(text, i+int(x>>deepest), x, sc)
		}
		i = stop
	}
	for ; i < len(text); i++ {
		f.walk(text, i, i, f.root, sc)
	}
}

// sift lists where, from i on and before stop, a literal may begin, with a bit
// for each length that it may have, and returns how many places there are.
func (f *finder) sift(text string, i, stop int, sc *scratch) (n int) {
	passed, begin := &sc.passed, i
	for ; i < stop; i++ {
		v := word64(text[i : i+8])
		set := f.first[two(v)]
		passed[n&(block-1)] = int32(i - begin)
		n += int(set >> (v >> 16 & 31) & (set >> 32 >> (v >> 24 & 31)) & 1)
	}
	m := 0
	for _, at := range passed[:n] {
		v := word64(text[begin+int(at):begin+int(at)+8]) | caseless<<32 | caseless
		h6, h5, h4, h3, h2 := f.hash(v<<16), f.hash(v<<24), f.hash(v<<32), f.hash(v<<40), f.hash(v<<48)
		lengths := f.deep[h6>>6]>>(h6&63)&1<<5 | f.deep[h5>>6]>>(h5&63)&1<<4 | f.deep[h4>>6]>>(h4&63)&1<<3 |
			f.deep[h3>>6]>>(h3&63)&1<<2 | f.deep[h2>>6]>>(h2&63)&1<<1
		passed[m&(block-1)] = at<<deepest | int32(lengths)
		m += int((lengths + 1<<deepest - 1) >> deepest)
	}
	return m
}

// look records the literals that begin at an offset that eight bytes follow
// and may have the lengths of which bits are set.
func (f *finder) look(text string, at int, lengths int32, sc *scratch) {
	key := lower(word64(text[at : at+8]))
	for set := uint32(lengths) & (1<<deepest - 1); set != 0; set &= set - 1 {
		n := bits.TrailingZeros32(set) + 1
		if n < deepest {
			if x := f.starts[n].get(key & (1<<(8*n) - 1)); x != nil {
				f.note(text, at, at+n, x.literal, sc)
			}
			continue
		}
		x := f.starts[deepest].get(key)
		if x == nil {
			return
		}
		if x.wide() {
			n += 2
		}
		f.note(text, at, at+n, x.literal, sc)
		if x.node >= 0 {
			f.walk(text, at, at+n, x.node, sc)
		}
	}
}

// lower makes the letters of ASCII among eight bytes lower-case.
func lower(v uint64) uint64 {
	const each = 0x0101010101010101
	low := v &^ (0x80 * each)
	letters := (low + (0x80-'A')*each) &^ (low + (0x80-'Z'-1)*each) &^ v & (0x80 * each)
	return v | letters>>2
}

func word64(b string) uint64 {
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

// walk records the literals that begin at start, from a node on to which the
// text before i leads.
func (f *finder) walk(text string, start, i int, at int32, sc *scratch) {
	for ; i < len(text); i++ {
		c := f.class[text[i]]
		if c == 0 {
			return
		}
		s := &f.slots[at+int32(c)]
		if s.from != at {
			return
		}
		f.note(text, start, i+1, s.literal, sc)
		if at = s.to; at < 0 {
			return
		}
	}
}

// note records a literal, if it is one and its ends are as they must be.
func (f *finder) note(text string, from, to int, lit int32, sc *scratch) {
	if lit < 0 {
		return
	}
	e := f.edges[lit]
	if e == 0 || (e&wordBefore == 0 || boundary(text, from)) && (e&wordAfter == 0 || boundary(text, to)) {
		sc.note(lit, from, to)
	}
}
