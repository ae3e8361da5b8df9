package document

import (
	"bytes"
	"strconv"
	"strings"

	"spamcatcher/signatures/unpack/format"
)

// rtf reads Rich Text Format as leniently as Word does: any header that begins
// with {\rt, hexadecimal data with everything in between that Word skips, data
// that no group closes.
type rtf struct{}

func (rtf) Name() string { return "rtf" }

func (rtf) Reads(f *format.File) bool {
	head := f.Data[:min(len(f.Data), 64)]
	if len(head) < 5 || head[0] != '{' && head[0] > ' ' && head[0] < 0xEF {
		return false
	}
	return bytes.HasPrefix(bytes.TrimLeft(head, "\x00\t\r\n \xef\xbb\xbf"), []byte(`{\rt`))
}

// A group is what is between braces.
type group struct {
	into    destination
	starred bool // \* came: an unknown destination is skipped
}

// A destination is where the text of a group goes.
type destination int

const (
	toText destination = iota
	toSkip
	toData     // hexadecimal data of an object
	toClass    // the name of an object's class
	toCode     // the code of a field
	toTemplate // the template that is attached
)

// destinations that matter; other starred ones are skipped, as are pictures within
// the data of objects.
var destinations = map[string]destination{"objdata": toData, "objclass": toClass, "fldinst": toCode, "template": toTemplate}

const (
	mostGroups = 4096
	mostCode   = 8192
)

// rtfRead is a text that is open.
type rtfRead struct {
	j       *format.Job
	f       *format.File
	groups  []group
	deeper  int // groups beyond mostGroups, which are not kept
	data    []byte
	half    int                // the first digit of a byte, -1 for none
	text    [3]strings.Builder // what goes to class, code and template
	class   string             // of the object whose data come next
	objects int
	broken  bool // the header is none that a program writes
}

func (rtf) Open(j *format.Job, f *format.File) error {
	r := &rtfRead{j: j, f: f, half: -1}
	b := bytes.TrimLeft(f.Data, "\x00\t\r\n \xef\xbb\xbf")
	r.broken = len(b) < 6 || b[4] != 'f' || b[5] < '1' || b[5] > '9'
	err := r.scan(b)
	if err == nil {
		err = r.endData() // what no brace closed
	}
	for n := range r.text {
		if err == nil {
			r.endText(n)
		}
	}
	if err == nil && r.objects > 0 && r.broken {
		j.Mark(f, format.RTFExploit, "header")
	}
	return err
}

// into is the destination of the group that is open.
func (r *rtfRead) into() destination {
	if len(r.groups) == 0 {
		return toText
	}
	return r.groups[len(r.groups)-1].into
}

// set changes the destination of the group that is open.
func (r *rtfRead) set(d destination) {
	if n := len(r.groups); n > 0 && r.deeper == 0 {
		r.groups[n-1].into = d
	}
}

func (r *rtfRead) scan(b []byte) error {
	for i, steps := 0, 0; i < len(b); steps++ {
		if steps%16384 == 0 {
			if err := r.j.Check(); err != nil {
				return err
			}
		}
		switch c := b[i]; c {
		case '{':
			i++
			if len(r.groups) < mostGroups {
				r.groups = append(r.groups, group{into: r.into()})
			} else {
				r.deeper++
			}
		case '}':
			i++
			if err := r.close(); err != nil {
				return err
			}
		case '\\':
			n, err := r.control(b[i+1:])
			if err != nil {
				return err
			}
			i += 1 + n
		default:
			// A run of text.
			end := i + 1
			for end < len(b) && b[end] != '{' && b[end] != '}' && b[end] != '\\' && end-i < 16384 {
				end++
			}
			r.write(b[i:end])
			i = end
		}
	}
	return nil
}

// close ends a group, and what was collected in it.
func (r *rtfRead) close() error {
	if r.deeper > 0 {
		r.deeper--
		return nil
	}
	n := len(r.groups)
	if n == 0 {
		return nil
	}
	ended := r.groups[n-1].into
	r.groups = r.groups[:n-1]
	if ended == r.into() {
		return nil // a group within the destination
	}
	switch ended {
	case toData:
		return r.endData()
	case toClass, toCode, toTemplate:
		if r.into() != toSkip || ended != toCode {
			r.endText(int(ended - toClass))
		}
	}
	return nil
}

// write takes text to its destination.
func (r *rtfRead) write(b []byte) {
	switch d := r.into(); d {
	case toData:
		for _, c := range b {
			n := digit(c)
			switch {
			case n < 0:
			case r.half < 0:
				r.half = n
			default:
				r.data = append(r.data, byte(r.half<<4|n))
				r.half = -1
			}
		}
	case toClass, toCode, toTemplate:
		if t := &r.text[d-toClass]; t.Len() < mostCode {
			t.Write(bytes.Trim(b, "\r\n"))
		}
	}
}

