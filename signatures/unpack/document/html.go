package document

import (
	"bytes"
	"html"
	"strings"

	"spamcatcher/signatures/unpack/format"
)

// Bounds of one page.
const (
	htmlScripts  = 2000     // scripts and event handlers looked at
	htmlFiles    = 40       // files taken out of the text of one page
	htmlSmall    = 88       // characters below which an encoded text hides no file
	htmlPictures = 20       // inline pictures handed on
	htmlHead     = 64 << 10 // bytes in which a page that nothing calls one has its first script
)

// htmlFormat reads pages and SVG pictures for what their scripts and data: URLs
// put together: files that no attachment shows. A page with scripts, or with
// pictures in its text, is nothing remarkable; one that makes a program, an
// archive or another container out of its own text is.
type htmlFormat struct{}

func (htmlFormat) Name() string { return "html" }

func (htmlFormat) Reads(f *format.File) bool {
	if f.Kind == format.Mail {
		return false
	}
	switch f.Type {
	case "text/html", "image/svg+xml":
		return true
	}
	// What calls itself a page is shown as one, whatever its first bytes say:
	// readers of pages pass over what comes before the first tag.
	switch f.Declared {
	case "text/html", "application/xhtml+xml", "image/svg+xml":
		return true
	}
	switch f.Extension() {
	case "html", "htm", "shtml", "shtm", "xhtml", "xht", "svg", "hta":
		return true
	}
	return (f.Type == "" || f.Type == "text/xml") && hasScript(f.Data[:min(len(f.Data), htmlHead)])
}

// hasScript says whether a script begins in b: a page needs no beginning that
// says so.
func hasScript(b []byte) bool {
	for {
		i := bytes.IndexByte(b, '<')
		if i < 0 || len(b)-i < len("<script") {
			return false
		}
		if b = b[i+1:]; equalFold(b, "script") {
			return true
		}
	}
}

func (htmlFormat) Open(j *format.Job, f *format.File) error {
	h := &page{j: j, f: f, b: htmlBytes(f.Data)}
	return h.read()
}

// htmlBytes undoes UTF-16, in which browsers read pages too.
func htmlBytes(b []byte) []byte {
	switch {
	case bytes.HasPrefix(b, []byte("\xff\xfe")):
		return []byte(decodeUTF16(b[2:], false))
	case bytes.HasPrefix(b, []byte("\xfe\xff")):
		return []byte(decodeUTF16(b[2:], true))
	case len(b) > 4 && b[0] == '<' && b[1] == 0 && b[3] == 0:
		return []byte(decodeUTF16(b, false))
	}
	return b
}

// page is the reading of one page.
type page struct {
	j        *format.Job
	f        *format.File
	b        []byte
	scripts  int
	files    int
	pictures int
	builds   bool   // a script makes a file: Blob, data: URL
	saves    bool   // a script or a link saves one
	name     string // of the file that is saved
	found    []hidden
	outside  []outside // of scripts
	pieces   [][]byte  // short literals, in order
	dense    dense     // what was not decoded
	marked   bool
}

// A hidden is a file found in the text of a page.
type hidden struct {
	data   []byte
	kind   string // media type by content
	url    bool   // from a data: URL, not out of a script
	binary bool   // unknown, but no text
}

