package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"spamcatcher/gateway/policy"
)

// A threshold is the name of one threshold and its place in the settings.
type threshold struct {
	key, doc string
	field    func(*policy.Settings) *policy.Threshold
}

var thresholds = []threshold{
	{"spam_reject", "score above which mail is refused", func(s *policy.Settings) *policy.Threshold { return &s.Reject }},
	{"spam_subject", "score above which the subject is tagged", func(s *policy.Settings) *policy.Threshold { return &s.Subject }},
	{"spam_flag", "score above which the flag header is added", func(s *policy.Settings) *policy.Threshold { return &s.Flag }},
	{"spam_quarantine", "score above which mail is held for review", func(s *policy.Settings) *policy.Threshold { return &s.Quarantine }},
	{"spam_discard", "score above which mail is accepted and dropped", func(s *policy.Settings) *policy.Threshold { return &s.Discard }},
}

// thresholdSettings are the thresholds and the virus action.
func thresholdSettings[T any](of func(*T) *policy.Settings) []setting[T] {
	var list []setting[T]
	for _, t := range thresholds {
		list = append(list, setting[T]{
			key: t.key, doc: t.doc,
			fallback: func() any { return int64(100) },
			set:      func(c *T, value any) error { return t.set(of(c), value) },
			show:     func(c *T) string { return showThreshold(*t.field(of(c))) },
		})
	}
	return append(list, setting[T]{
		key: "virus_action", doc: "what happens to malware: refuse, quarantine, discard, tag or pass",
		fallback: func() any { return string(policy.VirusRefuse) },
		set:      func(c *T, value any) error { return setVirus(of(c), value) },
		show:     func(c *T) string { return fmt.Sprintf("%q", of(c).Virus) },
	})
}

func (t threshold) set(s *policy.Settings, value any) error {
	parsed, err := policy.ParseThreshold(value)
	if err != nil {
		return err
	}
	*t.field(s) = parsed
	return nil
}

func showThreshold(t policy.Threshold) string {
	if text := t.String(); strings.Contains(text, " ") {
		return fmt.Sprintf("%q", text)
	} else {
		return text
	}
}

func setVirus(s *policy.Settings, value any) error {
	text, ok := value.(string)
	if !ok {
		return fmt.Errorf("%v is not a text", value)
	}
	action, err := policy.ParseVirusAction(text)
	if err != nil {
		return err
	}
	s.Virus = action
	return nil
}

// scopeSettings are what [[domain]] and [[recipient]] can set. What a scope
// leaves out, the wider one decides.
var scopeSettings = append(thresholdSettings(func(s *Scope) *policy.Settings { return &s.Settings }),
	text("approvedsenders", "file of senders whose mail scores 0", nil, func(s *Scope) *string { return &s.Approved }, nil),
	text("blockedsenders", "file of senders whose mail scores 100", nil, func(s *Scope) *string { return &s.Blocked }, nil),
	text("greylist", "greylisting for these recipients: enforce, score or off; none: policy.greylist", nil, func(s *Scope) *string { return (*string)(&s.Settings.Greylist) }, testModes),
	text("dnsbl", "lists of clients for these recipients: enforce, score or off; none: policy.dnsbl", nil, func(s *Scope) *string { return (*string)(&s.Settings.DNSBL) }, testModes),
)

// domainSettings are what [[domain]] can set besides: where its mail goes, and
// who may ask for it.
var domainSettings = []setting[Scope]{
	list("destinations", "servers that get the domain's mail, in turn; none: outgoing_smtp", nil, func(s *Scope) *[]string { return &s.Destinations }, checkServer),
	text("queue", "name of the queue in which the domain's mail waits: domains on the same servers share one", nil, func(s *Scope) *string { return &s.Queue }, checkQueueName),
	number("concurrency", "deliveries at one time to the destinations; 0: queue.concurrency", 0, func(s *Scope) *int { return &s.Concurrency }, 0, 1000),
	duration("lifetime", "seconds that delivery is tried before the mail goes back; 0: queue.lifetime", 0, time.Second, func(s *Scope) *time.Duration { return &s.Lifetime }, 0, 10000*time.Hour),
	text("source", "local address that deliveries leave from; none: relay.source", nil, func(s *Scope) *string { return &s.Source }, checkAddress),
	text("tls", "TLS towards the destinations: off, may, encrypt or verify; none: relay.tls", nil, func(s *Scope) *string { return &s.TLS }, tlsModes),
	list("tls_pin", "SHA-256 fingerprints of the certificates that the destinations may show, for tls = \"verify\" without an authority", nil, func(s *Scope) *[]string { return &s.Pins }, checkFingerprint),
	list("etrn_from", "who may ask for the domain's mail by ETRN: addresses, networks, or sha256:FINGERPRINT of a client certificate", nil, func(s *Scope) *[]string { return &s.ETRNFrom }, checkRequester),
	text("verify", "how recipients are verified: off, list (of recipients) or callout (asking a destination)", func() string { return "off" }, func(s *Scope) *string { return &s.Verify }, oneOf("off", "list", "callout")),
	text("recipients", "file of the domain's recipients, for verify = \"list\"", nil, func(s *Scope) *string { return &s.Recipients }, nil),
	text("unverified", "what happens to a recipient whom no destination could be asked about: accept or defer", func() string { return "accept" }, func(s *Scope) *string { return &s.Unverified }, oneOf("accept", "defer")),
}

