package update

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aead.dev/minisign"
)

// now is the time of most tests.
var now = time.Date(2026, 3, 10, 9, 0, 0, 0, time.UTC)

// A signer signs manifests.
type signer struct {
	public minisign.PublicKey
	secret minisign.PrivateKey
}

func newSigner(t testing.TB) signer {
	t.Helper()
	public, secret, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{public, secret}
}

// A feed is a channel as a server holds it: names and contents.
type feed map[string][]byte

// bundleOf makes a tar.gz of members in their order.
func bundleOf(t testing.TB, members ...tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	packed := gzip.NewWriter(&out)
	w := tar.NewWriter(packed)
	for _, h := range members {
		text := []byte(h.Uname) // carries the contents in these tests
		h.Uname, h.Size, h.Mode = "", int64(len(text)), 0o644
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Typeflag != tar.TypeReg {
			h.Size, text = 0, nil
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(text); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	packed.Close()
	return out.Bytes()
}

// file is a member of a bundle.
func file(name, text string) tar.Header { return tar.Header{Name: name, Uname: text} }

// goodBundle is a bundle all of whose files say its version.
func goodBundle(t testing.TB, version int64) []byte {
	text := fmt.Sprintf("# version %d\n", version)
	return bundleOf(t, file("rules/a.toml", text), file("rules/prices.toml", text), file("signatures/deep/b.yar", text), file("model.bin", text))
}

// feedOf is a channel that holds a bundle; change may falsify the manifest before
// it is signed.
func (s signer) feedOf(t testing.TB, version int64, bundle []byte, change ...func(*Manifest)) feed {
	t.Helper()
	sum := sha256.Sum256(bundle)
	m := Manifest{Format: 1, Version: version, Created: now.Add(-time.Hour), Expires: now.Add(30 * 24 * time.Hour),
		File: fmt.Sprintf("bundle-%d.tar.gz", version), Size: int64(len(bundle)), SHA256: hex.EncodeToString(sum[:]), About: "test"}
	for _, c := range change {
		c(&m)
	}
	text, err := m.encode()
	if err != nil {
		t.Fatal(err)
	}
	return feed{manifestFile: text, signatureFile: sign(s.secret, text, m), m.File: bundle}
}

func (s signer) good(t testing.TB, version int64) feed {
	return s.feedOf(t, version, goodBundle(t, version))
}

// A host serves a feed by HTTPS, with ETags.
type host struct {
	*httptest.Server
	mu    sync.Mutex
	feed  feed
	asked []string
	// instead answers in the place of the feed if it returns true.
	instead func(w http.ResponseWriter, r *http.Request) bool
}

func newHost(t testing.TB) *host {
	h := &host{}
	h.Server = httptest.NewUnstartedServer(h)
	h.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that go away
	h.StartTLS()
	t.Cleanup(h.Close)
	return h
}

func (h *host) serve(f feed, instead func(w http.ResponseWriter, r *http.Request) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.feed, h.instead, h.asked = f, instead, nil
}

func (h *host) log() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.asked...)
}

func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	name := strings.TrimPrefix(r.URL.Path, "/rules/")
	text, ok := h.feed[name]
	instead := h.instead
	h.asked = append(h.asked, name)
	h.mu.Unlock()
	if instead != nil && instead(w, r) {
		return
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	sum := sha256.Sum256(text)
	w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sum[:8]))
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(text))
}

// A site is a receiver under test.
type site struct {
	t    testing.TB
	host *host
	dir  string
	keys Keys
	now  time.Time
	try  func(ctx context.Context, dir string) error
	set  func(*Config)
	fast bool // small windows of time
}

func newSite(t testing.TB, h *host, keys ...minisign.PublicKey) *site {
	return &site{t: t, host: h, dir: filepath.Join(t.TempDir(), "update"), keys: keys, now: now}
}

func (s *site) channel() *Channel {
	s.t.Helper()
	c := Config{URL: s.host.URL + "/rules", Keys: s.keys, Dir: s.dir, Client: s.host.Client(), Now: func() time.Time { return s.now },
		Try: func(ctx context.Context, dir string) error {
			if s.try != nil {
				return s.try(ctx, dir)
			}
			return nil
		}}
	if s.set != nil {
		s.set(&c)
	}
	channel, err := New(c)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.fast {
		channel.window = 200 * time.Millisecond
	}
	return channel
}

func (s *site) check() (Outcome, error) {
	_, outcome, err := s.channel().Check(context.Background())
	return outcome, err
}

// inForce is the version in force, 0 for none; its files must all be there and say
// that version. It also fails when something is left in the directory.
func (s *site) inForce() int64 {
	s.t.Helper()
	b, problems := Open(s.dir, s.keys)
	for _, p := range problems {
		s.t.Errorf("opening: %v", p)
	}
	if b == nil {
		return 0
	}
	whole(s.t, b)
	return b.Version
}

