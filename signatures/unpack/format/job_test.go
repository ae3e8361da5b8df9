package format

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A box is the format of these tests: "box " and, for each file inside, a line
// "name size" where size bytes of it are zeros, or what a func makes of it.
type box struct {
	open func(*Job, *File) error
}

func (box) Name() string                 { return "box" }
func (box) Reads(f *File) bool           { return bytes.HasPrefix(f.Data, []byte("box ")) }
func (b box) Open(j *Job, f *File) error { return b.open(j, f) }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// job opens one box and returns the names that were visited.
func job(t *testing.T, l Limits, open func(*Job, *File) error) (*Job, []string) {
	t.Helper()
	var names []string
	j := NewJob(context.Background(), l, []Format{box{open}}, nil, func(f *File) error {
		names = append(names, f.Path())
		return nil
	})
	_ = j.Emit(&File{Kind: Part, Name: "top", Data: []byte("box ")})
	return j, names
}

func kinds(j *Job) string {
	var all []string
	for _, m := range j.Marks() {
		all = append(all, m.Kind)
	}
	return strings.Join(all, " ")
}

func TestLimits(t *testing.T) {
	file := func(j *Job, name string, size int64) error {
		data, cut, err := j.Read(io.LimitReader(zeros{}, size), 1<<20)
		if err != nil {
			return err
		}
		defer j.Done(data)
		return j.Emit(&File{Name: name, Kind: Member, Data: data, Cut: cut})
	}
	t.Run("depth", func(t *testing.T) {
		n := 0
		j, names := job(t, Limits{Depth: 5}, func(j *Job, f *File) error {
			n++
			return j.Emit(&File{Name: "x", Data: fmt.Appendf(nil, "box %d", n)})
		})
		if len(names) != 6 || kinds(j) != LimitDepth {
			t.Errorf("%q, %v", names, j.Marks())
		}
	})
	t.Run("members", func(t *testing.T) {
		j, names := job(t, Limits{Members: 7}, func(j *Job, f *File) error {
			for i := range 100 {
				if err := j.Emit(&File{Name: "x", Data: []byte{byte(i)}}); err != nil {
					return err
				}
			}
			return nil
		})
		if len(names) != 8 || kinds(j) != LimitMembers {
			t.Errorf("%q, %v", names, j.Marks())
		}
	})
	t.Run("bytes of one", func(t *testing.T) {
		j, names := job(t, Limits{MemberBytes: 1000}, func(j *Job, f *File) error {
			for _, n := range []int64{999, 1000, 1001} {
				data, cut, err := j.Read(io.LimitReader(zeros{}, n), 10)
				if err != nil || cut != (n > 1000) || len(data) != int(min(n, 1000)) {
					t.Errorf("%d: %d bytes, cut %v, %v", n, len(data), cut, err)
				}
				if len(j.Marks()) > 0 != cut {
					t.Errorf("%d: %v", n, j.Marks())
				}
			}
			return nil
		})
		if len(names) != 1 || kinds(j) != LimitBytes {
			t.Errorf("%q, %v", names, j.Marks())
		}
	})
	t.Run("bytes of all", func(t *testing.T) {
		j, names := job(t, Limits{Bytes: 5 << 20}, func(j *Job, f *File) error {
			for i := range 20 {
				if err := file(j, fmt.Sprint(i), 1<<20+int64(i)); err != nil {
					return err
				}
			}
			return nil
		})
		if j.Bytes() != 5<<20 || kinds(j) != LimitBytes || len(names) > 21 {
			t.Errorf("%d bytes, %q, %v", j.Bytes(), names, j.Marks())
		}
	})
	t.Run("ratio", func(t *testing.T) {
		j, _ := job(t, Limits{}, func(j *Job, f *File) error {
			data, cut, err := j.Read(io.LimitReader(zeros{}, 20<<20), 1000)
			if len(data) != 16<<20 || !cut || err != nil {
				t.Errorf("%d bytes, cut %v, %v", len(data), cut, err)
			}
			return nil
		})
		if kinds(j) != LimitRatio {
			t.Error(j.Marks())
		}
	})
	t.Run("good pictures", func(t *testing.T) {
		// Two empty screens of 6 MB, packed in next to nothing.
		j, _ := job(t, Limits{}, func(j *Job, f *File) error {
			for range 2 {
				data, cut, err := j.Read(io.LimitReader(zeros{}, 6_220_854), 6000)
				if len(data) != 6_220_854 || cut || err != nil {
					t.Errorf("%d bytes, cut %v, %v", len(data), cut, err)
				}
			}
			return nil
		})
		if kinds(j) != "" {
			t.Error(j.Marks())
		}
	})
	t.Run("growth", func(t *testing.T) {
		j, _ := job(t, Limits{}, func(j *Job, f *File) error {
			for i := range 50 {
				if err := file(j, fmt.Sprint(i), 1<<20+int64(i)); err != nil {
					return err
				}
			}
			return nil
		})
		if want := int64(16<<20 + 4*100); j.Bytes() != want || kinds(j) != LimitRatio {
			t.Errorf("%d bytes, want %d; %v", j.Bytes(), want, j.Marks())
		}
	})
	t.Run("open", func(t *testing.T) {
		// Each file lies in the one before, all are held.
		big := bytes.Repeat([]byte("box "), 1<<20)
		var most int64
		j := NewJob(context.Background(), Limits{Open: 10 << 20}, []Format{box{func(j *Job, f *File) error {
			most = max(most, j.memory.held)
			data, cut, err := j.Read(bytes.NewReader(big[:4<<20-4*(f.Depth+1)]), -1)
			if err != nil {
				return err
			}
			return j.Emit(&File{Name: "x", Data: data, Cut: cut})
		}}}, nil, func(*File) error { return nil })
		_ = j.Emit(&File{Kind: Part, Data: big})
		if most > 10<<20 || kinds(j) != LimitBytes || j.memory.held != 0 {
			t.Errorf("%d bytes were open, %d are; %v", most, j.memory.held, j.Marks())
		}
	})
	t.Run("marks", func(t *testing.T) {
		j, _ := job(t, Limits{Marks: 3, Links: 2}, func(j *Job, f *File) error {
			for i := range 9 {
				j.Mark(f, Encrypted, fmt.Sprint(i/2))
				j.Mark(f, Damaged, strings.Repeat("d", 10_000))
				j.Mark(f, LimitRatio, fmt.Sprint(i))
				j.Link(f, fmt.Sprint("https://www.example.com/", i/2))
			}
			j.Link(f, strings.Repeat("x", 5000))
			return nil
		})
		if kinds(j) != "encrypted damaged limit_ratio encrypted encrypted" || len(j.Links()) != 2 || len(j.Marks()[1].Detail) != maxDetail {
			t.Errorf("%s, %q", kinds(j), j.Links())
		}
	})
}

func TestTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		j, names := job(t, Limits{Time: 3 * time.Second}, func(j *Job, f *File) error {
			for i := range 100 {
				time.Sleep(time.Second)
				if err := j.Emit(&File{Name: fmt.Sprint(i), Data: []byte{byte(i)}}); err != nil {
					return err
				}
			}
			return nil
		})
		if kinds(j) != LimitTime || len(names) != 4 || time.Since(begin) != 4*time.Second {
			t.Errorf("%q, %v, %v", names, j.Marks(), time.Since(begin))
		}
		// A reader that never yields anything.
		j, _ = job(t, Limits{Time: time.Second}, func(j *Job, f *File) error {
			_, _, err := j.Read(slow{}, -1)
			if !errors.Is(err, ErrStop) {
				t.Error(err)
			}
			return err
		})
		if kinds(j) != LimitTime {
			t.Error(j.Marks())
		}
	})
}

type slow struct{}

func (slow) Read([]byte) (int, error) { time.Sleep(time.Millisecond); return 0, nil }

// TestGate: of three jobs that need much memory the third waits; what waits too
// long ends for want of time; what needs little passes.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := NewGate(0)
		start := func(size int64, hold time.Duration) chan string {
			done := make(chan string, 1)
			go func() {
				j := NewJob(context.Background(), Limits{Gate: gate, Ratio: 1 << 30}, []Format{box{func(j *Job, f *File) error {
					_, _, err := j.Read(io.LimitReader(zeros{}, size), -1)
					time.Sleep(hold)
					return err
				}}}, nil, func(*File) error { return nil })
				_ = j.Emit(&File{Kind: Part, Data: []byte("box ")})
				done <- kinds(j)
			}()
			synctest.Wait()
			return done
		}
		one, two := start(8<<20, time.Second), start(8<<20, 5*time.Second)
		three := start(8<<20, 5*time.Second)
		four := start(8<<20, 0)
		small := start(1<<20, 0)
		select {
		case got := <-small:
			if got != "" {
				t.Error(got)
			}
		default:
			t.Error("a small job waits")
		}
		for i, c := range []chan string{one, two, three, four} {
			if got, want := <-c, []string{"", "", "", LimitTime}[i]; got != want {
				t.Errorf("job %d: %q, want %q", i, got, want)
			}
		}
		if gate.taken != 0 || len(gate.held)+len(gate.waiting)+len(gate.turns) != 0 {
			t.Error("a place is still taken")
		}
	})
}

// TestSame: a file is opened once, visited once for each kind of name, and a file
// that holds itself is marked.
func TestSame(t *testing.T) {
	opened := 0
	j, names := job(t, Limits{}, func(j *Job, f *File) error {
		if opened++; opened > 1 {
			return nil
		}
		for _, name := range []string{"a.txt", "b.txt", "c.exe"} {
			if err := j.Emit(&File{Name: name, Kind: Member, Data: []byte("box of this")}); err != nil {
				return err
			}
		}
		return j.Emit(&File{Name: "itself", Kind: Member, Data: []byte("box ")})
	})
	if got := strings.Join(names, " "); got != "top top/a.txt top/c.exe" || opened != 2 || kinds(j) != LimitDepth || j.Files() != 4 {
		t.Errorf("%q, opened %d, %v, %d files", got, opened, j.Marks(), j.Files())
	}
}

