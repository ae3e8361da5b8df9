package yara

import (
	"slices"
	"strings"
)

// A bundle is the rules of the same class, each source with only those, and what
// data needs for one of them to match.
type bundle struct {
	need    need
	sources []Source // as many as there are, in their order; the text is empty if it has none
}

// bundles sorts the rules of all sources by class. What cannot be followed in a
// source is in every one of its bundles, and a source that cannot be followed at
// all, or that includes others, is whole in the bundle that is for all data.
func bundles(sources []Source) []bundle {
	byClass := map[string]*bundle{}
	var classes []string
	for i, s := range sources {
		for class, part := range parts(s.Text) {
			b := byClass[class]
			if b == nil {
				b = &bundle{need: part.need, sources: make([]Source, len(sources))}
				byClass[class] = b
				classes = append(classes, class)
			}
			b.need = b.need.or(part.need)
			b.sources[i] = Source{File: s.File, Text: part.text}
		}
	}
	slices.Sort(classes) // "", for all data, first
	var list []bundle
	for _, class := range classes {
		list = append(list, *byClass[class])
	}
	return list
}

// A part is a source without the rules of other classes.
type part struct {
	need need
	text string
}

// parts takes a source apart. A rule that asks a module about programs beside other
// things is in two parts: whole where data is a program, and elsewhere with false
// for what only programs have, so that other data is spared the module.
func parts(text string) map[string]part {
	rules, tokens, ok := pieces(text)
	if !ok || slices.ContainsFunc(tokens, whole) || ruleSet(tokens) {
		return map[string]part{"": {text: text}}
	}
	needs := map[string]need{}
	index := map[string]int{}
	named := map[string]bool{}
	for i := range rules {
		needs[rules[i].name] = needOf(rules[i].condition, &rules[i], needs)
		index[rules[i].name] = i
		for word := range rules[i].words {
			named[word] = true
		}
	}
	type member struct {
		rule int
		need need
	}
	members := map[string][]member{}
	terms := map[int][][]token{} // to be false in the rule's own class
	for i := range rules {
		p := &rules[i]
		if p.private {
			continue
		}
		n := needs[p.name]
		class := n.class()
		members[class] = append(members[class], member{i, n})
		if class == programs || named[p.name] || !p.words["pe"] && !p.words["elf"] && !p.words["dotnet"] {
			continue
		}
		if terms[i] = moduleTerms(p.condition); len(terms[i]) > 0 {
			some := needOfModule(terms[i][0])
			for _, term := range terms[i][1:] {
				some = some.or(needOfModule(term))
			}
			members[programs] = append(members[programs], member{i, some})
		}
	}
	if len(members) == 0 {
		return map[string]part{"": {text: text}}
	}
	list := map[string]part{}
	for class, own := range members {
		keep := make([]bool, len(rules))
		n := own[0].need
		for _, m := range own {
			n = n.or(m.need)
			hold(m.rule, rules, index, keep)
		}
		var never [][]token
		if class != programs {
			for _, m := range own {
				never = append(never, terms[m.rule]...)
			}
		}
		list[class] = part{need: n, text: without(text, rules, tokens, keep, never)}
	}
	return list
}

// whole says that a source with the token is not taken apart: a global rule decides
// about the others, and what is included is not seen.
func whole(t token) bool { return t.kind == 'w' && (t.text == "global" || t.text == "include") }

// ruleSet says that a condition may count rules whose names begin alike.
func ruleSet(tokens []token) bool {
	for i := 0; i+2 < len(tokens); i++ {
		if tokens[i].kind == 'w' && tokens[i].text[0] != '$' && tokens[i+1].kind == '*' && (tokens[i+2].kind == ',' || tokens[i+2].kind == ')') {
			return true
		}
	}
	return false
}

// hold keeps a rule and those that its condition names.
func hold(i int, rules []piece, index map[string]int, keep []bool) {
	if keep[i] {
		return
	}
	keep[i] = true
	for word := range rules[i].words {
		if j, ok := index[word]; ok && j < i {
			hold(j, rules, index, keep)
		}
	}
}

// without blanks the rules that are not kept, puts false for the terms that never
// hold, and blanks the imports that what is left does not use, so that all stays in
// its line.
func without(text string, rules []piece, tokens []token, keep []bool, never [][]token) string {
	out := []byte(text)
	for i, p := range rules {
		if !keep[i] {
			blank(out[p.from:p.to])
		}
	}
	for _, term := range never {
		// A string that no condition names would be an error.
		with := "false"
		for _, t := range term {
			if t.kind == 'w' && t.text[0] == '$' {
				with += " and " + t.text
			}
		}
		span := out[term[0].from:term[len(term)-1].to]
		if len(with) <= len(span) && !strings.Contains(string(span[:len(with)]), "\n") {
			blank(span)
			copy(span, with)
		}
	}
	used := map[string]bool{}
	for i := 0; i+1 < len(tokens); i++ {
		if t := tokens[i]; t.kind == 'w' && tokens[i+1].kind == '.' && string(out[t.from:t.to]) == t.text {
			used[t.text] = true
		}
	}
	for i := 0; i+1 < len(tokens); i++ {
		if tokens[i].text == "import" && tokens[i].kind == 'w' && tokens[i+1].kind == '"' {
			switch name := strings.Trim(tokens[i+1].text, `"`); name {
			case "pe", "elf", "dotnet", "macho", "dex", "math", "hash", "magic", "cuckoo", "time", "console":
				if !used[name] {
					blank(out[tokens[i].from:tokens[i+1].to])
				}
			}
		}
	}
	return string(out)
}

func blank(b []byte) {
	for i, c := range b {
		if c != '\n' {
			b[i] = ' '
		}
	}
}
