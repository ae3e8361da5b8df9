package lookuptest

import (
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"spamcatcher/gateway/lookup"
)

// A Server is a DNS server on loopback, UDP and TCP on one port, that answers
// from zone data like that of a Fake, and misbehaves when it is told to. It
// counts the questions, and is closed when the test ends.
type Server struct {
	Addr string // address and port, for the configuration of a client

	t    testing.TB
	done chan struct{} // closed: the test is over

	mu      sync.Mutex
	zone    *Fake
	faults  []Fault
	asked   []string
	overTCP int
	running []*dns.Server // none: stopped
}

// Serve starts a server that answers from zone data (see Zone). What is marked
// SILENT gets no reply.
func Serve(t testing.TB, zoneText string) *Server {
	t.Helper()
	s := &Server{t: t, done: make(chan struct{}), zone: Zone(t, zoneText)}
	s.Start()
	t.Cleanup(func() {
		close(s.done)
		s.Stop()
	})
	return s
}

// Start lets a server that was stopped answer again, at the same port.
func (s *Server) Start() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil {
		return
	}
	packets, listener := s.listen()
	s.Addr = packets.LocalAddr().String()
	var started sync.WaitGroup
	for _, one := range []*dns.Server{{PacketConn: packets}, {Listener: drippingListener{listener, s}}} {
		one.Handler = s
		one.UDPSize = dns.MaxMsgSize
		started.Add(1)
		one.NotifyStartedFunc = started.Done
		s.running = append(s.running, one)
		go one.ActivateAndServe()
	}
	started.Wait()
}

// Stop closes the port: whoever asks is told by ICMP or a reset that nobody is
// there. (A server that is silent is Fault.Drop.)
func (s *Server) Stop() {
	s.mu.Lock()
	running := s.running
	s.running = nil
	s.mu.Unlock()
	for _, one := range running {
		if one.PacketConn != nil {
			one.PacketConn.Close()
		} else {
			one.Listener.Close()
		}
	}
}

// listen finds a port that is free for UDP and TCP, the former one if there
// was one.
func (s *Server) listen() (net.PacketConn, net.Listener) {
	s.t.Helper()
	address := s.Addr
	if address == "" {
		address = "127.0.0.1:0"
	}
	var err error
	for range 50 {
		var packets net.PacketConn
		if packets, err = net.ListenPacket("udp", address); err != nil {
			continue
		}
		var listener net.Listener
		if listener, err = net.Listen("tcp", packets.LocalAddr().String()); err == nil {
			return packets, listener
		}
		packets.Close()
	}
	s.t.Fatalf("no port for a DNS server: %v", err)
	return nil, nil
}

// Set replaces the faults of the server; without any it is well again. For each
// question the first of the faults whose names cover it counts.
func (s *Server) Set(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = slices.Clone(faults)
}

// Replace gives the server other zone data.
func (s *Server) Replace(zoneText string) {
	s.t.Helper()
	zone := Zone(s.t, zoneText)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zone = zone
}

// Queries returns how many questions came so far, those that were dropped too.
// Questions for the root, by which a client finds out whether a server is
// alive, do not count.
func (s *Server) Queries() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

// Asked returns the questions that Queries counts, "name TYPE" in lower case
// and without the final dot, in the order in which they came.
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// OverTCP returns how many of the questions came by TCP.
func (s *Server) OverTCP() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.overTCP
}

// ServeDNS answers one question. It is called by the library.
func (s *Server) ServeDNS(w dns.ResponseWriter, query *dns.Msg) {
	if len(query.Question) != 1 {
		return
	}
	q := query.Question[0]
	name := canonical(q.Name)
	udp := w.RemoteAddr().Network() == "udp"
	s.mu.Lock()
	if name != "" {
		s.asked = append(s.asked, name+" "+lookup.Kind(q.Qtype).String())
		if !udp {
			s.overTCP++
		}
	}
	zone, fault := s.zone, s.fault(name)
	s.mu.Unlock()

	if fault.Drop || fault.DropUDP && udp {
		return
	}
	if fault.Delay > 0 {
		select {
		case <-time.After(fault.Delay):
		case <-s.done:
			return
		}
	}
	reply, ok := zone.reply(query)
	if !ok {
		return
	}
	fault.reply(w, query, reply, udp)
}

