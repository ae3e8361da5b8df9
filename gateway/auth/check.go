package auth

import (
	"context"
	"slices"
	"strings"

	"spamcatcher/engine"
)

// A Check is the check "auth": it gives the facts in Mail.Auth names, and asks
// nobody. What was not evaluated has none.
//
// What speaks against a sender counts half where mail is known to lose its
// proofs on the way though nobody forged it: it came by a mailing list that is
// proved to be the one that it names, or a forwarder whose word counts here vouches
// for it by ARC. Anybody can name a list or seal a chain, so neither excuses
// more than a fifth of it that a domain's owner asks to refuse the mail. When the
// author's domain is proved by one way, that another failed counts a third.
type Check struct{}

// NewCheck returns the check.
func NewCheck() *Check { return &Check{} }

// Name is "auth".
func (*Check) Name() string { return "auth" }

// A finding is a symbol, its description and its price in points.
type finding struct {
	name, description string
	points            float64
}

// findings are the symbols. A pass is worth little, because anybody can have
// a domain that passes: it says who sent the mail, not what it is. A failure
// is worth most where the domain's owner says that none of his mail fails.
var findings = []finding{
	{"SPF_PASS", "The sender's domain lets the client send for it", -0.05},
	{"SPF_FAIL", "The sender's domain says that the client does not send for it", 1.5},
	{"SPF_SOFTFAIL", "The sender's domain says that the client probably does not send for it", 0.7},
	{"SPF_NEUTRAL", "The sender's domain does not say whether the client sends for it", 0.1},
	{"SPF_NONE", "The sender's domain does not say who sends for it", 0.2},
	{"SPF_PERMERROR", "What the sender's domain says about who sends for it is wrong", 0.3},
	{"SPF_TEMPERROR", "Who sends for the sender's domain could not be found out", 0},
	{"DKIM_VALID", "A signature is valid", -0.05},
	{"DKIM_INVALID", "No signature is valid", 0.3},
	{"DKIM_PARTIAL", "The valid signatures leave a part of the message unsigned", 0.3},
	{"DKIM_NONE", "The message is not signed", 0.1},
	{"DKIM_TEMPERROR", "The key of a signature could not be fetched", 0},
	{"DMARC_PASS", "The author's domain is proved, as its owner asks", -0.2},
	{"DMARC_FAIL_REJECT", "The author's domain is not proved, and its owner asks to refuse such mail", 3.5},
	{"DMARC_FAIL_QUARANTINE", "The author's domain is not proved, and its owner asks to suspect such mail", 2.5},
	{"DMARC_FAIL_NONE", "The author's domain is not proved, of which its owner wants no more than to be told", 0.7},
	{"DMARC_NONE", "The owner of the author's domain does not ask that it be proved", 0.1},
	{"DMARC_PERMERROR", "There is not one author's domain, or what its owner asks for is wrong", 0.5},
	{"DMARC_UNCLEAR", "A domain may be shown as the author's for which its owner's wish could not be found out", 2},
	{"DMARC_TEMPERROR", "Whether the author's domain is proved could not be found out", 0},
	{"ARC_PASS", "Those who passed the message on vouch for what they saw", -0.05},
	{"ARC_FAIL", "What those who passed the message on say of it is not valid", 0.1},
	{"ARC_TEMPERROR", "Whether those who passed the message on vouch for it could not be found out", 0},
}

// Symbols lists the findings.
func (*Check) Symbols() []engine.Symbol {
	list := make([]engine.Symbol, len(findings))
	for i, f := range findings {
		list[i] = engine.Symbol{Name: f.name, Description: f.description}
	}
	return list
}

// Prices returns the price of each symbol of the check, in log-odds.
func (*Check) Prices() map[string]float64 {
	prices := make(map[string]float64, len(findings))
	for _, f := range findings {
		prices[f.name] = f.points * engine.Point
	}
	return prices
}

