package rules

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"mime"
	"strings"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
)

// A Failure is a sample that did not come out as its rule says.
type Failure struct {
	File   string
	Line   int // of the sample
	Symbol string
	Hit    bool   // the sample must hit
	Sample string // its text
	Got    []string
	Err    string // the sample could not be made into a message
}

// String describes the failure in one line: place, symbol, what was expected,
// what hit instead, and the beginning of the sample.
func (f Failure) String() string {
	what := "must not hit but does"
	if f.Hit {
		what = "must hit but does not"
	}
	if f.Err != "" {
		what = f.Err
	}
	text := f.Sample
	if len(text) > 120 {
		text = text[:120] + "…"
	}
	got := "nothing"
	if len(f.Got) > 0 {
		got = strings.Join(f.Got, " ")
	}
	return fmt.Sprintf("%s:%d: %s %s; found: %s; sample: %q", f.File, f.Line, f.Symbol, what, got, text)
}

// Test judges every sample of every rule with the whole rule set and returns
// those that failed, in the order of the rules.
//
// A sample that begins with a header field or a fact line and has an empty
// line is a whole message, with LF for CRLF; its fact lines are ":client",
// ":helo", ":ptr", ":from", ":to", ":time" (RFC 3339) and ":symbol" (a finding
// of another check). Other samples are fragments, completed as fits the rule's
// condition: the text of a body, header lines, or "name|media type|content" of
// an attachment.
func (rs *Ruleset) Test() []Failure {
	var all []Failure
	for i := range rs.rules {
		r := &rs.rules[i]
		for _, s := range r.Hit {
			all = rs.try(all, i, s, true)
		}
		for _, s := range r.Miss {
			all = rs.try(all, i, s, false)
		}
	}
	return all
}

// try judges one sample.
func (rs *Ruleset) try(all []Failure, id int, sample Sample, want bool) []Failure {
	r := &rs.rules[id]
	fail := Failure{File: r.File, Line: sample.Line, Symbol: r.Symbol, Hit: want, Sample: sample.Text}
	if fail.Line == 0 {
		fail.Line = r.Line
	}
	m, hits, err := sampleMail(sample.Text, r.When)
	if err != nil {
		fail.Err = err.Error()
		return append(all, fail)
	}
	own, err := rs.Inspect(context.Background(), m)
	if err != nil {
		fail.Err = err.Error()
		return append(all, fail)
	}
	before := len(hits)
	hits = append(hits, own...)
	hits = append(hits, rs.Combine(m, hits)...)
	holds := false
	for _, h := range hits[before:] {
		holds = holds || h.Symbol == r.Symbol
		fail.Got = append(fail.Got, h.Symbol)
	}
	if r.Term() {
		holds = rs.term(m, id, hits[:before])
	}
	if holds != want {
		all = append(all, fail)
	}
	return all
}

// term says whether a rule that is never reported holds.
func (rs *Ruleset) term(m *engine.Mail, id int, hits []engine.Hit) bool {
	s := rs.states.Get().(*state)
	defer rs.release(s)
	rs.evaluate(m, s)
	for _, h := range hits {
		if f, ok := rs.foreign[h.Symbol]; ok {
			s.set(f)
		}
	}
	for _, meta := range rs.late {
		if meta.e.holds(s.has) {
			s.set(meta.id)
		}
	}
	return s.has(id)
}

// sampleMail makes the mail that a sample stands for, and the findings of
// other checks that it supposes.
func sampleMail(text string, when Condition) (*engine.Mail, []engine.Hit, error) {
	m := &engine.Mail{}
	if whole(text) {
		rest, hits, err := factLines(text, m)
		if err != nil {
			return nil, nil, err
		}
		m.Message = message.Parse(crlf(rest), message.Limits{})
		return m, hits, nil
	}
	var raw string
	switch w := when.(type) {
	case Text:
		if w.View == RawBody {
			raw = fragment("text/html", text)
		} else {
			raw = fragment("text/plain", text)
		}
	case HTML:
		raw = fragment("text/html", text)
	case Link:
		if strings.Contains(text, "<") {
			raw = fragment("text/html", text)
		} else {
			raw = fragment("text/plain", text)
		}
	case Header:
		raw = headerFragment(text)
	case Attachment:
		var err error
		if raw, err = attachmentFragment(text); err != nil {
			return nil, nil, err
		}
	default:
		return nil, nil, fmt.Errorf("a sample of a %s rule must be a whole message: header lines, an empty line, body", when.Kind())
	}
	m.Message = message.Parse(crlf(raw), message.Limits{})
	return m, nil, nil
}

