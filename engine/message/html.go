package message

import (
	"strings"

	"golang.org/x/net/html"
)

// HTML is what there is to know of all HTML parts of a message together.
type HTML struct {
	Parts        int            // HTML parts
	Tags         map[string]int // element name -> how often opened
	Hidden       []Hidden       // text that a reader does not see
	HiddenChars  int            // characters of it, white space not counted
	VisibleChars int            // characters that a reader sees, white space not counted
	Images       []Image
	Forms        int
	Scripts      int
	Frames       int
	Styles       int // style elements and attributes
	Comments     int
	Malformed    int // places at which a browser has to guess
}

// Hidden is a run of text that a reader does not see.
type Hidden struct {
	Text  string
	Means string // "display_none", "visibility", "tiny_font", "same_colour", "zero_size", "off_screen", "opacity", "hidden_attribute", "comment"
}

// Image is one img element.
type Image struct {
	Source, Alt   string
	Width, Height int  // -1 unknown
	Inline        bool // cid: or data:
}

func renderHTML(src string, h *HTML) string {
	var b strings.Builder
	z := html.NewTokenizer(strings.NewReader(src))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return b.String()
		case html.TextToken:
			b.Write(z.Text())
		}
	}
}
