package auth

import (
	"strings"
	"testing"

	"spamcatcher/engine/message"
)

// Of several authors, the strictest policy that fails counts, whichever comes
// first. What is left out, or cannot be read, makes it unclear.
func TestSeveralAuthors(t *testing.T) {
	zone := zoneOf("a.example: p=none\nb.example: p=reject\nc.example: p=quarantine\nd.example: p=reject\n_dmarc.e.example SERVFAIL")
	const decoys = "a@x1.example b@x2.example c@x3.example"
	for _, c := range []struct{ from, spf, want string }{
		{"a@a.example, b@b.example, c@c.example", "x.example", "fail reject"},
		{"c@c.example, b@b.example", "x.example", "fail reject"},
		{"a@a.example, c@c.example, a@a.example", "x.example", "fail quarantine"},
		{"a@a.example, c@c.example, x@x.example, d@d.example", "x.example", "fail reject"},
		{"v@v.example, w@w.example, x@x.example, y@y.example, z@z.example, d@d.example", "x.example", "permerror  unclear"},
		{"b@b.example, x@x.example", "b.example", "permerror "},
		{"x@x.example, y@y.example", "x.example", "permerror "},
		{"e@e.example, x@x.example", "y.example", "permerror "},
		{"b@b.example, a@a.example", "b.example", "fail none"},
		{"<b@b.example><x@x.example>", "x.example", "fail reject"},
		{"\"b@b.example <x@x.example>", "x.example", "fail reject"},
		// Decoys where no reader looks do not take the place of what is shown.
		{"(" + decoys + ") Boss <b@b.example> x", "x.example", "fail reject"},
		{"(" + decoys + ")\r\nFrom: Boss <b@b.example>", "x.example", "fail reject"},
		{"\"" + decoys + "\" <b@b.example> x", "x.example", "fail reject"},
		{"x1.example (" + decoys + ") b@b.example (x) <", "x.example", "fail reject"},
		{"a@x1.example, b@x2.example, c@x3.example, b@b.example", "x.example", "fail reject"},
		{"(a@1.2.3.4.5.6.7.8.x1.example b@1.2.3.4.5.6.7.9.x2.example) Boss <b@b.example> x", "x.example", "fail reject"},
		{"a@1.2.3.4.5.6.7.8.x1.example, b@1.2.3.4.5.6.7.9.x2.example, b@b.example", "x.example", "fail reject"},
		{"a@1.2.3.4.5.6.7.x1.example, b@1.2.3.4.5.6.8.x2.example, x@y.example", "x.example", "permerror  unclear"},
		{"a@" + strings.Repeat("x", 64) + ".example, x@x.example", "x.example", "permerror  unclear"},
	} {
		v, fake := verifier(t, zone)
		a := v.Verify(t.Context(), mail("From: "+c.from+"\r\n\r\n"), SPF{Result: Pass, Domain: c.spf})
		got := a.DMARC + " " + a.Policy
		if a.Unclear {
			got += " unclear"
		}
		if got != c.want || a.From != "" || a.Aligned {
			t.Errorf("%s: %s, want %s", c.from, got, c.want)
		}
		if n := len(fake.Asked()); n > maxDMARCQueries {
			t.Errorf("%s: %d questions", c.from, n)
		}
	}
}

