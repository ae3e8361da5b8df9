package gateway

import (
	"context"
	"errors"
	"fmt"

	"github.com/emersion/go-smtp"

	"spamcatcher/gateway/policy"
	"spamcatcher/queue"
)

// What can go wrong with a message, as far as its sender is to be told the
// difference. Everything else is an error of ours.
var (
	// ErrMailbox: the recipient does not exist. Config.Verify may return it.
	ErrMailbox = errors.New("no such mailbox")
	// ErrUnsure: nobody can tell whether the recipient exists. Config.Verify may
	// return it.
	ErrUnsure = errors.New("recipient not verified")

	errRelay = errors.New("relay not permitted")

	errLoop   = errors.New("mail loop")
	errHeader = errors.New("header too large")
	errFields = errors.New("too many header fields")
	errCrowd  = errors.New("too many recipients")
	errCopies = errors.New("too large for so many destinations")
)

// A refusal is a message that every recipient's policy refuses.
type refusal struct {
	score float64
	virus string
	id    string // what support can look up in the log
}

func (r *refusal) Error() string { return fmt.Sprintf("refused with score %.1f", r.score) }

// replyTo turns an error into the reply that the client gets. It is the one
// place where temporary or permanent is decided: an error that is not known
// here is temporary, because it is ours and not the sender's. No error's own
// text is ever sent. RFC 2034 section 4, RFC 3463: the codes.
func replyTo(err error) *smtp.SMTPError {
	var refused *refusal
	var turned *policy.Refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return refused.reply()
	case errors.As(err, &turned):
		return reply(turned.Code, turned.Status[0], turned.Status[1], turned.Status[2], turned.Text)
	case errors.Is(err, errRelay):
		return reply(550, 5, 7, 1, "relay not permitted")
	case errors.Is(err, ErrMailbox):
		return reply(550, 5, 1, 1, "no such mailbox")
	case errors.Is(err, ErrUnsure):
		return reply(450, 4, 1, 1, "recipient cannot be verified now, try again later")
	case errors.Is(err, errCrowd):
		// RFC 5321 section 4.5.3.1.10: the client sends the rest later.
		return reply(452, 4, 5, 3, "too many recipients")
	case errors.Is(err, errCopies):
		// Not temporary: the client would send the same to the same again.
		return reply(552, 5, 3, 4, "message too large for so many domains, send it to fewer at a time")
	case errors.Is(err, errLoop):
		// RFC 5321 section 6.3
		return reply(554, 5, 4, 6, "mail loop: too many hops")
	case errors.Is(err, errHeader):
		return reply(552, 5, 3, 4, "message header too large")
	case errors.Is(err, errFields):
		return reply(554, 5, 6, 0, "too many header fields")
	case errors.Is(err, queue.ErrFull):
		// RFC 3463 section 3.4: X.3.1 mail system full
		return reply(452, 4, 3, 1, "not enough storage, try again later")
	case errors.Is(err, queue.ErrBroken):
		// RFC 5321 section 3.8: 421 ends the session. Nothing more can be
		// taken until the queue is opened again.
		return reply(421, 4, 3, 0, "storage failed, try again later")
	case errors.Is(err, queue.ErrClosed), errors.Is(err, context.Canceled):
		return reply(421, 4, 3, 2, "shutting down, try again later")
	}
	return reply(451, 4, 3, 0, "temporary failure, try again later")
}

func (r *refusal) reply() *smtp.SMTPError {
	if r.virus != "" {
		return reply(550, 5, 7, 1, fmt.Sprintf("message refused, malware found: %s; score %.1f, id %s", clean(r.virus, 100), r.score, r.id))
	}
	return reply(550, 5, 7, 1, fmt.Sprintf("message refused as spam: score %.1f, id %s", r.score, r.id))
}

// queued is the reply to a message that is ours from now on.
func queued(id string) *smtp.SMTPError { return reply(250, 2, 0, 0, "queued as "+id) }

func reply(code, class, subject, detail int, text string) *smtp.SMTPError {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{class, subject, detail}, Message: text}
}
