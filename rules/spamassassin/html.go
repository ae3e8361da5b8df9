package spamassassin

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// htmlFacts are what rules ask about one HTML part.
type htmlFacts struct {
	inside     map[string]int // element -> how many are open; present when seen
	numbers    map[string]float64
	texts      map[string][]string // anchor, title, comment, script
	links      map[string]*htmlLink
	order      []string // links in order of appearance
	charsets   string
	truncated  bool
	rendered   string
	characters bool // rendered has characters above U+00FF, or was decoded
}

type htmlLink struct {
	types   map[string]bool
	anchors []string
	open    [][]byte // anchors while they grow
}

type style struct {
	tag, fg, bg         string
	size                int
	display, visibility string
}

// renderer turns HTML into text the way that rules were written for.
type renderer struct {
	f         *htmlFacts
	out       []string
	spaces    []bool // which of out are white space
	hidden    []bool
	styles    []style
	baseFont  int
	base      string
	anchor    string
	titles    [][]byte
	anchors   [][]byte
	tags      int
	elements  int
	tagsSeen  int
	elemsSeen int
	extra     int
	area      int
	obfusc    int
	backhair  map[[2]int]bool
	wide      bool // text is characters: a no-break space is white space
}

var (
	elementNames = setFrom("a abbr acronym address area b base bdo big blockquote body br button caption cite code col colgroup dd del dfn div dl dt em fieldset form h1 h2 h3 h4 h5 h6 head hr html i img input ins kbd label legend li link map meta noscript object ol optgroup option p param pre q samp script select small span strong style sub sup table tbody td textarea tfoot th thead title tr tt ul var applet basefont center dir font frame frameset iframe isindex menu noframes s strike u nobr x-sigsep x-tab")
	trickNames   = setFrom("bgsound embed listing plaintext xmp")
	styledNames  = setFrom("body font table tr th td big small basefont marquee span p div a")
	fontAttrs    = map[string]string{"basefont": "color face size", "body": "text bgcolor link alink vlink background", "font": "color face size", "marquee": "bgcolor background",
		"table": "bgcolor style", "td": "bgcolor style", "th": "bgcolor style", "tr": "bgcolor style", "span": "style", "p": "style", "div": "style", "a": "style"}
	namespaced  = regexp.MustCompile(`^(?:o|st\d):[\w-]+/?$`)
	selfClosed  = regexp.MustCompile(`<(\w+)\s*/>`)
	faceForm    = regexp.MustCompile(`(?i)^\s*["'.]?[a-z ][a-z -]*[a-z]\d?["']?(?:,\s*["']?[a-z][a-z -]*[a-z]\d?["']?)*;?$`)
	refreshURL  = regexp.MustCompile(`(?is)^.*\burl\s*=\s*`)
	baseForm    = regexp.MustCompile(`(?i)^(?:https?|ftp):/{0,2}`)
	baseFile    = regexp.MustCompile(`(?i)^([a-z]+:/{0,2}[^/]+/.*?)[^/.]+\.[^/.]{2,4}$`)
	badHref     = regexp.MustCompile(`\w{1,8}/href`)
	badSrc      = regexp.MustCompile(`\w{1,8}/src`)
	metaCharset = regexp.MustCompile(`(?i)\bcharset\s*=\s*["']?([^"']+)`)
	dimension   = regexp.MustCompile(`^(\d+)(%)?\n?$`)
	oneOfWord   = regexp.MustCompile(`(?i)\burl\s*=`)
)

