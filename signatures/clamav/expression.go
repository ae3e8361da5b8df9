package clamav

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A term is a logical expression: a subsignature by its number, or two terms with
// an operator between them; either with a condition on how often it is found.
type term struct {
	op          byte // '&' or '|', 0 for a subsignature
	left, right *term
	index       int
	mod         byte // '=', '<' or '>', 0 for none
	count       int  // compared with
	different   int  // so many different subsignatures at least, 0 any
}

// maxSubsignatures is ClamAV's limit.
const maxSubsignatures = 64

// parseTerm reads expressions such as (0&1)|(2>3), over subsignatures with numbers
// below count. Operators of one level group to the right, as ClamAV reads them.
func parseTerm(text string, count int) (*term, error) {
	p := termParser{text: text, count: count}
	t, err := p.term(0)
	if err == nil && p.at < len(text) {
		err = errors.New("is unbalanced")
	}
	if err != nil {
		return nil, fmt.Errorf("logical expression: %w", err)
	}
	return t, nil
}

type termParser struct {
	text  string
	at    int
	count int
}

func (p *termParser) next() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *termParser) term(depth int) (*term, error) {
	if depth > 2*maxSubsignatures {
		return nil, errors.New("is nested too deep")
	}
	var left *term
	if p.next() == '(' {
		p.at++
		var err error
		if left, err = p.term(depth + 1); err != nil {
			return nil, err
		}
		if p.next() != ')' {
			return nil, errors.New("lacks a closing parenthesis")
		}
		p.at++
	} else {
		n, err := p.number()
		if err != nil {
			return nil, err
		}
		if n >= p.count {
			return nil, fmt.Errorf("names subsignature %d of %d", n, p.count)
		}
		left = &term{index: n}
	}
	if c := p.next(); c == '=' || c == '<' || c == '>' {
		p.at++
		if left.mod != 0 {
			return nil, skip("count of a count")
		}
		left.mod = c
		var err error
		if left.count, err = p.number(); err != nil {
			return nil, err
		}
		if p.next() == ',' {
			p.at++
			if left.different, err = p.number(); err != nil {
				return nil, err
			}
		}
	}
	op := p.next()
	if op != '&' && op != '|' {
		return left, nil
	}
	p.at++
	right, err := p.term(depth + 1)
	if err != nil {
		return nil, err
	}
	return &term{op: op, left: left, right: right}, nil
}

func (p *termParser) number() (int, error) {
	from := p.at
	for p.next() >= '0' && p.next() <= '9' {
		p.at++
	}
	if p.at == from {
		return 0, errors.New("lacks a number")
	}
	return number(p.text[from:p.at])
}

// uses marks the subsignatures that a term names.
func (t *term) uses(used map[int]bool) {
	if t.op == 0 {
		used[t.index] = true
		return
	}
	t.left.uses(used)
	t.right.uses(used)
}

// flat lists the subsignatures of a term that has one operator and no counts.
func (t *term) flat(op byte) ([]int, bool) {
	if t.op == 0 {
		return []int{t.index}, t.mod == 0
	}
	if t.op != op || t.left.op != 0 && t.left.mod != 0 || t.right.op != 0 && t.right.mod != 0 {
		return nil, false
	}
	a, ok := t.left.flat(op)
	b, ok2 := t.right.flat(op)
	return append(a, b...), ok && ok2
}

// condition writes a term in YARA's words.
func (t *term) condition(subs map[int]subsignature) (string, error) {
	if t.op == 0 {
		return t.single(subs[t.index])
	}
	if t.mod != 0 {
		return t.block(subs)
	}
	word := " and "
	if t.op == '|' {
		word = " or "
	}
	var all []string
	for now := t; ; now = now.right {
		left, err := now.left.condition(subs)
		if err != nil {
			return "", err
		}
		all = append(all, left)
		if now.right.op != t.op || now.right.mod != 0 {
			right, err := now.right.condition(subs)
			if err != nil {
				return "", err
			}
			return "(" + strings.Join(append(all, right), word) + ")", nil
		}
	}
}

// single is one subsignature, perhaps counted.
func (t *term) single(s subsignature) (string, error) {
	switch {
	case t.mod == 0 || t.mod == '>' && t.count == 0:
		return s.matched, nil
	case t.mod == '<' && t.count == 0:
		return "", skip("condition that is never met")
	case t.mod == '=' && t.count == 0 || t.mod == '<' && t.count == 1:
		return "not (" + s.matched + ")", nil
	case s.counted == "" && s.ranged != nil:
		switch t.mod {
		case '>':
			return s.ranged(t.count + 1), nil
		case '<':
			return "not " + s.ranged(t.count), nil
		}
		return "(" + s.ranged(t.count) + " and not " + s.ranged(t.count+1) + ")", nil
	case s.counted == "":
		return "", skip("count of what is found once")
	}
	return compare(s.counted, t.mod, t.count), nil
}

// block is the sum of the matches of several subsignatures. Those of a conjunction
// count only if all of them are there.
func (t *term) block(subs map[int]subsignature) (string, error) {
	list, ok := t.flat(t.op)
	if !ok {
		return "", skip("count of a nested expression")
	}
	var sum, all, lone []string
	seen := map[int]bool{}
	for _, i := range list {
		s := subs[i]
		if s.counted == "" {
			return "", skip("count of what is found once")
		}
		sum = append(sum, s.counted)
		all = append(all, s.matched)
		if s.lone != "" && !seen[i] {
			lone = append(lone, s.lone)
		}
		seen[i] = true
	}
	if t.mod == '<' && t.count == 0 {
		return "", skip("condition that is never met")
	}
	number := compare(strings.Join(sum, " + "), t.mod, t.count)
	if t.op == '|' {
		switch {
		case t.different == 0:
			return number, nil
		case t.different > len(seen):
			return "", skip("condition that is never met")
		case len(lone) != len(seen):
			return "", skip("count of different patterns at offsets")
		}
		return fmt.Sprintf("(%s and %d of (%s))", number, t.different, strings.Join(lone, ",")), nil
	}
	both := "(" + strings.Join(all, " and ") + ")"
	switch {
	case t.different > len(seen):
		return "", skip("condition that is never met")
	case t.different > 0 || t.mod == '>' || t.mod == '=' && t.count > 0:
		return "(" + both + " and " + number + ")", nil
	case t.mod == '=':
		return "not " + both, nil
	}
	return "(not " + both + " or " + number + ")", nil
}

func compare(sum string, mod byte, n int) string {
	op := string(mod)
	if mod == '=' {
		op = "=="
	}
	if strings.ContainsAny(sum, " ") {
		sum = "(" + sum + ")"
	}
	return sum + " " + op + " " + strconv.Itoa(n)
}
