package main

import (
	"fmt"
	"net/netip"
	"strings"

	"spamcatcher/gateway/policy"
)

// A testChoice is what is configured for one test of connection and envelope.
type testChoice struct {
	Mode   string
	Exempt []string // "client NETWORK", "sender DOMAIN", "recipient DOMAIN"
}

// testModes checks what a test does.
var testModes = oneOf("off", "score", "enforce")

// testSettings are the tests of connection and envelope, in their order.
var testSettings = func() []setting[Config] {
	var all []setting[Config]
	for _, t := range []struct {
		key, doc, mode string
		field          func(*Config) *testChoice
	}{
		{"ptr", "clients whose address has no name (PTR)", "score", func(c *Config) *testChoice { return &c.PTR }},
		{"sender_domain", "senders whose domain does not exist", "score", func(c *Config) *testChoice { return &c.SenderDomain }},
		{"spf", "clients that the sender's domain does not allow (SPF)", "score", func(c *Config) *testChoice { return &c.SPF }},
		{"greylist", "pairs of sender and recipient that are new", "off", func(c *Config) *testChoice { return &c.Greylist }},
		{"dnsbl", "clients that a list names", "score", func(c *Config) *testChoice { return &c.DNSBL }},
	} {
		mode := t.mode
		all = append(all,
			text("policy."+t.key, t.doc+": enforce (refused), score (a symbol) or off", func() string { return mode }, func(c *Config) *string { return &t.field(c).Mode }, testModes),
			list("policy."+t.key+"_exempt", "who is exempt from that: \"client NETWORK\", \"sender DOMAIN\" (or .DOMAIN), \"recipient DOMAIN\"", nil, func(c *Config) *[]string { return &t.field(c).Exempt }, checkExemption),
		)
	}
	return all
}()

func checkExemption(s string) error {
	_, err := policyTest(testChoice{Mode: "off", Exempt: []string{s}})
	return err
}

// policyTest is the test that a choice asks for.
func policyTest(c testChoice) (policy.Test, error) {
	t := policy.Test{Mode: policy.Mode(c.Mode)}
	var senders, recipients []string
	for _, s := range c.Exempt {
		kind, who, _ := strings.Cut(s, " ")
		who = strings.TrimSpace(who)
		switch kind {
		case "client":
			network, err := parseNetwork(who)
			if err != nil {
				return t, err
			}
			t.Clients = append(t.Clients, network)
			continue
		case "sender":
			senders = append(senders, who)
		case "recipient":
			recipients = append(recipients, who)
		default:
			return t, fmt.Errorf("%q does not begin with client, sender or recipient", s)
		}
		if err := checkDomain(who); err != nil {
			return t, err
		}
	}
	for _, l := range []struct {
		into  **policy.List
		names []string
	}{{&t.Senders, senders}, {&t.Recipients, recipients}} {
		if len(l.names) == 0 {
			continue
		}
		list, errs := policy.ParseList("exempt", []byte(strings.Join(l.names, "\n")))
		if len(errs) > 0 {
			return t, errs[0]
		}
		*l.into = list
	}
	return t, nil
}

// parseNetwork reads a network or a single address.
func parseNetwork(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is no address and no network", s)
	}
	return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
}

func checkNetwork(s string) error {
	_, err := parseNetwork(s)
	return err
}
