package archive

import (
	"archive/tar"
	"bytes"
	"slices"
	"strings"
	"testing"

	"spamcatcher/signatures/unpack/format"
	"spamcatcher/signatures/unpack/unpacktest"
)

func TestTar(t *testing.T) {
	one, two := unpacktest.File{Name: "one.txt", Data: text(300)}, unpacktest.File{Name: "dir/two.js", Data: text(5000)}
	long := unpacktest.File{Name: strings.Repeat("long/", 40) + "name.txt", Data: text(20)}
	pack := func(f tar.Format) []byte { return unpacktest.Tar(f, one, two) }
	both := "one.txt:300 dir/two.js:5000"
	broken := func(at int) []byte {
		b := pack(tar.FormatUSTAR)
		b[at] ^= 0x3f
		return b
	}
	var links bytes.Buffer
	w := tar.NewWriter(&links)
	for _, h := range []tar.Header{{Name: "dir/", Typeflag: tar.TypeDir}, {Name: "link", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink}, {Name: "hard", Linkname: "../../x", Typeflag: tar.TypeLink}, {Name: "null", Typeflag: tar.TypeChar}} {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		data         []byte
		files, marks string
	}{
		"ustar":             {pack(tar.FormatUSTAR), both, ""},
		"pax":               {pack(tar.FormatPAX), both, ""},
		"gnu":               {pack(tar.FormatGNU), both, ""},
		"gnu, long name":    {unpacktest.Tar(tar.FormatGNU, long), long.Name + ":20", ""},
		"pax, long name":    {unpacktest.Tar(tar.FormatPAX, long), long.Name + ":20", ""},
		"v7":                {unpacktest.TarOld(one, two), both, ""},
		"no end":            {bytes.TrimRight(pack(tar.FormatUSTAR), "\x00"), both, ""},
		"cut off":           {pack(tar.FormatUSTAR)[:3000], "one.txt:300 dir/two.js:1464", "damaged"},
		"second is broken":  {append(broken(1024 + 10)[:7168], pack(tar.FormatUSTAR)...), "one.txt:300 dir/two.js:5000", "damaged"},
		"junk, then a tar":  {slices.Concat(unpacktest.TarOld(one)[:1024], bytes.Repeat([]byte("junk"), 256), unpacktest.TarOld(two)), both, "damaged"},
		"links and devices": {links.Bytes(), "", ""},
	} {
		o := unpacked(t, format.Limits{}, "file.tar", c.data)
		if o.names() != c.files || o.kinds() != c.marks {
			t.Errorf("%s: files %q, want %q; marks %v, want %q", name, o.names(), c.files, o.marks, c.marks)
		}
	}
}

// TestTarSparse: a member that is nothing but a hole of gigabytes is bounded.
func TestTarSparse(t *testing.T) {
	h := make([]byte, 512)
	copy(h, "hole.exe")
	copy(h[100:], "0000644\x00")
	copy(h[124:], "00000000000\x00") // nothing in the archive
	copy(h[136:], "00000000000\x00")
	h[156] = tar.TypeGNUSparse
	copy(h[257:], "ustar  \x00")
	copy(h[386:], "77777777777\x0000000000000\x00") // one piece, empty, at the end
	copy(h[483:], "77777777777\x00")                // 8 GiB
	copy(h[148:], "        ")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:], []byte{'0', '0' + byte(sum>>12&7), '0' + byte(sum>>9&7), '0' + byte(sum>>6&7), '0' + byte(sum>>3&7), '0' + byte(sum&7), 0, ' '})
	o := unpacked(t, format.Limits{}, "file.tar", append(h, make([]byte, 1024)...))
	if len(o.files) != 2 || len(o.files[1].Data) != 16<<20 || !o.files[1].Cut || o.kinds() != format.LimitRatio {
		t.Errorf("%s %v", o.names(), o.marks)
	}
}

// TestTarAnyhow: what stands around the members, and what the first of them is
// called, hides none.
func TestTarAnyhow(t *testing.T) {
	small := unpacktest.File{Name: "b.js", Data: text(300)}
	plain := unpacktest.Tar(tar.FormatUSTAR, small)
	named := func(name string) []byte {
		return unpacktest.Tar(tar.FormatUSTAR, unpacktest.File{Name: name, Data: text(20)}, small)
	}
	zeros := make([]byte, 20<<10)
	record := append(slices.Clone(plain), make([]byte, tarRecord-len(plain))...)
	for name, c := range map[string]struct {
		data  []byte
		files string
		marks string
	}{
		"called like a PDF":         {named("%PDF-1.4"), "%PDF-1.4:20 b.js:300", ""},
		"called like a program":     {named("MZ"), "MZ:20 b.js:300", ""},
		"called like a zip":         {named("PK\x05\x06"), "PK\x05\x06:20 b.js:300", ""},
		"called like a picture":     {named("GIF89a"), "GIF89a:20 b.js:300", ""},
		"zeros in front":            {append(slices.Clone(zeros), plain...), "b.js:300", ""},
		"zeros behind":              {append(slices.Clone(plain), zeros...), "b.js:300", ""},
		"another archive behind":    {append(slices.Clone(plain), named("a")...), "b.js:300 a:20", format.Ambiguous},
		"something in its record":   {append(slices.Clone(plain), bytes.Repeat([]byte("x"), 1024)...), "b.js:300", ""},
		"something behind":          {append(slices.Clone(record), bytes.Repeat([]byte("x"), 1024)...), "b.js:300", format.Damaged},
		"zeros, something behind":   {slices.Concat(record, zeros, bytes.Repeat([]byte("x"), 1024)), "b.js:300", format.Damaged},
		"not a tar: a program":      {append([]byte("MZ\x90\x00"), make([]byte, 1000)...), "", ""},
		"not a tar: zeros and text": {append(make([]byte, 1024), text(2000)...), "", ""},
	} {
		if o := unpacked(t, format.Limits{}, "file.bin", c.data); o.names() != c.files || o.kinds() != c.marks {
			t.Errorf("%s: files %q, want %q; marks %v, want %q", name, o.names(), c.files, o.marks, c.marks)
		}
	}
}
