package archive

import (
	"bytes"
	"encoding/binary"

	"spamcatcher/signatures/unpack/format"
)

// zipGuest reads zip archives at the end of containers of other formats, as readers
// of zip do that search for the end record only. Most are members that are not
// compressed, or objects in a document, and the container's own reader finds them;
// so that end records, names and sizes contradict each other means nothing.
type zipGuest struct{}

func (zipGuest) Name() string { return "zip-guest" }

func (zipGuest) Reads(f *format.File) bool {
	return len(f.Data) >= 22 && f.Kind != format.Mail && guest(f) && zipAtEnd(f.Data)
}

func (zipGuest) Open(j *format.Job, f *format.File) error { return openZip(j, f, true) }

// zipAtEnd says that b may end with an archive, whatever stands in front of it.
func zipAtEnd(b []byte) bool { return bytes.Contains(b[max(0, len(b)-zipTail):], zipEnd) }

// guest says that an archive at the end of f is what f holds: a member that is not
// compressed, or an object.
func guest(f *format.File) bool {
	switch f.Type {
	case "application/x-ole-storage", "application/x-tar", "application/x-7z-compressed", "application/vnd.rar", "application/vnd.ms-cab-compressed",
		"application/x-iso9660-image", "application/x-arj", "application/x-lzh", "application/x-wim", "application/x-vhd", "application/ms-tnef", "application/onenote", "message/rfc822":
		return true
	case "application/pdf":
		// What is no stream of the PDF stands behind it.
		tail := f.Data[max(0, len(f.Data)-zipTail):]
		at := bytes.LastIndex(tail, zipEnd)
		if at < 0 || len(tail) < at+22 {
			return false
		}
		behind := tail[min(len(tail), at+22+int(binary.LittleEndian.Uint16(tail[at+20:]))):]
		return bytes.HasPrefix(bytes.TrimLeft(behind, "\r\n"), []byte("endstream"))
	}
	return false
}
