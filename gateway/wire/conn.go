package wire

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// A Conn is one client's connection, as go-smtp sees it. Its methods are to be
// called from the session's callbacks only, except ID, Client and Close.
//
// Read and Write are go-smtp's. Deadlines that are set on a Conn have no
// effect: the Conn arms its own.
type Conn struct {
	l       *Listener
	raw     net.Conn // the socket
	sock    net.Conn // raw, or TLS above it
	id      string
	client  netip.AddrPort
	network netip.Prefix // that it counts for; see limits
	end     time.Time    // of the whole session
	forget  sync.Once
	idle    atomic.Bool  // waiting for a command
	waiting atomic.Int64 // for the client, who has been slow since then (see limits.since); 0 when not; see limits.evict
	useAt   int64        // when the client was last of use: began, ended a message, or sent a good part of one
	octets  int64        // of messages since then
	held    atomic.Int64 // octets of the memory for messages that are taken

	in  []byte // input that was read ahead; in[pos:] is still to be used
	pos int
	out []byte // replies that were not sent yet

	begun  bool
	over   bool // nothing more is read or said
	linger bool // the client may still be sending: let it read our last words

	ask   ask    // what go-smtp is being asked
	feed  []byte // what it will read
	said  []byte // what it has answered so far
	asked []byte // backs feed

	tls       *tls.ConnectionState
	state     state
	message   []byte
	closeNext atomic.Bool
}

// state is where the session stands. RFC 5321 section 4.1.4
type state struct {
	hello     string
	esmtp     bool
	mail      bool // MAIL was accepted
	utf8      bool // with SMTPUTF8
	size      int64
	rcpts     int  // recipients accepted
	tried     int  // recipients named
	overshoot int  // recipients beyond a limit, or put off for another reason
	chunks    bool // a BDAT was accepted
	body      body

	errors, junk int
}

// newTransaction forgets the transaction, not the session.
func (s *state) newTransaction() {
	s.mail, s.utf8, s.size, s.rcpts, s.tried, s.overshoot, s.chunks = false, false, 0, 0, 0, 0, false
	s.body.drop()
}

func newConn(l *Listener, raw net.Conn) *Conn {
	var id [8]byte
	rand.Read(id[:]) // never fails
	c := &Conn{l: l, raw: raw, sock: raw, id: hex.EncodeToString(id[:]), ask: askBanner, end: time.Now().Add(l.cfg.SessionTimeout)}
	c.client = addrPort(raw.RemoteAddr())
	c.network = l.limits.network(c.client.Addr())
	c.useAt = l.since()
	c.state.body.c = c
	return c
}

// addrPort returns a's address and port; the zero value if it has none.
func addrPort(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	if t, ok := a.(*net.TCPAddr); ok {
		ap = t.AddrPort()
	} else if a != nil {
		ap, _ = netip.ParseAddrPort(a.String())
	}
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}

// ID names the session: 16 hexadecimal digits.
func (c *Conn) ID() string { return c.id }

// Client is the address of the client, IPv4 as IPv4. It is the zero value when
// the socket has no address.
func (c *Conn) Client() netip.AddrPort { return c.client }

// TLS describes the connection's encryption; nil means that it is in the clear.
// It changes with STARTTLS, after which go-smtp keeps its Session and calls
// Reset at the new EHLO: ask when a message comes, not when the session begins.
func (c *Conn) TLS() *tls.ConnectionState { return c.tls }

// Hello returns the argument of the last HELO or EHLO, printable ASCII without
// white space, and whether it was EHLO.
func (c *Conn) Hello() (name string, esmtp bool) { return c.state.hello, c.state.esmtp }

// Message returns the message of the DATA command under way: complete, without
// dot-stuffing, every line ended by CRLF, and no CR, LF or NUL besides. It is to
// be asked for inside Session.Data; the bytes stay valid afterwards and are
// never written to again. The reader that Session.Data is given is empty.
func (c *Conn) Message() []byte { return c.message }

// CloseAfterReply ends the connection after the reply to the command that is
// being handled.
func (c *Conn) CloseAfterReply() { c.closeNext.Store(true) }

