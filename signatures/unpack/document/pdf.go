package document

import (
	"bytes"
	"errors"
	"slices"

	"spamcatcher/signatures/unpack/format"
)

// Bounds of one document.
const (
	pdfObjects   = 200_000  // objects looked at
	pdfFollowed  = 8 << 20  // bytes read once more because something refers to them
	pdfPacked    = 16 << 20 // bytes of object streams held at a time
	pdfContent   = 8 << 20  // bytes of plain streams that are handed on
	pdfPage      = 1 << 20  // a plain stream packed in more than this is left alone
	pdfScripts   = 200      // scripts handed on
	pdfRereading = 8        // how often a byte may be read as part of an object
)

// pdfFormat reads PDF without trust in its tables: objects are looked for over
// all bytes, so that every revision of the document counts, and what no table
// names as well. It goes over the document in three steps: where objects and
// object streams are and how they are encrypted; dictionaries for actions,
// scripts, links and names of files; streams for what is in them.
type pdfFormat struct{}

func (pdfFormat) Name() string { return "pdf" }

func (pdfFormat) Reads(f *format.File) bool { return f.Type == "application/pdf" }

func (pdfFormat) Open(j *format.Job, f *format.File) error {
	p := &pdf{j: j, f: f, b: f.Data, places: map[int64]int32{}, files: map[int64]string{}, handled: map[int]int{}, followed: map[int]bool{}}
	return p.read()
}

// A pdfObject is where one object of the document is: in the file itself (in 0)
// or in an unpacked object stream (in its number, from 1).
type pdfObject struct {
	num      int64
	in, at   int32
	gen      int32
	from, to int32 // the bytes of its stream; both 0 for none
}

// pdf is the reading of one document.
type pdf struct {
	j       *format.Job
	f       *format.File
	b       []byte
	places  map[int64]int32 // the last object of each number, as an index
	objects []pdfObject
	packed  [][]byte // unpacked object streams
	bases   []int    // what is added to places in each
	held    int
	work    int // bytes of streams that were read

	encrypt *pdfValue
	id      []byte
	crypt   *pdfCrypt
	opened  bool // by a password from the message

	follows  int
	forms    int
	files    map[int64]string // streams that are embedded files, and their names
	handled  map[int]int      // scripts by their dictionary, as an index
	followed map[int]bool     // actions by their dictionary
	scripts  []pdfScript
	content  []byte
	emitted  int
	pictures int
	vectors  int
}

// read does the steps in order.
func (p *pdf) read() error {
	if err := p.scan(); err != nil {
		return err
	}
	if p.encrypt != nil {
		p.unlock()
	}
	if err := p.unpackObjects(); err != nil {
		return err
	}
	for i := range p.objects {
		if i%256 == 0 {
			if err := p.j.Check(); err != nil {
				return err
			}
		}
		v := p.load(p.objects[i])
		if err := p.look(&v, 0); err != nil {
			return err
		}
	}
	if err := p.emitScripts(); err != nil {
		return err
	}
	for _, o := range p.objects {
		if o.to == 0 {
			continue
		}
		if err := p.j.Check(); err != nil {
			return err
		}
		if p.work > 4*len(p.b)+1<<20 {
			p.j.Mark(p.f, format.Damaged, "pdf: streams lie inside each other")
			break
		}
		if err := p.stream(o); err != nil {
			return err
		}
	}
	return p.flush()
}

var (
	pdfObj       = []byte("obj")
	pdfEndstream = []byte("endstream")
	pdfTrailer   = []byte("trailer")
)

