package match

import (
	"regexp/syntax"
	"unicode/utf8"
)

// A class is a set of ASCII bytes of which one must stand in a match, few
// enough of them in text that a stretch is worth a look before RE2 tries it:
// digits, capitals and signs.
type class struct {
	has   [256]bool
	count int
}

// in says whether a text has a byte of the class; every text has one of nil.
func (c *class) in(text string) bool {
	if c == nil {
		return true
	}
	for i := range len(text) {
		if c.has[text[i]] {
			return true
		}
	}
	return false
}

// contained derives a class from a node, nil if there is none.
func contained(re *syntax.Regexp) *class {
	switch re.Op {
	case syntax.OpCharClass:
		c := &class{}
		for i := 0; i+1 < len(re.Rune); i += 2 {
			if re.Rune[i+1] >= utf8.RuneSelf {
				return nil
			}
			for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
				if r >= 'a' && r <= 'z' || r < utf8.RuneSelf && space(byte(r)) || r == '.' {
					return nil
				}
				c.has[r] = true
				c.count++
			}
		}
		return c
	case syntax.OpCapture, syntax.OpPlus:
		return contained(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return contained(re.Sub[0])
		}
	case syntax.OpConcat:
		var best *class
		for _, sub := range re.Sub {
			if c := contained(sub); c != nil && (best == nil || c.count < best.count) {
				best = c
			}
		}
		return best
	case syntax.OpAlternate:
		all := &class{}
		for _, sub := range re.Sub {
			c := contained(sub)
			if c == nil {
				return nil
			}
			for i, has := range c.has {
				if has && !all.has[i] {
					all.has[i] = true
					all.count++
				}
			}
		}
		return all
	}
	return nil
}
