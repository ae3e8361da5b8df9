package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sort"
	"strings"
	"sync"

	"spamcatcher/engine"
	"spamcatcher/rules/match"
)

// Limits of a rule.
const (
	maxPatternBytes = 10 << 10
	maxPoints       = 10
)

// A Ruleset is many rules compiled into one immutable engine.Check and
// engine.Combiner. It is safe for any number of goroutines.
type Ruleset struct {
	rules   []Rule
	symbols []engine.Symbol
	prices  map[string]float64
	digest  string

	// Plain conditions, by what they look at.
	views   []*patterns    // one per view that a rule searches
	all     *patterns      // header = { name = "*" }
	fields  []fieldTable   // by name, and
	names   map[string]int // where a lower-case name stands there
	links   linkTable
	files   fileTable
	html    htmlTable
	defects []defectRule
	session []envelopeGroup
	facts   []factRule

	// Metas, each after those it names: own ones name rules of this set
	// only, late ones also (or through others) symbols of other checks.
	own, late []metaRule
	foreign   map[string]int // symbols of other checks, by name: bit index
	index     map[string]int // rules by name: bit index
	groups    []*patterns    // all of them, in the order made
	states    sync.Pool
}

// patterns is a match.Set whose ids stand for rules.
type patterns struct {
	key   string // what is searched, for reports
	exprs []string
	ids   []int // rule of each pattern
	set   *match.Set
}

func (p *patterns) add(expr string, rule int) int {
	p.exprs = append(p.exprs, expr)
	p.ids = append(p.ids, rule)
	return len(p.exprs) - 1
}

type metaRule struct {
	id int
	e  *expr
}

// compiler collects errors and pattern groups while a Ruleset is built.
type compiler struct {
	rs    *Ruleset
	named map[string]*patterns
	errs  []error
}

// Compile checks the rules as a whole and compiles them. foreign lists the
// symbols of other checks that expressions may name. The error joins every
// fault found, each a *Error.
func Compile(list []Rule, foreign ...string) (*Ruleset, error) {
	rs := &Ruleset{
		rules: append([]Rule(nil), list...), prices: map[string]float64{},
		index: map[string]int{}, foreign: map[string]int{}, names: map[string]int{},
	}
	c := &compiler{rs: rs, named: map[string]*patterns{}}
	for i := range rs.rules {
		c.declare(i)
	}
	for _, name := range foreign {
		if _, ours := rs.index[name]; ours {
			c.errs = append(c.errs, fmt.Errorf("symbol %s of another check is also a rule", name))
		}
		if _, twice := rs.foreign[name]; !twice {
			rs.foreign[name] = len(rs.rules) + len(rs.foreign)
		}
	}
	metas := map[int]*expr{}
	for i := range rs.rules {
		r := &rs.rules[i]
		switch w := r.When.(type) {
		case Text:
			c.text(i, w)
		case Header:
			c.header(i, w)
		case HTML:
			c.htmlRule(i, w)
		case Link:
			c.link(i, w)
		case Attachment:
			c.attachment(i, w)
		case Defect:
			c.defect(i, w)
		case Envelope:
			c.envelope(i, w)
		case Measure:
			c.measure(i, w)
		case Meta:
			if e := c.meta(i, w); e != nil {
				metas[i] = e
			}
		default:
			c.fail(i, "%s has no condition", r.Symbol)
		}
	}
	c.order(metas)
	c.build()
	if len(c.errs) > 0 {
		sort.SliceStable(c.errs, func(a, b int) bool { return before(c.errs[a], c.errs[b]) })
		return nil, errors.Join(c.errs...)
	}
	rs.digest = digest(rs.rules)
	bits := len(rs.rules) + len(rs.foreign)
	rs.states.New = func() any { return newState(bits, len(rs.rules), len(rs.fields)) }
	return rs, nil
}

// before orders errors by file and line.
func before(a, b error) bool {
	var x, y *Error
	if !errors.As(a, &x) || !errors.As(b, &y) {
		return false
	}
	if x.File != y.File {
		return x.File < y.File
	}
	return x.Line < y.Line
}

