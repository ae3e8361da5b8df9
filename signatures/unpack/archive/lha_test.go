package archive

import (
	"bytes"
	"encoding/binary"
	"testing"

	"spamcatcher/signatures/unpack/format"
)

// The archives were made by arj 3.10.
func TestARJ(t *testing.T) {
	o := open(t, fixture(t, "packed.arj"), format.Limits{}, nil, arj{})
	o.clean(t)
	for _, name := range []string{"note.txt", "words.txt", "code.bin", "dir/deep.txt"} {
		o.has(t, name, name)
	}
	o = open(t, fixture(t, "stored.arj"), format.Limits{}, nil, arj{})
	o.clean(t)
	o.has(t, "note.txt", "note.txt")
	o = open(t, fixture(t, "fast.arj"), format.Limits{}, nil, arj{})
	o.clean(t)
	o.has(t, "words.txt", "words.txt")
	o = open(t, fixture(t, "garbled.arj"), format.Limits{}, []string{"secret1"}, arj{})
	if o.marked(format.Encrypted) != 1 || o.files["note.txt"] == nil {
		t.Errorf("garbled: %v", o.marks)
	}
	cut := fixture(t, "packed.arj")
	if o := open(t, cut[:len(cut)/2], format.Limits{}, nil, arj{}); o.marked(format.Damaged) != 1 {
		t.Errorf("cut off: %v", o.marks)
	}
}

// lhaOf is a member of an archive of LHA with a header of the level given.
func lhaOf(level byte, method, name string, packed []byte, size int) []byte {
	le := binary.LittleEndian
	h := append([]byte{0, 0}, method...)
	h = le.AppendUint32(h, uint32(len(packed)))
	h = le.AppendUint32(h, uint32(size))
	h = append(h, 0, 0, 0x21, 0x58, 0x20, level)
	switch level {
	case 0, 1:
		var extended []byte
		if level == 1 {
			h = append(h, 0, 0, 0, 'U')
			extended = le.AppendUint16(append([]byte{1}, name...), 0)
			h = le.AppendUint16(h, uint16(len(extended)))
			le.PutUint32(h[7:], uint32(len(packed)+len(extended)))
		} else {
			h = append(append(append(h, byte(len(name))), name...), 0, 0)
		}
		h[0] = byte(len(h) - 2)
		for _, c := range h[2:] {
			h[1] += c
		}
		h = append(h, extended...)
	case 2:
		h = append(h, 0, 0, 'U')
		h = le.AppendUint16(h, uint16(3+len(name)))
		h = le.AppendUint16(append(append(h, 1), name...), 7)
		h = le.AppendUint16(append(append(h, 2), "dir\xff"...), 0)
		le.PutUint16(h, uint16(len(h)))
	}
	return append(append(h, packed...), 0)
}

// What ARJ packs, LHA reads as -lh7-.
func lh7(t testing.TB) []byte {
	_, b, _ := arjHeader(fixture(t, "packed.arj"))
	for {
		h, rest, ok := arjHeader(b)
		if !ok || h == nil {
			t.Fatal("words.txt is not there")
		}
		n := le32(h[12:])
		if textOf(h[h[0]:]) == "words.txt" {
			return rest[:n]
		}
		b = rest[n:]
	}
}

func TestLHA(t *testing.T) {
	words := fixture(t, "words.txt")
	for level, name := range map[byte]string{0: "words.txt", 1: "words.txt", 2: "dir/words.txt"} {
		o := open(t, lhaOf(level, "-lh7-", "words.txt", lh7(t), len(words)), format.Limits{}, nil, lha{})
		o.clean(t)
		o.has(t, name, "words.txt")
	}
	o := open(t, lhaOf(0, "-lh0-", "note.txt", fixture(t, "note.txt"), 0), format.Limits{}, nil, lha{})
	o.clean(t)
	o.has(t, "note.txt", "note.txt")

	// A block of 300 times the same byte, in codes that take no bits.
	one := []byte{0x01, 0x2c, 0, 0, 0, 0}
	w := &byteWriter{}
	w.put(300, 16)
	w.put(0, 5)
	w.put(0, 5)
	w.put(0, 9)
	w.put('q', 9)
	w.put(0, 4)
	w.put(0, 4)
	w.put(0, 16)
	o = open(t, lhaOf(0, "-lh5-", "q", append(w.out, one...), 300), format.Limits{}, nil, lha{})
	o.clean(t)
	if !bytes.Equal(o.files["q"].Data, bytes.Repeat([]byte{'q'}, 300)) {
		t.Errorf("%q", o.files["q"].Data)
	}

	if o := open(t, lhaOf(0, "-lh1-", "old", []byte("xxxx"), 9), format.Limits{}, nil, lha{}); o.marked(format.Unreadable) != 1 || o.files["old"] == nil {
		t.Errorf("an old method: %v", o.marks)
	}
	if o := open(t, lhaOf(0, "-lh5-", "bad", bytes.Repeat([]byte{0xff}, 40), 9), format.Limits{}, nil, lha{}); o.marked(format.Damaged) != 1 {
		t.Errorf("garbage: %v", o.marks)
	}
}

// A few bytes must not become gigabytes.
func TestLHABomb(t *testing.T) {
	w := &byteWriter{}
	for range 40 {
		w.put(65535, 16)
		w.put(0, 5)
		w.put(0, 5)
		w.put(0, 9)
		w.put(509, 9) // matches of the greatest length, no bits each
		w.put(0, 4)
		w.put(0, 4)
	}
	b := lhaOf(0, "-lh5-", "bomb", append(w.out, 0, 0), 0xf0000000)
	var o opening
	got := allocated(func() { o = open(t, b, format.Limits{}, nil, lha{}) })
	if o.marked(format.LimitRatio) != 1 || got > 128<<20 {
		t.Errorf("marks %v, %d KiB", o.marks, got>>10)
	}
}

// A byteWriter writes bits, the highest first.
type byteWriter struct {
	out []byte
	n   int
}

func (w *byteWriter) put(v, n int) {
	for i := n - 1; i >= 0; i-- {
		if w.n == 0 {
			w.out = append(w.out, 0)
		}
		w.out[len(w.out)-1] |= byte(v>>i&1) << (7 - w.n)
		w.n = (w.n + 1) % 8
	}
}

func TestLHADamage(t *testing.T) {
	truncations(t, fixture(t, "packed.arj"), arj{})
	truncations(t, fixture(t, "fast.arj"), arj{})
	truncations(t, lhaOf(1, "-lh7-", "words.txt", lh7(t), 30000), lha{})
}

func FuzzARJ(f *testing.F) { fuzz(f, arj{}, "packed.arj", "stored.arj", "fast.arj", "garbled.arj") }

func FuzzLHA(f *testing.F) {
	for level := byte(0); level < 3; level++ {
		f.Add(lhaOf(level, "-lh7-", "words.txt", lh7(f), 30000))
	}
	fuzz(f, lha{})
}