func whole(t testing.TB, b *Bundle) {
	t.Helper()
	want := fmt.Sprintf("# version %d\n", b.Version)
	n := 0
	filepath.WalkDir(b.Dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			t.Error(err)
			return nil
		}
		if !e.IsDir() {
			n++
			if text, err := os.ReadFile(path); err != nil || string(text) != want {
				t.Errorf("%s is %q, %v; want %q: a mixture", path, text, err, want)
			}
		}
		return nil
	})
	if n != 4 {
		t.Errorf("version %d has %d files, want 4", b.Version, n)
	}
}

func (s *site) mustAdopt(f feed, version int64) {
	s.t.Helper()
	s.host.serve(f, nil)
	if outcome, err := s.check(); err != nil || outcome != Adopted {
		s.t.Fatalf("version %d: %q, %v", version, outcome, err)
	}
	if got := s.inForce(); got != version {
		s.t.Fatalf("version %d is in force, want %d", got, version)
	}
}

func TestAdopts(t *testing.T) {
	key := newSigner(t)
	s := newSite(t, newHost(t), key.public)
	if s.inForce() != 0 {
		t.Fatal("something is in force before anything was asked")
	}
	s.mustAdopt(key.good(t, 1), 1)
	s.mustAdopt(key.good(t, 2), 2)
	s.mustAdopt(key.good(t, 30), 30)
	s.mustAdopt(key.good(t, 31), 31)
	if got := stored(s.dir); fmt.Sprint(got) != "[31 30 2]" {
		t.Errorf("versions %v are kept, want 31, 30 and 2", got)
	}
	st := ReadStatus(s.dir, s.keys)
	if st.Bundle.Version != 31 || fmt.Sprint(st.Previous) != "[30 2]" || st.Floor != 31 || st.Error != "" || !st.Checked.Equal(now) {
		t.Errorf("status %+v", st)
	}
	// A directory without slash at the end, and one with, are the same.
	s.set = func(c *Config) { c.URL += "/" }
	if outcome, err := s.check(); err != nil || outcome != Unchanged {
		t.Errorf("with a slash: %q, %v", outcome, err)
	}
}

// TestPeekTouchesNothing: looking leaves no trace, and no state.
func TestPeekTouchesNothing(t *testing.T) {
	key := newSigner(t)
	s := newSite(t, newHost(t), key.public)
	s.host.serve(key.good(t, 3), nil)
	tried := 0
	s.try = func(context.Context, string) error { tried++; return nil }
	m, outcome, err := s.channel().Peek(context.Background())
	if err != nil || outcome != Newer || m.Version != 3 || tried != 1 {
		t.Errorf("%+v, %q, %v; tried %d times", m, outcome, err, tried)
	}
	if _, err := os.Stat(s.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory was made: %v", err)
	}
}

