// Package unpack turns a message into the files in it, and into those inside
// them: archives, documents, macros, pictures with codes, mails in mails.
package unpack

import (
	"bytes"
	"context"
	"slices"
	"sync/atomic"
	"time"

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

// Walk calls visit for each part of the message in each reading, for the message as
// a whole, and for each file inside the parts, as far as limits allow. All that lies
// openly in the message is visited, the small before the large, before the first part
// is opened. It takes the time that l allows, unless a decoder overruns it.
func Walk(ctx context.Context, m *message.Message, l format.Limits, visit func(*format.File) error) Found {
	w := New(ctx, m, l, visit, nil)
	w.Run()
	return w.Found()
}

// A Walker is a Walk that others may watch.
type Walker struct {
	job     *format.Job
	message *message.Message
	opening func()
	ended   atomic.Bool
}

// New prepares a Walk. opening, unless nil, is called between visiting what lies
// openly and opening it.
func New(ctx context.Context, m *message.Message, l format.Limits, visit func(*format.File) error, opening func()) *Walker {
	letters := &mail{open: []*letter{{message: m}}}
	list := append(archive.Formats(), letters)
	list = append(list, document.Formats()...)
	list = append(list, picture.Formats()...)
	j := format.NewJob(ctx, l, list, nil, visit)
	j.AskPasswords(letters.passwords)
	return &Walker{job: j, message: m, opening: opening}
}

// Run walks. It is called once.
func (w *Walker) Run() {
	// What stopped the job is among its marks.
	_ = parts(w.job, w.message, nil, func() error {
		err := w.job.Visit(&format.File{Kind: format.Mail, Type: "message/rfc822", Data: w.message.Raw()})
		if err == nil && w.opening != nil {
			w.opening()
		}
		return err
	})
	w.ended.Store(true)
}

// End is when the time of the walk is over. Waiting for memory moves it.
func (w *Walker) End() time.Time { return w.job.End() }

// Found is what has been found, also while Run is at work; then without the counts.
func (w *Walker) Found() Found {
	f := Found{Marks: w.job.Marks(), Links: w.job.Links(), Faults: w.job.Faults()}
	if w.ended.Load() {
		f.Files, f.Bytes = w.job.Files(), w.job.Bytes()
	}
	return f
}

// parts emits the leaves of a message, in every reading: first all are visited,
// then each is opened. The leaves of a message that was itself unpacked from a
// file, of, count against the limits; one that is all of that file is nothing new.
// between is called before the first is opened.
func parts(j *format.Job, m *message.Message, of *format.File, between func() error) error {
	count := of != nil
	all := m.Parts()
	files := make([]*format.File, len(all))
	for _, i := range smallFirst(all, !count) {
		p := all[i]
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
		files[i] = f
	}
	// What the parser left unread is a limit like ours.
	if m.Defect(message.LimitDepth) > 0 {
		j.Mark(nil, format.LimitDepth, "parts of a message")
	}
	if m.Defect(message.LimitParts) > 0 {
		j.Mark(nil, format.LimitMembers, "parts of a message")
	}
	if between != nil {
		if err := between(); err != nil {
			return err
		}
	}
	for _, f := range files {
		if f == nil {
			continue
		}
		if err := j.Open(f); err != nil {
			return err
		}
	}
	return nil
}

// smallFirst is the order in which to visit parts: if sorted is set, what is small,
// and soon looked at, before what is large.
func smallFirst(all []*message.Part, sorted bool) []int {
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	if sorted {
		slices.SortStableFunc(order, func(a, b int) int { return len(all[a].Raw()) - len(all[b].Raw()) })
	}
	return order
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