func setFrom(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

// renderHTML renders a part's text; characters says that it was decoded from
// something other than ASCII.
func renderHTML(text string, characters bool) *htmlFacts {
	f := &htmlFacts{inside: map[string]int{}, numbers: map[string]float64{"html": 1}, texts: map[string][]string{}, links: map[string]*htmlLink{}}
	r := &renderer{f: f, baseFont: 3, wide: characters}
	r.styles = []style{{tag: "default", fg: "#000000", bg: "#ffffff", size: 3}}
	f.numbers["max_size"], f.numbers["min_size"] = 3, 3
	f.numbers["length"] = float64(countChars(text, characters))
	text = strings.ReplaceAll(text, "&nbsp;", " ")
	if strings.Contains(text, "/>") {
		text = selfClosed.ReplaceAllString(text, "<$1>")
	}
	text = strings.NewReplacer("“", `"`, "”", `"`).Replace(text)
	t := &tokenizer{s: text, out: r}
	t.tokenize()
	for f.inside["style"] > 0 {
		r.tag("style", nil, false)
	}
	for f.inside["script"] > 0 {
		r.tag("script", nil, false)
	}
	f.characters = characters || t.wide
	f.rendered = strings.Join(r.out, "")
	r.finish()
	return f
}

func countChars(s string, characters bool) int {
	if !characters {
		return len(s)
	}
	n := 0
	for range s {
		n++
	}
	return n
}

func (r *renderer) finish() {
	r.f.texts["anchor"], r.f.texts["title"] = toStrings(r.anchors), toStrings(r.titles)
	for _, l := range r.f.links {
		l.anchors, l.open = toStrings(l.open), nil
	}
	n := r.f.numbers
	n["image_area"] = float64(r.area)
	if r.tags > 0 {
		n["closed_extra_ratio"] = float64(r.extra) / float64(r.tags)
		if r.elements > 0 {
			n["bad_tag_ratio"] = float64(r.tags-r.elements) / float64(r.tags)
		}
		if r.obfusc > 0 {
			n["obfuscation_ratio"] = float64(r.obfusc) / float64(r.tags)
		}
	}
	if r.elemsSeen > 0 && r.tagsSeen > 0 {
		n["non_element_ratio"] = float64(r.tagsSeen-r.elemsSeen) / float64(r.tagsSeen)
	}
	if r.backhair != nil {
		n["backhair_count"] = float64(len(r.backhair))
	}
}

func (r *renderer) tag(name string, attrs []attribute, open bool) {
	f := r.f
	space := len(name) > 2 && namespaced.MatchString(name)
	_, seen := f.inside[name]
	if elementNames[name] || space {
		r.elements++
		if !seen {
			r.elemsSeen++
		}
	}
	r.tags++
	if !seen {
		r.tagsSeen++
	}
	if open {
		f.inside[name]++
	} else if f.inside[name]--; f.inside[name] < 0 {
		f.inside[name] = 0
		r.extra++
	}
	if space || !elementNames[name] && !trickNames[name] {
		return
	}
	if styledNames[name] {
		r.style(name, attrs, open)
	}
	switch name {
	case "br", "div":
		r.display("\n", true, false)
	case "li", "td", "th", "dd", "dt", "embed", "h1", "h2", "h3", "h4", "h5", "h6":
		r.display(" ", true, false)
	case "p", "hr", "blockquote", "pre", "listing", "plaintext", "xmp", "title":
		r.display("\n\n", true, false)
	}
	if open {
		r.uris(name, attrs)
		r.tests(name, attrs)
	}
}

func attr(attrs []attribute, name string) (string, bool) {
	for _, a := range attrs {
		if a.name == name {
			return a.value, true
		}
	}
	return "", false
}

// display appends text; between texts there is at most one white space.
func (r *renderer) display(s string, space, hidden bool) {
	n := len(r.out)
	if space {
		if n > 0 && !r.spaces[n-1] && !r.hidden[n-1] {
			r.out[n-1] = strings.TrimSuffix(r.out[n-1], " ")
		}
	} else {
		s = collapse(s)
		if n > 0 && !hidden && r.spaces[n-1] {
			s = strings.TrimPrefix(s, " ")
		}
	}
	r.out = append(r.out, s)
	r.spaces = append(r.spaces, space)
	r.hidden = append(r.hidden, hidden)
}

// collapse puts one space for any run of white space.
func collapse(s string) string {
	need := strings.Contains(s, "Â\u00a0")
	if !need {
		for i := 0; i < len(s) && !need; i++ {
			need = spaceSet.has(s[i]) && (s[i] != ' ' || i+1 < len(s) && spaceSet.has(s[i+1]))
		}
	}
	if !need {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case spaceSet.has(s[i]):
			for i+1 < len(s) && spaceSet.has(s[i+1]) {
				i++
			}
			b = append(b, ' ')
		case strings.HasPrefix(s[i:], "Â\u00a0"):
			b = append(b, ' ')
			i += 3
		default:
			b = append(b, s[i])
		}
	}
	return string(b)
}

// solid says whether a byte is part of a word in the sense of obfuscation:
// neither white space nor ASCII punctuation.
func solid(c byte) bool {
	return !(c <= ' ' && spaceSet.has(c) || c >= 0x21 && c <= 0x2f || c >= 0x3a && c <= 0x40 || c >= 0x5b && c <= 0x60 || c >= 0x7b && c <= 0x7e)
}

