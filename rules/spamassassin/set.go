package spamassassin

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"spamcatcher/engine"
	"spamcatcher/rules/match"
)

// rule is a test that takes part.
type rule struct {
	*test
	id        int
	points    float64 // of the set of scores in use
	limit     int     // how many matches count: 1, or more under tflags multiple
	noSubject bool
	single    *single
	lineFind  *match.Pattern // where it matches in a block
	absent    bool           // holds when the field is absent
	call      evalCall
	expr      *expr
	details   []detail
	mime      mimeRange
	needs     []int // metas that the expression of a meta names
	late      bool  // depends on what other checks find
	blocked   bool  // its dependencies have no order
	sub       bool  // name begins with __: serves others only
}

type detail struct {
	of      string
	negated bool
	single  *single
}

type mimeRange struct {
	first, last int
	concat      bool
}

// group is the patterns that are tried on the same texts.
type group struct {
	key   string
	set   *match.Set
	ids   []int // rule of each pattern
	rules []int // all rules of the group
}

// compiled is what evaluates mails. It is immutable.
type compiled struct {
	settings
	redirects []*program
	rules     []*rule
	index     map[string]int
	groups    [5]*group // by kind: body, rawbody, full, uri
	headers   []*group
	mimes     []*group
	evals     []int
	details   []int
	metas     []int // in the order in which they are evaluated
	lateMetas []int
	bayes     []int
	functions map[string]evalFunc
	refused   map[string]string
}

func compile(c *conf, o Config, r *Report) *compiled {
	s := &compiled{settings: c.settings, index: map[string]int{}, functions: evalFuncs(), refused: refusedFuncs()}
	for _, raw := range c.redirects {
		if re, err := parseRegex(raw.source, raw.flags); err == nil {
			s.redirects = append(s.redirects, newProgram(re))
		}
	}
	c.replaceTags(r)
	for _, name := range c.order {
		t := c.tests[name]
		ru := &rule{test: t, points: c.pointsOf(name, o.ScoreSet), limit: 1, sub: strings.HasPrefix(name, "__")}
		status, reason := s.prepare(c, ru, o)
		if status != Refused && status != Ignored {
			ru.id = len(s.rules)
			s.index[name] = ru.id
			s.rules = append(s.rules, ru)
		}
		r.add(Entry{Rule: name, Kind: kindNames[t.kind], File: t.file, Line: t.line, Status: status, Reason: reason})
	}
	s.group(r)
	s.order(c)
	return s
}

// pointsOf is the score of a rule in a set of scores.
func (c *conf) pointsOf(name string, set int) float64 {
	if p, ok := c.scores[name]; ok {
		return p[set&3]
	}
	p := 1.0
	if strings.HasPrefix(name, "T_") {
		p = 0.01
	}
	if slices.Contains(c.tflags[name], "nice") {
		p = -p
	}
	return p
}

// prepare compiles one rule.
func (s *compiled) prepare(c *conf, ru *rule, o Config) (Status, string) {
	tflags := c.tflags[ru.name]
	has := func(f string) bool { return slices.Contains(tflags, f) }
	if has("multiple") {
		ru.limit = math.MaxInt32
		for _, f := range tflags {
			if n, ok := strings.CutPrefix(f, "maxhits="); ok {
				fmt.Sscanf(n, "%d", &ru.limit)
			}
		}
		ru.limit = max(1, ru.limit)
	}
	ru.noSubject = has("nosubject")
	switch ru.kind {
	case kindEval:
		return s.prepareEval(ru, has, o)
	case kindMeta:
		e, err := parseExpr(ru.source)
		if err != nil {
			return Refused, err.Error()
		}
		ru.expr = e
		return Exact, ""
	case kindEmpty:
		return Ignored, "name without a condition"
	case kindURIDetail:
		approx := ""
		for _, p := range ru.parts {
			re, err := parseRegex(p.source, p.flags)
			if err != nil {
				return refusal(err)
			}
			ru.details = append(ru.details, detail{p.of, p.negated, newSingle(re)})
		}
		if approx != "" {
			return Approximate, approx
		}
		return Exact, ""
	}
	if ru.exists {
		return Exact, ""
	}
	if captureUse.MatchString(ru.source) {
		return Refused, "pattern: uses what another rule captured"
	}
	re, err := parseRegex(ru.source, ru.flags)
	if err != nil {
		return refusal(err)
	}
	ru.single = newSingle(re)
	if ru.kind == kindHeader || ru.kind == kindMIMEHeader {
		budget := totalSteps
		ru.absent = ru.single.holds(ru.unset, &budget) != ru.negated
	}
	if ru.kind == kindMIMEHeader {
		ru.mime = mimeRange{1, 1000, has("concat")}
		for _, f := range tflags {
			if span, ok := strings.CutPrefix(f, "range="); ok {
				ru.mime.read(span)
			}
		}
		if ru.limit > 1 {
			ru.limit = min(ru.limit, 1000)
		}
	}
	if ru.kind == kindBody || ru.kind == kindURI {
		ru.lineFind = match.NewPattern(translate(re, joined, false).expr)
	}
	return Exact, ""
}

