package relay

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"
	"time"

	"spamcatcher/gateway/relay/relaytest"
	"spamcatcher/queue"
)

// pinsOf returns the pins of a test server's certificate and of its key.
func pinsOf(t *testing.T, conf *tls.Config) (certificate, key string) {
	t.Helper()
	pair := conf.Certificates[0]
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	a, b := sha256.Sum256(leaf.Raw), sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(a[:]), hex.EncodeToString(b[:])
}

func TestPins(t *testing.T) {
	conf, _ := relaytest.Certificate(t, "other.example.com")
	foreign, _ := relaytest.Certificate(t, "other.example.com")
	certificate, key := pinsOf(t, conf)
	otherCertificate, otherKey := pinsOf(t, foreign)
	colons := strings.ToUpper(key[:2])
	for i := 2; i < len(key); i += 2 {
		colons += ":" + strings.ToUpper(key[i:i+2])
	}
	for _, c := range []struct {
		name string
		mode TLSMode
		pins []string
		ok   bool
	}{
		{"certificate", TLSVerify, []string{certificate}, true},
		{"key", TLSVerify, []string{key}, true},
		{"as tools print it", TLSVerify, []string{"SHA256:" + colons}, true},
		{"one of several", TLSVerify, []string{otherKey, certificate}, true},
		{"another server's", TLSVerify, []string{otherKey, otherCertificate}, false},
		{"not a pin", TLSVerify, []string{"x"}, false},
		{"no pin", TLSVerify, nil, false},
		{"empty pin", TLSVerify, []string{""}, false},
		{"not looked at", TLSEncrypt, []string{otherKey}, true},
	} {
		s := relaytest.Start(t, relaytest.Script{TLS: conf})
		r := newRelayTo(t, nil, Route{Servers: []string{s.Addr}, TLS: c.mode, Pins: c.pins})
		got := deliver(t, r, hello, "b@example.org")
		if ok := got[0].State == queue.Delivered; ok != c.ok || ok && !s.Messages()[0].TLS || !ok && !strings.HasPrefix(got[0].Reply, "451 4.7.5 ") {
			t.Errorf("%s: %+v", c.name, got)
		}
		if !c.ok && len(s.Messages()) != 0 {
			t.Errorf("%s: a message was sent", c.name)
		}
	}
	if err := CheckPins([]string{certificate, colons, "sha256:" + key}); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "sha256:", certificate[2:], certificate + "00", "z" + certificate[1:], "sha1:" + certificate} {
		if err := CheckPins([]string{certificate, bad}); err == nil {
			t.Errorf("%q is taken for a pin", bad)
		}
	}
}

func TestProbe(t *testing.T) {
	conf, roots := relaytest.Certificate(t, "127.0.0.1")
	certificate, key := pinsOf(t, conf)
	strict := answers(map[string]string{"RCPT": "550 5.1.1 no such user"})
	good := relaytest.Start(t, relaytest.Script{TLS: conf, Greeting: "220 hello there", Extensions: []string{"SIZE 1000", "8BITMIME"}, Answer: strict})
	open := relaytest.Start(t, relaytest.Script{})
	odd := relaytest.Start(t, relaytest.Script{Answer: answers(map[string]string{"RCPT": "451 greylisted"})})
	dead := deadAddress(t)
	r := newRelay(t, func(c *Config) { c.TLSConfig = &tls.Config{RootCAs: roots} })
	got := r.Probe(t.Context(), Route{Servers: []string{good.Addr, open.Addr, odd.Addr, dead, "no server"}}, "example.org")
	for i := range got {
		if got[i].Took <= 0 && i < 4 || got[i].Took > 5*time.Second {
			t.Errorf("%s took %v", got[i].Server, got[i].Took)
		}
		got[i].Took = 0
	}
	if d := time.Until(got[0].Expires); d < 50*time.Minute || d > time.Hour {
		t.Errorf("certificate ends in %v", d)
	}
	got[0].Expires = time.Time{}
	plain := []string{"8BITMIME", "PIPELINING"}
	want := []ProbeResult{
		{Server: good.Addr, Greeting: "220 hello there", Extensions: []string{"8BITMIME", "SIZE 1000"}, TLS: "TLS 1.3", Pins: []string{certificate, key}, Recipients: Missing},
		{Server: open.Addr, Greeting: "220 relaytest ESMTP", Extensions: plain, Recipients: Exists},
		{Server: odd.Addr, Greeting: "220 relaytest ESMTP", Extensions: plain, Recipients: Unsure},
		{Server: dead, Reply: "451 4.4.1 cannot connect: connection refused"},
		{Server: "no server", Reply: `451 4.3.5 server "no server": "no server" is no host name or address`},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	if l := good.Lines(); l[len(l)-1] != "QUIT" || count(good, "DATA") != 0 || count(good, "RCPT TO:<no-such-mailbox-") != 1 {
		t.Errorf("said %q", l)
	}
	// No domain, no recipient.
	if got := r.Probe(t.Context(), Route{Servers: []string{open.Addr}}, ""); got[0].Recipients != Unsure || count(open, "RCPT") != 1 {
		t.Errorf("%+v", got)
	}
	innocent(t, good, open, odd)
}

// A certificate that is not good enough is shown with the reason.
func TestProbeShowsBadCertificates(t *testing.T) {
	conf, roots := relaytest.Certificate(t, "other.example.com")
	certificate, _ := pinsOf(t, conf)
	s := relaytest.Start(t, relaytest.Script{TLS: conf})
	r := newRelay(t, func(c *Config) { c.TLSConfig = &tls.Config{RootCAs: roots} })
	for _, c := range []struct {
		mode TLSMode
		pins []string
		ok   bool
	}{{TLSVerify, nil, false}, {TLSEncrypt, nil, true}, {TLSMay, nil, true}, {TLSVerify, []string{certificate}, true}} {
		got := r.Probe(t.Context(), Route{Servers: []string{s.Addr}, TLS: c.mode, Pins: c.pins}, "example.org")[0]
		if (got.Reply == "") != c.ok || got.TLS == "" || !strings.Contains(got.Certificate, "127.0.0.1") || got.Pins[0] != certificate ||
			(got.Recipients == Exists) != c.ok {
			t.Errorf("%s %q: %+v", c.mode, c.pins, got)
		}
	}
	stranger := newRelay(t, nil)
	if got := stranger.Probe(t.Context(), Route{Servers: []string{s.Addr}}, "")[0]; got.Certificate == "" {
		t.Errorf("unknown issuer: %+v", got)
	}
}
