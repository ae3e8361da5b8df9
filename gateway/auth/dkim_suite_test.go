package auth

import (
	"bufio"
	"bytes"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
	"spamcatcher/gateway/lookup/lookuptest"
)

func parse(raw []byte) *message.Message { return message.Parse(crlf(raw), message.Limits{}) }

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// reasons joins why signatures did not pass.
func reasons(list []engine.Signature) string {
	var all []string
	for _, s := range list {
		all = append(all, s.Result+": "+s.Reason)
	}
	return strings.Join(all, "; ")
}

// TestDKIMSuitePerl runs the corpus of Mail::DKIM. Most of it is signed with
// SHA-1 or keys of 512 bits, which no verifier may accept since RFC 8301: of
// these we must say so, and nothing else. DomainKeys (RFC 4870) is no DKIM.
func TestDKIMSuitePerl(t *testing.T) {
	folder := suite(t, "dkim/mail-dkim-perl")
	var zone strings.Builder
	for lines := bufio.NewScanner(bytes.NewReader(read(t, filepath.Join(folder, "FAKE_DNS.dat")))); lines.Scan(); {
		name, value, ok := strings.Cut(strings.TrimSpace(lines.Text()), " ")
		value = strings.TrimSpace(value)
		switch {
		case !ok || strings.HasPrefix(name, "#") || value == "NXDOMAIN":
		case strings.HasPrefix(value, "~~"):
			fmt.Fprintf(&zone, "%s SERVFAIL\n", name)
		default:
			fmt.Fprintf(&zone, "%s TXT %q\n", name, value)
		}
	}
	v, err := New(Config{Resolver: lookuptest.Zone(t, zone.String())})
	if err != nil {
		t.Fatal(err)
	}
	// What the drafts before RFC 4871 wrote otherwise: no v=, no bh=, q=dns.
	draft := regexp.MustCompile(`unknown version|no bh=|no way to the key`)
	cases, passed, refused, obsolete, drafts, other := 0, 0, 0, 0, 0, 0
	for _, m := range regexp.MustCompile(`test_email\(\s*"(\S+)",\s*"(\w+)"\s*\)`).FindAllStringSubmatch(string(read(t, filepath.Join(folder, "verifier.t"))), -1) {
		cases++
		file, want := m[1], m[2]
		list := v.dkim(t.Context(), newSigned(parse(read(t, filepath.Join(folder, "corpus", file)))), "")
		got := summary(list)
		why := reasons(list)
		switch {
		case got == None && (strings.Contains(file, "dk_") || strings.Contains(file, "ietf00")):
			other++
		case want == Pass && got == Pass:
			passed++
		case want != Pass && got != Pass:
			refused++
		case want == Pass && (strings.Contains(why, "sha1") || strings.Contains(why, "key of 512 bits")):
			obsolete++
		case want == Pass && draft.MatchString(why):
			drafts++
		default:
			t.Errorf("%s: %s (%s), want %s", file, got, why, want)
		}
	}
	if cases != 79 || passed != 1 || obsolete != 12 || drafts != 16 {
		t.Errorf("%d cases of which %d passed", cases, passed)
	}
	t.Logf("FIGURES dkim mail-dkim-perl: %d cases, %d pass as wanted, %d do not pass as wanted, %d refused by RFC 8301 (sha1, 512 bits), %d refused as drafts before RFC 4871, %d are DomainKeys", cases, passed, refused, obsolete, drafts, other)
}

// TestDKIMSuites verifies the signed messages of dkimpy and MimeKit.
func TestDKIMSuites(t *testing.T) {
	folder := suite(t, "dkim")
	block, _ := pem.Decode([]byte("-----BEGIN PUBLIC KEY-----\n" + between(string(read(t, filepath.Join(folder, "mimekit/gmail.pub"))), "KEY-----", "-----END") + "-----END PUBLIC KEY-----\n"))
	if block == nil {
		t.Fatal("no key of gmail")
	}
	// The keys of RFC 8463 appendix A.2.
	rfc := `brisbane._domainkey.football.example.com TXT "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
test._domainkey.football.example.com TXT "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
`
	zone := rfc + fmt.Sprintf("20120113._domainkey.gmail.com TXT \"k=rsa; p=%s\"\n", b64(block.Bytes))
	v, err := New(Config{Resolver: lookuptest.Zone(t, zone)})
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"mimekit/gmail.msg":                     "pass",
		"mimekit/rfc8463-example.msg":           "pass pass",
		"dkimpy/data/rfc6376.signed.msg":        "pass pass",
		"dkimpy/data/rfc6376.signed.rsa.msg":    "pass",
		"dkimpy/data/rfc6376.signed.no_t.msg":   "fail",
		"dkimpy/data/test.message":              "",
		"mimekit/multipart-no-end-boundary.msg": "pass",
	} {
		list := v.dkim(t.Context(), newSigned(parse(read(t, filepath.Join(folder, filepath.FromSlash(file))))), "")
		var got []string
		for _, s := range list {
			got = append(got, s.Result)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %s, want %s", file, reasons(list), want)
		}
	}
}

func between(s, a, b string) string {
	_, s, _ = strings.Cut(s, a)
	s, _, _ = strings.Cut(s, b)
	return s
}
