package spamassassin

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var ruleName = regexp.MustCompile(`^[_a-zA-Z][_a-zA-Z0-9]{0,127}$`)

// directive handles one line of a rule file.
func (r *reader) directive(key, value string) {
	if renamed, ok := aliases[key]; ok {
		key = renamed
	}
	if handle, ok := directives[key]; ok {
		if err := handle(r, value); err != nil {
			name, _ := splitWord(value)
			if !namesRule[key] {
				name = ""
			}
			r.fault(name, fmt.Sprintf("%s: %v", key, err))
		}
		return
	}
	switch {
	case list(key) != "":
		r.addresses[list(key)] = append(r.addresses[list(key)], strings.Fields(strings.ToLower(value))...)
	case strings.HasPrefix(key, "un") && list(key[2:]) != "":
		drop := strings.Fields(strings.ToLower(value))
		r.addresses[list(key[2:])] = slices.DeleteFunc(r.addresses[list(key[2:])], func(a string) bool { return slices.Contains(drop, a) })
	case elsewhere(key):
		r.ignored(key, "setting without meaning here")
	default:
		r.fault(key, "unknown setting")
	}
}

var namesRule = map[string]bool{"header": true, "body": true, "rawbody": true, "full": true, "uri": true, "uri_detail": true, "mimeheader": true, "meta": true, "score": true, "describe": true, "tflags": true, "priority": true}

// aliases are older names of settings.
var aliases = map[string]string{
	"blacklist_uri_host": "blocklist_uri_host", "whitelist_uri_host": "welcomelist_uri_host",
	"freemail_whitelist":      "freemail_welcomelist",
	"whitelist_from_rcvd":     "welcomelist_from_rcvd",
	"def_whitelist_from_rcvd": "def_welcomelist_from_rcvd",
	"required_hits":           "required_score",
	"unblacklist_uri_host":    "unblocklist_uri_host",
	"unwhitelist_uri_host":    "unwelcomelist_uri_host",
	"test":                    "regression_test",
}

// list returns the list of address globs that a setting adds to, "" if it is
// none.
func list(key string) string {
	key = strings.ReplaceAll(strings.ReplaceAll(key, "whitelist", "welcomelist"), "blacklist", "blocklist")
	switch key {
	case "welcomelist_from", "welcomelist_to", "blocklist_from", "blocklist_to", "more_spam_to", "all_spam_to",
		"welcomelist_allows_relays", "welcomelist_bounce_relays", "welcomelist_subject", "blocklist_subject":
		return key
	}
	return ""
}

