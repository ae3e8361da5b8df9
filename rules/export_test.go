package rules

import (
	"fmt"
	"slices"

	"github.com/wasilibs/go-re2"

	"spamcatcher/engine/message"
)

// Plain holds every pattern over the views, to be tried one by one.
type Plain struct{ res map[string][]*re2.Regexp }

// NewPlain compiles the patterns of a rule set's views.
func NewPlain(rs *Ruleset) *Plain {
	p := &Plain{map[string][]*re2.Regexp{}}
	for _, g := range rs.views {
		for _, e := range g.exprs {
			p.res[g.key] = append(p.res[g.key], re2.MustCompile(e))
		}
	}
	return p
}

// Differences compares what the compiled sets find in the views of a message
// with what the patterns find alone. Longer texts are cut to limit bytes.
func (p *Plain) Differences(rs *Ruleset, m *message.Message, limit int) (diff []string, hits, tried int) {
	for _, g := range rs.views {
		text := view(m, View(g.key))
		text = text[:min(len(text), limit)]
		var got []int
		g.set.Scan(text, func(id, _, _ int) { got = append(got, id) })
		for id, re := range p.res[g.key] {
			tried++
			want := re.MatchString(text)
			if want {
				hits++
			}
			if slices.Contains(got, id) != want {
				diff = append(diff, fmt.Sprintf("%s: alone %v, in the set %v", rs.rules[g.ids[id]].Symbol, want, !want))
			}
		}
	}
	return diff, hits, tried
}
