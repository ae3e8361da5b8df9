package policy

import (
	"slices"

	"golang.org/x/net/publicsuffix"

	"spamcatcher/engine"
)

// A sender is one address that a message gives as its origin.
type sender struct {
	address    string // folded
	approvable bool   // an approval of this address counts
}

// maxFrom bounds how many addresses of From are looked up.
const maxFrom = 20

// sendersOf returns the addresses under which a message is looked up in the
// sender lists: the envelope sender, and the addresses of From. An envelope
// sender whose domain says that it is forged (SPF fail) is not approved. A From address
// can be approved only when it is the only one and DMARC, or SPF or DKIM of an
// aligned domain, stands behind it; anyone can be blocked by it.
func (p *Policy) sendersOf(m *engine.Mail) []sender {
	var all []sender
	if address, ok := foldAddress(m.Envelope.From); ok {
		all = append(all, sender{address, p.approveForgeable || m.Auth.SPF != "fail" || m.Auth.SPFExempt})
	}
	if m.Message == nil {
		return all
	}
	header := m.Message.Header()
	from := header.Addresses("From")
	sure := len(from) == 1 && header.Count("From") == 1
	for i, a := range from {
		if i == maxFrom {
			break
		}
		address, ok := foldAddress(a.Address)
		if !ok {
			continue
		}
		approvable := p.approveForgeable && i == 0 || sure && authentic(m)
		all = append(all, sender{address, approvable})
	}
	return all
}

// authentic says whether the domain of the From header is proved: by DMARC, or
// by SPF or DKIM of a domain that is aligned with it, though its owner asks for
// no proof. DMARC lets a public suffix with a record stand for all its customers,
// unless it says psd=y (RFC 9989 section 4.10.2); but no customer approves another.
func authentic(m *engine.Mail) bool {
	a := &m.Auth
	if a.DMARC != "pass" && !a.Aligned {
		return false
	}
	if suffix, _ := publicsuffix.PublicSuffix(a.Organization); a.Organization == "" || suffix != a.Organization {
		return true
	}
	own := func(domain string) bool {
		one, err := publicsuffix.EffectiveTLDPlusOne(domain)
		other, _ := publicsuffix.EffectiveTLDPlusOne(a.From)
		return domain == a.From || err == nil && one == other
	}
	return a.SPF == "pass" && own(a.SPFDomain) ||
		slices.ContainsFunc(a.Signatures, func(s engine.Signature) bool { return s.Result == "pass" && s.Aligned && own(s.Domain) })
}

// A ruling is what the sender lists say.
type ruling uint8

const (
	silent ruling = iota
	blocked
	approved
)

// ruling asks the sender lists that concern a recipient, the narrowest scope's
// pair first, and returns what the first pair that knows a sender says, with
// the entry that said it.
func (p *Policy) ruling(senders []sender, recipient string) (ruling, string) {
	for _, scope := range p.scopes(recipient) {
		if r, entry := scope.ruling(senders); r != silent {
			return r, entry
		}
	}
	return silent, ""
}

// ruling of one pair of lists. For each sender the most specific entry speaks,
// approved before blocked when they are equally specific. Between senders an
// address beats a domain, and then approved beats blocked.
func (s Settings) ruling(senders []sender) (ruling, string) {
	best, bestEntry, bestByAddress := silent, "", false
	for _, who := range senders {
		rank, entry := s.Blocked.match(who.address)
		says := blocked
		if who.approvable {
			if r, e := s.Approved.match(who.address); r > 0 && r >= rank {
				rank, entry, says = r, e, approved
			}
		}
		if rank == 0 {
			continue
		}
		byAddress := rank == addressRank
		if best == silent || byAddress && !bestByAddress || byAddress == bestByAddress && says > best {
			best, bestEntry, bestByAddress = says, entry, byAddress
		}
	}
	return best, bestEntry
}
