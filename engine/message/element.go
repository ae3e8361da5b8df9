package message

import (
	"strconv"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// attributes are those that matter here, of one tag.
type attributes struct {
	style, class, id, href, src, action, formaction, background, content, equiv string
	alt, kind, value, width, height, bgcolor, color, size, text, dir            string
	hidden, event                                                               bool
}

func (a *attributes) read(z *html.Tokenizer) {
	for n := 0; ; n++ {
		key, val, more := z.TagAttr()
		var p *string
		switch string(key) {
		case "style":
			p = &a.style
		case "class":
			p = &a.class
		case "id":
			p = &a.id
		case "href", "xlink:href":
			p = &a.href
		case "src", "data":
			p = &a.src
		case "action":
			p = &a.action
		case "formaction":
			p = &a.formaction
		case "background":
			p = &a.background
		case "content":
			p = &a.content
		case "http-equiv":
			p = &a.equiv
		case "alt":
			p = &a.alt
		case "type":
			p = &a.kind
		case "value":
			p = &a.value
		case "width":
			p = &a.width
		case "height":
			p = &a.height
		case "bgcolor":
			p = &a.bgcolor
		case "color":
			p = &a.color
		case "size":
			p = &a.size
		case "text":
			p = &a.text
		case "dir":
			p = &a.dir
		case "hidden":
			a.hidden = true
		default:
			if len(key) > 4 && key[0] == 'o' && key[1] == 'n' {
				a.event = true
			}
		}
		// As in browsers the first of two attributes counts.
		if p != nil && *p == "" && len(val) > 0 {
			*p = string(val)
		}
		if !more {
			return
		}
	}
}

// start handles a start tag. It returns the element if its content is no text.
func (r *renderer) start(z *html.Tokenizer, selfClosing bool) atom.Atom {
	name, more := z.TagName()
	tag := atom.Lookup(name)
	var unknown string
	if tag != 0 {
		r.h.Tags[tag.String()]++
	} else if unknown = string(name); len(r.h.Tags) < maxTagNames || r.h.Tags[unknown] > 0 {
		r.h.Tags[unknown]++
	}
	var a attributes
	if more {
		a.read(z)
	}
	if a.event {
		r.h.Scripts++
	}
	r.implied(tag)
	if blockElement(tag) {
		r.breakLine()
	}
	e := r.inherit(tag, &a)
	e.name = unknown
	r.collect(tag, &a, &e)
	if !voidElement(tag) && !selfClosing && len(r.open) < maxOpen {
		r.open = append(r.open, e)
	}
	switch tag {
	case atom.Style, atom.Script, atom.Title, atom.Noembed, atom.Noframes, atom.Iframe:
		if !selfClosing {
			return tag
		}
	}
	return 0
}

// inherit computes the style of an element from that of the one around it.
func (r *renderer) inherit(tag atom.Atom, a *attributes) element {
	e := r.open[len(r.open)-1]
	e.tag = tag
	st := noStyle
	if len(r.sheet.rules) > 0 {
		if tag != 0 {
			st.over(r.rule(tag.String()))
		}
		for class := a.class; class != ""; {
			var c string
			c, class, _ = strings.Cut(class, " ")
			if c != "" {
				st.over(r.rule("." + asciiLower(c)))
			}
		}
		if a.id != "" {
			st.over(r.rule("#" + asciiLower(a.id)))
		}
	}
	if a.bgcolor != "" {
		st.bg = parseColour(asciiLower(trimSpace(a.bgcolor)))
	}
	if a.background != "" {
		st.bg = colourUnknown
	}
	if a.color != "" && tag == atom.Font {
		st.fg = parseColour(asciiLower(trimSpace(a.color)))
	}
	if a.text != "" && tag == atom.Body {
		st.fg = parseColour(asciiLower(trimSpace(a.text)))
	}
	if a.style != "" {
		r.h.Styles++
		st.over(parseStyle(a.style))
		if strings.Contains(a.style, "url(") || strings.Contains(a.style, "URL(") {
			r.styleLinks(a.style)
		}
	}
	if st.fg != colourUnset {
		e.fg = st.fg
	}
	if st.bg != colourUnset && st.bg != colourClear {
		e.bg = st.bg
	}
	if tag == atom.Bdo {
		e.turned = equalFold(a.dir, "rtl")
	}
	switch {
	case st.turned == 2:
		e.turned = false
	case st.turned == 1 && st.leftward:
		e.turned = true
	}
	switch {
	case e.means != "" && e.means != meansColour:
		return e // hidden by what is around it
	case st.display == 1:
		e.means = meansDisplay
		return e
	case a.hidden:
		e.means = meansAttribute
		return e
	case st.means != "":
		e.means = st.means
		return e
	}
	if st.visibility != 0 {
		e.unseen = st.visibility == 1
	}
	if st.font != 0 {
		e.tiny = st.font == 1
	}
	return e
}

func (r *renderer) rule(selector string) style {
	if s, ok := r.sheet.rules[selector]; ok {
		return s
	}
	return noStyle
}

// end handles an end tag.
func (r *renderer) end(name []byte) {
	tag := atom.Lookup(name)
	if tag == atom.A {
		r.closeAnchor()
	}
	if blockElement(tag) {
		r.breakLine()
	}
	if tag == atom.Br || tag == atom.P && r.open[len(r.open)-1].tag != atom.P {
		return // browsers make an element of it
	}
	for i := len(r.open) - 1; i > 0 && i > len(r.open)-maxReach; i-- {
		if e := &r.open[i]; e.tag == tag && (tag != 0 || e.name == string(name)) {
			r.open = r.open[:i]
			return
		}
	}
	r.h.Malformed++
}

// implied closes the elements whose end tag is left out before a start tag.
func (r *renderer) implied(tag atom.Atom) {
	top := func() atom.Atom { return r.open[len(r.open)-1].tag }
	pop := func() { r.open = r.open[:len(r.open)-1] }
	if top() == atom.P && blockElement(tag) && tag != atom.Br {
		pop()
	}
	switch tag {
	case atom.Li, atom.Option:
		if top() == tag {
			pop()
		}
	case atom.Td, atom.Th:
		if t := top(); t == atom.Td || t == atom.Th {
			pop()
		}
	case atom.Tr:
		if t := top(); t == atom.Td || t == atom.Th {
			pop()
		}
		if top() == atom.Tr {
			pop()
		}
	case atom.Dd, atom.Dt:
		if t := top(); t == atom.Dd || t == atom.Dt {
			pop()
		}
	case atom.A:
		r.closeAnchor()
	}
}

// collect takes what else an element tells: links, images, counts.
func (r *renderer) collect(tag atom.Atom, a *attributes, e *element) {
	switch tag {
	case atom.Base:
		r.base = a.href
	case atom.A, atom.Area:
		if a.href == "" {
			break
		}
		source := "href"
		if tag == atom.Area {
			source = "area"
		}
		r.link(a.href, source)
		if tag == atom.A && len(r.links) > 0 {
			r.anchor, r.anchorAt = len(r.links)-1, len(r.out)
		}
	case atom.Img:
		if len(r.h.Images) < maxImages {
			r.h.Images = append(r.h.Images, Image{a.src, a.alt, pixels(a.width), pixels(a.height), hasPrefixFold(a.src, "cid:") || hasPrefixFold(a.src, "data:")})
		}
		r.link(a.src, "image")
	case atom.Form:
		r.h.Forms++
		r.link(a.action, "form")
	case atom.Input, atom.Button:
		if tag == atom.Input && (equalFold(a.kind, "submit") || equalFold(a.kind, "button")) && a.value != "" && r.why(e) == "" {
			r.space = true
			r.h.VisibleChars += show(r, a.value)
			r.space = true
		}
		r.link(a.formaction, "form")
		r.link(a.src, "image")
	case atom.Iframe, atom.Frame:
		r.h.Frames++
		r.link(a.src, "href")
	case atom.Script:
		r.h.Scripts++
		r.link(a.src, "href")
	case atom.Style:
		r.h.Styles++
	case atom.Meta:
		if equalFold(trimSpace(a.equiv), "refresh") {
			if i := strings.Index(asciiLower(a.content), "url="); i >= 0 {
				r.link(strings.Trim(a.content[i+4:], `'" `), "meta")
			}
		}
	default:
		r.link(a.href, "href")
		r.link(a.src, "image")
	}
	r.link(a.background, "image")
	if tag == atom.Td || tag == atom.Th {
		r.space = true
	}
}

// link notes a target; one without a scheme is taken from the base.
func (r *renderer) link(url, source string) {
	if url == "" || len(r.links) >= 4*maxImages {
		return
	}
	if r.base != "" && !hasScheme(url) && !strings.HasPrefix(url, "#") {
		if strings.HasPrefix(url, "//") {
			url = "http:" + url
		} else {
			url = strings.TrimSuffix(r.base, "/") + "/" + strings.TrimPrefix(url, "/")
		}
	}
	if hasPrefixFold(trimSpace(url), "javascript:") {
		r.h.Scripts++
	}
	r.links = append(r.links, rawLink{url: url, source: source})
}

func (r *renderer) closeAnchor() {
	if r.anchor >= 0 {
		r.links[r.anchor].text = trimSpace(string(r.out[min(r.anchorAt, len(r.out)):]))
		r.anchor = -1
	}
}

// styleLinks notes the targets of url() in CSS.
func (r *renderer) styleLinks(css string) {
	for n := 0; n < maxImages; n++ {
		i := strings.Index(css, "url(")
		if i < 0 {
			return
		}
		css = css[i+4:]
		end := strings.IndexByte(css, ')')
		if end < 0 {
			return
		}
		r.link(strings.Trim(css[:end], " '\"\t\r\n"), "style")
		css = css[end:]
	}
}

func pixels(s string) int {
	s = strings.TrimSuffix(trimSpace(s), "px")
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

func hasScheme(s string) bool {
	for i := 0; i < len(s) && i < 16; i++ {
		c := lowerByte(s[i])
		if c == ':' {
			return i > 0
		}
		if (c < 'a' || c > 'z') && (i == 0 || (c < '0' || c > '9') && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return false
}

func voidElement(t atom.Atom) bool {
	switch t {
	case atom.Area, atom.Base, atom.Br, atom.Col, atom.Embed, atom.Hr, atom.Img, atom.Input, atom.Link, atom.Meta, atom.Param, atom.Source, atom.Track, atom.Wbr:
		return true
	}
	return false
}

// blockElement tells whether an element begins and ends a line.
func blockElement(t atom.Atom) bool {
	switch t {
	case atom.Address, atom.Article, atom.Aside, atom.Blockquote, atom.Br, atom.Center, atom.Dd, atom.Dir, atom.Div, atom.Dl, atom.Dt,
		atom.Fieldset, atom.Footer, atom.Form, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Header, atom.Hr, atom.Li,
		atom.Main, atom.Menu, atom.Nav, atom.Ol, atom.Option, atom.P, atom.Pre, atom.Section, atom.Table, atom.Tbody, atom.Tfoot,
		atom.Thead, atom.Tr, atom.Ul, atom.Body, atom.Html, atom.Caption:
		return true
	}
	return false
}
