package auth

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"math/big"
	mrand "math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
	"spamcatcher/gateway/lookup/lookuptest"
)

const letter = "From: Ann <ann@example.com>\r\nTo: bob@example.org\r\nSubject: Lunch \r\n  on Friday\r\nDate: Mon, 23 Nov 2026 09:00:00 +0000\r\n\r\nHello  Bob, \r\n\r\nlunch at\tnoon?\r\n\r\n\r\n"

var letterFields = []string{"From", "To", "Subject", "Date"}

// sealWith signs as the library does not: with l=, or tags of one's own. It is
// written out here once more, so that what it makes does not come from what is
// tested; the tests without extra tags compare it with the library.
func sealWith(t testing.TB, raw, field, tags string, names []string, key crypto.Signer) string {
	t.Helper()
	header, _, _ := strings.Cut(raw, "\r\n\r\n")
	var signed strings.Builder
	used := map[string]int{}
	lines := strings.Split(strings.ReplaceAll(header, "\r\n ", " "), "\r\n")
	relaxed := func(line string) string {
		name, value, _ := strings.Cut(line, ":")
		return strings.ToLower(name) + ":" + strings.Join(strings.Fields(value), " ")
	}
	for _, name := range names {
		skip := used[strings.ToLower(name)]
		used[strings.ToLower(name)]++
		for i := len(lines) - 1; i >= 0; i-- {
			if n, _, _ := strings.Cut(lines[i], ":"); strings.EqualFold(n, name) {
				if skip == 0 {
					signed.WriteString(relaxed(lines[i]) + "\r\n")
					break
				}
				skip--
			}
		}
	}
	line := field + ": " + tags + "; b="
	signed.WriteString(relaxed(line))
	digest := sha256.Sum256([]byte(signed.String()))
	var opts crypto.SignerOpts = crypto.SHA256
	if _, isRSA := key.(*rsa.PrivateKey); !isRSA {
		opts = crypto.Hash(0)
	}
	b, err := key.Sign(rand.Reader, digest[:], opts)
	if err != nil {
		t.Fatal(err)
	}
	return line + b64(b) + "\r\n" + raw
}

func digestOf(text string) []byte {
	h := sha256.Sum256([]byte(text))
	return h[:]
}

func bh(body string) string { return b64(digestOf(body)) }

// relaxedLetter is the body of letter in the relaxed form.
const relaxedLetter = "Hello Bob,\r\n\r\nlunch at noon?\r\n"

func results(list []engine.Signature) string {
	var all []string
	for _, s := range list {
		word := s.Result
		if s.Partial {
			word += "/partial"
		}
		if s.Testing {
			word += "/testing"
		}
		all = append(all, word)
	}
	return strings.Join(all, " ")
}

