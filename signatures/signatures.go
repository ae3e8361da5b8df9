// Package signatures turns a message, its parts and whatever is inside them into
// the names of the malware found, and into findings about how things are packed:
// the check "signatures".
//
// Each file that signatures/unpack comes upon is looked at once: for the strings
// of test files, for hashes of known files (signatures/clamav), and by YARA rules
// (signatures/yara), which are the built-in ones and those of the site. What was
// remarkable about unpacking becomes symbols (symbols.go), and links that only
// documents and codes show are told to the other checks.
package signatures

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"spamcatcher/engine"
	"spamcatcher/engine/message"
	"spamcatcher/signatures/clamav"
	"spamcatcher/signatures/unpack"
	"spamcatcher/signatures/unpack/format"
	"spamcatcher/signatures/yara"
)

// Name is the check's.
const Name = "signatures"

// Test strings, in two halves, so that no scanner takes this program for a test
// file.
var (
	eicar = []byte(`X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD` + `-ANTIVIRUS-TEST-FILE!$H+H*`)
	gtube = []byte("XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD" + "-ANTI-UBE-TEST-EMAIL*C.34X")
)

// Config of a Check.
type Config struct {
	// Set is what is looked for, besides the test files. nil: nothing else.
	Set *Set
	// Limits bound what unpacking one message may take.
	Limits format.Limits
}

// maxLarge is how many messages may hold much unpacked content at one time.
const maxLarge = 2

// A Check opens attachments and looks for signatures in every part, however it
// was encoded, in every reading of an ambiguous message, and in what is inside.
type Check struct {
	set    *Set
	limits format.Limits
}

// New returns a check.
func New(c Config) *Check {
	if c.Set == nil {
		c.Set = &Set{}
	}
	if c.Limits.Gate == nil {
		c.Limits.Gate = format.NewGate(maxLarge)
	}
	return &Check{set: c.Set, limits: c.Limits}
}

// Name is "signatures".
func (c *Check) Name() string { return Name }

// work is the inspection of one mail.
type work struct {
	*Check
	ctx    context.Context
	end    time.Time
	sender string
	hits   []engine.Hit
	seen   map[string]bool // symbols and details that are in hits

	faults []error // of scans

	members, scripts int    // files in archives, and scripts among them
	script           string // path of one
}

// Inspect reports each signature and each kind of finding once. It keeps within
// three quarters of the time that ctx leaves.
func (c *Check) Inspect(ctx context.Context, m *engine.Mail) ([]engine.Hit, error) {
	limits := c.limits
	if limits.Time == 0 {
		limits.Time = 2 * time.Second
	}
	if deadline, ok := ctx.Deadline(); ok {
		limits.Time = min(limits.Time, time.Until(deadline)*3/4)
	}
	w := &work{Check: c, ctx: ctx, end: time.Now().Add(limits.Time), sender: senderOf(m), seen: map[string]bool{}}
	found := unpack.Walk(ctx, m.Message, limits, w.visit)
	m.Inside.Tell(message.ReadLinks(found.Links))
	for _, mark := range found.Marks {
		w.mark(mark)
	}
	if w.scripts > 0 && w.members <= w.scripts+3 {
		w.add(archiveScript, w.script, 0)
	}
	return w.hits, errors.Join(append(found.Faults, w.faults...)...)
}

// senderOf is the domain of the envelope sender, or else of the author.
func senderOf(m *engine.Mail) string {
	from := m.Envelope.From
	if from == "" {
		if list := m.Message.Header().Addresses("From"); len(list) > 0 {
			return list[0].Domain()
		}
	}
	return strings.ToLower(from[strings.LastIndexByte(from, '@')+1:])
}

