package fingerprint

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// A Word is what is said of fingerprints.
type Word string

const (
	Spam   Word = "spam"
	Ham    Word = "ham"    // wanted; takes the same reporter's "spam" back
	Revoke Word = "revoke" // takes back what the same reporter said
	Delist Word = "delist" // takes off the list for 30 days; operators only
)

// Network is where reports go.
type Network struct {
	Server  string // host:port, TCP
	Zone    string
	Key     Key
	Timeout time.Duration    // of one message with reports: 10 s
	Now     func() time.Time // of the signature
}

// ErrRefused is a report that the server did not take.
var ErrRefused = errors.New("the server refused the report")

// Report says a word of fingerprints, at most 64 in a message. What was taken
// before an error is not taken back; the same report twice is counted once.
func (n Network) Report(ctx context.Context, w Word, prints []Print) error {
	if n.Timeout <= 0 {
		n.Timeout = 10 * time.Second
	}
	if n.Now == nil {
		n.Now = time.Now
	}
	if err := n.Key.validate(); err != nil {
		return err
	}
	for some := range slices.Chunk(prints, maxReports) {
		if err := n.send(ctx, w, some); err != nil {
			return fmt.Errorf("reporting to %s: %w", n.Server, err)
		}
	}
	return nil
}

// message is the update that says a word of fingerprints.
func (n Network) message(w Word, prints []Print) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetUpdate(dns.Fqdn(n.Zone))
	for _, p := range prints {
		h := dns.RR_Header{Name: dns.Fqdn(p.Name(n.Zone)), Rrtype: dns.TypeTXT, Class: dns.ClassINET}
		switch w {
		case Spam, Ham:
			m.Ns = append(m.Ns, &dns.TXT{Hdr: h, Txt: []string{string(w)}})
		case Revoke:
			h.Class = dns.ClassNONE
			m.Ns = append(m.Ns, &dns.TXT{Hdr: h, Txt: []string{spamText}})
		case Delist:
			h.Class, h.Rrtype = dns.ClassANY, dns.TypeANY
			m.Ns = append(m.Ns, &dns.ANY{Hdr: h})
		default:
			return nil, fmt.Errorf("%q is no word that is said of fingerprints", w)
		}
	}
	return m, nil
}

func (n Network) send(ctx context.Context, w Word, prints []Print) error {
	m, err := n.message(w, prints)
	if err != nil {
		return err
	}
	packed, mac, err := n.Key.sign(m, "", n.Now(), 0)
	if err != nil {
		return err
	}
	reply, err := exchange(ctx, n.Server, packed, n.Timeout)
	if err != nil {
		return err
	}
	r := new(dns.Msg)
	if err := r.Unpack(reply); err != nil {
		return fmt.Errorf("reading the reply: %w", err)
	}
	if r.Id != m.Id || !r.Response || r.Opcode != dns.OpcodeUpdate {
		return errors.New("reading the reply: it answers something else")
	}
	t := r.IsTsig()
	why := dns.RcodeToString[r.Rcode]
	if t != nil && t.Error != 0 {
		why += ", " + dns.RcodeToString[int(t.Error)]
	}
	if r.Rcode != dns.RcodeSuccess {
		return fmt.Errorf("%w: %s", ErrRefused, why)
	}
	if t == nil {
		return errors.New("the reply is not signed")
	}
	if err := n.Key.verify(reply, t, mac, n.Now()); err != nil {
		return fmt.Errorf("the reply is not the server's: %w", err)
	}
	return nil
}

// exchange sends one message by TCP and reads the reply. RFC 1035 section 4.2.2
func exchange(ctx context.Context, server string, packed []byte, timeout time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(packed))), packed...)); err != nil {
		return nil, err
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, fmt.Errorf("waiting for the reply: %w", err)
	}
	reply := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, reply); err != nil {
		return nil, fmt.Errorf("waiting for the reply: %w", err)
	}
	return reply, nil
}