// However a forged address is written, as long as a reader may be shown it: the
// message fails, or nobody can tell and that counts. And what is written well
// is not made worse.
func TestForgedAuthor(t *testing.T) {
	for _, c := range []struct{ from, want string }{
		{"Boss <ceo@victim.example>", "fail reject"},
		{"Boss <ceo@Victim.Example.>", "fail reject"},
		{"Boss <ceo@victim.example\t>", "fail reject"},
		{"Boss <ceo@victim.example(x)>", "fail reject"},
		{"Boss <ceo@(x)victim.example>", "fail reject"},
		{"Boss <ceo@victim(x).example>", "fail reject"},
		{"Boss <ceo(x)@victim.example>", "fail reject"},
		{"Boss <ceo@(x (y) z) victim . (q) example>", "fail reject"},
		{"ceo@(x)victim.example", "fail reject"},
		{"ceo@victim .example", "fail reject"},
		{"ceo@victim. example", "fail reject"},
		{"ceo @ victim.example", "fail reject"},
		{"ceo@ victim.example", "fail reject"},
		{"ceo@victim\r\n .example", "fail reject"},
		{"Boss <ceo@ victim.example>", "fail reject"},
		{"Boss <(ceo@victim.example) eve@evil.example>", "fail reject"},
		{"=?utf-8?q?ceo=40victim.example?=@evil.example", "fail reject"},
		{"Boss <ceo @victim.example>", "fail reject"},
		{"Boss <ceo@victim.example..>", "fail reject"},
		{"Boss <ceo@victim..example>", "fail reject"},
		{"Boss <ceo@.victim.example>", "fail reject"},
		{"Boss <ceo@victim.example,>", "fail reject"},
		{"Boss <ceo@victim.example;>", "fail reject"},
		{"Boss <ceo@victim.example/>", "fail reject"},
		{"Boss <ceo@victim.example'>", "fail reject"},
		{"Boss <ceo@victim.example?x=y>", "fail reject"},
		{"Boss <ceo@victim.example&>", "fail reject"},
		{"Boss <ceo@victim.example#@evil.example>", "fail reject"},
		{"Boss <ceo@victim.example%evil.example>", "fail reject"},
		{"Boss <ceo@victim.example>>", "fail reject"},
		{"Boss <<ceo@victim.example>>", "fail reject"},
		{"Boss <ceo@victim.example\u00ad>", "fail reject"},
		{"Boss <ceo@victim.example\u200b>", "fail reject"},
		{"Boss <ceo@vic\u00adtim.example>", "fail reject"},
		{"Boss <ceo@victim\uff0eexample>", "fail reject"},
		{"Boss <ceo@victim.example\xa0>", "fail reject"},
		{"Boss <ceo@victim.example\u00a0>", "fail reject"},
		{"Boss <ceo@victim.example", "fail reject"},
		{"Boss ceo@victim.example>", "fail reject"},
		{"Boss [ceo@victim.example]", "fail reject"},
		{"[ceo@victim.example]", "fail reject"},
		{"Boss <ceo\uff20victim.example>", "fail reject"},
		{"ceo\ufe6bvictim.example", "fail reject"},
		{"Boss <=?utf-8?q?ceo=40victim.example?=>", "fail reject"},
		{"=?utf-8?q?Boss_=3Cceo=40victim.example=3E?=", "fail reject"},
		{"=?utf-8?q?ceo?=@victim.example", "fail reject"},
		{"ceo@victim.example: eve@evil.example;", "fail reject"},
		{"ceo@victim.example, <eve@evil.example (x)>", "fail reject"},
		// Written well, and another's: the display name is nobody's domain.
		{"\"ceo@victim.example\" <eve@evil.example>", "none"},
		{"Dr. A. Eve <eve@evil.example>", "none"},
		{"eve@evil.example (Eve E.)", "none"},
		{"(Eve) eve@evil.example", "none"},
		{"Eve <\"a b\"@evil.example>", "none"},
		{"\"a b\"@evil.example", "none"},
		{"=?utf-8?q?Eve?= <eve@evil.example>", "none"},
		{"Friends: Eve <eve@evil.example>, eve2@evil.example;", "none"},
		{"eve@[192.0.2.1]", "none"},
		{"eve@[IPv6:2001:db8::1]", "none"},
		{"root@localhost", "none"},
		{"eve@_x-y.evil.example", "none"},
		{"<eve@evil.example>, ", "none"},
		{"Boss", "permerror "},
		{"", "permerror "},
	} {
		v, fake := verifier(t, "_dmarc.victim.example TXT v=DMARC1; p=reject\nvictim.example TXT v=spf1 -all\n")
		m := mail("From: " + c.from + "\r\n\r\nx\r\n")
		a := v.Verify(t.Context(), m, SPF{Result: None, Domain: "evil.example"})
		got := a.DMARC + " " + a.Policy
		switch {
		case a.Unclear:
			got = "unclear"
		case a.DMARC == None && a.From != "":
			got = None
		}
		if got != c.want {
			t.Errorf("%q: %s of %q, want %s", c.from, got, a.From, c.want)
		}
		if n := len(fake.Asked()); n > maxDMARCQueries || n > 0 && isLiteral(a.From) {
			t.Errorf("%q: %d questions", c.from, n)
		}
	}
}

// FuzzClaimed: of a From without one author domain, few domains are named, and
// all of them could be.
func FuzzClaimed(f *testing.F) {
	f.Add("(a@x1.example b@x2.example) Boss <ceo@victim .example> x, @")
	f.Add("=?utf-8?q?Boss_=3Cceo=40victim.example=3E?= <\uff20.\u3002a@\xff>")
	f.Fuzz(func(t *testing.T, from string) {
		domains, _ := claimed(message.Parse([]byte("From: "+strings.NewReplacer("\r", "", "\n", "").Replace(from)+"\r\n\r\n"), message.Limits{}).Header())
		if len(domains) > maxClaimed {
			t.Fatalf("%q", domains)
		}
		for _, d := range domains {
			if folded, ok := fold(d); !ok || folded != d || !isHostName(d) || !strings.Contains(d, ".") {
				t.Fatalf("%q", d)
			}
		}
	})
}
