package archive

// An msbBits reads bits from the highest of each byte on, or of each word of 16 bits,
// the lower byte first. Behind the end they are zero.
type msbBits struct {
	b     []byte
	at    int
	words bool
	hold  uint64
	n     int // bits held
	ended int // bits made up
}

func (m *msbBits) fill(n int) {
	for m.n < n {
		if m.words {
			var w uint64
			if m.at+1 < len(m.b) {
				w = uint64(le16(m.b[m.at:]))
			} else {
				m.ended += 16
			}
			m.at += 2
			m.hold, m.n = m.hold<<16|w, m.n+16
			continue
		}
		var w uint64
		if m.at < len(m.b) {
			w = uint64(m.b[m.at])
		} else {
			m.ended += 8
		}
		m.at++
		m.hold, m.n = m.hold<<8|w, m.n+8
	}
}

// peek looks at the next n bits, at most 24.
func (m *msbBits) peek(n int) int {
	m.fill(n)
	return int(m.hold >> (m.n - n) & (1<<n - 1))
}

func (m *msbBits) read(n int) int {
	v := m.peek(n)
	m.n -= n
	return v
}

// over says that more was read than there is.
func (m *msbBits) over() bool { return m.ended > 0 && m.n < m.ended }

// alignWord passes what is left of the word, or all of the next one.
func (m *msbBits) alignWord() {
	m.at -= m.n / 16 * 2 // whole words come back
	if m.n%16 == 0 {
		m.at += 2 // the padding is a whole word
	}
	m.n, m.ended = 0, 0
}

// raw takes n bytes, nil if there are not so many. Bits held must be none.
func (m *msbBits) raw(n int) []byte {
	if m.at < 0 || m.at > len(m.b) || n > len(m.b)-m.at {
		return nil
	}
	out := m.b[m.at : m.at+n]
	m.at += n
	return out
}

// A prefixCode decodes a canonical prefix code: the shorter codes first, and those
// of one length in the order of symbols.
type prefixCode struct {
	count  [17]int
	symbol []uint16
	empty  bool
	single bool // one symbol of no bits
}

// build takes the lengths of the codes, none above most. It says whether they fit: a
// code may have gaps only if it has one symbol or none.
func (c *prefixCode) build(lens []byte, most int) bool {
	c.count = [17]int{}
	c.single = false
	for _, l := range lens {
		if int(l) > most {
			return false
		}
		c.count[l]++
	}
	used := len(lens) - c.count[0]
	c.count[0] = 0
	c.empty = used == 0
	var offset [18]int
	room := 1
	for l := 1; l <= 16; l++ {
		room = room<<1 - c.count[l]
		if room < 0 {
			return false
		}
		offset[l+1] = offset[l] + c.count[l]
	}
	if room > 0 && used > 1 {
		return false
	}
	c.symbol = append(c.symbol[:0], make([]uint16, used)...)
	for s, l := range lens {
		if l > 0 {
			c.symbol[offset[l]] = uint16(s)
			offset[l]++
		}
	}
	return true
}

// one makes a code of one symbol, which takes no bits.
func (c *prefixCode) one(symbol int) {
	c.count, c.symbol, c.single, c.empty = [17]int{}, append(c.symbol[:0], uint16(symbol)), true, false
}

// decode reads one symbol, -1 if the bits are none.
func (c *prefixCode) decode(m *msbBits) int {
	if c.single {
		return int(c.symbol[0])
	}
	if c.empty {
		return -1
	}
	bits := m.peek(16)
	code, first, index := 0, 0, 0
	for l := 1; l <= 16; l++ {
		code |= bits >> (16 - l) & 1
		if n := c.count[l]; code-first < n {
			m.n -= l
			return int(c.symbol[index+code-first])
		} else {
			index += n
			first = (first + n) << 1
			code <<= 1
		}
	}
	return -1
}
