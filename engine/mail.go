package engine

import (
	"net/netip"
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