func TestDKIM(t *testing.T) {
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	// Keys that nobody signs with: only their length matters.
	public := func(bits int) *rsa.PrivateKey {
		n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
		return &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: 65537}}
	}
	zone := fmt.Sprintf(`
ed._domainkey.example.com TXT %q
rsa._domainkey.example.com TXT %q
short._domainkey.example.com TXT %q
weak._domainkey.example.com TXT %q
huge._domainkey.example.com TXT %q
testing._domainkey.example.com TXT %q
strict._domainkey.example.com TXT %q
revoked._domainkey.example.com TXT v=DKIM1; p=
two._domainkey.example.com TXT %q
two._domainkey.example.com TXT %q
down._domainkey.example.com SERVFAIL
sha1only._domainkey.example.com TXT %q
web._domainkey.example.com TXT %q
giant._domainkey.example.com TXT %q
garbage._domainkey.example.com TXT some text
`, edRecord(), rsaRecord(t, rsaKey()), rsaRecord(t, short), rsaRecord(t, public(1000)), rsaRecord(t, public(4104)), edRecord()+"; t=y", edRecord()+"; t=s", edRecord(), edRecord(),
		edRecord()+"; h=sha1", edRecord()+"; s=web", edRecord()+"; n="+strings.Repeat("x", 9000))
	now := time.Unix(1_800_000_000, 0)
	v, err := New(Config{Resolver: lookuptest.Zone(t, zone), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	base := func(selector string) string {
		return "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.com; s=" + selector + "; h=from:to:subject:date; bh=" + bh(relaxedLetter)
	}
	own := func(tags string) string { return sealWith(t, letter, "DKIM-Signature", tags, letterFields, edKey()) }
	with := func(old, new string) string { return strings.Replace(base("ed"), old, new, 1) }
	libED := string(sign(t, []byte(letter), "example.com", "ed", edKey(), "relaxed", "relaxed", letterFields...))

	bigED := string(sign(t, []byte(letter+strings.Repeat("A line  of text. \r\n", maxLibraryBody/18)), "example.com", "ed", edKey(), "simple", "relaxed", letterFields...))
	libED1 := own(base("ed"))

	for _, c := range []struct{ name, raw, want string }{
		{"not signed", letter, ""},
		{"the library's", libED, "pass"},
		{"ours", own(base("ed")), "pass"},
		{"RSA", string(sign(t, []byte(letter), "example.com", "rsa", rsaKey(), "relaxed", "simple", letterFields...)), "pass"},
		{"RSA, simple", string(sign(t, []byte(letter), "example.com", "rsa", rsaKey(), "simple", "simple", letterFields...)), "pass"},
		{"1024 bits", string(sign(t, []byte(letter), "example.com", "short", short, "simple", "relaxed", letterFields...)), "pass"},
		{"two", string(sign(t, []byte(libED), "example.com", "rsa", rsaKey(), "relaxed", "relaxed", letterFields...)), "pass pass"},
		{"a body that the library is not given", bigED, "pass"},
		{"a body that the library is not given, changed", bigED + "x", "fail"},
		{"a field above", "Received: by mx.example.org; now\r\n" + libED, "pass"},
		{"subject changed", strings.Replace(libED, "Lunch", "Money", 1), "fail"},
		{"body changed", strings.Replace(libED, "noon", "nine", 1), "fail"},
		{"body longer", libED + "more\r\n", "fail"},
		{"white space and empty lines changed", strings.Replace(libED, "Hello  Bob, ", "Hello Bob,\t", 1) + "\r\n", "pass"},
		{"line ends of LF", strings.ReplaceAll(libED, "\r\n", "\n"), "pass"},
		{"no body", sealWith(t, "From: a@example.com\r\n\r\n", "DKIM-Signature", "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.com; s=ed; h=from; bh="+bh(""), []string{"from"}, edKey()), "pass"},
		{"no empty line", strings.TrimSuffix(sealWith(t, "From: a@example.com\r\n\r\n", "DKIM-Signature", "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.com; s=ed; h=from; bh="+bh(""), []string{"from"}, edKey()), "\r\n"), "pass"},
		{"simple empty body", sealWith(t, "From: a@example.com\r\n\r\n", "DKIM-Signature", "v=1; a=ed25519-sha256; c=relaxed; d=example.com; s=ed; h=from; bh="+bh("\r\n"), []string{"from"}, edKey()), "pass"},

		// l=: RFC 6376 section 8.2.
		{"l= of all", own(base("ed") + "; l=" + fmt.Sprint(len(relaxedLetter))), "pass"},
		{"l= of all, then more", own(base("ed")+"; l="+fmt.Sprint(len(relaxedLetter))) + "spam\r\n", "policy/partial"},
		{"l= of a part", own(with(bh(relaxedLetter), bh("Hello")) + "; l=5"), "policy/partial"},
		{"l=0", own(with(bh(relaxedLetter), bh("")) + "; l=0"), "policy/partial"},
		{"l= beyond the end", own(base("ed") + "; l=100000"), "fail"},
		{"l= of 76 digits", own(base("ed") + "; l=" + strings.Repeat("9", 76)), "fail"},
		{"l= negative", own(base("ed") + "; l=-1"), "permerror"},

		// What was added behind the signer's back.
		{"a second From above", "From: eve@example.net\r\n" + libED, "policy"},
		{"a second From below", strings.Replace(libED, "\r\nTo:", "\r\nFrom: eve@example.net\r\nTo:", 1), "fail"},
		{"a second Subject above", "Subject: Win\r\n" + libED, "policy"},
		{"oversigned From, a second one added", "From: eve@example.net\r\n" + sealWith(t, letter, "DKIM-Signature", with("h=from:", "h=from:from:"), append([]string{"from", "from"}, letterFields[1:]...), edKey()), "fail"},
		{"h= names the signature's own field", sealWith(t, letter, "DKIM-Signature", with("h=from:", "h=dkim-signature:from:"), append([]string{"DKIM-Signature"}, letterFields...), edKey()), "pass"},
		{"h= names another signature", sealWith(t, libED1, "DKIM-Signature", with("h=from:", "h=dkim-signature:from:"), append([]string{"DKIM-Signature"}, letterFields...), edKey()), "pass pass"},
		{"oversigned From", sealWith(t, letter, "DKIM-Signature", with("h=from:", "h=from:from:"), append([]string{"from", "from"}, letterFields[1:]...), edKey()), "pass"},

		// Time.
		{"expired", own(base("ed") + "; x=1700000000"), "fail"},
		{"expired a minute ago", own(base("ed") + "; x=1799999940"), "pass"},
		{"expires tomorrow", own(base("ed") + "; t=1799999000; x=1800086400"), "pass"},
		{"expires before it began", own(base("ed") + "; t=1800086400; x=1800000000"), "permerror"},
		{"t= is no number", own(base("ed") + "; t=now"), "permerror"},

		// Keys.
		{"key missing", own(base("missing")), "permerror"},
		{"key revoked", own(base("revoked")), "permerror"},
		{"two keys", own(base("two")), "permerror"},
		{"no answer", own(base("down")), "temperror"},
		{"1000 bits", own(strings.Replace(base("weak"), "ed25519", "rsa", 1)), "fail"},
		{"4104 bits", own(strings.Replace(base("huge"), "ed25519", "rsa", 1)), "fail"},
		{"testing key, good", own(base("testing")), "pass/testing"},
		{"testing key, bad", strings.Replace(own(base("testing")), "noon", "nine", 1), "neutral/testing"},
		{"strict key, i= the same", own(base("strict") + "; i=ann@example.com"), "pass"},
		{"strict key, i= below", own(base("strict") + "; i=ann@mail.example.com"), "permerror"},
		{"key for SHA-1 only", own(base("sha1only")), "permerror"},
		{"key for web only", own(base("web")), "permerror"},
		{"key of 9 kB", own(base("giant")), "permerror"},
		{"key is some text", own(base("garbage")), "permerror"},
		{"key of another kind", own(base("rsa")), "permerror"},

		// Tags.
		{"i= below", own(base("ed") + "; i=@mail.example.com"), "pass"},
		{"i= elsewhere", own(base("ed") + "; i=ann@example.net"), "permerror"},
		{"i= of a similar name", own(base("ed") + "; i=ann@evilexample.com"), "permerror"},
		{"i= without @", own(base("ed") + "; i=example.com"), "permerror"},
		{"i= with a coded @", own(base("ed") + "; i=ann=40example.com"), "pass"},
		{"From not signed", own(with("h=from:", "h=")), "permerror"},
		{"SHA-1", own(with("a=ed25519-sha256", "a=rsa-sha1")), "fail"},
		{"another algorithm", own(with("a=ed25519-sha256", "a=dsa-sha256")), "permerror"},
		{"another canonicalisation", own(with("relaxed/relaxed", "nofws")), "permerror"},
		{"another version", own(with("v=1", "v=2")), "permerror"},
		{"no version", own(with("v=1; ", "")), "permerror"},
		{"another query", own(base("ed") + "; q=http"), "permerror"},
		{"queries, one known", own(base("ed") + "; q=http:dns/txt"), "pass"},
		{"domain twice", own(base("ed") + "; d=example.com"), "permerror"},
		{"no domain", own(with("d=example.com; ", "")), "permerror"},
		{"domain is none", own(with("d=example.com", "d=a b..c")), "permerror"},
		{"a tag without value", own(base("ed") + "; zz"), "permerror"},
		{"an unknown tag", own(base("ed") + "; zz=b=b"), "pass"},
		{"bh= is no base64", own(with("bh=", "bh=!")), "permerror"},
		{"empty field", "DKIM-Signature:\r\n" + letter, "permerror"},
		{"h= of 201 names", own(with("h=from:", "h=from:"+strings.Repeat("x:", 197))), "permerror"},
		{"h= of 200 names", own(with("h=from:", "h=from:"+strings.Repeat("x:", 196))), "pass"},
	} {
		list := v.dkim(t.Context(), newSigned(message.Parse([]byte(c.raw), message.Limits{})), "example.com")
		if got := results(list); got != c.want {
			t.Errorf("%s: %q (%s), want %q", c.name, got, reasons(list), c.want)
		}
	}
}

func TestKeys(t *testing.T) {
	public := func(bits int) string {
		n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
		return rsaRecord(t, &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: 65537}})
	}
	for _, c := range []struct{ text, want string }{
		{edRecord(), ""},
		{"p=" + strings.TrimPrefix(rsaRecord(t, rsaKey()), "v=DKIM1; k=rsa; p="), ""},
		{public(1023), "key of 1023 bits"},
		{public(1024), ""},
		{public(4096), ""},
		{public(4097), "key of 4097 bits"},
		{public(16384), "key too long"},
		{"v=DKIM2; " + edRecord()[len("v=DKIM1; "):], "key record of another version"},
		{edRecord()[len("v=DKIM1; "):] + "; v=DKIM1", "key record of another version"},
		{"v=DKIM1; k=ed25519", "key record without key"},
		{"v=DKIM1; k=ed25519; p=AAAA", "key of a wrong length"},
		{"v=DKIM1; k=gost; p=AAAA", "key of an unknown kind"},
		{"v=DKIM1; p=AAAA", "key cannot be read"},
		{"v=DKIM1; p=A", "key is no base64"},
		{"", "key record without key"},
	} {
		_, p := parseKey(c.text)
		if got := fmt.Sprint(p); p == nil && c.want != "" || p != nil && got != c.want {
			t.Errorf("%.60s: %v, want %s", c.text, p, c.want)
		}
	}
}

