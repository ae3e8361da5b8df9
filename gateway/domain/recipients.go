package domain

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A List is the recipients that exist in a domain. It is immutable; nil is the
// empty list.
type List struct {
	entries map[string]struct{} // local, local@domain, "@" or @domain, folded
}

// ParseRecipients reads a list: one recipient a line, as a local part or as an
// address; "@" stands for everybody, "@domain" for everybody there; # starts a
// comment. Case does not matter. A line that is none of these is reported with
// the name and the line's number, and skipped.
func ParseRecipients(name string, text []byte) (*List, []error) {
	l := &List{map[string]struct{}{}}
	var errs []error
	text = bytes.TrimPrefix(text, []byte("\xEF\xBB\xBF"))
	number := 0
	for line := range bytes.Lines(text) {
		number++
		line, _, _ = bytes.Cut(line, []byte("#"))
		entry := strings.TrimSpace(string(line))
		if entry == "" {
			continue
		}
		folded, ok := foldRecipient(entry)
		if !ok {
			if len(entry) > 100 {
				entry = entry[:100] + "…"
			}
			errs = append(errs, fmt.Errorf("%s:%d: %q is neither a local part nor an address; the line is skipped", name, number, entry))
			continue
		}
		l.entries[folded] = struct{}{}
	}
	return l, errs
}

// Len is the number of entries.
func (l *List) Len() int {
	if l == nil {
		return 0
	}
	return len(l.entries)
}

// match says whether an address is on the list: by itself, without the detail
// that follows a plus (RFC 5233 section 1), or because everybody is.
func (l *List) match(address string) bool {
	at := strings.LastIndexByte(address, '@')
	if l == nil || at < 1 {
		return false
	}
	domain, ok := Fold(address[at+1:])
	if !ok {
		return false
	}
	local := strings.ToLower(address[:at])
	if l.has(local, domain) || l.has("", domain) {
		return true
	}
	plus := strings.IndexByte(local, '+')
	return plus > 0 && l.has(local[:plus], domain)
}

func (l *List) has(local, domain string) bool {
	if _, ok := l.entries[local+"@"+domain]; ok {
		return true
	}
	if local == "" {
		local = "@"
	}
	_, ok := l.entries[local]
	return ok
}

// foldRecipient folds one entry and reports whether it is one.
func foldRecipient(entry string) (string, bool) {
	local, domain, full := strings.Cut(entry, "@")
	if full && domain != "" {
		folded, ok := Fold(domain)
		if !ok {
			return "", false
		}
		domain = folded
	}
	switch {
	case !utf8.ValidString(local) || len(local) > 64:
		return "", false
	case local == "" && full:
		return "@" + domain, true
	case full && domain == "":
		return "", false
	}
	for _, r := range local {
		// RFC 5321 section 4.1.2: Dot-string; no other local part gets this far.
		if r >= utf8.RuneSelf && unicode.IsGraphic(r) && !unicode.IsSpace(r) {
			continue
		}
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r < utf8.RuneSelf && strings.ContainsRune("!#$%&'*+-/=?^_`{|}~.", r)) {
			return "", false
		}
	}
	local = strings.ToLower(local)
	if !full {
		return local, local != ""
	}
	return local + "@" + domain, true
}
