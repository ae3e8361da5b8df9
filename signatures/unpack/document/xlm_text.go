package document

import (
	"bytes"
	"strings"

	"spamcatcher/signatures/unpack/format"
)

// sheetText reads spreadsheets that are plain text: SYLK, web queries, and text
// whose cells are formulas.
type sheetText struct{}

func (sheetText) Name() string { return "sheettext" }

// Reads looks at the first bytes. A table of comma-separated values begins with
// nothing of its own: there the name is what Excel goes by, so it counts here.
func (sheetText) Reads(f *format.File) bool {
	b := f.Data[:min(len(f.Data), 64)]
	return bytes.HasPrefix(b, []byte("ID;")) || webQuery(b) || f.Type == "" && table(f)
}

func table(f *format.File) bool {
	switch f.Extension() {
	case "csv", "tsv", "tab", "slk", "iqy", "dif", "prn":
		return true
	}
	return f.Declared == "text/csv" || f.Declared == "text/tab-separated-values"
}

func webQuery(b []byte) bool {
	return len(b) > 8 && (string(b[:4]) == "WEB\n" || string(b[:5]) == "WEB\r\n")
}

const mostText = 4 << 20

func (sheetText) Open(j *format.Job, f *format.File) error {
	b := f.Data[:min(len(f.Data), mostText)]
	if webQuery(b) {
		// A web query: kind, version, address. Excel fetches it and puts the answer
		// into cells.
		if a := addressIn(string(b[:min(len(b), 4096)])); a != "" {
			j.Mark(f, format.External, a)
			j.Link(f, a)
		}
		return nil
	}
	sylk := bytes.HasPrefix(b, []byte("ID;"))
	var formulas []byte
	sheet, auto := false, ""
	lines := 0
	for line := range bytes.Lines(b) {
		if lines++; lines%4096 == 0 {
			if err := j.Check(); err != nil {
				return err
			}
		}
		if bytes.IndexByte(line, '|') >= 0 {
			subject := line
			if sylk {
				subject = bytes.ReplaceAll(line, []byte(";E"), []byte("=")) // a formula's field
			}
			if command := ddeCell(subject); command != "" {
				j.Mark(f, format.DDE, command)
			}
		}
		if !sylk {
			continue
		}
		switch upper := strings.ToUpper(string(line[:min(len(line), 200)])); {
		case strings.HasPrefix(upper, "O;"):
			// The option E: the file is a macro sheet.
			sheet = sheet || strings.Contains(strings.TrimRight(upper, "\r\n")+";", ";E;")
		case strings.HasPrefix(upper, "NN;"):
			if strings.Contains(upper, ";NAUTO_OPEN") || strings.Contains(upper, ";NAUTO_CLOSE") {
				auto = "Auto_Open"
			}
		case strings.HasPrefix(upper, "C;"):
			if i := bytes.Index(line, []byte(";E")); i >= 0 && len(formulas) < 1<<20 {
				formulas = append(append(formulas, '='), line[i+2:]...)
			}
		}
	}
	if !sheet && auto == "" {
		return nil
	}
	j.Mark(f, format.MacroSheet, "")
	if auto != "" {
		j.Mark(f, format.MacroAutorun, auto)
	}
	if len(formulas) == 0 {
		return nil
	}
	return sheetFormulas(j, f, formulas)
}

// addIn reads programs that are add-ins of Excel, which runs them when they are
// opened. They export xlAutoOpen.
type addIn struct{}

func (addIn) Name() string { return "addin" }

func (addIn) Reads(f *format.File) bool {
	return f.Type == "application/x-msdownload" && bytes.Contains(f.Data, []byte("xlAutoOpen\x00"))
}

func (addIn) Open(j *format.Job, f *format.File) error {
	j.Mark(f, format.MacroAutorun, "xlAutoOpen")
	return nil
}
