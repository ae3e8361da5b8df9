package unpacktest

import (
	"encoding/binary"
	"hash/crc32"
)

// highBits are bits written from the highest of each byte on.
type highBits struct {
	b []byte
	n int
}

func (w *highBits) write(v uint32, bits int) {
	for i := bits - 1; i >= 0; i-- {
		if w.n%8 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[len(w.b)-1] |= byte(v>>i&1) << (7 - w.n%8)
		w.n++
	}
}

// number writes an integer as RAR's machine has it: how wide, and so many bits.
func (w *highBits) number(v uint32) {
	switch {
	case v < 16:
		w.write(0, 2)
		w.write(v, 4)
	default:
		w.write(2, 2)
		w.write(v, 16)
	}
}

// tables writes the codes of a block: 9 bits for a byte, from 256 on, 00 for the
// end of the file, and 01 for a program.
func (w *highBits) tables() {
	w.write(0, 2) // a block of LZ with tables of its own
	for i := range 20 {
		if i == 2 || i == 9 || i == 17 || i == 19 {
			w.write(2, 4)
		} else {
			w.write(0, 4)
		}
	}
	times := func(code uint32, n int) { w.write(code, 2); w.write(uint32(n-11), 7) }
	w.write(1, 2)
	times(2, 138)
	times(2, 117) // 256 literals
	w.write(0, 2)
	w.write(0, 2)
	times(3, 135)
	times(3, 11) // nothing else
}

// RAR3 packs files by the method of RAR 3 and 4, with nothing but literals.
func RAR3(files ...File) []byte {
	return rar3(files, 0)
}

// RAR3Loop is a RAR archive of version 3 with one small member, behind which so many
// programs for the machine in it run in circles until they are stopped.
func RAR3Loop(programs int) []byte {
	return rar3([]File{{"a.txt", []byte("AAAA")}}, programs)
}

func rar3(files []File, programs int) []byte {
	block := func(kind byte, flags uint16, rest []byte) []byte {
		h := binary.LittleEndian.AppendUint16([]byte{kind}, flags)
		h = append(binary.LittleEndian.AppendUint16(h, uint16(7+len(rest))), rest...)
		return append(binary.LittleEndian.AppendUint16(nil, uint16(crc32.ChecksumIEEE(h))), h...)
	}
	out := append([]byte("Rar!\x1a\x07\x00"), block(0x73, 0, make([]byte, 6))...)
	for _, f := range files {
		w := &highBits{}
		w.tables()
		if programs > 0 {
			first := loop(len(f.Data))
			w.write(1, 2)
			w.write(0x80|0x20|6, 8) // a new program, how long its data is; seven bytes or more
			w.write(uint32(len(first)-7), 8)
			for _, c := range first {
				w.write(uint32(c), 8)
			}
			for range programs - 1 {
				w.write(1, 2)
				w.write(0, 16) // the same once more
			}
		}
		for _, c := range f.Data {
			w.write(1<<8|uint32(c), 9)
		}
		w.write(0, 2)
		w.write(0, 2)
		packed := append(w.b, make([]byte, 8)...)
		h := binary.LittleEndian.AppendUint32(nil, uint32(len(packed)))
		h = binary.LittleEndian.AppendUint32(h, uint32(len(f.Data)))
		h = binary.LittleEndian.AppendUint32(append(h, 2), crc32.ChecksumIEEE(f.Data))
		h = append(binary.LittleEndian.AppendUint32(h, 0x58000000), 29, 0x33)
		h = binary.LittleEndian.AppendUint16(h, uint16(len(f.Name)))
		h = append(binary.LittleEndian.AppendUint32(h, 0x20), f.Name...)
		out = append(append(out, block(0x74, 0x8000, h)...), packed...)
	}
	return append(out, block(0x7b, 0, nil)...)
}

// loop is a program that jumps to its beginning, for a piece of so many bytes.
func loop(length int) []byte {
	code := &highBits{}
	code.write(0, 1)      // no data of its own
	code.write(8+24, 6)   // jump
	code.write(0, 2)      // by a number
	code.write(2, 2)      // of 16 bits:
	code.write(256+0, 16) // 256 more than where to
	var sum byte
	for _, c := range code.b {
		sum ^= c
	}
	w := &highBits{}
	w.number(0) // program
	w.number(0) // where
	w.number(uint32(length))
	w.number(uint32(len(code.b) + 1))
	w.write(uint32(sum), 8)
	for _, c := range code.b {
		w.write(uint32(c), 8)
	}
	return w.b
}
