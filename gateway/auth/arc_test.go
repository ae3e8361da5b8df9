package auth

import (
	"crypto"
	"fmt"
	"strings"
	"testing"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
)

// addSet adds an ARC set to a message, whose header fields are one line each.
func addSet(t testing.TB, raw string, i int, cv, domain string) string {
	_, body, _ := strings.Cut(raw, "\r\n\r\n")
	return addSetTags(t, raw, i, cv, domain, "; bh="+bh(body))
}

// addSetTags is addSet with some tags of the message signature given.
func addSetTags(t testing.TB, raw string, i int, cv, domain, tags string) string {
	t.Helper()
	results := fmt.Sprintf("ARC-Authentication-Results: i=%d; %s; dkim=pass", i, domain)
	signed := sealWith(t, raw, "ARC-Message-Signature", fmt.Sprintf("i=%d; a=ed25519-sha256; c=relaxed/relaxed; d=%s; s=ed; h=from:subject%s", i, domain, tags), []string{"from", "subject"}, edKey())
	raw = results + "\r\n" + signed

	var all strings.Builder
	header, _, _ := strings.Cut(raw, "\r\n\r\n")
	line := func(name string, n int) string {
		for l := range strings.SplitSeq(header, "\r\n") {
			if strings.HasPrefix(l, fmt.Sprintf("%s: i=%d;", name, n)) {
				_, value, _ := strings.Cut(l, ":")
				return strings.ToLower(name) + ":" + strings.Join(strings.Fields(value), " ")
			}
		}
		t.Fatalf("no %s %d", name, n)
		return ""
	}
	for n := 1; n <= i; n++ {
		all.WriteString(line("ARC-Authentication-Results", n) + "\r\n" + line("ARC-Message-Signature", n) + "\r\n")
		if n < i {
			all.WriteString(line("ARC-Seal", n) + "\r\n")
		}
	}
	seal := fmt.Sprintf("ARC-Seal: i=%d; a=ed25519-sha256; cv=%s; d=%s; s=ed; b=", i, cv, domain)
	all.WriteString("arc-seal:" + strings.TrimPrefix(seal, "ARC-Seal: "))
	digest := digestOf(all.String())
	b, err := edKey().Sign(nil, digest, crypto.Hash(0))
	if err != nil {
		t.Fatal(err)
	}
	return seal + b64(b) + "\r\n" + raw
}

// RFC 8617 section 4.1.3: a seal names no fields and hashes no body.
func TestSeal(t *testing.T) {
	const good = "ARC-Seal: i=1; a=ed25519-sha256; cv=none; d=a.example; s=ed; t=1; b=AAAA"
	for line, want := range map[string]bool{
		good: true, good + "; h=from": false, good + "; bh=AAAA": false, good + "; d=b.example": false, good + "; zz=1": true,
		strings.Replace(good, "sha256", "sha1", 1): false, strings.Replace(good, "cv=none; ", "", 1): false,
		strings.Replace(good, "AAAA", "?", 1): false, strings.Replace(good, "t=1", "t=x", 1): false, strings.Replace(good, "a.example", "a..example", 1): false,
	} {
		if _, p := parseSeal(headerField{"arc-seal", []byte(line + "\r\n")}); (p == nil) != want {
			t.Errorf("%s: %v", line, p)
		}
	}
}

