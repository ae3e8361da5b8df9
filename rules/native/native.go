// Package native turns files of the TOML rule language into rules.
//
// A file holds [[rule]] tables. Each has the keys symbol, description, points,
// hit, miss, and exactly one condition: body, skeleton, rawbody, header, html,
// uri, attachment, defect, envelope, fact or meta.
package native

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sort"
	"sync"

	"github.com/BurntSushi/toml"

	"spamcatcher/rules"
)

// Load reads all files of fsys that match one of the patterns of fs.Glob, in
// the order of their names. The error joins every fault of every file, each a
// *rules.Error.
func Load(fsys fs.FS, glob ...string) ([]rules.Rule, error) {
	seen := map[string]bool{}
	var names []string
	for _, g := range glob {
		found, err := fs.Glob(fsys, g)
		if err != nil {
			return nil, fmt.Errorf("listing rule files %q: %w", g, err)
		}
		for _, name := range found {
			if !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
	}
	sort.Strings(names)
	lists, errs := make([][]rules.Rule, len(names)), make([]error, len(names))
	var files sync.WaitGroup
	for i, name := range names {
		files.Go(func() {
			text, err := fs.ReadFile(fsys, name)
			if err != nil {
				errs[i] = fmt.Errorf("reading rules: %w", err)
				return
			}
			lists[i], errs[i] = Parse(name, text)
		})
	}
	files.Wait()
	return slices.Concat(lists...), errors.Join(errs...)
}

// Parse reads one file; name serves errors only. The error joins every fault
// found, each a *rules.Error; the rules beside it are those without fault.
func Parse(name string, text []byte) ([]rules.Rule, error) {
	var doc map[string]any
	if _, err := toml.Decode(string(text), &doc); err != nil {
		var pe toml.ParseError
		if errors.As(err, &pe) {
			return nil, &rules.Error{File: name, Line: pe.Position.Line, Col: pe.Position.Col, Msg: pe.Message}
		}
		return nil, &rules.Error{File: name, Line: 1, Msg: err.Error()}
	}
	where := locate(string(text))
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(doc)) {
		if key != "rule" {
			errs = append(errs, &rules.Error{File: name, Line: lineOf(text, key), Msg: fmt.Sprintf("unknown key %q: a rule file holds [[rule]] tables only", key)})
		}
	}
	if doc["rule"] == nil {
		return nil, errors.Join(errs...)
	}
	tables, ok := doc["rule"].([]map[string]any)
	if !ok {
		return nil, errors.Join(append(errs, &rules.Error{File: name, Line: lineOf(text, "rule"), Msg: "rule must be a list of tables, written [[rule]]"})...)
	}
	var list []rules.Rule
	for i, tab := range tables {
		at := table{pos: rules.Position{Line: 1}}
		if i < len(where.tables) {
			at = where.tables[i]
		}
		d := &decoder{file: name, at: at}
		r := d.rule(tab)
		if len(d.errs) > 0 {
			errs = append(errs, d.errs...)
			continue
		}
		list = append(list, r)
	}
	return list, errors.Join(errs...)
}
