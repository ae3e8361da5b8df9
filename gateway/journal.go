package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/emersion/go-smtp"

	"spamcatcher/engine"
	"spamcatcher/gateway/policy"
	"spamcatcher/queue"
)

// What a client sent is cut and cleaned before it is written to the log,
// whatever the log's handler does about it.

const (
	levelFault = slog.LevelError

	// maxLogged bounds one value, in bytes, and maxLoggedList all values of
	// one kind.
	maxLogged     = 200
	maxLoggedList = 2000
)

// logDelivery writes the one line that every message gets.
func (s *session) logDelivery(d *delivery, err error, r *smtp.SMTPError) {
	hello, _ := s.conn.Hello()
	attrs := []slog.Attr{
		slog.String("id", d.id),
		slog.String("client", address(s.conn.Client().Addr())),
		slog.String("helo", clip(hello)),
		slog.String("sender", clip(s.from)),
		slog.String("recipients", list(s.to, func(to string) string { return to })),
		slog.Int("size", d.size),
	}
	if len(d.decision.Outcomes) > 0 {
		attrs = append(attrs,
			slog.String("score", strconv.FormatFloat(d.decision.Score, 'f', 1, 64)),
			slog.String("symbols", list(d.verdict.Symbols, func(s engine.Scored) string { return s.Name + ":" + share(s.Share) })),
		)
	}
	action := d.action(err, r)
	attrs = append(attrs, slog.String("action", action))
	if strings.Contains(action, ",") {
		// Recipients and outcomes have the same order and number.
		attrs = append(attrs, slog.String("outcomes", list(d.decision.Outcomes, func(o policy.Outcome) string { return string(o.Action) })))
	}
	optional := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	optional("reason", list(d.decision.Reasons, func(s string) string { return s }))
	optional("virus", clip(d.verdict.Virus))
	optional("faults", list(d.verdict.Faults, func(f engine.Fault) string { return f.Check + ":" + string(f.Kind) }))
	optional("skipped", list(d.skipped, func(s string) string { return s }))
	optional("plan", d.verdict.Plan)
	if d.forged > 0 {
		attrs = append(attrs, slog.Int("forged", d.forged))
	}
	if len(d.queued) > 1 {
		optional("queued", list(d.queued, func(id string) string { return id }))
	}
	attrs = append(attrs, slog.Duration("parse", d.parse), slog.Duration("auth", d.auth), slog.Duration("judge", d.judge), slog.Duration("put", d.put))
	level := slog.LevelInfo
	if r != nil {
		attrs = append(attrs, slog.String("reply", status(r)))
		if r.Temporary() {
			level = levelFault
			attrs = append(attrs, slog.String("error", clipTo(err.Error(), maxLoggedList)))
		}
	}
	s.log.LogAttrs(context.Background(), level, "message", attrs...)
}

// action is what happened, in one word for each outcome.
func (d *delivery) action(err error, r *smtp.SMTPError) string {
	switch {
	case r != nil && r.Temporary():
		return "defer"
	case r != nil:
		return string(policy.Refuse)
	}
	var words []string
	counts := map[policy.Action]int{}
	for _, o := range d.decision.Outcomes {
		if counts[o.Action]++; counts[o.Action] == 1 {
			words = append(words, string(o.Action))
		}
	}
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	for i, w := range words {
		words[i] = fmt.Sprintf("%s:%d", w, counts[policy.Action(w)])
	}
	return strings.Join(words, ",")
}

// logRecipient writes why a recipient was not accepted: there may be no message
// after it, and so no other line. A session has a bound for them.
func (s *session) logRecipient(to string, err error) {
	r := replyTo(err)
	level := slog.LevelInfo
	attrs := []slog.Attr{
		slog.String("client", address(s.conn.Client().Addr())),
		slog.String("sender", clip(s.from)),
		slog.String("recipient", clip(to)),
		slog.String("reply", status(r)),
	}
	if r.Temporary() {
		attrs = append(attrs, slog.String("error", clipTo(err.Error(), maxLoggedList)))
		if !errors.Is(err, ErrUnsure) {
			level = levelFault
		}
	}
	s.log.LogAttrs(context.Background(), level, "recipient", attrs...)
}

// logRefusal writes the one line of a client that the gate has turned away; the
// recipient is "" when it did not come to one.
func (s *Server) logRefusal(client netip.Addr, hello, sender, recipient string, r *policy.Refusal) {
	attrs := []slog.Attr{slog.String("test", r.Test), slog.String("client", address(client))}
	for _, a := range []struct{ key, value string }{{"helo", hello}, {"sender", sender}, {"recipient", recipient}} {
		if a.value != "" {
			attrs = append(attrs, slog.String(a.key, clip(a.value)))
		}
	}
	s.log.LogAttrs(context.Background(), slog.LevelInfo, "refused", append(attrs, slog.String("reply", status(replyTo(r))), slog.String("cause", clip(r.Cause)))...)
}

// status is a reply's two codes.
func status(r *smtp.SMTPError) string {
	return fmt.Sprintf("%d %d.%d.%d", r.Code, r.EnhancedCode[0], r.EnhancedCode[1], r.EnhancedCode[2])
}

func faultAttrs(command string, p any, stack []byte) []slog.Attr {
	return []slog.Attr{slog.String("command", command), slog.String("error", clip(fmt.Sprint(p))), slog.String("stack", string(stack))}
}

// noteOf is what listings of the queue show of a message, and what a
// notification about it can quote.
func noteOf(d *delivery) map[string]string {
	h := d.mail.Message.Header()
	note := map[string]string{
		"client": address(d.mail.Session.Client),
		"id":     d.id,
	}
	for key, name := range map[string]string{"subject": "Subject", "from": "From", "date": "Date", "message-id": "Message-ID"} {
		if v := clip(h.Get(name)); v != "" {
			note[key] = v
		}
	}
	if top := list(d.verdict.Symbols, func(s engine.Scored) string { return s.Name + ":" + share(s.Share) }); top != "" {
		note["symbols"] = top
	}
	if d.verdict.Virus != "" {
		note["virus"] = clip(d.verdict.Virus)
	}
	return note
}

// maxNotes bounds what is noted of one message in all its copies, in octets.
const maxNotes = 128 << 10

// shorten takes from the notes of a message with many copies what is longest and
// least needed, until they are within the bound.
func shorten(drafts []queue.Draft) {
	for _, keys := range [][]string{{"symbols"}, {"subject", "from", "date", "message-id"}} {
		octets := 0
		for _, d := range drafts {
			for key, value := range d.Note {
				octets += len(key) + len(value)
			}
		}
		if octets <= maxNotes {
			return
		}
		for _, d := range drafts {
			for _, key := range keys {
				delete(d.Note, key)
			}
		}
	}
}

func withScore(note map[string]string, o policy.Outcome) map[string]string {
	own := make(map[string]string, len(note)+1)
	for k, v := range note {
		own[k] = v
	}
	own["score"] = strconv.FormatFloat(o.Score, 'f', 1, 64)
	return own
}

// list joins values for the log.
func list[T any](values []T, text func(T) string) string {
	var b strings.Builder
	for i, v := range values {
		if b.Len() > maxLoggedList {
			fmt.Fprintf(&b, ",+%d", len(values)-i)
			break
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(clip(text(v)))
	}
	return b.String()
}

// clip makes a value from outside fit for the log: UTF-8 without control
// characters, at most maxLogged bytes.
func clip(s string) string { return clipTo(s, maxLogged) }

func clipTo(s string, n int) string {
	cut := len(s) > n
	if cut {
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
	if cut {
		s += "…"
	}
	return s
}