func TestARC(t *testing.T) {
	zone := "ed._domainkey.down.example SERVFAIL\n"
	for i := range 8 {
		zone += fmt.Sprintf("ed._domainkey.a%d.example TXT %q\n", i, edRecord())
	}
	v, fake := verifier(t, zone)
	const plain = "From: ann@example.com\r\nSubject: Lunch\r\n\r\nOn Friday?\r\n"
	one := addSet(t, plain, 1, None, "a1.example")
	two := addSet(t, one, 2, Pass, "a2.example")
	chainOf := func(n int, domain func(int) string) string {
		raw := plain
		for i := 1; i <= n; i++ {
			cv := Pass
			if i == 1 {
				cv = None
			}
			raw = addSet(t, raw, i, cv, domain(i))
		}
		return raw
	}
	same := func(int) string { return "a1.example" }
	other := func(i int) string { return fmt.Sprintf("a%d.example", i) }
	without := func(raw, line string) string {
		var kept []string
		for l := range strings.SplitSeq(raw, "\r\n") {
			if !strings.HasPrefix(l, line) {
				kept = append(kept, l)
			}
		}
		return strings.Join(kept, "\r\n")
	}
	for _, c := range []struct{ name, raw, want string }{
		{"none", plain, "none  0"},
		{"one", one, "pass a1.example 1"},
		{"two", two, "pass a2.example 2"},
		{"fifty", chainOf(50, same), "pass a1.example 50"},
		{"instance 51", strings.Replace(one, "i=1;", "i=51;", 1), "fail  0"},
		{"instance 0", strings.Replace(one, "i=1;", "i=0;", 1), "fail  0"},
		{"instance of words", strings.Replace(one, "i=1;", "i=one;", 1), "fail  0"},
		{"instance of three digits", strings.ReplaceAll(one, "i=1;", "i=001;"), "fail  0"},
		{"many seals of one instance", strings.Repeat("ARC-Seal: i=1\r\n", 151) + plain, "fail  1"},
		{"signature over a part of the body", addSetTags(t, plain, 1, None, "a1.example", "; l=0; bh="+bh("")), "fail a1.example 1"},
		{"signature over l= of all", addSetTags(t, plain, 1, None, "a1.example", "; l=12; bh="+bh("On Friday?\r\n")), "pass a1.example 1"},
		{"three sealers", chainOf(3, other), "pass a3.example 3"},
		{"four sealers", chainOf(4, other), "temperror a4.example 4"},
		{"a set is missing", without(without(without(two, "ARC-Seal: i=1"), "ARC-Message-Signature: i=1"), "ARC-Authentication-Results: i=1"), "fail  2"},
		{"a seal is missing", without(two, "ARC-Seal: i=1"), "fail  2"},
		{"results are missing", without(one, "ARC-Authentication-Results"), "fail  1"},
		{"a seal twice", two[:strings.Index(two, "\r\n")+2] + two, "fail  2"},
		{"subject changed", strings.Replace(two, "Lunch", "Money", 1), "fail a2.example 2"},
		{"body changed", strings.Replace(two, "Friday", "Monday", 1), "fail a2.example 2"},
		{"results of the first changed", strings.Replace(two, "a1.example; dkim=pass", "a1.example; dkim=fail", 1), "fail a2.example 2"},
		{"subject changed between", addSet(t, strings.Replace(one, "Lunch", "[club] Lunch", 1), 2, Pass, "a2.example"), "pass a2.example 2"},
		{"cv=fail", addSet(t, one, 2, Fail, "a2.example"), "fail a2.example 2"},
		{"cv=none later", addSet(t, one, 2, None, "a2.example"), "fail a2.example 2"},
		{"cv=pass first", addSet(t, plain, 1, Pass, "a1.example"), "fail a1.example 1"},
		{"key missing", addSet(t, plain, 1, None, "nokey.example"), "fail nokey.example 1"},
		{"no answer", addSet(t, plain, 1, None, "down.example"), "temperror down.example 1"},
	} {
		before := len(fake.Asked())
		a := v.Verify(t.Context(), &engine.Mail{Message: message.Parse([]byte(c.raw), message.Limits{})}, SPF{})
		if got := fmt.Sprintf("%s %s %d", a.ARC, a.Sealer, a.Chain); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if n := len(fake.Asked()) - before; n > maxARCKeys+maxDMARCQueries {
			t.Errorf("%s: %d questions", c.name, n)
		}
	}
}
