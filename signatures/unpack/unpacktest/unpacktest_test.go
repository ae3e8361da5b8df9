package unpacktest

import (
	"archive/tar"
	"bytes"
	"compress/bzip2"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nwaples/rardecode/v2"
)

var sample = File{"note.txt", []byte(strings.Repeat("The quick brown fox jumps over the lazy dog. 0123456789\r\n", 20) + "end")}

// What is built is what other programs unpack: each takes an archive as its
// input and writes the file, alone or among other words.
func TestStrangersUnpack(t *testing.T) {
	ran := 0
	for name, c := range map[string]struct {
		suffix  string
		data    []byte
		command string
	}{
		"zip stored":    {".zip", Zip(Stored, sample), "7z x -so FILE"},
		"zip deflated":  {".zip", Zip(Deflated, sample), "7z x -so FILE"},
		"zip bzip2":     {".zip", Zip(Bzipped, sample), "7z x -so FILE"},
		"zip lzma":      {".zip", Zip(LZMAed, sample), "7z x -so FILE"},
		"zip xz":        {".zip", Zip(XZed, sample), "7z x -so FILE"},
		"zip by hand":   {".zip", ZipOf(-1, StoredEntry(sample)), "7z x -so FILE"},
		"zip AES":       {".zip", ZipLocked("s3cret", true, sample), "7z x -so -ps3cret FILE"},
		"zip ZipCrypto": {".zip", ZipLocked("s3cret", false, sample), "7z x -so -ps3cret FILE"},
		"7z":            {".7z", Sevenzip(sample), "7z x -so FILE"},
		"cab stored":    {".cab", Cabinet(false, sample), "cabextract -q -p FILE"},
		"cab MSZIP":     {".cab", Cabinet(true, sample), "cabextract -q -p FILE"},
		"iso":           {".iso", ISO(false, sample), "7z x -so FILE"},
		"iso Joliet":    {".iso", ISO(true, sample), "7z x -so FILE note.txt"},
		"compound file": {".doc", OLE(sample, File{"Store/big", bytes.Repeat(sample.Data, 30)}), "7z x -so FILE note.txt"},
		"gzip":          {".gz", Gzip(sample), "gzip -dc FILE"},
		"bzip2":         {".bz2", Bzip2(sample.Data), "bzip2 -dc FILE"},
		"bzip2, runs":   {".bz2", Bzip2(append(bytes.Repeat([]byte(" "), 300), sample.Data...)), "bzip2 -dc FILE"},
		"xz":            {".xz", XZ(sample.Data), "xz -dc FILE"},
		"lzma":          {".lzma", LZMA(sample.Data), "xz -dc FILE"},
		"zstd":          {".zst", Zstd(sample.Data), "zstd -dcq FILE"},
		"compress":      {".Z", Compress(sample.Data), "gzip -dc FILE"},
		"tar":           {".tar", Tar(tar.FormatUSTAR, sample), "tar -xOf FILE"},
		"tar old":       {".tar", TarOld(sample), "tar -xOf FILE"},
		"cpio":          {".cpio", Cpio(sample), "7z x -so FILE"},
		"ar":            {".a", Ar(sample), "ar p FILE"},
		"lzh":           {".lzh", LZH(sample), "lha pq FILE"},
		"uuencode":      {".uu", []byte(UU(sample)), "uudecode -o /dev/stdout FILE"},
	} {
		path := filepath.Join(t.TempDir(), "file"+c.suffix)
		if err := os.WriteFile(path, c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		words := strings.Fields(strings.ReplaceAll(c.command, "FILE", path))
		if _, err := exec.LookPath(words[0]); err != nil {
			t.Logf("SKIPPED: %s: %s is not installed", name, words[0])
			continue
		}
		ran++
		var stderr bytes.Buffer
		cmd := exec.Command(words[0], words[1:]...)
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil || !bytes.Contains(out, sample.Data) {
			t.Errorf("%s: %s: %v, %q\n%s", name, words[0], err, out[:min(len(out), 100)], stderr.String())
		}
	}
	t.Logf("%d kinds of archives were unpacked by strangers", ran)
	if ran == 0 {
		t.Skip("SKIPPED: no program of other people that unpacks archives is installed (7z, cabextract, bzip2, xz, zstd, lha, ar)")
	}
}

// Nothing free packs RAR; a library reads what is built.
func TestRAR(t *testing.T) {
	for name, data := range map[string][]byte{"RAR 4": RAR4(sample, sample), "RAR 5": RAR5(sample, sample)} {
		r, err := rardecode.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		n := 0
		for h, err := r.Next(); err != io.EOF; h, err = r.Next() {
			if err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
			got, err := io.ReadAll(r)
			if err != nil || h.Name != sample.Name || !bytes.Equal(got, sample.Data) {
				t.Errorf("%s: %q, %d bytes, %v", name, h.Name, len(got), err)
			}
			n++
		}
		if n != 2 {
			t.Errorf("%s: %d files", name, n)
		}
	}
}

// A block of zeros expands to as many as promised.
func TestBzipZeros(t *testing.T) {
	stream, size := BzipZeros()
	n, err := io.Copy(io.Discard, bzip2.NewReader(bytes.NewReader(append(stream, stream...))))
	if err != nil || n != int64(2*size) || len(stream) > 200 {
		t.Errorf("%d bytes gave %d, want twice %d; %v", len(stream), n, size, err)
	}
}
