package spamassassin

import (
	"net/netip"
	"strings"
)

// mailbox is one entry of an address field.
type mailbox struct {
	name, address       string
	hasName, hasAddress bool
}

var (
	localEnd  = setOf("@<>()[],:; \t\n\v\f\r")
	domainEnd = setOf("\"<>()[],:; \t\n\v\f\r")
)

// maxMailboxes bounds the entries of one field.
const maxMailboxes = 5000

// looksMail returns the length of what looks like a mail address at the
// beginning of a text, 0 if nothing does.
func looksMail(s string) int {
	i := 0
	if strings.HasPrefix(s, `"`) {
		if i = quotedLen(s); i >= len(s) || s[i] != '@' {
			i = 0
		}
	}
	if i == 0 {
		for i < len(s) && !localEnd.has(s[i]) {
			i++
		}
	}
	if i == 0 || i >= len(s) || s[i] != '@' {
		return 0
	}
	i++
	from := i
	for i < len(s) && !domainEnd.has(s[i]) {
		i++
	}
	if i > from {
		return i
	}
	if i < len(s) && s[i] == '[' {
		if end := strings.IndexByte(s[i:], ']'); end > 1 && strings.Trim(s[i+1:i+end], "0123456789.:") == "" {
			return i + end + 1
		}
	}
	return 0
}

