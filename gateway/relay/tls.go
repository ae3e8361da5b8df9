package relay

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
)

// secure encrypts the connection as the policy wants it. The second result says that after this fault plain text may be tried on
// a new connection.
//
// off: nothing. may: STARTTLS if offered and if it did not fail a short time ago; when the server then says no, the connection
// stays as it is. encrypt, verify: STARTTLS, or the connection is of no use.
func (c *conn) secure() (f *fault, plain bool) {
	mode := c.server.mode
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
	conf.InsecureSkipVerify = c.server.mode != TLSVerify || c.server.pins != ""
	if c.server.mode == TLSVerify && c.server.pins != "" {
		conf.VerifyConnection = func(state tls.ConnectionState) error { return pinned(state, c.server.pins) }
	}
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

var errPin = errors.New("the server's certificate is none of those that are pinned")

// pinned returns nil if the server's own certificate, or its public key, is one of the pins.
// The handshake has proved that the server holds the key, so names and dates add nothing, as in RFC 7671 section 5.1 (DANE-EE).
func pinned(state tls.ConnectionState, pins string) error {
	if len(state.PeerCertificates) == 0 {
		return errPin
	}
	leaf := state.PeerCertificates[0]
	whole, key := sha256.Sum256(leaf.Raw), sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	for pin := range strings.FieldsSeq(pins) {
		if sum, err := parsePin(pin); err == nil && (sum == whole || sum == key) {
			return nil
		}
	}
	return errPin
}

// parsePin reads 32 octets in hex, in any case, with or without colons between them and "sha256:" before them.
func parsePin(s string) (sum [sha256.Size]byte, err error) {
	if len(s) >= 7 && strings.EqualFold(s[:7], "sha256:") {
		s = s[7:]
	}
	p, err := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
	if err != nil || len(p) != len(sum) {
		return sum, fmt.Errorf("pin %q is no SHA-256 digest of 64 hex digits", s)
	}
	return [sha256.Size]byte(p), nil
}

// CheckPins returns an error unless each pin is a SHA-256 digest as Route.Pins wants it.
func CheckPins(pins []string) error {
	for _, p := range pins {
		if _, err := parsePin(p); err != nil {
			return err
		}
	}
	return nil
}
