package spamassassin

import (
	"fmt"
	"strings"
	"time"

	"spamcatcher/engine"
)

// mail is one message with all that rules have asked about it so far. It
// belongs to one call and is not safe for concurrent use.
type mail struct {
	*parsed
	set       *compiled
	now       time.Time
	session   engine.Session
	envelope  engine.Envelope
	relays    *relayList
	bodyLines []string
	rawChunks []string
	gathered  bool
	pages     []*htmlFacts
	uriList   *uriList
	gets      map[string][]string
	sender    *envelopeSender
	attached  *attachmentFacts
	free      *freemailFacts
	dates     *dateFacts
	pictures  map[string]*pictureFacts
	alt       *alternativeFacts
	steps     int // of verification, spent so far
}

// budget is how many steps one rule may still take.
func (m *mail) budget() int { return min(totalSteps, max(0, mailSteps-m.steps)) }

// spend notes what is left of a budget.
func (m *mail) spend(left int) {
	m.steps += min(totalSteps, max(0, mailSteps-m.steps)) - max(0, left)
}

func newMail(c *compiled, m *engine.Mail) *mail {
	raw := string(m.Message.Raw())
	if line := receivedLine(m); line != "" {
		if strings.Contains(raw, "\r\n") {
			line += "\r\n"
		} else {
			line += "\n"
		}
		raw = line + raw
	}
	now := m.Session.Time
	return &mail{parsed: parseMessage(raw), set: c, now: now, session: m.Session, envelope: m.Envelope, gets: map[string][]string{}}
}

// receivedLine is the trace field that our own server will put on top of a
// message, which rules expect to see: they judge the client by it. Mail from a
// file has none.
func receivedLine(m *engine.Mail) string {
	if !m.Session.Client.IsValid() {
		return ""
	}
	name := m.Session.PTR
	if name == "" {
		name = "unknown"
	}
	protocol := "SMTP"
	if m.Session.ESMTP {
		protocol = "ESMTP"
		if m.Session.TLS {
			protocol = "ESMTPS"
		}
	}
	helo := printable(m.Session.Hello)
	if helo == "" {
		helo = "unknown"
	}
	line := fmt.Sprintf("Received: from %s (%s [%s]) by localhost (Postfix) with %s id 0", helo, printable(name), m.Session.Client.Unmap(), protocol)
	if m.Envelope.Known {
		line += fmt.Sprintf(" (envelope-from <%s>)", printable(m.Envelope.From))
	}
	if t := m.Session.Time; !t.IsZero() {
		line += "; " + t.Format("Mon, _2 Jan 2006 15:04:05 -0700")
	}
	return line
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f || strings.ContainsRune("()<>[]", r) {
			return -1
		}
		return r
	}, clipTo(s, 255))
}

// values returns the fields of a name, decoded, without line ends.
func (m *mail) values(key string) []string {
	ids := m.index()[key]
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = m.value(id)
	}
	return out
}

func (m *mail) first(key string) (string, bool) {
	if v := m.get(key); len(v) > 0 {
		return v[0], true
	}
	return "", false
}

// joined returns what a header request yields, as one text.
func (m *mail) joined(request string) (string, bool) {
	v := m.get(request)
	if len(v) == 0 {
		return "", false
	}
	if len(v) == 1 {
		return v[0], true
	}
	if strings.HasSuffix(v[0], "\n") {
		return strings.Join(v, ""), true
	}
	return strings.Join(v, "\n"), true
}

// one returns what functions get that ask for one text: the first address,
// else all values.
func (m *mail) one(request string) string {
	v := m.get(request)
	if len(v) == 0 {
		return ""
	}
	for _, mod := range []string{":addr", ":name", ":host", ":domain", ":ip", ":revip"} {
		if strings.Contains(request, mod) {
			return strings.TrimSuffix(v[0], "\n")
		}
	}
	if request == "EnvelopeFrom" {
		return strings.TrimSuffix(v[0], "\n")
	}
	return strings.Join(v, "")
}

// get returns what a header request yields: a field's name with modifiers, or
// one of the names for what is no single field.
func (m *mail) get(request string) []string {
	if v, known := m.gets[request]; known {
		return v
	}
	v := m.fetch(request)
	m.gets[request] = v
	return v
}

