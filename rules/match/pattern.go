package match

import (
	"regexp/syntax"
	"sync"

	re2 "github.com/wasilibs/go-re2"
)

// A Pattern is one pattern of the syntax of Set, tried alone by RE2 on whole
// texts: whoever needs the extent of a match, or how many there are, asks it
// after a Set found that there is one. It is compiled on first use; it is
// immutable and safe for any number of goroutines.
type Pattern struct {
	expr  string
	once  sync.Once
	re    *re2.Regexp
	tests sync.Once
	test  *engine
	err   error
}

// NewPattern returns the pattern; whether RE2 takes it, Err tells.
func NewPattern(expr string) *Pattern { return &Pattern{expr: expr} }

// Err returns why the pattern is refused, nil if it is not.
func (p *Pattern) Err() error {
	p.tests.Do(func() {
		var tree *syntax.Regexp
		if tree, p.err = syntax.Parse(p.expr, syntax.Perl); p.err == nil {
			p.test, p.err = newEngine(p.expr, tree, measure(tree).heavy)
		}
	})
	return p.err
}

// Holds tells whether the pattern occurs in a text. Its memory is bounded also
// for heavy patterns.
func (p *Pattern) Holds(text string) bool {
	if p.Err() != nil {
		return false
	}
	_, _, ok := p.test.find(text)
	return ok
}

// compiled returns the pattern ready to tell places, nil if RE2 refuses it.
func (p *Pattern) compiled() *re2.Regexp {
	p.once.Do(func() {
		if re, err := re2.Compile(p.expr); err == nil {
			p.re = re
		}
	})
	return p.re
}

// Find returns where the leftmost match begins and ends.
func (p *Pattern) Find(text string) (start, end int, ok bool) {
	re := p.compiled()
	if re == nil {
		return 0, 0, false
	}
	if loc := re.FindStringIndex(text); loc != nil {
		return loc[0], loc[1], true
	}
	return 0, 0, false
}

// Count returns how many matches that do not overlap there are, at most limit.
func (p *Pattern) Count(text string, limit int) int {
	re := p.compiled()
	if limit <= 0 || re == nil {
		return 0
	}
	return len(re.FindAllStringIndex(text, limit))
}
