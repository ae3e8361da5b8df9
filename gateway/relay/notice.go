package relay

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"spamcatcher/queue"
)

// noticeOf is the note of a notification: the item that it is about. No message from outside has it.
const noticeOf = "bounce"

// Notify returns the function that writes the notification about recipients that failed for good, or that were not reached yet
// (RFC 3464 in RFC 6522's multipart/report). It goes from the null sender to the item's sender, and is sent in the name of hostname,
// which must be ours.
//
// There is none (false) for an item with the null sender, one whose sender cannot be written as a path, and one about nobody.
//
// It never names the server behind us. What that server said is told by its code and enhanced status code; of its text only
// words that everybody's servers say are passed on, and only if there is no other word in it.
//
// Its third part is the message's own header, at most 64 KiB of it, without the fields that tell how we scored it. Where the message
// cannot be read it is what the item's Note has under the keys "from", "subject", "date" and "message-id".
func Notify(hostname string) func(queue.Notice) (queue.Draft, bool) {
	return func(about queue.Notice) (queue.Draft, bool) {
		it := about.Item
		// RFC 5321 section 6.1: a notification is never sent in response to one, that is, to the null sender.
		if it == nil || it.Sender == "" || len(about.About) == 0 {
			return queue.Draft{}, false
		}
		sender, _, err := smtpPath(it.Sender)
		if err != nil {
			return queue.Draft{}, false
		}
		n := &notice{hostname: hostname, item: it, sender: sender, about: about.About, delayed: about.Kind == queue.NoticeDelayed, id: queue.NewID()}
		for _, r := range about.About {
			if r.Changed.After(n.date) && !n.delayed {
				n.date = r.Changed
			}
			n.utf8 = n.utf8 || it.UTF8 && !ascii(r.Address)
		}
		if n.date.IsZero() {
			n.date = time.Now()
		}
		n.utf8 = n.utf8 || !ascii(it.Sender)
		if n.header = headerOf(about.Body); len(n.header) == 0 {
			n.header = headerOfNote(it.Note, n.utf8)
		}
		note := map[string]string{"subject": n.subject(), noticeOf: it.ID}
		return queue.Draft{ID: n.id, Recipients: []string{it.Sender}, Body: [][]byte{n.bytes()}, UTF8: n.utf8, EightBit: n.utf8, Note: note}, true
	}
}

// A notice is a notification being written.
type notice struct {
	hostname string
	item     *queue.Item
	sender   string // as a path
	about    []queue.Recipient
	delayed  bool     // they are tried further; otherwise they failed
	header   []string // of the message
	id       string
	date     time.Time
	utf8     bool // the reader can take UTF-8 in addresses (RFC 6533)
	b        bytes.Buffer
}

func (n *notice) subject() string {
	if n.delayed {
		return "Delayed mail (still being retried)"
	}
	return "Undelivered mail returned to sender"
}

// line writes one line; what is not printable in it becomes "?", so that no value can make a line of its own.
func (n *notice) line(format string, args ...any) { n.copy(fmt.Sprintf(format, args...)) }

// copy writes a line as it is, but for what is not printable. Tabs stay: header lines are folded by them.
func (n *notice) copy(s string) {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || r != '\t' && !unicode.IsPrint(r) || r >= 0x80 && !n.utf8 {
			return '?'
		}
		return r
	}, s)
	// RFC 5322 section 2.1.1: at most 998 characters a line.
	n.b.WriteString(cut(s, 990))
	n.b.WriteString("\r\n")
}

func (n *notice) bytes() []byte {
	boundary := "=_" + n.id + "_" + rand.Text()
	n.line("From: Mail Delivery System <MAILER-DAEMON@%s>", n.hostname)
	n.line("To: <%s>", n.sender)
	n.line("Subject: %s", n.subject())
	n.line("Date: %s", n.date.Format(time.RFC1123Z))
	n.line("Message-ID: <%s@%s>", n.id, n.hostname)
	if id := messageID(n.item.Note["message-id"]); id != "" {
		n.line("In-Reply-To: %s", id)
		n.line("References: %s", id)
	}
	// RFC 3834 section 5: tells automatic responders that nobody wrote this.
	n.line("Auto-Submitted: auto-replied")
	n.line("MIME-Version: 1.0")
	n.line("Content-Type: multipart/report; report-type=delivery-status;")
	n.line(" boundary=\"%s\"", boundary)
	if n.utf8 {
		n.line("Content-Transfer-Encoding: 8bit")
	}
	n.line("")
	n.line("This is a MIME-encapsulated message.")

	n.part(boundary, "text/plain; charset="+map[bool]string{false: "us-ascii", true: "utf-8"}[n.utf8])
	n.text()
	// RFC 6533 sections 4 and 6: the global forms are for who can take UTF-8.
	n.part(boundary, map[bool]string{false: "message/delivery-status", true: "message/global-delivery-status"}[n.utf8])
	n.status()
	if len(n.header) > 0 {
		n.part(boundary, map[bool]string{false: "text/rfc822-headers", true: "message/global-headers"}[n.utf8])
		for _, line := range n.header {
			n.copy(line)
		}
	}
	n.line("")
	n.line("--%s--", boundary)
	return n.b.Bytes()
}

// part begins the next part.
func (n *notice) part(boundary, mediaType string) {
	n.line("")
	n.line("--%s", boundary)
	n.line("Content-Type: %s", mediaType)
	if n.utf8 {
		n.line("Content-Transfer-Encoding: 8bit")
	}
	n.line("")
}

