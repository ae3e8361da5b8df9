package auth

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
	"spamcatcher/gateway/lookup/lookuptest"
)

// The cases of DMARC: zone data, where "example.com: p=reject" stands for the
// TXT record "v=DMARC1; p=reject" of _dmarc.example.com; the Author Domain; what
// SPF and DKIM said, "+" for pass, "?" for temperror, "-" for fail, "~" for not
// evaluated; and the result: result, policy, Organizational Domain, aligned.
var dmarcCases = []struct {
	name, zone, author, spf, dkim, want string
}{
	// Whether it applies.
	{"no record", "", "example.com", "+example.com", "", "none - example.com aligned"},
	{"no record, nothing proved", "", "example.com", "-example.com", "", "none - example.com"},
	{"no record, relaxed by the public suffix list", "", "example.com", "+bounce.example.com", "", "none - example.com aligned"},
	{"no record, another domain", "", "example.com", "+example.net", "", "none - example.com"},
	{"no record, a public suffix is nobody's", "", "a.co.uk", "+b.co.uk", "", "none - a.co.uk"},
	{"record of another version", "raw _dmarc.example.com v=DMARC2; p=reject", "example.com", "-example.com", "", "none - example.com"},
	{"version not first", "raw _dmarc.example.com p=reject; v=DMARC1", "example.com", "-example.com", "", "none - example.com"},
	{"version in lower case", "raw _dmarc.example.com v=dmarc1; p=reject", "example.com", "-example.com", "", "none - example.com"},
	{"version with white space", "raw _dmarc.example.com v = DMARC1 ; p = reject", "example.com", "-example.com", "", "fail reject example.com"},
	{"version alone", "raw _dmarc.example.com v=DMARC1", "example.com", "-example.com", "", "fail none example.com"},
	{"version that goes on", "raw _dmarc.example.com v=DMARC1x; p=reject", "example.com", "-example.com", "", "none - example.com"},
	{"no semicolon behind the version", "raw _dmarc.example.com v=DMARC1 p=reject", "example.com", "-example.com", "", "none - example.com"},
	{"two records", "example.com: p=reject\nexample.com: p=none", "example.com", "-example.com", "", "none - example.com"},
	{"a record beside other texts", "raw _dmarc.example.com hello\nexample.com: p=reject", "example.com", "-example.com", "", "fail reject example.com"},
	{"record at the domain itself", "raw example.com v=DMARC1; p=reject", "example.com", "-example.com", "", "none - example.com"},

	// Results and policies.
	{"pass by SPF", "example.com: p=reject", "example.com", "+example.com", "", "pass reject example.com aligned"},
	{"pass by DKIM", "example.com: p=reject", "example.com", "-example.net", "+example.com", "pass reject example.com aligned"},
	{"pass by the second signature", "example.com: p=reject", "example.com", "-example.net", "+example.net +example.com", "pass reject example.com aligned"},
	{"fail", "example.com: p=reject", "example.com", "+example.net", "+example.org", "fail reject example.com"},
	{"fail without anything", "example.com: p=quarantine", "example.com", "-example.com", "", "fail quarantine example.com"},
	{"fail, none", "example.com: p=none", "example.com", "-example.com", "-example.com", "fail none example.com"},
	{"policy in upper case", "example.com: P=REJECT", "example.com", "-example.com", "", "fail reject example.com"},
	{"p missing", "example.com: rua=mailto:a@example.com", "example.com", "-example.com", "", "fail none example.com"},
	{"p missing, sp there", "example.com: sp=reject", "example.com", "-example.com", "", "fail none example.com"},
	{"p invalid, with reports", "example.com: p=refuse; sp=reject; rua=mailto:a@example.com", "example.com", "-example.com", "", "fail none example.com"},
	{"p invalid, without reports", "example.com: p=refuse", "example.com", "-example.com", "", "permerror - example.com"},
	{"p invalid, report address invalid", "example.com: p=refuse; rua=nobody", "example.com", "-example.com", "", "permerror - example.com"},
	{"p empty", "example.com: p=", "example.com", "-example.com", "", "permerror - example.com"},
	{"sp invalid", "example.com: p=reject; sp=maybe", "example.com", "-example.com", "", "permerror - example.com"},
	{"np invalid, with reports", "example.com: p=reject; np=maybe; rua=mailto:a@example.com!10m", "example.com", "-example.com", "", "fail none example.com"},
	{"unusable record, aligned all the same", "example.com: p=refuse", "example.com", "+example.com", "", "permerror - example.com aligned"},
	{"p twice, the first counts", "example.com: p=none; p=reject", "example.com", "-example.com", "", "fail none example.com"},
	{"unknown tags", "example.com: x=y; p=reject; pct=0; rf=afrf; ri=1; zz", "example.com", "-example.com", "", "fail reject example.com"},
	{"invalid values of other tags", "example.com: p=reject; adkim=x; aspf=; psd=maybe; t=yes; fo=q", "example.com", "+a.example.com", "", "pass reject example.com aligned"},
	{"t=y with reject", "example.com: p=reject; t=y", "example.com", "-example.com", "", "fail quarantine example.com"},
	{"t=y with quarantine", "example.com: p=quarantine; t=y", "example.com", "-example.com", "", "fail none example.com"},
	{"t=y with none", "example.com: p=none; t=y", "example.com", "-example.com", "", "fail none example.com"},
	{"t=n", "example.com: p=reject; t=n", "example.com", "-example.com", "", "fail reject example.com"},

	// Policy discovery.
	{"own record before the organisation's", "example.com: p=reject\na.example.com: p=none", "a.example.com", "-a.example.com", "", "fail none example.com"},
	{"own record: sp of it is not for itself", "a.example.com: p=none; sp=reject", "a.example.com", "-a.example.com", "", "fail none a.example.com"},
	{"inherited p", "example.com: p=reject\na.example.com A 192.0.2.1", "a.example.com", "-a.example.com", "", "fail reject example.com"},
	{"inherited sp", "example.com: p=reject; sp=quarantine\na.example.com A 192.0.2.1", "a.example.com", "-a.example.com", "", "fail quarantine example.com"},
	{"inherited np, domain missing", "example.com: p=none; sp=none; np=reject", "a.example.com", "-a.example.com", "", "fail reject example.com"},
	{"inherited np, domain there", "example.com: p=none; sp=quarantine; np=reject\na.example.com MX 1 mx.example.com", "a.example.com", "-a.example.com", "", "fail quarantine example.com"},
	{"inherited np, empty non-terminal", "example.com: p=none; np=reject\nb.a.example.com A 192.0.2.1", "a.example.com", "-a.example.com", "", "fail none example.com"},
	{"np not given: sp", "example.com: p=none; sp=quarantine", "a.example.com", "-a.example.com", "", "fail quarantine example.com"},
	{"np weaker than p", "example.com: p=reject; np=none", "a.example.com", "-a.example.com", "", "fail none example.com"},
	{"np, existence not known: the weaker", "example.com: p=none; np=reject\na.example.com A SERVFAIL", "a.example.com", "-a.example.com", "", "fail none example.com"},
	{"np with t=y", "example.com: p=none; np=reject; t=y", "a.example.com", "-a.example.com", "", "fail quarantine example.com"},
	{"sp of the organisation, not of one between", "example.com: p=none; sp=reject\nb.example.com: p=quarantine; sp=quarantine\na.b.example.com A 192.0.2.1", "a.b.example.com", "-a.b.example.com", "", "fail reject example.com"},
	{"far below", "example.com: p=reject\na.b.c.d.e.f.example.com A 192.0.2.1", "a.b.c.d.e.f.example.com", "-x.example", "", "fail reject example.com"},
	{"twenty labels", "example.com: p=reject\na.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.example.com A 192.0.2.1", "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.example.com", "-x.example", "", "fail reject example.com"},
	{"twenty labels, a record that the walk leaps over", "e.f.g.h.i.j.k.l.m.n.o.p.q.r.example.com: p=reject", "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.example.com", "-x.example", "", "none - example.com"},

	// Organizational Domain and alignment.
	{"relaxed below", "example.com: p=reject", "example.com", "+a.b.example.com", "", "pass reject example.com aligned"},
	{"relaxed above", "example.com: p=reject", "a.example.com", "", "+example.com", "pass reject example.com aligned"},
	{"relaxed beside", "example.com: p=reject", "a.example.com", "", "+b.example.com", "pass reject example.com aligned"},
	{"relaxed needs a boundary", "example.com: p=reject", "example.com", "+notexample.com", "", "fail reject example.com"},
	{"strict SPF", "example.com: p=reject; aspf=s", "example.com", "+a.example.com", "", "fail reject example.com"},
	{"strict SPF, the same", "example.com: p=reject; aspf=s", "example.com", "+example.com", "", "pass reject example.com aligned"},
	{"strict DKIM", "example.com: p=reject; adkim=s", "example.com", "-x.example", "+a.example.com", "fail reject example.com"},
	{"strict DKIM, relaxed SPF", "example.com: p=reject; adkim=s", "example.com", "+a.example.com", "+a.example.com", "pass reject example.com aligned"},
	{"psd=n is an organisation of its own", "example.com: p=reject\nb.example.com: p=reject; psd=n", "b.example.com", "+example.com", "", "fail reject b.example.com"},
	{"psd=n, below it", "example.com: p=reject\nb.example.com: p=reject; psd=n", "a.b.example.com", "-x.example", "+c.b.example.com", "pass reject b.example.com aligned"},
	{"psd=n of the identifier", "example.com: p=reject\nb.example.com: p=reject; psd=n", "example.com", "+b.example.com", "", "fail reject example.com"},
	{"psd=y above", "com: p=reject; psd=y", "example.com", "+a.example.com", "", "pass reject example.com aligned"},
	{"psd=y above, the neighbour", "com: p=reject; psd=y", "a.com", "+b.com", "", "fail reject a.com"},
	{"psd=y: its sp", "com: p=none; sp=quarantine; psd=y\nexample.com A 192.0.2.1", "example.com", "-x.example", "", "fail quarantine example.com"},
	{"psd=y: its np", "com: p=none; np=reject; psd=y", "example.com", "-x.example", "", "fail reject example.com"},
	{"psd=y does not speak for an organisation with a record", "com: p=reject; psd=y\nexample.com: p=none", "example.com", "-x.example", "", "fail none example.com"},
	{"psd=y of two levels", "bank.example: p=reject; psd=y\nexample: p=none; psd=y", "www.abc.bank.example", "+abc.bank.example", "", "pass reject abc.bank.example aligned"},
	{"psd=y, and a record below the organisation", "com: p=none; sp=reject; psd=y\nb.example.com: p=quarantine\na.b.example.com A 192.0.2.1", "a.b.example.com", "-x.example", "", "fail reject example.com"},
	{"the author is the PSD", "com: p=reject; psd=y", "com", "+com", "", "pass reject com aligned"},
	{"the author is the PSD, a customer is not", "com: p=reject; psd=y", "com", "+example.com", "", "fail reject com"},
	{"record of a top-level domain without psd", "com: p=reject\nexample.com: p=none", "example.com", "+other.com", "", "pass none com aligned"},
	{"fewest labels", "example.com: p=reject\nb.example.com: p=reject", "b.example.com", "+c.example.com", "", "pass reject example.com aligned"},
	{"nothing above one's own record", "b.example.com: p=reject", "b.example.com", "+example.com", "", "fail reject b.example.com"},
	{"upper case was folded before", "example.com: p=reject", "example.com", "+example.com", "", "pass reject example.com aligned"},

	// DNS trouble is nobody's fault.
	{"own record unknown", "_dmarc.example.com SERVFAIL", "example.com", "+example.com", "", "temperror - - aligned"},
	{"own record unknown, nothing proved", "_dmarc.example.com SERVFAIL", "example.com", "-example.com", "", "temperror - -"},
	{"unknown above one's own record", "example.com: p=reject\n_dmarc.com SERVFAIL", "example.com", "+a.example.com", "", "temperror reject -"},
	{"unknown above, the same domain", "example.com: p=reject\n_dmarc.com SERVFAIL", "example.com", "+example.com", "", "pass reject - aligned"},
	{"unknown above, nothing proved", "example.com: p=reject\n_dmarc.com SERVFAIL", "example.com", "-example.com", "", "temperror reject -"},
	{"unknown behind the end of the walk", "example.com: p=reject; psd=n\n_dmarc.com SERVFAIL", "example.com", "-example.com", "", "fail reject example.com"},
	{"SPF unknown", "example.com: p=reject", "example.com", "?example.com", "", "temperror reject example.com"},
	{"SPF of a stranger unknown", "example.com: p=reject", "example.com", "?example.net", "", "fail reject example.com"},
	{"SPF unknown, DKIM passed", "example.com: p=reject", "example.com", "?example.com", "+example.com", "pass reject example.com aligned"},
	{"a key unknown", "example.com: p=reject", "example.com", "-x.example", "?example.com", "temperror reject example.com"},
	{"a stranger's key unknown", "example.com: p=reject", "example.com", "-x.example", "?example.net", "fail reject example.com"},
	{"the identifier's walk unknown", "example.com: p=reject\n_dmarc.b.example.com SERVFAIL", "example.com", "+b.example.com", "", "temperror reject example.com"},
	{"SPF not evaluated", "example.com: p=reject", "example.com", "~", "", "temperror reject example.com"},
	{"SPF not evaluated for a stranger", "example.com: p=reject", "example.com", "~example.net", "", "fail reject example.com"},
	{"SPF not evaluated for one below", "example.com: p=reject", "example.com", "~a.example.com", "", "temperror reject example.com"},
	{"SPF not evaluated for one below, strict", "example.com: p=reject; aspf=s", "example.com", "~a.example.com", "", "fail reject example.com"},
	{"SPF unknown, nobody knows for whom", "example.com: p=reject", "example.com", "?", "", "temperror reject example.com"},
	{"SPF not evaluated, DKIM passed", "example.com: p=reject", "example.com", "~", "+example.com", "pass reject example.com aligned"},
}

