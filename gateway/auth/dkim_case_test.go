package auth

import (
	"fmt"
	"strings"
	"testing"
)

// Names and words may be written in any case: RFC 6376 sections 3.1 and 3.5. A
// signature is no worse for what the library takes by the letter.
func TestDKIMInAnyCase(t *testing.T) {
	const text = "From: <ann@example.com>\r\nTo: x@example.net\r\n\r\nhello\r\n"
	for _, c := range []struct{ name, tags, key string }{
		{"as usual", "d=example.com; i=@example.com;", edRecord()},
		{"d=", "d=Example.com; i=@example.com;", edRecord()},
		{"i=", "d=example.com; i=Ann@Example.COM;", edRecord()},
		{"i= below", "d=example.com; i=Ann@Mail.Example.COM;", edRecord()},
		{"both", "d=Example.COM; i=Ann@Example.com;", edRecord()},
		{"final dot", "d=example.com.;", edRecord()},
		{"q=", "d=example.com; q=DNS/TXT;", edRecord()},
		{"q= of two", "d=example.com; q=x/y:dns/txt;", edRecord()},
		{"t= above 63 bits", "d=example.com; t=99999999999999999999;", edRecord()},
		{"h= of the key", "d=example.com;", strings.Replace(edRecord(), "k=", "h=SHA256; k=", 1)},
		{"s= of the key", "d=example.com;", strings.Replace(edRecord(), "k=", "s=Email; k=", 1)},
	} {
		v, _ := verifier(t, fmt.Sprintf("ed._domainkey.example.com TXT %q\n", c.key))
		tags := "v=1; a=ed25519-sha256; c=relaxed/relaxed; s=ed; h=from:to; " + c.tags + " bh=" + bh("hello\r\n")
		a := v.Verify(t.Context(), mail(sealWith(t, text, "DKIM-Signature", tags, []string{"from", "to"}, edKey())), SPF{Result: None})
		if a.DKIM != Pass || !a.Aligned {
			t.Errorf("%s: %s", c.name, reasons(a.Signatures))
		}
		forged := strings.Replace(sealWith(t, text, "DKIM-Signature", tags, []string{"from", "to"}, edKey()), "From: <ann@", "From: <eve@", 1)
		if a := v.Verify(t.Context(), mail(forged), SPF{Result: None}); a.DKIM != Fail {
			t.Errorf("%s, forged: %s", c.name, reasons(a.Signatures))
		}
	}
}
