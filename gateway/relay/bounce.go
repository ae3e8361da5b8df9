package relay

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"mime"
	"strings"
	"time"
	"unicode/utf8"

	"spamcatcher/queue"
)

// Bounce returns the function that writes the notification for recipients that failed for good (RFC 3464 in RFC 6522's
// multipart/report). It goes from the null sender to the item's sender, and is sent in the name of hostname, which must be ours.
//
// There is none (false) for an item with the null sender, one whose sender cannot be written as a path, and one without failures.
//
// It never names the server behind us. What that server said is told by its code and enhanced status code; of its text only
// words that everybody's servers say are passed on, and only if there is no other word in it.
//
// The original's header is not part of a queue.Item, so the third part holds only what the item's Note has of it under the keys
// "from", "subject", "date" and "message-id".
func Bounce(hostname string) func(*queue.Item, []queue.Recipient) (queue.Draft, bool) {
	return func(it *queue.Item, failed []queue.Recipient) (queue.Draft, bool) {
		// RFC 5321 section 6.1: a notification is never sent in response to one, that is, to the null sender.
		if it.Sender == "" || len(failed) == 0 {
			return queue.Draft{}, false
		}
		sender, _, err := smtpPath(it.Sender)
		if err != nil {
			return queue.Draft{}, false
		}
		n := &notice{hostname: hostname, item: it, sender: sender, failed: failed, id: queue.NewID()}
		for _, r := range failed {
			if r.Changed.After(n.date) {
				n.date = r.Changed
			}
			n.utf8 = n.utf8 || it.UTF8 && !ascii(r.Address)
		}
		if n.date.IsZero() {
			n.date = time.Now()
		}
		n.utf8 = n.utf8 || !ascii(it.Sender)
		return queue.Draft{
			ID:         n.id,
			Recipients: []string{it.Sender},
			Body:       [][]byte{n.bytes()},
			UTF8:       n.utf8,
			EightBit:   n.utf8,
			Note:       map[string]string{"subject": noticeSubject, "bounce": it.ID},
		}, true
	}
}

const noticeSubject = "Undelivered mail returned to sender"

// A notice is a notification being written.
type notice struct {
	hostname string
	item     *queue.Item
	sender   string // as a path
	failed   []queue.Recipient
	id       string
	date     time.Time
	utf8     bool // the reader can take UTF-8 in addresses (RFC 6533)
	b        bytes.Buffer
}

// line writes one line; what is not printable in it becomes "?", so that no value can make a line of its own.
func (n *notice) line(format string, args ...any) {
	s := printable(fmt.Sprintf(format, args...))
	if !n.utf8 && !ascii(s) {
		s = strings.Map(func(r rune) rune {
			if r >= 0x80 {
				return '?'
			}
			return r
		}, s)
	}
	// RFC 5322 section 2.1.1: at most 998 characters a line.
	n.b.WriteString(cut(s, 990))
	n.b.WriteString("\r\n")
}

