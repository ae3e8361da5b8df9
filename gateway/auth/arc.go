package auth

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"
)

const (
	maxSets    = 50 // RFC 8617 section 4.2.1
	maxARCKeys = 3  // in one chain
)

// A chain is what became of the ARC sets of a message.
type chain struct {
	result string // none, pass, fail or temperror
	sealer string // domain of the newest seal
	sets   int
	reason string
}

// A set is one ARC set: RFC 8617 section 4.2.
type set struct {
	results, signature, seal headerField
}

// arc validates the ARC chain of a message: RFC 8617 section 5.2. The newest
// message signature and all seals must be valid. A chain that needs more keys than
// we fetch is temperror: that bound is ours.
func (v *Verifier) arc(ctx context.Context, m *signed) (c chain) {
	defer func() {
		if fault := recover(); fault != nil {
			c.result, c.reason = Fail, fmt.Sprintf("fault: %v", fault)
		}
	}()
	sets, p := collectSets(m)
	c.sets = len(sets)
	if p == nil && len(sets) == 0 {
		c.result = None
		return c
	}
	if p == nil {
		c.sealer, p = v.chain(ctx, m, sets)
	}
	if c.result = Pass; p != nil {
		c.result, c.reason = Fail, p.reason
		if p.result == TempError {
			c.result = TempError
		}
	}
	return c
}

// collectSets sorts the ARC fields into sets, of which none may be incomplete
// or missing. The first field that is out of place ends it, so that no more than
// three times fifty are read.
func collectSets(m *signed) ([]set, *problem) {
	var sets []set
	for _, f := range m.fields {
		if !strings.HasPrefix(f.name, "arc-") {
			continue
		}
		var part func(*set) *headerField
		var tag string
		switch f.name {
		case "arc-authentication-results":
			part = func(s *set) *headerField { return &s.results }
			tag, _, _ = strings.Cut(f.value(), ";")
		case "arc-message-signature":
			part, tag = func(s *set) *headerField { return &s.signature }, f.value()
		case "arc-seal":
			part, tag = func(s *set) *headerField { return &s.seal }, f.value()
		default:
			continue
		}
		list, err := parseTags(tag)
		if err != nil {
			return sets, problemf(Fail, "%s: %v", f.name, err)
		}
		// RFC 8617 section 4.2.1: 1 to 50, of one or two digits.
		i, _, err := list.number("i")
		if err != nil || i < 1 || i > maxSets || len(list["i"]) > 2 {
			return sets, problemf(Fail, "%s without instance", f.name)
		}
		for len(sets) < int(i) {
			sets = append(sets, set{})
		}
		place := part(&sets[i-1])
		if place.raw != nil {
			return sets, problemf(Fail, "%s %d twice", f.name, i)
		}
		*place = f
	}
	for i, s := range sets {
		if s.results.raw == nil || s.signature.raw == nil || s.seal.raw == nil {
			return sets, problemf(Fail, "set %d is not complete", i+1)
		}
	}
	return sets, nil
}

// A seal is an ARC-Seal field that could be read. RFC 8617 section 4.1.3.
type seal struct {
	signature
	status string // cv=
}

func parseSeal(f headerField) (*seal, *problem) {
	s := &seal{signature: signature{field: f}}
	var err error
	if s.tags, err = parseTags(f.value()); err != nil {
		return s, problemf(Fail, "seal: %v", err)
	}
	for _, tag := range []string{"a", "b", "cv", "d", "i", "s"} {
		if s.tags[tag] == "" {
			return s, problemf(Fail, "seal without %s=", tag)
		}
	}
	// Section 4.1.3: a seal names no fields.
	for _, tag := range []string{"h", "bh"} {
		if _, given := s.tags[tag]; given {
			return s, problemf(Fail, "seal with %s=", tag)
		}
	}
	var algorithm string
	s.kind, algorithm, _ = strings.Cut(compact(s.tags["a"]), "-")
	if algorithm != "sha256" || s.kind != "rsa" && s.kind != "ed25519" {
		return s, problemf(Fail, "seal of an unknown algorithm")
	}
	if p := s.numbers(); p != nil {
		return s, p
	}
	if s.bytes, err = s.tags.bytes("b"); err != nil {
		return s, problemf(Fail, "seal: %v", err)
	}
	var ok bool
	if s.domain, ok = fold(compact(s.tags["d"])); !ok {
		return s, problemf(Fail, "seal: d= is no domain")
	}
	s.selector, s.status = lower(compact(s.tags["s"])), lower(s.tags["cv"])
	return s, nil
}

// chain validates the sets of a chain whose structure is right.
func (v *Verifier) chain(ctx context.Context, m *signed, sets []set) (sealer string, p *problem) {
	seals := make([]*seal, len(sets))
	for i, s := range slices.Backward(sets) {
		if seals[i], p = parseSeal(s.seal); p != nil {
			return sealer, p
		}
		if sealer == "" {
			sealer = seals[i].domain
		}
		want := Pass
		if i == 0 {
			want = None
		}
		if seals[i].status != want {
			return sealer, problemf(Fail, "seal %d says %q", i+1, seals[i].status)
		}
	}
	newest, p := parseSignature(sets[len(sets)-1].signature)
	if p != nil {
		return sealer, p
	}
	// RFC 8617 section 4.1.2: it must not name seals.
	if slices.Contains(newest.names, "arc-seal") {
		return sealer, problemf(Fail, "message signature over a seal")
	}
	found := newKeys(v.resolver, maxARCKeys)
	prefetch(ctx, found, newest, seals)
	k, p := newest.keyOf(ctx, found)
	if p != nil {
		return sealer, p
	}
	if partial, p := newest.verify(m, k); p != nil {
		return sealer, p
	} else if partial {
		return sealer, problemf(Fail, "message signature over a part of the body")
	}
	for i, s := range slices.Backward(seals) {
		k, p := s.keyOf(ctx, found)
		if p != nil {
			return sealer, p
		}
		if !k.verify(sealed(sets[:i+1]), s.bytes) {
			return sealer, problemf(Fail, "seal %d does not match", i+1)
		}
	}
	return sealer, nil
}

// prefetch asks for all keys at once, the newest sets' first.
func prefetch(ctx context.Context, from *keys, newest *signature, seals []*seal) {
	var wait sync.WaitGroup
	names := map[string]bool{}
	ask := func(s *signature) {
		if id := s.selector + " " + s.domain; !names[id] && len(names) < maxARCKeys {
			names[id] = true
			wait.Go(func() { from.lookup(ctx, s.selector, s.domain) })
		}
	}
	ask(newest)
	for _, s := range slices.Backward(seals) {
		ask(&s.signature)
	}
	wait.Wait()
}

// sealed is the digest that a seal signs: the fields of all sets up to its
// own, without its signature. RFC 8617 section 5.1.1: relaxed, by instance,
// results, message signature, seal.
func sealed(sets []set) []byte {
	h := sha256.New()
	var line []byte
	for i, s := range sets {
		for _, f := range []headerField{s.results, s.signature} {
			line = relaxedField(line[:0], f)
			h.Write(line)
		}
		if i < len(sets)-1 {
			line = relaxedField(line[:0], s.seal)
			h.Write(line)
			continue
		}
		line = relaxedField(line[:0], withoutSignature(s.seal))
		h.Write(line[:len(line)-2])
	}
	return h.Sum(nil)
}