// scan finds every "12 0 obj", wherever it stands, and every trailer.
func (p *pdf) scan() error {
	work, most := 0, pdfRereading*len(p.b)+1<<20
	nextEnd := -1
	for at := 0; ; {
		i := bytes.Index(p.b[at:], pdfObj)
		if i < 0 {
			break
		}
		at += i + len(pdfObj)
		num, gen, ok := pdfHeader(p.b[:at-len(pdfObj)])
		if !ok {
			continue
		}
		if len(p.objects) >= pdfObjects {
			p.j.Mark(p.f, format.LimitMembers, "objects of a PDF")
			break
		}
		if len(p.objects)%256 == 0 {
			if err := p.j.Check(); err != nil {
				return err
			}
		}
		l := pdfLexer{b: p.b, at: at, left: pdfValues}
		v, _ := l.value(0)
		if work += l.at - at; work > most {
			// What was found counts.
			p.j.Mark(p.f, format.LimitBytes, "objects of a PDF lie inside each other")
			break
		}
		o := pdfObject{num: num, at: int32(at), gen: int32(gen)}
		if v.kind == pdfDict {
			if from := pdfStreamStart(p.b, l.at); from > 0 {
				if nextEnd < from {
					if k := bytes.Index(p.b[from:], pdfEndstream); k >= 0 {
						nextEnd = from + k
					} else {
						nextEnd = len(p.b)
					}
				}
				end := nextEnd
				// A length that is true is better than the first "endstream", which may
				// be one of the stream's own bytes.
				if n := v.get("Length").number(-1); n >= 0 && n <= int64(len(p.b)-from) {
					after := bytes.TrimLeft(p.b[from+int(n):min(len(p.b), from+int(n)+16)], "\r\n\t ")
					if bytes.HasPrefix(after, pdfEndstream) {
						end = from + int(n)
					}
				}
				o.from, o.to = int32(from), int32(end)
			}
			if v.get("Type").name() == "XRef" {
				p.note(&v)
			}
		}
		p.places[num] = int32(len(p.objects))
		p.objects = append(p.objects, o)
		// The next may begin within this one: a table can name a place in a string.
	}
	for at := 0; ; {
		i := bytes.Index(p.b[at:], pdfTrailer)
		if i < 0 {
			return p.j.Check()
		}
		at += i + len(pdfTrailer)
		l := pdfLexer{b: p.b, at: at, left: pdfValues}
		v, _ := l.value(0)
		if work += l.at - at; work > most {
			return p.j.Check()
		}
		p.note(&v)
	}
}

// note remembers what a trailer says: a dictionary with the key Encrypt.
func (p *pdf) note(v *pdfValue) {
	e := v.get("Encrypt")
	if e == nil {
		return
	}
	p.encrypt = &pdfValue{kind: e.kind, num: e.num, list: e.list, at: e.at}
	if id := v.get("ID"); id != nil && id.kind == pdfArray && len(id.list) > 0 {
		p.id = bytes.Clone(id.list[0].text)
	}
}

// unlock finds the key of an encrypted document.
func (p *pdf) unlock() {
	dict := p.resolve(p.encrypt)
	if dict == nil || dict.kind != pdfDict {
		return // readers take it as not encrypted
	}
	crypt, password := p.newCrypt(dict, p.id, p.j.Passwords())
	if crypt == nil {
		p.j.Mark(p.f, format.PDFLocked, p.resolve(dict.get("Filter")).name())
		return
	}
	p.crypt = crypt
	if password != "" {
		p.opened = true
		p.j.Mark(p.f, format.Unlocked, password)
	}
}

// pdfHeader reads "12 0 " at the end of b. Between the numbers and behind them may
// be any white space, and comments (ISO 32000-1 section 7.2.3).
func pdfHeader(b []byte) (num int64, gen int, ok bool) {
	for _, comment := range [2]bool{false, true} {
		rest, g, _, ok := pdfNumberBefore(b, comment)
		if !ok {
			continue
		}
		for _, comment := range [2]bool{false, true} {
			if _, num, apart, ok := pdfNumberBefore(rest, comment); ok && apart {
				return num, int(g & 0xffff), true
			}
		}
	}
	return 0, 0, false
}

// pdfNumberBefore reads the number at the end of b, past white space and, if so
// asked, at least one comment. apart says that there was something to pass.
func pdfNumberBefore(b []byte, comment bool) (rest []byte, n int64, apart, ok bool) {
	for {
		end, line := len(b), false
		for len(b) > 0 && pdfSpace(b[len(b)-1]) {
			line = line || b[len(b)-1] == '\n' || b[len(b)-1] == '\r'
			b = b[:len(b)-1]
		}
		apart = apart || len(b) < end
		if end = len(b); !comment || end == 0 {
			break
		}
		// Before the end of a line only, so that a line is gone over once.
		k, start := -1, 0
		if line {
			start = bytes.LastIndexAny(b, "\r\n") + 1
			k = bytes.IndexByte(b[start:], '%')
		}
		if k < 0 && n < 0 {
			break // behind the last number no comment is left
		}
		if k < 0 {
			return nil, 0, false, false
		}
		b, n = b[:start+k], -1
	}
	end := len(b)
	for len(b) > 0 && b[len(b)-1] >= '0' && b[len(b)-1] <= '9' {
		b = b[:len(b)-1]
	}
	for _, c := range b[max(len(b), end-18):end] {
		if n < 0 {
			n = 0
		}
		n = n*10 + int64(c-'0')
	}
	return b, n, apart, len(b) < end
}

