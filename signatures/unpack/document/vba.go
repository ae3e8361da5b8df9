package document

import (
	"bytes"
	"encoding/binary"
	"strings"

	"spamcatcher/signatures/unpack/format"
)

// A module is what the dir stream of a VBA project says of one.
type module struct {
	name, stream string
	offset       int
}

// project opens the VBA project in a storage of a compound file: the source text
// of each module is emitted without its attributes, then all are judged together.
// Streams that the project does not list are searched for source too.
func project(j *format.Job, f *format.File, c *compound, storage string) error {
	listed := map[string]module{} // by stream, in lower case
	if dir := c.find(storage, "dir"); dir != nil {
		packed, _, err := j.Read(c.open(dir), -1)
		if err == format.ErrStop {
			return err
		}
		text, err := expand(j, packed)
		if err != nil {
			return err
		}
		for _, m := range modules(text) {
			listed[strings.ToLower(m.stream)] = m
		}
		j.Done(text)
		j.Done(packed)
	}
	p := macros{j: j, f: f}
	for i := range c.entries {
		e := &c.entries[i]
		if !e.stream || !strings.EqualFold(e.storage, storage) || strings.EqualFold(e.name, "dir") {
			continue
		}
		if err := p.stream(c, e, listed); err != nil {
			return err
		}
	}
	return p.finish()
}

// stream reads one stream of a project's storage.
func (m *macros) stream(c *compound, e *entry, listed map[string]module) error {
	data, _, err := m.j.Read(c.open(e), int64(min(e.size, uint64(len(m.f.Data)))))
	if err == format.ErrStop {
		return err
	}
	if strings.HasPrefix(e.name, "_") {
		if strings.EqualFold(e.name, "_VBA_PROJECT") {
			m.readNames(data)
		}
		m.j.Done(data)
		return nil
	}
	name, offset := e.name, -1
	if l, ok := listed[strings.ToLower(e.name)]; ok {
		name, offset = l.name, l.offset
	}
	text, err := source(m.j, data, offset)
	if err != nil {
		return err
	}
	m.compiled += max(0, min(offset, len(data)))
	if err := m.add(name, text, offset >= 0 && text == nil); err != nil {
		return err
	}
	m.j.Done(text)
	m.j.Done(data)
	return nil
}

// expand decompresses a container.
func expand(j *format.Job, packed []byte) ([]byte, error) {
	d := decompress(packed)
	if d == nil {
		return nil, nil
	}
	text, _, err := j.Read(d, int64(len(packed)))
	if err == format.ErrStop {
		return nil, err
	}
	return text, nil
}

// source is the text of a module whose stream is given: what is compressed at the
// offset, or wherever compressed source begins. nil when there is none.
func source(j *format.Job, data []byte, offset int) ([]byte, error) {
	if offset >= 0 && offset < len(data) {
		if text, err := expand(j, data[offset:]); err != nil || len(text) > 0 {
			return text, err
		}
	}
	for _, at := range sources(data) {
		if text, err := expand(j, data[at:]); err != nil || len(text) > 0 {
			return text, err
		}
	}
	return nil, nil
}

// modules reads the records of a dir stream. [MS-OVBA] section 2.3.4.2.
func modules(b []byte) []module {
	const (
		projectVersion   = 0x09
		moduleName       = 0x19
		moduleStreamName = 0x1A
		moduleOffset     = 0x31
	)
	var list []module
	for len(b) >= 6 && len(list) < 1024 {
		id, size := binary.LittleEndian.Uint16(b), binary.LittleEndian.Uint32(b[2:])
		if id == projectVersion {
			size = 6 // [MS-OVBA] section 2.3.4.2.1.11: the field counts two bytes less than follow
		}
		if uint64(size) > uint64(len(b)-6) {
			break
		}
		value := b[6 : 6+size]
		b = b[6+size:]
		switch {
		case id == moduleName:
			list = append(list, module{name: string(value), stream: string(value), offset: -1})
		case len(list) == 0:
		case id == moduleStreamName:
			list[len(list)-1].stream = string(value)
		case id == moduleOffset && size == 4:
			list[len(list)-1].offset = int(binary.LittleEndian.Uint32(value))
		}
	}
	return list
}

// loose searches bytes that are no readable project for compressed source.
func loose(j *format.Job, f *format.File) error {
	p := macros{j: j, f: f}
	for _, at := range sources(f.Data) {
		text, err := expand(j, f.Data[at:])
		if err != nil {
			return err
		}
		if err := p.add("", text, false); err != nil {
			return err
		}
		j.Done(text)
	}
	return p.finish()
}

// withoutAttributes drops the lines that only describe the module, in place: text
// may be many megabytes.
// [MS-VBAL] section 4.2: attributes are Attribute statements.
func withoutAttributes(text []byte) []byte {
	out := text[:0]
	for line := range bytes.Lines(text) {
		if !bytes.HasPrefix(line, []byte("Attribute VB_")) {
			out = append(out, line...)
		}
	}
	return bytes.Trim(out, "\r\n\x00 \t")
}