// TestManipulated serves everything that is wrong with a channel. What is in force
// never changes, not after the process starts again either, and a good bundle is
// adopted at once when it comes.
func TestManipulated(t *testing.T) {
	key, other := newSigner(t), newSigner(t)
	cut := func(b []byte) []byte { return b[:len(b)/2] }
	with := func(f feed, change func(feed)) feed { change(f); return f }
	tampered := func(name string, change func([]byte) []byte) func(testing.TB) feed {
		return func(t testing.TB) feed {
			return with(key.good(t, 8), func(f feed) { f[name] = change(f[name]) })
		}
	}
	bundle := func(members ...tar.Header) func(testing.TB) feed {
		return func(t testing.TB) feed { return key.feedOf(t, 8, bundleOf(t, members...)) }
	}
	manifest := func(change func(*Manifest)) func(testing.TB) feed {
		return func(t testing.TB) feed { return key.feedOf(t, 8, goodBundle(t, 8), change) }
	}
	raw := func(text string) func(testing.TB) feed { // a signed manifest of any text
		return func(t testing.TB) feed {
			f := key.good(t, 8)
			f[manifestFile] = []byte(text)
			f[signatureFile] = sign(key.secret, f[manifestFile], Manifest{})
			return f
		}
	}
	flip := func(b []byte) []byte {
		b = bytes.Clone(b)
		b[len(b)/2] ^= 1
		return b
	}
	link := func(kind byte, name, to string) tar.Header {
		return tar.Header{Name: name, Typeflag: kind, Linkname: to}
	}
	bomb := strings.Repeat("\x00", 1<<20)
	endless := func(path string) func(w http.ResponseWriter, r *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, path) {
				return false
			}
			zeros := make([]byte, 64<<10)
			for range (10 << 30) / len(zeros) { // 10 GB, unless the reader goes away
				if _, err := w.Write(zeros); err != nil {
					break
				}
			}
			return true
		}
	}
	drip := func(path string) func(w http.ResponseWriter, r *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, path) {
				return false
			}
			for {
				if _, err := w.Write([]byte(" ")); err != nil || http.NewResponseController(w).Flush() != nil {
					return true
				}
				select {
				case <-r.Context().Done():
					return true
				case <-time.After(20 * time.Millisecond):
				}
			}
		}
	}
	answer := func(code int, header ...string) func(w http.ResponseWriter, r *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
			return true
		}
	}
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Error("a redirect to http was followed")
	}))
	defer plain.Close()

	for _, c := range []struct {
		name    string
		feed    func(testing.TB) feed
		instead func(w http.ResponseWriter, r *http.Request) bool
		want    string // in the error
		final   bool   // refused for good
	}{
		{name: "truncated manifest", feed: tampered(manifestFile, cut), want: "does not fit"},
		{name: "truncated signature", feed: tampered(signatureFile, cut), want: "signature"},
		{name: "truncated bundle", feed: tampered("bundle-8.tar.gz", cut), want: "not what the manifest says"},
		{name: "bundle cut by one byte", feed: tampered("bundle-8.tar.gz", func(b []byte) []byte { return b[:len(b)-1] }), want: "not what the manifest says"},
		{name: "bundle longer by one byte", feed: tampered("bundle-8.tar.gz", func(b []byte) []byte { return append(bytes.Clone(b), 0) }), want: "larger than allowed"},
		{name: "one bit of the manifest", feed: tampered(manifestFile, flip), want: "does not fit"},
		{name: "one bit of the bundle", feed: tampered("bundle-8.tar.gz", flip), want: "not what the manifest says"},
		{name: "empty manifest", feed: tampered(manifestFile, func([]byte) []byte { return nil }), want: "does not fit"},
		{name: "empty signature", feed: tampered(signatureFile, func([]byte) []byte { return nil }), want: "signature"},
		{name: "no signature", feed: func(t testing.TB) feed {
			return with(key.good(t, 8), func(f feed) { delete(f, signatureFile) })
		}, want: "404"},
		{name: "no bundle", feed: func(t testing.TB) feed {
			return with(key.good(t, 8), func(f feed) { delete(f, "bundle-8.tar.gz") })
		}, want: "404"},
		{name: "signature of another manifest", feed: func(t testing.TB) feed {
			return with(key.good(t, 8), func(f feed) { f[signatureFile] = key.good(t, 9)[signatureFile] })
		}, want: "does not fit"},
		{name: "signed by another key", feed: func(t testing.TB) feed { return other.good(t, 8) }, want: "none of those configured"},
		{name: "other trusted comment", feed: tampered(signatureFile, func(b []byte) []byte { return bytes.Replace(b, []byte("version:8"), []byte("version:9"), 1) }), want: "does not fit"},
		{name: "swapped bundle", feed: func(t testing.TB) feed {
			return with(key.good(t, 8), func(f feed) { f["bundle-8.tar.gz"] = goodBundle(t, 9) })
		}, want: "bundle-8.tar.gz"},
		{name: "older version", feed: func(t testing.TB) feed { return key.good(t, 6) }, want: "was adopted before"},
		{name: "expired", feed: manifest(func(m *Manifest) { m.Expires = now.Add(-time.Second) }), want: "expired"},
		{name: "from the future", feed: manifest(func(m *Manifest) { m.Created, m.Expires = now.Add(49*time.Hour), now.Add(99*time.Hour) }), want: "future"},
		{name: "huge size said", feed: manifest(func(m *Manifest) { m.Size = 10 << 30 }), want: "more than a bundle may have"},
		{name: "other size said", feed: manifest(func(m *Manifest) { m.Size-- }), want: "larger than allowed"},
		{name: "no JSON", feed: raw("version = 8"), want: "reading the manifest"},
		{name: "null", feed: raw("null"), want: "format 0"},
		{name: "two manifests", feed: raw(`{"format":1}{"format":1}`), want: "something behind it"},
		{name: "other format", feed: raw(`{"format":2,"version":8}`), want: "format 2"},
		{name: "path as file", feed: raw(strings.Replace(string(key.good(t, 8)[manifestFile]), "bundle-8.tar.gz", "../../bundle", 1)), want: "no name of a bundle"},
		{name: "address as file", feed: raw(strings.Replace(string(key.good(t, 8)[manifestFile]), "bundle-8.tar.gz", "https://example.net/x", 1)), want: "no name of a bundle"},
		{name: "negative version", feed: raw(strings.Replace(string(key.good(t, 8)[manifestFile]), `"version": 8`, `"version": -8`, 1)), want: "version -8"},

		{name: "huge manifest", feed: tampered(manifestFile, func(b []byte) []byte { return append(bytes.Clone(b), make([]byte, maxManifest)...) }), want: "larger than allowed"},
		{name: "endless manifest", feed: raw("{}"), instead: endless(manifestFile), want: "larger than allowed"},
		{name: "endless signature", feed: raw("{}"), instead: endless(signatureFile), want: "larger than allowed"},
		{name: "bundle of 10 GB", feed: func(t testing.TB) feed { return key.good(t, 8) }, instead: endless("bundle-8.tar.gz"), want: "larger than allowed"},
		{name: "dripping manifest", feed: raw("{}"), instead: drip(manifestFile), want: "too slowly"},
		{name: "dripping bundle", feed: manifest(func(m *Manifest) { m.Size = 1 << 20 }), instead: drip("bundle-8.tar.gz"), want: "too slowly"},
		{name: "silent server", feed: raw("{}"), instead: func(w http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }, want: "too slowly"},
		{name: "redirect to http", feed: raw("{}"), instead: answer(302, "Location", plain.URL+"/rules/manifest.json"), want: "redirect from https"},
		{name: "redirect for ever", feed: raw("{}"), instead: answer(302, "Location", "manifest.json"), want: "redirects"},
		{name: "redirect to a file", feed: raw("{}"), instead: answer(302, "Location", "file:///etc/hostname"), want: "file"},
		{name: "500", feed: raw("{}"), instead: answer(500), want: "500"},
		{name: "204", feed: raw("{}"), instead: answer(204), want: "204"},
		{name: "partial content", feed: raw("{}"), instead: answer(206), want: "206"},
		{name: "packed on the way", feed: raw("{}"), instead: answer(200, "Content-Encoding", "gzip"), want: "packed"},

		{name: "gzip bomb", feed: bundle(file("rules/a.toml", bomb+bomb+bomb)), want: "more", final: true},
		{name: "bomb of small files", feed: bundle(func() (list []tar.Header) {
			for i := range 300 {
				list = append(list, file(fmt.Sprintf("signatures/%d.yar", i), "x"))
			}
			return list
		}()...), want: "more than 100 files", final: true},
		{name: "no gzip", feed: func(t testing.TB) feed { return key.feedOf(t, 8, []byte("PK\x03\x04 and so on")) }, want: "unpacking", final: true},
		{name: "tar cut inside", feed: func(t testing.TB) feed {
			var out bytes.Buffer
			w := gzip.NewWriter(&out)
			w.Write(bytes.Repeat([]byte("x"), 700))
			w.Close()
			return key.feedOf(t, 8, out.Bytes())
		}, want: "unpacking", final: true},
		{name: "something behind the tar", feed: func(t testing.TB) feed {
			var out bytes.Buffer
			w := gzip.NewWriter(&out)
			w.Write(make([]byte, 3<<20))
			w.Close()
			return key.feedOf(t, 8, append(goodBundle(t, 8), out.Bytes()...))
		}, want: "behind the end", final: true},
		{name: "parent path", feed: bundle(file("../escape.toml", "x")), want: "a bundle has no", final: true},
		{name: "deep parent path", feed: bundle(file("rules/../../escape.toml", "x")), want: "a bundle has no", final: true},
		{name: "absolute path", feed: bundle(file("/tmp/escape.toml", "x")), want: "a bundle has no", final: true},
		{name: "backslashes", feed: bundle(file(`rules\..\..\escape.toml`, "x")), want: "a bundle has no", final: true},
		{name: "dot path", feed: bundle(file("./rules/a.toml", "x")), want: "a bundle has no", final: true},
		{name: "newline in a name", feed: bundle(file("rules/a\n.toml", "x")), want: "a bundle has no", final: true},
		{name: "long name", feed: bundle(file("rules/"+strings.Repeat("a", 300)+".toml", "x")), want: "a bundle has no", final: true},
		{name: "deep path", feed: bundle(file("signatures/a/b/c/d/e/f/g.yar", "x")), want: "a bundle has no", final: true},
		{name: "hidden file", feed: bundle(file("signatures/.profile", "x")), want: "a bundle has no", final: true},
		{name: "unknown place", feed: bundle(file("bin/spamcatcher", "x")), want: "a bundle has no", final: true},
		{name: "no rule file", feed: bundle(file("rules/run.sh", "x")), want: "a bundle has no", final: true},
		{name: "symbolic link", feed: bundle(link(tar.TypeSymlink, "rules/a.toml", "/etc/passwd")), want: "no plain file", final: true},
		{name: "link to a directory, then through it", feed: bundle(link(tar.TypeSymlink, "signatures/x", "/tmp"), file("signatures/x/escape.yar", "x")), want: "no plain file", final: true},
		{name: "hard link", feed: bundle(file("rules/a.toml", "x"), link(tar.TypeLink, "rules/b.toml", "rules/a.toml")), want: "no plain file", final: true},
		{name: "device", feed: bundle(link(tar.TypeChar, "rules/a.toml", "")), want: "no plain file", final: true},
		{name: "pipe", feed: bundle(link(tar.TypeFifo, "rules/a.toml", "")), want: "no plain file", final: true},
		{name: "twice the same", feed: bundle(file("rules/a.toml", "x"), file("rules/a.toml", "y")), want: "twice", final: true},
		{name: "refused by the trial", feed: bundle(file("rules/bad.toml", "x")), want: "the trial says no", final: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, newHost(t), key.public)
			s.set = func(c *Config) { c.MaxUnpacked, c.MaxFiles = 2<<20, 100 }
			s.try = func(_ context.Context, dir string) error {
				if _, err := os.Stat(filepath.Join(dir, "rules/bad.toml")); err == nil {
					return errors.New("the trial says no")
				}
				return nil
			}
			s.mustAdopt(key.good(t, 7), 7)
			s.host.serve(c.feed(t), c.instead)
			s.fast = c.want == "too slowly"
			outcome, err := s.check()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q, %v; want an error with %q", outcome, err, c.want)
			}
			if got := s.inForce(); got != 7 {
				t.Fatalf("version %d is in force, want 7", got)
			}
			var refused *Refused
			if final := errors.As(err, &refused) && refused.Final; final != c.final {
				t.Errorf("refused for good: %t, want %t (%v)", final, c.final, err)
			}
			// Asked again, the bundle is not downloaded again if it is bad for good.
			// At another spelling of the address no ETag spares the question.
			set := s.set
			s.set = func(c *Config) { set(c); c.URL += "/" }
			s.host.serve(c.feed(t), c.instead)
			_, err = s.check()
			s.set = set
			if downloaded := strings.Contains(strings.Join(s.host.log(), " "), "bundle"); c.final && downloaded {
				t.Errorf("asked %v, a bundle that was refused for good", s.host.log())
			}
			if st := ReadStatus(s.dir, s.keys); c.final != (len(st.Refused) == 1) || st.Bundle.Version != 7 {
				t.Errorf("status %+v", st)
			}
			left(t, s.dir, 7)
			escaped(t, s.dir)
			// A good one is adopted at once.
			s.fast = false
			s.mustAdopt(key.good(t, 9), 9)
		})
	}
}

