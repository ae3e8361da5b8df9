package document

import (
	"bytes"
	"encoding/base64"
	"strconv"
	"strings"

	"spamcatcher/signatures/unpack/format"
)

// officeXML reads the XML parts of Office documents as they come out of the zip
// that holds them, and documents that are one XML file: relationships, fields,
// macro sheets, what LibreOffice keeps macros in.
type officeXML struct{}

func (officeXML) Name() string { return "officexml" }

// namespaces are what names the format of a part.
var namespaces = []string{"schemas.openxmlformats.org/", "purl.oclc.org/ooxml/", "schemas.microsoft.com/office/", "urn:schemas-microsoft-com:office", "urn:oasis:names:tc:opendocument", "openoffice.org/200"}

// Reads looks for a tag at the start and a namespace near it; within a package
// further on, where a long comment may come first.
func (officeXML) Reads(f *format.File) bool {
	far := 2048
	if f.Kind == format.Member {
		far = 64 << 10
	}
	head := f.Data[:min(len(f.Data), far)]
	if len(head) < 16 || f.Kind == format.Mail || f.Type == "text/html" && f.Kind == format.Part {
		return false
	}
	switch c := head[0]; {
	case c == 0xFF && head[1] == 0xFE, c == 0xFE && head[1] == 0xFF, c == 0 && head[1] == '<', c == '<' && head[1] == 0:
		head = narrowed(head)
	case c == '<':
	case c <= ' ' || c == 0xEF:
		if start := bytes.TrimLeft(head[:min(len(head), 256)], "\xef\xbb\xbf \t\r\n"); len(start) == 0 || start[0] != '<' {
			return false
		}
	default:
		return false
	}
	for _, n := range namespaces {
		if bytes.Contains(head, []byte(n)) {
			return true
		}
	}
	return false
}

func (officeXML) Open(j *format.Job, f *format.File) error {
	w := xmlWalk{j: j, f: f}
	tags := 0
	walkXML(utf8XML(f.Data), func(t tag) bool {
		if tags++; tags%1024 == 0 {
			if w.err = j.Check(); w.err != nil {
				return false
			}
		}
		w.visit(t)
		return w.err == nil
	})
	if w.err == nil && len(w.formulas) > 0 {
		w.err = sheetFormulas(j, f, w.formulas)
	}
	return w.err
}

// xmlWalk is a part that is open.
type xmlWalk struct {
	j   *format.Job
	f   *format.File
	err error

	fields     []string // codes of the fields that are open, from the outermost
	part       string   // the part of a flat package
	binary     string   // the name of the data that is open
	name       string   // the defined name that is open
	macroSheet bool
	formulas   []byte
	basic      bool // LibreOffice's source text follows
	module     string
	source     []byte
}

func (w *xmlWalk) visit(t tag) {
	switch t.name {
	case "Relationship":
		w.relationship(t.attributes())
	case "fldChar":
		w.fieldMark(t.attributes()["fldCharType"])
	case "instrText":
		if t.end {
			w.fieldText(unescape(t.text))
		}
	case "fldSimple":
		if !t.end {
			field(w.j, w.f, t.attributes()["instr"])
		}
	case "instr": // Word 2003 writes the same as an attribute of other elements
		if t.end {
			field(w.j, w.f, unescape(t.text))
		}
	case "ddeLink":
		if !t.end {
			a := t.attributes()
			w.j.Mark(w.f, format.DDE, a["ddeService"]+" "+a["ddeTopic"])
		}
	case "macrosheet":
		if !t.end {
			w.macroSheet = true
			w.j.Mark(w.f, format.MacroSheet, "")
		}
	case "f":
		if t.end && w.macroSheet && len(w.formulas) < 1<<20 {
			w.formulas = append(append(append(w.formulas, '='), unescape(t.text)...), '\n')
		}
	case "Cell":
		if !t.end && bytes.Contains(t.raw, []byte("Formula")) {
			if command := ddeCell([]byte(t.attributes()["Formula"])); command != "" {
				w.j.Mark(w.f, format.DDE, command)
			}
		}
	case "definedName":
		if !t.end {
			if name := strings.ToLower(t.attributes()["name"]); strings.Contains(name, "auto_open") || strings.Contains(name, "auto_close") {
				w.j.Mark(w.f, format.MacroAutorun, name)
			}
		}
	case "customUI":
		if !t.end {
			if run := t.attributes()["onLoad"]; run != "" {
				w.j.Mark(w.f, format.MacroAutorun, "onLoad "+run)
			}
		}
	case "hlinkClick", "hlinkMouseOver", "hlinkHover":
		if !t.end && bytes.Contains(t.raw, []byte("ppaction://program")) {
			w.j.Mark(w.f, format.MacroExecute, "action that runs a program")
		}
	case "part":
		w.part = t.attributes()["name"]
	case "binData", "binaryData":
		if t.end {
			w.data(t.text)
		} else {
			w.binary = t.attributes()["name"]
		}
	default:
		w.openDocument(t)
	}
	if w.basic && len(w.source) < 4<<20 {
		w.source = append(w.source, unescape(t.text)...)
	}
}

