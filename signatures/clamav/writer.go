package clamav

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"spamcatcher/signatures/yara"
)

const (
	rulesPerSource = 500
	bytesPerSource = 512 << 10
)

// A writer puts rules into sources of bounded size: what does not compile costs
// the source that it is in.
type writer struct {
	file    string
	sources []yara.Source
	text    strings.Builder
	names   map[string]int // how often each identifier was wanted
	modules []string
	n       int
}

func newWriter(file string) *writer { return &writer{file: file, names: map[string]int{}} }

func (w *writer) add(r rule) {
	var b strings.Builder
	id := identifier(r.name)
	if w.names[id]++; w.names[id] > 1 {
		// No identifier has two underscores and a number at its end.
		id += "__" + strconv.Itoa(w.names[id])
	}
	b.WriteString("rule " + id)
	if Suspicious(r.name) {
		b.WriteString(" : suspicious")
	}
	b.WriteString(" {\n  meta:\n    clamav = " + metaText(r.name) + "\n")
	if len(r.strings) > 0 {
		b.WriteString("  strings:\n")
		for _, s := range r.strings {
			fmt.Fprintf(&b, "    $%s = %s\n", s.name, s.text)
		}
	}
	b.WriteString("  condition:\n    " + r.condition + "\n}\n")
	if w.n == rulesPerSource || w.n > 0 && w.text.Len()+b.Len() > bytesPerSource {
		w.flush()
	}
	w.n++
	w.text.WriteString(b.String())
	for _, m := range r.modules {
		if !slices.Contains(w.modules, m) {
			w.modules = append(w.modules, m)
		}
	}
}

func (w *writer) flush() {
	if w.n == 0 {
		return
	}
	var head strings.Builder
	for _, m := range w.modules {
		fmt.Fprintf(&head, "import %q\n", m)
	}
	name := w.file
	if len(w.sources) > 0 {
		name += "/" + strconv.Itoa(len(w.sources)+1)
	}
	w.sources = append(w.sources, yara.Source{File: name, Text: head.String() + w.text.String()})
	w.text.Reset()
	w.modules, w.n = nil, 0
	clear(w.names)
}

func (w *writer) close() []yara.Source {
	w.flush()
	return w.sources
}

// identifier is a name of which YARA takes at most 128 characters, all letters,
// digits and underscores, never two underscores in a row.
func identifier(name string) string {
	b := []byte("clamav_")
	for _, c := range []byte(name) {
		if len(b) == 100 {
			break
		}
		if isWord(c) && c != '_' {
			b = append(b, c)
		} else if b[len(b)-1] != '_' {
			b = append(b, '_')
		}
	}
	return strings.TrimRight(string(b), "_")
}

// metaText is a string between quotes.
func metaText(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
