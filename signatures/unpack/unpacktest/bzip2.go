package unpacktest

import (
	"bytes"
	"cmp"
	"slices"
)

// Bzip2 packs data of at most some hundred thousand bytes into one stream.
func Bzip2(data []byte) []byte {
	b := bzipBits{}
	b.bytes([]byte("BZh9"))
	sum := uint32(0)
	if len(data) > 0 {
		sum = bzipSum(data)
		last, at := transform(runs(data))
		b.block(last, at, sum)
	}
	return b.end(sum)
}

// BzipZeros is a stream of one block that is as many zeros as a block can be, and
// how many that are. Streams can stand one behind the other.
func BzipZeros() (stream []byte, size int) {
	// A run of 255 zeros is four of them and a count: 251. The rotations of a
	// text that only repeats itself are easily sorted.
	const count = 899_995 / 5
	size = 255 * count
	last := append(bytes.Repeat([]byte{251}, count), make([]byte, 4*count)...)
	b := bzipBits{}
	b.bytes([]byte("BZh9"))
	sum := bzipSum(make([]byte, size))
	b.block(last, 0, sum)
	return b.end(sum), size
}

// runs replaces what follows four equal bytes by a count.
func runs(data []byte) []byte {
	var out []byte
	for i := 0; i < len(data); {
		n := 1
		for i+n < len(data) && data[i+n] == data[i] && n < 255 {
			n++
		}
		for range min(n, 4) {
			out = append(out, data[i])
		}
		if n >= 4 {
			out = append(out, byte(n-4))
		}
		i += n
	}
	return out
}

// transform is the Burrows-Wheeler transform: the last column of the sorted
// rotations, and which row is the text.
func transform(data []byte) (last []byte, at int) {
	double := append(data[:len(data):len(data)], data...)
	rows := make([]int, len(data))
	for i := range rows {
		rows[i] = i
	}
	slices.SortFunc(rows, func(a, b int) int {
		return cmp.Or(bytes.Compare(double[a:a+len(data)], double[b:b+len(data)]), a-b)
	})
	for i, row := range rows {
		last = append(last, double[row+len(data)-1])
		if row == 0 {
			at = i
		}
	}
	return last, at
}

// bzipBits is a writer of bits, the highest first.
type bzipBits struct {
	out  []byte
	held uint64
	n    int
}

func (b *bzipBits) put(n int, v uint64) {
	b.held = b.held<<n | v
	for b.n += n; b.n >= 8; b.n -= 8 {
		b.out = append(b.out, byte(b.held>>(b.n-8)))
	}
}

func (b *bzipBits) bytes(list []byte) {
	for _, c := range list {
		b.put(8, uint64(c))
	}
}

func (b *bzipBits) end(sum uint32) []byte {
	b.put(24, 0x177245)
	b.put(24, 0x385090)
	b.put(32, uint64(sum))
	if b.n > 0 {
		b.put(8-b.n, 0)
	}
	return b.out
}

// block writes a block whose symbols have codes of two lengths that differ by one,
// and leave no code unused.
func (b *bzipBits) block(last []byte, at int, sum uint32) {
	b.put(24, 0x314159)
	b.put(24, 0x265359)
	b.put(32, uint64(sum))
	b.put(1, 0)
	b.put(24, uint64(at))
	var used [256]bool
	for _, c := range last {
		used[c] = true
	}
	var front []byte
	groups, inGroup := uint64(0), [16]uint64{}
	for i, u := range used {
		if u {
			front = append(front, byte(i))
			groups |= 1 << (15 - i/16)
			inGroup[i/16] |= 1 << (15 - i%16)
		}
	}
	b.put(16, groups)
	for i, g := range inGroup {
		if groups>>(15-i)&1 != 0 {
			b.put(16, g)
		}
	}
	symbols := len(front) + 2
	var list []int
	zeros := 0
	flush := func() {
		for ; zeros > 0; zeros = (zeros - 1) / 2 {
			list = append(list, (zeros-1)%2) // RUNA, RUNB
		}
	}
	for _, c := range last {
		i := bytes.IndexByte(front, c)
		if i == 0 {
			zeros++
			continue
		}
		flush()
		copy(front[1:], front[:i])
		front[0] = c
		list = append(list, i+1)
	}
	flush()
	list = append(list, symbols-1)
	width := 1
	for 1<<width < symbols {
		width++
	}
	selectors := (len(list) + 49) / 50
	b.put(3, 2) // two tables, the same
	b.put(15, uint64(selectors))
	for range selectors {
		b.put(1, 0)
	}
	short := 1<<width - symbols // so many symbols have a bit less
	for range 2 {
		b.put(5, uint64(width-1))
		for i := range symbols {
			if i == short {
				b.put(2, 2) // one more from here on
			}
			b.put(1, 0)
		}
	}
	for _, s := range list {
		if s < short {
			b.put(width-1, uint64(s))
		} else {
			b.put(width, uint64(s+short))
		}
	}
}

// bzipSum is CRC-32 with the highest bit first.
func bzipSum(data []byte) uint32 {
	var table [256]uint32
	for i := range table {
		c := uint32(i) << 24
		for range 8 {
			if c&(1<<31) != 0 {
				c = c<<1 ^ 0x04C11DB7
			} else {
				c <<= 1
			}
		}
		table[i] = c
	}
	sum := ^uint32(0)
	for _, c := range data {
		sum = sum<<8 ^ table[byte(sum>>24)^c]
	}
	return ^sum
}
