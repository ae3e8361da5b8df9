package uribl_test

import (
	"fmt"
	"strings"
	"testing"

	"spamcatcher/engine/enginetest"
	"spamcatcher/gateway/dnslist"
	"spamcatcher/gateway/lookup/lookuptest"
	. "spamcatcher/gateway/uribl"
)

// BenchmarkInspect asks a resolver that knows all answers: what the check itself
// costs, for a message with one link and for one with two thousand.
func BenchmarkInspect(b *testing.B) {
	fake := lookuptest.Zone(b, "site7.example.multi.example.net. A 127.0.0.8\n")
	set, err := dnslist.New(dnslist.Config{Resolver: fake, Zones: zones})
	if err != nil {
		b.Fatal(err)
	}
	check, err := New(Config{Set: set, Resolver: fake})
	if err != nil {
		b.Fatal(err)
	}
	for _, links := range []int{1, 2000} {
		var body strings.Builder
		for i := range links {
			fmt.Fprintf(&body, "http://www.site%d.example/ ", 7+i)
		}
		m := enginetest.Mail(b, "From: a@sender.example\nSubject: x\n\n"+body.String())
		m.Message.Links()
		b.Run(fmt.Sprint("links=", links), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				hits, err := check.Inspect(b.Context(), m)
				if err != nil || links == 1 && len(hits) != 1 {
					b.Fatal(hits, err)
				}
			}
		})
	}
}
