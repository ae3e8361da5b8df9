// Package unpack turns a message into the files in it, and into those inside
// them: archives, documents, macros, pictures with codes, mails in mails.
package unpack

import (
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
}

// formats names every format, in the order in which they are tried.
func formats() []format.Format {
	list := append(archive.Formats(), mail{})
	list = append(list, document.Formats()...)
	return append(list, picture.Formats()...)
}

// Walk calls visit for the message as a whole, each of its parts, and each file
// inside them, as far as limits allow. It takes the time that l allows at most.
func Walk(ctx context.Context, m *message.Message, l format.Limits, visit func(*format.File) error) Found {
	j := format.NewJob(ctx, l, formats(), nil, visit)
	if err := j.Emit(&format.File{Kind: format.Mail, Type: "message/rfc822", Data: m.Raw()}); err == nil {
		parts(j, m)
	}
	return Found{Marks: j.Marks(), Links: j.Links(), Faults: j.Faults()}
}

// parts emits the leaves of a message, in every reading.
func parts(j *format.Job, m *message.Message) error {
	for _, p := range m.Parts() {
		if len(p.Children) > 0 {
			continue
		}
		if err := j.Emit(&format.File{Kind: format.Part, Name: p.Name, Declared: p.MediaType, Data: p.Decoded()}); err != nil {
			return err
		}
	}
	return nil
}

// mail reads messages that are files: what an archive or an encoding hides.
type mail struct{}

func (mail) Name() string { return "mail" }

func (mail) Reads(f *format.File) bool { return f.Kind != format.Mail && f.Type == "message/rfc822" }

func (mail) Open(j *format.Job, f *format.File) error {
	return parts(j, message.Parse(f.Data, message.Limits{}))
}
