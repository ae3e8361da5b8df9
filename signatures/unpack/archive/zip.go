package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"spamcatcher/signatures/unpack/format"
)

// zipFormat reads zip archives the way that all readers together do. A member is
// listed twice in a zip file, in front of its data and in the directory at the
// end; some readers believe the one, some the other. So:
//
//  1. The end record is searched in the last 64 KiB, whatever stands in front of
//     the archive. Its directory is where most readers find it; where another
//     reader would look elsewhere, that directory is read too.
//  2. Each member of a directory is emitted as the directory describes it, and
//     again as its local header does if that differs in what matters.
//  3. What no member covers is searched for local headers: members that only
//     readers of streams see, and all there is if the archive is cut off.
//
// Every disagreement is marked as ambiguous.
type zipFormat struct{}

func (zipFormat) Name() string { return "zip" }

func (zipFormat) Reads(f *format.File) bool {
	b := f.Data
	if len(b) < 22 || f.Kind == format.Mail || f.Kind == format.Macro || f.Kind == format.Script {
		return false
	}
	return bytes.HasPrefix(b, zipLocal) || bytes.HasPrefix(b, zipEnd) || spanned(b) || zipAtEnd(b) && !guest(f)
}

// spanned says that the archive was to be split over several disks. APPNOTE
// section 8.5.4.
func spanned(b []byte) bool {
	return len(b) > 8 && bytes.HasPrefix(b[4:], zipLocal) && (string(b[:4]) == "PK00" || bytes.HasPrefix(b, zipDescriptor))
}

// overlapsRead is how many of the members that lie over each other are read.
const overlapsRead = 8

// zipNames is how many names of encrypted members a mark tells.
const zipNames = 10

// A zipArchive is one archive while it is read.
type zipArchive struct {
	j       *format.Job
	f       *format.File
	b       []byte
	most    int // members that are listed
	listed  []zipMember
	known   map[int64][]byte // what was listed, name by place: two directories may agree
	covered []span
	codec   zipCodec
	lock    zipLock
	damage  error
	guest   bool // it lies in a file of a format whose reader finds it, too
}

// A span is a stretch of bytes.
type span struct{ from, to int64 }

// A zipMember is one that a directory lists.
type zipMember struct {
	central zipHeader
	at      int64 // of the local header, -1 if it has none
	over    bool  // it lies over another
}

func (zipFormat) Open(j *format.Job, f *format.File) error {
	return openZip(j, f, false)
}

func openZip(j *format.Job, f *format.File, guest bool) error {
	a := &zipArchive{j: j, f: f, b: f.Data, most: 2*j.Limits().Members + 2, known: map[int64][]byte{}, guest: guest}
	defer a.codec.close()
	err := a.read()
	a.lock.report(a)
	if errors.Is(err, format.ErrStop) {
		return err
	}
	if a.guest {
		return nil
	}
	return a.damage
}

// ambiguous marks that readers disagree.
func (a *zipArchive) ambiguous(detail string) {
	if !a.guest {
		a.j.Mark(a.f, format.Ambiguous, detail)
	}
}

func (a *zipArchive) read() error {
	if err := a.directories(); err != nil {
		return err
	}
	if len(a.listed) > 0 && foreign(a.f.Type) {
		a.ambiguous("a zip archive in " + a.f.Type)
	}
	a.overlaps()
	for i := range a.listed {
		if err := a.listedMember(&a.listed[i]); err != nil {
			return err
		}
	}
	return a.gaps()
}

// foreign says that a file of this type is not expected to have an archive at its
// end.
func foreign(kind string) bool {
	for _, prefix := range []string{"image/", "audio/", "video/", "application/pdf", "application/rtf", "text/"} {
		if strings.HasPrefix(kind, prefix) {
			return true
		}
	}
	return false
}

// directories lists the members of all directories.
func (a *zipArchive) directories() error {
	for _, at := range findEnds(a.b) {
		if a.covers(at) {
			continue // of an archive that is a member of this one
		}
		if len(a.listed) > 0 {
			a.ambiguous("several end records")
		}
		r := readEnd(a.b, at)
		a.covered = append(a.covered, span{r.at, r.end})
		if r.start >= 0 {
			n, end := a.directory(r.start, r.base)
			a.covered = append(a.covered, span{r.start, max(end, r.at)})
			if counted := int64(n); r.wide && counted != r.count || !r.wide && counted&0xffff != r.count&0xffff {
				a.ambiguous(fmt.Sprintf("the end record counts %d members, the directory has %d", r.count, n))
			}
		} else if r.count > 0 {
			a.damage = errors.New("the directory is missing")
		}
		if r.another >= 0 && !a.covers(r.another) {
			_, end := a.directory(r.another, 0)
			a.covered = append(a.covered, span{r.another, end})
			a.ambiguous("two directories")
		}
		if len(a.listed) >= a.most {
			break
		}
		if err := a.j.Check(); err != nil {
			return err
		}
	}
	return nil
}