func (h *page) read() error {
	var scripts [][]byte
	kept := 0 // what lies before is noted as a script, or as what is outside
	for at, checked := 0, 0; at < len(h.b); {
		if at-checked > 64<<10 {
			checked = at
			if err := h.j.Check(); err != nil {
				return err
			}
		}
		i := bytes.IndexByte(h.b[at:], '<')
		if i < 0 {
			break
		}
		at += i + 1
		tag, end := htmlTag(h.b, at)
		if tag == nil {
			continue
		}
		// Readers disagree where quotes begin: a script counts within them, too.
		if k := indexFold(tag, "<script"); k > 0 {
			tag, end = tag[:k], at+k
		}
		at = end
		if tagIs(tag, "style") {
			h.aside(kept, at, false)
			if k := indexFold(h.b[at:], "</style"); k >= 0 {
				h.aside(at, at+k, true)
				at += k
			}
			kept = at
		}
		if h.scripts >= htmlScripts {
			h.j.Mark(h.f, format.LimitMembers, "scripts of a page")
			break
		}
		h.tag(tag, &scripts)
		if !tagIs(tag, "script") {
			continue
		}
		h.aside(kept, end, false)
		body := h.b[end:]
		if k := indexFold(body, "</script"); k >= 0 {
			body = body[:k]
		}
		at = end + len(body)
		kept = at
		if tag[len(tag)-1] == '/' || len(bytes.TrimSpace(body)) == 0 {
			continue
		}
		if h.f.Type == "image/svg+xml" {
			// In XML the text of a script has entities, and sections without.
			body = bytes.ReplaceAll(body, []byte("<![CDATA["), nil)
			if bytes.IndexByte(body, '&') >= 0 {
				body = []byte(html.UnescapeString(string(body)))
			}
		}
		h.scripts++
		scripts = append(scripts, body)
	}
	h.aside(kept, len(h.b), false)
	// What is made of a text is known once all scripts were looked at.
	for i, s := range scripts {
		scripts[i] = unescapeScript(s, false)
		h.doing(scripts[i])
		if err := h.j.Check(); err != nil {
			return err
		}
	}
	for _, s := range scripts {
		if err := h.script(s); err != nil {
			return err
		}
	}
	if h.builds {
		if err := h.together(); err != nil {
			return err
		}
	}
	if err := h.dataURLs(h.b); err != nil {
		return err
	}
	if h.files >= htmlFiles {
		h.j.Mark(h.f, format.LimitMembers, "files in a page")
	}
	return h.emit()
}

// tag looks at the attributes of a tag that run something or save something.
func (h *page) tag(tag []byte, scripts *[][]byte) {
	if len(tag) < 8 || len(tag) > 1<<20 {
		return
	}
	if tagIs(tag, "a") || tagIs(tag, "area") {
		if i := indexFold(tag, "download"); i > 0 && pdfSpace(tag[i-1]) {
			h.saves = true
			if name := attribute(tag[i:]); name != "" {
				h.name = name
			}
		}
		return
	}
	// Event handlers: onload=, onerror=, onclick=.
	for at := 0; at < len(tag) && h.scripts < htmlScripts; {
		i := bytes.IndexByte(tag[at:], '=')
		if i < 0 {
			break
		}
		at += i
		name := bytes.TrimRight(tag[:at], " \t\r\n")
		k := len(name)
		for k > 0 && !pdfSpace(name[k-1]) && name[k-1] != '/' && name[k-1] != '"' && name[k-1] != '\'' && len(name)-k < 32 {
			k--
		}
		length := 1
		if len(name)-k > 3 && equalFold(name[k:k+2], "on") {
			value := attribute(tag[at:])
			h.scripts++
			*scripts = append(*scripts, []byte(html.UnescapeString(value)))
			length = max(1, len(value))
		}
		at += length
	}
}

// htmlTag is a tag without its brackets and where it ends; nil if none begins.
func htmlTag(b []byte, at int) (tag []byte, end int) {
	if at >= len(b) || (b[at]|0x20 < 'a' || b[at]|0x20 > 'z') {
		return nil, at
	}
	var quote byte
	for i := at; i < len(b); i++ {
		switch c := b[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case (c == '"' || c == '\'') && i > at && (b[i-1] == '=' || pdfSpace(b[i-1])):
			quote = c
		case c == '>':
			return b[at:i], i + 1
		}
	}
	// A quote that nothing closes: the tag ends where a reader without quotes ends it.
	if i := bytes.IndexByte(b[at:], '>'); i >= 0 {
		return b[at : at+i], at + i + 1
	}
	return b[at:], len(b)
}

func tagIs(tag []byte, name string) bool {
	if i := bytes.IndexByte(tag[:min(len(tag), 16)], ':'); i > 0 {
		tag = tag[i+1:] // svg:script
	}
	return len(tag) >= len(name) && equalFold(tag[:len(name)], name) && (len(tag) == len(name) || pdfSpace(tag[len(name)]) || tag[len(name)] == '/')
}

// attribute is the value after the next equals sign.
func attribute(b []byte) string {
	i := bytes.IndexByte(b, '=')
	if i < 0 || i > 32 {
		return ""
	}
	b = bytes.TrimLeft(b[i+1:], " \t\r\n")
	if len(b) == 0 {
		return ""
	}
	if q := b[0]; q == '"' || q == '\'' {
		if k := bytes.IndexByte(b[1:], q); k >= 0 {
			return string(b[1 : 1+k])
		}
		return string(b[1:])
	}
	b = b[:min(len(b), 4096)]
	if k := bytes.IndexAny(b, " \t\r\n>"); k >= 0 {
		b = b[:k]
	}
	return string(b)
}