func (m *mimeRange) read(span string) {
	lo, hi, dash := strings.Cut(span, "-")
	if lo != "" {
		fmt.Sscanf(lo, "%d", &m.first)
	}
	if !dash {
		m.last = m.first
	} else if hi != "" {
		fmt.Sscanf(hi, "%d", &m.last)
	}
}

func refusal(err error) (Status, string) {
	var u *unsupportedError
	if errors.As(err, &u) {
		return Refused, "pattern: " + u.what
	}
	return Refused, "pattern: " + err.Error()
}

// captureUse finds the place in a pattern for what another rule captured.
var captureUse = regexp.MustCompile(`(?:^|[^\\])%\{[A-Z][A-Z0-9_]*(?:\([^)}]*\))?\}`)

// requestKey brings a header request into one form: names of fields in lower
// case, those in capitals as they are.
func requestKey(request string) string {
	name, mods, _ := strings.Cut(request, ":")
	switch name {
	case "ALL", "ALL-TRUSTED", "ALL-UNTRUSTED", "ALL-INTERNAL", "ALL-EXTERNAL", "MESSAGEID":
	default:
		name = strings.ToLower(name)
	}
	if mods == "" {
		return name
	}
	return name + ":" + mods
}

// group puts patterns that are tried on the same text into one set.
func (s *compiled) group(r *Report) {
	byKey := map[string]*group{}
	var keys []string
	member := func(key string, id int) *group {
		g := byKey[key]
		if g == nil {
			g = &group{key: key}
			byKey[key] = g
			keys = append(keys, key)
		}
		g.rules = append(g.rules, id)
		return g
	}
	for id, ru := range s.rules {
		if ru.points == 0 {
			continue
		}
		switch ru.kind {
		case kindHeader:
			member("h "+requestKey(ru.header), id)
		case kindMIMEHeader:
			member("m "+strings.ToLower(ru.header), id)
		case kindBody, kindRawBody, kindFull, kindURI:
			member("t "+kindNames[ru.kind], id)
		case kindURIDetail:
			s.details = append(s.details, id)
		}
	}
	for _, key := range keys {
		g := byKey[key]
		where := alone
		if key == "t body" || key == "t uri" {
			where = joined
		}
		s.build(g, where, r)
		g.key = key[2:]
		switch key[0] {
		case 'h':
			s.headers = append(s.headers, g)
		case 'm':
			s.mimes = append(s.mimes, g)
		default:
			s.groups[s.rules[g.rules[0]].kind] = g
		}
	}
}

