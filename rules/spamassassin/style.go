package spamassassin

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Text that a reader does not see, judged by colours and sizes in attributes.

var (
	colourPart  = regexp.MustCompile(`(?i)^\s*(background-)?color:\s*(.+?)\s*$`)
	groundPart  = regexp.MustCompile(`^\s*background:\s*(.+?)\s*$`)
	anyPart     = regexp.MustCompile(`(?i)^\s*([a-z_-]+)\s*:\s*(\S.*?)\s*$`)
	important   = regexp.MustCompile(`\s*!\s*important$`)
	relativeNum = regexp.MustCompile(`^\s*([+-]\d{1,6})`)
	absoluteNum = regexp.MustCompile(`^\s*(\d{1,6})`)
	rgbForm     = regexp.MustCompile(`rgb\((\d+),\s*(\d+),\s*(\d+)\s*\)`)
	rgbPercent  = regexp.MustCompile(`rgb\((\d+)%,\s*(\d+)%,\s*(\d+)%\s*\)`)
	hexColour   = regexp.MustCompile(`^#?([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$`)
	colourLike  = regexp.MustCompile(`^[#a-f0-9]*$|rgb\([\d%, ]*\)`)
)

func (r *renderer) style(name string, attrs []attribute, open bool) {
	if name == "th" {
		name = "td"
	}
	if !open {
		if name != "body" {
			r.closeStyle(name)
		}
		return
	}
	if name == "basefont" {
		if v, ok := attr(attrs, "size"); ok {
			if m := absoluteNum.FindStringSubmatch(v); m != nil {
				r.baseFont, _ = strconv.Atoi(m[1])
				return
			}
		}
	}
	if name == "td" || name == "tr" {
		r.closeCell(name)
	}
	if len(r.styles) == 0 || len(r.styles) > 10000 {
		return
	}
	parent := r.styles[len(r.styles)-1]
	s := parent
	s.tag = name
	switch name {
	case "big":
		s.size++
	case "small":
		s.size--
	default:
		for _, a := range attrs {
			if slices.Contains(strings.Fields(fontAttrs[name]), a.name) {
				r.styleAttr(&s, parent, a)
				n := r.f.numbers
				if float64(s.size) > n["max_size"] {
					n["max_size"] = float64(s.size)
				} else if float64(s.size) < n["min_size"] {
					n["min_size"] = float64(s.size)
				}
			}
		}
	}
	r.styles = append(r.styles, s)
}

func (r *renderer) styleAttr(s *style, parent style, a attribute) {
	switch a.name {
	case "text", "color":
		s.fg = colour(a.value)
	case "size":
		if m := relativeNum.FindStringSubmatch(a.value); m != nil {
			n, _ := strconv.Atoi(m[1])
			s.size = r.baseFont + n
		} else if m := absoluteNum.FindStringSubmatch(a.value); m != nil {
			s.size, _ = strconv.Atoi(m[1])
		}
	// The attribute bgcolor leaves the background what it was: so it is in
	// SpamAssassin, and rules were weighed with it.
	case "style":
		styleSheet(s, a.value)
		if s.bg == "transparent" {
			s.bg = parent.bg
		}
		if s.fg == "transparent" {
			s.fg = s.bg
		}
	}
}

func styleSheet(s *style, text string) {
	for _, p := range strings.Split(text, ";") {
		if m := colourPart.FindStringSubmatch(p); m != nil {
			v := important.ReplaceAllString(strings.ToLower(m[2]), "")
			to := &s.fg
			if m[1] != "" {
				to = &s.bg
			}
			switch {
			case strings.Contains(v, "rgb"):
				*to = rgbList(v)
			case v == "inherit":
			case v == "transparent":
				*to = v
			default:
				*to = colour(v)
			}
		} else if m := groundPart.FindStringSubmatch(p); m != nil {
			for _, v := range lastLayer(strings.ToLower(m[1])) {
				if c := colour(v); c != "invalid" {
					s.bg = c
					break
				}
			}
		} else if m := anyPart.FindStringSubmatch(p); m != nil {
			switch m[1] {
			case "display":
				s.display = m[2]
			case "visibility":
				s.visibility = m[2]
			}
		}
	}
}

func rgbList(v string) string {
	v = strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' || c == ',' {
			return c
		}
		return -1
	}, v)
	var n [3]int
	for i, part := range strings.Split(v, ",") {
		if i < 3 {
			n[i], _ = strconv.Atoi(clip(part, 9))
			n[i] = min(n[i], 255)
		}
	}
	return fmt.Sprintf("#%02x%02x%02x", n[0], n[1], n[2])
}

