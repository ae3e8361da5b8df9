package dnslist_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	. "spamcatcher/gateway/dnslist"
	"spamcatcher/gateway/lookup"
	"spamcatcher/gateway/lookup/lookuptest"
)

// TestRealServer asks lists of all sorts through the real client at a real DNS
// server: only those that prove themselves may refuse.
func TestRealServer(t *testing.T) {
	server := lookuptest.Serve(t, `
		2.0.0.127.good.example.net. A 127.0.0.2
		`+six2+`.good.example.net. A 127.0.0.2
		9.2.0.192.good.example.net. A 127.0.0.2
		9.2.0.192.good.example.net. A 127.0.0.4
		9.2.0.192.good.example.net. TXT "first part, " "second part"
		9.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.good.example.net. A 127.0.0.3
		2.0.0.127.plain.example.net. A 127.0.0.2
		9.2.0.192.plain.example.net. A 127.0.0.2
		*.world.example.net. A 127.0.0.2
		*.refused.example.net. A 127.255.255.254
		*.parked.example.net. A 203.0.113.80
		gone.example.net. A 192.0.2.1
		*.broken.example.net. SERVFAIL
		*.dead.example.net. SILENT
	`)
	var zones []Zone
	var names []string // each with a breaker of its own
	for label := range strings.FieldsSeq("good plain world refused parked gone broken dead") {
		names = append(names, label+".example.net")
		zones = append(zones, Zone{Name: label + ".example.net", Label: strings.ToUpper(label)})
	}
	client, err := lookup.New(lookup.Config{Servers: []string{server.Addr}, Timeout: 400 * time.Millisecond, Attempt: 150 * time.Millisecond, Zones: names})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	s, err := New(Config{Resolver: client, Zones: zones, Timeout: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	about := func(a string) string {
		var words []string
		f := s.Address(t.Context(), Clients, netip.MustParseAddr(a))
		for _, l := range f.Listings {
			word := strings.ToLower(l.Zone.Label)
			if l.Refuses() {
				word = l.Zone.Label
			}
			words = append(words, word)
		}
		return fmt.Sprint(words, f.Unanswered)
	}
	if got := about("192.0.2.9"); got != "[good plain world] [refused.example.net parked.example.net broken.example.net dead.example.net]" {
		t.Errorf("before the test: %s", got)
	}
	start := time.Now()
	states := s.Test(t.Context())
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("the test took %v", took)
	}
	var got []string
	for _, st := range states {
		got = append(got, fmt.Sprintf("%s %t %t %t", st.Label, st.Suspended, st.Untested, st.IPv6))
	}
	want := []string{"GOOD false false true", "PLAIN false false false", "WORLD true false false", "REFUSED true false false", "PARKED true false false", "GONE true false false", "BROKEN false true true", "DEAD false true true"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := about("192.0.2.9"); got != "[GOOD PLAIN] [broken.example.net dead.example.net]" {
		t.Errorf("after the test: %s", got)
	}
	if got := about("2001:db8::9"); !strings.HasPrefix(got, "[GOOD]") {
		t.Errorf("IPv6: %s", got)
	}
	f := s.Address(t.Context(), Clients, netip.MustParseAddr("192.0.2.9"))
	if text := f.Listings[0].Text(t.Context()); text != "first part, second part" {
		t.Errorf("text %q", text)
	}
	if l := f.Listings[0]; fmt.Sprint(l.Codes) != "[127.0.0.2 127.0.0.4]" {
		t.Errorf("%v", l.Codes)
	}
}
