package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"blitiri.com.ar/go/spf"

	"spamcatcher/engine"
	"spamcatcher/gateway/lookup"
)

const (
	// maxSPFQueries bounds the questions for one evaluation. RFC 7208 section
	// 4.6.4 allows ten terms, of which each mx or ptr may ask ten more; a record
	// that needs more than this is beyond what is published in good faith.
	maxSPFQueries = 20
	// maxSPFRecord bounds a record, in bytes: the library's time for macros
	// grows with its square.
	maxSPFRecord = 8192
)

// SPF is the result of an evaluation of the Sender Policy Framework.
type SPF struct {
	Result string // RFC 7208 section 2.6; "" means not evaluated
	Domain string // the domain that was asked, folded; "" if there was none
	Hello  bool   // it was the name in HELO or EHLO, because the sender is null
	Exempt bool   // it serves DMARC only: engine.Auth.SPFExempt
	Reason string // for the log
}

// identity returns what SPF is evaluated for: the local part, "" if there is none,
// and the domain of the envelope sender, or the name in HELO or EHLO when that is
// null. RFC 7208 section 2.4. ok is false when it has no policy whatever DNS says:
// section 4.3, malformed names, literals and names of one label.
func identity(hello, from string) (local, domain string, byHello, ok bool) {
	domain = from
	if i := strings.LastIndexByte(from, '@'); i >= 0 {
		local, domain = from[:i], from[i+1:]
	}
	if from == "" {
		domain, byHello = hello, true
	}
	domain, ok = fold(domain)
	return local, domain, byHello, ok && strings.Contains(domain, ".") && !strings.HasPrefix(domain, "[")
}

// supposed is what SPF may say of a mail, for DMARC: the result as it is, or where
// there is none, or none in time, temperror for the identity in the mail. Only
// for that can it be a pass. It stays as it is where there is no envelope.
func supposed(m *engine.Mail, spf SPF) SPF {
	if !m.Envelope.Known || spf.Domain != "" || spf.Result != "" && spf.Result != TempError {
		return spf
	}
	_, domain, byHello, ok := identity(m.Session.Hello, m.Envelope.From)
	if !ok {
		return SPF{Result: None}
	}
	return SPF{Result: TempError, Domain: domain, Hello: byHello}
}

// SPF evaluates the policy of an envelope sender for the client's address. The
// sender is a reverse path without brackets; the null sender's identity is
// postmaster at the name that the client said in HELO or EHLO. RFC 7208
// section 2.4. It returns soon after ctx ends, with temperror if it is not done.
//
// Neither fail nor softfail ever stands on a question that DNS did not answer,
// also where the RFC lets a mechanism miss then: it is temperror.
func (v *Verifier) SPF(ctx context.Context, client netip.Addr, hello, from string) SPF {
	var result SPF
	ctx, cancel := context.WithTimeout(ctx, v.timeout)
	defer cancel()
	local, domain, byHello, ok := identity(hello, from)
	result.Hello = byHello
	if !ok {
		result.Result, result.Reason = None, "no domain name"
		return result
	}
	result.Domain = domain
	if !client.IsValid() {
		result.Result, result.Reason = None, "no client address"
		return result
	}
	// RFC 7208 section 4.3: without a local part, it is postmaster.
	result.Result, result.Reason = v.checkHost(ctx, client.Unmap().WithZone(""), hello, cmp.Or(local, "postmaster")+"@"+domain)
	return result
}

// checkHost is the function of RFC 7208 section 4, for the domain behind the
// sender's last @.
func (v *Verifier) checkHost(ctx context.Context, client netip.Addr, hello, sender string) (result, reason string) {
	r := &spfResolver{resolver: v.resolver, client: client, hello: hello, sender: sender}
	defer func() {
		if fault := recover(); fault != nil {
			result, reason = PermError, fmt.Sprintf("fault: %v", fault)
		}
	}()
	// Macros are expanded by then, so that the library needs the domain only.
	domain := sender[strings.LastIndexByte(sender, '@')+1:]
	verdict, err := spf.CheckHostWithSender(net.IP(client.AsSlice()), domain, "postmaster@"+domain, spf.WithContext(ctx), spf.WithResolver(r))
	if err != nil {
		reason = err.Error()
	}
	switch {
	case r.broken != "" && (verdict == spf.TempError || verdict == spf.PermError):
		return PermError, r.broken
	case r.unsure && (verdict == spf.Fail || verdict == spf.SoftFail):
		// RFC 7208 section 5.5 lets ptr miss when DNS does not answer, and section 7.3
		// makes %{p} "unknown". But nobody is refused for good by a dead DNS.
		return TempError, "a question without an answer"
	}
	return string(verdict), reason
}

