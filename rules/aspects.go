package rules

import (
	"strconv"
	"strings"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
)

// The parts of a mail that are not text, each with its rules.

// inspectHeader goes over the fields once; what nobody asks of a name is not
// decoded.
func (rs *Ruleset) inspectHeader(e *evidence, s *state) {
	clear(s.counts)
	var lower [64]byte
	fields := e.header.Fields()
	for i := range fields {
		f := &fields[i]
		if f.Name == "" || len(f.Name) > len(lower) {
			continue
		}
		for j := range len(f.Name) {
			c := f.Name[j]
			if c >= 'A' && c <= 'Z' {
				c += 'a' - 'A'
			}
			lower[j] = c
		}
		n, ok := rs.names[string(lower[:len(f.Name)])]
		if !ok {
			continue
		}
		t := &rs.fields[n]
		if s.counts[n]++; s.counts[n] > maxValues {
			continue
		}
		if t.raw != nil {
			t.raw.scan(short(e.value(i), maxValueLen), s)
		}
		if t.decoded != nil {
			t.decoded.scan(short(e.decoded(i), maxValueLen), s)
		}
	}
	for n := range rs.fields {
		t := &rs.fields[n]
		for _, c := range t.counts {
			if c.min == 0 && s.counts[n] == 0 || c.min > 0 && s.counts[n] >= c.min {
				s.hold(c.id, "")
			}
		}
		if s.counts[n] > 0 && (t.address != nil || t.display != nil || t.domain != nil) {
			for _, a := range most(e.Addresses(t.name)) {
				t.address.scanValue(a.Address, s)
				t.display.scanValue(a.Name, s)
				t.domain.scanValue(a.Domain(), s)
			}
		}
	}
	if rs.all != nil {
		rs.all.scan(allFields(e), s)
	}
}

// allFields writes the header as "Name: value" lines, unfolded.
func allFields(e *evidence) string {
	fields := e.header.Fields()
	size := 0
	for i := range fields {
		size += len(fields[i].Raw) + 2
	}
	var b strings.Builder
	b.Grow(min(size, viewHead+viewTail))
	for i := range fields {
		if b.Len() > viewHead+viewTail {
			break
		}
		b.WriteString(fields[i].Name)
		b.WriteString(": ")
		b.WriteString(e.value(i))
		b.WriteByte('\n')
	}
	return bounded(b.String())
}

// scanValue searches a value that may be absent, for a group that may be.
func (p *patterns) scanValue(value string, s *state) {
	if p != nil && value != "" {
		p.scan(short(value, maxValueLen), s)
	}
}

// most returns the first values of a list that may be long.
func most[T any](list []T) []T { return list[:min(len(list), maxValues)] }

// short returns the beginning of a value that may be long.
func short(v string, limit int) string { return v[:min(len(v), limit)] }

// collect finds which patterns of an optional group occur in a text.
func collect(p *patterns, text string, bits *[]uint64) {
	if p == nil {
		return
	}
	words := (len(p.ids) + 63) / 64
	if cap(*bits) < words {
		*bits = make([]uint64, words)
	}
	*bits = (*bits)[:words]
	clear(*bits)
	set := *bits
	p.set.Scan(text, func(id, _, _ int) { set[id>>6] |= 1 << (id & 63) })
}

// found says whether pattern id was found; -1 asks for nothing.
func found(bits []uint64, id int) bool { return id < 0 || bits[id>>6]&(1<<(id&63)) != 0 }

// agrees says whether a value is as a condition wants it; nil wants nothing.
func agrees(want *bool, is bool) bool { return want == nil || *want == is }

func (rs *Ruleset) inspectLinks(m *message.Message, s *state) {
	t := &rs.links
	if len(t.rules) == 0 && len(t.simple) == 0 {
		return
	}
	links := m.Links()
	for i := range links[:min(len(links), maxLinks)] {
		l := &links[i]
		norm := short(l.Norm, maxLinkLen)
		collect(t.norm, norm, &s.first)
		collect(t.host, short(l.Host, maxLinkLen), &s.second)
		collect(t.text, short(l.Text, maxLinkLen), &s.third)
		for id, rule := range t.simple {
			if rule >= 0 && found(s.first, id) {
				s.hold(rule, norm)
			}
		}
		for j := range t.rules {
			r := &t.rules[j]
			if s.has(r.id) || r.w.Source != "" && r.w.Source != l.Source ||
				!agrees(r.w.Deceptive, l.Deceptive) || !agrees(r.w.IP, l.IP) || !agrees(r.w.Punycode, l.Punycode) ||
				!agrees(r.w.UserInfo, l.UserInfo) || !agrees(r.w.Obfuscated, l.Obfuscated) {
				continue
			}
			if found(s.first, r.norm) && found(s.second, r.host) && found(s.third, r.text) {
				s.hold(r.id, norm)
			}
		}
	}
}

func (rs *Ruleset) inspectFiles(m *message.Message, s *state) {
	t := &rs.files
	if len(t.rules) == 0 {
		return
	}
	list := m.Attachments()
	for i := range list[:min(len(list), maxFiles)] {
		a := &list[i]
		collect(t.name, short(a.Name, maxLinkLen), &s.first)
		collect(t.typ, short(a.Declared, maxLinkLen), &s.second)
		collect(t.detected, a.Detected, &s.third)
		for j := range t.rules {
			r := &t.rules[j]
			if s.has(r.id) || a.Size < r.w.MinSize || r.w.MaxSize > 0 && a.Size > r.w.MaxSize || !agrees(r.w.Mismatch, mismatch(a)) {
				continue
			}
			if found(s.first, r.name) && found(s.second, r.typ) && found(s.third, r.detected) {
				detail := a.Name
				if detail == "" {
					detail = a.Declared
				}
				s.hold(r.id, detail)
			}
		}
	}
}

