package archive

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ulikunitz/xz/lzma"

	"spamcatcher/signatures/unpack/format"
	"spamcatcher/signatures/unpack/unpacktest"
)

func TestStream(t *testing.T) {
	data := text(70000)
	small := text(300)
	gz := func(b []byte, name string) []byte { return unpacktest.Gzip(unpacktest.File{Name: name, Data: b}) }
	cases := []struct {
		name, file string
		data       []byte
		files      string
		marks      string
	}{
		{"gzip", "a.txt.gz", gz(data, ""), "a.txt:70000", ""},
		{"gzip with a name", "a.gz", gz(data, "b.js"), "b.js:70000", ""},
		{"gzip of two members", "a.gz", slices.Concat(gz(data[:30000], ""), gz(data[30000:], "")), "a:70000", ""},
		{"gzip with padding", "a.gz", slices.Concat(gz(data[:30000], ""), make([]byte, 700), gz(data[30000:], ""), make([]byte, 512)), "a:70000", ""},
		{"gzip with something behind", "a.gz", append(gz(data, ""), "something"...), "a:70000", ""},
		{"gzip cut off", "a.gz", gz(data, "")[:1000], "a:11130", "damaged"},
		{"bzip2", "a.bz2", bzipped(t), "a:300", ""},
		{"bzip2 twice", "a.bz2", slices.Concat(bzipped(t), bzipped(t)), "a:600", ""},
		{"xz", "a.tar.xz", unpacktest.XZ(data), "a.tar:70000", ""},
		{"xz twice", "a.xz", slices.Concat(unpacktest.XZ(data), make([]byte, 8), unpacktest.XZ(small)), "a:70300", ""},
		{"xz cut off", "a.xz", unpacktest.XZ(small)[:60], "a:0", "damaged"},
		{"zstd", "a.zst", unpacktest.Zstd(data), "a:70000", ""},
		{"zstd behind a frame to skip", "a.zst", append([]byte("\x50\x2a\x4d\x18\x04\x00\x00\x00junk"), unpacktest.Zstd(data)...), "a:70000", ""},
		{"zstd behind two frames to skip", "a.zst", append([]byte("\x50\x2a\x4d\x18\x04\x00\x00\x00junk\x5f\x2a\x4d\x18\x00\x00\x00\x00"), unpacktest.Zstd(data)...), "a:70000", ""},
		{"frames to skip alone", "a.zst", []byte("\x50\x2a\x4d\x18\x04\x00\x00\x00junk\x5f\x2a\x4d\x18\x00\x00\x00\x00"), "", ""},
		{"zstd with a window of 2 GiB", "a.zst", wideZstd(small, 21<<3), "a:300", ""},
		{"zstd with two such", "a.zst", slices.Concat(wideZstd(data[:300], 21<<3), unpacktest.Zstd(data[300:600]), wideZstd(data[600:900], 17<<3|7)), "a:900", ""},
		{"zstd with a window of 16 MiB", "a.zst", wideZstd(small, 14<<3), "a:300", ""},
		{"gzip with a wrong checksum, and more", "a.gz", slices.Concat(wrongGzip(gz(data[:30000], "")), gz(data[30000:], "")), "a:70000", "damaged"},
		{"gzip with a wrong checksum", "a.gz", wrongGzip(gz(data, "")), "a:70000", "damaged"},
		{"lzip", "a.lz", lzipped(data), "a:70000", ""},
		{"lzip of two members", "a.tar.lz", slices.Concat(lzipped(data[:30000]), lzipped(data[30000:])), "a.tar:70000", ""},
		{"lzip with something behind", "a.lz", append(lzipped(data), "LZIP something behind it"...), "a:70000", ""},
		{"lzma", "a.lzma", unpacktest.LZMA(data), "a:70000", ""},
		{"compress", "a.Z", unpacktest.Compress(data), "a:70000", ""},
		{"zlib", "a", unpacktest.Zlib(data), "a:70000", ""},
		{"tgz", "a.tgz", gz(unpacktest.Tar(tar.FormatUSTAR, unpacktest.File{Name: "x/b.js", Data: small}), ""), "a.tar:2048 x/b.js:300", ""},
		{"not zlib", "a", []byte("x\x9cabcdefghijklmnop"), "", ""},
		{"not lzma", "a", append([]byte("]\x00\x00\x80\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00"), "gibberish gibberish"...), "", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			o := unpacked(t, format.Limits{}, c.file, c.data)
			if o.names() != c.files || o.kinds() != c.marks {
				t.Errorf("files %q, want %q; marks %v, want %q", o.names(), c.files, o.marks, c.marks)
			}
			for _, f := range o.files[1:] {
				if !strings.HasSuffix(f.Name, ".tar") && c.marks == "" && !bytes.HasPrefix(append(slices.Clone(data), small...), f.Data) && c.name != "bzip2 twice" {
					t.Errorf("%s: not what was packed", f.Name)
				}
			}
		})
	}
}

