// Package lookup turns host names into addresses.
package lookup

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// A Resolver answers questions about names.
type Resolver interface {
	// Addresses returns the IPv4 and IPv6 addresses of a host, at least one,
	// or an error.
	Addresses(ctx context.Context, host string) ([]netip.Addr, error)
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