// mismatch says whether the content of an attachment contradicts its declared
// type or its name. Unknown and generic types contradict nothing.
func mismatch(a *message.Attachment) bool {
	is := family(a.Detected)
	if is == "" {
		return false
	}
	declared, named := family(a.Declared), family(a.ByName)
	return declared != "" && declared != is || named != "" && named != is
}

// family groups media types whose contents cannot be told apart from their
// first bytes; "" is a type that says nothing.
func family(t string) string {
	switch {
	case t == "" || t == "application/octet-stream" || t == "application/force-download" || t == "application/x-download" || strings.HasPrefix(t, "multipart/"):
		return ""
	case strings.HasPrefix(t, "text/") || strings.HasPrefix(t, "message/") || strings.HasSuffix(t, "+xml") && !strings.Contains(t, "officedocument") ||
		strings.HasSuffix(t, "/xml") || strings.HasSuffix(t, "json") || strings.Contains(t, "javascript") || strings.Contains(t, "ecmascript") ||
		t == "application/hta" || t == "application/x-sh" || t == "application/ics" || strings.HasPrefix(t, "application/pgp"):
		return "text"
	case strings.Contains(t, "officedocument") || strings.Contains(t, "opendocument") || strings.Contains(t, "zip") && !strings.Contains(t, "gzip") && !strings.Contains(t, "bzip") ||
		t == "application/java-archive" || t == "application/x-java-archive" || strings.Contains(t, "macroenabled") || strings.Contains(t, "macroEnabled") || strings.HasSuffix(t, "android.package-archive"):
		return "zip"
	case t == "application/msword" || strings.HasPrefix(t, "application/vnd.ms-") || strings.Contains(t, "ole"):
		return "ole"
	case strings.Contains(t, "msdownload") || strings.Contains(t, "dosexec") || strings.Contains(t, "portable-executable") || strings.Contains(t, "ms-dos"):
		return "executable"
	case t == "image/jpg" || t == "image/pjpeg":
		return "image/jpeg"
	case t == "image/x-png":
		return "image/png"
	case t == "image/bmp" || t == "image/x-ms-bmp":
		return "image/bmp"
	case t == "application/x-pdf":
		return "application/pdf"
	case strings.Contains(t, "gzip") || strings.Contains(t, "compressed-tar") || strings.HasSuffix(t, "/x-tgz"):
		return "gzip"
	case strings.Contains(t, "rar"):
		return "rar"
	case strings.HasSuffix(t, "rtf"):
		return "rtf"
	}
	return t
}

func (rs *Ruleset) inspectHTML(m *message.Message, s *state) {
	t := &rs.html
	if len(t.tags) == 0 && t.hidden == nil && t.image == nil {
		return
	}
	h := m.HTML()
	for i := range t.tags {
		if r := &t.tags[i]; h.Tags[r.tag] >= r.min {
			s.hold(r.id, "<"+r.tag+">")
		}
	}
	if t.hidden != nil {
		for i := range h.Hidden[:min(len(h.Hidden), maxHidden)] {
			d := &h.Hidden[i]
			t.hidden.set.Scan(d.Text, func(id, start, end int) {
				if t.means[id] == "" || t.means[id] == d.Means {
					s.hold(t.hidden.ids[id], shown(d.Text, start, end))
				}
			})
		}
	}
	if t.image != nil {
		for i := range h.Images[:min(len(h.Images), maxImages)] {
			t.image.scan(short(h.Images[i].Source, maxLinkLen), s)
		}
	}
}

func (rs *Ruleset) inspectDefects(m *message.Message, s *state) {
	for i := range rs.defects {
		r := &rs.defects[i]
		if r.p == nil {
			if m.Defect(r.name) >= r.min {
				s.hold(r.id, r.name)
			}
			continue
		}
		for _, d := range m.Defects() {
			if d.Count >= r.min {
				r.p.set.Scan(d.Kind, func(int, int, int) { s.hold(r.id, d.Kind) })
			}
		}
	}
}

func (rs *Ruleset) inspectEnvelope(m *engine.Mail, s *state) {
	for i := range rs.session {
		g := &rs.session[i]
		switch g.of {
		case "helo":
			if m.Session.Hello != "" {
				g.p.scan(m.Session.Hello, s)
			}
		case "client":
			if m.Session.Client.IsValid() {
				g.p.scan(m.Session.Client.String(), s)
			}
		case "ptr":
			// Without a client nothing was looked up; with one "" says that
			// it has no name, which a rule may want to know.
			if m.Session.Client.IsValid() {
				g.p.scan(m.Session.PTR, s)
			}
		case "from":
			if m.Envelope.Known {
				g.p.scan(m.Envelope.From, s)
			}
		case "to":
			if m.Envelope.Known {
				for _, to := range most(m.Envelope.To) {
					g.p.scan(to, s)
				}
			}
		}
	}
}

// number writes a fact's value for a person.
func number(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }
