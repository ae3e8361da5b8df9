package gateway

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/netip"
	"runtime/debug"
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
	CloseAfterReply()
	Ahead() []string
}

// A session is one client's SMTP session. Its methods are called one at a
// time.
type session struct {
	*Server
	conn  connection
	visit *policy.Visit

	from     string
	to       []string
	seen     map[string]struct{} // of to
	lanes    map[string]struct{} // queues that mail for to waits in
	named    int                 // octets of to; see maxNamed
	size     int64               // as declared, 0 if it was not
	utf8     bool
	eightBit bool
}

// Mail begins a transaction.
func (s *session) Mail(from string, opts *smtp.MailOptions) (err error) {
	defer s.guard("MAIL", &err)
	s.Reset()
	s.from = requote(from)
	if opts != nil {
		s.size, s.utf8 = opts.Size, opts.UTF8
		s.eightBit = opts.Body == smtp.Body8BitMIME
	}
	hello, _ := s.conn.Hello()
	if r := s.visit.Mail(s.ctx, hello, s.from); r != nil {
		return s.turnAway(r, "")
	}
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
	*s = session{Server: s.Server, conn: s.conn, visit: s.visit}
}

// Logout ends the session.
func (s *session) Logout() error {
	s.visit.Close()
	return nil
}

// A delivery is one message on its way through the gateway.
type delivery struct {
	id       string
	start    time.Time
	size     int
	forged   int
	passes   int // how often this installation had the message before
	mail     *engine.Mail
	verdict  engine.Verdict
	decision policy.Decision
	queued   []string // ids of the queue's items
	skipped  []string // tests of connection and envelope that nobody could make, and why

	parse, auth, judge, put time.Duration
}

// process is one message's way from the final dot to the queue.
func (s *session) process(d *delivery) error {
	raw := s.conn.Message()
	d.size = len(raw)
	if len(s.lanes) > 1 && s.copied(int64(d.size)) > maxCopied+maxCopied/2 {
		return fmt.Errorf("copying %d octets %d times: %w", d.size, len(s.lanes), errCopies)
	}
	head, err := readHeader(raw, s.host, s.maxHeaderBytes, s.maxFields)
	if err != nil {
		return fmt.Errorf("reading header: %w", err)
	}
	if d.passes = passesOf(s.mark, raw, head.forged); d.passes > maxOwnHops {
		return fmt.Errorf("reading mark: %w", errLoop)
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

	ctx, cancel := context.WithTimeout(s.ctx, s.checkTime)
	defer cancel()
	s.identify(ctx, d)
	identified := s.now()
	d.auth = identified.Sub(parsed)
	d.verdict = s.judge.Judge(ctx, d.mail)
	d.decision = s.policy().Decide(d.mail, d.verdict)
	judged := s.now()
	d.judge = judged.Sub(identified)
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
		Answers:  new(engine.Answers),
	}
}

// A group is what recipients must have in common to get one copy of a message.
type group struct {
	policy.Outcome
	lane     string
	lifetime time.Duration
}

// drafts returns what is put into the queue: one draft for each different
// outcome and queue, with the recipients that have it. So a queue's mail never
// names a recipient of another, nor waits for it. What is discarded has none.
func (s *session) drafts(d *delivery, head header, raw []byte) []queue.Draft {
	t := trace{
		host: s.host, id: d.id, mail: d.mail, tls: s.conn.TLS(), utf8: s.utf8,
		time: d.start, verdict: d.verdict, report: s.report, mark: markOf(s.mark, d.passes+1, d.id),
	}
	domains := s.domains()
	// RFC 6531 section 3.1: a message has to be sent on with SMTPUTF8 when an
	// address or the header is not ASCII. Some clients ask for it always, and a
	// server behind may lack it.
	wide := s.utf8 && !(isASCII(s.from) && isASCII(raw[:head.size]))
	var drafts []queue.Draft
	var note map[string]string
	place := make(map[group]int)
	bodies := make(map[policy.Outcome][][]byte)
	for i, o := range d.decision.Outcomes {
		if o.Action == policy.Discard {
			continue
		}
		own := group{Outcome: o}
		if of, ok := domains.Find(s.to[i]); ok {
			own.lifetime = of.Lifetime
			if of.Own() {
				own.lane = of.Queue
			}
		}
		n, ok := place[own]
		if !ok {
			if note == nil {
				note = noteOf(d)
			}
			if bodies[o] == nil {
				bodies[o] = head.compose(t.write(o), raw, o.Tag)
			}
			n = len(drafts)
			place[own] = n
			draft := queue.Draft{
				ID:       d.id,
				Sender:   s.from,
				Body:     bodies[o],
				UTF8:     wide,
				EightBit: s.eightBit,
				Lifetime: own.lifetime,
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
		drafts[n].UTF8 = drafts[n].UTF8 || s.utf8 && !isASCII(s.to[i])
	}
	shorten(drafts)
	return drafts
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
