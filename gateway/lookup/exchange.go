package lookup

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	// udpSize is what we take by UDP: what fits into one frame nearly
	// everywhere (RFC 6891 section 6.2.3, DNS flag day 2020).
	udpSize = 1232
	// foldedWait is how long the true reply may take after one came in which
	// only the case of letters was wrong.
	foldedWait = 100 * time.Millisecond
)

var longAgo = time.Unix(1, 0)

var (
	errSilent = errors.New("no answer in time")
	errFolded = errors.New("the server does not keep the case of names")
)

var packets = sync.Pool{New: func() any { return new([4096]byte) }}

// newQuery builds a question with a random id, and random case of the letters
// if wanted: each is a bit that whoever forges a reply has to guess.
func newQuery(q question, mixed, edns bool) *dns.Msg {
	name := []byte(q.name + ".")
	if mixed {
		var bits [32]byte
		rand.Read(bits[:])
		for i, c := range name {
			if 'a' <= c && c <= 'z' && bits[i/8%len(bits)]>>(i%8)&1 == 1 {
				name[i] = c - 'a' + 'A'
			}
		}
	}
	query := new(dns.Msg)
	query.Id = dns.Id()
	query.RecursionDesired = true
	query.Question = []dns.Question{{Name: string(name), Qtype: uint16(q.kind), Qclass: dns.ClassINET}}
	if edns {
		query.SetEdns0(udpSize, false)
	}
	return query
}

// exchange asks one server once: by UDP, by TCP if the reply does not fit or
// may be forged, and without EDNS if the server does not know that.
func (c *Client) exchange(ctx context.Context, s *server, q question) (*dns.Msg, error) {
	mixed, edns := s.habits(c.now())
	reply, err := c.overUDP(ctx, s.address, newQuery(q, mixed, edns))
	if err == nil && edns && (reply.Rcode == dns.RcodeFormatError || reply.Rcode == dns.RcodeNotImplemented) {
		// RFC 6891 section 7: the server knows nothing of EDNS.
		edns = false
		if reply, err = c.overUDP(ctx, s.address, newQuery(q, mixed, false)); err == nil && reply.Rcode == dns.RcodeSuccess {
			s.noEDNS(c.now())
		}
	}
	if errors.Is(err, errFolded) || err == nil && reply.Truncated {
		c.stats.tcp.Add(1)
		query := newQuery(q, mixed, edns)
		byTCP, failed := c.overTCP(ctx, s.address, query)
		switch {
		case failed != nil && errors.Is(err, errFolded):
			s.misfolded(c.now())
			return nil, err
		case failed != nil:
			return nil, fmt.Errorf("by TCP: %w", failed)
		case mixed:
			// Nobody off the path can forge this: only now is it known
			// whether the server keeps case.
			s.keeps(byTCP.Question[0].Name == query.Question[0].Name, c.now())
		}
		return byTCP, nil
	}
	return reply, err
}

// overUDP sends a question from a port of its own, which the kernel chooses at
// random, and waits for the reply that fits. What does not fit is ignored.
func (c *Client) overUDP(ctx context.Context, address string, query *dns.Msg) (*dns.Msg, error) {
	packed, err := query.Pack()
	if err != nil {
		return nil, fmt.Errorf("packing the question: %w", err)
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "udp", address) // connected: the kernel drops what others send
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(longAgo) })()
	if _, err := conn.Write(packed); err != nil {
		return nil, err
	}
	buffer := packets.Get().(*[4096]byte)
	defer packets.Put(buffer)
	wrongCase := false
	for {
		n, err := conn.Read(buffer[:])
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && wrongCase:
			return nil, errFolded
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, errSilent
		case err != nil:
			return nil, err
		}
		reply, how := compare(buffer[:n], query)
		switch how {
		case fits, cut, bare:
			return reply, nil
		case folded:
			if !wrongCase {
				wrongCase = true
				if soon := time.Now().Add(foldedWait); soon.Before(deadline) {
					conn.SetDeadline(soon)
				}
			}
		}
		c.stats.forged.Add(1)
	}
}

// overTCP asks by TCP: RFC 7766. The case of names does not matter there.
func (c *Client) overTCP(ctx context.Context, address string, query *dns.Msg) (*dns.Msg, error) {
	packed, err := query.Pack()
	if err != nil {
		return nil, fmt.Errorf("packing the question: %w", err)
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(longAgo) })()
	// RFC 7766 section 8: length and message in one write.
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(packed))), packed...)); err != nil {
		return nil, err
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, err
	}
	packet := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, packet); err != nil {
		return nil, err
	}
	reply, how := compare(packet, query)
	if how != fits && how != folded {
		return nil, errors.New("the reply does not belong to the question")
	}
	return reply, nil
}
