// Package policy turns a client and its envelope into a refusal or into facts
// about them (the gate, see gate.go), and a mail and its verdict into one outcome
// per recipient: deliver, tag, hold, discard or refuse.
package policy

import (
	"fmt"
	"slices"
	"strings"

	"spamcatcher/engine"
	"spamcatcher/gateway/domain"
)

// Settings are what can be set globally, for a recipient's domain and for one
// recipient. What a narrower scope does not set, the wider one decides.
type Settings struct {
	Reject     Threshold // refused in the session
	Subject    Threshold // the subject is tagged
	Flag       Threshold // the flag header is added
	Quarantine Threshold // held for review
	Discard    Threshold // accepted and dropped

	Virus VirusAction // what happens to malware; "" is VirusRefuse

	// Greylist and DNSBL are what these tests of the gate do for mail to a
	// recipient; "" is what they do for all.
	Greylist, DNSBL Mode

	// Approved and Blocked are this scope's pair of sender lists. The pair
	// of the narrowest scope that knows a sender decides.
	Approved, Blocked *List
}

// A VirusAction is what happens to a message in which a signature matched.
// Its score is 100 in every case.
type VirusAction string

const (
	VirusRefuse VirusAction = "refuse"
	// VirusHold may also be written "hold".
	VirusHold VirusAction = "quarantine"
	// VirusDiscard accepts the message and drops it.
	VirusDiscard VirusAction = "discard"
	// VirusTag leaves it to the thresholds, and tags and flags what they let
	// through.
	VirusTag VirusAction = "tag"
	// VirusPass leaves it to the thresholds.
	VirusPass VirusAction = "pass"
)

// ParseVirusAction reads a virus action; with an error comes VirusRefuse.
func ParseVirusAction(text string) (VirusAction, error) {
	a := VirusAction(strings.ToLower(strings.TrimSpace(text)))
	switch a {
	case "hold":
		return VirusHold, nil
	case VirusRefuse, VirusHold, VirusDiscard, VirusTag, VirusPass:
		return a, nil
	}
	return VirusRefuse, fmt.Errorf("virus action %q is none of refuse, quarantine, discard, tag, pass", text)
}

// A Config is what a policy is made of. Its zero value delivers everything but
// malware.
type Config struct {
	Settings                       // global
	Domains    map[string]Settings // by recipient's domain; ".domain" holds for a domain and its subdomains
	Recipients map[string]Settings // by recipient's address

	// Relay lists the domains for which mail is accepted, written as in
	// Domains. Empty means every domain: the servers behind decide.
	Relay []string

	// Hostname is our own name, whose postmaster is accepted in any case: RFC
	// 5321 section 4.5.1. "": nobody is.
	Hostname string

	// ApproveForgeable lets an approval by From header count without
	// DMARC, SPF or DKIM behind it, as the classic product did.
	ApproveForgeable bool
}

// A Policy decides. It is immutable and safe for any number of goroutines.
type Policy struct {
	global           Settings
	domains, trees   map[string]Settings
	recipients       map[string]Settings
	relay            *List // nil: everything
	postmaster       string
	approveForgeable bool
}

// New makes a policy. The error names the domain or address that is none.
func New(cfg Config) (*Policy, error) {
	p := &Policy{
		global:           cfg.Settings,
		domains:          map[string]Settings{},
		trees:            map[string]Settings{},
		recipients:       map[string]Settings{},
		approveForgeable: cfg.ApproveForgeable,
	}
	if err := cfg.Settings.check(); err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	for name, s := range cfg.Domains {
		if err := s.check(); err != nil {
			return nil, fmt.Errorf("settings for domain %q: %w", name, err)
		}
		bare, tree := strings.CutPrefix(name, ".")
		domain, ok := domain.Fold(bare)
		if !ok {
			return nil, fmt.Errorf("settings for domain %q: not a domain", name)
		}
		into := p.domains
		if tree {
			into = p.trees
		}
		if _, twice := into[domain]; twice {
			return nil, fmt.Errorf("settings for domain %q: given twice", domain)
		}
		into[domain] = s
	}
	for name, s := range cfg.Recipients {
		if err := s.check(); err != nil {
			return nil, fmt.Errorf("settings for recipient %q: %w", name, err)
		}
		address, ok := foldAddress(name)
		if !ok {
			return nil, fmt.Errorf("settings for recipient %q: not an address", name)
		}
		if _, twice := p.recipients[address]; twice {
			return nil, fmt.Errorf("settings for recipient %q: given twice", address)
		}
		p.recipients[address] = s
	}
	if len(cfg.Relay) > 0 {
		list, errs := ParseList("relay domains", []byte(strings.Join(cfg.Relay, "\n")))
		if len(errs) > 0 {
			return nil, errs[0]
		}
		if len(list.addresses) > 0 {
			return nil, fmt.Errorf("relay domains: an address among the domains")
		}
		p.relay = list
	}
	if cfg.Hostname != "" {
		address, ok := foldAddress("postmaster@" + cfg.Hostname)
		if !ok {
			return nil, fmt.Errorf("host name %q: not a domain", cfg.Hostname)
		}
		p.postmaster = address
	}
	return p, nil
}

