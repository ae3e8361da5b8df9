package lookup

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// System is the resolver of the operating system, which knows the names of
// /etc/hosts too. It serves configuration and operators, never mail: it keeps
// nothing, and tells a name that does not exist from one without such records
// only as well as the system does.
type System struct{}

// Query asks as the system is configured.
func (System) Query(ctx context.Context, name string, kind Kind) (Answer, error) {
	records, err := ask(ctx, strings.TrimSuffix(name, "."), kind)
	var said *net.DNSError
	switch {
	case errors.As(err, &said) && said.IsNotFound:
		return Answer{}, fmt.Errorf("%w: %w", ErrNoData, err)
	case err != nil:
		return Answer{}, err
	case len(records) == 0:
		return Answer{}, ErrNoData
	}
	return Answer{Records: records}, nil
}

func ask(ctx context.Context, name string, kind Kind) ([]Record, error) {
	r := net.DefaultResolver
	switch kind {
	case A, AAAA:
		network := "ip4"
		if kind == AAAA {
			network = "ip6"
		}
		list, err := r.LookupNetIP(ctx, network, name)
		return recordsOf(list, func(a netip.Addr) Record { return Record{Addr: a.Unmap()} }), err
	case MX:
		list, err := r.LookupMX(ctx, name+".")
		return recordsOf(list, func(mx *net.MX) Record {
			return Record{Text: strings.TrimSuffix(mx.Host, "."), Preference: mx.Pref}
		}), err
	case NS:
		list, err := r.LookupNS(ctx, name+".")
		return recordsOf(list, func(ns *net.NS) Record { return Record{Text: strings.TrimSuffix(ns.Host, ".")} }), err
	case TXT:
		list, err := r.LookupTXT(ctx, name+".")
		return recordsOf(list, func(text string) Record { return Record{Text: text} }), err
	}
	return nil, fmt.Errorf("the system's resolver cannot be asked for %s records", kind)
}

func recordsOf[T any](list []T, of func(T) Record) []Record {
	records := make([]Record, len(list))
	for i, one := range list {
		records[i] = of(one)
	}
	return records
}