func (m *mail) fetch(request string) []string {
	name, mods, _ := strings.Cut(request, ":")
	var raw, addr, display, host, domain, ip, revip, first, last bool
	if mods != "" {
		for mod := range strings.SplitSeq(mods, ":") {
			switch mod {
			case "raw":
				raw = true
			case "addr":
				addr = true
			case "name":
				display = true
			case "host":
				host = true
			case "domain":
				host, domain = true, true
			case "ip":
				ip = true
			case "revip":
				ip, revip = true, true
			case "first":
				first = true
			case "last":
				last = true
			}
		}
	}
	var out []string
	switch name {
	case "ALL":
		if raw {
			return rawFields(m.headerText)
		}
		return m.allFields()
	case "ALL-TRUSTED", "ALL-INTERNAL", "ALL-UNTRUSTED", "ALL-EXTERNAL":
		return m.fieldsAround(name, raw)
	case "MESSAGEID":
		for _, n := range []string{"x-message-id", "resent-message-id", "x-original-message-id", "message-id"} {
			for _, v := range m.named(n, raw) {
				if v != "" {
					out = append(out, v)
				}
			}
		}
	default:
		switch key := strings.ToLower(name); key {
		case "envelopefrom":
			if s := m.envelopeFrom(); s.known {
				out = append(out, s.address)
			}
		case "x-spam-relays-untrusted":
			out = append(out, m.relay().untrustedText)
		case "x-spam-relays-trusted":
			out = append(out, m.relay().trustedText)
		case "x-spam-relays-external":
			out = append(out, m.relay().externalText)
		case "x-spam-relays-internal":
			out = append(out, m.relay().internalText)
		case "tocc":
			out = append(m.named("to", raw), m.named("cc", raw)...)
		default:
			if raw || addr || display {
				for _, id := range m.index()[key] {
					out = append(out, m.fields[id].raw)
				}
			} else {
				out = m.named(key, false)
			}
			if len(out) == 0 {
				out = m.metadata(key)
			}
		}
	}
	if len(out) > 1 && first {
		out = out[:1]
	} else if len(out) > 1 && last {
		out = out[len(out)-1:]
	}
	if addr || display {
		out = m.addressed(out, addr, raw)
	}
	if host || ip {
		out = m.hosted(out, addr, host, domain, revip)
	}
	return out
}

// metadata are names of what is derived from several fields.
func (m *mail) metadata(key string) []string {
	switch key {
	case "x-senderdomain":
		if v := m.get("EnvelopeFrom:first:addr:host"); len(v) > 0 {
			return []string{hostASCII(v[0])}
		}
	case "x-authordomain":
		var seen []string
		for _, h := range m.get("From:addr:host") {
			seen = addOnce(seen, hostASCII(h))
		}
		if len(seen) > 0 {
			return []string{strings.Join(seen, " ")}
		}
	}
	return nil
}

// named returns the fields of a name with a line end, decoded or unfolded only.
func (m *mail) named(key string, raw bool) []string {
	ids := m.index()[key]
	if len(ids) == 0 {
		return nil
	}
	out := make([]string, len(ids))
	for i, id := range ids {
		if raw {
			out[i] = unfoldAll(m.fields[id].raw)
		} else {
			out[i] = m.value(id) + "\n"
		}
	}
	return out
}

// unfoldAll is like unfold, and joins also across empty lines.
func unfoldAll(raw string) string {
	if i := strings.IndexByte(raw, '\n'); i < 0 || i == len(raw)-1 {
		return raw
	}
	var b strings.Builder
	for i := 0; i < len(raw); i++ {
		j := i
		if raw[j] == '\r' && j+1 < len(raw) && raw[j+1] == '\n' {
			j++
		}
		if raw[j] == '\n' && j+1 < len(raw) && spaceSet.has(raw[j+1]) {
			for j+1 < len(raw) && spaceSet.has(raw[j+1]) {
				j++
			}
			b.WriteByte(' ')
			i = j
			continue
		}
		b.WriteByte(raw[i])
	}
	return b.String()
}

// allFields returns all fields as "Name: value" lines in their order.
func (m *mail) allFields() []string {
	out := make([]string, 0, len(m.fields))
	size := 0
	for i := range m.fields {
		v := m.value(i)
		if size += len(m.fields[i].name) + len(v) + 3; size > maxHeader {
			m.flags.truncatedHeader = true
			break
		}
		out = append(out, m.fields[i].name+": "+v+"\n")
	}
	return out
}

// rawFields splits a header's text into fields.
func rawFields(text string) []string {
	var out []string
	from, at := 0, 0
	for _, line := range splitLines(text) {
		if line[0] != ' ' && line[0] != '\t' && at > from {
			out = append(out, text[from:at])
			from = at
		}
		at += len(line)
	}
	if at > from {
		out = append(out, text[from:at])
	}
	return out
}

// fieldsAround returns the fields above or below the place where a message
// left the trusted or internal relays.
func (m *mail) fieldsAround(name string, raw bool) []string {
	r := m.relay()
	last := r.lastTrusted
	if strings.HasSuffix(name, "INTERNAL") || strings.HasSuffix(name, "EXTERNAL") {
		last = r.lastInternal
	}
	inner := strings.HasSuffix(name, "-TRUSTED") || strings.HasSuffix(name, "-INTERNAL")
	all := m.allFields()
	if raw {
		all = rawFields(m.headerText)
	}
	at := -1
	var out []string
	for _, f := range all {
		if len(f) >= 9 && strings.EqualFold(f[:9], "received:") {
			at++
		}
		if inner {
			if at <= last+1 {
				out = append(out, f)
			}
			if at == last+1 {
				break
			}
		} else if at >= last+1 {
			out = append(out, f)
		}
	}
	return out
}

// body returns the text that body rules see: the subject, and the paragraphs
// of all text parts as a reader sees them, as bytes.
func (m *mail) body() []string {
	m.gather()
	return m.bodyLines
}

// html returns the facts of each HTML part.
func (m *mail) html() []*htmlFacts {
	m.gather()
	return m.pages
}
