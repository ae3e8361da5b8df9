package relay

import (
	"crypto/tls"
	"io"
	"strings"
	"testing"
	"time"

	"spamcatcher/gateway/relay/relaytest"
	"spamcatcher/queue"
)

func TestTLSModes(t *testing.T) {
	good, roots := relaytest.Certificate(t, "127.0.0.1", "localhost")
	other, otherRoots := relaytest.Certificate(t, "other.example.com")
	old := &tls.Config{Certificates: good.Certificates, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}
	no := answers(map[string]string{"STARTTLS": "454 4.7.0 not now"})
	trust := func(c *Config) { c.TLSConfig = &tls.Config{RootCAs: roots} }
	trustOther := func(c *Config) { c.TLSConfig = &tls.Config{RootCAs: otherRoots} }

	for _, c := range []struct {
		name   string
		mode   TLSMode
		script relaytest.Script
		change func(*Config)
		want   string // "tls", "plain" or the beginning of the deferral
		conns  int
	}{
		{"off", TLSOff, relaytest.Script{TLS: good}, nil, "plain", 1},
		{"may, offered", TLSMay, relaytest.Script{TLS: good}, nil, "tls", 1},
		{"default, offered", "", relaytest.Script{TLS: good}, nil, "tls", 1},
		{"may, not offered", TLSMay, relaytest.Script{}, nil, "plain", 1},
		{"may, refused", TLSMay, relaytest.Script{TLS: good, Answer: no}, nil, "plain", 1},
		{"may, foreign certificate", TLSMay, relaytest.Script{TLS: other}, nil, "tls", 1},
		{"may, handshake fails", TLSMay, relaytest.Script{TLS: old}, nil, "plain", 2},
		{"may, dropped after STARTTLS", TLSMay, relaytest.Script{TLS: good, Answer: answers(map[string]string{"STARTTLS": relaytest.Drop})}, nil, "plain", 2},
		{"encrypt, offered", TLSEncrypt, relaytest.Script{TLS: other}, nil, "tls", 1},
		{"encrypt, not offered", TLSEncrypt, relaytest.Script{}, nil, "451 4.7.4 ", 1},
		{"encrypt, refused", TLSEncrypt, relaytest.Script{TLS: good, Answer: no}, nil, "451 4.7.4 ", 1},
		{"encrypt, handshake fails", TLSEncrypt, relaytest.Script{TLS: old}, nil, "451 4.7.5 ", 1},
		{"encrypt, HELO only", TLSEncrypt, relaytest.Script{TLS: good, Answer: answers(map[string]string{"EHLO": "502 no"})}, nil, "451 4.7.4 ", 1},
		{"verify, right", TLSVerify, relaytest.Script{TLS: good}, trust, "tls", 1},
		{"verify, unknown root", TLSVerify, relaytest.Script{TLS: good}, nil, "451 4.7.5 ", 1},
		{"verify, other name", TLSVerify, relaytest.Script{TLS: other}, trustOther, "451 4.7.5 ", 1},
		{"verify, not offered", TLSVerify, relaytest.Script{}, trust, "451 4.7.4 ", 1},
	} {
		s := relaytest.Start(t, c.script)
		r := newRelayTo(t, c.change, Route{Servers: []string{s.Addr}, TLS: c.mode})
		got := deliver(t, r, hello, "b@example.org")
		switch c.want {
		case "tls", "plain":
			m := s.Messages()
			if got[0].State != queue.Delivered || len(m) != 1 || m[0].TLS != (c.want == "tls") || m[0].Text() != hello {
				t.Errorf("%s: %+v, %d messages", c.name, got, len(m))
			}
			if c.want == "tls" && strings.Join(s.Lines()[:3], ";") != "EHLO gate.example.net;STARTTLS;EHLO gate.example.net" {
				t.Errorf("%s: commands %q", c.name, s.Lines())
			}
			// The connection is used again, under TLS too.
			want(t, deliver(t, r, hello, "b@example.org"), "delivered 250 2.0.0 ok queued")
		default:
			if got[0].State != queue.Deferred || !strings.HasPrefix(got[0].Reply, c.want) || len(s.Messages()) != 0 {
				t.Errorf("%s: %+v, %d messages", c.name, got, len(s.Messages()))
			}
		}
		if s.Conns() != c.conns {
			t.Errorf("%s: %d connections, want %d", c.name, s.Conns(), c.conns)
		}
		innocent(t, s)
	}
}

