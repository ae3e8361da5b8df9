package auth

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"spamcatcher/gateway/lookup"
	"spamcatcher/gateway/lookup/lookuptest"
)

func verifier(t testing.TB, zone string) (*Verifier, *lookuptest.Fake) {
	t.Helper()
	fake := lookuptest.Zone(t, zone)
	v, err := New(Config{Resolver: fake})
	if err != nil {
		t.Fatal(err)
	}
	return v, fake
}

// chainOf is a chain of n includes, the last of which lets 192.0.2.1 pass.
func chainOf(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "chain%d-%d.example.org TXT v=spf1 include:chain%d-%d.example.org -all\n", n, i, n, i+1)
	}
	fmt.Fprintf(&b, "chain%d-%d.example.org TXT v=spf1 ip4:192.0.2.1 -all\n", n, n)
	return b.String()
}

func manyMX(name string, n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s TXT v=spf1 mx -all\n", name)
	for i := range n {
		fmt.Fprintf(&b, "%s MX 10 h%d.%s\nh%d.%s A 192.0.2.%d\n", name, i, name, i, name, i+1)
	}
	return b.String()
}

func TestSPF(t *testing.T) {
	v, fake := verifier(t, `
plain.example.org TXT v=spf1 ip4:192.0.2.0/28 ip6:2001:db8::/32 ~all
fail.example.org TXT v=spf1 ip4:192.0.2.1 -all
neutral.example.org TXT v=spf1 ?all
open.example.org TXT v=spf1
other.example.org TXT some other text
other.example.org TXT v=spf10 +all
two.example.org TXT v=spf1 +all
two.example.org TXT V=SPF1 -all
broken.example.org SERVFAIL
brokeninclude.example.org TXT v=spf1 include:broken.example.org -all
brokena.example.org TXT v=spf1 a:broken.example.org -all
aftererror.example.org TXT v=spf1 ip4:192.0.2.1 foo:bar -all
noinclude.example.org TXT v=spf1 include:missing.example.org ip4:192.0.2.1 -all
loop.example.org TXT v=spf1 include:loop.example.org -all
redirectloop.example.org TXT v=spf1 redirect=redirectloop.example.org
redirect.example.org TXT v=spf1 redirect=fail.example.org
void2.example.org TXT v=spf1 a:v1.example.net a:v2.example.net ip4:192.0.2.1 -all
void3.example.org TXT v=spf1 a:v1.example.net a:v2.example.net a:v3.example.net ip4:192.0.2.1 -all
a.example.org TXT v=spf1 a -all
a.example.org A 192.0.2.1
a.example.org AAAA 2001:db8::1
a24.example.org TXT v=spf1 a:a.example.org/24//64 -all
exists.example.org TXT v=spf1 exists:%{ir}.%{v}.list.example.org -all
1.2.0.192.in-addr.list.example.org A 127.0.0.2
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.list.example.org A 127.0.0.2
ptr.example.org TXT v=spf1 ptr -all
1.2.0.192.in-addr.arpa PTR host.ptr.example.org
host.ptr.example.org A 192.0.2.1
p.example.org TXT v=spf1 exists:%{p2}.ok.example.org -all
example.org.ok.example.org A 127.0.0.2
org.example.ok.example.org A 127.0.0.3
psingle.example.org TXT v=spf1 exists:%{p}.ok.example.org -all
host.ptr.example.org.ok.example.org A 127.0.0.2
local.example.org TXT v=spf1 exists:%{l1r-}.%{o}.l.example.org -all
big.local.example.org.l.example.org A 127.0.0.2
a_b.local.example.org.l.example.org A 127.0.0.2
postmaster.local.example.org.l.example.org A 127.0.0.2
macroerror.example.org TXT v=spf1 exists:%{z}.example.org -all
macrozero.example.org TXT v=spf1 exists:%{d0}.example.org -all
hello.example.org TXT v=spf1 exists:%{h}.h.example.org -all
mail.example.com.h.example.org A 127.0.0.2
mail.example.com TXT v=spf1 ip4:192.0.2.9 -all
giant.example.org TXT v=spf1 `+strings.Repeat("ip4:192.0.2.200 ", 600)+`-all
bomb.example.org TXT v=spf1 exists:`+strings.Repeat("%{s}", 1800)+`.example.org -all
long.example.org TXT v=spf1 exists:`+strings.Repeat("%{l}.", 30)+`end.example.org -all
xn--grn-ioa.example.org TXT v=spf1 ip4:192.0.2.1 -all
`+chainOf(10)+chainOf(11)+manyMX("mx10.example.org", 10)+manyMX("mx11.example.org", 11))
	const hello = "mail.example.com"
	for _, c := range []struct {
		client, hello, from string
		want                string
	}{
		{"192.0.2.1", hello, "u@plain.example.org", "pass plain.example.org"},
		{"192.0.2.100", hello, "u@plain.example.org", "softfail plain.example.org"},
		{"2001:db8::5", hello, "u@plain.example.org", "pass plain.example.org"},
		{"::ffff:192.0.2.1", hello, "u@plain.example.org", "pass plain.example.org"},
		{"::ffff:192.0.2.100", hello, "u@plain.example.org", "softfail plain.example.org"},
		{"fe80::1%eth0", hello, "u@plain.example.org", "softfail plain.example.org"},
		{"192.0.2.2", hello, "u@fail.example.org", "fail fail.example.org"},
		{"192.0.2.2", hello, "u@FAIL.Example.ORG.", "fail fail.example.org"},
		{"192.0.2.2", hello, "u@neutral.example.org", "neutral neutral.example.org"},
		{"192.0.2.2", hello, "u@open.example.org", "neutral open.example.org"},
		{"192.0.2.2", hello, "u@other.example.org", "none other.example.org"},
		{"192.0.2.2", hello, "u@missing.example.org", "none missing.example.org"},
		{"192.0.2.2", hello, "u@two.example.org", "permerror two.example.org"},
		{"192.0.2.2", hello, "u@broken.example.org", "temperror broken.example.org"},
		{"192.0.2.2", hello, "u@brokeninclude.example.org", "temperror brokeninclude.example.org"},
		{"192.0.2.2", hello, "u@brokena.example.org", "temperror brokena.example.org"},
		// RFC 7208 section 4.6: an error is one, even behind a match.
		{"192.0.2.1", hello, "u@aftererror.example.org", "permerror aftererror.example.org"},
		{"192.0.2.1", hello, "u@noinclude.example.org", "permerror noinclude.example.org"},
		{"192.0.2.1", hello, "u@loop.example.org", "permerror loop.example.org"},
		{"192.0.2.1", hello, "u@redirectloop.example.org", "permerror redirectloop.example.org"},
		{"192.0.2.1", hello, "u@redirect.example.org", "pass redirect.example.org"},
		{"192.0.2.2", hello, "u@redirect.example.org", "fail redirect.example.org"},
		// Ten terms that ask, and two that find nothing, are the limit.
		{"192.0.2.1", hello, "u@chain10-0.example.org", "pass chain10-0.example.org"},
		{"192.0.2.1", hello, "u@chain11-0.example.org", "permerror chain11-0.example.org"},
		{"192.0.2.1", hello, "u@void2.example.org", "pass void2.example.org"},
		{"192.0.2.1", hello, "u@void3.example.org", "permerror void3.example.org"},
		{"192.0.2.10", hello, "u@mx10.example.org", "pass mx10.example.org"},
		{"192.0.2.11", hello, "u@mx10.example.org", "fail mx10.example.org"},
		{"192.0.2.1", hello, "u@mx11.example.org", "permerror mx11.example.org"},
		{"192.0.2.1", hello, "u@a.example.org", "pass a.example.org"},
		{"2001:db8::1", hello, "u@a.example.org", "pass a.example.org"},
		{"2001:db8::2", hello, "u@a.example.org", "fail a.example.org"},
		{"192.0.2.77", hello, "u@a24.example.org", "pass a24.example.org"},
		{"2001:db8::77", hello, "u@a24.example.org", "pass a24.example.org"},
		{"2001:db8:1::77", hello, "u@a24.example.org", "fail a24.example.org"},
		{"192.0.2.1", hello, "u@exists.example.org", "pass exists.example.org"},
		{"192.0.2.2", hello, "u@exists.example.org", "fail exists.example.org"},
		{"2001:db8::1", hello, "u@exists.example.org", "pass exists.example.org"},
		{"2001:db8::2", hello, "u@exists.example.org", "fail exists.example.org"},
		{"192.0.2.1", hello, "u@ptr.example.org", "pass ptr.example.org"},
		{"192.0.2.2", hello, "u@ptr.example.org", "fail ptr.example.org"},
		{"192.0.2.1", hello, "u@p.example.org", "pass p.example.org"},
		{"192.0.2.1", hello, "u@psingle.example.org", "pass psingle.example.org"},
		{"192.0.2.2", hello, "u@psingle.example.org", "fail psingle.example.org"},
		{"192.0.2.1", hello, "big-small@local.example.org", "pass local.example.org"},
		{"192.0.2.1", hello, "small-x@local.example.org", "fail local.example.org"},
		{"192.0.2.1", hello, "@local.example.org", "pass local.example.org"},
		{"192.0.2.1", hello, "u@macroerror.example.org", "permerror macroerror.example.org"},
		{"192.0.2.1", hello, "u@macrozero.example.org", "permerror macrozero.example.org"},
		{"192.0.2.1", hello, "u@hello.example.org", "pass hello.example.org"},
		{"192.0.2.1", "a\r\n b", "u@hello.example.org", "fail hello.example.org"},
		// A quoted local part may hold an @: the domain is behind the last.
		{"192.0.2.2", hello, `"u@plain.example.org"@fail.example.org`, "fail fail.example.org"},
		// RFC 7208 section 2.4: the null sender is the HELO identity.
		{"192.0.2.9", hello, "", "pass mail.example.com hello"},
		{"192.0.2.1", hello, "", "fail mail.example.com hello"},
		{"192.0.2.1", "[192.0.2.1]", "", "none  hello"},
		{"192.0.2.1", "localhost", "", "none  hello"},
		{"192.0.2.1", "", "", "none  hello"},
		{"192.0.2.1", hello, "postmaster", "none "},
		{"192.0.2.1", hello, "u@[192.0.2.1]", "none "},
		{"192.0.2.1", hello, "u@a..example.org", "none "},
		{"192.0.2.1", hello, "u@" + strings.Repeat("a", 64) + ".example.org", "none "},
		{"192.0.2.1", hello, "u@" + strings.Repeat("abcdefgh.", 40) + "example.org", "none "},
		{"192.0.2.1", hello, "u@grün.example.org", "pass xn--grn-ioa.example.org"},
		{"", hello, "u@plain.example.org", "none plain.example.org"},
		// A record beyond measure is an error, and a macro bomb no name.
		{"192.0.2.1", hello, "u@giant.example.org", "permerror giant.example.org"},
		{"192.0.2.1", hello, strings.Repeat("x", 60) + "@bomb.example.org", "fail bomb.example.org"},
		{"192.0.2.1", hello, strings.Repeat("x", 60) + "@long.example.org", "fail long.example.org"},
	} {
		before := len(fake.Asked())
		client, _ := netip.ParseAddr(c.client)
		s := v.SPF(t.Context(), client, c.hello, c.from)
		got := s.Result + " " + s.Domain
		if s.Hello {
			got += " hello"
		}
		if got != c.want {
			t.Errorf("%s HELO %s MAIL %.60s: %s (%s), want %s", c.client, c.hello, c.from, got, s.Reason, c.want)
		}
		if n := len(fake.Asked()) - before; n > maxSPFQueries {
			t.Errorf("MAIL %.60s: %d questions", c.from, n)
		}
	}
}

