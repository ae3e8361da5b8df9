package archive

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"strings"
	"testing"

	"spamcatcher/signatures/unpack/format"
)

// expanded is a fixture that is kept packed.
func expanded(t testing.TB, name string) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(fixture(t, name+".gz")))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The images were made by genisoimage and xorriso.
func TestISO(t *testing.T) {
	for name, long := range map[string]string{
		"plain.iso":  "A_LONGER.TXT",
		"joliet.iso": "a longer name of words.txt",
		"udf.iso":    "a longer name of words.txt",
		"xor.iso":    "a longer name of words.txt",
	} {
		o := open(t, expanded(t, name), format.Limits{}, nil, iso{})
		o.clean(t)
		if len(o.order) != 4 || o.files[long] == nil {
			t.Fatalf("%s: files %q", name, o.order)
		}
		o.has(t, long, "words.txt")
		for _, f := range o.order {
			if strings.EqualFold(f, "dir/deep.txt") {
				o.has(t, f, "dir/deep.txt")
			}
			if strings.EqualFold(f, "note.txt") {
				o.has(t, f, "note.txt")
			}
		}
	}
}

// udfOnly is an image without the tree of ISO 9660.
func udfOnly(t testing.TB) []byte {
	return bytes.ReplaceAll(expanded(t, "udf.iso"), []byte("CD001"), []byte("BEA01"))
}

func TestUDF(t *testing.T) {
	o := open(t, udfOnly(t), format.Limits{}, nil, iso{})
	o.clean(t)
	o.has(t, "a longer name of words.txt", "words.txt")
	o.has(t, "dir/deep.txt", "dir/deep.txt")
	o.has(t, "note.txt", "note.txt")

	b := udfOnly(t)
	b[256*isoSector] = 9 // no anchor
	if o := open(t, b, format.Limits{}, nil, iso{}); o.marked(format.Unreadable) != 1 {
		t.Errorf("without an anchor: %v", o.marks)
	}
}

// Directories that contain themselves, or claim to be huge, come to an end.
func TestISOHostile(t *testing.T) {
	b := expanded(t, "joliet.iso")
	for _, n := range []int{16, 17} {
		v := b[n*isoSector:]
		root := v[156:190]
		binary.LittleEndian.PutUint32(root[10:], 0xffffffff)
		// Each directory below is the root again.
		dir := b[int(le32(root[2:]))*isoSector:]
		for at := 0; dir[at] != 0; at += int(dir[at]) {
			r := dir[at : at+int(dir[at])]
			if r[32] > 1 {
				r[25] |= 2
				copy(r[2:14], root[2:14])
			}
		}
	}
	o := open(t, b, format.Limits{}, nil, iso{})
	if o.marked(format.Damaged) != 1 || o.marked(format.LimitMembers) != 0 || len(o.order) > 20 {
		t.Errorf("a loop: marks %v, files %d", o.marks, len(o.order))
	}

	// A root of 60,000 entries.
	many := expanded(t, "plain.iso")
	record := make([]byte, 34)
	record[0], record[32], record[33] = 34, 1, 'x'
	at := len(many)
	for range 1100 {
		many = append(many, bytes.Repeat(record, isoSector/34)...)
		many = append(many, make([]byte, isoSector%34)...)
	}
	root := many[16*isoSector+156:]
	binary.LittleEndian.PutUint32(root[2:], uint32(at/isoSector))
	binary.LittleEndian.PutUint32(root[10:], uint32(len(many)-at))
	if o := open(t, many, format.Limits{Members: 1 << 20}, nil, iso{}); o.marked(format.LimitMembers) != 1 {
		t.Errorf("many entries: marks %v", o.marks)
	}
}

func TestISODamage(t *testing.T) {
	for _, name := range []string{"joliet.iso", "udf.iso"} {
		b := expanded(t, name)
		for n := 0; n < len(b); n += 20*isoSector + 100 {
			open(t, b[:n], small(), nil, iso{})
		}
		for at := 16 * isoSector; at < min(len(b), 330*isoSector); at += 1009 {
			b[at] ^= 0xff
			open(t, b, small(), nil, iso{})
			b[at] ^= 0xff
		}
	}
}

// The first 32 KiB of an image are empty: the fuzzer gets what follows.
func FuzzISO(f *testing.F) {
	for _, name := range []string{"joliet.iso", "udf.iso"} {
		b := expanded(f, name)
		f.Add(b[16*isoSector : min(len(b), 320*isoSector)])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 1<<20 {
			if o := open(t, append(make([]byte, 16*isoSector), b...), small(), nil, iso{}); len(o.order) > 51 {
				t.Fatalf("%d files", len(o.order))
			}
		}
	})
}
