// Package unpack turns a message into the files in it, and into those inside
// them: archives, documents, macros, pictures with codes, mails in mails.
package unpack

import (
	"bytes"
	"context"

	"spamcatcher/engine/message"
	"spamcatcher/signatures/unpack/archive"
	"spamcatcher/signatures/unpack/document"
	"spamcatcher/signatures/unpack/format"
	"spamcatcher/signatures/unpack/picture"
)

// Found is what unpacking a message found besides the files.
type Found struct {
	Marks  []format.Mark
	Links  []string // addresses in documents and codes, as written
	Faults []error  // panics of a decoder, and errors of visit
	Files  int      // files found inside the parts
	Bytes  int64    // bytes that were unpacked
}

// Walk calls visit for the message as a whole, each of its parts in each reading,
// and each file inside them, as far as limits allow. All that lies openly in the
// message is visited before the first part is opened. It takes the time that l
// allows at most.
func Walk(ctx context.Context, m *message.Message, l format.Limits, visit func(*format.File) error) Found {
	letters := &mail{open: []*letter{{message: m}}}
	list := append(archive.Formats(), letters)
	list = append(list, document.Formats()...)
	list = append(list, picture.Formats()...)
	j := format.NewJob(ctx, l, list, nil, visit)
	j.AskPasswords(letters.passwords)
	// What stopped the job is among its marks.
	if err := j.Visit(&format.File{Kind: format.Mail, Type: "message/rfc822", Data: m.Raw()}); err == nil {
		_ = parts(j, m, nil)
	}
	return Found{Marks: j.Marks(), Links: j.Links(), Faults: j.Faults(), Files: j.Files(), Bytes: j.Bytes()}
}

// parts emits the leaves of a message, in every reading: first all are visited,
// then each is opened. The leaves of a message that was itself unpacked from a
// file, of, count against the limits; one that is all of that file is nothing new.
func parts(j *format.Job, m *message.Message, of *format.File) error {
	count := of != nil
	// What the parser left unread is a limit like ours.
	if m.Defect(message.LimitDepth) > 0 {
		j.Mark(nil, format.LimitDepth, "parts of a message")
	}
	if m.Defect(message.LimitParts) > 0 {
		j.Mark(nil, format.LimitMembers, "parts of a message")
	}
	var files []*format.File
	for _, p := range m.Parts() {
		f := &format.File{Kind: format.Part, Name: p.Name, Declared: p.MediaType}
		if len(p.Children) == 0 {
			// Decoding makes no more bytes than there are.
			if room, why := j.Room(int64(len(p.Raw()))); count && int64(len(p.Raw())) > room {
				j.Mark(nil, why, "parts of a message")
				f.Cut = true
			} else if f.Data = p.Decoded(); count && len(f.Data) != len(p.Raw()) {
				j.Keep(f.Data)
			}
			if count && whole(f.Data, of.Data) {
				continue
			}
		} else if hidden(p) {
			f.Name, f.Declared, f.Type, f.Data = "header", "", "text/rfc822-headers", header(p.Children[0])
		} else {
			continue
		}
		if count && !f.Cut {
			f.Data, f.Cut = j.Take(f.Data)
		}
		if err := j.Visit(f); err != nil {
			return err
		}
		files = append(files, f)
	}
	for _, f := range files {
		if err := j.Open(f); err != nil {
			return err
		}
	}
	return nil
}

// whole says that the text of a message is all of the file that was read as one.
func whole(text, file []byte) bool {
	if len(text) > len(file) || len(text) == 0 {
		return false
	}
	return bytes.Equal(text, file) || bytes.Equal(bytes.TrimSpace(text), bytes.TrimSpace(beginning(file))) && format.Detect(text) == ""
}

// hidden says that p is a message whose header the bytes of the mail do not show.
func hidden(p *message.Part) bool {
	return p.MediaType == "message/rfc822" && (p.Encoding == "base64" || p.Encoding == "quoted-printable")
}

// header is the header block of a part.
func header(p *message.Part) (block []byte) {
	for _, f := range p.Header.Fields() {
		block = append(block, f.Raw...)
	}
	return block
}
