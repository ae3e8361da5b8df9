package policy_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"spamcatcher/gateway/dnslist"
	"spamcatcher/gateway/lookup"
	"spamcatcher/gateway/lookup/lookuptest"
	"spamcatcher/gateway/policy"
)

// greylister makes the pairs wait that it is told to.
type greylister struct {
	wait  time.Duration
	err   error
	asked []string
}

func (g *greylister) Check(client netip.Addr, from, to string) (time.Duration, error) {
	g.asked = append(g.asked, fmt.Sprint(client, " ", from, " ", to))
	return g.wait, g.err
}

func (g *greylister) Delay() time.Duration { return 61 * time.Second }

var client = netip.MustParseAddr("192.0.2.7")

// situations are what DNS, or the greylist, can say in each test about client,
// a@example.org and u@example.com.
var situations = map[string]map[string]string{
	"ptr": {
		"fine":     "7.2.0.192.in-addr.arpa PTR mail.example.org\nmail.example.org A 192.0.2.7",
		"NXDOMAIN": "example.org A 192.0.2.1",
		"NODATA":   "7.2.0.192.in-addr.arpa TXT x",
		"SERVFAIL": "7.2.0.192.in-addr.arpa SERVFAIL",
		"silent":   "7.2.0.192.in-addr.arpa SILENT",
	},
	"sender_domain": {
		"fine":     "example.org MX 10 mail.example.org",
		"NXDOMAIN": "example.net A 192.0.2.1",
		"NODATA":   "example.org TXT x",
		"SERVFAIL": "example.org SERVFAIL",
		"silent":   "example.org SILENT",
	},
	"spf": {
		"fine":     "example.org TXT pass",
		"NXDOMAIN": "example.net TXT fail",
		"NODATA":   "example.org TXT fail",
		"SERVFAIL": "example.org TXT temperror",
		"silent":   "example.org SILENT",
	},
	"dnsbl": {
		"fine":     "",
		"NXDOMAIN": "7.2.0.192.list.example A 127.0.0.2",
		"NODATA":   "7.2.0.192.list.example A 127.0.0.2\n7.2.0.192.list.example TXT \"see list\\003.example\"",
		"SERVFAIL": "7.2.0.192.list.example SERVFAIL",
		"silent":   "7.2.0.192.list.example SILENT",
	},
	"greylist": {"fine": "", "NXDOMAIN": "wait", "NODATA": "wait", "SERVFAIL": "error", "silent": "error"},
}

// failures are the symbol and the reply of each test.
var failures = map[string][2]string{
	"ptr":           {"PTR_MISSING", "501 5.7.25 Connecting IP must have valid PTR record"},
	"sender_domain": {"SENDER_DOMAIN_MISSING", "501 5.1.8 example.org is invalid or DNS says does not exist"},
	"spf":           {"", "550 5.7.23 192.0.2.7 does not pass SPF requirements for domain example.org"},
	"greylist":      {"GREYLIST_NEW", "451 4.7.1 Greylisting enabled, try again in 2 minutes"},
	"dnsbl":         {"LIST_ONE", "550 5.7.1 "},
}

func list(t *testing.T, entries ...string) *policy.List {
	t.Helper()
	l, errs := policy.ParseList("test", []byte(strings.Join(entries, "\n")))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return l
}

