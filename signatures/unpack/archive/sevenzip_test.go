package archive

import (
	"encoding/binary"
	"hash/crc32"
	"testing"

	"spamcatcher/signatures/unpack/format"
)

// The archives were made by 7-Zip 16.02 from the texts in testdata.
func TestSevenZip(t *testing.T) {
	for _, name := range []string{"solid", "lzma", "ppmd", "bzip2", "deflate", "copy", "bcj", "bcj2", "delta", "plainheader"} {
		t.Run(name, func(t *testing.T) {
			o := open(t, fixture(t, name+".7z"), format.Limits{}, nil, sevenZip{})
			o.clean(t)
			o.has(t, "note.txt", "note.txt")
			o.has(t, "words.txt", "words.txt")
			o.has(t, "dir/deep.txt", "dir/deep.txt")
			o.has(t, "code.bin", "code.bin")
			if f := o.files["empty.txt"]; f == nil || len(f.Data) != 0 {
				t.Fatalf("the empty file: %v", f)
			}
			if len(o.order) != 6 {
				t.Fatalf("files: %q", o.order)
			}
		})
	}
}

func TestSevenZipBehindProgram(t *testing.T) {
	b := append(append(stub(), sevenMagic...), fixture(t, "solid.7z")...) // a false signature before the true one
	open(t, b, format.Limits{}, nil, sevenZip{}).has(t, "note.txt", "note.txt")
}

func TestSevenZipUnknownMethod(t *testing.T) {
	o := open(t, fixture(t, "deflate64.7z"), format.Limits{}, nil, sevenZip{})
	if o.marked(format.Unreadable) != 1 || o.marked(format.Damaged) != 0 {
		t.Fatalf("marks: %v", o.marks)
	}
}

func TestSevenZipEncrypted(t *testing.T) {
	for _, tt := range []struct {
		name   string
		keys   []string
		opened bool
		marks  int // of Encrypted without a password
	}{
		{"members.7z", nil, false, 4},
		{"members.7z", []string{"wrong", "secret1"}, true, 0},
		{"members.7z", []string{"wrong", "worse"}, false, 4},
		{"names.7z", nil, false, 1},
		{"names.7z", []string{"secret1"}, true, 0},
		{"names.7z", []string{"wrong"}, false, 1},
	} {
		o := open(t, fixture(t, tt.name), format.Limits{}, tt.keys, sevenZip{})
		if o.marked(format.Encrypted) != tt.marks || o.marked(format.Damaged) != 0 {
			t.Errorf("%s with %q: marks %v", tt.name, tt.keys, o.marks)
		}
		if tt.opened {
			o.has(t, "words.txt", "words.txt")
			if !o.files["words.txt"].Unlocked || o.marked(format.Unlocked) == 0 {
				t.Errorf("%s: not said to be unlocked: %v", tt.name, o.marks)
			}
		} else if f := o.files["words.txt"]; f != nil && (len(f.Data) > 0 || !f.Cut) {
			t.Errorf("%s with %q: files %q", tt.name, tt.keys, o.order)
		}
	}
}

// sevenForged is an archive with this header.
func sevenForged(packed, header []byte) []byte {
	start := binary.LittleEndian.AppendUint64(nil, uint64(len(packed)))
	start = binary.LittleEndian.AppendUint64(start, uint64(len(header)))
	start = binary.LittleEndian.AppendUint32(start, crc32.ChecksumIEEE(header))
	b := append([]byte(sevenMagic), 0, 4)
	b = append(binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(start)), start...)
	return append(append(b, packed...), header...)
}

