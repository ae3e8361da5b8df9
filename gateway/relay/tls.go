package relay

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
)

// secure encrypts the connection as the policy wants it. The second result says that after this fault plain text may be tried on
// a new connection.
//
// off: nothing. may: STARTTLS if offered and if it did not fail a short time ago; when the server then says no, the connection
// stays as it is. encrypt, verify: STARTTLS, or the connection is of no use.
func (c *conn) secure() (f *fault, plain bool) {
	mode := c.cfg.TLS
	must := mode == TLSEncrypt || mode == TLSVerify
	if mode == TLSOff {
		return nil, false
	}
	if !c.has("STARTTLS") {
		if must {
			return &fault{reply: "451 4.7.4 server does not offer the encryption that policy demands", down: true, early: true}, false
		}
		return nil, false
	}
	if !must {
		c.server.mu.Lock()
		skip := c.cfg.Now().Before(c.server.plainUntil)
		c.server.mu.Unlock()
		if skip {
			return nil, false
		}
	}
	rep, f := c.ask("STARTTLS")
	if f != nil {
		f.down, f.early = true, true
		return f, !must
	}
	if rep.code != 220 {
		if must {
			return &fault{reply: "451 4.7.4 server refuses encryption: " + rep.String(), down: true, early: true}, false
		}
		return nil, false
	}
	if err := c.handshake(); err != nil {
		return &fault{reply: "451 4.7.5 TLS handshake failed: " + cut(printable(tlsReason(err)), 200), down: true, early: true}, !must
	}
	// RFC 3207 section 4.2: what was known from the server before is forgotten, and EHLO is said again.
	if f := c.hello(); f != nil {
		f.down, f.early = true, true
		return f, !must
	}
	return nil, false
}

// handshake does the TLS handshake. Octets that came after the reply to STARTTLS in plain text are thrown away with the reader
// that holds them: somebody in the middle may have put replies there.
func (c *conn) handshake() error {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.cfg.TLSConfig != nil {
		conf = c.cfg.TLSConfig.Clone()
	}
	host, _, err := net.SplitHostPort(c.server.address)
	if err != nil {
		return err
	}
	conf.ServerName = host
	conf.InsecureSkipVerify = c.cfg.TLS != TLSVerify
	t := tls.Client(c.tcp, conf)
	c.arm(c.cfg.Timeouts.Handshake)
	if err := t.HandshakeContext(context.Background()); err != nil {
		return err
	}
	c.mu.Lock()
	c.net = t
	c.mu.Unlock()
	c.in = bufio.NewReader(t)
	return nil
}

// tlsReason returns the text of a handshake's error without the connection's addresses.
func tlsReason(err error) string {
	if op, ok := err.(*net.OpError); ok && op.Err != nil && op.Op != "remote error" {
		return reason(err)
	}
	return err.Error()
}
