package evasion

import (
	"bytes"
	"errors"
	"html"
	"mime"
	"slices"
	"strings"

	"spamcatcher/engine/message"
)

// A letter is a message taken apart so that it can be rewritten: what a
// spammer has before his program makes a mail of it.
type letter struct {
	fields []field // of the message, without those that describe the body
	root   *node
}

// A field is a header field with its value as it goes out, folds included.
type field struct{ name, value string }

// A node is a MIME part that is to be written. Exactly one of children, isText
// and body says what it holds.
type node struct {
	mediaType string
	params    map[string]string
	fields    []field // Content-Disposition, Content-ID and so on
	children  []*node
	isText    bool
	text      string // UTF-8, lines end with LF
	wire      wire   // how the text is encoded
	body      []byte // of a part that is passed on as it stands
}

// errNoText: there is nothing in the message that could be rewritten.
var errNoText = errors.New("the message has no text")

// open takes a message apart. Only what most readers see is kept of a message
// that can be read in several ways.
func open(raw []byte) (*letter, error) {
	m := message.Parse(raw, message.Limits{})
	l := &letter{root: take(m.Root(), true)}
	for _, f := range m.Header().Fields() {
		name := strings.ToLower(f.Name)
		if name == "" || name == "mime-version" || strings.HasPrefix(name, "content-") {
			continue
		}
		_, value, _ := strings.Cut(string(f.Raw), ":")
		l.fields = append(l.fields, field{f.Name, lineEnds(strings.TrimRight(strings.TrimLeft(value, " \t"), "\r\n"))})
	}
	if len(l.texts()) == 0 {
		return nil, errNoText
	}
	return l, nil
}

func take(p *message.Part, root bool) *node {
	n := &node{mediaType: p.MediaType, params: p.Params}
	if !root {
		for _, f := range p.Header.Fields() {
			name := strings.ToLower(f.Name)
			if strings.HasPrefix(name, "content-") && name != "content-type" && name != "content-transfer-encoding" && name != "content-length" {
				_, value, _ := strings.Cut(string(f.Raw), ":")
				n.fields = append(n.fields, field{f.Name, lineEnds(strings.TrimRight(strings.TrimLeft(value, " \t"), "\r\n"))})
			}
		}
	}
	if strings.HasPrefix(p.MediaType, "multipart/") {
		for _, c := range p.Children {
			if !c.Alternate {
				n.children = append(n.children, take(c, false))
			}
		}
		if len(n.children) > 0 {
			return n
		}
		n.mediaType, n.params = "text/plain", nil // a container of nothing is read as text
		n.isText, n.text = true, lineFeeds(string(p.Raw()))
		return n
	}
	shown := p.Disposition != "attachment" && p.Name == ""
	if shown && (p.MediaType == "text/plain" || p.MediaType == "text/html") {
		n.isText, n.text, n.params = true, lineFeeds(p.Text()), nil
		return n
	}
	if root && !strings.Contains(p.MediaType, "/") {
		n.mediaType = "text/plain"
	}
	n.body = p.Raw()
	if p.Encoding != "" {
		n.fields = append(n.fields, field{"Content-Transfer-Encoding", p.Encoding})
	}
	return n
}

func lineFeeds(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
}

// lineEnds makes every line end CRLF.
func lineEnds(s string) string { return strings.ReplaceAll(lineFeeds(s), "\n", "\r\n") }

// walk visits every node, containers first.
func (n *node) walk(visit func(*node)) {
	visit(n)
	for _, c := range n.children {
		c.walk(visit)
	}
}

// texts are the nodes that a reader sees as text.
func (l *letter) texts() (all []*node) {
	l.root.walk(func(n *node) {
		if n.isText {
			all = append(all, n)
		}
	})
	return all
}

// get is the decoded value of a field, "" if there is none.
func (l *letter) get(name string) string {
	for _, f := range l.fields {
		if strings.EqualFold(f.name, name) {
			text := strings.Join(strings.Fields(f.value), " ")
			if decoded, err := new(mime.WordDecoder).DecodeHeader(text); err == nil {
				return decoded
			}
			return text
		}
	}
	return ""
}

