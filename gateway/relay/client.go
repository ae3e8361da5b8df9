package relay

import (
	"bufio"
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"time"

	"spamcatcher/queue"
)

// dial connects to s and gets ready for MAIL.
func (r *Relay) dial(ctx context.Context, s *server) (*conn, *fault) {
	c, f := r.open(ctx, s)
	if f != nil {
		return nil, f
	}
	f, plain := c.secure()
	if f == nil {
		c.hurry = false
		return c, nil
	}
	c.close()
	if !plain || over(ctx) {
		return nil, f
	}
	// RFC 7435: opportunistic security: plain text is better than no delivery. The failed handshake left the connection unusable.
	s.mu.Lock()
	s.plainUntil = r.cfg.Now().Add(deadMax)
	s.mu.Unlock()
	r.cfg.Log.Warn("server's TLS does not work, plain text", "server", s.address, "reply", f.reply)
	if c, f = r.open(ctx, s); f != nil {
		return nil, f
	}
	c.hurry = false
	return c, nil
}

// over reports whether ctx has ended. Its deadline may have ended a dial a moment before it says so itself.
func over(ctx context.Context) bool {
	if ctx.Err() != nil {
		return true
	}
	end, ok := ctx.Deadline()
	return ok && !time.Now().Before(end)
}

// open connects to s, reads the greeting and says EHLO.
func (r *Relay) open(ctx context.Context, s *server) (*conn, *fault) {
	limit := r.cfg.Timeouts.Connect
	defer func() {
		s.mu.Lock()
		s.calls--
		s.mu.Unlock()
	}()
	s.mu.Lock()
	s.calls++
	// A server that was dead is not waited for as long as RFC 5321 section 4.5.3.2 allows; but now and then it is, since one that
	// is only slow would never be found alive otherwise.
	hurry := s.pause != 0 && time.Since(s.patient) < patience
	if hurry {
		limit = min(limit, 5*time.Second)
	} else {
		s.patient = time.Now()
	}
	s.mu.Unlock()
	d := net.Dialer{Timeout: limit, KeepAlive: -1}
	if s.source.IsValid() {
		d.LocalAddr = &net.TCPAddr{IP: s.source.AsSlice(), Zone: s.source.Zone()}
	}
	tcp, err := d.DialContext(ctx, "tcp", s.address)
	if err != nil {
		return nil, &fault{reply: "451 4.4.1 cannot connect: " + reason(err), down: !over(ctx), early: true}
	}
	c := &conn{cfg: &r.cfg, server: s, tcp: tcp, net: tcp, in: bufio.NewReader(tcp), out: make([]byte, 0, blockLen), born: time.Now(), hurry: hurry}
	c.bind(ctx)
	greeting, f := c.read(r.cfg.Timeouts.Greeting)
	if f == nil && greeting.code != 220 {
		// RFC 5321 section 3.1: 554 means that there is no SMTP service here.
		f = &fault{reply: temporary(greeting)}
	}
	if f == nil {
		c.greeting = cut(greeting.String(), 200)
		f = c.hello()
	}
	if f == nil && r.ourselves(c) {
		f = &fault{reply: loops}
	}
	if f != nil {
		c.close()
		f.down, f.early = !over(ctx), true
		return nil, f
	}
	return c, nil
}

// hello says EHLO, or HELO to a server that does not know EHLO, and notes what the server can do.
func (c *conn) hello() *fault {
	c.ext = nil
	rep, f := c.ask("EHLO " + c.cfg.Hostname)
	if f != nil {
		return f
	}
	if rep.class() == 5 {
		// RFC 5321 section 3.2: a server that refuses EHLO is asked again with HELO.
		if rep, f = c.ask("HELO " + c.cfg.Hostname); f != nil {
			return f
		}
		rep.lines = rep.lines[:1]
	}
	if rep.class() != 2 {
		return &fault{reply: temporary(rep)}
	}
	c.name, _, _ = strings.Cut(strings.TrimSpace(rep.lines[0]), " ")
	c.ext = make(map[string]string, len(rep.lines))
	for _, line := range rep.lines[1:] {
		word, args, _ := strings.Cut(strings.TrimSpace(line), " ")
		c.ext[strings.ToUpper(word)] = args
	}
	return nil
}

func (c *conn) has(extension string) bool {
	_, ok := c.ext[extension]
	return ok
}

