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
	"net/netip"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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

// maxLeft is how many walks may be at work whose time was over. While there are more,
// formats whose decoders may do that to us are not opened.
const maxLeft = 4

// grace is what a walk may take beyond its time before it is left alone.
const grace = 100 * time.Millisecond

// A Check opens attachments and looks for signatures in every part, however it
// was encoded, in every reading of an ambiguous message, and in what is inside.
type Check struct {
	set    *Set
	limits format.Limits
	left   atomic.Int32 // walks at work that nobody waits for
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

// work is the inspection of one mail. Its walk is a goroutine of its own.
type work struct {
	*Check
	ctx    context.Context
	walk   *unpack.Walker
	sender string
	open   []*format.File // what lies openly and is to be scanned
	walked atomic.Bool    // only the scan of the whole message is left

	mu     sync.Mutex // for the following
	hits   []engine.Hit
	seen   map[string]bool // symbols and details that are in hits
	faults []error         // of scans

	members, scripts int    // files in archives, and scripts among them
	script           string // path of one
}

// Inspect reports each signature and each kind of finding once. It keeps within
// three quarters of the time that ctx leaves, and a little for decoders that do not
// look at the clock; when time is over it reports what was found so far, whatever
// still goes on.
func (c *Check) Inspect(ctx context.Context, m *engine.Mail) ([]engine.Hit, error) {
	limits := c.limits
	if limits.Time == 0 {
		limits.Time = 2 * time.Second
	}
	latest := time.Now().Add(time.Hour)
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		limits.Time = min(limits.Time, left*3/4)
		latest = deadline.Add(-left / 8)
	}
	limits.Owner = ownerOf(m.Session.Client)
	limits.Cautious = c.left.Load() >= maxLeft
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // what is left alone stops at its next look at the clock
	w := &work{Check: c, ctx: ctx, sender: senderOf(m), seen: map[string]bool{}}
	w.small(m.Message)
	w.walk = unpack.New(ctx, m.Message, limits, w.visit, w.scanOpen)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.run(m.Message.Raw())
	}()
	finished := w.wait(ended, latest)
	if !finished {
		c.left.Add(1)
		go func() {
			<-ended
			c.left.Add(-1)
		}()
	}
	return w.report(m, finished)
}

// ownerOf is who is taken for one sender: an address, or a network of IPv6 such as
// one customer has. RFC 6177.
func ownerOf(client netip.Addr) string {
	if !client.IsValid() {
		return ""
	}
	client = client.Unmap()
	if client.Is6() {
		network, _ := client.Prefix(64) // an IPv6 address has one
		return network.String()
	}
	return client.String()
}

// small looks at the small parts for test files, at once: no load and no deadline
// changes what is said about those.
func (w *work) small(m *message.Message) {
	for _, p := range m.Parts() {
		if len(p.Children) == 0 && len(p.Raw()) <= maxSmall && bytes.Contains(p.Decoded(), eicar) {
			w.add(Symbol, testFile, 0)
		}
	}
}

// run walks through a message, whose scan as a whole comes last: it takes the
// longest and tells the least.
func (w *work) run(raw []byte) {
	defer func() {
		if r := recover(); r != nil {
			w.fault(fmt.Errorf("panic: %v\n%s", r, debug.Stack()))
		}
	}()
	w.walk.Run()
	w.walked.Store(true)
	w.scan(&format.File{Kind: format.Mail, Type: "message/rfc822", Data: raw})
}

// wait says whether the work has ended: it waits until the time of the walk is over,
// until latest at most.
func (w *work) wait(ended chan struct{}, latest time.Time) bool {
	for {
		until := w.walk.End().Add(grace)
		if latest.Before(until) {
			until = latest
		}
		timer := time.NewTimer(time.Until(until))
		select {
		case <-ended:
			timer.Stop()
			return true
		case <-w.ctx.Done(): // its context has no deadline, or one that was too short
			timer.Stop()
			return false
		case <-timer.C:
		}
		// The end moves while the walk waits for memory.
		if end := w.walk.End().Add(grace); !until.Before(latest) || !end.After(until) {
			return false
		}
	}
}

