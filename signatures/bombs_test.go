package signatures_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
	"spamcatcher/signatures"
	. "spamcatcher/signatures/unpack/unpacktest"
)

// Every bomb is inspected within the time that it is given, without a fault, and
// what was not looked at is said. How much memory it takes is measured where the
// program runs in a process of its own (cmd/spamcatcher).
func TestBombs(t *testing.T) {
	check := allSignatures(t)
	const limit = 2 * time.Second
	for _, b := range Bombs() {
		t.Run(b.Name, func(t *testing.T) {
			m := &engine.Mail{Message: message.Parse(b.Make(), message.Limits{})}
			ctx, cancel := context.WithTimeout(t.Context(), limit*4/3) // three quarters are for the check
			defer cancel()
			begin := time.Now()
			hits, err := check.Inspect(ctx, m)
			took := time.Since(begin)
			if err != nil {
				t.Errorf("%.1000v", err)
			}
			// Other tests run beside this one, and a scan is not cut in its middle.
			if took > limit+5*time.Second {
				t.Errorf("took %v", took)
			}
			var limits []string
			for _, d := range m.Message.Defects() {
				if strings.HasPrefix(d.Kind, "limit_") {
					limits = append(limits, d.Kind)
				}
			}
			for _, h := range hits {
				if strings.Contains(h.Symbol, "LIMIT") || strings.HasSuffix(h.Symbol, "_INCOMPLETE") {
					limits = append(limits, h.Symbol)
				}
				if h.Symbol == signatures.Symbol {
					t.Errorf("it is taken for %s", h.Detail)
				}
			}
			if b.Limited && len(limits) == 0 {
				t.Errorf("nothing says that not all of it was looked at: %v", hits)
			}
			t.Logf("FIGURES %s: %v, %v", b.Name, took.Round(time.Millisecond), limits)
		})
	}
}

// Who asks for more memory than he gets, or writes what only some readers
// understand, does not pass for clean: EICAR in it is found, or a symbol says that
// something was not looked at.
func TestEvasions(t *testing.T) {
	check := allSignatures(t)
	bad := File{Name: "report.com", Data: []byte(eicar + strings.Repeat(" ", 60))}
	asking := func(f File) []byte { b := LZMA(f.Data); copy(b[1:], "\xff\xff\xff\xff"); return b }
	window := func(f File) []byte { b := ZeroZstd(1, 31); return append(b[:6], raw128(f.Data)...) }
	encrypted := ZipLocked("nobody says it", true, bad)
	truncated := Gzip(bad)
	saysLocked := ZipOf(-1, ZipEntry{Name: "report.com", Method: Deflated, Flags: 1, Packed: Deflate(bad.Data), Size: 128, CRC: crc32.ChecksumIEEE(bad.Data)})
	for name, f := range map[string]File{
		"xz that asks for 4 GiB":          {Name: "a.xz", Data: XZDictionary(bad.Data)},
		"lzma that asks for 4 GiB":        {Name: "a.lzma", Data: asking(bad)},
		"zstd that asks for 2 TiB":        {Name: "a.zst", Data: window(bad)},
		"7z that asks for 4 GiB":          {Name: "a.7z", Data: sevenAsking(bad)},
		"encrypted zip without password":  {Name: "a.zip", Data: encrypted},
		"encrypted zip in a gzip":         {Name: "a.zip.gz", Data: Gzip(File{Name: "a.zip", Data: encrypted})},
		"gzip that breaks off":            {Name: "a.gz", Data: truncated[:len(truncated)-20]},
		"zip of an unheard-of method":     {Name: "a.zip", Data: ZipOf(-1, ZipEntry{Name: "report.com", Method: 77, Packed: noise(100), Size: 128})},
		"cab of an unheard-of method":     {Name: "a.cab", Data: otherMethod(Cabinet(false, bad))},
		"bzip2 of which a bit is flipped": {Name: "a.bz2", Data: flipped(Bzip2(bad.Data))},
		"xz of which a bit is flipped":    {Name: "a.xz", Data: flipped(XZ(bad.Data))},
		"7z of which a bit is flipped":    {Name: "a.7z", Data: flipped(sevenPacked(SevenLZMA, bad))},
		"zip that says it is encrypted":   {Name: "a.zip", Data: saysLocked},
		"twenty zips":                     {Name: "a.zip", Data: nested(20, bad)},
	} {
		mail := Letter{Parts: []Part{Attached(octets, f)}}.Bytes()
		hits, err := check.Inspect(t.Context(), &engine.Mail{Message: message.Parse(mail, message.Limits{})})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		said := ""
		for _, h := range hits {
			if h.Symbol == signatures.Symbol || strings.HasPrefix(h.Symbol, "UNPACK_LIMIT") || slices.Contains([]string{"ARCHIVE_ENCRYPTED", "ARCHIVE_DAMAGED", "ARCHIVE_UNREADABLE"}, h.Symbol) {
				said += h.Symbol + " "
			}
		}
		if t.Logf("FIGURES %s: %s", name, said); said == "" {
			t.Errorf("%s: passes for clean: %v", name, hits)
		}
	}
}