// pdfStreamStart is where the bytes of a stream begin if the keyword stands at at;
// 0 if it does not. ISO 32000-1 section 7.3.8.1: the keyword is followed by CR LF
// or LF; readers take CR as well.
func pdfStreamStart(b []byte, at int) int {
	l := pdfLexer{b: b, at: at}
	l.space()
	if !bytes.HasPrefix(b[l.at:], []byte("stream")) {
		return 0
	}
	at = l.at + len("stream")
	if at < len(b) && b[at] == ' ' {
		at++
	}
	if at < len(b) && b[at] == '\r' {
		at++
	}
	if at < len(b) && b[at] == '\n' {
		at++
	}
	return at
}

// load parses an object and decrypts its strings.
func (p *pdf) load(o pdfObject) pdfValue {
	l := pdfLexer{b: p.b, at: int(o.at), left: pdfValues}
	if o.in > 0 {
		l.b, l.base = p.packed[o.in-1], p.bases[o.in-1]
	}
	v, _ := l.value(0)
	p.follows += l.at - int(o.at)
	// The strings of an object stream are encrypted with the stream.
	if p.crypt != nil && o.in == 0 && v.at != p.crypt.dict {
		p.crypt.openStrings(&v, o)
	}
	return v
}

// resolve follows references, nil for nothing. What is behind one is parsed anew.
func (p *pdf) resolve(v *pdfValue) *pdfValue {
	for range 4 {
		if v == nil || v.kind != pdfRef {
			return v
		}
		i, ok := p.places[v.num]
		if p.follows += 64; !ok || p.follows > 2*len(p.b)+pdfFollowed {
			return nil
		}
		w := p.load(p.objects[i])
		v = &w
	}
	return nil
}

// unpackObjects opens the object streams and notes the objects in them.
// ISO 32000-1 section 7.5.7.
func (p *pdf) unpackObjects() error {
	for _, o := range slices.Clip(p.objects) {
		if o.to == 0 {
			continue
		}
		dict := p.load(o)
		if dict.get("Type").name() != "ObjStm" {
			continue
		}
		if p.held >= pdfPacked {
			p.j.Mark(p.f, format.LimitBytes, "object streams of a PDF")
			return nil
		}
		data, _, err := p.unpacked(o, &dict)
		if errors.Is(err, format.ErrStop) {
			return err
		}
		if len(data) == 0 {
			continue
		}
		p.bases = append(p.bases, len(p.b)+p.held)
		p.held += len(data)
		p.packed = append(p.packed, data)
		first := p.resolve(dict.get("First")).number(0)
		count := min(p.resolve(dict.get("N")).number(0), int64(len(data)))
		l := pdfLexer{b: data, left: pdfObjects * 2}
		for range count {
			num, _ := l.value(0)
			offset, ok := l.value(0)
			if !ok || num.kind != pdfNumber || offset.kind != pdfNumber || l.at > len(data) {
				break
			}
			at := first + offset.num
			if at < 0 || at >= int64(len(data)) {
				continue
			}
			if len(p.objects) >= pdfObjects {
				p.j.Mark(p.f, format.LimitMembers, "objects of a PDF")
				return nil
			}
			p.places[num.num] = int32(len(p.objects))
			p.objects = append(p.objects, pdfObject{num: num.num, in: int32(len(p.packed)), at: int32(at)})
		}
	}
	return nil
}

// unpacked is a stream's bytes, decrypted and with its filters undone. When a
// picture begins there, in its own format, image says which.
func (p *pdf) unpacked(o pdfObject, dict *pdfValue) (data []byte, image string, err error) {
	if p.work += int(o.to - o.from); p.work > 4*len(p.b)+1<<20 {
		return nil, "", errors.New("streams lie inside each other")
	}
	raw := p.raw(o, dict)
	r, image, known := p.decode(dict, raw)
	if !known {
		return nil, "", nil
	}
	data, _, err = p.j.Read(r, int64(len(raw)))
	if len(data) == 0 && p.crypt != nil && err != nil && !errors.Is(err, format.ErrStop) {
		// Not every stream of a document that says so is encrypted.
		raw = p.b[o.from:o.to]
		if r, image, known = p.decode(dict, raw); known {
			data, _, err = p.j.Read(r, int64(len(raw)))
		}
	}
	return data, image, err
}

// raw is a stream's bytes, decrypted.
func (p *pdf) raw(o pdfObject, dict *pdfValue) []byte {
	raw := p.b[o.from:o.to]
	if p.crypt != nil && o.in == 0 && dict.get("Type").name() != "XRef" {
		raw = p.crypt.open(p.crypt.streams, o.num, int(o.gen), raw)
	}
	return raw
}
