package spamassassin

import "strings"

// reference parts of a URI, by RFC 2396 section 5.2.
type uriParts struct {
	scheme, authority, path, query, fragment       string
	hasScheme, hasAuthority, hasQuery, hasFragment bool
}

func splitURI(u string) (p uriParts) {
	if i := strings.IndexAny(u, ":/?#"); i > 0 && u[i] == ':' {
		p.scheme, p.hasScheme, u = u[:i], true, u[i+1:]
	}
	if strings.HasPrefix(u, "//") {
		u = u[2:]
		i := strings.IndexAny(u, "/?#")
		if i < 0 {
			i = len(u)
		}
		p.authority, p.hasAuthority, u = u[:i], true, u[i:]
	}
	i := strings.IndexAny(u, "?#")
	if i < 0 {
		i = len(u)
	}
	p.path, u = u[:i], u[i:]
	if strings.HasPrefix(u, "?") {
		u = u[1:]
		i := strings.IndexByte(u, '#')
		if i < 0 {
			i = len(u)
		}
		p.query, p.hasQuery, u = u[:i], true, u[i:]
	}
	if strings.HasPrefix(u, "#") {
		// Up to a line end: what stands behind it is lost.
		line, _, _ := strings.Cut(u[1:], "\n")
		p.fragment, p.hasFragment = line, true
	}
	return p
}

// resolve makes a reference absolute.
func resolve(base, ref string) string {
	r := splitURI(ref)
	if base == "" && r.hasScheme && !strings.Contains(r.path, "/.") && !strings.HasPrefix(r.path, ".") {
		return joinURI(r)
	}
	b := splitURI(base)
	if r.hasScheme && b.hasScheme && r.scheme == b.scheme {
		r.hasScheme = false
	}
	t := r
	switch {
	case r.hasScheme, r.hasAuthority:
		t.path = removeDots(r.path)
		if !r.hasScheme {
			t.scheme, t.hasScheme = b.scheme, b.hasScheme
		}
		return joinURI(t)
	case r.path == "":
		t.path = b.path
		if !r.hasQuery {
			t.query, t.hasQuery = b.query, b.hasQuery
		}
	case strings.HasPrefix(r.path, "/"):
		t.path = removeDots(r.path)
	default:
		t.path = r.path
		if b.hasAuthority && b.path == "" {
			t.path = "/" + r.path
		} else if i := strings.LastIndexByte(b.path, '/'); i >= 0 {
			t.path = b.path[:i+1] + r.path
		}
		t.path = removeDots(t.path)
	}
	t.authority, t.hasAuthority = b.authority, b.hasAuthority
	t.scheme, t.hasScheme = b.scheme, b.hasScheme
	return joinURI(t)
}

func joinURI(t uriParts) string {
	var b strings.Builder
	if t.scheme != "" {
		b.WriteString(t.scheme + ":")
	} else if t.hasAuthority {
		low := strings.ToLower(clipTo(t.authority, 8))
		if digitsThenDot(low, "www") {
			b.WriteString("http:")
		} else if digitsThenDot(low, "ftp") {
			b.WriteString("ftp:")
		}
	}
	if t.hasAuthority {
		b.WriteString("//" + t.authority)
	}
	b.WriteString(t.path)
	if t.hasQuery {
		b.WriteString("?" + t.query)
	}
	if t.hasFragment {
		b.WriteString("#" + t.fragment)
	}
	return b.String()
}

func digitsThenDot(s, prefix string) bool {
	rest, ok := strings.CutPrefix(s, prefix)
	return ok && strings.HasPrefix(strings.TrimLeft(rest, "0123456789"), ".")
}

// removeDots resolves "." and ".." in a path.
func removeDots(in string) string {
	if !strings.Contains(in, ".") {
		return in
	}
	if strings.HasPrefix(in, "./") {
		in = in[1:]
	} else if strings.HasPrefix(in, "../") {
		in = in[2:]
	}
	var out []byte
	for in != "" {
		switch {
		case in == "/." || strings.HasPrefix(in, "/./"):
			in = "/" + strings.TrimPrefix(in[2:], "/")
		case in == "/.." || strings.HasPrefix(in, "/../"):
			in = "/" + strings.TrimPrefix(in[3:], "/")
			i := len(out)
			for i > 0 && out[i-1] != '/' {
				i--
			}
			out = out[:max(0, i-1)]
		default:
			i := 1
			for i < len(in) && in[i] != '/' {
				i++
			}
			if in[0] != '/' {
				i = strings.IndexByte(in, '/')
				if i < 0 {
					i = len(in)
				}
			}
			out = append(out, in[:i]...)
			in = in[i:]
		}
	}
	return string(out)
}
