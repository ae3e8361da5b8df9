package lookuptest

import (
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// A Fault is one way in which a Server misbehaves. The zero Fault is none;
// several fields may be set.
type Fault struct {
	Below    string        // only questions for this name and those below it; "": all
	Drop     bool          // no reply at all
	DropUDP  bool          // no reply by UDP
	Delay    time.Duration // before each reply
	Rcode    int           // a reply with this code and no records: dns.RcodeServerFailure is 2
	Truncate bool          // by UDP, only a header that says that there is more
	Lies     int           // so many forged replies first, wrong in the ways of Lie one after the other
	Lie      Lie           // which ways; 0: all
	Mute     bool          // no true reply after the forged ones
	Fold     bool          // the question is repeated in lower case
	Loop     bool          // every name is an alias of another one, which is an alias of it
	Garbage  bool          // octets that are no message, after the right id
	NoEDNS   bool          // FORMERR to whoever uses EDNS (RFC 6891 section 7)
	NoTCP    bool          // connections are closed before anything is read
	Drip     time.Duration // by TCP, between octets of a reply
	TTL      int           // seconds, of all records instead of an hour

	Edit func(reply *dns.Msg) // called with every true reply before it is sent
}

// A Lie is a set of ways in which a reply can be forged.
type Lie int

const (
	WrongID       Lie = 1 << iota // of the message
	WrongQuestion                 // another name
	WrongType                     // another type asked for
	WrongCase                     // of the letters in the question, where it has any
	WrongSource                   // from another port
	NoQuestion                    // the question section is empty
)

// Forged is the address that forged replies to questions for A records carry.
const Forged = "203.0.113.66"

func (f Fault) reply(w dns.ResponseWriter, query, reply *dns.Msg, udp bool) {
	if udp {
		f.lie(w, query)
	}
	if f.Mute {
		return
	}
	q := query.Question[0]
	switch {
	case f.NoEDNS && query.IsEdns0() != nil:
		reply = new(dns.Msg)
		reply.SetRcodeFormatError(query)
	case f.Rcode != 0:
		reply.Rcode, reply.Answer, reply.Ns = f.Rcode, nil, nil
	case f.Loop:
		other := "loop-" + strings.ToLower(q.Name)
		reply.Rcode, reply.Ns = dns.RcodeSuccess, nil
		reply.Answer = []dns.RR{alias(q.Name, other), alias(other, q.Name)}
	}
	if f.TTL > 0 {
		for _, record := range append(reply.Answer, reply.Ns...) {
			record.Header().Ttl = uint32(f.TTL)
		}
	}
	if f.Fold {
		reply.Question[0].Name = strings.ToLower(q.Name)
	}
	if f.Edit != nil {
		f.Edit(reply)
	}
	switch {
	case udp && f.Truncate:
		reply.Truncated, reply.Answer, reply.Ns = true, nil, nil
	case udp && query.IsEdns0() != nil:
		reply.Truncate(int(query.IsEdns0().UDPSize()))
	case udp:
		reply.Truncate(dns.MinMsgSize)
	}
	if f.Garbage {
		w.Write([]byte{byte(query.Id >> 8), byte(query.Id), 0x81, 0x80, 0, 1, 0xff, 0xff, 0, 0, 0, 0, 0xc0, 0x0c, 0xff, 'g', 'a', 'r', 'b', 'a', 'g', 'e'})
		return
	}
	w.WriteMsg(reply)
}

func alias(name, target string) dns.RR {
	return &dns.CNAME{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: ttl}, Target: target}
}

// lie sends the forged replies.
func (f Fault) lie(w dns.ResponseWriter, query *dns.Msg) {
	if f.Lies == 0 {
		return
	}
	ways := f.ways()
	elsewhere, err := net.Dial("udp", w.RemoteAddr().String())
	if err != nil {
		return
	}
	defer elsewhere.Close()
	for i := range f.Lies {
		way := ways[i%len(ways)]
		message, ok := forge(query, way, i)
		if !ok {
			continue
		}
		if way == WrongSource {
			elsewhere.Write(message)
		} else {
			w.Write(message)
		}
		if i%64 == 63 {
			time.Sleep(time.Millisecond) // so that they fit into the receiver's buffer
		}
	}
}

func (f Fault) ways() []Lie {
	var list []Lie
	for way := WrongID; way <= NoQuestion; way <<= 1 {
		if f.Lie == 0 || f.Lie&way != 0 {
			list = append(list, way)
		}
	}
	return list
}

// forge returns a reply that would be believed but for one thing.
func forge(query *dns.Msg, way Lie, n int) ([]byte, bool) {
	reply := new(dns.Msg)
	reply.SetReply(query)
	reply.RecursionAvailable = true
	q := &reply.Question[0]
	name := q.Name
	switch way {
	case WrongID:
		reply.Id += 1 + uint16(n%65535)
	case WrongQuestion:
		q.Name = "forged." + name
	case WrongType:
		q.Qtype = dns.TypeSPF
	case WrongCase:
		q.Name = swapCase(name)
		if q.Name == name {
			return nil, false
		}
	case NoQuestion:
		reply.Question = nil
	}
	header := dns.RR_Header{Name: name, Rrtype: query.Question[0].Qtype, Class: dns.ClassINET, Ttl: ttl}
	switch header.Rrtype {
	case dns.TypeA:
		reply.Answer = []dns.RR{&dns.A{Hdr: header, A: net.ParseIP(Forged)}}
	case dns.TypeTXT:
		reply.Answer = []dns.RR{&dns.TXT{Hdr: header, Txt: []string{"forged"}}}
	default:
		reply.Rcode = dns.RcodeNameError
	}
	message, err := reply.Pack()
	return message, err == nil
}

// swapCase changes the case of every letter, so that it is wrong however the
// letters were thrown.
func swapCase(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z':
			return r - 'A' + 'a'
		}
		return r
	}, name)
}

// A drippingListener accepts connections that write as slowly as the server's
// fault for all names says, or that are closed at once.
type drippingListener struct {
	net.Listener
	server *Server
}

func (l drippingListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l.server.mu.Lock()
		fault := l.server.fault("")
		l.server.mu.Unlock()
		if fault.NoTCP {
			conn.Close()
			continue
		}
		if fault.Drip > 0 {
			conn = drippingConn{conn, l.server, fault.Drip}
		}
		return conn, nil
	}
}

type drippingConn struct {
	net.Conn
	server *Server
	every  time.Duration
}

func (c drippingConn) Write(p []byte) (int, error) {
	for i := range p {
		select {
		case <-time.After(c.every):
		case <-c.server.done:
			return i, net.ErrClosed
		}
		if _, err := c.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}
