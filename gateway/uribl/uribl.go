// Package uribl turns the links of a mail and the domains of its sender into
// what DNS lists say of them: the check "lists".
//
// What is asked, and in which order, follows from the mail alone, so that the
// same answers give the same findings whoever came first:
//
//  1. The entries are gathered (entries.go): the sender's domains, and hosts of
//     links, the visible ones first, then those inside attachments, pictures last. Where there are more than
//     can be asked about, the time of arrival draws who comes first, so that
//     links to harmless places in front of the one that matters are in vain.
//     Each host becomes its registered domain, and the whole host for zones
//     that want it. Our own domains and well-known ones are left out; not those
//     of the recipients, whom the sender names.
//  2. Each entry is paired with the zones that are asked about its kind; the
//     first pairs, as many as there may be questions, are asked side by side. The
//     sender's domains come first, but get no more than a third of the questions
//     while there are links: the sender can take any names that nobody minds.
//  3. Where zones list addresses of hosts, up to a third of the questions is kept
//     for them: the first hosts are resolved beside step 2, and their addresses
//     are asked about with whatever is left, and then further pairs.
//
// Each question goes through Mail.Answers, and so does the list of zones that
// were not asked because they were suspended, so that a replay asks the same.
package uribl

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"spamcatcher/engine"
	"spamcatcher/gateway/dnslist"
	"spamcatcher/gateway/lookup"
)

// Unanswered is the symbol for zones that could not tell.
const Unanswered = "LIST_UNANSWERED"

// Config of a Check.
type Config struct {
	// Set is the zones; those of Clients are not asked here.
	Set *dnslist.Set
	// Resolver finds the addresses of hosts.
	Resolver lookup.Resolver
	// MaxQueries bounds the questions of DNS that one mail causes. 0: 20.
	MaxQueries int
	// Local says whether a domain is one of ours, which no list is asked about.
	// nil: none is.
	Local func(domain string) bool
}

// A Check asks lists. It is safe for any number of goroutines.
type Check struct {
	set      *dnslist.Set
	resolver lookup.Resolver
	max      int
	local    func(string) bool
	known    map[string]bool
	symbols  []dnslist.Symbol
}

// New makes a check. It asks nothing.
func New(c Config) (*Check, error) {
	if c.Set == nil || c.Resolver == nil {
		return nil, errors.New("lists: no zones or no resolver")
	}
	if c.MaxQueries < 0 {
		return nil, fmt.Errorf("lists: %d queries a message", c.MaxQueries)
	}
	check := &Check{set: c.Set, resolver: c.Resolver, max: c.MaxQueries, local: c.Local, known: wellKnown(), symbols: c.Set.Symbols(dnslist.Contents)}
	if check.max == 0 {
		check.max = 20
	}
	if check.local == nil {
		check.local = func(string) bool { return false }
	}
	return check, nil
}

// Name is "lists".
func (*Check) Name() string { return "lists" }

// Symbols are those of the zones, and Unanswered.
func (c *Check) Symbols() []engine.Symbol {
	list := make([]engine.Symbol, 0, len(c.symbols)+1)
	for _, s := range c.symbols {
		list = append(list, engine.Symbol{Name: s.Name, Description: s.Description})
	}
	return append(list, engine.Symbol{Name: Unanswered, Description: "a list that was asked about links or sender could not tell"})
}

// Prices are those of the zones, in log-odds.
func (c *Check) Prices() map[string]float64 {
	prices := map[string]float64{}
	for _, s := range c.symbols {
		prices[s.Name] = s.Points * engine.Point
	}
	return prices
}

// An inquiry is what one mail makes the check ask.
type inquiry struct {
	*Check
	mail    *engine.Mail
	leftOut map[string]bool // labels of zones that are not asked, and label/6 for IPv6
	// found are the listed entries by symbol, silent the zones that did not tell.
	found  map[string][]string
	silent map[string]bool
}

// A question is one zone asked about one entry.
type question struct {
	zone  *dnslist.Zone
	entry string
}