// Inspect reports what is known of the sender.
func (*Check) Inspect(_ context.Context, m *engine.Mail) ([]engine.Hit, error) {
	a := &m.Auth
	var hits []engine.Hit
	find := func(symbol, detail string, strength float64) {
		if symbol != "" {
			hits = append(hits, engine.Hit{Symbol: symbol, Detail: detail, Strength: strength})
		}
	}
	excuse := 1.0
	if a.ARC == Pass && a.SealerTrusted || byList(m) {
		excuse = 0.5
	}
	proved := excuse
	if a.DMARC == Pass || a.Aligned {
		proved = min(excuse, 0.3)
	}
	spf := a.SPF
	if a.SPFExempt {
		spf = ""
	}
	switch spf {
	case Fail, SoftFail, PermError:
		find("SPF_"+strings.ToUpper(a.SPF), a.SPFDomain, proved)
	case Pass, Neutral, None, TempError:
		find("SPF_"+strings.ToUpper(a.SPF), a.SPFDomain, 1)
	}
	by := signer(a.Signatures)
	switch a.DKIM {
	case Pass:
		find("DKIM_VALID", by, 1)
	case Fail, PermError, Neutral:
		find("DKIM_INVALID", by, proved)
	case Policy:
		find("DKIM_PARTIAL", by, 1)
	case None:
		find("DKIM_NONE", "", 1)
	case TempError:
		find("DKIM_TEMPERROR", by, 1)
	}
	switch {
	case a.Unclear:
		find("DMARC_UNCLEAR", "", 1)
	case a.DMARC == Fail:
		least := 0.0
		if a.Policy == "reject" {
			least = 0.8
		}
		find("DMARC_FAIL_"+strings.ToUpper(ask(a.Policy)), a.From, max(excuse, least))
	case slices.Contains([]string{Pass, None, PermError, TempError}, a.DMARC):
		find("DMARC_"+strings.ToUpper(a.DMARC), a.From, 1)
	}
	switch a.ARC {
	case Pass, Fail, TempError:
		find("ARC_"+strings.ToUpper(a.ARC), a.Sealer, 1)
	}
	return hits, nil
}

// ask is what a domain's owner asks for.
func ask(policy string) string {
	if policy == "reject" || policy == "quarantine" {
		return policy
	}
	return None
}

// signer names who signed the message: the signature that says most.
func signer(list []engine.Signature) string {
	for _, s := range list {
		if s.Result == Pass {
			return s.Domain
		}
	}
	if len(list) > 0 {
		return list[0].Domain
	}
	return ""
}

// byList says whether the message came by a mailing list, which may have changed
// its subject or text: it names the list as RFC 2919 and RFC 2369 section 3.4 have
// it, SPF or DKIM proves the list's own domain, and that is not the author's.
func byList(m *engine.Mail) bool {
	if m.Message == nil || m.Auth.From == "" {
		return false
	}
	h := m.Message.Header()
	if !h.Has("List-Id") || !h.Has("List-Post") && !h.Has("List-Unsubscribe") {
		return false
	}
	a := &m.Auth
	proved := func(list string) bool {
		return a.SPF == Pass && a.SPFDomain != "" && registered(a.SPFDomain) == list ||
			slices.ContainsFunc(a.Signatures, func(s engine.Signature) bool { return s.Result == Pass && registered(s.Domain) == list })
	}
	for _, name := range []string{listName(h.Raw("List-Id"), '.'), listName(h.Raw("List-Post"), '@')} {
		if name, ok := fold(name); ok && registered(name) != registered(a.From) && proved(registered(name)) {
			return true
		}
	}
	return false
}

// listName is what stands behind the first mark in the last angle brackets: the
// domain of a List-Post address, or of a List-Id, whose first label is the list's.
func listName(value string, mark byte) string {
	value = value[strings.LastIndexByte(value, '<')+1:]
	value, _, _ = strings.Cut(value, ">")
	value, _, _ = strings.Cut(value, "?")
	return strings.TrimSpace(value[strings.IndexByte(value, mark)+1:])
}
