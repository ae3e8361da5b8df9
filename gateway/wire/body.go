package wire

import "slices"

const (
	firstBytes = 4 << 10  // room for a message of unknown size
	trustBytes = 64 << 10 // room that is made for a declared size before anything has come
	leastSpace = 512      // not worth a read below that
	wasteBytes = 32 << 10 // read at a time of a message that is not kept
)

// A body is a message being received. It grows as the octets come, never by
// what the client promises, and every octet of its room is taken from the
// memory that all sessions share. A message that cannot be kept is still read
// to its end, into a small buffer.
type body struct {
	c     *Conn
	buf   []byte
	raw   int64 // octets received
	lost  Reply // why the message is not kept; Code 0 if it is
	waste []byte
}

// space returns room for the next octets. Declared is the size that the client
// promised, 0 if none.
func (m *body) space(declared int64) []byte {
	if m.lost.Code == 0 && cap(m.buf)-len(m.buf) < leastSpace {
		m.grow(declared)
	}
	if m.lost.Code != 0 {
		if m.waste == nil {
			m.waste = make([]byte, wasteBytes)
		}
		return m.waste
	}
	return m.buf[len(m.buf):cap(m.buf)]
}

func (m *body) grow(declared int64) {
	want := int64(firstBytes)
	have := int64(cap(m.buf))
	if declared > 0 {
		want = min(declared+2*leastSpace, trustBytes)
	}
	if have > 0 {
		want = min(max(2*have, declared+2*leastSpace), 4*have)
	}
	want = max(min(want, m.c.l.cfg.MaxMessageBytes+2*leastSpace), int64(len(m.buf))+leastSpace)
	if !m.c.l.acquire(m.c, want-have) {
		m.lose(Reply{Code: 451, Enhanced: "4.3.1", Text: "out of memory for messages, try again later"})
		return
	}
	m.buf = slices.Grow(m.buf, int(want)-len(m.buf))[:len(m.buf):int(want)]
}

// add counts octets that were received, and keeps some of those in space.
func (m *body) add(kept, received int) {
	m.raw += int64(received)
	if m.lost.Code != 0 {
		return
	}
	m.buf = m.buf[:len(m.buf)+kept]
	if int64(len(m.buf)) > m.c.l.cfg.MaxMessageBytes {
		m.lose(tooBig)
	}
}

// tooBig is what a message over the limit is answered. RFC 1870 section 6.3
var tooBig = Reply{Code: 552, Enhanced: "5.3.4", Text: "message too big"}

// lose gives the message up.
func (m *body) lose(why Reply) {
	m.lost = why
	m.buf = nil
	m.c.l.release(m.c)
}

// endless reports whether the client has sent so much beyond the limit that
// waiting for an end would only help it to keep us busy.
func (m *body) endless() bool { return m.raw > 2*m.c.l.cfg.MaxMessageBytes+1<<20 }

// drop forgets the message. Its octets stay with whoever took them.
func (m *body) drop() {
	m.c.l.release(m.c)
	*m = body{c: m.c}
}