// An spfResolver is a lookup.Resolver as the library wants it, for one
// evaluation.
type spfResolver struct {
	resolver      lookup.Resolver
	client        netip.Addr
	hello, sender string
	exists        bool // a record has an exists term
	asked         int
	broken        string   // why the sender's records cannot be evaluated
	unsure        bool     // a question was not answered, or not asked for its number
	aliases       []string // names that cannot stand in a record
	named         bool     // the client's names were looked up:
	names         []string // those that lead back to it
}

var errTooMany = &net.DNSError{Err: "too many questions"}

func (r *spfResolver) query(ctx context.Context, name string, kind lookup.Kind) ([]lookup.Record, error) {
	name, ok := shorten(r.real(name))
	if !ok {
		return nil, &net.DNSError{Err: "no name", IsNotFound: true}
	}
	if r.asked++; r.asked > maxSPFQueries {
		r.broken, r.unsure = "too many questions", true
		return nil, errTooMany
	}
	answer, err := r.resolver.Query(ctx, name, kind)
	switch {
	case lookup.Missing(err):
		return nil, &net.DNSError{Err: err.Error(), IsNotFound: true}
	case err != nil:
		r.unsure = true
		return nil, &net.DNSError{Err: err.Error(), IsTemporary: true}
	}
	return answer.Records, nil
}

// shorten returns a name that a macro made, in the presentation format. RFC
// 7208 section 7.3: labels are taken from the left until it has 253 characters.
func shorten(name string) (string, bool) {
	name = strings.TrimSuffix(name, ".")
	for len(name) > 253 {
		_, rest, ok := strings.Cut(name, ".")
		if !ok {
			return "", false
		}
		name = rest
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return "", false
		}
	}
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case c <= ' ' || c > '~':
			fmt.Fprintf(&b, "\\%03d", c)
		case strings.IndexByte(`"\;()@$`, c) >= 0:
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), true
}

func (r *spfResolver) LookupTXT(ctx context.Context, name string) ([]string, error) {
	records, err := r.query(ctx, name, lookup.TXT)
	if err != nil {
		return nil, err
	}
	list := make([]string, 0, len(records))
	for _, record := range records {
		text := record.Text
		// RFC 7208 section 4.5: the version ends with a space or the record.
		if len(text) < 6 || !strings.EqualFold(text[:6], "v=spf1") || len(text) > 6 && text[6] != ' ' {
			continue
		}
		if len(text) > maxSPFRecord {
			r.broken = fmt.Sprintf("record of %d bytes", len(text))
		} else if err := checkTerms(text); err != nil {
			r.broken = err.Error()
		}
		if r.broken != "" {
			return nil, &net.DNSError{Err: r.broken}
		}
		r.exists = r.exists || strings.Contains(lower(text), "exists:")
		list = append(list, text)
	}
	if len(list) == 1 {
		list[0] = r.expandTerms(ctx, list[0], r.real(name))
	}
	return list, nil
}

func (r *spfResolver) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	records, err := r.query(ctx, name, lookup.MX)
	if err != nil {
		return nil, err
	}
	list := make([]*net.MX, len(records))
	for i, record := range records {
		list[i] = &net.MX{Host: record.Text, Pref: record.Preference}
	}
	return list, nil
}

// LookupIPAddr asks for addresses of the client's family, because no other can
// be the client's: RFC 7208 section 5.3. Only exists asks for IPv4 always
// (section 5.7), which the library does not tell from the others.
func (r *spfResolver) LookupIPAddr(ctx context.Context, name string) ([]net.IPAddr, error) {
	var kinds []lookup.Kind
	if !r.client.Is4() {
		kinds = append(kinds, lookup.AAAA)
	}
	if r.client.Is4() || r.exists {
		kinds = append(kinds, lookup.A)
	}
	var list []net.IPAddr
	var trouble error
	for _, kind := range kinds {
		records, err := r.query(ctx, name, kind)
		if err != nil {
			var missing *net.DNSError
			if trouble == nil || errors.As(trouble, &missing) && missing.IsNotFound {
				trouble = err
			}
			continue
		}
		for _, record := range records {
			list = append(list, net.IPAddr{IP: net.IP(record.Addr.AsSlice())})
		}
	}
	if len(list) > 0 {
		return list, nil
	}
	return nil, trouble
}

func (r *spfResolver) LookupAddr(ctx context.Context, address string) ([]string, error) {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return nil, &net.DNSError{Err: "no address", IsNotFound: true}
	}
	zone := ".in-addr.arpa"
	if a.Unmap().Is6() {
		zone = ".ip6.arpa"
	}
	records, err := r.query(ctx, lookup.Reverse(a)+zone, lookup.PTR)
	if err != nil {
		return nil, err
	}
	list := make([]string, len(records))
	for i, record := range records {
		list[i] = record.Text
	}
	return list, nil
}