// quotedLen returns the length of the quoted string that s begins with.
func quotedLen(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

// commentLen returns the length of the comment that s begins with, after white
// space; nested comments are not known.
func commentLen(s string) int {
	t := strings.TrimLeft(s, white)
	if !strings.HasPrefix(t, "(") {
		return 0
	}
	for i := 1; i < len(t); i++ {
		switch t[i] {
		case '\\':
			i++
		case '(':
			return 0
		case ')':
			return len(s) - len(t) + i + 1
		}
	}
	return 0
}

// entryEnd returns how many bytes end an entry of a list: white space and a
// comma or semicolon, or the end of the text.
func entryEnd(s string) (n int, ok bool) {
	t := strings.TrimLeft(s, white)
	if t == "" {
		return len(s), true
	}
	if t[0] == ',' || t[0] == ';' {
		return len(s) - len(t) + 1, true
	}
	return 0, false
}

// parseMailboxes reads an address field, leniently: what is no address is a
// name alone.
func parseMailboxes(s string) []mailbox {
	s = strings.TrimRight(s, white)
	s = strings.ReplaceAll(s, `\\`, "")
	s = withoutGroup(s)
	whole := s
	var out []mailbox
	for len(out) < maxMailboxes && strings.Trim(s, white) != "" {
		box, n, ok := entry(s)
		if !ok {
			break
		}
		out = append(out, box)
		s = s[n:]
	}
	for len(out) < maxMailboxes {
		// Something was left: whatever stands in angle brackets.
		i := strings.IndexByte(s, '<')
		if i < 0 {
			break
		}
		s = s[i+1:]
		if n := looksMail(s); n > 0 && strings.HasPrefix(s[n:], ">") {
			if validAddress(s[:n]) {
				out = append(out, mailbox{address: firstAt(s[:n]), hasAddress: true})
			}
			s = s[n:]
		}
	}
	if i := strings.IndexByte(whole, '<'); len(out) == 0 && i >= 0 {
		// The bracket was never closed.
		if n := looksMail(whole[i+1:]); n > 0 && i+1+n == len(whole) {
			box := mailbox{address: whole[i+1:], hasAddress: true}
			box.setPhrase(whole[:i], trim(whole[:i]) != "")
			out = append(out, box.finish(""))
		}
	}
	return out
}

// withoutGroup takes the name of a group off a list.
func withoutGroup(s string) string {
	end := strings.IndexAny(s, `"()<>`)
	if end < 0 {
		end = len(s)
	}
	colon := strings.LastIndexByte(s[:end], ':')
	if colon < 1 {
		return s
	}
	s = strings.TrimLeft(s[colon+1:], white)
	if strings.HasPrefix(s, ";") {
		return ""
	}
	return s
}

// entry reads one entry of a list and what ends it.
func entry(s string) (box mailbox, n int, ok bool) {
	at := len(s) - len(strings.TrimLeft(s, white))
	phrase := at
	for phrase < len(s) {
		c := s[phrase]
		if c == '"' {
			q := quotedLen(s[phrase:])
			if q == 0 {
				break
			}
			phrase += q
		} else if c == ',' || c == ';' || c == '<' {
			break
		} else {
			phrase++
		}
	}
	if phrase < len(s) && s[phrase] == '<' {
		if end, inner, ok := bracketed(s, phrase); ok {
			box.setPhrase(s[at:phrase], phrase > at)
			inner = dropComments(inner)
			if m := looksMail(inner); m > 0 && m == len(inner) && validAddress(inner) {
				box.address, box.hasAddress = inner, true
			}
			comment := ""
			if c := commentLen(s[end:]); c > 0 {
				if m, ok := entryEnd(s[end+c:]); ok {
					comment = strings.TrimLeft(s[end:end+c], white)
					end += c
					return box.finish(comment), end + m, true
				}
			}
			if m, ok := entryEnd(s[end:]); ok {
				return box.finish(""), end + m, true
			}
		}
		return box, 0, false
	}
	if m := looksMail(s[at:]); m > 0 {
		end := at + m
		comment := ""
		if c := commentLen(s[end:]); c > 0 {
			comment = strings.TrimLeft(s[end:end+c], white)
			end += c
		}
		if k, ok := entryEnd(s[end:]); ok {
			if validAddress(s[at : at+m]) {
				box.address, box.hasAddress = s[at:at+m], true
			}
			return box.finish(comment), end + k, true
		}
	}
	if phrase > at {
		if k, ok := entryEnd(s[phrase:]); ok {
			box.setPhrase(s[at:phrase], true)
			return box.finish(""), phrase + k, true
		}
	}
	return box, 0, false
}

// bracketed reads <…> and copies of it behind; a run without white space may
// hold more brackets than one.
func bracketed(s string, at int) (end int, inner string, ok bool) {
	close := strings.IndexByte(s[at:], '>')
	if close < 0 {
		return 0, "", false
	}
	close += at
	// The last bracket of the run without white space after which an entry ends.
	for i := close + 1; i < len(s) && !spaceSet.has(s[i]) && s[i] != '<'; i++ {
		if s[i] == '>' {
			if _, ok := entryEnd(s[i+1:]); ok {
				close = i
			}
		}
	}
	inner = trim(s[at+1 : close])
	end = close + 1
	for {
		t := strings.TrimLeft(s[end:], white)
		if !strings.HasPrefix(t, "<") {
			return end, inner, true
		}
		i := strings.IndexByte(t, '>')
		if i < 0 {
			return end, inner, true
		}
		end = len(s) - len(t) + i + 1
	}
}

func dropComments(s string) string {
	for {
		i := strings.IndexByte(s, '(')
		if i < 0 {
			return s
		}
		n := commentLen(s[i:])
		if n == 0 {
			return s
		}
		s = s[:i] + s[i+n:]
	}
}

func validAddress(s string) bool {
	return !strings.HasPrefix(s, `""@`) && strings.Count(s, `"`) != 1
}

func firstAt(s string) string {
	if local, rest, ok := strings.Cut(s, "@"); ok {
		domain, _, _ := strings.Cut(rest, "@")
		return local + "@" + domain
	}
	return s
}

func (b *mailbox) setPhrase(s string, present bool) {
	b.name, b.hasName = s, present
}

// finish unquotes the name and sorts out which of name and address is which.
func (b mailbox) finish(comment string) mailbox {
	if b.hasName {
		b.name = unquote(b.name)
		switch {
		case !b.hasAddress && looksMail(b.name) == len(b.name) && b.name != "" && validAddress(b.name) && hostLike(b.name):
			b.address, b.hasAddress = b.name, true
			b.name, b.hasName = "", false
		case b.hasAddress && b.name == b.address, b.name == "":
			b.name, b.hasName = "", false
		}
	}
	if !b.hasName && comment != "" {
		b.name, b.hasName = comment[1:len(comment)-1], true
	}
	if b.hasAddress {
		b.address = firstAt(b.address)
	}
	return b
}

func hostLike(address string) bool {
	_, host, _ := strings.Cut(address, "@")
	return validHost(hostASCII(host))
}

// unquote undoes quoted strings and drops comments outside of them.
func unquote(s string) string {
	if !strings.ContainsAny(s, `"(`) {
		return s
	}
	var b strings.Builder
	for s != "" {
		if s[0] == '"' {
			n := quotedLen(s)
			if n == 0 {
				s = s[1:]
				continue
			}
			b.WriteString(strings.ReplaceAll(s[1:n-1], `\`, ""))
			s = s[n:]
			continue
		}
		n := strings.IndexByte(s, '"')
		if n < 0 {
			n = len(s)
		}
		b.WriteString(dropComments(s[:n]))
		s = s[n:]
	}
	return b.String()
}

// addressed applies :addr or :name.
func (m *mail) addressed(values []string, addr, raw bool) []string {
	var out []string
	for _, v := range values {
		for _, box := range parseMailboxes(v) {
			if addr {
				if box.hasAddress {
					out = append(out, box.address)
				}
				continue
			}
			if !box.hasName {
				continue
			}
			name := box.name
			if !raw {
				name = decodeField(unfold(name), "")
				if !blankASCII(name) {
					name = trim(collapse(name))
				}
				if len(name) > 1 && name[0] == '\'' && name[len(name)-1] == '\'' {
					name = name[1 : len(name)-1]
				}
			}
			out = append(out, name)
		}
	}
	return out
}

func blankASCII(s string) bool { return strings.Trim(s, white) == "" }

// hosted applies :host, :domain, :ip and :revip.
func (m *mail) hosted(values []string, addr, host, domain, reverse bool) []string {
	var out []string
	for _, v := range values {
		if !host {
			if a := findAddress(v); a != "" {
				if reverse {
					a = reversed(a)
				}
				out = append(out, a)
			}
			continue
		}
		h := ""
		if addr {
			if i := strings.LastIndexByte(v, '@'); i >= 0 {
				h, _, _ = strings.Cut(v[i+1:], " ")
			}
		} else {
			h = m.set.findHost(v)
		}
		if h != "" {
			if domain {
				h = m.set.registered(h)
			}
			out = append(out, h)
		}
	}
	return out
}

// findHost finds the first name of a host in a text, one behind an @ first.
func (s *settings) findHost(v string) string {
	hosts := func(v string) string {
		for _, w := range strings.FieldsFunc(v, func(r rune) bool { return r > 0x7f || !hostBytes.has(byte(r)) }) {
			w = strings.Trim(w, ".-_")
			if s.knownTLD(w) && validHost(w) {
				return w
			}
		}
		return ""
	}
	if i := strings.LastIndexByte(v, '@'); i >= 0 {
		if h := hosts(clipTo(v[i+1:], 255)); h != "" {
			return h
		}
	}
	return hosts(v)
}

// findAddress finds the first IP address in a text.
func findAddress(v string) string {
	for _, w := range strings.FieldsFunc(v, func(r rune) bool {
		return !(r < 0x80 && (hexDigit(byte(r)) >= 0 || r == '.' || r == ':'))
	}) {
		w = strings.Trim(w, ".")
		if isAddress(w) {
			return w
		}
	}
	return ""
}

func reversed(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if a.Is4() {
		o := strings.Split(address, ".")
		return o[3] + "." + o[2] + "." + o[1] + "." + o[0]
	}
	digits := strings.ReplaceAll(a.StringExpanded(), ":", "")
	var b strings.Builder
	for i := len(digits) - 1; i >= 0; i-- {
		b.WriteByte(digits[i])
		if i > 0 {
			b.WriteByte('.')
		}
	}
	return b.String()
}