var words = map[byte]string{'+': Pass, '-': Fail, '?': TempError}

// zoneOf writes out the short form of records.
func zoneOf(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if raw, ok := strings.CutPrefix(line, "raw "); ok {
			name, record, _ := strings.Cut(raw, " ")
			fmt.Fprintf(&b, "%s TXT %q\n", name, record)
		} else if name, tags, ok := strings.Cut(line, ": "); ok {
			fmt.Fprintf(&b, "_dmarc.%s TXT %q\n", name, "v=DMARC1; "+tags)
		} else {
			fmt.Fprintln(&b, line)
		}
	}
	return b.String()
}

func TestDMARC(t *testing.T) {
	for _, c := range dmarcCases {
		fake := lookuptest.Zone(t, zoneOf(c.zone))
		spf := SPF{Result: None}
		if c.spf != "" {
			spf = SPF{Result: words[c.spf[0]], Domain: c.spf[1:]}
		}
		var list []engine.Signature
		for _, s := range strings.Fields(c.dkim) {
			list = append(list, engine.Signature{Domain: s[1:], Result: words[s[0]]})
		}
		w := &walker{resolver: fake, left: maxDMARCQueries}
		v := evaluate(t.Context(), w, w.discover(t.Context(), c.author), spf, list)
		dash := func(s string) string {
			if s == "" {
				return "-"
			}
			return s
		}
		got := fmt.Sprintf("%s %s %s", v.result, dash(v.policy), dash(v.organization))
		if v.aligned {
			got += " aligned"
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if n := len(fake.Asked()); n > maxDMARCQueries {
			t.Errorf("%s: %d questions", c.name, n)
		}
	}
	if len(dmarcCases) < 60 {
		t.Errorf("%d cases", len(dmarcCases))
	}
}

// The names of RFC 9989 section 4.10's example, and at the borders.
func TestTargets(t *testing.T) {
	for domain, want := range map[string]string{
		"a.b.c.d.e.f.g.h.i.j.mail.example.com": "a.b.c.d.e.f.g.h.i.j.mail.example.com g.h.i.j.mail.example.com h.i.j.mail.example.com i.j.mail.example.com j.mail.example.com mail.example.com example.com com",
		"com":                                  "com",
		"1.2.3.4.5.6.7.8":                      "1.2.3.4.5.6.7.8 2.3.4.5.6.7.8 3.4.5.6.7.8 4.5.6.7.8 5.6.7.8 6.7.8 7.8 8",
		"0.1.2.3.4.5.6.7.8":                    "0.1.2.3.4.5.6.7.8 2.3.4.5.6.7.8 3.4.5.6.7.8 4.5.6.7.8 5.6.7.8 6.7.8 7.8 8",
	} {
		if got := strings.Join(namesAbove(domain), " "); got != want {
			t.Errorf("%s: %s", domain, got)
		}
	}
}

// However many signatures of deep domains a message has, no more is asked.
func TestDMARCQuestionsAreBounded(t *testing.T) {
	fake := lookuptest.Zone(t, zoneOf("example.com: p=reject; np=none"))
	var list []engine.Signature
	for i := range 5 {
		list = append(list, engine.Signature{Domain: fmt.Sprintf("a%d.b%d.c%d.d.e.f.example.com", i, i, i), Result: Pass})
	}
	w := &walker{resolver: fake, left: maxDMARCQueries}
	v := evaluate(t.Context(), w, w.discover(t.Context(), "x.y.z.a.b.c.d.example.com"), SPF{Result: Fail}, list)
	if n := len(fake.Asked()); n != maxDMARCQueries || v.result != TempError {
		t.Errorf("%d questions, %+v", n, v)
	}
}

func TestAuthorDomain(t *testing.T) {
	for _, c := range []struct{ header, want string }{
		{"From: a@Example.COM", "example.com"},
		{"From: A <a@example.com>", "example.com"},
		{"From: a@example.com, B <b@example.com>", "example.com"},
		{"From: Group: a@example.com, b@example.com;", "example.com"},
		{"From: a@grün.example", "xn--grn-ioa.example"},
		{"From: \"a@example.net\" <a@example.com>", "example.com"},
		{"From: a@example.net <a@example.com>", "example.com"},
		{"From: (a@example.net) a@example.com", "example.com"},
		{"From: \"quoted\\\"@example.net\" <a@example.com> (c)", "example.com"},
		{"From: =?utf-8?q?a=40example=2Enet?= <a@example.com>", "example.com"},
		{"From: a@example.com.", "example.com"},
		{"Subject: none", errNoAuthor.Error()},
		{"From:", errNoAuthor.Error()},
		{"From: root", errNoAuthor.Error()},
		{"From: undisclosed:;", errNoAuthor.Error()},
		{"From: a@example.com\nFrom: a@example.com", errManyAuthor.Error()},
		{"From: a@example.com, b@example.net", errManyAuthor.Error()},
		{"From: <a@example.com>, <b@example.net>", errManyAuthor.Error()},
		{"From: <a@example.com><b@example.net>", errUnclear.Error()},
		{"From: <a@example.com> b@example.net", errUnclear.Error()},
		{"From: <@example.net:a@example.com>", errUnclear.Error()},
		{"From: <@example.net,@example.org:a@example.com>", errUnclear.Error()},
		{"From: <a@example.net@example.com>", errUnclear.Error()},
		{"From: a@example.net@example.com", errUnclear.Error()},
		{"From: <a@example.com", errUnclear.Error()},
		{"From: \"a@example.net <a@example.com>", errUnclear.Error()},
		{"From: (a <a@example.com>", errUnclear.Error()},
		{"From: a@example.com\x00b@example.net", errUnclear.Error()},
		{"From: a@example..com", errUnclear.Error()},
		{"From: a@" + strings.Repeat("x", 64) + ".com", errUnclear.Error()},
	} {
		h := message.Parse([]byte(strings.ReplaceAll(c.header, "\n", "\r\n")+"\r\n\r\n"), message.Limits{}).Header()
		got, err := authorDomain(h)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%q: %s, want %s", c.header, got, c.want)
		}
	}
}