// visit looks at one file.
func (w *work) visit(f *format.File) error {
	if bytes.Contains(f.Data, eicar) {
		w.add(Symbol, "EICAR-Test-File", 0)
	}
	if bytes.Contains(f.Data, gtube) {
		w.add(Test, "", 0)
	}
	w.findings(f)
	var found []finding
	if f.Kind != format.Mail {
		if name, ok := w.set.hash(f.Data); ok {
			found = append(found, finding{name, !clamav.Suspicious(name), 1})
		}
	}
	if w.set.rules != nil {
		matches, err := w.set.rules.Scan(w.ctx, f.Data, w.facts(f), time.Until(w.end))
		for _, m := range matches {
			malware, points := weight(m)
			found = append(found, finding{nameOf(m), malware, points})
		}
		switch {
		case errors.Is(err, yara.ErrTime):
			w.add(incomplete, f.Path(), 0)
		case err != nil && len(w.faults) < maxFaults:
			w.faults = append(w.faults, fmt.Errorf("looking for signatures in %s: %w", f.Kind, err))
		}
	}
	if len(found) == 0 || w.set.exempt(f.Data) {
		return nil
	}
	for _, x := range found {
		if x.malware {
			w.add(Symbol, x.name, 0)
		} else {
			w.add(Suspicious, x.name, x.points)
		}
	}
	return nil
}

// A finding is a signature that matched.
type finding struct {
	name    string
	malware bool
	points  float64 // if it is not malware
}

func (w *work) facts(f *format.File) yara.Facts {
	return yara.Facts{Name: f.Name, Path: f.Path(), Extension: f.Extension(), Type: f.Type, ContentType: f.Declared, Sender: w.sender, Kind: string(f.Kind)}
}

// mark turns a mark of unpacking into a hit.
func (w *work) mark(m format.Mark) {
	symbol := symbolOf[m.Kind]
	if symbol == "" || usual(m) {
		return
	}
	detail := m.Path
	if m.Detail != "" {
		detail = strings.TrimPrefix(detail+": "+m.Detail, ": ")
	}
	w.add(symbol, detail, 0)
	if m.Kind == format.Code {
		if links := message.ReadLinks([]string{m.Detail}); len(links) > 0 && strings.HasPrefix(links[0].Scheme, "http") {
			w.add(codeLink, links[0].Host, 0)
		}
	}
}

// usual says that a mark is what good documents have: scripts that format the
// fields of a form, the button that sends it, and the data of an electronic
// invoice.
func usual(m format.Mark) bool {
	switch m.Kind {
	case format.PDFScript:
		return m.Detail == "field"
	case format.PDFAction:
		return strings.HasPrefix(m.Detail, "SubmitForm")
	case format.PDFEmbedded:
		return strings.HasSuffix(strings.ToLower(m.Detail), ".xml")
	}
	return false
}

// maxFaults bounds the faults of one mail.
const maxFaults = 3

// maxDetail bounds the detail of a hit, in bytes.
const maxDetail = 200

// hit reports a symbol about a file.
func (w *work) hit(symbol string, f *format.File) { w.add(symbol, f.Path(), 0) }

// add reports a symbol: signatures once for each name, anything else once, with
// the first place at which it was found.
func (w *work) add(symbol, detail string, strength float64) {
	key := symbol
	if symbol == Symbol || symbol == Suspicious {
		key += " " + detail
	}
	if w.seen[key] {
		return
	}
	w.seen[key] = true
	if len(detail) > maxDetail {
		detail = strings.ToValidUTF8(detail[:maxDetail], "") + "…"
	}
	w.hits = append(w.hits, engine.Hit{Symbol: symbol, Detail: detail, Strength: strength})
}

// Digest names what the check does: its signatures, and its limits.
func (c *Check) Digest() string {
	l := c.limits
	numbers := []int64{int64(l.Depth), int64(l.Members), l.MemberBytes, l.Bytes, l.Ratio, int64(l.Time), int64(l.Links)}
	if !slices.ContainsFunc(numbers, func(n int64) bool { return n != 0 }) {
		return c.set.digest
	}
	text := make([]string, len(numbers))
	for i, n := range numbers {
		text[i] = strconv.FormatInt(n, 36)
	}
	return c.set.digest + "/" + strings.Join(text, ".")
}
