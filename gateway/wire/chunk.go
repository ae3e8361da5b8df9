package wire

import (
	"bytes"
	"strconv"
)

// bdat reads a chunk of a message. RFC 3030 section 2
//
// A chunk follows its command whatever the reply will be, so a chunk is always
// read; and where its length cannot be known, the session ends, lest the chunk
// be taken for commands.
func (c *Conn) bdat(arg []byte) {
	size, last, ok := parseChunk(arg)
	if !ok {
		c.fatal(501, "5.5.4", "bad BDAT")
		return
	}
	m := &c.state.body
	var refusal Reply
	switch {
	case c.state.rcpts > 0:
	case c.state.mail && c.state.tried > 0:
		refusal = Reply{Code: 503, Enhanced: "5.5.1", Text: "no valid recipients"}
	default:
		refusal = Reply{Code: 503, Enhanced: "5.5.1", Text: "MAIL and RCPT first"}
	}
	if refusal.Code == 0 && size > c.l.cfg.MaxMessageBytes-int64(len(m.buf)) {
		refusal = tooBig
	}
	if size > 2*c.l.cfg.MaxMessageBytes+1<<20 {
		c.fatal(552, "5.3.4", "chunk too big")
		return
	}
	if refusal.Code != 0 {
		if m.lost.Code == 0 {
			m.lose(refusal)
		}
	}
	if size == 0 && !last && !c.useful() {
		return
	}
	c.state.chunks = refusal.Code == 0
	var w pace
	for left := size; left > 0; {
		space := m.space(max(c.state.size, int64(len(m.buf))+left))
		if int64(len(space)) > left {
			space = space[:left]
		}
		n, err := c.readBlock(space, &w)
		if err != nil {
			c.lost(err)
			return
		}
		m.add(n, n)
		left -= int64(n)
	}
	switch {
	case refusal.Code == 503:
		m.drop()
		c.fail(refusal.Code, refusal.Enhanced, refusal.Text)
	case m.lost.Code != 0:
		c.abandon(m.lost)
	case !last:
		c.reply(250, "2.0.0", "go on")
	case !flawless(m.buf):
		c.refuseFlaws()
	case longLine(m.buf):
		c.abandon(Reply{Code: 554, Enhanced: "5.6.0", Text: "line too long in message"})
	default:
		if len(m.buf) > 0 && m.buf[len(m.buf)-1] != '\n' {
			// In DATA form the last line could not be sent otherwise.
			m.buf = append(m.buf, "\r\n"...)
		}
		c.judge()
	}
}

// parseChunk reads the argument of BDAT.
func parseChunk(arg []byte) (size int64, last, ok bool) {
	number, word, two := bytes.Cut(arg, []byte(" "))
	if two && !bytes.EqualFold(bytes.TrimLeft(word, " "), []byte("LAST")) {
		return 0, false, false
	}
	if len(number) == 0 || len(number) > 20 || number[0] == '+' || number[0] == '-' {
		return 0, false, false
	}
	size, err := strconv.ParseInt(string(number), 10, 63)
	return size, two, err == nil
}

// longLine reports whether a line of b is longer than we take.
func longLine(b []byte) bool {
	for len(b) > maxTextLine {
		// No line of the first maxTextLine octets can be too long if one of them
		// is an LF.
		i := bytes.LastIndexByte(b[:maxTextLine], '\n')
		if i < 0 {
			return true
		}
		b = b[i+1:]
	}
	return false
}
