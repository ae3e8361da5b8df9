package format

import "math/bits"

// smallest is the size in bytes from which on buffers are used again. What is
// smaller is left to the garbage collector.
const smallest = 64 << 10

// heavy is how many bytes a job may hold before it needs a place in the Gate.
const heavy = 4 << 20

// buffers are those that the files which are open lie in, and those that lie
// ready. All the large memory that a Job takes goes through here: a bomb of a
// thousand members is unpacked into the same few buffers.
type buffers struct {
	leases []lease
	own    int   // those from here on belong to the file that is open
	held   int64 // bytes of the leases that count
	models int64 // bytes that decoders have for themselves
	gate   *Gate
	free   [][]byte // ready to be used again, at most one chain of files
}

// A lease is the buffer of a file that has been read and is not finished.
type lease struct {
	buf     []byte
	counted bool
	foreign bool  // it is not ours to use again
	model   int64 // bytes that decoders of the open file have, if this is no buffer
}

// get returns an empty buffer of at least n bytes.
func (b *buffers) get(n int) []byte {
	if n < smallest {
		return make([]byte, 0, n)
	}
	size := 1 << bits.Len(uint(n-1))
	best := -1
	for i, f := range b.free {
		if cap(f) >= n && cap(f) <= 2*size && (best < 0 || cap(f) < cap(b.free[best])) {
			best = i
		}
	}
	if best < 0 {
		if found := b.gate.buffer(size); found != nil {
			return found
		}
		return make([]byte, 0, size)
	}
	found := b.free[best]
	last := len(b.free) - 1
	b.free[best] = b.free[last]
	b.free = b.free[:last]
	return found
}

// put takes a buffer back that nobody looks at any more.
func (b *buffers) put(buf []byte) {
	switch {
	case cap(buf) < smallest:
	case len(b.free) < 12:
		b.free = append(b.free, buf[:0])
	default:
		b.gate.keep(buf[:0])
	}
}

// leave hands what lies ready on to the next job.
func (b *buffers) leave() {
	for i, f := range b.free {
		b.gate.keep(f)
		b.free[i] = nil
	}
	b.free = b.free[:0]
}

// lease counts buf as held until it is settled or released.
func (b *buffers) lease(buf []byte) {
	if cap(buf) > 0 {
		b.leases = append(b.leases, lease{buf: buf, counted: true})
		b.held += int64(cap(buf))
	}
}

// hold counts n bytes that a decoder of the open file takes for itself. Its decoders
// work one after the other.
func (b *buffers) hold(n int64) {
	for i := b.own; i < len(b.leases); i++ {
		if l := &b.leases[i]; l.model > 0 {
			b.models += max(n-l.model, 0)
			l.model = max(n, l.model)
			return
		}
	}
	b.leases = append(b.leases, lease{model: n})
	b.models += n
}

// all is every byte that is held, also of what is finished and still looked at.
func (b *buffers) all() int64 {
	sum := b.models
	for _, l := range b.leases {
		sum += int64(cap(l.buf))
	}
	return sum
}

// find is the lease of the open file that data lies at the beginning of, -1 for
// none.
func (b *buffers) find(data []byte) int {
	if cap(data) == 0 {
		return -1
	}
	for i := len(b.leases) - 1; i >= b.own; i-- {
		if cap(b.leases[i].buf) > 0 && &b.leases[i].buf[:1][0] == &data[:1][0] {
			return i
		}
	}
	return -1
}

// settle no longer counts the buffer of data: its file is finished. The format
// that read it may still look at it.
func (b *buffers) settle(data []byte) {
	if i := b.find(data); i >= 0 && b.leases[i].counted && !b.leases[i].foreign {
		b.leases[i].counted = false
		b.held -= int64(cap(b.leases[i].buf))
		if cap(b.leases[i].buf) < smallest && i == len(b.leases)-1 {
			b.leases = b.leases[:i]
		}
	}
}

// begin says that another file is open now, release that it is finished: its
// buffers are taken back. before is what begin returned.
func (b *buffers) begin() (before int) {
	before, b.own = b.own, len(b.leases)
	return before
}

func (b *buffers) release(before int) {
	for i := len(b.leases) - 1; i >= b.own; i-- {
		l := b.leases[i]
		if l.counted {
			b.held -= int64(cap(l.buf))
		}
		b.models -= l.model
		b.leases[i] = lease{}
		if !l.foreign {
			b.put(l.buf)
		}
	}
	b.leases, b.own = b.leases[:b.own], before
}

// done takes the buffer of data back at once.
func (b *buffers) done(data []byte) {
	i := b.find(data)
	if i < 0 {
		return
	}
	if b.leases[i].counted {
		b.held -= int64(cap(b.leases[i].buf))
	}
	if !b.leases[i].foreign {
		b.put(b.leases[i].buf)
	}
	b.leases = append(b.leases[:i], b.leases[i+1:]...)
}
