package uribl_test

import (
	"strings"
	"testing"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
	"spamcatcher/gateway/dnslist"
	"spamcatcher/gateway/lookup/lookuptest"
	. "spamcatcher/gateway/uribl"
)

// FuzzInspect: whatever a client and its message say, at most so many questions
// are asked, each about a name that DNS can hold.
func FuzzInspect(f *testing.F) {
	f.Add("See http://www.bad.example/ and http://192.0.2.1/", "a@b.example", "mx.example.com")
	f.Add("http://b\u00fccher.example/ http://xn--a/ http://[2001:db8::1%25eth0]/ http://0x7f000001/", "\"a@b\"@c.example", "[192.0.2.1]")
	f.Add("https://www.google.com/url?q=http%3A%2F%2F"+strings.Repeat("a.", 130)+"example", "@", "..")
	f.Add("http://a..b/ http://.example/ http://a.github.io./ http://github.io/ http://co.uk/ http://a\\.b.example/", "a@"+strings.Repeat("b", 70)+".example", "example.com.")
	f.Add("mailto:x@y.example?cc=z@w.example http://1.2.3/ http://a_b.example:99999/", "a@\u212a.example", "MX\x00.example.com")
	f.Fuzz(func(t *testing.T, body, from, hello string) {
		fake := lookuptest.Zone(t, "")
		set, err := dnslist.New(dnslist.Config{Resolver: fake, Zones: zones})
		if err != nil {
			t.Fatal(err)
		}
		check, err := New(Config{Set: set, Resolver: fake, MaxQueries: 12})
		if err != nil {
			t.Fatal(err)
		}
		m := &engine.Mail{Message: message.Parse([]byte("From: "+from+"\r\nSubject: x\r\n\r\n"+body), message.Limits{})}
		m.Envelope.From, m.Session.Hello = from, hello
		if _, err := check.Inspect(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		asked := fake.Asked()
		if len(asked) > 12 {
			t.Fatalf("%d questions", len(asked))
		}
		for _, q := range asked {
			name, _, _ := strings.Cut(q, " ")
			if len(name) > 253 {
				t.Fatalf("%q is too long", name)
			}
			for label := range strings.SplitSeq(name, ".") {
				if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
					t.Fatalf("label %q of %q", label, name)
				}
			}
		}
	})
}
