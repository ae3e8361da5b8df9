package gateway

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
	"spamcatcher/gateway/policy"
	"spamcatcher/queue"
)

// A connection is what a session asks of its *wire.Conn.
type connection interface {
	Client() netip.AddrPort
	TLS() *tls.ConnectionState
	Hello() (name string, esmtp bool)
	Message() []byte
}

// A session is one client's SMTP session. Its methods are called one at a
// time.
type session struct {
	*Server
	conn connection

	from     string
	to       []string
	seen     map[string]struct{} // of to
	utf8     bool
	eightBit bool
}

// Mail begins a transaction.
func (s *session) Mail(from string, opts *smtp.MailOptions) (err error) {
	defer s.guard("MAIL", &err)
	s.Reset()
	s.from = requote(from)
	if opts != nil {
		s.utf8 = opts.UTF8
		s.eightBit = opts.Body == smtp.Body8BitMIME
	}
	return nil
}

// Rcpt adds a recipient, if mail for it is accepted. The same recipient given
// twice gets one copy.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) (err error) {
	defer s.guard("RCPT", &err)
	to = requote(to)
	if !s.policy().Accepts(to) {
		return replyTo(ErrRelay)
	}
	if s.accept != nil {
		if err := s.accept(to); err != nil {
			s.logRecipient(to, err)
			return replyTo(err)
		}
	}
	// RFC 5321 section 2.4: domains are alike in any case, local parts are not.
	at := strings.LastIndexByte(to, '@') + 1
	same := to[:at] + strings.ToLower(to[at:])
	if _, ok := s.seen[same]; ok {
		return nil
	}
	if len(s.to) >= s.maxRecipients {
		return replyTo(errCrowd)
	}
	if s.seen == nil {
		s.seen = make(map[string]struct{})
	}
	s.seen[same] = struct{}{}
	s.to = append(s.to, to)
	return nil
}

// Data takes the message, and answers 250 only after it is on stable storage.
func (s *session) Data(r io.Reader) (err error) {
	d := &delivery{id: queue.NewID(), start: s.now()}
	defer s.finish(d, &err)
	if _, err := io.Copy(io.Discard, r); err != nil {
		return fmt.Errorf("reading message: %w", err)
	}
	return s.process(d)
}

// Reset forgets the transaction.
func (s *session) Reset() {
	s.from, s.to, s.seen, s.utf8, s.eightBit = "", nil, nil, false, false
}

// Logout ends the session.
func (s *session) Logout() error { return nil }

// A delivery is one message on its way through the gateway.
type delivery struct {
	id       string
	start    time.Time
	size     int
	forged   int
	mail     *engine.Mail
	verdict  engine.Verdict
	decision policy.Decision
	queued   []string // ids of the queue's items

	parse, judge, put time.Duration
}

// process is one message's way from the final dot to the queue.
func (s *session) process(d *delivery) error {
	raw := s.conn.Message()
	d.size = len(raw)
	head, err := readHeader(raw, s.host, s.maxHeaderBytes, s.maxFields)
	if err != nil {
		return fmt.Errorf("reading header: %w", err)
	}
	if d.forged = len(head.forged); d.forged > 0 {
		raw = head.strip(raw)
		if head, err = readHeader(raw, s.host, s.maxHeaderBytes, s.maxFields); err != nil {
			return fmt.Errorf("reading header: %w", err)
		}
	}
	d.mail = s.mailOf(raw, d.start)
	parsed := s.now()
	d.parse = parsed.Sub(d.start)

	d.verdict = s.judge.Judge(s.ctx, d.mail)
	d.decision = s.policy().Decide(d.mail, d.verdict)
	judged := s.now()
	d.judge = judged.Sub(parsed)
	if d.decision.Refuse {
		return &refusal{score: d.decision.Score, virus: d.verdict.Virus, id: d.id}
	}

	drafts := s.drafts(d, head, raw)
	if len(drafts) > 0 {
		d.queued, err = s.queue.Put(s.ctx, drafts...)
	}
	d.put = s.now().Sub(judged)
	if err != nil {
		return fmt.Errorf("queueing: %w", err)
	}
	return nil
}

// mailOf brings together what is known of a message.
func (s *session) mailOf(raw []byte, now time.Time) *engine.Mail {
	hello, esmtp := s.conn.Hello()
	return &engine.Mail{
		Session: engine.Session{
			Client: s.conn.Client().Addr().Unmap(),
			Hello:  hello,
			ESMTP:  esmtp,
			TLS:    s.conn.TLS() != nil,
			Time:   now,
		},
		Envelope: engine.Envelope{Known: true, From: s.from, To: s.to},
		Message:  message.Parse(raw, s.limits),
	}
}

// drafts returns what is put into the queue: one draft for each different
// outcome, with the recipients that have it. What is discarded has none.
func (s *session) drafts(d *delivery, head header, raw []byte) []queue.Draft {
	t := trace{
		host: s.host, id: d.id, mail: d.mail, tls: s.conn.TLS(), utf8: s.utf8,
		time: d.start, verdict: d.verdict, report: s.report,
	}
	var drafts []queue.Draft
	var note map[string]string
	place := make(map[policy.Outcome]int)
	for i, o := range d.decision.Outcomes {
		if o.Action == policy.Discard {
			continue
		}
		n, ok := place[o]
		if !ok {
			if note == nil {
				note = noteOf(d)
			}
			n = len(drafts)
			place[o] = n
			draft := queue.Draft{
				ID:       d.id,
				Sender:   s.from,
				Body:     head.compose(t.write(o), raw, o.Tag),
				UTF8:     s.utf8 && needsUTF8(s.from, s.to, raw[:head.size]),
				EightBit: s.eightBit,
				Note:     withScore(note, o),
			}
			if n > 0 {
				draft.ID = queue.NewID()
			}
			if o.Action == policy.Hold {
				draft.Hold = clip(o.Reason)
				if draft.Hold == "" {
					draft.Hold = "held by policy"
				}
			}
			drafts = append(drafts, draft)
		}
		drafts[n].Recipients = append(drafts[n].Recipients, s.to[i])
	}
	return drafts
}

// needsUTF8 says whether a message that was sent with SMTPUTF8 has to be sent
// on with it. RFC 6531 section 3.1: that is so when an address or the header is
// not ASCII. Some clients ask for it always, and a server behind may lack it.
func needsUTF8(from string, to []string, header []byte) bool {
	ascii := isASCII(from) && isASCII(header)
	for _, t := range to {
		ascii = ascii && isASCII(t)
	}
	return !ascii
}

func isASCII[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// finish ends a transaction: it recovers from a panic, makes the reply of what
// happened, and writes the log line. A panic is a fault of ours, so that the
// sender may try again. One after the reply is decided changes nothing of it.
func (s *session) finish(d *delivery, err *error) {
	if p := recover(); p != nil {
		s.panics.Add(1)
		*err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
	}
	cause := *err
	r := replyTo(cause)
	if r == nil {
		*err = queued(d.id)
	} else {
		*err = r
	}
	defer func() {
		if recover() != nil {
			s.panics.Add(1)
		}
	}()
	s.count(r, d)
	s.logDelivery(d, cause, r)
}

// guard is finish for commands that have no message.
func (s *session) guard(command string, err *error) {
	if p := recover(); p != nil {
		s.panics.Add(1)
		s.log.LogAttrs(context.Background(), levelFault, "session panicked", faultAttrs(command, p, debug.Stack())...)
		*err = replyTo(fmt.Errorf("panic: %v", p))
	}
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
