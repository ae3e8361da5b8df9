package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// tables are the kinds of [[table]] in the native form, each with what reads
// one of them.
var tables = map[string]func(*Config, tableText) error{
	"domain":    func(c *Config, t tableText) error { return readScope(c, scopeKinds["domain"], t) },
	"recipient": func(c *Config, t tableText) error { return readScope(c, scopeKinds["recipient"], t) },
	"list":      readList,
}

// A tableText is one [[table]] as it stands in a file.
type tableText struct {
	file   string
	prefix string // how keyLines names its keys
	values map[string]any
	lines  map[string]int
}

// fail is what is wrong with one key, or with the table if the key is missing.
func (t tableText) fail(key, format string, args ...any) error {
	line := t.lines[t.prefix+key]
	if line == 0 {
		line = t.lines[strings.TrimSuffix(t.prefix, ".")]
	}
	return configError{File: t.file, Line: line, Key: key, Msg: fmt.Sprintf(format, args...)}
}

// readTable lays a table's values over a T. A key that is none of the settings
// is an error.
func readTable[T any](t tableText, settings []setting[T], into *T, origins map[string]string) error {
	known := make([]string, len(settings))
	for i, s := range settings {
		known[i] = s.key
	}
	for _, key := range slices.Sorted(maps.Keys(t.values)) {
		i := slices.Index(known, key)
		if i < 0 {
			return t.fail(key, "unknown setting%s", didYouMean(key, known))
		}
		if err := settings[i].set(into, t.values[key]); err != nil {
			return t.fail(key, "%v", err)
		}
		origins[key] = origin(t.file, t.lines[t.prefix+key])
	}
	return nil
}
