package auth

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"sync"
	"testing"

	"github.com/emersion/go-msgauth/dkim"
)

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// Keys are made once for all tests of the package.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

var edKey = sync.OnceValue(func() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
})

func rsaRecord(t testing.TB, k *rsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return "v=DKIM1; k=rsa; p=" + b64(der)
}

func edRecord() string {
	return "v=DKIM1; k=ed25519; p=" + b64(edKey().Public().(ed25519.PublicKey))
}

// sign signs a message with the library, which is the peer here.
func sign(t testing.TB, raw []byte, domain, selector string, key crypto.Signer, header, body dkim.Canonicalization, names ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	err := dkim.Sign(&out, bytes.NewReader(raw), &dkim.SignOptions{
		Domain: domain, Selector: selector, Signer: key, Hash: crypto.SHA256,
		HeaderCanonicalization: header, BodyCanonicalization: body, HeaderKeys: names,
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
