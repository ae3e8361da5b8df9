package auth

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-msgauth/dkim"
	"golang.org/x/net/publicsuffix"

	"spamcatcher/engine"
)

// maxSignatureFields bounds the signature fields among which those to look at
// are chosen.
const maxSignatureFields = 50

// maxLibraryBody is the longest body that the library is given, in bytes.
const maxLibraryBody = 256 << 10

// dkim verifies the DKIM signatures of a message: RFC 6376 with RFC 8301 and
// 8463. Those that could be of the author's domain are looked at first, so
// that no pile of others hides them. The result is in the order of the header.
//
// What a signature must have beside a valid signature to pass: it covers the
// whole body (l= may stand, if nothing is behind it) and every From and
// Subject field; without that it is "policy", because a reader may see what
// was never signed. RFC 6376 section 8.2 and 8.15, RFC 8601 section 2.7.1.
func (v *Verifier) dkim(ctx context.Context, m *signed, author string) []engine.Signature {
	type candidate struct {
		*signature
		problem *problem
		at      int
	}
	var list []candidate
	for i, f := range m.named("dkim-signature") {
		if i == maxSignatureFields {
			break
		}
		s, p := parseSignature(f)
		if p == nil || p.result != PermError {
			if q := s.forMail(); q != nil {
				p = q
			}
		}
		list = append(list, candidate{s, p, i})
	}
	organization := registered(author)
	slices.SortStableFunc(list, func(a, b candidate) int {
		return kinship(b.domain, author, organization) - kinship(a.domain, author, organization)
	})
	list = list[:min(len(list), v.maxSignatures)]
	slices.SortFunc(list, func(a, b candidate) int { return a.at - b.at })

	keys := newKeys(v.resolver, v.maxSignatures)
	results := make([]engine.Signature, len(list))
	var wait sync.WaitGroup
	for i, c := range list {
		results[i] = engine.Signature{Domain: c.domain, Selector: c.selector}
		wait.Go(func() {
			r := &results[i]
			defer func() {
				if fault := recover(); fault != nil {
					r.Result, r.Reason = PermError, fmt.Sprintf("fault: %v", fault)
				}
			}()
			p := c.problem
			if p == nil {
				p = v.check(ctx, m, c.signature, keys, r)
			}
			if r.Result = Pass; p != nil {
				r.Result, r.Reason = p.result, p.reason
			}
			if r.Testing && r.Result == Fail {
				// RFC 6376 section 3.6.1: no worse than without a signature.
				r.Result = Neutral
			}
		})
	}
	wait.Wait()
	return results
}

// forMail checks what a DKIM-Signature needs that an ARC-Message-Signature
// does not.
func (s *signature) forMail() *problem {
	if s.tags["v"] != "1" {
		return problemf(PermError, "unknown version")
	}
	// RFC 6376 section 6.1.1: From must be signed, and i= be of d= or below.
	if !slices.Contains(s.names, "from") && s.names != nil {
		return problemf(PermError, "From is not signed")
	}
	if domain, given := s.identity(); given && domain != s.domain && !strings.HasSuffix(domain, "."+s.domain) {
		return problemf(PermError, "i= is not of d=")
	}
	return nil
}

// identity is the domain of i=, "" if it has none. RFC 6376 section 2.11: a
// character may be written as its number.
func (s *signature) identity() (domain string, given bool) {
	text, given := s.tags["i"]
	if !given {
		return "", false
	}
	text = quotedPrintable.ReplaceAllStringFunc(compact(text), func(code string) string {
		b, _ := hex.DecodeString(code[1:])
		return string(b)
	})
	at := strings.LastIndexByte(text, '@')
	if at < 0 {
		return "", true
	}
	domain, _ = fold(text[at+1:])
	return domain, true
}

var quotedPrintable = regexp.MustCompile(`=[0-9A-F]{2}`)

