package message

import "strings"

// texts are the views that reading all text parts gives.
type texts struct {
	visible, source string
	html            *HTML
	links           []rawLink // of the HTML parts
	plain           []stretch // where the visible text of text parts stands
	found           defects
}

// A stretch is a run of the visible text.
type stretch struct {
	start, end int
	attached   bool
}

// views reads the text parts, the alternative readings included: what one
// reader shows must be looked at. Text outside the parts of a multipart is in
// the source only.
func (m *Message) views() *texts {
	m.textOnce.Do(func() {
		t := &m.text
		t.html = &HTML{Tags: map[string]int{}}
		r := renderer{h: t.html, lim: m.lim.TextBytes}
		size := 0
		for _, p := range m.parts {
			if p.textual() {
				size += p.end - p.start
			}
		}
		r.out = make([]byte, 0, min(size+size/8+256, m.lim.TextBytes))
		show(&r, m.Header().Get("Subject"))
		r.out = append(r.out, '\n')
		r.space = false
		var source strings.Builder
		source.Grow(min(size+size/8+64, m.lim.TextBytes))
		for _, p := range m.parts {
			if !p.textual() {
				continue
			}
			var text string
			if dec := p.Decoded(); len(dec) > m.lim.TextBytes {
				// What is cut off anyway need not be decoded.
				n := m.lim.TextBytes
				for n > m.lim.TextBytes-8 && n > 0 && dec[n-1] >= 0x80 {
					n-- // not inside a character
				}
				text = decodeCharset(p.charset(), dec[:n], &t.found)
				t.found.add(LimitText, "")
			} else {
				text = p.Text()
				t.found.merge(&p.textFound)
			}
			if room := m.lim.TextBytes - source.Len(); len(text) > room {
				t.found.add(LimitText, "")
				text = strings.ToValidUTF8(text[:max(0, room)], "")
			}
			if text == "" {
				continue
			}
			source.WriteString(text)
			source.WriteByte('\n')
			if p.reading.aside {
				continue
			}
			r.breakLine()
			start, attached := len(r.out), p.attached()
			if p.isHTML() {
				links := len(r.links)
				r.sheet = sheet{}
				r.base = ""
				r.render(text)
				for i := links; attached && i < len(r.links); i++ {
					r.links[i].attached = true
				}
			} else {
				r.plain(text)
			}
			t.plain = append(t.plain, stretch{start, len(r.out), attached})
		}
		r.breakLine()
		if r.cut {
			t.found.add(LimitText, "")
		}
		if t.html.Malformed > 20 {
			t.found.addN(HTMLMalformed, "", t.html.Malformed)
		}
		t.visible, t.source, t.links = string(r.out), source.String(), r.links
	})
	return &m.text
}

// attached tells whether a reader sees the part only by opening a file.
func (p *Part) attached() bool {
	return p.Disposition == "attachment" || (p.Name != "" && p.Disposition != "inline")
}

// plain appends plain text: lines of a paragraph joined, empty lines kept as
// one line feed.
func (r *renderer) plain(text string) {
	for text != "" {
		line, rest, _ := strings.Cut(text, "\n")
		if trimSpace(line) == "" {
			r.breakLine()
		} else {
			show(r, line)
			r.space = true
		}
		text = rest
	}
	r.breakLine()
}
