package relay

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"spamcatcher/gateway/relay/relaytest"
)

func TestDestinationThatIsOurselves(t *testing.T) {
	ours, next := relaytest.Start(t, relaytest.Script{}), relaytest.Start(t, relaytest.Script{})
	for _, at := range []string{ours.Addr, strings.Replace(ours.Addr, "127.0.0.1", "0.0.0.0", 1), strings.Replace(ours.Addr, "127.0.0.1", "[::]", 1)} {
		r := newRelay(t, func(c *Config) {
			c.Listen = func() []netip.AddrPort { return []netip.AddrPort{netip.MustParseAddrPort(at)} }
		}, ours.Addr)
		got := deliver(t, r, hello, "b@example.org")
		want(t, got, "deferred "+loops)
		if !got[0].Down || len(ours.Messages()) != 0 {
			t.Errorf("listening at %s: %+v", at, got)
		}
	}
	// Another server of this machine is none of ours.
	r := newRelay(t, func(c *Config) {
		c.Listen = func() []netip.AddrPort { return []netip.AddrPort{netip.MustParseAddrPort(ours.Addr)} }
	}, ours.Addr, next.Addr)
	for range 3 {
		want(t, deliver(t, r, hello, "b@example.org"), "delivered 250 2.0.0 ok queued")
	}
	if next.Count() != 3 || ours.Count() != 0 {
		t.Errorf("%d and %d messages", next.Count(), ours.Count())
	}
}

// Two mail systems of one machine often have the machine's name: that makes no loop.
func TestNextHopWithOurName(t *testing.T) {
	s := relaytest.Start(t, relaytest.Script{Answer: answers(map[string]string{"EHLO": "250 gate.example.net"})})
	want(t, deliver(t, newRelay(t, nil, s.Addr), hello, "b@example.org"), "delivered 250 2.0.0 ok queued")
}

// away is a connection whose other end is on another machine.
type away struct{ net.Conn }

func (away) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 25} }

func TestOtherMachineWithOurName(t *testing.T) {
	r := newRelay(t, nil)
	for name, want := range map[string]bool{"gate.example.net": true, "GATE.example.net": true, "next.example.net": false, "": false} {
		if got := r.ourselves(&conn{tcp: away{}, name: name}); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

func TestThisMachine(t *testing.T) {
	for in, want := range map[string]bool{"127.0.0.1": true, "127.9.9.9": true, "::1": true, "192.0.2.1": false, "2001:db8::1": false} {
		if got := thisMachine(addr(in)); got != want {
			t.Errorf("%s: %v", in, got)
		}
	}
	list, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		if p := netip.MustParsePrefix(a.String()); !thisMachine(p.Addr()) {
			t.Errorf("%s is not taken for this machine's", a)
		}
	}
}
