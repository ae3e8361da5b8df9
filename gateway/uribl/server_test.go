package uribl_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"spamcatcher/engine/enginetest"
	"spamcatcher/gateway/dnslist"
	"spamcatcher/gateway/lookup"
	"spamcatcher/gateway/lookup/lookuptest"
	. "spamcatcher/gateway/uribl"
)

// TestNoAmplifier: 10,000 links in one message are at most 20 questions at a
// real server, and what they find is told once.
func TestNoAmplifier(t *testing.T) {
	server := lookuptest.Serve(t, `
		*.multi.example.net. A 127.0.0.8
		*.names.example.net. SERVFAIL
		*.example. A 198.51.100.7
		7.100.51.198.hosts.example.net. A 127.0.0.2
		multi.example.net. TXT "a list"
		names.example.net. TXT "a list"
	`)
	client, err := lookup.New(lookup.Config{Servers: []string{server.Addr}, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	set, err := dnslist.New(dnslist.Config{Resolver: client, Zones: zones})
	if err != nil {
		t.Fatal(err)
	}
	check, err := New(Config{Set: set, Resolver: client})
	if err != nil {
		t.Fatal(err)
	}
	var body strings.Builder
	body.WriteString("From: a@sender.example\nSubject: x\n\n")
	for i := range 10_000 {
		fmt.Fprintf(&body, "http://www%d.site%d.example/ ", i, i)
	}
	m := enginetest.Mail(t, body.String())
	hits := fmt.Sprint(inspect(t, check, m))
	if !strings.Contains(hits, "more 0} {LIST_HOSTS 198.51.100.7 0} {LIST_UNANSWERED names.example.net 0}]") || !strings.HasPrefix(hits, "[{LIST_MULTI_PHISH site") {
		t.Error(hits)
	}
	distinct := map[string]bool{}
	for _, q := range server.Asked() {
		distinct[strings.ToLower(q)] = true
	}
	if len(distinct) > 20 || len(distinct) < 10 {
		t.Errorf("%d different questions", len(distinct))
	}
	// Only what got a server failure is asked again, by the client.
	if n := server.Queries(); n > 20*3 {
		t.Errorf("%d questions on the wire", n)
	}
}
