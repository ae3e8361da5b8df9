package document

import (
	"strings"

	"spamcatcher/signatures/unpack/format"
)

// loadEvents are the events of a document that nobody needs to click for.
// OpenDocument 1.3 part 3 section 19.431 and LibreOffice's own names.
var loadEvents = map[string]bool{"load": true, "new": true, "unload": true, "create": true, "load-finished": true, "view-created": true, "focus": true, "title-changed": true, "prepare-unload": true, "start-app": true, "OnLoad": true, "OnNew": true}

// openDocument judges the elements of OpenDocument files: Basic modules, events
// bound to macros, DDE sources, what is fetched from elsewhere.
func (w *xmlWalk) openDocument(t tag) {
	switch t.name {
	case "module":
		if !t.end {
			w.basic = !t.alone
			w.module = t.attributes()["name"]
			w.source = nil
			return
		}
		if w.basic {
			w.source = append(w.source, unescape(t.text)...)
			w.basic = false
			w.basicModule()
		}
	case "event-listener", "event":
		if t.end {
			return
		}
		a := t.attributes()
		event := a["event-name"]
		if event == "" {
			event = a["name"]
		}
		if strings.HasPrefix(a["href"], "vnd.sun.star.script:") && loadEvents[event[strings.LastIndexByte(event, ':')+1:]] {
			w.j.Mark(w.f, format.MacroAutorun, event)
		}
	case "dde-source", "dde-connection-decl":
		// LibreOffice's own documents may be linked with each other this way.
		if a := t.attributes(); !t.end && !strings.EqualFold(a["dde-application"], "soffice") {
			w.j.Mark(w.f, format.DDE, a["dde-application"]+" "+a["dde-topic"])
		}
	case "template", "section-source", "object", "object-ole", "plugin":
		if target := t.attributes()["href"]; !t.end && remote(target) {
			w.j.Mark(w.f, format.External, target)
			w.j.Link(w.f, target)
		}
	case "a":
		if target := t.attributes()["href"]; !t.end && addressIn(target) != "" {
			w.j.Link(w.f, target)
		}
	case "encryption-data":
		// OpenDocument 1.3 part 2 section 3.4.1: the manifest says which files are
		// encrypted.
		if !t.end {
			w.j.Mark(w.f, format.OfficeLocked, "")
		}
	}
}

// basicModule emits a module of LibreOffice Basic, which reads like VBA.
func (w *xmlWalk) basicModule() {
	text := strings.TrimSpace(string(w.source))
	w.source = nil
	if text == "" {
		return
	}
	m := macros{j: w.j, f: w.f}
	w.err = m.add(w.module, []byte(text), false)
}
