package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"unicode/utf16"

	"spamcatcher/signatures/unpack/format"
)

// tnef reads winmail.dat: the attachments and bodies that Outlook packs into one
// part. MS-OXTNEF has the attributes, MS-OXCDATA the types of properties.
type tnef struct{}

const tnefMagic = "\x78\x9f\x3e\x22"

func (tnef) Name() string { return "tnef" }

func (tnef) Reads(f *format.File) bool {
	return len(f.Data) > 6 && string(f.Data[:4]) == tnefMagic
}

// Attributes. MS-OXTNEF section 2.1.3.3.
const (
	attBody        = 0x800c
	attAttachData  = 0x800f
	attAttachTitle = 0x8010
	attAttachMeta  = 0x8011
	attRendData    = 0x9002
	attMsgProps    = 0x9003
	attAttachment  = 0x9005
)

// An attached is an attachment whose attributes are being read.
type attached struct {
	begun                 bool
	title, name, long     string
	display, declared     string
	data, object, picture []byte
}

func (tnef) Open(j *format.Job, f *format.File) error {
	c := &cursor{b: f.Data[6:]}
	var a attached
	var damage error
	for len(c.b) > 0 && damage == nil {
		level, id, n := c.byte(), c.le32(), uint64(c.le32())
		if level != 1 && level != 2 {
			// Senders leave zeros and line ends behind; that is no damage.
			if len(bytes.Trim(c.b, "\x00\r\n ")) > 0 || level > ' ' {
				j.Mark(f, format.Damaged, "tnef: bytes behind the end")
			}
			break
		}
		if n > uint64(len(c.b)) {
			n, damage = uint64(len(c.b)), io.ErrUnexpectedEOF
		}
		data := c.take(n)
		c.le16() // checksum
		switch id & 0xffff {
		case attRendData:
			if err := a.emit(j, damage != nil); err != nil {
				return err
			}
			a = attached{begun: true}
		case attAttachTitle:
			a.begun, a.title = true, textOf(data)
		case attAttachData:
			if len(a.data) > 0 { // readers take the first or the last
				j.Mark(f, format.Ambiguous, "tnef: an attachment has two contents")
				if err := a.emit(j, false); err != nil {
					return err
				}
			}
			a.begun, a.data = true, data
		case attAttachMeta:
			a.picture = data
		case attBody:
			if err := emitTaken(j, "body.txt", "text/plain", format.Stream, data); err != nil {
				return err
			}
		case attAttachment, attMsgProps:
			p, err := properties(data)
			if err != nil {
				j.Mark(f, format.Damaged, "tnef: "+err.Error())
			}
			if id&0xffff == attAttachment {
				if len(a.object) > 0 {
					if err := a.emit(j, false); err != nil {
						return err
					}
				}
				a.begun = true
				a.take(p)
			} else if err := bodies(j, f, p); err != nil {
				return err
			}
		}
	}
	if err := a.emit(j, damage != nil); err != nil {
		return err
	}
	return damage
}

