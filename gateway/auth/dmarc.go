package auth

import (
	"context"
	"slices"
	"strings"

	"spamcatcher/engine"
)

// A verdict is what DMARC says of a message.
type verdict struct {
	result, policy, organization string
	aligned                      bool
}

// evaluate compares the identifiers that SPF and DKIM proved with the Author
// Domain: RFC 9989 sections 4.10.2 and 5.3.4 to 5.3.6. It marks the signatures
// that are aligned.
//
// One aligned identifier makes a pass. Without one the mail fails, unless DNS
// did not answer a question on which that hangs, or SPF was not evaluated for
// an aligned domain, or nobody knows for which: then nothing can be said. Where
// no record applies there is no DMARC; that an identifier belongs to the author
// is then told by the public suffix list.
func evaluate(ctx context.Context, w *walker, d discovery, spf SPF, signatures []engine.Signature) verdict {
	v := verdict{policy: d.policy, organization: d.organization}
	applies := d.record != nil && !d.record.unusable
	if !applies && d.err == nil {
		v.organization = registered(d.author)
	}
	unknownSPF := spf.Result == "" || spf.Result == TempError
	doubt := d.err != nil || unknownSPF && spf.Domain == ""
	compare := func(domain string, passed, unknown, strict bool) bool {
		if !passed && !unknown || domain == "" {
			return false
		}
		related, known := w.aligned(ctx, d, domain, strict)
		doubt = doubt || !known || related && unknown
		return related && passed
	}
	strictSPF, strictDKIM := applies && d.record.strictSPF, applies && d.record.strictDKIM
	// RFC 9989 section 3.2.4: the identity is MAIL FROM, which is the name in HELO
	// for the null sender.
	v.aligned = compare(spf.Domain, spf.Result == Pass, unknownSPF, strictSPF)
	for i := range signatures {
		s := &signatures[i]
		s.Aligned = compare(s.Domain, s.Result == Pass, s.Result == TempError, strictDKIM)
		v.aligned = v.aligned || s.Aligned
	}
	switch {
	case d.record != nil && d.record.unusable:
		v.result, v.policy = PermError, ""
	case d.record == nil && d.err != nil:
		v.result = TempError
	case d.record == nil:
		v.result = None
	case v.aligned:
		v.result = Pass
	case doubt:
		v.result = TempError
	default:
		v.result = Fail
	}
	return v
}

// several is DMARC for a message without exactly one Author Domain, for which
// RFC 9989 section 5.3.1 knows no validation: permerror. But who shows a forged
// domain must not escape by showing another beside it, so as section 11.5 has
// it each that From claims is evaluated, and the strictest policy among those
// that fail counts. None of them is proved. It is unclear when a domain was left
// out, because there are too many or it cannot be read, unless what fails is as
// bad. all is false then. DNS trouble makes nothing unclear.
func several(ctx context.Context, walks []*walker, owners []discovery, all bool, spf SPF, signatures []engine.Signature) (result, policy string, unclear bool) {
	result = PermError
	for i, d := range owners {
		v := evaluate(ctx, walks[i], d, spf, slices.Clone(signatures))
		if v.result == Fail && (result != Fail || strictness(v.policy) > strictness(policy)) {
			result, policy = Fail, v.policy
		}
	}
	if !all && strictness(policy) == 0 {
		return PermError, "", true
	}
	return result, policy, false
}

// aligned says whether a domain is aligned with the Author Domain. known is
// false when DNS did not tell. RFC 9989 section 4.4: strict is the same name,
// relaxed the same Organizational Domain.
func (w *walker) aligned(ctx context.Context, d discovery, domain string, strict bool) (aligned, known bool) {
	switch {
	case domain == d.author:
		return true, true
	case strict:
		return false, true
	case d.organization == "": // not known; only what is one by any rule is
		return false, registered(domain) != registered(d.author)
	case d.record == nil || d.record.unusable:
		return registered(domain) == registered(d.author), true
	case domain != d.organization && !strings.HasSuffix(domain, "."+d.organization):
		return false, true // its Organizational Domain is itself or above it
	}
	steps := w.walk(ctx, domain)
	if trouble(steps) != nil {
		return false, false
	}
	return organization(steps) == d.organization, true
}
