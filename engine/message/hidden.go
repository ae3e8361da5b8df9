package message

import (
	"strconv"
	"strings"
)

// The means by which text is hidden, in the order in which they are reported
// when several apply.
const (
	meansDisplay   = "display_none"
	meansVisible   = "visibility"
	meansAttribute = "hidden_attribute"
	meansTiny      = "tiny_font"
	meansOpacity   = "opacity"
	meansZero      = "zero_size"
	meansOff       = "off_screen"
	meansColour    = "same_colour"
	meansComment   = "comment"
)

// A colour is 0xRRGGBB, or one of the values below.
type colour int32

const (
	colourUnset   colour = -1
	colourUnknown colour = -2 // an image, a gradient, or a notation not known here
	colourClear   colour = -3 // nothing is painted
)

// A style is what a style attribute or a rule of a style sheet says about
// whether text can be seen. The fields are "" or unset where it says nothing.
type style struct {
	means      string // hides everything inside, whatever that says
	visibility int8   // 1 hidden, 2 visible
	font       int8   // 1 tiny, 2 readable
	display    int8   // 1 none, 2 anything else
	turned     int8   // unicode-bidi: 1 overrides the letters' direction, 2 does not
	leftward   bool   // direction: rtl
	fg, bg     colour
}

var noStyle = style{fg: colourUnset, bg: colourUnset}

// over lays another style over this one.
func (s *style) over(o style) {
	if o.means != "" {
		s.means = o.means
	}
	if o.visibility != 0 {
		s.visibility = o.visibility
	}
	if o.font != 0 {
		s.font = o.font
	}
	if o.display != 0 {
		s.display = o.display
	}
	if o.turned != 0 {
		s.turned = o.turned
	}
	s.leftward = s.leftward || o.leftward
	if o.fg != colourUnset {
		s.fg = o.fg
	}
	if o.bg != colourUnset {
		s.bg = o.bg
	}
}

// parseStyle reads CSS declarations.
func parseStyle(css string) style {
	s := noStyle
	css = asciiLower(css)
	clipped, zero, absolute, off := false, false, false, false
	for css != "" {
		var decl string
		decl, css = cutDeclaration(css)
		name, value, ok := strings.Cut(decl, ":")
		if !ok {
			continue
		}
		name, value = trimSpace(name), trimSpace(value)
		if i := strings.IndexByte(value, '!'); i >= 0 {
			value = trimSpace(value[:i])
		}
		switch name {
		case "display":
			s.display = 2
			if value == "none" {
				s.display = 1
			}
		case "visibility":
			s.visibility = 2
			if value == "hidden" || value == "collapse" {
				s.visibility = 1
			}
		case "unicode-bidi":
			s.turned = 2
			if strings.HasSuffix(value, "override") {
				s.turned = 1
			}
		case "direction":
			s.leftward = value == "rtl"
		case "font-size":
			s.font = fontSize(value)
		case "font":
			for _, w := range strings.Fields(value) {
				w, _, _ = strings.Cut(w, "/")
				if w != "" && '0' <= w[0] && w[0] <= '9' && strings.IndexAny(w, "pe%") > 0 {
					s.font = fontSize(w)
				}
			}
		case "color":
			s.fg = parseColour(value)
		case "background-color":
			s.bg = parseColour(value)
		case "background":
			s.bg = parseBackground(value)
		case "background-image":
			if value != "none" {
				s.bg = colourUnknown
			}
		case "opacity":
			if n, ok := number(value); ok && n < 0.05 {
				s.means = meansOpacity
			}
		case "width", "height", "max-width", "max-height":
			if n, ok := number(value); ok && n <= 1 && !strings.HasSuffix(value, "em") {
				zero = zero || n == 0 || strings.HasSuffix(value, "px")
			}
		case "overflow", "overflow-x", "overflow-y":
			clipped = clipped || value == "hidden" || value == "clip"
		case "position":
			absolute = value == "absolute" || value == "fixed" || value == "relative"
		case "left", "top", "right", "bottom":
			if n, ok := number(value); ok && n <= -400 {
				off = true
			}
		case "text-indent", "margin-left", "margin-top":
			if n, ok := number(value); ok && n <= -400 {
				s.means = meansOff
			}
		case "clip":
			if strings.HasPrefix(strings.ReplaceAll(value, " ", ""), "rect(0") && absolute {
				s.means = meansZero
			}
		case "transform":
			if v := strings.ReplaceAll(value, " ", ""); strings.HasPrefix(v, "scale(0)") || strings.HasPrefix(v, "scale(0,") {
				s.means = meansZero
			}
		}
	}
	if zero && clipped {
		s.means = meansZero
	}
	if off && absolute {
		s.means = meansOff
	}
	return s
}

