// Package lookup turns names into what DNS says of them.
package lookup

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// A Resolver answers questions about names.
type Resolver interface {
	// Addresses returns the IPv4 and IPv6 addresses of a host, at least one,
	// or an error.
	Addresses(ctx context.Context, host string) ([]netip.Addr, error)
	// MX returns the hosts that take a domain's mail, the preferred ones
	// first. A domain without MX records is its own host (RFC 5321 section
	// 5.1); one that says that it takes no mail (RFC 7505) has none.
	MX(ctx context.Context, domain string) ([]string, error)
}

// System is the resolver of the operating system.
type System struct{}

// Addresses asks as the system is configured. An address literal is its own
// answer.
func (System) Addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	list, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("looking up %s: %w", host, err)
	}
	return list, nil
}

// MX asks as the system is configured.
func (System) MX(ctx context.Context, domain string) ([]string, error) {
	records, err := net.DefaultResolver.LookupMX(ctx, domain)
	var missing *net.DNSError
	if errors.As(err, &missing) && missing.IsNotFound {
		return []string{domain}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking up the MX of %s: %w", domain, err)
	}
	return hostsOf(records), nil
}

// hostsOf returns the hosts of MX records that are sorted by preference.
func hostsOf(records []*net.MX) []string {
	var hosts []string
	for _, r := range records {
		if host := strings.TrimSuffix(r.Host, "."); host != "" {
			hosts = append(hosts, host)
		}
	}
	return hosts
}