// Inspect asks the zones. It returns what it knows shortly before ctx's
// deadline: what came too late would be of no use to anybody.
func (c *Check) Inspect(ctx context.Context, m *engine.Mail) ([]engine.Hit, error) {
	if m.Message == nil {
		return nil, nil
	}
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)*4/5)
		defer cancel()
	}
	q := &inquiry{Check: c, mail: m, found: map[string][]string{}, silent: map[string]bool{}}
	q.notice()
	senders, links, hosts := c.gather(ctx, m)
	hosts, kept := q.toResolve(hosts)
	questions := q.pair(nil, senders, (c.max-kept)/3)
	questions = q.pair(questions, links, c.max-kept)
	questions = q.pair(questions, senders, c.max-kept)
	addresses := make([][]netip.Addr, len(hosts))
	errs := make([]error, len(hosts))
	var resolved, asked sync.WaitGroup
	for i, host := range hosts {
		resolved.Go(func() {
			defer recovered(&errs[i])
			addresses[i], errs[i] = q.resolve(ctx, host)
		})
	}
	var replies []reply
	asked.Go(func() { replies = q.ask(ctx, questions) }) // does not panic
	resolved.Wait()
	more := q.pairAddresses(addresses, errs, questions, c.max-len(hosts)-len(questions))
	all := slices.Concat(questions, more)
	all = q.pair(all, links, c.max-len(hosts))
	more = q.pair(all, senders, c.max-len(hosts))[len(questions):]
	moreReplies := q.ask(ctx, more)
	asked.Wait()
	q.take(questions, replies)
	q.take(more, moreReplies)
	return q.hits(), nil
}

// errNone keeps an answer that says nothing from being kept.
var errNone = errors.New("none")

// notice finds out which zones are not to be asked.
func (q *inquiry) notice() {
	text, err := q.mail.Answers.Ask("lists suspended", func() (string, error) {
		suspended := map[string]bool{}
		for _, st := range q.set.States() {
			suspended[st.Label] = st.Suspended
		}
		var list []string
		for _, z := range q.set.Zones(dnslist.Contents) {
			if suspended[z.Label] {
				list = append(list, z.Label)
			} else if z.Of&(dnslist.LinkLiterals|dnslist.LinkAddresses) != 0 && !q.set.HoldsIPv6(z) {
				list = append(list, z.Label+"/6")
			}
		}
		if len(list) == 0 {
			return "", errNone
		}
		return strings.Join(list, " "), nil
	})
	q.leftOut = map[string]bool{}
	if err != nil {
		return
	}
	for label := range strings.FieldsSeq(text) {
		q.leftOut[label] = true
	}
}

// zones are those that are asked about any of the kinds; those that are
// suspended are noted instead.
func (q *inquiry) zones(of dnslist.Of, six bool) []*dnslist.Zone {
	var list []*dnslist.Zone
	for _, z := range q.set.Zones(of & dnslist.Contents) {
		switch {
		case q.leftOut[z.Label]:
			q.silent[z.Name] = true
		case six && q.leftOut[z.Label+"/6"]:
		default:
			list = append(list, z)
		}
	}
	return list
}

// pair adds questions about entries to a list, each once, till there are n.
func (q *inquiry) pair(list []question, entries []entry, n int) []question {
	for _, e := range entries {
		for _, z := range q.zones(e.of, e.address.Is6()) {
			if len(list) >= n {
				return list
			}
			list = q.add(list, question{z, e.name})
		}
	}
	return list
}

func (q *inquiry) add(list []question, one question) []question {
	if _, ok := one.zone.Query(one.entry); !ok || slices.Contains(list, one) {
		return list
	}
	return append(list, one)
}

// toResolve returns the first of the hosts, those whose addresses zones are to
// be asked about, and how many questions that takes: for each host one for its
// addresses, and one for each zone about the first of them.
func (q *inquiry) toResolve(hosts []string) ([]string, int) {
	if len(hosts) == 0 {
		return nil, 0
	}
	zones := len(q.zones(dnslist.LinkAddresses, false))
	if zones == 0 {
		return nil, 0
	}
	n := min(len(hosts), q.max/3/(1+zones))
	return hosts[:n], n * (1 + zones)
}

