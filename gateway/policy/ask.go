package policy

import (
	"context"
	"runtime/debug"
	"time"
)

// A quest is a question that is asked beside the session, so that several are
// under way at one time and the client need not wait for those that cannot
// refuse it.
type quest[T any] struct {
	done    chan struct{}   // closed when value is there, or fault
	expired <-chan struct{} // its time is over
	cancel  context.CancelFunc
	value   T
	fault   string // that it panicked, with the stack
}

// ask begins a quest. It ends with ctx, after limit, or when it is cancelled.
func ask[T any](ctx context.Context, limit time.Duration, f func(context.Context) T) *quest[T] {
	ctx, cancel := context.WithTimeout(ctx, limit)
	q := &quest[T]{done: make(chan struct{}), expired: ctx.Done(), cancel: cancel}
	go func() {
		defer close(q.done)
		defer cancel()
		defer func() {
			if p := recover(); p != nil {
				q.fault = faultText(p, debug.Stack())
			}
		}()
		q.value = f(ctx)
	}()
	return q
}

// grace is how long a quest whose time is over may take to say so.
const grace = 100 * time.Millisecond

// answer waits for the answer, at most until ctx or the quest's own time ends.
// known is false when there is none then, or when the quest panicked.
func (q *quest[T]) answer(ctx context.Context) (value T, known bool) {
	select {
	case <-q.done:
		return q.value, q.fault == ""
	default:
	}
	select {
	case <-q.done:
		return q.value, q.fault == ""
	case <-ctx.Done():
		return value, false
	case <-q.expired:
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-q.done:
		return q.value, q.fault == ""
	case <-timer.C:
		return value, false
	}
}

// over waits until a quest that was cancelled is over, at most for grace.
func (q *quest[T]) over() {
	if over, _ := q.ended(); over {
		return
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-q.done:
	case <-timer.C:
	}
}

// ended says whether the quest is over, and with what fault.
func (q *quest[T]) ended() (over bool, fault string) {
	select {
	case <-q.done:
		return true, q.fault
	default:
		return false, ""
	}
}
