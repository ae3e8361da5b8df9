package gateway

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"spamcatcher/engine"
	"spamcatcher/gateway/auth"
	"spamcatcher/gateway/dnslist"
	"spamcatcher/gateway/lookup"
	"spamcatcher/gateway/lookup/lookuptest"
	"spamcatcher/gateway/policy"
	"spamcatcher/gateway/policy/greylist"
	"spamcatcher/gateway/wire"
)

// clientsZone is DNS as the clients 127.0.0.x find it. 127.0.0.5 is a well-kept
// server, 127.0.0.9 and 127.0.0.10 are listed.
const clientsZone = `
	5.0.0.127.in-addr.arpa PTR mail.example.org
	mail.example.org A 127.0.0.5
	9.0.0.127.in-addr.arpa PTR nine.example.org
	nine.example.org A 127.0.0.9
	10.0.0.127.in-addr.arpa PTR ten.example.org
	ten.example.org A 127.0.0.10
	example.org MX 10 mail.example.org
	example.org TXT "v=spf1 ip4:127.0.0.0/28 -all"
	strict.example MX 10 mail.example.org
	strict.example TXT "v=spf1 -all"
	client.example.org TXT "v=spf1 -all"
	2.0.0.127.text.example A 127.0.0.2
	2.0.0.127.text.example TXT ignored
	9.0.0.127.text.example A 127.0.0.4
	9.0.0.127.text.example TXT "Blocked - see http://text.example/?ip=127.0.0.9"
	2.0.0.127.word.example A 127.0.0.2
	10.0.0.127.word.example A 127.0.0.2
`

