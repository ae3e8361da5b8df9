package document

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"unicode/utf16"

	"spamcatcher/signatures/unpack/format"
)

// How a script comes to run: the details of format.PDFScript.
const (
	pdfOpens   = "OpenAction" // when the document is opened
	pdfNames   = "Names"      // likewise: the document's own scripts
	pdfEvent   = "AA"         // at an event of document or page
	pdfClick   = "annotation" // when something is clicked
	pdfField   = "field"      // when a form field changes, is checked or formatted
	pdfPresent = "present"    // by nothing that was found
)

// grave orders the ways in which scripts run.
func grave(how string) int {
	return -slices.Index([]string{pdfOpens, pdfNames, pdfEvent, pdfClick, pdfField, pdfPresent}, how)
}

// A pdfScript is a script and how it comes to run.
type pdfScript struct {
	how  string
	text pdfValue
}

// look goes over all dictionaries of an object.
func (p *pdf) look(v *pdfValue, depth int) error {
	if depth > pdfDepth {
		return nil
	}
	if v.kind == pdfDict {
		p.dictionary(v)
	}
	for i := range v.list {
		if k := v.list[i].kind; k == pdfDict || k == pdfArray {
			if err := p.look(&v.list[i], depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// dictionary looks at one dictionary for what may do something.
// ISO 32000-1 section 12.6: actions.
func (p *pdf) dictionary(d *pdfValue) {
	form := false // a form field or its widget
	for i := 0; i+1 < len(d.list); i += 2 {
		switch string(d.list[i].text) {
		case "FT", "MaxLen":
			form = true
		}
	}
	for i := 0; i+1 < len(d.list); i += 2 {
		v := &d.list[i+1]
		switch string(d.list[i].text) {
		case "JS":
			p.script(d, pdfPresent)
		case "URI":
			if s := p.resolve(v); s != nil && s.kind == pdfString {
				p.link(s.text)
			}
		case "S":
			p.acts(d, "")
		case "OpenAction":
			p.action(v, pdfOpens, 0)
		case "A":
			// An element of the document's structure has attributes by this name.
			if d.get("S") == nil {
				p.action(v, pdfClick, 0)
			}
		case "AA":
			events := p.resolve(v)
			if events == nil || events.kind != pdfDict {
				continue
			}
			for k := 0; k+1 < len(events.list); k += 2 {
				how := pdfEvent
				// ISO 32000-1 table 196: keystroke, format, validate, calculate.
				switch string(events.list[k].text) {
				case "K", "F", "V", "C":
					if form || d.get("Subtype").name() == "Widget" {
						how = pdfField
					}
				}
				p.action(&events.list[k+1], how, 0)
			}
		case "JavaScript":
			p.names(v, 0)
		case "EF":
			p.file(d, p.resolve(v))
		case "XFA":
			p.xfa(v)
		}
	}
	if d.get("FS").name() == "URL" {
		if s := p.resolve(d.get("F")); s != nil && s.kind == pdfString {
			p.link(s.text)
		}
	}
}

// link notes an address of the web; others do not lead anywhere.
func (p *pdf) link(b []byte) {
	s := strings.TrimSpace(pdfText(b))
	if i := strings.IndexByte(s, ':'); i > 0 && i < 12 || strings.HasPrefix(strings.ToLower(s), "www.") {
		p.j.Link(p.f, s)
	}
}

// action follows an action, and those after it, that runs in the way how.
func (p *pdf) action(v *pdfValue, how string, depth int) {
	if depth > 8 {
		return
	}
	v = p.resolve(v)
	if v == nil {
		return
	}
	if v.kind == pdfArray {
		for i := range v.list {
			if i < 16 && (v.list[i].kind == pdfDict || v.list[i].kind == pdfRef && i > 0) {
				p.action(&v.list[i], how, depth+1)
			}
		}
		return
	}
	if v.kind != pdfDict {
		return
	}
	if v.get("JS") != nil {
		p.script(v, how)
	}
	if how != pdfClick && how != pdfField {
		p.acts(v, how)
	}
	if next := v.get("Next"); next != nil {
		p.action(next, how, depth+1)
	}
}

// acts marks an action that does something outside of the document; how is ""
// where nothing is known about what sets it off.
func (p *pdf) acts(d *pdfValue, how string) {
	kind := p.resolve(d.get("S")).name()
	switch kind {
	case "Launch", "ImportData", "GoToE", "SubmitForm", "GoToR":
	case "URI", "JavaScript":
		if how != pdfOpens && how != pdfEvent {
			return
		}
	default:
		return
	}
	if p.followed[d.at] {
		return
	}
	target := p.target(d)
	switch {
	case kind == "SubmitForm":
		p.link([]byte(target))
	case kind == "GoToR" && how == "" && !pdfRemote(target):
		return // a plain name beside the document: a manual in several volumes
	}
	if how != "" {
		p.followed[d.at] = true
		kind = how + " " + kind
	}
	p.j.Mark(p.f, format.PDFAction, strings.TrimSpace(kind+" "+target))
}

// pdfRemote says whether a file name leads to another machine.
func pdfRemote(name string) bool {
	return strings.HasPrefix(name, `\\`) || strings.HasPrefix(name, "//") || strings.Contains(name, "://")
}

// target is what an action is about.
func (p *pdf) target(d *pdfValue) string {
	for _, key := range []string{"URI", "F", "Win"} {
		v := p.resolve(d.get(key))
		if v == nil {
			continue
		}
		if v.kind == pdfString {
			return pdfText(v.text)
		}
		if v.kind != pdfDict {
			continue
		}
		// A file specification, or the parameters of a program on Windows.
		// ISO 32000-1 section 7.11.3 and table 204.
		for _, inner := range []string{"UF", "F", "P"} {
			if s := p.resolve(v.get(inner)); s != nil && s.kind == pdfString {
				text := pdfText(s.text)
				if more := p.resolve(v.get("P")); more != nil && inner != "P" && more.kind == pdfString {
					text += " " + pdfText(more.text)
				}
				return text
			}
		}
	}
	return ""
}

// names goes over the name tree of the document's scripts.
// ISO 32000-1 section 7.9.6.
func (p *pdf) names(v *pdfValue, depth int) {
	v = p.resolve(v)
	if v == nil || v.kind != pdfDict || depth > 8 {
		return
	}
	if list := p.resolve(v.get("Names")); list != nil && list.kind == pdfArray {
		for i := 1; i < len(list.list) && i < 2*pdfScripts; i += 2 {
			p.action(&list.list[i], pdfNames, 0)
		}
	}
	if kids := p.resolve(v.get("Kids")); kids != nil && kids.kind == pdfArray {
		for i := range kids.list {
			if i < 64 {
				p.names(&kids.list[i], depth+1)
			}
		}
	}
}

// script remembers the script of an action, in the gravest way in which it runs.
func (p *pdf) script(d *pdfValue, how string) {
	text := d.get("JS")
	where := d.at
	if text.kind == pdfRef {
		where = -1 - int(text.num)
	}
	if i, ok := p.handled[where]; ok {
		if grave(how) > grave(p.scripts[i].how) {
			p.scripts[i].how = how
		}
		return
	}
	if len(p.scripts) >= pdfScripts {
		return
	}
	p.handled[where] = len(p.scripts)
	p.scripts = append(p.scripts, pdfScript{how, *text})
}

// emitScripts marks the scripts and hands them on.
func (p *pdf) emitScripts() error {
	seen := map[string]bool{}
	for _, s := range p.scripts {
		if !seen[s.how] {
			seen[s.how] = true
			p.j.Mark(p.f, format.PDFScript, s.how)
		}
		text, err := p.scriptText(&s.text)
		if err != nil {
			return err
		}
		if len(text) == 0 {
			continue
		}
		if err := p.j.Emit(&format.File{Kind: format.Script, Name: "script.js", Data: text, Unlocked: p.opened}); err != nil {
			return err
		}
	}
	return nil
}

// scriptText is the text of a script, which is a string or a stream.
func (p *pdf) scriptText(v *pdfValue) ([]byte, error) {
	if v.kind == pdfRef {
		i, ok := p.places[v.num]
		if !ok {
			return nil, nil
		}
		if o := p.objects[i]; o.to > 0 {
			dict := p.load(o)
			data, _, err := p.unpacked(o, &dict)
			return []byte(pdfText(data)), stopOnly(err)
		}
		v = p.resolve(v)
	}
	if v == nil || v.kind != pdfString {
		return nil, nil
	}
	return []byte(pdfText(v.text)), nil
}

// pdfText undoes UTF-16 where a string has its mark.
// ISO 32000-1 section 7.9.2.2: text strings.
func pdfText(b []byte) string {
	little := bytes.HasPrefix(b, []byte("\xff\xfe"))
	if !little && !bytes.HasPrefix(b, []byte("\xfe\xff")) {
		return string(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")))
	}
	return decodeUTF16(b[2:], !little)
}

func decodeUTF16(b []byte, big bool) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		if big {
			units[i] = uint16(b[2*i])<<8 | uint16(b[2*i+1])
		} else {
			units[i] = uint16(b[2*i+1])<<8 | uint16(b[2*i])
		}
	}
	return string(utf16.Decode(units))
}

// file remembers which streams are the files of a file specification.
// ISO 32000-1 section 7.11.4.
func (p *pdf) file(spec, ef *pdfValue) {
	if ef == nil || ef.kind != pdfDict {
		return
	}
	text := func(key string) string {
		if v := p.resolve(spec.get(key)); v != nil && v.kind == pdfString {
			return pdfText(v.text)
		}
		return ""
	}
	name := cmp.Or(text("UF"), text("F"), text("Unix"), text("DOS"))
	for i := 1; i < len(ef.list); i += 2 {
		if v := &ef.list[i]; v.kind == pdfRef && len(p.files) < pdfObjects {
			p.files[v.num] = name
		}
	}
}

// xfa marks forms of the XML Forms Architecture that have scripts.
func (p *pdf) xfa(v *pdfValue) {
	if p.forms++; p.forms > 4 {
		return
	}
	list := []pdfValue{*v}
	if w := p.resolve(v); w != nil && w.kind == pdfArray {
		list = w.list
	}
	for i := range list {
		if list[i].kind != pdfRef || i > 32 {
			continue
		}
		text, err := p.scriptText(&list[i])
		if err == nil && bytes.Contains(text, []byte("<script")) && bytes.Contains(text, []byte("javascript")) {
			p.j.Mark(p.f, format.PDFScript, "XFA")
			return
		}
	}
}
