package match

import (
	"regexp"
	"sync"

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
)

// engine searches for one pattern with RE2. The one of a light pattern tells
// where it matches. RE2 lets the automaton of such a search grow to 40 MB,
// which hostile texts would exhaust for each heavy pattern, and takes another
// bound for sets of patterns only, which do not tell where: so a heavy pattern
// is a set of one.
type engine struct {
	heavy bool
	one   *re2.Regexp
	set   *experimental.Set
	slow  func() *regexp.Regexp // when the set runs out of memory
}

func newEngine(expr string, heavy bool) (engine, error) {
	e := engine{heavy: heavy}
	var err error
	if !heavy {
		e.one, err = re2.Compile(expr)
		return e, err
	}
	e.set, err = experimental.CompileSetWithOptions([]string{expr}, experimental.CompileOptions{MaxMem: heavyMemory})
	e.slow = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
	return e, err
}

// find tells whether the pattern occurs in text, and where; an empty place
// means that it is not known.
func (e *engine) find(text string) (start, end int, ok bool) {
	if !e.heavy {
		if loc := e.one.FindStringIndex(text); loc != nil {
			return loc[0], loc[1], true
		}
		return 0, 0, false
	}
	found, err := e.set.FindAllStringWithError(text, 1)
	if err != nil {
		return 0, 0, e.slow().MatchString(text)
	}
	return 0, 0, len(found) > 0
}

// pack is several patterns that are tried in one pass over the text.
type pack struct {
	set *experimental.Set // nil: each is to be tried alone
	ids []int
}

func newPack(patterns []string, ids []int) (pack, error) {
	if len(ids) == 1 {
		return pack{ids: ids}, nil
	}
	exprs := make([]string, len(ids))
	for i, id := range ids {
		exprs[i] = patterns[id]
	}
	set, err := experimental.CompileSetWithOptions(exprs, experimental.CompileOptions{MaxMem: packMemory})
	return pack{set: set, ids: ids}, err
}

// find marks the patterns that occur in text as known; all of them as due when
// that would take too much memory.
func (k *pack) find(text string, sc *scratch) {
	if k.set != nil {
		if found, err := k.set.FindAllStringWithError(text, len(k.ids)); err == nil {
			for _, i := range found {
				sc.known[k.ids[i]>>6] |= 1 << (k.ids[i] & 63)
			}
			return
		}
	}
	for _, id := range k.ids {
		sc.mark(id)
	}
}
