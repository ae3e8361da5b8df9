package archive

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"testing"

	"spamcatcher/signatures/unpack/format"
)

// The cabinets were made by gcab, but for those of LZX (see cabOf).
func TestCabinet(t *testing.T) {
	for _, name := range []string{"mszip.cab", "lzx.cab"} {
		o := open(t, fixture(t, name), format.Limits{}, nil, cab{})
		o.clean(t)
		for _, f := range []string{"note.txt", "words.txt", "code.bin"} {
			o.has(t, f, f)
		}
	}
	o := open(t, append(append(stub(), cabMagic...), fixture(t, "stored.cab")...), format.Limits{}, nil, cab{})
	o.clean(t)
	o.has(t, "note.txt", "note.txt")
}

// cabOf is a cabinet of one folder, whose blocks are given with the sizes that they
// unpack to, and which holds one file after the other.
func cabOf(method uint16, blocks [][]byte, sizes []int, files []string, lengths []int) []byte {
	var list, data []byte
	offset := 0
	for i, name := range files {
		list = binary.LittleEndian.AppendUint32(list, uint32(lengths[i]))
		list = binary.LittleEndian.AppendUint32(list, uint32(offset))
		list = append(append(list, 0, 0, 0x21, 0x58, 0, 0, 0x20, 0), name...)
		list = append(list, 0)
		offset += lengths[i]
	}
	for i, b := range blocks {
		data = binary.LittleEndian.AppendUint32(data, 0)
		data = binary.LittleEndian.AppendUint16(data, uint16(len(b)))
		data = binary.LittleEndian.AppendUint16(data, uint16(sizes[i]))
		data = append(data, b...)
	}
	h := make([]byte, 44)
	copy(h, "MSCF")
	le := binary.LittleEndian
	le.PutUint32(h[8:], uint32(44+len(list)+len(data)))
	le.PutUint32(h[16:], 44)
	h[24], h[25] = 3, 1
	le.PutUint16(h[26:], 1)
	le.PutUint16(h[28:], uint16(len(files)))
	le.PutUint32(h[36:], uint32(44+len(list)))
	le.PutUint16(h[40:], uint16(len(blocks)))
	le.PutUint16(h[42:], method)
	return append(append(h, list...), data...)
}

// mszipPack packs b into blocks, each of which refers to what came before it.
func mszipPack(t testing.TB, b []byte) (blocks [][]byte, sizes []int) {
	for at := 0; at < len(b); at += 32 << 10 {
		var out bytes.Buffer
		out.WriteString("CK")
		z, err := flate.NewWriterDict(&out, 9, b[max(0, at-32<<10):at])
		if err != nil {
			t.Fatal(err)
		}
		piece := b[at:min(len(b), at+32<<10)]
		z.Write(piece)
		z.Close()
		blocks, sizes = append(blocks, out.Bytes()), append(sizes, len(piece))
	}
	return blocks, sizes
}

func TestMSZIPHistory(t *testing.T) {
	text := bytes.Repeat(fixture(t, "words.txt"), 4)
	blocks, sizes := mszipPack(t, text)
	o := open(t, cabOf(1, blocks, sizes, []string{"a"}, []int{len(text)}), format.Limits{}, nil, cab{})
	o.clean(t)
	if !bytes.Equal(o.files["a"].Data, text) {
		t.Error("not what was packed")
	}
}

// A raw block of an odd number of bytes is filled up before the next.
func TestLZXOddBlocks(t *testing.T) {
	w := &lzxWriter{}
	w.put(0, 1)
	for i, text := range []string{"odd", "and even"} {
		w.put(3, 3)
		w.put(len(text), 24)
		if w.n == 0 {
			w.put(0, 16)
		}
		w.flush()
		w.out = append(w.out, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0)
		w.out = append(w.out, text...)
		if i == 0 {
			w.out = append(w.out, 0)
		}
	}
	o := open(t, cabOf(3|15<<8, [][]byte{w.out}, []int{11}, []string{"a"}, []int{11}), format.Limits{}, nil, cab{})
	o.clean(t)
	if string(o.files["a"].Data) != "oddand even" {
		t.Errorf("%q", o.files["a"].Data)
	}
}

