package policy

import "context"

// An SPF is the result of test 3, in the words of RFC 7208 section 2.6.
type SPF struct {
	Result string // "" if nobody asked
	Domain string // for which it was evaluated; "" if there is none, or it is not known in time
	Hello  bool   // that was the name in HELO
	Exempt bool   // it serves DMARC only, for the test is off, or client, sender or all recipients are exempt
}

// SPF returns the result of test 3: temperror when it is not known before ctx ends,
// its zero value when nobody asks, because the client is trusted or there is no
// SPF. It is there for DMARC also where the test is not made; the gate itself
// then neither refuses nor finds anything.
func (v *Visit) SPF(ctx context.Context) SPF {
	if v == nil || v.spf == nil {
		return SPF{}
	}
	exempt := v.spf.silent || !v.spf.counts
	f, known := v.spf.answer(ctx)
	if !known {
		return SPF{Result: "temperror", Exempt: exempt}
	}
	return SPF{Result: f.spf.result, Domain: f.spf.domain, Hello: f.spf.byHello, Exempt: exempt}
}

// approved says whether the sender need not wait, because a recipient approves
// of him, and his domain does not say that he is forged: for that SPF is waited
// for, where he would have to wait otherwise.
func (v *Visit) approved(ctx context.Context, mode Mode, to string) bool {
	if v.gate.Approved == nil || !v.gate.Approved(v.from, to, false) {
		return false
	}
	if mode != Enforce {
		return true
	}
	spf := v.SPF(ctx)
	return spf.Result != "fail" || spf.Exempt || v.gate.Approved(v.from, to, true)
}
