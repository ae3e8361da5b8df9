package auth

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"spamcatcher/gateway/lookup"
	"spamcatcher/gateway/lookup/lookuptest"
)

// The same through the client and a real DNS server: keys of several strings,
// names that macros made odd, records that do not fit into a datagram, forged
// answers before the true one, and a server that is silent or broken.
func TestThroughDNS(t *testing.T) {
	server := lookuptest.Serve(t, letterZone()+fmt.Sprintf(`
rsa._domainkey.example.com TXT %q
giant.example.org TXT "v=spf1 %sip4:192.0.2.1 -all"
odd.example.org TXT v=spf1 exists:%%{l}%%_x.odd.example.org -all
_dmarc.forged.example.com TXT v=DMARC1; p=none
`, rsaRecord(t, rsaKey()), strings.Repeat("ip4:198.51.100.1 ", 250)))
	client, err := lookup.New(lookup.Config{Servers: []string{server.Addr}, Timeout: time.Second, Attempt: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	v, err := New(Config{Resolver: client, Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	good := netip.MustParseAddr("192.0.2.1")
	signed := mail(string(sign(t, []byte(letter), "example.com", "rsa", rsaKey(), "relaxed", "relaxed", letterFields...)))

	server.Set(lookuptest.Fault{Lies: 20})
	if a := v.Verify(t.Context(), signed, v.SPF(t.Context(), good, "mail.example.com", "u@example.com")); a.SPF != Pass || a.DKIM != Pass || a.DMARC != Pass || a.Policy != "reject" {
		t.Errorf("with forged answers: %+v", a)
	}
	server.Set()
	if s := v.SPF(t.Context(), good, "mail.example.com", "u@giant.example.org"); s.Result != Pass {
		t.Errorf("a record of 4 kB: %+v", s)
	}
	if s := v.SPF(t.Context(), good, "mail.example.com", "a (b) \"c\" \\@odd.example.org"); s.Result != Fail {
		t.Errorf("an odd name: %+v", s)
	}
	other := mail(strings.ReplaceAll(letter, "example.com", "other.example.com"))
	for _, c := range []struct {
		name  string
		fault lookuptest.Fault
	}{{"SERVFAIL", lookuptest.Fault{Rcode: 2}}, {"silent", lookuptest.Fault{Drop: true}}, {"garbage", lookuptest.Fault{Garbage: true}}} {
		server.Set(c.fault)
		start := time.Now()
		a := v.Verify(t.Context(), other, v.SPF(t.Context(), good, "mail.example.com", "u@"+strings.ToLower(c.name)+".example.com"))
		if a.SPF != TempError || a.DMARC != TempError {
			t.Errorf("%s: %+v", c.name, a)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s: took %v", c.name, took)
		}
	}
}
