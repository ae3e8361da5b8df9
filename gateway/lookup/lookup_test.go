package lookup_test

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	. "spamcatcher/gateway/lookup"
	"spamcatcher/gateway/lookup/lookuptest"
)

func TestLiteralIsItsOwnAnswer(t *testing.T) {
	for _, literal := range []string{"192.0.2.1", "2001:db8::1"} {
		got, err := Addresses(t.Context(), System{}, literal)
		if err != nil || len(got) != 1 || got[0] != netip.MustParseAddr(literal) {
			t.Errorf("%s: %v, %v", literal, got, err)
		}
	}
}

func TestLocalhost(t *testing.T) {
	got, err := Addresses(t.Context(), System{}, "localhost")
	if err != nil || len(got) == 0 || !got[0].IsLoopback() {
		t.Errorf("localhost: %v, %v", got, err)
	}
}

func TestNoSuchHost(t *testing.T) {
	if got, err := Addresses(t.Context(), System{}, "no such host"); err == nil {
		t.Errorf("a name with spaces has the addresses %v", got)
	}
}

// TestMailHosts: the preferred first; a null MX (RFC 7505) names nobody; a
// domain without MX is its own host, and one that does not exist has none.
func TestMailHosts(t *testing.T) {
	zone := lookuptest.Zone(t, `
		two.example.org.  MX 20 mx2.example.org.
		two.example.org.  MX 10 mx1.example.org.
		null.example.org. MX 0 .
		bare.example.org. A  192.0.2.1
		dead.example.org. SERVFAIL
	`)
	for domain, want := range map[string][]string{
		"two.example.org":  {"mx1.example.org", "mx2.example.org"},
		"null.example.org": nil,
		"bare.example.org": {"bare.example.org"},
	} {
		if got, err := MailHosts(t.Context(), zone, domain); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v; want %v", domain, got, err, want)
		}
	}
	if _, err := MailHosts(t.Context(), zone, "none.example.org"); !errors.Is(err, ErrNoName) {
		t.Errorf("a domain that does not exist: %v", err)
	}
	if _, err := MailHosts(t.Context(), zone, "dead.example.org"); err == nil || Missing(err) {
		t.Errorf("a domain that cannot be asked about: %v", err)
	}
}

// TestAddresses: both families count, and trouble with one hides nothing of the
// other; DNS knows of no address only if it says so of both.
func TestAddresses(t *testing.T) {
	zone := lookuptest.Zone(t, `
		both.example.org. A    192.0.2.1
		both.example.org. AAAA 2001:db8::1
		four.example.org. A    192.0.2.4
		half.example.org. A    192.0.2.5
		half.example.org. AAAA SERVFAIL
		trouble.example.org. AAAA SERVFAIL
		text.example.org. TXT "here"
	`)
	for host, want := range map[string]int{"both.example.org": 2, "four.example.org": 1, "half.example.org": 1} {
		if got, err := Addresses(t.Context(), zone, host); err != nil || len(got) != want {
			t.Errorf("%s: %v, %v", host, got, err)
		}
	}
	if _, err := Addresses(t.Context(), zone, "text.example.org"); !errors.Is(err, ErrNoData) {
		t.Errorf("a name without addresses: %v", err)
	}
	if _, err := Addresses(t.Context(), zone, "trouble.example.org"); err == nil || Missing(err) {
		t.Errorf("a host half of whose addresses cannot be asked for: %v", err)
	}
}

func TestReverse(t *testing.T) {
	for literal, want := range map[string]string{
		"192.0.2.99":        "99.2.0.192",
		"::ffff:192.0.2.99": "99.2.0.192",
		// The example of RFC 5782 section 2.4.
		"2001:db8:1:2:3:4:567:89ab": "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2",
	} {
		if got := Reverse(netip.MustParseAddr(literal)); got != want {
			t.Errorf("%s: %s, want %s", literal, got, want)
		}
	}
}

func TestNames(t *testing.T) {
	zone := lookuptest.Zone(t, `
		1.2.0.192.in-addr.arpa. PTR mail.example.org.
		1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR six.example.org.
	`)
	for literal, want := range map[string]string{"192.0.2.1": "mail.example.org", "2001:db8::1": "six.example.org"} {
		if got, err := Names(t.Context(), zone, netip.MustParseAddr(literal)); err != nil || !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %v, %v", literal, got, err)
		}
	}
}
