package spamassassin

import (
	"fmt"
	"strconv"
	"strings"
)

// expr is a compiled expression of a meta rule or a condition of a rule file.
// Values are numbers as Perl has them: true is 1 or the value that decided, not
// true is 0.
type expr struct {
	op   string // "n" number, "v" variable, "f" function, else the operator
	code byte   // the same as a number, set by ready
	num  float64
	name string
	id   int // of a variable, set when the expression is bound
	args []*expr
}

// codes number the operators, so that evaluating compares no texts.
var codes = map[string]byte{"n": 1, "v": 2, "!": 3, "neg": 4, "&&": 5, "||": 6, "?": 7, "f": 8, "+": 9, "-": 10, "*": 11, "/": 12,
	"<": 13, "<=": 14, ">": 15, ">=": 16, "==": 17, "!=": 18, "^": 19, "&": 20, "|": 21}

// ready numbers the operators of an expression that is to be evaluated.
func (e *expr) ready() *expr {
	e.code = codes[e.op]
	for _, arg := range e.args {
		arg.ready()
	}
	return e
}

func (e *expr) eval(values []float64) float64 {
	switch e.code {
	case 1:
		return e.num
	case 2:
		return values[e.id]
	case 3:
		return truth(e.args[0].eval(values) == 0)
	case 4:
		return -e.args[0].eval(values)
	case 5:
		if v := e.args[0].eval(values); v == 0 {
			return v
		}
		return e.args[1].eval(values)
	case 6:
		if v := e.args[0].eval(values); v != 0 {
			return v
		}
		return e.args[1].eval(values)
	case 7:
		if e.args[0].eval(values) != 0 {
			return e.args[1].eval(values)
		}
		return e.args[2].eval(values)
	case 8:
		return 0
	}
	a, b := e.args[0].eval(values), e.args[1].eval(values)
	switch e.code {
	case 9:
		return a + b
	case 10:
		return a - b
	case 11:
		return a * b
	case 12:
		if b == 0 {
			return 0
		}
		return a / b
	case 13:
		return truth(a < b)
	case 14:
		return truth(a <= b)
	case 15:
		return truth(a > b)
	case 16:
		return truth(a >= b)
	case 17:
		return truth(a == b)
	case 18:
		return truth(a != b)
	case 19:
		return float64(uint64(max(a, 0)) ^ uint64(max(b, 0)))
	case 20:
		return float64(uint64(max(a, 0)) & uint64(max(b, 0)))
	case 21:
		return float64(uint64(max(a, 0)) | uint64(max(b, 0)))
	}
	return 0
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// variables calls visit for every variable.
func (e *expr) variables(visit func(*expr)) {
	if e.op == "v" {
		visit(e)
	}
	for _, arg := range e.args {
		arg.variables(visit)
	}
}

// maxExpr bounds the tokens of an expression.
const maxExpr = 20000

type exprParser struct {
	tokens []string
	pos    int
	depth  int
}

// parseExpr parses an expression. Functions are names followed by one name or
// glob in parentheses; which there are is the caller's matter.
func parseExpr(text string) (*expr, error) {
	tokens, err := tokenize(text)
	if err != nil {
		return nil, err
	}
	if len(tokens) == 2 && tokens[0] == "(" && tokens[1] == ")" {
		return &expr{op: "n"}, nil
	}
	if len(tokens) > maxExpr {
		return nil, fmt.Errorf("expression of more than %d tokens", maxExpr)
	}
	p := &exprParser{tokens: tokens}
	e, err := p.binary(0)
	if err != nil {
		return nil, err
	}
	if p.pos < len(p.tokens) {
		return nil, fmt.Errorf("unexpected %q in expression", p.tokens[p.pos])
	}
	return e, nil
}

func tokenize(text string) ([]string, error) {
	var tokens []string
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case spaceSet.has(c):
			i++
			continue
		case digitSet.has(c) || c == '.':
			j := i
			for j < len(text) && (digitSet.has(text[j]) || text[j] == '.') {
				j++
			}
			tokens = append(tokens, text[i:j])
			i = j
			continue
		case wordSet.has(c) || c == '*' && i > 0 && globContext(tokens) || c == '?' && globContext(tokens):
			j := i
			for j < len(text) && (wordSet.has(text[j]) || text[j] == ':' || globContext(tokens) && (text[j] == '*' || text[j] == '?')) {
				j++
			}
			tokens = append(tokens, text[i:j])
			i = j
			continue
		}
		if i+1 < len(text) {
			if two := text[i : i+2]; strings.Contains(" && || >= <= == != ", " "+two+" ") {
				tokens = append(tokens, two)
				i += 2
				continue
			}
		}
		if strings.IndexByte("()!<>+-*/^?:&|", c) < 0 {
			return nil, fmt.Errorf("unexpected %q in expression", c)
		}
		tokens = append(tokens, text[i:i+1])
		i++
	}
	return tokens, nil
}

