package fingerprint

import (
	"strings"
	"testing"
)

func TestShapes(t *testing.T) {
	for link, want := range map[string]string{
		"https://shop.example/spring/offer.html":                        "shop.example/spring/offer.html",
		"http://WWW.Shop.Example:8080/Spring/Offer.HTML#top":            "shop.example/spring/offer.html",
		"https://a1b2c3.shop.example/c/84711/offer.html?id=f00&u=17":    "*.shop.example/c/*/offer.html?id&u",
		"https://click.shop.example/c/99999/offer.html?id=other&u=2":    "click.shop.example/c/*/offer.html?id&u",
		"https://shop.example/renew/ZXhhbXBsZUBleGFtcGxlLm5ldA":         "shop.example/renew/*",
		"https://shop.example/verify?eyJhbGciOiJIUzI1NiJ9":              "shop.example/verify?*",
		"http://192.0.2.7/login/verify.php?email=x@example.net":         "192.0.2.7/login/verify.php?email",
		"https://user.pages.example/~anna/2026-11-22/a_long_title-here": "user.pages.example/~anna/*-*-*/a_long_title-here",
	} {
		m := plainMail("someone@example.net", link)
		p := printOf(m, Link)
		if p == nil {
			t.Errorf("%s: no fingerprint", link)
		} else if p.Of != want {
			t.Errorf("%s: shape %q, want %q", link, p.Of, want)
		}
	}
}

// TestLinks: what mailings change makes no difference, what tells them apart
// does.
func TestLinks(t *testing.T) {
	text := func(host, id string) string {
		return "Open https://" + id + "." + host + "/account/secure/" + id + "/login.php?session=" + id + " or https://" + host + "/support/ticket/" + id + " now"
	}
	a := printOf(plainMail("x@example.net", text("blue-harbor.com", "81a7f6c2")), Links)
	b := printOf(plainMail("y@example.net", text("qwertz-parcel.com", "99e1d0b4")), Links)
	if a == nil || b == nil || a.ID != b.ID {
		t.Errorf("the same links in another domain: %+v and %+v", a, b)
	}
	c := printOf(plainMail("y@example.net", strings.Replace(text("qwertz-parcel.com", "99e1d0b4"), "support", "garden", 1)), Links)
	if c == nil || c.ID == a.ID {
		t.Error("other links have the same fingerprint")
	}
	// Nothing is asked about links that tell nothing, or lead to the recipient's
	// own network.
	for _, quiet := range []string{"https://shop.example/", "https://shop.example/1/2/3?77", "https://docs.google.com/forms/d/e/1FAIpQLSd8x/viewform?usp=sf_link", "https://shop.example/unsub/ZXhhbXBsZUBleGFtcGxlLm5ldA", "mailto:x@shop.example"} {
		if p := printOf(plainMail("y@example.net", quiet), Link); p != nil {
			t.Errorf("%s is asked about as %q", quiet, p.Of)
		}
		if p := printOf(plainMail("y@example.net", quiet), Links); p != nil {
			t.Errorf("%s is asked about as %q", quiet, p.Of)
		}
	}
}

// TestMost: a message is asked about in at most six queries, the text first.
func TestMost(t *testing.T) {
	var text strings.Builder
	text.WriteString(invoice)
	for i := range 50 {
		text.WriteString("https://shop.example/" + strings.Repeat(string(rune('a'+i%26)), 1+i/26) + "-offer/spring.html\n")
	}
	list := Of(plainMail("x@example.net", text.String()))
	if len(list) != maxPrints || list[0].Kind != Fuzzy || list[1].Kind != Text || list[2].Kind != Links {
		t.Errorf("fingerprints %+v", list)
	}
}
