package dnslist_test

import (
	"strings"
	"testing"

	. "spamcatcher/gateway/dnslist"
)

// FuzzQuery: whatever a message names, what is asked is a name that DNS can
// hold, below the zone.
func FuzzQuery(f *testing.F) {
	for _, s := range []string{"example.org", "192.0.2.1", "2001:db8::1", "fe80::1%eth0", "::ffff:192.0.2.1", "a..b", ".", "", "EXAMPLE.org.", "a\\.b.example.org", "a b", "a\x00b", strings.Repeat("a.", 130), strings.Repeat("a", 64), "b\u00fccher.example", "_dmarc.example.org", "1.2.3.4.5", "127.1"} {
		f.Add(s)
	}
	z := &Zone{Name: "bl.example.net"}
	f.Fuzz(func(t *testing.T, entry string) {
		name, ok := z.Query(entry)
		if !ok {
			if name != "" {
				t.Errorf("%q: no entry, but %q", entry, name)
			}
			return
		}
		labels, below := strings.CutSuffix(name, ".bl.example.net")
		if !below || len(name) > 253 {
			t.Fatalf("%q: %q", entry, name)
		}
		for label := range strings.SplitSeq(labels, ".") {
			if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
				t.Fatalf("%q: label %q of %q", entry, label, name)
			}
		}
	})
}
