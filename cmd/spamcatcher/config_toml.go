package main

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"spamcatcher/rules/native"
)

// readTOML lays the settings of a native file over c. Anything that it cannot
// understand is an error that names file, line and key.
func readTOML(c *Config, file string, text []byte) error {
	var tree map[string]any
	if _, err := toml.Decode(string(text), &tree); err != nil {
		var parse toml.ParseError
		if errors.As(err, &parse) {
			return configError{File: file, Line: parse.Position.Line, Key: parse.LastKey, Msg: parse.Message}
		}
		return configError{File: file, Msg: err.Error()}
	}
	lines := keyLines(string(text))
	fail := func(key, format string, args ...any) error {
		return configError{File: file, Line: lines[key], Key: key, Msg: fmt.Sprintf(format, args...)}
	}
	known := settingKeys()
	var walk func(prefix string, tree map[string]any) error
	walk = func(prefix string, tree map[string]any) error {
		for _, name := range slices.SortedFunc(maps.Keys(tree), func(a, b string) int { return lines[prefix+a] - lines[prefix+b] }) {
			key, value := prefix+name, tree[name]
			if i := slices.IndexFunc(settings, func(s setting[Config]) bool { return s.key == key }); i >= 0 {
				if err := settings[i].set(c, value); err != nil {
					return fail(key, "%v", err)
				}
				c.origins[key] = origin(file, lines[key])
				continue
			}
			if read, ok := tables[key]; ok {
				list, ok := value.([]map[string]any)
				if !ok {
					return fail(key, "is written as a list of tables: [[%s]]", key)
				}
				for i, values := range list {
					if err := read(c, tableText{file: file, prefix: fmt.Sprintf("%s.%d.", key, i), values: values, lines: lines}); err != nil {
						return err
					}
				}
				continue
			}
			isTable := slices.ContainsFunc(known, func(k string) bool { return strings.HasPrefix(k, key+".") })
			if table, ok := value.(map[string]any); ok && isTable {
				if err := walk(key+".", table); err != nil {
					return err
				}
				continue
			}
			if isTable {
				return fail(key, "is written as a table: [%s]", key)
			}
			return fail(key, "unknown setting%s", didYouMean(key, append(known, slices.Collect(maps.Keys(tables))...)))
		}
		return nil
	}
	return walk("", tree)
}

func didYouMean(key string, candidates []string) string {
	slices.Sort(candidates)
	if guess := native.Nearest(key, candidates); guess != "" {
		return "; did you mean " + guess + "?"
	}
	return ""
}

func origin(file string, line int) string {
	if line == 0 {
		return file
	}
	return fmt.Sprintf("%s:%d", file, line)
}

var (
	tableLine = regexp.MustCompile(`^\s*(\[\[?)\s*([^\]]+?)\s*\]`)
	keyLine   = regexp.MustCompile(`^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"))*)\s*=`)
)

// keyLines finds the line on which each key of a valid TOML file is set. The
// TOML library tells positions in its errors only. Keys inside the i-th
// [[table]] are written "table.i.key", counted from 0. Inline tables are known
// by the line of their own key.
func keyLines(text string) map[string]int {
	lines := map[string]int{}
	counts := map[string]int{}
	prefix := ""
	number := 0
	for line := range strings.Lines(text) {
		number++
		if m := tableLine.FindStringSubmatch(line); m != nil {
			name := bareKey(m[2])
			if lines[name] == 0 {
				lines[name] = number
			}
			if prefix = name + "."; m[1] == "[[" {
				prefix = fmt.Sprintf("%s.%d.", name, counts[name])
				lines[strings.TrimSuffix(prefix, ".")] = number
				counts[name]++
			}
			continue
		}
		if m := keyLine.FindStringSubmatch(line); m != nil {
			if key := prefix + bareKey(m[1]); lines[key] == 0 {
				lines[key] = number
			}
		}
	}
	return lines
}

// bareKey takes quotes and spaces out of a dotted key.
func bareKey(key string) string {
	return strings.NewReplacer(`"`, "", "'", "", " ", "", "\t", "").Replace(key)
}
