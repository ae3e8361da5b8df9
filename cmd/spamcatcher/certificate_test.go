package main

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func leaf(t *testing.T, c *tls.Config) *x509.Certificate {
	t.Helper()
	return c.Certificates[0].Leaf
}

// TestCertificateIsReadAgain: new files take effect without a restart, broken
// ones leave the old certificate in force.
func TestCertificateIsReadAgain(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	certificate, key, err := selfSigned(dir, "one.example.net")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := openKeyPair(certificate, key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	first := leaf(t, pair.TLS())
	if err := first.VerifyHostname("one.example.net"); err != nil {
		t.Error(err)
	}
	replace := func(from, to string, later time.Duration) {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, text, 0o600); err != nil {
			t.Fatal(err)
		}
		stamp := time.Now().Add(later)
		if err := os.Chtimes(to, stamp, stamp); err != nil {
			t.Fatal(err)
		}
		pair.mu.Lock()
		pair.checked = time.Time{} // a second passes
		pair.mu.Unlock()
	}
	certificate2, key2, err := selfSigned(other, "two.example.net")
	if err != nil {
		t.Fatal(err)
	}
	replace(certificate2, certificate, time.Minute) // does not belong to the key
	if got := leaf(t, pair.TLS()); !got.Equal(first) {
		t.Error("a certificate without its key took effect")
	}
	replace(key2, key, 2*time.Minute)
	if err := leaf(t, pair.TLS()).VerifyHostname("two.example.net"); err != nil {
		t.Error(err)
	}
	if err := os.Remove(certificate); err != nil {
		t.Fatal(err)
	}
	pair.checked = time.Time{}
	if err := leaf(t, pair.TLS()).VerifyHostname("two.example.net"); err != nil {
		t.Error("after the file was removed:", err)
	}
}

// TestSelfSignedIsKept: the second run uses the certificate of the first, as
// long as it fits the host name.
func TestSelfSignedIsKept(t *testing.T) {
	dir := t.TempDir()
	read := func(host string) string {
		certificate, key, err := selfSigned(dir, host)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("key file: %v, %v", info.Mode(), err)
		}
		text, err := os.ReadFile(certificate)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	one := read("mx.example.net")
	if read("mx.example.net") != one {
		t.Error("the certificate was made anew")
	}
	if read("mx.example.org") == one {
		t.Error("the certificate of another host was used")
	}
	if err := os.WriteFile(filepath.Join(dir, "self-signed.pem"), []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text := read("mx.example.org"); text == "torn" {
		t.Error("a torn certificate was used")
	}
}
