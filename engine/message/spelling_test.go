package message

import (
	"strings"
	"testing"
	"time"
)

func TestSpelling(t *testing.T) {
	for text, want := range map[string]Spelling{
		"":                              {},
		"Hello dear friend, at home.":   {Words: 4, Plain: 5, Length: 21},
		"a b cde":                       {Plain: 3, Length: 5, Single: 2},
		"he.llo fri-end yo_ur acc*ount": {Words: 4, Broken: 4},
		"h3llo fr1end 4ccount c4sh":     {Words: 4, Leet: 4},
		"order26 96boards build2":       {Words: 3},
		"x86_64 1st 2nd 30th":           {Words: 0},
		"https://example.com/some/path user@example.com a=bcde": {},
		"__init__ **bold**":               {},
		"e-mail is well-known. Really...": {Words: 3, Broken: 2, Plain: 2, Length: 8},
		"привет, друзья":                  {Words: 2, Plain: 2, Length: 12},
		"नमस्ते दुनिया":                   {Words: 1},
		"こんにちは 世界":                        {},
		"ac·count":                        {Words: 1, Broken: 1},
		"pаypal account":                  {Words: 2, Masked: 1, Plain: 2, Length: 13}, // Cyrillic а
		"раypal":                          {Words: 1, Masked: 1, Plain: 1, Length: 6},
		"acco\u200bunt pa\u00adssword":    {Words: 2, Masked: 2, Plain: 2, Length: 15},
		"ａｃｃｏｕｎｔ 𝐩𝐚𝐬𝐬𝐰𝐨𝐫𝐝":          {Words: 2, Masked: 2, Plain: 2, Length: 15},
		"acce\u0301unt café Straße": {Words: 3, Masked: 1, Plain: 3, Length: 17},
		"люди είναι":                {Words: 2, Plain: 2, Length: 9},
	} {
		if got := spell(text); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}

func TestSkeletonTakesOffDisguises(t *testing.T) {
	for _, c := range []struct{ name, kind, body, want string }{
		{"marks", "plain", "De.ar cus-tomer yo_ur pack*age can.not be deli.vered wi-thout pay_ment to.day", "dear customer your package cannot be delivered without payment today"},
		{"few marks stay", "plain", "The well-known e-mail of the customer was not delivered because nobody answered there", "the well-known e-mail of"},
		{"digits", "plain", "De4r cust0mer y0ur p4ckage c4nnot be del1vered w1thout p4yment tod4y", "dear customer your package cannot be delivered without payment today"},
		{"few digits stay", "plain", "Dear customer the p4ckage was not delivered because nobody answered there", "the p4ckage was"},
		{"addresses stay", "plain", "De.ar cus-tomer yo_ur pack*age can.not be deli.vered see http://www.example.com/a-b.html", "see http://www.example.com/a-b.html"},
		{"override", "plain", "\u202etnuocca ruoy yfirev\u202c now", "verify your account now"},
		{"override to the end of the line", "plain", "\u202etnuocca ruoy\n\nverify", "your account\nverify"},
		{"override of Hebrew", "plain", "\u202eשלום\u202c", "שלום"},
		{"bdo", "html", `<p><bdo dir="RTL">tnuocca <b>ruoy</b></bdo> now</p>`, "account your now"},
		{"bdo that changes nothing", "html", `<bdo dir="ltr">your account</bdo>`, "your account"},
		{"style", "html", `<span style="unicode-bidi:bidi-override;direction:rtl">tnuocca ruoy</span> now`, "your account now"},
		{"style sheet", "html", `<style>.x{unicode-bidi:bidi-override;direction:rtl}</style><i class=x>tnuocca ruoy</i> now`, "your account now"},
		{"direction alone", "html", `<span style="direction:rtl">your account</span> now`, "your account now"},
	} {
		m := Parse([]byte("Subject: x\r\nContent-Type: text/"+c.kind+"; charset=utf-8\r\n\r\n"+c.body+"\r\n"), Limits{})
		if got := m.Skeleton(); !strings.Contains(got, c.want) {
			t.Errorf("%s: skeleton %q lacks %q", c.name, got, c.want)
		}
	}
}

// TestTurnRoundIsLinear: overrides without end, and without number.
func TestTurnRoundIsLinear(t *testing.T) {
	for name, unit := range map[string]string{"closed": override + "a" + pop, "open": override + "a", "lines": override + "a\n"} {
		text := strings.Repeat(unit, 200_000)
		begin := time.Now()
		turnRound(text)
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("%s: %v for %d bytes", name, took, len(text))
		}
	}
}
