package update

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Names in a channel.
const (
	manifestFile  = "manifest.json"
	signatureFile = "manifest.json.minisig"
)

// Bounds of what is read before it can be believed, in bytes.
const (
	maxManifest  = 64 << 10
	maxSignature = 4 << 10
)

// currentFormat is the only format of bundles so far.
const currentFormat = 1

// A Manifest describes the newest bundle of a channel. Its bytes are what the
// signature is about.
type Manifest struct {
	Format  int       `json:"format"`
	Version int64     `json:"version"` // grows with each bundle
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"` // until when it is believed
	File    string    `json:"file"`    // name of the bundle beside the manifest
	Size    int64     `json:"size"`    // of the bundle in bytes
	SHA256  string    `json:"sha256"`  // of the bundle, in hexadecimal
	About   string    `json:"about,omitempty"`
}

// parseManifest reads a manifest whose signature was verified.
func parseManifest(text []byte) (Manifest, error) {
	var m Manifest
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&m); err != nil {
		return Manifest{}, fmt.Errorf("reading the manifest: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Manifest{}, errors.New("reading the manifest: there is something behind it")
	}
	if err := m.validate(); err != nil {
		return Manifest{}, fmt.Errorf("the manifest: %w", err)
	}
	return m, nil
}

func (m Manifest) validate() error {
	sum, err := hex.DecodeString(m.SHA256)
	switch {
	case m.Format != currentFormat:
		return fmt.Errorf("format %d is not known to this program (it knows %d)", m.Format, currentFormat)
	case m.Version < 1 || m.Version > 1<<53:
		return fmt.Errorf("version %d is not between 1 and 2^53", m.Version)
	case m.Created.IsZero() || m.Expires.IsZero() || !m.Created.Before(m.Expires):
		return fmt.Errorf("it was created at %v and expires at %v", m.Created, m.Expires)
	case !plainName(m.File) || m.File == manifestFile || m.File == signatureFile:
		return fmt.Errorf("%q is no name of a bundle", m.File)
	case m.Size < 1:
		return fmt.Errorf("a bundle of %d bytes", m.Size)
	case err != nil || len(sum) != 32 || m.SHA256 != strings.ToLower(m.SHA256):
		return fmt.Errorf("%q is no SHA-256 in lower-case hexadecimal", m.SHA256)
	case len(m.About) > 4096:
		return fmt.Errorf("it says %d bytes about the bundle", len(m.About))
	}
	return nil
}

func (m Manifest) encode() ([]byte, error) {
	if err := m.validate(); err != nil {
		return nil, fmt.Errorf("the manifest: %w", err)
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the manifest: %w", err)
	}
	return append(text, '\n'), nil
}

// maxName bounds one part of a path in a bundle, in bytes.
const maxName = 128

// plainName says whether a name is one that means the same everywhere: letters,
// digits, dots, hyphens, underscores and plus signs, not beginning with a dot or
// a hyphen.
func plainName(name string) bool {
	if name == "" || len(name) > maxName || name[0] == '.' || name[0] == '-' {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_+") == ""
}