// Accepts says whether mail for a recipient is taken: if its domain is served,
// or if it is our own postmaster.
func (p *Policy) Accepts(recipient string) bool {
	return p.Serves(recipient) || p.IsPostmaster(recipient)
}

// IsPostmaster says whether a recipient is the postmaster of our own name.
func (p *Policy) IsPostmaster(recipient string) bool {
	address, ok := foldAddress(recipient)
	return ok && p.postmaster != "" && address == p.postmaster
}

// Serves says whether mail for a recipient is ours to relay: always when no
// relay domains are configured. Where they are, local parts that other servers
// could read as a route to somewhere else are refused in our domains too,
// because the server behind is not ours to trust with them.
func (p *Policy) Serves(recipient string) bool {
	if p.relay == nil {
		return true
	}
	address, ok := foldAddress(recipient)
	if !ok {
		return false
	}
	at := strings.LastIndexByte(address, '@')
	if strings.ContainsAny(address[:at], "%!@:,\\\"") {
		return false
	}
	rank, _ := p.relay.match(address)
	return rank > 0
}

// An Action is what happens to a message for one recipient.
type Action string

const (
	Deliver Action = "deliver"
	Hold    Action = "hold"
	Discard Action = "discard"
	Refuse  Action = "refuse"
)

// An Outcome is what happens to a message for one recipient. Recipients with
// equal outcomes get the same message.
type Outcome struct {
	Action Action
	Score  float64 // in per cent, sender lists and malware counted
	Tag    bool    // the subject is tagged
	Flag   bool    // the flag header is added
	Listed string  // what the sender lists said, "approved:" or "blocked:" with the entry; "" for nothing
	Reason string  // why, for log and quarantine; "" for plain delivery
}

// A Decision is what happens to one message.
type Decision struct {
	// Refuse says that the message is refused in the session: every
	// recipient's policy refuses it.
	Refuse bool
	// Outcomes has one entry a recipient, in the envelope's order. None is
	// Refuse unless all are.
	Outcomes []Outcome
	// Score is the highest of the outcomes' scores.
	Score float64
	// Reasons are the outcomes' different reasons.
	Reasons []string
}

// Decide decides. For each recipient, in this order:
//
//  1. Malware makes the score 100, and nothing overrides that. Otherwise a
//     sender who is approved makes it 0, one who is blocked 100.
//  2. Malware is refused, held or discarded if the virus action says so.
//  3. The thresholds are asked, the one that tells the sender first: reject,
//     discard, quarantine.
//  4. What is not refused is tagged and flagged by its own thresholds.
//
// Then the recipients are looked at together: one SMTP reply answers for all
// of them, so the message is refused only when all refuse it, and is held for
// those who alone would have refused it.
func (p *Policy) Decide(m *engine.Mail, v engine.Verdict) Decision {
	if len(m.Envelope.To) == 0 {
		o := p.outcome(p.global, p.sendersOf(m), "", v)
		return Decision{Refuse: o.Action == Refuse, Score: o.Score, Reasons: reasons([]Outcome{o})}
	}
	senders := p.sendersOf(m)
	d := Decision{Refuse: true, Outcomes: make([]Outcome, len(m.Envelope.To))}
	for i, to := range m.Envelope.To {
		o := p.outcome(p.settings(to), senders, to, v)
		d.Outcomes[i] = o
		d.Refuse = d.Refuse && o.Action == Refuse
		d.Score = max(d.Score, o.Score)
	}
	if !d.Refuse {
		for i := range d.Outcomes {
			if o := &d.Outcomes[i]; o.Action == Refuse {
				o.Action = Hold
				o.Reason = "would be refused, but other recipients accept it: " + o.Reason
			}
		}
	}
	d.Reasons = reasons(d.Outcomes)
	return d
}