func TestCabinetRefused(t *testing.T) {
	block := [][]byte{[]byte("xxxx")}
	for name, tt := range map[string]struct {
		b    []byte
		mark string
	}{
		"quantum":       {cabOf(2, block, []int{4}, []string{"a"}, []int{4}), format.Unreadable},
		"lzx window":    {cabOf(3|25<<8, block, []int{4}, []string{"a"}, []int{4}), format.Unreadable},
		"mszip garbage": {cabOf(1, block, []int{4}, []string{"a"}, []int{4}), format.Damaged},
		"lzx garbage":   {cabOf(3|15<<8, block, []int{4}, []string{"a"}, []int{4}), format.Damaged},
		"short":         {cabOf(0, block, []int{4}, []string{"a"}, []int{9}), format.Damaged},
		"wrong size":    {cabOf(0, block, []int{7}, []string{"a"}, []int{7}), format.Damaged},
	} {
		if o := open(t, tt.b, format.Limits{}, nil, cab{}); o.marked(tt.mark) != 1 {
			t.Errorf("%s: marks %v", name, o.marks)
		}
	}
	b := cabOf(0, [][]byte{[]byte("xyzz")}, []int{4}, []string{"a", "b"}, []int{2, 3})
	o := open(t, b, format.Limits{}, nil, cab{})
	if string(o.files["b"].Data) != "zz" || o.marked(format.Damaged) != 1 {
		t.Errorf("a file cut short: marks %v", o.marks)
	}
	// Two files of the same bytes: offsets may go back.
	le := binary.LittleEndian
	le.PutUint32(b[44+18+4:], 0)
	if o := open(t, b, format.Limits{}, nil, cab{}); o.files["b"] == nil || string(o.files["b"].Data) != "xyz" {
		t.Errorf("overlapping files: %q, marks %v", o.order, o.marks)
	}
	b[44+8] = 0xfe // continues in the next cabinet
	b[44+9] = 0xff
	if o := open(t, b, format.Limits{}, nil, cab{}); o.marked(format.Unreadable) != 1 {
		t.Errorf("a set: marks %v", o.marks)
	}
}

// Thousands of files that each cover all of a folder must end at a limit.
func TestCabinetOverlap(t *testing.T) {
	var files []string
	var lengths []int
	for range 4000 {
		files, lengths = append(files, "a"), append(lengths, 32000-len(files))
	}
	b := cabOf(0, [][]byte{make([]byte, 32000)}, []int{32000}, files, lengths)
	for at := 44; at < 44+18*4000; at += 18 {
		binary.LittleEndian.PutUint32(b[at+4:], 0)
	}
	var o opening
	got := allocated(func() { o = open(t, b, format.Limits{Bytes: 1 << 20}, nil, cab{}) })
	if o.marked(format.LimitBytes) == 0 || len(o.order) > 40 || got > 16<<20 {
		t.Errorf("%d files, marks %v, %d KiB", len(o.order), o.marks, got>>10)
	}
}

func TestCabinetDamage(t *testing.T) {
	truncations(t, fixture(t, "mszip.cab"), cab{})
	truncations(t, fixture(t, "lzx.cab"), cab{})
	truncations(t, fixture(t, "stored.cab"), cab{})
}

func FuzzCabinet(f *testing.F) { fuzz(f, cab{}, "mszip.cab", "stored.cab", "lzx.cab") }

// A lzxWriter packs as LZX, plainly: it is for tests of the decoder.
type lzxWriter struct {
	out  []byte
	hold uint32
	n    int
}

func (w *lzxWriter) put(v, n int) {
	for i := n - 1; i >= 0; i-- {
		w.hold = w.hold<<1 | uint32(v>>i&1)
		if w.n++; w.n == 16 {
			w.out = binary.LittleEndian.AppendUint16(w.out, uint16(w.hold))
			w.hold, w.n = 0, 0
		}
	}
}

func (w *lzxWriter) flush() []byte {
	if w.n > 0 {
		w.put(0, 16-w.n)
	}
	return w.out
}

// lens writes lengths of codes that were zero before, by a code of five bits for
// the differences.
func (w *lzxWriter) lens(before, lens []byte) {
	for i := range 20 { // 12 codes of four bits, and 8 of five, fill the tree
		w.put(map[bool]int{true: 4, false: 5}[i < 12], 4)
	}
	code := func(s int) {
		if s < 12 {
			w.put(s, 4)
		} else {
			w.put(24+s-12, 5)
		}
	}
	for i := range lens {
		code((int(before[i]) - int(lens[i]) + 17) % 17)
	}
}

// lzxCalls is the size of the program that calls are translated for.
const lzxCalls = 1 << 20

