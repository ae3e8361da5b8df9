package policy

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"spamcatcher/engine"
	"spamcatcher/gateway/dnslist"
)

// A Visit is one SMTP session at the gate. It keeps the gate that it began with.
// Its methods are called one at a time. A nil Visit is one that nobody tests.
type Visit struct {
	gate   *Gate
	client netip.Addr
	exempt bool // from all tests

	reverse *quest[finding] // what test 1 asks holds for the whole session, as does
	lists   *quest[dnslist.Findings]

	from     string
	name     *probe // test 1
	sender   *probe // tests 2 and 3 ask about one sender
	spf      *probe
	delayed  bool   // greylisting has refused a recipient of this transaction
	grey     string // whom the sender would have to wait for; "" for nobody
	greyErr  error
	wantList bool // there is a recipient for whom lists count
}

// A probe is test 1, 2 or 3 as it applies to one sender.
type probe struct {
	name string
	Test
	counts  bool // there is a recipient who is not exempt
	enforce bool
	silent  bool // it neither refuses nor finds: the answer serves others
	*quest[finding]
}

// Visit begins a session. A nil gate tests nobody.
func (g *Gate) Visit(client netip.Addr) *Visit {
	if g == nil {
		return nil
	}
	client = client.Unmap().WithZone("")
	return &Visit{gate: g, client: client, exempt: g.passes(client)}
}

// Mail begins a transaction: hello is the argument of EHLO or HELO, from the
// envelope sender, "" for the null sender. It refuses by tests 1 to 3, except
// where that has to wait for the recipient. Questions go on beside the session
// until they are answered, their time is over or ctx ends.
func (v *Visit) Mail(ctx context.Context, hello, from string) *Refusal {
	if v == nil || v.exempt {
		return nil
	}
	v.begin(ctx, hello, from)
	for _, p := range v.probes() {
		if p.enforce && p.Recipients.Len() == 0 {
			if r := p.refusal(ctx); r != nil {
				return r
			}
		}
	}
	return nil
}

// begin asks all that can be asked before there is a recipient.
func (v *Visit) begin(ctx context.Context, hello, from string) {
	// A session has one set of questions under way, whatever it says how fast.
	v.end(v.sender, v.spf)
	for _, p := range []*probe{v.sender, v.spf} {
		if p != nil {
			p.over()
		}
	}
	v.from, v.sender, v.spf, v.delayed, v.grey, v.greyErr, v.wantList = from, nil, nil, false, "", nil, false
	g, client := v.gate, v.client
	if v.name = v.probe(testPTR, g.PTR); v.name != nil {
		if !settled(v.reverse, func(f finding) bool { return f.unsure == nil }) {
			v.reverse = ask(ctx, g.Timeout, func(ctx context.Context) finding { return reverse(ctx, g.Resolver, client) })
		}
		v.name.quest = v.reverse
		v.name.enforce = v.name.enforce && !g.refusesAtGreeting() // Greet has let it in
	}
	// RFC 5321 section 4.5.5: the null sender has no domain.
	if strings.Contains(from, "@") {
		if v.sender = v.probe(testSender, g.SenderDomain); v.sender != nil {
			v.sender.quest = ask(ctx, g.Timeout, func(ctx context.Context) finding { return existence(ctx, g.Resolver, from) })
		}
	}
	// DMARC needs the result of SPF whoever is exempt from the test.
	if v.spf = v.probe(testSPF, g.SPF); v.spf == nil && g.CheckSPF != nil {
		v.spf = &probe{name: testSPF, silent: true}
	}
	if v.spf != nil {
		v.spf.quest = ask(ctx, g.Timeout, func(ctx context.Context) finding { return permission(ctx, g, client, hello, from) })
	}
	if !g.DNSBL.Mode.off() && !v.excused(g.DNSBL) {
		v.askLists(ctx)
	}
}

// probe returns the test as it applies to this client and sender, without its
// question; nil if it does not.
func (v *Visit) probe(name string, t Test) *probe {
	if t.Mode.off() || v.excused(t) {
		return nil
	}
	return &probe{name: name, Test: t, counts: t.Recipients.Len() == 0, enforce: t.Mode == Enforce}
}

// excused says whether client or sender are exempt from a test.
func (v *Visit) excused(t Test) bool {
	return contains(t.Clients, v.client) || exempts(t.Senders, v.from)
}

