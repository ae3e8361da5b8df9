package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

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

// thresholdSettings are the global thresholds and the virus action.
var thresholdSettings = func() []setting {
	var list []setting
	for _, t := range thresholds {
		list = append(list, setting{
			key: t.key, doc: t.doc,
			fallback: func() any { return int64(100) },
			set:      func(c *Config, value any) error { return t.set(&c.Global, value) },
			show:     func(c *Config) string { return showThreshold(*t.field(&c.Global)) },
		})
	}
	return append(list, setting{
		key: "virus_action", doc: "what happens to malware: refuse, hold, tag or pass",
		fallback: func() any { return string(policy.VirusRefuse) },
		set:      func(c *Config, value any) error { return setVirus(&c.Global, value) },
		show:     func(c *Config) string { return fmt.Sprintf("%q", c.Global.Virus) },
	})
}()

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

// A scopeKind is a kind of table with thresholds and lists of its own.
type scopeKind struct {
	nameKey string
	check   func(string) error
	add     func(*Config, Scope)
}

var scopeKinds = map[string]scopeKind{
	"domain":    {"name", checkDomain, func(c *Config, s Scope) { c.ByDomain = append(c.ByDomain, s) }},
	"recipient": {"address", checkMailbox, func(c *Config, s Scope) { c.ByAddress = append(c.ByAddress, s) }},
}

func checkMailbox(s string) error {
	local, domain, ok := strings.Cut(s, "@")
	if !ok || local == "" || checkHostname(domain) != nil {
		return fmt.Errorf("%q is no address", s)
	}
	return nil
}

// readScope reads one [[domain]] or [[recipient]] table; prefix is how
// keyLines names its keys.
func readScope(c *Config, file string, kind scopeKind, prefix string, table map[string]any, lines map[string]int) error {
	fail := func(key, format string, args ...any) error {
		line := lines[prefix+key]
		if line == 0 {
			line = lines[strings.TrimSuffix(prefix, ".")]
		}
		return configError{File: file, Line: line, Key: key, Msg: fmt.Sprintf(format, args...)}
	}
	scope := Scope{origins: map[string]string{}}
	known := []string{kind.nameKey, "virus_action", "approvedsenders", "blockedsenders"}
	for _, t := range thresholds {
		known = append(known, t.key)
	}
	for _, key := range slices.Sorted(maps.Keys(table)) {
		value := table[key]
		text, isText := value.(string)
		var err error
		switch i := slices.IndexFunc(thresholds, func(t threshold) bool { return t.key == key }); {
		case i >= 0:
			err = thresholds[i].set(&scope.Settings, value)
		case key == "virus_action":
			err = setVirus(&scope.Settings, value)
		case !slices.Contains(known, key):
			return fail(key, "unknown setting%s", didYouMean(key, known))
		case !isText:
			err = fmt.Errorf("%v is not a text", value)
		case key == kind.nameKey:
			scope.Name, err = text, kind.check(text)
		case key == "approvedsenders":
			scope.Approved = text
		case key == "blockedsenders":
			scope.Blocked = text
		}
		if err != nil {
			return fail(key, "%v", err)
		}
		scope.origins[key] = origin(file, lines[prefix+key])
	}
	if scope.Name == "" {
		return fail(kind.nameKey, "is missing")
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
		Relay:            c.Domains,
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

// listFiles are the sender lists that c names.
func (c *Config) listFiles() []string {
	files := []string{c.Approved, c.Blocked}
	for _, s := range slices.Concat(c.ByDomain, c.ByAddress) {
		files = append(files, s.Approved, s.Blocked)
	}
	return slices.DeleteFunc(files, func(f string) bool { return f == "" })
}
