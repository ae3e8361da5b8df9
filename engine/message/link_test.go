package message

import (
	"slices"
	"testing"
)

func TestParseLink(t *testing.T) {
	for _, c := range []struct {
		url, norm, host string
		flags           string // of I(P), P(unycode), U(serInfo), O(bfuscated)
	}{
		{"http://Example.COM", "http://example.com/", "example.com", ""},
		{"HTTP://EXAMPLE.com:80/%7Efoo?q=%2f#x", "http://example.com/~foo?q=%2F#x", "example.com", ""},
		{"https://example.com:8443/a", "https://example.com:8443/a", "example.com", ""},
		{"https://example.com.:443/", "https://example.com/", "example.com", ""},
		{" http://exam\r\n ple.com/\t", "http://exam ple.com/", "exam ple.com", ""},
		{"http://ex\tample.com/", "http://example.com/", "example.com", ""},
		{"www.example.com/x", "http://www.example.com/x", "www.example.com", ""},
		{"example.com/x", "http://example.com/x", "example.com", ""},
		{"//example.com/x", "http://example.com/x", "example.com", ""},
		{`http:\\example.com\x`, `http://example.com/x`, "example.com", "O"},
		{"http:///example.com/x", "http://example.com/x", "example.com", "O"},
		{"hxxp://example.com/", "http://example.com/", "example.com", "O"},
		{"http://good.example.com@203.0.113.9/", "http://203.0.113.9/", "203.0.113.9", "IU"},
		{"http://3405803785/", "http://203.0.113.9/", "203.0.113.9", "IO"},
		{"http://0xcb007109/", "http://203.0.113.9/", "203.0.113.9", "IO"},
		{"http://0313.0.0161.011/", "http://203.0.113.9/", "203.0.113.9", "IO"},
		{"http://203.28937/", "http://203.0.113.9/", "203.0.113.9", "IO"},
		{"http://[2001:db8::1]:80/x", "http://[2001:db8::1]/x", "2001:db8::1", "I"},
		{"http://%65xample.com/", "http://example.com/", "example.com", "O"},
		{"http://b\u00fccher.example.com/", "http://xn--bcher-kva.example.com/", "xn--bcher-kva.example.com", "P"},
		{"http://\uff45xample.com/", "http://example.com/", "example.com", "O"},
		{"http://example\u3002com/", "http://example.com/", "example.com", "O"},
		{"mailto:Ann@Example.ORG?subject=x", "mailto:Ann@Example.ORG?subject=x", "example.org", ""},
		{"javascript:alert(1)", "javascript:alert(1)", "", ""},
		{"tel:+123", "tel:+123", "", ""},
		{"#top", "", "", "-"},
		{"page.html", "", "", "-"},
		{"/path", "", "", "-"},
		{"cid:123", "", "", "-"},
		{"", "", "", "-"},
	} {
		l, _, ok := parseLink(c.url)
		if !ok {
			if c.flags != "-" {
				t.Errorf("%q is no link", c.url)
			}
			continue
		}
		flags := ""
		for _, f := range []struct {
			on   bool
			name string
		}{{l.IP, "I"}, {l.Punycode, "P"}, {l.UserInfo, "U"}, {l.Obfuscated, "O"}} {
			if f.on {
				flags += f.name
			}
		}
		if l.Norm != c.norm || l.Host != c.host || flags != c.flags {
			t.Errorf("%q: norm %q, host %q, flags %q; expected %q, %q, %q", c.url, l.Norm, l.Host, flags, c.norm, c.host, c.flags)
		}
	}
}

func TestScan(t *testing.T) {
	for _, c := range []struct {
		text string
		urls []string
	}{
		{"see http://example.com/a, or (https://example.net/b).", []string{"http://example.com/a", "https://example.net/b"}},
		{"go to www.example.com now", []string{"www.example.com"}},
		{"go to WWW.example.com!", []string{"WWW.example.com"}},
		{"example.com/path and 10/20 or and/or", []string{"example.com/path"}},
		{"a@example.com/x nor foo.barx/x nor file.zip/x", nil},
		{"http://example.com/wiki/A_(b)", []string{"http://example.com/wiki/A_(b)"}},
		{"<http://example.com>", []string{"http://example.com"}},
		{"hxxps://example.com/x", []string{"hxxps://example.com/x"}},
		{"std::map://x c://y", nil},
		{"2001.01.02/03", nil},
		{"http://", nil},
		{"\u4e2dhttp://example.com/\u4e2d", []string{"http://example.com/\u4e2d"}},
	} {
		f := finder{lim: 100, found: new(defects)}
		f.scan(c.text, "text")
		var urls []string
		for _, l := range f.links {
			if l.Source == "text" {
				urls = append(urls, l.URL)
			}
		}
		if !slices.Equal(urls, c.urls) {
			t.Errorf("%q: %q, expected %q", c.text, urls, c.urls)
		}
	}
}

