package relay

import (
	"net"
	"net/netip"
	"strings"
)

// loops is the reply of a destination that turned out to be ourselves. RFC 3463 section 3.5: X.4.6 is a routing loop.
const loops = "451 4.4.6 mail for this destination loops back to us"

// ourselves reports whether the other end of a connection is this mail system: mail sent to it would come back to us for ever.
//
// It is if it is at an address that we listen at. It is also if it says our own name in its reply to EHLO, but only on another
// machine (ours behind a router that leads back, for instance): two mail systems of one machine, such as ours and the one that it
// filters for, often share the machine's name.
func (r *Relay) ourselves(c *conn) bool {
	remote, ok := addrPort(c.tcp.RemoteAddr())
	if !ok {
		return false
	}
	if r.cfg.Listen != nil {
		for _, l := range r.cfg.Listen() {
			if l.Port() == remote.Port() && (l.Addr().Unmap() == remote.Addr() || l.Addr().IsUnspecified() && thisMachine(remote.Addr())) {
				return true
			}
		}
	}
	return strings.EqualFold(c.name, r.cfg.Hostname) && !thisMachine(remote.Addr())
}

// thisMachine reports whether an address is one of this machine's. When that cannot be found out, it is.
func thisMachine(a netip.Addr) bool {
	if a.IsLoopback() {
		return true
	}
	list, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	for _, i := range list {
		if p, err := netip.ParsePrefix(i.String()); err == nil && p.Addr().Unmap() == a.WithZone("") {
			return true
		}
	}
	return false
}

func addrPort(a net.Addr) (netip.AddrPort, bool) {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}, false
	}
	p := t.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port()), p.IsValid()
}
