package match

import (
	"math/bits"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A required literal is a string that occurs, folded, in every folded text in
// which the pattern matches. Folding maps A-Z to a-z, the Kelvin sign to k and
// the long s to s: the two characters beyond ASCII that (?i) takes for ASCII
// letters. All other case variants are expanded into several literals. So a
// set of literals is required when one of them occurs wherever the pattern
// matches; leaving a variant out would silently lose mail.
//
// The literals are derived from the syntax tree from the leaves up. A node is
// either exact: a small set of strings that is all it can match; or it has, at
// most, a best required set. A concatenation multiplies exact neighbours until
// the product is too large, and keeps the best set seen on the way.

const (
	minLiteral = 3   // bytes
	maxLiteral = 48  // bytes; longer ones are cut
	maxProduct = 32  // strings that a concatenation may multiply to
	maxUnion   = 400 // strings that an alternation may join
)

// fold is the folding of one rune.
func fold(r rune) rune {
	switch {
	case r >= 'A' && r <= 'Z':
		return r + 'a' - 'A'
	case r == '\u212a':
		return 'k'
	case r == '\u017f':
		return 's'
	}
	return r
}

// needs is what a node of the syntax tree requires.
type needs struct {
	// exact, when not nil, are all strings that the node matches, folded.
	exact []string
	// closed says that the node matches every text that folds to one of
	// exact, so that the literals alone decide.
	closed bool
	// best is the best required set when exact is nil; nil when there is none.
	best []string
}

var empty = needs{exact: []string{""}, closed: true}

// required derives the needs of a node.
func required(re *syntax.Regexp) needs {
	switch re.Op {
	case syntax.OpEmptyMatch:
		return empty
	case syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return needs{exact: []string{""}}
	case syntax.OpLiteral:
		all := make([]needs, len(re.Rune))
		for i, r := range re.Rune {
			if re.Flags&syntax.FoldCase != 0 {
				all[i] = runes(orbit(r))
			} else {
				all[i] = runes([]rune{r})
			}
		}
		return concat(all)
	case syntax.OpCharClass:
		var list []rune
		for i := 0; i+1 < len(re.Rune); i += 2 {
			if len(list)+int(re.Rune[i+1]-re.Rune[i]) > 4*maxProduct {
				return needs{}
			}
			for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
				list = append(list, r)
			}
		}
		return runes(list)
	case syntax.OpCapture:
		return required(re.Sub[0])
	case syntax.OpConcat:
		all := make([]needs, len(re.Sub))
		for i, sub := range re.Sub {
			all[i] = required(sub)
		}
		return concat(all)
	case syntax.OpAlternate:
		all := make([]needs, len(re.Sub))
		for i, sub := range re.Sub {
			all[i] = required(sub)
		}
		return alternate(all)
	case syntax.OpQuest:
		return alternate([]needs{required(re.Sub[0]), empty})
	case syntax.OpPlus:
		return repeat(required(re.Sub[0]), 1, -1)
	case syntax.OpRepeat:
		return repeat(required(re.Sub[0]), re.Min, re.Max)
	}
	// Any character, a star, and what matches nothing require nothing.
	return needs{}
}

// orbit lists the runes that (?i) does not tell from r.
func orbit(r rune) []rune {
	list := []rune{r}
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		list = append(list, f)
	}
	return list
}

// runes are the needs of one character out of a list.
func runes(list []rune) needs {
	n := needs{closed: true}
	for _, r := range list {
		f := fold(r)
		n.exact = append(n.exact, string(f))
		if f >= 'a' && f <= 'z' && !(slices.Contains(list, f) && slices.Contains(list, f-'a'+'A')) {
			n.closed = false
		}
		if r == utf8.RuneError || !utf8.ValidRune(r) {
			return needs{} // how these compare with broken bytes is the engine's affair
		}
	}
	slices.Sort(n.exact)
	n.exact = slices.Compact(n.exact)
	if len(n.exact) == 0 || len(n.exact) > maxProduct {
		return needs{}
	}
	return n
}

