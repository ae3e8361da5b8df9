package archive

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"spamcatcher/signatures/unpack/format"
)

// material is a directory of the test material that lies outside the repository.
func material(t *testing.T, elem ...string) string {
	t.Helper()
	root := os.Getenv("SPAMCATCHER_SHARED")
	if root == "" {
		dir, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
				break
			}
			dir = filepath.Dir(dir)
		}
		root = filepath.Join(dir, "..", "shared")
	}
	path := filepath.Join(append([]string{root}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("SKIPPED: no test material at %s; set SPAMCATCHER_SHARED", path)
	}
	return path
}

// An outcome is what unpacking a file gave.
type outcome struct {
	files []format.File // copies
	marks []format.Mark
	job   *format.Job
}

// unpacked runs all formats of this package over a file.
func unpacked(t testing.TB, l format.Limits, name string, data []byte, passwords ...string) outcome {
	t.Helper()
	var o outcome
	o.job = format.NewJob(context.Background(), l, Formats(), passwords, func(f *format.File) error {
		c := *f
		c.Data = bytes.Clone(f.Data)
		o.files = append(o.files, c)
		return nil
	})
	_ = o.job.Emit(&format.File{Kind: format.Part, Name: name, Data: data})
	for _, err := range o.job.Faults() {
		t.Errorf("%s: %v", name, err)
	}
	o.marks = o.job.Marks()
	return o
}

// names lists the files inside, each with its size.
func (o outcome) names() string {
	var all []string
	for _, f := range o.files[1:] {
		all = append(all, fmt.Sprintf("%s:%d", f.Name, len(f.Data)))
	}
	return strings.Join(all, " ")
}

// kinds lists the kinds of the marks.
func (o outcome) kinds() string {
	var all []string
	for _, m := range o.marks {
		all = append(all, m.Kind)
	}
	return strings.Join(all, " ")
}

func (o outcome) holds(needle []byte) bool {
	for _, f := range o.files {
		if bytes.Contains(f.Data, needle) {
			return true
		}
	}
	return false
}

// TestArchiveSuites reads the archives with which other readers are tested. Want
// is the number of files inside at least, and the marks.
func TestArchiveSuites(t *testing.T) {
	special := map[string]string{ // by file: kinds of marks that are due
		"comment-truncated.zip":         "ambiguous ambiguous",
		"test-badbase.zip":              "ambiguous ambiguous",
		"gnu-incremental.tar":           "limit_ratio",
		"gnu-sparse-many-zeros.tar.bz2": "limit_ratio damaged",
		"issue11169.tar":                "damaged",
		"pax-bad-hdr-file.tar":          "damaged",
		"pax-bad-hdr-large.tar.bz2":     "damaged",
		"pax-bad-mtime-file.tar":        "damaged",
		"pax-nul-path.tar":              "damaged",
		"pax-nul-xattrs.tar":            "damaged",
		"writer-big.tar":                "damaged",
	}
	// No archives, or nothing in them but names and headers without a checksum.
	nothing := []string{"small.txt", "small2.txt", "readme.notzip", "gophercolor16x16.png", "gnu-multi-hdrs.tar", "issue10968.tar", "issue11169.tar", "issue12435.tar", "pax-bad-mtime-file.tar", "pax-multi-hdrs.tar", "pax-path-hdr.tar", "trailing-slash.tar"}
	count := 0
	for _, dir := range []string{"go-zip", "go-tar"} {
		list, err := filepath.Glob(filepath.Join(material(t, "suites", "archives"), dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range list {
			name := filepath.Base(file)
			if strings.HasSuffix(name, ".base64") {
				continue
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			count++
			o := unpacked(t, format.Limits{}, name, b)
			if o.kinds() != special[name] {
				t.Errorf("%s: marks %v, want %q", name, o.marks, special[name])
			}
			if want := !slices.Contains(nothing, name); (len(o.files) > 1) != want {
				t.Errorf("%s: files %q", name, o.names())
			}
		}
	}
	if count < 70 {
		t.Errorf("only %d archives were read", count)
	}
	t.Logf("%d archives", count)
}

// TestEicarSuite finds the test file in each wrapping.
func TestEicarSuite(t *testing.T) {
	eicar := []byte(`X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD` + `-ANTIVIRUS-TEST-FILE!$H+H*`)
	list, err := filepath.Glob(filepath.Join(material(t, "suites", "generated", "eicar"), "*"))
	if err != nil || len(list) < 10 {
		t.Fatalf("%d files, %v", len(list), err)
	}
	for _, file := range list {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if o := unpacked(t, format.Limits{}, filepath.Base(file), b); !o.holds(eicar) || len(o.marks) > 0 {
			t.Errorf("%s: %s, marks %v", filepath.Base(file), o.names(), o.marks)
		}
	}
}

// TestBombSuite: each bomb hits a limit, quickly, and the quine is seen through.
func TestBombSuite(t *testing.T) {
	list, err := filepath.Glob(filepath.Join(material(t, "suites", "generated", "bombs"), "*"))
	if err != nil || len(list) < 7 {
		t.Fatalf("%d files, %v", len(list), err)
	}
	for _, file := range list {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		u := run(t, b)
		t.Logf("%-26s %9d bytes: %5d files, %6.1f MB unpacked, %5.0f ms, %5.1f MB more heap, %v", name, len(b), u.files, float64(u.bytes)/1e6, u.ms, u.heap, u.kinds)
		u.check(t, name, name != "nested-6x10x1MiB.zip")
	}
}

// TestZipTools reads what the programs write that people use, in every method and
// encryption that they know.
func TestZipTools(t *testing.T) {
	path, err := exec.LookPath("7z")
	if err != nil {
		t.Skip("SKIPPED: 7z (p7zip-full) is not installed")
	}
	dir := t.TempDir()
	data := text(300_000)
	if err := os.WriteFile(filepath.Join(dir, "text.txt"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"-mm=Copy", "-mm=Deflate", "-mm=Deflate64", "-mm=BZip2", "-mm=LZMA", "-mm=Deflate -ptulip -mem=ZipCrypto", "-mm=LZMA -ptulip -mem=AES128", "-mm=Deflate64 -ptulip -mem=AES192", "-mm=BZip2 -ptulip -mem=AES256"} {
		file := filepath.Join(dir, "a.zip")
		_ = os.Remove(file)
		c := exec.Command(path, append([]string{"a", "-tzip", file, "text.txt"}, strings.Fields(args)...)...)
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("7z %s: %v\n%s", args, err, out)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want := ""
		if strings.Contains(args, "-p") {
			want = format.Unlocked
		}
		o := unpacked(t, format.Limits{}, "a.zip", b, "rose", "tulip")
		if len(o.files) != 2 || !bytes.Equal(o.files[1].Data, data) || o.kinds() != want {
			t.Errorf("7z %s: %s %v", args, o.names(), o.marks)
		}
	}
}
