package document

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode"

	"spamcatcher/signatures/unpack/format"
)

// noteFormat reads OneNote sections for the files that lie embedded in them.
// [MS-ONESTORE]: they are found by their header, wherever it stands, without trust
// in the tables of the store.
type noteFormat struct{}

func (noteFormat) Name() string { return "onenote" }

func (noteFormat) Reads(f *format.File) bool { return strings.Contains(f.Type, "onenote") }

// noteFile is guidHeader of a FileDataStoreObject, [MS-ONESTORE] section 2.6.13:
// {BDE316E7-2665-4511-A4C4-8D4D0B7A9EAC}, then eight bytes of length and twelve
// without meaning.
const (
	noteFile    = "\xe7\x16\xe3\xbd\x65\x26\x11\x45\xa4\xc4\x8d\x4d\x0b\x7a\x9e\xac"
	noteStrings = 500
)

func (noteFormat) Open(j *format.Job, f *format.File) error {
	b := f.Data
	var names []string
	looked := false
	for {
		i := bytes.Index(b, []byte(noteFile))
		if i < 0 {
			return nil
		}
		b = b[i+len(noteFile):]
		if len(b) < 20 {
			return nil
		}
		length := binary.LittleEndian.Uint64(b)
		b = b[20:]
		data, cut := b, length > uint64(len(b))
		if cut {
			// The rest, and the files in it: the length may be there to hide them.
			data, _ = j.Take(b)
		} else {
			data = b[:length]
		}
		if err := j.Check(); err != nil {
			return err
		}
		x := &format.File{Kind: format.Object, Type: format.Detect(data), Data: data, Cut: cut}
		if strings.HasPrefix(x.Type, "image/") {
			x.Kind = format.Stream
		} else if len(data) > 0 {
			if !looked {
				looked, names = true, noteNames(f.Data)
			}
			// The names stand elsewhere, in the order of the files.
			if len(names) > 0 {
				x.Name, names = names[0], names[1:]
			}
			j.Mark(f, format.NoteObject, x.Name)
		}
		if err := j.Emit(x); err != nil {
			return err
		}
		if !cut {
			b = b[len(data):]
		}
	}
}

// noteNames finds the names of embedded files: strings of UTF-16 with their length
// before them that end in a dot and an extension.
func noteNames(b []byte) (names []string) {
	seen := map[string]bool{}
	for at := 5; at+1 < len(b) && len(names) < noteStrings; at++ {
		i := bytes.Index(b[at:], []byte(".\x00"))
		if i < 0 {
			return names
		}
		at += i
		// The dot's extension, then the zero that ends the string or whatever else.
		end := at + 2
		for end+1 < len(b) && b[end+1] == 0 && isWord(b[end]) && end < at+14 {
			end += 2
		}
		if end < at+4 {
			continue
		}
		start := at
		for start >= 6 && at-start < 400 && !ends(b[start-2], b[start-1]) {
			start -= 2
			// [MS-ONESTORE] section 2.6.8: a property of variable size begins with its
			// length in bytes.
			length := int64(binary.LittleEndian.Uint32(b[max(0, start-4):]))
			if n := int64(end - start); length == n || length == n+2 {
				name := decodeUTF16(b[start:end], false)
				if !seen[name] {
					seen[name] = true
					names = append(names, name)
				}
				at = end
				break
			}
		}
	}
	return names
}

func isWord(c byte) bool {
	return unicode.IsLetter(rune(c)) && c < 128 || c >= '0' && c <= '9'
}

// ends says whether a unit of UTF-16 cannot be part of a file name.
func ends(low, high byte) bool {
	return high == 0 && (low < ' ' || strings.IndexByte(`/\<>|"?*`, low) >= 0)
}