func (n *notice) bytes() []byte {
	boundary := "=_" + n.id + "_" + rand.Text()
	n.line("From: Mail Delivery System <MAILER-DAEMON@%s>", n.hostname)
	n.line("To: <%s>", n.sender)
	n.line("Subject: %s", noticeSubject)
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
	if n.utf8 {
		n.part(boundary, "message/global-delivery-status")
	} else {
		n.part(boundary, "message/delivery-status")
	}
	n.status()
	if header := n.original(); len(header) > 0 {
		n.part(boundary, "text/rfc822-headers")
		for _, line := range header {
			n.line("%s", line)
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
	n.line("Your message of %s could not be delivered to:", n.item.Received.Format(time.RFC1123Z))
	for _, r := range n.failed {
		status, code, told, text := diagnosis(r)
		n.line("")
		n.line("  <%s>", r.Address)
		n.line("    %s", meaning(status))
		if code != "" {
			n.line("    The last reply was: %s", join(code, told, text))
		}
	}
	n.line("")
	n.line("It will not be tried again. This message was written by a machine;")
	n.line("an answer to it is read by nobody.")
	if s := n.item.Note["subject"]; s != "" {
		n.line("")
		n.line("The subject of your message was: %s", cut(printable(s), 200))
	}
}

// status is for machines.
func (n *notice) status() {
	// RFC 3464 section 2.2: fields about the message, then a group for each recipient, with an empty line before it.
	n.line("Reporting-MTA: dns; %s", n.hostname)
	n.line("Arrival-Date: %s", n.item.Received.Format(time.RFC1123Z))
	for _, r := range n.failed {
		status, code, told, text := diagnosis(r)
		n.line("")
		n.line("Final-Recipient: %s", n.typed(r.Address))
		n.line("Action: failed")
		n.line("Status: %s", status)
		if code != "" {
			n.line("Diagnostic-Code: smtp; %s", join(code, told, text))
		}
		if !r.Changed.IsZero() {
			n.line("Last-Attempt-Date: %s", r.Changed.Format(time.RFC1123Z))
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

// original returns the lines of the original's header that are known.
func (n *notice) original() []string {
	var lines []string
	for _, f := range [][2]string{{"from", "From"}, {"subject", "Subject"}, {"date", "Date"}, {"message-id", "Message-ID"}} {
		v := strings.TrimSpace(cut(printable(n.item.Note[f[0]]), 400))
		if v == "" {
			continue
		}
		if !ascii(v) && !n.utf8 {
			// Encoded words are separated by a space, and so can be folded there.
			v = strings.ReplaceAll(mime.QEncoding.Encode("utf-8", v), "?= =?", "?=\n =?")
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

// diagnosis returns the status of a failed recipient, never "", and its last reply taken apart: code, the enhanced status code as
// it was told, and text; "" for what there is not, or what may name the server. A recipient whose last reply is temporary ran out
// of time, whether or not the queue has put its own words before that reply.
func diagnosis(r queue.Recipient) (status, code, told, text string) {
	last := r.Reply
	if _, after, ok := strings.Cut(last, "delivery time expired; last reply: "); ok {
		last = after
		status = "4.4.7"
	}
	if len(last) >= 3 && (last[0] == '4' || last[0] == '5') && strings.Trim(last[:3], "0123456789") == "" && (len(last) == 3 || last[3] == ' ') {
		code, text = last[:3], strings.TrimSpace(last[3:])
	}
	told = enhancedCode(text)
	text = strings.TrimSpace(strings.TrimPrefix(text, told))
	switch {
	case status != "":
	case code == "":
		status = "5.0.0"
	case code[0] == '4':
		status = "4.4.7" // RFC 3463 section 3.5: delivery time expired
	case told != "" && told[0] == code[0]:
		status = told
	default:
		status = "5.0.0"
	}
	if code == "" || !harmless(text, r.Address) {
		text = ""
	}
	return status, code, told, text
}

// harmless reports whether text, apart from the recipient's own address, has only words that name nobody.
func harmless(text, address string) bool {
	if address != "" {
		text = strings.ReplaceAll(strings.ToLower(text), strings.ToLower(address), "")
	}
	for _, word := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return strings.ContainsRune(" <>():,;.!'\"", r) }) {
		if !commonWords[word] {
			return false
		}
	}
	return true
}

// commonWords are the words of replies that say nothing about who says them.
var commonWords = func() map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(`a access account action active address again allowed an and are as at attachment authentication bad be because been
		blocked by can cannot command complete content could currently data delivery denied deferred detected disabled disk does domain due error
		exceeded exceeds exist exists expired failed failure fixed for found full greylisted greylisting has have here host in inactive insufficient invalid
		is it large later limit local loop mail mailbox many maximum message messages moved must name no not now of ok on or out over permanent
		permitted please policy procedure processing quota reached reason recipient recipients refused reject rejected relay relaying requested
		resources rule rules sender sending server service size smtp space spam started storage such suspended syntax system table taken temporarily
		temporary that the this time to too transaction transfer try unable unavailable unknown unrouteable user users valid verification virus was
		will with yet you your`) {
		m[w] = true
	}
	return m
}()

// meaning returns what a status means, in words for people.
// RFC 3463 section 3: the codes and their meanings.
func meaning(status string) string {
	class, rest, _ := strings.Cut(status, ".")
	if class == "4" {
		return "The message could not be delivered within the time allowed."
	}
	switch rest {
	case "1.1", "1.6":
		return "There is no such mailbox."
	case "1.2", "1.10":
		return "There is no such domain, or it takes no mail."
	case "1.3":
		return "The address is not well-formed."
	case "2.1":
		return "The mailbox is disabled."
	case "2.2":
		return "The mailbox is full."
	case "2.3", "3.4":
		return "The message is too big."
	case "4.6":
		return "The message went in a circle."
	case "6.7":
		return "The server cannot take internationalized mail."
	}
	if strings.HasPrefix(rest, "7.") {
		return "The message was refused by a rule of the recipient's system."
	}
	return "The message was refused."
}

func join(words ...string) string {
	var kept []string
	for _, w := range words {
		if w != "" {
			kept = append(kept, w)
		}
	}
	return strings.Join(kept, " ")
}
