package match

import "slices"

// A dfa finds all occurrences of many literals in one pass: an Aho-Corasick
// automaton written out as a dense table. Bytes that no literal tells apart
// share a column; upper-case ASCII letters share that of the lower-case ones.
type dfa struct {
	class [256]uint16
	width uint32   // columns
	table []uint32 // next state by state and class; a state is the offset of its row
	first uint32   // states from here on are those in which a literal ends
	outs  [][]int32
}

// newDFA builds the automaton; literals are folded and not empty.
func newDFA(literals []string) *dfa {
	d := &dfa{}
	n := uint16(1) // column 0: bytes in no literal
	for _, lit := range literals {
		for i := 0; i < len(lit); i++ {
			if d.class[lit[i]] == 0 {
				d.class[lit[i]] = n
				n++
			}
		}
	}
	for c := 'A'; c <= 'Z'; c++ {
		d.class[c] = d.class[c+'a'-'A']
	}
	d.width = uint32(n)

	// The trie, rows of -1 for "no child".
	w := int(n)
	trie := make([]int32, w)
	for i := range trie {
		trie[i] = -1
	}
	ends := [][]int32{nil}
	for id, lit := range literals {
		at := int32(0)
		for i := 0; i < len(lit); i++ {
			edge := int(at)*w + int(d.class[lit[i]])
			if trie[edge] < 0 {
				trie[edge] = int32(len(ends))
				ends = append(ends, nil)
				for range w {
					trie = append(trie, -1)
				}
			}
			at = trie[edge]
		}
		ends[at] = append(ends[at], int32(id))
	}

	// Breadth first: a missing child is that of the longest proper suffix,
	// and what ends in the suffix ends here too.
	states := len(ends)
	suffix := make([]int32, states)
	queue := make([]int32, 0, states)
	for c := range w {
		if child := trie[c]; child > 0 {
			queue = append(queue, child)
		} else {
			trie[c] = 0
		}
	}
	for head := 0; head < len(queue); head++ {
		s := queue[head]
		f := suffix[s]
		ends[s] = append(ends[s], ends[f]...)
		for c := range w {
			edge, other := int(s)*w+c, trie[int(f)*w+c]
			if child := trie[edge]; child >= 0 {
				suffix[child] = other
				queue = append(queue, child)
			} else {
				trie[edge] = other
			}
		}
	}

	// Number the states so that those with an end come last: one comparison
	// tells them.
	order := make([]int32, 0, states)
	for s := range ends {
		if len(ends[s]) == 0 {
			order = append(order, int32(s))
		}
	}
	d.first = uint32(len(order)) * d.width
	for s := range ends {
		if len(ends[s]) > 0 {
			order = append(order, int32(s))
			d.outs = append(d.outs, slices.Clip(ends[s]))
		}
	}
	number := make([]uint32, states)
	for i, s := range order {
		number[s] = uint32(i) * d.width
	}
	d.table = make([]uint32, states*w)
	for i, s := range order {
		for c := range w {
			d.table[i*w+c] = number[trie[int(s)*w+c]]
		}
	}
	return d
}

// scan records each literal that ends somewhere in text.
func (d *dfa) scan(text string, sc *scratch) {
	table, class, first := d.table, &d.class, d.first
	s := uint32(0)
	for i := 0; i < len(text); i++ {
		s = table[s+uint32(class[text[i]])]
		if s >= first {
			for _, lit := range d.outs[(s-first)/d.width] {
				sc.note(lit, i+1)
			}
		}
	}
}

// scanExotic is scan for a text that contains the Kelvin sign or the long s:
// it takes them for the letters that they fold to.
func (d *dfa) scanExotic(text string, sc *scratch) {
	s := uint32(0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == 0xE2 && i+2 < len(text) && text[i+1] == 0x84 && text[i+2] == 0xAA:
			c = 'k'
			i += 2
		case c == 0xC5 && i+1 < len(text) && text[i+1] == 0xBF:
			c = 's'
			i++
		}
		s = d.table[s+uint32(d.class[c])]
		if s >= d.first {
			for _, lit := range d.outs[(s-d.first)/d.width] {
				sc.note(lit, i+1)
			}
		}
	}
}
