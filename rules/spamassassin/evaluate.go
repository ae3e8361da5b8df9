package spamassassin

import (
	"strings"

	"spamcatcher/engine"
)

// result is what is known of one mail: how often each rule holds, and which
// metas could not be decided because they rest on one that holds at no price.
type result struct {
	value   []float64
	open    []bool // of metas: never decided
	matched []string
}

// evaluate applies all rules but those that depend on other checks.
func (s *compiled) evaluate(em *engine.Mail) *result {
	m := newMail(s, em)
	r := &result{value: make([]float64, len(s.rules)), open: make([]bool, len(s.rules))}
	s.inspectHeaders(m, r)
	s.runEvals(m, r, "header")
	s.inspectBody(m, r)
	s.inspectURIs(m, r)
	s.inspectMIME(m, r)
	s.runEvals(m, r, "")
	s.inspectAlone(m, r, kindRawBody, m.rawBody)
	s.inspectAlone(m, r, kindFull, func() []string { return []string{m.full} })
	s.runMetas(s.metas, r)
	return r
}

func (s *compiled) runMetas(ids []int, r *result) {
	for _, id := range ids {
		ru := s.rules[id]
		if ru.blocked {
			r.open[id] = true
			continue
		}
		open := false
		for _, need := range ru.needs {
			open = open || r.open[need]
		}
		if open {
			r.open[id] = true
			continue
		}
		v := ru.expr.eval(r.value)
		if v == 0 {
			continue
		}
		if ru.points == 0 {
			// SpamAssassin neither reports such a rule nor decides those that
			// rest on it.
			r.open[id] = true
			continue
		}
		if v < 0 {
			v = 1
		}
		r.value[id] = v
	}
}

// inspectHeaders tries the patterns of each field.
func (s *compiled) inspectHeaders(m *mail, r *result) {
	for _, g := range s.headers {
		text, present := m.joined(g.key)
		if !present {
			for _, id := range g.rules {
				if ru := s.rules[id]; !ru.exists && ru.absent {
					r.value[id] = 1
				}
			}
			continue
		}
		s.scanAlone(m, g, text, r, func(id int) int { return s.rules[id].limit })
		for _, id := range g.rules {
			if ru := s.rules[id]; ru.exists {
				r.value[id] = 1
			} else if ru.negated {
				r.value[id] = truth(r.value[id] == 0)
			}
		}
	}
}

// longText is how long a text may be that the machine is trusted with whatever
// the pattern; of longer ones it looks at a part when the pattern is dear.
const longText = 15 << 10

// scanAlone adds the matches of a group in one text.
func (s *compiled) scanAlone(m *mail, g *group, text string, r *result, limit func(id int) int) {
	if g.set == nil {
		return
	}
	add := func(id int) {
		ru := s.rules[id]
		most := limit(id) - int(r.value[id])
		if most <= 0 {
			return
		}
		budget := m.budget()
		if most == 1 {
			r.value[id] += truth(ru.single.holds(text, &budget))
		} else {
			r.value[id] += float64(ru.single.count(text, most, &budget))
		}
		m.spend(budget)
	}
	w := wide(text)
	g.set.Scan(w, func(i, _, _ int) {
		id := g.ids[i]
		if limit(id)-int(r.value[id]) != 1 {
			add(id)
			return
		}
		budget := m.budget()
		r.value[id] += truth(s.rules[id].single.verify(text, w, &budget))
		m.spend(budget)
	})
	if len(text) > longText {
		for _, id := range g.ids {
			if s.rules[id].single.vague {
				add(id)
			}
		}
	}
}

func (s *compiled) inspectAlone(m *mail, r *result, k kind, texts func() []string) {
	g := s.groups[k]
	if g == nil {
		return
	}
	for _, text := range texts() {
		s.scanAlone(m, g, text, r, func(id int) int { return s.rules[id].limit })
	}
}

func (s *compiled) inspectBody(m *mail, r *result) {
	if g := s.groups[kindBody]; g != nil && g.set != nil {
		s.scanJoined(m, g, newSegments(m.body()), r)
	}
}

func (s *compiled) inspectURIs(m *mail, r *result) {
	if g := s.groups[kindURI]; g != nil && g.set != nil {
		var list []string
		seen := map[string]bool{}
		for _, u := range m.uris().list {
			for _, c := range u.cleaned {
				if !seen[c] {
					seen[c] = true
					list = append(list, c)
				}
			}
		}
		s.scanJoined(m, g, newSegments(list), r)
	}
	for _, id := range s.details {
		for _, u := range m.uris().list {
			if detailed(s.rules[id].details, u) {
				r.value[id] = 1
				break
			}
		}
	}
}