// raw128 is a zstd block of data as it is, the last.
func raw128(data []byte) []byte {
	h := uint32(len(data))<<3 | 1
	return append([]byte{byte(h), byte(h >> 8), byte(h >> 16)}, data...)
}

func sevenAsking(f File) []byte {
	alone := LZMA(f.Data)
	return SevenzipOf(-1, SevenFolder{Name: f.Name, Coder: SevenLZMA, Props: append(alone[:1:1], 0xFF, 0xFF, 0xFF, 0xFF), Packed: alone[13:], Size: uint64(len(f.Data)), Sum: crc32.ChecksumIEEE(f.Data)})
}

// otherMethod makes the folder of a cabinet one of Quantum.
func otherMethod(cab []byte) []byte { cab[42] = 2; return cab }

func flipped(b []byte) []byte { b[len(b)/2] ^= 0x10; return b }

func nested(levels int, f File) []byte {
	for range levels {
		f = File{Name: "inner.zip", Data: Zip(Deflated, f)}
	}
	return f.Data
}

// What the test files of ClamAV's project hold is found, as far as its formats are
// read here: each is a packing of one small program, whose hash becomes a
// signature of the test.
func TestClamAVTestFiles(t *testing.T) {
	const dir = "/usr/share/clamav-testfiles"
	files, _ := filepath.Glob(filepath.Join(dir, "clam*"))
	program, err := os.ReadFile(filepath.Join(dir, "clam.exe"))
	if err != nil || len(files) < 10 {
		t.Skipf("SKIPPED: %s is absent; Debian's package clamav-testfiles has it", dir)
	}
	check := knowing(t, program)
	// Executable packers change the program itself: those are not this one any more.
	packers := []string{"aspack", "fsg", "mew", "nsis", "pespin", "petite", "upack", "upx", "wwpack", "yc.exe", "ea05", "ea06", "_IS", "cache_emax"}
	found, missed := 0, []string{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		packer := false
		for _, p := range packers {
			packer = packer || strings.Contains(filepath.Base(file), p)
		}
		mail := Letter{Parts: []Part{Attached("application/octet-stream", File{Name: filepath.Base(file), Data: data})}}.Bytes()
		if got := viruses(t, check, mail); len(got) > 0 {
			found++
		} else if !packer {
			missed = append(missed, filepath.Base(file))
		}
	}
	t.Logf("FIGURES %d of %d test files of ClamAV are opened; not among the packed programs: %s", found, len(files), strings.Join(missed, ", "))
	if found < 15 {
		t.Errorf("only %d were opened", found)
	}
}

// The EICAR files and mails of the suites are all found.
func TestSuiteEICAR(t *testing.T) {
	check := allSignatures(t)
	found, missed := 0, []string{}
	for _, file := range append(suite(t, "generated", "eicar", "*"), suite(t, "generated", "eicar-mail", "*")...) {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(file, ".eml") {
			raw = Letter{Parts: []Part{Attached("application/octet-stream", File{Name: filepath.Base(file), Data: raw})}}.Bytes()
		}
		if got := viruses(t, check, raw); len(got) > 0 {
			found++
		} else {
			missed = append(missed, filepath.Base(file))
		}
	}
	t.Logf("FIGURES %d found, missed: %v", found, missed)
	if len(missed) > 0 || found < 20 {
		t.Errorf("%d found, missed %v", found, missed)
	}
}

// suite lists files of the suites; the test is skipped without them.
func suite(t *testing.T, elem ...string) []string {
	t.Helper()
	dir := os.Getenv("SPAMCATCHER_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared")
	}
	files, _ := filepath.Glob(filepath.Join(append([]string{dir, "suites"}, elem...)...))
	if len(files) == 0 {
		t.Skipf("SKIPPED: suites/%s is absent; set SPAMCATCHER_SHARED to the folder that holds suites/", filepath.Join(elem...))
	}
	return files
}

// knowing is a check with one more signature: the hash of a file.
func knowing(t *testing.T, file []byte) *signatures.Check {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "test.hsb"), fmt.Appendf(nil, "%x:%d:Test.File\n", sha256.Sum256(file), len(file)), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := signatures.Load(true, []string{dir})
	if err != nil {
		t.Fatal(err)
	}
	if set.Report().Hashes != 1 {
		t.Fatalf("%+v", set.Report())
	}
	return signatures.New(signatures.Config{Set: set})
}
