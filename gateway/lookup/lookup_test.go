package lookup

import (
	"net/netip"
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
