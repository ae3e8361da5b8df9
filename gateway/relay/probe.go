package relay

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// ProbeResult is what one server of a route turned out to be.
type ProbeResult struct {
	Server      string        // "host:port"
	Reply       string        // why no mail can be sent to it, e.g. "451 4.4.1 cannot connect: connection refused"; "" = it can
	Greeting    string        // its first words, e.g. "220 mx.example.org ESMTP"
	Extensions  []string      // what it offers in its last reply to EHLO, sorted
	TLS         string        // version of the encryption that was agreed on, e.g. "TLS 1.3"; "" = none
	Certificate string        // why its certificate is not valid for its name as configured; "" = it is, or there is none
	Expires     time.Time     // end of the certificate's life; zero = there is none
	Pins        []string      // what Route.Pins could have for it: the digest of the certificate, and of its public key
	Recipients  Mailbox       // what it says of a recipient that nobody has: Missing = recipients can be verified, Exists = it takes everything
	Took        time.Duration // until it was ready for MAIL
}

// probeTime bounds the look at one server.
const probeTime = 20 * time.Second

// Probe looks at each server of a route, on connections of their own and at the same time, and asks it for a recipient of the domain
// that nobody has; domain "" asks for none. It takes at most 20 s.
func (r *Relay) Probe(ctx context.Context, route Route, domain string) []ProbeResult {
	results := make([]ProbeResult, len(route.Servers))
	var wg sync.WaitGroup
	for i, name := range route.Servers {
		one := route
		one.Servers = []string{name}
		wg.Go(func() {
			list, err := endpoints(one)
			if err != nil {
				results[i] = ProbeResult{Server: name, Reply: "451 4.3.5 " + err.Error()}
				return
			}
			ctx, cancel := context.WithTimeout(ctx, probeTime)
			defer cancel()
			results[i] = r.probe(ctx, list[0], domain)
		})
	}
	wg.Wait()
	return results
}

func (r *Relay) probe(ctx context.Context, e endpoint, domain string) ProbeResult {
	res := ProbeResult{Server: e.address}
	start := time.Now()
	c, f := r.dial(ctx, &server{endpoint: e})
	res.Took = time.Since(start)
	if f != nil {
		res.Reply = f.reply
		if e.mode != TLSVerify {
			return res
		}
		// The certificate did not please; it is shown all the same.
		e.mode, e.pins = TLSEncrypt, ""
		if c, f = r.dial(ctx, &server{endpoint: e}); f != nil {
			return res
		}
	}
	defer c.quit()
	res.Greeting = c.greeting
	for _, word := range slices.Sorted(maps.Keys(c.ext)) {
		res.Extensions = append(res.Extensions, printable(strings.TrimSpace(word+" "+c.ext[word])))
	}
	if t, ok := c.net.(*tls.Conn); ok {
		res.look(t.ConnectionState(), r.cfg.TLSConfig, e.address, r.cfg.Now())
	}
	if domain != "" && res.Reply == "" {
		nobody := "no-such-mailbox-" + strings.ToLower(rand.Text()[:16]) + "@" + domain
		if to, international, err := smtpPath(nobody); err == nil {
			if m, f := c.askFor(to, international); f == nil {
				res.Recipients = m
			} else {
				res.Reply = f.reply
			}
		}
	}
	return res
}

// look notes what there is to say of the certificate.
func (p *ProbeResult) look(state tls.ConnectionState, conf *tls.Config, address string, now time.Time) {
	p.TLS = tls.VersionName(state.Version)
	if len(state.PeerCertificates) == 0 {
		return
	}
	leaf := state.PeerCertificates[0]
	p.Expires = leaf.NotAfter
	for _, der := range [][]byte{leaf.Raw, leaf.RawSubjectPublicKeyInfo} {
		sum := sha256.Sum256(der)
		p.Pins = append(p.Pins, hex.EncodeToString(sum[:]))
	}
	options := x509.VerifyOptions{Intermediates: x509.NewCertPool(), CurrentTime: now}
	options.DNSName, _, _ = net.SplitHostPort(address)
	if conf != nil {
		options.Roots = conf.RootCAs
	}
	for _, c := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(c)
	}
	if _, err := leaf.Verify(options); err != nil {
		p.Certificate = printable(err.Error())
	}
}
