package message

import (
	"bytes"
	"strings"
	"sync"
)

// A Part is one node of the MIME tree: a container with Children, or a leaf.
type Part struct {
	Header   *Header
	Parent   *Part
	Children []*Part
	Depth    int // 0 is the message itself

	MediaType   string            // lower case; RFC 2045 section 5.2: "text/plain" if nothing usable is declared
	Params      map[string]string // of Content-Type; keys in lower case, values decoded by RFC 2231
	Disposition string            // "inline", "attachment", or "" for none
	Name        string            // file name from any source, decoded; "" for none
	Encoding    string            // transfer encoding as declared, lower case
	Charset     string            // as declared, lower case
	Alternate   bool              // a reading of bytes that another part covers too

	src        []byte // the message, or the decoded part that this one stands in
	start, end int    // of the body in src
	reading    reading
	names      []string // other file names that the part goes by

	decodeOnce  sync.Once
	decoded     []byte
	decodeFound defects

	textOnce  sync.Once
	text      string
	textFound defects
}

// A reading says how a part's bytes are to be taken.
type reading struct {
	container bool // its content is in Children
	opaque    bool // a container that is not opened: only its raw text is looked at
	aside     bool // stands in a preamble or epilogue: no reader shows it
	others    int  // further readings noted
	prefixed  bool // one of them lets delimiters go on
	encoding  codec
	fill      base64Fill
}

// Raw is the part's body as it stands in the message; for parts inside an
// encoded message/rfc822 as it stands in what the encoding hides.
func (p *Part) Raw() []byte { return p.src[p.start:p.end:p.end] }

func (p *Part) leaf() bool { return !p.reading.container || p.reading.opaque }

// Decoded is the body with its transfer encoding undone, as well as that can
// be done. The body of a container is left as it is: its content is in the
// Children.
func (p *Part) Decoded() []byte {
	if !p.leaf() {
		return p.Raw()
	}
	p.decodeOnce.Do(func() {
		p.decoded = p.reading.encoding.decode(p.Raw(), p.reading.fill, &p.decodeFound)
	})
	return p.decoded
}

// Text is the body of a text part in UTF-8; "" for parts that are no text.
func (p *Part) Text() string {
	if !p.textual() {
		return ""
	}
	p.textOnce.Do(func() {
		p.text = decodeCharset(p.charset(), p.Decoded(), &p.textFound)
	})
	return p.text
}

// charset is the declared charset, or that of HTML's meta element if none is
// declared, or UTF-16 if its byte order mark stands in front.
func (p *Part) charset() string {
	if p.Charset != "" {
		return p.Charset
	}
	head := p.Decoded()
	head = head[:min(len(head), 1024)]
	switch {
	case bytes.HasPrefix(head, []byte("\xff\xfe")):
		return "utf-16le"
	case bytes.HasPrefix(head, []byte("\xfe\xff")):
		return "utf-16be"
	}
	if !p.isHTML() {
		return ""
	}
	lower := asciiLower(string(head))
	i := strings.Index(lower, "charset=")
	if i < 0 {
		return ""
	}
	name := strings.TrimLeft(lower[i+len("charset="):], "\"' ")
	if end := strings.IndexAny(name, "\"'>; /"); end >= 0 {
		name = name[:end]
	}
	if lookupCharset(name) == nil || strings.HasPrefix(name, "utf-16") {
		return "" // what is written in ASCII is no UTF-16
	}
	return name
}

func (p *Part) textual() bool {
	return p.leaf() && (p.reading.opaque || strings.HasPrefix(p.MediaType, "text/") || p.isHTML())
}

// isHTML tells whether a reader shows the part as HTML, be it that it opens
// the attached file.
func (p *Part) isHTML() bool {
	if p.reading.opaque {
		return false
	}
	switch p.MediaType {
	case "text/html", "application/xhtml+xml", "image/svg+xml":
		return true
	}
	if p.Name == "" {
		return false
	}
	switch extension(p.Name) {
	case "htm", "html", "shtml", "xhtml", "xht", "svg", "hta":
		return true
	}
	return false
}
