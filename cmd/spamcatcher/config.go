package main

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	"spamcatcher/gateway/policy"
)

// A Config is what is in force: defaults, then a file, then command-line
// options. settings.go says what each value means.
type Config struct {
	File  string // "" when there is none
	State string

	Hostname string
	Listen   []string
	Outgoing []string // host:port; none means the Maildir
	Source   string   // local address that deliveries leave from
	RelayTLS string   // may, off, encrypt, verify
	Domains  []string // recipient domains that are relayed for; none means all

	Global     policy.Settings
	ByDomain   []Scope
	ByAddress  []Scope
	FromAlways bool // an approval by From header counts without authentication
	Approved   string
	Blocked    string

	CheckTimeout time.Duration
	Report       bool
	RuleFiles    []string
	BuiltinRules bool
	SpamAssassin []string // rule files and directories of SpamAssassin
	RuleUpdate   time.Duration
	UpdateURL    string   // of the rule channel; "" is none
	UpdateKeys   []string // minisign public keys, or files with them
	UpdateShare  int      // per cent

	BuiltinSignatures                       bool
	SignatureDirs                           []string
	UnpackDepth, UnpackMembers, UnpackRatio int
	UnpackBytes, UnpackMemberBytes          int64
	UnpackTime                              time.Duration

	NetCheck bool

	DNSServers []string
	DNSTimeout time.Duration

	PTR, SenderDomain, SPF, Greylist, DNSBL testChoice
	Trusted                                 []string // networks that are exempt from all tests
	TrustedSealers                          []string
	TestLocal                               bool
	GreylistDelay, GreylistWindow           time.Duration
	GreylistKey                             string
	BuiltinLists                            bool
	Lists                                   []ListTable
	ListQueries                             int
	FingerprintZone                         string

	Certificate, Key string
	StartTLS         bool

	MaxMessage           int64
	MaxRecipients        int
	MaxSessions          int
	MaxSessionsPerClient int
	Memory               int64
	GreetDelay           time.Duration
	CommandTimeout       time.Duration
	BlockTimeout         time.Duration
	HandshakeTimeout     time.Duration
	SessionTimeout       time.Duration

	Lifetime          time.Duration
	Workers           int
	Concurrency       int
	Warn              time.Duration
	HoldDoubleBounces bool
	MinFree           int64

	Syslog   string
	LogLevel string

	// Warnings are what was wrong but could be worked around.
	Warnings []string
	adopted  *adopted          // nil: not looked up yet
	origins  map[string]string // setting -> where its value came from
}

// A Scope is what is set for one domain or one address alone.
type Scope struct {
	Name     string
	Settings policy.Settings
	Approved string
	Blocked  string

	// Of a domain only.
	Destinations []string // host:port
	Queue        string   // "" = Name
	Concurrency  int
	Lifetime     time.Duration
	Source       string
	TLS          string
	Pins         []string
	ETRNFrom     []string
	Verify       string
	Recipients   string // file
	Unverified   string

	origins map[string]string
}

// A configError is one thing wrong with a configuration file.
type configError struct {
	File string
	Line int // 0 when it is about the file as a whole
	Key  string
	Msg  string
}

func (e configError) Error() string {
	where := e.File
	if e.Line > 0 {
		where += fmt.Sprintf(":%d", e.Line)
	}
	if e.Key != "" {
		where += ": " + e.Key
	}
	return where + ": " + e.Msg
}

// overrides are settings given on the command line, in the form key -> value.
type overrides map[string]any

