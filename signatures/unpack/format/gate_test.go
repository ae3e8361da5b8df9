package format

import (
	"context"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A crowd is jobs at one gate. Each holds 8 MiB for a while.
type crowd struct {
	gate *Gate
	ends chan string
}

// job starts one that works for so long once it has its place.
func (c crowd) job(ctx context.Context, name, owner string, work time.Duration) {
	go func() {
		begun := "never"
		came := time.Now()
		j := NewJob(ctx, Limits{Gate: c.gate, Owner: owner}, []Format{box{func(j *Job, f *File) error {
			if err := j.Hold(8 << 20); err != nil {
				return err
			}
			begun = fmt.Sprint("began ", time.Since(came).Round(100*time.Millisecond))
			for range work / (100 * time.Millisecond) {
				time.Sleep(100 * time.Millisecond)
				if err := j.Check(); err != nil {
					return err
				}
			}
			return nil
		}}}, nil, func(*File) error { return nil })
		_ = j.Emit(&File{Kind: Part, Data: []byte("box ")})
		c.ends <- fmt.Sprintf("%s %s %s", name, begun, kinds(j))
	}()
	synctest.Wait()
}

// TestGateIsFair: who sends much waits for himself; others get in beside him, and
// what they waited is no time of theirs.
func TestGateIsFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		c := crowd{NewGate(2), make(chan string, 20)}
		for i := range 4 {
			c.job(ctx, fmt.Sprint("a", i), "a", 1500*time.Millisecond)
		}
		c.job(ctx, "b", "b", 1500*time.Millisecond)
		c.job(ctx, "c", "c", 1900*time.Millisecond) // it waits and needs nearly all of its time
		var got []string
		for range 6 {
			got = append(got, <-c.ends)
		}
		slices.Sort(got)
		// The patience of those who wait is what 5 s leave beyond 2 s of work.
		want := []string{"a0 began 0s ", "a1 began 1.5s ", "a2 never limit_time", "a3 never limit_time", "b began 0s ", "c began 1.5s "}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%q, want %q", got[i], want[i])
			}
		}
		if c.gate.taken != 0 || len(c.gate.held)+len(c.gate.waiting)+len(c.gate.turns) != 0 {
			t.Error("a place is still taken, or waited for")
		}
	})
}

// TestGateTakesTurns: of four places nobody has more than two, and owners that wait
// come in turn, however many jobs each has.
func TestGateTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(4)
		var order []string
		enter := func(owner string) {
			go func() {
				if g.enter(t.Context(), owner, time.Hour) {
					order = append(order, owner)
				}
			}()
			synctest.Wait()
		}
		for _, owner := range []string{"a", "a", "a", "a", "a", "b", "b", "b", "b", "c", "d"} {
			enter(owner)
		}
		for _, owner := range []string{"a", "b", "a", "b", "c", "d", "a", "b"} {
			g.leave(owner)
			synctest.Wait()
		}
		if got := fmt.Sprint(order); got != "[a a b b a b c d a b a]" {
			t.Error(got)
		}
	})
}

// TestSmall: a job without a place goes on with what is small.
func TestSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := NewGate(1)
		if !gate.enter(t.Context(), "other", 0) {
			t.Fatal("the gate is full")
		}
		j, names := job(t, Limits{Gate: gate, Ratio: 1 << 30}, func(j *Job, f *File) error {
			if f.Depth > 0 {
				return j.Hold(64 << 20)
			}
			big, cut, err := j.Read(io.LimitReader(zeros{}, 12<<20), -1)
			if len(big) != heavy || !cut || err != nil {
				t.Errorf("%d bytes, cut %v, %v", len(big), cut, err)
			}
			j.Done(big)
			if err := j.Emit(&File{Name: "needs a dictionary", Data: []byte("box in box")}); err != nil {
				t.Error(err)
			}
			small, cut, err := j.Read(io.LimitReader(zeros{}, 1<<20), -1)
			if len(small) != 1<<20 || cut || err != nil {
				t.Errorf("%d bytes, cut %v, %v", len(small), cut, err)
			}
			return j.Emit(&File{Name: "small", Data: small})
		})
		if len(names) != 3 || names[2] != "top/small" || kinds(j) != LimitTime {
			t.Errorf("%q, %v", names, j.Marks())
		}
	})
}

// TestPlaceIsGivenBack: between two files, when nothing large is held and somebody
// waits.
func TestPlaceIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := NewGate(1)
		_, _ = job(t, Limits{Gate: gate, Ratio: 1 << 30, Growth: 1 << 30}, func(j *Job, f *File) error {
			big, _, _ := j.Read(io.LimitReader(zeros{}, 12<<20), -1)
			if gate.taken != 1 {
				t.Error("there is no place for a large file")
			}
			got := make(chan bool)
			go func() { got <- gate.enter(t.Context(), "other", time.Second) }()
			synctest.Wait()
			j.Done(big)
			if !<-got {
				t.Error("the other waited in vain")
			}
			gate.leave("other")
			_, cut, err := j.Read(io.LimitReader(zeros{}, 12<<20), -1)
			if cut || err != nil {
				t.Error(cut, err)
			}
			return nil
		})
		if gate.taken != 0 {
			t.Error("a place is still taken")
		}
	})
}
