package clamav

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
)

// translatePerl writes a Perl regular expression as one of YARA's, which know
// neither assertions but \b and \B, nor references, nor names. Whether there is a
// match is the same; where it ends may differ, since every quantifier becomes
// reluctant: libyara does not mix the two.
func translatePerl(text, flags string, nocase bool) (string, error) {
	dot, lines := "", false
	for _, f := range flags {
		switch f {
		case 'i':
			nocase = true
		case 's':
			dot = "s"
		case 'm':
			lines = true
		case 'g', 'r', 'e', 'U', 'E': // which matches are reported, and where they end
		case 'A', 'x':
			return "", skip("regular expression with the flag " + string(f))
		default:
			return "", fmt.Errorf("unknown flag %q of a regular expression", f)
		}
	}
	p := perl{text: text, lines: lines}
	run, cost, err := p.alternatives(0)
	if err != nil {
		return "", err
	}
	switch {
	case p.at < len(text):
		return "", errors.New("regular expression with unbalanced parentheses")
	case run < 3:
		return "", skip("regular expression without known text to search for")
	case p.splits > maxSplits || cost > maxCost || p.out.Len() > maxQuoted:
		return "", skip("regular expression too large")
	}
	if nocase {
		dot = "i" + dot
	}
	return "/" + p.out.String() + "/" + dot, nil
}

// maxCost bounds the repetitions of repetitions, in characters.
const maxCost = 4000

type perl struct {
	text   string
	at     int
	lines  bool // ^ and $ are for lines
	splits int
	out    strings.Builder
}

func unsupported(what string) error { return skip("regular expression with " + what) }

// alternatives reads up to the end or a closing parenthesis. run is the length of
// the longest known text that every match has, cost about its length in states.
func (p *perl) alternatives(depth int) (run, cost int, err error) {
	if depth > maxNesting {
		return 0, 0, unsupported("deep nesting")
	}
	run = math.MaxInt
	for {
		from := p.at
		r, c, err := p.branch(depth)
		if err != nil {
			return 0, 0, err
		}
		if p.at == from {
			return 0, 0, unsupported("an empty alternative")
		}
		run, cost = min(run, r), cost+c
		if p.at == len(p.text) || p.text[p.at] == ')' {
			return run, cost, nil
		}
		p.out.WriteByte('|')
		p.splits++
		p.at++
	}
}

func (p *perl) branch(depth int) (best, cost int, err error) {
	now := 0
	for p.at < len(p.text) && p.text[p.at] != '|' && p.text[p.at] != ')' {
		known, fixed, size := 0, false, 1 // of the item: text in it, whether it is one character
		switch c := p.text[p.at]; c {
		case '(':
			if known, size, err = p.group(depth); err != nil {
				return 0, 0, err
			}
		case '[':
			if err := p.class(); err != nil {
				return 0, 0, err
			}
		case '\\':
			if fixed, err = p.escape(); err != nil {
				return 0, 0, err
			}
		case '^':
			if p.lines {
				return 0, 0, unsupported("anchors of lines")
			}
			p.out.WriteByte('^')
			if p.at++; p.at < len(p.text) && strings.IndexByte("*+?{", p.text[p.at]) >= 0 {
				return 0, 0, unsupported("a repeated anchor")
			}
			continue
		case '$':
			return 0, 0, unsupported("an anchor at the end")
		case '.':
			p.out.WriteByte('.')
			p.at++
		case '*', '+', '?':
			return 0, 0, errors.New("regular expression that repeats nothing")
		default:
			p.literal(c)
			p.at++
			fixed = true
		}
		low, high, err := p.quantifier()
		if err != nil {
			return 0, 0, err
		}
		cost += size * high
		switch {
		case low == 0:
			now = 0
		case fixed && low == 1 && high == 1:
			now++
		case fixed:
			best, now = max(best, now+1), 0
		default:
			best, now = max(best, known), 0
		}
		best = max(best, now)
	}
	return best, cost, nil
}

func (p *perl) literal(c byte) {
	if isWord(c) {
		p.out.WriteByte(c)
	} else {
		fmt.Fprintf(&p.out, `\x%02x`, c)
	}
}

var groupName = regexp.MustCompile(`^\?(:|P?<[A-Za-z_]\w*>|'[A-Za-z_]\w*')`)

func (p *perl) group(depth int) (run, cost int, err error) {
	p.at++
	if rest := p.text[p.at:]; strings.HasPrefix(rest, "?") {
		name := groupName.FindString(rest)
		if name == "" {
			return 0, 0, unsupported("assertions or options inside")
		}
		p.at += len(name)
	} else if strings.HasPrefix(rest, "*") {
		return 0, 0, unsupported("verbs")
	}
	p.out.WriteByte('(')
	if run, cost, err = p.alternatives(depth + 1); err != nil {
		return 0, 0, err
	}
	if p.at == len(p.text) {
		return 0, 0, errors.New("regular expression with unbalanced parentheses")
	}
	p.at++
	p.out.WriteByte(')')
	return run, cost, nil
}

// byteEscapes are escapes that mean one byte.
var byteEscapes = map[byte]byte{'t': '\t', 'n': '\n', 'r': '\r', 'f': '\f', 'a': 7, 'e': 0x1b}