// transact sends the message to the given targets in one transaction. Targets that were answered are settled; a fault means
// that the connection is of no more use, and that the others are not settled.
func (c *conn) transact(env *envelope, to []*target) *fault {
	if done := c.refuse(env, to); done {
		return nil
	}
	commands := make([]string, 1, len(to)+1)
	commands[0] = c.mail(env)
	asked := make([]*target, 0, len(to))
	for _, t := range to {
		if t.path != "" {
			t.accepted = false
			asked = append(asked, t)
			commands = append(commands, "RCPT TO:<"+t.path+">")
		}
	}
	c.dirty = true
	accepted := 0
	var refused *reply
	f := c.each(commands, func(i int, rep reply) bool {
		env.answered = true
		switch {
		case i == 0 && rep.class() == 2:
		case i == 0:
			refused = &rep
		case refused != nil: // 503, because there was no MAIL
		case rep.class() == 2:
			asked[i-1].accepted = true
			accepted++
		default:
			asked[i-1].settle(c.server.address, stateOf(rep, true), rep.String())
		}
		return refused == nil
	})
	if f != nil {
		f.early = true
		env.answered = env.answered || f.policy
		return f
	}
	if refused != nil {
		settleAll(asked, c.server.address, stateOf(*refused, false), refused.String())
		return nil
	}
	if accepted == 0 {
		return nil
	}
	return c.data(env, asked)
}

// refuse settles what this server can never take, and reports whether that was everything.
func (c *conn) refuse(env *envelope, to []*target) bool {
	// RFC 1870 section 6.1: "0" or no parameter is no fixed limit.
	if limit, err := strconv.ParseInt(c.ext["SIZE"], 10, 64); err == nil && limit > 0 && env.message.size > limit {
		settleAll(to, c.server.address, queue.Failed, "552 5.3.4 message is too big for the server")
		return true
	}
	if c.has("SMTPUTF8") {
		return false
	}
	// RFC 6531 section 3.5: without SMTPUTF8 such mail is not sent. An ASCII envelope and header need no SMTPUTF8, whatever
	// was declared; a raw 8-bit header that was not declared is passed on as it came.
	const reply = "550 5.6.7 the server cannot take internationalized mail"
	if env.international || env.item.UTF8 && env.message.utf8Head {
		settleAll(to, c.server.address, queue.Failed, reply)
		return true
	}
	open := 0
	for _, t := range to {
		if t.international {
			t.settle(c.server.address, queue.Failed, reply)
		} else {
			open++
		}
	}
	return open == 0
}

// mail returns the MAIL command.
func (c *conn) mail(env *envelope) string {
	var b strings.Builder
	b.WriteString("MAIL FROM:<" + env.sender + ">")
	if c.has("SIZE") {
		b.WriteString(" SIZE=" + strconv.FormatInt(env.message.size, 10))
	}
	// RFC 6152 section 3: BODY=8BITMIME is only for a server that offers it. To others the message goes as it is: changing
	// its encoding would break its signatures, and they nearly all pass 8 bits.
	if c.has("8BITMIME") && (env.item.EightBit || env.message.eightBit) {
		b.WriteString(" BODY=8BITMIME")
	}
	if c.has("SMTPUTF8") && (env.item.UTF8 || env.international || env.anyInternational()) {
		b.WriteString(" SMTPUTF8")
	}
	return b.String()
}

func (e *envelope) anyInternational() bool {
	for _, t := range e.open {
		if t.international {
			return true
		}
	}
	return false
}

// each sends commands, all at once if the server has PIPELINING, and calls got with each reply. When got returns false, what
// was not sent yet is not sent. 421 is a fault: the server is about to end the connection.
func (c *conn) each(commands []string, got func(i int, rep reply) bool) *fault {
	group := 1
	if c.has("PIPELINING") {
		group = len(commands)
	}
	for first := 0; first < len(commands); first += group {
		last := min(first+group, len(commands))
		c.out = c.out[:0]
		for _, line := range commands[first:last] {
			c.out = append(append(c.out, line...), "\r\n"...)
		}
		if f := c.say(c.out); f != nil {
			return f
		}
		more := true
		for i := first; i < last; i++ {
			rep, f := c.read(c.cfg.Timeouts.Command)
			if f != nil {
				return f
			}
			if f = goodbye(rep); f != nil {
				return f
			}
			if rep.class() == 3 {
				return c.nonsense("3xx reply to a command")
			}
			more = got(i, rep) && more
		}
		if !more {
			return nil
		}
	}
	return nil
}