// probes returns tests 1 to 3, as far as they apply.
func (v *Visit) probes() []*probe {
	list := make([]*probe, 0, 3)
	for _, p := range []*probe{v.name, v.sender, v.spf} {
		if p != nil {
			list = append(list, p)
		}
	}
	return list
}

// refusal waits for the finding and returns what the client is told, nil if it
// passes or nobody can tell.
func (p *probe) refusal(ctx context.Context) *Refusal {
	f, _ := p.answer(ctx)
	return f.refusal
}

// settled says whether a question need not be asked again: it is under way, or
// has a full answer.
func settled[T any](q *quest[T], full func(T) bool) bool {
	if q == nil {
		return false
	}
	over, fault := q.ended()
	return !over || fault == "" && full(q.value)
}

// Rcpt refuses by what had to wait for the recipient, and by tests 4 and 5.
func (v *Visit) Rcpt(ctx context.Context, to string) *Refusal {
	if v == nil || v.exempt {
		return nil
	}
	var concerned []*probe
	for _, p := range v.probes() {
		if exempts(p.Recipients, to) {
			continue
		}
		concerned = append(concerned, p)
		if p.enforce && p.Recipients.Len() > 0 {
			if r := p.refusal(ctx); r != nil {
				return r
			}
		}
	}
	var grey, lists Mode
	if v.gate.Settings != nil {
		grey, lists = v.gate.Settings(to)
	}
	if r := v.greylist(ctx, v.mode(v.gate.Greylist, v.gate.Grey != nil, grey, to), to); r != nil {
		return r
	}
	mode := v.mode(v.gate.DNSBL, v.gate.Lists != nil, lists, to)
	if r := v.listed(ctx, mode, lists == Score); r != nil {
		return r
	}
	// Only a recipient who gets the message makes findings count.
	for _, p := range concerned {
		p.counts = true
	}
	v.wantList = v.wantList || !mode.off()
	return nil
}

// mode returns what a test does for a recipient who chose a mode, "" for none.
func (v *Visit) mode(t Test, has bool, chosen Mode, to string) Mode {
	switch {
	case !has || v.excused(t) || exempts(t.Recipients, to):
		return Off
	case chosen == "":
		return t.Mode
	}
	return chosen
}

// greylist is test 4. RFC 6647 section 2. Mail that has to wait for a fault of
// ours would wait in vain: when nobody can tell, it passes.
func (v *Visit) greylist(ctx context.Context, mode Mode, to string) *Refusal {
	if mode.off() || v.approved(ctx, mode, to) {
		return nil
	}
	wait, err := v.gate.Grey.Check(v.client, foldOr(v.from), foldOr(to))
	switch {
	case err != nil:
		v.greyErr = err
	case wait > 0 && mode == Enforce:
		v.delayed = true
		minutes := int64((v.gate.Grey.Delay() + 59e9) / 60e9)
		return refuse(451, [3]int{4, 7, 1}, testGreylist, fmt.Sprintf("Greylisting enabled, try again in %d minutes", minutes), "to wait "+(wait+time.Second-1).Truncate(time.Second).String())
	case wait > 0 && v.grey == "":
		v.grey = to
	}
	return nil
}

// Note takes the recipients that a client has named behind the one which it was
// refused for. If that was by greylisting, their time to wait begins as well:
// otherwise a message to many would have to come once for each of them, since the
// connection ends at the first. It takes the first maxNoted.
func (v *Visit) Note(recipients []string) {
	if v == nil || !v.delayed {
		return
	}
	for _, to := range recipients[:min(len(recipients), maxNoted)] {
		var grey Mode
		if v.gate.Settings != nil {
			grey, _ = v.gate.Settings(to)
		}
		v.greylist(context.Background(), v.mode(v.gate.Greylist, true, grey, to), to)
	}
}

// maxNoted bounds what one connection can write into the memory of greylisting by
// recipients that it was not answered for.
const maxNoted = 20

// foldOr returns an address as addresses are compared, as far as it is one.
func foldOr(address string) string {
	if folded, ok := foldAddress(address); ok {
		return folded
	}
	return strings.ToLower(address)
}

// askLists asks the lists about the client, unless they have answered before.
func (v *Visit) askLists(ctx context.Context) {
	if settled(v.lists, func(f dnslist.Findings) bool { return len(f.Unanswered) == 0 }) {
		return
	}
	set, client := v.gate.Lists, v.client
	v.lists = ask(ctx, v.gate.Timeout, func(ctx context.Context) dnslist.Findings { return set.Address(ctx, dnslist.Clients, client) })
}

