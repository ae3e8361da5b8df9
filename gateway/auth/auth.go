// Package auth turns a message, its envelope and DNS into facts about who sent
// it: SPF, DKIM, DMARC and ARC results, which a check gives names and an
// Authentication-Results field carries on.
//
// What is asked of DNS for one message is bounded whatever the message says: 20
// questions for SPF, 5 keys for DKIM, 11 questions for DMARC, 3 keys for ARC.
// When DNS does not answer, the result is temperror, which is a finding
// against nobody.
package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/idna"

	"spamcatcher/engine"
	"spamcatcher/gateway/lookup"
)

// The result words of RFC 8601 section 2.7.
const (
	None      = "none"
	Pass      = "pass"
	Fail      = "fail"
	SoftFail  = "softfail"
	Neutral   = "neutral"
	Policy    = "policy"
	TempError = "temperror"
	PermError = "permerror"
)

// Config is what a Verifier is made from. Zero values mean the default given.
type Config struct {
	// Resolver answers the questions. It must be given.
	Resolver lookup.Resolver
	// Timeout bounds SPF, and what Verify does, each. 5 s.
	Timeout time.Duration
	// MaxSignatures is how many DKIM signatures of one message are looked at:
	// those of the author's domain first, then in the order of the header. 5.
	MaxSignatures int
	// TrustedSealers are the domains whose ARC seals excuse what failed; what is
	// below them counts too. None.
	TrustedSealers []string
	// Now tells the time, with which signatures expire. time.Now.
	Now func() time.Time
}

// A Verifier finds out who sent a message. It is safe for any number of
// goroutines.
type Verifier struct {
	resolver      lookup.Resolver
	timeout       time.Duration
	maxSignatures int
	sealers       []string // folded
	now           func() time.Time
}

// New returns a Verifier. It starts nothing.
func New(c Config) (*Verifier, error) {
	if c.Resolver == nil {
		return nil, errors.New("making a verifier: no resolver")
	}
	if c.Timeout < 0 || c.MaxSignatures < 0 {
		return nil, fmt.Errorf("making a verifier: negative limit: %v, %d signatures", c.Timeout, c.MaxSignatures)
	}
	v := &Verifier{resolver: c.Resolver, timeout: cmp.Or(c.Timeout, 5*time.Second), maxSignatures: cmp.Or(c.MaxSignatures, 5), now: c.Now}
	if v.now == nil {
		v.now = time.Now
	}
	for _, name := range c.TrustedSealers {
		folded, ok := fold(name)
		if !ok {
			return nil, fmt.Errorf("making a verifier: trusted sealer %q is no domain", name)
		}
		v.sealers = append(v.sealers, folded)
	}
	return v, nil
}

// Verify finds out what DKIM, ARC and DMARC say of a message, given what SPF
// said at its envelope (its zero value when SPF was not evaluated, which leaves
// the fact unset). It returns soon after ctx ends; what is not known then is
// temperror. IPRev is left to the caller. A mail without a message has only
// the facts of SPF.
//
// A signature's Aligned is found out only for those that pass.
func (v *Verifier) Verify(ctx context.Context, m *engine.Mail, spf SPF) engine.Auth {
	a := engine.Auth{SPF: spf.Result, SPFDomain: spf.Domain, SPFHello: spf.Hello, SPFExempt: spf.Exempt}
	if m.Message == nil {
		return a
	}
	ctx, cancel := context.WithTimeout(ctx, v.timeout)
	defer cancel()

	spf = supposed(m, spf)
	author, authorErr := authorDomain(m.Message.Header())
	authors, walks, all := []string{author}, []*walker{{resolver: v.resolver, left: maxDMARCQueries}}, true
	if authorErr != nil {
		var complete bool
		authors, complete = claimed(m.Message.Header())
		walks, all = share(v.resolver, authors)
		all = all && complete
	}
	msg := newSigned(m.Message)

	// All ask DNS side by side, so that each has all the time there is; but no key
	// has the time of what is asked only when it is known, whether its domain is
	// aligned: else a signature of a dead zone would take it from the others.
	forKeys := ctx
	if deadline, ok := ctx.Deadline(); ok {
		limited, cancel := context.WithTimeout(ctx, time.Until(deadline)*3/4)
		defer cancel()
		forKeys = limited
	}
	var wait sync.WaitGroup
	var signatures []engine.Signature
	var chain chain
	owners := make([]discovery, len(walks))
	wait.Go(func() { signatures = v.dkim(forKeys, msg, author) })
	wait.Go(func() { chain = v.arc(forKeys, msg) })
	for i := range walks {
		wait.Go(func() { owners[i] = walks[i].discover(ctx, authors[i]) })
	}
	wait.Wait()

	a.Signatures, a.DKIM = signatures, summary(signatures)
	a.ARC, a.Sealer, a.Chain = chain.result, chain.sealer, chain.sets
	a.SealerTrusted = chain.result == Pass && slices.ContainsFunc(v.sealers, func(s string) bool {
		return chain.sealer == s || strings.HasSuffix(chain.sealer, "."+s)
	})
	if authorErr != nil {
		a.DMARC, a.Policy, a.Unclear = several(ctx, walks, owners, all, spf, signatures)
		return a
	}
	a.From = author
	verdict := evaluate(ctx, walks[0], owners[0], spf, signatures)
	a.DMARC, a.Policy, a.Organization, a.Aligned = verdict.result, verdict.policy, verdict.organization, verdict.aligned
	return a
}

// summary is one result for all signatures: pass if one passed, else what says
// most.
func summary(list []engine.Signature) string {
	for _, word := range []string{Pass, TempError, Fail, Policy, Neutral, PermError} {
		if slices.ContainsFunc(list, func(s engine.Signature) bool { return s.Result == word }) {
			return word
		}
	}
	return None
}

// profile turns U-labels into A-labels: RFC 5890 section 2.3.
var profile = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false))

// fold returns a domain in lower case, with A-labels, without the final dot.
// ok is false when it can be no name in DNS: RFC 1035 section 2.3.4.
func fold(name string) (folded string, ok bool) {
	name = strings.TrimSuffix(name, ".")
	if len(name) > 1000 {
		return "", false
	}
	for i := range len(name) {
		if name[i] >= 0x80 {
			ascii, err := profile.ToASCII(name)
			if err != nil {
				return "", false
			}
			name = ascii
			break
		}
	}
	name = strings.ToLower(name)
	return name, wellFormed(name)
}

// wellFormed says whether a name without final dot fits into DNS and is made
// of printable ASCII characters.
func wellFormed(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	label := 0
	for i := range len(name) {
		switch c := name[i]; {
		case c == '.':
			if label == 0 {
				return false
			}
			label = 0
		case c <= ' ' || c > '~' || c == '\\' || c == '"':
			return false
		default:
			if label++; label > 63 {
				return false
			}
		}
	}
	return label > 0
}