// loadConfig reads the configuration named by g, if any, on top of the
// defaults, and lays what the command line said over it.
func loadConfig(g *global, flags overrides) (*Config, error) {
	c := &Config{File: g.config, origins: map[string]string{}}
	for _, s := range settings {
		if err := s.set(c, s.fallback()); err != nil {
			return nil, fmt.Errorf("default of %s: %w", s.key, err)
		}
		c.origins[s.key] = "default"
	}
	if g.config != "" {
		text, err := os.ReadFile(g.config)
		if err != nil {
			return nil, usageError{fmt.Errorf("reading the configuration: %w", err)}
		}
		switch ext := filepath.Ext(g.config); ext {
		case ".toml":
			err = readTOML(c, g.config, text)
		case ".conf":
			err = readClassic(c, g.config, text)
		default:
			err = fmt.Errorf("%s: the name of a configuration ends in .toml or .conf, not in %q", g.config, ext)
		}
		if err != nil {
			return nil, usageError{err}
		}
	}
	if g.state != "" {
		flags = withOverride(flags, "state", g.state)
	}
	keys := make([]string, 0, len(flags))
	for key := range flags {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	for _, key := range keys {
		if err := settingFor(key).set(c, flags[key]); err != nil {
			return nil, usageError{fmt.Errorf("option for %s: %w", key, err)}
		}
		c.origins[key] = "command line"
	}
	if err := c.check(); err != nil {
		return nil, usageError{err}
	}
	if filepath.Ext(c.File) == ".conf" && len(c.Outgoing) == 0 {
		c.warn("%v", configError{File: c.File, Key: "outgoing_smtp", Msg: "is not set; mail goes into the Maildir " + c.maildir()})
	}
	return c, nil
}

func withOverride(flags overrides, key string, value any) overrides {
	if flags == nil {
		flags = overrides{}
	}
	flags[key] = value
	return flags
}

// check looks at what only the whole can tell.
func (c *Config) check() error {
	fail := func(key, format string, args ...any) error {
		return fmt.Errorf("%s: %s: %s", c.origins[key], key, fmt.Sprintf(format, args...))
	}
	if len(c.Listen) == 0 {
		return fail("listen", "no address to listen on")
	}
	if (c.Certificate == "") != (c.Key == "") {
		return fail("tls.certificate", "certificate and key must both be given, or neither")
	}
	if len(c.ours()) == 0 && len(c.Outgoing) > 0 && slices.ContainsFunc(c.Listen, public) {
		c.warn("relay_domains is not set, and no domain has destinations: mail for every domain is relayed to outgoing_smtp, whoever sends it to %s", strings.Join(c.Listen, ", "))
	}
	if len(c.ours()) > 0 && len(c.Outgoing) == 0 {
		c.warn("outgoing_smtp is not set: there is no way out for what goes back to senders")
	}
	if !c.NetCheck {
		for _, key := range []string{"policy.ptr", "policy.sender_domain", "policy.spf", "policy.dnsbl"} {
			if s := settingFor(key); c.origins[key] != "default" && s.show(c) != `"off"` {
				c.warn("%s: %s: has no effect while netcheck is off", c.origins[key], key)
			}
		}
	}
	for _, s := range c.ByDomain {
		if mode := cmp.Or(s.TLS, c.RelayTLS); len(s.Pins) > 0 && mode != "verify" {
			return fmt.Errorf("%s: tls_pin: pins count with tls = \"verify\" only, and it is %q", s.origins["tls_pin"], mode)
		}
	}
	if c.UpdateURL != "" && len(c.UpdateKeys) == 0 {
		return fail("update.url", "update.key is needed, too: the public key that the channel's rules are signed with")
	}
	if c.Memory < c.MaxMessage {
		return fail("limits.memory", "%d bytes are less than one message of limits.message (%d bytes)", c.Memory, c.MaxMessage)
	}
	return nil
}

// public says whether a listener can be reached from outside this machine and
// private networks, as far as its address tells.
func public(listen string) bool {
	host, _, _ := net.SplitHostPort(listen)
	a, err := netip.ParseAddr(host)
	return err == nil && !a.IsLoopback() && !a.IsPrivate() || host == ""
}

// warn notes what was wrong but could be worked around.
func (c *Config) warn(format string, args ...any) {
	c.Warnings = append(c.Warnings, printable(fmt.Sprintf(format, args...)))
}

// defaultState is /var/lib/spamcatcher where it exists and is writable, else
// ./var.
func defaultState() string {
	const system = "/var/lib/spamcatcher"
	if probe, err := os.CreateTemp(system, ".probe-*"); err == nil {
		probe.Close()
		os.Remove(probe.Name())
		return system
	}
	return "var"
}