// data sends DATA and the message for the accepted targets and settles them.
func (c *conn) data(env *envelope, asked []*target) *fault {
	settle := func(state queue.State, reply string) {
		for _, t := range asked {
			if t.accepted && t.path != "" {
				t.settle(c.server.address, state, reply)
			}
		}
	}
	c.out = append(c.out[:0], "DATA\r\n"...)
	if f := c.say(c.out); f != nil {
		f.early = true
		return f
	}
	rep, f := c.read(c.cfg.Timeouts.Data)
	if f == nil {
		f = goodbye(rep)
	}
	if f == nil && rep.class() == 2 {
		f = c.nonsense("2xx reply to DATA")
	}
	if f != nil {
		f.early = true
		return f
	}
	if rep.class() != 3 {
		settle(stateOf(rep, false), rep.String())
		return nil
	}

	sent := false
	w := &stuffer{buf: c.out[:0], flush: func(block []byte, last bool) error {
		// A server that answers before it has the whole message has not read it.
		// (Under TLS there may be other records than replies.)
		if last && (c.in.Buffered() > 0 || c.net == c.tcp && readable(c.tcp)) {
			return errEarlyReply
		}
		if last {
			sent = true
			c.sentDot()
		}
		f = c.write(block, c.cfg.Timeouts.Block)
		if f != nil {
			return errFault
		}
		return nil
	}}
	err := env.message.copyTo(w)
	switch {
	case err == nil:
	case sent:
		settle(queue.Deferred, "451 4.4.2 connection lost at the end of the message, which may have arrived: "+f.reply)
		return f
	case errors.Is(err, errEarlyReply), errors.Is(err, errFault):
		if rep, ok := c.lastWords(); ok && rep.class() == 5 {
			// It said why it does not want to read on.
			settle(stateOf(rep, false), rep.String())
		}
		return &fault{reply: "451 4.4.2 server did not read the whole message"}
	case errors.Is(err, errPoison):
		settle(queue.Deferred, "451 4.3.5 message not transmissible: "+err.Error())
		return &fault{reply: "451 4.3.5 message not transmissible"}
	default:
		settle(queue.Deferred, "451 4.3.0 reading the message: "+printable(err.Error()))
		return &fault{reply: "451 4.3.0 cannot read the message"}
	}

	rep, f = c.read(c.cfg.Timeouts.End)
	if f == nil && rep.class() == 3 {
		f = c.nonsense("3xx reply to the end of the message")
	}
	if f != nil {
		// RFC 1047: whether the server has the message is unknown. It must not be lost, so it may arrive twice.
		settle(queue.Deferred, "451 4.4.2 no reply to the end of the message, which may have arrived: "+strings.TrimPrefix(f.reply, "451 4.4.2 "))
		return f
	}
	c.dirty = rep.class() != 2
	c.calm()
	settle(stateOf(rep, false), rep.String())
	return goodbye(rep)
}

var (
	errEarlyReply = errors.New("reply before the end of the message")
	errFault      = errors.New("connection fault")
)

// stateOf returns what a refusal or acceptance means for a recipient.
func stateOf(rep reply, rcpt bool) queue.State {
	switch rep.class() {
	case 2:
		return queue.Delivered
	case 5:
		// RFC 5321 section 4.5.3.1.10: 552 to RCPT can mean too many recipients, and is then temporary.
		if rcpt && rep.code == 552 && !strings.HasPrefix(rep.enhanced(), "5.2.") {
			return queue.Deferred
		}
		return queue.Failed
	}
	return queue.Deferred
}

// temporary words a refusal of the connection as the temporary trouble that it is for the message.
func temporary(rep reply) string {
	if rep.class() == 4 {
		return rep.String()
	}
	return "451 4.4.1 server refuses the connection: " + rep.String()
}

// goodbye returns a fault for 421.
// RFC 5321 section 3.8: 421 to any command means that the server ends the connection.
func goodbye(rep reply) *fault {
	if rep.code != 421 {
		return nil
	}
	// RFC 3463 section 3.8: X.7 is about what was asked for, and not about the server's health.
	policy := strings.HasPrefix(rep.enhanced(), "4.7.")
	return &fault{reply: rep.String(), down: !policy, policy: policy}
}

func (c *conn) nonsense(what string) *fault {
	return &fault{reply: "451 4.4.2 server breaks the protocol: " + what}
}