// left fails when anything is in the directory besides what belongs there.
func left(t *testing.T, dir string, versions ...int64) {
	t.Helper()
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if n := e.Name(); n != lockFile && n != currentFile && n != stateFile && n != versionsDir {
			t.Errorf("%s was left behind", n)
		}
	}
	if got := stored(dir); fmt.Sprint(got) != fmt.Sprint(versions) {
		t.Errorf("versions %v are stored, want %v", got, versions)
	}
}

// escaped fails when a bundle has written outside of its place.
func escaped(t *testing.T, dir string) {
	t.Helper()
	for _, d := range []string{"/tmp", dir, filepath.Dir(dir), filepath.Join(dir, versionsDir)} {
		for _, name := range []string{"escape.toml", "escape.yar"} {
			if _, err := os.Lstat(filepath.Join(d, name)); err == nil {
				t.Errorf("%s was written into %s", name, d)
			}
		}
	}
}

// TestReplayAfterRestart: the highest version ever is known to a new process, also
// after it was rolled back, and after one of the files that know it is gone.
func TestReplayAfterRestart(t *testing.T) {
	key := newSigner(t)
	for _, lost := range []string{"", stateFile, currentFile} {
		t.Run("without "+lost, func(t *testing.T) {
			s := newSite(t, newHost(t), key.public)
			s.mustAdopt(key.good(t, 1), 1)
			s.mustAdopt(key.good(t, 2), 2)
			if _, err := Rollback(s.dir, s.keys, now); err != nil {
				t.Fatal(err)
			}
			if lost != "" {
				if err := os.WriteFile(filepath.Join(s.dir, lost), []byte("{\x00"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s.host.serve(key.good(t, 2), nil)
			if outcome, err := s.check(); err != nil || outcome != Unchanged {
				t.Errorf("what was rolled back: %q, %v", outcome, err)
			}
			s.host.serve(key.good(t, 1), nil)
			if outcome, err := s.check(); err == nil {
				t.Errorf("an older version: %q", outcome)
			}
			if b, _ := Open(s.dir, s.keys); b == nil || b.Version != 1 {
				t.Errorf("in force %+v, want version 1", b)
			}
			s.host.serve(key.good(t, 3), nil)
			if outcome, err := s.check(); err != nil || outcome != Adopted {
				t.Errorf("a newer version: %q, %v", outcome, err)
			}
		})
	}
}

func TestRollback(t *testing.T) {
	key := newSigner(t)
	s := newSite(t, newHost(t), key.public)
	if _, err := Rollback(s.dir, s.keys, now); err == nil {
		t.Error("rolled back where nothing is in force")
	}
	for v := range int64(3) {
		s.mustAdopt(key.good(t, v+1), v+1)
	}
	for _, want := range []int64{2, 1, 0} {
		got, err := Rollback(s.dir, s.keys, now)
		if err != nil || got != want || s.inForce() != want {
			t.Fatalf("rolled back to %d, %v, in force %d; want %d", got, err, s.inForce(), want)
		}
	}
	s.host.serve(key.good(t, 3), nil)
	if outcome, err := s.check(); err != nil || outcome != Unchanged || s.inForce() != 0 {
		t.Errorf("the channel brought back what was rolled back: %q, %v", outcome, err)
	}
	s.mustAdopt(key.good(t, 4), 4)
}

func TestConditionalQuestions(t *testing.T) {
	key := newSigner(t)
	s := newSite(t, newHost(t), key.public)
	s.mustAdopt(key.good(t, 5), 5)
	f := key.good(t, 5)
	f[manifestFile] = s.host.feed[manifestFile]
	status := 0
	s.host.serve(f, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("If-None-Match") == "" {
			t.Error("the question is not conditional")
		}
		rec := httptest.NewRecorder()
		s.host.mu.Lock()
		text := s.host.feed[manifestFile]
		s.host.mu.Unlock()
		sum := sha256.Sum256(text)
		rec.Header().Set("ETag", fmt.Sprintf(`"%x"`, sum[:8]))
		http.ServeContent(rec, r, manifestFile, time.Time{}, bytes.NewReader(text))
		status = rec.Code
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(rec.Code)
		w.Write(rec.Body.Bytes())
		return true
	})
	if outcome, err := s.check(); err != nil || outcome != Unchanged || status != 304 || len(s.host.log()) != 1 {
		t.Errorf("%q, %v; answered %d, asked %v", outcome, err, status, s.host.log())
	}
	// At another address, what was said here means nothing.
	s.set = func(c *Config) { c.URL = s.host.URL + "/rules/x/.." }
	s.host.serve(key.good(t, 6), func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("If-None-Match") != "" {
			t.Error("the ETag of one address was sent to another")
		}
		return false
	})
	s.check()
	s.set = nil

	// Garbage is never sent back, and 304 to a plain question is no answer.
	for _, etag := range []string{"no quotes", `"a b"`, `"` + strings.Repeat("x", 300) + `"`, "\"\xff\"", `W/`, `"`, `"a"b"`} {
		if validETag(etag) {
			t.Errorf("%q is taken for an ETag", etag)
		}
	}
	for _, etag := range []string{`""`, `"abc"`, `W/"abc"`} {
		if !validETag(etag) {
			t.Errorf("%q is not taken for an ETag", etag)
		}
	}
	s = newSite(t, newHost(t), key.public)
	s.host.serve(key.good(t, 5), func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("ETag", "garbage with spaces")
		w.Header().Set("Last-Modified", "yesterday")
		text := s.host.feed[strings.TrimPrefix(r.URL.Path, "/rules/")]
		w.Write(text)
		return true
	})
	if outcome, err := s.check(); err != nil || outcome != Adopted {
		t.Fatalf("%q, %v", outcome, err)
	}
	s.host.serve(nil, func(w http.ResponseWriter, r *http.Request) bool {
		if h := r.Header.Get("If-None-Match") + r.Header.Get("If-Modified-Since"); h != "" {
			t.Errorf("%q was sent back", h)
		}
		w.WriteHeader(304)
		return true
	})
	if outcome, err := s.check(); err == nil {
		t.Errorf("304 to a plain question: %q", outcome)
	}
}

