package document

import (
	"bytes"

	"spamcatcher/signatures/unpack/format"
)

// archiveFormat hands saved pages (.mht) on as the messages that they are.
// RFC 2557.
type archiveFormat struct{}

func (archiveFormat) Name() string { return "mhtml" }

func (archiveFormat) Reads(f *format.File) bool {
	if f.Type != "" || f.Kind == format.Mail || len(f.Data) < 64 {
		return false
	}
	head := bytes.TrimLeft(f.Data[:min(len(f.Data), 1024)], "\r\n\t ")
	if i := bytes.IndexByte(head[:min(len(head), 40)], ':'); i < 2 || bytes.ContainsAny(head[:i], " <{(\"") {
		return false
	}
	return indexFold(head, "content-type: multipart/related") >= 0
}

func (archiveFormat) Open(j *format.Job, f *format.File) error {
	return j.Emit(&format.File{Kind: format.Object, Name: f.Name, Type: "message/rfc822", Data: f.Data})
}
