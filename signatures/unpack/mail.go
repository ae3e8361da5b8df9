package unpack

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"spamcatcher/engine/message"
	"spamcatcher/signatures/unpack/format"
)

// mail reads messages that are files: what an archive or an encoding hides. One
// belongs to one walk and knows the messages that are open inside each other, for
// the passwords in them.
type mail struct{ open []*letter }

// A letter is a message and, once somebody asked, the passwords that it gives.
type letter struct {
	message *message.Message
	asked   bool
	words   []string
}

// inner bounds what parsing one message inside a message may take.
var inner = message.Limits{Depth: 20, Parts: 1000, HeaderBytes: 256 << 10, Fields: 2000, TextBytes: 256 << 10, Links: 200, Readings: 4}

func (*mail) Name() string { return "mail" }

func (*mail) Reads(f *format.File) bool {
	if f.Kind == format.Mail || f.Kind == format.Macro || f.Kind == format.Script {
		return false
	}
	if f.Type == "message/rfc822" {
		return true
	}
	// The text of a message may quote a header; it is only a message of its own if
	// MIME says so.
	body := f.Parent == nil && f.Declared == "text/plain"
	if f.Type != "" {
		// Some fields begin like files of other formats.
		return trusted(f) && looksLikeMail(f.Data, false)
	}
	return trusted(f) || looksLikeMail(f.Data, body) || !body && (encoded(f.Data) || encodedWithin(f.Data))
}

// trusted says that programs open f as a message because of its name or its media
// type, whatever it begins with.
func trusted(f *format.File) bool {
	switch f.Extension() {
	case "eml", "emlx", "mht", "mhtml", "nws":
		return true
	}
	switch f.Declared {
	case "message/rfc822", "message/global", "message/news", "multipart/related", "application/x-mimearchive":
		return true
	}
	return false
}

// encoded says that b begins with a file in the encodings of old mail, which
// message reads inside text.
func encoded(b []byte) bool {
	if bytes.HasPrefix(b, []byte("=ybegin ")) {
		return true
	}
	rest, found := bytes.CutPrefix(b, []byte("begin "))
	return found && len(rest) > 4 && rest[0] >= '0' && rest[0] <= '7' && rest[1] >= '0' && rest[1] <= '7' && rest[2] >= '0' && rest[2] <= '7'
}

// encodedWithin says that such a file follows some text.
func encodedWithin(b []byte) bool {
	b = b[:min(len(b), headerBytes)]
	for _, mark := range [...]string{"\nbegin ", "\n=ybegin "} {
		for rest := b; ; {
			i := bytes.Index(rest, []byte(mark))
			if i < 0 {
				break
			}
			if rest = rest[i+1:]; encoded(rest) {
				return true
			}
		}
	}
	return false
}

func (x *mail) Open(j *format.Job, f *format.File) error {
	b := beginning(f.Data)
	// Apple Mail writes the length in front, on a line of its own.
	if line, rest, _ := bytes.Cut(b[:min(len(b), 20)], []byte("\n")); f.Extension() == "emlx" && len(rest) > 0 && len(bytes.Trim(line, "0123456789 \r")) == 0 {
		b = b[len(line)+1:]
	}
	if bytes.HasPrefix(b, []byte("From ")) {
		return mailbox(j, b)
	}
	if err := j.Hold(len(b)); err != nil {
		return err
	}
	if head := b[:min(len(b), headerBytes)]; bytes.IndexByte(head, '\n') < 0 && bytes.IndexByte(head, '\r') >= 0 {
		b = bytes.ReplaceAll(b, []byte("\r"), []byte("\n"))
		j.Keep(b)
	}
	if encoded(b) || f.Type == "" && !looksLikeMail(b, false) && encodedWithin(b) {
		b = append([]byte("\n"), b...)
	}
	m := message.Parse(b, inner)
	x.open = append(x.open, &letter{message: m})
	defer func() { x.open = x.open[:len(x.open)-1] }()
	return parts(j, m, f, nil)
}

// beginning is b from the first line on that is not empty, without a byte order
// mark: readers pass over both.
func beginning(b []byte) []byte {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	if rest := bytes.TrimLeft(b, " \t\r\n"); len(rest) < len(b) {
		at := len(b) - len(rest)
		for at > 0 && (b[at-1] == ' ' || b[at-1] == '\t') {
			at--
		}
		return b[at:]
	}
	return b
}

// mailbox emits the messages of an mbox file. RFC 4155: each begins with a line
// that begins with "From ", behind an empty one; readers do without that if the
// line has a time in it.
func mailbox(j *format.Job, b []byte) error {
	for n := 1; len(b) > 0; n++ {
		_, b, _ = bytes.Cut(b, []byte("\n")) // the From line
		end, next := len(b), len(b)
		for at := 0; at < len(b); {
			i := bytes.Index(b[at:], []byte("\nFrom "))
			if i < 0 {
				break
			}
			at += i
			line, _, _ := bytes.Cut(b[at+1:min(len(b), at+200)], []byte("\n"))
			if before := bytes.TrimSuffix(b[:at], []byte("\r")); bytes.HasSuffix(before, []byte("\n")) || bytes.Count(line, []byte(":")) == 2 {
				end, next = at, at+1
				break
			}
			at += 6
		}
		f := &format.File{Name: fmt.Sprintf("%d.eml", n), Kind: format.Member, Type: "message/rfc822"}
		f.Data, f.Cut = j.Take(b[:end])
		if err := j.Emit(f); err != nil {
			return err
		}
		b = b[next:]
	}
	return nil
}

// passwords are those that the open messages give, the innermost first.
func (x *mail) passwords() (all []string) {
	for _, l := range slices.Backward(x.open) {
		if !l.asked {
			l.asked, l.words = true, passwords(l.message)
		}
		all = append(all, l.words...)
	}
	return append(all[:min(len(all), 2*maxPasswords)], "infected")
}

// headerBytes is how much of a file is searched for what makes it a message, in
// bytes.
const headerBytes = 64 << 10

// looksLikeMail says that b begins with a header block: two fields that mail has,
// or one of MIME; mime says that it takes one of MIME and another. Fields of other
// names may stand in front of them, and lines of any length.
func looksLikeMail(b []byte, mime bool) bool {
	b = beginning(b)
	b = b[:min(len(b), headerBytes)]
	fields, ofMIME := 0, 0
	for first := true; len(b) > 0; first = false {
		name := b[:min(len(b), 80)]
		if folded := b[0] == ' ' || b[0] == '\t'; folded || first && bytes.HasPrefix(b, []byte("From ")) {
			name = nil
		} else {
			var found bool
			if name, _, found = bytes.Cut(name, []byte(":")); !found || len(name) == 0 || slices.ContainsFunc(name, func(c byte) bool { return c <= ' ' || c >= 0x7f }) {
				break
			}
		}
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			if end = bytes.IndexByte(b, '\r'); end < 0 {
				break
			}
		}
		// A bare CR ends a line where no LF does.
		if cr := bytes.IndexByte(b[:end], '\r'); cr >= 0 && cr < end-1 {
			end = cr
		}
		if b = b[end+1:]; name == nil {
			continue
		}
		switch strings.ToLower(string(name)) {
		case "from", "to", "subject", "date", "message-id", "received", "return-path", "delivered-to", "reply-to", "sender", "cc":
			fields++
		case "mime-version", "content-type", "content-transfer-encoding", "content-disposition":
			fields++
			ofMIME++
		}
		if fields > 1 && (ofMIME > 0 || !mime) {
			return true
		}
	}
	return ofMIME > 0 && !mime
}
