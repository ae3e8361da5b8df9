package lookup

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Bounds of what is believed of a reply.
const (
	maxChain   = 10       // aliases from the name that was asked for to the one that has the records
	maxRecords = 100      // of one answer; the rest is dropped
	maxText    = 64 << 10 // octets of text in one answer; what exceeds them is dropped
	minTTL     = time.Second
	maxTTL     = 24 * time.Hour
	maxNoTTL   = time.Hour // of what does not exist; RFC 2308 section 5 advises one to three hours
)

var (
	errChain    = errors.New("the aliases go in a circle or are too many")
	errReferral = errors.New("the server refers to others instead of asking them")
)

// A match says how a packet fits to a question.
type match int

const (
	stranger match = iota // no reply to this question: forged, late or broken
	folded                // the right reply but for the case of letters in the name
	cut                   // the right reply as far as it goes; all of it is to be had by TCP
	bare                  // "I do not understand", without the question
	fits
)

// compare checks a packet that came from the right place against the question:
// RFC 5452 section 9.1. The case of letters counts: draft-vixie-dnsext-dns0x20.
func compare(packet []byte, query *dns.Msg) (*dns.Msg, match) {
	if len(packet) < 12 || packet[0] != byte(query.Id>>8) || packet[1] != byte(query.Id) {
		return nil, stranger
	}
	reply := new(dns.Msg)
	err := reply.Unpack(packet)
	switch {
	case !reply.Response || reply.Opcode != dns.OpcodeQuery:
		return nil, stranger
	case len(reply.Question) == 0 && len(packet) == 12 && (reply.Rcode == dns.RcodeFormatError || reply.Rcode == dns.RcodeNotImplemented):
		return reply, bare
	case len(reply.Question) != 1:
		return nil, stranger
	}
	asked, said := query.Question[0], reply.Question[0]
	switch {
	case said.Qtype != asked.Qtype || said.Qclass != asked.Qclass || !strings.EqualFold(said.Name, asked.Name):
		return nil, stranger
	case err != nil && !reply.Truncated:
		return nil, stranger
	case said.Name != asked.Name:
		return reply, folded
	case reply.Truncated:
		return reply, cut
	}
	return reply, fits
}

// Findings are what a reply says of a name.
type findings struct {
	records []Record
	missing error         // ErrNoName, ErrNoData, or nil
	next    string        // not "": the alias at the end, of which the reply says nothing
	seen    []string      // the names that were aliases, those of earlier replies too
	ttl     time.Duration // of all that was used
}

// read takes from a reply what belongs to the question, and nothing else: the
// records of the name itself, or of the name to which a chain of aliases in the
// reply leads. Names are canonical. Aliases before this reply are counted in
// seen, and none may come back.
func read(reply *dns.Msg, name string, kind Kind, seen []string) (findings, error) {
	f := findings{ttl: maxTTL, seen: seen}
	at := name
	for {
		alias := ""
		text := 0
		for _, record := range reply.Answer {
			header := record.Header()
			if header.Class != dns.ClassINET || inReply(header.Name) != at {
				continue
			}
			if one, ok := record.(*dns.CNAME); ok && kind != CNAME {
				if alias == "" {
					alias = inReply(one.Target)
					f.keep(header.Ttl)
				}
				continue
			}
			one, ok := recordOf(record)
			if !ok || Kind(header.Rrtype) != kind {
				continue
			}
			if text += len(one.Text); len(f.records) == maxRecords || text > maxText {
				break
			}
			f.records = append(f.records, one)
			f.keep(header.Ttl)
		}
		if len(f.records) > 0 {
			return f, nil
		}
		if alias == "" {
			break
		}
		f.seen = append(f.seen, at)
		if slices.Contains(f.seen, alias) || len(f.seen) > maxChain {
			return findings{}, errChain
		}
		at = alias
	}
	return f.without(reply, at, at != name)
}

// without reads a reply that has no records of the kind for the last name.
func (f findings) without(reply *dns.Msg, at string, aliased bool) (findings, error) {
	// RFC 2308 sections 2 and 5: there is none, for as long as the SOA says.
	ttl, authority, referral := minTTL, false, false
	for _, record := range reply.Ns {
		switch record := record.(type) {
		case *dns.SOA:
			if apex := inReply(record.Hdr.Name); apex == "" || at == apex || strings.HasSuffix(at, "."+apex) {
				authority = true
				ttl = bounded(min(record.Hdr.Ttl, record.Minttl), maxNoTTL)
			}
		case *dns.NS:
			referral = true
		}
	}
	switch {
	case !authority && !reply.RecursionAvailable && !reply.Authoritative:
		// It knows nothing of the name and will not ask others.
		return findings{}, errReferral
	case reply.Rcode == dns.RcodeNameError:
		f.missing = ErrNoName // RFC 6604 section 3: of the last name of a chain
	case authority:
		f.missing = ErrNoData
	case aliased:
		f.next = at
		return f, nil
	case referral:
		// RFC 2308 section 2.2: an answer that there is nothing may lack the SOA,
		// but then names no servers.
		return findings{}, errReferral
	default:
		f.missing = ErrNoData
	}
	f.ttl = min(f.ttl, ttl)
	return f, nil
}

func (f *findings) keep(seconds uint32) { f.ttl = min(f.ttl, bounded(seconds, maxTTL)) }

// bounded turns a TTL into a time. One with the top bit set is none: RFC 2181
// section 8.
func bounded(seconds uint32, most time.Duration) time.Duration {
	if seconds > 1<<31-1 {
		seconds = 0
	}
	return min(max(time.Duration(seconds)*time.Second, minTTL), most)
}

// recordOf translates a record of the library; false for one that is of no kind
// of ours or has no data.
func recordOf(record dns.RR) (Record, bool) {
	switch record := record.(type) {
	case *dns.A:
		a, ok := netip.AddrFromSlice(record.A.To4())
		return Record{Addr: a}, ok
	case *dns.AAAA:
		a, ok := netip.AddrFromSlice(record.AAAA)
		return Record{Addr: a}, ok && a.Is6()
	case *dns.CNAME:
		return host(record.Target)
	case *dns.MX:
		one, ok := host(record.Mx)
		one.Preference = record.Preference
		return one, ok
	case *dns.NS:
		return host(record.Ns)
	case *dns.PTR:
		return host(record.Ptr)
	case *dns.TXT:
		var b strings.Builder
		for _, text := range record.Txt {
			unescape(&b, text)
		}
		return Record{Text: b.String()}, true
	}
	return Record{}, false
}

func host(name string) (Record, bool) {
	return Record{Text: strings.TrimSuffix(name, ".")}, name != ""
}

// An rcodeError is a reply that says that the server could not tell.
type rcodeError int

func (e rcodeError) Error() string {
	if text, ok := dns.RcodeToString[int(e)]; ok {
		return "the server answered " + text
	}
	return fmt.Sprintf("the server answered with code %d", int(e))
}
