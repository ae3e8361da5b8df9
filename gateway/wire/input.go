package wire

import (
	"bytes"
	"errors"
	"net"
	"os"
	"time"
)

var (
	errLong     = errors.New("command line too long")
	errBare     = errors.New("bare CR or LF in a command")
	errBinary   = errors.New("not SMTP")
	errTimeout  = errors.New("timeout")
	errSession  = errors.New("session too long")
	errSlow     = errors.New("too slow")
	errDraining = errors.New("shutting down")
	errEvicted  = errors.New("too slow while others wait")
)

// maxCommand is the longest command line, CRLF included. RFC 5321 section
// 4.5.3.1.4 wants 512 octets and more for extensions.
const maxCommand = 2048

// inputBytes is how much is read ahead of the commands; fewInputBytes of a client
// that has not sent so much at once yet, of which there may be many.
const (
	inputBytes    = 4 << 10
	fewInputBytes = 1 << 10
)

// read reads from the socket until the given time. It first sends what was
// queued, for a client must never wait for a reply while we wait for it: so the
// replies to commands that came together leave together.
func (c *Conn) read(p []byte, until time.Time) (int, error) {
	if c.flush(); c.over {
		return 0, net.ErrClosed
	}
	end := until
	if c.end.Before(end) {
		end = c.end
	}
	for {
		c.sock.SetReadDeadline(end)
		// Only after the deadline was armed, else wake could be undone.
		if c.idle.Load() && c.l.draining.Load() {
			return 0, errDraining
		}
		if c.waiting.Load() == evicted {
			return 0, errEvicted
		}
		n, err := c.sock.Read(p)
		if n > 0 {
			return n, nil
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, err
		}
		if now := time.Now(); !now.Before(c.end) {
			return 0, errSession
		} else if !now.Before(end) {
			return 0, errTimeout
		}
		// Woken by Drain or evict.
	}
}

// wake makes a session that waits for a command look up. One that reads a
// message finds that its time is not over and goes on.
func (c *Conn) wake() {
	if c.idle.Load() {
		c.raw.SetReadDeadline(time.Unix(1, 0))
	}
}

// line returns the next command line without its CRLF. It is valid until the
// next read.
func (c *Conn) line() ([]byte, error) {
	if c.l.draining.Load() {
		return nil, errDraining
	}
	c.idle.Store(true)
	defer c.idle.Store(false)
	// A client that is of no use for a minute, however busily it talks, is as
	// slow as one that says nothing for the time that is left of its patience.
	c.waiting.Store(min(c.l.since(), c.useAt+int64(time.Minute-patience)))
	defer c.waiting.Store(0)
	var until time.Time
	seen := 0
	for {
		rest := c.in[c.pos:]
		if i := bytes.IndexByte(rest[seen:], '\n'); i >= 0 {
			i += seen
			c.pos += i + 1
			line := rest[:i]
			switch {
			case i >= maxCommand:
				return nil, errLong
			case i == 0 || line[i-1] != '\r' || bytes.IndexByte(line[:i-1], '\r') >= 0:
				return nil, errBare
			}
			return line[:i-1], nil
		}
		if len(rest) >= maxCommand {
			return nil, errLong
		}
		if len(rest) > 0 && rest[0] == 0x16 { // a TLS ClientHello
			return nil, errBinary
		}
		seen = len(rest)
		if until.IsZero() {
			until = time.Now().Add(c.l.cfg.CommandTimeout)
		}
		if err := c.more(until); err != nil {
			return nil, err
		}
	}
}

// more reads ahead. What is there already stays.
func (c *Conn) more(until time.Time) error {
	rest := c.in[c.pos:]
	switch full := len(c.in) == cap(c.in); {
	case cap(c.in) == 0:
		c.in = make([]byte, 0, fewInputBytes)
	case full && cap(c.in) < inputBytes, cap(c.in) > inputBytes && len(rest) < inputBytes/2:
		c.in = append(make([]byte, 0, inputBytes), rest...)
	default:
		c.in = c.in[:copy(c.in[:len(rest)], rest)]
	}
	c.pos = 0
	n, err := c.read(c.in[len(c.in):cap(c.in)], until)
	c.in = c.in[:len(c.in)+n]
	return err
}

// ahead reports whether the client has sent more than what was used.
func (c *Conn) ahead() bool { return c.pos < len(c.in) }

// A pace watches over the input of one message. RFC 5321 section 4.5.3.2.5
// gives the client three minutes for every block; a client that sends an octet
// now and then would never end, so after a minute a least rate is wanted too.
// Its longest silence is not held against it.
type pace struct {
	begin   time.Time
	last    time.Time
	longest time.Duration
	octets  int64
	since   int64 // when the part began of which enough has not come yet; see limits.evict
}

// readBlock reads a part of a message.
func (c *Conn) readBlock(p []byte, w *pace) (int, error) {
	if c.ahead() {
		n := copy(p, c.in[c.pos:])
		c.pos += n
		c.gain(n, w)
		return n, nil
	}
	if w.begin.IsZero() {
		w.begin = time.Now()
		w.last = w.begin
		w.since = c.l.since()
	}
	c.waiting.Store(w.since)
	n, err := c.read(p, w.last.Add(c.l.cfg.BlockTimeout))
	c.waiting.Store(0)
	if err != nil {
		return 0, err
	}
	now := time.Now()
	c.gain(n, w)
	w.octets += int64(n)
	w.longest = max(w.longest, now.Sub(w.last))
	w.last = now
	if busy := now.Sub(w.begin) - w.longest; busy > time.Minute && float64(w.octets) < float64(c.l.cfg.MinRate)*busy.Seconds() {
		return n, errSlow
	}
	return n, nil
}

// gain counts octets of a message in the client's favour.
func (c *Conn) gain(n int, w *pace) {
	if c.octets += int64(n); c.octets >= int64(c.l.cfg.MinRate)*int64(patience/time.Second) {
		w.since = c.l.since()
		c.useAt, c.octets = w.since, 0
	}
}

// lost ends the session after an error of reading. No client may believe after
// it that what it sends is taken as commands.
func (c *Conn) lost(err error) {
	switch err {
	case errLong:
		c.fatal(500, "5.5.2", "line too long")
	case errBare:
		c.fatal(500, "5.5.2", "bare CR or LF in command")
	case errBinary:
		c.fatal(500, "5.5.2", "this is SMTP, TLS begins with STARTTLS")
	case errTimeout:
		c.fatal(421, "4.4.2", "timeout, closing connection")
	case errSession:
		c.fatal(421, "4.4.2", "session too long, closing connection")
	case errSlow:
		c.fatal(421, "4.4.2", "too slow, closing connection")
	case errEvicted:
		c.fatal(421, "4.3.2", "too slow while others wait, try again later")
		c.linger = false
	case errDraining:
		// It may be sending a command at this moment.
		c.fatal(421, "4.3.2", "shutting down, try again later")
	default: // the client has gone
		c.over, c.linger = true, false
	}
}
