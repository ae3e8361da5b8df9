package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"strings"
	"time"
)

// maxSignedNames bounds the names in h=.
const maxSignedNames = 200

// fudge is how long a signature counts after it has expired, because clocks
// differ and mail waits. RFC 6376 section 3.5 lets a verifier allow for it.
const fudge = 10 * time.Minute

// A signature is a DKIM-Signature or ARC-Message-Signature field that could be
// read. RFC 6376 section 3.5.
type signature struct {
	field            headerField
	tags             tags
	domain, selector string   // d= folded, s=
	kind             string   // rsa or ed25519
	names            []string // h=, in lower case
	hash, bytes      []byte   // bh= and b=
	relaxedHeader    bool
	relaxedBody      bool
	length           int64 // l=, -1 for all
	expires          time.Time
}

// parseSignature reads a signature field. What can be told of it even if it is
// malformed is in the signature beside the problem.
func parseSignature(f headerField) (*signature, *problem) {
	s := &signature{field: f, length: -1}
	var err error
	if s.tags, err = parseTags(f.value()); err != nil {
		return s, problemf(PermError, "%v", err)
	}
	var ok bool
	if s.domain, ok = fold(compact(s.tags["d"])); !ok {
		return s, problemf(PermError, "d= is no domain")
	}
	s.selector = lower(compact(s.tags["s"]))
	for _, tag := range []string{"a", "b", "bh", "d", "h", "s"} {
		if s.tags[tag] == "" {
			return s, problemf(PermError, "no %s=", tag)
		}
	}
	var algorithm string
	s.kind, algorithm, _ = strings.Cut(compact(s.tags["a"]), "-")
	switch {
	case algorithm == "sha1":
		// RFC 8301 section 3.1: never valid.
		return s, problemf(Fail, "sha1")
	case algorithm != "sha256" || s.kind != "rsa" && s.kind != "ed25519":
		return s, problemf(PermError, "unknown algorithm")
	}
	if s.names = s.tags.list("h"); len(s.names) > maxSignedNames {
		return s, problemf(PermError, "too many names in h=")
	}
	if s.hash, err = s.tags.bytes("bh"); err != nil {
		return s, problemf(PermError, "%v", err)
	}
	if s.bytes, err = s.tags.bytes("b"); err != nil {
		return s, problemf(PermError, "%v", err)
	}
	if _, given := s.tags["q"]; given && !slices.Contains(s.tags.list("q"), "dns/txt") {
		return s, problemf(PermError, "no way to the key is known")
	}
	if p := s.canonicalisation(); p != nil {
		return s, p
	}
	return s, s.numbers()
}

// canonicalisation reads c=. RFC 6376 section 3.5: what is not given is simple.
func (s *signature) canonicalisation() *problem {
	c, given := s.tags["c"]
	if !given {
		return nil
	}
	header, body, both := strings.Cut(compact(c), "/")
	if !both {
		body = "simple"
	}
	for _, word := range []string{header, body} {
		if word != "simple" && word != "relaxed" {
			return problemf(PermError, "unknown canonicalisation")
		}
	}
	s.relaxedHeader, s.relaxedBody = header == "relaxed", body == "relaxed"
	return nil
}

// numbers reads l=, t= and x=.
func (s *signature) numbers() *problem {
	length, given, err := s.tags.number("l")
	if err != nil {
		return problemf(PermError, "%v", err)
	}
	if given {
		s.length = length
	}
	created, signedAt, err := s.tags.number("t")
	if err != nil {
		return problemf(PermError, "%v", err)
	}
	expires, given, err := s.tags.number("x")
	if err != nil {
		return problemf(PermError, "%v", err)
	}
	if given {
		if signedAt && expires <= created {
			return problemf(PermError, "x= is before t=")
		}
		s.expires = time.Unix(min(expires, 1<<40), 0)
	}
	return nil
}

// picked returns the fields that the names in h= mean, in the order in which
// they are hashed: from the bottom for each name, never the signature itself.
// RFC 6376 sections 5.4.2 and 3.7.
func (s *signature) picked(m *signed) []headerField {
	want := make(map[string]int, len(s.names))
	for _, name := range s.names {
		want[name]++
	}
	found := make(map[string][]headerField, len(want))
	for _, f := range slices.Backward(m.fields) {
		if n := want[f.name]; n > len(found[f.name]) && &f.raw[0] != &s.field.raw[0] {
			found[f.name] = append(found[f.name], f)
		}
	}
	list := make([]headerField, 0, len(s.names))
	for _, name := range s.names {
		if fields := found[name]; len(fields) > 0 {
			list = append(list, fields[0])
			found[name] = fields[1:]
		}
	}
	return list
}

// verify compares the signature with the message. partial says that l= leaves
// a part of the body unsigned.
func (s *signature) verify(m *signed, k *key) (partial bool, p *problem) {
	body := m.digest(bodyForm{s.relaxedBody, s.length})
	if s.length > body.length {
		return false, problemf(Fail, "l= is more than there is")
	}
	if subtle.ConstantTimeCompare(body.sum[:], s.hash) != 1 {
		return false, problemf(Fail, "body changed")
	}
	header := sha256.New()
	var line []byte
	write := func(f headerField, last bool) {
		line = append(line[:0], f.raw...)
		if s.relaxedHeader {
			line = relaxedField(line[:0], f)
		}
		if last {
			line = []byte(strings.TrimRight(string(line), "\r\n"))
		}
		header.Write(line)
	}
	for _, f := range s.picked(m) {
		write(f, false)
	}
	write(withoutSignature(s.field), true)
	if !k.verify(header.Sum(nil), s.bytes) {
		return false, problemf(Fail, "signature does not match")
	}
	return s.length >= 0 && s.length < body.length, nil
}

// keyOf fetches the key of a signature and compares what it allows.
func (s *signature) keyOf(ctx context.Context, from *keys) (*key, *problem) {
	k, p := from.lookup(ctx, s.selector, s.domain)
	switch {
	case p != nil:
		return nil, p
	case k.kind != s.kind:
		return k, problemf(PermError, "key of another kind")
	case k.hashes != nil && !slices.Contains(k.hashes, "sha256"):
		return k, problemf(PermError, "key is not for sha256")
	}
	return k, nil
}
