package message

import (
	"bytes"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// HTML is what there is to know of all HTML parts of a message together.
type HTML struct {
	Parts        int            // HTML parts
	Tags         map[string]int // element name -> how often opened
	Hidden       []Hidden       // text that a reader does not see: the first 200 runs
	HiddenChars  int            // characters of it, white space and comments not counted
	VisibleChars int            // characters that a reader sees, white space not counted
	Images       []Image        // the first 1,000
	Forms        int
	Scripts      int // script elements, event attributes, javascript: targets
	Frames       int
	Styles       int // style elements and attributes
	Comments     int // conditional ones not counted
	Malformed    int // places at which a browser has to guess
}

// Hidden is a run of text that a reader does not see, at most 1,000 bytes.
type Hidden struct {
	Text  string
	Means string // "display_none", "visibility", "tiny_font", "same_colour", "zero_size", "off_screen", "opacity", "hidden_attribute", "comment"
}

// Image is one img element.
type Image struct {
	Source, Alt   string
	Width, Height int  // pixels, -1 unknown
	Inline        bool // cid: or data:
}

const (
	maxHidden     = 200
	maxHiddenText = 1_000
	maxImages     = 1_000
	maxTagNames   = 1_000
	maxOpen       = 4_000 // elements open at a time whose style is kept
	maxReach      = 64    // elements that one end tag may close
)

// A rawLink is a link as it was found; findLinks makes a Link of it.
type rawLink struct {
	url, text, source string
	attached          bool
}

// A renderer turns HTML into the text that a reader sees. It is no browser:
// it keeps a stack of open elements with the style that each inherits, and
// takes text for hidden if any of the usual means applies.
type renderer struct {
	h     *HTML
	out   []byte // visible text
	space bool   // white space is due before the next character
	open  []element
	sheet sheet
	links []rawLink
	lim   int // bytes of out

	base     string
	anchor   int // index in links of the anchor that is open, or -1
	anchorAt int // where its text begins in out
	hidden   []byte
	means    string // of what is in hidden
	cut      bool
}

type element struct {
	tag    atom.Atom
	name   string // for elements that atom does not know
	means  string // why text inside cannot be seen, "" if it can
	tiny   bool
	unseen bool // visibility: hidden
	turned bool // written backwards, shown as if it were not
	fg, bg colour
}

// render appends the visible text of src to r.out.
func (r *renderer) render(src string) {
	r.h.Parts++
	r.anchor = -1
	r.open = append(r.open[:0], element{fg: 0, bg: colourUnset})
	z := html.NewTokenizer(strings.NewReader(src))
	var raw atom.Atom // inside an element whose content is no text
	for {
		switch z.Next() {
		case html.ErrorToken:
			r.closeAnchor()
			r.flushHidden()
			if n := len(r.open); n > maxReach {
				r.h.Malformed += n - maxReach
			}
			return
		case html.TextToken:
			t := z.Text()
			switch raw {
			case 0:
				r.text(t)
			case atom.Style:
				r.sheet.read(string(t))
				r.styleLinks(string(t))
			}
		case html.StartTagToken:
			raw = r.start(z, false)
		case html.SelfClosingTagToken:
			raw = r.start(z, true)
		case html.EndTagToken:
			raw = 0
			name, _ := z.TagName()
			r.end(name)
		case html.CommentToken:
			r.comment(z.Text())
		}
	}
}

func (r *renderer) comment(t []byte) {
	s := bytes.TrimSpace(t)
	if bytes.HasPrefix(s, []byte("[if")) || bytes.HasPrefix(s, []byte("[endif")) || bytes.HasPrefix(s, []byte("<![")) {
		return
	}
	r.h.Comments++
	if len(s) > 0 && len(r.h.Hidden) < maxHidden {
		r.h.Hidden = append(r.h.Hidden, Hidden{string(s[:min(len(s), maxHiddenText)]), meansComment})
	}
}

// why is the means that hides text in an element, "" if it is seen.
func (r *renderer) why(e *element) string {
	switch {
	case e.means != "":
		return e.means
	case e.unseen:
		return meansVisible
	case e.tiny:
		return meansTiny
	case e.fg == colourClear:
		return meansColour
	}
	ground := e.bg
	if ground == colourUnset && !r.sheet.uncertain {
		ground = 0xffffff
	}
	if alike(e.fg, ground) {
		return meansColour
	}
	return ""
}

// text appends character data, white space collapsed, or puts it aside if it
// cannot be seen.
func (r *renderer) text(t []byte) {
	e := &r.open[len(r.open)-1]
	if means := r.why(e); means != "" {
		if means != r.means {
			r.flushHidden()
			r.means = means
		}
		n := visibleChars(t)
		r.h.HiddenChars += n
		if n > 0 || len(r.hidden) > 0 {
			r.hidden = append(r.hidden, t[:min(len(t), max(0, 2*maxHiddenText-len(r.hidden)))]...)
		}
		return
	}
	if len(r.hidden) > 0 && visibleChars(t) > 0 {
		r.flushHidden()
	}
	if e.turned && visibleChars(t) > 0 {
		// Each run by itself: the order of several on one line is lost.
		if t[0] <= ' ' || r.space {
			r.space = false
			if k := len(r.out); k > 0 && r.out[k-1] != '\n' {
				r.out = append(r.out, ' ')
			}
			t = bytes.TrimLeft(t, " \t\n\r\f\x00")
		}
		r.out = append(r.out, override...)
		r.h.VisibleChars += show(r, t)
		r.out = append(r.out, pop...)
		return
	}
	r.h.VisibleChars += show(r, t)
}

func (r *renderer) flushHidden() {
	if len(r.hidden) > 0 && len(r.h.Hidden) < maxHidden {
		text := strings.Join(strings.Fields(string(r.hidden)), " ")
		r.h.Hidden = append(r.h.Hidden, Hidden{strings.ToValidUTF8(text[:min(len(text), maxHiddenText)], ""), r.means})
	}
	r.hidden, r.means = r.hidden[:0], ""
}

// show writes t to the visible text and returns how many characters of it are
// no white space.
func show[T string | []byte](r *renderer, t T) (n int) {
	if len(r.out)+len(t) > r.lim {
		r.cut = true
		n := max(0, r.lim-len(r.out))
		for n > 0 && t[n]&0xc0 == 0x80 { // not inside a character
			n--
		}
		t = t[:n]
	}
	for i := 0; i < len(t); {
		switch c := t[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == 0:
			r.space = true
			i++
			continue
		case c == 0xc2 && i+1 < len(t) && t[i+1] == 0xa0: // no-break space
			r.space = true
			i += 2
			continue
		}
		if r.space {
			r.space = false
			if k := len(r.out); k > 0 && r.out[k-1] != '\n' {
				r.out = append(r.out, ' ')
			}
		}
		j := i + 1
		n++
		for j < len(t) && t[j] > ' ' && t[j] != 0xc2 {
			if t[j]&0xc0 != 0x80 {
				n++
			}
			j++
		}
		r.out = append(r.out, t[i:j]...)
		i = j
	}
	return n
}

func (r *renderer) breakLine() {
	r.space = false
	if k := len(r.out); k > 0 && r.out[k-1] != '\n' {
		r.out = append(r.out, '\n')
	}
}

func visibleChars(t []byte) (n int) {
	for _, c := range t {
		if c > ' ' && c&0xc0 != 0x80 {
			n++
		}
	}
	return n
}