// A scopeKind is a kind of table that holds for some recipients only.
type scopeKind struct {
	nameKey  string
	check    func(string) error
	settings []setting[Scope]
	add      func(*Config, Scope)
}

var scopeKinds = map[string]scopeKind{
	"domain":    {"name", checkDomain, slices.Concat(domainSettings, scopeSettings), func(c *Config, s Scope) { c.ByDomain = append(c.ByDomain, s) }},
	"recipient": {"address", checkMailbox, scopeSettings, func(c *Config, s Scope) { c.ByAddress = append(c.ByAddress, s) }},
}

func checkMailbox(s string) error {
	local, domain, ok := strings.Cut(s, "@")
	if !ok || local == "" || checkHostname(domain) != nil {
		return fmt.Errorf("%q is no address", s)
	}
	return nil
}

// checkQueueName: what ETRN can ask for behind its "#".
func checkQueueName(s string) error {
	if s == "" || len(s) > 64 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") != "" {
		return fmt.Errorf("%q is no name of a queue: 1 to 64 letters, digits, dots, hyphens and underscores", s)
	}
	return nil
}

// checkFingerprint: a SHA-256 in hexadecimal, with or without colons.
func checkFingerprint(s string) error {
	if b, err := hex.DecodeString(strings.ReplaceAll(s, ":", "")); err != nil || len(b) != sha256.Size {
		return fmt.Errorf("%q is no SHA-256 fingerprint of 64 hexadecimal digits", s)
	}
	return nil
}

// checkRequester: who can send ETRN.
func checkRequester(s string) error {
	if print, ok := strings.CutPrefix(s, "sha256:"); ok {
		return checkFingerprint(print)
	}
	if _, err := netip.ParsePrefix(s); err == nil {
		return nil
	}
	if _, err := netip.ParseAddr(s); err != nil {
		return fmt.Errorf("%q is no address, no network, and no sha256:FINGERPRINT", s)
	}
	return nil
}

// readScope reads one [[domain]] or [[recipient]] table.
func readScope(c *Config, kind scopeKind, t tableText) error {
	scope := Scope{origins: map[string]string{}}
	name := text(kind.nameKey, "", nil, func(s *Scope) *string { return &s.Name }, kind.check)
	if err := readTable(t, append([]setting[Scope]{name}, kind.settings...), &scope, scope.origins); err != nil {
		return err
	}
	if scope.Name == "" {
		return t.fail(kind.nameKey, "is missing")
	}
	for _, key := range []string{"queue", "concurrency", "source", "tls", "tls_pin", "etrn_from"} {
		if scope.origins[key] != "" && len(scope.Destinations) == 0 {
			return t.fail(key, "has no meaning without destinations")
		}
	}
	if scope.Recipients != "" && scope.Verify != "list" {
		return t.fail("recipients", "has no meaning without verify = \"list\"")
	}
	if scope.Verify == "list" && scope.Recipients == "" {
		return t.fail("verify", "\"list\" needs recipients, the file with the list")
	}
	if scope.Verify == "callout" && len(scope.Destinations) == 0 {
		return t.fail("verify", "\"callout\" needs destinations to ask")
	}
	kind.add(c, scope)
	return nil
}

// newPolicy makes the policy that c asks for, reading the sender lists. What
// is wrong in a list is a warning: its other lines count.
func newPolicy(c *Config) (p *policy.Policy, warnings []error, err error) {
	load := func(file string) *policy.List {
		if file == "" {
			return nil
		}
		l, errs := policy.LoadList(file)
		warnings = append(warnings, errs...)
		return l
	}
	config := policy.Config{
		Settings:         c.Global,
		Domains:          map[string]policy.Settings{},
		Recipients:       map[string]policy.Settings{},
		Relay:            c.ours(),
		Hostname:         c.Hostname,
		ApproveForgeable: c.FromAlways,
	}
	config.Approved, config.Blocked = load(c.Approved), load(c.Blocked)
	for kind, scopes := range map[string][]Scope{"domain": c.ByDomain, "recipient": c.ByAddress} {
		into := config.Domains
		if kind == "recipient" {
			into = config.Recipients
		}
		for _, s := range scopes {
			if _, twice := into[s.Name]; twice {
				return nil, nil, fmt.Errorf("%s: two [[%s]] tables for %s", c.File, kind, s.Name)
			}
			set := s.Settings
			set.Approved, set.Blocked = load(s.Approved), load(s.Blocked)
			into[s.Name] = set
		}
	}
	if p, err = policy.New(config); err != nil {
		return nil, warnings, fmt.Errorf("%s: %w", c.File, err)
	}
	return p, warnings, nil
}

// listFiles are the lists of senders and recipients that c names.
func (c *Config) listFiles() []string {
	files := []string{c.Approved, c.Blocked}
	for _, s := range slices.Concat(c.ByDomain, c.ByAddress) {
		files = append(files, s.Approved, s.Blocked, s.Recipients)
	}
	return slices.DeleteFunc(files, func(f string) bool { return f == "" })
}