func digit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// control reads a control word or symbol after its backslash and returns its
// length. RTF 1.9.1, "RTF Syntax".
func (r *rtfRead) control(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if c := b[0] | 0x20; c < 'a' || c > 'z' {
		switch b[0] {
		case '*':
			if n := len(r.groups); n > 0 && r.deeper == 0 {
				r.groups[n-1].starred = true
			}
		case '\'':
			if len(b) >= 3 && digit(b[1]) >= 0 && digit(b[2]) >= 0 {
				if d := r.into(); d != toData { // within data Word drops it
					r.write([]byte{byte(digit(b[1])<<4 | digit(b[2]))})
				}
				return 3, nil
			}
		case '\\', '{', '}':
			if r.into() != toData {
				r.write(b[:1])
			}
		}
		return 1, nil
	}
	n := 1
	for n < len(b) && n < 250 && (b[n]|0x20 >= 'a' && b[n]|0x20 <= 'z') {
		n++
	}
	word := string(b[:n])
	from := n
	if n < len(b) && b[n] == '-' {
		n++
	}
	for n < len(b) && n-from < 20 && b[n] >= '0' && b[n] <= '9' {
		n++
	}
	parameter, _ := strconv.Atoi(string(b[from:n]))
	if n < len(b) && b[n] == ' ' {
		n++
	}
	if word == "bin" {
		// RTF 1.9.1, "Pictures": so many bytes follow as they are.
		size := min(max(parameter, 0), len(b)-n)
		if r.into() == toData {
			r.data = append(r.data, b[n:n+size]...)
			r.half = -1
		}
		return n + size, nil
	}
	return n, r.word(word)
}

func (r *rtfRead) word(word string) error {
	if n := len(r.groups); n > 0 && r.deeper == 0 {
		g := &r.groups[n-1]
		if d, ok := destinations[word]; ok {
			if d == toData {
				if err := r.endData(); err != nil {
					return err
				}
				r.objects++
			}
			r.set(d)
			g.starred = false
			return nil
		}
		if g.starred {
			// An unknown destination is skipped with all that is in it. Within the data
			// of an object that is a hiding place for noise.
			g.starred = false
			if g.into != toText || word != "shppict" && word != "generator" {
				r.set(toSkipWithin(g.into))
			}
		}
	}
	switch word {
	case "par", "tab", "line", "cell":
		if d := r.into(); d == toCode {
			r.write([]byte(" "))
		}
	}
	return nil
}

// toSkipWithin is where an unknown destination within d goes.
func toSkipWithin(d destination) destination {
	if d == toText {
		return toText // objects within unknown destinations are opened all the same
	}
	return toSkip
}

// endData opens what was collected of an object's data.
func (r *rtfRead) endData() error {
	b := r.data
	r.data, r.half = nil, -1
	if len(b) == 0 {
		return nil
	}
	// Every byte took two digits, so that the data are bounded by the file; they
	// count as unpacked.
	data, _ := r.j.Take(b)
	r.j.Mark(r.f, format.RTFObject, r.class)
	r.class = ""
	class, err := ole1(r.j, r.f, data)
	if exploited(class) {
		r.j.Mark(r.f, format.RTFExploit, class)
	}
	return err
}

// exploited says whether a class is one that only exploits put into RTF: the
// equation editor (CVE-2017-11882; Word's equations have not been objects since
// 2007), list and tree controls (CVE-2012-0158), a loader without protection.
// Windows looks classes up without regard to case.
func exploited(class string) bool {
	class = strings.ToLower(strings.TrimSpace(class))
	for _, prefix := range []string{"equation.", "mscomctllib.", "otkloadr."} {
		if strings.HasPrefix(class, prefix) {
			return true
		}
	}
	return false
}

// endText judges a class, the code of a field, or a template, in this order.
func (r *rtfRead) endText(n int) {
	text := strings.TrimSpace(r.text[n].String())
	r.text[n].Reset()
	if text == "" {
		return
	}
	switch toClass + destination(n) {
	case toClass:
		r.class = text
		if exploited(text) {
			r.j.Mark(r.f, format.RTFExploit, text)
		}
	case toCode:
		field(r.j, r.f, text)
	case toTemplate:
		if remote(text) || remote(strings.ReplaceAll(text, `\\`, `\`)) {
			r.j.Mark(r.f, format.External, text)
			r.j.Link(r.f, text)
		}
	}
}
