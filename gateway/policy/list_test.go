package policy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"spamcatcher/gateway/domain"
)

func listOf(t testing.TB, text string) *List {
	t.Helper()
	l, errs := ParseList("list", []byte(strings.ReplaceAll(text, " ", "\n")))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return l
}

func TestListMatch(t *testing.T) {
	l := listOf(t, `joe@Example.COM example.org .example.net .deep.example.net mail.example.test .nz bücher.example "two@one"@example.com [192.0.2.7] dot.example.`)
	for _, c := range []struct{ address, entry string }{
		{"joe@example.com", "joe@example.com"},
		{"JOE@EXAMPLE.COM", "joe@example.com"},
		{"joe@example.com.", "joe@example.com"},
		{"joan@example.com", ""},
		{"joe@sub.example.com", ""},
		{"xjoe@example.com", ""},
		{"a@example.org", "example.org"},
		{"a@sub.example.org", ""}, // subdomains only when written .domain
		{"a@notexample.org", ""},
		{"a@example.net", ".example.net"},
		{"a@x.example.net", ".example.net"},
		{"a@x.y.example.net", ".example.net"},
		{"a@x.deep.example.net", ".deep.example.net"},
		{"a@notexample.net", ""},
		{"a@mail.example.test", "mail.example.test"},
		{"a@example.test", ""},
		{"a@kiwi.co.nz", ".nz"},
		{"a@xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"a@BÜCHER.example", "xn--bcher-kva.example"},
		{`"two@one"@example.com`, "two@one@example.com"},
		{"a@[192.0.2.7]", "[192.0.2.7]"},
		{"a@[192.0.2.8]", ""},
		{"a@dot.example", "dot.example"},
	} {
		folded, ok := foldAddress(c.address)
		if !ok {
			t.Errorf("%s is no address", c.address)
			continue
		}
		if _, entry := l.match(folded); entry != c.entry {
			t.Errorf("%s matches %q, want %q", c.address, entry, c.entry)
		}
	}
	if rank, _ := (*List)(nil).match("a@example.com"); rank != 0 {
		t.Error("the nil list matches")
	}
}

func TestLoadList(t *testing.T) {
	path := filepath.Join(t.TempDir(), "approvedsenders")
	text := "\xEF\xBB\xBF# people\r\n\r\n  joe@example.com  # colleague\r\nexample.org\r\n\t.example.net\n" + // lines 1 to 5
		"@example.com\njoe@\na b@example.com\nexample..com\n*.example.com\nhttp://example.com/\n" + // 6 to 11, all bad
		"#\nlast@example.com"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, errs := LoadList(path)
	if l.Len() != 4 {
		t.Errorf("%d entries, want 4", l.Len())
	}
	if len(errs) != 6 {
		t.Fatalf("%d errors, want 6: %v", len(errs), errs)
	}
	for i, err := range errs {
		if want := path + ":" + string("6789"[min(i, 3)]); i < 4 && !strings.HasPrefix(err.Error(), want+":") {
			t.Errorf("error %d is %q, want it to begin with %q", i, err, want)
		}
	}
	if !strings.Contains(errs[4].Error(), ":10: \"*.example.com\"") {
		t.Errorf("error %q does not name line and entry", errs[4])
	}
	if l, errs := LoadList(filepath.Join(t.TempDir(), "absent")); l.Len() != 0 || len(errs) != 1 || !strings.Contains(errs[0].Error(), "absent") {
		t.Errorf("absent file: %d entries, errors %v", l.Len(), errs)
	}
}

func FuzzList(f *testing.F) {
	f.Add("joe@example.com\n.example.org # x\n[192.0.2.1]\n\"a b\"@example.com\nbücher.example")
	f.Add("@\n..\n.\n[\n\"@\n\\\"@a\n\xff@\xff\n[ipv6:::1]")
	f.Fuzz(func(t *testing.T, text string) {
		l, errs := ParseList("f", []byte(text))
		lines := strings.Count(text, "\n") + 1
		if l.Len()+len(errs) > lines {
			t.Fatalf("%d entries and %d errors from %d lines", l.Len(), len(errs), lines)
		}
		for a := range l.addresses {
			if rank, _ := l.match(a); rank != addressRank {
				t.Fatalf("entry %q does not match itself", a)
			}
		}
		for d := range l.domains {
			if again, ok := domain.Fold(d); !ok || again != d {
				t.Fatalf("folding is not stable: %q %q", d, again)
			}
		}
	})
}
