package spamassassin

import (
	"fmt"
	"strconv"
	"strings"
)

// noByte is what a character above U+00FF becomes: it never matches a byte.
const noByte = -1

// escape reads an escape outside of classes.
func (p *regexParser) escape() (*node, error) {
	if p.pos+1 >= len(p.src) {
		return nil, fmt.Errorf("pattern ends in a backslash")
	}
	c := p.src[p.pos+1]
	switch c {
	case 'A':
		p.pos += 2
		return &node{op: opBegin}, nil
	case 'z':
		p.pos += 2
		return &node{op: opEnd}, nil
	case 'Z':
		p.pos += 2
		return &node{op: opEndNL}, nil
	case 'b', 'B':
		p.pos += 2
		if p.peek("{") && !p.isBraces() {
			return nil, unsupported(`\b{…}`)
		}
		if c == 'b' {
			return &node{op: opWordEdge}, nil
		}
		return &node{op: opNotEdge}, nil
	case 'K': // keeps what stands before out of the match: no matter whether it matches
		p.pos += 2
		return nil, nil
	case 'E':
		p.pos += 2
		return nil, nil
	case 'Q':
		p.pos += 2
		text := p.src[p.pos:]
		if end := strings.Index(text, `\E`); end >= 0 {
			text = text[:end]
			p.pos += 2
		}
		p.pos += len(text)
		var subs []*node
		for i := range len(text) {
			subs = append(subs, p.literal(text[i]))
		}
		return cat(subs), nil
	case 'R':
		p.pos += 2
		crlf := cat([]*node{p.literal('\r'), p.literal('\n')})
		return &node{op: opAtomic, subs: []*node{{op: opAlt, subs: []*node{crlf, p.setNode(breakSet)}}}}, nil
	case 'X', 'C', 'G':
		return nil, unsupported(`\%c`, c)
	case 'N':
		if !strings.HasPrefix(p.src[p.pos+2:], "{") {
			p.pos += 2
			return p.setNode(newlineSet.negate()), nil
		}
	case 'g', 'k':
		return p.reference(c)
	}
	if c >= '1' && c <= '9' {
		end := p.pos + 2
		for end < len(p.src) && end < p.pos+4 && p.src[end] >= '0' && p.src[end] <= '9' {
			end++
		}
		n, _ := strconv.Atoi(p.src[p.pos+1 : end])
		if n < 10 || n <= p.re.groups {
			p.pos = end
			return &node{op: opBackref, n: n, fold: p.flags.i}, nil
		}
	}
	set, r, err := p.shared()
	if err != nil {
		return nil, err
	}
	if set != nil {
		return p.setNode(*set), nil
	}
	if r == noByte {
		return p.setNode(byteSet{}), nil
	}
	return p.literal(byte(r)), nil
}

// reference reads \g1, \g{-1}, \g{name}, \k<name>, \k'name' or \k{name}.
func (p *regexParser) reference(c byte) (*node, error) {
	rest := p.src[p.pos+2:]
	name, used := "", 0
	switch {
	case strings.HasPrefix(rest, "{"):
		if end := strings.IndexByte(rest, '}'); end > 0 {
			name, used = strings.TrimSpace(rest[1:end]), end+1
		}
	case c == 'k' && strings.HasPrefix(rest, "<"):
		if end := strings.IndexByte(rest, '>'); end > 0 {
			name, used = rest[1:end], end+1
		}
	case c == 'k' && strings.HasPrefix(rest, "'"):
		if end := strings.IndexByte(rest[1:], '\''); end > 0 {
			name, used = rest[1:end+1], end+2
		}
	case c == 'g':
		for used < len(rest) && (rest[used] >= '0' && rest[used] <= '9' || used == 0 && rest[used] == '-') {
			used++
		}
		name = rest[:used]
	}
	if name == "" {
		return nil, fmt.Errorf("reference without a group at offset %d", p.pos)
	}
	n, err := strconv.Atoi(name)
	if err != nil {
		var known bool
		if n, known = p.re.names[name]; !known {
			return nil, fmt.Errorf("reference to unknown group %q", name)
		}
	} else if n < 0 {
		if n += p.re.groups + 1; n < 1 {
			return nil, fmt.Errorf("reference to a group before the first")
		}
	}
	if n == 0 {
		return nil, fmt.Errorf("reference to group 0")
	}
	p.pos += 2 + used
	return &node{op: opBackref, n: n, fold: p.flags.i}, nil
}