// build compiles the set of a group. A pattern that the set refuses is loosened
// once; what is refused again is not tried.
func (s *compiled) build(g *group, where layout, r *Report) {
	var exprs []string
	for _, id := range g.rules {
		if ru := s.rules[id]; ru.single != nil {
			g.ids = append(g.ids, id)
			exprs = append(exprs, translate(ru.single.re, where, false).expr)
		}
	}
	for try := range 3 {
		if len(exprs) == 0 {
			return
		}
		set, err := match.Compile(exprs)
		if err == nil {
			g.set = set
			return
		}
		var drop []int
		for _, e := range unjoin(err) {
			var me *match.Error
			if !errors.As(e, &me) {
				continue
			}
			ru := s.rules[g.ids[me.ID]]
			if try == 0 {
				exprs[me.ID] = loosest(ru.single.re, where).expr
				ru.single = ru.single.loosened(where)
				ru.lineFind = nil
				continue
			}
			drop = append(drop, me.ID)
			r.change(ru.name, Refused, "pattern: too large")
		}
		slices.SortFunc(drop, func(a, b int) int { return b - a })
		for _, i := range drop {
			g.ids = slices.Delete(g.ids, i, i+1)
			exprs = slices.Delete(exprs, i, i+1)
		}
	}
}

// loosened is s for a pattern that RE2 can't compile: what RE2 finds is
// verified.
func (s *single) loosened(where layout) *single {
	l := *s
	l.exact, l.counts = false, false
	l.test = match.NewPattern(loosest(s.re, alone).expr)
	return &l
}

func unjoin(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	return []error{err}
}

// order sorts the metas so that each comes after those it depends on.
func (s *compiled) order(c *conf) {
	names := make([]string, 0, len(c.order))
	for _, n := range c.order {
		names = append(names, n)
	}
	state := make([]uint8, len(s.rules))
	var visit func(id int)
	visit = func(id int) {
		ru := s.rules[id]
		if state[id] != 0 || ru.kind != kindMeta {
			return
		}
		state[id] = 1
		s.bind(ru, names)
		ru.expr.variables(func(v *expr) {
			if v.id < 0 {
				return
			}
			dep := s.rules[v.id]
			visit(v.id)
			if dep.kind == kindMeta {
				ru.needs = append(ru.needs, v.id)
			}
			if dep.kind == kindMeta && state[v.id] == 1 {
				ru.blocked = true
			}
			if dep.late {
				ru.late = true
			}
		})
		state[id] = 2
		if ru.late {
			s.lateMetas = append(s.lateMetas, id)
		} else {
			s.metas = append(s.metas, id)
		}
	}
	for id := range s.rules {
		if s.rules[id].kind == kindMeta {
			visit(id)
		}
	}
}

// bind puts the numbers of rules into an expression; names that no rule has
// stand for 0.
func (s *compiled) bind(ru *rule, names []string) {
	var walk func(e *expr)
	walk = func(e *expr) {
		switch e.op {
		case "v":
			if e.name == "local_tests_only" {
				*e = expr{op: "n", num: 1}
				return
			}
			if id, ok := s.index[e.name]; ok {
				e.id = id
			} else {
				*e = expr{op: "n"}
			}
		case "f":
			*e = *s.sumOf(e, ru.name, names)
		}
		for _, a := range e.args {
			walk(a)
		}
	}
	walk(ru.expr)
	ru.expr.ready()
}

// sumOf turns rules_matching(GLOB) into the sum of the rules it names.
func (s *compiled) sumOf(e *expr, self string, names []string) *expr {
	sum := &expr{op: "n"}
	if e.name != "rules_matching" {
		return sum
	}
	glob := e.args[0].name
	for _, n := range names {
		if n != self && globMatch(glob, n) {
			if id, ok := s.index[n]; ok {
				sum = &expr{op: "+", args: []*expr{sum, {op: "v", name: n, id: id}}}
			}
		}
	}
	return sum
}

// globMatch matches * and ? in linear time.
func globMatch(glob, s string) bool {
	g, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case g < len(glob) && (glob[g] == '?' || glob[g] == s[i]) && glob[g] != '*':
			g++
			i++
		case g < len(glob) && glob[g] == '*':
			star, mark = g, i
			g++
		case star >= 0:
			mark++
			g, i = star+1, mark
		default:
			return false
		}
	}
	for g < len(glob) && glob[g] == '*' {
		g++
	}
	return g == len(glob)
}

// symbols are the rules that may be reported.
func (s *compiled) symbols(c *conf) []engine.Symbol {
	var list []engine.Symbol
	for _, ru := range s.rules {
		if !ru.sub && ru.points != 0 {
			list = append(list, engine.Symbol{Name: ru.name, Description: c.describe[ru.name]})
		}
	}
	return list
}