// directory lists the members of the directory at at, and counts them all.
func (a *zipArchive) directory(at, base int64) (n int, end int64) {
	for {
		h, next, ok := readCentral(a.b, at)
		if !ok {
			return n, at
		}
		at = next
		if n++; len(a.listed) >= a.most {
			continue
		}
		m := zipMember{central: h, at: -1}
		for _, offset := range []int64{h.offset + base, h.offset} {
			if l, ok := readLocal(a.b, offset); ok {
				m.at = offset
				a.covered = append(a.covered, span{offset, l.offset + min(h.packed, int64(len(a.b)))})
				break
			}
		}
		if name, twice := a.known[m.at]; m.at >= 0 && twice && bytes.Equal(name, h.name) {
			continue
		}
		a.known[m.at] = h.name
		a.listed = append(a.listed, m)
	}
}

// covers says whether at lies in what has been read.
func (a *zipArchive) covers(at int64) bool {
	for _, s := range a.covered {
		if at >= s.from && at < s.to {
			return true
		}
	}
	return false
}

// overlaps finds members that share bytes, with which a small archive can expand
// to anything; and names that stand for two members.
func (a *zipArchive) overlaps() {
	order := make([]*zipMember, 0, len(a.listed))
	names := make(map[string]int64, len(a.listed))
	for i := range a.listed {
		m := &a.listed[i]
		if m.at >= 0 {
			order = append(order, m)
		}
		if at, twice := names[string(m.central.name)]; twice && at != m.at && !isDirectory(m.central.name) {
			a.ambiguous("two members are called " + zipName(m.central.name))
		}
		names[string(m.central.name)] = m.at
	}
	slices.SortStableFunc(order, func(x, y *zipMember) int { return int(max(-1, min(1, x.at-y.at))) })
	n, end := 0, int64(-1)
	for _, m := range order {
		if m.at < end {
			n++
			m.over = true
		}
		l, _ := readLocal(a.b, m.at)
		end = max(end, l.offset+m.central.packed)
	}
	switch {
	case n > overlapsRead:
		a.j.Mark(a.f, format.LimitRatio, fmt.Sprintf("%d members lie over each other", n))
	case n > 0:
		a.ambiguous("members lie over each other")
	}
	skipped := 0
	a.listed = slices.DeleteFunc(a.listed, func(m zipMember) bool {
		if m.over {
			skipped++
		}
		return m.over && skipped > overlapsRead
	})
}

// listedMember emits a member of the directory.
func (a *zipArchive) listedMember(m *zipMember) error {
	if m.at < 0 {
		a.damage = errors.New("a member is missing")
		return a.j.Check()
	}
	l, _ := readLocal(a.b, m.at)
	h := m.central
	h.offset = l.offset
	if strange := a.compare(&h, &l); strange != "" {
		a.ambiguous(strange + ": " + zipName(h.name))
		if l.packed == 0 && l.flags&zipStreamed != 0 {
			l.packed, l.size, l.crc = h.packed, h.size, h.crc
		}
		if _, err := a.member(&l, false); err != nil {
			return err
		}
	}
	_, err := a.member(&h, false)
	return err
}

// compare says in what the two headers of a member disagree, "" for nothing that
// matters.
func (a *zipArchive) compare(h, l *zipHeader) string {
	switch {
	case !sameName(h.name, l.name):
		return "two names"
	case h.method != l.method:
		return "two methods"
	case h.flags&zipEncrypted != l.flags&zipEncrypted:
		return "encrypted or not"
	case l.flags&zipStreamed == 0 && h.packed != l.packed:
		return "two sizes"
	case bytes.IndexByte(h.name, 0) >= 0:
		return "a name that ends early"
	}
	if other := h.field(0x7075); len(other) > 5 && !sameName(h.name, other[5:]) {
		return "two names"
	}
	return ""
}

// sameName compares what is ASCII of two names: writers disagree on the charset of
// the rest, and on the separator.
func sameName(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	plain := func(r rune) rune {
		switch {
		case r == '\\':
			return '/'
		case r >= 0x80:
			return -1
		}
		return r
	}
	x, y := bytes.Map(plain, a), bytes.Map(plain, b)
	if bytes.Equal(x, y) {
		return true
	}
	// Code pages use bytes that are ASCII in UTF-8's eyes only where a name is not
	// ASCII; writers then put "?" or "_".
	other := func(n []byte) bool { return slices.ContainsFunc(n, func(c byte) bool { return c >= 0x80 }) }
	return (other(a) || other(b)) && bytes.Equal(extension(x), extension(y))
}

func extension(name []byte) []byte {
	return name[max(0, bytes.LastIndexByte(name, '.')):]
}

func isDirectory(name []byte) bool { return len(name) > 0 && name[len(name)-1] == '/' }

func zipName(name []byte) string { return strings.ToValidUTF8(string(name), "\uFFFD") }

