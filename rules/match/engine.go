package match

import (
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"
	"unicode/utf8"

	re2 "github.com/wasilibs/go-re2"
	"github.com/wasilibs/go-re2/experimental"
)

const (
	// heavyMemory bounds the memory of RE2 for one heavy pattern, its program
	// and the automaton that it builds while it searches, in bytes. A pattern
	// that needs more for its program is refused.
	heavyMemory = 2 << 20
	// heavyBytes is how much of one text a heavy pattern is tried on.
	heavyBytes = 16 << 10
	// packSize is how many patterns without literals share a pass, and
	// packMemory what its automaton may take, in bytes.
	packSize   = 25
	packMemory = 8 << 20
	// fewBytes is up to how many bytes in all are read by the patterns of a
	// pack one after the other.
	fewBytes = 2 << 10
	// largeProgram is the estimated number of instructions from which a
	// pattern that has no program of ours is compiled at once, to be refused if
	// it is too large.
	largeProgram = 32 << 10
)

// engine searches for one pattern with RE2. The one of a light pattern tells
// where it matches. RE2 lets the automaton of such a search grow to 40 MB,
// which hostile texts would exhaust for each heavy pattern, and takes another
// bound for sets of patterns only, which do not tell where: so a heavy pattern
// is a set of one.
//
// Most patterns are tried on few mails, so that RE2 compiles one when it is
// first tried.
type engine struct {
	expr  string
	heavy bool
	once  sync.Once
	err   error // of RE2; then Go's engine searches
	one   *re2.Regexp
	set   *experimental.Set
	slow  func() *regexp.Regexp // Go's, also when the set runs out of memory
}

// newEngine prepares an engine for a pattern and its syntax tree.
func newEngine(expr string, tree *syntax.Regexp, heavy bool) (*engine, error) {
	e := &engine{expr: expr, heavy: heavy, slow: fallback(expr)}
	if foreign(expr) || instructions(tree) > largeProgram && assemble([]*syntax.Regexp{tree}, false, &shapeCache{}) == nil {
		e.once.Do(e.compile)
	}
	return e, e.err
}

func fallback(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

func (e *engine) compile() {
	if e.heavy {
		e.set, e.err = experimental.CompileSetWithOptions([]string{e.expr}, experimental.CompileOptions{MaxMem: heavyMemory})
	} else {
		e.one, e.err = re2.Compile(e.expr)
	}
}

// foreign says whether a pattern has syntax of which Go's parser may know more
// than RE2's: names of classes and groups.
func foreign(expr string) bool {
	return strings.Contains(expr, `\p{`) || strings.Contains(expr, `\P{`) || strings.Contains(expr, "(?<") || strings.Contains(expr, "(?P")
}

// instructions estimates the length of RE2's program.
func instructions(re *syntax.Regexp) int {
	sum := 1
	switch re.Op {
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			sum += 2 * utf8.RuneLen(r)
		}
	case syntax.OpCharClass:
		sum += 3 * len(re.Rune) / 2
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		sum += 10
	}
	for _, sub := range re.Sub {
		sum += instructions(sub)
	}
	if re.Op == syntax.OpRepeat {
		sum *= max(1, re.Min, re.Max)
	}
	return min(sum, 1<<30)
}

// find tells whether the pattern occurs in text, and where; an empty place
// means that it is not known.
func (e *engine) find(text string) (start, end int, ok bool) {
	e.once.Do(e.compile)
	switch {
	case e.one != nil:
		if loc := e.one.FindStringIndex(text); loc != nil {
			return loc[0], loc[1], true
		}
		return 0, 0, false
	case e.set != nil:
		if found, err := e.set.FindAllStringWithError(text, 1); err == nil {
			return 0, 0, len(found) > 0
		}
	}
	return 0, 0, e.slow().MatchString(text)
}

// pack is several patterns that are tried in one pass over the text.
type pack struct {
	exprs []string
	ids   []int
	once  sync.Once
	set   *experimental.Set // nil: each is to be tried alone
}

func newPack(patterns []string, ids []int) *pack {
	k := &pack{ids: ids}
	for _, id := range ids {
		k.exprs = append(k.exprs, patterns[id])
	}
	return k
}

// compile leaves a pack that RE2 refuses without a set.
func (k *pack) compile() {
	if len(k.ids) > 1 {
		if set, err := experimental.CompileSetWithOptions(k.exprs, experimental.CompileOptions{MaxMem: packMemory}); err == nil {
			k.set = set
		}
	}
}

// find marks the patterns that occur in text as known; all of them as due when
// that would take too much memory.
func (k *pack) find(s *Set, text string, sc *scratch) {
	if len(text)*len(k.ids) <= fewBytes {
		for _, id := range k.ids {
			p := s.patterns[id]
			switch v, _ := p.whole.holds(text, 0, &s.yard); v {
			case yes:
				mark(sc.known, p.first)
			case unknown:
				mark(sc.due, p.first)
			}
		}
		return
	}
	k.once.Do(k.compile)
	if k.set != nil {
		if found, err := k.set.FindAllStringWithError(text, len(k.ids)); err == nil {
			for _, i := range found {
				mark(sc.known, s.patterns[k.ids[i]].first)
			}
			return
		}
	}
	for _, id := range k.ids {
		mark(sc.due, s.patterns[id].first)
	}
}
