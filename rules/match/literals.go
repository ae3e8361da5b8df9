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
// which the pattern matches. Folding replaces each character by one that stands
// for all that (?i) does not tell from it. So a set of literals is required when
// one of them occurs wherever the pattern matches; a literal too few would
// silently lose mail.
//
// The literals are derived from the syntax tree from the leaves up. A node is
// either exact: a small set of strings that is all it can match; or it has, at
// most, a best required set. A concatenation multiplies exact neighbours until
// the product is too large, and keeps the best set seen on the way.

const (
	minLiteral = 3   // bytes
	maxLiteral = 48  // bytes of a product
	maxPrefix  = 8   // bytes of a literal that only sorts out
	maxProduct = 16  // strings that a concatenation may multiply to
	maxUnion   = 400 // strings that an alternation may join
)

// fold returns the character that stands for all that (?i) does not tell from
// r: a lower-case ASCII letter if there is one, as for the Kelvin sign and the
// long s, else the first.
func fold(r rune) rune {
	if r < utf8.RuneSelf {
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	if least < utf8.RuneSelf {
		return fold(least)
	}
	return least
}

// same says whether text folds to a literal.
func same(text, literal string) bool {
	for _, want := range literal {
		if text == "" {
			return false
		}
		r, n := rune(text[0]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(text)
		}
		if fold(r) != want {
			return false
		}
		text = text[n:]
	}
	return text == ""
}

// needs is what a node of the syntax tree requires.
type needs struct {
	// exact, when not nil, are all strings that the node matches, folded.
	exact []string
	// closed says that the node matches every text that folds to one of
	// exact, so that the literals alone decide.
	closed bool
	// strict, when not nil, are all strings that the node matches, as they
	// are.
	strict []string
	// best is the best required set when exact is nil; nil when there is none.
	best []string
}

var empty = needs{exact: []string{""}, closed: true, strict: []string{""}}

// deriver derives what is to be known of the nodes of one pattern, of those
// with nodes below them once.
type deriver struct {
	known map[*syntax.Regexp]*needs
	sizes map[*syntax.Regexp]*bounds
}

func newDeriver() *deriver {
	return &deriver{map[*syntax.Regexp]*needs{}, map[*syntax.Regexp]*bounds{}}
}

// required derives the needs of a node.
func (d *deriver) required(re *syntax.Regexp) needs {
	if len(re.Sub) == 0 {
		return d.derive(re)
	}
	n := d.known[re]
	if n == nil {
		derived := d.derive(re)
		n = &derived
		d.known[re] = n
	}
	return *n
}

func (d *deriver) derive(re *syntax.Regexp) needs {
	switch re.Op {
	case syntax.OpEmptyMatch:
		return empty
	case syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return needs{exact: []string{""}}
	case syntax.OpLiteral:
		if n, ok := spelled(re); ok {
			return n
		}
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
		return d.required(re.Sub[0])
	case syntax.OpConcat:
		all := make([]needs, len(re.Sub))
		for i, sub := range re.Sub {
			all[i] = d.required(sub)
		}
		return concat(all)
	case syntax.OpAlternate:
		all := make([]needs, len(re.Sub))
		for i, sub := range re.Sub {
			all[i] = d.required(sub)
		}
		return alternate(all)
	case syntax.OpQuest:
		return alternate([]needs{d.required(re.Sub[0]), empty})
	case syntax.OpPlus:
		return repeat(d.required(re.Sub[0]), 1, -1)
	case syntax.OpRepeat:
		return repeat(d.required(re.Sub[0]), re.Min, re.Max)
	}
	// Any character, a star, and what matches nothing require nothing.
	return needs{}
}

// spelled derives the needs of a literal that is short enough to stay one and
// has no character that how broken bytes compare matters for.
func spelled(re *syntax.Regexp) (needs, bool) {
	if len(re.Rune) > maxLiteral {
		return needs{}, false
	}
	folds := re.Flags&syntax.FoldCase != 0
	var buf [maxLiteral]byte
	folded, closed, spellings, longest := buf[:0], true, 1, 0
	for _, r := range re.Rune {
		if r == utf8.RuneError || !utf8.ValidRune(r) {
			return needs{}, false
		}
		folded = utf8.AppendRune(folded, fold(r))
		variants, size := 1, utf8.RuneLen(r)
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			closed = closed && folds
			variants++
			size = max(size, utf8.RuneLen(f))
		}
		spellings = min(spellings*variants, 2*maxProduct)
		longest += size
	}
	if len(folded) > maxLiteral {
		return needs{}, false
	}
	n := needs{exact: []string{string(folded)}, closed: closed}
	switch {
	case !folds:
		if text := string(re.Rune); len(text) <= maxLiteral {
			n.strict = []string{text}
		}
	case spellings <= maxProduct && longest <= maxLiteral:
		n.strict = []string{""}
		for _, r := range re.Rune {
			heads, all := n.strict, orbit(r)
			n.strict = make([]string, 0, len(heads)*len(all))
			for _, head := range heads {
				for _, v := range all {
					n.strict = append(n.strict, head+string(v))
				}
			}
		}
		slices.Sort(n.strict)
	}
	return n, true
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
		if r == utf8.RuneError || !utf8.ValidRune(r) {
			return needs{} // how these compare with broken bytes is the engine's affair
		}
		n.exact = append(n.exact, string(fold(r)))
		n.strict = append(n.strict, string(r))
		for f := unicode.SimpleFold(r); f != r && n.closed; f = unicode.SimpleFold(f) {
			n.closed = slices.Contains(list, f)
		}
	}
	slices.Sort(n.exact)
	n.exact = slices.Compact(n.exact)
	if len(n.exact) == 0 || len(n.exact) > maxProduct {
		return needs{}
	}
	if len(n.strict) > maxProduct {
		n.strict = nil
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
			strict, _ := product(run.strict, n.strict)
			run = needs{exact: p, closed: run.closed && n.closed, strict: strict}
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
	if len(a) == 0 || len(b) == 0 || len(a)*len(b) > max(maxProduct, len(a), len(b)) {
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
	if len(out) == 1 {
		return out, true
	}
	slices.Sort(out)
	return slices.Compact(out), true
}

func alternate(all []needs) needs {
	exact, strict, closed, literal := []string{}, []string{}, true, true
	for _, n := range all {
		if n.exact == nil {
			exact = nil
			break
		}
		exact = append(exact, n.exact...)
		strict = append(strict, n.strict...)
		closed = closed && n.closed
		literal = literal && n.strict != nil
	}
	if exact != nil && len(exact) <= maxUnion {
		slices.Sort(exact)
		if !literal || len(strict) > maxUnion {
			strict = nil
		}
		return needs{exact: slices.Compact(exact), closed: closed, strict: strict}
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
		if len(s) < minLiteral && !seldom(s) {
			return false
		}
	}
	return true
}

// brief says whether a set can serve as a prefilter if only whole words count.
func brief(set []string) bool {
	return len(set) > 0 && len(set) <= maxUnion && !slices.ContainsFunc(set, func(s string) bool { return len(s) < 2 })
}

// seldom says whether a literal shorter than minLiteral still sorts out most
// texts: a sign that few texts contain, or two characters not both letters or
// blanks.
func seldom(s string) bool {
	signs := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case strings.IndexByte("$%{}[]|^~#`\\@*+!", c) >= 0 || c < ' ' && c != '\n':
			return true
		case c != ' ' && c != '\n' && (c < 'a' || c > 'z'):
			signs++
		}
	}
	return len(s) == 2 && (signs > 0 || strings.ContainsAny(s, "qxzjvk"))
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

// frequent says whether a literal stands in most mails several times.
func frequent(s string) bool {
	s = strings.TrimSpace(s)
	if len(s) <= 3 {
		return true
	}
	switch s {
	case "that", "this", "with", "your", "have", "will", "from", "they", "been", "more", "when", "were", "what", "which", "their", "would", "there",
		"list", "mail", "here", "http", "https", "http://", "https://", "://", ".com", "com/", "www.", "href", "href=", "style", "style=", "width", "width=", "font", "color", "class=", "html", "text",
		"<div", "</td", "</td>", "</tr>", "<img", "src=", "&nbsp;", "about", "than", "them", "into", "only", "other", "some", "time", "user":
		return true
	}
	return false
}

// prefixes shortens the literals of a set, which leaves it required.
func prefixes(set []string) []string {
	out := make([]string, len(set))
	for i, s := range set {
		n := len(s)
		if n > maxPrefix {
			for n = maxPrefix; !utf8.RuneStart(s[n]); n-- {
			}
		}
		out[i] = s[:n]
	}
	slices.Sort(out)
	return slices.Compact(out)
}