// set replaces the first field of the name and drops others, or adds one.
func (l *letter) set(name, value string) {
	found := false
	l.fields = slices.DeleteFunc(l.fields, func(f field) bool {
		again := found && strings.EqualFold(f.name, name)
		found = found || strings.EqualFold(f.name, name)
		return again
	})
	for i := range l.fields {
		if strings.EqualFold(l.fields[i].name, name) {
			l.fields[i].value = value
			return
		}
	}
	l.fields = append(l.fields, field{name, value})
}

// drop removes all fields of the names.
func (l *letter) drop(names ...string) {
	l.fields = slices.DeleteFunc(l.fields, func(f field) bool {
		return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, f.name) })
	})
}

// setSubject replaces the subject, given in UTF-8.
func (l *letter) setSubject(text string) { l.set("Subject", words(text)) }

// onlyHTML leaves HTML as the only text: plain alternatives go, and plain text
// without such an alternative becomes HTML that looks like it.
func (l *letter) onlyHTML() {
	l.root.walk(func(n *node) {
		if n.mediaType == "multipart/alternative" && slices.ContainsFunc(n.children, (*node).hasHTML) {
			n.children = slices.DeleteFunc(n.children, func(c *node) bool { return c.isText && c.mediaType == "text/plain" })
			if len(n.children) == 1 {
				fields := n.fields
				*n = *n.children[0]
				n.fields = append(n.fields, fields...)
			}
		}
	})
	for _, n := range l.texts() {
		if n.mediaType == "text/plain" {
			n.mediaType, n.text = "text/html", toHTML(n.text)
		}
	}
}

func (n *node) hasHTML() bool {
	found := false
	n.walk(func(n *node) { found = found || n.isText && n.mediaType == "text/html" })
	return found
}

// toHTML writes plain text as HTML with its links.
func toHTML(text string) string {
	var b strings.Builder
	b.WriteString("<html><body>\n")
	for i, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		if i > 0 {
			b.WriteString("<br>\n")
		}
		for j, word := range strings.Split(line, " ") {
			if j > 0 {
				b.WriteByte(' ')
			}
			if strings.HasPrefix(word, "http://") || strings.HasPrefix(word, "https://") {
				b.WriteString(`<a href="` + html.EscapeString(word) + `">` + html.EscapeString(word) + "</a>")
			} else {
				b.WriteString(html.EscapeString(word))
			}
		}
	}
	b.WriteString("\n</body></html>\n")
	return b.String()
}

// insertHTML puts markup at the beginning of what is shown, or at its end.
func (n *node) insertHTML(markup string, end bool) {
	lower := strings.ToLower(n.text)
	if len(lower) != len(n.text) {
		lower = n.text // some capital letter has another length
	}
	at := 0
	if end {
		at = len(n.text)
		if i := strings.LastIndex(lower, "</body"); i >= 0 {
			at = i
		} else if i := strings.LastIndex(lower, "</html"); i >= 0 {
			at = i
		}
	} else if i := strings.Index(lower, "<body"); i >= 0 {
		if j := strings.IndexByte(n.text[i:], '>'); j >= 0 {
			at = i + j + 1
		}
	}
	n.text = n.text[:at] + markup + n.text[at:]
}

// link is the first address that a reader can follow, "" if there is none.
func (l *letter) link() string {
	m := message.Parse(l.bytes("link"), message.Limits{})
	for _, link := range m.Links() {
		if (link.Scheme == "http" || link.Scheme == "https") && (link.Source == "href" || link.Source == "text") {
			return link.URL
		}
	}
	return ""
}

// bytes writes the message. seed makes the boundaries its own.
func (l *letter) bytes(seed string) []byte {
	var b bytes.Buffer
	for _, f := range l.fields {
		b.WriteString(f.name + ": " + f.value + "\r\n")
	}
	b.WriteString("MIME-Version: 1.0\r\n")
	l.root.write(&b, seed)
	return b.Bytes()
}