// gateFor makes a gate with one test.
func gateFor(t *testing.T, name string, zone string, with policy.Test, change func(*policy.GateConfig)) *policy.Gate {
	t.Helper()
	r := lookuptest.Zone(t, "2.0.0.127.list.example A 127.0.0.2\n"+strings.TrimPrefix(strings.TrimPrefix(zone, "wait"), "error"))
	cfg := policy.GateConfig{Resolver: r}
	switch name {
	case "ptr":
		cfg.PTR = with
	case "sender_domain":
		cfg.SenderDomain = with
	case "spf":
		cfg.SPF = with
		cfg.CheckSPF = spfOf(r)
	case "greylist":
		cfg.Greylist = with
		g := &greylister{}
		switch zone {
		case "wait":
			g.wait = time.Minute
		case "error":
			g.err = errors.New("no disk")
		}
		cfg.Grey = g
	case "dnsbl":
		cfg.DNSBL = with
		cfg.Lists = lists(t, r, dnslist.Zone{Name: "list.example", Label: "ONE", Of: dnslist.Clients})
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

// spfOf is an SPF whose record is the result.
func spfOf(r lookup.Resolver) func(context.Context, netip.Addr, string, string) (string, string, bool) {
	return func(ctx context.Context, _ netip.Addr, hello, from string) (string, string, bool) {
		domain, byHello := from[strings.LastIndexByte(from, '@')+1:], from == ""
		if byHello {
			domain = hello
		}
		texts, err := lookup.Texts(ctx, r, domain)
		switch {
		case lookup.Missing(err):
			return "fail", domain, byHello // so that a missing record is a failure here
		case err != nil:
			return "temperror", domain, byHello
		}
		return texts[0], domain, byHello
	}
}

// lists makes a set whose zones have proved themselves.
func lists(t *testing.T, r lookup.Resolver, zones ...dnslist.Zone) *dnslist.Set {
	t.Helper()
	set, err := dnslist.New(dnslist.Config{Resolver: r, Zones: zones})
	if err != nil {
		t.Fatal(err)
	}
	set.Test(t.Context())
	return set
}

// run goes through one transaction and returns the reply of the refusal, "" for
// none, the stage at which it came, and the symbols.
func run(ctx context.Context, g *policy.Gate, from, to string) (reply, stage string, facts policy.Facts) {
	text := func(r *policy.Refusal) string {
		if !r.Close {
			return "not closed"
		}
		return fmt.Sprintf("%d %d.%d.%d %s", r.Code, r.Status[0], r.Status[1], r.Status[2], r.Text)
	}
	if r := g.Greet(ctx, client); r != nil {
		return text(r), "connect", facts
	}
	v := g.Visit(client)
	defer v.Close()
	if r := v.Mail(ctx, "client.example.net", from); r != nil {
		return text(r), "MAIL", facts
	}
	if r := v.Rcpt(ctx, to); r != nil {
		return text(r), "RCPT", facts
	}
	return "", "", v.Facts(ctx)
}

func symbols(f policy.Facts) []string {
	var names []string
	for _, h := range f.Found {
		names = append(names, h.Symbol)
	}
	slices.Sort(names)
	return names
}

// Every test, mode, exemption and state of DNS.
func TestGate(t *testing.T) {
	exemptions := map[string]func(*testing.T, *policy.Test){
		"nobody":          func(*testing.T, *policy.Test) {},
		"client":          func(_ *testing.T, c *policy.Test) { c.Clients = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/28")} },
		"other client":    func(_ *testing.T, c *policy.Test) { c.Clients = []netip.Prefix{netip.MustParsePrefix("192.0.2.8/32")} },
		"sender":          func(t *testing.T, c *policy.Test) { c.Senders = list(t, ".org") },
		"other sender":    func(t *testing.T, c *policy.Test) { c.Senders = list(t, "example.net", "b@example.org") },
		"recipient":       func(t *testing.T, c *policy.Test) { c.Recipients = list(t, "example.com") },
		"other recipient": func(t *testing.T, c *policy.Test) { c.Recipients = list(t, "example.net") },
	}
	stages := map[string]string{"ptr": "connect", "sender_domain": "MAIL", "spf": "MAIL", "greylist": "RCPT", "dnsbl": "RCPT"}
	runs := 0
	for name, states := range situations {
		for state, zone := range states {
			for _, mode := range []policy.Mode{"", policy.Off, policy.Score, policy.Enforce} {
				for who, exempt := range exemptions {
					runs++
					t.Run(strings.Join([]string{name, state, string(mode), who}, "/"), func(t *testing.T) {
						with := policy.Test{Mode: mode}
						exempt(t, &with)
						excused := who == "client" || who == "sender" || who == "recipient" || mode == policy.Off || mode == ""
						synctest.Test(t, func(t *testing.T) {
							g := gateFor(t, name, zone, with, nil)
							begin := time.Now()
							reply, stage, facts := run(t.Context(), g, "a@example.org", "u@example.com")
							took := time.Since(begin)

							wantReply, wantStage, want := "", "", []string(nil)
							failed := state == "NXDOMAIN" || state == "NODATA"
							switch {
							case excused:
							case failed && mode == policy.Enforce:
								wantReply, wantStage = failures[name][1], stages[name]
								if name == "dnsbl" && state == "NODATA" {
									wantReply += "see list .example"
								} else if name == "dnsbl" {
									wantReply += "192.0.2.7 is listed by list.example"
								}
								if wantStage != "RCPT" && who == "other recipient" {
									wantStage = "RCPT"
								} else if wantStage == "connect" && who == "other sender" {
									wantStage = "MAIL"
								}
							case failed && failures[name][0] != "":
								want = []string{failures[name][0]}
							case state == "SERVFAIL" || state == "silent":
								want = []string{"DNS_UNANSWERED"}
							}
							if reply != wantReply || stage != wantStage {
								t.Errorf("reply %q at %s, want %q at %s", reply, stage, wantReply, wantStage)
							}
							if reply == "" && !slices.Equal(symbols(facts), want) {
								t.Errorf("symbols %q, want %q", symbols(facts), want)
							}
							if len(want) > 0 && want[0] == "DNS_UNANSWERED" && (len(facts.Skipped) != 1 || !strings.HasPrefix(facts.Skipped[0], name+": ") || facts.Found[0].Detail != name) {
								t.Errorf("skipped %q, found %+v", facts.Skipped, facts.Found)
							}
							// A PTR that is enforced is asked for before the banner, and again.
							if limit := 2 * 3 * time.Second; took > limit {
								t.Errorf("took %v", took)
							}
							if name == "ptr" && state == "fine" && !excused && (facts.PTR != "mail.example.org" || facts.IPRev != "pass") {
								t.Errorf("facts %+v", facts)
							}
						})
					})
				}
			}
		}
	}
	if runs != 5*5*4*7 {
		t.Errorf("%d runs", runs)
	}
}
