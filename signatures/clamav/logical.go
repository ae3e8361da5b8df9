package clamav

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// logical translates a line of an .ldb file:
// name;target description;expression;subsignature 0;subsignature 1;…
func logical(line string) (rule, error) {
	f := strings.Split(line, ";")
	if len(f) < 4 {
		return rule{}, errors.New("is not name;target;expression;subsignature")
	}
	if f[0] == "" || len(f[0]) > 1024 {
		return rule{}, errors.New("name is empty or longer than 1,024 bytes")
	}
	subs := f[3:]
	if len(subs) > maxSubsignatures {
		return rule{}, errors.New("more than 64 subsignatures")
	}
	d, err := describe(f[1])
	if err != nil {
		return rule{}, err
	}
	expression, err := parseTerm(f[2], len(subs))
	if err != nil {
		return rule{}, err
	}
	used := map[int]bool{}
	expression.uses(used)
	done := map[int]subsignature{}
	for _, i := range slices.Sorted(maps.Keys(used)) {
		if err := translateSub(i, subs, d.target, done); err != nil {
			return rule{}, err
		}
	}
	condition, err := expression.condition(done)
	if err != nil {
		return rule{}, err
	}
	out := rule{name: f[0], condition: condition, modules: d.modules}
	for _, c := range d.conditions {
		out.condition = guarded(out.condition, c)
	}
	if normal(d.target).nocase {
		out.approximated = append(out.approximated, normalised)
	}
	// A trigger may need patterns that the expression does not name.
	for _, i := range slices.Sorted(maps.Keys(done)) {
		out.strings = append(out.strings, done[i].strings...)
		out.modules = append(out.modules, done[i].modules...)
		out.approximated = append(out.approximated, done[i].approximated...)
	}
	slices.Sort(out.approximated)
	out.approximated = slices.Compact(out.approximated)
	return out, nil
}

// translateSub translates subsignature i, and first those that trigger it.
func translateSub(i int, subs []string, target int, done map[int]subsignature) error {
	if _, ok := done[i]; ok {
		return nil
	}
	text := subs[i]
	name := "s" + strconv.Itoa(i)
	switch {
	case strings.HasPrefix(text, "fuzzy_img#"):
		return skip("likeness of a picture")
	case strings.HasPrefix(text, "${"):
		return skip("macro group")
	case strings.Contains(text, "/"):
		return translateRegex(i, subs, target, done)
	case strings.Contains(text, "#"):
		return skip("comparison of bytes with a number")
	}
	m := normal(target)
	if at := strings.LastIndex(text, "::"); at >= 0 {
		for _, c := range text[at+2:] {
			switch c {
			case 'i':
				m.nocase = true
			case 'w':
				m.wide = true
			case 'a':
				m.ascii = true
			case 'f':
				m.whole = true
			default:
				return fmt.Errorf("unknown modifier %q", c)
			}
		}
		text = text[:at]
	}
	offset := "*"
	if before, after, ok := strings.Cut(text, ":"); ok {
		offset, text = before, after
	}
	s, err := body(name, offset, text, m, target)
	if err != nil {
		return err
	}
	done[i] = s
	return nil
}

// translateRegex translates [offset:]trigger/expression/flags.
func translateRegex(i int, subs []string, target int, done map[int]subsignature) error {
	head, rest, _ := strings.Cut(subs[i], "/")
	last := strings.LastIndexByte(rest, '/')
	if last < 1 {
		return errors.New("regular expression is empty or not closed")
	}
	expression, flags := rest[:last], rest[last+1:]
	trigger := head
	if offset, after, ok := strings.Cut(head, ":"); ok {
		if trigger = after; offset != "*" {
			return skip("regular expression at an offset")
		}
	}
	if i == 0 {
		return errors.New("regular expression without anything to trigger it")
	}
	condition, err := parseTerm(trigger, i)
	if err != nil {
		return err
	}
	used := map[int]bool{}
	condition.uses(used)
	for _, j := range slices.Sorted(maps.Keys(used)) {
		if err := translateSub(j, subs, target, done); err != nil {
			return err
		}
	}
	triggered, err := condition.condition(done)
	if err != nil {
		return err
	}
	text, err := translatePerl(expression, flags, normal(target).nocase)
	if err != nil {
		return err
	}
	name := "s" + strconv.Itoa(i)
	s := subsignature{
		strings:      []named{{name, text}},
		matched:      "(" + triggered + " and $" + name + ")",
		approximated: []string{scanned},
	}
	done[i] = s
	return nil
}

// A description is what the second field of a logical signature says.
type description struct {
	target     int
	conditions []string
	modules    []string
}

func describe(text string) (description, error) {
	var d description
	sections := ""
	for _, pair := range strings.Split(text, ",") {
		key, value, ok := strings.Cut(pair, ":")
		if !ok {
			return d, fmt.Errorf("target description %.40q has no value", pair)
		}
		var err error
		var low, high int
		switch key {
		case "Target":
			d.target, err = number(value)
		case "Engine":
			if low, high, err = span(value); err == nil {
				err = inLevel(low, high)
			}
		case "FileSize":
			if low, high, err = span(value); err == nil {
				d.conditions = append(d.conditions, fmt.Sprintf("filesize >= %d and filesize <= %d", low, high))
			}
		case "EntryPoint":
			if low, high, err = span(value); err == nil {
				sections = fmt.Sprintf("pe.entry_point >= %d and pe.entry_point <= %d", low, high)
			}
		case "NumberOfSections":
			if low, high, err = span(value); err == nil {
				sections = fmt.Sprintf("pe.number_of_sections >= %d and pe.number_of_sections <= %d", low, high)
			}
		case "Container", "Intermediates":
			err = skip("kind of container")
		case "IconGroup1", "IconGroup2":
			err = skip("icon")
		case "HandlerType":
			err = skip("type for another reader")
		default:
			err = skip("unknown target description")
		}
		if err != nil {
			return d, err
		}
		if sections != "" {
			d.conditions = append(d.conditions, sections)
			d.modules = []string{"pe"}
			sections = ""
		}
	}
	if len(d.modules) > 0 && d.target != targetPE {
		return d, skip("offset in a program that is not PE")
	}
	first, err := guard(d.target)
	if err != nil {
		return d, err
	}
	if first != "" {
		d.conditions = append([]string{first}, d.conditions...)
	}
	return d, nil
}

// span reads n-m.
func span(text string) (low, high int, err error) {
	a, b, ok := strings.Cut(text, "-")
	if !ok {
		b = a
	}
	if low, err = number(a); err != nil {
		return 0, 0, err
	}
	high, err = number(b)
	return low, high, err
}
