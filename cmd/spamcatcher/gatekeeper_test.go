package main

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
	"spamcatcher/gateway/lookup/lookuptest"
)

// TestGatekeeper: what a configuration says reaches the tests and the lists: who
// may send ETRN needs no PTR, our own domains are not asked about, and the
// fingerprint zone counts as a list.
func TestGatekeeper(t *testing.T) {
	dns := lookuptest.Serve(t, `
		example.org. A 192.0.2.9
	`)
	c, err := load(t, ".toml", fmt.Sprintf(`
[dns]
servers = [%q]
[policy]
ptr = "enforce"
trusted = ["198.51.100.0/24"]
[fingerprint]
zone = "fp.example"
[[list]]
zone = "own.example"
of = ["links"]
[[domain]]
name = "customer.example"
destinations = ["192.0.2.1"]
etrn_from = ["203.0.113.7", "2001:db8::/32"]
`, dns.Addr))
	if err != nil {
		t.Fatal(err)
	}
	n, err := newNetwork(c, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	f, _, err := prepare(c, n, nil)
	if err != nil {
		t.Fatal(err)
	}
	for client, refused := range map[string]bool{"203.0.113.7": false, "2001:db8::5": false, "198.51.100.4": false, "127.0.0.1": false, "203.0.113.8": true} {
		if r := f.gate.Greet(t.Context(), netip.MustParseAddr(client)); (r != nil) != refused {
			t.Errorf("%s, which has no PTR: %v", client, r)
		}
	}
	m := &engine.Mail{Message: message.Parse([]byte("Subject: two\r\n\r\nhttp://www.customer.example/a and http://www.other.example/b\r\n"), message.Limits{})}
	if _, err := f.links.Inspect(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if asked := strings.Join(dns.Asked(), " "); strings.Contains(asked, "customer.example.own.example") || !strings.Contains(asked, "other.example.own.example") {
		t.Errorf("our own domains are not told from others: %s", asked)
	}
	names, err := c.zoneNames()
	if err != nil || !slices.Contains(names, "fp.example") || !slices.Contains(names, "own.example") || !slices.Contains(names, "zen.spamhaus.org") {
		t.Errorf("zones %v, %v", names, err)
	}

	long := strings.Repeat("a", 70) + ".example"
	if c, err = load(t, ".toml", fmt.Sprintf("[policy]\narc_trusted = [%q]\n", long)); err == nil {
		_, _, err = prepare(c, nil, nil)
	}
	if err == nil || !strings.Contains(err.Error(), "policy.arc_trusted") {
		t.Errorf("a sealer that is no domain: %v", err)
	}
}
