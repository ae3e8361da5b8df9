package spamassassin

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Addresses of services where anybody gets one for nothing.

var (
	roleAddress = regexp.MustCompile(`(?i)^(?:abuse|support|sales|info|helpdesk|contact|kontakt|(?:post|host|domain)master|undisclosed.*|request-[a-f0-9]{16}|bounced?-|[a-f0-9]{8}(?:\.[a-f0-9]{8}|-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{12})|.+=.+=.+)@`)
	bulkSender  = regexp.MustCompile(`(?i)(?:^(?:post|host|domain)master|^double-bounce|^(?:sentto|owner|return|(?:gr)?bounced?)-.+|-(?:request|bounces?|admin|owner)|\b(?:do[._-t]?)?no[._-t]?repl(?:y|ies)|.+=.+)@`)
	urlAddress  = regexp.MustCompile(`(?i)<?https?://\S{0,255}(?:@|%40)\S{0,255}`)
	quoteWord   = regexp.MustCompile(`(?i)^(?:fa(?:x|csi)|tel|phone|e?-?mail)`)
	quoteIntro  = regexp.MustCompile(`(?i)^\s{1,10}([a-z]{2,11}):`)
	localBytes  = rangesOf("09AZaz").union(setOf("!#$%&'*+/=?^_`{|}~-"))
)

// freemailFacts are the free mail addresses in the text.
type freemailFacts struct {
	list []string
	many bool // so many addresses that they say nothing
}

func (m *mail) freemail(address string) bool {
	if address == "" || m.set.notFreemail[address] {
		return false
	}
	domain := address[strings.LastIndexByte(address, '@')+1:]
	if m.set.notFreemail[domain] || roleAddress.MatchString(address) {
		return false
	}
	return m.set.freemail[domain] || slices.ContainsFunc(m.set.freemailGlobs, func(g string) bool { return labelGlob(g, domain) })
}

// labelGlob matches * within labels only.
func labelGlob(glob, name string) bool {
	g, n := strings.Split(glob, "."), strings.Split(name, ".")
	if len(g) != len(n) {
		return false
	}
	for i := range g {
		if !globMatch(g[i], n[i]) {
			return false
		}
	}
	return true
}

// addressAt reads a mail address in a known top-level domain whose @ stands at
// an offset.
func (s *settings) addressAt(text string, at int) (from, to int, ok bool) {
	from = at
	for from > 0 && at-from < 64 && (localBytes.has(text[from-1]) || text[from-1] == '.' && from-1 > 0 && localBytes.has(text[from-2]) && from < at) {
		from--
	}
	if from > 0 && localBytes.has(text[from-1]) {
		return 0, 0, false
	}
	to = at + 1
	for to < len(text) && hostBytes.has(text[to]) && text[to] != '_' {
		to++
	}
	host := strings.TrimRight(text[at+1:to], ".-")
	to = at + 1 + len(host)
	for {
		if l := strings.Count(host, "."); from < at && l >= 1 && l <= 4 && validHost(host) && s.knownTLD(host) {
			return from, to, true
		}
		i := strings.LastIndexByte(host, '.')
		if i < 0 || to < len(text) && text[to] != '.' {
			return 0, 0, false
		}
		return 0, 0, false
	}
}

// bodyFreemail finds the free mail addresses in the text. Addresses in quoted
// headers and URLs are taken out of the text first, also for rules that look at
// it afterwards, as SpamAssassin does.
func (m *mail) bodyFreemail() *freemailFacts {
	if m.free != nil {
		return m.free
	}
	f := &freemailFacts{}
	m.free = f
	var found []string
	for _, u := range m.uris().list {
		if !slices.Contains(u.types, "a") || slices.Contains(u.types, "parsed") || len(u.raw) < 8 || !strings.EqualFold(u.raw[:7], "mailto:") {
			continue
		}
		rest := u.raw[7:]
		if at := strings.IndexByte(rest, '@'); at > 0 {
			if from, to, ok := m.set.addressAt(rest, at); ok && from == 0 {
				found = addOnce(found, strings.ToLower(rest[:to]))
			}
		}
		if len(found) >= 20 {
			break
		}
	}
	for i, line := range m.body() {
		if !strings.Contains(line, "@") && !strings.Contains(line, "%40") {
			continue
		}
		if strings.Contains(strings.ToLower(line), "http") {
			line = urlAddress.ReplaceAllString(line, " ")
		}
		line, addresses := m.set.takeQuoted(line)
		m.bodyLines[i] = line
		for _, a := range addresses {
			found = addOnce(found, strings.ToLower(a))
		}
		if len(found) >= 40 {
			break
		}
	}
	skip := m.set.numbers["freemail_skip_when_over_max"] != 0
	free := 0
	for i, a := range found {
		if skip && float64(i+1) == m.set.numbers["freemail_max_body_emails"] {
			f.many = true
			return f
		}
		if !m.freemail(a) {
			continue
		}
		if free++; skip && float64(free) == m.set.numbers["freemail_max_body_freemails"] {
			f.many = true
			return f
		}
		f.list = append(f.list, a)
	}
	return f
}