// report tells what has been found so far.
func (w *work) report(m *engine.Mail, finished bool) ([]engine.Hit, error) {
	found := w.walk.Found()
	m.Inside.Tell(message.ReadLinks(found.Links))
	for _, mark := range found.Marks {
		w.mark(mark)
	}
	if w.walked.Load() && !finished {
		w.add(incomplete, "", 0)
	} else if !finished {
		w.mark(format.Mark{Kind: format.LimitTime})
	}
	w.mu.Lock()
	alone := w.scripts > 0 && w.members <= w.scripts+3
	script := w.script
	w.mu.Unlock()
	if alone {
		w.add(archiveScript, script, 0)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.hits), errors.Join(append(found.Faults, w.faults...)...)
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

// visit looks at one file: first for what is found at once. What lies openly is
// scanned when all of it has been seen.
func (w *work) visit(f *format.File) error {
	if bytes.Contains(f.Data, eicar) {
		w.add(Symbol, testFile, 0)
	}
	if bytes.Contains(f.Data, gtube) {
		w.add(Test, "", 0)
	}
	w.findings(f)
	if f.Kind != format.Mail {
		if name, ok := w.set.hash(f.Data); ok && !w.set.exempt(f.Data) {
			w.found(finding{name, !clamav.Suspicious(name), 1})
		}
	}
	switch {
	case f.Parent != nil:
		w.scan(f)
	case f.Kind != format.Mail:
		w.open = append(w.open, f)
	}
	return nil
}

// scanOpen scans what lies openly.
func (w *work) scanOpen() {
	for _, f := range w.open {
		w.scan(f)
	}
	w.open = nil
}

// scan looks for the signatures that are rules.
func (w *work) scan(f *format.File) {
	if w.set.rules == nil {
		return
	}
	left := time.Until(w.walk.End())
	if left <= 0 {
		w.add(incomplete, f.Path(), 0)
		return
	}
	matches, err := w.set.rules.Scan(w.ctx, f.Data, w.facts(f), left)
	switch {
	case errors.Is(err, yara.ErrTime):
		w.add(incomplete, f.Path(), 0)
	case err != nil:
		w.fault(fmt.Errorf("looking for signatures in %s: %w", f.Kind, err))
	}
	if len(matches) == 0 || w.set.exempt(f.Data) {
		return
	}
	for _, m := range matches {
		malware, points := weight(m)
		w.found(finding{nameOf(m), malware, points})
	}
}

// found reports a signature.
func (w *work) found(x finding) {
	if x.malware {
		w.add(Symbol, x.name, 0)
	} else {
		w.add(Suspicious, x.name, x.points)
	}
}

// fault notes an error of ours.
func (w *work) fault(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.faults) < maxFaults {
		w.faults = append(w.faults, err)
	}
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

// usual says that a mark is what good mail has: encryption between people, scripts
// that format the fields of a form, the button that sends it, and the data of an
// electronic invoice.
func usual(m format.Mark) bool {
	switch m.Kind {
	case format.PDFScript:
		return m.Detail == "field"
	case format.PDFAction:
		return strings.HasPrefix(m.Detail, "SubmitForm")
	case format.Encrypted:
		return m.Detail == "S/MIME"
	case format.PDFEmbedded:
		return strings.HasSuffix(strings.ToLower(m.Detail), ".xml")
	}
	return false
}

// testFile is the name of EICAR's, maxSmall how large a part is at most in which it is
// looked for first, in bytes.
const (
	testFile = "EICAR-Test-File"
	maxSmall = 4 << 10
)

// maxFaults bounds the faults of one mail.
const maxFaults = 3

// maxDetail bounds the detail of a hit, in bytes.
const maxDetail = 200

// hit reports a symbol about a file.
func (w *work) hit(symbol string, f *format.File) { w.add(symbol, f.Path(), 0) }

// add reports a symbol: signatures once for each name, anything else once, with
// the first place at which it was found.
func (w *work) add(symbol, detail string, strength float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
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
