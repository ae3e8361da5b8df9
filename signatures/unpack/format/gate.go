package format

import (
	"context"
	"math/bits"
	"runtime/debug"
	"sync"
	"time"
)

// A Gate lets only a few jobs at a time hold more than a few megabytes, so that
// memory depends on its width and never on how much mail arrives. It is shared by
// all jobs of a process. A nil Gate lets everybody through.
// Buffers that a job no longer needs are kept in it for the next, until the garbage
// collector wants them.
type Gate struct {
	slots   chan struct{}
	buffers [40]sync.Pool // of *[]byte, by the logarithm of their size

	freeing sync.Mutex
	took    time.Duration // to give memory back
}

// NewGate returns a gate for width jobs at a time; 2 if width is 0.
func NewGate(width int) *Gate {
	if width <= 0 {
		width = 2
	}
	return &Gate{slots: make(chan struct{}, width)}
}

// enter waits until the gate has room, the context ends, or the time has come.
func (g *Gate) enter(ctx context.Context, end time.Time) bool {
	select {
	case g.slots <- struct{}{}:
		return true
	default:
	}
	patience := time.NewTimer(time.Until(end))
	defer patience.Stop()
	select {
	case g.slots <- struct{}{}:
		return true
	case <-ctx.Done():
	case <-patience.C:
	}
	return false
}

// leave lets the next job in. What the last one held is garbage in large pieces,
// which the collector would leave until as much again is held: it is given back
// first, if that takes less time than the job did.
func (g *Gate) leave(entered time.Time) {
	g.freeing.Lock()
	if began := time.Now(); began.Sub(entered) >= g.took {
		debug.FreeOSMemory()
		g.took = time.Since(began)
	} else {
		g.took -= g.took / 8 // that one was slow need not mean that the next is
	}
	g.freeing.Unlock()
	<-g.slots
}

// buffer is an empty buffer of size bytes, a power of two; nil if there is none.
func (g *Gate) buffer(size int) []byte {
	if g == nil {
		return nil
	}
	if b, ok := g.buffers[bits.Len(uint(size))].Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return nil
}

// keep takes a buffer whose size is a power of two.
func (g *Gate) keep(b []byte) {
	if g != nil && cap(b)&(cap(b)-1) == 0 {
		g.buffers[bits.Len(uint(cap(b)))].Put(&b)
	}
}
