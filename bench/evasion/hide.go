package evasion

import (
	"html"
	"math/rand/v2"
	"strings"
)

// cloaks are ways to hide text in HTML: what stands before it and behind.
var cloaks = []struct{ name, what, head, tail string }{
	{"white", "white on white", `<div style="background-color:#ffffff"><font color="#ffffff">`, "</font></div>"},
	{"white-css", "white on the page's white, by style", `<p style="color:white">`, "</p>"},
	{"nearly-white", "a grey that nobody sees", `<div style="background:#fff;color:#fcfcfb">`, "</div>"},
	{"display", "display:none", `<div style="display:none">`, "</div>"},
	{"visibility", "visibility:hidden", `<div style="visibility:hidden;height:1px">`, "</div>"},
	{"tiny", "letters of one pixel", `<div style="font-size:1px;line-height:1px">`, "</div>"},
	{"zero", "letters of size 0", `<span style="font-size:0">`, "</span>"},
	{"class", "a class that a style sheet hides", `<style>.preview { display:none !important; max-height:0 }</style><div class="preview">`, "</div>"},
	{"box", "a box without height", `<div style="max-height:0;overflow:hidden;mso-hide:all">`, "</div>"},
	{"outside", "left of the window", `<div style="position:absolute;left:-9999px;top:0">`, "</div>"},
	{"opacity", "opacity 0", `<div style="opacity:0;height:0">`, "</div>"},
	{"attribute", "the hidden attribute", `<div hidden>`, "</div>"},
	{"clip", "clipped away", `<div style="position:absolute;clip-path:inset(100%);width:1px;height:1px;overflow:hidden">`, "</div>"},
	{"title", "the title of the page", `<title>`, "</title>"},
}

// hidings put good text where no reader sees it.
func hidings() (all []Trick) {
	for _, c := range cloaks {
		all = append(all, Trick{Name: "hidden-" + c.name, What: "2 KB of good text: " + c.what, change: func(l *letter, r *rand.Rand, good *Good) {
			l.onlyHTML()
			for _, n := range l.texts() {
				if n.mediaType == "text/html" {
					n.insertHTML(c.head+html.EscapeString(good.text(r, 2000))+c.tail, false)
					return
				}
			}
		}})
	}
	return append(all, Trick{Name: "hidden-alternative", What: "good text as the plain alternative of the HTML", change: func(l *letter, r *rand.Rand, good *Good) {
		l.onlyHTML()
		shown := *l.root
		l.root = &node{mediaType: "multipart/alternative", children: []*node{{mediaType: "text/plain", isText: true, text: good.text(r, 2000)}, &shown}}
	}})
}

// turn writes every run of text backwards between two marks that make a
// reader's program turn it round again.
func (l *letter) turn(head, tail string) {
	for _, n := range l.texts() {
		if n.mediaType == "text/html" {
			n.text = overHTML(n.text, func(text string) string {
				return eachLine(text, func(line string) string { return head + html.EscapeString(reversed(line)) + tail }, html.EscapeString)
			})
		} else {
			n.text = eachLine(n.text, func(line string) string { return head + reversed(line) + tail }, func(s string) string { return s })
		}
	}
}

// eachLine calls turn with lines of text and keep with what must not be turned:
// white space and addresses.
func eachLine(text string, turn, keep func(string) string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		body := strings.TrimSpace(line)
		head, tail, _ := strings.Cut(line, body)
		if body == "" {
			head, tail = line, ""
		}
		b.WriteString(keep(head))
		var run []string
		flush := func() {
			if len(run) > 0 {
				b.WriteString(turn(strings.Join(run, " ")))
				run = nil
			}
		}
		for i, w := range strings.Split(body, " ") {
			if w != "" && isAddress(w) {
				if len(run) > 0 {
					flush()
					b.WriteByte(' ')
				}
				b.WriteString(keep(w))
				if i < strings.Count(body, " ") {
					b.WriteByte(' ')
				}
				continue
			}
			run = append(run, w)
		}
		if body != "" {
			flush()
		}
		b.WriteString(keep(tail))
	}
	return b.String()
}
