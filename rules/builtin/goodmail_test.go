package builtin

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestGoodMailIsPacked: what is embedded is what stands in testdata.
func TestGoodMailIsPacked(t *testing.T) {
	packed(t, "goodmail.tar.gz", &packedGood, 340, "good", "shapes")
	packed(t, "spammail.tar.gz", &packedSpam, 120, "spam")
}

func packed(t *testing.T, name string, embedded *[]byte, least int, folders ...string) {
	t.Helper()
	var out bytes.Buffer
	packed, _ := gzip.NewWriterLevel(&out, gzip.BestCompression)
	w := tar.NewWriter(packed)
	want := map[string][]byte{}
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join("testdata", folder, "*.eml"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no messages in testdata/%s: %v", folder, err)
		}
		slices.Sort(files)
		for _, f := range files {
			raw, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			name := folder + "/" + filepath.Base(f)
			want[name] = bytes.ReplaceAll(raw, []byte("\n"), []byte("\r\n"))
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(raw)), Format: tar.FormatUSTAR}); err != nil {
				t.Fatal(err)
			}
			w.Write(raw)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := packed.Close(); err != nil {
		t.Fatal(err)
	}
	if os.Getenv("UPDATE_GOODMAIL") != "" {
		if err := os.WriteFile(name, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		*embedded = out.Bytes()
	}
	got, err := unpackMail(*embedded)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range got {
		if !bytes.Equal(m.Raw, want[m.Name]) {
			t.Errorf("%s is not what testdata holds; pack it again with UPDATE_GOODMAIL=1", m.Name)
		}
	}
	if len(got) != len(want) || len(got) < least {
		t.Errorf("%d messages are packed, %d stand in testdata, at least %d are expected; pack them again with UPDATE_GOODMAIL=1", len(got), len(want), least)
	}
	t.Logf("%s: %d messages in %d bytes", name, len(got), len(*embedded))
}
