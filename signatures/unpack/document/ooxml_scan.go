package document

import (
	"bytes"
	"strings"
)

// A tag is the start or end of an XML element, or the text before one.
type tag struct {
	name  string // without its prefix
	raw   []byte // what follows the name
	end   bool   // </name>
	alone bool   // <name/>
	text  []byte // the text between the tag before and this one, as written
}

// walkXML calls visit for each tag, until it returns false. It takes anything for
// XML, so that a document broken on purpose is read as far as it goes; it never
// resolves entities of its own, and takes linear time.
func walkXML(b []byte, visit func(tag) bool) {
	for {
		i := bytes.IndexByte(b, '<')
		if i < 0 || i+1 >= len(b) {
			return
		}
		text := b[:i]
		b = b[i+1:]
		switch {
		case bytes.HasPrefix(b, []byte("!--")):
			if b = after(b, "-->"); b == nil {
				return
			}
			continue
		case bytes.HasPrefix(b, []byte("![CDATA[")):
			end := bytes.Index(b, []byte("]]>"))
			if end < 0 {
				return
			}
			if !visit(tag{text: escapeText(b[8:max(8, end)])}) {
				return
			}
			b = b[end+3:]
			continue
		case b[0] == '?' || b[0] == '!':
			if b = after(b, ">"); b == nil {
				return
			}
			continue
		}
		end := closing(b)
		if end < 0 {
			return
		}
		inner := b[:end]
		b = b[end+1:]
		t := tag{text: text}
		if len(inner) > 0 && inner[0] == '/' {
			t.end, inner = true, inner[1:]
		} else if len(inner) > 0 && inner[len(inner)-1] == '/' {
			t.alone, inner = true, inner[:len(inner)-1]
		}
		n := bytes.IndexAny(inner, " \t\r\n")
		if n < 0 {
			n = len(inner)
		}
		name := inner[:n]
		if k := bytes.LastIndexByte(name, ':'); k >= 0 {
			name = name[k+1:]
		}
		t.name, t.raw = string(name[:min(len(name), 128)]), inner[n:]
		if !visit(t) {
			return
		}
	}
}

// closing is where a tag ends: the first > outside quotation marks.
func closing(b []byte) int {
	var quote byte
	for i, c := range b {
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '>':
			return i
		}
	}
	return -1
}

func after(b []byte, s string) []byte {
	if i := bytes.Index(b, []byte(s)); i >= 0 {
		return b[i+len(s):]
	}
	return nil
}

// attributes are the values of at most 64 attributes by local name, entities
// resolved.
func (t tag) attributes() map[string]string {
	list := map[string]string{}
	b := t.raw
	for len(list) < 64 {
		eq := bytes.IndexByte(b, '=')
		if eq < 0 {
			break
		}
		name := bytes.TrimSpace(b[:eq])
		if k := bytes.LastIndexAny(name, ": \t\r\n"); k >= 0 {
			name = name[k+1:]
		}
		b = bytes.TrimLeft(b[eq+1:], " \t\r\n")
		if len(b) == 0 || b[0] != '"' && b[0] != '\'' {
			break
		}
		end := bytes.IndexByte(b[1:], b[0])
		if end < 0 {
			break
		}
		list[string(name)] = unescape(b[1 : 1+end])
		b = b[end+2:]
	}
	return list
}

// unescape resolves the five entities of XML and character references.
func unescape(b []byte) string {
	if bytes.IndexByte(b, '&') < 0 {
		return string(b)
	}
	var out strings.Builder
	for len(b) > 0 {
		i := bytes.IndexByte(b, '&')
		if i < 0 {
			out.Write(b)
			break
		}
		out.Write(b[:i])
		b = b[i:]
		end := bytes.IndexByte(b[:min(len(b), 12)], ';')
		if end < 0 {
			out.WriteByte('&')
			b = b[1:]
			continue
		}
		out.WriteString(entity(string(b[1:end])))
		b = b[end+1:]
	}
	return out.String()
}

func entity(name string) string {
	switch name {
	case "lt":
		return "<"
	case "gt":
		return ">"
	case "amp":
		return "&"
	case "quot":
		return `"`
	case "apos":
		return "'"
	}
	digits, ok := strings.CutPrefix(name, "#")
	if !ok {
		return "&" + name + ";"
	}
	n, base := 0, 10
	if d := strings.TrimLeft(digits, "xX"); d != digits {
		digits, base = d, 16
	}
	for _, c := range strings.ToLower(digits) {
		v := strings.IndexRune("0123456789abcdef", c)
		if v < 0 || v >= base {
			return ""
		}
		n = n*base + v
	}
	return string(rune(n))
}

// escapeText makes the text of a CDATA section stand for itself.
func escapeText(b []byte) []byte { return bytes.ReplaceAll(b, []byte("&"), []byte("&amp;")) }

// utf8XML is the text of an XML part in UTF-8: parts may be in UTF-16.
func utf8XML(b []byte) []byte {
	switch {
	case bytes.HasPrefix(b, []byte("\xff\xfe")):
		return fromUTF16(b[2:])
	case bytes.HasPrefix(b, []byte("<\x00")):
		return fromUTF16(b)
	case bytes.HasPrefix(b, []byte("\xfe\xff")), bytes.HasPrefix(b, []byte("\x00<")):
		swapped := make([]byte, 0, len(b))
		for i := 0; i+1 < len(b); i += 2 {
			swapped = append(swapped, b[i+1], b[i])
		}
		return bytes.TrimPrefix(fromUTF16(swapped), []byte("\ufeff"))
	}
	return b
}
