package format

import (
	"context"
	"time"
)

// A Gate lets only a few jobs at a time hold more than a few megabytes, so that
// memory depends on its width and never on how much mail arrives. It is shared by
// all jobs of a process. A nil Gate lets everybody through.
type Gate struct{ slots chan struct{} }

// NewGate returns a gate for width jobs at a time; 2 if width is 0.
func NewGate(width int) *Gate {
	if width <= 0 {
		width = 2
	}
	return &Gate{make(chan struct{}, width)}
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

func (g *Gate) leave() { <-g.slots }
