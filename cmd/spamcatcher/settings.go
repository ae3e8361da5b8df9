package main

import (
	"slices"
	"time"

	"spamcatcher/gateway/policy"
)

// settings lists every setting outside [[domain]] and [[recipient]], in the
// order in which `config check` prints them. One table serves the native form,
// the classic form, the command line and `config check`.
var settings = slices.Concat([]setting[Config]{
	text("hostname", "name of this machine in SMTP and in headers", hostname, func(c *Config) *string { return &c.Hostname }, checkHostname).fix(),
	list("listen", "addresses to accept SMTP on", []string{"127.0.0.1:2525"}, func(c *Config) *[]string { return &c.Listen }, checkListen).fix(),
	text("state", "directory of queue and state", defaultState, func(c *Config) *string { return &c.State }, notEmpty).fix(),
	list("outgoing_smtp", "servers that get the mail of domains without destinations of their own, in turn; none: the Maildir in the state directory", nil, func(c *Config) *[]string { return &c.Outgoing }, checkServer),
	list("relay_domains", "recipient domains that mail is accepted for; none: all, unless a [[domain]] has destinations", nil, func(c *Config) *[]string { return &c.Domains }, checkDomain),
}, thresholdSettings(func(c *Config) *policy.Settings { return &c.Global }), []setting[Config]{
	text("approvedsenders", "file of senders whose mail scores 0", nil, func(c *Config) *string { return &c.Approved }, nil),
	text("blockedsenders", "file of senders whose mail scores 100", nil, func(c *Config) *string { return &c.Blocked }, nil),
	flag("approve_unauthenticated_from", "an approval by From header counts although the sender is not authenticated", false, func(c *Config) *bool { return &c.FromAlways }),
	duration("spamchecktimeout", "milliseconds that scoring one message may take", 5*time.Second, time.Millisecond, func(c *Config) *time.Duration { return &c.CheckTimeout }, time.Millisecond, time.Hour),
	flag("report", "add the X-SpamCatcher-Report header", false, func(c *Config) *bool { return &c.Report }),
	duration("ruleupdate", "seconds between questions for newer rules, where update.url is set", time.Hour, time.Second, func(c *Config) *time.Duration { return &c.RuleUpdate }, time.Minute, 1000*time.Hour),
	flag("netcheck", "ask DNS about clients, senders and messages: lists, fingerprints, SPF, DKIM, DMARC", true, func(c *Config) *bool { return &c.NetCheck }),
	flag("builtin_rules", "use the rules inside the program", true, func(c *Config) *bool { return &c.BuiltinRules }),
	list("rules", "rule files (patterns such as rules/*.toml)", nil, func(c *Config) *[]string { return &c.RuleFiles }, notEmpty),
	list("spamassassin_rules", "rule files (.cf) of SpamAssassin, and directories of them", nil, func(c *Config) *[]string { return &c.SpamAssassin }, notEmpty),
	text("update.url", "address of the rule channel, a directory that is served by https; none: none is asked", nil, func(c *Config) *string { return &c.UpdateURL }, checkUpdateURL),
	list("update.key", "public keys (minisign), or files with them, one of which signs the channel's rules; without one none of them is believed", nil, func(c *Config) *[]string { return &c.UpdateKeys }, checkUpdateKey),
	number("update.share", "per cent of the recent messages that newer rules may harm", 2, func(c *Config) *int { return &c.UpdateShare }, 0, 100),
	flag("signatures.builtin", "look for the signatures inside the program", true, func(c *Config) *bool { return &c.BuiltinSignatures }),
	list("signatures.directories", "directories of YARA rules (.yar, .yara) and of ClamAV's signatures (.hdb, .hsb, .ndb, .ldb)", nil, func(c *Config) *[]string { return &c.SignatureDirs }, notEmpty),
	duration("signatures.time", "milliseconds that opening one message's attachments, and looking for signatures in them, may take", 2*time.Second, time.Millisecond, func(c *Config) *time.Duration { return &c.UnpackTime }, 10*time.Millisecond, time.Hour),
	size("signatures.bytes", "bytes that are unpacked of one message", 96<<20, func(c *Config) *int64 { return &c.UnpackBytes }, 1<<20, 1<<40),
	size("signatures.file_bytes", "bytes that are unpacked of one file", 16<<20, func(c *Config) *int64 { return &c.UnpackMemberBytes }, 1<<20, 1<<30),
	number("signatures.files", "files that are looked at in one message", 5000, func(c *Config) *int { return &c.UnpackMembers }, 10, 10000000),
	number("signatures.depth", "archives inside each other that are opened", 16, func(c *Config) *int { return &c.UnpackDepth }, 1, 100),
	number("signatures.ratio", "bytes that a file may expand to for each byte that it was packed in, beyond the first MiB", 200, func(c *Config) *int { return &c.UnpackRatio }, 10, 1000000),
	list("dns.servers", "resolvers that are asked, host:port; none: those of "+resolvConf, nil, func(c *Config) *[]string { return &c.DNSServers }, checkResolver).fix(),
	duration("dns.timeout", "milliseconds that one question may take", 3*time.Second, time.Millisecond, func(c *Config) *time.Duration { return &c.DNSTimeout }, 100*time.Millisecond, time.Minute).fix(),
	list("policy.trusted", "networks whose clients are exempt from all tests of this table, besides local and private ones", nil, func(c *Config) *[]string { return &c.Trusted }, checkNetwork),
	flag("policy.test_local", "local and private addresses are tested like others", false, func(c *Config) *bool { return &c.TestLocal }),
}, testSettings, []setting[Config]{
	list("policy.arc_trusted", "domains of forwarders and lists whose ARC seals excuse what failed on the way; none: nobody's", nil, func(c *Config) *[]string { return &c.TrustedSealers }, checkHostname),
	duration("policy.greylist_delay", "seconds after which a pair of sender and recipient that was put off passes", time.Minute, time.Second, func(c *Config) *time.Duration { return &c.GreylistDelay }, time.Second, 12*time.Hour).fix(),
	duration("policy.greylist_window", "seconds for which the pair passes from then on", 24*time.Hour, time.Second, func(c *Config) *time.Duration { return &c.GreylistWindow }, time.Minute, 10000*time.Hour).fix(),
	text("policy.greylist_key", "what is put off: pair (sender, recipient) or triplet (with the client's network)", func() string { return "pair" }, func(c *Config) *string { return &c.GreylistKey }, oneOf("pair", "triplet")).fix(),
	flag("lists.builtin", "ask the DNS lists that the program knows, besides those of [[list]]", true, func(c *Config) *bool { return &c.BuiltinLists }),
	number("lists.queries", "questions to lists about one message's links and senders", 12, func(c *Config) *int { return &c.ListQueries }, 1, 200),
	text("fingerprint.zone", "zone of the fingerprint network that is asked; none: none is", nil, func(c *Config) *string { return &c.FingerprintZone }, checkHostname),
	text("tls.certificate", "file with the certificate chain (PEM); none: a self-signed one is made", nil, func(c *Config) *string { return &c.Certificate }, nil),
	text("tls.key", "file with the private key (PEM)", nil, func(c *Config) *string { return &c.Key }, nil),
	flag("tls.starttls", "offer STARTTLS", true, func(c *Config) *bool { return &c.StartTLS }).fix(),
	text("relay.tls", "TLS towards the outgoing servers: off, may, encrypt or verify", func() string { return "may" }, func(c *Config) *string { return &c.RelayTLS }, tlsModes),
	text("relay.source", "local address that deliveries leave from", nil, func(c *Config) *string { return &c.Source }, checkAddress),
	size("limits.message", "bytes of the largest message", 50<<20, func(c *Config) *int64 { return &c.MaxMessage }, 64<<10, 1<<30).fix(),
	size("limits.memory", "bytes of messages in memory at one time (default: an eighth of the memory, 64 to 512 MiB)", messageMemory(memoryHere()), func(c *Config) *int64 { return &c.Memory }, 1<<20, 1<<40).fix(),
	number("limits.recipients", "recipients of one message; beyond 5,000, or 192 KiB of addresses, the client is told to send the rest later", 1000, func(c *Config) *int { return &c.MaxRecipients }, 100, 100000).fix(),
	number("limits.sessions", "SMTP sessions at one time", 1000, func(c *Config) *int { return &c.MaxSessions }, 1, 100000).fix(),
	number("limits.sessions_per_client", "SMTP sessions of one client at one time (an IPv4 address or an IPv6 /64; this machine may have any number)", 50, func(c *Config) *int { return &c.MaxSessionsPerClient }, 1, 100000).fix(),
	duration("limits.greet_delay", "seconds to listen for clients that talk before the greeting; 0: not at all", 0, time.Second, func(c *Config) *time.Duration { return &c.GreetDelay }, 0, time.Minute).fix(),
	duration("limits.command_timeout", "seconds from a reply to the end of the client's next command", 5*time.Minute, time.Second, func(c *Config) *time.Duration { return &c.CommandTimeout }, time.Second, time.Hour).fix(),
	duration("limits.block_timeout", "seconds of silence inside a message", 3*time.Minute, time.Second, func(c *Config) *time.Duration { return &c.BlockTimeout }, time.Second, time.Hour).fix(),
	duration("limits.handshake_timeout", "seconds that a TLS handshake may take", 30*time.Second, time.Second, func(c *Config) *time.Duration { return &c.HandshakeTimeout }, time.Second, 10*time.Minute).fix(),
	duration("limits.session_timeout", "seconds that a session may last", 2*time.Hour, time.Second, func(c *Config) *time.Duration { return &c.SessionTimeout }, time.Second, 24*time.Hour).fix(),
	duration("queue.lifetime", "seconds that delivery is tried before the mail goes back", 192*time.Hour, time.Second, func(c *Config) *time.Duration { return &c.Lifetime }, time.Minute, 10000*time.Hour).fix(),
	number("queue.workers", "deliveries at one time", 20, func(c *Config) *int { return &c.Workers }, 1, 1000).fix(),
	number("queue.concurrency", "deliveries at one time to one destination; 0: three quarters of queue.workers", 0, func(c *Config) *int { return &c.Concurrency }, 0, 1000),
	duration("queue.warn", "seconds after which the sender is told that mail is delayed; 0: never", 0, time.Second, func(c *Config) *time.Duration { return &c.Warn }, 0, 10000*time.Hour).fix(),
	flag("queue.hold_double_bounces", "hold notifications that cannot be delivered for review, instead of dropping them", false, func(c *Config) *bool { return &c.HoldDoubleBounces }).fix(),
	size("queue.min_free", "bytes that must stay free on the disk; below it mail is answered 452", 256<<20, func(c *Config) *int64 { return &c.MinFree }, 64<<20, 1<<50).fix(),
	text("log.syslog", "auto, off, or the path of the syslog socket", func() string { return "auto" }, func(c *Config) *string { return &c.Syslog }, notEmpty).fix(),
	text("log.level", "debug, info, warn or error", func() string { return "info" }, func(c *Config) *string { return &c.LogLevel }, oneOf("debug", "info", "warn", "error")).fix(),
})

// settingFor returns the setting with the key, which must exist.
func settingFor(key string) setting[Config] {
	return settings[slices.IndexFunc(settings, func(s setting[Config]) bool { return s.key == key })]
}

func settingKeys() []string {
	keys := make([]string, len(settings))
	for i, s := range settings {
		keys[i] = s.key
	}
	return keys
}
