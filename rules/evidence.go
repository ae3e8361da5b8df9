package rules

import (
	"strings"
	"time"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
)

// evidence is one mail and what several facts and rules want to know of it,
// each found when it is first asked for. It belongs to one Inspect, and what
// it found must not be changed.
type evidence struct {
	*engine.Mail
	header *message.Header
	values []lazy[string] // of each header field, unfolded
	names  []named

	texts      lazy[string]
	wordsOf    lazy[float64]
	plainText  lazy[bool]
	textual    lazy[[]*message.Part]
	to         lazy[[]string]
	hops       lazy[[]time.Time]
	sent, came lazy[moment]
	web        lazy[[]anchor]
	orgs       [8]struct{ host, org string }
	nextOrg    int
	few        wordSet // scratch
	buffer     []byte  // scratch
}

// lazy is a value that may have been found.
type lazy[T any] struct {
	value T
	known bool
}

// get returns the value, finding it when it is not known.
func (l *lazy[T]) get(find func() T) T {
	if !l.known {
		l.value, l.known = find(), true
	}
	return l.value
}

// moment is a time that there may be.
type moment struct {
	at time.Time
	ok bool
}

// named is what is known of the header fields of one name.
type named struct {
	name      string
	at        []int32 // their numbers
	decoded   lazy[string]
	raw       lazy[[]string]
	addresses lazy[[]message.Address]
}

// begin readies e, which may be used, for a mail.
func (e *evidence) begin(m *engine.Mail) {
	values, names := e.values, e.names
	few, buffer := e.few, e.buffer
	for i := range names {
		names[i] = named{at: names[i].at[:0]}
	}
	clear(values)
	*e = evidence{Mail: m, names: names[:0], few: few, buffer: buffer}
	if m == nil {
		e.values = values
		return
	}
	e.header = m.Message.Header()
	if n := len(e.header.Fields()); n <= cap(values) {
		e.values = values[:n]
	} else {
		e.values = make([]lazy[string], n)
	}
}

// head serves to read the header as message.Header does, each field once.
func (e *evidence) head() *evidence { return e }

// value is the unfolded text of a field.
func (e *evidence) value(i int) string {
	v := &e.values[i]
	if !v.known {
		v.value, v.known = e.header.Fields()[i].Value(), true
	}
	return v.value
}

// decoded is the decoded text of a field.
func (e *evidence) decoded(i int) string {
	f := &e.header.Fields()[i]
	if v := e.value(i); !strings.Contains(v, "=?") && ascii(v) {
		return v
	}
	return f.Decoded()
}

// named finds the fields of a name, in any case.
func (e *evidence) named(name string) *named {
	for i := range e.names {
		if n := e.names[i].name; len(n) == len(name) && sameName(n, name) {
			return &e.names[i]
		}
	}
	if len(e.names) < cap(e.names) {
		e.names = e.names[:len(e.names)+1]
	} else {
		e.names = append(e.names, named{})
	}
	n := &e.names[len(e.names)-1]
	*n = named{name: name, at: n.at[:0]}
	fields := e.header.Fields()
	for i := range fields {
		if f := &fields[i]; len(f.Name) == len(name) && sameName(f.Name, name) {
			n.at = append(n.at, int32(i))
		}
	}
	return n
}

// sameName says whether two names of one length differ in the case of ASCII
// letters only.
func sameName(a, b string) bool {
	for i := range len(a) {
		if a[i] != b[i] && (a[i]|0x20 != b[i]|0x20 || !asciiLetter(a[i])) {
			return false
		}
	}
	return true
}

// Has, Count, Get, Raw, RawValues and Addresses are those of message.Header.
func (e *evidence) Has(name string) bool  { return len(e.named(name).at) > 0 }
func (e *evidence) Count(name string) int { return len(e.named(name).at) }

func (e *evidence) Get(name string) string {
	n := e.named(name)
	if !n.decoded.known && len(n.at) > 0 {
		n.decoded.value = e.decoded(int(n.at[0]))
	}
	n.decoded.known = true
	return n.decoded.value
}

func (e *evidence) Raw(name string) string {
	n := e.named(name)
	if len(n.at) == 0 {
		return ""
	}
	return e.value(int(n.at[0]))
}

func (e *evidence) RawValues(name string) []string {
	n := e.named(name)
	if !n.raw.known {
		n.raw.known = true
		for _, i := range n.at {
			n.raw.value = append(n.raw.value, e.value(int(i)))
		}
	}
	return n.raw.value
}

func (e *evidence) Addresses(name string) []message.Address {
	n := e.named(name)
	if !n.addresses.known && len(n.at) > 0 {
		n.addresses.value = e.header.Addresses(name)
	}
	n.addresses.known = true
	return n.addresses.value
}

// first returns the first address of a field that has one.
func (e *evidence) first(field string) (message.Address, bool) {
	for _, a := range e.Addresses(field) {
		if a.Address != "" {
			return a, true
		}
	}
	return message.Address{}, false
}

// recipients are the addresses that the mail is for: the envelope's, and
// those of To, at most 50.
func (e *evidence) recipients() []string {
	return e.to.get(func() (out []string) {
		if e.Envelope.Known {
			out = append(out, e.Envelope.To...)
		}
		for _, a := range e.Addresses("To") {
			if a.Address != "" {
				out = append(out, a.Address)
			}
		}
		return out[:min(len(out), 50)]
	})
}

// body is the visible text without the subject line that Message.Text begins
// with.
func (e *evidence) body() string {
	return e.texts.get(func() string {
		_, text, _ := strings.Cut(e.Message.Text(), "\n")
		return text
	})
}

// words counts the words of the visible text.
func (e *evidence) words() float64 {
	return e.wordsOf.get(func() float64 { return wordCount(e.body()) })
}

// ascii says whether subject and visible text have no other characters.
func (e *evidence) ascii() bool {
	return e.plainText.get(func() bool { return ascii(e.Message.Text()) })
}

// textParts are the text/plain and text/html parts that are not attachments
// nor alternative readings.
func (e *evidence) textParts() []*message.Part {
	return e.textual.get(func() (out []*message.Part) {
		for _, p := range e.Message.Parts() {
			if p.Alternate || p.Disposition == "attachment" {
				continue
			}
			if p.MediaType == "text/plain" || p.MediaType == "text/html" {
				out = append(out, p)
			}
			if len(out) == 20 {
				break
			}
		}
		return out
	})
}

// org is orgDomain; the hosts of one mail are few.
func (e *evidence) org(host string) string {
	for i := range e.orgs {
		if e.orgs[i].host == host && host != "" {
			return e.orgs[i].org
		}
	}
	org := orgDomain(host)
	e.orgs[e.nextOrg%len(e.orgs)] = struct{ host, org string }{host, org}
	e.nextOrg++
	return org
}

// sameOrg says whether two hosts are of one registered domain.
func (e *evidence) sameOrg(a, b string) bool { return a != "" && (a == b || e.org(a) == e.org(b)) }
