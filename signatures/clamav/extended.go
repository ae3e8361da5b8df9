package clamav

import (
	"errors"
	"strconv"
	"strings"
)

// A rule is a signature in YARA's words.
type rule struct {
	name         string // of the signature
	strings      []named
	condition    string
	modules      []string
	approximated []string
}

// A named is a string of a rule: $name = text.
type named struct{ name, text string }

// extended translates a line of an .ndb file:
// name:target:offset:pattern[:least level[:highest level]].
func extended(line string) (rule, error) {
	f := strings.Split(line, ":")
	if len(f) < 4 || len(f) > 6 {
		return rule{}, errors.New("is not name:target:offset:pattern")
	}
	if f[0] == "" || len(f[0]) > 1024 {
		return rule{}, errors.New("name is empty or longer than 1,024 bytes")
	}
	target, err := number(f[1])
	if err != nil {
		return rule{}, err
	}
	levels := [2]int{}
	for i, text := range f[4:] {
		if levels[i], err = parseLevel(text); err != nil {
			return rule{}, err
		}
	}
	if err := inLevel(levels[0], levels[1]); err != nil {
		return rule{}, err
	}
	condition, err := guard(target)
	if err != nil {
		return rule{}, err
	}
	s, err := body("s", f[2], f[3], normal(target), target)
	if err != nil {
		return rule{}, err
	}
	out := rule{name: f[0], strings: s.strings, modules: s.modules, approximated: s.approximated}
	out.condition = guarded(s.matched, condition)
	if normal(target).nocase {
		out.approximated = append(out.approximated, normalised)
	}
	return out, nil
}

// parseLevel is a functionality level, 0 if there is none.
func parseLevel(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, errors.New("functionality level is not a number")
	}
	return n, nil
}

// guarded adds a condition about the file. It comes last: for nearly every rule the
// patterns say no already, in a tenth of the time that comparing texts takes.
func guarded(condition, guard string) string {
	if guard == "" {
		return condition
	}
	return condition + " and " + guard
}

// A subsignature is one pattern of a rule.
type subsignature struct {
	strings      []named
	matched      string             // the condition that it is there
	counted      string             // how often, "" if that cannot be said
	lone         string             // the one string that is anywhere, for "n of"
	ranged       func(n int) string // the condition that it is in its range n times, nil if it has none
	modules      []string
	approximated []string
}

// body translates one pattern at one place into strings whose names begin with
// name.
func body(name, offset, pat string, m modifiers, target int) (subsignature, error) {
	where, err := parsePlace(offset, target)
	if err != nil {
		return subsignature{}, err
	}
	p, err := parsePattern(pat)
	if err != nil {
		return subsignature{}, err
	}
	var out subsignature
	if where.module != "" {
		out.modules = []string{where.module}
	}
	if !m.nocase && !m.wide && !m.whole {
		if condition, ok := where.bytes(p); ok {
			out.matched = condition
			return out, nil
		}
	}
	texts, approximated, err := render(p, m)
	if err != nil {
		return subsignature{}, err
	}
	out.approximated = approximated
	var matched, counted []string
	for i, text := range texts {
		n := named{name + strings.Repeat("w", i), text}
		out.strings = append(out.strings, n)
		matched = append(matched, where.matched(n.name))
		if c := where.counted(n.name); c != "" {
			counted = append(counted, c)
		}
	}
	out.matched = matched[0]
	if len(matched) > 1 {
		out.matched = "(" + strings.Join(matched, " or ") + ")"
	} else if where.base == "" {
		out.lone = "$" + name
	} else if where.until != "" {
		out.ranged = func(n int) string { return where.atLeast(name, n) }
	}
	if len(counted) == len(texts) {
		out.counted = strings.Join(counted, " + ")
	}
	return out, nil
}
