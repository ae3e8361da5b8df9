package signatures_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
	"spamcatcher/signatures"
	"spamcatcher/signatures/unpack/format"
	"spamcatcher/signatures/yara"
)

// program is as little of a Windows program as tells what it is.
var program = "MZ" + strings.Repeat("\x00", 58) + "\x40\x00\x00\x00" + "PE\x00\x00" + strings.Repeat("\x00", 64)

// shortcut begins as a Windows shortcut does.
var shortcut = "L\x00\x00\x00\x01\x14\x02\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00F" + strings.Repeat("\x00", 56)

// archived is a zip file of names and contents in turn.
func archived(t testing.TB, pairs ...string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(pairs); i += 2 {
		f, err := w.Create(pairs[i])
		if err == nil {
			_, err = f.Write([]byte(pairs[i+1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func mailed(name, content string) *engine.Mail {
	raw := fmt.Sprintf("From: Ann <ann@example.com>\r\nTo: bob@example.net\r\nSubject: Files\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n"+
		"--x\r\nContent-Type: text/plain\r\n\r\nHere they are.\r\n--x\r\nContent-Type: application/octet-stream; name=%q\r\nContent-Transfer-Encoding: base64\r\n\r\n%s\r\n--x--\r\n",
		name, base64.StdEncoding.EncodeToString([]byte(content)))
	return &engine.Mail{Message: message.Parse([]byte(raw), message.Limits{})}
}

func symbols(t testing.TB, c *signatures.Check, m *engine.Mail) string {
	t.Helper()
	hits, err := c.Inspect(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, h := range hits {
		names = append(names, h.Symbol)
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), " ")
}

// TestNames: what files in archives are and how they are called.
func TestNames(t *testing.T) {
	for _, c := range []struct {
		name  string
		files []string
		want  string
	}{
		{"a program", []string{"setup.exe", program}, "ARCHIVE_PROGRAM"},
		{"a program without a telling name", []string{"data", program}, "ARCHIVE_PROGRAM"},
		{"a text", []string{"setup.txt", "hello"}, ""},
		{"a program called a document", []string{"report.pdf", program}, "ARCHIVE_PROGRAM FILE_FALSE_NAME"},
		{"a document and a screensaver in one name", []string{"report.pdf.scr", program}, "ARCHIVE_PROGRAM FILE_DOUBLE_EXTENSION"},
		{"a version in a name", []string{"report.v2.pdf", "%PDF-1.4\n"}, ""},
		{"a name shown backwards", []string{"bill\u202efdp.exe", program}, "ARCHIVE_PROGRAM FILE_TURNED_NAME"},
		{"a script alone", []string{"invoice.js", "var a = 1;"}, "ARCHIVE_SCRIPT"},
		{"scripts among sources", []string{"src/a.js", "var a = 1;", "src/b.js", "var b = 2;", "src/c.html", "hello", "src/d.css", "x", "src/e.txt", "e", "README", "readme", "build.bat", "make", "LICENSE", "free"}, ""},
		{"a shortcut", []string{"report.lnk", shortcut}, "ARCHIVE_SHORTCUT"},
		{"a shortcut called a document", []string{"report.pdf.lnk", shortcut}, "ARCHIVE_SHORTCUT FILE_DOUBLE_EXTENSION"},
		{"padding behind the name", []string{"report.pdf .exe ", program}, "ARCHIVE_PROGRAM FILE_DOUBLE_EXTENSION"},
	} {
		if got := symbols(t, signatures.New(signatures.Config{}), mailed("files.zip", archived(t, c.files...))); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestLimitsAreFindings: a message that is not looked at to its end says so.
func TestLimitsAreFindings(t *testing.T) {
	deep := archived(t, "a.txt", "hello")
	for range 5 {
		deep = archived(t, "a.zip", deep)
	}
	var many []string
	for i := range 50 {
		many = append(many, fmt.Sprint(i), fmt.Sprint("text ", i))
	}
	zeros := archived(t, "zeros", strings.Repeat("\x00", 17<<20))
	for _, c := range []struct {
		name, content string
		limits        format.Limits
		want          string
	}{
		{"deep", deep, format.Limits{Depth: 3}, "UNPACK_LIMIT_DEPTH"},
		{"deep enough", deep, format.Limits{Depth: 10}, ""},
		{"many", archived(t, many...), format.Limits{Members: 20}, "UNPACK_LIMIT_MEMBERS"},
		{"few enough", archived(t, many...), format.Limits{Members: 60}, ""},
		{"zeros", zeros, format.Limits{}, "UNPACK_LIMIT_RATIO"},
		{"zeros allowed", zeros, format.Limits{Ratio: 2000, MemberBytes: 20 << 20, Open: 64 << 20}, ""},
		{"bytes", zeros, format.Limits{Ratio: 2000, MemberBytes: 1 << 20}, "UNPACK_LIMIT_BYTES"},
	} {
		if got := symbols(t, signatures.New(signatures.Config{Limits: c.limits}), mailed("files.zip", c.content)); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestSiteSignatures: rules and hashes of a directory are found in an archive in
// an archive, those marked suspicious do not condemn, and a file that does not
// compile leaves the others in force.
func TestSiteSignatures(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("own.yar", `
rule Certain { strings: $a = "certainly bad" condition: $a }
rule Doubtful : suspicious { meta: points = "2.5" strings: $a = "doubtfully bad" condition: $a }
rule Scored { meta: score = 60 strings: $a = "somewhat bad" condition: $a }
rule Named { strings: $a = "by its name" condition: $a and extension == "dat" and sender_domain == "example.com" and kind == "member" }
`)
	write("broken.yar", "rule Broken { condition: nonsense }\n")
	write("known.hdb", "5d41402abc4b2a76b9719d911017c592:5:Test.Hello\n# a comment\nno signature\n")
	write("known.ndb", "Test.Text:0:*:7472616e736c61746564\n")
	set, err := signatures.Load(false, []string{dir})
	if err != nil {
		t.Fatal(err)
	}
	r := set.Report()
	if r.Hashes != 1 {
		t.Errorf("%d hashes", r.Hashes)
	}
	problems := fmt.Sprint(r.Problems)
	if !strings.Contains(problems, "known.hdb") {
		t.Errorf("the bad line is not named: %s", problems)
	}
	check := signatures.New(signatures.Config{Set: set})
	inspect := func(name, text string) string {
		t.Helper()
		inner := archived(t, name, text)
		hits, err := check.Inspect(t.Context(), mailed("a.zip", archived(t, "b.zip", inner)))
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(hits)
	}
	if got := inspect("x", "hello"); got != "[{VIRUS_SIGNATURE Test.Hello 0}]" {
		t.Errorf("hash: %s", got)
	}
	if yara.Available() != nil {
		t.Skipf("SKIPPED: YARA is unavailable: %v", yara.Available())
	}
	if r.Rules != 5 || !strings.Contains(problems, "broken.yar") {
		t.Errorf("%d rules; %s", r.Rules, problems)
	}
	for text, want := range map[string]string{
		"this is certainly bad":  "[{VIRUS_SIGNATURE Certain 0}]",
		"this is doubtfully bad": "[{SIGNATURE_SUSPICIOUS Doubtful 2.5}]",
		"this is somewhat bad":   "[{SIGNATURE_SUSPICIOUS Scored 1}]",
		"this is translated":     "[{VIRUS_SIGNATURE Test.Text 0}]",
		"this is good":           "[]",
	} {
		if got := inspect("x.txt", text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	if got := inspect("x.dat", "known by its name"); got != "[{VIRUS_SIGNATURE Named 0}]" {
		t.Errorf("externals: %s", got)
	}
	if got := inspect("x.txt", "known by its name"); got != "[]" {
		t.Errorf("externals: %s", got)
	}
}

// TestEveryMarkHasASymbol: what unpacking marks is never lost.
func TestEveryMarkHasASymbol(t *testing.T) {
	text, err := os.ReadFile("unpack/format/format.go")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "= \"")
		value, _, closed := strings.Cut(value, "\"")
		if !ok || !closed || strings.Contains(name, "Kind") {
			continue
		}
		n++
		if !signatures.Prices(value) {
			t.Errorf("the mark %s (%s) has no symbol", strings.TrimSpace(name), value)
		}
	}
	if n < 30 {
		t.Errorf("only %d marks", n)
	}
}

// TestGTUBE: the test message of spam filters is spam, and no virus.
func TestGTUBE(t *testing.T) {
	gtube := "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD" + "-ANTI-UBE-TEST-EMAIL*C.34X"
	check := signatures.New(signatures.Config{})
	plan, err := engine.NewPlan(engine.PlanConfig{Checks: []engine.Check{check}, Prices: check.Prices()})
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(plan, engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	v := e.Judge(t.Context(), &engine.Mail{Message: message.Parse([]byte("Subject: test\r\n\r\n"+gtube+"\r\n"), message.Limits{})})
	if v.Score < 99.9 || v.Virus != "" {
		t.Errorf("score %v, virus %q", v.Score, v.Virus)
	}
}

// TestTar is here for the difference: names in a tar file count as in a zip file.
func TestTar(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "report.pdf.exe", Mode: 0o600, Size: int64(len(program))}); err != nil {
		t.Fatal(err)
	}
	w.Write([]byte(program))
	w.Close()
	if got := symbols(t, signatures.New(signatures.Config{}), mailed("files.tar", b.String())); got != "ARCHIVE_PROGRAM FILE_DOUBLE_EXTENSION" {
		t.Error(got)
	}
}
