package yara

import (
	"encoding/binary"
	"encoding/hex"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Most public rules are about programs: their conditions begin with
// "uint16(0) == 0x5A4D and". libyara looks for the strings of all rules in all data,
// and before each scan builds what the modules know that any rule imports, which
// takes a quarter of a millisecond for pe: more than all the rest for the pieces of
// an ordinary mail. So the rules are compiled in a few groups, by what their
// conditions require of data at least, and data is scanned only with the groups
// whose rules may match it.

// A need is what data must have for a condition to hold: a necessary condition,
// weaker than the whole. The zero need is met by all data.
type need struct {
	prefixes []string // data begins with one of them; nil: whatever
	kind     string   // the external kind is that; "": whatever
	notMail  bool     // the external kind is not "mail"
}

// and is what two conditions need that both must hold.
func (n need) and(m need) need {
	if n.prefixes == nil || m.prefixes != nil && len(m.prefixes) < len(n.prefixes) {
		n.prefixes = m.prefixes
	}
	if n.kind == "" {
		n.kind = m.kind
	}
	n.notMail = n.notMail || m.notMail
	return n
}

// or is what two conditions need of which one must hold.
func (n need) or(m need) need {
	both := need{notMail: (n.notMail || n.kind != "" && n.kind != "mail") && (m.notMail || m.kind != "" && m.kind != "mail")}
	if n.kind == m.kind {
		both.kind = n.kind
	}
	if n.prefixes != nil && m.prefixes != nil {
		both.prefixes = slices.Compact(slices.Sorted(slices.Values(slices.Concat(n.prefixes, m.prefixes))))
	}
	return both
}

// met says whether data may meet the need.
func (n need) met(data []byte, kind string) bool {
	if n.kind != "" && kind != n.kind || n.notMail && kind == "mail" {
		return false
	}
	return n.prefixes == nil || slices.ContainsFunc(n.prefixes, func(p string) bool {
		return len(data) >= len(p) && string(data[:len(p)]) == p
	})
}

// programs is the class of rules that need a program for Windows or Linux.
const programs = "programs"

// class is the group that rules of a need are compiled in.
func (n need) class() string {
	program := func(p string) bool { return strings.HasPrefix(p, "MZ") || strings.HasPrefix(p, "\x7fE") }
	switch {
	case n.kind != "":
		return "kind " + n.kind
	case n.prefixes != nil && !slices.ContainsFunc(n.prefixes, func(p string) bool { return !program(p) }):
		return programs
	case n.prefixes != nil:
		return "prefixes"
	case n.notMail:
		return "not mail"
	}
	return ""
}

// needOf is what a condition needs. others are the needs of the rules before it, by
// name. What it does not understand it takes to need nothing.
func needOf(condition []token, p *piece, others map[string]need) need {
	// YARA binds "not" more tightly than "and", and that more than "or".
	if parts := split(condition, "or"); len(parts) > 1 {
		n := needOf(parts[0], p, others)
		for _, part := range parts[1:] {
			n = n.or(needOf(part, p, others))
		}
		return n
	}
	if parts := split(condition, "and"); len(parts) > 1 {
		var n need
		for _, part := range parts {
			n = n.and(needOf(part, p, others))
		}
		return n
	}
	if inner, ok := parenthesis(condition); ok {
		return needOf(inner, p, others)
	}
	return needOfTerm(condition, p, others)
}

// split cuts a condition at a word outside of parentheses.
func split(condition []token, word string) [][]token {
	var parts [][]token
	depth, from := 0, 0
	for i, t := range condition {
		switch {
		case t.kind == '(' || t.kind == '[':
			depth++
		case t.kind == ')' || t.kind == ']':
			depth--
		case depth == 0 && t.kind == 'w' && t.text == word:
			parts = append(parts, condition[from:i])
			from = i + 1
		}
	}
	return append(parts, condition[from:])
}

// parenthesis returns what is in the parentheses around all of a condition.
func parenthesis(condition []token) ([]token, bool) {
	last := len(condition) - 1
	if last < 1 || condition[0].kind != '(' || condition[last].kind != ')' {
		return nil, false
	}
	depth := 0
	for i, t := range condition {
		if t.kind == '(' {
			depth++
		} else if t.kind == ')' {
			if depth--; depth == 0 && i < last {
				return nil, false
			}
		}
	}
	return condition[1:last], true
}

var (
	number = regexp.MustCompile(`^uint(8|16|32)(be)?\(0\)==(0[xX][0-9a-fA-F]+|[0-9]+)$`)
	text   = regexp.MustCompile(`^"[^\\"]+"$`)
	plain  = regexp.MustCompile(`^\{([ \t\r\n]*[0-9a-fA-F]{2})+[ \t\r\n]*\}$`)
)

// needOfTerm is what a condition without "and" and "or" needs.
func needOfTerm(term []token, p *piece, others map[string]need) need {
	if len(term) == 1 && term[0].kind == 'w' {
		return others[term[0].text] // no other word names a rule
	}
	if len(term) == 3 && term[0].text == "kind" && text.MatchString(term[2].text) {
		switch {
		case term[1].text == "==":
			return need{kind: strings.Trim(term[2].text, `"`)}
		case term[1].text == "!=" && term[2].text == `"mail"`:
			return need{notMail: true}
		}
	}
	if len(term) == 3 && term[1].text == "at" && term[2].text == "0" {
		if prefix, ok := literal(p.strings[term[0].text]); ok {
			return need{prefixes: []string{prefix}}
		}
	}
	var joined strings.Builder
	for _, t := range term {
		joined.WriteString(t.text)
	}
	if m := number.FindStringSubmatch(joined.String()); m != nil {
		return prefixOf(m[1], m[2] != "", m[3])
	}
	if joined.String() == "pe.is_pe" {
		return need{prefixes: []string{"MZ"}}
	}
	return needOfModule(term)
}

// needOfModule is what a term needs that asks a module. What modules say of data
// that is not theirs is undefined, and so is every comparison, calculation,
// negation and call with it; a loop over an undefined range does not begin. The
// exceptions are constants, in capitals, and the fields is_pe and is_dotnet.
func needOfModule(term []token) need {
	if len(term) > 2 && term[0].text == "for" && (term[1].text == "any" || term[1].text == "all") {
		term = loopRange(term)
	}
	for _, t := range term {
		switch t.text {
		case "and", "or", "for", "of", "defined", "none", "any", "all", "them", "is_pe", "is_dotnet":
			return need{}
		}
	}
	not := slices.ContainsFunc(term, func(t token) bool { return t.text == "not" })
	if not && slices.ContainsFunc(term, func(t token) bool { return t.kind == 'w' && t.text[0] == '$' }) {
		return need{} // a string is at an undefined place: that is false, not undefined
	}
	for i := 0; i+2 < len(term); i++ {
		if term[i+1].kind != '.' || term[i+2].kind != 'w' || term[i+2].text[0] < 'a' || i > 1 && term[i-1].kind == '.' && term[i-2].kind == 'w' {
			continue
		}
		switch term[i].text {
		case "pe", "dotnet":
			return need{prefixes: []string{"MZ"}}
		case "elf":
			return need{prefixes: []string{"\x7fELF"}}
		}
	}
	return need{}
}

// loopRange returns what is looped over, of a loop: what stands behind "in".
func loopRange(loop []token) []token {
	depth, from := 0, -1
	for i, t := range loop {
		switch {
		case t.kind == '(' || t.kind == '[':
			depth++
		case t.kind == ')' || t.kind == ']':
			depth--
		case depth == 0 && t.text == "in" && from < 0:
			from = i + 1
		case depth == 0 && t.kind == ':' && from >= 0:
			return loop[from:i]
		}
	}
	return nil
}

// moduleTerms are the terms of a condition that ask a module about programs, where
// the condition holds with one of them false or does not hold without it: those
// under "and", "or" and parentheses only.
func moduleTerms(condition []token) [][]token {
	var list [][]token
	for _, word := range []string{"or", "and"} {
		if parts := split(condition, word); len(parts) > 1 {
			for _, part := range parts {
				list = append(list, moduleTerms(part)...)
			}
			return list
		}
	}
	if inner, ok := parenthesis(condition); ok {
		return moduleTerms(inner)
	}
	if needOfModule(condition).prefixes == nil {
		return nil
	}
	return [][]token{condition}
}

// prefixOf is the need of uint16(0) == value and the like.
func prefixOf(bits string, big bool, value string) need {
	size, err := strconv.Atoi(bits)
	if err != nil {
		return need{}
	}
	base := 10
	if strings.HasPrefix(strings.ToLower(value), "0x") {
		base, value = 16, value[2:]
	}
	v, err := strconv.ParseUint(value, base, size)
	if err != nil {
		return need{}
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(v))[4-size/8:]
	if !big {
		slices.Reverse(b)
	}
	return need{prefixes: []string{string(b)}}
}

// literal is the beginning of a string that stands for itself only.
func literal(definition []token) (string, bool) {
	if len(definition) < 2 || definition[1].kind == 'w' && !strings.HasPrefix(definition[1].text, "$") && definition[1].text != "condition" {
		return "", false // a modifier
	}
	switch d := definition[0]; {
	case d.kind == '"' && text.MatchString(d.text):
		return d.text[1 : len(d.text)-1], true
	case d.kind == '{' && plain.MatchString(d.text):
		b, err := hex.DecodeString(strings.Join(strings.Fields(d.text[1:len(d.text)-1]), ""))
		return string(b), err == nil
	}
	return "", false
}
