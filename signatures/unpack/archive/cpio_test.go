package archive

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"spamcatcher/signatures/unpack/format"
)

// The archives were made by GNU cpio and ar.
func TestCPIO(t *testing.T) {
	for _, name := range []string{"newc.cpio", "odc.cpio", "bin.cpio"} {
		b := expanded(t, name)
		o := open(t, b, format.Limits{}, nil, cpio{})
		o.clean(t)
		for _, f := range []string{"note.txt", "words.txt", "code.bin", "dir/deep.txt"} {
			o.has(t, f, f)
		}
		if o := open(t, b[:20000], format.Limits{}, nil, cpio{}); o.marked(format.Damaged) != 1 {
			t.Errorf("%s cut off: %v", name, o.marks)
		}
		truncations(t, b, cpio{})
	}
	o := open(t, fixture(t, "plain.ar"), format.Limits{}, nil, ar{})
	o.clean(t)
	o.has(t, "note.txt", "note.txt")
	o.has(t, "deep.txt", "dir/deep.txt")
	truncations(t, fixture(t, "plain.ar"), ar{})
}

func TestRPM(t *testing.T) {
	b := append([]byte("\xed\xab\xee\xdb"), make([]byte, 92)...)
	for _, n := range []byte{3, 5} {
		h := append([]byte("\x8e\xad\xe8\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00"), n)
		b = append(append(b, h...), make([]byte, 16+int(n))...)
		if n == 3 {
			b = append(b, make([]byte, (8-len(b)%8)%8)...)
		}
	}
	b = append(b, expanded(t, "newc.cpio")...)
	o := open(t, b, format.Limits{}, nil, rpm{}, cpio{})
	o.clean(t)
	o.has(t, "words.txt", "words.txt")
	truncations(t, b[:300], rpm{})
}

// hqxEncode writes what BinHex reads, with runs where there are some.
func hqxEncode(b []byte) string {
	var packed []byte
	for i := 0; i < len(b); {
		n := 1
		for i+n < len(b) && n < 200 && b[i+n] == b[i] {
			n++
		}
		packed = append(packed, b[i])
		if b[i] == 0x90 {
			packed = append(packed, 0)
			n = 1
		} else if n > 3 {
			packed = append(packed, 0x90, byte(n))
		} else {
			n = 1
		}
		i += n
	}
	var out strings.Builder
	hold, bits := 0, 0
	for _, c := range packed {
		hold, bits = hold<<8|int(c), bits+8
		for bits >= 6 {
			bits -= 6
			out.WriteByte(hqxAlphabet[hold>>bits&63])
			if out.Len()%65 == 64 {
				out.WriteByte('\n')
			}
		}
	}
	if bits > 0 {
		out.WriteByte(hqxAlphabet[hold<<(6-bits)&63])
	}
	return out.String()
}

func hqxOf(name string, data, fork []byte) []byte {
	h := append(append([]byte{byte(len(name))}, name...), "\x00TEXTtttt\x00\x00"...)
	h = binary.BigEndian.AppendUint32(h, uint32(len(data)))
	h = binary.BigEndian.AppendUint32(h, uint32(len(fork)))
	h = append(append(append(append(append(h, 0, 0), data...), 0, 0), fork...), 0, 0)
	return []byte("Some words before.\n(This file must be converted with BinHex 4.0)\n\n:" + hqxEncode(h) + ":\nand behind")
}