// TestRotation: of two keys either may sign; a bundle whose key was taken away
// since stays in force while it is as it was adopted, and the status says so. A
// channel cannot bring that key back, and without any key nothing is believed.
func TestRotation(t *testing.T) {
	first, second := newSigner(t), newSigner(t)
	s := newSite(t, newHost(t), first.public, second.public)
	s.mustAdopt(first.good(t, 1), 1)
	s.mustAdopt(second.good(t, 2), 2)
	s.keys = Keys{second.public}
	if s.inForce() != 2 {
		t.Error("the newer key's bundle is not in force")
	}
	b, problems := Open(s.dir, Keys{first.public})
	if b == nil || b.Version != 2 || !b.OldKey || len(problems) != 0 {
		t.Errorf("with the first key only: %+v, %v", b, problems)
	}
	if st := ReadStatus(s.dir, s.keys); st.Bundle == nil || st.Bundle.OldKey {
		t.Errorf("with the key that signed it: %+v", st)
	}
	s.keys = Keys{first.public}
	s.host.serve(second.good(t, 3), nil)
	if outcome, err := s.check(); err == nil || s.inForce() != 2 {
		t.Errorf("signed by the key that was taken away: %q, %v", outcome, err)
	}
	s.mustAdopt(first.good(t, 3), 3)
	if b, _ := Open(s.dir, s.keys); b.OldKey {
		t.Error("the newer one is said to be signed with an old key")
	}
	s.keys = Keys{newSigner(t).public}
	manifest := filepath.Join(versionDir(s.dir, 3), manifestFile)
	text, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(manifest, bytes.Replace(text, []byte(`"test"`), []byte(`"TEST"`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, problems := Open(s.dir, s.keys); b == nil || b.Version != 2 || len(problems) != 1 {
		t.Errorf("signed with an old key and damaged: %+v, %v", b, problems)
	}
	if b, _ := Open(s.dir, nil); b != nil {
		t.Errorf("without a key version %d is in force", b.Version)
	}
}

// TestDamaged: whatever is damaged in the bundle in force, the one before it is,
// then none; and the channel mends it.
func TestDamaged(t *testing.T) {
	key := newSigner(t)
	damage := map[string]func(dir string) error{
		"changed file": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "files/rules/a.toml"), []byte("# other"), 0o600)
		},
		"one file less": func(dir string) error { return os.Remove(filepath.Join(dir, "files/model.bin")) },
		"one file more": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "files/rules/z.toml"), nil, 0o600)
		},
		"link": func(dir string) error { return os.Symlink("/etc/passwd", filepath.Join(dir, "files/rules/z.toml")) },
		"digests of another bundle": func(dir string) error {
			name := filepath.Join(dir, digestsFile)
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			var d digests
			if err := json.Unmarshal(text, &d); err != nil {
				return err
			}
			d.Bundle = strings.Repeat("0", 64)
			return writeJSON(name, d)
		},
		"no digests":   func(dir string) error { return os.Remove(filepath.Join(dir, digestsFile)) },
		"no signature": func(dir string) error { return os.Remove(filepath.Join(dir, signatureFile)) },
		"cut manifest": func(dir string) error { return os.Truncate(filepath.Join(dir, manifestFile), 20) },
		"empty":        func(dir string) error { return os.RemoveAll(filepath.Join(dir, filesDir)) },
		"gone":         os.RemoveAll,
	}
	for name, do := range damage {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, newHost(t), key.public)
			s.mustAdopt(key.good(t, 1), 1)
			second := key.good(t, 2)
			s.mustAdopt(second, 2)
			if err := do(versionDir(s.dir, 2)); err != nil {
				t.Fatal(err)
			}
			b, problems := Open(s.dir, s.keys)
			if b == nil || b.Version != 1 || len(problems) != 1 {
				t.Fatalf("%+v, %v; want version 1 and one problem", b, problems)
			}
			whole(t, b)
			if err := do(versionDir(s.dir, 1)); err != nil {
				t.Fatal(err)
			}
			if b, problems := Open(s.dir, s.keys); b != nil || len(problems) != 2 {
				t.Fatalf("%+v, %v; want none and two problems", b, problems)
			}
			s.mustAdopt(second, 2) // although it is not newer
		})
	}
}