// shared reads an escape that means the same inside and outside of classes:
// either a set or one character.
func (p *regexParser) shared() (*byteSet, int, error) {
	c := p.src[p.pos+1]
	p.pos += 2
	if s, ok := classEscape(c); ok {
		return &s, 0, nil
	}
	switch c {
	case 't':
		return nil, '\t', nil
	case 'n':
		return nil, '\n', nil
	case 'r':
		return nil, '\r', nil
	case 'f':
		return nil, '\f', nil
	case 'e':
		return nil, 0x1b, nil
	case 'a':
		return nil, 7, nil
	case 'c':
		if !p.more() {
			return nil, 0, fmt.Errorf(`\c at the end`)
		}
		r := int(p.src[p.pos])
		p.pos++
		if r >= 'a' && r <= 'z' {
			r -= 32
		}
		return nil, (r ^ 64) & 127, nil
	case 'x':
		return p.hex()
	case 'o':
		if p.peek("{") {
			if end := strings.IndexByte(p.src[p.pos:], '}'); end > 0 {
				v, err := strconv.ParseUint(strings.TrimSpace(p.src[p.pos+1:p.pos+end]), 8, 32)
				if err == nil {
					p.pos += end + 1
					return nil, asByte(v), nil
				}
			}
		}
		return nil, 0, fmt.Errorf(`bad \o escape`)
	case 'N':
		if end := strings.IndexByte(p.src[p.pos:], '}'); end > 0 && strings.HasPrefix(p.src[p.pos:], "{U+") {
			v, err := strconv.ParseUint(p.src[p.pos+3:p.pos+end], 16, 32)
			if err == nil {
				p.pos += end + 1
				return nil, asByte(v), nil
			}
		}
		return nil, 0, unsupported("named character")
	case 'p', 'P':
		return p.property(c == 'P')
	case '0', '1', '2', '3', '4', '5', '6', '7':
		end := p.pos
		for end < len(p.src) && end < p.pos+2 && p.src[end] >= '0' && p.src[end] <= '7' {
			end++
		}
		v, _ := strconv.ParseUint(p.src[p.pos-1:end], 8, 32)
		p.pos = end
		return nil, asByte(v), nil
	}
	return nil, int(c), nil
}

func asByte(v uint64) int {
	if v > 255 {
		return noByte
	}
	return int(v)
}

func (p *regexParser) hex() (*byteSet, int, error) {
	if p.peek("{") {
		end := strings.IndexByte(p.src[p.pos:], '}')
		if end < 0 {
			return nil, 0, fmt.Errorf(`\x{ without }`)
		}
		digits := strings.ReplaceAll(strings.TrimSpace(p.src[p.pos+1:p.pos+end]), "_", "")
		if digits == "" {
			digits = "0"
		}
		v, err := strconv.ParseUint(digits, 16, 32)
		if err != nil {
			return nil, 0, fmt.Errorf(`bad \x{%s}`, digits)
		}
		p.pos += end + 1
		return nil, asByte(v), nil
	}
	v := 0
	for n := 0; n < 2 && p.more(); n++ {
		d := strings.IndexByte("0123456789abcdef", p.src[p.pos]|32)
		if d < 0 || p.src[p.pos] < '0' {
			break
		}
		v = v*16 + d
		p.pos++
	}
	return nil, v, nil
}

// classEscape returns the set of \d, \w and so on; they know ASCII only.
func classEscape(c byte) (byteSet, bool) {
	switch c {
	case 'd':
		return digitSet, true
	case 'D':
		return digitSet.negate(), true
	case 'w':
		return wordSet, true
	case 'W':
		return wordSet.negate(), true
	case 's':
		return spaceSet, true
	case 'S':
		return spaceSet.negate(), true
	case 'h':
		return blankSet, true
	case 'H':
		return blankSet.negate(), true
	case 'v':
		return breakSet, true
	case 'V':
		return breakSet.negate(), true
	}
	return byteSet{}, false
}

// property reads \pL or \p{Name}: the names that make sense for single bytes.
func (p *regexParser) property(negated bool) (*byteSet, int, error) {
	name := ""
	if p.peek("{") {
		end := strings.IndexByte(p.src[p.pos:], '}')
		if end < 0 {
			return nil, 0, fmt.Errorf(`\p{ without }`)
		}
		name = p.src[p.pos+1 : p.pos+end]
		p.pos += end + 1
	} else if p.more() {
		name = p.src[p.pos : p.pos+1]
		p.pos++
	}
	if strings.HasPrefix(name, "^") {
		name, negated = name[1:], !negated
	}
	s, ok := propertySet(name)
	if !ok {
		return nil, 0, unsupported(`property \p{%s}`, name)
	}
	if negated {
		s = s.negate()
	}
	return &s, 0, nil
}

