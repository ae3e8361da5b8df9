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
	var list []module
	if dir := c.find(storage, "dir"); dir != nil {
		if packed, _, err := j.Read(c.open(dir), -1); err == nil || len(packed) > 0 {
			if text, err := expand(j, packed); err != nil {
				return err
			} else {
				list = modules(text)
			}
		}
	}
	var p macros
	var cache []byte // the p-code of all modules
	for i := range c.entries {
		e := &c.entries[i]
		if !e.stream || !strings.EqualFold(e.storage, storage) || strings.EqualFold(e.name, "dir") {
			continue
		}
		data, _, _ := j.Read(c.open(e), int64(min(e.size, uint64(len(f.Data)))))
		if err := j.Check(); err != nil {
			return err
		}
		if len(e.name) > 1 && (e.name[0] == '_' || strings.HasPrefix(e.name, "__SRP_")) {
			if strings.EqualFold(e.name, "_VBA_PROJECT") {
				p.names = data
			}
			continue
		}
		name, offset := e.name, -1
		for _, m := range list {
			if strings.EqualFold(m.stream, e.name) {
				name, offset = m.name, m.offset
			}
		}
		text, err := source(j, data, offset)
		if err != nil {
			return err
		}
		if offset > 0 {
			cache = append(cache, data[:min(offset, len(data), 1<<20)]...)
		}
		p.add(name, text, offset >= 0 && text == nil)
	}
	p.cache = cache
	return p.report(j, f)
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
	var p macros
	for _, at := range sources(f.Data) {
		text, err := expand(j, f.Data[at:])
		if err != nil {
			return err
		}
		if len(text) > 0 {
			p.add("", text, false)
		}
	}
	return p.report(j, f)
}

// withoutAttributes drops the lines that only describe the module.
// [MS-VBAL] section 4.2: attributes are Attribute statements.
func withoutAttributes(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for line := range bytes.Lines(text) {
		if !bytes.HasPrefix(line, []byte("Attribute VB_")) {
			out = append(out, line...)
		}
	}
	return bytes.Trim(out, "\r\n\x00 \t")
}