// TestAgain: the memory of one file becomes that of the next, and only when it is
// finished.
func TestAgain(t *testing.T) {
	pattern := func(c byte) io.Reader { return bytes.NewReader(bytes.Repeat([]byte{c}, 300<<10)) }
	_, _ = job(t, Limits{}, func(j *Job, f *File) error {
		a, _, _ := j.Read(pattern('a'), -1)
		b, _, _ := j.Read(pattern('b'), -1)
		if a[0] != 'a' || b[0] != 'b' || a[len(a)-1] != 'a' || len(a) != 300<<10 {
			t.Error("two files lie in the same memory")
		}
		j.Done(a)
		c, _, _ := j.Read(pattern('c'), -1)
		if &c[0] != &a[:1][0] {
			t.Error("memory is not used again")
		}
		if b[0] != 'b' || b[len(b)-1] != 'b' {
			t.Error("memory is used again too early")
		}
		return nil
	})
	// What belongs to the container is not the format's to give back.
	_, _ = job(t, Limits{}, func(j *Job, f *File) error {
		if f.Depth > 0 {
			j.Done(f.Data)
			if d, _, _ := j.Read(pattern('d'), 100<<10); &d[0] == &f.Data[0] || f.Data[0] != 'b' {
				t.Error("the memory of the open file is used again")
			}
			return nil
		}
		data, _, _ := j.Read(io.MultiReader(strings.NewReader("box "), pattern('a')), -1)
		return j.Emit(&File{Data: data})
	})
	allocated := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			_, _ = job(t, Limits{}, func(j *Job, f *File) error {
				for i := range 8 {
					data, _, _ := j.Read(io.LimitReader(zeros{}, 1<<20+int64(i)), 1<<20)
					if err := j.Emit(&File{Data: data}); err != nil {
						return err
					}
					j.Done(data)
				}
				return nil
			})
		}
	}).AllocedBytesPerOp()
	if allocated > 6<<20 {
		t.Errorf("8 files of 1 MiB take %d bytes of new memory", allocated)
	}
}

// TestPanic: a decoder that breaks is a fault, and the rest goes on.
func TestPanic(t *testing.T) {
	j := NewJob(context.Background(), Limits{}, []Format{box{func(j *Job, f *File) error {
		_, _, _ = j.Read(bytes.NewReader(make([]byte, 100_000)), -1)
		panic("broken")
	}}}, nil, func(f *File) error { return nil })
	for i := range 3 {
		if err := j.Emit(&File{Kind: Part, Data: fmt.Appendf(nil, "box %d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if len(j.Faults()) != 3 || kinds(j) != Damaged || j.memory.held != 0 || j.held != nil {
		t.Errorf("%v, %v", j.Faults(), j.Marks())
	}
}

// TestVisitEnds: an error of visit ends the job and is told.
func TestVisitEnds(t *testing.T) {
	mine := errors.New("enough")
	j := NewJob(context.Background(), Limits{}, nil, nil, func(*File) error { return mine })
	if err := j.Emit(&File{}); !errors.Is(err, ErrStop) || len(j.Faults()) != 1 || !errors.Is(j.Faults()[0], mine) {
		t.Error(err, j.Faults())
	}
}

func BenchmarkNothing(b *testing.B) {
	parts := [][]byte{bytes.Repeat([]byte("some words of text. "), 100), bytes.Repeat([]byte("<p>some words of text."), 300)}
	b.ReportAllocs()
	for b.Loop() {
		j := NewJob(context.Background(), Limits{}, []Format{box{}}, nil, func(*File) error { return nil })
		for _, p := range parts {
			if err := j.Emit(&File{Kind: Part, Data: p}); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// TestKeep: memory of a format's own counts while it is open, and is never used
// for something else.
func TestKeep(t *testing.T) {
	mine := bytes.Repeat([]byte("m"), 3<<20)
	j, _ := job(t, Limits{Open: 4 << 20}, func(j *Job, f *File) error {
		before, _ := j.Room(1 << 20)
		j.Keep(mine)
		if after, _ := j.Room(1 << 20); before != 4<<20 || after != 1<<20 {
			t.Errorf("room was %d, is %d", before, after)
		}
		if err := j.Emit(&File{Data: mine}); err != nil {
			return err
		}
		if after, _ := j.Room(1 << 20); after != 1<<20 {
			t.Errorf("behind Emit room is %d", after)
		}
		j.Done(mine)
		_, _, err := j.Read(io.LimitReader(zeros{}, 2<<20), 2<<20)
		return err
	})
	if j.memory.held != 0 || mine[0] != 'm' {
		t.Errorf("%d bytes are held", j.memory.held)
	}
}
