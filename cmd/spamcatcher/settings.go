package main

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"spamcatcher/gateway/relay"
)

// A setting is one value that can be configured. One table serves the native
// form, the classic form, the command line and `config check`.
type setting struct {
	key      string // as in the native form; "table.key" inside a table
	doc      string
	fallback func() any
	set      func(c *Config, value any) error
	show     func(c *Config) string
	fixed    bool // takes effect at the next start, not on reload
}

// settings lists every setting outside [[domain]] and [[recipient]], in the
// order in which `config check` prints them.
var settings = slices.Concat([]setting{
	text("hostname", "name of this machine in SMTP and in headers", hostname, func(c *Config) *string { return &c.Hostname }, checkHostname).fix(),
	list("listen", "addresses to accept SMTP on", []string{"127.0.0.1:2525"}, func(c *Config) *[]string { return &c.Listen }, checkListen).fix(),
	text("state", "directory of queue and state", defaultState, func(c *Config) *string { return &c.State }, notEmpty).fix(),
	list("outgoing_smtp", "servers that get the mail, in turn; none: the Maildir in the state directory", nil, func(c *Config) *[]string { return &c.Outgoing }, checkServer),
	list("relay_domains", "recipient domains that mail is accepted for; none: all", nil, func(c *Config) *[]string { return &c.Domains }, checkDomain),
}, thresholdSettings, []setting{
	text("approvedsenders", "file of senders whose mail scores 0", nil, func(c *Config) *string { return &c.Approved }, nil),
	text("blockedsenders", "file of senders whose mail scores 100", nil, func(c *Config) *string { return &c.Blocked }, nil),
	flag("approve_unauthenticated_from", "an approval by From header counts although the sender is not authenticated", false, func(c *Config) *bool { return &c.FromAlways }),
	duration("spamchecktimeout", "milliseconds that scoring one message may take", 5*time.Second, time.Millisecond, func(c *Config) *time.Duration { return &c.CheckTimeout }, time.Millisecond, time.Hour),
	flag("report", "add the X-SpamCatcher-Report header", false, func(c *Config) *bool { return &c.Report }),
	duration("ruleupdate", "seconds between questions for newer rules (this version has no rule channel yet: no effect)", time.Hour, time.Second, func(c *Config) *time.Duration { return &c.RuleUpdate }, time.Minute, 1000*time.Hour),
	flag("netcheck", "ask the fingerprint network (this version has none yet: no effect)", true, func(c *Config) *bool { return &c.NetCheck }),
	flag("builtin_rules", "use the rules inside the program", true, func(c *Config) *bool { return &c.BuiltinRules }),
	list("rules", "rule files (patterns such as rules/*.toml)", nil, func(c *Config) *[]string { return &c.RuleFiles }, notEmpty),
	list("spamassassin_rules", "rule files (.cf) of SpamAssassin, and directories of them", nil, func(c *Config) *[]string { return &c.SpamAssassin }, notEmpty),
	text("tls.certificate", "file with the certificate chain (PEM); none: a self-signed one is made", nil, func(c *Config) *string { return &c.Certificate }, nil),
	text("tls.key", "file with the private key (PEM)", nil, func(c *Config) *string { return &c.Key }, nil),
	flag("tls.starttls", "offer STARTTLS", true, func(c *Config) *bool { return &c.StartTLS }).fix(),
	text("relay.tls", "TLS towards the outgoing servers: off, may, encrypt or verify", func() string { return "may" }, func(c *Config) *string { return &c.RelayTLS }, oneOf("off", "may", "encrypt", "verify")).fix(),
	text("relay.source", "local address that deliveries leave from", nil, func(c *Config) *string { return &c.Source }, checkAddress).fix(),
	size("limits.message", "bytes of the largest message", 50<<20, func(c *Config) *int64 { return &c.MaxMessage }, 64<<10, 1<<30).fix(),
	size("limits.memory", "bytes of messages in memory at one time (default: an eighth of the memory, 64 to 512 MiB)", messageMemory(memoryHere()), func(c *Config) *int64 { return &c.Memory }, 1<<20, 1<<40).fix(),
	number("limits.recipients", "recipients of one message", 1000, func(c *Config) *int { return &c.MaxRecipients }, 100, 100000).fix(),
	number("limits.sessions", "SMTP sessions at one time", 1000, func(c *Config) *int { return &c.MaxSessions }, 1, 100000).fix(),
	number("limits.sessions_per_client", "SMTP sessions of one client at one time (an IPv4 address or an IPv6 /64; this machine may have any number)", 50, func(c *Config) *int { return &c.MaxSessionsPerClient }, 1, 100000).fix(),
	duration("queue.lifetime", "seconds that delivery is tried before the mail goes back", 192*time.Hour, time.Second, func(c *Config) *time.Duration { return &c.Lifetime }, time.Minute, 10000*time.Hour).fix(),
	number("queue.workers", "deliveries at one time", 20, func(c *Config) *int { return &c.Workers }, 1, 1000).fix(),
	size("queue.min_free", "bytes that must stay free on the disk; below it mail is answered 452", 256<<20, func(c *Config) *int64 { return &c.MinFree }, 64<<20, 1<<50).fix(),
	text("log.syslog", "auto, off, or the path of the syslog socket", func() string { return "auto" }, func(c *Config) *string { return &c.Syslog }, notEmpty).fix(),
	text("log.level", "debug, info, warn or error", func() string { return "info" }, func(c *Config) *string { return &c.LogLevel }, oneOf("debug", "info", "warn", "error")).fix(),
})

