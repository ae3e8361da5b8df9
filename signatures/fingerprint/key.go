package fingerprint

import (
	"bufio"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// A Role is what the holder of a key may do.
type Role string

const (
	Reporter Role = "reporter" // reports and takes its own reports back
	Operator Role = "operator" // also takes entries off the list
)

// A Key signs reports (TSIG, RFC 8945, HMAC-SHA256). Each reporter has one of
// its own: its name is the reporter's.
type Key struct {
	Name   string // a host name in lower case, without final dot
	Role   Role
	Secret []byte // 16 bytes at least
}

// NewKey makes a key with a new secret of 256 bits.
func NewKey(name string, role Role) (Key, error) {
	k := Key{Name: strings.ToLower(strings.TrimSuffix(name, ".")), Role: role, Secret: make([]byte, sha256.Size)}
	rand.Read(k.Secret) // never fails
	return k, k.validate()
}

// String is the key as a line of a key file. It holds the secret.
func (k Key) String() string {
	return fmt.Sprintf("%s %s %s", k.Name, k.Role, base64.StdEncoding.EncodeToString(k.Secret))
}

func (k Key) validate() error {
	if _, ok := dns.IsDomainName(k.Name); !ok || k.Name == "" || strings.ContainsAny(k.Name, " \t\\\"#;") || len(k.Name) > 200 {
		return fmt.Errorf("key %q: the name must be one like a host's", k.Name)
	}
	if k.Role != Reporter && k.Role != Operator {
		return fmt.Errorf("key %s: role %q is neither %s nor %s", k.Name, k.Role, Reporter, Operator)
	}
	if len(k.Secret) < 16 {
		return fmt.Errorf("key %s: a secret of %d bytes is too short, 16 are the least", k.Name, len(k.Secret))
	}
	return nil
}

// maxKeys bounds a key file.
const maxKeys = 10_000

// ReadKeys reads a key file: a line for each key with its name, its role
// ("reporter" or "operator") and its secret in base64; empty lines and such
// that begin with # are left out. Errors never hold a secret.
func ReadKeys(r io.Reader) (keys []Key, err error) {
	lines := bufio.NewScanner(r)
	seen := map[string]bool{}
	for n := 1; lines.Scan(); n++ {
		words := strings.Fields(lines.Text())
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if len(words) != 3 {
			return nil, fmt.Errorf("line %d: %d words, want name, role and secret", n, len(words))
		}
		k := Key{Name: strings.ToLower(strings.TrimSuffix(words[0], ".")), Role: Role(words[1])}
		if k.Secret, err = base64.StdEncoding.DecodeString(words[2]); err != nil {
			return nil, fmt.Errorf("line %d: key %s: the secret is not base64", n, k.Name)
		}
		if err := k.validate(); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if seen[k.Name] {
			return nil, fmt.Errorf("line %d: key %s is there twice", n, k.Name)
		}
		seen[k.Name] = true
		if keys = append(keys, k); len(keys) > maxKeys {
			return nil, fmt.Errorf("more than %d keys", maxKeys)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading keys: %w", err)
	}
	return keys, nil
}

// fudge is how far clocks may be apart, in seconds. RFC 8945 section 10
// recommends 300; a signature that asks for more gets no more.
const fudge = 300

// sign packs a message with a signature of now. requestMAC is "" for a request.
func (k Key) sign(m *dns.Msg, requestMAC string, now time.Time, tsigError uint16) (packed []byte, mac string, err error) {
	m.SetTsig(dns.Fqdn(k.Name), dns.HmacSHA256, fudge, now.Unix())
	t := m.IsTsig()
	t.OrigId = m.Id
	if t.Error = tsigError; tsigError == dns.RcodeBadTime {
		// RFC 8945 section 5.2.3: the server's time, 48 bits.
		t.OtherLen, t.OtherData = 6, fmt.Sprintf("%012x", now.Unix())
	}
	packed, mac, err = dns.TsigGenerateWithProvider(m, signer(k), requestMAC, false)
	if err != nil {
		return nil, "", fmt.Errorf("signing: %w", err)
	}
	return packed, mac, nil
}

// verify checks the signature of a packed message, and that it was made within
// fudge of now: dns.ErrSig, dns.ErrTime, dns.ErrKeyAlg or another error.
func (k Key) verify(packed []byte, t *dns.TSIG, requestMAC string, now time.Time) error {
	// The library reads the clock of the machine; the signature is right if that
	// is all that it dislikes.
	err := dns.TsigVerifyWithProvider(append([]byte(nil), packed...), signer(k), requestMAC, false)
	if err != nil && !errors.Is(err, dns.ErrTime) {
		return err
	}
	apart := now.Unix() - int64(t.TimeSigned)
	if apart > min(fudge, int64(t.Fudge)) || -apart > min(fudge, int64(t.Fudge)) {
		return dns.ErrTime
	}
	return nil
}

// A signer signs with one key, HMAC-SHA256 only.
type signer Key

func (s signer) Generate(msg []byte, t *dns.TSIG) ([]byte, error) {
	if dns.CanonicalName(t.Algorithm) != dns.HmacSHA256 {
		return nil, dns.ErrKeyAlg
	}
	if dns.CanonicalName(t.Hdr.Name) != dns.Fqdn(s.Name) {
		return nil, dns.ErrSecret
	}
	h := hmac.New(sha256.New, s.Secret)
	h.Write(msg)
	return h.Sum(nil), nil
}

func (s signer) Verify(msg []byte, t *dns.TSIG) error {
	want, err := s.Generate(msg, t)
	if err != nil {
		return err
	}
	got, err := hex.DecodeString(t.MAC)
	// RFC 8945 section 5.2.2.1 lets a server refuse what is cut: it is.
	if err != nil || !hmac.Equal(want, got) {
		return dns.ErrSig
	}
	return nil
}
