package update

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"aead.dev/minisign"
)

// Publication says what is published.
type Publication struct {
	From     string                 // directory with rules, signatures, model.bin
	To       string                 // directory of the channel
	Secret   []byte                 // file of the minisign secret key
	Password func() (string, error) // asked for if it is encrypted
	Version  int64
	Created  time.Time
	Lifetime time.Duration // until it expires; 0 means 90 days
	About    string
	// Try refuses what a receiver would refuse; see Config. nil refuses nothing.
	Try func(dir string) error
}

// Publish makes a bundle of a directory, signs its manifest, and puts both into
// the directory of a channel. The same files give the same bundle, byte for byte.
func Publish(p Publication) (Manifest, error) {
	fail := func(err error) (Manifest, error) { return Manifest{}, fmt.Errorf("publishing: %w", err) }
	if p.Lifetime == 0 {
		p.Lifetime = 90 * 24 * time.Hour
	}
	if old, err := readBounded(filepath.Join(p.To, manifestFile), maxManifest); err == nil {
		if m, err := parseManifest(old); err == nil && m.Version >= p.Version {
			return fail(fmt.Errorf("%s holds version %d already; the new one must be higher", p.To, m.Version))
		}
	}
	key, err := readSecret(p.Secret, p.Password)
	if err != nil {
		return fail(err)
	}
	bundle, err := Pack(p.From)
	if err != nil {
		return fail(err)
	}
	if len(bundle) > maxBundle {
		return fail(fmt.Errorf("the bundle has %d bytes, and receivers take %d", len(bundle), maxBundle))
	}
	// What is tried is what receivers will unpack.
	temp, err := os.MkdirTemp("", "spamcatcher-publish-")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(temp)
	if err := unpack(bytes.NewReader(bundle), temp, bounds{maxFiles, maxUnpacked}); err != nil {
		return fail(err)
	}
	if p.Try != nil {
		if err := p.Try(temp); err != nil {
			return fail(fmt.Errorf("receivers would refuse it: %w", err))
		}
	}
	sum := sha256.Sum256(bundle)
	m := Manifest{
		Format: currentFormat, Version: p.Version, About: p.About,
		Created: p.Created.UTC().Truncate(time.Second), Expires: p.Created.Add(p.Lifetime).UTC().Truncate(time.Second),
		File: "bundle-" + strconv.FormatInt(p.Version, 10) + ".tar.gz", Size: int64(len(bundle)), SHA256: hex.EncodeToString(sum[:]),
	}
	text, err := m.encode()
	if err != nil {
		return fail(err)
	}
	signature := sign(key, text, m)
	if err := os.MkdirAll(p.To, 0o755); err != nil {
		return fail(err)
	}
	// Whoever asks in between finds a manifest and a signature that do not fit, and
	// asks again later.
	for _, file := range []struct {
		name string
		data []byte
	}{{m.File, bundle}, {signatureFile, signature}, {manifestFile, text}} {
		if err := replace(filepath.Join(p.To, file.name), file.data, 0o644, nobody); err != nil {
			return fail(err)
		}
	}
	return m, nil
}

// sign signs the bytes of a manifest, hashed first, as minisign does today.
func sign(key minisign.PrivateKey, text []byte, m Manifest) []byte {
	r := minisign.NewReader(bytes.NewReader(text))
	io.Copy(io.Discard, r) // memory does not fail
	return r.SignWithComments(key, fmt.Sprintf("timestamp:%d\tfile:%s\tversion:%d", m.Created.Unix(), manifestFile, m.Version), "signature of a manifest of rules")
}

// Pack makes a bundle of the files in dir: always the same of the same files.
func Pack(dir string) ([]byte, error) {
	var names []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if !allowed(name, e.IsDir()) {
			return fmt.Errorf("%s has no place in a bundle: it holds rules/*.toml, signatures/… and model.bin, with plain names", name)
		}
		if !e.IsDir() && !e.Type().IsRegular() {
			return fmt.Errorf("%s is no plain file", name)
		}
		if !e.IsDir() {
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, errors.New("there is nothing in " + dir)
	}
	slices.Sort(names)
	var out bytes.Buffer
	packed, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	w := tar.NewWriter(packed)
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			return nil, err
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(text)), Format: tar.FormatUSTAR}); err != nil {
			return nil, err
		}
		if _, err := w.Write(text); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(w.Close(), packed.Close()); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