// TestTwoProcesses: while one asks, another does not.
func TestTwoProcesses(t *testing.T) {
	key := newSigner(t)
	s := newSite(t, newHost(t), key.public)
	s.host.serve(key.good(t, 1), nil)
	s.try = func(context.Context, string) error {
		if _, _, err := s.channel().Check(context.Background()); !errors.Is(err, ErrLocked) {
			t.Errorf("a second question meanwhile: %v", err)
		}
		if _, err := Rollback(s.dir, s.keys, now); !errors.Is(err, ErrLocked) {
			t.Errorf("rolling back meanwhile: %v", err)
		}
		return nil
	}
	if outcome, err := s.check(); err != nil || outcome != Adopted {
		t.Errorf("%q, %v", outcome, err)
	}
}

// TestTrialCutOff: a trial that was interrupted, or could not take place, says
// nothing about the bundle.
func TestTrialCutOff(t *testing.T) {
	key := newSigner(t)
	s := newSite(t, newHost(t), key.public)
	s.host.serve(key.good(t, 1), nil)
	ctx, cancel := context.WithCancel(context.Background())
	s.try = func(context.Context, string) error { cancel(); return errors.New("cut off") }
	if _, _, err := s.channel().Check(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cut off: %v", err)
	}
	s.try = func(context.Context, string) error { return fmt.Errorf("%w: no memory", ErrAgain) }
	if _, err := s.check(); err == nil || s.inForce() != 0 {
		t.Errorf("could not take place: %v", err)
	}
	s.try = nil
	s.now = now.Add(2 * time.Hour)
	if outcome, err := s.check(); err != nil || outcome != Adopted {
		t.Errorf("then: %q, %v", outcome, err)
	}
}

