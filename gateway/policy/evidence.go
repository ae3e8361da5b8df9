package policy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"spamcatcher/engine"
	"spamcatcher/gateway/domain"
	"spamcatcher/gateway/lookup"
)

// A finding is what one test found out about a client or sender.
type finding struct {
	hit     engine.Hit // what speaks against it; no Symbol for nothing
	refusal *Refusal   // what it is told where the test is enforced; nil: it passes
	unsure  error      // why nobody can tell, or not all of it

	name, iprev string // of test 1
	spf         spfResult
}

var (
	errNoHostName = errors.New("no host name")
	errLate       = errors.New("no answer in time")
)

// maxHostNames bounds the names of one address that are confirmed. RFC 7208
// section 5.5 takes ten; but every further name is a spammer's.
const maxHostNames = 2

// hostNames returns the names that the PTR records of a client give, at most
// maxHostNames: the first by the alphabet, since DNS has them in any order. The
// error is errNoHostName when DNS says that there are none, or
// none that could be a host's; any other means that nobody could tell.
func hostNames(ctx context.Context, r lookup.Resolver, client netip.Addr) ([]string, error) {
	all, err := lookup.Names(ctx, r, client)
	if lookup.Missing(err) {
		return nil, fmt.Errorf("%w: %w", errNoHostName, err)
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, n := range all {
		if name, ok := domain.Fold(n); ok && name[0] != '[' {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%w: PTR %q", errNoHostName, printable(all[0], 100))
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return names[:min(len(names), maxHostNames)], nil
}

// reverse is test 1. A client whose name is not confirmed by its address passes,
// with a symbol. RFC 8601 section 2.7.3: the results of iprev.
func reverse(ctx context.Context, r lookup.Resolver, client netip.Addr) finding {
	names, err := hostNames(ctx, r, client)
	if errors.Is(err, errNoHostName) {
		return finding{hit: engine.Hit{Symbol: symbolPTRMissing, Detail: client.String()}, refusal: refusePTR(err), iprev: "permerror"}
	}
	if err != nil {
		return finding{unsure: err, iprev: "temperror"}
	}
	kind := lookup.A
	if client.Is6() {
		kind = lookup.AAAA
	}
	var unsure error
	iprev := "permerror" // no name has an address
	for _, name := range names {
		answer, err := r.Query(ctx, name, kind)
		if err != nil && !lookup.Missing(err) {
			unsure = fmt.Errorf("looking up %s: %w", name, err)
		}
		for _, rec := range answer.Records {
			if rec.Addr.Unmap() == client {
				return finding{name: name, iprev: "pass"}
			}
			iprev = "fail"
		}
	}
	if unsure != nil {
		return finding{unsure: unsure, iprev: "temperror"}
	}
	return finding{hit: engine.Hit{Symbol: symbolPTRUnconfirmed, Detail: strings.Join(names, " ")}, iprev: iprev}
}

// existence is test 2: whether a sender's domain exists, that is, has MX, A or
// AAAA records. An address literal (RFC 5321 section 4.1.3) needs no DNS and
// passes, with a symbol; so does a domain that takes no mail (RFC 7505): it
// exists, but nobody could answer. Our own domains are asked about like others:
// whoever writes in their name from outside is no better known.
func existence(ctx context.Context, r lookup.Resolver, from string) finding {
	given := from[strings.LastIndexByte(from, '@')+1:]
	name, ok := domain.Fold(given)
	switch {
	case !ok:
		return missingDomain(given, errors.New("not a domain"))
	case name[0] == '[':
		return finding{hit: engine.Hit{Symbol: symbolSenderLiteral, Detail: name}}
	}
	var unsure error
	for _, kind := range []lookup.Kind{lookup.MX, lookup.A, lookup.AAAA} {
		answer, err := r.Query(ctx, name, kind)
		switch {
		case err == nil && kind == lookup.MX && nullMX(answer):
			return finding{hit: engine.Hit{Symbol: symbolSenderNullMX, Detail: name}}
		case err == nil:
			return finding{}
		case errors.Is(err, lookup.ErrNoName) && unsure == nil:
			return missingDomain(given, err)
		case !lookup.Missing(err):
			unsure = fmt.Errorf("looking up the %v of %s: %w", kind, name, err)
		}
	}
	if unsure != nil {
		return finding{unsure: unsure}
	}
	return missingDomain(given, lookup.ErrNoData)
}

// nullMX says whether MX records say that a domain takes no mail: RFC 7505
// section 3, a single one with the root as its host.
func nullMX(a lookup.Answer) bool {
	return len(a.Records) == 1 && (a.Records[0].Text == "" || a.Records[0].Text == ".")
}

// An spfResult is what GateConfig.CheckSPF returns.
type spfResult struct {
	result, domain string
	byHello        bool
}

// permission is test 3. Only fail refuses: RFC 7208 section 8.4. What its result
// means for the score is the business of who reads it in the mail.
func permission(ctx context.Context, g *Gate, client netip.Addr, hello, from string) finding {
	var f finding
	f.spf.result, f.spf.domain, f.spf.byHello = g.CheckSPF(ctx, client, hello, from)
	switch f.spf.result {
	case "temperror":
		f.unsure = errors.New("temperror")
	case "fail":
		f.refusal = refuse(550, [3]int{5, 7, 23}, testSPF,
			client.String()+" does not pass SPF requirements for domain "+printable(f.spf.domain, 255), "fail for "+f.spf.domain)
	}
	return f
}

func refusePTR(cause error) *Refusal {
	return refuse(501, [3]int{5, 7, 25}, testPTR, "Connecting IP must have valid PTR record", cause.Error())
}

func missingDomain(given string, cause error) finding {
	return finding{
		hit:     engine.Hit{Symbol: symbolSenderMissing, Detail: given},
		refusal: refuse(501, [3]int{5, 1, 8}, testSender, printable(given, 255)+" is invalid or DNS says does not exist", given+": "+cause.Error()),
	}
}

// refuse makes a refusal. RFC 3463 and RFC 7372 section 3 have the status codes.
func refuse(code int, status [3]int, test, text, cause string) *Refusal {
	return &Refusal{Code: code, Status: status, Text: text, Close: true, Test: test, Cause: cause}
}

// printable makes a text from outside fit for a reply: at most n octets of
// printable ASCII, everything else replaced.
func printable(text string, n int) string {
	if len(text) > n {
		text = text[:n]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
}

func faultText(p any, stack []byte) string { return fmt.Sprintf("panic: %v\n%s", p, stack) }
