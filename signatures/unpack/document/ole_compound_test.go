package document

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/richardlehane/mscfb"

	"spamcatcher/signatures/unpack/format"
	"spamcatcher/signatures/unpack/unpacktest"
)

// TestCompoundAgainstLibrary: what a library that is strict reads, this reads too,
// byte for byte.
func TestCompoundAgainstLibrary(t *testing.T) {
	root := shared(t, "suites/macros/oletools")
	files, streams := 0, 0
	err := filepath.WalkDir(root, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil || format.Detect(data) != "application/x-ole-storage" {
			return err
		}
		peer, err := mscfb.New(bytes.NewReader(data))
		if err != nil {
			t.Logf("%s: the library says %v", name, err)
			return nil
		}
		c, err := readCompound(data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return nil
		}
		files++
		got := map[string][]byte{}
		for i := range c.entries {
			if e := &c.entries[i]; e.stream {
				b, err := io.ReadAll(c.open(e))
				if err != nil {
					t.Errorf("%s %q: %v", name, e.path(), err)
				}
				if s := c.slice(e); s != nil && !bytes.Equal(s, b) {
					t.Errorf("%s %q: the uncopied stream differs", name, e.path())
				}
				got[printable(e.path())] = b
			}
		}
		for f, err := peer.Next(); err == nil; f, err = peer.Next() {
			if f.FileInfo().IsDir() {
				continue
			}
			want, _ := io.ReadAll(f)
			// The library drops control characters from the names of storages.
			path := strings.Join(append(slices.Clone(f.Path), string(rune(f.Initial))+trimmed(f)), "/")
			path = printable(path)
			b, ok := got[path]
			if !ok || !bytes.Equal(b, want) {
				t.Errorf("%s %q: %d bytes, the library has %d", name, path, len(b), len(want))
			}
			streams++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d files, %d streams", files, streams)
	if files < 30 || streams < 200 {
		t.Error("too few")
	}
}

// trimmed is a name without its first character, which the library keeps apart
// because it may be a control character that it drops.
func trimmed(f *mscfb.File) string {
	if len(f.Name) > 0 && rune(f.Initial) == []rune(f.Name)[0] {
		return string([]rune(f.Name)[1:])
	}
	return f.Name
}

// TestHostileCompound: tables that run in circles, and numbers that promise more
// than there is, take no time and no memory to speak of.
func TestHostileCompound(t *testing.T) {
	good := unpacktest.DocMacro("Sub A()\nEnd Sub\n")
	le := binary.LittleEndian
	change := func(f func(b []byte)) []byte {
		b := bytes.Clone(good)
		f(b)
		return b
	}
	// Every word of the file in turn becomes its own sector's number, zero, or huge.
	circle := func(step, value int) []byte {
		return change(func(b []byte) {
			for i := 512; i+4 <= len(b); i += 4 {
				if i/4%step == 0 {
					le.PutUint32(b[i:], uint32(value))
				}
			}
		})
	}
	table := map[string][]byte{
		"cyclic":             unpacktest.OLECyclic(),
		"DIFAT at itself":    change(func(b []byte) { le.PutUint32(b[68:], 0); le.PutUint32(b[72:], 0xFFFFFFFF) }),
		"directory at FAT":   change(func(b []byte) { le.PutUint32(b[48:], 0) }),
		"mini FAT cyclic":    change(func(b []byte) { le.PutUint32(b[60:], 1); le.PutUint32(b[64:], 0xFFFFFFFF) }),
		"giant sectors":      change(func(b []byte) { b[30] = 16 }),
		"impossible sectors": change(func(b []byte) { b[30] = 63 }),
		"all zero":           circle(1, 0),
		"all one":            circle(1, 1),
		"every third huge":   circle(3, 0x7FFFFFFF),
		"header only":        good[:512],
		"half":               good[:len(good)/2],
	}
	// A directory of 100,000 entries, each naming the whole file.
	big := bytes.Repeat([]byte{0}, 512+8<<20)
	copy(big, good[:512])
	for i := 512; i+4 <= len(big); i += 4 {
		le.PutUint32(big[i:], 2)
	}
	table["eight megabytes of circles"] = big
	for name, data := range table {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		j := format.NewJob(t.Context(), format.Limits{}, Formats(), nil, func(*format.File) error { return nil })
		j.Emit(&format.File{Kind: format.Part, Data: data})
		runtime.ReadMemStats(&after)
		took, memory := time.Since(start), (after.TotalAlloc-before.TotalAlloc)>>20
		t.Logf("%-28s %8d bytes: %6.1f ms, %3d MiB allocated in all, marks %v", name, len(data), took.Seconds()*1000, memory, j.Marks())
		if len(j.Faults()) > 0 {
			t.Errorf("%s: %v", name, j.Faults())
		}
		if took > 3*time.Second || memory > 400 {
			t.Errorf("%s takes too much", name)
		}
	}
}

// TestDamagedCompound: what is there of a file that breaks off is looked at.
func TestDamagedCompound(t *testing.T) {
	data := unpacktest.DocMacro("Sub AutoOpen()\nEnd Sub\n")
	got := open(t, "counts.doc", func() []byte {
		b := bytes.Clone(data)
		// Counts of sectors that nobody needs to believe.
		for _, at := range []int{40, 44, 64, 72} {
			binary.LittleEndian.PutUint32(b[at:], 0)
		}
		return b
	}())
	if !bytes.Contains([]byte(got.text(format.Macro)), []byte("AutoOpen")) {
		t.Errorf("marks %v", got.marks)
	}
}