// fetched are the types of relationships whose target is fetched when the document
// is opened. Hyperlinks wait for a click; pictures and the workbooks that a sheet
// refers to are everyday.
var fetched = map[string]bool{"attachedTemplate": true, "oleObject": true, "frame": true, "subDocument": true, "package": true, "control": true, "aFChunk": true}

// relationship judges a target outside the package. ECMA-376 part 2 section 9.3.
func (w *xmlWalk) relationship(a map[string]string) {
	kind := a["Type"][strings.LastIndexByte(a["Type"], '/')+1:]
	switch target := a["Target"]; {
	case kind == "xlMacrosheet" || kind == "xlIntlMacrosheet":
		w.j.Mark(w.f, format.MacroSheet, target)
	case !strings.EqualFold(a["TargetMode"], "external"):
	case kind == "hyperlink":
		if addressIn(target) != "" {
			w.j.Link(w.f, target)
		}
	case fetched[kind] && remote(target):
		w.j.Mark(w.f, format.External, target)
		w.j.Link(w.f, target)
	}
}

const mostFields = 32

// fieldMark follows the beginning, the end of the code, and the end of a field. A
// field within a code stands for its result: QUOTE makes text of numbers.
func (w *xmlWalk) fieldMark(kind string) {
	n := len(w.fields)
	switch {
	case kind == "begin":
		if n < mostFields {
			w.fields = append(w.fields, "")
		}
	case n == 0:
	case kind == "separate":
		field(w.j, w.f, w.fields[n-1])
	case kind == "end":
		code := w.fields[n-1]
		w.fields = w.fields[:n-1]
		field(w.j, w.f, code)
		if n > 1 {
			w.fieldText(quoted(code))
		}
	}
}

// fieldText adds to the innermost open field. Without one the text is judged alone.
func (w *xmlWalk) fieldText(s string) {
	if n := len(w.fields); n == 0 {
		field(w.j, w.f, s)
	} else if len(w.fields[n-1]) < 4096 {
		w.fields[n-1] += s
	}
}

// quoted is what a QUOTE field comes to: numbers are characters.
// ECMA-376 part 1 section 17.16.5.49.
func quoted(code string) string {
	words := strings.Fields(code)
	if len(words) == 0 || !strings.EqualFold(words[0], "QUOTE") {
		return ""
	}
	var out strings.Builder
	for _, word := range words[1:] {
		if n, err := strconv.Atoi(word); err == nil && n > 0 && n < 0x10000 {
			out.WriteRune(rune(n))
		} else {
			out.WriteString(strings.Trim(word, `"`) + " ")
		}
	}
	return out.String()
}

// data emits a part of a flat document that is written in base64.
func (w *xmlWalk) data(text []byte) {
	if len(text) < 16 {
		return
	}
	text = bytes.Map(func(r rune) rune {
		if r == ' ' || r == '\t' {
			return -1
		}
		return r
	}, text)
	data, cut, err := w.j.Read(base64.NewDecoder(base64.StdEncoding, bytes.NewReader(text)), int64(len(text)))
	if err == format.ErrStop {
		w.err = err
		return
	}
	name := w.binary
	if name == "" {
		name = w.part
	}
	w.err = w.j.Emit(&format.File{Kind: format.Object, Name: name, Data: data, Cut: cut})
}