var directives = map[string]func(*reader, string) error{
	"header":                       (*reader).headerRule,
	"body":                         func(r *reader, v string) error { return r.patternRule(kindBody, v) },
	"rawbody":                      func(r *reader, v string) error { return r.patternRule(kindRawBody, v) },
	"full":                         func(r *reader, v string) error { return r.patternRule(kindFull, v) },
	"uri":                          func(r *reader, v string) error { return r.patternRule(kindURI, v) },
	"uri_detail":                   (*reader).uriDetailRule,
	"mimeheader":                   (*reader).mimeHeaderRule,
	"meta":                         (*reader).metaRule,
	"reuse":                        (*reader).reuse,
	"score":                        (*reader).score,
	"describe":                     func(r *reader, v string) error { return pairTo(r.conf.describe, v) },
	"tflags":                       (*reader).flagsOf,
	"priority":                     (*reader).priorityOf,
	"replace_tag":                  func(r *reader, v string) error { return pairTo(r.tags, v) },
	"replace_pre":                  func(r *reader, v string) error { return pairTo(r.pre, v) },
	"replace_inter":                func(r *reader, v string) error { return pairTo(r.inter, v) },
	"replace_post":                 func(r *reader, v string) error { return pairTo(r.post, v) },
	"replace_start":                func(r *reader, v string) error { r.tagOpen = v; return nil },
	"replace_end":                  func(r *reader, v string) error { r.tagClose = v; return nil },
	"replace_rules":                func(r *reader, v string) error { return setAll(r.replace, v) },
	"redirector_pattern":           (*reader).redirector,
	"loadplugin":                   (*reader).loadPlugin,
	"tryplugin":                    (*reader).loadPlugin,
	"enable_compat":                func(r *reader, v string) error { return setAll(r.compat, v) },
	"util_rb_tld":                  func(r *reader, v string) error { return setAll(r.tlds, strings.ToLower(v)) },
	"util_rb_2tld":                 func(r *reader, v string) error { return setAll(r.twoLevel, strings.ToLower(v)) },
	"util_rb_3tld":                 func(r *reader, v string) error { return setAll(r.threeLevel, strings.ToLower(v)) },
	"clear_util_rb":                (*reader).clearDomains,
	"freemail_domains":             (*reader).freemailDomains,
	"freemail_welcomelist":         func(r *reader, v string) error { return setAll(r.notFreemail, strings.ToLower(v)) },
	"enlist_uri_host":              (*reader).enlistHosts,
	"delist_uri_host":              (*reader).delistHosts,
	"blocklist_uri_host":           func(r *reader, v string) error { return r.enlistHosts("(BLOCK) " + v) },
	"welcomelist_uri_host":         func(r *reader, v string) error { return r.enlistHosts("(WELCOME) " + v) },
	"unblocklist_uri_host":         func(r *reader, v string) error { return r.delistHosts("(BLOCK) " + v) },
	"unwelcomelist_uri_host":       func(r *reader, v string) error { return r.delistHosts("(WELCOME) " + v) },
	"enlist_addrlist":              (*reader).enlistAddresses,
	"welcomelist_from_rcvd":        func(r *reader, v string) error { return r.fromRcvd("welcomelist_from_rcvd", v) },
	"def_welcomelist_from_rcvd":    func(r *reader, v string) error { return r.fromRcvd("def_welcomelist_from_rcvd", v) },
	"trusted_networks":             func(r *reader, v string) error { return r.trusted.add(v) },
	"internal_networks":            func(r *reader, v string) error { return r.internal.add(v) },
	"msa_networks":                 func(r *reader, v string) error { return r.msa.add(v) },
	"clear_trusted_networks":       func(r *reader, v string) error { r.trusted = networks{}; return nil },
	"clear_internal_networks":      func(r *reader, v string) error { r.internal = networks{}; return nil },
	"clear_msa_networks":           func(r *reader, v string) error { r.msa = networks{}; return nil },
	"originating_ip_headers":       (*reader).originatingHeaders,
	"clear_originating_ip_headers": func(r *reader, v string) error { r.originating = nil; return nil },
	"envelope_sender_header":       func(r *reader, v string) error { r.envelopeHeader = v; return nil },
	"ok_locales":                   func(r *reader, v string) error { r.locales = strings.Fields(v); return nil },
	"required_score":               (*reader).required,
	"freemail_max_body_emails":     func(r *reader, v string) error { return r.number("freemail_max_body_emails", v) },
	"freemail_max_body_freemails":  func(r *reader, v string) error { return r.number("freemail_max_body_freemails", v) },
	"freemail_skip_when_over_max":  func(r *reader, v string) error { return r.number("freemail_skip_when_over_max", v) },
	"freemail_skip_bulk_envfrom":   func(r *reader, v string) error { return r.number("freemail_skip_bulk_envfrom", v) },
}

func setAll(set map[string]bool, value string) error {
	if value == "" {
		return fmt.Errorf("no value")
	}
	for _, name := range strings.Fields(value) {
		set[name] = true
	}
	return nil
}

func pairTo(to map[string]string, value string) error {
	name, text := splitWord(value)
	if text == "" {
		return fmt.Errorf("no value")
	}
	to[name] = text
	return nil
}

var (
	callForm   = regexp.MustCompile(`^(\w+)\s*\((.*)\)$`)
	existsForm = regexp.MustCompile(`^exists:([\w.-]+):?$`)
	headerForm = regexp.MustCompile(`^([\w.-]+(?::[a-z]+){0,2}):?\s*([=!]~)\s*(.+)$`)
	mimeForm   = regexp.MustCompile(`^([^:\s]+(?::raw)?):?\s*([=!]~)\s*(.+)$`)
	unsetForm  = regexp.MustCompile(`\s+\[if-unset:\s+(.+)\]$`)
	detailForm = regexp.MustCompile(`\b(\w+)\s*([=!]~)\s*`)
)

func (r *reader) score(value string) error {
	words := strings.Fields(value)
	if len(words) != 2 && len(words) != 5 {
		return fmt.Errorf("needs a name and one or four numbers")
	}
	name := words[0]
	var set [4]float64
	relative := false
	for i, w := range words[1:] {
		if inner, ok := strings.CutPrefix(w, "("); ok && strings.HasSuffix(inner, ")") {
			relative, w = true, strings.TrimSuffix(inner, ")")
		}
		v, err := strconv.ParseFloat(w, 64)
		if err != nil || strings.Trim(w, "-0123456789.") != "" || v < -10000 || v > 10000 {
			return fmt.Errorf("%q is not a number", clip(w, 20))
		}
		set[i] = v
	}
	if len(words) == 2 {
		set = [4]float64{set[0], set[0], set[0], set[0]}
	}
	if old, known := r.scores[name]; relative {
		if !known {
			return fmt.Errorf("relative to a score that was not set before")
		}
		for i := range set {
			set[i] += old[i]
		}
	}
	r.scores[name] = set
	return nil
}