// A server name is verified against the certificate as it is configured, also when a big message goes over TLS.
func TestTLSByName(t *testing.T) {
	conf, roots := relaytest.Certificate(t, "localhost")
	s := relaytest.Start(t, relaytest.Script{TLS: conf})
	r := newRelayTo(t, func(c *Config) { c.TLSConfig = &tls.Config{RootCAs: roots} },
		Route{Servers: []string{strings.Replace(s.Addr, "127.0.0.1", "localhost", 1)}, TLS: TLSVerify})
	big := hello + strings.Repeat(".x\r\n", 200000)
	want(t, deliver(t, r, big, "b@example.org"), "delivered 250 2.0.0 ok queued")
	if m := s.Messages(); len(m) != 1 || m[0].Text() != big {
		t.Error("the message did not arrive whole")
	}
}

// Replies that somebody put behind the reply to STARTTLS in plain text are not taken for replies of the encrypted session.
func TestResponseInjection(t *testing.T) {
	conf, _ := relaytest.Certificate(t, "127.0.0.1")
	s := relaytest.Start(t, relaytest.Script{TLS: conf, Answer: func(line string) string {
		if line == "STARTTLS" {
			return "220 go on\r\n250-injected\r\n250 SIZE 1"
		}
		return ""
	}})
	want(t, deliver(t, newRelayTo(t, nil, Route{Servers: []string{s.Addr}, TLS: TLSEncrypt}), hello, "b@example.org"), "delivered 250 2.0.0 ok queued")
	if m := s.Messages(); len(m) != 1 || !m[0].TLS {
		t.Errorf("%d messages", len(m))
	}
}

// What EHLO said in plain text is forgotten after the handshake.
func TestExtensionsAreForgotten(t *testing.T) {
	conf, _ := relaytest.Certificate(t, "127.0.0.1")
	n := 0
	s := relaytest.Start(t, relaytest.Script{TLS: conf, Answer: func(line string) string {
		if strings.HasPrefix(line, "EHLO") {
			if n++; n == 1 {
				return "250-x\r\n250-SIZE 1\r\n250 STARTTLS"
			}
			return "250 x"
		}
		return ""
	}})
	want(t, deliver(t, newRelay(t, nil, s.Addr), hello, "b@example.org"), "delivered 250 2.0.0 ok queued")
	if l := s.Lines(); l[3] != "MAIL FROM:<a@example.com>" {
		t.Errorf("commands %q", l)
	}
}

// A failed handshake is not tried again with each message.
func TestBrokenTLSIsRemembered(t *testing.T) {
	s := relaytest.Start(t, relaytest.Script{TLS: &tls.Config{}})
	r := newRelay(t, func(c *Config) { c.IdleTime = time.Nanosecond }, s.Addr)
	for range 3 {
		want(t, deliver(t, r, hello, "b@example.org"), "delivered 250 2.0.0 ok queued")
	}
	if s.Conns() != 4 {
		t.Errorf("%d connections, want 4", s.Conns())
	}
}

func TestHandshakeThatStalls(t *testing.T) {
	s := relaytest.Start(t, relaytest.Script{TLS: &tls.Config{}, Stream: func(line string, w io.Writer) bool {
		if line != "STARTTLS" {
			return false
		}
		io.WriteString(w, "220 go on\r\n")
		time.Sleep(600 * time.Millisecond)
		return true
	}})
	r := newRelay(t, func(c *Config) { c.Timeouts.Handshake = 100 * time.Millisecond }, s.Addr)
	start := time.Now()
	want(t, deliver(t, r, hello, "b@example.org"), "delivered 250 2.0.0 ok queued")
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("took %v", d)
	}
}