func TestBinHex(t *testing.T) {
	data := append(fixture(t, "code.bin"), bytes.Repeat([]byte{0x90, 'z', 'z', 'z', 'z', 'z'}, 9)...)
	b := hqxOf("code.bin", data, []byte("the other fork"))
	o := open(t, b, format.Limits{}, nil, binhex{})
	o.clean(t)
	var found, fork bool
	for _, f := range o.all {
		found = found || f.Name == "code.bin" && bytes.Equal(f.Data, data)
		fork = fork || string(f.Data) == "the other fork"
	}
	if !found || !fork {
		t.Errorf("files %q", o.order)
	}
	if o := open(t, b[:3000], format.Limits{}, nil, binhex{}); o.marked(format.Damaged) != 1 || len(o.order) != 2 {
		t.Errorf("cut off: %v, %q", o.marks, o.order)
	}
	truncations(t, b, binhex{})
	for _, text := range []string{"I wrote: BinHex 4.0 is old\nbut: it works\n", "BinHex 4.0)\n\n: see above\n"} {
		if o := open(t, []byte(text), format.Limits{}, nil, binhex{}); len(o.order) != 1 || len(o.marks) > 0 {
			t.Errorf("%q: files %q, marks %v", text, o.order, o.marks)
		}
	}
}

func TestSZDD(t *testing.T) {
	// "abc", a match of 6 from where that begins, and one of spaces from before.
	b := append([]byte(szddMagic), 'A', 't', 12, 0, 0, 0, 0x07, 'a', 'b', 'c', 0xf0, 0xf3, 0x00, 0x00)
	o := open(t, b, format.Limits{}, nil, szdd{})
	o.clean(t)
	if len(o.all) != 2 || string(o.all[1].Data) != "abcabcabc   " {
		t.Errorf("%q", o.all[1].Data)
	}
	truncations(t, b, szdd{})
}

func TestUnreadable(t *testing.T) {
	for _, u := range unreadables {
		b := make([]byte, 600)
		copy(b[u.at:], u.magic)
		if o := open(t, b, format.Limits{}, nil, unreadable{}); o.marked(format.Unreadable) != 1 || o.marks[0].Detail != u.name {
			t.Errorf("%s: %v", u.name, o.marks)
		}
	}
	dmg := make([]byte, 2048)
	copy(dmg[2048-512:], "koly")
	if o := open(t, dmg, format.Limits{}, nil, unreadable{}); o.marked(format.Unreadable) != 1 {
		t.Errorf("dmg: %v", o.marks)
	}
}

// ClamAV's test files all hold the same harmless program.
func TestForeign(t *testing.T) {
	const dir = "/usr/share/clamav-testfiles"
	want, err := os.ReadFile(filepath.Join(dir, "clam.exe"))
	if err != nil {
		t.Skip("SKIPPED: the Debian package clamav-testfiles is not installed: files of other programs are not tried")
	}
	for name, x := range map[string]format.Format{
		"clam.7z": sevenZip{}, "clam.cab": cab{}, "clam.arj": arj{}, "clam.tnef": tnef{}, "clam.exe.szdd": szdd{}, "clam.exe.binhex": binhex{},
		"clam.bin-be.cpio": cpio{}, "clam.bin-le.cpio": cpio{}, "clam.newc.cpio": cpio{}, "clam.odc.cpio": cpio{},
	} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Logf("%s is not there", name)
			continue
		}
		found := false
		o := open(t, b, format.Limits{}, nil, x)
		for _, f := range o.all {
			found = found || bytes.Equal(f.Data, want)
		}
		if !found {
			t.Errorf("%s: files %q, marks %v", name, o.order, o.marks)
		}
	}
}

func FuzzCPIO(f *testing.F) {
	for _, name := range []string{"newc.cpio", "odc.cpio", "bin.cpio"} {
		f.Add(expanded(f, name)[:2000])
	}
	fuzz(f, cpio{})
}

func FuzzAr(f *testing.F) { fuzz(f, ar{}, "plain.ar") }

func FuzzBinHex(f *testing.F) {
	f.Add(hqxOf("a", []byte("content"), []byte("fork")))
	fuzz(f, binhex{})
}

func FuzzSZDD(f *testing.F) {
	f.Add(append([]byte(szddMagic), 'A', 't', 12, 0, 0, 0, 0x07, 'a', 'b', 'c', 0xf0, 0xf3, 0x00, 0x00))
	fuzz(f, szdd{})
}
