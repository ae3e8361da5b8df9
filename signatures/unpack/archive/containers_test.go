package archive

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"spamcatcher/signatures/unpack/format"
)

// An opening is what a Job found in one file.
type opening struct {
	files map[string]*format.File
	order []string
	all   []*format.File
	marks []format.Mark
	links []string
}

// open runs a file through the formats given.
func open(t testing.TB, data []byte, l format.Limits, passwords []string, formats ...format.Format) opening {
	t.Helper()
	o := opening{files: map[string]*format.File{}}
	if l.Time == 0 {
		l.Time = 20 * time.Second // other work may be slow beside this
	}
	j := format.NewJob(context.Background(), l, formats, passwords, func(f *format.File) error {
		c := *f
		if f.Kind != format.Part {
			c.Data = bytes.Clone(f.Data)
		}
		o.files[f.Name] = &c
		o.all = append(o.all, &c)
		o.order = append(o.order, f.Name)
		return nil
	})
	j.Emit(&format.File{Kind: format.Part, Name: "attachment", Data: data})
	for _, err := range j.Faults() {
		t.Fatalf("fault: %v", err)
	}
	o.marks, o.links = j.Marks(), j.Links()
	return o
}

// has fails unless name was found with the content of a file in testdata.
func (o opening) has(t *testing.T, name, file string) {
	t.Helper()
	f := o.files[name]
	if f == nil {
		t.Fatalf("%s was not found among %q, marks %v", name, o.order, o.marks)
	}
	if want := fixture(t, file); !bytes.Equal(f.Data, want) {
		t.Fatalf("%s is %d bytes and not what was packed (%d bytes)", name, len(f.Data), len(want))
	}
}

// marked counts the marks of a kind.
func (o opening) marked(kind string) (n int) {
	for _, m := range o.marks {
		if m.Kind == kind {
			n++
		}
	}
	return n
}

// clean fails if there are marks.
func (o opening) clean(t *testing.T) {
	t.Helper()
	if len(o.marks) > 0 {
		t.Fatalf("marks: %v", o.marks)
	}
}

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// stub is a program's beginning, as a self-extracting archive has it.
func stub() []byte {
	return append([]byte("MZ\x90\x00"), make([]byte, 2044)...)
}

// allocated tells how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// small are limits for fuzzing.
func small() format.Limits {
	return format.Limits{Depth: 3, Members: 50, MemberBytes: 1 << 20, Bytes: 4 << 20, Time: time.Second}
}

// fuzz runs a format on hostile bytes: it must not panic (a fault), nor exceed
// what it was allowed.
func fuzz(f *testing.F, x format.Format, seeds ...string) {
	for _, s := range seeds {
		f.Add(fixture(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<20 {
			return
		}
		l := small()
		o := open(t, b, l, []string{"secret1"}, x)
		if len(o.order) > l.Members+1 {
			t.Fatalf("%d files", len(o.order))
		}
		total := 0
		for _, c := range o.files {
			if int64(len(c.Data)) > max(l.MemberBytes, int64(len(b))) {
				t.Fatalf("a file of %d bytes", len(c.Data))
			}
			total += len(c.Data)
		}
		if int64(total) > l.Bytes+int64(len(b)) {
			t.Fatalf("%d bytes in all", total)
		}
	})
}

// truncations opens every beginning of a file: none may fault.
func truncations(t *testing.T, b []byte, x format.Format) {
	t.Helper()
	step := max(1, len(b)/150)
	for n := 0; n < len(b); n += step {
		open(t, b[:n], small(), nil, x)
	}
	for i := 0; i < len(b); i += step {
		c := bytes.Clone(b)
		c[i] ^= 0x55
		open(t, c, small(), nil, x)
	}
}

func contains(list []string, s string) bool { return slices.Contains(list, s) }