func (r *reader) flagsOf(value string) error {
	name, rest := splitWord(value)
	if rest == "" {
		return fmt.Errorf("no flags")
	}
	r.tflags[name] = strings.Fields(rest)
	return nil
}

func (r *reader) priorityOf(value string) error {
	name, rest := splitWord(value)
	n, err := strconv.Atoi(rest)
	if err != nil {
		return fmt.Errorf("%q is not a number", clip(rest, 20))
	}
	r.priority[name] = n
	return nil
}

func (r *reader) redirector(value string) error {
	source, flags, err := delimited(value)
	if err != nil {
		return err
	}
	r.redirects = append(r.redirects, rawRegex{source, flags})
	return nil
}

func (r *reader) loadPlugin(value string) error {
	name, _ := splitWord(value)
	r.plugins[name] = true
	return nil
}

func (r *reader) clearDomains(value string) error {
	words := strings.Fields(value)
	if len(words) == 0 {
		words = []string{"all"}
	}
	for _, w := range words {
		switch w {
		case "all":
			r.tlds, r.twoLevel, r.threeLevel = map[string]bool{}, map[string]bool{}, map[string]bool{}
		case "tld":
			r.tlds = map[string]bool{}
		case "2tld":
			r.twoLevel = map[string]bool{}
		case "3tld":
			r.threeLevel = map[string]bool{}
		}
	}
	return nil
}

func (r *reader) freemailDomains(value string) error {
	for _, d := range strings.Fields(strings.ToLower(value)) {
		if strings.ContainsAny(d, "*?") {
			r.freemailGlobs = append(r.freemailGlobs, d)
		} else {
			r.freemail[d] = true
		}
	}
	return nil
}

// listed splits "(NAME) item item…".
func listed(value string) (name string, items []string, err error) {
	rest, ok := strings.CutPrefix(value, "(")
	name, after, found := strings.Cut(rest, ")")
	if !ok || !found || name == "" || trim(after) == "" {
		return "", nil, fmt.Errorf("not (LIST) followed by items")
	}
	return name, strings.Fields(strings.ToLower(after)), nil
}

func (r *reader) enlistHosts(value string) error {
	name, hosts, err := listed(value)
	if err != nil {
		return err
	}
	if r.uriHosts[name] == nil {
		r.uriHosts[name] = map[string]bool{}
	}
	for _, h := range hosts {
		plain, exempt := strings.CutPrefix(h, "!")
		r.uriHosts[name][plain] = !exempt
	}
	return nil
}

func (r *reader) delistHosts(value string) error {
	names := []string{}
	var hosts []string
	if strings.HasPrefix(value, "(") {
		name, h, err := listed(value)
		if err != nil {
			return err
		}
		names, hosts = append(names, name), h
	} else {
		hosts = strings.Fields(strings.ToLower(value))
		for name := range r.uriHosts {
			names = append(names, name)
		}
	}
	for _, name := range names {
		for _, h := range hosts {
			delete(r.uriHosts[name], strings.TrimPrefix(h, "!"))
		}
	}
	return nil
}

func (r *reader) enlistAddresses(value string) error {
	name, items, err := listed(value)
	if err != nil {
		return err
	}
	r.addresses[name] = append(r.addresses[name], items...)
	return nil
}

func (r *reader) fromRcvd(list, value string) error {
	address, relay := splitWord(strings.ToLower(value))
	if relay == "" {
		return fmt.Errorf("no relay")
	}
	r.received[list] = append(r.received[list], rcvdEntry{address, relay})
	return nil
}

func (r *reader) originatingHeaders(value string) error {
	for _, h := range strings.Fields(value) {
		if !slices.ContainsFunc(r.originating, func(o string) bool { return strings.EqualFold(o, h) }) {
			r.originating = append(r.originating, h)
		}
	}
	return nil
}

func (r *reader) required(value string) error { return r.number("required_score", value) }

func (r *reader) number(name, value string) error {
	v, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return fmt.Errorf("%q is not a number", clip(value, 20))
	}
	r.numbers[name] = v
	if name == "required_score" {
		r.requiredScore = v
	}
	return nil
}
