package message

import "strings"

// texts are the views that reading all text parts gives.
type texts struct {
	visible, source string
	html            *HTML
	found           defects
}

func (m *Message) views() *texts {
	m.textOnce.Do(func() {
		t := &m.text
		t.html = &HTML{Tags: map[string]int{}}
		var vis, src strings.Builder
		vis.WriteString(m.Header().Get("Subject"))
		vis.WriteByte('\n')
		for _, p := range m.parts {
			if !p.textual() {
				continue
			}
			text := p.Text()
			src.WriteString(text)
			src.WriteByte('\n')
			if p.isHTML() {
				text = renderHTML(text, t.html)
			}
			vis.WriteString(text)
			vis.WriteByte('\n')
		}
		t.visible, t.source = vis.String(), src.String()
	})
	return &m.text
}
