package archive

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strconv"
	"testing"

	"spamcatcher/signatures/unpack/format"
	"spamcatcher/signatures/unpack/unpacktest"
)

// appleFile is an AppleSingle file of a name and two forks, or, with another
// magic number, AppleDouble.
func appleFile(magic uint32, name string, data, fork []byte) []byte {
	be := binary.BigEndian
	b := be.AppendUint32(nil, magic)
	b = be.AppendUint32(b, 0x20000)
	b = append(b, make([]byte, 16)...)
	b = be.AppendUint16(b, 3)
	at := uint32(26 + 3*12)
	for _, e := range []struct {
		id   uint32
		body []byte
	}{{1, data}, {2, fork}, {3, []byte(name)}} {
		b = be.AppendUint32(be.AppendUint32(be.AppendUint32(b, e.id), at), uint32(len(e.body)))
		at += uint32(len(e.body))
	}
	return slices.Concat(b, data, fork, []byte(name))
}

// binaryFile is a MacBinary file.
func binaryFile(name string, data, fork []byte) []byte {
	h := make([]byte, 128)
	h[1] = byte(copy(h[2:], name))
	copy(h[65:], "TEXTttxt")
	binary.BigEndian.PutUint32(h[83:], uint32(len(data)))
	binary.BigEndian.PutUint32(h[87:], uint32(len(fork)))
	pad := func(b []byte) []byte { return append(slices.Clone(b), make([]byte, -len(b)&127)...) }
	return slices.Concat(h, pad(data), pad(fork))
}

func TestMacintosh(t *testing.T) {
	data, fork := text(1000), text(3000)[2000:2500]
	gz := unpacktest.Gzip(unpacktest.File{Name: "x.js", Data: data})
	wrong := binaryFile("plan.js", data, fork)
	wrong[86]++
	icon := append([]byte{0, 0, 1, 0, 1, 0, 16, 16}, bytes.Repeat([]byte{0}, 1000)...)
	cases := []struct {
		name  string
		data  []byte
		files string
		marks string
	}{
		{"AppleSingle", appleFile(0x51600, "plan.js", data, fork), "plan.js:1000 plan.js:500", ""},
		{"AppleSingle around gzip", appleFile(0x51600, "plan.gz", gz, nil), "plan.gz:" + strconv.Itoa(len(gz)) + " x.js:1000", ""},
		{"AppleDouble", appleFile(0x51607, "plan.js", nil, fork), "plan.js:500", ""},
		{"AppleSingle cut off", appleFile(0x51600, "plan.js", data, fork)[:500], "file.bin:438", format.Damaged},
		{"AppleDouble cut off", appleFile(0x51607, "plan.js", nil, fork)[:200], "file.bin:138", ""},
		{"MacBinary", binaryFile("plan.js", data, fork), "plan.js:1000 plan.js:500", ""},
		{"MacBinary without padding", binaryFile("plan.js", data, nil)[:1128], "plan.js:1000", ""},
		{"MacBinary around gzip", binaryFile("plan.gz", gz, fork), "plan.gz:" + strconv.Itoa(len(gz)) + " x.js:1000 plan.gz:500", ""},
		{"not MacBinary: lengths", wrong[:1100], "", ""},
		{"not MacBinary: an icon", icon, "", ""},
		{"not MacBinary: zeros", make([]byte, 4096), "", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			o := unpacked(t, format.Limits{}, "file.bin", c.data)
			if o.names() != c.files || o.kinds() != c.marks {
				t.Errorf("files %q, want %q; marks %v, want %q", o.names(), c.files, o.marks, c.marks)
			}
		})
	}
}

func FuzzMacintosh(f *testing.F) {
	f.Add(appleFile(0x51600, "plan.js", text(100), text(50)))
	f.Add(binaryFile("plan.js", text(100), text(50)))
	fuzz(f, macintosh{})
}
