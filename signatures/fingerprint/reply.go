package fingerprint

import (
	"encoding/binary"
	"fmt"
	"net"
	"runtime/debug"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// testLabels are always listed, so that clients see that the network lives:
// a word, and the entry of RFC 5782 section 5 that lists of addresses have.
var testLabels = []string{"test", "2.0.0.127"}

// testAnswer is what they get; no fingerprint gets it.
var testAnswer = net.IPv4(127, 0, 0, 2)

// handle answers one message, nil for none. Replies are small: a question, at
// most one record and the SOA, so that a forged sender address gains nothing.
func (s *Server) handle(packed []byte, udp bool) (reply []byte) {
	defer func() { // one request must not end what answers all others
		if p := recover(); p != nil {
			s.panics.Add(1)
			s.c.Log.Error("fingerprints: a request made the program panic", "panic", p, "stack", string(debug.Stack()))
			reply = nil
		}
	}()
	if len(packed) < 12 || packed[2]&0x80 != 0 { // no header, or a response
		s.malformed.Add(1)
		return nil
	}
	// The numbers of records are compared with what a request may have before
	// anything is read.
	opcode := int(packed[2]>>3) & 0xf
	count := func(at int) int { return int(binary.BigEndian.Uint16(packed[at:])) }
	r := new(dns.Msg)
	if count(4) != 1 || opcode == dns.OpcodeQuery && (count(6) != 0 || count(8) != 0 || count(10) > 2) || count(8) > maxReports || count(10) > 2 {
		return s.formatError(packed)
	}
	// The library is content with a header whose records are missing.
	if err := r.Unpack(packed); err != nil || len(r.Question) != 1 || len(r.Ns) != count(8) || len(r.Extra) != count(10) {
		return s.formatError(packed)
	}
	switch opcode {
	case dns.OpcodeQuery:
		return s.pack(s.query(r), r, udp)
	case dns.OpcodeUpdate:
		return s.update(r, packed)
	}
	m := new(dns.Msg)
	m.SetRcode(r, dns.RcodeNotImplemented)
	return s.pack(m, r, udp)
}

func (s *Server) formatError(packed []byte) []byte {
	s.malformed.Add(1)
	reply := make([]byte, 12)
	copy(reply, packed[:4])
	reply[2] |= 0x80 // a response
	reply[3] = dns.RcodeFormatError
	return reply
}

// pack packs a reply and cuts it if it is too long for UDP.
func (s *Server) pack(m, r *dns.Msg, udp bool) []byte {
	size := dns.MinMsgSize
	if opt := r.IsEdns0(); opt != nil {
		if opt.Version() != 0 { // RFC 6891 section 6.1.3
			m.Answer, m.Ns = nil, nil
			m.Rcode = dns.RcodeBadVers
		}
		m.SetEdns0(maxUDP, false)
		size = max(size, min(int(opt.UDPSize()), maxUDP))
	}
	if udp {
		m.Truncate(size)
	}
	m.Compress = true // Truncate takes it off what fits without
	reply, err := m.Pack()
	if err != nil {
		s.c.Log.Error("fingerprints: packing a reply", "error", err)
		return nil
	}
	return reply
}

// below is the name without the zone in lower case; ok is false for names
// outside of it.
func (s *Server) below(name string) (label string, ok bool) {
	name = strings.ToLower(name)
	if name == s.zone {
		return "", true
	}
	label, ok = strings.CutSuffix(name, "."+s.zone)
	return label, ok
}

// query answers a question.
func (s *Server) query(r *dns.Msg) *dns.Msg {
	m := new(dns.Msg)
	m.SetReply(r)
	q := r.Question[0]
	label, ours := s.below(q.Name)
	switch {
	case !ours, q.Qclass != dns.ClassINET, q.Qtype == dns.TypeANY, q.Qtype == dns.TypeAXFR, q.Qtype == dns.TypeIXFR:
		m.Rcode = dns.RcodeRefused
		return m
	}
	m.Authoritative = true
	header := func(kind uint16, ttl time.Duration) dns.RR_Header {
		return dns.RR_Header{Name: q.Name, Rrtype: kind, Class: dns.ClassINET, Ttl: uint32(ttl / time.Second)}
	}
	listed := func(a net.IP, text string) {
		switch q.Qtype {
		case dns.TypeA:
			m.Answer = append(m.Answer, &dns.A{Hdr: header(dns.TypeA, s.c.AnswerTTL), A: a})
		case dns.TypeTXT:
			m.Answer = append(m.Answer, &dns.TXT{Hdr: header(dns.TypeTXT, s.c.AnswerTTL), Txt: []string{text}})
		}
	}
	exists := true
	switch {
	case label == "":
		switch q.Qtype {
		case dns.TypeSOA:
			soa := s.soa()
			soa.Hdr = header(dns.TypeSOA, s.c.AnswerTTL)
			m.Answer = append(m.Answer, soa)
		}
	case label == testLabels[0] || label == testLabels[1]:
		listed(testAnswer, fmt.Sprintf("a test: fingerprints of %s are answered; %d reporters list", strings.TrimSuffix(s.zone, "."), s.c.Reporters))
	default:
		p, err := ParseName(label)
		if err != nil {
			exists = between(label)
			break
		}
		s.queries.Add(1)
		a, err := s.store.ask(p, s.c.Now())
		if err != nil {
			s.c.Log.Error("fingerprints: looking up", "error", err)
			m.Rcode = dns.RcodeServerFailure
			return m
		}
		if exists = a.class != 0; exists {
			s.listed.Add(1)
			listed(a.address(), a.String())
		}
	}
	if !exists {
		m.Rcode = dns.RcodeNameError
	}
	if len(m.Answer) == 0 { // RFC 2308 section 3
		m.Ns = append(m.Ns, s.soa())
	}
	return m
}

// between tells whether a name has others below it: a resolver that asks label
// by label (RFC 9156) must not be told that there is nothing (RFC 8020).
func between(label string) bool {
	if label == "127" || label == "0.127" || label == "0.0.127" {
		return true
	}
	labels := strings.Split(label, ".")
	kind := labels[len(labels)-1]
	for k, l := range kindLabels {
		if l != kind {
			continue
		}
		want := strings.Split(Print{Kind: k}.label(), ".")
		if len(labels) >= len(want) {
			return false
		}
		for i := range len(labels) - 1 {
			if len(labels[len(labels)-2-i]) != len(want[len(want)-2-i]) {
				return false
			}
		}
		return true
	}
	return false
}

func (s *Server) soa() *dns.SOA {
	ttl := uint32(s.c.AbsentTTL / time.Second)
	return &dns.SOA{Hdr: dns.RR_Header{Name: s.zone, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: ttl}, Ns: "ns." + s.zone, Mbox: "hostmaster." + s.zone,
		Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: ttl}
}

// address is 127.0.<class>.<likeness·16 + level>; the likeness of a fuzzy
// fingerprint is 0 to 15, from MinBands to all bands.
func (a answer) address() net.IP {
	likeness := 0
	if a.common > MinBands {
		likeness = 15 * (a.common - MinBands) / (bandCount - MinBands)
	}
	return net.IPv4(127, 0, byte(a.class), byte(likeness<<4|a.level))
}

func (a answer) String() string {
	text := fmt.Sprintf("reported as spam, level %d", a.level)
	if a.class == classHam {
		text = fmt.Sprintf("reported as wanted, level %d", a.level)
	}
	if a.common > 0 {
		text += fmt.Sprintf(", %d of %d bands alike", a.common, bandCount)
	}
	return text
}
