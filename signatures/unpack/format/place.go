package format

import (
	"math"
	"time"
)

// light is how many bytes more the job may hold without a place in the Gate, if it
// has to do without.
func (j *Job) light() int64 {
	if !j.small || j.inside {
		return math.MaxInt64
	}
	return heavy - j.memory.held - j.memory.models
}

// enter asks for a place in the Gate when the job is to hold n bytes more. What it
// waits is no time of its own, as far as ctx allows. A job that waits in vain goes on
// with what needs no place, so that a small file is found beside a large one.
func (j *Job) enter(n int) bool {
	if j.inside || j.limits.Gate == nil || j.held == nil || j.memory.held+j.memory.models+int64(n) <= heavy {
		return true
	}
	if j.small {
		return false
	}
	began, end := time.Now(), j.end
	if j.latest.After(end) {
		j.setEnd(j.latest) // for those who watch
	}
	j.inside = j.limits.Gate.enter(j.ctx, j.limits.Owner, j.latest.Sub(end))
	j.entered, j.small = time.Now(), !j.inside
	if end = end.Add(j.entered.Sub(began)); end.After(j.latest) {
		end = j.latest
	}
	j.setEnd(end)
	return j.inside
}

// rest gives the place in the Gate back between two files, if it is wanted and
// nothing large is held.
func (j *Job) rest() {
	if j.inside && j.held != nil && j.memory.all() <= heavy && j.limits.Gate.wanted() {
		j.leave(false)
	}
}

// leave gives the place in the Gate back.
func (j *Job) leave(finished bool) {
	j.memory.leave()
	if !j.inside {
		return
	}
	j.inside = false
	if finished {
		j.limits.Gate.free(j.entered)
	}
	j.limits.Gate.leave(j.limits.Owner)
}
