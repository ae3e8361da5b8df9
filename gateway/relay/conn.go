package relay

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// endGrace is how long the reply to the final dot is waited for after the attempt's context ended: without it every shutdown
// would make duplicates. quitTime bounds the goodbye.
const (
	endGrace = 3 * time.Second
	quitTime = time.Second
	blockLen = 48 << 10
)

// A fault is why a connection is of no more use.
type fault struct {
	reply  string // for the queue, e.g. "451 4.4.2 connection lost"
	down   bool   // the server is out of service
	early  bool   // nothing of a message was sent
	policy bool   // a 421 that is about the message, or about us
}

// A conn is a connection to a server. It is used by one goroutine at a time.
//
// It is a client of its own, because go-smtp's waits for each reply before the next command, takes replies without end, sets no
// time limit while the message is sent, writes addresses as they are, and lets bare CR through (see client_test.go and bench_test.go).
type conn struct {
	cfg      *Config
	server   *server
	tcp      net.Conn
	net      net.Conn // tcp, or TLS over it
	in       *bufio.Reader
	out      []byte
	ext      map[string]string // EHLO keywords in upper case, with their parameters
	name     string            // what the server calls itself in the reply to EHLO
	greeting string            // its first words
	uses     int               // attempts that ended well
	born     time.Time         // when it was made
	since    time.Time         // when it became idle
	hurry    bool              // nothing may take longer than Timeouts.Dead
	dirty    bool              // a transaction was begun and not completed
	release  func() bool       // ends the watch over the attempt's context

	mu    sync.Mutex
	ended time.Time // when the attempt's context ended
	final bool      // the final dot was sent
}

// ask sends one command and reads its reply.
func (c *conn) ask(line string) (reply, *fault) {
	c.out = append(append(c.out[:0], line...), "\r\n"...)
	if f := c.say(c.out); f != nil {
		return reply{}, f
	}
	rep, f := c.read(c.cfg.Timeouts.Command)
	if f == nil {
		f = goodbye(rep)
	}
	return rep, f
}

// read reads one reply, all of it within the limit.
func (c *conn) read(limit time.Duration) (reply, *fault) {
	c.arm(limit)
	rep, err := readReply(c.in)
	if err != nil {
		return rep, lost(err)
	}
	return rep, nil
}

// say sends commands. All replies to those before must have been read: one too many, and each would be taken for the next one's.
func (c *conn) say(p []byte) *fault {
	if c.in.Buffered() > 0 {
		return c.nonsense("reply to nothing")
	}
	return c.write(p, c.cfg.Timeouts.Command)
}

// write sends p within the limit.
func (c *conn) write(p []byte, limit time.Duration) *fault {
	c.arm(limit)
	if _, err := c.net.Write(p); err != nil {
		return lost(err)
	}
	return nil
}

// lost returns the fault for an error of the connection. A server that does not answer in time is out of service; one that
// drops a connection need not be.
func lost(err error) *fault {
	return &fault{reply: "451 4.4.2 " + reason(err), down: errors.Is(err, os.ErrDeadlineExceeded)}
}

// reason returns an error's text without addresses.
func reason(err error) string {
	var dns *net.DNSError
	var errno syscall.Errno
	switch {
	case errors.As(err, &dns):
		return "host not found or DNS trouble"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed by the server"
	case errors.As(err, &errno):
		return errno.Error()
	case errors.Is(err, errReplyLong), errors.Is(err, errReplyForm):
		return printable(err.Error())
	case errors.Is(err, context.Canceled):
		return "interrupted"
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return "no answer in time"
	}
	return "connection lost"
}

// arm sets the time limit of what comes next. After the attempt's context ended that is at once, but for the reply to the final dot.
func (c *conn) arm(limit time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hurry {
		limit = min(limit, c.cfg.Timeouts.Dead)
	}
	until := time.Now().Add(limit)
	if !c.ended.IsZero() {
		last := c.ended
		if c.final {
			last = last.Add(endGrace)
		}
		if last.Before(until) {
			until = last
		}
	}
	c.net.SetDeadline(until)
}

// bind makes the end of ctx end what the connection waits for.
func (c *conn) bind(ctx context.Context) {
	c.release = context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.ended = time.Now()
		if c.final {
			c.net.SetDeadline(c.ended.Add(endGrace))
		} else {
			c.net.SetDeadline(c.ended)
		}
	})
}

func (c *conn) sentDot() {
	c.mu.Lock()
	c.final = true
	c.mu.Unlock()
}

func (c *conn) calm() {
	c.mu.Lock()
	c.final = false
	c.mu.Unlock()
}

// rest prepares the connection for the pool and reports whether it may go there.
func (c *conn) rest() bool {
	if c.dirty {
		if rep, f := c.ask("RSET"); f != nil || rep.class() != 2 {
			return false
		}
		c.dirty = false
	}
	// If the context has ended, or ends at this moment, its watcher may still touch the deadline.
	return c.release() && c.quiet()
}

// lastWords returns the reply that a server sent before it stopped reading.
func (c *conn) lastWords() (reply, bool) {
	rep, f := c.read(time.Second)
	return rep, f == nil
}

// quiet reports whether the server has neither said anything that it was not asked for nor closed the connection.
func (c *conn) quiet() bool { return c.in.Buffered() == 0 && !readable(c.tcp) }

// readable reports whether a read would return at once, be it with data, the end, or an error.
func readable(tcp net.Conn) bool {
	sc, ok := tcp.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	ready := true
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		for {
			_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
			if errors.Is(err, syscall.EINTR) {
				continue
			}
			ready = !errors.Is(err, syscall.EAGAIN)
			return
		}
	})
	return ready || err != nil
}

// close ends the connection without a word.
func (c *conn) close() {
	if c.release != nil {
		c.release()
	}
	c.tcp.Close()
}

// quit says goodbye and ends the connection. It takes at most quitTime.
// RFC 5321 section 4.1.1.10: the client should wait for the reply to QUIT.
func (c *conn) quit() {
	c.release()
	c.net.SetDeadline(time.Now().Add(quitTime))
	if _, err := fmt.Fprintf(c.net, "QUIT\r\n"); err == nil {
		readReply(c.in)
	}
	c.tcp.Close()
}