func TestLinks(t *testing.T) {
	raw := "List-Unsubscribe: <mailto:u@example.org>, <https://example.org/u>\r\nContent-Type: text/html\r\n\r\n" +
		`<a href="http://evil.example.net/login">https://www.example.com/login</a>` +
		`<a href="http://click.example.com/?u=1">www.example.com</a>` +
		`<a href="https://example.net/r?url=https%3A%2F%2Fwww.example.org%2Fx&amp;y=z">example.org</a>` +
		`<a href="https://example.net/r/aHR0cDovL2hpZGRlbi5leGFtcGxlLm9yZy94">click</a>` +
		`<a href="https://example.net/r?u=http%253A%252F%252Ftwice.example.org">report.pdf</a>` +
		`<p><a href="https://guard.example.net/v3/__https:/www.example.org/a__;!!x">www.example.org/a</a>` +
		`<p><a href="https://guard.example.net/v2/url?u=http-3A__www.example.org_a-2Db_&d=x">http://www.example.org/a-b/</a>` +
		`<img src=http://img.example.net/p.gif><form action=http://form.example.net/></form><map><area href=http://area.example.net></map>` +
		`<meta http-equiv="Refresh" content="0; URL='http://meta.example.net/'"><div style="background:url(http://css.example.net/x)">` +
		`<button formaction=http://fa.example.net/>go</button><body background=http://bg.example.net/><base href=http://base.example.net/d><a href=rel>x</a>`
	type short struct {
		norm, source string
		deceptive    bool
	}
	var got []short
	for _, l := range Parse([]byte(raw), Limits{}).Links() {
		if l.Source != "text" {
			got = append(got, short{l.Norm, l.Source, l.Deceptive})
		}
	}
	want := []short{
		{"http://evil.example.net/login", "href", true},
		{"http://click.example.com/?u=1", "href", false},
		{"https://example.net/r?url=https%3A%2F%2Fwww.example.org%2Fx&y=z", "href", false},
		{"https://www.example.org/x", "encoded", false},
		{"https://example.net/r/aHR0cDovL2hpZGRlbi5leGFtcGxlLm9yZy94", "href", false},
		{"http://hidden.example.org/x", "encoded", false},
		{"https://example.net/r?u=http%253A%252F%252Ftwice.example.org", "href", false},
		{"http://twice.example.org/", "encoded", false},
		{"https://guard.example.net/v3/__https:/www.example.org/a__;!!x", "href", false},
		{"https://www.example.org/a", "encoded", false},
		{"https://guard.example.net/v2/url?u=http-3A__www.example.org_a-2Db_&d=x", "href", false},
		{"http://www.example.org/a-b/", "encoded", false},
		{"http://img.example.net/p.gif", "image", false},
		{"http://form.example.net/", "form", false},
		{"http://area.example.net/", "area", false},
		{"http://meta.example.net/", "meta", false},
		{"http://css.example.net/x", "style", false},
		{"http://fa.example.net/", "form", false},
		{"http://bg.example.net/", "image", false},
		{"http://base.example.net/d/rel", "href", false},
		{"mailto:u@example.org", "header", false},
		{"https://example.org/u", "header", false},
	}
	if !slices.Equal(got, want) {
		for i := range max(len(got), len(want)) {
			var g, w short
			if i < len(got) {
				g = got[i]
			}
			if i < len(want) {
				w = want[i]
			}
			if g != w {
				t.Errorf("link %d: %+v, expected %+v", i, g, w)
			}
		}
	}
}

func TestAttachedHTML(t *testing.T) {
	raw := "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhi\r\n--b\r\nContent-Type: application/octet-stream; name=form.html\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		b64("<a href=http://example.net/>x</a>") + "--b--\r\n"
	l := Parse([]byte(raw), Limits{}).Links()
	if len(l) != 1 || l[0].Source != "attachment" || l[0].Host != "example.net" {
		t.Errorf("%+v", l)
	}
}
