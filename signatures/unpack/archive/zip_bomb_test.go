package archive

import (
	"bytes"
	"compress/bzip2"
	"context"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"spamcatcher/signatures/unpack/format"
	"spamcatcher/signatures/unpack/unpacktest"
)

// A usage is what unpacking one file took.
type usage struct {
	files int
	bytes int64
	ms    float64
	heap  float64 // MB at the peak, above what it was before
	kinds string
}

// run unpacks b by the default limits, and samples the heap while it does.
func run(t *testing.T, b []byte) usage {
	t.Helper()
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	runtime.GC()
	before := heap()
	var peak atomic.Uint64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
				peak.Store(max(peak.Load(), heap()))
			}
		}
	}()
	begin := time.Now()
	j := format.NewJob(context.Background(), format.Limits{}, Formats(), nil, func(*format.File) error {
		return nil
	})
	_ = j.Emit(&format.File{Kind: format.Part, Name: "bomb", Data: b})
	u := usage{files: j.Files(), bytes: j.Bytes(), ms: float64(time.Since(begin).Microseconds()) / 1000}
	close(stop)
	<-stopped
	peak.Store(max(peak.Load(), heap()))
	u.heap = float64(int64(peak.Load()-before)) / 1e6
	for _, m := range j.Marks() {
		u.kinds += " " + m.Kind
	}
	for _, err := range j.Faults() {
		t.Error(err)
	}
	return u
}

// check says that a bomb did no harm, and that a limit was reached if it must be.
func (u usage) check(t *testing.T, name string, limit bool) {
	t.Helper()
	if u.ms > 3000 || u.heap > 120 || u.bytes > 112<<20 || u.files > 5001 {
		t.Errorf("%s: took too much: %+v", name, u)
	}
	if limit && !strings.Contains(u.kinds, "limit_") {
		t.Errorf("%s: no limit was reached: %+v", name, u)
	}
}

// nested is levels of zips of n copies each around a file.
func nested(levels, n int, f unpacktest.File, differ bool) []byte {
	b := f.Data
	for level := range levels {
		var list []unpacktest.File
		for i := range n {
			d := b
			if differ {
				d = append(bytes.Clone(b), fmt.Sprint("comment ", level, i)...)
			}
			list = append(list, unpacktest.File{Name: fmt.Sprintf("%d.zip", i), Data: d})
		}
		b = unpacktest.Zip(unpacktest.Deflated, list...)
	}
	return b
}