// lzxPack packs b into frames: blocks of each kind by turns, with matches at the
// distance last used, and at others.
func lzxPack(b []byte, power int) (frames [][]byte, sizes []int) {
	slots := map[int]int{15: 30, 16: 32, 17: 34, 18: 36, 19: 38, 20: 42, 21: 50}[power]
	mainBefore, lengthBefore := make([]byte, 256+8*slots), make([]byte, lzxLengths)
	last := [3]int{1, 1, 1}
	w := &lzxWriter{}
	w.put(1, 1) // calls are translated
	w.put(lzxCalls>>16, 16)
	w.put(lzxCalls&0xffff, 16)
	b = bytes.Clone(b)
	seen := map[string]int{}
	for at := 0; at < len(b); at += lzxFrame {
		frame := b[at:min(at+lzxFrame, len(b))]
		for i := 0; i+10 < len(frame); i++ {
			if frame[i] == 0xe8 {
				pos, v := int32(at+i), int32(binary.LittleEndian.Uint32(frame[i+1:]))
				if v >= -pos && v < lzxCalls-pos {
					binary.LittleEndian.PutUint32(frame[i+1:], uint32(v+pos))
				} else if v >= lzxCalls-pos && v < lzxCalls {
					binary.LittleEndian.PutUint32(frame[i+1:], uint32(v-lzxCalls))
				}
				i += 4
			}
		}
		kind := 1 + len(frames)%3
		w.put(kind, 3)
		w.put(len(frame), 24)
		if kind == 3 {
			if w.n == 0 {
				w.put(0, 16)
			}
			w.flush()
			for _, r := range last {
				w.out = binary.LittleEndian.AppendUint32(w.out, uint32(r))
			}
			w.out = append(w.out, frame...)
			if len(frame)%2 == 1 {
				w.out = append(w.out, 0)
			}
			frames, sizes = append(frames, w.out), append(sizes, len(frame))
			w = &lzxWriter{}
			continue
		}
		if kind == 2 {
			for range 8 {
				w.put(3, 3)
			}
		}
		// Half of the codes of the main tree are one bit longer, so that they fill it.
		lens := make([]byte, 256+8*slots)
		n, bits := len(lens), 1
		for 1<<bits < n {
			bits++
		}
		short := 1<<bits - n // of bits-1
		for i := range lens {
			lens[i] = byte(bits)
			if i < short {
				lens[i]--
			}
		}
		symbol := func(s int) {
			if s < short {
				w.put(s, bits-1)
			} else {
				w.put(2*short+s-short, bits)
			}
		}
		lengths := bytes.Repeat([]byte{8}, lzxLengths)
		for i := range 7 {
			lengths[i] = 7
		}
		w.lens(mainBefore, lens[:256])
		w.lens(mainBefore[256:], lens[256:])
		w.lens(lengthBefore, lengths)
		mainBefore, lengthBefore = lens, lengths
		for i := at; i < at+len(frame); {
			best, far := 0, 0
			before := i
			if i+4 <= len(b) {
				if p, ok := seen[string(b[i:i+4])]; ok {
					before = i - p
				}
				seen[string(b[i:i+4])] = i
			}
			for _, d := range []int{last[0], last[1], last[2], 1, before} {
				if d > i || d == 0 || d > 1<<power-3 {
					continue
				}
				k := 0
				for k < 257 && i+k < at+len(frame) && b[i+k] == b[i+k-d] {
					k++
				}
				if k > best {
					best, far = k, d
				}
			}
			if best < 3 {
				symbol(int(b[i]))
				i++
				continue
			}
			slot := -1
			for k := range 3 {
				if last[k] == far {
					slot = k
					last[0], last[k] = last[k], last[0]
					break
				}
			}
			extra, rest := 0, 0
			if slot < 0 {
				slot = 3
				for slot+1 < slots {
					if base, _ := lzxSlot(slot + 1); base > far+2 {
						break
					}
					slot++
				}
				var base int
				base, extra = lzxSlot(slot)
				rest = far + 2 - base
				last = [3]int{far, last[0], last[1]}
			}
			symbol(256 + slot*8 + min(best-2, 7))
			if best-2 >= 7 {
				if k := best - 2 - 7; k < 7 {
					w.put(k, 7)
				} else {
					w.put(14+k-7, 8)
				}
			}
			w.put(rest, extra) // the aligned code has eight codes of three bits
			i += best
		}
		frames, sizes = append(frames, w.flush()), append(sizes, len(frame))
		w = &lzxWriter{}
	}
	return frames, sizes
}

// What lzxPack writes, other programs read: testdata/lzx.cab was made by it, and
// tested with 7-Zip and cabextract.
func TestLZX(t *testing.T) {
	var text []byte
	for _, f := range []string{"words.txt", "code.bin", "words.txt", "note.txt", "words.txt", "code.bin", "note.txt", "words.txt"} {
		text = append(text, fixture(t, f)...)
	}
	for power := 15; power <= 21; power++ {
		frames, sizes := lzxPack(text, power)
		o := open(t, cabOf(3|uint16(power)<<8, frames, sizes, []string{"a"}, []int{len(text)}), format.Limits{}, nil, cab{})
		o.clean(t)
		want := bytes.Clone(text)
		if !bytes.Equal(o.files["a"].Data, want) {
			for i := range want {
				if o.files["a"].Data[i] != want[i] {
					t.Errorf("window of %d bits: differs from byte %d", power, i)
					break
				}
			}
		}
	}
}
