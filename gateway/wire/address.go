package wire

import (
	"bytes"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// A path is a mailbox as MAIL and RCPT name it, its source route and quoting
// removed. Both halves are nil in the null path.
//
// go-smtp removes the quotes of a local part and hands the rest on as it is, so
// "b@third.example"@ours.example would become an address with two at signs,
// and whoever writes it without quotes relays to the third. So a local part that
// cannot be written without quotes is refused: what the session sees has
// exactly one at sign, and no octet that would need quoting again.
type path struct {
	local, domain []byte
	length        int // of the path as it was written, brackets included
}

// parsePath reads the path at the beginning of b and returns what follows it.
// The problem is "" if it could be read; check says whether it may be used.
// RFC 5321 section 4.1.2, with two liberties: space before the path, and a path
// without brackets.
func parsePath(b []byte) (p path, rest []byte, problem string) {
	b = bytes.TrimLeft(b, " ")
	whole := len(b)
	b, bracket := bytes.CutPrefix(b, []byte("<"))
	if bracket && len(b) > 0 && b[0] == '>' {
		p.length = 2
		return p, b[1:], ends(b[1:])
	}
	if len(b) > 0 && b[0] == '@' {
		// RFC 5321 section 3.6.1 and appendix C: source routes are to be ignored.
		route, after, ok := bytes.Cut(b, []byte(":"))
		if !ok || !validRoute(route) {
			return p, nil, "malformed source route"
		}
		b = after
	}
	if len(b) > 0 && b[0] == '"' {
		p.local, b = unquote(b)
		if p.local == nil {
			return p, nil, "malformed quoted local part"
		}
	} else {
		i := 0
		for i < len(b) && (isAtext(b[i]) || b[i] == '.' || b[i] >= utf8.RuneSelf) {
			i++
		}
		p.local, b = b[:i], b[i:]
	}
	if len(p.local) == 0 {
		return p, nil, "malformed address"
	}
	if len(b) > 0 && b[0] == '@' {
		b = b[1:]
		i := 0
		if len(b) > 0 && b[0] == '[' {
			for i < len(b) && b[i] != ']' {
				i++
			}
			i = min(i+1, len(b))
		} else {
			for i < len(b) && b[i] != '>' && b[i] != ' ' {
				i++
			}
		}
		if p.domain, b = b[:i], b[i:]; len(p.domain) == 0 {
			return p, nil, "no domain after @"
		}
	}
	if bracket {
		if len(b) == 0 || b[0] != '>' {
			return p, nil, "malformed address"
		}
		b = b[1:]
	}
	p.length = whole - len(b)
	if !bracket {
		p.length += 2
	}
	return p, b, ends(b)
}

// ends returns a problem unless the path ends where b begins.
func ends(b []byte) string {
	if len(b) > 0 && b[0] != ' ' {
		return "junk after the address"
	}
	return ""
}

// check says why the path cannot be used; the Code of its Reply is 0 if it can.
func (p path) check(smtputf8, recipient bool) Reply {
	syntax := Reply{Code: 501, Enhanced: "5.1.7"}
	if recipient {
		syntax.Enhanced = "5.1.3"
	}
	bad := func(text string) Reply {
		syntax.Text = text
		return syntax
	}
	if p.local == nil {
		if recipient {
			return bad("no recipient")
		}
		return Reply{}
	}
	switch {
	case p.domain == nil:
		return bad("no domain in address")
	case !smtputf8 && (!ascii(p.local) || !ascii(p.domain)):
		// RFC 6531 section 3.5
		return Reply{Code: 553, Enhanced: "5.6.7", Text: "address is not ASCII, and SMTPUTF8 was not asked for"}
	case !utf8.Valid(p.local) || !utf8.Valid(p.domain):
		return bad("address is not UTF-8")
	// RFC 5321 section 4.5.3.1: 64, 255 and 256 octets. Senders' local parts may
	// be longer, for mailing lists put whole addresses into them.
	case recipient && len(p.local) > 64:
		return bad("local part too long")
	case len(p.domain) > 255:
		return bad("domain too long")
	case p.length > 256 || len(p.local)+len(p.domain) > 253:
		return bad("address too long")
	case !validDomain(p.domain, smtputf8) && !validLiteral(p.domain):
		return bad("malformed domain")
	}
	if recipient && !ascii(p.local) && bytes.ContainsAny(norm.NFKC.Bytes(p.local), `%!@:,"\`) {
		// Some server behind us may write them so before it looks for routes.
		return Reply{Code: 550, Enhanced: "5.7.1", Text: "routing through the local part is not permitted"}
	}
	for _, r := range string(p.local) {
		switch {
		case r >= utf8.RuneSelf && (!unicode.IsGraphic(r) || unicode.IsSpace(r)):
			return bad("control character in address")
		case r < utf8.RuneSelf && r != '.' && !isAtext(byte(r)):
			syntax.Code = 553
			return bad("local parts that need quoting are not accepted")
		case recipient && (r == '%' || r == '!'):
			// Some server behind us may still take these for source routes.
			return Reply{Code: 550, Enhanced: "5.7.1", Text: "routing through the local part is not permitted"}
		}
	}
	return Reply{}
}

// append writes the path without its brackets.
func (p path) append(b []byte) []byte {
	if p.local == nil {
		return b
	}
	return append(append(append(b, p.local...), '@'), p.domain...)
}

// unquote reads a quoted local part and returns it without quotes, nil if it
// does not end, and what follows it.
func unquote(b []byte) (local, rest []byte) {
	local = []byte{}
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '"':
			return local, b[i+1:]
		case '\\':
			if i++; i == len(b) {
				return nil, nil
			}
		}
		local = append(local, b[i])
	}
	return nil, nil
}

// validRoute reports whether b is a source route: "@a,@b".
func validRoute(b []byte) bool {
	for hop := range bytes.SplitSeq(b, []byte(",")) {
		name, ok := bytes.CutPrefix(hop, []byte("@"))
		if !ok || !validDomain(name, false) && !validLiteral(name) {
			return false
		}
	}
	return true
}

// isAtext reports whether c may stand in an atom. RFC 5322 section 3.2.3
func isAtext(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c < utf8.RuneSelf && c > ' ' && strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

// validDomain reports whether b is a domain name: labels of letters, digits,
// hyphens and, as in real life, underscores. With international, letters and
// digits of any script.
func validDomain(b []byte, international bool) bool {
	if len(b) == 0 || len(b) > 255 {
		return false
	}
	for label := range bytes.SplitSeq(b, []byte(".")) {
		if len(label) == 0 || !international && len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, r := range string(label) {
			switch {
			case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
			case international && r >= utf8.RuneSelf && r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r)):
			default:
				return false
			}
		}
	}
	return true
}

// validLiteral reports whether b is an address literal, [192.0.2.1] or
// [IPv6:2001:db8::1]. RFC 5321 section 4.1.3
func validLiteral(b []byte) bool {
	if len(b) < 2 || b[0] != '[' || b[len(b)-1] != ']' {
		return false
	}
	b = b[1 : len(b)-1]
	v6, is6 := cutFold(b, "IPv6:")
	if is6 {
		b = v6
	}
	a, err := netip.ParseAddr(string(b))
	return err == nil && a.Zone() == "" && a.Is6() == is6
}

func ascii(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