// cutDeclaration cuts at the first semicolon outside parentheses.
func cutDeclaration(css string) (decl, rest string) {
	depth := 0
	for i := 0; i < len(css); i++ {
		switch css[i] {
		case '(':
			depth++
		case ')':
			depth--
		case ';':
			if depth <= 0 {
				return css[:i], css[i+1:]
			}
		}
	}
	return css, ""
}

// number reads the number that a value begins with.
func number(s string) (float64, bool) {
	n := 0
	for n < len(s) && (s[n] == '-' || s[n] == '+' || s[n] == '.' || ('0' <= s[n] && s[n] <= '9')) {
		n++
	}
	if n == 0 || n > 12 {
		return 0, false
	}
	f, err := strconv.ParseFloat(s[:n], 64)
	return f, err == nil
}

// fontSize is 1 for sizes that nobody can read.
func fontSize(value string) int8 {
	n, ok := number(value)
	if !ok {
		return 2
	}
	switch {
	case strings.HasSuffix(value, "em"):
		n *= 16
	case strings.HasSuffix(value, "%"):
		n *= 0.16
	}
	if n < 1.5 {
		return 1
	}
	return 2
}

var colourNames = map[string]colour{
	"white": 0xffffff, "black": 0x000000, "red": 0xff0000, "green": 0x008000, "blue": 0x0000ff, "yellow": 0xffff00,
	"gray": 0x808080, "grey": 0x808080, "silver": 0xc0c0c0, "maroon": 0x800000, "olive": 0x808000, "lime": 0x00ff00,
	"aqua": 0x00ffff, "cyan": 0x00ffff, "teal": 0x008080, "navy": 0x000080, "fuchsia": 0xff00ff, "magenta": 0xff00ff,
	"purple": 0x800080, "orange": 0xffa500, "snow": 0xfffafa, "ivory": 0xfffff0, "whitesmoke": 0xf5f5f5, "lightgray": 0xd3d3d3,
	"lightgrey": 0xd3d3d3, "ghostwhite": 0xf8f8ff, "floralwhite": 0xfffaf0, "seashell": 0xfff5ee, "azure": 0xf0ffff,
}

// parseColour reads a CSS colour, or one of HTML's without the "#".
func parseColour(v string) colour {
	if v == "" || v == "inherit" || v == "initial" || v == "currentcolor" {
		return colourUnset
	}
	if c, ok := colourNames[v]; ok {
		return c
	}
	if v == "transparent" {
		return colourClear
	}
	if args, ok := strings.CutPrefix(v, "rgb"); ok {
		args = strings.TrimPrefix(args, "a")
		args = strings.Trim(args, "() ")
		parts := strings.FieldsFunc(args, func(r rune) bool { return r == ',' || r == ' ' || r == '/' })
		if len(parts) < 3 {
			return colourUnknown
		}
		var c colour
		for _, p := range parts[:3] {
			n, ok := number(p)
			if !ok {
				return colourUnknown
			}
			if strings.HasSuffix(p, "%") {
				n *= 2.55
			}
			c = c<<8 | colour(max(0, min(n, 255)))
		}
		if len(parts) > 3 {
			if a, ok := number(parts[3]); ok && a < 0.05 {
				return colourClear
			}
		}
		return c
	}
	v = strings.TrimPrefix(v, "#")
	n, err := strconv.ParseUint(v, 16, 32)
	if err != nil {
		return colourUnknown
	}
	switch len(v) {
	case 3, 4:
		if len(v) == 4 {
			n >>= 4
		}
		r, g, b := n>>8&15, n>>4&15, n&15
		return colour(r<<20 | r<<16 | g<<12 | g<<8 | b<<4 | b)
	case 6:
		return colour(n)
	case 8:
		if n&0xff < 13 {
			return colourClear
		}
		return colour(n >> 8)
	}
	return colourUnknown
}

