package match

import (
	"encoding/binary"
	"slices"
	"sync"
)

// shapes are the encodings of a class of characters beyond ASCII, as the least
// number of steps that take one byte each: of two characters what follows a
// byte is one shape if it is the same. A class such as that of all letters has
// hundreds of ranges, of which few shapes remain.
type shapes struct {
	steps [][]step // of each shape; the last is that of all
	known map[string]int32
}

// step takes a byte of a set and leads to a shape, done behind the last byte.
type step struct {
	set  [4]uint64
	next int32
}

const done = -1

// newShapes builds the shapes of sequences of ranges of bytes, in the order in
// which they are read. Where one sequence has ended no other goes on: lead bytes
// are none of those that follow them.
func newShapes(list [][][2]byte) *shapes {
	s := &shapes{known: map[string]int32{}}
	s.add(list)
	s.known = nil
	return s
}

func (s *shapes) add(list [][][2]byte) int32 {
	last, longer := step{next: done}, false
	for _, sequence := range list {
		if len(sequence) > 1 {
			longer = true
			continue
		}
		for c := int(sequence[0][0]); c <= int(sequence[0][1]); c++ {
			last.set[c>>6] |= 1 << (c & 63)
		}
	}
	var few [2]step
	steps := few[:0]
	if longer {
		steps = s.lead(list, steps)
	}
	if last.set != [4]uint64{} {
		steps = append(steps, last) // behind them, as lead bytes are
	}
	var buf [64]byte
	key := buf[:0]
	for _, x := range steps {
		key = binary.LittleEndian.AppendUint64(key, x.set[2])
		key = binary.LittleEndian.AppendUint64(key, x.set[3])
		key = binary.LittleEndian.AppendUint32(key, uint32(x.next))
	}
	id, ok := s.known[string(key)]
	if !ok {
		id = int32(len(s.steps))
		s.steps = append(s.steps, slices.Clone(steps))
		s.known[string(key)] = id
	}
	return id
}

// lead appends the steps over the first bytes of sequences of several.
func (s *shapes) lead(list [][][2]byte, steps []step) []step {
	// The sequences that begin with each byte, by their numbers.
	var ends [0x80 + 1]int32
	for _, sequence := range list {
		if len(sequence) == 1 {
			continue
		}
		for c := int(sequence[0][0]); c <= int(sequence[0][1]); c++ {
			ends[c-0x80+1]++
		}
	}
	for c := range 0x80 {
		ends[c+1] += ends[c]
	}
	numbers, at := make([]byte, 2*ends[0x80]), ends
	for i, sequence := range list {
		if len(sequence) == 1 {
			continue
		}
		for c := int(sequence[0][0]); c <= int(sequence[0][1]); c++ {
			binary.LittleEndian.PutUint16(numbers[2*at[c-0x80]:], uint16(i))
			at[c-0x80]++
		}
	}
	groups := map[string]int32{} // shapes by the sequences that go on
	var rest [][][2]byte
	for c := 0x80; c < 0x100; c++ {
		key := numbers[2*ends[c-0x80] : 2*ends[c-0x80+1]]
		if len(key) == 0 {
			continue
		}
		next, ok := groups[string(key)]
		if !ok {
			rest = rest[:0]
			for i := 0; i < len(key); i += 2 {
				rest = append(rest, list[binary.LittleEndian.Uint16(key[i:])][1:])
			}
			next = s.add(rest)
			groups[string(key)] = next
		}
		k := slices.IndexFunc(steps, func(x step) bool { return x.next == next })
		if k < 0 {
			k = len(steps)
			steps = append(steps, step{next: next})
		}
		steps[k].set[c>>6] |= 1 << (c & 63)
	}
	return steps
}

// A shapeCache keeps the shapes of the classes that a set has.
type shapeCache struct {
	lock  sync.Mutex
	known map[string]*shapes
}

// get returns the shapes of ranges of characters, building them when they are
// new.
func (c *shapeCache) get(ranges []rune, backward bool) *shapes {
	key := make([]byte, 0, 3*len(ranges)+1)
	if backward {
		key = append(key, 'b')
	}
	for _, r := range ranges {
		key = append(key, byte(r), byte(r>>8), byte(r>>16))
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	s := c.known[string(key)]
	if s == nil {
		var list [][][2]byte
		for i := 0; i < len(ranges); i += 2 {
			list = encoded(ranges[i], ranges[i+1], list)
		}
		if backward {
			for _, sequence := range list {
				slices.Reverse(sequence)
			}
		}
		s = newShapes(list)
		if c.known == nil {
			c.known = map[string]*shapes{}
		}
		c.known[string(key)] = s
	}
	return s
}
