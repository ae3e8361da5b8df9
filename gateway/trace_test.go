package gateway

import (
	"crypto/tls"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
	"spamcatcher/gateway/policy"
)

var testTime = time.Date(2026, 11, 23, 9, 8, 7, 0, time.FixedZone("", 3600))

func baseTrace() trace {
	return trace{
		host: host,
		id:   "ID1",
		mail: &engine.Mail{
			Session:  engine.Session{Client: netip.MustParseAddr("192.0.2.1"), Hello: "client.example.org", ESMTP: true},
			Envelope: engine.Envelope{Known: true, From: "a@example.org", To: []string{"u@example.com"}},
			Message:  message.Parse([]byte("From: a@author.example\r\n\r\n"), message.Limits{}),
		},
		time: testTime,
	}
}

func TestFieldsAdded(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*trace, *policy.Outcome)
		want   string
	}{
		{"plain", func(*trace, *policy.Outcome) {}, `
Received: from client.example.org ([192.0.2.1]) by mx.example.com with ESMTP
	id ID1 for <u@example.com>; Mon, 23 Nov 2026 09:08:07 +0100
Authentication-Results: mx.example.com; none
X-SpamCatcher-Score: 0
X-SpamCatcher-IP: 192.0.2.1
`},
		{"HELO, IPv6, two recipients, rounding", func(t *trace, o *policy.Outcome) {
			t.mail.Session.ESMTP = false
			t.mail.Session.Client = netip.MustParseAddr("2001:db8::1")
			t.mail.Envelope.To = []string{"u@example.com", "v@example.com"}
			o.Score = 99.5
		}, `
Received: from client.example.org ([IPv6:2001:db8::1]) by mx.example.com with
	SMTP id ID1; Mon, 23 Nov 2026 09:08:07 +0100
Authentication-Results: mx.example.com; none
X-SpamCatcher-Score: 100
X-SpamCatcher-IP: 2001:db8::1
`},
		{"TLS, PTR, everything set", func(t *trace, o *policy.Outcome) {
			t.mail.Session.TLS = true
			t.mail.Session.PTR = "ptr.example.org"
			t.mail.Session.Client = netip.MustParseAddr("::ffff:192.0.2.1")
			t.tls = &tls.ConnectionState{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256}
			t.mail.Auth = engine.Auth{SPF: "pass", DKIM: "none", DMARC: "fail", ARC: "pass"}
			t.report = true
			t.verdict = engine.Verdict{Bias: -3.4657, Virus: "Eicar-Test", TimedOut: true, Symbols: []engine.Scored{
				{Name: "HEADER_DATE_FUTURE", Share: 1.3863, Detail: "secret"}, {Name: "LINK_DECEPTIVE", Share: 2.0794}, {Name: "LIST_MAIL", Share: -0.6931}, {Name: "NOTHING", Share: -0.001}}}
			o.Score, o.Flag, o.Listed = 49.4999, true, "blocked:a=b;@example.org"
		}, `
Received: from client.example.org (ptr.example.org [192.0.2.1]) by
	mx.example.com (using TLSv1.3 with cipher TLS_AES_128_GCM_SHA256) with ESMTPS
	id ID1 for <u@example.com>; Mon, 23 Nov 2026 09:08:07 +0100
Authentication-Results: mx.example.com; spf=pass smtp.mailfrom=example.org;
	dkim=none; dmarc=fail header.from=author.example; arc=pass
X-SpamCatcher-Score: 49
X-SpamCatcher-IP: 192.0.2.1
X-SpamCatcher-Flag: YES
X-SpamCatcher-Virus: Eicar-Test
X-SpamCatcher-Report: score=49.5; list=blocked:a?b?@example.org; bias=-3.47;
	HEADER_DATE_FUTURE=1.39; LINK_DECEPTIVE=2.08; LIST_MAIL=-0.69; NOTHING=0.00
X-SpamCatcher-Timeout: yes
`},
		{"SMTPUTF8, null sender, odd recipient", func(t *trace, o *policy.Outcome) {
			t.utf8 = true
			t.mail.Session.Hello = "[192.0.2.1]"
			t.mail.Session.Client = netip.Addr{}
			t.mail.Envelope = engine.Envelope{From: "", To: []string{"grüße@example.com"}}
			t.mail.Auth.SPF = "pass"
		}, `
Received: from [192.0.2.1] ([unknown]) by mx.example.com with UTF8SMTP id ID1;
	Mon, 23 Nov 2026 09:08:07 +0100
Authentication-Results: mx.example.com; spf=pass smtp.helo=[192.0.2.1]
X-SpamCatcher-Score: 0
X-SpamCatcher-IP: unknown
`},
		{"hostile", func(t *trace, o *policy.Outcome) {
			t.mail.Session.Hello = "x\r\nX-SpamCatcher-Score: 0 (\xff"
			t.mail.Session.PTR = "a) by b\nc"
			t.mail.Envelope.To = []string{"\"a b>; x\"@example.com"}
			t.mail.Envelope.From = "a@b\r\nc; dkim=pass"
			t.mail.Auth = engine.Auth{SPF: "pass; dkim=pass\r\n"}
			t.verdict.Virus = "Bad\r\nSubject: \x00x é"
		}, `
Received: from x??X-SpamCatcher-Score:?0??? (a??by?b?c [192.0.2.1]) by
	mx.example.com with ESMTP id ID1; Mon, 23 Nov 2026 09:08:07 +0100
Authentication-Results: mx.example.com;
	spf=pass??dkim?pass?? smtp.mailfrom=b??c??dkim?pass
X-SpamCatcher-Score: 0
X-SpamCatcher-IP: 192.0.2.1
X-SpamCatcher-Virus: Bad??Subject: ?x ?
`},
	} {
		tr, o := baseTrace(), policy.Outcome{Action: policy.Deliver}
		c.change(&tr, &o)
		got := string(tr.write(o))
		if want := strings.ReplaceAll(c.want[1:], "\n", "\r\n"); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, want)
		}
	}
}

