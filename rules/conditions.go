package rules

import (
	"slices"
	"strings"
)

// The compiled forms of the plain conditions. Each compile function checks one
// condition and files it under what it looks at.

// fieldTable is what is asked of the header fields of one name.
type fieldTable struct {
	name                                   string
	decoded, raw, address, display, domain *patterns
	counts                                 []headerCount
}

type headerCount struct {
	id  int
	min int // at least; 0 means that the field must be absent
}

type linkTable struct {
	norm, host, text *patterns
	simple           []int // rule of each norm pattern that alone is the condition, else -1
	rules            []linkRule
}

type linkRule struct {
	id               int
	norm, host, text int // pattern, -1 none
	w                Link
}

type fileTable struct {
	name, typ, detected *patterns
	rules               []fileRule
}

type fileRule struct {
	id                  int
	name, typ, detected int
	w                   Attachment
}

type htmlTable struct {
	tags   []tagRule
	hidden *patterns
	means  []string // of each pattern of hidden
	image  *patterns
}

type tagRule struct {
	id  int
	tag string
	min int
}

type defectRule struct {
	id   int
	name string    // exact kind, or
	p    *patterns // pattern over kinds
	min  int
}

type envelopeGroup struct {
	of string
	p  *patterns
}

type factRule struct {
	id           int
	fact         Fact
	above, below *float64
}

func (c *compiler) text(i int, w Text) {
	switch w.View {
	case Body, Skeleton, RawBody:
	default:
		c.failWhen(i, "%q is not a view of the message", w.View)
		return
	}
	if !c.pattern(i, w.Pattern) {
		return
	}
	g := c.group(string(w.View))
	if len(g.ids) == 0 {
		c.rs.views = append(c.rs.views, g)
	}
	g.add(w.Pattern, i)
}

func (c *compiler) header(i int, w Header) {
	if w.Name == "" {
		c.failWhen(i, "header.name is missing")
		return
	}
	if strings.ContainsAny(w.Name, ": \t\r\n") {
		c.failWhen(i, "%q is not the name of a header field", w.Name)
		return
	}
	name := strings.ToLower(w.Name)
	given := 0
	for _, is := range []bool{w.Match != "", w.Absent, w.Present, w.MinCount != 0} {
		if is {
			given++
		}
	}
	if given != 1 {
		c.failWhen(i, "exactly one of header.match, absent, present and min_count is needed")
		return
	}
	if w.Match == "" {
		if w.Of != "" || name == "*" {
			c.failWhen(i, "header.of and the name * go with header.match only")
			return
		}
		n := w.MinCount
		if w.Present {
			n = 1
		}
		f := c.field(name)
		f.counts = append(f.counts, headerCount{i, n})
		return
	}
	if !c.pattern(i, w.Match) {
		return
	}
	if name == "*" {
		if w.Of != "" && w.Of != "raw" {
			c.failWhen(i, "all fields can only be searched raw")
			return
		}
		c.rs.all = c.group("header *")
		c.rs.all.add(w.Match, i)
		return
	}
	f := c.field(name)
	var where **patterns
	switch w.Of {
	case "", "decoded":
		where = &f.decoded
	case "raw":
		where = &f.raw
	case "address":
		where = &f.address
	case "display":
		where = &f.display
	case "domain":
		where = &f.domain
	default:
		c.failWhen(i, "header.of is %q; decoded, raw, address, display and domain are possible", w.Of)
		return
	}
	if *where == nil {
		*where = c.group("header " + name + " " + w.Of)
	}
	(*where).add(w.Match, i)
}

// field returns the table of a field's name, making it when it is new.
func (c *compiler) field(name string) *fieldTable {
	n, ok := c.rs.names[name]
	if !ok {
		n = len(c.rs.fields)
		c.rs.names[name] = n
		c.rs.fields = append(c.rs.fields, fieldTable{name: name})
	}
	return &c.rs.fields[n]
}

