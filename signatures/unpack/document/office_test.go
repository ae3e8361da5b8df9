package document

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/yeka/zip"

	"spamcatcher/signatures/unpack/format"
)

// zipped opens zip files as far as the tests of documents need it.
type zipped struct{}

func (zipped) Name() string              { return "zip" }
func (zipped) Reads(f *format.File) bool { return bytes.HasPrefix(f.Data, []byte("PK\x03\x04")) }
func (zipped) Open(j *format.Job, f *format.File) error {
	r, err := zip.NewReader(bytes.NewReader(f.Data), int64(len(f.Data)))
	if err != nil {
		return err
	}
	for _, m := range r.File {
		if m.IsEncrypted() {
			m.SetPassword("infected-test") // that of the public suite
		}
		in, err := m.Open()
		if err != nil {
			return err
		}
		data, cut, err := j.Read(in, int64(m.CompressedSize64))
		if err != nil {
			return err
		}
		if err := j.Emit(&format.File{Kind: format.Member, Name: m.Name, Data: data, Cut: cut}); err != nil {
			return err
		}
	}
	return nil
}

// found is what unpacking a file gave.
type found struct {
	files []format.File
	marks []format.Mark
	links []string
}

func (f found) kinds() []string {
	var list []string
	for _, m := range f.marks {
		if !slices.Contains(list, m.Kind) {
			list = append(list, m.Kind)
		}
	}
	slices.Sort(list)
	return list
}

// text is the content of all files of a kind, one after the other.
func (f found) text(k format.Kind) string {
	var b strings.Builder
	for _, x := range f.files {
		if x.Kind == k {
			b.Write(x.Data)
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func open(t testing.TB, name string, data []byte, passwords ...string) found {
	t.Helper()
	var out found
	j := format.NewJob(context.Background(), format.Limits{}, append(Formats(), zipped{}), passwords, func(f *format.File) error {
		c := *f
		c.Data = bytes.Clone(f.Data)
		out.files = append(out.files, c)
		return nil
	})
	if err := j.Emit(&format.File{Kind: format.Part, Name: name, Data: data}); err != nil {
		t.Logf("%s: %v", name, err)
	}
	for _, err := range j.Faults() {
		t.Errorf("%s: %v", name, err)
	}
	out.marks, out.links = j.Marks(), j.Links()
	return out
}

// shared is a folder of the material that is not part of the repository.
func shared(t *testing.T, name string) string {
	t.Helper()
	root := os.Getenv("SPAMCATCHER_SHARED")
	if root == "" {
		dir, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for ; ; dir = filepath.Dir(dir) {
			if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
				break
			}
			if dir == filepath.Dir(dir) {
				t.Fatal("no go.mod above the test")
			}
		}
		root = filepath.Join(dir, "..", "shared")
	}
	path := filepath.Join(root, name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("SKIPPED: the public suite %s is not here; set SPAMCATCHER_SHARED to the folder that holds it", name)
	}
	return path
}

// BenchmarkText is what a part of a message that is plain text costs.
func BenchmarkText(b *testing.B) {
	text := bytes.Repeat([]byte("The figures for the quarter are below; tell me what you think.\r\n"), 60)
	f := &format.File{Kind: format.Part, Name: "", Declared: "text/plain", Data: text}
	own := []format.Format{ole{}, rtf{}, officeXML{}, binarySheet{}, activeMime{}, sheetText{}, addIn{}}
	for b.Loop() {
		for _, x := range own {
			if x.Reads(f) {
				b.Fatal(x.Name())
			}
		}
	}
}