// One result for all signatures: a pass before all, then what leaves it open.
func TestSummary(t *testing.T) {
	for results, want := range map[string]string{
		"": None, "pass": Pass, "temperror pass fail": Pass, "fail temperror": TempError, "permerror fail": Fail,
		"permerror policy": Policy, "neutral permerror": Neutral, "permerror": PermError, "policy fail": Fail,
	} {
		var list []engine.Signature
		for _, word := range strings.Fields(results) {
			list = append(list, engine.Signature{Result: word})
		}
		if got := summary(list); got != want {
			t.Errorf("%s: %s, want %s", results, got, want)
		}
	}
}

// The author's signature is looked at, wherever in the pile it is.
func TestDKIMAuthorFirst(t *testing.T) {
	v, fake := verifier(t, fmt.Sprintf("ed._domainkey.example.com TXT %q\n", edRecord()))
	signed := string(sign(t, []byte(letter), "example.com", "ed", edKey(), "relaxed", "relaxed", letterFields...))
	var pile strings.Builder
	for i := range 40 {
		fmt.Fprintf(&pile, "DKIM-Signature: v=1; a=rsa-sha256; d=d%d.example.net; s=x; h=from; bh=AAAA; b=AAAA\r\n", i)
	}
	list := v.dkim(t.Context(), newSigned(parse([]byte(pile.String()+signed))), "example.com")
	if got := results(list); got != "permerror permerror permerror permerror pass" {
		t.Errorf("%s", got)
	}
	if n := len(fake.Asked()); n != 5 {
		t.Errorf("%d questions", n)
	}
}

