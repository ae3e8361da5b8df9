package gateway

import (
	"crypto/tls"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"spamcatcher/engine"
	"spamcatcher/gateway/auth"
	"spamcatcher/gateway/policy"
)

// A trace is everything that the fields which the gateway adds are written
// from.
type trace struct {
	host    string
	id      string
	mail    *engine.Mail
	tls     *tls.ConnectionState
	utf8    bool // MAIL had SMTPUTF8
	time    time.Time
	verdict engine.Verdict
	report  bool   // X-SpamCatcher-Report is wanted
	mark    string // "" for none
}

// write returns the fields that are put before the message for recipients of
// one outcome.
func (t trace) write(o policy.Outcome) []byte {
	var b fieldWriter
	t.received(&b)
	t.authentication(&b)
	b.field("X-SpamCatcher-Score", strconv.Itoa(int(math.Round(o.Score))))
	b.field("X-SpamCatcher-IP", address(t.mail.Session.Client))
	if o.Flag {
		b.field("X-SpamCatcher-Flag", "YES")
	}
	if t.verdict.Virus != "" {
		b.field("X-SpamCatcher-Virus", clean(t.verdict.Virus, 200))
	}
	if t.report {
		b.field("X-SpamCatcher-Report", t.symbols(o)...)
	}
	if t.verdict.TimedOut {
		b.field("X-SpamCatcher-Timeout", "yes")
	}
	if t.mark != "" {
		b.field(markField, strings.Fields(t.mark)...)
	}
	return b.bytes
}

// received writes the trace field. RFC 5321 section 4.4: from, by, with, id,
// for; the last only when there is one recipient, as section 7.2 asks.
func (t trace) received(b *fieldWriter) {
	s := t.mail.Session
	words := []string{"from", helloName(s.Hello), "(" + tcpInfo(s) + ")", "by", t.host}
	if t.tls != nil {
		words = append(words, fmt.Sprintf("(using %s with cipher %s)",
			comment(strings.ReplaceAll(tls.VersionName(t.tls.Version), " ", "v")), comment(tls.CipherSuiteName(t.tls.CipherSuite))))
	}
	words = append(words, "with", t.protocol(), "id", t.id)
	if to := t.mail.Envelope.To; len(to) == 1 && plainAddress(to[0]) {
		words = append(words, "for", "<"+to[0]+">")
	}
	words[len(words)-1] += ";"
	b.field("Received", append(words, t.time.Format("Mon, 2 Jan 2006 15:04:05 -0700"))...)
}

// plainAddress says whether an address can stand in a field as it is. RFC 5321
// section 4.1.2: Dot-string and Domain.
func plainAddress(a string) bool {
	at := strings.LastIndexByte(a, '@')
	return at > 0 && len(a) <= 300 && helloName(a[at+1:]) == a[at+1:] && isDotString(a[:at]) && clean(a, 300) == a
}

// protocol is the name for the with clause. RFC 3848 registers ESMTP and
// ESMTPS, RFC 6531 section 4.3 UTF8SMTP and UTF8SMTPS.
func (t trace) protocol() string {
	switch s := t.mail.Session; {
	case !s.ESMTP:
		return "SMTP"
	case t.utf8 && s.TLS:
		return "UTF8SMTPS"
	case t.utf8:
		return "UTF8SMTP"
	case s.TLS:
		return "ESMTPS"
	}
	return "ESMTP"
}

// tcpInfo is what the connection itself says of the client. RFC 5321 section
// 4.4: TCP-info.
func tcpInfo(s engine.Session) string {
	literal := "[" + address(s.Client) + "]"
	if s.Client.Unmap().Is6() {
		literal = "[IPv6:" + address(s.Client) + "]"
	}
	if s.PTR == "" {
		return literal
	}
	return helloName(s.PTR) + " " + literal
}

// helloName is a host name as somebody told it, with every character that is
// none of a host name or address literal replaced.
func helloName(name string) string {
	if name == "" {
		return "unknown"
	}
	if len(name) > 255 {
		name = name[:255]
	}
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune(".-_:[]", r):
			return r
		}
		return '?'
	}, name)
}

// authentication writes what was found out about the sender.
func (t trace) authentication(b *fieldWriter) {
	b.field("Authentication-Results", auth.Results(t.host, t.mail)...)
}

// maxReported bounds the symbols in one report.
const maxReported = 200

// symbols is the report: the score, the sender list's entry that made it so if
// one did, then each symbol with its share in
// log-odds. Details are left out, because they come from the mail.
func (t trace) symbols(o policy.Outcome) []string {
	words := []string{fmt.Sprintf("score=%.1f", o.Score)}
	if o.Listed != "" {
		words = append(words, "list="+atom(o.Listed, 300))
	}
	words = append(words, "bias="+share(t.verdict.Bias))
	for i, s := range t.verdict.Symbols {
		if i == maxReported {
			words = append(words, fmt.Sprintf("and=%d", len(t.verdict.Symbols)-i))
			break
		}
		words = append(words, atom(s.Name, 80)+"="+share(s.Share))
	}
	for i := range len(words) - 1 {
		words[i] += ";"
	}
	return words
}

func share(logOdds float64) string {
	s := strconv.FormatFloat(logOdds, 'f', 2, 64)
	if s == "-0.00" {
		return "0.00"
	}
	return s
}

func address(a netip.Addr) string {
	if !a.IsValid() {
		return "unknown"
	}
	return a.Unmap().WithZone("").String()
}

// clean returns at most n bytes of a text that came from outside, fit to stand
// in a header field or a reply: printable ASCII, everything else replaced.
func clean(text string, n int) string {
	return strings.TrimSpace(replace(text, n, func(r rune) bool { return ' ' <= r && r <= '~' }))
}

// atom is clean for one word.
func atom(text string, n int) string {
	return replace(text, n, func(r rune) bool { return '!' <= r && r <= '~' && r != ';' && r != '=' })
}

// comment is clean for text inside a comment.
func comment(text string) string {
	return replace(text, 100, func(r rune) bool { return ' ' <= r && r <= '~' && r != '(' && r != ')' && r != '\\' })
}

func replace(text string, n int, good func(rune) bool) string {
	if len(text) > n {
		text = text[:n]
	}
	return strings.Map(func(r rune) rune {
		if good(r) {
			return r
		}
		return '?'
	}, text)
}

// lineLength is where fields are folded. RFC 5322 section 2.1.1: a line should
// have at most 78 characters, and must have at most 998.
const (
	lineLength    = 78
	maxLineLength = 998
)

// A fieldWriter writes header fields.
type fieldWriter struct{ bytes []byte }

// field writes one field, folded between its words.
func (w *fieldWriter) field(name string, words ...string) {
	start := len(w.bytes)
	w.bytes = append(w.bytes, name...)
	w.bytes = append(w.bytes, ':')
	for i, word := range words {
		if len(word) > maxLineLength-100 {
			word = word[:maxLineLength-100]
		}
		if i > 0 && len(w.bytes)-start+1+len(word) > lineLength {
			w.bytes = append(w.bytes, "\r\n\t"...)
			start = len(w.bytes) - 1
		} else {
			w.bytes = append(w.bytes, ' ')
		}
		w.bytes = append(w.bytes, word...)
	}
	w.bytes = append(w.bytes, "\r\n"...)
}
