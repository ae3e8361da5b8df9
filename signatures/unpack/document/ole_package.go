package document

import (
	"bytes"
	"encoding/binary"
	"regexp"
	"strings"

	"spamcatcher/signatures/unpack/format"
)

// native emits the file in an Ole10Native stream. [MS-OLEDS] section 2.3.6: a size
// before the data; the data of a package begin with the names of the file.
func native(j *format.Job, f *format.File, b []byte) error {
	if len(b) < 4 {
		return nil
	}
	return packaged(j, f, b[4:])
}

// packaged emits the file that the Object Packager wrapped: type, label, path,
// then for an embedded file a temporary path, size and content. What does not
// look so is emitted as it is.
func packaged(j *format.Job, f *format.File, b []byte) error {
	name, data, ok := unwrapPackage(b)
	if !ok {
		if len(b) == 0 {
			return nil
		}
		return j.Emit(&format.File{Kind: format.Object, Name: "native", Data: b})
	}
	j.Mark(f, format.EmbeddedFile, name)
	if len(data) == 0 {
		return nil
	}
	return j.Emit(&format.File{Kind: format.Object, Name: name, Data: data})
}

func unwrapPackage(b []byte) (name string, data []byte, ok bool) {
	if len(b) < 8 || binary.LittleEndian.Uint16(b) != 2 {
		return "", nil, false
	}
	rest := b[2:]
	label, rest, found := bytes.Cut(rest, []byte{0})
	if !found || len(label) > 1024 {
		return "", nil, false
	}
	path, rest, found := bytes.Cut(rest, []byte{0})
	if !found || len(path) > 4096 || len(rest) < 4 {
		return "", nil, false
	}
	name = string(label)
	if name == "" {
		name = string(path)
	}
	// A type: 3 is an embedded file, 1 a link to one.
	kind := binary.LittleEndian.Uint16(rest[2:])
	rest = rest[4:]
	if kind == 1 {
		return string(path), nil, true
	}
	if len(rest) < 4 {
		return name, nil, true
	}
	skip := uint64(binary.LittleEndian.Uint32(rest))
	rest = rest[4:]
	if skip > uint64(len(rest)) || uint64(len(rest))-skip < 4 {
		return name, rest, true
	}
	rest = rest[skip:]
	size := uint64(binary.LittleEndian.Uint32(rest))
	rest = rest[4:]
	return name, rest[:min(size, uint64(len(rest)))], true
}

// urlMoniker is {79EAC9E0-BAF9-11CE-8C82-00AA004BA90B} as stored,
// [MS-OSHARED] section 2.3.7.6.
const urlMoniker = "\xe0\xc9\xea\x79\xf9\xba\xce\x11\x8c\x82\x00\xaa\x00\x4b\xa9\x0b"

// moniker marks the address that a linked object is fetched from.
// [MS-OLEDS] section 2.3.3: the OLEStream.
func moniker(j *format.Job, f *format.File, b []byte) error {
	for i := 0; i < 8; i++ {
		at := bytes.Index(b, []byte(urlMoniker))
		if at < 0 {
			break
		}
		b = b[at+16:]
		if len(b) < 4 {
			break
		}
		size := uint64(binary.LittleEndian.Uint32(b))
		text := utf16Text(b[4:min(uint64(len(b)), 4+min(size, 8192))])
		text, _, _ = strings.Cut(text, "\x00")
		j.Mark(f, format.External, text)
		j.Link(f, text)
	}
	// Other monikers name a file: only one that is elsewhere counts.
	if found := elsewhere.Find(narrowed(b[:min(len(b), 4096)])); found != nil {
		j.Mark(f, format.External, string(found))
	}
	return nil
}

// elsewhere is an address or the name of a file on another machine.
var elsewhere = regexp.MustCompile(`(?i)(?:https?|ftp|mhtml|script|ms-\w+):[^\s"'<>\x00-\x1f]{3,500}|\\\\[\w.@-]{3,200}\\[^\s"'<>\x00-\x1f]{1,300}`)

// narrowed drops zeros, so that UTF-16 in ASCII reads as ASCII.
func narrowed(b []byte) []byte { return bytes.ReplaceAll(b, []byte{0}, nil) }

// remote says whether an address leads to another machine: a scheme of the web, or
// a host's share. Templates on the writer's own disk are in every document.
func remote(address string) bool {
	a := strings.ToLower(strings.TrimSpace(strings.ReplaceAll(address, "\\", "/")))
	for _, scheme := range []string{"http:", "https:", "ftp:", "mhtml:", "script:", "x-usc:", "its:", "ms-its:"} {
		if strings.HasPrefix(a, scheme) {
			return true
		}
	}
	if path, ok := strings.CutPrefix(a, "file:"); ok {
		trimmed := strings.TrimLeft(path, "/")
		slashes := len(path) - len(trimmed)
		if slashes == 3 || slashes == 1 || slashes == 0 || strings.HasPrefix(trimmed, "localhost/") {
			return false
		}
		a = "//" + trimmed
	}
	// A share: two slashes and a host, no drive.
	host, ok := strings.CutPrefix(a, "//")
	return ok && len(host) > 2 && host[1] != ':'
}

// overlongFont says whether the MTEF data of an equation name a font longer than
// the 32 bytes that the editor keeps for it, which is the exploit of CVE-2017-11882.
func overlongFont(b []byte) bool {
	// EQNOLEFILEHDR has 28 bytes, the MTEF header 5.
	if len(b) < 36 || binary.LittleEndian.Uint16(b) != 28 {
		return false
	}
	for i := 33; i < min(len(b)-3, 64); i++ {
		if b[i] == 8 {
			name := b[i+3:]
			if n := bytes.IndexByte(name, 0); n > 40 || n < 0 && len(name) > 40 {
				return true
			}
			return false
		}
	}
	return false
}

// ole1 opens an OLE1 object as RTF carries it. [MS-OLEDS] section 2.2.
func ole1(j *format.Job, f *format.File, b []byte) (class string, err error) {
	le := binary.LittleEndian
	text := func(rest []byte) (string, []byte, bool) {
		if len(rest) < 4 {
			return "", nil, false
		}
		n := uint64(le.Uint32(rest))
		if n > uint64(len(rest)-4) || n > 4096 {
			return "", nil, false
		}
		return strings.TrimRight(string(rest[4:4+n]), "\x00"), rest[4+n:], true
	}
	whole := func() (string, error) {
		at := bytes.Index(b, []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"))
		return class, j.Emit(&format.File{Kind: format.Object, Name: "object", Data: b[max(at, 0):]})
	}
	if len(b) < 8 {
		return "", nil
	}
	kind := le.Uint32(b[4:])
	class, rest, ok := text(b[8:])
	if !ok || kind != 1 && kind != 2 {
		return whole()
	}
	topic, rest, ok := text(rest)
	if !ok {
		return whole()
	}
	if kind == 1 {
		// A link: the topic is the file.
		if remote(topic) {
			j.Mark(f, format.External, topic)
		}
		return class, nil
	}
	if _, rest, ok = text(rest); !ok || len(rest) < 4 {
		return whole()
	}
	size := uint64(le.Uint32(rest))
	rest = rest[4:]
	data := rest[:min(size, uint64(len(rest)))]
	if len(data) == 0 {
		data = rest
	}
	if strings.EqualFold(class, "package") {
		return class, packaged(j, f, data)
	}
	if len(data) == 0 {
		return class, nil
	}
	return class, j.Emit(&format.File{Kind: format.Object, Name: class, Data: data})
}