// Our verification is the library's: of messages that were signed, and then
// changed here and there, both say the same.
func TestOwnVerificationIsTheLibrarys(t *testing.T) {
	r := mrand.New(mrand.NewPCG(1, 2))
	pieces := []string{" ", "\t", "\r\n", "\r\n\r\n", "a", "=", ";", "b=", ":", "\r\n ", ".", "é", "\x00", "  \r\n", "Subject: x\r\n"}
	text := func(n int) string {
		var b strings.Builder
		for range r.IntN(n) {
			b.WriteString(pieces[r.IntN(len(pieces))])
		}
		return b.String()
	}
	good, bad := 0, 0
	for i := range 3000 {
		raw := "From: ann@example.com\r\nSubject: " + strings.ReplaceAll(text(6), "\r\n\r\n", "") + "x\r\nTo: b@example.org\r\n\r\n" + text(20)
		if strings.Contains(raw, "\x00") || strings.Contains(raw[:strings.Index(raw, "\r\n\r\n")], "\r\n ") && i%2 == 0 {
			continue
		}
		can := []dkim.Canonicalization{"simple", "relaxed"}
		var out bytes.Buffer
		if dkim.Sign(&out, strings.NewReader(raw), &dkim.SignOptions{Domain: "example.com", Selector: "ed", Signer: edKey(), Hash: crypto.SHA256,
			HeaderCanonicalization: can[r.IntN(2)], BodyCanonicalization: can[r.IntN(2)], HeaderKeys: []string{"From", "Subject", "To", "Subject"}}) != nil {
			continue
		}
		signed := out.Bytes()
		if i%3 == 0 {
			at := bytes.Index(signed, []byte("\r\nFrom:")) + r.IntN(len(signed)-bytes.Index(signed, []byte("\r\nFrom:")))
			signed = append(append(append([]byte(nil), signed[:at]...), pieces[r.IntN(4)]...), signed[at:]...)
		}
		m := newSigned(parse(signed))
		fields := m.named("dkim-signature")
		if len(fields) == 0 {
			continue
		}
		s, p := parseSignature(fields[0])
		if p != nil {
			continue // the change made From a part of it
		}
		k, p := parseKey(edRecord())
		if p != nil {
			t.Fatal(p)
		}
		_, ours := s.verify(m, k)
		theirs := s.byLibrary(m, k)
		if (ours == nil) != (theirs == nil) {
			t.Errorf("we say %v, the library %v of %q", ours, theirs, signed)
		}
		if ours == nil {
			good++
		} else {
			bad++
		}
	}
	if good < 500 || bad < 100 {
		t.Errorf("%d good, %d bad: this compares nothing", good, bad)
	}
}