// TestBombs prints what each bomb took, and holds it against the limits.
func TestBombs(t *testing.T) {
	zeros := func(n int) unpacktest.File { return unpacktest.File{Name: "zeros", Data: make([]byte, n)} }
	gz := func(b []byte) []byte { return unpacktest.Gzip(unpacktest.File{Data: b}) }
	chain := func(n int, pack func([]byte) []byte) []byte {
		b := []byte("the innermost")
		for range n {
			b = pack(b)
		}
		return b
	}
	many := func(n int) []byte {
		list := make([]unpacktest.ZipEntry, n)
		for i := range list {
			list[i] = unpacktest.StoredEntry(unpacktest.File{Name: fmt.Sprintf("%d.e%d", i, i)})
		}
		return unpacktest.ZipOf(-1, list...)
	}
	tool := func(name string, args ...string) []byte {
		path, err := exec.LookPath(name)
		if err != nil {
			return nil
		}
		c := exec.Command(path, args...)
		c.Stdin = io.LimitReader(zeroReader{}, 64<<20)
		b, err := c.Output()
		if err != nil {
			t.Logf("%s: %v", name, err)
			return nil
		}
		return b
	}
	mb16 := gz(make([]byte, 16<<20))
	bombs := []struct {
		name  string
		data  []byte
		limit bool
	}{
		{"gzip, 64 MB of zeros", gz(make([]byte, 64<<20)), true},
		{"gzip of gzip of 1 GB", gz(bytes.Repeat(mb16, 64)), true},
		{"zip, 8 x 32 MB", nested(1, 8, zeros(32<<20), true), true},
		{"zip, 10 levels of 16", nested(10, 16, zeros(1<<20), false), false},
		{"zip, 5 levels of 10 that differ", nested(5, 10, unpacktest.File{Name: "0", Data: text(100)}, true), false},
		{"zip, 1,000 deep", chain(1000, func(b []byte) []byte {
			return unpacktest.Zip(unpacktest.Deflated, unpacktest.File{Name: "z", Data: b})
		}), true},
		{"gzip, 1,000 deep", chain(1000, gz), true},
		{"zip, 100,000 empty members", many(100_000), true},
		{"zip, 300 x 1 MB with bzip2 inside", nested(1, 300, unpacktest.File{Name: "z", Data: bytes.Repeat(bzipped(t), 30_000/107*10)}, true), true},
		{"bzip2, 64 MB of zeros", tool("bzip2", "-9"), true},
		{"xz, 64 MB of zeros", tool("xz", "-9", "-T1"), true},
		{"lzma, 64 MB of zeros", tool("xz", "-9", "--format=lzma"), true},
		{"zstd, 64 MB of zeros", tool("zstd", "-19", "-qc"), true},
		{"zstd, window of 128 MB", tool("zstd", "--long=27", "-qc"), false},
		{"tar, 100,000 members in gzip", gz(tarMany(100_000)), true},
	}
	for _, b := range bombs {
		if len(b.data) == 0 {
			t.Logf("%-36s NOT RUN: its program is not installed", b.name)
			continue
		}
		u := run(t, b.data)
		t.Logf("%-36s %9d bytes: %5d files, %6.1f MB unpacked, %5.0f ms, %5.1f MB more heap,%s", b.name, len(b.data), u.files, float64(u.bytes)/1e6, u.ms, u.heap, u.kinds)
		u.check(t, b.name, b.limit)
	}
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// tarMany is a tar of n members of no bytes.
func tarMany(n int) []byte {
	one := unpacktest.TarOld(unpacktest.File{Name: "a"})[:512]
	return append(bytes.Repeat(one, n), make([]byte, 1024)...)
}

// TestBzipConstant: the constant is what it says, by the other reader.
func TestBzipConstant(t *testing.T) {
	b, err := io.ReadAll(bzip2.NewReader(bytes.NewReader(bzipped(t))))
	if err != nil || !bytes.Equal(b, text(300)) {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
}

// TestBombsAtOnce: twelve bombs at a time take no more memory than two, because of
// the gate, and none is lost.
func TestBombsAtOnce(t *testing.T) {
	bomb := unpacktest.Gzip(unpacktest.File{Data: make([]byte, 96<<20)})
	small := unpacktest.Gzip(unpacktest.File{Data: text(5000)})
	gate := format.NewGate(2)
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	var open, most, peak atomic.Int64
	done := make(chan string)
	for i := range 12 {
		go func() {
			l := format.Limits{Gate: gate, Time: time.Minute, Growth: 1000, Ratio: 2000}
			b := bomb
			if i%3 == 0 {
				b = small
			}
			j := format.NewJob(context.Background(), l, Formats(), nil, func(f *format.File) error {
				if len(f.Data) > 8<<20 {
					most.Store(max(most.Load(), open.Add(1)))
					var m runtime.MemStats
					runtime.ReadMemStats(&m)
					peak.Store(max(peak.Load(), int64(m.HeapAlloc)))
					time.Sleep(20 * time.Millisecond)
					open.Add(-1)
				}
				return nil
			})
			_ = j.Emit(&format.File{Kind: format.Part, Data: b})
			kinds := ""
			for _, m := range j.Marks() {
				kinds += m.Kind
			}
			done <- kinds
		}()
	}
	limited := 0
	for range 12 {
		if <-done == format.LimitBytes {
			limited++
		}
	}
	runtime.ReadMemStats(&now)
	t.Logf("at most %d large files at a time, %.1f MB more heap", most.Load(), float64(peak.Load()-int64(before.HeapAlloc))/1e6)
	if limited != 8 || most.Load() > 2 || peak.Load()-int64(before.HeapAlloc) > 150<<20 {
		t.Errorf("%d of 8 bombs reached the limit; %d large files at a time; %d bytes", limited, most.Load(), peak.Load()-int64(before.HeapAlloc))
	}
}
