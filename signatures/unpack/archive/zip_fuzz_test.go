package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"testing"
	"time"

	"spamcatcher/signatures/unpack/format"
	"spamcatcher/signatures/unpack/unpacktest"
)

// hostile unpacks b with small limits: no fault, and never more than is allowed.
func hostile(t *testing.T, b []byte) {
	if len(b) > 1<<20 {
		return
	}
	l := format.Limits{Depth: 4, Members: 60, MemberBytes: 256 << 10, Bytes: 1 << 20, Open: 1 << 20, Time: 5 * time.Second}
	files := 0
	j := format.NewJob(context.Background(), l, Formats(), []string{"1234", "infected"}, func(f *format.File) error {
		if files++; f.Parent != nil && len(f.Data) > max(256<<10, len(b)) {
			t.Errorf("%q: %d bytes", f.Name, len(f.Data))
		}
		return nil
	})
	begin := time.Now()
	_ = j.Emit(&format.File{Kind: format.Part, Name: "fuzz", Data: b})
	for _, err := range j.Faults() {
		t.Error(err)
	}
	if files > 61 || j.Bytes() > 1<<20 || time.Since(begin) > 20*time.Second {
		t.Errorf("%d files, %d bytes, %v", files, j.Bytes(), time.Since(begin))
	}
}

func FuzzZip(f *testing.F) {
	one, two := unpacktest.File{Name: "one.txt", Data: text(300)}, unpacktest.File{Name: "two.js", Data: text(900)}
	for _, method := range []uint16{unpacktest.Stored, unpacktest.Deflated, unpacktest.LZMAed, unpacktest.Zstded, unpacktest.XZed} {
		f.Add(unpacktest.Zip(method, one, two))
	}
	f.Add(unpacktest.ZipLocked("1234", true, one, two))
	f.Add(unpacktest.ZipLocked("1234", false, one, two))
	f.Add(unpacktest.ZipOf(-1, unpacktest.ZipEntry{Name: "one.txt", Method: zipBzip2, Packed: bzipped(f), Size: 300}))
	f.Add(unpacktest.ZipOf(7, unpacktest.StoredEntry(one), unpacktest.ZipEntry{Name: "64", Method: zipDeflate64, Packed: []byte{0x4b, 0x1c, 0x07, 0xff, 0x7f}, Size: 9}))
	f.Fuzz(func(t *testing.T, b []byte) { hostile(t, b) })
}

func FuzzStream(f *testing.F) {
	data := text(900)
	f.Add(unpacktest.Gzip(unpacktest.File{Name: "a", Data: data}))
	f.Add(bzipped(f))
	f.Add(unpacktest.XZ(data))
	f.Add(unpacktest.XZDictionary(data))
	f.Add(unpacktest.Zstd(data))
	f.Add(unpacktest.LZMA(data))
	f.Add(unpacktest.Zlib(data))
	f.Add(unpacktest.Compress(data))
	f.Add(compressed(f))
	f.Add([]byte("LZIP\x01\x0c\x00abcdefghijklmnopqrstuvwxyz"))
	f.Fuzz(func(t *testing.T, b []byte) { hostile(t, b) })
}

func FuzzTar(f *testing.F) {
	one, two := unpacktest.File{Name: "one.txt", Data: text(300)}, unpacktest.File{Name: "two.js", Data: text(900)}
	f.Add(unpacktest.Tar(tar.FormatUSTAR, one, two))
	f.Add(unpacktest.Tar(tar.FormatPAX, one, two))
	f.Add(unpacktest.Tar(tar.FormatGNU, one, two))
	f.Add(append(bytes.Repeat([]byte("junk"), 128), unpacktest.TarOld(one)...))
	f.Fuzz(func(t *testing.T, b []byte) { hostile(t, b) })
}

// FuzzInflate64: codes and copies of any kind.
func FuzzInflate64(f *testing.F) {
	f.Add([]byte{0x4b, 0x1c, 0x07, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, b []byte) {
		hostile(t, unpacktest.ZipOf(-1, unpacktest.ZipEntry{Name: "64", Method: zipDeflate64, Packed: b, Size: 9}))
	})
}