// TestWaiting: the time between questions grows with failures, is never shorter
// than the interval by more than a tenth, and goes on where an earlier process
// was.
func TestWaiting(t *testing.T) {
	s := newSite(t, newHost(t), newSigner(t).public)
	c := s.channel()
	within := func(st state, low, high time.Duration) {
		t.Helper()
		for range 50 {
			if d := c.wait(st); d < low || d > high {
				t.Fatalf("%+v: %v, want %v to %v", st, d, low, high)
			}
		}
	}
	within(state{}, 0, 5*time.Second)
	within(state{Checked: now}, 54*time.Minute, 66*time.Minute)
	within(state{Checked: now, Failures: 1}, 54*time.Minute, 66*time.Minute)
	within(state{Checked: now, Failures: 3}, 216*time.Minute, 264*time.Minute)
	within(state{Checked: now, Failures: 900}, 21*time.Hour, 27*time.Hour)
	within(state{Checked: now.Add(-30 * time.Minute)}, 24*time.Minute, 36*time.Minute)
	within(state{Checked: now.Add(-2 * time.Hour)}, 0, 5*time.Second)
	within(state{Checked: now.Add(2 * time.Hour)}, 0, 5*time.Second) // the clock was wrong
}

// TestSilence: after 30 days without a good answer, or with a bundle past its
// time, the old rules stay and a warning says so.
func TestSilence(t *testing.T) {
	key := newSigner(t)
	s := newSite(t, newHost(t), key.public)
	s.mustAdopt(key.feedOf(t, 1, goodBundle(t, 1), func(m *Manifest) { m.Expires = now.Add(400 * 24 * time.Hour) }), 1)
	silent := func(after time.Duration, want bool) {
		t.Helper()
		s.now = now.Add(after)
		s.check()
		if got := ReadStatus(s.dir, s.keys).Silent(s.now); got != want || s.inForce() != 1 {
			t.Errorf("after %v silent: %t, want %t; in force %d", after, got, want, s.inForce())
		}
	}
	s.host.serve(nil, nil) // 404
	silent(29*24*time.Hour, false)
	silent(31*24*time.Hour, true)
	s.now = now.Add(32 * 24 * time.Hour)
	s.mustAdopt(key.feedOf(t, 2, goodBundle(t, 2), func(m *Manifest) { m.Expires = now.Add(40 * 24 * time.Hour) }), 2)
	if ReadStatus(s.dir, s.keys).Silent(s.now) {
		t.Error("silent after a good answer")
	}
	// A server that keeps answering 304 freezes us, until the bundle expires.
	s.host.serve(nil, func(w http.ResponseWriter, r *http.Request) bool { w.WriteHeader(304); return true })
	s.now = now.Add(41 * 24 * time.Hour)
	if outcome, err := s.check(); err != nil || outcome != Unchanged {
		t.Errorf("%q, %v", outcome, err)
	}
	if !ReadStatus(s.dir, s.keys).Silent(s.now) || s.inForce() != 2 {
		t.Error("a frozen channel is not noticed")
	}
}

