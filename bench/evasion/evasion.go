// Package evasion turns a spam into the same spam in disguise: it rewrites a
// message by the tricks with which spammers get past filters, so that it can
// be measured how many are still caught. The result is a correct MIME message
// that a person reads as before.
package evasion

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"

	"spamcatcher/engine/message"
)

// A Trick is one way to disguise a message.
type Trick struct {
	Name string
	// What is done, in a few words.
	What string
	// Undo takes the trick off a text that a reader sees, so that the words
	// of the original stand there again in lower case. Nil means that the
	// trick leaves these words alone.
	Undo func(text string) string
	// Wordless: nothing of the text is left to read but a picture.
	Wordless bool

	change func(l *letter, r *rand.Rand, good *Good)
}

// Good is what a spammer has of good mail to hide behind.
type Good struct {
	Sentences []string // lines of a few words at least
	Subjects  []string
}

// Learn adds what a good message offers.
func (g *Good) Learn(m *message.Message) {
	subject, text, _ := strings.Cut(m.Text(), "\n")
	if len(subject) > 8 && len(subject) < 80 {
		g.Subjects = append(g.Subjects, subject)
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if len(line) >= 40 && len(line) < 600 && strings.Count(line, " ") >= 6 && !strings.Contains(line, "://") {
			g.Sentences = append(g.Sentences, line)
		}
	}
}

// text is whole sentences of at least size bytes.
func (g *Good) text(r *rand.Rand, size int) string {
	var b strings.Builder
	for b.Len() < size {
		b.WriteString(g.Sentences[r.IntN(len(g.Sentences))])
		b.WriteByte('\n')
	}
	return b.String()
}

// words are single words of good mail in no order.
func (g *Good) words(r *rand.Rand, n int) string {
	var all []string
	for len(all) < n {
		line := strings.Fields(g.Sentences[r.IntN(len(g.Sentences))])
		all = append(all, strings.Trim(line[r.IntN(len(line))], ".,;:!?()\"'"))
	}
	return strings.Join(all, " ")
}

// Rewrite disguises the message. name is what the choices depend on, so that
// the same message comes out the same each time. It is an error if the message
// has no text, or good has none.
func (t Trick) Rewrite(raw []byte, name string, good *Good) ([]byte, error) {
	if len(good.Sentences) == 0 || len(good.Subjects) == 0 {
		return nil, fmt.Errorf("rewriting %s: no good mail to hide behind", name)
	}
	l, err := open(raw)
	if err != nil {
		return nil, fmt.Errorf("rewriting %s: %w", name, err)
	}
	t.change(l, rand.New(rand.NewPCG(digest(name), digest(t.Name))), good)
	return l.bytes(name + t.Name), nil
}

func digest(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return h.Sum64()
}

// Tricks are all that are known, in a fixed order. The first changes nothing:
// it shows what writing the message anew does by itself.
func Tricks() []Trick {
	const widthless = "\u200b\u200c\u200d\u2060\ufeff"
	all := []Trick{
		{Name: "rewritten", What: "the message written anew, nothing else", change: func(*letter, *rand.Rand, *Good) {}},

		spelled("homoglyphs", "one letter a word from another script", homoglyphs(0), unlook),
		spelled("homoglyphs-all", "most letters from other scripts", homoglyphs(0.8), unlook),
		spelled("fullwidth", "fullwidth letters", shifted('Ａ', 'ａ'), unshift('Ａ', 'ａ')),
		spelled("mathletters", "bold letters of mathematics", shifted('𝐀', '𝐚'), unshift('𝐀', '𝐚')),
		spelled("accents", "a combining accent in every word", accents, unaccent),
		spelled("leet", "digits for letters", leet, unleet),

		spelled("zero-width", "a character without width in every word", between(0, true, strings.Split(widthless, "")...), without(widthless)),
		spelled("zero-width-all", "characters without width between all letters", between(1, true, strings.Split(widthless, "")...), without(widthless)),
		spelled("soft-hyphens", "a soft hyphen after every second letter", between(2, true, "\u00ad"), without("\u00ad")),
		spelled("split-spaces", "a space in every word", between(0, true, " "), without(" \u00a0")),
		spelled("split-dots", "a dot after every second letter", between(2, true, "."), without(".")),
		spelled("split-marks", "a dash, underscore or asterisk in every word", between(0, true, "-", "_", "*", "."), without("-_*.")),
		markedUp("split-comments", "an HTML comment in every word", between(0, false, "<!-- garden -->", "<!---->", "<!--x9-->")),
		markedUp("split-tags", "empty elements in every word", between(0, false, "<b></b>", "<span></span>", `<font size="3"></font>`, "<i></i>", "<wbr>")),
		markedUp("split-hidden", "hidden letters in every word", between(0, false, `<span style="display:none">e</span>`, `<span style="font-size:0">rt</span>`, `<font style="font-size:0px;color:#fff">qa</font>`)),
		markedUp("entities", "every letter an HTML entity", entities),

		{Name: "rtl-marks", What: "text reversed behind RIGHT-TO-LEFT OVERRIDE", Undo: unreverse, change: func(l *letter, _ *rand.Rand, _ *Good) { l.turn("\u202e", "\u202c") }},
		{Name: "rtl-bdo", What: "text reversed in <bdo dir=rtl>", Undo: unreverse, change: func(l *letter, _ *rand.Rand, _ *Good) { l.onlyHTML(); l.turn(`<bdo dir="rtl">`, "</bdo>") }},
		{Name: "rtl-css", What: "text reversed by style", Undo: unreverse, change: func(l *letter, _ *rand.Rand, _ *Good) {
			l.onlyHTML()
			l.turn(`<span style="unicode-bidi:bidi-override;direction:rtl">`, "</span>")
		}},
	}
	all = append(all, hidings()...)
	all = append(all, encodings()...)
	all = append(all, fillings()...)
	return append(all, headings()...)
}

func spelled(name, what string, s spelling, undo func(string) string) Trick {
	return Trick{Name: name, What: what, Undo: undo, change: func(l *letter, r *rand.Rand, _ *Good) { l.spell(r, s) }}
}

// markedUp is a trick that only HTML can do and that the reader does not see.
func markedUp(name, what string, s spelling) Trick {
	return Trick{Name: name, What: what, change: func(l *letter, r *rand.Rand, _ *Good) {
		l.onlyHTML()
		for _, n := range l.texts() {
			if n.mediaType == "text/html" {
				n.text = overHTML(n.text, func(text string) string { return spellHTML(r, text, s) })
			}
		}
	}}
}

func unlook(s string) string {
	return strings.Map(func(c rune) rune {
		if latin := original[c]; latin != 0 {
			return latin
		}
		return c
	}, s)
}

func unaccent(s string) string {
	return strings.Map(func(c rune) rune {
		if 0x300 <= c && c < 0x370 {
			return -1
		}
		return c
	}, s)
}

func unreverse(s string) string {
	return reversed(without("\u202e\u202c")(s))
}
