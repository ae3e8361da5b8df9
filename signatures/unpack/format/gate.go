package format

import (
	"context"
	"math/bits"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// A Gate lets only a few jobs at a time hold more than a few megabytes, so that
// memory depends on its width and never on how much mail arrives. It is shared by
// all jobs of a process. A nil Gate lets everybody through.
//
// No owner holds more than half of the places, and owners that wait take turns:
// one who sends much makes himself wait. Jobs without an owner are all one, which
// may hold every place.
//
// Buffers that a job no longer needs are kept in it for the next, until the garbage
// collector wants them.
type Gate struct {
	buffers [40]sync.Pool // of *[]byte, by the logarithm of their size

	freeing sync.Mutex
	took    time.Duration // to give memory back
	freed   time.Time     // when that was done last

	mu      sync.Mutex
	width   int
	taken   int
	held    map[string]int             // places, by owner
	waiting map[string][]chan struct{} // by owner, the first comes first
	turns   []string                   // owners that wait, the next one first
}

// NewGate returns a gate for width jobs at a time; 2 if width is 0.
func NewGate(width int) *Gate {
	if width <= 0 {
		width = 2
	}
	return &Gate{width: width, held: map[string]int{}, waiting: map[string][]chan struct{}{}}
}

// enter waits for a place until the context ends or patience does.
func (g *Gate) enter(ctx context.Context, owner string, patience time.Duration) bool {
	mine := make(chan struct{})
	g.mu.Lock()
	if len(g.waiting[owner]) == 0 {
		g.turns = append(g.turns, owner)
	}
	g.waiting[owner] = append(g.waiting[owner], mine)
	g.grant()
	g.mu.Unlock()
	if patience > 0 {
		end := time.NewTimer(patience)
		defer end.Stop()
		select {
		case <-mine:
			return true
		case <-ctx.Done():
		case <-end.C:
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-mine: // in the last moment
		return true
	default:
	}
	queue := g.waiting[owner]
	g.keepWaiting(owner, slices.Delete(queue, slices.Index(queue, mine), slices.Index(queue, mine)+1))
	return false
}

// grant gives the places that are free to those whose turn it is.
func (g *Gate) grant() {
	for i := 0; g.taken < g.width && i < len(g.turns); {
		owner := g.turns[i]
		if owner != "" && g.held[owner] >= max(1, g.width/2) {
			i++
			continue
		}
		queue := g.waiting[owner]
		g.taken++
		g.held[owner]++
		close(queue[0])
		// It is the last of those that wait now.
		g.turns = append(slices.Delete(g.turns, i, i+1), owner)
		g.keepWaiting(owner, queue[1:])
	}
}

// keepWaiting sets who of an owner waits.
func (g *Gate) keepWaiting(owner string, queue []chan struct{}) {
	if len(queue) > 0 {
		g.waiting[owner] = queue
		return
	}
	delete(g.waiting, owner)
	if i := slices.Index(g.turns, owner); i >= 0 {
		g.turns = slices.Delete(g.turns, i, i+1)
	}
}

// wanted says that somebody waits for a place.
func (g *Gate) wanted() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.turns) > 0
}

// leave lets the next job in.
func (g *Gate) leave(owner string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.taken--
	if g.held[owner]--; g.held[owner] == 0 {
		delete(g.held, owner)
	}
	g.grant()
}

// free gives memory back. What a job held is garbage in large pieces, which the
// collector would leave until as much again is held: it is given back before the
// next job comes in, if that takes less time than the job did, or than has passed
// since it was done last.
func (g *Gate) free(entered time.Time) {
	g.freeing.Lock()
	defer g.freeing.Unlock()
	if began := time.Now(); began.Sub(entered) >= g.took || began.Sub(g.freed) >= g.took {
		debug.FreeOSMemory()
		g.freed = time.Now()
		g.took = g.freed.Sub(began)
	} else {
		g.took -= g.took / 8 // that one was slow need not mean that the next is
	}
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
