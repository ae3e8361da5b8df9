package document

import (
	"encoding/binary"
	"strings"

	"spamcatcher/signatures/unpack/format"
)

// binarySheet reads the parts of binary workbooks (.xlsb). [MS-XLSB] section 2.1.4:
// numbers and sizes of records are of variable length.
type binarySheet struct{}

func (binarySheet) Name() string { return "binarysheet" }

// Reads looks for the record that begins a workbook, a sheet or an external link.
func (binarySheet) Reads(f *format.File) bool {
	b := f.Data
	return f.Kind == format.Member && len(b) > 8 && (string(b[:3]) == "\x83\x01\x00" || string(b[:3]) == "\x81\x01\x00" || string(b[:2]) == "\xe8\x02")
}

func (binarySheet) Open(j *format.Job, f *format.File) error {
	const (
		brtName      = 39
		brtBeginBook = 360 // BrtBeginSupBook
	)
	macro := strings.Contains(strings.ToLower(f.Name), "macrosheet") // as its path in the package says
	if macro {
		j.Mark(f, format.MacroSheet, "")
	}
	var formulas []byte
	records := 0
	for b := f.Data; ; {
		id, rest, ok := variable(b, 2)
		if !ok {
			break
		}
		size, rest, ok := variable(rest, 4)
		if !ok {
			break
		}
		v := rest[:min(uint64(size), uint64(len(rest)))]
		b = rest[len(v):]
		if records++; records%4096 == 0 {
			if err := j.Check(); err != nil {
				return err
			}
		}
		switch {
		case id == brtName && len(v) > 13:
			if name := strings.ToLower(prefixed(v[9:])); strings.Contains(name, "auto_open") || strings.Contains(name, "auto_close") {
				j.Mark(f, format.MacroAutorun, name)
			}
		case id == brtBeginBook && len(v) > 6 && binary.LittleEndian.Uint16(v) == 1:
			// [MS-XLSB] section 2.4.204: 1 is DDE; program and topic follow.
			program := prefixed(v[2:])
			j.Mark(f, format.DDE, program+" "+prefixed(v[min(len(v), 6+2*len([]rune(program))):]))
		case macro && id >= 8 && id <= 11 && len(formulas) < 1<<20:
			// [MS-XLSB] section 2.4.662: a cell with a formula. Its tokens are those of
			// other workbooks but for the references; the text in it is UTF-16.
			for _, x := range []struct {
				number byte
				name   string
			}{{110, "EXEC("}, {150, "CALL("}, {149, "REGISTER("}} {
				if calls(v, x.number) {
					formulas = append(append(formulas, '='), x.name...)
				}
			}
			formulas = append(append(formulas, narrowed(v)...), '\n')
		}
	}
	if len(formulas) == 0 {
		return nil
	}
	return sheetFormulas(j, f, formulas)
}

// calls says whether an expression calls a function: a token, the number of
// arguments, the number of the function.
func calls(v []byte, number byte) bool {
	for i := 0; i+4 <= len(v); i++ {
		if t := v[i]; (t == 0x22 || t == 0x42 || t == 0x62) && v[i+1] < 31 && v[i+2] == number && v[i+3]&0x7F == 0 {
			return true
		}
	}
	return false
}

// variable reads a number of seven bits a byte, of at most so many bytes.
func variable(b []byte, most int) (n uint32, rest []byte, ok bool) {
	for i := range most {
		if i >= len(b) {
			return 0, nil, false
		}
		n |= uint32(b[i]&0x7F) << (7 * i)
		if b[i] < 0x80 || i == 1 && most == 2 {
			return n, b[i+1:], true
		}
	}
	return n, b[most:], true
}

// prefixed is a string after its length in characters.
func prefixed(b []byte) string {
	if len(b) < 4 {
		return ""
	}
	n := uint64(binary.LittleEndian.Uint32(b))
	b = b[4:]
	return utf16Text(b[:min(2*n, uint64(len(b))/2*2)])
}
