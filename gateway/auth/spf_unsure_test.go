package auth

import (
	"net/netip"
	"testing"
)

// A domain's "fail" refuses mail for good, so it never stands on a question that
// DNS did not answer, though RFC 7208 section 5.5 lets ptr miss then. What
// matched stands.
func TestSPFUnsure(t *testing.T) {
	// 1 + 10 + 8 questions, and the client's name; there is none left to confirm it.
	many := "many.example.org TXT v=spf1 mx:mx9.example.org mx:mx7.example.org ptr -all\n200.2.0.192.in-addr.arpa PTR many.example.org\nmany.example.org A 192.0.2.200\n" +
		manyMX("mx9.example.org", 9) + manyMX("mx7.example.org", 7)
	for _, c := range []struct{ name, zone, client, from, want string }{
		{"the reverse zone is dead", "example.org TXT v=spf1 ptr -all\n1.2.0.192.in-addr.arpa SERVFAIL", "192.0.2.1", "u@example.org", TempError},
		{"the forward zone is dead", "example.org TXT v=spf1 ptr -all\n1.2.0.192.in-addr.arpa PTR mail.example.org\nmail.example.org SERVFAIL", "192.0.2.1", "u@example.org", TempError},
		{"softfail", "example.org TXT v=spf1 ptr ~all\n1.2.0.192.in-addr.arpa SERVFAIL", "192.0.2.1", "u@example.org", TempError},
		{"neutral, as the RFC has it", "example.org TXT v=spf1 ptr ?all\n1.2.0.192.in-addr.arpa SERVFAIL", "192.0.2.1", "u@example.org", Neutral},
		{"in an included record", "example.org TXT v=spf1 include:b.example.org -all\nb.example.org TXT v=spf1 ptr -all\n1.2.0.192.in-addr.arpa SERVFAIL", "192.0.2.1", "u@example.org", TempError},
		{"a macro", "example.org TXT v=spf1 exists:%{p}.ok.example.org -all\n1.2.0.192.in-addr.arpa SERVFAIL", "192.0.2.1", "u@example.org", TempError},
		{"a macro, its forward zone", "example.org TXT v=spf1 exists:%{p}.ok.example.org -all\n1.2.0.192.in-addr.arpa PTR mail.example.org\nmail.example.org SERVFAIL", "192.0.2.1", "u@example.org", TempError},
		{"one family of two", "example.org TXT v=spf1 exists:no.example.org a:mail.example.org -all\nmail.example.org A 192.0.2.9\nmail.example.org AAAA SERVFAIL", "2001:db8::1", "u@example.org", TempError},
		{"a match stands", "example.org TXT v=spf1 ptr ip4:192.0.2.1 -all\n1.2.0.192.in-addr.arpa SERVFAIL", "192.0.2.1", "u@example.org", Pass},
		{"a match before it stands", "example.org TXT v=spf1 ip4:192.0.2.1 ptr -all\n1.2.0.192.in-addr.arpa SERVFAIL", "192.0.2.1", "u@example.org", Pass},
		{"an error in the record stands", "example.org TXT v=spf1 ptr include:gone.example.org -all\n1.2.0.192.in-addr.arpa SERVFAIL", "192.0.2.1", "u@example.org", PermError},
		{"no name at all is an answer", "example.org TXT v=spf1 ptr -all", "192.0.2.1", "u@example.org", Fail},
		{"more questions than we ask", many, "192.0.2.200", "u@many.example.org", TempError},
	} {
		v, fake := verifier(t, c.zone)
		s := v.SPF(t.Context(), netip.MustParseAddr(c.client), "mail.example.com", c.from)
		if s.Result != c.want {
			t.Errorf("%s: %+v, want %s", c.name, s, c.want)
		}
		if n := len(fake.Asked()); n > maxSPFQueries {
			t.Errorf("%s: %d questions", c.name, n)
		}
	}
}