// A DNS that never answers is waited for until the time is over, not longer,
// and says nothing of the sender.
func TestSPFWithoutAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := lookuptest.Zone(t, "silent.example.org SILENT\n")
		v, err := New(Config{Resolver: fake, Timeout: 2 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		s := v.SPF(t.Context(), netip.MustParseAddr("192.0.2.1"), "mail.example.com", "u@silent.example.org")
		if s.Result != TempError || time.Since(start) != 2*time.Second {
			t.Errorf("%+v after %v", s, time.Since(start))
		}
	})
}

// RFC 7208 section 7.3: of the names of a client, the domain itself is %{p}
// before one below it, and that before any other; those that do not lead back
// to the client are none.
func TestValidatedName(t *testing.T) {
	zone := `
1.2.0.192.in-addr.arpa PTR other.example.net
1.2.0.192.in-addr.arpa PTR a.example.org
1.2.0.192.in-addr.arpa PTR Example.org
1.2.0.192.in-addr.arpa PTR liar.example.com
other.example.net A 192.0.2.1
a.example.org A 192.0.2.1
example.org A 192.0.2.1
liar.example.com A 192.0.2.9
2.2.0.192.in-addr.arpa PTR liar.example.com
3.2.0.192.in-addr.arpa SERVFAIL
`
	for _, c := range []struct{ client, domain, want string }{
		{"192.0.2.1", "example.org", "Example.org"}, {"192.0.2.1", "org", "a.example.org"}, {"192.0.2.1", "example.com", "other.example.net"},
		{"192.0.2.2", "example.com", "unknown"}, {"192.0.2.3", "example.com", "unknown"}, {"192.0.2.4", "example.com", "unknown"},
	} {
		r := &spfResolver{resolver: lookuptest.Zone(t, zone), client: netip.MustParseAddr(c.client), sender: "u@" + c.domain}
		if got := r.validated(t.Context(), c.domain); got != c.want {
			t.Errorf("%s for %s: %s, want %s", c.client, c.domain, got, c.want)
		}
	}
}