// indexFold finds lower, which is in lower-case ASCII, in any case; -1 if b has it
// nowhere.
func indexFold(b []byte, lower string) int {
	first := lower[0]
	for i := 0; i+len(lower) <= len(b); i++ {
		if b[i] != first && (b[i]|0x20 != first || first < 'a') {
			continue
		}
		if equalFold(b[i:i+len(lower)], lower) {
			return i
		}
	}
	return -1
}

// equalFold compares with lower, which is in lower-case ASCII.
func equalFold(b []byte, lower string) bool {
	for i := range lower {
		c := b[i]
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// dataURLs takes out the files of data: URLs, wherever they stand.
// RFC 2397: data:[<mediatype>][;base64],<data>.
func (h *page) dataURLs(b []byte) error {
	for at := 0; at < len(b) && h.files < htmlFiles; {
		i := bytes.IndexByte(b[at:], ':')
		if i < 0 {
			return nil
		}
		at += i + 1
		if at < 5 || !strings.EqualFold(string(b[at-5:at-1]), "data") {
			continue
		}
		comma := bytes.IndexByte(b[at:min(len(b), at+200)], ',')
		if comma < 0 || bytes.ContainsAny(b[at:at+comma], "<>\"'{}()") {
			continue
		}
		declared := strings.ToLower(string(b[at : at+comma]))
		rest := b[at+comma+1:]
		end := bytes.IndexAny(rest, "\"'<>) ")
		if end < 0 {
			end = len(rest)
		}
		rest = rest[:end]
		at += comma + 1 + end
		if len(rest) < 64 || strings.HasPrefix(declared, "font/") || strings.Contains(declared, "font-") {
			continue
		}
		var data []byte
		if strings.Contains(declared, "base64") {
			if bytes.IndexByte(rest, '%') >= 0 {
				rest = unpercent(rest)
			}
			data = unbase64(rest)
		} else {
			data = unpercent(rest)
		}
		data, err := h.take(data)
		if err != nil {
			return err
		}
		if data == nil {
			continue
		}
		kind := format.Detect(data)
		if strings.HasPrefix(kind, "image/") && kind != "image/svg+xml" {
			if h.pictures++; h.pictures > htmlPictures {
				h.j.Mark(h.f, format.LimitPictures, "pictures in a page")
				continue
			}
			media, _, _ := strings.Cut(declared, ";")
			if err := h.j.Emit(&format.File{Kind: format.Stream, Declared: media, Type: kind, Data: data}); err != nil {
				return err
			}
			continue
		}
		if strings.HasPrefix(declared, "application/") || strings.HasPrefix(declared, "text/html") || strings.HasPrefix(declared, "image/svg") || carries(kind) {
			h.files++
			h.found = append(h.found, hidden{data: data, kind: kind, url: true})
		}
	}
	return nil
}

// emit says what was found: files handed on, and the mark where a page makes one
// that readers of pages have no use for.
func (h *page) emit() error {
	for _, x := range h.found {
		f := &format.File{Kind: format.Object, Name: h.name, Type: x.kind, Data: x.data}
		switch {
		case carries(x.kind), mayCarry(x.kind) && h.builds && h.saves:
			h.mark(x.kind)
		case x.binary && h.builds && h.saves:
			h.mark("application/octet-stream")
		case x.kind == "" && !x.binary:
			f.Kind, f.Name = format.Script, "script"
		case !x.url && h.builds && h.saves && h.name != "" && x.kind != "" && !strings.HasPrefix(x.kind, "image/"):
			h.mark(x.kind)
		}
		if err := h.j.Emit(f); err != nil {
			return err
		}
	}
	if !h.marked && h.builds && h.saves && h.dense.much() {
		h.mark("undecoded")
	}
	return nil
}

func (h *page) mark(kind string) {
	h.marked = true
	h.j.Mark(h.f, format.HTMLSmuggling, strings.TrimSpace(h.name+" "+kind))
}

// carries says whether a file of the type is a program or can hold one, so that
// a page has no reason to make it out of its text.
func carries(kind string) bool {
	switch kind {
	case "application/pdf", "application/json", "application/wasm", "application/pgp", "application/postscript":
		return false
	}
	return strings.HasPrefix(kind, "application/") && !mayCarry(kind)
}

// mayCarry is for types that pages have good reasons for, too, and for those that
// random bytes are easily taken for.
func mayCarry(kind string) bool {
	switch kind {
	case "application/gzip", "application/x-arj", "application/x-compress", "application/x-bzip2", "application/x-lzh":
		return true
	}
	return false
}