func (c *compiler) htmlRule(i int, w HTML) {
	t := &c.rs.html
	switch {
	case w.Tag != "" && w.Hidden == "" && w.Image == "" && w.Means == "":
		t.tags = append(t.tags, tagRule{i, strings.ToLower(w.Tag), max(w.Min, 1)})
	case w.Hidden != "" && w.Tag == "" && w.Image == "" && w.Min == 0:
		if c.pattern(i, w.Hidden) {
			t.hidden = c.group("html hidden")
			t.hidden.add(w.Hidden, i)
			t.means = append(t.means, w.Means)
		}
	case w.Image != "" && w.Tag == "" && w.Hidden == "" && w.Means == "" && w.Min == 0:
		if c.pattern(i, w.Image) {
			t.image = c.group("html image")
			t.image.add(w.Image, i)
		}
	default:
		c.failWhen(i, "html needs exactly one of tag (with min), hidden (with means) and image")
	}
}

// part files one optional pattern of a condition over several fields and
// returns its number, -1 when there is none.
func (c *compiler) part(i int, where **patterns, key, expr string) int {
	if expr == "" || !c.pattern(i, expr) {
		return -1
	}
	*where = c.group(key)
	return (*where).add(expr, i)
}

func (c *compiler) link(i int, w Link) {
	if w == (Link{}) {
		c.failWhen(i, "uri is empty")
		return
	}
	t := &c.rs.links
	r := linkRule{id: i, w: w}
	r.norm = c.part(i, &t.norm, "uri", w.Match)
	r.host = c.part(i, &t.host, "uri host", w.Host)
	r.text = c.part(i, &t.text, "uri text", w.Text)
	if r.norm >= 0 {
		w.Match = ""
		if w == (Link{}) {
			t.simple = append(t.simple, i)
			return
		}
		t.simple = append(t.simple, -1)
	}
	t.rules = append(t.rules, r)
}

func (c *compiler) attachment(i int, w Attachment) {
	if w == (Attachment{}) {
		c.failWhen(i, "attachment is empty")
		return
	}
	if w.MaxSize != 0 && w.MaxSize < w.MinSize {
		c.failWhen(i, "attachment.max_size is below min_size")
		return
	}
	t := &c.rs.files
	t.rules = append(t.rules, fileRule{
		id: i, w: w,
		name:     c.part(i, &t.name, "attachment name", w.Name),
		typ:      c.part(i, &t.typ, "attachment type", w.Type),
		detected: c.part(i, &t.detected, "attachment detected", w.Detected),
	})
}

func (c *compiler) defect(i int, w Defect) {
	r := defectRule{id: i, name: w.Name, min: max(w.Min, 1)}
	if (w.Name == "") == (w.Match == "") {
		c.failWhen(i, "defect needs the name of a kind, or a pattern over kinds")
		return
	}
	if w.Match != "" {
		if !c.pattern(i, w.Match) {
			return
		}
		r.p = c.group("defect " + w.Match)
		if len(r.p.ids) == 0 {
			r.p.add(w.Match, i)
		}
	}
	c.rs.defects = append(c.rs.defects, r)
}

func (c *compiler) envelope(i int, w Envelope) {
	if !slices.Contains([]string{"helo", "from", "to", "client", "ptr"}, w.Of) {
		c.failWhen(i, "envelope.of is %q; helo, from, to, client and ptr are possible", w.Of)
		return
	}
	if !c.pattern(i, w.Match) {
		return
	}
	g := c.group("envelope " + w.Of)
	if len(g.ids) == 0 {
		c.rs.session = append(c.rs.session, envelopeGroup{w.Of, g})
	}
	g.add(w.Match, i)
}

func (c *compiler) measure(i int, w Measure) {
	f, ok := lookupFact(w.Name)
	if !ok {
		c.failWhen(i, "there is no fact %q; known are %s", w.Name, strings.Join(factNames(), ", "))
		return
	}
	if w.Above == nil && w.Below == nil {
		c.failWhen(i, "fact needs above, below or both")
		return
	}
	c.rs.facts = append(c.rs.facts, factRule{i, f, w.Above, w.Below})
}