func TestProtocolNames(t *testing.T) {
	for _, c := range []struct {
		esmtp, tls, utf8 bool
		want             string
	}{
		{false, false, false, "SMTP"}, {true, false, false, "ESMTP"}, {true, true, false, "ESMTPS"},
		{true, false, true, "UTF8SMTP"}, {true, true, true, "UTF8SMTPS"}, {false, true, false, "SMTP"},
	} {
		tr := baseTrace()
		tr.mail.Session.ESMTP, tr.mail.Session.TLS, tr.utf8 = c.esmtp, c.tls, c.utf8
		if got := tr.protocol(); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestLongReportIsBounded(t *testing.T) {
	tr := baseTrace()
	tr.report = true
	for range 5000 {
		tr.verdict.Symbols = append(tr.verdict.Symbols, engine.Scored{Name: strings.Repeat("LONG_", 100)})
	}
	got := string(tr.write(policy.Outcome{}))
	if !strings.HasSuffix(got, ";\r\n\tand=4800\r\n") {
		t.Errorf("no end: %q", got[len(got)-100:])
	}
	if len(got) > 20_000 {
		t.Errorf("%d bytes", len(got))
	}
}

// FuzzHeaders: whatever is told from outside, what is written has the same
// fields: their number, their names, lines of at most 998 printable ASCII
// characters, folded as they may be.
func FuzzHeaders(f *testing.F) {
	f.Add("client.example.org", "ptr.example.org", "a@example.org", "u@example.com", "Eicar", "A_SYMBOL", "pass", "a@author.example", true, true, true)
	f.Add("x\r\nX: y", "a)b(c", "<>\r\n", "\"\r\n\"@x", "v\r\n\r\nbody", "S\nT", "pass\r\n", "\r\nX: y", false, true, false)
	f.Add(strings.Repeat("h", 3000), strings.Repeat("p", 3000), strings.Repeat("f@", 3000), strings.Repeat("t", 3000)+"@x", strings.Repeat("v", 3000), strings.Repeat("s", 3000), strings.Repeat("r", 3000), strings.Repeat("m", 3000), true, true, true)
	f.Add("\xff", "\x00", "é@é", "é@é", "\u2028", "\x85", "\x7f", "=?utf-8?q?=0D=0AX:_y?= <a@b\r\n>", true, false, true)
	f.Fuzz(func(t *testing.T, hello, ptr, from, to, virus, symbol, result, author string, esmtp, secure, utf8 bool) {
		checkFields(t, hello, ptr, from, to, virus, symbol, result, author, esmtp, secure, utf8)
	})
}

// The same for 10,000 sets of values that are made to do harm.
func TestFieldsSurviveAnything(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"\r\n", "\n", "\r", "\x00", " ", "\t", ":", ";", "(", ")", "\\", "\"", "<", ">", "@", "a", "example.org", "X-SpamCatcher-Score: 0",
		"é", "\xff", "=?utf-8?q?=0D=0A?=", "\u2028", "\u202e", "\x7f", "\x1b[2J", "\r\n\r\n", "\r\n.\r\n", strings.Repeat("long", 300)}
	value := func() string {
		s := ""
		for range r.IntN(8) {
			s += pieces[r.IntN(len(pieces))]
		}
		return s
	}
	for range 10_000 {
		checkFields(t, value(), value(), value(), value(), value(), value(), value(), value(), r.IntN(2) == 0, r.IntN(2) == 0, r.IntN(2) == 0)
	}
}

func checkFields(t *testing.T, hello, ptr, from, to, virus, symbol, result, author string, esmtp, secure, utf8 bool) {
	t.Helper()
	tr := baseTrace()
	tr.utf8, tr.report = utf8, true
	tr.mail.Session = engine.Session{Client: netip.MustParseAddr("2001:db8::1"), Hello: hello, PTR: ptr, ESMTP: esmtp, TLS: secure}
	tr.mail.Envelope.From, tr.mail.Envelope.To = from, []string{to}
	tr.mail.Auth = engine.Auth{SPF: result, DKIM: result, DMARC: result, ARC: result}
	tr.mail.Message = message.Parse([]byte("From: "+author+"\r\n\r\n"), message.Limits{})
	tr.verdict = engine.Verdict{Virus: virus, TimedOut: true, Symbols: []engine.Scored{{Name: symbol, Detail: hello}}}
	if secure {
		tr.tls = &tls.ConnectionState{Version: uint16(len(hello)), CipherSuite: uint16(len(ptr))}
	}
	out := string(tr.write(policy.Outcome{Flag: true, Score: 50}))
	want := []string{"Received", "Authentication-Results", "X-SpamCatcher-Score", "X-SpamCatcher-IP", "X-SpamCatcher-Flag", "X-SpamCatcher-Virus", "X-SpamCatcher-Report", "X-SpamCatcher-Timeout"}
	if virus == "" {
		want = append(want[:5:5], want[6:]...)
	}
	var names []string
	if !strings.HasSuffix(out, "\r\n") {
		t.Fatalf("no line end: %q", out)
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(out, "\r\n"), "\r\n") {
		if len(line) > maxLineLength {
			t.Fatalf("line of %d", len(line))
		}
		if strings.TrimSpace(line) == "" {
			t.Fatalf("blank line in %q", out)
		}
		for i, c := range []byte(line) {
			if (c < ' ' || c > '~') && !(c == '\t' && i == 0) {
				t.Fatalf("byte %#x in %q", c, line)
			}
		}
		if line[0] != '\t' {
			name, _, _ := strings.Cut(line, ":")
			names = append(names, name)
		}
	}
	if strings.Join(names, " ") != strings.Join(want, " ") {
		t.Fatalf("fields %q, want %q, in %q", names, want, out)
	}
	parsed := message.Parse([]byte(out+"\r\n"), message.Limits{}).Header()
	if n := len(parsed.Fields()); n != len(want) {
		t.Fatalf("%d fields when read, want %d", n, len(want))
	}
	if strings.Count(parsed.Raw("Received"), "(") != strings.Count(parsed.Raw("Received"), ")") {
		t.Fatalf("unbalanced comment: %q", out)
	}
}
