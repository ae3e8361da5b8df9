package document

import (
	"bytes"
	"strings"

	"spamcatcher/signatures/unpack/format"
)

// archiveHead is how far into a file the header of a saved page is looked for, in
// bytes.
const archiveHead = 64 << 10

// archiveFormat hands saved pages (.mht) on as the messages that they are, RFC 2557:
// also those that begin as something else, since word processors look for
// the header further down.
type archiveFormat struct{}

func (archiveFormat) Name() string { return "mhtml" }

func (archiveFormat) Reads(f *format.File) bool {
	switch {
	case f.Kind == format.Mail || f.Kind == format.Macro || f.Kind == format.Script || len(f.Data) < 64 || f.Type == "message/rfc822" || f.Type == "text/rfc822-headers":
		return false
	case f.Parent == nil && f.Name == "" && strings.HasPrefix(f.Declared, "text/"):
		return false // the text of a message
	case strings.HasPrefix(f.Type, "application/") && f.Type != "application/pdf" && f.Type != "application/rtf":
		return false // containers hand their files on themselves
	}
	return archiveHeader(f.Data) >= 0
}

func (archiveFormat) Open(j *format.Job, f *format.File) error {
	data, cut := j.Take(f.Data[archiveHeader(f.Data):])
	return j.Emit(&format.File{Kind: format.Object, Name: f.Name, Type: "message/rfc822", Data: data, Cut: cut})
}

// archiveHeader is where the header of a message of several parts begins: its
// fields MIME-Version and Content-Type with a boundary. It is -1 if there is none,
// and if b is a message from its beginning.
func archiveHeader(b []byte) int {
	version, kind := -1, -1
	for at := 0; at < min(len(b), archiveHead) && (version < 0 || kind < 0); at++ {
		i := bytes.IndexByte(b[at:min(len(b), archiveHead)], ':')
		if i < 0 {
			break
		}
		at += i
		start := at - len("content-type")
		if start < 0 || start > 0 && (b[start-1] == ' ' || b[start-1] == '\t' || b[start-1] > ' ' && b[start-1] < 0x7f) {
			continue
		}
		switch {
		case version < 0 && equalFold(b[start:at], "mime-version"):
			version = start
		case kind < 0 && equalFold(b[start:at], "content-type"):
			value := bytes.TrimLeft(b[at+1:min(len(b), at+1024)], " \t\r\n")
			if len(value) > 10 && equalFold(value, "multipart/") && indexFold(value, "boundary") > 0 {
				kind = start
			}
		}
	}
	if version < 0 || kind < 0 {
		return -1
	}
	start := min(version, kind)
	if between := b[start:max(version, kind)]; bytes.Contains(between, []byte("\n\n")) || bytes.Contains(between, []byte("\n\r\n")) {
		start = kind
	}
	if isHeader(b[:start]) {
		return -1
	}
	return start
}

// isHeader says that all lines are fields of a header, so that who reads mail reads
// from the beginning.
func isHeader(b []byte) bool {
	for line := range bytes.Lines(bytes.TrimLeft(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), "\r\n")) {
		if line[0] == ' ' || line[0] == '\t' {
			continue
		}
		name, _, found := bytes.Cut(line, []byte(":"))
		if !found || bytes.ContainsAny(name, " \t<>(\"") {
			return false
		}
		for _, c := range name {
			if c < ' ' || c >= 0x7f {
				return false
			}
		}
	}
	return true
}
