package auth

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"spamcatcher/gateway/lookup"
)

// RFC 8301 section 3.2: keys of less than 1024 bits make no valid signature,
// and those up to 4096 must be handled. Longer ones are not, because the time
// that they take is the sender's choice.
const (
	minKeyBits = 1024
	maxKeyBits = 4096
)

// maxKeyText bounds a key record, in bytes.
const maxKeyText = 8192

// A key is a public key as DNS has it. RFC 6376 section 3.6.1.
type key struct {
	text    string // the record
	public  crypto.PublicKey
	kind    string // rsa or ed25519
	hashes  []string
	testing bool // t=y
	strict  bool // t=s: i= must not be of a subdomain
	odd     bool // a word in it is not written in lower case
}

// A problem is why a signature does not pass, with the result that it gives.
type problem struct{ result, reason string }

func (p *problem) Error() string { return p.reason }

func problemf(result, format string, args ...any) *problem {
	return &problem{result, fmt.Sprintf(format, args...)}
}

// keys fetches keys, each once, at most left of them.
type keys struct {
	resolver lookup.Resolver

	mu    sync.Mutex
	left  int
	known map[string]func() (*key, *problem)
}

func newKeys(r lookup.Resolver, most int) *keys {
	return &keys{resolver: r, left: most, known: map[string]func() (*key, *problem){}}
}

// lookup returns the key of a selector and domain.
func (k *keys) lookup(ctx context.Context, selector, domain string) (*key, *problem) {
	name := selector + "._domainkey." + domain
	k.mu.Lock()
	fetch, known := k.known[name]
	if !known {
		if k.left == 0 {
			k.mu.Unlock()
			return nil, problemf(TempError, "too many keys") // the limit is ours
		}
		k.left--
		fetch = sync.OnceValues(func() (*key, *problem) { return fetchKey(ctx, k.resolver, name) })
		k.known[name] = fetch
	}
	k.mu.Unlock()
	return fetch()
}

func fetchKey(ctx context.Context, r lookup.Resolver, name string) (k *key, p *problem) {
	defer func() {
		if fault := recover(); fault != nil {
			k, p = nil, problemf(TempError, "fault: %v", fault)
		}
	}()
	if !wellFormed(name) {
		return nil, problemf(PermError, "no name for a key")
	}
	texts, err := lookup.Texts(ctx, r, name)
	switch {
	case lookup.Missing(err):
		return nil, problemf(PermError, "no key")
	case err != nil:
		return nil, problemf(TempError, "no answer for the key")
	case len(texts) != 1:
		// RFC 6376 section 3.6.2.2: what several records mean is not defined.
		return nil, problemf(PermError, "%d keys", len(texts))
	}
	return parseKey(texts[0])
}

// parseKey reads a key record.
func parseKey(text string) (*key, *problem) {
	if len(text) > maxKeyText {
		return nil, problemf(PermError, "key record of %d bytes", len(text))
	}
	list, err := parseTags(text)
	if err != nil {
		return nil, problemf(PermError, "key record: %v", err)
	}
	if v, given := list["v"]; given && (v != "DKIM1" || !strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "v")) {
		return nil, problemf(PermError, "key record of another version")
	}
	p, given := list["p"]
	switch {
	case !given:
		return nil, problemf(PermError, "key record without key")
	case p == "":
		return nil, problemf(PermError, "key revoked")
	}
	data, err := base64.StdEncoding.DecodeString(compact(p))
	if err != nil {
		return nil, problemf(PermError, "key is no base64")
	}
	k := &key{text: text}
	if k.kind = "rsa"; list["k"] != "" {
		k.kind = list["k"]
	}
	if k.public, err = publicKey(k.kind, data); err != nil {
		return nil, problemf(PermError, "%v", err)
	}
	if rsa, ok := k.public.(*rsa.PublicKey); ok {
		if bits := rsa.N.BitLen(); bits < minKeyBits || bits > maxKeyBits {
			return nil, problemf(Fail, "key of %d bits", bits)
		}
	}
	if _, given := list["h"]; given {
		k.hashes = list.list("h")
	}
	if _, given := list["s"]; given {
		if services := list.list("s"); !slices.Contains(services, "*") && !slices.Contains(services, "email") {
			return nil, problemf(PermError, "key is not for mail")
		}
	}
	for _, name := range []string{"h", "k", "s", "t"} {
		k.odd = k.odd || list[name] != lower(list[name])
	}
	flags := list.list("t")
	k.testing, k.strict = slices.Contains(flags, "y"), slices.Contains(flags, "s")
	return k, nil
}

// publicKey reads a key. RFC 8463 section 4: that of Ed25519 is bare. An RSA
// key is a SubjectPublicKeyInfo, or bare as erratum 3017 of RFC 6376 has it.
func publicKey(kind string, data []byte) (crypto.PublicKey, error) {
	switch kind {
	case "ed25519":
		if len(data) != ed25519.PublicKeySize {
			return nil, errors.New("key of a wrong length")
		}
		return ed25519.PublicKey(data), nil
	case "rsa":
		if len(data) > 2*maxKeyBits/8+100 {
			return nil, errors.New("key too long")
		}
		if public, err := x509.ParsePKIXPublicKey(data); err == nil {
			if public, ok := public.(*rsa.PublicKey); ok {
				return public, nil
			}
			return nil, errors.New("key is not of its kind")
		}
		public, err := x509.ParsePKCS1PublicKey(data)
		if err != nil {
			return nil, errors.New("key cannot be read")
		}
		return public, nil
	}
	return nil, errors.New("key of an unknown kind")
}

// verify says whether a signature is the key's over a SHA-256 digest.
func (k *key) verify(digest, signature []byte) bool {
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, digest, signature) == nil
	case ed25519.PublicKey:
		return ed25519.Verify(public, digest, signature)
	}
	return false
}