func (p *Policy) outcome(set Settings, senders []sender, recipient string, v engine.Verdict) Outcome {
	stand, why, listed := standing{v.Score, v.LogOdds}, "", ""
	if v.Virus != "" {
		stand, why = higher, "malware "+v.Virus
	} else {
		switch ruling, entry := p.ruling(senders, recipient); ruling {
		case approved:
			stand, why, listed = lower, "sender approved by "+entry, "approved:"+entry
		case blocked:
			stand, why, listed = higher, "sender blocked by "+entry, "blocked:"+entry
		}
	}
	o := Outcome{Score: stand.score, Listed: listed, Reason: why}
	o.Tag = stand.reaches(set.Subject)
	o.Flag = stand.reaches(set.Flag)
	act := func(a Action, name string, t Threshold) {
		o.Action = a
		text := fmt.Sprintf("score %.1f above %s %s", stand.score, name, t)
		if t.kind == atPoints {
			text = fmt.Sprintf("score %.1f reaches %s %s", stand.score, name, t)
		}
		if why != "" {
			text = why + ": " + text
		}
		o.Reason = text
	}
	switch {
	case v.Virus != "" && (set.Virus == "" || set.Virus == VirusRefuse):
		o.Action = Refuse
	case v.Virus != "" && set.Virus == VirusHold:
		o.Action = Hold
	case v.Virus != "" && set.Virus == VirusDiscard:
		o.Action = Discard
	case stand.reaches(set.Reject):
		act(Refuse, "spam_reject", set.Reject)
	case stand.reaches(set.Discard):
		act(Discard, "spam_discard", set.Discard)
	case stand.reaches(set.Quarantine):
		act(Hold, "spam_quarantine", set.Quarantine)
	default:
		o.Action = Deliver
	}
	if v.Virus != "" && set.Virus == VirusTag {
		o.Tag, o.Flag = true, true
	}
	return o
}

func reasons(outcomes []Outcome) []string {
	var all []string
	for _, o := range outcomes {
		if o.Reason != "" && !slices.Contains(all, o.Reason) {
			all = append(all, o.Reason)
		}
	}
	return all
}

// Modes returns what the gate's tests by recipient do for one; "" is what they do
// for all. It is made for GateConfig.Settings.
func (p *Policy) Modes(recipient string) (greylist, dnsbl Mode) {
	s := p.settings(recipient)
	return s.Greylist, s.DNSBL
}

// Approves says whether the envelope sender is approved by the sender lists that
// concern a recipient; a forged one is only where approvals need no proof. It is
// made for GateConfig.Approved.
func (p *Policy) Approves(from, recipient string, forged bool) bool {
	address, ok := foldAddress(from)
	if !ok || forged && !p.approveForgeable {
		return false
	}
	says, _ := p.ruling([]sender{{address, true}}, recipient)
	return says == approved
}

// settings returns what is in force for a recipient: each setting from the
// narrowest scope that sets it.
func (p *Policy) settings(recipient string) Settings {
	s := Settings{}
	for _, scope := range p.scopes(recipient) {
		s = s.or(scope)
	}
	return s
}

// scopes returns the settings that concern a recipient, the narrowest first:
// its own, its domain's, those of the trees that the domain lies in, the
// global ones.
func (p *Policy) scopes(recipient string) []Settings {
	scopes := make([]Settings, 0, 4)
	if address, ok := foldAddress(recipient); ok {
		if s, ok := p.recipients[address]; ok {
			scopes = append(scopes, s)
		}
		domain := address[strings.LastIndexByte(address, '@')+1:]
		if s, ok := p.domains[domain]; ok {
			scopes = append(scopes, s)
		}
		for tree := inTree(p.trees, domain); tree != ""; tree = inTree(p.trees, domain) {
			scopes = append(scopes, p.trees[tree])
			_, domain, _ = strings.Cut(tree, ".")
		}
	}
	return append(scopes, p.global)
}

// check finds modes that are none.
func (s Settings) check() error {
	for name, m := range map[string]Mode{testGreylist: s.Greylist, testDNSBL: s.DNSBL} {
		if _, err := ParseMode(string(m)); err != nil && m != "" {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// or fills what s does not set from wider. Sender lists are not settings of
// this kind: see ruling.
func (s Settings) or(wider Settings) Settings {
	pick := func(t *Threshold, w Threshold) {
		if !t.Set() {
			*t = w
		}
	}
	pick(&s.Reject, wider.Reject)
	pick(&s.Subject, wider.Subject)
	pick(&s.Flag, wider.Flag)
	pick(&s.Quarantine, wider.Quarantine)
	pick(&s.Discard, wider.Discard)
	if s.Virus == "" {
		s.Virus = wider.Virus
	}
	if s.Greylist == "" {
		s.Greylist = wider.Greylist
	}
	if s.DNSBL == "" {
		s.DNSBL = wider.DNSBL
	}
	return s
}