// TestStreamTools reads what the programs write that people use: with all widths
// of codes, filled tables, blocks and windows.
func TestStreamTools(t *testing.T) {
	data := text(1 << 20)
	file := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	tools, ran := []string{"gzip -9c", "bzip2 -9c", "xz -9c", "xz --block-size=50000 -c", "xz --format=lzma -c", "zstd -19 -qc", "lzip -c", "compress -c", "compress -b12 -c"}, 0
	for _, tool := range tools {
		args := strings.Fields(tool)
		if _, err := exec.LookPath(args[0]); err != nil {
			t.Logf("NOT RUN: there is no %s here", args[0])
			continue
		}
		packed, err := exec.Command(args[0], append(args[1:], file)...).Output()
		if err != nil || len(packed) == 0 {
			t.Fatalf("%s: %v", tool, err)
		}
		ran++
		o := unpacked(t, format.Limits{}, "packed", packed)
		if len(o.files) != 2 || !bytes.Equal(o.files[1].Data, data) {
			t.Errorf("%s: %s %v", tool, o.names(), o.marks)
		}
	}
	if ran == 0 {
		t.Skip("SKIPPED: none of the programs that compress is installed")
	}
}

// TestCompress reads what compress(1) wrote: codes of 9 and 10 bits.
func TestCompress(t *testing.T) {
	o := unpacked(t, format.Limits{}, "a.Z", compressed(t))
	if want := text(2000); len(o.files) != 2 || !bytes.Equal(o.files[1].Data, want) {
		t.Errorf("%s %v", o.names(), o.marks)
	}
}

// TestXZDictionary: a header that asks for 4 GiB gets what the content needs.
func TestXZDictionary(t *testing.T) {
	packed := unpacktest.XZDictionary(text(300))
	var o outcome
	took := allocated(func() { o = unpacked(t, format.Limits{}, "a.xz", packed) })
	if o.names() != "a:300" || len(o.marks) > 0 || took > 600_000 {
		t.Errorf("%s %v, %d bytes of memory", o.names(), o.marks, took)
	}
}

// TestInflate64 reads a length of 65,538 bytes, which no other deflate has: made
// by hand, fixed codes: "a", then a copy from one byte back, then the end.
func TestInflate64(t *testing.T) {
	var bits []byte
	put := func(v, n int, reverse bool) {
		for i := range n {
			at := i
			if reverse {
				at = n - 1 - i
			}
			bits = append(bits, byte(v>>at&1))
		}
	}
	put(1, 1, false)       // the last block
	put(1, 2, false)       // fixed codes
	put(0x30+'a', 8, true) // literal
	put(0xc0+285-280, 8, true)
	put(65535, 16, false)
	put(0, 5, true) // one byte back
	put(0, 7, true) // the end
	packed := make([]byte, (len(bits)+7)/8)
	for i, b := range bits {
		packed[i/8] |= b << (i % 8)
	}
	want := bytes.Repeat([]byte("a"), 1+65538)
	e := unpacktest.StoredEntry(unpacktest.File{Name: "a", Data: want})
	e.Method, e.Packed = zipDeflate64, packed
	if o := unpacked(t, format.Limits{}, "a.zip", unpacktest.ZipOf(-1, e)); o.names() != "a:65539" || len(o.marks) > 0 {
		t.Errorf("%s %v: %s", o.names(), o.marks, hex.EncodeToString(packed))
	}
}