// oneByte reads an escape that means one byte. ok says that it was one.
func (p *perl) oneByte() (c byte, ok bool, err error) {
	if p.at+1 >= len(p.text) {
		return 0, false, errors.New("regular expression that ends in a backslash")
	}
	e := p.text[p.at+1]
	if b, known := byteEscapes[e]; known {
		p.at += 2
		return b, true, nil
	}
	if e == 'x' {
		if p.at+4 > len(p.text) {
			return 0, false, unsupported(`a short \x`)
		}
		b, err := (&patternParser{text: p.text[p.at+2 : p.at+4]}).byte()
		if err != nil || b.mask != 0xff {
			return 0, false, unsupported(`a short \x`)
		}
		p.at += 4
		return b.value, true, nil
	}
	if !isWord(e) || e == '_' {
		p.at += 2
		return e, true, nil
	}
	return 0, false, nil
}

func (p *perl) escape() (fixed bool, err error) {
	c, ok, err := p.oneByte()
	if err != nil {
		return false, err
	}
	if ok {
		p.literal(c)
		return true, nil
	}
	e := p.text[p.at+1]
	switch e {
	case 'w', 'W', 's', 'S', 'd', 'D':
	case 'b', 'B':
		if p.at+2 < len(p.text) && strings.IndexByte("*+?{", p.text[p.at+2]) >= 0 {
			return false, unsupported("a repeated anchor")
		}
	default:
		return false, unsupported("references or special escapes")
	}
	p.out.WriteString(p.text[p.at : p.at+2])
	p.at += 2
	return false, nil
}

func (p *perl) class() error {
	p.at++
	p.out.WriteByte('[')
	if p.at < len(p.text) && p.text[p.at] == '^' {
		p.out.WriteByte('^')
		p.at++
	}
	for first := true; ; first = false {
		if p.at >= len(p.text) {
			return errors.New("regular expression with an open class")
		}
		if p.text[p.at] == ']' && !first {
			p.at++
			p.out.WriteByte(']')
			return nil
		}
		low, single, err := p.classItem()
		if err != nil {
			return err
		}
		if !single {
			continue
		}
		fmt.Fprintf(&p.out, `\x%02x`, low)
		if p.at+1 < len(p.text) && p.text[p.at] == '-' && p.text[p.at+1] != ']' {
			p.at++
			high, single, err := p.classItem()
			if err != nil {
				return err
			}
			if !single || high < low {
				return unsupported("a strange range in a class")
			}
			fmt.Fprintf(&p.out, `-\x%02x`, high)
		}
	}
}

// classItem reads one character of a class; a kind of characters is written at
// once.
func (p *perl) classItem() (c byte, single bool, err error) {
	switch c := p.text[p.at]; c {
	case '[':
		if p.at+1 < len(p.text) && strings.IndexByte(":.=", p.text[p.at+1]) >= 0 {
			return 0, false, unsupported("named classes")
		}
		p.at++
		return c, true, nil
	case '\\':
		c, ok, err := p.oneByte()
		if err != nil || ok {
			return c, ok, err
		}
		switch e := p.text[p.at+1]; e {
		case 'b':
			p.at += 2
			return 8, true, nil
		case 'w', 'W', 's', 'S', 'd', 'D':
			p.out.WriteString(p.text[p.at : p.at+2])
			p.at += 2
			return 0, false, nil
		}
		return 0, false, unsupported("references or special escapes")
	default:
		p.at++
		return c, true, nil
	}
}

var braces = regexp.MustCompile(`^\{(\d+)(,(\d*))?\}`)

// quantifier reads what may follow an item. Without one it is 1, 1.
func (p *perl) quantifier() (low, high int, err error) {
	if p.at >= len(p.text) {
		return 1, 1, nil
	}
	mark := ""
	switch c := p.text[p.at]; c {
	case '*':
		low, high, mark = 0, 2, "*?"
	case '+':
		low, high, mark = 1, 2, "+?"
	case '?':
		low, high, mark = 0, 1, "??"
	case '{':
		m := braces.FindStringSubmatch(p.text[p.at:])
		if m == nil {
			return 1, 1, nil // a brace that means itself
		}
		if low, err = number(m[1]); err != nil {
			return 0, 0, err
		}
		switch {
		case m[2] == "":
			high, mark = low, m[0]+"?"
		case m[3] == "":
			high, mark = low+1, fmt.Sprintf("{%d,}?", low)
		default:
			if high, err = number(m[3]); err != nil {
				return 0, 0, err
			}
			mark = m[0] + "?"
		}
		if high < low || high == 0 || high > maxGap {
			return 0, 0, unsupported("a strange repetition")
		}
		p.at += len(m[0]) - 1
	default:
		return 1, 1, nil
	}
	p.splits++
	p.out.WriteString(mark)
	p.at++
	if p.at < len(p.text) {
		switch p.text[p.at] {
		case '?':
			p.at++
		case '+':
			return 0, 0, unsupported("possessive repetitions")
		}
	}
	if p.at < len(p.text) && (strings.IndexByte("*+?", p.text[p.at]) >= 0 || braces.MatchString(p.text[p.at:])) {
		return 0, 0, errors.New("regular expression that repeats a repetition")
	}
	return low, high, nil
}
