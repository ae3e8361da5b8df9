// Package rules turns rule text into one immutable Ruleset: a check that finds
// the symbols of all rules in a mail, and a combiner for the rules that also
// look at what other checks found.
//
// A rule is a name, a condition, a price and samples that prove it. Reading
// rule files is the work of the sub-packages; they produce Rule values.
package rules

import (
	"fmt"
	"strings"
)

// A Rule is one finding: the condition under which it holds, its price, and
// samples of mail in which it must and must not hold.
type Rule struct {
	// Symbol is the rule's name, [A-Z][A-Z0-9_]+. A name that begins with
	// "_" is a term: it has no price and is never reported, it only serves
	// the expressions of Meta conditions.
	Symbol string
	// Description tells a support desk in one line what was found.
	// Required unless the rule is a term.
	Description string
	// Points is the price, -10 to 10. One point doubles the odds of spam, a
	// negative one speaks for the message.
	Points float64
	// When is the condition.
	When Condition
	// Hit and Miss are samples in which the rule must and must not hold.
	// A symbol needs at least one of each, a term at least one Hit.
	Hit, Miss []Sample

	// File, Line and Col say where the rule begins; Line and Col count
	// from 1. They appear in errors and failures only.
	File string
	Line int
	Col  int
	// At is where the condition begins, as line and column; zero when
	// unknown.
	At Position
}

// A Position is a place in a rule file; Line and Col count from 1.
type Position struct{ Line, Col int }

// A Sample is a piece of mail and the line of the rule file it begins on.
type Sample struct {
	Text string
	Line int
}

// Term says whether the rule only serves expressions.
func (r *Rule) Term() bool { return strings.HasPrefix(r.Symbol, "_") }

// An Error is a fault in a rule, with its place.
type Error struct {
	File      string
	Line, Col int
	Msg       string
}

// Error returns "file:line:col: message".
func (e *Error) Error() string {
	if e.Col > 0 {
		return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Msg)
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg)
}

// A Condition is one of Text, Header, HTML, Link, Attachment, Defect,
// Envelope, Measure and Meta.
type Condition interface {
	// Kind is the condition's key in the native rule language.
	Kind() string
}

// A View names one of the texts of a message.
type View string

// The texts of a message that a Text condition may search.
const (
	Body     View = "body"     // Message.Text: decoded subject and visible text
	Skeleton View = "skeleton" // Message.Skeleton: the same, folded against obfuscation
	RawBody  View = "rawbody"  // Message.Source: decoded source of text parts, tags included
)

// Text holds when Pattern is found in a view. Patterns, here and in the other
// conditions, are of RE2's syntax; "" means any.
type Text struct {
	View    View
	Pattern string
}

// Header holds when a header field is as described. Exactly one of Match,
// Absent, Present and MinCount is set.
type Header struct {
	// Name is the field's name in any case; "*" searches all fields at once
	// as raw "Name: value" lines.
	Name string
	// Of is what of the field is searched: "" or "decoded", "raw",
	// "address", "display", "domain" (of each address in the field).
	Of       string
	Match    string
	Absent   bool
	Present  bool
	MinCount int
}

// HTML holds when the HTML parts contain what is described. Exactly one of
// Tag, Hidden and Image is set.
type HTML struct {
	Tag    string // element name, lower case; at least Min of them, 0 means 1
	Min    int
	Hidden string // pattern over text that a reader does not see
	Means  string // how it is hidden, "" any; with Hidden only
	Image  string // pattern over the sources of images
}

// Link holds when all that is given holds for one and the same link.
type Link struct {
	Match  string // pattern over the normalised URL
	Host   string // pattern over the host
	Text   string // pattern over the anchor's visible text
	Source string // "text", "href", "image"…; "" any

	Deceptive, IP, Punycode, UserInfo, Obfuscated *bool // nil any
}

// Attachment holds when all that is given holds for one and the same
// attachment.
type Attachment struct {
	Name     string // pattern over the file name
	Type     string // pattern over the declared media type
	Detected string // pattern over the media type of the content
	Mismatch *bool  // declared type or name contradicts the content; nil any
	MinSize  int    // bytes, decoded
	MaxSize  int    // bytes, decoded; 0 no limit
}

// Defect holds when the message has a defect of the kind, at least Min times;
// 0 means 1. Exactly one of Name and Match is set.
type Defect struct {
	Name  string
	Match string // pattern over kinds
	Min   int
}

// Envelope holds when a fact of session or envelope matches. It never holds
// for mail whose session or envelope is unknown.
type Envelope struct {
	Of    string // "helo", "from", "to", "client", "ptr"
	Match string
}

// Measure holds when a fact can be computed from the mail and lies strictly
// above Above and strictly below Below.
type Measure struct {
	Name         string
	Above, Below *float64
}

// Meta holds when its expression over other rules and the symbols of other
// checks does.
type Meta struct{ Expr string }

// Kind returns the view's name.
func (t Text) Kind() string     { return string(t.View) }
func (Header) Kind() string     { return "header" }
func (HTML) Kind() string       { return "html" }
func (Link) Kind() string       { return "uri" }
func (Attachment) Kind() string { return "attachment" }
func (Defect) Kind() string     { return "defect" }
func (Envelope) Kind() string   { return "envelope" }
func (Measure) Kind() string    { return "fact" }
func (Meta) Kind() string       { return "meta" }
