// Package message turns the bytes of a mail into an immutable Message: header
// fields, MIME parts, decoded text, links, attachments, and what is defective
// about them. Parsing never fails: a broken message is evidence.
//
// Readers of mail disagree about broken messages: which of two Content-Type
// fields counts, where a damaged header block ends, what base64 means behind
// its padding. Whoever inspects only one reading can be led past the payload.
// So Parse reads the message once as most readers do, and then adds every
// other reading that it knows of as parts with Alternate set, and a Defect.
package message

import "sync"

// Limits bound the work that one message can cause. Zero fields mean the
// default given.
type Limits struct {
	Depth       int // nesting of parts: 100
	Parts       int // parts in all, alternative readings included: 10,000
	HeaderBytes int // bytes of one header block that are looked at: 1 MiB
	Fields      int // header fields in one block: 10,000
	TextBytes   int // bytes of visible text in all: 2 MiB
	Links       int // links kept: 2,000
	Readings    int // alternative readings of one part: 8
}

func (l Limits) withDefaults() Limits {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&l.Depth, 100)
	def(&l.Parts, 10_000)
	def(&l.HeaderBytes, 1<<20)
	def(&l.Fields, 10_000)
	def(&l.TextBytes, 2<<20)
	def(&l.Links, 2_000)
	def(&l.Readings, 8)
	return l
}

// A Message is one parsed mail. It never changes: its views are computed on
// first use, once, and may be asked for by any number of goroutines.
type Message struct {
	raw   []byte
	lim   Limits
	root  *Part
	parts []*Part
	found defects // by the splitter

	textOnce sync.Once
	text     texts

	spellingOnce sync.Once
	spelling     Spelling

	skeletonOnce sync.Once
	skeleton     string

	linksOnce sync.Once
	links     []Link
	linkFound defects

	attachOnce sync.Once
	attach     []Attachment

	defectOnce sync.Once
	defects    defects
}

// Parse reads a message. It never fails. It keeps raw, which must not be
// changed afterwards. It takes time and memory linear in len(raw).
func Parse(raw []byte, lim Limits) *Message {
	m := &Message{raw: raw, lim: lim.withDefaults()}
	split(m)
	return m
}

// Raw is the message as it was given to Parse.
func (m *Message) Raw() []byte { return m.raw }

// Header is the header block of the message itself.
func (m *Message) Header() *Header { return m.root.Header }

// Body is what follows the empty line behind the header block.
func (m *Message) Body() []byte { return m.root.Raw() }

// Root is the part that is the whole message.
func (m *Message) Root() *Part { return m.root }

// Parts lists every part in document order, containers included, and then the
// alternative readings.
func (m *Message) Parts() []*Part { return m.parts }

// Text is the decoded Subject, a line feed, and the text of all text parts as
// a reader sees it, in UTF-8: runs of white space are one space, paragraphs
// and block elements end with a line feed.
func (m *Message) Text() string { return m.views().visible }

// Source is the text of all text parts with transfer encoding and charset
// undone and HTML tags left in, the parts separated by line feeds.
func (m *Message) Source() string { return m.views().source }

// HTML is what there is to know of all HTML parts together; never nil.
func (m *Message) HTML() *HTML { return m.views().html }

// Skeleton is Text with disguises taken off: see Fold. Text that is shown
// backwards is turned round; marks and digits inside words are taken off where
// they are many.
func (m *Message) Skeleton() string {
	m.skeletonOnce.Do(func() { m.skeleton = undress(m.Text(), m.Spelling()) })
	return m.skeleton
}

// Links lists the links of the message: of its text, its HTML and its header.
func (m *Message) Links() []Link {
	m.linksOnce.Do(func() { m.links = findLinks(m) })
	return m.links
}

// Attachments lists the leaf parts that are not the text a reader is shown.
func (m *Message) Attachments() []Attachment {
	m.attachOnce.Do(func() { m.attach = findAttachments(m) })
	return m.attach
}

// Defects lists what is wrong with the message, in the order found, each kind
// once.
func (m *Message) Defects() []Defect { return m.allDefects().list() }

// Defect tells how often a kind of defect was found.
func (m *Message) Defect(kind string) int { return m.allDefects().count(kind) }

// allDefects computes every view first, because each of them finds defects,
// and merges in a fixed order so that the answer does not depend on which
// view was asked for before.
func (m *Message) allDefects() *defects {
	m.defectOnce.Do(func() {
		m.defects.merge(&m.found)
		wordDefects(m.Header(), &m.defects)
		for _, p := range m.parts {
			if p.leaf() {
				p.Decoded()
				m.defects.merge(&p.decodeFound)
			}
		}
		t := m.views()
		m.defects.merge(&t.found)
		m.Links()
		m.defects.merge(&m.linkFound)
	})
	return &m.defects
}
