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

func parts(text string) map[string]part {
	rules, tokens, ok := pieces(text)
	if !ok || slices.ContainsFunc(tokens, whole) || ruleSet(tokens) {
		return map[string]part{"": {text: text}}
	}
	needs := map[string]need{}
	index := map[string]int{}
	members := map[string][]int{}
	for i := range rules {
		p := &rules[i]
		needs[p.name] = needOf(p.condition, p, needs)
		index[p.name] = i
		if !p.private {
			class := needs[p.name].class()
			members[class] = append(members[class], i)
		}
	}
	if len(members) == 0 {
		return map[string]part{"": {text: text}}
	}
	list := map[string]part{}
	for class, own := range members {
		keep := make([]bool, len(rules))
		n := needs[rules[own[0]].name]
		for _, i := range own {
			n = n.or(needs[rules[i].name])
			hold(i, rules, index, keep)
		}
		list[class] = part{need: n, text: without(text, rules, tokens, keep)}
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

// without blanks the rules that are not kept, and imports that those kept do not
// use, so that all else stays in its line.
func without(text string, rules []piece, tokens []token, keep []bool) string {
	out := []byte(text)
	words := map[string]bool{}
	for i, p := range rules {
		if !keep[i] {
			blank(out[p.from:p.to])
			continue
		}
		for word := range p.words {
			words[word] = true
		}
	}
	for i := 0; i+1 < len(tokens); i++ {
		if tokens[i].text == "import" && tokens[i].kind == 'w' && tokens[i+1].kind == '"' {
			switch name := strings.Trim(tokens[i+1].text, `"`); name {
			case "pe", "elf", "dotnet", "macho", "dex", "math", "hash", "magic", "cuckoo", "time", "console":
				if !words[name] {
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