func parseBackground(v string) colour {
	if strings.Contains(v, "url(") || strings.Contains(v, "gradient") || strings.Contains(v, "image") {
		return colourUnknown
	}
	if strings.HasPrefix(v, "rgb") {
		if i := strings.IndexByte(v, ')'); i > 0 {
			v = v[:i+1]
		}
		return parseColour(v)
	}
	for _, w := range strings.Fields(v) {
		if c := parseColour(w); c >= 0 {
			return c
		}
	}
	if v == "none" || v == "transparent" {
		return colourClear
	}
	return colourUnset
}

// alike tells whether text of colour a cannot be told from ground b.
func alike(a, b colour) bool {
	if a < 0 || b < 0 {
		return false
	}
	for shift := 0; shift < 24; shift += 8 {
		d := (a >> shift & 0xff) - (b >> shift & 0xff)
		if d > 10 || d < -10 {
			return false
		}
	}
	return true
}

// A sheet holds the rules of style elements that name one class, id or
// element. Other selectors are not understood here; uncertain says that one
// of them paints a ground.
type sheet struct {
	rules     map[string]style
	uncertain bool
}

const maxRules = 500

// read adds the rules of one style element. Rules inside @media and the like
// hold for some screens only and are passed over.
func (t *sheet) read(css string) {
	if t.rules == nil {
		t.rules = make(map[string]style)
	}
	for len(t.rules) < maxRules {
		open := strings.IndexByte(css, '{')
		if open < 0 {
			return
		}
		selectors := css[:open]
		if at := strings.LastIndexByte(selectors, '@'); at >= 0 && strings.IndexByte(selectors[at:], ';') < 0 &&
			!strings.HasPrefix(selectors[at:], "@font-face") {
			css = skipBlock(css[open:])
			continue
		}
		body, rest, _ := strings.Cut(css[open+1:], "}")
		css = rest
		if i := strings.LastIndex(selectors, "*/"); i >= 0 {
			selectors = selectors[i+2:]
		}
		if i := strings.LastIndexAny(selectors, ";}"); i >= 0 {
			selectors = selectors[i+1:]
		}
		st := parseStyle(body)
		if st == noStyle {
			continue
		}
		for selectors != "" {
			var sel string
			sel, selectors, _ = strings.Cut(selectors, ",")
			sel = asciiLower(trimSpace(strings.TrimPrefix(trimSpace(sel), "<!--")))
			if strings.IndexAny(sel, " >+~:[*") >= 0 || strings.Count(sel, ".")+strings.Count(sel, "#") > 1 {
				t.uncertain = t.uncertain || st.bg != colourUnset
				continue
			}
			if i := strings.IndexAny(sel, ".#"); i > 0 {
				sel = sel[i:]
			}
			old, ok := t.rules[sel]
			if !ok {
				old = noStyle
			}
			old.over(st)
			t.rules[sel] = old
		}
	}
}

// skipBlock is what follows the block of braces that css begins with.
func skipBlock(css string) string {
	depth := 0
	for i := 0; i < len(css); i++ {
		switch css[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return css[i+1:]
			}
		}
	}
	return ""
}
