package document

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"strings"

	"spamcatcher/signatures/unpack/format"
)

// word marks encrypted documents and judges the fields in the text of one.
// [MS-DOC] sections 2.5.2 and 2.8.25: FibBase; a field begins with 0x13, its code
// ends with 0x14 or 0x15.
func word(j *format.Job, f *format.File, b []byte) {
	if len(b) < 32 {
		return
	}
	if binary.LittleEndian.Uint16(b) == 0xA5EC && b[0x0B]&1 != 0 {
		j.Mark(f, format.OfficeLocked, "")
		return
	}
	for at, fields := 0, 0; fields < 20000; fields++ {
		i := bytes.IndexByte(b[at:], 0x13)
		if i < 0 {
			return
		}
		at += i + 1
		code := b[at:min(len(b), at+1024)]
		if len(code) > 2 && code[0] == 0 {
			text := utf16Text(code[1:])
			if end := strings.IndexAny(text, "\x14\x15"); end >= 0 {
				field(j, f, text[:end])
			}
		} else if end := bytes.IndexAny(code, "\x14\x15"); end >= 0 {
			field(j, f, string(code[:end]))
		}
	}
}

// fieldSigns are what may stand in the code of a field besides its words.
var fieldSigns = strings.NewReplacer("\x13", " ", "\x00", "")

// field judges the code of a field. ECMA-376 part 1 section 17.16.5; DDE and
// DDEAUTO are in [MS-OI29500].
func field(j *format.Job, f *format.File, code string) {
	words := strings.Fields(fieldSigns.Replace(code[:min(len(code), 4096)]))
	if len(words) == 0 {
		return
	}
	rest := strings.Trim(strings.Join(words[1:], " "), `" `)
	switch strings.ToUpper(strings.Trim(words[0], `"`)) {
	case "DDE", "DDEAUTO":
		j.Mark(f, format.DDE, rest)
	case "HYPERLINK":
		if a := addressIn(rest); a != "" {
			j.Link(f, a)
		}
	case "INCLUDETEXT", "IMPORT", "INCLUDE":
		if target, _, _ := strings.Cut(rest, `"`); remote(strings.ReplaceAll(target, `\\`, `\`)) || remote(target) {
			j.Mark(f, format.External, target)
		}
	}
}

// powerpoint emits the objects in a presentation and notes its links. [MS-PPT]
// section 2.3.1: a record has a header of 8 bytes; containers have version 15.
func powerpoint(j *format.Job, f *format.File, b []byte) error {
	const (
		cString         = 0x0FBA
		interactiveInfo = 0x0FF3
		objectStorage   = 0x1011
	)
	le := binary.LittleEndian
	for len(b) >= 8 {
		version, kind, size := le.Uint16(b), le.Uint16(b[2:]), uint64(le.Uint32(b[4:]))
		b = b[8:]
		if version&15 == 15 {
			continue
		}
		value := b[:min(size, uint64(len(b)))]
		b = b[len(value):]
		switch kind {
		case cString:
			if len(value) < 8192 {
				if a := addressIn(utf16Text(value)); a != "" {
					j.Link(f, a)
				}
			}
		case interactiveInfo:
			// [MS-PPT] section 2.8.6: action 2 runs a program.
			if len(value) >= 9 && value[8] == 2 {
				j.Mark(f, format.MacroExecute, "action that runs a program")
			}
		case objectStorage:
			if err := objectIn(j, value, version>>4 == 1); err != nil {
				return err
			}
		}
		if err := j.Check(); err != nil {
			return err
		}
	}
	return nil
}

// objectIn emits the compound file of an object, [MS-PPT] section 2.10.34:
// compressed after its size, or plain.
func objectIn(j *format.Job, b []byte, compressed bool) error {
	if !compressed {
		return j.Emit(&format.File{Kind: format.Object, Name: "object", Data: b})
	}
	if len(b) < 6 {
		return nil
	}
	r, err := zlib.NewReader(bytes.NewReader(b[4:]))
	if err != nil {
		return nil
	}
	data, cut, err := j.Read(r, int64(len(b)))
	if err == format.ErrStop {
		return err
	}
	return j.Emit(&format.File{Kind: format.Object, Name: "object", Data: data, Cut: cut})
}

// activeMime reads what Word and Excel write for macros beside pages and flat XML:
// a compound file, compressed. There is no public specification: the compressed
// stream begins where the zlib header is, at offset 0x32 or 0x22A.
type activeMime struct{}

func (activeMime) Name() string { return "activemime" }

func (activeMime) Reads(f *format.File) bool { return bytes.HasPrefix(f.Data, []byte("ActiveMime")) }

func (activeMime) Open(j *format.Job, f *format.File) error {
	for _, at := range []int{0x32, 0x22A} {
		if at >= len(f.Data) {
			break
		}
		r, err := zlib.NewReader(bytes.NewReader(f.Data[at:]))
		if err != nil {
			continue
		}
		data, cut, err := j.Read(r, int64(len(f.Data)))
		if err == format.ErrStop {
			return err
		}
		return j.Emit(&format.File{Kind: format.Object, Name: "editdata", Data: data, Cut: cut})
	}
	return errCompound
}