// gaps searches what no member covers for local headers.
func (a *zipArchive) gaps() error {
	whole := len(a.listed) == 0
	slices.SortFunc(a.covered, func(x, y span) int { return int(max(-1, min(1, x.from-y.from))) })
	var gaps []span
	at := int64(0)
	for _, s := range append(a.covered, span{int64(len(a.b)), int64(len(a.b))}) {
		if s.from > at+29 {
			gaps = append(gaps, span{at, s.from})
		}
		at = max(at, s.to)
	}
	if whole && len(a.covered) == 0 && a.damage == nil {
		a.damage = errors.New("the end is missing")
	}
	for _, g := range gaps {
		for at := g.from; at < g.to; {
			i := bytes.Index(a.b[at:g.to], zipLocal)
			if i < 0 {
				break
			}
			at += int64(i)
			h, ok := readLocal(a.b, at)
			if !ok || !plausible(&h) {
				at += 4
				continue
			}
			used, err := a.member(&h, true)
			if err != nil {
				return err
			}
			if used >= 0 && !whole {
				a.ambiguous("not in the directory: " + zipName(h.name))
			}
			at = max(at+30, min(h.offset+used, g.to))
		}
		if err := a.j.Check(); err != nil {
			return err
		}
	}
	return nil
}

// plausible tells a local header from bytes that look like one, as in the program
// that stands in front of a self-extracting archive.
func plausible(h *zipHeader) bool {
	return len(h.name) > 0 && len(h.name) <= 4096 && h.method <= 99 && !slices.ContainsFunc(h.name, func(c byte) bool { return c != 0 && c < ' ' })
}

// member emits the member that h describes, and says how many bytes its data took.
// search says that h was found by searching: a size which it does not tell is to be
// found out, and it may be no member at all; then used is -1.
func (a *zipArchive) member(h *zipHeader, search bool) (used int64, err error) {
	if err := a.j.Check(); err != nil {
		return 0, err
	}
	unknown := search && h.flags&zipStreamed != 0 && h.packed == 0
	packed := h.packed
	if unknown {
		packed = int64(len(a.b)) - h.offset
		if h.method == 0 || h.flags&zipEncrypted != 0 {
			packed = nextHeader(a.b[h.offset:])
		}
	}
	whole := h.offset+packed <= int64(len(a.b))
	body := a.b[h.offset:min(h.offset+packed, int64(len(a.b)))]
	used = int64(len(body))
	if isDirectory(h.name) && len(body) == 0 {
		return 0, nil
	}
	file := &format.File{Name: zipName(h.name), Kind: format.Member}
	var broken error
	if h.flags&zipEncrypted != 0 {
		if file.Data, file.Cut, file.Unlocked, broken = a.lock.open(a, h, body); !file.Unlocked && broken == nil {
			// Its name is evidence.
			file.Cut = true
		}
	} else {
		var left int64
		file.Data, file.Cut, left, broken = a.codec.read(a.j, h.method, h, body)
		if unknown && h.method == zipDeflate {
			used -= left
		}
	}
	if errors.Is(broken, format.ErrStop) {
		return used, broken
	}
	if search && broken != nil && len(file.Data) == 0 && len(a.listed) > 0 {
		return -1, nil
	}
	if method, ok := errors.AsType[zipMethod](broken); ok {
		a.j.Mark(a.f, format.Unreadable, method.Error())
		file.Cut, broken = true, nil
	} else if broken == nil && !whole {
		file.Cut, broken = true, io.ErrUnexpectedEOF
	}
	if broken != nil && a.damage == nil {
		a.damage = fmt.Errorf("%.100s: %w", file.Name, broken)
	}
	wrong := !file.Cut && !unknown && h.flags&zipEncrypted == 0 && !sum(file.Data, h.crc)
	if wrong && a.damage == nil {
		a.damage = fmt.Errorf("%.100s: wrong checksum", file.Name)
	}
	if err := a.j.Emit(file); err != nil {
		return used, err
	}
	a.j.Done(file.Data)
	if wrong || broken != nil {
		return used, a.otherwise(h, body)
	}
	return used, nil
}

// otherwise reads data that is not what its method says: stored as compressed, and
// compressed as stored. There are readers that find it out.
func (a *zipArchive) otherwise(h *zipHeader, body []byte) error {
	if h.flags&zipEncrypted != 0 || len(body) == 0 {
		return nil
	}
	file := &format.File{Name: zipName(h.name), Kind: format.Member}
	switch h.method {
	case 0:
		var err error
		if file.Data, file.Cut, _, err = a.codec.read(a.j, zipDeflate, h, body); errors.Is(err, format.ErrStop) {
			return err
		}
		if len(file.Data) == 0 || err != nil && !sum(file.Data, h.crc) {
			return nil
		}
	case zipDeflate:
		if !sum(body, h.crc) {
			return nil
		}
		file.Data, file.Cut = a.j.Take(body)
	default:
		return nil
	}
	a.ambiguous("another method than its header says: " + file.Name)
	err := a.j.Emit(file)
	a.j.Done(file.Data)
	return err
}

// nextHeader is how many bytes stand in front of the next signature.
func nextHeader(b []byte) int64 {
	for at := 0; ; {
		i := bytes.Index(b[at:], []byte("PK"))
		if i < 0 {
			return int64(len(b))
		}
		at += i
		for _, s := range [][]byte{zipDescriptor, zipLocal, zipCentral} {
			if bytes.HasPrefix(b[at:], s) {
				return int64(at)
			}
		}
		at += 2
	}
}
