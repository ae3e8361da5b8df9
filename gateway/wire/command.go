package wire

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"time"
)

// serve answers the client until the session must decide something, or is over.
func (c *Conn) serve() {
	if !c.begun {
		c.begun = true
		c.begin()
	}
	for !c.over && len(c.feed) == 0 {
		line, err := c.line()
		if err != nil {
			c.lost(err)
			return
		}
		c.command(line)
	}
}

// begin is what happens before the first command: the refusal or the banner.
func (c *Conn) begin() {
	if c.l.draining.Load() {
		c.lost(errDraining)
		return
	}
	if c.l.cfg.Refuse != nil {
		if r := c.l.cfg.Refuse(c.client.Addr()); r != nil {
			r := *r
			r.Close = true
			c.say(r, false)
			return
		}
	}
	if c.l.cfg.GreetDelay > 0 {
		// RFC 5321 section 3.1: the client waits for the greeting. Those that
		// do not are no mail servers.
		switch err := c.more(time.Now().Add(c.l.cfg.GreetDelay)); {
		case err == nil:
			c.fatal(554, "5.5.1", "you talk before the greeting")
			return
		case !errors.Is(err, errTimeout):
			c.lost(err)
			return
		}
	}
	c.out = append(append(append(c.out, "220 "...), c.l.cfg.Hostname...), " ESMTP\r\n"...)
}

// welcome is the reply to HELO and EHLO. RFC 5321 section 4.1.1.1
func (c *Conn) welcome() {
	if !c.state.esmtp {
		c.out = append(append(append(c.out, "250 "...), c.l.cfg.Hostname...), "\r\n"...)
		return
	}
	c.out = append(append(append(c.out, "250-"...), c.l.cfg.Hostname...), "\r\n250-PIPELINING\r\n250-SIZE "...)
	c.out = strconv.AppendInt(c.out, c.l.cfg.MaxMessageBytes, 10)
	c.out = append(c.out, "\r\n"...)
	if c.tls == nil && c.tlsConfig() != nil {
		c.out = append(c.out, "250-STARTTLS\r\n"...)
	}
	if c.offersETRN() {
		c.out = append(c.out, "250-ETRN\r\n"...)
	}
	c.out = append(c.out, "250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 CHUNKING\r\n"...)
}

// maxVerb is longer than every verb that we know.
const maxVerb = 16

// command acts on one command line.
func (c *Conn) command(line []byte) {
	line = bytes.TrimRight(line, " ")
	word, arg, _ := bytes.Cut(line, []byte(" "))
	arg = bytes.Trim(arg, " ")
	var upper [maxVerb]byte
	verb := upper[:0]
	if len(word) <= maxVerb {
		verb = append(verb, word...)
		for i, b := range verb {
			if b >= 'a' && b <= 'z' {
				verb[i] = b - 32
			}
		}
	}
	if hasControl(line) {
		switch string(verb) {
		case "MAIL":
			c.fail(501, "5.1.7", "control character in sender")
		case "RCPT":
			c.fail(501, "5.1.3", "control character in recipient")
		case "BDAT": // the length of what follows is unknown
			c.fatal(501, "5.5.4", "bad BDAT")
		default:
			c.fail(501, "5.5.2", "control character in command")
		}
		return
	}
	switch string(verb) {
	case "EHLO", "HELO":
		c.hello(verb[0] == 'E', arg)
	case "MAIL":
		c.mail(arg)
	case "RCPT":
		c.rcpt(arg)
	case "DATA":
		c.data(arg)
	case "BDAT":
		c.bdat(arg)
	case "RSET":
		switch {
		case len(arg) > 0:
			c.fail(501, "5.5.4", "RSET takes no argument")
		case c.useful():
			c.state.newTransaction()
			if c.state.hello == "" {
				c.reply(250, "2.0.0", "reset")
				return
			}
			c.give(askReset, []byte("RSET\r\n"))
		}
	case "QUIT":
		if len(arg) > 0 {
			c.fail(501, "5.5.4", "QUIT takes no argument")
			return
		}
		c.reply(221, "2.0.0", "bye")
		c.finish()
	case "STARTTLS":
		c.startTLS(arg)
	case "ETRN":
		c.etrn(arg)
	case "NOOP":
		if c.useful() {
			c.reply(250, "2.0.0", "ok")
		}
	case "VRFY":
		switch {
		case len(arg) == 0:
			c.fail(501, "5.5.4", "VRFY needs an argument")
		case c.useful():
			// RFC 5321 section 3.5.3: 252 tells nothing to those who harvest.
			c.reply(252, "2.1.5", "cannot verify, but will accept mail and try")
		}
	case "HELP":
		if c.useful() {
			c.reply(214, "2.0.0", "see RFC 5321")
		}
	case "EXPN", "TURN", "ATRN", "SEND", "SOML", "SAML", "AUTH":
		c.fail(502, "5.5.1", "command not implemented")
	case "GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "PRI":
		// A browser that was made to talk to us, or a search for proxies: what
		// follows could be chosen by somebody else.
		c.fatal(221, "2.7.0", "this is not a web server")
	case "":
		c.fail(500, "5.5.2", "bad syntax")
	default:
		c.fail(500, "5.5.1", "command unknown")
	}
}

