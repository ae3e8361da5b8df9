package main

import (
	"fmt"
	"strings"
	"testing"

	"spamcatcher/gateway/lookup/lookuptest"
)

// TestDNSTest: the state of each resolver and list, and what they know of a
// client and a domain.
func TestDNSTest(t *testing.T) {
	dns := lookuptest.Serve(t, `
		. NS a.root.example.
		2.0.0.127.good.example.  A 127.0.0.2
		99.2.0.192.good.example. A 127.0.0.2
		99.2.0.192.good.example. TXT "192.0.2.99 sends spam"
		*.world.example.         A 127.0.0.2
		; closed.example answers nothing, not even about its test
		test.names.example.      A 127.0.0.2
		bad.example.names.example. A 127.0.0.4
		99.2.0.192.in-addr.arpa. PTR host.example.org.
		host.example.org.        A 192.0.2.99
		bad.example.             MX 10 mail.bad.example.
	`)
	dns.Set(lookuptest.Fault{Below: "dead.example", Rcode: 2})
	config := write(t, "spamcatcher.toml", fmt.Sprintf(`
[dns]
servers = [%q, %q]
[lists]
builtin = false
[[list]]
zone = "good.example"
[[list]]
zone = "world.example"
[[list]]
zone = "closed.example"
[[list]]
zone = "dead.example"
[[list]]
zone = "off.example"
mode = "off"
[[list]]
zone = "names.example"
of = ["links"]
codes = ["127.0.0.4 PHISH 4"]
`, dns.Addr, closedPort(t)))

	out, errs, code := cli(t, "", "dns", "test", "--config", config)
	if code != 1 {
		t.Errorf("lists that cannot be used: exit code %d %s", code, errs)
	}
	for _, want := range []string{
		"ok   resolver " + dns.Addr, "answers in", "does not answer",
		"ok   list good.example", "FAIL list world.example", "FAIL list closed.example", "-    list dead.example", "-    list off.example", "ok   list names.example",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	checked, errs, code := cli(t, "", "config", "check", "--config", config)
	if code != 0 {
		t.Errorf("config check: exit code %d %s", code, errs)
	}
	for _, want := range []string{"ok   resolver " + dns.Addr, "FAIL list world.example", "[[list]]\nzone = \"good.example\"", `ptr = "score"`} {
		if !strings.Contains(checked, want) {
			t.Errorf("no %q in what config check prints:\n%s", want, checked)
		}
	}

	out, _, code = cli(t, "", "dns", "test", "--config", config, "192.0.2.99", "bad.example", "192.0.2.1", "no.example")
	if code != 0 {
		t.Errorf("what was asked is known: exit code %d\n%s", code, out)
	}
	for _, want := range []string{
		"is host.example.org, which has this address", "is listed by good.example as LIST_GOOD_EXAMPLE: 192.0.2.99 sends spam",
		"its mail goes to mail.bad.example", "is listed by names.example as LIST_NAMES_EXAMPLE_PHISH",
		"192.0.2.1                      has no PTR record", "no.example                     does not exist",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if _, errs, code := cli(t, "", "dns", "test", "--config", config, "not a name"); code != 1 {
		t.Errorf("what is no name: exit code %d %s", code, errs)
	}
}
