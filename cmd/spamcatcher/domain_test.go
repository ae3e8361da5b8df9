package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"spamcatcher/gateway/lookup/lookuptest"
	"spamcatcher/gateway/relay/relaytest"
)

// TestDomainCheck: what it finds good and bad about MX, destinations,
// recipients and ETRN.
func TestDomainCheck(t *testing.T) {
	knows := relaytest.Start(t, relaytest.Script{Answer: func(line string) string {
		if strings.HasPrefix(line, "RCPT") {
			return "550 5.1.1 no such user"
		}
		return ""
	}})
	secret, _ := relaytest.Certificate(t, "unrelated.example")
	takesAll := relaytest.Start(t, relaytest.Script{TLS: secret})
	dead := closedPort(t)
	c, err := load(t, ".toml", fmt.Sprintf(`
hostname = "mx.example.net"
[[domain]]
name = "good.example"
destinations = [%[1]q]
verify = "callout"
etrn_from = ["127.0.0.0/8"]
[[domain]]
name = ".all.example"
destinations = [%[2]q]
verify = "callout"
etrn_from = ["192.0.2.1"]
[[domain]]
name = "demanding.example"
destinations = [%[2]q]
tls = "verify"
[[domain]]
name = "down.example"
destinations = [%[3]q]
`, knows.Addr, takesAll.Addr, dead))
	if err != nil {
		t.Fatal(err)
	}
	force, _, err := prepare(c, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	here := lookuptest.Zone(t, `
		good.example.      MX 10 mx.example.net.
		all.example.       MX 10 other.example.
		all.example.       MX 20 alias.example.
		demanding.example. MX 10 elsewhere.example.
		down.example.      MX 0 .
		alias.example.     A 127.0.0.1
		elsewhere.example. A 192.0.2.9
		mx.example.net.    SERVFAIL
		other.example.     SERVFAIL
	`)
	for i, want := range []struct {
		failed bool
		lines  []string
	}{
		{false, []string{"ok   mx           mx.example.net is this machine's name", "ok   destination", "-    tls", "offers none", "ok   recipients", `verify = "callout" works`, "ok   etrn"}},
		{true, []string{"ok   mx           alias.example (127.0.0.1) is this machine", "ok   destination", "ok   tls", "tls_pin = [", "FAIL recipients", "-    etrn", "is not in etrn_from"}},
		{true, []string{"FAIL mx           elsewhere.example: not this machine (mx.example.net)", "FAIL destination", "tls_pin = ["}},
		{true, []string{"FAIL mx           the domain says that it takes no mail", "FAIL destination", "cannot connect"}},
	} {
		var out bytes.Buffer
		check := domainChecker{out: &out, resolver: here, inForce: force}
		if err := check.domain(t.Context(), c.ByDomain[i]); err != nil {
			t.Fatal(err)
		}
		if check.failed != want.failed {
			t.Errorf("%s: failed %v\n%s", c.ByDomain[i].Name, check.failed, &out)
		}
		rest := out.String()
		for _, line := range want.lines {
			_, after, ok := strings.Cut(rest, line)
			if !ok {
				t.Errorf("%s: no %q (in this order) in\n%s", c.ByDomain[i].Name, line, &out)
			}
			rest = after
		}
	}
	if n := takesAll.Count(); n > 0 {
		t.Errorf("the check delivered %d messages", n)
	}
}

// TestDomainListAndShow: what is configured, what waits, and who is down.
func TestDomainListAndShow(t *testing.T) {
	up := relaytest.Start(t, relaytest.Script{})
	state := t.TempDir()
	file := filepath.Join(t.TempDir(), "a.toml")
	if err := os.WriteFile(file, []byte(fmt.Sprintf(`
listen = ["127.0.0.1:0"]
[[domain]]
name = "up.example"
destinations = [%q]
[[domain]]
name = "down.example"
queue = "slow"
destinations = [%q]
`, up.Addr, closedPort(t))+toStderr), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, state, "", "--config", file)
	if err := send(p.address, "a@example.org", []string{"x@up.example", "y@down.example"}, goodMessage); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the finding that a destination is down", func() bool {
		out, _, code := cli(t, "", "domain", "list", "--config", file, "--state", state)
		return code == 0 && strings.Contains(out, "down for") && strings.Contains(out, "up, nothing waits")
	})
	out, _, code := cli(t, "", "domain", "show", "DOWN.example", "--config", file, "--state", state)
	for _, want := range []string{"queue        slow", "servers      down for", "1 waiting (", "0 held, the oldest for"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("code %d, no %q in\n%s", code, want, out)
		}
	}
	if _, errs, code := cli(t, "", "domain", "show", "dwn.example", "--config", file, "--state", state); code != exitUsage || !strings.Contains(errs, "did you mean down.example?") {
		t.Errorf("an unknown domain: code %d, %q", code, errs)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	if out, _, code := cli(t, "", "domain", "list", "--config", file, "--state", state); code != 0 || strings.Count(out, "gateway not running") != 2 {
		t.Errorf("code %d\n%s", code, out)
	}
}

// TestDestinationIsOurselves: mail for a domain whose destination is this very
// gateway waits, and does not go round in a circle.
func TestDestinationIsOurselves(t *testing.T) {
	address := closedPort(t)
	p := start(t, t.TempDir(), fmt.Sprintf("listen = [%q]\n[[domain]]\nname = \"example.net\"\ndestinations = [%[1]q]\n", address))
	if err := send(p.address, "a@example.org", []string{"b@example.net"}, goodMessage); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the finding", func() bool { return strings.Contains(p.log(), "destination is down") })
	if n := strings.Count(p.log(), "msg=message"); n != 1 {
		t.Errorf("the message was taken %d times\n%s", n, p.log())
	}
}

