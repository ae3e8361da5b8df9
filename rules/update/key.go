package update

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"aead.dev/minisign"
	"golang.org/x/sys/unix"
)

// maxKeys bounds the keys that a channel may be signed with: the one in use and
// those that it is being replaced by.
const maxKeys = 8

// Keys are the public keys that a manifest may be signed with, one of them.
type Keys []minisign.PublicKey

// ParseKeys reads minisign public keys, each given as the line with the key, the
// two lines of a key file, or the name of such a file.
func ParseKeys(list ...string) (Keys, error) {
	if len(list) > maxKeys {
		return nil, fmt.Errorf("%d keys: at most %d", len(list), maxKeys)
	}
	var keys Keys
	for _, text := range list {
		text = strings.TrimSpace(text)
		var key minisign.PublicKey
		if err := key.UnmarshalText([]byte(text)); err == nil {
			keys = append(keys, key)
			continue
		}
		if len(text) > 4096 || strings.ContainsAny(text, "\n\x00") {
			return nil, errors.New("this is no minisign public key, nor the name of a file with one")
		}
		file, err := readBounded(text, maxSignature)
		if err != nil {
			return nil, fmt.Errorf("%q is no minisign public key, nor a file with one: %w", text, err)
		}
		if err := key.UnmarshalText(file); err != nil {
			return nil, fmt.Errorf("%s: %w", text, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// errForeign: the key of a signature is none of ours.
var errForeign = errors.New("the manifest is signed with a key that is none of those configured")

// verify says why the signature is not one of text by one of the keys.
func (k Keys) verify(text, signature []byte) error {
	if len(k) == 0 {
		return errors.New("there is no key to verify the signature with")
	}
	var s minisign.Signature
	if err := s.UnmarshalText(signature); err != nil {
		return fmt.Errorf("the signature of the manifest: %w", err)
	}
	mine := func(key minisign.PublicKey) bool { return key.ID() == s.KeyID }
	if !slices.ContainsFunc(k, mine) {
		return fmt.Errorf("%w (%016X)", errForeign, s.KeyID)
	}
	// Two keys may have the same id, which anyone can choose: all count.
	for _, key := range k {
		if mine(key) && minisign.Verify(key, text, signature) {
			return nil
		}
	}
	return errors.New("the signature does not fit the manifest")
}

// NewKey makes a key pair. Both texts are files of minisign; the secret one is
// encrypted unless the password is empty. Encrypting, and opening it again, takes
// a gigabyte of memory and some seconds: that is what keeps guessing slow.
func NewKey(password string) (public, secret []byte, err error) {
	pub, key, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("making a key: %w", err)
	}
	if public, err = pub.MarshalText(); err != nil {
		return nil, nil, fmt.Errorf("making a key: %w", err)
	}
	if password == "" {
		secret, err = key.MarshalText()
	} else {
		secret, err = minisign.EncryptKey(password, key)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("making a key: %w", err)
	}
	return append(public, '\n'), append(secret, '\n'), nil
}

// readSecret opens a secret key; password is asked for it if it is encrypted.
func readSecret(text []byte, password func() (string, error)) (key minisign.PrivateKey, err error) {
	// The library looks at the second line up to its end.
	text = []byte(strings.TrimSpace(string(text)))
	if !minisign.IsEncrypted(text) {
		return key, key.UnmarshalText(text)
	}
	if password == nil {
		return key, errors.New("the secret key is encrypted, and there is nobody to ask for the password")
	}
	p, err := password()
	if err != nil {
		return key, err
	}
	if key, err = minisign.DecryptKey(p, text); err != nil {
		return key, errors.New("the password does not open the secret key")
	}
	return key, nil
}

// readBounded reads a file of at most max bytes.
func readBounded(name string, max int64) ([]byte, error) {
	f, err := openRegular(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, max)
}

// openRegular opens a plain file. What is none, such as a pipe that nobody writes
// into, is an error, and waited for by nobody.
func openRegular(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, fmt.Errorf("%s is no plain file", name)
	}
	return f, nil
}
