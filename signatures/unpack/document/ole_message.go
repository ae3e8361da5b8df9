package document

import (
	"encoding/binary"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"spamcatcher/signatures/unpack/format"
)

// utf16Text decodes little-endian UTF-16.
func utf16Text(b []byte) string {
	return string(fromUTF16(b))
}

// fromUTF16 is little-endian UTF-16 in UTF-8. It takes little more memory than what
// it returns: texts of many megabytes come this way.
func fromUTF16(b []byte) []byte {
	out := make([]byte, 0, len(b)/2+16)
	for len(b) >= 2 {
		r := rune(binary.LittleEndian.Uint16(b))
		b = b[2:]
		if utf16.IsSurrogate(r) && len(b) >= 2 {
			if pair := utf16.DecodeRune(r, rune(binary.LittleEndian.Uint16(b))); pair != utf8.RuneError {
				r = pair
				b = b[2:]
			}
		}
		out = utf8.AppendRune(out, r)
	}
	return out
}

// property emits what a property of an Outlook message holds: bodies and
// attachments. [MS-OXMSG] section 2.1.3: the stream's name ends in the property's
// number and type.
func (d *oleFile) property(e *entry, name string, data []byte, cut bool) error {
	tag := strings.TrimPrefix(name, "__substg1.0_")
	if len(tag) < 8 {
		return nil
	}
	switch tag[:8] {
	case "1000001f": // PidTagBody
		return d.j.Emit(&format.File{Kind: format.Part, Declared: "text/plain", Data: fromUTF16(data), Cut: cut})
	case "1000001e":
		return d.j.Emit(&format.File{Kind: format.Part, Declared: "text/plain", Data: data, Cut: cut})
	case "10130102", "1013001e": // PidTagHtml
		return d.j.Emit(&format.File{Kind: format.Part, Declared: "text/html", Data: data, Cut: cut})
	case "1013001f":
		return d.j.Emit(&format.File{Kind: format.Part, Declared: "text/html", Data: fromUTF16(data), Cut: cut})
	case "10090102": // PidTagRtfCompressed
		text, err := uncompressRTF(d.j, data)
		if err != nil || len(text) == 0 {
			return err
		}
		return d.j.Emit(&format.File{Kind: format.Part, Declared: "application/rtf", Data: text, Cut: cut})
	case "37010102": // PidTagAttachDataBinary
		return d.j.Emit(&format.File{Kind: format.Part, Name: d.attachmentName(e.storage), Data: data, Cut: cut})
	}
	if format.Detect(data) == "" {
		return nil
	}
	return d.j.Emit(&format.File{Kind: format.Stream, Name: name, Data: data, Cut: cut})
}

// attachmentName is the long or the short name of the attachment in a storage.
func (d *oleFile) attachmentName(storage string) string {
	for _, tag := range []string{"3707001F", "3707001E", "3704001F", "3704001E"} {
		e := d.c.find(storage, "__substg1.0_"+tag)
		if e == nil || e.size > 4096 {
			continue
		}
		data, _, err := d.read(e)
		if err != nil {
			return ""
		}
		if strings.HasSuffix(tag, "F") {
			return utf16Text(data)
		}
		return string(data)
	}
	return ""
}

// A rtfReader expands compressed RTF. [MS-OXRTFCP] section 2.2.
type rtfReader struct {
	in    []byte
	ring  [4096]byte
	write int
	flags int // those left, above a guard bit
	ready []byte
	store [17]byte
}

// rtfDictionary is what the ring holds at first, [MS-OXRTFCP] section 2.1.3.1.1.
const rtfDictionary = `{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0` + "\r\n" + `\par \pard\plain\f0\fs20\b\i\u\tab\tx`

// uncompressRTF expands the body of an Outlook message.
func uncompressRTF(j *format.Job, b []byte) ([]byte, error) {
	if len(b) < 16 {
		return nil, nil
	}
	if string(b[8:12]) == "MELA" {
		return b[16:], nil
	}
	if string(b[8:12]) != "LZFu" {
		return nil, nil
	}
	r := &rtfReader{in: b[16:], flags: 1}
	r.write = copy(r.ring[:], rtfDictionary)
	data, _, err := j.Read(r, int64(len(b)))
	if err == format.ErrStop {
		return nil, err
	}
	return data, nil
}

func (r *rtfReader) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(r.ready) == 0 {
			if err := r.next(); err != nil {
				return n, err
			}
		}
		k := copy(p[n:], r.ready)
		r.ready = r.ready[k:]
		n += k
	}
	return n, nil
}

// next expands one token.
func (r *rtfReader) next() error {
	if r.flags == 1 {
		if len(r.in) == 0 {
			return io.EOF
		}
		r.flags = int(r.in[0]) | 0x100
		r.in = r.in[1:]
	}
	reference := r.flags&1 == 1
	r.flags >>= 1
	out := r.store[:0]
	put := func(b byte) {
		out = append(out, b)
		r.ring[r.write] = b
		r.write = (r.write + 1) & 4095
	}
	if !reference {
		if len(r.in) == 0 {
			return io.EOF
		}
		put(r.in[0])
		r.in = r.in[1:]
	} else {
		if len(r.in) < 2 {
			return io.EOF
		}
		token := int(binary.BigEndian.Uint16(r.in))
		r.in = r.in[2:]
		at := token >> 4
		if at == r.write {
			return io.EOF // [MS-OXRTFCP] section 2.2.3.1: a reference to the write position ends the text
		}
		for range token&15 + 2 {
			put(r.ring[at])
			at = (at + 1) & 4095
		}
	}
	r.ready = out
	return nil
}
