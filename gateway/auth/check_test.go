package auth

import (
	"slices"
	"strings"
	"testing"

	"spamcatcher/engine"
	"spamcatcher/engine/enginetest"
)

func names(t *testing.T, m *engine.Mail) []string {
	t.Helper()
	hits, err := NewCheck().Inspect(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, h := range hits {
		list = append(list, h.Symbol)
	}
	return list
}

// Every symbol is found in some case, and is nearly found in another.
func TestCases(t *testing.T) {
	found := map[string]bool{}
	enginetest.Run(t, "testdata/*.case", func(t *testing.T, m *engine.Mail) []string {
		list := names(t, m)
		for _, s := range list {
			found[s] = true
		}
		return list
	})
	for _, s := range NewCheck().Symbols() {
		if !found[s.Name] {
			t.Errorf("no case finds %s", s.Name)
		}
		if _, priced := NewCheck().Prices()[s.Name]; !priced || s.Description == "" {
			t.Errorf("%s has no price or no description", s.Name)
		}
	}
	if n := len(NewCheck().Prices()); n != len(NewCheck().Symbols()) {
		t.Errorf("%d prices", n)
	}
}

// What speaks against a sender counts less where there is an excuse.
func TestStrength(t *testing.T) {
	list := "List-Id: Club <club.lists.example.org>\nList-Post: <mailto:club@lists.example.org>\n"
	news := "List-Id: <1234.news.example.org>\nList-Unsubscribe: <https://example.net/u>\n"
	from := func(a engine.Auth) engine.Auth { a.From = "example.com"; return a }
	spf := engine.Auth{SPF: Pass, SPFDomain: "bounce.lists.example.org", DMARC: Fail}
	dkim := engine.Auth{SPF: SoftFail, DMARC: Fail, Policy: "quarantine", Signatures: []engine.Signature{{Domain: "example.com", Result: Fail}, {Domain: "example.org", Result: Pass}}}
	broken := dkim
	broken.Signatures = []engine.Signature{{Domain: "example.org", Result: Fail}}
	reject := spf
	reject.Policy = "reject"
	own := spf
	own.From, own.Policy = "news.example.org", "quarantine"
	for _, c := range []struct {
		header string
		auth   engine.Auth
		symbol string
		want   float64
	}{
		{"", engine.Auth{DMARC: Fail, Policy: "reject"}, "DMARC_FAIL_REJECT", 1},
		{"", engine.Auth{DMARC: Fail, Policy: "reject", ARC: Fail, SealerTrusted: true}, "DMARC_FAIL_REJECT", 1},
		{"", engine.Auth{DMARC: Fail, Policy: "reject", ARC: Pass}, "DMARC_FAIL_REJECT", 1},
		{"", engine.Auth{DMARC: Fail, Policy: "reject", ARC: Pass, SealerTrusted: true}, "DMARC_FAIL_REJECT", 0.8},
		{"", engine.Auth{DMARC: Fail, Policy: "quarantine", ARC: Pass, SealerTrusted: true}, "DMARC_FAIL_QUARANTINE", 0.5},
		{"", engine.Auth{SPF: Fail, ARC: Pass}, "SPF_FAIL", 1},
		{"", engine.Auth{SPF: Fail, ARC: Pass, SealerTrusted: true}, "SPF_FAIL", 0.5},
		// A list proves nothing by its name alone.
		{list, from(engine.Auth{DMARC: Fail, Policy: "quarantine"}), "DMARC_FAIL_QUARANTINE", 1},
		{list, from(spf), "DMARC_FAIL_NONE", 0.5},
		{list, from(reject), "DMARC_FAIL_REJECT", 0.8},
		{list, from(dkim), "DMARC_FAIL_QUARANTINE", 0.5},
		{list, from(dkim), "SPF_SOFTFAIL", 0.5},
		{list, from(broken), "DMARC_FAIL_QUARANTINE", 1},
		{news, from(spf), "DMARC_FAIL_NONE", 0.5},
		{list, own, "DMARC_FAIL_QUARANTINE", 1},
		{list, spf, "DMARC_FAIL_NONE", 1}, // no author
		{"", from(spf), "DMARC_FAIL_NONE", 1},
		{"List-Id: <club.lists.example.org>\n", from(spf), "DMARC_FAIL_NONE", 1},
		{"List-Id: <x>\nList-Unsubscribe: <x>\n", from(spf), "DMARC_FAIL_NONE", 1},
		{"List-Id: <a.example.net>\nList-Unsubscribe: <mailto:x@lists.example.org>\n", from(spf), "DMARC_FAIL_NONE", 1},
		{"", engine.Auth{SPF: Fail}, "SPF_FAIL", 1},
		{"", engine.Auth{SPF: Fail, DKIM: Pass, DMARC: Pass}, "SPF_FAIL", 0.3},
		{"", engine.Auth{SPF: Pass, DKIM: Fail, Aligned: true}, "DKIM_INVALID", 0.3},
		{"", engine.Auth{SPF: Pass, DMARC: Pass}, "SPF_PASS", 1},
		{"", engine.Auth{DMARC: PermError, Unclear: true}, "DMARC_UNCLEAR", 1},
	} {
		m := enginetest.Mail(t, c.header+"From: a@example.com\n\nhello\n")
		m.Auth = c.auth
		hits, err := NewCheck().Inspect(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(hits, func(h engine.Hit) bool { return h.Symbol == c.symbol })
		if i < 0 || hits[i].Strength != c.want {
			t.Errorf("%+v: %+v, want %s with %v", c.auth, hits, c.symbol, c.want)
		}
	}
}

// Who is exempt from the test of SPF has none of its symbols, but those of DMARC.
func TestExemptFromSPF(t *testing.T) {
	for _, result := range []string{Pass, Fail, SoftFail, Neutral, None, TempError, PermError} {
		m := enginetest.Mail(t, "From: a@example.com\n\nhello\n")
		m.Auth = engine.Auth{SPF: result, SPFDomain: "example.com", SPFExempt: true, DMARC: Fail, Policy: "reject"}
		if got := names(t, m); !slices.Equal(got, []string{"DMARC_FAIL_REJECT"}) {
			t.Errorf("%s: %q", result, got)
		}
	}
}

// Authentication that fails counts as it should against that which passes: the
// score moves, by the whole of the distance that the prices promise.
func TestScores(t *testing.T) {
	plan, err := engine.NewPlan(engine.PlanConfig{First: []engine.Check{NewCheck()}, Prices: NewCheck().Prices(), Bias: -5 * engine.Point})
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(plan, engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	score := func(facts string) float64 {
		return e.Judge(t.Context(), enginetest.Mail(t, "From: a@example.com\n\nhello\n", strings.Split(facts, ",")...)).Score
	}
	nothing := score("from a@example.com")
	proved := score("spf pass,dkim pass,dmarc pass reject")
	forged := score("spf fail,dkim none,dmarc fail reject")
	unknown := score("spf temperror,dkim temperror,dmarc temperror,arc temperror")
	if unknown != nothing {
		t.Errorf("DNS trouble made %.1f of %.1f", unknown, nothing)
	}
	if !(proved < nothing && nothing < 10 && forged > 50) {
		t.Errorf("proved %.1f, nothing known %.1f, forged %.1f", proved, nothing, forged)
	}
}
