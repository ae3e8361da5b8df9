package lookuptest

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const zoneText = `
	www.example.org.   A 192.0.2.1
	www.example.org.   A 192.0.2.2
	alias.example.org. CNAME www.example.org.
	text.example.org.  TXT "v=spf1 " "-all \\ \" \x00\xff"
	*.wild.example.org. A 127.0.0.2
	bad.example.org.   SERVFAIL
	mute.example.org.  SILENT
`

func exchange(t *testing.T, network, address, name string, kind uint16) (*dns.Msg, error) {
	t.Helper()
	query := new(dns.Msg).SetQuestion(name, kind)
	query.SetEdns0(1232, false)
	client := dns.Client{Net: network, Timeout: 300 * time.Millisecond}
	reply, _, err := client.Exchange(query, address)
	return reply, err
}

func TestServerAnswersFromTheZone(t *testing.T) {
	s := Serve(t, zoneText)
	for _, network := range []string{"udp", "tcp"} {
		for _, c := range []struct {
			name   string
			kind   uint16
			rcode  int
			answer string
		}{
			{"www.example.org.", dns.TypeA, 0, "192.0.2.1 192.0.2.2"},
			{"WWW.Example.org.", dns.TypeA, 0, "192.0.2.1 192.0.2.2"},
			{"alias.example.org.", dns.TypeA, 0, "www.example.org. 192.0.2.1 192.0.2.2"},
			{"alias.example.org.", dns.TypeCNAME, 0, "www.example.org."},
			{"text.example.org.", dns.TypeTXT, 0, `"v=spf1 -all \\ \" \000\255"`},
			{"x.wild.example.org.", dns.TypeA, 0, "127.0.0.2"},
			{"www.example.org.", dns.TypeMX, 0, ""},
			{"example.org.", dns.TypeA, 0, ""},
			{"no.example.org.", dns.TypeA, dns.RcodeNameError, ""},
			{"bad.example.org.", dns.TypeA, dns.RcodeServerFailure, ""},
		} {
			reply, err := exchange(t, network, s.Addr, c.name, c.kind)
			if err != nil {
				t.Fatalf("%s %s: %v", network, c.name, err)
			}
			var data []string
			for _, record := range reply.Answer {
				data = append(data, strings.TrimPrefix(record.String(), record.Header().String()))
			}
			if got := strings.Join(data, " "); reply.Rcode != c.rcode || got != c.answer {
				t.Errorf("%s %s: code %d, %s; want %d, %s", network, c.name, reply.Rcode, got, c.rcode, c.answer)
			}
			if c.answer == "" && c.rcode != dns.RcodeServerFailure && len(reply.Ns) != 1 {
				t.Errorf("%s %s: no SOA", network, c.name)
			}
		}
		if _, err := exchange(t, network, s.Addr, "mute.example.org.", dns.TypeA); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: a silent name: %v", network, err)
		}
	}
	if s.Queries() != 22 || s.OverTCP() != 11 || s.Asked()[1] != "www.example.org A" {
		t.Errorf("%d questions, %d by TCP: %q", s.Queries(), s.OverTCP(), s.Asked())
	}
}

func TestServerFaults(t *testing.T) {
	s := Serve(t, zoneText)
	ask := func(network string) (*dns.Msg, error) {
		return exchange(t, network, s.Addr, "www.example.org.", dns.TypeA)
	}
	s.Set(Fault{Drop: true})
	if _, err := ask("udp"); err == nil {
		t.Error("a reply although all are dropped")
	}
	s.Set(Fault{Below: "other.org", Drop: true}, Fault{Rcode: dns.RcodeServerFailure})
	if reply, err := ask("udp"); err != nil || reply.Rcode != dns.RcodeServerFailure {
		t.Errorf("SERVFAIL: %v, %v", reply, err)
	}
	s.Set(Fault{Truncate: true})
	if reply, err := ask("udp"); err != nil || !reply.Truncated || len(reply.Answer) > 0 {
		t.Errorf("truncated: %v, %v", reply, err)
	}
	if reply, err := ask("tcp"); err != nil || reply.Truncated || len(reply.Answer) != 2 {
		t.Errorf("truncated, by TCP: %v, %v", reply, err)
	}
	s.Set(Fault{Loop: true})
	if reply, err := ask("udp"); err != nil || len(reply.Answer) != 2 || reply.Answer[0].Header().Rrtype != dns.TypeCNAME {
		t.Errorf("loop: %v, %v", reply, err)
	}
	s.Set(Fault{Garbage: true})
	if reply, err := ask("udp"); err == nil {
		t.Errorf("garbage: %v", reply)
	}
	s.Set(Fault{NoEDNS: true})
	if reply, err := ask("udp"); err != nil || reply.Rcode != dns.RcodeFormatError {
		t.Errorf("no EDNS: %v, %v", reply, err)
	}
	s.Set(Fault{Drip: 20 * time.Millisecond})
	if _, err := ask("tcp"); err == nil {
		t.Error("a reply of a hundred octets at 20 ms each came within 300 ms")
	}
	s.Set(Fault{NoTCP: true})
	if _, err := ask("tcp"); err == nil {
		t.Error("a reply by TCP although connections are closed")
	}
	s.Set(Fault{Lies: 1, Lie: WrongQuestion})
	if reply, err := ask("udp"); err != nil || reply.Question[0].Name != "forged.www.example.org." {
		t.Errorf("the first reply is to be forged: %v, %v", reply, err)
	}
	s.Set(Fault{Lies: 1, Lie: WrongSource})
	if reply, err := ask("udp"); err != nil || len(reply.Answer) != 2 {
		t.Errorf("a forged reply from another port reached the socket: %v, %v", reply, err)
	}
	s.Stop()
	if _, err := ask("udp"); err == nil {
		t.Error("a reply although the port is closed")
	}
	s.Start()
	s.Set()
	if reply, err := ask("udp"); err != nil || len(reply.Answer) != 2 {
		t.Errorf("well again: %v, %v", reply, err)
	}
	s.Replace("www.example.org. A 192.0.2.3")
	if reply, err := ask("tcp"); err != nil || len(reply.Answer) != 1 {
		t.Errorf("other zone data: %v, %v", reply, err)
	}
}
