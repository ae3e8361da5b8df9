// Package domain turns a recipient's domain into where its mail goes, which of
// its recipients exist, and who may ask for its mail.
package domain

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A Config is one customer's domain, as it is configured.
type Config struct {
	// Name is the domain, or ".example.org" for it and its subdomains. An
	// A-label and its U-label are the same domain.
	Name string
	// Queue names the queue that mail for the domain waits in: letters, digits,
	// dots, hyphens and underscores, in any case; "" is Name. Domains with the
	// same queue are delivered together, so they must agree in Destinations, TLS,
	// Pins and Source.
	Queue string
	// Destinations are the servers that get the domain's mail: host or
	// host:port. None: the global servers do, and Queue, TLS, Pins, Source,
	// Concurrency and ETRNFrom, which are about servers of its own, must not be
	// set.
	Destinations []string
	TLS          string        // "", off, may, encrypt or verify; "" is the global setting
	Pins         []string      // SHA-256 of certificates (DER) of the destinations that are trusted, in hexadecimal; with TLS verify
	Source       netip.Addr    // local address that deliveries leave from; zero is the global setting
	Lifetime     time.Duration // how long delivery is tried; 0 is the global setting
	Concurrency  int           // deliveries at the same time; 0 is the default. The largest of a queue's domains counts
	// ETRNFrom says who may ask for the domain's mail by ETRN (RFC 1985): an
	// address, a network in CIDR form, or "sha256:" with the fingerprint of the
	// client's certificate (DER) in hexadecimal.
	ETRNFrom []string
	// Verify says how it is found out whether a recipient exists: "" or off (not
	// at all), callout (the destination is asked), list (Recipients says it). ""
	// is list where there are Recipients.
	Verify     string
	Recipients *List
	Unverified string // what happens when a callout has no answer: accept ("") or defer
}

// The words of Config.Verify and Config.Unverified.
const (
	VerifyCallout = "callout"
	VerifyList    = "list"
	Defer         = "defer"
)

// A Domain is one entry of a Table. Its Config is folded: Name and Queue as they
// are compared, Pins in lower case, every default that is the domain's own
// filled in. What its fields refer to must not be changed.
type Domain struct {
	Config
	networks     []netip.Prefix
	fingerprints [][sha256.Size]byte
}

// Own reports whether the domain has servers of its own.
func (d Domain) Own() bool { return len(d.Destinations) > 0 }

// newDomain checks a configuration. Errors name the domain and the value.
func newDomain(c Config) (Domain, error) {
	d := Domain{Config: c}
	bad := func(format string, args ...any) (Domain, error) {
		return Domain{}, fmt.Errorf("domain %q: %w", c.Name, fmt.Errorf(format, args...))
	}
	name, tree := strings.CutPrefix(c.Name, ".")
	name, ok := Fold(name)
	if !ok || name[0] == '[' {
		return bad("not a domain")
	}
	if tree {
		name = "." + name
	}
	d.Name = name
	if d.Queue == "" {
		d.Queue = d.Name
	}
	if d.Queue, ok = foldQueue(d.Queue); !ok {
		return bad("queue %q: not 1 to 255 letters, digits, dots, hyphens and underscores", c.Queue)
	}
	for _, s := range c.Destinations {
		if s == "" || len(s) > 300 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:[]") != "" {
			return bad("destination %q: not a host or host:port", s)
		}
	}
	if !slices.Contains([]string{"", "off", "may", "encrypt", "verify"}, c.TLS) {
		return bad("tls %q: none of off, may, encrypt, verify", c.TLS)
	}
	if len(c.Pins) > 0 && c.TLS != "verify" {
		return bad("pins with tls %q: they count only where it is verify", c.TLS)
	}
	d.Pins = nil
	for _, pin := range c.Pins {
		sum, err := fingerprint(strings.TrimPrefix(strings.ToLower(pin), "sha256:"))
		if err != nil {
			return bad("pin %q: %w", pin, err)
		}
		d.Pins = append(d.Pins, hex.EncodeToString(sum[:]))
	}
	if c.Lifetime < 0 {
		return bad("lifetime %v: negative", c.Lifetime)
	}
	if c.Concurrency < 0 {
		return bad("concurrency %d: negative", c.Concurrency)
	}
	if err := d.checkVerify(); err != nil {
		return bad("%w", err)
	}
	for _, from := range c.ETRNFrom {
		if err := d.allow(from); err != nil {
			return bad("etrn_from %q: %w", from, err)
		}
	}
	if !d.Own() {
		for _, e := range []struct {
			what string
			set  bool
		}{{"queue", c.Queue != ""}, {"tls", c.TLS != ""}, {"pins", len(c.Pins) > 0}, {"source", c.Source.IsValid()},
			{"concurrency", c.Concurrency != 0}, {"etrn_from", len(c.ETRNFrom) > 0}} {
			if e.set {
				return bad("%s without destinations", e.what)
			}
		}
	}
	return d, nil
}