// globContext says whether what follows is the argument of rules_matching.
func globContext(tokens []string) bool {
	n := len(tokens)
	return n >= 2 && tokens[n-1] == "(" && tokens[n-2] == "rules_matching"
}

var precedence = map[string]int{
	"?": 1, "||": 2, "&&": 3, "|": 4, "^": 4, "&": 5, "==": 6, "!=": 6,
	"<": 7, ">": 7, "<=": 7, ">=": 7, "+": 8, "-": 8, "*": 9, "/": 9,
}

func (p *exprParser) next() string {
	if p.pos < len(p.tokens) {
		return p.tokens[p.pos]
	}
	return ""
}

func (p *exprParser) binary(least int) (*expr, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, fmt.Errorf("expression nested deeper than %d", maxDepth)
	}
	defer func() { p.depth-- }()
	left, err := p.unary()
	if err != nil {
		return nil, err
	}
	for {
		op := p.next()
		level, ok := precedence[op]
		if !ok || level <= least {
			return left, nil
		}
		p.pos++
		if op == "?" {
			yes, err := p.binary(0)
			if err != nil {
				return nil, err
			}
			if p.next() != ":" {
				return nil, fmt.Errorf("? without : in expression")
			}
			p.pos++
			no, err := p.binary(0)
			if err != nil {
				return nil, err
			}
			left = &expr{op: "?", args: []*expr{left, yes, no}}
			continue
		}
		right, err := p.binary(level)
		if err != nil {
			return nil, err
		}
		left = &expr{op: op, args: []*expr{left, right}}
	}
}

func (p *exprParser) unary() (*expr, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, fmt.Errorf("expression nested deeper than %d", maxDepth)
	}
	defer func() { p.depth-- }()
	t := p.next()
	if t == "" {
		return nil, fmt.Errorf("expression ends too early")
	}
	p.pos++
	switch t {
	case "!", "-", "+":
		arg, err := p.unary()
		if err != nil {
			return nil, err
		}
		switch t {
		case "!":
			return &expr{op: "!", args: []*expr{arg}}, nil
		case "-":
			return &expr{op: "neg", args: []*expr{arg}}, nil
		}
		return arg, nil
	case "(":
		inner, err := p.binary(0)
		if err != nil {
			return nil, err
		}
		if p.next() != ")" {
			return nil, fmt.Errorf("( without ) in expression")
		}
		p.pos++
		return inner, nil
	}
	if digitSet.has(t[0]) || t[0] == '.' {
		n, err := strconv.ParseFloat(t, 64)
		if err != nil {
			return nil, fmt.Errorf("bad number %q in expression", t)
		}
		return &expr{op: "n", num: n}, nil
	}
	if !wordSet.has(t[0]) {
		return nil, fmt.Errorf("unexpected %q in expression", t)
	}
	if p.next() == "(" && p.pos+2 < len(p.tokens) && p.tokens[p.pos+2] == ")" {
		f := &expr{op: "f", name: t, args: []*expr{{op: "n", name: p.tokens[p.pos+1]}}}
		p.pos += 3
		return f, nil
	}
	if strings.Contains(t, ":") {
		return nil, fmt.Errorf("unexpected %q in expression", t)
	}
	return &expr{op: "v", name: t, id: -1}, nil
}
