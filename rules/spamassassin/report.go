package spamassassin

import (
	"cmp"
	"slices"
)

// Status says what became of a rule or a line.
type Status uint8

const (
	// Exact: the rule hits where it does in SpamAssassin.
	Exact Status = iota
	// Approximate: it may differ, for the reason given.
	Approximate
	// Refused: it can't be expressed, and never hits.
	Refused
	// Ignored: the line has no meaning here, such as a setting of reports.
	Ignored
)

// String returns the word for a status.
func (s Status) String() string {
	return [...]string{"exact", "approximate", "refused", "ignored"}[s&3]
}

// An Entry is what became of one rule, or of one line.
type Entry struct {
	Rule   string // name of the rule; of the setting, for lines that are ignored
	Kind   string // what the rule looks at; "" for lines
	File   string
	Line   int
	Status Status
	Reason string
}

// A Report tells what became of all rules and of lines that could not be used.
type Report struct {
	Entries []Entry
	at      map[string]int
}

func (r *Report) add(e Entry) {
	if r.at == nil {
		r.at = map[string]int{}
	}
	if e.Kind != "" {
		r.at[e.Rule] = len(r.Entries)
	}
	r.Entries = append(r.Entries, e)
}

// change sets the status of a rule.
func (r *Report) change(rule string, s Status, reason string) {
	if i, ok := r.at[rule]; ok {
		r.Entries[i].Status, r.Entries[i].Reason = s, reason
	}
}

// Count returns how many rules have a status.
func (r *Report) Count(s Status) int {
	n := 0
	for i := range r.Entries {
		if r.Entries[i].Kind != "" && r.Entries[i].Status == s {
			n++
		}
	}
	return n
}

// A Tally is how many rules, or lines, share a status and a reason.
type Tally struct {
	Status Status
	Reason string
	Rules  int // rules; lines where Lines is set
	Lines  bool
}

// Tallies groups the report by status and reason, the most frequent first.
func (r *Report) Tallies() []Tally {
	index := map[Tally]int{}
	var out []Tally
	for _, e := range r.Entries {
		key := Tally{Status: e.Status, Reason: e.Reason, Lines: e.Kind == ""}
		i, ok := index[key]
		if !ok {
			i = len(out)
			index[key] = i
			out = append(out, key)
		}
		out[i].Rules++
	}
	slices.SortStableFunc(out, func(a, b Tally) int {
		return cmp.Or(cmp.Compare(truth(a.Lines), truth(b.Lines)), cmp.Compare(a.Status, b.Status), cmp.Compare(b.Rules, a.Rules), cmp.Compare(a.Reason, b.Reason))
	})
	return out
}
