package rules

import (
	"context"
	"strings"
	"unicode/utf8"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
)

// Limits of what is searched in one message, so that no message costs more
// than a fixed multiple of what it may be long.
const (
	viewHead    = 384 << 10 // bytes of a view's beginning that are searched
	viewTail    = 128 << 10 // bytes of its end, when it is longer than both
	maxValues   = 200       // header fields of one name, addresses, recipients
	maxLinks    = 1000
	maxFiles    = 1000
	maxHidden   = 1000
	maxImages   = 1000
	maxDetail   = 60 // bytes of a hit's detail
	maxLinkLen  = 4 << 10
	maxValueLen = 64 << 10
)

// state is what is known of one mail while rules are evaluated: which names
// hold, and the text that made them hold.
type state struct {
	bits   []uint64
	detail []string
	// first, second and third are pattern sets of one link or attachment.
	first, second, third []uint64
	counts               []int // header fields of each name
	evidence             evidence
}

func newState(bits, rules, fields int) *state {
	words := (bits + 63) / 64
	return &state{bits: make([]uint64, words), detail: make([]string, rules), counts: make([]int, fields)}
}

func (s *state) set(id int)      { s.bits[id>>6] |= 1 << (id & 63) }
func (s *state) has(id int) bool { return s.bits[id>>6]&(1<<(id&63)) != 0 }

// hold records that a rule holds; the first detail stays.
func (s *state) hold(id int, detail string) {
	if !s.has(id) {
		s.set(id)
		s.detail[id] = detail
	}
}

// Name is the check's name.
func (rs *Ruleset) Name() string { return "rules" }

// Symbols lists what Inspect and Combine may report: all rules but terms.
func (rs *Ruleset) Symbols() []engine.Symbol { return append([]engine.Symbol(nil), rs.symbols...) }

// Inspect evaluates all rules that need nothing of other checks and returns
// those that hold, in the order of the rules. Its time is linear in the size
// of the message, and bounded: of a text longer than 512 KiB only the first
// 384 and the last 128 KiB are searched. It never fails.
func (rs *Ruleset) Inspect(_ context.Context, m *engine.Mail) ([]engine.Hit, error) {
	s := rs.states.Get().(*state)
	defer rs.release(s)
	rs.evaluate(m, s)
	var hits []engine.Hit
	for i := range rs.rules {
		if s.has(i) && !rs.rules[i].Term() {
			hits = append(hits, engine.Hit{Symbol: rs.rules[i].Symbol, Detail: clean(s.detail[i])})
		}
	}
	return hits, nil
}

// Combine evaluates the rules whose expressions name symbols of other checks.
func (rs *Ruleset) Combine(m *engine.Mail, hits []engine.Hit) []engine.Hit {
	if len(rs.late) == 0 {
		return nil
	}
	s := rs.states.Get().(*state)
	defer rs.release(s)
	for i := range hits {
		if id, ok := rs.foreign[hits[i].Symbol]; ok {
			s.set(id)
		} else if id, ok := rs.index[hits[i].Symbol]; ok {
			s.set(id)
		}
	}
	// Terms are never among the hits: they are found again, but only for an
	// expression that asks for one.
	evaluated := false
	has := func(id int) bool {
		if !evaluated && id < len(rs.rules) && rs.rules[id].Term() && !s.has(id) {
			evaluated = true
			rs.evaluate(m, s)
		}
		return s.has(id)
	}
	var out []engine.Hit
	for _, meta := range rs.late {
		if !meta.e.holds(has) {
			continue
		}
		s.set(meta.id)
		if r := &rs.rules[meta.id]; !r.Term() {
			out = append(out, engine.Hit{Symbol: r.Symbol, Detail: clean(rs.because(meta.e, s))})
		}
	}
	return out
}

func (rs *Ruleset) release(s *state) {
	clear(s.bits)
	clear(s.detail)
	s.evidence.begin(nil)
	rs.states.Put(s)
}

// evaluate fills s with the plain rules and own metas that hold.
func (rs *Ruleset) evaluate(m *engine.Mail, s *state) {
	for _, g := range rs.views {
		g.scan(view(m.Message, View(g.key)), s)
		if View(g.key) == Body && m.Message.Spelling().Disguised() {
			g.scan(view(m.Message, Skeleton), s)
		}
	}
	e := &s.evidence
	e.begin(m)
	rs.inspectHeader(e, s)
	rs.inspectLinks(m.Message, s)
	rs.inspectFiles(m.Message, s)
	rs.inspectHTML(m.Message, s)
	rs.inspectDefects(m.Message, s)
	rs.inspectEnvelope(m, s)
	for i := range rs.facts {
		f := &rs.facts[i]
		v, ok := f.fact(e)
		if ok && (f.above == nil || v > *f.above) && (f.below == nil || v < *f.below) {
			s.hold(f.id, number(v))
		}
	}
	for i := range rs.own {
		if meta := &rs.own[i]; meta.e.holds(s.has) {
			s.hold(meta.id, rs.because(meta.e, s))
		}
	}
}

// because lists the names of an expression that hold.
func (rs *Ruleset) because(e *expr, s *state) string {
	var b strings.Builder
	e.names(func(n *expr) {
		if b.Len() <= maxDetail && s.has(n.id) {
			if b.Len() > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(n.name)
		}
	})
	return b.String()
}

// view returns the part of a view that is searched.
func view(m *message.Message, v View) string {
	switch v {
	case Body:
		return bounded(m.Text())
	case Skeleton:
		return bounded(m.Skeleton())
	}
	return bounded(m.Source())
}

// bounded returns the beginning and the end of a text that is too long.
func bounded(text string) string {
	if len(text) <= viewHead+viewTail {
		return text
	}
	head, tail := viewHead, len(text)-viewTail
	for head > 0 && !utf8.RuneStart(text[head]) {
		head--
	}
	for tail < len(text) && !utf8.RuneStart(text[tail]) {
		tail++
	}
	return text[:head] + "\n" + text[tail:]
}

// scan searches a text for all patterns of the group.
func (p *patterns) scan(text string, s *state) {
	p.set.Scan(text, func(id, start, end int) { s.hold(p.ids[id], shown(text, start, end)) })
}

// shown is the detail of a match: the text at its place, or a whole short text
// when the place is not known.
func shown(text string, start, end int) string {
	if start == end && len(text) <= 4*maxDetail {
		return text
	}
	return text[start:end]
}

// clean makes a detail fit to be kept: at most maxDetail bytes, one line, no
// control characters.
func clean(detail string) string {
	cut := detail
	if len(cut) > maxDetail {
		n := maxDetail
		for n > 0 && !utf8.RuneStart(cut[n]) {
			n--
		}
		cut = cut[:n]
	}
	for i := 0; i < len(cut); i++ {
		if c := cut[i]; c < ' ' || c >= 0x7F {
			return strings.Map(func(r rune) rune {
				if r < ' ' || r >= 0x7F && r < 0xA0 || r == 0x2028 || r == 0x2029 {
					return ' '
				}
				return r
			}, strings.ToValidUTF8(cut, "?"))
		}
	}
	// A copy, so that a verdict never keeps a whole message alive.
	return strings.Clone(cut)
}
