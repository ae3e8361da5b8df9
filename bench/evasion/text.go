package evasion

import (
	"html"
	"math/rand/v2"
	"strings"
	"unicode"

	xhtml "golang.org/x/net/html"
)

// A spelling writes a word of the text in another way: as plain text, and as
// HTML if that is not just the same text escaped. It is given words of letters
// and digits only; addresses, which must keep working, never come to it.
type spelling func(r *rand.Rand, word string) (plain, markup string)

// spell rewrites every word of all texts and of the subject.
func (l *letter) spell(r *rand.Rand, s spelling) {
	if subject := l.get("Subject"); subject != "" {
		l.setSubject(spellPlain(r, subject, s))
	}
	for _, n := range l.texts() {
		if n.mediaType == "text/html" {
			n.text = overHTML(n.text, func(text string) string { return spellHTML(r, text, s) })
		} else {
			n.text = spellPlain(r, n.text, s)
		}
	}
}

func spellPlain(r *rand.Rand, text string, s spelling) string {
	return eachWord(text, func(w string) string { plain, _ := s(r, w); return plain }, func(other string) string { return other })
}

func spellHTML(r *rand.Rand, text string, s spelling) string {
	return eachWord(text, func(w string) string {
		plain, markup := s(r, w)
		if markup == "" {
			markup = html.EscapeString(plain)
		}
		return markup
	}, html.EscapeString)
}

// eachWord calls word with every run of letters and digits that is no part of
// an address, and other with what stands between.
func eachWord(text string, word, other func(string) string) string {
	var b strings.Builder
	for text != "" {
		n := strings.IndexFunc(text, unicode.IsSpace)
		if n == 0 {
			n = len(text) - len(strings.TrimLeftFunc(text, unicode.IsSpace))
			b.WriteString(other(text[:n]))
			text = text[n:]
			continue
		}
		if n < 0 {
			n = len(text)
		}
		token := text[:n]
		text = text[n:]
		if isAddress(token) {
			b.WriteString(other(token))
			continue
		}
		for token != "" {
			n := strings.IndexFunc(token, func(r rune) bool { return !letterOrDigit(r) })
			if n < 0 {
				n = len(token)
			}
			if n > 0 {
				b.WriteString(word(token[:n]))
				token = token[n:]
				continue
			}
			n = strings.IndexFunc(token, letterOrDigit)
			if n < 0 {
				n = len(token)
			}
			b.WriteString(other(token[:n]))
			token = token[n:]
		}
	}
	return b.String()
}

func letterOrDigit(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r)
}

// isAddress tells whether a word is an address of a page or a mailbox, or a
// number: changed it would no longer serve.
func isAddress(token string) bool {
	if strings.Contains(token, "://") || strings.Contains(token, "@") || strings.HasPrefix(token, "www.") {
		return true
	}
	if i := strings.IndexByte(token, '.'); i > 0 && i < len(token)-2 && unicode.IsLetter(rune(token[i+1])) && unicode.IsLetter(rune(token[i-1])) {
		return true
	}
	return strings.IndexFunc(token, unicode.IsLetter) < 0
}

// overHTML calls change with the unescaped text between the tags, which
// returns markup. Tags, style sheets, scripts and titles stay as they are.
func overHTML(source string, change func(text string) string) string {
	var b strings.Builder
	z := xhtml.NewTokenizer(strings.NewReader(source))
	skip := ""
	for {
		kind := z.Next()
		raw := string(z.Raw())
		switch kind {
		case xhtml.ErrorToken:
			b.WriteString(raw)
			return b.String()
		case xhtml.TextToken:
			if skip == "" {
				b.WriteString(change(string(z.Text())))
				continue
			}
		case xhtml.StartTagToken:
			if name, _ := z.TagName(); skip == "" {
				switch string(name) {
				case "style", "script", "title", "textarea", "noscript", "xmp", "iframe", "noembed", "noframes", "plaintext":
					skip = string(name)
				}
			}
		case xhtml.EndTagToken:
			if name, _ := z.TagName(); string(name) == skip {
				skip = ""
			}
		}
		b.WriteString(raw)
	}
}
