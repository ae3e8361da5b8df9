package auth

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/authres"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
)

func TestResults(t *testing.T) {
	from := message.Parse([]byte("From: a@author.example\r\n\r\n"), message.Limits{})
	for _, c := range []struct {
		name string
		mail engine.Mail
		want string
	}{
		{"nothing", engine.Mail{Message: from}, "mx.example.com;|none"},
		{"all", engine.Mail{Message: from, Session: engine.Session{Client: netip.MustParseAddr("192.0.2.1")}, Auth: engine.Auth{
			SPF: Pass, SPFDomain: "example.org", DKIM: Pass, DMARC: Fail, ARC: None, IPRev: Pass, From: "example.com", Policy: "reject",
			Signatures: []engine.Signature{{Domain: "example.com", Selector: "s1", Result: Fail}, {Domain: "example.net", Selector: "s2", Result: Pass}}}},
			"mx.example.com;|spf=pass smtp.mailfrom=example.org;|dkim=fail header.d=example.com header.s=s1;|dkim=pass header.d=example.net header.s=s2;|" +
				"dmarc=fail header.from=example.com policy.dmarc=reject;|arc=none;|iprev=pass policy.iprev=192.0.2.1"},
		{"null sender", engine.Mail{Auth: engine.Auth{SPF: Neutral, SPFDomain: "mail.example.org", SPFHello: true}}, "mx.example.com;|spf=neutral smtp.helo=mail.example.org"},
		{"no domain for SPF", engine.Mail{Session: engine.Session{Hello: "[192.0.2.1]"}, Auth: engine.Auth{SPF: None, SPFHello: true}}, "mx.example.com;|spf=none"},
		{"IPv6", engine.Mail{Session: engine.Session{Client: netip.MustParseAddr("2001:db8::1")}, Auth: engine.Auth{IPRev: Fail}}, `mx.example.com;|iprev=fail policy.iprev="2001:db8::1"`},
		{"not signed", engine.Mail{Message: from, Auth: engine.Auth{DKIM: None, DMARC: None}}, "mx.example.com;|dkim=none;|dmarc=none header.from=author.example"},
		{"long names", engine.Mail{Auth: engine.Auth{DKIM: Pass, Signatures: []engine.Signature{{Domain: strings.Repeat("long.", 12) + "example", Selector: strings.Repeat("s", 60), Result: Pass}}}},
			"mx.example.com;|dkim=pass|header.d=" + strings.Repeat("long.", 12) + "example|header.s=" + strings.Repeat("s", 60)},
		{"hostile", engine.Mail{Auth: engine.Auth{DMARC: Fail, From: "a;\r\nX: y (\"", Policy: "none; spf=pass", DKIM: Fail, Signatures: []engine.Signature{{Domain: "a; spf=pass", Selector: "é\x00", Result: "fa il"}}}},
			"mx.example.com;|dkim=fa?il header.d=a??spf?pass header.s=??;|dmarc=fail header.from=a???X:?y???"},
	} {
		if got := strings.Join(Results("mx.example.com", &c.mail), "|"); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

// However many signatures there are, there is an end, and DMARC is in it.
func TestResultsAreBounded(t *testing.T) {
	m := &engine.Mail{Auth: engine.Auth{SPF: Pass, DKIM: Pass, DMARC: Pass, ARC: Pass, IPRev: Pass}}
	for range 100 {
		m.Auth.Signatures = append(m.Auth.Signatures, engine.Signature{Domain: "example.com", Selector: "s", Result: Pass})
	}
	text := strings.Join(Results("mx.example.com", m), " ")
	if n := strings.Count(text, "=pass"); n != maxResults {
		t.Errorf("%d results", n)
	}
	for _, last := range []string{"dmarc=pass", "arc=pass", "iprev=pass"} {
		if !strings.Contains(text, last) {
			t.Errorf("no %s", last)
		}
	}
}

// parsed is what a reader finds: a line for each result.
func parsed(t *testing.T, field string) string {
	t.Helper()
	host, list, err := authres.Parse(field)
	if err != nil {
		t.Fatalf("%v: %q", err, field)
	}
	lines := []string{host}
	for _, r := range list {
		switch r := r.(type) {
		case *authres.SPFResult:
			lines = append(lines, fmt.Sprintf("spf %s %s %s", r.Value, r.From, r.Helo))
		case *authres.DKIMResult:
			lines = append(lines, fmt.Sprintf("dkim %s %s", r.Value, r.Domain))
		case *authres.DMARCResult:
			lines = append(lines, fmt.Sprintf("dmarc %s %s", r.Value, r.From))
		case *authres.IPRevResult:
			lines = append(lines, fmt.Sprintf("iprev %s %s", r.Value, r.IP))
		case *authres.ARCResult:
			lines = append(lines, fmt.Sprintf("arc %s", r.Value))
		case *authres.GenericResult:
			lines = append(lines, fmt.Sprintf("%s %s", r.Method, r.Value))
		default:
			t.Fatalf("a result of type %T in %q", r, field)
		}
	}
	return strings.Join(lines, "\n")
}

// Whatever the facts are, a reader finds the results that were put in, in
// their order, and no other.
func TestResultsAreReadAsWritten(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"a", "example.org", ";", "=", " ", "\r\n", "(", ")", "\"", "\\", "dkim=pass", "é", "\x00", "/", "@", "[", "]", "-", "\xff", "spf=pass smtp.mailfrom=x"}
	text := func() string {
		s := "x"
		for range r.IntN(6) {
			s += pieces[r.IntN(len(pieces))]
		}
		return s
	}
	words := []string{None, Pass, Fail, SoftFail, Neutral, Policy, TempError, PermError, ""}
	word := func() string { return words[r.IntN(len(words))] }
	clean := func(s string) string { _, v, _ := strings.Cut(property("x", s), "="); return v }
	for range 20_000 {
		m := &engine.Mail{Session: engine.Session{Client: netip.MustParseAddr("192.0.2.1")}}
		a := &m.Auth
		*a = engine.Auth{SPF: word(), SPFDomain: text(), SPFHello: r.IntN(2) == 0, DKIM: word(), DMARC: word(), ARC: word(), IPRev: word(), From: text(), Policy: text(), Sealer: text()}
		for range r.IntN(4) {
			a.Signatures = append(a.Signatures, engine.Signature{Domain: text(), Selector: text(), Result: words[r.IntN(8)], Reason: text()})
		}
		want := []string{"mx.example.com"}
		if a.SPF != "" && a.SPFHello {
			want = append(want, fmt.Sprintf("spf %s  %s", a.SPF, clean(a.SPFDomain)))
		} else if a.SPF != "" {
			want = append(want, fmt.Sprintf("spf %s %s ", a.SPF, clean(a.SPFDomain)))
		}
		if len(a.Signatures) == 0 && a.DKIM != "" {
			want = append(want, "dkim "+a.DKIM+" ")
		}
		for _, s := range a.Signatures {
			want = append(want, fmt.Sprintf("dkim %s %s", s.Result, clean(s.Domain)))
		}
		if a.DMARC != "" {
			want = append(want, fmt.Sprintf("dmarc %s %s", a.DMARC, clean(a.From)))
		}
		if a.ARC != "" {
			want = append(want, "arc "+a.ARC)
		}
		if a.IPRev != "" {
			want = append(want, "iprev "+a.IPRev+" 192.0.2.1")
		}
		list := Results("mx.example.com", m)
		field := strings.Join(list, "\r\n\t")
		if slices.ContainsFunc([]byte(strings.Join(list, " ")), func(c byte) bool { return c < ' ' || c > '~' }) {
			t.Fatalf("%q", list)
		}
		if len(want) == 1 {
			if list[1] != "none" {
				t.Fatalf("%q", list)
			}
			continue
		}
		if got := parsed(t, strings.ReplaceAll(field, "\r\n", "")); got != strings.Join(want, "\n") {
			t.Fatalf("read:\n%s\nwritten:\n%s\nfrom %q", got, strings.Join(want, "\n"), field)
		}
	}
}
