package rules

import (
	"net/netip"
	"strings"
)

// envelopeDiffers: the reverse path is of another registered domain than From.
func envelopeDiffers(m *evidence) (float64, bool) {
	f, ok := m.first("From")
	if !ok || !m.Envelope.Known || m.Envelope.From == "" {
		return 0, false
	}
	return truth(!m.sameOrg(f.Domain(), domainPart(m.Envelope.From))), true
}

func envelopeRecipients(m *evidence) (float64, bool) {
	return float64(len(m.Envelope.To)), m.Envelope.Known
}

// ptrHoldsAddress: the client's host name spells its address, as dial-up and
// cloud pools do.
func ptrHoldsAddress(m *evidence) (float64, bool) {
	if !m.Session.Client.IsValid() || m.Session.PTR == "" {
		return 0, false
	}
	return truth(holdsAddress(m.Session.PTR, m.Session.Client)), true
}

func holdsAddress(host string, a netip.Addr) bool {
	a = a.Unmap()
	if !a.Is4() {
		return false
	}
	octets := strings.Split(a.String(), ".")
	fields := strings.FieldsFunc(host, func(r rune) bool { return r < '0' || r > '9' })
	found := 0
	for _, o := range octets {
		for _, f := range fields {
			if strings.TrimLeft(f, "0") == strings.TrimLeft(o, "0") {
				found++
				break
			}
		}
	}
	return found >= 3
}

// helloOtherAddress: the client introduced itself with an address that is not
// its own. RFC 5321 section 4.1.3: an address literal names the client.
func helloOtherAddress(m *evidence) (float64, bool) {
	if m.Session.Hello == "" || !m.Session.Client.IsValid() {
		return 0, false
	}
	s := strings.TrimPrefix(strings.Trim(m.Session.Hello, "[]"), "IPv6:")
	a, err := netip.ParseAddr(s)
	return truth(err == nil && a.Unmap() != m.Session.Client.Unmap()), true
}

// helloRecipientDomain: the client claims to be of a recipient's domain.
func helloRecipientDomain(m *evidence) (float64, bool) {
	if m.Session.Hello == "" || !m.Envelope.Known {
		return 0, false
	}
	for _, r := range m.Envelope.To {
		if d := domainPart(r); d != "" && !freeMail(d) && m.sameOrg(m.Session.Hello, d) && !m.sameOrg(m.Session.PTR, d) {
			return 1, true
		}
	}
	return 0, true
}
