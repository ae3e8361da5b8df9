package message

import "strings"

// A boundary is one reading of a boundary parameter; declared says that it
// stands there as a parameter of its own.
type boundary struct {
	value    string
	declared bool
}

// boundaries lists the readings of the boundary parameters of a value: each
// one that is declared; with backslashes kept; cut at the first character
// that a token cannot have; up to the semicolon whatever the quotes say;
// without what stands behind NUL.
func boundaries(value string, params []param) (all []boundary) {
	var plain []param
	for _, p := range params {
		if base, _, star := strings.Cut(p.key, "*"); base == "boundary" {
			if star {
				continue
			}
			plain = append(plain, p)
			all = append(all, boundary{p.value, true})
		}
	}
	if ext := foldParams(onlyExtended(params), nil)["boundary"]; ext != "" {
		all = append(all, boundary{ext, true})
	}
	if len(plain) == 1 && len(all) == 1 && strings.IndexAny(value, "\\\x00(?'") < 0 && strings.IndexAny(plain[0].value, " \t;,\"") < 0 &&
		strings.Count(value, `"`)%2 == 0 && !strings.Contains(value, `"boundary`) {
		return all
	}
	lower := asciiLower(value)
	for at := 0; len(all) < 16; {
		i := strings.Index(lower[at:], "boundary")
		if i < 0 {
			break
		}
		at += i + len("boundary")
		rest := strings.TrimLeft(value[at:], " \t")
		if !strings.HasPrefix(rest, "=") {
			continue
		}
		rest = strings.TrimLeft(rest[1:], " \t")
		add := func(v string) {
			if v = trimSpace(v); v != "" {
				all = append(all, boundary{v, false})
				if n := strings.IndexByte(v, 0); n >= 0 {
					all = append(all, boundary{v[:n], false}, boundary{strings.ReplaceAll(v, "\x00", ""), false})
				}
			}
		}
		if strings.HasPrefix(rest, `"`) {
			if end := strings.IndexByte(rest[1:], '"'); end >= 0 {
				add(rest[1 : 1+end])
			} else {
				add(rest[1:])
			}
			if end := quotedEnd(rest, 0); end > 2 {
				add(strings.TrimSuffix(rest[1:end], `"`))
			}
		}
		end := strings.IndexByte(rest, ';')
		if end < 0 {
			end = len(rest)
		}
		add(strings.Trim(rest[:end], `"`))
		add(rest[:end])
		if i := strings.IndexAny(rest[:end], " \t(,\""); i > 0 {
			add(rest[:i])
		}
	}
	return all
}

func onlyExtended(params []param) (ext []param) {
	for _, p := range params {
		if strings.HasPrefix(p.key, "boundary*") {
			ext = append(ext, p)
		}
	}
	return ext
}
