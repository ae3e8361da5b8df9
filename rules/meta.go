package rules

import (
	"fmt"
	"strconv"
	"strings"
)

// The expressions of Meta conditions:
//
//	or      = and { "||" and }
//	and     = not { "&&" not }
//	not     = "!" not | "(" or ")" | count | NAME
//	count   = "count" "(" or { "," or } ")" ( "==" "!=" "<" "<=" ">" ">=" ) NUMBER
//
// They are parsed into a tree that is evaluated over the set of names that
// hold. Nesting and length are bounded.

const (
	maxExprBytes = 10 << 10
	maxExprDepth = 100
)

type op byte

const (
	opName op = iota
	opNot
	opAnd
	opOr
	opCount
)

// expr is a node of the tree.
type expr struct {
	op   op
	name string // opName
	id   int    // opName: index of the rule or foreign symbol, set by the compiler
	args []*expr
	cmp  string // opCount
	n    int    // opCount
}

// holds evaluates the tree; has tells whether the name with an index holds.
func (e *expr) holds(has func(id int) bool) bool {
	switch e.op {
	case opName:
		return has(e.id)
	case opNot:
		return !e.args[0].holds(has)
	case opAnd:
		for _, a := range e.args {
			if !a.holds(has) {
				return false
			}
		}
		return true
	case opOr:
		for _, a := range e.args {
			if a.holds(has) {
				return true
			}
		}
		return false
	}
	n := 0
	for _, a := range e.args {
		if a.holds(has) {
			n++
		}
	}
	switch e.cmp {
	case "==":
		return n == e.n
	case "!=":
		return n != e.n
	case "<":
		return n < e.n
	case "<=":
		return n <= e.n
	case ">":
		return n > e.n
	}
	return n >= e.n
}

// names calls f for each name in the tree, in the order written.
func (e *expr) names(f func(*expr)) {
	if e.op == opName {
		f(e)
	}
	for _, a := range e.args {
		a.names(f)
	}
}

type exprParser struct {
	text  string
	i     int
	depth int
}

// parseExpr parses an expression; the error says at which column of the
// expression the fault is.
func parseExpr(text string) (*expr, error) {
	if len(text) > maxExprBytes {
		return nil, fmt.Errorf("expression longer than %d bytes", maxExprBytes)
	}
	p := &exprParser{text: text}
	e, err := p.or()
	if err != nil {
		return nil, err
	}
	if tok := p.peek(); tok != "" {
		return nil, p.errorf("unexpected %q", tok)
	}
	return e, nil
}

func (p *exprParser) errorf(format string, args ...any) error {
	return fmt.Errorf("expression column %d: %s", p.i+1, fmt.Sprintf(format, args...))
}

func wordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// peek returns the next token without taking it, "" at the end.
func (p *exprParser) peek() string {
	for p.i < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.i]) >= 0 {
		p.i++
	}
	rest := p.text[p.i:]
	if rest == "" {
		return ""
	}
	n := 0
	for n < len(rest) && wordByte(rest[n]) {
		n++
	}
	if n > 0 {
		return rest[:n]
	}
	for _, t := range []string{"&&", "||", "==", "!=", "<=", ">="} {
		if strings.HasPrefix(rest, t) {
			return t
		}
	}
	for n = 1; n < len(rest) && rest[n]&0xC0 == 0x80; n++ { // a whole rune
	}
	return rest[:n]
}

func (p *exprParser) take(tok string) bool {
	if p.peek() != tok {
		return false
	}
	p.i += len(tok)
	return true
}

func (p *exprParser) chain(sep string, o op, part func() (*expr, error)) (*expr, error) {
	first, err := part()
	if err != nil {
		return nil, err
	}
	args := []*expr{first}
	for p.take(sep) {
		next, err := part()
		if err != nil {
			return nil, err
		}
		args = append(args, next)
	}
	if len(args) == 1 {
		return first, nil
	}
	return &expr{op: o, args: args}, nil
}

func (p *exprParser) or() (*expr, error)  { return p.chain("||", opOr, p.and) }
func (p *exprParser) and() (*expr, error) { return p.chain("&&", opAnd, p.not) }

func (p *exprParser) not() (*expr, error) {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > maxExprDepth {
		return nil, p.errorf("nested deeper than %d", maxExprDepth)
	}
	tok := p.peek()
	switch {
	case tok == "":
		return nil, p.errorf("a name is missing")
	case p.take("!"):
		e, err := p.not()
		if err != nil {
			return nil, err
		}
		return &expr{op: opNot, args: []*expr{e}}, nil
	case p.take("("):
		e, err := p.or()
		if err != nil {
			return nil, err
		}
		if !p.take(")") {
			return nil, p.errorf("a closing bracket is missing")
		}
		return e, nil
	case tok == "count":
		p.i += len(tok)
		return p.count()
	case !validName(tok):
		return nil, p.errorf("%q is not a name: names are upper case", tok)
	}
	p.i += len(tok)
	return &expr{op: opName, name: tok}, nil
}

func (p *exprParser) count() (*expr, error) {
	if !p.take("(") {
		return nil, p.errorf("count needs a list in brackets")
	}
	e := &expr{op: opCount}
	for {
		a, err := p.or()
		if err != nil {
			return nil, err
		}
		e.args = append(e.args, a)
		if p.take(")") {
			break
		}
		if !p.take(",") {
			return nil, p.errorf("a comma or closing bracket is missing")
		}
	}
	e.cmp = p.peek()
	switch e.cmp {
	case "==", "!=", "<", "<=", ">", ">=":
		p.i += len(e.cmp)
	default:
		return nil, p.errorf("count(…) must be compared: ==, !=, <, <=, > or >= and a number")
	}
	num := p.peek()
	n, err := strconv.Atoi(num)
	if err != nil || n < 0 {
		return nil, p.errorf("%q is not a whole number", num)
	}
	p.i += len(num)
	e.n = n
	return e, nil
}

// validName says whether s may name a rule: [A-Z_][A-Z0-9_]+.
func validName(s string) bool {
	if len(s) < 2 || len(s) > 64 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c == '_' || c >= 'A' && c <= 'Z' || i > 0 && c >= '0' && c <= '9') {
			return false
		}
	}
	return s != "__" && strings.Trim(s, "_") != ""
}