func hasControl(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c == 0x7f {
			return true
		}
	}
	return false
}

// useful counts a command that moves no mail, and reports whether the client
// may have more of them.
func (c *Conn) useful() bool {
	if c.spent() {
		return false
	}
	c.state.junk++
	return true
}

// spent reports whether the client has had all the commands that moved no mail,
// and ends the session then. Senders and recipients that the session refused
// count as such.
func (c *Conn) spent() bool {
	if c.l.cfg.MaxJunk < 0 || c.state.junk < c.l.cfg.MaxJunk {
		return false
	}
	c.fatal(421, "4.7.0", "too many commands without mail")
	return true
}

// hello begins the session, or begins it again.
func (c *Conn) hello(esmtp bool, name []byte) {
	switch {
	case c.ahead():
		// RFC 2920 section 3.1: EHLO comes last in a group. What was sent behind
		// it was sent without knowing who we are.
		c.fatal(503, "5.5.1", "commands sent before the reply to EHLO")
		return
	case c.spent() || c.state.hello != "" && !c.useful():
		return
	case len(name) == 0 || len(name) > 255 || !printable(name):
		// RFC 2034 section 4: no status code in replies to EHLO.
		if c.state.errors++; c.l.cfg.MaxErrors >= 0 && c.state.errors > c.l.cfg.MaxErrors {
			c.fatal(421, "4.7.0", "too many errors")
			return
		}
		c.say(Reply{Code: 501, Text: "your host name is missing or malformed"}, false)
		return
	}
	c.state.newTransaction()
	c.state.hello, c.state.esmtp = string(name), esmtp
	verb := "HELO "
	if esmtp {
		verb = "EHLO "
	}
	c.asked = append(append(append(c.asked[:0], verb...), name...), "\r\n"...)
	c.give(askHello, c.asked)
}

// printable reports whether b is printable ASCII without a space.
func printable(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}

// offersETRN reports whether there is ETRN at this moment.
func (c *Conn) offersETRN() bool {
	return c.l.cfg.ETRN != nil && (c.l.cfg.OfferETRN == nil || c.l.cfg.OfferETRN())
}

// etrn asks for the queue of a domain to be sent. RFC 1985: at any time, but not
// during a transaction, which goes on undisturbed. RFC 5321 section 4.2.2: 501 is
// for a command that is known, and whose argument is missing or wrong.
func (c *Conn) etrn(arg []byte) {
	switch {
	case !c.offersETRN():
		c.fail(502, "5.5.1", "command not implemented")
	case c.state.hello == "":
		c.fail(503, "5.5.1", "EHLO first")
	case c.state.mail:
		c.fail(503, "5.5.1", "a transaction is under way")
	case len(arg) == 0 || len(arg) > 256 || !printable(arg):
		c.fail(501, "5.5.4", "ETRN needs one domain")
	case c.useful():
		r := c.l.cfg.ETRN(c, string(arg))
		if r == nil {
			r = &Reply{Code: 458, Enhanced: "4.3.0", Text: "unable to queue messages"}
		}
		c.say(*r, true)
	}
}

// cutFold is bytes.CutPrefix without regard to case.
func cutFold(b []byte, prefix string) ([]byte, bool) {
	if len(b) < len(prefix) || !strings.EqualFold(string(b[:len(prefix)]), prefix) {
		return nil, false
	}
	return b[len(prefix):], true
}
