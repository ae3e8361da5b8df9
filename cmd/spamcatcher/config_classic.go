package main

import (
	"slices"
	"strings"

	"spamcatcher/rules/native"
)

// classicKeys are the settings of the classic form. Each has the same name in
// the native form.
var classicKeys = []string{"outgoing_smtp", "ruleupdate", "netcheck", "spam_reject", "spam_subject", "spam_flag", "spamchecktimeout", "approvedsenders", "blockedsenders"}

// readClassic lays the settings of a classic file over c: lines key=value,
// '#' begins a comment, white space around key and value is ignored. What is
// missing or malformed keeps its default and becomes a warning: this form
// never keeps the program from starting.
func readClassic(c *Config, file string, text []byte) error {
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		key, value, found := strings.Cut(line, "=")
		key, value = strings.ToLower(strings.TrimSpace(key)), strings.TrimSpace(value)
		bad := configError{File: file, Line: number, Key: key}
		if !found {
			bad.Msg = "is no line of the form key=value, ignored"
			c.warn("%v", bad)
			continue
		}
		if !slices.Contains(classicKeys, key) {
			bad.Msg = "unknown setting, ignored"
			if guess := native.Nearest(key, classicKeys); guess != "" {
				bad.Msg += "; did you mean " + guess + "?"
			}
			c.warn("%v", bad)
			continue
		}
		s := settingFor(key)
		err := s.set(c, value)
		if err != nil && key == "outgoing_smtp" {
			// The good servers of the list count: with none of them, mail
			// would go into the Maildir.
			good := slices.DeleteFunc(strings.Split(value, ","), func(one string) bool {
				one = strings.TrimSpace(one)
				return one == "" || checkServer(one) != nil
			})
			if len(good) > 0 {
				bad.Msg = err.Error() + "; only the other servers are used"
				c.warn("%v", bad)
				err = s.set(c, strings.Join(good, ","))
			}
		}
		if err != nil {
			if err := s.set(c, s.fallback()); err != nil {
				return err
			}
			c.origins[key] = "default"
			bad.Msg = err.Error() + "; using the default " + s.show(c)
			c.warn("%v", bad)
			continue
		}
		c.origins[key] = origin(file, number)
	}
	return nil
}
