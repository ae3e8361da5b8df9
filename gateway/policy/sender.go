package policy

import (
	"strings"

	"golang.org/x/net/publicsuffix"

	"spamcatcher/engine"
	"spamcatcher/gateway/domain"
)

// A sender is one address that a message gives as its origin.
type sender struct {
	address    string // folded
	approvable bool   // an approval of this address counts
}

// maxFrom bounds how many addresses of From are looked up.
const maxFrom = 20

// sendersOf returns the addresses under which a message is looked up in the
// sender lists: the envelope sender, and the addresses of From. A From address
// can be approved only when it is the only one and DMARC, or SPF or DKIM of an
// aligned domain, stands behind it; anyone can be blocked by it.
func (p *Policy) sendersOf(m *engine.Mail) []sender {
	var all []sender
	if address, ok := foldAddress(m.Envelope.From); ok {
		all = append(all, sender{address, true})
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
		domain := address[strings.LastIndexByte(address, '@')+1:]
		approvable := p.approveForgeable && i == 0 || sure && authentic(m, domain)
		all = append(all, sender{address, approvable})
	}
	return all
}

// authentic says whether the domain of the From header is proved: by DMARC; by
// SPF for an envelope sender whose domain is aligned with it; or by DKIM when
// every signature is of an aligned domain, so that whichever verified will do.
func authentic(m *engine.Mail, from string) bool {
	if m.Auth.DMARC == "pass" {
		return true
	}
	if m.Auth.SPF == "pass" {
		if envelope, ok := foldAddress(m.Envelope.From); ok && aligned(envelope[strings.LastIndexByte(envelope, '@')+1:], from) {
			return true
		}
	}
	signatures := m.Message.Header().RawValues("DKIM-Signature")
	if m.Auth.DKIM != "pass" || len(signatures) == 0 {
		return false
	}
	for _, s := range signatures {
		signer, ok := domain.Fold(signingDomain(s))
		if !ok || !aligned(signer, from) {
			return false
		}
	}
	return true
}

// signingDomain returns the d= tag of a DKIM signature: RFC 6376 section 3.5.
// A tag that is there twice makes the signature invalid, and names nobody.
func signingDomain(signature string) string {
	domain, seen := "", false
	for tag := range strings.SplitSeq(signature, ";") {
		name, value, _ := strings.Cut(tag, "=")
		if strings.TrimSpace(name) == "d" {
			if seen {
				return ""
			}
			domain, seen = strings.TrimSpace(value), true
		}
	}
	return domain
}

// aligned says whether two folded domains are the same organisation's: relaxed
// alignment, told by the public suffix list.
func aligned(a, b string) bool {
	if a == b {
		return true
	}
	oa, errA := publicsuffix.EffectiveTLDPlusOne(a)
	ob, errB := publicsuffix.EffectiveTLDPlusOne(b)
	return errA == nil && errB == nil && oa == ob
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
