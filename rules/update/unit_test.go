package update

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aead.dev/minisign"
)

// TestMinisign signs with Debian's minisign what we verify, in both of its ways,
// and has it verify what we sign, with keys of either make.
func TestMinisign(t *testing.T) {
	tool, err := exec.LookPath("minisign")
	if err != nil {
		t.Skip("SKIPPED: minisign is not installed: whether it and we understand each other is not tested")
	}
	dir := t.TempDir()
	run := func(args ...string) error {
		cmd := exec.Command(tool, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("minisign %v: %w: %s", args, err, out)
		}
		return nil
	}
	read := func(name string) []byte {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if err := run("-G", "-W", "-p", "theirs.pub", "-s", "theirs.key"); err != nil {
		t.Fatal(err)
	}
	public, secret, err := NewKey("")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"ours.pub": public, "ours.key": secret} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := bytes.Repeat([]byte("manifest\n"), 1000)
	if err := os.WriteFile(filepath.Join(dir, "text"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, maker := range []string{"ours", "theirs"} {
		keys, err := ParseKeys(filepath.Join(dir, maker+".pub"))
		if err != nil {
			t.Fatal(err)
		}
		for _, way := range []string{"-H", "-l"} { // prehashed, legacy
			if err := run("-S", way, "-s", maker+".key", "-m", "text", "-x", "text.sig"); err != nil {
				t.Errorf("key of %s: %v", maker, err)
				continue
			}
			if err := keys.verify(text, read("text.sig")); err != nil {
				t.Errorf("key of %s, signed by minisign %s: %v", maker, way, err)
			}
			if err := keys.verify(text[1:], read("text.sig")); err == nil {
				t.Errorf("key of %s, signed by minisign %s: another text is verified", maker, way)
			}
		}
		key, err := readSecret(read(maker+".key"), nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, signature := range map[string][]byte{"prehashed": sign(key, text, Manifest{Version: 7}), "legacy": minisign.Sign(key, text)} {
			if err := os.WriteFile(filepath.Join(dir, "text.sig"), signature, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := run("-V", "-p", maker+".pub", "-m", "text", "-x", "text.sig"); err != nil {
				t.Errorf("key of %s, signed by us, %s: %v", maker, name, err)
			}
		}
	}
}

// TestEncryptedKey: a key with a password signs with it and not without.
func TestEncryptedKey(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: an encrypted key takes a gigabyte of memory and some seconds")
	}
	public, secret, err := NewKey("open sesame")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ParseKeys(string(public))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := readSecret(secret, nil); err == nil {
		t.Error("opened without a password")
	}
	key, err := readSecret(secret, func() (string, error) { return "open sesame", nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := keys.verify([]byte("x"), sign(key, []byte("x"), Manifest{})); err != nil {
		t.Error(err)
	}
}

func TestParseKeys(t *testing.T) {
	k := newSigner(t).public
	text, err := k.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "rules.pub")
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{k.String(), " " + k.String() + "\n", string(text), string(text) + "\r\n", name} {
		keys, err := ParseKeys(form)
		if err != nil || len(keys) != 1 || !keys[0].Equal(k) {
			t.Errorf("%q: %v, %v", form, keys, err)
		}
	}
	for _, bad := range []string{"", "x", k.String()[:50], name + ".gone", strings.Repeat("x", 5000), "a\nb", "\x00"} {
		if _, err := ParseKeys(bad); err == nil {
			t.Errorf("%q is taken for a key", bad)
		}
	}
}

// tree writes files below a new directory.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestPublish(t *testing.T) {
	public, secret, err := NewKey("")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ParseKeys(string(public))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"rules/b.toml": "b", "rules/a.toml": "a", "rules/prices.toml": "p", "signatures/x/y.yar": "y", "model.bin": strings.Repeat("\x00", 100000)}
	to := filepath.Join(t.TempDir(), "www", "rules")
	p := Publication{From: tree(t, files), To: to, Secret: secret, Version: 3, Created: now, About: "three"}
	tried := ""
	p.Try = func(dir string) error {
		text, err := os.ReadFile(filepath.Join(dir, "rules/a.toml"))
		tried = string(text)
		return err
	}
	m, err := Publish(p)
	if err != nil || tried != "a" {
		t.Fatalf("%v, tried %q", err, tried)
	}
	// Another directory with the same files, made later, gives the same bundle.
	time.Sleep(10 * time.Millisecond)
	first, err := os.ReadFile(filepath.Join(to, m.File))
	if err != nil {
		t.Fatal(err)
	}
	second, err := Pack(tree(t, files))
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("the same files make other bundles (%d and %d bytes, %v)", len(first), len(second), err)
	}
	// A receiver adopts it.
	h := newHost(t)
	f := feed{}
	for _, name := range []string{manifestFile, signatureFile, m.File} {
		if f[name], err = os.ReadFile(filepath.Join(to, name)); err != nil {
			t.Fatal(err)
		}
	}
	h.serve(f, nil)
	s := newSite(t, h, keys...)
	if outcome, err := s.check(); err != nil || outcome != Adopted {
		t.Fatalf("%q, %v", outcome, err)
	}
	b, problems := Open(s.dir, keys)
	if b == nil || len(problems) > 0 || b.About != "three" || b.Expires.Sub(now) != 90*24*time.Hour {
		t.Fatalf("%+v, %v", b, problems)
	}
	for name, want := range files {
		if text, err := os.ReadFile(filepath.Join(b.Dir, name)); err != nil || string(text) != want {
			t.Errorf("%s: %d bytes, %v", name, len(text), err)
		}
	}
	// What receivers would refuse, and a version that is not higher, is not
	// published; what is there stays.
	for name, change := range map[string]func(*Publication){
		"the same version": func(p *Publication) {},
		"a lower version":  func(p *Publication) { p.Version = 2 },
		"a bad trial":      func(p *Publication) { p.Version = 4; p.Try = func(string) error { return errors.New("no") } },
		"a strange file": func(p *Publication) {
			p.Version = 4
			p.From = tree(t, map[string]string{"rules/a.toml": "a", "README": "x"})
		},
		"nothing":      func(p *Publication) { p.Version = 4; p.From = t.TempDir() },
		"no directory": func(p *Publication) { p.Version = 4; p.From = filepath.Join(to, "gone") },
		"no key":       func(p *Publication) { p.Version = 4; p.Secret = []byte("secret") },
		"a public key": func(p *Publication) { p.Version = 4; p.Secret = public },
	} {
		q := p
		change(&q)
		if _, err := Publish(q); err == nil {
			t.Errorf("%s is published", name)
		}
		if now, _ := os.ReadFile(filepath.Join(to, manifestFile)); !bytes.Equal(now, f[manifestFile]) {
			t.Fatalf("%s changed the channel", name)
		}
	}
}

// TestRefusalsAreBounded: only so many are remembered, the highest.
func TestRefusalsAreBounded(t *testing.T) {
	var s state
	for v := range int64(100) {
		s.refuse(v+1, Refusal{Reason: "bad", Time: now})
	}
	if len(s.Refused) != maxRefused || s.Refused[100].Reason == "" || s.Refused[80].Reason != "" {
		t.Errorf("%d refusals, %v", len(s.Refused), s.Refused)
	}
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"format":1,"version":7,"created":"2026-03-10T09:00:00Z","expires":"2026-04-10T09:00:00Z","file":"b.tar.gz","size":3,"sha256":"` + strings.Repeat("ab", 32) + `"}`))
	f.Add([]byte(`{"format":1e0,"version":9223372036854775807}`))
	f.Add([]byte(`null`))
	f.Add([]byte(`{"Format":1,"format":2}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := parseManifest(text)
		if err != nil {
			return
		}
		again, err := m.encode()
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		n, err := parseManifest(again)
		if err != nil || n.Version != m.Version || n.File != m.File || n.SHA256 != m.SHA256 || !n.Expires.Equal(m.Expires) {
			t.Fatalf("%+v became %+v, %v", m, n, err)
		}
		if strings.ContainsAny(m.File, "/\\") || m.File == ".." || m.Size < 1 {
			t.Fatalf("%+v", m)
		}
	})
}

func FuzzSignature(f *testing.F) {
	key := newSigner(f)
	text := []byte("manifest")
	f.Add(sign(key.secret, text, Manifest{}))
	f.Add(minisign.Sign(key.secret, text))
	other := sign(newSigner(f).secret, text, Manifest{})
	f.Add(other)
	f.Fuzz(func(t *testing.T, signature []byte) {
		err := Keys{key.public}.verify([]byte("another manifest"), signature)
		if err == nil {
			t.Fatal("a signature of something else is good")
		}
	})
}

func FuzzState(f *testing.F) {
	f.Add([]byte(`{"checked":"2026-03-10T09:00:00Z","failures":3,"floor":7,"refused":{"8":{"reason":"bad"}}}`), []byte(`{"version":7,"previous":[6,5],"floor":7,"since":"2026-03-10T09:00:00Z"}`))
	f.Add([]byte(`{"failures":-9,"refused":{"-1":{}}}`), []byte(`{"version":-1}`))
	f.Add([]byte(`[]`), []byte(``))
	key := newSigner(f)
	dir := f.TempDir()
	s := newSite(f, newHost(f), key.public)
	s.dir = dir
	channel := s.channel()
	f.Fuzz(func(t *testing.T, state, current []byte) {
		if err := os.WriteFile(filepath.Join(dir, stateFile), state, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, currentFile), current, 0o600); err != nil {
			t.Fatal(err)
		}
		if b, _ := Open(dir, s.keys); b != nil {
			t.Fatal("a bundle that is not there is in force")
		}
		ReadStatus(dir, s.keys).Silent(now)
		read, _ := readState(dir)
		if d := channel.wait(read); d < 0 || d > 28*time.Hour {
			t.Fatalf("waits %v", d)
		}
	})
}

func FuzzUnpack(f *testing.F) {
	f.Add(goodBundle(f, 1))
	f.Add(bundleOf(f, file("rules/../../x.toml", "x"), file("signatures/x", strings.Repeat("x", 5000))))
	f.Add([]byte("\x1f\x8b\x08"))
	root := f.TempDir()
	n := 0
	f.Fuzz(func(t *testing.T, packed []byte) {
		n++
		outer := filepath.Join(root, fmt.Sprint(n))
		dir := filepath.Join(outer, "files")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(outer)
		err := unpack(bytes.NewReader(packed), dir, bounds{20, 10000})
		entries, _ := os.ReadDir(outer)
		if len(entries) != 1 {
			t.Fatalf("something was written outside: %v", entries)
		}
		if err != nil {
			return
		}
		total, files := int64(0), 0
		filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
			if err != nil {
				t.Fatal(err)
			}
			info, err := e.Info()
			if err != nil {
				t.Fatal(err)
			}
			name, _ := filepath.Rel(dir, path)
			if path != dir && !e.IsDir() {
				if !info.Mode().IsRegular() || !allowed(filepath.ToSlash(name), false) {
					t.Fatalf("%s, %v", name, info.Mode())
				}
				total, files = total+info.Size(), files+1
			}
			return nil
		})
		if total > 10000 || files > 20 {
			t.Fatalf("%d bytes in %d files", total, files)
		}
	})
}
