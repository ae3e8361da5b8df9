package match

import (
	"slices"
	"sync"
	"sync/atomic"
)

// An automaton runs a program deterministically. Its states are built when a
// text first leads to them, and are kept for all goroutines; so a byte costs
// one look-up. It finds whether the program matches, not where.
type automaton struct {
	*program
	floating bool // a match may begin anywhere behind the begin of a run
	yard     *yard
	table    atomic.Pointer[[]uint32]
	failed   atomic.Bool // it took too much memory too often

	build sync.Mutex // of what follows
	memory
	age uint32 // of the table: how often it was given up
}

// memory is how an automaton builds its states. A state is a row of the
// table: for each class of bytes, and then for the end of the text, the number
// of a row, or a verdict. In front of the rows stand the states in which runs
// begin, by context, and the table's age.
type memory struct {
	holds []byte   // what the states hold, one after the other: the context, and two bytes for each node
	ends  []uint32 // of each row: where that ends
	index []uint32 // hash table of rows, counted from 1, by what they hold
	bytes int      // of all that and the table
}

// of returns what a row holds.
func (m *memory) of(row int) []byte {
	begin := uint32(0)
	if row > 0 {
		begin = m.ends[row-1]
	}
	return m.holds[begin:m.ends[row]]
}

// find returns the place in the index of what holds a key.
func (m *memory) find(key []byte) int {
	h := uint32(2166136261)
	for _, c := range key {
		h = (h ^ uint32(c)) * 16777619
	}
	for i := int(h) & (len(m.index) - 1); ; i = (i + 1) & (len(m.index) - 1) {
		if row := m.index[i]; row == 0 || string(m.of(int(row-1))) == string(key) {
			return i
		}
	}
}

// workshop is where states are built.
type workshop struct {
	marks   []uint32 // nodes that were seen, by
	mark    uint32   // the number of the step
	stack   []uint16
	reached []uint16
	key     []byte
}

// A yard is what the automata of a set share.
type yard struct {
	total  atomic.Int64 // bytes of states
	shops  sync.Pool    // of *workshop
	shapes shapeCache
}

func (y *yard) workshop() *workshop {
	if w, _ := y.shops.Get().(*workshop); w != nil {
		return w
	}
	return &workshop{marks: make([]uint32, maxNodes)}
}

// A verdict is how a run ends.
type verdict uint32

const (
	unknown verdict = iota // it would take too much to say
	yes                    // the program matches
	no                     // it does not
	verdicts
)

// context is what stands on one side of a place in the text.
type context uint32

const (
	other context = iota
	letter
	newline
	border
	contexts
)

const (
	age   = uint32(contexts) // place in the table
	front = age + 1          // where rows begin
)

const (
	// memoryEach and memoryAll bound the states of one automaton and of all
	// those of a set, in bytes.
	memoryEach = 512 << 10
	memoryAll  = 16 << 20
	// maxAge is how often an automaton may outgrow that; then it builds no
	// more states.
	maxAge = 4
)

// context tells what a byte is to a program.
func (p *program) context(c byte) context {
	switch {
	case p.words && word(c):
		return letter
	case p.lines && c == '\n':
		return newline
	}
	return other
}

// rim is the context at an end of the text.
func (p *program) rim() context {
	if p.words || p.lines || p.edges {
		return border
	}
	return other
}

// forward says whether the program matches text from an offset on, and how
// many bytes it read. A match ends anywhere.
func (a *automaton) forward(text string, at int) (verdict, int) {
	before := a.rim()
	if at > 0 {
		before = a.context(text[at-1])
	}
	t, s := a.begin(before)
	if s == 0 {
		return a.simulate(text, at, 1, before)
	}
	for i := at; i < len(text); i++ {
		c := uint32(a.class[text[i]])
		n := atomic.LoadUint32(&t[s+c])
		if n == 0 {
			if t, n = a.step(t, s, c); n == 0 {
				return a.simulate(text, at, 1, before)
			}
		}
		if n < uint32(verdicts) {
			return verdict(n), i - at
		}
		s = n
	}
	if v := a.finish(t, s); v != unknown {
		return v, len(text) - at
	}
	return a.simulate(text, at, 1, before)
}

