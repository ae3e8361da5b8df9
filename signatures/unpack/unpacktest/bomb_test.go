package unpacktest

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"io"
	"testing"
)

// Zeros are as many as promised, and a mail with a bomb is one that servers take.
func TestBombs(t *testing.T) {
	if n, err := io.Copy(io.Discard, flate.NewReader(bytes.NewReader(ZeroDeflate(3)))); err != nil || n != 3*zeroPiece {
		t.Errorf("%d zeros, %v", n, err)
	}
	if r, err := zip.NewReader(bytes.NewReader(zipOfMany(1000)), 1<<20); err == nil && len(r.File) != 1000 {
		t.Errorf("%d members", len(r.File))
	}
	if !bytes.HasSuffix(nestedZip(1, 2, true, File{"a", Zip(Stored, File{"b", nil})}), []byte{0, 0}) {
		t.Error("a zip does not end with the length of its comment")
	}
	names := map[string]bool{}
	for _, b := range Bombs() {
		if names[b.Name] {
			t.Errorf("two bombs are called %q", b.Name)
		}
		names[b.Name] = true
		n := len(b.Make())
		if n > 25<<20 || n < 500 {
			t.Errorf("%s: a mail of %d bytes", b.Name, n)
		}
	}
	if len(names) < 40 {
		t.Errorf("only %d bombs", len(names))
	}
}