// fault returns what is wrong for a name. The lock is held.
func (s *Server) fault(name string) Fault {
	for _, one := range s.faults {
		below := canonical(one.Below)
		if below == "" || name == below || strings.HasSuffix(name, "."+below) {
			return one
		}
	}
	return Fault{}
}

const (
	ttl      = 3600 // seconds, of the records
	minimum  = 300  // seconds, of what does not exist
	maxChain = 9
)

// reply builds the answer of the zone data; false for silence.
func (f *Fake) reply(query *dns.Msg) (*dns.Msg, bool) {
	q := query.Question[0]
	reply := new(dns.Msg)
	reply.SetReply(query)
	reply.RecursionAvailable = true
	if query.IsEdns0() != nil {
		reply.SetEdns0(1232, false)
	}
	kind, owner := lookup.Kind(q.Qtype), q.Name
	for range maxChain {
		at := f.find(canonical(owner))
		switch f.special[question{at, 0}] + f.special[question{at, kind}] {
		case "SERVFAIL":
			reply.Rcode, reply.Answer = dns.RcodeServerFailure, nil
			return reply, true
		case "SILENT":
			return nil, false
		}
		header := dns.RR_Header{Name: owner, Class: dns.ClassINET, Ttl: ttl}
		if target, ok := f.aliases[at]; ok {
			header.Rrtype = dns.TypeCNAME
			reply.Answer = append(reply.Answer, &dns.CNAME{Hdr: header, Target: dns.Fqdn(target)})
			if kind == lookup.CNAME {
				return reply, true
			}
			owner = dns.Fqdn(target)
			continue
		}
		for _, record := range f.records[question{at, kind}] {
			header.Rrtype = q.Qtype
			reply.Answer = append(reply.Answer, rr(header, record))
		}
		if len(f.records[question{at, kind}]) == 0 {
			reply.Ns = append(reply.Ns, authority(owner))
			if !f.names[at] {
				reply.Rcode = dns.RcodeNameError
			}
		}
		break
	}
	return reply, true
}

// authority is the SOA record that goes with "there is none" (RFC 2308 section
// 3), as if each name of two labels were a zone.
func authority(name string) dns.RR {
	labels := dns.SplitDomainName(name)
	apex := dns.Fqdn(strings.Join(labels[max(0, len(labels)-2):], "."))
	return &dns.SOA{
		Hdr: dns.RR_Header{Name: apex, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: ttl},
		Ns:  "ns.example.net.", Mbox: "hostmaster.example.net.", Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: minimum,
	}
}

func rr(header dns.RR_Header, record lookup.Record) dns.RR {
	host := dns.Fqdn(record.Text)
	switch lookup.Kind(header.Rrtype) {
	case lookup.A:
		return &dns.A{Hdr: header, A: record.Addr.AsSlice()}
	case lookup.AAAA:
		return &dns.AAAA{Hdr: header, AAAA: record.Addr.AsSlice()}
	case lookup.MX:
		return &dns.MX{Hdr: header, Preference: record.Preference, Mx: host}
	case lookup.NS:
		return &dns.NS{Hdr: header, Ns: host}
	case lookup.PTR:
		return &dns.PTR{Hdr: header, Ptr: host}
	}
	return &dns.TXT{Hdr: header, Txt: textStrings(record.Text)}
}

// textStrings cuts a text into strings of at most 255 octets (RFC 1035 section
// 3.3.14), in the notation of the library, which writes octets that are no
// printable ASCII as \DDD.
func textStrings(text string) []string {
	if text == "" {
		return []string{""}
	}
	var list []string
	for part := range slices.Chunk([]byte(text), 255) {
		var b strings.Builder
		for _, c := range part {
			switch {
			case c == '"' || c == '\\':
				b.WriteByte('\\')
				b.WriteByte(c)
			case c < ' ' || c > '~':
				b.Write([]byte{'\\', '0' + c/100, '0' + c/10%10, '0' + c%10})
			default:
				b.WriteByte(c)
			}
		}
		list = append(list, b.String())
	}
	return list
}