func concat(all []needs) needs {
	run := empty // the exact strings of the neighbours so far
	var best []string
	whole := true
	for _, n := range all {
		if n.exact == nil {
			best = better(better(best, run.exact), n.best)
			run, whole = empty, false
			continue
		}
		if p, ok := product(run.exact, n.exact); ok {
			run = needs{exact: p, closed: run.closed && n.closed}
			continue
		}
		best = better(best, run.exact)
		run, whole = n, false
	}
	if whole {
		return run
	}
	return needs{best: better(best, run.exact)}
}

func product(a, b []string) ([]string, bool) {
	if len(a)*len(b) > max(maxProduct, len(a), len(b)) {
		return nil, false
	}
	out := make([]string, 0, len(a)*len(b))
	for _, x := range a {
		for _, y := range b {
			if len(x)+len(y) > maxLiteral {
				return nil, false
			}
			out = append(out, x+y)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), true
}

func alternate(all []needs) needs {
	exact, closed := []string{}, true
	for _, n := range all {
		if n.exact == nil {
			exact = nil
			break
		}
		exact = append(exact, n.exact...)
		closed = closed && n.closed
	}
	if exact != nil && len(exact) <= maxUnion {
		slices.Sort(exact)
		return needs{exact: slices.Compact(exact), closed: closed}
	}
	var union []string
	for _, n := range all {
		best := n.best
		if n.exact != nil {
			best = n.exact
		}
		if !usable(best) {
			return needs{}
		}
		union = append(union, best...)
	}
	slices.Sort(union)
	union = slices.Compact(union)
	if !usable(union) {
		return needs{}
	}
	return needs{best: union}
}

func repeat(n needs, least, most int) needs {
	if least == 0 {
		if most == 1 {
			return alternate([]needs{n, empty})
		}
		return needs{}
	}
	if n.exact == nil {
		return needs{best: n.best}
	}
	all := make([]needs, min(least, maxLiteral))
	for i := range all {
		all[i] = n
	}
	times := concat(all)
	if times.exact != nil && (least != most || least > len(all)) {
		return needs{best: better(nil, times.exact)}
	}
	return times
}

// usable says whether a set can serve as a prefilter.
func usable(set []string) bool {
	if len(set) == 0 || len(set) > maxUnion {
		return false
	}
	for _, s := range set {
		if len(s) < minLiteral {
			return false
		}
	}
	return true
}

// better returns the rarer of two required sets. The first may be nil, the
// second may be unusable.
func better(a, b []string) []string {
	if !usable(b) {
		return a
	}
	if a == nil || rarity(b) > rarity(a) {
		return b
	}
	return a
}

// rarity estimates how seldom a set of literals occurs in mail, in bits: long
// literals of rare letters are good, many alternatives are bad.
func rarity(set []string) int {
	least := 1 << 20
	for _, s := range set {
		sum := 0
		for i := 0; i < len(s) && i < 12; i++ {
			switch c := s[i]; {
			case strings.IndexByte(" etaoins", c) >= 0:
				sum += 3
			case strings.IndexByte("rhldcumfgpwyb<>/=\"-.:;,", c) >= 0:
				sum += 4
			case c >= utf8.RuneSelf:
				sum += 2 // of a few lead and many trail bytes
			default:
				sum += 6
			}
		}
		if common(s) {
			sum -= 12
		}
		least = min(least, sum)
	}
	return least - 2*bits.Len(uint(len(set)))
}

// common says whether a literal is one that nearly every mail contains.
func common(s string) bool {
	switch strings.TrimSpace(s) {
	case "http", "https", "http://", "https://", "www.", ".com", "com/", "://", "the", "and", "you", "your", "for", "this", "with", "are",
		"style", "font", "href", "<a ", "<td", "<tr", "</td>", "<div", "width", "color", "style=", "href=", "width=", "<img", "class=", "src=", "html", "example":
		return true
	}
	return false
}