// Close closes the socket and takes the connection off the listener's books.
func (c *Conn) Close() error {
	err := c.raw.Close()
	c.forget.Do(func() { c.l.forget(c) })
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// LocalAddr, RemoteAddr and the deadlines make a Conn a net.Conn.
func (c *Conn) LocalAddr() net.Addr              { return c.raw.LocalAddr() }
func (c *Conn) RemoteAddr() net.Addr             { return c.raw.RemoteAddr() }
func (c *Conn) SetDeadline(time.Time) error      { return nil }
func (c *Conn) SetReadDeadline(time.Time) error  { return nil }
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }

// ask is the question that go-smtp has before it; it says what becomes of the
// answer.
type ask int

const (
	askNothing ask = iota
	askBanner      // go-smtp greets by itself; ours is another
	askHello
	askMail
	askRcpt
	askReset
	askForget // RSET of our own, the client hears nothing
	askGo     // DATA: 354 is expected, the client had it long ago
	askData
)

// Read gives go-smtp the next command that it is to decide. Until there is one
// it serves the client. It returns io.EOF when the session is over.
func (c *Conn) Read(b []byte) (n int, err error) {
	defer c.rescue(&err)
	if len(c.feed) == 0 {
		if c.over {
			c.hangUp()
			return 0, io.EOF
		}
		if c.ask != askNothing && c.ask != askBanner {
			return 0, c.disagree("no answer")
		}
		c.serve()
		if c.over {
			c.hangUp()
			return 0, io.EOF
		}
	}
	n = copy(b, c.feed)
	c.feed = c.feed[n:]
	return n, nil
}

// give asks go-smtp.
func (c *Conn) give(a ask, line []byte) {
	c.ask, c.feed = a, line
}

// Write takes go-smtp's reply, line by line.
func (c *Conn) Write(b []byte) (n int, err error) {
	defer c.rescue(&err)
	if c.over {
		return len(b), nil
	}
	if len(c.said)+len(b) > 64<<10 {
		return 0, c.disagree("endless answer")
	}
	c.said = append(c.said, b...)
	if c.said[len(c.said)-1] != '\n' {
		return len(b), nil
	}
	last := c.said[bytes.LastIndexByte(c.said[:len(c.said)-1], '\n')+1:]
	if len(last) < 4 || last[3] == '-' {
		return len(b), nil
	}
	said := c.said
	c.said = c.said[:0]
	return len(b), c.answered(said)
}

// answered acts on a complete reply of go-smtp and passes it on in our words.
func (c *Conn) answered(said []byte) error {
	r, ok := parseReply(said)
	if !ok {
		return c.disagree("not a reply: " + string(said))
	}
	a := c.ask
	c.ask = askNothing
	good := r.Code/100 == 2
	switch {
	case good:
	case a == askRcpt && r.Code/100 == 4 && r.Code != 421:
		// RFC 5321 section 4.5.3.1.10: the client does nothing wrong, and will
		// name the recipient again when this message is done.
		if c.state.overshoot++; c.state.overshoot > overshoot {
			c.fatal(421, "4.7.0", "too many recipients")
			return nil
		}
	case a == askHello || a == askMail || a == askRcpt:
		c.state.junk++
	}
	enhanced := true
	switch a {
	case askNothing:
		if r.Code != 421 { // its answer to a panic may follow another
			return c.disagree("unasked: " + string(said))
		}
	case askBanner:
		return nil
	case askHello:
		// RFC 2034 section 4: no status codes in replies to HELO and EHLO.
		if r.Enhanced, enhanced = "", false; good {
			c.welcome()
			return nil
		}
		c.state.hello = ""
	case askMail:
		if good {
			c.state.mail = true
			r = Reply{Code: 250, Enhanced: "2.1.0", Text: "sender ok"}
		}
	case askRcpt:
		if good {
			c.state.rcpts++
			r = Reply{Code: 250, Enhanced: "2.1.5", Text: "recipient ok"}
		}
	case askReset:
		if good {
			r = Reply{Code: 250, Enhanced: "2.0.0", Text: "reset"}
		}
	case askForget:
		return nil
	case askGo:
		if r.Code != 354 {
			return c.disagree("DATA: " + string(said))
		}
		c.ask = askData
		return nil
	case askData:
		c.useAt, c.octets = c.l.since(), 0
		c.message = nil
		c.state.newTransaction()
		c.state.junk = 0
	}
	// RFC 5321 section 3.8: after 421 the connection is closed.
	r.Close = r.Close || r.Code == 421 || c.closeNext.Swap(false)
	c.say(r, enhanced)
	return nil
}

