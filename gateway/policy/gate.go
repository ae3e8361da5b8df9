package policy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"spamcatcher/gateway/dnslist"
	"spamcatcher/gateway/lookup"
)

// The gate is what a client meets before its message: five tests of where it
// comes from and whom it claims to write for, in this order.
//
//  1. ptr: the client's address has a host name. Asked before the banner.
//  2. sender_domain: the domain of the envelope sender exists. At MAIL.
//  3. spf: that domain lets this client send. At MAIL.
//  4. greylist: the client comes back when told to. At RCPT.
//  5. dnsbl: no DNS list knows the client. At RCPT.
//
// The first test that is failed and enforced decides, and ends the connection. A
// test that some senders are exempt from cannot decide before MAIL, one that
// some recipients are exempt from not before RCPT; it says the same then. Where
// DNS does not answer, nobody is refused: the test is left out, and a symbol
// tells of it.
const (
	testPTR      = "ptr"
	testSender   = "sender_domain"
	testSPF      = "spf"
	testGreylist = "greylist"
	testDNSBL    = "dnsbl"
)

// A Mode is what a test does with a client that fails it.
type Mode string

const (
	Off     Mode = "off"     // the test is not made; "" is the same
	Score   Mode = "score"   // the message gets a symbol
	Enforce Mode = "enforce" // the client is refused
)

// ParseMode reads a mode; with an error comes Off.
func ParseMode(text string) (Mode, error) {
	m := Mode(strings.ToLower(strings.TrimSpace(text)))
	switch m {
	case Off, Score, Enforce:
		return m, nil
	}
	return Off, fmt.Errorf("%q is none of enforce, score, off", text)
}

func (m Mode) off() bool { return m == "" || m == Off }

// A Test is one test's mode, and who is exempt from it: neither refused nor
// given a symbol. A message whose recipients are all exempt is, too.
type Test struct {
	Mode                Mode
	Clients             []netip.Prefix
	Senders, Recipients *List
}

// A Greylister remembers who wrote to whom. *greylist.Store is one.
type Greylister interface {
	// Check returns how long the sender has to wait before mail to the recipient
	// is taken, 0 for not at all. An error means that nobody can tell.
	Check(client netip.Addr, from, to string) (wait time.Duration, err error)
	// Delay is how long a sender nobody knows has to wait.
	Delay() time.Duration
}

// A GateConfig is what a gate is made of. Its zero value lets everybody in.
type GateConfig struct {
	PTR, SenderDomain, SPF, Greylist, DNSBL Test
	// Trusted clients are exempt from all tests. So are loopback, private and
	// link-local addresses, unless TestLocal is set.
	Trusted   []netip.Prefix
	TestLocal bool

	Resolver lookup.Resolver // needed by PTR and SenderDomain
	// CheckSPF evaluates RFC 7208's check_host: the result in the words of its
	// section 2.6, the domain that it was evaluated for, and whether that was
	// the name in HELO. It is asked also where the test SPF is off or somebody is
	// exempt from it: see Visit.SPF. nil: there is no SPF.
	CheckSPF func(ctx context.Context, client netip.Addr, hello, from string) (result, domain string, byHello bool)
	Lists    *dnslist.Set // needed by DNSBL
	Grey     Greylister   // needed by Greylist
	// Settings returns what was chosen for a recipient; "" is the test's mode. A
	// test that is off for everybody else is made for a recipient who wants it.
	// nil: nothing was chosen.
	Settings func(recipient string) (greylist, dnsbl Mode)
	// Approved says whether a sender is approved by a recipient, and need not
	// wait; forged says that by SPF he is not who he says. nil: nobody is.
	Approved func(sender, recipient string, forged bool) bool
	Timeout  time.Duration // what DNS may take for one test (3 s)
}

// A Gate tests clients. It is immutable and safe for any number of goroutines.
type Gate struct {
	GateConfig
	enforcedZone bool // there is a zone whose own mode is Enforce
}

// NewGate makes a gate. It is an error if a test lacks what it needs.
func NewGate(cfg GateConfig) (*Gate, error) {
	for _, t := range []struct {
		name string
		Test
		has bool
	}{
		{testPTR, cfg.PTR, cfg.Resolver != nil},
		{testSender, cfg.SenderDomain, cfg.Resolver != nil},
		{testSPF, cfg.SPF, cfg.CheckSPF != nil},
		{testGreylist, cfg.Greylist, cfg.Grey != nil},
		{testDNSBL, cfg.DNSBL, cfg.Lists != nil},
	} {
		if _, err := ParseMode(string(t.Mode)); err != nil && t.Mode != "" {
			return nil, fmt.Errorf("test %s: %w", t.name, err)
		}
		if !t.Mode.off() && !t.has {
			return nil, fmt.Errorf("test %s: it has nobody to ask", t.name)
		}
	}
	if cfg.Timeout < 0 {
		return nil, errors.New("the time of a test is negative")
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 3 * time.Second
	}
	g := &Gate{GateConfig: cfg}
	if cfg.Lists != nil {
		g.enforcedZone = slices.ContainsFunc(cfg.Lists.Zones(dnslist.Clients), func(z *dnslist.Zone) bool { return Mode(z.Mode) == Enforce })
	}
	return g, nil
}

// A Refusal is what a client is told that may not go on.
type Refusal struct {
	Code   int    // of the reply, RFC 5321 section 4.2
	Status [3]int // RFC 3463
	Text   string // one line of printable ASCII
	// Close says that the connection ends after it; but not while the client has
	// a transaction with a recipient who was accepted before, for that message
	// would be lost with it.
	Close bool
	Test  string // which test it is by, for the log
	Cause string // what was found, for the log; it may come from outside
}

func (r *Refusal) Error() string { return fmt.Sprintf("refused by %s: %s", r.Test, r.Cause) }

// passes says whether a client is exempt from all tests. One without an address
// cannot be tested.
func (g *Gate) passes(client netip.Addr) bool {
	local := client.IsLoopback() || client.IsPrivate() || client.IsLinkLocalUnicast()
	return !client.IsValid() || local && !g.TestLocal || contains(g.Trusted, client)
}

func contains(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool {
		return p.Contains(a) || p.Addr().Is4In6() && p.Bits() >= 96 && netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96).Contains(a)
	})
}

// Greet tests a client before the banner. It takes at most the time of one test.
// A nil gate lets everybody in.
func (g *Gate) Greet(ctx context.Context, client netip.Addr) *Refusal {
	if g == nil || !g.refusesAtGreeting() {
		return nil
	}
	client = client.Unmap().WithZone("")
	if g.passes(client) || contains(g.PTR.Clients, client) {
		return nil
	}
	q := ask(ctx, g.Timeout, func(ctx context.Context) error {
		_, err := hostNames(ctx, g.Resolver, client)
		return err
	})
	if err, known := q.answer(ctx); known && errors.Is(err, errNoHostName) {
		return refusePTR(err)
	}
	return nil
}

// refusesAtGreeting says whether test 1 need not wait for sender or recipient.
func (g *Gate) refusesAtGreeting() bool {
	return g.PTR.Mode == Enforce && g.PTR.Senders.Len() == 0 && g.PTR.Recipients.Len() == 0
}

// exempts says whether a list of exemptions covers an address. The null sender
// and what is no address are covered by none.
func exempts(l *List, address string) bool {
	folded, ok := foldAddress(address)
	if !ok {
		return false
	}
	rank, _ := l.match(folded)
	return rank > 0
}
