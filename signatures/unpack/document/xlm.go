package document

import (
	"encoding/binary"
	"regexp"
	"strings"

	"spamcatcher/signatures/unpack/format"
)

// Records of a workbook stream. [MS-XLS] section 2.3.
const (
	recordFormula   = 0x0006
	recordName      = 0x0018
	recordExtern    = 0x0023
	recordFilePass  = 0x002F
	recordSheet     = 0x0085
	recordSupBook   = 0x01AE
	recordHyperlink = 0x01B8
	recordBOF       = 0x0809
)

// eachRecord calls visit for the records of a workbook stream: number, content and
// where it lies.
func eachRecord(b []byte, visit func(id uint16, at int, value []byte) bool) {
	for at := 0; at+4 <= len(b); {
		id, size := binary.LittleEndian.Uint16(b[at:]), int(binary.LittleEndian.Uint16(b[at+2:]))
		at += 4
		end := min(at+size, len(b))
		if !visit(id, at, b[at:end]) {
			return
		}
		at = end
	}
}

// workbook judges a workbook as Excel wrote them before 2007: macro sheets of
// Excel 4, names that run them, formulas, links by DDE.
func workbook(j *format.Job, f *format.File, b []byte) error {
	plain, err := unlockWorkbook(j, f, b)
	if err != nil || plain == nil {
		return err
	}
	w := workbookRead{j: j, f: f}
	records := 0
	eachRecord(plain, func(id uint16, _ int, v []byte) bool {
		if records++; records%4096 == 0 || id == recordFormula && records%64 == 0 {
			if err = j.Check(); err != nil {
				return false
			}
		}
		w.record(id, v)
		return true
	})
	if err != nil {
		return err
	}
	w.finishBook()
	if w.sheets == 0 {
		return nil
	}
	if w.auto != "" {
		j.Mark(f, format.MacroAutorun, w.auto)
	}
	if len(w.formulas) > 0 {
		return sheetFormulas(j, f, w.formulas)
	}
	return nil
}

// workbookRead is a workbook that is open.
type workbookRead struct {
	j        *format.Job
	f        *format.File
	old      bool // before Excel 97
	macro    bool // the sheet that is open is one of macros
	sheets   int  // macro sheets
	auto     string
	formulas []byte
	dde      string // a link to another program, until its items say of which kind
	ole      bool
}

func (w *workbookRead) record(id uint16, v []byte) {
	le := binary.LittleEndian
	switch id {
	case recordBOF:
		if len(v) >= 4 {
			w.old = le.Uint16(v) < 0x0600
			w.macro = le.Uint16(v[2:]) == 0x0040
		}
	case recordSheet:
		// [MS-XLS] section 2.4.28: place, visibility, kind, name.
		if len(v) >= 6 && v[5] == 1 {
			w.sheets++
			w.j.Mark(w.f, format.MacroSheet, [4]string{"visible", "hidden", "very hidden", ""}[v[4]&3])
		}
	case recordName:
		w.name(v)
	case recordFormula:
		// [MS-XLS] section 2.4.127: cell, value, flags, then the expression.
		if w.macro && !w.old && len(v) > 22 && len(w.formulas) < 1<<20 {
			size := int(le.Uint16(v[20:]))
			w.formulas = append(append(append(w.formulas, '='), expressionText(v[22:min(len(v), 22+min(size, mostExpression))])...), '\n')
		}
	case recordSupBook:
		w.finishBook()
		if len(v) > 5 {
			w.dde = linkedProgram(v)
		}
	case recordExtern:
		// [MS-XLS] section 2.4.105: fOle.
		if len(v) >= 2 && v[0]&0x10 != 0 {
			w.ole = true
		}
	case recordHyperlink:
		for _, a := range webAddresses(narrowed(v), 4) {
			w.j.Link(w.f, a)
		}
	}
}

// finishBook marks the link that was open. A link to another program is DDE unless
// one of its items is of the kind that embeds a linked object.
func (w *workbookRead) finishBook() {
	if w.dde != "" {
		if program, topic, _ := strings.Cut(w.dde, " "); !w.ole {
			w.j.Mark(w.f, format.DDE, w.dde)
		} else if remote(topic) {
			w.j.Mark(w.f, format.External, program+" "+topic)
		}
	}
	w.dde, w.ole = "", false
}

// name notes the built-in names that run macros. [MS-XLS] section 2.4.150: Lbl.
func (w *workbookRead) name(v []byte) {
	if len(v) < 15 {
		return
	}
	length, at := int(v[3]), 14
	if !w.old {
		if v[14]&1 != 0 {
			length *= 2
		}
		at = 15
	}
	text := v[at:min(len(v), at+length)]
	if v[0]&0x20 != 0 && len(text) > 0 && text[0] <= 13 {
		// [MS-XLS] section 2.5.66: numbers of the built-in names.
		switch text[0] {
		case 1:
			w.auto = "Auto_Open"
		case 2:
			w.auto = "Auto_Close"
		case 0xA:
			w.auto = "Auto_Activate"
		}
		return
	}
	if plain := strings.ToLower(string(narrowed(text))); strings.HasPrefix(plain, "auto_open") || strings.HasPrefix(plain, "auto_close") || strings.HasPrefix(plain, "auto_activate") {
		w.auto = plain
	}
}

// linkedProgram is the program and the topic of a link by DDE or OLE, "" for links
// to workbooks. [MS-XLS] section 2.4.271: in the path they are parted by 3.
func linkedProgram(v []byte) string {
	length := int(binary.LittleEndian.Uint16(v[2:]))
	if length == 0x0401 || length == 0x3A01 {
		return "" // this workbook, or an add-in
	}
	text := v[5:]
	var path string
	if v[4]&1 != 0 {
		path = utf16Text(text[:min(len(text), 2*length)])
	} else {
		path = string(text[:min(len(text), length)])
	}
	program, topic, ok := strings.Cut(path, "\x03")
	if !ok || strings.HasPrefix(path, "\x01") || program == "" {
		return ""
	}
	return program + " " + topic
}

// runs are the functions of Excel 4 macros that start programs.
var runs = regexp.MustCompile(`(?i)\b(EXEC|CALL|REGISTER(?:\.ID)?)\(`)

// sheetFormulas judges the formulas of macro sheets and emits them.
func sheetFormulas(j *format.Job, f *format.File, text []byte) error {
	if err := j.Emit(&format.File{Kind: format.Script, Name: "formulas", Type: "text/x-xlm", Data: text}); err != nil {
		return err
	}
	folded := fold(j, text)
	plain, decoded := conduct(j, text), conduct(j, folded.text)
	if m := runs.FindSubmatch(text); m != nil {
		j.Mark(f, format.MacroExecute, string(m[1]))
	} else if plain.execute+decoded.execute != "" {
		j.Mark(f, format.MacroExecute, plain.execute+decoded.execute)
	}
	if plain.download+decoded.download != "" {
		j.Mark(f, format.MacroDownload, plain.download+decoded.download)
	}
	if folded.hidden != "" {
		j.Mark(f, format.MacroHidden, folded.hidden)
	}
	return emitDecoded(j, f, "text/x-xlm", text, folded)
}
