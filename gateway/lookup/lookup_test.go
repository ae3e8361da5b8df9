package lookup

import (
	"net"
	"net/netip"
	"slices"
	"testing"
)

func TestLiteralIsItsOwnAnswer(t *testing.T) {
	for _, literal := range []string{"192.0.2.1", "2001:db8::1"} {
		got, err := System{}.Addresses(t.Context(), literal)
		if err != nil || len(got) != 1 || got[0] != netip.MustParseAddr(literal) {
			t.Errorf("%s: %v, %v", literal, got, err)
		}
	}
}

func TestLocalhost(t *testing.T) {
	got, err := System{}.Addresses(t.Context(), "localhost")
	if err != nil || len(got) == 0 || !got[0].IsLoopback() {
		t.Errorf("localhost: %v, %v", got, err)
	}
}

func TestNoSuchHost(t *testing.T) {
	if got, err := (System{}).Addresses(t.Context(), "no such host"); err == nil {
		t.Errorf("a name with spaces has the addresses %v", got)
	}
}

// TestMX: names lose the final dot, and a null MX (RFC 7505) names nobody.
func TestMX(t *testing.T) {
	for _, c := range []struct{ records, want []string }{
		{[]string{"mx1.example.org.", "mx2.example.org"}, []string{"mx1.example.org", "mx2.example.org"}},
		{[]string{"."}, nil},
	} {
		var records []*net.MX
		for _, host := range c.records {
			records = append(records, &net.MX{Host: host})
		}
		if got := hostsOf(records); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v", c.records, got)
		}
	}
}
