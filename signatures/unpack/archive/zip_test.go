package archive

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"spamcatcher/signatures/unpack/format"
	"spamcatcher/signatures/unpack/unpacktest"
)

// text is a file that compresses, of n bytes.
func text(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "line %d of a text that says nothing\n", i*i)
	}
	return b.Bytes()[:n]
}

// bzipped is text(300) as bzip2 packs it.
func bzipped(t testing.TB) []byte {
	b, err := base64.StdEncoding.DecodeString("QlpoMTFBWSZTWXiDSj0AAFfZgAAQQAB/ICPljGAgAGglFMT1Mm9U0GgFSpoTBDBkIC7AmDwC0JLfSVMgYYHATFHOIxIh4cD6O4aQrCgoFYYi1RaDSDIeCg4HwUg1FoYD0XckU4UJB4g0o9A=")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestZip(t *testing.T) {
	one, two := unpacktest.File{Name: "one.txt", Data: text(300)}, unpacktest.File{Name: "two.js", Data: text(5000)[100:]}
	zip := unpacktest.Zip
	entry := unpacktest.StoredEntry
	both := "one.txt:300 two.js:4900"
	locked := func(aes bool) []byte { return unpacktest.ZipLocked("1234", aes, one, two) }
	edit := func(e unpacktest.ZipEntry, change func(*unpacktest.ZipEntry)) unpacktest.ZipEntry {
		change(&e)
		return e
	}
	cases := []struct {
		name      string
		data      []byte
		passwords string
		files     string
		marks     string
	}{
		{"stored", zip(unpacktest.Stored, one, two), "", both, ""},
		{"deflate", zip(unpacktest.Deflated, one, two), "", both, ""},
		{"bzip2", unpacktest.ZipOf(-1, unpacktest.ZipEntry{Name: "one.txt", Method: 12, Packed: bzipped(t), Size: 300, CRC: entry(one).CRC}), "", "one.txt:300", ""},
		{"lzma", zip(unpacktest.LZMAed, one, two), "", both, ""},
		{"zstd", zip(unpacktest.Zstded, one, two), "", both, ""},
		{"xz", zip(unpacktest.XZed, one, two), "", both, ""},
		{"empty", zip(unpacktest.Stored), "", "", ""},
		{"in front a program", append([]byte("MZ\x90\x00"+strings.Repeat("\x00program", 100)), zip(unpacktest.Deflated, one, two)...), "", both, ""},
		{"in front a picture", append([]byte("\xff\xd8\xff\xe0"+strings.Repeat("picture", 100)), zip(unpacktest.Deflated, one, two)...), "", both, "ambiguous"},
		{"behind a document", append([]byte("%PDF-1.4\n"+strings.Repeat("document", 100)), zip(unpacktest.Deflated, one, two)...), "", both, "ambiguous"},
		{"something behind", append(zip(unpacktest.Deflated, one, two), bytes.Repeat([]byte("junk"), 10000)...), "", both, ""},
		{"one behind the other", append(zip(unpacktest.Deflated, one), zip(unpacktest.Deflated, two)...), "", "two.js:4900 one.txt:300", "ambiguous"},
		{"the directory is cut off", zip(unpacktest.Deflated, one, two)[:600], "", "one.txt:300 two.js:4831", "damaged"},
		{"the last member is cut off", zip(unpacktest.Stored, one, two)[:3000], "", "one.txt:300 two.js:2611", "damaged"},
		{"only in the local headers", unpacktest.ZipOf(-1, entry(one), edit(entry(two), func(e *unpacktest.ZipEntry) { e.NoDirectory = true })), "", both, "ambiguous"},
		{"the count is too low", unpacktest.ZipOf(1, entry(one), entry(two)), "", both, "ambiguous"},
		{"the count is too high", unpacktest.ZipOf(60000, entry(one), entry(two)), "", both, "ambiguous"},
		{"two names", unpacktest.ZipOf(-1, entry(one), edit(entry(two), func(e *unpacktest.ZipEntry) { e.LocalName = "two.pdf" })), "", "one.txt:300 two.pdf:4900 two.js:4900", "ambiguous"},
		{"the same name twice", unpacktest.ZipOf(-1, entry(one), entry(unpacktest.File{Name: one.Name, Data: text(40)})), "", "one.txt:300 one.txt:40", "ambiguous"},
		{"wrong checksum", unpacktest.ZipOf(-1, entry(one), edit(entry(two), func(e *unpacktest.ZipEntry) { e.CRC++ })), "", both, "damaged"},
		{"wrong size", unpacktest.ZipOf(-1, entry(one), edit(entry(two), func(e *unpacktest.ZipEntry) { e.Size = 7 })), "", both, ""},
		{"stored that says deflate", unpacktest.ZipOf(-1, entry(one), edit(entry(two), func(e *unpacktest.ZipEntry) { e.Method = 8 })), "", "one.txt:300 two.js:0 two.js:4900", "ambiguous damaged"},
		{"a method that is unknown", unpacktest.ZipOf(-1, entry(one), edit(entry(two), func(e *unpacktest.ZipEntry) { e.Method = 98 })), "", "one.txt:300 two.js:0", "unreadable"},
		{"locked by AES", locked(true), "no,neither", "one.txt:0 two.js:0", "encrypted"},
		{"locked by ZipCrypto", locked(false), "no,neither", "one.txt:0 two.js:0", "encrypted"},
		{"unlocked by AES", locked(true), "no,neither,1234", both, "unlocked"},
		{"unlocked by ZipCrypto", locked(false), "no,neither,1234", both, "unlocked"},
		{"no directory but a cry for it", []byte("PK\x05\x06" + strings.Repeat("\xff", 18)), "", "", "damaged"},
		{"a name that ends early", unpacktest.ZipOf(-1, entry(unpacktest.File{Name: "a.exe\x00.txt", Data: one.Data})), "", "a.exe\x00.txt:300", "ambiguous"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var passwords []string
			if c.passwords != "" {
				passwords = strings.Split(c.passwords, ",")
			}
			o := unpacked(t, format.Limits{}, "file.zip", c.data, passwords...)
			if o.names() != c.files || o.kinds() != c.marks {
				t.Errorf("files %q, want %q; marks %q, want %q: %v", o.names(), c.files, o.kinds(), c.marks, o.marks)
			}
			for _, f := range o.files[1:] {
				if f.Unlocked != strings.HasPrefix(c.name, "unlocked") {
					t.Errorf("%s: Unlocked is %v", f.Name, f.Unlocked)
				}
				if len(f.Data) > 0 && !bytes.HasPrefix(one.Data, f.Data) && !bytes.HasPrefix(two.Data, f.Data) {
					t.Errorf("%s: not what was packed", f.Name)
				}
			}
		})
	}
}

