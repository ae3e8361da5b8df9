package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"spamcatcher/gateway/lookup/lookuptest"
)

// TestScoreNetwork: what a listed, an unauthenticated and an authenticated
// message score differs as it should, and nothing is asked without --network.
func TestScoreNetwork(t *testing.T) {
	dns := lookuptest.Serve(t, `
		1.2.0.192.in-addr.arpa.  PTR mail.lind.example.org.
		mail.lind.example.org.   A   192.0.2.1
		lind.example.org.        MX  10 mail.lind.example.org.
		lind.example.org.        TXT "v=spf1 ip4:192.0.2.1 -all"
		_dmarc.lind.example.org. TXT "v=DMARC1; p=reject"
		2.0.0.127.clients.example. A 127.0.0.2
		9.2.0.192.clients.example. A 127.0.0.2
		test.links.example.        A 127.0.0.2
		bad.example.links.example. A 127.0.0.4
	`)
	config := write(t, "spamcatcher.toml", fmt.Sprintf(`
[dns]
servers = [%q]
[policy]
spf = "enforce"
dnsbl = "enforce"
[lists]
builtin = false
[[list]]
zone = "clients.example"
points = 3
[[list]]
zone = "links.example"
of = ["links"]
codes = ["127.0.0.4 PHISH 4"]
`, dns.Addr))
	linked := goodMessage + "\nThe drawings are at http://www.bad.example/plan\n"
	type result struct {
		Score   float64
		Symbols []struct{ Name string }
		Answers map[string]string
	}
	ask := func(message string, args ...string) (r result, symbols string) {
		t.Helper()
		out, errs, code := cli(t, strings.ReplaceAll(message, "\n", "\r\n"), append([]string{"score", "--json", "--config", config, "-"}, args...)...)
		if code != 0 {
			t.Fatalf("score %q: %s", args, errs)
		}
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatal(err)
		}
		for _, s := range r.Symbols {
			symbols += s.Name + " "
		}
		return r, symbols
	}
	from := []string{"--network", "--helo", "mail.lind.example.org", "--from", "karin@lind.example.org", "--client"}

	plain, symbols := ask(linked)
	if n := dns.Queries(); n > 0 || strings.Contains(symbols, "SPF") || strings.Contains(symbols, "LIST_") || plain.Answers != nil {
		t.Errorf("without --network: %d questions, symbols %s", n, symbols)
	}
	proved, symbols := ask(goodMessage, append(from, "192.0.2.1")...)
	for _, want := range []string{"SPF_PASS", "DMARC_PASS", "DKIM_NONE"} {
		if !strings.Contains(symbols, want) {
			t.Errorf("authenticated: no %s in %s", want, symbols)
		}
	}
	unproved, symbols := ask(goodMessage, append(from, "192.0.2.2")...)
	for _, want := range []string{"SPF_FAIL", "DMARC_FAIL_REJECT", "PTR_MISSING"} {
		if !strings.Contains(symbols, want) {
			t.Errorf("unauthenticated: no %s in %s", want, symbols)
		}
	}
	listed, symbols := ask(goodMessage, append(from, "192.0.2.9")...)
	if !strings.Contains(symbols, "LIST_CLIENTS_EXAMPLE") {
		t.Errorf("listed: %s", symbols)
	}
	phish, symbols := ask(linked, append(from, "192.0.2.1")...)
	if !strings.Contains(symbols, "LIST_LINKS_EXAMPLE_PHISH") || phish.Answers["links.example bad.example"] != "127.0.0.4" {
		t.Errorf("a listed link: %s, answers %v", symbols, phish.Answers)
	}
	if !(proved.Score < unproved.Score && unproved.Score < listed.Score && proved.Score < phish.Score) {
		t.Errorf("scores: authenticated %.2f, unauthenticated %.2f, also listed %.2f, listed link %.2f", proved.Score, unproved.Score, listed.Score, phish.Score)
	}
	if _, errs, code := cli(t, "", "score", "--client", "here", "-"); code != exitUsage || !strings.Contains(errs, "--client") {
		t.Errorf("a client that is no address: %d %s", code, errs)
	}
}
