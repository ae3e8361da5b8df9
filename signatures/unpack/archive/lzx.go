package archive

import (
	"encoding/binary"
	"errors"
)

// An lzx decodes LZX as it is in cabinets, frame by frame. [MS-PATCH] sections 2 to
// 4 describe it.
type lzx struct {
	window []byte
	pos    int   // where the next byte goes
	total  int64 // bytes decoded
	repeat [3]int
	slots  int

	begun      bool
	translate  uint32 // size that calls are translated by, 0 for not
	kind, left int    // of the block: kind, and bytes to come
	odd        bool   // a block of raw bytes has an odd number of them

	mainLens, lengthLens []byte
	main, length         prefixCode
	aligned              prefixCode
	bits                 msbBits
}

const (
	lzxFrame   = 32 << 10
	lzxLengths = 249
)

var errLZX = errors.New("LZX makes no sense")

func newLZX(power int) (*lzx, error) {
	if power < 15 || power > 21 {
		return nil, errors.New("LZX with a window of no known size")
	}
	slots := map[int]int{15: 30, 16: 32, 17: 34, 18: 36, 19: 38, 20: 42, 21: 50}[power]
	return &lzx{window: make([]byte, 1<<power), repeat: [3]int{1, 1, 1}, slots: slots, mainLens: make([]byte, 256+8*slots), lengthLens: make([]byte, lzxLengths)}, nil
}

// lzxSlot gives the first distance of a slot, and how many bits are added to it.
func lzxSlot(slot int) (base, extra int) {
	if slot < 4 {
		return slot, 0
	}
	if extra = slot/2 - 1; extra <= 17 {
		return (2 | slot&1) << extra, extra
	}
	return (slot - 34) << 17, 17
}

// frame decodes the n bytes of one frame.
func (x *lzx) frame(packed []byte, n int) ([]byte, error) {
	if n > lzxFrame {
		return nil, errLZX
	}
	b := &x.bits
	*b = msbBits{b: packed, words: true}
	if !x.begun {
		x.begun = true
		if b.read(1) == 1 {
			x.translate = uint32(b.read(16))<<16 | uint32(b.read(16))
		}
	}
	start := x.pos
	for done := 0; done < n; {
		if x.left == 0 {
			if x.odd {
				b.raw(1)
				x.odd = false
			}
			if err := x.block(); err != nil {
				return nil, err
			}
		}
		k, err := x.run(min(x.left, n-done))
		if err != nil {
			return nil, err
		}
		done += k
		x.left -= k
		if b.over() || x.left < 0 || done > n {
			return nil, errLZX
		}
	}
	if x.left == 0 && x.odd && b.raw(1) != nil {
		x.odd = false
	}
	out := make([]byte, n)
	copy(out, x.window[start:min(start+n, len(x.window))])
	x.pos &= len(x.window) - 1
	if x.translate != 0 && x.total < 1<<30 {
		x.calls(out)
	}
	x.total += int64(n)
	return out, nil
}

// block reads the header of a block.
func (x *lzx) block() error {
	b := &x.bits
	x.kind, x.left = b.read(3), b.read(24)
	if b.over() || x.left == 0 {
		return errLZX
	}
	switch x.kind {
	case 2:
		lens := make([]byte, 8)
		for i := range lens {
			lens[i] = byte(b.read(3))
		}
		if !x.aligned.build(lens, 7) {
			return errLZX
		}
		fallthrough
	case 1:
		if !x.lengthsOf(x.mainLens[:256]) || !x.lengthsOf(x.mainLens[256:]) || !x.lengthsOf(x.lengthLens) {
			return errLZX
		}
		if !x.main.build(x.mainLens, 16) || !x.length.build(x.lengthLens, 16) {
			return errLZX
		}
	case 3:
		b.alignWord()
		r := b.raw(12)
		if r == nil {
			return errLZX
		}
		for i := range x.repeat {
			x.repeat[i] = int(le32(r[4*i:]))
		}
		x.odd = x.left&1 == 1
	default:
		return errLZX
	}
	return nil
}