// TestZipStreamed: sizes that follow the data, without and with a directory.
func TestZipStreamed(t *testing.T) {
	b := unpacktest.Zip(unpacktest.Deflated, unpacktest.File{Name: "one.txt", Data: text(300)}, unpacktest.File{Name: "two.js", Data: text(5000)})
	if flags := binary.LittleEndian.Uint16(b[6:]); flags&zipStreamed == 0 {
		t.Fatal("the library no longer writes the sizes behind the data: make such a file otherwise")
	}
	cut := b[:bytes.Index(b, zipCentral)]
	if o := unpacked(t, format.Limits{}, "file.zip", cut); o.names() != "one.txt:300 two.js:5000" || o.kinds() != format.Damaged {
		t.Errorf("without directory: %s %v", o.names(), o.marks)
	}
}

// TestZip64 reads sizes of 64 bits in both headers and in the end record.
func TestZip64(t *testing.T) {
	data := text(100)
	var b bytes.Buffer
	le := binary.LittleEndian
	put := func(v ...any) {
		for _, x := range v {
			if err := binary.Write(&b, le, x); err != nil {
				t.Fatal(err)
			}
		}
	}
	extra := func(v ...uint64) []byte {
		e := le.AppendUint16(nil, 1)
		e = le.AppendUint16(e, uint16(8*len(v)))
		for _, x := range v {
			e = le.AppendUint64(e, x)
		}
		return e
	}
	e := extra(100, 100)
	put([]byte("PK\x03\x04"), uint16(45), uint16(0), uint16(0), uint32(0), uint32(0xdeadbeef), ^uint32(0), ^uint32(0), uint16(5), uint16(len(e)), []byte("a.txt"), e, data)
	start := b.Len()
	e = extra(100, 100, 0)
	put([]byte("PK\x01\x02"), uint16(45), uint16(45), uint16(0), uint16(0), uint32(0), uint32(0xdeadbeef), ^uint32(0), ^uint32(0), uint16(5), uint16(len(e)), uint16(0), uint16(0), uint16(0), uint32(0), ^uint32(0), []byte("a.txt"), e)
	size, end := b.Len()-start, b.Len()
	put([]byte("PK\x06\x06"), uint64(44), uint16(45), uint16(45), uint32(0), uint32(0), uint64(1), uint64(1), uint64(size), uint64(start))
	put([]byte("PK\x06\x07"), uint32(0), uint64(end), uint32(1))
	put([]byte("PK\x05\x06"), uint16(0), uint16(0), ^uint16(0), ^uint16(0), ^uint32(0), ^uint32(0), uint16(0))
	o := unpacked(t, format.Limits{}, "file.zip", b.Bytes())
	if o.names() != "a.txt:100" || o.kinds() != format.Damaged { // the checksum is none
		t.Errorf("%s %v", o.names(), o.marks)
	}
}