// FuzzDKIM: any message gives words, never a panic, never more keys than allowed.
func FuzzDKIM(f *testing.F) {
	f.Add([]byte(letter))
	f.Add(sign(f, []byte(letter), "example.com", "ed", edKey(), "relaxed", "relaxed", letterFields...))
	f.Add(sign(f, []byte(letter), "example.com", "ed", edKey(), "simple", "simple", letterFields...))
	f.Add([]byte(sealWith(f, letter, "DKIM-Signature", "v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.com; s=ed; l=5; h=from:to:subject:date; bh="+bh("Hello"), letterFields, edKey())))
	f.Add([]byte("DKIM-Signature: v=1; a=rsa-sha256; d=example.com; s=ed; h=from; bh=AA==; b=AA==\n\tFrom: a\nFrom\n:\n\nx"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		v, fake := verifier(t, fmt.Sprintf("*.example.com TXT %q\n", edRecord()))
		a := v.Verify(t.Context(), &engine.Mail{Message: message.Parse(raw, message.Limits{})}, SPF{Result: Fail, Domain: "example.com"})
		if n := len(fake.Asked()); n > 5+maxDMARCQueries+maxARCKeys {
			t.Fatalf("%d questions", n)
		}
		for _, s := range a.Signatures {
			if s.Result == "" || strings.HasPrefix(s.Reason, "fault") {
				t.Fatalf("%+v", s)
			}
		}
		if a.DKIM == "" || a.DMARC == "" || a.ARC == "" || a.DKIM == Pass && len(a.Signatures) == 0 {
			t.Fatalf("%+v", a)
		}
	})
}
