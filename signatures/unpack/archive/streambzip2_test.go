package archive

import (
	"bytes"
	"compress/bzip2"
	"io"
	"os/exec"
	"slices"
	"testing"

	"spamcatcher/signatures/unpack/format"
	"spamcatcher/signatures/unpack/unpacktest"
)

// TestBzip2 reads what other readers read, and what only bzip2(1) does.
func TestBzip2(t *testing.T) {
	read := func(b []byte) ([]byte, error) { return io.ReadAll(newBzip2(b)) }
	for name, b := range map[string][]byte{"constant": bzipped(t), "twice": slices.Concat(bzipped(t), bzipped(t)), "something behind": append(bzipped(t), "something"...)} {
		want := bytes.Repeat(text(300), 1+bytes.Count(b[1:], []byte("BZh")))
		if got, err := read(b); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	// Codes of one length, so that some patterns stand for nothing.
	for _, n := range []int{1, 50, 300, 3000} {
		if got, err := read(unpacktest.Bzip2(text(n))); err != nil || !bytes.Equal(got, text(n)) {
			t.Errorf("incomplete code, %d bytes: %d bytes, %v", n, len(got), err)
		}
	}
	b := bzipped(t)
	for at := range b {
		broken := bytes.Clone(b)
		broken[at] ^= 4
		if got, err := read(broken); err == nil && at != 3 && at < len(b)-5 { // byte 3 is only a size
			t.Errorf("byte %d is wrong, and nothing is said of it: %q", at, got)
		}
		if got, err := read(b[:at]); err == nil {
			t.Errorf("cut off at %d, and nothing is said of it: %q", at, got)
		}
	}
}

// TestBzip2Tool reads blocks of all sizes, with runs of every length.
func TestBzip2Tool(t *testing.T) {
	path, err := exec.LookPath("bzip2")
	if err != nil {
		t.Skip("SKIPPED: bzip2 is not installed")
	}
	data := text(400_000)
	for n := range 600 {
		data = append(data, bytes.Repeat([]byte{byte(n)}, n)...)
	}
	data = append(data, make([]byte, 2<<20)...)
	for _, level := range []string{"-1", "-4", "-9"} {
		c := exec.Command(path, level, "-c")
		c.Stdin = bytes.NewReader(data)
		packed, err := c.Output()
		if err != nil {
			t.Fatal(err)
		}
		o := unpacked(t, format.Limits{Ratio: 100_000}, "a.bz2", packed)
		if len(o.files) != 2 || !bytes.Equal(o.files[1].Data, data) || len(o.marks) > 0 {
			t.Errorf("%s: %s %v", level, o.names(), o.marks)
		}
	}
}

// FuzzBzip2: what Go's reader reads, this one reads alike.
func FuzzBzip2(f *testing.F) {
	f.Add(bzipped(f))
	f.Add(unpacktest.Bzip2(text(100)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		const most = 4 << 20
		want, err := io.ReadAll(io.LimitReader(bzip2.NewReader(bytes.NewReader(b)), most))
		got, mine := io.ReadAll(io.LimitReader(newBzip2(b), most))
		if err == nil && (mine != nil || !bytes.Equal(got, want)) {
			t.Errorf("%d bytes and %v, want %d", len(got), mine, len(want))
		}
	})
}

func BenchmarkBzip2(b *testing.B) {
	path, err := exec.LookPath("bzip2")
	if err != nil {
		b.Skip("SKIPPED: bzip2 is not installed")
	}
	c := exec.Command(path, "-9", "-c")
	data := text(2 << 20)
	c.Stdin = bytes.NewReader(data)
	packed, err := c.Output()
	if err != nil {
		b.Fatal(err)
	}
	for name, open := range map[string]func() io.Reader{"own": func() io.Reader { return newBzip2(packed) }, "Go": func() io.Reader { return bzip2.NewReader(bytes.NewReader(packed)) }} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if n, err := io.Copy(io.Discard, open()); err != nil || n != int64(len(data)) {
					b.Fatal(n, err)
				}
			}
		})
	}
}