func decode64(t testing.TB, s string) []byte {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// compressed is text(2000) in the format of compress(1), with codes of 9 and 10
// bits; gzip reads it too.
func compressed(t testing.TB) []byte {
	return decode64(t, "H52QbNK4KQMCBog3ZkCEAUGnDB46DNGEgTgnTJ45INy8oYNG4BkFAQeCiHEw4cKGDyNOBFHxYsaNHd18DEmQRkmFDB1C5LiyJUaNHD2CFEgwx82TOlVStPgTplCaI20czZmS51KXQGPOJApCRo2pKHdKvNo0qMyhImdIRYgzrFKWTF+a3SqShlG2SKuOhYvV6VmoNmzipSq2Z9ysT7niIDnYrVW+ZbWiJRgDhsHGSR/7lCsZagwZjE0SfrsZ8V+uMWgIFu14b2m/dCnbuMs6s+vDsCePzLG2tl7DfefqluEVrG3gkROL9Nq77XGynJUTlIGDtvPf0E3HBjFDxurrhbPnhqo2NHjSuIVDpWHZOHbI0U/XpWE+b3j42nXTwPHdPvrgnXFVgwzW+adZegGKVMMNzRl4G4DSgWBDcZi995p6XNnAoHv3XZggQTcQyOF/yckHIn8jHgihiSDwV99oKpa4XQ7tVdghghHy9mJryMW3XWXepfigjLpVVp2QPebnWQw1NAjjkD4WSdxXNpIYpWcEOsmjeBiKFINaBT6Z5HioqdafmFx+ONKAOz6HH5le2lCjbzeu+KMNiyGZZoQxMHjmlm92SRl/YQLqIZ85qKVnoGrKAAOFdFqpJFegxaClm4eySBwMhWKKo6YzwPCnp3YOx16bFn66nVdznhfjlZTKiWqdREIlww2iLprpqjhwqitu")
}

// TestLzip: LZMA with an end mark behind the header of lzip, a trailer behind it.
func TestLzip(t *testing.T) {
	var b bytes.Buffer
	w, err := lzma.WriterConfig{DictCap: 1 << 16, EOSMarker: true}.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(text(5000)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	packed := append([]byte("LZIP\x01\x10"), b.Bytes()[13:]...)
	packed = append(packed, make([]byte, 20)...)
	if o := unpacked(t, format.Limits{}, "a.lz", packed); len(o.files) != 2 || !bytes.Equal(o.files[1].Data, text(5000)) || len(o.marks) > 0 {
		t.Errorf("%s %v", o.names(), o.marks)
	}
}

// wideZstd is a frame of one raw block with this descriptor of its window.
func wideZstd(data []byte, window byte) []byte {
	head := uint32(len(data))<<3 | 1
	return append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0, window, byte(head), byte(head >> 8), byte(head >> 16)}, data...)
}

// wrongGzip makes the checksum wrong.
func wrongGzip(b []byte) []byte {
	b[len(b)-8] ^= 1
	return b
}

// lzipped is a member of an lzip file: the stream of an lzma file, whose
// properties are lzip's, and a trailer.
func lzipped(data []byte) []byte {
	var b bytes.Buffer
	w, err := lzma.WriterConfig{Properties: &lzma.Properties{LC: 3, LP: 0, PB: 2}, DictCap: 1 << 16, EOSMarker: true, Size: -1}.NewWriter(&b)
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(err)
	}
	return slices.Concat([]byte("LZIP\x01\x10"), b.Bytes()[13:], make([]byte, lzipTrailer))
}

// TestLzipMembers: members that each ask for a dictionary do not get them all.
func TestLzipMembers(t *testing.T) {
	member := lzipped(nil)
	member[5] = 24 // 16 MiB
	b := bytes.Repeat(member, 2000)
	if got := allocated(func() { unpacked(t, format.Limits{}, "a.lz", b) }); got > 300<<20 {
		t.Errorf("%d KiB", got>>10)
	}
}

// TestXZFilters reads what xz writes with filters in front of the compression.
func TestXZFilters(t *testing.T) {
	xz, err := exec.LookPath("xz")
	if err != nil {
		t.Skip("SKIPPED: there is no xz here")
	}
	// A program: calls and jumps, near each other and in rows.
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Skip("SKIPPED: ", err)
	}
	program = program[min(len(program), 1<<20):min(len(program), 3<<19)]
	calls := make([]byte, 0, 100_000)
	for i := uint32(1); len(calls) < 99_000; i = i*1664525 + 1013904223 {
		calls = append(calls, 0xe8|byte(i>>31), byte(i>>8), [4]byte{0xe8, 0, 0xff, 0xe9}[i>>20&3], [4]byte{0, 0xff, 0, 0xe8}[i>>24&3])
	}
	for _, c := range []struct{ args, mark string }{
		{"--x86 --lzma2=preset=0", ""},
		{"--x86=start=4096 --lzma2=preset=0", ""},
		{"--delta=dist=1 --lzma2=preset=0", ""},
		{"--delta=dist=4 --lzma2=preset=0", ""},
		{"--delta=dist=256 --x86 --lzma2=preset=0", ""},
		{"--x86 --delta=dist=3 --x86 --lzma2=preset=0", ""},
		{"--arm --lzma2=preset=0", format.Unreadable},
	} {
		for name, data := range map[string][]byte{"program": program, "calls": calls} {
			cmd := exec.Command(xz, append(strings.Fields(c.args), "-c", "-T1")...)
			cmd.Stdin = bytes.NewReader(data)
			packed, err := cmd.Output()
			if err != nil {
				t.Fatalf("xz %s: %v", c.args, err)
			}
			o := unpacked(t, format.Limits{Time: 20 * time.Second}, "a.xz", packed)
			if o.kinds() != c.mark || len(o.files) < 2 || len(o.files[1].Data) != len(data) {
				t.Errorf("%s, %s: files %q, marks %v", c.args, name, o.names(), o.marks)
			} else if c.mark == "" && !bytes.Equal(o.files[1].Data, data) {
				t.Errorf("%s, %s: not what was packed", c.args, name)
			}
		}
	}
}