// text is for people.
func (n *notice) text() {
	n.line("This is the mail system at %s.", n.hostname)
	n.line("")
	if n.delayed {
		n.line("Your message of %s has not been delivered yet to:", n.item.Received.Format(time.RFC1123Z))
	} else {
		n.line("Your message of %s could not be delivered to:", n.item.Received.Format(time.RFC1123Z))
	}
	for _, r := range n.about {
		d := diagnose(r, n.delayed)
		n.line("")
		n.line("  <%s>", r.Address)
		n.line("    %s", d.meaning())
		if d.code != "" {
			n.line("    The last reply was: %s", d.reply())
		}
	}
	n.line("")
	switch {
	case n.delayed && !n.item.Expires.IsZero():
		n.line("It will be tried further until %s.", n.item.Expires.Format(time.RFC1123Z))
		n.line("You need not send it again.")
	case n.delayed:
		n.line("It will be tried further. You need not send it again.")
	default:
		n.line("It will not be tried again.")
	}
	n.line("This message was written by a machine; an answer to it is read by nobody.")
	if s := n.item.Note["subject"]; s != "" {
		n.line("")
		n.line("The subject of your message was: %s", cut(printable(s), 200))
	}
}

// status is for machines.
func (n *notice) status() {
	// RFC 3464 section 2.2: fields about the message, then a group for each recipient, with an empty line before it.
	// Section 2.3.5, Remote-MTA, is left out: it would name the server behind us.
	n.line("Reporting-MTA: dns; %s", n.hostname)
	n.line("Arrival-Date: %s", n.item.Received.Format(time.RFC1123Z))
	for _, r := range n.about {
		d := diagnose(r, n.delayed)
		n.line("")
		n.line("Final-Recipient: %s", n.typed(r.Address))
		n.line("Action: %s", map[bool]string{false: "failed", true: "delayed"}[n.delayed])
		n.line("Status: %s", d.status)
		if d.code != "" {
			n.line("Diagnostic-Code: smtp; %s", d.reply())
		}
		if !r.Changed.IsZero() {
			n.line("Last-Attempt-Date: %s", r.Changed.Format(time.RFC1123Z))
		}
		if n.delayed && !n.item.Expires.IsZero() {
			// RFC 3464 section 2.3.9: only where the action is delayed.
			n.line("Will-Retry-Until: %s", n.item.Expires.Format(time.RFC1123Z))
		}
	}
}

// typed returns an address with its type.
// RFC 6533 section 3: utf-8-addr-unitext where UTF-8 may stand, utf-8-addr-xtext elsewhere.
func (n *notice) typed(address string) string {
	if ascii(address) {
		return "rfc822; " + address
	}
	if n.utf8 {
		return "utf-8; " + address
	}
	var b strings.Builder
	for _, r := range address {
		switch {
		case r == utf8.RuneError:
			b.WriteByte('?')
		case r > '~' || r < '!' || r == '\\' || r == '+' || r == '=':
			fmt.Fprintf(&b, `\x{%02X}`, r)
		default:
			b.WriteRune(r)
		}
	}
	return "utf-8; " + b.String()
}

// maxHeader is how much of a message's header, in octets, is sent back to its sender.
const maxHeader = 64 << 10

// headerOf returns the lines of a message's header, at most maxHeader octets of it, cut at the end of a line; nil if it cannot be read.
// What no reader would take for header is left out, as are the fields by which we have scored the message.
func headerOf(body io.ReadSeeker) (lines []string) {
	if body == nil {
		return nil
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(body, maxHeader))
	if err != nil {
		return nil
	}
	keep := false
	for len(text) > 0 {
		line, rest, whole := bytes.Cut(text, []byte("\n"))
		text = rest
		line = bytes.TrimSuffix(line, []byte("\r"))
		if !whole || len(line) == 0 {
			break
		}
		if line[0] == ' ' || line[0] == '\t' {
			// RFC 5322 section 4.2: a folded line of nothing but white space is obsolete, and is the end of the header to some.
			if keep && len(bytes.TrimSpace(line)) > 0 {
				lines = append(lines, string(line))
			}
			continue
		}
		name, ok := fieldName(line)
		if !ok {
			break
		}
		if keep = !strings.HasPrefix(strings.ToLower(name), "x-spamcatcher-"); keep {
			lines = append(lines, string(line))
		}
	}
	return lines
}

// fieldName returns the name of the header field that begins on line.
// RFC 5322 section 2.2: printable US-ASCII characters, and then a colon.
func fieldName(line []byte) (string, bool) {
	i := bytes.IndexByte(line, ':')
	if i < 1 {
		return "", false
	}
	for _, c := range line[:i] {
		if c <= ' ' || c > '~' {
			return "", false
		}
	}
	return string(line[:i]), true
}

// headerOfNote returns the lines of the header that the item's Note has.
func headerOfNote(note map[string]string, international bool) []string {
	var lines []string
	for _, f := range [][2]string{{"from", "From"}, {"subject", "Subject"}, {"date", "Date"}, {"message-id", "Message-ID"}} {
		v := strings.TrimSpace(cut(printable(note[f[0]]), 400))
		if v == "" {
			continue
		}
		if !ascii(v) && !international {
			v = encodedWords(v)
		}
		for i, l := range strings.Split(v, "\n") {
			if i == 0 {
				l = f[1] + ": " + l
			}
			lines = append(lines, l)
		}
	}
	return lines
}

// messageID returns s if it has the form of a message identifier.
func messageID(s string) string {
	if len(s) > 250 || len(s) < 3 || s[0] != '<' || s[len(s)-1] != '>' || !ascii(s) || strings.ContainsAny(s, " \t\r\n\x00") ||
		strings.ContainsAny(s[1:len(s)-1], "<>") {
		return ""
	}
	return s
}
