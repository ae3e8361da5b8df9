package bench

import (
	"bytes"
	"compress/flate"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"time"
)

// A Job is one stage of the per-message path on one message, ready to be
// repeated.
type Job struct {
	Stage, Message string
	// Prepare makes what one run consumes, outside of the measurement: a
	// message whose views nobody has asked for yet can be asked only once.
	// Nil means that Run needs nothing.
	Prepare func() any
	// Run does the work and checks the answer.
	Run func(any) error
}

// A Figure is what one run of a job costs.
type Figure struct {
	Stage, Message string
	Allocs, Bytes  int64   // of the heap, buffers of pools reused
	Nanos          float64 // wall clock, median of the rounds
	// Ratio is Nanos by the time of the reference job in the same round,
	// median of the rounds: it survives a slower machine or a busy one.
	Ratio float64
}

const (
	slice     = 5 * time.Millisecond // how long a job runs in one round
	maxBatch  = 2000
	allocRuns = 10
	allocBest = 3
)

// Measure runs the jobs in turn, each round beside the reference job. It ends
// with the first wrong answer.
func Measure(jobs []Job, rounds int) ([]Figure, error) {
	figures := make([]Figure, len(jobs))
	batch := make([]int, len(jobs))
	for i, j := range jobs {
		figures[i] = Figure{Stage: j.Stage, Message: j.Message}
		n := 1
		for { // a batch that takes a slice of time; this also warms up
			begin := time.Now()
			elapsed, err := j.repeat(n)
			if err != nil {
				return nil, err
			}
			if elapsed >= slice || n >= maxBatch || time.Since(begin) > 3*slice {
				break
			}
			n *= 2
		}
		batch[i] = n
		if err := j.allocations(&figures[i]); err != nil {
			return nil, err
		}
	}
	reference := newReference()
	nanos, ratios := make([][]float64, len(jobs)), make([][]float64, len(jobs))
	before := reference.run()
	for range rounds {
		for i, j := range jobs {
			elapsed, err := j.repeat(batch[i])
			if err != nil {
				return nil, err
			}
			after := reference.run()
			one := float64(elapsed) / float64(batch[i])
			nanos[i] = append(nanos[i], one)
			ratios[i] = append(ratios[i], 2*one/float64(before+after))
			before = after
		}
	}
	for i := range figures {
		figures[i].Nanos, figures[i].Ratio = median(nanos[i]), median(ratios[i])
	}
	return figures, nil
}

// repeat runs the job n times and tells how long that took.
func (j Job) repeat(n int) (time.Duration, error) {
	given := make([]any, n)
	if j.Prepare != nil {
		for i := range given {
			given[i] = j.Prepare()
		}
	}
	begin := time.Now()
	for _, g := range given {
		if err := j.Run(g); err != nil {
			return 0, fmt.Errorf("%s of %s: %w", j.Stage, j.Message, err)
		}
	}
	return time.Since(begin), nil
}

// allocations counts what one run takes from the heap: the least of a few
// tries without a garbage collector that would empty the pools, so that it is
// the same number every time but for the growth of maps.
func (j Job) allocations(f *Figure) error {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for try := range allocBest {
		given := make([]any, allocRuns)
		if j.Prepare != nil {
			for i := range given {
				given[i] = j.Prepare()
			}
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for _, g := range given {
			if err := j.Run(g); err != nil {
				return fmt.Errorf("%s of %s: %w", j.Stage, j.Message, err)
			}
		}
		runtime.ReadMemStats(&after)
		allocs, size := int64(after.Mallocs-before.Mallocs)/allocRuns, int64(after.TotalAlloc-before.TotalAlloc)/allocRuns
		if try == 0 || allocs < f.Allocs {
			f.Allocs = allocs
		}
		if try == 0 || size < f.Bytes {
			f.Bytes = size
		}
	}
	return nil
}

// A reference is a fixed job whose time is the unit of all others: it
// compresses 64 KB of text, which like ours is work on bytes, tables and
// branches.
type reference struct {
	text []byte
	to   bytes.Buffer
	w    *flate.Writer
}

func newReference() *reference {
	r := &reference{}
	state := uint32(7)
	for len(r.text) < 64<<10 {
		state = state*1664525 + 1013904223 // Numerical Recipes' generator
		r.text = append(r.text, "etaoin shrdlu cmfwyp"[state>>16%20])
	}
	r.w, _ = flate.NewWriter(&r.to, 6) // 6 is a level that exists
	return r
}

func (r *reference) run() time.Duration {
	begin := time.Now()
	r.to.Reset()
	r.w.Reset(&r.to)
	r.w.Write(r.text) // a bytes.Buffer takes everything
	r.w.Close()
	return time.Since(begin)
}

func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	if len(list)%2 == 1 {
		return list[len(list)/2]
	}
	return (list[len(list)/2-1] + list[len(list)/2]) / 2
}
