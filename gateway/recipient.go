package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"spamcatcher/gateway/domain"
)

// maxLanes bounds the copies that are made of one message because its
// recipients' mail waits in different queues, and maxCopied the octets of all of
// them, as far as the client declared the message's size. RFC 5321 section
// 4.5.3.1.8: a hundred recipients must be taken. Beyond that the client is told
// to send the rest later. A message that is larger than was declared may be so
// by half; else one client could fill the disk with a hundredth of the effort.
const (
	maxLanes  = 100
	maxCopied = 1 << 30
)

// maxNamed bounds the octets of one message's recipients, each counted with
// perRecipient more for what the queue keeps beside it: the queue takes all
// copies of a message in one step, which has a size. There is room for 768
// addresses of the greatest length, and 2,600 of the usual.
const (
	maxNamed     = 192 << 10
	perRecipient = 40
)

// Rcpt adds a recipient: mail for its domain must be accepted, the gate must let
// the client write to it, and the recipient must exist if that is to be found
// out. The same recipient given
// twice gets one copy.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) (err error) {
	defer s.guard("RCPT", &err)
	to = requote(to)
	if !s.policy().Accepts(to) {
		s.logRecipient(to, errRelay)
		return replyTo(errRelay)
	}
	// RFC 5321 section 2.4: domains are alike in any case, local parts are not.
	at := strings.LastIndexByte(to, '@') + 1
	same := to[:at] + strings.ToLower(to[at:])
	if _, ok := s.seen[same]; ok {
		return nil
	}
	if len(s.to) >= s.maxRecipients || s.named+len(to)+perRecipient > maxNamed {
		return replyTo(errCrowd)
	}
	domains := s.domains()
	lane := domains.Lane(to)
	if _, ok := s.lanes[lane]; !ok && len(s.lanes) > 0 && (len(s.lanes) >= maxLanes || s.copied(s.size)+s.size > maxCopied) {
		return replyTo(errCrowd)
	}
	if r := s.visit.Rcpt(s.ctx, to); r != nil {
		return s.turnAway(r, to)
	}
	if err := s.exists(domains, to); err != nil {
		s.logRecipient(to, err)
		return replyTo(err)
	}
	if s.seen == nil {
		s.seen, s.lanes = make(map[string]struct{}), make(map[string]struct{})
	}
	s.seen[same], s.lanes[lane] = struct{}{}, struct{}{}
	s.to = append(s.to, to)
	s.named += len(to) + perRecipient
	return nil
}

// copied is how many octets the copies of a message are.
func (s *session) copied(size int64) int64 { return size * int64(len(s.lanes)) }

// verifyTime bounds how long a client waits for a recipient to be verified.
const verifyTime = 30 * time.Second

// exists finds out whether a recipient exists, in the way that its domain wants
// it found out; nil if it does, or if it may.
func (s *session) exists(domains *domain.Table, to string) error {
	d, ok := domains.Find(to)
	if !ok || domain.IsPostmaster(to) {
		return nil
	}
	switch d.Verify {
	case domain.VerifyList:
		if !d.Knows(to) {
			return ErrMailbox
		}
	case domain.VerifyCallout:
		err := ErrUnsure
		if s.verify != nil {
			ctx, cancel := context.WithTimeout(s.ctx, verifyTime)
			defer cancel()
			err = s.verify(ctx, to)
		}
		switch {
		case err == nil, errors.Is(err, ErrMailbox):
			return err
		case s.ctx.Err() != nil:
			return s.ctx.Err()
		case d.Unverified != domain.Defer:
		case errors.Is(err, ErrUnsure):
			return err
		default:
			return fmt.Errorf("%w: %w", ErrUnsure, err)
		}
	}
	return nil
}

// requote writes an address as RFC 5321 section 4.1.2 has it. go-smtp hands
// out local parts without their quotes, so that one which is not a Dot-string
// was a Quoted-string.
func requote(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 0 || isDotString(address[:at]) {
		return address
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := range at {
		if c := address[i]; c == '"' || c == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(address[i])
	}
	b.WriteByte('"')
	b.WriteString(address[at:])
	return b.String()
}

// isDotString says whether a local part needs no quotes. RFC 5321 section
// 4.1.2, RFC 6531 section 3.3: atoms of atext and of UTF-8, joined by dots.
// Dots at the ends or two in a row are no Dot-string, but are found in
// addresses, without quotes.
func isDotString(local string) bool {
	for i := range len(local) {
		c := local[i]
		switch {
		case c >= 0x80, 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-/=?^_`{|}~.", c) >= 0:
		default:
			return false
		}
	}
	return local != ""
}