// FuzzDMARC: whatever records say, the result is a word, the policy too, and
// the walk ends.
func FuzzDMARC(f *testing.F) {
	f.Add("v=DMARC1; p=reject; sp=none; np=quarantine; psd=y; t=y; adkim=s", "v=DMARC1;p=none", "a.b.example.com", "example.com")
	f.Add("v=DMARC1", "v = DMARC1 ;;;=;p", "com", "x")
	f.Add("v=DMARC1; p=x; rua=mailto:a@b,://,!", "", "a.a.a.a.a.a.a.a.a.a.a", "a.a")
	f.Fuzz(func(t *testing.T, own, above, author, signer string) {
		author, ok := fold(author)
		if !ok {
			return
		}
		_, parent, _ := strings.Cut(author, ".")
		fake := lookuptest.Zone(t, "")
		r := withTexts{fake, map[string]string{"_dmarc." + author: own, "_dmarc." + parent: above}}
		w := &walker{resolver: r, left: maxDMARCQueries}
		v := evaluate(t.Context(), w, w.discover(t.Context(), author), SPF{Result: Pass, Domain: signer}, []engine.Signature{{Domain: signer, Result: Pass}})
		if !slices.Contains([]string{None, Pass, Fail, PermError}, v.result) || !slices.Contains([]string{"", None, "quarantine", "reject"}, v.policy) {
			t.Fatalf("%+v", v)
		}
		if v.organization != author && !strings.HasSuffix(author, "."+v.organization) {
			t.Fatalf("organization %s of %s", v.organization, author)
		}
		if n := len(fake.Asked()); n > maxDMARCQueries {
			t.Fatalf("%d questions", n)
		}
	})
}
