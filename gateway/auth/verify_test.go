package auth

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
	"spamcatcher/gateway/lookup"
	"spamcatcher/gateway/lookup/lookuptest"
)

func mail(raw string) *engine.Mail {
	return &engine.Mail{Message: message.Parse([]byte(raw), message.Limits{})}
}

func letterZone() string {
	return fmt.Sprintf("ed._domainkey.example.com TXT %q\n_dmarc.example.com TXT v=DMARC1; p=reject\nmail.example.com A 192.0.2.1\nmail.example.com TXT v=spf1 a -all\nexample.com TXT v=spf1 a:mail.example.com -all\n", edRecord())
}

func TestVerify(t *testing.T) {
	v, _ := verifier(t, letterZone())
	signed := string(sign(t, []byte(letter), "example.com", "ed", edKey(), "relaxed", "relaxed", letterFields...))
	good, bad := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for _, c := range []struct {
		name   string
		client netip.Addr
		from   string
		raw    string
		want   string
	}{
		{"all pass", good, "bounce@example.com", signed, "pass pass pass reject example.com example.com true none"},
		{"forwarded", bad, "bounce@example.com", signed, "fail pass pass reject example.com example.com true none"},
		{"not signed", good, "bounce@example.com", letter, "pass none pass reject example.com example.com true none"},
		{"forged", bad, "ann@example.com", letter, "fail none fail reject example.com example.com false none"},
		{"forged by one who passes", good, "eve@mail.example.net", strings.Replace(signed, "noon", "nine", 1), "none fail fail reject example.com example.com false none"},
		{"null sender, HELO of the author", good, "", letter, "pass none pass reject example.com example.com true none"},
		{"null sender, HELO of the author forged", bad, "", letter, "fail none fail reject example.com example.com false none"},
		{"two authors", good, "ann@example.com", "From: eve@example.net\r\n" + signed, "pass policy permerror    false none"},
		{"two authors, one forged", bad, "eve@example.net", "From: eve@example.net\r\n" + letter, "none none fail reject   false none"},
		{"two authors in one field, one forged", bad, "eve@example.net", "From: Eve <eve@example.net>, Ann <ann@example.com>\r\n\r\n", "none none fail reject   false none"},
		{"white space before the colon of the second", bad, "eve@example.net", "From : eve@example.net\r\n" + letter, "none none fail reject   false none"},
		{"the second in another case", bad, "eve@example.net", "FROM: eve@example.net\r\n" + letter, "none none fail reject   false none"},
		{"the second folded", bad, "eve@example.net", "From:\r\n eve@example.net\r\n" + letter, "none none fail reject   false none"},
		{"a second address, in brackets, coded", bad, "eve@example.net", "From: =?utf-8?q?x?= <eve@example.net><ann@example.com>\r\n\r\n", "none none fail reject   false none"},
		{"a route", bad, "eve@example.net", "From: <@example.net,@example.com:eve@example.org>\r\n\r\n", "none none fail reject   false none"},
		{"two @", bad, "eve@example.net", "From: ann@example.com@example.net\r\n\r\n", "none none fail reject   false none"},
		{"NUL behind the address", bad, "eve@example.net", "From: ann@example.com\x00.example.net\r\n\r\n", "none none fail reject   false none"},
		{"Sender and Resent-From are no authors", bad, "eve@example.net", "Sender: ann@example.com\r\nResent-From: ann@example.com\r\nFrom: eve@other.example\r\n\r\n", "none none none  other.example other.example false none"},
		{"no author", good, "ann@example.com", "Subject: x\r\n\r\n", "pass none permerror    false none"},
		{"an author in two readings", good, "ann@example.com", strings.Replace(letter, "<ann@example.com>", "<ann@example.com><eve@example.net>", 1), "pass none permerror    false none"},
		{"a partial signature does not prove the author", bad, "ann@example.com", sealWith(t, letter, "DKIM-Signature", "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.com; s=ed; l=5; h=from:to:subject:date; bh="+bh("Hello"), letterFields, edKey()),
			"fail policy fail reject example.com example.com false none"},
		{"an empty message", good, "ann@example.com", "", "pass none permerror    false none"},
	} {
		m := mail(c.raw)
		spf := v.SPF(t.Context(), c.client, "mail.example.com", c.from)
		a := v.Verify(t.Context(), m, spf)
		got := fmt.Sprintf("%s %s %s %s %s %s %v %s", a.SPF, a.DKIM, a.DMARC, a.Policy, a.From, a.Organization, a.Aligned, a.ARC)
		if got != c.want {
			t.Errorf("%s: %s, want %s (%s)", c.name, got, c.want, reasons(a.Signatures))
		}
	}
	if a := v.Verify(t.Context(), &engine.Mail{}, SPF{Result: Pass, Domain: "example.com"}); a.SPF != Pass || a.DMARC != "" || a.DKIM != "" {
		t.Errorf("without a message: %+v", a)
	}
	if a := v.Verify(t.Context(), mail(signed), SPF{}); a.SPF != "" || a.DMARC != Pass {
		t.Errorf("without SPF: %+v", a)
	}
	// Without SPF, who could be proved by it is in doubt: by the envelope.
	for _, c := range []struct {
		envelope    *string
		hello, want string
	}{
		{nil, "", TempError},
		{new("ann@example.com"), "", TempError},
		{new("ann@mail.example.com"), "", TempError},
		{new("eve@example.net"), "mail.example.com", Fail},
		{new(""), "mail.example.com", TempError},
		{new(""), "mail.example.net", Fail},
		{new(""), "localhost", Fail},
		{new("root"), "mail.example.com", Fail},
	} {
		for _, result := range []string{"", TempError} {
			m := mail(letter)
			m.Session.Hello = c.hello
			from := "nobody knows"
			if c.envelope != nil {
				m.Envelope.Known, m.Envelope.From, from = true, *c.envelope, *c.envelope
			}
			if a := v.Verify(t.Context(), m, SPF{Result: result}); a.DMARC != c.want || a.SPF != result || a.SPFDomain != "" {
				t.Errorf("SPF %q of %s, HELO %s: %+v", result, from, c.hello, a)
			}
		}
	}
}