// digest names the rule set: equal digests find the same in every mail.
func digest(list []Rule) string {
	type plain struct {
		Symbol, Description string
		Points              float64
		Kind                string
		When                Condition
	}
	h := sha256.New()
	enc := json.NewEncoder(h)
	for i := range list {
		r := &list[i]
		// Only strings, numbers and booleans: encoding cannot fail.
		_ = enc.Encode(plain{r.Symbol, r.Description, r.Points, r.When.Kind(), r.When})
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// fail records a fault of a rule, at its condition when that place is known.
func (c *compiler) fail(i int, format string, args ...any) {
	r := &c.rs.rules[i]
	c.errs = append(c.errs, &Error{File: r.File, Line: r.Line, Col: r.Col, Msg: fmt.Sprintf(format, args...)})
}

func (c *compiler) failWhen(i int, format string, args ...any) {
	r := &c.rs.rules[i]
	at := r.At
	if at.Line == 0 {
		at = Position{r.Line, r.Col}
	}
	c.errs = append(c.errs, &Error{File: r.File, Line: at.Line, Col: at.Col, Msg: r.Symbol + ": " + fmt.Sprintf(format, args...)})
}

// declare checks all of a rule but its condition.
func (c *compiler) declare(i int) {
	r := &c.rs.rules[i]
	if !validName(r.Symbol) {
		c.fail(i, "%q is not a symbol: A to Z, 0 to 9 and _, at most 64", r.Symbol)
		return
	}
	if first, twice := c.rs.index[r.Symbol]; twice {
		f := &c.rs.rules[first]
		c.fail(i, "%s is already defined at %s:%d", r.Symbol, f.File, f.Line)
		return
	}
	c.rs.index[r.Symbol] = i
	if math.IsNaN(r.Points) || math.Abs(r.Points) > maxPoints {
		c.fail(i, "%s: %v points; from -%d to %d are possible", r.Symbol, r.Points, maxPoints, maxPoints)
	}
	if len(r.Hit) == 0 {
		c.fail(i, "%s has no sample that must hit", r.Symbol)
	}
	if r.Term() {
		if r.Points != 0 {
			c.fail(i, "%s begins with _ and so is a term, which has no points", r.Symbol)
		}
		return
	}
	if len(r.Miss) == 0 {
		c.fail(i, "%s has no sample that must miss", r.Symbol)
	}
	if strings.TrimSpace(r.Description) == "" {
		c.fail(i, "%s has no description", r.Symbol)
	}
	if strings.ContainsAny(r.Description, "\r\n") {
		c.fail(i, "%s: the description must be one line", r.Symbol)
	}
	c.rs.symbols = append(c.rs.symbols, engine.Symbol{Name: r.Symbol, Description: r.Description})
	c.rs.prices[r.Symbol] = r.Points * engine.Point
}

// group returns the pattern group of a key, making it when it is new.
func (c *compiler) group(key string) *patterns {
	g := c.named[key]
	if g == nil {
		g = &patterns{key: key}
		c.named[key] = g
		c.rs.groups = append(c.rs.groups, g)
	}
	return g
}

// pattern checks what can be said of a pattern before it is compiled.
func (c *compiler) pattern(i int, expr string) bool {
	switch {
	case expr == "":
		c.failWhen(i, "the pattern is empty")
	case len(expr) > maxPatternBytes:
		c.failWhen(i, "the pattern has %d bytes; at most %d are allowed", len(expr), maxPatternBytes)
	default:
		return true
	}
	return false
}

// build compiles the groups side by side and tells which rules their faults
// belong to.
func (c *compiler) build() {
	faults := make([]error, len(c.rs.groups))
	var all sync.WaitGroup
	for i, g := range c.rs.groups {
		all.Go(func() {
			var quiet []int // terms have no detail
			for n, id := range g.ids {
				if c.rs.rules[id].Term() {
					quiet = append(quiet, n)
				}
			}
			g.set, faults[i] = match.Compile(g.exprs, quiet...)
		})
	}
	all.Wait()
	for i, err := range faults {
		for _, e := range unjoin(err) {
			var bad *match.Error
			if errors.As(e, &bad) {
				c.failWhen(c.rs.groups[i].ids[bad.ID], "%v", bad.Err)
			} else {
				c.errs = append(c.errs, e)
			}
		}
	}
}

func unjoin(err error) []error {
	if err == nil {
		return nil
	}
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	return []error{err}
}

// meta parses an expression and resolves its names.
func (c *compiler) meta(i int, w Meta) *expr {
	e, err := parseExpr(w.Expr)
	if err != nil {
		c.failWhen(i, "%v", err)
		return nil
	}
	good := true
	e.names(func(n *expr) {
		if id, ok := c.rs.index[n.name]; ok {
			n.id = id
		} else if id, ok := c.rs.foreign[n.name]; ok {
			n.id = id
		} else {
			good = false
			c.failWhen(i, "%s is neither a rule nor a symbol of another check", n.name)
		}
	})
	if !good {
		return nil
	}
	return e
}

// order sorts metas so that each comes after those it names, refuses circles,
// and tells apart those that need other checks. The order is that of the
// rules wherever the names leave a choice.
func (c *compiler) order(metas map[int]*expr) {
	const (
		fresh = iota
		open
		done
	)
	mark := make([]int, len(c.rs.rules))
	late := make([]bool, len(c.rs.rules))
	var visit func(i int) bool
	visit = func(i int) bool {
		e := metas[i]
		if e == nil || mark[i] == done {
			return true
		}
		if mark[i] == open {
			c.failWhen(i, "the expression names itself, directly or through others")
			return false
		}
		mark[i] = open
		ok := true
		e.names(func(n *expr) {
			if !ok {
				return
			}
			if n.id >= len(c.rs.rules) {
				late[i] = true
				return
			}
			ok = visit(n.id)
			late[i] = late[i] || late[n.id]
		})
		mark[i] = done
		if late[i] {
			c.rs.late = append(c.rs.late, metaRule{i, e})
		} else {
			c.rs.own = append(c.rs.own, metaRule{i, e})
		}
		return ok
	}
	for i := range c.rs.rules {
		if !visit(i) {
			return
		}
	}
}
