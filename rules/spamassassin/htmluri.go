package spamassassin

import (
	"strconv"
	"strings"
)

const maxURI = 8192

// clean takes white space off a URI and bounds its length.
func (r *renderer) clean(uri string) string {
	uri = strings.TrimFunc(uri, func(c rune) bool { return c < 0x80 && spaceSet.has(byte(c)) || c == 0xa0 })
	if len(uri) > maxURI {
		r.f.truncated = true
		uri = uri[:maxURI]
	}
	return uri
}

func (r *renderer) push(kind, uri string) {
	uri = r.clean(uri)
	if uri == "" {
		return
	}
	scheme, _, _ := strings.Cut(strings.ToLower(clip(uri, 10)), ":")
	switch scheme {
	case "data", "mailto", "file", "cid", "tel":
		r.link(uri).types[kind] = true
		return
	}
	if target := resolve(r.base, uri); target != "" {
		r.link(target).types[kind] = true
	}
}

func (r *renderer) uris(name string, attrs []attribute) {
	switch name {
	case "body", "table", "tr", "td":
		if v, ok := attr(attrs, "background"); ok {
			r.push(name, v)
		}
	case "a", "area", "link":
		href, ok := attr(attrs, "href")
		for _, a := range attrs {
			if strings.Contains(a.name, "/href") && badHref.MatchString(a.name) {
				href, ok = a.value, true
			}
		}
		if ok {
			r.push(name, strings.ReplaceAll(href, "\uFEFF", ""))
		}
		if v, ok := attr(attrs, "data-saferedirecturl"); ok {
			r.push(name, v)
		}
	case "img", "frame", "iframe", "embed", "script", "bgsound":
		src, ok := attr(attrs, "src")
		for _, a := range attrs {
			if strings.Contains(a.name, "/src") && badSrc.MatchString(a.name) {
				src, ok = a.value, true
			}
		}
		if ok {
			r.push(name, src)
		}
	case "form":
		if v, ok := attr(attrs, "action"); ok {
			r.push(name, v)
		}
	case "base":
		v, _ := attr(attrs, "href")
		if v == "" {
			return
		}
		v = r.clean(v)
		r.push(name, v)
		if baseForm.MatchString(v) {
			v = baseFile.ReplaceAllString(v, "$1")
			if !strings.HasSuffix(v, "/") {
				v += "/"
			}
			r.base = v
		}
	case "meta":
		equiv, ok1 := attr(attrs, "http-equiv")
		content, ok2 := attr(attrs, "content")
		if ok1 && ok2 && strings.Contains(strings.ToLower(equiv), "refresh") && oneOfWord.MatchString(content) {
			uri := refreshURL.ReplaceAllString(content, "")
			if i := strings.IndexByte(uri, ';'); i >= 0 {
				uri = strings.TrimRight(uri[:i], white)
			}
			r.push(name, uri)
		}
	}
}

func (r *renderer) link(uri string) *htmlLink {
	l := r.f.links[uri]
	if l == nil {
		l = &htmlLink{types: map[string]bool{}}
		r.f.links[uri] = l
		r.f.order = append(r.f.order, uri)
	}
	return l
}

func (r *renderer) hasHref(attrs []attribute) bool { _, ok := attr(attrs, "href"); return ok }

// pixels reads a size; percentages are of a screen that is 100 units wide, and
// what can't be read is 200.
func pixels(s string, unit int) int {
	n := 0
	if m := dimension.FindStringSubmatch(s); m != nil && len(m[1]) < 9 {
		n, _ = strconv.Atoi(m[1])
		if m[2] != "" {
			n *= unit
		}
	}
	if n <= 0 {
		n = 200
	}
	return n
}
