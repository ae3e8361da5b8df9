package bench_test

import (
	"fmt"
	"html"
	"math/rand/v2"
	"strings"
	"unicode"
	"unicode/utf8"

	"spamcatcher/engine/message"
)

// A mutation writes the visible text of a message again, as the next copy of
// the same mailing: paragraphs in, paragraphs out. noise is text of other
// mail.
type mutation struct {
	name   string
	change func(r *rand.Rand, paragraphs, noise []string) []string
	// hide is noise that the reader does not see: the copy is HTML.
	hide bool
}

var newNames = strings.Fields("Quentin Oyelaran Sigrid Bartholomew Ximena Tadeusz Ngozi Ferdinand Aurelia Blomqvist Okonkwo Delacroix Haruto Marchetti Zielinska Abernathy Ruaridh Castellanos Wilhelmina Drummond")

// mutations are what a fingerprint of the text must survive.
func mutations() []mutation {
	return []mutation{
		{name: "copied", change: func(_ *rand.Rand, p, _ []string) []string { return p }},
		{name: "names", change: func(r *rand.Rand, p, _ []string) []string { return rename(r, p) }},
		{name: "numbers", change: func(r *rand.Rand, p, _ []string) []string { return renumber(r, p) }},
		{name: "paragraphs", change: func(r *rand.Rand, p, _ []string) []string { return reorder(r, p) }},
		{name: "hidden", hide: true, change: func(_ *rand.Rand, p, _ []string) []string { return p }},
		{name: "all-four", hide: true, change: func(r *rand.Rand, p, _ []string) []string { return reorder(r, renumber(r, rename(r, p))) }},
		{name: "salutation", change: func(r *rand.Rand, p, _ []string) []string {
			return append([]string{"Dear " + newNames[r.IntN(len(newNames))] + " " + newNames[r.IntN(len(newNames))] + ","}, p...)
		}},
		{name: "case-marks", change: func(r *rand.Rand, p, _ []string) []string { return recase(r, p) }},
		{name: "split-words", change: func(r *rand.Rand, p, _ []string) []string { return split(r, p) }},
		{name: "append-20%", change: func(r *rand.Rand, p, n []string) []string { return append(p, padding(r, p, n, 0.2)...) }},
		{name: "append-50%", change: func(r *rand.Rand, p, n []string) []string { return append(p, padding(r, p, n, 0.5)...) }},
		{name: "append-100%", change: func(r *rand.Rand, p, n []string) []string { return append(p, padding(r, p, n, 1)...) }},
		{name: "cut-20%", change: func(_ *rand.Rand, p, _ []string) []string { return cut(p, 0.2) }},
		{name: "words-3%", change: func(r *rand.Rand, p, n []string) []string { return reword(r, p, n, 0.03) }},
		{name: "words-5%", change: func(r *rand.Rand, p, n []string) []string { return reword(r, p, n, 0.05) }},
		{name: "words-10%", change: func(r *rand.Rand, p, n []string) []string { return reword(r, p, n, 0.10) }},
	}
}

// copyOf writes the message anew with changed text, for another recipient.
func (m mutation) copyOf(r *rand.Rand, original *message.Message, noise []string) []byte {
	subject, text, _ := strings.Cut(seen(original).Text(), "\n")
	var paragraphs []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			paragraphs = append(paragraphs, line)
		}
	}
	paragraphs = m.change(r, paragraphs, noise)
	var b strings.Builder
	fmt.Fprintf(&b, "From: sender%d@example.org\r\nTo: someone%d@example.net\r\nSubject: =?utf-8?q?%s?=\r\nMIME-Version: 1.0\r\n", r.IntN(1e6), r.IntN(1e6), strings.Map(func(c rune) rune {
		if c == ' ' {
			return '_'
		}
		if c > 32 && c < 127 && c != '=' && c != '?' && c != '_' {
			return c
		}
		return -1
	}, subject[:min(len(subject), 50)]))
	if !m.hide {
		b.WriteString("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + strings.Join(paragraphs, "\r\n\r\n") + "\r\n")
		return []byte(b.String())
	}
	b.WriteString("Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n<html><body>")
	hidden := func() string {
		var words []string
		for range 8 + r.IntN(30) {
			words = append(words, pick(r, noise))
		}
		return fmt.Sprintf([]string{
			`<div style="display:none">%s</div>`, `<span style="font-size:0">%s</span>`, `<font style="color:#fff;background-color:#fff">%s</font>`,
			`<!-- %s -->`, `<p style="visibility:hidden">%s</p>`,
		}[r.IntN(5)], html.EscapeString(strings.Join(words, " ")))
	}
	for _, p := range paragraphs {
		b.WriteString("<p>")
		for i, w := range strings.Fields(p) {
			if i > 0 {
				b.WriteByte(' ')
			}
			if n := utf8.RuneCountInString(w); n > 3 && r.IntN(4) == 0 && !strings.Contains(w, "://") {
				at := 0
				for range 1 + r.IntN(n-1) {
					_, size := utf8.DecodeRuneInString(w[at:])
					at += size
				}
				w = html.EscapeString(w[:at]) + []string{"\u200b", "\u200c", "<!-- x -->", "&shy;", `<span style="display:none">qq</span>`}[r.IntN(5)] + html.EscapeString(w[at:])
			} else {
				w = html.EscapeString(w)
			}
			b.WriteString(w)
			if r.IntN(40) == 0 {
				b.WriteString(hidden())
			}
		}
		b.WriteString("</p>\r\n" + hidden())
	}
	b.WriteString("</body></html>\r\n")
	return []byte(b.String())
}