// TestRun: the loop adopts what comes, and ends with its context.
func TestRun(t *testing.T) {
	key := newSigner(t)
	s := newSite(t, newHost(t), key.public)
	s.host.serve(key.good(t, 1), nil)
	adopted := make(chan int64, 10)
	s.set = func(c *Config) {
		c.Interval, c.Now = 20*time.Millisecond, nil
		c.Adopt = func(v int64) { adopted <- v }
	}
	now := time.Now()
	fresh := func(m *Manifest) { m.Created, m.Expires = now, now.Add(time.Hour) }
	s.host.serve(key.feedOf(t, 1, goodBundle(t, 1), fresh), nil)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.channel().Run(ctx) }()
	for v := range int64(3) {
		select {
		case got := <-adopted:
			if got != v+1 {
				t.Fatalf("adopted %d, want %d", got, v+1)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("nothing was adopted")
		}
		s.host.serve(key.feedOf(t, v+2, goodBundle(t, v+2), fresh), nil)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestAddresses(t *testing.T) {
	for address, ok := range map[string]bool{
		"https://example.com/rules":    true,
		"https://example.com":          true,
		"http://127.0.0.1:8080/r":      true,
		"http://localhost/r":           true,
		"http://[::1]/r":               true,
		"http://example.com/rules":     false,
		"http://127.0.0.1.example.com": false,
		"http://localhost.example.com": false,
		"ftp://example.com/rules":      false,
		"file:///etc/rules":            false,
		"https:///rules":               false,
		"example.com/rules":            false,
		"https://example.com/r?x=1":    false,
		"https://example.com/r#x":      false,
		"":                             false,
		"https://exa mple.com/":        false,
	} {
		if err := CheckURL(address); (err == nil) != ok {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// TestUntrustedServer: a certificate that nobody vouches for is no server.
func TestUntrustedServer(t *testing.T) {
	key := newSigner(t)
	s := newSite(t, newHost(t), key.public)
	s.host.serve(key.good(t, 1), nil)
	s.set = func(c *Config) { c.Client = nil }
	if outcome, err := s.check(); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("%q, %v", outcome, err)
	}
	if len(s.host.log()) != 0 {
		t.Error("it was asked all the same")
	}
}