// TestZipOverlap: thousands of members that share their data are seen, and few of
// them read.
func TestZipOverlap(t *testing.T) {
	first := unpacktest.StoredEntry(unpacktest.File{Name: "0.txt", Data: text(10000)})
	list := []unpacktest.ZipEntry{first}
	for i := range 2000 {
		list = append(list, unpacktest.ZipEntry{Name: fmt.Sprintf("%d.t%d", i, i), Packed: first.Packed, Size: first.Size, NoLocal: true})
	}
	o := unpacked(t, format.Limits{}, "file.zip", unpacktest.ZipOf(-1, list...))
	if len(o.files) > 1+2*(overlapsRead+1) || !strings.Contains(o.kinds(), format.LimitRatio) {
		t.Errorf("%d files, marks %v", len(o.files), o.marks)
	}
}

// TestZipLockedNames: one mark for an archive, with names, and one per password.
func TestZipLockedNames(t *testing.T) {
	var files []unpacktest.File
	for i := range 30 {
		files = append(files, unpacktest.File{Name: fmt.Sprintf("%d.exe", i), Data: text(50 + i)})
	}
	o := unpacked(t, format.Limits{}, "file.zip", unpacktest.ZipLocked("secret", true, files...), "a", "b", "c")
	if len(o.marks) != 1 || o.marks[0].Kind != format.Encrypted || !strings.HasPrefix(o.marks[0].Detail, "0.exe, 1.exe, ") || strings.Count(o.marks[0].Detail, ",") != zipNames-1 {
		t.Errorf("marks %v", o.marks)
	}
	o = unpacked(t, format.Limits{}, "file.zip", unpacktest.ZipLocked("secret", true, files...), "a", "b", "c", "secret")
	if len(o.marks) != 1 || o.marks[0].Kind != format.Unlocked || o.marks[0].Detail != "secret" || len(o.files) != 31 {
		t.Errorf("marks %v, %d files", o.marks, len(o.files))
	}
}