func (d *Domain) checkVerify() error {
	switch d.Verify {
	case "":
		if d.Recipients != nil {
			d.Verify = VerifyList
		}
	case "off":
		d.Verify = ""
	case VerifyCallout:
		if d.Recipients != nil {
			return errors.New("verify is callout, and there is a list of recipients")
		}
	case VerifyList:
		if d.Recipients == nil {
			return errors.New("verify is list, but there is no list of recipients")
		}
	default:
		return fmt.Errorf("verify %q: none of off, callout, list", d.Verify)
	}
	if d.Verify == VerifyList && d.Recipients.Len() == 0 {
		// More likely a file that went wrong than a domain without people; and
		// what it refuses is lost to its senders.
		return errors.New("the list of recipients is empty")
	}
	switch d.Unverified {
	case "", "accept", Defer:
		return nil
	}
	return fmt.Errorf("unverified %q: neither accept nor defer", d.Unverified)
}

// allow takes one entry of ETRNFrom.
func (d *Domain) allow(from string) error {
	if digits, ok := strings.CutPrefix(strings.ToLower(from), "sha256:"); ok {
		sum, err := fingerprint(digits)
		if err == nil {
			d.fingerprints = append(d.fingerprints, sum)
		}
		return err
	}
	p, err := netip.ParsePrefix(from)
	if err != nil {
		addr, err := netip.ParseAddr(from)
		if err != nil || addr.Zone() != "" {
			return errors.New("not an address, a network or sha256: with a fingerprint")
		}
		p = netip.PrefixFrom(addr, addr.BitLen())
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return errors.New("a network of IPv4 in IPv6 that is more than IPv4")
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	d.networks = append(d.networks, p.Masked())
	return nil
}

// fingerprint reads a SHA-256 in hexadecimal, with or without colons.
func fingerprint(digits string) (sum [sha256.Size]byte, err error) {
	b, err := hex.DecodeString(strings.ReplaceAll(digits, ":", ""))
	if err != nil || len(b) != len(sum) {
		return sum, fmt.Errorf("not a fingerprint of %d hexadecimal digits", 2*len(sum))
	}
	return [sha256.Size]byte(b), nil
}

// agrees says in what two domains of one queue differ that must not; nil if in
// nothing. Their mail is delivered together: with other servers one customer's
// mail would go to the other's.
func (d Domain) agrees(with Domain) error {
	for _, e := range []struct {
		what string
		same bool
	}{
		{"destinations", slices.Equal(d.Destinations, with.Destinations)},
		{"tls", d.TLS == with.TLS},
		{"pins", slices.Equal(d.Pins, with.Pins)},
		{"source", d.Source == with.Source},
	} {
		if !e.same {
			return fmt.Errorf("domain %q: has the queue %q with domain %q, but not its %s", d.Name, d.Queue, with.Name, e.what)
		}
	}
	return nil
}

// Releases says whether a client may ask for the domain's mail: by its address,
// or by the certificate that it has proved on this connection to have the key
// of, nil for none, unless that is not valid at the time given. It is the
// fingerprint that is trusted; who signed the certificate does not matter.
func (d Domain) Releases(client netip.Addr, certificate *x509.Certificate, now time.Time) bool {
	client = client.Unmap().WithZone("")
	for _, n := range d.networks {
		if n.Contains(client) {
			return true
		}
	}
	if len(d.fingerprints) == 0 {
		return false
	}
	sum, ok := proof(certificate, now)
	return ok && slices.ContainsFunc(d.fingerprints, func(f [sha256.Size]byte) bool { return bytes.Equal(f[:], sum[:]) })
}

// proof is the fingerprint of a certificate that is valid now.
func proof(certificate *x509.Certificate, now time.Time) (sum [sha256.Size]byte, ok bool) {
	if certificate == nil || now.Before(certificate.NotBefore) || now.After(certificate.NotAfter) {
		return sum, false
	}
	return sha256.Sum256(certificate.Raw), true
}

// Knows says whether a recipient is on the domain's list. Postmaster always is:
// RFC 5321 section 4.5.1.
func (d Domain) Knows(address string) bool {
	return IsPostmaster(address) || d.Recipients.match(address)
}

// IsPostmaster says whether an address is that of a domain's postmaster, who
// exists whatever anyone says.
func IsPostmaster(address string) bool {
	return strings.EqualFold(address[:max(0, strings.LastIndexByte(address, '@'))], "postmaster")
}