// backward says whether the program, compiled backward, matches the text that
// ends at an offset. A match begins anywhere.
func (a *automaton) backward(text string, at int) (verdict, int) {
	before := a.rim()
	if at < len(text) {
		before = a.context(text[at])
	}
	t, s := a.begin(before)
	if s == 0 {
		return a.simulate(text, at-1, -1, before)
	}
	for i := at - 1; i >= 0; i-- {
		c := uint32(a.class[text[i]])
		n := atomic.LoadUint32(&t[s+c])
		if n == 0 {
			if t, n = a.step(t, s, c); n == 0 {
				return a.simulate(text, at-1, -1, before)
			}
		}
		if n < uint32(verdicts) {
			return verdict(n), at - 1 - i
		}
		s = n
	}
	if v := a.finish(t, s); v != unknown {
		return v, at
	}
	return a.simulate(text, at-1, -1, before)
}

// simulate runs the program without states to be kept, for want of room: the
// verdict never depends on what was read before.
func (a *automaton) simulate(text string, at, by int, before context) (verdict, int) {
	w := a.yard.workshop()
	defer a.yard.shops.Put(w)
	w.stack = append(w.stack[:0], uint16(a.start))
	for i := at; ; i += by {
		last := uint(i) >= uint(len(text))
		class, after := uint32(a.classes), a.rim()
		if !last {
			class, after = uint32(a.class[text[i]]), a.context(text[i])
		}
		switch {
		case a.advance(w, class, before, after):
			return yes, (i - at) * by
		case last || len(w.reached) == 0 && !a.floating:
			return no, (i - at) * by
		}
		w.stack = append(w.stack[:0], w.reached...)
		if a.floating {
			w.stack = append(w.stack, uint16(a.start))
		}
		before = after
	}
}

// advance follows the nodes on the stack over a class of bytes between two
// contexts to the nodes reached, and says whether the program had matched
// before.
func (a *automaton) advance(w *workshop, class uint32, before, after context) bool {
	if w.mark++; w.mark == 0 { // after a round of all numbers
		clear(w.marks)
		w.mark = 1
	}
	w.reached = w.reached[:0]
	last := class == uint32(a.classes)
	for len(w.stack) > 0 {
		i := w.stack[len(w.stack)-1]
		w.stack = w.stack[:len(w.stack)-1]
		if w.marks[i] == w.mark {
			continue
		}
		w.marks[i] = w.mark
		switch n := &a.nodes[i]; n.op {
		case opMatch:
			return true
		case opSet:
			if !last && a.takes(n.set, class) {
				w.reached = append(w.reached, n.out)
			}
		case opFork:
			w.stack = append(w.stack, n.also, n.out)
		default:
			if holds(n.op, before, after) {
				w.stack = append(w.stack, n.out)
			}
		}
	}
	return false
}

// begin returns the table and the state in which a run begins.
func (a *automaton) begin(before context) ([]uint32, uint32) {
	if p := a.table.Load(); p != nil {
		if s := atomic.LoadUint32(&(*p)[before]); s != 0 {
			return *p, s
		}
	}
	if a.failed.Load() {
		return nil, 0
	}
	a.build.Lock()
	defer a.build.Unlock()
	if a.table.Load() == nil {
		a.memory = memory{index: make([]uint32, 8)}
		t := make([]uint32, int(front)+4*(a.classes+1))
		t[age] = a.age
		a.table.Store(&t)
	}
	w := a.yard.workshop()
	defer a.yard.shops.Put(w)
	w.reached = append(w.reached[:0], uint16(a.start))
	s := a.state(w, before)
	if s == 0 {
		return nil, 0
	}
	t := *a.table.Load()
	atomic.StoreUint32(&t[before], s)
	return t, s
}

