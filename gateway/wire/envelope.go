package wire

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
)

// mail begins a transaction. RFC 5321 section 4.1.1.2
func (c *Conn) mail(arg []byte) {
	switch {
	case c.state.hello == "":
		c.fail(503, "5.5.1", "EHLO first")
		return
	case c.state.mail:
		c.fail(503, "5.5.1", "a transaction is under way")
		return
	}
	arg, ok := cutFold(arg, "FROM:")
	if !ok {
		c.fail(501, "5.5.4", "MAIL FROM:<address> expected")
		return
	}
	sender, rest, problem := parsePath(arg)
	if problem != "" {
		c.fail(501, "5.1.7", problem)
		return
	}
	p, bad := parseParameters(rest)
	if bad.Code != 0 {
		c.fail(bad.Code, bad.Enhanced, bad.Text)
		return
	}
	if bad := sender.check(p.utf8, false); bad.Code != 0 {
		c.fail(bad.Code, bad.Enhanced, bad.Text)
		return
	}
	// RFC 1870 section 6.1
	if p.size > c.l.cfg.MaxMessageBytes {
		c.fail(552, "5.3.4", "message too big, the limit is "+strconv.FormatInt(c.l.cfg.MaxMessageBytes, 10)+" octets")
		return
	}
	if c.spent() {
		return
	}
	c.state.newTransaction()
	c.state.utf8, c.state.size = p.utf8, p.size
	b := append(c.asked[:0], "MAIL FROM:<"...)
	b = append(sender.append(b), '>')
	if p.size > 0 && p.size < 1<<32 { // go-smtp reads 32 bits
		b = strconv.AppendInt(append(b, " SIZE="...), p.size, 10)
	}
	if p.body != "" {
		b = append(append(b, " BODY="...), p.body...)
	}
	if p.utf8 {
		b = append(b, " SMTPUTF8"...)
	}
	c.asked = append(b, "\r\n"...)
	c.give(askMail, c.asked)
}

// parameters are those of MAIL.
type parameters struct {
	size int64
	body string
	utf8 bool
}

// parseParameters reads what follows the sender's path.
func parseParameters(b []byte) (p parameters, bad Reply) {
	var size, body bool
	for field := range bytes.FieldsSeq(b) {
		key, value, hasValue := strings.Cut(string(field), "=")
		key = strings.ToUpper(key)
		if key == "SIZE" && size || key == "BODY" && body || key == "SMTPUTF8" && p.utf8 {
			return p, Reply{Code: 501, Enhanced: "5.5.4", Text: "parameter given twice"}
		}
		size, body = size || key == "SIZE", body || key == "BODY"
		switch key {
		case "SIZE":
			n, err := strconv.ParseUint(value, 10, 63)
			switch {
			case errors.Is(err, strconv.ErrRange):
				return p, tooBig
			case err != nil:
				return p, Reply{Code: 501, Enhanced: "5.5.4", Text: "bad SIZE"}
			}
			p.size = int64(n)
		case "BODY":
			switch p.body = strings.ToUpper(value); p.body {
			case "7BIT", "8BITMIME":
			default:
				return p, Reply{Code: 501, Enhanced: "5.5.4", Text: "bad BODY"}
			}
		case "SMTPUTF8":
			if hasValue {
				return p, Reply{Code: 501, Enhanced: "5.5.4", Text: "SMTPUTF8 takes no value"}
			}
			p.utf8 = true
		default:
			// RFC 5321 section 4.1.1.11
			return p, Reply{Code: 555, Enhanced: "5.5.4", Text: "parameter not known"}
		}
	}
	return p, Reply{}
}

// overshoot is how many recipients of one message a client may name that are put
// off, because they are too many or for what the session has against them now.
const overshoot = 1000

// rcpt names a recipient. RFC 5321 section 4.1.1.3
func (c *Conn) rcpt(arg []byte) {
	switch {
	case !c.state.mail:
		c.fail(503, "5.5.1", "MAIL first")
		return
	case c.state.chunks:
		c.fail(503, "5.5.1", "a message is under way")
		return
	}
	arg, ok := cutFold(arg, "TO:")
	if !ok {
		c.fail(501, "5.5.4", "RCPT TO:<address> expected")
		return
	}
	c.state.tried++
	if c.l.cfg.MaxRecipients >= 0 && c.state.rcpts >= c.l.cfg.MaxRecipients {
		// RFC 5321 section 4.5.3.1.10: 452, the client sends the rest later.
		if c.state.overshoot++; c.state.overshoot > overshoot {
			c.fatal(421, "4.7.0", "too many recipients")
			return
		}
		c.reply(452, "4.5.3", "too many recipients")
		return
	}
	to, rest, problem := parsePath(arg)
	if problem != "" {
		c.fail(501, "5.1.3", problem)
		return
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		c.fail(555, "5.5.4", "parameter not known")
		return
	}
	if to.domain == nil && bytes.EqualFold(to.local, []byte("postmaster")) {
		// RFC 5321 section 4.5.1
		to.domain = []byte(c.postmasterDomain())
	}
	if bad := to.check(c.state.utf8, true); bad.Code != 0 {
		c.fail(bad.Code, bad.Enhanced, bad.Text)
		return
	}
	if c.spent() {
		return
	}
	b := append(c.asked[:0], "RCPT TO:<"...)
	c.asked = append(to.append(b), ">\r\n"...)
	c.give(askRcpt, c.asked)
}

// Ahead returns the recipients that the client has named behind the one under
// way, without waiting for the reply (RFC 2920): as far as they have come, up to
// the first other command. It is to be asked for inside Session.Rcpt.
func (c *Conn) Ahead() []string {
	var list []string
	for rest := c.in[c.pos:]; ; {
		line, after, ok := bytes.Cut(rest, []byte("\r\n"))
		if !ok {
			return list
		}
		arg, ok := cutFold(line, "RCPT TO:")
		if !ok || hasControl(line) {
			return list
		}
		to, more, problem := parsePath(arg)
		if problem != "" || len(bytes.TrimSpace(more)) > 0 || to.check(c.state.utf8, true).Code != 0 {
			return list
		}
		list = append(list, string(to.append(nil)))
		rest = after
	}
}

// postmasterDomain is the domain of the postmaster who was given none.
func (c *Conn) postmasterDomain() string {
	if served := c.l.cfg.Served; served != nil {
		for d, ok := c.l.cfg.Hostname, true; ok; _, d, ok = strings.Cut(d, ".") {
			if served(d) {
				return d
			}
		}
	}
	return c.l.cfg.Hostname
}
