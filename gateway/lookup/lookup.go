// Package lookup turns names into what DNS says of them.
//
// A Client asks recursive resolvers. Its replies decide whose mail is refused,
// so it takes from a reply only what was asked for, from the server that was
// asked, and when in doubt it knows nothing: trouble is an error, never an
// answer. It ends in time, whatever servers do: see the types server and zones
// for who is left alone, and on which evidence.
package lookup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A Resolver answers questions of DNS. It follows CNAME records.
type Resolver interface {
	// Query returns the records of one kind that a name has, at least one. The
	// name is in the presentation format of RFC 1035 section 5.1, absolute, with
	// or without the final dot. The error is ErrNoName or ErrNoData when DNS
	// says that there are none; any other error means that nobody could tell.
	// It returns soon after ctx ends.
	Query(ctx context.Context, name string, kind Kind) (Answer, error)
}

// What DNS says when there are no records.
var (
	ErrNoName = errors.New("name does not exist") // NXDOMAIN
	ErrNoData = errors.New("no such records")     // the name exists, or something below it does
)

// Missing says whether an error of a Resolver means that DNS knows no such
// records, in contrast to trouble in asking.
func Missing(err error) bool { return errors.Is(err, ErrNoName) || errors.Is(err, ErrNoData) }

// A Kind is the type of a record: RFC 1035 section 3.2.2, RFC 3596 section 2.1.
type Kind uint16

const (
	A     Kind = 1
	NS    Kind = 2
	CNAME Kind = 5
	PTR   Kind = 12
	MX    Kind = 15
	TXT   Kind = 16
	AAAA  Kind = 28
)

func (k Kind) String() string {
	switch k {
	case A:
		return "A"
	case NS:
		return "NS"
	case CNAME:
		return "CNAME"
	case PTR:
		return "PTR"
	case MX:
		return "MX"
	case TXT:
		return "TXT"
	case AAAA:
		return "AAAA"
	}
	return fmt.Sprintf("TYPE%d", uint16(k)) // RFC 3597 section 5
}

// An Answer is what a Resolver found. It is shared: nobody changes it.
type Answer struct {
	Records []Record
	TTL     time.Duration // how long it holds from now on
}

// A Record is one record. Which field is set depends on its kind.
type Record struct {
	Addr netip.Addr // A, AAAA
	// Text is the host of CNAME, MX, NS and PTR, in the presentation format, as
	// DNS wrote it, without the final dot ("" is the root); and the strings of a
	// TXT record, joined without anything between them (RFC 7208 section 3.3),
	// as the octets that they are.
	Text       string
	Preference uint16 // MX
}

// Addresses returns the IPv4 and IPv6 addresses of a host, at least one, or an
// error. An address literal is its own answer. When one of the two kinds cannot
// be found out, what the other has is the answer.
func Addresses(ctx context.Context, r Resolver, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	type result struct {
		Answer
		err error
	}
	six := make(chan result, 1)
	go func() {
		answer, err := r.Query(ctx, host, AAAA)
		six <- result{answer, err}
	}()
	answer, err := r.Query(ctx, host, A)
	other := <-six
	var list []netip.Addr
	for _, rec := range slices.Concat(answer.Records, other.Records) {
		list = append(list, rec.Addr)
	}
	switch {
	case len(list) > 0:
		return list, nil
	case err == nil || Missing(err) && !Missing(other.err):
		err = other.err
	}
	return nil, fmt.Errorf("looking up %s: %w", host, err)
}

// MailHosts returns the hosts that take a domain's mail, the preferred ones
// first. A domain without MX records is its own host (RFC 5321 section 5.1), if
// it exists; one that says that it takes no mail (RFC 7505) has none.
func MailHosts(ctx context.Context, r Resolver, domain string) ([]string, error) {
	answer, err := r.Query(ctx, domain, MX)
	if errors.Is(err, ErrNoData) {
		return []string{domain}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking up the MX of %s: %w", domain, err)
	}
	records := slices.Clone(answer.Records)
	slices.SortStableFunc(records, func(a, b Record) int { return cmp.Compare(a.Preference, b.Preference) })
	var hosts []string
	for _, rec := range records {
		if rec.Text != "" {
			hosts = append(hosts, rec.Text)
		}
	}
	return hosts, nil
}

// Texts returns the TXT records of a name, at least one, or an error.
func Texts(ctx context.Context, r Resolver, name string) ([]string, error) {
	answer, err := r.Query(ctx, name, TXT)
	if err != nil {
		return nil, fmt.Errorf("looking up the TXT of %s: %w", name, err)
	}
	list := make([]string, len(answer.Records))
	for i, rec := range answer.Records {
		list[i] = rec.Text
	}
	return list, nil
}

// Reverse returns an address the way it is written below a zone of addresses:
// octets of IPv4, and nibbles of IPv6, the last one first, joined by dots. RFC
// 1035 section 3.5, RFC 3596 section 2.5, RFC 5782 section 2.
func Reverse(a netip.Addr) string {
	a = a.Unmap()
	var b strings.Builder
	if a.Is4() {
		four := a.As4()
		fmt.Fprintf(&b, "%d.%d.%d.%d", four[3], four[2], four[1], four[0])
		return b.String()
	}
	const digits = "0123456789abcdef"
	for i, octet := range slices.Backward(a.AsSlice()) {
		b.WriteByte(digits[octet&15])
		b.WriteByte('.')
		b.WriteByte(digits[octet>>4])
		if i > 0 {
			b.WriteByte('.')
		}
	}
	return b.String()
}

// Names returns the host names of an address, at least one, or an error: what
// its PTR records say, which proves nothing before their addresses are asked.
func Names(ctx context.Context, r Resolver, a netip.Addr) ([]string, error) {
	zone := "in-addr.arpa"
	if a.Unmap().Is6() {
		zone = "ip6.arpa"
	}
	answer, err := r.Query(ctx, Reverse(a)+"."+zone, PTR)
	if err != nil {
		return nil, fmt.Errorf("looking up the name of %s: %w", a, err)
	}
	list := make([]string, len(answer.Records))
	for i, rec := range answer.Records {
		list[i] = rec.Text
	}
	return list, nil
}