// TestPostmasterOfOurName: RCPT TO:<postmaster> is taken where only customers'
// domains are served, and lies in the Maildir.
func TestPostmasterOfOurName(t *testing.T) {
	sink := relaytest.Start(t, relaytest.Script{})
	p := start(t, t.TempDir(), fmt.Sprintf("hostname = \"mx.example.net\"\noutgoing_smtp = [%q]\n[[domain]]\nname = \"example.org\"\ndestinations = [%[1]q]\n", sink.Addr))
	if err := send(p.address, "a@example.com", []string{"postmaster"}, goodMessage); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the postmaster's mail", func() bool { return len(delivered(t, p.state)) == 1 })
	if n := sink.Count(); n > 0 {
		t.Errorf("%d messages for the postmaster went out", n)
	}
}

// TestVanishedDomainWaits: a domain that is lost while somebody edits the
// configuration loses no mail: what waits for it goes nowhere else, and goes out
// when the domain is back.
func TestVanishedDomainWaits(t *testing.T) {
	outgoing := relaytest.Start(t, relaytest.Script{})
	address := closedPort(t)
	file := filepath.Join(t.TempDir(), "a.toml")
	lost := fmt.Sprintf("[[domain]]\nname = \"lost.example\"\ndestinations = [%q]\n", address)
	rest := fmt.Sprintf("listen = [\"127.0.0.1:0\"]\noutgoing_smtp = [%q]\n", outgoing.Addr) + toStderr + fmt.Sprintf("[[domain]]\nname = \"other.example\"\ndestinations = [%q]\n", outgoing.Addr)
	set := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set(rest + lost)
	p := start(t, t.TempDir(), "", "--config", file)
	if err := send(p.address, "a@example.org", []string{"x@lost.example"}, goodMessage); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the finding that the destination is down", func() bool { return strings.Contains(p.log(), "destination is down") })
	set(rest)
	waitFor(t, "the reload", func() bool { return strings.Contains(p.log(), "these domains have no destinations any more") })
	waitFor(t, "an attempt that finds the domain gone", func() bool {
		out, _, _ := cli(t, "", "queue", "flush", "--config", file, "--state", p.state)
		return strings.Contains(out, "1 due now") && strings.Contains(p.log(), "this domain is not served any more")
	})
	if n := outgoing.Count() + len(delivered(t, p.state)); n > 0 {
		t.Fatalf("the mail of the domain that is gone went elsewhere")
	}
	back := relaytest.StartAt(t, address, relaytest.Script{})
	set(rest + lost)
	waitFor(t, "the mail of the domain that is back", func() bool { return back.Count() == 1 })
	if n := outgoing.Count(); n > 0 {
		t.Errorf("%d messages went elsewhere", n)
	}
}

// TestNoticeWithoutWayOut: with customers, and no server for anything else, what
// goes back to a sender waits in the queue; the Maildir is not the sender.
func TestNoticeWithoutWayOut(t *testing.T) {
	refuses := relaytest.Start(t, relaytest.Script{Answer: func(line string) string {
		if strings.HasPrefix(line, "RCPT") {
			return "550 5.1.1 no such user"
		}
		return ""
	}})
	p := start(t, t.TempDir(), fmt.Sprintf("[[domain]]\nname = \"example.net\"\ndestinations = [%q]\n", refuses.Addr))
	if !strings.Contains(p.log(), "no way out for what goes back to senders") {
		t.Errorf("no warning in\n%s", p.log())
	}
	if err := send(p.address, "a@example.org", []string{"b@example.net"}, goodMessage); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the notification that waits", func() bool {
		out, _, _ := cli(t, "", "queue", "list", "--sender", "<>", "--state", p.state)
		return strings.Contains(out, "deferred") && strings.Contains(out, "<a@example.org>")
	})
	if n := len(delivered(t, p.state)); n > 0 {
		t.Errorf("%d messages in the Maildir", n)
	}
}

// TestOpenToAll: a relay for everybody that the world can reach is not started
// without a word.
func TestOpenToAll(t *testing.T) {
	for text, want := range map[string]bool{
		"listen = [\"0.0.0.0:25\"]\noutgoing_smtp = [\"192.0.2.1\"]":                                  true,
		"listen = [\"[2001:db8::1]:25\"]\noutgoing_smtp = [\"192.0.2.1\"]":                            true,
		"listen = [\":25\"]\noutgoing_smtp = [\"192.0.2.1\"]\n[[domain]]\nname=\"a.example\"":         true,
		"listen = [\"127.0.0.1:25\", \"10.0.0.1:25\"]\noutgoing_smtp = [\"192.0.2.1\"]":               false,
		"listen = [\"0.0.0.0:25\"]\noutgoing_smtp = [\"192.0.2.1\"]\nrelay_domains = [\"a.example\"]": false,
	} {
		c, err := load(t, ".toml", text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if got := strings.Contains(strings.Join(c.Warnings, "\n"), "mail for every domain is relayed"); got != want {
			t.Errorf("%q: warnings %q", text, c.Warnings)
		}
	}
}

// TestPinsUnderTheGlobalPolicy: relay.tls = "verify" is enough for tls_pin.
func TestPinsUnderTheGlobalPolicy(t *testing.T) {
	c, err := load(t, ".toml", "[relay]\ntls = \"verify\"\n[[domain]]\nname = \"a.example\"\ndestinations = [\"192.0.2.1\"]\ntls_pin = [\""+strings.Repeat("5e", 32)+"\"]\n")
	if err != nil {
		t.Fatal(err)
	}
	force, _, err := prepare(c, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r := force.route("x@a.example"); r.TLS != "verify" || len(r.Pins) != 1 {
		t.Errorf("route %+v", r)
	}
}
