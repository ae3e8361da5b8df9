package engine

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"spamcatcher/engine/message"
)

// A Mail is everything known about one message before it is judged: the
// session that brought it, its envelope, what DNS said of its sender, and the
// message itself. It is never changed once it is handed to Judge.
type Mail struct {
	Session  Session
	Envelope Envelope
	Auth     Auth
	Message  *message.Message
}

// A Session is what the connection told. Its zero value means that the mail
// was read from a file and nothing is known.
type Session struct {
	Client netip.Addr // address of the connecting server
	PTR    string     // its verified host name, "" when there is none or it was not looked up
	Hello  string     // argument of HELO or EHLO
	ESMTP  bool       // said EHLO
	TLS    bool
	Time   time.Time // when the message arrived; rules compare Date with it
}

// An Envelope is what MAIL and RCPT said.
type Envelope struct {
	Known bool   // false when the mail did not come by SMTP
	From  string // reverse path without brackets, "" is the null sender
	To    []string
}

// Auth holds results of sender authentication in the words of RFC 8601
// section 2.7; "" means not evaluated.
type Auth struct {
	SPF, DKIM, DMARC, ARC string
}

// Tell sets one fact of session or envelope, written as text: "client"
// (address), "helo", "ptr", "from", "to" (one recipient more) or "time" (RFC
// 3339). It serves whoever builds a mail from a file: test cases and samples.
func (m *Mail) Tell(fact, value string) (err error) {
	value = strings.TrimSpace(value)
	switch fact {
	case "client":
		m.Session.Client, err = netip.ParseAddr(value)
	case "helo":
		m.Session.Hello, m.Session.ESMTP = value, true
	case "ptr":
		m.Session.PTR = value
	case "from":
		m.Envelope.Known = true
		m.Envelope.From = strings.Trim(value, "<>")
	case "to":
		m.Envelope.Known = true
		m.Envelope.To = append(m.Envelope.To, strings.Trim(value, "<>"))
	case "time":
		m.Session.Time, err = time.Parse(time.RFC3339, value)
	default:
		return fmt.Errorf("unknown fact %q; client, helo, ptr, from, to and time are known", fact)
	}
	if err != nil {
		return fmt.Errorf("reading fact %s %q: %w", fact, value, err)
	}
	return nil
}
