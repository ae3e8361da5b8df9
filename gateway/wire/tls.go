package wire

import (
	"crypto/tls"
	"time"
)

// tlsConfig is the configuration for a handshake now, nil if there is none.
func (c *Conn) tlsConfig() *tls.Config {
	if c.l.cfg.TLS == nil {
		return nil
	}
	return c.l.cfg.TLS()
}

// startTLS encrypts the connection. RFC 3207
//
// What the client sent in the clear behind STARTTLS may be somebody else's; it
// must never be taken for what came through TLS (CVE-2011-0411). So it ends the
// session; and what is still in the kernel is read by the handshake, which fails
// on it.
func (c *Conn) startTLS(arg []byte) {
	switch {
	case len(arg) > 0:
		c.fail(501, "5.5.4", "STARTTLS takes no argument")
		return
	case c.l.cfg.TLS == nil:
		c.fail(502, "5.5.1", "command not implemented")
		return
	case c.ahead():
		c.fatal(554, "5.5.1", "commands sent behind STARTTLS")
		return
	case c.tls != nil:
		c.fail(503, "5.5.1", "TLS is active already")
		return
	case c.state.hello == "":
		c.fail(503, "5.5.1", "EHLO first")
		return
	}
	cfg := c.tlsConfig()
	if cfg == nil {
		c.fail(454, "4.7.0", "TLS not available")
		return
	}
	c.reply(220, "2.0.0", "go ahead")
	if c.flush(); c.over {
		return
	}
	t := tls.Server(c.raw, cfg)
	c.raw.SetDeadline(time.Now().Add(c.l.cfg.HandshakeTimeout))
	c.waiting.Store(c.l.since())
	err := t.Handshake()
	c.waiting.Store(0)
	if err != nil {
		// There is no telling what the client would understand.
		c.l.cfg.Log.Info("TLS handshake failed", "session", c.id, "client", c.client.Addr(), "error", err)
		c.over, c.linger = true, false
		return
	}
	c.raw.SetDeadline(time.Time{})
	c.sock = t
	s := t.ConnectionState()
	c.tls = &s
	// RFC 3207 section 4.2: all that was said before is forgotten. go-smtp
	// forgets it at the EHLO that must follow.
	c.state.newTransaction()
	c.state.hello, c.state.esmtp = "", false
}
