package rules

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Kits that forge office notices fill in what they know of the reader, which
// is the address alone: its domain stands where the firm's name would, its
// local part where the reader's own name would.

// mostNamed bounds what is counted.
const mostNamed = 20

// recipientDomainNamed is how often subject, text and the sender's displayed
// name hold a recipient's domain as a word of its own, not as a part of an
// address or a link; 0 for domains of free mail providers.
func recipientDomainNamed(m *evidence) (float64, bool) {
	places := m.Message.Text()
	if f, ok := m.first("From"); ok {
		places = f.Name + "\n" + places
	}
	n, known := 0, false
	seen := map[string]bool{}
	for _, r := range m.recipients() {
		domain := strings.ToLower(domainPart(r))
		if len(domain) < 4 || seen[domain] || freeMail(domain) || len(seen) >= 3 {
			continue
		}
		seen[domain] = true
		known = true
		n += countNamed(places, domain)
	}
	return float64(min(n, mostNamed)), known
}

// countNamed counts where text holds word, in any case, with no letter, digit or
// sign of an address or a link at either end.
func countNamed(text, word string) int {
	n := 0
	for start := 0; start+len(word) <= len(text) && n < mostNamed; {
		i := indexFold(text[start:], word)
		if i < 0 {
			break
		}
		i += start
		start = i + len(word)
		before, _ := utf8.DecodeLastRuneInString(text[:i])
		after, size := utf8.DecodeRuneInString(text[start:])
		if after == '.' { // the end of a sentence, or a longer name
			after, _ = utf8.DecodeRuneInString(text[start+size:])
		}
		if partOfName(before) || partOfName(after) {
			continue
		}
		n++
	}
	return n
}

func partOfName(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(".-_@/:=%#", r))
}

// indexFold is strings.Index for a word in ASCII lower case, blind to the case
// of ASCII letters in text.
func indexFold(text, word string) int {
	first := word[0]
	for i := 0; i+len(word) <= len(text); i++ {
		c := text[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c == first && strings.EqualFold(text[i:i+len(word)], word) {
			return i
		}
	}
	return -1
}

// recipientLocalGreeted is 1 when one of the first lines is a greeting of up
// to three words that ends in a recipient's local part, and that is no name:
// it has a dot, a digit or the like inside.
func recipientLocalGreeted(m *evidence) (float64, bool) {
	var locals []string
	for _, r := range m.recipients() {
		local, _, _ := strings.Cut(strings.ToLower(r), "@")
		if len(local) >= 4 && strings.ContainsAny(local, "._-0123456789") && len(locals) < 3 {
			locals = append(locals, local)
		}
	}
	if len(locals) == 0 {
		return 0, false
	}
	text := m.Message.Text()
	for range 8 { // the subject and the first lines
		line, rest, more := strings.Cut(text, "\n")
		if words := strings.Fields(line); len(words) > 0 && len(words) <= 4 {
			last := strings.ToLower(strings.TrimRight(words[len(words)-1], ",:;!.，："))
			for _, local := range locals {
				if last == local {
					return 1, true
				}
			}
		}
		if text = rest; !more {
			break
		}
	}
	return 0, true
}