// settingFor returns the setting with the key, which must exist.
func settingFor(key string) setting {
	return settings[slices.IndexFunc(settings, func(s setting) bool { return s.key == key })]
}

func settingKeys() []string {
	keys := make([]string, len(settings))
	for i, s := range settings {
		keys[i] = s.key
	}
	return keys
}

// fix marks a setting that takes effect at the next start only.
func (s setting) fix() setting { s.fixed = true; return s }

func text(key, doc string, fallback func() string, field func(*Config) *string, check func(string) error) setting {
	return setting{
		key: key, doc: doc,
		fallback: func() any {
			if fallback == nil {
				return ""
			}
			return fallback()
		},
		set: func(c *Config, value any) error {
			v, ok := value.(string)
			if !ok {
				return fmt.Errorf("%v is not a text", value)
			}
			if v = strings.TrimSpace(v); check != nil && !(v == "" && fallback == nil) {
				if err := check(v); err != nil {
					return err
				}
			}
			*field(c) = v
			return nil
		},
		show: func(c *Config) string { return strconv.Quote(*field(c)) },
	}
}

// list is a setting of several texts; the classic form separates them by
// commas.
func list(key, doc string, fallback []string, field func(*Config) *[]string, check func(string) error) setting {
	return setting{
		key: key, doc: doc,
		fallback: func() any { return fallback },
		set: func(c *Config, value any) error {
			var items []string
			switch v := value.(type) {
			case string:
				for item := range strings.SplitSeq(v, ",") {
					if item = strings.TrimSpace(item); item != "" {
						items = append(items, item)
					}
				}
			case []string:
				items = v
			case []any:
				for _, item := range v {
					s, ok := item.(string)
					if !ok {
						return fmt.Errorf("%v is not a text", item)
					}
					items = append(items, strings.TrimSpace(s))
				}
			default:
				return fmt.Errorf("%v is not a list of texts", value)
			}
			for _, item := range items {
				if err := check(item); err != nil {
					return err
				}
			}
			*field(c) = items
			return nil
		},
		show: func(c *Config) string {
			quoted := make([]string, len(*field(c)))
			for i, item := range *field(c) {
				quoted[i] = strconv.Quote(item)
			}
			return "[" + strings.Join(quoted, ", ") + "]"
		},
	}
}

func flag(key, doc string, fallback bool, field func(*Config) *bool) setting {
	return setting{
		key: key, doc: doc,
		fallback: func() any { return fallback },
		set: func(c *Config, value any) error {
			switch v := value.(type) {
			case bool:
				*field(c) = v
				return nil
			case string:
				switch strings.ToLower(v) {
				case "yes", "true", "on", "1":
					*field(c) = true
					return nil
				case "no", "false", "off", "0":
					*field(c) = false
					return nil
				}
			}
			return fmt.Errorf("%v is neither yes nor no", value)
		},
		show: func(c *Config) string { return strconv.FormatBool(*field(c)) },
	}
}