// disagree ends a session in which go-smtp and we do not see the same state. It
// cannot happen; if it does, nothing more may be believed.
func (c *Conn) disagree(what string) error {
	c.l.cfg.Log.Error("session out of step", "session", c.id, "client", c.client.Addr(), "what", what)
	c.say(Reply{Code: 421, Enhanced: "4.3.0", Text: "internal error", Close: true}, true)
	return io.ErrClosedPipe
}

// say queues a reply. It is sent when there is nothing left to answer, or at
// once when it is the last.
func (c *Conn) say(r Reply, enhanced bool) {
	if c.over {
		return
	}
	c.out = r.append(c.out, enhanced)
	if r.Close {
		c.linger = true
		c.finish()
	} else if len(c.out) > 16<<10 {
		c.flush()
	}
}

// reply queues a reply with its status code.
func (c *Conn) reply(code int, status, text string) {
	c.say(Reply{Code: code, Enhanced: status, Text: text}, true)
}

// fatal is the last reply.
func (c *Conn) fatal(code int, status, text string) {
	c.l.cfg.Log.Info("session ended", "session", c.id, "client", c.client.Addr(), "code", code, "reason", text)
	c.say(Reply{Code: code, Enhanced: status, Text: text, Close: true}, true)
}

// fail is the reply to an error of the client, of which it may make so many.
func (c *Conn) fail(code int, status, text string) {
	if c.state.errors++; c.l.cfg.MaxErrors >= 0 && c.state.errors > c.l.cfg.MaxErrors {
		c.fatal(421, "4.7.0", "too many errors")
		return
	}
	c.reply(code, status, text)
}

// flush sends what was queued, in one write.
func (c *Conn) flush() {
	if len(c.out) == 0 {
		return
	}
	c.sock.SetWriteDeadline(time.Now().Add(c.l.cfg.ReplyTimeout))
	if _, err := c.sock.Write(c.out); err != nil {
		c.over, c.linger = true, false
	}
	if c.out = c.out[:0]; cap(c.out) > 4<<10 {
		c.out = nil
	}
}

// finish sends what was queued and lets the next Read end the session.
func (c *Conn) finish() {
	c.flush()
	c.over = true
}

// hangUp closes the socket. If the client may still be sending, it waits a
// little for it to stop: closing a socket that has unread input makes the
// kernel throw away the reply on its way to the client.
func (c *Conn) hangUp() {
	if t, ok := c.sock.(*tls.Conn); ok {
		t.CloseWrite()
	}
	if c.linger {
		c.linger = false
		if t, ok := c.raw.(interface{ CloseWrite() error }); ok && t.CloseWrite() == nil {
			c.raw.SetReadDeadline(time.Now().Add(2 * time.Second))
			io.CopyN(io.Discard, c.raw, 8<<20)
		}
	}
	c.state.newTransaction()
	c.in, c.out = nil, nil
	c.raw.Close()
}

// rescue keeps a panic of ours, or of a hook, from ending more than this
// session: outside of its handlers go-smtp recovers nothing.
func (c *Conn) rescue(err *error) {
	p := recover()
	if p == nil {
		return
	}
	c.l.panics.Add(1)
	c.l.cfg.Log.Error("session panicked", "session", c.id, "client", c.client.Addr(), "panic", p, "stack", string(debug.Stack()))
	c.over, c.feed = true, nil
	c.raw.SetWriteDeadline(time.Now().Add(time.Second))
	if c.sock != nil {
		c.sock.Write([]byte("421 4.3.0 internal error\r\n"))
	}
	c.raw.Close()
	c.state.body.drop()
	*err = io.ErrUnexpectedEOF
}