// takeQuoted replaces addresses that quote a header ("<a@b>", "a@b Subject:")
// by a space, and returns the others.
func (s *settings) takeQuoted(line string) (string, []string) {
	var b strings.Builder
	var addresses []string
	done := 0
	for p := 0; ; {
		i := strings.IndexByte(line[p:], '@')
		if i < 0 {
			break
		}
		at := p + i
		p = at + 1
		from, to, ok := s.addressAt(line, at)
		if !ok || from < done {
			continue
		}
		p = to
		quoted := strings.HasPrefix(line[to:], ">")
		end := to + 1
		if w := quoteIntro.FindStringSubmatchIndex(line[to:]); w != nil && !quoteWord.MatchString(line[to+w[2]:]) {
			quoted, end = true, to+w[1]
		}
		if quoted && strings.HasSuffix(strings.ToLower(line[:from]), "mailto:") {
			// Of a link only what stands behind the first dot is taken for an
			// address of its own.
			dot := strings.IndexByte(line[from:at], '.')
			if quoted = dot >= 0; quoted {
				from += dot + 1
			}
		}
		if quoted {
			if from > done && line[from-1] == '<' {
				from--
			}
			b.WriteString(line[done:from])
			b.WriteByte(' ')
			done, p = end, end
			continue
		}
		addresses = append(addresses, line[from:to])
	}
	if done == 0 {
		return line, addresses
	}
	b.WriteString(line[done:])
	return b.String(), addresses
}

// optionalPattern compiles the pattern that a function may be given.
func optionalPattern(args []string, at int) (*single, error) {
	if len(args) <= at {
		return nil, nil
	}
	re, err := parseRegex(args[at], "")
	if err != nil {
		return nil, err
	}
	return newSingle(re), nil
}

func (m *mail) anyFreemail(addresses []string, p *single) float64 {
	budget := totalSteps
	for _, a := range addresses {
		a = strings.ToLower(a)
		if m.freemail(a) && (p == nil || p.holds(a, &budget)) {
			return 1
		}
	}
	return 0
}

func freemailHeader(_ *compiled, args []string) (evalCall, error) {
	if len(args) < 1 {
		return nil, fmt.Errorf("needs a field")
	}
	p, err := optionalPattern(args, 1)
	request := args[0]
	if !strings.HasSuffix(request, ":addr") {
		request += ":addr"
	}
	return func(m *mail) float64 { return m.anyFreemail(m.get(request), p) }, err
}

func freemailFrom(_ *compiled, args []string) (evalCall, error) {
	p, err := optionalPattern(args, 0)
	return func(m *mail) float64 { return m.anyFreemail(m.fromAddresses(), p) }, err
}

func freemailBody(_ *compiled, args []string) (evalCall, error) {
	p, err := optionalPattern(args, 0)
	return func(m *mail) float64 {
		f := m.bodyFreemail()
		if f.many {
			return 0
		}
		return m.anyFreemail(f.list, p)
	}, err
}

// freemailReplyTo: answers go to another free mail address than the sender's,
// or the text names another.
func freemailReplyTo(_ *compiled, args []string) (evalCall, error) {
	what := "replyto"
	if len(args) > 0 {
		what = args[0]
	}
	if what != "replyto" && what != "reply" {
		return nil, fmt.Errorf("%q is neither reply nor replyto", clip(what, 20))
	}
	lower := func(list []string) []string {
		out := make([]string, len(list))
		for i, a := range list {
			out[i] = strings.ToLower(a)
		}
		return out
	}
	return func(m *mail) float64 {
		if m.set.numbers["freemail_skip_bulk_envfrom"] != 0 {
			if s := m.envelopeFrom(); s.known && bulkSender.MatchString(s.address) {
				return 0
			}
		}
		from, reply := lower(m.get("From:addr")), lower(m.get("Reply-To:addr"))
		fromFree, replyFree := slices.ContainsFunc(from, m.freemail), slices.ContainsFunc(reply, m.freemail)
		if fromFree && replyFree && !slices.ContainsFunc(from, func(a string) bool { return slices.Contains(reply, a) }) {
			return 1
		}
		if what == "replyto" && !replyFree || what == "reply" && (len(reply) > 0 && !replyFree || !fromFree) {
			return 0
		}
		f := m.bodyFreemail()
		if f.many {
			return 0
		}
		own := reply
		if what == "reply" && !replyFree {
			own = from
		}
		for _, a := range f.list {
			if slices.ContainsFunc(own, func(o string) bool { return o != a }) {
				return 1
			}
		}
		return 0
	}, nil
}
