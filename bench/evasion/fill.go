package evasion

import (
	"bytes"
	"encoding/base64"
	"html"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"strings"
)

// fillings add to what is shown, or replace it by a picture.
func fillings() []Trick {
	const filler = 200 << 10
	visible := func(name, what string, end bool, text func(r *rand.Rand, good *Good) string) Trick {
		return Trick{Name: name, What: what, change: func(l *letter, r *rand.Rand, good *Good) {
			add := text(r, good)
			for _, n := range l.texts() {
				n.insert(add, end)
			}
		}}
	}
	return []Trick{
		visible("salad-start", "200 words of good mail in front", false, func(r *rand.Rand, good *Good) string { return good.words(r, 200) + "\n\n" }),
		visible("salad-end", "200 words of good mail behind", true, func(r *rand.Rand, good *Good) string { return "\n\n" + good.words(r, 200) + "\n" }),
		visible("prose-start", "1.5 KB of sentences of good mail in front", false, func(r *rand.Rand, good *Good) string { return good.text(r, 1500) + "\n\n" }),
		visible("prose-end", "1.5 KB of sentences of good mail behind", true, func(r *rand.Rand, good *Good) string { return "\n\n" + good.text(r, 1500) }),
		visible("quote-end", "good mail as the quoted message that is answered", true, func(r *rand.Rand, good *Good) string {
			return "\n\nOn Monday, Anna Weiss wrote:\n> " + strings.ReplaceAll(strings.TrimSpace(good.text(r, 1500)), "\n", "\n> ") + "\n"
		}),
		visible("filler-text", "200 KB of sentences of good mail in front", false, func(r *rand.Rand, good *Good) string { return good.text(r, filler) + "\n\n" }),
		visible("filler-blank", "200 KB of empty lines in front", false, func(*rand.Rand, *Good) string { return strings.Repeat(" \n", filler/2) }),
		markup("filler-comment", "200 KB of an HTML comment in front", func(r *rand.Rand, good *Good) string {
			return "<!-- " + strings.ReplaceAll(good.text(r, filler), "--", "-") + " -->"
		}),
		markup("filler-style", "200 KB of a style sheet in front", func(r *rand.Rand, _ *Good) string {
			var b strings.Builder
			b.WriteString("<style>\n")
			for b.Len() < filler {
				b.WriteString(".c" + string(rune('a'+r.IntN(26))) + string(rune('a'+r.IntN(26))) + " { color: #333; margin: 0 auto }\n")
			}
			return b.String() + "</style>"
		}),
		{Name: "image-only", What: "a picture that leads to the page, and no text", Wordless: true, change: imageOnly},
	}
}

func markup(name, what string, make func(r *rand.Rand, good *Good) string) Trick {
	return Trick{Name: name, What: what, change: func(l *letter, r *rand.Rand, good *Good) {
		l.onlyHTML()
		for _, n := range l.texts() {
			if n.mediaType == "text/html" {
				n.insertHTML(make(r, good), false)
				return
			}
		}
	}}
}

// insert puts plain text at the beginning or at the end of what is shown.
func (n *node) insert(text string, end bool) {
	switch {
	case n.mediaType == "text/html":
		n.insertHTML("<p>"+strings.ReplaceAll(html.EscapeString(text), "\n", "<br>\n")+"</p>", end)
	case end:
		n.text += text
	default:
		n.text = text + n.text
	}
}

// imageOnly leaves a picture of the text. Who had no page to lead to gets one.
func imageOnly(l *letter, r *rand.Rand, _ *Good) {
	link := l.link()
	if link == "" {
		link = "https://forms.example.org/reply/" + string(rune('a'+r.IntN(26))) + string(rune('a'+r.IntN(26)))
	}
	picture := image.NewPaletted(image.Rect(0, 0, 560, 420), color.Palette{color.White, color.Black, color.RGBA{0x22, 0x66, 0xcc, 0xff}})
	for y := 20; y < 400; y += 16 { // lines of something like letters
		for x := 20; x < 540; x++ {
			for dy := range 9 {
				if r.IntN(3) == 0 {
					picture.SetColorIndex(x, y+dy, 1)
				}
			}
		}
	}
	var file bytes.Buffer
	if err := png.Encode(&file, picture); err != nil {
		panic(err) // a bytes.Buffer takes everything
	}
	var body strings.Builder
	for text := base64.StdEncoding.EncodeToString(file.Bytes()); text != ""; {
		n := min(76, len(text))
		body.WriteString(text[:n] + "\r\n")
		text = text[n:]
	}
	l.root = &node{mediaType: "multipart/related", children: []*node{
		{mediaType: "text/html", isText: true, text: `<html><body><a href="` + html.EscapeString(link) + `"><img src="cid:p1@local" border="0"></a></body></html>` + "\n"},
		{mediaType: "image/png", params: map[string]string{"name": "p1.png"}, body: []byte(body.String()), fields: []field{
			{"Content-Transfer-Encoding", "base64"}, {"Content-ID", "<p1@local>"}, {"Content-Disposition", `inline; filename="p1.png"`},
		}},
	}}
}