func number(key, doc string, fallback int, field func(*Config) *int, least, most int64) setting {
	return integer(key, doc, int64(fallback), func(c *Config, n int64) { *field(c) = int(n) }, func(c *Config) int64 { return int64(*field(c)) }, least, most)
}

func size(key, doc string, fallback int64, field func(*Config) *int64, least, most int64) setting {
	return integer(key, doc, fallback, func(c *Config, n int64) { *field(c) = n }, func(c *Config) int64 { return *field(c) }, least, most)
}

func integer(key, doc string, fallback int64, set func(*Config, int64), get func(*Config) int64, least, most int64) setting {
	return setting{
		key: key, doc: doc,
		fallback: func() any { return fallback },
		set: func(c *Config, value any) error {
			n, err := asInteger(value)
			if err != nil {
				return err
			}
			if n < least || n > most {
				return fmt.Errorf("%d is not between %d and %d", n, least, most)
			}
			set(c, n)
			return nil
		},
		show: func(c *Config) string { return strconv.FormatInt(get(c), 10) },
	}
}

// duration is a setting that is a whole number of units, or a text with a
// unit of its own ("90s", "2h").
func duration(key, doc string, fallback, unit time.Duration, field func(*Config) *time.Duration, least, most time.Duration) setting {
	return setting{
		key: key, doc: doc,
		fallback: func() any { return fallback.String() },
		set: func(c *Config, value any) error {
			var d time.Duration
			if n, err := asInteger(value); err == nil {
				if n < 0 || n > math.MaxInt64/int64(unit) {
					return fmt.Errorf("%d is out of range", n)
				}
				d = time.Duration(n) * unit
			} else if s, ok := value.(string); ok {
				if d, err = time.ParseDuration(s); err != nil {
					return fmt.Errorf("%q is neither a number nor a duration such as \"90s\"", s)
				}
			} else {
				return fmt.Errorf("%v is neither a number nor a duration such as \"90s\"", value)
			}
			if d < least || d > most {
				return fmt.Errorf("%v is not between %v and %v", d, least, most)
			}
			*field(c) = d
			return nil
		},
		show: func(c *Config) string { return strconv.Quote(field(c).String()) },
	}
}

func asInteger(value any) (int64, error) {
	switch v := value.(type) {
	case int64:
		return v, nil
	case string:
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%v is not a whole number", value)
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil || checkHostname(name) != nil {
		return "localhost"
	}
	return name
}

func notEmpty(s string) error {
	if s == "" {
		return fmt.Errorf("is empty")
	}
	return nil
}

func oneOf(words ...string) func(string) error {
	return func(s string) error {
		if !slices.Contains(words, s) {
			return fmt.Errorf("%q is none of %s", s, strings.Join(words, ", "))
		}
		return nil
	}
}

// checkHostname: letters, digits, hyphens and dots (RFC 1123 section 2.1).
func checkHostname(s string) error {
	if s == "" || len(s) > 255 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") != "" || strings.HasPrefix(s, ".") || strings.Contains(s, "..") {
		return fmt.Errorf("%q is no host name", s)
	}
	return nil
}

func checkDomain(s string) error {
	return checkHostname(strings.TrimPrefix(s, "."))
}

func checkListen(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err == nil && host != "" && host != "localhost" {
		_, err = netip.ParseAddr(host)
	}
	if err == nil {
		err = checkPort(port, 0)
	}
	if err != nil {
		return fmt.Errorf("%q is no address to listen on (such as 127.0.0.1:2525 or [::]:25)", s)
	}
	return nil
}

func checkPort(s string, least int) error {
	if n, err := strconv.Atoi(s); err != nil || n < least || n > 65535 {
		return fmt.Errorf("%q is no port", s)
	}
	return nil
}

func checkServer(s string) error {
	_, err := relay.ParseServer(s)
	return err
}

func checkAddress(s string) error {
	if _, err := netip.ParseAddr(s); err != nil {
		return fmt.Errorf("%q is no IP address", s)
	}
	return nil
}