// lengthsOf reads the lengths of codes, as differences to those before.
func (x *lzx) lengthsOf(lens []byte) bool {
	b := &x.bits
	pre := make([]byte, 20)
	for i := range pre {
		pre[i] = byte(b.read(4))
	}
	var code prefixCode
	if !code.build(pre, 15) {
		return false
	}
	for i := 0; i < len(lens); {
		if b.over() {
			return false
		}
		n, v := 1, byte(0)
		switch s := code.decode(b); {
		case s < 0:
			return false
		case s == 17:
			n = b.read(4) + 4
		case s == 18:
			n = b.read(5) + 20
		case s == 19:
			n = b.read(1) + 4
			s = code.decode(b)
			if s < 0 || s > 16 {
				return false
			}
			v = byte((int(lens[i]) - s + 17) % 17)
		default:
			v = byte((int(lens[i]) - s + 17) % 17)
		}
		for ; n > 0 && i < len(lens); n-- {
			lens[i] = v
			i++
		}
	}
	return true
}

// run decodes n bytes of a block, or a few more if a match goes beyond.
func (x *lzx) run(n int) (int, error) {
	b := &x.bits
	if x.kind == 3 {
		r := b.raw(n)
		if r == nil {
			return 0, errLZX
		}
		x.pos += copy(x.window[x.pos:], r)
		return n, nil
	}
	done := 0
	for done < n {
		s := x.main.decode(b)
		if s < 0 || b.over() {
			return 0, errLZX
		}
		if s < 256 {
			if x.pos >= len(x.window) {
				return 0, errLZX
			}
			x.window[x.pos] = byte(s)
			x.pos++
			done++
			continue
		}
		s -= 256
		length := s & 7
		if length == 7 {
			k := x.length.decode(b)
			if k < 0 {
				return 0, errLZX
			}
			length += k
		}
		length += 2
		distance := x.distance(s >> 3)
		if distance <= 0 || int64(distance) > x.total+int64(x.pos-x.frameStart()) || distance > len(x.window) || x.pos+length > len(x.window) {
			return 0, errLZX
		}
		mask := len(x.window) - 1
		for i := range length {
			x.window[x.pos+i] = x.window[(x.pos+i-distance)&mask]
		}
		x.pos += length
		done += length
	}
	return done, nil
}

// frameStart is where the frame under way began in the window.
func (x *lzx) frameStart() int { return int(x.total & int64(len(x.window)-1)) }

// distance decodes the distance of a match. MS-PATCH section 2.6.3 has the three last ones at hand.
func (x *lzx) distance(slot int) int {
	b, r := &x.bits, &x.repeat
	if slot < 3 {
		r[0], r[slot] = r[slot], r[0]
		return r[0]
	}
	base, extra := lzxSlot(slot)
	d := base - 2
	if x.kind == 2 && extra >= 3 {
		if extra > 3 {
			d += b.read(extra-3) << 3
		}
		k := x.aligned.decode(b)
		if k < 0 {
			return -1
		}
		d += k
	} else {
		d += b.read(extra)
	}
	r[2], r[1], r[0] = r[1], r[0], d
	return d
}

// calls undoes the translation of calls of x86 to absolute addresses.
func (x *lzx) calls(frame []byte) {
	for i := 0; i+10 < len(frame); i++ {
		if frame[i] != 0xe8 {
			continue
		}
		at := int32(x.total) + int32(i)
		v := int32(le32(frame[i+1:]))
		if v >= -at && v < int32(x.translate) {
			if v >= 0 {
				v -= at
			} else {
				v += int32(x.translate)
			}
			binary.LittleEndian.PutUint32(frame[i+1:], uint32(v))
		}
		i += 4
	}
}
