package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// A keyPair is a certificate that is read again when its files change.
type keyPair struct {
	certificate, key string // files
	log              *slog.Logger

	mu      sync.Mutex
	stamp   [2]time.Time // of the files that were read
	checked time.Time
	config  *tls.Config
	told    string // what was last said to be wrong with them
}

// openKeyPair reads the two files, which must be valid now.
func openKeyPair(certificate, key string, log *slog.Logger) (*keyPair, error) {
	p := &keyPair{certificate: certificate, key: key, log: log}
	if err := p.read(); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *keyPair) read() error {
	stamp, err := p.stamps()
	if err != nil {
		return fmt.Errorf("reading the certificate: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(p.certificate, p.key)
	if err != nil {
		return fmt.Errorf("reading the certificate %s with key %s: %w", p.certificate, p.key, err)
	}
	p.stamp = stamp
	p.config = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	return nil
}

func (p *keyPair) stamps() (stamp [2]time.Time, err error) {
	for i, name := range []string{p.certificate, p.key} {
		info, err := os.Stat(name)
		if err != nil {
			return stamp, err
		}
		stamp[i] = info.ModTime()
	}
	return stamp, nil
}

// TLS returns what a handshake needs. Changed files are read at most once a
// second; unreadable ones leave the old certificate in force.
func (p *keyPair) TLS() *tls.Config {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.Sub(p.checked) >= time.Second {
		p.checked = now
		if stamp, err := p.stamps(); err != nil || stamp != p.stamp {
			if err == nil {
				err = p.read()
			}
			if err != nil {
				if text := err.Error(); text != p.told { // once, not at every handshake
					p.told = text
					p.log.Warn("the changed certificate cannot be used, the old one stays", "error", err)
				}
			} else {
				p.told = ""
				p.log.Info("certificate read again", "file", p.certificate)
			}
		}
	}
	return p.config
}

// selfSigned returns the files of a self-signed certificate for hostname in
// dir, made at the first run.
func selfSigned(dir, hostname string) (certificate, key string, err error) {
	certificate, key = filepath.Join(dir, "self-signed.pem"), filepath.Join(dir, "self-signed.key")
	if usable(certificate, key, hostname) {
		return certificate, key, nil
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return "", "", err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: hostname},
		DNSNames:     []string{hostname},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(10, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return "", "", err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", "", err
	}
	if err := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600); err != nil {
		return "", "", err
	}
	return certificate, key, os.WriteFile(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

// usable says whether the files hold a certificate for hostname that is valid
// for another week.
func usable(certificate, key, hostname string) bool {
	if _, err := os.Stat(certificate); errors.Is(err, fs.ErrNotExist) {
		return false
	}
	pair, err := tls.LoadX509KeyPair(certificate, key)
	return err == nil && pair.Leaf.VerifyHostname(hostname) == nil && time.Until(pair.Leaf.NotAfter) > 7*24*time.Hour
}