// finish says what the end of the text makes of a state.
func (a *automaton) finish(t []uint32, s uint32) verdict {
	c := uint32(a.classes)
	n := atomic.LoadUint32(&t[s+c])
	if n == 0 {
		_, n = a.step(t, s, c)
	}
	return verdict(n)
}

// step makes the state to which a class of bytes leads, 0 if there is no room.
// It returns the table that has it.
func (a *automaton) step(t []uint32, s, class uint32) ([]uint32, uint32) {
	a.build.Lock()
	defer a.build.Unlock()
	p := a.table.Load()
	if p == nil || (*p)[age] != t[age] {
		return t, 0
	}
	t = *p
	if n := t[s+class]; n != 0 {
		return t, n
	}
	last, after := class == uint32(a.classes), a.rim()
	if !last {
		after = a.context(a.samples[class])
	}
	w := a.yard.workshop()
	defer a.yard.shops.Put(w)
	from := a.memory.of(int(s-front) / (a.classes + 1))
	before := context(from[0])
	w.stack = w.stack[:0]
	for i := 1; i < len(from); i += 2 {
		w.stack = append(w.stack, uint16(from[i])|uint16(from[i+1])<<8)
	}
	matched := a.advance(w, class, before, after)
	n := uint32(no)
	switch {
	case matched:
		n = uint32(yes)
	case !last && (len(w.reached) > 0 || a.floating):
		if a.floating {
			w.reached = append(w.reached, uint16(a.start))
		}
		if n = a.state(w, after); n == 0 {
			return t, 0
		}
		t = *a.table.Load()
	}
	atomic.StoreUint32(&t[s+class], n)
	return t, n
}

// holds says whether an assertion holds between two contexts.
func holds(op operation, before, after context) bool {
	switch op {
	case opBeginText:
		return before == border
	case opEndText:
		return after == border
	case opBeginLine:
		return before == border || before == newline
	case opEndLine:
		return after == border || after == newline
	case opBoundary:
		return (before == letter) != (after == letter)
	}
	return (before == letter) == (after == letter)
}

// state returns the state that holds the nodes reached, making it when it is
// new; 0 if there is no room.
func (a *automaton) state(w *workshop, before context) uint32 {
	m := &a.memory
	slices.Sort(w.reached)
	w.key = append(w.key[:0], byte(before))
	for i, n := range w.reached {
		if i == 0 || n != w.reached[i-1] {
			w.key = append(w.key, byte(n), byte(n>>8))
		}
	}
	width := a.classes + 1
	at := m.find(w.key)
	if row := int(m.index[at]); row != 0 {
		return front + uint32((row-1)*width)
	}
	size := 4*width + len(w.key) + 12
	if m.bytes+size > memoryEach || a.yard.total.Load() > memoryAll {
		a.forget()
		return 0
	}
	t := *a.table.Load()
	s := int(front) + len(m.ends)*width
	if s+width > len(t) {
		// Nobody but the holder of the lock writes.
		t = append(make([]uint32, 0, s+width*(2+len(m.ends)/2)), t...)
		t = t[:cap(t)]
		a.table.Store(&t)
	}
	m.bytes += size
	a.yard.total.Add(int64(size))
	m.holds = append(m.holds, w.key...)
	m.ends = append(m.ends, uint32(len(m.holds)))
	m.index[at] = uint32(len(m.ends))
	if 2*len(m.ends) > len(m.index) {
		m.index = make([]uint32, 2*len(m.index))
		for row := range m.ends {
			m.index[m.find(m.of(row))] = uint32(row + 1)
		}
	}
	return uint32(s)
}

// forget gives the table up: runs that are under way are simulated from their
// next new state on, those that begin from now on begin with an empty table.
func (a *automaton) forget() {
	a.yard.total.Add(-int64(a.memory.bytes))
	a.memory = memory{}
	a.table.Store(nil)
	if a.age++; a.age >= maxAge {
		a.failed.Store(true)
	}
}
