package relay

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// maxPath is the longest path, in octets, that is put into a command.
// RFC 5321 section 4.5.3.1.4: a command line has at most 512 octets with its line end; MAIL's parameters have room beyond that.
const maxPath = 480

var errPath = errors.New("not an address")

// smtpPath returns address in the form that stands between the angle brackets of MAIL and RCPT: nothing in it can end the path,
// the command or the line. A local part that is no dot-string, for instance because its quotes were lost on the way, is quoted again.
// The second result says whether the path needs SMTPUTF8. An error means that the address cannot be written as a path at all.
func smtpPath(address string) (path string, international bool, err error) {
	if len(address) > maxPath || !utf8.ValidString(address) {
		return "", false, errPath
	}
	for _, c := range []byte(address) {
		if c < ' ' || c == 0x7f {
			return "", false, errPath
		}
	}
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		// RFC 5321 section 4.1.1.3: "<Postmaster>" alone is a forward path.
		if !strings.EqualFold(address, "postmaster") {
			return "", false, errPath
		}
		return address, false, nil
	}
	local, domain := address[:at], address[at+1:]
	if !domainOK(domain) || local == "" {
		return "", false, errPath
	}
	if !dotString(local) && !quotedString(local) {
		local = quote(local)
	}
	path = local + "@" + domain
	if len(path) > maxPath {
		return "", false, errPath
	}
	return path, !ascii(path), nil
}

// dotString reports whether s is a Dot-string of RFC 5321 section 4.1.2, as RFC 6531 section 3.3 extends it.
func dotString(s string) bool {
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" {
			return false
		}
		for _, c := range []byte(atom) {
			if c <= ' ' || c == 0x7f || strings.IndexByte(`()<>[]:;@\,."`, c) >= 0 {
				return false
			}
		}
	}
	return true
}

// quotedString reports whether s is a Quoted-string of RFC 5321 section 4.1.2, quotes included.
func quotedString(s string) bool {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return false
	}
	inner := s[1 : len(s)-1]
	for i := 0; i < len(inner); i++ {
		switch inner[i] {
		case '"':
			return false
		case '\\':
			// RFC 5321 section 4.1.2: quoted-pairSMTP is "\" and %d32-126.
			if i++; i == len(inner) || inner[i] >= 0x80 {
				return false
			}
		}
	}
	return true
}

func quote(local string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(local) + `"`
}

// domainOK reports whether s is a domain or an address literal by its characters.
func domainOK(s string) bool {
	if s == "" || len(s) > 255 {
		return false
	}
	literal := s[0] == '['
	if literal {
		if len(s) < 3 || s[len(s)-1] != ']' {
			return false
		}
		s = s[1 : len(s)-1]
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.':
		case c == ':' && literal:
		case (c == '_' || c >= 0x80) && !literal:
		default:
			return false
		}
	}
	return true
}

func ascii(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
