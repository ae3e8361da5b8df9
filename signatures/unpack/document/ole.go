package document

import (
	"bytes"
	"strings"

	"spamcatcher/signatures/unpack/format"
)

// ole reads OLE2 compound files: Word, Excel and PowerPoint documents before
// 2007, VBA projects, Outlook messages, installers, encrypted documents.
type ole struct{}

func (ole) Name() string { return "ole" }

func (ole) Reads(f *format.File) bool { return f.Type == "application/x-ole-storage" }

func (ole) Open(j *format.Job, f *format.File) error {
	c, err := readCompound(f.Data)
	if err != nil {
		if err := loose(j, f); err != nil {
			return err
		}
		return err
	}
	d := oleFile{j: j, f: f, c: c, vba: map[string]bool{}}
	var projects []string
	// [MS-OLEDS] section 2.1: an object's class. That of the equation editor has
	// been open to exploits since CVE-2017-11882; honest RTF carries it no more.
	if c.entries[0].class == equationClass && f.Kind == format.Object && f.Parent != nil && (rtf{}).Reads(f.Parent) {
		j.Mark(f, format.RTFExploit, "equation")
	}
	for i := range c.entries {
		e := &c.entries[i]
		if strings.EqualFold(e.name, "dir") && e.stream || strings.EqualFold(e.name, "_VBA_PROJECT") && e.stream {
			if storage := strings.ToLower(e.storage); !d.vba[storage] && len(projects) < 64 {
				d.vba[storage] = true
				projects = append(projects, storage)
			}
		}
	}
	var damage error
	for i := range c.entries {
		e := &c.entries[i]
		if !e.stream || e.size == 0 || d.vba[strings.ToLower(e.storage)] {
			continue
		}
		if err := j.Check(); err != nil {
			return err
		}
		if err := d.stream(e); err == format.ErrStop {
			return err
		} else if err != nil && damage == nil {
			damage = err
		}
	}
	for _, storage := range projects {
		if err := project(j, f, c, storage); err != nil {
			return err
		}
	}
	if len(projects) == 0 && bytes.Contains(f.Data, []byte("\x00Attribut")) {
		if err := loose(j, f); err != nil {
			return err
		}
	}
	return damage
}

// equationClass is {0002CE02-0000-0000-C000-000000000046} as stored.
var equationClass = [16]byte{0x02, 0xce, 0x02, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x46}

// oleFile is a compound file that is open.
type oleFile struct {
	j   *format.Job
	f   *format.File
	c   *compound
	vba map[string]bool // storages with a VBA project, in lower case
}

// read is what a stream holds, as far as limits allow.
func (d *oleFile) read(e *entry) ([]byte, bool, error) {
	if b := d.c.slice(e); b != nil {
		data, cut := d.j.Take(b)
		return data, cut, d.j.Check()
	}
	data, cut, err := d.j.Read(d.c.open(e), int64(min(e.size, uint64(len(d.f.Data)))))
	if err == format.ErrStop {
		return nil, true, err
	}
	return data, cut, nil
}

// stream opens what is known by its name, and emits everything else that is a file
// of a known type or that lies scattered over the file.
func (d *oleFile) stream(e *entry) error {
	data, cut, err := d.read(e)
	if err != nil || len(data) == 0 {
		return err
	}
	defer d.j.Done(data)
	switch name := strings.ToLower(e.name); {
	case name == "\x01ole10native":
		return native(d.j, d.f, data)
	case name == "\x01ole":
		return moniker(d.j, d.f, data)
	case name == "equation native":
		if overlongFont(data) {
			d.j.Mark(d.f, format.RTFExploit, "equation")
		}
	case name == "worddocument" && e.storage == "":
		word(d.j, d.f, data)
	case (name == "workbook" || name == "book") && strings.Count(e.storage, "/") < 3:
		return workbook(d.j, d.f, data)
	case name == "powerpoint document" && e.storage == "":
		return powerpoint(d.j, d.f, data)
	case name == "encryptedpackage":
		return d.encrypted(data)
	case name == "encryptedsummary":
		d.j.Mark(d.f, format.OfficeLocked, "")
	case strings.HasPrefix(name, "__substg1.0_"):
		return d.property(e, name, data, cut)
	case name == "package" || name == "contents":
		d.j.Mark(d.f, format.EmbeddedFile, e.path())
		return d.j.Emit(&format.File{Kind: format.Object, Name: e.path(), Data: data, Cut: cut})
	}
	// Word's flat XML keeps objects compressed in streams of a number's name.
	if e.storage == "" && strings.HasPrefix(e.name, "_") && len(data) > 6 && data[4] == 0x78 && (0x7800|int(data[5]))%31 == 0 {
		return objectIn(d.j, data, true)
	}
	kind := format.Detect(data)
	if kind == "" && !d.c.scattered(e) && !(e.name == "o" || e.name == "f") {
		return nil // the document itself is looked at as a whole, and this is a stretch of it
	}
	return d.j.Emit(&format.File{Kind: format.Stream, Name: printable(e.path()), Type: kind, Data: data, Cut: cut})
}

// scattered says whether a stream's sectors are not one after the other.
func (c *compound) scattered(e *entry) bool {
	table, size := c.fat, uint64(1)<<c.shift
	if e.size < miniCutoff {
		table, size = c.minifat, miniSector
	}
	n := min(e.size, uint64(len(c.data))) / size
	for at := uint64(e.start); n > 0; n-- {
		if at >= uint64(len(table)) {
			return false
		}
		next := uint64(table[at])
		if next < lastRegular && next != at+1 {
			return true
		}
		at = next
	}
	return false
}

// slice is a stream whose sectors are one after the other, uncopied; nil for
// others.
func (c *compound) slice(e *entry) []byte {
	at := (uint64(e.start) + 1) << c.shift
	if e.size < miniCutoff || e.start >= lastRegular || at+e.size > uint64(len(c.data)) || e.size > uint64(len(c.data)) || c.scattered(e) {
		return nil
	}
	return c.data[at : at+e.size]
}

// printable drops the control characters that begin the names of special streams.
func printable(name string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return -1
		}
		return r
	}, name)
}