// whole says whether a sample is a message with its header.
func whole(text string) bool {
	first, _, _ := strings.Cut(text, "\n")
	first = strings.TrimSuffix(first, "\r")
	name, _, colon := strings.Cut(strings.TrimPrefix(first, ":"), ":")
	if strings.HasPrefix(first, ":") {
		name, _, colon = strings.Cut(first[1:], " ")
	}
	if !colon || name == "" || strings.ContainsFunc(name, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		return false
	}
	return strings.Contains(text, "\n\n") || strings.Contains(text, "\n\r\n")
}

// factLines reads the fact lines before a message into m and returns the rest.
func factLines(text string, m *engine.Mail) (rest string, hits []engine.Hit, err error) {
	for strings.HasPrefix(text, ":") {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		name, value, _ := strings.Cut(strings.TrimRight(line[1:], " \r"), " ")
		if name == "symbol" {
			hits = append(hits, engine.Hit{Symbol: strings.TrimSpace(value)})
		} else {
			err = m.Tell(name, value)
		}
		if err != nil {
			return "", nil, fmt.Errorf("reading fact line %q: %w", line, err)
		}
	}
	return text, hits, nil
}

// plainHeader are the fields that a fragment is completed with.
const plainHeader = `From: Alice Example <alice@example.com>
To: Bob Example <bob@example.org>
Date: Tue, 10 Mar 2026 09:30:00 +0000
Subject: Note
Message-ID: <20260310093000.1a2b3c@mail.example.com>
MIME-Version: 1.0
`

func fragment(mediaType, text string) string {
	return plainHeader + "Content-Type: " + mediaType + "; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n" + text + "\n"
}

// headerFragment adds header lines to the plain header, replacing fields of
// the same name.
func headerFragment(text string) string {
	text = strings.TrimRight(text, "\r\n") + "\n"
	given := map[string]bool{}
	for line := range strings.Lines(text) {
		if name, _, ok := strings.Cut(line, ":"); ok && line[0] != ' ' && line[0] != '\t' {
			given[strings.ToLower(strings.TrimSpace(name))] = true
		}
	}
	var b strings.Builder
	for line := range strings.Lines(plainHeader + "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n") {
		if name, _, _ := strings.Cut(line, ":"); !given[strings.ToLower(name)] {
			b.WriteString(line)
		}
	}
	b.WriteString(text)
	b.WriteString("\nGood morning.\n")
	return b.String()
}

func attachmentFragment(text string) (string, error) {
	parts := strings.SplitN(text, "|", 3)
	if len(parts) != 3 {
		return "", fmt.Errorf("an attachment sample is a whole message or name|media type|content")
	}
	content := []byte(parts[2])
	if trimmed := strings.Join(strings.Fields(parts[2]), ""); len(trimmed) >= 8 {
		if b, err := base64.StdEncoding.DecodeString(trimmed); err == nil {
			content = b
		}
	}
	disposition := "attachment"
	if parts[0] != "" {
		disposition = mime.FormatMediaType("attachment", map[string]string{"filename": parts[0]})
	}
	var b strings.Builder
	b.WriteString(plainHeader)
	b.WriteString("Content-Type: multipart/mixed; boundary=\"=_sample\"\n\n--=_sample\nContent-Type: text/plain; charset=utf-8\n\nPlease see the attachment.\n--=_sample\n")
	fmt.Fprintf(&b, "Content-Type: %s\nContent-Disposition: %s\nContent-Transfer-Encoding: base64\n\n", parts[1], disposition)
	for enc := base64.StdEncoding.EncodeToString(content); enc != ""; {
		n := min(len(enc), 76)
		b.WriteString(enc[:n] + "\n")
		enc = enc[n:]
	}
	b.WriteString("--=_sample--\n")
	return b.String(), nil
}

// crlf gives every line the line end of RFC 5321 section 2.3.8.
func crlf(text string) []byte {
	b := bytes.ReplaceAll([]byte(text), []byte("\r\n"), []byte("\n"))
	return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
}