func TestSPFTerms(t *testing.T) {
	for term, good := range map[string]bool{
		"all": true, "-ALL": true, "all:x.org": false, "all/8": false, "+-all": false, "a": true, "a:": false, "A:example.org": true,
		"a/24": true, "a/024": false, "a/33": false, "a//128": true, "a//129": false, "a/24//64": true, "a:example.org/24//64": true,
		"a:example.org/": false, "mx": true, "mx:%{d}": true, "mx:%{d}/30": true, "mx:example": false, "mx:example.org.": true, "mx:1.2.3.4": false,
		"include:example.org": true, "include": false, "include:": false, "include:%{x}": false, "include:%{d1r.-}.x.org": true,
		"ip4:192.0.2.1": true, "ip4:192.0.2.1/32": true, "ip4:192.0.2.1/": false, "ip4:192.0.2": false, "ip4:2001:db8::1": false, "ip4": false,
		"ip6:2001:db8::/32": true, "ip6:192.0.2.1": false, "ip6:::ffff:192.0.2.1": true, "ip6:fe80::1%eth0": false, "ip6:2001:db8::/129": false,
		"exists:%{i}.x.org": true, "exists": false, "ptr": true, "ptr:example.org": true, "ptr/8": false, "ptr:": false,
		"redirect=example.org": true, "redirect=": false, "redirect=a.org redirect=b.org": false, "exp=a.org exp=b.org": false, "exp=%{c}.org": false,
		"moo=cow": true, "moo=%{": false, "moo=%{d}%%%_%-": true, "moo.cow-1_2=": true, "=x": false, "9a=x": false, "-moo=cow": false, "moo:cow": false,
		"exists:a\x80.org": false, "\tall": false, "exists:%{d": false, "exists:%": false, "a%{d}": false,
	} {
		if err := checkTerms("v=spf1 " + term); (err == nil) != good {
			t.Errorf("%q: %v", term, err)
		}
	}
}

