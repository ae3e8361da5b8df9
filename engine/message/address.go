package message

import "strings"

// An Address is one mailbox of an address field.
type Address struct {
	Name    string // display name, decoded
	Address string // local@domain as written, the domain in lower case; "" if none was found
}

// Domain is what follows the last @ of the address.
func (a Address) Domain() string {
	return a.Address[strings.LastIndexByte(a.Address, '@')+1:]
}

const maxAddresses = 5_000

// Addresses reads the mailboxes of all fields of a name, leniently: groups
// are opened, comments and routes dropped, and an unreadable piece becomes an
// Address with only a Name. At most 5,000 are returned.
func (h *Header) Addresses(name string) []Address {
	var all []Address
	h.each(name, func(f Field) bool {
		all = parseAddresses(f.Value(), all)
		return len(all) < maxAddresses
	})
	return all
}

// parseAddresses walks the value once. phrase collects what stands outside
// angle brackets; a comma or semicolon ends a mailbox, a colon behind a
// phrase without @ opens a group.
func parseAddresses(s string, all []Address) []Address {
	var phrase, comment strings.Builder
	addr, angled, at := "", false, false // at: the phrase holds an @
	flush := func() {
		name := trimSpace(phrase.String())
		if addr == "" && !angled && strings.IndexByte(name, '@') >= 0 && (name[0] == '"' || strings.IndexAny(name, " \t") < 0) {
			addr, name = name, ""
		} else if addr == "" && !angled {
			// A display name with the address beside it, without brackets.
			words := strings.Fields(name)
			for i := len(words) - 1; i >= 0; i-- {
				if at := strings.IndexByte(words[i], '@'); at > 0 && at < len(words[i])-1 {
					addr = words[i]
					name = strings.Join(append(words[:i:i], words[i+1:]...), " ")
					break
				}
			}
		}
		if name == "" {
			name = trimSpace(comment.String())
		}
		if name != "" || addr != "" || angled {
			all = append(all, Address{trimSpace(decodeWords(name)), cleanAddress(addr)})
		}
		phrase.Reset()
		comment.Reset()
		addr, angled, at = "", false, false
	}
	for i := 0; i < len(s) && len(all) < maxAddresses; {
		switch c := s[i]; c {
		case '"':
			end := quotedEnd(s, i)
			text := unquote(s[i:end])
			// A quoted local part keeps its quotes.
			if end < len(s) && s[end] == '@' {
				text = s[i:end]
			}
			phrase.WriteString(text)
			i = end
		case '(':
			end := commentEnd(s, i)
			comment.WriteString(strings.TrimSuffix(s[i+1:end], ")"))
			phrase.WriteByte(' ')
			i = end
		case '<':
			end := i + 1
			for end < len(s) && s[end] != '>' {
				if s[end] == '"' {
					end = quotedEnd(s, end)
				} else {
					end++
				}
			}
			if a := s[i+1 : min(end, len(s))]; !angled || addr == "" {
				addr = a
			}
			angled = true
			i = end + 1
		case ',', ';':
			flush()
			i++
		case ':':
			if angled || at {
				phrase.WriteByte(c)
			} else {
				phrase.Reset()
			}
			i++
		default:
			at = at || c == '@'
			phrase.WriteByte(c)
			i++
		}
	}
	flush()
	return all
}

// quotedEnd is the index behind the quoted string that begins at s[i].
func quotedEnd(s string, i int) int {
	for i++; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s)
}

// commentEnd is the index behind the comment that begins at s[i].
func commentEnd(s string, i int) int {
	depth := 0
	for ; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(s)
}

// unquote takes the quotes and backslashes off a quoted string.
func unquote(s string) string {
	s = strings.TrimPrefix(s, `"`)
	if strings.IndexByte(s, '\\') < 0 {
		return strings.TrimSuffix(s, `"`)
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		} else if s[i] == '"' && i == len(s)-1 {
			break
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// cleanAddress drops white space, a source route and a mailto: in front, and
// lowers the domain. RFC 5321 section 4.1.2: a route is "@a,@b:".
func cleanAddress(a string) string {
	a = trimSpace(a)
	if hasPrefixFold(a, "mailto:") {
		a = a[7:]
	}
	if strings.HasPrefix(a, "@") {
		if i := strings.IndexByte(a, ':'); i >= 0 {
			a = a[i+1:]
		}
	}
	at := strings.LastIndexByte(a, '@')
	if at < 0 {
		return ""
	}
	domain := strings.TrimSuffix(strings.Map(func(r rune) rune {
		if r <= ' ' || r == 127 {
			return -1
		}
		return r
	}, a[at+1:]), ".")
	return trimSpace(a[:at]) + "@" + strings.ToLower(domain)
}
