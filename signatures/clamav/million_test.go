package clamav

import (
	"bufio"
	"crypto/md5"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// loadOnly makes the test binary load a directory and print what that took, so
// that the memory of a process that does nothing else can be told.
const loadOnly = "SPAMCATCHER_TEST_CLAMAV_LOAD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(loadOnly); dir != "" {
		begin, heap := resident("VmRSS"), heapBytes()
		start := time.Now()
		s, err := Read(dir)
		took := time.Since(start)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		peak := resident("VmHWM")
		held := heapBytes() - heap
		fmt.Printf("%d %d %d %d %d\n", s.Report().Hashes, took.Milliseconds(), held, peak-begin, lookup(s))
		runtime.KeepAlive(s)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func heapBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// resident reads a line of /proc/self/status, in bytes; 0 where there is none.
func resident(key string) int64 {
	text, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(text)) {
		var n int64
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			fmt.Sscan(rest, &n)
			return n << 10
		}
	}
	return 0
}

// lookup measures how long it takes to find out that digests are not in the table,
// in nanoseconds each, without computing them.
func lookup(s *Set) int64 {
	var digest [sha256.Size]byte
	random := rand.New(rand.NewPCG(3, 4))
	const n = 200000
	start := time.Now()
	for range n {
		binary.LittleEndian.PutUint64(digest[:], random.Uint64())
		t, width := &s.hashes.md5, md5.Size
		if t.n == 0 {
			t, width = &s.hashes.sha256, sha256.Size
		}
		if _, ok := t.find(uint32(random.Uint32N(1<<21)), digest[:width]); ok {
			panic("a random digest is in the table")
		}
	}
	return time.Since(start).Nanoseconds() / n
}

// generate writes n signatures with the names and sizes that such files have, the
// last one for the file "needle".
func generate(t testing.TB, name string, n, width int) {
	t.Helper()
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w := bufio.NewWriterSize(file, 1<<20)
	random := rand.New(rand.NewPCG(1, 2))
	families := []string{"Win.Trojan.Agent", "Win.Malware.Emotet", "Doc.Downloader.Generic", "Win.Dropper.Tofsee", "Unix.Malware.Mirai", "Html.Phishing.Bank", "Pdf.Exploit.CVE_2017_1182"}
	var digest [sha256.Size]byte
	for i := range n - 1 {
		for k := 0; k < width; k += 8 {
			binary.LittleEndian.PutUint64(digest[k:], random.Uint64())
		}
		size := fmt.Sprint(1000 + random.IntN(2000000))
		if i%50 == 0 {
			size = "*"
		}
		fmt.Fprintf(w, "%x:%s:%s-%d-0:73\n", digest[:width], size, families[random.IntN(len(families))], 1000000+i)
	}
	needle := []byte("needle")
	if sum := md5.Sum(needle); width == md5.Size {
		fmt.Fprintf(w, "%x:6:Test.Needle-1:73\n", sum)
	} else {
		fmt.Fprintf(w, "%x:6:Test.Needle-1:73\n", sha256.Sum256(needle))
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}

// TestMillionHashes holds loading to what issue and design promise: a million in
// seconds and under 100 MB. It prints the figures.
func TestMillionHashes(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: loading millions of hashes takes seconds")
	}
	for _, c := range []struct {
		n, width int
		kind     string
		most     int64 // bytes of memory
	}{
		{1000000, md5.Size, "MD5", 100e6},
		{1000000, sha256.Size, "SHA256", 100e6},
		{3000000, md5.Size, "MD5", 300e6},
	} {
		dir := t.TempDir()
		generate(t, filepath.Join(dir, "many.hsb"), c.n, c.width)
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), loadOnly+"="+dir)
		out, err := child.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		var hashes, ms, heap, peak, ns int64
		if _, err := fmt.Sscan(string(out), &hashes, &ms, &heap, &peak, &ns); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		t.Logf("%d %s signatures: loaded in %d ms, %.1f MB of heap, %.1f MB more resident at the peak, %d ns a look-up that fails", hashes, c.kind, ms, float64(heap)/1e6, float64(peak)/1e6, ns)
		if hashes != int64(c.n) || heap > c.most || peak > c.most || ms > 15000*int64(c.n)/1e6 {
			t.Error("that is too few, too much, or too slow")
		}
	}
}

// BenchmarkMatch measures what an ordinary part costs beside a million signatures
// with known sizes, and whether the answer is right.
func BenchmarkMatch(b *testing.B) {
	dir := b.TempDir()
	generate(b, filepath.Join(dir, "many.hdb"), 100000, md5.Size)
	s, err := Read(dir)
	if err != nil {
		b.Fatal(err)
	}
	if name, ok := s.Match([]byte("needle")); !ok || name != "Test.Needle-1" {
		b.Fatalf("needle is %q", name)
	}
	s.hashes.md5.every = false
	data := []byte(strings.Repeat("ordinary text. ", 30)) // 450 bytes: no signature has that size
	for b.Loop() {
		if _, ok := s.Match(data); ok {
			b.Fatal("ordinary text matches")
		}
	}
}