// resolve returns the IPv4 addresses of a host, sorted, at most maxAddresses:
// those of IPv6 would cost another question, and lists of them hold little.
func (q *inquiry) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	text, err := q.mail.Answers.Ask("address "+host, func() (string, error) {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		answer, err := q.resolver.Query(ctx, host, lookup.A)
		if err != nil && !lookup.Missing(err) {
			return "", err
		}
		var list []netip.Addr
		for _, rec := range answer.Records {
			if rec.Addr.Is4() {
				list = append(list, rec.Addr)
			}
		}
		return join(list), nil
	})
	if err != nil {
		return nil, err
	}
	return parse(text)
}

// maxAddresses of one answer are looked at.
const maxAddresses = 16

func join(list []netip.Addr) string {
	slices.SortFunc(list, netip.Addr.Compare)
	var words []string
	for _, a := range slices.Compact(list) {
		if len(words) < maxAddresses {
			words = append(words, a.String())
		}
	}
	return strings.Join(words, " ")
}

func parse(text string) ([]netip.Addr, error) {
	var list []netip.Addr
	for word := range strings.FieldsSeq(text) {
		a, err := netip.ParseAddr(word)
		if err != nil {
			return nil, fmt.Errorf("reading an answer: %w", err)
		}
		list = append(list, a)
	}
	return list, nil
}

// pairAddresses returns the first n questions about addresses of hosts: the
// first address of each host, then the second, and so on. Those that were asked
// already are left out.
func (q *inquiry) pairAddresses(addresses [][]netip.Addr, errs []error, asked []question, n int) []question {
	var list []question
	for i := range maxAddresses {
		for host := range addresses {
			if i == 0 && errs[host] != nil {
				for _, z := range q.zones(dnslist.LinkAddresses, false) {
					q.silent[z.Name] = true
				}
			}
			if i >= len(addresses[host]) || !public(addresses[host][i]) {
				continue
			}
			for _, z := range q.zones(dnslist.LinkAddresses, false) {
				if len(list) >= n {
					return list
				}
				if one := (question{z, addresses[host][i].String()}); !slices.Contains(asked, one) {
					list = q.add(list, one)
				}
			}
		}
	}
	return list
}

// A reply is what became of a question.
type reply struct {
	codes []netip.Addr
	err   error
}

// ask asks questions side by side.
func (q *inquiry) ask(ctx context.Context, questions []question) []reply {
	replies := make([]reply, len(questions))
	var all sync.WaitGroup
	for i, one := range questions {
		all.Go(func() {
			r := &replies[i]
			defer recovered(&r.err)
			text, err := q.mail.Answers.Ask(one.zone.Name+" "+one.entry, func() (string, error) {
				codes, err := q.set.Ask(ctx, one.zone, one.entry)
				return join(codes), err
			})
			if r.err = err; err == nil {
				r.codes, r.err = parse(text)
			}
		})
	}
	all.Wait()
	return replies
}

// recovered makes of a panic an error of one question: nobody else would catch it.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
	}
}

// take notes what replies mean, in the order of their questions.
func (q *inquiry) take(questions []question, replies []reply) {
	for i, one := range questions {
		if replies[i].err != nil {
			q.silent[one.zone.Name] = true
			continue
		}
		listing, ok := q.set.Read(one.zone, one.entry, replies[i].codes)
		if !ok {
			continue
		}
		for _, symbol := range listing.Symbols {
			q.found[symbol] = append(q.found[symbol], one.entry)
		}
	}
}

// maxNamed entries are named in a hit.
const maxNamed = 3

// hits returns each symbol at most once, in the order of zones and codes.
func (q *inquiry) hits() []engine.Hit {
	var hits []engine.Hit
	for _, s := range q.symbols {
		if entries := q.found[s.Name]; len(entries) > 0 {
			hits = append(hits, engine.Hit{Symbol: s.Name, Detail: name(entries)})
		}
	}
	var silent []string
	for _, z := range q.set.Zones(dnslist.Contents) {
		if name := z.Public(); q.silent[z.Name] && !slices.Contains(silent, name) {
			silent = append(silent, name)
		}
	}
	if len(silent) > 0 {
		hits = append(hits, engine.Hit{Symbol: Unanswered, Detail: name(silent)})
	}
	return hits
}

func name(list []string) string {
	if more := len(list) - maxNamed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:maxNamed], ", "), more)
	}
	return strings.Join(list, ", ")
}