// listed is test 5. A zone's own mode stands before the test's, except for a
// recipient who wants a score and no more.
func (v *Visit) listed(ctx context.Context, mode Mode, only bool) *Refusal {
	if mode.off() {
		return nil
	}
	if v.lists == nil {
		v.askLists(ctx)
	}
	if only || mode != Enforce && !v.gate.enforcedZone {
		return nil
	}
	findings, _ := v.lists.answer(ctx)
	for _, l := range findings.Listings {
		own := Mode(l.Zone.Mode)
		if own == "" {
			own = mode
		}
		if own == Enforce && l.Refuses() {
			ctx, cancel := context.WithTimeout(ctx, v.gate.Timeout)
			defer cancel()
			return refuse(550, [3]int{5, 7, 1}, testDNSBL, printable(l.Text(ctx), 400), l.Zone.Public()+": "+l.Detail)
		}
	}
	return nil
}

// Facts is what a visit tells of the message that is about to be judged.
type Facts struct {
	PTR, IPRev string // as in engine.Session and engine.Auth
	Found      []engine.Hit
	// Skipped names the tests that nobody could make, each with the reason, and
	// Faults those that panicked, with the stack.
	Skipped, Faults []string
}

// Facts collects what the tests found out about the transaction. It waits for
// those that are still under way, at most until ctx ends; what is not known then
// is skipped.
func (v *Visit) Facts(ctx context.Context) Facts {
	var out Facts
	if v == nil || v.exempt {
		return out
	}
	for _, p := range v.probes() {
		if p.silent {
			out.fault(p.name, p.quest.ended)
			continue
		}
		f, known := p.answer(ctx)
		if !known {
			f.unsure = errLate
			if p.name == testPTR {
				f.iprev = "temperror"
			}
		}
		if p.name == testPTR {
			out.PTR, out.IPRev = f.name, f.iprev
		}
		if !p.counts {
			continue
		}
		if f.hit.Symbol != "" {
			out.Found = append(out.Found, f.hit)
		}
		out.skip(p.name, f.unsure)
		out.fault(p.name, p.quest.ended)
	}
	if v.grey != "" {
		out.Found = append(out.Found, engine.Hit{Symbol: symbolGreylistNew, Detail: v.grey})
	}
	out.skip(testGreylist, v.greyErr)
	if v.wantList {
		v.listFacts(ctx, &out)
	}
	if len(out.Skipped) > 0 {
		names := make([]string, len(out.Skipped))
		for i, s := range out.Skipped {
			names[i], _, _ = strings.Cut(s, ":")
		}
		out.Found = append(out.Found, engine.Hit{Symbol: symbolUnanswered, Detail: strings.Join(names, " ")})
	}
	return out
}

func (v *Visit) listFacts(ctx context.Context, out *Facts) {
	findings, known := v.lists.answer(ctx)
	seen := map[string]bool{}
	for _, l := range findings.Listings {
		for _, s := range l.Symbols {
			if !seen[s] {
				seen[s] = true
				out.Found = append(out.Found, engine.Hit{Symbol: s, Detail: l.Detail})
			}
		}
	}
	if !known {
		out.skip(testDNSBL, errLate)
	} else if len(findings.Unanswered) > 0 {
		out.skip(testDNSBL, fmt.Errorf("no answer from %s", strings.Join(findings.Unanswered, " ")))
	}
	out.fault(testDNSBL, v.lists.ended)
}

func (f *Facts) skip(test string, why error) {
	if why != nil {
		f.Skipped = append(f.Skipped, test+": "+why.Error())
	}
}

func (f *Facts) fault(test string, ended func() (bool, string)) {
	if _, fault := ended(); fault != "" {
		f.Faults = append(f.Faults, test+": "+fault)
	}
}

// end gives up questions whose answers nobody wants any more.
func (v *Visit) end(probes ...*probe) {
	for _, p := range probes {
		if p != nil && p.quest != nil {
			p.cancel()
		}
	}
}

// Close ends the visit, and what is still being asked.
func (v *Visit) Close() {
	if v == nil {
		return
	}
	v.end(v.sender, v.spf)
	if v.reverse != nil {
		v.reverse.cancel()
	}
	if v.lists != nil {
		v.lists.cancel()
	}
}
