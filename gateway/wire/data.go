package wire

import (
	"bytes"
)

// maxTextLine is the longest line of a message, CRLF included. RFC 5321 section
// 4.5.3.1.6 allows senders 1000; many send more, and a line that is split is a
// message that is changed.
const maxTextLine = 100_000

// data reads a message. RFC 5321 section 4.1.1.4
//
// Only CRLF.CRLF ends it. Other servers disagree, before us and behind us, about
// what a lone CR, a lone LF or a NUL beside the dot means, and whoever can make
// two of them disagree sends mail in the name of the first. So a message with
// any of the three is read to its true end, refused, and the session closed with
// it: nothing behind it is ever taken for a command.
func (c *Conn) data(arg []byte) {
	switch {
	case len(arg) > 0:
		c.fail(501, "5.5.4", "DATA takes no argument")
		return
	case !c.state.mail:
		c.fail(503, "5.5.1", "MAIL first")
		return
	case c.state.chunks:
		c.fail(503, "5.5.1", "DATA after BDAT")
		return
	case c.state.rcpts == 0 && c.state.tried == 0:
		c.fail(503, "5.5.1", "RCPT first")
		return
	case c.state.rcpts == 0:
		c.fail(554, "5.5.1", "no valid recipients")
		return
	}
	c.reply(354, "", "end with <CR><LF>.<CR><LF>")
	var s scanner
	var w pace
	m := &c.state.body
	for done := false; !done; {
		space := m.space(c.state.size)
		n, err := c.readBlock(space, &w)
		if err != nil {
			c.lost(err)
			return
		}
		var kept, used int
		kept, used, done = s.scan(space[:n])
		if used < n {
			c.unread(space[used:n])
		}
		m.add(kept, used)
		if m.endless() {
			c.fatal(552, "5.3.4", "message too big")
			return
		}
	}
	switch {
	case s.flawed():
		c.refuseFlaws()
	case m.lost.Code != 0:
		c.abandon(m.lost)
	case s.long:
		c.abandon(Reply{Code: 554, Enhanced: "5.6.0", Text: "line too long in message"})
	default:
		c.judge()
	}
}

// refuseFlaws ends the session after a message that servers could read in
// different ways.
func (c *Conn) refuseFlaws() {
	c.fatal(550, "5.5.2", "bare CR, LF or NUL in message")
}

// abandon refuses the message that was read, and has go-smtp forget the
// transaction as well.
func (c *Conn) abandon(r Reply) {
	c.state.newTransaction()
	if c.say(r, true); !c.over {
		c.give(askForget, []byte("RSET\r\n"))
	}
}

// judge gives the message that was read to the session. go-smtp gets an empty
// one.
func (c *Conn) judge() {
	c.message = c.state.body.buf
	if c.message == nil {
		c.message = []byte{}
	}
	c.l.messages.Add(1)
	c.give(askGo, []byte("DATA\r\n.\r\n"))
}

// unread puts back what was read behind the end of a message.
func (c *Conn) unread(b []byte) {
	// When b came from c.in, the rest of c.in follows it.
	c.in = append(append(make([]byte, 0, max(inputBytes, len(b)+len(c.in)-c.pos)), b...), c.in[c.pos:]...)
	c.pos = 0
}

// A scanner finds the end of a message in the stream of its octets, and takes
// the dots away that the client put before lines that begin with one.
// RFC 5321 section 4.5.2
type scanner struct {
	octets int  // of the current line so far
	dot    bool // the current line begins with a dot
	cr     bool // the last octet was CR

	crs, crlfs        int64
	bareLF, nul, long bool
}

// scan takes the next octets. It moves those that belong to the message to the
// front of p and returns how many they are, and how many of p were used. When it
// is done, used may be less than len(p), and kept may be -1: the CR that the
// last call kept was the end marker's.
func (s *scanner) scan(p []byte) (kept, used int, done bool) {
	if len(p) == 0 {
		return 0, 0, false
	}
	crs := bytes.Count(p, []byte{'\r'})
	nul := bytes.IndexByte(p, 0)
	lastCR := p[len(p)-1] == '\r'
	from := 0 // what was not moved yet
	for i := 0; ; {
		if i == len(p) {
			break
		}
		if s.octets == 0 && p[i] == '.' {
			s.dot = true
			kept += copy(p[kept:], p[from:i])
			from = i + 1
		}
		k := bytes.IndexByte(p[i:], '\n')
		if k < 0 {
			if s.octets += len(p) - i; s.octets > maxTextLine {
				s.long = true
			}
			break
		}
		k += i
		cr := s.cr
		if k > 0 {
			cr = p[k-1] == '\r'
		}
		s.octets += k + 1 - i
		if s.octets > maxTextLine {
			s.long = true
		}
		i = k + 1
		if !cr {
			s.bareLF = true // and it is no end of a line
			continue
		}
		s.crlfs++
		if s.dot && s.octets == len(".\r\n") {
			used, done = i, true
			if k == 0 {
				kept-- // its CR came with the last call
			}
			break
		}
		s.octets, s.dot = 0, false
	}
	if done {
		s.crs += int64(crs - bytes.Count(p[used:], []byte{'\r'}))
		s.nul = s.nul || nul >= 0 && nul < used
		return kept, used, true
	}
	kept += copy(p[kept:], p[from:])
	s.cr = lastCR
	s.crs += int64(crs)
	s.nul = s.nul || nul >= 0
	return kept, len(p), false
}

// flawed reports, after the end was found, whether there was a CR without LF, an
// LF without CR, or a NUL.
func (s *scanner) flawed() bool { return s.bareLF || s.nul || s.crs != s.crlfs }

// flawless reports the same of a whole message.
func flawless(b []byte) bool {
	if bytes.IndexByte(b, 0) >= 0 {
		return false
	}
	crlfs := 0
	for rest := b; ; crlfs++ {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			break
		}
		if i == 0 || rest[i-1] != '\r' {
			return false
		}
		rest = rest[i+1:]
	}
	return bytes.Count(b, []byte{'\r'}) == crlfs
}
