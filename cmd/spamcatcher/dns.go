package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"spamcatcher/gateway/dnslist"
	"spamcatcher/gateway/lookup"
	"spamcatcher/gateway/policy"
	"spamcatcher/signatures/fingerprint"
)

func dnsCommand(g *global) *cobra.Command {
	root := &cobra.Command{Use: "dns", Short: "Test resolvers and DNS lists, and ask them"}
	root.AddCommand(&cobra.Command{
		Use:   "test [ADDRESS|DOMAIN]...",
		Short: "Test resolvers and lists, or say what DNS knows of clients and senders",
		Long: `Without arguments: asks each resolver, and lets each list test itself (RFC 5782 section 5:
it must know 127.0.0.2 and must not know 127.0.0.1), as the gateway does at its start
and every hour. The exit code is 1 when no resolver answers or a list cannot be used.

With arguments: says of each address what names it has and which lists know it, and of
each domain whether it exists for mail and which lists know it.`,
		Example: `  spamcatcher dns test --config isp.toml
  spamcatcher dns test 192.0.2.1 example.org`,
		RunE: func(c *cobra.Command, args []string) error {
			config, err := loadConfig(g, nil)
			if err != nil {
				return err
			}
			t, err := newDNSTester(c.OutOrStdout(), config)
			if err != nil {
				return err
			}
			defer t.close()
			if len(args) == 0 {
				t.state(c.Context())
			}
			if len(args) > 0 {
				t.lists.Test(c.Context()) // what cannot be used has nothing to say
			}
			for _, arg := range args {
				t.about(c.Context(), arg)
			}
			if t.failed {
				return errReported
			}
			return nil
		},
	})
	return root
}

// A dnsTester prints what it finds, a line each.
type dnsTester struct {
	out    io.Writer
	config *Config
	dns    *lookup.Client
	lists  *dnslist.Set
	print  *fingerprint.Check // nil: there is no network
	failed bool
}

func newDNSTester(out io.Writer, c *Config) (*dnsTester, error) {
	n, err := newNetwork(c, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		return nil, err
	}
	asking := *c
	asking.NetCheck = true
	k, err := newGatekeeper(&asking, n, &policy.Policy{}, nil)
	if err != nil {
		n.close()
		return nil, err
	}
	return &dnsTester{out: out, config: c, dns: n.dns, lists: k.lists, print: k.print}, nil
}

func (t *dnsTester) close() { t.dns.Close() }

// state says which resolvers and lists can be used.
func (t *dnsTester) state(ctx context.Context) {
	t.resolvers(ctx, t.dns.Servers())
	t.zones(ctx)
}

func (t *dnsTester) say(mark, what, format string, args ...any) {
	if mark == bad {
		t.failed = true
	}
	fmt.Fprintf(t.out, "%-4s %-30s %s\n", mark, what, printable(fmt.Sprintf(format, args...)))
}

// resolvers asks each one alone for the root's name servers. Any answer will do.
func (t *dnsTester) resolvers(ctx context.Context, servers []lookup.ServerState) {
	if len(servers) == 0 {
		t.say(bad, "resolver", "none is known (dns.servers, or %s)", resolvConf)
	}
	answering := 0
	for _, s := range servers {
		one, err := lookup.New(lookup.Config{Servers: []string{s.Address}, Timeout: t.config.DNSTimeout})
		if err != nil {
			t.say(bad, "resolver "+s.Address, "%v", err)
			continue
		}
		began := time.Now()
		_, err = one.Query(ctx, ".", lookup.NS)
		took := time.Since(began).Round(100 * time.Microsecond)
		if err != nil && !lookup.Missing(err) {
			t.say(open, "resolver "+s.Address, "does not answer: %v", err)
		} else {
			answering++
			t.say(good, "resolver "+s.Address, "answers in %v", took)
		}
		one.Close()
	}
	if answering == 0 && len(servers) > 0 {
		t.say(bad, "resolvers", "none answers: tests that need DNS are skipped, and no mail is refused by them")
	}
	if !t.config.NetCheck {
		t.say(open, "netcheck", "is off: DNS is not asked about mail")
	}
}

// zones lets the lists test themselves.
func (t *dnsTester) zones(ctx context.Context) {
	for _, z := range t.lists.Test(ctx) {
		what := "list " + z.Name
		switch {
		case z.Off:
			t.say(open, what, "is off")
		case z.Suspended:
			t.say(bad, what, "cannot be used: %s", z.Reason)
		case z.Untested:
			t.say(open, what, "could not be tested: %s", z.Reason)
		default:
			t.say(good, what, "can be used")
		}
	}
	if t.print == nil {
		return
	}
	what := "fingerprints " + t.config.FingerprintZone
	if err := t.print.Test(ctx); err != nil {
		t.say(bad, what, "cannot be asked: %v", err)
	} else {
		t.say(good, what, "can be asked")
	}
}

// about says what DNS knows of a client or a sender.
func (t *dnsTester) about(ctx context.Context, what string) {
	if a, err := netip.ParseAddr(what); err == nil {
		t.address(ctx, a.Unmap())
	} else if err := checkHostname(what); err != nil {
		t.say(bad, what, "is no address and no domain")
	} else {
		t.domain(ctx, strings.TrimSuffix(what, "."))
	}
}

func (t *dnsTester) address(ctx context.Context, a netip.Addr) {
	names, err := lookup.Names(ctx, t.dns, a)
	switch {
	case lookup.Missing(err):
		t.say(open, a.String(), "has no PTR record")
	case err != nil:
		t.say(open, a.String(), "nobody can tell its name: %v", err)
	}
	for _, name := range names {
		back, err := lookup.Addresses(ctx, t.dns, name)
		switch {
		case slices.Contains(back, a):
			t.say(good, a.String(), "is %s, which has this address", name)
		case err == nil || lookup.Missing(err):
			t.say(open, a.String(), "says that it is %s, which does not have this address", name)
		default:
			t.say(open, a.String(), "says that it is %s: %v", name, err)
		}
	}
	t.listings(ctx, a.String(), t.lists.Address(ctx, dnslist.Clients, a))
}

func (t *dnsTester) domain(ctx context.Context, name string) {
	hosts, err := lookup.MailHosts(ctx, t.dns, name)
	switch {
	case errors.Is(err, lookup.ErrNoName):
		t.say(open, name, "does not exist")
	case err != nil:
		t.say(open, name, "nobody can tell where its mail goes: %v", err)
	case len(hosts) == 0:
		t.say(open, name, "takes no mail (null MX)")
	default:
		t.say(good, name, "its mail goes to %s", strings.Join(hosts, ", "))
	}
	t.listings(ctx, name, t.lists.Domain(ctx, dnslist.Links|dnslist.LinkHosts|dnslist.Senders, name))
}

func (t *dnsTester) listings(ctx context.Context, what string, f dnslist.Findings) {
	for _, l := range f.Listings {
		text := l.Text(ctx)
		if text != "" {
			text = ": " + text
		}
		t.say(open, what, "is listed by %s as %s%s", l.Zone.Name, strings.Join(l.Symbols, " "), text)
	}
	for _, zone := range f.Unanswered {
		t.say(open, what, "%s does not answer", zone)
	}
	if len(f.Listings) == 0 && len(f.Unanswered) == 0 {
		t.say(good, what, "no list knows it")
	}
}