// withTexts is a resolver that has some TXT records beside the zone's, which
// may be of any bytes.
type withTexts struct {
	*lookuptest.Fake
	texts map[string]string
}

func (w withTexts) Query(ctx context.Context, name string, kind lookup.Kind) (lookup.Answer, error) {
	if text, ok := w.texts[lower(name)]; ok && kind == lookup.TXT {
		w.Fake.Query(ctx, name, kind) // so that it is counted
		return lookup.Answer{Records: []lookup.Record{{Text: text}}}, nil
	}
	return w.Fake.Query(ctx, name, kind)
}

// FuzzSPF: whatever a record says, the result is a word of the RFC, and no more
// is asked than is allowed.
func FuzzSPF(f *testing.F) {
	f.Add("v=spf1 a mx ptr exists:%{ir}.x.org include:b.example.org redirect=c.example.org", "v=spf1 ip4:192.0.2.0/24 ?all", "u@a.example.org", true)
	f.Add("v=spf1 a:%{p}.%{l1r-}.%{O}/24//64 -all", "v=spf1 mx:%%.%_.%-.org", "\"@\"@a.example.org", false)
	f.Add("v=spf1 include:a.example.org/x %{", "", "", false)
	f.Fuzz(func(t *testing.T, first, second, from string, four bool) {
		fake := lookuptest.Zone(t, "a.example.org A 192.0.2.7\nb.example.org MX 1 a.example.org\n1.2.0.192.in-addr.arpa PTR a.example.org\n")
		v, err := New(Config{Resolver: withTexts{fake, map[string]string{"a.example.org": first, "b.example.org": second}}})
		if err != nil {
			t.Fatal(err)
		}
		client := netip.MustParseAddr("2001:db8::1")
		if four {
			client = netip.MustParseAddr("192.0.2.1")
		}
		s := v.SPF(t.Context(), client, "mail.example.com", from)
		switch s.Result {
		case None, Neutral, Pass, Fail, SoftFail, PermError:
		default:
			t.Fatalf("%+v", s)
		}
		if strings.HasPrefix(s.Reason, "fault") {
			t.Fatalf("%+v", s)
		}
		if n := len(fake.Asked()); n > maxSPFQueries {
			t.Fatalf("%d questions", n)
		}
	})
}