// spaceStart and spaceEnd know white space outside of ASCII.
func spaceStart(s string) bool {
	c, _ := utf8.DecodeRuneInString(s)
	return c >= 0x80 && unicode.IsSpace(c)
}

func spaceEnd(s string) bool {
	c, _ := utf8.DecodeLastRuneInString(s)
	return c >= 0x80 && unicode.IsSpace(c)
}

func (r *renderer) text(s string) {
	f := r.f
	if f.inside["script"] > 0 {
		f.texts["script"] = append(f.texts["script"], s)
		return
	}
	if f.inside["style"] > 0 {
		return
	}
	if f.inside["a"] > 0 {
		r.toAnchor(s)
	}
	if f.inside["title"] > 0 {
		r.titles = appendLast(r.titles, s)
	}
	hidden := false
	if !blank(s) {
		hidden = r.invisible()
	}
	if n := len(r.out); n > 0 && s != "" {
		prev := r.out[n-1]
		if prev != "" && solid(s[0]) && solid(prev[len(prev)-1]) && !(r.wide && (spaceStart(s) || spaceEnd(prev))) {
			r.obfusc++
			r.hair(prev, s)
		}
	}
	r.display(s, false, hidden)
}

func blank(s string) bool {
	for i := 0; i < len(s); i++ {
		if !spaceSet.has(s[i]) {
			if strings.HasPrefix(s[i:], "Â\u00a0") {
				i += 3
				continue
			}
			return false
		}
	}
	return true
}

// hair notes a tag inside of a word of at most 7 letters on each side.
func (r *renderer) hair(prev, s string) {
	a := 0
	for a < len(prev) && a < 8 && solid(prev[len(prev)-1-a]) {
		a++
	}
	b := 0
	for b < len(s) && b < 8 && solid(s[b]) {
		b++
	}
	if a == 0 || a > 7 || b == 0 || b > 7 {
		return
	}
	if r.backhair == nil {
		r.backhair = map[[2]int]bool{}
	}
	r.backhair[[2]int{a, b}] = true
}

// appendLast appends to the last of several texts.
func appendLast(list [][]byte, s string) [][]byte {
	if len(list) == 0 {
		list = append(list, nil)
	}
	n := len(list) - 1
	list[n] = append(list[n], s...)
	return list
}

func toStrings(list [][]byte) []string {
	if len(list) == 0 {
		return nil
	}
	out := make([]string, len(list))
	for i, b := range list {
		out[i] = string(b)
	}
	return out
}

func (r *renderer) toAnchor(s string) {
	l := r.link(r.anchor)
	l.open = appendLast(l.open, s)
	r.anchors = appendLast(r.anchors, s)
}

func (r *renderer) comment(s string) { r.f.texts["comment"] = append(r.f.texts["comment"], s) }

func (r *renderer) declaration(s string) {
	if len(s) >= 9 && strings.EqualFold(s[:9], "<!doctype") {
		r.elements++
		r.tags++
		r.f.inside["!doctype"] = 0
	}
}

func (r *renderer) tests(name string, attrs []attribute) {
	f := r.f
	switch name {
	case "font":
		if face, ok := attr(attrs, "face"); ok && !faceForm.MatchString(face) {
			f.numbers["font_face_bad"] = 1
		}
	case "img":
		if f.inside["a"] > 0 {
			r.toAnchor("<img>\n")
		}
		w, hasW := attr(attrs, "width")
		h, hasH := attr(attrs, "height")
		if hasW && hasH {
			r.area += pixels(w, 8) * pixels(h, 6)
		}
	case "form":
		if a, ok := attr(attrs, "action"); ok && strings.Contains(strings.ToLower(a), "mailto:") {
			f.numbers["form_action_mailto"] = 1
		}
	case "object", "embed":
		f.numbers["embeds"] = 1
	case "a":
		href, _ := attr(attrs, "href")
		if !r.hasHref(attrs) {
			href = ""
		}
		r.anchor = r.clean(href)
		l := r.link(r.anchor)
		l.open = append(l.open, nil)
		r.anchors = append(r.anchors, nil)
	case "title":
		r.titles = append(r.titles, nil)
	case "meta":
		equiv, ok1 := attr(attrs, "http-equiv")
		content, ok2 := attr(attrs, "content")
		if ok1 && ok2 && strings.Contains(strings.ToLower(equiv), "content-type") {
			if m := metaCharset.FindStringSubmatch(content); m != nil {
				f.charsets = trim(f.charsets + " " + m[1])
			}
		}
	}
}