func detailed(parts []detail, u *uriInfo) bool {
	budget := totalSteps
	for _, p := range parts {
		var texts []string
		switch p.of {
		case "raw":
			texts = []string{u.raw}
		case "type":
			texts = u.types
		case "cleaned":
			texts = u.cleaned
		case "text":
			texts = u.anchors
		case "domain":
			texts = u.domains
		case "host":
			for i := 0; i < len(u.hosts); i += 2 {
				texts = append(texts, u.hosts[i])
			}
		}
		found := false
		for _, t := range texts {
			if p.single.holds(t, &budget) != p.negated {
				found = true
				break
			}
		}
		if !found {
			return false
		}
	}
	return true
}

// scanJoined adds the matches of a group in segments that are searched
// together.
func (s *compiled) scanJoined(m *mail, g *group, segs *segments, r *result) {
	for b := range segs.blocks {
		block := &segs.blocks[b]
		g.set.Scan(block.text, func(i, start, end int) {
			if id := g.ids[i]; s.rules[id].limit > int(r.value[id]) {
				r.value[id] += s.rules[id].inBlock(m, block, segs.list, start, end, s.rules[id].limit-int(r.value[id]))
			}
		})
	}
}

// inBlock counts the matches of a rule in a block, at most limit. The machine
// found that there may be one, maybe at a place.
func (ru *rule) inBlock(m *mail, block *textBlock, list []string, start, end, limit int) float64 {
	p := ru.single
	if !ru.noSubject || block.first > 0 {
		switch {
		case limit > 1 && p.lineSafe && p.counts && p.one == nil && !p.vague:
			return float64(p.extent.Count(block.text, limit))
		case limit == 1 && p.exact && !p.vague:
			if start == end {
				start, end, _ = ru.lineFind.Find(block.text)
			}
			if start < end && block.within(start, end) {
				return 1
			}
		}
	}
	budget := m.budget()
	found := 0
	hint := block.segment(start)
	for k := range block.ends {
		if limit == 1 { // the segment of the place first
			switch {
			case k == 0:
				k = hint
			case k <= hint:
				k--
			}
		}
		if ru.noSubject && block.first+k == 0 {
			continue
		}
		text := list[block.first+k]
		if limit == 1 {
			if p.holds(text, &budget) {
				found = 1
				break
			}
		} else if found += p.count(text, limit-found, &budget); found >= limit {
			break
		}
	}
	m.spend(budget)
	return float64(found)
}

// inspectMIME tries the patterns of the fields of each part.
func (s *compiled) inspectMIME(m *mail, r *result) {
	if len(s.mimes) == 0 {
		return
	}
	var parts []*entity
	m.walk(func(e *entity) { parts = append(parts, e) })
	for _, g := range s.mimes {
		name, mod, _ := strings.Cut(g.key, ":")
		done := make(map[int]bool)
		for i, part := range parts {
			text, present := part.mimeField(name, mod == "raw")
			before := make(map[int]float64)
			for _, id := range g.rules {
				before[id] = r.value[id]
			}
			if present {
				s.scanAlone(m, g, text, r, func(id int) int {
					ru := s.rules[id]
					if done[id] || i+1 < ru.mime.first || i+1 > ru.mime.last {
						return 0
					}
					return ru.limit
				})
			}
			for _, id := range g.rules {
				ru := s.rules[id]
				if i+1 < ru.mime.first || i+1 > ru.mime.last {
					continue
				}
				if !present && !done[id] && ru.absent != ru.negated {
					r.value[id]++
				}
				done[id] = done[id] || r.value[id] > before[id]
			}
		}
		for _, id := range g.rules {
			if s.rules[id].negated {
				r.value[id] = truth(r.value[id] == 0)
			}
		}
	}
}

// mimeField returns the last field of a name of a part.
func (e *entity) mimeField(name string, raw bool) (string, bool) {
	if name == "all" {
		var b strings.Builder
		for i := range e.fields {
			if raw {
				b.WriteString(e.fields[i].name + ": " + unfoldAll(e.fields[i].raw))
			} else {
				b.WriteString(e.fields[i].name + ": " + e.value(i) + "\n")
			}
		}
		return b.String(), true
	}
	ids := e.index()[name]
	if len(ids) == 0 {
		return "", false
	}
	id := ids[len(ids)-1]
	if raw {
		return e.fields[id].raw, true
	}
	return e.value(id) + "\n", true
}

func (s *compiled) runEvals(m *mail, r *result, area string) {
	for _, id := range s.evals {
		ru := s.rules[id]
		if (ru.area == "header") != (area == "header") {
			continue
		}
		if v := ru.call(m); v != 0 {
			r.value[id] = v
		}
	}
}
