package archive

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha256"
	"hash/crc32"
)

// rarKeyPower bounds the rounds that make a key in RAR 5, as a binary logarithm.
// WinRAR takes 15; the library would take 24, which are seconds.
const rarKeyPower = 18

// A rarScan is what the headers say that must be known before the library sees
// them.
type rarScan struct {
	names   bool // the headers are encrypted
	members bool // some members are
	power   int  // the most rounds that a key takes, as a binary logarithm
	memory  int  // bytes that a member's model takes, as far as its first block says
	window  int  // bytes that the library takes for its window
	plain   bool // no member has programs to be run: RAR 5, or nothing is compressed
}

// scanRAR passes over the headers of an archive. It stops where they make no
// sense. Headers of RAR 5 that are encrypted are read with key, if that is not "".
func scanRAR(b []byte, key string) rarScan {
	if len(b) > 8 && b[6] == 1 {
		s := scanRAR5(b[8:], key)
		s.window, s.plain = rarDictMax, true
		return s
	}
	s := scanRAR4(b[min(7, len(b)):])
	s.window = 4 << 20 // the largest there is
	return s
}

// scanRAR4 reads the headers of RAR 1.5 to 4.
func scanRAR4(b []byte) (s rarScan) {
	packed := false
	for range 1 << 16 {
		if len(b) < 7 {
			s.plain = !packed
			return s
		}
		kind, flags, size := b[2], le16(b[3:]), uint64(le16(b[5:]))
		// What the library might read in another way is as good as compressed.
		packed = packed || kind == 0x74 && flags&0x8000 == 0 || kind == 0x73 && flags&2 != 0 || kind == 0x7a && flags&0x100 != 0
		if size < 7 || size > uint64(len(b)) {
			return s
		}
		var data uint64
		if flags&0x8000 != 0 || kind == 0x74 {
			if size < 11 {
				return s
			}
			data = uint64(le32(b[7:]))
		}
		switch kind {
		case 0x73:
			if s.names = flags&0x80 != 0; s.names {
				return s
			}
		case 0x74:
			if flags&0x100 != 0 && size >= 36 {
				data |= uint64(le32(b[32:])) << 32
			}
			s.members = s.members || flags&4 != 0
			packed = packed || size <= 25 || b[25] != 0x30
			// A block of PPMd begins with a set bit; bit 5 says that the size of the model
			// follows, in MiB less one.
			if p := b[size:]; flags&4 == 0 && size > 25 && b[25] != 0x30 && len(p) > 2 && p[0]&0xa0 == 0xa0 {
				s.memory = max(s.memory, (int(p[1])+1)<<20)
			}
		case 0x7b:
			s.plain = !packed
			return s
		}
		if data > uint64(len(b))-size {
			return s
		}
		b = b[size+data:]
	}
	return s
}

// uvarint reads the integer of RAR 5: seven bits a byte, the lowest first.
func (c *cursor) uvarint() (v uint64) {
	for shift := 0; shift < 64; shift += 7 {
		x := c.byte()
		v |= uint64(x&0x7f) << shift
		if x < 0x80 {
			return v
		}
	}
	c.bad = true
	return 0
}

// scanRAR5 reads the headers of RAR 5.
func scanRAR5(b []byte, key string) (s rarScan) {
	var block cipher.Block
	for range 1 << 16 {
		c := &cursor{b: b}
		var plain []byte
		if block != nil {
			// Each header has an initial vector before it, and is padded.
			iv := c.take(16)
			n := min(len(c.b), 2<<20) &^ 15
			if iv == nil || n == 0 {
				return s
			}
			mode := cipher.NewCBCDecrypter(block, iv)
			plain = make([]byte, 16)
			mode.CryptBlocks(plain, c.b[:16])
			size := (&cursor{b: plain[4:]}).uvarint()
			whole := (int(min(size, 2<<20)) + 4 + 3 + 15) &^ 15
			if size > 2<<20 || whole > n {
				return s
			}
			plain = append(plain, make([]byte, whole-16)...)
			mode.CryptBlocks(plain[16:], c.b[16:whole])
			c = &cursor{b: plain}
		}
		sum := c.le32()
		body := c.b
		size := c.uvarint()
		used := uint64(len(body) - len(c.b))
		if size == 0 || size > 2<<20 || used+size > uint64(len(body)) || c.bad || crc32.ChecksumIEEE(body[:used+size]) != sum {
			return s
		}
		h := &cursor{b: c.take(size)}
		kind, flags := h.uvarint(), h.uvarint()
		var extra, data uint64
		if flags&1 != 0 {
			extra = h.uvarint()
		}
		if flags&2 != 0 {
			data = h.uvarint()
		}
		head := 4 + used + size
		if block != nil {
			head = 16 + (head+15)&^15
		}
		switch kind {
		case 4: // the headers from here on are encrypted
			s.names = true
			h.uvarint()
			h.uvarint()
			power := int(h.byte())
			salt := h.take(16)
			s.power = max(s.power, power)
			if key == "" || salt == nil || power > rarKeyPower {
				return s
			}
			k, err := pbkdf2.Key(sha256.New, key, salt, 1<<power, 32)
			if err != nil {
				return s
			}
			if block, err = aes.NewCipher(k); err != nil {
				return s
			}
		case 2, 3:
			if extra > uint64(len(h.b)) {
				return s
			}
			for e := (&cursor{b: h.b[uint64(len(h.b))-extra:]}); len(e.b) > 0 && !e.bad; {
				r := &cursor{b: e.take(e.uvarint())}
				if r.uvarint() == 1 { // encryption
					s.members = s.members || kind == 2
					r.uvarint()
					r.uvarint()
					s.power = max(s.power, int(r.byte()))
				}
			}
		case 5:
			return s
		}
		if head > uint64(len(b)) || data > uint64(len(b))-head {
			return s
		}
		b = b[head+data:]
	}
	return s
}