// textOf is a string of bytes up to its NUL.
func textOf(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// take notes what the properties say of the attachment.
func (a *attached) take(props []property) {
	for _, p := range props {
		switch p.id {
		case 0x3707:
			a.long = p.text()
		case 0x3704:
			a.name = p.text()
		case 0x3001:
			a.display = p.text()
		case 0x370e:
			a.declared = strings.ToLower(p.text())
		case 0x3701:
			a.object = p.value
			if p.kind == 0x0d && len(a.object) >= 16 { // behind the identifier of an interface
				a.object = a.object[16:]
			}
		}
	}
}

// emit emits the attachment: each of the places where its content may be.
func (a *attached) emit(j *format.Job, cut bool) error {
	if !a.begun {
		return nil
	}
	name := a.long
	for _, s := range []string{a.title, a.name, a.display} {
		if name == "" {
			name = s
		}
	}
	for _, b := range [][]byte{a.data, a.object} {
		if len(b) > 0 {
			data, limited := j.Take(b)
			if err := j.Emit(&format.File{Name: name, Declared: a.declared, Kind: format.Member, Data: data, Cut: cut || limited}); err != nil {
				return err
			}
		}
	}
	if len(a.data)+len(a.object) == 0 {
		return j.Emit(&format.File{Name: name, Declared: a.declared, Kind: format.Member, Cut: cut})
	}
	return nil
}

// emitTaken emits a piece of the container as it is.
func emitTaken(j *format.Job, name, declared string, kind format.Kind, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	data, cut := j.Take(b)
	return j.Emit(&format.File{Name: name, Declared: declared, Kind: kind, Data: data, Cut: cut})
}

// bodies emits the text of the message in each of its forms.
func bodies(j *format.Job, f *format.File, props []property) error {
	for _, p := range props {
		var err error
		switch p.id {
		case 0x1000:
			err = emitTaken(j, "body.txt", "text/plain", format.Stream, []byte(p.text()))
		case 0x1013:
			b := p.value
			if p.kind == 0x1f {
				b = []byte(p.text())
			}
			err = emitTaken(j, "body.html", "text/html", format.Stream, b)
		case 0x1009:
			r, e := newLZFu(p.value)
			if e != nil {
				j.Mark(f, format.Damaged, "tnef: "+e.Error())
				continue
			}
			data, cut, e := j.Read(r, int64(len(p.value)))
			if errors.Is(e, format.ErrStop) {
				return e
			}
			if err = j.Emit(&format.File{Name: "body.rtf", Declared: "text/rtf", Kind: format.Stream, Data: data, Cut: cut}); err == nil && e != nil {
				j.Mark(f, format.Damaged, "tnef: "+e.Error())
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// A property is one value of one. Of several values there are several.
type property struct {
	kind, id uint16
	value    []byte
}

// text is a value as a string.
func (p property) text() string {
	if p.kind != 0x1f {
		return textOf(p.value)
	}
	units := make([]uint16, 0, len(p.value)/2)
	for i := 0; i+1 < len(p.value); i += 2 {
		u := le16(p.value[i:])
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return string(utf16.Decode(units))
}

// propertiesMax bounds the properties that are read of one list.
const propertiesMax = 4096

// properties reads a list of MAPI properties. MS-OXTNEF section 2.1.3.4.
func properties(b []byte) ([]property, error) {
	c := &cursor{b: b}
	var out []property
	for n := c.le32(); n > 0 && len(out) < propertiesMax; n-- {
		kind, id := c.le16(), c.le16()
		if id >= 0x8000 { // a named property
			c.take(16)
			if c.le32() == 0 {
				c.le32()
			} else {
				c.padded(uint64(c.le32()))
			}
		}
		single := kind &^ 0x1000
		size, known := map[uint16]uint64{1: 0, 2: 4, 3: 4, 4: 4, 5: 8, 6: 8, 7: 8, 0x0a: 4, 0x0b: 4, 0x14: 8, 0x40: 8, 0x48: 16, 0x0d: 0, 0x1e: 0, 0x1f: 0, 0x102: 0}[single]
		if !known {
			return out, errors.New("a property of no known type")
		}
		variable := single == 0x0d || single == 0x1e || single == 0x1f || single == 0x102
		count := uint32(1)
		if variable || kind != single {
			count = c.le32()
		}
		for ; count > 0 && !c.bad && len(out) < propertiesMax; count-- {
			p := property{kind: single, id: id}
			if variable {
				p.value = c.padded(uint64(c.le32()))
			} else if p.value = c.take(size); size == 0 {
				break
			}
			if !c.bad {
				out = append(out, p)
			}
		}
		if c.bad {
			return out, io.ErrUnexpectedEOF
		}
	}
	return out, nil
}

// padded takes n bytes, and passes what fills them up to a multiple of four.
func (c *cursor) padded(n uint64) []byte {
	out := c.take(n)
	if !c.bad {
		c.take(min((4-n%4)%4, uint64(len(c.b))))
	}
	return out
}

// An lzfu decodes compressed RTF. MS-OXRTFCP.
type lzfu struct {
	in   []byte
	ring [4096]byte
	at   int
	out  []byte
	left int // bytes that are to come
}

// lzfuStart is what the ring holds at first. MS-OXRTFCP section 2.1.2.1.
const lzfuStart = `{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0` + "\r\n" + `\par \pard\plain\f0\fs20\b\i\u\tab\tx`

func newLZFu(b []byte) (io.Reader, error) {
	if len(b) < 16 {
		return nil, errors.New("compressed RTF without a header")
	}
	size, raw := le32(b), le32(b[4:])
	body := b[16:]
	if n := int64(size) - 12; n >= 0 && n < int64(len(body)) {
		body = body[:n]
	}
	switch binary.LittleEndian.Uint32(b[8:]) {
	case 0x414c454d: // "MELA": not compressed
		return bytes.NewReader(body[:min(int64(len(body)), int64(raw))]), nil
	case 0x75465a4c: // "LZFu"
		z := &lzfu{in: body, left: int(raw)}
		z.at = copy(z.ring[:], lzfuStart)
		return z, nil
	}
	return nil, errors.New("RTF compressed in no known way")
}

// Read implements io.Reader.
func (z *lzfu) Read(p []byte) (int, error) {
	for len(z.out) == 0 {
		if len(z.in) == 0 || z.left <= 0 {
			return 0, io.EOF
		}
		control := z.in[0]
		z.in = z.in[1:]
		for bit := 0; bit < 8 && len(z.in) > 0; bit++ {
			if control>>bit&1 == 0 {
				z.put(z.in[0])
				z.in = z.in[1:]
				continue
			}
			if len(z.in) < 2 {
				z.in = nil
				break
			}
			ref := be16(z.in)
			z.in = z.in[2:]
			from := int(ref >> 4)
			if from == z.at { // the end
				z.in = nil
				break
			}
			for i := range int(ref&15) + 2 {
				z.put(z.ring[(from+i)%len(z.ring)])
			}
		}
		z.out = z.out[:min(len(z.out), z.left)]
		z.left -= len(z.out)
	}
	n := copy(p, z.out)
	z.out = z.out[n:]
	return n, nil
}

func (z *lzfu) put(b byte) {
	z.ring[z.at] = b
	z.at = (z.at + 1) % len(z.ring)
	z.out = append(z.out, b)
}
