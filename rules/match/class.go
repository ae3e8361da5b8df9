package match

import (
	"math/bits"
	"regexp/syntax"
	"unicode/utf8"
)

// A class is a set of ASCII bytes of which one must stand in a match, few
// enough of them in text that a stretch is worth a look before RE2 tries it:
// digits, capitals and signs.
type class struct {
	has   [4]uint64
	count int
}

// in says whether a text has a byte of the class; every text has one of nil.
func (c *class) in(text string) bool {
	if c == nil {
		return true
	}
	for i := range len(text) {
		if b := text[i]; c.has[b>>6]>>(b&63)&1 != 0 {
			return true
		}
	}
	return false
}

// lowerCase are the bits of a to z among those of the upper half of ASCII.
const lowerCase = (1<<26 - 1) << ('a' - 64)

// contained derives a class from a node, nil if there is none.
func contained(re *syntax.Regexp) *class {
	switch re.Op {
	case syntax.OpCharClass:
		var set [4]uint64
		for i := 0; i+1 < len(re.Rune); i += 2 {
			if re.Rune[i+1] >= utf8.RuneSelf {
				return nil
			}
			set = joined(set, between([2]byte{byte(re.Rune[i]), byte(re.Rune[i+1])}))
		}
		if set[0]&(spaces|1<<'.') != 0 || set[1]&lowerCase != 0 {
			return nil
		}
		return &class{set, bits.OnesCount64(set[0]) + bits.OnesCount64(set[1])}
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
			all.has = joined(all.has, c.has)
		}
		all.count = bits.OnesCount64(all.has[0]) + bits.OnesCount64(all.has[1])
		return all
	}
	return nil
}