func propertySet(name string) (byteSet, bool) {
	letters := rangesOf("AZaz\xaa\xaa\xb5\xb5\xba\xba\xc0\xd6\xd8\xf6\xf8\xff")
	upper := rangesOf("AZ\xc0\xd6\xd8\xde")
	switch strings.ToLower(strings.NewReplacer("_", "", " ", "", "-", "").Replace(strings.TrimPrefix(name, "Is"))) {
	case "l", "letter", "alpha", "alphabetic":
		return letters, true
	case "lu", "upper", "uppercase", "uppercaseletter":
		return upper, true
	case "ll", "lower", "lowercase", "lowercaseletter":
		return letters.intersect(upper.negate()), true
	case "n", "nd", "digit", "number":
		return digitSet, true
	case "s", "space", "spaceperl", "xposixspace":
		return spaceSet.union(setOf("\x85\xa0")), true
	case "w", "word":
		return wordSet.union(letters), true
	case "any", "all":
		return byteSet{}.negate(), true
	}
	return posixSet(strings.ToLower(strings.TrimPrefix(name, "Posix")))
}

func posixSet(name string) (byteSet, bool) {
	switch name {
	case "alpha":
		return rangesOf("AZaz"), true
	case "digit":
		return digitSet, true
	case "alnum":
		return rangesOf("09AZaz"), true
	case "upper":
		return rangesOf("AZ"), true
	case "lower":
		return rangesOf("az"), true
	case "space":
		return spaceSet, true
	case "blank":
		return setOf(" \t"), true
	case "punct":
		return rangesOf("!/:@[`{~"), true
	case "print":
		return rangesOf(" ~"), true
	case "graph":
		return rangesOf("!~"), true
	case "cntrl":
		return rangesOf("\x00\x1f\x7f\x7f"), true
	case "xdigit":
		return rangesOf("09AFaf"), true
	case "word":
		return wordSet, true
	case "ascii":
		return rangesOf("\x00\x7f"), true
	}
	return byteSet{}, false
}

// class reads […].
func (p *regexParser) class() (byteSet, error) {
	start := p.pos
	p.pos++
	negated := p.accept("^")
	var s byteSet
	for first := true; ; first = false {
		if !p.more() {
			return s, fmt.Errorf("unmatched [ at offset %d", start)
		}
		if p.src[p.pos] == ']' && !first {
			p.pos++
			break
		}
		sub, lo, err := p.classItem()
		if err != nil {
			return s, err
		}
		if sub != nil {
			s = s.union(*sub)
			continue
		}
		if p.pos+1 < len(p.src) && p.src[p.pos] == '-' && p.src[p.pos+1] != ']' {
			p.pos++
			sub, hi, err := p.classItem()
			if err != nil {
				return s, err
			}
			if sub != nil { // [a-\d]: the hyphen is itself
				if lo != noByte {
					s.add(byte(lo))
				}
				s.add('-')
				s = s.union(*sub)
				continue
			}
			if lo == noByte {
				continue
			}
			if hi == noByte {
				hi = 255
			}
			if hi < lo {
				return s, fmt.Errorf("range out of order at offset %d", p.pos)
			}
			s.addRange(byte(lo), byte(hi))
			continue
		}
		if lo != noByte {
			s.add(byte(lo))
		}
	}
	if p.flags.i {
		s = s.fold()
	}
	if negated {
		s = s.negate()
	}
	return s, nil
}

// classItem reads one set or character of a class.
func (p *regexParser) classItem() (*byteSet, int, error) {
	if p.peek("[:") {
		if end := strings.Index(p.src[p.pos:], ":]"); end > 2 && end < 16 {
			name := p.src[p.pos+2 : p.pos+end]
			s, ok := posixSet(strings.TrimPrefix(name, "^"))
			if ok {
				p.pos += end + 2
				if name[0] == '^' {
					s = s.negate()
				}
				return &s, 0, nil
			}
		}
	}
	c := p.src[p.pos]
	if c != '\\' {
		p.pos++
		return nil, int(c), nil
	}
	if p.pos+1 >= len(p.src) {
		return nil, 0, fmt.Errorf("unmatched [")
	}
	switch p.src[p.pos+1] {
	case 'b':
		p.pos += 2
		return nil, 8, nil
	case 'N', 'R', 'X':
		if !strings.HasPrefix(p.src[p.pos+2:], "{") {
			return nil, 0, fmt.Errorf(`\%c in a class`, p.src[p.pos+1])
		}
	case 'E':
		p.pos += 2
		var none byteSet
		return &none, 0, nil
	}
	return p.shared()
}