// gateOf makes a gate of all five tests, all enforced, for clients on loopback.
func gateOf(t testing.TB, r lookup.Resolver, change func(*policy.GateConfig)) *policy.Gate {
	t.Helper()
	on := policy.Test{Mode: policy.Enforce}
	v := verifierOf(t, r)()
	lists, err := dnslist.New(dnslist.Config{Resolver: r, Zones: []dnslist.Zone{
		{Name: "text.example", Label: "TEXT", Of: dnslist.Clients, Codes: []dnslist.Code{{Match: "127.0.0.2-127.0.0.4"}}},
		{Name: "word.example", Label: "WORD", Of: dnslist.Clients, Response: "<IP> is on our list"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	lists.Test(t.Context())
	store, err := greylist.Open(greylist.Config{Dir: t.TempDir(), Now: func() time.Time { return testTime }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	cfg := policy.GateConfig{
		PTR: on, SenderDomain: on, SPF: on, Greylist: on, DNSBL: on, TestLocal: true, Resolver: r, Lists: lists, Grey: store,
		CheckSPF: func(ctx context.Context, client netip.Addr, hello, from string) (string, string, bool) {
			s := v.SPF(ctx, client, hello, from)
			return s.Result, s.Domain, s.Hello
		},
	}
	if change != nil {
		change(&cfg)
	}
	g, err := policy.NewGate(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func verifierOf(t testing.TB, r lookup.Resolver) func() *auth.Verifier {
	t.Helper()
	v, err := auth.New(auth.Config{Resolver: r})
	if err != nil {
		t.Fatal(err)
	}
	return func() *auth.Verifier { return v }
}

func withGate(g *policy.Gate) func() *policy.Gate { return func() *policy.Gate { return g } }

// talk connects from an address, sends everything at once, as a client does that
// does not wait for replies, and returns what it hears until the end.
func (b *bench) talk(from string, lines ...string) string {
	b.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.Dial("tcp", b.addr)
	if err != nil {
		b.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	r := bufio.NewReader(conn)
	heard := ""
	if len(lines) > 0 {
		// EHLO comes last in a group: RFC 2920 section 3.1.
		fmt.Fprintf(conn, "%s\r\n", lines[0])
		for {
			line, err := r.ReadString('\n')
			heard += line
			if err != nil || strings.HasPrefix(line, "250 ") {
				break
			}
		}
		heard = ""
		io.WriteString(conn, strings.Join(lines[1:], "\r\n")+"\r\n")
	}
	rest, err := io.ReadAll(r)
	if err != nil {
		b.t.Errorf("%q, then %v", rest, err)
	}
	return heard + string(rest)
}

// Every row of the policy, to the letter, with the connection closed after it
// whatever was sent behind.
func TestGateRepliesToTheLetter(t *testing.T) {
	r := lookuptest.Zone(t, clientsZone)
	soft := func(of func(*policy.GateConfig) *policy.Test) func(*policy.GateConfig) {
		return func(c *policy.GateConfig) {
			c.Greylist.Mode = policy.Off
			of(c).Recipients, _ = policy.ParseList("", []byte("exempt.example"))
		}
	}
	const ok = "250 2.1.0 sender ok\r\n"
	for _, c := range []struct {
		name, client string
		change       func(*policy.GateConfig)
		mail, want   string
		test, cause  string
	}{
		{"PTR", "127.0.0.1", nil, "", "501 5.7.25 Connecting IP must have valid PTR record\r\n", "ptr", "no host name"},
		{"sender domain", "127.0.0.5", nil, "a@nowhere.example", "501 5.1.8 nowhere.example is invalid or DNS says does not exist\r\n", "sender_domain", "name does not exist"},
		{"SPF", "127.0.0.5", nil, "a@strict.example", "550 5.7.23 127.0.0.5 does not pass SPF requirements for domain strict.example\r\n", "spf", "strict.example"},
		{"SPF of the null sender", "127.0.0.5", nil, "", "550 5.7.23 127.0.0.5 does not pass SPF requirements for domain client.example.org\r\n", "spf", "client.example.org"},
		{"greylisting", "127.0.0.5", nil, "a@example.org", ok + "451 4.7.1 Greylisting enabled, try again in 1 minutes\r\n", "greylist", "1m0s"},
		{"DNSBL, TXT", "127.0.0.9", func(c *policy.GateConfig) { c.Greylist.Mode = policy.Off }, "a@example.org", ok + "550 5.7.1 Blocked - see http://text.example/?ip=127.0.0.9\r\n", "dnsbl", "text.example: 127.0.0.9"},
		{"DNSBL, response", "127.0.0.10", func(c *policy.GateConfig) { c.Greylist.Mode = policy.Off }, "a@example.org", ok + "550 5.7.1 127.0.0.10 is on our list\r\n", "dnsbl", "word.example: 127.0.0.10"},
		{"PTR at RCPT", "127.0.0.1", soft(func(c *policy.GateConfig) *policy.Test { return &c.PTR }), "a@example.org", ok + "501 5.7.25 Connecting IP must have valid PTR record\r\n", "ptr", "no host name"},
		{"sender domain at RCPT", "127.0.0.5", soft(func(c *policy.GateConfig) *policy.Test { return &c.SenderDomain }), "a@nowhere.example", ok + "501 5.1.8 nowhere.example is invalid or DNS says does not exist\r\n", "sender_domain", "does not exist"},
		{"SPF at RCPT", "127.0.0.5", soft(func(c *policy.GateConfig) *policy.Test { return &c.SPF }), "a@strict.example", ok + "550 5.7.23 127.0.0.5 does not pass SPF requirements for domain strict.example\r\n", "spf", "strict.example"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := start(t, Config{Gate: withGate(gateOf(t, r, c.change))})
			lines := []string{"EHLO client.example.org", "MAIL FROM:<" + c.mail + ">", "RCPT TO:<u@example.com>", "RCPT TO:<v@example.com>", "DATA"}
			if c.name == "PTR" {
				lines = nil
			}
			if got := b.talk(c.client, lines...); got != c.want {
				t.Errorf("heard %q\nwant  %q", got, c.want)
			}
			logs := b.log.lines("refused")
			if len(logs) != 1 || !strings.Contains(logs[0], " test="+c.test+" client="+c.client+" ") || !strings.Contains(logs[0], c.cause) {
				t.Errorf("log %q", logs)
			}
			last := strings.Split(strings.TrimSpace(c.want), "\r\n")
			reply := strings.Join(strings.Fields(last[len(last)-1])[:2], " ")
			if !strings.Contains(logs[0], fmt.Sprintf("reply=%q", reply)) || strings.Contains(logs[0], "recipient=u@example.com") != (len(last) == 2) {
				t.Errorf("log %q", logs)
			}
			if s := b.Stats(); s.Turned != 1 || s.Refused != 0 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// A well-kept server that comes back passes, and what DNS says of it stands in
// the message.
func TestGateLetsThrough(t *testing.T) {
	r := lookuptest.Zone(t, clientsZone)
	now := testTime
	store, err := greylist.Open(greylist.Config{Dir: t.TempDir(), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	var mail *engine.Mail
	b := start(t, Config{
		Gate:  withGate(gateOf(t, r, func(c *policy.GateConfig) { c.Grey = store })),
		Auth:  verifierOf(t, r),
		Judge: judge(func(_ context.Context, m *engine.Mail) engine.Verdict { mail = m; return engine.Verdict{} }),
	})
	if got := b.talk("127.0.0.5", "EHLO client.example.org", "MAIL FROM:<a@example.org>", "RCPT TO:<u@example.com>", "RSET"); !strings.HasSuffix(got, "\r\n451 4.7.1 Greylisting enabled, try again in 1 minutes\r\n") {
		t.Fatalf("heard %q", got)
	}
	now = now.Add(time.Minute)
	c := b.from("127.0.0.5")
	c.message(testMessage, "250 2.0.0")
	if mail.Session.PTR != "mail.example.org" || mail.Auth.IPRev != "pass" || mail.Auth.SPF != "pass" || mail.Auth.SPFDomain != "example.org" || len(mail.Found) != 0 || mail.Answers == nil {
		t.Errorf("mail: %+v, %+v, %+v", mail.Session, mail.Auth, mail.Found)
	}
	text := unfold(body(b.store.all()[len(b.store.all())-1]))
	if !strings.HasPrefix(text, "Received: from client.example.org (mail.example.org [127.0.0.5]) by mx.example.com ") || !strings.Contains(text, " spf=pass ") {
		t.Errorf("message:\n%s", text)
	}
}

// A message to many waits once: for all recipients that were named without
// waiting for replies, and for the others together.
func TestGreylistedTogether(t *testing.T) {
	r := lookuptest.Zone(t, clientsZone)
	now := testTime
	store, err := greylist.Open(greylist.Config{Dir: t.TempDir(), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	b := start(t, Config{
		Gate:   withGate(gateOf(t, r, func(c *policy.GateConfig) { c.Grey = store })),
		Policy: withPolicy(t, policy.Config{Relay: []string{"example.com"}}),
	})
	// The first recipient is refused: the connection ends.
	if got := b.talk("127.0.0.5", "EHLO client.example.org", "MAIL FROM:<a@example.org>", "RCPT TO:<u@example.com>", "rcpt to:<v@example.com>", "RCPT TO:<x@elsewhere.example>", "DATA", "RCPT TO:<w@example.com>"); !strings.HasSuffix(got, "ok\r\n451 4.7.1 Greylisting enabled, try again in 1 minutes\r\n") {
		t.Fatalf("heard %q", got)
	}
	if n := store.Entries(); n != 2 {
		t.Errorf("%d pairs are known", n)
	}
	// One is accepted: the connection stays, and it gets its message.
	now = now.Add(time.Minute)
	const wait = "451 4.7.1 Greylisting enabled, try again in 1 minutes"
	c := b.from("127.0.0.5")
	c.begin("u@example.com", "v@example.com")
	c.send("RCPT TO:<w@example.com>", wait)
	c.send("RCPT TO:<y@example.com>", wait)
	c.data(testMessage, "250 2.0.0")
	if got := b.store.all()[0].Recipients; !slices.Equal(got, []string{"u@example.com", "v@example.com"}) {
		t.Errorf("recipients %q", got)
	}
	// In the next transaction nobody is accepted yet.
	c.send("MAIL FROM:<b@example.org>", "250")
	c.send("RCPT TO:<w@example.com>", wait)
	if rest, err := io.ReadAll(c.r); err != nil || len(rest) != 0 {
		t.Errorf("after the refusal: %q, %v", rest, err)
	}
	now = now.Add(time.Minute)
	c = b.from("127.0.0.5")
	c.message(testMessage, "250 2.0.0", "w@example.com", "y@example.com")
	if logs := b.log.lines("refused"); len(logs) != 4 || !strings.Contains(logs[1], `cause="to wait 1m0s"`) {
		t.Errorf("log %q", logs)
	}
}

// Findings that only a refused recipient would have made count are not of the
// message.
func TestRefusedRecipientsDoNotCount(t *testing.T) {
	r := lookuptest.Zone(t, clientsZone)
	exempt, _ := policy.ParseList("", []byte("exempt.example"))
	var found []engine.Hit
	b := start(t, Config{
		Gate: withGate(gateOf(t, r, func(c *policy.GateConfig) {
			c.Greylist.Mode, c.SenderDomain.Mode = policy.Off, policy.Score
			c.SenderDomain.Recipients, c.DNSBL.Recipients = exempt, exempt
		})),
		Judge: judge(func(_ context.Context, m *engine.Mail) engine.Verdict { found = m.Found; return engine.Verdict{} }),
	})
	c := b.from("127.0.0.9")
	c.send("MAIL FROM:<a@nowhere.example>", "250")
	c.send("RCPT TO:<u@exempt.example>", "250")
	c.send("RCPT TO:<u@example.com>", "550 5.7.1 Blocked - see")
	c.data(testMessage, "250 2.0.0")
	if len(found) != 0 {
		t.Errorf("found %+v", found)
	}
}

// from is dial from an address, up to the EHLO.
func (b *bench) from(address string) *client {
	b.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	conn, err := d.Dial("tcp", b.addr)
	if err != nil {
		b.t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	b.t.Cleanup(func() { conn.Close() })
	c := &client{b.t, conn, bufio.NewReader(conn)}
	c.want("220")
	c.send("EHLO client.example.org", "250")
	return c
}

// In score mode nobody is refused, and the symbols are those of the failures.
func TestGateScores(t *testing.T) {
	r := lookuptest.Zone(t, clientsZone)
	var found []string
	b := start(t, Config{
		Gate: withGate(gateOf(t, r, func(c *policy.GateConfig) {
			for _, test := range []*policy.Test{&c.PTR, &c.SenderDomain, &c.SPF, &c.Greylist, &c.DNSBL} {
				test.Mode = policy.Score
			}
		})),
		Judge: judge(func(_ context.Context, m *engine.Mail) engine.Verdict {
			found = []string{"spf=" + m.Auth.SPF, "iprev=" + m.Auth.IPRev}
			for _, h := range m.Found {
				found = append(found, h.Symbol)
			}
			return engine.Verdict{}
		}),
	})
	for _, c := range []struct{ client, from, want string }{
		{"127.0.0.1", "a@nowhere.example", "spf=none iprev=permerror PTR_MISSING SENDER_DOMAIN_MISSING GREYLIST_NEW"},
		{"127.0.0.9", "a@strict.example", "spf=fail iprev=pass GREYLIST_NEW LIST_TEXT"},
		{"127.0.0.5", "a@example.org", "spf=pass iprev=pass GREYLIST_NEW"},
		{"127.0.0.5", "", "spf=fail iprev=pass GREYLIST_NEW"},
	} {
		conn := b.from(c.client)
		conn.send("MAIL FROM:<"+c.from+">", "250")
		conn.send("RCPT TO:<u@example.com>", "250")
		conn.data(testMessage, "250")
		if got := strings.Join(found, " "); got != c.want {
			t.Errorf("%s, %s:\n%s, want\n%s", c.client, c.from, got, c.want)
		}
		conn.conn.Close()
	}
	if n := len(b.log.lines("refused")); n != 0 {
		t.Errorf("%d refusals", n)
	}
}

// DMARC beside SPF: what is not known of SPF in time counts against nobody whom
// it could prove; and who is exempt from the test of SPF is not exempt from DMARC.
func TestDMARCBesideSPF(t *testing.T) {
	r := lookuptest.Zone(t, `
		5.0.0.127.in-addr.arpa PTR mail.example.org
		mail.example.org A 127.0.0.5
		_dmarc.bank.example TXT "v=DMARC1; p=reject"
		bank.example TXT "v=spf1 exists:slow.example.net -all"
		slow.example.net SILENT
		late.example TXT "v=spf1 exists:slow.example.net -all"
		_dmarc.quick.example TXT "v=DMARC1; p=reject"
		quick.example TXT "v=spf1 -all"
		forwarder.example TXT "v=spf1 ip4:127.0.0.5 -all"
		client.example.org TXT "v=spf1 ip4:127.0.0.5 -all"
	`)
	senders, errs := policy.ParseList("test", []byte("forwarder.example\nbank.example\nquick.example"))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	on, off, exempt := policy.Test{Mode: policy.Score}, policy.Test{}, policy.Test{Mode: policy.Enforce, Senders: senders}
	for _, c := range []struct {
		name    string
		spf     policy.Test
		trusted bool
		from    string // of the envelope
		author  string
		want    string
	}{
		{"slow, aligned", on, false, "a@bank.example", "bank.example", "temperror false temperror reject"},
		{"slow, of a stranger", on, false, "a@late.example", "bank.example", "temperror false fail reject"},
		{"slow, exempt, aligned", exempt, false, "a@bank.example", "bank.example", "temperror true temperror reject"},
		{"sender exempt, author forged", exempt, false, "x@forwarder.example", "bank.example", "pass true fail reject"},
		{"sender exempt, and forged", exempt, false, "x@quick.example", "quick.example", "fail true fail reject"},
		{"test off, author forged", off, false, "x@forwarder.example", "bank.example", "pass true fail reject"},
		{"test off, author proved", off, false, "x@forwarder.example", "forwarder.example", "pass true none "},
		{"null sender, author forged", off, false, "", "bank.example", "pass true fail reject"},
		{"trusted client, aligned", on, true, "a@quick.example", "quick.example", " false temperror reject"},
		{"trusted client, author forged", on, true, "a@forwarder.example", "quick.example", " false fail reject"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var got string
			b := start(t, Config{
				CheckTime: 1200 * time.Millisecond, Auth: verifierOf(t, r),
				Gate: withGate(gateOf(t, r, func(g *policy.GateConfig) {
					g.SPF, g.PTR, g.SenderDomain, g.DNSBL, g.Greylist = c.spf, off, off, off, off
					if c.trusted {
						g.Trusted = []netip.Prefix{netip.MustParsePrefix("127.0.0.5/32")}
					}
				})),
				Judge: judge(func(_ context.Context, m *engine.Mail) engine.Verdict {
					got = fmt.Sprintf("%s %v %s %s", m.Auth.SPF, m.Auth.SPFExempt, m.Auth.DMARC, m.Auth.Policy)
					return engine.Verdict{}
				}),
			})
			conn := b.from("127.0.0.5")
			conn.send("MAIL FROM:<"+c.from+">", "250")
			conn.send("RCPT TO:<u@example.com>", "250")
			conn.data("From: a@"+c.author+"\r\nSubject: x\r\n\r\nhello\r\n", "250")
			if got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// What another site of ours wrote and signed is stripped all the same, but the
// signature is verified over the message as it came.
func TestSignatureOverStrippedFields(t *testing.T) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, ed25519.SeedSize))
	r := lookuptest.Zone(t, "k._domainkey.site.example TXT \"v=DKIM1; k=ed25519; p="+base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))+
		"\"\n_dmarc.site.example TXT \"v=DMARC1; p=reject\"\n")
	body := sha256.Sum256([]byte("hello\r\n"))
	// RFC 6376 section 3.7, with the relaxed form of all fields.
	line := "dkim-signature:v=1; a=ed25519-sha256; c=relaxed/relaxed; d=site.example; s=k; h=from:x-spamcatcher-score; bh=" + base64.StdEncoding.EncodeToString(body[:]) + "; b="
	digest := sha256.Sum256([]byte("from:a@site.example\r\nx-spamcatcher-score:4.2\r\n" + line))
	signed := line + base64.StdEncoding.EncodeToString(ed25519.Sign(key, digest[:])) + "\r\nX-SpamCatcher-Score: 4.2\r\nFrom: a@site.example\r\nSubject: x\r\n\r\nhello\r\n"
	for raw, want := range map[string]string{
		signed: "pass pass",
		strings.Replace(signed, "Score: 4.2", "Score: 0.1", 1): "fail fail",
		strings.Replace(signed, "hello", "hallo", 1):           "fail fail",
	} {
		var got string
		b := start(t, Config{
			Auth: verifierOf(t, r),
			Judge: judge(func(_ context.Context, m *engine.Mail) engine.Verdict {
				got = m.Auth.DKIM + " " + m.Auth.DMARC
				if m.Message.Header().Has("X-SpamCatcher-Score") {
					t.Error("a field of ours that came from outside is judged")
				}
				return engine.Verdict{}
			}),
		})
		conn := b.from("127.0.0.5")
		conn.send("MAIL FROM:<a@other.example>", "250")
		conn.send("RCPT TO:<u@example.com>", "250")
		conn.data(raw, "250")
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// deaf is a resolver that says nothing, or that it failed.
type deaf struct{ err error }

func (d deaf) Query(ctx context.Context, _ string, _ lookup.Kind) (lookup.Answer, error) {
	if d.err != nil {
		return lookup.Answer{}, d.err
	}
	<-ctx.Done()
	return lookup.Answer{}, ctx.Err()
}

// With dead DNS every message gets its verdict in time, none is refused, and the
// log says what was left out.
func TestGateWithoutDNS(t *testing.T) {
	const checkTime = 1600 * time.Millisecond
	for name, r := range map[string]lookup.Resolver{"silent": deaf{}, "failing": deaf{errors.New("server failure")}} {
		for _, mode := range []policy.Mode{policy.Score, policy.Enforce} {
			t.Run(name+"/"+string(mode), func(t *testing.T) {
				t.Parallel()
				var mail *engine.Mail
				b := start(t, Config{
					CheckTime: checkTime, Auth: verifierOf(t, r), Now: time.Now,
					Gate: withGate(gateOf(t, r, func(c *policy.GateConfig) {
						c.PTR.Mode, c.SenderDomain.Mode, c.SPF.Mode, c.DNSBL.Mode, c.Greylist.Mode, c.Timeout = mode, mode, mode, mode, policy.Off, time.Second
					})),
					Judge: judge(func(ctx context.Context, m *engine.Mail) engine.Verdict {
						mail = m
						if ctx.Err() != nil {
							t.Error("no time is left for the verdict")
						}
						return engine.Verdict{}
					}),
				})
				c := b.from("127.0.0.5")
				c.begin()
				c.send("DATA", "354")
				begin := time.Now()
				c.send("Subject: x\r\nFrom: a@example.org\r\nDKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=x; h=from; bh=x; b=x\r\n\r\nx\r\n.", "250 2.0.0")
				if took := time.Since(begin); took > checkTime+100*time.Millisecond {
					t.Errorf("the verdict took %v", took)
				}
				if mail.Auth.SPF != "temperror" || mail.Auth.IPRev != "temperror" || len(mail.Found) != 1 || mail.Found[0].Detail != "ptr sender_domain spf dnsbl" {
					t.Errorf("mail %+v, %+v", mail.Auth, mail.Found)
				}
				lines := b.log.lines("message")
				if len(lines) != 1 || !strings.Contains(lines[0], ` skipped="ptr: `) || !strings.Contains(lines[0], "spf: ") {
					t.Errorf("log %q", lines)
				}
			})
		}
	}
}

// A session keeps the gate that it began with.
func TestGateReload(t *testing.T) {
	r := lookuptest.Zone(t, clientsZone)
	var mu sync.Mutex
	current := gateOf(t, r, func(c *policy.GateConfig) { c.Greylist.Mode = policy.Off })
	b := start(t, Config{Gate: func() *policy.Gate {
		mu.Lock()
		defer mu.Unlock()
		return current
	}})
	old := b.from("127.0.0.5")
	mu.Lock()
	current = nil
	mu.Unlock()
	fresh := b.from("127.0.0.1")
	fresh.send("MAIL FROM:<a@nowhere.example>", "250")
	old.send("MAIL FROM:<a@nowhere.example>", "501 5.1.8")
}

// The hook of the configuration is asked before the gate.
func TestGateAfterRefuse(t *testing.T) {
	b := start(t, Config{
		Gate: withGate(gateOf(t, lookuptest.Zone(t, ""), nil)),
		Wire: wire.Config{Refuse: func(a netip.Addr) *wire.Reply {
			if a == netip.MustParseAddr("127.0.0.3") {
				return &wire.Reply{Code: 554, Text: "no service"}
			}
			return nil
		}},
	})
	if got := b.talk("127.0.0.3"); got != "554 no service\r\n" {
		t.Errorf("%q", got)
	}
	if got := b.talk("127.0.0.5"); got != "501 5.7.25 Connecting IP must have valid PTR record\r\n" {
		t.Errorf("%q", got)
	}
}

// Many sessions at a dead DNS take a bounded number of goroutines each, all get
// their verdict in time, and nothing is left when they are gone.
func TestManySessionsWithoutDNS(t *testing.T) {
	const sessions, checkTime = 500, 2 * time.Second
	var mu sync.Mutex
	waiting := 0
	r := counted{deaf{}, &mu, &waiting}
	b := start(t, Config{
		CheckTime: checkTime, Auth: verifierOf(t, r), Now: time.Now,
		Wire: wire.Config{MaxSessions: -1, MaxSessionsPerClient: -1},
		Gate: withGate(gateOf(t, r, func(c *policy.GateConfig) {
			c.PTR.Mode, c.SenderDomain.Mode, c.SPF.Mode, c.DNSBL.Mode, c.Greylist.Mode = policy.Score, policy.Score, policy.Score, policy.Score, policy.Off
			c.Timeout = 30 * time.Second // so that nothing ends but with its session
		})),
	})
	before := runtime.NumGoroutine()
	var all sync.WaitGroup
	took := make([]time.Duration, sessions)
	begin := make(chan struct{})
	for i := range sessions {
		c := b.from("127.0.0.5")
		all.Go(func() {
			defer c.conn.Close()
			c.begin()
			<-begin
			c.send("DATA", "354")
			at := time.Now()
			c.send(testMessage+".", "250 2.0.0")
			took[i] = time.Since(at)
		})
	}
	close(begin)
	most := 0
	stop := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
				most = max(most, runtime.NumGoroutine())
			}
		}
	}()
	all.Wait()
	close(stop)
	<-watched
	slices.Sort(took)
	t.Logf("%d sessions: at most %.1f goroutines a session; verdict after %v median, %v at most", sessions, float64(most-before)/sessions, took[sessions/2], took[sessions-1])
	// Two of the test's and the session's own, four tests, what they and the
	// verifier ask side by side.
	if limit := before + 24*sessions; most > limit {
		t.Errorf("%d goroutines", most)
	}
	if took[sessions-1] > checkTime+2*time.Second {
		t.Errorf("a verdict took %v", took[sessions-1])
	}
	for range 100 {
		if runtime.NumGoroutine() <= before+20 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	mu.Lock()
	defer mu.Unlock()
	if n := runtime.NumGoroutine(); n > before+20 || waiting != 0 {
		t.Errorf("%d goroutines are left of %d, and %d questions", n, before, waiting)
	}
}

// counted counts the questions under way.
type counted struct {
	lookup.Resolver
	mu      *sync.Mutex
	waiting *int
}

func (c counted) Query(ctx context.Context, name string, kind lookup.Kind) (lookup.Answer, error) {
	add := func(n int) {
		c.mu.Lock()
		defer c.mu.Unlock()
		*c.waiting += n
	}
	add(1)
	defer add(-1)
	return c.Resolver.Query(ctx, name, kind)
}