// A few bytes that declare gigabytes must not get them.
func TestSevenZipMemory(t *testing.T) {
	big := []byte{0xf0, 0xff, 0xff, 0xff, 0xff} // 4 Gi in the format's encoding
	files := func(n []byte) []byte {
		return append(append([]byte{1, 4, 6, 0, 1, 9, 4, 0, 7, 0x0b, 1, 0, 1, 1, 0, 0x0c, 4, 0, 0, 5}, n...), 0x11, 5, 0, 'x', 0, 0, 0, 0, 0)
	}
	coder := func(method []byte, props ...byte) []byte {
		h := append([]byte{1, 4, 6, 0, 1, 9, 16, 0, 7, 0x0b, 1, 0, 1, 0x20 | byte(len(method))}, method...)
		h = append(append(h, byte(len(props))), props...)
		h = append(append(h, 0x0c), big...)
		return append(h, 0, 0, 5, 1, 0x11, 5, 0, 'x', 0, 0, 0, 0, 0)
	}
	sub := append([]byte{1, 4, 6, 0, 1, 9, 4, 0, 7, 0x0b, 1, 0, 1, 1, 0, 0x0c, 4, 0, 8, 0x0d}, big...)
	for name, tt := range map[string]struct {
		header []byte
		mark   string
		most   uint64
	}{
		"files":   {files(big), format.Damaged, 1 << 20},
		"streams": {append(sub, 0, 0, 0), format.Damaged, 1 << 20},
		"packs":   {append(append([]byte{1, 4, 6, 0}, big...), 9, 0), format.Damaged, 1 << 20},
		"lzma":    {coder([]byte(sevenLZMA), 0x5d, 0xff, 0xff, 0xff, 0xff), format.LimitBytes, 40 << 20},
		"lzma2":   {coder([]byte(sevenLZMA2), 40), format.Damaged, 40 << 20},
		"ppmd":    {coder([]byte(sevenPPMd), 6, 0, 0, 0, 0xf0), format.LimitBytes, 1 << 20},
		"aes":     {coder([]byte(sevenAES), 0x80|24, 0, 1), format.Encrypted, 1 << 20},
	} {
		var o opening
		got := allocated(func() {
			o = open(t, sevenForged(make([]byte, 16), tt.header), format.Limits{}, []string{"a"}, sevenZip{})
		})
		if got > tt.most || o.marked(tt.mark) != 1 {
			t.Errorf("%s: %d KiB allocated, marks %v", name, got>>10, o.marks)
		}
	}
}

func TestSevenZipDamage(t *testing.T) {
	for _, name := range []string{"solid.7z", "bcj2.7z", "ppmd.7z", "names.7z", "plainheader.7z"} {
		truncations(t, fixture(t, name), sevenZip{})
	}
	b := fixture(t, "copy.7z")
	b[40] ^= 1
	if o := open(t, b, format.Limits{}, nil, sevenZip{}); o.marked(format.Damaged) == 0 || len(o.order) != 6 {
		t.Fatalf("a wrong checksum: marks %v, files %q", o.marks, o.order)
	}
}

func FuzzSevenZip(f *testing.F) {
	fuzz(f, sevenZip{}, "solid.7z", "ppmd.7z", "bcj2.7z", "plainheader.7z", "members.7z", "names.7z")
}

// TestSevenZipFarther: what is cut down is a limit, not damage.
func TestSevenZipFarther(t *testing.T) {
	for _, c := range []struct {
		id, props string
		size      uint64
		want      bool
	}{
		{sevenLZMA, "\x5d\x00\x00\x00\x04", 40 << 20, true}, // 64 MiB
		{sevenLZMA, "\x5d\x00\x00\x00\x04", 30 << 20, false},
		{sevenLZMA, "\x5d\x00\x00\x00\x02", 40 << 20, false}, // 32 MiB
		{sevenLZMA2, "\x1c", 40 << 20, true},                 // 64 MiB
		{sevenLZMA2, "\x1a", 40 << 20, false},                // 32 MiB
		{sevenPPMd, "\x06\x00\x00\x00\x04", 40 << 20, false},
	} {
		f := sevenFolder{coders: []sevenCoder{{id: c.id, in: 1, props: []byte(c.props)}}, sizes: []uint64{c.size}}
		if got := f.farther(); got != c.want {
			t.Errorf("%x, %x, %d: %v", c.id, c.props, c.size, got)
		}
	}
}