// DNS that never answers, and DNS that answers after ten seconds: Verify ends
// with its time or the caller's, says temperror, and leaves nobody behind.
func TestVerifyWithoutAnswers(t *testing.T) {
	signed := string(sign(t, []byte(letter), "example.com", "ed", edKey(), "relaxed", "relaxed", letterFields...))
	silent := "example.com SILENT\n_dmarc.example.com SILENT\n_dmarc.com SILENT\ned._domainkey.example.com SILENT\n"
	for _, c := range []struct {
		name  string
		zone  string
		delay time.Duration
		own   time.Duration
		ctx   time.Duration
		want  time.Duration
	}{
		{"silent, its own time", silent, 0, 2 * time.Second, time.Minute, 2 * time.Second},
		{"silent, the caller's time", silent, 0, time.Minute, time.Second, time.Second},
		{"slow", letterZone(), 10 * time.Second, 2 * time.Second, time.Minute, 2 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			fake := lookuptest.Zone(t, c.zone)
			fake.Delay = c.delay
			v, err := New(Config{Resolver: fake, Timeout: c.own})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), c.ctx)
			defer cancel()
			start := time.Now()
			a := v.Verify(ctx, mail(signed), SPF{Result: TempError, Domain: "example.com"})
			if took := time.Since(start); took != c.want {
				t.Errorf("%s: took %v, want %v", c.name, took, c.want)
			}
			if a.DKIM != TempError || a.DMARC != TempError || a.Policy != "" || a.ARC != None || a.Aligned {
				t.Errorf("%s: %+v", c.name, a)
			}
		})
	}
}

