package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"spamcatcher/rules/builtin"
)

const offerRules = `header   SITE_OFFER   Subject =~ /special offer/i
describe SITE_OFFER   Makes a special offer
score    SITE_OFFER   5
meta     SITE_BOTH    SITE_OFFER && SITE_LINK
uri      SITE_LINK    m{^https?://[^/]+\.example\.net/}
header   SITE_LISTED  eval:check_rbl('x', 'list.example.')
strange_setting 1
`

const offerMail = "From: a@example.com\r\nSubject: A special offer\r\nDate: Tue, 5 Mar 2024 10:15:00 +0000\r\n\r\nhttp://shop.example.net/now\r\n"

func TestSpamAssassinRules(t *testing.T) {
	dir := t.TempDir()
	rules := filepath.Join(dir, "local.cf")
	if err := os.WriteFile(rules, []byte(offerRules), 0o600); err != nil {
		t.Fatal(err)
	}
	message := write(t, "offer.eml", offerMail)

	// The report names what can't be expressed, with its place.
	out, errs, code := cli(t, "", "rules", "check", "--state", t.TempDir(), "--spamassassin", rules)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	wantText(t, "the report", out, "4 rules: 3 exact, 0 approximate, 1 refused", "asks DNS lists",
		rules+":6: SITE_LISTED refused: asks DNS lists", rules+":7: strange_setting refused: unknown setting")

	// In the score: beside the built-in rules, and alone, where 5 points of
	// rules are a score of 50 (without what Bayes says).
	config := write(t, "config.toml", fmt.Sprintf("spamassassin_rules = [%q]\n", dir))
	out, errs, code = cli(t, "", "score", "--explain", "--state", t.TempDir(), "--config", config, message)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	wantText(t, "the explanation", out, "+3.47  SITE_OFFER", "Makes a special offer", "+0.69  SITE_BOTH", "+0.69  SITE_LINK")
	config = write(t, "alone.toml", fmt.Sprintf("builtin_rules = false\nspamassassin_rules = [%q]\n", rules))
	out, errs, code = cli(t, "", "score", "--explain", "--state", t.TempDir(), "--config", config, message)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	wantText(t, "the explanation", out, "+3.47  SITE_OFFER")
	if strings.Contains(out, "SUBJECT_") {
		t.Errorf("a built-in rule is there though they are off:\n%s", out)
	}

	// What can't be read is a usage error that names the setting.
	config = write(t, "wrong.toml", "spamassassin_rules = [\"/does/not/exist\"]\n")
	_, errs, code = cli(t, "", "score", "--state", t.TempDir(), "--config", config, message)
	if code != 2 || !strings.Contains(errs, "spamassassin_rules") {
		t.Errorf("exit code %d, %q; want 2 and the setting's name", code, errs)
	}
}

// TestSiteRuleStands: where a site's rule has the name of a built-in one, the
// site's is the one that counts, and expressions that name the other go on.
func TestSiteRuleStands(t *testing.T) {
	list, err := builtin.Rules()
	if err != nil {
		t.Fatal(err)
	}
	symbol := ""
	for _, r := range list {
		if !r.Term() && r.Symbol == "MIME_HTML_ONLY" {
			symbol = r.Symbol
		}
	}
	if symbol == "" {
		t.Fatal("the built-in rule of this test is gone; take another that SpamAssassin has too")
	}
	rules := write(t, "site.cf", "body "+symbol+" /now/\nscore "+symbol+" 4\n")
	config := write(t, "config.toml", fmt.Sprintf("spamassassin_rules = [%q]\n", rules))
	out, errs, code := cli(t, "", "score", "--explain", "--state", t.TempDir(), "--config", config, write(t, "offer.eml", offerMail))
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	wantText(t, "the explanation", out, "+2.77  "+symbol)
	out, _, _ = cli(t, "", "rules", "check", "--state", t.TempDir(), "--spamassassin", rules)
	wantText(t, "the report", out, symbol+" is also a rule of this program: the site's stands")
}
