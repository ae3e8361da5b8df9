package match

import (
	"sync"

	re2 "github.com/wasilibs/go-re2"
)

// A Pattern is one pattern of the syntax of Set, tried alone by RE2 on whole
// texts: whoever needs the extent of a match, or how many there are, asks it
// after a Set found that there is one. It is compiled on first use; it is
// immutable and safe for any number of goroutines.
type Pattern struct {
	expr string
	once sync.Once
	re   *re2.Regexp
	err  error
}

// NewPattern returns the pattern; a fault in it is reported by Err.
func NewPattern(expr string) *Pattern { return &Pattern{expr: expr} }

// Err compiles the pattern and returns why RE2 refuses it, nil if it does not.
func (p *Pattern) Err() error {
	p.once.Do(func() { p.re, p.err = re2.Compile(p.expr) })
	return p.err
}

// Find returns where the leftmost match begins and ends.
func (p *Pattern) Find(text string) (start, end int, ok bool) {
	if p.Err() != nil {
		return 0, 0, false
	}
	if loc := p.re.FindStringIndex(text); loc != nil {
		return loc[0], loc[1], true
	}
	return 0, 0, false
}

// Count returns how many matches that do not overlap there are, at most limit.
func (p *Pattern) Count(text string, limit int) int {
	if limit <= 0 || p.Err() != nil {
		return 0
	}
	return len(p.re.FindAllStringIndex(text, limit))
}