// A slow but living DNS is waited for once, not once for each question.
func TestVerifyAsksSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := lookuptest.Zone(t, letterZone())
		fake.Delay = time.Second
		v, err := New(Config{Resolver: fake})
		if err != nil {
			t.Fatal(err)
		}
		signed := string(sign(t, []byte(letter), "example.com", "ed", edKey(), "relaxed", "relaxed", letterFields...))
		start := time.Now()
		a := v.Verify(t.Context(), mail(signed), SPF{Result: Fail, Domain: "example.com"})
		if took := time.Since(start); a.DMARC != Pass || took > 2*time.Second {
			t.Errorf("%+v after %v", a, took)
		}
	})
}

// A signature whose key's DNS is dead takes no time from what else is asked,
// though some of that is asked only when all keys are there.
func TestVerifyBesideDeadKey(t *testing.T) {
	const plain = "From: <ceo@victim.example>\r\nSubject: x\r\n\r\nhello\r\n"
	const slow = "DKIM-Signature: v=1; a=rsa-sha256; d=slow.example; s=k; h=from; bh=AAAA; b=AAAA\r\n"
	zone := fmt.Sprintf("_dmarc.victim.example TXT v=DMARC1; p=reject\ned._domainkey.mail.victim.example TXT %q\nk._domainkey.slow.example SILENT\n", edRecord())
	good := string(sign(t, []byte(plain), "mail.victim.example", "ed", edKey(), "relaxed", "relaxed", "From", "Subject"))
	for _, c := range []struct{ name, raw, want string }{
		{"signed below the author", good, "pass reject"},
		{"and by a dead zone", slow + good, "pass reject"},
		{"forged", slow + plain, "fail reject"},
		{"two authors", slow + "From: eve@evil.example\r\n" + plain, "fail reject"},
	} {
		synctest.Test(t, func(t *testing.T) {
			v, err := New(Config{Resolver: punctual{lookuptest.Zone(t, zone)}, Timeout: 2 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			a := v.Verify(t.Context(), mail(c.raw), SPF{Result: None, Domain: "evil.example"})
			if got := a.DMARC + " " + a.Policy; got != c.want || time.Since(start) > 2*time.Second {
				t.Errorf("%s: %s after %v, want %s", c.name, got, time.Since(start), c.want)
			}
		})
	}
}

// punctual is a resolver that knows nothing any more when its time is over.
type punctual struct{ lookup.Resolver }

func (p punctual) Query(ctx context.Context, name string, kind lookup.Kind) (lookup.Answer, error) {
	if err := ctx.Err(); err != nil {
		return lookup.Answer{}, err
	}
	return p.Resolver.Query(ctx, name, kind)
}

// faulty is a resolver with a bug.
type faulty struct{}

func (faulty) Query(context.Context, string, lookup.Kind) (lookup.Answer, error) { panic("a bug") }

// A bug in what answers is DNS trouble: no reason to end the process, nor a
// finding.
func TestVerifyWithFaults(t *testing.T) {
	v, err := New(Config{Resolver: faulty{}})
	if err != nil {
		t.Fatal(err)
	}
	signed := string(sign(t, []byte(letter), "example.com", "ed", edKey(), "relaxed", "relaxed", letterFields...))
	for _, raw := range []string{signed, addSet(t, signed, 1, "none", "example.org"), "From: eve@example.net\r\n" + letter} {
		if a := v.Verify(t.Context(), mail(raw), SPF{Result: None, Domain: "example.net"}); a.DMARC == Fail || a.DMARC == Pass || a.DKIM == Fail || a.ARC == Fail || a.Unclear {
			t.Errorf("%+v", a)
		}
	}
}

func TestTrustedSealers(t *testing.T) {
	plain := "From: <ann@example.com>\r\nTo: x@example.net\r\nSubject: x\r\nDate: Mon, 23 Nov 2026 08:00:00 +0000\r\n\r\nhello\r\n"
	for _, c := range []struct {
		trusted string
		raw     string
		want    bool
	}{
		{"", addSet(t, plain, 1, "none", "lists.example.org"), false},
		{"Lists.Example.ORG", addSet(t, plain, 1, "none", "lists.example.org"), true},
		{"example.org", addSet(t, plain, 1, "none", "lists.example.org"), true},
		{"ists.example.org", addSet(t, plain, 1, "none", "lists.example.org"), false},
		{"example.org", strings.Replace(addSet(t, plain, 1, "none", "lists.example.org"), "ann@", "eve@", 1), false},
		{"example.org", addSet(t, addSet(t, plain, 1, "none", "lists.example.org"), 2, "pass", "evil.example"), false},
		{"example.org", plain, false},
	} {
		fake := lookuptest.Zone(t, fmt.Sprintf("*.example.org TXT %[1]q\ned._domainkey.evil.example TXT %[1]q\n", edRecord()))
		config := Config{Resolver: fake}
		if c.trusted != "" {
			config.TrustedSealers = []string{"other.example", c.trusted}
		}
		v, err := New(config)
		if err != nil {
			t.Fatal(err)
		}
		if a := v.Verify(t.Context(), mail(c.raw), SPF{Result: None}); a.SealerTrusted != c.want {
			t.Errorf("trusted %q: %+v", c.trusted, a)
		}
	}
	if _, err := New(Config{Resolver: lookuptest.Zone(t, ""), TrustedSealers: []string{"a..b"}}); err == nil {
		t.Error("made with a sealer that is no domain")
	}
}

func TestVerifierConfig(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("made without a resolver")
	}
	if _, err := New(Config{Resolver: lookuptest.Zone(t, ""), MaxSignatures: -1}); err == nil {
		t.Error("made with a negative limit")
	}
}

// The most expensive mail we could think of: what it costs is bounded.
func TestExpensiveMail(t *testing.T) {
	names := strings.Repeat("from:x:", 99) + "from"
	var b strings.Builder
	for i := range 50 {
		fmt.Fprintf(&b, "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=s%d; h=%s; bh=%s; b=%s\r\n", i, names, bh("x"), strings.Repeat("AAAA", 128))
	}
	for i := range 9000 {
		fmt.Fprintf(&b, "X: %d\r\n", i)
	}
	b.WriteString("From: a@example.com\r\n\r\n")
	b.WriteString(strings.Repeat(" \t x \r\n\r\n", 200_000))
	v, fake := verifier(t, fmt.Sprintf("*._domainkey.example.com TXT %q\n", rsaRecord(t, rsaKey())))
	m := mail(b.String())
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	a := v.Verify(t.Context(), m, SPF{Result: None})
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	if len(a.Signatures) != 5 || a.DKIM != Fail || len(fake.Asked()) > 5+maxDMARCQueries {
		t.Errorf("%d signatures, %s, %d questions", len(a.Signatures), a.DKIM, len(fake.Asked()))
	}
	t.Logf("FIGURES a mail of %d bytes with 50 signatures of 200 names took %v and %d bytes of memory", b.Len(), took, after.TotalAlloc-before.TotalAlloc)
	if took > 20*time.Second {
		t.Errorf("took %v", took)
	}
}

// BenchmarkVerify verifies a signed message of 5 KB; the answer is checked.
func BenchmarkVerify(b *testing.B) {
	text := letter + strings.Repeat("This is a line of a letter that goes on for quite a while.\r\n", 80)
	zone := letterZone() + fmt.Sprintf("rsa._domainkey.example.com TXT %q\n", rsaRecord(b, rsaKey()))
	for _, c := range []struct {
		name string
		raw  []byte
	}{
		{"ed25519", sign(b, []byte(text), "example.com", "ed", edKey(), "relaxed", "relaxed", letterFields...)},
		{"rsa2048", sign(b, []byte(text), "example.com", "rsa", rsaKey(), "relaxed", "relaxed", letterFields...)},
		{"unsigned", []byte(text)},
	} {
		b.Run(c.name, func(b *testing.B) {
			v, _ := verifier(b, zone)
			m := mail(string(c.raw))
			b.SetBytes(int64(len(c.raw)))
			b.ReportAllocs()
			for b.Loop() {
				a := v.Verify(b.Context(), m, SPF{Result: Pass, Domain: "example.com"})
				if a.DMARC != Pass || c.name != "unsigned" && a.DKIM != Pass {
					b.Fatalf("%+v", a)
				}
			}
		})
	}
}