// check verifies one well-formed signature.
func (v *Verifier) check(ctx context.Context, m *signed, s *signature, keys *keys, r *engine.Signature) *problem {
	if !s.expires.IsZero() && v.now().After(s.expires.Add(fudge)) {
		return problemf(Fail, "expired")
	}
	k, p := s.keyOf(ctx, keys)
	if k != nil {
		r.Testing = k.testing
	}
	if p != nil {
		return p
	}
	if domain, given := s.identity(); given && k.strict && domain != s.domain {
		return problemf(PermError, "key is not for subdomains")
	}
	if s.forLibrary(m, k) {
		p = s.byLibrary(m, k)
	} else {
		r.Partial, p = s.verify(m, k)
	}
	if p != nil {
		return p
	}
	if r.Partial {
		return problemf(Policy, "part of the body is not signed")
	}
	for _, name := range []string{"from", "subject"} {
		covered := 0
		for _, n := range s.names {
			if n == name {
				covered++
			}
		}
		if n := m.count(name); n > 1 && n > covered {
			return problemf(Policy, "more %s fields than are signed", name)
		}
	}
	return nil
}

// forLibrary says whether the library can verify a signature. It takes no l=,
// has a clock of its own, compares d= with i=, q= and the words of a key by the
// letter, does not decode i=, reads numbers of 63 bits only, takes every "b=" for
// the tag of that name, and a signature for one of the fields that it names
// itself; and it takes eight times as long as we do for a body, which counts where
// one is large.
func (s *signature) forLibrary(m *signed, k *key) bool {
	identity, given := s.tags["i"]
	identity, domain := compact(identity), compact(s.tags["d"])
	query := s.tags["q"]
	return s.length < 0 && len(m.body) <= maxLibraryBody && (s.expires.IsZero() || time.Now().Before(s.expires)) &&
		(!given || strings.HasSuffix(identity, "@"+domain) || strings.HasSuffix(identity, "."+domain)) && !strings.Contains(identity, "=") &&
		(query == "" || query == "dns/txt") && len(s.tags["t"]) <= 18 && len(s.tags["x"]) <= 18 && !k.odd &&
		!slices.Contains(s.names, "dkim-signature") && len(signatureTag.FindAllIndex(s.field.raw, 2)) == 1
}

var signatureTag = regexp.MustCompile(`b\s*=`)

// byLibrary hands the library the signature, the fields that it names and the
// body, with the key that was fetched already. The fields are turned round,
// because the library picks from the bottom, and so finds each again.
func (s *signature) byLibrary(m *signed, k *key) *problem {
	fields := []io.Reader{bytes.NewReader(s.field.raw)}
	for _, f := range slices.Backward(s.picked(m)) {
		fields = append(fields, bytes.NewReader(f.raw))
	}
	fields = append(fields, bytes.NewReader(lineEnd), bytes.NewReader(m.body))
	// With one signature to look at, the library starts no goroutines.
	list, err := dkim.VerifyWithOptions(io.MultiReader(fields...), &dkim.VerifyOptions{
		LookupTXT:        func(string) ([]string, error) { return []string{k.text}, nil },
		MaxVerifications: 1,
	})
	if err == nil || errors.Is(err, dkim.ErrTooManySignatures) {
		if len(list) != 1 {
			return problemf(PermError, "the library found no signature")
		}
		err = list[0].Err
	}
	switch {
	case err == nil:
		return nil
	case dkim.IsPermFail(err):
		return &problem{PermError, err.Error()}
	}
	return &problem{Fail, err.Error()}
}

// kinship ranks a domain by how near it is to the author's.
func kinship(domain, author, organization string) int {
	switch {
	case author == "" || domain == "":
		return 0
	case domain == author:
		return 2
	case registered(domain) == organization:
		return 1
	}
	return 0
}

// registered is the registered domain of a name by the public suffix list; the
// name itself where the list tells none. It serves where DMARC says nothing.
func registered(name string) string {
	if d, err := publicsuffix.EffectiveTLDPlusOne(name); err == nil {
		return d
	}
	return name
}