// seen is what readers show of a message with alternatives: its HTML.
func seen(m *message.Message) *message.Message {
	for _, p := range m.Parts() {
		if p.MediaType == "text/html" && !p.Alternate && p.Disposition != "attachment" && p.Parent != nil &&
			(p.Parent.MediaType == "multipart/alternative" || p.Parent.Parent != nil && p.Parent.Parent.MediaType == "multipart/alternative") {
			return message.Parse([]byte("Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"+p.Text()), message.Limits{})
		}
	}
	return m
}

func pick(r *rand.Rand, noise []string) string {
	words := strings.Fields(noise[r.IntN(len(noise))])
	return words[r.IntN(len(words))]
}

// rename gives up to twelve words that look like names other ones: words with
// one capital that never stand in lower case and not only at the beginning of
// sentences.
func rename(r *rand.Rand, paragraphs []string) []string {
	known := map[string]bool{}
	for _, p := range paragraphs {
		for _, w := range strings.Fields(p) {
			known[strings.Trim(w, ".,;:!?()\"'")] = true
		}
	}
	given := map[string]string{}
	for _, p := range paragraphs {
		begin := true
		for _, w := range strings.Fields(p) {
			bare := strings.Trim(w, ".,;:!?()\"'")
			if !begin && capitalised(bare) && !known[strings.ToLower(bare)] && given[bare] == "" && len(given) < 12 {
				given[bare] = newNames[r.IntN(len(newNames))]
			}
			begin = strings.ContainsAny(w[len(w)-1:], ".!?:")
		}
	}
	return eachToken(paragraphs, func(w string) string {
		bare := strings.Trim(w, ".,;:!?()\"'")
		if name := given[bare]; name != "" {
			return strings.Replace(w, bare, name, 1)
		}
		return w
	})
}

func capitalised(w string) bool {
	for i, c := range w {
		if i == 0 && !unicode.IsUpper(c) || i > 0 && !unicode.IsLower(c) {
			return false
		}
	}
	return utf8.RuneCountInString(w) >= 3
}

func eachToken(paragraphs []string, change func(string) string) []string {
	out := make([]string, len(paragraphs))
	for i, p := range paragraphs {
		words := strings.Fields(p)
		for k, w := range words {
			words[k] = change(w)
		}
		out[i] = strings.Join(words, " ")
	}
	return out
}

func renumber(r *rand.Rand, paragraphs []string) []string {
	return eachToken(paragraphs, func(w string) string {
		return strings.Map(func(c rune) rune {
			if '0' <= c && c <= '9' {
				return '0' + rune(r.IntN(10))
			}
			return c
		}, w)
	})
}

func reorder(r *rand.Rand, paragraphs []string) []string {
	out := append([]string(nil), paragraphs...)
	r.Shuffle(len(out), func(i, k int) { out[i], out[k] = out[k], out[i] })
	return out
}

func recase(r *rand.Rand, paragraphs []string) []string {
	return eachToken(paragraphs, func(w string) string {
		if strings.Contains(w, "://") {
			return w
		}
		switch r.IntN(4) {
		case 0:
			w = strings.ToUpper(w)
		case 1:
			w = strings.ToLower(w)
		}
		return w + []string{"", "", "!", " -", ",", "..."}[r.IntN(6)]
	})
}

func split(r *rand.Rand, paragraphs []string) []string {
	return eachToken(paragraphs, func(w string) string {
		n := utf8.RuneCountInString(w)
		if n < 4 || r.IntN(2) == 0 || strings.ContainsAny(w, "@:/.") {
			return w
		}
		letters := []rune(w)
		at := 1 + r.IntN(n-1)
		return string(letters[:at]) + []string{" ", "-", "*", "_"}[r.IntN(4)] + string(letters[at:])
	})
}

// padding is noise of a share of the length of the paragraphs.
func padding(r *rand.Rand, paragraphs, noise []string, share float64) (out []string) {
	want := int(share * float64(len(strings.Join(paragraphs, " "))))
	var words []string
	for n := 0; n < want; {
		w := pick(r, noise)
		words = append(words, w)
		n += len(w) + 1
	}
	return []string{strings.Join(words, " ")}
}

// cut drops a share of the text at its end.
func cut(paragraphs []string, share float64) []string {
	words := strings.Fields(strings.Join(paragraphs, " \n "))
	return strings.Split(strings.Join(words[:len(words)-int(share*float64(len(words)))], " "), "\n")
}

// reword replaces words evenly by other ones.
func reword(r *rand.Rand, paragraphs, noise []string, share float64) []string {
	return eachToken(paragraphs, func(w string) string {
		if r.Float64() < share {
			return pick(r, noise)
		}
		return w
	})
}