// lastLayer splits the value of CSS's background and returns the words of its
// last layer.
func lastLayer(v string) []string {
	var words, layer []string
	var stack []byte
	cur := ""
	push := func() {
		if cur != "" {
			words = append(words, cur)
			cur = ""
		}
	}
	for i := range len(v) {
		c := v[i]
		if n := len(stack); n > 0 {
			cur += string(rune(c))
			top := stack[n-1]
			switch {
			case c == top:
				stack = stack[:n-1]
				if c == ')' {
					push()
				}
			case top == ')' && (c == '"' || c == '\''):
				stack = append(stack, c)
			}
			continue
		}
		switch c {
		case ' ':
			push()
		case ',':
			push()
			layer, words = words, nil
		case '(':
			cur += "("
			stack = append(stack, ')')
		case '"', '\'':
			cur += string(rune(c))
			stack = append(stack, c)
		default:
			cur += string(rune(c))
		}
	}
	push()
	if len(words) > 0 {
		layer = words
	}
	return layer
}

func (r *renderer) opened(name string) bool {
	for i := range r.styles {
		if r.styles[i].tag == name {
			return true
		}
	}
	return false
}

func (r *renderer) closeStyle(name string) {
	if !r.opened(name) {
		return
	}
	for n := len(r.styles) - 1; n >= 0; n-- {
		tag := r.styles[n].tag
		r.styles = r.styles[:n]
		if tag == name {
			return
		}
	}
}

func (r *renderer) closeCell(name string) {
	if !r.opened(name) {
		return
	}
	for n := len(r.styles) - 1; n >= 0; n-- {
		top := r.styles[n].tag
		if name == "td" && (top == "font" || top == "td") || name == "tr" && (top == "font" || top == "td" || top == "tr") {
			r.styles = r.styles[:n]
			continue
		}
		return
	}
}

// invisible judges the text that follows, and notes why.
func (r *renderer) invisible() bool {
	if len(r.styles) == 0 {
		return false
	}
	s := r.styles[len(r.styles)-1]
	if tail6(s.fg) == tail6(s.bg) {
		r.f.numbers["font_low_contrast"] = 1
		return true
	}
	a, b := hexColour.FindStringSubmatch(s.fg), hexColour.FindStringSubmatch(s.bg)
	if a != nil && b != nil {
		d := func(i int) float64 {
			x, _ := strconv.ParseInt(a[i], 16, 32)
			y, _ := strconv.ParseInt(b[i], 16, 32)
			return float64(x - y)
		}
		if math.Sqrt(math.Pow(0.2126*d(1), 2)+math.Pow(0.7152*d(2), 2)+math.Pow(0.0722*d(3), 2)) < 12 {
			r.f.numbers["font_low_contrast"] = 1
			return true
		}
	}
	if s.fg == "invalid" || s.bg == "invalid" {
		r.f.numbers["font_invalid_color"] = 1
		return true
	}
	return s.size <= 1 || strings.EqualFold(s.display, "none") || strings.EqualFold(s.visibility, "hidden")
}

func tail6(s string) string { return s[max(0, len(s)-6):] }

// colour turns a colour's name or notation into #rrggbb, or "invalid".
func colour(s string) string {
	s = trim(strings.ToLower(s))
	if c, ok := colourNames[s]; ok {
		return "#" + c
	}
	if !colourLike.MatchString(s) {
		return "invalid"
	}
	if m := rgbPercent.FindStringSubmatch(s); m != nil {
		s = "#"
		for _, v := range m[1:] {
			n, _ := strconv.Atoi(clip(v, 6))
			s += fmt.Sprintf("%02x", n*255/100)
		}
	} else if m := rgbForm.FindStringSubmatch(s); m != nil {
		s = "#"
		for _, v := range m[1:] {
			n, _ := strconv.Atoi(clip(v, 9))
			s += fmt.Sprintf("%02x", n)
		}
	}
	if !strings.HasPrefix(s, "#") {
		return "invalid"
	}
	s = strings.Map(func(c rune) rune {
		if c < 0x80 && hexDigit(byte(c)) >= 0 {
			return c
		}
		return -1
	}, s)
	s = s[:min(len(s), 6)]
	if len(s) > 3 && len(s) < 6 {
		s = s[:3]
	}
	if n := len(s) % 3; n > 0 {
		s += strings.Repeat("0", 3-n)
	}
	if len(s) == 3 {
		s = strings.Repeat(s[:1], 2) + strings.Repeat(s[1:2], 2) + strings.Repeat(s[2:], 2)
	}
	return "#" + s
}
